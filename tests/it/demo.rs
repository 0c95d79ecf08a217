//! `evenkeel demo`: the private Engine runs apps with nothing but this program, and leaves nothing behind.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use evenkeel::demo::engine::PrivateEngine;
use evenkeel::demo::image::Contents;
use evenkeel::demo::look;
use serde_json::json;

const PROGRAM: &str = env!("CARGO_BIN_EXE_evenkeel");
const PATIENCE: Duration = Duration::from_secs(60);

/// What of an Engine is still to be seen on this machine.
#[derive(Debug, Default, PartialEq, Eq)]
struct Traces {
    processes: Vec<String>,
    mounts: Vec<String>,
    cgroups: Vec<PathBuf>,
    folder: bool,
}

impl Traces {
    fn of(folder: &Path) -> Self {
        let name = folder.file_name().unwrap().to_str().unwrap();
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        Self {
            processes: processes(name),
            mounts: mounts.lines().filter(|line| line.contains(name)).map(str::to_owned).collect(),
            cgroups: cgroups(Path::new("/sys/fs/cgroup"), name),
            folder: folder.exists(),
        }
    }
}

/// Command lines of the processes that name the Engine's folder in their arguments or belong to its cgroup.
fn processes(name: &str) -> Vec<String> {
    let read = |process: &Path, file: &str| fs::read(process.join(file)).unwrap_or_default();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).replace('\0', " ");
    fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .map(|entry| entry.path())
        .filter(|process| {
            ["cmdline", "cgroup"].iter().any(|file| text(read(process, file)).contains(name))
                && !process.ends_with(std::process::id().to_string())
        })
        .map(|process| format!("{} {}", process.display(), text(read(&process, "cmdline"))))
        .collect()
}

fn cgroups(root: &Path, name: &str) -> Vec<PathBuf> {
    let below = fs::read_dir(root).unwrap().flatten().map(|entry| entry.path().join(name));
    below.chain([root.join(name)]).filter(|cgroup| cgroup.exists()).collect()
}

/// Waits for what other processes do; the test fails when it does not come.
async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(since.elapsed() < PATIENCE, "{what} did not come");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Starts a service of the demo's image on an overlay network and waits for one of its tasks to be in `state`.
async fn start_service(engine: &PrivateEngine, name: &str, environment: &[&str], state: &str) -> serde_json::Value {
    let api = engine.connect().await.unwrap();
    let network = json!({ "Name": format!("{name}-net"), "Driver": "overlay", "Attachable": true });
    api.post("/networks/create", &[], &network).await.unwrap();
    let service = json!({
        "Name": name,
        "TaskTemplate": {
            "ContainerSpec": {
                "Image": "evenkeel-demo:1.0.0",
                "Env": environment,
                "Healthcheck": {
                    "Test": ["CMD", "/evenkeel", "demo-app", "--check"],
                    "Interval": 1_000_000_000, "Timeout": 2_000_000_000, "Retries": 3
                },
                "Mounts": [{ "Type": "volume", "Source": format!("{name}-data"), "Target": "/data" }]
            },
            "Networks": [{ "Target": format!("{name}-net") }]
        },
        "EndpointSpec": { "Mode": "dnsrr" }
    });
    api.post("/services/create", &[], &service).await.unwrap();
    until(&format!("a task of {name} that is {state}"), async || {
        let tasks = api.get("/tasks", &[]).await.unwrap();
        tasks.as_array().unwrap().iter().find(|task| task["Status"]["State"] == *state).cloned()
    })
    .await
}

async fn engine_with_image() -> PrivateEngine {
    let engine = PrivateEngine::start(Path::new(PROGRAM)).await.unwrap();
    // The libraries that this test maps are those of the program: both are built of the same crate.
    let contents = Contents::of(Path::new(PROGRAM)).unwrap();
    look::load_image(&engine.socket(), &contents, "evenkeel-demo", "1.0.0").await.unwrap();
    engine
}

#[tokio::test]
async fn the_demo_app_becomes_healthy_in_the_private_swarm_and_nothing_is_left() {
    let engine = engine_with_image().await;
    let folder = engine.folder().to_owned();
    let task = start_service(&engine, "well", &[], "running").await;
    assert_eq!(task["Status"]["Err"], serde_json::Value::Null);
    let starts = fs::read_to_string(folder.join("data/volumes/well-data/_data/starts")).unwrap();
    assert_eq!(starts, "1\n");
    assert_ne!(Traces::of(&folder), Traces::default(), "the looking finds what is there");

    engine.stop().unwrap();
    assert_eq!(Traces::of(&folder), Traces::default());
}

#[tokio::test]
async fn the_demo_app_fails_with_the_code_it_is_given() {
    let engine = engine_with_image().await;
    let task = start_service(&engine, "ill", &["FAIL_AFTER=0", "EXIT_CODE=3"], "failed").await;
    assert_eq!(task["Status"]["ContainerStatus"]["ExitCode"], 3);
    assert_eq!(task["Status"]["Err"], "task: non-zero exit (3)");
}

#[tokio::test]
async fn scaling_and_removing_by_hand_are_seen_in_the_indexes() {
    let engine = engine_with_image().await;
    start_service(&engine, "by-hand", &[], "running").await;
    let api = engine.connect().await.unwrap();
    let before = look::indexes(&api, None).await.unwrap();
    assert_eq!(before, look::indexes(&api, None).await.unwrap(), "looking writes nothing");

    look::scale(&api, "by-hand", 2).await.unwrap();
    let after = look::indexes(&api, None).await.unwrap();
    assert!(after["by-hand"] > before["by-hand"]);
    assert_eq!(look::replicas(&api, "by-hand").await.unwrap(), 2);
    assert!(look::indexes(&api, Some("another")).await.unwrap().is_empty());

    look::remove(&api, "by-hand").await.unwrap();
    assert!(look::indexes(&api, None).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_engine_that_is_dropped_in_the_middle_leaves_nothing() {
    let engine = engine_with_image().await;
    let folder = engine.folder().to_owned();
    start_service(&engine, "dropped", &[], "running").await;
    drop(engine);
    assert_eq!(Traces::of(&folder), Traces::default());
}

/// Starts `evenkeel demo`, sends the signal as soon as its Engine is there, and gives the Engine's folder.
fn interrupted_by(signal: nix::sys::signal::Signal) -> PathBuf {
    use std::io::{BufRead, BufReader};
    let mut demo =
        std::process::Command::new(PROGRAM).arg("demo").stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(demo.stdout.take().unwrap()).lines();
    let ready = lines.find_map(|line| line.unwrap().split_once("all its files in ").map(|(_, path)| path.to_owned()));
    let pid = nix::unistd::Pid::from_raw(demo.id().try_into().unwrap());
    nix::sys::signal::kill(pid, signal).unwrap();
    demo.wait().unwrap();
    PathBuf::from(ready.unwrap().trim_end_matches('.'))
}

#[tokio::test]
async fn a_demo_that_is_interrupted_or_killed_leaves_nothing() {
    use nix::sys::signal::Signal::{SIGINT, SIGKILL, SIGTERM};
    for signal in [SIGINT, SIGTERM, SIGKILL] {
        let folder = interrupted_by(signal);
        let gone = async || (Traces::of(&folder) == Traces::default()).then_some(());
        until(&format!("the end of everything after {signal}"), gone).await;
    }
}
