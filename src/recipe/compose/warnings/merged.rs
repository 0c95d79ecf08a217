//! What laying one file over others loses, or joins to something that nobody meant.

use std::collections::{BTreeMap, BTreeSet};

use super::{Entries, File, Teller, at, key_place, listing};
use crate::model::diagnostic::{Diagnostics, Place};
use crate::recipe::compose::model::{Port, Project, Service};
use crate::recipe::compose::take;
use crate::recipe::values;
use crate::recipe::yaml::{Key, Node, Value};

/// Settings of a service that a zero of a later file does not override.
pub(super) const STICKY: &[&str] = &[
    "image",
    "hostname",
    "user",
    "working_dir",
    "isolation",
    "stop_signal",
    "stop_grace_period",
    "restart",
    "tty",
    "stdin_open",
    "read_only",
    "init",
    "command",
    "entrypoint",
    "credential_spec.config",
    "credential_spec.file",
    "credential_spec.registry",
    "logging.driver",
    "healthcheck.disable",
    "healthcheck.interval",
    "healthcheck.timeout",
    "healthcheck.start_period",
    "healthcheck.start_interval",
    "deploy.mode",
    "deploy.endpoint_mode",
    "deploy.placement.max_replicas_per_node",
    "deploy.update_config.delay",
    "deploy.update_config.failure_action",
    "deploy.update_config.monitor",
    "deploy.update_config.max_failure_ratio",
    "deploy.rollback_config.delay",
    "deploy.rollback_config.failure_action",
    "deploy.rollback_config.monitor",
    "deploy.rollback_config.max_failure_ratio",
    "deploy.restart_policy.condition",
    "deploy.restart_policy.delay",
    "deploy.restart_policy.window",
    "deploy.resources.limits.cpus",
    "deploy.resources.limits.memory",
    "deploy.resources.limits.pids",
    "deploy.resources.reservations.cpus",
    "deploy.resources.reservations.memory",
];

/// Lists of a service that are joined, and in which an entry twice is of no use.
const JOINED: &[&str] =
    &["dns", "dns_search", "extra_hosts", "deploy.placement.constraints", "deploy.placement.preferences"];

const WHY: &str = "files are laid over each other as docker stack deploy does it";

/// Warnings about laying `file` (alone: `over`) on the `earlier` files (together: `base`).
pub fn of_merge(earlier: &[File], base: &Project, file: &File, over: &Project, found: &mut Diagnostics) {
    let mut teller = Teller::new(found);
    let own = Entries::of(&file.node);
    let each: Vec<Entries> = earlier.iter().map(|file| Entries::also_in(&file.node, &own)).collect();
    for (key, node) in take::entries(file.node.get("services")) {
        let name = key.text.as_str();
        let (Some(base), Some(over)) = (base.services.get(name), over.services.get(name)) else { continue };
        let earlier: Vec<&Node> = each.iter().filter_map(|file| file.service(name)).collect();
        let service = Laid { earlier: &earlier, name, key, node, base, over };
        service.zeros(&mut teller);
        service.emptied_variables(&mut teller);
        service.twins(&mut teller);
        service.joined_tests(&mut teller);
        service.lost_logging(&mut teller);
        service.lost_networks(&mut teller);
        service.lost_ports(&mut teller);
    }
    for section in ["networks", "volumes", "secrets", "configs"] {
        of_replaced(section, &each, &file.node, &mut teller);
    }
    of_extensions(earlier, &file.node, &mut teller);
}

/// A service of the file that is laid over one of the same name.
struct Laid<'a> {
    /// As it is in each of the earlier files.
    earlier: &'a [&'a Node],
    name: &'a str,
    key: &'a Key,
    node: &'a Node,
    base: &'a Service,
    over: &'a Service,
}

impl<'a> Laid<'a> {
    fn place_of(&self, key: &str) -> &'a Place {
        key_place(self.node, key).unwrap_or(&self.key.place)
    }

    fn zeros(&self, teller: &mut Teller) {
        for dotted in STICKY {
            let Some(here) = at(self.node, dotted).filter(|node| is_zero(dotted, node)) else { continue };
            let set = |earlier: &&'a Node| at(earlier, dotted).filter(|node| !is_zero(dotted, node));
            if let Some(before) = self.earlier.iter().rev().find_map(set) {
                let (name, zero) = (self.name, spelled(here));
                let message =
                    format!("services.{name}.{dotted}: {zero} does not override the value at {}", before.place);
                teller.tell("zero", &here.place, message, format!("a zero never does: {WHY}; take that value out"));
            }
        }
    }

    fn emptied_variables(&self, teller: &mut Teller) {
        let is_empty =
            |value: Option<&Option<String>>| value.is_none_or(|v| v.as_deref().unwrap_or_default().is_empty());
        for pair in take::placed_pairs(self.node.get("environment")) {
            let name = &pair.name;
            if is_empty(self.over.environment.get(name)) && !is_empty(self.base.environment.get(name)) {
                let message = format!(
                    "services.{}.environment.{name}: the empty value does not override the earlier one",
                    self.name
                );
                teller.tell("emptied", pair.place, message, format!("an empty value never does: {WHY}"));
            }
        }
    }

    fn twins(&self, teller: &mut Teller) {
        for dotted in JOINED {
            let Some(here) = at(self.node, dotted) else { continue };
            let before: BTreeSet<String> =
                self.earlier.iter().flat_map(|node| entries(at(node, dotted))).map(|(text, _)| text).collect();
            for (text, place) in entries(Some(here)).into_iter().filter(|(text, _)| before.contains(text)) {
                let message = format!("services.{}.{dotted}: {text} is there already, and now twice", self.name);
                teller.tell("twin", place, message, format!("leave it out: {WHY}, and lists are joined"));
            }
        }
    }

    fn joined_tests(&self, teller: &mut Teller) {
        let has_test = |service: &Service| service.healthcheck.as_ref().is_some_and(|check| !check.test.is_empty());
        if has_test(self.base) && has_test(self.over) {
            let place =
                self.node.get("healthcheck").and_then(|check| key_place(check, "test")).unwrap_or(&self.key.place);
            let message = format!("services.{}.healthcheck.test of two files is joined into one command", self.name);
            teller.tell("joined test", place, message, format!("keep it in one file: {WHY}"));
        }
    }

    /// Options of a later file need some to be joined to, under the same driver.
    fn lost_logging(&self, teller: &mut Teller) {
        let (Some(base), Some(over)) = (&self.base.logging, &self.over.logging) else { return };
        let same_driver = base.driver == over.driver || base.driver.is_empty() || over.driver.is_empty();
        if same_driver && base.options.is_none() && over.options.as_ref().is_some_and(|options| !options.is_empty()) {
            let place = self.node.get("logging").and_then(|logging| key_place(logging, "options"));
            let message =
                format!("services.{}.logging.options are lost, because the earlier logging has none", self.name);
            teller.tell(
                "lost logging",
                place.unwrap_or(&self.key.place),
                message,
                format!("give it options there: {WHY}"),
            );
        }
    }

    fn lost_networks(&self, teller: &mut Teller) {
        for (key, settings) in take::entries(self.node.get("networks")) {
            let Some(Some(base)) = self.base.networks.get(&key.text) else { continue };
            let Some(Some(over)) = self.over.networks.get(&key.text) else { continue };
            let path = format!("services.{}.networks.{}", self.name, key.text);
            if over.aliases.is_empty() && !base.aliases.is_empty() {
                let message = format!("{path}: the earlier aliases {} are lost", base.aliases.join(", "));
                teller.tell("lost aliases", &key.place, message, format!("repeat them here: {WHY}"));
            }
            if let Some(place) = key_place(settings, "driver_opts") {
                let message =
                    format!("{path}.driver_opts are lost, because an earlier file has settings of this network");
                teller.tell("lost options", place, message, format!("say them there: {WHY}"));
            }
        }
    }

    /// One entry a published port is left, whatever its protocol. That a port is said anew is the way to change it.
    fn lost_ports(&self, teller: &mut Teller) {
        if self.base.ports.is_empty() {
            return;
        }
        let ports = || self.base.ports.iter().chain(&self.over.ports).enumerate();
        let last: BTreeMap<u32, (usize, &Port)> =
            ports().map(|(index, port)| (port.published, (index, port))).collect();
        for (index, lost) in ports() {
            let (last, stays) = last[&lost.published];
            if index == last || is_change(lost, stays) {
                continue;
            }
            let message = format!(
                "services.{}.ports: {} is lost to {}, because one entry stays of a published port when files are merged",
                self.name,
                port_text(lost),
                port_text(stays)
            );
            teller.add(
                self.place_of("ports"),
                message,
                "publish them under different numbers, or keep the service in one file",
            );
        }
    }
}

fn is_change(from: &Port, to: &Port) -> bool {
    let protocol = |port: &Port| if port.protocol.is_empty() { "tcp".to_owned() } else { port.protocol.clone() };
    protocol(from) == protocol(to) && (from.published != 0 || from.target == to.target)
}

fn port_text(port: &Port) -> String {
    let protocol = if port.protocol.is_empty() { "tcp" } else { &port.protocol };
    match port.published {
        0 => format!("{}/{protocol}", port.target),
        published => format!("{published}:{}/{protocol}", port.target),
    }
}

/// What Go takes for the zero of the setting's type, in the words of a file.
fn is_zero(setting: &str, node: &Node) -> bool {
    match &node.value {
        Value::Bool(value) => !value,
        Value::Int(value) => *value == 0,
        Value::Float(value) => *value == 0.0,
        Value::String(text) => text.is_empty() || is_zero_number(setting, text),
        Value::Seq(items) => items.is_empty(),
        Value::Null | Value::Uint(_) | Value::Time(_) | Value::Map(_) => false,
    }
}

/// Durations and sizes are numbers to Go. The user "0" is a text like any other.
fn is_zero_number(setting: &str, text: &str) -> bool {
    match setting.rsplit('.').next().unwrap_or_default() {
        "memory" => values::bytes(text) == Ok(0),
        "stop_grace_period" | "interval" | "timeout" | "start_period" | "start_interval" | "delay" | "monitor"
        | "window" => values::duration(text) == Ok(0),
        _ => false,
    }
}

fn spelled(zero: &Node) -> String {
    match &zero.value {
        Value::String(text) if text.is_empty() => "the empty text".to_owned(),
        Value::Seq(_) => "the empty list".to_owned(),
        _ => take::scalar(zero),
    }
}

/// The texts of a list; of hosts and preferences what they are about.
fn entries(node: Option<&Node>) -> Vec<(String, &Place)> {
    if let Some(node) = node.filter(|node| node.as_str().is_some()) {
        return vec![(take::scalar(node), &node.place)];
    }
    let spread = |item: &Node| item.get("spread").map(take::scalar).unwrap_or_else(|| take::scalar(item));
    let listed = take::items(node).iter().map(|item| (spread(item), &item.place));
    let mapped =
        take::entries(node).iter().map(|(key, node)| (format!("{}:{}", key.text, take::scalar(node)), &key.place));
    listed.chain(mapped).collect()
}

/// A top-level entry stands for itself: keys that only the earlier one has are gone.
fn of_replaced<'a>(section: &'a str, earlier: &[Entries<'a>], over: &'a Node, teller: &mut Teller) {
    for (key, node) in take::entries(over.get(section)) {
        let Some((before, old)) = earlier.iter().rev().find_map(|file| file.get(section, &key.text)) else {
            continue;
        };
        let lost: Vec<&str> = take::entries(Some(old))
            .iter()
            .map(|(key, _)| key.text.as_str())
            .filter(|name| !name.starts_with("x-") && node.get(name).is_none())
            .collect();
        if !lost.is_empty() {
            let message = format!(
                "{section}.{} replaces the entry at {} whole, and its {} is lost",
                key.text,
                before.place,
                listing(&lost)
            );
            teller.tell("replaced", &key.place, message, format!("repeat what is to stay: {WHY}"));
        }
    }
}

/// Anchors do not reach over files, so a section of the same name changes nothing in the earlier file.
fn of_extensions<'a>(earlier: &'a [File], over: &'a Node, teller: &mut Teller) {
    let extensions = |file: &'a Node| take::entries(Some(file)).iter().filter(|(key, _)| key.text.starts_with("x-"));
    let before: BTreeMap<&str, &Place> =
        earlier.iter().flat_map(|file| extensions(&file.node)).map(|(key, _)| (&*key.text, &key.place)).collect();
    for (key, _) in extensions(over) {
        if let Some(before) = before.get(&*key.text) {
            let message = format!("{} changes nothing at {before}", key.text);
            teller.tell("extension", &key.place, message, "aliases stand for the anchors of their own file");
        }
    }
}
