//! Tasks of a service: which count, and what they say.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::expected::{Expected, Mode, Restart};
use crate::model::observed::{Container, Observed, Service, Task, TaskState};

/// Who has run for so long after a failure is no longer taken for one between two ends.
const PROVEN: Duration = Duration::from_secs(60);

/// All tasks of a service.
pub(super) fn of<'a>(service: &'a Service, observed: &'a Observed) -> impl Iterator<Item = &'a Task> {
    observed.tasks.iter().filter(|task| task.service == service.id)
}

/// The task of each slot (of each node, for global services) that runs the present spec; of a job, in its present run.
/// Of several the newest that is wanted, and where none is, the newest. Not what is on a node that is down.
///
/// Swarm may take back what it has just made: a rollback while a task of the failed spec is replaced makes one of the
/// restored spec beside the old task that it then goes on with (seen on 20.10, where the update was start-first).
pub(super) fn current<'a>(expected: &Expected, service: &'a Service, observed: &'a Observed) -> Vec<&'a Task> {
    let by_node = matches!(expected.mode, Mode::Global | Mode::GlobalJob);
    let run = of(service, observed).filter_map(|task| task.job_iteration).max().unwrap_or_default();
    let rank = |task: &'a Task| (is_wanted(task), &task.created, &task.id);
    let mut first: BTreeMap<(u64, &str), &Task> = BTreeMap::new();
    let present = |task: &&Task| task.up_to_date && task.job_iteration.unwrap_or_default() == run && !task.is_lost();
    for task in of(service, observed).filter(present) {
        let key = if by_node { (0, task.node.as_str()) } else { (task.slot, "") };
        let entry = first.entry(key).or_insert(task);
        if rank(task) > rank(entry) {
            *entry = task;
        }
    }
    first.into_values().collect()
}

/// Tasks of the present spec that ended badly, as far as Swarm remembers them; of a service that is to stay, also those
/// that ended well.
pub(super) fn failures<'a>(expected: &'a Expected, observed: &'a Observed) -> Vec<&'a Task> {
    let Some(service) = observed.services.get(&expected.name) else { return Vec::new() };
    of(service, observed).filter(|task| task.up_to_date && is_failure(task, expected, observed)).collect()
}

fn is_failure(task: &Task, expected: &Expected, observed: &Observed) -> bool {
    has_failed(task, observed) || ended_too_soon(task, expected)
}

fn ended_too_soon(task: &Task, expected: &Expected) -> bool {
    task.state == TaskState::Complete && !expected.is_job() && !expected.is_one_shot()
}

/// Whether the last of the failures was a process that ended well and was to stay.
pub(super) fn last_ended_well(expected: &Expected, observed: &Observed) -> bool {
    let last = failures(expected, observed).into_iter().max_by_key(|task| &task.created);
    last.is_some_and(|task| has_succeeded(task, observed))
}

/// A task that runs in the place of one that failed, and for how long. Not of one that runs for a minute: what is
/// started again and again would be met between two ends, and look well.
pub(super) fn just_started_again<'a>(
    expected: &'a Expected,
    observed: &'a Observed,
    now: Timestamp,
) -> Option<(&'a Task, Duration)> {
    let service = observed.services.get(&expected.name)?;
    let failures = failures(expected, observed);
    let replaced = |task: &Task| {
        let before = |failed: &&&Task| failed.slot == task.slot && failed.created < task.created;
        failures.iter().find(before).is_some()
    };
    let running = current(expected, service, observed).into_iter().filter(|task| task.state == TaskState::Running);
    let age = |task: &Task| Some(now.duration_since(task.since?).try_into().unwrap_or(Duration::ZERO));
    let young = running.filter(|task| replaced(task)).filter_map(|task| Some((task, age(task)?)));
    young.filter(|(_, age)| *age < PROVEN).min_by_key(|(_, age)| *age)
}

/// A process that ends with 0 because it was told that it is unhealthy has failed all the same.
pub(super) fn has_failed(task: &Task, observed: &Observed) -> bool {
    match task.state {
        TaskState::Failed | TaskState::Rejected => true,
        TaskState::Complete => task.exit_code.unwrap_or_default() != 0 || is_unhealthy(task, observed),
        _ => false,
    }
}

pub(super) fn has_succeeded(task: &Task, observed: &Observed) -> bool {
    task.state == TaskState::Complete && !has_failed(task, observed)
}

/// What a failed task tells about the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// It ran and ended; what it waits for may be another service.
    Exit,
    /// It did not get to run (a port or an address was taken): no other service is to blame, but it may pass.
    Start,
    /// It did not get to run, and the next one will not either: no image, no such path to mount, no such program.
    Hopeless,
}

pub(super) fn failure(task: &Task) -> Failure {
    let hopeless = ["No such image", "invalid mount config", "OCI runtime", "executable file not found"];
    if hopeless.iter().any(|words| task.error.contains(words)) {
        return Failure::Hopeless;
    }
    let started = task.state != TaskState::Rejected && !task.error.starts_with("starting container failed");
    if started { Failure::Exit } else { Failure::Start }
}

pub(super) fn is_unhealthy(task: &Task, observed: &Observed) -> bool {
    container(task, observed).is_some_and(|container| container.health.as_deref() == Some("unhealthy"))
}

/// The task's container, if it is on this node and still there.
pub(super) fn container<'a>(task: &Task, observed: &'a Observed) -> Option<&'a Container> {
    observed.containers.iter().find(|container| {
        container.task.as_deref() == Some(&task.id) || task.container.as_deref().is_some_and(|id| id == container.id)
    })
}

/// A container may be there: it was given to a node and has not ended. On a node that is down it is in nobody's way.
pub(super) fn is_alive(task: &Task) -> bool {
    (TaskState::Assigned..=TaskState::Running).contains(&task.state) && !task.is_lost()
}

pub(super) fn is_wanted(task: &Task) -> bool {
    task.desired <= TaskState::Complete
}

/// A process of an old spec or an old place that has been told to end and has not yet.
pub(super) fn is_stopping(task: &Task) -> bool {
    is_alive(task) && !is_wanted(task)
}

/// Ended badly for good: Swarm wants this task no more and makes no other in its place.
pub(super) fn is_given_up(task: &Task, expected: &Expected, observed: &Observed) -> bool {
    let no_other = match expected.restart {
        Restart::Never => true,
        Restart::OnFailure => expected.attempts_end || task.state == TaskState::Complete,
        Restart::Any => expected.attempts_end,
    };
    no_other && !is_wanted(task) && has_failed(task, observed)
}

/// Whether Swarm sees no node on which it could run.
pub(super) fn is_unplaceable(task: &Task) -> bool {
    let words = [&task.error, &task.message];
    task.state == TaskState::Pending && words.iter().any(|text| text.contains("no suitable node"))
}

/// What went wrong last, in the Engine's words.
pub(super) fn last_trouble(expected: &Expected, observed: &Observed) -> String {
    let Some(service) = observed.services.get(&expected.name) else { return "it is not there".to_owned() };
    let troubled = of(service, observed).filter(|task| !task.error.is_empty() || is_failure(task, expected, observed));
    match troubled.max_by_key(|task| (task.up_to_date, &task.created)) {
        Some(task) => trouble(task, observed),
        None => "Swarm gives no reason".to_owned(),
    }
}

/// The Engine says 0 as well for what never ran.
fn exit_code(task: &Task) -> Option<i64> {
    task.exit_code.filter(|code| *code != 0 || task.state == TaskState::Complete)
}

/// Exit code 137 alone may as well be a process that did not end when it was told to.
fn out_of_memory(task: &Task, observed: &Observed) -> Option<String> {
    container(task, observed).filter(|container| container.out_of_memory)?;
    let service = observed.services.values().find(|service| service.id == task.service)?;
    let limit = service.spec.pointer("/TaskTemplate/Resources/Limits/MemoryBytes").and_then(Value::as_u64);
    Some(match limit {
        Some(bytes) => format!("out of memory: its limit is {}", in_mebibytes(bytes)),
        None => "out of memory, without a limit of its own".to_owned(),
    })
}

fn in_mebibytes(bytes: u64) -> String {
    let mebibytes = bytes as f64 / f64::from(1 << 20);
    if bytes.is_multiple_of(1 << 20) { format!("{mebibytes} MiB") } else { format!("{mebibytes:.1} MiB") }
}

/// `exit code 1, task: non-zero exit (1)`
pub(super) fn trouble(task: &Task, observed: &Observed) -> String {
    let mut words = Vec::new();
    words.extend(exit_code(task).map(|code| format!("exit code {code}")));
    words.extend(out_of_memory(task, observed));
    if is_unhealthy(task, observed) {
        words.push("its health check says unhealthy".to_owned());
    }
    if !task.error.is_empty() {
        words.push(task.error.clone());
        words.extend(task.elsewhere.as_ref().map(|node| format!("on node {node}")));
    } else if words.is_empty() && !task.message.is_empty() {
        words.push(task.message.clone());
    }
    if words.is_empty() { "Swarm gives no reason".to_owned() } else { words.join(", ") }
}
