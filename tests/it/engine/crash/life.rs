//! One app with data that lives through one kill after another, and what must hold of it after each.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use evenkeel::host::store::{AppDir, Store};
use evenkeel::model::observed::Observed;
use evenkeel::model::state::{Failed, State};
use nix::sys::stat::Mode;
use nix::unistd::{Gid, Uid, chown, mkfifo};
use rustix::fs::{XattrFlags, setxattr};
use serde_json::{Value, json};

use super::doomed::{Seen, Strike, watch};
use crate::engine::Stack;
use crate::engine::private::PrivateEngine;
use crate::engine::recorder::{Recorder, writes};
use crate::fidelity::fingerprint::{Entry, assert_equal, fingerprint};
use crate::fixtures::RecipeRepo;
use crate::world::{World, at};

pub const APP: &str = "wiki";
const GATE: &str = "gate = { stable_for = \"1s\", within = \"300s\" }\n";
/// The file that says which version the data is of.
const SCHEMA: &str = "schema";

/// What is begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// An upgrade that migrates the data and passes its gate.
    Good,
    /// One that migrates the data, spoils it and fails.
    Bad,
    /// Back to the previous release by hand.
    Rollback,
    /// Back to a snapshot of the same release by hand.
    Restore,
    /// Back to a previous release by hand that does not come up on its own data, and from there to what ran.
    Undone,
}

impl Way {
    /// How it ends where nobody disturbs it.
    pub fn code(self) -> i32 {
        match self {
            Way::Good | Way::Rollback | Way::Restore => 0,
            Way::Bad | Way::Undone => 11,
        }
    }
}

/// What the app finds in its data, and goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// A good version takes a minute to end.
    Slow,
    /// A bad version has two replicas: one fails, and the other takes a minute to end.
    SlowWhereBad,
}

impl Mark {
    fn file(self) -> &'static str {
        match self {
            Mark::Slow => "slow",
            Mark::SlowWhereBad => "slow-where-bad",
        }
    }
}

/// A version and the data that it has.
#[derive(Debug, Clone)]
pub struct Stand {
    pub version: String,
    pub data: BTreeMap<PathBuf, Entry>,
    pub schema: String,
}

/// A way that can be gone, and where it may lead.
pub struct Going {
    pub way: Way,
    pub arguments: Vec<&'static str>,
    pub before: Stand,
    /// `None`: nowhere else.
    pub after: Option<Stand>,
    alerts: BTreeSet<PathBuf>,
    failed: Option<Failed>,
}

pub struct Life {
    pub world: World,
    pub recorder: Recorder,
    recipe: RecipeRepo,
    image: &'static str,
    endpoint: String,
    version: u32,
}

impl Life {
    /// The app at 1.0.0+1, installed, with data that has more than bytes.
    pub fn begin() -> Self {
        Self::on(World::on_shared(), PrivateEngine::shared())
    }

    pub fn on(world: World, engine: &PrivateEngine) -> Self {
        let recorder = Recorder::in_front_of(engine.socket());
        let mut world = world.through(recorder.endpoint());
        world.environment.insert("EVENKEEL_LOG".to_owned(), "warn,evenkeel::upgrade=debug".to_owned());
        let (recipe, endpoint) = (RecipeRepo::empty(), engine.endpoint().to_owned());
        let mut life = Self { world, recorder, recipe, image: engine.image(), endpoint, version: 0 };
        life.publish_good();
        life.world.declare(APP, &life.recipe.url(), "latest", GATE);
        life.world.ok(&["app", APP]);
        grow(&life.data());
        life
    }

    fn publish(&mut self, script: &str, more: &Value) -> String {
        let tag = format!("1.{}.0+1", self.version);
        let mut app = json!({
            "image": self.image,
            "entrypoint": ["sh", "-c", script.replace('$', "$$")],
            "stop_grace_period": "120s",
            "environment": {"RELEASE": tag, "SLOT": "{{.Task.Slot}}"},
            "volumes": ["data:/data"],
            "deploy": {"endpoint_mode": "dnsrr"},
        });
        let mut volumes = json!({"data": null});
        for (key, value) in more.as_object().into_iter().flatten() {
            app[key] = value.clone();
        }
        if more["volumes"].is_array() {
            volumes[format!("more{}", self.version)] = Value::Null;
        }
        let compose = json!({"services": {"app": app}, "volumes": volumes});
        self.recipe.publish(&tag, &[("compose.yml", &compose.to_string())]);
        tag
    }

    /// Takes data of older versions over once, and refuses that of newer ones.
    fn publish_good(&mut self) -> String {
        self.version += 1;
        let script = "n=$(cat /data/schema 2>/dev/null || echo 0); [ $n -le VERSION ] || exit 3; \
            [ $n = VERSION ] || echo VERSION >/data/schema; trap '[ ! -e /data/slow ] || sleep 60; exit 0' TERM; sleep 1000000 & wait";
        let script = script.replace("VERSION", &self.version.to_string());
        self.publish(&script, &Value::Null)
    }

    /// Has a volume that no other version has. Its check never passes, so that it is at no moment taken for one that
    /// runs, however slowly it ends.
    fn publish_bad(&mut self) -> String {
        self.version += 1;
        let script = "[ ! -e /data/slow-where-bad ] || [ $SLOT = 1 ] || \
            { trap 'sleep 60; exit 0' TERM; sleep 1000000 & wait; }; \
            echo VERSION >/data/schema; rm -rf /data/pages; chmod -R 777 /data; echo x >/data/new; echo x >/more/x; exit 9";
        let script = script.replace("VERSION", &self.version.to_string());
        let volumes = json!(["data:/data", format!("more{}:/more", self.version)]);
        let never = json!({"test": ["CMD", "false"], "interval": "60s"});
        let replicas = if self.data().join(Mark::SlowWhereBad.file()).exists() { 2 } else { 1 };
        let deploy = json!({"endpoint_mode": "dnsrr", "replicas": replicas});
        self.publish(&script, &json!({"volumes": volumes, "healthcheck": never, "deploy": deploy}))
    }

    /// Takes data of older versions over, and spoils that which it has had already.
    fn publish_once(&mut self) -> String {
        self.version += 1;
        let script = "[ $(cat /data/schema) -lt VERSION ] || { rm -rf /data/pages; echo x >/data/new; exit 3; }; \
            echo VERSION >/data/schema; echo x >/up; trap 'exit 0' TERM; sleep 1000000 & wait";
        let script = script.replace("VERSION", &self.version.to_string());
        // What spoils is at no moment taken for one that runs, and is not started again.
        let up = json!({"test": ["CMD-SHELL", "[ -e /up ]"], "interval": "1s", "timeout": "30s", "retries": 10});
        let once = json!({"endpoint_mode": "dnsrr", "restart_policy": {"condition": "none"}});
        self.publish(&script, &json!({"healthcheck": up, "deploy": once}))
    }

    /// Makes everything ready for it.
    pub fn going(&mut self, way: Way) -> Going {
        let (arguments, before, after) = match way {
            Way::Good => {
                let (before, version) = (self.stand(), self.publish_good());
                let after = Stand { version, schema: format!("{}\n", self.version), ..before.clone() };
                (vec!["app", APP], before, Some(after))
            }
            Way::Bad => {
                self.publish_bad();
                (vec!["app", APP], self.stand(), None)
            }
            Way::Rollback => {
                let after = self.stand();
                self.publish_good();
                self.world.ok(&["app", APP]);
                self.write_page();
                (vec!["rollback", APP, "--yes"], self.stand(), Some(after))
            }
            Way::Restore => {
                self.world.ok(&["snapshot", "take", APP]);
                let after = self.stand();
                self.write_page();
                (vec!["snapshot", "restore", APP, "--yes"], self.stand(), Some(after))
            }
            Way::Undone => {
                self.publish_once();
                self.world.ok(&["app", APP]);
                self.publish_good();
                self.world.ok(&["app", APP]);
                self.write_page();
                (vec!["rollback", APP, "--yes"], self.stand(), None)
            }
        };
        let (alerts, failed) = (self.alerts().into_keys().collect(), self.state().failed);
        Going { way, arguments, before, after, alerts, failed }
    }

    pub fn set(&self, mark: Mark) {
        fs::write(self.data().join(mark.file()), "").unwrap();
    }

    pub fn unset(&self, mark: Mark) {
        fs::remove_file(self.data().join(mark.file())).unwrap();
    }

    /// As people do.
    fn write_page(&self) {
        fs::write(self.data().join("pages/written-since"), self.version.to_string()).unwrap();
    }

    /// Sets out, and is struck.
    pub fn sets_out(&self, going: &Going, strikes: Vec<Strike<'_>>) -> Seen {
        watch(self.dir().path(), strikes, || self.world.start_with_log(&going.arguments))
    }

    pub fn dir(&self) -> AppDir {
        Store::for_reading(self.world.state_dir()).app(&APP.parse().unwrap())
    }

    pub fn state(&self) -> State {
        self.dir().read_state().unwrap().unwrap()
    }

    /// Where the data is.
    pub fn data(&self) -> PathBuf {
        let volume = format!("/volumes/{}_data", self.world.stack(APP));
        let volume = at(&self.endpoint, async move |swarm| swarm.engine().get(&volume, &[]).await.unwrap());
        volume["Mountpoint"].as_str().unwrap().into()
    }

    /// What is recorded as running, and the data.
    pub fn stand(&self) -> Stand {
        let data = self.data();
        Stand {
            version: self.state().current.unwrap().body.revision.version.unwrap(),
            data: fingerprint(&data),
            schema: fs::read_to_string(data.join(SCHEMA)).unwrap(),
        }
    }

    /// The known-good data is readable at every moment: it is where it was, or in a snapshot that is whole. On a way back
    /// by hand, so is that of what ran: it is where it was, or beside that.
    #[track_caller]
    pub fn good_data_is_somewhere(&self, going: &Going) {
        let Some(open) = self.state().open else { return };
        match &open.snapshot {
            Some(snapshot) => drop(self.world.ok(&["snapshot", "verify", APP, snapshot])),
            None => assert_equal(&fingerprint(&self.data()), &going.before.data),
        }
        if open.before.is_some() {
            let data = self.data();
            let beside = |kind: &str| data.with_file_name(format!("evenkeel-{}-{kind}", open.id));
            // In this order: what a container may be writing to is looked at only where it is what ran.
            let places = [beside("failed"), data.clone(), beside("new")];
            let is_good = |place: &PathBuf| place.exists() && fingerprint(place) == going.before.data;
            assert!(places.iter().any(is_good), "the data of what ran is in none of {places:?}: {open:#?}");
        }
    }

    /// What the timer starts finishes it, and all of it is at one of its ends. `begun`: a transaction was in the journal.
    #[track_caller]
    pub fn is_finished_by_resume(&self, going: &Going, begun: bool) -> Stand {
        let said = self.world.run(&["resume"]);
        assert!([0, 11, 12].contains(&said.code), "{said:#?}");
        self.has_ended(going, begun)
    }

    /// Old version on old data, or new version on new data; nothing is left on its way, and nothing is left to do.
    #[track_caller]
    pub fn has_ended(&self, going: &Going, begun: bool) -> Stand {
        let state = self.state();
        assert!(state.open.is_none() && state.stuck.is_none(), "{state:#?}");
        let stand = self.stand();
        let is_after = going.after.as_ref().is_some_and(|after| after.version == stand.version && after.fits(&stand));
        if !is_after {
            assert_eq!(stand.version, going.before.version);
            assert_equal(&stand.data, &going.before.data);
        }
        self.runs(&stand.version);
        self.next_run_writes_nothing();
        self.nothing_is_on_its_way();
        self.alerts_tell_it_once(going, begun && !is_after);
        self.remove_volumes_of_failed();
        stand
    }

    /// One container of this version, and no other one in any state.
    #[track_caller]
    fn runs(&self, version: &str) {
        let name = self.world.stack(APP).parse().unwrap();
        let runs = |o: &Observed| o.containers.len() == 1 && o.containers.iter().all(|c| c.state == "running");
        let observed = at(&self.endpoint, async |swarm| Stack { name, swarm }.until("one container runs", runs).await);
        let service = &observed.services[&format!("{}_app", self.world.stack(APP))].spec;
        assert_eq!(service["Mode"]["Replicated"]["Replicas"], 1, "it is left scaled down");
        let environment = service["TaskTemplate"]["ContainerSpec"]["Env"].as_array().unwrap();
        assert!(environment.contains(&json!(format!("RELEASE={version}"))), "{environment:?}");
    }

    /// Whether any container of it still runs.
    pub fn runs_something(&self) -> bool {
        let name = self.world.stack(APP).parse().unwrap();
        let observed = at(&self.endpoint, async move |swarm| swarm.observe(&name).await.unwrap());
        observed.containers.iter().any(|container| container.state == "running")
    }

    #[track_caller]
    fn next_run_writes_nothing(&self) {
        let before = self.indexes();
        self.recorder.take();
        assert_eq!(self.world.ok(&["resume"]).out, "nothing is open\n");
        assert_eq!(self.world.ok(&["app", APP, "--no-upgrade"]).out, "wiki: converged\n");
        assert_eq!(writes(&self.recorder.take()), Vec::<&String>::new());
        assert_eq!(self.indexes(), before);
    }

    fn indexes(&self) -> Vec<(String, u64)> {
        let name = self.world.stack(APP).parse().unwrap();
        let observed = at(&self.endpoint, async move |swarm| swarm.observe(&name).await.unwrap());
        observed.services.into_values().map(|service| (service.name, service.index)).collect()
    }

    /// Beside the volume lies only data that the state names, and so it is with snapshots.
    #[track_caller]
    fn nothing_is_on_its_way(&self) {
        let state = self.state();
        let failed = |transaction: &&str| format!("evenkeel-{transaction}-failed");
        let may: BTreeSet<String> = state.named_transactions().iter().map(failed).collect();
        let beside = names(self.data().parent().unwrap());
        assert!(beside.iter().all(|name| name == "_data" || may.contains(name)), "{beside:?}, {may:?}");
        let snapshots = names(&self.dir().path().join("snapshots"));
        assert!(snapshots.iter().all(|name| state.named_snapshots().contains(name.as_str())), "{snapshots:?}");
        let on_the_way = names(self.dir().path()).into_iter().filter(|name| name.starts_with(".beside-"));
        assert_eq!(on_the_way.collect::<Vec<_>>(), Vec::<String>::new());
    }

    /// Path -> reason.
    fn alerts(&self) -> BTreeMap<PathBuf, String> {
        let folder = self.world.state_dir().join("alerts");
        let files = names(&folder).into_iter().filter(|name| name.ends_with(".json"));
        let read = |name: String| {
            let path = folder.join(name);
            let alert: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            (path, alert["reason"].as_str().unwrap().to_owned())
        };
        files.map(read).collect()
    }

    /// `failed`: what was begun did not come about.
    #[track_caller]
    fn alerts_tell_it_once(&self, going: &Going, failed: bool) {
        let new: Vec<String> =
            self.alerts().into_iter().filter(|(path, _)| !going.alerts.contains(path)).map(|(_, why)| why).collect();
        let is_one = new.len() == 1 && ["rollback", "blocked"].contains(&new[0].as_str());
        match going.way {
            _ if !failed => assert!(new.is_empty(), "{new:?}"),
            Way::Good | Way::Bad => assert!(is_one, "{new:?}"),
            // Other data has been tried, which is news each time.
            Way::Undone if self.state().failed != going.failed => assert_eq!(new, ["rollback"]),
            // By hand it is always the same that did not come about, and that is told once.
            Way::Rollback | Way::Restore | Way::Undone => assert!(is_one || new.is_empty(), "{new:?}"),
        }
        assert!(self.state().due_alerts.is_empty());
    }

    /// They carry the stack's label, so that each further upgrade would store them.
    fn remove_volumes_of_failed(&self) {
        let prefix = format!("{}_more", self.world.stack(APP));
        at(&self.endpoint, async move |swarm| {
            for name in swarm.volumes().await.unwrap().into_keys().filter(|name| name.starts_with(&prefix)) {
                swarm.engine().delete(&format!("/volumes/{name}"), &[]).await.unwrap();
            }
        });
    }
}

impl Stand {
    /// Whether it is this one, its data migrated by its own version or not.
    fn fits(&self, found: &Stand) -> bool {
        let schema = Path::new(SCHEMA);
        let others = |stand: &Stand| -> Vec<(PathBuf, Entry)> {
            stand.data.clone().into_iter().filter(|(path, _)| path != schema).collect()
        };
        found.schema == self.schema && others(found) == others(self)
    }
}

fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Little, but with more than bytes.
fn grow(data: &Path) {
    let pages = data.join("pages");
    fs::create_dir(&pages).unwrap();
    fs::write(pages.join("one"), [0, 159, 146, 150]).unwrap();
    fs::hard_link(pages.join("one"), data.join("same")).unwrap();
    std::os::unix::fs::symlink("pages/one", data.join("link")).unwrap();
    mkfifo(&data.join("fifo"), Mode::from_bits_truncate(0o620)).unwrap();
    fs::File::create(data.join("sparse")).unwrap().write_all_at(b"end", 1 << 20).unwrap();
    setxattr(data.join("same"), "user.kind", b"text", XattrFlags::empty()).unwrap();
    chown(&pages, Some(Uid::from_raw(70_000)), Some(Gid::from_raw(33))).unwrap();
    fs::set_permissions(&pages, fs::Permissions::from_mode(0o2750)).unwrap();
}
