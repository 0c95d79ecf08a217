//! How one service stands at one moment.

use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;
use serde_json::Value;

use super::expected::{Expected, Mode};
use super::rest::is_updating;
use super::rolled_back::{RolledBack, rolled_back};
use super::tasks;
use crate::model::observed::{Container, Observed, Service, Task, TaskState, UpdateState};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    /// As it should be; the ids of its running tasks (none for what has ended well, or is not to run).
    Settled(BTreeSet<String>),
    Waiting(String),
    /// Waiting for something that Swarm cannot bring about by itself.
    Stuck(String),
    /// Somebody else has made something else of it since it was written.
    Meddled(String),
    Failed(String),
}

/// What somebody else has done to a service while it is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meddled {
    Changed,
    Removed,
    RolledBack,
}

impl fmt::Display for Meddled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Meddled::Changed => "was changed",
            Meddled::Removed => "was removed",
            Meddled::RolledBack => "was rolled back",
        })
    }
}

/// What is known about the last write of a service.
pub(super) struct Asked<'a> {
    /// Swarm's word on its update is about what is watched.
    pub written: bool,
    /// What somebody else has made of it since the first look.
    pub meddled: Option<Meddled>,
    pub least_index: u64,
    pub image: Option<&'a str>,
}

pub(super) fn standing(expected: &Expected, observed: &Observed, asked: &Asked) -> Standing {
    let name = &expected.name;
    let meddled =
        asked.meddled.map(|how| Standing::Meddled(format!("service {name} {how} by somebody else meanwhile")));
    let Some(service) = observed.services.get(name) else {
        return meddled.unwrap_or_else(|| Standing::Waiting(format!("service {name} is not there yet")));
    };
    if service.index < asked.least_index {
        return Standing::Waiting(format!("service {name} is not seen yet as it was written"));
    }
    if let Some(why) = stopped_update(expected, service, observed).filter(|_| asked.written) {
        return Standing::Failed(why);
    }
    if let Some(meddled) = meddled {
        return meddled;
    }
    let view = View { expected, service, observed, current: tasks::current(expected, service, observed) };
    match view.standing(asked.image) {
        Standing::Settled(_) if is_updating(service) => {
            Standing::Waiting(format!("the update of service {name} is under way"))
        }
        other => other,
    }
}

/// A service that runs, and that was started again after a failure a moment ago.
pub(super) fn unproven(expected: &Expected, observed: &Observed, now: Timestamp) -> Option<Standing> {
    let (_, age) = tasks::just_started_again(expected, observed, now)?;
    let trouble = tasks::last_trouble(expected, observed);
    Some(Standing::Waiting(format!(
        "service {} runs for {} s only, after it ended: {trouble}",
        expected.name,
        age.as_secs()
    )))
}

/// Swarm's word against its update. For an update that is not ours it is old news, and tasks alone decide.
fn stopped_update(expected: &Expected, service: &Service, observed: &Observed) -> Option<String> {
    let update = service.update.as_ref()?;
    let what = match update.state {
        // That is no word of Swarm's.
        _ if rolled_back(service) == Some(RolledBack::ByHand) => return None,
        UpdateState::RollbackStarted | UpdateState::RollbackPaused | UpdateState::RollbackCompleted => {
            "was rolled back by Swarm itself, the wanted version does not run"
        }
        // Swarm pauses at the first task that ends, also where it ends well or starts again and stays (its database was
        // not there yet). It updates no other slot then; where none is left with the old spec, tasks decide.
        UpdateState::Paused if !is_left_behind(service, observed) => return None,
        UpdateState::Paused => "was not updated to the end",
        UpdateState::Updating | UpdateState::Completed | UpdateState::Unknown(_) => return None,
    };
    let trouble = tasks::last_trouble(expected, observed);
    Some(format!("service {} {what} ({}): {trouble}", expected.name, update.message))
}

/// Whether a slot is to go on with an older spec.
fn is_left_behind(service: &Service, observed: &Observed) -> bool {
    let is_old = |task: &Task| !task.up_to_date && tasks::is_wanted(task) && task.state <= TaskState::Running;
    tasks::of(service, observed).any(is_old)
}

struct View<'a> {
    expected: &'a Expected,
    service: &'a Service,
    observed: &'a Observed,
    current: Vec<&'a Task>,
}

impl View<'_> {
    fn standing(&self, image: Option<&str>) -> Standing {
        let standing = match self.expected.mode {
            Mode::Replicated(0) => Standing::Settled(BTreeSet::new()),
            Mode::Replicated(wanted) => self.running(wanted),
            // One node: where it has a task at all, that one has to run.
            Mode::Global => self.running(self.current.len().max(1) as u64),
            Mode::ReplicatedJob(wanted) => self.completed(wanted),
            Mode::GlobalJob => self.completed(self.current.len().max(1) as u64),
        };
        match standing {
            Standing::Settled(running) => self.without_others(running, image),
            other => other,
        }
    }

    fn running(&self, wanted: u64) -> Standing {
        let running: BTreeSet<String> =
            self.current.iter().filter(|task| self.is_up(task)).map(|task| task.id.clone()).collect();
        let done = self.current.iter().filter(|task| self.is_done(task)).count();
        if (running.len() + done) as u64 >= wanted { Standing::Settled(running) } else { self.lacking() }
    }

    /// Runs and is to run; with a health check, Swarm calls only a healthy task running. On a busy machine a container
    /// has ended for a second until Swarm says so of its task.
    fn is_up(&self, task: &Task) -> bool {
        let has_ended = |container: &Container| matches!(container.state.as_str(), "exited" | "dead" | "removing");
        task.state == TaskState::Running
            && task.desired == TaskState::Running
            && !matches!(self.health(task), Some("starting" | "unhealthy"))
            && !tasks::container(task, self.observed).is_some_and(has_ended)
    }

    fn health(&self, task: &Task) -> Option<&str> {
        tasks::container(task, self.observed)?.health.as_deref()
    }

    fn is_done(&self, task: &Task) -> bool {
        (self.expected.is_one_shot() || self.expected.is_job()) && tasks::has_succeeded(task, self.observed)
    }

    fn completed(&self, wanted: u64) -> Standing {
        let done = self.current.iter().filter(|task| tasks::has_succeeded(task, self.observed)).count();
        if done as u64 >= wanted { Standing::Settled(BTreeSet::new()) } else { self.lacking() }
    }

    /// Why not enough tasks are as they should be.
    fn lacking(&self) -> Standing {
        let name = &self.expected.name;
        let trouble = |task: &Task| tasks::trouble(task, self.observed);
        let mut wrong = self.current.iter().filter(|task| !self.is_up(task) && !self.is_done(task)).peekable();
        if wrong.peek().is_none() {
            return self.no_task();
        }
        let wrong: Vec<&&Task> = wrong.collect();
        if let Some(task) = wrong.iter().find(|task| tasks::is_given_up(task, self.expected, self.observed)) {
            return Standing::Failed(format!("service {name} failed and is not started again: {}", trouble(task)));
        }
        if let Some(task) = wrong.iter().find(|task| tasks::is_unplaceable(task)) {
            let lost = self.lost().map(|node| format!("; {node}")).unwrap_or_default();
            return Standing::Stuck(format!("service {name} finds no place to run: {}{lost}", trouble(task)));
        }
        // The one that is farthest behind says most: it may wait for what the others have got.
        let last = wrong.iter().min_by_key(|task| task.state).expect("something is wrong");
        Standing::Waiting(format!("service {name} {}{}", self.progress(last), self.ended_before(last)))
    }

    /// Between two starts of a crash loop, what the last one ended with says more than that there will be another.
    fn ended_before(&self, task: &Task) -> String {
        if task.state >= TaskState::Running || tasks::failures(self.expected, self.observed).is_empty() {
            return String::new();
        }
        format!(", after it ended: {}", tasks::last_trouble(self.expected, self.observed))
    }

    /// The node that is down with what ran there, in words.
    fn lost(&self) -> Option<String> {
        let lost = tasks::of(self.service, self.observed).filter(|task| task.is_lost());
        let node = lost.max_by_key(|task| &task.created)?.elsewhere.as_ref()?;
        Some(format!("node {node} is down, where it ran"))
    }

    /// Swarm makes no task of a global service where it sees no node, and says nothing.
    fn no_task(&self) -> Standing {
        let name = &self.expected.name;
        if let Some(lost) = self.lost() {
            return Standing::Stuck(format!("service {name} is not started again: {lost}"));
        }
        if !matches!(self.expected.mode, Mode::Global | Mode::GlobalJob) {
            return Standing::Waiting(format!("service {name} has too few tasks yet"));
        }
        let constraints = self.service.spec.pointer("/TaskTemplate/Placement/Constraints").and_then(Value::as_array);
        let constraints: Vec<&str> = constraints.into_iter().flatten().filter_map(Value::as_str).collect();
        let why = match constraints.is_empty() {
            true => "no node is active and takes tasks".to_owned(),
            false => format!("no eligible node (its constraints: {})", constraints.join(", ")),
        };
        Standing::Stuck(format!("service {name} finds no place to run: {why}"))
    }

    fn progress(&self, task: &Task) -> String {
        let trouble = || tasks::trouble(task, self.observed);
        match task.state {
            TaskState::New => "waits for an address on its networks, one of which may have none left".to_owned(),
            TaskState::Allocated | TaskState::Pending => "waits for a node".to_owned(),
            TaskState::Assigned | TaskState::Accepted | TaskState::Preparing => "is being prepared".to_owned(),
            TaskState::Ready => "waits to be started".to_owned(),
            TaskState::Starting if self.expected.checked || self.health(task).is_some() => {
                "starts (its health check has not passed yet)".to_owned()
            }
            TaskState::Starting => "starts".to_owned(),
            TaskState::Running if tasks::is_unhealthy(task, self.observed) => format!("runs, but {}", trouble()),
            TaskState::Running if !tasks::is_wanted(task) => "is being stopped".to_owned(),
            TaskState::Running if tasks::container(task, self.observed).is_some_and(|one| one.state != "running") => {
                "has just ended".to_owned()
            }
            TaskState::Running if self.expected.is_job() => "works (a job, waited for until it is done)".to_owned(),
            TaskState::Running => "runs (its health check has not passed yet)".to_owned(),
            _ => format!("has ended: {}", trouble()),
        }
    }

    /// The wanted tasks alone: no old one still holds a port or a volume, and the image is the one that was asked for.
    fn without_others(&self, running: BTreeSet<String>, image: Option<&str>) -> Standing {
        let name = &self.expected.name;
        let is_other = |task: &&Task| !running.contains(&task.id) && tasks::is_alive(task);
        if tasks::of(self.service, self.observed).any(|task| is_other(&task)) {
            return Standing::Waiting(format!("an old task of service {name} is still there"));
        }
        let containers = self.observed.containers.iter().filter(|c| c.service.as_deref() == Some(&self.service.id));
        for container in containers.filter(|container| container.state == "running") {
            let task = container.task.as_deref().unwrap_or_default();
            if !running.contains(task) && !self.expected.is_job() {
                return Standing::Waiting(format!("an old container of service {name} still runs"));
            }
            if let Some(image) = image.filter(|image| *image != container.image_id) {
                let other = &container.image_id;
                return Standing::Failed(format!("service {name} runs image {other}, not {image} that was asked for"));
            }
        }
        Standing::Settled(running)
    }
}
