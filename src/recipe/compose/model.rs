//! The typed project: what the compose files of a recipe say, after interpolation and before any name of a stack.
//!
//! The surprise: an absent text is the empty text, an absent number of a setting without "unset" is zero. The Docker
//! CLI knows no difference there, and its merge rules (a zero never overrides) are built on that.

use std::collections::BTreeMap;

use crate::model::diagnostic::Place;

/// Values are nanoseconds.
pub type Nanos = i64;

/// One or several compose files as one.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Project {
    pub services: BTreeMap<String, Service>,
    pub networks: BTreeMap<String, Network>,
    pub volumes: BTreeMap<String, Volume>,
    pub secrets: BTreeMap<String, FileObject>,
    pub configs: BTreeMap<String, FileObject>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Service {
    /// Where its name stands; later files do not move it.
    pub place: Option<Place>,
    pub image: String,
    pub command: Vec<String>,
    pub entrypoint: Vec<String>,
    /// `None`: the variable is removed from the image's environment.
    pub environment: BTreeMap<String, Option<String>>,
    /// Container labels.
    pub labels: BTreeMap<String, String>,
    pub hostname: String,
    pub user: String,
    pub working_dir: String,
    pub isolation: String,
    pub stop_signal: String,
    pub stop_grace_period: Option<Nanos>,
    pub tty: bool,
    pub stdin_open: bool,
    pub read_only: bool,
    pub init: Option<bool>,
    pub restart: String,
    /// `host:address`, in the order of the file.
    pub extra_hosts: Vec<String>,
    /// Empty is not absent, also of the next one: the Engine is then sent an empty `DNSConfig`.
    pub dns: Option<Vec<String>>,
    pub dns_search: Option<Vec<String>>,
    pub cap_add: Vec<String>,
    pub cap_drop: Vec<String>,
    pub sysctls: BTreeMap<String, String>,
    pub ulimits: BTreeMap<String, Ulimit>,
    pub healthcheck: Option<Healthcheck>,
    pub logging: Option<Logging>,
    pub networks: BTreeMap<String, Option<ServiceNetwork>>,
    pub ports: Vec<Port>,
    pub volumes: Vec<Mount>,
    /// Entries of service-level `tmpfs:`.
    pub tmpfs: Vec<Tmpfs>,
    pub secrets: Vec<FileReference>,
    pub configs: Vec<FileReference>,
    pub credential_spec: CredentialSpec,
    pub deploy: Deploy,
    pub lists: Lists,
}

/// Which lists of a service are there, if only as empty ones: a merge joins and sorts those alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lists {
    pub ports: bool,
    pub volumes: bool,
    pub secrets: bool,
    pub configs: bool,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Deploy {
    pub mode: String,
    pub replicas: Option<u64>,
    pub endpoint_mode: String,
    /// Labels of the service itself.
    pub labels: BTreeMap<String, String>,
    pub update_config: Option<UpdateConfig>,
    pub rollback_config: Option<UpdateConfig>,
    pub restart_policy: Option<RestartPolicy>,
    pub limits: Option<Resource>,
    pub reservations: Option<Resource>,
    pub constraints: Vec<String>,
    /// What to spread over.
    pub preferences: Vec<String>,
    pub max_replicas_per_node: u64,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct UpdateConfig {
    pub parallelism: Option<u64>,
    pub delay: Nanos,
    pub failure_action: String,
    pub monitor: Nanos,
    pub max_failure_ratio: f32,
    pub order: String,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct RestartPolicy {
    pub condition: String,
    pub delay: Option<Nanos>,
    pub max_attempts: Option<u64>,
    pub window: Option<Nanos>,
}

/// A text of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Placed {
    pub text: String,
    pub place: Place,
}

/// Limits or reservations; the parts that only one of them has are zero in the other.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Resource {
    /// Read when the files are one: what another file replaces may be no number.
    pub cpus: Option<Placed>,
    pub memory_bytes: i64,
    pub pids: i64,
    /// Kind and value, where an entry has any.
    pub generic: Vec<Option<(String, i64)>>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Healthcheck {
    pub test: Vec<String>,
    pub disable: bool,
    pub interval: Option<Nanos>,
    pub timeout: Option<Nanos>,
    pub start_period: Option<Nanos>,
    pub start_interval: Option<Nanos>,
    pub retries: Option<u64>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Logging {
    pub driver: String,
    /// `None` where the file has no options: options of a later file are then lost, as the Docker CLI loses them.
    pub options: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct ServiceNetwork {
    pub aliases: Vec<String>,
    pub driver_opts: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Port {
    pub target: u32,
    /// Zero: the Engine chooses.
    pub published: u32,
    pub protocol: String,
    pub mode: String,
}

/// One number for both, or soft and hard.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ulimit {
    pub single: i64,
    pub soft: i64,
    pub hard: i64,
}

/// An entry of a service's `volumes:`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Mount {
    pub place: Option<Place>,
    pub kind: String,
    pub source: String,
    pub target: String,
    pub read_only: bool,
    pub consistency: String,
    /// Propagation.
    pub bind: Option<String>,
    pub volume: Option<VolumeOptions>,
    /// Size in bytes.
    pub tmpfs: Option<i64>,
}

/// `/tmp:size=64M`, as written.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tmpfs {
    pub place: Option<Place>,
    pub entry: String,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct VolumeOptions {
    pub nocopy: bool,
    pub subpath: String,
}

/// A service's use of a secret or config.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FileReference {
    pub place: Option<Place>,
    pub source: String,
    pub target: String,
    pub uid: String,
    pub gid: String,
    pub mode: Option<u32>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct CredentialSpec {
    pub config: String,
    pub file: String,
    pub registry: String,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Network {
    pub place: Option<Place>,
    pub name: String,
    pub external: bool,
    pub driver: String,
    pub driver_opts: Option<BTreeMap<String, String>>,
    pub ipam_driver: String,
    pub subnets: Vec<String>,
    pub internal: bool,
    pub attachable: bool,
    pub labels: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Volume {
    pub name: String,
    pub external: bool,
    pub driver: String,
    pub driver_opts: Option<BTreeMap<String, String>>,
    pub labels: BTreeMap<String, String>,
}

/// A top-level secret or config.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FileObject {
    pub place: Option<Place>,
    pub name: String,
    /// `name:` (or `external.name:`) before interpolation: where the variable that holds its version shows.
    pub name_template: String,
    pub file: String,
    pub external: bool,
    pub driver: String,
    pub driver_opts: BTreeMap<String, String>,
    pub template_driver: String,
    pub labels: BTreeMap<String, String>,
}
