//! A sweep that is ended in the middle of a cold run: by SIGKILL at any of its writes, or because it was asked to.

use std::process::Child;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use evenkeel::host::swarm::Kind;
use rustix::process::{Pid, Signal, kill_process};

use super::DEADLINE;
use super::private::PrivateEngine;
use super::recorder::{Moment, Recorder};
use super::yard::{Acts, Yard, compose};
use crate::world::World;

/// A run that is killed at the first request of these words.
struct Doomed {
    run: Child,
    at: (Moment, &'static str, &'static str),
}

impl Doomed {
    fn is_reached(&self, moment: Moment, request: &str) -> bool {
        let (when, method, path) = self.at;
        moment == when && request.starts_with(method) && request.contains(path)
    }
}

#[test]
fn a_sweep_that_was_killed_at_a_write_of_a_cold_run_leaves_nothing_once_the_next_one_has_ended() {
    let doomed = Arc::<Mutex<Option<Doomed>>>::default();
    let waiting = Arc::clone(&doomed);
    let recorder = Recorder::with_hook(PrivateEngine::shared().socket(), move |moment, request| {
        let mut doomed = waiting.lock().unwrap();
        if !doomed.as_ref().is_some_and(|doomed| doomed.is_reached(moment, request)) {
            return true;
        }
        let mut run = doomed.take().unwrap().run;
        run.kill().unwrap();
        run.wait().unwrap();
        false
    });
    let mut yard = Yard::seeded_on(World::on_shared().through(recorder.endpoint()), &["wiki"]);
    let moments = [
        (Moment::Asked, "POST", "/networks/create"),
        (Moment::Answered, "POST", "/secrets/create"),
        (Moment::Answered, "POST", "/services/create"),
        (Moment::Asked, "DELETE", "/services/"),
        (Moment::Answered, "DELETE", "/services/"),
        (Moment::Answered, "DELETE", "/volumes/"),
        (Moment::Answered, "DELETE", "/networks/"),
    ];
    for (number, at) in moments.into_iter().enumerate() {
        let (before, version) = (format!("1.{number}.0+1"), format!("1.{}.0+1", number + 1));
        yard.publish("wiki", &version, Acts::Runs);
        {
            // The run's first request waits for this.
            let mut doomed = doomed.lock().unwrap();
            *doomed = Some(Doomed { run: yard.world.start(&["canonical", "sweep"]), at });
        }
        let begun = Instant::now();
        while doomed.lock().unwrap().is_some() {
            assert!(begun.elapsed() < 2 * DEADLINE, "{at:?} never came: {:#?}", yard.progress());
            std::thread::sleep(Duration::from_millis(20));
        }
        yard.knows("wiki", &before);
        let said = yard.sweep();
        assert_eq!(said.code, 0, "{at:?}: {said:#?}");
        yard.has_row(&said, "wiki", "promoted", &version);
        yard.knows("wiki", &version);
        assert_eq!((yard.throw_aways(), yard.folders()), (vec![], vec![]), "{at:?}");
    }
}

#[test]
fn a_sweep_that_is_asked_to_end_removes_what_it_made_and_is_gone_on_with() {
    let mut yard = Yard::seeded(&["a", "b"]);
    ["a", "b"].iter().for_each(|name| yard.publish(name, "1.1.0+1", Acts::Runs));
    let mut run = yard.world.start(&["canonical", "sweep"]);
    let begun = Instant::now();
    while !yard.throw_aways().iter().any(|marked| marked.kind == Kind::Container) {
        assert!(begun.elapsed() < DEADLINE && run.try_wait().unwrap().is_none(), "{:#?}", yard.progress());
        std::thread::sleep(Duration::from_millis(20));
    }
    kill_process(Pid::from_child(&run), Signal::TERM).unwrap();
    assert_eq!(run.wait().unwrap().code(), Some(0), "it waits for another time");
    assert_eq!((yard.throw_aways(), yard.folders()), (vec![], vec![]));
    yard.knows("a", "1.0.0+1");
    assert!(yard.progress().unwrap()["ended"].is_null());

    let said = yard.sweep();
    assert_eq!(said.code, 0, "{said:#?}");
    ["a", "b"].iter().for_each(|name| yard.has_row(&said, name, "promoted", "1.1.0+1"));
}

#[test]
fn a_recipe_whose_cold_run_would_write_to_others_data_and_one_that_is_paused_are_left_as_they_are() {
    let mut yard = Yard::seeded(&["paused", "shares"]);
    yard.publish("paused", "1.1.0+1", Acts::Runs);
    let mut shares = compose("1.1.0+1", Acts::Runs);
    shares["volumes"]["data"] = serde_json::json!({"name": "evenkeel-test-shared"});
    yard.publish_compose("shares", "1.1.0+1", &shares);
    yard.world.ok(&["pause", "paused"]);
    let said = yard.sweep();
    assert_eq!(said.code, 12, "{said:#?}");
    yard.has_row(&said, "paused", "left alone", "1.0.0+1");
    yard.has_row(&said, "shares", "blocked", "1.1.0+1");
    assert!(
        said.out.contains("it would write to evenkeel-test-shared, which would be the canonical's, too"),
        "{said:#?}"
    );
    ["paused", "shares"].iter().for_each(|name| yard.knows(name, "1.0.0+1"));
    assert_eq!(yard.alerts(), ["shares blocked"]);
    assert_eq!((yard.throw_aways(), yard.folders()), (vec![], vec![]));
}
