//! Top-level networks, volumes, secrets and configs.

use std::collections::BTreeMap;

use crate::model::diagnostic::{Diagnostic, Diagnostics};
use crate::recipe::compose::model::{FileObject, Network, Project, Volume};
use crate::recipe::compose::take;
use crate::recipe::compose::version::Version;
use crate::recipe::yaml::{Key, Node, Value};

/// What `external:` says: whether, and the name of its old form `external: {name: …}`.
struct External {
    is: bool,
    name: String,
}

fn external(node: &Node) -> External {
    match node.get("external").map(|node| (&node.value, node)) {
        Some((Value::Bool(is), _)) => External { is: *is, name: String::new() },
        Some((Value::Map(_), node)) => External { is: true, name: take::text(node, "name") },
        _ => External { is: false, name: String::new() },
    }
}

/// The object's own name: `name:`, for an external one also `external.name:` or else its key.
fn name(what: &str, key: &Key, node: &Node, external: &External, version: Version, found: &mut Diagnostics) -> String {
    let has_name_since = if what == "volume" { 4 } else { 5 };
    let name = take::text(node, "name");
    if !external.is {
        return name;
    }
    if external.name.is_empty() {
        return if name.is_empty() { key.text.clone() } else { name };
    }
    if !name.is_empty() {
        let message = format!("{what} {}: {what}.external.name and {what}.name conflict", key.text);
        found.push(Diagnostic::error(key.place.clone(), message).hint(format!("only use {what}.name")));
    } else if version.minor >= has_name_since {
        let message = format!("{what} {}: {what}.external.name is deprecated", key.text);
        found.push(Diagnostic::warning(key.place.clone(), message).hint(format!("use {what}.name")));
    }
    external.name.clone()
}

pub fn networks(file: &Node, version: Version, found: &mut Diagnostics) -> BTreeMap<String, Network> {
    let read = |(key, node): &(Key, Node)| {
        let external = external(node);
        let ipam = node.get("ipam");
        let network = Network {
            place: Some(key.place.clone()),
            name: name("network", key, node, &external, version, found),
            external: external.is,
            driver: take::text(node, "driver"),
            driver_opts: node.get("driver_opts").map(|_| take::pairs(node, "driver_opts")),
            ipam_driver: ipam.map(|ipam| take::text(ipam, "driver")).unwrap_or_default(),
            subnets: take::items(ipam.and_then(|ipam| ipam.get("config")))
                .iter()
                .map(|pool| take::text(pool, "subnet"))
                .collect(),
            internal: take::flag(node, "internal"),
            attachable: take::flag(node, "attachable"),
            labels: take::pairs(node, "labels"),
        };
        (key.text.clone(), network)
    };
    take::entries(file.get("networks")).iter().map(read).collect()
}

pub fn volumes(file: &Node, version: Version, found: &mut Diagnostics) -> BTreeMap<String, Volume> {
    let read = |(key, node): &(Key, Node)| {
        let external = external(node);
        let volume = Volume {
            name: name("volume", key, node, &external, version, found),
            external: external.is,
            driver: take::text(node, "driver"),
            driver_opts: node.get("driver_opts").map(|_| take::pairs(node, "driver_opts")),
            labels: take::pairs(node, "labels"),
        };
        refuse_settings_of_external(key, &volume, found);
        (key.text.clone(), volume)
    };
    take::entries(file.get("volumes")).iter().map(read).collect()
}

fn refuse_settings_of_external(key: &Key, volume: &Volume, found: &mut Diagnostics) {
    let settings = [
        ("driver", !volume.driver.is_empty()),
        ("driver_opts", volume.driver_opts.as_ref().is_some_and(|options| !options.is_empty())),
        ("labels", !volume.labels.is_empty()),
    ];
    for (setting, _) in settings.iter().filter(|(_, given)| volume.external && *given) {
        let message =
            format!("conflicting parameters \"external\" and {setting:?} specified for volume {:?}", key.text);
        found.push(Diagnostic::error(key.place.clone(), message).hint("leave one of the two out"));
    }
}

/// Secrets or configs; `what` is `secret` or `config`.
pub fn file_objects(
    file: &Node,
    what: &str,
    version: Version,
    found: &mut Diagnostics,
) -> BTreeMap<String, FileObject> {
    let read = |(key, node): &(Key, Node)| {
        let external = external(node);
        let object = FileObject {
            place: Some(key.place.clone()),
            name: name(what, key, node, &external, version, found),
            name_template: String::new(),
            file: take::text(node, "file"),
            external: external.is,
            driver: take::text(node, "driver"),
            driver_opts: take::pairs(node, "driver_opts"),
            template_driver: take::text(node, "template_driver"),
            labels: take::pairs(node, "labels"),
        };
        if !object.external && !object.driver.is_empty() && !object.file.is_empty() {
            let message = format!("{what} {}: {what}.driver and {what}.file conflict", key.text);
            found.push(Diagnostic::error(key.place.clone(), message).hint(format!("only use {what}.driver")));
        }
        (key.text.clone(), object)
    };
    take::entries(file.get(&format!("{what}s"))).iter().map(read).collect()
}

/// Puts the names as written, before interpolation, beside the names.
pub fn keep_templates(project: &mut Project, raw: &Node) {
    for (section, objects) in [("secrets", &mut project.secrets), ("configs", &mut project.configs)] {
        for (key, node) in take::entries(raw.get(section)) {
            let Some(object) = objects.get_mut(&key.text) else { continue };
            let old_form = || node.get("external").and_then(|external| external.get("name"));
            object.name_template = node.get("name").or_else(old_form).map(take::scalar).unwrap_or_default();
        }
    }
}
