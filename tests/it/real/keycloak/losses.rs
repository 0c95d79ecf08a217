//! What an Engine loses, and accounts do not: its daemon in the middle of a way back, and its Swarm.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::Value;

use super::accounts::Accounts;
use super::database::Database;
use super::recipe::{Ends, Recipe, renumbered};
use super::{
    APP, DEADLINE, Going, IMAGES, NAME, NEW, OLD, STEPS_OF_NEW, STEPS_OF_OLD, declare, secret, stands_at, step,
};
use crate::engine::private::PrivateEngine;
use crate::world::{World, at, tarballs};

const BAD: &str = "10.6.0+26.7.2";
const PORT: u16 = 8080;

#[test]
fn an_engine_that_dies_on_the_way_back_and_a_lost_swarm_cost_no_account() {
    let kept = loses_its_engine(Kept::installed(OLD));
    loses_its_swarm(&kept);
}

/// The operator's own compose file names the older server: Swarm alone could only say that it exits with 1.
#[test]
fn an_older_server_on_newer_data_is_told_in_its_own_words_and_goes_back() {
    let mut kept = Kept::installed(NEW);
    let older = b"version: \"3.8\"\nservices:\n  app:\n    image: \"keycloak/keycloak:25.0.6\"\n";
    let older = kept.world.file("older.yml", older);
    kept.declare(&[older]);
    let said = kept.world.run(&[APP]);
    eprintln!("evenkeel {APP}: exit {}: {}", said.code, said.out.trim_end());
    assert_eq!(said.code, 11, "{said:#?}");
    let words = "Migration failed for changeset META-INF/jpa-changelog-25.0.0.xml";
    assert!(said.out.contains(words) && said.out.contains(&format!("{NEW} runs again")), "{said:#?}");
    let refused = &kept.world.state(APP)["refused"];
    assert!(refused.to_string().contains(words), "{refused:#}");
    kept.stands_at(NEW, STEPS_OF_NEW);
}

struct Kept {
    world: World,
    recipe: Recipe,
    engine: PrivateEngine,
}

impl Kept {
    /// There is no proxy, so Swarm's verdict counts, and the port is the host's. Anna has an account.
    fn installed(version: &str) -> Self {
        let engine = PrivateEngine::start();
        let images = tarballs(&IMAGES);
        engine.load(&images.iter().map(AsRef::as_ref).collect::<Vec<&Path>>());
        let (world, mut recipe) = (World::on(&engine), Recipe::new());
        world.ok(&["swarm"]);
        recipe.publish(version);
        let mut kept = Self { world, recipe, engine };
        kept.declare(&[]);
        kept.world.ok(&[APP]);
        kept.accounts().open_with("anna").unwrap();
        kept
    }

    /// With these compose files of the operator's, too.
    fn declare(&mut self, more: &[PathBuf]) {
        let port = format!(
            "version: \"3.8\"\nservices:\n  app:\n    ports:\n      - target: {PORT}\n        published: {PORT}\n        mode: host\n"
        );
        let port = self.world.file("port.yml", port.as_bytes());
        let files: Vec<String> =
            [&port].into_iter().chain(more).map(|file| format!("\"{}\"", file.display())).collect();
        let lines = format!(
            "compose = [\"compose.yml\", {}]\ngate = {{ stable_for = \"2s\", within = \"30m\" }}\n",
            files.join(", ")
        );
        declare(&mut self.world, &self.recipe, &lines);
    }

    fn accounts(&self) -> Accounts {
        let address: SocketAddr = format!("{}:{PORT}", self.engine.address()).parse().unwrap();
        Accounts::at(
            format!("http://{}:{PORT}", self.world.domain(NAME)),
            address,
            secret(&self.world, "admin_password"),
        )
    }

    #[track_caller]
    fn stands_at(&self, version: &str, steps: u32) {
        stands_at(&self.world, version);
        let database = Database::of(self.engine.endpoint(), &self.world.stack(NAME));
        assert_eq!(database.steps(), Some(steps));
        self.accounts().knows("anna");
    }
}

fn loses_its_engine(mut kept: Kept) -> Kept {
    renumbered(&kept.engine, BAD);
    kept.recipe.publish_bad(BAD, &Ends::WhenReady);
    let mut going = Going::begins(&kept.world, &[APP]);
    going.until("data that comes back", || (step(&kept.world)? == "restore").then_some(()));
    kept.engine.kill(false);
    kept.engine.again();
    let said = going.ends();
    // The run may have seen to the end, or left it to what the timer starts again and again.
    let (mut codes, began) = (vec![said.code], Instant::now());
    while step(&kept.world).is_some() {
        let resumed = kept.world.run(&["resume"]);
        eprintln!("evenkeel resume: exit {}: {}", resumed.code, resumed.out.trim_end());
        codes.push(resumed.code);
        assert!(began.elapsed() < DEADLINE, "it is open still: {resumed:#?}");
    }
    assert_eq!(codes.last(), Some(&11), "{codes:?}, {said:#?}");
    kept.stands_at(OLD, STEPS_OF_OLD);
    kept
}

/// The node leaves its Swarm, which takes everything but its volumes: the passwords come from the state.
fn loses_its_swarm(kept: &Kept) {
    let passwords = || {
        ["admin_password", "db_password", "db_root_password"]
            .map(|name| std::fs::read(secret(&kept.world, name)).unwrap())
    };
    let before = passwords();
    at(kept.engine.endpoint(), async |swarm| {
        swarm.engine().post("/swarm/leave", &[("force", "1")], &Value::Null).await.unwrap();
    });
    kept.world.ok(&["swarm"]);
    let said = kept.world.run(&[APP, "--no-upgrade"]);
    assert!(said.code == 0 && said.out.contains(&format!("repaired {OLD}")), "{said:#?}");
    assert!(passwords() == before, "a password was made anew");
    kept.stands_at(OLD, STEPS_OF_OLD);
    assert_eq!(kept.world.ok(&[APP, "--no-upgrade"]).out, format!("{APP}: converged\n"));
}
