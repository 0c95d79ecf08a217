//! What is asked of the canonical, put together as `app::canonical` does it: what a look has found, what is decided by
//! that, and the work that follows.

use evenkeel::model::state::{Release, State};
use evenkeel::model::warm::{Purpose, Status, Step, Warm};
use evenkeel::warm::registry::{self, Held, Resting, Snapshot};
use evenkeel::warm::run::{self, Ended};
use evenkeel::warm::step::{self, End};
use futures_util::FutureExt;

use super::host::{self, Begun, File, Host, Shared, at, release, work};
use super::mutants::Mutant;
use super::world::{self, World};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    Seed,
    Promote,
    Deploy,
    Quick,
    Idle,
    Restore,
    Settle,
}

impl Ask {
    pub const ALL: [Ask; 7] = [Ask::Seed, Ask::Promote, Ask::Deploy, Ask::Quick, Ask::Idle, Ask::Restore, Ask::Settle];
}

/// `None`: killed on the way, or left open.
pub fn ask(world: &Shared, ask: Ask) -> Option<()> {
    finish(world)?;
    let is_recorded = world.borrow().journal.warm.is_some();
    if is_recorded && hold(world)? == Status::Lost && ask != Ask::Seed {
        return Some(());
    }
    match ask {
        Ask::Seed => seed(world),
        Ask::Promote => promote(world),
        Ask::Deploy => deploy(world),
        Ask::Quick => quick(world),
        Ask::Idle => idle(world, false),
        Ask::Restore => idle(world, true),
        Ask::Settle => settle(world),
    }
}

fn finish(world: &Shared) -> Option<()> {
    let mut state = world.borrow().journal.clone();
    if state.warm.as_ref().is_none_or(|warm| warm.work.is_none()) {
        return Some(());
    }
    if let Some(mutant) = world.borrow().mutant {
        mutant.misread(&mut state);
    }
    if state.warm.as_ref().is_some_and(|warm| warm.work.is_none()) {
        host::write(&mut world.borrow_mut(), &state);
        return Some(());
    }
    let boot = world.borrow().boot.to_string();
    let work = state.warm.as_mut().and_then(|warm| warm.work.as_mut());
    let is_other = work.filter(|work| work.boot.as_ref() != Some(&boot));
    if let Some(work) = is_other.filter(|_| !world.borrow().has(Mutant::BootOfTheWorkIsBelieved)) {
        work.step = step::after_boot(work.purpose, work.step);
    }
    let (mut effects, mut journal) = (Host::new(world), File(world.clone()));
    let ended = run::resume(&mut state, &mut effects, &mut journal).now_or_never()?;
    after(world, ended?)
}

fn begin(world: &Shared, begun: Begun) -> Option<()> {
    let (mut state, work) = {
        let world = &mut *world.borrow_mut();
        world.moment().ok()?;
        if world.is_asked {
            return None;
        }
        (world.journal.clone(), work(world, begun))
    };
    let (mut effects, mut journal) = (Host::new(world), File(world.clone()));
    let ended = run::begin(&mut state, work, &mut effects, &mut journal).now_or_never()?;
    after(world, ended.ok()?)
}

fn after(world: &Shared, ended: Ended) -> Option<()> {
    let world = &mut *world.borrow_mut();
    let Ended::Closed { end, work } = ended else { return None };
    if world.is_dead {
        return None;
    }
    sweep(world)?;
    let at_snapshot = matches!(work.step, Step::Clear | Step::Make | Step::PutBack | Step::Withdraw);
    let ended_there = matches!(end, End::Refused | End::Spoiled) && work.no.is_some();
    let reads = world.known_snapshot().is_some_and(world::Snapshot::is_whole);
    if at_snapshot && ended_there && !reads && !world.has(Mutant::DamageIsNotNoted) {
        let warm = world.journal.warm.clone().map(|warm| Warm { damaged: true, ..warm });
        write(world, warm)?;
    }
    Some(())
}

/// Snapshots that nothing names.
fn sweep(world: &mut World) -> Option<()> {
    let state = match world.has(Mutant::SweptWhileOpen) {
        true => State { current: None, ..world.journal.clone() },
        false => world.journal.clone(),
    };
    let named: Vec<String> = state.named_snapshots().into_iter().map(str::to_owned).collect();
    for id in world.snapshots.keys().cloned().collect::<Vec<_>>() {
        if !named.contains(&id) {
            world.moment().ok()?;
            world.snapshots.remove(&id);
        }
    }
    world.moment().ok()
}

fn write(world: &mut World, warm: Option<Warm>) -> Option<()> {
    world.disk().ok()?;
    let state = State { warm, ..world.journal.clone() };
    host::write(world, &state);
    world.moment().ok()
}

fn call(world: &mut World, status: Status, why: String) -> Option<()> {
    let damaged = status == Status::Dirty && world.journal.warm.as_ref().is_some_and(|warm| warm.damaged);
    let warm = Warm { why: Some(why), damaged, ..Warm::new(status, "alice", at(world.clock)) };
    write(world, Some(warm))
}

fn snapshot(world: &World) -> Snapshot {
    let is_damaged = world.journal.warm.as_ref().is_some_and(|warm| warm.damaged);
    let looks_whole = world.known_snapshot().is_some_and(world::Snapshot::looks_whole) && !is_damaged;
    if looks_whole || world.has(Mutant::SnapshotIsBelieved) { Snapshot::Whole } else { Snapshot::Gone }
}

fn strange(world: &World, warm: &Warm) -> Option<String> {
    let volumes = if world.has(Mutant::VolumesAreBelieved) { warm.left.clone() } else { world.marks() };
    let indexes = if world.has(Mutant::IndexesAreBelieved) { warm.indexes.clone() } else { world.written(warm) };
    let runs = world.runs() && !world.has(Mutant::WhatRunsIsNotSeen);
    registry::strange(warm, &volumes, runs, &indexes)
}

/// Has the record say what is there. `None` also where its data is lost.
fn hold(world: &Shared) -> Option<Status> {
    let world = &mut *world.borrow_mut();
    world.engine().ok()?;
    let warm = world.journal.warm.clone()?;
    let (why, stored) = match warm.status {
        Status::Idle => (strange(world, &warm), snapshot(world)),
        Status::Lost => {
            let reads = world.known_snapshot().is_some_and(world::Snapshot::is_whole);
            (None, if reads { Snapshot::Whole } else { Snapshot::Gone })
        }
        _ => (None, snapshot(world)),
    };
    match registry::held(&warm, why, stored) {
        Held::True => {}
        Held::Lost(_) if world.has(Mutant::LostIsNotSaid) => {}
        Held::Dirty(why) if world.has(Mutant::LostIsSaidTooSoon) => call(world, Status::Lost, why)?,
        Held::Lost(why) => call(world, Status::Lost, why)?,
        Held::Dirty(why) => call(world, Status::Dirty, why)?,
        Held::Found => call(world, Status::Dirty, "its volumes were lost".to_owned())?,
    }
    world.status()
}

fn next_release(world: &Shared) -> Release {
    let world = &mut *world.borrow_mut();
    world.releases.push(world.volumes_of_next);
    // One bit for each writer.
    release(u8::try_from(world.releases.len() - 1).unwrap())
}

fn known(world: &Shared) -> Option<(Release, Option<String>)> {
    let current = world.borrow().journal.current.clone()?;
    let snapshot = current.snapshot.clone();
    Some((current, snapshot))
}

fn seed(world: &Shared) -> Option<()> {
    let status = world.borrow().status();
    if !matches!(status, None | Some(Status::Lost)) {
        return Some(());
    }
    let release = next_release(world);
    begin(world, Begun { purpose: Purpose::Seed, whole: false, release, snapshot: None })
}

fn promote(world: &Shared) -> Option<()> {
    let (status, runs) = (world.borrow().status(), world.borrow().runs());
    if !matches!(status, Some(Status::Idle | Status::Dirty)) || (status == Some(Status::Dirty) && runs) {
        return Some(());
    }
    let (_, snapshot) = known(world)?;
    let release = next_release(world);
    begin(world, Begun { purpose: Purpose::Promote, whole: false, release, snapshot })
}

fn deploy(world: &Shared) -> Option<()> {
    let status = world.borrow().status();
    match status {
        None | Some(Status::Lost) => return Some(()),
        Some(Status::Deployed) if still_runs(&world.borrow()) => return Some(()),
        Some(Status::Deployed) => note_what_became_of_it(world)?,
        _ => {}
    }
    let stored = snapshot(&world.borrow()) == Snapshot::Whole;
    let is_used = world.borrow().has(Mutant::DirtyIsUsed);
    let damaged = world.borrow().status() == Some(Status::Dirty) && !is_used;
    if damaged && !stored {
        return call(&mut world.borrow_mut(), Status::Lost, "dirty".to_owned());
    }
    let (release, snapshot) = known(world)?;
    let snapshot = snapshot.filter(|_| stored);
    begin(world, Begun { purpose: Purpose::Deploy, whole: !damaged, release, snapshot })
}

fn still_runs(world: &World) -> bool {
    let warm = world.journal.warm.as_ref();
    warm.is_some_and(|warm| strange(world, warm).is_none()) && host::is_deployed(world)
}

/// Calls what is deployed dirty where something else than the known-good may have written to its data.
fn note_what_became_of_it(world: &Shared) -> Option<()> {
    let world = &mut *world.borrow_mut();
    world.engine().ok()?;
    let warm = world.journal.warm.clone()?;
    let is_other = warm.boot.as_ref().is_some_and(|boot| *boot != world.boot.to_string());
    let why = match () {
        () if world.has(Mutant::WhatBecameOfItIsNotAsked) => None,
        () if is_other && !world.has(Mutant::BootIsBelieved) => Some("the host went down".to_owned()),
        () => strange(world, &warm).or_else(|| (!host::is_deployed(world)).then(|| "changed".to_owned())),
    };
    why.map_or(Some(()), |why| call(world, Status::Dirty, why))
}

fn quick(world: &Shared) -> Option<()> {
    deploy(world)?;
    if world.borrow().status() != Some(Status::Deployed) {
        return Some(());
    }
    let (_, snapshot) = known(world)?;
    let release = next_release(world);
    begin(world, Begun { purpose: Purpose::Quick, whole: true, release, snapshot })
}

fn idle(world: &Shared, restore: bool) -> Option<()> {
    let (status, runs, stored) = (world.borrow().status(), world.borrow().runs(), snapshot(&world.borrow()));
    if matches!(status, None | Some(Status::Lost)) || (restore && stored == Snapshot::Gone) {
        return Some(());
    }
    if !restore && status != Some(Status::Deployed) && !runs {
        return Some(());
    }
    put_down(world, if restore { Purpose::Restore } else { Purpose::Idle })
}

fn put_down(world: &Shared, purpose: Purpose) -> Option<()> {
    if world.borrow().status() == Some(Status::Deployed) && purpose == Purpose::Idle {
        note_what_became_of_it(world)?;
    }
    let (release, snapshot) = known(world)?;
    begin(world, Begun { purpose, whole: true, release, snapshot })
}

fn settle(world: &Shared) -> Option<()> {
    let Some(warm) = world.borrow().journal.warm.clone() else { return Some(()) };
    let runs = world.borrow().runs() && !world.borrow().has(Mutant::WhatRunsIsNotSeen);
    let how = registry::resting(&warm, runs, snapshot(&world.borrow()));
    match how {
        Resting::Nothing => Some(()),
        Resting::End => {
            put_down(world, Purpose::Idle)?;
            // What has come to rest is looked at as what rested before.
            hold(world)?;
            settle(world)
        }
        Resting::Store => {
            let (release, _) = known(world)?;
            begin(world, Begun { purpose: Purpose::Seal, whole: true, release, snapshot: None })
        }
    }
}
