//! What may never be, looked at from outside: at each moment, at each start of a container, at each write of the
//! journal, and at the end.

use std::fmt;
use std::rc::Rc;

use evenkeel::model::state::State;
use evenkeel::model::transaction::{Purpose, Step, Transaction};
use evenkeel::upgrade::step::{Act, End, Side};

use super::acts::stored;
use super::disk::{Content, Data, Name, Place};
use super::history::Event;
use super::host::tx_name;
use super::world::{Container, EARLIER, Life, No, TX, WITHIN, World};

/// How long after its start what a release is told is taken back, and how exactly that is known.
const LATE_AFTER: i64 = WITHIN + 900;
const SOON: i64 = 60;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Law {
    /// The known-good data is readable at every moment.
    KnownGood,
    /// The old release runs on exactly the data that it had.
    OldData,
    /// The new release begins on exactly the data of the old one.
    NewData,
    /// Two containers of different releases, or of one service, never hold a volume at once.
    TwoAtOnce,
    /// No volume is exchanged under a container.
    Held,
    /// Nothing is done that the journal does not name.
    JournalNames,
    /// What the journal says is so, also after a power loss.
    JournalTrue,
    /// Nothing is left scaled down.
    Up,
    /// A second run writes nothing.
    SecondRun,
    /// What the failed release wrote is kept.
    FailedKept,
    /// One failed per app.
    OneFailed,
    /// Every history comes to an end.
    Ends,
    /// The end fits what happened.
    EndFits,
}

#[derive(Debug, Clone)]
pub struct Violation {
    pub law: Law,
    pub tick: u32,
    pub text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at moment {}: {}", self.law, self.tick, self.text)
    }
}

pub fn at_every_moment(world: &mut World) {
    if world.ghost.is_damaged {
        return;
    }
    for volume in 0..world.scenario.volumes {
        if !is_readable(world, volume) {
            world.broken(Law::KnownGood, format!("volume {volume}'s known-good data is nowhere"));
        }
    }
    for (volume, data) in left_by_hand(world) {
        if !is_there(world, volume, data) {
            world.broken(Law::KnownGood, format!("what was in use in volume {volume} is nowhere"));
        }
    }
}

/// By hand, what is left is as good: it was in use.
fn left_by_hand(world: &World) -> Vec<(u8, Data)> {
    match world.is_way_back() {
        true => world.ghost.bad.iter().map(|(volume, data)| (*volume, *data)).collect(),
        false => Vec::new(),
    }
}

fn is_there(world: &World, volume: u8, data: Data) -> bool {
    let place = Place::Volume(volume);
    let is_named = || world.journal().is_some_and(|state| state.named_transactions().contains(tx_name(TX).as_str()));
    let beside = [Name::New(TX), Name::Failed(TX)].into_iter().any(|name| world.disk.data(place, name) == Some(data));
    world.disk.data(place, Name::Data) == Some(data) || (beside && is_named())
}

fn is_readable(world: &World, volume: u8) -> bool {
    let good = world.ghost.good[usize::from(volume)];
    let place = Place::Volume(volume);
    if world.disk.data(place, Name::Data) == Some(good) {
        return true;
    }
    let Some(state) = world.journal() else { return false };
    let transactions = state.named_transactions();
    let beside = [Name::New(TX), Name::Failed(TX)].into_iter().any(|name| world.disk.data(place, name) == Some(good));
    if beside && transactions.contains(tx_name(TX).as_str()) {
        return true;
    }
    let snapshots = state.named_snapshots();
    [EARLIER, TX]
        .into_iter()
        .filter(|tx| snapshots.contains(tx_name(*tx).as_str()))
        .any(|tx| stored(world, tx).is_some_and(|entries| entries.contains(&(volume, good))))
}

pub fn at_start(world: &mut World, container: &Container) {
    for (volume, inode) in &container.mounts {
        let found = match world.disk.content(*inode) {
            Content::Tree(data) => Some(*data),
            _ => None,
        };
        let good = world.ghost.good.get(usize::from(*volume)).copied();
        let bad = world.ghost.bad.get(volume).copied();
        match container.side {
            Side::Old if found != good => {
                world.broken(Law::OldData, format!("volume {volume} holds {found:?} instead of {good:?}"));
            }
            Side::New | Side::Before if bad.is_some() && found != bad => {
                world.broken(Law::NewData, format!("volume {volume} holds {found:?} instead of {bad:?}"));
            }
            Side::New | Side::Before if bad.is_none() && found != good => {
                world.broken(Law::NewData, format!("volume {volume} holds {found:?} instead of {good:?}"));
            }
            Side::New if bad.is_none() && is_unclean(world, found) => {
                world.broken(Law::NewData, format!("volume {volume} was left by a container that was killed"));
            }
            _ => {}
        }
        let holds = |other: &Container| other.mounts.iter().any(|(name, _)| name == volume);
        let differs = |other: &Container| other.side != container.side || other.service == container.service;
        if world.containers.iter().any(|other| holds(other) && differs(other)) {
            world.broken(Law::TwoAtOnce, format!("a second container starts on volume {volume}"));
        }
    }
}

fn is_unclean(world: &World, data: Option<Data>) -> bool {
    !world.scenario.unclean_allowed && data.is_some_and(|data| data.unclean)
}

pub fn before_exchange(world: &mut World, volume: u8) {
    if world.is_held() {
        world.broken(Law::Held, format!("volume {volume} is exchanged under a container"));
    }
}

/// Whatever a power loss leaves of the journal now, a later run takes up what is being done.
pub fn before_act(world: &mut World, act: &Act, transaction: &Transaction) {
    let is_before_deploy = transaction.fault.as_ref().is_some_and(|fault| fault.at < Step::Deploy);
    let is_untouched = is_before_deploy || transaction.purpose == Purpose::Take;
    let is_put_back = transaction.step >= Step::Redeploy && is_untouched;
    for journal in world.possible_journals() {
        let is_read = journal.is_some();
        let open = journal.as_ref().and_then(|state| state.open.as_ref());
        let same_way = open.is_none_or(|open| open.has_turned() == transaction.has_turned());
        let named = open.map(|open| open.step);
        let fits = match named {
            Some(_) if !same_way => false,
            Some(step) if step == transaction.step => true,
            Some(Step::Stop | Step::Snapshot | Step::Redeploy | Step::Rejudge) => is_put_back,
            Some(_) => false,
            // Killed before the first write was synced: nothing was done yet, so nothing is put back either.
            None => is_put_back && is_read,
        };
        if !fits {
            let at = transaction.step.word();
            world.broken(Law::JournalNames, format!("{act:?} is done at {at}, and the journal may say {named:?}"));
        }
    }
}

/// After a write that returned: it is what a power loss leaves, and so is all that it tells of.
pub fn journal_is_true(world: &mut World) {
    let journals = world.possible_journals();
    let [Some(state)] = journals.as_slice() else {
        world.broken(Law::JournalTrue, "a journal that was written may be lost");
        return;
    };
    let state: Rc<State> = state.clone();
    let Some(open) = &state.open else { return };
    let stores = matches!(open.purpose, Purpose::Upgrade | Purpose::Take) && world.scenario.volumes > 0;
    let is_untouched = open.step < Step::Deploy || open.fault.as_ref().is_some_and(|fault| fault.at < Step::Deploy);
    if stores && open.snapshot.is_none() && !is_untouched && open.purpose == Purpose::Upgrade {
        world.broken(Law::JournalTrue, "deployed before a snapshot was sealed");
    }
    if stores && open.snapshot.is_some() && !world.ghost.is_damaged && !is_stored_for_good(world) {
        world.broken(Law::JournalTrue, "the journal names a snapshot that a power loss may take");
    }
    for (name, inode) in &open.staged {
        let inode = *inode as u32;
        let place = Place::Volume(name[1..].parse().expect("a volume of the walk"));
        let by_hand = world.happened.contains(&Event::RunByHand);
        let is_good = |data: &Data| (data.side == Side::Old || by_hand) && !data.mixed;
        let is_whole = matches!(world.disk.kept(inode), Content::Tree(data) if is_good(data));
        if !is_whole && !world.ghost.is_damaged || !world.disk.is_certain(place, inode) {
            world.broken(Law::JournalTrue, format!("the journal names a stage of {name} that a power loss may take"));
        }
    }
}

fn is_stored_for_good(world: &World) -> bool {
    let disk = &world.disk;
    let certain = |place, name| match disk.outcomes(place, name).as_slice() {
        [Some(inode)] => Some(disk.kept(*inode)),
        _ => None,
    };
    let folder = certain(Place::Snapshots, Name::Snapshot(TX)).is_some();
    let manifest = matches!(certain(Place::Snapshot(TX), Name::Manifest), Some(Content::Manifest(_)));
    let archives = world.ghost.stored.iter().zip(0..world.scenario.volumes).all(|(good, volume)| {
        matches!(certain(Place::Snapshot(TX), Name::Archive(volume)), Some(Content::Archive(data)) if data == good)
    });
    folder && manifest && archives
}

/// When nothing is open any more; `end` where the run that closed it lived to tell.
pub fn at_the_end(world: &mut World, state: &State, end: Option<End>) {
    let is_stuck = state.stuck.is_some();
    let side = if is_stuck { None } else { Some(final_side(world, state)) };
    if let Some(side) = side {
        if !world.runs(side) {
            world.broken(Law::Up, format!("{side:?} does not run: {:?}", world.services));
        }
        if world.containers.iter().any(|container| container.side != side || container.life == Life::Stopping) {
            world.broken(Law::Up, "something of the other release is left");
        }
    }
    fits(world, state, end);
    kept(world, state, end);
}

/// Which side the state says runs.
fn final_side(world: &World, state: &State) -> Side {
    let says_new = state.current.as_ref().is_some_and(|current| current.key == super::host::key(Side::New));
    // The same release on other data: told apart by the data that it left.
    let went_back = state.left.contains(&tx_name(TX));
    match world.scenario.purpose {
        Purpose::Restore if world.scenario.volumes == 0 => match world.runs(Side::Old) {
            true => Side::Old,
            false => Side::New,
        },
        Purpose::Restore if !went_back => Side::New,
        Purpose::Restore => Side::Old,
        _ if says_new => Side::New,
        _ => Side::Old,
    }
}

fn fits(world: &mut World, state: &State, end: Option<End>) {
    let ghost = &world.ghost;
    let no_at = |steps: &[Step]| ghost.noes.iter().any(|no| steps.contains(&no.step) && !no.is_late);
    let refused = no_at(&[Step::Deploy, Step::Judge]);
    let killed_at_deploy =
        ghost.crashes.iter().rfind(|(at, _)| *at == Step::Deploy).is_some_and(|(_, is_late)| !is_late);
    let is_bad_disk = |event: &Event| matches!(event, Event::DiskBad | Event::DiskFull | Event::SyncFails);
    let disk_was_bad = world.happened.iter().any(is_bad_disk);
    let no_on_the_way_back = ghost.noes.iter().any(|no| no.step >= Step::Withdraw);
    let stuck_for = |event: &Event| matches!(event, Event::No | Event::Stranger | Event::RunByHand | Event::Damage);
    let never_comes_up = world.is_way_back() && !world.scenario.is_good && !world.scenario.can_turn;
    let no_on_the_way_back = no_on_the_way_back && (never_comes_up || world.happened.iter().any(stuck_for));
    let hours_passed = world.happened.iter().any(|event| matches!(event, Event::Late | Event::KillAndSleep));
    let enough = |no: &No| no.written_for > LATE_AFTER - SOON || hours_passed;
    let way_back = world.is_way_back();
    let of_what_was_asked_for =
        |no: &&No| if way_back { no.step >= Step::Redeploy && !no.has_turned } else { no.step <= Step::Judge };
    let asked_for = || ghost.noes.iter().filter(of_what_was_asked_for);
    let late_without_a_writer = asked_for().any(|no| no.is_late && !enough(no));
    let too_much = |no: &No| no.written_for > LATE_AFTER + SOON;
    let keeps_what_is_written = world.scenario.volumes > 0 && !world.scenario.late_rollback;
    let took_back_too_much = keeps_what_is_written && asked_for().any(too_much);
    let late_no = asked_for().any(|no| no.is_late);
    let no_to_both = ghost.noes.iter().any(|no| no.has_turned) || late_no || !world.scenario.can_turn;
    let purpose = world.scenario.purpose;
    let mut wrong: Vec<String> = Vec::new();
    let mut must = |holds: bool, what: &str| {
        if !holds {
            wrong.push(what.to_owned());
        }
    };
    let is_new = state.current.as_ref().is_some_and(|current| current.key == "new");
    if purpose == Purpose::Upgrade && is_new {
        must(ghost.new_passed, "upgraded without a verdict");
        must(!killed_at_deploy || disk_was_bad, "upgraded after a kill at deploy");
        must(state.previous.as_ref().is_some_and(|previous| previous.release.key == "old"), "no way back is kept");
    }
    if !state.refused.is_empty() && purpose == Purpose::Upgrade {
        must(refused, "refused though the app did not say no to it");
    }
    if state.stuck.is_some() {
        must(no_on_the_way_back || late_no, "stuck though nobody said no on the way back");
        must(!way_back || no_to_both, "stuck though what ran before could be brought back");
        must(!late_without_a_writer, "stuck for people who cannot have written");
    }
    match end {
        None => {}
        Some(End::Upgraded) => must(is_new, "upgraded, and the state does not say so"),
        Some(End::RolledBack) => {
            let undone = way_back && ghost.noes.iter().any(|no| no.step >= Step::Withdraw);
            must(undone || refused || killed_at_deploy || disk_was_bad, "rolled back without a cause");
            must(purpose != Purpose::Take, "rolled back though nothing was to be taken");
            must(
                !way_back || state.current.is_some() && state.left.is_empty(),
                "undone, and the state does not say so",
            );
            must(!took_back_too_much, "what people have been writing for long was taken back");
        }
        Some(End::Blocked) => must(!is_new || world.is_way_back(), "blocked, and the release is another"),
        Some(End::Stuck) => must(state.stuck.is_some(), "stuck, and the state does not say so"),
        Some(End::WentBack) => must(world.is_way_back(), "went back though nobody asked for it"),
        Some(End::Taken) => must(purpose == Purpose::Take && state.kept.contains("t1"), "no snapshot was kept"),
    }
    let old_again = matches!(end, Some(End::RolledBack | End::Blocked | End::WentBack | End::Taken));
    must(
        match (way_back, end) {
            (true, Some(End::RolledBack)) => ghost.new_passed,
            (true, Some(End::Blocked)) => true,
            _ => !old_again || ghost.old_passed,
        },
        "closed without a verdict",
    );
    let is_told = !state.due_alerts.is_empty() || !is_bad(end, state);
    must(is_told, "nobody is told");
    let faulty = matches!(end, Some(End::RolledBack | End::Blocked)) && purpose == Purpose::Upgrade;
    if faulty && ghost.noes.is_empty() && !disk_was_bad {
        let was_killed = world.happened.iter().filter(|event| event.is_kill()).count() == world.happened.len();
        let counted = state.interrupted.as_ref().map_or(0, |interrupted| interrupted.times);
        must(!was_killed || counted == 1, "a kill was not counted");
    }
    if let Some(first) = wrong.into_iter().next() {
        world.broken(Law::EndFits, format!("{first} ({end:?})"));
    }
}

fn is_bad(end: Option<End>, state: &State) -> bool {
    state.stuck.is_some() || matches!(end, Some(End::RolledBack | End::Blocked))
}

/// What ran before has its data, and what ran for the time of a try is kept.
fn undone(world: &mut World) {
    for (volume, data) in left_by_hand(world) {
        let found = world.disk.data(Place::Volume(volume), Name::Data);
        if found != Some(data) {
            world.broken(Law::NewData, format!("volume {volume} was left with {found:?} instead of {data:?}"));
        }
    }
    let volumes = if world.ghost.asked_since.is_some() { world.scenario.volumes } else { 0 };
    for volume in 0..volumes {
        let aside = world.disk.data(Place::Volume(volume), Name::Failed(TX));
        if aside != world.ghost.good.get(usize::from(volume)).copied() {
            world.broken(Law::FailedKept, format!("what was written to volume {volume} is not kept: {aside:?}"));
        }
    }
}

fn kept(world: &mut World, state: &State, end: Option<End>) {
    let is_stuck = state.stuck.is_some();
    let is_undone = end == Some(End::RolledBack) && world.is_way_back();
    let went_back = matches!(end, Some(End::RolledBack | End::WentBack)) && !is_undone;
    if is_undone {
        undone(world);
    }
    let mut failed = 0;
    for volume in world.volumes_in_all() {
        let place = Place::Volume(volume);
        let names = world.disk.names(place);
        failed = failed.max(names.iter().filter(|name| matches!(name, Name::Failed(_))).count());
        if !is_stuck && names.iter().any(|name| matches!(name, Name::New(_))) {
            world.broken(Law::OneFailed, format!("a stage of volume {volume} is left"));
        }
        let Some(bad) = world.ghost.bad.get(&volume).copied().filter(|_| went_back) else { continue };
        let aside = world.disk.find(place, Name::Failed(TX)).map(|inode| world.disk.kept(inode).clone());
        if !matches!(aside, Some(Content::Tree(data)) if data == bad) {
            world.broken(Law::FailedKept, format!("what was written to volume {volume} is not kept: {aside:?}"));
        }
        if volume >= world.scenario.volumes && world.disk.data(place, Name::Data).is_some() {
            world.broken(Law::FailedKept, format!("volume {volume} still holds the failed release's data"));
        }
    }
    if failed > 1 && !is_stuck {
        world.broken(Law::OneFailed, "more than one failed is left");
    }
    let upgraded = state.current.as_ref().is_some_and(|current| current.key == "new") && !world.is_way_back();
    if (upgraded || end == Some(End::Taken)) && !world.ghost.is_damaged {
        let named = match end {
            Some(End::Taken) => state.kept.first().cloned(),
            _ => state.previous.as_ref().and_then(|previous| previous.release.snapshot.clone()),
        };
        let is_there = named.as_deref() == Some("t1") && is_stored_for_good(world);
        let holds = world.scenario.volumes == 0 || is_there;
        if !holds {
            world.broken(Law::KnownGood, "the snapshot of the release before is not whole");
        }
    }
}
