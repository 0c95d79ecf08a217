//! Deploys over what runs.

use super::facts::Fact::{
    Completed, Ended, Is, Mode, NoService, NoneRuns, Previous, Restarted, Runs, Says, Unhealthy, Untouched, Update,
    WrittenOnly,
};
use super::situation::{STAYS, Situation, app, of_image, on_overlay, service, stack};

const ILL: &str = "healthcheck: {test: [CMD-SHELL, 'exit 1'], interval: 500ms, timeout: 5s, retries: 2}";
const BACK: &[&str] = &["the previous one runs again"];
const SO_ALREADY: &[&str] = &["the Swarm has it so already, nothing was written"];

pub fn all() -> Vec<Situation> {
    [well(), crashes(), unhealthy(), no_place(), one_shots(), not_updates(), nothing_to_do()]
        .into_iter()
        .flatten()
        .collect()
}

fn old() -> String {
    app("old", STAYS, "")
}

/// A change to what fails, which we put back.
fn fails(name: &'static str, compose: String, words: &[&'static str]) -> Situation {
    Situation::change(name, old(), compose).we_say("unhealthy", 14, words).leaving([Runs("app", 1, "old")])
}

/// Swarm's part of a deploy, as the recipe asks for it.
fn updated(how: &str) -> String {
    format!("deploy: {{restart_policy: {{delay: 500ms}}, update_config: {{monitor: 2s, {how}}}}}")
}

fn well() -> Vec<Situation> {
    let slow_end = "trap 'sleep 6; exit 0' TERM; sleep 1000000 & wait";
    let deaf = "trap '' TERM; while :; do sleep 1; done";
    let patient = "deploy: {update_config: {monitor: 1s}}";
    let ends = |script| app("old", script, patient).replace("stop_grace_period: 2s", "stop_grace_period: 20s");
    let late = "healthcheck: {test: [CMD, test, -e, /tmp/up], interval: 500ms, retries: 2, start_period: 60s}";
    let slow = "sleep 8; touch /tmp/up; trap 'exit 0' TERM; sleep 1000000 & wait";
    let first = format!("deploy: {{update_config: {{order: start-first}}}}, {late}");
    vec![
        Situation::change("change: comes up", old(), app("new", STAYS, "")).works([Runs("app", 1, "new")]).we_say(
            "applied",
            0,
            &["changed"],
        ),
        Situation::change("change: start-first", old(), app("new", STAYS, &updated("order: start-first")))
            .works([Runs("app", 1, "new")]),
        Situation::change("change: the old one needs 6 s to end", ends(slow_end), app("new", STAYS, patient))
            .works([Runs("app", 1, "new"), Ended("app", 0)]),
        Situation::change("change: the old one has to be killed", app("old", deaf, ""), app("new", STAYS, ""))
            .works([Runs("app", 1, "new"), Ended("app", 137)]),
        Situation::change("change: start-first, healthy after 8 s", old(), app("new", slow, &first))
            .works([Runs("app", 1, "new")]),
    ]
}

fn crashes() -> Vec<Situation> {
    let crash = |how: &str| app("new", "exit 3", &updated(how));
    let flickers = "[ -e /shared/up ] || { touch /shared/up; exit 1; }; trap 'exit 0' TERM; sleep 1000000 & wait";
    let shared = format!("volumes: ['{{dir}}:/shared'], {}", updated("failure_action: pause"));
    let missing = |how: &str| stack(&[of_image("nope:1", "app", "new", STAYS, &updated(how))]);
    let two = |mark, script| {
        stack(&[service("app", mark, STAYS, ""), service("db", mark, script, &updated("order: stop-first"))])
    };
    let starts_anew = "sleep 1; exit 6";
    vec![
        fails("change: crashes, pause", crash("failure_action: pause"), &["exit code 3", BACK[0]])
            .fails([Update("app", "paused"), Ended("app", 3)]),
        fails(
            "change: crashes, rollback",
            crash("failure_action: rollback"),
            &["rolled back by Swarm itself", BACK[0]],
        )
        .fails([Update("app", "rollback_completed"), Runs("app", 1, "old")]),
        fails("change: crashes, start-first, rollback", crash("failure_action: rollback, order: start-first"), BACK)
            .fails([Update("app", "rollback_completed"), Runs("app", 1, "old")]),
        fails("change: crashes, continue", crash("failure_action: continue"), &["exit code 3", BACK[0]])
            .fails([Update("app", "completed"), Ended("app", 3)]),
        fails(
            "change: crashes after the monitor",
            app("new", "sleep 8; exit 6", &updated("failure_action: rollback")),
            &["crashes again and again", "exit code 6", BACK[0]],
        )
        .gate(r#"stable_for = "12s""#)
        .fails([Update("app", "completed"), Ended("app", 6)]),
        fails(
            "change: crashes after a second, pause",
            app("new", starts_anew, &updated("failure_action: pause")),
            BACK,
        )
        .gate(r#"stable_for = "5s""#)
        .fails([Update("app", "paused"), Ended("app", 6)]),
        Situation::change("change: ends once and then stays, pause", old(), app("new", flickers, &shared))
            .works([Update("app", "paused"), Runs("app", 1, "new")]),
        fails(
            "change: image missing, pause",
            missing("failure_action: pause"),
            &["image nope:1 is not on this machine"],
        )
        .fails([Says("app", "No such image: nope:1"), NoneRuns("app")])
        .we_say("error", 1, &["image nope:1 is not on this machine"])
        .leaving([Runs("app", 1, "old")]),
        fails(
            "change: image missing, start-first, rollback",
            missing("failure_action: rollback, order: start-first"),
            &[],
        )
        .fails([Update("app", "rollback_completed"), Runs("app", 1, "old")])
        .we_say("error", 1, &["image nope:1 is not on this machine"])
        .leaving([Runs("app", 1, "old")]),
        Situation::change("change: one of two crashes", two("old", STAYS), two("new", "exit 7"))
            .once([Runs("app", 1, "old"), Runs("db", 1, "old")])
            .fails([Runs("app", 1, "new"), Ended("db", 7)])
            .we_say("unhealthy", 14, &["_db", "exit code 7", BACK[0]])
            .leaving([Runs("app", 1, "old"), Runs("db", 1, "old")]),
    ]
}

fn unhealthy() -> Vec<Situation> {
    let ends_badly = "exec sleep 1000000";
    let ill = |script, how| app("new", script, &format!("{ILL}, {}", updated(how)));
    vec![
        fails(
            "change: unhealthy, rollback",
            ill(ends_badly, "failure_action: rollback"),
            &["rolled back by Swarm itself", BACK[0]],
        )
        .fails([Update("app", "rollback_completed"), Runs("app", 1, "old")]),
        fails("change: unhealthy, pause", ill(ends_badly, "failure_action: pause"), &["unhealthy", BACK[0]])
            .fails([Update("app", "paused"), Unhealthy("app")]),
        fails("change: unhealthy, ends with 0, rollback", ill(STAYS, "failure_action: rollback"), BACK)
            .fails([Update("app", "rollback_completed"), Runs("app", 1, "old")]),
        fails("change: unhealthy, ends with 0, pause", ill(STAYS, "failure_action: pause"), &["unhealthy", BACK[0]])
            .fails([Update("app", "paused"), Unhealthy("app")]),
    ]
}

fn no_place() -> Vec<Situation> {
    let elsewhere = "deploy: {placement: {constraints: ['node.labels.disk == fast']}}";
    let port = |mark, more: &str| {
        let port = "ports: [{target: 80, published: {port}, mode: host}]";
        on_overlay(&[service("app", mark, STAYS, &format!("{port}{more}"))])
    };
    vec![
        fails("change: no node has what it wants", app("new", STAYS, elsewhere), &["no suitable node", BACK[0]])
            .fails([Update("app", "updating"), NoneRuns("app"), Is("app", "pending")]),
        Situation::change(
            "change: start-first with a host port",
            port("old", ""),
            port("new", ", deploy: {update_config: {order: start-first}}"),
        )
        .fails([Update("app", "updating"), Runs("app", 1, "old"), Is("app", "pending")])
        .we_say("applied", 0, &["changed"])
        .leaving([Runs("app", 1, "new")]),
    ]
}

fn one_shots() -> Vec<Situation> {
    let shot = |mark, script, how: &str| {
        let policy = format!("deploy: {{restart_policy: {{condition: none}}, update_config: {{monitor: 2s, {how}}}}}");
        app(mark, script, &policy)
    };
    let once = |name, how: &str, script| {
        Situation::change(name, shot("old", "exit 0", how), shot("new", script, how))
            .once([Completed("app", 1)])
            .gate(r#"stable_for = "10s""#)
    };
    let job = |mark, script| app(mark, script, "deploy: {mode: replicated-job, restart_policy: {condition: none}}");
    vec![
        once("change: one-shot succeeds, pause", "failure_action: pause", "sleep 1").works([
            Update("app", "paused"),
            Completed("app", 2),
            NoneRuns("app"),
        ]),
        once("change: one-shot succeeds, rollback", "failure_action: rollback", "sleep 1")
            .fails([NoneRuns("app"), Ended("app", 0)])
            .we_say("unhealthy", 14, &["rolled back by Swarm itself"])
            .leaving([NoneRuns("app")]),
        once("change: one-shot fails, pause", "failure_action: pause", "sleep 1; exit 4")
            .fails([Update("app", "paused"), Ended("app", 4)])
            .we_say("unhealthy", 14, &["exit code 4", BACK[0]])
            .leaving([NoneRuns("app"), Ended("app", 4)]),
        Situation::change("change: job succeeds", job("old", "sleep 1"), job("new", "sleep 2"))
            .once([Completed("app", 1)])
            .works([Completed("app", 2), NoneRuns("app")]),
        Situation::change("change: job fails", job("old", "sleep 1"), job("new", "sleep 2; exit 5"))
            .once([Completed("app", 1)])
            .fails([Ended("app", 5), NoneRuns("app")])
            .we_say("unhealthy", 14, &["exit code 5", BACK[0]])
            .leaving([Ended("app", 5), NoneRuns("app")]),
    ]
}

/// What Swarm cannot do to a service or config that is there, or does not do by itself.
fn not_updates() -> Vec<Situation> {
    let config = |mark| {
        let app = app(mark, "cat /conf; exec sleep 1000000", "configs: [{source: conf, target: /conf}]");
        format!("{app}configs: {{conf: {{file: '{{dir}}/body'}}}}\n")
    };
    let both = stack(&[service("app", "old", STAYS, ""), service("extra", "old", STAYS, "")]);
    let job = "deploy: {mode: replicated-job, restart_policy: {condition: none}}";
    let with_job = stack(&[service("app", "old", STAYS, ""), service("job", "old", "sleep 1", job)]);
    let labelled = |label: &str| app("old", STAYS, &format!("deploy: {{labels: {{tier: {label}}}}}"));
    vec![
        Situation::change("change: replicated to global", old(), app("new", STAYS, "deploy: {mode: global}"))
            .fails([Mode("app", "Replicated"), Runs("app", 1, "old")])
            .we_say("applied", 0, &["changed"])
            .leaving([Mode("app", "Global"), Runs("app", 1, "new")]),
        Situation::change("change: body of a config, same name", config("old"), config("new"))
            .by_hand(|place| place.file("body", b"second body"))
            .fails([Runs("app", 1, "old")])
            .we_say("applied", 0, &["created config", "_conf"])
            .leaving([Runs("app", 1, "new")]),
        Situation::change("change: a service is left out", both, old())
            .once([Runs("app", 1, "old"), Runs("extra", 1, "old")])
            .fails([Runs("app", 1, "old"), Runs("extra", 1, "old")])
            .we_say("applied", 0, &["_extra"])
            .leaving([Runs("app", 1, "old"), NoService("extra")]),
        Situation::change("change: a job that is done is left out", with_job, old())
            .once([Runs("app", 1, "old"), Completed("job", 1)])
            .fails([Runs("app", 1, "old"), Completed("job", 1)])
            .we_say("applied", 0, &["removed service", "_job"])
            .leaving([Runs("app", 1, "old"), NoService("job")]),
        Situation::change("change: a label alone", labelled("a"), labelled("b"))
            .works([WrittenOnly, Runs("app", 1, "old")]),
        Situation::change("change: replicas alone", old(), app("old", STAYS, "deploy: {replicas: 2}"))
            .works([Runs("app", 2, "old")]),
        Situation::change("change: replicas to 0", old(), app("old", STAYS, "deploy: {replicas: 0}"))
            .works([NoneRuns("app")]),
        Situation::change(
            "change: limits of rollback alone",
            old(),
            app("old", STAYS, "deploy: {rollback_config: {delay: 3s}}"),
        )
        .works([WrittenOnly, Runs("app", 1, "old")]),
    ]
}

fn nothing_to_do() -> Vec<Situation> {
    let new = || app("new", STAYS, "");
    let ports = |first: &str, second: &str| {
        let port = |protocol: &str| format!("{{target: 53, published: {{port}}, protocol: {protocol}, mode: host}}");
        let ports = format!("ports: [{}, {}]", port(first), port(second));
        on_overlay(&[service("app", "old", STAYS, &ports)])
    };
    let spelt_out = "deploy: {mode: replicated, replicas: 1, placement: {}}, ports: []";
    let awaits = {
        let script = "[ -e /shared/up ] || exit 1; trap 'exit 0' TERM; sleep 1000000 & wait";
        app("old", script, "volumes: ['{dir}:/shared'], deploy: {restart_policy: {delay: 500ms}}")
    };
    let bad = || app("new", "exit 3", &updated("failure_action: rollback"));
    vec![
        Situation::change("again: what runs, after a change", old(), new())
            .after(new(), [Runs("app", 1, "new")])
            .works([Runs("app", 1, "new"), Previous("app", "new")])
            .we_say("converged", 0, &[])
            .leaving([Untouched, Runs("app", 1, "new"), Previous("app", "old")]),
        Situation::again("again: what runs, after its install", old())
            .works([WrittenOnly, Runs("app", 1, "old")])
            .we_say("converged", 0, &[])
            .leaving([Untouched, Runs("app", 1, "old")]),
        Situation::change("again: the same in other words", old(), app("old", STAYS, spelt_out))
            .works([Runs("app", 1, "old")])
            .we_say("applied", 0, SO_ALREADY)
            .leaving([Untouched, Runs("app", 1, "old")]),
        Situation::change("again: ports in another order", ports("udp", "tcp"), ports("tcp", "udp"))
            .works([Restarted, Runs("app", 1, "old")])
            .we_say("applied", 0, SO_ALREADY)
            .leaving([Untouched, Runs("app", 1, "old")]),
        Situation::again("again: a job that is done", {
            app("old", "sleep 1", "deploy: {mode: replicated-job, restart_policy: {condition: none}}")
        })
        .once([Completed("app", 1)])
        .works([Completed("app", 2)])
        .we_say("converged", 0, &[])
        .leaving([Untouched, Completed("app", 1)]),
        Situation::change("again: what Swarm has rolled back", old(), bad())
            .after(bad(), [Update("app", "rollback_completed"), Runs("app", 1, "old")])
            .fails([Update("app", "rollback_completed"), Runs("app", 1, "old"), Ended("app", 3)])
            .we_say("unhealthy", 14, &["is not tried again by itself"])
            .leaving([Untouched, Runs("app", 1, "old")]),
        Situation::again(
            "again: what crashes since",
            app(
                "old",
                "while [ ! -e /shared/end ]; do sleep 1; done; exit 8",
                "volumes: ['{dir}:/shared'], deploy: {restart_policy: {delay: 500ms}}",
            ),
        )
        .by_hand(|place| {
            place.file("end", b"");
            place.until(&[Ended("app", 8)], &super::facts::Seen::default()).unwrap();
        })
        .fails([Ended("app", 8), NoneRuns("app")])
        .gate(r#"stable_for = "4s", within = "20s""#)
        .we_say("unhealthy", 14, &["exit code 8"])
        .leaving([Ended("app", 8)]),
        Situation::again("again: what came up after its install had failed", awaits)
            .once([Ended("app", 1)])
            .by_hand(|place| {
                place.file("up", b"");
                place.until(&[Runs("app", 1, "old")], &super::facts::Seen::default()).unwrap();
            })
            .works([WrittenOnly, Runs("app", 1, "old")])
            .we_say("applied", 0, &["has come up by itself after its first install had failed"])
            .leaving([Untouched, Runs("app", 1, "old")]),
        Situation::change(
            "again: an undeclared volume",
            old(),
            on_overlay(&[service("app", "new", STAYS, "volumes: ['data:/data']")]),
        )
        .fails([Runs("app", 1, "old")])
        .we_say("blocked", 12, &["data"])
        .leaving([Untouched, Runs("app", 1, "old")]),
    ]
}
