//! `alerts`: what a person has to be told, and sending it on. Asks no Engine.

mod failed;
mod watchdog;

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use anyhow::{anyhow, bail};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::world;
use crate::app::telling;
use crate::config::{self, Declared};
use crate::host::alerts::{Alerts, Letter, Post, Relay, Relayed, Tally, Target};
use crate::host::ending::Ending;
use crate::host::store::Store;
use crate::model::alert::Message;
use crate::telemetry;

/// So long a command may take with one alert.
const WITHIN: &str = "60s";

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Show the alerts that wait to be relayed, the oldest first.
    ///
    /// Exit codes: 0; 1 where a file is no whole alert.
    #[command(after_help = "Examples:\n  evenkeel alerts list\n  evenkeel alerts list --seen --json")]
    List(List),
    /// Send each alert that waits on, the oldest first: to a command, or to what `alerts` in the configuration names.
    ///
    /// The command gets the alert's file on stdin and its path in EVENKEEL_ALERT; where it succeeds, the file is moved to
    /// `alerts/seen/`. One that fails stays for the next time, and the others are sent all the same; where nobody answers
    /// at all, the rest waits. Of two relays at once the second waits for the first, under systemd it ends. Exit codes: 0
    /// all of them were sent, 1 some stay.
    #[command(
        after_help = "Examples:\n  evenkeel alerts relay\n  evenkeel alerts relay -- /usr/local/bin/mail-alert\n  \
        evenkeel alerts relay --within 10s -- sh -c 'jq -r .evidence | logger -t evenkeel'"
    )]
    Relay(Arguments),
    /// Make an alert where the nightly runs have fallen silent, or a disk fills up: nobody else would tell.
    ///
    /// A nightly run is one that systemd starts for all apps of a kind and that may take versions (no `--no-upgrade`). It is
    /// good when it has looked at each of them, whatever it found. Counted from the last good one, or from when the kind was
    /// declared first; one alert for each silence, and another one only after a good run. A disk is told of as `evenkeel prune` does. Needs no Engine. Exit codes: 0; 1
    /// where something could not be looked at or written.
    #[command(after_help = "Examples:\n  evenkeel alerts watchdog\n  evenkeel alerts watchdog --after 3d")]
    Watchdog(watchdog::Arguments),
    /// Make an alert of a unit that has failed; what `OnFailure=` starts, with systemd's own words in MONITOR_*.
    ///
    /// Says nothing where the unit's run has made an alert itself, or the same was told within a day.
    #[command(hide = true)]
    Failed(failed::Arguments),
}

#[derive(Debug, Args)]
pub struct List {
    /// Print one JSON array, as `evenkeel generate alerts-schema` describes it.
    #[arg(long)]
    json: bool,
    /// Those that were relayed, too.
    #[arg(long)]
    seen: bool,
}

#[derive(Debug, Args)]
pub struct Arguments {
    /// How long a command may take with one alert, such as 30s or 2m.
    #[arg(long, value_name = "TIME", default_value = WITHIN, value_parser = time)]
    within: Duration,
    /// The command and its arguments [default: what the configuration names].
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

fn time(text: &str) -> Result<Duration, String> {
    let time = config::duration::parse(text).map_err(|error| format!("{error}; write it like 30s or 2m"))?;
    if time.is_zero() { Err("it has to be longer than nothing".to_owned()) } else { Ok(time) }
}

pub async fn run(config: &Path, verb: &Verb) -> anyhow::Result<u8> {
    match verb {
        Verb::List(arguments) => list(&Alerts::of(&Store::for_reading(&world::declared(config)?.state_dir)), arguments),
        Verb::Relay(arguments) => relay(&world::declared(config)?, arguments).await,
        Verb::Watchdog(arguments) => watchdog::run(&world::declared(config)?, arguments).await,
        Verb::Failed(arguments) => failed::run(config, arguments),
    }
}

fn list(alerts: &Alerts, arguments: &List) -> anyhow::Result<u8> {
    let seen = if arguments.seen { alerts.seen()? } else { Vec::new() };
    let mut names: Vec<String> = seen.into_iter().chain(alerts.waiting()?).collect();
    names.sort_unstable();
    names.dedup();
    let (mut all, mut code) = (Vec::new(), 0);
    // One may be relayed, and removed, meanwhile.
    for Letter { name, is_seen, message } in names.iter().filter_map(|name| alerts.letter(name)) {
        match message {
            Ok(message) if arguments.json => all.push(as_json(&name, is_seen, &message)),
            Ok(message) => super::answer(&as_text(&name, is_seen, &message)),
            Err(why) => {
                super::tell(&format!("evenkeel: {}: {why}", alerts.path(&name).display()));
                code = super::ERROR;
            }
        }
    }
    match arguments.json {
        true => super::answer(&format!("{:#}\n", Value::Array(all))),
        false if names.is_empty() => super::answer("no alert waits to be relayed\n"),
        false => {}
    }
    Ok(code)
}

fn as_text(name: &str, is_seen: bool, message: &Message) -> String {
    let seen = if is_seen { " (relayed)" } else { "" };
    let mut text = format!(
        "{}  {}{seen}\n",
        message.ts.strftime("%Y-%m-%d %H:%M:%S UTC"),
        telemetry::one_line(&message.headline())
    );
    for (word, what) in [("file", name), ("evidence", &message.evidence), ("next step", &message.next_step)] {
        text.push_str(&format!("    {word}: {}\n", telemetry::one_line(what)));
    }
    if message.release_notes.is_some() {
        text.push_str("    release notes: in the file\n");
    }
    text
}

fn as_json(name: &str, is_seen: bool, message: &Message) -> Value {
    let mut value = json!({"file": name, "seen": is_seen});
    let message = serde_json::to_value(message).expect("names, words and times have a text");
    if let (Value::Object(value), Value::Object(message)) = (&mut value, message) {
        value.extend(message);
    }
    value
}

async fn relay(declared: &Declared, arguments: &Arguments) -> anyhow::Result<u8> {
    let targets = targets(declared, arguments)?;
    // Not opened for a run: that fails where the disk is full, and an alert may tell just that.
    let store = Store::for_reading(&declared.state_dir);
    let alerts = Alerts::of(&store);
    let Some(right) = right(&alerts).await? else { return Ok(0) };
    // A command hears no Ctrl-C of its own.
    let ending = Ending::listen()?;
    let ended = tokio::select! {
        tally = right.run(&targets, said) => tally.map(|tally| told(&tally)),
        () = ending.asked() => Err(anyhow!("asked to end: what was not sent waits")),
    };
    telling::recount(&store);
    ended
}

/// The right to relay; under systemd nobody waits for it.
async fn right(alerts: &Alerts) -> anyhow::Result<Option<Relay<'_>>> {
    if let Some(right) = alerts.relay()? {
        return Ok(Some(right));
    }
    if std::env::var_os("INVOCATION_ID").is_some() {
        super::tell("another relay is at work; the next one looks again");
        return Ok(None);
    }
    super::tell("waiting for another relay to end");
    alerts.relay_waiting().await.map(Some)
}

fn targets(declared: &Declared, arguments: &Arguments) -> anyhow::Result<Vec<Target>> {
    let command = |words| Target::Command { words, within: arguments.within };
    if !arguments.command.is_empty() {
        return Ok(vec![command(arguments.command.clone())]);
    }
    let mut targets = Vec::new();
    if let Some(webhook) = &declared.alerts.webhook {
        targets.push(Target::Webhook(Post::to(webhook, declared.alerts.format)?));
    }
    if let Some(words) = &declared.alerts.command {
        targets.push(command(words.iter().map(OsString::from).collect()));
    }
    if targets.is_empty() {
        bail!(
            "nothing says where alerts go: name a command, as in `evenkeel alerts relay -- /usr/local/bin/mail-alert`, or \
             give `alerts` a `webhook` or a `command` in the configuration"
        );
    }
    Ok(targets)
}

fn said(relayed: Relayed) {
    match relayed.failed {
        None => super::answer(&format!("{}: relayed\n", relayed.name)),
        Some(why) => super::tell(&format!("evenkeel: {} stays: {}", relayed.name, telemetry::one_line(&why))),
    }
}

fn told(tally: &Tally) -> u8 {
    if tally.untried > 0 {
        super::tell(&format!("evenkeel: nobody answers, so {} more alerts were not tried; they stay", tally.untried));
    }
    if tally.failed + tally.untried > 0 { super::ERROR } else { 0 }
}
