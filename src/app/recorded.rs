//! What is recorded of an app, for whoever is declared under its name now. A record of another stack, or of another kind,
//! is nobody's to go on with.

use crate::config;
use crate::host::store::AppDir;
use crate::model::outcome::Outcome;
use crate::model::state::State;
use crate::model::warm::Status;

/// An empty state for one that was never run.
///
/// # Errors
/// `Blocked` where the record is that of another domain.
pub fn recorded(app: &config::App, dir: &AppDir) -> Result<State, Outcome> {
    let state = dir.read_state()?.unwrap_or_else(|| State::new(&app.stack));
    if state.stack == app.stack.as_str() {
        return Ok(state);
    }
    // Where something is on its way, the data to go back to may be nowhere else.
    let warm = state.warm.as_ref().is_some_and(|warm| warm.work.is_some() || warm.status == Status::Dirty);
    let ways = match state.open.is_some() || state.stuck.is_some() || warm {
        true => "Something is on its way there, or stuck, and its data may be in a snapshot only: `evenkeel resume` finishes \
                 it; where it is stuck, declare the old domain again"
            .to_owned(),
        false => format!(
            "Declare the old domain again, or remove that stack and {} to begin anew, which removes its snapshots, too",
            dir.path().display()
        ),
    };
    Err(Outcome::Blocked(format!(
        "app {} is recorded as stack {} and declared as {}: its volumes belong to the old domain. {ways}",
        app.name, state.stack, app.stack
    )))
}

/// Its volumes may hold anybody's tests: only a canonical is ever put back before it is used.
pub fn was_canonical(app: &config::App, dir: &AppDir) -> String {
    format!(
        "{} is recorded as a canonical, whose volumes may hold what a test wrote, and declared as [{}]: declare it as \
         [canonical.{}] again, or remove its stack, its volumes and {} to begin anew",
        app.name,
        app.kind.table(),
        app.name,
        dir.path().display()
    )
}
