//! How an app stands: what is recorded of it beside what runs. Reads only; fetches nothing.

use jiff::Timestamp;

use super::offering::Offer;
use super::place::Sight;
use super::view::{Fetch, View};
use super::{Host, ends, reconciler, recorded};
use crate::config;
use crate::health::{self, Verdict};
use crate::host::progress::Progress;
use crate::host::store::AppDir;
use crate::model::observed::Observed;
use crate::model::outcome::Outcome;
use crate::model::state::{Refused, State};
use crate::model::transaction::Transaction;
use crate::model::version::Revision;
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
    /// The newer version that is taken later, and when.
    pub waiting: Option<String>,
    /// What is on its way, and where it stands.
    pub open: Option<Transaction>,
    /// What stands where after undoing has failed, and the ways out.
    pub stuck: Option<String>,
    /// Versions that failed, or were left by hand, the newest last.
    pub refused: Vec<Refused>,
    /// The release that `rollback` goes back to.
    pub previous: Option<Revision>,
    /// The newest one.
    pub snapshot: Option<Snapshot>,
    /// Who works on it now.
    pub busy: Option<String>,
}

/// A snapshot that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    pub id: String,
    pub taken: Timestamp,
    pub bytes: u64,
}

impl Standing {
    /// Of an app of which nothing can be said, and why.
    pub fn unknown(why: &Outcome) -> Self {
        Self { health: "unknown", reason: Some(why.sentence().to_owned()), ..Self::default() }
    }
}

/// # Errors
/// When the Engine or the state cannot be read.
pub async fn standing(host: &Host, app: &config::App, now: Timestamp) -> Result<Standing, Outcome> {
    let reconciler = reconciler(&host.declared, &host.store, app)?;
    let dir = host.store.app(&app.name);
    let state = recorded(app, &dir)?;
    let Sight { observed, place } = host.sight(app, &state).await?;
    let progress = Progress::new(app.name.as_str());
    let view = host.view(app, &*reconciler, &dir, &state, &progress);
    let mut standing = of_state(app, &dir, &state)?;
    match offered(host, &view, &observed, now).await.told {
        Some(waits @ Outcome::Waiting(_)) => standing.waiting = Some(waits.sentence().to_owned()),
        told => standing.held = told.map(|told| told.sentence().to_owned()),
    }
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

/// What is recorded, whatever runs.
fn of_state(app: &config::App, dir: &AppDir, state: &State) -> Result<Standing, Outcome> {
    Ok(Standing {
        failed: failed(state),
        busy: dir.holder()?,
        open: state.open.as_deref().cloned(),
        stuck: state.stuck.as_ref().map(|stuck| ends::stuck(&app.name, stuck)),
        refused: state.refused.clone(),
        previous: state.previous.as_ref().map(|previous| previous.release.body.revision.clone()),
        snapshot: newest_snapshot(dir),
        ..Standing::default()
    })
}

fn failed(state: &State) -> Option<String> {
    let attempt = state.changing.as_ref().or(state.installing.as_ref())?;
    let reason = attempt.failed.as_ref()?;
    Some(format!("{} since {}: {reason}", attempt.revision, attempt.since))
}

/// What the mirror of the last fetch holds beyond what runs. Where anything about that cannot be read, a run tells it.
async fn offered(host: &Host, view: &View<'_>, observed: &Observed, now: Timestamp) -> Offer {
    let Ok(sources) = view.sources(Fetch::Never, now).await else { return Offer::default() };
    view.offer(&sources, observed, &host.images, now).await.unwrap_or_default()
}

/// The newest snapshot that is whole.
fn newest_snapshot(dir: &AppDir) -> Option<Snapshot> {
    let listed = dir.snapshots().list().ok()?;
    let manifest = listed.into_iter().filter_map(|listed| listed.manifest.ok()).next_back()?;
    Some(Snapshot { bytes: manifest.bytes(), taken: manifest.taken, id: manifest.id })
}
