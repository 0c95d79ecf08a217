//! Addresses of the shared overlay: none is leaked, and what they lack is told.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::private::PrivateEngine;
use crate::fixtures::RecipeRepo;
use crate::world::{World, at};

const APP: &str = "wiki";
const ALONE: &str = "compose = [\"compose.yml\"]\n";
const WITH_MORE: &str = "compose = [\"compose.yml\", \"compose.more.yml\"]\n";

fn service(image: &str, networks: &[&str], replicas: u64) -> Value {
    // One that takes its time to end: its network must not go before it.
    let script = "trap '' TERM; while :; do sleep 1; done";
    json!({
        "image": image,
        "entrypoint": ["sh", "-c", script],
        "stop_grace_period": "1s",
        "networks": networks,
        "deploy": {"endpoint_mode": "dnsrr", "replicas": replicas},
    })
}

/// A shared network of five addresses: one is the node's own, and one service has one.
struct Narrow {
    world: World,
    recipe: RecipeRepo,
    engine: PrivateEngine,
}

impl Narrow {
    fn new(replicas: u64) -> Self {
        let engine = PrivateEngine::start().with_image();
        let alone = json!({
            "services": {"app": service(engine.image(), &["proxy"], replicas)},
            "networks": {"proxy": {"external": true}},
        });
        let more = json!({
            "services": {"more": service(engine.image(), &["proxy", "internal"], 1)},
            "networks": {"proxy": {"external": true}, "internal": {}},
        });
        let mut recipe = RecipeRepo::empty();
        let (alone, more) = (alone.to_string(), more.to_string());
        recipe.publish("1.0.0+1.0.0", &[("compose.yml", &alone), ("compose.more.yml", &more), (".env.sample", "")]);
        let mut world = World::on(&engine);
        world.subnet = "10.77.0.0/29";
        let narrow = Self { world, recipe, engine };
        let said = narrow.world.ok(&["swarm"]);
        assert!(said.err.contains("10.77.0.0/29 is small"), "{said:?}");
        narrow
    }

    fn declare(&mut self, lines: &str, within: &str) {
        let gate = format!("gate = {{ stable_for = \"1s\", within = \"{within}\" }}\n{lines}");
        self.world.declare(APP, &self.recipe.url(), "1.0.0+1.0.0", &gate);
    }

    /// Addresses on the shared network of all tasks that run.
    fn addresses(&self) -> BTreeSet<String> {
        let tasks = at(self.engine.endpoint(), async |swarm| swarm.engine().get("/tasks", &[]).await.unwrap());
        let running = tasks.as_array().unwrap().iter().filter(|task| task["Status"]["State"] == "running");
        let attachments = running.flat_map(|task| task["NetworksAttachments"].as_array().unwrap());
        let shared = attachments.filter(|attachment| attachment["Network"]["Spec"]["Name"] == "proxy");
        shared.map(|attachment| attachment["Addresses"][0].as_str().unwrap().to_owned()).collect()
    }
}

/// `docker stack rm` and `docker stack deploy` exhaust such a network in the fifth round.
#[test]
fn services_that_come_and_go_leak_no_address() {
    let mut narrow = Narrow::new(1);
    for round in 1..=9 {
        narrow.declare(WITH_MORE, "120s");
        narrow.world.ok(&["app", APP]);
        assert_eq!(narrow.addresses().len(), 2, "round {round}");
        narrow.declare(ALONE, "120s");
        let said = narrow.world.ok(&["app", APP]);
        assert!(said.out.contains("_internal"), "{said:?}");
        assert_eq!(narrow.addresses().len(), 1, "round {round}");
    }
}

#[test]
fn a_network_without_addresses_is_told_before_and_after() {
    let mut narrow = Narrow::new(1);
    narrow.declare("", "120s");
    // What is there is enough, and it is said how little that is.
    let said = narrow.world.ok(&["app", APP]);
    let tight = |free: u32| format!("network proxy (10.77.0.0/29) has {free} of its 5 addresses free at most");
    assert!(said.err.contains(&tight(5)), "{said:?}");
    for verb in [["swarm"].as_slice(), &["status"]] {
        let said = narrow.world.ok(verb);
        assert!(said.err.contains(&tight(3)), "{said:?}");
    }

    let mut many = Narrow { world: narrow.world, recipe: RecipeRepo::empty(), engine: narrow.engine };
    let compose = json!({
        "services": {"app": service(many.engine.image(), &["proxy"], 8)},
        "networks": {"proxy": {"external": true}},
    });
    many.recipe.publish("1.0.0+1.0.0", &[("compose.yml", &compose.to_string()), (".env.sample", "")]);
    let gate = "gate = { stable_for = \"1s\", within = \"30s\" }\n";
    many.world.declare("many", &many.recipe.url(), "1.0.0+1.0.0", gate);
    assert!(many.world.run(&["plan", "many"]).out.contains(&tight(3)));
    let said = many.world.run(&["app", "many"]);
    assert_eq!(said.code, 14, "{said:?}");
    let words = ["waits for an address on its networks, one of which may have none left", &tight(0), "a /16"];
    words.iter().for_each(|words| assert!(said.out.contains(words), "{words}: {said:?}"));
}
