//! Which volumes a transaction is about, and who holds them.
//!
//! The set is what the merged compose of both releases names, what lives, what is really mounted, and what carries the
//! stack's label. The surprise: a container that mounts a path above a volume holds it as well as one that mounts it, unless
//! it can only read there, as monitors do that mount the whole host.

mod placed;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::model::app::StackName;
use crate::model::observed::{Mounted, Mounting, Service, Volume as Live};
use crate::model::transaction::Volume;
use crate::plan;
use crate::plan::NAMESPACE_LABEL;

pub use placed::{Nodes, may_leave_data, may_start_elsewhere, runs_elsewhere};

/// What the volume set is made of.
#[derive(Debug, Clone, Copy)]
pub struct World<'a> {
    pub stack: &'a StackName,
    /// The services' specs of the release that runs and of the one that comes, by names.
    pub specs: &'a [&'a Value],
    /// Every service of the Swarm.
    pub services: &'a [Service],
    /// The names of the stack's own services, among those.
    pub own: &'a BTreeSet<String>,
    /// Every container of this node.
    pub containers: &'a [Mounting],
    /// Every volume of this node.
    pub volumes: &'a BTreeMap<String, Live>,
    /// `snapshot.exclude` and `snapshot.external`: volumes by their full names or the recipe's own, binds by their paths.
    pub left_out: &'a [String],
    /// Paths of binds behind which there is no data: sockets and devices.
    pub without_data: &'a BTreeSet<String>,
}

/// The volumes of a transaction, by name.
///
/// # Errors
/// Every reason why their data could not be stored or put back faithfully, each with the way out.
pub fn volume_set(world: &World) -> Result<BTreeMap<String, Volume>, Vec<String>> {
    let mut wrong = writable_binds(world);
    let mut set = BTreeMap::new();
    for name in names(world) {
        let left_out = is_left_out(world.stack, world.left_out, &name);
        let live = world.volumes.get(&name);
        if !left_out {
            wrong.extend(named_elsewhere(world, &name));
            wrong.extend(match live {
                Some(live) => is_no_plain_folder(live),
                None => will_be_no_plain_folder(world, &name),
            });
        }
        let mountpoint = live.map(|live| live.mountpoint.clone()).filter(|path| path.is_absolute());
        set.insert(name, Volume { mountpoint, left_out });
    }
    if wrong.is_empty() { Ok(set) } else { Err(wrong) }
}

fn names(world: &World) -> BTreeSet<String> {
    let live = world.services.iter().filter(|service| world.own.contains(&service.name)).map(|service| &service.spec);
    let named = plan::volumes(world.specs.iter().copied().chain(live)).into_iter().map(str::to_owned);
    let own = |container: &&Mounting| container.service.as_ref().is_some_and(|name| world.own.contains(name));
    let mounted = world.containers.iter().filter(own).flat_map(|container| &container.mounts);
    let mounted = mounted.filter_map(|mount| mount.volume.clone()).filter(|name| !is_anonymous(name, world));
    let labelled = world
        .volumes
        .values()
        .filter(|volume| volume.labels.get(NAMESPACE_LABEL).is_some_and(|owner| owner == world.stack.as_str()));
    named.chain(mounted).chain(labelled.map(|volume| volume.name.clone())).collect()
}

/// One that the Engine made for a container alone, and removes with it.
fn is_anonymous(name: &str, world: &World) -> bool {
    let by_label = world.volumes.get(name).is_some_and(|live| live.labels.contains_key("com.docker.volume.anonymous"));
    by_label || (name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Whether a volume is one of those that are named to be left out, by its full name or the recipe's own.
pub fn is_left_out(stack: &StackName, left_out: &[String], name: &str) -> bool {
    let short = name.strip_prefix(stack.as_str()).and_then(|rest| rest.strip_prefix('_'));
    left_out.iter().any(|out| out == name || Some(out.as_str()) == short)
}

/// A service of another stack, or of none, may start at any moment and write it.
fn named_elsewhere(world: &World, name: &str) -> Option<String> {
    let others = world.services.iter().filter(|service| !world.own.contains(&service.name));
    let mut users = others.filter(|service| plan::volumes(std::iter::once(&service.spec)).contains(name));
    let user = &users.next()?.name;
    Some(format!(
        "volume {name} is also named by service {user}, which does not belong to this app, so its data cannot be stored and \
         put back by itself: end that, or name the volume in snapshot.external"
    ))
}

fn is_no_plain_folder(live: &Live) -> Option<String> {
    let name = &live.name;
    let way_out = format!("name it in snapshot.exclude (`{name}`) and keep its data another way");
    if live.driver != "local" {
        return Some(format!(
            "volume {name} is kept by driver {}, whose data cannot be stored here: {way_out}",
            live.driver
        ));
    }
    if !live.options.is_empty() {
        let options: Vec<String> = live.options.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let options = options.join(" ");
        return Some(format!(
            "volume {name} stands for something else ({options}), which cannot be put back: {way_out}"
        ));
    }
    (!live.mountpoint.is_absolute()).then(|| format!("the Engine does not tell where volume {name} is: {way_out}"))
}

/// The Engine makes a volume as the first spec that names it says.
fn will_be_no_plain_folder(world: &World, name: &str) -> Option<String> {
    let mounts = world.specs.iter().filter_map(|spec| spec.pointer("/TaskTemplate/ContainerSpec/Mounts")?.as_array());
    let mut of_it = mounts.flatten().filter(|mount| mount["Type"] == "volume" && mount["Source"] == name);
    let driver = of_it.find_map(|mount| mount.pointer("/VolumeOptions/DriverConfig"))?;
    let options = driver["Options"].as_object().into_iter().flatten();
    let options = options.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect();
    let kind = driver["Name"].as_str().filter(|name| !name.is_empty()).unwrap_or("local");
    is_no_plain_folder(&Live {
        name: name.to_owned(),
        driver: kind.to_owned(),
        // Where it will be is the Engine's to say.
        mountpoint: PathBuf::from("/"),
        labels: BTreeMap::new(),
        options,
    })
}

/// Binds that the app may write: their data would stay behind when the version goes back.
fn writable_binds(world: &World) -> Vec<String> {
    let mounts = world.specs.iter().filter_map(|spec| spec.pointer("/TaskTemplate/ContainerSpec/Mounts")?.as_array());
    let binds = mounts.flatten().filter(|mount| matches!(mount["Type"].as_str(), Some("bind" | "") | None));
    let writable = binds.filter(|mount| mount["ReadOnly"] != true).filter_map(|mount| mount["Source"].as_str());
    let paths: BTreeSet<&str> = writable.collect();
    let kept = |path: &&str| !world.left_out.iter().any(|out| out == path) && !world.without_data.contains(*path);
    let told = |path: &str| {
        format!(
            "{path} is a path of the host that the app may write, and its data cannot be put back with the version: mount \
             it read-only, use a volume, or name the path in snapshot.exclude"
        )
    };
    paths.into_iter().filter(kept).map(told).collect()
}

/// Containers that hold one of these folders (volume name -> its path, symlinks resolved), each in a sentence: they run,
/// or may at any moment, and mount the volume or a path above or below it. Who can only read, from above, holds nothing:
/// it neither writes to the data nor keeps the folder itself from being exchanged.
pub fn holders(containers: &[Mounting], volumes: &BTreeMap<String, PathBuf>) -> Vec<String> {
    let may_write = |container: &&Mounting| !matches!(container.state.as_str(), "exited" | "dead" | "removing");
    let mut told = Vec::new();
    for container in containers.iter().filter(may_write) {
        let held = container.mounts.iter().find_map(|mount| {
            let (name, _) = volumes.iter().find(|(name, path)| holds(mount, name, path))?;
            Some((name, mount))
        });
        if let Some((name, mount)) = held {
            told.push(in_words(container, name, mount));
        }
    }
    told
}

fn holds(mount: &Mounted, name: &str, path: &Path) -> bool {
    let Some(source) = Some(mount.source.as_path()).filter(|source| source.is_absolute()) else {
        return mount.volume.as_deref() == Some(name);
    };
    let is_above = path.starts_with(source) && path != source;
    mount.volume.as_deref() == Some(name) || source.starts_with(path) || (is_above && !mount.only_reads)
}

fn in_words(container: &Mounting, name: &str, mount: &Mounted) -> String {
    let how = match &mount.volume {
        Some(volume) if volume == name => format!("volume {name}"),
        _ => format!("{}, which is above or below volume {name}", mount.source.display()),
    };
    let Mounting { name: container, state, service, .. } = container;
    let of = service.as_ref().map(|service| format!(" of service {service}")).unwrap_or_default();
    format!("container {container}{of} is {state} and mounts {how}")
}

/// Who wrote the stack's services since their indexes were read, in words; `None` where nobody did.
pub fn written_since(read: &BTreeMap<String, u64>, now: &BTreeMap<String, u64>) -> Option<String> {
    let names: BTreeSet<&String> = read.keys().chain(now.keys()).collect();
    let told: Vec<String> = names.into_iter().filter_map(|name| change(name, read.get(name), now.get(name))).collect();
    let told = told.join(", ");
    (!told.is_empty()).then(|| format!("somebody else changed the stack while it was stopped: {told}"))
}

fn change(name: &str, read: Option<&u64>, now: Option<&u64>) -> Option<String> {
    match (read, now) {
        (Some(read), Some(now)) if read == now => None,
        (Some(_), Some(_)) => Some(format!("service {name} was written")),
        (Some(_), None) => Some(format!("service {name} was removed")),
        (None, _) => Some(format!("service {name} was added")),
    }
}

#[cfg(test)]
mod tests;
