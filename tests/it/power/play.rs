//! One upgrade on one host, up to the moment at which the power fails, and what is found after it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use evenkeel::model::app::StackName;
use evenkeel::model::observed::{Observed, TaskState};
use serde_json::Value;

use super::host::Host;
use super::moments::{Seen, kept_state};
use super::prepared::{put_files, put_new_version};
use super::watched::{COMMAND, LAUNCHER, SOCKET, Watched};
use super::{APP, Case, Flush, Moment, NEW, OLD, STACK, VOLUMES};
use crate::engine::DEADLINE;
use crate::world::at;

/// A unit whose runs can be watched.
#[derive(Debug, Clone)]
pub struct Unit {
    pub name: String,
    pub command: String,
    /// What has systemd start it.
    pub begin: String,
}

impl Unit {
    /// One of those that README shows.
    pub fn of_readme(verb: &str) -> Self {
        let name = format!("evenkeel@{verb}.service");
        let begin = format!("systemctl start --no-block {name}");
        Self { name, command: format!("/usr/local/bin/evenkeel {verb}"), begin }
    }

    /// Has its runs be watched through this socket, until the next boot.
    pub fn have_watched(&self, host: &Host) -> UnixListener {
        let (unit, command) = (&self.name, &self.command);
        let dropin = format!(
            "[Service]\nEnvironment=\"{COMMAND}={command}\" {SOCKET}=/run/watcher-{unit}\n\
             ExecStart=\nExecStart=/usr/local/bin/launcher {LAUNCHER} --exact --nocapture\n"
        );
        put_files(host, &format!("/run/systemd/system/{unit}.d"), &[("watched.conf", dropin.as_str())]);
        host.shell("systemctl daemon-reload");
        UnixListener::bind(host.path(format!("/run/watcher-{unit}"))).unwrap()
    }
}

/// One host in the middle of one case.
pub struct Play {
    case: Case,
    /// Its runs upgrade.
    upgrade: Unit,
    host: Host,
    before: BTreeMap<PathBuf, Vec<u8>>,
    pub seen: Seen,
}

impl Play {
    /// The host of a case, with the new version there to be taken.
    pub fn begin(case: Case, prepared: &Host, upgrade: Unit) -> Self {
        let host = prepared.twin();
        put_new_version(&host, case.is_good);
        let play = Self { case, upgrade, before: BTreeMap::new(), host, seen: Seen::default() };
        play.until("the app runs", |observed| runs(observed) == [OLD]);
        let before = play.data();
        assert_eq!(before.len(), 51, "the data of the app and its users");
        Self { before, ..play }
    }

    /// Until the power is back, and what is started at boot has ended.
    pub fn lose_power(&mut self) {
        let watched = match self.case.moment {
            Moment::At(after) => {
                self.host.shell(&self.upgrade.begin);
                thread::sleep(after);
                None
            }
            Moment::Before(_) | Moment::After(_) => Some(self.come_to_the_moment()),
        };
        self.host.cut();
        drop(watched);
        self.host.up();
        self.wait_for_the_end();
    }

    /// What boot started has ended; a timer may have something left to finish.
    fn wait_for_the_end(&self) {
        let began = Instant::now();
        let is_open = || {
            let state = serde_json::from_slice::<Value>(&self.kept_state()).unwrap_or_default();
            !state["open"].is_null() && state["stuck"].is_null()
        };
        while is_open() && began.elapsed() < DEADLINE * 3 {
            thread::sleep(Duration::from_millis(200));
        }
    }

    /// Until the moment of the case; or the end, which a moment by number may lie behind.
    fn come_to_the_moment(&mut self) -> Watched {
        let upgrade = self.upgrade.clone();
        if !self.case.is_resumed {
            return self.watch(&upgrade, self.case);
        }
        let killed = Case::bad(Moment::After(Flush::Rename("deploy")));
        let _held = self.watch(&upgrade, killed);
        let unit = upgrade.name;
        self.host.shell(&format!(
            "systemctl kill --signal=KILL {unit}; until systemctl is-failed --quiet {unit}; do sleep 0.1; done"
        ));
        self.watch(&Unit::of_readme("resume"), self.case)
    }

    /// Starts a unit and follows it to the moment of a case. It is held for as long as what this gives is kept.
    fn watch(&mut self, unit: &Unit, case: Case) -> Watched {
        let socket = unit.have_watched(&self.host);
        self.host.shell(&unit.begin);
        let watched = Watched::accept(&socket);
        let is_held = watched.follow(|call| self.seen.verdict(&self.host, APP, call, case.moment, case.skipped));
        let may_end = matches!(case.moment, Moment::Before(Flush::Number(_)) | Moment::After(Flush::Number(_)));
        assert!(is_held || may_end, "{case:?} was never reached: {}", self.journal());
        watched
    }

    fn kept_state(&self) -> Vec<u8> {
        kept_state(&self.host, APP)
    }

    fn data(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        data_of(&self.host, STACK)
    }

    fn observe(&self) -> Observed {
        observe(&self.host, STACK)
    }

    #[track_caller]
    fn until(&self, what: &str, holds: impl Fn(&Observed) -> bool) -> Observed {
        let began = Instant::now();
        loop {
            let observed = self.observe();
            if holds(&observed) {
                return observed;
            }
            assert!(began.elapsed() < DEADLINE * 3, "not in time: {what}, {:?}: {observed:#?}", self.case);
            thread::sleep(Duration::from_millis(200));
        }
    }
}

impl Play {
    /// The first promise that does not hold now; what boot started has ended.
    pub fn broken(&self) -> Option<String> {
        let kept = self.kept_state();
        let Ok(state) = serde_json::from_slice::<Value>(&kept) else {
            return Some(format!("the state is damaged: {} bytes", kept.len()));
        };
        if !state["open"].is_null() || !state["stuck"].is_null() {
            return Some(format!("it is not closed: {}{}", state["open"], state["stuck"]["reason"]));
        }
        let version = state["current"]["body"]["revision"]["version"].as_str().unwrap_or_default();
        if !self.belongs_to(version) {
            let found: Vec<_> = self.data().into_iter().map(|(path, bytes)| (path, bytes.len())).take(5).collect();
            return Some(format!("the data is not that of {version}: {found:?} and more"));
        }
        let verified = self.host.run(&["evenkeel", "snapshot", "verify", "wiki"]);
        if !verified.status.success() {
            return Some(format!("a snapshot is damaged: {verified:?}"));
        }
        self.until("the release that is recorded runs", |observed| runs(observed) == [version]);
        self.next_runs_write()
    }

    /// Whether the data is what this version had, or has made of it.
    fn belongs_to(&self, version: &str) -> bool {
        let mut expected = self.before.clone();
        if version == NEW && self.case.is_good {
            expected.insert("schema".into(), b"2\n".to_vec());
            expected.insert("new".into(), b"new\n".to_vec());
        } else if version != OLD {
            return false;
        }
        self.data() == expected
    }

    /// The first run may finish what comes after the end, such as an alert; the app is left alone by both.
    fn next_runs_write(&self) -> Option<String> {
        let resumed = self.host.run(&["evenkeel", "resume"]);
        if resumed.stdout != b"nothing is open\n" {
            return Some(format!("something is open still: {resumed:?}"));
        }
        let mut kept = (untouched(self.observe()), Vec::new());
        for _ in 0..2 {
            let run = self.host.run(&["evenkeel", "app", "--no-upgrade"]);
            if ![Some(0), Some(10)].contains(&run.status.code()) {
                return Some(format!("the next run does not end well: {run:?}"));
            }
            let now = (untouched(self.observe()), self.kept_state());
            if now.0 != kept.0 || (!kept.1.is_empty() && now.1 != kept.1) {
                return Some(format!("a run writes where nothing is to do: {run:?}: {:?} after {:?}", now.0, kept.0));
            }
            kept = now;
        }
        None
    }

    /// With what code that ended which finishes at boot what is open.
    pub fn resumed(&self) -> String {
        self.host.shell("systemctl show evenkeel-resume.service --property=ExecMainStatus --value").trim().to_owned()
    }

    /// The one that is recorded.
    pub fn version(&self) -> String {
        let state = serde_json::from_slice::<Value>(&self.kept_state()).unwrap_or_default();
        state["current"]["body"]["revision"]["version"].as_str().unwrap_or_default().to_owned()
    }

    pub fn told(&self) -> String {
        format!("{} after `resume` ended with {}", self.version(), self.resumed())
    }

    pub fn journal(&self) -> String {
        self.host.shell("journalctl --no-pager --output=short-iso -u 'evenkeel*' | tail -n 60")
    }
}

/// The releases that run, by their tasks.
pub fn runs(observed: &Observed) -> Vec<String> {
    let running = observed.tasks.iter().filter(|task| task.up_to_date && task.state == TaskState::Running).count();
    let specs = observed.services.values().map(|service| &service.spec);
    let env = specs.filter_map(|spec| spec["TaskTemplate"]["ContainerSpec"]["Env"].as_array()).flatten();
    let releases: Vec<String> =
        env.filter_map(|entry| Some(entry.as_str()?.strip_prefix("RELEASE=")?.to_owned())).collect();
    if running == releases.len() { releases } else { Vec::new() }
}

/// What changes with every write: indexes of services, and the tasks that run.
fn untouched(observed: Observed) -> (Vec<(String, u64)>, Vec<String>) {
    let services = observed.services.into_values().map(|service| (service.name, service.index));
    let running = observed.tasks.into_iter().filter(|task| task.state == TaskState::Running);
    (services.collect(), running.map(|task| task.id).collect())
}

/// Every file of the stack's volume, with its bytes.
pub fn data_of(host: &Host, stack: &str) -> BTreeMap<PathBuf, Vec<u8>> {
    let folder = host.path(format!("{VOLUMES}/{stack}_data/_data"));
    files(&folder).into_iter().map(|(path, bytes)| (path.strip_prefix(&folder).unwrap().to_owned(), bytes)).collect()
}

pub fn observe(host: &Host, stack: &str) -> Observed {
    let socket = format!("unix://{}", host.path("/run/docker.sock").display());
    let stack: StackName = stack.parse().unwrap();
    at(&socket, async move |swarm| swarm.observe(&stack).await.unwrap())
}

/// Every file below a folder, with its bytes.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            // An app that is just starting may take one away.
            false => drop(found.insert(path.clone(), fs::read(&path).unwrap_or_default())),
        }
    }
    found
}
