//! What is asked and set when a run has ended and the app stands: best effort, and the app not held any more.
//!
//! The border: nothing here changes the outcome; what fails is a warning beside it, and the next run does it again. The
//! surprise: alerts and history are written before, but the outcome's line, the exit code, the note of a good night and the
//! units that take a pinned version all come after. So who asks the run to end ends the questions only.

use std::time::Duration;

use tokio::time::Instant;
use tracing::warn;

use super::rounds::{Patience, WAITS};
use super::{Host, Options, builds, gitea, runner_env};
use crate::config::{App, Drone, Special};
use crate::host::ending::Ending;
use crate::host::progress::Progress;
use crate::host::store::AppDir;
use crate::model::ci::BuildEngine;

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
    let server = async {
        if let Some(other) = other_engine(&store.app(&app.name), drone.engine) {
            return vec![other];
        }
        let settings = async {
            match &drone.builds {
                Some(builds) => builds::settle(declared, store, app, ci, builds, patience).await,
                None => Vec::new(),
            }
        };
        let (runner, settings) = tokio::join!(builds::runner_without(declared, store, app, ci), settings);
        runner.into_iter().chain(settings).collect()
    };
    let (gitea, server) = tokio::join!(gitea, server);
    gitea.into_iter().chain(server).collect()
}

/// A change to another engine may have gone back: the declared one's questions mean nothing to the one that runs.
fn other_engine(dir: &AppDir, declared: BuildEngine) -> Option<String> {
    // What cannot be read is told by the run itself, before anything is asked.
    let current = dir.read_state().ok()??.current?;
    let runs = runner_env::engine_of(&current.body, declared);
    (runs != declared).then(|| {
        let (runs, declared) = (runs.ci().name, declared.ci().name);
        format!("{runs} runs and {declared} is declared, so neither the builds' settings nor the runner's secret are looked at")
    })
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
    use crate::app::worlds;
    use crate::host::store::{LockAttempt, Store};
    use crate::model::state::{KeptSecret, State};

    #[test]
    fn a_server_of_another_engine_than_the_declared_one_is_told_in_place_of_being_asked() {
        let folder = tempfile::tempdir().unwrap();
        let dir = Store::open(folder.path()).unwrap().app(&"drone".parse().unwrap());
        assert_eq!(other_engine(&dir, BuildEngine::Drone), None, "nothing is installed");
        let mut current = worlds::release("1.0.0+2.0.0");
        let secret = KeptSecret { key: "rpc_secret".to_owned(), spec: serde_json::Value::Null };
        current.body.secrets.insert("drone_rpc_secret_v1".to_owned(), secret);
        let LockAttempt::Taken(lock) = dir.lock().unwrap() else { panic!("nobody else is here") };
        let stack = "drone_example_org".parse().unwrap();
        dir.write_state(&lock, &State { current: Some(current), ..State::new(&stack) }).unwrap();
        assert_eq!(other_engine(&dir, BuildEngine::Drone), None);
        let told = other_engine(&dir, BuildEngine::Woodpecker).unwrap();
        assert!(told.starts_with("Drone runs and Woodpecker is declared"), "{told}");
    }

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
