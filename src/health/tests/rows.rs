//! One row for each way in which a start goes wrong or right: while Swarm updates a service that runs, and from
//! nothing, where Swarm never judges.

use super::*;

/// What a row expects in the end.
enum End {
    Healthy,
    /// Still waiting at the last look, for this.
    Waits(&'static str),
    Fails(Vec<&'static str>),
}
use End::{Fails, Healthy, Waits};

/// One look: when, Swarm's word while it updates, the tasks of the wanted spec, and containers with their health.
type Look = (u64, Option<UpdateState>, Vec<Task>, Vec<Container>);

struct Row {
    what: &'static str,
    changes: Vec<(&'static str, Value)>,
    looks: Vec<Look>,
    /// While updating, and from nothing.
    ends: [End; 2],
}

fn told(error: &str, task: Task) -> Task {
    Task { error: error.into(), ..task }
}

fn next(number: u64, state: TaskState) -> Task {
    task("app", 1, number, state)
}

fn held(task: &str, state: &str, health: Option<&str>, out_of_memory: bool) -> Container {
    Container {
        id: format!("container-of-{task}"),
        service: Some("id-wiki_app".into()),
        task: Some(task.into()),
        state: state.into(),
        health: health.map(str::to_owned),
        image_id: "sha256:wanted".into(),
        volumes: vec![],
        out_of_memory,
    }
}

/// A slot with so many exits of this kind and its next task, as Swarm remembers it: five of them.
fn slot(times: u64, exit: impl Fn(u64) -> Task) -> Vec<Task> {
    let first = times.saturating_sub(4).max(1);
    (first..=times).map(exit).chain([next(times + 1, TaskState::Ready)]).collect()
}

fn crash_looks(state: Option<UpdateState>, exit: impl Fn(u64) -> Task) -> Vec<Look> {
    (0..=3).map(|times| (times * 6, state.clone(), slot(times, &exit), vec![])).collect()
}

fn restart(policy: Value) -> Vec<(&'static str, Value)> {
    vec![("/TaskTemplate/RestartPolicy", policy)]
}

/// Fails either way, with these words.
fn both(words: &[&'static str]) -> [End; 2] {
    [Fails(words.to_vec()), Fails(words.to_vec())]
}

fn rows() -> Vec<Row> {
    use UpdateState::{Completed, Paused, RollbackCompleted, RollbackStarted, Updating};
    let crash = |number| ended("app", 1, number, 1);
    let looped = || both(&["service wiki_app", "3 times", "exit code 1", "non-zero exit (1)"]);
    let rolled_back = &["service wiki_app", "rolled back by Swarm itself", "exit code 1"][..];
    let image = |number| told("No such image: nope:1", next(number, TaskState::Rejected));
    let nowhere = "no suitable node (scheduling constraints not satisfied on 1 node)";
    let port = "no suitable node (host-mode port already in use on 1 node)";
    let bound = "starting container failed: driver failed programming external connectivity: address already in use";
    let sick =
        |number| told("task: non-zero exit (137): dockerexec: unhealthy container", ended("app", 1, number, 137));
    let killed = |number| ended("app", 1, number, 137);
    let steady = |state: Option<UpdateState>| {
        [0, 5, 25].map(|second| (second, state.clone(), vec![running("app")], vec![])).to_vec()
    };
    let one_look = |task: Task| vec![(0, Some(Updating), vec![], vec![]), (9, Some(Paused), vec![task], vec![])];
    vec![
        Row {
            what: "crash, failure action pause",
            changes: vec![],
            looks: crash_looks(Some(Paused), crash),
            ends: looped(),
        },
        Row {
            what: "crash, failure action continue",
            changes: vec![],
            looks: crash_looks(Some(Completed), crash),
            ends: looped(),
        },
        Row {
            what: "crash, failure action rollback, begun",
            changes: vec![],
            looks: vec![
                (0, Some(Updating), vec![], vec![]),
                (3, Some(RollbackStarted), slot(1, |number| Task { up_to_date: false, ..crash(number) }), vec![]),
            ],
            ends: [Fails(rolled_back.to_vec()), Waits("waits to be started")],
        },
        Row {
            what: "crash, failure action rollback, done",
            changes: vec![],
            looks: vec![
                (0, Some(Updating), vec![], vec![]),
                (4, Some(RollbackCompleted), vec![Task { up_to_date: false, ..crash(2) }, running("app")], vec![]),
            ],
            ends: [Fails(rolled_back.to_vec()), Waits("watched")],
        },
        Row {
            what: "image missing",
            changes: vec![],
            looks: (0..=2).map(|times| (times * 5, Some(Updating), slot(times, image), vec![])).collect(),
            ends: both(&["service wiki_app cannot be started", "No such image: nope:1"]),
        },
        Row {
            what: "no node satisfies the constraints",
            changes: vec![("/TaskTemplate/Placement", json!({ "Constraints": ["node.labels.x==1"] }))],
            looks: [0, 10]
                .map(|second| (second, Some(Updating), vec![told(nowhere, next(1, TaskState::Pending))], vec![]))
                .to_vec(),
            ends: both(&["service wiki_app finds no place to run", nowhere]),
        },
        Row {
            what: "host port taken by another task",
            changes: vec![],
            looks: [0, 10]
                .map(|second| (second, Some(Updating), vec![told(port, next(2, TaskState::Pending))], vec![]))
                .to_vec(),
            ends: both(&["service wiki_app finds no place to run", port]),
        },
        Row {
            what: "host port taken by a process",
            changes: vec![],
            looks: crash_looks(Some(Updating), |number| told(bound, next(number, TaskState::Failed))),
            ends: both(&["service wiki_app", "3 times", bound]),
        },
        Row {
            what: "unhealthy, killed",
            changes: vec![],
            looks: crash_looks(Some(Paused), sick),
            ends: both(&["service wiki_app", "exit code 137", "unhealthy container"]),
        },
        Row {
            what: "unhealthy, exit 0, restarted always",
            changes: vec![],
            looks: (0..=3)
                .map(|times| {
                    let container = |number| held(&format!("app-1-{number}"), "exited", Some("unhealthy"), false);
                    let exits = slot(times, |number| ended("app", 1, number, 0));
                    (times * 6, Some(Completed), exits, (1..=times).map(container).collect())
                })
                .collect(),
            ends: both(&["service wiki_app", "exit code 0", "its health check says unhealthy"]),
        },
        Row {
            what: "unhealthy, exit 0, a one-shot",
            changes: restart(json!({ "Condition": "on-failure" })),
            looks: vec![(
                0,
                Some(Paused),
                vec![ended("app", 1, 1, 0)],
                vec![held("app-1-1", "exited", Some("unhealthy"), false)],
            )],
            ends: both(&["service wiki_app", "not started again", "its health check says unhealthy"]),
        },
        Row {
            what: "health check within its start period",
            changes: vec![("/TaskTemplate/ContainerSpec/Healthcheck", json!({ "Test": ["CMD", "true"] }))],
            looks: [0, 300].map(|second| (second, Some(Updating), vec![next(1, TaskState::Starting)], vec![])).to_vec(),
            ends: [Waits("its health check has not passed yet"), Waits("its health check has not passed yet")],
        },
        Row {
            what: "crash after Swarm has called the update complete",
            changes: vec![],
            looks: [
                vec![(0, Some(Updating), vec![running("app")], vec![])],
                (1..=3).map(|times| (times * 15, Some(Completed), slot(times, crash), vec![])).collect(),
            ]
            .concat(),
            ends: looped(),
        },
        Row {
            what: "one-shot ends well, which Swarm calls a failed update",
            changes: restart(json!({ "Condition": "none" })),
            looks: one_look(ended("app", 1, 1, 0)),
            ends: [Healthy, Healthy],
        },
        Row {
            what: "one-shot ends badly",
            changes: restart(json!({ "Condition": "none" })),
            looks: one_look(ended("app", 1, 1, 4)),
            ends: both(&["service wiki_app", "not started again", "exit code 4"]),
        },
        Row {
            what: "attempts are used up",
            changes: restart(json!({ "Condition": "on-failure", "MaxAttempts": 2 })),
            looks: one_look(ended("app", 1, 3, 1)),
            ends: both(&["service wiki_app", "not started again", "exit code 1"]),
        },
        Row {
            what: "memory runs out",
            changes: vec![("/TaskTemplate/Resources", json!({ "Limits": { "MemoryBytes": 16 << 20 } }))],
            looks: (0..=3)
                .map(|times| {
                    let container = |number| held(&format!("app-1-{number}"), "exited", None, true);
                    (times * 6, Some(Paused), slot(times, killed), (1..=times).map(container).collect())
                })
                .collect(),
            ends: both(&["service wiki_app", "exit code 137", "out of memory: its limit is 16 MiB"]),
        },
        Row {
            what: "a job that is done",
            changes: vec![("/Mode", json!({ "ReplicatedJob": { "MaxConcurrent": 1, "TotalCompletions": 1 } }))],
            looks: vec![(0, None, vec![Task { job_iteration: Some(0), ..ended("app", 0, 1, 0) }], vec![])],
            ends: [Healthy, Healthy],
        },
        Row {
            what: "a job that fails for good",
            changes: vec![
                ("/Mode", json!({ "ReplicatedJob": { "MaxConcurrent": 1, "TotalCompletions": 1 } })),
                ("/TaskTemplate/RestartPolicy", json!({ "Condition": "none" })),
            ],
            looks: vec![(0, None, vec![Task { job_iteration: Some(0), ..ended("app", 0, 1, 2) }], vec![])],
            ends: both(&["service wiki_app", "exit code 2"]),
        },
        Row {
            what: "a global service without an eligible node",
            changes: vec![
                ("/Mode", json!({ "Global": {} })),
                ("/TaskTemplate/Placement", json!({ "Constraints": ["node.labels.gpu==1"] })),
            ],
            looks: [0, 10].map(|second| (second, None, vec![], vec![])).to_vec(),
            ends: both(&["service wiki_app", "no eligible node", "node.labels.gpu==1"]),
        },
        Row {
            what: "no replicas",
            changes: vec![("/Mode", json!({ "Replicated": { "Replicas": 0 } }))],
            looks: vec![(0, None, vec![], vec![])],
            ends: [Healthy, Healthy],
        },
        Row { what: "all is well", changes: vec![], looks: steady(Some(Completed)), ends: [Healthy, Healthy] },
        Row {
            what: "it runs, and the update is not done",
            changes: vec![],
            looks: steady(Some(Updating)),
            ends: [Waits("under way"), Healthy],
        },
    ]
}

/// The verdict at the last look. From nothing Swarm has no word, and no old task is there.
fn last_verdict(row: &Row, from_nothing: bool) -> Verdict {
    let world = World::one(&row.changes);
    let mut watch = Watch::new(&world.desired, world.rules.clone());
    let mut verdict = Verdict::Waiting(String::new());
    for (second, state, tasks, containers) in &row.looks {
        assert!(matches!(verdict, Verdict::Waiting(_)), "{}: a verdict before its last look: {verdict:?}", row.what);
        let mut seen = world.seen.clone();
        seen.tasks.clone_from(tasks);
        seen.containers.clone_from(containers);
        if !from_nothing {
            let ended = Task { state: TaskState::Shutdown, ..old(task("app", 1, 0, TaskState::Shutdown)) };
            seen.tasks.push(ended);
            let update = state.clone().map(|state| UpdateStatus { state, message: "task x".into() });
            seen.services.get_mut("wiki_app").unwrap().update = update;
        }
        verdict = watch.look(&seen, Seen::at(Duration::from_secs(*second)));
    }
    verdict
}

#[test]
fn each_way_to_start_has_its_verdict_while_updating_and_from_nothing() {
    for row in rows() {
        for (end, from_nothing) in row.ends.iter().zip([false, true]) {
            let verdict = last_verdict(&row, from_nothing);
            let told = format!("{} (from nothing: {from_nothing}): {verdict:?}", row.what);
            match (end, verdict) {
                (Healthy, verdict) => assert_eq!(verdict, Verdict::Healthy, "{told}"),
                (Waits(word), Verdict::Waiting(why)) => assert!(why.contains(word), "{told}"),
                (Fails(words), Verdict::Unhealthy(why)) => {
                    assert!(words.iter().all(|word| why.contains(word)), "{told} does not say {words:?}");
                }
                _ => panic!("{told}"),
            }
        }
    }
}

#[test]
fn no_place_to_run_is_no_verdict_while_something_is_being_stopped() {
    let words = "no suitable node (host-mode port already in use on 1 node)";
    let pending = told(words, next(2, TaskState::Pending));
    let stopping = Task { desired: TaskState::Shutdown, ..task("db", 1, 1, TaskState::Running) };
    let world = World::of(&["app", "db"]);
    let held = vec![pending.clone(), stopping, task("db", 1, 2, TaskState::Ready)];
    let free = vec![pending, task("db", 1, 2, TaskState::Running)];
    let verdicts = watch(&world, [(0, held.clone()), (30, held), (31, free.clone()), (40, free.clone()), (41, free)]);
    for early in &verdicts[..4] {
        waits(early.clone(), "wiki_app");
    }
    fails(verdicts[4].clone(), &["service wiki_app finds no place to run", words]);
}

#[test]
fn an_address_that_is_taken_for_a_moment_is_no_verdict() {
    let taken = |number| told("network sandbox join failed: address in use", next(number, TaskState::Rejected));
    let up = vec![taken(1), taken(2), next(3, TaskState::Running)];
    let looks = [(0, vec![]), (5, slot(1, taken)), (10, slot(2, taken)), (15, up.clone()), (35, up)];
    assert_eq!(watch(&World::of(&["app"]), looks).pop().unwrap(), Verdict::Healthy);
}
