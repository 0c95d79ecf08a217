use super::*;
use crate::model::state::{Release, ReleaseBody};
use crate::model::transaction::{Candidate, Fault, Old, Rules, Volume};
use crate::model::version::Revision;

fn body(version: &str) -> ReleaseBody {
    ReleaseBody {
        revision: Revision { version: Some(version.into()), commit: "0".repeat(40).parse().unwrap() },
        networks: Default::default(),
        external_networks: vec![],
        secrets: Default::default(),
        configs: Default::default(),
        services: Default::default(),
        images: Default::default(),
    }
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
        rules: Rules { within: 600, ..Rules::default() },
        volumes: [("wiki_data".to_owned(), data)].into(),
        indexes: Default::default(),
        snapshot: None,
        staged: Default::default(),
        deployed: Some(minute(0)),
        fault: None,
        laid_down: false,
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

fn faulty(at_step: Step, kind: FaultKind) -> Transaction {
    let fault = Fault { at: at_step, kind, reason: "it crashed".into(), ts: minute(1) };
    Transaction { fault: Some(fault), ..at(Step::Rejudge) }
}

/// Forwards to what comes next.
#[test]
fn the_table_says_what_comes_next() {
    use Step::{Deploy, Judge, Redeploy, Rejudge, Restore, Snapshot, Stop, Withdraw};
    let go = Next::Go;
    let rows = [
        (Stop, Happened::Done, go(Snapshot)),
        (Stop, no(), go(Redeploy)),
        (Stop, failed(Whose::Disk), go(Redeploy)),
        (Stop, failed(Whose::Engine), Next::Again),
        (Stop, Happened::Crashed, go(Redeploy)),
        (Snapshot, Happened::Done, go(Deploy)),
        (Snapshot, no(), go(Redeploy)),
        (Snapshot, failed(Whose::Disk), go(Redeploy)),
        (Snapshot, failed(Whose::Engine), Next::Again),
        (Snapshot, Happened::Crashed, go(Redeploy)),
        (Deploy, Happened::Done, go(Judge)),
        (Deploy, no(), go(Withdraw)),
        (Deploy, failed(Whose::Engine), Next::Again),
        (Deploy, Happened::Crashed, go(Withdraw)),
        (Judge, Happened::Done, Next::Close(End::Upgraded)),
        (Judge, no(), go(Withdraw)),
        (Judge, failed(Whose::Engine), Next::Again),
        (Judge, Happened::Crashed, go(Judge)),
        (Withdraw, Happened::Done, go(Restore)),
        (Withdraw, no(), Next::Close(End::Stuck)),
        (Withdraw, failed(Whose::Engine), Next::Again),
        (Withdraw, Happened::Crashed, go(Withdraw)),
        (Restore, Happened::Done, go(Redeploy)),
        (Restore, no(), Next::Close(End::Stuck)),
        (Restore, failed(Whose::Disk), Next::Again),
        (Restore, Happened::Crashed, go(Restore)),
        (Redeploy, Happened::Done, go(Rejudge)),
        (Redeploy, no(), Next::Close(End::Stuck)),
        (Redeploy, Happened::Crashed, go(Redeploy)),
        (Rejudge, no(), Next::Close(End::Stuck)),
        (Rejudge, failed(Whose::Engine), Next::Again),
        (Rejudge, Happened::Crashed, go(Rejudge)),
        (Judge, Happened::LaidDown, Next::LeaveOpen),
    ];
    for (step, happened, expected) in rows {
        assert_eq!(next(&at(step), &happened, minute(1)), expected, "{step:?} {happened:?}");
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
        assert_eq!(next(&faulty(step, FaultKind::No), &Happened::Done, minute(1)), Next::Close(end));
    }
    for (purpose, end) in
        [(Purpose::Rollback, End::WentBack), (Purpose::Restore, End::WentBack), (Purpose::Take, End::Taken)]
    {
        let by_hand = Transaction { purpose, ..at(Step::Rejudge) };
        assert_eq!(next(&by_hand, &Happened::Done, minute(1)), Next::Close(end));
    }
}

#[test]
fn an_engine_that_stays_away_leaves_the_journal_open() {
    for step in [Step::Stop, Step::Snapshot, Step::Judge, Step::Withdraw, Step::Rejudge] {
        assert_eq!(next(&at(step), &failed(Whose::Engine), minute(14)), Next::Again);
        assert_eq!(next(&at(step), &failed(Whose::Engine), minute(15)), Next::LeaveOpen);
    }
}

#[test]
fn a_no_that_comes_when_people_have_been_writing_takes_nothing_back() {
    let judged = at(Step::Judge);
    assert_eq!(next(&judged, &no(), minute(25)), Next::Go(Step::Withdraw));
    assert_eq!(next(&judged, &no(), minute(26)), Next::Close(End::Stuck));

    let mut allowed = judged.clone();
    allowed.rules.late_rollback = true;
    assert_eq!(next(&allowed, &no(), minute(26)), Next::Go(Step::Withdraw));

    let stateless = Transaction { volumes: Default::default(), ..judged };
    assert_eq!(next(&stateless, &no(), minute(26)), Next::Go(Step::Withdraw));
}

#[test]
fn an_app_without_data_is_neither_stopped_nor_stored() {
    let stateless = |step| Transaction { volumes: Default::default(), ..at(step) };
    assert_eq!(first(&stateless(Step::Stop)), Step::Deploy);
    assert_eq!(acts(&stateless(Step::Withdraw)), []);
    assert_eq!(acts(&stateless(Step::Restore)), [Act::Note]);
    assert_eq!(first(&at(Step::Stop)), Step::Stop);
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
