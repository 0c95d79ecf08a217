//! The Engine itself is killed in the middle of an upgrade, and started again: the run waits for it, and what it leaves
//! open is finished by what the timer starts.

use std::process::Child;

use super::doomed::{Moment, Strike};
use super::life::{Life, Mark, Way};
use crate::chance::number_in;
use crate::engine::private::PrivateEngine;
use crate::world::World;

/// At which step of which way and in which act of it, and whether containerd and all containers go with it.
type Case = (Way, &'static str, &'static str, bool);
const ALWAYS: [Case; 3] =
    [(Way::Good, "stop", "AwaitEnd", false), (Way::Good, "stop", "AwaitEnd", true), (Way::Bad, "judge", "Judge", true)];
const MORE: [Case; 9] = [
    (Way::Good, "deploy", "Deploy", false),
    (Way::Good, "deploy", "Deploy", true),
    (Way::Good, "judge", "Judge", false),
    (Way::Good, "judge", "Judge", true),
    (Way::Bad, "withdraw", "AwaitEnd", false),
    (Way::Bad, "withdraw", "AwaitEnd", true),
    (Way::Bad, "restore", "Unpack", true),
    (Way::Bad, "restore", "Exchange", false),
    (Way::Bad, "restore", "SetAside", true),
];

#[test]
fn an_engine_that_is_killed_in_the_middle_undoes_nothing_and_loses_nothing() {
    let engine = PrivateEngine::start().with_image();
    let world = World::on(&engine);
    world.ok(&["swarm"]);
    let mut life = Life::on(world, &engine);
    let more = if number_in("EVENKEEL_KILLS").is_some() { &MORE[..] } else { &[] };
    for case in ALWAYS.iter().chain(more) {
        is_killed_in(&mut life, &engine, *case);
    }
}

fn is_killed_in(life: &mut Life, engine: &PrivateEngine, (way, step, act, all): Case) {
    // Where its end is waited for, it takes a minute.
    let slow = match step {
        "stop" => Some(Mark::Slow),
        "withdraw" => Some(Mark::SlowWhereBad),
        _ => None,
    };
    slow.iter().for_each(|mark| life.set(*mark));
    let going = life.going(way);
    let dies = |_: &mut Child| {
        assert!(slow.is_none() || life.runs_something(), "all of it has ended before the Engine was killed");
        engine.kill(all);
        engine.again();
    };
    let nothing_yet: Strike<'_> = (Moment::Step(step), Box::new(|_| ()));
    let seen = life.sets_out(&going, vec![nothing_yet, (Moment::At(act), Box::new(dies))]);
    let is_open = life.state().open.is_some();
    eprintln!("{way:?} {step} {act} all={all}: the run ended with {:?}, open: {is_open}", seen.code);
    assert!(!seen.is_killed() && seen.writes > 1, "{}", seen.said);
    if step == "stop" {
        // Nobody saw how it ended, so its data is not taken for whole.
        assert_eq!((seen.code, is_open), (Some(12), false), "{}", seen.said);
    }
    life.good_data_is_somewhere(&going);
    life.is_finished_by_resume(&going, true);
    slow.iter().for_each(|mark| life.unset(*mark));
}
