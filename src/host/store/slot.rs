//! The run slot: `flock` on `<state_dir>/slot.lock`. One transaction runs on a host at a time.
//!
//! Any program may hold it, by its own word or by `flock(1)`, and what is run inside (`flock slot.lock evenkeel …`) has it
//! by the descriptor that it was started with. Of several that share one, one has it at a time: they compete for a second
//! lock of the file. The surprise: whoever holds an app never waits for the slot, since its holder may want that very
//! app. So there is an attempt for those, and a wait for whoever holds nothing.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

use super::Store;
use super::holder::{Handing, Identity, Kind, holder};
use super::lock::{BETWEEN_LOOKS, is_taken, name_us, open_lock};
use super::place::{explained, make_folder};

/// Proof that no other transaction runs on this host. Released on drop.
#[derive(Debug)]
pub struct Slot {
    file: File,
}

#[derive(Debug)]
pub enum SlotAttempt {
    Taken(Slot),
    /// A transaction of another run is on its way, or another program has the slot; `by` says which.
    Held {
        by: String,
    },
}

impl Store {
    /// Takes the slot, or says who holds it. Does not wait.
    ///
    /// # Errors
    /// When the lock file cannot be opened or written.
    pub fn slot(&self) -> Result<SlotAttempt> {
        let path = self.dir.join("slot.lock");
        let held_as = |kind| Ok(SlotAttempt::Held { by: holder(&path, kind, Handing::ToNobody)? });
        match self.attempt(&path)? {
            Ok(slot) => Ok(SlotAttempt::Taken(slot)),
            Err(kind) => held_as(kind),
        }
    }

    /// The slot, or by which lock somebody else has it.
    fn attempt(&self, path: &Path) -> Result<Result<Slot, Kind>> {
        make_folder(&self.dir)?;
        let file = open_lock(path)?;
        if !is_taken(&file, path)? {
            if !Identity::of(path).is_some_and(|identity| identity.is_inherited()) {
                return Ok(Err(Kind::Whole));
            }
            if !is_taken_inside(&file).with_context(|| format!("lock {}", path.display()))? {
                return Ok(Err(Kind::Inner));
            }
        }
        name_us(&file).map_err(explained).with_context(|| format!("write {}", path.display()))?;
        Ok(Ok(Slot { file }))
    }

    /// Waits until the slot is free. `on_wait` is told once who holds it, if it is not free at once. Nobody who holds an
    /// app's lock may call this.
    ///
    /// # Errors
    /// As [`Store::slot`].
    pub async fn slot_waiting(&self, on_wait: impl FnOnce(&str)) -> Result<Slot> {
        let by = match self.slot()? {
            SlotAttempt::Taken(slot) => return Ok(slot),
            SlotAttempt::Held { by } => by,
        };
        on_wait(&by);
        let path = self.dir.join("slot.lock");
        loop {
            tokio::time::sleep(BETWEEN_LOOKS).await;
            // Who has it by now is not asked: that is a look at every process.
            if let Ok(slot) = self.attempt(&path)? {
                return Ok(slot);
            }
        }
    }
}

impl Drop for Slot {
    /// The name goes first: whoever takes the lock next may write none.
    fn drop(&mut self) {
        // A text that stays names a run that does not hold the lock, which is looked at where it can be.
        let _ = self.file.set_len(0);
    }
}

/// Takes the second lock, which belongs to this open file: no child shares it.
fn is_taken_inside(file: &File) -> Result<bool> {
    let whole = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    match fcntl(file, FcntlArg::F_OFD_SETLK(&whole)) {
        Ok(_) => Ok(true),
        Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
        Err(cause) => Err(cause.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_run_holds_the_slot_and_is_named_to_the_others() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let SlotAttempt::Taken(slot) = store.slot().unwrap() else { panic!("it is free") };
        let SlotAttempt::Held { by } = store.slot().unwrap() else { panic!("it is taken") };
        assert!(by.contains(&std::process::id().to_string()), "{by}");
        drop(slot);
        assert!(matches!(store.slot().unwrap(), SlotAttempt::Taken(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_is_told_for_whom_and_gets_it_when_it_is_free() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let SlotAttempt::Taken(slot) = store.slot().unwrap() else { panic!("it is free") };
        let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
        let waiting = async { store.slot_waiting(|by| told.send(by.to_owned()).unwrap()).await };
        let releasing = async {
            assert!(heard.recv().await.unwrap().starts_with("pid "));
            drop(slot);
        };
        let (got, ()) = tokio::join!(waiting, releasing);
        got.unwrap();
    }
}
