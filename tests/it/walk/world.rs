//! The simulated host: services, containers, volumes, snapshots, and what befalls them.
//!
//! Every primitive is a moment at which something may happen. The ghost (what is known to be good) is kept beside and
//! is read by the laws alone.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use evenkeel::model::state::State;
use evenkeel::model::transaction::{Step, Transaction};
use evenkeel::upgrade::step::Side;

use super::disk::{Content, Data, Disk, Inode, Name, Place, Tx};
use super::history::{Event, Scenario};
use super::laws::{Law, Violation};
use super::mutants::Mutant;
use crate::chance::Chance;

/// This transaction.
pub const TX: Tx = 1;
pub const EARLIER: Tx = 0;
pub const BEGAN: i64 = 1_800_000_000;
pub const WITHIN: i64 = 600;
const HOUR: i64 = 3600;

pub const SERVICES: [&str; 2] = ["cron", "web"];
/// A global service is removed by a stop; the others are scaled down.
pub const CRON: usize = 0;

#[derive(Debug, Clone)]
pub struct Service {
    pub side: Side,
    pub replicas: u32,
    pub index: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    Running,
    Stopping,
}

#[derive(Debug, Clone)]
pub struct Container {
    pub id: u32,
    pub service: usize,
    pub side: Side,
    pub life: Life,
    pub mounts: Vec<(u8, Inode)>,
}

/// Why a primitive did not do its work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cut {
    Dead,
    Engine,
    Disk,
    /// The folder could not be synced.
    Doubt,
    Asked,
    No(&'static str),
}

#[derive(Debug, Clone)]
pub struct World {
    pub scenario: Scenario,
    pub mutant: Option<Mutant>,
    pub disk: Disk,
    pub services: BTreeMap<usize, Service>,
    pub containers: Vec<Container>,
    /// Somebody's container holds the volumes.
    pub stranger: bool,
    /// He came before anything was stored.
    came_before: bool,
    pub clock: i64,
    pub tick: u32,
    events: Vec<(u32, Event)>,
    pub happened: Vec<Event>,
    next_id: u32,
    indexes: u64,

    pub is_dead: bool,
    /// The last run was killed.
    pub was_killed: bool,
    power_lost: Option<u64>,
    pub is_asked: bool,
    says_no: bool,
    pub is_unclean: bool,
    engine_down_until: i64,
    disk_bad_until: i64,
    disk_full: bool,
    sync_fails: bool,
    /// The act at hand lets a later proof see what somebody does now.
    pub is_open_to_others: bool,
    pub is_storing: bool,
    /// What was stored is whole, and still to be proved.
    pub is_read_back: bool,
    pub is_judging: bool,
    /// Each state that is written is read back as JSON.
    pub reads_back: bool,

    pub ghost: Ghost,
    pub wrong: Option<Violation>,
}

/// What nobody in the walked code sees.
#[derive(Debug, Clone, Default)]
pub struct Ghost {
    /// The old release's data as it stands or should stand again, by volume.
    pub good: Vec<Data>,
    /// What the other release wrote last.
    pub bad: BTreeMap<u8, Data>,
    pub stored: Vec<Data>,
    pub is_damaged: bool,
    pub was_begun: bool,
    pub new_passed: bool,
    pub old_passed: bool,
    pub noes: Vec<No>,
    /// Since when a container of the release that was asked for has run.
    pub asked_since: Option<i64>,
    /// Steps at which a run was killed, and whether that was found late.
    pub crashes: Vec<(Step, bool)>,
}

#[derive(Debug, Clone, Copy)]
pub struct No {
    pub step: Step,
    pub is_late: bool,
    /// For how many seconds people may have been writing to what was asked for.
    pub written_for: i64,
    /// While a way back by hand was being undone.
    pub has_turned: bool,
}

impl World {
    pub fn new(scenario: Scenario, mutant: Option<Mutant>, events: &[(u32, Event)]) -> Self {
        let mut world = Self {
            scenario,
            mutant,
            disk: Disk::default(),
            services: BTreeMap::new(),
            containers: Vec::new(),
            stranger: false,
            came_before: false,
            reads_back: false,
            clock: BEGAN,
            tick: 0,
            events: events.iter().rev().copied().collect(),
            happened: Vec::new(),
            next_id: 0,
            indexes: 10,
            is_dead: false,
            was_killed: false,
            power_lost: None,
            is_asked: false,
            says_no: false,
            is_unclean: false,
            engine_down_until: 0,
            disk_bad_until: 0,
            disk_full: false,
            sync_fails: false,
            is_open_to_others: false,
            is_storing: false,
            is_read_back: false,
            is_judging: false,
            ghost: Ghost::default(),
            wrong: None,
        };
        world.furnish();
        world
    }

    fn furnish(&mut self) {
        let old = Data { side: Side::Old, writes: 1, unclean: false, mixed: false };
        let new = Data { side: Side::New, writes: 1, unclean: false, mixed: false };
        let is_way_back = self.scenario.purpose.is_way_back();
        for volume in 0..self.scenario.volumes {
            self.ghost.good.push(old);
            let runs_on = if is_way_back { new } else { old };
            if is_way_back {
                self.ghost.bad.insert(volume, new);
            }
            self.lay(Place::Volume(volume), Name::Data, Content::Tree(runs_on));
            if self.scenario.failed_before {
                self.lay(Place::Volume(volume), Name::Failed(EARLIER), Content::Tree(new));
            }
        }
        if is_way_back {
            if self.scenario.created {
                self.ghost.bad.insert(self.scenario.volumes, new);
                self.lay(Place::Volume(self.scenario.volumes), Name::Data, Content::Tree(new));
            }
            let manifest: Vec<(u8, Data)> = (0..self.scenario.volumes).map(|volume| (volume, old)).collect();
            self.lay(Place::Snapshots, Name::Snapshot(EARLIER), Content::Folder);
            for (volume, data) in &manifest {
                self.lay(Place::Snapshot(EARLIER), Name::Archive(*volume), Content::Archive(*data));
            }
            self.lay(Place::Snapshot(EARLIER), Name::Manifest, Content::Manifest(manifest));
        }
        let state = Rc::new(super::host::state_before(&self.scenario));
        self.lay(Place::App, Name::State, Content::Journal(state));
        let side = if is_way_back { Side::New } else { Side::Old };
        for service in 0..SERVICES.len() {
            self.write_service(service, side, 1);
            self.start(service);
        }
    }

    fn lay(&mut self, place: Place, name: Name, content: Content) {
        let inode = self.disk.make(place, name, content);
        self.disk.sync(inode);
        self.disk.sync_folder(place);
    }

    pub fn has(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    pub fn broken(&mut self, law: Law, text: impl Into<String>) {
        if self.wrong.is_none() {
            self.wrong = Some(Violation { law, tick: self.tick, text: text.into() });
        }
    }

    // Primitives.

    /// A moment: what befalls the host now does.
    pub fn moment(&mut self) -> Result<(), Cut> {
        if self.is_dead {
            return Err(Cut::Dead);
        }
        self.tick += 1;
        self.clock += 1;
        while let Some((_, event)) = self.events.pop_if(|(at, _)| *at <= self.tick) {
            self.befall(event);
        }
        super::laws::at_every_moment(self);
        if self.is_dead || self.wrong.is_some() {
            self.is_dead = true;
            return Err(Cut::Dead);
        }
        Ok(())
    }

    /// Before a word with the Engine.
    pub fn engine(&mut self) -> Result<(), Cut> {
        self.moment()?;
        if self.is_asked {
            return Err(Cut::Asked);
        }
        if self.clock < self.engine_down_until { Err(Cut::Engine) } else { Ok(()) }
    }

    /// Before something is written to a disk.
    pub fn disk_write(&mut self) -> Result<(), Cut> {
        self.moment()?;
        if self.clock < self.disk_bad_until || std::mem::take(&mut self.disk_full) {
            return Err(Cut::Disk);
        }
        Ok(())
    }

    pub fn sync_folder(&mut self, place: Place) -> Result<(), Cut> {
        self.moment()?;
        if std::mem::take(&mut self.sync_fails) {
            return Err(Cut::Doubt);
        }
        self.disk.sync_folder(place);
        Ok(())
    }

    /// The app's answer, where it is asked for one.
    pub fn answer(&mut self) -> Result<(), Cut> {
        self.moment()?;
        if std::mem::take(&mut self.says_no) { Err(Cut::No("the app says no")) } else { Ok(()) }
    }

    fn befall(&mut self, event: Event) {
        self.was_killed |= event.is_kill();
        let counts = match event {
            Event::Kill | Event::KillAndSleep => {
                self.is_dead = true;
                if event == Event::KillAndSleep {
                    self.clock += 2 * HOUR;
                }
                true
            }
            Event::PowerLoss(seed) => {
                self.is_dead = true;
                self.power_lost = Some(u64::from(seed));
                true
            }
            Event::No => !std::mem::replace(&mut self.says_no, true),
            Event::EngineAway => {
                self.engine_down_until = self.clock + 360;
                true
            }
            Event::EngineDown => {
                self.engine_down_until = self.clock + 2400;
                true
            }
            Event::EngineRestarts => {
                self.restart_containers(false);
                self.engine_down_until = self.clock + 30;
                true
            }
            Event::DiskFull => !std::mem::replace(&mut self.disk_full, true),
            Event::DiskBad => {
                self.disk_bad_until = self.clock + 2400;
                true
            }
            Event::SyncFails => !std::mem::replace(&mut self.sync_fails, true),
            Event::Asked => !std::mem::replace(&mut self.is_asked, true),
            Event::Unclean => !std::mem::replace(&mut self.is_unclean, true),
            Event::Stranger => self.stranger_comes_or_goes(),
            Event::RunByHand => self.is_open_to_others && self.run_by_hand(),
            Event::Late => {
                self.clock += 2 * HOUR;
                true
            }
            Event::Damage => self.damage(),
        };
        if counts {
            self.happened.push(event);
        }
    }

    /// A bit of the first archive flips: while it is being written, or long after it was read back.
    fn damage(&mut self) -> bool {
        let tx = if self.scenario.purpose.is_way_back() { EARLIER } else { TX };
        if !(self.is_storing || self.is_judging || self.scenario.purpose.is_way_back()) {
            return false;
        }
        let Some(inode) = self.disk.find(Place::Snapshot(tx), Name::Archive(0)) else { return false };
        self.disk.fill_and_sync(inode, Content::Torn);
        self.ghost.is_damaged |= !self.is_storing || self.is_read_back;
        true
    }

    /// Who comes while a volume is stored stays until the proof after it: whoever wrote meanwhile is noticed by `tar`.
    fn stranger_comes_or_goes(&mut self) -> bool {
        if self.stranger {
            self.stranger = !self.came_before;
            return self.came_before;
        }
        self.stranger = self.is_open_to_others;
        self.came_before = !self.is_storing;
        self.stranger
    }

    /// Somebody scales the stopped stack up and down again.
    fn run_by_hand(&mut self) -> bool {
        let Some(service) = self.services.get(&1).filter(|service| service.replicas == 0) else { return false };
        let side = service.side;
        if !self.containers.is_empty() {
            return false;
        }
        self.write_service(1, side, 0);
        for volume in 0..self.scenario.volumes {
            let Some(inode) = self.disk.find(Place::Volume(volume), Name::Data) else { continue };
            let is_others = self.disk.data(Place::Volume(volume), Name::Data).is_some_and(|data| data.side != side);
            if is_others && self.is_way_back() {
                // What is written to the unpacked data is none that would be missed. The older release started by hand on
                // the newer one's data would harm that, and nobody could undo it.
                if side == Side::New {
                    self.disk
                        .fill_and_sync(inode, Content::Tree(Data { side, writes: 0, unclean: false, mixed: false }));
                }
                continue;
            }
            self.write_data(volume, inode, side, false);
        }
        true
    }

    // Services and containers.

    pub fn write_service(&mut self, service: usize, side: Side, replicas: u32) {
        self.disk.changes += 1;
        self.indexes += 1;
        self.services.insert(service, Service { side, replicas, index: self.indexes });
    }

    /// Volumes that a release mounts.
    pub fn volumes_of(&self, side: Side) -> Vec<u8> {
        let created = (side == Side::New && self.scenario.created).then_some(self.scenario.volumes);
        (0..self.scenario.volumes).chain(created).collect()
    }

    /// Swarm starts what a service says.
    pub fn start(&mut self, service: usize) {
        let side = self.services[&service].side;
        let mut mounts = Vec::new();
        for volume in self.volumes_of(side) {
            let place = Place::Volume(volume);
            if self.disk.find(place, Name::Data).is_none() {
                if volume < self.scenario.volumes {
                    self.broken(Law::OldData, format!("a container starts where volume {volume} has no data"));
                }
                self.lay(place, Name::Data, Content::Empty);
            }
            let inode = self.disk.find(place, Name::Data).expect("it was made");
            mounts.push((volume, inode));
        }
        self.next_id += 1;
        let container = Container { id: self.next_id, service, side, life: Life::Running, mounts };
        super::laws::at_start(self, &container);
        let asked_for = if self.is_way_back() { Side::Old } else { Side::New };
        if side == asked_for {
            self.ghost.asked_since.get_or_insert(self.clock);
        }
        for (volume, inode) in container.mounts.clone() {
            self.write_data(volume, inode, side, false);
        }
        self.containers.push(container);
    }

    fn write_data(&mut self, volume: u8, inode: Inode, side: Side, unclean: bool) {
        let data = match side {
            Side::Old => {
                let good = &mut self.ghost.good[usize::from(volume)];
                *good = Data { side, writes: good.writes + 1, unclean, mixed: false };
                *good
            }
            Side::New | Side::Before => {
                let writes = self.ghost.bad.get(&volume).map_or(100, |bad| bad.writes) + 1;
                let data = Data { side, writes, unclean, mixed: false };
                self.ghost.bad.insert(volume, data);
                data
            }
        };
        self.disk.fill_and_sync(inode, Content::Tree(data));
    }

    /// What runs writes.
    pub fn work(&mut self) {
        for container in self.containers.clone() {
            for (volume, inode) in container.mounts {
                self.write_data(volume, inode, container.side, false);
            }
        }
    }

    /// The container has ended; it writes to the last.
    pub fn end(&mut self, at: usize, is_clean: bool) {
        let container = self.containers.remove(at);
        for (volume, inode) in container.mounts {
            self.write_data(volume, inode, container.side, !is_clean);
        }
    }

    /// All containers are gone at once, and Swarm starts again what is meant to run.
    fn restart_containers(&mut self, with_strangers: bool) {
        while !self.containers.is_empty() {
            self.end(0, false);
        }
        self.stranger &= !with_strangers;
        let meant: Vec<usize> =
            self.services.iter().filter(|(_, service)| service.replicas > 0).map(|(name, _)| *name).collect();
        for service in meant {
            self.start(service);
        }
    }

    pub fn is_held(&self) -> bool {
        self.stranger || !self.containers.is_empty()
    }

    pub fn indexes(&self) -> BTreeMap<String, u64> {
        self.services.iter().map(|(name, service)| (SERVICES[*name].to_owned(), service.index)).collect()
    }

    pub fn runs(&self, side: Side) -> bool {
        (0..SERVICES.len()).all(|name| {
            let is_meant =
                self.services.get(&name).is_some_and(|service| service.side == side && service.replicas == 1);
            let is_alive = |one: &Container| one.service == name && one.side == side && one.life == Life::Running;
            is_meant && self.containers.iter().any(is_alive)
        })
    }

    // Between runs.

    /// A later run begins: what was in memory is gone.
    pub fn wake(&mut self) {
        if let Some(seed) = self.power_lost.take() {
            while !self.containers.is_empty() {
                self.end(0, false);
            }
            self.disk.lose_power(&mut Chance(seed));
            self.restart_containers(true);
        }
        self.is_dead = false;
        self.is_asked = false;
        self.says_no = false;
        self.is_open_to_others = false;
        self.is_storing = false;
        self.is_read_back = false;
        self.is_judging = false;
        self.clock += 120;
    }

    /// The state as a run would read it now.
    pub fn journal(&self) -> Option<Rc<State>> {
        match self.disk.read(Place::App, Name::State)? {
            Content::Journal(state) => Some(state.clone()),
            _ => None,
        }
    }

    /// Every state that a run could read after a power loss; `None` for what it could not.
    pub fn possible_journals(&self) -> Vec<Option<Rc<State>>> {
        let read = |inode: Option<Inode>| match self.disk.kept(inode?) {
            Content::Journal(state) => Some(state.clone()),
            _ => None,
        };
        self.disk.outcomes(Place::App, Name::State).into_iter().map(read).collect()
    }

    pub fn is_late(&self, deployed: i64) -> bool {
        let has_data = self.scenario.volumes > 0 || self.scenario.created;
        has_data && !self.scenario.late_rollback && self.clock - deployed > WITHIN + 900
    }

    pub fn said_no(&mut self, transaction: &Transaction) {
        let deployed = self.journal().and_then(|state| state.open.as_ref()?.deployed);
        let is_late = deployed.is_some_and(|deployed| self.is_late(deployed.as_second()));
        let written_for = self.ghost.asked_since.map_or(0, |since| self.clock - since);
        let has_turned = transaction.has_turned();
        self.ghost.noes.push(No { step: transaction.step, is_late, written_for, has_turned });
    }

    pub fn volumes_in_all(&self) -> BTreeSet<u8> {
        let created = self.scenario.created.then_some(self.scenario.volumes);
        (0..self.scenario.volumes).chain(created).collect()
    }

    pub fn is_way_back(&self) -> bool {
        self.scenario.purpose.is_way_back()
    }
}
