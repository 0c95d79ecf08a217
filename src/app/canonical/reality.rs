//! What is really there of a canonical's data, held against what is recorded.
//!
//! The surprise: data counts as left only while nobody has started anything of the stack since. What was started and
//! stopped again has been running, and what it wrote is no known-good's.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{Host, Run};
use crate::config;
use crate::host::copying::{CopyError, Watch};
use crate::host::store::AppDir;
use crate::host::swarm::is_as_it_was_left;
use crate::model::observed::Service;
use crate::model::outcome::Outcome;
use crate::model::state::State;
use crate::model::warm::{Status, Warm};
use crate::upgrade::on_host::left_of;
use crate::warm::ahead::Found;
use crate::warm::registry::{self, Snapshot};

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

    /// Whether no container of the stack runs, nor is meant to.
    pub(super) async fn nothing_runs(&self) -> Result<bool, Outcome> {
        nothing_runs(self.host, self.app, &self.state).await
    }
}

/// Reads the snapshot to its end.
///
/// # Errors
/// Where a disk does not answer.
pub(super) fn snapshot_read(dir: &AppDir, state: &State) -> Result<Snapshot, Outcome> {
    let named = state.current.as_ref().and_then(|current| current.snapshot.clone());
    let Some(id) = named else { return Ok(Snapshot::Gone) };
    let watch = Watch { progress: &|_| {}, asked_to_end: &|| false };
    match dir.snapshots().verify(&id, &watch) {
        Ok(_) => Ok(Snapshot::Whole),
        Err(CopyError::Damaged(_)) => Ok(Snapshot::Gone),
        Err(failed) => Err(Outcome::Error(format!("snapshot {id} cannot be read now: {failed}"))),
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
    let volumes = left_of(&host.swarm, &app.stack).await?;
    if warm.status != Status::Idle {
        return Ok(registry::strange(warm, &volumes, false, &warm.indexes));
    }
    let runs = !nothing_runs(host, app, state).await?;
    let services = host.swarm.services_of(&app.stack).await?;
    Ok(registry::strange(warm, &volumes, runs, &as_far_as_written(warm, &services)))
}

/// The indexes, less what Swarm has raised by itself: when its Engine starts, it gives services their addresses anew.
fn as_far_as_written(warm: &Warm, services: &BTreeMap<String, Service>) -> BTreeMap<String, u64> {
    let written = |(name, service): (&String, &Service)| {
        let recorded = warm.indexes.get(name).filter(|_| is_as_it_was_left(service));
        (name.clone(), *recorded.unwrap_or(&service.index))
    };
    services.iter().map(written).collect()
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
