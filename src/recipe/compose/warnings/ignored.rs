//! What a stack drops, or takes for something else.

use super::{Teller, key_place};
use crate::recipe::compose::{mount, take};
use crate::recipe::values;
use crate::recipe::yaml::{Node, Value};

const UNSUPPORTED: &str = "a stack does not support it; leave it out";

/// Service keys that a stack has no use for, and what is so instead.
const IGNORED: &[(&str, &str)] = &[
    ("build", "a stack runs images that are built elsewhere"),
    ("cgroup_parent", UNSUPPORTED),
    ("cgroupns_mode", UNSUPPORTED),
    ("container_name", "the containers of a stack have names of their own"),
    ("depends_on", "a Swarm starts all services at once"),
    ("devices", UNSUPPORTED),
    ("domainname", UNSUPPORTED),
    ("expose", "services of one network reach each other on any port"),
    ("external_links", "services of one network reach each other by name"),
    ("ipc", UNSUPPORTED),
    ("links", "services of one network reach each other by name"),
    ("mac_address", UNSUPPORTED),
    ("network_mode", "use networks"),
    ("oom_score_adj", "the Docker CLI does not pass it on"),
    ("pid", UNSUPPORTED),
    ("privileged", "a stack does not support it; cap_add is what there is"),
    ("security_opt", UNSUPPORTED),
    ("shm_size", "mount a tmpfs at /dev/shm"),
    ("userns_mode", UNSUPPORTED),
];

/// Keys of a mount's own settings, and of a reference to a secret or config, that are taken. Others pass the schema and
/// go nowhere.
const MOUNT_KEYS: &[(&str, &[&str])] =
    &[("bind", &["propagation"]), ("volume", &["nocopy", "subpath"]), ("tmpfs", &["size"])];
const REFERENCE_KEYS: &[&str] = &["source", "target", "uid", "gid", "mode"];

pub(super) fn of_service(service: &Node, path: &str, teller: &mut Teller) {
    for (key, _) in take::entries(Some(service)) {
        if let Some((_, why)) = IGNORED.iter().find(|(name, _)| *name == key.text) {
            teller.tell("ignored", &key.place, format!("{path}.{} is ignored", key.text), *why);
        }
    }
    of_restart(service, path, teller);
    of_networks(service, path, teller);
    for mount in take::items(service.get("volumes")) {
        of_mount(mount, path, teller);
    }
    of_references(service, path, teller);
    of_extra_hosts(service, path, teller);
    of_ports(service, path, teller);
    if let Some(place) = key_place(service, "tmpfs") {
        let hint = "docker stack deploy drops it; a volume of type tmpfs says the same everywhere";
        teller.tell("tmpfs", place, format!("{path}.tmpfs becomes tmpfs mounts"), hint);
    }
}

/// `restart: no` is the trap: nothing is sent for it, and Swarm then starts the service again whenever it ends.
fn of_restart(service: &Node, path: &str, teller: &mut Teller) {
    let (Some(place), restart) = (key_place(service, "restart"), take::text(service, "restart")) else { return };
    let has_policy = service.get("deploy").is_some_and(|deploy| deploy.get("restart_policy").is_some());
    let (message, hint) = match restart.as_str() {
        _ if has_policy => ("is ignored beside deploy.restart_policy", "leave it out"),
        "" | "no" => (
            "has no effect: Swarm starts the service again whenever it ends",
            "use deploy.restart_policy with condition: none",
        ),
        "on-failure" | "on-failure:" => {
            ("is taken as deploy.restart_policy with condition: on-failure", "say it there")
        }
        other if other.starts_with("on-failure") => {
            ("is taken as deploy.restart_policy with condition: on-failure and its max_attempts", "say it there")
        }
        _ => ("is taken as deploy.restart_policy with condition: any, as without it", "leave it out, or say it there"),
    };
    teller.tell("restart", place, format!("{path}.restart {message}"), hint);
}

fn of_networks(service: &Node, path: &str, teller: &mut Teller) {
    for (network, settings) in take::entries(service.get("networks")) {
        for (key, _) in take::entries(Some(settings)) {
            if matches!(key.text.as_str(), "ipv4_address" | "ipv6_address") {
                let message = format!("{path}.networks.{}.{} is ignored", network.text, key.text);
                teller.tell("ignored", &key.place, message, "a Swarm gives addresses itself");
            }
        }
    }
}

fn of_mount(entry: &Node, path: &str, teller: &mut Teller) {
    if let Value::Map(_) = entry.value {
        for (kind, known) in MOUNT_KEYS {
            for (key, _) in take::entries(entry.get(kind)).iter().filter(|(key, _)| !known.contains(&&*key.text)) {
                let message = format!("{path}.volumes: {kind}.{} is ignored", key.text);
                teller.tell("ignored", &key.place, message, format!("{kind} takes {} alone", known.join(" and ")));
            }
        }
        if let Some(place) = key_place(entry, "consistency") {
            let message = format!("{path}.volumes: consistency has no effect");
            teller.tell("ignored", place, message, "it is for Docker on a Mac; leave it out");
        }
        return;
    }
    let spec = take::scalar(entry);
    let options = spec.splitn(3, ':').nth(2).unwrap_or_default();
    for option in options.split(',').filter(|option| !option.is_empty() && !mount::is_option(option)) {
        let message = format!("{path}.volumes: the option {option:?} is ignored");
        let hint = "a stack takes ro, nocopy and the propagations of a bind";
        teller.tell("mount option", &entry.place, message, hint);
    }
}

fn of_references(service: &Node, path: &str, teller: &mut Teller) {
    for section in ["secrets", "configs"] {
        for reference in take::items(service.get(section)) {
            let known = |name: &str| REFERENCE_KEYS.contains(&name) || name.starts_with("x-");
            for (key, _) in take::entries(Some(reference)).iter().filter(|(key, _)| !known(&key.text)) {
                let message = format!("{path}.{section}: the key {:?} is ignored", key.text);
                teller.tell("ignored", &key.place, message, format!("known are {}", REFERENCE_KEYS.join(", ")));
            }
        }
    }
}

fn of_extra_hosts(service: &Node, path: &str, teller: &mut Teller) {
    let hosts = service.get("extra_hosts");
    let dropped = take::items(hosts).iter().filter(|item| !take::scalar(item).contains(['=', ':']));
    let mapped = take::entries(hosts).iter().filter(|(_, node)| node.value == Value::Null);
    for place in dropped.map(|item| &item.place).chain(mapped.map(|(key, _)| &key.place)) {
        let message = format!("{path}.extra_hosts: an entry without an address is dropped");
        teller.tell("extra host", place, message, "write host:address");
    }
}

fn of_ports(service: &Node, path: &str, teller: &mut Teller) {
    for port in take::items(service.get("ports")).iter().filter(|port| !matches!(port.value, Value::Map(_))) {
        let Ok(read) = values::ports(&take::scalar(port)) else { continue };
        if read.iter().any(|port| port.host_ip.is_some_and(|address| !address.is_unspecified())) {
            let message = format!("{path}.ports: the host address is ignored, the port is published on all of them");
            teller.tell(
                "port address",
                &port.place,
                message,
                "close the port in the host's firewall, or do not publish it",
            );
        }
    }
}

/// An external object is found by its name; whatever else is said of it goes nowhere. Of volumes the reader refuses it.
pub(super) fn of_external(file: &Node, teller: &mut Teller) {
    for section in ["networks", "secrets", "configs"] {
        for (name, object) in take::entries(file.get(section)) {
            let external = object.get("external").is_some_and(|external| external.value != Value::Bool(false));
            let taken = |key: &str| matches!(key, "external" | "name") || key.starts_with("x-");
            for (key, _) in take::entries(Some(object)).iter().filter(|(key, _)| external && !taken(&key.text)) {
                let message = format!("{section}.{}.{} is ignored, because it is external", name.text, key.text);
                teller.tell("ignored", &key.place, message, "leave one of the two out");
            }
        }
    }
}
