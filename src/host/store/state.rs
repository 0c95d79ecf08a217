//! `<app>/state.json`: read strictly, replaced whole, and never replaced where it could not be read.
//!
//! The border: what an unreadable state means for an app is decided above. The surprise: a damaged file stays where it
//! is, since its place is what keeps every later run away from the app; a second name beside it keeps its bytes even when
//! somebody writes over the first.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use anyhow::{Context, Result};
use jiff::Timestamp;

use super::place::{explained, replace, sync_folder};
use super::{AppDir, Lock, read_if_there};
use crate::model::outcome::Outcome;
use crate::model::state::{SCHEMA, State};

/// Why nothing is known of an app that has a state.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    #[error(
        "{} is damaged: {why}; nothing about the app is guessed, so it is left alone and the file as it is. Put a copy \
         from a backup in its place. Without one, move it away, name the app's `version` in the configuration (the one \
         that runs, or ran last), and run it: the stack and its volumes are then taken over as they are. If an upgrade was \
         under way, see first that each volume's data is whole (`snapshots` beside the file, \
         `evenkeel-…-failed` beside the volumes)",
        .file.display()
    )]
    Damaged { file: PathBuf, why: String },
    #[error("{} was written by a newer evenkeel ({why}): run that one; this one changes nothing about the app", .file.display())]
    Newer { file: PathBuf, why: String },
    #[error("{0:#}")]
    Unread(anyhow::Error),
}

/// In the way before anything is touched; only a disk that does not answer is an error.
impl From<StateError> for Outcome {
    fn from(error: StateError) -> Self {
        match error {
            StateError::Damaged { .. } | StateError::Newer { .. } => Outcome::Blocked(error.to_string()),
            StateError::Unread(_) => Outcome::Error(error.to_string()),
        }
    }
}

impl AppDir {
    /// The app's state; `None` when there is none yet.
    ///
    /// # Errors
    /// When it cannot be read as a whole. A state that is only partly understood is not one.
    pub fn read_state(&self) -> Result<Option<State>, StateError> {
        let file = self.state_file();
        let Some(bytes) = read_if_there(&file).map_err(StateError::Unread)? else { return Ok(None) };
        parse(&bytes).map(Some).map_err(|wrong| match wrong {
            Wrong::Damaged(why) => StateError::Damaged { file, why },
            Wrong::Newer(why) => StateError::Newer { file, why },
        })
    }

    /// Replaces the app's state; on disk when this returns.
    pub fn write_state(&self, lock: &Lock, state: &State) -> Result<()> {
        self.ensure_locked_by(lock)?;
        let mut text = serde_json::to_vec_pretty(state).context("write the state as JSON")?;
        text.push(b'\n');
        replace(&self.state_file(), &text)
    }

    /// Gives a state that could not be read a second name, `state.json.damaged-<when it was written>`. `Some` with that
    /// moment when the name is new: once for each damage.
    pub fn keep_aside(&self, lock: &Lock) -> Result<Option<Timestamp>> {
        self.ensure_locked_by(lock)?;
        let written = self.state_written()?;
        let aside = self.dir.join(format!("state.json.damaged-{}", written.strftime("%Y%m%dT%H%M%SZ")));
        match fs::hard_link(self.state_file(), &aside) {
            Ok(()) => sync_folder(&self.dir).map(|()| Some(written)),
            Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => Ok(None),
            Err(cause) => Err(explained(cause)).with_context(|| format!("keep {} aside", aside.display())),
        }
    }

    /// When the state was written last, to the second.
    pub fn state_written(&self) -> Result<Timestamp> {
        let file = self.state_file();
        let metadata = fs::metadata(&file).with_context(|| format!("look at {}", file.display()))?;
        Ok(Timestamp::from_second(metadata.mtime())?)
    }

    /// Where it is.
    pub fn state_file(&self) -> PathBuf {
        self.dir.join("state.json")
    }
}

enum Wrong {
    Damaged(String),
    Newer(String),
}

fn parse(bytes: &[u8]) -> Result<State, Wrong> {
    #[derive(serde::Deserialize)]
    struct Schema {
        schema: u32,
    }
    let damaged = |cause: serde_json::Error| Wrong::Damaged(cause.to_string());
    let Schema { schema } = serde_json::from_slice(bytes).map_err(damaged)?;
    if schema > SCHEMA {
        return Err(Wrong::Newer(format!("schema {schema}, here {SCHEMA}")));
    }
    if schema < SCHEMA {
        return Err(Wrong::Damaged(format!("schema {schema} never was")));
    }
    match serde_json::from_slice(bytes) {
        Ok(state) => Ok(state),
        // A field or a word that this version does not know, in a text that is whole.
        Err(cause) if cause.to_string().starts_with("unknown ") => {
            match serde_json::from_slice::<serde::de::IgnoredAny>(bytes) {
                Ok(_) => Err(Wrong::Newer(cause.to_string())),
                Err(broken) => Err(damaged(broken)),
            }
        }
        Err(cause) => Err(damaged(cause)),
    }
}
