//! What each act of a transaction does on this host, and where its journal is.
//!
//! Acts that ask the Engine end in the middle when the run is asked to; those that copy do so at the next piece. The
//! surprise: nothing here decides what comes next, and every act may meet what a killed run left of it.

mod data;
mod deploy;
mod look;
mod stop;
mod whole;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::Result;
use jiff::Timestamp;

use super::run::{Effects, Fact, Failure, Journal, Performed};
use super::step::{Act, Side};
use crate::desired::Desired;
use crate::host::ending::Ending;
use crate::host::engine::EngineError;
use crate::host::snapshots::Archived;
use crate::host::store::{AppDir, Lock};
use crate::host::swarm::Endings;
use crate::model::app::StackName;
use crate::model::outcome::Outcome;
use crate::model::state::{ReleaseBody, State};
use crate::model::transaction::Transaction;
use crate::reconcile::{Applied, Keeper};
use data::Eager;
use stop::Indexes;

pub use look::{can_be_stored, nodes, volumes, without_data};
pub use whole::left_of;

/// How long what failed is left alone before it is tried again.
const REST: Duration = Duration::from_secs(5);

/// One app's stack and data, its lock held.
pub struct OnHost<'a> {
    keeper: Keeper<'a>,
    lock: &'a Lock,
    stack: StackName,
    ending: Ending,
    /// Since the stack was first told to stop.
    watch: Option<Endings>,
    /// The containers that ran then.
    to_end: BTreeSet<String>,
    /// The services when all was told to stop.
    told: Option<Indexes>,
    /// What this run has stored.
    archived: BTreeMap<String, Archived>,
    /// What this run has deployed.
    deployed: Option<(Side, Desired, Applied)>,
    /// How often a verdict on that was withheld, since somebody else had changed it.
    withheld: u32,
    eager: Option<Eager>,
    /// What is served on this host by now, asked at each verdict.
    certificate: Box<dyn Fn() -> Vec<Vec<u8>> + 'a>,
}

impl<'a> OnHost<'a> {
    /// The keeper's own rules about images do not count here: a transaction names every image that it runs.
    pub fn new(keeper: Keeper<'a>, lock: &'a Lock, stack: StackName, ending: Ending) -> Self {
        Self {
            keeper,
            lock,
            stack,
            ending,
            watch: None,
            to_end: BTreeSet::new(),
            told: None,
            archived: BTreeMap::new(),
            deployed: None,
            withheld: 0,
            eager: None,
            certificate: Box::new(Vec::new),
        }
    }

    /// The app is judged through a proxy that serves this chain (DER, leaf first) by then, whatever it served when the
    /// transaction began.
    #[must_use]
    pub fn behind(self, certificate: impl Fn() -> Vec<Vec<u8>> + 'a) -> Self {
        Self { certificate: Box::new(certificate), ..self }
    }

    /// What asks the Engine; may be dropped at any moment.
    async fn ask(&mut self, act: &Act, transaction: &Transaction) -> Performed {
        match act {
            Act::Quiesce => self.quiesce(transaction).await,
            Act::AwaitEnd { clean } => self.await_end(transaction, *clean).await,
            Act::ReadIndexes => self.read_indexes().await,
            Act::Prove => self.prove(transaction).await,
            Act::SeeStandstill => self.see_standstill(transaction).await,
            Act::Deploy(side) => self.deploy(*side, transaction).await,
            Act::Judge(side) => self.judge(*side, transaction).await,
            Act::Clear { first } => self.clear(*first, transaction).await,
            Act::Make => self.make(transaction).await,
            Act::Leave => self.leave().await,
            Act::Find => self.find(transaction).await,
            Act::Mark => self.mark().await,
            Act::Note | Act::Archive(_) | Act::Seal | Act::ReadBack | Act::Verify => DONE,
            Act::Unpack(_) | Act::Exchange(_) | Act::SetAside(_) | Act::GiveBack(_) => DONE,
        }
    }
}

/// An act that has found nothing that the journal has to know.
const DONE: Performed = Ok(Ok(Fact::Nothing));

impl Effects for OnHost<'_> {
    async fn perform(&mut self, act: &Act, transaction: &Transaction) -> Performed {
        use Act::{Archive, Exchange, GiveBack, ReadBack, Seal, SetAside, Unpack, Verify};
        if let Archive(_) | Seal | ReadBack | Unpack(_) | Exchange(_) | SetAside(_) | GiveBack(_) | Verify = act {
            return self.copy(act, transaction).await;
        }
        let ending = self.ending.clone();
        let performed = tokio::select! {
            biased;
            performed = self.ask(act, transaction) => performed,
            () = ending.asked() => Err(Failure::AskedToEnd),
        };
        // Nobody may write to the volumes' folders after this run has said that it ends.
        if performed == Err(Failure::AskedToEnd)
            && let Some(eager) = self.eager.take()
        {
            eager.given_up().await;
        }
        performed
    }

    async fn rest(&mut self) {
        let ending = self.ending.clone();
        tokio::select! {
            () = tokio::time::sleep(REST) => {}
            () = ending.asked() => {}
        }
    }

    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn is_asked_to_end(&self) -> bool {
        self.ending.is_asked()
    }
}

/// The app's `state.json`.
pub struct OnDisk<'a> {
    dir: &'a AppDir,
    lock: &'a Lock,
}

impl<'a> OnDisk<'a> {
    pub fn new(dir: &'a AppDir, lock: &'a Lock) -> Self {
        Self { dir, lock }
    }
}

impl Journal for OnDisk<'_> {
    fn write(&mut self, state: &State) -> Result<()> {
        self.dir.write_state(self.lock, state)
    }
}

fn body_of(side: Side, transaction: &Transaction) -> Option<&ReleaseBody> {
    match side {
        Side::Old => Some(&transaction.old.release.body),
        Side::New => transaction.new.as_ref().map(|new| &new.body),
        Side::Before => transaction.before.as_ref().map(|before| &before.release.body),
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        Failure::Engine(error.to_string())
    }
}

/// What only a person can mend is a No; anything else may be gone in a minute.
fn no_or_failure(outcome: &Outcome) -> Performed {
    match outcome {
        Outcome::Blocked(why) => Ok(Err(why.clone())),
        other => Err(Failure::Engine(other.sentence().to_owned())),
    }
}
