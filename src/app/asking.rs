//! What is asked and set when a run has ended and the app stands: best effort, and the app not held any more.
//!
//! The border: nothing here changes the outcome; what fails is a warning beside it, and the next run does it again. The
//! surprise: alerts and history are written before, so it may be broken off at any moment.

use std::time::Duration;

use tokio::time::Instant;

use super::rounds::{Patience, WAITS};
use super::{Host, Options, builds, gitea};
use crate::config::{App, Drone, Special};
use crate::host::progress::Progress;

/// For all questions together.
const WITHIN: Duration = Duration::from_secs(60);

/// Asks, and gives what is worth telling. Never fails, and ends in time.
pub(super) async fn ask(host: &Host, app: &App, options: Options) -> Vec<String> {
    match &app.special {
        Special::Drone(drone) => of_drone(host, app, drone, options).await,
        Special::None => Vec::new(),
    }
}

/// What a server of builds needs, and what it has to be told.
async fn of_drone(host: &Host, app: &App, drone: &Drone, options: Options) -> Vec<String> {
    let (declared, store, ci) = (&host.declared, &host.store, drone.engine.ci());
    let patience = patience(options, Instant::now() + WITHIN);
    let progress = Progress::new(app.name.as_str());
    progress.waiting_for(&format!("{} and Gitea to answer", ci.name));
    let gitea = gitea::warning(declared, store, &drone.gitea.server, patience);
    let settings = async {
        match &drone.builds {
            Some(builds) => builds::settle(declared, store, app, ci, builds, patience).await,
            None => Vec::new(),
        }
    };
    let runner = builds::runner_without(declared, store, app, ci);
    let (gitea, runner, settings) = tokio::join!(gitea, runner, settings);
    gitea.into_iter().chain(runner).chain(settings).collect()
}

/// A switch of the host, or its boot, waits for nobody who is away: the night asks again.
fn patience(options: Options, until: Instant) -> Patience<'static> {
    let waits = if options.no_upgrade { &[][..] } else { &WAITS };
    Patience { waits, until }
}
