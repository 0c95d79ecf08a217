//! What a prune leaves of an app's images.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::server::Registry;
use super::{APP, Customer};
use crate::engine::private::PrivateEngine;
use crate::world::on_engine;

/// Of this test's images: those of others beside it are not to be pruned.
const LABEL: &str = "evenkeel.test.pruned";

/// An image of this test.
fn make(name: &str) {
    let docker = ["--host", PrivateEngine::shared().endpoint(), "build", "--quiet", "--tag", name, "-"];
    let mut build = Command::new("docker");
    build.args(docker).env("DOCKER_BUILDKIT", "0").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut build = build.spawn().unwrap();
    let file = format!("FROM {}\nLABEL {LABEL}={name}\n", PrivateEngine::shared().image());
    build.stdin.take().unwrap().write_all(file.as_bytes()).unwrap();
    let ended = build.wait_with_output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
}

/// What `docker system prune` takes of this stack's: its ended containers, and images without a tag.
fn prune(stack: &str) {
    let of_stack = json!({"label": [format!("com.docker.stack.namespace={stack}")]}).to_string();
    on_engine(async |swarm| {
        let engine = swarm.engine();
        engine.post("/containers/prune", &[("filters", &of_stack)], &Value::Null).await.unwrap();
        let of_test = json!({"label": [LABEL]}).to_string();
        engine.post("/images/prune", &[("filters", &of_test)], &Value::Null).await.unwrap();
    });
}

fn is_here(id: &str) -> bool {
    on_engine(async |swarm| match swarm.engine().get(&format!("/images/{id}/json"), &[]).await {
        Ok(_) => true,
        Err(error) if error.is_not_found() => false,
        Err(error) => panic!("{error}"),
    })
}

#[test]
fn a_prune_takes_no_image_that_a_release_names_and_every_one_that_none_does() {
    let registry = Registry::start();
    let pushed: BTreeMap<&str, _> =
        ["app:1", "idle:1", "job:1", "idle:2"].into_iter().map(|name| (name, registry.push_from(name, make))).collect();
    let more = format!(
        "  idle:\n    image: {}:${{IDLE}}\n    deploy: {{replicas: 0}}\n  job:\n    image: {}\n    entrypoint: [sh, -c, 'exit 0']\n    \
         deploy: {{restart_policy: {{condition: none}}}}\n",
        registry.image("idle"),
        registry.image("job:1"),
    );
    let mut customer = Customer::with_service(&registry.image("app:1"), &more).logged_in(&registry.name);
    customer.declare("env = { IDLE = \"1\" }\n");
    customer.applies();

    prune(&customer.world.stack(APP));
    for name in ["app:1", "idle:1", "job:1"] {
        assert!(is_here(&pushed[name].id), "{name} is gone");
    }
    customer.is_converged_without_a_registry();

    customer.declare("env = { IDLE = \"2\" }\n");
    assert!(customer.applies().starts_with("changed"));
    prune(&customer.world.stack(APP));
    let left: Vec<&str> = pushed.iter().filter(|(_, pushed)| is_here(&pushed.id)).map(|(name, _)| *name).collect();
    assert_eq!(left, ["app:1", "idle:2", "job:1"]);
}
