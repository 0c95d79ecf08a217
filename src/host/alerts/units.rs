//! Which failed units were told of: `<state_dir>/units.json`.

use std::fs;

use anyhow::{Context as _, Result};
use jiff::Timestamp;

use super::Alerts;
use crate::host::store::{Store, make_folder, open_lock, replace};
use crate::model::alert;
use crate::policy::failing::{Failure, Failures, told_of};

/// Writes an alert of a failed unit unless the same was told within a day. Gives whether it wrote one. What is known is
/// begun anew where it cannot be read: at worst something is told twice.
///
/// # Errors
/// When it cannot be written.
pub fn tell_of(store: &Store, failure: &Failure, now: Timestamp) -> Result<bool> {
    make_folder(store.dir())?;
    let lock_file = store.dir().join("units.lock");
    let lock = open_lock(&lock_file)?;
    lock.lock().with_context(|| format!("lock {}", lock_file.display()))?;
    let file = store.dir().join("units.json");
    let known = fs::read(&file).ok().and_then(|text| serde_json::from_slice::<Failures>(&text).ok());
    let (known, alert) = told_of(&known.unwrap_or_default(), failure, now);
    let Some(alert) = alert else { return Ok(false) };
    Alerts::of(store).put(&alert::of_the_host(), &alert)?;
    let text = serde_json::to_string_pretty(&known).context("write what was told as JSON")? + "\n";
    replace(&file, text.as_bytes())?;
    Ok(true)
}
