//! The Docker CLI and we, one after the other over the same stack: neither finds anything to do after the other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;
use std::thread;

use evenkeel::config::Resolve;
use evenkeel::desired::{self, Desired, SecretSource};
use evenkeel::model::observed::{Observed, TaskState};
use evenkeel::model::secret::SecretBytes;
use evenkeel::plan::{Act, Context, Plan, SecretData};
use evenkeel::recipe::Tree;
use evenkeel::recipe::compose::Source;
use serde_json::{Value, json};

use super::Stack;
use super::private::PrivateEngine;
use crate::oracle::{docker_cli, entries, require_docker_cli};
use crate::world::{World, on_engine};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");

/// A folder under `tests/fixtures`, and its files.
type Case = (&'static str, &'static [&'static str]);

const CASES: [Case; 15] = [
    ("compose/full", &["compose.yml"]),
    ("compose/recipe-app-and-database", &["compose.yml"]),
    ("compose/recipe-overlays-and-one-shot", &["compose.yml", "compose.db.yml"]),
    ("compose/recipe-cron-service", &["compose.yml"]),
    ("compose/recipe-rule-of-backticks", &["compose.yml"]),
    ("compose/container-settings", &["compose.yml"]),
    ("compose/settings-merged", &["compose.yml", "compose.two.yml", "compose.zthree.yml"]),
    ("compose/restart", &["compose.yml"]),
    ("compose/healthchecks", &["compose.yml"]),
    ("compose/env-files", &["compose.yml"]),
    ("compose/yaml-anchors", &["compose.yml"]),
    ("compose/proxy-host-ports", &["compose.yml"]),
    ("recipes/notes/1.0.0+1.0.0", &["compose.yml"]),
    ("recipes/jobs/1.0.0+1.0.0", &["compose.yml", "compose.extra.yml"]),
    ("recipes/standin-app/1.0.0+1.0.0", &["compose.yml"]),
];

/// A stack of compose files, for the Docker CLI and for us.
struct Crossing {
    stack: Stack,
    folder: PathBuf,
    files: &'static [&'static str],
    variables: BTreeMap<String, String>,
}

impl Crossing {
    async fn of((folder, files): Case) -> Self {
        let name: String = folder.split(['/', '+']).nth(1).unwrap().chars().filter(|c| *c != '.').collect();
        let stack = Stack::empty(&format!("cross-{name}")).await;
        let path = Path::new(FIXTURES).join(folder);
        let mut variables = BTreeMap::new();
        for file in ["env", ".env.sample", "abra.sh"] {
            let text = std::fs::read_to_string(path.join(file)).unwrap_or_default();
            let lines = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('='));
            variables.extend(lines.map(|(name, value)| {
                let value = value.split(" #").next().unwrap_or_default();
                (name.trim_start_matches("export ").to_owned(), value.to_owned())
            }));
        }
        variables.insert("STACK_NAME".to_owned(), stack.name.to_string());
        variables.extend(["PATH", "HOME"].map(|name| (name.to_owned(), std::env::var(name).unwrap_or_default())));
        Self { stack, folder: path, files, variables }
    }

    fn desired(&self) -> Desired {
        let source = |file: &&str| Source {
            text: std::fs::read_to_string(self.folder.join(file)).unwrap(),
            file: (*file).into(),
        };
        let sources: Vec<Source> = self.files.iter().map(source).collect();
        let tree = Tree { entries: entries(&self.folder, "") };
        let environment = self.variables.clone().into_iter().collect();
        let read = desired::from_files(&sources, &environment, &self.stack.name, &tree, self.folder.to_str());
        read.unwrap_or_else(|found| panic!("{found}")).0
    }

    fn deploy_by_cli(&self) {
        let mut command = Command::new(docker_cli());
        command.env_clear().envs(&self.variables).env("DOCKER_HOST", PrivateEngine::shared().endpoint());
        command.args(["stack", "deploy", "--resolve-image=never", "--detach=true"]).current_dir(&self.folder);
        let output = command
            .args(self.files.iter().flat_map(|file| ["-c", file]))
            .arg(self.stack.name.as_str())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}: {}", self.stack.name, String::from_utf8_lossy(&output.stderr));
    }

    fn plan(&self, observed: &Observed) -> Plan {
        let version = |_: &[u8]| "c1234567".to_owned();
        let kept = BTreeSet::new();
        let context = Context::new(&kept, &version, Resolve::Changed);
        Plan::new(observed, &self.desired(), &context)
            .unwrap_or_else(|errors| panic!("{}: {errors:?}", self.stack.name))
    }

    async fn deploy_ourselves(&self) {
        let swarm = &self.stack.swarm;
        for change in &self.plan(&self.stack.observe().await).changes {
            match &change.act {
                Act::CreateNetwork { body } => drop(swarm.create_network(body).await.unwrap()),
                Act::CreateSecret { spec, data: SecretData::Given(bytes) } => {
                    drop(swarm.create_secret(spec, bytes).await.unwrap());
                }
                Act::CreateConfig { spec, body } => drop(swarm.create_config(spec, body).await.unwrap()),
                Act::CreateService { spec } => drop(swarm.create_service(spec).await.unwrap()),
                other => panic!("{}: {other:?} {}", self.stack.name, change.name),
            }
        }
    }

    /// Swarm writes a service once more when it gives it addresses, and compares a task with its service's endpoint
    /// only once the task has one.
    async fn until_compared(&self) -> Observed {
        for name in self.stack.observe().await.services.keys() {
            while self.stack.swarm.engine().get(&format!("/services/{name}"), &[]).await.unwrap()["Endpoint"]["Spec"]
                .is_null()
            {
                tokio::task::yield_now().await;
            }
        }
        self.stack
            .until("every task has addresses", |observed| {
                let has_task = |id: &str| observed.tasks.iter().any(|task| task.service == id);
                let waits = |spec: &Value| spec.pointer("/Mode/Replicated/Replicas").is_none_or(|count| *count != 0);
                observed.tasks.iter().all(|task| task.state >= TaskState::Pending)
                    && observed.services.values().filter(|one| waits(&one.spec)).all(|one| has_task(&one.id))
            })
            .await
    }

    /// What somebody else has to make, and the images, under whatever names.
    async fn prepare(&self) {
        let (swarm, desired) = (&self.stack.swarm, self.desired());
        for name in &desired.external_networks {
            if swarm.live_network(name).await.unwrap().is_none() {
                swarm.create_network(&json!({ "Name": name, "Driver": "overlay" })).await.unwrap();
            }
        }
        for secret in desired.secrets.iter().filter(|secret| matches!(secret.source, SecretSource::External)) {
            let bytes = SecretBytes::new(b"somebody's".to_vec());
            swarm.create_secret(&json!({ "Name": secret.name }), &bytes).await.unwrap();
        }
        for image in evenkeel::plan::image_references(&desired) {
            if !image.starts_with("standin:") {
                docker(&["tag", demo(), &image]);
            }
        }
    }

    async fn take_away(&self) {
        let observed = self.stack.observe().await;
        let label = |labels: &BTreeMap<String, String>| {
            labels.get("com.docker.stack.namespace").is_some_and(|stack| *stack == self.stack.name.to_string())
        };
        for name in observed.services.keys() {
            self.stack.swarm.remove_service(name).await.unwrap();
        }
        for container in &observed.containers {
            self.stack.swarm.remove_container(&container.id).await.unwrap();
        }
        self.stack.clear().await;
        for secret in observed.secrets.values().filter(|secret| label(&secret.labels)) {
            self.stack.swarm.remove_secret(&secret.name).await.unwrap();
        }
        for config in observed.configs.values().filter(|config| label(&config.labels)) {
            self.stack.swarm.remove_config(&config.name).await.unwrap();
        }
        for network in observed.networks.values().filter(|network| label(&network.labels)) {
            self.stack.swarm.remove_network(&network.name, super::DEADLINE).await.unwrap();
        }
    }
}

/// An image with a shell whose containers end at once when they are told to; its name.
fn demo() -> &'static str {
    const NAME: &str = "evenkeel-test/crossing:1";
    static MADE: Once = Once::new();
    MADE.call_once(|| {
        let container = docker(&["create", PrivateEngine::shared().image()]);
        let command = r#"CMD ["sh", "-c", "trap 'exit 0' TERM; sleep 1000000 & wait"]"#;
        docker(&["commit", "--change", command, container.trim(), NAME]);
        docker(&["rm", container.trim()]);
    });
    NAME
}

fn docker(arguments: &[&str]) -> String {
    let mut command = Command::new(docker_cli());
    let output = command.args(arguments).env("DOCKER_HOST", PrivateEngine::shared().endpoint()).output().unwrap();
    assert!(output.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Plays every case, a few at a time.
fn each_case(play: impl AsyncFn(Crossing) + Sync) {
    require_docker_cli();
    let _network_and_images = World::new();
    demo();
    let failed = |case: &Case| {
        let played = || on_engine(async |_| play(Crossing::of(*case).await).await);
        thread::scope(|scope| scope.spawn(played).join().is_err())
    };
    let chunks = CASES.chunks(4).map(|cases| {
        thread::scope(|scope| {
            let failed = &failed;
            let threads: Vec<_> = cases.iter().map(|case| (case.0, scope.spawn(move || failed(case)))).collect();
            threads.into_iter().filter_map(|(name, thread)| thread.join().unwrap().then_some(name)).collect::<Vec<_>>()
        })
    });
    assert_eq!(chunks.flatten().collect::<Vec<_>>(), Vec::<&str>::new());
}

/// What must not change where nothing is written.
fn fingerprint(observed: &Observed) -> Vec<String> {
    let services = observed.services.values();
    let services = services.map(|one| format!("{} {} {:?}", one.name, one.index, one.previous_spec));
    let running = observed.tasks.iter().filter(|task| task.state == TaskState::Running);
    services.chain(running.map(|task| task.id.clone())).collect()
}

fn told(plan: &Plan) -> String {
    if plan.is_empty() { String::new() } else { plan.to_string() }
}

#[test]
fn after_the_docker_cli_nothing_differs_and_after_us_it_restarts_no_task() {
    each_case(async |crossing| {
        crossing.prepare().await;
        crossing.deploy_by_cli();
        assert_eq!(told(&crossing.plan(&crossing.stack.observe().await)), "", "the CLI deployed it");
        crossing.take_away().await;

        crossing.prepare().await;
        crossing.deploy_ourselves().await;
        let before = crossing.until_compared().await;
        crossing.deploy_ourselves().await;
        let again = crossing.stack.observe().await;
        let services = |observed: &Observed| {
            fingerprint(observed).into_iter().filter(|line| line.contains(' ')).collect::<Vec<_>>()
        };
        assert_eq!(services(&again), services(&before), "our second run");

        crossing.deploy_by_cli();
        let after = crossing.stack.observe().await;
        let known: BTreeSet<&str> = before.tasks.iter().map(|task| task.id.as_str()).collect();
        let outdated: Vec<_> = after.tasks.iter().filter(|t| known.contains(t.id.as_str()) && !t.up_to_date).collect();
        let is_job =
            |id: &str| after.services.values().any(|one| one.id == id && one.spec["Mode"].to_string().contains("Job"));
        let outdated: Vec<_> = outdated.into_iter().filter(|task| !is_job(&task.service)).collect();
        assert!(outdated.is_empty(), "{}: the CLI restarts {outdated:#?}", crossing.stack.name);
        assert_eq!(told(&crossing.plan(&after)), "", "the CLI deployed it over ours");
        crossing.take_away().await;
    });
}

/// 53/udp beside 53/tcp is what the Docker CLI itself sends in another order at another version.
#[tokio::test]
async fn a_poisoned_order_of_ports_is_cured_by_one_write_and_no_task_restarts() {
    let stack = Stack::empty("poison").await;
    let name = stack.named("web");
    let port = |protocol: &str, published: u16| json!({ "Protocol": protocol, "TargetPort": 53, "PublishedPort": published, "PublishMode": "host" });
    let ports = [port("udp", 18531), port("tcp", 18532)];
    let mut spec = stack.service("web");
    spec["EndpointSpec"]["Ports"] = json!(ports);
    spec["UpdateConfig"] = json!({ "Parallelism": 1, "Monitor": 100_000_000 });
    stack.swarm.create_service(&spec).await.unwrap();
    stack.until_running(1).await;

    let mut poisoned = stack.observe().await.services[&name].spec.clone();
    poisoned["EndpointSpec"]["Ports"].as_array_mut().unwrap().reverse();
    stack.swarm.update_service(&name, &poisoned).await.unwrap();
    let is_one_alone = |o: &Observed| {
        let live: Vec<_> = o.tasks.iter().filter(|task| task.desired == TaskState::Running).collect();
        let settled = o.services[&name].update.as_ref().is_some_and(|update| update.message.contains("completed"));
        settled && live.len() == 1 && live[0].state == TaskState::Running
    };
    let running = |o: &Observed| {
        let running = o.tasks.iter().filter(|task| task.desired == TaskState::Running);
        running.map(|task| task.id.clone()).collect::<Vec<_>>()
    };
    let before = stack.until("the poison is in", is_one_alone).await;
    let service = &before.services[&name];
    assert_ne!(service.spec["EndpointSpec"]["Ports"], json!(service.endpoint_ports), "it is poisoned");
    let mut poisoned = service.spec.clone();
    poisoned["Labels"]["by-hand"] = "1".into();
    stack.swarm.update_service(&name, &poisoned).await.unwrap();
    let anew = |o: &Observed| is_one_alone(o) && running(o) != running(&before);
    let before = stack.until("a label alone restarts the task", anew).await;

    let wanted = |spec: &Value| Desired {
        stack: stack.name.clone(),
        networks: vec![],
        external_networks: vec![],
        secrets: vec![],
        configs: vec![],
        services: vec![desired::DesiredService { name: name.clone(), spec: spec.clone() }],
    };
    let version = |_: &[u8]| "c1234567".to_owned();
    let plan = |observed: &Observed, spec: &Value| {
        Plan::new(observed, &wanted(spec), &Context::new(&BTreeSet::new(), &version, Resolve::Changed)).unwrap()
    };
    let mut cured = before.clone();
    spec["Labels"]["by-hand"] = "1".into();
    let mut labelled = spec.clone();
    labelled["Labels"]["later"] = "1".into();
    labelled["EndpointSpec"]["Ports"] = json!([ports[1], ports[0]]);
    let mut placed = labelled.clone();
    placed["TaskTemplate"]["Placement"] = json!({ "Constraints": ["node.role==manager"] });
    for (spec, words) in [(&spec, "another order"), (&labelled, "labels later"), (&placed, "placement")] {
        let made = plan(&cured, spec);
        assert!(
            made.changes.len() == 1 && made.changes[0].reason.contains(words) && !made.changes[0].restarts,
            "{made}"
        );
        let Act::UpdateService { spec: sent, .. } = &made.changes[0].act else { panic!("{made}") };
        stack.swarm.update_service(&name, sent).await.unwrap();
        cured = stack.observe().await;
        assert_eq!(told(&plan(&cured, spec)), "");
        assert_eq!(running(&cured), running(&before), "{words}");
        assert!(cured.tasks.iter().filter(|task| task.desired == TaskState::Running).all(|task| task.up_to_date));
    }
    stack.clear().await;
}
