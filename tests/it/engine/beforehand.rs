//! What stands in an upgrade's way is found before anything is stopped.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::stat::{Mode, SFlag, makedev, mknod};

use super::DEADLINE;
use super::nights::{APP, Nights, runs, tells};
use super::private::PrivateEngine;
use super::recorder::writes;
use crate::refusing::said;
use crate::world::Said;

#[test]
fn whatever_keeps_data_from_coming_back_is_told_while_the_app_runs_and_goes_on() {
    let mut nights = Nights::begin();
    nights.publish("1.1.0+1", &runs("1.1.0"));
    let volume = format!("{}_data", nights.world.stack(APP));
    let bind = format!("{volume}:/x");
    let other = format!("{}-other", nights.world.stack(APP));
    let image = PrivateEngine::shared().image();
    let device = nights.volume("data").join("disk");
    let blocked = |words: &[&str]| {
        let before = nights.world.fingerprint(APP);
        let said = nights.ends(12, words);
        tells(&said, 12, &["wiki: blocked: ", volume.as_str()]);
        assert_eq!(nights.world.fingerprint(APP), before, "something was touched");
        nights.stands_at("1.0.0+1");
    };

    mknod(&device, SFlag::S_IFBLK, Mode::S_IRUSR, makedev(7, 200)).unwrap();
    blocked(&["disk", "snapshot.exclude"]);
    fs::remove_file(&device).unwrap();

    PrivateEngine::shared().docker(&[
        "run",
        "--detach",
        "--name",
        &other,
        "--volume",
        &bind,
        image,
        "sh",
        "-c",
        "sleep 1000",
    ]);
    blocked(&["the app's data is in use: container", &other]);
    PrivateEngine::shared().docker(&["rm", "--force", &other]);

    // An update that somebody has begun is let come to its end first.
    PrivateEngine::shared().docker(&["service", "update", "--force", "--detach", &nights.named("app")]);
    nights.ends(0, &["upgraded: 1.0.0+1 -> 1.1.0+1"]);
    nights.stands_at("1.1.0+1");
}

/// Runs the program where it may not write below this folder, as in a unit whose ReadWritePaths= do not name it.
fn may_not_write(nights: &Nights, folder: &Path, arguments: &[&str]) -> Said {
    let run = nights.world.command(arguments);
    let script = "mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro \"$0\" && exec \"$@\"";
    let mut within = Command::new("unshare");
    within.args(["--mount", "sh", "-c", script]).arg(folder).arg(run.get_program()).args(run.get_args());
    said(within.env_remove("DOCKER_HOST").env_remove("INVOCATION_ID"))
}

#[test]
fn volumes_that_a_unit_may_not_write_are_told_before_anything_is_fetched_or_stopped() {
    let mut nights = Nights::begin();
    nights.publish("1.1.0+1", &runs("1.1.0"));
    let volume = nights.volume("data").parent().unwrap().to_owned();
    let volumes = volume.parent().unwrap();
    let words = [
        format!("could not be put back, since this run may not write in {} (Read-only file system", volume.display()),
        "services.evenkeel.dockerDataRoot".to_owned(),
    ];
    let words = words.each_ref().map(String::as_str);
    let before = (nights.data(), nights.world.fingerprint(APP));
    nights.recorder.take();
    tells(&may_not_write(&nights, volumes, &["app", APP]), 12, &words);
    assert_eq!(writes(&nights.recorder.take()), Vec::<&String>::new());
    assert_eq!((nights.data(), nights.world.fingerprint(APP)), before, "something was touched");

    nights.ends(0, &["upgraded: 1.0.0+1 -> 1.1.0+1"]);
    tells(&may_not_write(&nights, volumes, &["rollback", APP, "--yes"]), 12, &words);
    nights.stands_at("1.1.0+1");
    // A snapshot only reads them.
    tells(&may_not_write(&nights, volumes, &["snapshot", "take", APP]), 0, &["was taken"]);
    nights.stands_at("1.1.0+1");
}

#[test]
fn an_app_that_its_data_keeps_from_running_is_left_alone_and_no_version_is_blamed() {
    let mut nights = Nights::begin();
    let bad = nights.volume("data").join("bad");
    let script = |version: &str| format!("[ ! -f /data/bad ] || exit 4; {}", runs(version));
    nights.publish("1.1.0+1", &script("1.1.0"));
    nights.ends(0, &["upgraded"]);
    nights.publish("1.2.0+1", &script("1.2.0"));
    fs::write(&bad, "").unwrap();
    let containers = nights.world.observe(APP).containers;
    for container in &containers {
        PrivateEngine::shared().docker(&["rm", "--force", &container.id]);
    }
    let deadline = Instant::now() + DEADLINE;
    while !nights.world.observe(APP).tasks.iter().any(|task| task.exit_code == Some(4)) {
        assert!(Instant::now() < deadline, "nobody sees it crash");
        thread::sleep(Duration::from_millis(100));
    }

    // Where it looks well for the moment between two crashes, what comes before an upgrade sees it.
    nights.recorder.take();
    let said = nights.night();
    assert_eq!(writes(&nights.recorder.take()), Vec::<&String>::new(), "{said:?}");
    assert!(said.out.starts_with("wiki: unhealthy: ") || said.out.starts_with("wiki: blocked: it is not healthy"));
    assert!([12, 14].contains(&said.code) && said.out.contains("exit code 4"), "{said:?}");
    assert!(nights.state().get("refused").is_none_or(|refused| refused.as_array().unwrap().is_empty()));
    assert_eq!(nights.current(), "1.1.0+1");

    fs::remove_file(&bad).unwrap();
    let deadline = Instant::now() + DEADLINE;
    while !nights.world.run(&["app", APP]).out.contains("upgraded: 1.1.0+1 -> 1.2.0+1") {
        assert!(Instant::now() < deadline, "the app has come up again, and is not upgraded");
    }
    nights.stands_at("1.2.0+1");
}

#[test]
fn a_run_of_an_app_under_another_domain_has_the_open_upgrade_finished() {
    let (mut nights, before) = Nights::broken_off();
    nights.moves_away();

    tells(&nights.night(), 12, &["its volumes belong to the old domain", "`evenkeel resume` finishes it"]);

    let deadline = Instant::now() + DEADLINE * 3;
    while nights.state().get("open").is_some() {
        assert!(Instant::now() < deadline, "nobody finishes it");
        thread::sleep(Duration::from_millis(100));
    }
    nights.stands_at("1.0.0+1");
    assert_eq!(nights.data(), before);
}
