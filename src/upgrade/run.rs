//! Performing a transaction over anything that can do its acts.
//!
//! The journal is written before each step and wherever an act says so; what comes next is never decided here. The
//! surprise: a journal that cannot be written counts as a failed disk at the step that it still names, so that what is
//! done is always what a later run would do from there.

use anyhow::Result;
use jiff::Timestamp;
use tracing::{info, warn};

use super::close::closed;
use super::step::{self, Act, End, Happened, Next, Whose};
use crate::model::state::{Interrupted, State};
use crate::model::transaction::{Fault, Step, Transaction};

/// Where the state is kept.
pub trait Journal {
    /// Replaces the state; on disk when this returns.
    ///
    /// # Errors
    /// When it is not certain that a later run would read it.
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
    Indexes(std::collections::BTreeMap<String, u64>),
    /// The snapshot of this transaction is whole and was read back.
    Sealed(String),
    /// A volume's unpacked folder.
    Staged {
        volume: String,
        inode: u64,
    },
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

/// Writes the transaction into the journal and performs it.
///
/// # Errors
/// When the journal cannot be written at all: nothing was begun then.
pub async fn begin<E: Effects, J: Journal>(
    state: &mut State,
    mut transaction: Transaction,
    effects: &mut E,
    journal: &mut J,
) -> Result<Ended> {
    let mut begun = state.clone();
    let first = step::first(&transaction);
    enter(&mut transaction, first, effects.now());
    begun.open = Some(Box::new(transaction));
    journal.write(&begun)?;
    *state = begun;
    Ok(go_on(state, effects, journal).await)
}

/// Finishes what a run before this one left open. Nothing is open: nothing is done.
pub async fn resume<E: Effects, J: Journal>(state: &mut State, effects: &mut E, journal: &mut J) -> Option<Ended> {
    let open = state.open.as_mut()?;
    let found = if std::mem::take(&mut open.laid_down) { Happened::LaidDown } else { Happened::Crashed };
    info!(step = open.step.word(), target = open.target(), "an open transaction is finished");
    if step::is_interrupted(open, &found) {
        let new = open.new.as_ref().map(|new| (new.key.clone(), new.body.revision.clone()));
        if let Some((key, revision)) = new {
            let times = state.interrupted.as_ref().filter(|before| before.key == key).map_or(0, |before| before.times);
            state.interrupted = Some(Interrupted { key, revision, times: times + 1 });
        }
    }
    match follow(state, &Happened::Crashed, fault_words(&found), effects, journal).await {
        Some(ended) => Some(ended),
        None => Some(go_on(state, effects, journal).await),
    }
}

fn fault_words(found: &Happened) -> &'static str {
    match found {
        Happened::LaidDown => "the run was asked to end in the middle",
        _ => "the run was killed in the middle",
    }
}

async fn go_on<E: Effects, J: Journal>(state: &mut State, effects: &mut E, journal: &mut J) -> Ended {
    loop {
        let happened = perform(state, effects, journal).await;
        if let Some(ended) = follow(state, &happened, "", effects, journal).await {
            return ended;
        }
    }
}

/// Does the acts of the step at which the transaction stands.
async fn perform<E: Effects, J: Journal>(state: &mut State, effects: &mut E, journal: &mut J) -> Happened {
    let Some(open) = state.open.as_deref() else { return Happened::Done };
    for act in step::acts(open) {
        if effects.is_asked_to_end() {
            return Happened::LaidDown;
        }
        if act == Act::Note {
            match journal.write(state) {
                Ok(()) => continue,
                Err(cause) => return unwritten(&cause),
            }
        }
        let Some(open) = state.open.as_mut() else { return Happened::Done };
        match effects.perform(&act, open).await {
            Ok(Ok(fact)) => learn(open, fact),
            Ok(Err(no)) => return Happened::No(no),
            Err(Failure::Engine(why)) => return Happened::Failed { whose: Whose::Engine, why },
            Err(Failure::Disk(why)) => return Happened::Failed { whose: Whose::Disk, why },
            Err(Failure::AskedToEnd) => return Happened::LaidDown,
        }
    }
    Happened::Done
}

fn unwritten(cause: &anyhow::Error) -> Happened {
    Happened::Failed { whose: Whose::Disk, why: format!("the journal cannot be written: {cause:#}") }
}

fn learn(transaction: &mut Transaction, fact: Fact) {
    match fact {
        Fact::Nothing => {}
        Fact::Indexes(indexes) => transaction.indexes = indexes,
        Fact::Sealed(snapshot) => transaction.snapshot = Some(snapshot),
        Fact::Staged { volume, inode } => drop(transaction.staged.insert(volume, inode)),
    }
}

/// Does what the table says; gives the end, if this was it.
async fn follow<E: Effects, J: Journal>(
    state: &mut State,
    happened: &Happened,
    words: &str,
    effects: &mut E,
    journal: &mut J,
) -> Option<Ended> {
    let open = state.open.as_deref()?.clone();
    let now = effects.now();
    let why = why(happened, words);
    let written = match step::next(&open, happened, now) {
        Next::Go(step) => {
            let mut next = state.clone();
            next.open = Some(Box::new(stepped(open.clone(), step, happened, &why, now)));
            let written = journal.write(&next);
            // From here a later run would go the same way, whether or not the journal names it.
            if written.is_ok() || (step == Step::Redeploy && open.step < Step::Deploy) {
                *state = next;
                return None;
            }
            written
        }
        Next::Again => {
            warn!(step = open.step.word(), cause = why, "tried again");
            effects.rest().await;
            return None;
        }
        Next::LeaveOpen => {
            lay_down(state, happened, journal);
            return Some(Ended::Open { why });
        }
        Next::Close(end) => {
            let transaction = Box::new(with_fault(open.clone(), happened, &why, now));
            let next = closed(&State { open: Some(transaction.clone()), ..state.clone() }, end, &why, now);
            let written = journal.write(&next);
            if written.is_ok() {
                *state = next;
                return Some(Ended::Closed { end, why, transaction });
            }
            written
        }
    };
    let Err(cause) = written else { return None };
    match step::next(&open, &unwritten(&cause), now) {
        Next::Go(step) => {
            let why = format!("the journal cannot be written: {cause:#}");
            state.open = Some(Box::new(stepped(open, step, &unwritten(&cause), &why, now)));
            None
        }
        Next::Again => {
            effects.rest().await;
            None
        }
        Next::LeaveOpen | Next::Close(_) => Some(Ended::Open { why: format!("{cause:#}") }),
    }
}

fn why(happened: &Happened, words: &str) -> String {
    match happened {
        Happened::Done => String::new(),
        Happened::No(why) | Happened::Failed { why, .. } => why.clone(),
        Happened::LaidDown => "the run was asked to end".to_owned(),
        Happened::Crashed => words.to_owned(),
    }
}

fn stepped(open: Transaction, step: Step, happened: &Happened, why: &str, now: Timestamp) -> Transaction {
    let mut next = with_fault(open, happened, why, now);
    enter(&mut next, step, now);
    next
}

/// The first fault counts: what goes wrong on the way back is told by its own end.
fn with_fault(mut open: Transaction, happened: &Happened, why: &str, now: Timestamp) -> Transaction {
    let kind = step::fault_kind(happened).filter(|_| open.step <= Step::Judge || open.fault.is_none());
    let kind = kind.filter(|_| !(open.step == Step::Judge && *happened == Happened::Crashed));
    if let Some(kind) = kind {
        open.fault = Some(Fault { at: open.step, kind, reason: why.to_owned(), ts: now });
    }
    open
}

fn enter(transaction: &mut Transaction, step: Step, now: Timestamp) {
    info!(step = step.word(), "begun");
    if step == Step::Deploy && transaction.deployed.is_none() {
        transaction.deployed = Some(now);
    }
    transaction.step = step;
    transaction.step_began = now;
}

/// Best effort: a journal that does not say so is taken for that of a killed run.
fn lay_down<J: Journal>(state: &mut State, happened: &Happened, journal: &mut J) {
    let Some(open) = state.open.as_mut().filter(|_| *happened == Happened::LaidDown) else { return };
    open.laid_down = true;
    if let Err(cause) = journal.write(state) {
        warn!(cause = format!("{cause:#}"), "the journal could not be written");
    }
}
