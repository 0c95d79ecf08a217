//! What could stand in the way of a transaction, found while the app still runs.
//!
//! Everything is asked before anything is stopped, and told at once. The surprise: an app that is not healthy as it runs
//! gets no upgrade, because nobody could tell afterwards whether the version was to blame, or whether going back helped.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::Run;
use super::goal::{Aim, Goal};
use crate::desired::Desired;
use crate::host::gnu_tar;
use crate::host::snapshots::Manifest;
use crate::host::swarm::SwarmInfo;
use crate::host::volumes::{self, Free, Needs};
use crate::model::observed::{Observed, OtherNode, Service, UpdateState};
use crate::model::outcome::Outcome;
use crate::model::state::ReleaseBody;
use crate::model::transaction::Volume;
use crate::plan::{self, Act, Change, Plan};
use crate::reconcile::{Gate, Judged};
use crate::upgrade::on_host;
use crate::upgrade::volumes::{is_left_out, may_leave_data, may_start_elsewhere};

/// How long an update that somebody else has begun is waited for.
const SETTLE: Duration = Duration::from_secs(120);
/// The longest pause between two looks.
const TICK: Duration = Duration::from_millis(500);

impl Run<'_> {
    /// The stack once Swarm has ended what it was told by somebody else: the verdict on an update that is under way is not
    /// in yet, and a snapshot would cut it short.
    ///
    /// # Errors
    /// `Waiting` where it takes too long.
    pub(super) async fn settled(&self) -> Result<Observed, Outcome> {
        let swarm = &self.host.swarm;
        let deadline = Instant::now() + SETTLE;
        let mut changes = swarm.changes().await?;
        loop {
            let asked = Instant::now();
            let observed = swarm.observe(&self.app.stack).await?;
            let Some(service) = under_way(&observed) else { return Ok(observed) };
            if asked >= deadline {
                return Err(Outcome::Waiting(format!(
                    "Swarm still makes an update of service {service} that was under way before; the next run looks again"
                )));
            }
            self.progress.waiting_for(&format!("an update of service {service} that is under way"));
            changes.wait(TICK).await;
        }
    }

    /// The volumes of both releases, and what their services really mount.
    pub(super) async fn volumes(&self, old: &Desired, new: &ReleaseBody) -> Result<BTreeMap<String, Volume>, Outcome> {
        on_host::volumes(&self.host.swarm, &self.app.stack, &specs(old, new), &self.app.snapshot.left_out()).await
    }

    /// Gives the volumes of a transaction from what runs (`old`) to `new`.
    ///
    /// # Errors
    /// `Blocked` with everything that stands in the way. Nothing was touched.
    pub(super) async fn preflight(
        &self,
        old: &Desired,
        new: &ReleaseBody,
        observed: &Observed,
        gate: &Gate,
    ) -> Result<BTreeMap<String, Volume>, Outcome> {
        if let Judged::Unhealthy(reason) = self.keeper().glance(old, observed, gate).await? {
            return Err(Outcome::Blocked(format!(
                "it is not healthy as it runs, so an upgrade could be neither judged nor undone: {reason}; put that right \
                 first"
            )));
        }
        let current = self.state.current.iter().map(|current| &current.body);
        for body in current {
            self.images_are_here(body).await?;
        }
        self.addresses_are_left(new).await?;
        if self.reconciler.is_stateless() {
            return Ok(BTreeMap::new());
        }
        let volumes = self.volumes(old, new).await?;
        self.comes_up_here(old, new, &volumes).await?;
        self.putting_back_is_possible(&volumes).await?;
        self.storing_is_possible(&volumes)?;
        Ok(volumes)
    }

    /// Whether what is stopped can be started beside its data alone.
    ///
    /// # Errors
    /// `Blocked` where Swarm may start it on another node.
    pub(super) async fn comes_up_here(
        &self,
        old: &Desired,
        new: &ReleaseBody,
        volumes: &BTreeMap<String, Volume>,
    ) -> Result<(), Outcome> {
        let (info, others) = self.nodes().await?;
        match may_start_elsewhere(&specs(old, new), volumes, on_host::nodes(info, &others)) {
            Some(why) => Err(Outcome::Blocked(why)),
            None => Ok(()),
        }
    }

    /// Why a change of configuration may start a service on another node than the one that has its data.
    ///
    /// # Errors
    /// `Blocked` with the reason.
    pub(super) async fn stays_with_its_data(
        &self,
        goal: &Goal,
        plan: &Plan,
        observed: &Observed,
    ) -> Result<(), Outcome> {
        let is_changed = goal.aim == Aim::Change && self.state.current.is_some();
        let specs: Vec<&Value> = plan.changes.iter().filter(|_| is_changed).filter_map(updated).collect();
        let left_out = self.app.snapshot.left_out();
        let volume = |name: &str| Volume { mountpoint: None, left_out: is_left_out(&self.app.stack, &left_out, name) };
        let named = plan::volumes(specs.iter().copied()).into_iter().map(|name| (name.to_owned(), volume(name)));
        let volumes: BTreeMap<String, Volume> = named.collect();
        if volumes.is_empty() {
            return Ok(());
        }
        let (info, others) = self.nodes().await?;
        match may_leave_data(&specs, &volumes, observed, on_host::nodes(info, &others)) {
            Some(why) => Err(Outcome::Blocked(why)),
            None => Ok(()),
        }
    }

    async fn nodes(&self) -> Result<(&SwarmInfo, BTreeMap<String, OtherNode>), Outcome> {
        let info = self.host.known.info(&self.host.swarm).await?;
        Ok((info, self.host.swarm.other_nodes().await?))
    }

    /// Every image of a release that may be put back is on this machine, and stays: no registry is asked on the way back.
    pub(super) async fn images_are_here(&self, body: &ReleaseBody) -> Result<(), Outcome> {
        let mut missing = Vec::new();
        for (reference, id) in &body.images {
            if !self.host.images.keep(id).await? {
                missing.push(format!("{reference} ({id})"));
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        Err(Outcome::Blocked(format!(
            "{} could not be put back, because its images are not on this machine any more: {}; fetch them (docker pull)",
            body.revision,
            missing.join(", ")
        )))
    }

    /// A task that gets no address waits for ever without a word.
    async fn addresses_are_left(&self, new: &ReleaseBody) -> Result<(), Outcome> {
        for network in &new.external_networks {
            let headroom = self.host.swarm.headroom(network).await?;
            let wanted = u64::try_from(new.services.len()).unwrap_or(u64::MAX);
            if let Some(tight) = headroom.filter(|headroom| headroom.free() < wanted) {
                return Err(Outcome::Blocked(tight.to_string()));
            }
        }
        Ok(())
    }

    /// Whether this process may write where a way back puts data. A snapshot only reads, so nothing else would notice.
    pub(super) async fn putting_back_is_possible(&self, volumes: &BTreeMap<String, Volume>) -> Result<(), Outcome> {
        let new = self.host.known.info(&self.host.swarm).await?.data_root.join("volumes");
        let folders = folders(volumes, &new).into_iter();
        let wrong: Vec<String> = folders
            .filter_map(|folder| Some(format!("{} ({})", folder.display(), volumes::may_write(folder).err()?)))
            .collect();
        if wrong.is_empty() { Ok(()) } else { Err(Outcome::Blocked(unwritable(&wrong))) }
    }

    /// Whether the data can be stored, kept twice, and brought back faithfully.
    pub(super) fn storing_is_possible(&self, volumes: &BTreeMap<String, Volume>) -> Result<(), Outcome> {
        let mut wrong = Vec::new();
        wrong.extend(
            gnu_tar::self_test(self.dir.path()).err().map(|cause| format!("snapshots cannot be made here: {cause:#}")),
        );
        for (name, data) in stored(volumes) {
            for strange in volumes::find_unfaithful(data)? {
                wrong.push(format!(
                    "volume {name} holds what cannot be brought back faithfully: {strange}; remove that, or name the \
                     volume in snapshot.exclude"
                ));
            }
        }
        let (needs, free) = self.room_to_store(volumes)?;
        wrong.extend(too_little(&needs, &free));
        if wrong.is_empty() { Ok(()) } else { Err(Outcome::Blocked(wrong.join("; "))) }
    }

    /// What a snapshot, its stage and the data that may fail take, and what is free where they come.
    fn room_to_store(&self, volumes: &BTreeMap<String, Volume>) -> Result<(Needs, Vec<(String, Free)>), Outcome> {
        let (mut sizes, mut free) = (Vec::new(), Vec::new());
        for (name, data) in stored(volumes) {
            let here = volumes::free(data)?;
            let (size, _sockets) = volumes::measure(data)?;
            sizes.push((here.file_system, size));
            free.push((format!("volume {name}"), here));
        }
        let archives = volumes::free(self.host.store.dir())?;
        free.push((format!("the state directory {}", self.host.store.dir().display()), archives.clone()));
        Ok((Needs::of_volumes(archives.file_system, sizes), free))
    }

    /// How many bytes have to stay free where Docker keeps images, for all that comes after they are fetched.
    ///
    /// # Errors
    /// `Blocked` where not even that is free, or the data cannot be stored or put back at all: then nothing is fetched.
    pub(super) async fn room_beside_images(&self, old: &Desired, new: &ReleaseBody) -> Result<u64, Outcome> {
        if self.reconciler.is_stateless() {
            return Ok(0);
        }
        let volumes = self.volumes(old, new).await?;
        self.putting_back_is_possible(&volumes).await?;
        let (needs, free) = self.room_to_store(&volumes)?;
        let wrong = too_little(&needs, &free);
        if !wrong.is_empty() {
            return Err(Outcome::Blocked(wrong.join("; ")));
        }
        // An Engine that keeps its images where nobody here can look is not judged.
        let docker = volumes::free(&self.host.known.info(&self.host.swarm).await?.data_root).ok();
        Ok(docker.map_or(0, |docker| needs.bytes_on(docker.file_system)))
    }
}

impl Run<'_> {
    /// Whether what a snapshot holds fits beside the volumes. Unpacked until a disk is full, it would take the last room
    /// from everything that runs there.
    pub(super) fn unpacking_is_possible(
        &self,
        volumes: &BTreeMap<String, Volume>,
        stored: &Manifest,
    ) -> Result<(), Outcome> {
        let (mut needs, mut free) = (Needs::default(), Vec::new());
        for (name, archived) in &stored.volumes {
            let Some(volume) = volumes.get(name).filter(|volume| !volume.left_out) else { continue };
            let Some(data) = volume.mountpoint.as_deref() else { continue };
            let here = volumes::free(data)?;
            needs.add(here.file_system, archived.content.room());
            free.push((format!("volume {name}"), here));
        }
        let wrong = too_little(&needs, &free);
        if wrong.is_empty() { Ok(()) } else { Err(Outcome::Blocked(wrong.join("; "))) }
    }
}

/// The spec of a service that is changed and lives on.
fn updated(change: &Change) -> Option<&Value> {
    match &change.act {
        Act::UpdateService { spec, .. } => Some(spec),
        _ => None,
    }
}

/// A service of which Swarm makes an update, or takes one back. What is paused never goes on by itself.
fn under_way(observed: &Observed) -> Option<&str> {
    let moves = |service: &&Service| {
        let state = service.update.as_ref().map(|update| &update.state);
        matches!(state, Some(UpdateState::Updating | UpdateState::RollbackStarted))
    };
    observed.services.values().find(moves).map(|service| service.name.as_str())
}

fn specs<'a>(old: &'a Desired, new: &'a ReleaseBody) -> Vec<&'a Value> {
    old.services.iter().map(|service| &service.spec).chain(new.services.values()).collect()
}

/// The volumes that a snapshot has, each with its folder.
fn stored(volumes: &BTreeMap<String, Volume>) -> impl Iterator<Item = (&String, &Path)> {
    let kept = volumes.iter().filter(|(_, volume)| !volume.left_out);
    kept.filter_map(|(name, volume)| Some((name, volume.mountpoint.as_deref()?)))
}

/// The folders in which a way back makes and renames. A volume that is not there yet comes into `new`, and is moved aside
/// there.
fn folders<'a>(volumes: &'a BTreeMap<String, Volume>, new: &'a Path) -> BTreeSet<&'a Path> {
    let kept = volumes.values().filter(|volume| !volume.left_out);
    kept.map(|volume| volume.mountpoint.as_deref().and_then(Path::parent).unwrap_or(new)).collect()
}

fn unwritable(folders: &[String]) -> String {
    format!(
        "the app's data could not be put back, since this run may not write in {}: a unit writes only below what its \
         ReadWritePaths= names, so name Docker's data root there (services.evenkeel.dockerDataRoot); mount a read-only disk \
         writable again; by hand, run it as root",
        folders.join(", ")
    )
}

/// A sentence for each file system on which archives, stages and what may fail would not fit.
fn too_little(needs: &Needs, free: &[(String, Free)]) -> Vec<String> {
    let looked: Vec<Free> = free.iter().map(|(_, free)| free.clone()).collect();
    let place = |file_system: u64| {
        let names = free.iter().filter(|(_, free)| free.file_system == file_system).map(|(name, _)| name.as_str());
        names.collect::<Vec<_>>().join(", ")
    };
    let short = volumes::shortfalls(needs, &looked).into_iter();
    short
        .map(|short| {
            format!(
                "there is too little room for a snapshot and the way back: {short}, where {} lies; make room (old images: \
                 evenkeel prune), or name a volume in snapshot.exclude",
                place(short.file_system)
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::observed::UpdateStatus;

    #[test]
    fn a_way_back_writes_beside_the_data_of_each_volume_and_where_new_ones_come() {
        let volume = |mountpoint: Option<&str>, left_out| Volume { mountpoint: mountpoint.map(Into::into), left_out };
        let root = Path::new("/docker/volumes");
        let of = |list: &[(&str, Volume)]| {
            let volumes = list.iter().map(|(name, volume)| ((*name).to_owned(), volume.clone())).collect();
            folders(&volumes, root).into_iter().map(Path::to_owned).collect::<Vec<_>>()
        };
        let here = ("wiki_data", volume(Some("/docker/volumes/wiki_data/_data"), false));
        let out = ("wiki_cache", volume(Some("/docker/volumes/wiki_cache/_data"), true));
        assert_eq!(of(&[here.clone(), out]), [root.join("wiki_data")]);
        assert_eq!(of(&[here, ("wiki_new", volume(None, false))]), [root.to_owned(), root.join("wiki_data")]);
        assert!(of(&[("wiki_new", volume(None, true))]).is_empty());
    }

    #[test]
    fn only_what_swarm_will_end_by_itself_is_waited_for() {
        let service = |name: &str, state: Option<UpdateState>| {
            let update = state.map(|state| UpdateStatus { state, message: String::new() });
            let service = Service {
                id: String::new(),
                name: name.into(),
                index: 1,
                spec: Value::Null,
                previous_spec: None,
                update,
                endpoint_ports: Vec::new(),
            };
            (name.to_owned(), service)
        };
        let of = |state| {
            let services = BTreeMap::from([service("a", None), service("b", Some(state))]);
            under_way(&Observed { services, ..Observed::default() }).map(str::to_owned)
        };
        for moves in [UpdateState::Updating, UpdateState::RollbackStarted] {
            assert_eq!(of(moves).as_deref(), Some("b"));
        }
        use UpdateState::{Completed, Paused, RollbackCompleted, RollbackPaused};
        for rests in [Completed, Paused, RollbackCompleted, RollbackPaused] {
            assert_eq!(of(rests.clone()), None, "{rests:?}");
        }
    }
}
