//! A Swarm of two nodes: an app's data is on one of them alone, and a node may be gone.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use evenkeel::model::observed::{OtherNode, Task, TaskState};
use serde_json::{Value, json};

use super::nights::tells;
use super::private::PrivateEngine;
use crate::fixtures::RecipeRepo;
use crate::world::{Said, World, at};

const APP: &str = "wiki";
const GATE: &str = "gate = { stable_for = \"1s\", within = \"300s\" }\n";

/// Two nodes of one Swarm; the program runs on the first, which is a manager.
struct Nodes {
    one: PrivateEngine,
    two: PrivateEngine,
}

impl Nodes {
    fn start(second: &str) -> Self {
        let one = PrivateEngine::open().with_image();
        let two = one.joined_as(second);
        two.copy_image(&one);
        Self { one, two }
    }

    /// For tests that leave both running, one after the other.
    fn shared() -> MutexGuard<'static, Self> {
        static SHARED: OnceLock<Mutex<Nodes>> = OnceLock::new();
        SHARED.get_or_init(|| Mutex::new(Self::start("worker"))).lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has Swarm put nothing on a node meanwhile, and leave what is there afterwards.
    fn without<T>(&self, node: &PrivateEngine, act: impl FnOnce() -> T) -> T {
        let set = |availability: &str| {
            self.one.docker(&["node", "update", "--availability", availability, &node.hostname()]);
        };
        set("pause");
        let done = catch_unwind(AssertUnwindSafe(act));
        set("active");
        done.unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// Kills a node as a power cut does, and waits until Swarm knows.
    fn lose(&self, node: &PrivateEngine) {
        let name = node.hostname();
        node.kill(true);
        at(self.one.endpoint(), async move |swarm| {
            let mut changes = swarm.changes().await.unwrap();
            let down = async {
                let is_it = |other: &OtherNode| other.hostname == name && other.is_down;
                while !swarm.other_nodes().await.unwrap().values().any(is_it) {
                    changes.wait(Duration::from_millis(500)).await;
                }
            };
            tokio::time::timeout(super::DEADLINE, down).await.expect("Swarm never says that the node is down");
        });
    }
}

impl PrivateEngine {
    /// As constraints name its node.
    fn hostname(&self) -> String {
        self.docker(&["info", "--format", "{{.Name}}"])
    }
}

/// An app and its recipe, on the first node.
struct App {
    world: World,
    recipe: RecipeRepo,
    engine: String,
    name: &'static str,
    data: bool,
}

impl App {
    fn with_data(on: &PrivateEngine) -> Self {
        Self::new(on, APP, true)
    }

    fn without_data(on: &PrivateEngine) -> Self {
        Self::new(on, APP, false)
    }

    /// Declared, with its first version published.
    fn new(on: &PrivateEngine, name: &'static str, data: bool) -> Self {
        let (world, engine) = (World::on(on), on.endpoint().to_owned());
        let mut app = Self { world, recipe: RecipeRepo::empty(), engine, name, data };
        app.publish("1.0.0+1", on.image());
        app.place(None);
        app
    }

    fn publish(&mut self, version: &str, image: &str) {
        let begins =
            if self.data { "[ -e /data/begun ] || cat /proc/sys/kernel/random/uuid > /data/begun; " } else { "" };
        let script = format!("trap 'exit 0' TERM; {begins}while :; do sleep 1; done");
        let mut compose = json!({"services": {"app": {
            "image": image,
            "entrypoint": ["sh", "-c", script],
            "environment": {"RELEASE": version},
            "deploy": {"endpoint_mode": "dnsrr"},
        }}});
        if self.data {
            compose["services"]["app"]["volumes"] = json!(["data:/data"]);
            compose["volumes"] = json!({"data": {}});
        }
        self.recipe.publish(version, &[("compose.yml", &compose.to_string())]);
    }

    /// The operator's own compose file, which keeps the app on one node, or none.
    fn place(&mut self, on: Option<&str>) {
        let files = match on {
            None => String::new(),
            Some(hostname) => {
                let constraint = format!("node.hostname == {hostname}");
                let overlay =
                    json!({"services": {"app": {"deploy": {"placement": {"constraints": [constraint]}}}}}).to_string();
                let path = self.world.file("placed.yml", overlay.as_bytes());
                format!("compose = [\"compose.yml\", \"{}\"]\n", path.display())
            }
        };
        self.world.declare(self.name, &self.recipe.url(), "latest", &format!("{GATE}{files}"));
    }

    fn run(&self) -> Said {
        self.world.run(&["app", self.name])
    }

    #[track_caller]
    fn ends(&self, code: i32, words: &[&str]) {
        tells(&self.run(), code, words);
    }

    #[track_caller]
    fn installed(self) -> Self {
        self.ends(0, &[&format!("{}: applied: installed 1.0.0+1", self.name)]);
        self
    }

    /// Nothing is made of the app; it is told why.
    #[track_caller]
    fn is_left_alone(&self, words: &[&str]) {
        let before = self.world.fingerprint(self.name);
        self.ends(12, words);
        assert_eq!(self.world.fingerprint(self.name), before);
        assert_eq!(self.world.state(self.name).get("open"), None);
    }

    /// Its one task that is to run, and does.
    #[track_caller]
    fn task(&self) -> Task {
        let observed = self.world.observe(self.name);
        let runs = |task: &&Task| task.state == TaskState::Running && task.desired == TaskState::Running;
        let running: Vec<&Task> = observed.tasks.iter().filter(runs).collect();
        let [task] = running[..] else { panic!("{:#?}", observed.tasks) };
        task.clone()
    }

    /// The name of the other node that it runs on.
    fn is_on(&self) -> Option<String> {
        self.task().elsewhere.map(|node| node.hostname)
    }

    /// The version that the state names and Swarm was told.
    fn version(&self) -> String {
        let recorded = self.world.state(self.name)["current"]["body"]["revision"]["version"].clone();
        let observed = self.world.observe(self.name);
        let service = &observed.services[&format!("{}_app", self.world.stack(self.name))];
        let told = &service.spec["TaskTemplate"]["ContainerSpec"]["Env"];
        let told = told.as_array().unwrap().iter().find_map(|entry| entry.as_str()?.strip_prefix("RELEASE="));
        assert_eq!(recorded, Value::from(told.unwrap()));
        told.unwrap().to_owned()
    }

    /// What it wrote at its very first start on the first node.
    fn begun(&self) -> Vec<u8> {
        let volume = format!("/volumes/{}_data", self.world.stack(self.name));
        let volume = at(&self.engine, async move |swarm| swarm.engine().get(&volume, &[]).await.unwrap());
        fs::read(PathBuf::from(volume["Mountpoint"].as_str().unwrap()).join("begun")).unwrap()
    }
}

#[test]
fn an_app_that_could_start_without_its_data_is_upgraded_once_it_is_placed_beside_it() {
    let nodes = Nodes::shared();
    let mut app = nodes.without(&nodes.two, || App::with_data(&nodes.one).installed());
    let (begun, task, one) = (app.begun(), app.task(), nodes.one.hostname());
    app.publish("1.1.0+1", nodes.one.image());

    let nothing_keeps = format!("nothing keeps service {}_app on this one", app.world.stack(APP));
    let way_out = format!("place it here (deploy.placement.constraints: node.hostname == {one})");
    app.is_left_alone(&["wiki: blocked: the Swarm has 2 nodes", &nothing_keeps, &way_out]);
    let take = ["snapshot", "take", APP];
    tells(&app.world.run(&take), 12, &[&nothing_keeps]);
    assert_eq!(app.task(), task);
    nodes.without(&nodes.two, || app.world.ok(&take));
    assert_eq!((app.begun(), app.is_on()), (begun.clone(), None));

    app.place(Some(&one));
    app.ends(0, &["wiki: upgraded: 1.0.0+1 -> 1.1.0+1 passed its gate"]);
    assert_eq!((app.version().as_str(), app.is_on()), ("1.1.0+1", None));
    assert_eq!(app.begun(), begun, "it was started on other data");
    app.publish("1.2.0+1", nodes.one.image());
    app.ends(0, &["wiki: upgraded: 1.1.0+1 -> 1.2.0+1"]);
    assert_eq!(app.begun(), begun, "it was started on other data");
}

#[test]
fn an_app_whose_data_is_on_another_node_is_kept_there_and_not_stopped() {
    let nodes = Nodes::shared();
    let (one, two) = (nodes.one.hostname(), nodes.two.hostname());
    let mut app = App::with_data(&nodes.one);
    app.place(Some(&two));
    let mut app = app.installed();
    assert_eq!(app.is_on(), Some(two.clone()));
    app.ends(0, &["wiki: converged"]);

    app.place(Some(&one));
    let leaves = format!("nothing keeps service {}_app on node {two}, where its volumes are", app.world.stack(APP));
    app.is_left_alone(&["wiki: blocked: ", &leaves]);

    app.place(Some(&two));
    app.publish("1.1.0+1", nodes.one.image());
    let is_there = format!("service {}_app runs on node {two} of the Swarm, and its volumes are", app.world.stack(APP));
    app.is_left_alone(&["wiki: blocked: ", &is_there, "run evenkeel on that node"]);
    assert_eq!((app.version().as_str(), app.is_on()), ("1.0.0+1", Some(two)));
}

#[test]
fn an_app_without_data_is_kept_and_upgraded_on_another_node() {
    let nodes = Nodes::shared();
    let two = nodes.two.hostname();
    let mut app = App::without_data(&nodes.one);
    app.place(Some(&two));
    let mut app = app.installed();
    app.ends(0, &["wiki: converged"]);
    app.publish("1.1.0+1", nodes.one.image());
    app.ends(0, &["wiki: upgraded: 1.0.0+1 -> 1.1.0+1 passed its gate"]);
    assert_eq!((app.version().as_str(), app.is_on()), ("1.1.0+1", Some(two.clone())));

    // What images the other node has is known to that node alone.
    nodes.one.make_image("evenkeel-test/busybox:2");
    app.publish("1.2.0+1", "evenkeel-test/busybox:2");
    app.ends(11, &["wiki: rolled-back: ", "No such image: evenkeel-test/busybox:2", &format!("on node {two}")]);
    assert_eq!((app.version().as_str(), app.is_on()), ("1.1.0+1", Some(two)));
}

#[test]
fn a_worker_says_that_it_keeps_no_stacks_and_where_to_go() {
    let nodes = Nodes::shared();
    let app = App::with_data(&nodes.two);
    let words = "this node is a worker of a Swarm and cannot keep stacks: run evenkeel on a manager";
    app.ends(12, &["wiki: blocked: ", words]);
    let swarm = app.world.run(&["swarm"]);
    assert_eq!(swarm.code, 1, "{swarm:#?}");
    assert!(swarm.err.contains(words), "{swarm:#?}");
    assert!(app.world.run(&["status"]).out.contains(words));
}

#[test]
fn a_node_that_went_down_is_told_and_waited_for_by_nobody() {
    let nodes = Nodes::start("worker");
    let (one, two) = (nodes.one.hostname(), nodes.two.hostname());
    let mut moves = nodes.without(&nodes.one, || App::without_data(&nodes.one).installed());
    let mut stays = App::new(&nodes.one, "stays", true);
    stays.place(Some(&one));
    let mut stays = stays.installed();
    let mut free = nodes.without(&nodes.two, || App::new(&nodes.one, "free", true).installed());
    let mut goes = App::new(&nodes.one, "goes", true);
    goes.place(Some(&two));
    let goes = goes.installed();
    assert_eq!((moves.is_on(), goes.is_on()), (Some(two.clone()), Some(two.clone())));

    nodes.lose(&nodes.two);

    moves.ends(0, &["wiki: converged"]);
    moves.publish("1.1.0+1", nodes.one.image());
    moves.ends(0, &["wiki: upgraded: 1.0.0+1 -> 1.1.0+1 passed its gate"]);
    assert_eq!((moves.version().as_str(), moves.is_on()), ("1.1.0+1", None));

    let begun = stays.begun();
    stays.publish("1.1.0+1", nodes.one.image());
    stays.ends(0, &["stays: upgraded: 1.0.0+1 -> 1.1.0+1 passed its gate"]);
    assert_eq!(stays.begun(), begun);

    free.publish("1.1.0+1", nodes.one.image());
    let gone = [format!("the Swarm has 2 nodes (down: {two})"), format!("`docker node rm {two}`")];
    free.is_left_alone(&["free: blocked: ", &gone[0], &gone[1]]);

    let is_down = format!("node {two} is down, where it ran");
    goes.ends(14, &["goes: unhealthy: ", "finds no place to run", &is_down]);
}

#[test]
fn a_swarm_that_has_lost_its_majority_is_an_error_and_the_app_runs_on() {
    let nodes = Nodes::start("manager");
    let mut app = App::with_data(&nodes.one);
    app.place(Some(&nodes.one.hostname()));
    let app = app.installed();
    let containers = || nodes.one.docker(&["ps", "--no-trunc", "--format", "{{.ID}} {{.State}}"]);
    let running = containers();
    assert!(running.ends_with(" running"), "{running}");

    nodes.two.kill(true);
    at(nodes.one.endpoint(), async |swarm| while swarm.other_nodes().await.is_ok() {});

    app.ends(1, &["wiki: error: ", "the Swarm has no leader, as where half of its managers or more are down"]);
    assert_eq!(containers(), running);
}
