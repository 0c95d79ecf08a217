//! The command line: one file per verb, one match.
//!
//! stdout is for answers, stderr for the log, the exit code for systemd.

mod alerts;
mod app;
mod approve;
mod canonical;
mod check;
mod generate;
mod history;
mod pause;
mod plan;
mod prune;
mod realm;
mod render;
mod resume;
mod rollback;
mod runner_env;
mod secret;
mod snapshot;
mod status;
mod swarm;
mod world;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use clap::{ArgAction, Args, Parser, Subcommand};
use jiff::Timestamp;

use crate::host::who::person as who;
use crate::host::{handing_over, progress};
use crate::model::app::Kind;
use crate::{demo, telemetry};

/// Wrong use of the command line, as sysexits has it.
const USAGE: u8 = 64;
/// As an outcome `error` ends.
const ERROR: u8 = 1;

/// An answer could not be written: success must not be the last word then.
static ANSWER_LOST: AtomicBool = AtomicBool::new(false);

/// What the program takes from its surroundings, and where to begin.
const AROUND: &str = "\
Environment:
  EVENKEEL_CONFIG  the configuration file, where --config names none
  DOCKER_HOST      the Engine's address, where the configuration names none (unix:///run/docker.sock)
  EVENKEEL_LOG     what the log says, beating -v, such as evenkeel=debug

A first installation:
  evenkeel check    what is wrong with the configuration, before anything runs
  evenkeel swarm    this node as a Swarm manager, with the shared network
  evenkeel plan     what the next ones would do
  evenkeel proxy    the reverse proxy
  evenkeel app      the apps behind it (a Keycloak of [warm_keycloak]: evenkeel warm-keycloak)
  evenkeel drone    the CI server of [drone], once the Gitea where its people sign in runs
  evenkeel canonical seed NAME
                    the first known-good of a recipe that is enrolled as [canonical.NAME]";

/// Keeps the apps of a Docker Swarm host as declared.
///
/// It looks at the live Swarm, compares it with what the configuration and the apps' recipes say, and changes only what
/// differs. When nothing differs, nothing is written. A change of configuration that does not come up healthy is put
/// back.
///
/// A newer version is taken with a snapshot of the app's volumes and judged like any change; where it fails, version and data
/// go back together.
///
/// Answers go to stdout, the log to stderr. Exit codes: 0 converged, applied, upgraded or waiting (also for a paused app);
/// 2 `plan` found changes; 10 held (a newer version is not taken by itself); 11 rolled back (what was tried failed, what ran
/// before runs on its own data); 12 blocked (something is in the way, the app runs as before); 13 stuck (undoing failed too:
/// `evenkeel status` says what stands where); 14 unhealthy; 15 cold (`realm` found no Keycloak); 1 error (of the configuration,
/// the Engine, network or disk); 64 wrong use.
#[derive(Debug, Parser)]
#[command(name = "evenkeel", version, max_term_width = 100, after_long_help = AROUND)]
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
    ///
    /// Installs it, repairs what differs, or makes a change of configuration, and waits until it is healthy (ten minutes
    /// at most, unless `gate.within` says otherwise). A certificate file that cannot be used never replaces the one that
    /// is served.
    Proxy(Reconcile),
    /// Keep the server that runs the builds as declared, Drone or Woodpecker, in the newest version that its policy allows.
    ///
    /// As `app` does, and who signs in there has to be led to the declared Gitea with the declared client id (unless
    /// `gate.http` says otherwise). Its builds go back with the version. At the end the runner on this host is told what
    /// the server runs with (see `runner-env`), and what `builds` says is set over the server's API. What cannot be set, and
    /// a Gitea that is away, are warnings behind the outcome.
    Drone(Reconcile),
    /// Keep the Keycloak that is always up as declared, in the newest version that its policy allows.
    ///
    /// As `app` does, and it has to answer for its realm `master` (unless `gate.http` says otherwise). Its recipe has to have
    /// the volumes `mariadb` and `providers`: they go back with the version. Admin and database passwords are made once, if
    /// missing.
    WarmKeycloak(Reconcile),
    /// Keep apps as declared: all of them, or the named ones.
    ///
    /// Installs, repairs what differs, or makes a change of configuration, and waits until the app is healthy (ten
    /// minutes at most, unless its `gate.within` says otherwise). A change that fails is put back; a first install that
    /// fails is left for reading. Neither is tried again by itself. Four apps are worked on at once; one line tells how
    /// each ended, and the exit code is the worst one's.
    #[command(after_help = "Examples:\n  evenkeel app\n  evenkeel app wiki notes\n  evenkeel app wiki --retry")]
    App {
        /// Apps by their names in the configuration [default: all].
        #[arg(value_name = "NAME")]
        names: Vec<String>,
        #[command(flatten)]
        options: Reconcile,
    },
    /// Keep canonicals: apps whose data is kept warm while nothing of them runs.
    ///
    /// Without a verb, what was broken off is finished or undone, what runs is ended, and records are compared with what is
    /// there; nothing is ever deployed by that. What is done to a canonical waits for the run slot, which upgrades, sweeps and
    /// CI runs share, and says who has it.
    #[command(
        after_help = "Examples:\n  evenkeel canonical\n  evenkeel canonical seed wiki\n  evenkeel canonical deploy wiki"
    )]
    Canonical(canonical::Arguments),
    /// Make this node a Swarm manager and create the shared overlay network; once per boot.
    ///
    /// Adopts a Swarm and a network that are there already, and writes nothing then.
    Swarm,
    /// Show what a run would change, as a readable diff; writes nothing to the Engine.
    ///
    /// Takes recipes as they were fetched last, and fetches one only that was never fetched. Secrets are named and never
    /// shown. Of a canonical, which no run deploys, a sentence says what a run of `canonical` would end or put right. Exit
    /// codes: 0 nothing would change, 2 something would; else as the run would end.
    #[command(after_help = "Examples:\n  evenkeel plan\n  evenkeel plan wiki\n  evenkeel plan --json")]
    Plan(Which),
    /// Let a version of an app be taken once, although something holds it or it failed before.
    ///
    /// Says what holds it: that, and nothing that comes up later, is what is approved, for this version at its commit. The
    /// next run takes it (within the app's window, if it has one); when that begins, the approval is spent. A version that
    /// is older than what runs is never taken: see `rollback`. Works while a run is at work. Needs no Engine.
    #[command(after_help = "Examples:\n  evenkeel status\n  evenkeel approve wiki 3.0.0+2.1.0")]
    Approve(approve::Arguments),
    /// Leave an app alone while a person works on it: runs change nothing of it until the time is over, or `unpause`.
    ///
    /// Kept on disk, so also over a reboot; the time goes by the wall clock. A run that is at work on the app already ends
    /// what it has begun, and this waits for it. Pausing a paused app replaces time and reason. A run that meets a paused app
    /// ends as waiting, with exit code 0. Needs no Engine.
    #[command(
        after_help = "Examples:\n  evenkeel pause wiki --for 2h\n  evenkeel pause wiki --for 1d --reason \"moving the data\""
    )]
    Pause(pause::Arguments),
    /// Have a paused app kept again, from the next run on. Starts no run.
    Unpause(pause::Which),
    /// Go back to the last good release of an app, version and data together.
    ///
    /// The release before the current one is put back as it was recorded, with the snapshot that belongs to it. First it is
    /// shown which data goes out of use; without a terminal, --yes is needed. What was there is kept beside the volumes
    /// until the next good upgrade, and the version that was left is not taken again by itself. Where it
    /// does not come up, what ran gets its own data back and runs again (exit code 11). Of an app that is stuck, the
    /// release that ran before is put back. A canonical is refused: see `canonical idle --restore` and `canonical promote`.
    #[command(after_help = "Examples:\n  evenkeel rollback wiki\n  evenkeel rollback wiki --yes")]
    Rollback(rollback::Arguments),
    /// Finish what was begun: transactions that a killed run, or an Engine that went away, left open.
    ///
    /// From what is recorded alone, whatever the configuration says of the app by now. What the resume timer runs. The exit
    /// code is the worst outcome's; 0 where nothing is open. A state that cannot be read is told: exit code 12.
    Resume,
    /// Write the environment file of the runner that does the builds of [drone] on this host.
    ///
    /// Into the state directory, as drone/runner.env, readable by root alone: where the server is, the secret that the two
    /// share, and how many builds at once (`max_tests`). The secret is the one that the server runs with. Each run of `drone`,
    /// `resume` and `rollback` does the same at its end, so this is for whoever has lost the file. Written only where it
    /// differs. Needs no Engine.
    RunnerEnv,
    /// Remove images that nobody names any more, and tell of disks that fill up; once a day.
    ///
    /// Images without a tag only: no volume, no build cache, nothing that a container uses. Before that, the images of every
    /// release that runs or may have to run again get a tag of their own, `evenkeel/keep`, and lose it where no release
    /// names them any more. Waits for runs and upgrades that are at work; under systemd for half an hour.
    ///
    /// Where the disk of Docker, or of the state directory, has crossed `prune.watermark`, in bytes or inodes, there is an
    /// alert: one for each crossing, and another one only after it was well below. Exit codes: 0; 1 where the Engine does
    /// not answer, or an alert cannot be written; 12 where it is not known which images are needed, so that none goes.
    #[command(after_help = "Examples:\n  evenkeel prune\n  evenkeel prune --older-than 1d")]
    Prune(prune::Arguments),
    /// Show the Engine API bodies of an app or of a recipe directory, without an Engine.
    ///
    /// For whoever writes a recipe, or wonders what is sent. Of an app, secrets and the values of its env files are hidden;
    /// of a recipe directory everything is shown.
    #[command(
        after_help = "Examples:\n  evenkeel render wiki\n  evenkeel render --recipe ./wiki --domain wiki.example.org\n  \
        evenkeel render --recipe ./wiki --compose compose.yml:compose.db.yml --json"
    )]
    Render(render::Arguments),
    /// Show what runs, in which version, and what is held or failed.
    ///
    /// Columns: app, version, health, domain. Health is what Swarm says now: healthy, waiting, unhealthy, or absent; of an
    /// app that was never healthy: installing, failed, absent, or unmanaged (its stack exists and was not made here); of a
    /// canonical that is not deployed: seeding, idle, dirty, promoting or lost; and unknown where an app's state cannot be
    /// read.
    #[command(after_help = "Examples:\n  evenkeel status\n  evenkeel status wiki --json")]
    Status(Which),
    /// Read configuration, recipes, secrets and certificate, and say everything that is wrong at once.
    ///
    /// Asks no Engine and changes nothing; a recipe that was never fetched is fetched. Warns, too, of a certificate in its
    /// last days, and of a gate that is done before the proxy has looked at the Swarm (`gate.within` below 15s,
    /// `gate.stable_for` below 16s). A canonical is read as a sweep would have it, too. Exit codes: 0 nothing is wrong, 1 something is.
    #[command(after_help = "Examples:\n  evenkeel check\n  evenkeel --config ./config.toml check --config-only")]
    Check(check::Arguments),
    /// What a person has to be told: alerts, and sending them on.
    Alerts {
        #[command(subcommand)]
        verb: alerts::Verb,
    },
    /// Show who did what to which app, when and why; the newest last.
    ///
    /// A line for each run that changed or decided something, for each pause, each approval and each dropped snapshot. A
    /// damaged line is told and left out.
    #[command(after_help = "Examples:\n  evenkeel history\n  evenkeel history wiki --limit 10")]
    History(history::Arguments),
    /// Show an app's secrets, as the state directory keeps them.
    Secret {
        #[command(subcommand)]
        verb: secret::Verb,
    },
    /// Look after the copies of an app's data that upgrades make, or a person.
    Snapshot {
        #[command(subcommand)]
        verb: snapshot::Verb,
    },
    /// A realm for each CI run on the warm Keycloak: make it, try it, remove it, remove what runs left behind.
    ///
    /// Over Keycloak's admin API, behind the proxy, as the administrator whose password is kept here. Exit code 15, and the
    /// word `cold` on stderr: there is no Keycloak, or it did not come up in time. Needs no Engine.
    Realm {
        #[command(subcommand)]
        verb: realm::Verb,
    },
    /// See the whole story on a private Engine, in about a minute and a half. Needs root.
    ///
    /// An install, a second run that writes nothing, drift repaired, a failure told; a good upgrade that keeps the data, a
    /// bad one that migrates the data and fails, version and data both back, the alert, the refusal the next night; an
    /// upgrade killed by SIGKILL at two moments, and `resume`. Your own Docker is not touched, and nothing is left. Exit codes:
    /// 0; 1 where a step did not keep its promise; 128 and the signal's number where it was interrupted.
    Demo,
    /// Print the man page or a shell's completions, for packages; or the JSON schema of what a verb prints with --json.
    #[command(hide = true)]
    Generate(generate::Arguments),
}

/// Which apps, and for whom the answer is.
#[derive(Debug, Args)]
struct Which {
    /// Apps by their names in the configuration [default: all].
    #[arg(value_name = "APP")]
    apps: Vec<String>,
    /// Print one JSON array, as `evenkeel generate plan-schema` or `status-schema` describes it.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args, Clone, Copy)]
struct Reconcile {
    /// Try again what failed before: a first install, a change, or the way back of an app that is stuck. Otherwise none of
    /// them is repeated. (A version that failed takes `evenkeel approve`.)
    #[arg(long)]
    retry: bool,
    /// Take recipes as they were fetched last, take no newer version, and ask an app that runs as declared nothing. A newer
    /// `version` that the configuration names is left to `evenkeel-VERB-upgrade.service`, which systemd is asked to start
    /// where it has started this run.
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
    let code = runtime.block_on(kept_alive(run(cli))).unwrap_or_else(|error| failed(&error));
    if matches!(code, 0 | plan::CHANGES) && ANSWER_LOST.load(Ordering::Relaxed) { ERROR } else { code }
}

/// Whatever is done, systemd is told as long as it goes on.
async fn kept_alive<T>(work: impl Future<Output = T>) -> T {
    tokio::select! {
        done = work => done,
        never = progress::keep_alive() => match never {},
    }
}

async fn run(cli: Cli) -> anyhow::Result<u8> {
    let config = &cli.config;
    match cli.verb {
        Verb::Proxy(options) => told(config, app::only(Kind::Proxy, config, options.into()).await),
        Verb::Drone(options) => told(config, app::only(Kind::Drone, config, options.into()).await),
        Verb::WarmKeycloak(options) => told(config, app::only(Kind::WarmKeycloak, config, options.into()).await),
        Verb::App { names, options } => told(config, app::apps(config, &names, options.into()).await),
        Verb::Canonical(arguments) => told(config, canonical::run(config, &arguments).await),
        Verb::Swarm => told(config, swarm::run(config).await),
        Verb::Plan(arguments) => plan::run(config, &arguments).await,
        Verb::Approve(arguments) => approve::run(config, &arguments).await,
        Verb::Pause(arguments) => pause::run(config, &arguments).await,
        Verb::Unpause(arguments) => pause::end(config, &arguments),
        Verb::Rollback(arguments) => rollback::run(config, &arguments).await,
        Verb::Resume => told(config, resume::run(config).await),
        Verb::RunnerEnv => runner_env::run(config).await,
        Verb::Prune(arguments) => told(config, prune::run(config, &arguments).await),
        Verb::Render(arguments) => render::run(config, &arguments).await,
        Verb::Status(arguments) => status::run(config, &arguments).await,
        Verb::Check(arguments) => check::run(config, &arguments).await,
        Verb::Alerts { verb } => alerts::run(config, &verb).await,
        Verb::History(arguments) => history::run(config, &arguments),
        Verb::Secret { verb } => secret::run(config, &verb),
        Verb::Snapshot { verb } => snapshot::run(config, &verb).await,
        Verb::Realm { verb } => realm::run(config, &verb).await,
        Verb::Demo => demo::run(demo::Options::of_this_program()?).await,
        Verb::Generate(arguments) => generate::run(&arguments),
    }
}

impl From<Reconcile> for crate::app::Options {
    fn from(options: Reconcile) -> Self {
        Self { retry: options.retry, no_upgrade: options.no_upgrade }
    }
}

/// A run by systemd that found no Engine, or no place to write, makes an alert; one that did is the end of that. Without
/// a configuration nobody knows where to.
fn told(config: &Path, ended: anyhow::Result<u8>) -> anyhow::Result<u8> {
    if let Some(declared) = world::declared_silently(config) {
        match &ended {
            Ok(_) => crate::app::telling::host_is_back(&declared),
            Err(why) => crate::app::telling::host_failed(&declared, why, Timestamp::now()),
        }
    }
    ended
}

/// What went wrong before any app could be looked at, in one place for all verbs.
fn failed(error: &anyhow::Error) -> u8 {
    telemetry::notify::status(&format!("{error:#}"));
    tell(&format!("evenkeel: {}", telemetry::indented(&format!("{error:#}"))));
    ERROR
}

/// An answer to stdout, with whatever others wrote in it made harmless.
fn answer(text: &str) {
    // It has no colours left that somebody could not want.
    write_to(std::io::stdout(), telemetry::printable(text).as_bytes());
}

/// An answer with colours of ours, whose other parts are [`telemetry::printable`] already.
fn answer_styled(text: &str) {
    write_out(text.as_bytes());
}

/// Bytes to stdout, less their colours where nobody wants them.
fn write_out(bytes: &[u8]) {
    write_to(anstream::stdout(), bytes);
}

/// A reader that has gone away wants no more, which is no error of ours. Anything else (a full disk) is told, and the
/// work goes on: an app is not left half changed because nobody can be told of it.
fn write_to(mut output: impl std::io::Write, bytes: &[u8]) {
    let written = telemetry::MOVING_LINES.suspend(|| output.write_all(bytes).and_then(|()| output.flush()));
    let Err(error) = written else { return };
    if error.kind() != std::io::ErrorKind::BrokenPipe && !ANSWER_LOST.swap(true, Ordering::Relaxed) {
        tell(&format!("evenkeel: write the answer to stdout: {error}; run this again with another output"));
    }
}

/// Whether stdout is a file that others can read. An output that cannot even be looked at is told when it is written to.
fn others_read_along() -> bool {
    handing_over::is_open_to_others(std::io::stdout()).unwrap_or(false)
}

/// Whether answers land in the journal, which keeps them.
fn journal_reads_along() -> bool {
    telemetry::is_journal(std::io::stdout())
}

/// A line to stderr that belongs to no app. There is nowhere left to tell that it could not be written.
fn tell(text: &str) {
    use std::io::Write as _;
    let line = format!("{}\n", telemetry::printable(text));
    // Without stderr there is no place left to say so; the exit code stays.
    let _ = telemetry::MOVING_LINES.suspend(|| anstream::stderr().write_all(line.as_bytes()));
}

/// Whether whoever sits at the terminal says yes; `None` where nobody sits there.
fn asked(question: &str) -> std::io::Result<Option<bool>> {
    use std::io::{BufRead as _, IsTerminal as _, Write as _};
    if !std::io::stdin().is_terminal() {
        return Ok(None);
    }
    anstream::stderr().write_all(format!("{question} [y/N] ").as_bytes())?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(Some(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")))
}
