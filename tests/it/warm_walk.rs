//! The registry of warm data against a model: what is asked of a canonical, in any order, over a simulated host.
//!
//! A history is a row of things that are asked, each with what befalls it at which moment (kills, power loss, an Engine or
//! a disk that is away, a stop that is not clean), and of what somebody does by hand in between: volumes and snapshots
//! that vanish, are replaced or damaged, services that are started, a prune, a configuration that changes. Every single
//! moment of every kind of work is cut once, and then as many histories as are wanted by chance
//! (`EVENKEEL_WARM_HISTORIES`; `EVENKEEL_WARM_REPLAY` walks one alone). What must hold after each stands in [`laws`]; ways
//! to build it wrong in [`mutants`], each of which has to be found.
//!
//! The border: the acts are simulated, the decisions are the real ones. How they are put together follows
//! `app::canonical`, whose effects are shown on a real Engine by `engine::warming` and `engine::warm_kills`.

mod asking;
mod host;
mod laws;
mod mutants;
mod world;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use evenkeel::model::warm::Status;

use asking::{Ask, ask};
use host::Shared;
use laws::Law;
use mutants::Mutant;
use world::{Event, Hand, World};

use crate::chance::{Chance, number_in};

#[derive(Debug, Clone)]
enum Turn {
    /// What is asked, how many verdicts are No, and what befalls it.
    Ask(Ask, u32, Vec<(u32, Event)>),
    Hand(Hand, u32),
}

fn asked(ask: Ask) -> Turn {
    Turn::Ask(ask, 0, vec![])
}

#[derive(Default)]
struct Tally {
    histories: usize,
    met: BTreeMap<String, usize>,
    wrong: Vec<String>,
}

/// Walks a history, and then brings it to rest and to use.
fn walk(turns: &[Turn], mutant: Option<Mutant>, met: &mut BTreeMap<String, usize>) -> Option<(Law, String)> {
    let world: Shared = Rc::new(RefCell::new(World::new(mutant)));
    let last = [asked(Ask::Settle), asked(Ask::Settle), asked(Ask::Deploy), asked(Ask::Settle)];
    for turn in turns.iter().chain(&last) {
        match turn {
            Turn::Ask(what, noes, events) => {
                prepare(&mut world.borrow_mut(), *noes, events);
                let was = stand(&mut world.borrow_mut());
                let done = ask(&world, *what).is_some();
                after(&mut world.borrow_mut(), *what, *noes, done, &was);
            }
            Turn::Hand(hand, chance) => world.borrow_mut().by_hand(*hand, *chance),
        }
        let world = world.borrow();
        if let Some(wrong) = &world.wrong {
            return Some(wrong.clone());
        }
        *met.entry(format!("{:?}", world.status())).or_default() += 1;
    }
    None
}

fn prepare(world: &mut World, noes: u32, events: &[(u32, Event)]) {
    world.wake();
    world.noes = noes;
    world.events = events.to_vec();
    world.events.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
}

/// How it stands before something is asked.
struct Stand {
    status: Option<Status>,
    key: Option<String>,
    writes: u32,
    had_work: bool,
    is_stored: bool,
    is_at_rest: bool,
    /// The run before was the reconciler too, with nothing in its way, and nothing was done by hand since.
    was_settled: bool,
}

fn stand(world: &mut World) -> Stand {
    Stand {
        was_settled: std::mem::take(&mut world.settled_before),
        status: world.status(),
        key: world.journal.current.as_ref().map(|current| current.key.clone()),
        writes: world.writes,
        had_work: world.work().is_some(),
        is_stored: world.known_snapshot().is_some_and(world::Snapshot::is_whole),
        is_at_rest: !world.runs() && world.status() != Some(Status::Deployed),
    }
}

/// What must hold after a run that came to its end with nothing in its way.
fn after(world: &mut World, ask: Ask, noes: u32, done: bool, was: &Stand) {
    if world.wrong.is_some() || world.befell {
        return;
    }
    if !done {
        return world.broken(Law::Ends, format!("{ask:?} came to no end: {:?}", world.work().map(|work| work.step)));
    }
    if let Some(law) = broken(world, ask, noes, was) {
        world.broken(law, format!("{ask:?} from {:?} ends at {:?}", was.status, world.status()));
    }
    let is_second = ask == Ask::Settle && was.is_at_rest && !was.had_work && was.was_settled;
    if is_second && world.writes != was.writes {
        world.broken(Law::SecondRun, format!("a second run writes: {:?}", world.status()));
    }
    world.settled_before = ask == Ask::Settle;
}

/// The law that such an end breaks, if it does.
fn broken(world: &World, ask: Ask, noes: u32, was: &Stand) -> Option<Law> {
    let stands = world.status();
    let [is_idle, is_deployed, is_lost] = [Status::Idle, Status::Deployed, Status::Lost].map(|one| stands == Some(one));
    let (green, red) = (noes == 0 && !was.had_work, noes > 0 && !was.had_work);
    let is_enrolled = !matches!(was.status, None | Some(Status::Lost));
    let is_same = world.journal.current.as_ref().map(|current| &current.key) == was.key.as_ref();
    let is_noted = world.journal.warm.as_ref().is_some_and(|warm| warm.damaged);
    let (law, is_broken) = match ask {
        Ask::Settle => return not_at_rest(world, is_noted),
        Ask::Seed if green && !is_enrolled => (Law::Done, !is_idle),
        Ask::Seed if red && was.status.is_none() => {
            (Law::Nothing, !world.volumes.is_empty() || world.container.is_some() || stands.is_some())
        }
        Ask::Promote if green && is_enrolled && was.is_stored && was.is_at_rest => (Law::Done, is_same || !is_idle),
        Ask::Promote if red => (Law::Verdict, !is_same),
        Ask::Deploy if green && is_enrolled && was.is_stored => (Law::Done, !is_deployed),
        // What was read and found damaged is noted, and called lost by the next run.
        Ask::Deploy if green && is_enrolled => (Law::Done, !is_deployed && !is_lost && !is_noted),
        Ask::Restore if green && is_enrolled && was.is_stored => (Law::Done, !is_idle),
        _ => return None,
    };
    is_broken.then_some(law)
}

/// After the reconciler.
fn not_at_rest(world: &World, is_noted: bool) -> Option<Law> {
    let stands = world.status();
    let rests = matches!(stands, None | Some(Status::Idle | Status::Dirty | Status::Lost));
    let is_stray = world.container.is_some() && !matches!(stands, None | Some(Status::Lost));
    let is_stored = world.known_snapshot().is_some_and(world::Snapshot::looks_whole) && !is_noted;
    match stands {
        _ if !rests || is_stray || world.work().is_some() => Some(Law::AtRest),
        Some(Status::Dirty | Status::Idle) if !is_stored => Some(Law::Lost),
        _ => None,
    }
}

/// Each kind of work from each way to stand, cut at every moment by everything.
fn singles() -> impl Iterator<Item = Vec<Turn>> {
    const BEFORES: [&[Ask]; 4] = [&[], &[Ask::Seed], &[Ask::Seed, Ask::Deploy], &[Ask::Seed, Ask::Quick]];
    let of = |before: &'static [Ask]| {
        Ask::ALL.into_iter().flat_map(move |ask| {
            let noes = if matches!(ask, Ask::Idle | Ask::Restore | Ask::Settle) { 1 } else { 3 };
            (0..noes).flat_map(move |noes| {
                (1..=length(before, ask, noes)).flat_map(move |at| {
                    Event::ALL.into_iter().map(move |event| {
                        let mut turns: Vec<Turn> = before.iter().copied().map(asked).collect();
                        turns.push(Turn::Ask(ask, noes, vec![(at, event)]));
                        turns
                    })
                })
            })
        })
    };
    BEFORES.into_iter().flat_map(of)
}

/// An end that is not clean, of which the Engine loses the word.
fn pairs() -> impl Iterator<Item = Vec<Turn>> {
    let asked_of = [(Ask::Idle, [Ask::Seed, Ask::Deploy]), (Ask::Promote, [Ask::Seed, Ask::Idle])];
    asked_of.into_iter().flat_map(|(ask, before)| {
        let pairs = (1..=length(&before, ask, 0)).flat_map(|at| (1..6).map(move |later| (at, at + later)));
        pairs.map(move |(at, later)| {
            let turn = Turn::Ask(ask, 0, vec![(at, Event::Unclean), (later, Event::EngineAway)]);
            before.into_iter().map(asked).chain([turn]).collect()
        })
    })
}

/// How many moments it takes where nothing happens.
fn length(before: &[Ask], what: Ask, noes: u32) -> u32 {
    let world: Shared = Rc::new(RefCell::new(World::new(None)));
    for (ask_now, noes) in before.iter().map(|ask| (*ask, 0)).chain([(what, noes)]) {
        prepare(&mut world.borrow_mut(), noes, &[]);
        ask(&world, ask_now);
    }
    world.borrow().tick
}

/// Up to ten turns; most begin with a seed.
fn by_chance(seed: u64) -> Vec<Turn> {
    let mut chance = Chance(seed);
    let mut turns = vec![];
    if chance.below(5) > 0 {
        turns.push(asked(Ask::Seed));
    }
    for _ in 0..=chance.below(9) {
        if chance.below(3) == 0 {
            turns.push(Turn::Hand(Hand::ALL[chance.below(Hand::ALL.len() as u32) as usize], chance.below(1000)));
            continue;
        }
        let ask = Ask::ALL[chance.below(Ask::ALL.len() as u32) as usize];
        let noes = [0, 0, 0, 1, 2][chance.below(5) as usize];
        let event = |chance: &mut Chance| match chance.below(3) {
            0 => Event::Kill,
            _ => Event::ALL[chance.below(Event::ALL.len() as u32) as usize],
        };
        let count = [0, 0, 1, 1, 2][chance.below(5) as usize];
        let events = (0..count).map(|_| (chance.below(60), event(&mut chance))).collect();
        turns.push(Turn::Ask(ask, noes, events));
    }
    turns
}

fn number_of_histories() -> u64 {
    number_in("EVENKEEL_WARM_HISTORIES").unwrap_or(10_000)
}

#[test]
fn no_history_of_a_canonical_breaks_a_law() {
    let mut tally = Tally::default();
    let replay = number_in("EVENKEEL_WARM_REPLAY");
    let chances = replay.map_or(0..number_of_histories(), |seed| seed..seed + 1);
    let listed = singles().chain(pairs()).filter(|_| replay.is_none()).map(|turns| ("listed".to_owned(), turns));
    for (name, turns) in listed.chain(chances.map(|seed| (format!("seed {seed}"), by_chance(seed)))) {
        tally.histories += 1;
        if let Some((law, text)) = walk(&turns, None, &mut tally.met) {
            tally.wrong.push(format!("{law:?}: {text} [{name}: {turns:?}]"));
        }
    }
    println!("{} histories; {:?}", tally.histories, tally.met);
    tally.wrong.sort_by_key(String::len);
    let first: Vec<&String> = tally.wrong.iter().take(5).collect();
    assert!(first.is_empty(), "{} histories break a law:\n{first:#?}", tally.wrong.len());
    assert!(replay.is_some() || tally.met.len() == 7, "a status was never met: {:?}", tally.met);
}

#[test]
fn each_way_to_build_the_registry_wrong_breaks_a_law() {
    let mut survivors = Vec::new();
    for mutant in Mutant::ALL {
        let mut met = BTreeMap::new();
        let mut histories = pairs().chain((0..8_000).map(by_chance)).chain(singles());
        let found = histories.find_map(|turns| walk(&turns, Some(*mutant), &mut met).map(|wrong| (turns, wrong)));
        match found {
            Some((turns, (law, text))) => println!("{mutant:?}: {law:?}: {text} {turns:?}"),
            None => survivors.push(mutant),
        }
    }
    assert!(survivors.is_empty(), "no law forbids {survivors:?}");
}
