//! What a run goes for: the declared release, or the one that runs.
//!
//! [`aim`] is the decision and pure. The surprise: a configuration that failed is remembered by its key, so the goal
//! of later runs is the release from before it, until the configuration changes or a person says `--retry`.

use crate::desired::Desired;
use crate::model::outcome::Outcome;
use crate::model::state::State;
use crate::model::version::Revision;
use crate::plan::Plan;
use crate::reconcile::Judged;

use super::reading::Read;
use super::upgrading::Target;

/// What is to be reached, and what is said beside it.
#[derive(Debug)]
pub struct Goal {
    pub aim: Aim,
    pub desired: Desired,
    pub revision: Revision,
    pub key: String,
    /// The declared release as it was read; `None` where the goal comes from the state.
    pub read: Option<Read>,
    /// What the operator is told when the goal is reached, in place of success: a held version, a failed change.
    pub instead: Option<Outcome>,
    /// The goal failed as a first install, with these words: it is only looked at.
    pub failed: Option<String>,
    /// A change of configuration that has to be an upgrade, made once the goal, which is what runs, is reached.
    pub change: Option<Target>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aim {
    /// Nothing has passed its gate yet.
    Install,
    /// What runs is what is wanted: repair drift.
    Keep,
    /// The declared configuration over what runs.
    Change,
}

impl Goal {
    /// How many warnings there are about the declared recipe.
    pub fn warnings(&self) -> usize {
        self.read.as_ref().map_or(0, |read| read.warnings.0.len())
    }

    /// What is told when what runs cannot be kept either, for this reason.
    pub fn not_even_kept(self, why: Outcome) -> Outcome {
        match (self.instead, why) {
            (Some(instead), Outcome::Blocked(why)) if instead.sentence() != why => {
                instead.and(&format!("what runs cannot be kept either: {why}"))
            }
            (_, why) => why,
        }
    }
}

/// What a run does about the declared release `key`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    Go(Aim),
    /// It failed at its first install and nobody asked to try again: look, write nothing.
    OnlyLook {
        reason: String,
    },
    /// It failed as a change; what ran before is kept.
    StayWith {
        reason: String,
    },
}

/// Decides from what is recorded.
pub fn aim(state: &State, key: &str, retry: bool) -> Decision {
    let failed = |attempt: &Option<crate::model::state::Attempt>| {
        attempt.as_ref().filter(|attempt| attempt.key == key && !retry).and_then(|attempt| attempt.failed.clone())
    };
    match &state.current {
        None => match failed(&state.installing) {
            Some(reason) => Decision::OnlyLook { reason },
            None => Decision::Go(Aim::Install),
        },
        Some(current) if current.key == key => Decision::Go(Aim::Keep),
        Some(_) => match failed(&state.changing) {
            Some(reason) => Decision::StayWith { reason },
            None => Decision::Go(Aim::Change),
        },
    }
}

pub fn failed_install(revision: &Revision, reason: &str) -> String {
    format!(
        "the first install of {revision} failed: {reason}; it is left as it is for reading, and is not tried again by itself: \
         change its configuration, or run it with --retry"
    )
}

pub fn failed_change(reason: &str) -> String {
    format!(
        "the change of configuration failed: {reason}; the previous one runs again, and this one is not tried again by itself: \
         change the configuration, or run it with --retry"
    )
}

pub fn not_put_back(reason: &str, why: &str) -> String {
    format!(
        "the change of configuration failed: {reason}; the previous one could not be put back, so the stack stands between \
         the two: {why}; the next run tries again to put it back"
    )
}

/// What was done to reach a goal; an install over services that somebody else made is none.
pub fn word(aim: Aim, is_adopted: bool) -> &'static str {
    match aim {
        Aim::Install if is_adopted => "adopted",
        Aim::Install => "installed",
        Aim::Change => "changed",
        Aim::Keep => "repaired",
    }
}

pub fn applied(word: &str, revision: &Revision, plan: &Plan, notes: &[String]) -> Outcome {
    let made = match plan.is_empty() {
        true => "the Swarm has it so already, nothing was written".to_owned(),
        false if plan.only_updates_without_restarts() => format!("{}; no task was restarted", plan.summary()),
        false => plan.summary(),
    };
    let mut sentence = format!("{word} {revision}: {made}");
    for note in notes {
        sentence.push_str("; ");
        sentence.push_str(note);
    }
    Outcome::Applied(sentence)
}

/// A stack that is not healthy is told before anything else; then what stands beside the goal; then success.
pub fn ended(judged: Judged, success: Outcome, instead: Option<Outcome>) -> Outcome {
    match judged {
        Judged::Unhealthy(reason) => Outcome::Unhealthy(reason),
        Judged::Healthy => match (instead, &success) {
            (Some(instead), Outcome::Applied(repaired)) => instead.and(repaired),
            (instead, _) => instead.unwrap_or(success),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::state::{Attempt, Release};
    use crate::plan::world::{desired, release};

    fn revision() -> Revision {
        Revision { version: Some("1.0.0+1".into()), commit: "0".repeat(40).parse().unwrap() }
    }

    fn attempt(key: &str, failed: Option<&str>) -> Option<Attempt> {
        Some(Attempt { revision: revision(), key: key.into(), since: String::new(), failed: failed.map(str::to_owned) })
    }

    fn never_run() -> State {
        State::new(&"wiki_example_org".parse().unwrap())
    }

    fn running(key: &str) -> State {
        let body = release(&desired());
        State { current: Some(Release { body, key: key.into(), since: String::new(), snapshot: None }), ..never_run() }
    }

    #[test]
    fn what_failed_is_not_tried_again_by_itself() {
        let state = State { installing: attempt("a", Some("crash")), ..never_run() };
        assert_eq!(aim(&state, "a", false), Decision::OnlyLook { reason: "crash".into() });
        let state = State { changing: attempt("b", Some("crash")), ..running("a") };
        assert_eq!(aim(&state, "b", false), Decision::StayWith { reason: "crash".into() });
    }

    #[test]
    fn another_configuration_or_a_person_lifts_a_failure() {
        let state = State { changing: attempt("b", Some("crash")), ..running("a") };
        assert_eq!(aim(&state, "c", false), Decision::Go(Aim::Change));
        assert_eq!(aim(&state, "b", true), Decision::Go(Aim::Change));
        assert_eq!(aim(&state, "a", false), Decision::Go(Aim::Keep));
        let state = State { installing: attempt("a", Some("crash")), ..never_run() };
        assert_eq!(aim(&state, "b", false), Decision::Go(Aim::Install));
        assert_eq!(aim(&state, "a", true), Decision::Go(Aim::Install));
    }

    #[test]
    fn what_was_begun_and_killed_goes_on() {
        assert_eq!(
            aim(&State { installing: attempt("a", None), ..never_run() }, "a", false),
            Decision::Go(Aim::Install)
        );
        assert_eq!(aim(&State { changing: attempt("b", None), ..running("a") }, "b", false), Decision::Go(Aim::Change));
    }
}
