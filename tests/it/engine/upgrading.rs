//! What each act of an upgrade promises, on a real Engine and on real volumes.

mod killed;
mod proving;
mod stopping;
mod whole;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use evenkeel::config::Resolve;
use evenkeel::host::ending::Ending;
use evenkeel::host::images::Images;
use evenkeel::host::images::auth::Auths;
use evenkeel::host::probe::Target;
use evenkeel::host::progress::Progress;
use evenkeel::host::store::{AppDir, Lock, LockAttempt, Store};
use evenkeel::model::secret::HostKey;
use evenkeel::model::state::{Frozen, Release, ReleaseBody, State};
use evenkeel::model::transaction::{Candidate, Old, Purpose, Rules, Step, Transaction};
use evenkeel::model::version::Revision;
use evenkeel::reconcile::{Gate, Keeper};
use evenkeel::upgrade::on_host::{OnHost, volumes};
use evenkeel::upgrade::run::{Effects, Fact, Failure, Performed};
use evenkeel::upgrade::step::{Act, Side};
use serde_json::{Value, json};

use super::Stack;
use super::private::PrivateEngine;

/// Ends at once when told to.
const RUNS: &str = "trap 'exit 0' TERM; sleep 1000000 & wait";
const DONE: Performed = Ok(Ok(Fact::Nothing));

/// One stack, and a state directory of its own.
struct Bench {
    stack: Stack,
    dir: AppDir,
    lock: Lock,
    images: Images,
    auths: Auths,
    host_key: HostKey,
    progress: Progress,
    ending: Ending,
    _state_dir: tempfile::TempDir,
}

impl Bench {
    async fn new(name: &str) -> Self {
        let stack = Stack::empty(name).await;
        let state_dir = tempfile::tempdir().unwrap();
        let dir = Store::open(state_dir.path()).unwrap().app(&"wiki".parse().unwrap());
        let LockAttempt::Taken(lock) = dir.lock().unwrap() else { panic!("nobody else is here") };
        Self {
            images: Images::new(stack.swarm.engine().clone()),
            stack,
            dir,
            lock,
            auths: Auths::default(),
            host_key: HostKey::new(vec![7; 32]),
            progress: Progress::new("wiki"),
            ending: Ending::unheard(),
            _state_dir: state_dir,
        }
    }

    fn host(&self) -> OnHost<'_> {
        let keeper = Keeper {
            swarm: &self.stack.swarm,
            images: &self.images,
            auths: &self.auths,
            dir: &self.dir,
            host_key: &self.host_key,
            resolve: Resolve::Never,
            images_before: BTreeMap::new(),
            recorded: BTreeSet::new(),
            image_ids: BTreeMap::new(),
            progress: &self.progress,
            hidden: None,
            shared: None,
        };
        OnHost::new(keeper, &self.lock, self.stack.name.clone(), self.ending.clone())
    }

    /// A service with the stack's volume `data`; `more` is laid over its spec.
    fn service(&self, name: &str, script: &str, more: Value) -> Value {
        let mut spec = self.stack.runs(name, script);
        spec["TaskTemplate"]["ContainerSpec"]["Mounts"] =
            json!([{"Type": "volume", "Source": self.stack.named("data"), "Target": "/data"}]);
        lay_over(&mut spec, &more);
        spec
    }

    async fn create(&self, specs: &[Value]) {
        for spec in specs {
            self.stack.swarm.create_service(spec).await.unwrap();
        }
    }

    /// A release of these services.
    async fn body(&self, version: &str, specs: &[Value]) -> ReleaseBody {
        let mut images = BTreeMap::new();
        for spec in specs {
            let image = spec["TaskTemplate"]["ContainerSpec"]["Image"].as_str().unwrap().to_owned();
            images.extend(self.images.id(&image).await.unwrap().map(|id| (image, id)));
        }
        let named = |spec: &Value| (spec["Name"].as_str().unwrap().to_owned(), spec.clone());
        ReleaseBody {
            revision: Revision { version: Some(version.to_owned()), commit: "0".repeat(40).parse().unwrap() },
            networks: BTreeMap::new(),
            external_networks: vec![],
            secrets: BTreeMap::new(),
            configs: BTreeMap::new(),
            services: specs.iter().map(named).collect(),
            images,
        }
    }

    /// From a release of these services to another one of those; its volumes are found.
    async fn transaction(&self, old: &[Value], new: &[Value]) -> Transaction {
        let (old, new) = (self.body("1.0.0+1", old).await, self.body("2.0.0+2", new).await);
        let specs: Vec<&Value> = old.services.values().chain(new.services.values()).collect();
        let volumes = volumes(&self.stack.swarm, &self.stack.name, &specs, &[]).await.unwrap();
        let now = jiff::Timestamp::now();
        let release = Release { body: old, key: "old".into(), since: now.to_string(), snapshot: None };
        Transaction {
            id: "t1".into(),
            purpose: Purpose::Upgrade,
            by: "a test".into(),
            began: now,
            step: Step::Stop,
            step_began: now,
            new: Some(Candidate {
                body: new,
                key: "new".into(),
                frozen: Frozen::default(),
                gate: gate().kept(),
                notes: None,
            }),
            old: Old { release, frozen: Frozen::default(), gate: gate().kept() },
            before: None,
            rules: Rules { within: 300, ..Rules::default() },
            volumes,
            indexes: BTreeMap::new(),
            snapshot: None,
            staged: BTreeMap::new(),
            set_aside: BTreeMap::new(),
            deployed: None,
            fault: None,
            left: None,
        }
    }

    /// The state of an app that runs the old release of this transaction.
    fn state(&self, transaction: &Transaction) -> State {
        let state = State { current: Some(transaction.old.release.clone()), ..State::new(&self.stack.name) };
        self.dir.write_state(&self.lock, &state).unwrap();
        state
    }

    /// The stack stopped, with its indexes in the journal.
    async fn stopped(&self, host: &mut OnHost<'_>, transaction: &mut Transaction) {
        for act in [Act::Quiesce, Act::AwaitEnd { clean: true }] {
            assert_eq!(host.perform(&act, transaction).await, DONE, "{act:?}");
        }
        match host.perform(&Act::ReadIndexes, transaction).await {
            Ok(Ok(Fact::Indexes(indexes))) => transaction.indexes = indexes,
            other => panic!("{other:?}"),
        }
    }

    /// The folder of a volume of the stack.
    async fn data(&self, name: &str) -> PathBuf {
        let volumes = self.stack.swarm.volumes().await.unwrap();
        volumes[&self.stack.named(name)].mountpoint.clone()
    }

    /// Containers of the stack, in any state.
    async fn containers(&self) -> Vec<(String, String)> {
        let observed = self.stack.observe().await;
        observed.containers.into_iter().map(|container| (container.id, container.state)).collect()
    }

    /// Takes everything of the stack away, its volumes too.
    async fn clear(self) {
        self.stack.clear().await;
        for name in self.stack.swarm.volumes().await.unwrap().into_keys() {
            if name.starts_with(self.stack.name.as_str()) {
                // One that somebody still holds goes with the Engine.
                let _ = self.stack.swarm.engine().delete(&format!("/volumes/{name}"), &[]).await;
            }
        }
    }
}

/// Swarm's verdict alone.
fn gate() -> Gate {
    Gate {
        within: Duration::from_secs(300),
        stable_for: Duration::from_secs(1),
        successes: 1,
        target: Target::http("127.0.0.1:1".parse().unwrap(), "wiki.example.org"),
        checks: vec![],
        proxy: None,
    }
}

fn lay_over(spec: &mut Value, more: &Value) {
    match (spec, more) {
        (Value::Object(spec), Value::Object(more)) => {
            for (key, more) in more {
                lay_over(spec.entry(key.clone()).or_insert(Value::Null), more);
            }
        }
        (spec, more) => *spec = more.clone(),
    }
}

fn grace(seconds: u64) -> Value {
    json!({"TaskTemplate": {"ContainerSpec": {"StopGracePeriod": seconds * 1_000_000_000}}})
}

/// Every file below a folder, with its bytes.
fn bytes(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files.extend(bytes(&path)),
            false => drop(files.insert(path.clone(), std::fs::read(&path).unwrap())),
        }
    }
    files
}
