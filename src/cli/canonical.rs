//! `canonical`: what systemd runs, and what people and CI ask of a canonical.

mod sweep;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use jiff::Timestamp;

use super::{app, world};
use crate::app::Host;
use crate::app::canonical::{self, Ask, Proof};
use crate::config::App;
use crate::model::app::Kind;
use crate::model::outcome::Outcome;
use crate::telemetry::notify;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Arguments {
    /// Canonicals by their names in the configuration [default: all].
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    #[command(subcommand)]
    pub verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Make the first known-good: deploy on fresh volumes, gate, stop, store the data.
    ///
    /// Where the gate says no, its volumes are removed again. What has a known-good already is not seeded: see `promote`. One whose
    /// volumes and snapshot are both lost is seeded anew.
    #[command(
        after_help = "Examples:\n  evenkeel canonical seed wiki\n  evenkeel canonical seed wiki --version 2.4.0+1.9.1"
    )]
    Seed {
        #[arg(value_name = "NAME")]
        name: String,
        /// A version's tag; a commit only of a recipe that has no versions [default: as the configuration says].
        #[arg(long, value_name = "VERSION")]
        version: Option<String>,
    },
    /// Run the known-good release on its warm data.
    ///
    /// Where that data is gone or was written by something else, it is put back from the snapshot first, and that is said.
    /// It runs until `idle`, or until the next run of `canonical`.
    #[command(
        after_help = "Examples:\n  evenkeel canonical deploy wiki\n  evenkeel canonical deploy wiki --quick 1f0c2a9"
    )]
    Deploy {
        #[arg(value_name = "NAME")]
        name: String,
        /// Then upgrade it in place to this commit of the recipe (7 hex digits or more). Its data is not used again after
        /// that: the snapshot comes back. A commit is never promoted by this.
        #[arg(long, value_name = "COMMIT")]
        quick: Option<String>,
    },
    /// Put another known-good in the place of the present one: a version that a green and cold run has shown.
    ///
    /// It is deployed once more, on fresh volumes; after its gate it is stopped, its data is stored, and record and snapshot change
    /// together. Until then, and where anything says no, the present known-good stays as it is. A pull request's commit, and one
    /// without a tag, is never promoted.
    #[command(after_help = "Examples:\n  evenkeel canonical promote wiki --result /run/ci/result.json\n  \
        evenkeel canonical promote wiki --green --cold --version 2.4.0+1.9.1")]
    Promote {
        #[arg(value_name = "NAME")]
        name: String,
        /// What a run says that it has done: a JSON object with schema, recipe, version, commit, ref, green and cold.
        #[arg(long, value_name = "FILE", conflicts_with_all = ["green", "cold", "version"])]
        result: Option<PathBuf>,
        /// By your own word: a run found it healthy.
        #[arg(long)]
        green: bool,
        /// By your own word: that run began on fresh volumes.
        #[arg(long)]
        cold: bool,
        /// The version's tag [default: as the configuration says].
        #[arg(long, value_name = "VERSION")]
        version: Option<String>,
    },
    /// End what runs of it, wait for its containers, and keep its volumes.
    #[command(after_help = "Examples:\n  evenkeel canonical idle wiki\n  evenkeel canonical idle wiki --restore")]
    Idle {
        #[arg(value_name = "NAME")]
        name: String,
        /// Throw away what was written since, and put the known-good's snapshot back.
        #[arg(long)]
        restore: bool,
    },
    /// Look for newer versions of every canonical, one after the other, and make each a known-good that passes its gate.
    ///
    /// The newest version that the policy allows runs cold on a throw-away domain first, which is removed again, and is then
    /// promoted. What has no known-good is seeded. One failure does not stop the others; a disk at its watermark does, after
    /// the one that is under way. It ends with a table. A sweep that was killed is gone on with for a day.
    #[command(after_help = "Examples:\n  evenkeel canonical sweep\n  evenkeel canonical sweep wiki")]
    Sweep {
        /// Canonicals by their names in the configuration [default: all].
        #[arg(value_name = "NAME")]
        names: Vec<String>,
    },
}

pub async fn run(config: &Path, arguments: &Arguments) -> anyhow::Result<u8> {
    match &arguments.verb {
        None => app::canonicals(config, &arguments.names).await,
        Some(Verb::Seed { name, version }) => ask(config, name, &Ask::Seed(version.clone())).await,
        Some(Verb::Deploy { name, quick: None }) => ask(config, name, &Ask::Deploy).await,
        Some(Verb::Deploy { name, quick: Some(commit) }) => ask(config, name, &Ask::Quick(commit.clone())).await,
        Some(Verb::Promote { name, result, green, cold, version }) => {
            let proof = match result {
                Some(file) => Proof::Result { file: file.display().to_string(), bytes: text_of(file)? },
                None => Proof::Word { green: *green, cold: *cold, version: version.clone() },
            };
            ask(config, name, &Ask::Promote(proof)).await
        }
        Some(Verb::Idle { name, restore }) => ask(config, name, &Ask::Idle { restore: *restore }).await,
        Some(Verb::Sweep { names }) => sweep::run(config, names).await,
    }
}

fn text_of(file: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(file).with_context(|| format!("read the result {}", file.display()))
}

async fn ask(config: &Path, name: &str, ask: &Ask) -> anyhow::Result<u8> {
    let host = world::host(config).await?;
    let canonical = enrolled(&host, name)?;
    notify::ready();
    let outcome = canonical::grant(&host, canonical, ask, Timestamp::now()).await;
    Ok(told(canonical, &outcome))
}

/// One line, as a reconciler tells it.
fn told(canonical: &App, outcome: &Outcome) -> u8 {
    super::answer_styled(&app::line(canonical, outcome));
    app::ended_with(&[(canonical.name.clone(), outcome.clone())])
}

/// The canonical of this name.
///
/// # Errors
/// What is not enrolled, with what is.
pub fn enrolled<'a>(host: &'a Host, name: &str) -> anyhow::Result<&'a App> {
    let canonicals = || host.declared.of(Kind::Canonical);
    if let Some(found) = canonicals().find(|app| app.name.as_str() == name) {
        return Ok(found);
    }
    let known: Vec<&str> = canonicals().map(|app| app.name.as_str()).collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    match host.declared.app(name) {
        Some(other) => bail!(
            "{name} is declared as [{}], and only what is enrolled as [canonical.NAME] is kept warm; enrolled: {known}",
            other.kind.table()
        ),
        None => {
            bail!("{name} is not enrolled: add a [canonical.{name}] table that names its recipe; enrolled: {known}")
        }
    }
}
