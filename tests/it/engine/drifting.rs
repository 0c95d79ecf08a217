//! What somebody did by hand is undone, what failed is put back, and what the operator's files say is followed.

use evenkeel::host::swarm::Swarm;
use serde_json::{Value, json};

use super::scene::{APP, Scene, each};
use crate::world::on_engine;

/// Changes the spec of a live service, as `docker service update` does.
async fn edit(swarm: &Swarm, service: &str, change: impl Fn(&mut Value)) {
    let engine = swarm.engine();
    let mut live = engine.get(&format!("/services/{service}"), &[]).await.unwrap();
    let (id, index) = (live["ID"].as_str().unwrap().to_owned(), live["Version"]["Index"].to_string());
    change(&mut live["Spec"]);
    engine.post(&format!("/services/{id}/update"), &[("version", &index)], &live["Spec"]).await.unwrap();
}

fn edited(scene: &Scene, service: &str, change: impl Fn(&mut Value)) {
    let service = scene.named(service);
    on_engine(async |swarm| edit(&swarm, &service, &change).await);
}

/// What somebody did to the stack `notes`.
#[derive(Debug, Clone, Copy)]
enum Drift {
    ServiceRemoved,
    LabelEdited,
    ReplicasChanged,
    EnvironmentEdited,
    SecretRemoved,
    ConfigRemoved,
    NetworkRemoved,
    ServiceAdded,
    ServiceTakenOut,
}

const DRIFTS: [Drift; 9] = [
    Drift::ServiceRemoved,
    Drift::LabelEdited,
    Drift::ReplicasChanged,
    Drift::EnvironmentEdited,
    Drift::SecretRemoved,
    Drift::ConfigRemoved,
    Drift::NetworkRemoved,
    Drift::ServiceAdded,
    Drift::ServiceTakenOut,
];

impl Drift {
    /// Does it, and tells what the repair has to name.
    fn happen(self, scene: &Scene) -> &'static [&'static str] {
        match self {
            Drift::ServiceRemoved => {
                remove_services(scene, &["app"]);
                &["created service _app"]
            }
            Drift::LabelEdited => {
                edited(scene, "app", |spec| spec["Labels"]["traefik.enable"] = "false".into());
                &["updated service _app"]
            }
            Drift::ReplicasChanged => {
                edited(scene, "app", |spec| spec["Mode"]["Replicated"]["Replicas"] = 0.into());
                &["updated service _app"]
            }
            Drift::EnvironmentEdited => {
                edited(scene, "app", |spec| {
                    let env = spec["TaskTemplate"]["ContainerSpec"]["Env"].as_array_mut().unwrap();
                    env.push("BY_HAND=1".into());
                });
                &["updated service _app"]
            }
            Drift::SecretRemoved => {
                remove_services(scene, &["app"]);
                let name = scene.named("session_key_v1");
                on_engine(async |swarm| swarm.remove_secret(&name).await.unwrap());
                &["created secret _session_key_v1", "service _app"]
            }
            Drift::ConfigRemoved => {
                remove_services(scene, &["app"]);
                let name = scene.named("app_entrypoint_v2");
                on_engine(async |swarm| swarm.remove_config(&name).await.unwrap());
                &["created config _app_entrypoint_v2", "service _app"]
            }
            Drift::NetworkRemoved => {
                remove_services(scene, &["app", "db"]);
                let name = scene.named("internal");
                on_engine(async |swarm| swarm.remove_network(&name, super::DEADLINE).await.unwrap());
                &["created network _internal", "service _app", "service _db"]
            }
            Drift::ServiceAdded => {
                add_service(scene);
                &["removed service _extra"]
            }
            Drift::ServiceTakenOut => {
                let label = "com.docker.stack.namespace";
                edited(scene, "app", |spec| drop(spec["Labels"].as_object_mut().unwrap().remove(label)));
                &["updated service _app"]
            }
        }
    }
}

fn remove_services(scene: &Scene, services: &[&str]) {
    let observed = scene.world.observe(APP);
    let names: Vec<String> = services.iter().map(|service| scene.named(service)).collect();
    let ids: Vec<String> = names.iter().map(|name| observed.services[name].id.clone()).collect();
    on_engine(async |swarm| {
        for name in &names {
            swarm.remove_service(name).await.unwrap();
        }
        swarm.wait_containers_gone(&ids, super::DEADLINE).await.unwrap();
    });
}

/// A service with the stack's label that the recipe does not have, with a volume that holds something.
fn add_service(scene: &Scene) {
    let labels = json!({"com.docker.stack.namespace": scene.world.stack(APP)});
    let script = "echo kept >/data/file; trap 'exit 0' TERM; while :; do sleep 1; done";
    let volume = scene.named("extra");
    let spec = json!({
        "Name": scene.named("extra"), "Labels": labels,
        "TaskTemplate": {"ContainerSpec": {
            "Image": "standin:1.0.0", "Command": ["sh", "-c", script], "Labels": labels,
            "Mounts": [{"Type": "volume", "Source": volume, "Target": "/data"}],
        }},
        "Mode": {"Replicated": {"Replicas": 1}}, "EndpointSpec": {"Mode": "dnsrr"},
    });
    on_engine(async |swarm| drop(swarm.create_service(&spec).await.unwrap()));
    let deadline = std::time::Instant::now() + super::DEADLINE;
    while !scene.world.observe(APP).volumes.contains_key(&volume) || !scene.volume("extra").join("file").exists() {
        assert!(std::time::Instant::now() < deadline, "the extra service does not start");
    }
}

#[test]
fn what_was_changed_by_hand_is_repaired_and_told() {
    let play = |scene: Scene, drift: Drift| {
        scene.world.ok(&["app", APP]);
        scene.is_converged();
        let told = drift.happen(&scene);
        let said = scene.applies();
        assert!(said.starts_with("repaired 1.0.0+1.0.0: "), "{said}");
        for object in told {
            let object = object.replacen('_', &scene.named(""), 1);
            assert!(said.contains(&object), "{object}: {said}");
        }
        scene.is_converged();
        scene.database_knows_its_password();
        if let Drift::ServiceAdded = drift {
            assert_eq!(std::fs::read_to_string(scene.volume("extra").join("file")).unwrap(), "kept\n");
        }
    };
    each(&DRIFTS, || Scene::new("notes"), play);
}

#[test]
fn a_failed_change_is_put_back_and_tried_again_only_when_asked() {
    let mut scene = Scene::new("standin-app");
    scene.declare("env = { MARK = \"old\" }");
    scene.world.ok(&["app", APP]);
    let spec = scene.spec("app");
    let starts = scene.volume("data").join("starts");
    let first = std::fs::read_to_string(&starts).unwrap();

    scene.declare("env = { MARK = \"new\", REFUSE = \"1\" }");
    let said = scene.run();
    assert_eq!(said.code, 14, "{said:?}");
    assert!(said.out.contains("unhealthy: the change of configuration failed: "), "{said:?}");
    assert!(said.out.contains("standin: refused to start"), "{said:?}");
    assert_eq!(scene.spec("app")["TaskTemplate"]["ContainerSpec"], spec["TaskTemplate"]["ContainerSpec"]);
    assert!(std::fs::read_to_string(&starts).unwrap().starts_with(&first), "the volume lost what it held");

    let again = scene.writes_nothing(14);
    assert!(again.out.contains("standin: refused to start"), "{again:?}");
    scene.recorder.take();
    assert_eq!(scene.world.run(&["app", APP, "--retry"]).code, 14);
    assert!(!super::recorder::writes(&scene.recorder.take()).is_empty(), "--retry tries again");

    scene.declare("env = { MARK = \"old\" }");
    scene.is_converged();
    scene.declare("env = { MARK = \"new\" }");
    let said = scene.applies();
    assert!(said.starts_with("changed 1.0.0+1.0.0: updated service "), "{said}");
    assert_eq!(scene.variable("MARK").as_deref(), Some("new"));
    scene.is_converged();
}

#[test]
fn a_failed_first_install_stays_for_reading_until_somebody_asks() {
    let mut scene = Scene::new("standin-app");
    scene.declare("env = { REFUSE = \"1\" }");
    let said = scene.run();
    assert_eq!(said.code, 14, "{said:?}");
    assert!(said.out.contains("the first install of 1.0.0+1.0.0 failed: "), "{said:?}");
    assert!(said.out.contains("standin: refused to start"), "{said:?}");
    assert_eq!(scene.world.observe(APP).services.len(), 1, "it is left as it is");

    let again = scene.writes_nothing(14);
    assert!(again.out.contains("standin: refused to start"), "{again:?}");
    let before = scene.world.state(APP);
    assert_eq!(scene.world.run(&["app", APP, "--retry"]).code, 14);
    assert_ne!(scene.world.state(APP)["installing"]["since"], before["installing"]["since"], "--retry tries again");

    scene.declare("");
    let said = scene.applies();
    assert!(said.starts_with("installed 1.0.0+1.0.0: "), "{said}");
    scene.is_converged();
}

/// Names of the Swarm secrets that the app's services mount under this one's name.
fn mounted(scene: &Scene, key: &str) -> Vec<String> {
    let mounts = scene.spec("app")["TaskTemplate"]["ContainerSpec"]["Secrets"].as_array().unwrap().clone();
    let names = mounts.iter().map(|mount| mount["SecretName"].as_str().unwrap().to_owned());
    names.filter(|name| name.starts_with(&scene.named(key))).collect()
}

#[test]
fn a_secret_follows_the_operators_file_there_and_back() {
    let mut scene = Scene::new("notes");
    let file = scene.world.file("session_key", "a".repeat(64).as_bytes());
    let password = scene.world.file("db_password", b"kept-in-a-file");
    let files = format!("session_key = \"{}\", db_password = \"{}\"", file.display(), password.display());
    scene.declare(&format!("secrets = {{ {files} }}"));
    scene.world.ok(&["app", APP]);
    let first = mounted(&scene, "session_key");
    assert!(first.len() == 1 && first[0].starts_with(&scene.named("session_key_c")), "{first:?}");
    scene.is_converged();

    scene.world.file("session_key", "b".repeat(64).as_bytes());
    let said = scene.applies();
    let second = mounted(&scene, "session_key");
    assert_ne!(first, second);
    assert!(said.contains(&format!("created secret {}", second[0])), "{said}");
    assert!(said.contains(&format!("removed secret {}", first[0])), "{said}");
    scene.is_converged();

    scene.world.file("session_key", "a".repeat(64).as_bytes());
    scene.applies();
    assert_eq!(mounted(&scene, "session_key"), first);
    scene.is_converged();
}

#[test]
fn a_file_takes_the_place_of_a_secret_that_was_made_here() {
    let mut scene = Scene::new("notes");
    scene.world.ok(&["app", APP]);
    let made = scene.kept()[&scene.named("session_key_v1")].clone();

    let file = scene.world.file("session_key", "a".repeat(64).as_bytes());
    scene.declare(&format!("secrets = {{ session_key = \"{}\" }}", file.display()));
    scene.applies();
    let mounted = mounted(&scene, "session_key");
    assert!(mounted[0].starts_with(&scene.named("session_key_c")), "{mounted:?}");
    assert_eq!(scene.kept()[&scene.named("session_key_v1")], made, "what the volumes may know is not lost");
    scene.is_converged();

    scene.declare("");
    scene.applies();
    assert_eq!(self::mounted(&scene, "session_key"), [scene.named("session_key_v1")]);
    scene.is_converged();
}

#[test]
fn nothing_is_generated_for_a_volume_that_exists_already() {
    let scene = Scene::new("notes");
    let volume = scene.named("db");
    let body = json!({"Name": volume});
    on_engine(async |swarm| drop(swarm.engine().post("/volumes/create", &[], &body).await.unwrap()));

    let said = scene.writes_nothing(12);
    assert!(said.out.starts_with(&format!("{APP}: blocked: ")), "{said:?}");
    assert!(said.out.contains(&format!("volume {volume}")), "{said:?}");
    assert!(said.out.contains("secrets = { db_password = \"/path\" }"), "{said:?}");
    assert!(!scene.dir().join("state.json").exists() && scene.kept().is_empty());
    let path = format!("/volumes/{volume}");
    on_engine(async |swarm| swarm.engine().delete(&path, &[]).await.unwrap());
}
