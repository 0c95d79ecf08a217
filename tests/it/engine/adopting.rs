//! A stack that somebody else deployed is taken over as it runs, once a person has named its version.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use evenkeel::model::observed::{Observed, TaskState};
use serde_json::{Value, json};

use super::Stack;
use super::private::PrivateEngine;
use super::recorder::{Recorder, stack_writes};
use crate::fixtures::RecipeRepo;
use crate::oracle::{docker_cli, require_docker_cli};
use crate::world::{Said, World, on_engine};

const APP: &str = "wiki";
const VERSION: &str = "1.0.0+1.0.0";
const GATE: &str = "gate = { stable_for = \"1s\", within = \"300s\" }\n";

/// A host with a declared app, and its stack as somebody else deployed it.
struct Found {
    world: World,
    recorder: Recorder,
    recipe: RecipeRepo,
}

/// What the one who deployed it added to the recipe.
#[derive(Clone, Copy, PartialEq)]
enum By {
    /// As the recipes' own tool does: all variables in service `app`, and the labels.
    Abra,
    /// The same without the labels.
    AbraOfOld,
    /// The compose file alone.
    DockerCli,
}

impl Found {
    fn deployed(by: By) -> Self {
        require_docker_cli();
        let (world, recorder) = World::new().recorded();
        let mut found = Self { world, recorder, recipe: RecipeRepo::build("notes") };
        found.declare("latest");
        found.deploy(by);
        found
    }

    /// The recipe under the name that its own tool knows it by.
    fn declare(&mut self, version: &str) {
        let url = self.world.dir.path().join("notes");
        if !url.exists() {
            std::os::unix::fs::symlink(self.recipe.path(), &url).unwrap();
        }
        self.world.declare(APP, url.to_str().unwrap(), version, GATE);
    }

    fn stack(&self) -> String {
        self.world.stack(APP)
    }

    fn variables(&self) -> BTreeMap<String, String> {
        let domain = self.world.domain(APP);
        let rows = [
            ("TYPE", "notes:1.0.0+1.0.0"),
            ("DOMAIN", &domain),
            ("LETS_ENCRYPT_ENV", "production"),
            ("DB_USER", "notes"),
            ("SECRET_DB_PASSWORD_VERSION", "v1"),
            ("SECRET_SESSION_VERSION", "v1"),
            ("APP_ENTRYPOINT_VERSION", "v2"),
            ("DB_ENTRYPOINT_VERSION", "v1"),
            ("STACK_NAME", &self.stack()),
        ];
        rows.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    }

    /// A second compose file with what is added to service `app`.
    fn additions(&self, by: By) -> Option<PathBuf> {
        let set = ["DB_HOST", "DB_USER"];
        let variables = self.variables().into_iter().filter(|(name, _)| !set.contains(&name.as_str()));
        let variables: BTreeMap<String, String> = variables.collect();
        let label = |name: &str| format!("coop-cloud.{}.{name}", self.stack());
        let labels = match by {
            By::DockerCli => return None,
            By::AbraOfOld => json!({}),
            By::Abra => json!({ label("recipe"): "notes", label("chaos"): "false", label("version"): VERSION }),
        };
        let app = json!({ "environment": variables, "deploy": { "labels": labels } });
        let text = json!({ "version": "3.8", "services": { "app": app } }).to_string();
        Some(self.world.file("additions.yml", text.as_bytes()))
    }

    fn deploy(&self, by: By) {
        for secret in ["db_password", "session_key"] {
            self.docker(&["secret", "create", &format!("{}_{secret}_v1", self.stack()), "-"], &[b'a'; 64]);
        }
        let stack = self.stack();
        let compose = self.recipe.path().join("compose.yml");
        let additions = self.additions(by);
        let files = [Some(&compose), additions.as_ref()].into_iter().flatten();
        let files = files.flat_map(|file| ["-c", file.to_str().unwrap()]);
        let deploy = ["stack", "deploy", "--resolve-image=always", "--detach=true"];
        let arguments: Vec<&str> = deploy.into_iter().chain(files).chain([stack.as_str()]).collect();
        self.docker(&arguments, b"");
        on_engine(async |swarm| {
            let stack = Stack { name: stack.parse().unwrap(), swarm };
            stack.until("both services run", |observed| running(observed).len() == 2).await;
        });
    }

    fn docker(&self, arguments: &[&str], input: &[u8]) {
        let mut command = Command::new(docker_cli());
        command.args(arguments).envs(self.variables()).env("DOCKER_HOST", PrivateEngine::shared().endpoint());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        assert!(child.wait().unwrap().success(), "docker {arguments:?}");
    }

    fn observe(&self) -> Observed {
        self.world.observe(APP)
    }

    /// Runs the program, and tells what it wrote to the Engine.
    fn run(&self, arguments: &[&str]) -> (Said, Vec<String>) {
        self.recorder.take();
        let said = self.world.run(arguments);
        (said, stack_writes(&self.recorder.take()).into_iter().cloned().collect())
    }

    fn plan(&self) -> Value {
        let said = self.world.run(&["plan", APP, "--json"]);
        serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {said:?}"))
    }

    #[track_caller]
    fn is_kept_from_now_on(&self) {
        let (said, written) = self.run(&["app", APP]);
        assert_eq!((said.code, said.out.as_str()), (0, "wiki: converged\n"), "{said:?}");
        assert_eq!(written, Vec::<String>::new());
    }
}

/// Ids of the tasks that run, by service.
fn running(observed: &Observed) -> BTreeMap<String, String> {
    let running = observed.tasks.iter().filter(|task| task.state == TaskState::Running && task.desired == task.state);
    let name = |id: &str| observed.services.values().find(|one| one.id == id).unwrap().name.clone();
    running.map(|task| (name(&task.service), task.id.clone())).collect()
}

#[test]
fn a_stack_of_the_recipes_own_tool_is_adopted_without_a_write() {
    let mut found = Found::deployed(By::Abra);
    let before = running(&found.observe());
    let (said, written) = found.run(&["app", APP]);
    assert_eq!(said.code, 12, "{said:?}");
    assert!(said.out.contains(&format!("its label says {VERSION}")), "{said:?}");
    assert!(said.out.contains("name the version") && written.is_empty(), "{said:?} {written:?}");

    found.declare(VERSION);
    let planned = found.world.run(&["plan", APP]);
    assert_eq!(planned.code, 0, "{planned:?}");
    let (said, written) = found.run(&["app", APP]);
    assert_eq!(
        said.out,
        format!("wiki: applied: adopted {VERSION}: the Swarm has it so already, nothing was written\n")
    );
    assert_eq!(written, Vec::<String>::new());
    assert_eq!(running(&found.observe()), before);
    found.is_kept_from_now_on();
}

#[test]
fn labels_that_are_missing_are_added_and_no_task_restarts() {
    let mut found = Found::deployed(By::AbraOfOld);
    let before = running(&found.observe());
    found.declare(VERSION);
    let plan = found.plan().to_string();
    assert!(
        plan.contains("\"restarts\":false") && plan.contains("coop-cloud.") && !plan.contains("\"restarts\":true"),
        "{plan}"
    );

    let (said, written) = found.run(&["app", APP]);
    let service = format!("{}_app", found.stack());
    let told = format!("wiki: applied: adopted {VERSION}: updated service {service}; no task was restarted\n");
    assert_eq!(said.out, told, "{said:?}");
    assert_eq!(written.len(), 1, "{written:?}");
    assert_eq!(running(&found.observe()), before);
    found.is_kept_from_now_on();
}

#[test]
fn of_a_plain_stack_only_what_differs_is_changed() {
    let mut found = Found::deployed(By::DockerCli);
    let (app, db) = (format!("{}_app", found.stack()), format!("{}_db", found.stack()));
    let before = running(&found.observe());
    found.declare(VERSION);
    let (said, written) = found.run(&["app", APP]);
    assert_eq!(said.out, format!("wiki: applied: adopted {VERSION}: updated service {app}\n"), "{said:?}");
    assert_eq!(written.len(), 1, "{written:?}");
    let after = running(&found.observe());
    assert_eq!(after[&db], before[&db], "what is as declared goes on");
    assert_ne!(after[&app], before[&app], "its environment is another");
    found.is_kept_from_now_on();
}
