//! The Engine's JSON as the few fields that decisions need. Pure; what is unknown or absent never fails.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::{SERVICE_ID, TASK_ID};
use crate::model::observed::{
    Config, Container, Network, OtherNode, Secret, Service, Task, TaskState, UpdateState, UpdateStatus, Volume,
};

pub(super) fn service(body: &Value) -> Option<Service> {
    let spec = &body["Spec"];
    let ports = body["Endpoint"]["Spec"]["Ports"].as_array();
    Some(Service {
        id: text(&body["ID"])?,
        name: text(&spec["Name"])?,
        index: index(body),
        spec: spec.clone(),
        previous_spec: Some(&body["PreviousSpec"]).filter(|spec| !spec.is_null()).cloned(),
        update: update_status(&body["UpdateStatus"]),
        endpoint_ports: ports.cloned().unwrap_or_default(),
    })
}

/// Without a state there is no update (the Engine writes `{}` on some versions).
fn update_status(body: &Value) -> Option<UpdateStatus> {
    let state = match body["State"].as_str().filter(|state| !state.is_empty())? {
        "updating" => UpdateState::Updating,
        "paused" => UpdateState::Paused,
        "completed" => UpdateState::Completed,
        "rollback_started" => UpdateState::RollbackStarted,
        "rollback_paused" => UpdateState::RollbackPaused,
        "rollback_completed" => UpdateState::RollbackCompleted,
        other => UpdateState::Unknown(other.to_owned()),
    };
    Some(UpdateStatus { state, message: text(&body["Message"]).unwrap_or_default() })
}

/// `up_to_date` and `elsewhere` are for the caller to fill in: the Engine tells them by a filter, and by another list.
pub(super) fn task(body: &Value) -> Option<Task> {
    let status = &body["Status"];
    let container = &status["ContainerStatus"];
    Some(Task {
        id: text(&body["ID"])?,
        service: text(&body["ServiceID"])?,
        slot: body["Slot"].as_u64().unwrap_or_default(),
        node: text(&body["NodeID"]).unwrap_or_default(),
        created: text(&body["CreatedAt"]).map(|time| nanoseconds(&time)).unwrap_or_default(),
        desired: task_state(&body["DesiredState"]),
        state: task_state(&status["State"]),
        since: text(&status["Timestamp"]).and_then(|time| time.parse().ok()),
        message: text(&status["Message"]).unwrap_or_default(),
        error: text(&status["Err"]).unwrap_or_default(),
        exit_code: exit_code(task_state(&status["State"]), container),
        container: text(&container["ContainerID"]).filter(|id| !id.is_empty()),
        up_to_date: false,
        job_iteration: body["JobIteration"].as_object().map(|i| i.get("Index").and_then(Value::as_u64).unwrap_or(0)),
        elsewhere: None,
    })
}

/// With its id.
pub(super) fn node(body: &Value) -> Option<(String, OtherNode)> {
    let id = text(&body["ID"])?;
    let hostname = text(&body["Description"]["Hostname"]).unwrap_or_default();
    let is_down = body["Status"]["State"] == "down";
    Some((id.clone(), OtherNode { id, hostname, is_down, takes_tasks: body["Spec"]["Availability"] == "active" }))
}

/// The Engine gives 0 for a container that still runs; that is no exit.
fn exit_code(state: TaskState, container: &Value) -> Option<i64> {
    if state <= TaskState::Running {
        return None;
    }
    container["ExitCode"].as_i64()
}

/// The Engine leaves trailing zeros out of fractions; with nine digits text order is time order.
fn nanoseconds(time: &str) -> String {
    let bare = time.trim_end_matches('Z');
    let (seconds, fraction) = bare.split_once('.').unwrap_or((bare, ""));
    format!("{seconds}.{fraction:0<9}Z")
}

/// An unknown state is taken as the first one: whoever waits goes on waiting, to its deadline.
fn task_state(name: &Value) -> TaskState {
    match name.as_str().unwrap_or_default() {
        "allocated" => TaskState::Allocated,
        "pending" => TaskState::Pending,
        "assigned" => TaskState::Assigned,
        "accepted" => TaskState::Accepted,
        "preparing" => TaskState::Preparing,
        "ready" => TaskState::Ready,
        "starting" => TaskState::Starting,
        "running" => TaskState::Running,
        "complete" => TaskState::Complete,
        "shutdown" => TaskState::Shutdown,
        "failed" => TaskState::Failed,
        "rejected" => TaskState::Rejected,
        "remove" => TaskState::Remove,
        "orphaned" => TaskState::Orphaned,
        _ => TaskState::New,
    }
}

pub(super) fn container(body: &Value) -> Option<Container> {
    let mounts = body["Mounts"].as_array().map(Vec::as_slice).unwrap_or_default();
    let volumes = mounts.iter().filter(|mount| mount["Type"] == "volume").filter_map(|mount| text(&mount["Name"]));
    Some(Container {
        id: text(&body["Id"])?,
        service: text(&body["Labels"][SERVICE_ID]),
        task: text(&body["Labels"][TASK_ID]),
        state: text(&body["State"]).unwrap_or_default(),
        health: health(body),
        image_id: text(&body["ImageID"]).unwrap_or_default(),
        volumes: volumes.collect(),
        out_of_memory: false,
    })
}

/// Lists tell health in a field since API 1.52, and before only in the words of `Up 3 seconds (healthy)`.
fn health(body: &Value) -> Option<String> {
    if let Some(health) = text(&body["Health"]["Status"]) {
        return Some(health).filter(|health| health != "none");
    }
    let words = body["Status"].as_str()?;
    let in_words = [("(healthy)", "healthy"), ("(unhealthy)", "unhealthy"), ("(health: starting)", "starting")];
    in_words.iter().find(|(end, _)| words.ends_with(end)).map(|(_, health)| (*health).to_owned())
}

pub(super) fn network(body: &Value) -> Option<Network> {
    Some(Network {
        id: text(&body["Id"])?,
        name: text(&body["Name"])?,
        scope: text(&body["Scope"]).unwrap_or_default(),
        driver: text(&body["Driver"]).unwrap_or_default(),
        labels: texts(&body["Labels"]),
        body: body.clone(),
    })
}

pub(super) fn secret(body: &Value) -> Option<Secret> {
    let spec = &body["Spec"];
    Some(Secret {
        id: text(&body["ID"])?,
        name: text(&spec["Name"])?,
        index: index(body),
        labels: texts(&spec["Labels"]),
    })
}

pub(super) fn config(body: &Value) -> Option<Config> {
    let spec = &body["Spec"];
    Some(Config {
        id: text(&body["ID"])?,
        name: text(&spec["Name"])?,
        index: index(body),
        labels: texts(&spec["Labels"]),
        data: STANDARD.decode(spec["Data"].as_str().unwrap_or_default()).ok()?,
        templating: text(&spec["Templating"]["Name"]),
    })
}

pub(super) fn volume(body: &Value) -> Option<Volume> {
    Some(Volume {
        name: text(&body["Name"])?,
        driver: text(&body["Driver"]).unwrap_or_default(),
        mountpoint: text(&body["Mountpoint"]).unwrap_or_default().into(),
        labels: texts(&body["Labels"]),
        options: texts(&body["Options"]),
    })
}

pub(super) fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn index(body: &Value) -> u64 {
    body["Version"]["Index"].as_u64().unwrap_or_default()
}

fn texts(value: &Value) -> BTreeMap<String, String> {
    let entries = value.as_object().into_iter().flatten();
    entries.filter_map(|(key, value)| Some((key.clone(), text(value)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_running_container_has_no_exit_code() {
        let body = |state: &str| json!({"ID": "t", "ServiceID": "s", "Status": {"State": state, "ContainerStatus": {"ExitCode": 0}}});
        assert_eq!(task(&body("running")).unwrap().exit_code, None);
        assert_eq!(task(&body("complete")).unwrap().exit_code, Some(0));
    }

    #[test]
    fn only_a_node_of_which_nothing_is_heard_is_down() {
        let is_down = |state: &str| {
            let body = json!({"ID": "n1", "Description": {"Hostname": "one"}, "Status": {"State": state}});
            let (id, node) = node(&body).unwrap();
            assert_eq!((id.as_str(), node.to_string().as_str()), ("n1", "one"));
            node.is_down
        };
        assert_eq!(["ready", "down", "unknown", "disconnected"].map(is_down), [false, true, false, false]);
    }

    #[test]
    fn a_node_that_is_paused_or_drained_takes_no_tasks() {
        let takes_tasks = |availability: &str| {
            let body = json!({"ID": "n1", "Spec": {"Availability": availability}});
            node(&body).unwrap().1.takes_tasks
        };
        assert_eq!(["active", "pause", "drain"].map(takes_tasks), [true, false, false]);
    }

    #[test]
    fn times_order_as_text() {
        let created = |time: &str| task(&json!({"ID": "t", "ServiceID": "s", "CreatedAt": time})).unwrap().created;
        assert!(created("2026-11-21T10:39:32.34Z") < created("2026-11-21T10:39:32.341757935Z"));
        assert!(created("2026-11-21T10:39:32Z") < created("2026-11-21T10:39:32.1Z"));
    }

    #[test]
    fn states_of_a_newer_daemon_fail_nothing() {
        let body = json!({"ID": "t", "ServiceID": "s", "DesiredState": "hovering", "Status": {"State": "hovering"}});
        assert_eq!(task(&body).unwrap().state, TaskState::New);
        let status = update_status(&json!({"State": "pondering", "Message": "hm"})).unwrap();
        assert_eq!(status.state, UpdateState::Unknown("pondering".into()));
        assert_eq!(update_status(&json!({})), None);
    }

    #[test]
    fn health_is_read_from_the_field_or_from_the_words() {
        let table = [
            (json!({"Status": "Up 3 seconds (healthy)"}), Some("healthy")),
            (json!({"Status": "Up 3 seconds (unhealthy)"}), Some("unhealthy")),
            (json!({"Status": "Up 3 seconds (health: starting)"}), Some("starting")),
            (json!({"Status": "Up 3 seconds"}), None),
            (json!({"Status": "Exited (0) 3 seconds ago"}), None),
            (json!({"Status": "Up 3 seconds", "Health": {"Status": "unhealthy"}}), Some("unhealthy")),
            (json!({"Status": "Up 3 seconds", "Health": {"Status": "none"}}), None),
        ];
        for (body, expected) in table {
            assert_eq!(health(&body).as_deref(), expected, "{body}");
        }
    }

    #[test]
    fn a_job_without_an_index_is_in_its_first_iteration() {
        let iteration = |body: Value| task(&body).unwrap().job_iteration;
        assert_eq!(iteration(json!({"ID": "t", "ServiceID": "s"})), None);
        assert_eq!(iteration(json!({"ID": "t", "ServiceID": "s", "JobIteration": {}})), Some(0));
        assert_eq!(iteration(json!({"ID": "t", "ServiceID": "s", "JobIteration": {"Index": 7}})), Some(7));
    }
}
