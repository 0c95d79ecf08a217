//! From nothing to a page, and what later boots and a restart of Docker write: nothing.

use super::machine::Machine;
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
    let machine = Machine::installed(TOWN, &["traefik"], &recipes);

    machine.boot();
    panic!("{}", machine.journal());
}
