//! The Engine itself is killed in the middle of an upgrade, and started again: the run waits for it, and what it leaves
//! open is finished by what the timer starts.

use std::process::Child;

use super::doomed::Moment;
use super::life::{Life, Way};
use crate::chance::number_in;
use crate::engine::private::PrivateEngine;
use crate::world::World;

/// In which act it is killed, on which way, and whether containerd and all containers go with it.
const ALWAYS: [(Way, &str, bool); 3] =
    [(Way::Good, "AwaitEnd", false), (Way::Good, "AwaitEnd", true), (Way::Bad, "Judge", true)];
const MORE: [(Way, &str, bool); 7] = [
    (Way::Good, "Deploy", false),
    (Way::Good, "Deploy", true),
    (Way::Good, "Judge", false),
    (Way::Good, "Judge", true),
    (Way::Bad, "Unpack", true),
    (Way::Bad, "Exchange", false),
    (Way::Bad, "SetAside", true),
];

#[test]
fn an_engine_that_is_killed_in_the_middle_undoes_nothing_and_loses_nothing() {
    let engine = PrivateEngine::start().with_image();
    let world = World::on(&engine);
    world.ok(&["swarm"]);
    let mut life = Life::on(world, &engine);
    let more = if number_in("EVENKEEL_KILLS").is_some() { &MORE[..] } else { &[] };
    for (way, act, all) in ALWAYS.iter().chain(more) {
        is_killed_in(&mut life, &engine, *way, act, *all);
    }
}

fn is_killed_in(life: &mut Life, engine: &PrivateEngine, way: Way, act: &'static str, all: bool) {
    let is_stop = act == "AwaitEnd";
    if is_stop {
        life.is_slow(true);
    }
    let going = life.going(way);
    let dies = |_: &mut Child| {
        engine.kill(all);
        engine.again();
    };
    let seen = life.sets_out(&going, vec![(Moment::At(act), Box::new(dies))]);
    let is_open = life.state().open.is_some();
    eprintln!("{way:?} {act} all={all}: the run ended with {:?}, open: {is_open}", seen.code);
    assert!(!seen.is_killed() && seen.writes > 1, "{}", seen.said);
    if is_stop {
        // Nobody saw how it ended, so its data is not taken for whole.
        assert_eq!((seen.code, is_open), (Some(12), false), "{}", seen.said);
    }
    life.good_data_is_somewhere(&going);
    life.is_finished_by_resume(&going, true);
    if is_stop {
        life.is_slow(false);
    }
}
