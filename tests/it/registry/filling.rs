//! Disks without room for what an upgrade needs.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use evenkeel::host::engine::Engine;
use evenkeel::host::images::auth::Auths;
use evenkeel::host::images::filling::Bounds;
use evenkeel::host::images::{ImageError, Images};
use nix::mount::{MntFlags, umount2};
use nix::sys::statvfs::statvfs;

use super::front::{Front, Mood};
use super::server::{PASSWORD, Registry, USER};
use super::{APP, Customer};
use crate::chance::noise;
use crate::engine::private::{PrivateEngine, small_file_system};
use crate::world::{World, on_engine};

const MIB: usize = 1 << 20;

/// A small file system in a folder's place, until it is dropped.
struct Small(PathBuf);

impl Small {
    fn on(folder: &Path, bytes: usize) -> Self {
        small_file_system(folder, bytes);
        Self(folder.to_owned())
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        umount2(&self.0, MntFlags::MNT_DETACH).unwrap();
    }
}

/// Files in a tarball.
fn tarball(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tarball = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tarball.append_data(&mut header, name, *bytes).unwrap();
    }
    tarball.into_inner().unwrap()
}

fn docker(engine: &PrivateEngine, arguments: &[&str], input: &[u8]) {
    let mut docker = Command::new("docker");
    docker.args(["--host", engine.endpoint()]).args(arguments).env("DOCKER_BUILDKIT", "0");
    let mut docker = docker.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    docker.stdin.take().unwrap().write_all(input).unwrap();
    let ended = docker.wait_with_output().unwrap();
    assert!(ended.status.success(), "docker {}: {}", arguments.join(" "), String::from_utf8_lossy(&ended.stderr));
}

/// An image of one layer of two megabytes, in which nothing can run.
fn make(name: &str) {
    docker(PrivateEngine::shared(), &["import", "-", name], &tarball(&[("noise", &noise(2 * MIB))]));
}

/// So many bytes over the image with a shell.
fn make_over_shell(engine: &PrivateEngine, name: &str, bytes: usize) {
    let file = format!("FROM {}\nCOPY noise /noise\n", engine.image());
    let files = tarball(&[("Dockerfile", file.as_bytes()), ("noise", &noise(bytes))]);
    docker(engine, &["build", "--quiet", "--tag", name, "-"], &files);
}

/// Takes all room but so many bytes.
fn fill(folder: &Path, left: usize) -> PathBuf {
    let (path, room) = (folder.join("filler"), statvfs(folder).unwrap());
    let free = room.blocks_available() * room.fragment_size();
    let most = free.checked_sub(left as u64).expect("there is more");
    std::io::copy(&mut std::io::repeat(1).take(most), &mut fs::File::create(&path).unwrap()).unwrap();
    path
}

fn alerts(customer: &Customer) -> usize {
    let names = fs::read_dir(customer.world.state_dir().join("alerts")).unwrap().map(|entry| entry.unwrap().path());
    names.filter(|path| path.extension().is_some_and(|extension| extension == "json")).count()
}

#[test]
fn a_pull_that_would_fill_the_disk_is_broken_off_before_it_does_and_leaves_nothing() {
    let registry = Registry::start();
    registry.push_from("heavy:1", make);
    let front = Front::of(&registry.name, Mood::Stalls);
    let name = format!("{}/heavy:1", front.name);
    let disk = tempfile::tempdir().unwrap();
    let _small = Small::on(disk.path(), 4 * MIB);
    let login = base64::engine::general_purpose::STANDARD.encode(format!("{USER}:{PASSWORD}"));
    let auths = Auths::parse(&serde_json::json!({"auths": {&front.name: {"auth": login}}}).to_string()).unwrap();
    let begun = Instant::now();

    let error = tokio::runtime::Runtime::new().unwrap().block_on(async {
        let images = Images::new(Engine::connect(PrivateEngine::shared().endpoint()).await.unwrap());
        let bounds = Bounds { root: disk.path().to_owned(), reserve: 0 };
        images.pull_within(&name, auths.for_image(&name), &bounds, |_| ()).await.unwrap_err()
    });

    assert!(matches!(error, ImageError::NoRoom { .. }), "{error}");
    assert!(error.to_string().contains("MiB for its layers"), "{error}");
    // What is fetched and not yet unpacked lies here, and the Engine takes a moment to let go of it.
    let fetched = PrivateEngine::shared().data_root().join("tmp");
    let of_this = || {
        let entries = fs::read_dir(&fetched).unwrap().filter_map(|entry| entry.ok()?.metadata().ok());
        entries.filter(|entry| entry.len() > MIB as u64 / 2 && entry.len() < 2 * MIB as u64).count()
    };
    while of_this() > 0 {
        assert!(begun.elapsed() < crate::engine::DEADLINE, "the Engine keeps half a layer");
        std::thread::sleep(Duration::from_millis(50));
    }
    let path = format!("/images/{name}/json");
    on_engine(async |swarm| assert!(swarm.engine().get(&path, &[]).await.unwrap_err().is_not_found()));
}

#[test]
fn where_a_snapshot_has_no_room_no_image_is_fetched_and_nothing_is_stopped() {
    let registry = Registry::start();
    let repository = registry.image("tight");
    registry.push("tight:1");
    registry.push("tight:2");
    let more = "    volumes: [data:/data]\nvolumes: {data: {}}\n";
    let mut customer = Customer::with_service(&format!("{repository}:${{TAG}}"), more).logged_in(&registry.name);
    let _small = Small::on(&customer.world.state_dir(), 8 * MIB);
    customer.declare("env = { TAG = \"1\" }\n");
    customer.applies();
    let volume = customer.world.observe(APP).volumes[&format!("{}_data", customer.world.stack(APP))].clone();
    let large = volume.mountpoint.join("large");
    fs::write(&large, noise(16 * MIB)).unwrap();
    customer.declare("env = { TAG = \"2\" }\n");

    for _night in 0..2 {
        let (said, requests) = customer.writes_nothing(12);
        let words = ["blocked: there is too little room for a snapshot", " MiB are needed and ", "the state directory"];
        words.iter().for_each(|word| assert!(said.out.contains(word), "{word}: {said:?}"));
        assert!(!requests.iter().any(|request| request.contains("/images/create")), "{requests:?}");
        assert_eq!(alerts(&customer), 1, "once per fact");
    }
    fs::remove_file(&large).unwrap();
    let (said, _) = customer.run();
    assert!(said.code == 0 && said.out.contains("upgraded"), "{said:?}");
    assert!(customer.image().starts_with(&format!("{repository}:2@")), "{}", customer.image());
}

/// The Engine keeps images and volumes on a small disk of its own.
#[test]
fn an_upgrade_whose_images_do_not_fit_is_told_once_and_touches_nothing_until_there_is_room() {
    let engine = PrivateEngine::start_small(320 * MIB).with_image();
    let registry = Registry::of(&engine);
    registry.push("large:1");
    registry.push_from("large:2", |name| make_over_shell(&engine, name, 8 * MIB));
    let front = Front::at(&engine, &registry.name, Mood::Good);
    let world = World::on(&engine);
    world.ok(&["swarm"]);
    let image = format!("{}/large:${{TAG}}", front.name);
    let more = "    volumes: [data:/data]\nvolumes: {data: {}}\n";
    let mut customer = Customer::in_world(world, &image, more).logged_in(&front.name);
    customer.declare("env = { TAG = \"1\" }\n");
    customer.applies();
    let filler = fill(&engine.data_root(), 24 * MIB);
    // However fast the Engine fetches it, it is not here before it is known to be too large.
    front.set(Mood::Stalls);
    customer.declare("env = { TAG = \"2\" }\n");

    for _night in 0..2 {
        let (said, requests) = customer.writes_nothing(12);
        let lies = format!(" MiB are free, where {} lies", engine.data_root().display());
        let words = ["blocked: image ", "does not fit on this machine's disk", " MiB for its layers", &lies];
        words.iter().for_each(|word| assert!(said.out.contains(word), "{word}: {said:?}"));
        assert!(requests.iter().any(|request| request.contains("/images/create")), "{requests:?}");
        assert_eq!(alerts(&customer), 1, "once per fact");
    }
    assert_eq!(customer.world.state(APP).get("open"), None);
    assert!(!customer.world.state_dir().join(APP).join("snapshots").exists());

    fs::remove_file(&filler).unwrap();
    front.set(Mood::Good);
    let (said, _) = customer.run();
    assert!(said.code == 0 && said.out.contains("upgraded"), "{said:?}");
    assert!(customer.image().contains("/large:2@"), "{}", customer.image());
}
