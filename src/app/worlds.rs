//! Releases and transactions for tests.

use crate::model::state::{Frozen, Release, ReleaseBody};
use crate::model::transaction::{Candidate, Old, Purpose, Rules, Step, Transaction};
use crate::model::version::Revision;

pub fn revision(version: &str) -> Revision {
    Revision { version: Some(version.into()), commit: "0".repeat(40).parse().unwrap() }
}

pub fn body(version: &str) -> ReleaseBody {
    ReleaseBody::empty(revision(version))
}

pub fn release(version: &str) -> Release {
    Release { body: body(version), key: format!("key of {version}"), since: String::new(), snapshot: None }
}

pub fn candidate(version: &str) -> Candidate {
    Candidate {
        body: body(version),
        key: format!("key of {version}"),
        frozen: Frozen::default(),
        gate: serde_json::Value::Null,
        notes: None,
    }
}

/// From or to 1.0.0+1, without volumes.
pub fn transaction(purpose: Purpose) -> Transaction {
    let began = "2026-06-01T02:00:00Z".parse().unwrap();
    Transaction {
        id: "t1".into(),
        purpose,
        by: "nightly".into(),
        began,
        step: Step::Stop,
        step_began: began,
        new: None,
        old: Old { release: release("1.0.0+1"), frozen: Frozen::default(), gate: serde_json::Value::Null },
        before: None,
        rules: Rules::default(),
        volumes: Default::default(),
        indexes: Default::default(),
        snapshot: None,
        staged: Default::default(),
        set_aside: Default::default(),
        deployed: None,
        fault: None,
        left: None,
    }
}
