//! A host of its own for one test: configuration, state directory and recipes, on the private Engine; and the real
//! program on it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, Once, PoisonError};

use evenkeel::host::engine::Engine;
use evenkeel::host::swarm::Swarm;
use evenkeel::model::app::StackName;
use evenkeel::model::observed::Observed;
use evenkeel::plan::NAMESPACE_LABEL;
use serde_json::Value;

use crate::engine::Stack;
use crate::engine::private::PrivateEngine;
use crate::engine::recorder::Recorder;
use crate::fixtures::RecipeRepo;

/// Every stack of a test begins so: on an Engine that somebody lent, nothing else may be touched.
const PREFIX: &str = "evenkeel-test-";

pub struct World {
    pub dir: tempfile::TempDir,
    pub base: String,
    engine: String,
    /// The Engine behind it, where `engine` is a socket in front.
    real: String,
    /// Nobody else is on that Engine, which ends with the test.
    is_alone: bool,
    /// Of the shared network.
    pub subnet: &'static str,
    /// Lines of the configuration that stand in no table.
    pub top: String,
    /// What the program finds in its environment beside this process's own.
    pub environment: BTreeMap<String, String>,
    tables: BTreeMap<String, String>,
    recipes: Vec<RecipeRepo>,
}

/// What the program said and how it ended.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl World {
    /// A host with the shared network and no app. Each world has a base domain of its own, so tests share no stack.
    pub fn new() -> Self {
        let world = Self::on_shared();
        standins();
        world
    }

    /// The same for whoever needs no stand-in app.
    pub fn on_shared() -> Self {
        let mut world = Self::on(PrivateEngine::shared());
        world.is_alone = false;
        // One after the other: the first makes the shared network, which takes Swarm a moment.
        static SWARM: Mutex<()> = Mutex::new(());
        let one_at_a_time = SWARM.lock().unwrap_or_else(PoisonError::into_inner);
        world.ok(&["swarm"]);
        drop(one_at_a_time);
        world
    }

    /// A host on an Engine of its own, without network and app.
    pub fn on(engine: &PrivateEngine) -> Self {
        static WORLDS: AtomicU32 = AtomicU32::new(0);
        let number = WORLDS.fetch_add(1, Ordering::Relaxed);
        Self {
            dir: tempfile::tempdir().unwrap(),
            base: format!("t{number}.example"),
            engine: engine.endpoint().to_owned(),
            real: engine.endpoint().to_owned(),
            is_alone: true,
            subnet: "10.200.0.0/16",
            top: String::new(),
            environment: BTreeMap::new(),
            tables: BTreeMap::new(),
            recipes: Vec::new(),
        }
    }

    /// Has its Docker replaced by another one, as after a reinstallation.
    pub fn moved_to(mut self, engine: &PrivateEngine) -> Self {
        (self.engine, self.real) = (engine.endpoint().to_owned(), engine.endpoint().to_owned());
        self
    }

    /// Speaks to the Engine through this endpoint instead.
    pub fn through(mut self, endpoint: String) -> Self {
        self.engine = endpoint;
        self
    }

    /// Speaks to the Engine through a socket that writes down every request.
    pub fn recorded(self) -> (Self, Recorder) {
        let socket = self.real.strip_prefix("unix://").expect("tests speak to unix sockets only");
        let recorder = Recorder::in_front_of(Path::new(socket));
        (self.through(recorder.endpoint()), recorder)
    }

    /// Declares an app of a fixture recipe, pinned to a version; `more` are further lines of its table.
    pub fn app(mut self, name: &str, recipe: &str, version: &str, more: &str) -> Self {
        self.recipes.push(RecipeRepo::build(recipe));
        let url = self.recipes.last().unwrap().url();
        self.declare(name, &url, version, more);
        self
    }

    /// Declares an app of any recipe.
    pub fn declare(&mut self, name: &str, url: &str, version: &str, more: &str) {
        let domain = self.domain(name);
        let mut table =
            format!("[app.{name}]\nrecipe = {{ url = \"{url}\" }}\nversion = \"{version}\"\ndomain = \"{domain}\"\n");
        if !more.contains("gate") {
            table.push_str("gate = { stable_for = \"1s\", within = \"60s\" }\n");
        }
        writeln!(table, "{more}").unwrap();
        self.tables.insert(name.to_owned(), table);
    }

    /// Declares anything else: a whole table, heading included, whose stack is that of an app `name`.
    pub fn table(&mut self, name: &str, text: &str) {
        self.tables.insert(name.to_owned(), format!("{text}\n"));
    }

    /// The domain of an app.
    pub fn domain(&self, app: &str) -> String {
        format!("{PREFIX}{app}.{}", self.base)
    }

    /// Writes a file that only the operator has, and tells its path.
    pub fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    pub fn state_dir(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    pub fn state(&self, app: &str) -> Value {
        serde_json::from_slice(&std::fs::read(self.state_dir().join(app).join("state.json")).unwrap()).unwrap()
    }

    pub fn config(&self) -> PathBuf {
        let mut text = format!(
            "base_domain = \"{}\"\nstate_dir = \"{}\"\nengine = \"{}\"\n{}[network]\nsubnet = \"{}\"\n",
            self.base,
            self.state_dir().display(),
            self.engine,
            self.top,
            self.subnet,
        );
        self.tables.values().for_each(|table| text.push_str(table));
        self.file("config.toml", text.as_bytes())
    }

    /// The program with these arguments, to be run in any way.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_evenkeel"));
        command.arg("--config").arg(self.config()).args(arguments);
        command.env_remove("DOCKER_HOST").env_remove("INVOCATION_ID").envs(&self.environment).stdin(Stdio::null());
        command
    }

    /// Runs the program to its end.
    pub fn run(&self, arguments: &[&str]) -> Said {
        let output = self.command(arguments).output().unwrap();
        Said {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Starts the program and lets it run.
    pub fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// The same, with its log to be read.
    pub fn start_with_log(&self, arguments: &[&str]) -> Child {
        self.command(arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Runs the program, which has to end well.
    #[track_caller]
    pub fn ok(&self, arguments: &[&str]) -> Said {
        let said = self.run(arguments);
        assert_eq!(said.code, 0, "evenkeel {}: {said:#?}", arguments.join(" "));
        said
    }

    pub fn stack(&self, app: &str) -> String {
        self.domain(app).replace('.', "_")
    }

    pub fn observe(&self, app: &str) -> Observed {
        let stack: StackName = self.stack(app).parse().unwrap();
        at(&self.real, async move |swarm| swarm.observe(&stack).await.unwrap())
    }

    /// What must not change where nothing is written: indexes, previous specs, task ids.
    pub fn fingerprint(&self, app: &str) -> Vec<String> {
        let observed = self.observe(app);
        let services = observed
            .services
            .values()
            .map(|service| format!("{} {} {:?}", service.name, service.index, service.previous_spec));
        let tasks = observed.tasks.iter().map(|task| format!("{} {:?}", task.id, task.state));
        // Worlds beside this one make and remove theirs meanwhile.
        let stack = self.stack(app);
        let is_own = |name: &str, labels: &BTreeMap<String, String>| {
            name.starts_with(&stack) || labels.get(NAMESPACE_LABEL) == Some(&stack)
        };
        let secrets = observed.secrets.values().filter(|secret| is_own(&secret.name, &secret.labels));
        let secrets = secrets.map(|secret| format!("{} {}", secret.name, secret.index));
        let configs = observed.configs.values().filter(|config| is_own(&config.name, &config.labels));
        let configs = configs.map(|config| format!("{} {}", config.name, config.index));
        let mut lines: Vec<String> = services.chain(tasks).chain(secrets).chain(configs).collect();
        lines.sort();
        lines
    }
}

/// Something done to the private Engine by hand, as a person would with the Docker command line.
pub fn on_engine<T>(act: impl AsyncFnOnce(Swarm) -> T) -> T {
    at(PrivateEngine::shared().endpoint(), act)
}

/// The Engine's events from now until `stopped`, as JSON; they are listened for once the first future is done.
pub async fn events(
    swarm: &Swarm,
    filters: &Value,
    stopped: tokio::sync::oneshot::Receiver<()>,
) -> impl Future<Output = Vec<Value>> + use<> {
    let filters = filters.to_string();
    let query = [("filters", filters.as_str())];
    let mut events = swarm.engine().stream(reqwest::Method::GET, "/events", &query, None).await.unwrap();
    async move {
        let (mut stopped, mut bytes) = (stopped, Vec::new());
        loop {
            tokio::select! {
                _ = &mut stopped => break,
                chunk = events.chunk() => bytes.extend(chunk.unwrap().expect("the stream goes on")),
            }
        }
        serde_json::Deserializer::from_slice(&bytes).into_iter().map(Result::unwrap).collect()
    }
}

/// The same on any Engine.
pub fn at<T>(endpoint: &str, act: impl AsyncFnOnce(Swarm) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let engine = Engine::connect(endpoint).await.unwrap();
        act(Swarm::new(engine)).await
    })
}

/// Everything of the test's stacks is taken away from the shared Engine; volumes too.
impl Drop for World {
    fn drop(&mut self) {
        // A second panic would end all other tests, too.
        if self.is_alone || std::thread::panicking() {
            return;
        }
        for app in self.tables.keys() {
            let stack: StackName = self.stack(app).parse().unwrap();
            at(&self.real, async move |swarm| Stack { name: stack, swarm }.clear().await);
        }
    }
}

/// The stand-in app's images, once per process: built on first use, then from a cache.
fn standins() {
    static LOADED: Once = Once::new();
    LOADED.call_once(|| load(&["standin-1.0.0", "standin-1.1.0", "standin-2.0.0"]));
}

/// Loads images that `tests/images/build` makes.
pub fn load(names: &[&str]) {
    let tarballs = tarballs(names);
    PrivateEngine::shared().load(&tarballs.iter().map(PathBuf::as_path).collect::<Vec<_>>());
}

/// Where such images lie, made if need be.
pub fn tarballs(names: &[&str]) -> Vec<PathBuf> {
    let build = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/images/build");
    let built = Command::new(build).args(names).stderr(Stdio::inherit()).output().unwrap();
    assert!(built.status.success(), "tests/images/build {}", names.join(" "));
    let tarballs = String::from_utf8(built.stdout).unwrap();
    tarballs.lines().map(PathBuf::from).collect()
}
