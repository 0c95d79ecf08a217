//! One canonical whose recipe has a version for every try, and what must hold of it afterwards.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use evenkeel::model::observed::Task;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::nights::{entrypoint, lay_over};
use super::private::PrivateEngine;
use crate::fixtures::RecipeRepo;
use crate::world::{Said, World};

pub const NAME: &str = "wiki";
const GATE: &str = "gate = { stable_for = \"1s\", within = \"40s\" }\n";

/// Starts, writes its mark once, and ends at once when told to.
pub fn runs(mark: &str) -> String {
    format!("trap 'exit 0' TERM; [ -f /data/{mark} ] || echo {mark} > /data/{mark}; while :; do sleep 1; done")
}

/// Writes where it should not, and then does not come up.
pub const SPOILS_AND_FAILS: &str = "rm -f /data/1.0.0; echo spoiled > /data/spoiled; exit 3";

pub struct Warmth {
    pub world: World,
    pub recipe: RecipeRepo,
}

impl Warmth {
    /// Enrolled at 1.0.0+1, and not seeded.
    pub fn enrolled() -> Self {
        Self::enrolled_in(World::on_shared())
    }

    pub fn enrolled_in(world: World) -> Self {
        let mut warmth = Self { world, recipe: RecipeRepo::empty() };
        warmth.publish("1.0.0+1", &runs("1.0.0"));
        warmth.declare("");
        warmth
    }

    pub fn seeded() -> Self {
        let warmth = Self::enrolled();
        warmth.ends(0, &["seed", NAME], &["wiki: applied: seeded 1.0.0+1"]);
        warmth
    }

    pub fn declare(&mut self, lines: &str) {
        let (url, domain) = (self.recipe.url(), self.world.domain(NAME));
        let gate = if lines.contains("gate = ") { "" } else { GATE };
        let table =
            format!("[canonical.{NAME}]\nrecipe = {{ url = \"{url}\" }}\ndomain = \"{domain}\"\n{gate}{lines}\n");
        self.world.table(NAME, &table);
    }

    pub fn publish(&mut self, version: &str, script: &str) {
        self.publish_laid_over(version, script, &json!({}));
    }

    pub fn publish_laid_over(&mut self, version: &str, script: &str, more: &Value) {
        let files = files(version, script, more);
        let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
        self.recipe.publish(version, &files);
    }

    /// A commit without a tag; its id.
    pub fn commit(&mut self, script: &str) -> String {
        self.commit_laid_over(script, &json!({}))
    }

    pub fn commit_laid_over(&mut self, script: &str, more: &Value) -> String {
        let files = files("9.9.9+9", script, more);
        let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
        self.recipe.commit(&files);
        self.recipe.commit_of("HEAD")
    }

    pub fn ask(&self, words: &[&str]) -> Said {
        self.world.run(&[&["canonical"], words].concat())
    }

    /// Ends so, with these words.
    #[track_caller]
    pub fn ends(&self, code: i32, words: &[&str], told: &[&str]) -> Said {
        let said = self.ask(words);
        assert_eq!(said.code, code, "{words:?}: {said:#?}");
        for word in told {
            assert!(said.out.contains(word) || said.err.contains(word), "{words:?}: {word}: {said:#?}");
        }
        said
    }

    /// Starts a run and kills it when its journal stands at this step.
    #[track_caller]
    pub fn kill_at(&self, words: &[&str], purpose: &str, step: &str) {
        let mut run = self.world.start(words);
        let deadline = Instant::now() + super::DEADLINE * 3;
        let path = self.dir().join("state.json");
        let stands = || {
            let state: Value =
                fs::read(&path).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
            let work = &state["warm"]["work"];
            work["purpose"] == purpose && work["step"] == step
        };
        while !stands() {
            assert_eq!(run.try_wait().unwrap(), None, "the run ended before {step}");
            assert!(Instant::now() < deadline, "{step} was never reached");
            thread::sleep(Duration::from_millis(1));
        }
        kill_process(Pid::from_child(&run), Signal::KILL).unwrap();
        run.wait().unwrap();
    }

    pub fn state(&self) -> Value {
        self.world.state(NAME)
    }

    pub fn record(&self) -> Value {
        serde_json::from_slice(&fs::read(self.dir().join("canonical.json")).unwrap()).unwrap()
    }

    pub fn dir(&self) -> PathBuf {
        self.world.state_dir().join(NAME)
    }

    pub fn volume(&self) -> String {
        format!("{}_data", self.world.stack(NAME))
    }

    pub fn place(&self) -> PathBuf {
        PrivateEngine::shared().data_root().join("volumes").join(self.volume()).join("_data")
    }

    /// The files of the volume, by name.
    pub fn data(&self) -> BTreeMap<String, String> {
        let Ok(entries) = fs::read_dir(self.place()) else { return BTreeMap::new() };
        let text = |entry: fs::DirEntry| {
            let name = entry.file_name().into_string().unwrap();
            (name, fs::read_to_string(entry.path()).unwrap_or_default())
        };
        entries.map(|entry| text(entry.unwrap())).collect()
    }

    /// How it stands: the status, the known-good, and that this has a whole snapshot.
    #[track_caller]
    pub fn stands(&self, status: &str, version: &str) {
        let (state, record) = (self.state(), self.record());
        assert_eq!(state["warm"]["status"], status, "{state:#}");
        assert_eq!(state["current"]["body"]["revision"]["version"], version, "{state:#}");
        assert_eq!((&record["status"], &record["version"]), (&json!(status), &json!(version)), "{record:#}");
        let snapshot = state["current"]["snapshot"].as_str().unwrap();
        let folder = self.dir().join("snapshots").join(snapshot);
        assert!(folder.join(format!("{NAME}.meta.json")).exists(), "{}", folder.display());
        assert_eq!(state["warm"]["work"], Value::Null);
    }

    #[track_caller]
    pub fn until(&self, what: &str, holds: impl Fn(&[Task]) -> bool) {
        let deadline = Instant::now() + super::DEADLINE;
        while !holds(&self.world.observe(NAME).tasks) {
            assert!(Instant::now() < deadline, "not in time: {what}");
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// Nothing of it runs.
    #[track_caller]
    pub fn rests(&self) {
        let observed = self.world.observe(NAME);
        assert!(observed.containers.iter().all(|container| container.state != "running"), "{:#?}", observed.containers);
        for service in observed.services.values() {
            assert_eq!(service.spec["Mode"]["Replicated"]["Replicas"], 0, "{}", service.name);
        }
    }
}

fn files(version: &str, script: &str, more: &Value) -> [(&'static str, String); 2] {
    let mut compose = json!({
        "services": {"app": {
            "image": PrivateEngine::shared().image(),
            "entrypoint": entrypoint(script),
            "stop_grace_period": "20s",
            // What ends at once never counts as running, however slow the machine is.
            "healthcheck": {"test": ["CMD-SHELL", "exit 0"], "interval": "1s", "timeout": "30s", "retries": 10},
            "volumes": ["data:/data"],
            "environment": {"RELEASE": version},
            "secrets": ["key"],
            "deploy": {"endpoint_mode": "dnsrr"},
        }},
        "volumes": {"data": null},
        "secrets": {"key": {"external": true, "name": "${STACK_NAME}_key_${SECRET_KEY_VERSION}"}},
    });
    lay_over(&mut compose, more);
    [("compose.yml", compose.to_string()), (".env.sample", "SECRET_KEY_VERSION=v1 # length=16\n".to_owned())]
}
