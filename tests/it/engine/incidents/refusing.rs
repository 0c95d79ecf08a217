//! Upgrades that do not begin, and leave the app as it runs; and a disk that is full.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::thread;
use std::time::{Duration, Instant};

use evenkeel::model::observed::{Observed, Task, TaskState};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use serde_json::json;

use crate::engine::nights::{APP, Nights, runs, tells};
use crate::engine::recorder::writes;
use crate::engine::{DEADLINE, Stack};
use crate::world::{Said, on_engine};

const DATA: [(&str, &str); 1] = [("data", "/data")];

/// A night that ended so, and what it changed.
struct Refused {
    said: Said,
    writes: Vec<String>,
    is_as_before: bool,
}

struct Seen {
    untagged: Refused,
    long_name: Refused,
    shared_volume: Refused,
    other: String,
    same_domain: Refused,
    domain: String,
    no_room: Refused,
    begun: bool,
}

static SEEN: LazyLock<Seen> = LazyLock::new(|| {
    let mut nights = Nights::begin();
    let refused = |nights: &Nights| {
        nights.recorder.take();
        let before = nights.world.fingerprint(APP);
        let said = nights.night();
        let requests = nights.recorder.take();
        // The tag that keeps an image changes nothing of the app.
        let writes = writes(&requests).into_iter().filter(|request| !request.contains("/images/")).cloned().collect();
        Refused { said, writes, is_as_before: nights.world.fingerprint(APP) == before }
    };
    nights.recipe.commit(&[("compose.yml", "services: {app: {image: nothing:1}}\n")]);
    let untagged = refused(&nights);

    let long = "n".repeat(64);
    let configs = json!({"configs": {"notes": {"name": format!("${{STACK_NAME}}_{long}")}}});
    nights.publish_laid_over("1.1.0+1", &runs("1.1.0"), &DATA, &configs);
    let long_name = refused(&nights);

    nights.publish("1.2.0+1", &runs("1.2.0"));
    let (other, volume) = (format!("{}-other", nights.named("app")), nights.named("data"));
    let name = nights.world.stack(APP).parse().unwrap();
    on_engine(async |swarm| {
        let stack = Stack { name, swarm };
        let mut idle = stack.service("other");
        (idle["Name"], idle["Labels"]) = (json!(other), json!({}));
        idle["TaskTemplate"]["ContainerSpec"]["Labels"] = json!({});
        idle["TaskTemplate"]["ContainerSpec"]["Mounts"] = json!([{"Type": "volume", "Source": volume, "Target": "/x"}]);
        idle["Mode"] = json!({"Replicated": {"Replicas": 0}});
        stack.swarm.create_service(&idle).await.unwrap();
    });
    let shared_volume = refused(&nights);
    on_engine(async |swarm| swarm.remove_service(&other).await.unwrap());

    let (domain, url) = (nights.world.domain(APP), nights.recipe.url());
    let twin = format!("[app.twin]\nrecipe = {{ url = \"{url}\" }}\ndomain = \"{domain}\"\n");
    nights.world.table("twin", &twin);
    let same_domain = refused(&nights);
    nights.world.table("twin", "");

    fs::write(nights.volume("data").join("large"), noise(8 << 20)).unwrap();
    let disk = Disk::under(nights.world.state_dir(), "6m");
    let no_room = refused(&nights);
    drop(disk);
    let begun = nights.dir().join("snapshots").exists() || nights.state()["open"].is_object();
    Seen { untagged, long_name, shared_volume, other, same_domain, domain, no_room, begun }
});

impl Refused {
    #[track_caller]
    fn left_the_app_alone(&self, code: i32, words: &[&str]) {
        tells_anywhere(&self.said, code, words);
        assert_eq!(self.writes, Vec::<String>::new(), "{:#?}", self.said);
        assert!(self.is_as_before && !SEEN.begun);
    }
}

#[track_caller]
fn tells_anywhere(said: &Said, code: i32, words: &[&str]) {
    assert_eq!(said.code, code, "{said:#?}");
    words.iter().for_each(|word| assert!(said.out.contains(word) || said.err.contains(word), "{word:?}: {said:#?}"));
}

#[test]
fn a_head_without_a_tag_is_never_offered() {
    SEEN.untagged.left_the_app_alone(0, &["wiki: converged"]);
}

#[test]
fn a_name_of_a_new_version_that_is_too_long_is_told_before_anything_is_stopped() {
    SEEN.long_name.left_the_app_alone(10, &["wiki: held: ", "config notes: the name", "and 64 are allowed"]);
}

#[test]
fn a_volume_that_another_stack_names_too_is_told_before_anything_is_stopped() {
    SEEN.shared_volume.left_the_app_alone(12, &["wiki: blocked: ", &SEEN.other]);
}

#[test]
fn of_two_apps_at_one_domain_none_is_upgraded() {
    SEEN.same_domain.left_the_app_alone(1, &["app.wiki", "app.twin", &SEEN.domain]);
}

#[test]
fn too_little_room_for_the_snapshot_is_told_before_anything_is_stopped() {
    let words = ["wiki: blocked: there is too little room for a snapshot", "MiB are needed", "the state directory"];
    SEEN.no_room.left_the_app_alone(12, &words);
}

/// Not even the journal can be written any more, from when the app was stopped until it runs again.
#[test]
fn a_disk_that_is_full_in_the_middle_costs_the_app_no_night_and_nothing_is_held_against_the_version() {
    let mut nights = Nights::begin();
    fs::write(nights.volume("data").join("large"), noise(2 << 20)).unwrap();
    let before = nights.data();
    let _disk = Disk::under(nights.world.state_dir(), "16m");
    nights.publish("1.1.0+1", &runs("1.1.0"));
    let (filler, app) = (nights.world.state_dir().join("filler"), nights.named("app"));
    let fills = filler.clone();
    nights.meanwhile(|now| now.is_at("stop"), async move |_| fill(&fills));
    let name = nights.world.stack(APP).parse().unwrap();
    let ran: Vec<String> = nights.world.observe(APP).tasks.into_iter().map(|task| task.id).collect();

    let said = thread::scope(|scope| {
        let night = scope.spawn(|| nights.night());
        let deadline = Instant::now() + DEADLINE * 3;
        while !filler.exists() {
            assert!(Instant::now() < deadline && !night.is_finished(), "the app was never stopped");
            thread::sleep(Duration::from_millis(50));
        }
        let replicas = |observed: &Observed| observed.services[&app].spec["Mode"]["Replicated"]["Replicas"] == json!(1);
        on_engine(async move |swarm| {
            let stack = Stack { name, swarm };
            let is_new = |task: &Task| task.state == TaskState::Running && !ran.contains(&task.id);
            let runs = |observed: &Observed| observed.tasks.iter().any(is_new);
            stack
                .until("the app has been stopped and runs again", |observed| replicas(observed) && runs(observed))
                .await;
        });
        assert!(filler.exists());
        fs::remove_file(&filler).unwrap();
        night.join().unwrap()
    });

    tells(
        &said,
        12,
        &["was broken off at ", "No space left", "1.0.0+1 runs again as before, its data was not touched"],
    );
    nights.stands_at("1.0.0+1");
    assert_eq!(nights.data(), before);
    assert!(nights.state()["refused"].as_array().is_none_or(Vec::is_empty));
    nights.ends(0, &["upgraded: 1.0.0+1 -> 1.1.0+1"]);
    nights.stands_at("1.1.0+1");
}

/// Bytes that no archive makes smaller.
fn noise(length: usize) -> Vec<u8> {
    let mut word = 0x9E37_79B9_7F4A_7C15_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        word ^= word << 13;
        word ^= word >> 7;
        word ^= word << 17;
        bytes.extend(word.to_le_bytes());
    }
    bytes
}

/// Takes all the room that is left.
fn fill(path: &Path) {
    let mut file = fs::File::create(path).unwrap();
    while std::io::Write::write_all(&mut file, &[1; 4096]).is_ok() {}
}

/// A small file system in the place of a folder, with what was in it.
struct Disk(PathBuf);

impl Disk {
    fn under(folder: PathBuf, size: &str) -> Self {
        let aside = folder.with_extension("aside");
        fs::rename(&folder, &aside).unwrap();
        fs::create_dir(&folder).unwrap();
        let options = format!("mode=0700,size={size}");
        mount(Some("tmpfs"), &folder, Some("tmpfs"), MsFlags::empty(), Some(options.as_str())).unwrap();
        let disk = Self(folder);
        disk.copy(&aside, &disk.0);
        fs::remove_dir_all(&aside).unwrap();
        disk
    }

    fn copy(&self, from: &Path, to: &Path) {
        let copied = Command::new("cp").arg("-a").arg(from.join(".")).arg(to).status();
        assert!(copied.unwrap().success());
    }
}

/// What is on it stays where it was.
impl Drop for Disk {
    fn drop(&mut self) {
        let aside = self.0.with_extension("aside");
        fs::create_dir(&aside).unwrap();
        self.copy(&self.0, &aside);
        umount2(&self.0, MntFlags::MNT_DETACH).unwrap();
        fs::remove_dir(&self.0).unwrap();
        fs::rename(&aside, &self.0).unwrap();
    }
}
