//! What a stack no longer wants. Volumes are never among it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Act, Draft, NAMESPACE_LABEL, OUR_LABEL, Object};
use crate::desired::Desired;
use crate::model::observed::Observed;

/// Objects that carry the stack's label, are not desired, that no desired service mentions and no other recorded release
/// has.
pub(super) fn plan(observed: &Observed, desired: &Desired, recorded: &BTreeSet<String>, draft: &mut Draft) {
    let mut wanted = mentioned(desired);
    wanted.extend(recorded.iter().map(String::as_str));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Resolve;
    use crate::plan::world::{desired, live_config, live_secret, observed, spec};
    use crate::plan::{Context, Plan};

    #[test]
    fn what_another_recorded_release_has_stays() {
        let wanted = desired().service(spec("app", "wiki:1"));
        let mut live = observed(&wanted);
        let mut secret = live_secret("wiki_key_v1");
        secret.labels = [(NAMESPACE_LABEL.to_owned(), "wiki".to_owned())].into();
        live.secrets.insert(secret.name.clone(), secret);
        live.configs.insert("wiki_run_v1".into(), live_config("wiki_run_v1", b"x"));
        let removed = |recorded: &[&str]| {
            let recorded = recorded.iter().map(|name| (*name).to_owned()).collect();
            let (kept, version) = (BTreeSet::new(), |_: &[u8]| String::new());
            let context = Context { recorded: &recorded, ..Context::new(&kept, &version, Resolve::Changed) };
            let plan = Plan::new(&live, &wanted, &context).unwrap();
            plan.changes.into_iter().map(|change| change.name).collect::<Vec<_>>()
        };
        assert_eq!(removed(&[]), ["wiki_key_v1", "wiki_run_v1"]);
        assert_eq!(removed(&["wiki_key_v1"]), ["wiki_run_v1"]);
    }
}
