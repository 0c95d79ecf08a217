//! A sweep that a reboot or a kill cut short, and that its unit goes on with.
//!
//! The timer that began it comes again next week, and what the sweep has done is to be done again after a day. So whoever
//! settles all canonicals under systemd has the unit started. The surprise: it is not waited for, also by systemd, which
//! starts it once the run that asked for it has ended.

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use tracing::{info, warn};

use super::super::{Host, started_by_systemd};
use crate::host::itself;
use crate::host::store::LockAttempt;
use crate::policy::sweep;

/// Has a sweep that nobody is at any more gone on with. What is in the way is told, and fails nothing.
pub fn go_on_with_sweep(host: &Host, now: Timestamp) {
    if !started_by_systemd() {
        return;
    }
    match started(host, now) {
        Ok(true) => info!("a sweep was cut short, and goes on"),
        Ok(false) => {}
        Err(cause) => {
            warn!(cause = format!("{cause:#}"), "a sweep was cut short, and the next one begins at the timer's time");
        }
    }
}

fn started(host: &Host, now: Timestamp) -> Result<bool> {
    // A damaged one is told by the next sweep, which begins anew.
    let Some(Ok(before)) = host.store.read_sweep()? else { return Ok(false) };
    if !sweep::was_cut_short(&before, now) {
        return Ok(false);
    }
    match host.store.sweeps().lock()? {
        LockAttempt::Held { .. } => Ok(false),
        LockAttempt::Taken(_) => itself::start_sweep().map(|()| true).context("have the sweep go on"),
    }
}
