//! What cannot be deployed as it is written.

use super::facts::Fact::{NoService, NothingThere, OnlyMade, Runs};
use super::situation::{STAYS, Situation, app, of_image, on_overlay, service, stack};

const MEGABYTE: usize = 1024 * 1024;

pub fn all() -> Vec<Situation> {
    let blocked = |name, compose: String, words: &[&'static str]| {
        Situation::install(name, compose).we_say("blocked", 12, words).leaving([NothingThere])
    };
    let with = |more: &str, top: &str| format!("{}{top}\n", app("new", STAYS, more));
    let long = "n".repeat(60);
    vec![
        blocked(
            "install: secret missing",
            with("secrets: [key]", "secrets: {key: {external: true, name: '{stack}_nope'}}"),
            &["_nope"],
        )
        .fails([NothingThere]),
        blocked(
            "install: config missing",
            with("configs: [conf]", "configs: {conf: {external: true, name: '{stack}_nope'}}"),
            &["_nope"],
        )
        .fails([NothingThere]),
        blocked(
            "install: config too large",
            with("configs: [conf]", "configs: {conf: {file: '{dir}/large'}}"),
            &["conf"],
        )
        .by_hand(|place| place.file("large", &vec![b'x'; MEGABYTE]))
        .fails([NothingThere]),
        blocked("install: secret too large", with("secrets: [key]", "secrets: {key: {file: '{dir}/large'}}"), &["key"])
            .by_hand(|place| place.file("large", &vec![b'x'; MEGABYTE]))
            .fails([NothingThere]),
        blocked("install: secret empty", with("secrets: [key]", "secrets: {key: {file: '{dir}/empty'}}"), &["key"])
            .by_hand(|place| place.file("empty", b""))
            .fails([NothingThere]),
        blocked(
            "install: service name too long",
            on_overlay(&[service(&long, "new", STAYS, "")]),
            &["characters", "63 are allowed"],
        )
        .fails([OnlyMade("networks")]),
        blocked(
            "install: config name too long",
            with(&format!("configs: [{long}]"), &format!("configs: {{{long}: {{file: '{{dir}}/body'}}}}")),
            &["characters", "64 are allowed"],
        )
        .fails([NothingThere]),
        blocked(
            "install: volume not declared",
            on_overlay(&[service("app", "new", STAYS, "volumes: ['data:/data']")]),
            &["data"],
        )
        .fails([OnlyMade("networks")]),
        blocked(
            "install: network missing",
            format!("{}networks: {{default: {{external: true, name: '{{stack}}_nope'}}}}\n", on_overlay(&[well()])),
            &["_nope"],
        )
        .fails([NothingThere]),
        blocked("install: network label lost", on_overlay(&[well()]), &["_default"])
            .by_hand(|place| drop(place.docker(&["network", "create", "--driver=overlay", "{stack}_default"])))
            .fails([NoService("app")]),
        blocked(
            "install: image name malformed",
            stack(&[of_image("x::1", "app", "new", STAYS, "")]),
            &["invalid reference format"],
        )
        .fails([NothingThere]),
        Situation::change("change: secret missing", app("old", STAYS, ""), {
            with("secrets: [key]", "secrets: {key: {external: true, name: '{stack}_nope'}}")
        })
        .fails([Runs("app", 1, "old")])
        .we_say("blocked", 12, &["_nope"])
        .leaving([super::facts::Fact::Untouched, Runs("app", 1, "old")]),
    ]
}

fn well() -> String {
    service("app", "new", STAYS, "deploy: {endpoint_mode: dnsrr}")
}
