use super::*;
use crate::model::state::{Release, ReleaseBody};
use crate::model::transaction::{self, Old, Rules, Transaction, Volume};
use crate::model::version::Revision;
use crate::model::warm::Warm;

const ALL: [Purpose; 7] =
    [Purpose::Seed, Purpose::Promote, Purpose::Deploy, Purpose::Quick, Purpose::Idle, Purpose::Restore, Purpose::Seal];

fn work(purpose: Purpose, step: Step) -> Work {
    let revision = Revision { version: Some("1.0.0+1".into()), commit: "0".repeat(40).parse().unwrap() };
    let release = Release { body: ReleaseBody::empty(revision), key: "1".into(), since: String::new(), snapshot: None };
    let now = "2026-06-01T02:00:00Z".parse().unwrap();
    let data = Volume { mountpoint: Some("/v/wiki_data/_data".into()), left_out: false };
    let transaction = Transaction {
        id: "t1".into(),
        purpose: transaction::Purpose::Upgrade,
        by: "alice".into(),
        began: now,
        step: transaction::Step::Deploy,
        step_began: now,
        new: None,
        old: Old { release, frozen: Default::default(), gate: ().into() },
        before: None,
        rules: Rules::default(),
        volumes: [("wiki_data".to_owned(), data)].into(),
        indexes: Default::default(),
        snapshot: (!matches!(purpose, Purpose::Seed | Purpose::Seal)).then(|| "t0".to_owned()),
        staged: Default::default(),
        set_aside: Default::default(),
        deployed: None,
        fault: None,
        left: None,
    };
    let was = Some(Box::new(Warm::new(Status::Idle, "alice", now)));
    Work {
        purpose,
        step,
        transaction,
        was,
        boot: None,
        found: Default::default(),
        put_back: false,
        no: None,
        refused: false,
        notes: vec![],
    }
}

fn no() -> Happened {
    Happened::No("it crashed".into())
}

fn failed(whose: Whose) -> Happened {
    Happened::Failed { whose, why: "gone".into() }
}

/// The steps of a work to which nothing happens, and its end.
fn way(mut work: Work, whole: bool) -> (Vec<Step>, End) {
    work.step = first(work.purpose, whole);
    let mut steps = vec![work.step];
    loop {
        match next(&work, &Happened::Done, false) {
            Next::Go(step) => work.step = step,
            Next::Close(end) => return (steps, end),
            other => panic!("{other:?}"),
        }
        steps.push(work.step);
    }
}

#[test]
fn each_work_goes_its_way_where_nothing_happens() {
    use Step::{Clear, Deploy, Halt, Judge, Make, PutBack, Rest, Store};
    let anew: &[Step] = &[Halt, Clear, Deploy, Judge, Rest, Store];
    let rows: [(Purpose, bool, &[Step], End); 8] = [
        (Purpose::Seed, false, anew, End::Committed),
        (Purpose::Promote, false, anew, End::Committed),
        (Purpose::Deploy, true, &[Deploy, Judge], End::Deployed),
        (Purpose::Deploy, false, &[Halt, Make, PutBack, Deploy, Judge], End::Deployed),
        (Purpose::Quick, true, &[Deploy, Judge], End::Deployed),
        (Purpose::Idle, true, &[Rest], End::Rested),
        (Purpose::Restore, true, &[Halt, Make, PutBack], End::Rested),
        (Purpose::Seal, true, &[Rest, Store], End::Committed),
    ];
    for (purpose, whole, steps, end) in rows {
        assert_eq!(way(work(purpose, Step::Halt), whole), (steps.to_vec(), end), "{purpose:?} {whole}");
    }
}

#[test]
fn the_table_says_what_comes_next_where_something_happens() {
    use Purpose::{Deploy, Idle, Promote, Quick, Restore, Seal, Seed};
    use Step as At;
    let (go, close, open) = (Next::Go, Next::Close, Next::LeaveOpen);
    // At, and what follows a No, a disk that fails, and a crash.
    let rows = [
        (Seed, At::Halt, [close(End::Refused); 3]),
        (Promote, At::Clear, [close(End::Refused); 3]),
        (Promote, At::Deploy, [go(At::Withdraw); 3]),
        (Promote, At::Judge, [go(At::Withdraw); 3]),
        (Promote, At::Rest, [go(At::Withdraw), go(At::Withdraw), go(At::Deploy)]),
        (Promote, At::Store, [go(At::Withdraw), go(At::Withdraw), go(At::Store)]),
        (Promote, At::Withdraw, [open, open, go(At::Withdraw)]),
        (Promote, At::Discard, [open, open, go(At::Withdraw)]),
        (Promote, At::Make, [close(End::Spoiled), close(End::Spoiled), go(At::Withdraw)]),
        (Promote, At::PutBack, [close(End::Spoiled), close(End::Spoiled), go(At::Withdraw)]),
        (Deploy, At::Halt, [go(At::Withdraw); 3]),
        (Deploy, At::Make, [go(At::Withdraw); 3]),
        (Deploy, At::PutBack, [go(At::Withdraw); 3]),
        (Deploy, At::Deploy, [go(At::Halt), go(At::Withdraw), go(At::Withdraw)]),
        (Deploy, At::Judge, [go(At::Halt), go(At::Withdraw), go(At::Withdraw)]),
        (Deploy, At::Withdraw, [open, open, go(At::Withdraw)]),
        (Quick, At::Deploy, [close(End::LeftForReading), go(At::Withdraw), go(At::Withdraw)]),
        (Quick, At::Judge, [close(End::LeftForReading), go(At::Withdraw), go(At::Withdraw)]),
        (Quick, At::Withdraw, [open, open, go(At::Withdraw)]),
        (Idle, At::Rest, [go(At::Halt); 3]),
        (Idle, At::Halt, [open, open, go(At::Halt)]),
        (Restore, At::Halt, [close(End::Refused), close(End::Refused), go(At::Halt)]),
        (Restore, At::Make, [close(End::Refused), close(End::Spoiled), go(At::Halt)]),
        (Restore, At::PutBack, [close(End::Spoiled), close(End::Spoiled), go(At::Halt)]),
        (Seal, At::Rest, [close(End::Refused); 3]),
        (Seal, At::Store, [close(End::Refused); 3]),
    ];
    for (purpose, step, follows) in rows {
        let happened = [no(), failed(Whose::Disk), Happened::Crashed];
        for (happened, expected) in happened.into_iter().zip(follows) {
            assert_eq!(next(&work(purpose, step), &happened, false), expected, "{purpose:?} {step:?} {happened:?}");
        }
    }
}

#[test]
fn an_engine_that_stays_away_and_a_run_that_is_asked_to_end_decide_nothing() {
    for purpose in ALL {
        for step in [Step::Halt, Step::Deploy, Step::Judge, Step::Rest, Step::Store, Step::PutBack, Step::Withdraw] {
            let work = work(purpose, step);
            assert_eq!(next(&work, &failed(Whose::Engine), false), Next::Again, "{purpose:?} {step:?}");
            assert_eq!(next(&work, &failed(Whose::Engine), true), Next::LeaveOpen, "{purpose:?} {step:?}");
            assert_eq!(next(&work, &Happened::LaidDown, false), Next::LeaveOpen, "{purpose:?} {step:?}");
        }
    }
}

#[test]
fn a_warm_boot_that_fails_is_tried_once_more_and_only_on_the_snapshot() {
    let at = |put_back| Work { put_back, ..work(Purpose::Deploy, Step::Judge) };
    assert_eq!(next(&at(false), &no(), false), Next::Go(Step::Halt));
    assert_eq!(next(&at(true), &no(), false), Next::Go(Step::Withdraw));
    let mut unstored = at(false);
    unstored.transaction.snapshot = None;
    assert_eq!(next(&unstored, &no(), false), Next::Go(Step::Withdraw));
}

#[test]
fn an_undone_seed_leaves_nothing_and_an_undone_promote_what_was_stored() {
    let after = |purpose| next(&work(purpose, Step::Discard), &Happened::Done, false);
    assert_eq!(after(Purpose::Seed), Next::Close(End::Undone));
    assert_eq!(after(Purpose::Promote), Next::Go(Step::Make));
}

#[test]
fn nothing_of_a_known_good_goes_before_its_snapshot_was_read() {
    let read_first = |purpose, step| acts(&work(purpose, step)).first() == Some(&Act::Verify);
    assert!(read_first(Purpose::Promote, Step::Clear));
    assert!(read_first(Purpose::Restore, Step::Make));
    assert!(read_first(Purpose::Deploy, Step::Make));
    assert!(!read_first(Purpose::Seed, Step::Clear), "there is none");
    for step in [Step::Clear, Step::Discard, Step::Make] {
        let acts = acts(&work(Purpose::Promote, step));
        let proved = acts.iter().position(|act| *act == Act::Prove).unwrap();
        let removed = acts.iter().position(|act| matches!(act, Act::Clear { .. } | Act::Make)).unwrap();
        assert!(proved < removed, "{step:?}: {acts:?}");
    }
}

#[test]
fn all_is_unpacked_and_noted_before_the_first_exchange() {
    let mut two = work(Purpose::Restore, Step::PutBack);
    let other = Volume { mountpoint: Some("/v/wiki_files/_data".into()), left_out: false };
    two.transaction.volumes.insert("wiki_files".into(), other);
    let acts = acts(&two);
    let noted = acts.iter().position(|act| *act == Act::Note).unwrap();
    assert_eq!(acts[..2], [Act::Leave, Act::ReadIndexes]);
    assert!(acts[2..noted].iter().all(|act| matches!(act, Act::Unpack(_))), "{acts:?}");
    assert_eq!(noted, 4);
    assert!(acts[noted + 1..].iter().all(|act| matches!(act, Act::Prove | Act::Exchange(_) | Act::Mark)), "{acts:?}");
}

/// Otherwise what was started by hand between two runs of it would be forgotten.
#[test]
fn a_work_that_may_come_to_nothing_leaves_no_new_mark_before_its_data_is_another() {
    for purpose in ALL {
        for step in [Step::Halt, Step::Clear, Step::Make] {
            assert!(!acts_of(purpose, step).contains(&Act::Leave), "{purpose:?} {step:?}");
        }
    }
    for (purpose, step) in [(Purpose::Idle, Step::Rest), (Purpose::Seed, Step::Rest), (Purpose::Restore, Step::PutBack)]
    {
        let acts = acts_of(purpose, step);
        let at = |wanted| acts.iter().position(|act| *act == wanted).unwrap();
        assert!(at(Act::Leave) < at(Act::ReadIndexes), "{acts:?}");
    }
}

#[test]
fn what_is_stored_is_proved_to_stand_still_before_and_after() {
    let acts = acts(&work(Purpose::Promote, Step::Store));
    assert_eq!(acts.first(), Some(&Act::Prove));
    assert_eq!(acts[acts.len() - 2..], [Act::Prove, Act::Mark]);
    let ends = acts_of(Purpose::Promote, Step::Rest);
    assert!(ends.contains(&Act::AwaitEnd { clean: true }), "{ends:?}");
}

fn acts_of(purpose: Purpose, step: Step) -> Vec<Act> {
    acts(&work(purpose, step))
}

#[test]
fn before_anything_else_than_the_known_good_is_written_the_record_says_so() {
    let steps = [Step::Halt, Step::Clear, Step::Deploy, Step::Judge, Step::Store, Step::Withdraw, Step::PutBack];
    let says = |purpose, step| status(purpose, step, Some(Status::Idle));
    for step in steps {
        assert_eq!(says(Purpose::Seed, step), Status::Seeding);
        assert_eq!(says(Purpose::Promote, step), Status::Promoting);
        assert_eq!(says(Purpose::Quick, step), Status::Dirty);
        assert_eq!(says(Purpose::Restore, step), Status::Dirty);
    }
    assert_eq!(says(Purpose::Deploy, Step::Deploy), Status::Deployed);
    assert_eq!(says(Purpose::Deploy, Step::PutBack), Status::Dirty);
    assert_eq!(says(Purpose::Idle, Step::Rest), Status::Idle);
    assert_eq!(says(Purpose::Idle, Step::Halt), Status::Dirty);
}

#[test]
fn a_verdict_counts_after_a_power_loss_only_where_its_data_is_on_disk() {
    for purpose in [Purpose::Seed, Purpose::Promote] {
        assert_eq!(after_boot(purpose, Step::Rest), Step::Withdraw);
        assert_eq!(after_boot(purpose, Step::Store), Step::Store);
    }
    assert_eq!(after_boot(Purpose::Seal, Step::Rest), Step::Rest, "what is stored once more was on disk before");
}
