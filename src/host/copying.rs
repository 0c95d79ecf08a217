//! What copies of volumes share, there and back: how they are watched, and why one was not made.
//!
//! The border: nothing is copied here. The surprise: a child that was ended by SIGTERM, SIGINT or SIGHUP is no broken
//! tool. systemd and a terminal send them to the whole group, and the child may hear them before we do.

use std::fmt;
use std::path::{Path, PathBuf};

/// How a copy tells how far it is, and how it learns that it has to end.
#[derive(Clone, Copy)]
pub struct Watch<'a> {
    /// Called for every piece that was copied.
    pub progress: &'a dyn Fn(Progress),
    /// Asked before every piece.
    pub asked_to_end: &'a dyn Fn() -> bool,
}

/// How far a copy is, in bytes of what the volume holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    pub done: u64,
    /// What it will be at the end, as good as it is known before.
    pub of: u64,
}

/// Why a copy was not made, or not read back.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// A snapshot is not what was stored. Trying again helps nobody.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// A disk or a tool would not; the words name what was done, to what, and the way out.
    #[error("{0:#}")]
    Failed(#[from] anyhow::Error),
    /// Ended in the middle, as it was asked to. What is left is made again, or removed, by the next run.
    #[error("the run was asked to end")]
    AskedToEnd,
}

/// A file that is not as it was stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} {what}", .file.display())]
pub struct Damage {
    pub file: PathBuf,
    /// `is missing`, `is damaged: …`
    pub what: String,
}

impl Damage {
    pub(in crate::host) fn new(file: &Path, what: impl Into<String>) -> Self {
        Self { file: file.to_owned(), what: what.into() }
    }
}

impl Watch<'_> {
    /// Tells nobody, and goes on to the end.
    pub fn none() -> Watch<'static> {
        Watch { progress: &|_| {}, asked_to_end: &|| false }
    }

    /// One more look before the next piece.
    pub(in crate::host) fn at(&self, done: u64, of: u64) -> Result<(), CopyError> {
        (self.progress)(Progress { done, of: of.max(done) });
        if (self.asked_to_end)() { Err(CopyError::AskedToEnd) } else { Ok(()) }
    }
}

impl fmt::Debug for Watch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watch")
    }
}
