//! What is really there of a canonical's data, held against what is recorded.
//!
//! The surprise: data counts as left only while nobody has started anything of the stack since. What was started and
//! stopped again has been running, and what it wrote is no known-good's.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::super::{Host, Run};
use crate::config;
use crate::host::copying::{CopyError, Watch};
use crate::host::store::AppDir;
use crate::model::observed::{Observed, Task};
use crate::model::outcome::Outcome;
use crate::model::state::State;
use crate::model::warm::Status;
use crate::upgrade::on_host::left_of;
use crate::upgrade::volumes::written_since;
use crate::warm::ahead::Found;
use crate::warm::close::not_as_left;

/// The snapshot of the known-good, as far as a look tells: it is read to its end when it is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Snapshot {
    Whole,
    Gone,
}

impl Run<'_> {
    /// Why the volumes of what is idle, or deployed, cannot be used as they are.
    pub(super) async fn strange(&self) -> Result<Option<String>, Outcome> {
        strange(self.host, self.app, &self.state).await
    }

    /// # Errors
    /// Where a disk does not answer: that is no word about the snapshot.
    pub(super) fn snapshot(&self) -> Result<Snapshot, Outcome> {
        snapshot(&self.dir, &self.state)
    }

    /// Reads the snapshot to its end.
    ///
    /// # Errors
    /// Where a disk does not answer.
    pub(super) fn snapshot_read(&self) -> Result<Snapshot, Outcome> {
        let named = self.state.current.as_ref().and_then(|current| current.snapshot.clone());
        let Some(id) = named else { return Ok(Snapshot::Gone) };
        let watch = Watch { progress: &|_| {}, asked_to_end: &|| false };
        match self.dir.snapshots().verify(&id, &watch) {
            Ok(_) => Ok(Snapshot::Whole),
            Err(CopyError::Damaged(_)) => Ok(Snapshot::Gone),
            Err(failed) => Err(Outcome::Error(format!("snapshot {id} cannot be read now: {failed}"))),
        }
    }

    /// Whether no container of the stack runs, nor is meant to.
    pub(super) async fn nothing_runs(&self) -> Result<bool, Outcome> {
        nothing_runs(self.host, self.app, &self.state).await
    }
}

/// What a look finds of a canonical, by whoever holds no lock.
pub(super) async fn found(host: &Host, app: &config::App, dir: &AppDir, state: &State) -> Result<Found, Outcome> {
    let strange = match state.warm.as_ref().map(|warm| warm.status) {
        Some(Status::Idle) => strange(host, app, state).await?,
        _ => None,
    };
    let runs = !nothing_runs(host, app, state).await?;
    Ok(Found { runs, strange, stored: snapshot(dir, state)? == Snapshot::Whole })
}

async fn strange(host: &Host, app: &config::App, state: &State) -> Result<Option<String>, Outcome> {
    let Some(warm) = &state.warm else { return Ok(None) };
    if let Some(volumes) = not_as_left(&warm.left, &left_of(&host.swarm, &app.stack).await?) {
        return Ok(Some(volumes));
    }
    if warm.status != Status::Idle {
        return Ok(None);
    }
    if !nothing_runs(host, app, state).await? {
        return Ok(Some("its services were started by somebody else".to_owned()));
    }
    let (indexes, _) = host.swarm.indexes(&app.stack).await?;
    if indexes == warm.indexes {
        return Ok(None);
    }
    // Swarm raises them by itself when its Engine starts: it gives services their addresses anew.
    if !indexes.keys().eq(warm.indexes.keys()) {
        return Ok(written_since(&warm.indexes, &indexes));
    }
    Ok(started_since(&host.swarm.observe(&app.stack).await?, warm.since))
}

/// A task that was made since then: whatever was started and stopped again has one, as long as its service is there.
fn started_since(observed: &Observed, since: Timestamp) -> Option<String> {
    let is_later = |task: &&Task| task.created.parse::<Timestamp>().is_ok_and(|created| created > since);
    let task = observed.tasks.iter().find(is_later)?;
    let service = observed.services.values().find(|service| service.id == task.service);
    let name = service.map_or(task.service.as_str(), |service| service.name.as_str());
    Some(format!("service {name} was started by somebody else"))
}

fn snapshot(dir: &AppDir, state: &State) -> Result<Snapshot, Outcome> {
    let named = state.current.as_ref().and_then(|current| current.snapshot.as_deref());
    let is_damaged = state.warm.as_ref().is_some_and(|warm| warm.damaged);
    let Some(id) = named.filter(|_| !is_damaged) else { return Ok(Snapshot::Gone) };
    let manifest = match dir.snapshots().manifest(id) {
        Ok(manifest) => manifest,
        Err(CopyError::Damaged(_)) => return Ok(Snapshot::Gone),
        Err(failed) => return Err(Outcome::Error(format!("snapshot {id} cannot be read now: {failed}"))),
    };
    let folder = dir.snapshots().path(id);
    for archived in manifest.volumes.values() {
        match std::fs::metadata(folder.join(&archived.file)) {
            Ok(found) if found.len() == archived.bytes => {}
            Ok(_) => return Ok(Snapshot::Gone),
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(Snapshot::Gone),
            Err(cause) => return Err(Outcome::Error(format!("snapshot {id} cannot be looked at now: {cause}"))),
        }
    }
    Ok(Snapshot::Whole)
}

async fn nothing_runs(host: &Host, app: &config::App, state: &State) -> Result<bool, Outcome> {
    let bodies = state.bodies();
    let names: BTreeSet<String> = bodies.flat_map(|body| body.services.keys().cloned()).collect();
    Ok(host.swarm.left_of(&app.stack, &names, true).await?.is_nothing())
}
