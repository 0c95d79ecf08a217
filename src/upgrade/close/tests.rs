use super::*;
use crate::model::state::ReleaseBody;
use crate::model::transaction::{Candidate, Fault, Old, Rules, Volume};
use crate::model::version::Revision;

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn body(version: &str) -> ReleaseBody {
    ReleaseBody::empty(Revision { version: Some(version.into()), commit: "0".repeat(40).parse().unwrap() })
}

fn release(version: &str) -> Release {
    Release { body: body(version), key: version.into(), since: String::new(), snapshot: None }
}

/// `current` is 1, on its way to 2.
fn under_way(purpose: Purpose, step: Step, fault: Option<(Step, FaultKind)>) -> State {
    let fault = fault.map(|(at, kind)| Fault { at, kind, reason: "it crashed".into(), ts: now() });
    let old = Old { release: release("1"), frozen: Default::default(), gate: ().into() };
    let new = Candidate { body: body("2"), key: "2".into(), frozen: Default::default(), gate: ().into(), notes: None };
    let transaction = Transaction {
        id: "t1".into(),
        purpose,
        by: "alice".into(),
        began: now(),
        step,
        step_began: now(),
        new: (purpose == Purpose::Upgrade).then_some(new),
        old,
        before: None,
        rules: Rules::default(),
        volumes: [("data".to_owned(), Volume { mountpoint: Some("/v/data/_data".into()), left_out: false })].into(),
        indexes: Default::default(),
        snapshot: Some("t1".into()),
        staged: Default::default(),
        set_aside: Default::default(),
        deployed: None,
        fault,
        left: None,
    };
    let state = State::new(&"wiki".parse().unwrap());
    State { current: Some(release("1")), open: Some(Box::new(transaction)), ..state }
}

fn times(state: &State) -> u32 {
    state.interrupted.as_ref().map_or(0, |interrupted| interrupted.times)
}

#[test]
fn a_good_upgrade_keeps_the_release_before_with_its_snapshot() {
    let done = closed(&under_way(Purpose::Upgrade, Step::Judge, None), End::Upgraded, "", now());

    assert_eq!(done.current.as_ref().unwrap().key, "2");
    assert_eq!(done.previous.as_ref().unwrap().release.snapshot.as_deref(), Some("t1"));
    assert_eq!(done.named_snapshots(), ["t1"].into());
    assert_eq!(done.named_transactions(), [].into());
}

#[test]
fn only_a_no_to_the_new_release_is_remembered_as_a_refusal() {
    let rows = [
        (Step::Deploy, FaultKind::No, 1, 0),
        (Step::Judge, FaultKind::No, 1, 0),
        (Step::Deploy, FaultKind::Crash, 0, 1),
        (Step::Deploy, FaultKind::Failed, 0, 0),
    ];
    for (at, kind, refused, interrupted) in rows {
        let going_back = under_way(Purpose::Upgrade, Step::Rejudge, Some((at, kind)));
        let done = closed(&going_back, End::RolledBack, "", now());
        assert_eq!((done.refused.len(), times(&done)), (refused, interrupted), "{at:?} {kind:?}");
        assert_eq!(done.current.as_ref().unwrap().key, "1");
        assert_eq!(done.failed.as_ref().unwrap().revision, body("2").revision);
        assert_eq!(done.named_transactions(), ["t1"].into());
    }
}

#[test]
fn what_stopped_the_app_for_nothing_is_counted_and_twice_is_enough() {
    let rows = [(FaultKind::Crash, 2), (FaultKind::No, 2), (FaultKind::Failed, 0), (FaultKind::LaidDown, 0)];
    for (kind, expected) in rows {
        let blocked = under_way(Purpose::Upgrade, Step::Rejudge, Some((Step::Snapshot, kind)));
        let once = closed(&blocked, End::Blocked, "", now());
        assert!(!once.is_given_up("2"));

        let again = State { open: blocked.open.clone(), ..once };
        let twice = closed(&again, End::Blocked, "", now());
        assert_eq!((times(&twice), twice.is_given_up("2")), (expected, expected == 2), "{kind:?}");
        assert!(!twice.is_given_up("another"));
        assert_eq!((twice.refused.len(), twice.failed), (0, None));
    }
}

#[test]
fn a_way_back_by_hand_leaves_the_version_and_keeps_its_data() {
    let mut state = under_way(Purpose::Rollback, Step::Rejudge, None);
    state.current = Some(release("2"));
    let done = closed(&state, End::WentBack, "", now());

    assert_eq!(done.current.as_ref().unwrap().key, "1");
    assert_eq!(done.previous, None);
    assert!(done.refused[0].by_hand);
    assert_eq!(done.refused[0].revision, body("2").revision);
    assert_eq!(done.failed.as_ref().unwrap().revision, body("2").revision);
}

#[test]
fn data_that_was_left_by_hand_outlives_an_upgrade_that_fails() {
    let by_hand = closed(&under_way(Purpose::Restore, Step::Rejudge, None), End::WentBack, "", now());
    let mut next = under_way(Purpose::Upgrade, Step::Rejudge, Some((Step::Judge, FaultKind::No))).open.unwrap();
    next.id = "t2".into();
    let failed = closed(&State { open: Some(next.clone()), ..by_hand.clone() }, End::RolledBack, "", now());
    assert_eq!(failed.named_transactions(), ["t1", "t2"].into());

    let good = closed(&State { open: Some(next), ..by_hand }, End::Upgraded, "", now());
    assert_eq!(good.named_transactions(), [].into());
}

#[test]
fn the_way_out_of_what_is_stuck_keeps_what_was_moved_aside_before() {
    let going_back = under_way(Purpose::Upgrade, Step::Restore, Some((Step::Judge, FaultKind::No)));
    let stuck = closed(&going_back, End::Stuck, "somebody holds the volume", now());
    let mut out = under_way(Purpose::Restore, Step::Rejudge, None).open.unwrap();
    out.id = "t2".into();
    let done = closed(&State { open: Some(out), ..stuck }, End::WentBack, "", now());

    assert_eq!((done.named_transactions(), done.under_way()), (["t1", "t2"].into(), [].into()));
    assert_eq!(done.failed.unwrap().revision, body("2").revision);
    assert_eq!(done.stuck, None);
}

#[test]
fn out_of_what_is_stuck_by_another_snapshot_its_own_stays_named() {
    let stuck = closed(
        &under_way(Purpose::Upgrade, Step::Restore, Some((Step::Judge, FaultKind::No))),
        End::Stuck,
        "somebody holds the volume",
        now(),
    );
    for end in [End::WentBack, End::Stuck] {
        let mut out = under_way(Purpose::Restore, Step::Rejudge, None).open.unwrap();
        (out.id, out.snapshot) = ("t2".into(), Some("older".into()));
        let done = closed(&State { open: Some(out), ..stuck.clone() }, end, "it answers 500", now());
        assert!(done.named_snapshots().contains("t1"), "{:?}", done.named_snapshots());
    }
}

#[test]
fn a_restored_snapshot_changes_no_release() {
    let done = closed(&under_way(Purpose::Restore, Step::Rejudge, None), End::WentBack, "", now());

    assert_eq!(done.current.as_ref().unwrap().key, "1");
    assert_eq!(done.failed.as_ref().unwrap().revision, body("1").revision);
    assert!(done.refused.is_empty());
}

#[test]
fn a_snapshot_by_hand_stays_until_it_is_dropped() {
    let done = closed(&under_way(Purpose::Take, Step::Rejudge, None), End::Taken, "", now());

    assert_eq!(done.named_snapshots(), ["t1"].into());
}

#[test]
fn stuck_names_both_reasons_and_all_that_it_needs_stays() {
    let going_back = under_way(Purpose::Upgrade, Step::Restore, Some((Step::Judge, FaultKind::No)));
    let stuck = closed(&going_back, End::Stuck, "the archive is damaged", now());
    let reason = &stuck.stuck.as_ref().unwrap().reason;
    assert_eq!(reason, "it crashed; undoing it failed at restore: the archive is damaged");
    assert_eq!(stuck.named_transactions(), ["t1"].into());
    assert_eq!(stuck.named_snapshots(), ["t1"].into());

    let late = under_way(Purpose::Upgrade, Step::Judge, Some((Step::Judge, FaultKind::No)));
    let reason = closed(&late, End::Stuck, "it crashed", now()).stuck.unwrap().reason;
    assert!(reason.contains("people may have been writing"), "{reason}");

    let by_hand = under_way(Purpose::Rollback, Step::Rejudge, None);
    let reason = closed(&by_hand, End::Stuck, "it answers 500", now()).stuck.unwrap().reason;
    assert_eq!(reason, "rejudge failed: it answers 500");
}

/// By hand from 2 back to 1, which did not come up, and back again.
fn undone() -> State {
    let mut state = under_way(Purpose::Rollback, Step::Rejudge, Some((Step::Rejudge, FaultKind::No)));
    let before = Old { release: release("2"), frozen: Default::default(), gate: ().into() };
    state.current = Some(release("2"));
    let open = state.open.as_mut().unwrap();
    (open.before, open.snapshot) = (Some(before), Some("s0".into()));
    let previous = Release { snapshot: Some("s0".into()), ..release("1") };
    state.previous = Some(Previous { release: previous, frozen: Default::default() });
    state
}

#[test]
fn a_way_back_that_was_undone_leaves_everything_as_it_was_and_keeps_what_was_tried() {
    let done = closed(&undone(), End::RolledBack, "", now());

    assert_eq!(done.current.as_ref().unwrap().key, "2");
    assert_eq!(done.named_snapshots(), ["s0"].into());
    assert_eq!(done.failed.as_ref().unwrap().revision, body("1").revision);
    assert_eq!((done.refused.len(), done.left.len(), done.interrupted.as_ref()), (0, 0, None));
    assert_eq!((done.stuck.as_ref(), done.open.as_ref()), (None, None));
    assert_eq!(done.due_alerts.len(), 1);
    let told = &done.due_alerts[0];
    assert!(
        told.evidence.contains("failed at rejudge: it crashed") && told.evidence.contains("runs again"),
        "{told:?}"
    );
}

#[test]
fn what_another_stuck_way_has_moved_aside_stays_named() {
    let stuck = closed(&undone(), End::Stuck, "it answers 500", now());
    let mut again = undone().open.unwrap();
    again.id = "t2".into();
    let twice = closed(&State { open: Some(again.clone()), ..stuck.clone() }, End::Stuck, "no", now());
    assert_eq!(twice.named_transactions(), ["t1", "t2"].into());
    let out = closed(&State { open: Some(again), ..stuck }, End::RolledBack, "no", now());
    assert_eq!(out.named_transactions(), ["t1", "t2"].into());
}
