//! A registry that is gone after an install, and a node that has lost its image.

use evenkeel::model::observed::{Observed, TaskState};

use super::server::Registry;
use super::{APP, Customer, about_registries, forget};
use crate::engine::Stack;
use crate::engine::private::PrivateEngine;
use crate::world::on_engine;

#[test]
fn what_runs_is_repaired_from_this_machine_when_the_registry_is_gone() {
    let mut registry = Registry::start();
    let image = registry.image("gone:1");
    let pushed = registry.push("gone:1");
    let customer = Customer::of(&image).logged_in(&registry.name);
    customer.applies();
    registry.end();

    customer.is_converged_without_a_registry();
    customer.remove_service();
    let (said, requests) = customer.run();

    assert!(said.out.starts_with(&format!("{APP}: applied: repaired")), "{said:?}");
    assert_eq!(about_registries(&requests), Vec::<&String>::new());
    assert_eq!((customer.image(), customer.running_image()), (format!("{image}@{}", pushed.digest), pushed.id));
}

#[test]
fn a_registry_that_is_gone_is_told_and_moves_nothing_where_tags_are_always_looked_up() {
    let mut registry = Registry::start();
    let image = registry.image("silent:1");
    let pushed = registry.push("silent:1");
    let mut customer = Customer::of(&image).logged_in(&registry.name);
    customer.declare("resolve = \"always\"\n");
    customer.applies();
    registry.end();

    let (said, _) = customer.writes_nothing(0);
    let told = format!("{} does not answer, so this machine's own {image} is used", registry.name);
    assert_eq!(said.out, format!("{APP}: converged\n"));
    assert!(said.err.contains(&told), "{said:?}");
    customer.remove_service();
    assert!(customer.applies().starts_with("repaired"));
    assert_eq!((customer.image(), customer.running_image()), (format!("{image}@{}", pushed.digest), pushed.id));
}

#[test]
fn what_runs_is_kept_while_the_image_of_a_change_is_not_to_be_had() {
    let registry = Registry::start();
    let repository = registry.image("wanted");
    let pushed = registry.push("wanted:1");
    let mut customer = Customer::of(&format!("{repository}:${{TAG}}")).logged_in(&registry.name);
    customer.declare("env = { TAG = \"1\" }\n");
    customer.applies();
    customer.declare("env = { TAG = \"2\" }\n");

    let told = format!("{APP}: error: image {repository}:2 is not on this machine, and its registry does not give it");
    let (said, _) = customer.writes_nothing(1);
    assert!(said.out.starts_with(&told) && !said.out.contains("repaired"), "{said:?}");
    customer.remove_service();
    let (said, _) = customer.run();

    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.out.starts_with(&told) && said.out.contains("; repaired 1.0.0+1.0.0: created service"), "{said:?}");
    assert_eq!(customer.running_image(), pushed.id);
    assert_eq!(customer.image(), format!("{repository}:1@{}", pushed.digest));
}

#[test]
fn a_node_that_has_lost_an_image_fetches_it_with_the_services_login() {
    let registry = Registry::start();
    let image = registry.image("lost:1");
    let pushed = registry.push("lost:1");
    let mut customer = Customer::of(&image).logged_in(&registry.name);
    customer.applies();
    comes_back_without_its_image(&customer, &pushed.id);

    customer.declare("env = { TZ = \"Europe/Berlin\" }\n");
    assert!(customer.applies().starts_with("changed"));
    comes_back_without_its_image(&customer, &pushed.id);
}

/// Scales to nothing, takes the image away, and scales up again, by hand.
fn comes_back_without_its_image(customer: &Customer, id: &str) {
    let service = customer.service();
    let live = customer.world.observe(APP).services[&service].clone();
    let stack = || customer.world.stack(APP).parse().unwrap();
    on_engine(async |swarm| {
        swarm.scale_to_nothing(&service).await.unwrap();
        let runs = |observed: &Observed| observed.tasks.iter().any(|task| task.state == TaskState::Running);
        let stack = Stack { name: stack(), swarm };
        stack.until("nothing runs", |observed| !runs(observed)).await;
    });
    forget(PrivateEngine::shared(), id);
    on_engine(async |swarm| drop(swarm.update_service(&service, &live.spec).await.unwrap()));
    on_engine(async |swarm| drop(Stack { name: stack(), swarm }.until_running(1).await));
    assert_eq!(customer.running_image(), id);
}
