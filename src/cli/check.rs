//! `check`: everything that is wrong at once, before anything runs. Asks no Engine.

use std::path::Path;

use clap::Args;
use jiff::Timestamp;
use serde_json::json;

use super::world;
use crate::app::{self, Finding};
use crate::config::Declared;
use crate::host::alerts::Post;
use crate::telemetry;

#[derive(Debug, Args)]
pub struct Arguments {
    /// Read the configuration file alone, and no file that it names.
    #[arg(long)]
    config_only: bool,
    /// Print one JSON array, as `evenkeel generate check-schema` describes it.
    #[arg(long)]
    json: bool,
}

pub async fn run(config: &Path, arguments: &Arguments) -> anyhow::Result<u8> {
    let declared = world::declared(config)?;
    let (findings, of_host) = match arguments.config_only {
        true => (Vec::new(), Vec::new()),
        false => (app::examine(&declared, Timestamp::now()).await, wrong_with_host(&declared)),
    };
    of_host.iter().for_each(|wrong| super::tell(&format!("error: {wrong:#}")));
    let wrong = findings.iter().filter(|finding| finding.wrong.is_some()).count();
    let code = u8::from(wrong > 0 || !of_host.is_empty());
    if arguments.json {
        super::answer(&format!("{:#}\n", findings.iter().map(as_json).collect::<serde_json::Value>()));
        return Ok(code);
    }
    findings.iter().for_each(|finding| super::answer(&as_text(finding)));
    match wrong {
        0 if !of_host.is_empty() => {}
        0 => super::answer(&format!("{}: nothing is wrong\n", config.display())),
        _ => super::answer(&format!("{}: {wrong} of {} apps cannot be kept\n", config.display(), declared.apps.len())),
    }
    Ok(code)
}

/// What is wrong with files that belong to no app.
fn wrong_with_host(declared: &Declared) -> Vec<anyhow::Error> {
    let logins = world::logins(declared).map(drop);
    let webhook = declared.alerts.webhook.as_ref().map(|webhook| Post::to(webhook, declared.alerts.format).map(drop));
    [Some(logins), webhook].into_iter().flatten().filter_map(Result::err).collect()
}

fn as_text(finding: &Finding) -> String {
    let mut text = match (&finding.wrong, &finding.revision) {
        (Some(wrong), _) => format!("{}: error: {}\n", finding.app, telemetry::indented(wrong)),
        (None, revision) => format!("{}: fine at {}\n", finding.app, revision.as_deref().unwrap_or("no version")),
    };
    for warning in &finding.warnings {
        text.push_str(&format!("    {}\n", telemetry::indented(warning)));
    }
    text
}

fn as_json(finding: &Finding) -> serde_json::Value {
    json!({
        "app": finding.app,
        "revision": finding.revision,
        "wrong": finding.wrong,
        "warnings": finding.warnings,
    })
}
