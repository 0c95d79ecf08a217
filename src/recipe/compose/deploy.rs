//! The `deploy:` section of a service.

use crate::recipe::compose::model::{Deploy, Placed, Resource, RestartPolicy, UpdateConfig};
use crate::recipe::compose::take;
use crate::recipe::values;
use crate::recipe::yaml::Node;

pub fn read(node: &Node) -> Deploy {
    let placement = node.get("placement");
    let resources = node.get("resources");
    Deploy {
        mode: take::text(node, "mode"),
        replicas: take::count(node, "replicas"),
        endpoint_mode: take::text(node, "endpoint_mode"),
        labels: take::pairs(node, "labels"),
        update_config: node.get("update_config").map(update_config),
        rollback_config: node.get("rollback_config").map(update_config),
        restart_policy: node.get("restart_policy").map(restart_policy),
        limits: resources.and_then(|node| node.get("limits")).map(resource),
        reservations: resources.and_then(|node| node.get("reservations")).map(resource),
        constraints: placement.map(|node| take::texts(node, "constraints")).unwrap_or_default(),
        preferences: take::items(placement.and_then(|node| node.get("preferences")))
            .iter()
            .map(|node| take::text(node, "spread"))
            .collect(),
        max_replicas_per_node: placement
            .and_then(|node| take::count(node, "max_replicas_per_node"))
            .unwrap_or_default(),
    }
}

fn update_config(node: &Node) -> UpdateConfig {
    UpdateConfig {
        parallelism: take::count(node, "parallelism"),
        delay: take::nanos(node, "delay").unwrap_or_default(),
        failure_action: take::text(node, "failure_action"),
        monitor: take::nanos(node, "monitor").unwrap_or_default(),
        max_failure_ratio: take::ratio(node, "max_failure_ratio"),
        order: take::text(node, "order"),
    }
}

fn restart_policy(node: &Node) -> RestartPolicy {
    RestartPolicy {
        condition: take::text(node, "condition"),
        delay: take::nanos(node, "delay"),
        max_attempts: take::count(node, "max_attempts"),
        window: take::nanos(node, "window"),
    }
}

fn resource(node: &Node) -> Resource {
    let cpus = node.get("cpus").filter(|node| node.as_str().is_some_and(|text| !text.is_empty()));
    let memory = node.get("memory").and_then(|node| values::bytes(&take::scalar(node)).ok());
    Resource {
        cpus: cpus.map(|node| Placed { text: take::scalar(node), place: node.place.clone() }),
        memory_bytes: memory.unwrap_or_default(),
        pids: node.get("pids").and_then(take::integer).unwrap_or_default(),
        generic: take::items(node.get("generic_resources")).iter().map(generic).collect(),
    }
}

fn generic(node: &Node) -> Option<(String, i64)> {
    let discrete = node.get("discrete_resource_spec")?;
    Some((take::text(discrete, "kind"), discrete.get("value").and_then(take::integer).unwrap_or_default()))
}
