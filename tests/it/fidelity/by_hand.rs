//! `evenkeel snapshot`: what an operator sees of what is kept, and what goes by hand.

use std::fs;
use std::path::Path;

use evenkeel::host::copying::Watch;
use evenkeel::model::state::State;
use serde_json::{Value, json};

use super::{ID, Kept, write};
use crate::refusing::{Host, tells};
use crate::schemas::faults;

/// A host whose app wiki has the snapshots 1 (of the version before), 2 (by hand), 3 (of nothing).
struct Scene {
    host: Host,
    kept: Kept,
}

impl Scene {
    fn new() -> Self {
        let host = Host::new().app("wiki", &[("compose.yml", crate::refusing::PLAIN)], "");
        let dir = tempfile::tempdir().unwrap();
        let volumes = dir.path().join("volumes");
        let kept = Kept::at(dir, &host.state_dir(), &volumes);
        write(&kept.volume("wiki_data"), "file", vec![7; 5000]);
        let manifest = kept.stored(&["wiki_data"]);
        for id in ["snapshot-2", "snapshot-3"] {
            let data = kept.volume("wiki_data");
            let archived = kept.snapshots().archive(&kept.lock, id, "wiki_data", &data, &Watch::none()).unwrap();
            let volumes = [("wiki_data".to_owned(), archived)].into();
            let manifest = evenkeel::host::snapshots::Manifest { id: id.into(), volumes, ..manifest.clone() };
            kept.snapshots().seal(&kept.lock, &manifest).unwrap();
        }
        let scene = Self { host, kept };
        scene.names(ID, &["snapshot-2"]);
        scene
    }

    /// Has the state name a snapshot as that of the release before, and others as taken by hand.
    fn names(&self, previous: &str, by_hand: &[&str]) {
        let mut state = serde_json::to_value(State::new(&"wiki_x_example".parse().unwrap())).unwrap();
        let body = json!({
            "revision": {"version": "1.0.0+1.0.0", "commit": "0".repeat(40)}, "networks": {}, "external_networks": [],
            "secrets": {}, "configs": {}, "services": {}, "images": {},
        });
        let release = json!({"body": body, "key": "k", "since": "2026-11-21T18:00:00Z", "snapshot": previous});
        let frozen = state["frozen"].clone();
        state["previous"] = json!({"release": release, "frozen": frozen});
        state["kept"] = json!(by_hand);
        self.host.put_state("wiki", &state.to_string());
    }

    /// Runs a command that wants the lock, which is let go for it.
    fn runs_alone(self, arguments: &[&str]) -> (Host, crate::world::Said) {
        let Self { host, kept } = self;
        drop(kept);
        let said = host.run(arguments);
        (host, said)
    }

    fn file(&self, id: &str, name: &str) -> std::path::PathBuf {
        self.kept.snapshots().path(id).join(name)
    }
}

fn kept(host: &Host) -> Vec<String> {
    super::names(&host.state_dir().join("wiki/snapshots"))
}

fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_list_says_what_each_is_kept_for() {
    let scene = Scene::new();
    let said = scene.host.run(&["snapshot", "list", "wiki"]);
    tells(
        &said,
        0,
        &["snapshot-1  2026-11-21T20:00:00Z  1.0.0+2.0", "kept for: rollback\n", "by hand", "kept for: nothing"],
    );
    flip(&scene.file("snapshot-3", "wiki.meta.json"));
    tells(&scene.host.run(&["snapshot", "list", "wiki"]), 0, &["snapshot-3  cannot be used:", "its own digest"]);

    let said = scene.host.run(&["snapshot", "list", "wiki", "--json"]);
    assert_eq!(faults("snapshots", &said.out), Vec::<String>::new(), "{said:#?}");
    let all: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((&all[0]["kept_for"], &all[1]["kept_for"]), (&json!(["rollback"]), &json!(["by hand"])));
    assert_eq!(all[0]["volumes"][0]["content_bytes"], 5000);
    assert!(all[2]["damage"].is_string() && all[2]["taken"].is_null());
}

#[test]
fn a_damaged_one_is_told_by_its_file_and_in_the_exit_code() {
    let scene = Scene::new();
    let said = scene.host.run(&["snapshot", "verify", "wiki"]);
    tells(&said, 0, &["snapshot-1: whole, 1 volume with 2 files and folders", "snapshot-3: whole"]);
    let archive = scene.file("snapshot-1", "wiki_data.tar.zst");
    flip(&archive);
    let said = scene.host.run(&["snapshot", "verify", "wiki"]);
    tells(&said, 1, &[archive.to_str().unwrap(), "kept for: rollback", "snapshot-2: whole"]);
    tells(&scene.host.run(&["snapshot", "verify", "wiki", "snapshot-2"]), 0, &["snapshot-2: whole"]);
    let said = scene.host.run(&["snapshot", "verify", "wiki", "snapshot-9"]);
    tells(&said, 1, &["wiki has no snapshot \"snapshot-9\"; there are: snapshot-1, snapshot-2, snapshot-3"]);
}

#[test]
fn one_that_was_taken_by_hand_is_dropped_and_is_named_no_more() {
    let (host, said) = Scene::new().runs_alone(&["snapshot", "drop", "wiki", "snapshot-2"]);
    tells(&said, 0, &["snapshot-2: dropped"]);
    tells(&host.run(&["history", "wiki"]), 0, &["wiki: dropped by ", "    snapshot snapshot-2 was dropped\n"]);
    assert_eq!(kept(&host), [ID, "snapshot-3"]);
    let state: Value = serde_json::from_slice(&fs::read(host.state_dir().join("wiki/state.json")).unwrap()).unwrap();
    assert!(state.get("kept").is_none_or(|kept| kept == &json!([])), "{state}");
}

#[test]
fn one_that_a_way_back_needs_is_not_dropped() {
    let scene = Scene::new();
    scene.names(ID, &[ID]);
    let (host, said) = scene.runs_alone(&["snapshot", "drop", "wiki", ID]);
    tells(&said, 1, &["snapshot-1 is kept for rollback and is not dropped", "next good upgrade of wiki"]);
    assert_eq!(kept(&host).len(), 3);
    tells(&host.run(&["snapshot", "drop", "wiki", "../../wiki"]), 1, &["has no snapshot"]);
    assert_eq!(kept(&host).len(), 3);
}
