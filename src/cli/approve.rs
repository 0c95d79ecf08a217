//! `approve`: a person lets one version be taken, once, although something holds it. Asks no Engine.

use std::path::Path;

use anyhow::{anyhow, bail};
use clap::Args;
use jiff::Timestamp;

use super::app::no_such_app;
use super::world;
use crate::app::{self, Approved};

#[derive(Debug, Args)]
pub struct Arguments {
    /// The app by its name in the configuration.
    app: String,
    /// The version as `status` shows it, or the commit that the configuration names.
    version: String,
}

pub async fn run(config: &Path, arguments: &Arguments) -> anyhow::Result<u8> {
    let declared = world::declared(config)?;
    let Some(app) = declared.app(&arguments.app) else {
        bail!("{}", no_such_app(&declared, &[&arguments.app]));
    };
    let approved = app::approve(&declared, app, arguments.version.trim(), &super::who(), Timestamp::now()).await;
    let told = match approved.map_err(|outcome| anyhow!("{}: {}", app.name, outcome.sentence()))? {
        Approved::Written(told) | Approved::NotHeld(told) => told,
    };
    super::answer(&format!("{}: {told}\n", app.name));
    Ok(0)
}
