//! What a run still does for an app when its outcome stands: best effort, and the app's lock still held.
//!
//! The border: nothing here changes the outcome; what fails is a warning beside it, and the next run does it again. The
//! surprise: a run that failed comes here, too, for what another one left undone may be done all the same.

use jiff::Timestamp;
use tracing::{info, warn};

use super::runner_env::{self, Stands};
use super::{Host, log_warnings, pausing};
use crate::config::App;
use crate::host::store::{AppDir, Lock, LockAttempt};
use crate::model::app::{AppName, Kind};

/// A run's end for an app that it holds.
pub(super) struct End<'a> {
    pub host: &'a Host,
    pub app: &'a AppName,
    pub dir: &'a AppDir,
    pub lock: &'a Lock,
}

impl End<'_> {
    /// The app as it is declared, where that still is the recorded one.
    fn declared(&self) -> Option<&App> {
        let app = self.host.declared.app(self.app.as_str())?;
        let state = self.dir.read_state().ok()??;
        (state.stack == app.stack.as_str()).then_some(app)
    }

    /// Nobody knows how it should be by now.
    fn stale_runner_env(&self) -> Option<String> {
        let path = self.dir.runner_env_file();
        path.exists().then(|| {
            format!(
                "{} may not be what the server runs with any more, since {} is not declared as it was installed: declare it so, \
                 or stop the runner and remove the file",
                path.display(),
                self.app
            )
        })
    }

    /// Also where the run has failed: a rotation that an earlier one finished may not have reached the runner.
    fn runner_env(&self, app: &App) -> Vec<String> {
        match runner_env::keep(&self.host.declared, app, self.dir, self.lock) {
            Ok(Some(Stands::Written(path))) => info!(path = %path.display(), "the runner's environment is written"),
            Ok(Some(Stands::Unchanged(_) | Stands::NotInstalled) | None) => {}
            Err(why) => {
                return vec![format!(
                    "the runner's environment file could not be written: {}; the next run tries again",
                    why.sentence()
                )];
            }
        }
        Vec::new()
    }
}

/// Does all of it, and gives what is worth telling. Never fails.
pub(super) fn wind_up(end: &End<'_>) -> Vec<String> {
    match end.declared() {
        Some(app) => end.runner_env(app),
        None => end.stale_runner_env().into_iter().collect(),
    }
}

/// The same as soon as another release is the current one, in the middle of a run. What fails is tried again at its end,
/// and told there.
pub(super) fn follow(end: &End<'_>) {
    let Some(app) = end.declared() else { return };
    if let Some(why) = end.runner_env(app).pop() {
        warn!("{why}");
    }
}

/// What a run that was killed after its last commit has left undone. Where another run is at the app, that one does it.
pub(super) fn catch_up(host: &Host, now: Timestamp) {
    let installed = host.store.apps().unwrap_or_default();
    for app in host.declared.of(Kind::Drone).filter(|app| installed.contains(&app.name)) {
        let dir = host.store.app(&app.name);
        let is_paused = !matches!(pausing::left_alone(&host.store, &app.name, now), Ok(None));
        let Ok(LockAttempt::Taken(lock)) = dir.lock() else { continue };
        if !is_paused {
            log_warnings(&wind_up(&End { host, app: &app.name, dir: &dir, lock: &lock }));
        }
    }
}
