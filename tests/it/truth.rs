//! No green that is red, no red that is green: what happened on the Engine, what the Docker CLI said, what we said.
//!
//! Each situation is brought about on three stacks of the same content: one is deployed with `docker stack deploy
//! --detach=false`, one with its default, one with `evenkeel app`. What is true is read from the Engine itself.
//! `tests/truth` prints the table; `EVENKEEL_TRUTH` holds words of which one has to be in a situation's name.

mod by_hand;
mod changes;
mod facts;
mod installs;
mod place;
mod refusals;
mod situation;
mod table;

use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use facts::Seen;
use place::{Place, Printed};
use situation::{Before, Situation};
use table::{Line, Row};

use crate::fixtures::RecipeRepo;
use crate::world::World;

/// The name of every app of ours.
const APP: &str = "x";
const VERSION: &str = "1.0.0+1.0.0";
/// What a person would wait for the Docker CLI: it has no deadline of its own.
const SECONDS: u32 = 30;
/// A deploy that only makes the starting point.
const SECONDS_BEFORE: u32 = 120;
/// So many situations are brought about at once, on three stacks each.
const AT_ONCE: usize = 6;

#[test]
fn what_we_say_is_what_happened() {
    let situations: Vec<Situation> =
        [installs::all(), refusals::all(), changes::all(), by_hand::all()].into_iter().flatten().collect();
    let asked = std::env::var("EVENKEEL_TRUTH").unwrap_or_default();
    let words: Vec<&str> = asked.split_whitespace().collect();
    let is_asked = |situation: &&Situation| words.is_empty() || words.iter().any(|word| situation.name.contains(word));
    let situations: Vec<&Situation> = situations.iter().filter(is_asked).collect();

    let began = Instant::now();
    let rows = all_brought_about(&situations);
    println!("\n{}", table::printed(&rows, began.elapsed()));
    let wrong: Vec<String> = rows.iter().filter_map(Row::wrong).collect();
    assert!(!rows.is_empty(), "no situation has one of these words in its name: {asked}");
    assert!(wrong.is_empty(), "{} rows are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// A row for each, in their order.
fn all_brought_about(situations: &[&Situation]) -> Vec<Row> {
    let next = Mutex::new(situations.iter().enumerate());
    let rows = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let Some((number, situation)) = next.lock().unwrap().next() else { return };
                    let row = brought_about(situation);
                    rows.lock().unwrap().push((number, row));
                }
            });
        }
    });
    let mut rows = rows.into_inner().unwrap();
    rows.sort_by_key(|(number, _)| *number);
    rows.into_iter().map(|(_, row)| row).collect()
}

fn brought_about(situation: &Situation) -> Row {
    thread::scope(|scope| {
        let waiting = scope.spawn(|| by_the_cli(situation, false));
        let detached = scope.spawn(|| by_the_cli(situation, true));
        let ours = scope.spawn(|| by_us(situation));
        let of_cli = |printed: Result<(String, Printed), String>| match printed {
            Ok((stack, printed)) => Line::of_cli(&printed, &stack, situation.good, SECONDS),
            Err(wrong) => Line::not_so(wrong),
        };
        Row {
            name: situation.name,
            good: situation.good,
            facts: situation.facts.clone(),
            waiting: of_cli(ended(waiting.join())),
            detached: of_cli(ended(detached.join())),
            ours: ended(ours.join()).unwrap_or_else(Line::not_so),
            leaving: situation.ours.facts.clone(),
        }
    })
}

/// A step that panicked is a row that is wrong; the others go on.
fn ended<T>(joined: thread::Result<Result<T, String>>) -> Result<T, String> {
    joined.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        Err(text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default())
    })
}

/// The stack, and what the Docker CLI says of it; with `--detach=false` the facts have to follow.
fn by_the_cli(situation: &Situation, detach: bool) -> Result<(String, Printed), String> {
    static STACKS: Mutex<u32> = Mutex::new(0);
    let number = {
        let mut stacks = STACKS.lock().unwrap();
        *stacks += 1;
        *stacks
    };
    let place = Place::new(format!("evenkeel-test-cli{number}"));
    let nothing = Seen::default();
    if let Some(Before { compose, up, then }) = &situation.before {
        place.stack_deploy(compose, true, SECONDS_BEFORE);
        place.until(up, &nothing)?;
        if let Some((compose, facts)) = then {
            place.stack_deploy(compose, true, SECONDS_BEFORE);
            place.until(facts, &nothing)?;
        }
    }
    situation.by_hand.iter().for_each(|deed| deed(&place));
    let before = place.seen();
    let printed = place.stack_deploy(&situation.compose, detach, SECONDS);
    if !detach {
        place.until(&situation.facts, &before)?;
    }
    Ok((place.stack.clone(), printed))
}

/// What we say, held against what is expected of us, and against the Engine as it is at that very moment.
fn by_us(situation: &Situation) -> Result<Line, String> {
    let mut recipe = RecipeRepo::empty();
    recipe.publish(VERSION, &[("compose.yml", "version: '3.9'\nservices: {}\n"), (".env.sample", "")]);
    let mut world = World::new();
    let place = Place::new(world.stack(APP));
    let gate = if situation.ours.gate.contains("within") { "" } else { ", within = \"150s\"" };
    let compose = place.path().join("stack.yml");
    let lines = format!("compose = [\"{}\"]\ngate = {{ {}{gate} }}", compose.display(), situation.ours.gate);
    world.declare(APP, &recipe.url(), VERSION, &lines);
    let run = |text: &str| {
        place.file("stack.yml", place.fill(text).as_bytes());
        world.run(&["app", APP])
    };
    if let Some(Before { compose, up, then }) = &situation.before {
        let said = run(compose);
        if let Some(wrong) = place.denies(up, &Seen::default()) {
            return Err(format!("before: {wrong}; {said:?}"));
        }
        then.iter().for_each(|(compose, _)| drop(run(compose)));
    }
    situation.by_hand.iter().for_each(|deed| deed(&place));
    let before = place.seen();
    let said = run(&situation.compose);
    let wrong = situation.ours.differs_from(&said).or_else(|| place.denies(&situation.ours.facts, &before));
    Ok(Line::of_ours(&said, &place.stack, wrong))
}
