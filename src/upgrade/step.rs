//! The steps of a transaction, the acts of each, and what comes next: all of it values.
//!
//! The border: nothing is done here, and no clock is read. The surprise: a crash is an answer like any other, since the
//! next run finds the step in the journal and asks the same table.
//!
//! | at | what happened | then |
//! |---|---|---|
//! | stage | done | withdraw |
//! | stage | no, disk, crash | `blocked`: nothing was touched |
//! | stop, snapshot | no, disk, crash | redeploy, rejudge, `blocked` |
//! | deploy | crash; a disk that stays bad | withdraw, restore, redeploy, rejudge, `rolled-back`; late: a crash deploys again, a disk is `stuck` |
//! | deploy, judge | no | the same way back; late: `stuck`, since people have been writing |
//! | judge | crash | judge again |
//! | withdraw to rejudge | crash | again |
//! | withdraw to rejudge | no | `stuck` |
//! | the same, by hand | no | withdraw, restore, redeploy, rejudge what ran before, `rolled-back`; late: `stuck` |
//! | the same, while that is undone | no | `stuck` |
//! | any | no answer | again for a while, then left open; so a dead Engine never undoes an upgrade |
//! | any | asked to end | left open |

use std::iter;

use jiff::{SignedDuration, Timestamp};

use crate::model::transaction::{Fault, FaultKind, Purpose, Step, Transaction};

/// How long an Engine or disk that fails is tried again within one run.
pub const RETRY: SignedDuration = SignedDuration::from_mins(15);
/// A No that comes later than the deadline and this takes no data back: people have been writing.
const LATE: SignedDuration = SignedDuration::from_mins(15);

/// Which of a transaction's releases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    New,
    Old,
    /// What ran when a way back by hand began.
    Before,
}

/// One thing to do. Each may be done again after a crash in the middle of it, or after it failed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Act {
    /// Takes every replica away; removes job and global services. Networks stay. Remembers which containers ran.
    Quiesce,
    /// Waits until the containers that were told to end have ended, and removes the exited ones of the stack's own
    /// services. A service that is meant to run is not waited for.
    ///
    /// `clean`: a container that had to be killed at the end of its grace is a No, and so is one whose end nobody saw:
    /// a second try must not find clean what the first one lost sight of.
    AwaitEnd { clean: bool },
    /// Writes each service that runs nothing in such a way that it can be seen later whether anybody has written it since.
    /// Only of a canonical.
    Leave,
    /// Reads each service's `Version.Index`, once Swarm has settled what was written.
    ReadIndexes,
    /// Writes the journal.
    Note,
    /// Nobody has written a service since its index was read, and no container of anyone that runs, is created, paused
    /// or restarting holds one of the volumes, or a path above or below one.
    Prove,
    /// Stores a volume in the snapshot that is named by the transaction; on disk when done. Replaces what a killed run
    /// left of it.
    Archive(String),
    /// Writes the manifest; on disk with its folder, and that one's, when done.
    Seal,
    /// Reads every archive back. This gives the snapshot to the journal, once the step is done.
    ReadBack,
    /// Sees whether nothing of the app runs. As long as that is so, nobody can have written to it.
    SeeStandstill,
    /// Writes a release's objects to the Engine, without a second write for what is equal already.
    Deploy(Side),
    /// Waits for the verdict.
    Judge(Side),
    /// Unpacks a volume beside its `_data`, the archive checked against the manifest first; on disk with its folder when
    /// done. Where the journal names an inode already and the stage or `_data` is that one, there is nothing to do.
    Unpack(String),
    /// Puts the unpacked folder in the place of `_data`, which stays beside it as the failed data; on disk when done.
    /// Where `_data` is the folder that the journal names, only the names beside it are put right.
    Exchange(String),
    /// Moves aside what is in a volume that the data to go back to knows nothing of, and leaves it as a new one.
    SetAside(String),
    /// Gives a volume the data back that it had when the way back by hand began. What was put in its place stays beside it
    /// as the failed data. Nothing is done where nothing had taken its place.
    GiveBack(String),
    /// Reads back the snapshot that the journal names.
    Verify,
    /// Removes the stack's own volumes with their data, but those that are left out. Only of a canonical, whose data is a
    /// snapshot.
    ///
    /// `first`: nothing was removed yet, and what no snapshot holds is a No.
    Clear { first: bool },
    /// Makes the volumes of the snapshot that the journal names anew, and removes what came into the stack after that was
    /// taken; gives them to the journal. Only of a canonical.
    Make,
    /// Gives the stack's volumes to the journal, where all of them can be stored and put back.
    Find,
    /// Has the data of the stack's own volumes on disk, and tells what they are known by.
    Mark,
}

/// How a step, or one act of it, ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happened {
    Done,
    /// The app said no, in the words that the operator is told.
    No(String),
    /// Nothing can be said.
    Failed {
        whose: Whose,
        why: String,
    },
    /// The run was asked to end, and did between two acts.
    LaidDown,
    /// A run before this one was killed.
    Crashed,
    /// A run before this one left the step, and could say why.
    Left(Fault),
}

/// When the table is asked.
#[derive(Debug, Clone, Copy)]
pub struct When {
    pub now: Timestamp,
    /// Since when this run has been trying the step; a run before it does not count.
    pub trying_since: Timestamp,
}

/// What failed, where nobody said no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Whose {
    /// The Engine, or the proxy through which an app is judged: it may be back in a minute.
    Engine,
    /// A disk or a tool: trying again at once helps nobody.
    Disk,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Next {
    Go(Step),
    /// The same step again, after a moment.
    Again,
    /// The journal stays open for a later run.
    LeaveOpen,
    Close(End),
}

/// How a transaction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum End {
    /// The new release runs and passed its gate.
    Upgraded,
    /// What ran before runs on the data that it had.
    RolledBack,
    /// The old release runs as if nothing had been tried.
    Blocked,
    /// Going back failed: everything is left as it is.
    Stuck,
    /// By hand: the release that was gone back to runs on its snapshot.
    WentBack,
    /// By hand: the snapshot was taken and the app runs again.
    Taken,
}

impl End {
    /// The outcome's word.
    pub fn word(self) -> &'static str {
        match self {
            End::Upgraded => "upgraded",
            End::RolledBack => "rolled-back",
            End::Blocked => "blocked",
            End::Stuck => "stuck",
            End::WentBack | End::Taken => "applied",
        }
    }
}

/// With what a transaction begins.
pub fn first(transaction: &Transaction) -> Step {
    match transaction.purpose {
        Purpose::Upgrade if transaction.is_stateless() => Step::Deploy,
        Purpose::Upgrade | Purpose::Take => Step::Stop,
        Purpose::Rollback | Purpose::Restore if transaction.is_stateless() => Step::Redeploy,
        Purpose::Rollback | Purpose::Restore => Step::Stage,
    }
}

/// What a step consists of, in order. The journal is written before each step, so a step notes only what it needs on
/// disk before its own end.
pub fn acts(transaction: &Transaction) -> Vec<Act> {
    let stored = || transaction.kept_volumes().map(|(name, _)| name.to_owned());
    let has_data = !transaction.is_stateless();
    match transaction.step {
        Step::Stage => stored().map(Act::Unpack).collect(),
        Step::Stop => vec![Act::Quiesce, Act::AwaitEnd { clean: true }, Act::ReadIndexes, Act::Prove],
        Step::Snapshot => {
            // Proved when all else is done: reading back takes as long as storing, and nothing may happen meanwhile either.
            let sealed = [Act::Seal, Act::ReadBack, Act::Prove];
            iter::once(Act::Prove).chain(stored().map(Act::Archive)).chain(sealed).collect()
        }
        // However long the Engine is away: as long as nothing was started, nobody has been writing.
        Step::Deploy if has_data => vec![Act::SeeStandstill, Act::Note, Act::Deploy(Side::New)],
        Step::Deploy => vec![Act::Deploy(Side::New)],
        Step::Judge => vec![Act::Judge(Side::New)],
        Step::Withdraw if has_data => vec![Act::Quiesce, Act::AwaitEnd { clean: false }, Act::ReadIndexes],
        Step::Restore if has_data && transaction.has_turned() => {
            let all = stored().chain(unknown(transaction));
            all.flat_map(|volume| [Act::Prove, Act::GiveBack(volume)]).collect()
        }
        Step::Restore if has_data => {
            let unpacked = stored().map(Act::Unpack).chain([Act::Note]);
            let exchanged = stored().flat_map(|volume| [Act::Prove, Act::Exchange(volume)]);
            let set_aside = unknown(transaction).flat_map(|volume| [Act::Prove, Act::SetAside(volume)]);
            unpacked.chain(exchanged).chain(set_aside).collect()
        }
        Step::Withdraw | Step::Restore => Vec::new(),
        Step::Redeploy if has_data => {
            // A stop that was cut short may still be under way, and two containers would hold a volume at once.
            let ended = [Act::AwaitEnd { clean: false }];
            let seen = [Act::SeeStandstill, Act::Note].into_iter().filter(|_| transaction.can_turn());
            ended.into_iter().chain(seen).chain([Act::Deploy(back_to(transaction))]).collect()
        }
        Step::Redeploy => vec![Act::Deploy(back_to(transaction))],
        Step::Rejudge => vec![Act::Judge(back_to(transaction))],
    }
}

/// Which release the way back leads to now.
fn back_to(transaction: &Transaction) -> Side {
    if transaction.has_turned() { Side::Before } else { Side::Old }
}

/// Volumes that the data to go back to knows nothing of.
fn unknown(transaction: &Transaction) -> impl Iterator<Item = String> {
    let new = transaction.volumes.iter().filter(|(_, volume)| volume.mountpoint.is_none() && !volume.left_out);
    new.map(|(name, _)| name.clone())
}

/// The step table.
pub fn next(transaction: &Transaction, happened: &Happened, when: When) -> Next {
    use Happened::{Crashed, Done, Failed, LaidDown, Left, No};
    use Step::{Deploy, Judge, Redeploy, Rejudge, Restore, Snapshot, Stage, Stop, Withdraw};
    let tried_enough = when.now.duration_since(when.trying_since) >= RETRY;
    let again = if tried_enough { Next::LeaveOpen } else { Next::Again };
    let late = is_late(transaction, when.now);
    match (transaction.step, happened) {
        (_, LaidDown) => Next::LeaveOpen,

        (Stage, Done) => Next::Go(Withdraw),
        (Stage | Stop | Snapshot, Failed { whose: Whose::Engine, .. }) => again,
        (Stage, No(_) | Failed { .. } | Crashed | Left(_)) => Next::Close(End::Blocked),

        (Stop, Done) => Next::Go(Snapshot),
        (Snapshot, Done) if transaction.purpose == Purpose::Take => Next::Go(Redeploy),
        (Snapshot, Done) => Next::Go(Deploy),
        (Stop | Snapshot, No(_) | Failed { .. } | Crashed | Left(_)) => Next::Go(Redeploy),

        (Deploy, Done) => Next::Go(Judge),
        (Deploy, Failed { whose: Whose::Disk, .. }) if tried_enough && late => Next::Close(End::Stuck),
        (Deploy, Failed { whose: Whose::Disk, .. }) if tried_enough => Next::Go(Withdraw),
        (Deploy, Failed { .. }) => again,
        (Deploy, Left(_)) => Next::Go(Deploy),
        (Deploy, Crashed) if late => Next::Go(Deploy),
        (Deploy, Crashed) => Next::Go(Withdraw),

        (Judge, Done) => Next::Close(End::Upgraded),
        (Deploy | Judge, No(_)) if late => Next::Close(End::Stuck),
        (Deploy | Judge, No(_)) => Next::Go(Withdraw),

        (Withdraw, Done) => Next::Go(Restore),
        (Restore, Done) => Next::Go(Redeploy),
        (Redeploy, Done) => Next::Go(Rejudge),
        (Rejudge, Done) => Next::Close(end(transaction)),
        (Withdraw | Restore | Redeploy | Rejudge, No(_)) if transaction.can_turn() && !late => Next::Go(Withdraw),
        (Withdraw | Restore | Redeploy | Rejudge, No(_)) => Next::Close(End::Stuck),
        (Judge | Withdraw | Restore | Redeploy | Rejudge, Failed { .. }) => again,
        (step @ (Judge | Withdraw | Restore | Redeploy | Rejudge), Crashed | Left(_)) => Next::Go(step),
    }
}

/// Whether it is so long since the app stood still that people have been writing to it.
pub fn is_late(transaction: &Transaction, now: Timestamp) -> bool {
    let Some(deployed) = transaction.deployed.filter(|_| !transaction.rules.late_rollback) else { return false };
    let within = SignedDuration::from_secs(i64::try_from(transaction.rules.within).unwrap_or(i64::MAX / 4));
    !transaction.is_stateless() && now.duration_since(deployed) > within.saturating_add(LATE)
}

/// What it means that the release that the way back led to passed its gate.
fn end(transaction: &Transaction) -> End {
    let Some(fault) = &transaction.fault else {
        return match transaction.purpose {
            Purpose::Take => End::Taken,
            Purpose::Upgrade | Purpose::Rollback | Purpose::Restore => End::WentBack,
        };
    };
    if fault.at < Step::Deploy { End::Blocked } else { End::RolledBack }
}

/// The transaction's fault after a step ended so. Only what turns it back is one: what goes wrong on the way back is
/// told by its own end, and a verdict that was not reached is asked for again.
pub fn fault(transaction: &Transaction, happened: &Happened, next: Next, now: Timestamp) -> Option<Fault> {
    if next == Next::Close(End::Upgraded) {
        return None;
    }
    let turns_back = match next {
        Next::Go(Step::Redeploy) => transaction.step < Step::Deploy && *happened != Happened::Done,
        Next::Go(Step::Withdraw) if transaction.step == Step::Withdraw => matches!(happened, Happened::No(_)),
        Next::Go(Step::Withdraw) => *happened != Happened::Done,
        Next::Close(End::Blocked) => transaction.step == Step::Stage,
        Next::Close(End::Stuck) => transaction.step <= Step::Judge,
        _ => false,
    };
    if turns_back { left(transaction, happened, now) } else { transaction.fault.clone() }
}

/// How a step ended that was not done, for the journal.
pub fn left(transaction: &Transaction, happened: &Happened, now: Timestamp) -> Option<Fault> {
    let (kind, reason) = match happened {
        Happened::Done => return None,
        Happened::No(why) => (FaultKind::No, why.as_str()),
        Happened::Failed { why, .. } => (FaultKind::Failed, why.as_str()),
        Happened::LaidDown => (FaultKind::LaidDown, "the run was asked to end"),
        Happened::Crashed => (FaultKind::Crash, "the run was killed in the middle"),
        Happened::Left(fault) => return Some(fault.clone()),
    };
    Some(Fault { at: transaction.step, kind, reason: reason.to_owned(), ts: now })
}

#[cfg(test)]
mod tests;
