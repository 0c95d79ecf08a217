use super::*;
use crate::app::worlds::{candidate, release, transaction};
use crate::model::state::{Interrupted, Refused};
use crate::model::transaction::{Fault, Old, Volume};

fn app() -> AppName {
    "wiki".parse().unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn after() -> State {
    State { current: Some(release("1.0.0+1")), ..State::new(&"wiki_example_org".parse().unwrap()) }
}

fn fault(at_step: Step, kind: FaultKind, reason: &str) -> Option<Fault> {
    Some(Fault { at: at_step, kind, reason: reason.to_owned(), ts: at("2026-06-01T02:01:40Z") })
}

/// An upgrade of an app with one volume, gone back with its data.
fn gone_back() -> Transaction {
    let volume = Volume { mountpoint: Some("/docker/volumes/wiki_data/_data".into()), left_out: false };
    Transaction {
        new: Some(candidate("1.1.0+1")),
        volumes: [("wiki_data".to_owned(), volume)].into(),
        snapshot: Some("s1".into()),
        staged: [("wiki_data".to_owned(), 7)].into(),
        deployed: Some(at("2026-06-01T02:00:10Z")),
        fault: fault(Step::Judge, FaultKind::No, "task failed: exit 1"),
        step: Step::Rejudge,
        ..transaction(Purpose::Upgrade)
    }
}

fn closed(end: End, transaction: Transaction, after: &State) -> Outcome {
    outcome(&app(), &Ended::Closed { end, why: String::new(), transaction: Box::new(transaction) }, after)
}

#[track_caller]
fn says(outcome: &Outcome, words: &[&str]) {
    let sentence = outcome.sentence();
    words.iter().for_each(|word| assert!(sentence.contains(word), "{word:?} in: {sentence}"));
}

#[test]
fn a_good_upgrade_says_how_one_would_go_back() {
    let good = Transaction { fault: None, staged: Default::default(), ..gone_back() };
    let outcome = closed(End::Upgraded, good, &after());
    assert_eq!(outcome.exit_code(), 0);
    says(&outcome, &["1.0.0+1 -> 1.1.0+1 passed its gate", "`evenkeel rollback wiki`", "snapshot s1"]);
}

#[test]
fn a_rollback_says_what_runs_what_was_written_where_it_lies_and_what_lifts_the_refusal() {
    let outcome = closed(End::RolledBack, gone_back(), &after());
    assert_eq!(outcome.exit_code(), 11);
    says(
        &outcome,
        &[
            "did not pass its gate: task failed: exit 1",
            "1.0.0+1 runs again on the data that it had when it was stopped",
            "from 2026-06-01T02:00:10Z until it was stopped after 2026-06-01T02:01:40Z",
            "/docker/volumes/wiki_data/evenkeel-t1-failed",
            "`evenkeel approve wiki 1.1.0+1`",
        ],
    );
}

#[test]
fn what_was_killed_is_tried_again_and_after_two_times_not_by_itself() {
    let killed = || Transaction { fault: fault(Step::Deploy, FaultKind::Crash, "the run was killed"), ..gone_back() };
    says(&closed(End::RolledBack, killed(), &after()), &["broken off at deploy", "the next run tries it again"]);

    let key = killed().new.unwrap().key;
    let interrupted = Interrupted { key, revision: candidate("1.1.0+1").body.revision, times: 2 };
    let twice = State { interrupted: Some(interrupted), ..after() };
    says(&closed(End::RolledBack, killed(), &twice), &["that happened 2 times", "`evenkeel approve wiki 1.1.0+1`"]);
}

#[test]
fn what_ends_before_the_snapshot_says_that_no_data_was_touched() {
    let full = Transaction {
        fault: fault(Step::Snapshot, FaultKind::Failed, "no space left on device"),
        staged: Default::default(),
        ..gone_back()
    };
    let outcome = closed(End::Blocked, full, &after());
    assert_eq!(outcome.exit_code(), 12);
    says(&outcome, &["broken off at snapshot: no space left", "1.0.0+1 runs again as before", "was not touched"]);
    assert!(!outcome.sentence().contains("-failed"), "{outcome}");
}

#[test]
fn stuck_says_what_stands_where_and_the_ways_out_in_commands() {
    for step in [Step::Judge, Step::Withdraw, Step::Restore, Step::Redeploy, Step::Rejudge] {
        let transaction = Box::new(Transaction { step, ..gone_back() });
        let stuck = Stuck { reason: "it did not end".into(), ts: at("2026-06-01T02:10:00Z"), transaction };
        let outcome = closed(End::Stuck, gone_back(), &State { stuck: Some(stuck), ..after() });
        assert_eq!(outcome.exit_code(), 13);
        says(
            &outcome,
            &[
                "the upgrade 1.0.0+1 -> 1.1.0+1 is stuck since 2026-06-01T02:10:00Z: it did not end",
                "snapshot s1",
                "`evenkeel app wiki --retry`",
                "`evenkeel snapshot restore wiki s1`",
            ],
        );
    }
}

#[test]
fn an_open_one_says_where_it_stands_and_who_finishes_it() {
    let open = Some(Box::new(Transaction { step: Step::Judge, fault: None, ..gone_back() }));
    let outcome =
        outcome(&app(), &Ended::Open { why: "the Engine does not answer".into() }, &State { open, ..after() });
    assert_eq!(outcome.exit_code(), 1);
    says(&outcome, &["the Engine does not answer", "stands at judge since", "`evenkeel resume`", "by nightly"]);
}

#[test]
fn what_keeps_an_open_one_from_its_end_is_told_and_told_once() {
    let full = "unpack /s/data.tar.zst: no space left".to_owned();
    let left =
        Fault { at: Step::Restore, kind: FaultKind::Failed, reason: full.clone(), ts: at("2026-06-01T02:20:00Z") };
    let transaction = Transaction { step: Step::Restore, left: Some(left), ..gone_back() };
    assert!(open(&app(), &transaction).contains(&full));
    let state = State { open: Some(Box::new(transaction)), ..after() };
    let outcome = outcome(&app(), &Ended::Open { why: full.clone() }, &state);
    assert_eq!(outcome.sentence().matches(&full).count(), 1, "{outcome}");
}

#[test]
fn a_change_of_configuration_is_not_called_another_version() {
    let same = Transaction { new: Some(candidate("1.0.0+1")), ..gone_back() };
    says(
        &closed(End::RolledBack, same, &after()),
        &["the change of 1.0.0+1 did not pass", "`evenkeel app wiki --retry`"],
    );
}

#[test]
fn what_was_done_by_hand_says_what_it_means() {
    let volumes = gone_back().volumes;
    let by_hand = |purpose| Transaction {
        snapshot: Some("s0".into()),
        volumes: volumes.clone(),
        staged: [("wiki_data".to_owned(), 7)].into(),
        ..transaction(purpose)
    };
    let left = Refused {
        revision: candidate("1.1.0+1").body.revision,
        key: String::new(),
        images: Default::default(),
        reason: "left by hand".into(),
        ts: at("2026-06-01T02:02:00Z"),
        by_hand: true,
    };
    let back = closed(End::WentBack, by_hand(Purpose::Rollback), &State { refused: vec![left], ..after() });
    says(
        &back,
        &[
            "1.0.0+1 runs again, on the data of snapshot s0",
            "evenkeel-t1-failed",
            "1.1.0+1, which was left, is not taken again by itself (`evenkeel approve wiki 1.1.0+1` lifts that)",
        ],
    );
    let restored = closed(End::WentBack, by_hand(Purpose::Restore), &after());
    assert!(!restored.sentence().contains("approve"), "{restored}");
    let taken = closed(End::Taken, by_hand(Purpose::Take), &after());
    says(&taken, &["snapshot s0 of 1.0.0+1 was taken", "`evenkeel snapshot drop wiki s0`"]);
    assert_eq!((back.exit_code(), taken.exit_code()), (0, 0));
}

/// From 1.1.0+1 to 1.0.0+1 by hand.
fn by_hand_from_newer() -> Transaction {
    let before = Old { release: release("1.1.0+1"), frozen: Default::default(), gate: ().into() };
    Transaction {
        purpose: Purpose::Rollback,
        new: None,
        before: Some(before),
        fault: fault(Step::Rejudge, FaultKind::No, "task failed: exit 1"),
        ..gone_back()
    }
}

#[test]
fn a_way_back_that_was_undone_says_what_runs_and_where_the_other_data_lies() {
    let outcome = closed(End::RolledBack, by_hand_from_newer(), &after());
    assert_eq!(outcome.exit_code(), 11);
    says(
        &outcome,
        &[
            "the way back to 1.0.0+1 did not lead to a healthy app: task failed: exit 1",
            "1.1.0+1 runs again on the data that it had",
            "from 2026-06-01T02:00:10Z until it was stopped after 2026-06-01T02:01:40Z is kept in",
            "/docker/volumes/wiki_data/evenkeel-t1-failed",
        ],
    );
}

#[test]
fn out_of_a_stuck_way_back_a_command_leads_to_each_data_that_exists() {
    let told = |turned: bool, step| {
        let way_back = by_hand_from_newer();
        let fault = way_back.fault.clone().filter(|_| turned);
        let transaction = Box::new(Transaction { step, fault, ..way_back });
        stuck(&app(), &Stuck { reason: "no".into(), ts: at("2026-06-01T02:10:00Z"), transaction })
    };
    let late = told(false, Step::Rejudge);
    assert!(late.contains("The data of 1.1.0+1 is in /docker/volumes/wiki_data/evenkeel-t1-failed"), "{late}");
    assert!(late.contains("--retry` tries rejudge again; or `evenkeel rollback wiki` brings 1.1.0+1 back"), "{late}");
    let neither = told(true, Step::Rejudge);
    assert!(neither.contains("neither 1.0.0+1 nor 1.1.0+1 comes up; 1.1.0+1's own data is in place"), "{neither}");
    assert!(neither.contains("or `evenkeel rollback wiki` tries 1.0.0+1 on snapshot s1 again"), "{neither}");
    let between = told(true, Step::Restore);
    assert!(between.contains("--retry` tries restore again") && !between.contains("or `evenkeel"), "{between}");
}
