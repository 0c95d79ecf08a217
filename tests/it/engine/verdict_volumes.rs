//! No two containers of one service ever hold one volume, whatever was under way when a run began.

use std::collections::BTreeSet;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::Instant;

use evenkeel::model::observed::{Task, TaskState};
use serde_json::{Value, json};

use super::DEADLINE;
use super::scene::each;
use crate::engine::private::PrivateEngine;
use crate::fixtures::RecipeRepo;
use crate::world::{self, World, on_engine};

const APP: &str = "held";
const VERSION: &str = "1.0.0+1.0.0";
/// How often two are brought to meet, at most.
const TRIES: usize = 10;

/// Follows the Engine's word on containers, in a thread of its own.
struct Watcher {
    stop: tokio::sync::oneshot::Sender<()>,
    followed: JoinHandle<(BTreeSet<String>, Vec<Value>)>,
}

impl Watcher {
    /// Follows containers of this service from now on.
    fn of(service: String) -> Self {
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let (ready, is_ready) = channel();
        let followed = std::thread::spawn(move || follow(&service, stopped, &ready));
        is_ready.recv().unwrap();
        Self { stop, followed }
    }

    /// How many containers started, and the pairs of which the second started before the first had ended.
    fn end(self) -> (usize, Vec<[String; 2]>) {
        self.stop.send(()).unwrap();
        let (mut live, events) = self.followed.join().unwrap();
        let (mut starts, mut met) = (0, Vec::new());
        for event in events {
            let id = event["Actor"]["ID"].as_str().unwrap().to_owned();
            if event["Action"] == "die" {
                live.remove(&id);
                continue;
            }
            starts += 1;
            met.extend(live.iter().filter(|other| **other != id).map(|other| [other.clone(), id.clone()]));
            live.insert(id);
        }
        (starts, met)
    }
}

/// What runs at first, and then starts and ends of containers in the order in which the Engine tells them.
fn follow(
    service: &str,
    stopped: tokio::sync::oneshot::Receiver<()>,
    ready: &Sender<()>,
) -> (BTreeSet<String>, Vec<Value>) {
    let label = format!("com.docker.swarm.service.name={service}");
    let filters = json!({"type": ["container"], "event": ["start", "die"], "label": [label]});
    on_engine(async move |swarm| {
        let events = world::events(&swarm, &filters, stopped).await;
        let running = json!({"label": [label], "status": ["running"]}).to_string();
        let running = swarm.engine().get("/containers/json", &[("filters", &running)]).await.unwrap();
        let running = running.as_array().unwrap().iter().map(|one| one["Id"].as_str().unwrap().to_owned()).collect();
        ready.send(()).unwrap();
        (running, events.await)
    })
}

/// An app with a volume that takes its time to end, and is up at once.
struct Held {
    world: World,
    recipe: RecipeRepo,
}

impl Held {
    fn new(order: &str) -> Self {
        let image = PrivateEngine::shared().image();
        let script = "trap '' TERM; test -z \"$$CRASH\" || exit 3; while :; do sleep 1; done";
        let compose = format!(
            "services:\n  app:\n    image: {image}\n    entrypoint: [sh, -c, {}]\n    stop_grace_period: 3s\n    \
             environment: {{MARK: \"${{MARK:-first}}\"}}\n    volumes: [\"data:/data\"]\n    \
             deploy: {{endpoint_mode: dnsrr, update_config: {{order: {order}, monitor: 2s}}, \
             restart_policy: {{condition: any, delay: 200ms}}}}\nvolumes: {{data: }}\n",
            json!(script)
        );
        let mut recipe = RecipeRepo::empty();
        recipe.publish(VERSION, &[("compose.yml", &compose), (".env.sample", "")]);
        let mut held = Self { world: World::new(), recipe };
        held.declare("first");
        held
    }

    fn declare(&mut self, mark: &str) {
        let more = format!("gate = {{ stable_for = \"1s\", within = \"300s\" }}\nenv = {{ MARK = \"{mark}\" }}\n");
        self.world.declare(APP, &self.recipe.url(), VERSION, &more);
    }

    fn service(&self) -> String {
        format!("{}_app", self.world.stack(APP))
    }

    fn spec(&self) -> Value {
        self.world.observe(APP).services[&self.service()].spec.clone()
    }

    /// Changes the live spec, as `docker service update --detach` does.
    fn by_hand(&self, change: impl Fn(&mut Value)) {
        let service = self.service();
        let mut spec = self.spec();
        change(&mut spec);
        on_engine(async |swarm| swarm.update_service(&service, &spec).await.map(drop).unwrap());
    }

    fn marked(&self, mark: &str) {
        self.by_hand(|spec| spec["TaskTemplate"]["ContainerSpec"]["Env"] = json!([format!("MARK={mark}")]));
    }

    #[track_caller]
    fn until(&self, what: &str, holds: impl Fn(&World) -> bool) {
        let deadline = Instant::now() + DEADLINE;
        while !holds(&self.world) {
            assert!(Instant::now() < deadline, "not in time: {what}: {:#?}", self.world.observe(APP).tasks);
            std::thread::yield_now();
        }
    }

    fn mark(&self) -> String {
        self.spec()["TaskTemplate"]["ContainerSpec"]["Env"].to_string()
    }
}

/// What is under way when the run begins.
#[derive(Debug, Clone, Copy)]
enum UnderWay {
    Nothing,
    UpdateByHand,
    /// Written twice, so that Swarm no longer tells of it.
    UpdateWithoutAWord,
    OwnRunKilled,
    Unplaceable,
    CrashLoop,
    ScaledToNothing,
    Removed,
}

const ALL: [UnderWay; 8] = [
    UnderWay::Nothing,
    UnderWay::UpdateByHand,
    UnderWay::UpdateWithoutAWord,
    UnderWay::OwnRunKilled,
    UnderWay::Unplaceable,
    UnderWay::CrashLoop,
    UnderWay::ScaledToNothing,
    UnderWay::Removed,
];

impl UnderWay {
    fn begin(self, held: &mut Held) {
        match self {
            UnderWay::Nothing => {}
            UnderWay::UpdateByHand => held.marked("hand"),
            UnderWay::UpdateWithoutAWord => {
                held.marked("hand");
                held.marked("hand");
            }
            UnderWay::OwnRunKilled => {
                held.declare("killed");
                let mut run = held.world.start(&["app", APP]);
                held.until("the run writes", |_| held.mark().contains("killed"));
                run.kill().unwrap();
                run.wait().unwrap();
            }
            UnderWay::Unplaceable => {
                held.by_hand(|spec| {
                    spec["TaskTemplate"]["Placement"] = json!({"Constraints": ["node.labels.nowhere==1"]});
                });
                held.until("it finds no place", |world| {
                    world.observe(APP).tasks.iter().any(|task| task.error.contains("no suitable node"))
                });
            }
            UnderWay::CrashLoop => {
                held.by_hand(|spec| spec["TaskTemplate"]["ContainerSpec"]["Env"] = json!(["CRASH=1"]));
                held.until("it crashes", |world| world.observe(APP).tasks.iter().any(|task| task.exit_code == Some(3)));
            }
            UnderWay::ScaledToNothing => held.by_hand(|spec| spec["Mode"]["Replicated"]["Replicas"] = json!(0)),
            UnderWay::Removed => {
                let service = held.service();
                on_engine(async |swarm| swarm.remove_service(&service).await.unwrap());
            }
        }
    }
}

fn never_meet(order: &str, cases: &[UnderWay]) {
    each(
        cases,
        || Held::new(order),
        |mut held, under_way| {
            held.world.ok(&["app", APP]);
            let watcher = Watcher::of(held.service());
            under_way.begin(&mut held);
            held.declare("last");
            let said = held.world.ok(&["app", APP]);
            assert!(held.mark().contains("last"), "{said:?}");
            assert_eq!(held.world.ok(&["app", APP]).out, format!("{APP}: converged\n"));
            let (starts, met) = watcher.end();
            assert!(starts > 0 && met.is_empty(), "{order}, {under_way:?}: {met:?} of {starts}");
        },
    );
}

#[test]
fn no_two_containers_hold_one_volume_whatever_was_under_way() {
    never_meet("stop-first", &ALL);
}

#[test]
fn no_two_containers_hold_one_volume_although_the_recipe_says_start_first() {
    never_meet("start-first", &[UnderWay::Nothing, UnderWay::OwnRunKilled, UnderWay::Unplaceable]);
}

/// Otherwise the watcher proves nothing. On a busy machine the old one may have ended before the second update.
#[test]
fn the_watcher_sees_two_that_meet_when_updates_supersede_each_other_by_hand() {
    let held = Held::new("stop-first");
    held.world.ok(&["app", APP]);
    let seen: Vec<_> = (0..TRIES).map(|number| supersede(&held, number)).take_while(Vec::is_empty).collect();
    assert!(seen.len() < TRIES, "none met another in {TRIES} tries");
}

/// Who met whom.
fn supersede(held: &Held, number: usize) -> Vec<[String; 2]> {
    let is_alive = |task: &Task| (TaskState::Assigned..=TaskState::Running).contains(&task.state);
    let is_newest_alone = |tasks: &[Task]| {
        let mut alive = tasks.iter().filter(|task| is_alive(task));
        alive.next().is_some_and(|task| task.up_to_date && task.state == TaskState::Running) && alive.next().is_none()
    };
    let watcher = Watcher::of(held.service());
    held.marked(&format!("one-{number}"));
    held.until("the old one is told to end, or has ended already", |world| {
        let tasks = world.observe(APP).tasks;
        is_newest_alone(&tasks) || tasks.iter().any(|task| !task.up_to_date && task.desired > task.state)
    });
    held.marked(&format!("two-{number}"));
    held.until("the newest runs alone", |world| is_newest_alone(&world.observe(APP).tasks));
    let (starts, met) = watcher.end();
    assert!(starts > 0, "the watcher saw nothing start");
    met
}
