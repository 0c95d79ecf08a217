//! Entries of a service's `volumes:`, short and long.

use crate::model::diagnostic::{Diagnostic, Diagnostics};
use crate::recipe::compose::model::{Mount, VolumeOptions};
use crate::recipe::compose::take;
use crate::recipe::yaml::{Node, Value};

const PROPAGATIONS: [&str; 6] = ["rprivate", "private", "rshared", "shared", "rslave", "slave"];

/// The mount at `path`; a bind's `~` is replaced by `home`, its relative path stays.
pub fn read(node: &Node, path: &str, home: Option<&str>, found: &mut Diagnostics) -> Option<Mount> {
    let mut mount = match &node.value {
        Value::Map(_) => long(node),
        _ => match short(&take::scalar(node)) {
            Ok(mount) => mount,
            Err(cause) => {
                let message = format!("{path}: {:?}: {cause}", take::scalar(node));
                let hint = "write [source:]target[:options], with a source of more than one letter";
                found.push(Diagnostic::error(node.place.clone(), message).hint(hint));
                return None;
            }
        },
    };
    mount.place = Some(node.place.clone());
    if mount.kind == "bind" {
        mount.source = absolute_home(&mount, path, home, found)?;
    }
    Some(mount)
}

fn absolute_home(mount: &Mount, path: &str, home: Option<&str>, found: &mut Diagnostics) -> Option<String> {
    if mount.source.is_empty() {
        let message = format!("{path}: the bind at {:?} has no source", mount.target);
        found.push(Diagnostic::error(mount.place.clone(), message).hint("name a path of the host"));
        return None;
    }
    match (mount.source.strip_prefix('~'), home) {
        (None, _) => Some(mount.source.clone()),
        (Some(rest), Some(home)) => Some(format!("{home}{rest}")),
        (Some(_), None) => {
            let message = format!("{path}: {:?} needs HOME, which is not set", mount.source);
            found.push(Diagnostic::error(mount.place.clone(), message).hint("write the path out"));
            None
        }
    }
}

fn long(node: &Node) -> Mount {
    Mount {
        place: None,
        kind: take::text(node, "type"),
        source: take::text(node, "source"),
        target: take::text(node, "target"),
        read_only: take::flag(node, "read_only"),
        consistency: take::text(node, "consistency"),
        bind: node.get("bind").map(|node| take::text(node, "propagation")),
        volume: node
            .get("volume")
            .map(|node| VolumeOptions { nocopy: take::flag(node, "nocopy"), subpath: take::text(node, "subpath") }),
        tmpfs: node.get("tmpfs").map(|node| take::get(node, "size").and_then(take::integer).unwrap_or_default()),
    }
}

/// `[source:]target[:options]`.
fn short(spec: &str) -> Result<Mount, String> {
    if spec.is_empty() {
        return Err("an empty volume".to_owned());
    }
    let volume = |target: &str| Mount { kind: "volume".into(), target: target.into(), ..Mount::default() };
    if spec.len() <= 2 {
        return Ok(volume(spec));
    }
    refuse_drive(spec)?;
    let fields: Vec<&str> = spec.split(':').collect();
    if fields.contains(&"") {
        return Err("empty section between colons".to_owned());
    }
    match fields[..] {
        [target] => Ok(volume(target)),
        [source, target] => Ok(named_or_bind(source, target)),
        [source, target, options] => Ok(with_options(named_or_bind(source, target), options)),
        _ => Err("too many colons".to_owned()),
    }
}

/// The Docker CLI takes a letter before a colon for a Windows drive, and would mount a new empty volume at `v:/x`.
fn refuse_drive(spec: &str) -> Result<(), String> {
    let is_letter = |field: &str| field.chars().count() == 1 && field.chars().all(char::is_alphabetic);
    match spec.rsplit(':').skip(1).any(is_letter) {
        true => Err("one letter before a colon is taken for a Windows drive".to_owned()),
        false => Ok(()),
    }
}

fn named_or_bind(source: &str, target: &str) -> Mount {
    let kind = if source.starts_with(['.', '/', '~']) || source.starts_with("\\\\") { "bind" } else { "volume" };
    Mount { kind: kind.into(), source: source.into(), target: target.into(), ..Mount::default() }
}

/// Whether an option of the short form is taken. Others (`z`, `Z`) mean nothing here.
pub fn is_option(option: &str) -> bool {
    matches!(option, "ro" | "rw" | "nocopy") || PROPAGATIONS.contains(&option)
}

fn with_options(mut mount: Mount, options: &str) -> Mount {
    for option in options.split(',') {
        match option {
            "ro" => mount.read_only = true,
            "rw" => mount.read_only = false,
            "nocopy" => mount.volume = Some(VolumeOptions { nocopy: true, subpath: String::new() }),
            other if PROPAGATIONS.contains(&other) => mount.bind = Some(other.to_owned()),
            _ => {}
        }
    }
    mount
}
