//! What is damaged, or in the way, is found before live data is touched, and told by its name.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use evenkeel::host::copying::{CopyError, Watch};
use evenkeel::host::volumes::unpack;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use proptest::prelude::*;

use super::{ID, Kept, TX, names, write};

const FILE: &str = "wiki_data.tar.zst";
const MANIFEST: &str = "wiki.meta.json";

/// A sealed snapshot of a volume that has changed since.
fn stored() -> Kept {
    let kept = Kept::new();
    let data = kept.volume("wiki_data");
    for number in 0..40_u32 {
        write(&data, &format!("file-{number}"), number.to_le_bytes().repeat(100 + number as usize));
    }
    kept.stored(&["wiki_data"]);
    write(&data, "today", "live");
    kept
}

/// Both who reads back and who puts back find it, name the file, and leave live data alone.
#[track_caller]
fn is_found(kept: &Kept, file: &str, word: &str) {
    let path = kept.snapshot_file(file).display().to_string();
    let told = damage(kept.snapshots().verify(ID, &Watch::none()).unwrap_err());
    assert!(told.starts_with(&path) && told.contains(word), "{told}");
    is_untouched(kept);
}

#[track_caller]
fn is_refused(kept: &Kept, file: &str) {
    let told = damage(kept.unpacked("wiki_data", None).unwrap_err());
    assert!(told.starts_with(kept.snapshot_file(file).to_str().unwrap().trim_end_matches('/')), "{told}");
    is_untouched(kept);
}

#[track_caller]
fn is_untouched(kept: &Kept) {
    let data = kept.volume("wiki_data");
    assert_eq!(fs::read_to_string(data.join("today")).unwrap(), "live");
    assert_eq!(names(data.parent().unwrap()), ["_data"], "nothing is left beside it");
}

#[track_caller]
fn damage(error: CopyError) -> String {
    match error {
        CopyError::Damaged(damage) => damage.to_string(),
        other => panic!("it is damage, and told as {other:?}"),
    }
}

fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_flipped_bit_anywhere_is_found_in_archive_and_manifest() {
    let kept = stored();
    for file in [FILE, MANIFEST] {
        let path = kept.snapshot_file(file);
        let whole = fs::read(&path).unwrap();
        let step = (whole.len() / 150).max(1);
        for at in (0..whole.len()).step_by(step).chain(whole.len().saturating_sub(12)..whole.len()) {
            change(&path, |bytes| bytes[at] ^= 1 << (at % 8));
            is_found(&kept, file, "is ");
            is_refused(&kept, file);
            fs::write(&path, &whole).unwrap();
        }
    }
    kept.snapshots().verify(ID, &Watch::none()).unwrap();
}

#[test]
fn an_archive_that_was_cut_or_continued_is_found() {
    let kept = stored();
    let path = kept.snapshot_file(FILE);
    let whole = fs::read(&path).unwrap();
    for length in [0, 1, 3, whole.len() / 2, whole.len() - 4, whole.len() - 1] {
        fs::write(&path, &whole[..length]).unwrap();
        is_found(&kept, FILE, "is damaged");
        is_refused(&kept, FILE);
    }
    for more in [&b"\0"[..], &whole] {
        fs::write(&path, [&whole, more].concat()).unwrap();
        is_found(&kept, FILE, "is damaged: it has");
        is_refused(&kept, FILE);
    }
}

#[test]
fn what_is_missing_or_too_much_is_found() {
    let kept = stored();
    write(&kept.snapshots().path(ID), "other.tar.zst", "x");
    is_found(&kept, "other.tar.zst", "is no part of the snapshot");
    fs::remove_file(kept.snapshot_file("other.tar.zst")).unwrap();
    let told = damage(kept.unpacked("wiki_db", None).unwrap_err());
    assert!(told.contains("has no archive of the volume wiki_db"), "{told}");
    for file in [FILE, MANIFEST] {
        let aside = kept.snapshots().path("aside");
        fs::rename(kept.snapshot_file(file), &aside).unwrap();
        is_found(&kept, file, "is missing");
        is_refused(&kept, file);
        fs::create_dir(kept.snapshot_file(file)).unwrap();
        is_found(&kept, file, "is no file");
        fs::remove_dir(kept.snapshot_file(file)).unwrap();
        fs::rename(&aside, kept.snapshot_file(file)).unwrap();
    }
    fs::rename(kept.snapshots().path(ID), kept.snapshots().path("snapshot-9")).unwrap();
    is_refused(&kept, "");
    let told = damage(kept.snapshots().verify("snapshot-9", &Watch::none()).unwrap_err());
    assert!(told.contains("is that of the snapshot snapshot-1"), "{told}");
}

#[test]
fn another_archive_under_the_name_is_found() {
    let kept = stored();
    let path = kept.snapshot_file(FILE);
    let other = kept.snapshots();
    other.archive(&kept.lock, "snapshot-2", "wiki_data", &kept.volume("wiki_data"), &Watch::none()).unwrap();
    fs::copy(other.path("snapshot-2").join(FILE), path).unwrap();
    is_found(&kept, FILE, "is damaged");
    is_refused(&kept, FILE);
}

#[test]
fn a_snapshot_is_read_back_from_the_disk_and_not_from_memory() {
    // A build's own folder: `/tmp` may be memory.
    let place = Path::new(env!("CARGO_TARGET_TMPDIR"));
    assert_ne!(nix::sys::statfs::statfs(place).unwrap().filesystem_type(), nix::sys::statfs::TMPFS_MAGIC);
    let dir = tempfile::tempdir_in(place).unwrap();
    let (state, volumes) = (dir.path().join("state"), dir.path().join("volumes"));
    let kept = Kept::at(dir, &state, &volumes);
    let noise: Vec<u8> = (0..1_u32 << 18).flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    write(&kept.volume("wiki_data"), "noise", &noise);
    kept.stored(&["wiki_data"]);
    let archive = fs::metadata(kept.snapshot_file(FILE)).unwrap().len();
    let before = read_from_disk();
    kept.snapshots().verify(ID, &Watch::none()).unwrap();
    let read = read_from_disk() - before;
    assert!(read >= archive && archive > 100_000, "{read} of {archive} bytes");
}

/// What this thread has had disks read so far.
fn read_from_disk() -> u64 {
    let counted = fs::read_to_string("/proc/thread-self/io").unwrap();
    let line = counted.lines().find_map(|line| line.strip_prefix("read_bytes: ")).unwrap();
    line.parse().unwrap()
}

#[test]
fn a_disk_that_cannot_be_read_is_no_damage_and_is_told_with_the_file() {
    let kept = stored();
    for file in [FILE, MANIFEST] {
        let path = kept.snapshot_file(file);
        let bound = Unreadable::at(&path);
        let told =
            [kept.snapshots().verify(ID, &Watch::none()).unwrap_err(), kept.unpacked("wiki_data", None).unwrap_err()];
        drop(bound);
        for error in told {
            let words = error.to_string();
            assert!(matches!(error, CopyError::Failed(_)), "{words}");
            assert!(words.contains(path.to_str().unwrap()) && words.contains("Input/output error"), "{words}");
        }
        is_untouched(&kept);
    }
}

/// A file whose first byte cannot be read: the memory of a process at an address that it does not have.
struct Unreadable<'a>(&'a Path);

impl<'a> Unreadable<'a> {
    fn at(path: &'a Path) -> Self {
        mount(Some("/proc/self/mem"), path, None::<&str>, MsFlags::MS_BIND, None::<&str>).unwrap();
        Self(path)
    }
}

impl Drop for Unreadable<'_> {
    fn drop(&mut self) {
        umount2(self.0, MntFlags::MNT_DETACH).unwrap();
    }
}

#[test]
fn a_planted_link_is_never_followed() {
    let kept = stored();
    let outside = tempfile::tempdir().unwrap();
    for file in [FILE, MANIFEST] {
        let aside = outside.path().join(file);
        fs::rename(kept.snapshot_file(file), &aside).unwrap();
        symlink(&aside, kept.snapshot_file(file)).unwrap();
        is_found(&kept, file, "is a symbolic link");
        is_refused(&kept, file);
        fs::remove_file(kept.snapshot_file(file)).unwrap();
        fs::rename(&aside, kept.snapshot_file(file)).unwrap();
    }
    // Where something is written, the link gives way and what it names stays.
    let victim = outside.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    for name in [FILE, MANIFEST, ".part-wiki_data.tar.zst", ".part-wiki.meta.json"] {
        let _ = fs::remove_file(kept.snapshot_file(name));
        symlink(&victim, kept.snapshot_file(name)).unwrap();
    }
    kept.stored(&["wiki_data"]);
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    assert_eq!(names(&kept.snapshots().path(ID)), [MANIFEST, FILE]);
}

#[test]
fn a_link_in_the_place_of_a_folder_is_told_and_nothing_is_written_behind_it() {
    let kept = stored();
    let outside = tempfile::tempdir().unwrap();
    symlink(outside.path(), kept.snapshots().path("snapshot-2")).unwrap();
    let data = kept.volume("wiki_data");
    let told = kept.snapshots().archive(&kept.lock, "snapshot-2", "wiki_data", &data, &Watch::none()).unwrap_err();
    assert!(told.to_string().contains("snapshot-2 is no folder but a link"), "{told}");
    let listed: Vec<_> = kept.snapshots().list().unwrap().into_iter().map(|listed| listed.id).collect();
    assert_eq!(listed, [ID], "a link is no snapshot");
    assert_eq!(kept.snapshots().sweep(&kept.lock, &[ID.to_owned()].into()).unwrap(), Vec::<String>::new());
    assert_eq!(names(outside.path()), Vec::<String>::new());
    fs::rename(kept.snapshots().path(""), kept.app.path().join("moved")).unwrap();
    symlink(outside.path(), kept.app.path().join("snapshots")).unwrap();
    assert!(kept.archive("wiki_data").unwrap_err().to_string().contains("is no folder but a link"));
    assert_eq!(names(outside.path()), Vec::<String>::new());
}

#[test]
fn a_run_that_is_asked_to_end_stops_in_the_middle_and_the_next_one_begins_anew() {
    let kept = Kept::new();
    let data = kept.volume("wiki_data");
    write(&data, "large", vec![7; 3 << 20]);
    let after = |pieces: u64| {
        let seen = AtomicU64::new(0);
        move || seen.fetch_add(1, Ordering::Relaxed) >= pieces
    };
    for pieces in [0, 1, 3] {
        let asked = after(pieces);
        let watch = Watch { asked_to_end: &asked, ..Watch::none() };
        let ended = kept.snapshots().archive(&kept.lock, ID, "wiki_data", &data, &watch);
        assert!(matches!(ended, Err(CopyError::AskedToEnd)), "{pieces}: {ended:?}");
        assert_eq!(names(&kept.snapshots().path(ID)), Vec::<String>::new());
    }
    kept.stored(&["wiki_data"]);
    let mut ends = 0;
    for pieces in 0.. {
        let asked = after(pieces);
        let watch = Watch { asked_to_end: &asked, ..Watch::none() };
        let mut archive = kept.snapshots().open(ID, "wiki_data").unwrap();
        match unpack(&kept.lock, &mut archive, &data, TX, None, &watch) {
            Err(CopyError::AskedToEnd) => ends += 1,
            other => {
                other.unwrap();
                break;
            }
        }
        assert_eq!(fs::metadata(data.join("large")).unwrap().len(), 3 << 20);
        assert!(!data.with_file_name("evenkeel-tx-1-new").exists(), "what has that name is whole");
    }
    assert!(ends > 5, "{ends}");
    assert_eq!(names(data.parent().unwrap()), ["_data", "evenkeel-tx-1-new"]);
    let asked = after(0);
    let watch = Watch { asked_to_end: &asked, ..Watch::none() };
    assert!(matches!(kept.snapshots().verify(ID, &watch), Err(CopyError::AskedToEnd)));
}

#[test]
fn what_a_killed_run_left_is_made_again_unless_it_is_whole() {
    let kept = stored();
    let data = kept.volume("wiki_data");
    let part = data.with_file_name("evenkeel-tx-1-part");
    fs::create_dir(&part).unwrap();
    write(&part, "half", "done");
    let inode = kept.unpacked("wiki_data", None).unwrap();
    assert!(!part.exists());
    let stage = data.with_file_name("evenkeel-tx-1-new");
    assert!(!stage.join("half").exists() && stage.join("file-7").exists());
    // Whole: not made again, whether or not the journal has it.
    assert_eq!(kept.unpacked("wiki_data", Some(inode)).unwrap(), inode);
    assert_eq!(kept.unpacked("wiki_data", None).unwrap(), inode);
    // What somebody wrote into is not taken for it, and not removed.
    write(&stage, "stray", "x");
    let told = kept.unpacked("wiki_data", None).unwrap_err().to_string();
    assert!(told.contains("evenkeel-tx-1-new is not what was unpacked there"), "{told}");
    fs::remove_file(stage.join("stray")).unwrap();
    // In its place already.
    evenkeel::host::volumes::exchange(&data, TX, inode).unwrap();
    assert_eq!(kept.unpacked("wiki_data", Some(inode)).unwrap(), inode);
    assert_eq!(names(data.parent().unwrap()), ["_data", "evenkeel-tx-1-failed"]);
}

#[test]
fn somebody_who_writes_meanwhile_is_noticed() {
    let kept = Kept::new();
    let data = kept.volume("wiki_data");
    write(&data, "large", vec![7; 8 << 20]);
    let file = fs::File::options().append(true).open(data.join("large")).unwrap();
    let progress = |_| {
        use std::io::Write as _;
        (&file).write_all(b"more").unwrap();
    };
    let watch = Watch { progress: &progress, ..Watch::none() };
    let told = kept.snapshots().archive(&kept.lock, ID, "wiki_data", &data, &watch).unwrap_err().to_string();
    assert!(told.contains("somebody wrote while tar was reading"), "{told}");
    assert!(told.contains(&data.display().to_string()) && told.contains("./large"), "{told}");
    assert_eq!(names(&kept.snapshots().path(ID)), Vec::<String>::new());
}

#[test]
fn a_volume_that_is_gone_is_told_by_name() {
    let kept = Kept::new();
    let data = kept.volume("wiki_data");
    fs::remove_dir(&data).unwrap();
    let told = kept.snapshots().archive(&kept.lock, ID, "wiki_data", &data, &Watch::none()).unwrap_err().to_string();
    assert!(told.contains(&data.display().to_string()) && told.contains("No such file"), "{told}");
    symlink("/etc", &data).unwrap();
    assert!(kept.snapshots().archive(&kept.lock, ID, "wiki_data", &data, &Watch::none()).is_err());
    assert_eq!(names(&kept.snapshots().path(ID)), Vec::<String>::new());
}

#[test]
fn an_archive_that_is_made_again_takes_the_seal_away() {
    let kept = stored();
    kept.archive("wiki_data").unwrap();
    is_found(&kept, MANIFEST, "is missing");
}

#[test]
fn a_manifest_seals_nothing_that_is_not_there() {
    let kept = Kept::new();
    write(&kept.volume("wiki_data"), "file", "content");
    let archived = kept.archive("wiki_data").unwrap();
    let both = [("wiki_data".to_owned(), archived.clone()), ("wiki_db".to_owned(), archived.clone())];
    let mut lost = both.clone();
    lost[1].1.file = "wiki_db.tar.zst".into();
    assert!(damage(kept.seal(lost.into()).unwrap_err()).contains("wiki_db.tar.zst is missing"));
    change(&kept.snapshot_file(FILE), |bytes| bytes.truncate(10));
    assert!(damage(kept.seal([both[0].clone()].into()).unwrap_err()).contains("is damaged"));
    assert_eq!(names(&kept.snapshots().path(ID)), [FILE]);
}

#[test]
fn the_lock_of_another_app_opens_nothing() {
    let (kept, other) = (stored(), Kept::new());
    let data = kept.volume("wiki_data");
    let refused = kept.snapshots().archive(&other.lock, ID, "wiki_data", &data, &Watch::none()).unwrap_err();
    assert!(refused.to_string().contains("does not cover"), "{refused}");
    assert!(kept.snapshots().remove(&other.lock, ID).is_err());
    kept.snapshots().verify(ID, &Watch::none()).unwrap();
}

#[test]
fn the_lock_outlives_us_until_tar_has_ended() {
    let kept = Kept::new();
    let data = kept.volume("wiki_data");
    write(&data, "large", vec![7; 8 << 20]);
    let lock = kept.app.path().join("lock").canonicalize().unwrap();
    let ours = format!("PPid:\t{}", std::process::id());
    let seen = AtomicU64::new(0);
    let look = |_| {
        let holds = |process: &Path| {
            let status = fs::read_to_string(process.join("status")).unwrap_or_default();
            let mut fds = fs::read_dir(process.join("fd")).into_iter().flatten().filter_map(Result::ok);
            let has_it = |fd: fs::DirEntry| fs::read_link(fd.path()).is_ok_and(|target| target == lock);
            status.contains("Name:\ttar\n") && status.contains(&ours) && fds.any(has_it)
        };
        let mut processes = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
        seen.fetch_add(u64::from(processes.any(|process| holds(&process.path()))), Ordering::Relaxed);
    };
    let watch = Watch { progress: &look, ..Watch::none() };
    let archived = kept.snapshots().archive(&kept.lock, ID, "wiki_data", &data, &watch).unwrap();
    assert!(seen.swap(0, Ordering::Relaxed) > 0, "while it packs");
    kept.seal([("wiki_data".to_owned(), archived)].into()).unwrap();
    let mut archive = kept.snapshots().open(ID, "wiki_data").unwrap();
    unpack(&kept.lock, &mut archive, &data, TX, None, &watch).unwrap();
    assert!(seen.into_inner() > 0, "while it unpacks");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever files there are.
    #[test]
    fn any_files_come_back(files in prop::collection::btree_map("[a-z]{1,8}", prop::collection::vec(any::<u8>(), 0..5000), 0..8)) {
        let kept = Kept::new();
        let data = kept.volume("wiki_data");
        files.iter().for_each(|(name, content)| write(&data, name, content));
        kept.stored(&["wiki_data"]);
        files.keys().for_each(|name| write(&data, name, "spoilt"));
        kept.restored("wiki_data");
        for (name, content) in &files {
            prop_assert_eq!(&fs::read(data.join(name)).unwrap(), content);
        }
        prop_assert_eq!(names(&data).len(), files.len());
    }
}
