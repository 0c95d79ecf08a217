//! What other nodes of the Swarm have to do with a verdict.

use super::*;
use crate::model::observed::OtherNode;

/// What Swarm still says of a task whose node is down.
fn lost(task: Task) -> Task {
    let node = OtherNode { id: "node-2".into(), hostname: "two".into(), is_down: true, takes_tasks: true };
    Task { node: node.id.clone(), elsewhere: Some(node), desired: TaskState::Shutdown, ..task }
}

#[test]
fn what_ran_on_a_node_that_is_down_is_not_waited_for() {
    let replaced = World::of(&["app"]).tasks([lost(running("app")), task("app", 1, 2, TaskState::Running)]);
    assert_eq!(replaced.glance(), Verdict::Healthy);
    let global = World::one(&[("/Mode", json!({ "Global": {} }))]);
    let on = |node: &str| Task { node: node.into(), ..task("app", 0, 1, TaskState::Running) };
    assert_eq!(global.tasks([on("node-1"), lost(on("node-2"))]).glance(), Verdict::Healthy);
}

#[test]
fn what_finds_no_place_because_its_node_is_down_is_told_so_in_seconds() {
    let words = "no suitable node (1 node not available for new tasks)";
    let pending = Task { error: words.into(), ..task("app", 1, 2, TaskState::Pending) };
    let tasks = vec![lost(running("app")), pending];
    let verdicts = watch(&World::of(&["app"]), [(0, tasks.clone()), (10, tasks)]);
    fails(verdicts[1].clone(), &["service wiki_app finds no place to run", words, "; node two is down, where it ran"]);
}

#[test]
fn what_swarm_does_not_start_again_elsewhere_is_told_in_seconds() {
    let once = World::one(&[("/TaskTemplate/RestartPolicy", json!({ "Condition": "none" }))]);
    let tasks = vec![lost(running("app"))];
    let verdicts = watch(&once, [(0, tasks.clone()), (10, tasks)]);
    fails(verdicts[1].clone(), &["service wiki_app is not started again: node two is down, where it ran"]);
}

#[test]
fn the_node_that_lacks_an_image_is_named() {
    let node = OtherNode { id: "node-2".into(), hostname: "two".into(), is_down: false, takes_tasks: true };
    let rejected = task("app", 1, 1, TaskState::Rejected);
    let rejected = Task { elsewhere: Some(node), error: "No such image: nope:1".into(), ..rejected };
    waits(World::of(&["app"]).tasks([rejected]).first_look(), "No such image: nope:1, on node two");
}
