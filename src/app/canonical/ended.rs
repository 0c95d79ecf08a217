//! How a recipe's turn in a sweep ended, and what is known of it on disk.

use super::super::Host;
use crate::config;
use crate::model::outcome::Outcome;
use crate::model::state::State;
use crate::model::sweep::{Done, KnownGood};
use crate::model::version::Revision;
use crate::model::warm::Status;
use crate::policy::sweep::Offered;

/// The known-good with its sealed snapshot; what cannot be read is none.
pub fn known_good(host: &Host, app: &config::App) -> Option<KnownGood> {
    let dir = host.store.app(&app.name);
    let current = dir.read_state().ok()??.current?;
    let snapshot = current.snapshot?;
    dir.snapshots().manifest(&snapshot).ok()?;
    Some(KnownGood { revision: current.body.revision, snapshot })
}

/// Whether there is one to put another in the place of, as far as the record says.
pub fn has_known_good(state: &State) -> bool {
    let status = state.warm.as_ref().map(|warm| warm.status);
    state.current.is_some() && !matches!(status, None | Some(Status::Lost | Status::Seeding))
}

/// What is told of a canonical for which nothing was done.
pub fn outcome_of(offered: &Offered) -> Outcome {
    match offered.clone() {
        Offered::Nothing | Offered::Version(_) => Outcome::Converged,
        Offered::Later(why) => Outcome::Waiting(why),
        Offered::Held(why) => Outcome::Held(why),
        Offered::Blocked(why) => Outcome::Blocked(why),
    }
}

/// How a turn ended.
pub struct Ended {
    pub result: Done,
    pub to: Option<Revision>,
    pub why: String,
}

impl Ended {
    pub fn of(result: Done, why: String) -> Self {
        Self { result, to: None, why }
    }
}

/// Whatever ended a turn before its end.
impl From<Outcome> for Ended {
    fn from(outcome: Outcome) -> Self {
        let result = match &outcome {
            Outcome::Converged => Done::Unchanged,
            Outcome::Held(_) => Done::Held,
            Outcome::RolledBack(_) => Done::Refused,
            Outcome::Blocked(_) => Done::Blocked,
            Outcome::Unhealthy(_) => Done::Unhealthy,
            Outcome::Stuck(_) => Done::Stuck,
            // Nothing has come about in its turn; who paused it is asked before.
            Outcome::Waiting(_) | Outcome::Applied(_) | Outcome::Upgraded(_) | Outcome::Error(_) => Done::Error,
        };
        Self::of(result, outcome.sentence().to_owned())
    }
}
