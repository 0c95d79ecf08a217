//! Nights that the timer begins, and what people are told of them.

use super::machine::Machine;
use super::settings::{Version, apps, recipe, recipe_with};
use super::{NEW, OLD};

const APPS: [&str; 3] = ["bad", "good", "held"];
const MAJOR: &str = "2.0.0+2";

#[test]
fn each_night_ends_as_its_versions_deserve_and_people_are_told_once() {
    let recipes = APPS.map(|name| (name, recipe()));
    let machine = Machine::installed(&apps(&APPS, ""), &[], &recipes.each_ref().map(|(name, recipe)| (*name, recipe)));
    machine.boot();
    assert_eq!(APPS.map(|app| machine.version(app)), [OLD; 3], "{}", machine.journal());
    machine.put_recipe("bad", &recipe_with(NEW, Version::Bad));
    machine.put_recipe("good", &recipe_with(NEW, Version::Good));
    machine.put_recipe("held", &recipe_with(MAJOR, Version::Good));

    takes_what_is_good_and_tells_the_rest(&machine);
    says_nothing_twice(&machine);
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

fn sorted(mut list: Vec<String>) -> Vec<String> {
    list.sort();
    list
}
