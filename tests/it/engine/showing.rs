//! What is promised of upgrades beyond their two ends: to whom it is told, what a person's word changes, and when nothing
//! more is tried.

mod slowly;
mod story;

use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::sync::mpsc::channel;
use std::{fs, iter};

use jiff::{SignedDuration, Timestamp};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::nights::{APP, MIGRATES_AND_FAILS, Nights, Now, files, names, read, runs, tells};
use super::recorder::writes;
use super::scene::each;
use crate::fixtures::RecipeRepo;

const DATA: [(&str, &str); 1] = [("data", "/data")];

/// Starts a run and kills it at this moment, before it gets any further.
#[track_caller]
fn killed(nights: &Nights, arguments: &[&str], is_due: impl Fn(&Now<'_>) -> bool + Send + 'static) {
    let (tell, told) = channel::<u32>();
    nights.meanwhile(is_due, async move |_| {
        let run = told.recv().unwrap().try_into().unwrap();
        kill(Pid::from_raw(run), Signal::SIGKILL).unwrap();
    });
    let mut run = nights.world.start(arguments);
    tell.send(run.id()).unwrap();
    assert_eq!(run.wait().unwrap().signal(), Some(9), "it ended before it was killed");
    nights.has_happened();
}

/// The alerts of this reason.
fn alerts(nights: &Nights, reason: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(&nights.world.ok(&["alerts", "list", "--json"]).out).unwrap();
    all.as_array().unwrap().iter().filter(|alert| alert["reason"] == reason).cloned().collect()
}

#[test]
fn two_runs_that_were_killed_on_the_way_to_a_version_are_enough_until_a_person_approves_it() {
    let mut nights = Nights::begin();
    let before = nights.data();
    nights.publish("1.1.0+1", &runs("1.1.0"));

    killed(&nights, &["app", APP], |now| now.is_at("snapshot"));
    tells(&nights.world.run(&["resume"]), 12, &["was broken off at snapshot", "the next run tries it again"]);
    assert_eq!(nights.state()["interrupted"]["times"], 1);
    killed(&nights, &["app", APP], |now| now.is_at("deploy"));
    let twice = ["was broken off at deploy", "that happened 2 times", "`evenkeel approve wiki 1.1.0+1`"];
    tells(&nights.world.run(&["resume"]), 11, &twice);

    let containers =
        || -> Vec<String> { nights.world.observe(APP).containers.into_iter().map(|container| container.id).collect() };
    let running = containers();
    for _ in 0..2 {
        let told =
            ["wiki: blocked: 1.1.0+1 is published", "2 runs towards it were cut short", "`evenkeel approve wiki"];
        tells(&nights.writes_nothing(12), 12, &told);
    }
    assert_eq!(containers(), running, "the app was stopped once more");
    nights.stands_at("1.0.0+1");
    assert_eq!((nights.data(), nights.state().get("refused")), (before, None));
    assert!(nights.world.run(&["status", APP]).out.contains("held: 1.1.0+1 is published"));
    // One for the run that was cut short before it deployed anything, one since nobody tries any more.
    let blocked: Vec<_> = alerts(&nights, "blocked").iter().map(|alert| alert["evidence"].clone()).collect();
    assert_eq!(blocked.len(), 2, "{blocked:#?}");

    nights.world.ok(&["approve", APP, "1.1.0+1"]);
    nights.ends(0, &["upgraded: 1.0.0+1 -> 1.1.0+1"]);
    nights.stands_at("1.1.0+1");
}

#[test]
fn a_release_note_that_stops_nothing_is_told_once() {
    let mut nights = Nights::begin();
    nights.declare("latest", "policy = { notes = \"alert\" }\n");
    nights.recipe.commit(&[("release/1.1.0+1", "Empty the cache by hand.\n")]);
    nights.publish("1.1.0+1", &runs("1.1.0"));

    nights.ends(0, &["upgraded: 1.0.0+1 -> 1.1.0+1"]);
    nights.writes_nothing(0);

    let [told] = alerts(&nights, "release-notes").try_into().unwrap();
    assert_eq!((&told["from_version"], &told["to_version"]), (&json!("1.0.0+1"), &json!("1.1.0+1")), "{told:#}");
    assert_eq!(told["release_notes"], "# 1.1.0+1\nEmpty the cache by hand.\n");
}

#[test]
fn an_app_that_ends_uncleanly_is_upgraded_only_where_that_is_allowed_and_that_is_said() {
    let deaf = "trap '' TERM; while :; do sleep 1; done";
    let short = json!({"services": {"app": {"stop_grace_period": "1s"}}});
    let mut nights = Nights::laid_over(deaf, &DATA, &short);
    fs::write(nights.volume("data").join("page"), "written by people").unwrap();
    nights.publish_laid_over("1.1.0+1", deaf, &DATA, &short);
    let unclean = format!("unclean stop: {} did not end within its grace period", nights.named("app"));

    nights.ends(12, &["was broken off at stop: ", &unclean, "snapshot = { unclean = \"allow\" }"]);
    nights.stands_at("1.0.0+1");

    nights.declare("latest", "snapshot = { unclean = \"allow\" }\n");
    let said = nights.ends(0, &["upgraded: 1.0.0+1 -> 1.1.0+1"]);
    assert!(said.err.contains(&unclean) && said.err.contains("is stored as it is"), "{said:#?}");
    nights.stands_at("1.1.0+1");
    assert_eq!(nights.data()["page"], b"written by people");
}

/// A run that is killed at its verdict, and hours in which nobody finishes it.
fn left_for_hours(nights: &mut Nights) {
    nights.publish("1.1.0+1", MIGRATES_AND_FAILS);
    killed(nights, &["app", APP], |now| now.is_at("judge"));
    let mut state = nights.state();
    let deployed: Timestamp = state["open"]["deployed"].as_str().unwrap().parse().unwrap();
    state["open"]["deployed"] = json!(deployed - SignedDuration::from_hours(2));
    fs::write(nights.dir().join("state.json"), state.to_string()).unwrap();
    fs::write(nights.volume("data").join("page"), "written by people").unwrap();
}

#[test]
fn a_no_that_comes_late_takes_no_data_back_unless_that_is_wanted() {
    each(&[false, true], Nights::begin, |mut nights, is_wanted| {
        let before = nights.data();
        nights.declare("latest", &format!("policy = {{ late_rollback = {is_wanted} }}\n"));
        left_for_hours(&mut nights);

        let said = nights.world.run(&["resume"]);

        if is_wanted {
            tells(&said, 11, &["wiki: rolled-back: ", "exit code 3", "1.0.0+1 runs again"]);
        } else {
            let id = is_stuck_on_the_data_of_the_new_version(&nights);
            tells(&nights.world.run(&["snapshot", "restore", APP, &id, "--yes"]), 0, &["1.0.0+1 runs again"]);
        }
        nights.stands_at("1.0.0+1");
        assert_eq!(nights.data(), before);
        let [gave_way] = &nights.given_way()[..] else { panic!("{:?}", nights.given_way()) };
        assert_eq!(files(gave_way)["page"], b"written by people");
    });
}

/// Gives the snapshot that the way out names.
fn is_stuck_on_the_data_of_the_new_version(nights: &Nights) -> String {
    assert_eq!(nights.given_way(), Vec::<PathBuf>::new());
    let data = nights.data();
    assert_eq!((&data["page"][..], &data["new/all"][..]), (&b"written by people"[..], &b"moved\n"[..]));
    let stuck = nights.state()["stuck"].clone();
    let id = stuck["transaction"]["snapshot"].as_str().unwrap().to_owned();
    let told = [
        "the upgrade 1.0.0+1 -> 1.1.0+1 is stuck since ",
        "exit code 3",
        "nothing was taken back, since people may have been writing for so long",
        "1.1.0+1 runs on its own data",
        "`evenkeel app wiki --retry`",
        &format!("`evenkeel snapshot restore wiki {id}` puts 1.0.0+1 back on its data from before"),
    ];
    tells(&nights.writes_nothing(13), 13, &told);
    let status = nights.world.run(&["status", APP]).out;
    told.iter().for_each(|words| assert!(status.contains(words), "{words:?}: {status}"));
    assert_eq!(alerts(nights, "stuck").len(), 1);
    nights.world.ok(&["snapshot", "verify", APP, &id]);
    id
}

/// It is paused, so that nobody finishes it meanwhile.
#[test]
fn an_app_waits_while_the_transaction_of_another_one_is_open_and_its_run_is_dead() {
    let (mut nights, _) = Nights::broken_off();
    nights.world.ok(&["pause", APP]);
    let image = super::private::PrivateEngine::shared().image();
    let compose = |version: &str| {
        let script = "trap 'exit 0' TERM; while :; do sleep 1; done".replace('$', "$$");
        let service = json!({"image": image, "entrypoint": ["sh", "-c", script], "environment": {"RELEASE": version},
            "volumes": ["data:/data"], "deploy": {"endpoint_mode": "dnsrr"}});
        json!({"services": {"app": service}, "volumes": {"data": null}}).to_string()
    };
    let mut recipe = RecipeRepo::empty();
    recipe.publish("1.0.0+1", &[("compose.yml", &compose("1.0.0+1"))]);
    let gate = "gate = { stable_for = \"1s\", within = \"300s\" }\n";
    nights.world.declare("blog", &recipe.url(), "latest", gate);
    nights.world.ok(&["app", "blog"]);
    recipe.publish("1.1.0+1", &[("compose.yml", &compose("1.1.0+1"))]);
    let runs = |nights: &Nights| nights.world.state("blog")["current"]["body"]["revision"]["version"].clone();

    for _ in 0..2 {
        nights.recorder.take();
        let said = nights.world.run(&["app", "blog"]);
        let told = "blog: waiting: the upgrade 1.0.0+1 -> 1.1.0+1 of wiki is to be finished first (`evenkeel resume`); the \
                    next run looks again\n";
        assert_eq!((said.code, said.out.as_str()), (0, told), "{said:#?}");
        assert_eq!(writes(&nights.recorder.take()), Vec::<&String>::new(), "{said:#?}");
        assert_eq!(runs(&nights), "1.0.0+1");
        assert_eq!(nights.state()["open"]["step"], "withdraw", "nobody finishes what is paused");
    }

    nights.world.ok(&["unpause", APP]);
    // The runs above have started one, too, which may be there first.
    let said = nights.world.run(&["resume"]);
    assert!([0, 11].contains(&said.code), "{said:#?}");
    nights.stands_at("1.0.0+1");
    tells(&nights.world.run(&["app", "blog"]), 0, &["blog: upgraded: 1.0.0+1 -> 1.1.0+1"]);
    assert_eq!(runs(&nights), "1.1.0+1");
}
