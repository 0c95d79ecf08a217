//! Whether what a transaction writes fits, counted per file system before anything is stopped.
//!
//! The border: images are the caller's, who adds what they need. The surprise: an archive is counted as large as its data.
//! How well that compresses is known only afterwards, and a full disk in the middle costs more than a refusal.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use anyhow::{Context, Result};
use rustix::fs::{stat, statfs, statvfs};

use super::walk::Size;

/// What is asked of each file system beyond what is counted, in percent.
const SPARE: u64 = 10;
/// What an archive needs per entry beyond its content, before compression.
const PER_ENTRY: u64 = 2048;

/// Room on one file system.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Room {
    pub bytes: u64,
    pub inodes: u64,
}

/// What is free on the file system of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Free {
    /// Equal for paths on the same one.
    pub file_system: u64,
    pub bytes: u64,
    /// `None` where the file system makes as many as it likes.
    pub inodes: Option<u64>,
}

/// Names the file system of a path, by its kind and the number that it gives itself; `None` where the path cannot be
/// looked at. Most keep their number for good, some (XFS) are numbered anew when the machine starts.
pub fn file_system(path: &Path) -> Option<String> {
    let (kind, number) = (statfs(path).ok()?.f_type, statvfs(path).ok()?.f_fsid);
    Some(format!("{kind:x}-{number:x}"))
}

/// File system -> what is written there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs(pub BTreeMap<u64, Room>);

/// Too little on one file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shortfall {
    pub file_system: u64,
    pub needed: u64,
    pub free: u64,
    pub of: Of,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    Bytes,
    Inodes,
}

impl Size {
    /// What its data takes once more.
    pub fn room(self) -> Room {
        Room { bytes: self.allocated, inodes: self.inodes }
    }
}

impl Needs {
    /// Of an upgrade: an archive of each volume, and beside each a stage and the data that failed.
    pub fn of_volumes(archives: u64, volumes: impl IntoIterator<Item = (u64, Size)>) -> Self {
        let mut needs = Self::default();
        // Manifest and folder.
        needs.add(archives, Room { bytes: 64 << 10, inodes: 2 });
        for (file_system, size) in volumes {
            let content = size.allocated.min(size.bytes.saturating_add(size.inodes.saturating_mul(4096)));
            let archive = content.saturating_add(size.entries.saturating_mul(PER_ENTRY));
            needs.add(archives, Room { bytes: archive, inodes: 1 });
            for _stage_then_failed in 0..2 {
                needs.add(file_system, size.room());
            }
        }
        needs
    }

    /// What is asked of this file system, the spare included.
    pub fn bytes_on(&self, file_system: u64) -> u64 {
        self.0.get(&file_system).map_or(0, |room| with_spare(room.bytes))
    }

    pub fn add(&mut self, file_system: u64, room: Room) {
        let sum = self.0.entry(file_system).or_default();
        sum.bytes = sum.bytes.saturating_add(room.bytes);
        sum.inodes = sum.inodes.saturating_add(room.inodes);
    }
}

/// Where it does not fit, ten percent to spare. A file system that nobody has looked at is not judged.
pub fn shortfalls(needs: &Needs, free: &[Free]) -> Vec<Shortfall> {
    let mut found = Vec::new();
    for (file_system, need) in &needs.0 {
        let Some(free) = free.iter().find(|free| free.file_system == *file_system) else { continue };
        let counted = [(Of::Bytes, need.bytes, Some(free.bytes)), (Of::Inodes, need.inodes, free.inodes)];
        for (of, needed, free) in counted {
            let needed = with_spare(needed);
            if let Some(free) = free.filter(|free| *free < needed) {
                found.push(Shortfall { file_system: *file_system, needed, free, of });
            }
        }
    }
    found
}

fn with_spare(needed: u64) -> u64 {
    needed.saturating_add(needed / 100 * SPARE).saturating_add(needed % 100 * SPARE / 100)
}

/// What is free where `path` lies, for us.
pub fn free(path: &Path) -> Result<Free> {
    let told = || format!("look at the file system of {}", path.display());
    let (stat, room) = (stat(path).with_context(told)?, statvfs(path).with_context(told)?);
    // The field's width differs between machines.
    #[allow(clippy::unnecessary_cast)]
    let file_system = stat.st_dev as u64;
    let inodes = Some(room.f_favail).filter(|_| room.f_files > 0);
    Ok(Free { file_system, bytes: room.f_bavail.saturating_mul(room.f_frsize), inodes })
}

impl fmt::Display for Shortfall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.of {
            Of::Bytes => write!(f, "{} MiB are needed and {} MiB are free", self.needed >> 20, self.free >> 20),
            Of::Inodes => write!(f, "{} inodes are needed and {} are free", self.needed, self.free),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn size(bytes: u64, inodes: u64) -> Size {
        Size { entries: inodes, inodes, bytes, allocated: bytes }
    }

    fn has(file_system: u64, bytes: u64, inodes: Option<u64>) -> Free {
        Free { file_system, bytes, inodes }
    }

    #[test]
    fn archives_count_where_the_state_is_and_stages_where_the_volumes_are() {
        let needs = Needs::of_volumes(1, [(2, size(GIB, 10)), (3, size(2 * GIB, 20))]);
        assert_eq!(needs.0[&2], Room { bytes: 2 * GIB, inodes: 20 });
        assert_eq!(needs.0[&3], Room { bytes: 4 * GIB, inodes: 40 });
        assert!((3 * GIB..3 * GIB + (1 << 20)).contains(&needs.0[&1].bytes), "{needs:?}");
        let plenty = [has(1, 4 * GIB, None), has(2, 3 * GIB, Some(100)), has(3, 5 * GIB, Some(100))];
        assert_eq!(shortfalls(&needs, &plenty), []);
        assert_eq!((needs.bytes_on(3), needs.bytes_on(9)), (4 * GIB + 4 * GIB / 10, 0));
    }

    #[test]
    fn on_one_file_system_everything_is_counted_together() {
        let needs = Needs::of_volumes(1, [(1, size(GIB, 10)), (1, size(GIB, 10))]);
        assert!((6 * GIB..6 * GIB + (1 << 20)).contains(&needs.0[&1].bytes));
        let short = shortfalls(&needs, &[has(1, 6 * GIB + (1 << 28), None)]);
        assert_eq!(short.len(), 1, "ten percent are to spare");
        assert!(short[0].to_string().starts_with("6758 MiB are needed and 6400 MiB"), "{}", short[0]);
    }

    #[test]
    fn inodes_count_where_they_are_counted() {
        let needs = Needs::of_volumes(1, [(2, size(1 << 20, 1000))]);
        let of = |inodes| shortfalls(&needs, &[has(1, GIB, None), has(2, GIB, inodes)]);
        assert_eq!(of(None), []);
        assert_eq!(of(Some(2200)), []);
        assert_eq!(of(Some(2199)), [Shortfall { file_system: 2, needed: 2200, free: 2199, of: Of::Inodes }]);
    }

    #[test]
    fn a_sparse_volume_needs_what_it_takes_and_not_what_it_shows() {
        let sparse = Size { entries: 2, inodes: 2, bytes: 100 * GIB, allocated: 1 << 20 };
        assert!(Needs::of_volumes(1, [(1, sparse)]).0[&1].bytes < 4 << 20);
    }

    #[test]
    fn no_size_is_too_large_to_count() {
        let endless = Size { entries: u64::MAX, inodes: u64::MAX, bytes: u64::MAX, allocated: u64::MAX };
        assert_eq!(shortfalls(&Needs::of_volumes(1, [(1, endless), (1, endless)]), &[has(1, GIB, Some(1))]).len(), 2);
    }
}
