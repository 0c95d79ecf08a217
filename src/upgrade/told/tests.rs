use proptest::prelude::*;

use super::*;
use crate::model::state::{Attempt, Release, ReleaseBody, Stuck};
use crate::model::transaction::{Candidate, Old, PassedNotes, Purpose, Rules, Step, Volume};

fn revision(version: &str) -> Revision {
    Revision { version: Some(version.into()), commit: "0".repeat(40).parse().unwrap() }
}

fn body(version: &str) -> ReleaseBody {
    ReleaseBody::empty(revision(version))
}

fn release(version: &str) -> Release {
    Release { body: body(version), key: format!("key of {version}"), since: String::new(), snapshot: None }
}

fn running(version: &str) -> State {
    State { current: Some(release(version)), ..State::new(&"wiki_example_org".parse().unwrap()) }
}

fn upgrade(fault: Option<FaultKind>) -> Transaction {
    let data = Volume { mountpoint: Some("/v/wiki_data/_data".into()), left_out: false };
    let ts = minute(4);
    Transaction {
        id: "t1".into(),
        purpose: Purpose::Upgrade,
        by: "evenkeel-app.service".into(),
        began: minute(0),
        step: Step::Rejudge,
        step_began: minute(5),
        new: Some(Candidate {
            body: body("2.0.0+2"),
            key: "new".into(),
            frozen: Default::default(),
            gate: ().into(),
            notes: Some(PassedNotes { text: "## 2.0.0+2\nthe data moves".into(), is_told: true }),
        }),
        old: Old { release: release("1.0.0+1"), frozen: Default::default(), gate: ().into() },
        before: None,
        rules: Rules::default(),
        volumes: [("wiki_data".to_owned(), data)].into(),
        indexes: Default::default(),
        snapshot: Some("s1".into()),
        staged: [("wiki_data".to_owned(), 7)].into(),
        set_aside: [("wiki_new".to_owned(), "/v/wiki_new/_data".into())].into(),
        deployed: Some(minute(2)),
        fault: fault.map(|kind| Fault { at: Step::Judge, kind, reason: "it crashed".into(), ts }),
        left: None,
    }
}

fn minute(minutes: i64) -> Timestamp {
    "2026-11-21T02:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_mins(minutes)
}

fn ending(outcome: &Outcome) -> Ending<'_> {
    Ending { outcome, held: None, looked: true, closed: false, by_systemd: true }
}

/// What a run that ends so makes due, its alerts written as soon as they are.
fn told(state: &mut State, ending: Ending<'_>, now: Timestamp) -> Vec<Alert> {
    *state = ended(state, &ending, now);
    std::mem::take(&mut state.due_alerts)
}

fn end(state: &State, how: End, transaction: Transaction) -> State {
    let open = State { open: Some(Box::new(transaction)), ..state.clone() };
    super::super::close::closed(&open, how, "it crashed", minute(6))
}

fn held(version: &str) -> HeldBack {
    HeldBack { reason: Reason::HeldMajor, target: revision(version), release_notes: Some("mind the data".into()) }
}

#[test]
fn what_is_well_or_waits_is_not_told() {
    let mut state = running("1.0.0+1");
    let words = || "as it should be".to_owned();
    for outcome in
        [Outcome::Converged, Outcome::Applied(words()), Outcome::Upgraded(words()), Outcome::Waiting(words())]
    {
        assert_eq!(told(&mut state, ending(&outcome), minute(0)), []);
    }
}

#[test]
fn a_version_that_stays_held_while_a_nearer_one_is_taken_is_told_once() {
    let mut state = running("1.0.0+1");
    let (held, upgraded) = (Outcome::Held("2.0.0+2 is a major step".into()), Outcome::Upgraded("1.1.0+1 runs".into()));
    let major = self::held("2.0.0+2");
    let night = |outcome| Ending { held: Some(&major), ..ending(outcome) };
    let alerts: Vec<usize> =
        [&held, &upgraded, &held].map(|outcome| told(&mut state, night(outcome), minute(0)).len()).into();
    assert_eq!(alerts, [1, 0, 0]);

    assert_eq!(told(&mut state, ending(&upgraded), minute(1)), []);
    assert_eq!(told(&mut state, night(&held), minute(2)).len(), 1, "it was let through, and is held again");
}

#[test]
fn a_held_version_is_told_once_and_the_next_one_too() {
    let mut state = running("1.0.0+1");
    let outcome = Outcome::Held("2.0.0+2 is a major step".into());
    let (second, third) = (held("2.0.0+2"), held("3.0.0+3"));
    let night = |held| Ending { held: Some(held), ..ending(&outcome) };

    let alerts = told(&mut state, night(&second), minute(0));
    assert_eq!(alerts.len(), 1);
    let alert = &alerts[0];
    assert_eq!((alert.reason, alert.evidence.as_str()), (Reason::HeldMajor, "2.0.0+2 is a major step"));
    assert_eq!((alert.from_version.as_deref(), alert.to_version.as_deref()), (Some("1.0.0+1"), Some("2.0.0+2")));
    assert_eq!(alert.release_notes.as_deref(), Some("mind the data"));

    assert_eq!(told(&mut state, night(&second), minute(1)), []);
    let by_policy = HeldBack { reason: Reason::HeldPolicy, ..second.clone() };
    assert_eq!(told(&mut state, night(&by_policy), minute(2)), [], "one version, whatever holds it");
    let converged = Outcome::Converged;
    assert_eq!(told(&mut state, Ending { looked: false, ..ending(&converged) }, minute(3)), []);
    assert_eq!(told(&mut state, night(&second), minute(4)), [], "a run that did not look knows nothing of it");
    assert_eq!(told(&mut state, night(&third), minute(5)).len(), 1);
    assert_eq!(state.alerted.len(), 1, "what is not held any more is forgotten");
}

#[test]
fn an_error_is_told_only_where_nobody_reads_it() {
    let mut state = running("1.0.0+1");
    let outcome = Outcome::Error("the registry does not answer after 25 s".into());
    assert_eq!(told(&mut state, Ending { by_systemd: false, ..ending(&outcome) }, minute(0)), []);
    assert_eq!(told(&mut state, ending(&outcome), minute(1)).len(), 1);
    let other_numbers = Outcome::Error("the registry does not answer after 31 s".into());
    assert_eq!(told(&mut state, ending(&other_numbers), minute(2)), []);
    let other_thing = Outcome::Error("the disk is full".into());
    assert_eq!(told(&mut state, ending(&other_thing), minute(3)).len(), 1);
    assert_eq!(told(&mut state, ending(&Outcome::Converged), minute(4)), []);
    assert_eq!(told(&mut state, ending(&outcome), minute(5)).len(), 1, "it was over and is back");
}

#[test]
fn what_is_not_well_is_told_once_per_configuration() {
    let mut state = running("1.0.0+1");
    let words = |log: &str| Outcome::Unhealthy(format!("it crashes; last words: {log}"));
    let first = told(&mut state, ending(&words("no database")), minute(0));
    assert_eq!(first[0].reason, Reason::Unhealthy);
    assert_eq!(told(&mut state, ending(&words("out of patience")), minute(1)), [], "other last words are no news");
    let failed = Some("it crashes".to_owned());
    let attempt = Attempt { revision: revision("1.0.0+1"), key: "other".into(), since: String::new(), failed };
    state.changing = Some(attempt);
    assert_eq!(told(&mut state, ending(&words("no database")), minute(2)).len(), 1);
    state.changing = None;
    assert_eq!(told(&mut state, ending(&Outcome::Converged), minute(3)), []);
    assert_eq!(told(&mut state, ending(&words("no database")), minute(4)).len(), 1);
}

#[test]
fn a_rollback_is_told_with_the_window_and_where_the_failed_data_lies() {
    let mut state = end(&running("1.0.0+1"), End::RolledBack, upgrade(Some(FaultKind::No)));
    let alert = state.due_alerts[0].clone();
    assert_eq!((alert.reason, state.due_alerts.len()), (Reason::Rollback, 1));
    assert_eq!((alert.from_version.as_deref(), alert.to_version.as_deref()), (Some("1.0.0+1"), Some("2.0.0+2")));
    assert_eq!(
        alert.evidence,
        "2.0.0+2 failed at judge: it crashed; what was written from 2026-11-21 02:02:00 UTC until it was stopped after \
         2026-11-21 02:04:00 UTC is not in the data that runs now: it lies in /v/wiki_data/evenkeel-t1-failed, \
         /v/wiki_new/evenkeel-t1-failed until the next good upgrade, or until more data gives way"
    );
    assert_eq!(alert.release_notes.as_deref(), Some("## 2.0.0+2\nthe data moves"));

    let outcome = Outcome::RolledBack("2.0.0+2 failed: it crashed".into());
    let written = told(&mut state, Ending { closed: true, ..ending(&outcome) }, minute(7));
    assert_eq!(written, [Alert { evidence: outcome.sentence().into(), ..alert }], "the words of the outcome");
    assert_eq!(told(&mut state, ending(&outcome), minute(7)), []);
    let outcome = Outcome::Held("2.0.0+2 was refused".into());
    let refused = held("2.0.0+2");
    assert_eq!(told(&mut state, Ending { held: Some(&refused), ..ending(&outcome) }, minute(8)), []);
}

#[test]
fn a_crash_is_not_held_against_the_version() {
    let state = end(&running("1.0.0+1"), End::RolledBack, upgrade(Some(FaultKind::Crash)));
    assert!(state.due_alerts[0].evidence.contains("(that says nothing about the version, which is tried again)"));
    assert!(state.alerted.iter().all(|fact| !fact.starts_with("held")), "{:?}", state.alerted);
}

#[test]
fn what_cannot_even_be_begun_is_told_once_between_the_same_two_releases() {
    let early = |reason: &str| {
        let mut transaction = upgrade(Some(FaultKind::No));
        transaction.fault.as_mut().unwrap().at = Step::Stop;
        transaction.fault.as_mut().unwrap().reason = reason.to_owned();
        transaction
    };
    let mut state = running("1.0.0+1");
    let blocked = Outcome::Blocked("2.0.0+2 is not taken: it was killed after 10 s".into());
    let night = |state: &mut State, reason: &str| {
        *state = end(state, End::Blocked, early(reason));
        let due = std::mem::take(&mut state.due_alerts);
        assert_eq!(told(state, Ending { closed: true, ..ending(&blocked) }, minute(8)), [], "in two ways of words");
        due
    };
    let first = night(&mut state, "it was killed after 10 s");
    assert_eq!(first[0].reason, Reason::Blocked);
    assert_eq!(first[0].evidence, "1.0.0+1 -> 2.0.0+2 ended at stop: it was killed after 10 s; the app runs as before");
    let kept = Outcome::Converged;
    assert_eq!(told(&mut state, Ending { looked: false, ..ending(&kept) }, minute(9)), []);
    assert_eq!(night(&mut state, "it was killed after 11 s"), [], "runs that keep it by day make no news of it");
    assert_eq!(night(&mut state, "the disk is full").len(), 1);
    state.current = Some(release("1.5.0+1"));
    assert_eq!(told(&mut state, Ending { looked: false, ..ending(&kept) }, minute(10)), []);
    assert_eq!(night(&mut state, "the disk is full").len(), 1, "another way");
}

#[test]
fn stuck_is_told_when_it_happens_and_not_each_night() {
    let mut state = end(&running("1.0.0+1"), End::Stuck, upgrade(Some(FaultKind::No)));
    assert_eq!(state.due_alerts.len(), 1);
    assert_eq!(state.due_alerts[0].reason, Reason::Stuck);
    assert!(state.due_alerts[0].evidence.contains("it crashed"), "{:?}", state.due_alerts);
    state.due_alerts.clear();
    let outcome = Outcome::Stuck("as it was left".into());
    assert_eq!(told(&mut state, ending(&outcome), minute(8)), []);
    assert_eq!(told(&mut state, ending(&Outcome::Waiting(String::new())), minute(9)), []);
}

#[test]
fn a_state_that_was_stuck_without_a_word_is_told_by_the_next_run() {
    let mut state = running("1.0.0+1");
    let transaction = Box::new(upgrade(None));
    state.stuck = Some(Stuck { reason: "no".into(), ts: minute(0), transaction });
    let outcome = Outcome::Stuck("as it was left".into());
    assert_eq!(told(&mut state, ending(&outcome), minute(1))[0].reason, Reason::Stuck);
}

#[test]
fn a_transaction_that_stays_open_is_told_after_an_hour_and_not_as_an_error() {
    let mut state = running("1.0.0+1");
    let mut open = upgrade(Some(FaultKind::No));
    let failed =
        |reason: &str| Some(Fault { at: Step::Rejudge, kind: FaultKind::Failed, reason: reason.into(), ts: minute(9) });
    open.left = failed("no space is left");
    state.open = Some(Box::new(open));
    let outcome = Outcome::Error("the Engine does not answer".into());
    assert_eq!(told(&mut state, ending(&outcome), minute(59)), []);
    let alerts = told(&mut state, ending(&outcome), minute(60));
    assert_eq!(alerts.len(), 1);
    assert_eq!(alerts[0].reason, Reason::Undecided);
    assert!(alerts[0].evidence.contains("open since 2026-11-21 02:00:00 UTC and stands at rejudge"), "{alerts:?}");
    assert!(alerts[0].evidence.ends_with("the last run left it there: no space is left"), "{alerts:?}");
    assert_eq!(told(&mut state, ending(&outcome), minute(62)), []);
    let mut left = |reason: &str, at| {
        state.open.as_mut().unwrap().left = failed(reason);
        told(&mut state, ending(&outcome), minute(at)).len()
    };
    assert_eq!(left("the proxy does not answer for 12 s", 64), 1, "another cause is another fact");
    assert_eq!(left("the proxy does not answer for 17 s", 66), 0, "its numbers are none");
    assert_eq!(left("no space is left", 68), 0, "what comes again was told");
    state.open = None;
    assert_eq!(told(&mut state, ending(&Outcome::Converged), minute(64)), []);
    assert!(state.alerted.is_empty());
}

#[test]
fn notes_are_told_where_the_operator_asks_for_it() {
    let state = end(&running("1.0.0+1"), End::Upgraded, upgrade(None));
    assert_eq!(state.due_alerts[0].reason, Reason::ReleaseNotes);
    assert_eq!(state.due_alerts[0].release_notes.as_deref(), Some("## 2.0.0+2\nthe data moves"));
    let mut quiet = upgrade(None);
    quiet.new.as_mut().unwrap().notes.as_mut().unwrap().is_told = false;
    assert_eq!(end(&running("1.0.0+1"), End::Upgraded, quiet).due_alerts, []);
}

#[test]
fn an_alert_is_bounded() {
    let long = Outcome::Blocked("é".repeat(1_000_000));
    let alerts = told(&mut running("1.0.0+1"), ending(&long), minute(0));
    assert_eq!(alerts[0].evidence.chars().count(), LONGEST_EVIDENCE + 1);
}

#[test]
fn numbers_times_and_ids_make_no_other_fact() {
    let same = [
        ("needs 3.2 GB, 1.1 GB are free", "needs 3.4 GB, 0.9 GB are free"),
        ("task 5x0p2kq1v9zj3m8h7f6d5s4a3 failed", "task 1a2b3c4d5e6f7g8h9i0j1k2l3 failed"),
        ("since 2026-11-21T02:00:00Z", "since 2026-11-22T02:00:03Z"),
    ];
    for (one, other) in same {
        assert_eq!(gist(one), gist(other), "{one}");
    }
    let others = [("secret db1 is missing", "secret db2 is missing"), ("a b", "ab"), ("the disk", "the registry")];
    for (one, other) in others {
        assert_ne!(gist(one), gist(other), "{one}");
    }
}

/// One night, as few words as make a difference.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Night {
    Well { looked: bool },
    Waiting,
    Held(u8),
    Blocked(u8),
    Unhealthy,
    Error { thing: u8, by_systemd: bool },
}

fn night() -> impl Strategy<Value = Night> {
    prop_oneof![
        any::<bool>().prop_map(|looked| Night::Well { looked }),
        Just(Night::Waiting),
        (0..2u8).prop_map(Night::Held),
        (0..2u8).prop_map(Night::Blocked),
        Just(Night::Unhealthy),
        (0..2u8, any::<bool>()).prop_map(|(thing, by_systemd)| Night::Error { thing, by_systemd }),
    ]
}

/// The fact of a night that a person has to know, said without the code above.
fn fact(night: &Night) -> Option<String> {
    match night {
        Night::Well { .. } | Night::Waiting | Night::Error { by_systemd: false, .. } => None,
        Night::Held(version) => Some(format!("held {version}")),
        Night::Blocked(thing) => Some(format!("blocked {thing}")),
        Night::Unhealthy => Some("unhealthy".to_owned()),
        Night::Error { thing, .. } => Some(format!("error {thing}")),
    }
}

/// Whether this night has shown that a fact is over.
fn shows_over(night: &Night, fact: &str) -> bool {
    let class = fact.split(' ').next().unwrap();
    match night {
        Night::Waiting | Night::Error { .. } => false,
        Night::Well { looked } => class != "held" || *looked,
        Night::Held(version) => class != "held" || fact != format!("held {version}"),
        Night::Blocked(_) => class == "error",
        Night::Unhealthy => class == "error" || class == "blocked",
    }
}

fn run(state: &mut State, night: &Night, number: i64) -> Vec<Alert> {
    let letters = ["alpha", "beta"];
    let word = |thing: &u8| letters[usize::from(*thing)];
    let held = |version: &u8| held(&format!("{}.0.0+1", version + 2));
    let target = if let Night::Held(version) = night { Some(held(version)) } else { None };
    let outcome = match night {
        Night::Well { .. } => Outcome::Converged,
        Night::Waiting => Outcome::Waiting("another run".into()),
        Night::Held(version) => Outcome::Held(format!("version {version} is a major step")),
        Night::Blocked(thing) => Outcome::Blocked(format!("{} is missing, {number} bytes are free", word(thing))),
        Night::Unhealthy => Outcome::Unhealthy(format!("last words at {number}")),
        Night::Error { thing, .. } => Outcome::Error(format!("{} does not answer after {number} s", word(thing))),
    };
    let by_systemd = !matches!(night, Night::Error { by_systemd: false, .. });
    let looked = matches!(night, Night::Well { looked: true } | Night::Held(_));
    let ending = Ending { outcome: &outcome, held: target.as_ref(), looked, closed: false, by_systemd };
    told(state, ending, minute(number))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn a_fact_is_told_once_until_it_is_over(nights in proptest::collection::vec(night(), 0..40)) {
        let mut state = running("1.0.0+1");
        let mut known: BTreeSet<String> = BTreeSet::new();
        for (number, night) in nights.iter().enumerate() {
            known.retain(|fact| !shows_over(night, fact));
            let expected = fact(night).filter(|fact| known.insert(fact.clone()));
            let alerts = run(&mut state, night, number as i64);
            prop_assert_eq!(alerts.len(), usize::from(expected.is_some()), "{:?} in {:?}: {:?}", night, nights, alerts);
        }
        prop_assert!(state.alerted.len() <= 8, "{:?}", state.alerted);
    }

    #[test]
    fn a_killed_run_loses_no_alert_and_doubles_none(nights in proptest::collection::vec((night(), any::<bool>()), 0..40)) {
        // `kept` stands for the disk. A killed run has written its state or not; a file is written again under its name.
        let (mut kept, mut whole) = (running("1.0.0+1"), running("1.0.0+1"));
        let mut files: BTreeSet<String> = BTreeSet::new();
        let mut expected = 0;
        for (number, (night, is_killed)) in nights.iter().enumerate() {
            let number = number as i64;
            expected += run(&mut whole, night, number).len();
            let app = "wiki".parse().unwrap();
            let due_before = std::mem::take(&mut kept.due_alerts);
            let due = run(&mut kept, night, number);
            kept.due_alerts = due_before.into_iter().chain(due).collect();
            files.extend(kept.due_alerts.iter().map(|alert| alert.file_stem(&app)));
            if !is_killed {
                kept.due_alerts.clear();
            }
        }
        prop_assert_eq!(files.len(), expected);
    }
}

#[test]
fn a_version_that_failed_beside_what_runs_is_told_once_and_that_it_is_held_from_then_on_is_no_news() {
    let mut state = running("1.0.0+1");
    turned_down(&mut state, &revision("1.1.0+1"), "it crashed", "run-1", minute(0));
    let [alert] = &state.due_alerts[..] else { panic!("{:?}", state.due_alerts) };
    assert_eq!((alert.reason, alert.from_version.as_deref()), (Reason::Rollback, Some("1.0.0+1")));
    assert_eq!(alert.to_version.as_deref(), Some("1.1.0+1"));
    assert_eq!(alert.evidence, "1.1.0+1 failed its gate: it crashed; 1.0.0+1 stays the known-good, with its data");
    state.due_alerts.clear();
    let held = HeldBack { reason: Reason::HeldPolicy, target: revision("1.1.0+1"), release_notes: None };
    let outcome = Outcome::Held("it failed before".into());
    let next = ended(&state, &Ending { held: Some(&held), ..ending(&outcome) }, minute(60));
    assert_eq!(next.due_alerts, []);
}
