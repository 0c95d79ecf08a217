use evenkeel::host::engine::Engine;
use evenkeel::host::swarm::Swarm;
use evenkeel::model::observed::{Observed, TaskState};
use evenkeel::model::secret::SecretBytes;
use serde_json::json;

use super::Stack;
use super::private::PrivateEngine;
use super::recorder::{Recorder, writes};

#[tokio::test]
async fn a_look_shows_the_whole_stack() {
    let stack = Stack::empty("look").await;
    let labels = stack.labels();
    let (network, secret, config) = (stack.named("net"), stack.named("key_v1"), stack.named("conf_v1"));
    stack.swarm.create_network(&stack.network("net")).await.unwrap();
    let bytes = SecretBytes::new(b"hidden".to_vec());
    stack.swarm.create_secret(&json!({"Name": secret, "Labels": labels}), &bytes).await.unwrap();
    let templated = json!({"Name": config, "Labels": labels, "Templating": {"Name": "golang"}});
    stack.swarm.create_config(&templated, b"body\n").await.unwrap();
    let mut spec = stack.service("web");
    spec["TaskTemplate"]["Networks"] = json!([{"Target": network}]);
    let container = &mut spec["TaskTemplate"]["ContainerSpec"];
    container["Healthcheck"] = json!({"Test": ["CMD", "true"], "Interval": 1_000_000_000});
    container["Mounts"] = json!([{"Type": "volume", "Source": stack.named("data"), "Target": "/data"}]);
    let written = stack.swarm.create_service(&spec).await.unwrap();

    let observed = stack.until_running(1).await;

    let service = &observed.services[&stack.named("web")];
    let network = &observed.networks[&network];
    assert_eq!((service.id.as_str(), service.index), (written.id.as_str(), written.index));
    assert_eq!((&service.update, &service.previous_spec), (&None, &None));
    assert_eq!(service.spec["TaskTemplate"]["Networks"][0]["Target"], network.id.as_str());
    assert_eq!((network.scope.as_str(), network.driver.as_str()), ("swarm", "overlay"));
    assert_eq!(observed.secrets[&secret].labels["com.docker.stack.namespace"], stack.name.as_str());
    assert_eq!(observed.configs[&config].data, b"body\n");
    assert_eq!(observed.configs[&config].templating.as_deref(), Some("golang"));
    assert!(observed.volumes.contains_key(&stack.named("data")));

    let task = &observed.tasks[0];
    let container = &observed.containers[0];
    assert_eq!((task.slot, task.desired, task.exit_code), (1, TaskState::Running, None));
    assert_eq!(task.container.as_ref(), Some(&container.id));
    assert_eq!(container.task.as_ref(), Some(&task.id));
    assert_eq!(container.service.as_ref(), Some(&service.id));
    assert_eq!((container.state.as_str(), container.health.as_deref()), ("running", Some("healthy")));
    assert_eq!(container.volumes, [stack.named("data")]);
    assert!(container.image_id.starts_with("sha256:"));
    stack.clear().await;
}

#[tokio::test]
async fn a_look_writes_nothing_and_changes_nothing() {
    let stack = Stack::empty("quiet").await;
    stack.swarm.create_service(&stack.service("web")).await.unwrap();
    let before = stack.until_running(1).await;
    let recorder = Recorder::in_front_of(PrivateEngine::shared().socket());

    let swarm = Swarm::new(Engine::connect(&recorder.endpoint()).await.unwrap());
    let after = swarm.observe(&stack.name).await.unwrap();

    let requests = recorder.take();
    assert_eq!(writes(&requests), Vec::<&String>::new());
    assert!(requests.iter().any(|request| request.contains("/services?")), "{requests:?}");
    assert_eq!(requests.len(), 10, "one to agree on a version, nine to look: {requests:?}");
    assert_eq!(after.services, before.services);
    assert_eq!(after.tasks, before.tasks);
    stack.clear().await;
}

#[tokio::test]
async fn one_look_at_many_stacks_shows_each_as_a_look_of_its_own_does() {
    let stacks = [Stack::empty("many").await, Stack::empty("many-more").await];
    for stack in &stacks {
        stack.swarm.create_service(&stack.service("web")).await.unwrap();
        let mut taken_out = stack.service("other");
        taken_out["Labels"] = json!({});
        stack.swarm.create_service(&taken_out).await.unwrap();
        let runs = |observed: &Observed| {
            let up = observed.containers.iter().filter(|container| container.state == "running").count();
            up == 2 && observed.tasks.iter().filter(|task| task.state == TaskState::Running).count() == 1
        };
        stack.until("both containers run", runs).await;
    }
    let recorder = Recorder::in_front_of(PrivateEngine::shared().socket());
    let swarm = Swarm::new(Engine::connect(&recorder.endpoint()).await.unwrap()).at_one_look();

    for stack in &stacks {
        let (shared, own) = (swarm.observe(&stack.name).await.unwrap(), stack.observe().await);
        assert_eq!(shared.services, own.services);
        assert_eq!(shared.services.len(), 2);
        assert_eq!(shared.tasks, own.tasks);
        assert_eq!(shared.containers, own.containers);
    }
    let requests = recorder.take();
    assert_eq!(requests.len(), 9, "one to agree on a version, eight to look: {requests:?}");
    for stack in &stacks {
        stack.clear().await;
        stack.swarm.remove_service(&stack.named("other")).await.unwrap();
    }
}

#[tokio::test]
async fn the_recorder_sees_writes() {
    let stack = Stack::empty("recorded").await;
    let recorder = Recorder::in_front_of(PrivateEngine::shared().socket());
    let swarm = Swarm::new(Engine::connect(&recorder.endpoint()).await.unwrap());

    swarm.create_config(&json!({"Name": stack.named("c"), "Labels": stack.labels()}), b"x").await.unwrap();

    let requests = recorder.take();
    assert!(writes(&requests)[0].ends_with("/configs/create"), "{requests:?}");
    stack.clear().await;
}

#[tokio::test]
async fn progress_is_the_same_look_without_the_rest() {
    let stack = Stack::empty("progress").await;
    stack.swarm.create_service(&stack.service("web")).await.unwrap();
    let observed = stack.until_running(1).await;

    let progress = stack.swarm.observe_progress(&stack.name).await.unwrap();

    assert_eq!(progress.services, observed.services);
    assert_eq!(progress.tasks, observed.tasks);
    assert!(progress.networks.is_empty());
    stack.clear().await;
}

#[tokio::test]
async fn the_log_of_a_crash_is_there_to_read() {
    let stack = Stack::empty("crash").await;
    let script = r"printf 'one\n\033[31mtwo\033[0m\n'; echo three >&2; exit 7";
    stack.swarm.create_service(&stack.runs("web", script)).await.unwrap();

    let crashed = stack.until("it crashes", |o| o.tasks.iter().any(|t| t.state == TaskState::Failed)).await;
    let failed = crashed.tasks.iter().find(|task| task.state == TaskState::Failed).unwrap();
    let log = stack.swarm.log_tail(&stack.named("web"), 100).await.unwrap();

    assert_eq!(failed.exit_code, Some(7));
    assert!(failed.error.contains("non-zero exit (7)"), "{}", failed.error);
    for line in ["one", "two", "three"] {
        assert!(log.iter().any(|l| l == line), "{line} is not in {log:?}");
    }
    stack.clear().await;
}

#[tokio::test]
async fn a_task_that_cannot_start_says_why() {
    let stack = Stack::empty("nowhere").await;
    let mut spec = stack.service("web");
    spec["TaskTemplate"]["Placement"] = json!({"Constraints": ["node.labels.nowhere==1"]});
    stack.swarm.create_service(&spec).await.unwrap();

    let observed = stack.until("its error", |o| o.tasks.iter().any(|task| !task.error.is_empty())).await;

    assert_eq!(observed.tasks[0].state, TaskState::Pending);
    assert!(observed.tasks[0].error.contains("no suitable node"), "{}", observed.tasks[0].error);
    stack.clear().await;
}

#[tokio::test]
async fn this_node_knows_what_it_is() {
    let engine = Engine::connect(PrivateEngine::shared().endpoint()).await.unwrap();
    let swarm = Swarm::new(engine);

    let info = swarm.info().await.unwrap();

    assert!(info.manager && info.active && !info.live_restore);
    assert!(info.data_root.is_absolute() && !info.node.is_empty());
    assert_eq!(swarm.id().await.unwrap(), info.swarm);
    let again = swarm.init("127.0.0.1", "0.0.0.0:2377").await.unwrap_err().to_string();
    assert!(
        again.starts_with("cannot make a Swarm of this node: ") && again.contains("already part of a swarm"),
        "{again}"
    );
}

#[tokio::test]
async fn a_port_of_the_host_answers_at_the_engines_address() {
    let stack = Stack::empty("port").await;
    let mut spec = stack.runs("web", "mkdir /tmp/w; echo hello >/tmp/w/index.html; exec httpd -f -p 80 -h /tmp/w");
    spec["EndpointSpec"]["Ports"] =
        json!([{"Protocol": "tcp", "TargetPort": 80, "PublishedPort": 18081, "PublishMode": "host"}]);
    stack.swarm.create_service(&spec).await.unwrap();
    let observed = stack.until_running(1).await;

    let url = format!("http://{}:18081/", PrivateEngine::shared().address());
    let client = reqwest::Client::builder().tls_certs_only([]).no_proxy().build().unwrap();
    let answered = async {
        loop {
            match client.get(&url).send().await {
                Ok(answer) => break answer.text().await.unwrap(),
                Err(_) => tokio::task::yield_now().await,
            }
        }
    };
    assert_eq!(tokio::time::timeout(super::DEADLINE, answered).await.unwrap(), "hello\n");
    assert_eq!(observed.services[&stack.named("web")].endpoint_ports[0]["PublishedPort"], 18081);
    stack.clear().await;
}
