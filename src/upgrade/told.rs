//! Which alerts an end makes due, and when a fact that was told is over.
//!
//! The border: nothing is written here. An alert stands in the state that the same write puts on disk as what it tells,
//! so that a killed run loses none. The surprise: a fact is not its words. Sizes, times and ids in a sentence change
//! from night to night while nothing has happened, so facts are told apart by what stays.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use super::step::End;
use crate::model::alert::{Alert, Reason, UNDONE};
use crate::model::hex;
use crate::model::history::Decided;
use crate::model::outcome::Outcome;
use crate::model::state::State;
use crate::model::transaction::{Fault, FaultKind, Transaction};
use crate::model::version::Revision;

/// So long a transaction may be open before a person is told.
const UNDECIDED_AFTER: SignedDuration = SignedDuration::from_hours(1);
/// Characters of a sentence, and of release notes, that an alert has at most.
const LONGEST_EVIDENCE: usize = 4_000;
const LONGEST_NOTES: usize = 32_000;
/// An id: so many letters and digits or more.
const LONG_WORD: usize = 12;

/// How a run ended for an app, with what is told beside the sentence.
#[derive(Debug, Clone, Copy)]
pub struct Ending<'a> {
    pub outcome: &'a Outcome,
    /// Which version is held; `None` where something else is, such as a change of configuration.
    pub held: Option<&'a HeldBack>,
    /// Newer versions were looked for: without a word of one, nothing is held any more.
    pub looked: bool,
    /// A transaction was closed: its end is told by [`closed`].
    pub closed: bool,
    /// Nobody was there to read an error.
    pub by_systemd: bool,
}

/// A version that waits for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldBack {
    /// One of the `held` reasons.
    pub reason: Reason,
    pub target: Revision,
    pub release_notes: Option<String>,
}

/// The state after a run has ended: what has to be told is due, what is over may be told again.
pub fn ended(state: &State, ending: &Ending<'_>, now: Timestamp) -> State {
    let mut state = state.clone();
    if ending.closed {
        in_words_of(&mut state, ending.outcome);
    }
    let facts: Vec<Alert> = standing(&state, now).chain(of_outcome(&state, ending, now)).collect();
    let named: BTreeSet<&str> = facts.iter().map(|alert| alert.fact.as_str()).collect();
    let over = |fact: &String| !named.contains(fact.as_str()) && is_over(fact, &state, ending);
    state.alerted = state.alerted.iter().filter(|fact| !over(fact)).cloned().collect();
    facts.into_iter().for_each(|alert| make_due(&mut state, alert));
    state
}

/// Adds to the state that a closed transaction leaves what has to be told of its end, for the reason `why`.
pub fn closed(state: &mut State, end: End, why: &str, transaction: &Transaction, now: Timestamp) {
    let alert = match end {
        End::Upgraded => notes_passed(transaction, now),
        End::RolledBack => Some(rolled_back(transaction, why, now)),
        End::Blocked => Some(blocked(state, transaction, why, now)),
        End::Stuck => standing(state, now).next(),
        End::WentBack | End::Taken => None,
    };
    if let (End::RolledBack, Some(new), true) = (end, &transaction.new, is_refused(transaction)) {
        // That it is held from now on is no news to who is told of the rollback.
        state.alerted.insert(held_fact(&new.body.revision));
    }
    if let Some(alert) = alert {
        make_due(state, alert);
    }
}

/// Adds what has to be told of a version that failed its gate beside what runs, on a throw-away stack or fresh volumes:
/// no transaction of the app tells of it. `id` is that of the try.
pub fn turned_down(state: &mut State, to: &Revision, why: &str, id: &str, now: Timestamp) {
    let stays = state.current.as_ref().map(|current| current.body.revision.to_string()).unwrap_or_default();
    let evidence =
        format!("{to} failed its gate: {}; {stays} stays the known-good, with its data", cut(why, LONGEST_EVIDENCE));
    let alert =
        Alert { to_version: Some(to.to_string()), ..plain(state, Reason::Rollback, "", format!("rollback:{id}"), now) };
    // That it is held from now on is no news to who is told of this.
    state.alerted.insert(held_fact(to));
    make_due(state, Alert { evidence, ..alert });
}

/// Its line of history, should nobody live to write it in better words. `state`: as it was before.
pub fn decided(state: &State, end: End, why: &str, transaction: &Transaction, now: Timestamp) -> Decided {
    let reason = transaction.fault.as_ref().map_or(why, |fault| fault.reason.as_str());
    let to = transaction.new.as_ref().map_or(&transaction.old.release.body, |new| &new.body);
    let sentence = match reason {
        "" => transaction.target(),
        reason => format!("{}: {}", transaction.target(), cut(reason, LONGEST_EVIDENCE)),
    };
    Decided {
        ts: now,
        outcome: end.word().to_owned(),
        sentence,
        by: transaction.by.clone(),
        from: state.current.as_ref().map(|current| current.body.revision.to_string()),
        to: Some(to.revision.to_string()),
    }
}

/// A transaction is closed without the words that the operator reads; where the run lives on, its alert has them.
fn in_words_of(state: &mut State, outcome: &Outcome) {
    let reason = match outcome {
        Outcome::RolledBack(_) => Reason::Rollback,
        Outcome::Blocked(_) => Reason::Blocked,
        Outcome::Stuck(_) => Reason::Stuck,
        _ => return,
    };
    let newest = state.due_alerts.iter_mut().rev().find(|alert| alert.reason == reason);
    if let Some(alert) = newest {
        alert.evidence = cut(outcome.sentence(), LONGEST_EVIDENCE);
    }
}

fn is_refused(transaction: &Transaction) -> bool {
    transaction.fault.as_ref().is_some_and(|fault| fault.kind == FaultKind::No)
}

/// Unless the fact was told already.
fn make_due(state: &mut State, alert: Alert) {
    if state.alerted.insert(alert.fact.clone()) {
        state.due_alerts.push(alert);
    }
}

/// What the state says by itself, whatever a run did.
fn standing(state: &State, now: Timestamp) -> impl Iterator<Item = Alert> + use<> {
    let stuck = state.stuck.as_ref().map(|stuck| {
        let fact = format!("stuck:{}", stuck.transaction.id);
        let why = cut(&stuck.reason, LONGEST_EVIDENCE);
        of_transaction(Reason::Stuck, &stuck.transaction, why, fact, stuck.ts)
    });
    let open = state.open.as_deref().filter(|open| now.duration_since(open.began) >= UNDECIDED_AFTER);
    let undecided = open.map(|open| {
        let why =
            format!("{} has been open since {} and stands at {}", open.target(), clock(open.began), open.step.word());
        let why = match &open.fault {
            Some(fault) => format!("{why}; it goes back because: {}", cut(&fault.reason, LONGEST_EVIDENCE)),
            None => why,
        };
        let why = match &open.left {
            Some(left) => format!("{why}; the last run left it there: {}", cut(&left.reason, LONGEST_EVIDENCE)),
            None => why,
        };
        let fact = format!("{}{}", undecided_of(&open.id), gist(keeps_it_open(open)));
        of_transaction(Reason::Undecided, open, why, fact, now)
    });
    stuck.into_iter().chain(undecided)
}

/// How a fact about a transaction that stays open begins.
fn undecided_of(id: &str) -> String {
    format!("undecided:{id}:")
}

/// What has to be mended before it ends; a run that was killed, or asked to end, only has to be followed by another.
fn keeps_it_open(open: &Transaction) -> &str {
    let left = open.left.as_ref().filter(|left| left.kind == FaultKind::Failed);
    left.map_or("", |left| left.reason.as_str())
}

fn of_outcome(state: &State, ending: &Ending<'_>, now: Timestamp) -> Option<Alert> {
    let sentence = ending.outcome.sentence();
    let plain = |reason, fact| Alert { ..plain(state, reason, sentence, fact, now) };
    match ending.outcome {
        Outcome::Converged | Outcome::Applied(_) | Outcome::Upgraded(_) | Outcome::Waiting(_) => None,
        // Told when the transaction was closed.
        Outcome::RolledBack(_) | Outcome::Stuck(_) => None,
        Outcome::Blocked(_) if ending.closed => None,
        Outcome::Held(_) => Some(match ending.held {
            None => plain(Reason::HeldPolicy, format!("held::{}", short(sentence))),
            Some(held) => Alert {
                to_version: Some(held.target.to_string()),
                release_notes: held.release_notes.as_deref().map(|notes| cut(notes, LONGEST_NOTES)),
                ..plain(held.reason, held_fact(&held.target))
            },
        }),
        Outcome::Blocked(_) => Some(plain(Reason::Blocked, format!("blocked:{}", gist(sentence)))),
        Outcome::Unhealthy(_) => Some(plain(Reason::Unhealthy, format!("unhealthy:{}", tried(state)))),
        // An open transaction is tried again in minutes, and told of when that has not helped.
        Outcome::Error(_) if !ending.by_systemd || state.open.is_some() => None,
        Outcome::Error(_) => Some(plain(Reason::Error, format!("error:{}", gist(sentence)))),
    }
}

/// Whether what was told is not so any more, as far as this end can know.
fn is_over(fact: &str, state: &State, ending: &Ending<'_>) -> bool {
    use Outcome::{Applied, Blocked, Converged, Error, Held, RolledBack, Stuck, Unhealthy, Upgraded, Waiting};
    let outcome = ending.outcome;
    let runs_well = matches!(outcome, Converged | Applied(_) | Upgraded(_) | Held(_) | RolledBack(_));
    let nothing_blocked = ending.looked && matches!(outcome, Converged | Applied(_) | Upgraded(_));
    let (class, rest) = fact.split_once(':').unwrap_or((fact, ""));
    match class {
        "stuck" => state.stuck.as_ref().is_none_or(|stuck| stuck.transaction.id != rest),
        "undecided" => state.open.as_ref().is_none_or(|open| !fact.starts_with(&undecided_of(&open.id))),
        "error" => !matches!(outcome, Error(_) | Waiting(_)),
        "blocked" => runs_well || matches!(outcome, Unhealthy(_) | Stuck(_)),
        "unhealthy" => runs_well || matches!(outcome, Unhealthy(_)),
        // Also where a nearer version was taken, the one beyond it is held still.
        "held" => (nothing_blocked || (ending.looked && matches!(outcome, Held(_)))) && !is_held(fact, ending),
        // Another release runs, so the way from it is another one.
        "upgrade" => nothing_blocked || !rest.starts_with(&from(state)),
        // Ends of transactions, each of which is there once.
        "rollback" | "undone" | "release-notes" => true,
        _ => !matches!(outcome, Error(_) | Waiting(_) | Blocked(_)),
    }
}

fn plain(state: &State, reason: Reason, evidence: &str, fact: String, now: Timestamp) -> Alert {
    Alert {
        reason,
        from_version: state.current.as_ref().map(|current| current.body.revision.to_string()),
        to_version: None,
        release_notes: None,
        ts: now,
        evidence: cut(evidence, LONGEST_EVIDENCE),
        fact,
    }
}

fn of_transaction(reason: Reason, transaction: &Transaction, evidence: String, fact: String, ts: Timestamp) -> Alert {
    let old = transaction.old.release.body.revision.to_string();
    let before = transaction.before.as_ref().map(|before| before.release.body.revision.to_string());
    let (from_version, to_version) = match &transaction.new {
        Some(new) => (Some(old), Some(new.body.revision.to_string())),
        None => (before, Some(old)),
    };
    let notes = transaction.new.as_ref().and_then(|new| new.notes.as_ref());
    let release_notes = notes.map(|notes| cut(&notes.text, LONGEST_NOTES));
    Alert { reason, from_version, to_version, release_notes, ts, evidence, fact }
}

fn notes_passed(transaction: &Transaction, now: Timestamp) -> Option<Alert> {
    let new = transaction.new.as_ref()?;
    new.notes.as_ref().filter(|notes| notes.is_told)?;
    let evidence = format!("{} was taken, and there are release notes on the way", new.body.revision);
    Some(of_transaction(Reason::ReleaseNotes, transaction, evidence, format!("release-notes:{}", transaction.id), now))
}

/// With when people may have written to what was given up, and where that lies.
fn rolled_back(transaction: &Transaction, why: &str, now: Timestamp) -> Alert {
    let fault = transaction.fault.as_ref();
    let mut evidence = cut(fault.map_or(why, |fault| fault.reason.as_str()), LONGEST_EVIDENCE);
    if let (Some(fault), Some(new)) = (fault, &transaction.new) {
        let by_itself = match fault.kind {
            FaultKind::No => "",
            FaultKind::Failed | FaultKind::Crash | FaultKind::LaidDown => {
                " (that says nothing about the version, which is tried again)"
            }
        };
        evidence = format!("{} failed at {}: {evidence}{by_itself}", new.body.revision, fault.at.word());
        evidence.push_str(&written_between(transaction, fault));
    }
    if let (Some(fault), Some(before)) = (fault, transaction.before.as_ref().filter(|_| transaction.has_turned())) {
        let (old, before) = (&transaction.old.release.body.revision, &before.release.body.revision);
        evidence = format!("{old} failed at {}: {evidence}; {before} runs again", fault.at.word());
        evidence.push_str(&written_between(transaction, fault));
    }
    let fact = match transaction.has_turned() {
        true => format!("{UNDONE}{}", transaction.id),
        false => format!("rollback:{}", transaction.id),
    };
    of_transaction(Reason::Rollback, transaction, evidence, fact, now)
}

fn written_between(transaction: &Transaction, fault: &Fault) -> String {
    let Some(deployed) = transaction.deployed.filter(|_| !transaction.is_stateless()) else { return String::new() };
    let failed = |(_, mountpoint): (&str, &std::path::PathBuf)| {
        let beside = mountpoint.parent()?.join(format!("evenkeel-{}-failed", transaction.id));
        Some(beside.display().to_string())
    };
    let failed: Vec<String> = transaction.gave_way().filter_map(failed).collect();
    let data = match failed.is_empty() {
        true => String::new(),
        false => {
            format!(": it lies in {} until the next good upgrade, or until more data gives way", failed.join(", "))
        }
    };
    format!(
        "; what was written from {} until it was stopped after {} is not in the data that runs now{data}",
        clock(deployed),
        clock(fault.ts)
    )
}

/// Nothing was taken: tried again each night, and told once for the way between the same two releases.
fn blocked(state: &State, transaction: &Transaction, why: &str, now: Timestamp) -> Alert {
    let reason = transaction.fault.as_ref().map_or(why, |fault| fault.reason.as_str());
    let to = transaction.new.as_ref().map(|new| new.body.revision.to_string()).unwrap_or_default();
    let fact = format!("upgrade:{}{to}:{}", from(state), gist(reason));
    let stopped = transaction.fault.as_ref().map_or(transaction.step, |fault| fault.at);
    let reason = cut(reason, LONGEST_EVIDENCE);
    let evidence = format!("{} ended at {}: {reason}; the app runs as before", transaction.target(), stopped.word());
    of_transaction(Reason::Blocked, transaction, evidence, fact, now)
}

/// Names the release that runs, at the beginning of a fact about a way from it.
fn from(state: &State) -> String {
    let key = state.current.as_ref().map_or("", |current| current.key.as_str());
    format!("{}:", short(key))
}

/// Names what is not well: the configuration that is tried, or the one that runs.
fn tried(state: &State) -> String {
    let attempts = [&state.changing, &state.installing].into_iter().flatten();
    let failed = attempts.filter(|attempt| attempt.failed.is_some()).map(|attempt| attempt.key.as_str());
    let current = state.current.as_ref().map(|current| current.key.as_str());
    short(failed.chain(current).next().unwrap_or_default())
}

/// One version is held once, whatever holds it.
fn held_fact(target: &Revision) -> String {
    format!("held:{target}:{}", target.commit.short())
}

fn is_held(fact: &str, ending: &Ending<'_>) -> bool {
    ending.held.is_some_and(|held| held_fact(&held.target) == fact)
}

/// What stays of a sentence: its words without numbers, times, sizes and ids.
fn gist(sentence: &str) -> String {
    let words = sentence.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let is_passing = |word: &&str| {
        let has_digit = || word.contains(|c: char| c.is_ascii_digit());
        word.starts_with(|c: char| c.is_ascii_digit()) || (word.len() >= LONG_WORD && has_digit())
    };
    let stays: Vec<String> = words.filter(|word| !is_passing(word)).map(str::to_lowercase).collect();
    short(&stays.join(" "))
}

fn short(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes())[..6])
}

fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn clock(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

#[cfg(test)]
mod tests;
