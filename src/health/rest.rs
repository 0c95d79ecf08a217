//! Whether a service stands still, so that a write of it starts no container beside an old one.
//!
//! Swarm keeps no such promise: an update that supersedes one under way, and a scaling up after a scaling down, start
//! new containers while old ones still end (measured), also where the order is stop-first. The surprise: an update can
//! be under way without a word of Swarm's, when the same spec was written a second time.

use super::tasks;
use crate::model::observed::{Observed, Service, Task, UpdateState};
use crate::plan::canonical_form::mode_of;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rest {
    /// Nothing of an earlier write is under way.
    Rests,
    /// It will rest by itself, as far as can be seen; what is waited for.
    Moves(String),
    /// It never will: Swarm finds no place for what it is to run.
    Stuck(String),
}

/// How a service stands that is about to be written; one that is not there rests.
pub fn rest(name: &str, observed: &Observed) -> Rest {
    let Some(service) = observed.services.get(name) else { return Rest::Rests };
    let Some(why) = movement(service, observed) else { return Rest::Rests };
    let own = || tasks::of(service, observed);
    let nowhere = own().find(|task| tasks::is_wanted(task) && tasks::is_unplaceable(task));
    match nowhere.filter(|_| !own().any(tasks::is_stopping)) {
        Some(task) => Rest::Stuck(format!("{why}, which finds no place to run: {}", tasks::trouble(task, observed))),
        None => Rest::Moves(why),
    }
}

/// Whether Swarm itself says that an update is under way. A word of a newer Swarm that is not known here may say so.
pub fn is_updating(service: &Service) -> bool {
    let state = service.update.as_ref().map(|update| &update.state);
    matches!(state, Some(UpdateState::Updating | UpdateState::RollbackStarted | UpdateState::Unknown(_)))
}

fn movement(service: &Service, observed: &Observed) -> Option<String> {
    let name = &service.name;
    let own = || tasks::of(service, observed);
    let is_old = |task: &Task| !task.up_to_date && tasks::is_wanted(task) && tasks::is_alive(task);
    if is_updating(service) {
        return Some(format!("an update of service {name} is under way"));
    }
    if own().any(tasks::is_stopping) || has_stray_container(service, observed) {
        return Some(format!("an old container of service {name} still ends"));
    }
    if service.update.is_none() && own().any(is_old) {
        return Some(format!("an update of service {name} has been registered and not begun"));
    }
    let works = |task: &Task| tasks::is_wanted(task) && tasks::is_alive(task);
    (mode_of(&service.spec).ends_with("Job") && own().any(works)).then(|| format!("job {name} is at work"))
}

/// A container that runs without a task that is to run.
fn has_stray_container(service: &Service, observed: &Observed) -> bool {
    let has_task = |id: &str| tasks::of(service, observed).any(|task| task.id == id && tasks::is_alive(task));
    let own = observed.containers.iter().filter(|container| container.service.as_ref() == Some(&service.id));
    own.filter(|container| container.state == "running")
        .any(|container| !container.task.as_deref().is_some_and(has_task))
}
