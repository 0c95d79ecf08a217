//! How full the file systems are that a host needs, and of which of them a person was told: `<state_dir>/disks.json`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::alert::Alert;
use super::kept::{self, KeptError};

pub const SCHEMA: u32 = 1;

/// One file system, with all that lies on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    pub places: Vec<Place>,
    /// `None` where there is no end of it.
    pub bytes: Option<Share>,
    /// `None` where the file system makes as many as it likes.
    pub inodes: Option<Share>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub role: Role,
    pub path: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Images, volumes and all else of the Engine.
    Docker,
    /// The state directory, with the snapshots.
    State,
}

/// Something that is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    pub all: u64,
    pub free: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    Bytes,
    Inodes,
}

/// What uses a host's disks, as far as that is known, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    pub images: Option<u64>,
    pub volumes: Option<u64>,
    pub build_cache: Option<u64>,
    pub snapshots: Option<u64>,
}

/// What was told of a host's disks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disks {
    pub schema: u32,
    /// What is above its watermark and was told.
    pub told: BTreeMap<String, Told>,
    /// Where the Engine said last that it keeps its data: for who looks without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docker_root: Option<PathBuf>,
    /// Alerts that have to be written yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub due: Vec<Alert>,
}

/// When it was told that something is above its watermark, and which one that was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    pub ts: Timestamp,
    pub watermark: u8,
    /// Of which place; `None` where that was not written down yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
}

impl Default for Disks {
    fn default() -> Self {
        Self { schema: SCHEMA, told: BTreeMap::new(), docker_root: None, due: Vec::new() }
    }
}

impl Disks {
    /// # Errors
    /// For what is damaged, and for what was written by a newer program.
    pub fn parse(text: &[u8]) -> Result<Self, KeptError> {
        kept::parse(text, SCHEMA)
    }
}

impl Disk {
    pub fn share(&self, measure: Measure) -> Option<Share> {
        match measure {
            Measure::Bytes => self.bytes,
            Measure::Inodes => self.inodes,
        }
    }

    pub fn has(&self, role: Role) -> bool {
        self.places.iter().any(|place| place.role == role)
    }
}

impl Share {
    /// What is used of it in per cent, rounded up as `df` does.
    pub fn percent(self) -> u8 {
        let used = u128::from(self.all.saturating_sub(self.free));
        u8::try_from((used * 100).div_ceil(u128::from(self.all.max(1)))).unwrap_or(100)
    }
}

impl Role {
    pub fn word(self) -> &'static str {
        match self {
            Role::Docker => "docker",
            Role::State => "state",
        }
    }
}

impl Measure {
    pub const ALL: [Measure; 2] = [Measure::Bytes, Measure::Inodes];

    pub fn word(self) -> &'static str {
        match self {
            Measure::Bytes => "bytes",
            Measure::Inodes => "inodes",
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.role {
            Role::Docker => "Docker's data root",
            Role::State => "the state directory",
        };
        write!(f, "{what} {}", self.path.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_rounded_up_and_never_overflows() {
        let percent = |all, free| Share { all, free }.percent();
        assert_eq!([percent(100, 100), percent(100, 15), percent(1000, 149), percent(7, 0)], [0, 85, 86, 100]);
        assert_eq!((percent(u64::MAX, 1), percent(10, 20), percent(0, 0)), (100, 0, 0));
    }

    #[test]
    fn what_a_newer_program_wrote_is_told_apart_from_damage() {
        assert_eq!(
            Disks::parse(br#"{"schema": 2, "colour": "red"}"#),
            Err(KeptError::Newer { found: 2, known: SCHEMA })
        );
        assert!(matches!(Disks::parse(b"{\"schema\""), Err(KeptError::Form(_))));
        let disks = Disks {
            told: [("docker-bytes".to_owned(), Told { ts: Timestamp::UNIX_EPOCH, watermark: 85, path: None })].into(),
            docker_root: Some("/var/lib/docker".into()),
            ..Disks::default()
        };
        assert_eq!(Disks::parse(&serde_json::to_vec(&disks).unwrap()), Ok(disks));
    }
}
