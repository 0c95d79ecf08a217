//! What a person is told of, once per fact: the content of one file in `alerts/`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alert {
    pub app: String,
    pub reason: Reason,
    pub from_version: Option<String>,
    pub to_version: Option<String>,
    /// The notes of the versions between, each with its version as a headline.
    pub release_notes: Option<String>,
    pub ts: Timestamp,
    /// What was seen, in the words of the outcome: one sentence.
    pub evidence: String,
    /// What a person has to do, in commands.
    pub next_step: String,
    /// The host's name.
    pub host: String,
    /// Which fact this is: a second alert of the same fact is not due.
    pub fact: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    HeldMajor,
    HeldManualMigration,
    HeldPolicy,
    /// A release note lies between the versions that were taken, and `notes = "alert"`.
    ReleaseNotes,
    Rollback,
    Blocked,
    Stuck,
    /// A transaction has been waiting for its verdict, or for its way back, for an hour.
    Undecided,
    Unhealthy,
    Error,
}

impl Reason {
    /// As in the file's name.
    pub fn word(self) -> &'static str {
        match self {
            Reason::HeldMajor => "held-major",
            Reason::HeldManualMigration => "held-manual-migration",
            Reason::HeldPolicy => "held-policy",
            Reason::ReleaseNotes => "release-notes",
            Reason::Rollback => "rollback",
            Reason::Blocked => "blocked",
            Reason::Stuck => "stuck",
            Reason::Undecided => "undecided",
            Reason::Unhealthy => "unhealthy",
            Reason::Error => "error",
        }
    }
}
