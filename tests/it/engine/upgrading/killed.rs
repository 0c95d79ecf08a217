//! A run that is killed at any step of an upgrade is finished by `evenkeel resume`: old version on old data, or new
//! version that passed its gate.

use std::process::Child;
use std::sync::{Arc, Mutex};
use std::thread::sleep;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::*;
use crate::engine::recorder::{Moment, Recorder};
use crate::engine::scene::each;
use crate::fixtures::RecipeRepo;
use crate::world::{World, on_engine};

const APP: &str = "wiki";
const GATE: &str = "gate = { stable_for = \"1s\", within = \"300s\" }\n";
/// As an app does: the first start makes its data, and data that a newer version has migrated ends it.
const OLD: &str = "[ -e /data/schema ] || echo 1 >/data/schema; [ \"$$(cat /data/schema)\" = 1 ] || exit 3; ";
const MIGRATES: &str = "echo 2 >/data/schema; echo new >/data/new; ";

/// A run, the step at which it is met, and by what.
struct Doomed {
    run: Child,
    step: &'static str,
    signal: Signal,
}

/// An app with data behind a socket that kills whoever upgrades it.
struct Trap {
    world: World,
    recipe: RecipeRepo,
    doomed: Arc<Mutex<Option<Doomed>>>,
    /// A run that was asked to end.
    asked: Arc<Mutex<Option<Child>>>,
}

impl Trap {
    fn new() -> Self {
        Self::of(RUNS)
    }

    /// Installed, with data of its own.
    fn of(script: &str) -> Self {
        let doomed = Arc::<Mutex<Option<Doomed>>>::default();
        let state = Arc::<Mutex<PathBuf>>::default();
        let is_asked = Arc::<Mutex<Option<Child>>>::default();
        let (waiting, looked_at, asked) = (Arc::clone(&doomed), Arc::clone(&state), Arc::clone(&is_asked));
        let recorder = Recorder::with_hook(PrivateEngine::shared().socket(), move |moment, _| {
            let mut doomed = waiting.lock().unwrap();
            let step = step_in(&looked_at.lock().unwrap());
            let is_over =
                moment == Moment::Asked && doomed.as_ref().is_some_and(|doomed| step.as_deref() == Some(doomed.step));
            if !is_over {
                return true;
            }
            let Doomed { mut run, signal, .. } = doomed.take().unwrap();
            kill(Pid::from_raw(run.id().try_into().unwrap()), signal).unwrap();
            match signal {
                Signal::SIGKILL => drop(run.wait().unwrap()),
                _ => *asked.lock().unwrap() = Some(run),
            }
            signal != Signal::SIGKILL
        });
        let world = World::on_shared().through(recorder.endpoint());
        // The socket is served for as long as the test runs.
        std::mem::forget(recorder);
        *state.lock().unwrap() = world.state_dir().join(APP).join("state.json");
        let mut trap = Self { world, recipe: RecipeRepo::empty(), doomed, asked: is_asked };
        trap.publish("1.0.0+1.0.0", &format!("{OLD}{script}"));
        trap.world.declare(APP, &trap.recipe.url(), "latest", GATE);
        trap.world.ok(&["app", APP]);
        std::fs::create_dir(trap.data().join("pages")).unwrap();
        std::fs::write(trap.data().join("pages/one"), [0, 159, 146, 150]).unwrap();
        trap
    }

    fn publish(&mut self, tag: &str, script: &str) {
        self.publish_with(tag, script, json!({}));
    }

    fn publish_with(&mut self, tag: &str, script: &str, more: Value) {
        let mut app = json!({"image": PrivateEngine::shared().image(), "entrypoint": ["sh", "-c", script],
            "stop_grace_period": "60s", "volumes": ["data:/data"]});
        lay_over(&mut app, &more);
        let compose = json!({"services": {"app": app}, "volumes": {"data": {}}});
        self.recipe.publish(tag, &[("compose.yml", &compose.to_string())]);
    }

    fn data(&self) -> PathBuf {
        let volume = format!("/volumes/{}_data", self.world.stack(APP));
        let volume = on_engine(async move |swarm| swarm.engine().get(&volume, &[]).await.unwrap());
        volume["Mountpoint"].as_str().unwrap().into()
    }

    /// Starts an upgrade and returns when it has been killed at this step.
    fn kill_at(&self, step: &'static str) {
        self.meet_at(step, Signal::SIGKILL);
    }

    fn meet_at(&self, step: &'static str, signal: Signal) {
        {
            let mut doomed = self.doomed.lock().unwrap();
            *doomed = Some(Doomed { run: self.world.start(&["app", APP]), step, signal });
        }
        loop {
            sleep(Duration::from_millis(100));
            match &mut *self.doomed.lock().unwrap() {
                None => return,
                Some(doomed) => assert_eq!(doomed.run.try_wait().unwrap(), None, "the run ended before {step}"),
            }
        }
    }

    /// The version that the state calls current, and nothing open.
    #[track_caller]
    fn current(&self) -> String {
        let state = self.world.state(APP);
        assert!(state["open"].is_null() && state["stuck"].is_null(), "{state}");
        state["current"]["body"]["revision"]["version"].as_str().unwrap().to_owned()
    }

    #[track_caller]
    fn runs(&self) {
        let name = self.world.stack(APP).parse().unwrap();
        on_engine(async |swarm| drop(Stack { name, swarm }.until_running(1).await));
    }
}

fn step_in(state: &Path) -> Option<String> {
    let state: Value = serde_json::from_slice(&std::fs::read(state).ok()?).ok()?;
    state["open"]["step"].as_str().map(str::to_owned)
}

/// Migrates the data, then fails. Its check never passes, so that it is at no moment taken for one that runs, however
/// slowly it ends.
fn bad(trap: &mut Trap) {
    let never = json!({"healthcheck": {"test": ["CMD", "false"], "interval": "60s"}});
    trap.publish_with("1.1.0+1.1.0", &format!("{MIGRATES}rm -rf /data/pages; exit 9"), never);
}

fn comes_back(mut trap: Trap, step: &'static str) {
    let before = bytes(&trap.data());
    bad(&mut trap);

    trap.kill_at(step);
    let said = trap.world.run(&["resume"]);

    let blocked = ["stop", "snapshot"].contains(&step);
    assert_eq!(said.code, if blocked { 12 } else { 11 }, "{step}: {said:?}");
    assert_eq!(trap.current(), "1.0.0+1.0.0", "{step}");
    assert_eq!(bytes(&trap.data()), before, "{step}");
    trap.runs();
    // What is done is done.
    assert_eq!(trap.world.run(&["resume"]).code, 0);
}

#[test]
fn killed_before_the_verdict_the_old_version_comes_back_on_its_data() {
    each(&["stop", "snapshot", "deploy", "judge"], Trap::new, comes_back);
}

#[test]
fn killed_on_the_way_back_the_old_version_comes_back_on_its_data() {
    each(&["withdraw", "restore", "redeploy", "rejudge"], Trap::new, comes_back);
}

#[test]
fn killed_while_a_good_version_is_judged_it_stays() {
    let mut trap = Trap::new();
    trap.publish("1.1.0+1.1.0", &format!("{MIGRATES}{RUNS}"));

    trap.kill_at("judge");
    let said = trap.world.run(&["resume"]);

    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(trap.current(), "1.1.0+1.1.0");
    assert_eq!(std::fs::read_to_string(trap.data().join("schema")).unwrap(), "2\n");
    trap.runs();
    assert_eq!(trap.world.run(&["app", APP]).out, "wiki: converged\n");
}

/// Without a word it would look like a crash, and waiting for the app would cost the whole time that a unit is given.
#[test]
fn a_run_that_is_asked_to_end_while_the_app_stops_says_so_and_is_finished_later() {
    let mut trap = Trap::of("trap 'sleep 30; exit 0' TERM; sleep 1000000 & wait");
    let before = bytes(&trap.data());
    bad(&mut trap);

    trap.meet_at("stop", Signal::SIGTERM);
    trap.asked.lock().unwrap().take().unwrap().wait().unwrap();

    let open = &trap.world.state(APP)["open"];
    assert_eq!((&open["step"], &open["left"]["kind"]), (&json!("stop"), &json!("laid-down")));
    let said = trap.world.run(&["resume"]);
    assert_eq!(said.code, 12, "{said:?}");
    assert_eq!((trap.current().as_str(), bytes(&trap.data())), ("1.0.0+1.0.0", before));
    assert!(trap.world.state(APP)["interrupted"].is_null(), "no crash");
    trap.runs();
}
