//! `evenkeel prune`, and Docker's own prune beside it as NixOS runs it.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use evenkeel::model::state::{Attempt, Release, ReleaseBody, State};
use evenkeel::model::version::Revision;
use serde_json::{Value, json};

use super::nights::kill;
use super::private::PrivateEngine;
use crate::fixtures::RecipeRepo;
use crate::world::{Said, World};

const APP: &str = "shelf";
const KEEP: &str = "evenkeel/keep";
/// However young what nobody needs is: a tag, or that and an image without a name.
const LET_GO: &[&str] = &["prune", "--let-go-after", "0s"];
const ALL: &[&str] = &["prune", "--let-go-after", "0s", "--older-than", "0s"];

/// Docker's own program, as an operator has it.
struct Docker {
    engine: PrivateEngine,
}

impl Docker {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(std::env::var_os("EVENKEEL_DOCKER_CLI").unwrap_or_else(|| "docker".into()));
        command.env("DOCKER_HOST", self.engine.endpoint()).env("DOCKER_BUILDKIT", "0").args(arguments);
        command
    }

    fn does(&self, arguments: &[&str]) -> String {
        let ended = self.command(arguments).output().unwrap();
        assert!(ended.status.success(), "docker {arguments:?}: {ended:?}");
        String::from_utf8(ended.stdout).unwrap().trim().to_owned()
    }

    /// Makes an image with this mark, and gives its id.
    fn build(&self, name: &str, mark: &str) -> String {
        let mut build = self.command(&["build", "--quiet", "--tag", name, "-"]);
        let mut build = build.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let file = format!("FROM {}\nLABEL mark={mark}\n", self.engine.image());
        build.stdin.take().unwrap().write_all(file.as_bytes()).unwrap();
        assert!(build.wait().unwrap().success());
        self.does(&["image", "inspect", "--format", "{{.Id}}", name])
    }

    /// An image whose name has gone over to another one.
    fn leave_behind(&self) -> String {
        let id = self.build("junk", "old");
        self.build("junk", "new");
        // The Engine counts in whole seconds.
        thread::sleep(Duration::from_millis(1100));
        id
    }

    fn has(&self, id: &str) -> bool {
        self.command(&["image", "inspect", id]).output().unwrap().status.success()
    }

    fn keep_tag(id: &str) -> String {
        format!("{KEEP}:{}", id.trim_start_matches("sha256:"))
    }

    fn keeps(&self, id: &str) -> bool {
        self.has(&Self::keep_tag(id))
    }

    /// As `docker-prune.service` of NixOS does, with these flags more.
    fn system_prune(&self, flags: &[&str]) {
        self.does(&[&["system", "prune", "-f"], flags].concat());
    }

    fn has_no_container(&self) -> bool {
        self.does(&["ps", "--all", "--quiet"]).is_empty()
    }
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + super::DEADLINE;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(100));
    }
}

/// A recipe with three versions, each with an image of its own: `shelf:1` to `shelf:3`.
fn recipe() -> RecipeRepo {
    let mut recipe = RecipeRepo::empty();
    for number in 1..=3 {
        let compose = json!({"services": {"app": {
            "image": format!("shelf:{number}"),
            "entrypoint": ["sh", "-c", "trap 'exit 0' TERM; sleep 1000000 & wait"],
        }}});
        let files = [("compose.yml", compose.to_string()), (".env.sample", String::new())];
        let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
        recipe.publish(&version(number), &files);
    }
    recipe
}

fn version(number: u32) -> String {
    format!("1.{number}.0+1.0.0")
}

fn revision() -> Revision {
    Revision { version: Some(version(1)), commit: "a".repeat(40).parse().unwrap() }
}

#[test]
fn no_prune_without_all_takes_an_image_that_a_release_needs_and_those_without_a_name_go() {
    let docker = Docker { engine: PrivateEngine::start().with_image() };
    let images: Vec<String> = (1..=3).map(|n| docker.build(&format!("shelf:{n}"), &n.to_string())).collect();
    let all_are_here = || images.iter().all(|id| docker.has(id));
    let recipe = recipe();
    let mut world = World::on(&docker.engine);
    let declare = |world: &mut World, number, stable: &str| {
        let gate = format!("gate = {{ stable_for = \"{stable}\", within = \"300s\" }}\n");
        world.declare(APP, &recipe.url(), &version(number), &gate);
    };
    world.ok(&["swarm"]);
    // What is being installed is in no state yet, so its services tell.
    declare(&mut world, 1, "5s");
    let mut run = world.start(&["app", APP]);
    until("its service is made", || !world.observe(APP).services.is_empty());
    kill(&mut run);
    assert!(world.state(APP)["current"].is_null());
    world.ok(&["prune"]);
    assert!(docker.keeps(&images[0]));
    for number in [1, 2] {
        declare(&mut world, number, "1s");
        world.ok(&["app", APP]);
    }

    // One version was before, one runs, and one is on its way and in nobody's configuration any more.
    declare(&mut world, 3, "5s");
    let mut run = world.start(&["app", APP]);
    until("it comes to its judgement", || world.state(APP)["open"]["step"] == "judge");
    kill(&mut run);
    world.table(APP, "");
    images.iter().for_each(|id| drop(docker.command(&["image", "rm", &Docker::keep_tag(id)]).output().unwrap()));

    let junk = docker.leave_behind();
    let said = world.ok(&["prune"]);
    assert_eq!(
        (said.out.as_str(), docker.has(&junk)),
        ("prune: converged\n", true),
        "it may be part of a build: {said:#?}"
    );
    assert!(images.iter().all(|id| docker.keeps(id)), "{said:#?}");
    let said = world.ok(&["prune", "--older-than", "0s"]);
    assert!(said.out.starts_with("prune: applied: removed 1 image without a name ("), "{said:#?}");
    assert!(!docker.has(&junk) && all_are_here());
    assert!(world.ok(&["history"]).out.contains("prune: removed 1 image without a name ("));

    // Nothing but the keep tags holds them now.
    docker.does(&["stack", "rm", &world.stack(APP)]);
    until("its containers go", || docker.has_no_container());
    (1..=3).for_each(|n| drop(docker.does(&["image", "rm", &format!("shelf:{n}")])));
    docker.system_prune(&[]);
    world.ok(&["prune", "--older-than", "0s"]);
    assert!(all_are_here());

    declare(&mut world, 3, "1s");
    let said = world.ok(&["resume"]);
    assert!(said.out.starts_with("shelf: upgraded: 1.2.0+1.0.0 -> 1.3.0+1.0.0"), "{said:#?}");
    let tag = Docker::keep_tag(&docker.build("foreign", "foreign"));
    docker.does(&["tag", "foreign", &tag]);
    let said = world.ok(&["prune"]);
    assert!(said.out == "prune: converged\n" && docker.has(&tag), "a release may be on its way: {said:#?}");
    let said = world.ok(LET_GO);
    assert!(said.out.starts_with("prune: applied: let go of 1 image that no release names any more"), "{said:#?}");
    assert!(!docker.has(&tag) && docker.has("foreign"));

    // With --all, Docker leaves only what a container runs.
    docker.system_prune(&["--all"]);
    assert_eq!(images.iter().map(|id| docker.has(id)).collect::<Vec<_>>(), [false, false, true]);
    let said = world.ok(&["prune"]);
    assert!(said.err.contains("image shelf:2 of shelf (") && !said.err.contains("shelf:3"), "{said:#?}");
    assert_eq!(world.run(&["rollback", APP, "--yes"]).code, 12);
    docker.does(&["service", "scale", "--detach", &format!("{}_app=0", world.stack(APP))]);
    until("its container goes", || docker.has_no_container());
    docker.system_prune(&[]);
    assert!(docker.has(&images[2]), "its tag was given back");
    world.ok(&["app", APP]);
}

#[test]
fn a_prune_waits_for_who_is_at_work_and_takes_nothing_where_it_is_not_known_what_is_needed() {
    let docker = Docker { engine: PrivateEngine::start().with_image() };
    let world = World::on(&docker.engine);
    let id = docker.build("foreign", "foreign");
    let tag = Docker::keep_tag(&id);
    docker.does(&["tag", "foreign", &tag]);
    let junk = docker.leave_behind();
    let takes_nothing = |why: &str| {
        let said = world.run(ALL);
        let told = format!("prune: blocked: no image is removed: {why}");
        assert!(said.code == 12 && said.out.starts_with(&told), "{said:#?}");
        assert!(docker.keeps(&id) && docker.has(&junk), "{why}");
    };
    takes_nothing("no app was ever at work in ");
    let app = world.state_dir().join(APP);
    fs::create_dir_all(&app).unwrap();
    fs::write(app.join("state.json"), "{").unwrap();
    takes_nothing("what an app needs is not known: ");
    // In no Swarm no service tells what is being installed.
    docker.does(&["swarm", "leave", "--force"]);
    let mut state = State::new(&"shelf_example".parse().unwrap());
    let (key, since) = ("key".to_owned(), "2026-11-01T00:00:00Z".to_owned());
    state.installing = Some(Attempt { revision: revision(), key, since, failed: None });
    fs::write(app.join("state.json"), serde_json::to_string(&state).unwrap()).unwrap();
    takes_nothing("what an app needs is not known: ");
    fs::remove_file(app.join("state.json")).unwrap();
    // A lock that nobody can look at may be held.
    std::os::unix::fs::symlink("lock", app.join("lock")).unwrap();
    takes_nothing("it is not known who is at work: ");
    fs::remove_file(app.join("lock")).unwrap();

    // A first install has no state before its images are here.
    fs::write(app.join("lock"), format!("pid {} somebody else\n", std::process::id())).unwrap();
    let lock = fs::File::open(app.join("lock")).unwrap();
    lock.lock().unwrap();
    let mut prune = world.start_with_log(ALL);
    let mut log = std::io::BufReader::new(prune.stderr.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut log, &mut line).unwrap();
    let told = format!("waiting for pid {} somebody else", std::process::id());
    assert!(line.contains(&told) && docker.has(&junk), "{line}");
    drop(lock);
    // Its log is read to the end, so that it can write it.
    std::io::copy(&mut log, &mut std::io::sink()).unwrap();
    assert!(prune.wait().unwrap().success() && !docker.has(&junk) && !docker.keeps(&id));

    // As long as a container uses what it names, a tag is not let go of, and nothing was done.
    docker.does(&["tag", "foreign", &tag]);
    docker.does(&["image", "rm", "foreign"]);
    docker.does(&["create", "--name", "user", &tag, "true"]);
    let acts = || world.ok(&["history"]).out.matches("prune: ").count();
    let before = acts();
    for _ in 0..2 {
        assert_eq!(world.ok(LET_GO).out, "prune: converged\n");
    }
    assert!(docker.keeps(&id) && acts() == before);
    docker.does(&["rm", "user"]);
    let said = world.ok(LET_GO);
    assert_eq!(said.out, "prune: applied: let go of 1 image that no release names any more\n");
    assert!(!docker.has(&id) && acts() == before + 1);
}

#[test]
fn on_a_full_docker_disk_what_nobody_needs_goes_and_what_a_release_needs_stays() {
    let docker = Docker { engine: PrivateEngine::start_small(DATA as usize).with_image() };
    let world = World::on(&docker.engine);
    let needed = docker.build("shelf", "needed");
    docker.build("shelf", "another");
    let stale = docker.build("stale", "stale");
    docker.does(&["tag", "stale", &Docker::keep_tag(&stale)]);
    let junk = docker.leave_behind();
    let images = [("shelf".to_owned(), needed.clone())].into();
    let body = ReleaseBody { images, ..ReleaseBody::empty(revision()) };
    let (key, since) = ("key".to_owned(), "2026-11-01T00:00:00Z".to_owned());
    let mut state = State::new(&"shelf_example".parse().unwrap());
    state.current = Some(Release { body, key, since, snapshot: None });
    let app = world.state_dir().join(APP);
    fs::create_dir_all(&app).unwrap();
    fs::write(app.join("state.json"), serde_json::to_string(&state).unwrap()).unwrap();

    fill_up(&docker.engine.data_root());
    let refused = docker.command(&["tag", &needed, "no-room"]).output().unwrap();
    assert!(!refused.status.success(), "there is room for a tag: {refused:?}");
    let said = world.run(ALL);
    assert!(docker.has(&needed) && !docker.has(&junk), "{said:#?}");
    // With the room of that one, there is some for a tag.
    assert!(said.code == 0 && docker.keeps(&needed), "{said:#?}");
    assert!(said.out.contains("removed 1 image without a name to have room for a tag"), "{said:#?}");

    fill(&docker.engine.data_root(), DATA, 0);
    // What has its tag needs no room for it, and a tag that cannot be taken away does not hold up the rest.
    docker.does(&["tag", "stale", &Docker::keep_tag(&stale)]);
    let junk = docker.build("other", "old");
    docker.build("other", "new");
    thread::sleep(Duration::from_millis(1100));
    fill_up(&docker.engine.data_root());
    let said = world.ok(ALL);
    assert!(docker.keeps(&needed) && !docker.has(&junk), "{said:#?}");
    assert!(said.err.contains("an image that nothing needs keeps its tag for now: "), "{said:#?}");
}

/// Leaves no byte in a folder's file system.
fn fill_up(folder: &Path) {
    let mut ballast = fs::File::options().append(true).create(true).open(folder.join("ballast")).unwrap();
    for piece in [1 << 20, 1 << 12] {
        while ballast.write_all(&vec![1; piece]).is_ok() {}
    }
}

/// Has so many per cent of a small file system in use, as far as it goes.
fn fill(folder: &Path, size: u64, percent: u64) {
    let ballast = folder.join("ballast");
    fs::write(&ballast, []).unwrap();
    let room = nix::sys::statvfs::statvfs(folder).unwrap();
    let used = size - room.blocks_available() * room.fragment_size();
    fs::write(ballast, vec![1; (size * percent / 100).saturating_sub(used) as usize]).unwrap();
}

/// The state directory on a file system of its own, of two MiB.
struct SmallState<'a> {
    world: &'a World,
}

const SMALL: u64 = 2 << 20;
/// Of an Engine in no Swarm.
const DATA: u64 = 192 << 20;

impl<'a> SmallState<'a> {
    fn of(world: &'a World) -> Self {
        super::private::small_file_system(&world.state_dir(), SMALL as usize);
        Self { world }
    }

    /// The evidence of all alerts.
    fn alerts(&self) -> Vec<String> {
        let list: Value = serde_json::from_str(&self.world.ok(&["alerts", "list", "--json"]).out).unwrap();
        let alerts = list.as_array().unwrap().iter();
        let of = |alert: &Value| {
            assert_eq!((&alert["app"], &alert["reason"]), (&json!("host"), &json!("disk-low")));
            alert["evidence"].as_str().unwrap().to_owned()
        };
        alerts.map(of).collect()
    }

    /// A prune with so much in use, and how many alerts there are then.
    fn prunes_at(&self, percent: u64) -> (Said, usize) {
        fill(&self.world.state_dir(), SMALL, percent);
        let said = self.world.run(&["prune", "--older-than", "0s"]);
        (said, self.alerts().len())
    }
}

impl Drop for SmallState<'_> {
    fn drop(&mut self) {
        nix::mount::umount2(&self.world.state_dir(), nix::mount::MntFlags::MNT_DETACH).unwrap();
    }
}

#[test]
fn a_disk_that_fills_up_is_told_once_for_each_crossing_also_where_it_is_full_or_the_engine_is_away() {
    let docker = Docker { engine: PrivateEngine::start_small(DATA as usize).with_image() };
    let world = World::on(&docker.engine);
    let small = SmallState::of(&world);
    let told = |percent| {
        let (said, alerts) = small.prunes_at(percent);
        assert_eq!(said.code, 0, "{said:#?}");
        alerts
    };
    assert_eq!([30, 90, 95, 82, 90].map(told), [0, 1, 1, 1, 1]);
    assert_eq!([70, 82, 90].map(told), [1, 1, 2]);
    let said = small.prunes_at(90).0;
    let state = format!("the file system of the state directory {} is ", world.state_dir().display());
    assert!(said.err.contains(&state) && world.ok(&["status"]).err.contains(&state), "{said:#?}");
    assert!(small.alerts().iter().all(|told| told.starts_with(&state)), "{:?}", small.alerts());

    // Pruning itself goes on, and nothing is left half written.
    assert_eq!(told(30), 2);
    let junk = docker.leave_behind();
    let (said, alerts) = small.prunes_at(100);
    assert_eq!((said.code, alerts, docker.has(&junk)), (1, 2, false), "{said:#?}");
    assert!(said.out.starts_with("prune: applied: removed 1 image"), "{said:#?}");
    assert!(said.err.contains("no alert of a disk that is low could be written"), "{said:#?}");
    let alerts = world.state_dir().join("alerts");
    let names = |folder| fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    assert!(names(alerts).chain(names(world.state_dir())).all(|name| !name.starts_with('.')));
    assert_eq!(told(95), 3, "as soon as there is room for a word");

    assert_eq!(told(30), 3);
    fill(&docker.engine.data_root(), DATA, 90);
    assert_eq!(told(30), 4);
    let of_docker: Vec<_> = small.alerts().into_iter().filter(|told| told.contains("Docker's data root")).collect();
    assert!(of_docker.len() == 1 && of_docker[0].contains("; of that: images "), "{of_docker:?}");
    fill(&docker.engine.data_root(), DATA, 0);

    docker.engine.kill(false);
    let (said, alerts) = small.prunes_at(90);
    assert_eq!((said.code, alerts), (1, 5), "{said:#?}");
    assert!(said.err.contains("cannot talk to the Docker Engine"), "{said:#?}");

    // Between two nights the watchdog looks, and a full disk keeps no alert from being sent, once.
    assert_eq!(small.prunes_at(70).1, 5);
    fill(&world.state_dir(), SMALL, 90);
    let said = world.ok(&["alerts", "watchdog"]);
    assert!(said.err.contains(&state) && small.alerts().len() == 6, "{said:#?}");
    fill_up(&world.state_dir());
    let sent = world.file("sent", b"");
    for _ in 0..2 {
        world.ok(&["alerts", "relay", "--", "sh", "-c", &format!("echo >> {}", sent.display())]);
    }
    assert_eq!((fs::read(&sent).unwrap().len(), small.alerts().len()), (6, 0));
}
