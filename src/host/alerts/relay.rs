//! Relaying: each alert to its targets, the oldest first, and to `seen/` when all of them have it.
//!
//! One alert that is not taken does not hold up the next. Before a relay ends it looks once more: whoever starts it on a
//! new file hears nothing of one that comes meanwhile. The surprise: with two targets, who has an alert already is
//! noted beside it, so that the one that works is not sent it again each time the other fails. A relay that is killed
//! between sending and noting sends once more, and after a power loss the last few are; no alert is lost that way.

use std::collections::{BTreeSet, VecDeque};
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use tracing::warn;

use super::webhook::{Post, PostError};
use super::{Alerts, read, remove};
use crate::host::command::{Command, CommandError};
use crate::host::store::{explained, is_taken, make_folder, open_lock};
use crate::model::alert::Message;

/// So many alerts in a row without any answer, and the newest too: nobody is there.
const SILENT_AT_MOST: usize = 3;
/// So many may be sent once more after a power loss: a disk takes longer than the rest of a relay.
const SYNCED_TOGETHER: usize = 64;
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);
/// Variables of ours that a child must not have: it would speak to systemd in our name.
const OURS: [&str; 5] = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID"];

/// Who is told.
pub enum Target {
    /// A program and its arguments, and how long it may take.
    Command {
        words: Vec<OsString>,
        within: Duration,
    },
    Webhook(Post),
}

/// What became of one alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relayed {
    pub name: String,
    /// Why it stays.
    pub failed: Option<String>,
}

/// What a whole relay came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    pub relayed: usize,
    pub failed: usize,
    /// Not tried, since nobody answers.
    pub untried: usize,
}

/// The right to relay: one at a time per host.
pub struct Relay<'a> {
    alerts: &'a Alerts,
    _lock: File,
}

enum Sent {
    Yes,
    /// It was answered, and not taken.
    Refused(String),
    Silence(String),
}

impl Alerts {
    /// Takes the right to relay; `None` while another relay is at work.
    pub fn relay(&self) -> Result<Option<Relay<'_>>> {
        make_folder(&self.dir)?;
        let path = self.dir.join("relay.lock");
        let lock = open_lock(&path)?;
        if !is_taken(&lock, &path)? {
            return Ok(None);
        }
        self.sweep()?;
        if let Err(cause) = self.forget_seen() {
            warn!(cause = format!("{cause:#}"), "alerts that were relayed long ago could not be removed");
        }
        Ok(Some(Relay { alerts: self, _lock: lock }))
    }

    /// The same, when no other relay is at work any more.
    pub async fn relay_waiting(&self) -> Result<Relay<'_>> {
        loop {
            if let Some(relay) = self.relay()? {
                return Ok(relay);
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
    }
}

impl Relay<'_> {
    /// Sends every alert that waits to all targets, also those that come meanwhile, and each once; `told` hears of each.
    ///
    /// # Errors
    /// When the folder itself cannot be read or changed. What becomes of each alert is in what `told` hears.
    pub async fn run(&self, targets: &[Target], told: impl FnMut(Relayed)) -> Result<Tally> {
        let (mut tally, mut told, mut tried) = (Tally::default(), told, BTreeSet::new());
        loop {
            let waiting: VecDeque<String> =
                self.alerts.waiting()?.into_iter().filter(|name| !tried.contains(name)).collect();
            if waiting.is_empty() {
                break;
            }
            tried.extend(waiting.iter().cloned());
            self.all(waiting, targets, &mut tally, &mut told).await?;
            if tally.untried > 0 {
                break;
            }
        }
        if tally.relayed > 0 {
            self.alerts.sync_seen()?;
        }
        Ok(tally)
    }

    async fn all(
        &self,
        mut waiting: VecDeque<String>,
        targets: &[Target],
        tally: &mut Tally,
        told: &mut impl FnMut(Relayed),
    ) -> Result<()> {
        let (mut silent, mut is_newest_tried) = (0, false);
        while let Some(name) = waiting.pop_front() {
            let mut ended = self.one(&name, targets, tally, told).await?;
            silent = if matches!(ended, Sent::Silence(_)) { silent + 1 } else { 0 };
            if silent < SILENT_AT_MOST || is_newest_tried {
                continue;
            }
            // It may be these alone that something hangs at.
            let Some(newest) = waiting.pop_back() else { continue };
            is_newest_tried = true;
            ended = self.one(&newest, targets, tally, told).await?;
            if matches!(ended, Sent::Silence(_)) {
                tally.untried = waiting.len();
                return Ok(());
            }
        }
        Ok(())
    }

    async fn one(
        &self,
        name: &str,
        targets: &[Target],
        tally: &mut Tally,
        told: &mut impl FnMut(Relayed),
    ) -> Result<Sent> {
        let sent = self.to_all(name, targets).await?;
        let failed = match &sent {
            Sent::Yes => {
                self.alerts.set_seen(name)?;
                targets.iter().try_for_each(|target| remove(&self.note(target, name)))?;
                tally.relayed += 1;
                if tally.relayed.is_multiple_of(SYNCED_TOGETHER) {
                    self.alerts.sync_seen()?;
                }
                None
            }
            Sent::Refused(why) | Sent::Silence(why) => {
                tally.failed += 1;
                Some(why.clone())
            }
        };
        told(Relayed { name: name.to_owned(), failed });
        Ok(sent)
    }

    async fn to_all(&self, name: &str, targets: &[Target]) -> Result<Sent> {
        let path = self.alerts.path(name);
        let (message, bytes) = match read(&path) {
            Ok(read) => read,
            Err(why) => return Ok(Sent::Refused(format!("{why}; it is left as it is"))),
        };
        let (mut all, mut notes) = (Sent::Yes, Vec::new());
        for target in targets {
            let note = self.note(target, name);
            if note.exists() {
                continue;
            }
            match target.send(&message, &bytes, &path).await {
                Sent::Yes => notes.push(note),
                failed => all = failed,
            }
        }
        if !matches!(all, Sent::Yes) {
            notes.iter().try_for_each(|note| keep(note))?;
        }
        Ok(all)
    }

    /// That this target has the alert already.
    fn note(&self, target: &Target, name: &str) -> PathBuf {
        self.alerts.path(&format!(".sent-{}-{name}", target.word()))
    }
}

impl Target {
    fn word(&self) -> &'static str {
        match self {
            Target::Command { .. } => "command",
            Target::Webhook(_) => "webhook",
        }
    }

    async fn send(&self, message: &Message, bytes: &[u8], path: &Path) -> Sent {
        match self {
            Target::Command { words, within } => to_command(words, *within, path).await,
            Target::Webhook(post) => match post.send(message, bytes).await {
                Ok(()) => Sent::Yes,
                Err(error @ PostError::Answered { .. }) => Sent::Refused(error.to_string()),
                Err(error @ PostError::Silent { .. }) => Sent::Silence(error.to_string()),
            },
        }
    }
}

/// The file on stdin, its path in `EVENKEEL_ALERT`, and the environment that the operator has given us.
async fn to_command(words: &[OsString], within: Duration, path: &Path) -> Sent {
    let Some((program, arguments)) = words.split_first() else { return Sent::Refused("no program is named".into()) };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(cause) => return Sent::Refused(format!("it cannot be opened: {cause}")),
    };
    let environment = std::env::vars_os().filter(|(name, _)| OURS.iter().all(|ours| name != ours));
    let command = environment.fold(Command::new(program), |command, (name, value)| command.env(name, value));
    let command = command.args(arguments).env("EVENKEEL_ALERT", path).reading(file).within(within).with_its_own();
    match command.run().await {
        Ok(_) => Sent::Yes,
        Err(error @ (CommandError::Failed { .. } | CommandError::TooMuch { .. })) => Sent::Refused(error.to_string()),
        Err(error) => Sent::Silence(error.to_string()),
    }
}

fn keep(note: &Path) -> Result<()> {
    let put = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(note);
    put.map(drop).map_err(explained).with_context(|| format!("write {}", note.display()))
}
