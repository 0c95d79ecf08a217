//! Networks that Swarm has removed, or lost, and that this node still has.
//!
//! The Engine goes on listing one under its name and id until the last local container has left it. Services cannot
//! join it, and until then no other can have its name.

use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::{Swarm, filters, views};
use crate::host::engine::{EngineError, segment};

/// How long the containers of a removed network may take to end.
const LET_GO: Duration = Duration::from_secs(60);
const TICK: Duration = Duration::from_millis(100);

/// Whether a *listed* network is a ghost. A manager lists its Swarm's networks from Swarm's store, which knows neither
/// peers nor containers; one that has them is this node's own memory.
pub(super) fn is_ghost(listed: &Value) -> bool {
    let has_peers = listed["Peers"].as_array().is_some_and(|peers| !peers.is_empty());
    listed["Scope"] == "swarm" && (listed["Containers"].is_object() || has_peers)
}

impl Swarm {
    /// Networks of this name as they are listed: one, a ghost, or several of nodes and Swarm.
    pub(super) async fn listed_networks(&self, name: &str) -> Result<Vec<Value>, EngineError> {
        let list = self.engine.get("/networks", &[("filters", &filters(&[("name", &[name])]))]).await?;
        // The filter also takes names that contain this one.
        Ok(list.as_array().into_iter().flatten().filter(|network| network["Name"] == name).cloned().collect())
    }

    /// Waits until a ghost of this name has gone; whether there was one.
    ///
    /// # Errors
    /// `TooLate` with the containers that hold it.
    pub(super) async fn wait_for_ghost(&self, name: &str) -> Result<bool, EngineError> {
        let until = Instant::now() + LET_GO;
        let mut met = false;
        loop {
            let asked = Instant::now();
            let Some(ghost) = self.listed_networks(name).await?.into_iter().find(is_ghost) else { return Ok(met) };
            if asked >= until {
                let left = self.holders(&views::text(&ghost["Id"]).unwrap_or_default()).await?;
                return Err(EngineError::TooLate { act: format!("make network {name} anew"), left, waited: LET_GO });
            }
            met = true;
            sleep(TICK).await;
        }
    }

    async fn holders(&self, id: &str) -> Result<String, EngineError> {
        let live = self.engine.get(&format!("/networks/{}", segment(id)), &[]).await?;
        let containers = live["Containers"].as_object().into_iter().flat_map(|containers| containers.values());
        let names: Vec<&str> = containers.filter_map(|container| container["Name"].as_str()).collect();
        Ok(format!("the one that Swarm has removed is still held by {} (stop them)", names.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_only_this_node_remembers_is_a_ghost() {
        assert!(is_ghost(&json!({"Scope": "swarm", "Containers": {}, "Peers": [{"Name": "a"}]})));
        assert!(is_ghost(&json!({"Scope": "swarm", "Containers": {}})));
        assert!(!is_ghost(&json!({"Scope": "swarm", "Containers": null})));
        assert!(!is_ghost(&json!({"Scope": "swarm"})));
        assert!(!is_ghost(&json!({"Scope": "local", "Containers": {}})));
    }
}
