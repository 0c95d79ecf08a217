//! kill -9 at every step of what is done to a canonical: the known-good is whole, and the next run finishes.

use std::fs;

use serde_json::Value;

use super::warmth::{NAME, SPOILS_AND_FAILS, Warmth, runs};

/// Where a work stands in its journal.
struct At {
    purpose: &'static str,
    step: &'static str,
}

fn at(purpose: &'static str, step: &'static str) -> At {
    At { purpose, step }
}

#[track_caller]
fn kill_at(warmth: &Warmth, words: &[&str], at: &At) {
    warmth.kill_at(&[&["canonical"], words].concat(), at.purpose, at.step);
}

/// The next run leaves nothing open and nothing running; how the canonical stands then.
#[track_caller]
fn finished(warmth: &Warmth) -> String {
    let said = warmth.ask(&[]);
    assert_eq!(said.code, 0, "{said:#?}");
    let warm = warmth.state()["warm"].clone();
    assert_eq!(warm["work"], Value::Null, "{said:#?}");
    warmth.rests();
    warm["status"].as_str().unwrap_or("not seeded").to_owned()
}

/// The known-good comes up, on its own data alone.
#[track_caller]
fn is_good(warmth: &Warmth, version: &str, marks: &[&str]) {
    warmth.ends(0, &["deploy", NAME], &["runs on its warm data"]);
    warmth.stands("deployed", version);
    assert_eq!(warmth.data().keys().collect::<Vec<_>>(), marks);
    warmth.ends(0, &["idle", NAME], &[]);
}

#[test]
fn a_seed_that_was_killed_before_its_verdict_is_undone() {
    let warmth = Warmth::enrolled();
    for step in ["halt", "clear", "deploy", "judge"] {
        kill_at(&warmth, &["seed", NAME], &at("seed", step));
        assert_eq!(finished(&warmth), "not seeded", "{step}");
        assert!(warmth.data().is_empty(), "{step}");
        assert_eq!(warmth.state()["current"], Value::Null);
    }
    warmth.ends(0, &["seed", NAME], &["seeded 1.0.0+1"]);
    is_good(&warmth, "1.0.0+1", &["1.0.0"]);
}

#[test]
fn a_seed_that_was_killed_after_its_verdict_is_finished() {
    for step in ["rest", "store"] {
        let warmth = Warmth::enrolled();
        kill_at(&warmth, &["seed", NAME], &at("seed", step));
        assert_eq!(finished(&warmth), "idle", "{step}");
        warmth.stands("idle", "1.0.0+1");
        is_good(&warmth, "1.0.0+1", &["1.0.0"]);
    }
}

#[test]
fn a_promote_that_was_killed_leaves_one_known_good_whole() {
    let mut warmth = Warmth::seeded();
    let mut known = ("1.0.0+1".to_owned(), "1.0.0".to_owned());
    for (number, step) in ["halt", "clear", "deploy", "judge", "rest", "store"].into_iter().enumerate() {
        let (version, mark) = (format!("1.{}.0+1", number + 1), format!("mark{number}"));
        warmth.publish(&version, &runs(&mark));
        let words = ["promote", NAME, "--green", "--cold", "--version", &version];
        kill_at(&warmth, &words, &at("promote", step));
        let state = warmth.state();
        assert_eq!(state["current"]["body"]["revision"]["version"], known.0.as_str(), "{step}");
        let snapshot = state["current"]["snapshot"].as_str().unwrap();
        assert!(warmth.dir().join("snapshots").join(snapshot).join("wiki.meta.json").exists(), "{step}");

        let status = finished(&warmth);
        // Killed while its volumes were removed, they come back at the next use.
        assert!(status == "idle" || (step == "clear" && status == "dirty"), "{step}: {status}");
        if ["rest", "store"].contains(&step) {
            known = (version, mark);
        }
        warmth.stands(&status, &known.0);
        is_good(&warmth, &known.0, &[&known.1]);
    }
}

#[test]
fn a_red_promote_that_was_killed_on_its_way_back_is_undone() {
    let mut warmth = Warmth::seeded();
    let before = warmth.state()["current"].clone();
    for (number, step) in ["withdraw", "discard", "make", "put-back"].into_iter().enumerate() {
        let version = format!("1.{}.0+1", number + 1);
        warmth.publish(&version, SPOILS_AND_FAILS);
        kill_at(&warmth, &["promote", NAME, "--green", "--cold", "--version", &version], &at("promote", step));
        assert_eq!(finished_badly(&warmth), "idle", "{step}");
        assert_eq!(warmth.state()["current"], before, "{step}");
        is_good(&warmth, "1.0.0+1", &["1.0.0"]);
    }
}

/// The same where what is finished had failed, which is told.
#[track_caller]
fn finished_badly(warmth: &Warmth) -> String {
    let said = warmth.ask(&[]);
    assert_eq!(said.code, 11, "{said:#?}");
    assert!(said.out.contains("stays the known-good"), "{said:#?}");
    warmth.rests();
    warmth.state()["warm"]["status"].as_str().unwrap().to_owned()
}

#[test]
fn what_a_killed_deploy_or_quick_upgrade_wrote_is_never_used() {
    let mut warmth = Warmth::seeded();
    let commit = warmth.commit(&runs("quick"));
    let cases: [(&[&str], At); 7] = [
        (&["deploy", NAME], at("deploy", "deploy")),
        (&["deploy", NAME], at("deploy", "judge")),
        (&["deploy", NAME, "--quick", &commit], at("quick", "deploy")),
        (&["deploy", NAME, "--quick", &commit], at("quick", "judge")),
        (&["idle", NAME, "--restore"], at("restore", "halt")),
        (&["idle", NAME, "--restore"], at("restore", "make")),
        (&["idle", NAME, "--restore"], at("restore", "put-back")),
    ];
    for (words, at) in cases {
        let label = format!("{} {}", at.purpose, at.step);
        kill_at(&warmth, words, &at);
        if warmth.place().exists() {
            fs::write(warmth.place().join("strange"), "from nowhere").unwrap();
        }
        let status = finished(&warmth);
        assert!(["dirty", "idle"].contains(&status.as_str()), "{label}: {status}");
        is_good(&warmth, "1.0.0+1", &["1.0.0"]);
        warmth.stands("idle", "1.0.0+1");
    }
}
