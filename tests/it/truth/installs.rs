//! First deploys. From nothing, Swarm itself never judges.

use super::facts::Fact::{
    Completed, Ended, Is, Mode, NoService, NoneIs, NoneRuns, NothingThere, OutOfMemory, Runs, Says, Unhealthy,
};
use super::situation::{STAYS, Situation, app, of_image, on_overlay, service, stack};

const QUICK: &str = "deploy: {restart_policy: {delay: 500ms}}";
const ILL: &str = "healthcheck: {test: [CMD-SHELL, 'exit 1'], interval: 500ms, timeout: 5s, retries: 2}";

pub fn all() -> Vec<Situation> {
    [well(), crashes(), unhealthy(), one_shots(), jobs(), no_place(), starts_late()].into_iter().flatten().collect()
}

fn well() -> Vec<Situation> {
    vec![
        Situation::install("install: comes up", app("new", STAYS, "")).works([Runs("app", 1, "new")]).we_say(
            "applied",
            0,
            &["installed"],
        ),
        Situation::install("install: three replicas", app("new", STAYS, "deploy: {replicas: 3}"))
            .works([Runs("app", 3, "new")]),
        Situation::install("install: global service", app("new", STAYS, "deploy: {mode: global}"))
            .works([Mode("app", "Global"), Runs("app", 1, "new")]),
        Situation::install("install: replicas 0", app("new", "exit 1", "deploy: {replicas: 0}"))
            .works([NoneRuns("app"), NoneIs("app", "failed")]),
    ]
}

fn crashes() -> Vec<Situation> {
    let crash = |script| app("new", script, QUICK);
    let two = stack(&[service("app", "new", STAYS, ""), service("db", "new", "exit 7", QUICK)]);
    let greedy = "a=xxxxxxxxxxxxxxxx; while :; do a=$$a$$a; done";
    let little = "deploy: {restart_policy: {delay: 500ms}, resources: {limits: {memory: 16M}}}";
    vec![
        Situation::install("install: crashes at once", crash("echo no table; exit 3"))
            .fails([Ended("app", 3)])
            .we_say("unhealthy", 14, &["crashes again and again", "exit code 3", "no table"])
            .leaving([Ended("app", 3)]),
        Situation::install("install: crashes every 7 s", crash("sleep 7; exit 6"))
            .fails([Ended("app", 6)])
            .gate(r#"stable_for = "12s""#)
            .we_say("unhealthy", 14, &["crashes again and again", "exit code 6"])
            .leaving([Ended("app", 6)]),
        Situation::install("install: ends with 0, and should stay", crash("sleep 1"))
            .fails([Ended("app", 0)])
            .gate(r#"stable_for = "4s", within = "20s""#)
            .we_say("unhealthy", 14, &["ends again and again", "exit code 0"])
            .leaving([Ended("app", 0)]),
        Situation::install("install: one of two crashes", two)
            .fails([Runs("app", 1, "new"), Ended("db", 7)])
            .we_say("unhealthy", 14, &["_db crashes again and again", "exit code 7"])
            .leaving([Runs("app", 1, "new"), Ended("db", 7)]),
        Situation::install("install: too little memory", app("new", greedy, little))
            .fails([OutOfMemory("app"), Ended("app", 137)])
            .gate(r#"stable_for = "20s""#)
            .we_say("unhealthy", 14, &["crashes again and again", "137"])
            .leaving([OutOfMemory("app")]),
        Situation::install("install: no such program", stack(&[of_program("/bin/serve")]))
            .fails([Says("app", "no such file or directory"), NoneRuns("app")])
            .we_say("unhealthy", 14, &["cannot be started", "/bin/serve"])
            .leaving([NoneRuns("app")]),
        Situation::install("install: image missing", stack(&[of_image("nope:1", "app", "new", STAYS, QUICK)]))
            .fails([Says("app", "No such image: nope:1")])
            .we_say("error", 1, &["image nope:1 is not on this machine"])
            .leaving([NothingThere]),
    ]
}

fn of_program(program: &str) -> String {
    format!("app: {{image: '{{image}}', entrypoint: [{program}], environment: {{MARK: new}}, {QUICK}}}")
}

fn unhealthy() -> Vec<Situation> {
    let ends_well = "trap 'exit 0' TERM; sleep 1000000 & wait";
    let ends_badly = "exec sleep 1000000";
    let once = format!("{ILL}, deploy: {{restart_policy: {{condition: on-failure}}}}");
    vec![
        Situation::install("install: unhealthy", app("new", ends_badly, &format!("{ILL}, {QUICK}")))
            .fails([Unhealthy("app"), Says("app", "unhealthy container")])
            .we_say("unhealthy", 14, &["_app", "unhealthy"])
            .leaving([Unhealthy("app")]),
        Situation::install("install: unhealthy, ends with 0", app("new", ends_well, &format!("{ILL}, {QUICK}")))
            .fails([Unhealthy("app"), Ended("app", 0)])
            .we_say("unhealthy", 14, &["_app", "unhealthy"])
            .leaving([Unhealthy("app"), Ended("app", 0)]),
        Situation::install("install: unhealthy, ends with 0, for good", app("new", ends_well, &once))
            .fails([Unhealthy("app"), Completed("app", 1), NoneRuns("app")])
            .we_say("unhealthy", 14, &["_app failed and is not started again", "unhealthy"])
            .leaving([Unhealthy("app"), NoneRuns("app")]),
    ]
}

fn one_shots() -> Vec<Situation> {
    let once = |script| app("new", script, "deploy: {restart_policy: {condition: none}}");
    let thrice = "deploy: {restart_policy: {condition: on-failure, delay: 500ms, max_attempts: 2}}";
    let second = "[ -e /shared/tried ] && exit 0; touch /shared/tried; exit 1";
    let retried = "volumes: ['{dir}:/shared'], deploy: {restart_policy: {condition: on-failure, delay: 500ms}}";
    vec![
        Situation::install("install: one-shot succeeds", once("sleep 1; exit 0"))
            .works([Completed("app", 1), NoneRuns("app")])
            .gate(r#"stable_for = "10s""#),
        Situation::install("install: one-shot fails", once("sleep 1; exit 4"))
            .fails([Ended("app", 4), NoneRuns("app")])
            .gate(r#"stable_for = "10s""#)
            .we_say("unhealthy", 14, &["failed and is not started again", "exit code 4"])
            .leaving([Ended("app", 4), NoneRuns("app")]),
        Situation::install("install: one-shot succeeds the second time", app("new", second, retried)).works([
            Ended("app", 1),
            Completed("app", 1),
            NoneRuns("app"),
        ]),
        Situation::install("install: one-shot out of attempts", app("new", "exit 4", thrice))
            .fails([Ended("app", 4), NoneRuns("app")])
            .gate(r#"stable_for = "10s""#)
            .we_say("unhealthy", 14, &["_app", "exit code 4"])
            .leaving([Ended("app", 4), NoneRuns("app")]),
    ]
}

fn jobs() -> Vec<Situation> {
    let job = |mode: &str, script: &str| {
        let deploy = format!("deploy: {{mode: {mode}, restart_policy: {{condition: none}}}}");
        app("new", script, &deploy)
    };
    let two = app("new", "sleep 1", "deploy: {mode: replicated-job, replicas: 2, restart_policy: {condition: none}}");
    vec![
        Situation::install("install: job succeeds", job("replicated-job", "sleep 1")).works([Completed("app", 1)]),
        Situation::install("install: job of two succeeds", two).works([Completed("app", 2)]),
        Situation::install("install: job fails", job("replicated-job", "sleep 1; exit 5"))
            .fails([Ended("app", 5), NoneRuns("app")])
            .we_say("unhealthy", 14, &["_app failed and is not started again", "exit code 5"])
            .leaving([Ended("app", 5)]),
        Situation::install("install: global job succeeds", job("global-job", "sleep 1")).works([Completed("app", 1)]),
        Situation::install("install: global job fails", job("global-job", "sleep 1; exit 5"))
            .fails([Ended("app", 5), NoneRuns("app")])
            .we_say("unhealthy", 14, &["_app failed and is not started again", "exit code 5"])
            .leaving([Ended("app", 5)]),
    ]
}

/// Swarm waits for ever, and makes no event of it.
fn no_place() -> Vec<Situation> {
    let elsewhere = "placement: {constraints: ['node.labels.disk == fast']}";
    let port = "ports: [{target: 80, published: {port}, mode: host}], deploy: {restart_policy: {delay: 500ms}}";
    let port_of =
        |names: &[&str]| on_overlay(&names.iter().map(|name| service(name, "new", STAYS, port)).collect::<Vec<_>>());
    let spread = "deploy: {replicas: 2, placement: {max_replicas_per_node: 1}}";
    let large = "deploy: {resources: {reservations: {memory: 4000G}}}";
    let none_runs = || [NoneRuns("app"), Is("app", "pending")];
    let narrow = "deploy: {replicas: 12, endpoint_mode: dnsrr}";
    let few_addresses = format!(
        "{}networks: {{default: {{ipam: {{config: [{{subnet: 10.77.{{net}}.0/29}}]}}}}}}\n",
        on_overlay(&[service("app", "new", STAYS, narrow)])
    );
    vec![
        Situation::install(
            "install: no node has what it wants",
            app("new", STAYS, &format!("deploy: {{{elsewhere}}}")),
        )
        .fails(none_runs())
        .we_say("unhealthy", 14, &["_app finds no place to run", "no suitable node"])
        .leaving(none_runs()),
        Situation::install(
            "install: global service, no eligible node",
            app("new", STAYS, &format!("deploy: {{mode: global, {elsewhere}}}")),
        )
        .fails([Mode("app", "Global"), NoneRuns("app")])
        .we_say("unhealthy", 14, &["_app finds no place to run"])
        .leaving([NoneRuns("app")]),
        Situation::change(
            "change: a second service wants the same port",
            port_of(&["other"]),
            port_of(&["app", "other"]),
        )
        .once([Runs("other", 1, "new")])
        .fails([Runs("other", 1, "new"), Says("app", "host-mode port already in use")])
        .we_say("unhealthy", 14, &["host-mode port already in use", "the previous one runs again"])
        .leaving([Runs("other", 1, "new"), NoService("app")]),
        Situation::install("install: port taken by a container outside of Swarm", port_of(&["app"]))
            .by_hand(|place| place.take_the_port())
            .fails([Says("app", "port is already allocated"), NoneRuns("app")])
            .we_say("unhealthy", 14, &["_app", "port is already allocated"])
            .leaving([NoneRuns("app")]),
        Situation::install("install: one replica too many", app("new", STAYS, spread))
            .fails([Runs("app", 1, "new"), Is("app", "pending")])
            .we_say("unhealthy", 14, &["_app finds no place to run", "max replicas per node"])
            .leaving([Runs("app", 1, "new")]),
        Situation::install("install: more memory than there is", app("new", STAYS, large))
            .fails(none_runs())
            .we_say("unhealthy", 14, &["_app finds no place to run", "insufficient resources"])
            .leaving(none_runs()),
        Situation::install(
            "install: bind path missing",
            app("new", STAYS, &format!("volumes: ['{{dir}}/nope:/x'], {QUICK}")),
        )
        .fails([Is("app", "rejected"), Says("app", "bind source path does not exist")])
        .we_say("unhealthy", 14, &["_app cannot be started", "bind source path does not exist"])
        .leaving([Is("app", "rejected")]),
        Situation::install("install: no address left", few_addresses)
            .fails([Is("app", "new")])
            .gate(r#"stable_for = "1s", within = "15s""#)
            .we_say("unhealthy", 14, &["_app waits for an address on its networks"])
            .leaving([Is("app", "new")]),
    ]
}

fn starts_late() -> Vec<Situation> {
    let late = "healthcheck: {test: [CMD, test, -e, /tmp/up], interval: 500ms, retries: 2, start_period: 60s}";
    let slow = "sleep 8; touch /tmp/up; trap 'exit 0' TERM; sleep 1000000 & wait";
    let wants = "[ -e /shared/up ] || exit 1; trap 'exit 0' TERM; sleep 1000000 & wait";
    let database = "sleep 12; touch /shared/up; trap 'exit 0' TERM; sleep 1000000 & wait";
    let shared = "volumes: ['{dir}:/shared']";
    let checked = "healthcheck: {test: [CMD, test, -e, /shared/up], interval: 500ms, retries: 2, start_period: 60s}";
    let late_database = stack(&[
        service("app", "new", wants, &format!("{shared}, {QUICK}")),
        service("db", "new", database, &format!("{shared}, {checked}")),
    ]);
    vec![
        Situation::install("install: healthy after 8 s", app("new", slow, late)).works([Runs("app", 1, "new")]),
        Situation::install("install: crashes until its database is up", late_database).works([
            Ended("app", 1),
            Runs("app", 1, "new"),
            Runs("db", 1, "new"),
        ]),
    ]
}
