//! What is kept on disk about one app: `<state_dir>/<app>/state.json`.
//!
//! The file is replaced whole before each act that it announces. It is read strictly: a field that this version does
//! not know means that a newer one wrote it, and guessing then could cost data.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::app::StackName;
use super::version::Revision;

pub const SCHEMA: u32 = 1;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    pub schema: u32,
    pub stack: String,
    /// The Swarm that holds the stack; another id means that the Swarm was lost or replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swarm: Option<String>,
    /// Where that Engine keeps its volumes; another one has others, also under the same names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_root: Option<PathBuf>,
    /// The release that passed its gate last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<Release>,
    /// A first install that has begun and has not passed its gate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installing: Option<Attempt>,
    /// A change of configuration that is being made over `current`; also kept when it failed, so that it is not tried
    /// again by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changing: Option<Attempt>,
    pub frozen: Frozen,
}

/// What was fixed at install and stays until an upgrade.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Frozen {
    /// The text of `.env.sample` at install.
    pub sample: String,
    /// Recipe secret name -> how its version is chosen.
    pub secret_versions: BTreeMap<String, SecretVersion>,
}

/// The version of a secret whose bytes the operator gives, and the content that it stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretVersion {
    pub version: String,
    /// The content's version under the host key (`c1a2b3c4`), also where `version` is an adopted `v1`.
    pub content: String,
}

/// One release, whole: what it takes to put it back without asking git or today's configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    pub body: ReleaseBody,
    /// Digest of `body`: equal keys are equal releases.
    pub key: String,
    /// When it passed its gate, RFC 3339 in UTC.
    pub since: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleaseBody {
    pub revision: Revision,
    pub networks: BTreeMap<String, Value>,
    pub external_networks: Vec<String>,
    pub secrets: BTreeMap<String, KeptSecret>,
    pub configs: BTreeMap<String, KeptConfig>,
    /// Service specs by names, images as they were resolved.
    pub services: BTreeMap<String, Value>,
    /// Image reference -> image id.
    pub images: BTreeMap<String, String>,
}

/// A secret's spec; its bytes are in `<app>/secrets/<name>`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptSecret {
    pub key: String,
    pub spec: Value,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptConfig {
    pub key: String,
    pub spec: Value,
    /// Base64; `None` for an external one.
    pub body: Option<String>,
}

/// A release on its way: begun, and failed if `failed` says so.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attempt {
    pub revision: Revision,
    pub key: String,
    pub since: String,
    /// Why it failed, in the words that the operator was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}

impl State {
    /// Nothing has happened yet.
    pub fn new(stack: &StackName) -> Self {
        Self {
            schema: SCHEMA,
            stack: stack.to_string(),
            swarm: None,
            data_root: None,
            current: None,
            installing: None,
            changing: None,
            frozen: Frozen::default(),
        }
    }
}
