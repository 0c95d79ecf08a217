//! Refusals that need a real Engine or root, and what the second `swarm` leaves alone.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use super::recorder::{Recorder, writes};
use crate::engine::private::PrivateEngine;
use crate::fixtures::RecipeRepo;
use crate::refusing::{Host, PLAIN, program, said, tells};
use crate::world::{Said, World};

/// A recipe whose one version has these files.
fn recipe(files: &[(&str, &str)]) -> RecipeRepo {
    let mut repo = RecipeRepo::empty();
    repo.publish("1.0.0+1.0.0", files);
    repo
}

/// Runs the program, which has to end with this code and these words, to write nothing to the Engine (an image that was
/// asked for is no write of the stack's), and to record nothing.
#[track_caller]
fn refuses(world: World, app: &str, code: i32, words: &[&str]) {
    let before = world.fingerprint(app);
    let (world, recorder) = world.recorded();
    let said = world.run(&["app", app]);
    tells(&said, code, words);
    let asked = recorder.take();
    let written: Vec<_> = writes(&asked).into_iter().filter(|asked| !asked.contains("/images/create?")).collect();
    assert!(!asked.is_empty() && written.is_empty(), "{written:?}");
    assert_eq!(world.fingerprint(app), before);
    assert!(!world.state_dir().join(app).join("state.json").exists());
}

#[test]
fn an_image_that_is_nowhere_stops_an_install_before_its_first_write() {
    let mut world = World::new();
    let repo = recipe(&[("compose.yml", &PLAIN.replace("evenkeel-test/nowhere:1", "registry.invalid/nowhere:1"))]);
    world.declare("nowhere", &repo.url(), "1.0.0+1.0.0", "");
    let words = [
        "nowhere: error: image registry.invalid/nowhere:1 is not on this machine, and its registry does not give it",
        "registry.invalid does not answer; is it up, is its name right",
    ];
    refuses(world, "nowhere", 1, &words);
}

#[test]
fn a_network_of_somebody_else_that_is_missing_stops_an_install() {
    let mut world = World::new();
    let compose = format!("{PLAIN}    networks: [missing]\nnetworks:\n  missing: {{ external: true }}\n");
    let repo = recipe(&[("compose.yml", &compose)]);
    world.declare("unlinked", &repo.url(), "1.0.0+1.0.0", "");
    let words =
        ["unlinked: blocked: network missing is external and does not exist", "`docker network create --driver"];
    refuses(world, "unlinked", 12, &words);
}

#[test]
fn a_secret_that_nobody_gave_stops_an_install() {
    let mut world = World::new();
    let compose = format!(
        "{PLAIN}    secrets: [key]\nsecrets:\n  key: {{ external: true, name: \"${{STACK_NAME}}_key_${{SECRET_KEY_VERSION}}\" }}\n"
    );
    let repo = recipe(&[("compose.yml", &compose), (".env.sample", "SECRET_KEY_VERSION=v1 # generate=false\n")]);
    world.declare("keyless", &repo.url(), "1.0.0+1.0.0", "");
    refuses(world, "keyless", 12, &["does not want generated", "secrets = { key = \"/path\" }"]);
}

#[test]
fn a_second_swarm_run_writes_nothing() {
    let (world, recorder) = World::new().recorded();
    assert_eq!(world.ok(&["swarm"]).out, "swarm: converged\n");
    let asked = recorder.take();
    assert!(!asked.is_empty());
    assert_eq!(writes(&asked), Vec::<&String>::new());
}

#[test]
fn an_overlay_that_is_there_is_adopted_and_one_that_is_missing_is_made_once() {
    let world = World::new();
    let named = |subnet: &str| {
        let text = fs::read_to_string(world.config()).unwrap();
        let text = text
            .replace("subnet = \"10.200.0.0/16\"", &format!("name = \"evenkeel-test-swarm\"\nsubnet = \"{subnet}\""));
        said(program().arg("swarm").arg("--config").arg(world.file("swarm.toml", text.as_bytes())))
    };
    let first = named("10.201.0.0/16");
    let again = named("10.201.0.0/16");
    let other = named("10.202.0.0/16");
    crate::world::on_engine(async |swarm| swarm.remove_network("evenkeel-test-swarm", super::DEADLINE).await.unwrap());

    tells(&first, 0, &["swarm: applied: overlay network evenkeel-test-swarm with 10.201.0.0/16 is created"]);
    assert_eq!((again.out.as_str(), again.err.as_str()), ("swarm: converged\n", ""), "{again:#?}");
    tells(
        &other,
        0,
        &["swarm: converged", "warning: network evenkeel-test-swarm exists with 10.201.0.0/16 and is used as it is"],
    );
}

/// As when a unit starts while somebody types the same by hand.
#[test]
fn runs_of_swarm_at_the_same_time_make_one_network_and_none_fails() {
    let world = World::new();
    let text = fs::read_to_string(world.config()).unwrap();
    let text = text.replace("subnet = \"10.200.0.0/16\"", "name = \"evenkeel-test-race\"\nsubnet = \"10.203.0.0/24\"");
    let config = world.file("race.toml", text.as_bytes());
    for _ in 0..4 {
        let start = || {
            program()
                .arg("swarm")
                .arg("--config")
                .arg(&config)
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        };
        let runs: Vec<_> = (0..6).map(|_| start()).collect();
        let ended: Vec<_> = runs.into_iter().map(|run| run.wait_with_output().unwrap()).collect();
        crate::world::on_engine(async |swarm| {
            swarm.remove_network("evenkeel-test-race", super::DEADLINE).await.unwrap()
        });
        let failed: Vec<_> = ended.iter().filter(|ended| !ended.status.success()).collect();
        assert!(failed.is_empty(), "{failed:?}");
    }
}

#[test]
fn a_local_network_of_the_shared_ones_name_is_not_adopted() {
    let world = World::new();
    let recorder = Recorder::in_front_of(PrivateEngine::shared().socket());
    let text = fs::read_to_string(world.config()).unwrap();
    let text = text
        .replace(PrivateEngine::shared().endpoint(), &recorder.endpoint())
        .replace("[network]", "[network]\nname = \"bridge\"");
    let said = said(program().arg("swarm").arg("--config").arg(world.file("swarm.toml", text.as_bytes())));
    tells(&said, 1, &["network bridge exists as a bridge network of scope local", "choose another [network].name"]);
    assert_eq!(writes(&recorder.take()), Vec::<&String>::new());
}

#[test]
fn who_waited_for_a_lock_keeps_the_app_afterwards() {
    let world = World::new().app("standin", "standin-app", "1.0.0+1.0.0", "");
    tells(&world.run(&["plan"]), 2, &["+ service "]);
    world.ok(&["app", "standin"]);
    tells(&world.run(&["plan"]), 0, &["standin at 1.0.0+1.0.0: nothing to do"]);
    let path = world.state_dir().join("standin/lock");
    fs::write(&path, format!("pid {} evenkeel app standin\n", std::process::id())).unwrap();
    let lock = File::open(&path).unwrap();
    lock.try_lock().unwrap();

    let mut command = program();
    command.arg("--config").arg(world.config()).args(["app", "standin"]);
    let under_systemd = said(command.env("INVOCATION_ID", "0123456789abcdef0123456789abcdef"));
    tells(&under_systemd, 0, &["standin: waiting: pid ", "evenkeel app standin works on standin"]);

    let mut waiting =
        command.env_remove("INVOCATION_ID").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(waiting.stderr.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("waiting for pid ") && line.contains("evenkeel app standin to end"), "{line}");
    drop(lock);
    let ended = waiting.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(ended.stdout).unwrap(), "standin: converged\n");
}

/// Runs the program with a state directory of its own file system of `size` bytes, in a mount namespace that ends with
/// it. `script` is run before, in the directory.
fn on_a_file_system(host: &Host, size: &str, script: &str, arguments: &[&str]) -> Said {
    fs::create_dir_all(host.state_dir()).unwrap();
    let command = host.command(arguments);
    let mount = r#"set -e; mount -t tmpfs -o "mode=0700,size=$1" none "$2"; (cd "$2"; eval "$3"); shift 3; exec "$@""#;
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "--propagation", "private", "sh", "-c", mount, "sh", size]).arg(host.state_dir());
    unshare.arg(script).arg(command.get_program()).args(command.get_args());
    unshare.env_remove("DOCKER_HOST").env_remove("INVOCATION_ID").env_remove("JOURNAL_STREAM").stdin(Stdio::null());
    let said = said(&mut unshare);
    assert!(is_no_mount(&host.state_dir()));
    said
}

fn is_no_mount(path: &Path) -> bool {
    !fs::read_to_string("/proc/self/mountinfo").unwrap().contains(&*path.to_string_lossy())
}

#[test]
fn a_full_disk_is_told_before_the_engine_is_asked_to_change_anything() {
    let host = Host::new().app("wiki", &[("compose.yml", PLAIN)], "");
    let fill = "head -c 100000000 /dev/zero > fill 2>/dev/null || true";
    let said = on_a_file_system(&host, "1m", fill, &["app"]);
    tells(&said, 1, &["the state directory", "cannot be used", "No space left", "free some space on its file system"]);
    assert_eq!(writes(&host.engine.take()), Vec::<&String>::new());
}

#[test]
fn a_read_only_disk_is_told_with_the_way_out() {
    let host = Host::new().app("wiki", &[("compose.yml", PLAIN)], "");
    let said = on_a_file_system(&host, "1m", "mount -o remount,ro .", &["app"]);
    tells(
        &said,
        1,
        &["the state directory", "Read-only file system", "mount it writable, or choose another `state_dir`"],
    );
    assert_eq!(writes(&host.engine.take()), Vec::<&String>::new());
}

#[test]
fn status_can_be_read_on_a_full_disk() {
    let host = Host::new().app("wiki", &[("compose.yml", PLAIN)], "");
    let fill = "head -c 100000000 /dev/zero > fill 2>/dev/null || true";
    let said = on_a_file_system(&host, "1m", fill, &["status"]);
    tells(&said, 0, &["wiki             not installed            absent"]);
}
