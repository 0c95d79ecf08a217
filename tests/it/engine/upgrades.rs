//! Upgrades by the real program: what a night leaves, whatever became of it.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::private::PrivateEngine;
use super::recorder::{Recorder, writes};
use super::scene::each;
use crate::fixtures::RecipeRepo;
use crate::world::{Said, World, on_engine};

const APP: &str = "wiki";
const GATE: &str = "gate = { stable_for = \"1s\", within = \"300s\" }\n";

/// Starts, writes its mark once, and ends at once when told to.
fn runs(mark: &str) -> String {
    format!(
        "trap 'exit 0' TERM; [ -f /data/{mark} ] || echo {mark} > /data/{mark}; cat /run/secrets/key > /data/key; \
         while :; do sleep 1; done"
    )
}

/// Moves the data into a new form, and then does not come up.
const MIGRATES_AND_FAILS: &str = "rm -f /data/1.0.0; mkdir -p /data/new; echo moved > /data/new/all; exit 3";

/// One app whose recipe has a version for every night.
struct Nights {
    world: World,
    recorder: Recorder,
    recipe: RecipeRepo,
}

impl Nights {
    /// The app at 1.0.0+1, installed.
    fn begin() -> Self {
        Self::of(&[("data", "/data")])
    }

    fn of(volumes: &[(&str, &str)]) -> Self {
        let recorder = Recorder::in_front_of(PrivateEngine::shared().socket());
        let world = World::on_shared().through(recorder.endpoint());
        let mut nights = Self { world, recorder, recipe: RecipeRepo::empty() };
        nights.publish_with("1.0.0+1", &runs("1.0.0"), volumes);
        nights.declare("latest", "");
        nights.world.ok(&["app", APP]);
        nights
    }

    fn declare(&mut self, version: &str, lines: &str) {
        self.world.declare(APP, &self.recipe.url(), version, &format!("{GATE}{lines}"));
    }

    fn publish(&mut self, version: &str, script: &str) {
        self.publish_with(version, script, &[("data", "/data")]);
    }

    fn publish_with(&mut self, version: &str, script: &str, volumes: &[(&str, &str)]) {
        let mounts: Vec<String> = volumes.iter().map(|(name, target)| format!("{name}:{target}")).collect();
        let declared: BTreeMap<&str, Value> =
            volumes.iter().filter(|(name, _)| !name.starts_with('/')).map(|(name, _)| (*name, Value::Null)).collect();
        let compose = serde_json::json!({
            "services": {"app": {
                "image": PrivateEngine::shared().image(),
                "entrypoint": ["sh", "-c", script.replace('$', "$$")],
                "stop_grace_period": "20s",
                // What ends at once never counts as running, however slow the machine is.
                "healthcheck": {"test": ["CMD-SHELL", "exit 0"], "interval": "1s", "timeout": "30s", "retries": 10},
                "volumes": mounts,
                "environment": {"RELEASE": version},
                "secrets": ["key"],
                "configs": [{"source": "notes", "target": "/notes"}],
                "deploy": {"endpoint_mode": "dnsrr"},
            }},
            "volumes": declared,
            "secrets": {"key": {"external": true, "name": "${STACK_NAME}_key_${SECRET_KEY_VERSION}"}},
            "configs": {"notes": {"file": "notes", "name": format!("${{STACK_NAME}}_notes_{}", version.replace('+', "_"))}},
        });
        let files = [
            ("compose.yml", compose.to_string()),
            (".env.sample", "SECRET_KEY_VERSION=v1 # length=16\n".to_owned()),
            ("notes", format!("this is {version}\n")),
        ];
        let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
        self.recipe.publish(version, &files);
    }

    fn night(&self) -> Said {
        self.world.run(&["app", APP])
    }

    /// A run that ends so, with these words.
    #[track_caller]
    fn ends(&self, code: i32, words: &[&str]) -> Said {
        let said = self.night();
        tells(&said, code, words);
        said
    }

    #[track_caller]
    fn writes_nothing(&self, code: i32) -> Said {
        self.recorder.take();
        let said = self.night();
        assert_eq!(said.code, code, "{said:#?}");
        assert_eq!(writes(&self.recorder.take()), Vec::<&String>::new(), "{said:#?}");
        said
    }

    fn state(&self) -> Value {
        self.world.state(APP)
    }

    fn dir(&self) -> PathBuf {
        self.world.state_dir().join(APP)
    }

    fn current(&self) -> String {
        self.state()["current"]["body"]["revision"]["version"].as_str().unwrap().to_owned()
    }

    /// The release whose task really runs.
    fn running(&self) -> Option<String> {
        let observed = self.world.observe(APP);
        let service = observed.services.get(&format!("{}_app", self.world.stack(APP)))?;
        assert_eq!(service.spec["Mode"]["Replicated"]["Replicas"], 1, "it is left scaled down");
        let env = service.spec["TaskTemplate"]["ContainerSpec"]["Env"].as_array()?;
        env.iter().find_map(|entry| entry.as_str()?.strip_prefix("RELEASE=").map(str::to_owned))
    }

    fn volume(&self, name: &str) -> PathBuf {
        let volume = format!("/volumes/{}_{name}", self.world.stack(APP));
        let volume = on_engine(async move |swarm| swarm.engine().get(&volume, &[]).await.unwrap());
        volume["Mountpoint"].as_str().unwrap().into()
    }

    /// What the app keeps: path -> bytes.
    fn data(&self) -> BTreeMap<String, Vec<u8>> {
        files(&self.volume("data"))
    }

    /// The data that gave way, of the last transaction.
    fn given_way(&self) -> Vec<PathBuf> {
        let beside = self.volume("data").parent().unwrap().to_owned();
        let paths = fs::read_dir(beside).unwrap().map(|entry| entry.unwrap().path());
        paths.filter(|path| path.to_string_lossy().ends_with("-failed")).collect()
    }

    /// Nothing of a transaction is left on its way, and the release that is recorded runs.
    #[track_caller]
    fn stands_at(&self, version: &str) {
        let state = self.state();
        assert_eq!((state.get("open"), state.get("stuck")), (None, None), "{state:#}");
        assert_eq!((self.current().as_str(), self.running().as_deref()), (version, Some(version)));
        let beside = self.volume("data").parent().unwrap().to_owned();
        let names: Vec<String> = names(&beside);
        assert!(names.iter().all(|name| name == "_data" || name.ends_with("-failed")), "{names:?}");
    }

    /// Starts a run and kills it when its journal stands at this step.
    fn kill_at(&self, arguments: &[&str], step: &str) {
        let mut run = self.world.start(arguments);
        let deadline = Instant::now() + super::DEADLINE * 3;
        let at = |state: &Value| state["open"]["step"] == step;
        while !read(&self.dir()).as_ref().is_some_and(at) {
            assert_eq!(run.try_wait().unwrap(), None, "the run ended before {step}");
            assert!(Instant::now() < deadline, "{step} was never reached");
            thread::sleep(Duration::from_millis(2));
        }
        kill(&mut run);
    }
}

fn kill(run: &mut Child) {
    run.kill().unwrap();
    run.wait().unwrap();
}

/// The state as it is at some moment: replaced whole, so never half of it.
fn read(dir: &Path) -> Option<Value> {
    serde_json::from_slice(&fs::read(dir.join("state.json")).ok()?).ok()
}

fn names(folder: &Path) -> Vec<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        match path.is_dir() {
            true => found.extend(files(&path).into_iter().map(|(below, bytes)| (format!("{name}/{below}"), bytes))),
            false => drop(found.insert(name, fs::read(&path).unwrap())),
        }
    }
    found
}

#[track_caller]
fn tells(said: &Said, code: i32, words: &[&str]) {
    assert_eq!(said.code, code, "{said:#?}");
    words.iter().for_each(|word| assert!(said.out.contains(word), "{word:?}: {said:#?}"));
}

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
    let told = format!("is kept in {}; the next good upgrade removes it", left.display());
    tells(&nights.world.run(&["status"]), 0, &["_data of 1.1.0+1 since ", &told]);

    tells(&nights.writes_nothing(10), 10, &["1.1.0+1", "left by hand"]);
    tells(&nights.world.run(&["rollback", APP, "--yes"]), 12, &["no release to go back to"]);
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
fn what_is_killed_on_the_way_back_is_finished_by_resume_with_the_old_data() {
    each(&["withdraw", "restore", "redeploy", "rejudge"], Nights::begin, |mut nights, step| {
        let before = nights.data();
        nights.publish("1.1.0+1", MIGRATES_AND_FAILS);
        nights.kill_at(&["app", APP], step);

        tells(&nights.world.run(&["resume"]), 11, &["wiki: rolled-back", "1.0.0+1 runs again"]);

        nights.stands_at("1.0.0+1");
        assert_eq!(nights.data(), before);
        nights.writes_nothing(10);
    });
}

#[test]
fn an_open_upgrade_is_finished_also_where_the_app_is_gone_from_the_configuration_or_has_another_domain() {
    let moved = |nights: &Nights| {
        format!("[app.{APP}]\nrecipe = {{ url = \"{}\" }}\ndomain = \"elsewhere.example\"\n", nights.recipe.url())
    };
    for case in ["gone", "moved"] {
        let mut nights = Nights::begin();
        let before = nights.data();
        nights.publish("1.1.0+1", MIGRATES_AND_FAILS);
        nights.kill_at(&["app", APP], "withdraw");
        let table = if case == "gone" { String::new() } else { moved(&nights) };
        nights.world.table(APP, &table);
        tells(&nights.world.run(&["resume"]), 11, &["wiki: rolled-back"]);
        nights.stands_at("1.0.0+1");
        assert_eq!(nights.data(), before, "{case}");
        nights.declare("latest", "");
    }
}

#[test]
fn an_app_without_data_is_upgraded_without_being_stopped_and_goes_back_too() {
    let script = "trap 'exit 0' TERM; while :; do sleep 1; done";
    let mut nights = Nights::of(&[]);
    nights.publish_with("1.1.0+1", script, &[]);
    nights.ends(0, &["upgraded: 1.0.0+1 -> 1.1.0+1"]);
    assert_eq!((nights.current(), nights.running().unwrap()), ("1.1.0+1".to_owned(), "1.1.0+1".to_owned()));
    assert!(!nights.dir().join("snapshots").exists());

    nights.publish_with("1.2.0+1", "exit 3", &[]);
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
fn no_upgrade_converges_without_a_look_at_newer_versions() {
    let mut nights = Nights::begin();
    nights.publish("1.1.0+1", &runs("1.1.0"));
    assert_eq!(nights.world.ok(&["app", APP, "--no-upgrade"]).out, "wiki: converged\n");
    nights.stands_at("1.0.0+1");
}

#[test]
fn a_unit_that_finds_the_slot_taken_ends_as_waiting_and_names_who_has_it() {
    let mut nights = Nights::begin();
    nights.publish("1.1.0+1", &runs("1.1.0"));
    let slot = nights.world.state_dir().join("slot.lock");
    fs::write(&slot, "pid 1 somebody else\n").unwrap();
    let held = fs::File::open(&slot).unwrap();
    held.lock().unwrap();
    nights.world.environment.insert("INVOCATION_ID".into(), "0123456789abcdef0123456789abcdef".into());

    let said = nights.night();

    assert_eq!(said.code, 0, "{said:#?}");
    nights.stands_at("1.0.0+1");
    assert!(held.as_raw_fd() > 0);
    drop(held);
    nights.world.environment.clear();
    nights.ends(0, &["upgraded"]);
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
    let mut run = nights.world.start(&["app", APP]);
    while !read(&nights.dir()).is_some_and(|state| state["open"]["step"] == "withdraw") {
        assert_eq!(run.try_wait().unwrap(), None, "the run ended before it went back");
        thread::sleep(Duration::from_millis(5));
    }
    let path = host.keep();
    fs::remove_dir_all(&path).unwrap();
    assert_eq!(run.wait().unwrap().code(), Some(13));

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
