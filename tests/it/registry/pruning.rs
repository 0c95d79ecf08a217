//! What a prune leaves of an app's images.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};

use base64::Engine as _;
use evenkeel::host::images::Images;
use evenkeel::host::images::auth::Auths;
use serde_json::{Value, json};

use super::server::{PASSWORD, Registry, USER};
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
    let (said, requests) = customer.run();
    assert_eq!(said.code, 0, "{said:?}");
    // Docker's own prune may come at any time.
    let first = |what: &str| requests.iter().position(|request| request.contains(what)).unwrap();
    for id in pushed.iter().filter(|(name, _)| **name != "idle:2").map(|(_, pushed)| &pushed.id) {
        assert!(first(&format!("{id}/tag")) < first("/services/create"), "{requests:#?}");
    }

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

#[test]
fn an_image_that_came_by_its_digest_goes_with_its_tag_as_soon_as_no_container_uses_it() {
    let registry = Registry::start();
    let pushed = registry.push_from("alone:1", make);
    let name = format!("{}@{}", registry.image("alone"), pushed.digest);
    let login = base64::engine::general_purpose::STANDARD.encode(format!("{USER}:{PASSWORD}"));
    let auths = Auths::parse(&json!({"auths": {&registry.name: {"auth": login}}}).to_string()).unwrap();
    on_engine(async |swarm| {
        let (engine, images) = (swarm.engine(), Images::new(swarm.engine().clone()));
        let is_here = async || images.id(&pushed.id).await.unwrap().is_some();
        images.pull(&name, auths.for_image(&name), |_| ()).await.unwrap();
        let user = engine.post("/containers/create", &[], &json!({"Image": pushed.id, "Cmd": ["true"]})).await.unwrap();
        assert!(images.keep(&pushed.id).await.unwrap());
        assert!(!images.let_go(&pushed.id, jiff::Timestamp::MAX).await.unwrap() && is_here().await);
        engine.delete(&format!("/containers/{}", user["Id"].as_str().unwrap()), &[]).await.unwrap();
        assert!(images.keep(&pushed.id).await.unwrap() && images.id(&name).await.unwrap().is_some());
        assert!(images.let_go(&pushed.id, jiff::Timestamp::MAX).await.unwrap() && !is_here().await);
    });
}
