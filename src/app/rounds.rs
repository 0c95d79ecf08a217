//! Asking several things of a server that may be slow or unwell for a moment.
//!
//! In rounds: first each once, then those whose answer may pass, after ever longer waits. So what fails holds up nothing
//! but itself.

use std::cell::Cell;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use tokio::time::{Instant, sleep};

/// Before each further round.
pub const WAITS: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4), Duration::from_secs(8)];

/// So many hang before another one has to wait for them.
const AT_ONCE: usize = 4;

/// What follows from a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It may pass: the thing is asked again.
    Again,
    Stays,
    /// It is the same for all: nothing more is begun.
    EndsAll,
}

/// How often, and until when.
#[derive(Debug, Clone, Copy)]
pub struct Patience<'a> {
    pub waits: &'a [Duration],
    /// Nothing is begun after it. How long one question may take is its own matter.
    pub until: Instant,
}

/// Asks each, a few at once, and gives the last answer of each, in their order; `None`: it was not come to.
pub async fn in_rounds<I: Copy, T, E>(
    things: &[I],
    patience: Patience<'_>,
    ask: impl AsyncFn(I) -> Result<T, E>,
    fate: impl Fn(&E) -> Fate,
) -> Vec<Option<Result<T, E>>> {
    let mut answers: Vec<Option<Result<T, E>>> = things.iter().map(|_| None).collect();
    let mut waits = patience.waits.iter();
    let is_over = Cell::new(false);
    let ask_one = async |at: usize| {
        if is_over.get() || Instant::now() >= patience.until {
            return None;
        }
        let told = ask(things[at]).await;
        is_over.set(is_over.get() || told.as_ref().is_err_and(|error| fate(error) == Fate::EndsAll));
        Some((at, told))
    };
    let may_pass = |answer: &Result<T, E>| answer.as_ref().is_err_and(|error| fate(error) == Fate::Again);
    loop {
        let due: Vec<usize> =
            answers.iter().enumerate().filter(|(_, a)| a.as_ref().is_none_or(may_pass)).map(|(at, _)| at).collect();
        let told: Vec<_> = stream::iter(due).map(&ask_one).buffered(AT_ONCE).collect().await;
        told.into_iter().flatten().for_each(|(at, told)| answers[at] = Some(told));
        let is_left = !is_over.get() && answers.iter().flatten().any(may_pass);
        match waits.next() {
            Some(wait) if is_left && Instant::now() + *wait < patience.until => sleep(*wait).await,
            _ => return answers,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    const A_MINUTE: Duration = Duration::from_secs(60);

    /// Who was asked, and how many seconds after the beginning.
    type Asked = Vec<(&'static str, u64)>;
    type Answers = Vec<Option<Result<(), Fate>>>;

    /// Each answer takes a time.
    async fn play(
        things: &[&'static str],
        within: Duration,
        say: impl Fn(&str, usize) -> (u64, Result<(), Fate>),
    ) -> (Answers, Asked) {
        let (asked, begun) = (RefCell::new(Asked::new()), Instant::now());
        let ask = async |thing: &'static str| {
            let nth = asked.borrow().iter().filter(|(other, _)| *other == thing).count();
            asked.borrow_mut().push((thing, begun.elapsed().as_secs()));
            let (takes, says) = say(thing, nth);
            sleep(Duration::from_secs(takes)).await;
            says
        };
        let answers = in_rounds(things, Patience { waits: &WAITS, until: begun + within }, ask, |fate| *fate).await;
        (answers, asked.into_inner())
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_pass_is_asked_again_after_growing_waits_and_a_bounded_number_of_times() {
        let (answers, asked) = play(&["a"], A_MINUTE, |_, _| (0, Err(Fate::Again))).await;
        assert_eq!(answers, [Some(Err(Fate::Again))]);
        assert_eq!(asked, [("a", 0), ("a", 1), ("a", 3), ("a", 7), ("a", 15)]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_fails_or_hangs_keeps_nothing_else_waiting_and_what_is_done_is_not_asked_again() {
        let say = |thing: &str, nth| match (thing, nth) {
            ("a", 0 | 1) => (0, Err(Fate::Again)),
            ("b", _) => (0, Err(Fate::Stays)),
            ("c", _) => (10, Err(Fate::Stays)),
            _ => (0, Ok(())),
        };
        let (answers, asked) = play(&["a", "b", "c", "d", "e"], A_MINUTE, say).await;
        assert_eq!(answers, [Ok(()), Err(Fate::Stays), Err(Fate::Stays), Ok(()), Ok(())].map(Some));
        assert_eq!(asked, [("a", 0), ("b", 0), ("c", 0), ("d", 0), ("e", 0), ("a", 11), ("a", 13)]);
    }

    #[tokio::test(start_paused = true)]
    async fn where_all_hang_it_is_known_what_was_not_come_to() {
        let things = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];
        let (answers, asked) = play(&things, Duration::from_secs(15), |_, _| (10, Err(Fate::Again))).await;
        assert_eq!(answers.iter().filter(|answer| answer.is_none()).count(), 1);
        assert_eq!((answers[8], asked.len()), (None, 8));
    }

    #[tokio::test(start_paused = true)]
    async fn after_what_is_the_same_for_all_nothing_more_is_begun() {
        let things = ["a", "b", "c", "d", "e", "f"];
        let (answers, asked) = play(&things, A_MINUTE, |_, _| (1, Err(Fate::EndsAll))).await;
        assert_eq!(asked.len(), AT_ONCE, "those that were begun with the first");
        assert_eq!(answers[4..], [None, None]);
    }

    #[tokio::test(start_paused = true)]
    async fn no_wait_ends_after_the_time_is_over() {
        let (_, asked) = play(&["a"], Duration::from_secs(5), |_, _| (0, Err(Fate::Again))).await;
        assert_eq!(asked, [("a", 0), ("a", 1), ("a", 3)]);
    }
}
