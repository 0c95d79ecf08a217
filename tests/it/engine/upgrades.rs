//! Upgrades by the real program: what a night leaves, whatever became of it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;

use evenkeel::model::observed::{Observed, TaskState};
use serde_json::{Value, json};

use super::Stack;
use super::nights::{APP, MIGRATES_AND_FAILS, Nights, entrypoint, files, names, runs, tells};
use super::recorder::writes;
use super::scene::each;
use crate::slot::Foreign;
use crate::world::{Said, on_engine};

#[test]
fn a_week_of_nights_ends_each_with_a_gated_version_on_its_own_data() {
    let mut nights = Nights::begin();
    fs::write(nights.volume("data").join("page"), "written by people").unwrap();

    nights.publish("1.1.0+1", &runs("1.1.0"));
    nights.ends(0, &["wiki: upgraded: 1.0.0+1 -> 1.1.0+1 passed its gate", "`evenkeel rollback wiki` would go back"]);
    nights.stands_at("1.1.0+1");
    assert_eq!(nights.data()["page"], b"written by people");
    assert_eq!(nights.state()["previous"]["release"]["body"]["revision"]["version"], "1.0.0+1");
    assert_eq!(nights.writes_nothing(0).out, "wiki: converged\n");
    let good = nights.data();

    nights.publish("1.2.0+1", MIGRATES_AND_FAILS);
    let words = ["wiki: rolled-back: the upgrade 1.1.0+1 -> 1.2.0+1 did not pass its gate", "exit code 3", "-failed"];
    nights.ends(11, &words);
    nights.stands_at("1.1.0+1");
    assert_eq!(nights.data(), good, "the old version has other data than it had");
    let [failed] = &nights.given_way()[..] else { panic!("{:?}", nights.given_way()) };
    assert_eq!(files(failed)["new/all"], b"moved\n");
    let pointers = || names(&nights.dir().join("failed")).into_iter().filter(|name| !name.starts_with('.')).count();
    assert_eq!(pointers(), 1, "the app's folder does not say where the data lies that gave way");

    let again = nights.writes_nothing(10);
    tells(&again, 10, &["1.2.0+1", "failed here", "`evenkeel approve wiki 1.2.0+1`"]);

    nights.publish("1.3.0+1", &runs("1.3.0"));
    nights.ends(0, &["upgraded: 1.1.0+1 -> 1.3.0+1"]);
    nights.stands_at("1.3.0+1");
    assert_eq!(nights.data()["page"], b"written by people");
    assert_eq!(nights.given_way(), Vec::<PathBuf>::new(), "the data that gave way stays until the next good upgrade");
    assert_eq!(names(&nights.dir().join("failed")), Vec::<String>::new());
    assert_eq!(names(&nights.dir().join("snapshots")).len(), 1, "a snapshot stays that nothing names");
}

#[test]
fn what_the_previous_release_names_stays_until_it_is_no_longer_previous() {
    let mut nights = Nights::begin();
    let configs = |nights: &Nights| -> Vec<String> {
        let prefix = format!("{}_notes_", nights.world.stack(APP));
        nights
            .world
            .observe(APP)
            .configs
            .keys()
            .filter_map(|name| name.strip_prefix(&prefix).map(str::to_owned))
            .collect()
    };
    nights.publish("1.1.0+1", &runs("1.1.0"));
    nights.ends(0, &["upgraded"]);
    assert_eq!(configs(&nights), ["1.0.0_1", "1.1.0_1"]);
    assert_eq!(nights.writes_nothing(0).out, "wiki: converged\n");
    nights.publish("1.2.0+1", &runs("1.2.0"));
    nights.ends(0, &["upgraded"]);
    assert_eq!(configs(&nights), ["1.1.0_1", "1.2.0_1"]);
}

#[test]
fn rollback_by_hand_takes_version_and_data_back_together_and_keeps_what_was_there() {
    let mut nights = Nights::begin();
    tells(&nights.world.run(&["rollback", APP, "--yes"]), 12, &["no release to go back to: 1.0.0+1 runs"]);
    let before = nights.data();
    nights.publish("1.1.0+1", &runs("1.1.0"));
    nights.ends(0, &["upgraded"]);
    fs::write(nights.volume("data").join("page"), "written since").unwrap();

    let asked = nights.world.run(&["rollback", APP]);
    assert_eq!(asked.code, 64, "{asked:#?}");
    assert!(asked.err.contains("goes back from 1.1.0+1 to 1.0.0+1") && asked.err.contains("--yes"), "{asked:#?}");
    nights.stands_at("1.1.0+1");

    tells(&nights.world.run(&["rollback", APP, "--yes"]), 0, &["wiki: applied: 1.0.0+1 runs again, on the data of"]);
    nights.stands_at("1.0.0+1");
    assert_eq!(nights.data(), before);
    let [left] = &nights.given_way()[..] else { panic!("{:?}", nights.given_way()) };
    assert_eq!(files(left)["page"], b"written since");
    let told = format!("is kept in {} until the next good upgrade or until more gives way", left.display());
    tells(&nights.world.run(&["status"]), 0, &["_data of 1.1.0+1 since ", &told]);

    tells(&nights.writes_nothing(10), 10, &["1.1.0+1", "left by hand"]);
    tells(&nights.world.run(&["rollback", APP, "--yes"]), 12, &["no release to go back to"]);
}

#[test]
fn a_rollback_to_what_does_not_come_up_ends_as_what_ran_before_on_its_own_data() {
    let mut nights = Nights::begin();
    // Comes up on data that it has not seen before, and never again.
    nights.publish("1.1.0+1", &format!("[ ! -f /data/1.1.0 ] || exit 3; {}", runs("1.1.0")));
    nights.ends(0, &["upgraded: 1.0.0+1 -> 1.1.0+1"]);
    let newest = format!("echo own > /more/own; {}", runs("1.2.0"));
    nights.publish_with("1.2.0+1", &newest, &[("data", "/data"), ("more", "/more")]);
    nights.ends(0, &["upgraded: 1.1.0+1 -> 1.2.0+1"]);
    fs::write(nights.volume("data").join("page"), "written since").unwrap();
    let before = nights.data();
    let is_undone = |nights: &Nights, said: &Said| {
        tells(
            said,
            11,
            &["wiki: rolled-back: the way back to 1.1.0+1", "exit code 3", "1.2.0+1 runs again on the data"],
        );
        nights.stands_at("1.2.0+1");
        assert_eq!(nights.data(), before);
        assert_eq!(fs::read(nights.volume("more").join("own")).unwrap(), b"own\n");
        let [tried] = &nights.given_way()[..] else { panic!("{:?}", nights.given_way()) };
        assert!(files(tried).contains_key("1.1.0") && !files(tried).contains_key("page"), "{tried:?}");
    };

    let said = nights.world.run(&["rollback", APP, "--yes"]);

    is_undone(&nights, &said);
    let told: Value = serde_json::from_str(&nights.world.ok(&["alerts", "list", "--json"]).out).unwrap();
    let told = told.as_array().unwrap().last().unwrap().clone();
    assert_eq!((&told["reason"], &told["to_version"]), (&"rollback".into(), &"1.1.0+1".into()), "{told:#}");
    assert_eq!(nights.writes_nothing(0).out, "wiki: converged\n");

    nights.kill_at(&["rollback", APP, "--yes"], "rejudge");
    let resumed = nights.world.run(&["resume"]);
    is_undone(&nights, &resumed);
}

#[test]
fn a_snapshot_by_hand_brings_its_very_data_back() {
    let nights = Nights::begin();
    tells(&nights.world.run(&["snapshot", "restore", APP, "--yes"]), 12, &["no snapshot of 1.0.0+1", "none are kept"]);
    fs::write(nights.volume("data").join("page"), "first").unwrap();
    tells(&nights.world.run(&["snapshot", "take", APP]), 0, &["of 1.0.0+1 was taken, and the app runs again"]);
    nights.stands_at("1.0.0+1");
    let stored = nights.data();
    fs::write(nights.volume("data").join("page"), "second").unwrap();

    tells(&nights.world.run(&["snapshot", "restore", APP, "nothing", "--yes"]), 12, &["has no snapshot nothing"]);
    tells(&nights.world.run(&["snapshot", "restore", APP, "--yes"]), 0, &["1.0.0+1 runs again, on the data of"]);

    nights.stands_at("1.0.0+1");
    assert_eq!(nights.data(), stored);
    assert_eq!(files(&nights.given_way()[0])["page"], b"second");
    assert_eq!(nights.writes_nothing(0).out, "wiki: converged\n");
}

#[test]
fn a_disk_that_fails_at_the_snapshot_puts_the_app_back_at_once() {
    let mut nights = Nights::begin();
    let before = nights.data();
    // No folder can be made in the place of a file.
    fs::write(nights.dir().join("snapshots"), "").unwrap();
    nights.publish("1.1.0+1", &runs("1.1.0"));
    nights.ends(12, &["was broken off at snapshot", "1.0.0+1 runs again as before, its data was not touched"]);
    nights.stands_at("1.0.0+1");
    assert_eq!(nights.data(), before);

    fs::remove_file(nights.dir().join("snapshots")).unwrap();
    nights.ends(0, &["upgraded: 1.0.0+1 -> 1.1.0+1"]);
}

#[test]
fn what_is_killed_on_the_way_there_is_finished_by_resume_and_nothing_is_lost() {
    each(&["stop", "snapshot", "deploy", "judge"], Nights::begin, |mut nights, step| {
        let before = nights.data();
        nights.publish("1.1.0+1", &runs("1.1.0"));
        nights.kill_at(&["app", APP], step);

        let said = nights.world.run(&["resume"]);

        let (code, version) = match step {
            "judge" => (0, "1.1.0+1"),
            "deploy" => (11, "1.0.0+1"),
            _ => (12, "1.0.0+1"),
        };
        tells(&said, code, &["wiki: "]);
        nights.stands_at(version);
        if version == "1.0.0+1" {
            assert_eq!(nights.data(), before);
        }
        assert_eq!(nights.world.ok(&["resume"]).out, "nothing is open\n");
        nights.night();
        nights.stands_at("1.1.0+1");
        assert_eq!(nights.data()["1.0.0"], before["1.0.0"]);
    });
}

#[test]
fn an_open_upgrade_is_finished_also_where_the_app_is_gone_from_the_configuration_or_has_another_domain() {
    for case in ["gone", "moved"] {
        let (mut nights, before) = Nights::broken_off();
        match case {
            "gone" => nights.world.table(APP, ""),
            _ => nights.moves_away(),
        }
        tells(&nights.world.run(&["resume"]), 11, &["wiki: rolled-back"]);
        nights.stands_at("1.0.0+1");
        assert_eq!(nights.data(), before, "{case}");
        nights.declare("latest", "");
    }
}

#[test]
fn an_open_upgrade_is_finished_where_every_file_of_the_operators_but_the_configuration_is_gone() {
    let (mut nights, before) = Nights::broken_off();
    nights.world.top = "registry_auth = \"/nowhere/logins\"\n".into();
    nights.declare("latest", "env_files = [\"/nowhere/env\"]\nsecrets = { key = \"/nowhere/key\" }");
    let cannot = "cannot read the registries' logins from /nowhere/logins";
    let refused = nights.world.run(&["app", APP]);
    assert!(refused.code == 1 && refused.err.contains(cannot), "{refused:#?}");

    let said = nights.world.run(&["resume"]);

    tells(&said, 11, &["wiki: rolled-back"]);
    assert!(said.err.contains("going on without logins") && said.err.contains(cannot), "{said:#?}");
    nights.stands_at("1.0.0+1");
    assert_eq!(nights.data(), before);
    nights.world.top.clear();
    nights.declare("latest", "");
}

#[test]
fn an_upgrade_left_open_is_finished_by_nobody_while_the_app_is_paused_and_that_is_said() {
    let (nights, before) = Nights::broken_off();
    let said = nights.world.run(&["pause", APP]);
    assert!(said.err.contains("nobody finishes it while wiki is paused"), "{said:#?}");
    tells(&nights.world.run(&["resume"]), 0, &["wiki: waiting: paused by"]);
    tells(
        &nights.world.run(&["status", APP]),
        0,
        &["stands at withdraw", "`evenkeel unpause wiki`, then `evenkeel resume`"],
    );
    tells(&nights.world.run(&["unpause", APP]), 0, &[]);
    tells(&nights.world.run(&["resume"]), 11, &["wiki: rolled-back"]);
    nights.stands_at("1.0.0+1");
    assert_eq!(nights.data(), before);

    tells(&nights.world.run(&["pause", APP]), 0, &[]);
    for by_hand in [&["snapshot", "take", APP][..], &["snapshot", "restore", APP, "--yes"]] {
        tells(&nights.world.run(by_hand), 12, &["paused by", "`evenkeel unpause wiki` first", "nothing was touched"]);
    }
    nights.stands_at("1.0.0+1");
}

#[test]
fn data_of_failed_versions_is_told_with_its_place_and_gives_way_to_the_next() {
    let mut nights = Nights::begin();
    let fills = "echo 5 GB > /cache/filled; exit 3";
    nights.publish_with("1.1.0+1", fills, &[("data", "/data"), ("cache", "/cache")]);
    let first = nights.world.run(&["app", APP]);
    let [data] = &nights.given_way()[..] else { panic!("{:?}", nights.given_way()) };
    let cache = nights.volume("cache").with_file_name(data.file_name().unwrap());
    let both = [data, &cache].map(|path| path.to_str().unwrap().to_owned());
    tells(&first, 11, &["rolled-back", &both[0], &both[1]]);
    tells(
        &nights.world.run(&["status", APP]),
        0,
        &[&both[0], &both[1], "until the next good upgrade or until more gives way"],
    );
    assert_eq!(files(&cache)["filled"], b"5 GB\n");
    assert_eq!(files(&nights.volume("cache")), BTreeMap::new());

    nights.publish("1.2.0+1", MIGRATES_AND_FAILS);
    nights.ends(11, &["rolled-back"]);
    let [second] = &nights.given_way()[..] else { panic!("{:?}", nights.given_way()) };
    assert_eq!(files(second)["new/all"], b"moved\n");
    assert_eq!((data.exists(), cache.exists()), (false, false), "more than one is kept of what failed");
}

#[test]
fn an_app_without_data_is_upgraded_without_being_stopped_and_goes_back_too() {
    let script = "trap 'exit 0' TERM; while :; do sleep 1; done";
    let mut nights = Nights::of(&[]);
    nights.publish_with("1.1.0+1", script, &[]);
    nights.ends(0, &["upgraded: 1.0.0+1 -> 1.1.0+1"]);
    assert_eq!((nights.current(), nights.running().unwrap()), ("1.1.0+1".to_owned(), "1.1.0+1".to_owned()));
    assert!(!nights.dir().join("snapshots").exists());

    // Swarm itself may be there first, and then there is nothing left to write.
    let undone = json!({"services": {"app": {
        "deploy": {"update_config": {"failure_action": "rollback", "monitor": "60s"}}}}});
    nights.publish_laid_over("1.2.0+1", "exit 3", &[], &undone);
    nights.ends(11, &["did not pass its gate", "1.1.0+1 runs again;"]);
    assert_eq!((nights.current(), nights.running().unwrap()), ("1.1.0+1".to_owned(), "1.1.0+1".to_owned()));
    nights.writes_nothing(10);
    tells(&nights.world.run(&["rollback", APP, "--yes"]), 0, &["1.0.0+1 runs again"]);
    assert_eq!((nights.current(), nights.running().unwrap()), ("1.0.0+1".to_owned(), "1.0.0+1".to_owned()));
}

#[test]
fn an_app_that_is_not_healthy_gets_no_upgrade() {
    let mut nights = Nights::begin();
    let service = format!("{}_app", nights.world.stack(APP));
    nights.publish("1.1.0+1", &runs("1.1.0"));
    // Its data makes it crash, which no version is to blame for.
    on_engine(async |swarm| {
        let mut spec = swarm.live_service(&service).await.unwrap().unwrap().spec;
        spec["TaskTemplate"]["ContainerSpec"]["Command"] = serde_json::json!(["sh", "-c", "exit 4"]);
        swarm.update_service(&service, &spec).await.unwrap();
    });
    // Drift is put right first, and then there is something to judge by.
    nights.ends(0, &["upgraded: 1.0.0+1 -> 1.1.0+1", "repaired"]);
    nights.stands_at("1.1.0+1");
}

#[test]
fn an_app_that_stays_red_gets_no_upgrade() {
    let checked = json!({"services": {"app": {
        "healthcheck": {"test": ["CMD-SHELL", "test ! -e /data/red"], "interval": "1s", "timeout": "30s", "retries": 2}}}});
    let mut nights = Nights::laid_over(&runs("1.0.0"), &[("data", "/data")], &checked);
    nights.publish_laid_over("1.1.0+1", &runs("1.1.0"), &[("data", "/data")], &checked);
    let (red, name) = (nights.volume("data").join("red"), nights.world.stack(APP).parse().unwrap());
    fs::write(&red, "").unwrap();
    let is_red = |observed: &Observed| observed.tasks.iter().any(|task| task.state > TaskState::Running);
    on_engine(async |swarm| drop(Stack { name, swarm }.until("the app is red", is_red).await));

    nights.declare("latest", "gate = { stable_for = \"1s\", within = \"5s\" }\n");
    tells(&nights.writes_nothing(14), 14, &["wiki: unhealthy: "]);
    assert_eq!((nights.current().as_str(), nights.state().get("open")), ("1.0.0+1", None));
    assert!(!nights.dir().join("snapshots").exists());

    fs::remove_file(&red).unwrap();
    nights.declare("latest", "");
    nights.ends(0, &["upgraded: 1.0.0+1 -> 1.1.0+1"]);
}

/// One of a compose file is an upgrade, with a snapshot; one of a value is made in place, where no data gives way.
#[test]
fn a_change_of_configuration_that_fails_goes_back_to_the_recorded_release_and_data() {
    let script = format!("[ \"$MOOD\" != wild ] || exit 4; {}", runs("1.0.0"));
    let mood = json!({"services": {"app": {"environment": {"MOOD": "${MOOD:-calm}"}}}});
    let mut nights = Nights::laid_over(&script, &[("data", "/data")], &mood);
    fs::write(nights.volume("data").join("page"), "written by people").unwrap();
    let before = nights.data();

    let overlay = json!({"services": {"app": {"entrypoint": entrypoint(MIGRATES_AND_FAILS)}}}).to_string();
    let overlay = nights.world.file("overlay.yml", overlay.as_bytes());
    nights.declare("latest", &format!("compose = [\"compose.yml\", \"{}\"]\n", overlay.display()));
    nights.ends(11, &["the change of 1.0.0+1 did not pass its gate", "exit code 3", "`evenkeel app wiki --retry`"]);
    nights.stands_at("1.0.0+1");
    assert_eq!(nights.data(), before);
    assert_eq!(files(&nights.given_way()[0])["new/all"], b"moved\n");
    tells(&nights.writes_nothing(10), 10, &["was tried at", "exit code 3"]);
    tells(&nights.world.run(&["status", APP]), 0, &["`evenkeel app wiki --retry` lifts that"]);

    nights.declare("latest", "env = { MOOD = \"wild\" }\n");
    nights.ends(14, &["the change of configuration failed", "exit code 4"]);
    nights.stands_at("1.0.0+1");
    assert_eq!(nights.data(), before);
    nights.declare("latest", "");
    assert_eq!(nights.writes_nothing(0).out, "wiki: converged\n");
}

#[test]
fn a_state_that_is_damaged_or_newer_while_an_upgrade_is_open_is_told_and_nothing_is_guessed() {
    let (nights, before) = Nights::broken_off();
    let path = nights.dir().join("state.json");
    let whole = fs::read(&path).unwrap();
    let verbs: [&[&str]; 4] =
        [&["resume"], &["app", APP], &["rollback", APP, "--yes"], &["snapshot", "restore", APP, "--yes"]];
    for (bytes, told) in [(&whole[..whole.len() / 2], "is damaged"), (&br#"{"schema": 99}"#[..], "a newer evenkeel")] {
        fs::write(&path, bytes).unwrap();
        for verb in verbs {
            nights.recorder.take();
            let said = nights.world.run(verb);
            assert!([1, 12].contains(&said.code), "{verb:?}: {said:#?}");
            assert!(said.out.contains(told) || said.err.contains(told), "{verb:?}: {said:#?}");
            assert_eq!(writes(&nights.recorder.take()), Vec::<&String>::new(), "{verb:?}: {said:#?}");
        }
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }

    fs::write(&path, &whole).unwrap();
    tells(&nights.world.run(&["resume"]), 11, &["wiki: rolled-back", "1.0.0+1 runs again"]);
    nights.stands_at("1.0.0+1");
    assert_eq!(nights.data(), before);
    tells(&nights.writes_nothing(10), 10, &["1.1.0+1", "failed here"]);
}

#[test]
fn no_upgrade_converges_without_a_look_at_newer_versions() {
    let mut nights = Nights::begin();
    nights.publish("1.1.0+1", &runs("1.1.0"));
    assert_eq!(nights.world.ok(&["app", APP, "--no-upgrade"]).out, "wiki: converged\n");
    nights.stands_at("1.0.0+1");
}

#[test]
fn a_unit_that_finds_the_slot_taken_waits_for_it_and_says_who_has_it() {
    let mut nights = Nights::begin();
    nights.publish("1.1.0+1", &runs("1.1.0"));
    let held = Foreign::holds(&nights.world.state_dir());
    nights.world.environment.insert("INVOCATION_ID".into(), "0123456789abcdef0123456789abcdef".into());
    let path = nights.world.dir.path().join("notify");
    let systemd = UnixDatagram::bind(&path).unwrap();
    systemd.set_read_timeout(Some(super::DEADLINE)).unwrap();
    nights.world.environment.insert("NOTIFY_SOCKET".into(), path.display().to_string());
    let mut run = nights.world.start(&["app", APP]);

    let mut heard = Vec::new();
    let waits = format!("STATUS=wiki: waiting for the run slot, which {} has", held.name());
    while !heard.contains(&waits) {
        let mut buffer = [0; 4096];
        let length = systemd.recv(&mut buffer).unwrap_or_else(|_| panic!("it says nothing more: {heard:?}"));
        heard.push(String::from_utf8_lossy(&buffer[..length]).trim_end().to_owned());
    }
    assert!(heard.contains(&"EXTEND_TIMEOUT_USEC=600000000".to_owned()), "{heard:?}");
    nights.stands_at("1.0.0+1");
    drop(held);
    drop(systemd);
    assert_eq!(run.wait().unwrap().code(), Some(0));
    nights.stands_at("1.1.0+1");
}

#[test]
fn the_run_of_a_switch_does_not_wait_for_the_slot() {
    let mut nights = Nights::begin();
    let more = nights.world.file("more.yml", b"services: {app: {labels: {of: mine}}}\n");
    nights.declare("latest", &format!("compose = [\"compose.yml\", \"{}\"]", more.display()));
    let held = Foreign::holds(&nights.world.state_dir());
    nights.world.environment.insert("INVOCATION_ID".into(), "0123456789abcdef0123456789abcdef".into());
    let said = nights.world.run(&["app", APP, "--no-upgrade"]);
    tells(&said, 0, &["wiki: waiting: ", &format!("{} has the run slot", held.name())]);
    drop(held);
    nights.world.environment.clear();
    nights.ends(0, &["wiki: upgraded: the change of 1.0.0+1"]);
}

#[test]
fn undoing_that_fails_leaves_everything_as_it_is_and_says_the_ways_out() {
    let host = tempfile::tempdir().unwrap();
    let bind = format!("{}:/host:ro", host.path().display());
    let volumes = [("data", "/data"), (bind.split_once(':').unwrap().0, "/host:ro")];
    let mut nights = Nights::of(&volumes);
    let before = nights.data();
    nights.publish("1.1.0+1", MIGRATES_AND_FAILS);
    // What the old version needs of the host is gone when it is to come back.
    let path = host.keep();
    let goes = path.clone();
    nights.meanwhile(|now| now.is_at("withdraw"), async move |_| fs::remove_dir_all(&goes).unwrap());
    let said = nights.world.run(&["app", APP]);
    nights.has_happened();
    assert_eq!(said.code, 13, "{said:#?}");

    let words =
        ["wiki: stuck: the upgrade 1.0.0+1 -> 1.1.0+1 is stuck", "`evenkeel app wiki --retry`", "snapshot restore"];
    tells(&nights.writes_nothing(13), 13, &words);
    assert_eq!(nights.data(), before, "the known-good data is in place");
    let status = nights.world.run(&["status", APP]);
    assert!(status.out.contains("stuck: the upgrade 1.0.0+1 -> 1.1.0+1"), "{status:#?}");

    fs::create_dir_all(&path).unwrap();
    tells(&nights.world.run(&["app", APP, "--retry"]), 11, &["rolled-back"]);
    nights.stands_at("1.0.0+1");
    assert_eq!(nights.data(), before);
    fs::remove_dir_all(&path).unwrap();
}
