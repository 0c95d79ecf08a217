//! What a run still does for an app when its outcome stands: best effort, and the app's lock still held.
//!
//! The border: nothing here changes the outcome; what fails is a warning beside it, and the next run does it again. The
//! surprise: a run that failed comes here, too, for what another one left undone may be done all the same.

use super::Host;
use crate::config::App;
use crate::host::store::{AppDir, Lock};
use crate::model::app::AppName;
use crate::model::outcome::Outcome;

/// A run's end for an app that it holds.
pub(super) struct End<'a> {
    pub host: &'a Host,
    pub app: &'a AppName,
    pub dir: &'a AppDir,
    #[expect(dead_code, reason = "nothing is written yet")]
    pub lock: &'a Lock,
    pub outcome: &'a Outcome,
}

impl End<'_> {
    /// The app as it is declared, where that still is the recorded one.
    fn declared(&self) -> Option<&App> {
        let app = self.host.declared.app(self.app.as_str())?;
        let state = self.dir.read_state().ok()??;
        (state.stack == app.stack.as_str()).then_some(app)
    }
}

/// Does all of it, and gives what is worth telling. Never fails, and ends in time.
pub(super) async fn wind_up(end: &End<'_>) -> Vec<String> {
    let Some(_app) = end.declared() else { return Vec::new() };
    if !end.outcome.leaves_healthy() {
        return Vec::new();
    }
    Vec::new()
}
