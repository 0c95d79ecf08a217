//! Situations made on the real Engine: each has to come to its verdict here and now, and is recorded on the way.
//!
//! With `EVENKEEL_RECORD=1` the recordings are kept as `tests/fixtures/timelines`, from which `timelines` judges again.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use evenkeel::health::{Seen, Verdict, Watch};
use evenkeel::model::observed::Service;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::scene::each;
use super::{DEADLINE, Stack};
use crate::timelines::{Recording, Timeline, desired, milliseconds};
use crate::world::{self, on_engine};

const SECOND: u64 = 1_000_000_000;
/// How many situations go on at the same time.
const AT_ONCE: usize = 8;
/// How often one is tried whose Engine hangs.
const TRIES: usize = 3;
const SLEEPS: &str = "trap 'exit 0' TERM; sleep 1000000 & wait";

/// Ready three seconds after its start, and its health check says so.
const DATABASE: &str = "rm -f /data/ready; trap 'exit 0' TERM; sleep 3; touch /data/ready; sleep 1000000 & wait";
const NEEDS_DATABASE: &str = "test -e /data/ready || exit 1; trap 'exit 0' TERM; sleep 1000000 & wait";
const FALTERS: &str = "test -e /data/once || { touch /data/once; exit 1; }; trap 'exit 0' TERM; sleep 1000000 & wait";

/// What is there before, what is written, and how it ends.
struct Play {
    before: Vec<Value>,
    specs: Vec<Value>,
    /// What a bad verdict has to say; `None` for a good end.
    words: Option<Vec<&'static str>>,
}

/// Builds the specs of one situation.
struct Maker<'a>(&'a Stack);

impl Maker<'_> {
    fn app(&self, script: &str, changes: &[(&str, Value)]) -> Value {
        self.service("app", script, changes)
    }

    fn service(&self, name: &str, script: &str, changes: &[(&str, Value)]) -> Value {
        let mut spec = self.0.runs(name, script);
        spec["TaskTemplate"]["RestartPolicy"]["Delay"] = json!(SECOND / 2);
        spec["UpdateConfig"] = json!({"Parallelism": 1, "Monitor": SECOND, "FailureAction": "pause"});
        for (pointer, value) in changes {
            let (parent, key) = pointer.rsplit_once('/').unwrap();
            spec.pointer_mut(parent).unwrap()[key] = value.clone();
        }
        spec
    }

    fn volume(&self) -> (&'static str, Value) {
        let mount = json!({"Type": "volume", "Source": self.0.named("data"), "Target": "/data"});
        ("/TaskTemplate/ContainerSpec/Mounts", json!([mount]))
    }

    /// From nothing.
    fn start(&self, spec: Value, words: Option<&[&'static str]>) -> Play {
        Play { before: vec![], specs: vec![spec], words: words.map(<[_]>::to_vec) }
    }

    /// In the place of a service that runs well.
    fn update(&self, spec: Value, words: Option<&[&'static str]>) -> Play {
        let mut before = self.app(SLEEPS, &[]);
        before["Mode"] = spec["Mode"].clone();
        Play { before: vec![before], ..self.start(spec, words) }
    }
}

fn check(command: &str, start_period: u64) -> (&'static str, Value) {
    let check = json!({
        "Test": ["CMD-SHELL", command], "Interval": SECOND, "Timeout": 5 * SECOND, "Retries": 2,
        "StartPeriod": start_period * SECOND,
    });
    ("/TaskTemplate/ContainerSpec/Healthcheck", check)
}

fn failure_action(action: &str) -> (&'static str, Value) {
    ("/UpdateConfig/FailureAction", json!(action))
}

fn restarts(condition: &str) -> (&'static str, Value) {
    ("/TaskTemplate/RestartPolicy", json!({"Condition": condition, "Delay": SECOND / 2}))
}

const SITUATIONS: [&str; 36] = [
    "good-start",
    "good-update",
    "slow-stop-update",
    "start-first-update",
    "health-start",
    "health-update",
    "database-start",
    "database-update",
    "falters-update",
    "crash-start",
    "crash-pause-update",
    "crash-continue-update",
    "crash-rollback-update",
    "crash-second-slot-update",
    "late-crash-update",
    "fast-crash-start",
    "image-start",
    "image-update",
    "constraint-start",
    "constraint-update",
    "port-start",
    "port-update",
    "unhealthy-start",
    "unhealthy-update",
    "unhealthy-exit-0-start",
    "unhealthy-exit-0-one-shot",
    "one-shot-start",
    "one-shot-update",
    "one-shot-bad-start",
    "attempts-start",
    "memory-start",
    "memory-update",
    "job-start",
    "job-bad-start",
    "global-nowhere-start",
    "no-replicas-update",
];

fn play(situation: &str, make: &Maker) -> Play {
    let crash = "echo giving up; sleep 0.3; exit 3";
    let crashes = Some(&["_app", "exit code 3"][..]);
    let nowhere = ("/TaskTemplate/Placement", json!({"Constraints": ["node.labels.nowhere==1"]}));
    let finds_none = Some(&["_app finds no place to run", "no suitable node"][..]);
    let port = |number: u64| {
        let port = json!({"Protocol": "tcp", "TargetPort": 80, "PublishedPort": number, "PublishMode": "host"});
        ("/EndpointSpec/Ports", json!([port]))
    };
    let sick = Some(&["_app", "unhealthy"][..]);
    let job = || ("/Mode", json!({"ReplicatedJob": {"MaxConcurrent": 1, "TotalCompletions": 1}}));
    let bad_end = Some(&["_app", "not started again", "exit code 4"][..]);
    let memory = [("/TaskTemplate/Resources", json!({"Limits": {"MemoryBytes": 16 << 20}}))];
    let out = Some(&["_app", "exit code 137", "out of memory: its limit is 16 MiB"][..]);
    let image = ("/TaskTemplate/ContainerSpec/Image", json!("evenkeel-test/nowhere:1"));
    let no_image = Some(&["_app cannot be started", "No such image: evenkeel-test/nowhere:1"][..]);
    let deaf = ("/TaskTemplate/ContainerSpec/StopGracePeriod", json!(3 * SECOND));
    match situation {
        "good-start" => make.start(make.app(SLEEPS, &[]), None),
        "good-update" => make.update(make.app(&format!("{SLEEPS} #2"), &[]), None),
        "slow-stop-update" => Play {
            before: vec![make.app("trap '' TERM; while :; do sleep 1; done", std::slice::from_ref(&deaf))],
            ..make.start(make.app(SLEEPS, &[]), None)
        },
        "start-first-update" => {
            make.update(make.app(&format!("{SLEEPS} #2"), &[("/UpdateConfig/Order", json!("start-first"))]), None)
        }
        "health-start" => {
            make.start(make.app(&format!("sleep 2; touch /tmp/up; {SLEEPS}"), &[check("test -e /tmp/up", 5)]), None)
        }
        "health-update" => {
            make.update(make.app(&format!("sleep 2; touch /tmp/up; {SLEEPS}"), &[check("test -e /tmp/up", 5)]), None)
        }
        "database-start" | "database-update" => {
            let database = make.service("db", DATABASE, &[make.volume(), check("test -e /data/ready", 20)]);
            let specs = vec![make.app(NEEDS_DATABASE, &[make.volume()]), database.clone()];
            let mut before = vec![make.app(SLEEPS, &[]), database];
            before[1]["Labels"]["changed"] = json!("soon");
            before[1]["TaskTemplate"]["ForceUpdate"] = json!(1);
            Play { before: if situation == "database-update" { before } else { vec![] }, specs, words: None }
        }
        "falters-update" => make.update(make.app(FALTERS, &[make.volume()]), None),
        "crash-start" => make.start(make.app(crash, &[]), crashes),
        "crash-pause-update" => make.update(make.app(crash, &[]), crashes),
        "crash-continue-update" => make.update(make.app(crash, &[failure_action("continue")]), crashes),
        "crash-rollback-update" => make.update(make.app(crash, &[failure_action("rollback")]), crashes),
        "crash-second-slot-update" => {
            make.update(make.app(crash, &[("/Mode", json!({"Replicated": {"Replicas": 2}}))]), crashes)
        }
        "late-crash-update" => {
            make.update(make.app("sleep 1; exit 3", &[("/UpdateConfig/Monitor", json!(SECOND / 2))]), crashes)
        }
        "fast-crash-start" => {
            let delay = ("/TaskTemplate/RestartPolicy/Delay", json!(SECOND / 20));
            make.start(make.app("exit 3", &[delay]), crashes)
        }
        "image-start" => make.start(make.app(SLEEPS, &[image]), no_image),
        "image-update" => make.update(make.app(SLEEPS, &[image]), no_image),
        "constraint-start" => make.start(make.app(SLEEPS, &[nowhere]), finds_none),
        "constraint-update" => make.update(make.app(&format!("{SLEEPS} #2"), &[nowhere]), finds_none),
        "port-start" => Play {
            before: vec![make.service("holder", SLEEPS, &[port(18_401)])],
            ..make.start(make.app(SLEEPS, &[port(18_401)]), finds_none)
        },
        "port-update" => Play {
            before: vec![make.app(SLEEPS, &[port(18_402)])],
            ..make.start(
                make.app(&format!("{SLEEPS} #2"), &[port(18_402), ("/UpdateConfig/Order", json!("start-first"))]),
                finds_none,
            )
        },
        "unhealthy-start" => {
            make.start(make.app("trap '' TERM; while :; do sleep 1; done", &[check("false", 0), deaf]), sick)
        }
        "unhealthy-update" => make.update(
            make.app(SLEEPS, &[check("false", 0), failure_action("rollback")]),
            Some(&["_app was rolled back by Swarm itself"]),
        ),
        "unhealthy-exit-0-start" => make.start(make.app(SLEEPS, &[check("false", 0)]), sick),
        "unhealthy-exit-0-one-shot" => make.start(make.app(SLEEPS, &[check("false", 0), restarts("on-failure")]), sick),
        "one-shot-start" => make.start(make.app("sleep 1", &[restarts("none")]), None),
        "one-shot-update" => make.update(make.app("sleep 0.3", &[restarts("none")]), None),
        "one-shot-bad-start" => make.start(make.app("sleep 1; exit 4", &[restarts("none")]), bad_end),
        "attempts-start" => {
            let policy = json!({"Condition": "on-failure", "Delay": SECOND / 2, "MaxAttempts": 1});
            make.start(make.app("exit 4", &[("/TaskTemplate/RestartPolicy", policy)]), bad_end)
        }
        "memory-start" => make.start(make.app("tail /dev/zero", &memory), out),
        "memory-update" => make.update(make.app("tail /dev/zero", &memory), out),
        "job-start" => {
            make.start(make.app("sleep 1", &[job(), restarts("none"), ("/UpdateConfig", Value::Null)]), None)
        }
        "job-bad-start" => {
            make.start(make.app("sleep 1; exit 4", &[job(), restarts("none"), ("/UpdateConfig", Value::Null)]), bad_end)
        }
        "global-nowhere-start" => make.start(
            make.app(SLEEPS, &[("/Mode", json!({"Global": {}})), nowhere]),
            Some(&["_app finds no place to run", "no eligible node", "node.labels.nowhere==1"]),
        ),
        "no-replicas-update" => {
            let before = make.app(SLEEPS, &[]);
            let spec = make.app(SLEEPS, &[("/Mode", json!({"Replicated": {"Replicas": 0}}))]);
            Play { before: vec![before], ..make.start(spec, None) }
        }
        other => panic!("no such situation: {other}"),
    }
}

/// Follows the starts, ends and changes of health of a stack's containers; ends with the moment of the last one.
struct Facts {
    stop: tokio::sync::oneshot::Sender<()>,
    last: JoinHandle<u64>,
}

impl Facts {
    fn of(stack: &Stack) -> Self {
        let label = format!("com.docker.stack.namespace={}", stack.name);
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let (ready, is_ready): (Sender<()>, Receiver<()>) = channel();
        let last = std::thread::spawn(move || follow(&label, stopped, &ready));
        is_ready.recv().unwrap();
        Self { stop, last }
    }

    /// In nanoseconds since 1970; 0 where there was none.
    fn last(self) -> u64 {
        self.stop.send(()).unwrap();
        self.last.join().unwrap()
    }
}

fn follow(label: &str, stopped: tokio::sync::oneshot::Receiver<()>, ready: &Sender<()>) -> u64 {
    let events = ["start", "die", "health_status"];
    let filters = json!({"type": ["container"], "event": events, "label": [label]});
    on_engine(async move |swarm| {
        let events = world::events(&swarm, &filters, stopped).await;
        ready.send(()).unwrap();
        events.await.iter().map(|event| event["timeNano"].as_u64().unwrap()).max().unwrap_or_default()
    })
}

/// Makes the situation and looks at it until there is a verdict and a while longer.
async fn record(situation: &'static str) -> (Timeline, Verdict, u64) {
    let stack = Stack::empty(&format!("timeline-{situation}")).await;
    let play = play(situation, &Maker(&stack));
    for spec in &play.before {
        stack.swarm.create_service(spec).await.unwrap();
    }
    let before =
        play.before.iter().map(|spec| spec["Mode"]["Replicated"]["Replicas"].as_u64().unwrap_or(1)).sum::<u64>();
    stack.until_running(usize::try_from(before).unwrap()).await;
    let facts = Facts::of(&stack);

    let mut wrote = std::collections::BTreeMap::new();
    for spec in &play.specs {
        let name = spec["Name"].as_str().unwrap();
        let exists = play.before.iter().any(|before| before["Name"] == spec["Name"]);
        let written = match exists {
            true => stack.swarm.update_service(name, spec).await.unwrap(),
            false => stack.swarm.create_service(spec).await.unwrap(),
        };
        wrote.insert(name.to_owned(), written.index);
    }
    let (began, epoch) = (Instant::now(), SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap());
    let mut timeline = Timeline {
        name: situation.to_owned(),
        healthy: play.words.is_none(),
        words: play.words.into_iter().flatten().map(str::to_owned).collect(),
        last_fact: 0,
        specs: play.specs,
        wrote,
        looks: Vec::new(),
    };
    let mut watch = Watch::new(&desired(&timeline.specs), timeline.rules());
    let mut changes = stack.swarm.changes().await.unwrap();
    let (mut recording, mut verdict) = (Recording::new(), None);
    let (verdict, at) = loop {
        let asked = began.elapsed();
        let observed = stack.swarm.observe_progress(&stack.name).await.unwrap();
        let now = began.elapsed();
        recording.take(&observed, now);
        if verdict.is_none() {
            let given = watch.look(&observed, Seen { asked, answered: now });
            verdict = (!matches!(given, Verdict::Waiting(_))).then_some((given, now));
        }
        match &verdict {
            Some((verdict, at)) if now >= *at + Duration::from_secs(2) => break (verdict.clone(), *at),
            Some(_) => {}
            None => assert!(now < DEADLINE * 3, "{situation}: no verdict: {:#?}", observed.tasks),
        }
        changes.wait(Duration::from_millis(100)).await;
    };
    timeline.looks = recording.end(began.elapsed());
    timeline.last_fact = facts.last().saturating_sub(u64::try_from(epoch.as_nanos()).unwrap()) / 1_000_000;
    clear(&stack).await;
    let volume = format!("/volumes/{}", stack.named("data"));
    // Most have none.
    let _ = stack.swarm.engine().delete(&volume, &[("force", "1")]).await;
    (timeline, verdict, milliseconds(at))
}

/// Engine 20.10 never takes the containers of jobs away (moby#42789).
async fn clear(stack: &Stack) {
    let observed = stack.observe().await;
    for service in observed.services.keys() {
        stack.swarm.remove_service(service).await.unwrap();
    }
    let jobs = |service: &&Service| service.spec["Mode"]["ReplicatedJob"].is_object();
    let jobs: Vec<&String> = observed.services.values().filter(jobs).map(|service| &service.id).collect();
    let of_jobs = observed.containers.iter().filter(|one| one.service.as_ref().is_some_and(|id| jobs.contains(&id)));
    for container in of_jobs {
        stack.swarm.remove_container(&container.id).await.unwrap();
    }
    stack.clear().await;
}

#[test]
fn each_situation_comes_to_its_verdict() {
    let mut failed = 0;
    for some in SITUATIONS.chunks(AT_ONCE) {
        // The others are worth recording all the same.
        let some = std::panic::catch_unwind(|| each(some, || (), |(), situation| comes_to_its_verdict(situation)));
        failed += usize::from(some.is_err());
    }
    assert_eq!(failed, 0);
}

fn comes_to_its_verdict(situation: &'static str) {
    let mut recorded = (0..TRIES).map(|_| tokio_main(record(situation)));
    let was_told = recorded.find(|(timeline, verdict, at)| !timeline.was_kept_back(verdict, *at));
    let (timeline, verdict, at) = was_told.expect("the Engine tells of no end, however often it is tried");
    assert_eq!(timeline.contradiction(&verdict, at), None, "{verdict:?}");
    if let Verdict::Unhealthy(why) = &verdict {
        assert!(timeline.words.iter().all(|word| why.contains(word)), "{situation}: {why}");
    }
    if std::env::var_os("EVENKEEL_RECORD").is_some() {
        timeline.write();
    }
}

fn tokio_main<T>(task: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(task)
}
