//! What a release may do on the host beyond what the one before it did.
//!
//! Rights are compared service by service, ports and image repositories over the whole stack: a service that is only
//! renamed asks for nothing new there. Less than before is never a reason.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value;

use crate::desired::Desired;
use crate::model::state::ReleaseBody;
use crate::plan::canonical_form::{IMAGE_LABEL, without_digest};

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    /// The Engine's own socket: as good as root.
    EngineSocket {
        service: String,
        source: String,
    },
    /// A path of the host, also behind a volume's options.
    Bind {
        service: String,
        source: String,
        writable: bool,
    },
    /// What the Engine mounts as root in the place of a volume.
    Mount {
        service: String,
        options: String,
    },
    Capability {
        service: String,
        capability: String,
    },
    /// Confinement that is given up: seccomp, AppArmor, SELinux, `no-new-privileges`.
    Unconfined {
        service: String,
        what: String,
    },
    Sysctl {
        service: String,
        name: String,
    },
    HostNetwork {
        service: String,
    },
    Port {
        port: u64,
        protocol: String,
    },
    Repository {
        service: String,
        repository: String,
    },
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Right::EngineSocket { service, source } => {
                write!(f, "the Engine's socket ({source}) in service {service}, which is as good as root")
            }
            Right::Bind { service, source, writable } => {
                let how = if *writable { "to write" } else { "to read" };
                write!(f, "{source} of the host in service {service}, {how}")
            }
            Right::Mount { service, options } => write!(f, "a mount as root ({options}) in service {service}"),
            Right::Capability { service, capability } => write!(f, "the capability {capability} for service {service}"),
            Right::Unconfined { service, what } => write!(f, "less confinement of service {service} ({what})"),
            Right::Sysctl { service, name } => write!(f, "the kernel setting {name} in service {service}"),
            Right::HostNetwork { service } => write!(f, "the host's own network for service {service}"),
            Right::Port { port, protocol } => write!(f, "port {port}/{protocol} of the host"),
            Right::Repository { service, repository } => {
                write!(f, "images of another repository ({repository}) for service {service}")
            }
        }
    }
}

/// What `desired` asks for and `before` did not have, in a stable order.
pub fn new_rights(before: &ReleaseBody, desired: &Desired) -> Vec<Right> {
    let nothing = Value::Null;
    let came = desired.services.iter().filter(|service| !before.services.contains_key(&service.name));
    // What every container has is nothing that a service that came has to ask for.
    let usual = came.map(|service| (service.name.as_str(), &nothing));
    let had = rights(before.services.iter().map(|(name, spec)| (name.as_str(), spec)).chain(usual));
    let asked = rights(desired.services.iter().map(|service| (service.name.as_str(), &service.spec)));
    asked.into_iter().filter(|right| !had.iter().any(|had| had.covers(right))).collect()
}

impl Right {
    /// Whether who has this one has the other, too.
    fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Right::Bind { service, source, writable: true },
                Right::Bind { service: other_service, source: other_source, .. },
            ) => service == other_service && source == other_source,
            (Right::Repository { repository, .. }, Right::Repository { repository: other, .. }) => repository == other,
            _ => self == other,
        }
    }
}

fn rights<'a>(services: impl Iterator<Item = (&'a str, &'a Value)>) -> BTreeSet<Right> {
    services.flat_map(|(service, spec)| of_service(service, spec)).collect()
}

fn of_service(service: &str, spec: &Value) -> Vec<Right> {
    let container = &spec["TaskTemplate"]["ContainerSpec"];
    let mut rights: Vec<Right> = list(&container["Mounts"]).filter_map(|mount| bind(service, mount)).collect();
    rights.extend(words(&container["CapabilityAdd"]).map(|name| capability(service, name)));
    rights.extend(kept_capabilities(service, container));
    rights.extend(unconfined(service, &container["Privileges"]));
    rights.extend(keys(&container["Sysctls"]).map(|name| Right::Sysctl { service: service.into(), name: name.into() }));
    let is_host = |network: &Value| network["Target"] == "host";
    if list(&spec["TaskTemplate"]["Networks"]).any(is_host) {
        rights.push(Right::HostNetwork { service: service.into() });
    }
    rights.extend(list(&spec["EndpointSpec"]["Ports"]).filter_map(port));
    rights.extend(repository(spec).map(|repository| Right::Repository { service: service.into(), repository }));
    rights
}

fn bind(service: &str, mount: &Value) -> Option<Right> {
    let options = &mount["VolumeOptions"]["DriverConfig"]["Options"];
    let source = match mount["Type"].as_str()? {
        "bind" => mount["Source"].as_str()?,
        "volume" => match options["device"].as_str().filter(|device| device.starts_with('/')) {
            Some(device) if !layers(options) => device,
            _ => return mounted(service, options),
        },
        _ => return None,
    };
    let (service, source) = (service.to_owned(), tidy(source));
    if leads_to_the_socket(&source) {
        // Read-only does not keep anybody from talking through a socket.
        return Some(Right::EngineSocket { service, source });
    }
    Some(Right::Bind { service, source, writable: mount["ReadOnly"] != true })
}

/// A volume with options is a mount of anything: `type=proc`, or an overlay over folders of the host. Memory and shares of
/// other machines are nothing of the host's.
fn mounted(service: &str, options: &Value) -> Option<Right> {
    const ELSEWHERE: [&str; 4] = ["tmpfs", "nfs", "nfs4", "cifs"];
    let is_elsewhere = options["type"].as_str().is_some_and(|kind| ELSEWHERE.contains(&kind)) && !layers(options);
    let mut words: Vec<String> =
        keys(options).map(|key| format!("{key}={}", options[key].as_str().unwrap_or_default())).collect();
    words.sort();
    (!is_elsewhere && !words.is_empty()).then(|| Right::Mount { service: service.to_owned(), options: words.join(" ") })
}

fn layers(options: &Value) -> bool {
    options["o"].as_str().is_some_and(|how| how.contains("dir="))
}

/// The path without `.`, `..` and doubled slashes.
fn tidy(path: &str) -> String {
    crate::recipe::tree::normal(path).unwrap_or_else(|| path.to_owned())
}

/// The socket itself, or a folder above it.
fn leads_to_the_socket(source: &str) -> bool {
    const SOCKETS: [&str; 2] = ["/run/docker.sock", "/var/run/docker.sock"];
    let above = format!("{}/", source.trim_end_matches('/'));
    SOCKETS.iter().any(|socket| *socket == source || socket.starts_with(&above))
}

fn capability(service: &str, name: &str) -> Right {
    let capability = name.strip_prefix("CAP_").unwrap_or(name).to_owned();
    Right::Capability { service: service.to_owned(), capability }
}

/// The capabilities that every container has, as far as this one does not drop them: to drop fewer is to have more.
fn kept_capabilities(service: &str, container: &Value) -> Vec<Right> {
    const USUAL: [&str; 14] = [
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "NET_RAW",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    ];
    let dropped: BTreeSet<&str> =
        words(&container["CapabilityDrop"]).map(|n| n.strip_prefix("CAP_").unwrap_or(n)).collect();
    if dropped.contains("ALL") {
        return Vec::new();
    }
    USUAL.into_iter().filter(|name| !dropped.contains(name)).map(|name| capability(service, name)).collect()
}

fn unconfined(service: &str, privileges: &Value) -> Vec<Right> {
    let gives_up = [
        ("seccomp", privileges["Seccomp"]["Mode"].as_str().is_some_and(|mode| mode != "default")),
        ("AppArmor", privileges["AppArmor"]["Mode"].as_str().is_some_and(|mode| mode != "default")),
        ("SELinux", privileges["SELinuxContext"].is_object()),
        ("new privileges by setuid programs", privileges["NoNewPrivileges"] != true),
    ];
    let told = gives_up.into_iter().filter(|(_, given_up)| *given_up);
    told.map(|(what, _)| Right::Unconfined { service: service.to_owned(), what: what.to_owned() }).collect()
}

fn port(port: &Value) -> Option<Right> {
    let published = port["PublishedPort"].as_u64().filter(|published| *published != 0)?;
    Some(Right::Port { port: published, protocol: port["Protocol"].as_str().unwrap_or("tcp").to_owned() })
}

/// The image without tag and digest, in the recipe's own words.
fn repository(spec: &Value) -> Option<String> {
    let as_sent = || spec["TaskTemplate"]["ContainerSpec"]["Image"].as_str();
    let image = without_digest(spec["Labels"][IMAGE_LABEL].as_str().or_else(as_sent)?);
    let name = image.rfind('/').map_or(0, |slash| slash + 1);
    let end = image[name..].find(':').map_or(image.len(), |colon| name + colon);
    Some(image[..end].to_owned())
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn words(value: &Value) -> impl Iterator<Item = &str> {
    list(value).filter_map(Value::as_str)
}

fn keys(value: &Value) -> impl Iterator<Item = &str> {
    value.as_object().into_iter().flatten().map(|(key, _)| key.as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::plan::world::{desired, spec, with};
    use crate::policy::release;

    fn container(key: &str, value: Value) -> Value {
        with(spec("app", "wiki:1"), &format!("/TaskTemplate/ContainerSpec/{key}"), value)
    }

    fn bound(source: &str, read_only: bool) -> Value {
        container("Mounts", json!([{ "Type": "bind", "Source": source, "Target": "/x", "ReadOnly": read_only }]))
    }

    fn new(before: Value, after: Value) -> Vec<String> {
        let (before, after) = (release(&desired().service(before)), desired().service(after));
        new_rights(&before, &after).iter().map(Right::to_string).collect()
    }

    #[test]
    fn what_a_release_did_not_have_before_is_named() {
        let device = json!([{ "Type": "volume", "Source": "d", "Target": "/d",
            "VolumeOptions": { "DriverConfig": { "Options": { "type": "none", "o": "bind", "device": "/srv/d" } } } }]);
        let volume = |options: Value| {
            container(
                "Mounts",
                json!([{ "Type": "volume", "Source": "d", "Target": "/d",
                "VolumeOptions": { "DriverConfig": { "Options": options } } }]),
            )
        };
        let layers = json!({ "type": "overlay", "device": "overlay", "o": "lowerdir=/run/secrets:/usr" });
        let hidden = json!({ "type": "overlay", "device": "/srv", "o": "lowerdir=/run/secrets:/usr" });
        let share = json!({ "type": "nfs", "device": ":/x", "o": "addr=nas.example.org,rw" });
        let dropped = container("CapabilityDrop", json!(["ALL"]));
        let some_dropped = container("CapabilityDrop", json!(["CAP_NET_RAW"]));
        let plain = || spec("app", "wiki:1");
        let safe = container("Privileges", json!({ "NoNewPrivileges": true }));
        let open = container("Privileges", json!({ "NoNewPrivileges": true, "Seccomp": { "Mode": "unconfined" } }));
        let port = |published| {
            with(plain(), "/EndpointSpec", json!({ "Ports": [{ "PublishedPort": published, "TargetPort": 80 }] }))
        };
        let rows = [
            (
                plain(),
                bound("/var/run/docker.sock", true),
                "the Engine's socket (/var/run/docker.sock) in service wiki_app",
            ),
            (plain(), bound("/run", true), "the Engine's socket (/run)"),
            (plain(), bound("/", true), "the Engine's socket (/)"),
            (plain(), bound("/srv/../run//docker.sock", true), "the Engine's socket (/run/docker.sock)"),
            (plain(), bound("/srv", false), "/srv of the host in service wiki_app, to write"),
            (bound("/srv", true), bound("/srv", false), "/srv of the host in service wiki_app, to write"),
            (plain(), container("Mounts", device), "/srv/d of the host"),
            (plain(), volume(json!({ "type": "proc", "device": "proc" })), "a mount as root (device=proc type=proc)"),
            (plain(), volume(layers), "a mount as root (device=overlay o=lowerdir=/run/secrets:/usr type=overlay)"),
            (plain(), volume(hidden), "a mount as root"),
            (plain(), volume(json!({ "type": "tmpfs", "device": "tmpfs" })), ""),
            (plain(), volume(share), ""),
            (plain(), container("CapabilityAdd", json!(["CAP_NET_ADMIN"])), "the capability NET_ADMIN"),
            (some_dropped, plain(), "the capability NET_RAW"),
            (dropped, container("CapabilityDrop", json!(["ALL"])), ""),
            (safe.clone(), open, "less confinement of service wiki_app (seccomp)"),
            (safe, plain(), "less confinement of service wiki_app (new privileges"),
            (
                plain(),
                container("Sysctls", json!({ "net.core.somaxconn": "1024" })),
                "the kernel setting net.core.somaxconn",
            ),
            (plain(), with(plain(), "/TaskTemplate/Networks", json!([{ "Target": "host" }])), "the host's own network"),
            (port(80), port(443), "port 443/tcp of the host"),
            (plain(), spec("app", "evil/wiki:1"), "images of another repository (evil/wiki) for service wiki_app"),
            (plain(), spec("app", "registry.example:5000/wiki:1"), "another repository (registry.example:5000/wiki)"),
        ];
        for (before, after, told) in rows {
            let found = new(before, after).join("; ");
            assert!(if told.is_empty() { found.is_empty() } else { found.contains(told) }, "{told}: {found}");
        }
    }

    #[test]
    fn the_same_or_less_is_no_new_right() {
        let plain = || spec("app", "wiki:1");
        let rows = [
            (plain(), plain()),
            (plain(), spec("app", "wiki:2")),
            (plain(), spec("app", "wiki:2@sha256:aa")),
            (bound("/srv", false), bound("/srv", true)),
            (bound("/run/docker.sock", true), plain()),
            (plain(), container("CapabilityDrop", json!(["ALL"]))),
            (plain(), container("Privileges", json!({ "NoNewPrivileges": true }))),
            (container("CapabilityAdd", json!(["NET_ADMIN"])), container("CapabilityAdd", json!(["CAP_NET_ADMIN"]))),
            (plain(), with(plain(), "/EndpointSpec", json!({ "Ports": [{ "TargetPort": 80 }] }))),
        ];
        for (before, after) in rows {
            assert_eq!(new(before.clone(), after.clone()), [""; 0], "{before} -> {after}");
        }
    }

    #[test]
    fn a_service_that_comes_asks_for_its_image_and_what_it_mounts() {
        let before = release(&desired().service(spec("app", "wiki:1")));
        let after = desired().service(spec("app", "wiki:1")).service(spec("cache", "redis:7"));
        let told: Vec<_> = new_rights(&before, &after).iter().map(Right::to_string).collect();
        assert_eq!(told, ["images of another repository (redis) for service wiki_cache"]);
        let twin = desired().service(spec("app", "wiki:1")).service(spec("worker", "wiki:1"));
        assert_eq!(new_rights(&before, &twin), []);
    }
}
