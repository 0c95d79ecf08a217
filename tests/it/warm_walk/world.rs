//! The simulated host of one canonical: what lies on its disks, what runs, and what befalls it at which moment.

use std::collections::{BTreeMap, BTreeSet};

use evenkeel::model::state::State;
use evenkeel::model::warm::{Left, Purpose, Status, Warm, Work};

use super::laws::{self, Law};
use super::mutants::Mutant;

pub type Inode = u32;

/// What is in a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Data {
    /// The work that began it on an empty volume; 0: nobody, or somebody who should not have.
    pub lineage: u32,
    /// Releases that wrote to it, one bit each.
    pub writers: u32,
    /// Volumes that were written together have the same.
    pub epoch: u32,
    /// Its last writer was killed.
    pub unclean: bool,
    /// How often the host went down under its writer.
    pub crashes: u32,
}

#[derive(Debug, Clone, Default)]
pub struct Volume {
    pub inode: Inode,
    pub data: Data,
    pub stage: Option<(Inode, Data)>,
}

#[derive(Debug, Clone, Copy)]
pub struct Service {
    pub release: u8,
    pub is_meant: bool,
    /// Nobody has written it since it was left.
    pub is_left: bool,
}

#[derive(Debug, Clone)]
pub struct Container {
    pub id: u32,
    pub release: u8,
    pub volumes: BTreeSet<String>,
}

#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    pub archives: BTreeMap<String, Data>,
    pub manifest: Option<BTreeMap<String, Data>>,
    /// A bit of it is another: no look tells, reading it does.
    pub flipped: bool,
}

impl Snapshot {
    pub fn looks_whole(&self) -> bool {
        self.manifest.as_ref().is_some_and(|manifest| manifest.keys().eq(self.archives.keys()))
    }

    pub fn is_whole(&self) -> bool {
        !self.flipped && self.manifest.as_ref() == Some(&self.archives)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    Kill,
    PowerLoss,
    EngineAway,
    EngineDown,
    DiskFull,
    DiskBad,
    Asked,
    Unclean,
    /// A container of somebody else holds the volumes for a while.
    Holder,
}

impl Event {
    pub const ALL: [Event; 9] = [
        Event::Kill,
        Event::PowerLoss,
        Event::EngineAway,
        Event::EngineDown,
        Event::DiskFull,
        Event::DiskBad,
        Event::Asked,
        Event::Unclean,
        Event::Holder,
    ];
}

/// Done by somebody's hand, between two runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hand {
    LoseVolume,
    /// Removed, and made again under the same name.
    ReplaceVolume,
    Prune,
    LoseSnapshot,
    FlipSnapshot,
    Start,
    /// Started, and stopped again.
    StartAndStop,
    RemoveStack,
    /// Raises indexes, of which nobody is the author.
    RestartEngine,
    PowerLoss,
    /// The releases that come have other volumes.
    Config,
}

impl Hand {
    pub const ALL: [Hand; 11] = [
        Hand::LoseVolume,
        Hand::ReplaceVolume,
        Hand::Prune,
        Hand::LoseSnapshot,
        Hand::FlipSnapshot,
        Hand::Start,
        Hand::StartAndStop,
        Hand::RemoveStack,
        Hand::RestartEngine,
        Hand::PowerLoss,
        Hand::Config,
    ];
}

/// Why an act ends early.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cut {
    Dead,
    Engine,
    Disk,
    Asked,
    No(&'static str),
}

/// The known-good, as those who look from outside know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    pub release: u8,
    pub lineage: u32,
    pub stored: BTreeMap<String, Data>,
    /// Somebody removed or damaged its snapshot.
    pub is_hurt: bool,
}

pub struct World {
    pub mutant: Option<Mutant>,
    /// To come, the latest first.
    pub events: Vec<(u32, Event)>,
    pub tick: u32,
    pub clock: i64,
    pub journal: State,
    pub writes: u32,
    pub volumes: BTreeMap<String, Volume>,
    pub service: Option<Service>,
    pub index: u64,
    pub container: Option<Container>,
    pub boot: u32,
    pub snapshots: BTreeMap<String, Snapshot>,
    /// How many volumes each release has.
    pub releases: Vec<u8>,
    pub volumes_of_next: u8,
    /// Verdicts that will be No.
    pub noes: u32,
    pub next: u32,
    pub is_dead: bool,
    pub is_asked: bool,
    /// It takes the volumes where somebody looks next: between a look and what follows nobody is guarded.
    pub holder_comes: bool,
    pub is_held: bool,
    pub is_unclean: bool,
    pub engine_away_until: i64,
    pub disk_bad_until: i64,
    pub disk_full: bool,
    /// Something befell the run.
    pub befell: bool,
    pub known: Option<Known>,
    /// The work whose verdict was good.
    pub passed: Option<u32>,
    /// The run before was the reconciler too, and nothing was done by hand since.
    pub settled_before: bool,
    /// Somebody did something to it since it was called idle.
    pub is_touched: bool,
    pub wrong: Option<(Law, String)>,
}

impl World {
    pub fn new(mutant: Option<Mutant>) -> Self {
        Self {
            mutant,
            events: vec![],
            tick: 0,
            clock: 1_800_000_000,
            journal: State::new(&"wiki".parse().unwrap()),
            writes: 0,
            volumes: BTreeMap::new(),
            service: None,
            index: 0,
            container: None,
            boot: 1,
            snapshots: BTreeMap::new(),
            releases: vec![0],
            volumes_of_next: 2,
            noes: 0,
            next: 1,
            is_dead: false,
            is_asked: false,
            holder_comes: false,
            is_held: false,
            is_unclean: false,
            engine_away_until: 0,
            disk_bad_until: 0,
            disk_full: false,
            befell: false,
            known: None,
            passed: None,
            settled_before: false,
            is_touched: false,
            wrong: None,
        }
    }

    pub fn has(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    pub fn broken(&mut self, law: Law, text: impl Into<String>) {
        let text = text.into();
        self.wrong.get_or_insert((law, text));
    }

    pub fn number(&mut self) -> u32 {
        self.next += 1;
        self.next
    }

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
        laws::at_every_moment(self);
        self.is_dead |= self.wrong.is_some();
        if self.is_dead { Err(Cut::Dead) } else { Ok(()) }
    }

    pub fn engine(&mut self) -> Result<(), Cut> {
        self.moment()?;
        match () {
            () if self.is_asked => Err(Cut::Asked),
            () if self.clock < self.engine_away_until => Err(Cut::Engine),
            () => Ok(()),
        }
    }

    pub fn disk(&mut self) -> Result<(), Cut> {
        self.moment()?;
        let is_full = std::mem::take(&mut self.disk_full);
        if is_full || self.clock < self.disk_bad_until { Err(Cut::Disk) } else { Ok(()) }
    }

    fn befall(&mut self, event: Event) {
        self.befell = true;
        match event {
            Event::Kill => self.is_dead = true,
            Event::PowerLoss => {
                self.is_dead = true;
                self.lose_power();
            }
            Event::EngineAway => self.engine_away_until = self.clock + 300,
            Event::EngineDown => self.engine_away_until = self.clock + 2400,
            Event::DiskFull => self.disk_full = true,
            Event::DiskBad => self.disk_bad_until = self.clock + 2400,
            Event::Asked => self.is_asked = true,
            Event::Unclean => self.is_unclean = true,
            Event::Holder => self.holder_comes = true,
        }
    }

    /// What is not sealed is lost, and Swarm starts again what is meant to run.
    fn lose_power(&mut self) {
        self.boot += 1;
        for name in self.container.iter().flat_map(|container| &container.volumes) {
            self.volumes.entry(name.clone()).and_modify(|volume| volume.data.crashes += 1);
        }
        self.end(false);
        self.snapshots.retain(|_, snapshot| snapshot.manifest.is_some());
        if self.service.is_some_and(|service| service.is_meant) {
            self.start();
        }
    }

    pub fn by_hand(&mut self, hand: Hand, chance: u32) {
        self.settled_before = false;
        self.is_touched |= hand != Hand::RestartEngine;
        let used = self.container.as_ref().map(|container| container.volumes.clone()).unwrap_or_default();
        let unused: Vec<String> = self.volumes.keys().filter(|name| !used.contains(*name)).cloned().collect();
        let one = (!unused.is_empty()).then(|| unused[chance as usize % unused.len().max(1)].clone());
        let known = self.journal.current.as_ref().and_then(|current| current.snapshot.clone());
        match hand {
            Hand::LoseVolume => self.volumes.retain(|name, _| Some(name) != one.as_ref()),
            Hand::ReplaceVolume => {
                if let Some(name) = one {
                    self.volumes.remove(&name);
                    self.create(&name);
                }
            }
            Hand::Prune => self.volumes.retain(|name, _| used.contains(name)),
            Hand::LoseSnapshot => {
                if known.and_then(|id| self.snapshots.remove(&id)).is_some() {
                    self.hurt();
                }
            }
            Hand::FlipSnapshot => {
                if let Some(snapshot) = known.and_then(|id| self.snapshots.get_mut(&id)) {
                    snapshot.flipped = true;
                    self.hurt();
                }
            }
            Hand::Start => {
                if let Some(service) = self.service.as_mut().filter(|service| !service.is_meant) {
                    (service.is_meant, service.is_left) = (true, false);
                    self.index += 1;
                    self.start();
                }
            }
            Hand::StartAndStop => {
                if let Some(service) = self.service.as_mut().filter(|service| !service.is_meant)
                    && self.container.is_none()
                {
                    service.is_left = false;
                    self.index += 2;
                    self.start();
                    self.end(true);
                }
            }
            Hand::RemoveStack => {
                self.end(true);
                self.service = None;
            }
            Hand::RestartEngine => self.index += 1,
            Hand::PowerLoss => self.lose_power(),
            Hand::Config => self.volumes_of_next = 1 + self.volumes_of_next % 3,
        }
    }

    fn hurt(&mut self) {
        self.known.iter_mut().for_each(|known| known.is_hurt = true);
    }

    pub fn create(&mut self, name: &str) {
        let inode = self.number();
        self.volumes.insert(name.to_owned(), Volume { inode, ..Volume::default() });
    }

    pub fn volumes_of(&self, release: u8) -> BTreeSet<String> {
        (0..self.releases[usize::from(release)]).map(|volume| format!("v{volume}")).collect()
    }

    /// A container of what the service says; it writes at once.
    pub fn start(&mut self) {
        let Some(service) = self.service else { return };
        let volumes = self.volumes_of(service.release);
        for name in &volumes {
            if !self.volumes.contains_key(name) {
                self.create(name);
            }
        }
        let id = self.number();
        self.container = Some(Container { id, release: service.release, volumes });
        self.write(false);
    }

    /// What runs writes to all that it has.
    pub fn write(&mut self, unclean: bool) {
        let Some(container) = self.container.clone() else { return };
        let epoch = self.number();
        let fresh =
            self.work().filter(|work| work.purpose.makes_known_good()).map(|work| number_of(&work.transaction.id));
        for name in &container.volumes {
            let Some(volume) = self.volumes.get_mut(name) else { continue };
            let is_fresh = volume.data.writers == 0;
            let lineage = if is_fresh { fresh.unwrap_or(0) } else { volume.data.lineage };
            let writers = volume.data.writers | (1 << container.release);
            volume.data = Data { lineage, writers, epoch, unclean, ..volume.data };
        }
    }

    pub fn end(&mut self, is_clean: bool) {
        self.write(!is_clean);
        self.container = None;
    }

    /// What its volumes are known by.
    pub fn marks(&self) -> BTreeMap<String, Left> {
        let mark = |volume: &Volume| Left { inode: volume.inode.into(), born: None };
        self.volumes.iter().map(|(name, volume)| (name.clone(), mark(volume))).collect()
    }

    pub fn indexes(&self) -> BTreeMap<String, u64> {
        self.service.iter().map(|_| ("app".to_owned(), self.index)).collect()
    }

    /// The indexes as far as anybody has written.
    pub fn written(&self, warm: &Warm) -> BTreeMap<String, u64> {
        let is_left = self.service.is_some_and(|service| service.is_left);
        if is_left && !warm.indexes.is_empty() { warm.indexes.clone() } else { self.indexes() }
    }

    pub fn runs(&self) -> bool {
        self.container.is_some() || self.service.is_some_and(|service| service.is_meant)
    }

    pub fn work(&self) -> Option<&Work> {
        self.journal.warm.as_ref()?.work.as_deref()
    }

    pub fn status(&self) -> Option<Status> {
        self.journal.warm.as_ref().map(|warm| warm.status)
    }

    pub fn purpose(&self) -> Option<Purpose> {
        self.work().map(|work| work.purpose)
    }

    /// The volumes of the known-good are there, and hold its data alone.
    pub fn is_good(&self) -> bool {
        let Some(known) = &self.known else { return false };
        let names = self.volumes_of(known.release);
        let data: Option<Vec<Data>> = names.iter().map(|name| Some(self.volumes.get(name)?.data)).collect();
        let crashes = |data: &[Data]| data.iter().map(|data| data.crashes).collect::<Vec<_>>();
        let stored: Vec<Data> = known.stored.values().copied().collect();
        let is_as_stored = |data: &[Data]| crashes(data) == crashes(&stored);
        data.is_some_and(|data| laws::is_pure(&data, known.release, known.lineage) && is_as_stored(&data))
    }

    pub fn known_snapshot(&self) -> Option<&Snapshot> {
        self.snapshots.get(self.journal.current.as_ref()?.snapshot.as_ref()?)
    }

    /// A later run begins.
    pub fn wake(&mut self) {
        (self.is_dead, self.is_asked, self.is_held, self.is_unclean) = (false, false, false, false);
        (self.disk_full, self.befell, self.holder_comes) = (false, false, false);
        (self.engine_away_until, self.disk_bad_until) = (0, 0);
        self.events.clear();
        self.clock += 3600;
        self.tick = 0;
    }
}

pub fn number_of(id: &str) -> u32 {
    id[1..].parse().expect("a work of the walk")
}
