//! Performing a transaction over anything that can do its acts.
//!
//! The journal is written before each step and wherever an act says so; what comes next is never decided here. The
//! surprise: before the new release is deployed, an app is put back also where the journal cannot be written, since a
//! later run would do the same from the step that it still names.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Error, Result, ensure};
use jiff::Timestamp;
use tracing::{debug, info, warn};

use super::close::closed;
use super::step::{self, Act, End, Happened, Next, RETRY, When, Whose};
use crate::host::store::InDoubt;
use crate::model::state::State;
use crate::model::transaction::{Step, Transaction, Volume};
use crate::model::warm::Left;
use crate::warm::step::BROKEN_OFF;

/// Where the state is kept.
pub trait Journal {
    /// Replaces the state; on disk when this returns.
    ///
    /// # Errors
    /// When a later run would read the state before, or might: the error's context is [`InDoubt`] then.
    fn write(&mut self, state: &State) -> Result<()>;
}

/// What does the acts: the host, or a simulated one.
pub trait Effects {
    /// Does one act, or finishes what a killed run began of it. Never called with [`Act::Note`].
    fn perform(&mut self, act: &Act, transaction: &Transaction) -> impl Future<Output = Performed>;

    /// Lets a moment pass before something that failed is tried again.
    fn rest(&mut self) -> impl Future<Output = ()>;

    fn now(&self) -> Timestamp;

    /// Whether the run was asked to end.
    fn is_asked_to_end(&self) -> bool;
}

/// Outside: nothing can be said. Inside: the app's No, or what the act has found.
pub type Performed = Result<Result<Fact, String>, Failure>;

/// What an act has found that the journal has to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    Nothing,
    /// Whether nothing of the app runs.
    Standstill(bool),
    Indexes(BTreeMap<String, u64>),
    /// The snapshot of this transaction is whole and was read back.
    Sealed(String),
    /// A volume's unpacked folder.
    Staged {
        volume: String,
        inode: u64,
    },
    /// Data of the failed release alone was moved aside.
    SetAside {
        volume: String,
        mountpoint: PathBuf,
    },
    /// The stack's volumes that are stored or put back, each with its place.
    Found(BTreeMap<String, Volume>),
    /// What the stack's own volumes are known by.
    Marked(BTreeMap<String, Left>),
}

impl Fact {
    /// What the journal knows with it.
    pub fn into_journal(self, open: &mut Transaction, now: Timestamp) {
        match self {
            Fact::Nothing => {}
            Fact::Standstill(true) => open.deployed = Some(now),
            // Whatever runs may have been running since the last proof.
            Fact::Standstill(false) => drop(open.deployed.get_or_insert(open.step_began)),
            Fact::Indexes(indexes) => open.indexes = indexes,
            Fact::Sealed(snapshot) => open.snapshot = Some(snapshot),
            Fact::Staged { volume, inode } => drop(open.staged.insert(volume, inode)),
            Fact::SetAside { volume, mountpoint } => drop(open.set_aside.insert(volume, mountpoint)),
            Fact::Found(volumes) => (open.volumes, open.staged) = (volumes, BTreeMap::new()),
            Fact::Marked(_) => {}
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    #[error("{0}")]
    Engine(String),
    #[error("{0}")]
    Disk(String),
    #[error("the run was asked to end")]
    AskedToEnd,
}

/// How a run over a transaction ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Ended {
    Closed {
        end: End,
        why: String,
        transaction: Box<Transaction>,
    },
    /// The journal stays open, for this reason.
    Open {
        why: String,
    },
}

/// Writes the transaction into the journal and performs it. After [`Ended::Open`] the state in memory may be ahead of
/// the journal: it has to be read again.
///
/// # Errors
/// When the journal cannot be written, or a transaction is open in it already. Nothing was touched then.
pub async fn begin<E: Effects, J: Journal>(
    state: &mut State,
    mut transaction: Transaction,
    effects: &mut E,
    journal: &mut J,
) -> Result<Ended> {
    ensure!(state.open.is_none(), "what was begun before has to be finished first: run `evenkeel resume`");
    let first = step::first(&transaction);
    transaction.step_began = effects.now();
    enter(&mut transaction, first, effects.now());
    let begun = State { open: Some(Box::new(transaction)), ..state.clone() };
    journal.write(&begun)?;
    *state = begun;
    let mut run = Run::new(state, effects, journal);
    let happened = run.perform().await;
    Ok(run.until_it_ends(happened).await)
}

/// Finishes what a run before this one left open. Nothing is open: nothing is done.
pub async fn resume<E: Effects, J: Journal>(state: &mut State, effects: &mut E, journal: &mut J) -> Option<Ended> {
    let open = state.open.as_ref()?;
    info!(step = open.step.word(), target = open.target(), "an open transaction is finished");
    let found = open.left.clone().map_or(Happened::Crashed, Happened::Left);
    Some(Run::new(state, effects, journal).until_it_ends(found).await)
}

struct Run<'a, E, J> {
    state: &'a mut State,
    effects: &'a mut E,
    journal: &'a mut J,
    trying_since: Timestamp,
    /// What the journal would give after a power loss may be ahead of `state`.
    in_doubt: bool,
}

/// What to do after the table was asked.
enum Then {
    Perform,
    /// It could not be written down, which is an answer like any other.
    Ask(Happened),
    End(Ended),
}

impl<'a, E: Effects, J: Journal> Run<'a, E, J> {
    fn new(state: &'a mut State, effects: &'a mut E, journal: &'a mut J) -> Self {
        let trying_since = effects.now();
        Self { state, effects, journal, trying_since, in_doubt: false }
    }

    async fn until_it_ends(&mut self, mut happened: Happened) -> Ended {
        loop {
            happened = match self.follow(&happened).await {
                Then::Perform => self.perform().await,
                Then::Ask(instead) => instead,
                Then::End(ended) => return ended,
            };
        }
    }

    fn open(&self) -> &Transaction {
        self.state.open.as_deref().expect("a run ends when its transaction is closed")
    }

    /// Does the step at which the transaction stands.
    async fn perform(&mut self) -> Happened {
        let happened = self.perform_acts().await;
        let open = self.state.open.as_mut().expect("no act closes it");
        if open.step == Step::Snapshot && happened != Happened::Done {
            // What is whole but was not proved to the end is no snapshot.
            open.snapshot = None;
        }
        happened
    }

    async fn perform_acts(&mut self) -> Happened {
        for act in step::acts(self.open()) {
            if self.effects.is_asked_to_end() {
                return Happened::LaidDown;
            }
            debug!(?act, "begun");
            let performed = match act {
                Act::Note => self.note(),
                act => self.effects.perform(&act, self.state.open.as_deref().expect("it is open")).await,
            };
            match performed {
                Ok(Ok(fact)) => self.learn(fact),
                Ok(Err(no)) => return Happened::No(no),
                Err(Failure::Engine(why)) => return Happened::Failed { whose: Whose::Engine, why },
                Err(Failure::Disk(why)) => return Happened::Failed { whose: Whose::Disk, why },
                Err(Failure::AskedToEnd) => return Happened::LaidDown,
            }
        }
        Happened::Done
    }

    fn note(&mut self) -> Performed {
        self.write(self.state.clone()).map_err(|cause| Failure::Disk(unwritten(&cause)))?;
        Ok(Ok(Fact::Nothing))
    }

    fn learn(&mut self, fact: Fact) {
        let now = self.effects.now();
        fact.into_journal(self.state.open.as_mut().expect("it is open"), now);
    }

    /// Does what the table says.
    async fn follow(&mut self, happened: &Happened) -> Then {
        let now = self.effects.now();
        let when = When { now, trying_since: self.trying_since };
        let open = self.open();
        let next = step::next(open, happened, when);
        let fault = step::fault(open, happened, next, now);
        let followed = Transaction { fault, left: None, ..open.clone() };
        match next {
            Next::Go(step) => self.go(followed, step, now).await,
            Next::Close(end) => self.close(followed, end, happened, now).await,
            Next::LeaveOpen => Then::End(self.leave(happened, now)),
            Next::Again => {
                warn!(step = open.step.word(), cause = words(happened), "tried again");
                self.effects.rest().await;
                Then::Perform
            }
        }
    }

    async fn go(&mut self, mut transaction: Transaction, step: Step, now: Timestamp) -> Then {
        let from = transaction.step;
        enter(&mut transaction, step, now);
        let next = State { open: Some(Box::new(transaction)), ..self.state.clone() };
        let written = self.write(next.clone());
        self.trying_since = now;
        match written {
            Ok(()) => Then::Perform,
            Err(cause) if from < Step::Deploy && step != Step::Redeploy => {
                Then::Ask(Happened::Failed { whose: Whose::Disk, why: unwritten(&cause) })
            }
            Err(_) if from < Step::Deploy && !self.in_doubt => {
                *self.state = next;
                Then::Perform
            }
            Err(cause) => match self.write_at_last(next, cause).await {
                Ok(()) => Then::Perform,
                Err(ended) => Then::End(ended),
            },
        }
    }

    async fn close(&mut self, transaction: Transaction, end: End, happened: &Happened, now: Timestamp) -> Then {
        let why = words(happened);
        let transaction = Box::new(transaction);
        let next = closed(&State { open: Some(transaction.clone()), ..self.state.clone() }, end, why, now);
        let stuck = next.stuck.as_ref().filter(|_| end == End::Stuck).map(|stuck| stuck.reason.clone());
        let fault = transaction.fault.as_ref().map(|fault| fault.reason.clone());
        let why = stuck.or(fault).unwrap_or_default();
        let written = match self.write(next.clone()) {
            Ok(()) => Ok(()),
            Err(cause) => self.write_at_last(next, cause).await,
        };
        match written {
            Ok(()) => Then::End(Ended::Closed { end, why, transaction }),
            Err(ended) => Then::End(ended),
        }
    }

    /// Tries to write for as long as anything that fails is tried.
    async fn write_at_last(&mut self, next: State, mut cause: Error) -> Result<(), Ended> {
        let since = self.effects.now();
        loop {
            let enough = self.effects.now().duration_since(since) >= RETRY;
            if enough || self.effects.is_asked_to_end() {
                return Err(Ended::Open { why: unwritten(&cause) });
            }
            warn!(cause = format!("{cause:#}"), "the journal is written again");
            self.effects.rest().await;
            match self.write(next.clone()) {
                Ok(()) => return Ok(()),
                Err(again) => cause = again,
            }
        }
    }

    /// What was decided stands only once it is written.
    fn write(&mut self, next: State) -> Result<()> {
        let written = self.journal.write(&next);
        match &written {
            Ok(()) => {
                self.in_doubt = false;
                *self.state = next;
            }
            Err(cause) => self.in_doubt |= cause.is::<InDoubt>(),
        }
        written
    }

    /// Best effort: a journal that does not say so is taken for that of a killed run.
    fn leave(&mut self, happened: &Happened, now: Timestamp) -> Ended {
        let left = Transaction { left: step::left(self.open(), happened, now), ..self.open().clone() };
        if let Err(cause) = self.write(State { open: Some(Box::new(left)), ..self.state.clone() }) {
            warn!(cause = format!("{cause:#}"), "the journal could not be written");
        }
        Ended::Open { why: words(happened).to_owned() }
    }
}

pub(crate) fn unwritten(cause: &Error) -> String {
    format!("the journal cannot be written: {cause:#}")
}

pub(crate) fn words(happened: &Happened) -> &str {
    match happened {
        Happened::Done => "",
        Happened::No(why) | Happened::Failed { why, .. } => why,
        Happened::LaidDown => "the run was asked to end",
        Happened::Crashed => BROKEN_OFF,
        Happened::Left(fault) => &fault.reason,
    }
}

fn enter(transaction: &mut Transaction, step: Step, now: Timestamp) {
    info!(step = step.word(), "begun");
    if transaction.step != step {
        transaction.step = step;
        transaction.step_began = now;
    }
}
