//! `secret show`: what was generated, for a person who has to log in.

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;

use anyhow::bail;
use clap::Subcommand;

use super::app::no_such_app;
use super::world;
use crate::config::Declared;
use crate::host::store::Store;
use crate::model::app::AppName;
use crate::model::state::State;

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Print a secret of an app, as it was generated or given.
    ///
    /// Only to a terminal, unless --raw is given. A name that is not kept is answered with those that are.
    #[command(
        after_help = "Examples:\n  evenkeel secret show wiki admin_password\n  evenkeel secret show wiki admin_password --raw | wl-copy"
    )]
    Show {
        /// The app by its name in the configuration.
        app: String,
        /// The secret's name in the recipe (`db_password`), or of the Swarm secret.
        name: String,
        /// Print the exact bytes and no line end, also when the output is no terminal.
        #[arg(long)]
        raw: bool,
    },
}

pub fn run(config: &Path, verb: &Verb) -> anyhow::Result<u8> {
    let Verb::Show { app, name, raw } = verb;
    if !raw && !std::io::stdout().is_terminal() {
        bail!(
            "a secret is shown at a terminal only, and stdout is none: add --raw to send its exact bytes wherever that leads"
        );
    }
    let declared = world::declared(config)?;
    let dir = Store::for_reading(&declared.state_dir).app(&kept_app(&declared, app)?);
    let state = dir.read_state()?;
    let object = object_name(state.as_ref(), name);
    let Some(bytes) = dir.secret(&object)? else {
        let kept: Vec<String> = dir.kept_secrets()?.into_iter().collect();
        match kept.is_empty() {
            true => bail!("no secret of {app} is kept in {}: they are once it was installed", dir.path().display()),
            false => bail!("no secret {name} of {app} is kept here; kept are: {}", kept.join(", ")),
        }
    };
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(bytes.expose())?;
    if !raw {
        stdout.write_all(b"\n")?;
    }
    Ok(0)
}

/// An app that is declared, or that was and has left something.
pub fn kept_app(declared: &Declared, name: &str) -> anyhow::Result<AppName> {
    let is_left = |app: &AppName| Store::for_reading(&declared.state_dir).app(app).path().exists();
    match name.parse() {
        Ok(app) if declared.app(name).is_some() || is_left(&app) => Ok(app),
        _ => bail!("{}", no_such_app(declared, &[name])),
    }
}

/// The Swarm object behind a recipe's name: of the release that runs, else the name itself.
fn object_name(state: Option<&State>, name: &str) -> String {
    let secrets = state.and_then(|state| state.current.as_ref()).map(|release| &release.body.secrets);
    secrets
        .and_then(|secrets| secrets.iter().find(|(_, kept)| kept.key == name))
        .map_or_else(|| name.to_owned(), |(object, _)| object.clone())
}
