//! What the end of a canonical's work makes of its state: one value, written by one rename.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::step::{BROKEN_OFF, End};
use crate::model::history::Decided;
use crate::model::state::{Refused, Release, State};
use crate::model::warm::{Left, Purpose, Status, Warm, Work};
use crate::upgrade::told;

/// The state once the work in it has ended so.
pub fn closed(state: &State, end: End, now: Timestamp) -> State {
    let Some(work) = state.warm.as_ref().and_then(|warm| warm.work.clone()) else { return state.clone() };
    let mut next = State { warm: warm_after(state, &work, end, now), ..state.clone() };
    match end {
        End::Committed => commit(&mut next, &work, now),
        End::Undone if work.refused && work.purpose.makes_known_good() => refuse(&mut next, &work, now),
        _ => {}
    }
    let no = work.no.as_deref().filter(|no| *no != BROKEN_OFF);
    if let (End::Undone, Purpose::Promote, Some(no)) = (end, work.purpose, no) {
        let transaction = &work.transaction;
        told::turned_down(&mut next, &transaction.old.release.body.revision, no, &transaction.id, now);
    }
    next.decided = decided(state, &work, end, now).or(next.decided);
    next
}

fn warm_after(state: &State, work: &Work, end: End, now: Timestamp) -> Option<Warm> {
    let before = state.warm.as_ref()?;
    let stands = |status| Warm {
        indexes: work.transaction.indexes.clone(),
        damaged: before.damaged,
        ..Warm::new(status, &work.transaction.by, now)
    };
    let idle = || Warm { left: work.found.clone(), damaged: false, ..stands(Status::Idle) };
    let dirty = |why: Option<String>| Warm { why, ..stands(Status::Dirty) };
    let was_why = || work.was.as_ref().and_then(|was| was.why.clone());
    match (end, work.purpose) {
        (End::Committed, _) | (End::Undone, Purpose::Promote) | (End::Rested, Purpose::Restore) => Some(idle()),
        (End::Undone | End::Refused, _) => work.was.as_deref().map(as_it_was),
        (End::Deployed, Purpose::Quick) | (End::LeftForReading, _) => {
            Some(dirty(Some(format!("{} was deployed over it", work.transaction.old.release.body.revision))))
        }
        (End::Deployed, _) => {
            let left = if work.put_back { work.found.clone() } else { before.left.clone() };
            Some(Warm { left, boot: work.boot.clone(), ..stands(Status::Deployed) })
        }
        (End::Rested, _) if work.status_before() == Some(Status::Dirty) => Some(dirty(was_why())),
        (End::Rested, _) => Some(match not_as_left(&before.left, &work.found) {
            Some(why) => dirty(Some(why)),
            None => Warm { left: before.left.clone(), ..stands(Status::Idle) },
        }),
        (End::Spoiled, _) => Some(dirty(work.no.clone())),
    }
}

/// Nothing of the data was touched. What was written of its services since it was left idle still counts: somebody may
/// have started them between two runs of this work.
fn as_it_was(was: &Warm) -> Warm {
    Warm { work: None, ..was.clone() }
}

/// Why these volumes are not what the known-good release left; what it did not leave does not count.
pub fn not_as_left(left: &BTreeMap<String, Left>, found: &BTreeMap<String, Left>) -> Option<String> {
    let named = |is: &dyn Fn(&String, &Left) -> bool| -> Vec<&str> {
        left.iter().filter(|(name, left)| is(name, left)).map(|(name, _)| name.as_str()).collect()
    };
    let gone = named(&|name, _| !found.contains_key(name));
    let other = named(&|name, left| found.get(name).is_some_and(|found| found != left));
    match (gone.is_empty(), other.is_empty()) {
        (true, true) => None,
        (false, _) => Some(format!("volume {} was gone", gone.join(", "))),
        (true, false) => Some(format!("volume {} was another one than it left", other.join(", "))),
    }
}

/// Record and snapshot change together.
fn commit(state: &mut State, work: &Work, now: Timestamp) {
    let transaction = &work.transaction;
    let release = transaction.old.release.clone();
    state.refused.retain(|refused| refused.revision != release.body.revision);
    state.current = Some(Release { snapshot: Some(transaction.id.clone()), since: now.to_string(), ..release });
    state.frozen = transaction.old.frozen.clone();
    (state.previous, state.installing, state.changing) = (None, None, None);
}

fn refuse(state: &mut State, work: &Work, now: Timestamp) {
    let release = &work.transaction.old.release;
    let refused = Refused {
        revision: release.body.revision.clone(),
        key: release.key.clone(),
        images: release.body.images.clone(),
        reason: work.no.clone().unwrap_or_default(),
        ts: now,
        by_hand: false,
    };
    state.refused.retain(|before| before.revision != refused.revision);
    state.refused.push(refused);
}

/// The history's line, where what ends decided about a known-good.
fn decided(state: &State, work: &Work, end: End, now: Timestamp) -> Option<Decided> {
    let outcome = match (end, work.purpose) {
        (End::Committed, Purpose::Seal) => return None,
        (End::Committed, Purpose::Seed) => "applied",
        (End::Committed, _) => "upgraded",
        (End::Undone, Purpose::Promote) => "rolled-back",
        (End::Undone, _) => "unhealthy",
        _ => return None,
    };
    let to = work.transaction.old.release.body.revision.to_string();
    let sentence = match (&work.no, end) {
        (Some(no), End::Undone) => format!("the {} of {to} was undone: {no}", work.purpose.word()),
        _ => format!("{to} is the known-good"),
    };
    Some(Decided {
        ts: now,
        outcome: outcome.to_owned(),
        sentence,
        by: work.transaction.by.clone(),
        from: state.current.as_ref().map(|current| current.body.revision.to_string()),
        to: Some(to),
    })
}

#[cfg(test)]
mod tests;
