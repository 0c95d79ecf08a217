//! Apps that a person works on: runs leave them alone.
//!
//! The border: a pause changes nothing of the app and asks no Engine. Whether one is in force is asked with the app's
//! lock held, so that whoever has paused and then found nobody at work is not met by a run that looked before.

use jiff::{SignedDuration, Timestamp};
use tracing::info;

use super::telling::note;
use crate::host::store::{AppDir, Store};
use crate::host::who::who;
use crate::model::app::AppName;
use crate::model::history::Line;
use crate::model::outcome::Outcome;
use crate::model::pause::Pause;

/// The pause that is in force.
///
/// # Errors
/// `Blocked` where it cannot be told: a pause that cannot be read may be one, and is not taken for over.
pub fn paused(dir: &AppDir, app: &AppName, now: Timestamp) -> Result<Option<Pause>, Outcome> {
    let cannot_tell = |cause: String| {
        let file = dir.pause_file();
        Outcome::Blocked(format!(
            "whether {app} is paused cannot be told, so it is left alone: {}: {cause}; `evenkeel unpause {app}` removes it, \
             `evenkeel pause {app}` writes it anew",
            file.display()
        ))
    };
    match dir.pause() {
        Ok(None) => Ok(None),
        Ok(Some(Ok(pause))) => Ok(Some(pause).filter(|pause| !pause.is_over(now))),
        Ok(Some(Err(damage))) => Err(cannot_tell(format!("it is damaged: {damage}"))),
        Err(cause) => Err(cannot_tell(format!("{cause:#}"))),
    }
}

/// How a run ends at once because the app is paused. One whose time is over is taken away.
pub(super) fn left_alone(store: &Store, app: &AppName, now: Timestamp) -> Result<Option<Outcome>, Outcome> {
    let dir = store.app(app);
    if let Some(pause) = paused(&dir, app, now)? {
        return Ok(Some(Outcome::Waiting(pause.sentence(app, now))));
    }
    let over = dir.take_pause(|kept| kept.as_ref().is_ok_and(|pause| pause.is_over(now)))?;
    if let Some(Ok(pause)) = over {
        info!(by = %pause.by, "the pause is over");
        let sentence = format!("the time of the pause by {} is over", pause.by);
        note(store, &Line::of_act(app.as_str(), "unpaused", &sentence, &who(), now));
    }
    Ok(None)
}

/// Pauses an app in place of any pause before. Runs that begin from now on leave it alone; one that is at work already
/// ends what it has begun.
///
/// # Errors
/// When it cannot be written.
pub fn pause(
    store: &Store,
    app: &AppName,
    by: String,
    time: Option<SignedDuration>,
    reason: Option<String>,
    now: Timestamp,
) -> anyhow::Result<Pause> {
    let pause = Pause::new(by, now, time, reason);
    store.app(app).put_pause(&pause)?;
    note(store, &Line::of_act(app.as_str(), "paused", &pause.sentence(app, now), &pause.by, now));
    Ok(pause)
}

/// What ending a pause has found.
#[derive(Debug, PartialEq, Eq)]
pub enum Unpaused {
    WasNotPaused,
    Ended(Pause),
    /// What could not be read as a pause.
    Removed(String),
}

/// Ends the pause of an app.
///
/// # Errors
/// When it cannot be removed.
pub fn unpause(store: &Store, app: &AppName, by: &str, now: Timestamp) -> anyhow::Result<Unpaused> {
    let ended = match store.app(app).take_pause(|_| true)? {
        None => return Ok(Unpaused::WasNotPaused),
        // Runs have gone on already.
        Some(Ok(pause)) if pause.is_over(now) => return Ok(Unpaused::WasNotPaused),
        Some(Ok(pause)) => Unpaused::Ended(pause),
        Some(Err(damage)) => Unpaused::Removed(damage.to_string()),
    };
    note(store, &Line::of_act(app.as_str(), "unpaused", &format!("unpaused by {by}"), by, now));
    Ok(ended)
}
