//! The folder of a volume, `…/<volume>`, and the names that are ours in it.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use rustix::fs::{
    Access, AtFlags, CWD, Dir, FileType, Mode, OFlags, RenameFlags, access, openat, renameat, renameat_with, statat,
};
use rustix::io::Errno;

use super::unfaithful::mounts_within;
use crate::host::store::explained;

const OURS: &str = "evenkeel-";

/// What lies beside a volume's `_data` for a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beside {
    /// A stage on its way: nothing counts on it.
    Part,
    /// A whole stage.
    New,
    /// Data that gave way.
    Failed,
    /// What was written to a volume whose own data was set aside, until that came back.
    Tried,
}

/// How data that gave way is called, beside `_data`.
pub fn failed_names(transaction: &str) -> [String; 2] {
    [Beside::Failed, Beside::Tried].map(|kind| kind.of(transaction))
}

impl Beside {
    const ALL: [Self; 4] = [Self::Part, Self::New, Self::Failed, Self::Tried];

    pub fn of(self, transaction: &str) -> String {
        format!("{OURS}{transaction}-{}", self.word())
    }

    fn word(self) -> &'static str {
        match self {
            Self::Part => "part",
            Self::New => "new",
            Self::Failed => "failed",
            Self::Tried => "tried",
        }
    }

    fn is_stage(self) -> bool {
        matches!(self, Self::Part | Self::New)
    }

    /// Which transaction's, and what, by its name.
    fn read(name: &str) -> Option<(&str, Self)> {
        let rest = name.strip_prefix(OURS)?;
        let kind = |kind: &Self| Some((rest.strip_suffix(kind.word())?.strip_suffix('-')?, *kind));
        Self::ALL.iter().find_map(kind)
    }
}

/// A volume's own folder, entered once.
pub(super) struct Place {
    fd: OwnedFd,
    path: PathBuf,
    data: OsString,
}

impl Place {
    /// Of a mountpoint such as `…/<volume>/_data`, which itself may be missing.
    pub fn of(mountpoint: &Path) -> Result<Self> {
        Self::existing(mountpoint)?
            .with_context(|| format!("the folder of the volume whose data is {} is gone", mountpoint.display()))
    }

    /// `None` where the volume is not there at all.
    pub fn existing(mountpoint: &Path) -> Result<Option<Self>> {
        let (Some(path), Some(data)) = (mountpoint.parent(), mountpoint.file_name()) else {
            bail!("{} is no mountpoint of a volume", mountpoint.display());
        };
        ensure!(mountpoint.is_absolute(), "the mountpoint {} is not absolute", mountpoint.display());
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match openat(CWD, path, flags, Mode::empty()) {
            Ok(fd) => Ok(Some(Self { fd, path: path.to_owned(), data: data.to_owned() })),
            Err(Errno::NOENT) => Ok(None),
            Err(cause) => Err(explained(cause.into())).with_context(|| format!("open {}", path.display())),
        }
    }

    pub fn data(&self) -> &OsStr {
        &self.data
    }

    pub fn path_of(&self, name: impl AsRef<OsStr>) -> PathBuf {
        self.path.join(name.as_ref())
    }

    /// The inode of a folder; `None` where there is nothing.
    ///
    /// # Errors
    /// Also when it is no folder but a link or a file.
    pub fn inode(&self, name: impl AsRef<OsStr>) -> Result<Option<u64>> {
        let name = name.as_ref();
        let path = || self.path_of(name).display().to_string();
        match statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => Ok(Some(inode(&stat))),
            Ok(_) => bail!("{} is no folder: look at it, and move it away", path()),
            Err(Errno::NOENT) => Ok(None),
            Err(cause) => Err(explained(cause.into())).with_context(|| format!("look at {}", path())),
        }
    }

    /// A new folder that only we can enter.
    pub fn make(&self, name: &str) -> Result<()> {
        let path = self.path_of(name);
        let made = rustix::fs::mkdirat(&self.fd, name, Mode::RWXU).map_err(io::Error::from).map_err(explained);
        made.with_context(|| format!("make the folder {}", path.display()))
    }

    pub fn open(&self, name: impl AsRef<OsStr>) -> Result<OwnedFd> {
        let name = name.as_ref();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat(&self.fd, name, flags, Mode::empty()).with_context(|| format!("open {}", self.path_of(name).display()))
    }

    /// Gives a folder a name that nothing has; on disk when this returns.
    pub fn rename(&self, from: impl AsRef<OsStr>, to: impl AsRef<OsStr>) -> Result<()> {
        let (from, to) = (from.as_ref(), to.as_ref());
        let renamed = match renameat_with(&self.fd, from, &self.fd, to, RenameFlags::NOREPLACE) {
            // A file system without the flag. A folder never takes the place of one that is not empty.
            Err(Errno::INVAL | Errno::NOSYS) => renameat(&self.fd, from, &self.fd, to),
            other => other,
        };
        renamed.map_err(io::Error::from).map_err(explained).with_context(|| self.told(from, to))?;
        self.sync()
    }

    /// Exchanges two folders at once; on disk when this returns. `false`: this file system cannot, nothing was done.
    pub fn swap(&self, one: impl AsRef<OsStr>, other: impl AsRef<OsStr>) -> Result<bool> {
        let (one, other) = (one.as_ref(), other.as_ref());
        match renameat_with(&self.fd, one, &self.fd, other, RenameFlags::EXCHANGE) {
            Ok(()) => self.sync().map(|()| true),
            Err(Errno::INVAL | Errno::NOSYS) => Ok(false),
            Err(cause) => Err(explained(cause.into())).with_context(|| self.told(one, other)),
        }
    }

    fn told(&self, from: &OsStr, to: &OsStr) -> String {
        format!("rename {} to {}", self.path_of(from).display(), to.to_string_lossy())
    }

    pub fn sync(&self) -> Result<()> {
        rustix::fs::fsync(&self.fd).with_context(|| format!("sync {}", self.path.display()))
    }

    /// Removes a folder of ours with all that is in it. Nothing there is as good.
    ///
    /// # Errors
    /// Also when something is mounted in it: that is somebody else's.
    pub fn remove(&self, name: &str) -> Result<()> {
        if self.inode(name)?.is_none() {
            return Ok(());
        }
        let path = self.path_of(name);
        if let Some(mount) = mounts_within(&path)?.first() {
            bail!("{} is mounted in {}: unmount it first", mount.display(), path.display());
        }
        std::fs::remove_dir_all(&path).map_err(explained).with_context(|| format!("remove {}", path.display()))?;
        self.sync()
    }

    /// What is ours here: name, transaction, kind.
    fn ours(&self) -> Result<Vec<(String, String, Beside)>> {
        let list = || -> io::Result<Vec<_>> {
            let mut found = Vec::new();
            for entry in Dir::read_from(&self.fd)? {
                let entry = entry?;
                let Ok(name) = entry.file_name().to_str() else { continue };
                found.extend(Beside::read(name).map(|(whose, kind)| (name.to_owned(), whose.to_owned(), kind)));
            }
            Ok(found)
        };
        list().with_context(|| format!("read the folder {}", self.path.display()))
    }

    fn drop_but(&self, keep: &[&str], is_meant: impl Fn(Beside) -> bool) -> Result<()> {
        for (name, whose, kind) in self.ours()? {
            if is_meant(kind) && !keep.contains(&whose.as_str()) {
                self.remove(&name)?;
            }
        }
        Ok(())
    }
}

/// Whether folders can be made, renamed and removed in a folder by this process. Asks only.
///
/// # Errors
/// Why not. Whoever is root is refused, too, where the file system is read-only for him.
pub fn may_write(folder: &Path) -> io::Result<()> {
    Ok(access(folder, Access::WRITE_OK | Access::EXEC_OK)?)
}

/// Removes the data that gave way in this volume, but that of the transactions in `keep`.
pub fn drop_failed(mountpoint: &Path, keep: &[&str]) -> Result<()> {
    let Some(place) = Place::existing(mountpoint)? else { return Ok(()) };
    place.drop_but(keep, |kind| !kind.is_stage())
}

/// Removes stages, whole or not, but those of the transactions in `keep`: name every one that is open or stuck.
pub fn drop_stages(mountpoint: &Path, keep: &[&str]) -> Result<()> {
    let Some(place) = Place::existing(mountpoint)? else { return Ok(()) };
    place.drop_but(keep, Beside::is_stage)
}

// The field's width differs between machines.
#[allow(clippy::unnecessary_cast)]
pub(super) fn inode(stat: &rustix::fs::Stat) -> u64 {
    stat.st_ino as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_names_are_read_as_they_were_written_and_no_others() {
        for kind in Beside::ALL {
            assert_eq!(Beside::read(&kind.of("tx-1")), Some(("tx-1", kind)));
        }
        for name in ["_data", "evenkeel-", "evenkeel-tx", "evenkeelnew", "other-tx-new", "evenkeel-tx-newer"] {
            assert_eq!(Beside::read(name), None, "{name}");
        }
    }
}
