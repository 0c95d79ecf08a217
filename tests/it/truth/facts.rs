//! What the Engine itself shows of a stack, in its own JSON: neither the Docker CLI's words nor ours.

use std::fmt;

use evenkeel::host::swarm::Swarm;
use serde_json::{Value, json};

/// Something that can be seen on the Engine. The first word of most is the service.
#[derive(Debug, Clone)]
pub enum Fact {
    /// So many containers run, all of them with this mark.
    Runs(&'static str, usize, &'static str),
    NoneRuns(&'static str),
    /// A task has ended with this exit code.
    Ended(&'static str, i64),
    /// This many tasks have ended well.
    Completed(&'static str, usize),
    /// A task's error has these words.
    Says(&'static str, &'static str),
    /// A task is in this state.
    Is(&'static str, &'static str),
    /// No task of it is in this state.
    NoneIs(&'static str, &'static str),
    /// Its update has this state.
    Update(&'static str, &'static str),
    /// Its spec before the last write has this mark.
    Previous(&'static str, &'static str),
    /// A container of it was killed because it had too little memory.
    OutOfMemory(&'static str),
    /// A container of it is unhealthy.
    Unhealthy(&'static str),
    /// Its container runs the image that this name stands for.
    RunsImage(&'static str, &'static str),
    /// The stack has no such service.
    NoService(&'static str),
    /// Its mode.
    Mode(&'static str, &'static str),
    /// The stack has no service, network, secret or config.
    NothingThere,
    /// It has no service; some of this was made all the same: `networks`, `secrets` or `configs`.
    OnlyMade(&'static str),
    /// Neither a service nor a task is another one than before, or was written.
    Untouched,
    /// Services were written, and the same containers run as before.
    WrittenOnly,
    /// None of the containers that ran before runs.
    Restarted,
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fact::Runs(service, 1, mark) => write!(f, "{service} runs as {mark}"),
            Fact::Runs(service, number, mark) => write!(f, "{number} of {service} run as {mark}"),
            Fact::NoneRuns(service) => write!(f, "{service} does not run"),
            Fact::Ended(service, code) => write!(f, "{service} ended with {code}"),
            Fact::Completed(service, number) => write!(f, "{service}: {number} ended well"),
            Fact::Says(service, words) => write!(f, "{service}: \"{words}\""),
            Fact::Is(service, state) => write!(f, "a task of {service} is {state}"),
            Fact::NoneIs(service, state) => write!(f, "no task of {service} is {state}"),
            Fact::Update(service, state) => write!(f, "update of {service} is {state}"),
            Fact::Previous(service, mark) => write!(f, "Swarm would roll {service} back to {mark}"),
            Fact::OutOfMemory(service) => write!(f, "{service} was killed for want of memory"),
            Fact::Unhealthy(service) => write!(f, "{service} is unhealthy"),
            Fact::RunsImage(service, image) => write!(f, "{service} runs image {image}"),
            Fact::NoService(service) => write!(f, "there is no service {service}"),
            Fact::Mode(service, mode) => write!(f, "{service} is {mode}"),
            Fact::NothingThere => write!(f, "nothing was made"),
            Fact::OnlyMade(what) => write!(f, "no service, but {what} were made"),
            Fact::Untouched => write!(f, "nothing was written"),
            Fact::WrittenOnly => write!(f, "written, nothing restarted"),
            Fact::Restarted => write!(f, "its containers were replaced"),
        }
    }
}

/// A stack as the Engine shows it.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    stack: String,
    services: Vec<Value>,
    tasks: Vec<Value>,
    /// As inspected.
    containers: Vec<Value>,
    networks: usize,
    secrets: usize,
    configs: usize,
}

impl Seen {
    pub async fn of(swarm: &Swarm, stack: &str) -> Self {
        let filters = json!({ "label": [format!("com.docker.stack.namespace={stack}")] }).to_string();
        let list = async |path: &str, more: &[(&str, &str)]| {
            let query: Vec<(&str, &str)> = [("filters", filters.as_str())].iter().chain(more).copied().collect();
            let list = swarm.engine().get(path, &query).await.unwrap_or_else(|error| panic!("{path}: {error}"));
            list.as_array().cloned().unwrap_or_default()
        };
        let mut containers = Vec::new();
        for container in list("/containers/json", &[("all", "1")]).await {
            let path = format!("/containers/{}/json", container["Id"].as_str().unwrap_or_default());
            // One that is gone by now is not there.
            containers.extend(swarm.engine().get(&path, &[]).await.ok());
        }
        Self {
            stack: stack.to_owned(),
            services: list("/services", &[]).await,
            tasks: list("/tasks", &[]).await,
            containers,
            networks: list("/networks", &[]).await.len(),
            secrets: list("/secrets", &[]).await.len(),
            configs: list("/configs", &[]).await.len(),
        }
    }

    /// The first of these facts that is not one. `before` is how it looked before the last deploy; `image` tells the id
    /// of an image by its name.
    pub fn denies(&self, facts: &[Fact], before: &Seen, image: impl Fn(&str) -> String) -> Option<String> {
        let wrong = facts.iter().find(|fact| !self.shows(fact, before, &image))?;
        Some(format!("it is not so that {wrong}: {}", self.in_words()))
    }

    fn shows(&self, fact: &Fact, before: &Seen, image: &impl Fn(&str) -> String) -> bool {
        match *fact {
            Fact::Runs(service, number, mark) => {
                let running: Vec<&Value> = self.running(service).collect();
                let mark = format!("MARK={mark}");
                let marked = |container: &&Value| has(&container["Config"]["Env"], &mark);
                running.len() == number && running.iter().all(marked)
            }
            Fact::NoneRuns(service) => self.running(service).next().is_none(),
            Fact::Ended(service, code) => self.tasks(service).any(|task| exit_code(task) == Some(code)),
            Fact::Completed(service, number) => {
                let well = |task: &&Value| task["Status"]["State"] == "complete" && exit_code(task) == Some(0);
                self.tasks(service).filter(well).count() == number
            }
            Fact::Says(service, words) => {
                let says = |task: &Value| task["Status"]["Err"].as_str().is_some_and(|error| error.contains(words));
                self.tasks(service).any(says)
            }
            Fact::Is(service, state) => self.tasks(service).any(|task| task["Status"]["State"] == state),
            Fact::NoneIs(service, state) => self.tasks(service).all(|task| task["Status"]["State"] != state),
            Fact::Update(service, state) => {
                self.service(service).is_some_and(|service| service["UpdateStatus"]["State"] == state)
            }
            Fact::Previous(service, mark) => self.service(service).is_some_and(|service| {
                let env = &service["PreviousSpec"]["TaskTemplate"]["ContainerSpec"]["Env"];
                has(env, &format!("MARK={mark}"))
            }),
            Fact::OutOfMemory(service) => self.containers(service).any(|c| c["State"]["OOMKilled"] == true),
            Fact::Unhealthy(service) => {
                self.containers(service).any(|container| container["State"]["Health"]["Status"] == "unhealthy")
            }
            Fact::RunsImage(service, name) => {
                self.running(service).next().is_some_and(|container| container["Image"] == image(name).as_str())
            }
            Fact::NoService(service) => self.service(service).is_none(),
            Fact::Mode(service, mode) => self.service(service).is_some_and(|s| !s["Spec"]["Mode"][mode].is_null()),
            Fact::NothingThere => self.services.is_empty() && (self.networks, self.secrets, self.configs) == (0, 0, 0),
            Fact::OnlyMade("networks") => self.services.is_empty() && self.networks > 0,
            Fact::OnlyMade("secrets") => self.services.is_empty() && self.secrets > 0,
            Fact::OnlyMade(_) => self.services.is_empty() && self.configs > 0,
            Fact::Untouched => self.versions() == before.versions() && self.task_ids() == before.task_ids(),
            Fact::WrittenOnly => self.versions() != before.versions() && self.running_ids() == before.running_ids(),
            Fact::Restarted => {
                let now = self.running_ids();
                !now.is_empty() && before.running_ids().iter().all(|id| !now.contains(id))
            }
        }
    }

    fn service(&self, name: &str) -> Option<&Value> {
        let name = format!("{}_{name}", self.stack);
        self.services.iter().find(|service| service["Spec"]["Name"] == name.as_str())
    }

    fn tasks(&self, service: &str) -> impl Iterator<Item = &Value> {
        let id = self.service(service).map(|service| service["ID"].clone());
        self.tasks.iter().filter(move |task| id.as_ref().is_some_and(|id| task["ServiceID"] == *id))
    }

    /// By name: those of a service that was removed are still containers.
    fn containers(&self, service: &str) -> impl Iterator<Item = &Value> {
        let name = format!("{}_{service}", self.stack);
        let label = "com.docker.swarm.service.name";
        self.containers.iter().filter(move |c| c["Config"]["Labels"][label] == name.as_str())
    }

    fn running(&self, service: &str) -> impl Iterator<Item = &Value> {
        self.containers(service).filter(|container| container["State"]["Status"] == "running")
    }

    fn versions(&self) -> Vec<String> {
        let mut versions: Vec<String> =
            self.services.iter().map(|s| format!("{} {} {}", s["ID"], s["Version"], s["PreviousSpec"])).collect();
        versions.sort();
        versions
    }

    fn task_ids(&self) -> Vec<String> {
        let mut ids: Vec<String> = self.tasks.iter().map(|task| task["ID"].to_string()).collect();
        ids.sort();
        ids
    }

    fn running_ids(&self) -> Vec<String> {
        let running = self.containers.iter().filter(|container| container["State"]["Status"] == "running");
        let mut ids: Vec<String> = running.map(|container| container["Id"].to_string()).collect();
        ids.sort();
        ids
    }

    /// For whoever has to find out why a fact is none.
    fn in_words(&self) -> String {
        let services = self.services.iter().map(|service| {
            format!("{} v{} {}", service["Spec"]["Name"], service["Version"]["Index"], service["UpdateStatus"])
        });
        let tasks = self
            .tasks
            .iter()
            .map(|task| format!("task {} wanted {}: {}", task["ServiceID"], task["DesiredState"], task["Status"]));
        let containers = self.containers.iter().map(|container| {
            format!("container {} {} {}", container["Name"], container["State"]["Status"], container["Config"]["Env"])
        });
        let objects = format!("{} networks, {} secrets, {} configs", self.networks, self.secrets, self.configs);
        services.chain(tasks).chain(containers).chain([objects]).collect::<Vec<_>>().join("; ")
    }
}

fn has(list: &Value, text: &str) -> bool {
    list.as_array().is_some_and(|list| list.iter().any(|entry| entry == text))
}

/// Of a task that has a container and is done. The Engine leaves a zero out.
fn exit_code(task: &Value) -> Option<i64> {
    let over = ["complete", "failed", "shutdown"].iter().any(|state| task["Status"]["State"] == *state);
    let status = task["Status"]["ContainerStatus"].as_object().filter(|_| over)?;
    Some(status.get("ExitCode").and_then(Value::as_i64).unwrap_or_default())
}
