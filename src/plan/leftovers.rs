//! What a stack no longer wants. Volumes are never among it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Act, Draft, NAMESPACE_LABEL, OUR_LABEL, Object};
use crate::desired::Desired;
use crate::model::observed::Observed;

/// Objects that carry the stack's label, are not desired, and that no desired service mentions.
pub(super) fn plan(observed: &Observed, desired: &Desired, draft: &mut Draft) {
    let mut wanted = mentioned(desired);
    wanted.extend(desired.secrets.iter().map(|secret| secret.name.as_str()));
    wanted.extend(desired.configs.iter().map(|config| config.name.as_str()));
    wanted.extend(desired.networks.iter().map(|network| network.name.as_str()));
    wanted.extend(desired.external_networks.iter().map(String::as_str));
    let left = |name: &str, labels: &BTreeMap<String, String>| {
        !wanted.contains(name) && belongs_to(desired.stack.as_str(), labels)
    };
    let reason = "no service uses it any more";
    for secret in observed.secrets.values().filter(|secret| left(&secret.name, &secret.labels)) {
        draft.change(Object::Secret, &secret.name, Act::RemoveSecret, reason);
    }
    for config in observed.configs.values().filter(|config| left(&config.name, &config.labels)) {
        draft.change(Object::Config, &config.name, Act::RemoveConfig, reason);
    }
    for network in observed.networks.values().filter(|network| left(&network.name, &network.labels)) {
        draft.change(Object::Network, &network.name, Act::RemoveNetwork, reason);
    }
}

fn belongs_to(stack: &str, labels: &BTreeMap<String, String>) -> bool {
    [OUR_LABEL, NAMESPACE_LABEL].iter().any(|label| labels.get(*label).is_some_and(|owner| owner == stack))
}

/// Names of networks, secrets and configs in the services' specs.
fn mentioned(desired: &Desired) -> BTreeSet<&str> {
    const LISTS: [(&str, &str); 3] = [
        ("/TaskTemplate/Networks", "Target"),
        ("/TaskTemplate/ContainerSpec/Secrets", "SecretName"),
        ("/TaskTemplate/ContainerSpec/Configs", "ConfigName"),
    ];
    let mut names = BTreeSet::new();
    for service in &desired.services {
        for (list, name) in LISTS {
            let references = service.spec.pointer(list).and_then(Value::as_array).into_iter().flatten();
            names.extend(references.filter_map(|reference| reference[name].as_str()));
        }
        let credential = service.spec.pointer("/TaskTemplate/ContainerSpec/Privileges/CredentialSpec/Config");
        names.extend(credential.and_then(Value::as_str));
    }
    names
}
