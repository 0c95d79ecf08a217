//! What has cost operators of such hosts their nights, each as a promise: here of a stack that is converged, below of
//! upgrades.

mod judging;
mod meddling;
mod refusing;
mod undoing;

use std::time::{Duration, Instant};

use evenkeel::model::observed::{Observed, TaskState, UpdateState};
use serde_json::{Value, json};

use super::Stack;
use super::private::PrivateEngine;
use super::recorder::writes;
use crate::fixtures::RecipeRepo;
use crate::world::{World, on_engine};

const APP: &str = "wiki";

/// One app of these services on the image with a shell.
struct Night {
    world: World,
    recipe: RecipeRepo,
}

impl Night {
    fn of(compose: &Value) -> Self {
        let mut recipe = RecipeRepo::empty();
        recipe.publish("1.0.0+1.0.0", &[("compose.yml", &compose.to_string()), (".env.sample", "MOOD=calm\n")]);
        let mut night = Self { world: World::on_shared(), recipe };
        night.declare("within = \"300s\"", "");
        night
    }

    fn declare(&mut self, gate: &str, lines: &str) {
        self.declare_stable_for("1s", gate, lines);
    }

    fn declare_stable_for(&mut self, stable_for: &str, gate: &str, lines: &str) {
        let lines = format!("gate = {{ stable_for = \"{stable_for}\", {gate} }}\n{lines}");
        self.world.declare(APP, &self.recipe.url(), "1.0.0+1.0.0", &lines);
    }

    fn named(&self, name: &str) -> String {
        format!("{}_{name}", self.world.stack(APP))
    }

    fn stack(&self) -> evenkeel::model::app::StackName {
        self.world.stack(APP).parse().unwrap()
    }

    /// Waits until the stack is seen so.
    fn until(&self, what: &str, holds: impl Fn(&Observed) -> bool) -> Observed {
        let name = self.stack();
        on_engine(async |swarm| Stack { name, swarm }.until(what, holds).await)
    }
}

fn service(script: &str, more: Value) -> Value {
    let image = PrivateEngine::shared().image();
    let mut service = json!({"image": image, "entrypoint": ["sh", "-c", script], "stop_grace_period": "1s"});
    service.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    service
}

const RUNS: &str = "trap 'exit 0' TERM; sleep 1000000 & wait";

#[test]
fn an_update_is_over_when_the_new_task_runs_and_not_while_the_old_one_still_does() {
    // The old task takes its three seconds, and until then one of one replica runs.
    let slow = service(
        "trap '' TERM; while :; do sleep 1; done",
        json!({"environment": ["MOOD=$MOOD"], "stop_grace_period": "3s", "deploy": {"update_config": {"order": "stop-first"}}}),
    );
    let mut night = Night::of(&json!({"services": {"app": slow}}));
    night.world.ok(&["app", APP]);
    let old = night.world.observe(APP).containers[0].id.clone();

    night.declare("within = \"300s\"", "env = { MOOD = \"wild\" }\n");
    night.world.ok(&["app", APP]);

    let observed = night.world.observe(APP);
    let running: Vec<_> = observed.containers.iter().filter(|container| container.state == "running").collect();
    assert_eq!(running.len(), 1, "{running:?}");
    assert_ne!(running[0].id, old);
    let task = observed.tasks.iter().find(|task| task.container.as_ref() == Some(&running[0].id)).unwrap();
    assert!(task.up_to_date && task.state == TaskState::Running, "{task:?}");
}

#[test]
fn a_pause_after_one_flicker_hangs_no_run() {
    // Ends once when it finds the trip wire, and takes that away.
    let script = format!("[ ! -e /data/trip ] || {{ rm /data/trip; exit 1; }}; {RUNS}");
    let deploy = json!({"update_config": {"failure_action": "pause", "monitor": "5s"}});
    let app = service(&script, json!({"volumes": ["data:/data"], "deploy": deploy}));
    let night = Night::of(&json!({"services": {"app": app}, "volumes": {"data": {}}}));
    night.world.ok(&["app", APP]);

    let (app, volume) = (night.named("app"), night.named("data"));
    on_engine(async |swarm| {
        let live = swarm.engine().get(&format!("/volumes/{volume}"), &[]).await.unwrap();
        std::fs::write(format!("{}/trip", live["Mountpoint"].as_str().unwrap()), "").unwrap();
        swarm.restart_service(&app).await.unwrap();
    });
    night.until("the update is paused and the service runs", |observed| {
        let paused = observed.services[&app].update.as_ref().is_some_and(|u| u.state == UpdateState::Paused);
        paused && observed.tasks.iter().any(|task| task.up_to_date && task.state == TaskState::Running)
    });

    let begin = Instant::now();
    assert_eq!(night.world.ok(&["app", APP]).out, "wiki: converged\n");
    assert!(begin.elapsed() < Duration::from_secs(150), "half of what it may take where it waits");
}

#[test]
fn services_without_replicas_and_jobs_that_are_done_count_as_converged() {
    let once = json!({"deploy": {"restart_policy": {"condition": "none"}}});
    let night = Night::of(&json!({"services": {
        "app": service(RUNS, json!({})),
        "idle": service(RUNS, json!({"deploy": {"replicas": 0}})),
        "once": service("exit 0", once),
    }}));
    night.world.ok(&["app", APP]);
    let Night { world, recipe } = night;
    let (world, recorder) = world.recorded();

    assert_eq!(world.ok(&["app", APP]).out, "wiki: converged\n");
    assert!(world.ok(&["status", APP]).out.contains("healthy"));
    assert_eq!(writes(&recorder.take()), Vec::<&String>::new());
    drop(recipe);
}

#[test]
fn a_stack_that_is_still_going_is_not_taken_for_one_that_is_there() {
    let app = service("trap '' TERM; while :; do sleep 1; done", json!({"networks": ["internal"]}));
    let night = Night::of(&json!({"services": {"app": app}, "networks": {"internal": {}}}));
    night.world.ok(&["app", APP]);
    let before = night.world.observe(APP);
    let (app, network) = (night.named("app"), night.named("internal"));
    // As `docker stack rm` does it: nothing is waited for.
    on_engine(async |swarm| {
        swarm.engine().delete(&format!("/services/{app}"), &[]).await.unwrap();
        swarm.engine().delete(&format!("/networks/{network}"), &[]).await.unwrap();
    });

    let said = night.world.ok(&["app", APP]);
    assert!(said.out.contains("repaired") && said.out.contains(&network), "{said:?}");
    let after = night.world.observe(APP);
    assert_ne!(after.networks[&network].id, before.networks[&network].id);
    assert_eq!(night.world.ok(&["app", APP]).out, "wiki: converged\n");
}

#[test]
fn a_crash_loop_is_told_long_before_its_time_is_over() {
    let mut night = Night::of(&json!({"services": {"app": service("echo no database; exit 7", json!({}))}}));
    // Longer than a busy Engine may take to tell that a container has ended.
    night.declare_stable_for("8s", "within = \"20m\"", "");
    let begin = Instant::now();
    let said = night.world.run(&["app", APP]);
    assert_eq!(said.code, 14, "{said:?}");
    assert!(begin.elapsed() < Duration::from_secs(600), "half of what it may take");
    for words in ["crashes again and again", "exit code 7", "no database", &night.named("app")] {
        assert!(said.out.contains(words), "{words}: {said:?}");
    }
}

#[test]
fn a_name_that_is_too_long_is_told_before_anything_is_made() {
    let long = "a".repeat(60);
    let night = Night::of(&json!({"services": {long.clone(): service(RUNS, json!({}))}}));
    let Night { world, recipe } = night;
    let (world, recorder) = world.recorded();
    let said = world.run(&["app", APP]);
    assert_eq!(said.code, 12, "{said:?}");
    assert!(said.out.contains(&long) && said.out.contains("63"), "{said:?}");
    assert_eq!(writes(&recorder.take()), Vec::<&String>::new());
    drop(recipe);
}
