//! `rollback`, and what else puts data back by hand: shown first, asked for, done.

use std::io;
use std::path::Path;

use clap::Args;
use jiff::Timestamp;

use super::app::{chosen, line};
use super::{USAGE, world};
use crate::app::by_hand::{self, Wish};
use crate::telemetry::notify;

#[derive(Debug, Args)]
pub struct Arguments {
    /// The app by its name in the configuration.
    app: String,
    /// Do it without asking.
    #[arg(long)]
    yes: bool,
}

pub async fn run(config: &Path, arguments: &Arguments) -> anyhow::Result<u8> {
    grant(config, &arguments.app, &Wish::Rollback, arguments.yes).await
}

/// Does what is asked for, once a person has read what it means. Nobody is asked where nothing goes out of use.
pub async fn grant(config: &Path, app: &str, wish: &Wish, yes: bool) -> anyhow::Result<u8> {
    let host = world::host(config).await?;
    let [app] = chosen(&host, &[app.to_owned()], |_| true)?[..] else { return Ok(USAGE) };
    let prospect = match by_hand::prospect(&host, app, wish) {
        Ok(prospect) => prospect,
        Err(outcome) => {
            super::answer_styled(&line(app, &outcome));
            return Ok(outcome.exit_code());
        }
    };
    super::tell(&prospect);
    if *wish != Wish::Take && !yes && !is_wanted()? {
        return Ok(USAGE);
    }
    notify::ready();
    let outcome = by_hand::grant(&host, app, wish, Timestamp::now()).await;
    super::answer_styled(&line(app, &outcome));
    Ok(outcome.exit_code())
}

fn is_wanted() -> io::Result<bool> {
    let answer = super::asked("Go on?")?;
    match answer {
        Some(true) => {}
        Some(false) => super::tell("nothing was done"),
        None => super::tell("nothing was done: nobody can be asked here; say --yes to have it done"),
    }
    Ok(answer == Some(true))
}
