//! The end of a transaction as an operator reads it: what stands where, and what to do next, in commands.
//!
//! Pure. The border: what the end makes of the state is `upgrade::close`. The surprise: the same words are told by the
//! run that reached the end, by `status` and by the alert, so they speak of the app and never of "this run".

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::model::app::AppName;
use crate::model::outcome::Outcome;
use crate::model::state::{Interrupted, State, Stuck};
use crate::model::transaction::{FaultKind, Purpose, Step, Transaction};
use crate::model::version::Revision;
use crate::upgrade::run::Ended;
use crate::upgrade::step::End;

/// The outcome of a run that ended so; `after` is the state that it left.
pub fn outcome(app: &AppName, ended: &Ended, after: &State) -> Outcome {
    let (end, why, transaction) = match ended {
        Ended::Closed { end, why, transaction } => (*end, why, transaction),
        Ended::Open { why } => return left_open(app, why, after),
    };
    match end {
        End::Upgraded => Outcome::Upgraded(upgraded(app, transaction)),
        End::RolledBack if transaction.has_turned() => Outcome::RolledBack(turned(transaction)),
        End::RolledBack => Outcome::RolledBack(rolled_back(app, transaction, after)),
        End::Blocked => Outcome::Blocked(blocked(app, transaction, after)),
        End::Stuck => match &after.stuck {
            Some(stuck) => Outcome::Stuck(self::stuck(app, stuck)),
            None => Outcome::Stuck(why.clone()),
        },
        End::WentBack => Outcome::Applied(went_back(app, transaction, after)),
        End::Taken => Outcome::Applied(taken(app, transaction)),
    }
}

/// What is on its way, as in `the upgrade 1.0.0+1 -> 1.1.0+1`.
pub fn subject(transaction: &Transaction) -> String {
    let old = &transaction.old.release.body.revision;
    match (transaction.purpose, &transaction.new) {
        (Purpose::Upgrade, Some(new)) if new.body.revision == *old => format!("the change of {old}"),
        (Purpose::Upgrade, _) => format!("the upgrade {}", transaction.target()),
        (Purpose::Rollback, _) => format!("the way back to {old}"),
        (Purpose::Restore, _) => format!("bringing {old} back to {}", snapshot(transaction)),
        (Purpose::Take, _) => format!("the snapshot of {old}"),
    }
}

/// What `status` says of a transaction that is open.
pub fn open(app: &AppName, transaction: &Transaction) -> String {
    format!("{}; `evenkeel resume` finishes it (`evenkeel app {app}` too)", under_way(transaction))
}

/// Of an app that runs leave alone.
pub fn open_and_paused(app: &AppName, transaction: &Transaction) -> String {
    format!(
        "{}; nobody finishes it while {app} is paused, and the app may be down until then: `evenkeel unpause {app}`, then \
         `evenkeel resume`",
        under_way(transaction)
    )
}

fn under_way(transaction: &Transaction) -> String {
    let began = moment(transaction.began);
    let fault = transaction.fault.as_ref().map(|fault| format!(" ({})", fault.reason)).unwrap_or_default();
    let left = transaction.left.as_ref().map(|left| format!("; the last run left it there: {}", left.reason));
    let left = left.unwrap_or_default();
    format!(
        "{}, begun by {} at {began}, stands at {} since {}{fault}{left}",
        subject(transaction),
        transaction.by,
        transaction.step.word(),
        moment(transaction.step_began),
    )
}

/// What stands where after undoing has failed, and the ways out.
pub fn stuck(app: &AppName, stuck: &Stuck) -> String {
    let transaction = &stuck.transaction;
    let mut sentence = format!(
        "{} is stuck since {}: {}; nothing more is tried by itself and nothing was removed. {}",
        subject(transaction),
        moment(stuck.ts),
        stuck.reason,
        stands(transaction),
    );
    let lies = failed_data(transaction);
    if !lies.is_empty() && transaction.step > Step::Withdraw {
        sentence.push_str(&format!(" {} is in {}.", aside(transaction), listed(&lies)));
    }
    sentence.push_str(&format!(
        " To go on: mend the cause, then `evenkeel app {app} --retry` tries {} again",
        transaction.step.word()
    ));
    sentence.push_str(&ways_out(app, transaction));
    sentence
}

/// Other commands than a retry, until each data set that exists is led to.
fn ways_out(app: &AppName, transaction: &Transaction) -> String {
    let old = &transaction.old.release.body.revision;
    if let Some(before) = &transaction.before {
        let before = &before.release.body.revision;
        return match (transaction.has_turned(), transaction.step) {
            (false, _) => format!("; or `evenkeel rollback {app}` brings {before} back, on the data that it had"),
            (true, Step::Redeploy | Step::Rejudge) => {
                format!("; or `evenkeel rollback {app}` tries {old} on {} again", snapshot(transaction))
            }
            // The data is between the two, and only one of them can be meant.
            (true, _) => String::new(),
        };
    }
    match (&transaction.snapshot, transaction.is_stateless()) {
        (Some(id), _) => format!(
            "; or `evenkeel snapshot restore {app} {id}` puts {old} back on its data from before (what was written since is \
             kept aside)"
        ),
        (None, true) => format!("; or `evenkeel rollback {app}` puts {old} back"),
        (None, false) => String::new(),
    }
}

/// What lies beside the volumes once data has changed places.
fn aside(transaction: &Transaction) -> String {
    match (&transaction.before, transaction.step) {
        (Some(_), Step::Restore) => "The data of the other one".to_owned(),
        (Some(_), _) if transaction.has_turned() => {
            format!("What {} made of its snapshot", transaction.old.release.body.revision)
        }
        (Some(before), _) => format!("The data of {}", before.release.body.revision),
        (None, _) => "What the other release wrote".to_owned(),
    }
}

/// Which release and which data are in place.
fn stands(transaction: &Transaction) -> String {
    let old = &transaction.old.release.body.revision;
    let before = transaction.before.as_ref().map(|before| &before.release.body.revision);
    let new = transaction.new.as_ref().map(|new| &new.body.revision).or(before);
    let new = new.map_or_else(|| "the release from before".to_owned(), ToString::to_string);
    let restored = transaction.snapshot.as_deref().filter(|_| transaction.purpose == Purpose::Restore);
    if let (true, Step::Redeploy | Step::Rejudge) = (transaction.has_turned(), transaction.step) {
        return match restored {
            Some(id) => {
                format!("{old} comes up neither on snapshot {id} nor on its own data, which is in place again.")
            }
            None => format!("neither {old} nor {new} comes up; {new}'s own data is in place again."),
        };
    }
    if let (Some(id), Step::Restore) = (restored, transaction.step) {
        return format!("no service of the app runs; each volume holds either its own data or that of snapshot {id}.");
    }
    let stored = match &transaction.snapshot {
        Some(id) => format!(", and {old}'s data is in snapshot {id}"),
        None => String::new(),
    };
    match transaction.step {
        Step::Judge => format!("{new} runs on its own data{stored}."),
        Step::Withdraw => format!("{new} may still run, on its own data{stored}."),
        Step::Restore => {
            format!("no service of the app runs; each volume holds either {old}'s data or {new}'s{stored}.")
        }
        Step::Redeploy | Step::Rejudge if transaction.fault.as_ref().is_some_and(|fault| fault.at < Step::Deploy) => {
            format!("{old} does not come up; its data was not touched.")
        }
        Step::Redeploy | Step::Rejudge => format!("{old} does not come up; its own data is in place{stored}."),
        Step::Stage | Step::Stop | Step::Snapshot | Step::Deploy => format!("{old}'s data is in place{stored}."),
    }
}

fn upgraded(app: &AppName, transaction: &Transaction) -> String {
    let way_back = match (&transaction.snapshot, transaction.is_stateless()) {
        (Some(id), _) => format!(
            "; `evenkeel rollback {app}` would go back, to the data of {} (snapshot {id})",
            moment(transaction.began)
        ),
        (None, true) => format!("; `evenkeel rollback {app}` would go back"),
        (None, false) => String::new(),
    };
    let told = subject(transaction);
    let told = told.strip_prefix("the upgrade ").unwrap_or(&told);
    format!("{told} passed its gate{way_back}")
}

fn rolled_back(app: &AppName, transaction: &Transaction, after: &State) -> String {
    let old = &transaction.old.release.body.revision;
    let (at, kind, why) = fault(transaction);
    let new = transaction.new.as_ref().map(|new| &new.body.revision);
    let first = match kind {
        FaultKind::No => format!("{} did not pass its gate: {why}", subject(transaction)),
        FaultKind::Failed | FaultKind::Crash | FaultKind::LaidDown => {
            format!("{} was broken off at {}: {why}", subject(transaction), at.word())
        }
    };
    let data = match transaction.is_stateless() {
        true => format!("; {old} runs again"),
        false => format!("; {old} runs again on the data that it had when it was stopped{}", window(transaction)),
    };
    let next = match (kind, new) {
        (FaultKind::No, Some(new)) => {
            format!("; it is not tried again by itself ({} has it tried once more)", lifts(app, old, new))
        }
        _ => again(app, transaction, after),
    };
    format!("{first}{data}{next}")
}

/// A way back by hand that was undone.
fn turned(transaction: &Transaction) -> String {
    let (_, _, why) = fault(transaction);
    let runs = transaction.before.as_ref().map(|before| before.release.body.revision.to_string()).unwrap_or_default();
    let data = match transaction.is_stateless() {
        true => String::new(),
        false => format!(" on the data that it had{}", window(transaction)),
    };
    format!("{} did not lead to a healthy app: {why}; {runs} runs again{data}", subject(transaction))
}

/// What a `rollback` of an app that is stuck on a way back by hand means.
pub fn turning(app: &AppName, stuck: &Transaction) -> String {
    let runs = stuck.before.as_ref().map(|before| before.release.body.revision.to_string()).unwrap_or_default();
    let data = match stuck.is_stateless() {
        true => String::new(),
        false => format!(
            " on the data that it had at {}. What {} has written since then goes out of use: it is kept beside the volumes \
             until the next good upgrade",
            moment(stuck.began),
            stuck.old.release.body.revision
        ),
    };
    format!("{} is undone: {app} runs {runs} again{data}. The app is down meanwhile.", subject(stuck))
}

fn blocked(app: &AppName, transaction: &Transaction, after: &State) -> String {
    let old = &transaction.old.release.body.revision;
    let (at, _, why) = fault(transaction);
    if at == Step::Stage {
        return format!(
            "{} was broken off before anything was stopped: {why}; the app is as it was",
            subject(transaction)
        );
    }
    let again = match transaction.purpose {
        Purpose::Upgrade => again(app, transaction, after),
        Purpose::Rollback | Purpose::Restore | Purpose::Take => String::new(),
    };
    format!(
        "{} was broken off at {}: {why}; {old} runs again as before, its data was not touched{again}",
        subject(transaction),
        at.word()
    )
}

/// What becomes of a target about which nothing was learnt.
fn again(app: &AppName, transaction: &Transaction, after: &State) -> String {
    let Some(new) = &transaction.new else { return String::new() };
    let times = after.interrupted.as_ref().filter(|before| before.key == new.key).map_or(0, |before| before.times);
    if times < Interrupted::ENOUGH {
        return "; the next run tries it again".to_owned();
    }
    format!(
        "; that happened {times} times, and it is not tried again by itself ({} has it tried once more)",
        lifts(app, &transaction.old.release.body.revision, &new.body.revision)
    )
}

fn went_back(app: &AppName, transaction: &Transaction, after: &State) -> String {
    let old = &transaction.old.release.body.revision;
    let data = match transaction.is_stateless() {
        true => String::new(),
        false => format!(", on the data of {}{}", snapshot(transaction), window(transaction)),
    };
    let left = match transaction.purpose {
        Purpose::Rollback => match after.refused.last().filter(|refused| refused.by_hand) {
            Some(refused) => format!(
                "; {}, which was left, is not taken again by itself ({} lifts that)",
                refused.revision,
                lifts(app, old, &refused.revision)
            ),
            None => String::new(),
        },
        Purpose::Upgrade | Purpose::Restore | Purpose::Take => String::new(),
    };
    format!("{old} runs again{data}{left}")
}

fn taken(app: &AppName, transaction: &Transaction) -> String {
    let old = &transaction.old.release.body.revision;
    format!(
        "{} of {old} was taken, and the app runs again; it stays until `evenkeel snapshot drop {app} {}`",
        snapshot(transaction),
        transaction.snapshot.as_deref().unwrap_or_default()
    )
}

fn left_open(app: &AppName, why: &str, after: &State) -> Outcome {
    // Why it was left is said first.
    let unsaid = |transaction: &Transaction| Transaction { left: None, ..transaction.clone() };
    let stands = after.open.as_deref().map(|transaction| open(app, &unsaid(transaction)));
    Outcome::Error(match stands {
        Some(stands) => format!("{why}; {stands}"),
        None => why.to_owned(),
    })
}

/// From when to when the release that is gone was writing, and where that is now.
fn window(transaction: &Transaction) -> String {
    let lies = failed_data(transaction);
    if lies.is_empty() {
        return String::new();
    }
    if transaction.has_turned() && transaction.deployed.is_none() {
        // Undone before anything was started.
        return String::new();
    }
    let since = match (transaction.deployed, &transaction.fault) {
        (Some(deployed), Some(fault)) => {
            format!("what was written from {} until it was stopped after {}", moment(deployed), moment(fault.ts))
        }
        _ => "what was there until now".to_owned(),
    };
    format!("; {since} is kept in {}", listed(&lies))
}

/// Where each volume's data lies that made room for a snapshot's.
fn failed_data(transaction: &Transaction) -> Vec<PathBuf> {
    transaction.gave_way().map(|(_, data)| beside(data, &transaction.id)).collect()
}

fn beside(data: &Path, id: &str) -> PathBuf {
    data.with_file_name(format!("evenkeel-{id}-failed"))
}

fn listed(paths: &[PathBuf]) -> String {
    let told: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    told.join(", ")
}

fn snapshot(transaction: &Transaction) -> String {
    transaction.snapshot.as_ref().map_or_else(|| "its snapshot".to_owned(), |id| format!("snapshot {id}"))
}

/// The command by which a person lifts the refusal of `new`. A change of configuration has no version to be approved.
fn lifts(app: &AppName, old: &Revision, new: &Revision) -> String {
    match old == new {
        true => format!("`evenkeel app {app} --retry`"),
        false => format!("`evenkeel approve {app} {}`", named(new)),
    }
}

/// As `approve` takes it.
fn named(revision: &Revision) -> &str {
    revision.version.as_deref().unwrap_or(revision.commit.as_str())
}

fn fault(transaction: &Transaction) -> (Step, FaultKind, &str) {
    match &transaction.fault {
        Some(fault) => (fault.at, fault.kind, &fault.reason),
        None => (transaction.step, FaultKind::Failed, "the cause was not recorded"),
    }
}

fn moment(ts: Timestamp) -> String {
    ts.strftime("%FT%TZ").to_string()
}

#[cfg(test)]
mod tests;
