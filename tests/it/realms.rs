//! `realm` before any Keycloak is asked: what it refuses, and when it is cold. The life of realms is in `real/realms`.

use std::fs::{self, File, Metadata, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::time::{Duration, Instant};

use crate::refusing::{Host, program, said, tells};

const CREATE: [&str; 6] = ["realm", "create", "--parent", "wiki", "--run", "4711"];
const PROXY: &str = "[proxy]\nrecipe = { url = \"/nowhere/traefik\" }\n";
const KEYCLOAK: &str = "[warm_keycloak]\nrecipe = { url = \"/nowhere/keycloak\" }\n";

#[test]
fn without_a_keycloak_every_verb_is_cold_at_once() {
    let hosts = [Host::new(), Host::new().table(PROXY), Host::new().table(PROXY).table(KEYCLOAK)];
    let words = ["has no [warm_keycloak]", "has no [warm_keycloak]", "warm-keycloak is not installed"];
    let verbs: [&[&str]; 5] = [
        &CREATE,
        &["realm", "check", "--parent", "wiki", "--run", "4711"],
        &["realm", "delete", "--parent", "wiki", "--run", "4711"],
        &["realm", "delete", "wiki-abcdef"],
        &["realm", "reap", "--older-than", "2h"],
    ];
    for (host, words) in hosts.iter().zip(words) {
        for verb in verbs {
            let began = Instant::now();
            let said = host.run(verb);
            tells(&said, 15, &["cold: ", words]);
            assert_eq!(said.out, "");
            assert!(began.elapsed() < Duration::from_secs(30), "it waited for what cannot come");
        }
        assert!(!host.state_dir().join("warm-keycloak").exists());
    }
}

/// Whoever waits for it need not install another; whoever brings one of its own learns that one is coming.
#[test]
fn a_first_install_that_is_under_way_is_waited_for_and_then_cold() {
    let host = Host::new().table(PROXY).table(KEYCLOAK);
    let installing = |failed: &str| {
        format!(
            r#"{{"schema": 1, "stack": "warm-keycloak_x_example", "frozen": {{"sample": "", "secret_versions": {{}}}},
            "installing": {{"revision": {{"commit": "{}"}}, "key": "k", "since": "2026-11-22T04:00:00Z"{failed}}}}}"#,
            "0".repeat(40)
        )
    };
    host.put_state("warm-keycloak", &installing(""));
    for verb in [&CREATE[..], &["realm", "delete", "wiki-abcdef"], &["realm", "reap", "--older-than", "2h"]] {
        let began = Instant::now();
        let said = host.run(&[verb, &["--within", "1s"]].concat());
        tells(&said, 15, &["cold: the first install of warm-keycloak is under way", "evenkeel status warm-keycloak"]);
        assert!(began.elapsed() >= Duration::from_secs(1), "it did not wait");
    }
    host.put_state("warm-keycloak", &installing(r#", "failed": "it crashes""#));
    tells(&host.run(&CREATE), 15, &["cold: the first install of warm-keycloak failed"]);
}

#[test]
fn everything_that_is_wrong_with_a_run_is_told_at_once() {
    let host = Host::new();
    let said = host.run(&["realm", "create", "--parent", "A/B", "--run", "", "--out", "/nowhere/realm.json"]);
    tells(&said, 64, &["--parent", "A/B", "--run", "any text but none", "--out", "there is no folder /nowhere"]);
    let long = "x".repeat(2000);
    tells(&host.run(&["realm", "check", "--parent", "wiki", "--run", &long]), 64, &["--run", "at most 1024 bytes"]);
    for name in ["master", "wiki", "../master", "wiki-ABCDEF"] {
        tells(&host.run(&["realm", "delete", name]), 64, &[name, "<parent>-<6 hex digits>"]);
    }
}

#[test]
fn odd_run_ids_are_runs_like_others() {
    let host = Host::new();
    for id in
        [" ", "a b/c?d=e#f", "läuft 🦀", "-1", "--x", "-h", "--", "'; drop table REALM", "$(reboot)", "\u{1b}[31m"]
    {
        for verb in ["create", "check", "delete"] {
            for run in [&["--run", id][..], &[&format!("--run={id}")]] {
                tells(&host.run(&[&["realm", verb, "--parent", "wiki"], run].concat()), 15, &["cold"]);
            }
        }
    }
}

/// Nor is anything asked then: the secrets would have nowhere to go.
#[test]
fn secrets_are_not_printed_into_a_file_that_others_can_read() {
    let host = Host::new();
    let path = host.path("realm.json");
    let file = File::create(&path).unwrap();
    for (mode, code) in [(0o644, 64), (0o640, 64), (0o600, 15)] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let output = host.command(&CREATE).stdout(file.try_clone().unwrap()).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{mode:o}: {output:?}");
    }
    assert_eq!(fs::read(&path).unwrap(), b"");
    for out in ["/dev/null", "/dev/stdout", "/"] {
        tells(&host.run(&[&CREATE[..], &["--out", out]].concat()), 64, &["--out", out]);
    }
}

#[test]
fn secrets_are_not_printed_into_the_journal() {
    let host = Host::new();
    let create = |stream: &dyn Fn(&Metadata) -> String, more: &[&str]| {
        let stdout = File::from(OwnedFd::from(io::pipe().unwrap().1));
        let mut command = host.command(&[&CREATE[..], more].concat());
        command.env("JOURNAL_STREAM", stream(&stdout.metadata().unwrap())).stdout(stdout);
        said(&mut command)
    };
    let own = |stdout: &Metadata| format!("{}:{}", stdout.dev(), stdout.ino());
    let another = |stdout: &Metadata| format!("{}:{}", stdout.dev(), stdout.ino() + 1);
    tells(&create(&own, &[]), 64, &["stdout is the journal", "--out FILE"]);
    tells(&create(&own, &["--out", host.path("realm.json").to_str().unwrap()]), 15, &["cold"]);
    tells(&create(&another, &[]), 15, &["cold"]);
}

#[test]
fn a_configuration_that_cannot_be_read_is_an_error_and_not_cold() {
    tells(&said(program().args(["--config", "/nowhere/config.toml"]).args(CREATE)), 1, &["read the configuration"]);
}

#[test]
fn a_state_that_cannot_be_read_is_an_error_and_not_cold() {
    let host = Host::new().table(PROXY).table(KEYCLOAK);
    host.put_state("warm-keycloak", "{ half a state");
    tells(&host.run(&CREATE), 1, &["state.json"]);
}
