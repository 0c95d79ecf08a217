//! `alerts watchdog`: tells that the nightly runs have fallen silent, and of a disk that fills up between two of them.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::bail;
use clap::Args;
use jiff::{SignedDuration, Timestamp};

use crate::app::{pruning, telling};
use crate::cli::{answer, tell};
use crate::config::Declared;
use crate::host::nights;
use crate::host::store::Store;
use crate::telemetry;

/// A night may be late by two hours.
const AFTER: &str = "26h";

#[derive(Debug, Args)]
pub struct Arguments {
    /// How long ago the last good nightly run may be, such as 26h or 3d.
    #[arg(long, value_name = "TIME", default_value = AFTER, value_parser = super::time)]
    after: Duration,
}

pub async fn run(declared: &Declared, arguments: &Arguments) -> anyhow::Result<u8> {
    // Not opened for a run: that fails where the disk is full.
    let (store, now) = (Store::for_reading(&declared.state_dir), Timestamp::now());
    let silent = silent(declared, &store, arguments, now);
    let (low, untold) = pruning::watch_disks(declared, &store, None, now).await;
    low.iter().for_each(|low| tell(&format!("evenkeel: warning: {}", telemetry::one_line(low))));
    telling::recount(&store);
    let wrong: Vec<String> =
        [silent, untold].into_iter().filter_map(|done| Some(format!("{:#}", done.err()?))).collect();
    if !wrong.is_empty() {
        bail!(wrong.join("; "));
    }
    Ok(0)
}

fn silent(declared: &Declared, store: &Store, arguments: &Arguments, now: Timestamp) -> anyhow::Result<()> {
    let kinds: BTreeSet<&str> =
        declared.apps.iter().filter(|app| app.kind.has_nights()).map(|app| app.kind.verb()).collect();
    let after = SignedDuration::try_from(arguments.after)?;
    let told = nights::watch(store, &kinds, after, now)?;
    told.iter().for_each(|alert| answer(&format!("{}\n", alert.evidence)));
    if told.is_empty() {
        answer("nothing new is silent\n");
    }
    Ok(())
}
