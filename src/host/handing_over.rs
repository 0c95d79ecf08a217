//! Secrets that are handed to somebody outside: in a file that its owner alone can read, whole or not there.

mod beside;

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use rustix::fs::{FileType, fstat};

use self::beside::Beside;
use super::store::{InDoubt, explained, sync_folder};

const OTHERS: u32 = 0o077;

/// Whether a file could be put at this path, asked before there is anything to put.
///
/// # Errors
/// When something else than a plain file stands there (a device, a link that leads who knows where), or no folder does.
pub fn check(path: &Path) -> Result<()> {
    match fs::symlink_metadata(path) {
        Ok(there) if !there.is_file() => bail!("{} is no plain file: name another one", path.display()),
        Ok(_) => Ok(()),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => folder_is_there(path),
        Err(cause) => Err(explained(cause)).with_context(|| format!("look at {}", path.display())),
    }
}

fn folder_is_there(path: &Path) -> Result<()> {
    let folder = folder_of(path);
    if !folder.is_dir() || path.file_name().is_none() {
        bail!("{} cannot be written: there is no folder {}", path.display(), folder.display());
    }
    Ok(())
}

/// A bare file name has an empty parent, which cannot be opened.
fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Puts `bytes` in the place of whatever file `path` was, readable by its owner alone (0600), also after a power loss.
/// Of a run that is killed in here nothing is left, or what the next one for the same `path` removes.
///
/// # Errors
/// The old content stands, whole; or the new one, where the error's context is [`InDoubt`] or a disk failed at the end.
pub fn put(path: &Path, bytes: &[u8]) -> Result<()> {
    check(path)?;
    let folder = folder_of(path);
    let beside = Beside::of(path, folder);
    let swept = beside.sweep().map_err(explained);
    swept.with_context(|| format!("remove what a killed run left beside {}", path.display()))?;
    beside.put(bytes).map_err(explained).with_context(|| format!("write {}", path.display()))?;
    sync_folder(folder).context(InDoubt)
}

/// Whether what is written to this output lands in a file that others than its owner may read.
pub fn is_open_to_others(output: impl AsFd) -> io::Result<bool> {
    let stat = fstat(output)?;
    Ok(FileType::from_raw_mode(stat.st_mode).is_file() && stat.st_mode & OTHERS != 0)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::Command;

    use nix::libc::SIGXFSZ;

    use super::*;

    const TARGET: &str = "EVENKEEL_TEST_TARGET";

    #[test]
    fn only_the_owner_can_read_what_is_handed_over_whatever_was_there_before() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("realm.json");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        put(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    }

    /// Once more in a child that may write 4 bytes into a file: the kernel kills it at the fifth.
    #[test]
    fn a_run_that_is_killed_while_it_writes_leaves_nothing_behind() {
        if let Some(target) = std::env::var_os(TARGET) {
            return put(Path::new(&target), b"secret").unwrap();
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("realm.json");
        for there in [None, Some("old")] {
            there.iter().for_each(|old| fs::write(&path, old).unwrap());
            let before = fs::read_dir(dir.path()).unwrap().count();
            let test = format!("{}::a_run_that_is_killed_while_it_writes_leaves_nothing_behind", module_path!());
            let mut child = Command::new("prlimit");
            child.args(["--fsize=4", "--core=0"]).arg(std::env::current_exe().unwrap());
            child.args(["--exact", test.split_once("::").unwrap().1]).env(TARGET, &path);
            let output = child.output().unwrap();
            assert_eq!(output.status.signal(), Some(SIGXFSZ), "{output:?}");
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), before, "something is left");
            assert_eq!(fs::read_to_string(&path).ok().as_deref(), there);
        }
    }

    #[test]
    fn nothing_but_a_plain_file_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("link");
        symlink("/dev/null", &link).unwrap();
        for path in [dir.path(), &link, Path::new("/dev/null"), &dir.path().join("no/folder"), Path::new("..")] {
            assert!(put(path, b"secret").is_err(), "{}", path.display());
        }
        assert!(fs::symlink_metadata("/dev/null").is_ok_and(|there| !there.is_file()));
    }

    #[test]
    fn a_file_that_others_can_read_is_seen_behind_an_output() {
        let file = tempfile::tempfile().unwrap();
        for (mode, open) in [(0o600, false), (0o644, true), (0o640, true)] {
            file.set_permissions(fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(is_open_to_others(&file).unwrap(), open, "{mode:o}");
        }
        assert!(!is_open_to_others(std::io::pipe().unwrap().1).unwrap());
    }
}
