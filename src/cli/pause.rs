//! `pause` and `unpause`: an app is left alone while a person works on it. Asks no Engine.

use std::path::Path;
use std::time::Duration;

use anyhow::bail;
use clap::Args;
use jiff::{SignedDuration, Timestamp};

use super::app::no_such_app;
use super::secret::kept_app;
use super::world;
use crate::app::{self, Unpaused, ends};
use crate::config;
use crate::host::store::{AppDir, Store};
use crate::model::app::AppName;
use crate::telemetry;

/// How often it is looked whether a run has ended.
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);

#[derive(Debug, Args)]
pub struct Arguments {
    /// The app by its name in the configuration.
    app: String,
    /// How long, such as 45m, 2h or 1d [default: until `unpause`].
    #[arg(long = "for", value_name = "TIME", value_parser = time)]
    time: Option<SignedDuration>,
    /// What for; runs, `plan` and `status` tell it.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

#[derive(Debug, Args)]
pub struct Which {
    /// The app by its name.
    app: String,
}

/// A time that has a length.
fn time(text: &str) -> Result<SignedDuration, String> {
    let time = config::duration::parse(text).map_err(|error| format!("{error}; write it like 45m, 2h or 1h30m"))?;
    if time.is_zero() {
        return Err("a pause of no length is none; `evenkeel unpause` ends one".to_owned());
    }
    SignedDuration::try_from(time).map_err(|error| error.to_string())
}

pub async fn run(config: &Path, arguments: &Arguments) -> anyhow::Result<u8> {
    let declared = world::declared(config)?;
    let Some(app) = declared.app(&arguments.app) else {
        bail!("{}", no_such_app(&declared, &[&arguments.app]));
    };
    let store = Store::open(&declared.state_dir)?;
    let now = Timestamp::now();
    let reason = arguments.reason.as_deref().map(telemetry::one_line).filter(|reason| !reason.is_empty());
    let pause = app::pause(&store, &app.name, super::who(), arguments.time, reason, now)?;
    wait_for_the_run_at_work(&store.app(&app.name), &app.name).await?;
    super::answer(&format!("{}: {}\n", app.name, pause.sentence(&app.name, now)));
    // A state that cannot be read is told by each run.
    let open = store.app(&app.name).read_state().ok().flatten().and_then(|state| state.open);
    if let Some(open) = open {
        super::tell(&format!("{}: {}", app.name, ends::open_and_paused(&app.name, &open)));
    }
    Ok(0)
}

/// A run that is at work ends what it has begun: only then nobody else is at the app.
async fn wait_for_the_run_at_work(dir: &AppDir, app: &AppName) -> anyhow::Result<()> {
    let Some(by) = dir.holder()? else { return Ok(()) };
    super::tell(&format!(
        "{app} is paused for runs that begin from now on; waiting for {by} to end (Ctrl-C ends the waiting, not the pause)"
    ));
    while dir.holder()?.is_some() {
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
    Ok(())
}

pub fn end(config: &Path, arguments: &Which) -> anyhow::Result<u8> {
    let declared = world::declared(config)?;
    let app = kept_app(&declared, &arguments.app)?;
    let store = Store::for_reading(&declared.state_dir);
    let told = match app::unpause(&store, &app, &super::who(), Timestamp::now())? {
        Unpaused::WasNotPaused => "is not paused".to_owned(),
        Unpaused::Ended(pause) => format!("was paused by {} and is kept again from the next run on", pause.by),
        Unpaused::Removed(damage) => {
            format!("had a pause that could not be read ({damage}); it is kept again from the next run on")
        }
    };
    super::answer(&format!("{app} {told}\n"));
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_as_in_the_configuration() {
        assert_eq!(time("1h30m"), Ok(SignedDuration::from_mins(90)));
        for text in ["", "2", "2 h", "-2h", "0s", "4000d", "forever"] {
            assert!(time(text).is_err(), "{text:?}");
        }
    }
}
