//! Looking at a stack: all calls of one look run together, and none of them writes.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tokio::try_join;

use super::ghost::is_ghost;
use super::{NAMESPACE, Swarm, filters, views};
use crate::host::engine::{EngineError, segment};
use crate::model::app::StackName;
use crate::model::observed::{Container, Observed, Service, Task, TaskState};

/// How a process ends that was sent SIGKILL, as the kernel does when the memory runs out.
const KILLED: i64 = 137;

impl Swarm {
    /// Everything that bears on the stack, as it stands now. Ten reading calls at once, so the parts may be a few
    /// milliseconds apart; what the Engine says of an unknown kind is left out, never an error.
    pub async fn observe(&self, stack: &StackName) -> Result<Observed, EngineError> {
        let all = async {
            let real = |body: &Value| views::network(body).filter(|_| !is_ghost(body));
            let networks = async { Ok(named(&self.list("/networks", "{}").await?, real, |n| &n.name)) };
            let secrets = async { Ok(named(&self.list("/secrets", "{}").await?, views::secret, |s| &s.name)) };
            let configs = async { Ok(named(&self.list("/configs", "{}").await?, views::config, |c| &c.name)) };
            let volumes =
                async { Ok(named(&self.list("/volumes", "{}").await?["Volumes"], views::volume, |v| &v.name)) };
            try_join!(networks, secrets, configs, volumes)
        };
        let looked = try_join!(self.observe_progress(stack), self.taken_out(stack), all);
        let (mut progress, taken_out, (networks, secrets, configs, volumes)) =
            looked.map_err(|e: EngineError| e.during(format!("look at stack {stack}")))?;
        progress.services.extend(taken_out);
        Ok(Observed { networks, secrets, configs, volumes, ..progress })
    }

    /// Services that lost the stack's label by somebody's hand: their names and their containers' labels still tell.
    async fn taken_out(&self, stack: &StackName) -> Result<BTreeMap<String, Service>, EngineError> {
        let prefix = format!("{stack}_");
        let mut list = self.list("/services", &filters(&[("name", &[&prefix])])).await?;
        let list = list.as_array_mut().map(std::mem::take).unwrap_or_default();
        let of_stack = |labels: &Value| labels[NAMESPACE] == stack.as_str();
        let taken_out = list.into_iter().filter(|service| {
            let spec = &service["Spec"];
            !of_stack(&spec["Labels"]) && of_stack(&spec["TaskTemplate"]["ContainerSpec"]["Labels"])
        });
        Ok(named(&taken_out.collect(), views::service, |service| &service.name))
    }

    /// The stack's services, tasks and containers alone, for a loop that waits: half the calls of [`Swarm::observe`],
    /// and the other parts of what it returns are empty.
    pub async fn observe_progress(&self, stack: &StackName) -> Result<Observed, EngineError> {
        let label = format!("{NAMESPACE}={stack}");
        let of_stack = filters(&[("label", &[&label])]);
        let present = filters(&[("label", &[&label]), ("_up-to-date", &["true"])]);
        // The plain list tells no health of containers that have ended, and an unhealthy one that took the signal to end
        // well looks like a finished job.
        let unhealthy = filters(&[("label", &[&label]), ("health", &["unhealthy"])]);
        let looked = try_join!(
            self.list("/services", &of_stack),
            self.list("/tasks", &of_stack),
            self.list("/tasks", &present),
            self.list("/containers/json", &of_stack),
            self.list("/containers/json", &unhealthy),
        );
        let (services, tasks, present, containers, unhealthy) =
            looked.map_err(|e| e.during(format!("look at stack {stack}")))?;
        let services: BTreeMap<String, Service> = named(&services, views::service, |service| &service.name);
        let tasks = tasks_of(&services, &tasks, &present);
        let unhealthy: BTreeSet<String> = items(&unhealthy).filter_map(views::container).map(|one| one.id).collect();
        let mut containers: Vec<Container> = items(&containers).filter_map(views::container).collect();
        for container in containers.iter_mut().filter(|container| unhealthy.contains(&container.id)) {
            container.health = Some("unhealthy".to_owned());
        }
        self.look_up_kills(&tasks, &mut containers).await?;
        Ok(Observed { services, tasks, containers, ..Observed::default() })
    }

    /// Lists do not tell why a container was killed; only those that ended by a kill are asked one by one.
    async fn look_up_kills(&self, tasks: &[Task], containers: &mut [Container]) -> Result<(), EngineError> {
        let killed = |container: &Container| {
            let of_it = |task: &&Task| container.task.as_deref() == Some(&task.id);
            tasks
                .iter()
                .find(of_it)
                .is_some_and(|task| task.state == TaskState::Failed && task.exit_code == Some(KILLED))
        };
        for container in containers.iter_mut().filter(|container| killed(container)) {
            container.out_of_memory = self.is_out_of_memory(&container.id).await?;
        }
        Ok(())
    }

    async fn is_out_of_memory(&self, container: &str) -> Result<bool, EngineError> {
        match self.engine.get(&format!("/containers/{}/json", segment(container)), &[]).await {
            Ok(live) => Ok(live["State"]["OOMKilled"] == true),
            // It was removed since it was listed.
            Err(error) if error.is_not_found() => Ok(false),
            Err(other) => Err(other),
        }
    }

    /// `all` has a meaning for containers alone: the exited ones too.
    async fn list(&self, path: &str, filters: &str) -> Result<Value, EngineError> {
        let query = [("all", "1"), ("filters", filters)];
        self.engine.get(path, if path.starts_with("/containers") { &query } else { &query[1..] }).await
    }
}

/// The tasks of these very services (a removed service's tasks linger under the same label), each with whether it is
/// among those that run the present spec.
fn tasks_of(services: &BTreeMap<String, Service>, tasks: &Value, present: &Value) -> Vec<Task> {
    let services: BTreeSet<&str> = services.values().map(|service| service.id.as_str()).collect();
    let present: BTreeSet<&str> = items(present).filter_map(|task| task["ID"].as_str()).collect();
    let known = items(tasks).filter_map(views::task).filter(|task| services.contains(task.service.as_str()));
    known.map(|task| Task { up_to_date: present.contains(task.id.as_str()), ..task }).collect()
}

/// By name. Of two networks of one name, one of the Swarm's beats a local one.
fn named<T>(list: &Value, view: impl Fn(&Value) -> Option<T>, name: fn(&T) -> &String) -> BTreeMap<String, T> {
    let (swarm, local): (Vec<_>, Vec<_>) = items(list).partition(|item| item["Scope"] == "swarm");
    let in_order = local.into_iter().chain(swarm).filter_map(view);
    in_order.map(|item| (name(&item).clone(), item)).collect()
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lingering_tasks_of_a_removed_service_are_not_the_stacks() {
        let services = json!([{"ID": "s1", "Spec": {"Name": "a_web"}}]);
        let services = named(&services, views::service, |service| &service.name);
        let tasks =
            json!([{"ID": "t1", "ServiceID": "s1"}, {"ID": "t2", "ServiceID": "s1"}, {"ID": "t3", "ServiceID": "s0"}]);

        let tasks = tasks_of(&services, &tasks, &json!([{"ID": "t2"}, {"ID": "t3"}]));

        let seen: Vec<_> = tasks.iter().map(|task| (task.id.as_str(), task.up_to_date)).collect();
        assert_eq!(seen, [("t1", false), ("t2", true)]);
    }

    #[test]
    fn a_network_of_the_swarm_hides_a_local_one_of_its_name() {
        let list =
            json!([{"Id": "1", "Name": "proxy", "Scope": "swarm"}, {"Id": "2", "Name": "proxy", "Scope": "local"}]);
        assert_eq!(named(&list, views::network, |network| &network.name)["proxy"].id, "1");
    }
}
