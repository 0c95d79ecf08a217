//! Whether the services that keep data come up beside it again.
//!
//! Volumes are local to a node, and a stack that was stopped is scheduled anew: where the Swarm has other nodes, Swarm
//! may start a task there, on a new and empty volume of the same name.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::model::transaction::Volume;
use crate::plan;

/// This node, and how many it is one of.
#[derive(Debug, Clone, Copy)]
pub struct Here<'a> {
    pub id: &'a str,
    pub hostname: &'a str,
    pub nodes: u64,
    pub managers: u64,
}

/// Why a service with these volumes may come up on another node, if one may.
pub fn may_start_elsewhere(specs: &[&Value], volumes: &BTreeMap<String, Volume>, here: Here<'_>) -> Option<String> {
    let keeps_data = |spec: &&&Value| {
        let named = plan::volumes(std::iter::once(**spec));
        named.iter().any(|name| volumes.get(*name).is_some_and(|volume| !volume.left_out))
    };
    let mut free = specs.iter().filter(keeps_data).filter(|spec| !is_kept_here(spec, here));
    let service = (here.nodes > 1).then(|| free.next()).flatten()?["Name"].as_str().unwrap_or_default();
    Some(format!(
        "the Swarm has {} nodes, and nothing keeps service {service} on this one, where its volumes are: started again, it \
         may come up on another with empty ones: remove nodes that are gone (`docker node rm`), or place it here \
         (deploy.placement.constraints: node.hostname == {})",
        here.nodes, here.hostname
    ))
}

fn is_kept_here(spec: &Value, here: Here<'_>) -> bool {
    let constraints = spec.pointer("/TaskTemplate/Placement/Constraints").and_then(Value::as_array);
    let mut parts = constraints.into_iter().flatten().filter_map(|text| text.as_str()?.split_once("=="));
    parts.any(|(key, value)| match (key.trim().to_ascii_lowercase().as_str(), value.trim()) {
        ("node.id", id) => id == here.id,
        ("node.hostname", name) => name.eq_ignore_ascii_case(here.hostname),
        ("node.role", "manager") => here.managers == 1,
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(constraints: &[&str], nodes: u64, managers: u64, left_out: bool) -> Option<String> {
        let mounts = json!([{"Type": "volume", "Source": "wiki_data", "Target": "/data"}]);
        let db = json!({"Name": "wiki_db", "TaskTemplate": {
            "ContainerSpec": {"Mounts": mounts}, "Placement": {"Constraints": constraints},
        }});
        let web = json!({"Name": "wiki_web", "TaskTemplate": {"ContainerSpec": {}}});
        let volumes = BTreeMap::from([("wiki_data".to_owned(), Volume { mountpoint: None, left_out })]);
        may_start_elsewhere(&[&web, &db], &volumes, Here { id: "n1", hostname: "one", nodes, managers })
    }

    #[test]
    fn one_node_is_always_this_one() {
        assert_eq!(told(&[], 1, 1, false), None);
    }

    #[test]
    fn on_several_nodes_a_service_with_data_has_to_be_placed_on_this_one() {
        for kept in ["node.id == n1", "node.id==n1", "node.hostname == one", "Node.Hostname==one"] {
            assert_eq!(told(&["node.labels.ssd == yes", kept], 3, 3, false), None, "{kept}");
        }
        for free in ["node.id != n1", "node.id == n2", "node.hostname == two", "node.labels.ssd == yes"] {
            let told = told(&[free], 3, 1, false).unwrap_or_else(|| panic!("{free}"));
            assert!(
                told.starts_with("the Swarm has 3 nodes") && told.contains("service wiki_db on this one"),
                "{told}"
            );
        }
        assert!(told(&[], 2, 1, false).unwrap().ends_with("(deploy.placement.constraints: node.hostname == one)"));
        assert_eq!(told(&[], 2, 1, true), None, "nothing of it is stored");
    }

    #[test]
    fn the_one_manager_is_this_node() {
        assert_eq!(told(&["node.role == manager"], 3, 1, false), None);
        assert!(told(&["node.role == manager"], 3, 2, false).is_some());
        assert!(told(&["node.role == worker"], 3, 1, false).is_some());
    }
}
