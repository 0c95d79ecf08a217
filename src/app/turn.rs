//! A run's turns at one app: locks, pause, what is stuck or open, then the run itself.
//!
//! The slot comes before the app, and is wanted only once something is to be begun or finished. So a turn that holds the
//! app and wants the slot tries it; where somebody else has it, the app is let go of, the slot waited for, and the turn
//! begun anew.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;
use tracing::{info, warn};

use super::telling::Report;
use super::upgrading::Target;
use super::view::{self, Fetch, Sources};
use super::winding_up::{self, End};
use super::{Host, Options, Run, ends, pausing, resuming, started_by_systemd};
use crate::config;
use crate::host::progress::Progress;
use crate::host::store::{AppDir, Lock, LockAttempt, Slot, SlotAttempt, Store};
use crate::model::app::AppName;
use crate::model::observed::Observed;
use crate::model::outcome::{Outcome, worst};

/// So long a unit's run waits for another run's upgrade. Most take minutes; the night is long.
const SLOT_WITHIN: Duration = Duration::from_secs(30 * 60);
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);

/// Why a turn is over before its end.
#[derive(Debug)]
pub enum Break {
    Ended(Outcome),
    /// Somebody else is at work, and is not waited for.
    GivesWay(Outcome),
    /// Somebody else has the slot, and is waited for.
    WantsSlot,
}

impl<E: Into<Outcome>> From<E> for Break {
    fn from(outcome: E) -> Self {
        Break::Ended(outcome.into())
    }
}

/// Takes turns at an app until one of them ends.
pub(super) async fn take(
    host: &Host,
    app: &config::App,
    options: Options,
    now: Timestamp,
    report: &mut Report,
) -> Result<Outcome, Outcome> {
    let ended = turns(host, app, options, now, report).await?;
    report.gave_way |= ended.is_err();
    Ok(ended.unwrap_or_else(|waiting| waiting))
}

/// The same; the inner `Err` is how it ends where somebody else is at work, and is not waited for.
async fn turns(
    host: &Host,
    app: &config::App,
    options: Options,
    now: Timestamp,
    report: &mut Report,
) -> Result<Result<Outcome, Outcome>, Outcome> {
    let dir = host.store.app(&app.name);
    let (mut slot, mut now) = (None, now);
    loop {
        let lock = match lock(&dir, &app.name).await? {
            Ok(lock) => lock,
            Err(waiting) => return Ok(Err(waiting)),
        };
        if let Some(paused) = pausing::left_alone(&host.store, &app.name, now)? {
            return Ok(Ok(paused));
        }
        let mut run = Run::begin(host, app, dir.clone(), lock, slot.take(), options, now)?;
        let ended = run.turn().await;
        if !matches!(ended, Err(Break::WantsSlot)) {
            run.wind_up();
        }
        if let Ok(outcome) | Err(Break::Ended(outcome)) = &ended {
            run.report.stands = outcome.leaves_healthy() && run.is_settled();
        }
        *report = std::mem::take(&mut run.report);
        match ended {
            Ok(outcome) | Err(Break::Ended(outcome)) => return Ok(Ok(outcome)),
            Err(Break::GivesWay(waiting)) => return Ok(Err(waiting)),
            Err(Break::WantsSlot) => drop(run),
        }
        slot = match free_slot(&host.store, &app.name, started_by_systemd()).await? {
            Ok(slot) => Some(slot),
            Err(waiting) => return Ok(Err(waiting)),
        };
        now = Timestamp::now();
    }
}

/// The app's lock; or how the run ends where another one has it and nobody wants to wait.
///
/// # Errors
/// When the lock cannot be had or looked at.
pub(super) async fn lock(dir: &AppDir, app: &AppName) -> Result<Result<Lock, Outcome>, Outcome> {
    match dir.lock()? {
        LockAttempt::Taken(lock) => Ok(Ok(lock)),
        LockAttempt::Held { by } if started_by_systemd() => {
            Ok(Err(Outcome::Waiting(format!("{by} works on {app}; the next run looks again"))))
        }
        LockAttempt::Held { .. } => Ok(Ok(dir.lock_waiting(|by| warn!("waiting for {by} to end")).await?)),
    }
}

/// Whether a unit's run waits for the slot. A person's always does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// It would lose its night.
    Waits,
    /// A switch waits for it, or it is tried again in minutes.
    GivesWay,
}

/// Tries the slot. A run of ours that has it, for another app, is waited for in any case.
///
/// # Errors
/// `WantsSlot`, or how a unit's run ends where another run has it.
pub(super) fn slot(host: &Host, patience: Patience) -> Result<Slot, Break> {
    match host.store.slot()? {
        SlotAttempt::Taken(slot) => Ok(slot),
        SlotAttempt::Held { by } if started_by_systemd() && patience == Patience::GivesWay && !is_us(&by) => {
            Err(Break::GivesWay(gave_way(&by, "")))
        }
        SlotAttempt::Held { .. } => Err(Break::WantsSlot),
    }
}

/// The slot once it is free; or how a unit's run ends where another run has it for too long.
pub(super) async fn free_slot(store: &Store, app: &AppName, is_unit: bool) -> Result<Result<Slot, Outcome>, Outcome> {
    let progress = Progress::new(app.as_str());
    let mut told = false;
    // What a run of ours does with it has bounds of its own.
    let mut others_since: Option<Instant> = None;
    loop {
        let by = match store.slot()? {
            SlotAttempt::Taken(slot) => return Ok(Ok(slot)),
            SlotAttempt::Held { by } => by,
        };
        others_since = if is_us(&by) { None } else { others_since.or_else(|| Some(Instant::now())) };
        if is_unit && others_since.is_some_and(|since| since.elapsed() >= SLOT_WITHIN) {
            return Ok(Err(gave_way(&by, &format!(" for more than {} minutes", SLOT_WITHIN.as_secs() / 60))));
        }
        if !std::mem::replace(&mut told, true) {
            info!("{by} has the run slot; waiting for it to end");
        }
        progress.waiting_for(&format!("the run slot, which {by} has"));
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
}

fn gave_way(by: &str, how_long: &str) -> Outcome {
    Outcome::Waiting(format!(
        "{by} has the run slot{how_long}, and upgrades are made one after the other; the next run looks again"
    ))
}

fn is_us(by: &str) -> bool {
    by.split(' ').nth(1) == Some(&std::process::id().to_string())
}

impl Run<'_> {
    async fn turn(&mut self) -> Result<Outcome, Break> {
        // A way out of what is stuck, by hand, may be open.
        let stuck = self.state.stuck.as_ref().filter(|_| self.state.open.is_none());
        if let Some(stuck) = stuck.filter(|_| !self.options.retry) {
            return Ok(Outcome::Stuck(ends::stuck(&self.app.name, stuck)));
        }
        if stuck.is_some() {
            self.take_slot()?;
            self.state = resuming::reopened(&self.state, self.now);
            self.dir.write_state(&self.lock, &self.state)?;
        }
        let finished = match self.state.open {
            Some(_) => Some(self.finish().await?),
            None => None,
        };
        match finished {
            Some(unfinished) if self.state.open.is_some() || self.state.stuck.is_some() => Ok(unfinished),
            Some(finished) => match self.converge().await {
                Ok(outcome) | Err(Break::Ended(outcome)) => Ok(both(finished, outcome)),
                Err(other) => Err(other),
            },
            None => self.converge().await,
        }
    }

    /// Converges, and then takes what is in front of the app: first a change of configuration that is an upgrade in all
    /// but name, then a version.
    async fn converge(&mut self) -> Result<Outcome, Break> {
        let fetch = if self.options.no_upgrade { Fetch::IfMissing } else { Fetch::Latest };
        let (sight, sources) = {
            let view = self.view();
            view::look(self.host, &view, fetch, self.now).await?
        };
        let (first, change) = self.reach_goal(&sight, &sources).await?;
        // What a killed run had no time for.
        if let Err(cause) = self.desk().tidy_disk(&self.state, &sight.observed.volumes) {
            warn!(cause = cause.sentence(), "what nobody needs any more could not be removed");
        }
        match (change, sources) {
            _ if !is_good_ground(&first) => Ok(first),
            (Some(change), _) => self.then(first, Onward::Change(change)).await,
            (None, Ok(sources)) => self.then(first, Onward::Versions(sources, sight.observed)).await,
            (None, Err(_)) => Ok(first),
        }
    }

    /// What comes after convergence, told together with it.
    async fn then(&mut self, first: Outcome, onward: Onward) -> Result<Outcome, Break> {
        let then = match onward {
            Onward::Change(change) => self.upgrade(change).await,
            Onward::Versions(sources, seen) if self.options.no_upgrade => {
                self.leave_version(&sources, &seen).await.map_err(Break::Ended)
            }
            Onward::Versions(sources, seen) if first == Outcome::Converged => self.take_version(&sources, &seen).await,
            Onward::Versions(sources, _) => {
                let observed = self.host.swarm.observe(&self.app.stack).await?;
                self.take_version(&sources, &observed).await
            }
        };
        match then {
            Ok(outcome) | Err(Break::Ended(outcome)) => Ok(both(first, outcome)),
            Err(Break::GivesWay(waiting)) => Err(Break::GivesWay(both(first, waiting))),
            Err(Break::WantsSlot) => Err(Break::WantsSlot),
        }
    }

    /// The last thing while the app is held.
    pub(super) fn wind_up(&mut self) {
        let end = End { declared: &self.host.declared, app: &self.app.name, dir: &self.dir, lock: &self.lock };
        self.report.warnings.extend(winding_up::wind_up(&end));
    }

    /// Whether a release runs, and nothing is on its way.
    fn is_settled(&self) -> bool {
        self.state.current.is_some() && self.state.open.is_none() && self.state.stuck.is_none()
    }

    /// From here on no other transaction runs on this host.
    pub(super) fn take_slot(&mut self) -> Result<(), Break> {
        if self.slot.is_none() {
            let patience = if self.options.no_upgrade { Patience::GivesWay } else { Patience::Waits };
            self.slot = Some(slot(self.host, patience)?);
        }
        Ok(())
    }
}

/// What a converged app goes on with.
enum Onward {
    Change(Target),
    Versions(Sources, Observed),
}

/// Whether something new may be begun after this: what stands is healthy, and nothing that was asked for has failed.
fn is_good_ground(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Converged | Outcome::Applied(_))
}

/// What is told of two things that one run has done: the worse one first.
pub(super) fn both(first: Outcome, then: Outcome) -> Outcome {
    match (&first, &then) {
        (Outcome::Converged, _) => then,
        (_, Outcome::Converged) => first,
        _ if first.exit_code() != then.exit_code()
            && worst([first.exit_code(), then.exit_code()]) == first.exit_code() =>
        {
            first.and(&then.to_string())
        }
        _ => then.and(&first.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::process::Stdio;

    use super::*;

    /// Another program, which has the slot and wrote no name.
    struct Other(std::process::Child);

    impl Drop for Other {
        fn drop(&mut self) {
            drop(self.0.stdin.take());
            self.0.wait().unwrap();
        }
    }

    fn taken() -> (tempfile::TempDir, Store, Other) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let mut flock = std::process::Command::new("flock");
        flock.arg(dir.path().join("slot.lock")).args(["sh", "-c", "echo; exec cat"]);
        let mut other = flock.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        other.stdout.take().unwrap().read_exact(&mut [0]).unwrap();
        (dir, store, Other(other))
    }

    #[tokio::test(start_paused = true)]
    async fn a_unit_waits_for_the_slot_for_half_an_hour_and_then_says_who_has_it() {
        let (dir, store, other) = taken();
        let begun = Instant::now();
        let waiting = free_slot(&store, &"wiki".parse().unwrap(), true).await.unwrap().unwrap_err();
        let expected = format!(
            "pid {} flock {} has the run slot for more than 30 minutes",
            other.0.id(),
            dir.path().join("slot.lock").display()
        );
        assert!(waiting.sentence().starts_with(&expected), "{waiting:?}");
        assert_eq!(begun.elapsed().as_secs() / 60, 30);
    }

    #[tokio::test(start_paused = true)]
    async fn a_person_waits_as_long_as_it_takes_and_so_does_a_unit_for_a_slot_that_comes_in_time() {
        for (is_unit, minutes) in [(false, 31), (true, 29)] {
            let (_dir, store, other) = taken();
            let app = "wiki".parse().unwrap();
            let waiting = free_slot(&store, &app, is_unit);
            let giving_back = async {
                tokio::time::sleep(Duration::from_secs(minutes * 60)).await;
                drop(other);
            };
            let (slot, ()) = tokio::join!(waiting, giving_back);
            assert!(slot.unwrap().is_ok(), "{minutes} minutes");
        }
    }

    #[test]
    fn of_two_things_that_a_run_did_the_worse_one_is_told_first() {
        let repaired = || Outcome::Applied("repaired".into());
        let held = || Outcome::Held("major".into());
        let back = || Outcome::RolledBack("no".into());
        assert_eq!(both(Outcome::Converged, held()), held());
        assert_eq!(both(back(), Outcome::Converged), back());
        assert_eq!(both(repaired(), held()), Outcome::Held("major; applied: repaired".into()));
        assert_eq!(both(back(), held()), Outcome::RolledBack("no; held: major".into()));
        assert_eq!(both(held(), back()), Outcome::RolledBack("no; held: major".into()));
    }
}
