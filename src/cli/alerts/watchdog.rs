//! `alerts watchdog`: tells that the nightly runs have fallen silent.

use std::collections::BTreeSet;
use std::time::Duration;

use clap::Args;
use jiff::{SignedDuration, Timestamp};

use crate::app::telling;
use crate::cli::answer;
use crate::config::Declared;
use crate::host::nights;
use crate::host::store::Store;

/// A night may be late by two hours.
const AFTER: &str = "26h";

#[derive(Debug, Args)]
pub struct Arguments {
    /// How long ago the last good nightly run may be, such as 26h or 3d.
    #[arg(long, value_name = "TIME", default_value = AFTER, value_parser = super::time)]
    after: Duration,
}

pub fn run(declared: &Declared, arguments: &Arguments) -> anyhow::Result<u8> {
    let store = Store::open(&declared.state_dir)?;
    let kinds: BTreeSet<&str> =
        declared.apps.iter().filter(|app| app.kind.is_kept()).map(|app| app.kind.verb()).collect();
    let after = SignedDuration::try_from(arguments.after)?;
    let told = nights::watch(&store, &kinds, after, Timestamp::now())?;
    told.iter().for_each(|alert| answer(&format!("{}\n", alert.evidence)));
    if told.is_empty() {
        answer("nothing new is silent\n");
    }
    telling::recount(&store);
    Ok(0)
}
