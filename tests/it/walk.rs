//! The crash walk: the runner over a simulated host, killed before and after every primitive.
//!
//! A history is where it begins and what befalls it at which moment. Every history in which one thing happens is walked,
//! then pairs of kills and of disk faults, then as many by chance as it takes for 100,000 and more: up to six things, up
//! to three of them kills. `EVENKEEL_HISTORIES` is the number by chance. A history that breaks a law is printed so that
//! `EVENKEEL_REPLAY` walks it alone.
//!
//! What the simulated host promises, the real one shows:
//!
//! | act | what it does here and there | shown for the real one by |
//! |---|---|---|
//! | Quiesce | scales to nothing, removes global services, keeps networks | `engine::upgrading::stopping::a_stopped_stack_runs_nothing_and_keeps_its_networks` |
//! | AwaitEnd | waits for the last word of each; who is killed or unseen is unclean | `who_had_to_be_killed_did_not_stop_cleanly`, `a_slow_end_is_waited_for_and_is_a_clean_one_whatever_its_exit_code`, `what_a_crash_loop_leaves_behind_is_removed` |
//! | ReadIndexes, Prove | holders and writes of others are found | `engine::upgrading::proving` |
//! | Archive, Seal | replace what a killed run left; a seal stands for what is there | `fidelity::faults::what_a_killed_run_left_is_made_again_unless_it_is_whole`, `a_manifest_seals_nothing_that_is_not_there` |
//! | ReadBack | no flipped bit passes | `fidelity::faults::a_flipped_bit_anywhere_is_found_in_archive_and_manifest` |
//! | any write | a full disk is an answer | `fidelity::full` |
//! | SeeStandstill | nothing of the app runs, or something does | `engine::upgrading::stopping::a_stopped_stack_runs_nothing_and_keeps_its_networks` |
//! | Deploy | no two containers hold a volume | `engine::verdict_volumes`, `engine::upgrading::whole` |
//! | Judge | unpacks meanwhile | `engine::upgrading::whole::the_snapshot_is_unpacked_while_the_verdict_is_waited_for` |
//! | Unpack | checks first; takes only what the journal names or what is whole | `fidelity::faults` |
//! | Exchange | the data that gives way is kept | `fidelity::data_comes_back_as_it_was_and_what_gave_way_is_kept` |
//! | SetAside | a created volume's data is kept | `fidelity::data_of_a_volume_that_only_the_failed_version_had_is_kept_and_dropped_later` |
//! | GiveBack | what gave way by hand comes back, wherever the exchange was killed | `host::volumes::give_back`, `engine::upgrades` |
//! | the journal | old or new, whole | `store` |

mod acts;
mod disk;
mod file;
mod history;
mod host;
mod laws;
mod mutants;
mod world;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::iter;
use std::rc::Rc;
use std::thread;

use evenkeel::model::state::State;
use evenkeel::upgrade::run::{self, Ended};
use evenkeel::upgrade::step::End;
use futures_util::FutureExt;

use file::File;
use history::{Event, History, Scenario};
use host::{Host, Shared};
use laws::{Law, Violation};
use mutants::Mutant;
use world::World;

use crate::chance::{Chance, number_in};

const RUNS_AT_MOST: usize = 24;

/// How a history went.
struct Walked {
    wrong: Option<Violation>,
    /// `None`: the run that closed it was killed before it could tell, or nothing was begun.
    end: Option<End>,
    happened: Vec<Event>,
}

fn walk(history: &History, mutant: Option<Mutant>) -> Walked {
    let world = Rc::new(RefCell::new(World::new(history.scenario(), mutant, &history.events)));
    let end = until_nothing_is_open(&world);
    let world = world.borrow();
    Walked { wrong: world.wrong.clone(), end, happened: world.happened.clone() }
}

fn until_nothing_is_open(world: &Shared) -> Option<End> {
    for _ in 0..RUNS_AT_MOST {
        let ran = one_run(world);
        let mut world = world.borrow_mut();
        match ran {
            _ if world.wrong.is_some() => return None,
            Ran::Closed(end) => return end,
            Ran::Open | Ran::Killed => world.wake(),
        }
    }
    let mut world = world.borrow_mut();
    let at = world.journal().and_then(|state| state.open.as_ref().map(|open| open.step));
    world.broken(Law::Ends, format!("{RUNS_AT_MOST} runs were not enough: {at:?}"));
    None
}

enum Ran {
    Closed(Option<End>),
    Open,
    Killed,
}

/// One run of the program: takes up what is open, or begins, and sweeps.
fn one_run(world: &Shared) -> Ran {
    let Some(mut state) = world.borrow().journal().map(|state| State::clone(&state)) else {
        world.borrow_mut().broken(Law::JournalTrue, "the state cannot be read");
        return Ran::Killed;
    };
    found(&mut world.borrow_mut(), &mut state);
    let (mut host, mut file) = (Host::new(world), File::new(world));
    let was_begun = std::mem::replace(&mut world.borrow_mut().ghost.was_begun, true);
    // A killed run never comes back from the act at which it was killed.
    let ended = if state.open.is_some() {
        run::resume(&mut state, &mut host, &mut file).now_or_never()
    } else if was_begun {
        Some(None)
    } else {
        let transaction = host::transaction(&world.borrow().scenario);
        run::begin(&mut state, transaction, &mut host, &mut file).now_or_never().map(Result::ok)
    };
    let Some(ended) = ended.filter(|_| !world.borrow().is_dead) else { return Ran::Killed };
    let is_open = world.borrow().journal().is_some_and(|state| state.open.is_some());
    match ended {
        Some(Ended::Closed { end, .. }) => close(world, Some(end)),
        Some(Ended::Open { .. }) => Ran::Open,
        // Begun in doubt.
        None if is_open => Ran::Open,
        None => close(world, None),
    }
}

fn close(world: &Shared, end: Option<End>) -> Ran {
    let mut world = world.borrow_mut();
    let world = &mut *world;
    let Some(state) = world.journal() else { return Ran::Killed };
    if file::sweep(world, &state).is_err() {
        return Ran::Killed;
    }
    let before = world.disk.changes;
    let again = file::sweep(world, &state);
    if again.is_err() || world.disk.changes != before {
        world.broken(Law::SecondRun, "a second run changes something");
    }
    laws::at_the_end(world, &state, end);
    Ran::Closed(end)
}

/// What a run finds, for the laws; and what a wrong one makes of it.
fn found(world: &mut World, state: &mut State) {
    let was_killed = std::mem::take(&mut world.was_killed);
    if let Some(open) = state.open.as_ref().filter(|open| was_killed && open.left.is_none()) {
        let is_late = open.deployed.is_some_and(|deployed| world.is_late(deployed.as_second()));
        world.ghost.crashes.push((open.step, is_late));
    }
    if let Some(mutant) = world.mutant {
        if mutant == Mutant::SweptWhileOpen {
            let closed = State { open: None, ..state.clone() };
            let _dead_or_not = file::sweep(world, &closed);
        }
        mutant.misread(state);
    }
}

/// Every history in which one thing happens, and those in which nothing does.
fn singles() -> impl Iterator<Item = History> {
    (0..Scenario::all().len()).flat_map(|scenario| {
        let once = move |at| Event::ALL.map(|event| History { scenario, events: vec![(at, event)] });
        let nothing = History { scenario, events: vec![] };
        iter::once(nothing).chain((1..=length(scenario)).flat_map(once))
    })
}

/// Two things of which the second only counts soon after the first: what was written is in doubt, and cannot be written
/// again; somebody comes and goes.
fn pairs() -> impl Iterator<Item = History> {
    const PAIRS: [[Event; 2]; 2] = [[Event::SyncFails, Event::DiskFull], [Event::Stranger, Event::Stranger]];
    let near = |[one, other]: [Event; 2], at| (1..24).step_by(2).map(move |later| vec![(at, one), (at + later, other)]);
    (0..Scenario::all().len()).step_by(4).flat_map(move |scenario| {
        let of = move |pair| (1..=length(scenario)).flat_map(move |at| near(pair, at));
        PAIRS.into_iter().flat_map(of).map(move |events| History { scenario, events })
    })
}

/// How many moments a history has in which nothing happens.
fn length(scenario: usize) -> u32 {
    let world = Rc::new(RefCell::new(World::new(Scenario::all()[scenario], None, &[])));
    one_run(&world);
    world.borrow().tick
}

/// Two kills, the second while the first is being recovered from: one in `stride` of all.
fn kills(stride: usize) -> impl Iterator<Item = History> {
    const KILLS: [Event; 3] = [Event::Kill, Event::PowerLoss(2), Event::PowerLoss(3)];
    let twice = |at: u32, later: u32| {
        KILLS.into_iter().flat_map(move |one| KILLS.map(|other| vec![(at, one), (at + later, other)]))
    };
    let of = move |scenario| {
        let moments = length(scenario);
        let pairs = (1..=moments).flat_map(move |at| (1..=moments).flat_map(move |later| twice(at, later)));
        pairs.map(move |events| History { scenario, events })
    };
    (0..Scenario::all().len()).flat_map(of).step_by(stride)
}

/// Up to six events, up to three of them kills.
fn by_chance(seed: u64) -> History {
    let mut chance = Chance(seed);
    let scenario = chance.below(Scenario::all().len() as u32) as usize;
    let mut events: Vec<(u32, Event)> = Vec::new();
    let mut at = 0;
    for _ in 0..=chance.below(6) {
        at += 1 + if chance.below(3) == 0 { chance.below(8) } else { chance.below(70) };
        let killed = events.iter().filter(|(_, event)| event.is_kill()).count();
        let event = match chance.below(2) == 0 && killed < 3 {
            true => [Event::Kill, Event::KillAndSleep, Event::PowerLoss(chance.below(1 << 16) as u16)]
                [chance.below(3) as usize],
            false => Event::ALL[4 + chance.below(Event::ALL.len() as u32 - 4) as usize],
        };
        events.push((at, event));
    }
    History { scenario, events }
}

/// What was walked, so that a walk that meets nothing is no success.
#[derive(Default)]
struct Tally {
    histories: usize,
    ends: BTreeMap<&'static str, usize>,
    kills: [usize; 4],
    happened: BTreeMap<String, usize>,
    wrong: Vec<String>,
}

impl Tally {
    fn count(&mut self, history: &History, walked: Walked) {
        self.histories += 1;
        let kills = walked.happened.iter().filter(|event| event.is_kill()).count();
        self.kills[kills.min(3)] += 1;
        for event in walked.happened {
            let name = format!("{event:?}");
            let name = name.split('(').next().unwrap_or_default().to_owned();
            *self.happened.entry(name).or_default() += 1;
        }
        *self.ends.entry(end_word(walked.end)).or_default() += 1;
        if let Some(wrong) = walked.wrong {
            self.wrong.push(format!("{wrong} [{history}]"));
        }
    }

    fn add(mut self, other: Tally) -> Self {
        self.histories += other.histories;
        (0..4).for_each(|kills| self.kills[kills] += other.kills[kills]);
        other.ends.into_iter().for_each(|(end, times)| *self.ends.entry(end).or_default() += times);
        other.happened.into_iter().for_each(|(event, times)| *self.happened.entry(event).or_default() += times);
        self.wrong.extend(other.wrong);
        self
    }
}

fn end_word(end: Option<End>) -> &'static str {
    match end {
        None => "killed after the end",
        Some(End::Upgraded) => "upgraded",
        Some(End::RolledBack) => "rolled back",
        Some(End::Blocked) => "blocked",
        Some(End::Stuck) => "stuck",
        Some(End::WentBack) => "went back",
        Some(End::Taken) => "taken",
    }
}

/// Walks on every core.
fn walk_all(by_chance: u64) -> Tally {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let part = |core| histories(by_chance).skip(core).step_by(cores);
        let walkers: Vec<_> = (0..cores).map(|core| scope.spawn(move || walk_some(part(core)))).collect();
        walkers.into_iter().map(|walker| walker.join().unwrap()).fold(Tally::default(), Tally::add)
    })
}

fn histories(by_chance: u64) -> impl Iterator<Item = History> {
    let listed = singles().chain(pairs()).chain(kills(151));
    listed.chain((0..by_chance).map(self::by_chance))
}

fn walk_some(histories: impl Iterator<Item = History>) -> Tally {
    let mut tally = Tally::default();
    histories.for_each(|history| tally.count(&history, walk(&history, None)));
    tally
}

#[test]
fn no_history_breaks_a_law() {
    if let Ok(text) = std::env::var("EVENKEEL_REPLAY") {
        let history: History = text.parse().unwrap();
        assert_eq!(walk(&history, None).wrong.map(|wrong| wrong.to_string()), None, "{:?}", history.scenario());
        return;
    }
    let tally = walk_all(number_in("EVENKEEL_HISTORIES").unwrap_or(40_000));

    println!("{} histories; kills {:?}; {:?}; {:?}", tally.histories, tally.kills, tally.ends, tally.happened);
    let first: Vec<&String> = tally.wrong.iter().take(5).collect();
    assert!(first.is_empty(), "{} histories break a law:\n{first:#?}", tally.wrong.len());
    assert!(tally.histories >= 100_000, "{}", tally.histories);
    assert_eq!(tally.ends.len(), 7, "an end was never met: {:?}", tally.ends);
    assert_eq!(tally.happened.len(), Event::ALL.len() - 1, "something never happened: {:?}", tally.happened);
    assert!(tally.kills.iter().all(|times| *times > 500), "{:?}", tally.kills);
}

#[test]
fn every_state_that_is_written_is_read_as_it_was() {
    for history in (0..300).map(by_chance) {
        let mut world = World::new(history.scenario(), None, &history.events);
        world.reads_back = true;
        until_nothing_is_open(&Rc::new(RefCell::new(world)));
    }
}

#[test]
fn a_printed_history_is_read_again() {
    for seed in 0..200 {
        let history = by_chance(seed);
        assert_eq!(history.to_string().parse::<History>().unwrap(), history);
    }
}

/// The history that breaks a law under each way to build it wrong.
#[test]
fn each_way_to_build_it_wrong_breaks_a_law() {
    let mut survivors = Vec::new();
    for mutant in Mutant::ALL {
        let mut histories = (0..4_000).map(by_chance).chain(pairs()).chain(singles());
        let found = histories.find_map(|history| walk(&history, Some(*mutant)).wrong.map(|wrong| (history, wrong)));
        match found {
            Some((history, wrong)) => println!("{mutant:?}: {wrong} [{history}]"),
            None => survivors.push(mutant),
        }
    }
    assert!(survivors.is_empty(), "no law forbids {survivors:?}");
}
