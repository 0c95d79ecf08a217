//! The command line: one file per verb, one match.
//!
//! stdout is for answers, stderr for the log, the exit code for systemd.

mod app;
mod check;
mod generate;
mod plan;
mod render;
mod secret;
mod status;
mod swarm;
mod world;

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand};

use crate::model::outcome::Outcome;
use crate::{demo, telemetry};

/// Wrong use of the command line, as sysexits has it.
const USAGE: u8 = 64;

/// Keeps the apps of a Docker Swarm host as declared.
///
/// It looks at the live Swarm, compares it with what the configuration and the apps' recipes say, and changes only what
/// differs. When nothing differs, nothing is written. A change that does not come up healthy is put back.
///
/// Exit codes: 0 converged, applied or waiting; 2 `plan` found changes; 10 held; 12 blocked; 14 unhealthy; 1 error (of
/// the configuration, the Engine, network or disk); 64 wrong use.
#[derive(Debug, Parser)]
#[command(name = "evenkeel", version, max_term_width = 100)]
pub struct Cli {
    /// The configuration file.
    #[arg(
        long,
        global = true,
        env = "EVENKEEL_CONFIG",
        default_value = "/etc/evenkeel/config.toml",
        value_name = "FILE"
    )]
    config: PathBuf,
    /// Say more in the log: -v what is decided and changed, -vv what is looked at.
    #[arg(short, long, global = true, action = ArgAction::Count)]
    verbose: u8,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Keep the reverse proxy as declared, with its certificate.
    Proxy(Reconcile),
    /// Keep apps as declared: all of them, or the named ones.
    App {
        /// Apps by their names in the configuration; all without one.
        #[arg(value_name = "NAME")]
        names: Vec<String>,
        #[command(flatten)]
        options: Reconcile,
    },
    /// Make this node a Swarm manager and create the shared overlay network; once per boot.
    Swarm,
    /// Show what a run would change, as a readable diff; writes nothing to the Engine.
    Plan(Which),
    /// Show the Engine API bodies of an app or of a recipe directory, without an Engine.
    Render(render::Arguments),
    /// Show what runs, in which version, and what is held or failed.
    Status(Which),
    /// Read configuration, recipes, secrets and certificate, and say everything that is wrong at once.
    Check(check::Arguments),
    /// Show what the state directory keeps secret.
    Secret {
        #[command(subcommand)]
        verb: secret::Verb,
    },
    /// See the whole story on a private Engine: install, nothing to do, drift repaired, a failure told. Needs root.
    Demo,
    #[command(hide = true)]
    Generate(generate::Arguments),
}

/// Which apps, and for whom the answer is.
#[derive(Debug, Args)]
struct Which {
    /// Apps by their names in the configuration; all without one.
    #[arg(value_name = "APP")]
    apps: Vec<String>,
    /// Print one JSON array.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args, Clone, Copy)]
struct Reconcile {
    /// Try a configuration again that failed before.
    #[arg(long)]
    retry: bool,
    /// Neither fetch recipes nor look for newer versions.
    #[arg(long)]
    no_upgrade: bool,
}

/// The whole program: its exit code.
pub fn main() -> u8 {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(told) => {
            // Help and version are answers, not mistakes; a closed pipe is nobody's business here.
            let _ = told.print();
            return if told.use_stderr() { USAGE } else { 0 };
        }
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&anyhow::Error::from(error).context("start the runtime")),
    };
    rustls::crypto::ring::default_provider().install_default().expect("no other TLS provider is installed before");
    telemetry::init(cli.verbose);
    runtime.block_on(run(cli)).unwrap_or_else(|error| failed(&error))
}

async fn run(cli: Cli) -> anyhow::Result<u8> {
    let config = &cli.config;
    match cli.verb {
        Verb::Proxy(options) => app::proxy(config, options.into()).await,
        Verb::App { names, options } => app::apps(config, &names, options.into()).await,
        Verb::Swarm => swarm::run(config).await,
        Verb::Plan(arguments) => plan::run(config, &arguments).await,
        Verb::Render(arguments) => render::run(config, &arguments).await,
        Verb::Status(arguments) => status::run(config, &arguments).await,
        Verb::Check(arguments) => check::run(config, &arguments).await,
        Verb::Secret { verb } => secret::run(config, &verb),
        Verb::Demo => demo::run(demo::Options::of_this_program()?).await,
        Verb::Generate(arguments) => generate::run(&arguments),
    }
}

impl From<Reconcile> for crate::app::Options {
    fn from(options: Reconcile) -> Self {
        Self { retry: options.retry, no_upgrade: options.no_upgrade }
    }
}

/// What went wrong before any app could be looked at, in one place for all verbs.
fn failed(error: &anyhow::Error) -> u8 {
    tell(&format!("evenkeel: {}", telemetry::indented(&format!("{error:#}"))));
    Outcome::Error(String::new()).exit_code()
}

/// An answer to stdout, with whatever others wrote in it made harmless.
fn answer(text: &str) {
    answer_styled(&telemetry::printable(text));
}

/// An answer with colours of ours, whose other parts are [`telemetry::printable`] already.
fn answer_styled(text: &str) {
    write_out(text.as_bytes());
}

/// Bytes to stdout, less their colours where nobody wants them. A reader that has gone away is no error of ours.
fn write_out(bytes: &[u8]) {
    use std::io::Write as _;
    let _ = telemetry::MOVING_LINES.suspend(|| anstream::stdout().write_all(bytes));
}

/// A line to stderr that belongs to no app.
fn tell(text: &str) {
    use std::io::Write as _;
    let line = format!("{}\n", telemetry::printable(text));
    let _ = telemetry::MOVING_LINES.suspend(|| anstream::stderr().write_all(line.as_bytes()));
}
