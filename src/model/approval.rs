//! Approvals: a person lets one version of an app be taken, once, although something holds it.
//!
//! An approval names the commit and every hold that the person was told of. A tag that is moved afterwards, and a hold
//! that nobody had seen, are not approved by it.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::version::{RecipeVersion, Revision};

pub const SCHEMA: u32 = 1;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    pub revision: Revision,
    /// Who said so, by login name.
    pub by: String,
    pub ts: Timestamp,
    /// What it lifts, each as the policy names it.
    pub lifts: BTreeSet<String>,
}

/// All approvals of one app that are not spent; at most one for each commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approvals {
    schema: u32,
    approvals: Vec<Approval>,
}

/// Why a text is no list of approvals.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApprovalError {
    #[error("{0}")]
    Form(String),
    #[error("schema {0} instead of {SCHEMA}: a newer evenkeel wrote it")]
    Schema(u32),
}

impl Default for Approvals {
    fn default() -> Self {
        Self { schema: SCHEMA, approvals: Vec::new() }
    }
}

impl Approvals {
    /// Reads what [`Approvals::to_text`] wrote, strictly: nothing is approved by guessing.
    ///
    /// # Errors
    /// For any other text.
    pub fn parse(text: &[u8]) -> Result<Self, ApprovalError> {
        let read: Self = serde_json::from_slice(text).map_err(|cause| ApprovalError::Form(cause.to_string()))?;
        if read.schema == SCHEMA { Ok(read) } else { Err(ApprovalError::Schema(read.schema)) }
    }

    pub fn to_text(&self) -> String {
        serde_json::to_string_pretty(self).expect("names and times have a text") + "\n"
    }

    pub fn all(&self) -> &[Approval] {
        &self.approvals
    }

    pub fn is_empty(&self) -> bool {
        self.approvals.is_empty()
    }

    /// In the place of an earlier one for the same release.
    pub fn put(&mut self, approval: Approval) {
        self.approvals.retain(|other| other.revision != approval.revision);
        self.approvals.push(approval);
    }

    /// Spends the one for this very release. Those of older versions lapse with it: they were given before something
    /// newer was begun, and nobody has them in mind when that is gone back from.
    pub fn take(&mut self, revision: &Revision) -> Option<Approval> {
        let taken = self.approvals.iter().find(|approval| approval.revision == *revision).cloned();
        self.approvals.retain(|approval| approval.revision != *revision && !is_older(&approval.revision, revision));
        taken
    }
}

fn is_older(one: &Revision, other: &Revision) -> bool {
    let version = |revision: &Revision| revision.version.as_deref()?.parse::<RecipeVersion>().ok();
    version(one).zip(version(other)).is_some_and(|(one, other)| one < other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn approval(version: &str, letter: char) -> Approval {
        let revision =
            Revision { version: Some(version.into()), commit: letter.to_string().repeat(40).parse().unwrap() };
        let ts = "2026-11-21T18:00:00Z".parse().unwrap();
        Approval { revision, by: "alice".into(), ts, lifts: ["major".to_owned()].into() }
    }

    #[test]
    fn an_approval_is_spent_once_and_for_its_commit_alone() {
        let mut kept = Approvals::default();
        kept.put(approval("2.0.0+1", 'a'));
        kept.put(approval("3.0.0+1", 'b'));
        kept.put(Approval { by: "bob".into(), ..approval("2.0.0+1", 'a') });
        assert_eq!(kept.all().len(), 2);
        assert_eq!(kept.take(&approval("2.0.0+1", 'c').revision), None);
        assert_eq!(kept.take(&approval("2.0.0+1", 'a').revision).unwrap().by, "bob");
        assert_eq!(kept.take(&approval("2.0.0+1", 'a').revision), None);
        assert!(!kept.is_empty());
    }

    #[test]
    fn approvals_of_older_versions_lapse_when_a_newer_one_is_begun() {
        let mut kept = Approvals::default();
        for (version, letter) in [("2.0.0+1", 'a'), ("2.1.0+1", 'b'), ("3.0.0+1", 'c')] {
            kept.put(approval(version, letter));
        }
        assert_eq!(kept.take(&approval("2.2.0+1", 'd').revision), None, "that one needed no approval");
        let left: Vec<_> = kept.all().iter().map(|approval| approval.revision.to_string()).collect();
        assert_eq!(left, ["3.0.0+1"]);
    }

    #[test]
    fn what_was_written_is_read_again_and_nothing_else() {
        let mut kept = Approvals::default();
        kept.put(approval("2.0.0+1", 'a'));
        let good = kept.to_text();
        assert_eq!(Approvals::parse(good.as_bytes()), Ok(kept));
        let damaged = [
            String::new(),
            good[..good.len() / 2].to_owned(),
            "{}".to_owned(),
            good.replace("\"schema\": 1", "\"schema\": 2"),
            good.replace("\"lifts\"", "\"lift\""),
            good.replace("\"by\"", "\"and\": 1, \"by\""),
        ];
        for text in damaged {
            assert_ne!(text, good);
            assert!(Approvals::parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
