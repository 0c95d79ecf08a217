//! A program that is asked about before each of its syncs.
//!
//! The kernel holds it at every `fsync`, `fdatasync`, `syncfs` and `posix_fadvise`, which writes what is not yet on the disk
//! before it lets go of it; at those of its children too, until somebody who watches says what
//! becomes of the call: it is made, or is told as made and never was, or the program waits for ever. The program is the very
//! one that is released. The surprise: the watcher need not be on the same host; whoever starts the program hands over the
//! kernel's listener through a socket, by its number.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::sockopt::{PeerCredentials, ReceiveTimeout};
use nix::sys::socket::{getsockopt, setsockopt};
use nix::sys::time::{TimeVal, TimeValLike as _};

/// What the launcher is to become, by words.
pub const COMMAND: &str = "EVENKEEL_TEST_WATCHED";
/// Where the watcher listens, as the launcher sees it.
pub const SOCKET: &str = "EVENKEEL_TEST_WATCHER";
/// The test that is the launcher, where [`COMMAND`] is set.
pub const LAUNCHER: &str = "power::watched::each_sync_of_a_program_is_asked_about";

const CALLS: [libc::c_long; 4] = [libc::SYS_fsync, libc::SYS_fdatasync, libc::SYS_syncfs, libc::SYS_fadvise64];

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Make,
    /// Told as made.
    Skip,
    /// Never made; the program waits.
    HoldBefore,
    /// Made; the program never hears of it.
    HoldAfter,
}

/// The watcher's end.
pub struct Watched {
    listener: OwnedFd,
}

/// One call that waits for its verdict.
pub struct Call {
    id: u64,
    /// Its descriptor, as we can open it.
    file: PathBuf,
    pub is_syncfs: bool,
    /// It promises nothing, and may write all the same.
    pub is_hint: bool,
}

nix::ioctl_readwrite!(receive, b'!', 0, libc::seccomp_notif);
nix::ioctl_readwrite!(answer, b'!', 1, libc::seccomp_notif_resp);

impl Watched {
    /// Waits for a program that is started with this socket's path; for long, and not for ever.
    pub fn accept(socket: &UnixListener) -> Self {
        setsockopt(socket, ReceiveTimeout, &TimeVal::seconds(300)).unwrap();
        let (stream, _) = socket.accept().unwrap();
        let launcher = getsockopt(&stream, PeerCredentials).unwrap().pid();
        let mut number = String::new();
        BufReader::new(&stream).read_line(&mut number).unwrap();
        let listener = taken_from(launcher, number.trim().parse().unwrap());
        (&stream).write_all(b"go").unwrap();
        Self { listener }
    }

    /// Answers the program until it is held (`true`) or has ended.
    pub fn follow(&self, mut verdict: impl FnMut(&Call) -> Verdict) -> bool {
        while let Some(call) = self.next() {
            match verdict(&call) {
                Verdict::Make => self.tell(&call, libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32),
                Verdict::Skip => self.tell(&call, 0),
                Verdict::HoldBefore => return true,
                Verdict::HoldAfter => {
                    call.make();
                    return true;
                }
            }
        }
        false
    }

    /// `None` when the program and its children have ended.
    fn next(&self) -> Option<Call> {
        loop {
            let mut ready = libc::pollfd { fd: self.listener.as_raw_fd(), events: libc::POLLIN, revents: 0 };
            // SAFETY: one descriptor, which is open.
            let polled = unsafe { libc::poll(&mut ready, 1, -1) };
            if Errno::result(polled).is_err() {
                continue;
            }
            if ready.revents & libc::POLLIN == 0 {
                return None;
            }
            // SAFETY: all zero is how the kernel wants it, and it fills it.
            let mut notice: libc::seccomp_notif = unsafe { std::mem::zeroed() };
            // SAFETY: the descriptor is a listener.
            match unsafe { receive(self.listener.as_raw_fd(), &mut notice) } {
                Ok(_) => return Some(Call::of(&notice)),
                // It was killed meanwhile.
                Err(Errno::ENOENT | Errno::EINTR) => {}
                Err(cause) => panic!("{cause}"),
            }
        }
    }

    fn tell(&self, call: &Call, flags: u32) {
        let mut said = libc::seccomp_notif_resp { id: call.id, val: 0, error: 0, flags };
        // SAFETY: the descriptor is a listener. Whom it tells may have been killed meanwhile.
        match unsafe { answer(self.listener.as_raw_fd(), &mut said) } {
            Ok(_) | Err(Errno::ENOENT) => {}
            Err(cause) => panic!("{cause}"),
        }
    }
}

impl Call {
    fn of(notice: &libc::seccomp_notif) -> Self {
        Self {
            id: notice.id,
            file: format!("/proc/{}/fd/{}", notice.pid, notice.data.args[0]).into(),
            is_syncfs: libc::c_long::from(notice.data.nr) == libc::SYS_syncfs,
            is_hint: libc::c_long::from(notice.data.nr) == libc::SYS_fadvise64,
        }
    }

    /// What it syncs, as the program calls it.
    pub fn path(&self) -> PathBuf {
        std::fs::read_link(&self.file).unwrap_or_default()
    }

    /// What the file holds.
    pub fn content(&self) -> Vec<u8> {
        std::fs::read(&self.file).unwrap_or_default()
    }

    fn make(&self) {
        let file = File::open(&self.file).unwrap();
        match self.is_syncfs {
            true => rustix::fs::syncfs(&file).unwrap(),
            false => file.sync_all().unwrap(),
        }
    }
}

/// A descriptor of another process.
fn taken_from(process: libc::pid_t, number: RawFd) -> OwnedFd {
    // SAFETY: both calls give a new descriptor or an error.
    unsafe {
        let process = Errno::result(libc::syscall(libc::SYS_pidfd_open, process, 0)).unwrap();
        let process = OwnedFd::from_raw_fd(process.try_into().unwrap());
        let taken = Errno::result(libc::syscall(libc::SYS_pidfd_getfd, process.as_raw_fd(), number, 0)).unwrap();
        OwnedFd::from_raw_fd(taken.try_into().unwrap())
    }
}

/// Has the kernel ask about this thread's calls, and those of all that it starts. Gives the listener.
fn watched() -> RawFd {
    let statement = |code: u32, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k };
    let mut filter = vec![statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0)];
    for (index, call) in CALLS.iter().enumerate() {
        let jump = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
        let to_the_last = (CALLS.len() - index) as u8;
        filter.push(libc::sock_filter { code: jump, jt: to_the_last, jf: 0, k: *call as u32 });
    }
    filter.push(statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW));
    filter.push(statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_USER_NOTIF));
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    let (act, flags) = (libc::SECCOMP_SET_MODE_FILTER, libc::SECCOMP_FILTER_FLAG_NEW_LISTENER);
    // SAFETY: the program lives until the kernel has copied it.
    let listener = unsafe { libc::syscall(libc::SYS_seccomp, act, flags, &program) };
    Errno::result(listener).unwrap().try_into().unwrap()
}

/// Hands the listener over and becomes the program.
fn launch(command: &str) -> ! {
    let mut socket = UnixStream::connect(std::env::var_os(SOCKET).unwrap()).unwrap();
    let listener = watched();
    writeln!(socket, "{listener}").unwrap();
    // Our own copy goes with the `exec`.
    socket.read_exact(&mut [0; 2]).unwrap();
    let mut words = command.split_whitespace();
    let mut program = Command::new(words.next().unwrap());
    panic!("{}", program.args(words).env_remove(COMMAND).env_remove(SOCKET).exec())
}

#[test]
fn each_sync_of_a_program_is_asked_about() {
    if let Ok(command) = std::env::var(COMMAND) {
        launch(&command);
    }
    let dir = tempfile::tempdir().unwrap();
    let (file, socket) = (dir.path().join("file"), dir.path().join("socket"));
    std::fs::write(&file, "whole").unwrap();
    let listening = UnixListener::bind(&socket).unwrap();
    let follow = |flag: &str, verdict: Verdict| {
        let command = format!("sync {flag} {}", file.display());
        let mut program = launcher(&command, &socket).spawn().unwrap();
        let mut seen = Vec::new();
        // Where nobody listens any more, a call that is held fails.
        let watched = Watched::accept(&listening);
        let is_held = watched.follow(|call| {
            if call.is_hint {
                return Verdict::Make;
            }
            assert_eq!((call.path().as_path(), call.content()), (file.as_path(), b"whole".to_vec()));
            seen.push(call.is_syncfs);
            verdict
        });
        if is_held {
            assert_eq!(program.try_wait().unwrap(), None, "it is held");
            program.kill().unwrap();
        }
        (is_held, program.wait().unwrap().success(), seen)
    };
    assert_eq!(follow("", Verdict::Make), (false, true, vec![false]));
    assert_eq!(follow("--data", Verdict::Skip), (false, true, vec![false]));
    assert_eq!(follow("--file-system", Verdict::HoldAfter), (true, false, vec![true]));
    assert_eq!(follow("", Verdict::HoldBefore), (true, false, vec![false]));
}

fn launcher(command: &str, socket: &Path) -> Command {
    let mut launcher = Command::new(std::env::current_exe().unwrap());
    launcher.args(["--exact", LAUNCHER, "--nocapture"]).env(COMMAND, command).env(SOCKET, socket);
    launcher
}
