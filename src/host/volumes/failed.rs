//! `<app>/failed/<ts>`: where the data lies that gave way.
//!
//! The data itself is in the volumes; only what a pointer names is removed with it. The border: when a pointer goes is
//! decided elsewhere (at the next good upgrade).

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::place::{drop_failed, failed_names};
use crate::host::store::{AppDir, Lock, explained, make_folder, replace, sync_folder};

const FOLDER: &str = "failed";

/// One transaction's data that gave way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failed {
    pub transaction: String,
    /// When its transaction began: the pointer's name.
    pub ts: Timestamp,
    /// What was running on it, as it is told.
    pub release: String,
    /// Volume -> its mountpoint; the data lies beside that.
    pub volumes: BTreeMap<String, PathBuf>,
}

impl Failed {
    /// Where each volume is.
    pub fn mountpoints(&self) -> impl Iterator<Item = (&str, &Path)> {
        self.volumes.iter().map(|(name, mountpoint)| (name.as_str(), mountpoint.as_path()))
    }

    /// Where the data of each volume lies, if it is there.
    pub fn folders(&self) -> impl Iterator<Item = (&str, PathBuf)> {
        let names = failed_names(&self.transaction);
        let beside = move |mountpoint: &Path| names.clone().map(|name| mountpoint.with_file_name(name));
        self.volumes.iter().flat_map(move |(name, place)| beside(place).map(|folder| (name.as_str(), folder)))
    }
}

impl AppDir {
    /// Writes, or replaces, the pointer of a transaction; on disk when this returns.
    pub fn put_failed(&self, lock: &Lock, failed: &Failed) -> Result<()> {
        self.ensure_locked_by(lock)?;
        let folder = self.path().join(FOLDER);
        make_folder(&folder)?;
        let mut text = serde_json::to_vec_pretty(failed).context("write the pointer as JSON")?;
        text.push(b'\n');
        replace(&folder.join(name(failed.ts)), &text)
    }

    /// All pointers, the oldest first. One that cannot be read is an error: what it names would be forgotten.
    pub fn failed(&self) -> Result<Vec<Failed>> {
        let folder = self.path().join(FOLDER);
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(cause) => return Err(explained(cause)).with_context(|| format!("read {}", folder.display())),
        };
        let mut all = Vec::new();
        for entry in entries {
            let path = entry.with_context(|| format!("read {}", folder.display()))?.path();
            if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.')) {
                continue;
            }
            let told = || format!("read {}", path.display());
            let text = fs::read(&path).map_err(explained).with_context(told)?;
            all.push(serde_json::from_slice::<Failed>(&text).with_context(told)?);
        }
        all.sort_by_key(|failed| failed.ts);
        Ok(all)
    }

    /// Removes the data that gave way, and the pointers to it, but those of the transactions in `keep`. Data goes first: a
    /// killed run leaves the pointer.
    pub fn drop_failed(&self, lock: &Lock, keep: &[&str]) -> Result<()> {
        self.ensure_locked_by(lock)?;
        for failed in self.failed()? {
            if keep.contains(&failed.transaction.as_str()) {
                continue;
            }
            for mountpoint in failed.volumes.values() {
                drop_failed(mountpoint, keep)?;
            }
            let file = self.path().join(FOLDER).join(name(failed.ts));
            fs::remove_file(&file).map_err(explained).with_context(|| format!("remove {}", file.display()))?;
            sync_folder(&self.path().join(FOLDER))?;
        }
        Ok(())
    }
}

/// `20261121T203000Z`
fn name(ts: Timestamp) -> String {
    ts.strftime("%Y%m%dT%H%M%SZ").to_string()
}
