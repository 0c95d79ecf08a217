//! What an Engine loses, and accounts do not: its daemon in the middle of a way back, and its Swarm.

use std::time::Instant;

use serde_json::Value;

use super::recipe::{Ends, renumbered};
use super::{APP, DEADLINE, Going, Keycloak, NEW, OLD, STEPS_OF_NEW, STEPS_OF_OLD, secret, step};
use crate::world::at;

const BAD: &str = "10.6.0+26.7.2";
const GATE: &str = "gate = { stable_for = \"2s\", within = \"20m\" }\n";

#[test]
fn an_engine_that_dies_on_the_way_back_and_a_lost_swarm_cost_no_account() {
    let mut keycloak = installed(OLD);
    loses_its_engine(&mut keycloak);
    loses_its_swarm(&keycloak);
}

/// The operator's own compose file names the older server: Swarm alone could only say that it exits with 1.
#[test]
fn an_older_server_on_newer_data_is_told_in_its_own_words_and_goes_back() {
    let mut keycloak = installed(NEW);
    let older = b"version: \"3.8\"\nservices:\n  app:\n    image: \"keycloak/keycloak:25.0.6\"\n";
    let older = keycloak.town.world.file("older.yml", older);
    keycloak.declare(&format!("compose = [\"compose.yml\", \"{}\"]\n{GATE}", older.display()));
    let words = "Migration failed for changeset META-INF/jpa-changelog-25.0.0.xml";
    let run = keycloak.night(11, words);
    assert!(run.said.out.contains(&format!("{NEW} runs again")), "{run:#?}");
    let refused = &keycloak.town.world.state(APP)["refused"];
    assert!(refused.to_string().contains(words), "{refused:#}");
    keycloak.stands_at(NEW, STEPS_OF_NEW);
}

/// Anna has an account.
fn installed(version: &str) -> Keycloak {
    let mut keycloak = Keycloak::alone();
    keycloak.recipe.publish(version);
    keycloak.declare(GATE);
    keycloak.night(0, &format!("applied: installed {version}"));
    keycloak.accounts().open_with("anna").unwrap();
    keycloak
}

fn loses_its_engine(keycloak: &mut Keycloak) {
    renumbered(keycloak.engine(), BAD);
    keycloak.recipe.publish_bad(BAD, &Ends::WhenReady);
    let world = &keycloak.town.world;
    let mut going = Going::begins(world, &[APP]);
    going.until("data that comes back", || (step(world)? == "restore").then_some(()));
    going.pauses();
    assert_eq!(step(world).as_deref(), Some("restore"), "its data was back before the Engine died");
    keycloak.engine().kill(false);
    going.goes_on();
    keycloak.engine().again();
    let said = going.ends();
    // The run may have seen to the end, or left it to what the timer starts again and again.
    let (mut codes, began) = (vec![said.code], Instant::now());
    while step(world).is_some() {
        let resumed = world.run(&["resume"]);
        eprintln!("evenkeel resume: exit {}: {}", resumed.code, resumed.out.trim_end());
        codes.push(resumed.code);
        assert!(began.elapsed() < DEADLINE, "it is open still: {resumed:#?}");
    }
    assert_eq!(codes.last(), Some(&11), "{codes:?}, {said:#?}");
    keycloak.stands_at(OLD, STEPS_OF_OLD);
}

/// The node leaves its Swarm, which takes everything but its volumes: the passwords come from the state.
fn loses_its_swarm(keycloak: &Keycloak) {
    let world = &keycloak.town.world;
    let passwords = || {
        ["admin_password", "db_password", "db_root_password"].map(|name| std::fs::read(secret(world, name)).unwrap())
    };
    let before = passwords();
    at(keycloak.engine().endpoint(), async |swarm| {
        swarm.engine().post("/swarm/leave", &[("force", "1")], &Value::Null).await.unwrap();
    });
    world.ok(&["swarm"]);
    world.ok(&["proxy", "--no-upgrade"]);
    let said = world.run(&[APP, "--no-upgrade"]);
    assert!(said.code == 0 && said.out.contains(&format!("repaired {OLD}")), "{said:#?}");
    assert!(passwords() == before, "a password was made anew");
    keycloak.stands_at(OLD, STEPS_OF_OLD);
    assert_eq!(world.ok(&[APP, "--no-upgrade"]).out, format!("{APP}: converged\n"));
}
