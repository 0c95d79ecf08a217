//! Snapshots on real file systems, as root: what is stored comes back as it was, and what is damaged is found before
//! live data is touched.

mod by_hand;
mod exchanging;
mod faults;
pub mod fingerprint;
mod full;
mod killed;
mod places;
mod tree;
mod unit;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use evenkeel::host::copying::{CopyError, Watch};
use evenkeel::host::snapshots::{Archived, Manifest, Snapshots};
use evenkeel::host::store::{AppDir, Lock, LockAttempt, Store};
use evenkeel::host::volumes::{self, Why, exchange, find_unfaithful, set_aside, unpack};
use evenkeel::model::version::Revision;
use tempfile::TempDir;

use fingerprint::fingerprint;

pub const ID: &str = "snapshot-1";
pub const TX: &str = "tx-1";

/// An app with volumes and a lock.
pub struct Kept {
    pub volumes: PathBuf,
    pub app: AppDir,
    pub lock: Lock,
    /// Gone when the world is.
    pub _dir: TempDir,
}

impl Kept {
    pub fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("evenkeel-test-").tempdir().unwrap();
        let (state, volumes) = (dir.path().join("state"), dir.path().join("volumes"));
        Self::at(dir, &state, &volumes)
    }

    pub fn at(dir: TempDir, state: &Path, volumes: &Path) -> Self {
        let app = Store::open(state).unwrap().app(&"wiki".parse().unwrap());
        let LockAttempt::Taken(lock) = app.lock().unwrap() else { panic!("the lock is held") };
        fs::create_dir_all(volumes).unwrap();
        Self { volumes: volumes.to_owned(), app, lock, _dir: dir }
    }

    pub fn snapshots(&self) -> Snapshots {
        self.app.snapshots()
    }

    /// The mountpoint of a volume, which is made if it is not there.
    pub fn volume(&self, name: &str) -> PathBuf {
        let data = self.volumes.join(name).join("_data");
        fs::create_dir_all(&data).unwrap();
        data
    }

    pub fn archive(&self, volume: &str) -> Result<Archived, CopyError> {
        self.snapshots().archive(&self.lock, ID, volume, &self.volume(volume), &Watch::none())
    }

    pub fn seal(&self, volumes: BTreeMap<String, Archived>) -> Result<Manifest, CopyError> {
        let of = Revision { version: Some("1.0.0+2.0".into()), commit: "0".repeat(40).parse().unwrap() };
        let manifest = Manifest::new(ID, "wiki", &of, "2026-11-21T20:00:00Z".parse().unwrap(), volumes);
        self.snapshots().seal(&self.lock, &manifest)?;
        Ok(manifest)
    }

    /// Stores these volumes and reads them back.
    pub fn stored(&self, volumes: &[&str]) -> Manifest {
        let archived = volumes.iter().map(|name| ((*name).to_owned(), self.archive(name).unwrap())).collect();
        let manifest = self.seal(archived).unwrap();
        assert_eq!(self.snapshots().verify(ID, &Watch::none()).unwrap(), manifest);
        manifest
    }

    pub fn unpacked(&self, volume: &str, journalled: Option<u64>) -> Result<u64, CopyError> {
        let mut archive = self.snapshots().open(ID, volume)?;
        unpack(&self.lock, &mut archive, &self.volume(volume), TX, journalled, &Watch::none())
    }

    /// Puts a volume back; gives where today's data went.
    pub fn restored(&self, volume: &str) -> PathBuf {
        let inode = self.unpacked(volume, None).unwrap();
        exchange(&self.volume(volume), TX, inode).unwrap().failed
    }

    pub fn snapshot_file(&self, name: &str) -> PathBuf {
        self.snapshots().path(ID).join(name)
    }
}

pub fn write(folder: &Path, name: &str, content: impl AsRef<[u8]>) {
    fs::write(folder.join(name), content).unwrap();
}

pub fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn data_comes_back_as_it_was_and_what_gave_way_is_kept() {
    let kept = Kept::new();
    let data = kept.volume("wiki_data");
    tree::grow(&data);
    let before = fingerprint(&data);
    assert!(before.len() > 45, "{}", before.len());
    let manifest = kept.stored(&["wiki_data"]);
    let archived = &manifest.volumes["wiki_data"];
    assert_eq!(archived.sockets, ["run/db.sock"], "sockets are named");
    assert_eq!(archived.content.entries, before.len() as u64);
    tree::spoil(&data);
    let spoilt = fingerprint(&data);

    let failed = kept.restored("wiki_data");

    fingerprint::assert_equal(&fingerprint(&data), &before);
    fingerprint::assert_equal(&fingerprint(&failed), &spoilt);
    assert_eq!(names(data.parent().unwrap()), ["_data", "evenkeel-tx-1-failed"]);
}

#[test]
fn all_is_readable_by_us_alone() {
    let kept = Kept::new();
    write(&kept.volume("wiki_data"), "file", "content");
    kept.stored(&["wiki_data"]);
    let modes: Vec<u32> = ["wiki_data.tar.zst", "wiki.meta.json", ".", ".."]
        .iter()
        .map(|name| fs::metadata(kept.snapshot_file(name)).unwrap().mode() & 0o7777)
        .collect();
    assert_eq!(modes, [0o600, 0o600, 0o700, 0o700]);
}

#[test]
fn what_would_not_come_back_is_found_by_name() {
    let kept = Kept::new();
    let data = kept.volume("wiki_data");
    tree::grow(&data);
    assert_eq!(find_unfaithful(&data).unwrap(), []);
    tree::device(&data.join("run/null"), 1, 3);
    tree::attribute(&data.join("README"), "trusted.overlay.opaque", b"y");
    let found: Vec<_> = find_unfaithful(&data).unwrap().into_iter().map(|found| (found.path, found.why)).collect();
    let mut expected = vec![(data.join("run/null"), Why::Device), (data.join("README"), Why::Trusted)];
    expected.sort_by_key(|(path, _)| found.iter().position(|(other, _)| other == path));
    assert_eq!(found, expected);
}

#[test]
fn snapshots_are_listed_and_go_when_nobody_names_them() {
    let kept = Kept::new();
    write(&kept.volume("wiki_data"), "file", "content");
    let snapshots = kept.snapshots();
    assert!(snapshots.list().unwrap().is_empty());
    kept.stored(&["wiki_data"]);
    // Never sealed.
    snapshots.archive(&kept.lock, "snapshot-2", "wiki_data", &kept.volume("wiki_data"), &Watch::none()).unwrap();
    let listed: Vec<_> =
        snapshots.list().unwrap().into_iter().map(|listed| (listed.id, listed.manifest.is_ok())).collect();
    assert_eq!(listed, [(ID.to_owned(), true), ("snapshot-2".to_owned(), false)]);
    // What is no snapshot is nobody's to remove.
    write(&snapshots.path(""), "notes.txt", "by the operator");

    assert_eq!(snapshots.sweep(&kept.lock, &[ID.to_owned()].into()).unwrap(), ["snapshot-2"]);
    assert_eq!(names(&snapshots.path("")), ["notes.txt", ID]);
    assert!(snapshots.remove(&kept.lock, ID).unwrap());
    assert!(!snapshots.remove(&kept.lock, ID).unwrap());
    assert_eq!(names(&snapshots.path("")), ["notes.txt"]);
}

#[test]
fn data_of_a_volume_that_only_the_failed_version_had_is_kept_and_dropped_later() {
    let kept = Kept::new();
    let data = kept.volume("wiki_cache");
    write(&data, "new", "of the failed version");
    let failed = set_aside(&data, TX).unwrap().unwrap();
    assert_eq!((names(&data), names(&failed)), (vec![], vec!["new".to_owned()]));
    let pointer = volumes::Failed {
        transaction: TX.into(),
        ts: "2026-11-21T20:00:00Z".parse().unwrap(),
        release: "2.0.0+3.0".into(),
        volumes: [("wiki_cache".to_owned(), data.clone())].into(),
    };
    kept.app.put_failed(&kept.lock, &pointer).unwrap();
    kept.app.put_failed(&kept.lock, &pointer).unwrap();
    assert_eq!(kept.app.failed().unwrap(), std::slice::from_ref(&pointer));
    let there: Vec<_> = pointer.folders().filter(|(_, folder)| folder.exists()).collect();
    assert_eq!(there, [("wiki_cache", failed.clone())]);

    kept.app.drop_failed(&kept.lock, &[TX]).unwrap();
    assert!(failed.exists(), "it was to be kept");
    kept.app.drop_failed(&kept.lock, &[]).unwrap();
    assert!(!failed.exists() && kept.app.failed().unwrap().is_empty());
    assert_eq!(names(&data), Vec::<String>::new());
}

#[test]
fn stages_of_others_go_and_those_of_who_is_open_stay() {
    let kept = Kept::new();
    let data = kept.volume("wiki_data");
    write(&data, "file", "content");
    kept.stored(&["wiki_data"]);
    kept.unpacked("wiki_data", None).unwrap();
    for name in ["evenkeel-tx-0-new", "evenkeel-tx-0-part", "evenkeel-tx-0-failed", "opts.json"] {
        fs::create_dir(data.parent().unwrap().join(name)).unwrap();
    }
    volumes::drop_stages(&data, &[TX]).unwrap();
    assert_eq!(names(data.parent().unwrap()), ["_data", "evenkeel-tx-0-failed", "evenkeel-tx-1-new", "opts.json"]);
    volumes::drop_stages(&data, &[]).unwrap();
    volumes::drop_failed(&data, &["tx-0"]).unwrap();
    assert_eq!(names(data.parent().unwrap()), ["_data", "evenkeel-tx-0-failed", "opts.json"]);
    volumes::drop_failed(&data, &[]).unwrap();
    assert_eq!(names(data.parent().unwrap()), ["_data", "opts.json"]);
}
