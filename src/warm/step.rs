//! The steps of what is done to a canonical, the acts of each, and what comes next: all of it values.
//!
//! The border: nothing is done here, and no clock is read. The surprise: what was deployed by hand is never deployed again
//! by a run that finds it broken off, while a known-good whose verdict was good is finished.
//!
//! | what | steps | where it is undone |
//! |---|---|---|
//! | seed | halt, clear, deploy, judge, rest, store | until clear: nothing was deployed; withdraw, discard |
//! | promote | the same | withdraw, discard, make, put-back |
//! | deploy | (halt, make, put-back,) deploy, judge | once: halt, make, put-back, and again; then withdraw, dirty |
//! | quick | deploy, judge | broken off: withdraw, dirty; a No is left for reading |
//! | idle | rest | halt, dirty |
//! | restore | halt, make, put-back | dirty |
//! | seal | rest, store | nothing was touched |

use std::iter;

use crate::model::state::State;
use crate::model::warm::{Purpose, Status, Step, Work};
use crate::upgrade::step::{Act, Happened, Side, Whose};

/// Why something is undone that a killed run had begun, and nothing else.
pub const BROKEN_OFF: &str = "the run was killed in the middle";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Next {
    Go(Step),
    /// The same step again, after a moment.
    Again,
    /// The work stays open for a later run.
    LeaveOpen,
    Close(End),
}

/// How it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum End {
    /// The release passed its gate, and is the known-good with the snapshot that was taken of it.
    Committed,
    /// The known-good is what it was before, and so are the volumes.
    Undone,
    /// Nothing was touched.
    Refused,
    /// It runs and passed its gate.
    Deployed,
    /// It runs, did not pass its gate, and is left for reading.
    LeftForReading,
    /// Nothing runs.
    Rested,
    /// Nothing runs, and the volumes are not to be used as they are.
    Spoiled,
}

/// With what it begins. `whole`: the volumes are as the known-good release left them.
pub fn first(purpose: Purpose, whole: bool) -> Step {
    match purpose {
        Purpose::Seed | Purpose::Promote | Purpose::Restore => Step::Halt,
        Purpose::Deploy if whole => Step::Deploy,
        Purpose::Deploy => Step::Halt,
        Purpose::Quick => Step::Deploy,
        Purpose::Idle | Purpose::Seal => Step::Rest,
    }
}

/// Where work stands that another boot left open. What an app wrote and did not sync went with the power, so the data that
/// passed its gate may not be there any more; from `store` on it is on disk.
pub fn after_boot(purpose: Purpose, step: Step) -> Step {
    match (purpose, step) {
        (Purpose::Seed | Purpose::Promote, Step::Rest) => Step::Withdraw,
        (_, step) => step,
    }
}

/// How the canonical stands while a step is done. `was`: before all of it.
pub fn status(purpose: Purpose, step: Step, was: Option<Status>) -> Status {
    match (purpose, step) {
        (Purpose::Seed, _) => Status::Seeding,
        (Purpose::Promote, _) => Status::Promoting,
        (Purpose::Deploy, Step::Deploy | Step::Judge) => Status::Deployed,
        (Purpose::Idle, Step::Rest) | (Purpose::Seal, _) => was.unwrap_or(Status::Dirty),
        (Purpose::Deploy | Purpose::Quick | Purpose::Idle | Purpose::Restore, _) => Status::Dirty,
    }
}

/// What a step consists of, in order. The journal is written before each step, so a step notes only what it needs on
/// disk before its own end.
pub fn acts(work: &Work) -> Vec<Act> {
    let stored = || work.transaction.kept_volumes().map(|(name, _)| name.to_owned());
    // Only where it will be idle with what it has then: what was started by somebody between two runs of a work that comes to
    // nothing has to be seen afterwards.
    let rest = [Act::Quiesce, Act::Leave, Act::AwaitEnd { clean: true }, Act::ReadIndexes];
    match work.step {
        Step::Halt | Step::Withdraw => vec![Act::Quiesce, Act::AwaitEnd { clean: false }, Act::ReadIndexes],
        // The only other copy of the known-good is about to go.
        Step::Clear if work.transaction.snapshot.is_some() => vec![Act::Verify, Act::Prove, Act::Clear { first: true }],
        Step::Clear | Step::Discard => vec![Act::Prove, Act::Clear { first: false }],
        Step::Make => vec![Act::Verify, Act::Prove, Act::Make],
        Step::PutBack => {
            let exchanged = stored().flat_map(|volume| [Act::Prove, Act::Exchange(volume)]);
            let left = [Act::Leave, Act::ReadIndexes];
            left.into_iter()
                .chain(stored().map(Act::Unpack))
                .chain([Act::Note])
                .chain(exchanged)
                .chain([Act::Mark])
                .collect()
        }
        Step::Deploy => vec![Act::Deploy(Side::Old)],
        // Whoever writes a service after that changes what has run on the data, also where he takes it back.
        Step::Judge if work.purpose == Purpose::Deploy => vec![Act::Judge(Side::Old), Act::ReadIndexes],
        Step::Judge => vec![Act::Judge(Side::Old)],
        Step::Rest if work.purpose == Purpose::Idle => rest.into_iter().chain([Act::Mark]).collect(),
        Step::Rest => rest.into_iter().chain([Act::Prove, Act::Mark, Act::Find]).collect(),
        Step::Store => {
            // Proved when all else is done: reading back takes as long as storing, and nothing may happen meanwhile either.
            let sealed = [Act::Seal, Act::ReadBack, Act::Prove, Act::Mark];
            iter::once(Act::Prove).chain(stored().map(Act::Archive)).chain(sealed).collect()
        }
    }
}

/// The step table. `tried_enough`: what fails was tried again for long enough.
pub fn next(work: &Work, happened: &Happened, tried_enough: bool) -> Next {
    use Happened::{Crashed, Done, Failed, LaidDown, Left, No};
    match happened {
        LaidDown => return Next::LeaveOpen,
        Failed { whose: Whose::Engine, .. } => return if tried_enough { Next::LeaveOpen } else { Next::Again },
        Done => return done(work),
        No(_) | Failed { whose: Whose::Disk, .. } | Crashed | Left(_) => {}
    }
    let found = matches!(happened, Crashed | Left(_));
    match work.purpose {
        Purpose::Seed | Purpose::Promote => not_known_good(work.step, found),
        Purpose::Deploy => not_deployed(work, found, matches!(happened, No(_))),
        Purpose::Quick => match (work.step, happened) {
            (Step::Deploy | Step::Judge, No(_)) => Next::Close(End::LeftForReading),
            (Step::Withdraw, No(_) | Failed { .. }) => Next::LeaveOpen,
            _ => Next::Go(Step::Withdraw),
        },
        // A second look must not find clean what the first one lost sight of.
        Purpose::Idle => match work.step {
            Step::Halt if !found => Next::LeaveOpen,
            _ => Next::Go(Step::Halt),
        },
        Purpose::Restore if found => Next::Go(Step::Halt),
        // Everything that can say no comes before the first volume is removed.
        Purpose::Restore if work.step == Step::Halt => Next::Close(End::Refused),
        Purpose::Restore if work.step == Step::Make && matches!(happened, No(_)) => Next::Close(End::Refused),
        Purpose::Restore => Next::Close(End::Spoiled),
        // What is stored now is the only copy, and is not touched. A later look says whether it still is what was left.
        Purpose::Seal => Next::Close(End::Refused),
    }
}

/// What follows where a step was done.
fn done(work: &Work) -> Next {
    match (work.purpose, work.step) {
        (Purpose::Seed | Purpose::Promote, Step::Halt) => Next::Go(Step::Clear),
        (Purpose::Idle, Step::Halt) => Next::Close(End::Spoiled),
        (_, Step::Halt) => Next::Go(Step::Make),
        (_, Step::Clear) => Next::Go(Step::Deploy),
        (_, Step::Make) => Next::Go(Step::PutBack),
        (Purpose::Deploy, Step::PutBack) => Next::Go(Step::Deploy),
        (Purpose::Promote, Step::PutBack) => Next::Close(End::Undone),
        (_, Step::PutBack) => Next::Close(End::Rested),
        (_, Step::Deploy) => Next::Go(Step::Judge),
        (Purpose::Seed | Purpose::Promote, Step::Judge) => Next::Go(Step::Rest),
        (_, Step::Judge) => Next::Close(End::Deployed),
        (Purpose::Idle, Step::Rest) => Next::Close(End::Rested),
        (_, Step::Rest) => Next::Go(Step::Store),
        (_, Step::Store) => Next::Close(End::Committed),
        (Purpose::Seed | Purpose::Promote, Step::Withdraw) => Next::Go(Step::Discard),
        (_, Step::Withdraw) => Next::Close(End::Spoiled),
        (Purpose::Promote, Step::Discard) if work.transaction.snapshot.is_some() => Next::Go(Step::Make),
        (_, Step::Discard) => Next::Close(End::Undone),
    }
}

/// Where a known-good on its way is not made, or was broken off.
fn not_known_good(step: Step, found: bool) -> Next {
    match step {
        // Nothing was deployed, and the snapshot may not have been read yet. A volume that is gone is missed at the next use.
        Step::Halt | Step::Clear => Next::Close(End::Refused),
        // Nobody saw how it ended, so it has to end once more.
        Step::Rest if found => Next::Go(Step::Deploy),
        Step::Store if found => Next::Go(Step::Store),
        Step::Deploy | Step::Judge | Step::Rest | Step::Store => Next::Go(Step::Withdraw),
        // Whoever has changed the stack meanwhile may have started it.
        Step::Withdraw | Step::Discard if found => Next::Go(Step::Withdraw),
        Step::Withdraw | Step::Discard => Next::LeaveOpen,
        Step::Make | Step::PutBack if found => Next::Go(Step::Withdraw),
        Step::Make | Step::PutBack => Next::Close(End::Spoiled),
    }
}

/// Where the known-good release does not come up. Its volumes may be to blame, but only once.
fn not_deployed(work: &Work, found: bool, no: bool) -> Next {
    match work.step {
        Step::Deploy | Step::Judge if no && !work.put_back && work.transaction.snapshot.is_some() => {
            Next::Go(Step::Halt)
        }
        Step::Withdraw if !found => Next::LeaveOpen,
        _ => Next::Go(Step::Withdraw),
    }
}

/// Whether a canonical may be used as it lies there: idle, and nothing on its way.
pub fn is_at_rest(state: &State) -> bool {
    state.warm.as_ref().is_none_or(|warm| warm.work.is_none() && warm.status != Status::Deployed)
}

#[cfg(test)]
mod tests;
