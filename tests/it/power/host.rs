//! A host that boots, by `tests/host`: gone when dropped, and also when this process is killed.

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::engine::private::until_we_end;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/host/host");
/// Seconds for a host to boot, with what is started at boot.
const PATIENCE: &str = "600";

pub struct Host {
    name: String,
    guard: Child,
}

impl Host {
    /// A new one that runs, with a disk of its own for each of these folders.
    pub fn boot(folders: &[&str]) -> Self {
        let host = Self::named();
        let mut arguments = vec!["up", &host.name];
        arguments.extend(folders);
        script(&arguments);
        host
    }

    /// One with the same disks as this one, which must not run. Runs.
    pub fn twin(&self) -> Self {
        let twin = Self::named();
        script(&["twin", &twin.name, &self.name]);
        twin.up();
        twin
    }

    fn named() -> Self {
        static HOSTS: AtomicU32 = AtomicU32::new(0);
        let name = format!("power-{}-{}", std::process::id(), HOSTS.fetch_add(1, Ordering::Relaxed));
        let guard = until_we_end(r#"cat; "$0" down "$1""#, SCRIPT, Path::new(&name));
        Self { name, guard }
    }

    pub fn up(&self) {
        script(&["up", &self.name]);
    }

    /// The power fails.
    pub fn cut(&self) {
        script(&["cut", &self.name]);
    }

    /// Ends it with all that was written on its disks.
    pub fn kill(&self) {
        script(&["kill", &self.name]);
    }

    /// Puts a file or folder of this machine into a folder inside.
    pub fn copy(&self, source: &Path, folder: &str) {
        script(&["copy", &self.name, source.to_str().expect("paths of tests are UTF-8"), folder]);
    }

    /// Runs a command inside to its end.
    pub fn run(&self, command: &[&str]) -> Output {
        self.command(command).output().unwrap()
    }

    /// Runs a shell script inside, which has to end well. What it printed.
    #[track_caller]
    pub fn shell(&self, script: &str) -> String {
        printed(self.run(&["sh", "-euc", script]), script)
    }

    /// The same, with a file of this machine as its input.
    #[track_caller]
    pub fn shell_with(&self, script: &str, input: &Path) -> String {
        let command = ["sh", "-euc", script];
        let output = self.command(&command).stdin(File::open(input).unwrap()).output().unwrap();
        printed(output, script)
    }

    fn command(&self, command: &[&str]) -> Command {
        let mut run = Command::new(SCRIPT);
        run.args(["run", &self.name]).args(command).stdin(Stdio::null());
        run
    }

    /// A path inside, as this machine reaches it for as long as the host runs.
    pub fn path(&self, inside: impl AsRef<Path>) -> PathBuf {
        let pid = script(&["pid", &self.name]);
        let root = format!("/proc/{}/root", pid.trim());
        Path::new(&root).join(inside.as_ref().strip_prefix("/").expect("paths inside are absolute"))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // The guard takes it down when its input ends, and has nothing to tell.
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}

#[track_caller]
fn printed(output: Output, what: &str) -> String {
    assert!(output.status.success(), "{what}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[track_caller]
fn script<S: AsRef<OsStr>>(arguments: &[S]) -> String {
    let mut script = Command::new(SCRIPT);
    let output = script.args(arguments).env("EVENKEEL_HOST_TIMEOUT", PATIENCE).stderr(Stdio::inherit()).output();
    let output = output.unwrap();
    let words: Vec<_> = arguments.iter().map(|argument| argument.as_ref().to_string_lossy()).collect();
    assert!(output.status.success(), "tests/host/host {} failed", words.join(" "));
    String::from_utf8(output.stdout).unwrap()
}
