//! One upgrade on its way, or a way back, as the state keeps it: enough to finish it without git, the configuration or
//! anything that was only in memory.
//!
//! The border: what comes next is decided in `upgrade::step`. The surprise: the gates are kept as JSON that this layer
//! does not read; whoever judges wrote it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::state::{Frozen, Release, ReleaseBody};

/// One transaction. There is at most one per host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transaction {
    /// Names the stages beside the volumes and the snapshot: lower-case letters, digits and hyphens.
    pub id: String,
    pub purpose: Purpose,
    /// Who began it: a unit, or a person by login name.
    pub by: String,
    pub began: Timestamp,
    pub step: Step,
    /// When the step was begun first; trying it again does not change that.
    pub step_began: Timestamp,
    /// What is to run where all goes well; `None` where no other release is deployed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new: Option<Candidate>,
    /// What runs when the way back has been gone.
    pub old: Old,
    /// What ran on its own data when a way back by hand began, and runs again where `old` does not come up. `None` where
    /// nothing good did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Old>,
    pub rules: Rules,
    /// The volumes of the old and the new release, found before the transaction begins. Without any, nothing is stopped.
    #[serde(default)]
    pub volumes: BTreeMap<String, Volume>,
    /// Service name -> `Version.Index` after our last write that stopped it.
    #[serde(default)]
    pub indexes: BTreeMap<String, u64>,
    /// The sealed snapshot that this transaction took, or the one that a way back by hand takes its data from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
    /// Volume -> inode of the unpacked folder that is to take the place of its `_data`; all of them are here before the
    /// first exchange.
    #[serde(default)]
    pub staged: BTreeMap<String, u64>,
    /// Volumes that the data to go back to knows nothing of and whose data was moved aside -> the folder that the Engine
    /// mounts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub set_aside: BTreeMap<String, PathBuf>,
    /// When the app was last seen to stand still before the new release was written to the Engine: nobody can have
    /// written to it until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployed: Option<Timestamp>,
    /// Why the way back is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
    /// How the last run left it open, where that run could say so: asked to end, or without an answer. `None` with an
    /// open transaction means that the run was killed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<Fault>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// Another version, or a change of configuration that changes images, volumes or the operator's compose files.
    Upgrade,
    /// Back to the previous release with its snapshot, by hand.
    Rollback,
    /// The same release with the data of a snapshot, by hand.
    Restore,
    /// A snapshot, by hand.
    Take,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// By hand: the snapshot is unpacked beside the volumes while the app still runs.
    Stage,
    Stop,
    Snapshot,
    Deploy,
    Judge,
    Withdraw,
    Restore,
    Redeploy,
    Rejudge,
}

/// The release that is to become current, and what becomes frozen with it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Candidate {
    pub body: ReleaseBody,
    pub key: String,
    pub frozen: Frozen,
    /// How it is judged.
    pub gate: Value,
    /// What the versions that it passes say to people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<PassedNotes>,
}

/// Release notes between the old version (exclusive) and the new one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PassedNotes {
    /// Each with its version as a headline.
    pub text: String,
    /// Whether a person is told of them once the version is taken (`notes = "alert"`).
    pub is_told: bool,
}

/// The release to put back: the current one, or the previous one on a way back by hand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Old {
    pub release: Release,
    pub frozen: Frozen,
    pub gate: Value,
}

/// What the configuration said when the transaction began.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// `snapshot.exclude` and `snapshot.external`: volumes that are neither stored nor put back.
    pub left_out: Vec<String>,
    pub unclean_allowed: bool,
    pub late_rollback: bool,
    /// The deadline of a verdict, in seconds.
    pub within: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Volume {
    /// The folder that the Engine mounts: `…/<volume>/_data`. `None`: the data to go back to knows nothing of this
    /// volume. It does not exist yet and is the new release's own, or the snapshot of a way back by hand is older than
    /// it. Going back sets aside what is in it then.
    pub mountpoint: Option<PathBuf>,
    /// Neither stored nor put back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub left_out: bool,
}

/// Why a transaction goes back, and what was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    pub at: Step,
    pub kind: FaultKind,
    /// In the words that the operator is told.
    pub reason: String,
    pub ts: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// The app said no.
    No,
    /// Disk, tool or Engine would not: nobody knows anything about the version.
    Failed,
    /// A run was killed.
    Crash,
    /// A run was asked to end, and did between two acts or in the middle of a copy.
    LaidDown,
}

impl Purpose {
    /// Back to a snapshot that lies there already.
    pub fn is_way_back(self) -> bool {
        matches!(self, Purpose::Rollback | Purpose::Restore)
    }
}

impl Transaction {
    /// Without volumes nothing has to be stopped, stored or put back.
    pub fn is_stateless(&self) -> bool {
        self.volumes.is_empty()
    }

    /// The volumes that are stored and put back, by name.
    pub fn kept_volumes(&self) -> impl Iterator<Item = (&str, &PathBuf)> {
        let kept = self.volumes.iter().filter(|(_, volume)| !volume.left_out);
        kept.filter_map(|(name, volume)| Some((name.as_str(), volume.mountpoint.as_ref()?)))
    }

    /// The volumes whose data made room for other data, and lies beside it as the failed data.
    pub fn gave_way(&self) -> impl Iterator<Item = (&str, &PathBuf)> {
        let exchanged = self.kept_volumes().filter(|(name, _)| self.staged.contains_key(*name));
        let set_aside = self.set_aside.iter().filter(|_| !self.has_turned());
        exchanged.chain(set_aside.map(|(name, place)| (name.as_str(), place)))
    }

    /// Its releases.
    pub fn bodies(&self) -> impl Iterator<Item = &ReleaseBody> {
        let before = self.before.as_ref().map(|before| &before.release.body);
        std::iter::once(&self.old.release.body).chain(self.new.as_ref().map(|new| &new.body)).chain(before)
    }

    /// A way back by hand that can be undone, and is not being undone yet.
    pub fn can_turn(&self) -> bool {
        self.purpose.is_way_back() && self.before.is_some() && self.fault.is_none()
    }

    /// The way back by hand is being undone: what ran before it gets its own data back and runs again.
    pub fn has_turned(&self) -> bool {
        self.purpose.is_way_back() && self.fault.as_ref().is_some_and(|fault| fault.at >= Step::Withdraw)
    }

    /// What is told of it in a sentence: `26.5.6 -> 26.7.3`.
    pub fn target(&self) -> String {
        let old = &self.old.release.body.revision;
        match &self.new {
            Some(new) => format!("{old} -> {}", new.body.revision),
            None => old.to_string(),
        }
    }
}

impl Step {
    /// As the operator reads it, in outcomes and in `status`.
    pub fn word(self) -> &'static str {
        match self {
            Step::Stage => "stage",
            Step::Stop => "stop",
            Step::Snapshot => "snapshot",
            Step::Deploy => "deploy",
            Step::Judge => "judge",
            Step::Withdraw => "withdraw",
            Step::Restore => "restore",
            Step::Redeploy => "redeploy",
            Step::Rejudge => "rejudge",
        }
    }
}
