//! One field after the other, sent to a real Engine and read back: equal meaning is no write, another meaning is one.
//!
//! The rows stand in `tests/fixtures/recorded/variants.json`: what is sent, how API 1.41 gave it back, other words for
//! the same, and other meanings. `EVENKEEL_RECORD=1` writes down anew how it was given back. No container ever runs here:
//! tasks that find no node are compared with their specs by Swarm all the same.

use std::collections::{BTreeMap, BTreeSet};

use evenkeel::config::Resolve;
use evenkeel::desired::{Desired, DesiredService};
use evenkeel::host::engine::Engine;
use evenkeel::host::swarm::Swarm;
use evenkeel::model::observed::{Observed, Service, TaskState};
use evenkeel::model::secret::SecretBytes;
use evenkeel::plan::canonical_form::{self, Names, mode_of};
use evenkeel::plan::{Act, Change, Context, Plan};
use serde_json::{Value, json};

use super::Stack;
use super::private::PrivateEngine;
use super::recorder::{Recorder, writes};

const ROWS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/recorded/variants.json");

fn rows() -> Vec<Value> {
    let rows: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(ROWS).unwrap()).unwrap();
    assert!(rows.len() >= 80, "{}", rows.len());
    rows
}

/// What of a row stands at its place, once.
#[derive(Clone, Copy)]
enum Words {
    Sent,
    Same(usize),
    Other(usize),
}

fn words(row: &Value, words: Words) -> Option<&Value> {
    match words {
        Words::Sent => Some(&row["sent"]),
        Words::Same(number) => row["same"].get(number),
        Words::Other(number) => row["other"].get(number),
    }
}

/// A service that finds no node, with one field of it as a row has it.
fn spec(stack: &Stack, number: usize, row: &Value, value: &Value) -> Value {
    let mut spec = json!({
        "Name": stack.named(&format!("row{number}")),
        "Labels": { "com.docker.stack.namespace": stack.name.as_str(), "com.docker.stack.image": "evenkeel-test/busybox:1" },
        "TaskTemplate": {
            "ContainerSpec": { "Image": "evenkeel-test/busybox:1", "Labels": stack.labels() },
            "Placement": { "Constraints": ["node.labels.nowhere==1"] },
        },
        "Mode": { "Replicated": { "Replicas": 1 } },
        "EndpointSpec": {},
    });
    let at = row["at"].as_str().unwrap();
    if at.ends_with("/Image") {
        spec["Labels"]["com.docker.stack.image"] = row["sent"].as_str().unwrap().split('@').next().into();
    }
    let (parent, key) = at.rsplit_once('/').unwrap();
    let parent = spec.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    match value {
        Value::Null => drop(parent.remove(key)),
        value => drop(parent.insert(key.to_owned(), value.clone())),
    }
    spec
}

/// A row, and its number.
type Row<'a> = (usize, &'a Value);

fn desired(stack: &Stack, rows: &[Row], of: impl Fn(Row) -> Words) -> Desired {
    let service = |&(number, row): &Row| {
        let value = words(row, of((number, row))).unwrap_or(&row["sent"]);
        DesiredService { name: stack.named(&format!("row{number}")), spec: spec(stack, number, row, value) }
    };
    Desired {
        stack: stack.name.clone(),
        networks: vec![],
        external_networks: ["net", "other"].map(|name| stack.named(name)).to_vec(),
        secrets: vec![],
        configs: vec![],
        services: rows.iter().map(service).collect(),
    }
}

fn plan(observed: &Observed, desired: &Desired) -> Plan {
    let version = |_: &[u8]| "c1234567".to_owned();
    Plan::new(observed, desired, &Context::new(&BTreeSet::new(), &version, Resolve::Changed)).unwrap()
}

fn changed(plan: &Plan, rows: &[Value]) -> Vec<String> {
    let number = |change: &Change| change.name.rsplit_once("row").unwrap().1.parse::<usize>().unwrap();
    let told = |change: &Change| {
        format!("{}: {}\n{}", rows[number(change)]["field"], change.reason, change.diff.as_deref().unwrap_or_default())
    };
    plan.changes.iter().map(told).collect()
}

/// What the rows refer to; without the stack's label, so that nothing of it counts as left over.
async fn referred(stack: &Stack) {
    for name in ["net", "other"] {
        let body = json!({ "Name": stack.named(name), "Driver": "overlay" });
        stack.swarm.create_network(&body).await.unwrap();
    }
    for name in ["secret", "secret2"] {
        let bytes = SecretBytes::new(b"hidden".to_vec());
        stack.swarm.create_secret(&json!({ "Name": stack.named(name) }), &bytes).await.unwrap();
    }
    for name in ["config", "config2"] {
        stack.swarm.create_config(&json!({ "Name": stack.named(name) }), b"body").await.unwrap();
    }
}

/// Every task is as far as it gets. Swarm compares it with its service's endpoint only from then on.
async fn until_pending(stack: &Stack) -> Observed {
    let waits = |spec: &Value| mode_of(spec) == "Replicated" && spec["Mode"]["Replicated"]["Replicas"] != 0;
    let pending = |observed: &Observed| {
        let live: Vec<_> = observed.tasks.iter().filter(|task| task.desired <= TaskState::Running).collect();
        let has_task = |id: &str| live.iter().any(|task| task.service == id);
        live.iter().all(|task| task.state == TaskState::Pending)
            && observed.services.values().filter(|service| waits(&service.spec)).all(|service| has_task(&service.id))
    };
    stack.until("every task waits for a node", pending).await
}

/// The value as it is read back, with a name in the place of each id.
fn by_names(value: &Value, names: &BTreeMap<&str, &str>) -> Value {
    match value {
        Value::String(text) if text.len() == 25 && text.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
            json!(format!("id of {}", names.get(text.as_str()).unwrap_or(&"host")))
        }
        Value::Array(list) => list.iter().map(|value| by_names(value, names)).collect(),
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), by_names(value, names))).collect(),
        _ => value.clone(),
    }
}

fn read_back(rows: &[Value], stack: &Stack, observed: &Observed) -> Vec<Value> {
    let networks = observed.networks.values().map(|one| (one.id.as_str(), one.name.as_str()));
    let secrets = observed.secrets.values().map(|one| (one.id.as_str(), one.name.as_str()));
    let configs = observed.configs.values().map(|one| (one.id.as_str(), one.name.as_str()));
    let names: BTreeMap<&str, &str> = networks.chain(secrets).chain(configs).collect();
    let read = |(number, row): (usize, &Value)| {
        let live = &observed.services[&stack.named(&format!("row{number}"))].spec;
        by_names(live.pointer(row["at"].as_str().unwrap()).unwrap_or(&Value::Null), &names)
    };
    rows.iter().enumerate().map(read).collect()
}

fn record(rows: &[Value], read: &[Value]) {
    let line = |(row, read): (&Value, &Value)| {
        let mut row = row.clone();
        row["read"] = read.clone();
        row.to_string()
    };
    let lines: Vec<String> = rows.iter().zip(read).map(line).collect();
    std::fs::write(ROWS, format!("[\n{}\n]\n", lines.join(",\n"))).unwrap();
}

#[tokio::test]
async fn each_field_is_written_once_when_it_means_something_else_and_never_when_not() {
    let stack = Stack::empty("canon").await;
    let rows = rows();
    let all: Vec<Row> = rows.iter().enumerate().collect();
    referred(&stack).await;
    for service in &desired(&stack, &all, |_| Words::Sent).services {
        stack.swarm.create_service(&service.spec).await.unwrap_or_else(|error| panic!("{error}\n{}", service.spec));
    }
    let mut observed = until_pending(&stack).await;

    let read = read_back(&rows, &stack, &observed);
    if std::env::var_os("EVENKEEL_RECORD").is_some() {
        record(&rows, &read);
    } else if stack.swarm.engine().api() == (1, 41) {
        for (row, read) in rows.iter().zip(&read) {
            assert_eq!(read, &row["read"], "{}", row["field"]);
        }
    }
    says_its_defaults(&stack, &observed).await;
    for number in 0..4 {
        let wanted = desired(&stack, &all, |_| Words::Same(number));
        let plan = plan(&observed, &wanted);
        assert_eq!(changed(&plan, &rows), Vec::<String>::new(), "other words for the same, {number}");
    }
    assert_eq!(changed(&plan(&observed, &desired(&stack, &all, |_| Words::Sent)), &rows), Vec::<String>::new());

    for (number, row) in &all {
        for other in 0..row["other"].as_array().map_or(0, Vec::len) {
            let only = |(this, _): Row| if this == *number { Words::Other(other) } else { Words::Sent };
            let plan = plan(&observed, &desired(&stack, &all, only));
            let updates = plan.changes.iter().filter(|change| matches!(change.act, Act::UpdateService { .. }));
            let names: Vec<&str> = updates.map(|change| change.name.as_str()).collect();
            assert_eq!(names, [stack.named(&format!("row{number}"))], "{} {other}", row["field"]);
        }
    }
    for round in 0..3 {
        written(&stack, &rows, &observed, &desired(&stack, &all, |_| Words::Other(round))).await;
        observed = until_pending(&stack).await;
    }
    goes_back_whole(&stack, &observed).await;
    stack.clear().await;
}

/// What the Engine says that it does by default is as good as unsaid.
async fn says_its_defaults(stack: &Stack, observed: &Observed) {
    let (names, engine) = (Names::of(observed), canonical_form::Engine { api: (1, 41), resolve: Resolve::Changed });
    for service in observed.services.values() {
        let path = format!("/services/{}", service.id);
        let filled = stack.swarm.engine().get(&path, &[("insertDefaults", "true")]).await.unwrap();
        let form = |spec| canonical_form::service(spec, &names, engine);
        assert_ne!(filled["Spec"], service.spec, "defaults are put in");
        assert_eq!(form(&filled["Spec"]), form(&service.spec), "{}", service.spec);
    }
}

/// What was read, written back as it was read, is the same again: nothing is lost on the way.
async fn goes_back_whole(stack: &Stack, observed: &Observed) {
    for service in observed.services.values() {
        let path = format!("/services/{}/update", service.id);
        let index = service.index.to_string();
        stack.swarm.engine().post(&path, &[("version", &index)], &service.spec).await.unwrap();
    }
    let again = stack.observe().await;
    for (name, service) in &again.services {
        assert_eq!(service.spec, observed.services[name].spec, "{name}");
        assert_eq!(service.previous_spec.as_ref(), Some(&service.spec), "{name}");
    }
}

/// Makes a plan's changes, one write each, and looks whether Swarm restarts what the plan says.
async fn written(stack: &Stack, rows: &[Value], before: &Observed, wanted: &Desired) {
    let plan = plan(before, wanted);
    let recorder = Recorder::in_front_of(PrivateEngine::shared().socket());
    let swarm = Swarm::new(Engine::connect(&recorder.endpoint()).await.unwrap());
    for change in &plan.changes {
        let Act::UpdateService { spec, .. } = &change.act else { panic!("{change:?}") };
        swarm.update_service(&change.name, spec).await.unwrap_or_else(|error| panic!("{error}\n{spec}"));
    }
    assert_eq!(writes(&recorder.take()).len(), plan.changes.len(), "one write for each object");

    let after = stack.observe().await;
    assert_eq!(changed(&self::plan(&after, wanted), rows), Vec::<String>::new(), "written, and still not as wanted");
    let wrong = plan.changes.iter().filter(|change| !restarts_as_told(change, before, &after));
    let wrong: Vec<String> = wrong.flat_map(|change| changed(&only(&plan, change), rows)).collect();
    assert_eq!(wrong, Vec::<String>::new(), "Swarm restarts other tasks than the plan says");
}

fn only(plan: &Plan, change: &Change) -> Plan {
    Plan { changes: vec![change.clone()], ..plan.clone() }
}

/// Swarm's own judgement on the tasks of before. Jobs run again anyway, fewer replicas take tasks away, and a task
/// without a node may not stay anywhere.
fn restarts_as_told(change: &Change, before: &Observed, after: &Observed) -> bool {
    let service = &after.services[&change.name];
    let replicas = |service: &Service| service.spec["Mode"]["Replicated"]["Replicas"].as_u64();
    let fewer = replicas(service) < replicas(&before.services[&change.name]);
    if mode_of(&service.spec) != "Replicated" || fewer || change.reason == "placement" {
        return true;
    }
    let mut live = before.tasks.iter().filter(|task| task.service == service.id && task.desired == TaskState::Running);
    let stays = |id: &str| after.tasks.iter().any(|task| task.id == id && task.up_to_date);
    live.all(|task| stays(&task.id) != change.restarts)
}
