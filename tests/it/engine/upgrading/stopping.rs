//! Stopping a stack: what ends, what goes, what stays, and what is no clean end.

use std::time::{Duration, Instant};

use evenkeel::host::engine::Engine;
use evenkeel::host::swarm::Swarm;
use evenkeel::model::observed::TaskState;

use super::*;
use crate::engine::recorder::Recorder;
use crate::world::on_engine;

#[tokio::test]
async fn a_stopped_stack_runs_nothing_and_keeps_its_networks() {
    let bench = Bench::new("up-stop").await;
    let network = bench.stack.swarm.create_network(&bench.stack.network("net")).await.unwrap();
    let joined = json!({"TaskTemplate": {"Networks": [{"Target": bench.stack.named("net")}]}});
    let mut global = bench.service("each", RUNS, json!({}));
    global["Mode"] = json!({"Global": {}});
    let mut job = bench.service("job", RUNS, json!({"TaskTemplate": {"RestartPolicy": {"Condition": "none"}}}));
    job["Mode"] = json!({"ReplicatedJob": {}});
    // Somebody else put it into the stack: no release knows it, and only its label tells.
    let mut foreign = bench.service("theirs", RUNS, json!({}));
    foreign["Name"] = json!(format!("theirs-{}", bench.stack.name));
    let own = [bench.service("web", RUNS, joined), global, job];
    bench.create(&own).await;
    bench.create(&[foreign]).await;
    bench.stack.until_running(4).await;
    let mut transaction = bench.transaction(&own, &own).await;
    let mut host = bench.host();
    let stands_still = |is| Ok(Ok(Fact::Standstill(is)));
    assert_eq!(host.perform(&Act::SeeStandstill, &transaction).await, stands_still(false));

    bench.stopped(&mut host, &mut transaction).await;

    assert_eq!(host.perform(&Act::SeeStandstill, &transaction).await, stands_still(true));
    assert_eq!(bench.containers().await, []);
    let observed = bench.stack.observe().await;
    assert_eq!(observed.networks[&bench.stack.named("net")].id, network);
    let left: Vec<&str> = observed.services.keys().map(String::as_str).collect();
    assert_eq!(left, [bench.stack.named("web"), format!("theirs-{}", bench.stack.name)]);
    assert!(observed.services.values().all(|s| s.spec["Mode"]["Replicated"]["Replicas"] == 0));
    let indexes = observed.services.iter().map(|(name, service)| (name.clone(), service.index)).collect();
    assert_eq!(transaction.indexes, indexes);
    assert_eq!(host.perform(&Act::Prove, &transaction).await, DONE);

    // Once more writes nothing.
    assert_eq!(host.perform(&Act::Quiesce, &transaction).await, DONE);
    assert_eq!(host.perform(&Act::AwaitEnd { clean: true }, &transaction).await, DONE);
    assert_eq!(host.perform(&Act::Prove, &transaction).await, DONE);

    // And back again, global service and job too; what nobody's release knows is gone.
    assert_eq!(host.perform(&Act::Deploy(Side::Old), &transaction).await, DONE);
    bench.stack.until_running(3).await;
    assert_eq!(host.perform(&Act::SeeStandstill, &transaction).await, stands_still(false));
    let services: Vec<String> = bench.stack.observe().await.services.into_keys().collect();
    assert_eq!(services, ["each", "job", "web"].map(|name| bench.stack.named(name)));
    drop(host);
    bench.clear().await;
}

#[tokio::test]
async fn who_had_to_be_killed_did_not_stop_cleanly() {
    let bench = Bench::new("up-kill").await;
    let deaf = "trap '' TERM; while :; do sleep 1; done";
    let own = [bench.service("web", RUNS, json!({})), bench.service("db", deaf, grace(1))];
    bench.create(&own).await;
    bench.stack.until_running(2).await;
    let mut transaction = bench.transaction(&own, &own).await;
    let mut host = bench.host();

    assert_eq!(host.perform(&Act::Quiesce, &transaction).await, DONE);
    let clean = Act::AwaitEnd { clean: true };
    let no = host.perform(&clean, &transaction).await.unwrap().unwrap_err();
    assert!(no.starts_with("unclean stop: ") && no.contains(&bench.stack.named("db")), "{no}");
    assert!(!no.contains(&bench.stack.named("web")), "{no}");

    // A second try finds nothing better.
    assert_eq!(host.perform(&Act::Quiesce, &transaction).await, DONE);
    assert_eq!(host.perform(&clean, &transaction).await, Ok(Err(no)));
    transaction.rules.unclean_allowed = true;
    assert_eq!(host.perform(&clean, &transaction).await, DONE);
    assert_eq!(bench.containers().await, []);
    drop(host);
    bench.clear().await;
}

#[tokio::test]
async fn a_slow_end_is_waited_for_and_is_a_clean_one_whatever_its_exit_code() {
    let bench = Bench::new("up-slow").await;
    let slow = "trap 'sleep 3; echo flushed >/data/log; exit 3' TERM; sleep 1000000 & wait";
    let own = [bench.service("db", slow, grace(100))];
    bench.create(&own).await;
    bench.stack.until_running(1).await;
    let mut transaction = bench.transaction(&own, &own).await;
    let mut host = bench.host();

    bench.stopped(&mut host, &mut transaction).await;

    assert_eq!(std::fs::read_to_string(bench.data("data").await.join("log")).unwrap(), "flushed\n");
    assert_eq!(host.perform(&Act::Prove, &transaction).await, DONE);
    drop(host);
    bench.clear().await;
}

#[tokio::test]
async fn what_a_crash_loop_leaves_behind_is_removed() {
    let bench = Bench::new("up-loop").await;
    let own = [bench.service("app", "exit 7", json!({}))];
    bench.create(&own).await;
    let crashed = |tasks: &[evenkeel::model::observed::Task]| {
        tasks.iter().filter(|task| task.state == TaskState::Failed).count() >= 2
    };
    bench.stack.until("it has crashed twice", |observed| crashed(&observed.tasks)).await;
    assert!(bench.containers().await.iter().any(|(_, state)| state == "exited"));
    let mut transaction = bench.transaction(&own, &own).await;
    let mut host = bench.host();

    bench.stopped(&mut host, &mut transaction).await;

    assert_eq!(bench.containers().await, []);
    assert_eq!(host.perform(&Act::Prove, &transaction).await, DONE);
    drop(host);
    bench.clear().await;
}

#[tokio::test]
async fn a_run_that_is_asked_to_end_does_not_wait_for_the_app() {
    let bench = Bench::new("up-term").await;
    let deaf = "trap '' TERM; while :; do sleep 1; done";
    let own = [bench.service("db", deaf, grace(600))];
    bench.create(&own).await;
    bench.stack.until_running(1).await;
    let transaction = bench.transaction(&own, &own).await;
    let mut host = bench.host();
    assert_eq!(host.perform(&Act::Quiesce, &transaction).await, DONE);

    let ending = bench.ending.clone();
    let began = Instant::now();
    let act = Act::AwaitEnd { clean: true };
    let (performed, ()) = tokio::join!(host.perform(&act, &transaction), async move {
        tokio::task::yield_now().await;
        ending.ask();
    });

    assert_eq!(performed, Err(Failure::AskedToEnd));
    assert!(host.is_asked_to_end() && began.elapsed() < Duration::from_secs(300), "half of its grace");
    drop(host);
    for (id, _) in bench.containers().await {
        bench.stack.swarm.remove_container(&id).await.unwrap();
    }
    bench.clear().await;
}

/// Swarm makes what was asked for last when it gets to it, whether or not the run lives that asked.
#[tokio::test]
async fn what_a_killed_run_asked_for_last_starts_nothing_on_the_way_back() {
    let mut bench = Bench::new("up-late").await;
    let own = [bench.service("app", RUNS, json!({}))];
    let more = bench.service("more", RUNS, json!({}));
    bench.create(&own).await;
    bench.stack.until_running(1).await;
    let mut transaction = bench.transaction(&own, &[own[0].clone(), more.clone()]).await;
    let mut host = bench.host();
    bench.stopped(&mut host, &mut transaction).await;
    drop(host);
    let engine = bench.stack.swarm.engine().clone();
    let app = engine.get(&format!("/services/{}", bench.stack.named("app")), &[]).await.unwrap();
    let mut new = app["Spec"].clone();
    new["Mode"] = json!({"Replicated": {"Replicas": 1}});
    let update = format!("/services/{}/update", app["ID"].as_str().unwrap());
    let comes = move || on_engine(async move |swarm| drop(swarm.create_service(&more).await.unwrap()));
    let recorder = Recorder::before_an_update(PrivateEngine::shared().socket(), comes);
    bench.stack.swarm = Swarm::new(Engine::connect(&recorder.endpoint()).await.unwrap());

    transaction.step = Step::Withdraw;
    let mut host = bench.host();
    assert_eq!(host.perform(&Act::Quiesce, &transaction).await, DONE);

    let late = engine.post(&update, &[("version", &app["Version"]["Index"].to_string())], &new).await.unwrap_err();
    assert!(late.is_out_of_sequence(), "{late}");
    assert_eq!(host.perform(&Act::AwaitEnd { clean: false }, &transaction).await, DONE);
    let replicas = bench.stack.observe().await.services.into_values().map(|service| service.spec["Mode"].clone());
    let nothing = json!({"Replicated": {"Replicas": 0}});
    assert_eq!(replicas.collect::<Vec<_>>(), [nothing.clone(), nothing]);
    drop(host);
    bench.clear().await;
}
