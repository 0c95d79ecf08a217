//! What a folder holds, counted without following anything.
//!
//! The walk goes by descriptors and names, never by a path that somebody could bend meanwhile. The surprise: its depth
//! is bounded, since every level holds a descriptor; what lies deeper is told and cannot be stored.

use std::collections::HashSet;
use std::ffi::{CStr, OsStr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, openat, statat};
use serde::{Deserialize, Serialize};

/// Levels below the root that are walked. Each holds two descriptors, of 1024 that a process has.
pub const DEEPEST: usize = 400;

/// How much a folder holds, its root included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Size {
    /// Names that an archive of it has: all but sockets.
    pub entries: u64,
    /// Files and folders; one with several names counts once.
    pub inodes: u64,
    /// Lengths of all files, holes included.
    pub bytes: u64,
    /// What they take on their disk.
    pub allocated: u64,
}

/// One thing below the root.
pub struct Seen<'a> {
    /// From the root.
    pub path: &'a Path,
    pub stat: &'a Stat,
    pub kind: FileType,
    /// The folder that it is in.
    pub folder: BorrowedFd<'a>,
    pub name: &'a CStr,
    /// Its file system is not the root's: it is counted, and what is in it is not.
    pub is_elsewhere: bool,
}

struct Level {
    dir: Dir,
    /// How long the path is without this level.
    above: usize,
}

/// Walks all that is below `root`, which has to be a folder and no link to one.
pub fn walk(root: &Path, mut visit: impl FnMut(&Seen<'_>) -> Result<()>) -> Result<Size> {
    let told = || format!("read the folder {}", root.display());
    let folder = open_folder(CWD, root).with_context(told)?;
    let stat = rustix::fs::fstat(&folder).with_context(told)?;
    let mut count = Count::default();
    count.add(&stat, FileType::Directory);
    let mut path = PathBuf::new();
    let mut levels = vec![Level { dir: Dir::new(folder).with_context(told)?, above: 0 }];
    while let Some(level) = levels.last_mut() {
        let told = |path: &Path| format!("read {}", root.join(path).display());
        let Some(entry) = level.dir.next() else {
            let above = level.above;
            levels.pop();
            path = shortened(path, above);
            continue;
        };
        let entry = entry.with_context(|| told(&path))?;
        if matches!(entry.file_name().to_bytes(), b"." | b"..") {
            continue;
        }
        let above = path.as_os_str().len();
        path.push(OsStr::from_bytes(entry.file_name().to_bytes()));
        let below = look(level, &entry, &path, &stat, &mut count, &mut visit).with_context(|| told(&path))?;
        let Some(below) = below else {
            path = shortened(path, above);
            continue;
        };
        if levels.len() > DEEPEST {
            bail!("{} lies deeper than {DEEPEST} folders, which cannot be stored", root.join(&path).display());
        }
        levels.push(Level { dir: Dir::new(below).with_context(|| told(&path))?, above });
    }
    Ok(count.size)
}

/// Counts one entry and has it visited; gives the folder to go into.
fn look(
    level: &Level,
    entry: &rustix::fs::DirEntry,
    path: &Path,
    root: &Stat,
    count: &mut Count,
    visit: &mut impl FnMut(&Seen<'_>) -> Result<()>,
) -> Result<Option<OwnedFd>> {
    let (folder, name) = (level.dir.fd()?, entry.file_name());
    let stat = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let kind = FileType::from_raw_mode(stat.st_mode);
    let is_elsewhere = stat.st_dev != root.st_dev;
    count.add(&stat, kind);
    visit(&Seen { path, stat: &stat, kind, folder, name, is_elsewhere })?;
    let goes_in = kind == FileType::Directory && !is_elsewhere;
    Ok(if goes_in { Some(open_folder(folder, name)?) } else { None })
}

fn open_folder(at: impl AsFd, path: impl rustix::path::Arg) -> rustix::io::Result<OwnedFd> {
    openat(at, path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}

fn shortened(path: PathBuf, length: usize) -> PathBuf {
    let mut bytes = std::os::unix::ffi::OsStringExt::into_vec(path.into_os_string());
    bytes.truncate(length);
    PathBuf::from(<std::ffi::OsString as std::os::unix::ffi::OsStringExt>::from_vec(bytes))
}

#[derive(Default)]
struct Count {
    size: Size,
    /// Files with several names that were counted.
    linked: HashSet<(u64, u64)>,
}

impl Count {
    fn add(&mut self, stat: &Stat, kind: FileType) {
        if kind != FileType::Socket {
            self.size.entries += 1;
        }
        // The fields' widths differ between machines.
        #[allow(clippy::unnecessary_cast)]
        let (device, inode, links) = (stat.st_dev as u64, stat.st_ino as u64, stat.st_nlink as u64);
        if kind != FileType::Directory && links > 1 && !self.linked.insert((device, inode)) {
            return;
        }
        self.size.inodes += 1;
        self.size.allocated += u64::try_from(stat.st_blocks).unwrap_or(0) * 512;
        if kind == FileType::RegularFile {
            self.size.bytes += u64::try_from(stat.st_size).unwrap_or(0);
        }
    }
}
