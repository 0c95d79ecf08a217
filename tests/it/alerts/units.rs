//! Units that fail before or beside their run: told once, and not where the run has told.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;

use serde_json::{Value, json};

use super::{blocked, names, the_one};
use crate::refusing::{Host, said, tells};
use crate::world::Said;

/// As systemd starts what `OnFailure=` names.
fn failed(host: &Host, unit: &str, status: &str) -> Said {
    let mut command = host.command(&["alerts", "failed", unit]);
    let invocation = "0123456789abcdef0123456789abcdef";
    command.env("MONITOR_SERVICE_RESULT", "exit-code").env("MONITOR_EXIT_CODE", "exited");
    said(command.env("MONITOR_EXIT_STATUS", status).env("MONITOR_INVOCATION_ID", invocation))
}

#[test]
fn a_unit_without_its_credential_is_told_once_and_with_what_that_number_means() {
    let host = blocked();
    tells(&failed(&host, "evenkeel-app", "243"), 0, &["evenkeel-app.service: an alert is written"]);
    tells(&failed(&host, "evenkeel-app", "243"), 0, &["the same was told within a day"]);
    let alert = the_one(&host);
    assert_eq!((&alert["app"], &alert["reason"]), (&json!("host"), &json!("unit-failed")));
    for words in [
        "unit evenkeel-app.service ended with exit status 243",
        "LoadCredential=",
        "systemd does not say which, `evenkeel check` does",
        "_SYSTEMD_INVOCATION_ID=0123456789abcdef0123456789abcdef",
    ] {
        assert!(alert["evidence"].as_str().unwrap().contains(words), "{words}: {alert:#}");
    }
    let kernel = nix::sys::utsname::uname().unwrap();
    assert_eq!(alert["host"], kernel.nodename().to_str().unwrap());
}

#[test]
fn what_a_run_has_told_is_not_told_again_for_its_unit() {
    let host = blocked();
    for status in ["1", "12", "13", "14"] {
        tells(&failed(&host, "evenkeel-app-upgrade", status), 0, &["its run has told already"]);
    }
    assert_eq!(names(&host, false), Vec::<String>::new());
    tells(&failed(&host, "evenkeel-alerts", "1"), 0, &["an alert is written"]);
}

#[test]
fn whatever_stands_in_the_place_of_a_unit_or_of_systemds_words_is_told_in_one_plain_line() {
    let host = blocked();
    tells(&host.run(&["alerts", "failed", ""]), 64, &["UNIT"]);
    let long = "u".repeat(300);
    for unit in ["../../etc/passwd", "a/b.service", &long, "x\u{1b}[2J\ny", "%n $(id)", "ä"] {
        let mut command = host.command(&["alerts", "failed", unit]);
        for (name, word) in
            [("SERVICE_RESULT", "\u{1b}]0;x\u{7}"), ("EXIT_CODE", ""), ("EXIT_STATUS", &"9".repeat(9999))]
        {
            command.env(format!("MONITOR_{name}"), word);
        }
        command.env("MONITOR_INVOCATION_ID", OsStr::from_bytes(b"\xff\xfe/"));
        tells(&said(&mut command), 0, &["an alert is written"]);
    }
    let waiting = names(&host, false);
    assert_eq!(waiting.len(), 6, "{waiting:?}");
    for name in waiting {
        let alert = fs::read_to_string(host.state_dir().join("alerts").join(name)).unwrap();
        let alert: Value = serde_json::from_str(&alert).unwrap();
        let evidence = alert["evidence"].as_str().unwrap();
        assert!(evidence.len() < 2000 && !evidence.contains(|c: char| c.is_control() || "/$".contains(c)), "{alert:#}");
    }
}

#[test]
fn what_was_told_of_units_is_begun_anew_where_it_cannot_be_read_and_that_is_said() {
    let host = blocked();
    tells(&failed(&host, "evenkeel-app", "243"), 0, &["an alert is written"]);
    for damage in ["{ half", "", "{\"schema\": 2, \"units\": []}"] {
        fs::write(host.state_dir().join("units.json"), damage).unwrap();
        tells(&failed(&host, "evenkeel-app", "243"), 0, &["units.json", "it is begun anew", "an alert is written"]);
    }
    tells(&failed(&host, "evenkeel-app", "243"), 0, &["the same was told within a day"]);
}
