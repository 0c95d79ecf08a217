//! `resume`: finishes what was begun, from the journals alone. What the resume timer runs.

use std::path::Path;

use jiff::Timestamp;

use super::app::{ended_with, line_of};
use super::world;
use crate::app::resuming;
use crate::model::outcome::Outcome;
use crate::telemetry::{self, notify};

pub async fn run(config: &Path) -> anyhow::Result<u8> {
    let host = world::host_to_resume_on(config).await?;
    notify::ready();
    let told = match resuming::resume(&host, Timestamp::now()).await {
        Ok(told) => told,
        // Of no app, so nobody has told it yet.
        Err(Outcome::Error(why)) => anyhow::bail!(why),
        Err(outcome) => {
            super::answer_styled(&format!("{}\n", telemetry::indented(&outcome.to_string())));
            return Ok(outcome.exit_code());
        }
    };
    if !telemetry::under_journal() {
        told.iter().for_each(|(app, outcome)| super::answer_styled(&line_of(app, outcome, &[])));
        if told.is_empty() {
            super::answer("nothing is open\n");
        }
    }
    Ok(ended_with(&told))
}
