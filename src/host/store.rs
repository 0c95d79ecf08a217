//! What is kept on disk: `<state_dir>/<app>/state.json`, secrets, locks, the host's key, the history.
//!
//! The border: this module keeps, and decides nothing about what it keeps. Files are replaced whole and are readable
//! by us alone; what belongs to an app is changed only with its [`Lock`] at hand. The surprise: `read_state` refuses a
//! file with a field that it does not know. A newer program wrote it, and guessing could cost data.

mod approval;
mod history;
mod lock;
mod pause;
mod place;
mod secrets;
mod slot;
mod state;

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
pub use place::InDoubt;
pub(in crate::host) use place::{BESIDE, explained, make_folder, put_if_missing, replace, sync_folder};
pub use slot::{Slot, SlotAttempt};
pub use state::StateError;

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

    /// Apps that have a state, by name.
    pub fn apps(&self) -> Result<BTreeSet<AppName>> {
        let mut apps = BTreeSet::new();
        for name in names_in(&self.dir)? {
            let Ok(app) = name.parse::<AppName>() else { continue };
            if self.app(&app).state_file().exists() {
                apps.insert(app);
            }
        }
        Ok(apps)
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
