//! A person's word that a version may be taken: for what he was told, once, and whatever is at work.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use evenkeel::host::store::{LockAttempt, Store};
use evenkeel::model::approval::Approval;
use evenkeel::model::version::{Commit, Revision};
use serde_json::{Value, json};

use crate::fixtures::RecipeRepo;
use crate::refusing::{Host, PLAIN, said, tells};

const NEWEST: &str = "2.0.0+1.0.0";
const GREEDY: &str = "services:\n  app:\n    image: evenkeel-test/nowhere:1\n    volumes:\n      \
    - /var/run/docker.sock:/var/run/docker.sock\n";

/// An app at `1.0.0+1.0.0`, with newer versions in front of it.
struct World {
    host: Host,
    repo: RecipeRepo,
}

impl World {
    /// `more` are further lines of the app's table.
    fn new(more: &str) -> Self {
        let mut repo = RecipeRepo::empty();
        repo.publish("1.0.0+1.0.0", &[("compose.yml", PLAIN)]);
        repo.publish("1.1.0+1.0.0", &[]);
        repo.publish(NEWEST, &[("compose.yml", GREEDY), ("release/2.0.0+1.0.0", "Run the migration by hand.\n")]);
        let table = format!("[app.wiki]\nrecipe = {{ url = \"{}\" }}\n{more}\n", repo.url());
        let world = Self { host: Host::new().table(&table), repo };
        world.host.put_state("wiki", &world.state("1.0.0+1.0.0").to_string());
        // Makes the mirror.
        world.host.run(&["plan"]);
        world.host.engine.take();
        world
    }

    fn commit(&self, tag: &str) -> Commit {
        let name = format!("{tag}^{{commit}}");
        let output = Command::new("git").arg("-C").arg(self.repo.path()).args(["rev-parse", &name]).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
    }

    fn state(&self, version: &str) -> Value {
        let spec = json!({ "Name": "wiki_x_example_app", "TaskTemplate": { "ContainerSpec": { "Image": "evenkeel-test/nowhere:1" } } });
        json!({
            "schema": 1, "stack": "wiki_x_example",
            "current": { "key": "k", "since": "2026-01-01T00:00:00Z", "body": {
                "revision": { "version": version, "commit": self.commit(version) },
                "networks": {}, "external_networks": [], "secrets": {}, "configs": {},
                "services": { "wiki_x_example_app": spec }, "images": {},
            } },
            "frozen": { "sample": "", "secret_versions": {} },
        })
    }

    fn file(&self) -> PathBuf {
        self.host.state_dir().join("wiki/approve")
    }

    fn approvals(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.file()).unwrap();
        serde_json::from_str::<Value>(&text).unwrap()["approvals"].as_array().unwrap().clone()
    }

    fn history(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.host.state_dir().join("history.jsonl")).unwrap_or_default();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter(|line| line["outcome"] == "approved").collect()
    }
}

#[test]
fn what_holds_a_version_is_told_and_approved_in_a_persons_name() {
    let world = World::new("");
    let said = said(world.host.command(&["approve", "wiki", NEWEST]).env("SUDO_USER", "alice"));
    let holds = ["major step of the recipe", "release notes", "right: the Engine's socket (/var/run/docker.sock)"];
    tells(&said, 0, &["wiki: 2.0.0+1.0.0 approved by alice (", "; the next run takes it, once\n"]);
    tells(&said, 0, &holds);

    assert_eq!(fs::metadata(world.file()).unwrap().permissions().mode() & 0o777, 0o600);
    let [approval] = world.approvals().try_into().unwrap();
    assert_eq!((&approval["by"], &approval["revision"]["commit"]), (&json!("alice"), &json!(world.commit(NEWEST))));
    assert_eq!(approval["lifts"].as_array().unwrap().len(), 3, "{approval:#}");
    let [line] = world.history().try_into().unwrap();
    assert!(line["sentence"].as_str().unwrap().contains("2.0.0+1.0.0 approved by alice"), "{line:#}");
    assert_eq!(world.host.engine.take(), Vec::<String>::new(), "no Engine is asked");
}

#[test]
fn what_nothing_holds_needs_no_word() {
    let world = World::new("");
    let told = ["wiki: 1.1.0+1.0.0 is not held; the next run takes it, or a newer one, by itself"];
    world.host.refuses(&["approve", "wiki", "1.1.0+1.0.0"], 0, &told);
    world.host.refuses(&["approve", "wiki", "1.0.0+1.0.0"], 0, &["wiki: 1.0.0+1.0.0 is not held: it runs"]);
    assert!(!world.file().exists() && world.history().is_empty());
}

#[test]
fn what_cannot_be_approved_is_refused_with_the_reason() {
    let world = World::new("");
    let nearest = ["wiki: version 2.0.1+1.0.0 was never published", "1.1.0+1.0.0, 2.0.0+1.0.0", "learns of those"];
    world.host.refuses(&["approve", "wiki", "2.0.1+1.0.0"], 1, &nearest);
    for text in ["latest", "v2", "", "2.0.0", "deadbeef", "../../etc/passwd"] {
        world.host.refuses(&["approve", "wiki", text], 1, &["is no version (such as 2.4.0+1.9.1)"]);
    }
    for part in ["2.0.0", "v2", "2.0"] {
        world.host.refuses(&["approve", "wiki", part], 1, &["is no version", "; published: 2.0.0+1.0.0"]);
    }
    world.host.refuses(&["approve", "wikki", NEWEST], 1, &["wikki", "wiki"]);
    world.host.put_state("wiki", &world.state(NEWEST).to_string());
    let older = ["1.1.0+1.0.0 is older than 2.0.0+1.0.0, which runs", "`evenkeel rollback`"];
    world.host.refuses(&["approve", "wiki", "1.1.0+1.0.0"], 1, &older);
    fs::remove_file(world.host.state_dir().join("wiki/state.json")).unwrap();
    world.host.refuses(&["approve", "wiki", NEWEST], 1, &["nothing of wiki is installed"]);
}

#[test]
fn a_refusal_is_lifted_whatever_it_was_of() {
    let world = World::new("");
    let mut state = world.state("1.0.0+1.0.0");
    let revision = json!({ "version": "1.1.0+1.0.0", "commit": world.commit("1.1.0+1.0.0") });
    let refused = json!({ "revision": revision, "key": "another", "images": {}, "reason": "exit 1", "ts": "2026-01-02T00:00:00Z" });
    state["refused"] = json!([refused]);
    world.host.put_state("wiki", &state.to_string());
    tells(
        &world.host.run(&["approve", "wiki", "1.1.0+1.0.0"]),
        0,
        &["approved by root (refused); the next run takes it"],
    );
    assert_eq!(world.approvals()[0]["lifts"], json!(["refused"]));
}

#[test]
fn with_a_pin_only_the_pinned_version_can_be_approved() {
    let world = World::new("version = \"2.0.0+1.0.0\"");
    let other = ["the configuration names another version", "name 1.1.0+1.0.0 there"];
    world.host.refuses(&["approve", "wiki", "1.1.0+1.0.0"], 1, &other);
    let said = world.host.run(&["approve", "wiki", NEWEST]);
    tells(&said, 0, &["(right: the Engine's socket", "; the next run takes it, once"]);
    assert!(!said.out.contains("major"), "the pin has decided about the step: {said:#?}");
}

#[test]
fn an_approval_waits_for_the_window_and_makes_a_version_old_enough() {
    let hour = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).hour();
    let window = format!("{:02}:00-{:02}:00", (hour + 3) % 24, (hour + 4) % 24);
    let world = World::new(&format!("policy = {{ min_age = \"7d\", window = \"{window}\" }}"));
    let said = world.host.run(&["approve", "wiki", "1.1.0+1.0.0"]);
    tells(&said, 0, &["1.1.0+1.0.0 approved by root (its age); it is taken, once, from 20", ":00 UTC on\n"]);
}

#[test]
fn approving_works_while_a_run_is_at_work() {
    let world = World::new("");
    let store = Store::open(world.host.state_dir()).unwrap();
    let LockAttempt::Taken(_lock) = store.app(&"wiki".parse().unwrap()).lock().unwrap() else { panic!("held") };
    tells(&world.host.run(&["approve", "wiki", NEWEST]), 0, &["approved by"]);
    assert_eq!(world.approvals().len(), 1);
}

#[test]
fn approvals_that_cannot_be_read_approve_nothing_and_are_replaced() {
    let world = World::new("");
    fs::write(world.file(), "{\"schema\": 1, \"approvals\": [").unwrap();
    let said = world.host.run(&["approve", "wiki", NEWEST]);
    tells(&said, 0, &["approved by", "approvals before it could not be read", "and are gone"]);
    assert_eq!(world.approvals().len(), 1);
}

fn approval(letter: char) -> Approval {
    let revision = Revision { version: None, commit: letter.to_string().repeat(40).parse().unwrap() };
    Approval { revision, by: "alice".into(), ts: jiff::Timestamp::now(), lifts: ["refused".to_owned()].into() }
}

#[test]
fn approvals_given_at_once_are_all_kept_and_each_is_spent_by_one() {
    let dir = tempfile::tempdir().unwrap();
    let app = Store::open(dir.path()).unwrap().app(&"wiki".parse().unwrap());
    let letters: Vec<char> = ('a'..='f').collect();
    std::thread::scope(|scope| {
        letters.iter().for_each(|letter| drop(scope.spawn(|| app.put_approval(approval(*letter)).unwrap())));
    });
    assert_eq!(app.approvals().unwrap().unwrap().all().len(), letters.len());
    let spent = std::thread::scope(|scope| {
        let takers: Vec<_> = letters
            .iter()
            .cycle()
            .take(24)
            .map(|letter| scope.spawn(|| app.take_approval(&approval(*letter).revision)))
            .collect();
        takers.into_iter().filter_map(|taker| taker.join().unwrap().unwrap()).count()
    });
    assert_eq!(spent, letters.len());
    assert!(!app.approvals_file().exists());
    assert_eq!(app.take_approval(&approval('a').revision).unwrap(), None);
}
