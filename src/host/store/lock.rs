//! The lock of an app: `flock` on `<app>/lock`.
//!
//! The kernel drops it with its last holder, so a killed run blocks nobody. A child that was given the descriptor is a
//! holder too. The file's text names the run for those who wait; it is no lock by itself and may be out of date, so `holder`
//! looks who it is.

use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::AppDir;
use super::holder::{Handing, Kind, holder};
use super::place::{explained, make_folder, sweep};

pub(super) const BETWEEN_LOOKS: Duration = Duration::from_millis(100);
/// So many that look at a lock without a pause, for so long, there are not.
const LOOKS_END: Duration = Duration::from_secs(1);

/// Proof that nobody else changes the app now. Released on drop.
#[derive(Debug)]
pub struct Lock {
    file: File,
    dir: PathBuf,
}

#[derive(Debug)]
pub enum LockAttempt {
    Taken(Lock),
    /// Another run is at the app; `by` says which, as in `pid 4711 evenkeel proxy`.
    Held {
        by: String,
    },
}

impl Lock {
    /// For a child that must have ended before somebody else may take the lock.
    pub fn share(&self) -> Result<File> {
        self.file.try_clone().context("share the lock with a child")
    }

    /// The same lock for a thread of this run: it is free when both are dropped.
    pub fn twin(&self) -> Result<Lock> {
        Ok(Lock { file: self.share()?, dir: self.dir.clone() })
    }
}

impl AppDir {
    /// Takes the app's lock, or says who holds it. Does not wait.
    pub fn lock(&self) -> Result<LockAttempt> {
        make_folder(&self.dir)?;
        let path = self.dir.join("lock");
        let file = open_lock(&path)?;
        if !is_taken_from_lookers(&file, &path)? {
            return Ok(LockAttempt::Held { by: holder(&path, Kind::Whole, Handing::ToChildren)? });
        }
        name_us(&file).map_err(explained).with_context(|| format!("write {}", path.display()))?;
        sweep(&self.dir)?;
        sweep(&self.dir.join("secrets"))?;
        Ok(LockAttempt::Taken(Lock { file, dir: self.dir.clone() }))
    }

    /// Who holds the lock now, if anybody does. A look shares the lock for a moment: [`AppDir::lock`] does not take that
    /// for a run.
    pub fn holder(&self) -> Result<Option<String>> {
        let path = self.dir.join("lock");
        // For reading: who looks may be on a disk that cannot be written.
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(cause) if matches!(cause.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(cause) => return Err(explained(cause)).with_context(|| format!("open the lock {}", path.display())),
        };
        Ok(if is_shared(&file, &path)? { None } else { Some(holder(&path, Kind::Whole, Handing::ToChildren)?) })
    }

    /// Waits until the lock is free. `on_wait` is told once who holds it, if it is not free at once.
    pub async fn lock_waiting(&self, on_wait: impl FnOnce(&str)) -> Result<Lock> {
        let by = match self.lock()? {
            LockAttempt::Taken(lock) => return Ok(lock),
            LockAttempt::Held { by } => by,
        };
        on_wait(&by);
        loop {
            // A blocking flock would keep the program alive after Ctrl-C.
            tokio::time::sleep(BETWEEN_LOOKS).await;
            if let LockAttempt::Taken(lock) = self.lock()? {
                return Ok(lock);
            }
        }
    }

    pub(in crate::host) fn ensure_locked_by(&self, lock: &Lock) -> Result<()> {
        ensure!(lock.dir == self.dir, "the lock of {} does not cover {}", lock.dir.display(), self.dir.display());
        Ok(())
    }
}

/// Opens a lock file without touching its text. It is never removed: a run that waits on a removed file would share
/// its lock with nobody.
pub(in crate::host) fn open_lock(path: &Path) -> Result<File> {
    let open = || -> io::Result<File> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        if file.metadata()?.permissions().mode() & 0o777 != 0o600 {
            file.set_permissions(Permissions::from_mode(0o600))?;
        }
        Ok(file)
    };
    open().map_err(explained).with_context(|| format!("open the lock {}", path.display()))
}

/// Waits for a lock that nobody holds for more than a moment.
pub(in crate::host) fn alone(path: &Path) -> Result<File> {
    let file = open_lock(path)?;
    file.lock().with_context(|| format!("lock {}", path.display()))?;
    Ok(file)
}

/// Takes the lock also where others look at it just now: who looks shares it, a run shares it with nobody.
fn is_taken_from_lookers(file: &File, path: &Path) -> Result<bool> {
    let begun = Instant::now();
    loop {
        if is_taken(file, path)? {
            return Ok(true);
        }
        if !is_shared(file, path)? || begun.elapsed() >= LOOKS_END {
            return Ok(false);
        }
        file.unlock().with_context(|| format!("unlock {}", path.display()))?;
        thread::sleep(Duration::from_micros(200));
    }
}

pub(in crate::host) fn is_taken(file: &File, path: &Path) -> Result<bool> {
    attempt(file.try_lock(), path)
}

fn is_shared(file: &File, path: &Path) -> Result<bool> {
    attempt(file.try_lock_shared(), path)
}

fn attempt(taken: Result<(), TryLockError>, path: &Path) -> Result<bool> {
    match taken {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(cause)) => Err(cause).with_context(|| format!("lock {}", path.display())),
    }
}

/// `pid N command`, for whoever waits.
pub(super) fn name_us(mut file: &File) -> io::Result<()> {
    let mut words = std::env::args().collect::<Vec<_>>();
    if let Some(program) = words.first_mut() {
        *program = program.rsplit('/').next().unwrap_or_default().to_owned();
    }
    let line = format!("pid {} {}\n", std::process::id(), words.join(" "));
    file.set_len(0)?;
    file.write_all(line.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::super::Store;
    use super::*;

    #[test]
    fn whoever_looks_at_a_lock_hinders_no_run_and_no_other_look() {
        let folder = tempfile::tempdir().unwrap();
        let dir = Store::for_reading(folder.path()).app(&"wiki".parse().unwrap());
        drop(dir.lock().unwrap());
        let (dir, is_over) = (&dir, &AtomicBool::new(false));
        thread::scope(|scope| {
            let look = || (0..20_000).filter(|_| dir.holder().unwrap().is_some()).count();
            let looks = [(); 2].map(|()| scope.spawn(look));
            assert_eq!(looks.map(|looks| looks.join().unwrap()), [0, 0]);

            let looks = scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    drop(dir.holder().unwrap());
                }
            });
            let hindered = (0..500).filter(|_| matches!(dir.lock().unwrap(), LockAttempt::Held { .. })).count();
            is_over.store(true, Ordering::Relaxed);
            looks.join().unwrap();
            assert_eq!(hindered, 0);
        });
        let LockAttempt::Taken(_lock) = dir.lock().unwrap() else { panic!("it is free") };
        assert!(matches!(dir.lock().unwrap(), LockAttempt::Held { .. }), "a run is told apart from a look");
        assert!(dir.holder().unwrap().is_some());
    }
}
