//! The power fails in the middle of an upgrade that the nightly timer began, and the units alone bring all together again.

use super::machine::{SOON, prepare};
use super::rendered::Rendered;
use crate::power::host::Host;
use crate::power::play::{Play, Unit};
use crate::power::prepared::{put_files, put_old_version, put_pages};
use crate::power::{Case, DISKS, Flush, Moment, NEW, OLD, TRIES, each_on};

const SETTINGS: &str = r#"{ services.evenkeel = {
    enable = true;
    baseDomain = "example.org";
    apps.wiki = { recipe.url = "/srv/wiki"; gate = { stableFor = "1s"; within = "600s"; }; };
}; }"#;

#[test]
fn after_a_power_loss_the_units_alone_bring_version_and_data_together() {
    let (host, upgrade) = prepared();
    let cases = [
        Case::bad(Moment::Before(Flush::Archive)),
        Case::bad(Moment::After(Flush::Rename("deploy"))),
        Case::bad(Moment::After(Flush::Rename("restore"))),
        Case::good(Moment::After(Flush::Rename("judge"))),
    ];
    each_on(&host, &upgrade, &cases, |case, play, broken| {
        assert_eq!(broken, None, "{case:?}: {}", play.journal());
        // Each in the units' own hands: a bad version goes back, and one that was being judged is judged again.
        assert_eq!(play.version(), if case.is_good { NEW } else { OLD }, "{case:?}: {}", play.journal());
    });
    is_caught_without_a_sync(&host, &upgrade);
}

/// Otherwise the promise might hold by luck.
fn is_caught_without_a_sync(host: &Host, upgrade: &Unit) {
    let control = Case::bad(Moment::After(Flush::Rename("deploy"))).without(Flush::State("deploy"));
    let is_caught = (0..TRIES).any(|_| {
        let caught = std::sync::Mutex::new(false);
        each_on(host, upgrade, &[control], |_, play: &Play, broken| {
            let Some(told) = broken else { return };
            assert!(told.contains("the state is damaged: 0 bytes"), "{told}: {}", play.journal());
            *caught.lock().unwrap() = true;
        });
        caught.into_inner().unwrap()
    });
    assert!(is_caught, "a state that was never synced survived each power loss");
}

/// A host with one app and its data, which does not run, and the unit that upgrades it.
fn prepared() -> (Host, Unit) {
    let host = prepare(&DISKS);
    let rendered = Rendered::of(SETTINGS);
    rendered.install(&host);
    put_old_version(&host);
    host.kill();
    host.up();
    put_pages(&host);
    put_files(&host, "/etc/systemd/system/evenkeel-nightly.timer.d", &[("soon.conf", SOON)]);
    host.shell("sync");
    host.kill();
    let name = "evenkeel-app-upgrade.service".to_owned();
    let begin = "systemctl restart evenkeel-nightly.timer".to_owned();
    (host, Unit { command: rendered.command(&name), name, begin })
}
