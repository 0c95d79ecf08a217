//! Files that are whole or not there: written beside, synced, renamed, the folder synced.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use anyhow::{Context, Result};
use tempfile::NamedTempFile;

/// What files that are on their way begin with; a killed run leaves them behind.
pub(in crate::host) const BESIDE: &str = ".beside-";

/// Marks the error of a [`replace`] that renamed the file but could not sync its folder: a power loss decides whether
/// the old content is found later, or the new.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("nobody knows whether it is on disk")]
pub struct InDoubt;

/// Puts `bytes` in the place of whatever `path` held, readable by us alone. Whoever looks sees the old or the new
/// content, whole, also after a power loss.
///
/// # Errors
/// The old content stands, unless the error's context is [`InDoubt`].
pub(in crate::host) fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let beside = write_beside(path, bytes)?;
    let put = beside.persist(path).map_err(|failed| failed.error);
    put.map_err(explained).with_context(|| format!("put {} in place", path.display()))?;
    sync_folder(folder_of(path)).context(InDoubt)
}

/// Like [`replace`], but leaves a file that is there already as it is and says `false`.
pub(in crate::host) fn put_if_missing(path: &Path, bytes: &[u8]) -> Result<bool> {
    let beside = write_beside(path, bytes)?;
    match beside.persist_noclobber(path) {
        Ok(_) => sync_folder(folder_of(path)).map(|()| true),
        Err(failed) if failed.error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(failed) => Err(explained(failed.error)).with_context(|| format!("put {} in place", path.display())),
    }
}

fn write_beside(path: &Path, bytes: &[u8]) -> Result<NamedTempFile> {
    let write = || -> io::Result<NamedTempFile> {
        let mut beside = tempfile::Builder::new().prefix(BESIDE).tempfile_in(folder_of(path))?;
        // Whatever the umask took away.
        beside.as_file().set_permissions(Permissions::from_mode(0o600))?;
        beside.write_all(bytes)?;
        beside.as_file().sync_all()?;
        Ok(beside)
    };
    write().map_err(explained).with_context(|| format!("write {}", path.display()))
}

/// Makes a folder that only we can enter, and those above it. One that is there already stays as it is.
pub(in crate::host) fn make_folder(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let make = || -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        fs::set_permissions(path, Permissions::from_mode(0o700))
    };
    make().map_err(explained).with_context(|| format!("make the folder {}", path.display()))?;
    sync_folder(folder_of(path))
}

/// Removes what a killed run left on its way. Only for a folder whose lock is held.
pub(super) fn sweep(folder: &Path) -> Result<()> {
    let sweep = || -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(BESIDE) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    };
    match sweep() {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
            Err(cause).with_context(|| format!("sweep {}", folder.display()))
        }
        _ => Ok(()),
    }
}

pub(in crate::host) fn sync_folder(folder: &Path) -> Result<()> {
    let sync = || File::open(folder)?.sync_all();
    sync().with_context(|| format!("sync {}", folder.display()))
}

/// The folder that holds the file; a bare file name has an empty parent, which cannot be opened.
fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// A cause, and what an operator does about it.
#[derive(Debug, thiserror::Error)]
#[error("{cause}; {way_out}")]
struct Explained {
    // In the sentence already, so it is no source.
    cause: io::Error,
    way_out: &'static str,
}

/// Whether this says that nothing can be written to a disk: it is full, or was mounted for reading.
pub fn is_unwritable(error: &anyhow::Error) -> bool {
    use io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    let kind = |cause: &(dyn std::error::Error + 'static)| match cause.downcast_ref::<Explained>() {
        Some(explained) => Some(explained.cause.kind()),
        None => cause.downcast_ref::<io::Error>().map(io::Error::kind),
    };
    error.chain().filter_map(kind).any(|kind| matches!(kind, StorageFull | QuotaExceeded | ReadOnlyFilesystem))
}

/// Adds the way out to the causes that an operator can remove.
pub(in crate::host) fn explained(cause: io::Error) -> anyhow::Error {
    use io::ErrorKind::{AlreadyExists, NotADirectory, PermissionDenied, ReadOnlyFilesystem, StorageFull};
    let way_out = match cause.kind() {
        StorageFull => "free some space on its file system",
        io::ErrorKind::QuotaExceeded => "raise the quota, or free some space",
        PermissionDenied => "run as root, or give the folder to the user who runs this",
        ReadOnlyFilesystem => "mount it writable, or choose another `state_dir`",
        NotADirectory | AlreadyExists => "a file stands where a folder has to be: move it away",
        _ => return cause.into(),
    };
    Explained { cause, way_out }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_takes_nothing_is_told_apart_from_any_other_cause() {
        let told = |kind: io::ErrorKind| {
            let cause: Result<()> = Err(explained(kind.into()));
            cause.context("open the lock").unwrap_err()
        };
        for kind in [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded, io::ErrorKind::ReadOnlyFilesystem] {
            assert!(is_unwritable(&told(kind)), "{kind}");
        }
        for kind in [io::ErrorKind::PermissionDenied, io::ErrorKind::Other, io::ErrorKind::NotADirectory] {
            assert!(!is_unwritable(&told(kind)), "{kind}");
        }
        let words = format!("{:#}", told(io::ErrorKind::StorageFull));
        assert_eq!(words, "open the lock: no storage space; free some space on its file system");
    }
}
