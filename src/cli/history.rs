//! `history`: who did what to which app, when and why. Asks no Engine.

use std::collections::VecDeque;
use std::path::Path;

use clap::Args;
use serde_json::{Value, json};

use super::secret::kept_app;
use super::world;
use crate::host::store::Store;
use crate::model::history::Line;
use crate::telemetry;

#[derive(Debug, Args)]
pub struct Arguments {
    /// The app by its name [default: all].
    app: Option<String>,
    /// The newest so many lines only.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
    /// Print one JSON array, as `evenkeel generate history-schema` describes it.
    #[arg(long)]
    json: bool,
}

pub fn run(config: &Path, arguments: &Arguments) -> anyhow::Result<u8> {
    let declared = world::declared(config)?;
    let store = Store::for_reading(&declared.state_dir);
    let most = arguments.limit.map_or(usize::MAX, |limit| limit as usize);
    let mut lines = VecDeque::new();
    store.history(|line| match line {
        Ok(line) if arguments.app.as_ref().is_none_or(|app| *app == line.app) => {
            lines.push_back(line);
            if lines.len() > most {
                lines.pop_front();
            }
        }
        Ok(_) => {}
        Err(damaged) => super::tell(&format!("evenkeel: {damaged}; it is left out")),
    })?;
    if let (Some(app), true) = (&arguments.app, lines.is_empty()) {
        kept_app(&declared, app)?;
    }
    match arguments.json {
        true => super::answer(&format!("{:#}\n", Value::Array(lines.iter().map(as_json).collect()))),
        false => lines.iter().for_each(|line| super::answer(&as_text(line))),
    }
    Ok(0)
}

fn as_json(line: &Line) -> Value {
    json!({
        "ts": line.ts, "app": line.app, "outcome": line.outcome, "sentence": line.sentence, "by": line.by,
        "from": line.from, "to": line.to,
    })
}

fn as_text(line: &Line) -> String {
    let versions = match (&line.from, &line.to) {
        (Some(from), Some(to)) if from != to => format!(" {from} -> {to}"),
        (Some(version), _) | (None, Some(version)) => format!(" {version}"),
        (None, None) => String::new(),
    };
    let by = line.by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
    let head = format!("{}  {}: {}{versions}{by}", line.ts.strftime("%Y-%m-%d %H:%M:%S UTC"), line.app, line.outcome);
    let sentence = match line.sentence.as_str() {
        "" => String::new(),
        sentence => format!("    {}\n", telemetry::one_line(sentence)),
    };
    format!("{}\n{sentence}", telemetry::one_line(&head))
}
