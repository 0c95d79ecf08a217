//! Performing a canonical's work over anything that can do its acts.
//!
//! The journal is written before each step; what comes next is never decided here. The surprise: a snapshot that is being
//! made does not stand in the journal as the one to go back to. Only the commit names it.

use anyhow::{Error, Result, ensure};
use jiff::Timestamp;
use tracing::{debug, info, warn};

use super::close::{closed, not_as_left};
use super::step::{self, End, Next};
use crate::model::state::State;
use crate::model::warm::{Step, Warm, Work};
use crate::upgrade::run::{Effects, Fact, Failure, Journal, Performed, unwritten, words};
use crate::upgrade::step::{Act, Happened, RETRY, Whose};

/// How a run over a canonical's work ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Ended {
    Closed {
        end: End,
        work: Box<Work>,
    },
    /// The work stays open, for this reason.
    Open {
        why: String,
    },
}

/// Writes the work into the journal and performs it. After [`Ended::Open`] the state in memory may be ahead of the
/// journal: it has to be read again.
///
/// # Errors
/// When the journal cannot be written, or other work is open in it already. Nothing was touched then.
pub async fn begin<E: Effects, J: Journal>(
    state: &mut State,
    work: Work,
    effects: &mut E,
    journal: &mut J,
) -> Result<Ended> {
    let is_open = state.warm.as_ref().is_some_and(|warm| warm.work.is_some());
    ensure!(!is_open, "what was begun before has to be finished first: run `evenkeel canonical`");
    let first = work.step;
    let begun = at(state, work, first, effects.now());
    journal.write(&begun)?;
    *state = begun;
    let mut run = Run::new(state, effects, journal);
    let happened = run.perform().await;
    Ok(run.until_it_ends(happened).await)
}

/// Finishes or undoes what a run before this one left open. Nothing is open: nothing is done.
pub async fn resume<E: Effects, J: Journal>(state: &mut State, effects: &mut E, journal: &mut J) -> Option<Ended> {
    let work = state.warm.as_ref()?.work.as_ref()?;
    info!(step = work.step.word(), what = work.purpose.word(), "what was broken off is finished");
    Some(Run::new(state, effects, journal).until_it_ends(Happened::Crashed).await)
}

/// The state with the work at a step, and what that makes of the canonical.
fn at(state: &State, mut work: Work, step: Step, now: Timestamp) -> State {
    info!(step = step.word(), what = work.purpose.word(), "begun");
    if work.step != step {
        work.transaction.step_began = now;
    }
    work.step = step;
    let status = step::status(work.purpose, step, work.status_before());
    let by = work.transaction.by.clone();
    let mut warm = state.warm.clone().unwrap_or_else(|| Warm::new(status, &by, now));
    if warm.status != status {
        (warm.status, warm.since, warm.by, warm.why) = (status, now, by, None);
    }
    warm.work = Some(Box::new(work));
    State { warm: Some(warm), ..state.clone() }
}

struct Run<'a, E, J> {
    state: &'a mut State,
    effects: &'a mut E,
    journal: &'a mut J,
    trying_since: Timestamp,
}

impl<'a, E: Effects, J: Journal> Run<'a, E, J> {
    fn new(state: &'a mut State, effects: &'a mut E, journal: &'a mut J) -> Self {
        let trying_since = effects.now();
        Self { state, effects, journal, trying_since }
    }

    async fn until_it_ends(&mut self, mut happened: Happened) -> Ended {
        loop {
            match self.follow(&happened).await {
                Some(ended) => return ended,
                None => happened = self.perform().await,
            }
        }
    }

    fn work(&self) -> &Work {
        self.state.warm.as_ref().and_then(|warm| warm.work.as_deref()).expect("a run ends when its work is closed")
    }

    /// Does the step at which the work stands.
    async fn perform(&mut self) -> Happened {
        for act in step::acts(self.work()) {
            if self.effects.is_asked_to_end() {
                return Happened::LaidDown;
            }
            debug!(?act, "begun");
            let performed = match act {
                Act::Note => self.note(),
                act => self.effects.perform(&act, &self.work().transaction.clone()).await,
            };
            match performed {
                Ok(Ok(fact)) => match missed(self.work(), &fact) {
                    Some(missed) => return Happened::No(missed),
                    None => self.learn(fact),
                },
                Ok(Err(no)) => return Happened::No(no),
                Err(Failure::Engine(why)) => return Happened::Failed { whose: Whose::Engine, why },
                Err(Failure::Disk(why)) => return Happened::Failed { whose: Whose::Disk, why },
                Err(Failure::AskedToEnd) => return Happened::LaidDown,
            }
        }
        Happened::Done
    }

    fn note(&mut self) -> Performed {
        self.journal.write(self.state).map_err(|cause| Failure::Disk(unwritten(&cause)))?;
        Ok(Ok(Fact::Nothing))
    }

    fn learn(&mut self, fact: Fact) {
        let now = self.effects.now();
        let work = self.state.warm.as_mut().and_then(|warm| warm.work.as_mut()).expect("it is open");
        match fact {
            Fact::Sealed(_) => {}
            Fact::Marked(found) => work.found = found,
            fact => fact.into_journal(&mut work.transaction, now),
        }
    }

    /// Does what the table says; how all of it ended, if it has.
    async fn follow(&mut self, happened: &Happened) -> Option<Ended> {
        let now = self.effects.now();
        let tried_enough = now.duration_since(self.trying_since) >= RETRY;
        let next = step::next(self.work(), happened, tried_enough);
        let work = judged(self.work(), happened, next);
        match next {
            Next::Go(step) => {
                self.trying_since = now;
                self.write(at(self.state, work, step, now)).await
            }
            Next::Close(end) => {
                let next = closed(&at_end(self.state, &work), end, now);
                let ended = Ended::Closed { end, work: Box::new(work) };
                Some(self.write(next).await.unwrap_or(ended))
            }
            Next::LeaveOpen => Some(Ended::Open { why: words(happened).to_owned() }),
            Next::Again => {
                warn!(step = work.step.word(), cause = words(happened), "tried again");
                self.effects.rest().await;
                None
            }
        }
    }

    /// Tries to write for as long as anything that fails is tried. Until it is written, the journal names a step from
    /// which a later run does no harm.
    async fn write(&mut self, next: State) -> Option<Ended> {
        let since = self.effects.now();
        loop {
            let cause: Error = match self.journal.write(&next) {
                Ok(()) => {
                    *self.state = next;
                    return None;
                }
                Err(cause) => cause,
            };
            let enough = self.effects.now().duration_since(since) >= RETRY;
            if enough || self.effects.is_asked_to_end() {
                return Some(Ended::Open { why: unwritten(&cause) });
            }
            warn!(cause = format!("{cause:#}"), "the journal is written again");
            self.effects.rest().await;
        }
    }
}

fn at_end(state: &State, work: &Work) -> State {
    let warm = state.warm.clone().map(|warm| Warm { work: Some(Box::new(work.clone())), ..warm });
    State { warm, ..state.clone() }
}

/// Why the volumes that were stored are not those that were found when all had come to rest.
fn missed(work: &Work, fact: &Fact) -> Option<String> {
    match fact {
        Fact::Marked(found) if work.step == Step::Store => not_as_left(&work.found, found),
        _ => None,
    }
}

/// The work with what its step's end says of it.
fn judged(work: &Work, happened: &Happened, next: Next) -> Work {
    let mut work = work.clone();
    if work.step == Step::PutBack && *happened == Happened::Done {
        work.put_back = true;
    }
    let turns = matches!(next, Next::Go(Step::Withdraw | Step::Halt) | Next::Close(_));
    if !turns || *happened == Happened::Done {
        return work;
    }
    if matches!(next, Next::Go(Step::Halt)) && work.step == Step::Judge {
        let why = words(happened);
        work.notes.push(format!("on the data that it had it did not come up ({why}), so the snapshot was put back"));
        return work;
    }
    work.refused |=
        work.no.is_none() && matches!(happened, Happened::No(_)) && matches!(work.step, Step::Deploy | Step::Judge);
    work.no = Some(match work.no.take() {
        Some(before) if before != words(happened) => format!("{before}; and then: {}", words(happened)),
        _ => words(happened).to_owned(),
    });
    warn!(step = work.step.word(), cause = words(happened), "not done");
    work
}
