use super::*;
use crate::model::state::ReleaseBody;
use crate::model::transaction::{self, Old, Rules, Transaction};
use crate::model::version::Revision;
use crate::model::warm::Step;

fn now() -> Timestamp {
    "2026-06-01T02:00:00Z".parse().unwrap()
}

fn release(version: &str, snapshot: Option<&str>) -> Release {
    let revision = Revision { version: Some(version.into()), commit: "0".repeat(40).parse().unwrap() };
    let snapshot = snapshot.map(str::to_owned);
    Release { body: ReleaseBody::empty(revision), key: version.into(), since: String::new(), snapshot }
}

/// 1 is the known-good with snapshot t0 and rested on inode 7; the work deploys 2 as t1, and has found inode 9.
fn under_way(purpose: Purpose, was: Option<Status>) -> State {
    let transaction = Transaction {
        id: "t1".into(),
        purpose: transaction::Purpose::Upgrade,
        by: "alice".into(),
        began: now(),
        step: transaction::Step::Deploy,
        step_began: now(),
        new: None,
        old: Old { release: release("2", None), frozen: Default::default(), gate: ().into() },
        before: None,
        rules: Rules::default(),
        volumes: Default::default(),
        indexes: Default::default(),
        snapshot: Some("t0".into()),
        staged: Default::default(),
        set_aside: Default::default(),
        deployed: None,
        fault: None,
        left: None,
    };
    let work = Work {
        purpose,
        step: Step::Judge,
        transaction,
        was: was.map(|status| {
            let why = (status == Status::Dirty).then(|| "a run wrote to it".to_owned());
            Box::new(Warm { why, left: left(7), ..Warm::new(status, "bob", now()) })
        }),
        boot: None,
        found: left(9),
        put_back: false,
        no: None,
        refused: false,
        notes: vec![],
    };
    let warm = Warm { left: left(7), work: Some(Box::new(work)), ..Warm::new(Status::Promoting, "bob", now()) };
    let state = State::new(&"wiki".parse().unwrap());
    State { current: Some(release("1", Some("t0"))), warm: Some(warm), ..state }
}

fn work_of(state: &mut State) -> &mut Work {
    state.warm.as_mut().unwrap().work.as_mut().unwrap()
}

fn inode(state: &State) -> Option<u64> {
    state.warm.as_ref()?.left.get("wiki_data").map(|left| left.inode)
}

fn left(inode: u64) -> BTreeMap<String, Left> {
    [("wiki_data".to_owned(), Left { inode, born: None })].into()
}

#[test]
fn record_and_snapshot_change_together() {
    let mut state = under_way(Purpose::Promote, Some(Status::Idle));
    state.refused.push(Refused {
        revision: release("2", None).body.revision,
        key: "2".into(),
        images: Default::default(),
        reason: "it crashed".into(),
        ts: now(),
        by_hand: false,
    });
    let done = closed(&state, End::Committed, now());
    let current = done.current.as_ref().unwrap();
    assert_eq!((current.key.as_str(), current.snapshot.as_deref()), ("2", Some("t1")));
    assert_eq!(done.named_snapshots(), ["t1"].into(), "the one before may go");
    assert_eq!(done.warm.as_ref().unwrap().status, Status::Idle);
    assert_eq!(inode(&done), Some(9));
    assert!(done.refused.is_empty(), "it has passed its gate by now");
}

#[test]
fn every_end_says_how_the_canonical_stands() {
    use Status::{Deployed, Dirty, Idle};
    let rows = [
        (Purpose::Promote, End::Committed, Idle, Some(Idle)),
        (Purpose::Promote, End::Undone, Idle, Some(Idle)),
        (Purpose::Promote, End::Undone, Dirty, Some(Idle)),
        (Purpose::Promote, End::Spoiled, Idle, Some(Dirty)),
        (Purpose::Promote, End::Refused, Idle, Some(Idle)),
        (Purpose::Promote, End::Refused, Dirty, Some(Dirty)),
        (Purpose::Deploy, End::Deployed, Idle, Some(Deployed)),
        (Purpose::Deploy, End::Spoiled, Idle, Some(Dirty)),
        (Purpose::Quick, End::Deployed, Deployed, Some(Dirty)),
        (Purpose::Quick, End::LeftForReading, Deployed, Some(Dirty)),
        (Purpose::Quick, End::Spoiled, Deployed, Some(Dirty)),
        (Purpose::Idle, End::Rested, Deployed, Some(Dirty)),
        (Purpose::Idle, End::Rested, Dirty, Some(Dirty)),
        (Purpose::Idle, End::Spoiled, Deployed, Some(Dirty)),
        (Purpose::Restore, End::Rested, Dirty, Some(Idle)),
        (Purpose::Restore, End::Refused, Deployed, Some(Deployed)),
        (Purpose::Restore, End::Spoiled, Deployed, Some(Dirty)),
        (Purpose::Seal, End::Committed, Idle, Some(Idle)),
        (Purpose::Seal, End::Refused, Idle, Some(Idle)),
    ];
    for (purpose, end, was, stands) in rows {
        let done = closed(&under_way(purpose, Some(was)), end, now());
        assert_eq!(done.warm.as_ref().map(|warm| warm.status), stands, "{purpose:?} {end:?} {was:?}");
        assert!(done.warm.is_some_and(|warm| warm.work.is_none()), "{purpose:?} {end:?}");
    }
}

#[test]
fn only_a_commit_changes_the_known_good() {
    for end in [End::Undone, End::Refused, End::Deployed, End::LeftForReading, End::Rested, End::Spoiled] {
        for purpose in [Purpose::Promote, Purpose::Quick, Purpose::Restore] {
            let before = under_way(purpose, Some(Status::Idle));
            assert_eq!(closed(&before, end, now()).current, before.current, "{purpose:?} {end:?}");
        }
    }
}

#[test]
fn a_seed_that_was_undone_leaves_no_record_and_a_lost_one_stays_lost() {
    for (was, stands) in [(None, None), (Some(Status::Lost), Some(Status::Lost))] {
        for end in [End::Undone, End::Refused] {
            let done = closed(&under_way(Purpose::Seed, was), end, now());
            assert_eq!(done.warm.map(|warm| warm.status), stands, "{end:?}");
        }
    }
}

#[test]
fn only_the_apps_own_no_to_a_known_good_of_its_own_is_a_refusal() {
    for (purpose, refused, times) in
        [(Purpose::Promote, true, 1), (Purpose::Seed, true, 1), (Purpose::Promote, false, 0)]
    {
        let mut state = under_way(purpose, None);
        (work_of(&mut state).refused, work_of(&mut state).no) = (refused, Some("it crashed".into()));
        let done = closed(&closed_again(&state), End::Undone, now());
        assert_eq!(done.refused.len(), times, "{purpose:?} {refused}");
        let decided = done.decided.unwrap();
        assert!(decided.sentence.ends_with("it crashed"), "{}", decided.sentence);
    }
}

/// The same state with the refusal of an earlier night: it is not kept twice.
fn closed_again(state: &State) -> State {
    let before = closed(state, End::Undone, now());
    State { refused: before.refused, ..state.clone() }
}

#[test]
fn what_it_runs_on_is_remembered_while_it_is_deployed() {
    let mut state = under_way(Purpose::Deploy, Some(Status::Idle));
    assert_eq!(inode(&closed(&state, End::Deployed, now())), Some(7), "as it was left");
    work_of(&mut state).put_back = true;
    assert_eq!(inode(&closed(&state, End::Deployed, now())), Some(9), "as it was put back");
    let dirty = closed(&under_way(Purpose::Quick, Some(Status::Deployed)), End::Deployed, now());
    assert_eq!(inode(&dirty), None);
}

#[test]
fn what_rests_on_other_volumes_than_it_was_deployed_on_is_dirty() {
    let mut state = under_way(Purpose::Idle, Some(Status::Deployed));
    let other = closed(&state, End::Rested, now()).warm.unwrap();
    assert_eq!(
        (other.status, other.why.unwrap().as_str()),
        (Status::Dirty, "volume wiki_data was another one than it left")
    );
    work_of(&mut state).found = left(7);
    assert_eq!(closed(&state, End::Rested, now()).warm.unwrap().status, Status::Idle);
}

#[test]
fn why_it_is_dirty_is_told_until_it_is_not() {
    let why = |purpose, end, was| closed(&under_way(purpose, Some(was)), end, now()).warm.unwrap().why;
    assert_eq!(why(Purpose::Idle, End::Rested, Status::Dirty).as_deref(), Some("a run wrote to it"));
    assert_eq!(why(Purpose::Promote, End::Refused, Status::Dirty).as_deref(), Some("a run wrote to it"));
    assert_eq!(why(Purpose::Quick, End::Deployed, Status::Deployed).as_deref(), Some("2 was deployed over it"));
    assert_eq!(why(Purpose::Restore, End::Rested, Status::Dirty), None);
}

#[test]
fn a_state_without_work_is_left_as_it_is() {
    let mut state = under_way(Purpose::Idle, None);
    state.warm.as_mut().unwrap().work = None;
    assert_eq!(closed(&state, End::Rested, now()), state);
}

#[test]
fn what_was_refused_is_as_idle_as_it_was_and_no_more() {
    let mut state = under_way(Purpose::Restore, Some(Status::Idle));
    let indexes = |index| [("app".to_owned(), index)].into();
    work_of(&mut state).was.as_mut().unwrap().indexes = indexes(3);
    work_of(&mut state).transaction.indexes = indexes(5);
    let done = closed(&state, End::Refused, now()).warm.unwrap();
    assert_eq!((done.indexes, done.left), (indexes(3), left(7)), "somebody may have started it between two runs");
}
