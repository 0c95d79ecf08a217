//! The commit that each version's tag named when we first saw it, and when that was.
//!
//! The file lies beside the mirror, so that it outlives it. Where the file is lost and the mirror is not, what the
//! mirror knows from before a fetch counts as seen; where both are lost, the recorded state of an installed app still
//! has its commit.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::host::store::replace;
use crate::model::version::{Commit, RecipeVersion};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FirstSight {
    pub commit: Commit,
    pub seen: Timestamp,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Sights(BTreeMap<String, FirstSight>);

impl Sights {
    /// # Errors
    /// When the file is damaged: to begin anew could take a moved tag for a new one, so a person has to say it.
    pub fn read(file: &Path) -> Result<Self> {
        let bytes = match std::fs::read(file) {
            Ok(bytes) => bytes,
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(cause) => return Err(cause).with_context(|| format!("read {}", file.display())),
        };
        serde_json::from_slice(&bytes).with_context(|| {
            format!(
                "read {}, which says what each tag named when it was first seen; restore it, or remove it, and what the \
                 tags name at the next fetch counts",
                file.display()
            )
        })
    }

    /// Of a version.
    pub fn of(&self, version: &RecipeVersion) -> Option<&FirstSight> {
        self.0.get(&version.to_string())
    }

    pub fn commits(&self) -> impl Iterator<Item = &Commit> {
        self.0.values().map(|sight| &sight.commit)
    }

    /// Notes versions that were not seen before; says whether there was one.
    pub fn note(&mut self, versions: &[(RecipeVersion, Commit)], now: Timestamp) -> bool {
        let known = self.0.len();
        for (version, commit) in versions {
            self.0.entry(version.to_string()).or_insert_with(|| FirstSight { commit: commit.clone(), seen: now });
        }
        self.0.len() > known
    }

    pub fn write(&self, file: &Path) -> Result<()> {
        replace(file, &serde_json::to_vec_pretty(self).context("write the first sights as JSON")?)
    }
}
