//! Tests against a real Engine, and what they stand on.

pub mod private;
pub mod recorder;

mod adopting;
mod attacking;
mod beforehand;
mod canon;
mod crash;
mod crossing;
mod dangling;
mod drifting;
mod images;
mod incidents;
mod keeping;
mod killing;
mod leaking;
mod looking;
mod losing;
mod mending;
mod nights;
mod nodes;
mod orphans;
mod overlaying;
mod planning;
mod pruning;
mod refusing;
mod removing;
mod scene;
mod sharing;
mod showing;
mod slots;
mod sweep_kills;
mod sweeping;
mod switching;
mod upgrades;
mod upgrading;
mod verdict_recording;
mod verdict_volumes;
mod warm_kills;
mod warm_strangers;
mod warming;
mod warmth;
mod writing;
mod yard;

use std::time::Duration;

use evenkeel::host::engine::Engine;
use evenkeel::host::swarm::Swarm;
use evenkeel::model::app::StackName;
use evenkeel::model::observed::{Observed, TaskState};
use serde_json::{Value, json};

use private::PrivateEngine;

/// Long enough for a busy machine; nothing here takes a quarter of it.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// One stack of one test on the shared Engine. [`Stack::clear`] removes all of it.
pub struct Stack {
    pub name: StackName,
    pub swarm: Swarm,
}

impl Stack {
    /// A stack `evenkeel-test-<name>`, empty whatever an earlier run left.
    pub async fn empty(name: &str) -> Self {
        let engine = Engine::connect(PrivateEngine::shared().endpoint()).await.unwrap();
        let stack = Self { name: format!("evenkeel-test-{name}").parse().unwrap(), swarm: Swarm::new(engine) };
        stack.clear().await;
        stack
    }

    pub async fn clear(&self) {
        let observed = self.observe().await;
        let services: Vec<String> = observed.services.values().map(|service| service.id.clone()).collect();
        for name in observed.services.keys() {
            self.swarm.remove_service(name).await.unwrap();
        }
        self.swarm.wait_containers_gone(&services, DEADLINE).await.unwrap();
        for name in observed.networks.keys().filter(|name| self.owns(name)) {
            self.swarm.remove_network(name, DEADLINE).await.unwrap();
        }
        for name in observed.secrets.keys().filter(|name| self.owns(name)) {
            self.swarm.remove_secret(name).await.unwrap();
        }
        for name in observed.configs.keys().filter(|name| self.owns(name)) {
            self.swarm.remove_config(name).await.unwrap();
        }
    }

    fn owns(&self, name: &str) -> bool {
        name.strip_prefix(self.name.as_str()).is_some_and(|rest| rest.starts_with('_'))
    }

    pub async fn observe(&self) -> Observed {
        self.swarm.observe(&self.name).await.unwrap()
    }

    /// `<stack>_<name>`.
    pub fn named(&self, name: &str) -> String {
        format!("{}_{name}", self.name)
    }

    pub fn labels(&self) -> Value {
        json!({"com.docker.stack.namespace": self.name.as_str()})
    }

    /// A service of one container that sleeps and ends at once when told to; without IPVS, `dnsrr` is what works.
    pub fn service(&self, name: &str) -> Value {
        self.runs(name, "trap 'exit 0' TERM; sleep 1000000 & wait")
    }

    pub fn runs(&self, name: &str, script: &str) -> Value {
        json!({
            "Name": self.named(name),
            "Labels": self.labels(),
            "TaskTemplate": {
                "ContainerSpec": {
                    "Image": PrivateEngine::shared().image(),
                    "Command": ["sh", "-c", script],
                    "Labels": self.labels(),
                },
                "RestartPolicy": {"Condition": "any", "Delay": 200_000_000},
            },
            "Mode": {"Replicated": {"Replicas": 1}},
            "EndpointSpec": {"Mode": "dnsrr"},
        })
    }

    pub fn network(&self, name: &str) -> Value {
        json!({"Name": self.named(name), "Driver": "overlay", "Attachable": true, "Labels": self.labels()})
    }

    /// Looks again at each change until it holds, and returns what was seen then.
    pub async fn until(&self, what: &str, holds: impl Fn(&Observed) -> bool) -> Observed {
        let mut changes = self.swarm.changes().await.unwrap();
        let waiting = async {
            loop {
                let observed = self.observe().await;
                if holds(&observed) {
                    return observed;
                }
                changes.wait(Duration::from_millis(500)).await;
            }
        };
        match tokio::time::timeout(DEADLINE, waiting).await {
            Ok(observed) => observed,
            Err(_) => panic!("not in time: {what}; {:#?}", self.observe().await.tasks),
        }
    }

    pub async fn until_running(&self, tasks: usize) -> Observed {
        let running = |o: &Observed| o.tasks.iter().filter(|t| t.up_to_date && t.state == TaskState::Running).count();
        self.until("tasks run", |observed| running(observed) == tasks).await
    }
}
