//! What may never be, looked at from outside.

use evenkeel::model::state::State;
use evenkeel::model::warm::{Purpose, Status, Warm};
use evenkeel::warm::close::not_as_left;
use evenkeel::warm::registry;

use super::host::release_of;
use super::world::{Data, Known, World, number_of};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Law {
    /// Record and snapshot fit together, and are whole.
    KnownGood,
    /// The known-good changes only by a good verdict, to what was stored at rest.
    Verdict,
    /// The known-good is deployed on its own data alone, all of it of one moment.
    WarmStart,
    /// A known-good on its way begins with nothing.
    Fresh,
    /// What is written is called so before.
    Announced,
    /// What is called idle can be used as it lies there.
    IdleIsTrue,
    /// Lost is said only of what is lost, and always then.
    Lost,
    /// The last copy of the known-good is not removed.
    LastCopy,
    /// Nothing is stored, or taken, that a container holds.
    Held,
    /// Nothing is left running, and nothing open.
    AtRest,
    /// An undone seed leaves nothing.
    Nothing,
    /// Where nothing befalls it, what is asked is done.
    Done,
    /// A second run writes nothing.
    SecondRun,
    Ends,
}

/// All written together by this release alone, from its beginning on, and left cleanly.
pub fn is_pure(data: &[Data], release: u8, lineage: u32) -> bool {
    let same = data.windows(2).all(|pair| pair[0].epoch == pair[1].epoch);
    let own = |data: &Data| data.lineage == lineage && data.writers == 1 << release && !data.unclean;
    same && lineage != 0 && data.iter().all(own)
}

pub fn at_every_moment(world: &mut World) {
    let Some(known) = world.known.clone().filter(|known| !known.is_hurt) else { return };
    let whole = world.known_snapshot().is_some_and(|snapshot| snapshot.is_whole() && snapshot.archives == known.stored);
    if !whole {
        world.broken(Law::KnownGood, "the snapshot that the record names is not the known-good's");
    }
}

pub fn at_write(world: &mut World, before: &State) {
    let after = world.journal.clone();
    let names = |state: &State| state.current.as_ref().map(|current| (current.key.clone(), current.snapshot.clone()));
    if names(before) != names(&after) {
        commit(world, before, &after);
    }
    let Some(warm) = after.warm.as_ref() else { return };
    let was = before.warm.as_ref().map(|warm| warm.status);
    if warm.status == Status::Lost && was != Some(Status::Lost) && world.purpose().is_none() {
        let is_stored = world.known_snapshot().is_some_and(super::world::Snapshot::is_whole);
        let is_known = before.warm.as_ref().is_some_and(|warm| warm.status == Status::Idle && believed(world, warm));
        if is_stored || (is_known && world.is_good()) {
            world.broken(Law::Lost, "what is there is called lost");
        }
    }
    if warm.work.is_some() {
        return;
    }
    let is_left = |warm: &Warm| not_as_left(&warm.left, &world.marks()).is_none();
    let at_rest = |warm: &&Warm| warm.status == Status::Idle && warm.work.is_none();
    let was_at_rest = before.warm.as_ref().filter(at_rest).is_some_and(is_left);
    if was_at_rest && warm.status == Status::Dirty && !world.is_touched && world.is_good() {
        world.broken(Law::IdleIsTrue, "called dirty, and nobody has touched it");
    }
    let runs = world.container.as_ref().map(|container| container.release);
    let known = world.known.as_ref().map(|known| known.release);
    if warm.status == Status::Deployed && was != Some(Status::Deployed) && runs.is_some() && runs != known {
        world.broken(Law::Announced, format!("release {runs:?} runs, and is called the known-good"));
    }
    world.is_touched &= warm.status != Status::Idle || !believed(world, warm);
    if warm.status == Status::Idle && believed(world, warm) && !world.is_good() {
        world.broken(Law::IdleIsTrue, format!("called idle: {:?}", world.volumes));
    }
}

/// Nothing tells that it is not as it was left.
fn believed(world: &World, warm: &Warm) -> bool {
    registry::strange(warm, &world.marks(), world.runs(), &world.written(warm)).is_none()
}

fn commit(world: &mut World, before: &State, after: &State) {
    let Some(work) = before.warm.as_ref().and_then(|warm| warm.work.clone()) else {
        return world.broken(Law::Verdict, "another known-good without work");
    };
    let Some(current) = &after.current else { return world.broken(Law::Verdict, "the known-good is gone") };
    let release = release_of(current);
    let snapshot = current.snapshot.as_ref().and_then(|id| world.snapshots.get(id)).filter(|one| one.is_whole());
    let stored = snapshot.map(|snapshot| snapshot.archives.clone()).unwrap_or_default();
    let lineage = match work.purpose {
        Purpose::Seal => world.known.as_ref().filter(|known| known.release == release).map(|known| known.lineage),
        _ => world.passed.filter(|passed| *passed == number_of(&work.transaction.id)),
    };
    let data: Vec<Data> = stored.values().copied().collect();
    let fits = stored.keys().cloned().collect::<std::collections::BTreeSet<_>>() == world.volumes_of(release);
    // What a power loss went over was read back by nobody.
    let is_on_disk = work.purpose == Purpose::Seal || data.iter().all(|data| data.crashes == 0);
    if !fits || !is_on_disk || !lineage.is_some_and(|lineage| is_pure(&data, release, lineage)) {
        world.broken(Law::Verdict, format!("{:?} committed {stored:?}", work.purpose));
    }
    world.known = Some(Known { release, lineage: lineage.unwrap_or_default(), stored, is_hurt: false });
}

/// Before a container is started by a work.
pub fn before_start(world: &mut World, release: u8) {
    let Some(work) = world.work().cloned() else {
        return world.broken(Law::Announced, "something is deployed and no work is open");
    };
    let announced = match work.purpose {
        Purpose::Seed => Status::Seeding,
        Purpose::Promote => Status::Promoting,
        Purpose::Quick => Status::Dirty,
        _ => Status::Deployed,
    };
    if world.status() != Some(announced) {
        world.broken(Law::Announced, format!("a {:?} starts while called {:?}", work.purpose, world.status()));
    }
    let ours = number_of(&work.transaction.id);
    let fresh = |data: &Data| data.writers == 0 || (data.lineage == ours && data.writers == 1 << release);
    if work.purpose == Purpose::Deploy && !world.is_good() {
        world.broken(Law::WarmStart, format!("on {:?}", world.volumes));
    }
    if work.purpose.makes_known_good() && !world.volumes.values().all(|volume| fresh(&volume.data)) {
        world.broken(Law::Fresh, format!("a {:?} starts on {:?}", work.purpose, world.volumes));
    }
}

/// Before a volume's data is stored.
pub fn before_read(world: &mut World, name: &str) {
    if world.is_held || world.container.as_ref().is_some_and(|container| container.volumes.contains(name)) {
        world.broken(Law::Held, format!("{name} is held by a container"));
    }
}

/// Before a volume's data goes, or makes room.
pub fn before_loss(world: &mut World, name: &str) {
    before_read(world, name);
    let is_only =
        world.known.as_ref().is_some_and(|known| known.is_hurt && world.volumes_of(known.release).contains(name));
    let was_idle = world.work().is_some_and(|work| work.status_before() == Some(Status::Idle));
    if is_only && was_idle && world.is_good() {
        world.broken(Law::LastCopy, format!("{name} goes, and no snapshot has it"));
    }
}
