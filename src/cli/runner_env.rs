//! `runner-env`: the runner's environment file, by hand.

use std::path::Path;

use anyhow::bail;

use super::app::{line, none_declared};
use super::world;
use crate::app::runner_env::{self, Stands};
use crate::model::app::Kind;
use crate::model::outcome::Outcome;

pub async fn run(config: &Path) -> anyhow::Result<u8> {
    let declared = world::declared(config)?;
    let Some(app) = declared.of(Kind::Drone).next() else { bail!(none_declared(Kind::Drone, config)) };
    let told = match runner_env::by_hand(&declared, app).await {
        Ok(Stands::Written(path)) => format!("{} is written\n", path.display()),
        Ok(Stands::Unchanged(path)) => format!("{} is as it has to be; nothing was written\n", path.display()),
        Ok(Stands::NotInstalled) => bail!("{} is not installed yet: `evenkeel drone` installs it", app.name),
        Err(Outcome::Error(why)) => bail!("write the runner's environment file: {why}"),
        Err(outcome) => {
            super::answer_styled(&line(app, &outcome));
            return Ok(outcome.exit_code());
        }
    };
    super::answer(&told);
    Ok(0)
}
