//! Who runs this, and where: what stands in histories, transactions and alerts.

use std::fs;

use crate::telemetry;

/// The unit that started this, or the person: the one behind `sudo` or `doas`, else whom this runs as.
pub fn who() -> String {
    unit().unwrap_or_else(person)
}

/// The person, also within a unit.
pub fn person() -> String {
    let named = |variable: &str| std::env::var(variable).ok().filter(|name| !name.is_empty());
    let user = nix::unistd::getuid();
    let behind = if user.is_root() { named("SUDO_USER").or_else(|| named("DOAS_USER")) } else { None };
    let own = || nix::unistd::User::from_uid(user).ok().flatten().map(|user| user.name);
    telemetry::one_line(&behind.or_else(own).unwrap_or_else(|| format!("user {user}")))
}

/// This machine's name, as the kernel has it. A unit may not see `/proc/sys`.
pub fn host_name() -> String {
    let name = nix::sys::utsname::uname().map(|names| names.nodename().to_string_lossy().into_owned());
    let name = telemetry::one_line(name.unwrap_or_default().trim());
    if name.is_empty() { "unknown".to_owned() } else { name }
}

fn unit() -> Option<String> {
    std::env::var_os("INVOCATION_ID")?;
    let cgroups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    Some(unit_of(&cgroups).unwrap_or_else(|| "systemd".to_owned()))
}

/// The service in the text of `/proc/self/cgroup`, of either version of control groups.
fn unit_of(cgroups: &str) -> Option<String> {
    let paths = cgroups.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    let mut leaves = paths.filter_map(|path| path.rsplit('/').next());
    leaves.find(|leaf| leaf.ends_with(".service")).map(telemetry::one_line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_is_read_from_either_version_of_control_groups() {
        let second = "0::/system.slice/system-evenkeel.slice/evenkeel@app.service\n";
        let first = "12:pids:/\n1:name=systemd:/system.slice/evenkeel@app.service\n0::/\n";
        assert_eq!(unit_of(second).as_deref(), Some("evenkeel@app.service"));
        assert_eq!(unit_of(first).as_deref(), Some("evenkeel@app.service"));
        assert_eq!(unit_of("0::/user.slice/user-0.slice/session-3.scope\n"), None);
        assert!(!host_name().is_empty());
    }
}
