//! The volumes' data: stored, read back, unpacked, exchanged. Each on a thread of its own, which is told when to end.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use jiff::Timestamp;
use tokio::task::JoinHandle;
use tracing::{info, warn};

use super::{DONE, OnHost};
use crate::host::copying::{CopyError, Progress, Watch};
use crate::host::ending::Ending;
use crate::host::snapshots::{Archived, Manifest, Snapshots};
use crate::host::store::{AppDir, Lock};
use crate::host::volumes::{self, Taken};
use crate::model::transaction::Transaction;
use crate::upgrade::run::{Fact, Failure, Performed};
use crate::upgrade::step::Act;

/// How often a person is told how far a copy is.
const TICK: Duration = Duration::from_millis(500);

impl OnHost<'_> {
    pub(super) async fn copy(&mut self, act: &Act, transaction: &Transaction) -> Performed {
        let copied = match act {
            Act::Archive(volume) => self.archive(volume, transaction).await,
            Act::Seal => self.seal(transaction).await,
            Act::ReadBack => self.read_back(transaction).await,
            Act::Unpack(volume) => self.unpack(volume, transaction).await,
            Act::Exchange(volume) => self.exchange(volume, transaction).await,
            Act::SetAside(volume) => return self.set_aside(volume, transaction).await,
            Act::GiveBack(volume) => return self.give_back(volume, transaction).await,
            Act::Verify => self.verify_named(transaction).await,
            _ => return DONE,
        };
        performed(copied)
    }

    async fn archive(&mut self, volume: &str, transaction: &Transaction) -> Result<Fact, CopyError> {
        let (snapshots, lock) = (self.keeper.dir.snapshots(), self.lock.twin()?);
        let (id, name, mountpoint) = (transaction.id.clone(), volume.to_owned(), mountpoint(volume, transaction)?);
        let store = move |watch: &Watch<'_>| snapshots.archive(&lock, &id, &name, &mountpoint, watch);
        let archived: Archived = self.on_a_thread(&format!("volume {volume} to be stored"), store).await?;
        info!(volume, bytes = archived.bytes, "stored");
        self.archived.insert(volume.to_owned(), archived);
        Ok(Fact::Nothing)
    }

    async fn seal(&mut self, transaction: &Transaction) -> Result<Fact, CopyError> {
        let (dir, lock) = (self.keeper.dir.clone(), self.lock.twin()?);
        let app = dir.path().file_name().and_then(|name| name.to_str()).context("the app's folder has no name")?;
        let old = &transaction.old.release;
        let (of, archived) = (&old.body.revision, self.archived.clone());
        let manifest = Manifest::new(&transaction.id, app, of, Timestamp::now(), archived).of_key(&old.key);
        let seal = move |_: &Watch<'_>| dir.snapshots().seal(&lock, &manifest);
        self.on_a_thread("the snapshot to be sealed", seal).await?;
        Ok(Fact::Nothing)
    }

    /// A disk, or memory, may be wrong once; the snapshot on the disk counts.
    async fn read_back(&mut self, transaction: &Transaction) -> Result<Fact, CopyError> {
        match self.verify(transaction).await {
            Err(CopyError::Damaged(damage)) => {
                warn!(%damage, "the snapshot was not read as it was stored; it is read once more");
                self.verify(transaction).await
            }
            read => read,
        }
    }

    async fn verify_named(&mut self, transaction: &Transaction) -> Result<Fact, CopyError> {
        let (snapshots, id) = (self.keeper.dir.snapshots(), transaction.snapshot.clone());
        let id = id.context("the journal names no snapshot")?;
        let verify = move |watch: &Watch<'_>| snapshots.verify(&id, watch);
        self.on_a_thread("the snapshot to be read back", verify).await?;
        Ok(Fact::Nothing)
    }

    async fn verify(&mut self, transaction: &Transaction) -> Result<Fact, CopyError> {
        let (snapshots, id) = (self.keeper.dir.snapshots(), transaction.id.clone());
        let verify = move |watch: &Watch<'_>| snapshots.verify(&id, watch);
        self.on_a_thread("the snapshot to be read back", verify).await?;
        Ok(Fact::Sealed(transaction.id.clone()))
    }

    /// What was unpacked while the verdict was waited for is found whole, and is not unpacked again.
    async fn unpack(&mut self, volume: &str, transaction: &Transaction) -> Result<Fact, CopyError> {
        if let Some(eager) = self.eager.take() {
            let told = |done: &str| self.keeper.progress.waiting_for(&format!("the snapshot to be unpacked{done}"));
            eager.finished(&self.ending, told).await;
        }
        let (snapshots, lock, one) = (self.keeper.dir.snapshots(), self.lock.twin()?, One::of(volume, transaction)?);
        let unpack = move |watch: &Watch<'_>| one.unpack(&snapshots, &lock, watch);
        let inode = self.on_a_thread(&format!("volume {volume} to be unpacked"), unpack).await?;
        Ok(Fact::Staged { volume: volume.to_owned(), inode })
    }

    async fn exchange(&mut self, volume: &str, transaction: &Transaction) -> Result<Fact, CopyError> {
        let (id, mountpoint) = (transaction.id.clone(), mountpoint(volume, transaction)?);
        let staged = transaction.staged.get(volume).copied();
        let staged = staged.with_context(|| format!("volume {volume} was not unpacked before its exchange"))?;
        let exchange = move |_: &Watch<'_>| Ok(volumes::exchange(&mountpoint, &id, staged)?);
        let exchanged = self.on_a_thread(&format!("volume {volume} to be put back"), exchange).await?;
        info!(volume, failed = %exchanged.failed.display(), "put back");
        Ok(Fact::Nothing)
    }

    /// The volume is where the Engine says; the transaction knows no place of it.
    async fn set_aside(&mut self, volume: &str, transaction: &Transaction) -> Performed {
        let live = self.keeper.swarm.volumes().await?;
        let Some(live) = live.get(volume).filter(|live| live.mountpoint.is_absolute()) else { return DONE };
        let (id, mountpoint) = (transaction.id.clone(), live.mountpoint.clone());
        let aside = move |_: &Watch<'_>| {
            let moved = volumes::set_aside(&mountpoint, &id)?;
            Ok(moved.map(|_| mountpoint))
        };
        let moved = self.on_a_thread(&format!("volume {volume} to be moved aside"), aside).await;
        performed(moved.map(|moved| match moved {
            Some(mountpoint) => Fact::SetAside { volume: volume.to_owned(), mountpoint },
            None => Fact::Nothing,
        }))
    }

    async fn give_back(&mut self, volume: &str, transaction: &Transaction) -> Performed {
        let known = transaction.volumes.get(volume).and_then(|volume| volume.mountpoint.clone());
        let live = match known {
            Some(_) => None,
            None => self.keeper.swarm.volumes().await?.remove(volume).map(|live| live.mountpoint),
        };
        let taken = match (&known, transaction.staged.get(volume)) {
            (None, _) => Taken::SetAside,
            (Some(_), Some(staged)) => Taken::By(*staged),
            // All is staged and noted before the first exchange.
            (Some(_), None) => return DONE,
        };
        let Some(mountpoint) = known.or(live).filter(|path| path.is_absolute()) else { return DONE };
        let id = transaction.id.clone();
        let give = move |_: &Watch<'_>| Ok(volumes::give_back(&mountpoint, &id, taken)?);
        let given = self.on_a_thread(&format!("volume {volume} to get its own data back"), give).await;
        performed(given.map(|()| Fact::Nothing))
    }

    /// Does what blocks, and shows how far it is.
    pub(super) async fn on_a_thread<T: Send + 'static>(
        &self,
        what: &str,
        work: impl FnOnce(&Watch<'_>) -> Result<T, CopyError> + Send + 'static,
    ) -> Result<T, CopyError> {
        let done = Arc::<Done>::default();
        let (ending, told) = (self.ending.clone(), Arc::clone(&done));
        let mut thread = tokio::task::spawn_blocking(move || {
            let progress = |progress: Progress| told.tell(progress);
            work(&Watch { progress: &progress, asked_to_end: &|| ending.is_asked() })
        });
        loop {
            let ticked = tokio::time::timeout(TICK, &mut thread).await;
            let Ok(ended) = ticked else {
                self.keeper.progress.waiting_for(&format!("{what}{}", done.in_words()));
                continue;
            };
            return ended.map_err(|cause| anyhow!("a thread ended without an answer: {cause}"))?;
        }
    }
}

/// How far a copy is, between two threads.
#[derive(Default)]
struct Done {
    done: AtomicU64,
    of: AtomicU64,
}

impl Done {
    fn tell(&self, progress: Progress) {
        self.done.store(progress.done, Ordering::Relaxed);
        self.of.store(progress.of, Ordering::Relaxed);
    }

    /// In steps of ten: each is a line in the journal.
    fn in_words(&self) -> String {
        let (done, of) = (self.done.load(Ordering::Relaxed), self.of.load(Ordering::Relaxed));
        match done.saturating_mul(10).checked_div(of) {
            Some(tenths) => format!(" ({} %)", tenths.min(9) * 10),
            None => String::new(),
        }
    }
}

pub(super) fn performed(copied: Result<Fact, CopyError>) -> Performed {
    match copied {
        Ok(fact) => Ok(Ok(fact)),
        Err(CopyError::Damaged(damage)) => Ok(Err(format!("the snapshot is not as it was stored: {damage}"))),
        Err(failed @ CopyError::Failed(_)) => Err(Failure::Disk(failed.to_string())),
        Err(CopyError::AskedToEnd) => Err(Failure::AskedToEnd),
    }
}

fn mountpoint(volume: &str, transaction: &Transaction) -> anyhow::Result<PathBuf> {
    let known = transaction.volumes.get(volume).and_then(|volume| volume.mountpoint.clone());
    known.with_context(|| format!("the journal does not say where volume {volume} is"))
}

/// A volume that is to be unpacked.
struct One {
    snapshot: String,
    volume: String,
    mountpoint: PathBuf,
    transaction: String,
    journalled: Option<u64>,
}

impl One {
    fn of(volume: &str, transaction: &Transaction) -> anyhow::Result<Self> {
        Ok(Self {
            snapshot: transaction.snapshot.clone().context("the journal names no snapshot to go back to")?,
            volume: volume.to_owned(),
            mountpoint: mountpoint(volume, transaction)?,
            transaction: transaction.id.clone(),
            journalled: transaction.staged.get(volume).copied(),
        })
    }

    fn unpack(&self, snapshots: &Snapshots, lock: &Lock, watch: &Watch<'_>) -> Result<u64, CopyError> {
        let mut archive = snapshots.open(&self.snapshot, &self.volume)?;
        volumes::unpack(lock, &mut archive, &self.mountpoint, &self.transaction, self.journalled, watch)
    }
}

/// The snapshot on its way to where it may be needed, while the verdict is waited for.
pub(super) struct Eager {
    thread: JoinHandle<()>,
    enough: Arc<AtomicBool>,
    done: Arc<Done>,
}

impl Drop for Eager {
    fn drop(&mut self) {
        self.enough.store(true, Ordering::Relaxed);
    }
}

impl Eager {
    /// `None` where there is nothing to unpack.
    pub fn begin(dir: &AppDir, lock: &Lock, transaction: &Transaction) -> Option<Self> {
        let all: anyhow::Result<Vec<One>> =
            transaction.kept_volumes().map(|(name, _)| One::of(name, transaction)).collect();
        let (all, lock) = (all.ok().filter(|all| !all.is_empty())?, lock.twin().ok()?);
        let (snapshots, enough) = (dir.snapshots(), Arc::<AtomicBool>::default());
        let done = Arc::<Done>::default();
        let (asked, told) = (Arc::clone(&enough), Arc::clone(&done));
        let thread = tokio::task::spawn_blocking(move || {
            let watch = Watch { progress: &|at| told.tell(at), asked_to_end: &|| asked.load(Ordering::Relaxed) };
            for one in &all {
                match one.unpack(&snapshots, &lock, &watch) {
                    Ok(_) => {}
                    Err(CopyError::AskedToEnd) => return,
                    Err(cause) => return tell(one, &cause),
                }
            }
        });
        Some(Self { thread, enough, done })
    }

    /// Waits until all is unpacked, or until this run is asked to end; `told` hears again and again how far it is.
    pub async fn finished(mut self, ending: &Ending, told: impl Fn(&str)) {
        loop {
            told(&self.done.in_words());
            tokio::select! {
                _ = &mut self.thread => return,
                () = ending.asked() => break,
                () = tokio::time::sleep(TICK) => {}
            }
        }
        self.given_up().await;
    }

    /// Ends it where it is. What it left is found, or made again, by whoever needs it.
    pub async fn given_up(mut self) {
        self.enough.store(true, Ordering::Relaxed);
        // It says itself what went wrong.
        let _ = (&mut self.thread).await;
    }

    /// Ends it and removes what it made: the new release passed its gate.
    pub async fn not_needed(self, transaction: &Transaction) {
        self.given_up().await;
        let places: Vec<PathBuf> = transaction.kept_volumes().map(|(_, place)| place.clone()).collect();
        let removed = tokio::task::spawn_blocking(move || {
            places.iter().try_for_each(|place: &PathBuf| volumes::drop_stages(Path::new(place), &[]))
        });
        if let Ok(Err(cause)) = removed.await {
            warn!(cause = format!("{cause:#}"), "what was unpacked in vain could not be removed; a later run does it");
        }
    }
}

/// While the old data can still be stored anew by hand, which is the time to know.
fn tell(one: &One, cause: &CopyError) {
    warn!(
        snapshot = one.snapshot,
        volume = one.volume,
        cause = cause.to_string(),
        "the snapshot cannot be unpacked; should the new version fail its gate, there is no way back by itself"
    );
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_for_what_is_being_unpacked_hears_of_it_again_and_again() {
        let (enough, done) = (Arc::<AtomicBool>::default(), Arc::<Done>::default());
        let (go_on, waits) = tokio::sync::oneshot::channel::<()>();
        let thread = tokio::spawn(async move { waits.await.unwrap() });
        done.tell(Progress { done: 31, of: 100 });
        let eager = Eager { thread, enough, done };
        let (heard, go_on) = (Mutex::new(Vec::new()), Mutex::new(Some(go_on)));
        let told = |words: &str| {
            let mut heard = heard.lock().unwrap();
            heard.push(words.to_owned());
            if heard.len() == 5 {
                go_on.lock().unwrap().take().unwrap().send(()).unwrap();
            }
        };
        eager.finished(&Ending::unheard(), told).await;
        assert_eq!(*heard.lock().unwrap(), [" (30 %)"; 5]);
    }
}
