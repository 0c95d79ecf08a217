//! The power fails on a host that boots, in the middle of a migration.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Instant;

use evenkeel::config::DEFAULT_STATE_DIR;
use serde_json::Value;

use super::accounts::Accounts;
use super::database::Database;
use super::recipe::Recipe;
use super::{APP, DEADLINE, NEW, OLD, STEPS_OF_NEW, STEPS_OF_OLD};
use crate::power::host::Host;
use crate::power::prepared::units;
use crate::world::tarballs;

const STACK: &str = "warm-keycloak_example_org";
/// Every host has it.
const ADDRESS: &str = "192.0.2.2:8080";
const CONFIG: &str = "\
base_domain = \"example.org\"
[warm_keycloak]
recipe = { url = \"/srv/keycloak\" }
compose = [\"compose.yml\", \"/etc/evenkeel/port.yml\"]
gate = { stable_for = \"2s\", within = \"30m\" }
";
const PORT: &str = "\
version: \"3.8\"
services:
  app:
    ports:
      - target: 8080
        published: 8080
        mode: host
";

#[test]
fn a_power_loss_in_the_migration_costs_no_account() {
    let mut recipe = Recipe::new();
    recipe.publish(OLD);
    let host = Host::boot(&[]);
    put(&host, &recipe);
    for image in tarballs(&["mariadb-10.11", "keycloak-26.5.6", "keycloak-26.7.3"]) {
        host.shell_with("docker load --quiet", &image);
    }
    host.shell(
        "systemctl daemon-reload; systemctl enable evenkeel-swarm.service
         systemctl add-wants multi-user.target evenkeel@resume.service; systemctl start evenkeel-swarm.service",
    );
    let installed = host.run(&["evenkeel", APP]);
    assert!(installed.status.success(), "{installed:?}");
    accounts(&host).open_with("anna").unwrap();
    // Layers of images are not synced by Docker.
    host.shell("sync");

    recipe.publish(NEW);
    put(&host, &recipe);
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
    assert!([OLD, NEW].contains(&version), "{version}");
    assert_eq!(database(&host).steps(), Some(expected));
    accounts(&host).knows("anna");
    let again = host.run(&["evenkeel", APP, "--no-upgrade"]);
    assert_eq!(String::from_utf8_lossy(&again.stdout), format!("{APP}: converged\n"), "{again:?}");
}

/// The program, its units as README shows them, its configuration and the recipe as it is now.
fn put(host: &Host, recipe: &Recipe) {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str, folder: &str| {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        host.copy(&path, folder);
    };
    host.copy(env!("CARGO_BIN_EXE_evenkeel").as_ref(), "/usr/local/bin");
    file("config.toml", CONFIG, "/etc/evenkeel");
    file("port.yml", PORT, "/etc/evenkeel");
    units().iter().for_each(|(name, text)| file(name, text, "/etc/systemd/system"));
    host.copy(recipe.path(), "/srv/coming");
    host.shell("rm -rf /srv/keycloak; mv /srv/coming/.tmp* /srv/keycloak; rmdir /srv/coming");
}

fn accounts(host: &Host) -> Accounts {
    let address: SocketAddr = ADDRESS.parse().unwrap();
    let password = format!("{DEFAULT_STATE_DIR}/{APP}/secrets/{STACK}_admin_password_v1");
    let accounts = Accounts::at("http://warm-keycloak.example.org:8080".to_owned(), address, host.path(password));
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
    host.shell("journalctl --no-pager --output=short-iso -u 'evenkeel@*' | tail -n 60")
}
