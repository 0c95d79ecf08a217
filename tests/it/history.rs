//! `history` by the real binary, and the metrics that each run leaves.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::refusing::{Host, PLAIN, said, tells};
use crate::schemas::faults;

fn two_apps() -> Host {
    let missing = "secrets = { a = \"/nowhere/a\" }";
    Host::new().app("wiki", &[("compose.yml", PLAIN)], missing).app("notes", &[("compose.yml", PLAIN)], missing)
}

fn history(host: &Host, more: &[&str]) -> Vec<Value> {
    let said = host.run(&[&["history", "--json"], more].concat());
    assert_eq!((said.code, faults("history", &said.out)), (0, vec![]), "{said:#?}");
    serde_json::from_str(&said.out).unwrap()
}

#[test]
fn the_history_says_who_did_what_when_and_why() {
    let host = two_apps();
    assert_eq!(history(&host, &[]), Vec::<Value>::new());
    tells(&said(host.command(&["app", "wiki"]).env("SUDO_USER", "alice")), 12, &["wiki: blocked"]);
    tells(&said(host.command(&["pause", "notes"]).env("SUDO_USER", "bob")), 0, &["paused by bob"]);
    tells(&host.run(&["unpause", "notes"]), 0, &[]);
    tells(&host.run(&["app"]), 12, &["notes: blocked"]);

    let all = history(&host, &[]);
    let told: Vec<_> =
        all.iter().map(|line| (line["app"].as_str().unwrap(), line["outcome"].as_str().unwrap())).collect();
    let wanted = [("wiki", "blocked"), ("notes", "paused"), ("notes", "unpaused"), ("notes", "blocked")];
    assert_eq!(told, wanted, "the newest last, and what is decided already once");
    assert_eq!((&all[0]["by"], &all[1]["by"], &all[0]["from"]), (&json!("alice"), &json!("bob"), &Value::Null));
    assert!(all[0]["sentence"].as_str().unwrap().contains("/nowhere/a cannot be read"), "{all:#?}");

    assert_eq!(history(&host, &["notes"]).len(), 3);
    assert_eq!(history(&host, &["notes", "--limit", "1"]), all[3..]);
    let text = host.run(&["history", "wiki"]);
    tells(&text, 0, &["  wiki: blocked by alice\n    secret a: its file"]);
    tells(&host.run(&["history", "wikki"]), 1, &["no app is called wikki (did you mean \"wiki\"?)"]);
}

#[test]
fn a_run_of_a_unit_is_named_after_it() {
    let host = two_apps();
    let mut command = host.command(&["app", "wiki"]);
    tells(&said(command.env("INVOCATION_ID", "0123456789abcdef0123456789abcdef").env("SUDO_USER", "alice")), 12, &[]);
    let by = history(&host, &[])[0]["by"].as_str().unwrap().to_owned();
    assert!(by == "systemd" || by.ends_with(".service"), "{by}");
}

#[test]
fn versions_before_and_after_stand_in_the_history() {
    let host = two_apps();
    let mut state =
        serde_json::to_value(evenkeel::model::state::State::new(&"wiki_x_example".parse().unwrap())).unwrap();
    let revision = json!({"version": "1.0.0+1.0.0", "commit": "0".repeat(40)});
    let body = json!({
        "revision": revision, "networks": {}, "external_networks": [], "secrets": {}, "configs": {}, "images": {},
        "services": {},
    });
    state["current"] = json!({"body": body, "key": "k", "since": "2026-11-21T02:00:00Z"});
    host.put_state("wiki", &state.to_string());
    host.run(&["app", "wiki"]);
    assert_eq!(history(&host, &["wiki"])[0]["from"], "1.0.0+1.0.0");
    let metrics = fs::read_to_string(host.state_dir().join("metrics.prom")).unwrap();
    let line =
        format!("evenkeel_version_info{{app=\"wiki\",version=\"1.0.0+1.0.0\",commit=\"{}\"}} 1\n", "0".repeat(40));
    assert!(metrics.contains(&line), "{metrics}");
}

#[test]
fn damaged_lines_are_told_and_left_out_and_nobodys_words_act_on_a_terminal() {
    let host = two_apps();
    let line = |app: &str, sentence: &str| {
        json!({"ts": "2026-01-01T00:00:00Z", "app": app, "outcome": "applied", "sentence": sentence}).to_string()
    };
    let text = [line("wiki", "a\u{1b}[2J\nnotes: applied"), "{\"app\":".into(), "\u{0}".repeat(9), line("gone", "b")]
        .join("\n");
    fs::create_dir_all(host.state_dir()).unwrap();
    fs::write(host.state_dir().join("history.jsonl"), text).unwrap();
    let told = host.run(&["history"]);
    tells(
        &told,
        0,
        &["history.jsonl:2 is no line of a history", "history.jsonl:3 is no line", "gone: applied\n    b\n"],
    );
    assert!(told.out.contains("    a\\u001b[2J / notes: applied\n"), "{told:#?}");
    assert_eq!(history(&host, &["gone"])[0]["by"], Value::Null, "an app that is declared no more has its lines");
}

#[test]
fn each_run_leaves_metrics_that_everybody_may_read_and_keeps_those_of_other_apps() {
    let host = two_apps();
    tells(&host.run(&["app", "wiki"]), 12, &["blocked"]);
    tells(&host.run(&["app", "notes"]), 12, &["blocked"]);
    tells(&host.run(&["app"]), 12, &["blocked"]);
    let file = host.state_dir().join("metrics.prom");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o644);
    let metrics = fs::read_to_string(&file).unwrap();
    for app in ["wiki", "notes"] {
        for line in [
            format!("evenkeel_last_run_outcome{{app=\"{app}\",outcome=\"blocked\"}} 1\n"),
            format!("evenkeel_last_run_exit_code{{app=\"{app}\"}} 12\n"),
            format!("evenkeel_held{{app=\"{app}\",version=\"\"}} 0\n"),
        ] {
            assert_eq!(metrics.matches(&line).count(), 1, "{line} in {metrics}");
        }
    }
    assert!(metrics.contains("evenkeel_alerts_waiting 2\n"), "{metrics}");
    let left = fs::read_dir(host.state_dir()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let left: Vec<String> = left.filter(|name| name.starts_with(".metrics-")).collect();
    assert_eq!(left, Vec::<String>::new());

    tells(&host.run(&["alerts", "relay", "--", "/bin/true"]), 0, &["relayed"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), metrics.replace("alerts_waiting 2", "alerts_waiting 0"));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o644);

    fs::write(host.state_dir().join("runs.json"), "damaged").unwrap();
    tells(&host.run(&["app", "wiki"]), 12, &["blocked"]);
    let metrics = fs::read_to_string(&file).unwrap();
    assert!(metrics.contains("evenkeel_last_run_exit_code{app=\"wiki\"} 12\n"), "{metrics}");
}

#[test]
fn a_line_that_was_torn_costs_no_other() {
    let host = two_apps();
    let whole = json!({"ts": "2026-01-01T00:00:00Z", "app": "gone", "outcome": "applied", "sentence": "b"});
    fs::create_dir_all(host.state_dir()).unwrap();
    fs::write(host.state_dir().join("history.jsonl"), format!("{whole}\n{{\"ts\": \"2026-01-0")).unwrap();
    tells(&host.run(&["app", "wiki"]), 12, &["blocked"]);
    let told = host.run(&["history"]);
    tells(&told, 0, &["history.jsonl:2 is no line of a history", "gone: applied\n    b\n", "wiki: blocked"]);
}

#[test]
fn metrics_that_cannot_be_written_fail_no_run() {
    for file in ["metrics.prom", "runs.json", "metrics.lock"] {
        let host = two_apps();
        fs::create_dir_all(host.state_dir().join(file)).unwrap();
        tells(&host.run(&["app", "wiki"]), 12, &["wiki: blocked", "no metrics could be written", file]);
        fs::remove_dir(host.state_dir().join(file)).unwrap();
        tells(&host.run(&["app", "wiki"]), 12, &["wiki: blocked"]);
        assert!(host.state_dir().join("metrics.prom").is_file());
    }
}
