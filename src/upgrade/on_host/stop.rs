//! Bringing the stack to a standstill, and proving that it stands still.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use futures_util::future::try_join_all;
use tokio::time::Instant;
use tracing::{info, warn};

use super::{DONE, OnHost};
use crate::host::engine::EngineError;
use crate::host::swarm::{Left, longest_grace, resolved};
use crate::model::observed::Ending;
use crate::model::transaction::{Step, Transaction};
use crate::upgrade::run::{Fact, Failure, Performed};
use crate::upgrade::unclean::unclean_stop;
use crate::upgrade::volumes::{holders, written_since};

/// What Swarm and the Engine may take beyond a container's grace period.
const SLOW: Duration = Duration::from_secs(120);
/// After so long beyond the grace period what has not ended is not about to.
const FORGOTTEN: Duration = Duration::from_secs(45);
/// How long Swarm may call an update under way of a stack that runs nothing.
const SETTLE: Duration = Duration::from_secs(120);
/// How long after a container's end its event may come.
const TOLD: Duration = Duration::from_secs(30);
/// Out of a stop that was not clean.
const WAY_OUT: &str = "snapshot = { unclean = \"allow\" } takes it as it is";
/// The longest pause between two looks.
const TICK: Duration = Duration::from_millis(500);

/// Two looks at indexes that are to agree are so far apart: Swarm begins an update a moment after it was written.
const APART: Duration = Duration::from_millis(200);

/// The `Version.Index` of each service.
pub(super) struct Indexes {
    indexes: BTreeMap<String, u64>,
    /// No update was under way.
    settled: bool,
    answered: Instant,
}

impl Indexes {
    /// Whether nothing was written between this look and a later one.
    fn agrees(&self, later: &Self, asked: Instant) -> bool {
        self.indexes == later.indexes && asked.saturating_duration_since(self.answered) >= APART
    }
}

impl OnHost<'_> {
    pub(super) async fn quiesce(&mut self, transaction: &Transaction) -> Performed {
        // On the way back there is no choice left.
        if let Some(no) = self.keep_images(transaction).await?.filter(|_| transaction.step == Step::Stop) {
            return Ok(Err(no));
        }
        let swarm = self.keeper.swarm;
        if self.watch.is_none() {
            self.watch = Some(swarm.endings().await?);
        }
        let names = names(transaction);
        let before = swarm.left_of(&self.stack, &names, true).await?;
        self.to_end.extend(before.alive.iter().filter(|one| one.runs()).map(|container| container.id.clone()));
        self.deployed = None;
        match transaction.step {
            // A run that was killed while it deployed may have asked for what starts a moment later, on data that is put back.
            Step::Withdraw => swarm.quiesce_for_good(&self.stack).await?,
            _ => drop(swarm.quiesce(&self.stack).await?),
        }
        self.told = Some(self.look_at_indexes().await?);
        info!("stopped");
        DONE
    }

    pub(super) async fn leave(&mut self) -> Performed {
        self.keeper.swarm.leave(&self.stack).await?;
        self.told = Some(self.look_at_indexes().await?);
        DONE
    }

    pub(super) async fn await_end(&mut self, transaction: &Transaction, clean: bool) -> Performed {
        let swarm = self.keeper.swarm;
        let names = names(transaction);
        let grace = self.grace(transaction).await?;
        let begun = Instant::now();
        let deadline = begun + grace + SLOW;
        let mut asks_again = begun + grace + FORGOTTEN;
        let mut changes = swarm.changes().await?;
        let mut stopped = BTreeSet::new();
        let mut is_judged = !clean;
        loop {
            let asked = Instant::now();
            let left = swarm.left_of(&self.stack, &names, false).await?;
            if left.is_nothing() && is_judged {
                return DONE;
            }
            if left.has_ended() && !is_judged {
                match self.unclean(&names).await? {
                    Some(cause) if transaction.rules.unclean_allowed => {
                        warn!(cause, "the data is stored as it is, as `snapshot.unclean` allows");
                    }
                    Some(cause) => return Ok(Err(format!("{cause}; {WAY_OUT}"))),
                    None => {}
                }
                is_judged = true;
                continue;
            }
            if asked >= deadline {
                return Err(Failure::Engine(too_late(&left, grace + SLOW)));
            }
            if left.has_ended() {
                self.remove_ended(&left).await?;
            } else if Instant::now() >= asks_again {
                warn!(
                    left = left.in_words(),
                    "the app's containers do not end; Swarm is told again that none is wanted"
                );
                swarm.quiesce_again(&self.stack).await?;
                asks_again += FORGOTTEN;
            }
            let new = left.orphans.iter().filter(|id| stopped.insert((*id).clone()));
            try_join_all(new.map(|id| swarm.end_container(id, grace))).await?;
            self.keeper.progress.waiting_for("the app's containers to end");
            changes.wait(TICK).await;
        }
    }

    /// A crash loop leaves them, and they hold the volume.
    async fn remove_ended(&self, left: &Left) -> Result<(), EngineError> {
        for container in &left.ended {
            self.keeper.swarm.remove_container(&container.id).await?;
        }
        Ok(())
    }

    /// The longest grace period of what lives and of what may have been removed already.
    async fn grace(&self, transaction: &Transaction) -> Result<Duration, EngineError> {
        let live = self.keeper.swarm.services_of(&self.stack).await?;
        let recorded = transaction.bodies().flat_map(|body| body.services.values());
        Ok(longest_grace(live.values().map(|service| &service.spec).chain(recorded)))
    }

    /// Why what ended did not do so cleanly, if it did not.
    async fn unclean(&self, names: &BTreeSet<String>) -> Result<Option<String>, EngineError> {
        let mut endings = match &self.watch {
            Some(watch) => watch.of(self.to_end.iter(), TOLD).await,
            None => BTreeMap::new(),
        };
        endings.retain(|id, ending| self.to_end.contains(id) || names.contains(&ending.service));
        for id in &self.to_end {
            if endings.get(id).is_none_or(|ending| ending.exit_code.is_none())
                && let Some((code, out_of_memory)) = self.keeper.swarm.exit_of(id).await?
            {
                let ending = endings.entry(id.clone()).or_default();
                *ending = Ending { exit_code: Some(code), out_of_memory, ..ending.clone() };
            }
        }
        Ok(unclean_stop(&self.to_end, &endings))
    }

    /// Swarm raises an index by itself when an update completes, so what moves is waited for, and two looks have to
    /// agree. The first may be that of the moment when all was told to stop.
    pub(super) async fn read_indexes(&mut self) -> Performed {
        let swarm = self.keeper.swarm;
        let deadline = Instant::now() + SETTLE;
        let mut changes = swarm.changes().await?;
        let mut before = self.told.take();
        loop {
            let asked = Instant::now();
            let look = self.look_at_indexes().await?;
            if look.settled && before.as_ref().is_some_and(|before| before.agrees(&look, asked)) {
                return Ok(Ok(Fact::Indexes(look.indexes)));
            }
            if asked >= deadline {
                let why = format!("Swarm still updates a service of stack {} that runs nothing", self.stack);
                return Err(Failure::Engine(why));
            }
            before = before.filter(|before| before.indexes == look.indexes).or(Some(look));
            changes.wait(APART).await;
        }
    }

    async fn look_at_indexes(&self) -> Result<Indexes, EngineError> {
        let (indexes, moves) = self.keeper.swarm.indexes(&self.stack).await?;
        Ok(Indexes { indexes, settled: !moves, answered: Instant::now() })
    }

    pub(super) async fn see_standstill(&self, transaction: &Transaction) -> Performed {
        let swarm = self.keeper.swarm;
        let left = swarm.left_of(&self.stack, &names(transaction), true).await?;
        let (indexes, _) = swarm.indexes(&self.stack).await?;
        // What was started and stopped again has been running.
        let is_untouched = written_since(&transaction.indexes, &indexes).is_none();
        Ok(Ok(Fact::Standstill(left.is_nothing() && is_untouched)))
    }

    pub(super) async fn prove(&mut self, transaction: &Transaction) -> Performed {
        let swarm = self.keeper.swarm;
        let (indexes, _) = swarm.indexes(&self.stack).await?;
        if let Some(why) = written_since(&transaction.indexes, &indexes) {
            return Ok(Err(why));
        }
        let held = holders(&swarm.mountings().await?, &self.places(transaction).await?);
        if !held.is_empty() {
            return Ok(Err(format!("the app's data is in use: {}; end that first", held.join("; "))));
        }
        self.watch = None;
        self.to_end.clear();
        DONE
    }

    /// Where the volumes are, symlinks resolved; also those that the new release made.
    async fn places(&self, transaction: &Transaction) -> Result<BTreeMap<String, PathBuf>, EngineError> {
        let live = self.keeper.swarm.volumes().await?;
        let mut places = BTreeMap::new();
        for (name, volume) in transaction.volumes.iter().filter(|(_, volume)| !volume.left_out) {
            let made = || live.get(name).map(|live| live.mountpoint.clone());
            if let Some(place) = volume.mountpoint.clone().or_else(made) {
                places.insert(name.clone(), resolved(&place).await);
            }
        }
        Ok(places)
    }
}

/// Names of the services of its releases: what was removed tells no more that it was the stack's.
fn names(transaction: &Transaction) -> BTreeSet<String> {
    transaction.bodies().flat_map(|body| body.services.keys().cloned()).collect()
}

fn too_late(left: &Left, waited: Duration) -> String {
    format!("the app's containers do not end: {} after {} s", left.in_words(), waited.as_secs())
}
