//! What is asked and set when a run has ended and the app stands: best effort, and the app not held any more.
//!
//! The border: nothing here changes the outcome; what fails is a warning beside it, and the next run does it again. The
//! surprise: alerts and history are written before, but the outcome's line, the exit code, the note of a good night and the
//! units that take a pinned version all come after. So who asks the run to end ends the questions only.

use std::time::Duration;

use tokio::time::Instant;
use tracing::warn;

use super::rounds::{Patience, WAITS};
use super::{Host, Options, builds, gitea};
use crate::config::{App, Drone, Special};
use crate::host::ending::Ending;
use crate::host::progress::Progress;

/// For all questions together.
const WITHIN: Duration = Duration::from_secs(60);

/// Asks, and gives what is worth telling. Never fails, and ends in time; at once, or never begins, where the run was asked
/// to end.
pub(super) async fn ask(host: &Host, app: &App, options: Options) -> Vec<String> {
    let Special::Drone(drone) = &app.special else { return Vec::new() };
    match Ending::listen() {
        Ok(ending) => unless_asked_to_end(&ending, of_drone(host, app, drone, options)).await,
        Err(cause) => {
            warn!(cause = format!("{cause:#}"), "who asks this run to end would not be heard, so nothing is asked");
            Vec::new()
        }
    }
}

async fn unless_asked_to_end(ending: &Ending, questions: impl Future<Output = Vec<String>>) -> Vec<String> {
    tokio::select! {
        biased;
        () = ending.asked() => Vec::new(),
        told = questions => told,
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

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[tokio::test]
    async fn who_asks_the_run_to_end_waits_for_no_answer() {
        let ending = Ending::unheard();
        let told = vec!["Gitea is away".to_owned()];
        assert_eq!(unless_asked_to_end(&ending, async { told.clone() }).await, told);
        let asking = unless_asked_to_end(&ending, pending());
        let (asked, ()) = tokio::join!(asking, async { ending.ask() });
        assert_eq!(asked, [""; 0]);
        let nothing = unless_asked_to_end(&ending, async { panic!("a question was asked") }).await;
        assert_eq!(nothing, [""; 0]);
    }
}
