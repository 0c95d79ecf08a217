//! Which failed units were told of: `<state_dir>/units.json`.

use std::path::Path;

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use tracing::warn;

use super::Alerts;
use crate::host::store::{Store, alone, read_if_there, replace};
use crate::model::alert;
use crate::policy::failing::{Failure, Failures, told_of};

/// Writes an alert of a failed unit unless the same was told within a day. Gives whether it wrote one. What is known is
/// begun anew, and that is said, where it cannot be understood: at worst something is told twice.
///
/// # Errors
/// When it cannot be read or written.
pub fn tell_of(store: &Store, failure: &Failure, now: Timestamp) -> Result<bool> {
    let _alone = alone(&store.dir().join("units.lock"))?;
    let file = store.dir().join("units.json");
    let (known, alert) = told_of(&read(&file)?, failure, now);
    let Some(alert) = alert else { return Ok(false) };
    Alerts::of(store).put(&alert::of_the_host(), &alert)?;
    let text = serde_json::to_string_pretty(&known).context("write what was told as JSON")? + "\n";
    replace(&file, text.as_bytes())?;
    Ok(true)
}

fn read(file: &Path) -> Result<Failures> {
    let Some(text) = read_if_there(file)? else { return Ok(Failures::default()) };
    Ok(serde_json::from_slice(&text).unwrap_or_else(|damage| {
        warn!(file = %file.display(), %damage, "which failed units were told of is not known any more; it is begun anew");
        Failures::default()
    }))
}
