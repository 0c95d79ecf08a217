//! Waiting for what a write sets off. Swarm has no deadlines of its own, so every wait has one.

use std::time::Duration;

use futures_util::FutureExt;
use reqwest::{Method, Response};
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout};

use super::{SERVICE_ID, SERVICE_NAME, Swarm, filters, views};
use crate::host::engine::{Engine, EngineError, segment};
use crate::model::observed::{Container, Task, TaskState};

/// Tasks that cannot be placed or fetched make no event, so a waiting loop looks again after this long anyway.
const TICK: Duration = Duration::from_millis(500);
/// Events come in bursts, and the state of a task follows its container's event by some milliseconds.
const SETTLE: Duration = Duration::from_millis(50);
/// Managers hear of tasks in batches of a tenth of a second, and no event tells that they have: so after a burst this is
/// the longest pause, a few times.
const BATCH: Duration = Duration::from_millis(100);
const BATCHES: u8 = 3;
/// Health checks alone make three `exec_*` events each, hence a choice.
const EVENTS: [&str; 9] =
    ["create", "update", "remove", "start", "die", "stop", "destroy", "health_status", "disconnect"];

/// Wakes whoever waits for something to change in the Engine. Subscribe before the write whose effects matter.
#[derive(Debug)]
pub struct Changes {
    engine: Engine,
    /// `None` when the stream has ended: then ticks alone wake, and each tries to subscribe again.
    events: Option<Response>,
    /// How many short pauses are left of the last burst.
    short: u8,
}

impl Changes {
    async fn subscribe(engine: Engine) -> Result<Self, EngineError> {
        let events = Some(subscription(&engine).await?);
        Ok(Self { engine, events, short: 0 })
    }

    /// Returns soon after something changed, and at the latest after `tick`.
    pub async fn wait(&mut self, tick: Duration) {
        let tick = if self.short > 0 { tick.min(BATCH) } else { tick };
        self.short = self.short.saturating_sub(1);
        let until = Instant::now() + tick;
        let Some(events) = &mut self.events else {
            sleep(tick).await;
            // Without a stream the ticks go on; whoever looks at the Engine next learns why.
            self.events = subscription(&self.engine).await.ok();
            return;
        };
        match timeout(tick, events.chunk()).await {
            Err(_) => {}
            Ok(Ok(Some(_))) => self.settle(until).await,
            Ok(Ok(None) | Err(_)) => {
                self.events = None;
                tokio::time::sleep_until(until).await;
            }
        }
    }

    /// Takes what else comes of the same burst, so that it wakes nobody again.
    async fn settle(&mut self, until: Instant) {
        self.short = BATCHES;
        tokio::time::sleep_until(until.min(Instant::now() + SETTLE)).await;
        let Some(events) = &mut self.events else { return };
        while let Some(Ok(Some(_))) = events.chunk().now_or_never() {}
    }
}

async fn subscription(engine: &Engine) -> Result<Response, EngineError> {
    let filters = filters(&[("event", &EVENTS), ("type", &["service", "container", "network"])]);
    let events = engine.stream(Method::GET, "/events", &[("filters", &filters)], None).await;
    events.map_err(|e| e.during("follow the Engine's events"))
}

impl Swarm {
    /// Subscribes to changes of services, containers and networks.
    pub async fn changes(&self) -> Result<Changes, EngineError> {
        Changes::subscribe(self.engine.clone()).await
    }

    /// Waits until no container of these services (by id) is left on this node, exited ones included, and no task is
    /// about to make one: then their volumes and addresses are free. Services may be gone, or be scaled to 0.
    ///
    /// # Errors
    /// `TooLate` after `deadline`, naming the containers that are left.
    pub async fn wait_containers_gone(&self, services: &[String], deadline: Duration) -> Result<(), EngineError> {
        let act = "wait for the end of containers";
        self.wait_until(act, deadline, async || {
            let ours = |c: &Container| c.service.as_ref().is_some_and(|id| services.contains(id));
            let left = self.service_containers(&[("label", &[SERVICE_ID])]).await?;
            let tasks = self.engine.get("/tasks", &[]).await?;
            let is_on_node = |task: &Task| services.contains(&task.service) && task.state >= TaskState::Assigned;
            let on_node = living(&tasks).filter(|(_, task)| is_on_node(task)).collect();
            let tasks = self.that_can_end(on_node, |(_, task)| task).await?.into_iter();
            Ok(told(left.iter().filter(|c| ours(c)).map(in_words).chain(tasks.map(|(_, task)| task_in_words(&task)))))
        })
        .await
        .map_err(|e| e.during(act))
    }

    /// Waits until no container of a service of this name runs on this node, also of one that was removed, and no task is
    /// about to start one. Exited containers may be left, as a crash loop leaves them.
    ///
    /// # Errors
    /// `TooLate` after `deadline`, naming what still runs.
    pub async fn wait_containers_ended(&self, name: &str, deadline: Duration) -> Result<(), EngineError> {
        let act = format!("wait for the containers of {name} to end");
        let id = self.live_service(name).await?.map(|service| service.id);
        self.wait_until(&act, deadline, async || {
            let containers = self.running_containers(name).await?;
            let tasks = self.engine.get("/tasks", &[]).await?;
            let is_on_node = |task: &Task| Some(&task.service) == id.as_ref() && task.state >= TaskState::Assigned;
            let on_node = living(&tasks).filter(|(_, task)| is_on_node(task)).collect();
            let tasks = self.that_can_end(on_node, |(_, task)| task).await?.into_iter();
            Ok(told(containers.iter().map(in_words).chain(tasks.map(|(_, task)| task_in_words(&task)))))
        })
        .await
        .map_err(|e| e.during(act))
    }

    /// The same before a service of this name is made. At once where one is there: what runs is its own. It may come at any
    /// time, since the Engine goes on with what a run asked for that was killed meanwhile.
    pub async fn wait_removed_ended(&self, name: &str, deadline: Duration) -> Result<(), EngineError> {
        let act = format!("wait for the containers of the removed service {name} to end");
        self.wait_until(&act, deadline, async || {
            if self.live_service(name).await?.is_some() {
                return Ok(None);
            }
            Ok(told(self.running_containers(name).await?.iter().map(in_words)))
        })
        .await
        .map_err(|e| e.during(act))
    }

    /// Those of services of this name.
    async fn running_containers(&self, name: &str) -> Result<Vec<Container>, EngineError> {
        let label = format!("{SERVICE_NAME}={name}");
        let mut containers = self.service_containers(&[("label", &[&label])]).await?;
        containers.retain(Container::runs);
        Ok(containers)
    }

    pub(super) async fn wait_network_unused(&self, id: &str, deadline: Duration) -> Result<(), EngineError> {
        self.wait_until("wait for a network's last user", deadline, async || {
            let containers = self.service_containers(&[("label", &[SERVICE_ID]), ("network", &[id])]).await?;
            let tasks = self.engine.get("/tasks", &[]).await?;
            let attached = living(&tasks).filter(|(body, _)| is_attached(body, id)).collect();
            let tasks = self.that_can_end(attached, |(_, task)| task).await?.into_iter();
            Ok(told(containers.iter().map(in_words).chain(tasks.map(|(_, task)| task_in_words(&task)))))
        })
        .await
    }

    /// A removed network is listed under its id until the last container has left it.
    pub(super) async fn wait_network_gone(&self, id: &str, deadline: Duration) -> Result<(), EngineError> {
        self.wait_until("wait for a network's end", deadline, async || {
            match self.engine.get(&format!("/networks/{}", segment(id)), &[]).await {
                Err(error) if error.is_not_found() => Ok(None),
                Err(other) => Err(other),
                Ok(_) => Ok(Some("it is still there".to_owned())),
            }
        })
        .await
    }

    async fn service_containers(&self, filter: &[(&str, &[&str])]) -> Result<Vec<Container>, EngineError> {
        let list = self.engine.get("/containers/json", &[("all", "1"), ("filters", &filters(filter))]).await?;
        Ok(list.as_array().into_iter().flatten().filter_map(views::container).collect())
    }

    /// Looks until nothing is left; `look` tells in words what is.
    async fn wait_until(
        &self,
        act: &str,
        deadline: Duration,
        look: impl AsyncFn() -> Result<Option<String>, EngineError>,
    ) -> Result<(), EngineError> {
        let until = Instant::now() + deadline;
        if look().await?.is_none() {
            return Ok(());
        }
        let mut changes = self.changes().await?;
        match left_at(until, look, async |tick| changes.wait(tick).await).await? {
            None => Ok(()),
            Some(left) => Err(EngineError::TooLate { act: act.to_owned(), left, waited: deadline }),
        }
    }
}

/// What is left at that time. An Engine that hangs answers with what was so before it did, so only a look that was asked for
/// afterwards says so.
async fn left_at(
    until: Instant,
    look: impl AsyncFn() -> Result<Option<String>, EngineError>,
    mut wait: impl AsyncFnMut(Duration),
) -> Result<Option<String>, EngineError> {
    loop {
        let asked = Instant::now();
        let left = look().await?;
        if left.is_none() || asked >= until {
            return Ok(left);
        }
        wait(TICK.min(until.saturating_duration_since(Instant::now()))).await;
    }
}

fn in_words(container: &Container) -> String {
    format!("container {} is {}", container.id.get(..12).unwrap_or(&container.id), container.state)
}

fn told(left: impl Iterator<Item = String>) -> Option<String> {
    let left: Vec<String> = left.collect();
    (!left.is_empty()).then(|| left.join(", "))
}

fn task_in_words(task: &Task) -> String {
    format!("task {} is {:?}", task.id, task.state).to_lowercase()
}

/// Tasks that have not ended: they hold addresses, and once assigned to a node have a container or are about to.
fn living(tasks: &Value) -> impl Iterator<Item = (&Value, Task)> {
    let tasks = tasks.as_array().into_iter().flatten();
    let viewed = tasks.filter_map(|body| Some((body, views::task(body)?)));
    viewed.filter(|(_, task)| task.state <= TaskState::Running)
}

fn is_attached(task: &Value, network: &str) -> bool {
    let attachments = task["NetworksAttachments"].as_array();
    attachments.into_iter().flatten().any(|attachment| attachment["Network"]["ID"] == network)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use serde_json::json;

    use super::*;

    #[test]
    fn a_task_lives_until_it_has_ended() {
        let tasks = ["pending", "preparing", "running", "complete", "shutdown", "failed"];
        let bodies = tasks.map(|state| json!({"ID": state, "ServiceID": "s", "Status": {"State": state}}));
        let list = json!(bodies);
        let alive: Vec<String> = living(&list).map(|(_, task)| task_in_words(&task)).collect();
        assert_eq!(alive, ["task pending is pending", "task preparing is preparing", "task running is running"]);
    }

    #[test]
    fn a_task_is_attached_to_its_own_networks() {
        let task = json!({"NetworksAttachments": [{"Network": {"ID": "n1"}}]});
        assert!(is_attached(&task, "n1") && !is_attached(&task, "n2"));
        assert!(!is_attached(&json!({}), "n1"));
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_too_late_once_a_look_says_so_that_was_asked_for_after_the_deadline() {
        let hangs_once = async |answers_afterwards: Option<&str>| {
            let until = Instant::now() + Duration::from_secs(5);
            let looks = Cell::new(0);
            let look = async || {
                looks.set(looks.get() + 1);
                if looks.get() > 1 {
                    return Ok(answers_afterwards.map(str::to_owned));
                }
                sleep(Duration::from_secs(30)).await;
                Ok(Some("what was there before".to_owned()))
            };
            left_at(until, look, sleep).await.unwrap()
        };
        assert_eq!(hangs_once(None).await, None);
        assert_eq!(hangs_once(Some("still there")).await.as_deref(), Some("still there"));
    }

    #[test]
    fn what_is_left_is_told() {
        assert_eq!(told(std::iter::empty()), None);
        assert_eq!(told(["a".to_owned(), "b".to_owned()].into_iter()).as_deref(), Some("a, b"));
    }
}
