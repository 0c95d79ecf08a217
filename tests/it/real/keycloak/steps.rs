//! Major steps, taken when a person approves them, and back.

use super::{APP, Going, Keycloak, NEW, OLD, OLDEST, STEPS_OF_OLDEST, stands_at, step};

/// With the step of 25.0.6 that a newer server alone would not have taken.
const STEPS_OF_BOTH: u32 = super::STEPS_OF_NEW + 1;

#[test]
fn a_major_step_waits_for_a_person_survives_a_kill_in_its_migration_and_can_be_taken_back() {
    let mut keycloak = Keycloak::begin();
    keycloak.declare("gate = { stable_for = \"2s\", within = \"30m\" }\n");
    refuses_a_recipe_without_its_database(&mut keycloak);
    keycloak.night(0, &format!("applied: installed {OLDEST}"));
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
    keycloak.declare("gate = { stable_for = \"2s\", within = \"30m\" }\n");
}

fn is_killed_in_the_migration_and_finished(keycloak: &Keycloak) {
    let world = &keycloak.town.world;
    let mut going = Going::begins(world, &[APP]);
    let steps =
        going.until("a database on its way", || keycloak.database().steps().filter(|steps| *steps > STEPS_OF_OLDEST));
    assert_eq!(step(world).as_deref(), Some("judge"));
    going.dies();
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
    keycloak.town.ends(&["rollback", APP, "--yes"], 0, &format!("{OLDEST} runs again"));
    stands_at(&keycloak.town.world, OLDEST);
    assert_eq!(keycloak.database().steps(), Some(STEPS_OF_OLDEST));
    keycloak.accounts().knows("anna");
    keycloak.accounts().does_not_know("late");
}
