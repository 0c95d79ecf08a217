//! What an upgrade asks of this host before anything is stopped.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::FileTypeExt as _;
use std::path::PathBuf;

use serde_json::Value;

use crate::host::swarm::{Swarm, SwarmInfo, resolved};
use crate::model::app::StackName;
use crate::model::observed::{Mounting, OtherNode};
use crate::model::outcome::Outcome;
use crate::model::transaction::Volume;
use crate::upgrade::volumes::{self, Nodes, World, holders, volume_set};

/// The volumes of a transaction between releases with these service specs. `left_out` are those of its rules.
///
/// # Errors
/// `Blocked` with every reason why their data cannot be stored and put back faithfully: they stand for something else,
/// another stack names them, a container of somebody else's holds them now, the app writes to a path of the host, or
/// a service that has some of them runs on another node.
pub async fn volumes(
    swarm: &Swarm,
    stack: &StackName,
    specs: &[&Value],
    left_out: &[String],
) -> Result<BTreeMap<String, Volume>, Outcome> {
    let looked = tokio::try_join!(swarm.services_of(stack), swarm.all_services(), swarm.mountings(), swarm.volumes());
    let (own, services, containers, volumes) = looked?;
    let own: BTreeSet<String> = own.into_keys().collect();
    let world = World {
        stack,
        specs,
        services: &services,
        own: &own,
        containers: &containers,
        volumes: &volumes,
        left_out,
        without_data: &without_data(specs).await,
    };
    let mut wrong = Vec::new();
    let set = volume_set(&world).unwrap_or_else(|reasons| {
        wrong = reasons;
        BTreeMap::new()
    });
    let places = places(&set).await;
    let others: Vec<Mounting> = containers.iter().filter(|container| !is_own(container, &own)).cloned().collect();
    wrong.extend(holders(&others, &places).into_iter().map(|held| format!("the app's data is in use: {held}")));
    if !set.is_empty() {
        wrong.extend(runs_elsewhere(swarm, stack, &set).await?);
    }
    if wrong.is_empty() { Ok(set) } else { Err(Outcome::Blocked(wrong.join("; "))) }
}

/// Whether what a release with these service specs writes on fresh volumes can be stored and put back.
///
/// # Errors
/// `Blocked` with every reason why not, as far as it can be told before the volumes are there.
pub async fn can_be_stored(
    swarm: &Swarm,
    stack: &StackName,
    specs: &[&Value],
    left_out: &[String],
) -> Result<(), Outcome> {
    let (own, services) = tokio::try_join!(swarm.services_of(stack), swarm.all_services())?;
    let world = World {
        stack,
        specs,
        services: &services,
        own: &own.into_keys().collect(),
        containers: &[],
        volumes: &BTreeMap::new(),
        left_out,
        without_data: &without_data(specs).await,
    };
    volume_set(&world).map(drop).map_err(|wrong| Outcome::Blocked(wrong.join("; ")))
}

fn is_own(container: &Mounting, own: &BTreeSet<String>) -> bool {
    container.service.as_ref().is_some_and(|service| own.contains(service))
}

/// The volumes that are stored, each with its folder, symlinks resolved.
async fn places(volumes: &BTreeMap<String, Volume>) -> BTreeMap<String, PathBuf> {
    let mut places = BTreeMap::new();
    for (name, volume) in volumes.iter().filter(|(_, volume)| !volume.left_out) {
        if let Some(mountpoint) = &volume.mountpoint {
            places.insert(name.clone(), resolved(mountpoint).await);
        }
    }
    places
}

/// Volumes are local to a node, and of another node's nothing can be stored here.
async fn runs_elsewhere(
    swarm: &Swarm,
    stack: &StackName,
    set: &BTreeMap<String, Volume>,
) -> Result<Option<String>, Outcome> {
    let observed = swarm.observe_progress(stack).await?;
    if observed.tasks.iter().all(|task| task.elsewhere.is_none()) {
        return Ok(None);
    }
    let (info, others) = tokio::try_join!(swarm.info(), swarm.other_nodes())?;
    Ok(volumes::runs_elsewhere(&observed, set, nodes(&info, &others)))
}

/// The Swarm's nodes as seen from this one.
pub fn nodes<'a>(info: &'a SwarmInfo, others: &'a BTreeMap<String, OtherNode>) -> Nodes<'a> {
    Nodes { id: &info.node, hostname: &info.hostname, others, managers: info.managers }
}

/// Binds of sockets and devices hold no data.
pub async fn without_data(specs: &[&Value]) -> BTreeSet<String> {
    let mounts = specs.iter().filter_map(|spec| spec.pointer("/TaskTemplate/ContainerSpec/Mounts")?.as_array());
    let sources: BTreeSet<&str> = mounts.flatten().filter_map(|mount| mount["Source"].as_str()).collect();
    let mut without = BTreeSet::new();
    for source in sources.into_iter().filter(|source| source.starts_with('/')) {
        let Ok(found) = tokio::fs::metadata(source).await else { continue };
        let kind = found.file_type();
        if kind.is_socket() || kind.is_char_device() {
            without.insert(source.to_owned());
        }
    }
    without
}
