//! The operator's own compose file over a recipe, on a real Engine.

use std::path::Path;

use serde_json::Value;

use super::scene::{APP, Scene};
use crate::world::on_engine;

const OVERLAY: &str = "services:\n  app:\n    environment: {MARK: of-the-operator}\n    env_file: DIR/extra.env\n    \
                       deploy: {labels: {by.operator: first}}\n    configs: [{source: motd, target: /etc/motd}]\n    \
                       secrets: [pin]\n\
                       configs:\n  motd: {file: DIR/motd}\nsecrets:\n  pin: {file: DIR/pin}\n";

/// The body of the config that service `app` mounts at this path.
fn mounted_config(scene: &Scene, target: &str) -> (String, Vec<u8>) {
    let configs = scene.spec("app")["TaskTemplate"]["ContainerSpec"]["Configs"].as_array().unwrap().clone();
    let config = configs.iter().find(|config| config["File"]["Name"] == target).unwrap();
    let name = config["ConfigName"].as_str().unwrap().to_owned();
    let body = scene.world.observe(APP).configs[&name].data.clone();
    (name, body)
}

fn mounted_secret(scene: &Scene) -> String {
    let secrets = scene.spec("app")["TaskTemplate"]["ContainerSpec"]["Secrets"].as_array().unwrap().clone();
    secrets.iter().find(|secret| secret["File"]["Name"] == "pin").unwrap()["SecretName"].as_str().unwrap().to_owned()
}

#[test]
fn an_overlay_and_the_files_that_it_names_are_followed() {
    let mut scene = Scene::new("standin-app");
    let file = |scene: &Scene, name: &str, text: &str| scene.world.file(name, text.as_bytes());
    let dir = scene.world.dir.path().display().to_string();
    let overlay = file(&scene, "extra.yml", &OVERLAY.replace("DIR", &dir));
    file(&scene, "extra.env", "FROM_FILE=one\n");
    file(&scene, "motd", "welcome\n");
    file(&scene, "pin", "1234");
    scene.declare(&format!("compose = [\"compose.yml\", \"{}\"]", overlay.display()));

    scene.world.ok(&["app", APP]);
    assert_eq!(scene.spec("app")["Labels"]["by.operator"], "first");
    assert_eq!(scene.variable("MARK").as_deref(), Some("of-the-operator"));
    assert_eq!(scene.variable("FROM_FILE").as_deref(), Some("one"));
    let (plain, body) = mounted_config(&scene, "/etc/motd");
    assert_eq!((plain.as_str(), body.as_slice()), (scene.named("motd").as_str(), &b"welcome\n"[..]));
    assert_eq!(mounted_secret(&scene), scene.named("pin"));
    scene.is_converged();

    file(&scene, "motd", "welcome back\n");
    let told = scene.world.run(&["plan", APP]).out;
    assert!(told.contains("changed the body of config") && told.contains("+ config"), "{told}");
    assert!(scene.applies().starts_with("changed 1.0.0+1.0.0: created config "));
    let (by_content, body) = mounted_config(&scene, "/etc/motd");
    assert_eq!(body, b"welcome back\n");
    assert!(by_content.starts_with(&format!("{plain}_c")), "{by_content}");
    scene.is_converged();

    file(&scene, "pin", "5678");
    assert!(scene.applies().starts_with("changed 1.0.0+1.0.0: created secret "));
    assert!(mounted_secret(&scene).starts_with(&scene.named("pin_c")));
    scene.is_converged();

    file(&scene, "extra.env", "FROM_FILE=two\n");
    let told = scene.world.run(&["plan", APP]).out;
    assert!(told.contains("FROM_FILE=[hidden, wanted]") && !told.contains("FROM_FILE=two"), "{told}");
    scene.applies();
    assert_eq!(scene.variable("FROM_FILE").as_deref(), Some("two"));
    scene.is_converged();

    file(&scene, "extra.yml", &OVERLAY.replace("DIR", &dir).replace("first", "second"));
    let said = scene.world.ok(&["app", APP]);
    assert!(said.out.starts_with("wiki: upgraded: the change of 1.0.0+1.0.0 passed its gate"), "{said:?}");
    assert_eq!(scene.spec("app")["Labels"]["by.operator"], "second");
    scene.is_converged();

    std::fs::remove_file(Path::new(&dir).join("motd")).unwrap();
    let said = scene.writes_nothing(12);
    assert!(said.out.contains("motd: No such file"), "{said:?}");
}

/// Whether the Engine takes a body; what it took is removed.
async fn takes(engine: &evenkeel::host::engine::Engine, path: &str, body: &Value) -> bool {
    let Ok(made) = engine.post(&format!("/{path}/create"), &[], body).await else { return false };
    let id = made.get("ID").or(made.get("Id")).and_then(Value::as_str).unwrap().to_owned();
    engine.delete(&format!("/{path}/{id}"), &[]).await.unwrap();
    true
}

/// What is refused when a recipe is read is what the Engine would refuse, and no more.
#[test]
fn names_and_sizes_are_refused_where_the_engine_refuses_them() {
    let prefix = "evenkeel-test-names-";
    let fill = |length: usize| "n".repeat(length - prefix.len());
    let ends = ["a", "a.b", "a-_b", "a_", "a-", "a.", "a..b", "a b", "a/b", "ä", "a\u{1b}", ""];
    let names: Vec<String> = ends.iter().map(|end| (*end).to_owned()).chain([fill(63), fill(64), fill(65)]).collect();
    on_engine(async |swarm| {
        let engine = swarm.engine();
        for end in &names {
            let name = format!("{prefix}{end}");
            let object = serde_json::json!({"Name": name, "Data": "eA=="});
            let ours = evenkeel::desired::is_object_name(&name);
            assert_eq!(takes(engine, "configs", &object).await, ours, "config {name:?}");
            assert_eq!(takes(engine, "secrets", &object).await, ours, "secret {name:?}");
            let network = serde_json::json!({"Name": name, "Driver": "overlay", "CheckDuplicate": true});
            let ours = evenkeel::desired::is_dns_name(&name);
            assert_eq!(takes(engine, "networks", &network).await, ours, "network {name:?}");
            let container = serde_json::json!({"Image": "standin:1.0.0"});
            let mode = serde_json::json!({"Replicated": {"Replicas": 0}});
            let service = serde_json::json!({"Name": name, "TaskTemplate": {"ContainerSpec": container}, "Mode": mode});
            assert_eq!(takes(engine, "services", &service).await, ours, "service {name:?}");
        }
        for (path, most) in [("secrets", 511_999), ("configs", 1_023_999)] {
            for (size, ours) in [(0, false), (1, true), (most, true), (most + 1, false)] {
                let data = base64(&vec![b'x'; size]);
                let body = serde_json::json!({"Name": format!("{prefix}size"), "Data": data});
                assert_eq!(takes(engine, path, &body).await, ours, "{path} of {size} bytes");
            }
        }
    });
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
