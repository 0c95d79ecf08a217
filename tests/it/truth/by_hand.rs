//! The same deploy again, after somebody has been at the stack.

use super::facts::Fact::{Ended, Is, NoService, NoneRuns, Runs, RunsImage, Untouched, Update};
use super::facts::Seen;
use super::place::Place;
use super::situation::{STAYS, Situation, app, of_image, on_overlay, service, stack};

pub fn all() -> Vec<Situation> {
    [repaired(), images(), removed(), paused()].into_iter().flatten().collect()
}

const ONCE: &str = "deploy: {restart_policy: {condition: none}}";

fn old() -> String {
    app("old", STAYS, "")
}

/// Declared before, changed by hand, and put right again.
fn mended(name: &'static str, compose: String, deed: fn(&Place)) -> Situation {
    Situation::again(name, compose).by_hand(deed).works([Runs("app", 1, "old")]).we_say("applied", 0, &["repaired"])
}

fn repaired() -> Vec<Situation> {
    vec![
        mended("by hand: scaled to 0", old(), |place| {
            place.docker(&["service", "scale", "--detach", "{stack}_app=0"]);
            place.until(&[NoneRuns("app")], &Seen::default()).unwrap();
        }),
        mended("by hand: scaled to 2", old(), |place| {
            place.docker(&["service", "scale", "--detach", "{stack}_app=2"]);
            place.until(&[Runs("app", 2, "old")], &Seen::default()).unwrap();
        }),
        mended("by hand: another value in its environment", old(), |place| {
            place.docker(&["service", "update", "--detach", "--env-add=MARK=mine", "{stack}_app"]);
            place.until(&[Runs("app", 1, "mine")], &Seen::default()).unwrap();
        }),
        mended("by hand: a service of the stack removed", old(), |place| {
            place.docker(&["service", "rm", "{stack}_app"]);
            place.until(&[NoService("app")], &Seen::default()).unwrap();
        }),
        Situation::again("by hand: a service added to the stack", old())
            .by_hand(|place| {
                let label = place.fill("--label=com.docker.stack.namespace={stack}");
                let container = place.fill("--container-label=com.docker.stack.namespace={stack}");
                let create =
                    ["service", "create", "--detach", "--name={stack}_extra", "--env=MARK=extra", "--network=host"];
                place.docker(&[&create[..], &[&label, &container, "{image}"]].concat());
                place.until(&[Runs("extra", 1, "extra")], &Seen::default()).unwrap();
            })
            .fails([Runs("app", 1, "old"), Runs("extra", 1, "extra")])
            .we_say("applied", 0, &["repaired", "_extra"])
            .leaving([Runs("app", 1, "old"), NoService("extra")]),
        Situation::again("by hand: restarted (update --force)", old())
            .by_hand(|place| {
                place.docker(&["service", "update", "--detach", "--force", "{stack}_app"]);
                place.until(&[Update("app", "completed"), Runs("app", 1, "old")], &Seen::default()).unwrap();
            })
            .works([Runs("app", 1, "old")])
            .we_say("converged", 0, &[])
            .leaving([Untouched, Runs("app", 1, "old")]),
        mended("by hand: an update that finds no place is under way", old(), |place| {
            let elsewhere = "--constraint-add=node.labels.disk==fast";
            place.docker(&["service", "update", "--detach", elsewhere, "{stack}_app"]);
            place.until(&[NoneRuns("app"), Is("app", "pending")], &Seen::default()).unwrap();
        }),
        Situation::change("by hand: rolled back", old(), app("new", STAYS, ""))
            .after(app("new", STAYS, ""), [Runs("app", 1, "new")])
            .by_hand(|place| {
                place.docker(&["service", "rollback", "--detach", "{stack}_app"]);
                place.until(&[Update("app", "rollback_completed"), Runs("app", 1, "old")], &Seen::default()).unwrap();
            })
            .works([Runs("app", 1, "new")])
            .we_say("applied", 0, &["repaired"]),
        Situation::again("by hand: killed, and not to be restarted", app("old", STAYS, ONCE))
            .by_hand(|place| {
                let label = "label=com.docker.stack.namespace={stack}";
                let container = place.docker(&["ps", "--quiet", "--filter", label]);
                place.docker(&["kill", container.trim()]);
                place.until(&[Ended("app", 137)], &Seen::default()).unwrap();
            })
            .fails([Ended("app", 137), NoneRuns("app")])
            .we_say("unhealthy", 14, &["_app failed and is not started again", "137"])
            .leaving([Untouched, NoneRuns("app")]),
    ]
}

fn images() -> Vec<Situation> {
    let own = || stack(&[of_image("{own}", "app", "old", STAYS, "")]);
    vec![
        Situation::again("by hand: image name moved", own())
            .by_hand(|place| drop(place.docker(&["tag", "standin:1.0.0", "{own}"])))
            .works([RunsImage("app", "evenkeel-test/busybox:1")])
            .we_say("converged", 0, &[])
            .leaving([Untouched, RunsImage("app", "evenkeel-test/busybox:1")]),
        Situation::again("by hand: image name moved, service removed", own())
            .by_hand(|place| {
                place.docker(&["tag", "standin:1.0.0", "{own}"]);
                place.docker(&["service", "rm", "{stack}_app"]);
                place.until(&[NoService("app")], &Seen::default()).unwrap();
            })
            .fails([RunsImage("app", "standin:1.0.0")])
            .we_say("applied", 0, &["repaired"])
            .leaving([RunsImage("app", "evenkeel-test/busybox:1")]),
    ]
}

/// The old container needs 40 s to end, and until then Swarm also lists a network that is removed.
fn removed() -> Vec<Situation> {
    let slow = "trap 'sleep 40; exit 0' TERM; sleep 1000000 & wait";
    let patient = |text: String| text.replace("stop_grace_period: 2s", "stop_grace_period: 90s");
    let app = |more: &str| patient(service("app", "old", slow, more));
    let remove = |place: &Place| drop(place.docker(&["stack", "rm", "{stack}"]));
    let volume = format!("{}volumes: {{data: {{}}}}\n", stack(&[app("volumes: ['data:/data']")]));
    vec![
        mended("by hand: stack removed, and gone", old(), |place| {
            place.docker(&["stack", "rm", "{stack}"]);
            place.until(&[NoService("app"), NoneRuns("app")], &Seen::default()).unwrap();
        }),
        Situation::again("by hand: stack with a volume removed, still ending", volume)
            .by_hand(remove)
            .fails([Runs("app", 2, "old")])
            .we_say("applied", 0, &["repaired"])
            .leaving([Runs("app", 1, "old")]),
        Situation::again("by hand: stack with a network removed, still ending", on_overlay(&[app("")]))
            .by_hand(remove)
            .fails([NoService("app")])
            .we_say("applied", 0, &["repaired"])
            .leaving([Runs("app", 1, "old")]),
    ]
}

/// Swarm keeps that word until the next write, however well it runs since.
fn paused() -> Vec<Situation> {
    let flickers = "[ -e /shared/body ] || { touch /shared/body; exit 1; }; trap 'exit 0' TERM; sleep 1000000 & wait";
    let policy = "deploy: {restart_policy: {delay: 500ms}, update_config: {monitor: 5s, failure_action: pause}}";
    vec![
        Situation::again(
            "by hand: paused long ago, runs since",
            app("old", flickers, &format!("volumes: ['{{dir}}:/shared'], {policy}")),
        )
        .by_hand(|place| {
            // A busy Swarm may overlook an end that comes at once, and complete the update.
            let paused = (0..3).any(|_| {
                std::fs::remove_file(place.path().join("body")).unwrap();
                place.docker(&["service", "update", "--detach", "--force", "{stack}_app"]);
                place.until(&[Update("app", "paused"), Runs("app", 1, "old")], &Seen::default()).is_ok()
            });
            assert!(paused, "the update is not paused");
        })
        .works([Runs("app", 1, "old")])
        .we_say("converged", 0, &[])
        .leaving([Untouched, Runs("app", 1, "old")]),
    ]
}
