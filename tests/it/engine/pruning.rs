//! The shared network after a `docker network prune`, which takes it while no service names it.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use super::nights::kill;
use super::private::PrivateEngine;
use super::recorder::writes;
use crate::fixtures::RecipeRepo;
use crate::world::{Said, World, at};

const APP: &str = "wiki";

/// An app on an Engine of its own, whose one service is on the shared network.
struct Kept {
    world: World,
    engine: PrivateEngine,
    recipe: RecipeRepo,
}

impl Kept {
    fn installed() -> Self {
        let engine = PrivateEngine::start().with_image();
        let compose = json!({
            "services": {"app": {
                "image": engine.image(),
                "entrypoint": ["sh", "-c", "trap 'exit 0' TERM; sleep 1000000 & wait"],
                "networks": ["proxy"],
                "volumes": ["data:/data"],
                "deploy": {"endpoint_mode": "dnsrr"},
            }},
            "networks": {"proxy": {"external": true}},
            "volumes": {"data": {}},
        });
        let mut recipe = RecipeRepo::empty();
        for (version, words) in [("1.0.0+1.0.0", "MOOD=calm\n"), ("1.1.0+1.0.0", "MOOD=calm\nWIND=west\n")] {
            let mut compose = compose.clone();
            compose["services"]["app"]["environment"] = json!({"RELEASE": version});
            recipe.publish(version, &[("compose.yml", &compose.to_string()), (".env.sample", words)]);
        }
        let mut world = World::on(&engine);
        world.declare(APP, &recipe.url(), "1.0.0+1.0.0", "gate = { stable_for = \"1s\", within = \"300s\" }\n");
        world.ok(&["swarm"]);
        world.ok(&["app", APP]);
        Self { world, engine, recipe }
    }

    /// As an operator would, with Docker's own program.
    fn docker(&self, arguments: &[&str]) -> String {
        let ended = Command::new(std::env::var_os("EVENKEEL_DOCKER_CLI").unwrap_or_else(|| "docker".into()))
            .env("DOCKER_HOST", self.engine.endpoint())
            .args(arguments)
            .output()
            .unwrap();
        assert!(ended.status.success(), "docker {arguments:?}: {ended:?}");
        String::from_utf8(ended.stdout).unwrap()
    }

    fn networks(&self) -> String {
        self.docker(&["network", "ls", "--filter", "name=^proxy$", "--format", "{{.Name}} {{.Driver}} {{.Scope}}"])
    }

    /// Removes the app's services, and then whatever network nobody uses.
    fn loses_its_network(&self) {
        self.docker(&["stack", "rm", &self.world.stack(APP)]);
        let deadline = Instant::now() + super::DEADLINE;
        while !self.networks().is_empty() {
            assert!(Instant::now() < deadline, "a prune never takes the network");
            self.docker(&["network", "prune", "--force"]);
            thread::sleep(Duration::from_millis(200));
        }
    }

    fn writes_nothing(&mut self, arguments: &[&str], code: i32) -> Said {
        let world = std::mem::replace(&mut self.world, World::on(&self.engine));
        let (world, recorder) = world.recorded();
        let said = world.run(arguments);
        assert_eq!((said.code, writes(&recorder.take())), (code, vec![]), "{said:#?}");
        self.world = world.moved_to(&self.engine);
        said
    }
}

#[test]
fn a_pruned_network_is_made_again_by_the_next_run_of_an_app() {
    let mut kept = Kept::installed();
    // While a service names it, also one that is scaled to nothing, no prune takes it.
    let service = format!("{}_app", kept.world.stack(APP));
    kept.docker(&["service", "scale", "--detach", &format!("{service}=0")]);
    kept.docker(&["network", "prune", "--force"]);
    assert_eq!(kept.networks(), "proxy overlay swarm\n");

    kept.loses_its_network();
    let told = kept.writes_nothing(&["plan", APP], 2);
    assert!(told.out.contains("+ network proxy: the one that all apps share is not there"), "{told:#?}");
    let said = kept.world.ok(&["app", APP]);
    assert!(said.out.contains("wiki: applied: repaired 1.0.0+1.0.0: created network proxy, "), "{said:#?}");
    assert_eq!(kept.networks(), "proxy overlay swarm\n");
    let subnets = kept.docker(&["network", "inspect", "proxy", "--format", "{{range .IPAM.Config}}{{.Subnet}}{{end}}"]);
    assert_eq!(subnets, "10.200.0.0/16\n");
    assert_eq!(kept.writes_nothing(&["app", APP], 0).out, "wiki: converged\n");
    assert!(kept.world.ok(&["swarm"]).out.contains("converged"));
}

#[test]
fn resume_makes_a_pruned_network_again() {
    let mut kept = Kept::installed();
    kept.world.declare(APP, &kept.recipe.url(), "1.1.0+1.0.0", "gate = { stable_for = \"10s\", within = \"300s\" }\n");
    let mut run = kept.world.start(&["app", APP]);
    let deadline = Instant::now() + super::DEADLINE;
    while kept.world.state(APP)["open"]["step"] != "judge" {
        assert!(Instant::now() < deadline && run.try_wait().unwrap().is_none(), "it never came to its judgement");
        thread::sleep(Duration::from_millis(20));
    }
    kill(&mut run);
    kept.loses_its_network();
    let said = kept.world.ok(&["resume"]);
    assert!(said.out.starts_with("wiki: upgraded: 1.0.0+1.0.0 -> 1.1.0+1.0.0"), "{said:#?}");
    assert_eq!(kept.networks(), "proxy overlay swarm\n");
    assert_eq!(kept.writes_nothing(&["app", APP], 0).out, "wiki: converged\n");
}

#[test]
fn apps_that_miss_the_network_at_once_make_one() {
    let mut kept = Kept::installed();
    let url = kept.recipe.url();
    for name in ["blog", "shop", "forum"] {
        kept.world.declare(name, &url, "1.0.0+1.0.0", "gate = { stable_for = \"1s\", within = \"300s\" }\n");
    }
    kept.loses_its_network();
    let said = kept.world.ok(&["app"]);
    assert_eq!(said.out.matches("applied: ").count(), 4, "{said:#?}");
    assert_eq!(kept.networks(), "proxy overlay swarm\n");
    assert_eq!(kept.writes_nothing(&["app"], 0).out.matches("converged").count(), 4);
}

#[test]
fn a_network_of_that_name_with_another_subnet_is_used_and_told() {
    let mut kept = Kept::installed();
    kept.loses_its_network();
    at(kept.engine.endpoint(), async |swarm| {
        swarm.create_overlay("proxy", "10.77.0.0/16", true, &Default::default()).await.unwrap();
    });
    let said = kept.world.ok(&["app", APP]);
    assert!(said.err.contains("exists with 10.77.0.0/16 and is used as it is; 10.200.0.0/16 is declared"), "{said:#?}");
    assert_eq!(kept.writes_nothing(&["app", APP], 0).out, "wiki: converged\n");
}
