//! Worlds for tests: a stack as it is wanted, and an Engine that keeps what it was sent in its own words.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::NAMESPACE_LABEL;
use crate::desired::{Desired, DesiredConfig, DesiredNetwork, DesiredSecret, DesiredService, SecretSource};
use crate::model::observed::{Config, Network, Observed, Secret, Service, Task, TaskState, Volume};
use crate::model::state::ReleaseBody;
use crate::model::version::Revision;

pub(crate) const STACK: &str = "wiki";

pub(crate) fn desired() -> Desired {
    Desired {
        stack: STACK.parse().unwrap(),
        networks: vec![],
        external_networks: vec![],
        secrets: vec![],
        configs: vec![],
        services: vec![],
    }
}

/// A service spec as `docker stack deploy` would send it.
pub(crate) fn spec(service: &str, image: &str) -> Value {
    json!({
        "Name": format!("{STACK}_{service}"),
        "Labels": { NAMESPACE_LABEL: STACK, "com.docker.stack.image": image },
        "TaskTemplate": {
            "ContainerSpec": {
                "Image": image,
                "Labels": { NAMESPACE_LABEL: STACK },
                "Privileges": { "CredentialSpec": null, "SELinuxContext": null },
            },
            "Resources": {},
            "Placement": {},
            "Networks": [{ "Target": "wiki_default", "Aliases": [service] }],
            "ForceUpdate": 0,
        },
        "Mode": { "Replicated": { "Replicas": 1 } },
        "EndpointSpec": {},
    })
}

pub(crate) fn with(mut spec: Value, pointer: &str, value: Value) -> Value {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    spec.pointer_mut(parent).unwrap()[key] = value;
    spec
}

pub(crate) fn network_body(name: &str) -> Value {
    json!({ "Name": name, "Driver": "overlay", "CheckDuplicate": true, "Labels": { NAMESPACE_LABEL: STACK } })
}

impl Desired {
    pub(crate) fn service(mut self, spec: Value) -> Self {
        let name = spec["Name"].as_str().unwrap().to_owned();
        self.services.push(DesiredService { name, spec });
        self.with_default_network()
    }

    fn with_default_network(mut self) -> Self {
        let name = format!("{STACK}_default");
        if self.networks.iter().all(|network| network.name != name) {
            let body = network_body(&name);
            self.networks.push(DesiredNetwork { name, body });
        }
        self
    }

    pub(crate) fn secret(mut self, key: &str, source: SecretSource) -> Self {
        let name = format!("{STACK}_{key}_v1");
        let spec = json!({ "Name": name, "Labels": { NAMESPACE_LABEL: STACK } });
        let version_variable = None;
        self.secrets.push(DesiredSecret { key: key.into(), name, spec, source, place: None, version_variable });
        self
    }

    pub(crate) fn config(mut self, key: &str, body: &str) -> Self {
        let name = format!("{STACK}_{key}_v1");
        let spec = json!({ "Name": name, "Labels": { NAMESPACE_LABEL: STACK } });
        self.configs.push(DesiredConfig { key: key.into(), name, spec, body: Some(body.as_bytes().to_vec()) });
        self
    }
}

/// A release with these services.
pub(crate) fn release(desired: &Desired) -> ReleaseBody {
    ReleaseBody {
        revision: Revision { version: None, commit: "0".repeat(40).parse().unwrap() },
        networks: BTreeMap::new(),
        external_networks: vec![],
        secrets: BTreeMap::new(),
        configs: BTreeMap::new(),
        services: desired.services.iter().map(|service| (service.name.clone(), service.spec.clone())).collect(),
        images: BTreeMap::new(),
    }
}

/// The Engine after it took everything that is desired.
pub(crate) fn observed(desired: &Desired) -> Observed {
    let mut observed = Observed::default();
    for network in &desired.networks {
        observed.networks.insert(network.name.clone(), live_network(&network.name, Some(&network.body)));
    }
    for name in &desired.external_networks {
        observed.networks.insert(name.clone(), live_network(name, None));
    }
    for secret in &desired.secrets {
        observed.secrets.insert(secret.name.clone(), live_secret(&secret.name));
    }
    for config in &desired.configs {
        observed.configs.insert(config.name.clone(), live_config(&config.name, config.body.as_deref().unwrap_or(b"x")));
    }
    for service in &desired.services {
        let live = live_service(&service.spec, &observed);
        observed.services.insert(service.name.clone(), live);
    }
    observed
}

pub(crate) fn live_network(name: &str, body: Option<&Value>) -> Network {
    let owner = body.map(|_| (NAMESPACE_LABEL.to_owned(), STACK.to_owned()));
    let mut body = body.cloned().unwrap_or_else(|| json!({ "Name": name }));
    body["Options"]["com.docker.network.driver.overlay.vxlanid_list"] = json!("4097");
    body["IPAM"] = json!({ "Driver": "default", "Config": [{ "Subnet": "10.0.1.0/24", "Gateway": "10.0.1.1" }] });
    Network {
        id: format!("id-{name}"),
        name: name.to_owned(),
        scope: "swarm".into(),
        driver: "overlay".into(),
        labels: owner.into_iter().collect(),
        body,
    }
}

pub(crate) fn live_secret(name: &str) -> Secret {
    let labels = [(NAMESPACE_LABEL.to_owned(), STACK.to_owned())].into();
    Secret { id: format!("id-{name}"), name: name.to_owned(), index: 7, labels }
}

pub(crate) fn live_config(name: &str, body: &[u8]) -> Config {
    let labels = [(NAMESPACE_LABEL.to_owned(), STACK.to_owned())].into();
    Config { id: format!("id-{name}"), name: name.to_owned(), index: 7, labels, data: body.to_vec(), templating: None }
}

pub(crate) fn live_volume(name: &str) -> Volume {
    let labels = [(NAMESPACE_LABEL.to_owned(), STACK.to_owned())].into();
    let mountpoint = format!("/var/lib/docker/volumes/{name}/_data").into();
    Volume { name: name.to_owned(), driver: "local".into(), mountpoint, labels, options: BTreeMap::new() }
}

pub(crate) fn live_service(sent: &Value, observed: &Observed) -> Service {
    let name = sent["Name"].as_str().unwrap().to_owned();
    let spec = kept(sent, observed);
    let endpoint_ports = spec.pointer("/EndpointSpec/Ports").and_then(Value::as_array).cloned().unwrap_or_default();
    Service { id: format!("id-{name}"), name, index: 10, spec, previous_spec: None, update: None, endpoint_ports }
}

/// The spec in the words in which the Engine gives it back.
fn kept(sent: &Value, observed: &Observed) -> Value {
    let mut spec = sent.clone();
    let task = &mut spec["TaskTemplate"];
    task["Runtime"] = json!("container");
    for network in task["Networks"].as_array_mut().into_iter().flatten() {
        let known = network["Target"].as_str().and_then(|name| observed.networks.get(name));
        if let Some(known) = known {
            network["Target"] = json!(known.id);
        }
    }
    let container = &mut task["ContainerSpec"];
    container["Isolation"] = json!("default");
    for (list, id, name) in [("Secrets", "SecretID", "SecretName"), ("Configs", "ConfigID", "ConfigName")] {
        for reference in container[list].as_array_mut().into_iter().flatten() {
            reference[id] = json!(format!("id-{}", reference[name].as_str().unwrap()));
        }
    }
    for mount in container["Mounts"].as_array_mut().into_iter().flatten() {
        let mount = mount.as_object_mut().unwrap();
        mount.remove("Consistency");
        mount.entry("Type").or_insert(json!("bind"));
    }
    for port in spec["EndpointSpec"]["Ports"].as_array_mut().into_iter().flatten() {
        let port = port.as_object_mut().unwrap();
        port.entry("Protocol").or_insert(json!("tcp"));
        port.entry("PublishMode").or_insert(json!("ingress"));
    }
    spec["EndpointSpec"].as_object_mut().unwrap().entry("Mode").or_insert(json!("vip"));
    for config in ["UpdateConfig", "RollbackConfig"] {
        if let Some(Value::Object(config)) = spec.get_mut(config) {
            config.entry("FailureAction").or_insert(json!("pause"));
            config.entry("Order").or_insert(json!("stop-first"));
            config.entry("MaxFailureRatio").or_insert(json!(0));
        }
    }
    if let Some(Value::Object(policy)) = spec["TaskTemplate"].get_mut("RestartPolicy") {
        policy.entry("Condition").or_insert(json!("any"));
        policy.entry("MaxAttempts").or_insert(json!(0));
    }
    if let Some(Value::Object(replicated)) = spec["Mode"].get_mut("Replicated") {
        replicated.entry("Replicas").or_insert(json!(1));
    }
    drop_empty_lists(&mut spec);
    spec
}

fn drop_empty_lists(value: &mut Value) {
    if let Value::Object(map) = value {
        map.values_mut().for_each(drop_empty_lists);
        map.retain(|key, value| {
            let empty_map = value.as_object().is_some_and(serde_json::Map::is_empty);
            let user_map = matches!(key.as_str(), "Labels" | "Sysctls" | "Options");
            !(value.is_null() && key != "CredentialSpec" && key != "SELinuxContext"
                || value.as_array().is_some_and(Vec::is_empty)
                || empty_map && user_map)
        });
    }
}

/// A task of `wiki_<service>` that runs the present spec.
pub(crate) fn task(service: &str, slot: u64, number: u64, state: TaskState) -> Task {
    Task {
        id: format!("{service}-{slot}-{number}"),
        service: format!("id-{STACK}_{service}"),
        slot,
        node: "node-1".into(),
        created: format!("2026-01-01T00:00:{number:02}.000000000Z"),
        desired: if state <= TaskState::Running { TaskState::Running } else { TaskState::Shutdown },
        state,
        since: None,
        message: String::new(),
        error: String::new(),
        exit_code: None,
        container: None,
        up_to_date: true,
        job_iteration: None,
        elsewhere: None,
    }
}

/// A task whose process ended.
pub(crate) fn ended(service: &str, slot: u64, number: u64, exit_code: i64) -> Task {
    let state = if exit_code == 0 { TaskState::Complete } else { TaskState::Failed };
    let error = if exit_code == 0 { String::new() } else { format!("task: non-zero exit ({exit_code})") };
    Task { error, exit_code: Some(exit_code), ..task(service, slot, number, state) }
}
