//! How what was asked of a canonical ended, in the operator's words.

use std::path::Path;

use crate::model::app::{AppName, StackName};
use crate::model::diagnostic::Diagnostics;
use crate::model::outcome::Outcome;
use crate::model::state::{Release, State};
use crate::model::version::Revision;
use crate::model::warm::{Purpose, Status, Step, Work};
use crate::policy::promotion::Refusal;
use crate::warm::step::{BROKEN_OFF, End};

/// `state`: as it is now. `found`: it had been broken off, and this run has only finished or undone it.
pub fn outcome(app: &AppName, end: End, work: &Work, state: &State, found: bool) -> Outcome {
    let what = work.purpose.word();
    let release = &work.transaction.old.release;
    let to = &release.body.revision;
    let no = work.no.clone().unwrap_or_default();
    let known = state.current.as_ref().map(|known| known.body.revision.to_string()).unwrap_or_default();
    let dirty = dirty(app, state);
    let outcome = match (end, work.purpose) {
        (End::Committed, Purpose::Seed) => Outcome::Applied(format!(
            "seeded {to}: it passed its gate, its data is stored as snapshot {}, and nothing of it runs",
            work.transaction.id
        )),
        (End::Committed, Purpose::Seal) => {
            Outcome::Applied(format!("the data of {to} is stored as snapshot {}", work.transaction.id))
        }
        (End::Committed, _) => Outcome::Upgraded(format!(
            "{} -> {to} is the known-good: it passed its gate on fresh volumes, its data is stored as snapshot {}, and \
             nothing of it runs",
            before(work),
            work.transaction.id
        )),
        (End::Undone, _) if was_killed(work, found) => {
            Outcome::Applied(format!("the {what} of {to} was broken off and is undone{}", stays(&known)))
        }
        (End::Undone, Purpose::Promote) => {
            Outcome::RolledBack(format!("{to} did not become the known-good: {no}{}", stays(&known)))
        }
        (End::Undone, _) => {
            Outcome::Unhealthy(format!("the {what} of {to} failed: {no}; its volumes are removed again"))
        }
        // Some of its volumes may be gone.
        (End::Refused, _) if work.step == Step::Clear && was_killed(work, found) => Outcome::Applied(format!(
            "the {what} of {to} was broken off before anything of it ran; a volume that is gone is put back before it is used"
        )),
        (End::Refused, _) if work.step == Step::Clear => {
            Outcome::Blocked(format!("the {what} of {to} did not come about: {no}"))
        }
        (End::Refused, _) if was_killed(work, found) => {
            Outcome::Applied(format!("the {what} of {to} was broken off before it had touched any data"))
        }
        // Another run may have begun to put it back.
        (End::Refused, Purpose::Restore) => Outcome::Blocked(format!(
            "the {what} of {to} did not come about: {no}; `evenkeel canonical idle {app} --restore` tries it again"
        )),
        (End::Refused, _) => {
            Outcome::Blocked(format!("the {what} of {to} did not come about: {no}; its data was not touched"))
        }
        (End::Deployed, Purpose::Quick) => Outcome::Applied(format!(
            "{to} runs over the data of {known}; `evenkeel canonical idle {app} --restore` ends it and throws its data away"
        )),
        (End::Deployed, _) => Outcome::Applied(format!("{to} runs on its warm data")),
        (End::LeftForReading, _) => Outcome::Unhealthy(format!(
            "{to} over the data of {known} does not come up: {no}; it is left for reading, and `evenkeel canonical idle {app} \
             --restore` ends it and throws its data away"
        )),
        (End::Rested, Purpose::Restore) => {
            Outcome::Applied(format!("idle on the data of {known}, which was put back from its snapshot"))
        }
        (End::Rested, _) if work.status_before() == Some(Status::Dirty) => Outcome::Applied(format!("idle; {dirty}")),
        (End::Rested, _) => Outcome::Applied(format!("idle: nothing of {known} runs, and its data stays warm")),
        (End::Spoiled, _) if was_killed(work, found) => {
            Outcome::Applied(format!("the {what} of {to} was broken off and is ended; {dirty}"))
        }
        (End::Spoiled, Purpose::Idle) => Outcome::Applied(format!("idle; it did not end cleanly ({no}); {dirty}")),
        (End::Spoiled, Purpose::Deploy) => {
            Outcome::Unhealthy(format!("{to} does not come up on its warm data: {no}; {dirty}"))
        }
        (End::Spoiled, _) => Outcome::Error(format!("the {what} of {to} could not be finished: {no}; {dirty}")),
    };
    work.notes.iter().fold(outcome, |outcome, note| match matches!(end, End::Undone | End::Refused) {
        true => outcome,
        false => outcome.and(note),
    })
}

fn dirty(app: &AppName, state: &State) -> String {
    match state.warm.as_ref().is_some_and(|warm| warm.damaged) {
        true => format!(
            "nothing of it runs; its data is not to be used as it lies there, and its snapshot is damaged: `evenkeel canonical {app}` \
             tells what is left"
        ),
        false => "nothing of it runs, and its data is put back from the snapshot before it is used again".to_owned(),
    }
}

/// It was broken off, and nothing else went wrong.
fn was_killed(work: &Work, found: bool) -> bool {
    found && work.no.as_deref().is_none_or(|no| no == BROKEN_OFF)
}

fn before(work: &Work) -> String {
    work.transaction.before.as_ref().map(|before| before.release.body.revision.to_string()).unwrap_or_default()
}

fn stays(known: &str) -> String {
    if known.is_empty() { String::new() } else { format!("; {known} stays the known-good, with its data") }
}

pub fn left_open(app: &AppName, state: &State, why: &str) -> Outcome {
    let work = state.warm.as_ref().and_then(|warm| warm.work.as_ref());
    let what = work.map_or("work", |work| work.purpose.word());
    let step = work.map_or("", |work| work.step.word());
    Outcome::Error(format!(
        "the {what} is left open at {step}: {why}; `evenkeel canonical {app}` finishes or undoes it, and so does the next run"
    ))
}

pub fn not_seeded(app: &AppName) -> Outcome {
    Outcome::Blocked(format!("it has no known-good yet: `evenkeel canonical seed {app}` makes the first one"))
}

pub fn nothing_yet(app: &AppName) -> String {
    format!("it has no known-good yet: `evenkeel canonical seed {app}`, or the next sweep, makes the first one")
}

pub fn seeded_already(app: &AppName, status: Status, known: Option<&Release>) -> Outcome {
    let known = known.map(|known| known.body.revision.to_string()).unwrap_or_default();
    let runs = match status {
        Status::Deployed => format!(" and is deployed now (`evenkeel canonical idle {app}` ends that)"),
        _ => String::new(),
    };
    Outcome::Blocked(format!(
        "it has a known-good already, {known}{runs}: `evenkeel canonical promote {app}` puts another one in its place; \
         nothing was touched"
    ))
}

pub fn in_use(app: &AppName, status: Status) -> Outcome {
    Outcome::Blocked(format!(
        "it is {} now: `evenkeel canonical idle {app}` first, then this again; nothing was touched",
        status.word()
    ))
}

pub fn lost(app: &AppName) -> Outcome {
    Outcome::Blocked(format!("its data is lost, volumes and snapshot: `evenkeel canonical seed {app}` makes it anew"))
}

pub fn still_lost(app: &AppName) -> String {
    format!("its data is lost, volumes and snapshot; the next sweep, or `evenkeel canonical seed {app}`, makes it anew")
}

pub fn is_lost(app: &AppName, why: &str) -> Outcome {
    Outcome::Unhealthy(format!(
        "its warm data is lost: {why}; the next sweep, or `evenkeel canonical seed {app}`, makes it anew"
    ))
}

pub fn comes_back(why: &str) -> Outcome {
    Outcome::Applied(format!("{why}; the snapshot brings it back before it is used again"))
}

pub fn no_snapshot(app: &AppName) -> Outcome {
    Outcome::Blocked(format!(
        "the snapshot of its known-good is gone or damaged, so there is nothing to put back: `evenkeel canonical {app}` stores \
         its data once more where that is whole"
    ))
}

pub fn no_version(text: &str) -> Outcome {
    Outcome::Blocked(format!("{text:?} is no version: name a tag such as 1.2.3+4.5, or a commit; nothing was touched"))
}

pub fn no_commit(text: &str) -> Outcome {
    Outcome::Blocked(format!(
        "{text:?} is no commit: name 7 hex digits of it or more; the known-good runs as it was deployed"
    ))
}

pub fn unproved(wrong: &Diagnostics) -> Outcome {
    Outcome::Blocked(format!("the result is no reason to promote; nothing was touched:\n{wrong}"))
}

pub fn not_proved(revision: &Revision, refusals: &[Refusal]) -> Outcome {
    let refusals: Vec<String> = refusals.iter().map(ToString::to_string).collect();
    Outcome::Blocked(format!("{revision} is not promoted: {}; nothing was touched", refusals.join("; ")))
}

pub fn untagged(revision: &Revision) -> Outcome {
    Outcome::Blocked(format!(
        "{revision} is no version, and only what is tagged becomes a known-good; nothing was touched"
    ))
}

pub fn moved(verified: &Revision, found: &Revision) -> Outcome {
    Outcome::Blocked(format!(
        "{verified} was verified at commit {}, and its tag names {} by now: have it verified again; nothing was touched",
        verified.commit, found.commit
    ))
}

pub fn always_ran(app: &AppName, state: &Path) -> Outcome {
    Outcome::Blocked(format!(
        "{} says that {app} was an app that always runs: keep it as [app.{app}], or move that file and the app's volumes \
         away first; nothing was touched",
        state.display()
    ))
}

pub fn foreign_volumes(names: &[String]) -> Outcome {
    Outcome::Blocked(format!(
        "the recipe uses volume {}, which is not its own (external, or made by somebody else), so nothing is tried on it: name it in \
         snapshot.external, and it is neither stored nor put back",
        names.join(", ")
    ))
}

pub fn asks_for_rights(rights: &[String]) -> Outcome {
    Outcome::Blocked(format!(
        "the commit asks for what its known-good has not: {}; what only proposes a change gets none of that here; the \
         known-good runs as it was deployed",
        rights.join("; ")
    ))
}

pub fn made_by_others(stack: &StackName) -> Outcome {
    Outcome::Blocked(format!(
        "services or volumes of stack {stack} are there already, and were not made here: a seed would throw their data away; \
         remove them first (docker stack rm {stack}, docker volume rm), or give the canonical another domain"
    ))
}
