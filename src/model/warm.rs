//! What is kept of a canonical beside its release: how its volumes stand to the known-good data, and what is being done
//! to them.
//!
//! The known-good is the current release with its sealed snapshot, and nothing here. The volumes are that data, left by
//! that release, or they are called dirty, and then they are put back before anybody uses them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::transaction::Transaction;

pub const SCHEMA: u32 = 1;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Warm {
    pub status: Status,
    pub since: Timestamp,
    /// Who brought it there: a unit, or a person by login name.
    pub by: String,
    /// Why it is dirty or lost, in the words that the operator is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The volumes as the known-good release left them, or got them: others of these names hold other data.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub left: BTreeMap<String, Left>,
    /// Service -> `Version.Index` when the app was left idle: what was written since may have been running.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub indexes: BTreeMap<String, u64>,
    /// The boot in which it was deployed: with its host it does not end cleanly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot: Option<String>,
    /// The snapshot of the known-good was read, and was not as it was stored.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub damaged: bool,
    /// What is on its way; closing it is the commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work: Option<Box<Work>>,
}

/// What a volume is known by. Numbers of folders are given out again, and so are names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Left {
    /// Of the folder that is its data.
    pub inode: u64,
    /// When that folder was made; `None` where the file system does not tell.
    pub born: Option<Timestamp>,
}

/// How a canonical stands. Written before the act that makes it so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Its first known-good is being made.
    Seeding,
    /// Nothing runs, and the volumes are as the known-good release left them.
    Idle,
    /// The known-good release runs on them.
    Deployed,
    /// Something else has written to the volumes, or they are not whole.
    Dirty,
    /// Another known-good is being made, on volumes of its own.
    Promoting,
    /// Neither volumes nor snapshot are there any more.
    Lost,
}

/// One thing that is done to a canonical, with all that it takes to finish or undo it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Work {
    pub purpose: Purpose,
    pub step: Step,
    /// The release that is deployed is its `old` one; `before` is the known-good, where that is another. Its own step and
    /// purpose mean nothing here.
    pub transaction: Transaction,
    /// How the canonical stood before.
    pub was: Option<Box<Warm>>,
    /// The boot in which it was begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot: Option<String>,
    /// The volumes as they were found last.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub found: BTreeMap<String, Left>,
    /// The snapshot was put back on the way, so what fails now is not the volumes' fault.
    #[serde(default)]
    pub put_back: bool,
    /// Why it is undone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no: Option<String>,
    /// It was the app itself that said so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub refused: bool,
    /// What is worth a word when it has ended well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// The first known-good.
    Seed,
    /// Another known-good.
    Promote,
    /// The known-good release on the volumes that it left.
    Deploy,
    /// Another commit over what was deployed.
    Quick,
    /// Nothing runs any more.
    Idle,
    /// Nothing runs any more, and the volumes are those of the snapshot.
    Restore,
    /// The volumes are stored once more: their snapshot is gone.
    Seal,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Everything of the stack ends; whatever its data was, it is not going to be used.
    Halt,
    /// The stack's volumes are removed.
    Clear,
    /// The volumes of the snapshot are there, and no others.
    Make,
    /// The snapshot's data is in them.
    PutBack,
    Deploy,
    Judge,
    /// Everything of the stack ends, cleanly, and its volumes are found.
    Rest,
    /// The volumes are stored, sealed and read back.
    Store,
    /// Everything of the stack ends, since it is undone.
    Withdraw,
    /// The volumes that the undone release wrote are removed.
    Discard,
}

/// `canonical.json`: what others may read of a canonical. Derived from the state, and written after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    pub schema: u32,
    pub recipe: String,
    pub domain: String,
    /// Of the known-good; `None` where nothing has been seeded, or the recipe has no versions.
    pub version: Option<String>,
    pub commit: Option<String>,
    /// `None` before the first seed.
    pub status: Option<Status>,
    pub ts: Timestamp,
}

impl Warm {
    pub fn new(status: Status, by: &str, since: Timestamp) -> Self {
        Self {
            status,
            since,
            by: by.to_owned(),
            why: None,
            left: BTreeMap::new(),
            indexes: BTreeMap::new(),
            boot: None,
            damaged: false,
            work: None,
        }
    }
}

impl Work {
    /// How the canonical stood before.
    pub fn status_before(&self) -> Option<Status> {
        self.was.as_ref().map(|was| was.status)
    }
}

impl Status {
    /// As the operator reads it, in outcomes and in `status`.
    pub fn word(self) -> &'static str {
        match self {
            Status::Seeding => "seeding",
            Status::Idle => "idle",
            Status::Deployed => "deployed",
            Status::Dirty => "dirty",
            Status::Promoting => "promoting",
            Status::Lost => "lost",
        }
    }
}

impl Purpose {
    /// What is done, as in `the promote of wiki`.
    pub fn word(self) -> &'static str {
        match self {
            Purpose::Seed => "seed",
            Purpose::Promote => "promote",
            Purpose::Deploy => "deploy",
            Purpose::Quick => "quick upgrade",
            Purpose::Idle => "idling",
            Purpose::Restore => "restore",
            Purpose::Seal => "storing",
        }
    }

    /// Ends with a known-good of its own.
    pub fn makes_known_good(self) -> bool {
        matches!(self, Purpose::Seed | Purpose::Promote)
    }
}

impl Step {
    /// As it is told in logs and in `status`.
    pub fn word(self) -> &'static str {
        match self {
            Step::Halt => "halt",
            Step::Clear => "clear",
            Step::Make => "make",
            Step::PutBack => "put-back",
            Step::Deploy => "deploy",
            Step::Judge => "judge",
            Step::Rest => "rest",
            Step::Store => "store",
            Step::Withdraw => "withdraw",
            Step::Discard => "discard",
        }
    }
}
