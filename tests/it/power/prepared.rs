//! A host with one app on it, made once: each case has a twin of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use serde_json::json;

use super::host::Host;
use super::{DISKS, NEW, OLD, STACK, VOLUMES};
use crate::fixtures::RecipeRepo;

const RECIPE: &str = "/srv/wiki";
const CONFIG: &str = "\
base_domain = \"example.org\"
[app.wiki]
recipe = { url = \"/srv/wiki\" }
version = \"latest\"
gate = { stable_for = \"1s\", within = \"600s\" }
";
/// As an app does: the first start makes its data, and data that a newer version has migrated ends it.
pub const OLD_RUNS: &str = "[ -e /data/schema ] || echo 1 >/data/schema; [ \"$$(cat /data/schema)\" = 1 ] || exit 3; ";
pub const MIGRATES: &str = "echo 2 >/data/schema; echo new >/data/new; ";
pub const RUNS: &str = "trap 'exit 0' TERM; sleep 1000000 & wait";
pub const FAILS: &str = "rm -rf /data/pages; exit 9";

/// The host, which does not run; gone with the last who has it.
pub fn prepared() -> Arc<Host> {
    static PREPARED: Mutex<Weak<Host>> = Mutex::new(Weak::new());
    let mut prepared = PREPARED.lock().unwrap_or_else(PoisonError::into_inner);
    prepared.upgrade().unwrap_or_else(|| {
        let host = Arc::new(prepare());
        *prepared = Arc::downgrade(&host);
        host
    })
}

fn prepare() -> Host {
    let host = bare(CONFIG);
    put_old_version(&host);
    host.shell("systemctl start evenkeel@app.service");
    put_pages(&host);
    host.kill();
    host
}

/// One with the program, what README shows, an image and this configuration. Runs.
pub fn bare(config: &str) -> Host {
    let host = Host::boot(&DISKS);
    put_programs(&host);
    put_files(&host, "/etc/evenkeel", &[("config.toml", config)]);
    put_files(&host, "/etc/systemd/system", &units());
    host.shell_with("docker load --quiet", &standin());
    // What a power loss leaves open is finished at boot, as the timer would finish it a little later.
    host.shell(
        "systemctl daemon-reload; systemctl enable evenkeel-swarm.service
         systemctl add-wants multi-user.target evenkeel-resume.service",
    );
    host
}

/// What the app's users have written.
pub fn put_pages(host: &Host) {
    let pages = format!("{VOLUMES}/{STACK}_data/_data/pages");
    host.shell(&format!("mkdir {pages}; for i in $(seq 50); do head -c 3000 /dev/urandom >{pages}/$i; done; sync"));
}

pub fn put_old_version(host: &Host) {
    put_recipe(host, &recipe());
}

/// The program itself, and the one that has it watched.
fn put_programs(host: &Host) {
    let dir = tempfile::tempdir().unwrap();
    let programs = [
        ("evenkeel", Path::new(env!("CARGO_BIN_EXE_evenkeel")).to_owned()),
        ("launcher", std::env::current_exe().unwrap()),
    ];
    for (name, program) in programs {
        let stripped = dir.path().join(name);
        assert!(Command::new("strip").arg("-o").arg(&stripped).arg(program).status().unwrap().success());
        host.copy(&stripped, "/usr/local/bin");
    }
}

pub fn put_files<S: AsRef<str>>(host: &Host, folder: &str, files: &[(S, S)]) {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let file = dir.path().join(name.as_ref());
        fs::write(&file, text.as_ref()).unwrap();
        host.copy(&file, folder);
    }
}

/// Every unit that README shows, by its file name.
pub fn units() -> Vec<(String, String)> {
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let blocks = readme.split("```ini\n# ").skip(1).map(|rest| rest.split("```").next().unwrap());
    blocks.map(|block| block.split_once('\n').unwrap()).map(|(name, text)| (name.to_owned(), text.to_owned())).collect()
}

fn recipe() -> RecipeRepo {
    let mut recipe = RecipeRepo::empty();
    publish(&mut recipe, OLD, &format!("{OLD_RUNS}{RUNS}"), "exit 0");
    recipe
}

/// The recipe with one version more, which migrates the data and then runs, or not.
pub fn put_new_version(host: &Host, is_good: bool) {
    let mut recipe = recipe();
    match is_good {
        true => publish(&mut recipe, NEW, &format!("{MIGRATES}{RUNS}"), "exit 0"),
        // It is at no moment taken for one that runs.
        false => publish(&mut recipe, NEW, &format!("{MIGRATES}{FAILS}"), "exit 1"),
    }
    put_recipe(host, &recipe);
}

pub fn publish(recipe: &mut RecipeRepo, version: &str, script: &str, health: &str) {
    recipe.publish(version, &[("compose.yml", &compose(version, script, health))]);
}

/// What the recipe has of it.
pub fn compose(version: &str, script: &str, health: &str) -> String {
    let compose = json!({
        "services": {"app": {
            "image": "standin:1.0.0",
            "entrypoint": ["sh", "-c", script],
            "environment": {"RELEASE": version},
            "stop_grace_period": "60s",
            "healthcheck": {"test": ["CMD-SHELL", health], "interval": "1s", "timeout": "30s", "retries": 100},
            "volumes": ["data:/data"],
            "deploy": {"endpoint_mode": "dnsrr"},
        }},
        "volumes": {"data": {}},
    });
    compose.to_string()
}

pub fn put_recipe(host: &Host, recipe: &RecipeRepo) {
    host.copy(recipe.path(), "/srv/coming");
    host.shell(&format!("rm -rf {RECIPE}; mv /srv/coming/.tmp* {RECIPE}; rmdir /srv/coming"));
}

/// The tarball of an image with a shell.
fn standin() -> PathBuf {
    let build = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/images/build");
    let built = Command::new(build).arg("standin-1.0.0").output().unwrap();
    assert!(built.status.success(), "{built:?}");
    String::from_utf8(built.stdout).unwrap().trim().into()
}
