//! Looking at a stack: all calls of one look run together, and none of them writes.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tokio::try_join;

use super::ghost::is_ghost;
use super::lists::List;
use super::{NAMESPACE, Swarm, views};
use crate::host::engine::{EngineError, segment};
use crate::model::app::StackName;
use crate::model::observed::{Container, Observed, Service, Task, TaskState};

/// How a process ends that was sent SIGKILL, as the kernel does when the memory runs out.
const KILLED: i64 = 137;

impl Swarm {
    /// Everything that bears on the stack, as it stands now. Nine reading calls at once, and more about containers that
    /// have ended, so the parts may be a few milliseconds apart; what the Engine says of an unknown kind is left out, never an error.
    pub async fn observe(&self, stack: &StackName) -> Result<Observed, EngineError> {
        let all = async {
            let real = |body: &Value| views::network(body).filter(|_| !is_ghost(body));
            let networks = async { Ok(named(items(&*self.list(List::Networks, stack).await?), real, |n| &n.name)) };
            let secrets =
                async { Ok(named(items(&*self.list(List::Secrets, stack).await?), views::secret, |s| &s.name)) };
            let configs =
                async { Ok(named(items(&*self.list(List::Configs, stack).await?), views::config, |c| &c.name)) };
            let volumes = async {
                let list = self.list(List::Volumes, stack).await?;
                Ok(named(items(&list["Volumes"]), views::volume, |v| &v.name))
            };
            try_join!(networks, secrets, configs, volumes)
        };
        let looked = try_join!(self.observe_progress(stack), self.taken_out(stack), all);
        let (mut progress, taken_out, (networks, secrets, configs, volumes)) =
            looked.map_err(|e: EngineError| e.during(format!("look at stack {stack}")))?;
        progress.services.extend(taken_out);
        Ok(Observed { networks, secrets, configs, volumes, ..progress })
    }

    /// Services that lost the stack's label by somebody's hand: their names and their containers' labels still tell.
    pub(super) async fn taken_out(&self, stack: &StackName) -> Result<BTreeMap<String, Service>, EngineError> {
        let prefix = format!("{stack}_");
        let list = self.list(List::NamedServices, stack).await?;
        let of_stack = |labels: &Value| labels[NAMESPACE] == stack.as_str();
        let taken_out = items(&list).filter(|service| {
            let spec = &service["Spec"];
            spec["Name"].as_str().is_some_and(|name| name.starts_with(&prefix))
                && !of_stack(&spec["Labels"])
                && of_stack(&spec["TaskTemplate"]["ContainerSpec"]["Labels"])
        });
        Ok(named(taken_out, views::service, |service| &service.name))
    }

    /// The stack's services, tasks and containers alone, for a loop that waits: half the calls of [`Swarm::observe`],
    /// and the other parts of what it returns are empty.
    pub async fn observe_progress(&self, stack: &StackName) -> Result<Observed, EngineError> {
        let looked = try_join!(
            self.list(List::Services, stack),
            self.list(List::Tasks, stack),
            self.list(List::PresentTasks, stack),
            self.containers(stack),
        );
        let (services, tasks, present, mut containers) =
            looked.map_err(|e| e.during(format!("look at stack {stack}")))?;
        let labelled = |labels: &Value| labels[NAMESPACE] == stack.as_str();
        let services = items(&services).filter(|service| labelled(&service["Spec"]["Labels"]));
        let services: BTreeMap<String, Service> = named(services, views::service, |service| &service.name);
        let mut tasks = tasks_of(&services, &tasks, &present);
        self.find(&mut tasks, &containers).await.map_err(|e| e.during(format!("look at stack {stack}")))?;
        self.look_up_kills(&tasks, &mut containers).await?;
        Ok(Observed { services, tasks, containers, ..Observed::default() })
    }

    /// Where any has ended, the unhealthy ones are asked for.
    async fn containers(&self, stack: &StackName) -> Result<Vec<Container>, EngineError> {
        let of_stack = |container: &&Value| container["Labels"][NAMESPACE] == stack.as_str();
        let all = self.list(List::Containers, stack).await?;
        let mut containers: Vec<Container> = items(&all).filter(of_stack).filter_map(views::container).collect();
        let has_ended = |one: &Container| matches!(one.state.as_str(), "exited" | "dead" | "removing");
        if containers.iter().any(has_ended) {
            let unhealthy = self.list(List::UnhealthyContainers, stack).await?;
            let unhealthy: BTreeSet<&str> = items(&unhealthy).filter_map(|one| one["Id"].as_str()).collect();
            for container in containers.iter_mut().filter(|container| unhealthy.contains(container.id.as_str())) {
                container.health = Some("unhealthy".to_owned());
            }
        }
        Ok(containers)
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
}

/// The tasks of these very services (a removed service's tasks linger under the same label), each with whether it is
/// among those that run the present spec.
fn tasks_of(services: &BTreeMap<String, Service>, tasks: &Value, present: &Value) -> Vec<Task> {
    let services: BTreeSet<&str> = services.values().map(|service| service.id.as_str()).collect();
    let present: BTreeSet<&str> = items(present).filter_map(|task| task["ID"].as_str()).collect();
    let known = items(tasks).filter(|task| task["ServiceID"].as_str().is_some_and(|id| services.contains(id)));
    known.filter_map(views::task).map(|task| Task { up_to_date: present.contains(task.id.as_str()), ..task }).collect()
}

/// By name. Of two networks of one name, one of the Swarm's beats a local one.
pub(super) fn named<'a, T>(
    list: impl Iterator<Item = &'a Value>,
    view: impl Fn(&Value) -> Option<T>,
    name: fn(&T) -> &String,
) -> BTreeMap<String, T> {
    let (swarm, local): (Vec<_>, Vec<_>) = list.partition(|item| item["Scope"] == "swarm");
    let in_order = local.into_iter().chain(swarm).filter_map(view);
    in_order.map(|item| (name(&item).clone(), item)).collect()
}

pub(super) fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lingering_tasks_of_a_removed_service_are_not_the_stacks() {
        let services = json!([{"ID": "s1", "Spec": {"Name": "a_web"}}]);
        let services = named(items(&services), views::service, |service| &service.name);
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
        assert_eq!(named(items(&list), views::network, |network| &network.name)["proxy"].id, "1");
    }
}
