//! A run that is killed at any moment is finished by the next one: nothing doubled, nothing left over.

use std::process::Child;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use evenkeel::host::swarm::Swarm;
use serde_json::{Value, json};

use super::DEADLINE;
use super::recorder::{Moment, Recorder, is_stack_write};
use super::scene::{APP, Scene, each};
use crate::engine::private::PrivateEngine;
use crate::world::on_engine;

/// When a run is killed. Writes count from one.
#[derive(Debug, Clone, Copy)]
enum When {
    /// This write has been asked for and has not reached the Engine.
    Before(usize),
    /// The Engine has made this write, and the run does not know.
    After(usize),
    /// So many requests after this write.
    Waiting { write: usize, requests: usize },
    /// The run asks for the Swarm and Engine that it writes into its state: all has passed the gate, and nothing says so.
    /// Only of an install: an update of what has data has asked before, to know where its data stays.
    Recording,
}

/// A run and the moment that it is killed at.
struct Doomed {
    run: Child,
    when: When,
    writes: usize,
    requests: usize,
    killed: Sender<()>,
}

impl Doomed {
    /// Whether it has come to its end.
    fn is_reached(&mut self, moment: Moment, request: &str) -> bool {
        let asked = moment == Moment::Asked;
        if is_stack_write(request) && asked {
            (self.writes, self.requests) = (self.writes + 1, 0);
        } else if asked {
            self.requests += 1;
        }
        match self.when {
            When::Before(write) => asked && is_stack_write(request) && self.writes == write,
            When::After(write) => !asked && is_stack_write(request) && self.writes == write,
            When::Waiting { write, requests } => asked && self.writes == write && self.requests == requests,
            When::Recording => asked && self.writes > 0 && request.ends_with("/info"),
        }
    }
}

/// A scene behind a socket that kills.
struct Trap {
    scene: Scene,
    doomed: Arc<Mutex<Option<Doomed>>>,
}

impl Trap {
    fn new(recipe: &str) -> Self {
        let doomed = Arc::<Mutex<Option<Doomed>>>::default();
        let waiting = Arc::clone(&doomed);
        let recorder = Recorder::with_hook(PrivateEngine::shared().socket(), move |moment, request| {
            let mut doomed = waiting.lock().unwrap();
            if !doomed.as_mut().is_some_and(|doomed| doomed.is_reached(moment, request)) {
                return true;
            }
            end(doomed.take().unwrap());
            false
        });
        Self { scene: Scene::behind(recipe, recorder), doomed }
    }

    /// Starts a run and returns when it has been killed.
    fn kill(&self, when: When) {
        let (killed, is_killed) = channel();
        {
            // The run's first request waits for this.
            let mut doomed = self.doomed.lock().unwrap();
            let run = self.scene.world.start(&["app", APP]);
            *doomed = Some(Doomed { run, when, writes: 0, requests: 0, killed });
        }
        while is_killed.recv_timeout(Duration::from_millis(100)).is_err() {
            if let Some(doomed) = &mut *self.doomed.lock().unwrap() {
                let ended = doomed.run.try_wait().unwrap();
                assert_eq!(ended, None, "the run ended before {when:?}, at write {}", doomed.writes);
            }
        }
    }
}

fn end(mut doomed: Doomed) {
    doomed.run.kill().unwrap();
    doomed.run.wait().unwrap();
    doomed.killed.send(()).unwrap();
}

/// The next run finishes, the one after it finds nothing to do, and all is there once.
#[track_caller]
fn finishes(scene: &Scene) {
    let kept = scene.kept();
    scene.world.ok(&["app", APP]);
    scene.is_converged();
    scene.database_knows_its_password();
    for (name, bytes) in kept {
        assert!(scene.kept()[&name] == bytes, "secret {name} was made twice");
    }
}

/// A network, two secrets, two configs, two services: seven writes.
const INSTALL: [When; 10] = [
    When::Before(1),
    When::After(1),
    When::After(2),
    When::Before(4),
    When::After(5),
    When::After(6),
    When::Before(7),
    When::After(7),
    When::Waiting { write: 7, requests: 20 },
    When::Recording,
];

/// A secret, two services, and the old secret that goes: four writes.
const UPDATE: [When; 10] = [
    When::Before(1),
    When::After(1),
    When::Before(2),
    When::After(2),
    When::Before(3),
    When::After(3),
    When::Waiting { write: 3, requests: 3 },
    When::Waiting { write: 3, requests: 12 },
    When::Before(4),
    When::After(4),
];

#[test]
fn a_killed_install_and_a_killed_update_are_finished_by_the_next_run() {
    let moments: Vec<(When, When)> = INSTALL.into_iter().zip(UPDATE).collect();
    each(
        &moments,
        || Trap::new("notes"),
        |mut trap, (in_install, in_update)| {
            trap.kill(in_install);
            finishes(&trap.scene);
            assert_eq!(trap.scene.kept().len(), 2);

            let key = trap.scene.world.file("session_key", "0123456789abcdef".repeat(4).as_bytes());
            let secret = format!("secrets = {{ session_key = \"{}\" }}", key.display());
            trap.scene.declare(&format!("env = {{ MARK = \"new\", ENABLE_BACKUPS = \"false\" }}\n{secret}"));
            trap.kill(in_update);
            finishes(&trap.scene);
            assert_eq!(trap.scene.variable("MARK").as_deref(), Some("new"));
            let backup = ["app", "db"].map(|service| trap.scene.spec(service)["Labels"]["backupbot.backup"].clone());
            assert_eq!(backup, ["false", "false"]);
            assert!(!trap.scene.world.observe(APP).secrets.contains_key(&trap.scene.named("session_key_v1")));
        },
    );
}

#[test]
fn a_run_killed_while_it_makes_secrets_makes_none_of_them_twice() {
    let scene = Scene::new("notes");
    let secrets = scene.dir().join("secrets");
    let mut run = scene.world.start(&["app", APP]);
    let deadline = Instant::now() + DEADLINE;
    while !std::fs::read_dir(&secrets).is_ok_and(|mut entries| entries.next().is_some()) {
        assert!(Instant::now() < deadline, "no secret is made");
    }
    run.kill().unwrap();
    run.wait().unwrap();

    finishes(&scene);
}

/// The Engine makes what a killed run has asked for last, and nobody says when.
#[test]
fn a_service_that_comes_while_a_run_is_about_to_make_it_is_taken_up() {
    let comes = Arc::<Mutex<Option<(String, Value)>>>::default();
    let hook = {
        let comes = Arc::clone(&comes);
        move |moment, request: &str| {
            let looks = |name: &str| moment == Moment::Asked && request.contains(&format!("service.name%3D{name}%22"));
            let mut comes = comes.lock().unwrap();
            if let Some((_, spec)) = comes.take_if(|(name, _)| looks(name)) {
                on_engine(async move |swarm| runs_by_itself(&swarm, &spec).await);
            }
            true
        }
    };
    let scene = Scene::behind("notes", Recorder::with_hook(PrivateEngine::shared().socket(), hook));
    scene.world.ok(&["app", APP]);
    let name = scene.named("app");
    let spec = {
        let name = name.clone();
        on_engine(async move |swarm| taken_away(&swarm, &name).await)
    };
    *comes.lock().unwrap() = Some((name.clone(), spec));

    scene.world.ok(&["app", APP]);

    assert!(comes.lock().unwrap().is_none(), "the run did not look for containers of {name}");
    let tasks = scene
        .world
        .observe(APP)
        .tasks
        .into_iter()
        .filter(|task| task.service == scene.world.observe(APP).services[&name].id);
    assert_eq!(tasks.count(), 1, "it was started anew");
    scene.is_converged();
}

/// Removes a service and gives what it was made of.
async fn taken_away(swarm: &Swarm, name: &str) -> Value {
    let live = swarm.engine().get(&format!("/services/{name}"), &[]).await.unwrap();
    swarm.remove_service(name).await.unwrap();
    swarm.wait_containers_gone(&[live["ID"].as_str().unwrap().to_owned()], DEADLINE).await.unwrap();
    live["Spec"].clone()
}

/// Makes a service and returns once a container of it runs.
async fn runs_by_itself(swarm: &Swarm, spec: &Value) {
    swarm.engine().post("/services/create", &[], spec).await.unwrap();
    let filters =
        json!({"label": [format!("com.docker.swarm.service.name={}", spec["Name"].as_str().unwrap())]}).to_string();
    let deadline = Instant::now() + DEADLINE;
    while swarm.engine().get("/containers/json", &[("filters", &filters)]).await.unwrap() == json!([]) {
        assert!(Instant::now() < deadline, "no container of it runs");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[test]
fn what_a_run_left_between_two_secrets_is_taken_up_and_swept() {
    let trap = Trap::new("notes");
    trap.kill(When::Before(1));
    let secrets = trap.scene.dir().join("secrets");
    std::fs::remove_file(secrets.join(trap.scene.named("session_key_v1"))).unwrap();
    std::fs::write(secrets.join(".beside-x"), "half").unwrap();

    finishes(&trap.scene);
    assert_eq!(trap.scene.kept().len(), 2);
}

/// The change is the first write, the way back the second.
const FAILING: [When; 4] =
    [When::Waiting { write: 1, requests: 8 }, When::Before(2), When::After(2), When::Waiting { write: 2, requests: 8 }];

#[test]
fn a_failed_change_is_put_back_wherever_the_run_was_killed() {
    each(
        &FAILING,
        || Trap::new("jobs"),
        |mut trap, when| {
            trap.scene.world.ok(&["app", APP]);
            trap.scene.declare("env = { REFUSE = \"1\" }");
            trap.kill(when);

            let said = trap.scene.run();
            assert_eq!(said.code, 14, "{said:?}");
            let said = trap.scene.writes_nothing(14);
            assert!(said.out.contains("refused to start"), "{said:?}");
            assert_eq!(trap.scene.variable("REFUSE"), None);
            assert!(trap.scene.world.state(APP)["changing"]["failed"].is_string());

            trap.scene.declare("");
            trap.scene.is_converged();
        },
    );
}
