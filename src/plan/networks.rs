//! Networks: own ones are made if missing, those of other owners have to be there.

use serde_json::Value;

use super::canonical_form::PREDEFINED;
use super::{Act, Draft, NAMESPACE_LABEL, Object, PlanError};
use crate::desired::{Desired, DesiredNetwork};
use crate::model::app::StackName;
use crate::model::observed::{Network, Observed};

pub(super) fn plan(observed: &Observed, desired: &Desired, draft: &mut Draft) {
    for name in &desired.external_networks {
        external(observed, name, draft);
    }
    for network in &desired.networks {
        own(observed, network, &desired.stack, draft);
    }
}

fn external(observed: &Observed, name: &str, draft: &mut Draft) {
    if PREDEFINED.contains(&name) {
        return;
    }
    match observed.networks.get(name) {
        None => draft.errors.push(PlanError::ExternalNetworkMissing { name: name.to_owned() }),
        Some(live) if live.scope != "swarm" => {
            let scope = live.scope.clone();
            draft.errors.push(PlanError::NetworkNotInSwarm { name: name.to_owned(), scope });
        }
        Some(_) => draft.unchanged += 1,
    }
}

fn own(observed: &Observed, wanted: &DesiredNetwork, stack: &StackName, draft: &mut Draft) {
    let Some(live) = observed.networks.get(&wanted.name) else {
        let act = Act::CreateNetwork { body: wanted.body.clone() };
        return draft.change(Object::Network, &wanted.name, act, "is not there");
    };
    if live.labels.get(NAMESPACE_LABEL).is_none_or(|owner| owner != stack.as_str()) {
        let (name, stack) = (wanted.name.clone(), stack.clone());
        return draft.errors.push(PlanError::NetworkTaken { name, stack });
    }
    draft.unchanged += 1;
    let differing = differing(&wanted.body, live);
    if !differing.is_empty() {
        draft.notes.push(format!(
            "network {} has another {} than the recipe wants, and Swarm cannot change a network in place: \
             it stays as it is until the stack is removed and deployed again",
            wanted.name,
            differing.join(", ")
        ));
    }
}

/// What of a live network is not as wanted. The Engine's own additions (addresses, VXLAN ids, peers) do not count.
fn differing(wanted: &Value, live: &Network) -> Vec<&'static str> {
    let driver = wanted["Driver"].as_str().filter(|driver| !driver.is_empty()).unwrap_or("overlay");
    let flag = |body: &Value, key: &str| body[key].as_bool().unwrap_or(false);
    let mut found = Vec::new();
    if driver != live.driver {
        found.push("driver");
    }
    if options(&wanted["Options"]) != options(&live.body["Options"]) {
        found.push("driver options");
    }
    for (key, words) in [("Internal", "internal flag"), ("Attachable", "attachable flag")] {
        if flag(wanted, key) != flag(&live.body, key) {
            found.push(words);
        }
    }
    if subnets(wanted).iter().any(|subnet| !subnets(&live.body).contains(subnet)) {
        found.push("subnet");
    }
    found
}

fn options(options: &Value) -> Vec<(&String, &Value)> {
    let own = |(key, _): &(&String, &Value)| key.as_str() != "com.docker.network.driver.overlay.vxlanid_list";
    let mut options: Vec<_> = options.as_object().into_iter().flatten().filter(own).collect();
    options.sort_by_key(|(key, _)| *key);
    options
}

fn subnets(body: &Value) -> Vec<&str> {
    let configs = body.pointer("/IPAM/Config").and_then(Value::as_array).into_iter().flatten();
    configs.filter_map(|config| config["Subnet"].as_str()).collect()
}
