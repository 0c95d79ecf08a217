//! The steps of a transaction, the acts of each, and what comes next: all of it values.
//!
//! The border: nothing is done here, and no clock is read. The surprise: a crash is an answer like any other, since the
//! next run finds the step in the journal and asks the same table.

use jiff::{SignedDuration, Timestamp};

use crate::model::transaction::{FaultKind, Purpose, Step, Transaction};

/// How long an Engine or disk that fails is tried again within one run, counted from the step's beginning.
pub const RETRY: SignedDuration = SignedDuration::from_mins(15);
/// A No that comes later than the deadline and this takes no data back: people have been writing.
const LATE: SignedDuration = SignedDuration::from_mins(15);

/// Which of the two releases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    New,
    Old,
}

/// One thing to do. Each may be done again after a crash in the middle of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Act {
    /// Takes every replica away; removes job and global services. Networks stay.
    Quiesce,
    /// Waits until the stack's containers have ended and removes the exited ones. `clean`: one that had to be killed at
    /// the end of its grace is a No.
    AwaitEnd { clean: bool },
    /// Reads each service's `Version.Index`, once Swarm has settled what was written.
    ReadIndexes,
    /// Writes the journal.
    Note,
    /// Nobody has written a service since its index was read, and no container of anyone holds a volume or a path above
    /// or below one.
    Prove,
    /// Stores a volume; on disk when done.
    Archive(String),
    /// Writes the manifest; on disk with its folder when done.
    Seal,
    /// Reads every archive back.
    ReadBack,
    /// Writes a release's objects to the Engine.
    Deploy(Side),
    /// Waits for the verdict.
    Judge(Side),
    /// Unpacks a volume beside its `_data`, checked against the manifest first; on disk when done.
    Unpack(String),
    /// Puts the unpacked folder in the place of `_data`, which stays beside it; on disk when done.
    Exchange(String),
    /// Moves aside what the failed release wrote into a volume that did not exist before it.
    SetAside(String),
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
    /// The old release runs on the data that it had.
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

/// With what a transaction begins.
pub fn first(transaction: &Transaction) -> Step {
    match transaction.purpose {
        Purpose::Upgrade if transaction.is_stateless() => Step::Deploy,
        Purpose::Upgrade | Purpose::Take => Step::Stop,
        Purpose::Rollback | Purpose::Restore => Step::Withdraw,
    }
}

/// What a step consists of, in order.
pub fn acts(transaction: &Transaction) -> Vec<Act> {
    let stored = || transaction.kept_volumes().map(|(name, _)| name.to_owned());
    let prove = std::iter::once(Act::Prove);
    match transaction.step {
        Step::Stop => vec![Act::Quiesce, Act::AwaitEnd { clean: true }, Act::ReadIndexes, Act::Note, Act::Prove],
        Step::Snapshot => {
            let sealed = [Act::Seal, Act::Prove, Act::ReadBack, Act::Note];
            prove.chain(stored().map(Act::Archive)).chain(sealed).collect()
        }
        Step::Deploy => vec![Act::Deploy(Side::New)],
        Step::Judge => vec![Act::Judge(Side::New)],
        Step::Withdraw if transaction.is_stateless() => Vec::new(),
        Step::Withdraw => vec![Act::Quiesce, Act::AwaitEnd { clean: false }, Act::ReadIndexes, Act::Note],
        Step::Restore => {
            let unpacked = stored().map(Act::Unpack).chain([Act::Note]);
            let exchanged = stored().flat_map(|volume| [Act::Prove, Act::Exchange(volume)]);
            let created = created(transaction).flat_map(|volume| [Act::Prove, Act::SetAside(volume)]);
            unpacked.chain(exchanged).chain(created).collect()
        }
        Step::Redeploy => vec![Act::Deploy(Side::Old)],
        Step::Rejudge => vec![Act::Judge(Side::Old)],
    }
}

/// Volumes that only the new release has.
fn created(transaction: &Transaction) -> impl Iterator<Item = String> {
    let new = transaction.volumes.iter().filter(|(_, volume)| volume.mountpoint.is_none() && !volume.left_out);
    new.map(|(name, _)| name.clone())
}

/// The step table.
pub fn next(transaction: &Transaction, happened: &Happened, now: Timestamp) -> Next {
    use Happened::{Crashed, Done, Failed, LaidDown, No};
    use Step::{Deploy, Judge, Redeploy, Rejudge, Restore, Snapshot, Stop, Withdraw};
    match (transaction.step, happened) {
        (_, LaidDown) => Next::LeaveOpen,

        (Stop, Done) => Next::Go(Snapshot),
        (Snapshot, Done) if transaction.purpose == Purpose::Take => Next::Go(Redeploy),
        (Snapshot, Done) => Next::Go(Deploy),
        (Stop | Snapshot, Failed { whose: Whose::Engine, .. }) => again(transaction, now),
        (Stop | Snapshot, No(_) | Failed { whose: Whose::Disk, .. } | Crashed) => Next::Go(Redeploy),

        (Deploy, Done) => Next::Go(Judge),
        (Deploy, Failed { .. }) => again(transaction, now),
        (Deploy, No(_) | Crashed) => Next::Go(Withdraw),

        (Judge, Done) => Next::Close(End::Upgraded),
        (Judge, No(_)) if is_late(transaction, now) => Next::Close(End::Stuck),
        (Judge, No(_)) => Next::Go(Withdraw),
        (Judge, Failed { .. }) => again(transaction, now),
        (Judge, Crashed) => Next::Go(Judge),

        (Withdraw, Done) => Next::Go(Restore),
        (Restore, Done) => Next::Go(Redeploy),
        (Redeploy, Done) => Next::Go(Rejudge),
        (Rejudge, Done) => Next::Close(end(transaction)),
        (Withdraw | Restore | Redeploy | Rejudge, No(_)) => Next::Close(End::Stuck),
        (Withdraw | Restore | Redeploy | Rejudge, Failed { .. }) => again(transaction, now),
        (step @ (Withdraw | Restore | Redeploy | Rejudge), Crashed) => Next::Go(step),
    }
}

fn again(transaction: &Transaction, now: Timestamp) -> Next {
    if now.duration_since(transaction.step_began) < RETRY { Next::Again } else { Next::LeaveOpen }
}

/// Whether a No comes so late that people have been writing to the new release.
pub fn is_late(transaction: &Transaction, now: Timestamp) -> bool {
    let Some(deployed) = transaction.deployed.filter(|_| !transaction.rules.late_rollback) else { return false };
    let within = SignedDuration::from_secs(i64::try_from(transaction.rules.within).unwrap_or(i64::MAX / 4));
    !transaction.is_stateless() && now.duration_since(deployed) > within.saturating_add(LATE)
}

/// What it means that the old release passed its gate.
fn end(transaction: &Transaction) -> End {
    let Some(fault) = &transaction.fault else {
        return match transaction.purpose {
            Purpose::Take => End::Taken,
            Purpose::Upgrade | Purpose::Rollback | Purpose::Restore => End::WentBack,
        };
    };
    if fault.at < Step::Deploy { End::Blocked } else { End::RolledBack }
}

/// Whether a run was killed on the way to the new release, so that one more counts towards giving up.
pub fn is_interrupted(transaction: &Transaction, happened: &Happened) -> bool {
    *happened == Happened::Crashed && transaction.step <= Step::Deploy
}

/// What becomes the transaction's fault when a step ends so; `None` where that changes nothing.
pub fn fault_kind(happened: &Happened) -> Option<FaultKind> {
    match happened {
        Happened::Done => None,
        Happened::No(_) => Some(FaultKind::No),
        Happened::Failed { .. } => Some(FaultKind::Failed),
        Happened::LaidDown => Some(FaultKind::LaidDown),
        Happened::Crashed => Some(FaultKind::Crash),
    }
}

#[cfg(test)]
mod tests;
