//! What a run leaves to be read when it has ended: alerts, a line of history, metrics.
//!
//! The border: none of it makes a run fail, or wait for more than a moment; what cannot be written is told in the log and
//! by the next run. The surprise: an app without a state that can be read (never installed, or damaged) has told facts,
//! too. They are kept beside the alerts until there is a state.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::timeout;
use tracing::{debug, warn};

use super::{Host, proxy};
use crate::config::Declared;
use crate::host::alerts::Alerts;
use crate::host::metrics;
use crate::host::store::{Lock, LockAttempt, StateError, Store};
use crate::host::who::who;
use crate::model::alert::of_the_host;
use crate::model::app::AppName;
use crate::model::history::Line;
use crate::model::outcome::Outcome;
use crate::model::state::State;
use crate::upgrade::told::{self, Ending, HeldBack};

/// Whoever writes or looks holds an app for less. Who holds it for longer is a run, and tells at its own end.
const LOCK_WITHIN: Duration = Duration::from_secs(2);

/// What a run knows beside its outcome.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// The version that is held.
    pub held: Option<HeldBack>,
    /// Newer versions were looked for.
    pub looked: bool,
    /// A transaction was closed.
    pub closed: bool,
    /// A pinned version would have been taken, had this run been one that takes versions.
    pub leaves_version: bool,
    /// Another run was at work, so this one has not looked at all that it was to look at.
    pub gave_way: bool,
    /// A release runs as it should, and nothing is on its way.
    pub stands: bool,
    /// What is worth a word though it made the outcome no worse.
    pub warnings: Vec<String>,
}

/// The version that runs before a run, for [`after`].
pub fn before(store: &Store, app: &AppName) -> Option<String> {
    version(&store.app(app).read_state().ok()??)
}

/// Tells how a run has ended. Called once at the end of each, its lock given back.
pub async fn after(
    host: &Host,
    app: &AppName,
    before: Option<String>,
    outcome: &Outcome,
    report: &Report,
    now: Timestamp,
) {
    let told = tell_once_free(&host.store, app, outcome, report, now).await.unwrap_or_else(|error| {
        warn!(cause = format!("{error:#}"), "alerts could not be written; the next run writes them");
        Told::default()
    });
    if !told.is_in_history {
        let to = told.about.or_else(|| report.held.as_ref().map(|held| held.target.to_string()));
        record(&host.store, app, outcome, before, to, now);
    }
    let held = report.held.as_ref().map(|held| held.target.to_string());
    let held = report.looked.then_some(held.as_deref());
    let days = proxy::certificate(&host.declared, now).ok().flatten().map(|certificate| certificate.days_left(now));
    if let Err(error) = metrics::write(&host.store, metrics::Ended { app, outcome, held }, days, now) {
        warn!(cause = format!("{error:#}"), "no metrics could be written");
    }
}

/// Tells that a run got to no app at all: the Engine or the state directory is away. Only where nobody was there to read
/// it, and once until a run finds both again.
pub fn host_failed(declared: &Declared, why: &anyhow::Error, now: Timestamp) {
    if !super::started_by_systemd() {
        return;
    }
    let outcome = Outcome::from(anyhow::anyhow!("{why:#}"));
    let told = Store::open(&declared.state_dir).and_then(|store| {
        let host = of_the_host();
        if let LockAttempt::Taken(lock) = store.app(&host).lock()? {
            tell(&store, &host, &lock, &outcome, &Report::default(), now)?;
        }
        record(&store, &host, &outcome, None, None, now);
        Ok(store)
    });
    match told {
        Ok(store) => recount(&store),
        Err(error) => warn!(cause = format!("{error:#}"), "no alert could be written"),
    }
}

/// For whoever has changed how many alerts wait without ending a run of an app.
pub fn recount(store: &Store) {
    if let Err(error) = metrics::recount_alerts(store) {
        warn!(cause = format!("{error:#}"), "the metrics do not know yet how many alerts wait");
    }
}

/// What [`host_failed`] told is over: should it come back, it is told again.
pub fn host_is_back(declared: &Declared) {
    if let Err(error) = Alerts::of(&Store::for_reading(&declared.state_dir)).forget_beside(&of_the_host()) {
        warn!(cause = format!("{error:#}"), "what was told of this host could not be forgotten; the next run does it");
    }
}

/// Where told facts are kept.
enum Memory {
    State,
    BesideAlerts,
}

#[derive(Default)]
struct Told {
    /// The version that it was about.
    about: Option<String>,
    /// The outcome has its line already.
    is_in_history: bool,
}

/// Tells, unless another run is at the app by now.
async fn tell_once_free(
    store: &Store,
    app: &AppName,
    outcome: &Outcome,
    report: &Report,
    now: Timestamp,
) -> anyhow::Result<Told> {
    Alerts::of(store).forget_beside(&of_the_host())?;
    let dir = store.app(app);
    let free = dir.lock_waiting(|by| debug!(%by, "somebody else holds the app; it is waited for a moment"));
    let Ok(lock) = timeout(LOCK_WITHIN, free).await else {
        debug!("another run tells");
        return Ok(Told::default());
    };
    tell(store, app, &lock?, outcome, report, now)
}

/// Makes due what has to be told and writes it.
fn tell(
    store: &Store,
    app: &AppName,
    lock: &Lock,
    outcome: &Outcome,
    report: &Report,
    now: Timestamp,
) -> anyhow::Result<Told> {
    let (dir, alerts) = (store.app(app), Alerts::of(store));
    let (state, memory) = match dir.read_state() {
        Ok(Some(state)) => (state, Memory::State),
        Ok(None) => (alerts.beside(app)?, Memory::BesideAlerts),
        Err(StateError::Damaged { .. }) => {
            dir.keep_aside(lock)?;
            (alerts.beside(app)?, Memory::BesideAlerts)
        }
        Err(StateError::Newer { .. }) => (alerts.beside(app)?, Memory::BesideAlerts),
        Err(error @ StateError::Unread(_)) => return Err(error.into()),
    };
    let by_systemd = super::started_by_systemd();
    let ending =
        Ending { outcome, held: report.held.as_ref(), looked: report.looked, closed: report.closed, by_systemd };
    let mut told = told::ended(&state, &ending, now);
    let mut write = |state: &State| match memory {
        Memory::State => dir.write_state(lock, state),
        Memory::BesideAlerts => alerts.put_beside(app, state),
    };
    if told != state {
        write(&told)?;
    }
    let about = told.due_alerts.last().and_then(|alert| alert.to_version.clone());
    alerts.write_due(app, &mut told, &mut write)?;
    let is_in_history = match told.decided.take() {
        Some(decided) => {
            let is_this = report.closed && decided.outcome == outcome.word();
            let sentence = if is_this { outcome.sentence() } else { &decided.sentence }.to_owned();
            store.append_history(&Line { sentence, ..decided.line(app.as_str()) })?;
            write(&told)?;
            is_this
        }
        None => false,
    };
    if matches!(memory, Memory::State) {
        alerts.forget_beside(app)?;
    }
    Ok(Told { about: about.or_else(|| reached(outcome, &told)), is_in_history })
}

/// The version that an outcome without an alert is about.
fn reached(outcome: &Outcome, state: &State) -> Option<String> {
    match outcome {
        Outcome::Converged | Outcome::Applied(_) | Outcome::Upgraded(_) => version(state),
        Outcome::Unhealthy(_) => {
            let tried = state.changing.as_ref().or(state.installing.as_ref());
            tried.map(|tried| tried.revision.to_string()).or_else(|| version(state))
        }
        _ => None,
    }
}

fn version(state: &State) -> Option<String> {
    state.current.as_ref().map(|current| current.body.revision.to_string())
}

/// One line of history for a run that changed or decided something. What is held or failed is decided once, not each
/// night.
fn record(store: &Store, app: &AppName, outcome: &Outcome, from: Option<String>, to: Option<String>, now: Timestamp) {
    if matches!(outcome, Outcome::Converged | Outcome::Waiting(_)) {
        return;
    }
    let is_known =
        |last: &Line| outcome.exit_code() != 0 && last.outcome == outcome.word() && last.sentence == outcome.sentence();
    if store.last_history(app).as_ref().is_some_and(is_known) {
        return;
    }
    let (outcome, sentence) = (outcome.word().to_owned(), outcome.sentence().to_owned());
    note(store, &Line { ts: now, app: app.to_string(), outcome, sentence, by: Some(who()), from, to });
}

/// What a line tells stands, whether or not it can be written down.
pub fn note(store: &Store, line: &Line) {
    if let Err(error) = store.append_history(line) {
        warn!(cause = format!("{error:#}"), "no history line could be written");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::history::Decided;

    #[tokio::test(start_paused = true)]
    async fn who_holds_the_app_for_a_moment_only_keeps_nothing_from_being_told() {
        let app: AppName = "wiki".parse().unwrap();
        let now: Timestamp = "2026-11-21T02:00:00Z".parse().unwrap();
        for (held, is_told) in [(Duration::from_millis(1500), true), (Duration::from_secs(60), false)] {
            let folder = tempfile::tempdir().unwrap();
            let store = Store::open(folder.path()).unwrap();
            let dir = store.app(&app);
            let LockAttempt::Taken(lock) = dir.lock().unwrap() else { panic!("nobody else is here") };
            let (outcome, report) = (Outcome::Unhealthy("it does not come up".to_owned()), Report::default());
            let telling = tell_once_free(&store, &app, &outcome, &report, now);
            let giving_back = async {
                tokio::time::sleep(held).await;
                drop(lock);
            };
            let (told, ()) = tokio::join!(telling, giving_back);
            told.unwrap();
            assert_eq!(Alerts::of(&store).waiting().unwrap().len(), usize::from(is_told), "held for {held:?}");
        }
    }

    #[tokio::test]
    async fn what_a_killed_run_decided_comes_into_the_history_once_and_in_the_words_of_who_lives_to_tell_it() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let app: AppName = "wiki".parse().unwrap();
        let now: Timestamp = "2026-11-21T02:00:00Z".parse().unwrap();
        let decided = Decided {
            ts: "2026-11-21T01:00:00Z".parse().unwrap(),
            outcome: "upgraded".to_owned(),
            sentence: "1.0.0+1 -> 1.1.0+1".to_owned(),
            by: "alice".to_owned(),
            from: Some("1.0.0+1".to_owned()),
            to: Some("1.1.0+1".to_owned()),
        };
        let dir = store.app(&app);
        let commit = || {
            let LockAttempt::Taken(lock) = dir.lock().unwrap() else { panic!("nobody else is here") };
            let decided = Some(decided.clone());
            dir.write_state(&lock, &State { decided, ..State::new(&"wiki_example_org".parse().unwrap()) }).unwrap();
        };
        let closed = Report { closed: true, ..Report::default() };
        let ended = async |outcome: &Outcome, report: &Report| {
            tell_once_free(&store, &app, outcome, report, now).await.unwrap().is_in_history
        };

        commit();
        assert!(!ended(&Outcome::Converged, &Report::default()).await, "what was decided is not what this run did");
        assert!(!ended(&Outcome::Converged, &Report::default()).await);
        let upgraded = Outcome::Upgraded("1.0.0+1 -> 1.1.0+1 passed its gate".to_owned());
        commit();
        assert!(ended(&upgraded, &closed).await);
        let mut lines = Vec::new();
        store.history(|line| lines.push(line.unwrap())).unwrap();
        let told = decided.line("wiki");
        assert_eq!(lines, [told.clone(), Line { sentence: upgraded.sentence().to_owned(), ..told }]);
    }
}
