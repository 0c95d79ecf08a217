//! Finishing open transactions, from the journal alone: today's configuration may differ, and the app may be gone from
//! it.
//!
//! The border: what is done next is the table's matter; here it is found what is open, in which order it is finished,
//! and who may do it now.

use std::cmp::Reverse;

use jiff::Timestamp;

use crate::model::app::AppName;
use crate::model::state::State;
use crate::model::transaction::{Step, Transaction};

/// The order in which open transactions are finished: the proxy's first, since the others are judged through it, then
/// the oldest.
pub fn in_order(mut open: Vec<(AppName, Transaction)>, proxy: Option<&AppName>) -> Vec<(AppName, Transaction)> {
    open.sort_by_key(|(app, transaction)| (Reverse(Some(app) == proxy), transaction.began));
    open
}

/// The state in which what is stuck is on its way again, at the step that failed. Nothing else of it changes. What was
/// being restored begins with stopping: the proof that nobody changed the stack has to be of today.
pub fn reopened(state: &State, now: Timestamp) -> State {
    let mut state = state.clone();
    let Some(stuck) = state.stuck.take() else { return state };
    // A fresh step: what the Engine does not answer is asked for as long as at the first time.
    let step = match stuck.transaction.step {
        Step::Restore => Step::Withdraw,
        step => step,
    };
    state.open = Some(Box::new(Transaction { step, step_began: now, left: None, ..*stuck.transaction }));
    state
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::worlds::transaction;
    use crate::model::state::Stuck;
    use crate::model::transaction::Purpose;

    fn open(app: &str, began: &str) -> (AppName, Transaction) {
        (app.parse().unwrap(), Transaction { began: began.parse().unwrap(), ..transaction(Purpose::Upgrade) })
    }

    #[test]
    fn the_proxy_comes_first_and_then_what_is_oldest() {
        let list = vec![
            open("b", "2026-06-01T02:00:00Z"),
            open("a", "2026-06-01T03:00:00Z"),
            open("traefik", "2026-06-01T04:00:00Z"),
        ];
        let proxy = "traefik".parse().unwrap();
        let names =
            |list: Vec<(AppName, Transaction)>| list.into_iter().map(|(app, _)| app.to_string()).collect::<Vec<_>>();
        assert_eq!(names(in_order(list.clone(), Some(&proxy))), ["traefik", "b", "a"]);
        assert_eq!(names(in_order(list, None)), ["b", "a", "traefik"]);
    }

    #[test]
    fn what_is_stuck_goes_on_where_it_failed() {
        let now: Timestamp = "2026-06-02T02:00:00Z".parse().unwrap();
        for (at, goes_on) in [(Step::Redeploy, Step::Redeploy), (Step::Restore, Step::Withdraw)] {
            let transaction = Box::new(Transaction { step: at, ..transaction(Purpose::Upgrade) });
            let stuck = Stuck { reason: "no".into(), ts: now, transaction };
            let state = State { stuck: Some(stuck), ..State::new(&"wiki".parse().unwrap()) };
            let again = reopened(&state, now);
            assert_eq!((again.open.as_ref().unwrap().step, again.open.as_ref().unwrap().step_began), (goes_on, now));
            assert_eq!(again.stuck, None);
        }
    }
}
