//! One comparable value for a service spec, whether it was sent or read back.
//!
//! The Engine fills some defaults, drops some zeros, and puts ids where names were sent. Here the same is done to both
//! sides, so that equal values mean: an update would change nothing that matters. What Swarm says by a default of its own
//! (`?insertDefaults=true` tells them) is as good as unsaid. What it keeps as it was sent (order of environment, of
//! aliases, of constraints) stays significant. The surprise: the order of ports does not count here, although sending
//! another order restarts every task; whoever writes keeps the live order.

mod known;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::config::Resolve;
use crate::model::observed::Observed;

/// The label in which a stack keeps the image as the recipe wrote it.
pub const IMAGE_LABEL: &str = "com.docker.stack.image";

/// Names of the objects that live specs mention by id.
#[derive(Debug, Clone, Default)]
pub struct Names {
    networks: BTreeMap<String, String>,
    secrets: BTreeMap<String, String>,
    configs: BTreeMap<String, String>,
}

impl Names {
    pub fn of(observed: &Observed) -> Self {
        Self {
            networks: observed.networks.values().map(|n| (n.id.clone(), n.name.clone())).collect(),
            secrets: observed.secrets.values().map(|s| (s.id.clone(), s.name.clone())).collect(),
            configs: observed.configs.values().map(|c| (c.id.clone(), c.name.clone())).collect(),
        }
    }

    /// With the names of networks that the Engine has by itself, as one service uses them. Swarm gives those ids of its
    /// own that no list shows (`host` is listed under another): an unknown id stands for the one that is wanted.
    pub fn with_predefined(&self, live: &Value, wanted: &Value) -> Self {
        let own: Vec<&str> = targets(wanted).filter(|target| PREDEFINED.contains(target)).collect();
        let unknown: Vec<&str> = targets(live).filter(|target| !self.networks.contains_key(*target)).collect();
        let mut names = self.clone();
        if let ([own], [unknown]) = (own.as_slice(), unknown.as_slice()) {
            names.networks.insert(unknown.to_string(), own.to_string());
        }
        names
    }

    /// The network's name; what is no known id is a name already (or the id of a network that is gone).
    pub fn network<'a>(&'a self, target: &'a str) -> &'a str {
        self.networks.get(target).map_or(target, String::as_str)
    }
}

/// Networks that every Engine has, and that a service can join without anyone making them.
pub const PREDEFINED: [&str; 4] = ["host", "bridge", "none", "default"];

fn targets(spec: &Value) -> impl Iterator<Item = &str> {
    let networks = spec.pointer("/TaskTemplate/Networks").and_then(Value::as_array).into_iter().flatten();
    networks.filter_map(|network| network["Target"].as_str())
}

/// What decides about equality besides the two specs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Engine {
    /// The API version that is spoken; older ones drop newer fields without a word.
    pub api: (u32, u32),
    pub resolve: Resolve,
}

/// Fields that an Engine drops silently below an API version: where, what, since when.
const NEWER_FIELDS: [(&str, &str, (u32, u32)); 3] = [
    ("Healthcheck", "StartInterval", (1, 44)),
    ("Privileges", "NoNewPrivileges", (1, 44)),
    ("", "OomScoreAdj", (1, 46)),
];

/// Objects whose presence means something even when they are empty; any other empty object or list is as good as none.
///
/// Without `LogDriver` the Swarm's own default driver counts, with an empty one the Engine's.
const KEPT_EMPTY: [&str; 5] = ["LogDriver", "Replicated", "Global", "ReplicatedJob", "GlobalJob"];

/// What Swarm does where a spec says nothing, in nanoseconds.
const STOP_GRACE_PERIOD: u64 = 10_000_000_000;
const RESTART_DELAY: u64 = 5_000_000_000;
const UPDATE_MONITOR: u64 = 5_000_000_000;

/// The comparable form of a service spec. Applying it twice gives the same as once.
pub fn service(spec: &Value, names: &Names, engine: Engine) -> Value {
    let mut spec = spec.clone();
    let label = spec.pointer(&format!("/Labels/{IMAGE_LABEL}")).and_then(Value::as_str).map(str::to_owned);
    known::without_unknown(&mut spec);
    mode(&mut spec);
    within(&mut spec, "/EndpointSpec", endpoint);
    within(&mut spec, "", |spec| ["UpdateConfig", "RollbackConfig"].iter().for_each(|part| update_config(spec, part)));
    within(&mut spec, "/TaskTemplate", |task| task_template(task, names));
    within(&mut spec, "/TaskTemplate/ContainerSpec", |container| {
        container_spec(container, names, engine.api);
        image(container, label.as_deref(), engine.resolve);
    });
    prune(&mut spec);
    spec.sort_all_objects();
    spec
}

/// The spec with names where ids were, as a desired one has it; nothing else is touched.
pub fn by_names(spec: &Value, names: &Names) -> Value {
    let mut spec = spec.clone();
    within(&mut spec, "/TaskTemplate", |task| name_networks(task, names));
    within(&mut spec, "/TaskTemplate/ContainerSpec", |container| name_references(container, names));
    spec
}

/// Puts what this program does not know of the live spec into one that is to take its place.
pub fn keep_unknown(spec: &mut Value, live: &Value) {
    known::keep_unknown(spec, live);
}

/// `Replicated`, `Global`, `ReplicatedJob` or `GlobalJob`, of any spec.
pub fn mode_of(spec: &Value) -> &str {
    let mode = spec.get("Mode").and_then(Value::as_object);
    mode.and_then(|mode| mode.iter().find(|(_, value)| !value.is_null())).map_or("Replicated", |(kind, _)| kind)
}

/// The ports in the form in which sets of them can be compared.
pub fn ports(ports: &[Value]) -> Vec<Value> {
    let mut ports = ports_in_order(ports);
    ports.sort_by_key(Value::to_string);
    ports
}

/// The ports in the form in which they can be compared one by one.
pub fn ports_in_order(ports: &[Value]) -> Vec<Value> {
    let mut ports = ports.to_vec();
    for port in ports.iter_mut().filter_map(Value::as_object_mut) {
        drop_zeros(port, &["Protocol", "PublishMode", "PublishedPort", "Name"]);
        fill(port, "Protocol", json!("tcp"));
        fill(port, "PublishMode", json!("ingress"));
        port.sort_keys();
    }
    ports
}

fn mode(spec: &mut Value) {
    let Some(spec) = spec.as_object_mut() else { return };
    fill(spec, "Mode", json!({ "Replicated": {} }));
    let Some(mode) = spec.get_mut("Mode").and_then(Value::as_object_mut) else { return };
    mode.retain(|_, value| !value.is_null());
    if mode.is_empty() {
        mode.insert("Replicated".into(), json!({}));
    }
    if let Some(Value::Object(replicated)) = mode.get_mut("Replicated") {
        fill(replicated, "Replicas", json!(1));
    }
    if let Some(Value::Object(job)) = mode.get_mut("ReplicatedJob") {
        fill(job, "MaxConcurrent", json!(1));
        let concurrent = job["MaxConcurrent"].clone();
        fill(job, "TotalCompletions", concurrent);
    }
}

fn endpoint(endpoint: &mut Map<String, Value>) {
    drop_zeros(endpoint, &["Mode"]);
    drop_default(endpoint, "Mode", &json!("vip"));
    if let Some(Value::Array(list)) = endpoint.get_mut("Ports") {
        *list = ports(list);
    }
}

fn update_config(spec: &mut Map<String, Value>, part: &str) {
    let Some(Value::Object(config)) = spec.get_mut(part) else { return };
    drop_zeros(config, &["Delay", "Monitor", "FailureAction", "Order"]);
    fill(config, "FailureAction", json!("pause"));
    fill(config, "Monitor", json!(UPDATE_MONITOR));
    fill(config, "Order", json!("stop-first"));
    fill(config, "Parallelism", json!(0));
    // Swarm keeps the ratio as a float of 32 bits.
    let ratio = config.get("MaxFailureRatio").and_then(Value::as_f64).unwrap_or(0.0) as f32;
    config.insert("MaxFailureRatio".into(), json!(f64::from(ratio)));
    let unsaid = json!({
        "FailureAction": "pause", "Monitor": UPDATE_MONITOR, "Order": "stop-first", "Parallelism": 1,
        "MaxFailureRatio": 0.0,
    });
    drop_default(spec, part, &unsaid);
}

fn restart_policy(task: &mut Map<String, Value>) {
    let Some(Value::Object(policy)) = task.get_mut("RestartPolicy") else { return };
    drop_zeros(policy, &["Condition", "Window"]);
    fill(policy, "Condition", json!("any"));
    fill(policy, "Delay", json!(RESTART_DELAY));
    fill(policy, "MaxAttempts", json!(0));
    drop_default(task, "RestartPolicy", &json!({ "Condition": "any", "Delay": RESTART_DELAY, "MaxAttempts": 0 }));
}

fn task_template(task: &mut Map<String, Value>, names: &Names) {
    if task.get("Runtime").is_some_and(|runtime| runtime == "container" || runtime == "") {
        task.remove("Runtime");
    }
    // A counter of `docker service update --force`; an update hands on what is there.
    task.remove("ForceUpdate");
    restart_policy(task);
    if let Some(Value::Object(driver)) = task.get_mut("LogDriver") {
        drop_zeros(driver, &["Name"]);
    }
    for part in ["Limits", "Reservations"] {
        if let Some(Value::Object(amounts)) = task.get_mut("Resources").and_then(|r| r.get_mut(part)) {
            drop_zeros(amounts, &["NanoCPUs", "MemoryBytes", "Pids"]);
        }
    }
    if let Some(Value::Object(placement)) = task.get_mut("Placement") {
        // Comes and goes with the way in which a digest was looked up.
        placement.remove("Platforms");
        drop_zeros(placement, &["MaxReplicas"]);
    }
    name_networks(task, names);
    if let Some(Value::Array(networks)) = task.get_mut("Networks") {
        networks.sort_by_key(|network| network["Target"].to_string());
    }
}

fn container_spec(container: &mut Map<String, Value>, names: &Names, api: (u32, u32)) {
    for (parent, field, since) in NEWER_FIELDS {
        let parent = if parent.is_empty() {
            Some(&mut *container)
        } else {
            container.get_mut(parent).and_then(Value::as_object_mut)
        };
        if let Some(parent) = parent.filter(|_| api < since) {
            parent.remove(field);
        }
    }
    drop_zeros(
        container,
        &["Hostname", "User", "Dir", "StopSignal", "TTY", "OpenStdin", "ReadOnly", "Isolation", "OomScoreAdj"],
    );
    drop_default(container, "Isolation", &json!("default"));
    drop_default(container, "StopGracePeriod", &json!(STOP_GRACE_PERIOD));
    if let Some(Value::Object(check)) = container.get_mut("Healthcheck") {
        drop_zeros(check, &["Interval", "Timeout", "StartPeriod", "StartInterval", "Retries"]);
    }
    if let Some(Value::Object(privileges)) = container.get_mut("Privileges") {
        drop_zeros(privileges, &["NoNewPrivileges"]);
        for part in privileges.values_mut().filter_map(Value::as_object_mut) {
            part.retain(|_, value| !is_zero(value));
        }
    }
    for mount in container.get_mut("Mounts").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(mount) = mount.as_object_mut() {
            self::mount(mount, api);
        }
    }
    name_references(container, names);
    for (list, name) in [("Secrets", "SecretName"), ("Configs", "ConfigName")] {
        if let Some(Value::Array(references)) = container.get_mut(list) {
            references.sort_by_key(|reference| (reference[name].to_string(), reference["File"]["Name"].to_string()));
        }
    }
}

fn mount(mount: &mut Map<String, Value>, api: (u32, u32)) {
    drop_zeros(mount, &["Type", "ReadOnly", "Source"]);
    fill(mount, "Type", json!("bind"));
    mount.remove("Consistency");
    if let Some(Value::Object(tmpfs)) = mount.get_mut("TmpfsOptions") {
        drop_zeros(tmpfs, &["SizeBytes", "Mode"]);
    }
    if let Some(Value::Object(volume)) = mount.get_mut("VolumeOptions") {
        drop_zeros(volume, &["NoCopy", "Subpath"]);
        if api < (1, 45) {
            volume.remove("Subpath");
        }
    }
    if let Some(Value::Object(bind)) = mount.get_mut("BindOptions") {
        bind.retain(|_, value| !is_zero(value));
        drop_default(bind, "Propagation", &json!("rprivate"));
    }
}

/// A tag and the same tag with a digest are one image as long as the recipe's own words for it are the same, unless the
/// operator wants every tag looked up each time. The one place that knows which references name the same image.
fn image(container: &mut Map<String, Value>, label: Option<&str>, resolve: Resolve) {
    let Some(Value::String(image)) = container.get_mut("Image") else { return };
    let digest_is_ours = label.is_some_and(|label| !label.contains('@'));
    if digest_is_ours && resolve != Resolve::Always {
        *image = without_digest(image).to_owned();
    }
    *image = familiar(image);
}

/// `name:tag` of `name:tag@sha256:…`.
pub fn without_digest(image: &str) -> &str {
    image.split_once('@').map_or(image, |(name, _)| name)
}

/// As the Docker CLI writes it: no default registry, and a tag.
fn familiar(image: &str) -> String {
    let short = image.strip_prefix("docker.io/").unwrap_or(image);
    let short = short.strip_prefix("library/").filter(|rest| !rest.contains('/')).unwrap_or(short);
    let last = short.rsplit('/').next().unwrap_or(short);
    if last.contains(':') || last.contains('@') { short.to_owned() } else { format!("{short}:latest") }
}

fn name_networks(task: &mut Map<String, Value>, names: &Names) {
    for network in task.get_mut("Networks").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(Value::String(target)) = network.get_mut("Target") {
            *target = names.network(target).to_owned();
        }
    }
}

fn name_references(container: &mut Map<String, Value>, names: &Names) {
    for (list, id, name, known) in
        [("Secrets", "SecretID", "SecretName", &names.secrets), ("Configs", "ConfigID", "ConfigName", &names.configs)]
    {
        for reference in container.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(reference) = reference.as_object_mut() {
                name_reference(reference, id, name, known);
            }
        }
    }
}

/// An id that nobody has any more makes a name that nobody wants: the service is to be moved to the present object.
fn name_reference(reference: &mut Map<String, Value>, id: &str, name: &str, known: &BTreeMap<String, String>) {
    let Some(Value::String(id)) = reference.remove(id) else { return };
    if id.is_empty() {
        return;
    }
    let told = reference.get(name).and_then(Value::as_str).unwrap_or_default();
    let real = known.get(&id).cloned().unwrap_or_else(|| format!("{told} ({id}, gone)"));
    reference.insert(name.into(), Value::String(real));
}

fn within(spec: &mut Value, pointer: &str, change: impl FnOnce(&mut Map<String, Value>)) {
    if let Some(Value::Object(part)) = spec.pointer_mut(pointer) {
        change(part);
    }
}

fn fill(map: &mut Map<String, Value>, key: &str, default: Value) {
    if map.get(key).is_none_or(Value::is_null) {
        map.insert(key.into(), default);
    }
}

/// What says no more than saying nothing does.
fn drop_default(map: &mut Map<String, Value>, key: &str, default: &Value) {
    if map.get(key) == Some(default) {
        map.remove(key);
    }
}

fn drop_zeros(map: &mut Map<String, Value>, keys: &[&str]) {
    map.retain(|key, value| !(keys.contains(&key.as_str()) && is_zero(value)));
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(set) => !set,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
    }
}

/// Drops what says nothing: nulls, empty lists, empty objects. Empty strings stay: a label with an empty value counts.
fn prune(value: &mut Value) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(prune),
        Value::Object(map) => {
            map.values_mut().for_each(prune);
            map.retain(|key, value| match value {
                Value::Null => false,
                Value::Array(list) => !list.is_empty(),
                Value::Object(inner) => !inner.is_empty() || KEPT_EMPTY.contains(&key.as_str()),
                _ => true,
            });
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests;
