//! `<state_dir>/metrics.prom`: how the host stands, for a Prometheus node exporter's textfile collector.
//!
//! The text is a pure function of what was looked at ([`render`]). The border: nothing is asked of the Engine, so that
//! metrics never make a run wait or fail. The surprise: how each app's last run ended is kept in `runs.json` beside it,
//! since the file is replaced whole by runs of single apps, too.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File, Permissions};
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::alerts::Alerts;
use super::store::{AppDir, Store, open_lock, replace};
use crate::model::app::AppName;
use crate::model::outcome::Outcome;
use crate::model::state::State;

/// Far more than the last runs of all apps of a host take.
const LONGEST: u64 = 4 << 20;
const FILE: &str = "metrics.prom";
const ALERTS_WAITING: &str = "evenkeel_alerts_waiting";

/// How the last run of an app ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastRun {
    pub ts: Timestamp,
    pub outcome: String,
    pub exit_code: u8,
    /// When a run ended well last: converged, applied or upgraded.
    #[serde(default)]
    pub good: Option<Timestamp>,
    /// The version that is held, as the last run knew that looked.
    #[serde(default)]
    pub held: Option<String>,
}

/// What a run adds to what is known.
#[derive(Debug, Clone, Copy)]
pub struct Ended<'a> {
    pub app: &'a AppName,
    pub outcome: &'a Outcome,
    /// The version that is held; `None` within: nothing is. `None`: this run does not know.
    pub held: Option<Option<&'a str>>,
}

/// The host as it stands, ready to be written down.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stand {
    pub runs: BTreeMap<String, LastRun>,
    pub apps: BTreeMap<String, AppStand>,
    pub alerts_waiting: usize,
    /// Days until the declared certificate expires.
    pub certificate_days: Option<i64>,
}

/// What is kept about one app.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AppStand {
    /// `None` where the state cannot be read.
    pub state: Option<State>,
    pub snapshots: Vec<SnapshotStand>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotStand {
    pub id: String,
    pub taken: Timestamp,
    pub bytes: u64,
}

/// Notes how a run ended and replaces `metrics.prom` (0644) whole.
///
/// # Errors
/// When a file cannot be written; the file from before stands then.
pub fn write(store: &Store, ended: Ended<'_>, certificate_days: Option<i64>, now: Timestamp) -> Result<()> {
    let _lock = locked(store)?;
    let runs = noted(last_runs(store), ended, now);
    let text = serde_json::to_string_pretty(&runs).context("write the last runs as JSON")? + "\n";
    replace(&store.dir().join("runs.json"), text.as_bytes())?;
    let stand = Stand {
        runs,
        apps: store.apps()?.into_iter().map(|app| (app.to_string(), look(&store.app(&app)))).collect(),
        alerts_waiting: Alerts::of(store).waiting()?.len(),
        certificate_days,
    };
    publish(&store.dir().join(FILE), &render(&stand))
}

/// Counts the alerts that wait anew, and leaves all else of `metrics.prom` as it is. Before the first run there is none.
///
/// # Errors
/// When the file cannot be written; the one from before stands then.
pub fn recount_alerts(store: &Store) -> Result<()> {
    let path = store.dir().join(FILE);
    let _lock = locked(store)?;
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(()),
        Err(cause) => return Err(cause).with_context(|| format!("read {}", path.display())),
    };
    let counted = with_alerts(&text, Alerts::of(store).waiting()?.len());
    if counted == text { Ok(()) } else { publish(&path, &counted) }
}

fn with_alerts(text: &str, waiting: usize) -> String {
    let line = |line: &str| match line.strip_prefix(ALERTS_WAITING) {
        Some(value) if value.starts_with(' ') => format!("{ALERTS_WAITING} {waiting}\n"),
        _ => line.to_owned(),
    };
    text.split_inclusive('\n').map(line).collect()
}

/// Runs of several apps end at once.
fn locked(store: &Store) -> Result<File> {
    let path = store.dir().join("metrics.lock");
    let lock = open_lock(&path)?;
    lock.lock().with_context(|| format!("lock {}", path.display()))?;
    Ok(lock)
}

/// A file that cannot be read tells nothing that the next runs do not tell again.
fn last_runs(store: &Store) -> BTreeMap<String, LastRun> {
    let mut text = String::new();
    let mut read = || File::open(store.dir().join("runs.json"))?.take(LONGEST).read_to_string(&mut text);
    if read().is_err() {
        return BTreeMap::new();
    }
    serde_json::from_str(&text).unwrap_or_default()
}

fn noted(mut runs: BTreeMap<String, LastRun>, ended: Ended<'_>, now: Timestamp) -> BTreeMap<String, LastRun> {
    let before = runs.remove(ended.app.as_str());
    let is_good = matches!(ended.outcome, Outcome::Converged | Outcome::Applied(_) | Outcome::Upgraded(_));
    let last = LastRun {
        ts: now,
        outcome: ended.outcome.word().to_owned(),
        exit_code: ended.outcome.exit_code(),
        good: if is_good { Some(now) } else { before.as_ref().and_then(|before| before.good) },
        held: match ended.held {
            Some(held) => held.map(str::to_owned),
            None => before.and_then(|before| before.held),
        },
    };
    runs.insert(ended.app.to_string(), last);
    runs
}

fn look(dir: &AppDir) -> AppStand {
    let listed = dir.snapshots().list().unwrap_or_default();
    // A damaged one is told by `snapshot verify`, and stands for nothing.
    let whole = listed.into_iter().filter_map(|listed| Some((listed.id, listed.manifest.ok()?)));
    let snapshots = whole.map(|(id, manifest)| SnapshotStand { id, taken: manifest.taken, bytes: manifest.bytes() });
    AppStand { state: dir.read_state().ok().flatten(), snapshots: snapshots.collect() }
}

/// For everybody to read: nothing in it is a secret.
fn publish(path: &Path, text: &str) -> Result<()> {
    let folder = path.parent().context("metrics.prom has a folder")?;
    let put = || -> std::io::Result<()> {
        let mut beside = tempfile::Builder::new().prefix(".metrics-").tempfile_in(folder)?;
        std::io::Write::write_all(&mut beside, text.as_bytes())?;
        beside.as_file().set_permissions(Permissions::from_mode(0o644))?;
        beside.persist(path).map(drop).map_err(|failed| failed.error)
    };
    put().with_context(|| format!("write {}", path.display()))?;
    sweep(folder)
}

/// Removes what killed runs left; only for who holds the lock.
fn sweep(folder: &Path) -> Result<()> {
    for file in fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))? {
        let file = file?;
        if file.file_name().to_string_lossy().starts_with(".metrics-") {
            fs::remove_file(file.path()).with_context(|| format!("remove {}", file.path().display()))?;
        }
    }
    Ok(())
}

/// The text of `metrics.prom`, in Prometheus' exposition format.
pub fn render(stand: &Stand) -> String {
    let mut page = Page::default();
    page.family("evenkeel_build_info", "The program that wrote this.");
    page.sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    of_runs(&mut page, &stand.runs);
    of_apps(&mut page, &stand.apps);
    of_snapshots(&mut page, &stand.apps);
    page.family(ALERTS_WAITING, "Alert files that were not relayed.");
    page.sample(&[], stand.alerts_waiting);
    if let Some(days) = stand.certificate_days {
        page.family("evenkeel_certificate_days_left", "Whole days until the declared certificate expires.");
        page.sample(&[], days);
    }
    page.text
}

fn of_runs(page: &mut Page, runs: &BTreeMap<String, LastRun>) {
    page.family("evenkeel_last_run_timestamp_seconds", "When the last run of an app ended.");
    runs.iter().for_each(|(app, run)| page.sample(&[("app", app)], run.ts.as_second()));
    page.family("evenkeel_last_run_exit_code", "How it ended, as an exit code.");
    runs.iter().for_each(|(app, run)| page.sample(&[("app", app)], run.exit_code));
    page.family("evenkeel_last_run_outcome", "How it ended, as a word.");
    runs.iter().for_each(|(app, run)| page.sample(&[("app", app), ("outcome", &run.outcome)], 1));
    page.family("evenkeel_last_good_run_timestamp_seconds", "When a run of an app ended well last.");
    let good = runs.iter().filter_map(|(app, run)| Some((app, run.good?)));
    good.for_each(|(app, good)| page.sample(&[("app", app)], good.as_second()));
    page.family("evenkeel_held", "Whether a version is held that nobody has approved.");
    for (app, run) in runs {
        page.sample(&[("app", app), ("version", run.held.as_deref().unwrap_or(""))], u8::from(run.held.is_some()));
    }
}

fn of_apps(page: &mut Page, apps: &BTreeMap<String, AppStand>) {
    page.family("evenkeel_state_readable", "Whether the app's state could be read.");
    apps.iter().for_each(|(app, stand)| page.sample(&[("app", app)], u8::from(stand.state.is_some())));
    let states = || apps.iter().filter_map(|(app, stand)| Some((app.as_str(), stand.state.as_ref()?)));
    page.family("evenkeel_version_info", "The release that passed its gate last.");
    for (app, state) in states() {
        let Some(current) = &state.current else { continue };
        let revision = &current.body.revision;
        let version = revision.version.as_deref().unwrap_or("");
        page.sample(&[("app", app), ("version", version), ("commit", revision.commit.as_str())], 1);
    }
    page.family("evenkeel_version_since_timestamp_seconds", "When it did.");
    for (app, state) in states() {
        let since = state.current.as_ref().and_then(|current| current.since.parse::<Timestamp>().ok());
        since.into_iter().for_each(|since| page.sample(&[("app", app)], since.as_second()));
    }
    page.family("evenkeel_refused_versions", "Versions that failed their gate and are not tried again by themselves.");
    states().for_each(|(app, state)| page.sample(&[("app", app)], state.refused.len()));
    page.family("evenkeel_transaction_open", "Whether an upgrade or a way back is under way.");
    states().for_each(|(app, state)| page.sample(&[("app", app)], u8::from(state.open.is_some())));
    page.family("evenkeel_transaction_began_timestamp_seconds", "When it began.");
    for (app, state) in states() {
        state.open.iter().for_each(|open| page.sample(&[("app", app)], open.began.as_second()));
    }
    page.family("evenkeel_stuck", "Whether undoing has failed and a person has to go on.");
    states().for_each(|(app, state)| page.sample(&[("app", app)], u8::from(state.stuck.is_some())));
}

fn of_snapshots(page: &mut Page, apps: &BTreeMap<String, AppStand>) {
    let all = || apps.iter().flat_map(|(app, stand)| stand.snapshots.iter().map(move |snapshot| (app, snapshot)));
    page.family("evenkeel_snapshot_timestamp_seconds", "When a snapshot was taken; its age is time() less this.");
    for (app, snapshot) in all() {
        page.sample(&[("app", app), ("snapshot", &snapshot.id)], snapshot.taken.as_second());
    }
    page.family("evenkeel_snapshot_size_bytes", "What it takes on disk.");
    all().for_each(|(app, snapshot)| page.sample(&[("app", app), ("snapshot", &snapshot.id)], snapshot.bytes));
}

/// Gauges one after the other, each with its help; a family without a sample is legal.
#[derive(Default)]
struct Page {
    text: String,
    family: &'static str,
}

impl Page {
    fn family(&mut self, name: &'static str, help: &str) {
        self.family = name;
        writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} gauge").expect("a String takes all text");
    }

    fn sample(&mut self, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        writeln!(self.text, "{}{labels} {value}", self.family).expect("a String takes all text");
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests;
