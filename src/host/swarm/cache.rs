//! Volumes that are made and removed by us: those of canonicals, whose data is a sealed snapshot, and of throw-away stacks.

use serde_json::json;

use super::{NAMESPACE, Swarm};
use crate::host::engine::EngineError;
use crate::model::app::StackName;

impl Swarm {
    /// Makes an empty volume of a stack, as the stack's first container would; nothing is done where there is one.
    pub async fn create_volume(&self, stack: &StackName, name: &str) -> Result<(), EngineError> {
        let body = json!({"Name": name, "Driver": "local", "Labels": {NAMESPACE: stack.as_str()}});
        let made = self.engine.post("/volumes/create", &[], &body).await;
        made.map(drop).map_err(|e| e.during(format!("make volume {name}")))
    }

    /// Removes a volume with its data. Whoever calls this has that data elsewhere, or nobody wants it.
    ///
    /// # Errors
    /// `Refused` where a container, running or not, holds it.
    pub async fn remove_volume(&self, name: &str) -> Result<(), EngineError> {
        self.remove("volume", "/volumes/", name).await
    }
}
