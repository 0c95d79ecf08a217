//! This program once more, for what nobody here waits for; and the boot in which it runs.
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
/// The unit that sweeps what is kept warm.
const SWEEP_UNIT: &str = "evenkeel-sweep.service";

/// The present boot of this host, in the kernel's words; nothing where it does not tell.
///
/// A unit's sandbox may hide that file: it hands the id over in `EVENKEEL_BOOT`, as systemd writes it, without hyphens.
pub fn boot() -> Option<String> {
    let told = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok();
    let id = told.or_else(|| std::env::var("EVENKEEL_BOOT").ok())?;
    Some(id.trim().replace('-', ""))
}

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

/// Has systemd start the unit that sweeps, and does not wait for it.
///
/// # Errors
/// When systemd did not take it, as where there is no such unit.
pub fn start_sweep() -> Result<()> {
    start_unit(SWEEP_UNIT)
}

/// The unit that takes versions for the apps of a kind: the one that a timer starts at night.
pub fn upgrade_unit(kind: Kind) -> String {
    format!("evenkeel-{}-upgrade.service", kind.verb())
}

/// What came of asking systemd for a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    Starts,
    /// It is at work, as it was configured when it began: for systemd it is being started already, and it is not started
    /// once more afterwards.
    IsAtWork,
}

/// Has systemd start that unit, and does not wait for it.
///
/// # Errors
/// When systemd did not take it, as where there is no such unit.
pub fn start_upgrade(kind: Kind) -> Result<Start> {
    let unit = upgrade_unit(kind);
    // Looked at before: a oneshot is `activating` for as long as it runs, also one that is started right here.
    let is_at_work = systemctl(&["show", "--property=ActiveState", "--value", &unit])?.trim() == "activating";
    start_unit(&unit)?;
    Ok(if is_at_work { Start::IsAtWork } else { Start::Starts })
}

fn start_unit(unit: &str) -> Result<()> {
    systemctl(&["start", "--no-block", unit]).map(drop)
}

fn systemctl(arguments: &[&str]) -> Result<String> {
    let ended = Command::new("systemctl").args(arguments).stdin(Stdio::null()).output().context("run systemctl")?;
    let words = String::from_utf8_lossy(&ended.stderr);
    ensure!(ended.status.success(), "systemctl {}: {}", arguments.join(" "), words.trim());
    Ok(String::from_utf8_lossy(&ended.stdout).into_owned())
}
