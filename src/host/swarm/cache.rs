//! Volumes that are made and removed by us: those of canonicals, whose data is a sealed snapshot, and of throw-away stacks.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::{NAMESPACE, Swarm, views};
use crate::host::engine::EngineError;
use crate::model::app::StackName;

/// A volume with a stack's label: its first container, or one of us, had the Engine make it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnVolume {
    pub name: String,
    /// The folder that containers get; empty where the driver tells none.
    pub mountpoint: PathBuf,
}

impl Swarm {
    /// The volumes that have a stack's label. A volume that a recipe only names has none, whoever made it.
    pub async fn own_volumes(&self, stack: &StackName) -> Result<Vec<OwnVolume>, EngineError> {
        let list = self.engine.get("/volumes", &[]).await.map_err(|e| e.during("look at the volumes"))?;
        let all = list["Volumes"].as_array().into_iter().flatten();
        Ok(all.filter(|body| body["Labels"][NAMESPACE] == stack.as_str()).filter_map(own).collect())
    }

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

fn own(body: &Value) -> Option<OwnVolume> {
    let volume = views::volume(body)?;
    Some(OwnVolume { name: volume.name, mountpoint: volume.mountpoint })
}
