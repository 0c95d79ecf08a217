//! How a service is reached: its networks and its published ports.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::body::put;
use crate::model::app::StackName;
use crate::recipe::compose::model::{Network, Service};

/// The network that services without any share.
pub const DEFAULT: &str = "default";

/// `EndpointSpec`; ports are sorted by what they publish.
pub fn spec(service: &Service) -> Value {
    let mut ports = service.ports.clone();
    ports.sort_by_key(|port| port.published);
    let port = |port: &crate::recipe::compose::model::Port| {
        let mut body = Map::new();
        put(&mut body, "Protocol", json!(port.protocol));
        put(&mut body, "TargetPort", json!(port.target));
        put(&mut body, "PublishedPort", json!(port.published));
        put(&mut body, "PublishMode", json!(port.mode));
        Value::Object(body)
    };
    let mut body = Map::new();
    put(&mut body, "Mode", json!(service.deploy.endpoint_mode.to_lowercase()));
    put(&mut body, "Ports", ports.iter().map(port).collect());
    Value::Object(body)
}

/// The Swarm's name of a network of the recipe.
pub fn network_name(key: &str, network: Option<&Network>, stack: &StackName) -> String {
    match network {
        Some(network) if !network.name.is_empty() => network.name.clone(),
        _ => format!("{stack}_{key}"),
    }
}

/// Whether it is none of the networks that every Engine has.
pub fn is_user_defined(network: &str) -> bool {
    !matches!(network, "default" | "bridge" | "host" | "none") && !network.starts_with("container:")
}

/// `Networks` by name, sorted; the service's own name is one of its aliases.
pub fn networks(
    name: &str,
    service: &Service,
    networks: &BTreeMap<String, Network>,
    stack: &StackName,
    fault: &mut impl FnMut(String),
) -> Vec<Value> {
    let alone = BTreeMap::from([(DEFAULT.to_owned(), None)]);
    let used = if service.networks.is_empty() { &alone } else { &service.networks };
    let mut attachments = BTreeMap::new();
    for (key, settings) in used {
        let network = networks.get(key);
        if network.is_none() && key != DEFAULT {
            fault(format!("undefined network {key:?} (declare it under top-level networks)"));
            continue;
        }
        let settings = settings.clone().unwrap_or_default();
        let target = network_name(key, network, stack);
        let mut aliases = settings.aliases;
        if is_user_defined(&target) {
            aliases.push(name.to_owned());
        }
        let mut body = Map::new();
        put(&mut body, "Target", json!(target));
        put(&mut body, "Aliases", json!(aliases));
        put(&mut body, "DriverOpts", json!(settings.driver_opts));
        attachments.insert((target, key.clone()), Value::Object(body));
    }
    attachments.into_values().collect()
}
