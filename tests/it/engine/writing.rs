use std::collections::BTreeMap;

use evenkeel::host::engine::Engine;
use evenkeel::host::swarm::Swarm;
use evenkeel::model::secret::SecretBytes;
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::private::PrivateEngine;
use super::recorder::Recorder;
use super::{DEADLINE, Stack};

fn secret() -> SecretBytes {
    SecretBytes::new(b"hidden".to_vec())
}

#[tokio::test]
async fn what_is_made_twice_is_there_once() {
    let stack = Stack::empty("twice").await;
    let file = |name: &str| json!({"Name": stack.named(name), "Labels": stack.labels()});

    for _ in 0..2 {
        stack.swarm.create_network(&stack.network("net")).await.unwrap();
        stack.swarm.create_secret(&file("key_v1"), &secret()).await.unwrap();
        stack.swarm.create_config(&file("conf_v1"), b"body").await.unwrap();
    }
    let first = stack.swarm.create_service(&stack.service("web")).await.unwrap();
    let second = stack.swarm.create_service(&stack.service("web")).await.unwrap();

    assert_eq!(first.id, second.id);
    stack.clear().await;
    let observed = stack.observe().await;
    assert!(observed.services.is_empty());
    assert!(!observed.networks.contains_key(&stack.named("net")));
    assert!(!observed.secrets.contains_key(&stack.named("key_v1")));
    assert!(!observed.configs.contains_key(&stack.named("conf_v1")));
}

#[tokio::test]
async fn another_thing_of_the_same_name_is_a_conflict() {
    let stack = Stack::empty("conflict").await;
    let file = json!({"Name": stack.named("conf_v1"), "Labels": stack.labels()});
    stack.swarm.create_network(&stack.network("net")).await.unwrap();
    stack.swarm.create_config(&file, b"body").await.unwrap();
    stack.swarm.create_secret(&file, &secret()).await.unwrap();
    stack.swarm.create_service(&stack.service("web")).await.unwrap();

    let mut network = stack.network("net");
    network["Attachable"] = false.into();
    let mut labelled = file.clone();
    labelled["Labels"]["other"] = "x".into();
    let errors = [
        stack.swarm.create_network(&network).await.unwrap_err(),
        stack.swarm.create_config(&file, b"another body").await.unwrap_err(),
        stack.swarm.create_secret(&labelled, &secret()).await.unwrap_err(),
        stack.swarm.create_service(&stack.runs("web", "exit 1")).await.unwrap_err(),
    ];

    for error in errors {
        assert!(error.is_conflict(), "{error}");
        assert!(error.to_string().contains(stack.name.as_str()), "{error}");
    }
    stack.clear().await;
}

#[tokio::test]
async fn what_is_gone_can_be_removed() {
    let stack = Stack::empty("gone").await;
    let name = stack.named("nothing");

    stack.swarm.remove_service(&name).await.unwrap();
    stack.swarm.remove_secret(&name).await.unwrap();
    stack.swarm.remove_config(&name).await.unwrap();
    stack.swarm.remove_network(&name, DEADLINE).await.unwrap();
    stack.swarm.remove_container(&name).await.unwrap();
}

#[tokio::test]
async fn a_container_may_be_removed_by_several_at_once() {
    let engine = PrivateEngine::shared();
    let id = engine.docker(&["run", "--detach", engine.image(), "sleep", "1000000"]);
    let swarm = Stack::empty("contended").await.swarm;

    let removed = join_all((0..8).map(|_| swarm.remove_container(&id))).await;

    assert_eq!(removed, vec![Ok(()); 8]);
}

#[tokio::test]
async fn a_service_that_names_what_is_not_there_is_not_written() {
    let stack = Stack::empty("missing").await;
    let mut spec = stack.service("web");
    spec["TaskTemplate"]["Networks"] = json!([{"Target": stack.named("net")}]);

    let error = stack.swarm.create_service(&spec).await.unwrap_err();

    let expected = "cannot create service evenkeel-test-missing_web: \
                    there is no network \"evenkeel-test-missing_net\" in the Swarm";
    assert_eq!(error.to_string(), expected);
    assert!(error.is_not_found());
    assert!(stack.observe().await.services.is_empty());
}

#[tokio::test]
async fn a_used_secret_is_kept_and_the_service_is_named() {
    let stack = Stack::empty("used").await;
    let name = stack.named("key_v1");
    stack.swarm.create_secret(&json!({"Name": name, "Labels": stack.labels()}), &secret()).await.unwrap();
    let mut spec = stack.service("web");
    spec["TaskTemplate"]["ContainerSpec"]["Secrets"] =
        json!([{"SecretName": name, "File": {"Name": "key", "UID": "0", "GID": "0", "Mode": 0o444}}]);
    stack.swarm.create_service(&spec).await.unwrap();

    let error = stack.swarm.remove_secret(&name).await.unwrap_err().to_string();

    assert!(error.contains(&stack.named("web")), "{error}");
    assert!(!error.contains("hidden"));
    stack.clear().await;
}

/// Every key that a converted compose file can have on API 1.41 and one node.
fn maximal(stack: &Stack) -> Value {
    let mut spec = stack.service("max");
    spec["Labels"]["empty"] = "".into();
    spec["TaskTemplate"]["Networks"] = json!([{"Target": stack.named("net"), "Aliases": ["b", "a", "max"]}]);
    spec["TaskTemplate"]["LogDriver"] = json!({"Name": "json-file", "Options": {"max-size": "1m"}});
    spec["TaskTemplate"]["Resources"] = json!({
        "Limits": {"NanoCPUs": 500_000_000, "MemoryBytes": 67_108_864, "Pids": 50},
        "Reservations": {"MemoryBytes": 4_194_304},
    });
    spec["TaskTemplate"]["Placement"] =
        json!({"Constraints": ["node.role==manager"], "Preferences": [{"Spread": {"SpreadDescriptor": "node.id"}}]});
    spec["TaskTemplate"]["RestartPolicy"] =
        json!({"Condition": "on-failure", "Delay": 1_000_000_000, "MaxAttempts": 3, "Window": 9_000_000_000_u64});
    spec["UpdateConfig"] = json!({"Parallelism": 1, "Delay": 1_000_000_000, "FailureAction": "rollback",
        "Monitor": 2_000_000_000, "MaxFailureRatio": 0.5, "Order": "start-first"});
    spec["RollbackConfig"] =
        json!({"Parallelism": 0, "FailureAction": "pause", "MaxFailureRatio": 0, "Order": "stop-first"});
    let file = |name: &str| json!({"Name": name, "UID": "0", "GID": "0", "Mode": 0o555});
    let container = json!({
        "Env": ["B=2", "A=1", "EMPTY="], "Args": ["one", "two"], "Hostname": "max", "User": "0", "Dir": "/tmp",
        "TTY": true, "OpenStdin": true, "ReadOnly": true, "StopSignal": "SIGTERM", "StopGracePeriod": 3_000_000_000_u64,
        "Init": false, "Hosts": ["10.0.0.1 other"], "Isolation": "default",
        "DNSConfig": {"Nameservers": ["1.1.1.1"], "Search": ["example.org"]},
        "CapabilityAdd": ["CAP_NET_ADMIN"], "CapabilityDrop": ["CAP_CHOWN"], "Sysctls": {"net.core.somaxconn": "512"},
        "Ulimits": [{"Name": "nofile", "Soft": 1000, "Hard": 2000}],
        "Healthcheck": {"Test": ["CMD", "true"], "Interval": 7_000_000_000_u64, "Retries": 4, "StartPeriod": 1_000_000_000},
        "Mounts": [
            {"Type": "volume", "Source": stack.named("data"), "Target": "/data", "VolumeOptions":
                {"NoCopy": true, "Labels": stack.labels()}},
            {"Type": "bind", "Source": "/etc/hostname", "Target": "/host", "ReadOnly": true,
                "BindOptions": {"Propagation": "rslave"}},
            {"Type": "tmpfs", "Target": "/scratch", "TmpfsOptions": {"SizeBytes": 1_048_576}},
        ],
        "Secrets": [{"SecretName": stack.named("key_v1"), "File": file("key")}],
        "Configs": [{"ConfigName": stack.named("conf_v1"), "File": file("/conf")}],
    });
    for (key, value) in container.as_object().unwrap() {
        spec["TaskTemplate"]["ContainerSpec"][key] = value.clone();
    }
    spec["EndpointSpec"]["Ports"] =
        json!([{"Protocol": "tcp", "TargetPort": 80, "PublishedPort": 18080, "PublishMode": "host"}]);
    spec
}

/// All that is wanted, with what the Engine adds left aside, and ids as names again.
fn lost(wanted: &Value, live: &Value, path: &str, losses: &mut Vec<String>) {
    match (wanted, live) {
        (Value::Object(wanted), Value::Object(live)) => {
            for (key, value) in wanted {
                lost(value, live.get(key).unwrap_or(&Value::Null), &format!("{path}/{key}"), losses);
            }
        }
        (Value::Array(wanted), Value::Array(live)) if wanted.len() == live.len() => {
            for (index, (wanted, live)) in wanted.iter().zip(live).enumerate() {
                lost(wanted, live, &format!("{path}/{index}"), losses);
            }
        }
        (wanted, live) if wanted == live => {}
        (wanted, live) => losses.push(format!("{path}: {wanted} became {live}")),
    }
}

#[tokio::test]
async fn a_spec_with_everything_comes_back_whole_and_goes_back_whole() {
    let stack = Stack::empty("maximal").await;
    let file = |name: &str| json!({"Name": stack.named(name), "Labels": stack.labels()});
    let network = stack.swarm.create_network(&stack.network("net")).await.unwrap();
    stack.swarm.create_secret(&file("key_v1"), &secret()).await.unwrap();
    stack.swarm.create_config(&file("conf_v1"), b"body").await.unwrap();
    let spec = maximal(&stack);
    stack.swarm.create_service(&spec).await.unwrap();
    let made = stack.observe().await.services[&stack.named("max")].clone();

    let mut wanted = spec.clone();
    wanted["TaskTemplate"]["Networks"][0]["Target"] = network.into();
    let mut losses = Vec::new();
    lost(&wanted, &made.spec, "", &mut losses);
    assert_eq!(losses, Vec::<String>::new());

    // What was read, written back as it was read, is the same again: nothing is lost on the way.
    stack.swarm.update_service(&made.name, &made.spec).await.unwrap();
    let again = &stack.observe().await.services[&made.name];
    assert_eq!(again.spec, made.spec);
    assert!(again.index > made.index);
    assert_eq!(again.previous_spec.as_ref(), Some(&made.spec));
    stack.clear().await;
}

#[tokio::test]
async fn an_update_keeps_a_restart_asked_for_by_hand() {
    let stack = Stack::empty("forced").await;
    let name = stack.named("web");
    let mut forced = stack.service("web");
    forced["TaskTemplate"]["ForceUpdate"] = 5.into();
    stack.swarm.create_service(&forced).await.unwrap();
    let before = stack.until_running(1).await;

    let mut spec = stack.service("web");
    spec["Labels"]["new"] = "1".into();
    let written = stack.swarm.update_service(&name, &spec).await.unwrap();

    let after = stack.observe().await;
    assert_eq!(after.services[&name].spec["TaskTemplate"]["ForceUpdate"], 5);
    assert_eq!(after.services[&name].spec["Labels"]["new"], "1");
    assert_eq!(after.services[&name].index, written.index);
    assert_eq!(after.tasks, before.tasks);
    stack.clear().await;
}

/// The Engine puts an id in the place of `host`, which none of its lists tells.
#[tokio::test]
async fn a_service_on_the_network_of_the_host_is_written_again_as_it_was_read() {
    let stack = Stack::empty("onhost").await;
    let name = stack.named("web");
    let mut spec = stack.service("web");
    spec["TaskTemplate"]["Networks"] = json!([{"Target": "host"}]);
    stack.swarm.create_service(&spec).await.unwrap();
    let read = stack.until_running(1).await.services[&name].spec.clone();

    stack.swarm.scale_to_nothing(&name).await.unwrap();
    stack.swarm.update_service(&name, &read).await.unwrap();

    let after = stack.until_running(1).await.services[&name].spec.clone();
    assert_eq!(after, read);
    spec["TaskTemplate"]["Networks"] = json!([{"Target": "nowhere"}]);
    let told = stack.swarm.update_service(&name, &spec).await.unwrap_err().to_string();
    assert!(told.contains(r#"there is no network "nowhere""#), "{told}");
    stack.clear().await;
}

#[tokio::test]
async fn what_is_to_run_nothing_is_told_so_again_and_nothing_else_is_touched() {
    let stack = Stack::empty("again").await;
    let (idle, busy) = (stack.named("idle"), stack.named("busy"));
    for name in ["idle", "busy"] {
        stack.swarm.create_service(&stack.service(name)).await.unwrap();
    }
    stack.until_running(2).await;
    stack.swarm.scale_to_nothing(&idle).await.unwrap();
    let before = stack.observe().await.services;

    stack.swarm.quiesce_again(&stack.name).await.unwrap();

    let after = stack.observe().await.services;
    assert!(after[&idle].index > before[&idle].index, "nothing reaches who decides about tasks without a write");
    assert_eq!(after[&idle].spec, before[&idle].spec);
    assert_eq!(after[&busy], before[&busy]);
    stack.clear().await;
}

#[tokio::test]
async fn writers_at_the_same_time_all_get_through() {
    let stack = Stack::empty("race").await;
    let name = stack.named("web");
    stack.swarm.create_service(&stack.service("web")).await.unwrap();
    let recorder = Recorder::in_front_of(PrivateEngine::shared().socket());
    let swarm = Swarm::new(Engine::connect(&recorder.endpoint()).await.unwrap());

    let spec = |writer: u64| {
        let mut spec = stack.service("web");
        spec["Labels"]["writer"] = writer.to_string().into();
        spec
    };
    let specs: Vec<Value> = (0..6).map(spec).collect();
    let writers = specs.iter().map(|spec| swarm.update_service(&name, spec));
    let results = futures_util::future::join_all(writers).await;

    let updates = recorder.take().iter().filter(|request| request.contains("/update?version=")).count();
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    assert!(updates > 6, "no writer met another: {updates} updates");
    stack.clear().await;
}

#[tokio::test]
async fn an_overlay_can_be_made_with_a_subnet_and_joined_by_name() {
    let stack = Stack::empty("overlay").await;
    let name = stack.named("proxy");
    let labels = BTreeMap::from([("com.docker.stack.namespace".to_owned(), stack.name.to_string())]);
    let id = stack.swarm.create_overlay(&name, "10.231.0.0/24", true, &labels).await.unwrap();
    assert_eq!(stack.swarm.create_overlay(&name, "10.231.0.0/24", true, &labels).await.unwrap(), id);
    let other = stack.swarm.create_overlay(&name, "10.232.0.0/24", true, &labels).await.unwrap_err();
    assert!(other.is_conflict(), "{other}");

    let mut server = stack.runs("server", "mkdir /tmp/w; echo hello >/tmp/w/index.html; exec httpd -f -p 80 -h /tmp/w");
    let client = format!("until wget -qO- http://{}/; do sleep 0.2; done; exec sleep 1000000", stack.named("server"));
    let mut client = stack.runs("client", &client);
    for spec in [&mut server, &mut client] {
        spec["TaskTemplate"]["Networks"] = json!([{"Target": name}]);
        stack.swarm.create_service(spec).await.unwrap();
    }

    stack.until_running(2).await;
    let answered = async {
        while !stack.swarm.log_tail(&stack.named("client"), 10).await.unwrap().contains(&"hello".to_owned()) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, answered).await.expect("one service reaches the other by name");
    stack.clear().await;
}

#[tokio::test]
async fn a_subnet_that_is_taken_makes_no_network() {
    let stack = Stack::empty("overlap").await;
    let labels = BTreeMap::from([("com.docker.stack.namespace".to_owned(), stack.name.to_string())]);
    stack.swarm.create_overlay(&stack.named("first"), "10.233.0.0/24", true, &labels).await.unwrap();

    let second = stack.swarm.create_overlay(&stack.named("second"), "10.233.0.0/24", true, &labels).await;

    let error = second.unwrap_err().to_string();
    assert!(error.contains("does its subnet overlap another network's?"), "{error}");
    assert!(!stack.observe().await.networks.contains_key(&stack.named("second")));
    stack.clear().await;
}
