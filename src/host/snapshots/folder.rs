//! A folder that is entered once and then used by descriptor: a link that somebody plants in it is never followed.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, fchmod, fstat, mkdirat, openat, renameat, statat, unlinkat,
};
use rustix::io::Errno;

use crate::host::copying::{CopyError, Damage};
use crate::host::store::explained;

/// What a file on its way is called until it is whole.
const PART: &str = ".part-";
const ENTERED: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

pub(super) struct Folder {
    fd: OwnedFd,
    path: PathBuf,
}

impl Folder {
    /// `None` where there is none. Only the last name is not followed.
    pub fn open(path: &Path) -> Result<Option<Self>> {
        Self::entered(CWD, path.as_os_str(), path.to_owned())
    }

    pub fn below(&self, name: &str) -> Result<Option<Self>> {
        Self::entered(&self.fd, name.as_ref(), self.path.join(name))
    }

    fn entered(at: impl std::os::fd::AsFd, name: &OsStr, path: PathBuf) -> Result<Option<Self>> {
        match openat(at, name, ENTERED, Mode::empty()) {
            Ok(fd) => Ok(Some(Self { fd, path })),
            Err(Errno::NOENT) => Ok(None),
            Err(Errno::LOOP | Errno::NOTDIR) => {
                bail!("{} is no folder but a link or a file: look at it, and move it away", path.display())
            }
            Err(cause) => Err(explained(cause.into())).with_context(|| format!("open {}", path.display())),
        }
    }

    /// Makes it (0700) where it is missing; on disk when this returns.
    pub fn made_below(&self, name: &str) -> Result<Self> {
        let path = self.path.join(name);
        let make = || -> io::Result<()> {
            match mkdirat(&self.fd, name, Mode::RWXU) {
                // Synced also where a run that was killed just then has made it.
                Ok(()) | Err(Errno::EXIST) => Ok(rustix::fs::fsync(&self.fd)?),
                Err(cause) => Err(cause.into()),
            }
        };
        make().map_err(explained).with_context(|| format!("make the folder {}", path.display()))?;
        let folder = self.below(name)?.with_context(|| format!("{} is gone just after it was made", path.display()))?;
        // Whatever the umask took away, or an operator gave.
        fchmod(&folder.fd, Mode::RWXU).with_context(|| format!("set the mode of {}", path.display()))?;
        Ok(folder)
    }

    pub fn path_of(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Begins a file (0600) that gets its name when it is whole. One that a killed run had begun is gone then.
    pub fn begin(&self, name: &str) -> Result<Beside<'_>> {
        let part = format!("{PART}{name}");
        self.remove(&part)?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let make = || -> io::Result<File> {
            let fd = openat(&self.fd, &part, flags, Mode::RUSR | Mode::WUSR)?;
            fchmod(&fd, Mode::RUSR | Mode::WUSR)?;
            Ok(File::from(fd))
        };
        let file = make().map_err(explained).with_context(|| format!("write {}", self.path_of(name).display()))?;
        Ok(Beside { folder: self, name: name.to_owned(), part, file, is_whole: false })
    }

    /// Puts a small file in place, on disk when this returns.
    pub fn put(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let mut beside = self.begin(name)?;
        let written = beside.file.write_all(bytes).map_err(explained);
        written.with_context(|| format!("write {}", self.path_of(name).display()))?;
        beside.finish()
    }

    /// A file to read: one that is neither a link nor anything else but a file.
    pub fn file(&self, name: &str) -> Result<File, CopyError> {
        let path = self.path_of(name);
        let damage = |what: &str| CopyError::Damaged(Damage::new(&path, what));
        // A FIFO would keep us waiting for a writer.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let fd = match openat(&self.fd, name, flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Err(damage("is missing")),
            Err(Errno::LOOP) => return Err(damage("is a symbolic link, which no snapshot has")),
            Err(cause) => {
                return Err(explained(cause.into()).context(format!("open {}", path.display())).into());
            }
        };
        let stat = fstat(&fd).with_context(|| format!("look at {}", path.display()))?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Ok(File::from(fd)),
            _ => Err(damage("is no file")),
        }
    }

    /// Its names, in order; one that is no text is told as far as it is one.
    pub fn names(&self) -> Result<Vec<String>> {
        let list = || -> io::Result<Vec<String>> {
            let mut names = Vec::new();
            for entry in Dir::read_from(&self.fd)? {
                let entry = entry?;
                let name = OsStr::from_bytes(entry.file_name().to_bytes()).to_string_lossy().into_owned();
                names.extend(Some(name).filter(|name| name != "." && name != ".."));
            }
            names.sort();
            Ok(names)
        };
        list().with_context(|| format!("read the folder {}", self.path.display()))
    }

    pub fn is_folder(&self, name: &str) -> bool {
        let stat = statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW);
        stat.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
    }

    /// Removes a file, or a link itself; nothing there is as good.
    pub fn remove(&self, name: &str) -> Result<()> {
        match unlinkat(&self.fd, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(cause) => {
                Err(explained(cause.into())).with_context(|| format!("remove {}", self.path_of(name).display()))
            }
        }
    }

    /// Removes a folder below, with all that is in it.
    pub fn remove_folder(&self, name: &str) -> Result<()> {
        let path = self.path_of(name);
        std::fs::remove_dir_all(&path).map_err(explained).with_context(|| format!("remove {}", path.display()))
    }

    pub fn sync(&self) -> Result<()> {
        rustix::fs::fsync(&self.fd).with_context(|| format!("sync {}", self.path.display()))
    }
}

/// A file on its way; gone when it is dropped before it is whole.
pub(super) struct Beside<'a> {
    folder: &'a Folder,
    name: String,
    part: String,
    pub file: File,
    is_whole: bool,
}

impl Beside<'_> {
    /// Gives it its name; file and name are on disk when this returns.
    pub fn finish(mut self) -> Result<()> {
        let put = || -> io::Result<()> {
            self.file.sync_all()?;
            renameat(&self.folder.fd, &self.part, &self.folder.fd, &self.name)?;
            Ok(())
        };
        let path = self.folder.path_of(&self.name);
        put().map_err(explained).with_context(|| format!("put {} in place", path.display()))?;
        self.is_whole = true;
        self.folder.sync()
    }
}

impl Drop for Beside<'_> {
    fn drop(&mut self) {
        if !self.is_whole {
            // The next run removes it otherwise.
            let _ = self.folder.remove(&self.part);
        }
    }
}
