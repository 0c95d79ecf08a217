//! Bringing a stack to a standstill in which its data can be copied, and seeing what of it is left.
//!
//! Networks stay: removing them while containers die leaks addresses (moby#37338). The surprise: a job's containers
//! outlive their service on some Engines, running ones too (moby#42789), so they are stopped here.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};

use super::lists::List;
use super::look::{items, named};
use super::write::stop_grace;
use super::{NAMESPACE, SERVICE_NAME, Swarm, views};
use crate::health::rest::is_updating;
use crate::host::engine::{EngineError, segment};
use crate::model::app::StackName;
use crate::model::observed::{Container, Service, Task, TaskState};
use crate::plan::canonical_form::mode_of;

/// Label that only the `PreviousSpec` has of a service that nobody has written since it was left.
const LEFT: &str = "evenkeel.left";
/// How often is looked again for what came while all else was stopped. Who goes on starting things is seen by whoever proves
/// afterwards that nothing was.
const ROUNDS: usize = 3;

/// What is left of a stack that is being stopped.
#[derive(Debug, Default)]
pub struct Left {
    /// Running, paused, restarting, or on their way to it.
    pub alive: Vec<Container>,
    /// Of those, the ones whose service is gone: nobody else stops them.
    pub orphans: Vec<String>,
    /// Exited, dead and created ones that nothing will start any more.
    pub ended: Vec<Container>,
    /// Tasks that have not ended.
    pub tasks: Vec<Task>,
}

impl Left {
    pub fn is_nothing(&self) -> bool {
        self.alive.is_empty() && self.ended.is_empty() && self.tasks.is_empty()
    }

    /// Nothing runs any more, nor will.
    pub fn has_ended(&self) -> bool {
        self.alive.is_empty() && self.tasks.is_empty()
    }

    /// What has not ended, in words.
    pub fn in_words(&self) -> String {
        let containers = self.alive.iter().map(|one| format!("container {} is {}", short(&one.id), one.state));
        let tasks = self.tasks.iter().map(|task| format!("task {} is {:?}", task.id, task.state).to_lowercase());
        containers.chain(tasks).collect::<Vec<_>>().join(", ")
    }

    fn forget(&mut self, services: &BTreeSet<&str>) {
        let is_other = |id: Option<&str>| id.is_none_or(|id| !services.contains(id));
        self.alive.retain(|container| is_other(container.service.as_deref()));
        self.ended.retain(|container| is_other(container.service.as_deref()));
        self.tasks.retain(|task| is_other(Some(&task.service)));
    }
}

impl Swarm {
    /// The services of a stack, also those that somebody else gave its label, and those that lost it.
    pub async fn services_of(&self, stack: &StackName) -> Result<BTreeMap<String, Service>, EngineError> {
        let list = async { self.list(List::Services, stack).await };
        let looked = tokio::try_join!(list, self.taken_out(stack));
        let (list, taken_out) = looked.map_err(|e| e.during(format!("look at the services of stack {stack}")))?;
        let mut services = named(items(&list), views::service, |service| &service.name);
        services.extend(taken_out);
        Ok(services)
    }

    /// Takes every replica of a stack away; what has none to take away is removed: global and job services. Writes
    /// nothing where that was done. Gives whether there was anything to take away. Containers end later.
    pub async fn quiesce(&self, stack: &StackName) -> Result<bool, EngineError> {
        let mut services = self.services_of(stack).await?;
        services.retain(|_, service| !is_told_to_run_nothing(service));
        for (name, service) in &services {
            match mode_of(&service.spec) {
                "Replicated" => self.scale_to_nothing(name).await?,
                _ => self.remove_by_id(service).await?,
            }
        }
        Ok(!services.is_empty())
    }

    /// The same where whoever asked for more is gone, and Swarm may have yet to make it. It refuses an update that was asked
    /// for before another write, and makes writes one after the other: so every service is written, and what was created by
    /// then is found and quiesced, too.
    pub async fn quiesce_for_good(&self, stack: &StackName) -> Result<(), EngineError> {
        self.quiesce_again(stack).await?;
        for _ in 0..ROUNDS {
            if !self.quiesce(stack).await? {
                break;
            }
        }
        Ok(())
    }

    /// Says once more to each replicated service that runs nothing that it does: Swarm may go on restarting a task of a
    /// service that was scaled to nothing while the task ended, until something is written of the service (moby#36527,
    /// moby#40190; seen on 20.10 with a crash loop).
    pub async fn quiesce_again(&self, stack: &StackName) -> Result<(), EngineError> {
        for (name, service) in self.services_of(stack).await? {
            if is_told_to_run_nothing(&service) {
                self.update_service(&name, &service.spec).await?;
            }
        }
        Ok(())
    }

    /// Writes each service that runs nothing twice: with a label, and without it. Nobody can write the service after that
    /// without taking the label out of its `PreviousSpec`; an Engine that starts writes it and leaves that alone (measured
    /// on 20.10: it gives virtual IPs anew, moby#33795). Tasks tell nothing of it: those of a service that is scaled to
    /// nothing are gone in seconds.
    pub async fn leave(&self, stack: &StackName) -> Result<(), EngineError> {
        for (name, service) in self.services_of(stack).await? {
            if is_told_to_run_nothing(&service) {
                let mut spec = service.spec;
                spec["Labels"][LEFT] = json!("");
                self.update_service(&name, &spec).await?;
                spec["Labels"].as_object_mut().expect("it has a label").remove(LEFT);
                self.update_service(&name, &spec).await?;
            }
        }
        Ok(())
    }

    /// What is left of a stack that was quiesced: containers of its services, and of these `names`, that are told to run
    /// nothing or are gone. With `all`, of those too that are meant to run. What a node had that is down does not count: it
    /// holds no volume of this one, and its end is never told.
    pub async fn left_of(&self, stack: &StackName, names: &BTreeSet<String>, all: bool) -> Result<Left, EngineError> {
        let containers = async { self.engine.get("/containers/json", &[("all", "1")]).await };
        let tasks = async { self.engine.get("/tasks", &[]).await };
        let looked = tokio::try_join!(self.services_of(stack), containers, tasks);
        let (services, containers, tasks) =
            looked.map_err(|e| e.during(format!("look at what is left of stack {stack}")))?;
        let mut left = left(stack, names, &services, &containers, &tasks);
        left.tasks = self.that_can_end(left.tasks, |task| task).await?;
        if !all {
            let runs = services.values().filter(|service| !is_told_to_run_nothing(service));
            left.forget(&runs.map(|service| service.id.as_str()).collect());
        }
        Ok(left)
    }

    /// Ends a container of a removed service; as long as its grace period where it does not listen.
    pub async fn end_container(&self, id: &str, grace: Duration) -> Result<(), EngineError> {
        self.stop_container(id, grace).await.map_err(|e| e.during(format!("stop container {id}")))
    }

    /// How a container that has ended did so: exit code, and whether the memory ran out. `None` where it is gone, and
    /// where the Engine does not know.
    pub async fn exit_of(&self, id: &str) -> Result<Option<(i64, bool)>, EngineError> {
        let path = format!("/containers/{}/json", segment(id));
        match self.engine.get(&path, &[]).await {
            Ok(live) => Ok(exit(&live["State"])),
            Err(error) if error.is_not_found() => Ok(None),
            Err(other) => Err(other.during(format!("look at container {id}"))),
        }
    }

    /// Each service's `Version.Index`, and whether Swarm says that an update of one is under way.
    pub async fn indexes(&self, stack: &StackName) -> Result<(BTreeMap<String, u64>, bool), EngineError> {
        let services = self.services_of(stack).await?;
        let moves = services.values().any(is_updating);
        Ok((services.into_iter().map(|(name, service)| (name, service.index)).collect(), moves))
    }
}

/// What an Engine that was gone meanwhile writes of a container that it finds dead (seen on 20.10). Another program may
/// end so by itself; whoever followed its events knows that.
const UNKNOWN: i64 = 255;

fn exit(state: &Value) -> Option<(i64, bool)> {
    let code = state["ExitCode"].as_i64().filter(|code| *code != UNKNOWN)?;
    Some((code, state["OOMKilled"] == true))
}

/// The longest grace period of these specs.
pub fn longest_grace<'a>(specs: impl Iterator<Item = &'a Value>) -> Duration {
    specs.map(stop_grace).max().unwrap_or_default()
}

fn left(
    stack: &StackName,
    names: &BTreeSet<String>,
    services: &BTreeMap<String, Service>,
    containers: &Value,
    tasks: &Value,
) -> Left {
    let ids: BTreeSet<&str> = services.values().map(|service| service.id.as_str()).collect();
    let of_stack = |body: &&Value| {
        let labels = &body["Labels"];
        labels[SERVICE_NAME].as_str().is_some_and(|service| {
            labels[NAMESPACE] == stack.as_str() || names.contains(service) || services.contains_key(service)
        })
    };
    let tasks: Vec<_> = items(tasks)
        .filter(|task| task["ServiceID"].as_str().is_some_and(|id| ids.contains(id)))
        .filter_map(views::task)
        .filter(|task| task.state <= TaskState::Running)
        .filter(|task| task.desired <= TaskState::Running || task.state >= TaskState::Assigned)
        .collect();
    let mut left = Left::default();
    for container in items(containers).filter(of_stack).filter_map(views::container) {
        let has_task = tasks.iter().any(|task| container.task.as_ref() == Some(&task.id));
        match container.state.as_str() {
            "exited" | "dead" => left.ended.push(container),
            "created" if !has_task => left.ended.push(container),
            _ => {
                if container.service.as_deref().is_none_or(|id| !ids.contains(id)) {
                    left.orphans.push(container.id.clone());
                }
                left.alive.push(container);
            }
        }
    }
    left.tasks = tasks;
    left
}

/// Whether nobody has written the service since [`Swarm::leave`], whatever its index is by now.
pub fn is_as_it_was_left(service: &Service) -> bool {
    let label = |spec: &Value| spec["Labels"].get(LEFT).is_some();
    !label(&service.spec) && service.previous_spec.as_ref().is_some_and(label)
}

fn is_told_to_run_nothing(service: &Service) -> bool {
    service.spec.pointer("/Mode/Replicated/Replicas") == Some(&Value::from(0))
}

fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn container(id: &str, state: &str, service: (&str, &str), task: &str) -> Value {
        let (service, name) = service;
        json!({"Id": id, "State": state, "Labels": {
            "com.docker.swarm.service.id": service, SERVICE_NAME: name, "com.docker.swarm.task.id": task,
        }})
    }

    #[test]
    fn an_end_that_the_engine_slept_through_is_not_known() {
        let exit = |code: i64| exit(&json!({"Status": "exited", "ExitCode": code, "OOMKilled": false}));
        assert_eq!([0, 1, 137].map(exit), [Some((0, false)), Some((1, false)), Some((137, false))]);
        assert_eq!(exit(255), None);
    }

    #[test]
    fn what_is_left_is_told_apart_by_who_ends_it() {
        let live = views::service(&json!({"ID": "s1", "Spec": {"Name": "wiki_app"}})).unwrap();
        let services = BTreeMap::from([(live.name.clone(), live)]);
        let containers = json!([
            container("runs", "running", ("s1", "wiki_app"), "t1"),
            container("comes", "created", ("s1", "wiki_app"), "t2"),
            container("crashed", "exited", ("s1", "wiki_app"), "t0"),
            container("stillborn", "created", ("s1", "wiki_app"), "t0"),
            container("job", "running", ("s0", "wiki_job"), "t9"),
            container("other", "running", ("s7", "blog_app"), "t8"),
            {"Id": "by-hand", "State": "exited", "Labels": {NAMESPACE: "wiki"}},
        ]);
        let tasks = json!([
            {"ID": "t1", "ServiceID": "s1", "DesiredState": "shutdown", "Status": {"State": "running"}},
            {"ID": "t2", "ServiceID": "s1", "DesiredState": "running", "Status": {"State": "starting"}},
            {"ID": "t3", "ServiceID": "s1", "DesiredState": "shutdown", "Status": {"State": "pending"}},
            {"ID": "t8", "ServiceID": "s7", "DesiredState": "running", "Status": {"State": "running"}},
        ]);
        let names = BTreeSet::from(["wiki_job".to_owned()]);

        let mut left = left(&"wiki".parse().unwrap(), &names, &services, &containers, &tasks);

        let ids = |list: &[Container]| list.iter().map(|container| container.id.clone()).collect::<Vec<_>>();
        assert_eq!(ids(&left.alive), ["runs", "comes", "job"]);
        assert_eq!(left.orphans, ["job"]);
        assert_eq!(ids(&left.ended), ["crashed", "stillborn"]);
        assert!(left.in_words().ends_with("task t1 is running, task t2 is starting"), "{}", left.in_words());

        left.forget(&["s1"].into());
        assert_eq!((ids(&left.alive), ids(&left.ended), left.has_ended()), (vec!["job".to_owned()], vec![], false));
    }
}
