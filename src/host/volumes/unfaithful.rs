//! What a volume holds that would not come back as it was: told before anything is stopped.

use std::ffi::OsString;
use std::fmt;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::fs::{FileType, llistxattr};
use rustix::io::Errno;

use super::walk::{DEEPEST, Seen, walk};

/// The names that are told; a folder of ten thousand device nodes is one reason.
const TOLD: usize = 20;

/// Something that cannot be stored, or not be put back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfaithful {
    pub path: PathBuf,
    pub why: Why,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// A unit without CAP_MKNOD cannot make one.
    Device,
    /// Another file system, or another place of this one, is mounted on it.
    Mount,
    /// A subvolume, or a file system that was mounted elsewhere first.
    OtherFileSystem,
    /// Attributes that only CAP_SYS_ADMIN sees, and sets.
    Trusted,
    TooDeep,
}

impl fmt::Display for Unfaithful {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.why {
            Why::Device => "is a device node",
            Why::Mount => "has something mounted on it",
            Why::OtherFileSystem => "is another file system or subvolume",
            Why::Trusted => "has trusted.* attributes",
            Why::TooDeep => "lies too deep",
        };
        write!(f, "{} {what}", self.path.display())
    }
}

/// What would not come back, the first twenty. Empty is what an upgrade needs. `trusted.*` attributes are found only by
/// who may see them.
///
/// # Errors
/// When the volume cannot be read.
pub fn find_unfaithful(mountpoint: &Path) -> Result<Vec<Unfaithful>> {
    let mounts = mounts_within(mountpoint)?.into_iter().map(|path| Unfaithful { path, why: Why::Mount });
    let mut found: Vec<Unfaithful> = mounts.collect();
    let mut deepest = Vec::new();
    let walked = walk(mountpoint, |seen| {
        if seen.path.components().count() > DEEPEST {
            deepest.push(Unfaithful { path: mountpoint.join(seen.path), why: Why::TooDeep });
        }
        let why = why(seen)?;
        let path = mountpoint.join(seen.path);
        // A mount is told once.
        let is_new = |why: &Why| *why != Why::OtherFileSystem || !found.iter().any(|other| other.path == path);
        if let Some(why) = why.filter(is_new) {
            found.push(Unfaithful { path, why });
        }
        Ok(())
    });
    match walked {
        Err(_) if !deepest.is_empty() => found.extend(deepest.pop()),
        other => drop(other?),
    }
    found.truncate(TOLD);
    Ok(found)
}

fn why(seen: &Seen<'_>) -> Result<Option<Why>> {
    Ok(match seen.kind {
        FileType::BlockDevice | FileType::CharacterDevice => Some(Why::Device),
        FileType::Directory if seen.is_elsewhere => Some(Why::OtherFileSystem),
        _ if has_trusted(seen)? => Some(Why::Trusted),
        _ => None,
    })
}

fn has_trusted(seen: &Seen<'_>) -> Result<bool> {
    // By the folder's descriptor: however long the path is.
    let mut path = format!("/proc/self/fd/{}/", seen.folder.as_raw_fd()).into_bytes();
    path.extend(seen.name.to_bytes());
    let path = PathBuf::from(OsString::from_vec(path));
    let mut names = vec![0; 1 << 10];
    loop {
        match llistxattr(&path, names.as_mut_slice()) {
            Ok(length) => {
                return Ok(names[..length].split(|byte| *byte == 0).any(|name| name.starts_with(b"trusted.")));
            }
            Err(Errno::RANGE) if names.len() < 1 << 17 => names.resize(names.len() * 2, 0),
            Err(Errno::OPNOTSUPP) => return Ok(false),
            Err(cause) => return Err(cause).context("list extended attributes"),
        }
    }
}

/// Where something is mounted at or below a folder, as this process sees it.
pub(super) fn mounts_within(folder: &Path) -> Result<Vec<PathBuf>> {
    let folder = folder.canonicalize().with_context(|| format!("find {}", folder.display()))?;
    let text = std::fs::read("/proc/self/mountinfo").context("read /proc/self/mountinfo")?;
    let points = text.split(|byte| *byte == b'\n').filter_map(mount_point);
    Ok(points.filter(|point| point.starts_with(&folder)).collect())
}

/// The fifth field of a line, whose odd bytes are written as `\040`.
fn mount_point(line: &[u8]) -> Option<PathBuf> {
    let field = line.split(|byte| *byte == b' ').nth(4)?;
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [first, behind @ ..] = rest {
        let octal = behind.get(..3).filter(|_| *first == b'\\').and_then(|digits| std::str::from_utf8(digits).ok());
        let code = octal.and_then(|digits| u8::from_str_radix(digits, 8).ok());
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { &behind[3..] } else { behind };
    }
    Some(PathBuf::from(std::ffi::OsStr::from_bytes(&bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_point_is_read_with_its_odd_bytes() {
        let line = br"36 35 98:0 / /mnt/a\040b\134c\011 rw,noatime master:1 - ext3 /dev/root rw";
        assert_eq!(mount_point(line), Some(PathBuf::from("/mnt/a b\\c\t")));
        assert_eq!(mount_point(b""), None);
    }

    #[test]
    fn a_plain_folder_has_nothing_that_would_not_come_back() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("file"), "x").unwrap();
        std::os::unix::fs::symlink("/dev/null", dir.path().join("link")).unwrap();
        assert_eq!(find_unfaithful(dir.path()).unwrap(), []);
    }

    #[test]
    fn what_lies_too_deep_is_told_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let deep: PathBuf = std::iter::repeat_n("d", DEEPEST + 5).collect();
        std::fs::create_dir_all(dir.path().join(&deep)).unwrap();
        let found = find_unfaithful(dir.path()).unwrap();
        assert_eq!(found.iter().map(|found| found.why).collect::<Vec<_>>(), [Why::TooDeep]);
    }
}
