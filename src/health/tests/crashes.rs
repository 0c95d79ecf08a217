//! Services that end again and again.

use super::*;

/// A slot that has ended `times` times, with its next task on the way.
#[test]
fn a_crash_loop_is_a_verdict_after_three_exits() {
    let verdicts = watch(&World::of(&["app"]), (0..=3).map(|times| (times * 5, crashed("app", times))));
    waits(verdicts[2].clone(), "wiki_app");
    fails(verdicts[3].clone(), &["service wiki_app", "3 times", "exit code 1", "non-zero exit (1)"]);
}

#[test]
fn exits_are_remembered_although_swarm_forgets_them() {
    let last = |times: u64| vec![ended("app", 1, times, 1), task("app", 1, times + 1, TaskState::Running)];
    let looks = [(0, vec![])].into_iter().chain((1..=3).map(|times| (times * 15, last(times))));
    fails(watch(&World::of(&["app"]), looks).pop().unwrap(), &["3 times"]);
}

#[test]
fn exits_from_before_the_watch_are_old_news() {
    let verdicts = watch(&World::of(&["app"]), [(0, crashed("app", 5)), (1, crashed("app", 5))]);
    waits(verdicts[1].clone(), "wiki_app");
}

#[test]
fn exits_count_only_once_everything_else_has_run_for_ten_seconds() {
    let both = |db: TaskState, times| [vec![task("db", 1, 1, db)], crashed("app", times)].concat();
    let looks = [
        (0, both(TaskState::Starting, 0)),
        (30, both(TaskState::Starting, 5)),
        (31, both(TaskState::Running, 6)),
        (40, both(TaskState::Running, 8)),
        (41, both(TaskState::Running, 9)),
        (50, both(TaskState::Running, 10)),
        (55, both(TaskState::Running, 11)),
    ];
    let verdicts = watch(&World::of(&["app", "db"]), looks);
    for early in &verdicts[..6] {
        waits(early.clone(), "wiki_app");
    }
    fails(verdicts[6].clone(), &["service wiki_app", "3 times"]);
}

#[test]
fn a_finished_one_shot_holds_nobody_back() {
    let migrate = with(spec("migrate", "wiki:1"), "/TaskTemplate/RestartPolicy", json!({ "Condition": "none" }));
    let world = World::specs([spec("app", "wiki:1"), migrate]);
    let both = |times| [vec![ended("migrate", 1, 1, 0)], crashed("app", times)].concat();
    let verdicts = watch(&world, (0..=3).map(|times| (times, both(times))));
    fails(verdicts[3].clone(), &["service wiki_app"]);
}
