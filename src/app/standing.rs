//! How an app stands: what is recorded of it beside what runs. Reads only; fetches nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use tracing::warn;

use super::canonical::showing;
use super::offering::Offer;
use super::place::Sight;
use super::view::{Fetch, View};
use super::{Host, ends, reconciler, recorded};
use crate::config;
use crate::health::{self, Verdict};
use crate::host::progress::Progress;
use crate::host::store::AppDir;
use crate::host::volumes::{Failed, failed_names, walk};
use crate::model::app::Kind;
use crate::model::observed::Observed;
use crate::model::outcome::Outcome;
use crate::model::state::{Refused, State};
use crate::model::transaction::Transaction;
use crate::model::version::Revision;
use crate::model::warm::Warm;
use crate::reconcile::release;
use crate::warm::ahead::Ahead;

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
    /// `absent`, or `unmanaged` where somebody else's services stand in its stack; of a canonical that is not deployed
    /// the word for how its data is kept; `unknown` where it cannot be told.
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
    /// Data that gave way, by when.
    pub aside: Vec<Aside>,
    /// Who works on it now.
    pub busy: Option<String>,
    /// Of a canonical: how its data is kept, and what a run would make of that.
    pub warm: Option<(Warm, Ahead)>,
}

/// One volume's data that gave way, as it lies beside the volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aside {
    pub volume: String,
    pub path: PathBuf,
    /// Which release wrote it, and when the transaction began that moved it aside; `None` of one that ended stuck.
    pub of: Option<(String, Timestamp)>,
    /// What it takes on disk; `None` where that cannot be told.
    pub bytes: Option<u64>,
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
    if let Some(warm) = &state.warm {
        standing.warm = Some((warm.clone(), showing::look(host, app, &dir, &state).await?));
    }
    let at_rest = state.warm.as_ref().and_then(showing::word);
    let Some(current) = &state.current else {
        standing.health = match (&state.installing, at_rest) {
            (_, Some(word)) => word,
            (Some(attempt), None) if attempt.failed.is_some() => "failed",
            (Some(_), None) => "installing",
            // Of a seed that failed services stay that run nothing.
            (None, None) if app.kind == Kind::Canonical && !state.refused.is_empty() => "failed",
            (None, None) if observed.services.is_empty() => "absent",
            (None, None) => "unmanaged",
        };
        return Ok(standing);
    };
    standing.revision = Some(current.body.revision.to_string());
    standing.version = current.body.revision.version.clone();
    standing.commit = Some(current.body.revision.commit.to_string());
    standing.since = Some(current.since.clone());
    if let Some(word) = at_rest {
        standing.health = word;
        return Ok(standing);
    }
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
        aside: aside(&pointers(dir), state),
        ..Standing::default()
    })
}

fn pointers(dir: &AppDir) -> Vec<Failed> {
    dir.failed().unwrap_or_else(|cause| {
        warn!(cause = format!("{cause:#}"), "where data lies that gave way cannot be read");
        Vec::new()
    })
}

/// What is there of it. A transaction that ended stuck left no pointer; its app's volumes are those of the others.
fn aside(pointers: &[Failed], state: &State) -> Vec<Aside> {
    let named = state.left.iter().chain(state.failed.as_ref().map(|failed| &failed.transaction));
    let is_pointed_at = |id: &str| pointers.iter().any(|pointer| pointer.transaction == id);
    let others: BTreeSet<&String> = named.filter(|id| !is_pointed_at(id)).collect();
    let volumes: BTreeMap<&str, &Path> = pointers.iter().flat_map(Failed::mountpoints).collect();
    let pointed_at = pointers.iter().flat_map(|pointer| {
        let of = Some((pointer.release.clone(), pointer.ts));
        pointer.folders().map(move |(volume, path)| (volume, path, of.clone()))
    });
    let rest = others
        .into_iter()
        .flat_map(|id| volumes.iter().map(move |(volume, data)| (*volume, *data, failed_names(id))))
        .flat_map(|(volume, data, names)| names.map(|name| (volume, data.with_file_name(name), None)));
    let there = pointed_at.chain(rest).filter(|(_, path, _)| path.symlink_metadata().is_ok());
    there.map(|(volume, path, of)| Aside { volume: volume.to_owned(), bytes: taken_by(&path), path, of }).collect()
}

fn taken_by(folder: &Path) -> Option<u64> {
    walk(folder, |_| Ok(())).ok().map(|size| size.allocated)
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::model::state;

    #[test]
    fn all_data_that_gave_way_is_told_with_its_place() {
        let docker = tempfile::tempdir().unwrap();
        let mountpoint = docker.path().join("wiki_data/_data");
        let tried = mountpoint.with_file_name(&failed_names("tx-3")[1]);
        let folder = |id: &str| mountpoint.with_file_name(&failed_names(id)[0]);
        for folder in ["tx-1", "tx-2", "tx-3", "tx-4"].map(folder).into_iter().chain([tried.clone()]) {
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("page"), [1; 5000]).unwrap();
        }
        let ts = "2026-06-01T02:00:00Z".parse().unwrap();
        let pointer = |id: &str| Failed {
            transaction: id.to_owned(),
            ts,
            release: "1.1.0+1".to_owned(),
            volumes: [("wiki_data".to_owned(), mountpoint.clone())].into(),
        };
        let revision = Revision { version: None, commit: "0".repeat(40).parse().unwrap() };
        let mut state = State::new(&"wiki".parse().unwrap());
        state.failed = Some(state::Failed { transaction: "tx-2".into(), revision, ts });
        state.left = ["tx-2", "tx-3", "gone"].map(str::to_owned).into();
        let found = aside(&[pointer("tx-1"), pointer("tx-2"), pointer("gone")], &state);
        let of: Vec<_> = found.iter().map(|aside| aside.of.as_ref().map(|(release, _)| release.as_str())).collect();
        assert_eq!(of, [Some("1.1.0+1"), Some("1.1.0+1"), None, None]);
        let paths: Vec<&Path> = found.iter().map(|aside| aside.path.as_path()).collect();
        assert_eq!(paths, [folder("tx-1"), folder("tx-2"), folder("tx-3"), tried.clone()]);
        assert!(found.iter().all(|aside| aside.volume == "wiki_data" && aside.bytes >= Some(5000)), "{found:?}");
    }
}
