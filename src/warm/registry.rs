//! What is recorded of a canonical, held against what a look has found.
//!
//! The border: nothing is looked at here, and what is then done about it stands in the step table. The surprise: a record
//! that says idle is believed only as long as nothing runs, nothing was started since, and every volume is the one that
//! was left.

use std::collections::BTreeMap;

use super::close::not_as_left;
use crate::model::warm::{Left, Status, Warm};
use crate::upgrade::volumes::written_since;

/// The snapshot of the known-good, as far as a look tells: it is read to its end when it is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Snapshot {
    Whole,
    Gone,
}

/// What the record is to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    /// What it says.
    True,
    Dirty(String),
    /// For this reason, and since its snapshot is gone.
    Lost(String),
    /// It was lost, and its snapshot is there again.
    Found,
}

/// What brings a canonical to rest, whose record is true.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resting {
    Nothing,
    End,
    /// Its volumes are whole, and stored once more.
    Store,
}

/// Why the data of what is idle, or deployed, cannot be used as it lies there. What runs of it, and how often its services
/// were written, tells nothing where it is not to rest.
pub fn strange(
    warm: &Warm,
    volumes: &BTreeMap<String, Left>,
    runs: bool,
    indexes: &BTreeMap<String, u64>,
) -> Option<String> {
    if let Some(volumes) = not_as_left(&warm.left, volumes) {
        return Some(volumes);
    }
    match warm.status {
        Status::Idle if runs => Some("its services were started by somebody else".to_owned()),
        Status::Idle => written_since(&warm.indexes, indexes),
        _ => None,
    }
}

/// `strange`: of what is idle.
pub fn held(warm: &Warm, strange: Option<String>, snapshot: Snapshot) -> Held {
    match (warm.status, strange, snapshot) {
        (Status::Idle, Some(why), Snapshot::Whole) => Held::Dirty(why),
        (Status::Idle, Some(why), Snapshot::Gone) => Held::Lost(why),
        (Status::Dirty, _, Snapshot::Gone) => Held::Lost("its data was not what the known-good left".to_owned()),
        (Status::Lost, _, Snapshot::Whole) => Held::Found,
        _ => Held::True,
    }
}

pub fn resting(warm: &Warm, runs: bool, snapshot: Snapshot) -> Resting {
    match warm.status {
        Status::Lost => Resting::Nothing,
        Status::Idle if snapshot == Snapshot::Gone => Resting::Store,
        Status::Deployed => Resting::End,
        _ if runs => Resting::End,
        _ => Resting::Nothing,
    }
}

#[cfg(test)]
mod tests;
