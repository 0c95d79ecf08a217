//! A whole file put in place in somebody else's folder, with nothing left behind by a run that is killed.
//!
//! The border: what may be replaced is asked before. No lock guards such a folder and nobody sweeps it, so the file is
//! written without a name (`O_TMPFILE`) where the file system can do that. The surprise: names that are there for a
//! moment belong to one target, and whoever made one holds its `flock`; one that nobody holds was left behind, and the
//! next run for the same target removes it.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use nix::libc;
use rustix::fs::{AtFlags, CWD, linkat};
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use crate::host::store::BESIDE;
use crate::model::hex;

/// Bytes of a name's digest: enough to tell the files of one folder apart.
const DIGEST: usize = 8;

/// The place beside one file.
pub(super) struct Beside<'a> {
    path: &'a Path,
    folder: &'a Path,
    /// What every name for this file begins with.
    mark: String,
}

impl<'a> Beside<'a> {
    pub fn of(path: &'a Path, folder: &'a Path) -> Self {
        let name = path.file_name().map_or(&[][..], OsStr::as_bytes);
        Self { path, folder, mark: format!("{BESIDE}{}-", hex(&Sha256::digest(name)[..DIGEST])) }
    }

    /// Removes what killed runs left on the way to this file.
    pub fn sweep(&self) -> io::Result<()> {
        for entry in fs::read_dir(self.folder)? {
            let entry = entry?;
            if entry.file_name().as_bytes().starts_with(self.mark.as_bytes()) {
                remove_if_left(&entry.path()).or_else(unless_it_is_gone)?;
            }
        }
        Ok(())
    }

    /// Puts `bytes` in place, 0600 and synced; the folder is not.
    pub fn put(&self, bytes: &[u8]) -> io::Result<()> {
        let Ok(file) = self.unnamed() else { return self.put_named(bytes) };
        hold(&file);
        fill(&file, bytes)?;
        // Some file systems sync little of a file while it has no name.
        match link(&file, self.path).and_then(|()| file.sync_all()) {
            Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => self.put_linked(&file),
            // There is no /proc, or the file system knows no links. What else it is, that way meets and tells.
            Err(_) => self.put_named(bytes),
            Ok(()) => Ok(()),
        }
    }

    /// A file that is gone with this process unless it gets a name.
    fn unnamed(&self) -> io::Result<File> {
        OpenOptions::new().write(true).mode(0o600).custom_flags(libc::O_TMPFILE).open(self.folder)
    }

    /// No link replaces a file, a rename does.
    fn put_linked(&self, file: &File) -> io::Result<()> {
        let beside = self.names().make_in(self.folder, |beside| link(file, beside))?;
        file.sync_all()?;
        beside.persist(self.path).map_err(|failed| failed.error)
    }

    fn put_named(&self, bytes: &[u8]) -> io::Result<()> {
        let beside = self.named()?;
        fill(beside.as_file(), bytes)?;
        beside.persist(self.path).map(drop).map_err(|failed| failed.error)
    }

    /// An empty file that no other run takes for left behind.
    fn named(&self) -> io::Result<NamedTempFile> {
        loop {
            let beside = self.names().tempfile_in(self.folder)?;
            hold(beside.as_file());
            // Another run may have swept it before it was held.
            if beside.as_file().metadata()?.nlink() > 0 {
                return Ok(beside);
            }
        }
    }

    fn names(&self) -> tempfile::Builder<'_, 'static> {
        let mut names = tempfile::Builder::new();
        names.prefix(&self.mark);
        names
    }
}

/// A file system without locks is no reason to hand nothing over: two runs for one file at the same moment may then
/// disturb each other, which the one that lost its name tells.
fn hold(file: &File) {
    let _ = file.lock();
}

fn fill(mut file: &File, bytes: &[u8]) -> io::Result<()> {
    // Whatever the umask took away.
    file.set_permissions(Permissions::from_mode(0o600))?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Gives a file a name, another one if it has one. Whatever stands there stays, a link too.
fn link(file: &File, path: &Path) -> io::Result<()> {
    let unnamed = format!("/proc/self/fd/{}", file.as_raw_fd());
    Ok(linkat(CWD, unnamed, CWD, path, AtFlags::SYMLINK_FOLLOW)?)
}

fn remove_if_left(path: &Path) -> io::Result<()> {
    if !fs::symlink_metadata(path)?.is_file() {
        return Ok(());
    }
    let file = match open_as_found(path) {
        // Somebody else's: no run of ours left it.
        Err(cause) if cause.kind() == io::ErrorKind::PermissionDenied => return Ok(()),
        opened => opened?,
    };
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Ok(()),
        Ok(()) | Err(TryLockError::Error(_)) => fs::remove_file(path),
    }
}

/// For writing, too: some file systems lock nothing else.
fn open_as_found(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)
}

fn unless_it_is_gone(cause: io::Error) -> io::Result<()> {
    if cause.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(cause) }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Way = fn(&Beside<'_>, &[u8]) -> io::Result<()>;
    const UNNAMED: Way = |beside, bytes| beside.put(bytes);
    const NAMED: Way = |beside, bytes| beside.put_named(bytes);

    fn names(folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect()
    }

    #[test]
    fn what_is_written_has_no_name_until_it_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("realm.json");
        let file = Beside::of(&path, dir.path()).unnamed().unwrap();
        fill(&file, b"secret").unwrap();
        assert!(names(dir.path()).is_empty());
        link(&file, &path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"secret");
    }

    /// Each way on its own: this file system may know but one of them.
    #[test]
    fn every_way_replaces_the_file_and_leaves_no_other_name() {
        for way in [UNNAMED, NAMED] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("realm.json");
            for bytes in ["first", "second"] {
                way(&Beside::of(&path, dir.path()), bytes.as_bytes()).unwrap();
                assert_eq!(fs::read_to_string(&path).unwrap(), bytes);
                assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
                assert_eq!(names(dir.path()), ["realm.json"]);
            }
        }
    }

    #[test]
    fn what_a_killed_run_left_goes_and_what_a_live_one_writes_stays() {
        let dir = tempfile::tempdir().unwrap();
        let [path, other] = ["realm.json", "other.json"].map(|name| dir.path().join(name));
        let (beside, elsewhere) = (Beside::of(&path, dir.path()), Beside::of(&other, dir.path()));
        let live = beside.named().unwrap();
        let left = [&beside, &elsewhere].map(|beside| dir.path().join(format!("{}x1Y2z3", beside.mark)));
        left.iter().for_each(|left| fs::write(left, "secr").unwrap());
        super::super::put(&path, b"secret").unwrap();
        assert_eq!([live.path(), &left[0], &left[1]].map(Path::exists), [true, false, true]);
    }

    #[test]
    fn runs_for_one_file_at_the_same_time_leave_one_whole_answer() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("realm.json");
        let put = |byte: u8, way: Way| {
            let beside = Beside::of(&path, dir.path());
            for _ in 0..50 {
                beside.sweep().unwrap();
                way(&beside, &[byte; 100]).unwrap();
                let there = fs::read(&path).unwrap();
                assert!(there.len() == 100 && there.iter().all(|at| *at == there[0]), "{there:?}");
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(|| put(1, UNNAMED));
            scope.spawn(|| put(2, UNNAMED));
            scope.spawn(|| put(3, NAMED));
        });
        assert_eq!(names(dir.path()), ["realm.json"]);
    }
}
