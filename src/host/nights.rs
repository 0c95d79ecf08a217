//! `<state_dir>/nights.json`: when the last good nightly run was, per kind.
//!
//! The border: what is good and what is silent is decided elsewhere. A damaged file is begun anew and told: at worst a
//! silence is told a day later. One of a newer program is left as it is.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use jiff::{SignedDuration, Timestamp};
use tracing::warn;

use super::alerts::Alerts;
use super::store::{Store, alone, make_folder, read_if_there, replace};
use crate::model::alert::{self, Alert};
use crate::model::kept::KeptError;
use crate::model::nights::Nights;
use crate::policy;

/// Notes that a night of these kinds was good.
///
/// # Errors
/// When it cannot be read or written, or a newer program has written it.
pub fn was_good(store: &Store, kinds: &BTreeSet<&str>, now: Timestamp) -> Result<()> {
    let _alone = lock(store)?;
    write(store, &policy::after_good_night(&read(store)?, kinds, now))
}

/// Writes an alert for each of these kinds that has been silent for longer than `after`, and gives what it wrote.
///
/// # Errors
/// The same; what was not noted as told is told by the next one.
pub fn watch(store: &Store, declared: &BTreeSet<&str>, after: SignedDuration, now: Timestamp) -> Result<Vec<Alert>> {
    let _alone = lock(store)?;
    let before = read(store)?;
    let (known, alerts) = policy::fallen_silent(&before, declared, after, now);
    for alert in &alerts {
        Alerts::of(store).put(&alert::of_the_host(), alert)?;
    }
    if known != before {
        write(store, &known)?;
    }
    Ok(alerts)
}

fn read(store: &Store) -> Result<Nights> {
    let file = file(store);
    let Some(text) = read_if_there(&file)? else { return Ok(Nights::default()) };
    match Nights::parse(&text) {
        Ok(nights) => Ok(nights),
        Err(newer @ KeptError::Newer { .. }) => Err(newer).with_context(|| format!("read {}", file.display())),
        Err(damage) => {
            warn!(file = %file.display(), %damage, "when the last good nights were is not known any more; it is counted anew");
            Ok(Nights::default())
        }
    }
}

fn write(store: &Store, nights: &Nights) -> Result<()> {
    let text = serde_json::to_string_pretty(nights).context("write the nights as JSON")? + "\n";
    replace(&file(store), text.as_bytes())
}

fn file(store: &Store) -> PathBuf {
    store.dir().join("nights.json")
}

/// Runs of several kinds end at once.
fn lock(store: &Store) -> Result<File> {
    make_folder(store.dir())?;
    alone(&store.dir().join("nights.lock"))
}
