//! Which fields of a service spec are known here, up to Engine API 1.51.
//!
//! A newer Engine may give back fields that nobody here can want or not want. They make no difference, and an update
//! hands them on. The surprise: inside lists they follow an entry only as long as all that is known of it stays.

use serde_json::{Map, Value};

/// Objects by the key under which they stand (the spec itself under none), and their fields. An object of another key
/// is a map of the user's, or nothing that is looked into: all of it is known.
const OBJECTS: [(&str, &[&str]); 30] = [
    ("", &["Name", "Labels", "TaskTemplate", "Mode", "UpdateConfig", "RollbackConfig", "Networks", "EndpointSpec"]),
    ("Mode", &["Replicated", "Global", "ReplicatedJob", "GlobalJob"]),
    ("Replicated", &["Replicas"]),
    ("ReplicatedJob", &["MaxConcurrent", "TotalCompletions"]),
    ("UpdateConfig", UPDATE),
    ("RollbackConfig", UPDATE),
    ("EndpointSpec", &["Mode", "Ports"]),
    ("Ports", &["Name", "Protocol", "TargetPort", "PublishedPort", "PublishMode"]),
    ("TaskTemplate", TASK),
    ("Networks", &["Target", "Aliases", "DriverOpts"]),
    ("RestartPolicy", &["Condition", "Delay", "MaxAttempts", "Window"]),
    ("Placement", &["Constraints", "Preferences", "MaxReplicas", "Platforms"]),
    ("Resources", &["Limits", "Reservations"]),
    ("Limits", &["NanoCPUs", "MemoryBytes", "Pids"]),
    ("Reservations", &["NanoCPUs", "MemoryBytes", "GenericResources"]),
    ("LogDriver", &["Name", "Options"]),
    ("ContainerSpec", CONTAINER),
    ("Privileges", &["CredentialSpec", "SELinuxContext", "Seccomp", "AppArmor", "NoNewPrivileges"]),
    ("CredentialSpec", &["Config", "File", "Registry"]),
    ("SELinuxContext", &["Disable", "User", "Role", "Type", "Level"]),
    ("Healthcheck", &["Test", "Interval", "Timeout", "Retries", "StartPeriod", "StartInterval"]),
    ("DNSConfig", &["Nameservers", "Search", "Options"]),
    ("Secrets", &["SecretID", "SecretName", "File"]),
    ("Configs", &["ConfigID", "ConfigName", "File", "Runtime"]),
    ("Ulimits", &["Name", "Soft", "Hard"]),
    ("Mounts", MOUNT),
    ("BindOptions", BIND),
    ("VolumeOptions", &["NoCopy", "Labels", "Subpath", "DriverConfig"]),
    ("DriverConfig", &["Name", "Options"]),
    ("TmpfsOptions", &["SizeBytes", "Mode", "Options"]),
];

const UPDATE: &[&str] = &["Parallelism", "Delay", "FailureAction", "Monitor", "MaxFailureRatio", "Order"];

const TASK: &[&str] = &[
    "ContainerSpec",
    "PluginSpec",
    "NetworkAttachmentSpec",
    "Resources",
    "RestartPolicy",
    "Placement",
    "Networks",
    "LogDriver",
    "ForceUpdate",
    "Runtime",
];

#[rustfmt::skip]
const CONTAINER: &[&str] = &[
    "Image", "Labels", "Command", "Args", "Hostname", "Env", "Dir", "User", "Groups", "Privileges", "Init", "StopSignal",
    "TTY", "OpenStdin", "ReadOnly", "Mounts", "StopGracePeriod", "Healthcheck", "Hosts", "DNSConfig", "Secrets",
    "Configs", "Isolation", "Sysctls", "CapabilityAdd", "CapabilityDrop", "Ulimits", "OomScoreAdj",
];

#[rustfmt::skip]
const MOUNT: &[&str] = &[
    "Type", "Source", "Target", "ReadOnly", "Consistency", "BindOptions", "VolumeOptions", "ImageOptions",
    "TmpfsOptions", "ClusterOptions",
];

const BIND: &[&str] =
    &["Propagation", "NonRecursive", "CreateMountpoint", "ReadOnlyNonRecursive", "ReadOnlyForceRecursive"];

fn fields(object: &str) -> Option<&'static [&'static str]> {
    OBJECTS.iter().find(|(name, _)| *name == object).map(|(_, fields)| *fields)
}

/// Takes everything unknown out of a spec.
pub fn without_unknown(spec: &mut Value) {
    forget("", spec);
}

fn forget(object: &str, value: &mut Value) {
    let Some(known) = fields(object) else { return };
    match value {
        Value::Array(list) => list.iter_mut().for_each(|entry| forget(object, entry)),
        Value::Object(map) => {
            map.retain(|key, _| known.contains(&key.as_str()));
            map.iter_mut().for_each(|(key, value)| forget(key, value));
        }
        _ => {}
    }
}

/// Puts the unknown fields of `live` into a spec that is to take its place.
pub fn keep_unknown(spec: &mut Value, live: &Value) {
    keep("", spec, live);
}

fn keep(object: &str, value: &mut Value, live: &Value) {
    match (value, live) {
        (Value::Object(map), Value::Object(live)) => keep_in_object(object, map, live),
        (Value::Array(list), Value::Array(live)) => {
            for entry in list {
                let same = live.iter().find(|live| is_same_but_for_unknown(object, entry, live));
                same.into_iter().for_each(|live| keep(object, entry, live));
            }
        }
        _ => {}
    }
}

fn keep_in_object(object: &str, map: &mut Map<String, Value>, live: &Map<String, Value>) {
    let Some(known) = fields(object) else { return };
    for (key, live) in live {
        if !known.contains(&key.as_str()) {
            map.entry(key.clone()).or_insert_with(|| live.clone());
        } else if let Some(value) = map.get_mut(key) {
            keep(key, value, live);
        }
    }
}

fn is_same_but_for_unknown(object: &str, entry: &Value, live: &Value) -> bool {
    let mut live = live.clone();
    forget(object, &mut live);
    *entry == live
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn live() -> Value {
        json!({
            "Name": "a", "Future": { "x": 1 },
            "Labels": { "Whatever": "1" },
            "TaskTemplate": { "ContainerSpec": {
                "Image": "a:1", "Tomorrow": [1],
                "Healthcheck": { "Test": ["CMD", "x"], "Soon": 3 },
                "Mounts": [{ "Type": "volume", "Target": "/a", "New": 1 }, { "Type": "volume", "Target": "/b", "New": 2 }],
            } },
        })
    }

    #[test]
    fn what_is_unknown_is_told_apart_from_what_users_name() {
        let mut spec = live();
        without_unknown(&mut spec);
        let expected = json!({
            "Name": "a",
            "Labels": { "Whatever": "1" },
            "TaskTemplate": { "ContainerSpec": {
                "Image": "a:1",
                "Healthcheck": { "Test": ["CMD", "x"] },
                "Mounts": [{ "Type": "volume", "Target": "/a" }, { "Type": "volume", "Target": "/b" }],
            } },
        });
        assert_eq!(spec, expected);
    }

    #[test]
    fn what_is_unknown_is_handed_on_and_nothing_else() {
        let mut spec = json!({
            "Name": "a",
            "Labels": {},
            "TaskTemplate": { "ContainerSpec": {
                "Image": "a:2",
                "Healthcheck": { "Test": ["CMD", "y"] },
                "Mounts": [{ "Type": "volume", "Target": "/b" }, { "Type": "volume", "Target": "/c" }],
            } },
        });
        keep_unknown(&mut spec, &live());
        let expected = json!({
            "Name": "a", "Future": { "x": 1 },
            "Labels": {},
            "TaskTemplate": { "ContainerSpec": {
                "Image": "a:2", "Tomorrow": [1],
                "Healthcheck": { "Test": ["CMD", "y"], "Soon": 3 },
                "Mounts": [{ "Type": "volume", "Target": "/b", "New": 2 }, { "Type": "volume", "Target": "/c" }],
            } },
        });
        assert_eq!(spec, expected);
    }
}
