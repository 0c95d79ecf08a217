//! What is really there of a canonical's data, held against what is recorded.

use std::collections::BTreeSet;

use super::super::{Host, Run};
use crate::config;
use crate::host::store::AppDir;
use crate::model::outcome::Outcome;
use crate::model::state::State;
use crate::upgrade::on_host::inode;
use crate::warm::ahead::Found;

/// The volumes, as the known-good release left them or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Volumes {
    Whole,
    Gone(Vec<String>),
    /// A volume of that name has another folder by now.
    Other(Vec<String>),
}

/// The snapshot of the known-good, as far as a look tells: it is read to its end when it is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Snapshot {
    Whole,
    Gone,
}

impl Run<'_> {
    pub(super) async fn volumes_left(&self) -> Result<Volumes, Outcome> {
        volumes_left(self.host, &self.state).await
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        snapshot(&self.dir, &self.state)
    }

    /// Whether no container of the stack runs, nor is meant to.
    pub(super) async fn nothing_runs(&self) -> Result<bool, Outcome> {
        nothing_runs(self.host, self.app, &self.state).await
    }
}

/// What a look finds of a canonical, by whoever holds no lock.
pub(super) async fn found(host: &Host, app: &config::App, dir: &AppDir, state: &State) -> Result<Found, Outcome> {
    let not_as_left = match volumes_left(host, state).await? {
        Volumes::Whole => Vec::new(),
        Volumes::Gone(names) | Volumes::Other(names) => names,
    };
    let runs = !nothing_runs(host, app, state).await?;
    Ok(Found { runs, not_as_left, stored: snapshot(dir, state) == Snapshot::Whole })
}

async fn volumes_left(host: &Host, state: &State) -> Result<Volumes, Outcome> {
    let Some(warm) = &state.warm else { return Ok(Volumes::Whole) };
    let live = host.swarm.volumes().await?;
    let place = |name: &String| live.get(name).and_then(|volume| inode(&volume.mountpoint));
    let named = |is: &dyn Fn(Option<u64>, u64) -> bool| -> Vec<String> {
        let wrong = warm.left.iter().filter(|(name, left)| is(place(name), **left));
        wrong.map(|(name, _)| name.clone()).collect()
    };
    let gone = named(&|found, _| found.is_none());
    let other = named(&|found, left| found.is_some_and(|found| found != left));
    Ok(match (gone.is_empty(), other.is_empty()) {
        (true, true) => Volumes::Whole,
        (false, _) => Volumes::Gone(gone),
        (true, false) => Volumes::Other(other),
    })
}

fn snapshot(dir: &AppDir, state: &State) -> Snapshot {
    let named = state.current.as_ref().and_then(|current| current.snapshot.as_deref());
    let Some(manifest) = named.and_then(|id| dir.snapshots().manifest(id).ok()) else {
        return Snapshot::Gone;
    };
    let folder = dir.snapshots().path(&manifest.id);
    let is_there = |archived: &crate::host::snapshots::Archived| {
        std::fs::metadata(folder.join(&archived.file)).is_ok_and(|found| found.len() == archived.bytes)
    };
    if manifest.volumes.values().all(is_there) { Snapshot::Whole } else { Snapshot::Gone }
}

async fn nothing_runs(host: &Host, app: &config::App, state: &State) -> Result<bool, Outcome> {
    let bodies = state.bodies();
    let names: BTreeSet<String> = bodies.flat_map(|body| body.services.keys().cloned()).collect();
    Ok(host.swarm.left_of(&app.stack, &names, true).await?.is_nothing())
}
