//! Runs that are killed in the middle, and copies by a tar that was not told all: in a process of its own each.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use evenkeel::host::copying::{Progress, Watch};
use evenkeel::host::store::{LockAttempt, Store};
use evenkeel::host::volumes::unpack;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::fingerprint::fingerprint;
use super::{ID, Kept, TX, names, tree, write};

/// What a child is to do, and where.
const PART: &str = "EVENKEEL_TEST_PART";
const WORLD: &str = "EVENKEEL_TEST_WORLD";

/// Runs a test of this file again, as a child that has a part to play.
fn child(test: &str, part: &str, world: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let module = module_path!().split_once("::").unwrap().1;
    command.args(["--exact", &format!("{module}::{test}"), "--nocapture"]).env(PART, part).env(WORLD, world);
    command
}

/// The part of a child, if this is one.
fn part() -> Option<(String, PathBuf)> {
    Some((std::env::var(PART).ok()?, PathBuf::from(std::env::var_os(WORLD)?)))
}

fn kept_at(world: &Path) -> Kept {
    let begun = Instant::now();
    // A tar that the killed run has left holds the lock until it has ended.
    while let LockAttempt::Held { by } = wiki(world).lock().unwrap() {
        assert!(begun.elapsed().as_secs() < 60, "still held by {by}");
        std::thread::yield_now();
    }
    Kept::at(tempfile::tempdir_in(world).unwrap(), &world.join("state"), &world.join("volumes"))
}

fn wiki(world: &Path) -> evenkeel::host::store::AppDir {
    Store::open(world.join("state")).unwrap().app(&"wiki".parse().unwrap())
}

/// Copies, and is killed by itself at the look of this number.
fn copy_and_die(part: &str, world: &Path) {
    let (what, at) = part.split_once(' ').unwrap();
    let at: u64 = at.parse().unwrap();
    let looks = AtomicU64::new(0);
    let die = |_: Progress| {
        if looks.fetch_add(1, Ordering::Relaxed) == at {
            kill(Pid::this(), Signal::SIGKILL).unwrap();
        }
    };
    let watch = Watch { progress: &die, ..Watch::none() };
    let kept = kept_at(world);
    let data = kept.volume("wiki_data");
    match what {
        "store" => drop(kept.snapshots().archive(&kept.lock, ID, "wiki_data", &data, &watch).unwrap()),
        _ => {
            let mut archive = kept.snapshots().open(ID, "wiki_data").unwrap();
            unpack(&kept.lock, &mut archive, &data, TX, None, &watch).unwrap();
        }
    }
}

fn is_killed(output: &Output) -> bool {
    assert!(output.status.success() || output.status.signal() == Some(9), "{output:?}");
    output.status.signal() == Some(9)
}

#[test]
fn a_run_that_was_killed_in_the_middle_of_a_copy_leaves_nothing_in_the_way() {
    if let Some((part, world)) = part() {
        return copy_and_die(&part, &world);
    }
    let again = |part: &str, world: &Path| {
        let name = "a_run_that_was_killed_in_the_middle_of_a_copy_leaves_nothing_in_the_way";
        is_killed(&child(name, part, world).output().unwrap())
    };
    let world = tempfile::tempdir().unwrap();
    let data = world.path().join("volumes/wiki_data/_data");
    fs::create_dir_all(&data).unwrap();
    (0..30).for_each(|number| write(&data, &format!("{number}"), vec![number; 100_000]));
    let before = fingerprint(&data);

    for look in [0, 1, 5] {
        assert!(again(&format!("store {look}"), world.path()));
        assert!(!wiki(world.path()).snapshots().path(ID).join("wiki_data.tar.zst").exists(), "it was not whole");
    }
    kept_at(world.path()).stored(&["wiki_data"]);
    let stage = data.with_file_name("evenkeel-tx-1-new");
    let mut killed = 0;
    for look in [0, 2, 5, 9, 12, 15] {
        killed += u32::from(again(&format!("unpack {look}"), world.path()));
        assert!(!stage.exists() || fingerprint(&stage) == before, "what has that name is whole");
        assert!(fingerprint(&data) == before, "live data is as it was");
    }
    assert!(killed > 3, "{killed}");
    let kept = kept_at(world.path());
    tree::spoil_files(&data);
    kept.restored("wiki_data");
    assert!(fingerprint(&data) == before);
    assert_eq!(names(data.parent().unwrap()), ["_data", "evenkeel-tx-1-failed"]);
}

/// What the flags bring is needed, and its loss would be seen here.
#[test]
fn a_tar_that_is_not_told_all_loses_something_that_is_seen() {
    if let Some((_, world)) = part() {
        let kept = kept_at(&world);
        kept.stored(&["wiki_data"]);
        drop(kept.restored("wiki_data"));
        return;
    }
    let real = Command::new("sh").args(["-c", "command -v tar"]).output().unwrap();
    let real = String::from_utf8(real.stdout).unwrap();
    let come_back = |without: &str| {
        let world = tempfile::tempdir().unwrap();
        let data = world.path().join("volumes/wiki_data/_data");
        fs::create_dir_all(&data).unwrap();
        tree::grow(&data);
        let before = fingerprint(&data);
        let tar = world.path().join("tar");
        let script = format!(
            "#!/bin/sh\nfor flag; do\nshift\ncase \"$flag\" in {without}) ;; *) set -- \"$@\" \"$flag\";; esac\ndone\n\
             exec {} \"$@\"\n",
            real.trim()
        );
        fs::write(&tar, script).unwrap();
        fs::set_permissions(&tar, fs::Permissions::from_mode(0o755)).unwrap();
        let path = std::env::join_paths([world.path(), Path::new("/usr/bin"), Path::new("/bin")]).unwrap();
        let name = "a_tar_that_is_not_told_all_loses_something_that_is_seen";
        let output = child(name, "copy", world.path()).env("PATH", path).output().unwrap();
        output.status.success() && fingerprint(&data) == before
    };
    assert!(come_back("nothing"), "with all flags");
    // Some of them bring others with them.
    for flags in ["--acls|--xattrs*", "--xattrs*", "--xattrs-include*"] {
        assert!(!come_back(flags), "{flags} makes no difference");
    }
}
