//! What the end of a canonical's work makes of its state: one value, written by one rename.

use jiff::Timestamp;

use super::step::End;
use crate::model::history::Decided;
use crate::model::state::{Refused, Release, State};
use crate::model::warm::{Purpose, Status, Warm, Work};

/// The state once the work in it has ended so.
pub fn closed(state: &State, end: End, now: Timestamp) -> State {
    let Some(work) = state.warm.as_ref().and_then(|warm| warm.work.clone()) else { return state.clone() };
    let mut next = State { warm: warm_after(state, &work, end, now), ..state.clone() };
    match end {
        End::Committed => commit(&mut next, &work, now),
        End::Undone if work.refused && work.purpose.makes_known_good() => refuse(&mut next, &work, now),
        _ => {}
    }
    next.decided = decided(state, &work, end, now).or(next.decided);
    next
}

fn warm_after(state: &State, work: &Work, end: End, now: Timestamp) -> Option<Warm> {
    let before = state.warm.as_ref()?;
    let by = &work.transaction.by;
    let left = || work.transaction.staged.clone();
    let stands = |status| Warm::new(status, by, now);
    let dirty = || Warm { why: work.no.clone(), ..stands(Status::Dirty) };
    match (end, work.purpose) {
        (End::Committed, _) => Some(Warm { left: left(), ..stands(Status::Idle) }),
        (End::Undone, Purpose::Promote) => Some(Warm { left: left(), ..stands(Status::Idle) }),
        (End::Undone | End::Refused, _) => {
            let was = work.was?;
            Some(Warm { status: was, work: None, why: work.was_why.clone(), ..before.clone() })
        }
        (End::Deployed, Purpose::Quick) | (End::LeftForReading, _) => {
            let why = format!("{} was deployed over it", work.transaction.old.release.body.revision);
            Some(Warm { why: Some(why), ..stands(Status::Dirty) })
        }
        (End::Deployed, _) => Some(stands(Status::Deployed)),
        (End::Rested, Purpose::Idle) if work.was == Some(Status::Dirty) => {
            Some(Warm { why: work.was_why.clone(), ..stands(Status::Dirty) })
        }
        (End::Rested, _) => Some(Warm { left: left(), ..stands(Status::Idle) }),
        (End::Spoiled, _) => Some(dirty()),
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
