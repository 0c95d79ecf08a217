//! The run of a switch: it takes no version, and leaves a pinned one to the unit that does.
//!
//! What is asked of systemd is written down by a program in the place of `systemctl`; what systemd makes of it is shown
//! on a machine that boots.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::nights::{APP, Nights, runs, tells};
use super::recorder::writes;
use crate::world::Said;

const UNIT: &str = "evenkeel-app-upgrade.service";
const SWITCH: [&str; 3] = ["app", APP, "--no-upgrade"];

/// A night's app with 1.1.0+1 published, run as a switch does, where the unit is in this state and `systemctl start` ends
/// with this code.
fn switched(version: &str, lines: &str, unit: &str, code: u8) -> Nights {
    let mut nights = Nights::begin();
    nights.publish("1.1.0+1", &runs("1.1.0"));
    nights.world.ok(&["app", APP, "--no-upgrade"]);
    // The mirror knows of it, as after a night in which nothing was to be taken yet.
    nights.declare("latest", "policy = { auto = \"none\" }");
    tells(&nights.night(), 10, &["held"]);
    nights.declare(version, lines);
    let folder = nights.world.dir.path().join("bin");
    fs::create_dir(&folder).unwrap();
    let program = nights.world.file("bin/systemctl", &script(&nights, unit, code));
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    nights.world.environment.insert("PATH".into(), path);
    nights.world.environment.insert("INVOCATION_ID".into(), "0123456789abcdef0123456789abcdef".into());
    nights
}

fn script(nights: &Nights, unit: &str, code: u8) -> Vec<u8> {
    let asked = nights.world.dir.path().join("asked");
    let show = format!("[ \"$*\" = 'show --property=ActiveState --value {UNIT}' ] && echo {unit} && exit 0");
    let start = format!("echo \"$@\" >> {}\necho no such unit >&2\nexit {code}", asked.display());
    format!("#!/bin/sh\n{show}\n{start}\n").into_bytes()
}

/// What systemd was asked for.
fn asked(nights: &Nights) -> String {
    fs::read_to_string(nights.world.dir.path().join("asked")).unwrap_or_default()
}

/// A switch that writes nothing to the Engine.
#[track_caller]
fn switch(nights: &Nights) -> Said {
    nights.recorder.take();
    let said = nights.world.run(&SWITCH);
    assert_eq!(writes(&nights.recorder.take()), Vec::<&String>::new(), "{said:#?}");
    nights.stands_at("1.0.0+1");
    said
}

#[test]
fn a_switch_leaves_a_pinned_version_to_its_unit_and_starts_it_once() {
    let mut nights = switched("1.1.0+1", "", "inactive", 0);
    let words = ["wiki: waiting: 1.1.0+1 is pinned and 1.0.0+1 runs", "evenkeel-app-upgrade.service takes it"];
    tells(&switch(&nights), 0, &words);
    assert_eq!(asked(&nights), "start --no-block evenkeel-app-upgrade.service\n");

    nights.world.environment.remove("INVOCATION_ID");
    tells(&switch(&nights), 0, &["wiki: waiting: 1.1.0+1 is pinned", "`evenkeel app wiki` takes it"]);
    assert_eq!(asked(&nights).lines().count(), 1, "a person's run starts no unit");
    nights.ends(0, &["upgraded: 1.0.0+1 -> 1.1.0+1"]);
    let converged = nights.world.run(&SWITCH);
    assert_eq!(converged.out, "wiki: converged\n");
}

#[test]
fn a_switch_succeeds_where_the_unit_cannot_be_started() {
    let nights = switched("1.1.0+1", "", "inactive", 5);
    let said = switch(&nights);
    tells(&said, 0, &["wiki: waiting: 1.1.0+1 is pinned"]);
    assert!(said.err.contains("no such unit") && said.err.contains("waits for the next night"), "{said:#?}");
}

#[test]
fn a_unit_that_is_at_work_takes_no_newer_pin_and_that_is_said() {
    let nights = switched("1.1.0+1", "", "activating", 0);
    let said = switch(&nights);
    tells(&said, 0, &["wiki: waiting: 1.1.0+1 is pinned"]);
    assert!(
        said.err.contains(&format!("a pin that is newer waits for the next night, or for `systemctl start {UNIT}`")),
        "{said:#?}"
    );
    assert_eq!(asked(&nights), format!("start --no-block {UNIT}\n"), "it may have ended just now");
}

#[test]
fn a_switch_starts_no_unit_for_a_version_that_it_would_not_take() {
    let mut nights = switched("1.1.0+1", "policy = { never = [\"1.1.0+1\"] }", "inactive", 0);
    tells(&switch(&nights), 10, &["wiki: held: 1.1.0+1"]);
    nights.declare("latest", "");
    assert_eq!(switch(&nights).out, "wiki: converged\n", "what nobody named is looked for at night");
    nights.declare("1.0.0+1", "");
    assert_eq!(switch(&nights).out, "wiki: converged\n");
    assert_eq!(asked(&nights), "");
}
