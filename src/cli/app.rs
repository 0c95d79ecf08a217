//! `proxy`, `drone`, `warm-keycloak`, `canonical` and `app`: what systemd runs.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::bail;
use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;

use super::world;
use crate::app::canonical::go_on_with_sweep;
use crate::app::canonical::reaping::{self, Reaped};
use crate::app::{self, Host, Options, resuming};
use crate::config::{App, Declared};
use crate::model::app::{AppName, Kind};
use crate::model::diagnostic::nearest;
use crate::model::outcome::{Outcome, worst};
use crate::telemetry::{self, notify};

/// How many apps are worked on at once. More would pull and start too much side by side on one host.
const AT_ONCE: usize = 4;

/// Keeps the one app of a kind of which there is one.
pub async fn only(kind: Kind, config: &Path, options: Options) -> anyhow::Result<u8> {
    let host = world::host(config).await?;
    let Some(app) = host.declared.of(kind).next() else {
        bail!(none_declared(kind, config));
    };
    Ok(keep_all(&host, config, &[app], options).await)
}

pub fn none_declared(kind: Kind, config: &Path) -> String {
    let table = kind.table();
    format!("{} declares no {table}: add a [{table}] table that names its recipe", config.display())
}

pub async fn apps(config: &Path, names: &[String], options: Options) -> anyhow::Result<u8> {
    let host = world::host(config).await?;
    let apps = chosen(&host, names, |app| app.kind == Kind::App)?;
    if let Some(canonical) = apps.iter().find(|app| app.kind == Kind::Canonical) {
        bail!("{}", not_kept_running(&canonical.name));
    }
    Ok(keep_all(&host, config, &apps, options).await)
}

/// The reconciler of canonicals; there may be none.
pub async fn canonicals(config: &Path, names: &[String]) -> anyhow::Result<u8> {
    let host = world::host(config).await?;
    for name in names {
        super::canonical::enrolled(&host, name)?;
    }
    let apps = chosen(&host, names, |app| app.kind == Kind::Canonical)?;
    let code = keep_all(&host, config, &apps, Options { no_upgrade: true, ..Options::default() }).await;
    let code = worst([code, reap(&host).await]);
    if names.is_empty() {
        go_on_with_sweep(&host, Timestamp::now());
    }
    Ok(code)
}

/// What dead runs left behind of their throw-away stacks.
async fn reap(host: &Host) -> u8 {
    match reaping::reap(host, Timestamp::now()).await {
        Ok(Reaped { gone, left }) => {
            for warning in left {
                super::tell(&format!("evenkeel: warning: {}", telemetry::one_line(&warning)));
            }
            gone.iter().for_each(|stack| super::answer(&format!("throw-away stack {stack}: removed\n")));
            0
        }
        Err(outcome) => {
            super::tell(&format!("evenkeel: throw-away stacks: {}", telemetry::one_line(&outcome.to_string())));
            outcome.exit_code()
        }
    }
}

/// What is said of an app that is idle by rights where apps are to be kept running.
fn not_kept_running(app: &AppName) -> String {
    format!(
        "[canonical.{app}] is idle between its uses, and no run keeps it running: `evenkeel canonical deploy {app}` has it \
         run, `evenkeel canonical {app}` looks after it; nothing was done"
    )
}

/// The named apps, or all that `by_default` takes; names that are not declared are told all at once.
pub fn chosen<'a>(host: &'a Host, names: &[String], by_default: impl Fn(&App) -> bool) -> anyhow::Result<Vec<&'a App>> {
    if names.is_empty() {
        return Ok(host.declared.apps.iter().filter(|app| by_default(app)).collect());
    }
    let unknown: Vec<&str> =
        names.iter().filter(|name| host.declared.app(name).is_none()).map(String::as_str).collect();
    if !unknown.is_empty() {
        bail!("{}", no_such_app(&host.declared, &unknown));
    }
    Ok(names.iter().filter_map(|name| host.declared.app(name)).collect())
}

/// What is said of names that are not declared, each with the one that may be meant.
pub fn no_such_app(declared: &Declared, unknown: &[&str]) -> String {
    let known: Vec<&str> = declared.apps.iter().map(|app| app.name.as_str()).collect();
    let told = unknown.iter().map(|name| match nearest(name, known.iter().copied()) {
        Some(near) => format!("{name} (did you mean {near:?}?)"),
        None => (*name).to_owned(),
    });
    let told: Vec<String> = told.collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    format!("no app is called {}; declared in the configuration: {known}", told.join(", "))
}

/// Keeps each, a line for each as soon as it and those before it have ended. The exit code is the worst one's.
async fn keep_all(host: &Host, config: &Path, apps: &[&App], options: Options) -> u8 {
    notify::ready();
    resuming::start_for_others(host, apps, config);
    let now = Timestamp::now();
    let mut ended =
        stream::iter(apps).map(|app| async move { (app, app::keep(host, app, options, now).await) }).buffered(AT_ONCE);
    let (mut ends, mut left, mut looked_at) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    while let Some((app, kept)) = ended.next().await {
        if !telemetry::under_journal() {
            super::answer_styled(&line_of(&app.name, &kept.outcome, &kept.warnings));
        }
        left.extend(kept.leaves_version.then_some(app.kind));
        looked_at.extend(kept.was_looked_at.then_some(&app.name));
        ends.push((app.name.clone(), kept.outcome));
    }
    app::note_good_night(host, options, &looked_at, Timestamp::now());
    app::start_upgrades(&left);
    ended_with(&ends)
}

/// The exit code of a run that ended so, which is the worst one's. Who asks systemd about the unit later reads what was
/// that bad.
pub fn ended_with(ends: &[(AppName, Outcome)]) -> u8 {
    let code = worst(ends.iter().map(|(_, outcome)| outcome.exit_code()));
    let bad = ends.iter().filter(|(_, outcome)| outcome.exit_code() == code);
    let lines: Vec<String> = bad.map(|(app, outcome)| format!("{app}: {outcome}")).collect();
    notify::status(&lines.join("; "));
    code
}

pub fn line(app: &App, outcome: &Outcome) -> String {
    line_of(&app.name, outcome, &[])
}

pub fn line_of(app: &AppName, outcome: &Outcome, warnings: &[String]) -> String {
    let style = style(outcome);
    let sentence = match outcome.sentence_with(warnings).as_str() {
        "" => String::new(),
        sentence => format!(": {}", telemetry::indented(sentence)),
    };
    format!("{app}: {style}{}{style:#}{sentence}\n", outcome.word())
}

pub fn style(outcome: &Outcome) -> anstyle::Style {
    let colour = match outcome.exit_code() {
        0 => anstyle::AnsiColor::Green,
        10 => anstyle::AnsiColor::Yellow,
        _ => anstyle::AnsiColor::Red,
    };
    anstyle::Style::new().bold().fg_color(Some(colour.into()))
}
