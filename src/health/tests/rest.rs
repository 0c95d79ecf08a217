//! When a service stands still.

use super::*;
use crate::health::rest::{Rest, rest};

fn stopping(service: &str) -> Task {
    Task { desired: TaskState::Shutdown, ..old(running(service)) }
}

#[track_caller]
fn moves(world: &World, word: &str) {
    let rest = rest("wiki_app", &world.seen);
    assert!(matches!(&rest, Rest::Moves(why) if why.contains(word)), "{rest:?} does not say {word:?}");
}

#[test]
fn what_runs_and_what_is_not_there_rest() {
    let world = World::of(&["app"]).tasks([running("app"), old(ended("app", 1, 0, 1))]);
    assert_eq!(rest("wiki_app", &world.seen), Rest::Rests);
    assert_eq!(rest("wiki_other", &world.seen), Rest::Rests);
    let ended = World::of(&["app"]).tasks([running("app")]).update(UpdateState::Paused, "");
    assert_eq!(rest("wiki_app", &ended.seen), Rest::Rests);
}

#[test]
fn an_update_under_way_moves() {
    for state in [UpdateState::Updating, UpdateState::RollbackStarted, UpdateState::Unknown("canary".into())] {
        moves(&World::of(&["app"]).tasks([running("app")]).update(state, ""), "under way");
    }
}

#[test]
fn an_update_that_swarm_no_longer_tells_of_moves_by_its_tasks() {
    moves(&World::of(&["app"]).tasks([stopping("app"), task("app", 1, 2, TaskState::Ready)]), "still ends");
    let registered = Task { up_to_date: false, ..running("app") };
    moves(&World::of(&["app"]).tasks([registered.clone()]), "not begun");
    let left_behind = World::of(&["app"]).tasks([registered]).update(UpdateState::Paused, "");
    assert_eq!(rest("wiki_app", &left_behind.seen), Rest::Rests);
}

#[test]
fn a_container_that_outlives_its_task_moves() {
    let world = World::of(&["app"]).tasks([running("app")]).container("app-1-1", "running", None);
    assert_eq!(rest("wiki_app", &world.seen), Rest::Rests);
    moves(&world.container("app-1-0", "running", None), "still ends");
}

#[test]
fn an_update_without_a_place_is_stuck_once_nothing_is_being_stopped() {
    let error = "no suitable node (scheduling constraints not satisfied on 1 node)";
    let pending = Task { error: error.into(), ..task("app", 1, 2, TaskState::Pending) };
    let world = World::of(&["app"]).update(UpdateState::Updating, "");
    let still = world.tasks([pending.clone(), stopping("app")]);
    moves(&still, "under way");
    let stuck = rest("wiki_app", &still.tasks([pending]).seen);
    assert!(matches!(&stuck, Rest::Stuck(why) if why.contains(error)), "{stuck:?}");
}

#[test]
fn a_job_at_work_moves_until_it_is_done() {
    let job = || World::one(&[("/Mode", json!({ "ReplicatedJob": { "TotalCompletions": 1 } }))]);
    let works = Task { job_iteration: Some(0), desired: TaskState::Complete, ..running("app") };
    moves(&job().tasks([works]), "at work");
    assert_eq!(rest("wiki_app", &job().tasks([ended("app", 0, 1, 0)]).seen), Rest::Rests);
}
