//! `plan`: what a run would change. Writes nothing to the Engine, and fetches only a recipe that was never fetched.

use std::path::Path;

use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::app::chosen;
use super::{Which, world};
use crate::app::{self, Host, Preview};
use crate::config::App;
use crate::model::app::Kind;
use crate::model::outcome::{Outcome, worst};
use crate::telemetry;

/// The exit code of a plan that would change something.
const CHANGES: u8 = 2;
/// A version that is held stands in no change's way.
const HELD: u8 = 10;

pub async fn run(config: &Path, arguments: &Which) -> anyhow::Result<u8> {
    let host = world::host_to_look_at(config).await?;
    let kept = |app: &App| matches!(app.kind, Kind::Proxy | Kind::App);
    let apps = chosen(&host, &arguments.apps, kept)?;
    let now = Timestamp::now();
    let host_ref: &Host = &host;
    let previews: Vec<(&App, Result<Preview, Outcome>)> = stream::iter(apps)
        .map(|app| async move { (app, app::preview(host_ref, app, now).await) })
        .buffered(8)
        .collect()
        .await;
    if arguments.json {
        let all: Vec<Value> = previews.iter().map(|(app, preview)| as_json(app, preview)).collect();
        super::answer(&format!("{:#}\n", Value::Array(all)));
    } else {
        previews.iter().for_each(|(app, preview)| super::answer_styled(&as_text(app, preview)));
        previews.iter().filter_map(|(app, preview)| warnings(app, preview)).for_each(|line| super::tell(&line));
    }
    Ok(exit_code(previews.iter().map(|(_, preview)| preview)))
}

fn exit_code<'a>(previews: impl Iterator<Item = &'a Result<Preview, Outcome>> + Clone) -> u8 {
    let said = previews.clone().filter_map(|preview| match preview {
        Ok(preview) => preview.instead.as_ref(),
        Err(outcome) => Some(outcome),
    });
    let changes = previews.flatten().any(|preview| !preview.plan.is_empty());
    match worst(said.map(Outcome::exit_code)) {
        HELD | 0 if changes => CHANGES,
        code => code,
    }
}

fn as_text(app: &App, preview: &Result<Preview, Outcome>) -> String {
    match preview {
        Err(outcome) => format!("{}: {}\n", app.name, telemetry::indented(&outcome.to_string())),
        Ok(preview) => {
            let instead = preview.instead.as_ref().map(ToString::to_string);
            let told = instead.map(|instead| format!("{}: {}\n", app.name, telemetry::indented(&instead)));
            let told = told.unwrap_or_default();
            // A tag is the recipe's word, too.
            let revision = telemetry::one_line(&preview.revision.to_string());
            if preview.plan.is_empty() {
                return format!("{told}{} at {revision}: nothing to do\n", app.name);
            }
            format!("{told}{} at {revision}:\n{}\n", app.name, preview.plan.render(true))
        }
    }
}

/// A plan is short, and what is to be told of a recipe may be long.
fn warnings(app: &App, preview: &Result<Preview, Outcome>) -> Option<String> {
    let count = preview.as_ref().ok().filter(|preview| !preview.plan.is_empty())?.warnings;
    let things = if count == 1 { "a warning" } else { &format!("{count} warnings") };
    (count > 0).then(|| format!("{}: {things} about the recipe, told by `evenkeel check`", app.name))
}

fn as_json(app: &App, preview: &Result<Preview, Outcome>) -> Value {
    match preview {
        Err(outcome) => json!({"app": app.name.as_str(), "outcome": outcome.word(), "sentence": outcome.sentence()}),
        Ok(preview) => json!({
            "app": app.name.as_str(),
            "revision": preview.revision.to_string(),
            "outcome": preview.instead.as_ref().map(Outcome::word),
            "sentence": preview.instead.as_ref().map(Outcome::sentence),
            "plan": preview.plan.to_json(),
        }),
    }
}
