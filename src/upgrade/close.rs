//! What the end of a transaction makes of an app's state: the commit, as a value.
//!
//! The border: whoever has the state written on disk has committed; nothing else is needed. What no name in the state
//! stands for any more (old snapshots, stages) is removed later, by whoever finds it.

use jiff::Timestamp;

use super::step::End;
use crate::model::state::{Previous, Refused, Release, State, Stuck};
use crate::model::transaction::{FaultKind, Purpose, Transaction};

/// The state after the open transaction has ended so, for the reason `why` where it is a bad end.
pub fn closed(state: &State, end: End, why: &str, now: Timestamp) -> State {
    let mut state = state.clone();
    let Some(open) = state.open.take() else { return state };
    match end {
        End::Upgraded => upgraded(&mut state, *open, now),
        End::RolledBack => rolled_back(&mut state, *open),
        End::Blocked => {}
        End::Stuck => stuck(&mut state, open, why, now),
        End::WentBack => went_back(&mut state, *open, now),
        End::Taken => state.kept.extend(open.snapshot),
    }
    state
}

fn upgraded(state: &mut State, open: Transaction, now: Timestamp) {
    let Transaction { old, new: Some(new), snapshot, .. } = open else { return };
    let release = Release { snapshot, ..old.release };
    state.previous = Some(Previous { release, frozen: old.frozen });
    state.refused.retain(|refused| refused.revision != new.body.revision);
    state.current = Some(Release { body: new.body, key: new.key, since: now.to_string(), snapshot: None });
    state.frozen = new.frozen;
    state.interrupted = None;
    state.changing = None;
    state.stuck = None;
}

fn rolled_back(state: &mut State, open: Transaction) {
    let Transaction { new: Some(new), snapshot, fault: Some(fault), .. } = open else { return };
    if let Some(current) = &mut state.current {
        current.snapshot = snapshot;
    }
    // What was killed or met a full disk says nothing about the version.
    if fault.kind == FaultKind::No {
        let (revision, key, images) = (new.body.revision, new.key, new.body.images);
        let (reason, ts) = (fault.reason, fault.ts);
        state.refused.retain(|refused| refused.revision != revision);
        state.refused.push(Refused { revision, key, images, reason, ts, by_hand: false });
        state.interrupted = None;
    }
}

/// Both reasons are told: why the way back was gone, and why it did not lead back.
fn stuck(state: &mut State, open: Box<Transaction>, why: &str, now: Timestamp) {
    let first = open.fault.as_ref().map(|fault| fault.reason.as_str()).filter(|first| *first != why);
    let reason = match first {
        Some(first) => format!("{first}; undoing it failed at {}: {why}", open.step.word()),
        None => format!("{} failed: {why}", open.step.word()),
    };
    state.stuck = Some(Stuck { reason, ts: now, transaction: open });
}

/// By hand, to the previous release or to a snapshot of the same one. The version that was left is not taken again by
/// itself.
fn went_back(state: &mut State, open: Transaction, now: Timestamp) {
    state.stuck = None;
    if open.purpose != Purpose::Rollback {
        return;
    }
    if let Some(left) = state.current.take() {
        let reason = format!("{} was left by hand by {}", left.body.revision, open.by);
        let (key, images, revision) = (left.key, left.body.images, left.body.revision);
        state.refused.retain(|refused| refused.revision != revision);
        state.refused.push(Refused { revision, key, images, reason, ts: now, by_hand: true });
    }
    state.current = Some(open.old.release);
    state.frozen = open.old.frozen;
    state.previous = None;
    state.changing = None;
}
