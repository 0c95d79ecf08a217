//! Secrets that a unit is given, or is not; and what people can read of them and of failures.

use super::machine::{Machine, Service};
use super::settings::{Version, apps, recipe, recipe_with};
use super::{NEW, OLD, WELL};
use crate::power::prepared::put_files;

const TOKEN: &str = "hunter2-hunter2-hunter2";
/// A secret of the operator's for an app whose recipe has none.
const OVERLAY: &str = "services:
  app:
    secrets: [token]
secrets:
  token:
    name: ${STACK_NAME}_token_${SECRET_TOKEN_VERSION}
    external: true
";
const SETTINGS: &str = r#"apps.wiki = {
  compose = [ "compose.yml" "/srv/token.yml" ];
  env.SECRET_TOKEN_VERSION = "v1";
  secrets.token = "/srv/secrets/token";
};"#;

#[test]
fn a_secret_that_is_missing_fails_its_unit_and_one_that_is_there_is_shown_nowhere() {
    let settings = apps(&["wiki"], SETTINGS);
    let mut machine = Machine::installed(&settings, &[], &[("wiki", &recipe())]);
    machine.host.up();
    put_files(&machine.host, "/srv", &[("token.yml", OVERLAY)]);
    machine.host.shell("sync");
    machine.host.kill();

    machine.boot();
    fails_for_all_to_see(&machine);
    is_content_once_it_is_there(&mut machine, &settings);
    shows_it_nowhere(&machine);
    tells_a_failure_in_the_status_line(&mut machine, &settings);
}

fn fails_for_all_to_see(machine: &Machine) {
    let service = machine.service("evenkeel-app.service");
    assert_eq!((service.state.as_str(), service.code.as_str()), ("failed", "243"), "{service:?}");
    let told = machine.until("people are told", || Some(machine.relayed()).filter(|told| !told.is_empty()));
    assert_eq!(told, ["host unit-failed -"], "{}", machine.journal());
    let alert = machine.alert("unit-failed");
    assert_eq!(alert["host"], machine.host.shell("hostname").trim(), "{alert:#}");
    let evidence = alert["evidence"].as_str().unwrap();
    for words in ["evenkeel-app.service", "243", "credential"] {
        assert!(evidence.contains(words), "{words}: {alert:#}");
    }
}

fn is_content_once_it_is_there(machine: &mut Machine, settings: &str) {
    // In no command: the journal has those.
    put_files(&machine.host, "/srv/secrets", &[("token", TOKEN)]);
    machine.switch(settings);
    assert_eq!(machine.version("wiki"), OLD, "{}", machine.journal());
    let journal = machine.host.shell("journalctl --no-pager --output=cat -t evenkeel F_APP=wiki");
    assert!(journal.contains("installed"), "{journal}");
}

/// Neither where the program runs, nor in what it has said.
fn shows_it_nowhere(machine: &Machine) {
    machine.put_recipe("wiki", &recipe_with(NEW, Version::Slow));
    let last = machine.nightfall();
    machine.until("the new version is judged", || (machine.step("wiki")? == "judge").then_some(()));
    let looked = machine.host.shell(
        "pid=$(systemctl show evenkeel-app-upgrade.service --property=MainPID --value)
         tr '\\0' '\\n' </proc/$pid/environ; cat /proc/[0-9]*/cmdline | tr '\\0' '\\n'
         journalctl --no-pager --all --output=export; cat /etc/systemd/system/*.service /nix/store/*.toml",
    );
    assert!(looked.contains("PATH="), "the environment was read");
    assert!(!looked.contains(TOKEN));
    machine.host.shell(&format!("touch {WELL}"));
    machine.ended_after("evenkeel-nightly.service", &last);
    assert_eq!(machine.version("wiki"), NEW, "{}", machine.journal());
}

fn tells_a_failure_in_the_status_line(machine: &mut Machine, settings: &str) {
    let broken = settings.replace("/srv/token.yml", "/srv/absent.yml");
    machine.switch(&broken);
    let Service { state, told, .. } = machine.service("evenkeel-app.service");
    assert_eq!(state, "failed", "{}", machine.journal());
    assert!(told.starts_with("wiki: ") && told.contains("/srv/absent.yml"), "{told}");
}
