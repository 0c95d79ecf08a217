//! Labels on everything of a stack, and what of a stack is not its own.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Desired, NAMESPACE};
use crate::model::app::StackName;

/// Where a service's spec has its mounts.
const MOUNTS: &str = "/TaskTemplate/ContainerSpec/Mounts";

/// Puts these labels on every object that the stack makes: services with their containers and volumes, networks, secrets
/// and configs. What belongs to somebody else keeps its own.
pub fn mark(desired: &mut Desired, labels: &[(&str, String)]) {
    let put = |at: &mut Value| labels.iter().for_each(|(name, value)| at[*name] = value.as_str().into());
    for service in &mut desired.services {
        put(&mut service.spec["Labels"]);
        put(&mut service.spec["TaskTemplate"]["ContainerSpec"]["Labels"]);
        let mounts = service.spec.pointer_mut(MOUNTS).and_then(Value::as_array_mut).into_iter().flatten();
        mounts
            .filter(|mount| is_own_volume(mount, &desired.stack))
            .for_each(|mount| put(&mut mount["VolumeOptions"]["Labels"]));
    }
    desired.networks.iter_mut().for_each(|network| put(&mut network.body["Labels"]));
    desired.secrets.iter_mut().for_each(|secret| put(&mut secret.spec["Labels"]));
    desired.configs.iter_mut().for_each(|config| put(&mut config.spec["Labels"]));
}

/// Volumes and paths of the host that the stack can write to and that another one of the same recipe would have, too: they
/// are external, or have a name of their own. Paths are those of files and folders as far as the recipe tells.
pub fn shared_data(desired: &Desired) -> BTreeSet<String> {
    let mounts = desired.services.iter().filter_map(|service| service.spec.pointer(MOUNTS)?.as_array());
    let writable = mounts.flatten().filter(|mount| mount["ReadOnly"] != true);
    let is_shared = |mount: &&Value| match mount["Type"].as_str() {
        Some("volume") => !is_own_volume(mount, &desired.stack),
        Some("bind" | "") | None => true,
        Some(_) => false,
    };
    let sources = writable.filter(is_shared).filter_map(|mount| mount["Source"].as_str());
    sources.filter(|source| !source.is_empty()).map(str::to_owned).collect()
}

/// Made for this stack, under a name that begins with the stack's. One without any name goes with its container.
fn is_own_volume(mount: &Value, stack: &StackName) -> bool {
    let is_named_so = |name: &str| name.strip_prefix(stack.as_str()).is_some_and(|rest| rest.starts_with('_'));
    mount["Type"] == "volume"
        && mount["VolumeOptions"]["Labels"][NAMESPACE] == stack.as_str()
        && mount["Source"].as_str().is_some_and(is_named_so)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{DesiredConfig, DesiredNetwork, DesiredSecret, DesiredService, SecretSource};
    use super::*;

    fn volume(source: &str, owner: &str) -> Value {
        let labels = if owner.is_empty() { json!({}) } else { json!({"Labels": {NAMESPACE: owner}}) };
        json!({"Type": "volume", "Source": source, "Target": "/d", "VolumeOptions": labels})
    }

    fn desired(mounts: Value) -> Desired {
        let labels = || json!({NAMESPACE: "wiki"});
        let spec = json!({
            "Name": "wiki_app", "Labels": labels(),
            "TaskTemplate": {"ContainerSpec": {"Image": "a", "Mounts": mounts}},
        });
        let secret = DesiredSecret {
            key: "key".into(),
            name: "wiki_key_v1".into(),
            spec: json!({"Name": "wiki_key_v1", "Labels": labels()}),
            source: SecretSource::External,
            place: None,
            version_variable: None,
        };
        let config = json!({"Name": "wiki_run_v1", "Labels": labels()});
        let network = json!({"Name": "wiki_internal", "Labels": labels()});
        Desired {
            stack: "wiki".parse().unwrap(),
            networks: vec![DesiredNetwork { name: "wiki_internal".into(), body: network }],
            external_networks: vec!["proxy".into()],
            secrets: vec![secret],
            configs: vec![DesiredConfig { key: "run".into(), name: "wiki_run_v1".into(), spec: config, body: None }],
            services: vec![DesiredService { name: "wiki_app".into(), spec }],
        }
    }

    #[test]
    fn everything_that_a_stack_makes_is_marked() {
        let mut marked = desired(json!([volume("wiki_data", "wiki"), volume("media", "")]));
        mark(&mut marked, &[("evenkeel.run", "1".to_owned())]);
        let spec = &marked.services[0].spec;
        let all = [
            &spec["Labels"],
            &spec["TaskTemplate"]["ContainerSpec"]["Labels"],
            &spec["TaskTemplate"]["ContainerSpec"]["Mounts"][0]["VolumeOptions"]["Labels"],
            &marked.networks[0].body["Labels"],
            &marked.secrets[0].spec["Labels"],
            &marked.configs[0].spec["Labels"],
        ];
        all.iter().for_each(|labels| assert_eq!(labels["evenkeel.run"], "1"));
        assert_eq!(spec["Labels"][NAMESPACE], "wiki");
        assert_eq!(spec["TaskTemplate"]["ContainerSpec"]["Mounts"][1], volume("media", ""));
    }

    #[test]
    fn data_that_another_stack_of_the_recipe_would_have_too_is_told() {
        let bind = |source: &str, only_read: bool| json!({"Type": "bind", "Source": source, "ReadOnly": only_read});
        let mounts = json!([
            volume("wiki_data", "wiki"),
            volume("wiki-data", "wiki"),
            volume("media", ""),
            json!({"Type": "volume", "Target": "/anonymous"}),
            json!({"Type": "tmpfs", "Target": "/t"}),
            bind("/srv/data", false),
            bind("/etc/localtime", true),
        ]);
        let shared: Vec<String> = shared_data(&desired(mounts)).into_iter().collect();
        assert_eq!(shared, ["/srv/data", "media", "wiki-data"]);
    }
}
