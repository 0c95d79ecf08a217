//! `prune`: removes images that nobody names any more, and tells of disks that fill up.

use std::path::Path;
use std::time::Duration;

use anyhow::bail;
use clap::Args;
use jiff::{SignedDuration, Timestamp};

use super::world;
use crate::app::pruning::{self, Ages, Pruned};
use crate::config;
use crate::host::store::Store;
use crate::model::outcome::Outcome;
use crate::telemetry::{self, notify};

#[derive(Debug, Args)]
pub struct Arguments {
    /// Leave images that were made within this time: a build may be under way.
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = time)]
    older_than: Duration,

    /// Leave images that were kept for a release within this time: what is in its way may be gone by tomorrow.
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = time)]
    let_go_after: Duration,
}

fn time(text: &str) -> Result<Duration, String> {
    config::duration::parse(text).map_err(|error| format!("{error}; write it like 30m or 2h"))
}

pub async fn run(config: &Path, arguments: &Arguments) -> anyhow::Result<u8> {
    let declared = world::declared(config)?;
    // Not opened for a run: that fails where the disk is full, and pruning may be what helps.
    let store = Store::for_reading(&declared.state_dir);
    let engine = world::engine(&declared).await;
    notify::ready();
    let age = |age| SignedDuration::try_from(age).unwrap_or(SignedDuration::MAX);
    let older_than = Ages { made: age(arguments.older_than), kept: age(arguments.let_go_after) };
    let Pruned { outcome, warnings, untold } =
        pruning::prune(&declared, &store, engine, older_than, Timestamp::now()).await;
    for warning in warnings {
        super::tell(&format!("evenkeel: warning: {}", telemetry::one_line(&warning)));
    }
    let mut wrong = Vec::new();
    match &outcome {
        Outcome::Error(why) => wrong.push(why.clone()),
        outcome => super::answer(&format!("prune: {}\n", telemetry::one_line(&outcome.to_string()))),
    }
    wrong.extend(untold.map(|cause| format!("no alert of a disk that is low could be written: {cause:#}")));
    if !wrong.is_empty() {
        bail!(wrong.join("; "));
    }
    notify::status(&outcome.to_string());
    Ok(outcome.exit_code())
}
