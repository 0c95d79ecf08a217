use std::time::Duration;

use evenkeel::host::engine::EngineError;
use evenkeel::model::observed::{Observed, TaskState};
use serde_json::json;

use super::{DEADLINE, Stack};

#[tokio::test]
async fn a_network_is_removed_after_its_last_container() {
    let stack = Stack::empty("last").await;
    let network = stack.named("net");
    stack.swarm.create_network(&stack.network("net")).await.unwrap();
    let mut spec = stack.runs("slow", "trap '' TERM; sleep 1000000 & wait; sleep 1000000");
    spec["TaskTemplate"]["Networks"] = json!([{"Target": network}]);
    spec["TaskTemplate"]["ContainerSpec"]["StopGracePeriod"] = 2_000_000_000_u64.into();
    stack.swarm.create_service(&spec).await.unwrap();
    stack.until_running(1).await;

    stack.swarm.remove_service(&stack.named("slow")).await.unwrap();
    stack.swarm.remove_network(&network, DEADLINE).await.unwrap();

    let observed = stack.observe().await;
    assert!(observed.containers.iter().all(|container| container.state != "running"), "{:?}", observed.containers);
    assert!(!observed.networks.contains_key(&network));
    // Made anew at once, it is the new one and no ghost of the old.
    let id = stack.swarm.create_network(&stack.network("net")).await.unwrap();
    assert_eq!(stack.observe().await.networks[&network].id, id);
    stack.clear().await;
}

#[tokio::test]
async fn containers_are_waited_for_after_their_service_is_gone() {
    let stack = Stack::empty("wait").await;
    let written = stack.swarm.create_service(&stack.service("web")).await.unwrap();
    stack.until_running(1).await;

    stack.swarm.remove_service(&stack.named("web")).await.unwrap();
    stack.swarm.wait_containers_gone(&[written.id], DEADLINE).await.unwrap();

    assert!(stack.observe().await.containers.is_empty());
}

#[tokio::test]
async fn a_wait_ends_at_its_deadline_and_names_what_is_left() {
    let stack = Stack::empty("late").await;
    let written = stack.swarm.create_service(&stack.service("web")).await.unwrap();
    stack.until_running(1).await;

    let services = [written.id];
    let waits = stack.swarm.wait_containers_gone(&services, Duration::from_secs(1));
    let error = tokio::time::timeout(DEADLINE, waits).await.unwrap().unwrap_err();

    assert!(matches!(error, EngineError::TooLate { .. }), "{error}");
    assert!(error.to_string().contains(" is running after 1 s"), "{error}");
    stack.clear().await;
}

#[tokio::test]
async fn a_change_wakes_a_waiter_before_its_tick() {
    let stack = Stack::empty("wake").await;
    let mut changes = stack.swarm.changes().await.unwrap();

    stack.swarm.create_service(&stack.service("web")).await.unwrap();
    tokio::time::timeout(Duration::from_secs(20), changes.wait(Duration::from_secs(600)))
        .await
        .expect("an event wakes");

    stack.clear().await;
}

/// Without their service nobody would: an Engine may keep the containers of a job for ever, running ones too.
#[tokio::test]
async fn a_removed_job_leaves_no_container() {
    let stack = Stack::empty("job").await;
    let mut ids = Vec::new();
    for (name, script) in [("works", "trap 'exit 0' TERM; sleep 1000000 & wait"), ("done", "exit 0")] {
        let mut spec = stack.runs(name, script);
        spec["Mode"] = json!({"ReplicatedJob": {}});
        spec["TaskTemplate"]["RestartPolicy"] = json!({"Condition": "none"});
        ids.push(stack.swarm.create_service(&spec).await.unwrap().id);
    }
    let is = |observed: &Observed, state| observed.tasks.iter().any(|task| task.state == state);
    stack.until("one works, one is done", |seen| is(seen, TaskState::Running) && is(seen, TaskState::Complete)).await;

    for name in ["works", "done"] {
        stack.swarm.remove_service(&stack.named(name)).await.unwrap();
    }
    stack.swarm.wait_containers_gone(&ids, DEADLINE).await.unwrap();

    assert!(stack.observe().await.containers.is_empty());
}
