//! One service of one file, from its checked node.

use std::collections::BTreeMap;

use crate::model::diagnostic::{Diagnostic, Diagnostics};
use crate::recipe::compose::model::{
    CredentialSpec, FileReference, Healthcheck, Lists, Logging, Port, Service, ServiceNetwork, Tmpfs, Ulimit,
};
use crate::recipe::compose::{deploy, mount, take};
use crate::recipe::values;
use crate::recipe::yaml::{Key, Node, Value};

/// The service; what its texts have wrong goes to `found`. The environment is only what the file itself says.
pub fn read((key, node): &(Key, Node), path: &str, home: Option<&str>, found: &mut Diagnostics) -> Service {
    Service {
        place: Some(key.place.clone()),
        image: take::text(node, "image"),
        command: words(node, "command", path, found),
        entrypoint: words(node, "entrypoint", path, found),
        environment: take::optional_pairs(node, "environment"),
        labels: take::pairs(node, "labels"),
        hostname: take::text(node, "hostname"),
        user: take::text(node, "user"),
        working_dir: take::text(node, "working_dir"),
        isolation: take::text(node, "isolation"),
        stop_signal: take::text(node, "stop_signal"),
        stop_grace_period: take::nanos(node, "stop_grace_period"),
        tty: take::flag(node, "tty"),
        stdin_open: take::flag(node, "stdin_open"),
        read_only: take::flag(node, "read_only"),
        init: take::optional_flag(node, "init"),
        restart: take::text(node, "restart"),
        extra_hosts: extra_hosts(node.get("extra_hosts")),
        dns: node.get("dns").map(|_| take::one_or_more(node, "dns")),
        dns_search: node.get("dns_search").map(|_| take::one_or_more(node, "dns_search")),
        cap_add: take::texts(node, "cap_add"),
        cap_drop: take::texts(node, "cap_drop"),
        sysctls: take::pairs(node, "sysctls"),
        ulimits: take::entries(node.get("ulimits"))
            .iter()
            .map(|(key, node)| (key.text.clone(), ulimit(node)))
            .collect(),
        healthcheck: node.get("healthcheck").map(healthcheck),
        logging: node.get("logging").map(logging),
        networks: networks(node.get("networks")),
        ports: take::indexed(node, "ports", path).flat_map(|(path, node)| ports(node, &path, found)).collect(),
        volumes: take::indexed(node, "volumes", path)
            .filter_map(|(path, node)| mount::read(node, &path, home, found))
            .collect(),
        tmpfs: tmpfs(node.get("tmpfs")),
        secrets: file_references(node.get("secrets")),
        configs: file_references(node.get("configs")),
        credential_spec: node.get("credential_spec").map(credential_spec).unwrap_or_default(),
        deploy: node.get("deploy").map(deploy::read).unwrap_or_default(),
        lists: Lists {
            ports: node.get("ports").is_some(),
            volumes: node.get("volumes").is_some(),
            secrets: node.get("secrets").is_some(),
            configs: node.get("configs").is_some(),
        },
    }
}

/// A command as a list, or as one text that is split into words.
fn words(node: &Node, key: &str, path: &str, found: &mut Diagnostics) -> Vec<String> {
    let Some(text) = node.get(key).filter(|node| node.as_str().is_some()) else { return take::texts(node, key) };
    values::shell_words(&take::scalar(text)).unwrap_or_else(|cause| {
        let message = format!("{path}.{key}: {cause}");
        found.push(Diagnostic::error(text.place.clone(), message).hint("write it as a list of words"));
        Vec::new()
    })
}

/// `host:address`; list entries without a separator say nothing and are dropped, as the Docker CLI drops them.
fn extra_hosts(node: Option<&Node>) -> Vec<String> {
    let listed = take::items(node).iter().filter_map(|item| {
        let text = take::scalar(item);
        let (host, address) = text.split_once('=').or_else(|| text.split_once(':'))?;
        Some((host.to_owned(), address.to_owned()))
    });
    let mut mapped: Vec<(String, String)> = take::entries(node)
        .iter()
        .filter(|(_, node)| node.value != Value::Null)
        .map(|(key, node)| (key.text.clone(), take::scalar(node)))
        .collect();
    mapped.sort_by_key(|(host, address)| format!("{host}:{address}"));
    listed.chain(mapped).map(|(host, address)| format!("{host}:{}", without_brackets(&address))).collect()
}

fn without_brackets(address: &str) -> &str {
    let inner = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    inner.filter(|inner| !inner.is_empty()).unwrap_or(address)
}

fn ulimit(node: &Node) -> Ulimit {
    let number = |key: &str| node.get(key).and_then(take::integer).unwrap_or_default();
    Ulimit { single: take::integer(node).unwrap_or_default(), soft: number("soft"), hard: number("hard") }
}

fn healthcheck(node: &Node) -> Healthcheck {
    let test = match node.get("test") {
        Some(test) if test.as_str().is_some() => vec!["CMD-SHELL".to_owned(), take::scalar(test)],
        _ => take::texts(node, "test"),
    };
    Healthcheck {
        test,
        disable: take::flag(node, "disable"),
        interval: take::nanos(node, "interval"),
        timeout: take::nanos(node, "timeout"),
        start_period: take::nanos(node, "start_period"),
        start_interval: take::nanos(node, "start_interval"),
        retries: take::count(node, "retries"),
    }
}

fn logging(node: &Node) -> Logging {
    Logging { driver: take::text(node, "driver"), options: node.get("options").map(|_| take::pairs(node, "options")) }
}

fn networks(node: Option<&Node>) -> BTreeMap<String, Option<ServiceNetwork>> {
    let listed = take::items(node).iter().map(|item| (take::scalar(item), None));
    let mapped = take::entries(node).iter().map(|(key, node)| {
        let network = (node.value != Value::Null).then(|| ServiceNetwork {
            aliases: take::texts(node, "aliases"),
            driver_opts: take::pairs(node, "driver_opts"),
        });
        (key.text.clone(), network)
    });
    listed.chain(mapped).collect()
}

fn ports(node: &Node, path: &str, found: &mut Diagnostics) -> Vec<Port> {
    if let Value::Map(_) = node.value {
        return long_port(node, path, found).into_iter().collect();
    }
    let ports = values::ports(&take::scalar(node)).unwrap_or_default();
    ports.into_iter().map(short_port).collect()
}

fn short_port(port: values::Port) -> Port {
    Port {
        target: port.target.into(),
        published: port.published.into(),
        protocol: port.protocol.to_owned(),
        mode: "ingress".to_owned(),
    }
}

fn long_port(node: &Node, path: &str, found: &mut Diagnostics) -> Option<Port> {
    let mut number = |key: &str| match node.get(key).and_then(take::integer) {
        None => Some(0),
        Some(number) if (0..=65535).contains(&number) => u32::try_from(number).ok(),
        Some(number) => {
            let message = format!("{path}.{key} is {number}, which is no port (0 to 65535)");
            let place = &node.get(key).unwrap_or(node).place;
            found.push(Diagnostic::error(place.clone(), message));
            None
        }
    };
    let (target, published) = (number("target"), number("published"));
    Some(Port {
        target: target?,
        published: published?,
        protocol: take::text(node, "protocol"),
        mode: take::text(node, "mode"),
    })
}

fn file_references(node: Option<&Node>) -> Vec<FileReference> {
    let reference = |node: &Node| match node.as_str() {
        Some(source) => {
            FileReference { place: Some(node.place.clone()), source: source.to_owned(), ..FileReference::default() }
        }
        None => FileReference {
            place: Some(node.place.clone()),
            source: take::text(node, "source"),
            target: take::text(node, "target"),
            uid: take::text(node, "uid"),
            gid: take::text(node, "gid"),
            mode: take::get(node, "mode").and_then(take::integer).and_then(|mode| u32::try_from(mode).ok()),
        },
    };
    take::items(node).iter().filter(|item| item.value != Value::Null).map(reference).collect()
}

/// One text, or a list of them.
fn tmpfs(node: Option<&Node>) -> Vec<Tmpfs> {
    let one = node.filter(|node| node.as_str().is_some());
    let entry = |node: &Node| Tmpfs { place: Some(node.place.clone()), entry: take::scalar(node) };
    one.into_iter().chain(take::items(node)).map(entry).collect()
}

fn credential_spec(node: &Node) -> CredentialSpec {
    CredentialSpec {
        config: take::text(node, "config"),
        file: take::text(node, "file"),
        registry: take::text(node, "registry"),
    }
}
