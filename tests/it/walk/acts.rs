//! The acts that need no memory of the run: each made of moments at which it may be cut.

use evenkeel::model::transaction::{Purpose, Step, Transaction};
use evenkeel::upgrade::run::Fact;
use evenkeel::upgrade::step::Side;

use super::disk::{Content, Data, Name, Place};
use super::host::{tx_name, volume_name, volume_of};
use super::laws;
use super::mutants::Mutant;
use super::world::{Cut, EARLIER, SERVICES, TX, World};

pub fn prove(world: &mut World, transaction: &Transaction) -> Result<(), Cut> {
    let proved = proved(world, transaction);
    if std::mem::take(&mut world.is_read_back) {
        world.is_storing = false;
    }
    proved
}

fn proved(world: &mut World, transaction: &Transaction) -> Result<(), Cut> {
    let skipped = match transaction.step {
        Step::Stop | Step::Snapshot if !world.is_storing => Mutant::NoProofBeforeSnapshot,
        Step::Stop | Step::Snapshot => Mutant::NoProofAfterSnapshot,
        _ => Mutant::NoProofBeforeExchange,
    };
    world.is_open_to_others = true;
    world.engine()?;
    world.is_open_to_others = false;
    if world.has(skipped) {
        return Ok(());
    }
    if world.is_held() && !world.has(Mutant::ProofSeesNoHolder) {
        return Err(Cut::No("a container holds a volume"));
    }
    let same =
        world.services.iter().all(|(name, service)| transaction.indexes.get(SERVICES[*name]) == Some(&service.index));
    if !same && !world.has(Mutant::ProofSeesNoIndex) {
        return Err(Cut::No("somebody changed the stack"));
    }
    Ok(())
}

pub fn archive(world: &mut World, volume: u8) -> Result<(), Cut> {
    if world.has(Mutant::DeployedBeforeSealed) && volume == 0 {
        deploy(world, Side::New)?;
    }
    world.is_open_to_others = true;
    world.is_storing = true;
    world.disk_write()?;
    if world.disk.find(Place::Snapshots, Name::Snapshot(TX)).is_none() {
        let folder = world.disk.make(Place::Snapshots, Name::Snapshot(TX), Content::Folder);
        world.disk.sync(folder);
        world.disk.renew(Place::Snapshot(TX));
    }
    world.disk_write()?;
    let inode = world.disk.make(Place::Snapshot(TX), Name::Archive(volume), Content::Empty);
    world.disk_write()?;
    world.disk.fill(inode, Content::Torn);
    world.disk_write()?;
    let read = world.disk.data(Place::Volume(volume), Name::Data);
    let held = world.is_held();
    if let Some(data) = read {
        world.disk.fill(inode, Content::Archive(Data { mixed: data.mixed || held, ..data }));
    }
    world.moment()?;
    if !world.has(Mutant::ArchiveNotSynced) {
        world.disk.sync(inode);
    }
    world.is_open_to_others = false;
    world.moment()
}

pub fn seal(world: &mut World, transaction: &Transaction) -> Result<(), Cut> {
    let entries = transaction.kept_volumes().map(|(name, _)| {
        let volume = volume_of(name);
        match world.disk.read(Place::Snapshot(TX), Name::Archive(volume)) {
            Some(Content::Archive(data)) => Some((volume, *data)),
            // What was written is not read again here: its digest was made while writing.
            _ => world.disk.data(Place::Volume(volume), Name::Data).map(|data| (volume, data)),
        }
    });
    let entries: Option<Vec<(u8, Data)>> = entries.collect();
    world.is_open_to_others = true;
    world.disk_write()?;
    if world.disk.find(Place::Snapshots, Name::Snapshot(TX)).is_none() {
        let folder = world.disk.make(Place::Snapshots, Name::Snapshot(TX), Content::Folder);
        world.disk.sync(folder);
        world.disk.renew(Place::Snapshot(TX));
    }
    let inode = world.disk.make(Place::Snapshot(TX), Name::Manifest, Content::Empty);
    world.disk_write()?;
    world.disk.fill(inode, Content::Manifest(entries.unwrap_or_default()));
    world.disk_write()?;
    if !world.has(Mutant::ManifestNotSynced) {
        world.disk.sync(inode);
    }
    for (place, mutant) in
        [(Place::Snapshot(TX), Mutant::SnapshotFolderNotSynced), (Place::Snapshots, Mutant::SnapshotsNotSynced)]
    {
        if !world.has(mutant) {
            world.sync_folder(place)?;
        }
    }
    world.is_open_to_others = false;
    Ok(())
}

pub fn read_back(world: &mut World) -> Result<Fact, Cut> {
    world.is_open_to_others = true;
    world.disk_write()?;
    world.is_read_back = true;
    if !world.has(Mutant::NotReadBack) && stored(world, TX).is_none() {
        return Err(Cut::Disk);
    }
    world.ghost.stored = world.ghost.good.clone();
    world.answer()?;
    world.is_open_to_others = false;
    Ok(Fact::Sealed(tx_name(TX)))
}

/// What a snapshot holds, if it is whole.
pub fn stored(world: &World, tx: u8) -> Option<Vec<(u8, Data)>> {
    world.disk.find(Place::Snapshots, Name::Snapshot(tx))?;
    let Some(Content::Manifest(entries)) = world.disk.read(Place::Snapshot(tx), Name::Manifest) else { return None };
    let is_whole = entries.iter().all(|(volume, data)| {
        matches!(world.disk.read(Place::Snapshot(tx), Name::Archive(*volume)), Some(Content::Archive(read)) if read == data)
    });
    is_whole.then(|| entries.clone())
}

pub fn deploy(world: &mut World, side: Side) -> Result<(), Cut> {
    for name in 0..SERVICES.len() {
        world.engine()?;
        let is_meant = world.services.get(&name).is_some_and(|service| service.side == side && service.replicas == 1);
        if is_meant {
            continue;
        }
        world.write_service(name, side, 1);
        let is_stateless = world.volumes_in_all().is_empty();
        for at in (0..world.containers.len()).rev() {
            if world.containers[at].service == name && is_stateless {
                world.end(at, true);
            }
        }
        world.start(name);
    }
    world.engine()
}

pub fn judge(world: &mut World, side: Side, transaction: &Transaction) -> Result<(), Cut> {
    if side == Side::New && world.has(Mutant::CommittedBeforeVerdict) {
        return Ok(());
    }
    if side == Side::Old && world.has(Mutant::RejudgeLooksAway) {
        return Ok(());
    }
    world.engine()?;
    world.clock += 60;
    world.work();
    world.is_judging = true;
    // The snapshot is being unpacked meanwhile; nobody waits for it.
    if side == Side::New && transaction.snapshot.is_some() && transaction.purpose == Purpose::Upgrade {
        for (name, _) in transaction.kept_volumes() {
            let place = Place::Volume(volume_of(name));
            if !transaction.staged.contains_key(name) && world.disk.find(place, Name::New(TX)).is_none() {
                world.moment()?;
                world.disk.make(place, Name::New(TX), Content::Torn);
            }
        }
    }
    world.engine()?;
    world.work();
    world.is_judging = false;
    world.answer()?;
    let asked_for = if world.is_way_back() { Side::Old } else { Side::New };
    if side == asked_for && !world.scenario.is_good {
        return Err(Cut::No("the gate says no"));
    }
    if !world.runs(side) {
        return Err(Cut::No("it does not run"));
    }
    match side {
        Side::New | Side::Before => world.ghost.new_passed = true,
        Side::Old => world.ghost.old_passed = true,
    }
    Ok(())
}

pub fn unpack(world: &mut World, volume: u8, transaction: &Transaction) -> Result<Fact, Cut> {
    let place = Place::Volume(volume);
    let staged = transaction.staged.get(&volume_name(volume)).copied().map(|inode| inode as u32);
    let is_there = |name| staged.is_some() && world.disk.find(place, name) == staged;
    let done = is_there(Name::New(TX)) || is_there(Name::Data);
    if done {
        world.moment()?;
        return Ok(Fact::Nothing);
    }
    if world.has(Mutant::ExchangedBeforeAllAreStaged) && volume > 0 {
        let first = world.disk.find(Place::Volume(0), Name::New(TX));
        if let Some(inode) = first {
            put_in_place(world, 0, inode)?;
        }
    }
    let tx = if world.scenario.purpose.is_way_back() { EARLIER } else { TX };
    world.is_open_to_others = true;
    world.disk_write()?;
    let half = world.disk.find(place, Name::New(TX)).filter(|_| world.has(Mutant::HalfStageIsTaken));
    let inode = match half {
        Some(half) => half,
        None => fresh_stage(world, volume, tx)?,
    };
    world.moment()?;
    if !world.has(Mutant::StageNotSynced) {
        world.disk.sync(inode);
    }
    if !world.has(Mutant::StageFolderNotSynced) {
        world.sync_folder(place)?;
    }
    world.is_open_to_others = false;
    world.answer()?;
    Ok(Fact::Staged { volume: volume_name(volume), inode: inode.into() })
}

fn fresh_stage(world: &mut World, volume: u8, tx: u8) -> Result<u32, Cut> {
    let place = Place::Volume(volume);
    let data = stored(world, tx).and_then(|entries| entries.into_iter().find(|(name, _)| *name == volume));
    let content = match data {
        Some((_, data)) => Content::Tree(data),
        None if world.has(Mutant::UnpackedUnchecked) => Content::Torn,
        None => return Err(Cut::No("the archive is damaged")),
    };
    if world.disk.find(place, Name::New(TX)).is_some() {
        world.disk.remove(place, Name::New(TX));
        world.disk_write()?;
    }
    let inode = world.disk.make(place, Name::New(TX), Content::Empty);
    world.disk_write()?;
    world.disk.fill(inode, Content::Torn);
    world.disk_write()?;
    if world.is_asked {
        return Err(Cut::Asked);
    }
    world.disk.fill(inode, content);
    Ok(inode)
}

pub fn exchange(world: &mut World, volume: u8, transaction: &Transaction) -> Result<(), Cut> {
    let Some(staged) = transaction.staged.get(&volume_name(volume)).copied() else { return Err(Cut::Disk) };
    put_in_place(world, volume, staged as u32)
}

fn put_in_place(world: &mut World, volume: u8, staged: u32) -> Result<(), Cut> {
    let place = Place::Volume(volume);
    let is_done = world.disk.find(place, Name::Data) == Some(staged) && !world.has(Mutant::ExchangedTwice);
    world.disk_write()?;
    if !is_done {
        laws::before_exchange(world, volume);
        if world.scenario.exchanges {
            world.disk.exchange(place, Name::Data, Name::New(TX));
        } else {
            // Without an exchange: two renames, of which a resumed run may find the first one done.
            if world.disk.find(place, Name::Data).is_some() {
                world.disk.rename(place, Name::Data, Name::Failed(TX));
                world.disk_write()?;
            }
            world.disk.rename(place, Name::New(TX), Name::Data);
        }
        if !world.has(Mutant::ExchangeNotSynced) {
            world.sync_folder(place)?;
        }
    }
    world.disk_write()?;
    if world.disk.find(place, Name::New(TX)).is_some() {
        if world.has(Mutant::FailedDataIsDropped) {
            world.disk.remove(place, Name::New(TX));
        } else {
            world.disk.rename(place, Name::New(TX), Name::Failed(TX));
        }
    }
    if !world.has(Mutant::ExchangeNotSynced) && !world.has(Mutant::FailedNameNotSynced) {
        world.sync_folder(place)?;
    }
    world.moment()
}

pub fn set_aside(world: &mut World, volume: u8) -> Result<(), Cut> {
    if world.has(Mutant::CreatedVolumeStays) {
        return Ok(());
    }
    let place = Place::Volume(volume);
    world.disk_write()?;
    if world.disk.names(place).is_empty() {
        return Ok(());
    }
    let is_aside = world.disk.find(place, Name::Failed(TX)).is_some() && !world.has(Mutant::SetAsideTwice);
    if !is_aside {
        laws::before_exchange(world, volume);
        world.disk.rename(place, Name::Data, Name::Failed(TX));
        world.disk_write()?;
    }
    if world.disk.find(place, Name::Data).is_none() {
        let inode = world.disk.make(place, Name::Data, Content::Empty);
        world.disk.sync(inode);
        world.disk_write()?;
    }
    world.sync_folder(place)
}

pub fn give_back(world: &mut World, volume: u8, transaction: &Transaction) -> Result<(), Cut> {
    world.disk_write()?;
    if world.has(Mutant::NothingIsGivenBack) {
        return Ok(());
    }
    let place = Place::Volume(volume);
    if volume >= world.scenario.volumes {
        give_back_what_was_set_aside(world, place, volume)?;
    } else if let Some(staged) = transaction.staged.get(&volume_name(volume)) {
        give_back_for(world, place, volume, *staged as u32)?;
    }
    world.sync_folder(place)?;
    world.moment()
}

fn give_back_what_was_set_aside(world: &mut World, place: Place, volume: u8) -> Result<(), Cut> {
    if world.disk.find(place, Name::Failed(TX)).is_none() || world.has(Mutant::OnlyExchangesAreUndone) {
        return Ok(());
    }
    laws::before_exchange(world, volume);
    if world.disk.find(place, Name::Data).is_some() {
        world.disk.rename(place, Name::Data, Name::New(TX));
        world.sync_folder(place)?;
        world.disk_write()?;
    }
    world.disk.rename(place, Name::Failed(TX), Name::Data);
    Ok(())
}

fn give_back_for(world: &mut World, place: Place, volume: u8, staged: u32) -> Result<(), Cut> {
    let (new, failed) = (Name::New(TX), Name::Failed(TX));
    let twice = world.has(Mutant::GivenBackTwice) && world.disk.find(place, failed).is_some();
    for _ in 0..6 {
        let [data, at_new, at_failed] = [Name::Data, new, failed].map(|name| world.disk.find(place, name));
        let is_done = data.is_some() && data != Some(staged);
        if is_done && !twice {
            return Ok(());
        }
        laws::before_exchange(world, volume);
        let (from, to) = match (data, at_new, at_failed) {
            (None, Some(inode), Some(_)) if inode == staged => (failed, Name::Data),
            (None, ..) => (new, Name::Data),
            (Some(_), _, Some(_)) if world.scenario.exchanges => {
                world.disk.exchange(place, Name::Data, failed);
                world.sync_folder(place)?;
                return world.disk_write();
            }
            (Some(_), _, Some(_)) => (failed, new),
            (Some(_), Some(_), None) if world.scenario.exchanges => (new, failed),
            (Some(_), ..) => (Name::Data, failed),
        };
        world.disk.rename(place, from, to);
        world.sync_folder(place)?;
        world.disk_write()?;
    }
    Ok(())
}
