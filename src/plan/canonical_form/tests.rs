//! One variant at least for every way in which the Engine gives back other words than it was sent.

use super::*;
use crate::plan::world::{spec, with};

fn names() -> Names {
    Names {
        networks: [("n1".to_owned(), "proxy".to_owned())].into(),
        secrets: [("s1".to_owned(), "wiki_db_v1".to_owned())].into(),
        configs: [("c1".to_owned(), "wiki_run_v1".to_owned())].into(),
    }
}

const OLD: Engine = Engine { api: (1, 41), resolve: Resolve::Changed };
const NEW: Engine = Engine { api: (1, 48), resolve: Resolve::Changed };
const ALWAYS: Engine = Engine { api: (1, 41), resolve: Resolve::Always };

/// A spec of the given parts; `~` stands for the task template, `^` for the container spec.
fn of(parts: &[(&str, Value)]) -> Value {
    parts.iter().fold(spec("app", "wiki:1"), |spec, (at, value)| {
        let at = at.replace('^', "/TaskTemplate/ContainerSpec").replace('~', "/TaskTemplate");
        with(spec, &at, value.clone())
    })
}

fn same(sent: &[(&str, Value)], read: &[(&str, Value)], engine: Engine) -> bool {
    let form = |parts| service(&of(parts), &names(), engine);
    let (sent, read) = (form(sent), form(read));
    for form in [&sent, &read] {
        assert_eq!(&service(form, &names(), engine), form, "the form of a form is itself");
    }
    sent == read
}

#[test]
fn what_the_engine_fills_drops_or_renames_makes_no_difference() {
    let zero_check = json!({ "Test": ["CMD", "x"], "Interval": 0, "Timeout": 0, "StartPeriod": 0, "Retries": 0 });
    let file = json!({ "Name": "db" });
    let rows: Vec<(&str, Value, Value)> = vec![
        ("~/Networks", json!([{ "Target": "proxy" }]), json!([{ "Target": "n1" }])),
        (
            "~/Networks",
            json!([{ "Target": "a" }, { "Target": "proxy" }]),
            json!([{ "Target": "n1" }, { "Target": "a" }]),
        ),
        ("~/Runtime", Value::Null, json!("container")),
        ("~/ForceUpdate", Value::Null, json!(4)),
        ("/Mode", Value::Null, json!({ "Replicated": { "Replicas": 1 } })),
        ("/Mode", json!({ "Replicated": {} }), json!({ "Replicated": { "Replicas": 1 } })),
        (
            "/Mode",
            json!({ "ReplicatedJob": {} }),
            json!({ "ReplicatedJob": { "MaxConcurrent": 1, "TotalCompletions": 1 } }),
        ),
        (
            "/Mode",
            json!({ "ReplicatedJob": { "MaxConcurrent": 3 } }),
            json!({ "ReplicatedJob": { "MaxConcurrent": 3, "TotalCompletions": 3 } }),
        ),
        ("^/Isolation", json!(""), json!("default")),
        ("^/Privileges", json!({}), json!({ "CredentialSpec": null, "SELinuxContext": null })),
        (
            "^/Privileges",
            json!({ "CredentialSpec": { "Config": "c" } }),
            json!({ "CredentialSpec": { "Config": "c", "File": "", "Registry": "" } }),
        ),
        ("^/Privileges", json!({ "NoNewPrivileges": false }), Value::Null),
        (
            "/UpdateConfig",
            json!({ "Delay": 0, "Monitor": 0 }),
            json!({ "Parallelism": 0, "FailureAction": "pause", "Order": "stop-first", "MaxFailureRatio": 0 }),
        ),
        (
            "/RollbackConfig",
            json!({ "Parallelism": 1, "MaxFailureRatio": 0.3 }),
            json!({ "Parallelism": 1, "FailureAction": "pause", "Order": "stop-first", "MaxFailureRatio": 0.300_000_011_920_929 }),
        ),
        ("~/RestartPolicy", json!({}), json!({ "Condition": "any", "MaxAttempts": 0 })),
        ("/EndpointSpec", json!({}), json!({ "Mode": "vip" })),
        (
            "/EndpointSpec",
            json!({ "Ports": [{ "TargetPort": 80, "PublishedPort": 0 }] }),
            json!({ "Mode": "vip", "Ports": [{ "TargetPort": 80, "Protocol": "tcp", "PublishMode": "ingress" }] }),
        ),
        (
            "/EndpointSpec",
            json!({ "Ports": [{ "TargetPort": 1 }, { "TargetPort": 2 }] }),
            json!({ "Ports": [{ "TargetPort": 2 }, { "TargetPort": 1 }] }),
        ),
        ("^/Env", json!([]), Value::Null),
        ("^/Command", json!([]), Value::Null),
        ("^/Sysctls", json!({}), Value::Null),
        ("^/Labels", json!({}), Value::Null),
        ("~/LogDriver", json!({ "Name": "x", "Options": {} }), json!({ "Name": "x" })),
        (
            "~/Resources",
            json!({ "Limits": { "NanoCPUs": 5, "MemoryBytes": 0, "Pids": 0 } }),
            json!({ "Limits": { "NanoCPUs": 5 } }),
        ),
        ("^/Healthcheck", zero_check, json!({ "Test": ["CMD", "x"] })),
        (
            "^/Mounts",
            json!([{ "Type": "tmpfs", "Target": "/t", "TmpfsOptions": { "SizeBytes": 0 } }]),
            json!([{ "Type": "tmpfs", "Target": "/t" }]),
        ),
        (
            "^/Mounts",
            json!([{ "Type": "", "Source": "/a", "Target": "/a" }]),
            json!([{ "Type": "bind", "Source": "/a", "Target": "/a" }]),
        ),
        (
            "^/Mounts",
            json!([{ "Source": "/a", "BindOptions": {}, "Consistency": "cached" }]),
            json!([{ "Type": "bind", "Source": "/a" }]),
        ),
        (
            "^/Mounts",
            json!([{ "Source": "/a", "BindOptions": { "NonRecursive": true } }]),
            json!([{ "Type": "bind", "Source": "/a", "BindOptions": { "NonRecursive": true, "Propagation": "rprivate" } }]),
        ),
        (
            "^/Secrets",
            json!([{ "SecretName": "wiki_db_v1", "File": file }]),
            json!([{ "SecretID": "s1", "SecretName": "wiki_db_v1", "File": file }]),
        ),
        (
            "^/Configs",
            json!([{ "ConfigName": "wiki_run_v1", "File": file }]),
            json!([{ "ConfigID": "c1", "ConfigName": "wiki_run_v1", "File": file }]),
        ),
        ("^/Hostname", json!(""), Value::Null),
        ("^/TTY", json!(false), Value::Null),
        ("^/Image", json!("wiki:1"), json!("wiki:1@sha256:abc")),
        ("^/Image", json!("wiki:1"), json!("docker.io/library/wiki:1")),
        ("~/Placement", json!({}), json!({ "Platforms": [{ "Architecture": "amd64", "OS": "linux" }] })),
    ];
    for (at, sent, read) in rows {
        assert!(same(&[(at, sent.clone())], &[(at, read.clone())], OLD), "{at}: {sent} is read as {read}");
    }
}

/// Specs that `docker stack deploy` sent to an Engine (API 1.41), and how the Engine gave them back.
#[test]
fn specs_that_a_real_engine_gave_back_are_what_it_was_sent() {
    let recorded: Value = serde_json::from_str(include_str!("../../../tests/fixtures/recorded/specs.json")).unwrap();
    let map = |part: &str| serde_json::from_value(recorded["names"][part].clone()).unwrap();
    let names = Names { networks: map("networks"), secrets: map("secrets"), configs: map("configs") };
    let services = recorded["services"].as_array().unwrap();
    assert_eq!(services.len(), 9);
    for pair in services {
        let names = names.with_predefined(&pair["read"], &pair["sent"]);
        let form = |side: &str| service(&pair[side], &names, OLD);
        assert_eq!(form("read"), form("sent"), "{}", pair["sent"]["Name"]);
    }
}

/// One field at a time; `tests/it/engine/canon.rs` shows the same rows to a live Engine.
#[test]
fn fields_that_a_real_engine_gave_back_are_what_it_was_sent_and_nothing_else() {
    let rows: Vec<Value> =
        serde_json::from_str(include_str!("../../../tests/fixtures/recorded/variants.json")).unwrap();
    assert!(rows.len() > 150, "{}", rows.len());
    let named = |name: &str| (format!("id of evenkeel-test-canon_{name}"), format!("evenkeel-test-canon_{name}"));
    let names = Names {
        networks: [named("net"), named("other")].into(),
        secrets: [named("secret"), named("secret2")].into(),
        configs: [named("config"), named("config2")].into(),
    };
    for row in &rows {
        let at = row["at"].as_str().unwrap();
        let spec = |value: &Value| with(spec("app", "evenkeel-test/busybox:1"), at, value.clone());
        let names = names.with_predefined(&spec(&row["read"]), &spec(&row["sent"]));
        let form = |value: &Value| {
            let form = service(&spec(value), &names, OLD);
            assert_eq!(service(&form, &names, OLD), form, "the form of a form is itself: {row}");
            form
        };
        let sent = form(&row["sent"]);
        assert_eq!(form(&row["read"]), sent, "{row}");
        for same in row["same"].as_array().into_iter().flatten() {
            assert_eq!(form(same), sent, "{same} is the same: {row}");
        }
        for other in row["other"].as_array().into_iter().flatten() {
            assert_ne!(form(other), sent, "{other} is another: {row}");
        }
    }
}

#[test]
fn what_the_engine_keeps_as_it_was_sent_makes_a_difference() {
    let rows: Vec<(&str, Value, Value)> = vec![
        ("^/Env", json!(["A=1", "B=2"]), json!(["B=2", "A=1"])),
        ("^/Env", json!(["A=1"]), json!(["A=1", "A=1"])),
        ("^/Env", json!(["A"]), json!(["A="])),
        ("~/Placement", json!({ "Constraints": ["a", "b"] }), json!({ "Constraints": ["b", "a"] })),
        (
            "~/Networks",
            json!([{ "Target": "proxy", "Aliases": ["a", "b"] }]),
            json!([{ "Target": "n1", "Aliases": ["b", "a"] }]),
        ),
        ("^/CapabilityAdd", json!(["CAP_A", "CAP_B"]), json!(["CAP_B", "CAP_A"])),
        ("^/Ulimits", json!([{ "Name": "a" }, { "Name": "b" }]), json!([{ "Name": "b" }, { "Name": "a" }])),
        ("~/LogDriver", json!({}), Value::Null),
        ("/UpdateConfig", json!({}), Value::Null),
        ("^/Init", json!(false), Value::Null),
        ("^/StopGracePeriod", json!(0), Value::Null),
        ("/Labels/tls.certresolver", json!(""), Value::Null),
        ("^/Image", json!("wiki:1"), json!("wiki:2@sha256:abc")),
        (
            "^/Secrets",
            json!([{ "SecretName": "wiki_db_v1" }]),
            json!([{ "SecretID": "gone", "SecretName": "wiki_db_v1" }]),
        ),
        ("~/Networks", json!([{ "Target": "proxy" }]), json!([{ "Target": "id-of-a-removed-one" }])),
    ];
    for (at, one, other) in rows {
        assert!(!same(&[(at, one.clone())], &[(at, other.clone())], OLD), "{at}: {one} is not {other}");
    }
}

#[test]
fn a_digest_counts_where_the_recipe_pins_it_or_every_tag_is_looked_up() {
    let tag = ("^/Image", json!("wiki:1"));
    let digest = ("^/Image", json!("wiki:1@sha256:abc"));
    assert!(!same(std::slice::from_ref(&tag), std::slice::from_ref(&digest), ALWAYS));
    let pin = ("/Labels/com.docker.stack.image", json!("wiki:1@sha256:abc"));
    let other = ("^/Image", json!("wiki:1@sha256:def"));
    assert!(!same(&[pin.clone(), digest], &[pin, other], OLD));
}

#[test]
fn fields_that_an_old_engine_drops_count_only_for_a_new_one() {
    let check = |interval: Value| json!({ "Test": ["CMD", "x"], "StartInterval": interval });
    let mount = |path: Value| json!([{ "Type": "volume", "Source": "v", "VolumeOptions": { "NoCopy": true, "Subpath": path } }]);
    let rows = [
        ("^/Healthcheck", check(json!(5)), check(Value::Null)),
        ("^/OomScoreAdj", json!(100), Value::Null),
        ("^/Mounts", mount(json!("a")), mount(Value::Null)),
        ("^/Privileges", json!({ "NoNewPrivileges": true }), Value::Null),
    ];
    for (at, sent, read) in rows {
        assert!(same(&[(at, sent.clone())], &[(at, read.clone())], OLD), "{at}");
        assert!(!same(&[(at, sent)], &[(at, read)], NEW), "{at}");
    }
}

#[test]
fn images_are_written_as_the_docker_cli_writes_them() {
    for (long, short) in [
        ("docker.io/library/nginx", "nginx:latest"),
        ("library/nginx:1", "nginx:1"),
        ("docker.io/bonfire/bonfire:1", "bonfire/bonfire:1"),
        ("localhost:5000/a", "localhost:5000/a:latest"),
        ("ghcr.io/library/a:1", "ghcr.io/library/a:1"),
        ("a@sha256:b", "a@sha256:b"),
    ] {
        assert_eq!(familiar(long), short);
    }
}
