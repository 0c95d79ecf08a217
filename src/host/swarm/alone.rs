//! One object by itself: a look, and for a service a standstill.

use serde_json::{Value, json};

use super::ghost::is_ghost;
use super::{Swarm, views};
use crate::host::engine::{EngineError, segment};
use crate::model::observed::{Network, Service};
use crate::plan::canonical_form::mode_of;
use crate::telemetry;

impl Swarm {
    /// One service as it stands now; `None` where there is none.
    pub async fn live_service(&self, name: &str) -> Result<Option<Service>, EngineError> {
        match self.engine.get(&format!("/services/{}", segment(name)), &[]).await {
            Ok(live) => Ok(views::service(&live)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.during(format!("look at service {name}"))),
        }
    }

    /// What a container's health check printed when it ran last, as one line of at most 300 characters; `None` if it
    /// has not run, or printed nothing.
    pub async fn last_health_check(&self, container: &str) -> Result<Option<String>, EngineError> {
        let about = |e: EngineError| e.during(format!("look at container {container}"));
        let live = self.engine.get(&format!("/containers/{}/json", segment(container)), &[]).await.map_err(about)?;
        let last = live.pointer("/State/Health/Log").and_then(Value::as_array).and_then(|log| log.last());
        let printed = last.and_then(|run| run["Output"].as_str()).unwrap_or_default();
        let line: String = telemetry::one_line(printed.trim()).chars().take(300).collect();
        Ok(Some(line).filter(|line| !line.is_empty()))
    }

    /// One network, of the Swarm rather than of this node; `None` where there is none, or only the ghost of one.
    pub async fn live_network(&self, name: &str) -> Result<Option<Network>, EngineError> {
        let mut listed =
            self.listed_networks(name).await.map_err(|error| error.during(format!("look at network {name}")))?;
        listed.retain(|network| !is_ghost(network));
        let of_swarm = listed.iter().find(|network| network["Scope"] == "swarm");
        Ok(of_swarm.or(listed.first()).and_then(views::network))
    }

    /// Asks a replicated service to run nothing; it keeps its networks and addresses. Its containers go on for a
    /// while. Nothing is written for a service that is no longer there or has no replicas to take away.
    pub async fn scale_to_nothing(&self, name: &str) -> Result<(), EngineError> {
        let Some(live) = self.live_service(name).await? else { return Ok(()) };
        let mut spec = live.spec;
        if mode_of(&spec) != "Replicated" || spec.pointer("/Mode/Replicated/Replicas") == Some(&Value::from(0)) {
            return Ok(());
        }
        spec["Mode"] = json!({"Replicated": {"Replicas": 0}});
        self.update_service(name, &spec).await.map(drop)
    }
}
