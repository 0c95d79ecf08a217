//! Alerts by the real binary: what makes one due, once per fact, and how they are sent on, whatever goes wrong.

mod silence;
mod units;
mod webhook;

use std::fs;
use std::io::Read as _;
use std::ops::Range;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use evenkeel::host::alerts::Alerts;
use evenkeel::host::store::Store;
use evenkeel::model::alert::{Alert, Reason};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::refusing::{Host, PLAIN, said, tells};
use crate::schemas::faults;
use crate::world::Said;

fn wiki() -> Host {
    Host::new().app("wiki", &[("compose.yml", PLAIN)], "")
}

/// An app that is blocked before anything is looked at.
fn blocked() -> Host {
    Host::new().app("wiki", &[("compose.yml", PLAIN)], "secrets = { a = \"/nowhere/a\" }")
}

fn folder(host: &Host) -> PathBuf {
    host.state_dir().join("alerts")
}

fn names(host: &Host, seen: bool) -> Vec<String> {
    let alerts = Alerts::of(&Store::for_reading(host.state_dir()));
    if seen { alerts.seen().unwrap() } else { alerts.waiting().unwrap() }
}

fn begin() -> Timestamp {
    "2026-11-21T02:00:00Z".parse().unwrap()
}

fn alert(second: i64) -> Alert {
    Alert {
        reason: Reason::Rollback,
        from_version: Some("1.0.0+1".into()),
        to_version: Some("2.0.0+2".into()),
        release_notes: None,
        ts: begin() + SignedDuration::from_secs(second),
        evidence: format!("it crashed at {second}"),
        fact: format!("rollback:{second}"),
    }
}

/// Puts so many alerts there, a second between each two, and gives their names.
fn put(host: &Host, many: i64) -> Vec<String> {
    let store = Store::open(host.state_dir()).unwrap();
    let app = "wiki".parse().unwrap();
    (0..many).for_each(|second| Alerts::of(&store).put(&app, &alert(second)).unwrap());
    names(host, false)
}

fn relay(host: &Host, line: &str) -> Said {
    host.run(&["alerts", "relay", "--", "sh", "-c", line])
}

fn lines(host: &Host, file: &str) -> Vec<String> {
    let text = fs::read_to_string(host.path(file)).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// The alert of the one file that waits.
fn the_one(host: &Host) -> Value {
    let names = names(host, false);
    assert_eq!(names.len(), 1, "{names:?}");
    serde_json::from_str(&fs::read_to_string(folder(host).join(&names[0])).unwrap()).unwrap()
}

#[test]
fn an_alert_that_was_sent_and_cannot_be_kept_is_not_sent_again() {
    let host = wiki();
    put(&host, 2);
    fs::write(folder(&host).join("seen"), "in the way").unwrap();
    for _ in 0..2 {
        let said = relay(&host, &format!("echo sent >> {}", host.path("sent").display()));
        assert_eq!(said.code, 0, "{said:?}");
    }
    assert_eq!(lines(&host, "sent").len(), 2);
}

#[test]
fn a_blocked_app_makes_one_file_however_often_it_is_run() {
    let host = blocked();
    for _ in 0..3 {
        tells(&host.run(&["app"]), 12, &["wiki: blocked: secret a"]);
    }
    let name = names(&host, false).remove(0);
    assert!(name.ends_with("Z-wiki-blocked.json") && name.len() == 16 + "-wiki-blocked.json".len(), "{name}");
    assert_eq!(fs::metadata(folder(&host).join(&name)).unwrap().permissions().mode() & 0o777, 0o600);
    let alert = the_one(&host);
    let keys: Vec<&String> = alert.as_object().unwrap().keys().collect();
    let wanted = [
        "schema",
        "app",
        "reason",
        "from_version",
        "to_version",
        "release_notes",
        "ts",
        "evidence",
        "next_step",
        "host",
        "fact",
    ];
    assert_eq!(keys, wanted);
    assert_eq!(
        (&alert["app"], &alert["reason"], &alert["from_version"]),
        (&json!("wiki"), &json!("blocked"), &Value::Null)
    );
    assert!(alert["evidence"].as_str().unwrap().contains("its file /nowhere/a cannot be read"), "{alert}");
    assert!(alert["next_step"].as_str().unwrap().contains("`evenkeel app wiki`"), "{alert}");
    assert!(!alert["host"].as_str().unwrap().is_empty());
    assert!(!host.state_dir().join("wiki/state.json").exists(), "an alert makes no state");
}

#[test]
fn an_error_is_told_only_to_who_was_not_there() {
    let host = wiki();
    tells(&host.run(&["app"]), 1, &["wiki: error: image"]);
    assert_eq!(names(&host, false), Vec::<String>::new());
    for _ in 0..2 {
        let by_systemd = said(host.command(&["app"]).env("INVOCATION_ID", "0123456789abcdef0123456789abcdef"));
        tells(&by_systemd, 1, &["wiki: error: image"]);
    }
    assert_eq!(the_one(&host)["reason"], "error");
}

/// Runs as systemd does, with this Engine.
fn by_systemd(host: &Host, verb: &str, engine: &str) -> Said {
    let mut command = host.command(&[verb]);
    let config = fs::read_to_string(host.path("config.toml")).unwrap();
    fs::write(host.path("config.toml"), config.replace(&host.engine.endpoint(), engine)).unwrap();
    said(command.env("INVOCATION_ID", "0123456789abcdef0123456789abcdef"))
}

const AWAY: &str = "unix:///nowhere/docker.sock";

#[test]
fn a_run_that_gets_to_no_app_is_told_once_until_one_does() {
    let host = blocked();
    for verb in ["app", "resume", "swarm", "app"] {
        tells(&by_systemd(&host, verb, AWAY), 1, &["cannot talk to the Docker Engine"]);
    }
    let alert = the_one(&host);
    assert_eq!((&alert["app"], &alert["reason"]), (&json!("host"), &json!("error")));
    assert!(alert["evidence"].as_str().unwrap().contains(AWAY), "{alert}");
    tells(&by_systemd(&host, "app", &host.engine.endpoint()), 12, &["wiki: blocked"]);
    tells(&relay(&host, "exit 0"), 0, &["relayed"]);
    tells(&by_systemd(&host, "app", AWAY), 1, &["cannot talk to the Docker Engine"]);
    assert_eq!(the_one(&host)["app"], "host");
}

#[test]
fn a_resume_without_an_engine_is_told_once_until_it_is_back() {
    let host = wiki();
    for told in [1, 2] {
        for _ in 0..2 {
            tells(&by_systemd(&host, "resume", AWAY), 1, &["cannot talk to the Docker Engine"]);
        }
        assert_eq!((names(&host, false).len(), names(&host, true).len()), (1, told - 1));
        assert_eq!(the_one(&host)["app"], "host");
        tells(&relay(&host, "exit 0"), 0, &["relayed"]);
        tells(&by_systemd(&host, "resume", &host.engine.endpoint()), 0, &["nothing is open"]);
    }
    tells(&host.run(&["history"]), 0, &["host: error"]);
    tells(&host.run(&["resume"]), 0, &["nothing is open"]);
    assert_eq!(names(&host, false).len(), 0);
}

#[test]
fn a_damaged_state_is_kept_aside_told_once_and_nothing_is_guessed() {
    let host = wiki();
    host.put_state("wiki", "{\"schema\": 1, \"st");
    for verb in [&["app"][..], &["app", "--retry"], &["app", "--no-upgrade"]] {
        host.refuses(verb, 12, &["wiki: blocked: ", "wiki/state.json is damaged", "a copy from a backup"]);
    }
    tells(&host.run(&["status"]), 12, &["is damaged"]);
    let alert = the_one(&host);
    assert!(alert["evidence"].as_str().unwrap().contains("move it away, name the app's `version`"), "{alert}");
    let kept = fs::read_dir(host.state_dir().join("wiki")).unwrap().map(|file| file.unwrap().file_name());
    let aside: Vec<_> = kept.filter(|name| name.to_string_lossy().starts_with("state.json.damaged-2")).collect();
    assert_eq!(aside.len(), 1);
    let metrics = fs::read_to_string(host.state_dir().join("metrics.prom")).unwrap();
    assert!(metrics.contains("evenkeel_state_readable{app=\"wiki\"} 0\n"), "{metrics}");
}

#[test]
fn a_state_of_a_newer_program_is_left_untouched_and_told_once() {
    let host = wiki();
    host.put_state("wiki", "{\"schema\": 2}");
    for _ in 0..2 {
        host.refuses(&["app"], 12, &["was written by a newer evenkeel (schema 2, here 1): run that one"]);
    }
    assert_eq!(the_one(&host)["reason"], "blocked");
    assert_eq!(fs::read_to_string(host.state_dir().join("wiki/state.json")).unwrap(), "{\"schema\": 2}");
}

#[test]
fn alerts_due_of_a_killed_run_are_written_by_the_next_and_once() {
    let host = blocked();
    let state = |due: Vec<Alert>| {
        let mut state = evenkeel::model::state::State::new(&"wiki_x_example".parse().unwrap());
        state.due_alerts = due;
        serde_json::to_string(&state).unwrap()
    };
    let due = vec![alert(0), Alert { fact: "rollback:other".into(), ..alert(0) }];
    host.put_state("wiki", &state(due.clone()));
    tells(&host.run(&["app"]), 12, &["blocked"]);
    assert_eq!(names(&host, false).len(), 3, "two of the same second, and that it is blocked");
    // Killed between writing the files and clearing them; a relay was faster with one.
    tells(&relay(&host, "grep -q 'rollback:0'"), 1, &["20261121T020000Z-wiki-rollback.json: relayed"]);
    host.put_state("wiki", &state(due));
    tells(&host.run(&["app"]), 12, &["blocked"]);
    let rollbacks = |seen| names(&host, seen).iter().filter(|name| name.contains("rollback")).count();
    assert_eq!((rollbacks(false), rollbacks(true)), (1, 1));
    let kept = fs::read_to_string(host.state_dir().join("wiki/state.json")).unwrap();
    assert!(!kept.contains("due_alerts") && kept.contains("alerted"), "{kept}");
}

#[test]
fn what_cannot_be_written_fails_no_run_and_is_written_by_the_next() {
    let host = blocked();
    fs::create_dir_all(host.state_dir()).unwrap();
    fs::write(folder(&host), "in the way").unwrap();
    tells(&host.run(&["app"]), 12, &["wiki: blocked: secret a", "alerts could not be written"]);
    fs::remove_file(folder(&host)).unwrap();
    tells(&host.run(&["app"]), 12, &["wiki: blocked: secret a"]);
    assert_eq!(the_one(&host)["reason"], "blocked");
}

#[test]
fn a_list_says_what_waits_and_what_was_relayed() {
    let host = wiki();
    tells(&host.run(&["alerts", "list"]), 0, &["no alert waits to be relayed\n"]);
    put(&host, 3);
    let listed = host.run(&["alerts", "list"]);
    tells(
        &listed,
        0,
        &[
            "2026-11-21 02:00:00 UTC  wiki on ",
            ": rollback (1.0.0+1 -> 2.0.0+2)\n    file: 20261121T020000Z-wiki-rollback.json\n    evidence: it crashed at 0\n",
            "    next step: ",
            "`evenkeel approve wiki 2.0.0+2`",
        ],
    );
    tells(&relay(&host, "grep -q 'crashed at 0'"), 1, &["020000Z-wiki-rollback.json: relayed"]);
    let json = |arguments: &[&str]| {
        let said = host.run(arguments);
        assert_eq!(faults("alerts", &said.out), Vec::<String>::new(), "{said:#?}");
        serde_json::from_str::<Vec<Value>>(&said.out).unwrap()
    };
    assert_eq!(json(&["alerts", "list", "--json"]).len(), 2);
    let all = json(&["alerts", "list", "--seen", "--json"]);
    let seen: Vec<&Value> = all.iter().map(|alert| &alert["seen"]).collect();
    assert_eq!(seen, [true, false, false], "the oldest first");
}

#[test]
fn a_command_gets_each_file_oldest_first_and_one_that_fails_holds_up_no_other() {
    let host = wiki();
    let put = put(&host, 4);
    let (out, paths) = (host.path("got"), host.path("paths"));
    let line = format!(
        "sed -n 's/.*\"evidence\": \"\\(.*\\)\",/\\1/p' >> {}; echo \"$EVENKEEL_ALERT\" >> {}; case $EVENKEEL_ALERT in \
         *020001Z*) echo no such list >&2; exit 3;; esac",
        out.display(),
        paths.display()
    );
    let said = relay(&host, &line);
    tells(&said, 1, &["20261121T020001Z-wiki-rollback.json stays: sh -c failed (exit status: 3): no such list"]);
    assert_eq!(said.out.lines().count(), 3, "{said:#?}");
    assert_eq!(lines(&host, "got"), ["it crashed at 0", "it crashed at 1", "it crashed at 2", "it crashed at 3"]);
    let expected: Vec<String> = put.iter().map(|name| folder(&host).join(name).display().to_string()).collect();
    assert_eq!(lines(&host, "paths"), expected);
    assert_eq!((names(&host, false), names(&host, true).len()), (vec![put[1].clone()], 3));

    let again = relay(&host, "exit 0");
    tells(&again, 0, &[&format!("{}: relayed", put[1])]);
    assert_eq!((names(&host, false).len(), names(&host, true)), (0, put));
    tells(&relay(&host, "exit 1"), 0, &[]);
}

#[test]
fn an_alert_that_comes_while_a_relay_is_at_work_is_sent_too_and_a_failing_target_is_asked_once_for_each() {
    for (code, waiting) in [(0, 0), (1, 2)] {
        let host = wiki();
        put(&host, 1);
        let (late, got) = (folder(&host).join("20261121T030000Z-wiki-rollback.json"), host.path("got"));
        let line = format!(
            "echo x >> {}; [ -e {late} ] || [ $(wc -l < {got}) -gt 1 ] || cp \"$EVENKEEL_ALERT\" {late}; exit {code}",
            got.display(),
            late = late.display(),
            got = got.display()
        );
        assert_eq!(relay(&host, &line).code, code);
        assert_eq!((lines(&host, "got").len(), names(&host, false).len()), (2, waiting));
    }
}

#[test]
fn a_command_has_the_environment_of_the_relay_and_no_word_for_systemd() {
    let host = wiki();
    put(&host, 1);
    let env = host.path("env");
    let line = format!("env > {}", env.display());
    let mut command = host.command(&["alerts", "relay", "--", "sh", "-c", &line]);
    tells(&said(command.env("TOKEN", "t0k3n").env("NOTIFY_SOCKET", "/nowhere")), 0, &["relayed"]);
    let env = fs::read_to_string(env).unwrap();
    assert!(env.contains("TOKEN=t0k3n\n") && !env.contains("NOTIFY_SOCKET"), "{env}");
}

#[test]
fn a_half_written_alert_is_told_and_left_as_it_is() {
    let host = wiki();
    let put = put(&host, 3);
    let damaged = folder(&host).join(&put[0]);
    let half = fs::read_to_string(&damaged).unwrap();
    let half = &half[..half.len() / 2];
    fs::write(&damaged, half).unwrap();
    fs::create_dir(folder(&host).join("20260101T000000Z-wiki-stuck.json")).unwrap();
    fs::write(folder(&host).join("notes.txt"), "not an alert").unwrap();
    fs::write(folder(&host).join("20260101T000001Z-wiki-stuck.json"), vec![b' '; (1 << 20) + 1]).unwrap();

    let said = relay(&host, "exit 0");
    tells(
        &said,
        1,
        &[
            "020000Z-wiki-rollback.json stays: it is no whole alert: EOF while parsing",
            "20260101T000000Z-wiki-stuck.json stays: it is no plain file",
            "20260101T000001Z-wiki-stuck.json stays: it has 1048577 bytes",
        ],
    );
    assert_eq!(fs::read_to_string(&damaged).unwrap(), half);
    assert_eq!(names(&host, true), put[1..]);
    tells(&host.run(&["alerts", "list"]), 1, &["020000Z-wiki-rollback.json: it is no whole alert"]);
}

#[test]
fn two_relays_at_once_send_nothing_twice() {
    let host = wiki();
    put(&host, 20);
    let line = format!("echo \"$EVENKEEL_ALERT\" >> {}", host.path("got").display());
    let begin = || {
        let mut command = host.command(&["alerts", "relay", "--", "sh", "-c", &line]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    let mut both = [begin(), begin()];
    for relay in &mut both {
        assert_eq!(relay.wait().unwrap().code(), Some(0));
    }
    let mut got = lines(&host, "got");
    let many = got.len();
    got.sort();
    got.dedup();
    assert_eq!((many, got.len(), names(&host, true).len()), (20, 20, 20));
}

#[test]
fn under_systemd_nobody_waits_for_another_relay() {
    let host = wiki();
    put(&host, 1);
    let alerts = Alerts::of(&Store::open(host.state_dir()).unwrap());
    let right = alerts.relay().unwrap().unwrap();
    let mut command = host.command(&["alerts", "relay", "--", "sh", "-c", "exit 0"]);
    tells(&said(command.env("INVOCATION_ID", "0123456789abcdef")), 0, &["another relay is at work"]);
    assert_eq!(names(&host, false).len(), 1);
    drop(right);
}

#[test]
fn a_relay_that_is_killed_loses_no_alert() {
    let host = wiki();
    put(&host, 3);
    let line = format!("echo x >> {}; exec sleep 600", host.path("got").display());
    let mut command = host.command(&["alerts", "relay", "--", "sh", "-c", &line]);
    let mut killed = command.stdout(Stdio::piped()).spawn().unwrap();
    while lines(&host, "got").is_empty() {
        std::thread::sleep(Duration::from_millis(20));
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    let mut rest = String::new();
    killed.stdout.take().unwrap().read_to_string(&mut rest).unwrap();
    assert_eq!(names(&host, false).len(), 3);
    tells(&relay(&host, "exit 0"), 0, &["relayed"]);
    assert_eq!(names(&host, true).len(), 3);
}

#[test]
fn a_command_that_hangs_is_ended_and_where_nobody_answers_the_rest_waits() {
    let host = wiki();
    put(&host, 10);
    let line = "case $EVENKEEL_ALERT in *02000[0-4]Z*) exec sleep 600;; esac";
    let said = host.run(&["alerts", "relay", "--within", "200ms", "--", "sh", "-c", line]);
    tells(&said, 1, &["020000Z-wiki-rollback.json stays: sh -c had not ended after 200ms"]);
    assert_eq!(names(&host, true).len(), 5, "five that it hangs at hold up no other: {said:#?}");

    let said = host.run(&["alerts", "relay", "--", "/nowhere/mail-alert"]);
    tells(&said, 1, &["stays: /nowhere/mail-alert is not on PATH", "nobody answers, so 1 more alerts were not tried"]);
    assert_eq!(names(&host, false).len(), 5);
}

#[test]
fn what_was_relayed_long_ago_goes_and_what_waits_stays() {
    let host = wiki();
    let put = put(&host, 3);
    tells(&relay(&host, "case $EVENKEEL_ALERT in *020002Z*) exit 1;; esac"), 1, &["020002Z-wiki-rollback.json stays"]);
    let year_ago = SystemTime::now() - Duration::from_secs(366 * 24 * 60 * 60);
    for file in [folder(&host).join("seen").join(&put[0]), folder(&host).join(&put[2])] {
        fs::File::options().append(true).open(file).unwrap().set_modified(year_ago).unwrap();
    }
    tells(&relay(&host, "exit 1"), 1, &["020002Z-wiki-rollback.json stays"]);
    assert_eq!((names(&host, false), names(&host, true)), (vec![put[2].clone()], vec![put[1].clone()]));
}

/// As `put` names and fills them, without a sync for each.
fn put_quickly(folder: &Path, seconds: Range<i64>) {
    let app = "wiki".parse().unwrap();
    fs::create_dir_all(folder).unwrap();
    for second in seconds {
        let alert = alert(second);
        let file = folder.join(format!("{}.json", alert.file_stem(&app)));
        fs::write(file, alert.message(&app, "box").to_text()).unwrap();
    }
}

#[test]
fn of_those_that_were_relayed_the_newest_ten_thousand_stay() {
    let host = wiki();
    put_quickly(&folder(&host).join("seen"), 0..10_002);
    put_quickly(&folder(&host), 20_000..20_001);
    let before = names(&host, true);
    tells(&relay(&host, "exit 1"), 1, &["stays"]);
    assert_eq!((names(&host, false).len(), names(&host, true)), (1, before[2..].to_vec()));
}

#[test]
fn ten_thousand_alerts_are_relayed_in_order() {
    let host = wiki();
    let store = Store::open(host.state_dir()).unwrap();
    put_quickly(&folder(&host), 0..10_000);
    assert_eq!(host.run(&["alerts", "list", "--json"]).out.matches("\"file\"").count(), 10_000);
    let said = host.run(&["alerts", "relay", "--", "/bin/true"]);
    assert_eq!((said.code, said.out.lines().count(), said.err.as_str()), (0, 10_000, ""));
    assert!(said.out.lines().is_sorted());
    let alerts = Alerts::of(&store);
    assert_eq!((alerts.waiting().unwrap().len(), alerts.seen().unwrap().len()), (0, 10_000));
}

#[test]
fn without_a_command_the_configuration_says_where_alerts_go() {
    let host = wiki();
    put(&host, 1);
    let said = host.run(&["alerts", "relay"]);
    tells(
        &said,
        1,
        &["nothing says where alerts go", "`evenkeel alerts relay -- /usr/local/bin/mail-alert`", "`webhook`"],
    );
    let host = Host::new().table("alerts = { command = [\"/bin/true\"] }\n").app("wiki", &[("compose.yml", PLAIN)], "");
    put_one_and_relay(&host);
}

fn put_one_and_relay(host: &Host) {
    let put = put(host, 1);
    tells(&host.run(&["alerts", "relay"]), 0, &[&format!("{}: relayed", put[0])]);
    assert_eq!(names(host, true), put);
}
