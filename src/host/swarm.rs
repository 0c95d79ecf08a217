//! The Swarm of one Engine: looking at a stack, writing its objects, waiting for what follows.
//!
//! Looking is one function that returns a value; every write is one object by name. What to write is decided
//! elsewhere. The surprise: objects name each other by *name* here, and ids are put in right before a write, since a
//! remade network or secret has another id.

mod alone;
mod by_name;
mod cache;
mod endings;
mod ghost;
mod headroom;
mod lists;
mod log;
mod look;
mod marked;
mod mounting;
mod nodes;
mod quiet;
mod starts;
mod views;
mod wait;
mod write;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};

use super::engine::{Engine, EngineError};
use super::images::auth::Auth;

pub use by_name::{Ids, with_ids};
pub use cache::OwnVolume;
pub use endings::Endings;
pub use headroom::Headroom;
pub use marked::{Kind, Marked};
pub use mounting::resolved;
pub use quiet::{Left, is_as_it_was_left, longest_grace};
pub use wait::Changes;
pub use write::Written;

/// The label that makes an object a part of a stack.
pub const NAMESPACE: &str = "com.docker.stack.namespace";
/// The label by which a container tells its service.
pub const SERVICE_ID: &str = "com.docker.swarm.service.id";
/// The label by which a container tells its service's name.
pub const SERVICE_NAME: &str = "com.docker.swarm.service.name";
/// The label by which a container tells its task.
pub const TASK_ID: &str = "com.docker.swarm.task.id";

/// The Swarm that an Engine is a manager of. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Swarm {
    engine: Engine,
    login: Option<Auth>,
    /// Where many stacks are looked at together.
    shared: Option<Arc<lists::Lists>>,
}

/// What this node is in its Swarm, and what of the Engine matters to a Swarm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwarmInfo {
    /// Empty while the node is in no Swarm.
    pub node: String,
    /// Known to managers only.
    pub swarm: Option<String>,
    pub manager: bool,
    pub active: bool,
    /// `inactive`, `pending`, `active`, `error` or `locked`.
    pub state: String,
    /// Of the whole Swarm; 0 where this is no manager.
    pub nodes: u64,
    /// Of those.
    pub managers: u64,
    /// As constraints of services name this node.
    pub hostname: String,
    /// Swarm and live-restore exclude each other.
    pub live_restore: bool,
    pub data_root: PathBuf,
}

impl SwarmInfo {
    /// Why no stack can be kept here, and the way out; `None` on a manager.
    pub fn keeps_no_stacks(&self) -> Option<String> {
        let why = match self.state.as_str() {
            "active" if self.manager => return None,
            "active" => {
                "this node is a worker of a Swarm and cannot keep stacks: run evenkeel on a manager, promote this node \
                 there (`docker node promote`), or leave that Swarm here (`docker swarm leave`) and run `evenkeel swarm`"
            }
            "locked" => "this node's Swarm is locked: unlock it (`docker swarm unlock`) and run this again",
            "pending" | "error" => {
                "this node has not come into its Swarm (`docker info` says why): mend that, or leave it here \
                 (`docker swarm leave --force`) and run `evenkeel swarm`"
            }
            _ => {
                "this node is in no Swarm: `evenkeel swarm` makes one, and the next run of each app makes again what the \
                 lost one held"
            }
        };
        Some(why.to_owned())
    }
}

impl Swarm {
    pub fn new(engine: Engine) -> Self {
        Self { engine, login: None, shared: None }
    }

    /// The same Swarm; services that are written get this login for their registry. Without one, those that are
    /// changed keep the one that they have.
    #[must_use]
    pub fn with_login(&self, login: Option<&Auth>) -> Self {
        Self { login: login.cloned(), ..self.clone() }
    }

    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// What this node is. Ten milliseconds: [`Swarm::id`] is cheaper where only the Swarm matters.
    pub async fn info(&self) -> Result<SwarmInfo, EngineError> {
        let info = self.engine.get("/info", &[]).await.map_err(|e| e.during("look at the Engine"))?;
        Ok(info_of(&info))
    }

    /// The Swarm's id; `None` where this node is no manager of one.
    pub async fn id(&self) -> Result<Option<String>, EngineError> {
        match self.engine.get("/swarm", &[]).await {
            Ok(swarm) => Ok(views::text(&swarm["ID"])),
            Err(error) if error.is_no_manager() => Ok(None),
            Err(other) => Err(other.during("look at the Swarm")),
        }
    }

    /// Makes a Swarm of this node. `advertise` is an address or interface, `listen` as in `0.0.0.0:2377`.
    ///
    /// # Errors
    /// `Refused` with status 503 where the node is in a Swarm already.
    pub async fn init(&self, advertise: &str, listen: &str) -> Result<(), EngineError> {
        let body = json!({"ListenAddr": listen, "AdvertiseAddr": advertise, "ForceNewCluster": false});
        self.engine.post("/swarm/init", &[], &body).await.map_err(|e| e.during("make a Swarm of this node"))?;
        Ok(())
    }

    /// An overlay network of the whole Swarm; one that exists already with these very properties is as good.
    /// Returns its id.
    pub async fn create_overlay(
        &self,
        name: &str,
        subnet: &str,
        attachable: bool,
        labels: &BTreeMap<String, String>,
    ) -> Result<String, EngineError> {
        let ipam = json!({"Driver": "default", "Config": [{"Subnet": subnet}]});
        self.create_network(&json!({
            "Name": name, "Driver": "overlay", "Scope": "swarm", "Attachable": attachable, "CheckDuplicate": true,
            "IPAM": ipam, "Labels": labels,
        }))
        .await
    }
}

fn info_of(info: &Value) -> SwarmInfo {
    let swarm = &info["Swarm"];
    SwarmInfo {
        node: views::text(&swarm["NodeID"]).unwrap_or_default(),
        swarm: views::text(&swarm["Cluster"]["ID"]).filter(|id| !id.is_empty()),
        manager: swarm["ControlAvailable"].as_bool().unwrap_or_default(),
        active: swarm["LocalNodeState"] == "active",
        state: views::text(&swarm["LocalNodeState"]).unwrap_or_default(),
        nodes: swarm["Nodes"].as_u64().unwrap_or_default(),
        managers: swarm["Managers"].as_u64().unwrap_or_default(),
        hostname: views::text(&info["Name"]).unwrap_or_default(),
        live_restore: info["LiveRestoreEnabled"].as_bool().unwrap_or_default(),
        data_root: views::text(&info["DockerRootDir"]).unwrap_or_default().into(),
    }
}

/// The `filters` parameter as the Engine wants it: all values are lists.
fn filters(filters: &[(&str, &[&str])]) -> String {
    let map: BTreeMap<&str, &[&str]> = filters.iter().copied().collect();
    json!(map).to_string()
}
