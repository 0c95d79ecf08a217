//! Finishing open transactions, from the journal alone: today's configuration may differ, and the app may be gone from
//! it.
//!
//! The border: what is done next is the table's matter; here it is found what is open, in which order it is finished,
//! and who may do it now.

use std::cmp::Reverse;

use jiff::Timestamp;
use tracing::{Instrument, error_span, info, warn};

use super::performing::Desk;
use super::telling::{self, Report};
use super::turn::{self, Break, Patience};
use super::winding_up::{self, End};
use super::{Host, canonical, log_warnings, pausing};
use crate::config::App;
use crate::host::progress::Progress;
use crate::host::store::{Slot, Store};
use crate::model::app::{AppName, Kind, StackName};
use crate::model::outcome::Outcome;
use crate::model::state::State;
use crate::model::transaction::{Fault, FaultKind, Step, Transaction};

/// Finishes every open transaction of this host, one after the other, and tells how each ended. Where nothing is open and
/// every state can be read, nothing is told. Of a state that cannot be read nobody knows whether something is open in it,
/// so that is told, too.
///
/// # Errors
/// When it cannot be told what is open, or the slot is somebody else's.
pub async fn resume(host: &Host, now: Timestamp) -> Result<Vec<(AppName, Outcome)>, Outcome> {
    let told = finish_all(host, now).await;
    winding_up::catch_up(&host.declared, &host.store, now);
    told
}

/// The same for whoever has the slot.
pub(super) async fn resume_within(host: &Host, slot: &Slot, now: Timestamp) -> Vec<(AppName, Outcome)> {
    let mut told = Vec::new();
    for app in unfinished(host) {
        told.push(finish_one(host, app, slot, now).await);
    }
    told
}

/// What is open, in the order in which it is finished.
fn unfinished(host: &Host) -> Vec<AppName> {
    let proxy = host.declared.of(Kind::Proxy).next().map(|proxy| &proxy.name);
    let transactions = in_order(open(&host.store), proxy).into_iter().map(|(app, _)| app);
    transactions.chain(at_work(&host.store)).collect()
}

async fn finish_all(host: &Host, now: Timestamp) -> Result<Vec<(AppName, Outcome)>, Outcome> {
    let unfinished = unfinished(host);
    let mut told = unreadable(&host.store);
    if unfinished.is_empty() {
        return Ok(told);
    }
    let slot = slot(host).await?;
    for app in unfinished {
        told.push(finish_one(host, app, &slot, now).await);
    }
    Ok(told)
}

async fn finish_one(host: &Host, app: AppName, slot: &Slot, now: Timestamp) -> (AppName, Outcome) {
    let finish = finish(host, &app, slot, now).instrument(error_span!("resume", app = %app));
    let before = telling::before(&host.store, &app);
    let outcome = finish.await.unwrap_or_else(|outcome| outcome);
    super::log(&outcome);
    let closed = !states(&host.store).any(|(open, state)| open == app && is_open(&state));
    telling::after(host, &app, before, &outcome, &Report { closed, ..Report::default() }, now).await;
    (app, outcome)
}

/// The states that cannot be read, each with what to do about it.
fn unreadable(store: &Store) -> Vec<(AppName, Outcome)> {
    let apps = store.apps().unwrap_or_default().into_iter();
    apps.filter_map(|app| store.app(&app).read_state().err().map(|cause| (app, cause.into()))).collect()
}

/// What is open, by app. States that cannot be read are left out: [`unreadable`] has them.
pub(super) fn open(store: &Store) -> Vec<(AppName, Transaction)> {
    states(store).filter_map(|(app, state)| Some((app, *state.open?))).collect()
}

/// The canonicals with work that is open.
fn at_work(store: &Store) -> impl Iterator<Item = AppName> {
    states(store).filter(|(_, state)| state.open.is_none() && is_open(state)).map(|(app, _)| app)
}

fn is_open(state: &State) -> bool {
    state.open.is_some() || state.warm.as_ref().is_some_and(|warm| warm.work.is_some())
}

fn states(store: &Store) -> impl Iterator<Item = (AppName, State)> {
    let apps = store.apps().unwrap_or_default().into_iter();
    apps.filter_map(|app| {
        let state = store.app(&app).read_state().ok()??;
        Some((app, state))
    })
}

async fn slot(host: &Host) -> Result<Slot, Outcome> {
    match turn::slot(host, Patience::GivesWay) {
        Ok(slot) => Ok(slot),
        Err(Break::Ended(outcome) | Break::GivesWay(outcome)) => Err(outcome),
        Err(Break::WantsSlot) => {
            Ok(host.store.slot_waiting(|by| warn!("{by} has the run slot; waiting for it to end")).await?)
        }
    }
}

async fn finish(host: &Host, app: &AppName, _slot: &Slot, now: Timestamp) -> Result<Outcome, Outcome> {
    let dir = host.store.app(app);
    let lock = match turn::lock(&dir, app).await? {
        Ok(lock) => lock,
        Err(waiting) => return Ok(waiting),
    };
    if let Some(paused) = pausing::left_alone(&host.store, app, now)? {
        return Ok(paused);
    }
    // Whoever held the app until now may have finished it.
    let Some(state) = dir.read_state()?.filter(is_open) else { return Ok(Outcome::Converged) };
    let progress = Progress::new(app.as_str());
    let desk = Desk { host, app, dir: &dir, lock: &lock, progress: &progress };
    let outcome = match state.open {
        Some(_) => desk.finish(&state).await?.0,
        None => canonical::resumed(&desk, &state).await?,
    };
    log_warnings(&winding_up::wind_up(&End { declared: &host.declared, app, dir: &dir, lock: &lock }));
    Ok(outcome)
}

/// Has what the runs of these apps will not finish themselves finished, without waiting for it.
pub fn start_for_others(host: &Host, apps: &[&App], config: &std::path::Path) {
    let kept: Vec<_> = apps.iter().map(|app| (&app.name, &app.stack)).collect();
    let Some(app) = forgotten(&host.store, &kept) else { return };
    match crate::host::itself::start_resume(config) {
        Ok(()) => info!(open = %app, "`evenkeel resume` is started"),
        Err(cause) => warn!(open = %app, cause = format!("{cause:#}"), "`evenkeel resume` could not be started"),
    }
}

/// An app with an open transaction that nobody works on, and none of these finish. The run of one that is declared under
/// another domain by now leaves the recorded stack alone.
fn forgotten(store: &Store, kept: &[(&AppName, &StackName)]) -> Option<AppName> {
    let unfinished = states(store).filter(|(_, state)| is_open(state));
    let is_kept =
        |app: &AppName, state: &State| kept.iter().any(|(name, stack)| *name == app && stack.as_str() == state.stack);
    let mut forgotten = unfinished
        .filter(|(app, state)| !is_kept(app, state))
        .filter(|(app, _)| matches!(store.app(app).holder(), Ok(None)));
    forgotten.next().map(|(app, _)| app)
}

/// The order in which open transactions are finished: the proxy's first, since the others are judged through it, then
/// the oldest.
pub fn in_order(mut open: Vec<(AppName, Transaction)>, proxy: Option<&AppName>) -> Vec<(AppName, Transaction)> {
    open.sort_by_key(|(app, transaction)| (Reverse(Some(app) == proxy), transaction.began));
    open
}

/// The state in which what is stuck is on its way again, at the step that failed. Nothing else of it changes. What was
/// being restored begins with stopping: the proof that nobody changed the stack has to be of today.
pub fn reopened(state: &State, now: Timestamp) -> State {
    let mut state = state.clone();
    let Some(stuck) = state.stuck.take() else { return state };
    // A fresh step: what the Engine does not answer is asked for as long as at the first time.
    let step = match stuck.transaction.step {
        Step::Restore => Step::Withdraw,
        step => step,
    };
    state.open = Some(Box::new(Transaction { step, step_began: now, left: None, ..*stuck.transaction }));
    state
}

/// The state in which a way back by hand that is stuck is being undone: what ran before it gets its own data back.
pub fn turned(state: &State, now: Timestamp) -> State {
    let mut state = state.clone();
    let Some(stuck) = state.stuck.take() else { return state };
    let fault = Fault { at: stuck.transaction.step, kind: FaultKind::No, reason: stuck.reason, ts: stuck.ts };
    let step = Step::Withdraw;
    let turned = Transaction { step, step_began: now, fault: Some(fault), left: None, ..*stuck.transaction };
    state.open = Some(Box::new(turned));
    state
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::worlds::transaction;
    use crate::host::store::LockAttempt;
    use crate::model::state::Stuck;
    use crate::model::transaction::Purpose;

    fn open(app: &str, began: &str) -> (AppName, Transaction) {
        (app.parse().unwrap(), Transaction { began: began.parse().unwrap(), ..transaction(Purpose::Upgrade) })
    }

    #[test]
    fn the_proxy_comes_first_and_then_what_is_oldest() {
        let list = vec![
            open("b", "2026-06-01T02:00:00Z"),
            open("a", "2026-06-01T03:00:00Z"),
            open("traefik", "2026-06-01T04:00:00Z"),
        ];
        let proxy = "traefik".parse().unwrap();
        let names =
            |list: Vec<(AppName, Transaction)>| list.into_iter().map(|(app, _)| app.to_string()).collect::<Vec<_>>();
        assert_eq!(names(in_order(list.clone(), Some(&proxy))), ["traefik", "b", "a"]);
        assert_eq!(names(in_order(list, None)), ["b", "a", "traefik"]);
    }

    #[test]
    fn what_no_run_at_hand_finishes_is_given_to_resume() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let (wiki, blog) = ("wiki".parse().unwrap(), "blog".parse().unwrap());
        let stack = |name: &str| name.parse::<StackName>().unwrap();
        let record = |app: &AppName, open: Option<Transaction>| {
            let dir = store.app(app);
            let LockAttempt::Taken(lock) = dir.lock().unwrap() else { panic!("nobody else is here") };
            let state = State { open: open.map(Box::new), ..State::new(&stack(app.as_str())) };
            dir.write_state(&lock, &state).unwrap();
            lock
        };
        drop(record(&wiki, Some(transaction(Purpose::Upgrade))));
        drop(record(&blog, None));

        assert_eq!(forgotten(&store, &[(&wiki, &stack("wiki")), (&blog, &stack("blog"))]), None);
        assert_eq!(forgotten(&store, &[(&blog, &stack("blog"))]), Some(wiki.clone()), "a run of another app");
        let moved = stack("wiki_elsewhere");
        assert_eq!(forgotten(&store, &[(&wiki, &moved)]), Some(wiki.clone()), "its own run leaves that stack alone");
        let _at_work = record(&wiki, Some(transaction(Purpose::Upgrade)));
        assert_eq!(forgotten(&store, &[(&wiki, &moved)]), None, "somebody works on it");
    }

    #[test]
    fn what_is_stuck_goes_on_where_it_failed() {
        let now: Timestamp = "2026-06-02T02:00:00Z".parse().unwrap();
        for (at, goes_on) in [(Step::Redeploy, Step::Redeploy), (Step::Restore, Step::Withdraw)] {
            let transaction = Box::new(Transaction { step: at, ..transaction(Purpose::Upgrade) });
            let stuck = Stuck { reason: "no".into(), ts: now, transaction };
            let state = State { stuck: Some(stuck), ..State::new(&"wiki".parse().unwrap()) };
            let again = reopened(&state, now);
            assert_eq!((again.open.as_ref().unwrap().step, again.open.as_ref().unwrap().step_began), (goes_on, now));
            assert_eq!(again.stuck, None);
        }
    }

    #[test]
    fn a_stuck_way_back_that_is_undone_begins_with_stopping() {
        let now: Timestamp = "2026-06-02T02:00:00Z".parse().unwrap();
        let transaction = Box::new(Transaction { step: Step::Rejudge, ..transaction(Purpose::Rollback) });
        let stuck = Stuck { reason: "no".into(), ts: now, transaction };
        let undone = turned(&State { stuck: Some(stuck), ..State::new(&"wiki".parse().unwrap()) }, now);
        let open = undone.open.unwrap();
        assert_eq!((open.step, open.has_turned(), undone.stuck), (Step::Withdraw, true, None));
    }
}
