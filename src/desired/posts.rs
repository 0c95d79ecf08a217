//! What is desired as the requests that `docker stack deploy` would send for it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{Desired, SecretSource};

/// Paths and bodies of all `POST`s, sorted by path and name. Ids are `id-<name>`; what somebody else makes is not
/// among them.
pub fn posts(desired: Desired) -> Vec<(String, Value)> {
    let networks = desired.networks.into_iter().map(|network| ("/networks/create", network.body));
    let secrets = desired.secrets.into_iter().filter_map(|secret| match secret.source {
        SecretSource::Bytes(bytes) => Some(("/secrets/create", with_data(secret.spec, bytes.expose()))),
        SecretSource::Driver => Some(("/secrets/create", secret.spec)),
        SecretSource::Generated(_) | SecretSource::External => None,
    });
    let configs = desired.configs.into_iter().filter_map(|config| {
        let body = config.body?;
        Some(("/configs/create", with_data(config.spec, &body)))
    });
    let services = desired.services.into_iter().map(|service| ("/services/create", with_ids(service.spec)));
    let mut posts: Vec<(String, Value)> =
        networks.chain(secrets).chain(configs).chain(services).map(|(path, body)| (path.to_owned(), body)).collect();
    posts.sort_by(|a, b| (&a.0, name(&a.1)).cmp(&(&b.0, name(&b.1))));
    posts
}

fn name(body: &Value) -> &str {
    body["Name"].as_str().unwrap_or_default()
}

fn with_data(mut body: Value, data: &[u8]) -> Value {
    if !data.is_empty() {
        body["Data"] = json!(STANDARD.encode(data));
    }
    body
}

fn with_ids(mut body: Value) -> Value {
    let container = &mut body["TaskTemplate"]["ContainerSpec"];
    for (list, name, id) in [("Secrets", "SecretName", "SecretID"), ("Configs", "ConfigName", "ConfigID")] {
        let Some(references) = container.get_mut(list).and_then(Value::as_array_mut) else { continue };
        for reference in references {
            reference[id] = json!(format!("id-{}", reference[name].as_str().unwrap_or_default()));
        }
    }
    body
}
