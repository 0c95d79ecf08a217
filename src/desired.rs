//! What a stack is to be: an app's recipe at a version, with the operator's values, as bodies for the Engine API.
//!
//! The border: no Engine is asked. Objects refer to each other by *name* (networks, secrets, configs); whoever writes
//! puts the ids in. The surprise: what the recipes' own tool adds (every env variable in service `app`, the
//! `coop-cloud.` labels) is part of what is desired, because recipes rely on it.

use serde_json::Value;

use crate::model::app::StackName;
use crate::model::secret::{Rule, SecretBytes};

/// All objects of one stack. Lists are sorted by name.
#[derive(Debug, Clone, PartialEq)]
pub struct Desired {
    pub stack: StackName,
    pub networks: Vec<DesiredNetwork>,
    /// Networks of other owners that services join: must exist, with scope swarm.
    pub external_networks: Vec<String>,
    pub secrets: Vec<DesiredSecret>,
    pub configs: Vec<DesiredConfig>,
    pub services: Vec<DesiredService>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct DesiredNetwork {
    pub name: String,
    /// Body of `POST /networks/create`.
    pub body: Value,
}

#[derive(Debug, Clone, PartialEq)]
pub struct DesiredSecret {
    /// The name inside the recipe.
    pub key: String,
    /// The Swarm object's name.
    pub name: String,
    /// Body of `POST /secrets/create` without `Data`.
    pub spec: Value,
    pub source: SecretSource,
    /// The env variable that holds its version, found in the raw `name:` template.
    pub version_variable: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum SecretSource {
    /// Exactly these bytes: the operator's file, or a file of the recipe.
    Bytes(SecretBytes),
    /// Made once, if it exists nowhere.
    Generated(Rule),
    /// Somebody else makes it; it must exist.
    External,
    /// A secret driver gives it at run time.
    Driver,
}

#[derive(Debug, Clone, PartialEq)]
pub struct DesiredConfig {
    /// The name inside the recipe.
    pub key: String,
    pub name: String,
    /// Body of `POST /configs/create` without `Data`.
    pub spec: Value,
    /// `None`: external, must exist.
    pub body: Option<Vec<u8>>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct DesiredService {
    /// `<stack>_<service>`.
    pub name: String,
    /// Body of `POST /services/create`: networks by name, `SecretName`/`ConfigName` without ids.
    pub spec: Value,
}
