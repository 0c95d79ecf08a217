//! Networks: own ones are made if missing, and so is the one that all apps share; those of other owners have to be there.
//!
//! The surprise: the shared one belongs to no stack, and still is a part of each plan that needs it. Nothing keeps
//! `docker network prune` from taking it while no service names it, and the next run of any app brings it back.

use serde_json::{Value, json};

use super::canonical_form::PREDEFINED;
use super::{Act, Context, Draft, NAMESPACE_LABEL, Object, PlanError};
use crate::config::SharedNetwork;
use crate::desired::{Desired, DesiredNetwork};
use crate::model::app::StackName;
use crate::model::observed::{Network, Observed};

/// The body by which the network that all apps share is made.
pub fn shared_network(network: &SharedNetwork) -> Value {
    json!({
        "Name": network.name, "Driver": "overlay", "Scope": "swarm", "Attachable": true, "CheckDuplicate": true,
        "IPAM": {"Driver": "default", "Config": [{"Subnet": network.subnet.to_string()}]}, "Labels": {},
    })
}

/// What is to be known of a shared network that is there and is not as declared. It is left alone: services use it.
pub fn unlike_declared(declared: &SharedNetwork, live: &Network) -> Option<String> {
    let wanted = declared.subnet.to_string();
    let there = subnets(&live.body);
    if there.is_empty() || there.contains(&wanted.as_str()) {
        return None;
    }
    Some(format!(
        "network {} exists with {} and is used as it is; {wanted} is declared (a network's subnet cannot be changed while \
         services use it)",
        live.name,
        there.join(", ")
    ))
}

pub(super) fn plan(observed: &Observed, desired: &Desired, context: &Context, draft: &mut Draft) {
    for name in &desired.external_networks {
        match context.shared.filter(|shared| shared.name == *name) {
            Some(shared) => common(observed, shared, draft),
            None => external(observed, name, draft),
        }
    }
    for network in &desired.networks {
        own(observed, network, &desired.stack, draft);
    }
}

/// The shared network.
fn common(observed: &Observed, shared: &SharedNetwork, draft: &mut Draft) {
    let Some(live) = observed.networks.get(&shared.name) else {
        let act = Act::CreateNetwork { body: shared_network(shared) };
        return draft.change(Object::Network, &shared.name, act, "the one that all apps share is not there");
    };
    external(observed, &shared.name, draft);
    draft.notes.extend(unlike_declared(shared, live));
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::config::Resolve;
    use crate::plan::world::{desired, live_network, observed};
    use crate::plan::{Plan, PlanError};

    fn planned(observed: &Observed, shared: &SharedNetwork) -> Result<Plan, Vec<PlanError>> {
        let mut wanted = desired();
        wanted.external_networks = vec!["proxy".into()];
        let kept = BTreeSet::new();
        let version = |_: &[u8]| String::new();
        let context = Context { shared: Some(shared), ..Context::new(&kept, &version, Resolve::Changed) };
        Plan::new(observed, &wanted, &context)
    }

    fn there(subnet: &str) -> Observed {
        let body = json!({"Name": "proxy", "IPAM": {"Config": [{"Subnet": subnet}]}});
        let network = Network { body, ..live_network("proxy", None) };
        Observed { networks: [("proxy".to_owned(), network)].into(), ..observed(&desired()) }
    }

    #[test]
    fn the_shared_network_is_made_again_where_it_is_missing_and_no_other() {
        let plan = planned(&Observed::default(), &SharedNetwork::default()).unwrap();
        let [change] = &plan.changes[..] else { panic!("{plan}") };
        let Act::CreateNetwork { body } = &change.act else { panic!("{plan}") };
        assert_eq!((change.name.as_str(), &body["Name"]), ("proxy", &json!("proxy")));
        assert_eq!(body["IPAM"]["Config"][0]["Subnet"], "10.200.0.0/16");

        let other = SharedNetwork { name: "edge".into(), ..SharedNetwork::default() };
        let told = planned(&Observed::default(), &other).unwrap_err();
        assert_eq!(told, [PlanError::ExternalNetworkMissing { name: "proxy".into() }]);
    }

    #[test]
    fn a_shared_network_that_is_there_is_left_alone_and_told_where_it_is_another_one() {
        let shared = SharedNetwork::default();
        let plan = planned(&there("10.200.0.0/16"), &shared).unwrap();
        assert!(plan.is_empty() && plan.notes.is_empty(), "{plan}");
        let plan = planned(&there("10.9.0.0/24"), &shared).unwrap();
        assert!(plan.is_empty(), "{plan}");
        let [note] = &plan.notes[..] else { panic!("{plan}") };
        assert!(note.contains("exists with 10.9.0.0/24 and is used as it is; 10.200.0.0/16 is declared"), "{note}");

        let mut local = there("10.200.0.0/16");
        local.networks.get_mut("proxy").unwrap().scope = "local".into();
        let told = planned(&local, &shared).unwrap_err();
        assert_eq!(told, [PlanError::NetworkNotInSwarm { name: "proxy".into(), scope: "local".into() }]);
    }
}
