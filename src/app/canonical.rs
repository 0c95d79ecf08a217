//! `canonical`: apps whose data is kept warm while nothing of them runs.
//!
//! The known-good is a release that passed its gate on fresh volumes, with the sealed snapshot of what it made; both stand
//! in the app's state and change in one rename. The border: what comes next is decided in `warm::step`. The surprise: idle
//! means scaled to nothing, not removed. Removing a stack leaks addresses on the shared overlay, and a service that is told
//! to run nothing stays so when the Engine starts again.

mod cold;
mod ended;
mod ends;
mod going_on;
mod making;
mod reality;
pub mod reaping;
mod settling;
pub(super) mod showing;
pub mod sweep;
mod using;

use std::collections::BTreeMap;

use jiff::Timestamp;
use tracing::{Instrument, error_span, warn};

use super::performing::Desk;
use super::telling::{self, Report};
use super::{Host, Options, Run, by_hand, pausing, resuming, turn};
use crate::config;
use crate::host::itself::boot;
use crate::host::store::{AppDir, Lock, Recorded, Slot};
use crate::model::app::Kind;
use crate::model::outcome::Outcome;
use crate::model::state::State;
use crate::model::transaction::Old;
use crate::model::warm::{Purpose, Record, SCHEMA, Status, Step, Warm, Work};
use crate::policy::promotion::Verified;
use crate::reconcile::{Gate, release};
use crate::upgrade::run::{Effects as _, Journal};
use crate::warm::registry::Snapshot;
use crate::warm::run::{self, Ended};
use crate::warm::step::{self, End};

pub use going_on::go_on_with_sweep;
pub use settling::settle;
pub use showing::preview;

/// What is asked of a canonical.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// The first known-good, of this version or of the declared one.
    Seed(Option<String>),
    /// Another known-good.
    Promote(Proof),
    /// The known-good release on the data that it left.
    Deploy,
    /// The same, and then a commit over it.
    Quick(String),
    Idle {
        restore: bool,
    },
}

/// What speaks for a promotion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// The text of a run's result, and the name of its file.
    Result { file: String, bytes: Vec<u8> },
    /// A person's word, for this version or for the declared one.
    Word { green: bool, cold: bool, version: Option<String> },
    /// A run of ours.
    Verified(Verified),
}

/// Does what is asked, once the run slot is free. Never fails: what went wrong is the outcome.
pub async fn grant(host: &Host, app: &config::App, ask: &Ask, now: Timestamp) -> Outcome {
    told(host, app, now, async {
        let slot = host.store.slot_waiting(|by| warn!("{by} has the run slot; waiting for it to end")).await?;
        granted(host, app, ask, &slot, now).await
    })
    .await
}

/// The same for whoever has the slot.
pub async fn grant_within(host: &Host, app: &config::App, ask: &Ask, slot: &Slot, now: Timestamp) -> Outcome {
    told(host, app, now, granted(host, app, ask, slot, now)).await
}

async fn told(
    host: &Host,
    app: &config::App,
    now: Timestamp,
    work: impl Future<Output = Result<Outcome, Outcome>>,
) -> Outcome {
    let work = async {
        let before = telling::before(&host.store, &app.name);
        let outcome = work.await.unwrap_or_else(|outcome| outcome);
        super::log(&outcome);
        let closed = !matches!(outcome, Outcome::Blocked(_) | Outcome::Waiting(_));
        telling::after(host, &app.name, before, &outcome, &Report { closed, ..Report::default() }, now).await;
        outcome
    };
    work.instrument(error_span!("canonical", app = %app.name)).await
}

async fn granted(host: &Host, app: &config::App, ask: &Ask, _slot: &Slot, now: Timestamp) -> Result<Outcome, Outcome> {
    if app.kind != Kind::Canonical {
        return Err(Outcome::Blocked(format!(
            "{} is declared as [{}], and only what is enrolled as [canonical.NAME] is kept warm",
            app.name,
            app.kind.table()
        )));
    }
    let proxy = host.declared.of(Kind::Proxy).next().map(|proxy| &proxy.name);
    if let Some(first) = by_hand::proxy_first(&app.name, proxy, &resuming::open(&host.store)) {
        return Err(first);
    }
    let dir = host.store.app(&app.name);
    let lock = match turn::lock(&dir, &app.name).await? {
        Ok(lock) => lock,
        Err(waiting) => return Ok(waiting),
    };
    if let Some(pause) = pausing::paused(&dir, &app.name, now)? {
        return Err(Outcome::Blocked(by_hand::paused(&app.name, &pause, now)));
    }
    let mut run = Run::begin(host, app, dir, lock, None, Options::default(), now)?;
    run.mend_record();
    let finished = run.finish_work().await?;
    let is_what_was_asked = matches!((ask, &finished), (Ask::Seed(_), Some(Outcome::Applied(_)))) && run.is_idle();
    if let Some(finished) = finished.clone().filter(|_| is_what_was_asked) {
        return Ok(finished);
    }
    let asked = run.ask(ask).await.unwrap_or_else(|outcome| outcome);
    Ok(turn::both(finished.unwrap_or(Outcome::Converged), asked))
}

impl Run<'_> {
    async fn ask(&mut self, ask: &Ask) -> Result<Outcome, Outcome> {
        // A lost one is what a seed mends.
        match self.hold_against_reality().await {
            Err(_) if matches!(ask, Ask::Seed(_)) && self.warm_status() == Some(Status::Lost) => {}
            found => drop(found?),
        }
        match ask {
            Ask::Seed(version) => self.seed(version.as_deref()).await,
            Ask::Promote(proof) => self.promote(proof).await,
            Ask::Deploy => self.deploy().await,
            Ask::Quick(commit) => self.quick(commit).await,
            Ask::Idle { restore } => self.idle(*restore).await,
        }
    }

    fn is_idle(&self) -> bool {
        self.warm_status() == Some(Status::Idle)
    }

    pub(super) fn warm_status(&self) -> Option<Status> {
        self.state.warm.as_ref().map(|warm| warm.status)
    }

    /// Finishes or undoes what an earlier run left open; how that ended, where something was.
    ///
    /// # Errors
    /// Where it is still open.
    pub(super) async fn finish_work(&mut self) -> Result<Option<Outcome>, Outcome> {
        if self.state.warm.as_ref().is_none_or(|warm| warm.work.is_none()) {
            return Ok(None);
        }
        let ended = finish(&self.desk(), &self.state, &|state| self.write_record(state)).await?;
        match ended {
            Some(ended) => self.after_work(&ended, true).await.map(Some),
            None => Ok(None),
        }
    }

    /// Begins work on the canonical and follows it to its end.
    pub(super) async fn work(&mut self, purpose: Purpose, what: Begun) -> Result<Outcome, Outcome> {
        // They are found when they are needed: the release to be deployed may bring others.
        let beginning = self.beginning(&what.gate, BTreeMap::new());
        let transaction = beginning.warm(what.old, what.before, what.snapshot);
        let work = Work {
            purpose,
            step: step::first(purpose, what.whole),
            transaction,
            was: self.state.warm.clone().map(Box::new),
            boot: boot(),
            found: BTreeMap::new(),
            put_back: false,
            no: None,
            refused: false,
            notes: what.notes,
        };
        let mut state = self.state.clone();
        let desk = self.desk();
        let (mut effects, journal) = desk.tools(&state)?;
        if effects.is_asked_to_end() {
            return Err(Outcome::Waiting("this run was asked to end before it had begun anything".to_owned()));
        }
        let record = |state: &State| self.write_record(state);
        let mut journal = Recording { journal, record: &record };
        let ended = run::begin(&mut state, work, &mut effects, &mut journal).await?;
        drop((effects, journal));
        self.after_work(&ended, false).await
    }

    /// What is on disk counts: what is in memory may be ahead of it where the journal could not be written.
    async fn after_work(&mut self, ended: &Ended, found: bool) -> Result<Outcome, Outcome> {
        let Some(state) = self.dir.read_state()? else {
            return Err(Outcome::Error(format!("the state of {} is gone", self.app.name)));
        };
        self.state = state;
        match ended {
            Ended::Closed { end, work } => {
                self.desk().tidy(&self.state).await;
                self.state = with_damage(&self.dir, &self.lock, self.state.clone(), *end, work)?;
                Ok(ends::outcome(&self.app.name, *end, work, &self.state, found))
            }
            Ended::Open { why } => Err(ends::left_open(&self.app.name, &self.state, why)),
        }
    }

    /// The current release as something to be deployed.
    pub(super) fn known_good(&self) -> Result<(Old, Gate), Outcome> {
        let current = self.state.current.clone().ok_or_else(|| ends::not_seeded(&self.app.name))?;
        let desired = release::desired(&self.app.stack, &current.body, &self.dir)?;
        let gate = self.reconciler.gate(&desired);
        let old = Old { release: current, frozen: self.state.frozen.clone(), gate: gate.kept() };
        Ok((old, gate))
    }

    /// Writes `canonical.json` as the state has it.
    fn write_record(&self, state: &State) {
        write_record(&self.dir, &self.lock, &self.record(state));
    }

    pub(super) fn record(&self, state: &State) -> Record {
        record(&self.app.recipe.url, &self.app.domain.to_string(), state, self.now)
    }

    /// Writes the state, and the record that follows from it.
    pub(super) fn write_warm(&mut self, warm: Warm) -> Result<(), Outcome> {
        self.state.warm = Some(warm);
        self.dir.write_state(&self.lock, &self.state)?;
        self.write_record(&self.state);
        Ok(())
    }
}

fn record(recipe: &str, domain: &str, state: &State, now: Timestamp) -> Record {
    let revision = state.current.as_ref().map(|current| &current.body.revision);
    Record {
        schema: SCHEMA,
        recipe: recipe.to_owned(),
        domain: domain.to_owned(),
        version: revision.and_then(|revision| revision.version.clone()),
        commit: revision.map(|revision| revision.commit.to_string()),
        status: state.warm.as_ref().map(|warm| warm.status),
        ts: state.warm.as_ref().map_or(now, |warm| warm.since),
    }
}

/// Nobody decides by it, so what cannot be written is a warning.
fn write_record(dir: &AppDir, lock: &Lock, record: &Record) {
    if let Err(cause) = dir.write_record(lock, record) {
        warn!(cause = format!("{cause:#}"), "canonical.json could not be written; the next run writes it");
    }
}

/// Where the way back ended at the snapshot, that is read once more, and what was found is written down: the next run then
/// knows that volumes which are whole have to be stored again, and that others are lost.
fn with_damage(dir: &AppDir, lock: &Lock, state: State, end: End, work: &Work) -> Result<State, Outcome> {
    let at_snapshot = matches!(work.step, Step::Clear | Step::Make | Step::PutBack | Step::Withdraw);
    let ended_there = matches!(end, End::Refused | End::Spoiled) && work.no.is_some();
    if !(at_snapshot && ended_there) || reality::snapshot_read(dir, &state)? == Snapshot::Whole {
        return Ok(state);
    }
    let warm = state.warm.clone().map(|warm| Warm { damaged: true, ..warm });
    let state = State { warm, ..state };
    dir.write_state(lock, &state)?;
    Ok(state)
}

/// What a work begins with.
pub(super) struct Begun {
    pub old: Old,
    pub gate: Gate,
    pub before: Option<Old>,
    /// What is put back where it has to be.
    pub snapshot: Option<String>,
    /// The volumes are as the known-good release left them.
    pub whole: bool,
    pub notes: Vec<String>,
}

/// Finishes or undoes what is open, from the journal alone; `record` is given each state that was written.
async fn finish(desk: &Desk<'_>, state: &State, record: &dyn Fn(&State)) -> Result<Option<Ended>, Outcome> {
    let mut state = state.clone();
    let work = state.warm.as_mut().and_then(|warm| warm.work.as_mut());
    if let Some(work) = work.filter(|work| work.boot.is_some() && work.boot != boot()) {
        work.step = step::after_boot(work.purpose, work.step);
    }
    let (mut effects, journal) = desk.tools(&state)?;
    let mut journal = Recording { journal, record };
    Ok(run::resume(&mut state, &mut effects, &mut journal).await)
}

/// What `resume` does about a canonical's work, also where that is in no configuration any more.
///
/// # Errors
/// Where it is still open, or its state cannot be read again.
pub(super) async fn resumed(desk: &Desk<'_>, state: &State) -> Result<Outcome, Outcome> {
    // The old record has what no state tells: whose it is.
    let old = match desk.dir.record() {
        Ok(Recorded::Whole(old)) => Some(old),
        _ => None,
    };
    let record = |state: &State| {
        if let Some(Record { recipe, domain, ts, .. }) = &old {
            write_record(desk.dir, desk.lock, &record(recipe, domain, state, *ts));
        }
    };
    let Some(ended) = finish(desk, state, &record).await? else { return Ok(Outcome::Converged) };
    let Some(state) = desk.dir.read_state()? else { return Ok(Outcome::Converged) };
    match &ended {
        Ended::Closed { end, work } => {
            desk.tidy(&state).await;
            let state = with_damage(desk.dir, desk.lock, state, *end, work)?;
            Ok(ends::outcome(desk.app, *end, work, &state, true))
        }
        Ended::Open { why } => Err(ends::left_open(desk.app, &state, why)),
    }
}

/// A journal that is followed by `canonical.json`.
struct Recording<'a, J> {
    journal: J,
    record: &'a dyn Fn(&State),
}

impl<J: Journal> Journal for Recording<'_, J> {
    fn write(&mut self, state: &State) -> anyhow::Result<()> {
        self.journal.write(state)?;
        (self.record)(state);
        Ok(())
    }
}
