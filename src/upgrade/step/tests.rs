use super::*;
use crate::model::state::{Release, ReleaseBody};
use crate::model::transaction::{Candidate, Fault, Old, Rules, Volume};
use crate::model::version::Revision;

fn body(version: &str) -> ReleaseBody {
    ReleaseBody::empty(Revision { version: Some(version.into()), commit: "0".repeat(40).parse().unwrap() })
}

fn at(step: Step) -> Transaction {
    let release = Release { body: body("1.0.0+1"), key: "old".into(), since: String::new(), snapshot: None };
    let data = Volume { mountpoint: Some("/v/wiki_data/_data".into()), left_out: false };
    Transaction {
        id: "t1".into(),
        purpose: Purpose::Upgrade,
        by: "alice".into(),
        began: minute(0),
        step,
        step_began: minute(0),
        new: Some(Candidate {
            body: body("2.0.0+2"),
            key: "new".into(),
            frozen: Default::default(),
            gate: ().into(),
            notes: None,
        }),
        old: Old { release, frozen: Default::default(), gate: ().into() },
        before: None,
        rules: Rules { within: 600, ..Rules::default() },
        volumes: [("wiki_data".to_owned(), data)].into(),
        indexes: Default::default(),
        snapshot: None,
        staged: Default::default(),
        set_aside: Default::default(),
        deployed: Some(minute(0)),
        fault: None,
        left: None,
    }
}

fn minute(minutes: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + 60 * minutes).unwrap()
}

fn no() -> Happened {
    Happened::No("it crashed".into())
}

fn failed(whose: Whose) -> Happened {
    Happened::Failed { whose, why: "gone".into() }
}

fn fault_of(at: Step, kind: FaultKind) -> Fault {
    Fault { at, kind, reason: "it crashed".into(), ts: minute(1) }
}

/// Asked in the minute after the run began to try.
fn next_at(transaction: &Transaction, happened: &Happened, now: i64) -> Next {
    next(transaction, happened, When { now: minute(now), trying_since: minute(now) })
}

#[test]
fn the_table_says_what_comes_next() {
    use Step::{Deploy, Judge, Redeploy, Rejudge, Restore, Snapshot, Stage, Stop, Withdraw};
    let go = Next::Go;
    let left = || Happened::Left(fault_of(Step::Stop, FaultKind::LaidDown));
    let rows = [
        (Stage, Happened::Done, go(Withdraw)),
        (Stage, no(), Next::Close(End::Blocked)),
        (Stage, failed(Whose::Disk), Next::Close(End::Blocked)),
        (Stage, failed(Whose::Engine), Next::Again),
        (Stage, Happened::Crashed, Next::Close(End::Blocked)),
        (Stage, left(), Next::Close(End::Blocked)),
        (Stop, Happened::Done, go(Snapshot)),
        (Stop, no(), go(Redeploy)),
        (Stop, failed(Whose::Disk), go(Redeploy)),
        (Stop, failed(Whose::Engine), Next::Again),
        (Stop, Happened::Crashed, go(Redeploy)),
        (Stop, left(), go(Redeploy)),
        (Snapshot, Happened::Done, go(Deploy)),
        (Snapshot, no(), go(Redeploy)),
        (Snapshot, failed(Whose::Disk), go(Redeploy)),
        (Snapshot, failed(Whose::Engine), Next::Again),
        (Snapshot, Happened::Crashed, go(Redeploy)),
        (Snapshot, left(), go(Redeploy)),
        (Deploy, Happened::Done, go(Judge)),
        (Deploy, no(), go(Withdraw)),
        (Deploy, failed(Whose::Disk), Next::Again),
        (Deploy, failed(Whose::Engine), Next::Again),
        (Deploy, Happened::Crashed, go(Withdraw)),
        (Deploy, left(), go(Deploy)),
        (Judge, Happened::Done, Next::Close(End::Upgraded)),
        (Judge, no(), go(Withdraw)),
        (Judge, failed(Whose::Disk), Next::Again),
        (Judge, failed(Whose::Engine), Next::Again),
        (Judge, Happened::Crashed, go(Judge)),
        (Judge, left(), go(Judge)),
        (Withdraw, Happened::Done, go(Restore)),
        (Withdraw, no(), Next::Close(End::Stuck)),
        (Withdraw, failed(Whose::Engine), Next::Again),
        (Withdraw, Happened::Crashed, go(Withdraw)),
        (Restore, Happened::Done, go(Redeploy)),
        (Restore, no(), Next::Close(End::Stuck)),
        (Restore, failed(Whose::Disk), Next::Again),
        (Restore, Happened::Crashed, go(Restore)),
        (Restore, left(), go(Restore)),
        (Redeploy, Happened::Done, go(Rejudge)),
        (Redeploy, no(), Next::Close(End::Stuck)),
        (Redeploy, Happened::Crashed, go(Redeploy)),
        (Rejudge, no(), Next::Close(End::Stuck)),
        (Rejudge, failed(Whose::Engine), Next::Again),
        (Rejudge, Happened::Crashed, go(Rejudge)),
    ];
    for (step, happened, expected) in rows {
        assert_eq!(next_at(&at(step), &happened, 1), expected, "{step:?} {happened:?}");
        assert_eq!(next_at(&at(step), &Happened::LaidDown, 1), Next::LeaveOpen, "{step:?}");
    }
}

#[test]
fn where_the_way_back_began_says_what_its_end_is_called() {
    for (step, end) in [
        (Step::Stop, End::Blocked),
        (Step::Snapshot, End::Blocked),
        (Step::Deploy, End::RolledBack),
        (Step::Judge, End::RolledBack),
    ] {
        let going_back = Transaction { fault: Some(fault_of(step, FaultKind::No)), ..at(Step::Rejudge) };
        assert_eq!(next_at(&going_back, &Happened::Done, 1), Next::Close(end));
    }
    for (purpose, end) in
        [(Purpose::Rollback, End::WentBack), (Purpose::Restore, End::WentBack), (Purpose::Take, End::Taken)]
    {
        let by_hand = Transaction { purpose, ..at(Step::Rejudge) };
        assert_eq!(next_at(&by_hand, &Happened::Done, 1), Next::Close(end));
    }
}

#[test]
fn an_engine_that_stays_away_leaves_the_journal_open() {
    let begun = minute(100);
    for step in [Step::Stage, Step::Stop, Step::Snapshot, Step::Deploy, Step::Judge, Step::Withdraw, Step::Rejudge] {
        let after = |now| next(&at(step), &failed(Whose::Engine), When { now: minute(now), trying_since: begun });
        assert_eq!(after(114), Next::Again);
        assert_eq!(after(115), Next::LeaveOpen);
    }
}

#[test]
fn a_disk_that_stays_bad_at_deploy_brings_the_old_release_back() {
    let after = |now| next(&at(Step::Deploy), &failed(Whose::Disk), When { now: minute(now), trying_since: minute(0) });
    assert_eq!(after(14), Next::Again);
    assert_eq!(after(15), Next::Go(Step::Withdraw));
}

#[test]
fn a_deploy_that_was_killed_long_ago_is_done_again() {
    assert_eq!(next_at(&at(Step::Deploy), &Happened::Crashed, 25), Next::Go(Step::Withdraw));
    assert_eq!(next_at(&at(Step::Deploy), &Happened::Crashed, 26), Next::Go(Step::Deploy));
}

#[test]
fn only_what_turns_a_transaction_back_is_its_fault() {
    let fault_after = |transaction: &Transaction, happened: &Happened| {
        fault(transaction, happened, next_at(transaction, happened, 1), minute(1)).map(|fault| (fault.at, fault.kind))
    };
    assert_eq!(fault_after(&at(Step::Snapshot), &failed(Whose::Disk)), Some((Step::Snapshot, FaultKind::Failed)));
    assert_eq!(fault_after(&at(Step::Deploy), &Happened::Crashed), Some((Step::Deploy, FaultKind::Crash)));
    assert_eq!(fault_after(&at(Step::Judge), &no()), Some((Step::Judge, FaultKind::No)));
    assert_eq!(fault_after(&at(Step::Judge), &Happened::Crashed), None);
    assert_eq!(
        fault_after(&at(Step::Stop), &Happened::Left(fault_of(Step::Stop, FaultKind::LaidDown))),
        Some((Step::Stop, FaultKind::LaidDown))
    );

    let by_hand = Transaction { purpose: Purpose::Rollback, ..at(Step::Restore) };
    assert_eq!(fault_after(&by_hand, &Happened::Crashed), None);
    let going_back = Transaction { fault: Some(fault_of(Step::Judge, FaultKind::No)), ..at(Step::Rejudge) };
    assert_eq!(fault_after(&going_back, &no()), Some((Step::Judge, FaultKind::No)));
}

#[test]
fn a_no_that_comes_when_people_have_been_writing_takes_nothing_back() {
    let judged = at(Step::Judge);
    assert_eq!(next_at(&judged, &no(), 25), Next::Go(Step::Withdraw));
    assert_eq!(next_at(&judged, &no(), 26), Next::Close(End::Stuck));
    let deployed = at(Step::Deploy);
    assert_eq!(next_at(&deployed, &no(), 25), Next::Go(Step::Withdraw));
    assert_eq!(next_at(&deployed, &no(), 26), Next::Close(End::Stuck));

    let mut allowed = judged.clone();
    allowed.rules.late_rollback = true;
    assert_eq!(next_at(&allowed, &no(), 26), Next::Go(Step::Withdraw));

    let stateless = Transaction { volumes: Default::default(), ..judged };
    assert_eq!(next_at(&stateless, &no(), 26), Next::Go(Step::Withdraw));
}

/// By hand, from 2.0.0+2 back to 1.0.0+1.
fn by_hand(step: Step, fault: Option<Fault>) -> Transaction {
    let upgrade = at(step);
    let release = Release { body: body("2.0.0+2"), key: "new".into(), since: String::new(), snapshot: None };
    let before = Old { release, frozen: Default::default(), gate: ().into() };
    Transaction { purpose: Purpose::Rollback, new: None, before: Some(before), fault, ..upgrade }
}

#[test]
fn a_way_back_by_hand_that_leads_nowhere_is_undone_and_that_once() {
    let undone = || Some(fault_of(Step::Rejudge, FaultKind::No));
    for step in [Step::Withdraw, Step::Restore, Step::Redeploy, Step::Rejudge] {
        let once = by_hand(step, None);
        assert_eq!(next_at(&once, &no(), 1), Next::Go(Step::Withdraw));
        let found = fault(&once, &no(), next_at(&once, &no(), 1), minute(1));
        assert_eq!(found.as_ref().map(|fault| (fault.at, fault.kind)), Some((step, FaultKind::No)));
        assert!(by_hand(step, found).has_turned());
        assert_eq!(next_at(&by_hand(step, undone()), &no(), 1), Next::Close(End::Stuck));
        let nothing_before = Transaction { before: None, ..by_hand(step, None) };
        assert_eq!(next_at(&nothing_before, &no(), 1), Next::Close(End::Stuck));
        assert_eq!(fault(&once, &Happened::Crashed, Next::Go(step), minute(1)), None);
    }
    assert_eq!(next_at(&by_hand(Step::Rejudge, undone()), &Happened::Done, 1), Next::Close(End::RolledBack));
    assert_eq!(next_at(&by_hand(Step::Rejudge, None), &Happened::Done, 1), Next::Close(End::WentBack));
    assert_eq!(next_at(&by_hand(Step::Rejudge, None), &no(), 26), Next::Close(End::Stuck));
}

#[test]
fn what_ran_before_a_way_back_gets_its_own_data_and_is_what_is_judged() {
    let undone = |step| acts(&by_hand(step, Some(fault_of(Step::Rejudge, FaultKind::No))));
    assert_eq!(undone(Step::Restore), [Act::Prove, Act::GiveBack("wiki_data".into())]);
    assert_eq!(undone(Step::Redeploy), [Act::AwaitEnd { clean: false }, Act::Deploy(Side::Before)]);
    assert_eq!(undone(Step::Rejudge), [Act::Judge(Side::Before)]);
    assert_eq!(acts(&by_hand(Step::Rejudge, None)), [Act::Judge(Side::Old)]);
}

#[test]
fn nobody_has_been_writing_for_as_long_as_the_app_stands_still() {
    let [seen, noted, deployed] = &acts(&at(Step::Deploy))[..] else { panic!() };
    assert_eq!((seen, noted, deployed), (&Act::SeeStandstill, &Act::Note, &Act::Deploy(Side::New)));
    let never_seen = Transaction { deployed: None, ..at(Step::Deploy) };
    assert_eq!(next_at(&never_seen, &no(), 600), Next::Go(Step::Withdraw));
}

#[test]
fn an_app_without_data_is_neither_stopped_nor_stored() {
    let stateless = |step| Transaction { volumes: Default::default(), ..at(step) };
    assert_eq!(first(&stateless(Step::Stop)), Step::Deploy);
    assert_eq!(acts(&stateless(Step::Withdraw)), []);
    assert_eq!(acts(&stateless(Step::Restore)), []);
    assert_eq!(acts(&stateless(Step::Redeploy)), [Act::Deploy(Side::Old)]);
    let by_hand = Transaction { purpose: Purpose::Rollback, ..stateless(Step::Stop) };
    assert_eq!(first(&by_hand), Step::Redeploy);
    assert_eq!(first(&at(Step::Stop)), Step::Stop);
}

#[test]
fn by_hand_the_snapshot_is_unpacked_before_anything_is_stopped() {
    let by_hand = Transaction { purpose: Purpose::Restore, ..at(Step::Stage) };
    assert_eq!(first(&by_hand), Step::Stage);
    assert_eq!(acts(&by_hand), [Act::Unpack("wiki_data".into())]);
}

#[test]
fn every_volume_is_unpacked_and_noted_before_the_first_is_exchanged() {
    let mut two = at(Step::Restore);
    let more = Volume { mountpoint: Some("/v/wiki_db/_data".into()), left_out: false };
    let created = Volume { mountpoint: None, left_out: false };
    let excluded = Volume { mountpoint: Some("/v/wiki_cache/_data".into()), left_out: true };
    two.volumes.extend([
        ("wiki_db".to_owned(), more),
        ("wiki_new".to_owned(), created),
        ("wiki_cache".to_owned(), excluded),
    ]);

    let [data, db, new] = ["wiki_data", "wiki_db", "wiki_new"].map(str::to_owned);
    let expected = [
        Act::Unpack(data.clone()),
        Act::Unpack(db.clone()),
        Act::Note,
        Act::Prove,
        Act::Exchange(data),
        Act::Prove,
        Act::Exchange(db),
        Act::Prove,
        Act::SetAside(new),
    ];
    assert_eq!(acts(&two), expected);
}
