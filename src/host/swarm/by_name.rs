//! From specs by name to specs by id. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::host::engine::EngineError;

/// Networks of every node, which the Engine knows by name alone.
const PREDEFINED: [&str; 3] = ["host", "bridge", "none"];

/// Name to id of what a spec may refer to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ids {
    pub networks: BTreeMap<String, String>,
    pub secrets: BTreeMap<String, String>,
    pub configs: BTreeMap<String, String>,
}

/// The spec with ids where it has names: network targets, and secret and config references by their
/// `SecretName`/`ConfigName`. A network that is given by its id already, or is predefined (`host`), stays as it is.
///
/// # Errors
/// `Missing` for the first name that stands for nothing.
pub fn with_ids(spec: &Value, ids: &Ids) -> Result<Value, EngineError> {
    let mut spec = spec.clone();
    for networks in network_lists(&mut spec) {
        for network in networks {
            put_network_id(network, &ids.networks)?;
        }
    }
    for secret in references(&mut spec, "Secrets") {
        put_id(secret, "secret", "SecretName", "SecretID", &ids.secrets)?;
    }
    for config in references(&mut spec, "Configs") {
        put_id(config, "config", "ConfigName", "ConfigID", &ids.configs)?;
    }
    Ok(spec)
}

/// The kinds of objects, of which ids are needed.
pub(super) struct Needs {
    /// By their names, or ids.
    pub networks: BTreeSet<String>,
    pub secrets: BTreeSet<String>,
    pub configs: BTreeSet<String>,
}

impl Needs {
    /// Networks that no list names: the predefined ones by their ids, as the Engine puts them into a spec.
    pub(super) fn networks_beside<'a>(&'a self, ids: &BTreeMap<String, String>) -> impl Iterator<Item = &'a String> {
        let listed: BTreeSet<&String> = ids.iter().flat_map(|(name, id)| [name, id]).collect();
        self.networks.iter().filter(move |name| !listed.contains(name) && !PREDEFINED.contains(&name.as_str()))
    }
}

pub(super) fn needs(spec: &Value) -> Needs {
    let container = &spec["TaskTemplate"]["ContainerSpec"];
    let names = |list: &str, name: &str| -> BTreeSet<String> {
        let references = container[list].as_array().into_iter().flatten();
        references.filter_map(|reference| reference[name].as_str().map(str::to_owned)).collect()
    };
    let networks = [&spec["TaskTemplate"]["Networks"], &spec["Networks"]].into_iter().filter_map(Value::as_array);
    Needs {
        networks: networks.flatten().filter_map(|network| network["Target"].as_str().map(str::to_owned)).collect(),
        secrets: names("Secrets", "SecretName"),
        configs: names("Configs", "ConfigName"),
    }
}

/// Networks stand in the task template, and on old specs beside it.
fn network_lists(spec: &mut Value) -> Vec<&mut Vec<Value>> {
    let Some(spec) = spec.as_object_mut() else { return Vec::new() };
    let mut lists = Vec::new();
    for (key, value) in spec {
        let list = match key.as_str() {
            "Networks" => value.as_array_mut(),
            "TaskTemplate" => value.get_mut("Networks").and_then(Value::as_array_mut),
            _ => None,
        };
        lists.extend(list);
    }
    lists
}

fn references<'spec>(spec: &'spec mut Value, list: &str) -> impl Iterator<Item = &'spec mut Value> {
    let list = spec.pointer_mut(&format!("/TaskTemplate/ContainerSpec/{list}")).and_then(Value::as_array_mut);
    list.into_iter().flatten()
}

fn put_network_id(network: &mut Value, ids: &BTreeMap<String, String>) -> Result<(), EngineError> {
    let Some(target) = network["Target"].as_str() else { return Ok(()) };
    if let Some(id) = ids.get(target) {
        network["Target"] = id.as_str().into();
        return Ok(());
    }
    if PREDEFINED.contains(&target) || ids.values().any(|id| id == target) {
        return Ok(());
    }
    Err(missing("network", target))
}

fn put_id(
    reference: &mut Value,
    what: &'static str,
    name: &str,
    id: &str,
    ids: &BTreeMap<String, String>,
) -> Result<(), EngineError> {
    let Some(name) = reference[name].as_str() else { return Ok(()) };
    let found = ids.get(name).ok_or_else(|| missing(what, name))?;
    reference[id] = found.as_str().into();
    Ok(())
}

fn missing(what: &'static str, name: &str) -> EngineError {
    EngineError::Missing { what, name: name.to_owned(), act: "put ids into a service's spec".into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn ids() -> Ids {
        let map = |name: &str, id: &str| BTreeMap::from([(name.to_owned(), id.to_owned())]);
        Ids { networks: map("proxy", "n1"), secrets: map("app_key_v1", "s1"), configs: map("app_conf_v1", "c1") }
    }

    fn spec() -> Value {
        json!({
            "Name": "app_web",
            "TaskTemplate": {
                "Networks": [{"Target": "proxy", "Aliases": ["web"]}, {"Target": "host"}],
                "ContainerSpec": {
                    "Image": "web:1",
                    "Secrets": [{"SecretName": "app_key_v1", "File": {"Name": "key", "Mode": 292}}],
                    "Configs": [{"ConfigName": "app_conf_v1", "ConfigID": "stale", "File": {"Name": "/conf"}}],
                },
            },
            "Networks": [{"Target": "n1"}],
        })
    }

    #[test]
    fn names_become_ids_and_all_else_stays() {
        let mut expected = spec();
        expected["TaskTemplate"]["Networks"][0]["Target"] = "n1".into();
        expected["TaskTemplate"]["ContainerSpec"]["Secrets"][0]["SecretID"] = "s1".into();
        expected["TaskTemplate"]["ContainerSpec"]["Configs"][0]["ConfigID"] = "c1".into();

        assert_eq!(with_ids(&spec(), &ids()), Ok(expected.clone()));
        assert_eq!(with_ids(&expected, &ids()), Ok(expected));
    }

    #[test]
    fn a_name_that_stands_for_nothing_is_told() {
        let without = |forget: fn(&mut Ids)| {
            let mut ids = ids();
            forget(&mut ids);
            with_ids(&spec(), &ids).unwrap_err().during("update service app_web").to_string()
        };
        let told = |what: &str| format!("cannot update service app_web: there is no {what} in the Swarm");

        assert_eq!(without(|ids| ids.networks.clear()), told(r#"network "proxy""#));
        assert_eq!(without(|ids| ids.secrets.clear()), told(r#"secret "app_key_v1""#));
        assert_eq!(without(|ids| ids.configs.clear()), told(r#"config "app_conf_v1""#));
    }

    #[test]
    fn specs_without_references_are_untouched() {
        for spec in [json!({}), json!({"TaskTemplate": {"Networks": null, "ContainerSpec": {"Secrets": []}}})] {
            assert_eq!(with_ids(&spec, &Ids::default()), Ok(spec));
        }
    }
}
