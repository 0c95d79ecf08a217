//! This program once more, for what nobody here waits for.
//!
//! Under systemd a unit does it, since what a unit leaves behind is killed with it. Anywhere else a process of its own
//! group, which Ctrl-C at this one does not reach.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::model::app::Kind;

/// The unit that finishes what is open.
const RESUME_UNIT: &str = "evenkeel-resume.service";

/// Has open transactions finished, and does not wait for it.
///
/// # Errors
/// When nothing could be started.
pub fn start_resume(config: &Path) -> Result<()> {
    if std::env::var_os("INVOCATION_ID").is_some() {
        return start_unit(RESUME_UNIT);
    }
    let program = std::env::current_exe().context("find this program")?;
    let mut resume = Command::new(program);
    resume.arg("--config").arg(config).arg("resume");
    resume.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    resume.spawn().context("start `evenkeel resume`").map(drop)
}

/// The unit that takes versions for the apps of a kind: the one that a timer starts at night.
pub fn upgrade_unit(kind: Kind) -> String {
    format!("evenkeel-{}-upgrade.service", kind.verb())
}

/// Has systemd start that unit, and does not wait for it.
///
/// # Errors
/// When systemd did not take it, as where there is no such unit.
pub fn start_upgrade(kind: Kind) -> Result<()> {
    start_unit(&upgrade_unit(kind))
}

fn start_unit(unit: &str) -> Result<()> {
    let mut start = Command::new("systemctl");
    start.args(["start", "--no-block", unit]).stdin(Stdio::null()).stdout(Stdio::null());
    let ended = start.output().context("run systemctl")?;
    let words = String::from_utf8_lossy(&ended.stderr);
    ensure!(ended.status.success(), "systemctl start {unit}: {}", words.trim());
    Ok(())
}
