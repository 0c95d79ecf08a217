//! The power fails on a host that boots, in the middle of a migration.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Instant;

use evenkeel::config::DEFAULT_STATE_DIR;
use serde_json::Value;

use super::accounts::Accounts;
use super::database::Database;
use super::recipe::Recipe;
use super::{APP, DEADLINE, NEW, OLD, STEPS_OF_NEW, STEPS_OF_OLD};
use crate::fixtures::RecipeRepo;
use crate::power::host::Host;
use crate::power::prepared::{put_files, units};
use crate::real::certificate;
use crate::world::tarballs;

const STACK: &str = "warm-keycloak_example_org";
/// Every host has it.
const ADDRESS: &str = "192.0.2.2:443";
const CONFIG: &str = "\
base_domain = \"example.org\"
[proxy]
recipe = { url = \"/srv/traefik\" }
compose = [\"compose.yml\", \"compose.host.yml\", \"compose.wildcard.yml\"]
env = { WILDCARDS_ENABLED = \"1\" }
certificate = { chain = \"/etc/evenkeel/chain.pem\", key = \"/etc/evenkeel/key.pem\" }
gate = { stable_for = \"1s\" }
[warm_keycloak]
recipe = { url = \"/srv/keycloak\" }
gate = { stable_for = \"2s\", within = \"20m\" }
";

#[test]
fn a_power_loss_in_the_migration_costs_no_account() {
    let mut recipe = Recipe::new();
    recipe.publish(OLD);
    let host = Host::boot(&[]);
    put_programs(&host);
    put_recipe(&host, "traefik", RecipeRepo::build("traefik").path());
    put_recipe(&host, "keycloak", recipe.path());
    for image in tarballs(&["traefik", "mariadb-10.11", "keycloak-26.5.6", "keycloak-26.7.3"]) {
        host.shell_with("docker load --quiet", &image);
    }
    host.shell(
        "systemctl daemon-reload; systemctl enable evenkeel-swarm.service
         systemctl add-wants multi-user.target evenkeel-resume.service; systemctl start evenkeel-swarm.service",
    );
    for app in ["proxy", APP] {
        let installed = host.run(&["evenkeel", app]);
        assert!(installed.status.success(), "{installed:?}");
    }
    accounts(&host).open_with("anna").unwrap();
    // Layers of images are not synced by Docker.
    host.shell("sync");

    recipe.publish(NEW);
    put_recipe(&host, "keycloak", recipe.path());
    host.shell(&format!("systemctl start --no-block evenkeel@{APP}.service"));
    let began = Instant::now();
    let steps = loop {
        let steps = database(&host).steps().filter(|steps| *steps > STEPS_OF_OLD);
        if let (Some(steps), Some("judge")) = (steps, state(&host)["open"]["step"].as_str()) {
            break steps;
        }
        assert!(began.elapsed() < DEADLINE, "no migration was ever judged: {}", journal(&host));
    };
    host.cut();
    host.up();

    let state = state(&host);
    let version = state["current"]["body"]["revision"]["version"].as_str().unwrap();
    eprintln!("the power failed when the schema had taken {steps} steps, and {version} runs");
    assert!(state["open"].is_null() && state["stuck"].is_null(), "{state:#}: {}", journal(&host));
    let expected = if version == NEW { STEPS_OF_NEW } else { STEPS_OF_OLD };
    assert!(steps < STEPS_OF_NEW, "its migration was over");
    assert!([OLD, NEW].contains(&version), "{version}");
    assert_eq!(database(&host).steps(), Some(expected));
    accounts(&host).knows("anna");
    let again = host.run(&["evenkeel", APP, "--no-upgrade"]);
    assert_eq!(String::from_utf8_lossy(&again.stdout), format!("{APP}: converged\n"), "{again:?}");
}

/// The program, its units as README shows them, and its configuration.
fn put_programs(host: &Host) {
    host.copy(env!("CARGO_BIN_EXE_evenkeel").as_ref(), "/usr/local/bin");
    let certificate = certificate::good("example.org");
    let files = [("config.toml", CONFIG), ("chain.pem", &certificate.chain), ("key.pem", &certificate.key)];
    put_files(host, "/etc/evenkeel", &files);
    put_files(host, "/etc/systemd/system", &units());
}

/// As it is now, whatever was there.
fn put_recipe(host: &Host, name: &str, repo: &Path) {
    host.copy(repo, "/srv/coming");
    host.shell(&format!("rm -rf /srv/{name}; mv /srv/coming/.tmp* /srv/{name}; rmdir /srv/coming"));
}

fn accounts(host: &Host) -> Accounts {
    let address: SocketAddr = ADDRESS.parse().unwrap();
    let password = format!("{DEFAULT_STATE_DIR}/{APP}/secrets/{STACK}_admin_password_v1");
    let accounts = Accounts::at("warm-keycloak.example.org".to_owned(), address, host.path(password));
    accounts.within(host.path("/proc/1/ns/net"))
}

fn database(host: &Host) -> Database {
    Database::of(&format!("unix://{}", host.path("/run/docker.sock").display()), STACK)
}

fn state(host: &Host) -> Value {
    let path: PathBuf = host.path(format!("{DEFAULT_STATE_DIR}/{APP}/state.json"));
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn journal(host: &Host) -> String {
    host.shell("journalctl --no-pager --output=short-iso -u 'evenkeel*' | tail -n 60")
}
