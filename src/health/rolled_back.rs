//! Who rolled a service back: Swarm by itself, or somebody by hand.
//!
//! The surprise: Swarm tells the two apart in words only while a rollback is under way, and one to no replicas is over
//! before anybody can look. What lasts is the spec that gave way: by hand it becomes the previous one, so that a second
//! rollback brings it back, and Swarm itself leaves none (measured).

use crate::model::observed::{Service, UpdateState};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RolledBack {
    /// Its update failed.
    BySwarm,
    ByHand,
}

/// At whose wish a service was rolled back, if nothing has been done with it since.
pub fn rolled_back(service: &Service) -> Option<RolledBack> {
    use UpdateState::{RollbackCompleted, RollbackPaused, RollbackStarted};
    let state = &service.update.as_ref()?.state;
    let by_whom = if service.previous_spec.is_some() { RolledBack::ByHand } else { RolledBack::BySwarm };
    matches!(state, RollbackStarted | RollbackPaused | RollbackCompleted).then_some(by_whom)
}
