//! Where one of the two deploys: a stack with files, a port and an image name of its own.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use super::facts::{Fact, Seen};
use crate::engine::private::PrivateEngine;
use crate::world::on_engine;

/// How long a state that is the starting point, or what the Docker CLI's deploy leads to, may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

pub struct Place {
    pub stack: String,
    pub dir: tempfile::TempDir,
    port: u16,
}

/// Docker's command line: what it printed, and its exit code; `None` where its time was over.
pub struct Printed {
    pub code: Option<i32>,
    pub text: String,
}

impl Place {
    pub fn new(stack: String) -> Self {
        static PORTS: AtomicU16 = AtomicU16::new(21_000);
        let place = Self { stack, dir: tempfile::tempdir().unwrap(), port: PORTS.fetch_add(1, Ordering::Relaxed) };
        place.file("body", b"first body");
        place.docker(&["tag", PrivateEngine::shared().image(), &place.own_image()]);
        place
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// A name of an image that nobody else uses.
    pub fn own_image(&self) -> String {
        format!("evenkeel-test/own:{}", self.port)
    }

    /// `{image}`: one with a shell; `{own}`: the same under a name that this stack alone uses; `{dir}`: a folder of its
    /// own with a file `body`; `{port}`: a port of its own; `{net}`: a number below 256 for its subnet; `{stack}`: its name.
    pub fn fill(&self, text: &str) -> String {
        text.replace("{image}", PrivateEngine::shared().image())
            .replace("{own}", &self.own_image())
            .replace("{dir}", &self.path().display().to_string())
            .replace("{port}", &self.port.to_string())
            .replace("{net}", &(self.port % 256).to_string())
            .replace("{stack}", &self.stack)
    }

    /// Writes a file into its folder.
    pub fn file(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.path().join(name), bytes).unwrap();
    }

    /// What a person does with the Docker command line; it has to succeed.
    #[track_caller]
    pub fn docker(&self, arguments: &[&str]) -> String {
        let output = docker(&self.filled(arguments)).output().unwrap();
        assert!(output.status.success(), "docker {}: {}", arguments.join(" "), text(&output));
        text(&output)
    }

    fn filled(&self, arguments: &[&str]) -> Vec<String> {
        arguments.iter().map(|argument| self.fill(argument)).collect()
    }

    /// `docker stack deploy` of a compose text, ended after so many seconds.
    pub fn stack_deploy(&self, compose: &str, detach: bool, seconds: u32) -> Printed {
        self.file("stack.yml", self.fill(compose).as_bytes());
        let file = self.path().join("stack.yml").display().to_string();
        let detach = format!("--detach={detach}");
        let deploy = ["stack", "deploy", "--resolve-image=never", &detach, "-c", &file, &self.stack];
        let command = docker(&deploy.map(str::to_owned));
        let mut timeout = Command::new("timeout");
        timeout.arg(seconds.to_string()).arg(command.get_program()).args(command.get_args());
        timeout.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        timeout.env("STACK_NAME", &self.stack).stdin(Stdio::null());
        let output = timeout.output().unwrap();
        Printed { code: output.status.code().filter(|code| *code != 124), text: text(&output) }
    }

    /// A container that Swarm knows nothing of has its port.
    pub fn take_the_port(&self) {
        let run = ["run", "--detach", "--label=evenkeel-test={stack}", "--publish={port}:80", "{image}"];
        self.docker(&run);
    }

    pub fn seen(&self) -> Seen {
        on_engine(async |swarm| Seen::of(&swarm, &self.stack).await)
    }

    /// Why these are no facts now.
    pub fn denies(&self, facts: &[Fact], before: &Seen) -> Option<String> {
        self.seen().denies(facts, before, |name| self.image_id(name))
    }

    fn image_id(&self, name: &str) -> String {
        self.docker(&["image", "inspect", "--format", "{{.Id}}", name]).trim().to_owned()
    }

    /// Looks until these are facts.
    ///
    /// # Errors
    /// The one that is not, when patience is over.
    pub fn until(&self, facts: &[Fact], before: &Seen) -> Result<(), String> {
        let began = Instant::now();
        on_engine(async |swarm| {
            let mut changes = swarm.changes().await.map_err(|error| error.to_string())?;
            while let Some(wrong) = self.denies_now(&swarm, facts, before).await {
                if began.elapsed() > PATIENCE {
                    return Err(wrong);
                }
                changes.wait(Duration::from_millis(500)).await;
            }
            Ok(())
        })
    }

    async fn denies_now(&self, swarm: &evenkeel::host::swarm::Swarm, facts: &[Fact], before: &Seen) -> Option<String> {
        Seen::of(swarm, &self.stack).await.denies(facts, before, |name| self.image_id(name))
    }
}

/// Everything of the stack goes; its job's containers too, which the Engine would leave.
impl Drop for Place {
    fn drop(&mut self) {
        let label = format!("label=com.docker.stack.namespace={}", self.stack);
        let list = |arguments: &[&str]| {
            let listed = docker(&arguments.iter().map(|a| (*a).to_owned()).collect::<Vec<_>>()).output().unwrap();
            text(&listed).split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        let remove = |verb: &[&str], names: Vec<String>| {
            let verb = verb.iter().map(|word| (*word).to_owned());
            // What is gone already, or goes later with its network's last user, is no loss.
            let _ = (!names.is_empty()).then(|| docker(&verb.chain(names).collect::<Vec<_>>()).output());
        };
        remove(&["service", "rm"], list(&["service", "ls", "--quiet", "--filter", &label]));
        let outside = format!("label=evenkeel-test={}", self.stack);
        remove(&["rm", "--force"], list(&["ps", "--all", "--quiet", "--filter", &outside]));
        for _ in 0..5 {
            remove(&["rm", "--force", "--volumes"], list(&["ps", "--all", "--quiet", "--filter", &label]));
        }
        for kind in ["config", "secret", "network", "volume"] {
            remove(&[kind, "rm"], list(&[kind, "ls", "--quiet", "--filter", &label]));
        }
        remove(&["image", "rm"], vec![self.own_image()]);
    }
}

fn docker(arguments: &[String]) -> Command {
    let cli = std::env::var("EVENKEEL_DOCKER_CLI").unwrap_or_else(|_| "docker".to_owned());
    let mut command = Command::new(cli);
    command.args(arguments).env("DOCKER_HOST", PrivateEngine::shared().endpoint()).stdin(Stdio::null());
    command
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
