//! The run slot: `flock` on `<state_dir>/slot.lock`. One transaction runs on a host at a time.
//!
//! The surprise: whoever holds an app never waits for the slot, since its holder may want that very app. So there is an
//! attempt for those, and a wait for whoever holds nothing.

use std::fs::File;

use anyhow::{Context, Result};

use super::Store;
use super::lock::{BETWEEN_LOOKS, holder, is_taken, name_us, open_lock};
use super::place::{explained, make_folder};

/// Proof that no other transaction runs on this host. Released on drop.
#[derive(Debug)]
pub struct Slot {
    _file: File,
}

#[derive(Debug)]
pub enum SlotAttempt {
    Taken(Slot),
    /// A transaction of another run is on its way; `by` says which run.
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
        make_folder(&self.dir)?;
        let path = self.dir.join("slot.lock");
        let file = open_lock(&path)?;
        if !is_taken(&file, &path)? {
            return Ok(SlotAttempt::Held { by: holder(&path)? });
        }
        name_us(&file).map_err(explained).with_context(|| format!("write {}", path.display()))?;
        Ok(SlotAttempt::Taken(Slot { _file: file }))
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
        loop {
            tokio::time::sleep(BETWEEN_LOOKS).await;
            if let SlotAttempt::Taken(slot) = self.slot()? {
                return Ok(slot);
            }
        }
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
