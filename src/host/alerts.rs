//! Alert files: `<state_dir>/alerts/<ts>-<app>-<reason>.json`, moved to `alerts/seen/` once they are relayed.
//!
//! The border: what makes an alert due is decided in `upgrade::told`. A file is there whole or not at all, and is never
//! changed. The surprise: it is written before its alert is cleared from the state, and looked for under its name, in
//! `seen/` too, before it is written. So a killed run loses none and doubles none, also when a relay was faster.

mod relay;
mod units;
mod webhook;

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use tracing::warn;

use super::store::{BESIDE, Store, explained, make_folder, put_if_missing, replace, sync_folder};
use super::who::host_name;
use crate::model::alert::{Alert, Message};
use crate::model::app::AppName;
use crate::model::state::State;

pub use relay::{Relay, Relayed, Tally, Target};
pub use units::tell_of;
pub use webhook::Post;

/// No alert of ours is as long.
const LONGEST: u64 = 1 << 20;
/// What was begun to be written before this time, a killed run has left.
const LEFT_BEHIND: Duration = Duration::from_secs(60 * 60);

/// So many that were relayed are kept, and so long.
const SEEN_AT_MOST: usize = 10_000;
const SEEN_FOR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The folder of all alerts of a host.
#[derive(Debug, Clone)]
pub struct Alerts {
    dir: PathBuf,
}

/// One file, as it was read.
#[derive(Debug, Clone)]
pub struct Letter {
    pub name: String,
    pub is_seen: bool,
    pub message: Result<Message, String>,
}

impl Alerts {
    pub fn of(store: &Store) -> Self {
        Self { dir: store.dir().join("alerts") }
    }

    /// Writes the files of what is due, then clears it by `write`.
    ///
    /// # Errors
    /// When a file or the state cannot be written; what is due then is written by the next run.
    pub fn write_due(
        &self,
        app: &AppName,
        state: &mut State,
        mut write: impl FnMut(&State) -> Result<()>,
    ) -> Result<()> {
        if state.due_alerts.is_empty() {
            return Ok(());
        }
        for alert in &state.due_alerts {
            self.put(app, alert)?;
        }
        let cleared = State { due_alerts: Vec::new(), ..state.clone() };
        write(&cleared)?;
        *state = cleared;
        Ok(())
    }

    /// What is told and due of an app that has no state to keep it in: a state with nothing else in it. One that cannot
    /// be read is begun anew; at worst something is told again.
    pub fn beside(&self, app: &AppName) -> Result<State> {
        let nothing = State::new(&app.as_str().parse().context("an app's name is a stack's")?);
        let kept = fs::read(self.beside_file(app)).ok().and_then(|text| serde_json::from_slice(&text).ok());
        Ok(kept.unwrap_or(nothing))
    }

    pub fn put_beside(&self, app: &AppName, state: &State) -> Result<()> {
        make_folder(&self.dir)?;
        replace(&self.beside_file(app), &serde_json::to_vec_pretty(state).context("write what was told as JSON")?)
    }

    pub fn forget_beside(&self, app: &AppName) -> Result<()> {
        remove(&self.beside_file(app))
    }

    fn beside_file(&self, app: &AppName) -> PathBuf {
        self.dir.join(format!(".told-{app}"))
    }

    /// Writes one; where it was written before, nothing.
    pub fn put(&self, app: &AppName, alert: &Alert) -> Result<()> {
        make_folder(&self.dir)?;
        let message = alert.message(app, &host_name());
        let stem = alert.file_stem(app);
        // Another fact of the same app, reason and second has another number.
        for number in 1.. {
            let name = if number == 1 { format!("{stem}.json") } else { format!("{stem}-{number}.json") };
            match self.letter(&name) {
                Some(Letter { message: Ok(there), .. }) if there.fact == alert.fact && there.ts == alert.ts => break,
                Some(_) => continue,
                None if put_if_missing(&self.dir.join(&name), message.to_text().as_bytes())? => break,
                None => continue,
            }
        }
        Ok(())
    }

    /// Names of the files that wait to be relayed, the oldest first.
    pub fn waiting(&self) -> Result<Vec<String>> {
        names(&self.dir)
    }

    pub fn seen(&self) -> Result<Vec<String>> {
        names(&self.seen_dir())
    }

    /// A file that waits, or was relayed.
    pub fn letter(&self, name: &str) -> Option<Letter> {
        // In this order: files only go from here to there.
        let found = [(self.path(name), false), (self.seen_dir().join(name), true)];
        let (path, is_seen) = found.into_iter().find(|(path, _)| path.symlink_metadata().is_ok())?;
        Some(Letter { name: name.to_owned(), is_seen, message: read(&path).map(|(message, _)| message) })
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn seen_dir(&self) -> PathBuf {
        self.dir.join("seen")
    }

    /// One that was sent, and cannot be moved, is removed: a full disk has room for that, and it would be sent again by
    /// each relay.
    fn set_seen(&self, name: &str) -> Result<()> {
        let seen = self.seen_dir();
        let there = seen.join(name);
        let moved = || -> Result<()> {
            make_folder(&seen)?;
            fs::rename(self.path(name), &there)
                .map_err(explained)
                .with_context(|| format!("move {name} to {}", seen.display()))
        };
        moved().or_else(|cause| {
            warn!(
                cause = format!("{cause:#}"),
                alert = name,
                "an alert that was sent is removed, since it cannot be kept"
            );
            remove(&self.path(name))
        })
    }

    /// What was moved stays so, also after a power loss.
    fn sync_seen(&self) -> Result<()> {
        if self.seen_dir().is_dir() {
            sync_folder(&self.seen_dir())?;
        }
        sync_folder(&self.dir)
    }

    /// Removes what killed runs have left half written. Young files may be on their way now.
    fn sweep(&self) -> Result<()> {
        for file in fs::read_dir(&self.dir).with_context(|| format!("read {}", self.dir.display()))? {
            let file = file?;
            if file.file_name().to_string_lossy().starts_with(BESIDE) && is_older(&file.path(), LEFT_BEHIND)? {
                fs::remove_file(file.path()).with_context(|| format!("remove {}", file.path().display()))?;
            }
        }
        Ok(())
    }

    /// Removes what was relayed long ago. What waits is never removed.
    fn forget_seen(&self) -> Result<()> {
        let names = self.seen()?;
        let surplus = names.len().saturating_sub(SEEN_AT_MOST);
        for (number, name) in names.iter().enumerate() {
            let file = self.seen_dir().join(name);
            if number < surplus || is_older(&file, SEEN_FOR)? {
                remove(&file)?;
            }
        }
        Ok(())
    }
}

/// By when it was written.
fn is_older(file: &Path, than: Duration) -> io::Result<bool> {
    let age = SystemTime::now().duration_since(file.symlink_metadata()?.modified()?);
    Ok(age.is_ok_and(|age| age > than))
}

/// Nothing to do where it is not there.
fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
            Err(explained(cause)).with_context(|| format!("remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Names begin with the time, so their order is that of time.
fn names(folder: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(cause) => return Err(explained(cause)).with_context(|| format!("read {}", folder.display())),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.with_context(|| format!("read {}", folder.display()))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(".json") && !name.starts_with('.') {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// The file's message, and its very bytes.
fn read(path: &Path) -> Result<(Message, Vec<u8>), String> {
    let look = || -> Result<Vec<u8>> {
        let metadata = fs::symlink_metadata(path)?;
        ensure!(metadata.is_file(), "it is no plain file");
        ensure!(metadata.len() <= LONGEST, "it has {} bytes; an alert has at most {LONGEST}", metadata.len());
        let mut bytes = Vec::new();
        File::open(path)?.take(LONGEST).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = look().map_err(|cause| format!("{cause:#}"))?;
    let message = serde_json::from_slice(&bytes).map_err(|cause| format!("it is no whole alert: {cause}"))?;
    Ok((message, bytes))
}
