//! What the end of a transaction makes of an app's state: the commit, as a value.
//!
//! The border: whoever has the state written on disk has committed; nothing else is needed. What no name in the state
//! stands for any more (old snapshots, stages) is removed later, by whoever finds it.

use jiff::Timestamp;

use super::step::End;
use super::told;
use crate::model::state::{Failed, Interrupted, Previous, Refused, Release, State, Stuck};
use crate::model::transaction::{FaultKind, Purpose, Step, Transaction};
use crate::model::version::Revision;

/// The state after the open transaction has ended so, for the reason `why` where going back failed.
pub fn closed(state: &State, end: End, why: &str, now: Timestamp) -> State {
    let mut state = state.clone();
    let Some(open) = state.open.take() else { return state };
    let told = open.clone();
    state.decided = Some(told::decided(&state, end, why, &told, now));
    match end {
        End::Upgraded => upgraded(&mut state, *open, now),
        End::RolledBack if open.has_turned() => turned(&mut state, *open, now),
        End::RolledBack => rolled_back(&mut state, *open, now),
        End::Blocked => cut_short(&mut state, &open),
        End::Stuck => stuck(&mut state, open, why, now),
        End::WentBack => went_back(&mut state, *open, now),
        End::Taken => state.kept.extend(open.snapshot),
    }
    told::closed(&mut state, end, why, &told, now);
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
    state.failed = None;
    state.left.clear();
}

fn rolled_back(state: &mut State, open: Transaction, now: Timestamp) {
    cut_short(state, &open);
    let has_data = !open.is_stateless();
    let Transaction { id, new: Some(new), snapshot, fault: Some(fault), .. } = open else { return };
    let revision = new.body.revision;
    if has_data {
        state.failed = Some(Failed { transaction: id, revision: revision.clone(), ts: now });
    }
    if let Some(current) = &mut state.current {
        current.snapshot = snapshot;
    }
    // What was killed or met a full disk says nothing about the version.
    if fault.kind == FaultKind::No {
        let refused = Refused {
            revision,
            key: new.key,
            images: new.body.images,
            reason: fault.reason,
            ts: fault.ts,
            by_hand: false,
        };
        refuse(state, refused);
        state.interrupted = None;
    }
}

/// By hand, and back again: what is recorded as current has run all along but for the try. The release that did not come up
/// stays the previous one with its snapshot: whether it is tried again is for a person to say.
fn turned(state: &mut State, open: Transaction, now: Timestamp) {
    leave_stuck(state, open.snapshot.as_ref());
    let gave_way = open.fault.as_ref().is_some_and(|fault| fault.at >= Step::Restore);
    if gave_way && !open.is_stateless() {
        state.failed = Some(Failed { transaction: open.id, revision: open.old.release.body.revision, ts: now });
    }
}

/// What was stuck may have moved data aside, and stored some, which nothing else names from now on. `snapshot`: what has
/// been put back.
fn leave_stuck(state: &mut State, snapshot: Option<&String>) -> Option<Stuck> {
    let stuck = state.stuck.take()?;
    state.left.insert(stuck.transaction.id.clone());
    state.kept.extend(stuck.transaction.snapshot.clone().filter(|stored| Some(stored) != snapshot));
    Some(stuck)
}

/// Counts what cost the app a stop and said nothing about the version, so that it does not cost one every night. A full
/// disk is not counted: it is tried again when there is room.
fn cut_short(state: &mut State, open: &Transaction) {
    let (Some(new), Some(fault)) = (&open.new, &open.fault) else { return };
    let counts = match fault.kind {
        FaultKind::Crash => true,
        FaultKind::No => fault.at < Step::Deploy,
        FaultKind::Failed | FaultKind::LaidDown => false,
    };
    if counts {
        let before = state.interrupted.take().filter(|before| before.key == new.key);
        let times = before.map_or(0, |before| before.times) + 1;
        state.interrupted = Some(Interrupted { key: new.key.clone(), revision: new.body.revision.clone(), times });
    }
}

/// Both reasons are told: why the way back was gone, and why it did not lead back.
fn stuck(state: &mut State, open: Box<Transaction>, why: &str, now: Timestamp) {
    let step = open.step.word();
    let reason = match open.fault.as_ref().map(|fault| fault.reason.as_str()) {
        Some(first) if open.step <= Step::Judge => {
            format!("{first}; nothing was taken back, since people may have been writing for so long")
        }
        Some(first) => format!("{first}; undoing it failed at {step}: {why}"),
        None if open.can_turn() => {
            format!("{why}; what ran before was not brought back, since people may have been writing for so long")
        }
        None => format!("{step} failed: {why}"),
    };
    leave_stuck(state, open.snapshot.as_ref());
    state.stuck = Some(Stuck { reason, ts: now, transaction: open });
}

/// By hand, to the previous release or to a snapshot of the same one. The version that was left is not taken again by
/// itself.
fn went_back(state: &mut State, open: Transaction, now: Timestamp) {
    let stuck = leave_stuck(state, open.snapshot.as_ref());
    let left = state.current.as_ref().map_or(&open.old.release, |current| current).body.revision.clone();
    if !open.is_stateless() {
        let revision = stuck.as_ref().and_then(wrote_last).cloned().unwrap_or(left);
        state.left.insert(open.id.clone());
        state.failed = Some(Failed { transaction: open.id, revision, ts: now });
    }
    if open.purpose != Purpose::Rollback {
        return;
    }
    if let Some(left) = state.current.take() {
        let reason = format!("{} was left by hand by {}", left.body.revision, open.by);
        let (key, images, revision) = (left.key, left.body.images, left.body.revision);
        refuse(state, Refused { revision, key, images, reason, ts: now, by_hand: true });
    }
    state.current = Some(open.old.release);
    state.frozen = open.old.frozen;
    state.previous = None;
    state.changing = None;
}

/// Whose data was in place where undoing failed, if not that of the release that was to be put back.
fn wrote_last(stuck: &Stuck) -> Option<&Revision> {
    let new = stuck.transaction.new.as_ref().filter(|_| stuck.transaction.step <= Step::Restore)?;
    Some(&new.body.revision)
}

fn refuse(state: &mut State, refused: Refused) {
    state.refused.retain(|before| before.revision != refused.revision);
    state.refused.push(refused);
}

#[cfg(test)]
mod tests;
