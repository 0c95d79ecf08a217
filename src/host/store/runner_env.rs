//! `<app>/runner.env`: what the runner on this host is started with, which holds the secret that it shares with the server.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;

use anyhow::Result;

use super::place::replace;
use super::{AppDir, Lock, read_if_there};
use crate::model::secret::SecretBytes;

const FILE: &str = "runner.env";

impl AppDir {
    pub fn runner_env_file(&self) -> PathBuf {
        self.dir.join(FILE)
    }

    /// Puts the runner's environment in place, readable by us alone, and says `true`. Where it stands there so already,
    /// nothing is written: whoever watches the file would start the runner anew.
    ///
    /// # Errors
    /// When it cannot be read or written; the one from before stands then.
    pub fn keep_runner_env(&self, lock: &Lock, bytes: &SecretBytes) -> Result<bool> {
        self.ensure_locked_by(lock)?;
        if self.has_runner_env(bytes)? {
            return Ok(false);
        }
        replace(&self.runner_env_file(), bytes.expose())?;
        Ok(true)
    }

    /// Whether it stands there so, readable by us alone.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn has_runner_env(&self, bytes: &SecretBytes) -> Result<bool> {
        let path = self.runner_env_file();
        Ok(self.is_ours_alone(&path) && read_if_there(&path)?.is_some_and(|there| there == bytes.expose()))
    }

    /// Whether it is a plain file that nobody else may read; one that somebody opened to others is replaced.
    fn is_ours_alone(&self, path: &std::path::Path) -> bool {
        let Ok(found) = fs::symlink_metadata(path) else { return false };
        found.is_file()
            && found.permissions().mode() & 0o777 == 0o600
            && found.uid() == rustix::process::geteuid().as_raw()
    }
}
