//! One run of the program, what happens to it at some moment, and what was seen of it until then.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, ChildStderr};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use evenkeel::upgrade::step::{Act, Side};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};

use crate::engine::nights::read;

/// Nothing that is walked takes a quarter of it, on a busy machine either.
const HANGS: Duration = Duration::from_secs(600);

/// When a run is struck. Writes of the journal count from one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// The new journal lies beside the old one.
    Before(usize),
    /// The new journal has just taken the old one's place.
    After(usize),
    /// The run has just told that it begins this act.
    At(&'static str),
    /// It has just told that it begins this step.
    Step(&'static str),
    /// It has just told something with these words.
    Told(&'static str),
    /// So long after the first write.
    Since(Duration),
    /// It is left alone.
    Never,
}

/// What was seen of a run.
#[derive(Debug, Clone)]
pub struct Seen {
    /// `None` where it was killed.
    pub code: Option<i32>,
    pub writes: usize,
    /// The write by which it turned back.
    pub turned: Option<usize>,
    /// The act that was under way at the end.
    pub act: Option<&'static str>,
    /// From the first write to the end.
    pub took: Duration,
    /// What it said, for whoever has to look for a reason.
    pub said: String,
}

impl Seen {
    pub fn is_killed(&self) -> bool {
        self.code.is_none()
    }
}

/// The words by which the log names the acts of the ways that are walked.
pub fn acts() -> Vec<&'static str> {
    let name = String::new;
    let all = [
        Act::Quiesce,
        Act::AwaitEnd { clean: true },
        Act::ReadIndexes,
        Act::Note,
        Act::Prove,
        Act::Archive(name()),
        Act::Seal,
        Act::ReadBack,
        Act::SeeStandstill,
        Act::Deploy(Side::New),
        Act::Judge(Side::New),
        Act::Unpack(name()),
        Act::Exchange(name()),
        Act::SetAside(name()),
        Act::GiveBack(name()),
    ];
    all.iter().map(word).collect()
}

/// Does not compile without an act that the list above has to have.
fn word(act: &Act) -> &'static str {
    match act {
        Act::Quiesce => "Quiesce",
        Act::AwaitEnd { .. } => "AwaitEnd",
        Act::ReadIndexes => "ReadIndexes",
        Act::Note => "Note",
        Act::Prove => "Prove",
        Act::Archive(_) => "Archive",
        Act::Seal => "Seal",
        Act::ReadBack => "ReadBack",
        Act::SeeStandstill => "SeeStandstill",
        Act::Deploy(_) => "Deploy",
        Act::Judge(_) => "Judge",
        Act::Unpack(_) => "Unpack",
        Act::Exchange(_) => "Exchange",
        Act::SetAside(_) => "SetAside",
        Act::GiveBack(_) => "GiveBack",
        Act::Verify => "Verify",
        Act::Clear { .. } => "Clear",
        Act::Make => "Make",
        Act::Find => "Find",
        Act::Mark => "Mark",
        Act::Leave => "Leave",
    }
}

/// What is noticed of a run while it runs.
enum Noticed {
    Said(String),
    Beside,
    Written,
    /// It has ended.
    Silent,
}

/// What happens to a run at a moment.
pub type Strike<'a> = (Moment, Box<dyn FnOnce(&mut Child) + 'a>);

/// At this moment it is killed.
pub fn kill_at(moment: Moment) -> Strike<'static> {
    // It may have ended a moment ago.
    (moment, Box::new(|run| drop(run.kill())))
}

/// Watches a run whose journal is in this folder, strikes one time after the other, and returns when it has ended.
pub fn watch(folder: &Path, strikes: Vec<Strike<'_>>, start: impl FnOnce() -> Child) -> Seen {
    let (notices, noticed) = channel();
    let journal = Journal::watched(folder, notices.clone());
    let mut run = start();
    let stderr = run.stderr.take().expect("it is listened to");
    let listener = thread::spawn(move || listen(stderr, &notices));
    let mut seen = follow(&mut run, folder, strikes.into(), &noticed);
    listener.join().unwrap();
    journal.leave();
    // The last writes may be noticed later than the end.
    seen.writes += noticed.try_iter().filter(|notice| matches!(notice, Noticed::Written)).count();
    seen
}

fn follow(run: &mut Child, folder: &Path, mut strikes: VecDeque<Strike<'_>>, noticed: &Receiver<Noticed>) -> Seen {
    let mut seen = Seen { code: None, writes: 0, turned: None, act: None, took: Duration::ZERO, said: String::new() };
    let (mut besides, mut first, begun) = (0, None::<Instant>, Instant::now());
    loop {
        let moment = strikes.front().map_or(Moment::Never, |(moment, _)| *moment);
        let wait = match (moment, first) {
            (Moment::Since(time), Some(first)) => (first + time).saturating_duration_since(Instant::now()),
            _ => HANGS.saturating_sub(begun.elapsed()),
        };
        let is_now = match noticed.recv_timeout(wait) {
            Ok(Noticed::Silent) | Err(RecvTimeoutError::Disconnected) => break,
            Ok(Noticed::Beside) => {
                besides += 1;
                moment == Moment::Before(besides)
            }
            Ok(Noticed::Written) => {
                (seen.writes, seen.act) = (seen.writes + 1, None);
                first.get_or_insert_with(Instant::now);
                if seen.turned.is_none() && read(folder).is_some_and(|state| state["open"]["fault"].is_object()) {
                    seen.turned = Some(seen.writes);
                }
                moment == Moment::After(seen.writes)
            }
            Ok(Noticed::Said(line)) => {
                let act = act_in(&line);
                seen.act = act.or(seen.act);
                seen.said.push_str(&format!("{line}\n"));
                match moment {
                    Moment::At(wanted) => act == Some(wanted),
                    Moment::Step(wanted) => line.contains(&format!("begun step=\"{wanted}\"")),
                    Moment::Told(words) => line.contains(words),
                    _ => false,
                }
            }
            Err(RecvTimeoutError::Timeout) => {
                assert!(matches!(moment, Moment::Since(_)), "the run hangs: {}", seen.said);
                true
            }
        };
        if is_now && let Some((_, strike)) = strikes.pop_front() {
            strike(run);
        }
    }
    let status = run.wait().unwrap();
    assert!(status.code().is_some() || status.signal() == Some(9), "{status}: {}", seen.said);
    seen.code = status.code();
    seen.took = first.map_or(Duration::ZERO, |first| first.elapsed());
    seen
}

/// `… begun act=Exchange("…")`
fn act_in(line: &str) -> Option<&'static str> {
    let (_, told) = line.split_once("begun act=")?;
    let told: String = told.chars().take_while(char::is_ascii_alphabetic).collect();
    Some(acts().into_iter().find(|act| *act == told).unwrap_or_else(|| panic!("an act {told}: {line}")))
}

fn listen(stderr: ChildStderr, notices: &Sender<Noticed>) {
    for line in BufReader::new(stderr).lines() {
        let _ = notices.send(Noticed::Said(line.unwrap()));
    }
    let _ = notices.send(Noticed::Silent);
}

/// The folder of a journal, watched from a thread of its own: the kernel loses no write.
struct Journal {
    inotify: Arc<OwnedFd>,
    watch: i32,
    watcher: thread::JoinHandle<()>,
}

impl Journal {
    fn watched(folder: &Path, notices: Sender<Noticed>) -> Self {
        let inotify = Arc::new(inotify::init(CreateFlags::CLOEXEC).unwrap());
        let watch = inotify::add_watch(&inotify, folder, WatchFlags::CREATE | WatchFlags::MOVED_TO).unwrap();
        let fd = Arc::clone(&inotify);
        let watcher = thread::spawn(move || {
            let mut buffer = [MaybeUninit::uninit(); 4096];
            let mut reader = Reader::new(&fd, &mut buffer);
            loop {
                let event = reader.next().unwrap();
                if event.events().contains(ReadFlags::IGNORED) {
                    return;
                }
                let name = event.file_name().map(|name| name.to_bytes()).unwrap_or_default();
                let _ = match name {
                    b"state.json" => notices.send(Noticed::Written),
                    _ if name.starts_with(b".beside-") => notices.send(Noticed::Beside),
                    _ => Ok(()),
                };
            }
        });
        Self { inotify, watch, watcher }
    }

    /// The watcher is told by the kernel that there is nothing more to watch.
    fn leave(self) {
        inotify::remove_watch(&self.inotify, self.watch).unwrap();
        self.watcher.join().unwrap();
    }
}
