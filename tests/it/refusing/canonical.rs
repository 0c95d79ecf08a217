//! What is refused of an app whose data is kept while it is idle.

use serde_json::{Value, json};

use super::{Host, PLAIN};
use crate::schemas::faults;

/// A host that enrols `wiki`.
fn enrolled() -> Host {
    Host::new().declares("canonical.wiki", &[("compose.yml", PLAIN)], "")
}

/// A compose file with a secret of this name behind the stack's.
fn with_secret(key: &str) -> String {
    format!(
        "{PLAIN}    secrets: [{key}]\nsecrets:\n  {key}: {{ external: true, name: \"${{STACK_NAME}}_{key}_${{V}}\" }}\n"
    )
}

#[test]
fn two_owners_of_one_stack_are_refused_with_both_and_their_places() {
    let host = Host::new().declares("warm_keycloak", &[("compose.yml", PLAIN)], "").declares(
        "canonical.keycloak",
        &[("compose.yml", PLAIN)],
        "",
    );
    let words = [
        "config.toml:8:12: error: canonical.keycloak: warm_keycloak (",
        "config.toml:4:2) has the domain warm-keycloak.x.example too, and so the same stack",
        "give one of them another `domain`",
    ];
    for verb in ["check", "plan", "status", "app", "warm-keycloak", "render"] {
        let named: &[&str] = if verb == "render" { &[verb, "keycloak"] } else { &[verb] };
        host.refuses(named, 1, &words);
    }
}

#[test]
fn what_keeps_apps_running_leaves_a_canonical_alone_and_says_what_does_not() {
    let host = enrolled();
    let words = ["[canonical.wiki] is idle between its uses", "`evenkeel canonical deploy wiki`", "nothing was done"];
    host.refuses(&["app", "wiki"], 1, &words);
    // Among all apps it is not meant.
    host.refuses(&["app"], 0, &[]);
}

#[test]
fn the_one_snapshot_of_a_canonical_is_nobodys_to_take_or_put_back_by_hand() {
    let host = enrolled();
    let untouched = "nothing was touched";
    let restore = "`evenkeel canonical idle wiki --restore`";
    host.refuses(&["rollback", "wiki", "--yes"], 12, &["wiki: blocked: wiki is a canonical", restore, untouched]);
    host.refuses(&["snapshot", "restore", "wiki", "--yes"], 12, &["wiki: blocked: ", restore, untouched]);
    let take = ["wiki: blocked: ", "`evenkeel canonical promote wiki`", untouched];
    host.refuses(&["snapshot", "take", "wiki"], 12, &take);
    host.refuses(&["snapshot", "list", "wiki"], 0, &[]);
}

#[test]
fn nothing_is_approved_of_a_canonical_that_has_no_data_yet() {
    let words = ["wiki: nothing of wiki is installed; `evenkeel canonical seed wiki`, or a sweep, begins it"];
    enrolled().refuses(&["approve", "wiki", "1.0.0+1.0.0"], 1, &words);
}

#[test]
fn a_canonical_is_checked_and_rendered_as_it_would_be_deployed() {
    let host = enrolled();
    host.refuses(&["check"], 0, &["wiki: fine at 1.0.0+1.0.0", "nothing is wrong"]);
    host.refuses(&["render", "wiki"], 0, &["\"Name\": \"warm-wiki_x_example_app\""]);
}

#[test]
fn the_longest_of_all_names_that_are_too_long_is_told_with_the_domain_that_would_do() {
    let (one, two) = ("a".repeat(45), "b".repeat(50));
    let compose = format!(
        "{PLAIN}    secrets: [{one}, {two}]\nsecrets:\n  {one}: {{ external: true, name: \"${{STACK_NAME}}_{one}_v1\" }}\n  \
         {two}: {{ external: true, name: \"${{STACK_NAME}}_{two}_v1\" }}\n"
    );
    let host = Host::new().declares("canonical.custom-html", &[("compose.yml", &compose)], "");
    let words = [
        "custom-html: error: the recipe at 1.0.0+1.0.0 cannot be taken as it is:",
        &format!(
            "secret {one}: the name \"warm-custom-html_x_example_{one}_v1\" has 75 characters, and 64 are allowed"
        ),
        &format!(
            "the longest name is that of secret {two}: \"warm-custom-html_x_example_{two}_v1\" has 80 characters, 16"
        ),
        "(a domain of at most 10 characters would do; this one has 26)",
    ];
    host.refuses(&["check"], 1, &words);
}

#[test]
fn a_name_that_only_a_sweep_would_find_too_long_is_told_by_check() {
    // The stack of the canonical is `w_io`, that of a sweep `wiki-000000_x_example`.
    let key = "k".repeat(45);
    let compose = with_secret(&key);
    let files = [("compose.yml", compose.as_str()), (".env.sample", "V=v1\n")];
    let host = Host::new().declares("canonical.wiki", &files, "domain = \"w.io\"");
    let words = [
        "wiki: error: a sweep could not try it in a throw-away stack, such as at wiki-000000.x.example",
        &format!("secret {key}: the name \"wiki-000000_x_example_{key}_v1\" has 70 characters, and 64 are allowed"),
        "the longest name is that of secret k",
        "(a domain of at most 15 characters would do; this one has 21)",
    ];
    host.refuses(&["check"], 1, &words);
    // The canonical itself is fine.
    host.refuses(&["render", "wiki"], 0, &[&format!("w_io_{key}_v1")]);
    let live = Host::new().app("wiki", &files, "domain = \"w.io\"");
    live.refuses(&["check"], 0, &["nothing is wrong"]);
}

#[test]
fn what_is_wrong_with_the_recipe_itself_is_told_once() {
    let compose = format!("{PLAIN}    secrets: [nope]\n");
    let host = Host::new().declares("canonical.wiki", &[("compose.yml", &compose)], "");
    let said = host.run(&["check"]);
    assert_eq!(said.out.matches("undefined secret \"nope\"").count(), 1, "{said:#?}");
    assert!(!said.out.contains("throw-away"), "{said:#?}");
}

/// The state of a canonical that stands so; nothing of it is at the Engine.
fn kept_warm(warm: &Value) -> Value {
    let stack = "warm-wiki_x_example";
    let mut state = serde_json::to_value(evenkeel::model::state::State::new(&stack.parse().unwrap())).unwrap();
    let body = json!({
        "revision": {"version": "1.0.0+1.0.0", "commit": "0".repeat(40)}, "networks": {}, "external_networks": [],
        "secrets": {}, "configs": {}, "images": {}, "services": {},
    });
    state["current"] = json!({"body": body, "key": "k", "since": "2026-11-21T18:00:00Z"});
    state["warm"] = warm.clone();
    state
}

#[test]
fn status_and_plan_tell_how_a_canonical_stands_as_their_schemas_say() {
    let host = enrolled();
    let seed = "`evenkeel canonical seed wiki`, or a sweep, makes the first one";
    host.refuses(&["plan", "wiki"], 0, &["wiki: it has no known-good yet: ", seed]);
    host.refuses(&["status"], 0, &["wiki             not installed            absent     warm-wiki.x.example"]);
    let (ts, by) = ("2026-11-21T18:00:00Z", "root");
    let lost = json!({"status": "lost", "since": ts, "by": by, "why": "the disk was new"});
    let deployed = json!({"status": "deployed", "since": ts, "by": by});
    let gone = json!({"status": "idle", "since": ts, "by": by, "left": {"warm-wiki_x_example_data": {"inode": 7, "born": ts}}});
    for (warm, code, health, words) in [
        (
            &lost,
            0,
            "lost",
            "its data is lost (the disk was new): a sweep, or `evenkeel canonical seed wiki`, makes it anew",
        ),
        (&deployed, 2, "healthy", "it is deployed: a run ends it, and keeps its data warm"),
        (
            &gone,
            2,
            "idle",
            "volume warm-wiki_x_example_data was gone, and its snapshot is gone: a run notes that it is lost",
        ),
    ] {
        host.put_state("wiki", &kept_warm(warm).to_string());
        host.refuses(&["plan"], code, &[&format!("wiki: {words}")]);
        let line = format!("wiki             1.0.0+1.0.0              {health:<10} warm-wiki.x.example");
        let since =
            format!("    warm: {} since 2026-11-21 18:00 UTC by root; {words}", warm["status"].as_str().unwrap());
        host.refuses(&["status"], 0, &[&line, &since]);
        for verb in ["plan", "status"] {
            let said = host.run(&[verb, "--json"]);
            assert_eq!(faults(verb, &said.out), Vec::<String>::new(), "{said:#?}");
        }
    }
    let status: Value = serde_json::from_str(&host.run(&["status", "--json"]).out).unwrap();
    assert_eq!((&status[0]["kind"], &status[0]["warm"]["status"]), (&json!("canonical"), &json!("idle")), "{status:#}");
}

#[test]
fn a_canonical_is_paused_like_any_app() {
    let host = enrolled();
    let said = host.run(&["pause", "wiki", "--for", "2h"]);
    assert_eq!(said.code, 0, "{said:#?}");
    host.refuses(&["plan"], 0, &["wiki: waiting: paused by ", "wiki: it has no known-good yet"]);
    host.refuses(&["canonical"], 0, &["wiki: waiting: paused by "]);
    host.refuses(&["canonical", "seed", "wiki"], 12, &["wiki: blocked: paused by ", "`evenkeel unpause wiki`"]);
}

#[test]
fn what_is_not_enrolled_or_not_seeded_is_told_with_the_way_out() {
    let host = enrolled().app("notes", &[("compose.yml", PLAIN)], "");
    for act in ["seed", "deploy", "idle"] {
        host.refuses(&["canonical", act, "nots"], 1, &["nots is not enrolled", "[canonical.nots]", "enrolled: wiki"]);
        host.refuses(&["canonical", act, "notes"], 1, &["notes is declared as [app]", "[canonical.NAME]"]);
    }
    for act in ["deploy", "idle"] {
        host.refuses(&["canonical", act, "wiki"], 12, &["it has no known-good yet: `evenkeel canonical seed wiki`"]);
    }
    host.refuses(&["canonical"], 0, &["wiki: converged"]);
}
