mod laws;

use std::time::Duration;

use serde_json::json;

use super::*;
use crate::model::alert::Reason;
use crate::plan::world::{self, spec, with};
use crate::policy::release;
use crate::recipe::notes::Note;

/// The tags of a published recipe of a federated network's server, with the notes that it has.
const CHAIN: [&str; 3] = ["1.0.0+1.0.5-social-amd64", "2.0.0+1.0.5-social-amd64", "2.0.1+1.0.6-social-amd64"];
const NOTED: [&str; 2] = ["1.0.0+1.0.5-social-amd64", "2.0.0+1.0.5-social-amd64"];

/// Everything that a line is made from, with a recipe that asks for nothing unless said.
#[derive(Debug, Clone)]
struct World {
    current: Revision,
    previous: Option<Revision>,
    wanted: Wanted,
    policy: Policy,
    published: Published,
    seen: BTreeMap<RecipeVersion, Timestamp>,
    notes: BTreeMap<Commit, Notes>,
    approvals: Vec<Approval>,
    refused: Vec<Refused>,
    interrupted: Option<Interrupted>,
    now: Timestamp,
    /// Candidates by version that ask for the Engine's socket.
    greedy: Vec<String>,
    unreadable: Vec<String>,
    key: &'static str,
    images: BTreeMap<String, String>,
}

fn now() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

fn version(text: &str) -> RecipeVersion {
    text.parse().unwrap()
}

/// Each version has a commit of its own.
fn commit(version: &str) -> Commit {
    let sum = version.bytes().fold(7_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    format!("{sum:040x}").parse().unwrap()
}

fn at(version: &str) -> Revision {
    Revision { version: Some(version.to_owned()), commit: commit(version) }
}

fn world(current: &str, published: &[&str], noted: &[&str]) -> World {
    let versions: Vec<_> = published.iter().map(|text| (version(text), commit(text))).collect();
    let notes = Notes::of(noted.iter().map(|name| (*name, Note::of(Some(b"read me")))));
    World {
        current: at(current),
        previous: None,
        wanted: Wanted::Latest,
        policy: Policy::default(),
        notes: versions.iter().map(|(_, commit)| (commit.clone(), notes.clone())).collect(),
        seen: versions.iter().map(|(version, _)| (version.clone(), "2026-01-01T00:00:00Z".parse().unwrap())).collect(),
        published: Published { versions, head: None, named: None },
        approvals: vec![],
        refused: vec![],
        interrupted: None,
        now: now(),
        greedy: vec![],
        unreadable: vec![],
        key: "key",
        images: BTreeMap::new(),
    }
}

impl World {
    fn asked(&self) -> Asked<'_> {
        Asked {
            current: &self.current,
            previous: self.previous.as_ref(),
            wanted: &self.wanted,
            policy: &self.policy,
            published: &self.published,
            seen: &self.seen,
            notes: &self.notes,
            approvals: &self.approvals,
            refused: &self.refused,
            interrupted: self.interrupted.as_ref(),
            now: self.now,
        }
    }

    /// The line when all that has to be read was read.
    fn read_line(&self) -> Line<'_> {
        let mut line = line(self.asked()).unwrap();
        while let Some(revision) = line.next_to_read().cloned() {
            self.read(&mut line, &revision);
        }
        line
    }

    fn read(&self, line: &mut Line, revision: &Revision) {
        let before = release(&world::desired().service(spec("app", "wiki:1")));
        let name = revision.to_string();
        let socket = json!([{ "Type": "bind", "Source": "/run/docker.sock", "Target": "/run/docker.sock" }]);
        let mut app = spec("app", "wiki:2");
        if self.greedy.contains(&name) {
            app = with(app, "/TaskTemplate/ContainerSpec/Mounts", socket);
        }
        let looked = Looked {
            desired: &world::desired().service(app),
            key: self.key,
            tree: &Tree::default(),
            before: &before,
            frozen_sample: "",
            running_sample: None,
            own: &Environment::new(),
            images: &self.images,
        };
        let why = "a secret is missing".to_owned();
        line.read(revision, if self.unreadable.contains(&name) { Err(why) } else { Ok(&looked) });
    }

    fn choice(&self) -> Choice {
        self.read_line().conclude()
    }

    /// What is taken now and what is held, by version and facts.
    fn told(&self) -> (String, String) {
        let (taken, held) = match self.choice() {
            Choice::Current => (String::new(), None),
            Choice::Upgrade(upgrade) => (upgrade.target.to_string(), upgrade.beside),
            Choice::Waiting { waiting, beside } => (format!("{} later", waiting.target), beside),
            Choice::Held(hold) => (String::new(), Some(hold)),
        };
        let held = held.map(|hold| {
            let facts: Vec<String> = hold.barriers.iter().map(Barrier::fact).collect();
            format!("{}: {}", hold.target, facts.join(", "))
        });
        (taken, held.unwrap_or_default())
    }

    /// Of all that holds it.
    fn approve(&mut self, version: &str) {
        let mut line = line(self.asked()).unwrap();
        self.read(&mut line, &at(version));
        let candidate = line.candidates.iter().find(|candidate| candidate.revision == at(version)).unwrap();
        let lifts = candidate.barriers.iter().chain(&candidate.lifted).map(Barrier::fact).collect();
        self.approvals.retain(|approval| approval.revision != at(version));
        self.approvals.push(Approval { revision: at(version), by: "alice".into(), ts: now(), lifts });
    }
}

fn refused(version: &str) -> Refused {
    let images = [("wiki:2".to_owned(), "sha256:aa".to_owned())].into();
    Refused { revision: at(version), key: "key".into(), images, reason: "crash".into(), ts: now(), by_hand: false }
}

#[test]
fn the_newest_version_that_crosses_no_barrier_is_taken() {
    // What runs, what is published and noted; what is taken and held.
    type Row = (&'static str, &'static [&'static str], &'static [&'static str], &'static str, &'static str);
    let rows: [Row; 12] = [
        // The chain of a real recipe.
        (CHAIN[0], &CHAIN, &NOTED, "", "2.0.1+1.0.6-social-amd64: major step of the recipe, release notes"),
        (CHAIN[1], &CHAIN, &NOTED, CHAIN[2], ""),
        (CHAIN[2], &CHAIN, &NOTED, "", ""),
        // The forms that recipes write.
        ("10.6.0+26.5.6", &["10.7.1+26.6.2"], &[], "10.7.1+26.6.2", ""),
        (
            "10.7.1+26.6.2",
            &["11.0.0+27.0.0"],
            &[],
            "",
            "11.0.0+27.0.0: major step of the recipe, major step of the app",
        ),
        (
            "1.0.0+v1.6.870-0",
            &["1.0.1+v1.6.870-1", "1.1.0+v2.0.0-0"],
            &[],
            "1.0.1+v1.6.870-1",
            "1.1.0+v2.0.0-0: major step of the app",
        ),
        (
            "3.5.2+1.24.1-rootless",
            &["3.5.3+1.24.2-rootless", "3.6.0+1.24.2"],
            &[],
            "3.5.3+1.24.2-rootless",
            "3.6.0+1.24.2: major step of the app",
        ),
        ("1.10.0+1.28.0", &["1.11.0+1.29.0", "1.9.0+1.28.0"], &[], "1.11.0+1.29.0", ""),
        (
            "1.0.0+2024-10-01",
            &["1.0.1+2024-11-05", "1.0.2+2025-01-01"],
            &[],
            "1.0.1+2024-11-05",
            "1.0.2+2025-01-01: major step of the app",
        ),
        ("1.0.0+latest", &["1.0.1+latest", "1.0.2+1.2.3"], &[], "1.0.1+latest", "1.0.2+1.2.3: major step of the app"),
        // A note far ahead does not stop what is before it; one in between stops all behind it.
        ("1.0.0+1", &["1.1.0+1", "1.2.0+1", "1.3.0+1"], &["1.2.0+1"], "1.1.0+1", "1.3.0+1: release notes"),
        ("0.8.1+3.5.0", &["0.9.0+3.5.0"], &[], "0.9.0+3.5.0", ""),
    ];
    for (current, published, noted, taken, held) in rows {
        assert_eq!(world(current, published, noted).told(), (taken.to_owned(), held.to_owned()), "{current}");
    }
}

#[test]
fn auto_and_notes_say_how_far_it_goes_by_itself() {
    let published = ["1.0.1+1.0.1", "1.1.0+1.1.0", "2.0.0+2.0.0"];
    let rows = [
        (Auto::None, OnNotes::Hold, ""),
        (Auto::Patch, OnNotes::Hold, "1.0.1+1.0.1"),
        (Auto::Minor, OnNotes::Hold, "1.0.1+1.0.1"),
        (Auto::Major, OnNotes::Hold, "1.0.1+1.0.1"),
        (Auto::Minor, OnNotes::Alert, "1.1.0+1.1.0"),
        (Auto::Major, OnNotes::Ignore, "2.0.0+2.0.0"),
    ];
    for (auto, notes, taken) in rows {
        let mut world = world("1.0.0+1.0.0", &published, &["1.1.0+1.1.0"]);
        (world.policy.auto, world.policy.notes) = (auto, notes);
        assert_eq!(world.told().0, taken, "{auto:?} {notes:?}");
    }
    let mut minor_held = world("1.0.0+1.0.0", &["1.1.0+1.0.0"], &[]);
    minor_held.policy.auto = Auto::Patch;
    let Choice::Held(hold) = minor_held.choice() else { panic!("not held") };
    assert_eq!(hold.reason(), Reason::HeldPolicy);
    assert!(hold.sentence(&"wiki".parse().unwrap()).contains("`policy.auto` takes patches only"));
}

#[test]
fn the_notes_on_the_way_go_with_what_is_taken() {
    let mut world = world(CHAIN[0], &CHAIN, &NOTED);
    (world.policy.auto, world.policy.notes) = (Auto::Major, OnNotes::Alert);
    let Choice::Upgrade(upgrade) = world.choice() else { panic!("not taken") };
    assert_eq!(upgrade.target, at(CHAIN[2]));
    assert_eq!(upgrade.notes.told().unwrap(), "# 2.0.0+1.0.5-social-amd64\nread me\n");
}

#[test]
fn each_hold_has_its_kind_and_its_way_out() {
    let app: crate::model::app::AppName = "wiki".parse().unwrap();
    let noted = world(CHAIN[0], &CHAIN, &NOTED);
    let Choice::Held(hold) = noted.choice() else { panic!("not held") };
    assert_eq!(hold.reason(), Reason::HeldManualMigration);
    assert_eq!(
        hold.sentence(&app),
        "2.0.1+1.0.6-social-amd64 is published and 1.0.0+1.0.5-social-amd64 runs: the recipe makes a major step \
         (1.0.0 -> 2.0.1); 2.0.0+1.0.5-social-amd64 has release notes that a person has to read \
         (release/2.0.0+1.0.5-social-amd64 of the recipe); `evenkeel approve wiki 2.0.1+1.0.6-social-amd64` has it \
         taken once, by the next run"
    );
    let Choice::Held(major) = world("1.0.0+1", &["2.0.0+1"], &[]).choice() else { panic!("not held") };
    assert_eq!(major.reason(), Reason::HeldMajor);
    let mut never = world("1.0.0+1", &["1.0.1+1"], &[]);
    never.policy.never = vec![version("1.0.1+1")];
    let Choice::Held(never) = never.choice() else { panic!("not held") };
    assert_eq!((never.reason(), never.is_block()), (Reason::HeldPolicy, false));
    assert!(never.sentence(&app).contains("`policy.never` names it"));
}

#[test]
fn new_rights_hold_a_version_and_an_older_one_without_them_is_taken() {
    let mut world = world("1.0.0+1", &["1.0.1+1", "1.0.2+1"], &[]);
    world.greedy = vec!["1.0.2+1".into()];
    let (taken, held) = world.told();
    assert_eq!(taken, "1.0.1+1");
    assert!(held.starts_with("1.0.2+1: right: the Engine's socket (/run/docker.sock)"), "{held}");
    world.approve("1.0.2+1");
    assert_eq!(world.told(), ("1.0.2+1".into(), String::new()));
}

#[test]
fn a_recipe_with_a_thousand_wishes_is_held_in_a_sentence_that_can_be_read() {
    let hold = Hold {
        current: at("1.0.0+1"),
        target: at("1.0.1+1"),
        is_asked_for: false,
        barriers: (0..1000).map(|_| Barrier::Unreadable("ä".repeat(100_000))).collect(),
        approval: None,
        notes: Notes::default(),
    };
    let told = hold.sentence(&"wiki".parse().unwrap());
    assert!(told.len() < 25_000 && told.contains("and 990 reasons more"), "{}", told.len());
}

#[test]
fn an_approval_lifts_what_its_person_was_told_and_no_more() {
    let mut world = world("1.0.0+1", &["1.0.1+1", "2.0.0+1"], &[]);
    world.approve("2.0.0+1");
    assert_eq!(world.told().0, "2.0.0+1");
    world.greedy = vec!["2.0.0+1".into()];
    let (taken, held) = world.told();
    assert_eq!(taken, "1.0.1+1");
    assert!(held.starts_with("2.0.0+1: right:") && !held.contains("major"), "{held}");
    let Choice::Upgrade(Upgrade { beside: Some(hold), .. }) = world.choice() else { panic!("nothing beside") };
    assert!(hold.sentence(&"wiki".parse().unwrap()).contains("(alice approved it before that)"));
}

#[test]
fn an_approval_is_for_its_commit_alone() {
    let mut world = world("1.0.0+1", &["2.0.0+1"], &[]);
    world.approve("2.0.0+1");
    world.published.versions[0].1 = commit("something else");
    assert_eq!(world.told(), (String::new(), "2.0.0+1: major step of the recipe".into()));
}

#[test]
fn a_recipe_that_cannot_be_taken_is_not_mended_by_a_word() {
    let mut world = world("1.0.0+1", &["1.0.1+1"], &[]);
    world.unreadable = vec!["1.0.1+1".into()];
    world.approve("1.0.1+1");
    let Choice::Held(hold) = world.choice() else { panic!("not held") };
    let told = hold.sentence(&"wiki".parse().unwrap());
    assert!(told.contains("a secret is missing; put that right") && !told.contains("approve"), "{told}");
}

#[test]
fn a_refused_version_stays_refused_until_something_of_it_changes() {
    let mut failed = world("1.0.0+1", &["1.0.1+1"], &[]);
    failed.refused = vec![refused("1.0.1+1")];
    let held = (String::new(), "1.0.1+1: refused".to_owned());
    assert_eq!(failed.told(), held, "an image that is gone has not changed");
    let here = |id: &str| [("wiki:2".to_owned(), id.to_owned())].into();
    let same = World { images: here("sha256:aa"), ..failed.clone() };
    assert_eq!(same.told(), held);
    let taken = ("1.0.1+1".to_owned(), String::new());
    assert_eq!(World { images: here("sha256:bb"), ..failed.clone() }.told(), taken, "another image");
    assert_eq!(World { key: "other", ..failed.clone() }.told(), taken, "another configuration");
    let mut moved = failed.clone();
    moved.refused[0].revision.commit = commit("something else");
    assert_eq!(moved.told(), taken, "another commit");
    let mut approved = failed.clone();
    approved.approve("1.0.1+1");
    assert_eq!(approved.told(), taken, "a person's word");
    let mut newer = failed.clone();
    newer.published.versions.push((version("1.0.2+1"), commit("1.0.2+1")));
    assert_eq!(newer.told().0, "1.0.2+1", "a newer version");
    let mut by_hand = World { key: "other", ..failed };
    by_hand.refused[0].by_hand = true;
    assert_eq!(by_hand.told(), held, "what a person left stays left");
}

#[test]
fn a_version_that_was_killed_twice_blocks_until_a_person_has_looked() {
    let mut world = world("1.0.0+1", &["1.0.1+1", "1.0.2+1", "2.0.0+1"], &[]);
    let killed = |times| Some(Interrupted { key: "key".into(), revision: at("1.0.2+1"), times });
    world.interrupted = killed(1);
    assert_eq!(world.told().0, "1.0.2+1");
    world.interrupted = killed(2);
    let Choice::Held(hold) = world.choice() else { panic!("an older one is tried instead") };
    assert!(hold.is_block());
    assert_eq!((&hold.target, hold.reason()), (&at("1.0.2+1"), Reason::Blocked));
    assert_eq!(World { key: "other", ..world.clone() }.told().0, "1.0.2+1", "another target");
    let mut nearer = world.clone();
    nearer.approve("1.0.1+1");
    assert_eq!(nearer.told().0, "1.0.1+1", "the person said so");
    world.approve("1.0.2+1");
    assert_eq!(world.told().0, "1.0.2+1");
}

#[test]
fn a_young_version_waits_and_an_older_one_is_taken_meanwhile() {
    let mut young = world("1.0.0+1", &["1.0.1+1", "1.0.2+1"], &[]);
    young.policy.min_age = Duration::from_secs(24 * 3600);
    young.seen.insert(version("1.0.2+1"), "2026-11-21T10:00:00Z".parse().unwrap());
    assert_eq!(young.told().0, "1.0.1+1");
    young.seen.remove(&version("1.0.1+1"));
    let Choice::Waiting { waiting, beside: None } = young.choice() else { panic!("not waiting") };
    assert_eq!((waiting.target.clone(), waiting.for_age), (at("1.0.2+1"), true));
    assert_eq!(
        waiting.sentence(&young.current),
        "1.0.2+1 is taken from 2026-11-22 10:00 UTC on, it has to be older first (`policy.min_age`); 1.0.0+1 runs until then"
    );
    young.approve("1.0.2+1");
    assert_eq!(young.told().0, "1.0.2+1", "a person's word makes it old enough");
}

#[test]
fn a_shut_window_waits_whoever_approved() {
    let mut shut = world("1.0.0+1", &["1.0.1+1", "2.0.0+1"], &[]);
    shut.policy.window = Some("02:00-05:00 Europe/Berlin".parse().unwrap());
    assert_eq!(shut.told(), ("1.0.1+1 later".into(), "2.0.0+1: major step of the recipe".into()));
    shut.approve("2.0.0+1");
    let Choice::Waiting { waiting, beside: None } = shut.choice() else { panic!("not waiting") };
    let opens: Timestamp = "2026-11-22T01:00:00Z".parse().unwrap();
    assert_eq!(waiting, Waiting { target: at("2.0.0+1"), until: opens, for_age: false });
    shut.now = opens;
    assert_eq!(shut.told().0, "2.0.0+1");
}

#[test]
fn age_is_reached_within_a_window() {
    let mut world = world("1.0.0+1", &["1.0.1+1"], &[]);
    world.policy.window = Some("11:00-13:00".parse().unwrap());
    world.policy.min_age = Duration::from_secs(3600);
    world.seen.insert(version("1.0.1+1"), "2026-11-21T12:30:00Z".parse().unwrap());
    let Choice::Waiting { waiting, .. } = world.choice() else { panic!("not waiting") };
    assert_eq!(waiting.until, "2026-11-22T11:00:00Z".parse().unwrap());
}

#[test]
fn a_pin_is_a_word_about_step_notes_and_age_and_about_nothing_else() {
    let mut pinned = world(CHAIN[0], &CHAIN, &NOTED);
    pinned.wanted = Wanted::Version(version(CHAIN[1]));
    pinned.policy.min_age = Duration::from_secs(3600);
    pinned.seen.clear();
    assert_eq!(pinned.told(), (CHAIN[1].into(), String::new()));
    let greedy = World { greedy: vec![CHAIN[1].into()], ..pinned.clone() };
    assert!(greedy.told().1.contains("right: the Engine's socket"));
    let again = World { refused: vec![refused(CHAIN[1])], ..pinned.clone() };
    assert_eq!(again.told(), (String::new(), format!("{}: refused", CHAIN[1])));
    let mut shut = pinned.clone();
    shut.policy.window = Some("02:00-05:00".parse().unwrap());
    assert_eq!(shut.told().0, format!("{} later", CHAIN[1]));
    let stays = World { current: at(CHAIN[1]), ..pinned };
    assert_eq!(stays.choice(), Choice::Current);
}

#[test]
fn an_older_version_is_never_taken_and_the_way_back_is_named() {
    let app = "wiki".parse().unwrap();
    let mut back = world(CHAIN[2], &CHAIN, &[]);
    back.wanted = Wanted::Version(version(CHAIN[1]));
    let Choice::Held(hold) = back.choice() else { panic!("not held") };
    assert!(hold.sentence(&app).contains("no data of that version is kept to go back to; ask for"));
    back.previous = Some(at(CHAIN[1]));
    let Choice::Held(hold) = back.choice() else { panic!("not held") };
    assert!(hold.sentence(&app).contains("`evenkeel rollback wiki` goes back to it"), "{}", hold.sentence(&app));
    let lifts = hold.barriers.iter().map(Barrier::fact).collect();
    back.approvals = vec![Approval { revision: at(CHAIN[1]), by: "alice".into(), ts: now(), lifts }];
    assert!(matches!(back.choice(), Choice::Held(_)), "nobody's word takes it");
}

#[test]
fn a_commit_is_taken_when_a_person_says_so() {
    let mut world = world("1.0.0+1", &["1.0.1+1"], &[]);
    world.wanted = "abcdef1".parse().unwrap();
    assert_eq!(line(world.asked()).err(), Some(PolicyError::NoSuchCommit("abcdef1".into())));
    let revision = Revision { version: None, commit: commit("somewhere") };
    world.published.named = Some(revision.commit.clone());
    let Choice::Held(hold) = world.choice() else { panic!("not held") };
    let word = format!("evenkeel approve wiki {}", revision.commit.short());
    assert!(hold.sentence(&"wiki".parse().unwrap()).contains(&word));
    let lifts = hold.barriers.iter().map(Barrier::fact).collect();
    world.approvals = vec![Approval { revision: revision.clone(), by: "alice".into(), ts: now(), lifts }];
    assert_eq!(world.told().0, revision.to_string());
    // From a commit to a version the same holds, and by itself it goes nowhere.
    let mut untagged = World { current: revision, approvals: vec![], wanted: Wanted::Latest, ..world };
    assert_eq!(untagged.choice(), Choice::Current);
    untagged.wanted = Wanted::Version(version("1.0.1+1"));
    assert_eq!(untagged.told(), (String::new(), "1.0.1+1: not comparable".into()));
}

#[test]
fn a_tag_that_was_moved_is_held_and_stops_nothing_newer() {
    let mut moved = world("1.0.0+1", &["1.0.0+1"], &[]);
    moved.current.commit = commit("as it was installed");
    let Choice::Held(hold) = moved.choice() else { panic!("not held") };
    let told = hold.sentence(&"wiki".parse().unwrap());
    assert!(told.contains("the tag of version 1.0.0+1 was moved to commit") && told.contains("version = \""), "{told}");
    moved.published.versions.push((version("1.0.1+1"), commit("1.0.1+1")));
    assert_eq!(moved.told().0, "1.0.1+1");
    moved.policy.window = Some("02:00-05:00".parse().unwrap());
    let Choice::Waiting { beside: Some(hold), .. } = moved.choice() else { panic!("not waiting") };
    assert!(hold.barriers.is_empty() && hold.target.commit == commit("1.0.0+1"), "{hold:?}");
}

#[test]
fn nothing_is_asked_of_what_nobody_published() {
    let mut world = world("1.0.0+1", &["1.0.1+1"], &[]);
    world.wanted = Wanted::Version(version("1.0.9+1"));
    assert!(matches!(line(world.asked()).err(), Some(PolicyError::NotPublished { .. })));
}

#[test]
fn only_what_matters_is_read() {
    let names: Vec<String> = (1..200).map(|patch| format!("1.0.{patch}+1")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).chain(["2.0.0+1"]).collect();
    let world = world("1.0.0+1", &names, &[]);
    let read = |line: Line| line.candidates.iter().filter(|candidate| candidate.is_read).count();
    assert_eq!(read(world.read_line()), 2, "the newest, and the one to take");
}
