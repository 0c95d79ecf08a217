//! How a canonical stands, and what a run would do to it, for whoever only looks. Takes no lock.

use super::super::{Host, recorded};
use super::reality;
use crate::config;
use crate::host::store::AppDir;
use crate::model::outcome::Outcome;
use crate::model::state::State;
use crate::model::warm::{Status, Warm};
use crate::warm::ahead::{self, Ahead};

/// What the next run of the reconciler would do.
///
/// # Errors
/// When the Engine or the state cannot be read.
pub async fn preview(host: &Host, app: &config::App) -> Result<Ahead, Outcome> {
    let dir = host.store.app(&app.name);
    let state = recorded(app, &dir)?;
    look(host, app, &dir, &state).await
}

/// The same of a state that was read already.
pub async fn look(host: &Host, app: &config::App, dir: &AppDir, state: &State) -> Result<Ahead, Outcome> {
    let found = reality::found(host, app, dir, state).await?;
    Ok(ahead::ahead(&app.name, state.warm.as_ref(), &found))
}

/// The word for how it stands, where that is not what its services say: only what is deployed is to run.
pub fn word(warm: &Warm) -> Option<&'static str> {
    (warm.status != Status::Deployed).then(|| warm.status.word())
}
