//! `<state_dir>/sweep.json`, and `<state_dir>/sweep/`: the lock of whoever sweeps, and a folder for each throw-away stack.
//!
//! The folder of a throw-away stack has the bytes of its secrets and the lock of its run, and goes with it. Nothing of one
//! is ever in the folder of an app.

use std::fs;
use std::io;

use anyhow::{Context, Result};

use super::place::{explained, replace, sync_folder};
use super::{AppDir, Lock, Store, names_in, read_if_there};
use crate::model::app::Domain;
use crate::model::kept::KeptError;
use crate::model::sweep::Sweep;

const FOLDER: &str = "sweep";
const FILE: &str = "sweep.json";

impl Store {
    /// The folder whose lock is held by whoever sweeps.
    pub fn sweeps(&self) -> AppDir {
        AppDir { dir: self.dir.join(FOLDER) }
    }

    /// The sweep that is under way, or the last one. The inner `Err`: nothing can be made of the file.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read_sweep(&self) -> Result<Option<Result<Sweep, KeptError>>> {
        Ok(read_if_there(&self.dir.join(FILE))?.map(|text| Sweep::parse(&text)))
    }

    /// Replaces the progress of the sweep; on disk when this returns.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_sweep(&self, lock: &Lock, sweep: &Sweep) -> Result<()> {
        self.sweeps().ensure_locked_by(lock)?;
        let text = serde_json::to_string_pretty(sweep).context("write the sweep as JSON")? + "\n";
        replace(&self.dir.join(FILE), text.as_bytes())
    }

    /// What is kept of the throw-away stack at this domain.
    pub fn throw_away(&self, domain: &Domain) -> AppDir {
        AppDir { dir: self.sweeps().dir.join(domain.as_str()) }
    }

    /// The domains of which such a folder is there.
    ///
    /// # Errors
    /// When that cannot be looked at.
    pub fn throw_aways(&self) -> Result<Vec<Domain>> {
        let mut domains: Vec<Domain> =
            names_in(&self.sweeps().dir)?.iter().filter_map(|name| name.parse().ok()).collect();
        domains.sort();
        Ok(domains)
    }

    /// Removes all that is kept of a throw-away stack.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn forget_throw_away(&self, domain: &Domain, lock: &Lock) -> Result<()> {
        let dir = self.throw_away(domain);
        dir.ensure_locked_by(lock)?;
        match fs::remove_dir_all(dir.path()) {
            Ok(()) => sync_folder(self.sweeps().path()),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(cause) => Err(explained(cause)).with_context(|| format!("remove {}", dir.path().display())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::LockAttempt;
    use super::*;
    use crate::model::secret::SecretBytes;
    use crate::model::sweep::SCHEMA;

    fn taken(dir: &AppDir) -> Lock {
        let LockAttempt::Taken(lock) = dir.lock().unwrap() else { panic!("it is free") };
        lock
    }

    #[test]
    fn progress_is_kept_and_damage_is_no_progress() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        assert!(store.read_sweep().unwrap().is_none());
        let lock = taken(&store.sweeps());
        let began = "2026-11-22T04:00:00Z".parse().unwrap();
        let (by, named, recipes) = ("alice".to_owned(), vec![], vec![]);
        let sweep = Sweep { schema: SCHEMA, began, by, named, ended: None, recipes };
        store.write_sweep(&lock, &sweep).unwrap();
        assert_eq!(store.read_sweep().unwrap(), Some(Ok(sweep)));
        fs::write(folder.path().join(FILE), "{\"schema\":1").unwrap();
        assert!(matches!(store.read_sweep().unwrap(), Some(Err(KeptError::Form(_)))));
    }

    #[test]
    fn what_is_kept_of_a_throw_away_stack_goes_with_it_and_nothing_else_does() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let domains: [Domain; 2] = ["wiki-000000.example.org", "wiki-111111.example.org"].map(|d| d.parse().unwrap());
        let locks = domains.each_ref().map(|domain| taken(&store.throw_away(domain)));
        let sweeping = taken(&store.sweeps());
        for (domain, lock) in domains.iter().zip(&locks) {
            store.throw_away(domain).keep_secret(lock, "key_v1", &SecretBytes::new(b"x".to_vec())).unwrap();
        }
        assert_eq!(store.throw_aways().unwrap(), domains);
        store.forget_throw_away(&domains[0], &locks[1]).unwrap_err();
        store.forget_throw_away(&domains[0], &locks[0]).unwrap();
        assert_eq!(store.throw_aways().unwrap(), domains[1..]);
        assert!(store.throw_away(&domains[1]).secret("key_v1").unwrap().is_some());
        assert!(store.apps().unwrap().is_empty(), "a throw-away stack is no app");
        drop(sweeping);
    }
}
