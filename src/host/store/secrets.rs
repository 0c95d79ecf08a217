//! The bytes of an app's secrets: `<app>/secrets/<name>`. Swarm takes secrets and never gives them back.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use super::place::{self, make_folder, replace};
use super::{AppDir, Lock, names_in, read_if_there};
use crate::model::secret::SecretBytes;

const LONGEST_NAME: usize = 64;

impl AppDir {
    /// The bytes that are kept under this name.
    pub fn secret(&self, name: &str) -> Result<Option<SecretBytes>> {
        Ok(read_if_there(&self.secret_file(name)?)?.map(SecretBytes::new))
    }

    /// Keeps a secret; on disk when this returns. Writes nothing when it holds these bytes already.
    pub fn keep_secret(&self, lock: &Lock, name: &str, bytes: &SecretBytes) -> Result<()> {
        self.ensure_locked_by(lock)?;
        let file = self.secret_file(name)?;
        if self.secret(name)?.as_ref() == Some(bytes) {
            return Ok(());
        }
        make_folder(&self.secrets())?;
        replace(&file, bytes.expose())
    }

    pub fn kept_secrets(&self) -> Result<BTreeSet<String>> {
        let names = names_in(&self.secrets())?;
        Ok(names.into_iter().filter(|name| is_secret_name(name)).collect())
    }

    /// Forgets a secret; nothing to do when it is not kept.
    pub fn forget_secret(&self, lock: &Lock, name: &str) -> Result<()> {
        self.ensure_locked_by(lock)?;
        let file = self.secret_file(name)?;
        match fs::remove_file(&file) {
            Ok(()) => place::sync_folder(&self.secrets()),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(cause) => Err(place::explained(cause)).with_context(|| format!("remove {}", file.display())),
        }
    }

    fn secrets(&self) -> PathBuf {
        self.dir.join("secrets")
    }

    fn secret_file(&self, name: &str) -> Result<PathBuf> {
        ensure!(
            is_secret_name(name),
            "{name:?} is no name for a secret: letters, digits, `-`, `_` and `.`, no dot first, at most {LONGEST_NAME}"
        );
        Ok(self.secrets().join(name))
    }
}

/// Swarm's own rule, and no name that means something to a file system.
fn is_secret_name(name: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.is_empty() && name.len() <= LONGEST_NAME && !name.starts_with('.') && name.chars().all(legal)
}
