//! From nothing to a page, and what later boots and a restart of Docker write: nothing.

use std::collections::BTreeMap;

use serde_json::Value;

use super::machine::Machine;
use super::switching::Acts;
use crate::fixtures::RecipeRepo;

/// A proxy with a certificate and an app behind it.
const TOWN: &str = r#"{
  services.evenkeel = {
    enable = true;
    baseDomain = "town.example";
    certificate = { chain = "/srv/secrets/chain.pem"; key = "/srv/secrets/key.pem"; };
    alerts.command = [ "/usr/local/bin/relay" ];
    proxy = {
      recipe.url = "/srv/recipes/traefik";
      version = "5.1.0+v3.6.12";
      compose = [ "compose.yml" "compose.host.yml" "compose.wildcard.yml" ];
      env.WILDCARDS_ENABLED = "1";
      gate = { stableFor = "1s"; within = "300s"; };
    };
    apps.page = {
      recipe.url = "/srv/recipes/standin-app";
      version = "1.0.0+1.0.0";
      gate = { stableFor = "1s"; within = "300s"; };
    };
  };
}"#;

#[test]
fn a_host_from_nothing_serves_its_page_and_no_later_start_writes_anything() {
    let recipes = ["traefik", "standin-app"].map(|name| (name, RecipeRepo::build(name)));
    let recipes = recipes.each_ref().map(|(name, recipe)| (*name, recipe));
    let mut machine = Machine::installed(TOWN, &["traefik"], &recipes);

    machine.boot();
    serves_the_page(&machine);
    let failed = machine.host.shell("systemctl list-units --plain --no-legend --failed 'evenkeel*'");
    assert_eq!(failed, "", "{}", machine.journal());
    assert_eq!(machine.waiting(), [""; 0]);
    let first = machine.fingerprint();
    for (kind, count) in [("services", 2), ("secrets", 2), ("configs", 2), ("networks", 2)] {
        let found = first.keys().filter(|name| name.starts_with(kind)).count();
        assert!(found >= count, "{kind}: {first:#?}");
    }

    machine.reboot();
    has_written_nothing(&machine, &first);

    let before = RUNS.map(|unit| machine.service(unit).start);
    machine.host.shell("systemctl restart docker.service");
    assert_eq!(RUNS.map(|unit| machine.service(unit).start), before, "no unit goes with Docker");
    serves_the_page(&machine);
    assert_eq!(machine.fingerprint(), first);

    let switch = machine.switch(TOWN);
    assert_eq!(switch, Acts::default());
    assert!(RUNS.iter().zip(&before).all(|(unit, before)| machine.service(unit).start != *before), "all run again");
    has_written_nothing(&machine, &first);
}

/// Those that keep apps at a boot and a switch.
const RUNS: [&str; 2] = ["evenkeel-proxy.service", "evenkeel-app.service"];

fn has_written_nothing(machine: &Machine, before: &BTreeMap<String, Value>) {
    for unit in RUNS {
        let service = machine.service(unit);
        assert_eq!((service.result.as_str(), service.code.as_str()), ("success", "0"), "{}", machine.journal());
        let said = machine.said(&service);
        assert!(said.contains("converged"), "{unit}: {said}");
    }
    assert_eq!(machine.fingerprint(), *before, "{}", machine.journal());
    serves_the_page(machine);
}

/// Behind the declared certificate.
fn serves_the_page(machine: &Machine) {
    let page = machine.until("the page is served", || machine.page("page"));
    assert_eq!(page, "1.0.0\n");
}
