//! A host that boots with the units of the NixOS module, and questions to it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::rendered::{PREFIX, Rendered};
use super::{BASE, STATE_DIR};
use crate::engine::DEADLINE;
use crate::fixtures::RecipeRepo;
use crate::power::host::Host;
use crate::power::prepared::put_files;
use crate::real::certificate;
use crate::world::tarballs;

/// What people are told goes to the journal as `relay`, which `/srv/wait` makes slow and `/srv/refuse` a failure.
const RELAY: &str = "#!/bin/sh
logger -t relay \"$(jq -r '\"\\(.app) \\(.reason) \\(.to_version // \"-\")\"' <\"$EVENKEEL_ALERT\")\"
while [ -e /srv/wait ]; do sleep 0.1; done
[ ! -e /srv/refuse ]
";

/// The night comes now.
pub const SOON: &str = "[Timer]\nOnCalendar=\nOnBootSec=\nOnUnitInactiveSec=\nOnActiveSec=500ms\nAccuracySec=100ms\nRandomizedDelaySec=0\n";

pub struct Machine {
    pub host: Host,
    pub rendered: Rendered,
}

/// How a service stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    pub state: String,
    pub result: String,
    /// With which exit code it ended.
    pub code: String,
    pub told: String,
    /// Another one for each start.
    pub start: String,
}

impl Service {
    pub fn is_at_work(&self) -> bool {
        ["activating", "deactivating", "reloading"].contains(&self.state.as_str())
    }
}

impl Machine {
    /// A host with the units of these settings, which has never run them.
    pub fn installed(settings: &str, images: &[&str], recipes: &[(&str, &RecipeRepo)]) -> Self {
        let machine = Self { rendered: Rendered::of(settings), host: prepared().twin() };
        recipes.iter().for_each(|(name, recipe)| machine.put_recipe(name, recipe));
        images.iter().flat_map(|image| tarballs(&[image])).for_each(|image| {
            machine.host.shell_with("docker load --quiet", &image);
        });
        machine.rendered.install(&machine.host);
        machine.host.kill();
        machine
    }

    /// Boots it: what systemd starts then has ended.
    pub fn boot(&self) {
        self.host.up();
    }

    /// The same, after everything on it was killed at once.
    pub fn reboot(&self) {
        self.host.kill();
        self.boot();
    }

    /// Takes the files away that were there, and puts others there.
    pub fn replace(&mut self, rendered: Rendered) {
        let files: Vec<String> = self.rendered.files().iter().map(|file| file.display().to_string()).collect();
        self.host.run(&[&["rm", "-f", "--"], files.iter().map(String::as_str).collect::<Vec<_>>().as_slice()].concat());
        self.rendered = rendered;
        self.rendered.install(&self.host);
    }

    /// Puts a recipe to `/srv/recipes/NAME`, in place of the one that is there.
    pub fn put_recipe(&self, name: &str, recipe: &RecipeRepo) {
        self.host.copy(recipe.path(), "/srv/coming");
        self.host.shell(&format!(
            "mkdir -p /srv/recipes; rm -rf /srv/recipes/{name}; mv /srv/coming/.tmp* /srv/recipes/{name}; rmdir /srv/coming"
        ));
    }

    /// Lines that come after a unit's own.
    pub fn add_to(&self, unit: &str, lines: &str) {
        put_files(&self.host, &format!("/etc/systemd/system/{unit}.d"), &[("more.conf", lines)]);
        self.host.shell("systemctl daemon-reload");
    }

    pub fn service(&self, unit: &str) -> Service {
        let shown = self.host.shell(&format!(
            "systemctl show {unit} --property=ActiveState,Result,ExecMainStatus,StatusText,InvocationID"
        ));
        let all: BTreeMap<&str, &str> = shown.lines().filter_map(|line| line.split_once('=')).collect();
        let of = |key: &str| all.get(key).copied().unwrap_or_default().to_owned();
        Service {
            state: of("ActiveState"),
            result: of("Result"),
            code: of("ExecMainStatus"),
            told: of("StatusText"),
            start: of("InvocationID"),
        }
    }

    /// What this start of a service has said in the journal.
    pub fn said(&self, service: &Service) -> String {
        self.host.shell(&format!("journalctl --no-pager --output=cat _SYSTEMD_INVOCATION_ID={}", service.start))
    }

    /// Waits for the end of a start of a service that is another one than `last`.
    #[track_caller]
    pub fn ended_after(&self, unit: &str, last: &str) -> Service {
        self.until(&format!("{unit} has ended"), || {
            let service = self.service(unit);
            (service.start != last && !service.start.is_empty() && !service.is_at_work()).then_some(service)
        })
    }

    /// The nightly timer elapses, and all that it started has ended.
    #[track_caller]
    pub fn night(&self) -> Service {
        let last = self.nightfall();
        self.ended_after("evenkeel-nightly.service", &last)
    }

    /// The nightly timer elapses. Which night was the last.
    pub fn nightfall(&self) -> String {
        self.elapse("evenkeel-nightly")
    }

    /// A timer elapses. Which start of its service was the last.
    pub fn elapse(&self, name: &str) -> String {
        let last = self.service(&format!("{name}.service")).start;
        self.add_to(&format!("{name}.timer"), SOON);
        self.host.shell(&format!("systemctl restart {name}.timer"));
        last
    }

    #[track_caller]
    pub fn until<T>(&self, what: &str, look: impl Fn() -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            if let Some(seen) = look() {
                return seen;
            }
            assert!(began.elapsed() < DEADLINE * 3, "not in time: {what}: {}", self.journal());
            thread::sleep(Duration::from_millis(200));
        }
    }

    pub fn journal(&self) -> String {
        self.host.shell("journalctl --no-pager --output=short-iso -t evenkeel -t systemd -t relay -t launcher | grep -v 'docker\\|run-' | tail -n 100")
    }

    /// Where an app stands by its own record; nothing where there is none.
    pub fn state(&self, app: &str) -> Value {
        let kept = fs::read(self.host.path(format!("{STATE_DIR}/{app}/state.json"))).unwrap_or_default();
        serde_json::from_slice(&kept).unwrap_or_default()
    }

    /// The version that an app has by its own record.
    pub fn version(&self, app: &str) -> String {
        self.state(app)["current"]["body"]["revision"]["version"].as_str().unwrap_or_default().to_owned()
    }

    pub fn step(&self, app: &str) -> Option<String> {
        self.state(app)["open"]["step"].as_str().map(str::to_owned)
    }

    /// A file in the volume of an app of one service.
    pub fn data(&self, app: &str, file: &str) -> String {
        let path = format!("{}/{}_data/_data/{file}", super::VOLUMES, stack(app));
        fs::read_to_string(self.host.path(path)).unwrap_or_default()
    }

    /// What changes with every write to the Swarm.
    pub fn fingerprint(&self) -> BTreeMap<String, Value> {
        let mut found = BTreeMap::new();
        for kind in ["services", "secrets", "configs", "networks"] {
            for object in self.engine(&format!("/{kind}")).as_array().expect("a list") {
                let name = object["Spec"]["Name"].as_str().or(object["Name"].as_str()).expect("all have a name");
                let told = ["ID", "Id", "Version", "PreviousSpec", "UpdateStatus"].map(|key| object[key].clone());
                // A node makes its part of an overlay anew.
                let is_of_swarm = kind != "networks" || object["Scope"] == "swarm";
                if is_of_swarm {
                    found.insert(format!("{kind} {name}"), Value::from(told.to_vec()));
                }
            }
        }
        found
    }

    /// The Engine's answer.
    pub fn engine(&self, path: &str) -> Value {
        let told = self.host.shell(&format!("curl -sS --unix-socket /run/docker.sock 'http://engine{path}'"));
        serde_json::from_str(&told).unwrap()
    }

    /// The page that users get, when it comes with the declared certificate.
    pub fn page(&self, app: &str) -> Option<String> {
        let host = format!("{app}.{BASE}");
        let asked = format!(
            "curl -sSf --max-time 5 --cacert /srv/secrets/chain.pem --resolve {host}:443:127.0.0.1 https://{host}/"
        );
        let output = self.host.run(&["sh", "-c", &asked]);
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
    }

    /// App, reason and version of each alert that was relayed, in the order of their names.
    pub fn relayed(&self) -> Vec<String> {
        self.alerts("alerts/seen").iter().map(in_words).collect()
    }

    pub fn waiting(&self) -> Vec<String> {
        self.alerts("alerts").iter().map(in_words).collect()
    }

    /// The one alert for this reason that was relayed.
    #[track_caller]
    pub fn alert(&self, reason: &str) -> Value {
        let mut about = self.alerts("alerts/seen");
        about.retain(|alert| alert["reason"] == reason);
        assert_eq!(about.len(), 1, "{about:#?}: {}", self.journal());
        about.remove(0)
    }

    fn alerts(&self, folder: &str) -> Vec<Value> {
        let Ok(entries) = fs::read_dir(self.host.path(format!("{STATE_DIR}/{folder}"))) else { return Vec::new() };
        let paths: BTreeSet<_> = entries.map(|entry| entry.unwrap().path()).collect();
        let texts = paths.iter().filter(|path| path.extension().is_some_and(|end| end == "json"));
        texts.filter_map(|path| serde_json::from_slice(&fs::read(path).ok()?).ok()).collect()
    }

    /// The alerts that the relay's command was given, each time.
    pub fn told_to_people(&self) -> Vec<String> {
        let told = self.host.shell("journalctl --no-pager --output=cat -t relay");
        told.lines().map(str::to_owned).filter(|line| !line.starts_with("-- ")).collect()
    }
}

fn in_words(alert: &Value) -> String {
    ["app", "reason", "to_version"].map(|key| alert[key].as_str().unwrap_or("-")).join(" ")
}

pub fn stack(app: &str) -> String {
    format!("{app}.{BASE}").replace('.', "_")
}

/// A host with all that is no part of the module, which does not run; gone with the last who has it.
fn prepared() -> Arc<Host> {
    static PREPARED: Mutex<Weak<Host>> = Mutex::new(Weak::new());
    let mut prepared = PREPARED.lock().unwrap_or_else(PoisonError::into_inner);
    prepared.upgrade().unwrap_or_else(|| {
        let host = Arc::new(prepare(&[]));
        host.kill();
        *prepared = Arc::downgrade(&host);
        host
    })
}

/// The same, and it runs; each of these folders has a disk of its own.
pub fn prepare(disks: &[&str]) -> Host {
    let host = Host::boot(disks);
    put_program(&host, "evenkeel", Path::new(env!("CARGO_BIN_EXE_evenkeel")), &format!("{PREFIX}/bin"));
    put_program(&host, "launcher", &std::env::current_exe().unwrap(), "/usr/local/bin");
    let certificate = certificate::good(BASE);
    put_files(&host, "/srv/secrets", &[("chain.pem", &certificate.chain), ("key.pem", &certificate.key)]);
    put_files(&host, "/usr/local/bin", &[("relay", RELAY)]);
    host.shell("chmod 755 /usr/local/bin/relay; chmod 700 /srv/secrets; ln -s ../../../opt/evenkeel/bin/evenkeel /usr/local/bin/evenkeel");
    host.shell_with("docker load --quiet", &tarballs(&["standin-1.0.0"])[0]);
    host.shell("sync");
    host
}

fn put_program(host: &Host, name: &str, program: &Path, folder: &str) {
    let dir = tempfile::tempdir().unwrap();
    let stripped = dir.path().join(name);
    assert!(Command::new("strip").arg("-o").arg(&stripped).arg(program).status().unwrap().success());
    host.copy(&stripped, folder);
}
