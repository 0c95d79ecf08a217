//! `<app>/canonical.json`: how a canonical stands, for others to read.
//!
//! The border: nothing is ever decided by it. It follows from `state.json`, so one that is damaged is written again.

use anyhow::{Context, Result};

use super::place::replace;
use super::{AppDir, Lock, read_if_there};
use crate::model::kept;
use crate::model::warm::{Record, SCHEMA};

/// What lies there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recorded {
    Missing,
    Damaged(String),
    Whole(Record),
}

impl AppDir {
    pub fn record(&self) -> Result<Recorded> {
        let Some(bytes) = read_if_there(&self.record_file())? else { return Ok(Recorded::Missing) };
        Ok(match kept::parse(&bytes, SCHEMA) {
            Ok(record) => Recorded::Whole(record),
            Err(why) => Recorded::Damaged(why.to_string()),
        })
    }

    /// Replaces the record; on disk when this returns.
    pub fn write_record(&self, lock: &Lock, record: &Record) -> Result<()> {
        self.ensure_locked_by(lock)?;
        let mut text = serde_json::to_vec_pretty(record).context("write the record as JSON")?;
        text.push(b'\n');
        replace(&self.record_file(), &text)
    }

    pub fn record_file(&self) -> std::path::PathBuf {
        self.dir.join("canonical.json")
    }
}
