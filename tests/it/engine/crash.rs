//! Upgrades and ways back by the real program on a real Engine, killed at every write of their journal, in every act and
//! at random moments. What a timer starts finishes each: old version on old data, or new version that passed its gate.
//!
//! `EVENKEEL_KILLS=N`: N random moments, on every way; all writes of each way are killed before and after, too. Without it:
//! an upgrade that fails, and of a way back by hand that leads nowhere what no other way has.
//! `EVENKEEL_SEED`: the same random moments again.

mod daemon;
mod doomed;
mod doubt;
mod life;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use doomed::{Moment, Seen, acts, kill_at};
use life::{Going, Life, Way};

use crate::chance::{Chance, number_in};

/// So many apps live side by side: most of their time is waiting.
const AT_ONCE: usize = 6;
/// An act may be over before the kill arrives.
const TRIES: usize = 8;
const RANDOM: usize = 5;

/// One kill that was survived.
struct Death {
    way: Way,
    killed: bool,
    /// Where its journal stood.
    step: Option<&'static str>,
    act: Option<&'static str>,
    /// What was begun came about.
    came_about: bool,
}

impl Death {
    fn words(&self) -> String {
        let (step, act) = (self.step.unwrap_or("nothing open"), self.act.unwrap_or("between acts"));
        let end = if self.came_about { "came about" } else { "did not come about" };
        match self.killed {
            true => format!("killed at {step}, {act}; {end}"),
            false => format!("was over before; {end}"),
        }
    }
}

/// One kill from its beginning to its end.
fn dies_and_is_finished(life: &mut Life, way: Way, moment: Moment) -> Death {
    let going = life.going(way);
    let seen = life.sets_out(&going, vec![kill_at(moment)]);
    let step = life.state().open.map(|open| open.step.word());
    life.good_data_is_somewhere(&going);
    let stand = life.is_finished_by_resume(&going, seen.writes > 0);
    Death {
        way,
        killed: seen.is_killed(),
        step,
        act: seen.act.filter(|_| seen.is_killed() && step.is_some()),
        came_about: stand.version != going.before.version || stand.data != going.before.data,
    }
}

/// One way that nobody disturbs: how many writes its journal has, and how long it takes.
fn undisturbed(life: &mut Life, way: Way) -> Seen {
    let going: Going = life.going(way);
    let seen = life.sets_out(&going, vec![]);
    assert_eq!(seen.code, Some(way.code()), "{}", seen.said);
    assert_eq!(seen.turned.is_some(), way.code() == 11, "{}", seen.said);
    life.has_ended(&going, true);
    seen
}

/// All of these, shared among the lives.
fn all(lives: &mut [Life], moments: Vec<(Way, Moment)>) -> Vec<Death> {
    let (left, deaths) = (Mutex::new(VecDeque::from(moments)), Mutex::new(Vec::new()));
    let next = || left.lock().unwrap().pop_front();
    thread::scope(|scope| {
        for life in lives {
            scope.spawn(|| {
                while let Some((way, moment)) = next() {
                    let begun = Instant::now();
                    let death = dies_and_is_finished(life, way, moment);
                    eprintln!("{way:?} {moment:?}: {} ({:.0?})", death.words(), begun.elapsed());
                    deaths.lock().unwrap().push(death);
                }
            });
        }
    });
    deaths.into_inner().unwrap()
}

/// What is to be walked, from what was seen of each way.
fn moments(ways: &BTreeMap<Way, Seen>, random: usize, everything: bool) -> Vec<(Way, Moment)> {
    let mut moments = Vec::new();
    for (way, seen) in ways {
        let only_its_own = !everything && *way == Way::Undone;
        let first = seen.turned.filter(|_| only_its_own).unwrap_or(1);
        for write in first..=seen.writes {
            moments.extend(everything.then_some((*way, Moment::Before(write))));
            moments.push((*way, Moment::After(write)));
        }
    }
    let ways: Vec<_> = ways.iter().filter(|(way, _)| everything || **way == Way::Bad).collect();
    let seed = number_in("EVENKEEL_SEED")
        .unwrap_or_else(|| SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs());
    eprintln!("EVENKEEL_SEED={seed}");
    let mut chance = Chance(seed);
    for _ in 0..random {
        let (way, seen) = ways[chance.below(ways.len() as u32) as usize];
        let millis = u64::from(chance.below(seen.took.as_millis() as u32));
        moments.push((*way, Moment::Since(Duration::from_millis(millis))));
    }
    moments
}

fn missing(deaths: &[Death]) -> Vec<&'static str> {
    acts().into_iter().filter(|act| !deaths.iter().any(|death| death.act == Some(act))).collect()
}

#[test]
fn killed_at_every_write_in_every_act_and_at_random_moments_it_comes_to_one_of_its_two_ends() {
    let kills = number_in("EVENKEEL_KILLS");
    let ways = match kills {
        Some(_) => vec![Way::Bad, Way::Good, Way::Rollback, Way::Restore, Way::Undone],
        None => vec![Way::Bad, Way::Undone],
    };
    let mut lives: Vec<Life> = thread::scope(|scope| {
        let begun: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(Life::begin)).collect();
        begun.into_iter().map(|life| life.join().unwrap()).collect()
    });
    let seen = ways.into_iter().map(|way| (way, undisturbed(&mut lives[0], way))).collect();
    let random = kills.map_or(RANDOM, |kills| kills.try_into().unwrap());
    let mut deaths = all(&mut lives, moments(&seen, random, kills.is_some()));
    for _ in 0..TRIES {
        let way = |act| if act == "GiveBack" { Way::Undone } else { Way::Bad };
        let aimed = missing(&deaths).into_iter().map(|act| (way(act), Moment::At(act))).collect();
        deaths.extend(all(&mut lives, aimed));
    }

    tell(&deaths);
    assert_eq!(missing(&deaths), Vec::<&str>::new(), "acts in which no run was killed");
    for step in ["stop", "snapshot", "deploy", "judge", "withdraw", "restore", "redeploy", "rejudge"] {
        let is_there = |death: &Death| death.killed && death.step == Some(step);
        assert!(deaths.iter().any(is_there), "no run was killed at {step}");
    }
}

/// For whoever looks.
fn tell(deaths: &[Death]) {
    let count = |of: fn(&Death) -> String| {
        let mut counted = BTreeMap::<String, usize>::new();
        deaths.iter().filter(|death| death.killed).for_each(|death| *counted.entry(of(death)).or_default() += 1);
        counted
    };
    eprintln!("{} runs, {} of them killed", deaths.len(), deaths.iter().filter(|death| death.killed).count());
    eprintln!("by way and whether it came about: {:?}", count(|d| format!("{:?} {}", d.way, d.came_about)));
    eprintln!("by step: {:?}", count(|d| d.step.unwrap_or("-").to_owned()));
    eprintln!("by act: {:?}", count(|d| d.act.unwrap_or("-").to_owned()));
}
