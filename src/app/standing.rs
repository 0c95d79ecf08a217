//! How an app stands: what is recorded of it beside what runs. Reads only; fetches nothing.

use jiff::Timestamp;

use super::place::Sight;
use super::{Host, recorded};
use crate::config;
use crate::health::{self, Verdict};
use crate::model::outcome::Outcome;
use crate::model::state::State;
use crate::model::version::Wanted;
use crate::policy::{self, Choice};
use crate::reconcile::release;

/// One app's line in `status`.
#[derive(Debug, Clone, Default)]
pub struct Standing {
    /// The release in a word: its version, or its commit where it has none.
    pub revision: Option<String>,
    pub version: Option<String>,
    pub commit: Option<String>,
    /// When the release passed its gate.
    pub since: Option<String>,
    /// `healthy`, `waiting`, `unhealthy`, `absent`; of an app that has never passed its gate `installing`, `failed`,
    /// `absent`, or `unmanaged` where somebody else's services stand in its stack; `unknown` where it cannot be told.
    pub health: &'static str,
    pub reason: Option<String>,
    /// Why the last install or change failed.
    pub failed: Option<String>,
    /// The newer version that is not taken, and why.
    pub held: Option<String>,
    /// Who works on it now.
    pub busy: Option<String>,
}

impl Standing {
    /// Of an app of which nothing can be said, and why.
    pub fn unknown(why: &Outcome) -> Self {
        Self { health: "unknown", reason: Some(why.sentence().to_owned()), ..Self::default() }
    }
}

/// # Errors
/// When the Engine or the state cannot be read.
pub async fn standing(host: &Host, app: &config::App) -> Result<Standing, Outcome> {
    let dir = host.store.app(&app.name);
    let state = recorded(app, &dir)?;
    let Sight { observed, place } = host.sight(app, &state).await?;
    let mut standing = Standing { failed: failed(&state), held: held(host, app, &state).await, ..Standing::default() };
    standing.busy = dir.holder()?;
    let Some(current) = &state.current else {
        standing.health = match &state.installing {
            Some(attempt) if attempt.failed.is_some() => "failed",
            Some(_) => "installing",
            None if observed.services.is_empty() => "absent",
            None => "unmanaged",
        };
        return Ok(standing);
    };
    standing.revision = Some(current.body.revision.to_string());
    standing.version = current.body.revision.version.clone();
    standing.commit = Some(current.body.revision.commit.to_string());
    standing.since = Some(current.since.clone());
    let desired = release::desired(&app.stack, &current.body, &dir)?;
    (standing.health, standing.reason) = match health::at_a_glance(&desired, &observed, Timestamp::now()) {
        _ if observed.services.is_empty() && !desired.services.is_empty() => ("absent", place.told),
        Verdict::Healthy => ("healthy", None),
        Verdict::Waiting(what) => ("waiting", Some(what)),
        Verdict::Unhealthy(reason) => ("unhealthy", Some(reason)),
    };
    Ok(standing)
}

fn failed(state: &State) -> Option<String> {
    let attempt = state.changing.as_ref().or(state.installing.as_ref())?;
    let reason = attempt.failed.as_ref()?;
    Some(format!("{} since {}: {reason}", attempt.revision, attempt.since))
}

/// What the mirror of the last fetch holds beyond what runs.
async fn held(host: &Host, app: &config::App, state: &State) -> Option<String> {
    let mirror = host.recipes.mirror(&app.recipe.url, app.recipe.credentials.as_deref());
    let published = mirror.published().await.ok()?;
    let current = Some(&state.current.as_ref()?.body.revision);
    let named = match &app.wanted {
        Wanted::Commit(prefix) => mirror.resolve_commit(prefix).await.ok(),
        Wanted::Latest | Wanted::Version(_) => None,
    };
    let versions = published.versions_beside(current);
    match policy::choose(current, &app.wanted, &policy::Published { versions, head: published.head, named }) {
        Ok(Choice::Held { why, .. }) => Some(why),
        Ok(Choice::Install(_) | Choice::Current(_)) => None,
        Err(error) => Some(error.to_string()),
    }
}
