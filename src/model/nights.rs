//! When the apps of each kind were looked at last by a run that takes versions: `<state_dir>/nights.json`.
//!
//! Such runs are the nightly ones. None of them leaves a word when its timer is off, so what is kept is the last good one.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::kept::{self, KeptError};

pub const SCHEMA: u32 = 1;

/// By the verb that keeps a kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nights {
    pub schema: u32,
    pub kinds: BTreeMap<String, Night>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Night {
    /// Since when the kind is known to be declared.
    pub since: Timestamp,
    /// The end of the last good run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub good: Option<Timestamp>,
    /// From when on counted the silence that a person was told of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<Timestamp>,
}

impl Default for Nights {
    fn default() -> Self {
        Self { schema: SCHEMA, kinds: BTreeMap::new() }
    }
}

impl Nights {
    /// # Errors
    /// For what is damaged, and for what was written by a newer program.
    pub fn parse(text: &[u8]) -> Result<Self, KeptError> {
        kept::parse(text, SCHEMA)
    }
}

impl Night {
    pub fn begun(since: Timestamp) -> Self {
        Self { since, good: None, told: None }
    }

    /// From when on a silence counts.
    pub fn last(&self) -> Timestamp {
        self.good.unwrap_or(self.since)
    }
}
