//! All volumes of a canonical's stack at once: removed, made for a snapshot, found.
//!
//! The border: a volume is the stack's own where it has the stack's label. A recipe may name others (external ones, those
//! of another stack), and whoever proposes a change to one may name any: none of them is ever removed here. The surprise:
//! removing is allowed at all, since a sealed snapshot is the data, and these are a cache of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use jiff::Timestamp;
use serde_json::Value;
use tracing::info;

use super::data::performed;
use super::{DONE, OnHost, look, no_or_failure};
use crate::host::copying::CopyError;
use crate::host::snapshots::Manifest;
use crate::host::swarm::{OwnVolume, Swarm};
use crate::model::app::StackName;
use crate::model::outcome::Outcome;
use crate::model::transaction::{Transaction, Volume};
use crate::model::warm::Left;
use crate::upgrade::run::{Fact, Failure, Performed};
use crate::upgrade::volumes::is_left_out;

impl OnHost<'_> {
    /// `is_first`: the volumes may be those of the known-good still, and not only what is thrown away.
    pub(super) async fn clear(&self, is_first: bool, transaction: &Transaction) -> Performed {
        let manifest = match self.named_manifest(transaction) {
            Ok(manifest) => manifest,
            Err(cause) => return performed(Err(cause)),
        };
        let own = self.keeper.swarm.own_volumes(&self.stack).await?;
        let gone: Vec<&OwnVolume> = own.iter().filter(|volume| !self.is_left_out(&volume.name, transaction)).collect();
        if let Some(manifest) = manifest.filter(|_| is_first) {
            let is_nowhere = |volume: &&&OwnVolume| {
                let born = born(volume.mountpoint.parent());
                !manifest.volumes.contains_key(&volume.name) && !is_after(born, Some(manifest.taken))
            };
            if let Some(volume) = gone.iter().find(is_nowhere) {
                return Ok(Err(format!(
                    "volume {} is not in the snapshot of the known-good, so it could not be brought back: name it in \
                     snapshot.exclude, or remove it",
                    volume.name
                )));
            }
        }
        self.remove(&gone).await
    }

    pub(super) async fn make(&mut self, transaction: &Transaction) -> Performed {
        let manifest = match self.named_manifest(transaction) {
            Ok(manifest) => manifest,
            Err(cause) => return performed(Err(cause)),
        };
        let stored: BTreeSet<&str> =
            manifest.iter().flat_map(|found| found.volumes.keys()).map(String::as_str).collect();
        let own = self.keeper.swarm.own_volumes(&self.stack).await?;
        let since = manifest.as_ref().map(|manifest| manifest.taken);
        let goes = |volume: &&OwnVolume| {
            let came_after =
                || is_after(born(volume.mountpoint.parent()), since) && !self.is_left_out(&volume.name, transaction);
            stored.contains(volume.name.as_str()) || came_after()
        };
        if let Err(no) = self.remove(&own.iter().filter(goes).collect::<Vec<_>>()).await? {
            return Ok(Err(no));
        }
        for name in &stored {
            self.keeper.swarm.create_volume(&self.stack, name).await?;
            info!(volume = name, "made anew, to be filled from the snapshot");
        }
        let live = self.keeper.swarm.volumes().await?;
        let mut volumes = BTreeMap::new();
        for name in stored {
            let Some(place) = live.get(name).map(|live| live.mountpoint.clone()).filter(|place| place.is_absolute())
            else {
                return Err(Failure::Engine(format!("the Engine does not tell where volume {name} is")));
            };
            volumes.insert(name.to_owned(), Volume { mountpoint: Some(place), left_out: false });
        }
        Ok(Ok(Fact::Found(volumes)))
    }

    pub(super) async fn find(&self, transaction: &Transaction) -> Performed {
        let specs: Vec<&Value> = transaction.old.release.body.services.values().collect();
        match look::volumes(self.keeper.swarm, &self.stack, &specs, &transaction.rules.left_out).await {
            Ok(volumes) => Ok(Ok(Fact::Found(volumes))),
            Err(outcome) => no_or_failure(&outcome),
        }
    }

    /// What is written down as left has to be there after a power loss.
    pub(super) async fn mark(&self) -> Performed {
        let own = self.keeper.swarm.own_volumes(&self.stack).await?;
        for volume in &own {
            let place = volume.mountpoint.clone();
            let synced = tokio::task::spawn_blocking(move || on_disk(&place)).await;
            if let Ok(Err(cause)) = synced {
                return Err(Failure::Disk(format!("volume {} cannot be brought to disk: {cause}", volume.name)));
            }
        }
        match left(&own) {
            Ok(left) => Ok(Ok(Fact::Marked(left))),
            Err(cause) => Err(Failure::Disk(cause)),
        }
    }

    fn named_manifest(&self, transaction: &Transaction) -> Result<Option<Manifest>, CopyError> {
        transaction.snapshot.as_ref().map(|id| self.keeper.dir.snapshots().manifest(id)).transpose()
    }

    fn is_left_out(&self, name: &str, transaction: &Transaction) -> bool {
        is_left_out(&self.stack, &transaction.rules.left_out, name)
    }

    /// All of them, or none: whoever holds one, exited or not, keeps the Engine from removing it.
    async fn remove(&self, volumes: &[&OwnVolume]) -> Performed {
        let names: BTreeSet<&str> = volumes.iter().map(|volume| volume.name.as_str()).collect();
        for container in self.keeper.swarm.mountings().await? {
            let mut held = container.mounts.iter().filter_map(|mount| mount.volume.as_deref());
            if let Some(name) = held.find(|name| names.contains(name)) {
                return Ok(Err(format!(
                    "volume {name} is held by container {} ({}): remove that container (`docker rm {}`)",
                    container.name, container.state, container.name
                )));
            }
        }
        for name in names {
            match self.keeper.swarm.remove_volume(name).await {
                Err(error) if error.is_refusal() => return Ok(Err(error.to_string())),
                removed => removed?,
            }
            info!(volume = name, "removed");
        }
        DONE
    }
}

/// Whether a volume came after a snapshot was taken. What cannot be told did not: it is let be.
fn is_after(born: Option<Timestamp>, taken: Option<Timestamp>) -> bool {
    born.zip(taken).is_some_and(|(born, taken)| born > taken)
}

/// When a folder was made. The Engine tells of a volume's last change instead (moby's `CreatedAt` is a ctime).
fn born(folder: Option<&Path>) -> Option<Timestamp> {
    Timestamp::try_from(std::fs::metadata(folder?).ok()?.created().ok()?).ok()
}

fn on_disk(place: &Path) -> std::io::Result<()> {
    match File::open(place) {
        Ok(folder) => Ok(rustix::fs::syncfs(folder)?),
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(cause) => Err(cause),
    }
}

/// What a stack's own volumes are known by now.
///
/// # Errors
/// When the Engine or a disk does not answer: then nobody knows whether they are gone.
pub async fn left_of(swarm: &Swarm, stack: &StackName) -> Result<BTreeMap<String, Left>, Outcome> {
    left(&swarm.own_volumes(stack).await?).map_err(Outcome::Error)
}

fn left(own: &[OwnVolume]) -> Result<BTreeMap<String, Left>, String> {
    let mut left = BTreeMap::new();
    for volume in own {
        match std::fs::metadata(&volume.mountpoint) {
            Ok(found) => {
                left.insert(volume.name.clone(), Left { inode: found.ino(), born: born(Some(&volume.mountpoint)) })
            }
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => None,
            Err(cause) => return Err(format!("volume {} cannot be looked at: {cause}", volume.name)),
        };
    }
    Ok(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_there_when_the_snapshot_was_taken_or_cannot_tell_its_age_did_not_come_after_it() {
        let at = |text: &str| Some(text.parse().unwrap());
        let taken = at("2026-06-01T02:00:00Z");
        assert!(is_after(at("2026-06-01T02:00:01Z"), taken));
        for (born, taken) in [(taken, taken), (at("2025-01-01T00:00:00Z"), taken), (None, taken), (taken, None)] {
            assert!(!is_after(born, taken), "{born:?} {taken:?}");
        }
    }

    #[test]
    fn what_is_written_into_a_volume_makes_it_no_other_one() {
        let dir = tempfile::tempdir().unwrap();
        let own = [OwnVolume { name: "data".to_owned(), mountpoint: dir.path().to_owned() }];
        let before = left(&own).unwrap();
        assert!(before["data"].born.is_some());
        std::fs::write(dir.path().join("file"), "").unwrap();
        std::fs::create_dir(dir.path().join("folder")).unwrap();
        assert_eq!(left(&own).unwrap(), before);
    }

    #[test]
    fn a_volume_that_is_gone_is_told_from_one_that_cannot_be_looked_at() {
        let at = |place: &str| [OwnVolume { name: "data".to_owned(), mountpoint: place.into() }];
        assert_eq!(left(&at("/nonexistent/_data")).unwrap(), BTreeMap::new());
        assert!(left(&at("/proc/version/_data")).unwrap_err().contains("volume data cannot be looked at"));
    }
}
