//! What happens around an upgrade that runs: switches, and a restart of Docker.

use std::sync::mpsc;
use std::thread;

use super::machine::Machine;
use super::settings::{Version, apps, recipe, recipe_with};
use super::{NEW, OLD, WELL};
use crate::power::play::Unit;
use crate::power::watched::{Verdict, Watched};

const UPGRADE: &str = "evenkeel-app-upgrade.service";

#[test]
fn a_switch_neither_ends_an_upgrade_nor_waits_for_it() {
    let mut machine = Machine::installed(&apps(&["wiki"], ""), &[], &[("wiki", &recipe())]);
    machine.boot();
    machine.put_recipe("wiki", &recipe_with(NEW, Version::Slow));
    let command = machine.rendered.command(UPGRADE);
    let unit = Unit { name: UPGRADE.into(), command, begin: String::new() };
    let socket = unit.have_watched(&machine.host);
    let last = machine.nightfall();
    let (tell, told) = mpsc::channel();
    let (go, may_go) = mpsc::channel::<()>();
    // Not waited for: where the test fails, the run is ended with its host.
    thread::spawn(move || {
        let mut is_first = true;
        Watched::accept(&socket).follow(|call| {
            let is_archive = call.path().to_string_lossy().ends_with(".tar.zst") && !call.is_hint;
            if is_archive && std::mem::take(&mut is_first) {
                tell.send(()).unwrap();
                let _ = may_go.recv();
            }
            Verdict::Make
        })
    });

    told.recv().expect("the snapshot was never taken");
    assert_eq!(machine.step("wiki").as_deref(), Some("snapshot"));
    leaves_it_alone(&mut machine, &apps(&["wiki"], "apps.wiki.policy.auto = \"patch\";"));
    assert_eq!(machine.step("wiki").as_deref(), Some("snapshot"));
    go.send(()).unwrap();

    machine.until("the new version is judged", || (machine.step("wiki")? == "judge").then_some(()));
    leaves_it_alone(&mut machine, &apps(&["wiki"], "apps.wiki.policy.auto = \"major\";"));
    machine.host.shell(&format!("touch {WELL}"));
    let night = machine.ended_after("evenkeel-nightly.service", &last);
    assert_eq!(night.result, "success", "{}", machine.journal());
    assert_eq!((machine.version("wiki").as_str(), machine.data("wiki", "schema").as_str()), (NEW, "2\n"));
    assert!(machine.state("wiki")["open"].is_null(), "{}", machine.journal());
}

/// A switch to these settings, which change the unit of the upgrade that runs.
fn leaves_it_alone(machine: &mut Machine, settings: &str) {
    let before = machine.service(UPGRADE);
    assert_eq!(before.state, "activating", "{}", machine.journal());
    let switch = machine.switch(settings);
    let after = machine.service(UPGRADE);
    assert_eq!((&after.state, &after.start), (&before.state, &before.start), "{}", machine.journal());
    assert!(switch.skip.contains(UPGRADE), "{switch:?}");
    let activation = machine.service("evenkeel-app.service");
    assert_eq!((activation.result.as_str(), activation.code.as_str()), ("success", "0"), "{activation:?}");
    let said = machine.said(&activation);
    assert!(said.contains("waiting"), "{said}");
}

#[test]
fn a_changed_pin_is_taken_behind_the_switch_and_outlives_a_restart_of_docker() {
    let pinned = |version: &str| apps(&["wiki"], &format!("apps.wiki.version = \"{version}\";"));
    let mut machine = Machine::installed(&pinned(OLD), &[], &[("wiki", &recipe_with(NEW, Version::Slow))]);
    machine.boot();
    assert_eq!(machine.version("wiki"), OLD, "{}", machine.journal());
    let last = machine.service(UPGRADE).start;

    machine.switch(&pinned(NEW));

    // The new version cannot be well yet, and the switch is over.
    machine.until("the new version is judged", || (machine.step("wiki")? == "judge").then_some(()));
    assert_eq!(machine.service("evenkeel-app.service").result, "success", "{}", machine.journal());
    let before = machine.service(UPGRADE);
    machine.host.shell("systemctl restart docker.service");
    assert_eq!(machine.service(UPGRADE).start, before.start, "the same run goes on: {}", machine.journal());
    machine.host.shell(&format!("touch {WELL}"));
    machine.ended_after(UPGRADE, &last);
    machine.until("nothing is open", || machine.state("wiki")["open"].is_null().then_some(()));
    let ends = [(OLD, "1\n"), (NEW, "2\n")];
    let (version, schema) = (machine.version("wiki"), machine.data("wiki", "schema"));
    assert!(ends.contains(&(&version, &schema)), "{version} on schema {schema}: {}", machine.journal());
    assert!(machine.state("wiki")["stuck"].is_null(), "{}", machine.journal());
}
