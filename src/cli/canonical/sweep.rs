//! `canonical sweep`: every enrolled recipe in turn, and a table of what was really done.

use std::path::Path;

use anyhow::bail;
use jiff::Timestamp;

use super::super::{answer, app, tell, world};
use super::enrolled;
use crate::app::canonical::sweep::{self, Swept};
use crate::config::App;
use crate::model::app::Kind;
use crate::model::outcome::Outcome;
use crate::policy::sweep as policy;
use crate::telemetry::{self, notify};

pub async fn run(config: &Path, names: &[String]) -> anyhow::Result<u8> {
    let host = world::host(config).await?;
    for name in names {
        enrolled(&host, name)?;
    }
    let named: Vec<String> = names.iter().cloned().collect::<std::collections::BTreeSet<_>>().into_iter().collect();
    let apps: Vec<&App> = app::chosen(&host, &named, |app| app.kind == Kind::Canonical)?;
    notify::ready();
    match sweep::sweep(&host, &apps, &named, Timestamp::now()).await {
        Ok(swept) => ended(&swept),
        Err(Outcome::Error(why)) => bail!(why),
        Err(outcome) => {
            answer(&format!("sweep: {}\n", telemetry::one_line(&outcome.to_string())));
            notify::status(&outcome.to_string());
            Ok(outcome.exit_code())
        }
    }
}

/// The table, the sum, and the exit code; a hollow sweep is an error.
fn ended(Swept { sweep, recipes, warnings }: &Swept) -> anyhow::Result<u8> {
    for warning in warnings {
        tell(&format!("evenkeel: warning: {}", telemetry::one_line(warning)));
    }
    let summary = policy::summary(sweep);
    answer(&format!("{}sweep: {summary}\n", policy::table(sweep)));
    if let Some(hollow) = policy::hollow(sweep, recipes) {
        bail!(hollow);
    }
    notify::status(&summary);
    Ok(policy::exit_code(sweep, recipes))
}
