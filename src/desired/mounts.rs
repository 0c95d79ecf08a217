//! A service's mounts.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::body::{put, put_labels};
use crate::model::app::StackName;
use crate::model::diagnostic::{Diagnostic, Diagnostics};
use crate::recipe::compose::model::{Mount, Service, Tmpfs, Volume};
use crate::recipe::values;

/// What mounts are read against.
pub struct Context<'a> {
    pub stack: &'a StackName,
    pub volumes: &'a BTreeMap<String, Volume>,
    /// The folder that relative binds start from.
    pub folder: Option<&'a str>,
}

/// `Mounts` in the order of the file, then what service-level `tmpfs:` adds.
pub fn mounts(name: &str, service: &Service, context: &Context, found: &mut Diagnostics) -> Vec<Value> {
    let mut mounts = Vec::new();
    for mount in &service.volumes {
        match body(mount, context) {
            Ok(body) => mounts.push(body),
            Err(cause) => found.push(Diagnostic::error(mount.place.clone(), format!("service {name}: {cause}"))),
        }
    }
    let taken: BTreeSet<&str> = service.volumes.iter().map(|mount| mount.target.as_str()).collect();
    for (target, entry) in tmpfs_by_target(service) {
        if taken.contains(target) {
            let message = format!("service {name}: tmpfs at {target} is left out, a volume is mounted there");
            found.push(Diagnostic::warning(entry.place.clone(), message).hint("leave out one of the two"));
            continue;
        }
        mounts.push(tmpfs(name, entry, found));
    }
    mounts
}

/// One entry for a target, in the order of the files: an overlay's stands in the place of the one that it overlays.
/// The lists of several files are appended to each other, and the Engine takes no second mount at a target.
fn tmpfs_by_target(service: &Service) -> Vec<(&str, &Tmpfs)> {
    let mut entries: Vec<(&str, &Tmpfs)> = Vec::new();
    let mut indexes = BTreeMap::new();
    for entry in service.tmpfs.iter().filter(|tmpfs| !tmpfs.entry.is_empty()) {
        let target = entry.entry.split(':').next().unwrap_or_default();
        let index = *indexes.entry(target).or_insert(entries.len());
        if index == entries.len() {
            entries.push((target, entry));
        }
        entries[index].1 = entry;
    }
    entries
}

fn body(mount: &Mount, context: &Context) -> Result<Value, String> {
    refuse_options_of_other_kinds(mount)?;
    match mount.kind.as_str() {
        "volume" | "" => volume(mount, context),
        "bind" => bind(mount, context.folder),
        "tmpfs" if !mount.source.is_empty() => Err("invalid tmpfs source, source must be empty".to_owned()),
        "tmpfs" => {
            let mut body = common(mount);
            if let Some(size) = mount.tmpfs {
                let mut options = Map::new();
                put(&mut options, "SizeBytes", json!(size));
                body.insert("TmpfsOptions".to_owned(), Value::Object(options));
            }
            Ok(Value::Object(body))
        }
        other => Err(format!("a mount of type {other:?} is not supported; use volume, bind or tmpfs")),
    }
}

fn refuse_options_of_other_kinds(mount: &Mount) -> Result<(), String> {
    let kind = if mount.kind.is_empty() { "volume" } else { mount.kind.as_str() };
    let given = [("tmpfs", mount.tmpfs.is_some()), ("bind", mount.bind.is_some()), ("volume", mount.volume.is_some())];
    match given.iter().find(|(options, given)| *given && *options != kind) {
        Some((options, _)) => Err(format!("{options} options are incompatible with type {kind}")),
        None => Ok(()),
    }
}

fn common(mount: &Mount) -> Map<String, Value> {
    let mut body = Map::new();
    put(&mut body, "Type", json!(mount.kind));
    put(&mut body, "Source", json!(mount.source));
    put(&mut body, "Target", json!(mount.target));
    put(&mut body, "ReadOnly", json!(mount.read_only));
    put(&mut body, "Consistency", json!(mount.consistency));
    body
}

fn bind(mount: &Mount, folder: Option<&str>) -> Result<Value, String> {
    let mut body = common(mount);
    let source = match (mount.source.starts_with('/'), folder) {
        (true, _) => mount.source.clone(),
        (false, Some(folder)) => joined(folder, &mount.source),
        (false, None) => {
            return Err(format!(
                "the bind source {:?} is relative, and a recipe has no folder on this host; use an absolute path, or a config",
                mount.source
            ));
        }
    };
    body.insert("Source".to_owned(), json!(source));
    if let Some(propagation) = &mount.bind {
        let mut options = Map::new();
        put(&mut options, "Propagation", json!(propagation));
        body.insert("BindOptions".to_owned(), Value::Object(options));
    }
    Ok(Value::Object(body))
}

/// The path below the folder, without `.` and `..`.
fn joined(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in folder.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

fn volume(mount: &Mount, context: &Context) -> Result<Value, String> {
    let mut body = common(mount);
    if mount.source.is_empty() {
        return Ok(Value::Object(body));
    }
    let undefined = || format!("undefined volume {:?} (declare it under top-level volumes)", mount.source);
    let volume = context.volumes.get(&mount.source).ok_or_else(undefined)?;
    let name = if volume.name.is_empty() { format!("{}_{}", context.stack, mount.source) } else { volume.name.clone() };
    body.insert("Source".to_owned(), json!(name));
    body.insert("VolumeOptions".to_owned(), volume_options(mount, volume, context.stack));
    Ok(Value::Object(body))
}

fn volume_options(mount: &Mount, volume: &Volume, stack: &StackName) -> Value {
    let mut options = Map::new();
    if let Some(given) = &mount.volume {
        put(&mut options, "NoCopy", json!(given.nocopy));
        put(&mut options, "Subpath", json!(given.subpath));
    }
    if volume.external {
        return Value::Object(options);
    }
    put_labels(&mut options, &volume.labels, stack);
    if !volume.driver.is_empty() || volume.driver_opts.is_some() {
        let mut driver = Map::new();
        put(&mut driver, "Name", json!(volume.driver));
        put(&mut driver, "Options", json!(volume.driver_opts.clone().unwrap_or_default()));
        options.insert("DriverConfig".to_owned(), Value::Object(driver));
    }
    Value::Object(options)
}

/// `/tmp:size=64M,mode=1777`. What cannot be read is left out with a warning: recipes carry such entries, because the
/// Docker CLI never looked at them.
fn tmpfs(name: &str, tmpfs: &Tmpfs, found: &mut Diagnostics) -> Value {
    let (target, options) = tmpfs.entry.split_once(':').unwrap_or((&tmpfs.entry, ""));
    let mut settings = Map::new();
    for option in options.split(',').filter(|option| !option.is_empty()) {
        let setting = match option.split_once('=') {
            Some(("size", size)) => values::bytes(size).ok().map(|size| ("SizeBytes", json!(size))),
            Some(("mode", mode)) => u32::from_str_radix(mode, 8).ok().map(|mode| ("Mode", json!(mode))),
            _ => None,
        };
        match setting {
            Some((key, value)) => drop(settings.insert(key.to_owned(), value)),
            None => {
                let message = format!("service {name}: tmpfs at {target}: the option {option:?} is left out");
                let hint = "what is known: size=64M and mode=1777";
                found.push(Diagnostic::warning(tmpfs.place.clone(), message).hint(hint));
            }
        }
    }
    let mut body = json!({ "Type": "tmpfs", "Target": target });
    if !settings.is_empty() {
        body["TmpfsOptions"] = Value::Object(settings);
    }
    body
}
