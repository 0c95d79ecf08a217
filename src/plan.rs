//! What differs between what is and what is to be, as a value.
//!
//! The border: nothing is asked and nothing is written here; names stand where the Engine wants ids. Nothing differs:
//! the plan is empty, and whoever applies it writes nothing. The surprise: an update hands on the live part of a spec
//! wherever it means the same as the wanted one, since Swarm restarts tasks for another spelling of the same thing.

mod account;
pub mod canonical_form;
mod configs;
pub mod diff;
mod images;
mod leftovers;
mod networks;
mod reason;
mod render;
mod restart;
mod secrets;
mod services;
#[cfg(test)]
pub(crate) mod world;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

use crate::config::{Resolve, SharedNetwork};
use crate::desired::Desired;
use crate::model::app::StackName;
use crate::model::observed::Observed;
use crate::model::secret::{Rule, SecretBytes};
use canonical_form::Engine;

pub use account::{Account, Stays};
pub use images::{image_references, resolve_images};
pub use networks::{shared_network, unlike_declared};
pub use restart::{Order, Restart, Start, wants_alone};
pub use services::volumes;

/// The label that marks objects as ours, beside the namespace label of stacks.
pub const OUR_LABEL: &str = "evenkeel.stack";
pub const NAMESPACE_LABEL: &str = "com.docker.stack.namespace";

/// What a plan depends on besides what is and what is to be.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// Names of secrets whose bytes are kept on disk.
    pub kept_secrets: &'a BTreeSet<String>,
    /// A version that follows content, `c1a2b3c`: see `HostKey::content_version`.
    pub content_version: &'a dyn Fn(&[u8]) -> String,
    pub resolve: Resolve,
    /// The Engine API version that is spoken.
    pub api: (u32, u32),
    /// Texts that are for nobody's eyes, whatever they are called.
    pub is_hidden: &'a diff::IsHidden<'a>,
    /// Names of secrets, configs and networks that another recorded release has: no leftovers, whoever uses them now.
    pub recorded: &'a BTreeSet<String>,
    /// Image reference -> id, as the release that runs was recorded: a service that names the id names the same image.
    pub images: &'a BTreeMap<String, String>,
    /// The network of no stack that is made again where it is missing.
    pub shared: Option<&'a SharedNetwork>,
}

/// No other release is recorded.
const NOTHING: &BTreeSet<String> = &BTreeSet::new();
const NO_IMAGES: &BTreeMap<String, String> = &BTreeMap::new();

impl<'a> Context<'a> {
    /// With the oldest Engine that is supported.
    pub fn new(
        kept_secrets: &'a BTreeSet<String>,
        content_version: &'a dyn Fn(&[u8]) -> String,
        resolve: Resolve,
    ) -> Self {
        let (recorded, images) = (NOTHING, NO_IMAGES);
        let is_hidden = &|_: &str, _: &str| false;
        Self { kept_secrets, content_version, resolve, api: (1, 41), is_hidden, recorded, images, shared: None }
    }

    fn engine(&self) -> Engine {
        Engine { api: self.api, resolve: self.resolve }
    }
}

/// All changes of one stack, in the order in which they are made.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    pub stack: StackName,
    pub changes: Vec<Change>,
    /// What a person should know although nothing is done about it.
    pub notes: Vec<String>,
    /// How many desired objects are as they should be.
    pub unchanged: usize,
    /// What is desired under its final names: those of configs follow what is live.
    pub desired: Desired,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    pub object: Object,
    pub name: String,
    pub act: Act,
    /// Why, in the operator's words.
    pub reason: String,
    /// Unified diff of the canonical forms, secret values hidden.
    pub diff: Option<String>,
    /// Whether running tasks are replaced.
    pub restarts: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Object {
    Network,
    Secret,
    Config,
    Service,
}

/// Specs and bodies are complete but for ids. `Debug` shows none of them: environments hold secret values.
#[derive(Clone, PartialEq)]
pub enum Act {
    CreateNetwork {
        body: Value,
    },
    CreateSecret {
        spec: Value,
        data: SecretData,
    },
    CreateConfig {
        spec: Value,
        body: Vec<u8>,
    },
    CreateService {
        spec: Value,
    },
    /// `new_image`: the reference is not the one that runs, so it has to be had (and resolved) first.
    UpdateService {
        spec: Value,
        new_image: bool,
    },
    RemoveService,
    RemoveNetwork,
    RemoveSecret,
    RemoveConfig,
}

/// Where the bytes of a secret that is to be created come from.
#[derive(Debug, Clone, PartialEq)]
pub enum SecretData {
    Given(SecretBytes),
    /// From the disk, where they are kept under the secret's name.
    Kept,
    /// To be made by this rule, and kept before they are sent.
    Generated(Rule),
    /// A driver gives them at run time.
    Driver,
}

impl Act {
    pub fn verb(&self) -> &'static str {
        match self {
            Act::CreateNetwork { .. }
            | Act::CreateSecret { .. }
            | Act::CreateConfig { .. }
            | Act::CreateService { .. } => "create",
            Act::UpdateService { .. } => "update",
            Act::RemoveService | Act::RemoveNetwork | Act::RemoveSecret | Act::RemoveConfig => "remove",
        }
    }

    /// What services may still need if the new version has to be taken back: removed only once it has passed its gate.
    fn waits_for_gate(&self) -> bool {
        matches!(self, Act::RemoveNetwork | Act::RemoveSecret | Act::RemoveConfig)
    }
}

impl fmt::Debug for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.verb())
    }
}

impl Object {
    pub fn word(self) -> &'static str {
        match self {
            Object::Network => "network",
            Object::Secret => "secret",
            Object::Config => "config",
            Object::Service => "service",
        }
    }
}

/// Why no plan can be made; each with the way out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    #[error(
        "secret {name} exists nowhere and is not made here: create it (docker secret create {name} FILE), or name a file \
         with its value in the app's table: secrets = {{ {key} = \"/path\" }}"
    )]
    ExternalSecretMissing { key: String, name: String },
    #[error(
        "secret {name} is one that the recipe does not want generated: put its value into a file and name it in the app's \
         table: secrets = {{ {key} = \"/path\" }}"
    )]
    SecretNotGiven { key: String, name: String },
    #[error(
        "secret {name} exists nowhere, but volume {volume} does and may hold data made with a secret that nobody has any \
         more: put the value that was used into a file and name it in the app's table: secrets = {{ {key} = \"/path\" }}; \
         or remove the volume if its data is not wanted"
    )]
    SecretLostWithVolume { key: String, name: String, volume: String },
    #[error(
        "secret {name} belongs to stack {owner}: another app's secret is not mounted; give the recipe's a name of its own, or \
         name a file with its value in the app's table: secrets = {{ {key} = \"/path\" }}"
    )]
    SecretOfAnotherStack { key: String, name: String, owner: String },
    #[error("config {name} belongs to stack {owner}: give the recipe's a name of its own, or declare it external")]
    ConfigOfAnotherStack { name: String, owner: String },
    #[error("config {name} is external and does not exist: create it (docker config create {name} FILE)")]
    ExternalConfigMissing { name: String },
    #[error(
        "config {name} exists with another content than its name stands for: remove it, or give the recipe's config a new \
         version"
    )]
    ConfigTaken { name: String },
    #[error(
        "network {name} is external and does not exist: create it (`docker network create --driver overlay --attachable \
         {name}`), or call it as the shared one is called ([network].name)"
    )]
    ExternalNetworkMissing { name: String },
    #[error(
        "network {name} has scope {scope}, and services need one of scope swarm: remove it, then `evenkeel swarm` creates \
         the shared one"
    )]
    NetworkNotInSwarm { name: String, scope: String },
    #[error(
        "network {name} exists and does not belong to stack {stack}: remove it, or declare it external in the recipe"
    )]
    NetworkTaken { name: String, stack: StackName },
    #[error("{what} name {name} has {length} characters, the Engine takes {most}: choose a shorter domain or name")]
    NameTooLong { what: &'static str, name: String, length: usize, most: usize },
}

/// The stack that an object belongs to, if that is another one.
fn other_owner<'a>(labels: &'a BTreeMap<String, String>, stack: &StackName) -> Option<&'a str> {
    let owners = [OUR_LABEL, NAMESPACE_LABEL].into_iter().filter_map(|label| labels.get(label));
    owners.map(String::as_str).find(|owner| *owner != stack.as_str())
}

/// What the parts of a plan are made of.
struct Draft {
    changes: Vec<Change>,
    notes: Vec<String>,
    unchanged: usize,
    errors: Vec<PlanError>,
}

impl Plan {
    /// Compares; see the module's own words.
    ///
    /// # Errors
    /// Everything that stands in the way, at once; nothing is to be touched then.
    pub fn new(observed: &Observed, desired: &Desired, context: &Context) -> Result<Plan, Vec<PlanError>> {
        let mut draft = Draft { changes: Vec::new(), notes: Vec::new(), unchanged: 0, errors: Vec::new() };
        let mut desired = desired.clone();
        networks::plan(observed, &desired, context, &mut draft);
        secrets::plan(observed, &desired, context, &mut draft);
        configs::plan(observed, &mut desired, context, &mut draft);
        services::plan(observed, &desired, context, &mut draft);
        leftovers::plan(observed, &desired, context.recorded, &mut draft);
        if draft.errors.is_empty() {
            let Draft { changes, notes, unchanged, .. } = draft;
            return Ok(Plan { stack: desired.stack.clone(), changes, notes, unchanged, desired });
        }
        Err(draft.errors)
    }

    /// Nothing is to be written.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Services are written, and no running task is replaced for it.
    pub fn only_updates_without_restarts(&self) -> bool {
        let mut services = self.changes.iter().filter(|change| change.object == Object::Service).peekable();
        let kept = |change: &Change| matches!(change.act, Act::UpdateService { .. }) && !change.restarts;
        services.peek().is_some() && services.all(kept)
    }

    /// What is done at once, in this order.
    pub fn before_gate(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter().filter(|change| !change.act.waits_for_gate())
    }

    /// What is done only after the new version has passed its gate: leftovers that the old one would need.
    pub fn after_gate(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter().filter(|change| change.act.waits_for_gate())
    }
}

impl Draft {
    /// A change without a diff that restarts nothing.
    fn change(&mut self, object: Object, name: &str, act: Act, reason: &str) {
        let (name, reason) = (name.to_owned(), reason.to_owned());
        self.changes.push(Change { object, name, act, reason, diff: None, restarts: false });
    }

    /// The Engine's bounds, told before anything is touched.
    fn check_length(&mut self, object: Object, name: &str) {
        let most = if object == Object::Service { 63 } else { 64 };
        if object != Object::Network && name.len() > most {
            let (what, length) = (object.word(), name.len());
            self.errors.push(PlanError::NameTooLong { what, name: name.to_owned(), length, most });
        }
    }
}
