//! Verdicts on situations as Swarm was seen to make them.

mod crashes;
mod nodes;
mod rest;
mod rows;
mod updates;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::model::observed::{Container, Task, TaskState, UpdateState, UpdateStatus};
use crate::plan::world::{desired, ended, observed, spec, task, with};

const NOW: &str = "2026-01-01T12:00:00Z";

/// A stack and what is seen of it, look after look.
struct World {
    desired: Desired,
    seen: Observed,
    rules: Rules,
}

impl World {
    /// Services of one replica; each was written and has no task yet.
    fn of(services: &[&str]) -> Self {
        Self::specs(services.iter().map(|service| spec(service, "wiki:1")))
    }

    fn specs(specs: impl IntoIterator<Item = Value>) -> Self {
        let desired = specs.into_iter().fold(desired(), |desired, spec| desired.service(spec));
        let wrote = desired.services.iter().map(|service| service.name.clone()).collect();
        let seen = observed(&desired);
        Self { desired, seen, rules: Rules { wrote, ..Rules::default() } }
    }

    fn one(changes: &[(&str, Value)]) -> Self {
        let spec = changes.iter().fold(spec("app", "wiki:1"), |spec, (at, value)| with(spec, at, value.clone()));
        Self::specs([spec])
    }

    fn tasks(mut self, tasks: impl IntoIterator<Item = Task>) -> Self {
        self.seen.tasks = tasks.into_iter().collect();
        self
    }

    fn container(mut self, task: &str, state: &str, health: Option<&str>) -> Self {
        self.seen.containers.push(Container {
            id: format!("container-of-{task}"),
            service: Some(format!("id-wiki_{}", task.split('-').next().unwrap())),
            task: Some(task.into()),
            state: state.into(),
            health: health.map(str::to_owned),
            image_id: "sha256:wanted".into(),
            volumes: vec![],
            out_of_memory: false,
        });
        self
    }

    fn update(mut self, state: UpdateState, message: &str) -> Self {
        self.seen.services.get_mut("wiki_app").unwrap().update = Some(UpdateStatus { state, message: message.into() });
        self
    }

    fn not_written(mut self) -> Self {
        self.rules.wrote.clear();
        self
    }

    fn first_look(&self) -> Verdict {
        Watch::new(&self.desired, self.rules.clone()).look(&self.seen, Seen::at(Duration::ZERO))
    }

    fn glance(&self) -> Verdict {
        at_a_glance(&self.desired, &self.seen, NOW.parse().unwrap())
    }
}

/// Looks at worlds that differ in their tasks, at the given seconds.
fn watch(world: &World, looks: impl IntoIterator<Item = (u64, Vec<Task>)>) -> Vec<Verdict> {
    let mut watch = Watch::new(&world.desired, world.rules.clone());
    let mut seen = world.seen.clone();
    let look = |(second, tasks)| {
        seen.tasks = tasks;
        watch.look(&seen, Seen::at(Duration::from_secs(second)))
    };
    looks.into_iter().map(look).collect()
}

fn running(service: &str) -> Task {
    task(service, 1, 1, TaskState::Running)
}

fn old(task: Task) -> Task {
    Task { up_to_date: false, id: format!("old-{}", task.id), desired: TaskState::Shutdown, ..task }
}

#[track_caller]
fn waits(verdict: Verdict, word: &str) {
    assert!(matches!(&verdict, Verdict::Waiting(why) if why.contains(word)), "{verdict:?} does not wait for {word:?}");
}

#[track_caller]
fn fails(verdict: Verdict, words: &[&str]) {
    let Verdict::Unhealthy(why) = &verdict else { panic!("{verdict:?} is not unhealthy: {words:?}") };
    for word in words {
        assert!(why.contains(word), "{why:?} does not say {word:?}");
    }
}

fn crashed(service: &str, times: u64) -> Vec<Task> {
    let mut tasks: Vec<Task> = (1..=times).map(|number| ended(service, 1, number, 1)).collect();
    tasks.push(task(service, 1, times + 1, TaskState::Ready));
    tasks
}

fn without_a_program(service: &str, number: u64) -> Task {
    let error = "starting container failed: OCI runtime create failed: exec: \"serve\": executable file not found";
    Task { id: format!("{service}-{number}"), error: error.into(), ..task(service, 1, number, TaskState::Failed) }
}

#[test]
fn a_program_that_is_not_there_is_told_although_another_service_is_down_too() {
    let both = |number| vec![without_a_program("app", number), without_a_program("db", number)];
    let verdicts = watch(&World::of(&["app", "db"]), [(0, vec![]), (5, both(1)), (10, both(2))]);
    fails(verdicts[2].clone(), &["service wiki_db cannot be started", "executable file not found"]);
}

#[test]
fn what_waits_to_be_started_again_is_told_with_what_it_ended_with() {
    let ready = task("app", 1, 2, TaskState::Ready);
    let failed = Task { error: "task: non-zero exit (127)".into(), ..task("app", 1, 1, TaskState::Failed) };
    let world = World::of(&["app"]).tasks([failed, ready]);
    waits(world.first_look(), "waits to be started, after it ended: task: non-zero exit (127)");
}

#[test]
fn the_same_tasks_have_to_run_for_a_while() {
    let looks = [0, 10, 19, 20].map(|second| (second, vec![running("app")]));
    let verdicts = watch(&World::of(&["app"]), looks);
    waits(verdicts[2].clone(), "another 1 s");
    assert_eq!(verdicts[3], Verdict::Healthy);
}

/// As an Engine answers on a machine whose disk is full of work.
#[test]
fn an_answer_that_took_long_says_nothing_of_the_time_that_it_took() {
    let world = World::of(&["app"]).tasks([running("app")]);
    let answers = |looks: [(u64, u64); 2]| {
        let mut watch = Watch::new(&world.desired, world.rules.clone());
        let look =
            |(asked, answered)| Seen { asked: Duration::from_secs(asked), answered: Duration::from_secs(answered) };
        looks.map(|times| watch.look(&world.seen, look(times)))
    };
    for looks in [[(0, 0), (1, 21)], [(0, 20), (20, 20)], [(0, 5), (24, 60)]] {
        waits(answers(looks)[1].clone(), "watched for another");
    }
    assert_eq!(answers([(0, 5), (25, 60)])[1], Verdict::Healthy);
}

#[test]
fn when_to_look_again_is_known_where_time_alone_decides() {
    let world = World::of(&["app"]).tasks([running("app")]);
    let mut watch = Watch::new(&world.desired, world.rules.clone());
    assert_eq!(watch.due(Duration::ZERO), None);
    waits(watch.look(&world.seen, Seen::at(Duration::ZERO)), "watched");
    assert_eq!(watch.due(Duration::from_secs(19)), Some(Duration::from_secs(1)));
    let pending = Task { error: "no suitable node".into(), ..task("app", 1, 2, TaskState::Pending) };
    waits(watch.look(&world.tasks([pending]).seen, Seen::at(Duration::from_secs(21))), "no suitable node");
    assert_eq!(watch.due(Duration::from_secs(21)), Some(PATIENCE));
}

#[test]
fn a_task_that_was_replaced_starts_the_time_anew() {
    let other = vec![ended("app", 1, 1, 1), task("app", 1, 2, TaskState::Running)];
    let looks = vec![(0, vec![running("app")]), (19, other.clone()), (38, other.clone()), (39, other)];
    let verdicts = watch(&World::of(&["app"]), looks);
    waits(verdicts[2].clone(), "another 1 s");
    assert_eq!(verdicts[3], Verdict::Healthy);
}

#[test]
fn an_old_task_that_still_runs_is_no_convergence() {
    let registered = World::of(&["app"]).tasks([old(running("app"))]);
    waits(registered.first_look(), "too few tasks");
    let start_first = World::of(&["app"]).tasks([old(running("app")), task("app", 1, 2, TaskState::Running)]);
    waits(start_first.first_look(), "an old task of service wiki_app is still there");
    waits(start_first.glance(), "an old task");
}

#[test]
fn an_old_container_outlives_its_task_and_is_waited_for() {
    let world = World::of(&["app"]).tasks([task("app", 1, 2, TaskState::Running)]);
    let world = world.container("app-1-2", "running", None).container("app-1-1", "running", None);
    waits(world.glance(), "an old container");
}

#[test]
fn a_container_that_has_ended_is_not_up_although_its_task_runs_still() {
    for state in ["exited", "dead"] {
        waits(World::of(&["app"]).tasks([running("app")]).container("app-1-1", state, None).glance(), "has just ended");
    }
}

/// Between two ends a crash loop looks like a service that runs.
#[test]
fn what_has_just_been_started_again_is_not_well_at_a_glance() {
    let at = |time: &str| Some(format!("2026-01-01T{time}Z").parse().unwrap());
    let up = |since| Task { since, ..task("app", 1, 9, TaskState::Running) };
    let world = |before: Task, now: Task| World::of(&["app"]).tasks([before, now]);
    let told = "runs for 3 s only, after it ended: exit code 3, task: non-zero exit (3)";
    waits(world(ended("app", 1, 8, 3), up(at("11:59:57"))).glance(), told);
    waits(world(ended("app", 1, 8, 0), up(at("11:59:57"))).glance(), "runs for 3 s only, after it ended: exit code 0");
    let well = [
        world(ended("app", 1, 8, 3), up(at("11:59:00"))),
        world(ended("app", 2, 8, 3), up(at("11:59:57"))),
        world(old(ended("app", 1, 8, 3)), up(at("11:59:57"))),
        world(ended("app", 1, 8, 3), up(None)),
        World::of(&["app"]).tasks([up(at("11:59:57"))]),
    ];
    for world in well {
        assert_eq!(world.glance(), Verdict::Healthy);
    }
}

#[test]
fn a_service_that_is_to_stay_and_ends_well_again_and_again_is_a_verdict() {
    let ends = |times: u64| (1..=times).map(|number| ended("app", 1, number, 0)).collect::<Vec<_>>();
    let looks = (0..=3).map(|times| (times * 2, ends(times)));
    let verdicts = watch(&World::of(&["app"]), looks);
    waits(verdicts[2].clone(), "exit code 0");
    fails(verdicts[3].clone(), &["service wiki_app ends again and again, 3 times now", "is to stay", "exit code 0"]);
    let once = World::one(&[("/TaskTemplate/RestartPolicy", json!({ "Condition": "on-failure" }))]);
    let verdicts = watch(&once, [(0, ends(0)), (2, ends(3))]);
    assert!(matches!(verdicts[1], Verdict::Healthy), "{verdicts:?}");
}

#[test]
fn a_one_shot_that_ended_well_has_succeeded() {
    for condition in ["none", "on-failure"] {
        let world = World::one(&[("/TaskTemplate/RestartPolicy", json!({ "Condition": condition }))]);
        let world = world.tasks([ended("app", 1, 1, 0)]);
        assert_eq!(world.first_look(), Verdict::Healthy);
        assert_eq!(world.glance(), Verdict::Healthy);
        let paused = world.update(UpdateState::Paused, "early termination of task");
        assert_eq!(paused.first_look(), Verdict::Healthy);
    }
}

#[test]
fn a_one_shot_that_was_stopped_as_unhealthy_has_not_succeeded() {
    let world = World::one(&[("/TaskTemplate/RestartPolicy", json!({ "Condition": "on-failure" }))]);
    let world = world.tasks([ended("app", 1, 1, 0)]).container("app-1-1", "exited", Some("unhealthy"));
    fails(world.first_look(), &["service wiki_app", "not started again", "exit code 0", "unhealthy"]);
}

#[test]
fn attempts_that_are_used_up_are_a_verdict_at_once() {
    let policies = [json!({ "Condition": "none" }), json!({ "Condition": "on-failure", "MaxAttempts": 2 })];
    for policy in policies {
        let world = World::one(&[("/TaskTemplate/RestartPolicy", policy)]).tasks([ended("app", 1, 3, 2)]);
        fails(world.first_look(), &["service wiki_app", "exit code 2"]);
        fails(world.glance(), &["exit code 2"]);
    }
    let again = World::of(&["app"]).tasks([ended("app", 1, 3, 2)]);
    waits(again.first_look(), "exit code 2");
}

#[test]
fn a_service_that_restarts_always_never_ends_well() {
    let world = World::of(&["app"]).tasks([ended("app", 1, 1, 0)]);
    waits(world.glance(), "has ended: exit code 0");
}

#[test]
fn no_replicas_are_converged_when_nothing_runs_any_more() {
    let world = World::one(&[("/Mode", json!({ "Replicated": { "Replicas": 0 } }))]);
    assert_eq!(world.first_look(), Verdict::Healthy);
    let stopping = Task { desired: TaskState::Shutdown, ..running("app") };
    waits(world.tasks([stopping]).first_look(), "still there");
    let left = World::one(&[("/Mode", json!({ "Replicated": { "Replicas": 0 } }))]);
    waits(left.container("app-1-1", "running", None).glance(), "still runs");
}

#[test]
fn every_replica_counts() {
    let world = World::one(&[("/Mode", json!({ "Replicated": { "Replicas": 2 } }))]);
    waits(world.tasks([running("app"), task("app", 2, 2, TaskState::Preparing)]).glance(), "being prepared");
    let world = World::one(&[("/Mode", json!({ "Replicated": { "Replicas": 2 } }))]);
    assert_eq!(world.tasks([running("app"), task("app", 2, 2, TaskState::Running)]).glance(), Verdict::Healthy);
}

#[test]
fn a_health_check_is_waited_for() {
    let check = json!({ "Test": ["CMD", "true"] });
    let checked = World::one(&[("/TaskTemplate/ContainerSpec/Healthcheck", check)]);
    waits(checked.tasks([task("app", 1, 1, TaskState::Starting)]).glance(), "health check");
    waits(World::of(&["app"]).tasks([task("app", 1, 1, TaskState::Starting)]).glance(), "wiki_app starts");
    for health in ["starting", "unhealthy"] {
        let world = World::of(&["app"]).tasks([running("app")]).container("app-1-1", "running", Some(health));
        waits(world.first_look(), "health check");
    }
    let healthy = World::of(&["app"]).tasks([running("app")]).container("app-1-1", "running", Some("healthy"));
    assert_eq!(healthy.glance(), Verdict::Healthy);
}

#[test]
fn global_services_run_on_every_node_that_has_a_task() {
    let on = |node: &str, state| Task { node: node.into(), ..task("app", 0, 1, state) };
    let global = || World::one(&[("/Mode", json!({ "Global": {} }))]);
    assert_eq!(global().tasks([on("a", TaskState::Running)]).glance(), Verdict::Healthy);
    waits(global().tasks([on("a", TaskState::Running), on("b", TaskState::Ready)]).glance(), "waits to be started");
    let verdicts = watch(&global(), [(0, vec![]), (10, vec![])]);
    fails(verdicts[1].clone(), &["service wiki_app", "no place to run"]);
}

#[test]
fn jobs_are_done_when_their_present_run_is() {
    let job = || World::one(&[("/Mode", json!({ "ReplicatedJob": { "TotalCompletions": 2 } }))]);
    let done = |slot, run| Task { job_iteration: Some(run), desired: TaskState::Complete, ..ended("app", slot, 1, 0) };
    assert_eq!(job().tasks([done(1, 0), done(2, 0)]).first_look(), Verdict::Healthy);
    waits(job().tasks([done(1, 0)]).first_look(), "too few tasks");
    let again =
        Task { job_iteration: Some(1), desired: TaskState::Complete, ..task("app", 3, 2, TaskState::Preparing) };
    waits(job().tasks([done(1, 0), done(2, 0), again]).first_look(), "being prepared");
}

#[test]
fn a_task_without_a_node_is_a_verdict_in_seconds_and_in_swarms_words() {
    let words = "no suitable node (host-mode port already in use on 1 node)";
    let pending = Task { error: words.into(), ..task("app", 1, 2, TaskState::Pending) };
    let tasks = vec![Task { up_to_date: false, ..running("app") }, pending];
    let world = World::of(&["app"]).update(UpdateState::Updating, "update in progress");
    let verdicts = watch(&world, [(0, tasks.clone()), (9, tasks.clone()), (10, tasks)]);
    waits(verdicts[1].clone(), words);
    fails(verdicts[2].clone(), &["service wiki_app", words]);
}

#[test]
fn an_image_that_is_nowhere_is_a_verdict_after_the_second_try() {
    let rejected = |number| Task {
        error: "No such image: nope:1".into(),
        exit_code: Some(0),
        ..task("app", 1, number, TaskState::Rejected)
    };
    let looks = [(0, vec![]), (1, vec![rejected(1)]), (6, vec![rejected(1), rejected(2)])];
    let verdicts = watch(&World::of(&["app"]), looks);
    waits(verdicts[1].clone(), "No such image: nope:1");
    fails(verdicts[2].clone(), &["service wiki_app", ": No such image: nope:1"]);
}

#[test]
fn the_first_task_of_a_job_has_no_slot_and_may_move_to_another_node() {
    let job = World::one(&[("/Mode", json!({ "ReplicatedJob": { "TotalCompletions": 2 } }))]);
    let on = |node: &str, number| Task { node: node.into(), ..ended("app", 0, number, 0) };
    waits(job.tasks([on("a", 1), on("b", 2)]).glance(), "too few tasks");
}

#[test]
fn a_view_from_before_the_write_says_nothing() {
    let mut world = World::of(&["app"]).tasks([running("app")]);
    world.rules.baseline = [("wiki_app".to_owned(), 11)].into();
    waits(world.first_look(), "not seen yet");
    world.seen.services.clear();
    waits(world.first_look(), "not there yet");
}

#[test]
fn the_image_that_was_asked_for_has_to_run() {
    let mut world = World::of(&["app"]).tasks([running("app")]).container("app-1-1", "running", None);
    world.rules.images = [("wiki_app".to_owned(), "sha256:wanted".to_owned())].into();
    waits(world.first_look(), "watched");
    world.rules.images = [("wiki_app".to_owned(), "sha256:moved".to_owned())].into();
    fails(world.first_look(), &["service wiki_app", "sha256:wanted", "sha256:moved"]);
}

#[test]
fn services_whose_log_matters_are_named() {
    let tasks = [crashed("app", 1), vec![running("db")]].concat();
    let world = World::of(&["app", "db"]).tasks(tasks);
    assert_eq!(failing_services(&world.seen, &world.desired), ["wiki_app"]);
    let up_again = vec![ended("app", 1, 1, 1), task("app", 1, 2, TaskState::Running), running("db")];
    let world = World::of(&["app", "db"]).tasks(up_again);
    assert_eq!(failing_services(&world.seen, &world.desired), ["wiki_app"]);
}

fn any_task() -> impl Strategy<Value = Task> {
    use TaskState::*;
    let states = vec![New, Pending, Preparing, Starting, Running, Complete, Shutdown, Failed, Rejected];
    (1..3u64, 1..4u64, proptest::sample::select(states), any::<bool>(), 0..2i64).prop_map(
        |(slot, number, state, up_to_date, exit)| {
            let up_to_date = up_to_date || state == Running;
            Task { up_to_date, exit_code: (state > Running).then_some(exit), ..task("app", slot, number, state) }
        },
    )
}

proptest! {
    #[test]
    fn nothing_is_healthy_while_an_update_is_in_flight(
        looks in proptest::collection::vec(proptest::collection::vec(any_task(), 0..5), 1..6),
        rolls_back in any::<bool>(),
        written in any::<bool>(),
    ) {
        let state = if rolls_back { UpdateState::RollbackStarted } else { UpdateState::Updating };
        let world = World::of(&["app"]).update(state, "");
        let world = if written { world } else { world.not_written() };
        let looks = looks.into_iter().enumerate().map(|(index, tasks)| (index as u64 * 30, tasks));
        for verdict in watch(&world, looks) {
            prop_assert_ne!(verdict, Verdict::Healthy);
        }
    }

    #[test]
    fn healthy_needs_a_running_task_of_the_present_spec_in_every_slot(tasks in proptest::collection::vec(any_task(), 0..6)) {
        let world = World::one(&[("/Mode", json!({ "Replicated": { "Replicas": 2 } }))]).tasks(tasks.clone());
        let runs = |slot| tasks.iter().any(|t| t.slot == slot && t.state == TaskState::Running && t.up_to_date);
        prop_assert!(world.glance() != Verdict::Healthy || (runs(1) && runs(2)));
    }
}
