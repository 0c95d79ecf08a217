//! The renames of an exchange, on a file system that can swap and on one that really cannot, each killed before it is
//! made and before it is on disk.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use evenkeel::host::volumes::exchange;
use nix::mount::{MntFlags, umount2};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::{Kept, TX, names, write};

/// Where the child finds the data that it is to exchange.
const DATA: &str = "EVENKEEL_TEST_EXCHANGED";

/// A disk that is served by a program: such file systems know no exchange. Gone on drop.
struct Served {
    dir: tempfile::TempDir,
}

impl Served {
    fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("evenkeel-test-").tempdir().unwrap();
        let (image, folder) = (dir.path().join("image"), dir.path().join("disk"));
        fs::File::create(&image).unwrap().set_len(32 << 20).unwrap();
        fs::create_dir(&folder).unwrap();
        let ran = |command: &mut Command| assert!(command.status().unwrap().success());
        ran(Command::new("mkfs.ext4").arg("-q").arg(&image));
        ran(Command::new("fuse2fs").args([&image, &folder]));
        let served = Self { dir };
        let (one, other) = (served.path().join("one"), served.path().join("other"));
        [&one, &other].into_iter().for_each(|folder| fs::create_dir(folder).unwrap());
        let swapped = renameat_with(CWD, &one, CWD, &other, RenameFlags::EXCHANGE);
        assert_eq!(swapped, Err(Errno::INVAL), "it would prove nothing");
        served
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("disk")
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        umount2(&self.path(), MntFlags::MNT_DETACH).unwrap();
    }
}

/// A volume with live data and a stage.
fn volume(disk: &Path) -> PathBuf {
    let dir = tempfile::tempdir_in(disk).unwrap().keep();
    for (folder, content) in [("_data", "failed"), ("evenkeel-tx-1-new", "good")] {
        fs::create_dir(dir.join(folder)).unwrap();
        write(&dir.join(folder), "file", content);
    }
    dir.join("_data")
}

fn content(folder: &Path) -> String {
    fs::read_to_string(folder.join("file")).unwrap()
}

/// Exchanges in a process of its own, which is killed at this call of this name; `false` where it makes fewer of them.
fn is_killed_at(call: &str, number: usize, data: &Path) -> bool {
    let name = concat!(module_path!(), "::an_exchange_that_is_killed_at_any_call_is_finished_by_the_next_one");
    let output = Command::new("strace")
        .args(["-f", "-o", "/dev/null", "-e", &format!("trace={call}")])
        .args(["-e", &format!("inject={call}:signal=KILL:when={number}")])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name.split_once("::").unwrap().1, "--nocapture"])
        .env(DATA, data)
        .output()
        .unwrap();
    assert!(output.status.success() || output.status.signal() == Some(9), "{output:?}");
    output.status.signal() == Some(9)
}

/// How many calls were killed.
fn each_call_is_killed(disk: &Path) -> usize {
    let mut killed = 0;
    for call in ["renameat2", "renameat", "fsync"] {
        for number in 1.. {
            let data = volume(disk);
            let staged = fs::metadata(data.with_file_name("evenkeel-tx-1-new")).unwrap().ino();
            if !is_killed_at(call, number, &data) {
                break;
            }
            killed += 1;
            let beside = data.parent().unwrap();
            let found: Vec<String> = names(beside).iter().map(|name| content(&beside.join(name))).collect();
            assert_eq!(found.len(), 2, "both are whole under some name: {found:?}");
            assert!(found.contains(&"good".to_owned()) && found.contains(&"failed".to_owned()), "{found:?}");

            exchange(&data, TX, staged).unwrap();
            assert_eq!((content(&data).as_str(), names(beside).len()), ("good", 2));
            assert_eq!(content(&beside.join("evenkeel-tx-1-failed")), "failed");
        }
    }
    killed
}

#[test]
fn an_exchange_that_is_killed_at_any_call_is_finished_by_the_next_one() {
    if let Some(data) = std::env::var_os(DATA).map(PathBuf::from) {
        let staged = fs::metadata(data.with_file_name("evenkeel-tx-1-new")).unwrap().ino();
        drop(exchange(&data, TX, staged).unwrap());
        return;
    }
    let (swaps, served) = (tempfile::tempdir().unwrap(), Served::new());
    // Two renames and a sync after each and at the end; the swap that is refused is one more.
    assert_eq!(each_call_is_killed(swaps.path()), 5);
    assert!(each_call_is_killed(&served.path()) >= 6);
}

#[test]
fn data_comes_back_on_a_file_system_that_cannot_exchange() {
    let served = Served::new();
    let kept = Kept::at(tempfile::tempdir().unwrap(), &served.path().join("state"), &served.path().join("volumes"));
    let data = kept.volume("wiki_data");
    write(&data, "file", "good");
    kept.stored(&["wiki_data"]);
    write(&data, "file", "failed");

    let failed = kept.restored("wiki_data");

    assert_eq!((content(&data).as_str(), content(&failed).as_str()), ("good", "failed"));
    assert_eq!(names(data.parent().unwrap()), ["_data", "evenkeel-tx-1-failed"]);
}
