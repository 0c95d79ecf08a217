//! The watchdog: which runs are good nights, and that their silence is told once.

use std::fs;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{blocked, names, relay, the_one, wiki};
use crate::refusing::{Host, PLAIN, said, tells};
use crate::world::Said;

fn by_systemd(host: &Host, arguments: &[&str]) -> Said {
    said(host.command(arguments).env("INVOCATION_ID", "0123456789abcdef0123456789abcdef"))
}

/// When the last good night of `evenkeel app` was.
fn good(host: &Host) -> Value {
    let text = fs::read_to_string(host.state_dir().join("nights.json")).unwrap_or("null".into());
    serde_json::from_str::<Value>(&text).unwrap()["kinds"]["app"]["good"].clone()
}

/// Puts the last good night, or the first sight where none was good, so many hours back.
fn long_ago(host: &Host, key: &str, hours: i64) {
    let then = Timestamp::now() - SignedDuration::from_hours(hours);
    let since = Timestamp::now() - SignedDuration::from_hours(1000.max(hours));
    let mut night = json!({"since": since});
    night[key] = json!(then);
    let nights = json!({"schema": 1, "kinds": {"app": night}});
    fs::create_dir_all(host.state_dir()).unwrap();
    fs::write(host.state_dir().join("nights.json"), nights.to_string()).unwrap();
}

#[test]
fn a_night_is_good_when_systemd_ran_it_and_every_app_was_looked_at() {
    let host = blocked();
    tells(&host.run(&["app"]), 12, &["blocked"]);
    assert_eq!(good(&host), Value::Null, "a person was there");
    tells(&by_systemd(&host, &["app", "--no-upgrade"]), 12, &["blocked"]);
    assert_eq!(good(&host), Value::Null, "it takes no versions");
    tells(&by_systemd(&host, &["app"]), 12, &["blocked"]);
    assert!(good(&host).is_string(), "a blocked app was looked at, and has an alert of its own");

    let host = wiki();
    tells(&by_systemd(&host, &["app"]), 1, &["error"]);
    assert_eq!(good(&host), Value::Null, "nothing can be said of it");

    let host = blocked().app("blog", &[("compose.yml", PLAIN)], "secrets = { a = \"/nowhere/a\" }");
    tells(&by_systemd(&host, &["app", "blog"]), 12, &["blocked"]);
    assert_eq!(good(&host), Value::Null, "the other one was not looked at");

    let host = blocked();
    fs::create_dir_all(host.state_dir().join("wiki")).unwrap();
    let lock = fs::File::create(host.state_dir().join("wiki/lock")).unwrap();
    lock.lock().unwrap();
    tells(&by_systemd(&host, &["app"]), 0, &["waiting"]);
    assert_eq!(good(&host), Value::Null, "another run was at work");
}

#[test]
fn a_silence_is_told_once_until_a_good_night_came_between() {
    let host = blocked();
    tells(&host.run(&["alerts", "watchdog"]), 0, &["nothing new is silent"]);
    tells(&host.run(&["alerts", "watchdog"]), 0, &["nothing new is silent"]);
    for told in [1, 2] {
        long_ago(&host, "good", 20 + 10 * told);
        for _ in 0..3 {
            assert_eq!(host.run(&["alerts", "watchdog"]).code, 0);
        }
        let alert = the_one(&host);
        assert_eq!((&alert["app"], &alert["reason"]), (&json!("host"), &json!("silent")));
        assert!(alert["evidence"].as_str().unwrap().contains("`evenkeel app`"), "{alert:#}");
        tells(&relay(&host, "exit 0"), 0, &["-host-silent.json: relayed"]);
        let silent = names(&host, true).into_iter().filter(|name| name.ends_with("-host-silent.json"));
        assert_eq!(silent.count() as i64, told);
        // A good night, which has an alert of its own to tell.
        tells(&by_systemd(&host, &["app"]), 12, &["blocked"]);
        assert_eq!(relay(&host, "exit 0").code, 0);
        tells(&host.run(&["alerts", "watchdog"]), 0, &["nothing new is silent"]);
        assert_eq!(names(&host, false), Vec::<String>::new());
    }
}

#[test]
fn how_long_is_too_long_can_be_said_and_a_host_whose_nights_never_ran_is_told() {
    let host = blocked();
    long_ago(&host, "good", 30);
    tells(&host.run(&["alerts", "watchdog", "--after", "2d"]), 0, &["nothing new is silent"]);
    tells(&host.run(&["alerts", "watchdog", "--after", "29h"]), 0, &["the last good one ended at"]);

    let host = blocked();
    long_ago(&host, "since", 30);
    tells(&host.run(&["alerts", "watchdog"]), 0, &["none has ended well since"]);
    tells(&host.run(&["alerts", "watchdog", "--after", "0s"]), 64, &["longer than nothing"]);
}

#[test]
fn what_cannot_be_read_is_counted_anew_and_told_and_what_a_newer_program_wrote_stays() {
    let host = blocked();
    assert_eq!(host.run(&["alerts", "watchdog"]).code, 0);
    let file = host.state_dir().join("nights.json");
    for damage in ["{ half", "", "[]", "{\"schema\": 1, \"kinds\": {\"app\": {\"since\": \"never\"}}}"] {
        fs::write(&file, damage).unwrap();
        tells(&host.run(&["alerts", "watchdog"]), 0, &["nothing new is silent", "nights.json", "it is counted anew"]);
        assert!(!host.run(&["alerts", "watchdog"]).err.contains("anew"), "told once");
    }

    let newer = "{\"schema\": 2, \"nights\": []}";
    fs::write(&file, newer).unwrap();
    tells(&host.run(&["alerts", "watchdog"]), 1, &["nights.json", "a newer evenkeel wrote it"]);
    tells(&by_systemd(&host, &["app"]), 12, &["blocked", "could not be written down", "a newer evenkeel wrote it"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), newer);
}
