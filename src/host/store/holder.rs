//! Who holds a lock, in words for whoever waits for it.
//!
//! The kernel knows: `/proc/locks` names who took it, and `/proc/<pid>/fdinfo` who has it. The text in the lock's file is
//! believed of a process that is found to hold it, and where no other process can be seen, as in a unit with
//! `ProtectProc=`. The surprise: who took a lock may have ended long ago, as `flock 9` in a shell does, and whoever has
//! the descriptor holds it all the same. Of a stranger's command line no more is told than its program and first word:
//! secrets stand in others.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::Result;
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

use super::read_if_there;
use crate::telemetry::one_line;

/// Characters of a stranger's word.
const LONGEST: usize = 100;
/// `O_CLOEXEC`, as `fdinfo` writes it.
const CLOSE_ON_EXEC: u32 = 0o2_000_000;

/// Which of the two locks of a file is meant. Neither hinders the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `flock`: whoever has its descriptor holds it.
    Whole,
    /// `fcntl` by open file: see `slot`.
    Inner,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Kind::Whole => "FLOCK",
            Kind::Inner => "OFDLCK",
        }
    }
}

/// Whether the descriptor of a lock is handed on to children, which then hold it when their parent has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Handing {
    ToChildren,
    ToNobody,
}

/// As in `pid 4711 evenkeel proxy`.
pub(super) fn holder(path: &Path, kind: Kind, handing: Handing) -> Result<String> {
    let written = written(path)?;
    let author = written.as_ref().map(|(pid, _)| *pid);
    let Some(found) = found(path, kind, author) else { return Ok(unseen(path, written, handing)) };
    let words = match &written {
        Some((pid, text)) if *pid == found.pid => text.clone(),
        Some((pid, text)) if found.taken_by == *pid && has_ended(*pid) => {
            format!("{}, a child of {text}, which has ended itself", stranger(found.pid))
        }
        _ => stranger(found.pid),
    };
    // It waits for this command, which would wait for it.
    let is_stuck = handing == Handing::ToNobody && started_us(found.pid);
    Ok(if is_stuck { format!("{words}, which started this command without the slot's descriptor,") } else { words })
}

/// Where nobody is found to hold it, the text is all that there is.
fn unseen(path: &Path, written: Option<(u32, String)>, handing: Handing) -> String {
    match written {
        Some((pid, text)) if !has_ended(pid) => text,
        Some((_, text)) if handing == Handing::ToChildren => format!("a child of {text}, which has ended itself"),
        _ => format!("another program, which `fuser -v {}` names,", path.display()),
    }
}

/// What the holder wrote into the file, and its pid.
fn written(path: &Path) -> Result<Option<(u32, String)>> {
    let text = read_if_there(path)?.unwrap_or_default();
    let text = one_line(&String::from_utf8_lossy(&text));
    let pid = text.strip_prefix("pid ").and_then(|rest| rest.split(' ').next()?.parse().ok());
    Ok(pid.map(|pid| (pid, text)))
}

/// Asked by a signal that does nothing: in a unit whose `ProtectProc=` hides them, the processes of others are not in
/// `/proc`.
fn has_ended(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.is_none_or(|pid| test_kill_process(pid) == Err(Errno::SRCH))
}

/// A process that holds the lock now, and who took it, who may have ended.
struct Found {
    pid: u32,
    taken_by: u32,
}

/// `author`: who wrote its name, and is looked at first.
fn found(path: &Path, kind: Kind, author: Option<u32>) -> Option<Found> {
    let file = Identity::of(path)?;
    let holds = |pid: &u32| Some(Found { pid: *pid, taken_by: file.locked_by(*pid, kind)? });
    let took_it = |found: &Found| found.taken_by == found.pid || kind == Kind::Inner;
    let first = author.iter().find_map(holds).filter(took_it);
    first.or_else(|| takers(&file, kind).iter().find_map(holds)).or_else(|| {
        let all = numbers_in(Path::new("/proc"));
        // Of a parent and its children, the parent.
        all.filter_map(|pid| holds(&pid)).min_by_key(|found| found.pid)
    })
}

/// Who took a lock of this file, by the kernel's list.
fn takers(file: &Identity, kind: Kind) -> Vec<u32> {
    let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
    locks.lines().filter_map(|line| Some(file.taker(line, kind)?.0)).collect()
}

/// A lock file, as it is found again among the descriptors of a process.
pub(super) struct Identity {
    name: PathBuf,
    device: u64,
    inode: u64,
}

/// A descriptor that holds a lock.
struct Held {
    taken_by: u32,
    /// A shared one shuts no other shared one out.
    is_exclusive: bool,
    /// Children get it, and so did this process if it was started with it.
    is_handed_on: bool,
}

impl Identity {
    pub(super) fn of(path: &Path) -> Option<Self> {
        let seen = fs::metadata(path).ok()?;
        Some(Self { name: path.file_name()?.into(), device: seen.dev(), inode: seen.ino() })
    }

    /// Who took the lock that a line tells of, and whether it shuts others out: `1: FLOCK  ADVISORY  WRITE 4711 fe:00:10119474 0 EOF`. By the inode alone,
    /// since file systems with volumes of their own (btrfs) have another device here.
    fn taker(&self, line: &str, kind: Kind) -> Option<(u32, bool)> {
        let words: Vec<&str> = line.split_whitespace().collect();
        // A line with an arrow waits for the lock.
        let [_, of_kind, _, mode, pid, place, ..] = words[..] else { return None };
        let inode = place.rsplit(':').next()?.parse();
        (of_kind == kind.word() && inode == Ok(self.inode)).then(|| (pid.parse().unwrap_or_default(), mode == "WRITE"))
    }

    /// The descriptors of a process that hold the lock. None also of a process that may not be looked at.
    fn held<'a>(&'a self, process: &'a Path, kind: Kind) -> impl Iterator<Item = Held> + use<'a> {
        let is_it = move |fd: &u32| {
            let link = process.join("fd").join(fd.to_string());
            // The name first: a look at the file itself may wait for a disk that is gone.
            let is_named = fs::read_link(&link).is_ok_and(|path| path.file_name() == Some(self.name.as_os_str()));
            is_named && fs::metadata(&link).is_ok_and(|seen| (seen.dev(), seen.ino()) == (self.device, self.inode))
        };
        let lock = move |fd: u32| {
            let told = fs::read_to_string(process.join("fdinfo").join(fd.to_string())).ok()?;
            let line = |key: &'static str| told.lines().find_map(move |line| line.strip_prefix(key));
            let flags = u32::from_str_radix(line("flags:")?.trim(), 8).ok()?;
            let mut locks = told.lines().filter_map(|line| line.strip_prefix("lock:"));
            let (taken_by, is_exclusive) = locks.find_map(|line| self.taker(line, kind))?;
            Some(Held { taken_by, is_exclusive, is_handed_on: flags & CLOSE_ON_EXEC == 0 })
        };
        numbers_in(&process.join("fd")).filter(is_it).filter_map(lock)
    }

    fn locked_by(&self, pid: u32, kind: Kind) -> Option<u32> {
        let process = Path::new("/proc").join(pid.to_string());
        self.held(&process, kind).next().map(|held| held.taken_by)
    }

    /// Whether this process was started with a descriptor that holds the lock. What it opens itself is closed on exec.
    pub(super) fn is_inherited(&self) -> bool {
        self.held(Path::new("/proc/self"), Kind::Whole).any(|held| held.is_exclusive && held.is_handed_on)
    }
}

/// The entries of a folder of `/proc` that are numbers.
fn numbers_in(folder: &Path) -> impl Iterator<Item = u32> + use<> {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(io::Result::ok);
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// A process that wrote no name: its pid, program and first word.
fn stranger(pid: u32) -> String {
    let process = Path::new("/proc").join(pid.to_string());
    let line = fs::read(process.join("cmdline")).unwrap_or_default();
    let name = fs::read_to_string(process.join("comm")).unwrap_or_default();
    named(pid, &String::from_utf8_lossy(&line), name.trim())
}

fn named(pid: u32, line: &str, name: &str) -> String {
    let mut words = line.split('\0');
    // Some programs write one text of their own in the place of their words.
    let program = words.next().and_then(|program| program.split_whitespace().next()?.rsplit('/').next());
    let program: String = program.filter(|program| !program.is_empty()).unwrap_or(name).chars().take(LONGEST).collect();
    let first = words.next().filter(|word| is_telling(word)).map(|word| format!(" {word}")).unwrap_or_default();
    format!("pid {pid} {}{first}", one_line(&program)).trim_end().to_owned()
}

/// A verb, or the path of a script. Neither is a secret; an option, an address or anything else may hold one.
fn is_telling(word: &str) -> bool {
    let is_verb = |c: char| c.is_ascii_lowercase() || c == '-';
    let is_path = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    let is_word = word.starts_with(|c: char| c.is_ascii_lowercase()) && word.chars().all(is_verb);
    word.len() <= LONGEST && (is_word || word.starts_with('/') && word.chars().all(is_path))
}

/// Whether this process is below that one, which then waits for it.
fn started_us(pid: u32) -> bool {
    let parent = |pid: &u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name before it may hold anything.
        stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
    };
    std::iter::successors(parent(&std::process::id()), parent).any(|above| above == pid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_stranger_no_secret_is_told() {
        let rows = [
            ("/usr/bin/flock\0/var/lib/ci-warm/slot.lock\0sh\0-c\0x", "flock /var/lib/ci-warm/slot.lock"),
            ("evenkeel\0canonical\0sweep", "evenkeel canonical"),
            ("bash\0/etc/ci/run.sh\0--token\0hunter2", "bash /etc/ci/run.sh"),
            ("mysql\0-phunter2", "mysql"),
            ("curl\0https://me:hunter2@example.org", "curl"),
            ("env\0PASSWORD=hunter2\0sh", "env"),
            ("echo\0hunter2", "echo"),
            ("echo\0/a?token=hunter2", "echo"),
            ("runner: hunter2", "runner:"),
            ("ev\u{1b}[2Jil\0\u{1b}c", "ev\\u001b[2Jil"),
            ("", "kworker"),
        ];
        for (line, expected) in rows {
            assert_eq!(named(7, line, "kworker"), format!("pid 7 {expected}"), "{line:?}");
        }
        assert!(
            named(7, &"a".repeat(10_000), "").len() < 200
                && named(7, &format!("a\0{}", "b".repeat(999)), "").len() < 20
        );
    }

    #[test]
    fn a_lock_is_told_by_its_kind_and_file_and_not_by_who_waits_for_it() {
        let file = Identity { name: "slot.lock".into(), device: 1, inode: 10_119_474 };
        let rows = [
            ("5: FLOCK  ADVISORY  WRITE 28748 fe:00:10119474 0 EOF", Some((28_748, true))),
            ("1: FLOCK  ADVISORY  READ 3 00:2a:10119474 0 EOF", Some((3, false))),
            ("5: -> FLOCK  ADVISORY  WRITE 28749 fe:00:10119474 0 EOF", None),
            ("5: OFDLCK ADVISORY  WRITE -1 fe:00:10119474 0 EOF", None),
            ("5: POSIX  ADVISORY  WRITE 28748 fe:00:10119474 0 EOF", None),
            ("5: FLOCK  ADVISORY  WRITE 28748 fe:00:1011947 0 EOF", None),
            ("", None),
        ];
        for (line, expected) in rows {
            assert_eq!(file.taker(line, Kind::Whole), expected, "{line}");
        }
        // It is an open file's, and no process's.
        assert_eq!(file.taker("5: OFDLCK ADVISORY  WRITE -1 fe:00:10119474 0 EOF", Kind::Inner), Some((0, true)));
    }

    #[test]
    fn whoever_is_above_this_process_started_it() {
        assert!(started_us(nix::unistd::getppid().as_raw().cast_unsigned()));
        assert!(!started_us(std::process::id()) && !started_us(u32::MAX));
    }
}
