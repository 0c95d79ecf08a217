//! What of a compose file does not do in a stack what its author may expect.

use std::collections::BTreeSet;

use crate::model::diagnostic::{Diagnostic, Diagnostics};
use crate::recipe::compose::model::Project;
use crate::recipe::compose::take;
use crate::recipe::yaml::Node;

/// Service keys that a stack has no use for, and what is so instead.
const IGNORED: &[(&str, &str)] = &[
    ("build", "a stack runs images that are built elsewhere"),
    ("cgroup_parent", "a stack does not support it"),
    ("cgroupns_mode", "a stack does not support it"),
    ("container_name", "the containers of a stack have names of their own"),
    ("depends_on", "a Swarm starts all services at once"),
    ("devices", "a stack does not support it"),
    ("domainname", "a stack does not support it"),
    ("expose", "services of one network reach each other on any port"),
    ("external_links", "services of one network reach each other by name"),
    ("ipc", "a stack does not support it"),
    ("links", "services of one network reach each other by name"),
    ("mac_address", "a stack does not support it"),
    ("network_mode", "use networks"),
    ("oom_score_adj", "the Docker CLI does not pass it on"),
    ("pid", "a stack does not support it"),
    ("privileged", "a stack does not support it"),
    ("security_opt", "a stack does not support it"),
    ("shm_size", "mount a tmpfs at /dev/shm"),
    ("userns_mode", "a stack does not support it"),
];

/// Warnings about one file, interpolated and of the right shape.
pub fn of_file(file: &Node, found: &mut Diagnostics) {
    for (key, service) in take::entries(file.get("services")) {
        let path = format!("services.{}", key.text);
        of_ignored_keys(service, &path, found);
        of_addresses(service, &path, found);
        of_binds(service, &path, found);
        of_spellings(service, &path, found);
        of_tmpfs(service, &path, found);
        if let Some(deploy) = service.get("deploy") {
            of_spellings(deploy, &format!("{path}.deploy"), found);
        }
    }
}

fn of_ignored_keys(service: &Node, path: &str, found: &mut Diagnostics) {
    for (key, _) in take::entries(Some(service)) {
        if let Some((_, why)) = IGNORED.iter().find(|(name, _)| *name == key.text) {
            let message = format!("{path}.{} is ignored", key.text);
            found.push(Diagnostic::warning(key.place.clone(), message).hint(*why));
        }
    }
}

fn of_addresses(service: &Node, path: &str, found: &mut Diagnostics) {
    for (network, settings) in take::entries(service.get("networks")) {
        for (key, _) in take::entries(Some(settings)) {
            if matches!(key.text.as_str(), "ipv4_address" | "ipv6_address") {
                let message = format!("{path}.networks.{}.{} is ignored", network.text, key.text);
                found.push(Diagnostic::warning(key.place.clone(), message).hint("a Swarm gives addresses itself"));
            }
        }
    }
}

fn of_binds(service: &Node, path: &str, found: &mut Diagnostics) {
    for mount in take::items(service.get("volumes")) {
        for (key, _) in take::entries(mount.get("bind")).iter().filter(|(key, _)| key.text != "propagation") {
            let message = format!("{path}.volumes: bind.{} is ignored", key.text);
            found.push(Diagnostic::warning(key.place.clone(), message));
        }
    }
}

/// Numbers and dates that become another text than the one written: `0444` in an environment is `292`.
fn of_spellings(node: &Node, path: &str, found: &mut Diagnostics) {
    for section in ["environment", "labels", "sysctls"] {
        for (key, value) in take::entries(node.get(section)) {
            if let Some(written) = value.respelled() {
                let message = format!("{path}.{section}.{}: {written} reads as {}", key.text, take::scalar(value));
                found.push(Diagnostic::warning(value.place.clone(), message).hint("put it in quotes"));
            }
        }
    }
}

fn of_tmpfs(service: &Node, path: &str, found: &mut Diagnostics) {
    if let Some(tmpfs) = service.get("tmpfs") {
        let message = format!("{path}.tmpfs becomes tmpfs mounts");
        let hint = "docker stack deploy drops it; a volume of type tmpfs says the same everywhere";
        found.push(Diagnostic::warning(tmpfs.place.clone(), message).hint(hint));
    }
}

/// Networks and volumes that no service uses: nothing is made of them.
pub fn of_unused(project: &Project, found: &mut Diagnostics) {
    let services = || project.services.values();
    let mut networks: BTreeSet<&str> = services().flat_map(|s| s.networks.keys()).map(String::as_str).collect();
    if services().any(|service| service.networks.is_empty()) {
        networks.insert("default");
    }
    let volumes: BTreeSet<&str> = services().flat_map(|s| &s.volumes).map(|mount| mount.source.as_str()).collect();
    for key in project.networks.keys().filter(|key| !networks.contains(key.as_str())) {
        found.push(Diagnostic::warning(None, format!("no service uses the network {key:?}")));
    }
    for key in project.volumes.keys().filter(|key| !volumes.contains(key.as_str())) {
        found.push(Diagnostic::warning(None, format!("no service uses the volume {key:?}")));
    }
}
