//! All volumes of a canonical's stack at once: removed, made for a snapshot, found.
//!
//! The border: which of them belong to the stack, and what keeps them from being stored or put back, is told as for any
//! transaction. The surprise: removing is allowed here, since a sealed snapshot is the data, and these are a cache of it.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use serde_json::Value;
use tracing::info;

use super::data::performed;
use super::{DONE, OnHost, look, no_or_failure};
use crate::host::copying::CopyError;
use crate::host::volumes::{drop_failed, drop_stages};
use crate::model::outcome::Outcome;
use crate::model::transaction::{Transaction, Volume};
use crate::upgrade::run::{Fact, Performed};

impl OnHost<'_> {
    pub(super) async fn clear(&self, transaction: &Transaction) -> Performed {
        let found = match self.volumes_of(transaction).await {
            Ok(found) => found,
            Err(outcome) => return no_or_failure(&outcome),
        };
        self.remove(&found, &BTreeSet::new()).await
    }

    pub(super) async fn make(&mut self, transaction: &Transaction) -> Performed {
        let stored: BTreeSet<String> = match self.stored(transaction) {
            Ok(stored) => stored,
            Err(cause) => return performed(Err(cause)),
        };
        let found = match self.volumes_of(transaction).await {
            Ok(found) => found,
            Err(outcome) => return no_or_failure(&outcome),
        };
        if let Err(no) = self.remove(&found, &stored).await? {
            return Ok(Err(no));
        }
        let is_there = |name: &String| found.get(name).is_some_and(|volume| volume.mountpoint.is_some());
        for name in stored.iter().filter(|name| !is_there(name)) {
            self.keeper.swarm.create_volume(&self.stack, name).await?;
            info!(volume = name, "made again, to be filled from the snapshot");
        }
        let volumes = match self.volumes_of(transaction).await {
            Ok(volumes) => volumes,
            Err(outcome) => return no_or_failure(&outcome),
        };
        let volumes: BTreeMap<String, Volume> = volumes.into_iter().filter(|(name, _)| stored.contains(name)).collect();
        if let Err(cause) = without_leftovers(&volumes) {
            return performed(Err(cause.into()));
        }
        Ok(Ok(Fact::Found { volumes, inodes: BTreeMap::new() }))
    }

    pub(super) async fn find(&self, transaction: &Transaction) -> Performed {
        let volumes = match self.volumes_of(transaction).await {
            Ok(volumes) => volumes,
            Err(outcome) => return no_or_failure(&outcome),
        };
        let inodes = inodes(&volumes);
        Ok(Ok(Fact::Found { volumes, inodes }))
    }

    fn stored(&self, transaction: &Transaction) -> Result<BTreeSet<String>, CopyError> {
        let Some(id) = &transaction.snapshot else { return Ok(BTreeSet::new()) };
        Ok(self.keeper.dir.snapshots().manifest(id)?.volumes.into_keys().collect())
    }

    async fn volumes_of(&self, transaction: &Transaction) -> Result<BTreeMap<String, Volume>, Outcome> {
        let live = self.keeper.swarm.services_of(&self.stack).await?;
        let recorded = transaction.bodies().flat_map(|body| body.services.values());
        let specs: Vec<&Value> = recorded.chain(live.values().map(|service| &service.spec)).collect();
        look::volumes(self.keeper.swarm, &self.stack, &specs, &transaction.rules.left_out).await
    }

    async fn remove(&self, found: &BTreeMap<String, Volume>, but: &BTreeSet<String>) -> Performed {
        let there = found.iter().filter(|(_, volume)| volume.mountpoint.is_some() && !volume.left_out);
        for (name, _) in there.filter(|(name, _)| !but.contains(*name)) {
            self.keeper.swarm.remove_volume(name).await?;
            info!(volume = name, "removed");
        }
        DONE
    }
}

/// What earlier works left beside the data: it is in the snapshot, or was thrown away.
fn without_leftovers(volumes: &BTreeMap<String, Volume>) -> anyhow::Result<()> {
    for place in volumes.values().filter_map(|volume| volume.mountpoint.as_deref()) {
        drop_stages(place, &[])?;
        drop_failed(place, &[])?;
    }
    Ok(())
}

/// The inode of the folder that is each volume's data.
pub fn inodes(volumes: &BTreeMap<String, Volume>) -> BTreeMap<String, u64> {
    let kept = volumes.iter().filter(|(_, volume)| !volume.left_out);
    kept.filter_map(|(name, volume)| Some((name.clone(), inode(volume.mountpoint.as_deref()?)?))).collect()
}

/// The inode of a volume's folder; nothing where there is none.
pub fn inode(mountpoint: &Path) -> Option<u64> {
    std::fs::metadata(mountpoint).ok().map(|found| found.ino())
}
