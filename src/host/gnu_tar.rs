//! GNU tar as a child, with the one set of flags that brings a folder back as it was.
//!
//! Measured against hard links, sparse files, extended attributes, ACLs, capabilities, large ids, FIFOs, odd names and
//! times: with these flags it loses nothing but sockets. The surprise: tar calls an attribute that it could not set a
//! warning and ends with success, so here every word on its stderr is a failure.

mod self_test;

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;

use anyhow::{Context, Result, anyhow};
use nix::fcntl::{FcntlArg, fcntl};
use rustix::process::Signal;

use super::command::located;
use super::copying::CopyError;
use crate::telemetry;

pub use self_test::self_test;

const PROGRAM: &str = "tar";
/// 64 KiB at once: with its own 10 KiB tar spends as much time on entering the kernel as on the work.
const RECORD: &str = "--blocking-factor=128";
/// What may lie between tar and us, so that neither waits for every piece of the other.
const PIPE: i32 = 1 << 20;
/// `no-file-ignored`: sockets are named in the manifest instead.
const CREATE: [&str; 9] = [
    "--create",
    "--format=posix",
    "--numeric-owner",
    "--acls",
    "--xattrs",
    "--xattrs-include=*",
    "--sparse",
    "--one-file-system",
    "--warning=no-file-ignored",
];
/// `no-timestamp`: times before 1970 and after today are as good as others.
const EXTRACT: [&str; 9] = [
    "--extract",
    "--preserve-permissions",
    "--same-owner",
    "--numeric-owner",
    "--acls",
    "--xattrs",
    "--xattrs-include=*",
    "--delay-directory-restore",
    "--warning=no-timestamp",
];
/// What is kept of its words: enough for the first reasons.
const WORDS_KEPT: u64 = 8 << 10;

/// A tar at work. Killed and waited for on drop, so that nobody writes after its caller has gone on.
pub(in crate::host) struct Tar {
    child: Child,
    words: Option<JoinHandle<String>>,
}

impl Tar {
    /// Packs `folder`, read from the stdout that is given. The child holds `lock`.
    pub fn create(folder: &Path, lock: File) -> Result<(Self, ChildStdout), CopyError> {
        let mut command = command(&CREATE, folder)?;
        command.arg(".").stdin(lock).stdout(Stdio::piped());
        let mut tar = Self::start(command)?;
        let stdout = tar.child.stdout.take().expect("stdout is piped");
        widen(&stdout);
        Ok((tar, stdout))
    }

    /// Unpacks into `folder` what is written to the stdin that is given. The child holds `lock`: as its stdout, on which
    /// it has nothing to say.
    pub fn extract(folder: &Path, lock: File) -> Result<(Self, ChildStdin), CopyError> {
        let mut command = command(&EXTRACT, folder)?;
        command.stdin(Stdio::piped()).stdout(lock);
        let mut tar = Self::start(command)?;
        let stdin = tar.child.stdin.take().expect("stdin is piped");
        widen(&stdin);
        Ok((tar, stdin))
    }

    fn start(mut command: Command) -> Result<Self, CopyError> {
        let mut child = command.stderr(Stdio::piped()).spawn().map_err(not_run)?;
        let stderr = child.stderr.take().expect("stderr is piped");
        let words = std::thread::spawn(move || words(stderr));
        Ok(Self { child, words: Some(words) })
    }

    /// Waits until it has ended: with success, and without a word.
    pub fn finish(mut self) -> Result<(), CopyError> {
        let status = self.child.wait().context("wait for tar")?;
        let words = self.words.take().and_then(|words| words.join().ok()).unwrap_or_default();
        verdict(status, &words)
    }
}

impl Drop for Tar {
    fn drop(&mut self) {
        // It may have ended already, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What is not on our PATH is not looked for elsewhere.
fn program() -> Result<PathBuf, io::Error> {
    let found = located(PROGRAM.as_ref());
    if found.components().count() > 1 { Ok(found) } else { Err(io::ErrorKind::NotFound.into()) }
}

fn command(flags: &[&str], folder: &Path) -> Result<Command> {
    let mut command = Command::new(program().map_err(not_run)?);
    command.env_clear().env("LC_ALL", "C").args(flags).arg("-C").arg(folder).args([RECORD, "-f", "-"]);
    Ok(command)
}

/// A small pipe works too, with more waiting.
fn widen(pipe: impl AsFd) {
    let _ = fcntl(pipe, FcntlArg::F_SETPIPE_SZ(PIPE));
}

fn not_run(cause: io::Error) -> anyhow::Error {
    if cause.kind() == io::ErrorKind::NotFound {
        return anyhow!("tar is not on PATH; install GNU tar, or add it to the PATH of the unit");
    }
    anyhow::Error::from(cause).context("start tar")
}

/// The first words, and all others read so that the child never waits for us.
fn words(mut stderr: impl Read) -> String {
    let mut kept = Vec::new();
    // Words that cannot be read are none; the exit status still counts.
    let _ = stderr.by_ref().take(WORDS_KEPT).read_to_end(&mut kept);
    let _ = io::copy(&mut stderr, &mut io::sink());
    String::from_utf8_lossy(&kept).trim().to_owned()
}

fn verdict(status: ExitStatus, words: &str) -> Result<(), CopyError> {
    let ended_by = |signal: Signal| status.signal() == Some(signal.as_raw());
    if [Signal::TERM, Signal::INT, Signal::HUP].into_iter().any(ended_by) {
        return Err(CopyError::AskedToEnd);
    }
    let words = telemetry::one_line(words);
    match status.code() {
        Some(0) if words.is_empty() => Ok(()),
        Some(0) => Err(anyhow!("tar could not do all of it: {words}").into()),
        Some(1) => Err(anyhow!("somebody wrote while tar was reading: {words}").into()),
        _ => Err(anyhow!("tar failed ({status}): {words}").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_success_without_a_word_is_success() {
        let ended = |code: i32, words: &str| verdict(ExitStatus::from_raw(code << 8), words);
        assert!(ended(0, "").is_ok());
        for (code, words) in [(0, "tar: ./x: Cannot setxattr"), (1, "tar: ./x: file changed as we read it"), (2, "")] {
            assert!(matches!(ended(code, words), Err(CopyError::Failed(_))), "{code} {words}");
        }
    }

    #[test]
    fn a_tar_that_was_asked_to_end_is_no_broken_tool() {
        for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
            assert!(matches!(verdict(ExitStatus::from_raw(signal.as_raw()), ""), Err(CopyError::AskedToEnd)));
        }
        assert!(matches!(verdict(ExitStatus::from_raw(Signal::KILL.as_raw()), ""), Err(CopyError::Failed(_))));
    }
}
