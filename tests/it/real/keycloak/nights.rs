//! Night after night: installed, held, failed after a migration, not tried again, taken.

use std::time::Instant;

use super::downtime::Visitor;
use super::recipe::{Ends, renumbered};
use super::{APP, database};
use super::{Going, Keycloak, NEW, OLD, STEPS_OF_NEW, STEPS_OF_OLD, given_way, secret, stands_at, state, step};

/// Nobody has such a server.
const MAJOR: &str = "11.0.0+27.0.0";
const BAD: &str = "10.6.0+26.7.2";
const RUN: [&str; 4] = ["--parent", "wiki", "--run", "meanwhile"];

#[test]
fn a_keycloak_follows_the_newest_version_and_never_loses_an_account() {
    let mut keycloak = Keycloak::begin();
    keycloak.recipe.publish(OLD);
    // Only this very server may pass.
    let own =
        format!("http = [{{ path = \"/realms/master\", status = [200], body = \"https://{}/\" }}]", keycloak.domain());
    keycloak.declare(&format!("gate = {{ {own}, stable_for = \"2s\", within = \"20m\" }}\n"));

    is_installed(&keycloak);
    holds_a_major_step(&mut keycloak);
    goes_back_with_its_data_from_a_version_that_fails_after_its_migration(&mut keycloak);
    does_not_try_it_again(&keycloak);
    takes_the_next_good_version(&mut keycloak);
}

fn is_installed(keycloak: &Keycloak) {
    keycloak.night(0, &format!("applied: installed {OLD}"));
    assert_eq!(keycloak.database().steps(), Some(STEPS_OF_OLD));
    keycloak.accounts().open_with("anna").unwrap();
    keycloak.accounts().knows("anna");
    keycloak.night(0, "converged").wrote_nothing();
    assert!(keycloak.alerts().is_empty(), "{:?}", keycloak.alerts());
}

fn holds_a_major_step(keycloak: &mut Keycloak) {
    keycloak.recipe.publish(MAJOR);
    keycloak.night(10, &format!("`evenkeel approve {APP} {MAJOR}`")).wrote_nothing();
    assert_eq!(keycloak.alerts(), [("held-major".to_owned(), 1)].into());
}

/// It migrates, serves under a wrong name, so the gate does not let it pass, and ends when somebody fails to log in.
fn goes_back_with_its_data_from_a_version_that_fails_after_its_migration(keycloak: &mut Keycloak) {
    renumbered(keycloak.engine(), BAD);
    keycloak.recipe.publish_bad(BAD, &Ends::AtAWrongPassword);
    let (world, accounts) = (&keycloak.town.world, keycloak.accounts());
    let visitor = Visitor::comes(keycloak.town.https(), &keycloak.domain());
    let mut going = Going::begins(world, &[APP]);
    going.until("a migrated database", || (keycloak.database().steps() == Some(STEPS_OF_NEW)).then_some(()));
    going.until("a user of the version that fails", || accounts.make("late").ok());
    accounts.lets_in("late", "late").unwrap();
    let open = state(world).unwrap()["open"].clone();
    assert!(open["step"] == "judge" && open["fault"].is_null(), "{open:#}");
    let realm = Going::begins(world, &[&["realm", "create", "--within", "20m"], &RUN[..]].concat());
    assert!(accounts.lets_in("late", "wrong").is_err());
    let no = going.until("a No", || step(world).filter(|step| step != "judge").map(|_| Instant::now()));
    let said = going.ends();
    let visits = visitor.leaves();

    assert_eq!(said.code, 11, "{said:#?}");
    for words in ["rolled-back", "did not pass its gate", "that was too much", &format!("{OLD} runs again on the data")]
    {
        assert!(said.out.contains(words), "{words:?}: {said:#?}");
    }
    eprintln!("from the No to the first good answer: {:.1?}", visits.good_again_after(no));
    stands_at(world, OLD);
    assert_eq!(keycloak.database().steps(), Some(STEPS_OF_OLD));
    accounts.knows("anna");
    accounts.does_not_know("late");
    assert_eq!(realm.ends().code, 0, "a realm that was asked for meanwhile is made on the data that stays");
    world.ok(&[&["realm", "check"], &RUN[..]].concat());
    assert!(!keycloak.volume("providers").join("ended").exists());

    let [providers] = &given_way(&keycloak.volume("providers"))[..] else { panic!("there is not one that gave way") };
    assert!(providers.join("ended").exists());
    let [data] = &given_way(&keycloak.volume("mariadb"))[..] else { panic!("there is not one that gave way") };
    let password = secret(world, "db_root_password");
    assert_eq!(database::users_in(keycloak.engine().endpoint(), data, &password, "late"), 1);
    assert_eq!(keycloak.alerts(), [("held-major".to_owned(), 1), ("rollback".to_owned(), 1)].into());
}

fn does_not_try_it_again(keycloak: &Keycloak) {
    for _ in 0..2 {
        keycloak.night(10, MAJOR).wrote_nothing();
    }
    keycloak.town.ends(&["status", APP], 0, &format!("`evenkeel approve {APP} {BAD}` lifts that"));
    assert_eq!(keycloak.alerts(), [("held-major".to_owned(), 1), ("rollback".to_owned(), 1)].into());
}

fn takes_the_next_good_version(keycloak: &mut Keycloak) {
    keycloak.recipe.publish(NEW);
    // As an operator has it who says nothing of it.
    keycloak.declare("");
    let visitor = Visitor::comes(keycloak.town.https(), &keycloak.domain());
    keycloak.night(0, &format!("upgraded: {OLD} -> {NEW} passed its gate"));
    eprintln!("nobody was served during the upgrade for {:.1?}", visitor.leaves().longest_gap());

    stands_at(&keycloak.town.world, NEW);
    assert_eq!(keycloak.database().steps(), Some(STEPS_OF_NEW));
    keycloak.accounts().knows("anna");
    assert!(
        given_way(&keycloak.volume("mariadb")).is_empty(),
        "what gave way stays until a good upgrade, and no longer"
    );
    keycloak.night(10, MAJOR).wrote_nothing();
    assert_eq!(keycloak.alerts(), [("held-major".to_owned(), 1), ("rollback".to_owned(), 1)].into());
}
