//! What is kept on disk about one app: `<state_dir>/<app>/state.json`.
//!
//! The file is replaced whole before each act that it announces. It is read strictly: a field that this version does
//! not know means that a newer one wrote it, and guessing then could cost data.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::alert::Alert;
use super::app::StackName;
use super::history::Decided;
use super::transaction::Transaction;
use super::version::Revision;
use super::warm::Warm;

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
    /// The file system that this data root was on; an empty folder where a disk should be mounted is on another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_system: Option<String>,
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
    /// The release before the current one, with the data that belongs to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Previous>,
    /// Versions that failed their gate, the newest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<Refused>,
    /// The target that was interrupted last, and how often.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interrupted: Option<Interrupted>,
    /// What is on its way; closing it is the commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open: Option<Box<Transaction>>,
    /// The way back failed too: nothing more is tried by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stuck: Option<Stuck>,
    /// The data that gave way last; it stays beside the volumes until the next good upgrade, or until more gives way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<Failed>,
    /// Transactions whose data gave way by hand: it was in use, and stays until the next good upgrade, also where others
    /// fail before that.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub left: BTreeSet<String>,
    /// What the history does not have yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided: Option<Decided>,
    /// Alerts that have to be written to `alerts/`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub due_alerts: Vec<Alert>,
    /// Facts that people have been told, by `Alert::fact`.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub alerted: BTreeSet<String>,
    /// Snapshots that were taken by hand.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub kept: BTreeSet<String>,
    /// Of a canonical that was seeded, or is being seeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warm: Option<Warm>,
}

/// The release to go back to by hand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Previous {
    pub release: Release,
    pub frozen: Frozen,
}

/// A version that failed its gate. Not tried again until its key changes or a person approves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refused {
    pub revision: Revision,
    /// Digest of what was deployed: configuration, env and secret versions.
    pub key: String,
    /// Image reference -> image id that was run.
    pub images: BTreeMap<String, String>,
    /// In the words that the operator was told: task error, last log lines, answer.
    pub reason: String,
    pub ts: Timestamp,
    /// A person left it: `rollback` by hand.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_hand: bool,
}

/// How often the way to one target was cut short without a word about the version itself: by a kill, or by a No before
/// it was deployed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interrupted {
    pub key: String,
    pub revision: Revision,
    pub times: u32,
}

/// Where undoing failed, with all that it takes to go on by hand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stuck {
    pub reason: String,
    pub ts: Timestamp,
    pub transaction: Box<Transaction>,
}

/// Data that a way back has moved out of the way: `<volume>/evenkeel-<transaction>-failed` beside each `_data`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failed {
    pub transaction: String,
    /// The release that wrote it last.
    pub revision: Revision,
    pub ts: Timestamp,
}

/// What was fixed at install and stays until an upgrade.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Frozen {
    /// The text of `.env.sample` at install.
    pub sample: String,
    /// Recipe secret name -> how its version is chosen.
    pub secret_versions: BTreeMap<String, SecretVersion>,
    /// Digests of the operator's own compose files, by path.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub overlays: BTreeMap<String, String>,
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
    /// The snapshot that holds its data, in `snapshots/`: of the previous release as it was when it was left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
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

impl ReleaseBody {
    /// The name of the object that a secret of the recipe stands for.
    pub fn secret_named(&self, key: &str) -> Option<&str> {
        self.secrets.iter().find(|(_, secret)| secret.key == key).map(|(name, _)| name.as_str())
    }

    /// A release that consists of nothing yet.
    pub fn empty(revision: Revision) -> Self {
        Self {
            revision,
            networks: BTreeMap::new(),
            external_networks: Vec::new(),
            secrets: BTreeMap::new(),
            configs: BTreeMap::new(),
            services: BTreeMap::new(),
            images: BTreeMap::new(),
        }
    }
}

impl State {
    /// Nothing has happened yet.
    pub fn new(stack: &StackName) -> Self {
        Self {
            schema: SCHEMA,
            stack: stack.to_string(),
            swarm: None,
            data_root: None,
            file_system: None,
            current: None,
            installing: None,
            changing: None,
            frozen: Frozen::default(),
            previous: None,
            refused: Vec::new(),
            interrupted: None,
            open: None,
            stuck: None,
            failed: None,
            left: BTreeSet::new(),
            decided: None,
            due_alerts: Vec::new(),
            alerted: BTreeSet::new(),
            kept: BTreeSet::new(),
            warm: None,
        }
    }

    /// Names of the networks, secrets and configs of every release but the current one that may have to be put back.
    pub fn names_to_go_back_to(&self) -> BTreeSet<String> {
        let previous = self.previous.iter().map(|previous| &previous.release.body);
        let on_their_way = self.transactions().flat_map(Transaction::bodies);
        previous.chain(on_their_way).flat_map(ReleaseBody::names).map(str::to_owned).collect()
    }

    /// The snapshots that something here stands for, and an open or stuck transaction's own. All others may go.
    pub fn named_snapshots(&self) -> BTreeSet<&str> {
        let releases = self.current.iter().chain(self.previous.iter().map(|previous| &previous.release));
        let snapshots = releases.filter_map(|release| release.snapshot.as_deref());
        let under_way = self.transactions().flat_map(|transaction| {
            let taken_from =
                transaction.snapshot.as_deref().into_iter().chain(transaction.old.release.snapshot.as_deref());
            taken_from.chain([transaction.id.as_str()])
        });
        snapshots.chain(under_way).chain(self.kept.iter().map(String::as_str)).collect()
    }

    /// The transactions whose data beside the volumes stays: that of all others may go.
    pub fn named_transactions(&self) -> BTreeSet<&str> {
        let failed = self.failed.iter().map(|failed| failed.transaction.as_str());
        self.under_way().into_iter().chain(failed).chain(self.left.iter().map(String::as_str)).collect()
    }

    /// The transactions whose stages stay.
    pub fn under_way(&self) -> BTreeSet<&str> {
        self.transactions().map(|transaction| transaction.id.as_str()).collect()
    }

    /// Whether runs towards this release were cut short so often that a person has to approve one more.
    pub fn is_given_up(&self, key: &str) -> bool {
        self.interrupted.as_ref().is_some_and(|before| before.key == key && before.times >= Interrupted::ENOUGH)
    }

    fn transactions(&self) -> impl Iterator<Item = &Transaction> {
        let stuck = self.stuck.iter().map(|stuck| stuck.transaction.as_ref());
        let work = self.warm.iter().filter_map(|warm| Some(&warm.work.as_ref()?.transaction));
        self.open.as_deref().into_iter().chain(stuck).chain(work)
    }
}

impl Interrupted {
    /// Two are enough.
    pub const ENOUGH: u32 = 2;
}

impl State {
    /// The ids of the images of every release that runs or may have to.
    pub fn image_ids(&self) -> impl Iterator<Item = &str> {
        self.bodies().flat_map(|body| body.images.values()).map(String::as_str)
    }

    /// Every release that runs or may have to.
    pub fn bodies(&self) -> impl Iterator<Item = &ReleaseBody> {
        let releases = self.current.iter().chain(self.previous.iter().map(|previous| &previous.release));
        releases.map(|release| &release.body).chain(self.transactions().flat_map(Transaction::bodies))
    }
}

impl ReleaseBody {
    /// Names of its networks, secrets and configs.
    fn names(&self) -> impl Iterator<Item = &str> {
        let objects = self.networks.keys().chain(self.secrets.keys()).chain(self.configs.keys());
        objects.map(String::as_str)
    }
}
