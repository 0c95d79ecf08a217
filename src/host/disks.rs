//! How full the file systems of a host are, and `<state_dir>/disks.json`: of which of them a person was told.
//!
//! The border: what is too full is decided in `policy`. The surprise: the disk that has to be told of may be the one that
//! all of this is written to. So each of these writes is tried, whatever became of the one before; what was not written
//! is not known as told, and is told by the next look.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use rustix::fs::{StatFs, stat, statfs, statvfs};
use tracing::warn;

use super::alerts::Alerts;
use super::engine::Engine;
use super::store::{Store, alone, make_folder, read_if_there, replace};
use crate::model::alert;
use crate::model::disk::{Disk, Disks, Place, Role, Share, Usage};
use crate::model::kept::KeptError;
use crate::policy;

/// The kind of file system, as the kernel numbers it.
const BTRFS: u64 = 0x9123_683e;

/// What a look has found.
#[derive(Debug, Default)]
pub struct Seen {
    pub disks: Vec<Disk>,
    /// A sentence for each place that could not be looked at.
    pub unseen: Vec<String>,
}

/// What tells one file system from another. Each subvolume of btrfs has a number of its own, over the same room; half of its
/// long number is that of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Identity {
    Number(u64),
    Btrfs { half: u32 },
}

/// The file systems of these places, each once.
pub fn look(places: impl IntoIterator<Item = (Role, PathBuf)>) -> Seen {
    let (mut found, mut unseen): (Vec<(Identity, Disk)>, _) = (Vec::new(), Vec::new());
    for (role, path) in places {
        let place = Place { role, path };
        let (identity, bytes, inodes) = match shares(&place.path) {
            Ok(shares) => shares,
            Err(cause) => {
                unseen.push(format!("the file system of {place} cannot be looked at: {cause}"));
                continue;
            }
        };
        match found.iter_mut().find(|(known, _)| *known == identity) {
            Some((_, disk)) => disk.places.push(place),
            None => found.push((identity, Disk { places: vec![place], bytes, inodes })),
        }
    }
    Seen { disks: found.into_iter().map(|(_, disk)| disk).collect(), unseen }
}

// The fields' widths differ between machines.
#[allow(clippy::unnecessary_cast)]
fn identity(number: u64, long_number: u64, kind: &StatFs) -> Identity {
    match kind.f_type as u64 & 0xffff_ffff {
        BTRFS => Identity::Btrfs { half: long_number as u32 },
        _ => Identity::Number(number),
    }
}

/// Which file system it is, and what it has for whoever is not root: as `df` counts.
fn shares(path: &Path) -> rustix::io::Result<(Identity, Option<Share>, Option<Share>)> {
    let (stat, room) = (stat(path)?, statvfs(path)?);
    // The field's width differs between machines.
    #[allow(clippy::unnecessary_cast)]
    let identity = identity(stat.st_dev as u64, room.f_fsid, &statfs(path)?);
    let share = |all: u64, free: u64, ours: u64, unit: u64| {
        let share = Share {
            all: all.saturating_sub(free).saturating_add(ours).saturating_mul(unit),
            free: ours.saturating_mul(unit),
        };
        (all > 0).then_some(share)
    };
    let bytes = share(room.f_blocks, room.f_bfree, room.f_bavail, room.f_frsize);
    Ok((identity, bytes, share(room.f_files, room.f_ffree, room.f_favail, 1)))
}

/// What the Engine says that takes its room. It may walk through every volume for that, so it is asked only where somebody
/// is told; what it does not say in time is left out.
pub async fn usage_of(engine: &Engine) -> Usage {
    let Ok(used) = engine.get("/system/df", &[]).await else { return Usage::default() };
    let sum = |list: &str, size: &dyn Fn(&serde_json::Value) -> Option<u64>| {
        used[list].as_array().map(|items| items.iter().filter_map(size).sum())
    };
    Usage {
        images: used["LayersSize"].as_u64(),
        volumes: sum("Volumes", &|volume| volume["UsageData"]["Size"].as_u64()),
        build_cache: sum("BuildCache", &|part| part["Size"].as_u64()),
        snapshots: None,
    }
}

/// What all snapshots of this host take.
pub fn snapshots(store: &Store) -> Option<u64> {
    let apps = store.apps().ok()?.into_iter();
    let listed = apps.flat_map(|app| store.app(&app).snapshots().list().unwrap_or_default());
    Some(listed.filter_map(|listed| Some(listed.manifest.ok()?.bytes())).sum())
}

/// Where the Engine said last that it keeps its data.
pub fn known_root(store: &Store) -> Option<PathBuf> {
    // What is wrong with the file is told by who writes it.
    read(store).ok()?.docker_root
}

/// Writes down where the Engine says that it keeps its data. A full disk may have no room for it; then the next one tries
/// again.
pub fn note_root(store: &Store, root: &Path) {
    let note = || {
        make_folder(store.dir())?;
        let _alone = alone(&lock(store))?;
        let before = read(store)?;
        if before.docker_root.as_deref() == Some(root) {
            return Ok(());
        }
        write(store, &Disks { docker_root: Some(root.to_owned()), ..before })
    };
    if let Err(cause) = note() {
        warn!(cause = format!("{cause:#}"), "where Docker keeps its data could not be written down");
    }
}

/// Writes an alert for each of these that has crossed the watermark and was not told of. `usage` is asked then only.
///
/// # Errors
/// All that could not be written; the next one tries again.
pub async fn watch(
    store: &Store,
    seen: &[Disk],
    watermark: u8,
    now: Timestamp,
    usage: impl AsyncFnOnce() -> Usage,
) -> Result<()> {
    // Two of them at once tell twice at worst, and a full disk may have no room for a lock.
    let _alone = make_folder(store.dir()).and_then(|()| alone(&lock(store))).ok();
    let before = read(store)?;
    let (mut known, low) = policy::crossed(&before, seen, watermark, now);
    if !low.is_empty() {
        let usage = usage().await;
        known.due.extend(low.iter().map(|low| low.alert(&usage, now)));
    }
    // With what is due, so that whoever is killed here tells neither twice nor never.
    let noted = if known == before { Ok(()) } else { write(store, &known) };
    if known.due.is_empty() {
        return noted;
    }
    let (alerts, mut written) = (Alerts::of(store), Ok(()));
    let mut left = Vec::new();
    for alert in std::mem::take(&mut known.due) {
        if let Err(cause) = alerts.put(&alert::of_the_host(), &alert) {
            written = written.and(Err(cause));
            left.push(alert);
        }
    }
    known.due = left;
    written.and(write(store, &known))
}

fn read(store: &Store) -> Result<Disks> {
    let file = file(store);
    let Some(text) = read_if_there(&file)? else { return Ok(Disks::default()) };
    match Disks::parse(&text) {
        Ok(disks) => Ok(disks),
        Err(newer @ KeptError::Newer { .. }) => Err(newer).with_context(|| format!("read {}", file.display())),
        Err(damage) => {
            warn!(file = %file.display(), %damage, "which disks were told of is not known any more; they are told again");
            Ok(Disks::default())
        }
    }
}

fn write(store: &Store, disks: &Disks) -> Result<()> {
    let text = serde_json::to_string_pretty(disks).context("write the disks as JSON")? + "\n";
    replace(&file(store), text.as_bytes())
}

fn file(store: &Store) -> PathBuf {
    store.dir().join("disks.json")
}

fn lock(store: &Store) -> PathBuf {
    store.dir().join("disks.lock")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn full() -> [Disk; 1] {
        let places = vec![Place { role: Role::State, path: "/state".into() }];
        [Disk { places, bytes: Some(Share { all: 100, free: 5 }), inodes: None }]
    }

    async fn watched(store: &Store, seen: &[Disk], day: i64) -> Result<usize> {
        let now = Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_hours(24 * day);
        watch(store, seen, 85, now, async || Usage::default()).await?;
        Ok(Alerts::of(store).waiting()?.len())
    }

    #[tokio::test]
    async fn whoever_was_killed_before_or_after_the_alert_was_written_tells_it_once() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        assert_eq!(watched(&store, &full(), 0).await.unwrap(), 1);
        let whole = read(&store).unwrap();
        let name = Alerts::of(&store).waiting().unwrap().remove(0);
        let message = Alerts::of(&store).letter(&name).unwrap().message.unwrap();
        let due = policy::low_disks(&full(), 85)[0].alert(&Usage::default(), Timestamp::UNIX_EPOCH);
        assert_eq!((message.fact.as_str(), &whole.due), (due.fact.as_str(), &vec![]));

        for is_written in [true, false] {
            if !is_written {
                fs::remove_file(folder.path().join("alerts").join(&name)).unwrap();
            }
            write(&store, &Disks { due: vec![due.clone()], ..whole.clone() }).unwrap();
            assert_eq!(watched(&store, &full(), 1).await.unwrap(), 1);
            assert_eq!(read(&store).unwrap(), whole);
        }
    }

    #[tokio::test]
    async fn an_alert_that_cannot_be_written_is_told_by_the_next_look() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        fs::write(folder.path().join("alerts"), "in the way").unwrap();
        for day in 0..2 {
            watched(&store, &full(), day).await.unwrap_err();
        }
        fs::remove_file(folder.path().join("alerts")).unwrap();
        assert_eq!(watched(&store, &[], 2).await.unwrap(), 1, "also where the disk cannot be looked at any more");
        assert_eq!(watched(&store, &full(), 3).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn where_docker_keeps_its_data_is_known_to_who_asks_no_engine() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        assert_eq!(known_root(&store), None);
        watched(&store, &full(), 0).await.unwrap();
        note_root(&store, Path::new("/data"));
        assert_eq!(known_root(&store), Some("/data".into()));
        assert_eq!(watched(&store, &full(), 1).await.unwrap(), 1, "what was told is known as before");
        assert_eq!(known_root(&store), Some("/data".into()));
    }

    #[tokio::test]
    async fn a_damaged_memory_is_begun_anew_and_a_newer_one_left() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        fs::write(file(&store), "{").unwrap();
        assert_eq!(watched(&store, &full(), 0).await.unwrap(), 1);
        fs::write(file(&store), "{\"schema\": 2}").unwrap();
        assert!(watched(&store, &full(), 1).await.unwrap_err().to_string().contains("disks.json"));
        assert_eq!(fs::read_to_string(file(&store)).unwrap(), "{\"schema\": 2}");
    }

    #[test]
    fn places_of_one_file_system_are_one_disk_and_what_is_not_there_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let beside = folder.path().join("beside");
        fs::create_dir(&beside).unwrap();
        let of = |docker: &Path| look([(Role::Docker, docker.to_owned()), (Role::State, folder.path().to_owned())]);
        let Seen { disks, unseen } = of(&beside);
        assert_eq!((disks.len(), disks[0].places.len(), unseen), (1, 2, vec![]));
        let Seen { disks, unseen } = of(Path::new("/nowhere at all"));
        assert_eq!((disks.len(), disks[0].places.len(), unseen.len()), (1, 1, 1));
        let words = "the file system of Docker's data root /nowhere at all cannot be looked at: No such file";
        assert!(unseen[0].starts_with(words), "{unseen:?}");
        assert_eq!(of(Path::new("/proc")).disks[0].bytes, None, "what has no end cannot fill up");
    }

    #[test]
    fn subvolumes_over_the_same_room_are_one_file_system_and_others_are_told_apart_by_number() {
        let mut kind = statfs("/").unwrap();
        kind.f_type = 0;
        assert_ne!(identity(1, 7, &kind), identity(2, 7, &kind));
        kind.f_type = BTRFS as _;
        assert_eq!(identity(1, 5 << 32 | 7, &kind), identity(2, 256 << 32 | 7, &kind));
        // Also one that is written to between two looks.
        let mut later = kind;
        later.f_bfree += 1;
        assert_eq!(identity(1, 7, &kind), identity(2, 7, &later));
        assert_ne!(identity(1, 7, &kind), identity(1, 8, &kind));
    }
}
