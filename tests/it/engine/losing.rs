//! A Swarm that is lost or another one, and an Engine with another data root: what the state makes again, and what
//! waits for a person.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::mount::{MntFlags, umount2};
use serde_json::{Value, json};

use super::private::{PrivateEngine, small_file_system};
use super::recorder::writes;
use crate::fixtures::RecipeRepo;
use crate::world::{Said, World, at};

const APP: &str = "wiki";

/// An app with one of everything: it writes down when its data was begun, and the secret that it was given.
fn compose(image: &str) -> String {
    let script = "[ -e /data/begun ] || cat /proc/sys/kernel/random/uuid >/data/begun; cat /run/secrets/key >/data/key; \
                  trap 'exit 0' TERM; sleep 1000000 & wait";
    json!({
        "services": {"app": {
            "image": image,
            "entrypoint": ["sh", "-c", script],
            "networks": ["proxy", "internal"],
            "volumes": ["data:/data"],
            "secrets": ["key"],
            "configs": [{"source": "settings", "target": "/settings"}],
            "deploy": {"endpoint_mode": "dnsrr"},
        }},
        "networks": {"proxy": {"external": true}, "internal": {}},
        "volumes": {"data": {}},
        "secrets": {"key": {"external": true, "name": "${STACK_NAME}_key_${SECRET_KEY_VERSION}"}},
        "configs": {"settings": {"name": "${STACK_NAME}_settings_v1", "file": "settings"}},
    })
    .to_string()
}

/// An app that runs on an Engine of its own.
struct Kept {
    world: World,
    recipe: RecipeRepo,
    engine: PrivateEngine,
}

impl Kept {
    fn installed() -> Self {
        let engine = PrivateEngine::start().with_image();
        let mut recipe = RecipeRepo::empty();
        let files = [
            ("compose.yml", compose(engine.image()).as_str()),
            (".env.sample", "SECRET_KEY_VERSION=v1\n"),
            ("settings", "calm = yes\n"),
        ]
        .map(|(path, text)| (path, text.to_owned()));
        let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
        recipe.publish("1.0.0+1.0.0", &files);
        let mut world = World::on(&engine);
        world.declare(APP, &recipe.url(), "1.0.0+1.0.0", "gate = { stable_for = \"1s\", within = \"300s\" }\n");
        world.ok(&["swarm"]);
        assert!(world.ok(&["app", APP]).out.contains("installed"));
        Self { world, recipe, engine }
    }

    fn volume(&self) -> String {
        format!("{}_data", self.world.stack(APP))
    }

    /// A file of the app's volume.
    fn data(&self, name: &str) -> String {
        let folder = self.engine.data_root().join("volumes").join(self.volume()).join("_data");
        fs::read_to_string(folder.join(name)).unwrap()
    }

    fn kept_key(&self) -> String {
        let name = format!("{}_key_v1", self.world.stack(APP));
        fs::read_to_string(self.world.state_dir().join(APP).join("secrets").join(name)).unwrap()
    }

    /// The node leaves its Swarm, which takes everything but its volumes.
    fn loses_its_swarm(&self) {
        at(self.engine.endpoint(), async |swarm| {
            swarm.engine().post("/swarm/leave", &[("force", "1")], &Value::Null).await.unwrap();
        });
    }

    fn swarm(&self) -> Option<String> {
        at(self.engine.endpoint(), async |swarm| swarm.id().await.unwrap())
    }

    fn run(&self) -> Said {
        self.world.run(&["app", APP])
    }
}

/// A run over a recorder in front of this Engine: what it said, and that it wrote nothing.
#[track_caller]
fn writes_nothing(mut kept: Kept, code: i32) -> (Kept, Said) {
    let recorder;
    (kept.world, recorder) = kept.world.recorded();
    let said = kept.run();
    assert_eq!(said.code, code, "{said:?}");
    assert_eq!(writes(&recorder.take()), Vec::<&String>::new(), "{said:?}");
    kept.world = kept.world.moved_to(&kept.engine);
    (kept, said)
}

/// Specs of the stack's services without what only this very Swarm knows them by.
fn specs(world: &World) -> BTreeMap<String, String> {
    let bare = |spec: &Value| {
        let mut spec = spec.clone();
        spec["TaskTemplate"]["Networks"].as_array_mut().unwrap().iter_mut().for_each(|n| n["Target"] = Value::Null);
        let container = &mut spec["TaskTemplate"]["ContainerSpec"];
        container["Secrets"][0]["SecretID"] = Value::Null;
        container["Configs"][0]["ConfigID"] = Value::Null;
        spec.to_string()
    };
    world.observe(APP).services.iter().map(|(name, service)| (name.clone(), bare(&service.spec))).collect()
}

#[test]
fn a_lost_swarm_is_made_again_from_the_state_also_without_the_recipe() {
    let kept = Kept::installed();
    let (state, before, key) = (kept.world.state(APP), specs(&kept.world), kept.kept_key());
    let (begun, old) = (kept.data("begun"), kept.swarm().unwrap());
    assert_eq!(state["swarm"], old.as_str());
    assert_eq!(state["data_root"], kept.engine.data_root().to_str().unwrap());

    kept.loses_its_swarm();
    let (kept, said) = writes_nothing(kept, 12);
    assert!(said.out.contains("this node is in no Swarm: `evenkeel swarm` makes one"), "{said:?}");
    assert!(kept.world.run(&["status", APP]).out.contains("`evenkeel swarm` makes one"));

    assert!(kept.world.ok(&["swarm"]).out.contains("manager of a new Swarm"));
    let new = kept.swarm().unwrap();
    let another = format!("this Swarm ({new}) is not the one that held this app before ({old})");
    assert!(kept.world.ok(&["status", APP]).out.contains(&another));
    // Neither git nor the mirror can say what ran: the state alone.
    let away: PathBuf = kept.world.dir.path().join("away");
    fs::rename(kept.recipe.path(), &away).unwrap();
    fs::remove_dir_all(kept.world.state_dir().join("recipes")).unwrap();
    let said = kept.run();
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.out.contains("repaired 1.0.0+1.0.0") && said.out.contains(&another), "{said:?}");

    assert_eq!(specs(&kept.world), before);
    assert_eq!(kept.world.state(APP)["current"], state["current"]);
    assert_eq!(kept.world.state(APP)["swarm"], new.as_str());
    assert!(kept.kept_key() == key && kept.data("key") == key, "the secret is another one");
    assert_eq!(kept.data("begun"), begun);

    fs::rename(&away, kept.recipe.path()).unwrap();
    let (kept, said) = writes_nothing(kept, 0);
    assert_eq!(said.out, format!("{APP}: converged\n"));
    drop(kept);
}

#[test]
fn an_engine_with_another_data_root_starts_nothing_until_the_data_is_there() {
    let mut kept = Kept::installed();
    let (begun, old) = (kept.data("begun"), kept.engine.data_root());
    let from = old.join("volumes").join(kept.volume()).join("_data");
    let before = std::mem::replace(&mut kept.engine, PrivateEngine::start());
    kept.engine.copy_image(&before);
    kept.world = kept.world.moved_to(&kept.engine);
    kept.world.ok(&["swarm"]);

    let (kept, said) = writes_nothing(kept, 12);
    let new = kept.engine.data_root();
    for words in [new.to_str().unwrap(), old.to_str().unwrap(), &kept.volume(), "start Docker with that data root"] {
        assert!(said.out.contains(words), "{said:?}");
    }
    assert!(kept.world.run(&["status", APP]).out.contains("start Docker with that data root"));

    let volume = kept.volume();
    at(kept.engine.endpoint(), async |swarm| {
        swarm.engine().post("/volumes/create", &[], &json!({"Name": volume})).await.unwrap();
    });
    for name in ["begun", "key"] {
        fs::copy(from.join(name), new.join("volumes").join(kept.volume()).join("_data").join(name)).unwrap();
    }
    let said = kept.world.ok(&["app", APP]);
    assert!(said.out.contains("repaired") && said.out.contains("is not the one that held this app"), "{said:?}");
    assert_eq!((kept.data("begun"), kept.data("key")), (begun, kept.kept_key()));
    assert_eq!(kept.world.state(APP)["data_root"], new.to_str().unwrap());
    drop(before);
}

/// Has the Engine's data root replaced by what this does, while nothing of the Engine runs and nothing is mounted there.
fn with_docker_stopped(kept: &Kept, act: impl FnOnce(&Path, &Path)) {
    kept.engine.kill(true);
    let root = kept.engine.data_root();
    // Docker may have mounted it once more, on itself.
    while umount2(&root, MntFlags::MNT_DETACH).is_ok() {}
    act(&root, &root.with_extension("disk"));
    kept.engine.again();
}

#[test]
fn volumes_on_a_disk_that_is_not_mounted_are_not_taken_for_lost_and_may_move_to_another_one() {
    let kept = Kept::installed();
    let (begun, root) = (kept.data("begun"), kept.engine.data_root());
    let recorded = |kept: &Kept| kept.world.state(APP)["file_system"].as_str().unwrap().to_owned();
    let old = recorded(&kept);

    // The disk is away, and Docker has made itself at home in what lies below its mount point.
    with_docker_stopped(&kept, |root, disk| {
        fs::rename(root, disk).unwrap();
        small_file_system(root, 400 << 20);
    });
    kept.engine.make_image(kept.engine.image());
    kept.world.ok(&["swarm"]);
    let (kept, said) = writes_nothing(kept, 12);
    for words in ["is the disk mounted?", root.to_str().unwrap(), &kept.volume(), &old] {
        assert!(said.out.contains(words), "{words}: {said:#?}");
    }
    assert_eq!(recorded(&kept), old, "what is not there is not recorded");

    with_docker_stopped(&kept, |root, disk| {
        fs::remove_dir(root).unwrap();
        fs::rename(disk, root).unwrap();
    });
    kept.world.ok(&["app", APP]);
    assert_eq!((kept.data("begun"), recorded(&kept)), (begun.clone(), old.clone()));

    // A new disk with all of its data is no reason to stop.
    with_docker_stopped(&kept, |root, disk| {
        fs::rename(root, disk).unwrap();
        small_file_system(root, 1 << 30);
        let copied = Command::new("cp").arg("--archive").arg(disk.join(".")).arg(root).status().unwrap();
        assert!(copied.success());
    });
    kept.world.ok(&["app", APP]);
    assert_eq!(kept.data("begun"), begun);
    assert_ne!(recorded(&kept), old, "the new disk is not recorded");
    let (kept, said) = writes_nothing(kept, 0);
    assert_eq!(said.out, format!("{APP}: converged\n"));
    drop(kept);
}

#[test]
fn volumes_without_a_state_wait_until_a_person_names_the_version() {
    let mut kept = Kept::installed();
    let (begun, url) = (kept.data("begun"), kept.recipe.url());
    kept.loses_its_swarm();
    kept.world.ok(&["swarm"]);
    // The state is lost too, but for the secrets' bytes, which the operator may have kept.
    fs::remove_file(kept.world.state_dir().join(APP).join("state.json")).unwrap();
    let gate = "gate = { stable_for = \"1s\", within = \"300s\" }\n";
    kept.world.declare(APP, &url, "latest", gate);

    let (mut kept, said) = writes_nothing(kept, 12);
    assert!(said.out.contains("nothing is recorded of this app") && said.out.contains(&kept.volume()), "{said:?}");
    assert!(said.out.contains("name the version that they belong to"), "{said:?}");

    kept.world.declare(APP, &url, "1.0.0+1.0.0", gate);
    let said = kept.run();
    assert!(said.out.starts_with("wiki: applied: installed 1.0.0+1.0.0"), "{said:?}");
    assert_eq!((kept.data("begun"), kept.data("key")), (begun, kept.kept_key()));
}
