//! What an upgrade takes for running, and what it waits for.

use std::fs;

use evenkeel::host::images::Images;
use evenkeel::model::observed::{Observed, TaskState, UpdateState};
use serde_json::{Value, json};

use crate::engine::Stack;
use crate::engine::nights::{APP, Nights, entrypoint, runs};
use crate::engine::private::PrivateEngine;
use crate::world::on_engine;

const DATA: [(&str, &str); 1] = [("data", "/data")];
const RUNS: &str = "trap 'exit 0' TERM; while :; do sleep 1; done";

fn replicas(observed: &Observed, service: &str) -> Value {
    observed.services[service].spec["Mode"]["Replicated"]["Replicas"].clone()
}

/// The old one needs seconds to end, and until then one of one replica runs.
#[test]
fn what_ran_before_is_not_taken_for_the_new_version_while_it_ends() {
    let slow = json!({"services": {"app": {"stop_grace_period": "4s"}}});
    let stubborn = "trap '' TERM; while :; do sleep 1; done";
    let mut nights = Nights::laid_over(stubborn, &[], &slow);

    nights.publish_laid_over("1.1.0+1", stubborn, &[], &slow);
    nights.ends(0, &["upgraded: 1.0.0+1 -> 1.1.0+1"]);
    let observed = nights.world.observe(APP);
    let running: Vec<_> = observed.containers.iter().filter(|container| container.state == "running").collect();
    let [one] = &running[..] else { panic!("{running:?}") };
    let task = observed.tasks.iter().find(|task| task.container.as_ref() == Some(&one.id)).unwrap();
    assert!(task.up_to_date && task.state == TaskState::Running, "{task:?}");

    nights.publish_laid_over("1.2.0+1", "exit 3", &[], &slow);
    nights.ends(11, &["did not pass its gate", "exit code 3", "1.1.0+1 runs again"]);
}

#[test]
fn a_pause_after_one_flicker_neither_holds_up_an_upgrade_nor_decides_it() {
    // Ends once when it finds the trip wire, and takes that away.
    let trips = |mark: &str| format!("[ ! -e /data/trip ] || {{ rm /data/trip; exit 1; }}; {}", runs(mark));
    let pauses = json!({"services": {"app": {
        "deploy": {"update_config": {"failure_action": "pause", "monitor": "5s"}}}}});
    let mut nights = Nights::laid_over(&trips("1.0.0"), &DATA, &pauses);
    let (app, trip) = (nights.named("app"), nights.volume("data").join("trip"));
    fs::write(&trip, "").unwrap();
    let name = nights.world.stack(APP).parse().unwrap();
    on_engine(async |swarm| {
        swarm.restart_service(&app).await.unwrap();
        let paused = |observed: &Observed| {
            let update = observed.services[&app].update.as_ref();
            update.is_some_and(|update| update.state == UpdateState::Paused)
                && observed.tasks.iter().any(|task| task.up_to_date && task.state == TaskState::Running)
        };
        Stack { name, swarm }.until("the update is paused and the service runs", paused).await;
    });

    // The new version flickers, too, when it comes.
    fs::write(&trip, "").unwrap();
    nights.publish_laid_over("1.1.0+1", &trips("1.1.0"), &DATA, &pauses);
    nights.ends(0, &["upgraded: 1.0.0+1 -> 1.1.0+1"]);
    nights.stands_at("1.1.0+1");
    assert!(!trip.exists());
}

#[test]
fn services_without_replicas_stay_so_and_jobs_run_again_there_and_back() {
    let (idle, engine) = ("evenkeel-test/idle:1", PrivateEngine::shared());
    engine.make_image(idle);
    let beside = json!({"services": {
        "idle": {"image": idle, "entrypoint": entrypoint(RUNS), "deploy": {"replicas": 0}},
        "once": {"image": engine.image(), "entrypoint": entrypoint("echo ran >>/data/once"), "volumes": ["data:/data"],
            "deploy": {"restart_policy": {"condition": "none"}}},
    }});
    let mut nights = Nights::laid_over(&runs("1.0.0"), &DATA, &beside);
    let ran = |nights: &Nights| String::from_utf8(nights.data()["once"].clone()).unwrap().lines().count();
    assert_eq!(ran(&nights), 1);

    nights.publish_laid_over("1.1.0+1", &runs("1.1.0"), &DATA, &beside);
    nights.recorder.take();
    nights.ends(0, &["upgraded: 1.0.0+1 -> 1.1.0+1"]);
    // No container ever held it, so only a tag keeps it; other hosts' runs on this Engine take that away again.
    let id = on_engine(async |swarm| Images::new(swarm.engine().clone()).id(idle).await.unwrap().unwrap());
    let tag = format!("tag={}", id.strip_prefix("sha256:").unwrap());
    assert!(nights.recorder.take().iter().any(|request| request.contains(&tag)), "its image is not kept");
    assert_eq!((ran(&nights), replicas(&nights.world.observe(APP), &nights.named("idle"))), (2, json!(0)));

    nights.publish_laid_over("1.2.0+1", "echo none >/data/once; exit 3", &DATA, &beside);
    nights.ends(11, &["did not pass its gate", "exit code 3"]);
    nights.stands_at("1.1.0+1");
    assert_eq!(replicas(&nights.world.observe(APP), &nights.named("idle")), json!(0));
    assert_eq!(ran(&nights), 3, "on the data that was put back");
}

#[test]
fn a_health_check_in_its_start_period_is_waited_for() {
    let mut nights = Nights::begin();
    let checked = json!({"services": {"app": {"healthcheck": {
        "test": ["CMD-SHELL", "test -e /tmp/ready"], "interval": "1s", "retries": 1, "start_period": "200s"}}}});
    nights.publish_laid_over("1.1.0+1", &format!("sleep 6; : >/tmp/ready; {}", runs("1.1.0")), &DATA, &checked);

    nights.ends(0, &["upgraded: 1.0.0+1 -> 1.1.0+1"]);

    nights.stands_at("1.1.0+1");
    let observed = nights.world.observe(APP);
    let running: Vec<_> = observed.containers.iter().filter(|container| container.state == "running").collect();
    assert!(running.len() == 1 && running[0].health.as_deref() == Some("healthy"), "{running:?}");
}
