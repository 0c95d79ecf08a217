//! The sweep over canonicals on a real Engine, and what dead runs leave behind.

use std::fs;
use std::time::{Duration, Instant};

use evenkeel::host::swarm::Kind;
use serde_json::Value;

use super::yard::{Acts, Yard, compose};

/// What five recipes take on a busy machine, one that is given up after 15 s among them.
const BOUND: Duration = Duration::from_secs(240);

#[test]
fn each_recipe_has_its_turn_whatever_became_of_the_others() {
    let mut yard = Yard::seeded(&["crash", "good", "hang", "major", "same"]);
    // Its volumes are fresh, so a secret that is made anew holds nothing.
    yard.publish_files("good", "1.1.0+1", &compose("1.1.0+1", Acts::Runs), "SECRET_KEY_VERSION=v2 # length=16\n");
    yard.publish("crash", "1.1.0+1", Acts::Crashes);
    yard.publish("hang", "1.1.0+1", Acts::Hangs);
    yard.publish("major", "2.0.0+2", Acts::Runs);
    yard.declare("hang", "within = \"15s\"");

    let begun = Instant::now();
    let said = yard.sweep();
    assert!(begun.elapsed() < BOUND, "{:?}: {said:#?}", begun.elapsed());
    assert_eq!(said.code, 11, "{said:#?}");
    for (name, result, version) in [
        ("good", "promoted", "1.1.0+1"),
        ("crash", "refused", "1.1.0+1"),
        ("hang", "refused", "1.1.0+1"),
        ("major", "held", "2.0.0+2"),
        ("same", "unchanged", "1.0.0+1"),
    ] {
        yard.has_row(&said, name, result, version);
    }
    let sum = "sweep: 1 new known-good, of 3 due, of 5 recipes: 1 promoted, 1 unchanged, 1 held, 2 refused";
    assert_eq!(said.out.lines().last(), Some(sum), "{said:#?}");
    yard.knows("good", "1.1.0+1");
    ["crash", "hang", "major", "same"].iter().for_each(|name| yard.knows(name, "1.0.0+1"));
    assert_eq!(yard.alerts(), ["crash rollback", "hang rollback", "major held-major"]);
    assert_eq!((yard.throw_aways(), yard.folders()), (vec![], vec![]));

    // What failed is not tried again, and nobody is told twice.
    let said = yard.sweep();
    assert_eq!(said.code, 10, "{said:#?}");
    for (name, result) in [("good", "unchanged"), ("crash", "held"), ("hang", "held"), ("major", "held")] {
        yard.has_row(&said, name, result, if name == "good" { "1.1.0+1" } else { "1.0.0+1" });
    }
    assert!(said.out.contains("sweep: 0 new known-goods, of 0 due, of 5 recipes"), "{said:#?}");
    assert_eq!(yard.alerts(), ["crash rollback", "hang rollback", "major held-major"]);

    // An approval counts once, whatever became of it.
    yard.world.ok(&["approve", "crash", "1.1.0+1"]);
    yard.world.ok(&["approve", "major", "2.0.0+2"]);
    let said = yard.sweep();
    yard.has_row(&said, "crash", "refused", "1.1.0+1");
    yard.has_row(&said, "major", "promoted", "2.0.0+2");
    yard.knows("major", "2.0.0+2");
    let said = yard.sweep();
    yard.has_row(&said, "crash", "held", "1.0.0+1");
    yard.has_row(&said, "major", "unchanged", "2.0.0+2");
}

#[test]
fn a_killed_sweep_is_gone_on_with_and_repeats_nothing() {
    let mut yard = Yard::seeded(&["a", "b", "c"]);
    ["a", "b", "c"].iter().for_each(|name| yard.publish(name, "1.1.0+1", Acts::Runs));
    let mut child = yard.world.start(&["canonical", "sweep"]);
    let begun = Instant::now();
    while !(is_cold(&yard, "b") && yard.throw_aways().iter().any(|marked| marked.kind == Kind::Container)) {
        assert!(begun.elapsed() < BOUND && child.try_wait().unwrap().is_none(), "{:#?}", yard.progress());
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    yard.knows("a", "1.1.0+1");
    let (first, left) = (yard.recipe("a").unwrap(), yard.throw_aways());
    for kind in [Kind::Service, Kind::Volume, Kind::Network, Kind::Secret, Kind::Config] {
        assert!(left.iter().any(|marked| marked.kind == kind), "every {} is marked: {left:#?}", kind.word());
    }

    let said = yard.sweep();
    assert_eq!(said.code, 0, "{said:#?}");
    ["a", "b", "c"].iter().for_each(|name| yard.has_row(&said, name, "promoted", "1.1.0+1"));
    ["a", "b", "c"].iter().for_each(|name| yard.knows(name, "1.1.0+1"));
    assert_eq!(yard.recipe("a").unwrap(), first, "it was done, and is not done again");
    assert_eq!((yard.throw_aways(), yard.folders()), (vec![], vec![]));
}

/// Its throw-away stack is written down.
fn is_cold(yard: &Yard, name: &str) -> bool {
    yard.recipe(name).is_some_and(|recipe| recipe["throw_away"].is_object())
}

#[test]
fn a_disk_at_its_watermark_ends_the_sweep_after_the_recipe_that_is_under_way() {
    let mut yard = Yard::seeded(&["a", "b", "c"]);
    ["a", "b", "c"].iter().for_each(|name| yard.publish(name, "1.1.0+1", Acts::Runs));
    yard.world.top = "prune = { watermark = 1 }\n".to_owned();
    let said = yard.sweep();
    assert_eq!(said.code, 12, "{said:#?}");
    yard.has_row(&said, "a", "promoted", "1.1.0+1");
    ["b", "c"].iter().for_each(|name| yard.has_row(&said, name, "not reached", "-"));
    assert!(said.out.contains("the sweep was stopped: the file system of "), "{said:#?}");
    assert!(yard.alerts().iter().any(|alert| alert.starts_with("host ")), "{:?}", yard.alerts());

    yard.world.top.clear();
    let said = yard.sweep();
    assert_eq!(said.code, 0, "{said:#?}");
    let order = yard.progress().unwrap()["recipes"].clone();
    let order: Vec<&Value> = order.as_array().unwrap().iter().map(|recipe| &recipe["name"]).collect();
    assert_eq!(order, ["b", "c", "a"], "what was not reached is first the next time");
    yard.has_row(&said, "a", "unchanged", "1.1.0+1");
    ["b", "c"].iter().for_each(|name| yard.has_row(&said, name, "promoted", "1.1.0+1"));
}

#[test]
fn a_sweep_that_did_nothing_and_does_not_say_why_is_an_error() {
    let yard = Yard::of(&[]);
    let said = yard.sweep();
    assert_eq!(said.code, 1, "{said:#?}");
    assert!(said.err.contains("no recipe is enrolled, so nothing was swept"), "{said:#?}");

    let yard = Yard::of(&["a"]);
    let row = |why: &str| {
        format!(
            "{{\"schema\":1,\"began\":\"{now}\",\"by\":\"alice\",\"named\":[],\"recipes\":[{{\"name\":\"a\",\
             \"stands\":\"done\",\"result\":\"not-reached\",\"why\":\"{why}\",\"ts\":\"{now}\"}}]}}",
            now = jiff::Timestamp::now()
        )
    };
    fs::create_dir_all(yard.world.state_dir()).unwrap();
    fs::write(yard.world.state_dir().join("sweep.json"), row("")).unwrap();
    let said = yard.sweep();
    assert_eq!(said.code, 1, "{said:#?}");
    assert!(said.err.contains("the sweep is hollow: something was due for a, and nothing was done"), "{said:#?}");

    fs::write(yard.world.state_dir().join("sweep.json"), row("the disk was full")).unwrap();
    assert_eq!(yard.sweep().code, 12);
}

#[test]
fn two_sweeps_at_once_are_one_and_the_other_says_who_sweeps() {
    let yard = Yard::of(&["a"]);
    let folder = yard.world.state_dir().join("sweep");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("lock"), format!("pid {} evenkeel canonical sweep\n", std::process::id())).unwrap();
    let lock = fs::File::open(folder.join("lock")).unwrap();
    lock.lock().unwrap();
    let said = yard.sweep();
    let told = format!("sweep: waiting: pid {} evenkeel canonical sweep sweeps already", std::process::id());
    assert!(said.code == 0 && said.out.starts_with(&told), "{said:#?}");
    assert!(yard.progress().is_none());
}

#[test]
fn what_could_not_be_looked_for_is_not_called_unchanged() {
    let yard = Yard::seeded(&["a", "b"]);
    fs::rename(yard.path("a"), yard.path("a").with_extension("away")).unwrap();
    let said = yard.sweep();
    assert_eq!(said.code, 1, "{said:#?}");
    yard.has_row(&said, "a", "error", "1.0.0+1");
    assert!(said.out.contains("whether there is a newer version cannot be told"), "{said:#?}");
    yard.has_row(&said, "b", "unchanged", "1.0.0+1");
    fs::rename(yard.path("a").with_extension("away"), yard.path("a")).unwrap();
}

#[test]
fn what_a_killed_sweep_had_begun_and_resume_finished_counts_as_its_work() {
    let mut yard = Yard::seeded(&["a"]);
    yard.publish("a", "1.1.0+1", Acts::Runs);
    let mut child = yard.world.start(&["canonical", "sweep"]);
    let begun = Instant::now();
    while yard.world.state("a")["warm"]["work"]["step"] != "store" {
        assert!(begun.elapsed() < BOUND && child.try_wait().unwrap().is_none(), "{:#?}", yard.progress());
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(yard.world.run(&["resume"]).code, 0);
    yard.knows("a", "1.1.0+1");
    let said = yard.sweep();
    yard.has_row(&said, "a", "promoted", "1.1.0+1");
    assert!(said.out.contains("sweep: 1 new known-good, of 1 due, of 1 recipes"), "{said:#?}");
}
