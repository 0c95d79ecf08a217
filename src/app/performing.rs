//! Performing a transaction on this host, and what is done once it has ended.
//!
//! The border: what is done next is the table's matter, how it is done the host's. What no name in the state stands for
//! any more is removed here, after the end and again by every later run: it is never in the way. The surprise: an approval
//! is spent only once the transaction is written down, so that a full disk costs none; whoever was killed between the two
//! leaves it to the run that finishes the transaction.

use std::collections::BTreeMap;

use tracing::{info, warn};

use super::winding_up::{self, End};
use super::{Host, approving, ends, proxy, pruning};
use crate::host::ending::Ending;
use crate::host::progress::Progress;
use crate::host::store::{AppDir, Lock};
use crate::host::volumes::{Failed, drop_failed, drop_stages};
use crate::model::app::{AppName, Kind, StackName};
use crate::model::observed::Volume;
use crate::model::outcome::Outcome;
use crate::model::state::State;
use crate::model::transaction::Transaction;
use crate::plan;
use crate::reconcile::{Keeper, release};
use crate::upgrade::on_host::{OnDisk, OnHost};
use crate::upgrade::run::{self, Effects as _, Ended, Journal};
use crate::upgrade::step;

/// One app at hand: its lock is held, and so is the slot.
pub(super) struct Desk<'a> {
    pub host: &'a Host,
    pub app: &'a AppName,
    pub dir: &'a AppDir,
    pub lock: &'a Lock,
    pub progress: &'a Progress,
}

impl Desk<'_> {
    /// Begins a transaction and follows it to its end. Gives the state that it left.
    ///
    /// # Errors
    /// When the journal cannot be written: nothing was begun then.
    pub async fn begin(&self, state: &State, transaction: Transaction) -> Result<(Outcome, State), Outcome> {
        let mut state = state.clone();
        let (mut effects, journal) = self.tools(&state)?;
        if effects.is_asked_to_end() {
            return Err(Outcome::Waiting("this run was asked to end before it had begun anything".to_owned()));
        }
        let begun = transaction.clone();
        let mut journal = Spending { journal, spend: Some(|| self.spend(&begun)) };
        let ended = run::begin(&mut state, transaction, &mut effects, &mut journal).await?;
        drop((effects, journal));
        self.after(&ended).await
    }

    /// Finishes what a run before this one left open. Gives the state that it left.
    ///
    /// # Errors
    /// When the state cannot be read again.
    pub async fn finish(&self, state: &State) -> Result<(Outcome, State), Outcome> {
        let mut state = state.clone();
        state.open.iter().for_each(|open| self.spend_at_last(open));
        let (mut effects, mut journal) = self.tools(&state)?;
        let ended = run::resume(&mut state, &mut effects, &mut journal).await;
        drop((effects, journal));
        match ended {
            Some(ended) => self.after(&ended).await,
            None => Ok((Outcome::Converged, state)),
        }
    }

    /// What is on disk counts: what is in memory may be ahead of it where the journal could not be written.
    async fn after(&self, ended: &Ended) -> Result<(Outcome, State), Outcome> {
        let Some(state) = self.dir.read_state()? else {
            return Err(Outcome::Error(format!(
                "the state of {} is gone from {}",
                self.app,
                self.dir.path().display()
            )));
        };
        let outcome = ends::outcome(self.app, ended, &state);
        if let Ended::Closed { transaction, .. } = ended {
            let Self { host, app, dir, lock, .. } = self;
            winding_up::follow(&End { declared: &host.declared, app, dir, lock });
            self.point_at_failed(&state, transaction);
            self.tidy(&state).await;
        }
        Ok((outcome, state))
    }
}

/// A journal that has the approval spent as soon as the transaction stands in it.
struct Spending<J, F> {
    journal: J,
    spend: Option<F>,
}

impl<J: Journal, F: FnOnce()> Journal for Spending<J, F> {
    fn write(&mut self, state: &State) -> anyhow::Result<()> {
        self.journal.write(state)?;
        if let Some(spend) = self.spend.take() {
            spend();
        }
        Ok(())
    }
}

impl Desk<'_> {
    /// An approval counts once: for the transaction that has begun, however it ends. Those of older versions lapse with it,
    /// also where this one needed none.
    fn spend(&self, transaction: &Transaction) {
        let Some(new) = &transaction.new else { return };
        approving::spend_or_warn(&self.host.store, self.app, &new.body.revision, transaction.began);
    }

    /// A run that was killed at once after it had begun may not have had the time. What was approved since is meant for the
    /// next transaction.
    fn spend_at_last(&self, open: &Transaction) {
        let Some(new) = open.new.as_ref().filter(|_| open.step == step::first(open)) else { return };
        // Approvals that cannot be read approve nothing, and there is nothing to be lost.
        let approvals = self.dir.approvals().ok().and_then(Result::ok).unwrap_or_default();
        let mut of_it = approvals.all().iter().filter(|approval| approval.revision == new.body.revision);
        if of_it.all(|approval| approval.ts <= open.step_began) {
            self.spend(open);
        }
    }

    /// Says in the app's own folder where the data lies that gave way. The state says it, too.
    fn point_at_failed(&self, state: &State, transaction: &Transaction) {
        let Some(failed) = state.failed.as_ref().filter(|failed| failed.transaction == transaction.id) else { return };
        let set_aside = transaction.set_aside.iter().map(|(name, path)| (name.as_str(), path));
        let volumes = transaction.kept_volumes().chain(set_aside);
        let pointer = Failed {
            transaction: failed.transaction.clone(),
            ts: transaction.began,
            release: failed.revision.to_string(),
            volumes: volumes.map(|(name, path)| (name.to_owned(), path.clone())).collect(),
        };
        if let Err(cause) = self.dir.put_failed(self.lock, &pointer) {
            warn!(cause = format!("{cause:#}"), "where the data lies that gave way could not be written down");
        }
    }

    fn keeper(&self, state: &State) -> Keeper<'_> {
        // What the app says may be told, less what the operator's files give.
        let hidden = self.host.declared.app(self.app.as_str()).and_then(super::variables_of_files);
        Keeper { hidden, ..self.host.keeper_by_record(self.dir, state, self.progress) }
    }

    pub(super) fn tools(&self, state: &State) -> Result<(OnHost<'_>, OnDisk<'_>), Outcome> {
        let (stack, ending) = (self.stack(state)?, Ending::listen()?);
        let effects = OnHost::new(self.keeper(state), self.lock, stack, ending);
        let proxy = self.host.declared.of(Kind::Proxy).next();
        // The proxy's own releases bring theirs.
        let effects = match proxy.is_some_and(|proxy| proxy.name != *self.app) {
            true => effects.behind(|| proxy::kept_chain(&self.host.declared, &self.host.store)),
            false => effects,
        };
        Ok((effects, OnDisk::new(self.dir, self.lock)))
    }

    fn stack(&self, state: &State) -> Result<StackName, Outcome> {
        let told =
            |error| Outcome::Error(format!("the state of {} names a stack that cannot be one: {error}", self.app));
        state.stack.parse().map_err(told)
    }

    /// Removes what nobody names any more. Whatever cannot be removed now is found again by a later run.
    pub(super) async fn tidy(&self, state: &State) {
        let volumes = self.host.swarm.volumes().await.unwrap_or_default();
        let on_disk = self.tidy_disk(state, &volumes);
        for tidied in [on_disk, self.tidy_swarm(state).await, self.tidy_images().await] {
            told(tidied);
        }
    }

    /// Takes keep tags away that no recorded release needs.
    pub async fn let_images_go(&self) {
        told(self.tidy_images().await);
    }

    /// Snapshots, stages, and the data that gave way before.
    pub fn tidy_disk(&self, state: &State, volumes: &BTreeMap<String, Volume>) -> Result<(), Outcome> {
        let snapshots = state.named_snapshots().into_iter().map(str::to_owned).collect();
        for gone in self.dir.snapshots().sweep(self.lock, &snapshots)? {
            info!(snapshot = gone, "removed, since nothing names it any more");
        }
        let transactions: Vec<&str> = state.named_transactions().into_iter().collect();
        let under_way: Vec<&str> = state.under_way().into_iter().collect();
        self.dir.drop_failed(self.lock, &transactions)?;
        let releases = state.current.iter().chain(state.previous.iter().map(|previous| &previous.release));
        let specs = releases.flat_map(|release| release.body.services.values());
        let live = plan::volumes(specs).into_iter().filter_map(|name| volumes.get(name));
        // A driver may tell no place, and has nothing of ours then.
        for volume in live.filter(|volume| volume.mountpoint.is_absolute()) {
            drop_stages(&volume.mountpoint, &under_way)?;
            drop_failed(&volume.mountpoint, &transactions)?;
        }
        Ok(())
    }

    /// Secrets, configs and networks that no recorded release names.
    async fn tidy_swarm(&self, state: &State) -> Result<(), Outcome> {
        let Some(current) = state.current.as_ref().filter(|_| state.stuck.is_none()) else { return Ok(()) };
        let stack = self.stack(state)?;
        let observed = self.host.swarm.observe(&stack).await?;
        let keeper = self.keeper(state);
        let plan = keeper.plan_exactly(&observed, &release::desired(&stack, &current.body, self.dir)?)?;
        keeper.clean(&plan).await
    }

    /// Keep tags of images that no release of any app has. They are listed before the states are read, so that none goes
    /// that a run beside this one has just recorded.
    async fn tidy_images(&self) -> Result<(), Outcome> {
        let (Host { images, store, swarm, .. }, kept) = (self.host, self.host.images.kept().await?);
        // What another run has just fetched is in no state yet. The next prune takes what stays here.
        if images.keeps_digests().await? || store.at_work(Some(self.app))?.is_some() {
            return Ok(());
        }
        let needed = pruning::needed(store, swarm, images).await?;
        if let Some(unknown) = needed.unknown.into_iter().next() {
            return Err(unknown);
        }
        for image in kept.iter().filter(|image| !needed.images.contains_key(*image)) {
            images.untag(image).await?;
        }
        Ok(())
    }
}

fn told(tidied: Result<(), Outcome>) {
    if let Err(cause) = tidied {
        warn!(cause = cause.sentence(), "what nobody needs any more could not be removed; a later run tries again");
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// Writes nothing for the first few times.
    struct Full(u32);

    impl Journal for Full {
        fn write(&mut self, _: &State) -> anyhow::Result<()> {
            let is_full = self.0 > 0;
            self.0 = self.0.saturating_sub(1);
            anyhow::ensure!(!is_full, "no space left on device");
            Ok(())
        }
    }

    #[test]
    fn an_approval_is_spent_once_and_only_when_the_transaction_is_written() {
        let spent = Cell::new(0);
        let state = State::new(&"wiki".parse().unwrap());
        let mut journal = Spending { journal: Full(1), spend: Some(|| spent.set(spent.get() + 1)) };
        assert!(journal.write(&state).is_err());
        assert_eq!(spent.get(), 0);
        for _ in 0..2 {
            journal.write(&state).unwrap();
        }
        assert_eq!(spent.get(), 1);
    }
}
