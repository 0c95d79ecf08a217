//! What verbs print with `--json` is what their schemas say, whatever becomes of an app.

use std::fs;

use jsonschema::Validator;
use serde_json::{Value, json};

use crate::refusing::{Host, held, program, said};

/// A compose file with something of every kind.
const FULL: &str = "\
services:
  app:
    image: evenkeel-test/nowhere:1
    volumes: [\"data:/data\"]
    secrets: [key]
    configs: [run]
    networks: [back]
    environment: {DB_PASSWORD: hunter2, TZ: UTC}
volumes: {data: {}}
networks: {back: {driver: overlay}}
secrets: {key: {external: true, name: \"${STACK_NAME}_key_${SECRET_KEY_VERSION}\"}}
configs: {run: {name: \"${STACK_NAME}_run_v1\", file: run.sh}}
";

/// The schema as the program prints it, itself valid.
pub fn schema(of: &str) -> Validator {
    let printed = said(program().args(["generate", &format!("{of}-schema")]));
    let schema: Value = serde_json::from_str(&printed.out).unwrap();
    assert!(jsonschema::meta::is_valid(&schema), "{of}");
    jsonschema::options().should_validate_formats(true).build(&schema).unwrap()
}

/// Faults of a text that should be an answer of `evenkeel <verb> --json`.
pub fn faults(verb: &str, answer: &str) -> Vec<String> {
    let answer: Value = serde_json::from_str(answer).unwrap_or_else(|error| panic!("{error}: {answer}"));
    schema(verb).iter_errors(&answer).map(|fault| format!("{}: {fault}", fault.instance_path())).collect()
}

#[track_caller]
fn answers(host: &Host, verb: &str) -> Value {
    let said = host.run(&[verb, "--json"]);
    assert_eq!(faults(verb, &said.out), Vec::<String>::new(), "{said:#?}");
    serde_json::from_str(&said.out).unwrap()
}

#[track_caller]
fn both(host: &Host) {
    answers(host, "plan");
    answers(host, "status");
}

fn full() -> Host {
    let files =
        [("compose.yml", FULL), ("run.sh", "#!/bin/sh\n"), (".env.sample", "SECRET_KEY_VERSION=v1 # length=16\n")];
    Host::new().app("wiki", &files, "").app("bad", &[("compose.yml", "services: 1\n")], "")
}

#[test]
fn what_programs_read_is_as_its_schema_says() {
    both(&Host::new());
    both(&full());
    let plan = answers(&full(), "plan");
    let kinds: Vec<&str> = plan[1]["plan"]["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| change["object"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["network", "secret", "config", "service"], "{plan:#}");
    assert_eq!(plan[1]["plan"]["new_volumes"], json!(["wiki_x_example_data"]));
}

#[test]
fn of_an_app_at_work_paused_or_damaged_too() {
    let host = full();
    let _lock = held(&host);
    both(&host);
    assert_eq!(host.command(&["pause", "bad", "--for", "2h"]).status().unwrap().code(), Some(0));
    both(&host);
    fs::write(host.state_dir().join("bad/pause"), "damaged").unwrap();
    both(&host);
    host.put_state("wiki", "damaged");
    let status = answers(&host, "status");
    assert_eq!(status[1]["health"], "unknown");
    both(&host);
}

#[test]
fn of_a_stack_that_runs_too() {
    let host = full();
    let stack = "wiki_x_example";
    let spec = json!({
        "Name": format!("{stack}_app"), "Labels": {"com.docker.stack.namespace": stack},
        "TaskTemplate": {"ContainerSpec": {"Image": "evenkeel-test/nowhere:1"}}, "Mode": {"Replicated": {"Replicas": 1}},
    });
    host.engine.tells("/services", json!([{"ID": "s1", "Version": {"Index": 7}, "Spec": spec}]));
    both(&host);
    let mut state = serde_json::to_value(evenkeel::model::state::State::new(&stack.parse().unwrap())).unwrap();
    let revision = json!({"version": "1.0.0+1.0.0", "commit": "0".repeat(40)});
    let since = "2026-11-21T18:00:00Z";
    state["installing"] = json!({"revision": revision, "key": "k", "since": since, "failed": "it crashed"});
    host.put_state("wiki", &state.to_string());
    both(&host);
    let body = json!({
        "revision": revision, "networks": {}, "external_networks": [], "secrets": {}, "configs": {}, "images": {},
        "services": {format!("{stack}_app"): spec},
    });
    state["installing"] = Value::Null;
    state["current"] = json!({"body": body, "key": "k", "since": since});
    host.put_state("wiki", &state.to_string());
    let status = answers(&host, "status");
    assert_eq!((&status[1]["version"], &status[1]["since"]), (&json!("1.0.0+1.0.0"), &json!(since)), "{status:#}");
    both(&host);
}

#[test]
fn of_what_is_examined_and_rendered_too() {
    let host = full();
    assert_eq!(answers(&Host::new(), "check"), json!([]));
    let check = answers(&host, "check");
    assert!(check[0]["wrong"].is_string() && check[1]["wrong"].is_null(), "{check:#}");
    assert_eq!(host.run(&["check", "--config-only", "--json"]).out, "[]\n");
    for (app, ok) in [("wiki", true), ("bad", false)] {
        let said = host.run(&["render", app, "--json"]);
        assert_eq!(faults("render", &said.out), Vec::<String>::new(), "{said:#?}");
        let answer: Value = serde_json::from_str(&said.out).unwrap();
        assert_eq!((&answer["ok"], answer["posts"].as_array().unwrap().is_empty()), (&json!(ok), !ok), "{answer:#}");
    }
}

/// Whether a schema finds fault with an answer that was spoilt.
fn spoilt(of: &str, answer: &Value, spoil: fn(&mut Value)) -> bool {
    let mut answer = answer.clone();
    spoil(&mut answer);
    !faults(of, &answer.to_string()).is_empty()
}

#[test]
fn a_schema_takes_nothing_else() {
    let plan = answers(&full(), "plan");
    let of_plan: [fn(&mut Value); 7] = [
        |plan| plan[0]["more"] = json!(1),
        |plan| drop(plan[1].as_object_mut().unwrap().remove("paused")),
        |plan| plan[0]["outcome"] = json!("converged"),
        |plan| plan[0]["sentence"] = Value::Null,
        |plan| plan[1]["plan"]["changes"][0]["restarts"] = json!(true),
        |plan| plan[1]["plan"]["changes"][0]["group"] = json!("unknown"),
        |plan| plan[1]["plan"]["stays"]["volumes"] = json!(["a", "a"]),
    ];
    for (number, spoil) in of_plan.into_iter().enumerate() {
        assert!(spoilt("plan", &plan, spoil), "{number}");
    }
    let status = answers(&full(), "status");
    let check = answers(&full(), "check");
    assert!(spoilt("check", &check, |check| check[0]["more"] = json!(1)));
    assert!(spoilt("check", &check, |check| check[0]["warnings"] = Value::Null));
    let render: Value = serde_json::from_str(&full().run(&["render", "wiki", "--json"]).out).unwrap();
    assert!(spoilt("render", &render, |render| render["ok"] = json!(false)));
    assert!(spoilt("render", &render, |render| render["posts"][0][0] = json!("/volumes/create")));
    let of_status: [fn(&mut Value); 4] = [
        |status| status[0]["health"] = json!("well"),
        |status| status[0]["since"] = json!("yesterday"),
        |status| status[0]["commit"] = json!("abc"),
        |status| {
            status[0]["pause"] = json!({"by": "a", "since": "2026-11-21T18:00:00Z", "until": null, "reason": null})
        },
    ];
    for (number, spoil) in of_status.into_iter().enumerate() {
        assert!(spoilt("status", &status, spoil), "{number}");
    }
}
