//! Settings of hosts, as NixOS modules, and the recipes of their apps.

use super::OLD;
use crate::fixtures::RecipeRepo;
use crate::power::prepared::{FAILS, MIGRATES, OLD_RUNS, RUNS, publish};

/// What becomes of a version that is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// It migrates the data and runs.
    Good,
    /// It migrates the data, removes some of it and fails.
    Bad,
    /// It migrates the data and is well once there is a file `well` in its volume.
    Slow,
}

/// A recipe with an app of one service, which keeps data of the first schema.
pub fn recipe() -> RecipeRepo {
    let mut recipe = RecipeRepo::empty();
    publish(&mut recipe, OLD, &format!("{OLD_RUNS}{RUNS}"), "exit 0");
    recipe
}

/// The same with one version more.
pub fn recipe_with(version: &str, what: Version) -> RecipeRepo {
    let mut recipe = recipe();
    let (does, health) = match what {
        Version::Good => (RUNS, "exit 0"),
        // It is at no moment taken for one that runs.
        Version::Bad => (FAILS, "exit 1"),
        Version::Slow => (RUNS, "[ -e /data/well ]"),
    };
    publish(&mut recipe, version, &format!("{MIGRATES}{does}"), health);
    recipe
}

/// A host with these apps, each of a recipe of its name, and no proxy.
pub fn apps(names: &[&str], more: &str) -> String {
    host("apps", names, more)
}

/// The same with apps whose data is kept warm.
pub fn canonicals(names: &[&str], more: &str) -> String {
    host("canonical", names, more)
}

fn host(kind: &str, names: &[&str], more: &str) -> String {
    let app = |name: &&str| {
        format!(
            r#"{kind}.{name} = {{ recipe.url = "/srv/recipes/{name}"; gate = {{ stableFor = "1s"; within = "600s"; }}; }};"#
        )
    };
    let apps: String = names.iter().map(app).collect();
    format!(
        r#"{{ services.evenkeel = {{
    enable = true;
    baseDomain = "town.example";
    alerts.command = [ "/usr/local/bin/relay" ];
    {apps}
    {more}
}}; }}"#
    )
}
