//! State directory and volumes on file systems of their own, and file systems that can less.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use evenkeel::host::volumes::{Needs, Why, exchange, find_unfaithful, free, measure, shortfalls};
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::{Kept, TX, names, tree, write};

/// A file system of its own; gone on drop.
pub struct Mounted {
    dir: tempfile::TempDir,
}

impl Mounted {
    pub fn tmpfs(bytes: usize) -> Self {
        Self::new("tmpfs", Some(&format!("size={bytes},mode=0755")), "tmpfs")
    }

    fn new(source: &str, options: Option<&str>, kind: &str) -> Self {
        let dir = tempfile::Builder::new().prefix("evenkeel-test-").tempdir().unwrap();
        mount(Some(source), dir.path(), Some(kind), MsFlags::empty(), options).unwrap();
        Self { dir }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn free(&self) -> usize {
        free(self.path()).unwrap().bytes as usize
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        umount2(self.dir.path(), MntFlags::MNT_DETACH).unwrap();
    }
}

#[test]
fn state_and_two_volumes_on_three_file_systems() {
    let (one, two) = (Mounted::tmpfs(8 << 20), Mounted::tmpfs(8 << 20));
    let kept = Kept::new();
    let places: BTreeMap<&str, PathBuf> =
        [("wiki_data", one.path().join("wiki_data/_data")), ("wiki_db", two.path().join("wiki_db/_data"))].into();
    for (name, data) in &places {
        fs::create_dir_all(data).unwrap();
        write(data, "file", name);
    }
    let none = evenkeel::host::copying::Watch::none();
    let snapshots = kept.snapshots();
    let archived = places
        .iter()
        .map(|(name, data)| ((*name).to_owned(), snapshots.archive(&kept.lock, super::ID, name, data, &none).unwrap()));
    kept.seal(archived.collect()).unwrap();
    places.values().for_each(|data| write(data, "file", "spoilt"));

    let sizes = places.values().map(|data| (free(data).unwrap().file_system, measure(data).unwrap().0));
    let needs = Needs::of_volumes(free(kept.app.path()).unwrap().file_system, sizes);
    assert_eq!(needs.0.len(), 3, "each is counted by itself");
    let frees = [kept.app.path(), one.path(), two.path()].map(|path| free(path).unwrap());
    assert_eq!(shortfalls(&needs, &frees), []);

    let staged: Vec<_> = places
        .iter()
        .map(|(name, data)| {
            let mut archive = snapshots.open(super::ID, name).unwrap();
            let inode = evenkeel::host::volumes::unpack(&kept.lock, &mut archive, data, TX, None, &none).unwrap();
            (data, inode)
        })
        .collect();
    for (data, inode) in staged {
        exchange(data, TX, inode).unwrap();
    }
    for (name, data) in &places {
        assert_eq!(fs::read_to_string(data.join("file")).unwrap(), *name);
        assert_eq!(names(data.parent().unwrap()), ["_data", "evenkeel-tx-1-failed"]);
    }
}

#[test]
fn what_is_mounted_in_a_volume_is_told_and_never_removed() {
    let kept = Kept::new();
    let data = kept.volume("wiki_data");
    write(&data, "file", "content");
    kept.stored(&["wiki_data"]);
    let outside = tempfile::tempdir().unwrap();
    write(outside.path(), "precious", "somebody else's");
    let stage = data.with_file_name("evenkeel-tx-1-part");
    for inside in [data.join("bound"), stage.join("bound")] {
        fs::create_dir_all(&inside).unwrap();
        mount(Some(outside.path()), &inside, None::<&str>, MsFlags::MS_BIND, None::<&str>).unwrap();
    }
    let found = find_unfaithful(&data);
    let refused = kept.unpacked("wiki_data", None);
    let dropped = evenkeel::host::volumes::drop_stages(&data, &[]);
    for inside in [data.join("bound"), stage.join("bound")] {
        umount2(&inside, MntFlags::MNT_DETACH).unwrap();
    }
    let found: Vec<_> = found.unwrap().into_iter().map(|found| (found.path, found.why)).collect();
    assert_eq!(found, [(data.join("bound"), Why::Mount)]);
    assert!(refused.unwrap_err().to_string().contains("unmount it first"));
    assert!(dropped.is_err());
    assert_eq!(names(outside.path()), ["precious"]);
}

#[test]
fn another_file_system_in_a_volume_is_told() {
    let kept = Kept::new();
    let data = kept.volume("wiki_data");
    fs::create_dir(data.join("inner")).unwrap();
    mount(Some("tmpfs"), &data.join("inner"), Some("tmpfs"), MsFlags::empty(), None::<&str>).unwrap();
    let (found, archived) = (find_unfaithful(&data), kept.archive("wiki_data"));
    umount2(&data.join("inner"), MntFlags::MNT_DETACH).unwrap();
    assert_eq!(found.unwrap().len(), 1, "told once");
    assert!(
        archived.unwrap_err().to_string().contains("inner has something mounted on it"),
        "nor is it left out in silence"
    );
}

#[test]
fn attributes_that_a_file_system_cannot_hold_are_no_success() {
    let kept = Kept::new();
    let data = kept.volume("wiki_data");
    tree::grow(&data);
    kept.stored(&["wiki_data"]);
    let disk = Mounted::new("ramfs", None, "ramfs");
    let poor = disk.path().join("wiki_data/_data");
    fs::create_dir_all(&poor).unwrap();
    let mut archive = kept.snapshots().open(super::ID, "wiki_data").unwrap();
    let none = evenkeel::host::copying::Watch::none();
    let refused = evenkeel::host::volumes::unpack(&kept.lock, &mut archive, &poor, TX, None, &none);
    assert!(refused.unwrap_err().to_string().contains("Cannot"));
    assert_eq!(names(poor.parent().unwrap()), ["_data"]);
}
