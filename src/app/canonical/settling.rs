//! The reconciler: what was broken off is finished, records are held against reality, and every canonical is left idle.
//!
//! The border: nothing is deployed here, ever. The surprise: the run slot is taken before the app, and only where something
//! is to be done, so a run that finds all at rest waits for nobody.

use jiff::Timestamp;
use tracing::warn;

use super::super::telling::Report;
use super::super::turn::{self, Break, Patience};
use super::super::{Host, Options, Run, pausing, started_by_systemd};
use super::{Begun, ends, reality};
use crate::config;
use crate::host::store::{Recorded, Slot};
use crate::host::who::who;
use crate::model::outcome::Outcome;
use crate::model::warm::{Purpose, Record, Status, Warm};
use crate::warm::registry::{self, Held, Resting, Snapshot};

/// Leaves a canonical idle, with a record that is true.
///
/// # Errors
/// What was in the way, as the outcome.
pub async fn settle(host: &Host, app: &config::App, now: Timestamp, report: &mut Report) -> Result<Outcome, Outcome> {
    let dir = host.store.app(&app.name);
    let mut slot = None;
    loop {
        let lock = match turn::lock(&dir, &app.name).await? {
            Ok(lock) => lock,
            Err(waiting) => {
                report.gave_way = true;
                return Ok(waiting);
            }
        };
        if let Some(paused) = pausing::left_alone(&host.store, &app.name, now)? {
            return Ok(paused);
        }
        let mut run = Run::begin(host, app, dir.clone(), lock, None, Options::default(), now)?;
        if slot.is_some() || !run.has_to_act().await? {
            run.mend_record();
            let ended = run.settled_down().await;
            report.closed = slot.is_some();
            report.warnings.extend(run.report.warnings);
            return ended;
        }
        drop(run);
        slot = match free(host, app).await? {
            Ok(slot) => Some(slot),
            Err(waiting) => {
                report.gave_way = true;
                return Ok(waiting);
            }
        };
    }
}

/// The same for whoever has the slot. Never fails: what went wrong is the outcome.
pub async fn settle_within(host: &Host, app: &config::App, _slot: &Slot, now: Timestamp) -> Outcome {
    super::told(host, app, now, async {
        let dir = host.store.app(&app.name);
        let lock = match turn::lock(&dir, &app.name).await? {
            Ok(lock) => lock,
            Err(waiting) => return Ok(waiting),
        };
        let mut run = Run::begin(host, app, dir, lock, None, Options::default(), now)?;
        run.mend_record();
        run.settled_down().await
    })
    .await
}

/// The run slot; or how this ends where somebody else has it and is not waited for.
async fn free(host: &Host, app: &config::App) -> Result<Result<Slot, Outcome>, Outcome> {
    match turn::slot(host, Patience::GivesWay) {
        Ok(slot) => Ok(Ok(slot)),
        Err(Break::GivesWay(waiting)) => Ok(Err(waiting)),
        Err(Break::Ended(outcome)) => Err(outcome),
        Err(Break::WantsSlot) => turn::free_slot(&host.store, &app.name, started_by_systemd()).await,
    }
}

impl Run<'_> {
    /// Whether anything is to be done that only one run of this host may do at a time.
    async fn has_to_act(&self) -> Result<bool, Outcome> {
        let Some(warm) = &self.state.warm else { return Ok(false) };
        if warm.work.is_some() || warm.status == Status::Deployed {
            return Ok(true);
        }
        let is_stored = warm.status != Status::Idle || self.snapshot()? == Snapshot::Whole;
        Ok(!is_stored || (warm.status != Status::Lost && !self.nothing_runs().await?))
    }

    async fn settled_down(&mut self) -> Result<Outcome, Outcome> {
        let finished = self.finish_work().await?.unwrap_or(Outcome::Converged);
        let found = self.hold_against_reality().await?;
        let then = self.put_to_rest().await?;
        let volumes = self.host.swarm.volumes().await?;
        if let Err(cause) = self.desk().tidy_disk(&self.state, &volumes) {
            warn!(cause = cause.sentence(), "what nobody needs any more could not be removed");
        }
        Ok(turn::both(turn::both(finished, found), then))
    }

    /// Has the record say what is there, before anything is decided by it.
    ///
    /// # Errors
    /// Where its data is lost, which is written down.
    pub(super) async fn hold_against_reality(&mut self) -> Result<Outcome, Outcome> {
        let Some(warm) = self.state.warm.clone() else { return Ok(Outcome::Converged) };
        let (strange, snapshot) = match warm.status {
            Status::Idle => (self.strange().await?, self.snapshot()?),
            // Somebody may have put a copy in its place.
            Status::Lost => (None, reality::snapshot_read(&self.dir, &self.state)?),
            _ => (None, self.snapshot()?),
        };
        match registry::held(&warm, strange, snapshot) {
            Held::True => Ok(Outcome::Converged),
            Held::Lost(why) => Err(self.is_lost(&why)?),
            Held::Dirty(why) => {
                let told = ends::comes_back(&why);
                self.spoil(why)?;
                Ok(told)
            }
            Held::Found => {
                let why = "its volumes were lost".to_owned();
                self.write_warm(Warm { why: Some(why), ..Warm::new(Status::Dirty, &who(), self.now) })?;
                Ok(Outcome::Applied(
                    "its snapshot is there again, and brings its data back before it is used".to_owned(),
                ))
            }
        }
    }

    async fn put_to_rest(&mut self) -> Result<Outcome, Outcome> {
        let Some(warm) = self.state.warm.clone() else {
            self.report.warnings.push(ends::nothing_yet(&self.app.name));
            return Ok(Outcome::Converged);
        };
        if warm.status == Status::Lost {
            self.report.warnings.push(ends::still_lost(&self.app.name));
        }
        match registry::resting(&warm, !self.nothing_runs().await?, self.snapshot()?) {
            Resting::Nothing => Ok(Outcome::Converged),
            Resting::Store => self.store_once_more().await,
            Resting::End => {
                let ended = self.put_down(Purpose::Idle).await?;
                let then = self.look_once_more().await?;
                Ok(turn::both(ended, then))
            }
        }
    }

    /// What has come to rest is looked at as what rested before.
    async fn look_once_more(&mut self) -> Result<Outcome, Outcome> {
        let found = self.hold_against_reality().await?;
        let Some(warm) = self.state.warm.clone() else { return Ok(found) };
        match registry::resting(&warm, false, self.snapshot()?) {
            Resting::Store => Ok(turn::both(found, self.store_once_more().await?)),
            Resting::Nothing | Resting::End => Ok(found),
        }
    }

    /// Its volumes are not to be used as they are any more.
    pub(super) fn spoil(&mut self, why: String) -> Result<(), Outcome> {
        let damaged = self.state.warm.as_ref().is_some_and(|warm| warm.damaged);
        self.write_warm(Warm { why: Some(why), damaged, ..Warm::new(Status::Dirty, &who(), self.now) })
    }

    async fn store_once_more(&mut self) -> Result<Outcome, Outcome> {
        let (old, gate) = self.known_good()?;
        let notes = vec!["the snapshot of the known-good was gone".to_owned()];
        self.work(Purpose::Seal, Begun { old, gate, before: None, snapshot: None, whole: true, notes }).await
    }

    /// Neither volumes nor snapshot are there: written down, and told.
    pub(super) fn is_lost(&mut self, damage: &str) -> Result<Outcome, Outcome> {
        let why = format!("{damage}, and its snapshot is gone or damaged");
        let told = ends::is_lost(&self.app.name, &why);
        self.write_warm(Warm { why: Some(why), ..Warm::new(Status::Lost, &who(), self.now) })?;
        Ok(told)
    }

    /// Has `canonical.json` say what the state says.
    pub(super) fn mend_record(&mut self) {
        if self.state.warm.is_none() && self.state.current.is_none() {
            return;
        }
        match self.dir.record() {
            Ok(Recorded::Whole(found)) if found == (Record { ts: found.ts, ..self.record(&self.state) }) => return,
            Ok(Recorded::Damaged(why)) => self.report.warnings.push(format!(
                "{} was damaged ({why}) and was written again from state.json",
                self.dir.record_file().display()
            )),
            Ok(Recorded::Missing | Recorded::Whole(_)) => {}
            Err(cause) => warn!(cause = format!("{cause:#}"), "canonical.json cannot be read"),
        }
        self.write_record(&self.state);
    }
}
