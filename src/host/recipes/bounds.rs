//! How much of a stranger's repository is taken at most.

use std::time::Duration;

use anyhow::{Result, ensure};

/// The largest file that is read; a longer one is [`crate::recipe::Entry::TooLarge`].
pub(super) const LARGEST_FILE: u64 = 1 << 20;
/// The most files and folders of one tree, and the most bytes of all of them.
pub(super) const MOST_ENTRIES: usize = 5_000;
pub(super) const MOST_BYTES: u64 = 32 << 20;
/// The longest path of a file, in bytes.
pub(super) const LONGEST_PATH: usize = 4_096;

/// What has been taken of one tree.
#[derive(Default)]
pub(super) struct Taken {
    entries: usize,
    bytes: u64,
}

impl Taken {
    /// Counts a file or folder.
    pub fn entry(&mut self) -> Result<()> {
        self.entries += 1;
        ensure!(self.entries <= MOST_ENTRIES, "more than {MOST_ENTRIES} files and folders; a recipe has few");
        Ok(())
    }

    pub fn bytes(&mut self, more: u64) -> Result<()> {
        self.bytes = self.bytes.saturating_add(more);
        ensure!(self.bytes <= MOST_BYTES, "more than {MOST_BYTES} bytes in all; a recipe has few");
        Ok(())
    }
}

/// What asking a remote may cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bounds {
    /// The remote has to have told its branches and tags by then.
    pub listing: Duration,
    /// The longest that one fetch takes.
    pub fetch: Duration,
    /// The longest wait for another run that fetches the same recipe.
    pub other_run: Duration,
    /// The most bytes of a mirror on disk.
    pub mirror: u64,
    /// The most branches and tags.
    pub tips: usize,
    /// The most address space of git and of each of its children.
    pub memory: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            listing: Duration::from_secs(60),
            fetch: Duration::from_secs(300),
            other_run: Duration::from_secs(400),
            mirror: 512 << 20,
            tips: 50_000,
            memory: 1 << 30,
        }
    }
}

impl Bounds {
    /// Enough for all tips with names of a usual length, and for as many pull requests.
    pub(super) fn listing_bytes(&self) -> usize {
        self.tips.saturating_mul(400)
    }
}
