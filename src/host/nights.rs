//! `<state_dir>/nights.json`: when the last good nightly run was, per kind.
//!
//! The border: what is good and what is silent is decided elsewhere. A file that cannot be read is begun anew: at worst a
//! silence is told a day later.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use jiff::{SignedDuration, Timestamp};

use super::alerts::Alerts;
use super::store::{Store, open_lock, replace};
use crate::model::alert::{self, Alert};
use crate::model::nights::Nights;
use crate::policy;

/// Notes that a night of these kinds was good.
///
/// # Errors
/// When it cannot be written.
pub fn was_good(store: &Store, kinds: &BTreeSet<&str>, now: Timestamp) -> Result<()> {
    let _alone = alone(store)?;
    write(store, &policy::after_good_night(&read(store), kinds, now))
}

/// Writes an alert for each of these kinds that has been silent for longer than `after`, and gives what it wrote.
///
/// # Errors
/// When it cannot be written; what was not noted as told is told by the next one.
pub fn watch(store: &Store, declared: &BTreeSet<&str>, after: SignedDuration, now: Timestamp) -> Result<Vec<Alert>> {
    let _alone = alone(store)?;
    let before = read(store);
    let (known, alerts) = policy::fallen_silent(&before, declared, after, now);
    for alert in &alerts {
        Alerts::of(store).put(&alert::of_the_host(), alert)?;
    }
    if known != before {
        write(store, &known)?;
    }
    Ok(alerts)
}

fn read(store: &Store) -> Nights {
    let kept = fs::read(file(store)).ok().and_then(|text| serde_json::from_slice(&text).ok());
    kept.unwrap_or_default()
}

fn write(store: &Store, nights: &Nights) -> Result<()> {
    let text = serde_json::to_string_pretty(nights).context("write the nights as JSON")? + "\n";
    replace(&file(store), text.as_bytes())
}

fn file(store: &Store) -> PathBuf {
    store.dir().join("nights.json")
}

/// Runs of several kinds end at once.
fn alone(store: &Store) -> Result<File> {
    let path = store.dir().join("nights.lock");
    let lock = open_lock(&path)?;
    lock.lock().with_context(|| format!("lock {}", path.display()))?;
    Ok(lock)
}
