//! What the Engine says about one stack, as it stood at one moment.
//!
//! Specs stay whole as JSON: a typed model narrower than the daemon drops fields when it writes back what it read. The
//! typed fields beside them are views of what decisions need.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Observed {
    /// Services with the stack's label, by name; also those whose containers alone still have it.
    pub services: BTreeMap<String, Service>,
    /// Tasks of these services, running and recent.
    pub tasks: Vec<Task>,
    /// Containers of these services on this node, exited ones too.
    pub containers: Vec<Container>,
    /// Every network of the Engine, by name (specs name networks of other owners too).
    pub networks: BTreeMap<String, Network>,
    /// Every secret of the Swarm, by name.
    pub secrets: BTreeMap<String, Secret>,
    /// Every config of the Swarm, by name.
    pub configs: BTreeMap<String, Config>,
    /// Every local volume, by name.
    pub volumes: BTreeMap<String, Volume>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Service {
    pub id: String,
    pub name: String,
    /// `Version.Index`: rises with every write, Swarm's own at the end of an update included.
    pub index: u64,
    /// The spec as the Engine gave it, network targets as ids.
    pub spec: Value,
    pub previous_spec: Option<Value>,
    pub update: Option<UpdateStatus>,
    /// `Endpoint.Spec.Ports`: the order of ports that Swarm goes by.
    pub endpoint_ports: Vec<Value>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateStatus {
    pub state: UpdateState,
    pub message: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum UpdateState {
    Updating,
    Paused,
    Completed,
    RollbackStarted,
    RollbackPaused,
    RollbackCompleted,
    Unknown(String),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    pub id: String,
    pub service: String,
    /// 0 for tasks of global services, which are told apart by node.
    pub slot: u64,
    pub node: String,
    /// RFC 3339, nanoseconds; text order is time order.
    pub created: String,
    pub desired: TaskState,
    pub state: TaskState,
    /// Since when it is in this state, by the clock of the Engine's machine; `None` where the Engine does not say.
    #[serde(default)]
    pub since: Option<Timestamp>,
    pub message: String,
    /// What went wrong, in the Engine's words; empty if nothing did.
    pub error: String,
    pub exit_code: Option<i64>,
    pub container: Option<String>,
    /// Whether it runs the service's present spec (the Engine's own judgement, filter `_up-to-date`).
    pub up_to_date: bool,
    /// Which run of a job service it belongs to.
    pub job_iteration: Option<u64>,
    /// Its node, where it may have a container, or was to get one, and that is not this node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elsewhere: Option<OtherNode>,
}

impl Task {
    /// Its node is down: what it does, and whether it ends, is not known, and Swarm starts another in its place.
    pub fn is_lost(&self) -> bool {
        self.elsewhere.as_ref().is_some_and(|node| node.is_down)
    }
}

/// A node of the Swarm that is not this one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtherNode {
    pub id: String,
    /// As constraints name it; other nodes may have the same.
    pub hostname: String,
    /// The managers have not heard of it for some time.
    pub is_down: bool,
    /// Swarm may give it tasks: it is neither paused nor drained.
    pub takes_tasks: bool,
}

impl fmt::Display for OtherNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.hostname.is_empty() {
            true => f.write_str(&self.id),
            false => f.write_str(&self.hostname),
        }
    }
}

/// A task's state in the order in which it passes through them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum TaskState {
    New,
    Allocated,
    Pending,
    Assigned,
    Accepted,
    Preparing,
    Ready,
    Starting,
    Running,
    Complete,
    Shutdown,
    Failed,
    Rejected,
    Remove,
    Orphaned,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    pub id: String,
    /// Swarm service id and task id, from the container's labels.
    pub service: Option<String>,
    pub task: Option<String>,
    /// `created`, `running`, `paused`, `restarting`, `removing`, `exited`, `dead`.
    pub state: String,
    /// `starting`, `healthy`, `unhealthy`; `None` without a health check.
    pub health: Option<String>,
    /// The image's id, which is what runs whatever the name says today.
    pub image_id: String,
    pub volumes: Vec<String>,
    /// The kernel killed a process of it because the memory ran out. Lists do not tell it: it is looked up for a
    /// container whose task failed with exit code 137, and `false` otherwise.
    pub out_of_memory: bool,
}

impl Container {
    /// Whether its processes live, or are about to again.
    pub fn runs(&self) -> bool {
        matches!(self.state.as_str(), "running" | "paused" | "restarting")
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    pub id: String,
    pub name: String,
    /// `swarm` or `local`.
    pub scope: String,
    pub driver: String,
    pub labels: BTreeMap<String, String>,
    /// As listed by the Engine.
    pub body: Value,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret {
    pub id: String,
    pub name: String,
    pub index: u64,
    pub labels: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    pub id: String,
    pub name: String,
    pub index: u64,
    pub labels: BTreeMap<String, String>,
    pub data: Vec<u8>,
    /// The template driver's name, where there is one.
    pub templating: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    pub name: String,
    pub driver: String,
    /// The folder that containers get; empty where the driver tells none.
    pub mountpoint: PathBuf,
    pub labels: BTreeMap<String, String>,
    pub options: BTreeMap<String, String>,
}

/// A container of anyone on this node, and what it mounts of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mounting {
    pub id: String,
    pub name: String,
    /// As in [`Container`].
    pub state: String,
    /// The name of its Swarm service, where it has one.
    pub service: Option<String>,
    pub mounts: Vec<Mounted>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mounted {
    /// The volume's name; `None` for a path of the host.
    pub volume: Option<String>,
    /// The folder or file of the host that is mounted, symlinks resolved; a volume that stands for another path has that
    /// one.
    pub source: PathBuf,
    /// The container can write to no volume that lies below the source.
    pub only_reads: bool,
}

/// A container's end while it was watched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ending {
    /// The name of its Swarm service, or its own.
    pub service: String,
    /// It was sent SIGKILL by the Engine, as one is that does not end within its grace period.
    pub killed: bool,
    /// The memory ran out.
    pub out_of_memory: bool,
    /// `None` while it runs.
    pub exit_code: Option<i64>,
}
