//! Why a service is updated, in the operator's words.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// Parts of a spec that are told by name alone, in the order in which they are told.
const PARTS: [(&str, &str); 15] = [
    ("/TaskTemplate/ContainerSpec/Command", "entrypoint"),
    ("/TaskTemplate/ContainerSpec/Args", "command"),
    ("/TaskTemplate/ContainerSpec/Labels", "container labels"),
    ("/TaskTemplate/ContainerSpec/Mounts", "volumes"),
    ("/TaskTemplate/ContainerSpec/Healthcheck", "health check"),
    ("/TaskTemplate/Networks", "networks"),
    ("/TaskTemplate/Resources", "resources"),
    ("/TaskTemplate/RestartPolicy", "restart policy"),
    ("/TaskTemplate/LogDriver", "logging"),
    ("/TaskTemplate/Placement", "placement"),
    ("/EndpointSpec", "ports"),
    ("/UpdateConfig", "update settings"),
    ("/RollbackConfig", "rollback settings"),
    ("/TaskTemplate/ContainerSpec/Secrets", "how secrets are mounted"),
    ("/TaskTemplate/ContainerSpec/Configs", "how configs are mounted"),
];

/// `image a:1 -> a:2; environment A, B`
pub(super) fn of_update(live: &Value, wanted: &Value) -> String {
    let mut words = Vec::new();
    words.extend(step(live, wanted, "/TaskTemplate/ContainerSpec/Image", "image"));
    words.extend(replicas(live, wanted));
    words.extend(keys("environment", &environment(live), &environment(wanted)));
    words.extend(keys("labels", &labels(live), &labels(wanted)));
    words.extend(references(live, wanted, "Secrets", "SecretName", "secret"));
    words.extend(references(live, wanted, "Configs", "ConfigName", "config"));
    for (pointer, word) in PARTS {
        let told = words.iter().any(|told| word.starts_with("how ") && told.starts_with(&word[4..10]));
        if live.pointer(pointer) != wanted.pointer(pointer) && !told {
            words.push(word.to_owned());
        }
    }
    if words.is_empty() {
        words.push("other settings (see the diff)".to_owned());
    }
    words.join("; ")
}

fn step(live: &Value, wanted: &Value, pointer: &str, word: &str) -> Option<String> {
    let (from, to) = (live.pointer(pointer), wanted.pointer(pointer));
    let text =
        |value: Option<&Value>| value.map_or("none".to_owned(), |v| v.as_str().map_or(v.to_string(), str::to_owned));
    (from != to).then(|| format!("{word} {} -> {}", text(from), text(to)))
}

fn replicas(live: &Value, wanted: &Value) -> Option<String> {
    step(live, wanted, "/Mode/Replicated/Replicas", "replicas")
        .or_else(|| step(live, wanted, "/Mode/ReplicatedJob/TotalCompletions", "completions"))
}

fn environment(form: &Value) -> BTreeMap<&str, &str> {
    let list = form.pointer("/TaskTemplate/ContainerSpec/Env").and_then(Value::as_array).into_iter().flatten();
    list.filter_map(Value::as_str).map(|entry| entry.split_once('=').unwrap_or((entry, ""))).collect()
}

fn labels(form: &Value) -> BTreeMap<&str, &str> {
    let map = form["Labels"].as_object().into_iter().flatten();
    map.map(|(key, value)| (key.as_str(), value.as_str().unwrap_or_default())).collect()
}

/// Which keys differ; values stay untold, they may be secret.
fn keys(word: &str, live: &BTreeMap<&str, &str>, wanted: &BTreeMap<&str, &str>) -> Option<String> {
    let all: BTreeSet<&str> = live.keys().chain(wanted.keys()).copied().collect();
    let differing: Vec<&str> = all.into_iter().filter(|key| live.get(key) != wanted.get(key)).collect();
    match differing.len() {
        0 => None,
        1..=4 => Some(format!("{word} {}", differing.join(", "))),
        many => Some(format!("{word} {} and {} more", differing[..3].join(", "), many - 3)),
    }
}

/// `secret wiki_db_v2 instead of wiki_db_v1`
fn references(live: &Value, wanted: &Value, list: &str, name: &str, word: &str) -> Option<String> {
    let names = |form: &Value| -> BTreeSet<String> {
        let list = form["TaskTemplate"]["ContainerSpec"][list].as_array().cloned().unwrap_or_default();
        list.iter().filter_map(|reference| reference[name].as_str()).map(str::to_owned).collect()
    };
    let (before, after) = (names(live), names(wanted));
    let join = |names: BTreeSet<String>| names.into_iter().collect::<Vec<_>>().join(", ");
    let (gone, new) = (join(&before - &after), join(&after - &before));
    match (new.is_empty(), gone.is_empty()) {
        (true, true) => None,
        (false, true) => Some(format!("{word} {new}")),
        (true, false) => Some(format!("no more {word} {gone}")),
        (false, false) => Some(format!("{word} {new} instead of {gone}")),
    }
}
