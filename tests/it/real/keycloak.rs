//! A real Keycloak on a real MariaDB: what becomes of accounts from version to version.
//!
//! A start takes a quarter of a minute and more, so each test tells one story. The surprise: within a major version the old
//! server starts on the data of the newer one and looks well, so it is the database that is asked how far it is.

mod accounts;
mod database;
mod downtime;
mod losses;
mod nights;
mod outage;
mod recipe;
mod steps;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::Once;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::{Town, certificate};
use crate::engine::private::PrivateEngine;
use crate::world::{Said, World, load};
use accounts::Accounts;
use database::Database;
use recipe::Recipe;

/// What the program calls it.
const APP: &str = "warm-keycloak";
/// What a world calls its domain and stack.
const NAME: &str = "keycloak";
/// The version of the fixture, the one with which a major step begins, and the newest.
const OLDEST: &str = "9.0.0+25.0.6";
const OLD: &str = "10.5.0+26.5.6";
const NEW: &str = "10.7.1+26.7.3";
/// Steps of the schema (rows of `DATABASECHANGELOG`) that each version brings an empty database to. One that came from
/// 25.0.6 has one step more.
const STEPS_OF_OLDEST: u32 = 134;
const STEPS_OF_OLD: u32 = 179;
const STEPS_OF_NEW: u32 = 210;
const IMAGES: [&str; 4] = ["mariadb-10.11", "keycloak-25.0.6", "keycloak-26.5.6", "keycloak-26.7.3"];
/// Nothing here takes a tenth of it on a quiet machine.
const DEADLINE: Duration = Duration::from_secs(1200);

/// One behind the real proxy.
struct Keycloak {
    town: Town,
    recipe: Recipe,
    /// Nobody else is on it.
    own: Option<PrivateEngine>,
}

impl Keycloak {
    /// The proxy runs, and nothing else is there yet.
    fn begin() -> Self {
        static LOADED: Once = Once::new();
        let town = Town::new();
        LOADED.call_once(|| load(&IMAGES));
        Self::behind_the_proxy_of(town, None)
    }

    /// The same on an Engine to which anything may happen.
    fn alone() -> Self {
        let engine = PrivateEngine::start();
        Self::behind_the_proxy_of(Town::alone_on(&engine, &IMAGES), Some(engine))
    }

    fn behind_the_proxy_of(town: Town, own: Option<PrivateEngine>) -> Self {
        town.give(&certificate::good(&town.world.base));
        town.ends(&["proxy"], 0, "proxy: applied: installed");
        Self { town, recipe: Recipe::new(), own }
    }

    fn engine(&self) -> &PrivateEngine {
        self.own.as_ref().unwrap_or_else(|| PrivateEngine::shared())
    }

    fn declare(&mut self, lines: &str) {
        let (url, world) = (self.recipe.url(), &mut self.town.world);
        let domain = world.domain(NAME);
        world.table(NAME, &format!("[warm_keycloak]\nrecipe = {{ url = \"{url}\" }}\ndomain = \"{domain}\"\n{lines}"));
    }

    fn domain(&self) -> String {
        self.town.world.domain(NAME)
    }

    /// As users reach it.
    fn accounts(&self) -> Accounts {
        Accounts::at(self.domain(), self.town.https(), secret(&self.town.world, "admin_password"))
    }

    fn database(&self) -> Database {
        Database::of(self.engine().endpoint(), &self.town.world.stack(NAME))
    }

    /// Where the data of a volume lies.
    fn volume(&self, name: &str) -> PathBuf {
        self.engine().data_root().join("volumes").join(format!("{}_{name}", self.town.world.stack(NAME))).join("_data")
    }

    /// The version that passed its gate last runs on a schema of so many steps, and Anna has her account.
    #[track_caller]
    fn stands_at(&self, version: &str, steps: u32) {
        stands_at(&self.town.world, version);
        assert_eq!(self.database().steps(), Some(steps));
        self.accounts().knows("anna");
    }

    /// A night as the timer makes it.
    #[track_caller]
    fn night(&self, code: i32, with: &str) -> super::Run {
        self.town.ends(&[APP], code, with)
    }

    /// Alerts by their reasons: how many there are of each.
    fn alerts(&self) -> BTreeMap<String, usize> {
        let mut found = BTreeMap::new();
        let folder = fs::read_dir(self.town.world.state_dir().join("alerts"));
        for file in folder.into_iter().flatten().map(|entry| entry.unwrap().path()).filter(|path| path.is_file()) {
            let alert: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
            *found.entry(alert["reason"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        found
    }
}

/// The file with the bytes of a secret, as the state directory keeps them.
fn secret(world: &World, name: &str) -> PathBuf {
    world.state_dir().join(APP).join("secrets").join(format!("{}_{name}_v1", world.stack(NAME)))
}

/// Where the data of a volume lies that gave way.
fn given_way(volume: &std::path::Path) -> Vec<PathBuf> {
    let beside = fs::read_dir(volume.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path());
    beside.filter(|path| path.to_string_lossy().ends_with("-failed")).collect()
}

/// The state as it is at some moment; nothing before there is one.
fn state(world: &World) -> Option<Value> {
    serde_json::from_slice(&fs::read(world.state_dir().join(APP).join("state.json")).ok()?).ok()
}

fn step(world: &World) -> Option<String> {
    Some(state(world)?["open"]["step"].as_str()?.to_owned())
}

/// The version that passed its gate last; nothing is under way.
#[track_caller]
fn stands_at(world: &World, version: &str) {
    let state = world.state(APP);
    assert_eq!((state.get("open"), state.get("stuck")), (None, None), "{state:#}");
    assert_eq!(state["current"]["body"]["revision"]["version"], version, "{state:#}");
}

/// A run that goes on while the test looks.
struct Going {
    run: Child,
    what: String,
}

impl Going {
    fn begins(world: &World, arguments: &[&str]) -> Self {
        let mut command = world.command(arguments);
        let run = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        Self { run, what: arguments.join(" ") }
    }

    /// Waits for something that has to come before the run ends.
    #[track_caller]
    fn until<T>(&mut self, what: &str, look: impl Fn() -> Option<T>) -> T {
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(found) = look() {
                return found;
            }
            let ended = self.run.try_wait().unwrap();
            assert_eq!(ended, None, "evenkeel {} ended before {what}", self.what);
            assert!(Instant::now() < deadline, "there was never {what}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Stops it where it is.
    fn pauses(&self) {
        self.receives(Signal::SIGSTOP);
    }

    fn goes_on(&self) {
        self.receives(Signal::SIGCONT);
    }

    fn receives(&self, signal: Signal) {
        kill(Pid::from_raw(self.run.id().try_into().unwrap()), signal).unwrap();
    }

    fn dies(mut self) {
        self.run.kill().unwrap();
        self.run.wait().unwrap();
    }

    /// How it ends.
    fn ends(self) -> Said {
        let output = self.run.wait_with_output().unwrap();
        let said = Said {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        };
        eprintln!("evenkeel {}: exit {}: {}", self.what, said.code, said.out.trim_end());
        said
    }
}
