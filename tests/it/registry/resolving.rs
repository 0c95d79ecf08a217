//! What a tag means, and for how long.

use super::server::{Pushed, Registry};
use super::{APP, Customer, about_registries, swarm_writes};
use crate::engine::private::PrivateEngine;

const ALWAYS: &str = "resolve = \"always\"\n";
const NEVER: &str = "resolve = \"never\"\n";

#[track_caller]
fn runs(customer: &Customer, image: &str, pushed: &Pushed) {
    assert_eq!(customer.image(), format!("{image}@{}", pushed.digest));
    assert_eq!(customer.running_image(), pushed.id);
}

/// What the state keeps of the image: by which reference, and which id it had at the gate.
#[track_caller]
fn records(customer: &Customer, image: &str, pushed: &Pushed) {
    let images = customer.world.state(APP)["current"]["body"]["images"].clone();
    assert_eq!(images, serde_json::json!({format!("{image}@{}", pushed.digest): pushed.id}));
}

#[test]
fn an_image_is_run_by_the_digest_that_its_registry_told() {
    let registry = Registry::start();
    let (image, pushed) = (registry.image("digests:1"), registry.push("digests:1"));
    let customer = Customer::of(&image).logged_in(&registry.name);

    let told = customer.applies();

    assert!(told.starts_with("installed 1.0.0+1.0.0: ") && !told.contains("this machine's own"), "{told}");
    runs(&customer, &image, &pushed);
    records(&customer, &image, &pushed);
    customer.is_converged_without_a_registry();
}

#[test]
fn a_moved_tag_changes_nothing_while_the_recipes_words_are_the_same() {
    let registry = Registry::start();
    let (image, first) = (registry.image("changed:1"), registry.push("changed:1"));
    let mut customer = Customer::of(&image).logged_in(&registry.name);
    customer.applies();
    let second = registry.push("changed:1");
    assert_ne!(first.digest, second.digest);

    customer.is_converged_without_a_registry();
    customer.declare("env = { TZ = \"Europe/Berlin\" }\n");
    let (said, requests) = customer.run();
    assert_eq!(said.out, format!("{APP}: applied: changed 1.0.0+1.0.0: updated service {}\n", customer.service()));
    assert_eq!(about_registries(&requests), Vec::<&String>::new());
    runs(&customer, &image, &first);
    customer.remove_service();
    assert!(customer.applies().starts_with("repaired"));
    runs(&customer, &image, &first);
    records(&customer, &image, &first);
}

#[test]
fn a_registry_is_never_asked_again_where_the_operator_says_so() {
    let registry = Registry::start();
    let (image, first) = (registry.image("never:1"), registry.push("never:1"));
    let mut customer = Customer::of(&image).logged_in(&registry.name);
    customer.declare(NEVER);

    let (said, requests) = customer.run();
    assert_eq!(said.code, 0, "{said:?}");
    let asked = about_registries(&requests);
    assert!(asked.len() == 1 && asked[0].contains("/images/create"), "{asked:?}");
    runs(&customer, &image, &first);
    registry.push("never:1");

    customer.is_converged_without_a_registry();
    customer.declare(&format!("{NEVER}env = {{ TZ = \"Europe/Berlin\" }}\n"));
    assert!(customer.applies().starts_with("changed"));
    customer.remove_service();
    let (said, requests) = customer.run();
    assert!(said.out.contains("applied: repaired"), "{said:?}");
    assert_eq!(about_registries(&requests), Vec::<&String>::new());
    runs(&customer, &image, &first);
}

#[test]
fn a_moved_tag_is_a_change_where_it_is_always_looked_up() {
    let registry = Registry::start();
    let (image, first) = (registry.image("always:1"), registry.push("always:1"));
    let mut customer = Customer::of(&image).logged_in(&registry.name);
    customer.declare(ALWAYS);
    customer.applies();
    runs(&customer, &image, &first);
    assert_eq!(customer.writes_nothing(0).0.out, format!("{APP}: converged\n"));
    let second = registry.push("always:1");

    let told = customer.applies();

    assert_eq!(told, format!("changed 1.0.0+1.0.0: updated service {}\n", customer.service()));
    runs(&customer, &image, &second);
    records(&customer, &image, &second);
    assert_eq!(customer.writes_nothing(0).0.out, format!("{APP}: converged\n"));
}

#[test]
fn a_moved_tag_that_does_not_come_up_is_put_back_and_not_tried_again() {
    let registry = Registry::start();
    let (image, first) = (registry.image("bad:1"), registry.push("bad:1"));
    let mut customer = Customer::of(&image).logged_in(&registry.name);
    customer.declare(ALWAYS);
    customer.applies();
    registry.push_from("bad:1", |name| PrivateEngine::shared().make_empty_image(name));

    let (said, _) = customer.run();

    assert_eq!(said.code, 14, "{said:?}");
    assert!(said.out.contains("the previous one runs again"), "{said:?}");
    runs(&customer, &image, &first);
    records(&customer, &image, &first);
    let (again, _) = customer.writes_nothing(14);
    assert!(again.out.contains("not tried again by itself"), "{again:?}");
    let third = registry.push("bad:1");
    assert!(customer.applies().starts_with("changed"));
    runs(&customer, &image, &third);
}

#[test]
fn a_moved_tag_is_followed_as_an_upgrade_where_the_app_keeps_data() {
    let registry = Registry::start();
    let (image, first) = (registry.image("data:1"), registry.push("data:1"));
    let more = "    volumes: [\"data:/data\"]\nvolumes:\n  data:\n";
    let mut customer = Customer::with_service(&image, more).logged_in(&registry.name);
    customer.declare(ALWAYS);
    customer.applies();
    runs(&customer, &image, &first);
    let second = registry.push("data:1");

    let (said, _) = customer.run();

    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.out.contains("upgraded: the change of 1.0.0+1.0.0 passed its gate"), "{said:?}");
    runs(&customer, &image, &second);
    assert_eq!(customer.writes_nothing(0).0.out, format!("{APP}: converged\n"));
}

#[test]
fn the_image_that_is_named_by_a_digest_is_the_one() {
    let registry = Registry::start();
    let first = registry.push("pinned:1");
    registry.push("pinned:1");
    let image = format!("{}@{}", registry.image("pinned:1"), first.digest);
    let customer = Customer::of(&image).logged_in(&registry.name);

    let (said, requests) = customer.run();

    assert_eq!(said.code, 0, "{said:?}");
    assert!(!swarm_writes(&requests).is_empty());
    assert_eq!((customer.image(), customer.running_image()), (image, first.id));
    customer.is_converged_without_a_registry();
}

#[test]
fn a_tag_that_is_new_to_the_recipe_is_looked_up_under_each_rule() {
    let registry = Registry::start();
    let repository = registry.image("renamed");
    registry.push("renamed:1");
    let second = registry.push("renamed:2");

    for rule in ["", ALWAYS, NEVER] {
        let mut customer = Customer::of(&format!("{repository}:${{TAG}}")).logged_in(&registry.name);
        customer.declare(&format!("{rule}env = {{ TAG = \"1\" }}\n"));
        customer.applies();
        customer.declare(&format!("{rule}env = {{ TAG = \"2\" }}\n"));

        assert!(customer.applies().starts_with("changed"), "{rule}");
        runs(&customer, &format!("{repository}:2"), &second);
        records(&customer, &format!("{repository}:2"), &second);
    }
}
