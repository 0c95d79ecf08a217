//! Units that fail before or beside their run: told once, and not where the run has told.

use serde_json::json;

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
