//! Major steps, taken when a person approves them, and back.

use std::collections::BTreeSet;
use std::fs;

use super::{APP, Going, Keycloak, NAME, NEW, OLD, OLDEST, STEPS_OF_OLDEST, stands_at, step};

/// The database starts as soon as this file is in its volume.
const LATE: &str = "here";
const TABLE: &str =
    "gate = { stable_for = \"2s\", within = \"20m\" }\nenv = { DB_WAITS_FOR = \"/var/lib/mysql/here\" }\n";
/// A server exits this often before its database is there: so many exits are a crash loop at any other time.
const EXITS: usize = 3;

/// With the step of 25.0.6 that a newer server alone would not have taken.
const STEPS_OF_BOTH: u32 = super::STEPS_OF_NEW + 1;

#[test]
fn a_major_step_waits_for_a_person_survives_a_kill_in_its_migration_and_can_be_taken_back() {
    let mut keycloak = Keycloak::begin();
    keycloak.declare(TABLE);
    refuses_a_recipe_without_its_database(&mut keycloak);
    is_installed(&keycloak);
    keycloak.accounts().open_with("anna").unwrap();
    assert_eq!(keycloak.database().steps(), Some(STEPS_OF_OLDEST));

    keycloak.recipe.publish_with_notes(OLD, "The administrator's variables have other names.\n");
    keycloak.recipe.publish(NEW);
    keycloak.night(10, "major step").wrote_nothing();
    assert_eq!(keycloak.alerts(), [("blocked".to_owned(), 1), ("held-manual-migration".to_owned(), 1)].into());
    keycloak.town.ends(&["approve", APP, NEW], 0, "approved");

    is_killed_in_the_migration_and_finished(&keycloak);
    goes_back_by_hand(&keycloak);
}

/// Also where the app is not installed, so nothing of it is made.
fn refuses_a_recipe_without_its_database(keycloak: &mut Keycloak) {
    let own = std::mem::replace(&mut keycloak.recipe, super::Recipe::without_database());
    keycloak.declare("");
    let run = keycloak.night(12, "blocked");
    assert!(run.said.out.contains("no service mounts a volume mariadb"), "{run:#?}");
    run.wrote_nothing();
    keycloak.town.ends(&["check"], 1, "no service mounts a volume mariadb");
    keycloak.recipe = own;
    keycloak.declare(TABLE);
}

fn is_installed(keycloak: &Keycloak) {
    let mut going = Going::begins(&keycloak.town.world, &[APP]);
    let_database_start(keycloak, &mut going);
    let said = going.ends();
    assert!(said.code == 0 && said.out.contains(&format!("applied: installed {OLDEST}")), "{said:#?}");
}

/// As soon as it waits for that.
fn let_database_start(keycloak: &Keycloak, going: &mut Going) {
    let service = format!("{}_db", keycloak.town.world.stack(NAME));
    let runs = || {
        let observed = keycloak.town.world.observe(NAME);
        let id = &observed.services.get(&service)?.id;
        let mut containers = observed.containers.iter();
        containers.any(|found| found.service.as_ref() == Some(id) && found.state == "running").then_some(())
    };
    going.until("a database", runs);
    fs::write(keycloak.volume("mariadb").join(LATE), "").unwrap();
}

/// Servers that ended with exit code 1, as far as Swarm remembers.
fn ended(keycloak: &Keycloak) -> BTreeSet<String> {
    let observed = keycloak.town.world.observe(NAME);
    let Some(app) = observed.services.get(&keycloak.town.service(NAME)) else { return BTreeSet::new() };
    let tasks = observed.tasks.into_iter().filter(|task| task.service == app.id && task.exit_code == Some(1));
    tasks.map(|task| task.id).collect()
}

/// Its database comes late, so that servers end again and again before there is one.
fn is_killed_in_the_migration_and_finished(keycloak: &Keycloak) {
    let world = &keycloak.town.world;
    fs::remove_file(keycloak.volume("mariadb").join(LATE)).unwrap();
    let before = ended(keycloak);
    let mut going = Going::begins(world, &[APP]);
    let have_ended = || (ended(keycloak).difference(&before).count() >= EXITS).then_some(());
    going.until("ends of servers without a database", have_ended);
    let_database_start(keycloak, &mut going);
    let steps =
        going.until("a database on its way", || keycloak.database().steps().filter(|steps| *steps > STEPS_OF_OLDEST));
    assert_eq!(step(world).as_deref(), Some("judge"));
    going.dies();
    assert!(steps < STEPS_OF_BOTH, "its migration was over");
    eprintln!("killed when the schema had taken {steps} steps");

    keycloak.town.ends(&["resume"], 0, &format!("upgraded: {OLDEST} -> {NEW}"));
    stands_at(world, NEW);
    assert_eq!(keycloak.database().steps(), Some(STEPS_OF_BOTH));
    keycloak.accounts().knows("anna");
    keycloak.night(0, "converged").wrote_nothing();
}

/// On the data of the newer one the older server does not even start.
fn goes_back_by_hand(keycloak: &Keycloak) {
    keycloak.accounts().make("late").unwrap();
    let mut going = Going::begins(&keycloak.town.world, &["rollback", APP, "--yes"]);
    // The data is that of when it was to come late.
    let late = keycloak.volume("mariadb").join(LATE);
    going.until("data that was put back", || (!late.exists()).then_some(()));
    let_database_start(keycloak, &mut going);
    let said = going.ends();
    assert!(said.code == 0 && said.out.contains(&format!("{OLDEST} runs again")), "{said:#?}");
    stands_at(&keycloak.town.world, OLDEST);
    assert_eq!(keycloak.database().steps(), Some(STEPS_OF_OLDEST));
    keycloak.accounts().knows("anna");
    keycloak.accounts().does_not_know("late");
}
