//! What each act does on the simulated host. The same promises as in `walk::host`, on whose acts a canonical's work is
//! done; what is a canonical's alone (Verify, Clear, Make, Find) is shown for the real host by `engine::warming`.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use anyhow::Result;
use evenkeel::model::state::{Release, ReleaseBody, State};
use evenkeel::model::transaction::{self, Old, Rules, Transaction};
use evenkeel::model::version::Revision;
use evenkeel::model::warm::{Purpose, Step, Work};
use evenkeel::upgrade::run::{Effects, Fact, Failure, Journal, Performed};
use evenkeel::upgrade::step::Act;
use evenkeel::upgrade::volumes::written_since;
use evenkeel::warm::step;
use jiff::Timestamp;

use super::laws;
use super::mutants::Mutant;
use super::world::{Cut, Service, Snapshot, World, number_of};

pub type Shared = Rc<RefCell<World>>;

pub fn release_of(release: &Release) -> u8 {
    release.key.parse().expect("a release of the walk")
}

pub fn release(number: u8) -> Release {
    let version = format!("{number}.0.0+1");
    let revision = Revision { version: Some(version), commit: "0".repeat(40).parse().unwrap() };
    Release { body: ReleaseBody::empty(revision), key: number.to_string(), since: String::new(), snapshot: None }
}

pub struct Begun {
    pub purpose: Purpose,
    pub whole: bool,
    pub release: Release,
    pub snapshot: Option<String>,
}

pub fn work(world: &mut World, begun: Begun) -> Work {
    let now = at(world.clock);
    let transaction = Transaction {
        id: format!("t{}", world.number()),
        purpose: transaction::Purpose::Upgrade,
        by: "alice".into(),
        began: now,
        step: transaction::Step::Deploy,
        step_began: now,
        new: None,
        old: Old { release: begun.release, frozen: Default::default(), gate: ().into() },
        before: None,
        rules: Rules::default(),
        volumes: Default::default(),
        indexes: Default::default(),
        snapshot: begun.snapshot,
        staged: Default::default(),
        set_aside: Default::default(),
        deployed: None,
        fault: None,
        left: None,
    };
    Work {
        purpose: begun.purpose,
        step: step::first(begun.purpose, begun.whole),
        transaction,
        was: world.journal.warm.clone().map(Box::new),
        boot: Some(world.boot.to_string()),
        found: BTreeMap::new(),
        put_back: false,
        no: None,
        refused: false,
        notes: vec![],
    }
}

pub fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// One run: what it keeps in memory is gone when it is killed.
pub struct Host {
    world: Shared,
    /// The container that ran when it was told to end, and whether it was seen to end cleanly.
    told: Option<u32>,
    seen: bool,
}

impl Host {
    pub fn new(world: &Shared) -> Self {
        Self { world: world.clone(), told: None, seen: false }
    }

    fn act(&mut self, act: &Act, transaction: &Transaction) -> Result<Fact, Cut> {
        let world = self.world.clone();
        let world = &mut *world.borrow_mut();
        world.moment()?;
        match act {
            Act::Quiesce => self.quiesce(world)?,
            Act::AwaitEnd { clean } => self.await_end(world, *clean)?,
            Act::Leave => leave(world)?,
            Act::ReadIndexes => {
                world.engine()?;
                return Ok(Fact::Indexes(world.indexes()));
            }
            Act::Prove => prove(world, transaction)?,
            Act::Verify => verify(world, transaction)?,
            Act::Clear { .. } => clear(world)?,
            Act::Make => return make(world, transaction),
            Act::Find => {
                world.engine()?;
                let names = world.volumes_of(release_of(&transaction.old.release));
                return Ok(found(world, |name| names.contains(name)));
            }
            Act::Mark => {
                world.engine()?;
                return Ok(Fact::Marked(world.marks()));
            }
            Act::Deploy(_) => deploy(world, release_of(&transaction.old.release))?,
            Act::Judge(_) => judge(world, transaction)?,
            Act::Unpack(volume) => return unpack(world, volume, transaction),
            Act::Exchange(volume) => exchange(world, volume, transaction)?,
            Act::Archive(volume) => archive(world, volume, &transaction.id)?,
            Act::Seal => seal(world, &transaction.id)?,
            Act::ReadBack => return read_back(world, &transaction.id),
            Act::Note | Act::SeeStandstill | Act::SetAside(_) | Act::GiveBack(_) => {
                unreachable!("no work of a canonical does that: {act:?}")
            }
        }
        world.moment()?;
        Ok(Fact::Nothing)
    }

    fn quiesce(&mut self, world: &mut World) -> Result<(), Cut> {
        world.engine()?;
        let running = world.container.as_ref().map(|container| container.id);
        self.told = self.told.filter(|_| !world.has(Mutant::UnseenEndIsClean)).or(running);
        if let Some(service) = world.service.as_mut().filter(|service| service.is_meant) {
            (service.is_meant, service.is_left) = (false, false);
            world.index += 1;
        }
        world.moment()
    }

    fn await_end(&mut self, world: &mut World, clean: bool) -> Result<(), Cut> {
        world.engine()?;
        if world.container.is_some() && !world.has(Mutant::NothingIsAwaited) {
            let is_clean = !std::mem::take(&mut world.is_unclean);
            world.end(is_clean);
            self.seen = is_clean;
        }
        world.engine()?;
        let is_clean = self.told.is_none() || self.seen || world.has(Mutant::UncleanIsFine);
        if clean && !is_clean { Err(Cut::No("unclean stop")) } else { Ok(()) }
    }
}

fn leave(world: &mut World) -> Result<(), Cut> {
    world.engine()?;
    let marks = !world.has(Mutant::NothingIsLeft);
    if let Some(service) = world.service.as_mut().filter(|service| !service.is_meant) {
        service.is_left = marks;
        world.index += 2;
    }
    world.moment()
}

fn prove(world: &mut World, transaction: &Transaction) -> Result<(), Cut> {
    world.engine()?;
    world.is_held |= std::mem::take(&mut world.holder_comes);
    if world.has(Mutant::ProofSeesNothing) {
        return Ok(());
    }
    if world.is_held || world.container.is_some() {
        return Err(Cut::No("a container holds a volume"));
    }
    match written_since(&transaction.indexes, &world.indexes()) {
        Some(_) => Err(Cut::No("somebody changed the stack")),
        None => Ok(()),
    }
}

fn verify(world: &mut World, transaction: &Transaction) -> Result<(), Cut> {
    world.disk()?;
    let is_whole = named(world, transaction).is_some_and(Snapshot::is_whole);
    if is_whole || world.has(Mutant::NothingIsVerified) { Ok(()) } else { Err(Cut::No("the snapshot is damaged")) }
}

fn named<'a>(world: &'a World, transaction: &Transaction) -> Option<&'a Snapshot> {
    world.snapshots.get(transaction.snapshot.as_ref()?)
}

fn clear(world: &mut World) -> Result<(), Cut> {
    if world.work().is_some_and(|work| work.step == Step::Discard) && world.has(Mutant::NothingIsDiscarded) {
        return Ok(());
    }
    let names: Vec<String> = world.volumes.keys().cloned().collect();
    let kept = usize::from(world.has(Mutant::OneVolumeIsNotCleared));
    for name in &names[kept.min(names.len())..] {
        remove(world, name)?;
    }
    Ok(())
}

fn remove(world: &mut World, name: &str) -> Result<(), Cut> {
    world.engine()?;
    laws::before_loss(world, name);
    world.volumes.remove(name);
    Ok(())
}

fn make(world: &mut World, transaction: &Transaction) -> Result<Fact, Cut> {
    world.disk()?;
    let manifest = named(world, transaction).and_then(|snapshot| snapshot.manifest.clone());
    let stored = manifest.ok_or(Cut::No("the snapshot is damaged"))?;
    let all: Vec<String> = world.volumes.keys().cloned().collect();
    for name in all {
        remove(world, &name)?;
    }
    for name in stored.keys() {
        world.engine()?;
        world.create(name);
    }
    world.engine()?;
    Ok(found(world, |name| stored.contains_key(name)))
}

fn found(world: &World, is_named: impl Fn(&str) -> bool) -> Fact {
    let there = || world.volumes.iter().filter(|(name, _)| is_named(name));
    let place = |name: &String| transaction::Volume { mountpoint: Some(format!("/v/{name}").into()), left_out: false };
    Fact::Found(there().map(|(name, _)| (name.clone(), place(name))).collect())
}

fn deploy(world: &mut World, release: u8) -> Result<(), Cut> {
    world.engine()?;
    let is_meant = world.service.is_some_and(|service| service.release == release && service.is_meant);
    if is_meant && world.container.is_some() {
        return Ok(());
    }
    if world.container.is_some() {
        world.end(true);
    }
    laws::before_start(world, release);
    world.service = Some(Service { release, is_meant: true, is_left: false });
    world.index += 1;
    world.start();
    world.engine()
}

fn judge(world: &mut World, transaction: &Transaction) -> Result<(), Cut> {
    world.engine()?;
    world.clock += 60;
    world.write(false);
    world.engine()?;
    let is_no = world.noes > 0;
    world.noes = world.noes.saturating_sub(1);
    if is_no && !world.has(Mutant::NoIsNotHeard) {
        return Err(Cut::No("the gate says no"));
    }
    let release = release_of(&transaction.old.release);
    if world.container.as_ref().is_none_or(|container| container.release != release) {
        return Err(Cut::No("it does not run"));
    }
    if !is_no {
        world.passed = Some(number_of(&transaction.id));
    }
    Ok(())
}

fn unpack(world: &mut World, name: &str, transaction: &Transaction) -> Result<Fact, Cut> {
    world.disk()?;
    let stored = named(world, transaction).filter(|one| one.is_whole()).and_then(|one| one.archives.get(name)).copied();
    let data = stored.ok_or(Cut::No("the snapshot is damaged"))?;
    let inode = world.number();
    let Some(volume) = world.volumes.get_mut(name) else { return Err(Cut::Disk) };
    let journalled = transaction.staged.get(name).copied();
    let is_there = |inode| journalled == Some(u64::from(inode));
    if is_there(volume.inode) || volume.stage.is_some_and(|(inode, _)| is_there(inode)) {
        return Ok(Fact::Nothing);
    }
    volume.stage = Some((inode, data));
    world.moment()?;
    Ok(Fact::Staged { volume: name.to_owned(), inode: inode.into() })
}

fn exchange(world: &mut World, name: &str, transaction: &Transaction) -> Result<(), Cut> {
    world.disk()?;
    if world.has(Mutant::OneVolumeIsNotPutBack) && name != "v0" {
        return Ok(());
    }
    laws::before_loss(world, name);
    let Some(volume) = world.volumes.get_mut(name) else { return Err(Cut::Disk) };
    let staged = transaction.staged.get(name).copied().ok_or(Cut::Disk)?;
    if u64::from(volume.inode) == staged {
        return Ok(());
    }
    let (inode, data) = volume.stage.take().filter(|(inode, _)| u64::from(*inode) == staged).ok_or(Cut::Disk)?;
    (volume.inode, volume.data) = (inode, data);
    Ok(())
}

fn archive(world: &mut World, name: &str, id: &str) -> Result<(), Cut> {
    world.disk()?;
    laws::before_read(world, name);
    let data = world.volumes.get(name).ok_or(Cut::Disk)?.data;
    let snapshot = world.snapshots.entry(id.to_owned()).or_default();
    snapshot.manifest = None;
    snapshot.archives.insert(name.to_owned(), data);
    Ok(())
}

fn seal(world: &mut World, id: &str) -> Result<(), Cut> {
    world.disk()?;
    let snapshot = world.snapshots.entry(id.to_owned()).or_default();
    snapshot.manifest = Some(snapshot.archives.clone());
    Ok(())
}

fn read_back(world: &mut World, id: &str) -> Result<Fact, Cut> {
    world.disk()?;
    match world.snapshots.get(id).is_some_and(Snapshot::is_whole) {
        true => Ok(Fact::Sealed(id.to_owned())),
        false => Err(Cut::Disk),
    }
}

impl Effects for Host {
    async fn perform(&mut self, act: &Act, transaction: &Transaction) -> Performed {
        match self.act(act, transaction) {
            Ok(fact) => Ok(Ok(fact)),
            Err(Cut::No(why)) => Ok(Err(why.to_owned())),
            Err(Cut::Engine) => Err(Failure::Engine("the Engine is away".into())),
            Err(Cut::Disk) => Err(Failure::Disk("no space left on device".into())),
            Err(Cut::Asked) => Err(Failure::AskedToEnd),
            Err(Cut::Dead) => std::future::pending().await,
        }
    }

    async fn rest(&mut self) {
        let is_dead = {
            let mut world = self.world.borrow_mut();
            world.clock += 150;
            world.moment().is_err()
        };
        if is_dead {
            std::future::pending().await
        }
    }

    fn now(&self) -> Timestamp {
        at(self.world.borrow().clock)
    }

    fn is_asked_to_end(&self) -> bool {
        let world = self.world.borrow();
        world.is_asked && !world.is_dead
    }
}

/// The state as a file: the old one or the new one, whole.
pub struct File(pub Shared);

impl Journal for File {
    fn write(&mut self, state: &State) -> Result<()> {
        let world = &mut *self.0.borrow_mut();
        let written = world.disk().and_then(|()| {
            write(world, state);
            world.moment()
        });
        written.map_err(|cut| anyhow::Error::msg(format!("{cut:?}")))
    }
}

/// Puts the state in place, with what follows from it for those who look.
pub fn write(world: &mut World, state: &State) {
    let mut state = state.clone();
    if let Some(mutant) = world.mutant {
        if mutant.drops(&state, &world.journal) {
            return;
        }
        mutant.falsify(&mut state);
    }
    let before = std::mem::replace(&mut world.journal, state);
    world.writes += 1;
    laws::at_write(world, &before);
}

pub fn is_deployed(world: &World) -> bool {
    let current = world.journal.current.as_ref().map(release_of);
    let is_service = world.service.filter(|service| service.is_meant).map(|service| service.release) == current;
    current.is_some() && is_service && world.container.as_ref().map(|container| container.release) == current
}
