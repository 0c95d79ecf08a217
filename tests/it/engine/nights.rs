//! One app whose recipe has a version for every night, and what must hold of it in the morning.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use evenkeel::host::swarm::Swarm;
use serde_json::{Value, json};

use super::private::PrivateEngine;
use super::recorder::{Moment, Recorder, writes};
pub use crate::fidelity::names;
use crate::fixtures::RecipeRepo;
use crate::world::{Said, World, on_engine};

pub const APP: &str = "wiki";
const GATE: &str = "gate = { stable_for = \"1s\", within = \"300s\" }\n";

/// Starts, writes its mark once, and ends at once when told to.
pub fn runs(mark: &str) -> String {
    format!(
        "trap 'exit 0' TERM; [ -f /data/{mark} ] || echo {mark} > /data/{mark}; cat /run/secrets/key > /data/key; \
         while :; do sleep 1; done"
    )
}

/// Moves the data into a new form, and then does not come up.
pub const MIGRATES_AND_FAILS: &str = "rm -f /data/1.0.0; mkdir -p /data/new; echo moved > /data/new/all; exit 3";

/// One app whose recipe has a version for every night.
pub struct Nights {
    pub world: World,
    pub recorder: Recorder,
    pub recipe: RecipeRepo,
    trap: Arc<Mutex<Option<Trap>>>,
}

/// What happens once, in the middle of a run, while the program waits for an answer.
struct Trap {
    is_due: Box<dyn Fn(&Now<'_>) -> bool + Send>,
    happens: Box<dyn FnOnce() + Send>,
}

/// A moment of a run, at one of its requests.
pub struct Now<'a> {
    /// The request, and whether the Engine has done already what was asked.
    pub request: &'a str,
    pub is_answered: bool,
    /// Where the transaction stands; nothing without one.
    pub step: Option<String>,
    /// The app's folder.
    pub dir: &'a Path,
}

impl Now<'_> {
    pub fn is_at(&self, step: &str) -> bool {
        self.step.as_deref() == Some(step)
    }

    /// The snapshot is whole, and what is asked now is whether nobody disturbed it.
    pub fn is_sealed(&self) -> bool {
        let manifest = |snapshot: fs::DirEntry| snapshot.path().join(format!("{APP}.meta.json")).exists();
        let snapshots = fs::read_dir(self.dir.join("snapshots"));
        self.is_at("snapshot") && snapshots.is_ok_and(|mut found| found.any(|snapshot| snapshot.is_ok_and(manifest)))
    }
}

impl Nights {
    /// The app at 1.0.0+1, installed.
    pub fn begin() -> Self {
        Self::of(&[("data", "/data")])
    }

    pub fn of(volumes: &[(&str, &str)]) -> Self {
        Self::laid_over(&runs("1.0.0"), volumes, &json!({}))
    }

    /// The same with another script, and more in its compose file.
    pub fn laid_over(script: &str, volumes: &[(&str, &str)], more: &Value) -> Self {
        let trap = Arc::<Mutex<Option<Trap>>>::default();
        let dir = Arc::<OnceLock<PathBuf>>::default();
        let (set, place) = (Arc::clone(&trap), Arc::clone(&dir));
        let recorder = Recorder::with_hook(PrivateEngine::shared().socket(), move |moment, request| {
            if let Some(dir) = place.get() {
                spring(&set, &|| Now {
                    request,
                    is_answered: moment == Moment::Answered,
                    step: read(dir).and_then(|state| state["open"]["step"].as_str().map(str::to_owned)),
                    dir,
                });
            }
            true
        });
        let world = World::on_shared().through(recorder.endpoint());
        let mut nights = Self { world, recorder, recipe: RecipeRepo::empty(), trap };
        dir.set(nights.dir()).expect("it is set once");
        nights.publish_laid_over("1.0.0+1", script, volumes, more);
        nights.declare("latest", "");
        nights.world.ok(&["app", APP]);
        nights
    }

    /// Does this once, when it is due, before the program gets any further.
    pub fn meanwhile(
        &self,
        is_due: impl Fn(&Now<'_>) -> bool + Send + 'static,
        happens: impl AsyncFnOnce(Swarm) + Send + 'static,
    ) {
        let trap = Trap { is_due: Box::new(is_due), happens: Box::new(move || on_engine(happens)) };
        *self.trap.lock().unwrap_or_else(PoisonError::into_inner) = Some(trap);
    }

    /// What was to happen has happened.
    #[track_caller]
    pub fn has_happened(&self) {
        assert!(self.trap.lock().unwrap_or_else(PoisonError::into_inner).is_none(), "the moment never came");
    }

    pub fn declare(&mut self, version: &str, lines: &str) {
        let gate = if lines.contains("gate = ") { "" } else { GATE };
        self.world.declare(APP, &self.recipe.url(), version, &format!("{gate}{lines}"));
    }

    pub fn publish(&mut self, version: &str, script: &str) {
        self.publish_with(version, script, &[("data", "/data")]);
    }

    pub fn publish_with(&mut self, version: &str, script: &str, volumes: &[(&str, &str)]) {
        self.publish_laid_over(version, script, volumes, &json!({}));
    }

    pub fn publish_laid_over(&mut self, version: &str, script: &str, volumes: &[(&str, &str)], more: &Value) {
        let mounts: Vec<String> = volumes.iter().map(|(name, target)| format!("{name}:{target}")).collect();
        let declared: BTreeMap<&str, Value> =
            volumes.iter().filter(|(name, _)| !name.starts_with('/')).map(|(name, _)| (*name, Value::Null)).collect();
        let mut compose = json!({
            "services": {"app": {
                "image": PrivateEngine::shared().image(),
                "entrypoint": entrypoint(script),
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
        lay_over(&mut compose, more);
        let files = [
            ("compose.yml", compose.to_string()),
            (".env.sample", "SECRET_KEY_VERSION=v1 # length=16\n".to_owned()),
            ("notes", format!("this is {version}\n")),
        ];
        let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
        self.recipe.publish(version, &files);
    }

    /// `<stack>_<name>`.
    pub fn named(&self, name: &str) -> String {
        format!("{}_{name}", self.world.stack(APP))
    }

    pub fn night(&self) -> Said {
        self.world.run(&["app", APP])
    }

    /// A run that ends so, with these words.
    #[track_caller]
    pub fn ends(&self, code: i32, words: &[&str]) -> Said {
        let said = self.night();
        tells(&said, code, words);
        said
    }

    #[track_caller]
    pub fn writes_nothing(&self, code: i32) -> Said {
        self.recorder.take();
        let said = self.night();
        assert_eq!(said.code, code, "{said:#?}");
        assert_eq!(writes(&self.recorder.take()), Vec::<&String>::new(), "{said:#?}");
        said
    }

    pub fn state(&self) -> Value {
        self.world.state(APP)
    }

    pub fn dir(&self) -> PathBuf {
        self.world.state_dir().join(APP)
    }

    pub fn current(&self) -> String {
        self.state()["current"]["body"]["revision"]["version"].as_str().unwrap().to_owned()
    }

    /// The release whose task really runs.
    pub fn running(&self) -> Option<String> {
        let observed = self.world.observe(APP);
        let service = observed.services.get(&format!("{}_app", self.world.stack(APP)))?;
        assert_eq!(service.spec["Mode"]["Replicated"]["Replicas"], 1, "it is left scaled down");
        let env = service.spec["TaskTemplate"]["ContainerSpec"]["Env"].as_array()?;
        env.iter().find_map(|entry| entry.as_str()?.strip_prefix("RELEASE=").map(str::to_owned))
    }

    pub fn volume(&self, name: &str) -> PathBuf {
        let volume = format!("/volumes/{}_{name}", self.world.stack(APP));
        let volume = on_engine(async move |swarm| swarm.engine().get(&volume, &[]).await.unwrap());
        volume["Mountpoint"].as_str().unwrap().into()
    }

    /// What the app keeps: path -> bytes.
    pub fn data(&self) -> BTreeMap<String, Vec<u8>> {
        files(&self.volume("data"))
    }

    /// The data that gave way, of the last transaction.
    pub fn given_way(&self) -> Vec<PathBuf> {
        let beside = self.volume("data").parent().unwrap().to_owned();
        let paths = fs::read_dir(beside).unwrap().map(|entry| entry.unwrap().path());
        paths.filter(|path| path.to_string_lossy().ends_with("-failed")).collect()
    }

    /// Nothing of a transaction is left on its way, and the release that is recorded runs.
    #[track_caller]
    pub fn stands_at(&self, version: &str) {
        let state = self.state();
        assert_eq!((state.get("open"), state.get("stuck")), (None, None), "{state:#}");
        assert_eq!((self.current().as_str(), self.running().as_deref()), (version, Some(version)));
        let beside = self.volume("data").parent().unwrap().to_owned();
        let names: Vec<String> = names(&beside);
        assert!(names.iter().all(|name| name == "_data" || name.ends_with("-failed")), "{names:?}");
    }

    /// A bad upgrade, killed on the way back. Also the data from before.
    pub fn broken_off() -> (Self, BTreeMap<String, Vec<u8>>) {
        let mut nights = Self::begin();
        let before = nights.data();
        nights.publish("1.1.0+1", MIGRATES_AND_FAILS);
        nights.kill_at(&["app", APP], "withdraw");
        (nights, before)
    }

    /// Declares the app under another domain.
    pub fn moves_away(&mut self) {
        let url = self.recipe.url();
        let table = format!("[app.{APP}]\nrecipe = {{ url = \"{url}\" }}\ndomain = \"elsewhere.example\"\n");
        self.world.table(APP, &table);
    }

    /// Starts a run and kills it when its journal stands at this step. All that it asked of the Engine is written down then.
    pub fn kill_at(&self, arguments: &[&str], step: &str) {
        let mut run = self.world.start(arguments);
        let deadline = Instant::now() + super::DEADLINE * 3;
        let at = |state: &Value| state["open"]["step"] == step;
        while !read(&self.dir()).as_ref().is_some_and(at) {
            assert_eq!(run.try_wait().unwrap(), None, "the run ended before {step}");
            assert!(Instant::now() < deadline, "{step} was never reached");
            thread::sleep(Duration::from_millis(2));
        }
        kill(&mut run);
        self.recorder.catch_up();
    }
}

/// A shell's words in a compose file.
pub fn entrypoint(script: &str) -> Value {
    json!(["sh", "-c", script.replace('$', "$$")])
}

/// One at a time: whoever asks the Engine meanwhile waits.
fn spring<'a>(trap: &Mutex<Option<Trap>>, now: &dyn Fn() -> Now<'a>) {
    let mut trap = trap.lock().unwrap_or_else(PoisonError::into_inner);
    if trap.as_ref().is_some_and(|trap| (trap.is_due)(&now()))
        && let Some(due) = trap.take()
    {
        (due.happens)();
    }
}

pub fn lay_over(compose: &mut Value, more: &Value) {
    match (compose, more) {
        (Value::Object(compose), Value::Object(more)) => {
            more.iter().for_each(|(key, more)| lay_over(compose.entry(key.clone()).or_insert(Value::Null), more));
        }
        (compose, more) => *compose = more.clone(),
    }
}

pub fn kill(run: &mut Child) {
    run.kill().unwrap();
    run.wait().unwrap();
}

/// The state as it is at some moment: replaced whole, so never half of it.
pub fn read(dir: &Path) -> Option<Value> {
    serde_json::from_slice(&fs::read(dir.join("state.json")).ok()?).ok()
}

pub fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
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
pub fn tells(said: &Said, code: i32, words: &[&str]) {
    assert_eq!(said.code, code, "{said:#?}");
    words.iter().for_each(|word| assert!(said.out.contains(word), "{word:?}: {said:#?}"));
}
