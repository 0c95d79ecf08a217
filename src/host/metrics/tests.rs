use proptest::prelude::*;

use super::*;
use crate::model::state::{Refused, Release, ReleaseBody};
use crate::model::version::Revision;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn revision(version: &str) -> Revision {
    Revision { version: Some(version.into()), commit: "0".repeat(40).parse().unwrap() }
}

fn running(version: &str) -> State {
    let body = ReleaseBody::empty(revision(version));
    let current = Release { body, key: "k".into(), since: at(0).to_string(), snapshot: None };
    State { current: Some(current), ..State::new(&"wiki".parse().unwrap()) }
}

fn stand(version: &str) -> Stand {
    let mut state = running(version);
    state.refused.push(Refused {
        revision: revision("2.0.0+2"),
        key: "k2".into(),
        images: Default::default(),
        reason: "it crashed".into(),
        ts: at(1),
        by_hand: false,
    });
    let snapshot = SnapshotStand { id: "20260601t020000-01020304".into(), taken: at(2), bytes: 4096 };
    let held = Some("3.0.0+3".to_owned());
    let run = LastRun { ts: at(3), outcome: "held".into(), exit_code: 10, good: Some(at(2)), held };
    Stand {
        runs: [("wiki".to_owned(), run)].into(),
        apps: [
            ("notes".to_owned(), AppStand::default()),
            ("wiki".to_owned(), AppStand { state: Some(state), snapshots: vec![snapshot] }),
        ]
        .into(),
        alerts_waiting: 2,
        certificate_days: Some(-1),
    }
}

/// What is wrong with a text of the exposition format: names, labels, escapes, values, one family at a time, no sample
/// twice.
fn faults(text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let (mut families, mut samples) = (Vec::<String>::new(), std::collections::BTreeSet::new());
    if !text.ends_with('\n') {
        faults.push("the last line is not ended".to_owned());
    }
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let words: Vec<&str> = comment.splitn(3, ' ').collect();
            match words[..] {
                ["HELP", name, help]
                    if is_name(name) && !help.is_empty() && !families.iter().any(|one| one == name) =>
                {
                    families.push(name.to_owned());
                }
                ["TYPE", name, "gauge"] if families.last().is_some_and(|last| last == name) => {}
                _ => faults.push(format!("comment: {line}")),
            }
            continue;
        }
        match sample(line) {
            Some((name, value)) if families.last() == Some(&name) && value.parse::<f64>().is_ok() => {
                let key = line.rsplit_once(' ').unwrap().0;
                if !samples.insert(key.to_owned()) {
                    faults.push(format!("twice: {line}"));
                }
            }
            _ => faults.push(format!("sample: {line}")),
        }
    }
    faults
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(|c| c.is_ascii_lowercase() || c == '_')
}

/// Name and value of a sample whose labels are well-formed.
fn sample(line: &str) -> Option<(String, &str)> {
    let Some((name, rest)) = line.split_once('{') else {
        let (name, value) = line.split_once(' ')?;
        return is_name(name).then(|| (name.to_owned(), value));
    };
    let mut rest = rest;
    loop {
        let (label, value) = rest.split_once("=\"")?;
        if !is_name(label) {
            return None;
        }
        let mut is_escaped = false;
        let mut end = None;
        for (at, character) in value.char_indices() {
            match (is_escaped, character) {
                (true, '\\' | '"' | 'n') => is_escaped = false,
                (true, _) => return None,
                (false, '\\') => is_escaped = true,
                (false, '"') => {
                    end = Some(at);
                    break;
                }
                (false, _) => {}
            }
        }
        rest = &value[end? + 1..];
        if let Some(value) = rest.strip_prefix("} ") {
            return is_name(name).then(|| (name.to_owned(), value));
        }
        rest = rest.strip_prefix(',')?;
    }
}

#[test]
fn every_question_of_an_operator_has_its_line() {
    let text = render(&stand("1.0.0+1"));
    assert_eq!(faults(&text), Vec::<String>::new(), "{text}");
    let lines = [
        "evenkeel_last_run_timestamp_seconds{app=\"wiki\"} 1800000003",
        "evenkeel_last_run_exit_code{app=\"wiki\"} 10",
        "evenkeel_last_run_outcome{app=\"wiki\",outcome=\"held\"} 1",
        "evenkeel_last_good_run_timestamp_seconds{app=\"wiki\"} 1800000002",
        "evenkeel_held{app=\"wiki\",version=\"3.0.0+3\"} 1",
        "evenkeel_state_readable{app=\"notes\"} 0",
        "evenkeel_state_readable{app=\"wiki\"} 1",
        "evenkeel_version_info{app=\"wiki\",version=\"1.0.0+1\",commit=\"0000000000000000000000000000000000000000\"} 1",
        "evenkeel_version_since_timestamp_seconds{app=\"wiki\"} 1800000000",
        "evenkeel_refused_versions{app=\"wiki\"} 1",
        "evenkeel_transaction_open{app=\"wiki\"} 0",
        "evenkeel_stuck{app=\"wiki\"} 0",
        "evenkeel_snapshot_timestamp_seconds{app=\"wiki\",snapshot=\"20260601t020000-01020304\"} 1800000002",
        "evenkeel_snapshot_size_bytes{app=\"wiki\",snapshot=\"20260601t020000-01020304\"} 4096",
        "evenkeel_alerts_waiting 2",
        "evenkeel_certificate_days_left -1",
    ];
    lines.iter().for_each(|line| assert!(text.lines().any(|there| there == *line), "{line} in {text}"));
    assert_eq!(faults(&render(&Stand::default())), Vec::<String>::new());
}

#[test]
fn alerts_are_counted_anew_and_nothing_else_changes() {
    let before = Stand { runs: BTreeMap::new(), ..stand("evenkeel_alerts_waiting 7") };
    let after = Stand { alerts_waiting: 0, ..before.clone() };
    assert_eq!(with_alerts(&render(&before), 0), render(&after));
    assert_eq!(with_alerts("", 3), "");
}

#[test]
fn the_check_of_the_format_finds_faults() {
    let good = "# HELP a b\n# TYPE a gauge\na{x=\"1\"} 1\n";
    assert_eq!(faults(good), Vec::<String>::new());
    let bad = [
        good.trim_end().to_owned(),
        good.replace("a{", "b{"),
        good.replace("\"1\"", "\"\"1\""),
        good.replace("\"1\"", "\"\\d\""),
        good.replace(" 1\n", " one\n"),
        format!("{good}a{{x=\"1\"}} 2\n"),
        format!("{good}{good}"),
        good.replace("{x=\"1\"}", "{x=1}"),
    ];
    bad.iter().for_each(|text| assert_ne!(faults(text), Vec::<String>::new(), "{text}"));
}

#[test]
fn a_run_that_did_not_look_leaves_what_is_held() {
    let wiki: AppName = "wiki".parse().unwrap();
    let night =
        |runs, outcome: Outcome, held, second| noted(runs, Ended { app: &wiki, outcome: &outcome, held }, at(second));
    let runs = night(BTreeMap::new(), Outcome::Held("no".into()), Some(Some("2.0.0+2")), 1);
    assert_eq!((runs["wiki"].held.as_deref(), runs["wiki"].good), (Some("2.0.0+2"), None));
    let runs = night(runs, Outcome::Converged, None, 2);
    assert_eq!((runs["wiki"].held.as_deref(), runs["wiki"].good), (Some("2.0.0+2"), Some(at(2))));
    let runs = night(runs, Outcome::Error("gone".into()), Some(None), 3);
    assert_eq!((runs["wiki"].held.as_deref(), runs["wiki"].good, runs["wiki"].exit_code), (None, Some(at(2)), 1));
}

proptest! {
    #[test]
    fn no_version_breaks_the_format(version in any::<String>()) {
        let text = render(&stand(&version));
        // Other line ends are part of a value.
        prop_assert_eq!(faults(&text), Vec::<String>::new(), "{}", text);
    }
}
