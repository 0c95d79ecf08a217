//! Nights that the timer begins, and what people are told of them.

use super::machine::Machine;
use super::settings::{Version, apps, recipe, recipe_with};
use super::{NEW, OLD, STATE_DIR};
use crate::fixtures::RecipeRepo;

const APPS: [&str; 3] = ["bad", "good", "held"];
const MAJOR: &str = "2.0.0+2";

#[test]
fn each_night_ends_as_its_versions_deserve_and_people_are_told_once() {
    let recipes = APPS.map(|name| (name, recipe()));
    let mut machine = Machine::installed(
        &apps(&APPS, "prune.watermark = 99;"),
        &[],
        &recipes.each_ref().map(|(name, recipe)| (*name, recipe)),
    );
    machine.boot();
    assert_eq!(APPS.map(|app| machine.version(app)), [OLD; 3], "{}", machine.journal());
    machine.put_recipe("bad", &recipe_with(NEW, Version::Bad));
    machine.put_recipe("good", &recipe_with(NEW, Version::Good));
    machine.put_recipe("held", &recipe_with(MAJOR, Version::Good));

    takes_what_is_good_and_tells_the_rest(&machine);
    says_nothing_twice(&machine);
    tells_of_a_silence_once(&machine);
    prunes_and_tells_of_a_disk_once(&mut machine);
    makes_the_shared_network_again(&mut machine);
}

fn takes_what_is_good_and_tells_the_rest(machine: &Machine) {
    let night = machine.night();
    assert_eq!(night.result, "success", "{night:?}: {}", machine.journal());
    assert_eq!(APPS.map(|app| machine.version(app)), [OLD, NEW, OLD], "{}", machine.journal());
    assert_eq!(APPS.map(|app| machine.data(app, "schema")), ["1\n", "2\n", "1\n"]);
    assert_eq!(machine.service("evenkeel-app-upgrade.service").code, "11", "a rollback is no failure of the unit");
    let expected = [format!("bad rollback {NEW}"), format!("held held-major {MAJOR}")];
    machine.until("both alerts are relayed", || (machine.relayed().len() >= 2).then_some(()));
    assert_eq!(sorted(machine.relayed()), expected, "{}", machine.journal());
    assert_eq!(sorted(machine.told_to_people()), expected, "{}", machine.journal());
}

fn says_nothing_twice(machine: &Machine) {
    let before = (machine.fingerprint(), machine.told_to_people());
    let night = machine.night();
    assert_eq!(night.result, "success", "{night:?}: {}", machine.journal());
    assert_eq!((machine.fingerprint(), machine.told_to_people()), before, "{}", machine.journal());
    assert_eq!(machine.waiting(), Vec::<String>::new());
}

/// As if the last good night were long ago.
fn tells_of_a_silence_once(machine: &Machine) {
    machine.host.shell(&format!(
        "cd {STATE_DIR}; jq '.kinds[].since = \"2020-01-01T03:00:00Z\" | .kinds[].good = \"2020-01-01T03:00:00Z\"' nights.json >/tmp/n
         cat /tmp/n >nights.json"
    ));
    let before = machine.told_to_people();
    for _ in 0..2 {
        let last = machine.elapse("evenkeel-watchdog");
        let watched = machine.ended_after("evenkeel-watchdog.service", &last);
        assert_eq!(watched.result, "success", "{}", machine.journal());
        machine.until("the silence is told", || (machine.told_to_people().len() > before.len()).then_some(()));
    }
    let told = machine.told_to_people();
    assert_eq!(told[before.len()..], ["host silent -"], "{}", machine.journal());
}

fn prunes_and_tells_of_a_disk_once(machine: &mut Machine) {
    // Every disk has reached this watermark.
    machine.switch(&apps(&APPS, "prune.watermark = 1;"));
    let is_of_disk = |told: &String| told == "host disk-low -";
    let (before, mut told) = (machine.told_to_people(), Vec::new());
    for is_first in [true, false] {
        let last = machine.elapse("evenkeel-prune");
        let pruned = machine.ended_after("evenkeel-prune.service", &last);
        assert_eq!(pruned.result, "success", "{}", machine.journal());
        machine.until("all is relayed", || machine.waiting().is_empty().then_some(()));
        let now = machine.told_to_people().split_off(before.len());
        assert!(!now.is_empty() && now.iter().all(is_of_disk) && (is_first || now == told), "{}", machine.journal());
        told = now;
    }
}

/// For the first app that needs it since it went.
fn makes_the_shared_network_again(machine: &mut Machine) {
    let is_there = |machine: &Machine| machine.fingerprint().contains_key("networks proxy");
    assert!(is_there(machine));
    machine.host.shell("docker network prune --force");
    assert!(!is_there(machine), "nothing uses it here");
    machine.put_recipe("page", &RecipeRepo::build("standin-app"));
    machine.switch(&apps(&["bad", "good", "held", "page"], "apps.page.version = \"1.0.0+1.0.0\";"));
    assert!(is_there(machine), "{}", machine.journal());
    assert_eq!(machine.version("page"), "1.0.0+1.0.0", "{}", machine.journal());
}

fn sorted(mut list: Vec<String>) -> Vec<String> {
    list.sort();
    list
}
