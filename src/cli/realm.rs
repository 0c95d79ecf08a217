//! `realm`: a realm for each run on the warm Keycloak.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{ArgGroup, Args, Subcommand};
use jiff::{SignedDuration, SignedDurationRound, Timestamp, Unit};
use secrecy::ExposeSecret as _;

use super::world;
use crate::app::realm::{RealmError, Realms, Reaped};
use crate::config;
use crate::host::handing_over;
use crate::model::app::NameError;
use crate::model::realm::{RealmName, Run};

/// No Keycloak is here, or none came up in time.
const COLD: u8 = 15;

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Make a run's realm, or complete it, and print how to log in to it.
    ///
    /// The realm is called PARENT-, and six hex digits that follow from parent and run. It has a confidential client,
    /// for the password, client-credentials and code grants with any https address to return to, and a user `tester`.
    /// What is printed is one JSON object: realm, issuer, client_id, client_secret, user, password. It has been used to
    /// log in, and is the same for the same run as long as its realm stands. It goes to --out, or to stdout where that
    /// is neither the journal nor a file that others can read. While an upgrade of Keycloak is under way, this waits.
    #[command(after_help = "Examples:\n  evenkeel realm create --parent wiki --run 4711 --out /run/ci/realm.json\n  \
        evenkeel realm create --parent wiki --run \"$CI_PIPELINE_URL\" | jq -r .issuer")]
    Create {
        #[command(flatten)]
        run: RunArguments,
        /// Write the JSON to this file, which only its owner can read, in one step.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        #[command(flatten)]
        time: Time,
    },
    /// Do what a run's app does: log in as the user and as the client, and show each token to `userinfo`.
    ///
    /// Changes nothing. Exit codes: 0 all of it works; 1 something does not, and is told; 15 cold.
    #[command(after_help = "Examples:\n  evenkeel realm check --parent wiki --run 4711")]
    Check {
        #[command(flatten)]
        run: RunArguments,
        #[command(flatten)]
        time: Time,
    },
    /// Remove a run's realm. One that is not there is no failure.
    ///
    /// A realm that was not made by `realm create` is never removed. While an upgrade of Keycloak is under way, this waits.
    #[command(
        after_help = "Examples:\n  evenkeel realm delete --parent wiki --run 4711\n  evenkeel realm delete wiki-1f0c2a"
    )]
    #[command(group = ArgGroup::new("which").required(true).multiple(true).args(["realm", "parent", "run"]))]
    Delete {
        /// The realm by its name, instead of parent and run.
        #[arg(value_name = "REALM", conflicts_with_all = ["parent", "run"])]
        realm: Option<String>,
        /// The recipe that was tested.
        #[arg(long, value_name = "RECIPE", requires = "run")]
        parent: Option<String>,
        /// The run's id.
        #[arg(long, value_name = "ID", requires = "parent", allow_hyphen_values = true)]
        run: Option<String>,
        #[command(flatten)]
        time: Time,
    },
    /// Remove the realms that runs left behind.
    ///
    /// Never `master`, never a realm that was not made by `realm create`, and none whose marks somebody has changed:
    /// those are told. Exit codes: 0 none is left that is older; 1 some are, and it is told why; 15 cold.
    /// While an upgrade of Keycloak is under way, this waits.
    #[command(after_help = "Examples:\n  evenkeel realm reap --older-than 2h")]
    Reap {
        /// The time since `create` handed a realm out last, from which on it goes, such as 45m, 2h or 1d.
        #[arg(long, value_name = "TIME", value_parser = age)]
        older_than: SignedDuration,
        #[command(flatten)]
        time: Time,
    },
}

#[derive(Debug, Args)]
pub struct RunArguments {
    /// The recipe that is tested: lower-case letters and digits, and - _ . between them.
    #[arg(long, value_name = "RECIPE")]
    parent: String,
    /// The run's id: any text, such as a number or an address.
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    run: String,
}

#[derive(Debug, Args)]
pub struct Time {
    /// How long all of it may take, waiting for Keycloak to come up included.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = time)]
    within: Duration,
}

fn time(text: &str) -> Result<Duration, String> {
    let time = config::duration::parse(text).map_err(|error| format!("{error}; write it like 30s or 5m"))?;
    if time.is_zero() { Err("nothing is done in no time".to_owned()) } else { Ok(time) }
}

fn age(text: &str) -> Result<SignedDuration, String> {
    let time = config::duration::parse(text).map_err(|error| format!("{error}; write it like 45m, 2h or 1d"))?;
    SignedDuration::try_from(time).map_err(|error| error.to_string())
}

pub async fn run(config: &Path, verb: &Verb) -> anyhow::Result<u8> {
    let told = match verb {
        Verb::Create { run, out, time } => create(config, run, out.as_deref(), time).await,
        Verb::Check { run, time } => check(config, run, time).await,
        Verb::Delete { realm, parent, run, time } => {
            delete(config, realm.as_deref(), parent.as_deref().zip(run.as_deref()), time).await
        }
        Verb::Reap { older_than, time } => reap(config, *older_than, time).await,
    };
    match told {
        Ok(code) => Ok(code),
        Err(Unanswered::Wrong(mistakes)) => {
            mistakes.iter().for_each(|mistake| super::tell(&format!("evenkeel: {mistake}")));
            Ok(super::USAGE)
        }
        Err(Unanswered::Error(RealmError::Failed(error))) => Err(error),
        Err(Unanswered::Error(cold @ RealmError::Cold(_))) => {
            super::tell(&format!("evenkeel: {cold}"));
            Ok(COLD)
        }
    }
}

enum Unanswered {
    /// What the command line asks for cannot be: all that is wrong with it.
    Wrong(Vec<String>),
    Error(RealmError),
}

impl From<RealmError> for Unanswered {
    fn from(error: RealmError) -> Self {
        Self::Error(error)
    }
}

impl From<anyhow::Error> for Unanswered {
    fn from(error: anyhow::Error) -> Self {
        Self::Error(error.into())
    }
}

async fn create(config: &Path, run: &RunArguments, out: Option<&Path>, time: &Time) -> Result<u8, Unanswered> {
    let run = run_and(&run.parent, &run.run, outlet(out))?;
    let declared = world::declared(config)?;
    let handed_out = Realms::within(&declared, time.within).create(&run, Timestamp::now).await?;
    match out {
        None => super::answer(handed_out.expose_secret()),
        Some(file) => {
            handing_over::put(file, handed_out.expose_secret().as_bytes())?;
            super::answer(&format!("{}: how to log in is in {}\n", run.realm(), file.display()));
        }
    }
    Ok(0)
}

/// Whether the JSON can go where it is to go.
fn outlet(out: Option<&Path>) -> Result<(), String> {
    match out {
        Some(file) => handing_over::check(file).map_err(|error| format!("--out: {error:#}")),
        None => stdout_is_private().map_err(str::to_owned),
    }
}

fn stdout_is_private() -> Result<(), &'static str> {
    if super::journal_reads_along() {
        return Err("stdout is the journal, which keeps what it is given, and secrets are to be printed: name a file \
                    with --out FILE");
    }
    if super::others_read_along() {
        return Err(
            "stdout is a file that others can read, and secrets are to be printed: name a file with --out, or \
                    set `umask 077`",
        );
    }
    Ok(())
}

/// The run that is meant, or every mistake.
fn run_and(parent: &str, run: &str, more: Result<(), String>) -> Result<Run, Unanswered> {
    let (parent, id) = (parent.parse(), run.parse());
    match (parent, id, more) {
        (Ok(parent), Ok(id), Ok(())) => Ok(Run { parent, id }),
        (parent, id, more) => {
            let parent = parent.err().map(|error: NameError| format!("--parent: {error}"));
            let id = id.err().map(|error: NameError| format!("--run: {error}"));
            Err(Unanswered::Wrong(parent.into_iter().chain(id).chain(more.err()).collect()))
        }
    }
}

async fn check(config: &Path, run: &RunArguments, time: &Time) -> Result<u8, Unanswered> {
    let run = run_and(&run.parent, &run.run, Ok(()))?;
    let declared = world::declared(config)?;
    Realms::within(&declared, time.within).check(&run).await?;
    super::answer(&format!("{}: user and client log in, and userinfo takes their tokens\n", run.realm()));
    Ok(0)
}

async fn delete(config: &Path, realm: Option<&str>, run: Option<(&str, &str)>, time: &Time) -> Result<u8, Unanswered> {
    let run = run.map(|(parent, run)| run_and(parent, run, Ok(()))).transpose()?;
    let name = match &run {
        Some(run) => run.realm(),
        None => named(realm.unwrap_or_default())?,
    };
    let declared = world::declared(config)?;
    match Realms::within(&declared, time.within).delete(&name, run.as_ref()).await? {
        true => super::answer(&format!("{name}: removed\n")),
        false => super::answer(&format!("{name}: there is no such realm; nothing to remove\n")),
    }
    Ok(0)
}

fn named(realm: &str) -> Result<RealmName, Unanswered> {
    realm.parse().map_err(|error: NameError| Unanswered::Wrong(vec![error.to_string()]))
}

async fn reap(config: &Path, older_than: SignedDuration, time: &Time) -> Result<u8, Unanswered> {
    let declared = world::declared(config)?;
    let reaped = Realms::within(&declared, time.within).reap(older_than, Timestamp::now()).await?;
    Ok(tell_of(&reaped, older_than))
}

fn tell_of(reaped: &Reaped, older_than: SignedDuration) -> u8 {
    for (name, age) in &reaped.gone {
        super::answer(&format!("{name}: removed, {} old\n", in_minutes(*age)));
    }
    for (name, why) in &reaped.doubtful {
        super::tell(&format!("warning: realm {name} stays: {why}"));
    }
    for (name, why) in &reaped.failed {
        super::tell(&format!("evenkeel: realm {name} is still there: {why}"));
    }
    if let Some(why) = &reaped.cut_short {
        super::tell(&format!("evenkeel: {why}"));
    }
    let is_done = reaped.failed.is_empty() && reaped.cut_short.is_none();
    if reaped.gone.is_empty() && is_done {
        super::answer(&format!("no realm of a run is older than {older_than:#}\n"));
    }
    if is_done { 0 } else { super::ERROR }
}

fn in_minutes(age: SignedDuration) -> String {
    let smallest = if age < SignedDuration::from_mins(2) { Unit::Second } else { Unit::Minute };
    let round = SignedDurationRound::new().smallest(smallest);
    format!("{:#}", age.round(round).unwrap_or(age))
}
