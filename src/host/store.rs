//! What is kept on disk: `<state_dir>/<app>/state.json`, secrets, locks, the host's key, the history.
//!
//! The border: this module keeps, and decides nothing about what it keeps. Files are replaced whole and are readable
//! by us alone; what belongs to an app is changed only with its [`Lock`] at hand. The surprise: `read_state` refuses a
//! file with a field that it does not know. A newer program wrote it, and guessing could cost data.

mod approval;
mod history;
mod holder;
mod lock;
mod pause;
mod place;
mod runner_env;
mod secrets;
mod slot;
mod state;
mod sweep;
mod warm;

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::model::app::AppName;
use crate::model::secret::HostKey;

pub use history::{DamagedLine, LONGEST as LONGEST_HISTORY};
pub use lock::{Lock, LockAttempt};
pub(in crate::host) use lock::{alone, is_taken, open_lock};
pub(in crate::host) use place::{BESIDE, explained, make_folder, put_if_missing, replace, sync_folder};
pub use place::{InDoubt, is_unwritable};
pub use slot::{Slot, SlotAttempt};
pub use state::StateError;
pub use warm::Recorded;

const KEY_LENGTH: usize = 32;
/// Enough for the largest state of an app, so that a full disk is met before anything is touched.
const ROOM: usize = 64 << 10;

/// The state directory.
#[derive(Debug, Clone)]
pub struct Store {
    dir: PathBuf,
}

impl Store {
    /// Opens the state directory for a run that may change something; makes it (0700) where it is missing.
    ///
    /// # Errors
    /// When it cannot be written now: no permission, read-only, full, or a file in its place. Better told here than
    /// halfway through a deploy.
    pub fn open(state_dir: impl Into<PathBuf>) -> Result<Self> {
        let dir = state_dir.into();
        let usable = || -> Result<()> {
            make_folder(&dir)?;
            let mut probe = tempfile::tempfile_in(&dir).map_err(place::explained)?;
            probe.write_all(&[0; ROOM]).map_err(place::explained)
        };
        usable().with_context(|| format!("the state directory {} cannot be used", dir.display()))?;
        Ok(Self { dir })
    }

    /// The state directory for looking only: makes and probes nothing, and may be missing altogether.
    pub fn for_reading(state_dir: impl Into<PathBuf>) -> Self {
        Self { dir: state_dir.into() }
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn app(&self, app: &AppName) -> AppDir {
        AppDir { dir: self.dir.join(app.as_str()) }
    }

    /// Apps that have a state, by name. One of which that cannot be told has one: who reads it is told why.
    pub fn apps(&self) -> Result<BTreeSet<AppName>> {
        let has_state = |app: &AppName| may_be_there(&self.app(app).state_file());
        Ok(self.named()?.filter(has_state).collect())
    }

    /// Who is at work on an app, also on one that has no state yet: its first install pulls images before it writes one.
    ///
    /// # Errors
    /// When the folder, or a lock in it, cannot be looked at.
    pub fn at_work(&self, but: Option<&AppName>) -> Result<Option<String>> {
        for app in self.named()?.filter(|app| Some(app) != but) {
            if let Some(by) = self.app(&app).holder()? {
                return Ok(Some(by));
            }
        }
        Ok(None)
    }

    /// Whether any app was ever at work here.
    pub fn is_used(&self) -> Result<bool> {
        let of_app =
            |app: AppName| may_be_there(&self.app(&app).dir.join("lock")) || may_be_there(&self.app(&app).state_file());
        Ok(self.named()?.any(of_app))
    }

    /// What is named as an app may be, in the order of names.
    fn named(&self) -> Result<impl Iterator<Item = AppName>> {
        let names: BTreeSet<AppName> = names_in(&self.dir)?.iter().filter_map(|name| name.parse().ok()).collect();
        Ok(names.into_iter())
    }

    /// The host's own key; made once, also when several runs ask at the same time.
    pub fn host_key(&self) -> Result<HostKey> {
        if let Some(key) = self.existing_host_key()? {
            return Ok(key);
        }
        let mut bytes = vec![0; KEY_LENGTH];
        random(&mut bytes);
        place::put_if_missing(&self.key_file(), &bytes)?;
        // Read back: another run may have been first.
        self.existing_host_key()?.context("host.key is gone just after it was made")
    }

    /// The host's key if it was made already: for commands that write nothing.
    pub fn existing_host_key(&self) -> Result<Option<HostKey>> {
        let file = self.key_file();
        let Some(bytes) = read_if_there(&file)? else { return Ok(None) };
        ensure!(
            bytes.len() == KEY_LENGTH,
            "{} is damaged: {} bytes instead of {KEY_LENGTH}; restore it from a backup, or remove it (secrets that \
             come from files then get new names, and their services are restarted once)",
            file.display(),
            bytes.len()
        );
        Ok(Some(HostKey::new(bytes)))
    }

    /// The key for verbs that only look: the host's own, or one for this moment alone where there is none yet. What it
    /// names by content is named otherwise by the first run, and never by a key that others know.
    pub fn key_to_look_with(&self) -> Result<HostKey> {
        let passing = || {
            let mut bytes = vec![0; KEY_LENGTH];
            random(&mut bytes);
            HostKey::new(bytes)
        };
        Ok(self.existing_host_key()?.unwrap_or_else(passing))
    }

    fn key_file(&self) -> PathBuf {
        self.dir.join("host.key")
    }
}

/// Random bytes of the kernel.
pub fn random(buffer: &mut [u8]) {
    getrandom::fill(buffer).expect("the kernel gives random bytes");
}

/// What is kept about one app.
#[derive(Debug, Clone)]
pub struct AppDir {
    dir: PathBuf,
}

impl AppDir {
    pub fn path(&self) -> &Path {
        &self.dir
    }
}

pub(in crate::host) fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(place::explained(cause)).with_context(|| format!("read {}", path.display())),
    }
}

/// Also where nobody can look.
fn may_be_there(path: &Path) -> bool {
    path.try_exists().unwrap_or_else(|cause| cause.kind() != io::ErrorKind::NotADirectory)
}

/// Names in a folder that are text; none when the folder is missing.
fn names_in(folder: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(cause) => return Err(place::explained(cause)).with_context(|| format!("read {}", folder.display())),
    };
    let names = entries.map(|entry| Ok(entry?.file_name().into_string().ok()));
    let names: io::Result<Vec<_>> = names.collect();
    let names = names.with_context(|| format!("read {}", folder.display()))?;
    Ok(names.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_whose_state_cannot_be_looked_at_is_not_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let app: AppName = "wiki".parse().unwrap();
        fs::create_dir(store.app(&app).path()).unwrap();
        fs::write(folder.path().join("a-file"), "").unwrap();
        assert!(store.apps().unwrap().is_empty() && !store.is_used().unwrap());
        // A link to itself leads nowhere.
        std::os::unix::fs::symlink("state.json", store.app(&app).state_file()).unwrap();
        assert!(store.apps().unwrap().contains(&app));
        store.app(&app).read_state().unwrap_err();
    }

    #[test]
    fn whoever_installs_an_app_is_at_work_before_it_has_a_state() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        fs::write(folder.path().join("a-file"), "").unwrap();
        fs::create_dir(folder.path().join("alerts")).unwrap();
        assert_eq!(store.at_work(None).unwrap(), None);
        let app: AppName = "wiki".parse().unwrap();
        let LockAttempt::Taken(_lock) = store.app(&app).lock().unwrap() else { panic!("it is free") };
        assert!(store.at_work(None).unwrap().unwrap().contains(&std::process::id().to_string()));
        assert_eq!(store.at_work(Some(&app)).unwrap(), None);
    }
}
