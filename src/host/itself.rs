//! This program once more, for what nobody here waits for.
//!
//! Under systemd a unit does it, since what a unit leaves behind is killed with it. Anywhere else a process of its own
//! group, which Ctrl-C at this one does not reach.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

/// The unit that finishes what is open.
const RESUME_UNIT: &str = "evenkeel-resume.service";

/// Has open transactions finished, and does not wait for it.
///
/// # Errors
/// When nothing could be started.
pub fn start_resume(config: &Path) -> Result<()> {
    if std::env::var_os("INVOCATION_ID").is_some() {
        return start_unit();
    }
    let program = std::env::current_exe().context("find this program")?;
    let mut resume = Command::new(program);
    resume.arg("--config").arg(config).arg("resume");
    resume.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    resume.spawn().context("start `evenkeel resume`").map(drop)
}

fn start_unit() -> Result<()> {
    let mut start = Command::new("systemctl");
    start.args(["start", "--no-block", RESUME_UNIT]).stdin(Stdio::null()).stdout(Stdio::null());
    let ended = start.output().context("run systemctl")?;
    let words = String::from_utf8_lossy(&ended.stderr);
    ensure!(ended.status.success(), "systemctl start {RESUME_UNIT}: {}", words.trim());
    Ok(())
}
