//! `swarm`: this node as a Swarm manager with the shared overlay; writes nothing the second time.

use std::path::Path;

use anyhow::bail;

use super::world;
use crate::config::SharedNetwork;
use crate::host::swarm::{Headroom, Swarm, SwarmInfo};
use crate::model::observed::Network;
use crate::plan;
use crate::telemetry::notify;

/// One node needs no other to reach it: nothing of the Swarm is offered to the network.
const ADVERTISE: &str = "127.0.0.1";
const LISTEN: &str = "127.0.0.1:2377";

pub async fn run(config: &Path) -> anyhow::Result<u8> {
    let declared = world::declared(config)?;
    let swarm = Swarm::new(world::engine(&declared).await?);
    notify::ready();
    let mut did = Vec::new();
    let info = swarm.info().await?;
    refuse(&info)?;
    if !info.active {
        swarm.init(ADVERTISE, LISTEN).await?;
        did.push("this node is now the manager of a new Swarm".to_owned());
    }
    let network = &declared.network;
    // Without a driver it is being made by somebody else just now: to make it, too, waits until it is whole.
    match swarm.live_network(&network.name).await?.filter(|live| !live.driver.is_empty()) {
        None => {
            swarm.create_network(&plan::shared_network(network)).await?;
            did.push(format!("overlay network {} with {} is created", network.name, network.subnet));
        }
        Some(live) => adopt(network, &live)?,
    }
    if let Some(headroom) = swarm.headroom(&network.name).await?.filter(Headroom::is_tight) {
        super::tell(&format!("evenkeel: warning: {headroom}"));
    }
    match did.is_empty() {
        true => super::answer("swarm: converged\n"),
        false => super::answer(&format!("swarm: applied: {}\n", did.join("; "))),
    }
    Ok(0)
}

/// What no run could live with.
fn refuse(info: &SwarmInfo) -> anyhow::Result<()> {
    if info.live_restore {
        bail!(
            "the Docker daemon runs with live-restore, which a Swarm cannot live with: set \
             `virtualisation.docker.liveRestore = false;` (or \"live-restore\": false in daemon.json) and restart Docker"
        );
    }
    match info.keeps_no_stacks().filter(|_| info.state != "inactive") {
        Some(why) => bail!(why),
        None => Ok(()),
    }
}

/// A network of that name exists: it has to be one that services can join.
fn adopt(declared: &SharedNetwork, live: &Network) -> anyhow::Result<()> {
    if live.scope != "swarm" || live.driver != "overlay" {
        bail!(
            "network {} exists as a {} network of scope {}, and services need an overlay of scope swarm: remove it \
             (`docker network rm {}`) or choose another [network].name",
            live.name,
            live.driver,
            live.scope,
            live.name
        );
    }
    if let Some(unlike) = plan::unlike_declared(declared, live) {
        super::tell(&format!("evenkeel: warning: {unlike}"));
    }
    Ok(())
}
