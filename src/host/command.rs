//! Children: programs of others, run with bounds.
//!
//! A child gets arguments, never a shell line, and an environment of its own: what it needs to find programs, homes,
//! proxies and certificate stores, and nothing of ours (`NOTIFY_SOCKET` would let it speak to systemd in our name).
//! Its output and its time are bounded, and it is killed when its caller goes away.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::unistd::{AccessFlags, access};
use rustix::io::Errno;
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process_group, prlimit};
use tokio::io::{AsyncRead, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout};

use crate::telemetry;

/// Variables that a child keeps from our own environment.
const KEPT: [&str; 15] = [
    "PATH",
    "HOME",
    "TMPDIR",
    "SSH_AUTH_SOCK",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NIX_SSL_CERT_FILE",
    "GIT_SSL_CAINFO",
    "http_proxy",
    "https_proxy",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "no_proxy",
    "NO_PROXY",
];

const DEFAULT_LIMIT: Duration = Duration::from_secs(30);
const DEFAULT_OUTPUT: usize = 16 << 20;
/// What is kept of a child's stderr: its end, where the reason stands.
const STDERR_KEPT: usize = 8 << 10;

/// A program to run. `Debug` shows no environment: it may hold credentials.
pub struct Command {
    program: OsString,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    holding: Option<File>,
    limit: Duration,
    output: usize,
    memory: Option<u64>,
    is_group: bool,
}

/// Why a child gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    #[error("{program} is not on PATH; install it, or add it to the PATH of the unit")]
    NotFound { program: String },
    #[error("{command} cannot be run: {cause}")]
    NotRun { command: String, cause: io::Error },
    /// The child ended with an error of its own; `stderr` has its last words.
    #[error("{command} failed ({status}): {}", telemetry::one_line(.stderr))]
    Failed { command: String, status: ExitStatus, stderr: String },
    #[error("{command} had not ended after {limit:?}")]
    TimedOut { command: String, limit: Duration },
    #[error("{command} printed more than {most} bytes")]
    TooMuch { command: String, most: usize },
}

impl Command {
    pub fn new(program: impl Into<OsString>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            env: Vec::new(),
            holding: None,
            limit: DEFAULT_LIMIT,
            output: DEFAULT_OUTPUT,
            memory: None,
            is_group: false,
        }
    }

    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    #[must_use]
    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Ends the child after this time; 30 s without it.
    #[must_use]
    pub fn within(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Takes at most this many bytes of stdout; 16 MiB without it.
    #[must_use]
    pub fn at_most(mut self, bytes: usize) -> Self {
        self.output = bytes;
        self
    }

    /// Refuses the child, and each of its children, memory beyond this many bytes of address space. It holds from just
    /// after the start, before a remote can have said a word.
    #[must_use]
    pub fn memory(mut self, bytes: u64) -> Self {
        self.memory = Some(bytes);
        self
    }

    /// Ends what the child has started together with it, where it does not end by itself. A signal of the terminal's no
    /// longer reaches the child then: whoever is asked to end has to drop the run.
    #[must_use]
    pub fn with_its_own(mut self) -> Self {
        self.is_group = true;
        self
    }

    /// Lets the child hold a locked file (as its stdin), so that the lock outlives us until the child has ended.
    #[must_use]
    pub fn holding(mut self, lock: File) -> Self {
        self.holding = Some(lock);
        self
    }

    /// Gives the child this file as its stdin.
    #[must_use]
    pub fn reading(self, file: File) -> Self {
        self.holding(file)
    }

    /// Program and arguments: what everybody on the host can see in the process list.
    pub fn argv(&self) -> impl Iterator<Item = &OsStr> {
        std::iter::once(self.program.as_os_str()).chain(self.args.iter().map(OsString::as_os_str))
    }

    /// Runs to the end and gives stdout.
    ///
    /// # Errors
    /// [`CommandError::Failed`] when the child says no; the others when nothing can be said.
    pub async fn run(mut self) -> Result<Vec<u8>, CommandError> {
        let stdin = self.holding.take().map_or_else(Stdio::null, Stdio::from);
        let mut running = Running { child: self.spawn(stdin)?, is_group: self.is_group };
        let ended = tokio::time::timeout(self.limit, self.read_to_end(&mut running.child)).await;
        ended.map_err(|_| CommandError::TimedOut { command: self.name(), limit: self.limit })?
    }

    /// Starts a child to talk with over stdin and stdout. Bounds are the caller's.
    pub fn converse(self) -> Result<Conversation, CommandError> {
        let mut child = self.spawn(Stdio::piped())?;
        let stdin = child.stdin.take().expect("stdin is piped");
        let stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        Ok(Conversation { stdin, stdout, child })
    }

    fn spawn(&self, stdin: Stdio) -> Result<Child, CommandError> {
        let kept = KEPT.iter().filter_map(|name| Some((*name, std::env::var_os(name)?)));
        let mut command = tokio::process::Command::new(located(&self.program));
        if self.is_group {
            command.process_group(0);
        }
        let child = command
            .args(&self.args)
            .env_clear()
            .envs(kept)
            .env("LC_ALL", "C")
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|cause| self.not_run(cause))?;
        self.limit_memory(&child).map_err(|cause| self.not_run(cause))?;
        Ok(child)
    }

    /// From outside: a step between fork and start would cost a fork of all that we are.
    fn limit_memory(&self, child: &Child) -> io::Result<()> {
        let (Some(most), Some(pid)) = (self.memory, pid(child)) else { return Ok(()) };
        match prlimit(Some(pid), Resource::As, Rlimit { current: Some(most), maximum: Some(most) }) {
            // It may have ended already.
            Ok(_) | Err(Errno::SRCH) => Ok(()),
            Err(cause) => Err(cause.into()),
        }
    }

    async fn read_to_end(&self, child: &mut Child) -> Result<Vec<u8>, CommandError> {
        let stdout = child.stdout.take().expect("stdout is piped");
        let stderr = child.stderr.take().expect("stderr is piped");
        let read = async { tokio::try_join!(head(stdout, self.output), tail(stderr)) };
        let (stdout, stderr) = read.await.map_err(|cause| self.not_run(cause))?;
        let Some(stdout) = stdout else {
            return Err(CommandError::TooMuch { command: self.name(), most: self.output });
        };
        let status = child.wait().await.map_err(|cause| self.not_run(cause))?;
        if status.success() {
            return Ok(stdout);
        }
        Err(CommandError::Failed { command: self.name(), status, stderr })
    }

    fn not_run(&self, cause: io::Error) -> CommandError {
        if cause.kind() == io::ErrorKind::NotFound {
            return CommandError::NotFound { program: self.program.to_string_lossy().into_owned() };
        }
        CommandError::NotRun { command: self.name(), cause }
    }

    /// Program and first argument: enough to know what was asked for.
    fn name(&self) -> String {
        let words: Vec<_> = self.argv().take(2).map(OsStr::to_string_lossy).collect();
        words.join(" ")
    }
}

/// A child on its way; killed on drop, and its group with it unless it has ended.
struct Running {
    child: Child,
    is_group: bool,
}

impl Drop for Running {
    fn drop(&mut self) {
        // Nobody has waited for it, so its number is its own still.
        if let (true, Some(group)) = (self.is_group, pid(&self.child)) {
            // It may have ended, with all of its own, just now.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// `None` once it was waited for.
fn pid(child: &Child) -> Option<Pid> {
    child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?))
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.argv()).finish()
    }
}

/// A child that answers questions; killed on drop.
pub struct Conversation {
    pub stdin: ChildStdin,
    pub stdout: BufReader<ChildStdout>,
    child: Child,
}

impl Conversation {
    /// What the child said on stderr, once it has stopped answering.
    pub async fn last_words(&mut self) -> String {
        let Some(stderr) = self.child.stderr.take() else { return String::new() };
        match tokio::time::timeout(DEFAULT_LIMIT, tail(stderr)).await {
            Ok(words) => words.unwrap_or_else(|cause| cause.to_string()),
            Err(_) => String::new(),
        }
    }
}

/// A program's own path. By its bare name it would be looked for in the child's environment, which costs a fork of all
/// that we are; a path is started without one.
pub(in crate::host) fn located(program: &OsStr) -> PathBuf {
    let bare = Path::new(program);
    let path = std::env::var_os("PATH").filter(|_| bare.components().count() == 1).unwrap_or_default();
    let mut found = std::env::split_paths(&path).map(|folder| folder.join(bare));
    found.find(|file| file.is_file() && access(file, AccessFlags::X_OK).is_ok()).unwrap_or_else(|| bare.to_owned())
}

/// All of the stream, or `None` when it has more than `most` bytes.
async fn head(stream: impl AsyncRead + Unpin, most: usize) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    stream.take(most as u64 + 1).read_to_end(&mut bytes).await?;
    Ok((bytes.len() <= most).then_some(bytes))
}

/// The stream's end as text.
async fn tail(mut stream: impl AsyncRead + Unpin) -> io::Result<String> {
    let mut kept = Vec::new();
    while stream.read_buf(&mut kept).await? > 0 {
        let surplus = kept.len().saturating_sub(STDERR_KEPT);
        kept.drain(..surplus);
    }
    Ok(String::from_utf8_lossy(&kept).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(line: &str) -> Command {
        Command::new("sh").arg("-c").arg(line)
    }

    #[tokio::test]
    async fn a_child_sees_nothing_of_our_environment_but_what_it_needs() {
        let printed = Command::new("env").env("OURS", "1").run().await.unwrap();
        let printed = String::from_utf8(printed).unwrap();
        let names: Vec<_> = printed.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
        assert!(names.contains(&"PATH") && names.contains(&"OURS"), "{names:?}");
        // Cargo sets it for every test.
        assert!(!names.contains(&"CARGO_MANIFEST_DIR"), "{names:?}");
        assert!(!KEPT.contains(&"NOTIFY_SOCKET"));
    }

    #[tokio::test]
    async fn a_failure_tells_what_the_child_said() {
        let failed = shell("echo nearly; echo 'no such thing' >&2; exit 3").run().await.unwrap_err();
        assert_eq!(failed.to_string(), "sh -c failed (exit status: 3): no such thing");
    }

    #[tokio::test]
    async fn a_missing_program_is_told_with_the_way_out() {
        let failed = Command::new("evenkeel-no-such-program").run().await.unwrap_err();
        assert!(matches!(&failed, CommandError::NotFound { .. }), "{failed}");
        assert!(failed.to_string().contains("install it"));
    }

    #[tokio::test]
    async fn output_and_time_are_bounded() {
        let failed = shell("yes").at_most(1000).run().await.unwrap_err();
        assert!(matches!(failed, CommandError::TooMuch { most: 1000, .. }), "{failed}");
        let failed = shell("exec sleep 600").within(Duration::from_millis(50)).run().await.unwrap_err();
        assert!(matches!(failed, CommandError::TimedOut { .. }), "{failed}");
        let failed = shell("yes | head -c 1000000 >&2; echo end >&2; exit 1").run().await;
        assert!(failed.is_err_and(|failed| failed.to_string().ends_with("end")));
    }

    #[tokio::test]
    async fn what_a_child_has_started_ends_with_it() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let lock = File::open(file.path()).unwrap();
        lock.try_lock().unwrap();
        // What it starts holds the lock as long as it lives.
        let hangs = shell("sleep 600 <&0 & wait").reading(lock).with_its_own().within(Duration::from_millis(200));
        let failed = hangs.run().await.unwrap_err();
        assert!(matches!(failed, CommandError::TimedOut { .. }), "{failed}");
        let again = File::open(file.path()).unwrap();
        let free = tokio::task::spawn_blocking(move || again.lock());
        tokio::time::timeout(Duration::from_secs(60), free).await.expect("nobody holds the lock").unwrap().unwrap();
    }

    #[tokio::test]
    async fn memory_is_bounded_for_a_child_and_its_own() {
        // Reads a line first: the bound is there before the first word.
        let mut child = shell("read -r line; sh -c 'ulimit -v'").memory(512 << 20).converse().unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut child.stdin, b"go\n").await.unwrap();
        let mut said = String::new();
        child.stdout.read_to_string(&mut said).await.unwrap();
        assert_eq!(said.trim(), (512 << 10).to_string());
    }

    #[tokio::test]
    async fn stdin_is_empty_and_the_child_can_hold_a_lock() {
        assert_eq!(shell("cat").run().await.unwrap(), b"");
        let file = tempfile::NamedTempFile::new().unwrap();
        let lock = File::open(file.path()).unwrap();
        lock.try_lock().unwrap();
        let mut child = shell("read -r line; exec sleep 600").holding(lock.try_clone().unwrap());
        let stdin = Stdio::from(child.holding.take().unwrap());
        let mut child = child.spawn(stdin).unwrap();
        drop(lock);
        let again = File::open(file.path()).unwrap();
        assert!(again.try_lock().is_err());
        child.kill().await.unwrap();
        assert!(again.try_lock().is_ok());
    }
}
