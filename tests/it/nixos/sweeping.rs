//! Sweeps that the timer begins: what a switch and a night do meanwhile, and what people are told.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use super::machine::{Machine, Service, stack};
use super::settings::{Version, canonicals, recipe, recipe_with};
use super::{NEW, OLD, STATE_DIR, VOLUMES};
use crate::power::prepared::put_files;

const SWEEP: &str = "evenkeel-sweep.service";
const ACTIVATION: &str = "evenkeel-canonical.service";
const NIGHT: &str = "evenkeel-app-upgrade.service";
const WIKI: &str = "warm-wiki";
const BAD: &str = "1.2.0+1";

#[test]
fn a_switch_neither_ends_a_sweep_nor_waits_for_it_and_a_night_comes_after_it() {
    let mut machine = Machine::installed(&settings(99), &[], &[("wiki", &recipe()), ("notes", &recipe())]);
    machine.boot();
    assert_eq!(machine.version("notes"), OLD, "{}", machine.journal());
    makes_the_first_known_good(&machine);

    machine.put_recipe("wiki", &recipe_with(NEW, Version::Slow));
    machine.put_recipe("notes", &recipe_with(NEW, Version::Good));
    let last = machine.elapse("evenkeel-sweep");
    let cold = machine.until("the new version runs cold", || throw_away(&machine));
    leaves_it_alone(&mut machine, 98, "converged");
    let last_night = machine.nightfall();
    machine.until("the night waits for the sweep", || is_waiting(&machine, NIGHT).then_some(()));
    fs::write(cold.join("well"), "").unwrap();

    machine.until("the new version is judged in its place", || {
        (machine.data(WIKI, "schema") == "2\n" && step(&machine).as_deref() == Some("judge")).then_some(())
    });
    leaves_it_alone(&mut machine, 97, "waiting");
    assert!(is_waiting(&machine, NIGHT), "{}", machine.journal());
    fs::write(machine.host.path(format!("{VOLUMES}/{}_data/_data/well", stack(WIKI))), "").unwrap();

    let (sweep, said) = ended_after(&machine, &last);
    assert_eq!((sweep.result.as_str(), sweep.code.as_str()), ("success", "0"), "{said}");
    assert!(said.contains("promoted"), "{said}");
    rests_at(&machine, NEW, "2\n");
    let night = machine.ended_after("evenkeel-nightly.service", &last_night);
    assert_eq!(night.result, "success", "{}", machine.journal());
    assert_eq!(machine.version("notes"), NEW, "the night is not lost: {}", machine.journal());

    refuses_what_fails_and_tells_once(&machine);
}

#[test]
fn a_sweep_that_a_power_cut_ended_goes_on_with_the_boot_and_does_nothing_twice() {
    let settings = canonicals(&["notes", "wiki"], "prune.watermark = 99;");
    let recipes = [("notes", recipe()), ("wiki", recipe_with(NEW, Version::Slow))];
    let machine = Machine::installed(&settings, &[], &recipes.each_ref().map(|(name, recipe)| (*name, recipe)));
    machine.boot();
    put_files(&machine.host, "/etc/systemd/system", &[("well.service", MAKES_WELL)]);
    machine.host.shell("systemctl enable --quiet well.service");
    let last = machine.elapse("evenkeel-sweep");
    machine.until("the second one is judged", || (step(&machine).as_deref() == Some("judge")).then_some(()));
    let before = machine.state("notes");
    assert_eq!(before["warm"]["status"], "idle", "{}", machine.journal());

    machine.host.shell("rm -r /etc/systemd/system/evenkeel-sweep.timer.d; sync");
    machine.reboot();

    let (sweep, said) = ended_after(&machine, &last);
    assert_eq!((sweep.result.as_str(), sweep.code.as_str()), ("success", "0"), "{said}");
    assert!(said.contains("a sweep that was cut short goes on"), "{said}");
    rests_at(&machine, NEW, "2\n");
    assert_eq!(machine.state("notes"), before, "{said}");
    let table: Value = serde_json::from_str(&machine.host.shell(&format!("cat {STATE_DIR}/sweep.json"))).unwrap();
    assert!(table["ended"].is_string(), "{table:#}");

    machine.reboot();
    assert_eq!(machine.service(SWEEP).start, "", "what has ended is not gone on with: {}", machine.journal());
}

/// Whatever of `wiki` runs is well, from the next boot on.
const MAKES_WELL: &str = "[Service]
ExecStart=/bin/sh -c 'while sleep 0.2; do for data in /var/lib/docker/volumes/*wiki*_data/_data; do [ ! -e $$data/schema ] || touch $$data/well; done; done'
[Install]
WantedBy=multi-user.target
";

fn settings(watermark: u8) -> String {
    let notes =
        r#"apps.notes = { recipe.url = "/srv/recipes/notes"; gate = { stableFor = "1s"; within = "600s"; }; };"#;
    canonicals(&["wiki"], &format!("{notes} prune.watermark = {watermark};"))
}

/// With the rights of its unit, and no others.
fn makes_the_first_known_good(machine: &Machine) {
    let last = machine.elapse("evenkeel-sweep");
    let (sweep, said) = ended_after(machine, &last);
    assert_eq!((sweep.result.as_str(), sweep.code.as_str()), ("success", "0"), "{said}");
    rests_at(machine, OLD, "1\n");
}

/// A switch to settings that change the unit of the sweep that runs.
fn leaves_it_alone(machine: &mut Machine, watermark: u8, says: &str) {
    let before = machine.service(SWEEP);
    assert_eq!(before.state, "activating", "{}", machine.journal());
    let switch = machine.switch(&settings(watermark));
    let after = machine.service(SWEEP);
    assert_eq!((&after.state, &after.start), (&before.state, &before.start), "{}", machine.journal());
    assert!(switch.skip.contains(SWEEP), "{switch:?}");
    let activation = machine.service(ACTIVATION);
    assert_eq!((activation.result.as_str(), activation.code.as_str()), ("success", "0"), "{activation:?}");
    let said = machine.said(&activation);
    assert!(said.contains(says), "{said}");
}

fn refuses_what_fails_and_tells_once(machine: &Machine) {
    machine.put_recipe("wiki", &recipe_with(BAD, Version::Bad));
    for code in ["11", "10"] {
        let last = machine.elapse("evenkeel-sweep");
        let (sweep, said) = ended_after(machine, &last);
        assert_eq!((sweep.result.as_str(), sweep.code.as_str()), ("success", code), "{said}");
        rests_at(machine, NEW, "2\n");
        machine.until("all is relayed", || machine.waiting().is_empty().then_some(()));
        assert_eq!(machine.told_to_people(), [format!("wiki rollback {BAD}")], "{}", machine.journal());
    }
}

/// Nothing runs of it or of its tests, and its data is what its version made.
#[track_caller]
fn rests_at(machine: &Machine, version: &str, schema: &str) {
    let known =
        (machine.version("wiki"), machine.data(WIKI, "schema"), machine.state("wiki")["warm"]["status"].clone());
    assert_eq!(known, (version.to_owned(), schema.to_owned(), "idle".into()), "{}", machine.journal());
    machine.host.shell("evenkeel snapshot verify wiki");
    assert_eq!(throw_away(machine), None);
    for (kind, object) in [("service", "app"), ("volume", "data")] {
        let found = machine.host.shell(&format!("docker {kind} ls --format '{{{{.Name}}}}' | grep wiki"));
        assert_eq!(found, format!("{}_{object}\n", stack(WIKI)), "{}", machine.journal());
    }
    assert_eq!(machine.host.shell("docker ps --quiet --filter name=wiki"), "", "{}", machine.journal());
}

/// The volume of the app's own stack on a domain that nobody has, once it has run.
fn throw_away(machine: &Machine) -> Option<PathBuf> {
    let names = fs::read_dir(machine.host.path(VOLUMES)).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names = names.map(|name| name.into_string().unwrap());
    let name = names.find(|name| name.starts_with("wiki-") && name.ends_with("_data"))?;
    let data = machine.host.path(format!("{VOLUMES}/{name}/_data"));
    data.join("schema").exists().then_some(data)
}

/// What is done to the canonical itself.
fn step(machine: &Machine) -> Option<String> {
    machine.state("wiki")["warm"]["work"]["step"].as_str().map(str::to_owned)
}

fn is_waiting(machine: &Machine, unit: &str) -> bool {
    let jobs = machine.host.shell("systemctl list-jobs --plain --no-legend --full");
    jobs.lines().any(|job| job.contains(unit) && job.ends_with("waiting"))
}

fn ended_after(machine: &Machine, last: &str) -> (Service, String) {
    let service = machine.ended_after(SWEEP, last);
    let said = machine.said(&service);
    (service, said)
}
