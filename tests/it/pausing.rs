//! Apps that are paused: no run touches them, everybody is told, and nothing about a pause is guessed.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Stdio;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::refusing::{Host, PLAIN, held, said, tells};
use crate::world::Said;

fn wiki() -> Host {
    Host::new().app("wiki", &[("compose.yml", PLAIN)], "")
}

fn file(host: &Host) -> PathBuf {
    host.state_dir().join("wiki/pause")
}

/// Pauses as it would have been kept if it had been said then.
fn put(host: &Host, since: Timestamp, until: Option<Timestamp>) {
    let pause = json!({"schema": 1, "by": "alice", "since": since, "until": until, "reason": "moving the data"});
    fs::create_dir_all(host.state_dir().join("wiki")).unwrap();
    fs::write(file(host), pause.to_string()).unwrap();
}

fn history(host: &Host) -> Vec<Value> {
    let text = fs::read_to_string(host.state_dir().join("history.jsonl")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn words(history: &[Value]) -> Vec<(&str, &str)> {
    history.iter().map(|line| (line["app"].as_str().unwrap(), line["outcome"].as_str().unwrap())).collect()
}

fn answer(said: &Said) -> Value {
    serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {said:#?}"))
}

#[test]
fn a_paused_app_is_left_alone_by_every_run_which_says_until_when_by_whom_and_why() {
    let host = wiki();
    let paused =
        said(host.command(&["pause", "wiki", "--for", "2h", "--reason", "moving the data"]).env("SUDO_USER", "alice"));
    let told = ["wiki: paused by alice until 20", " UTC: moving the data; `evenkeel unpause wiki` ends it now"];
    tells(&paused, 0, &told);
    assert_eq!(fs::metadata(file(&host)).unwrap().permissions().mode() & 0o777, 0o600);

    let told = ["wiki: waiting: paused by alice until 20", " UTC: moving the data; `evenkeel unpause wiki`"];
    for run in [&["app"][..], &["app", "wiki"], &["app", "wiki", "--retry"], &["app", "--no-upgrade"]] {
        host.refuses(run, 0, &told);
    }
    let by_systemd = || said(host.command(&["app"]).env("INVOCATION_ID", "0123456789abcdef0123456789abcdef"));
    host.leaves_all(0, &told, by_systemd);
    assert_eq!(words(&history(&host)), [("wiki", "paused")], "a run that leaves an app alone is no news");

    tells(&host.run(&["unpause", "wiki"]), 0, &["wiki was paused by alice and is kept again from the next run on"]);
    assert!(!file(&host).exists());
    tells(&host.run(&["app"]), 1, &["wiki: error: "]);
    assert_eq!(words(&history(&host)), [("wiki", "paused"), ("wiki", "unpaused"), ("wiki", "error")]);
    tells(&host.run(&["unpause", "wiki"]), 0, &["wiki is not paused"]);
}

#[test]
fn the_others_are_kept_while_one_is_paused() {
    let host = wiki().app("notes", &[("compose.yml", PLAIN)], "secrets = { a = \"/nowhere/a\" }");
    tells(&host.run(&["pause", "wiki"]), 0, &["wiki: paused by root since ", "`evenkeel unpause wiki` ends it\n"]);
    host.refuses(&["app"], 12, &["wiki: waiting: paused by", "notes: blocked: secret a"]);
}

#[test]
fn a_plan_of_a_paused_app_says_so_and_what_would_come_after_it() {
    let host = wiki().app("notes", &[("compose.yml", PLAIN)], "");
    let now = Timestamp::now();
    put(&host, now, Some(now + SignedDuration::from_hours(2)));
    let said = host.run(&["plan", "wiki"]);
    tells(&said, 0, &["wiki: waiting: paused by alice until", "moving the data", "service wiki_x_example_app"]);
    tells(&host.run(&["plan"]), 2, &["notes at 1.0.0+1.0.0"]);
    let plan = answer(&host.run(&["plan", "wiki", "--json"]));
    assert!(plan[0]["paused"].as_str().unwrap().starts_with("paused by alice until"), "{plan:#}");
    assert_eq!(plan[0]["plan"]["changes"].as_array().map(|changes| !changes.is_empty()), Some(true));
}

#[test]
fn status_shows_a_pause_in_the_words_of_the_run() {
    let host = wiki();
    let (since, until) = ("2020-01-01T18:00:00Z".parse().unwrap(), "2999-01-01T00:00:00Z".parse().unwrap());
    put(&host, since, Some(until));
    let sentence =
        "paused by alice until 2999-01-01 00:00:00 UTC: moving the data; `evenkeel unpause wiki` ends it now";
    tells(&host.run(&["status"]), 0, &["    paused: ", sentence]);
    let status = answer(&host.run(&["status", "--json"]));
    assert_eq!(status[0]["paused"], sentence);
    let kept = json!({"by": "alice", "since": since, "until": until, "reason": "moving the data"});
    assert_eq!(status[0]["pause"], kept);
}

#[test]
fn a_pause_ends_by_itself_when_its_time_is_over() {
    let host = wiki();
    let now = Timestamp::now();
    put(&host, now - SignedDuration::from_hours(2), Some(now - SignedDuration::from_secs(1)));
    let status = answer(&host.run(&["status", "--json"]));
    assert_eq!((&status[0]["paused"], &status[0]["pause"]), (&Value::Null, &Value::Null));
    tells(&host.run(&["plan"]), 2, &["wiki at 1.0.0+1.0.0"]);
    assert!(file(&host).exists(), "who only looks takes nothing away");

    tells(&host.run(&["app"]), 1, &["wiki: error: "]);
    assert!(!file(&host).exists());
    let history = history(&host);
    assert_eq!(words(&history), [("wiki", "unpaused"), ("wiki", "error")]);
    assert_eq!(history[0]["sentence"], "the time of the pause by alice is over");
}

#[test]
fn a_clock_that_was_set_back_ends_no_pause_and_is_named() {
    let host = wiki();
    let later = Timestamp::now() + SignedDuration::from_hours(24 * 365);
    put(&host, later, Some(later + SignedDuration::from_hours(2)));
    host.refuses(&["app"], 0, &["wiki: waiting: paused by alice", "clock (20", "stands before the pause began"]);
}

#[test]
fn a_pause_that_cannot_be_read_is_not_taken_for_over() {
    let host = wiki();
    let good = json!({"schema": 1, "by": "a", "since": "2026-11-21T18:00:00Z", "until": null, "reason": null});
    let mut newer = good.clone();
    newer["schema"] = json!(2);
    let mut unknown = good.clone();
    unknown["notify"] = json!("alice");
    let whole = good.to_string();
    for damaged in ["", "\0\0\0\0", &whole[..whole.len() - 9], &newer.to_string(), &unknown.to_string()] {
        fs::create_dir_all(host.state_dir().join("wiki")).unwrap();
        fs::write(file(&host), damaged).unwrap();
        let words =
            ["whether wiki is paused cannot be told, so it is left alone", "`evenkeel unpause wiki` removes it"];
        host.refuses(&["app"], 12, &words);
        host.refuses(&["app", "--retry"], 12, &words);
        host.refuses(&["plan"], 12, &words);
        host.refuses(&["status"], 12, &words);
        let status = answer(&host.run(&["status", "--json"]));
        assert!(status[0]["paused"].is_string() && status[0]["pause"].is_null(), "{status:#}");
        tells(&host.run(&["unpause", "wiki"]), 0, &["had a pause that could not be read"]);
        assert!(!file(&host).exists());
    }
    fs::write(file(&host), "damaged").unwrap();
    tells(&host.run(&["pause", "wiki"]), 0, &["wiki: paused by"]);
    host.refuses(&["app"], 0, &["wiki: waiting: paused by"]);
    fs::remove_file(file(&host)).unwrap();
    fs::create_dir(file(&host)).unwrap();
    host.refuses(&["app"], 12, &["whether wiki is paused cannot be told"]);
}

#[test]
fn pausing_an_unknown_app_names_the_nearest_and_writes_nothing() {
    let host = wiki();
    host.refuses(&["pause", "wikki"], 1, &["no app is called wikki (did you mean \"wiki\"?)"]);
    host.refuses(&["pause", "../x"], 1, &["no app is called ../x"]);
    host.refuses(&["unpause", "wikki"], 1, &["no app is called wikki (did you mean \"wiki\"?)"]);
    assert_eq!(history(&host), Vec::<Value>::new());
}

#[test]
fn a_pause_needs_no_engine_and_can_be_ended_when_the_app_is_declared_no_more() {
    let mut host = Host::new().table("[app.wiki]\nrecipe = { url = \"/nowhere\" }\n");
    host.engine.set_mode(0);
    let nobody = |host: &Host, words: &[&str]| said(host.command(words).env("DOCKER_HOST", "unix:///nowhere"));
    tells(&nobody(&host, &["pause", "wiki"]), 0, &["wiki: paused by"]);
    assert_eq!(host.engine.take(), Vec::<String>::new());
    host = host.without_tables();
    tells(&nobody(&host, &["pause", "wiki"]), 1, &["no app is called wiki; declared in the configuration: none"]);
    tells(&nobody(&host, &["unpause", "wiki"]), 0, &["wiki was paused by"]);
}

#[test]
fn who_pauses_during_a_run_waits_until_it_has_ended() {
    let host = wiki();
    let lock = held(&host);
    let mut child = host.command(&["pause", "wiki"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    log.read_line(&mut line).unwrap();
    let told = format!("waiting for pid {} evenkeel proxy to end", std::process::id());
    assert!(line.contains("is paused for runs that begin from now on") && line.contains(&told), "{line}");
    assert!(file(&host).exists(), "a run that begins now finds it");
    assert!(child.try_wait().unwrap().is_none());
    drop(lock);
    let ended = child.wait_with_output().unwrap();
    assert!(ended.status.success() && ended.stdout.starts_with(b"wiki: paused by"), "{ended:?}");
}

#[test]
fn a_run_that_waited_for_the_lock_finds_a_pause_that_came_meanwhile() {
    let host = wiki();
    let lock = held(&host);
    let mut child = host.command(&["app"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    log.read_line(&mut String::new()).unwrap();
    put(&host, Timestamp::now(), None);
    drop(lock);
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(0));
    assert!(ended.stdout.starts_with(b"wiki: waiting: paused by alice"), "{ended:?}");
}

#[test]
fn of_pauses_at_once_one_stands_whole() {
    let host = wiki();
    let reasons: Vec<String> = (0..12).map(|number| format!("reason {number}")).collect();
    let mut commands: Vec<_> =
        reasons.iter().map(|reason| host.command(&["pause", "wiki", "--reason", reason])).collect();
    let children: Vec<_> = commands.iter_mut().map(|pause| pause.stdout(Stdio::null()).spawn().unwrap()).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let kept: Value = serde_json::from_slice(&fs::read(file(&host)).unwrap()).unwrap();
    assert!(reasons.iter().any(|reason| kept["reason"] == *reason), "{kept}");
    assert_eq!(history(&host).len(), reasons.len());
}

#[test]
fn what_a_killed_command_left_on_its_way_is_no_pause() {
    let host = wiki();
    fs::create_dir_all(host.state_dir().join("wiki")).unwrap();
    fs::write(host.state_dir().join("wiki/.pause-beside"), "{\"schema\": 1, \"by\": \"a fairly long na").unwrap();
    tells(&host.run(&["plan"]), 2, &["wiki at 1.0.0+1.0.0"]);
    tells(&host.run(&["pause", "wiki"]), 0, &["wiki: paused by"]);
    host.refuses(&["app"], 0, &["wiki: waiting: paused by"]);
}

#[test]
fn words_of_a_pause_cannot_act_on_the_terminal() {
    let host = wiki();
    let reason = "a\u{1b}[2J\nwiki: applied";
    let paused = said(host.command(&["pause", "wiki", "--reason", reason]).env("SUDO_USER", "al\u{1b}[31mice"));
    for said in [paused, host.run(&["app"]), host.run(&["status"]), host.run(&["plan"])] {
        crate::commands::is_plain(&said);
        assert!(said.out.lines().all(|line| line != "wiki: applied"), "{said:#?}");
    }
}
