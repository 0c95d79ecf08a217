//! Nights of one app and the words of three people: what is taken for them, and what history and metrics tell of it.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::*;
use crate::world::Said;

/// One night, and how the host stood after it.
struct Night {
    said: Said,
    began: Timestamp,
    ended: Timestamp,
    metrics: BTreeMap<String, i64>,
    /// Snapshots on disk: id -> bytes of its archives.
    snapshots: BTreeMap<String, i64>,
}

struct Story {
    began: Timestamp,
    bad: Night,
    held: Night,
    approved: Said,
    bad_again: Night,
    data: [BTreeMap<String, Vec<u8>>; 2],
    refused: Value,
    spent: Night,
    major_held: Night,
    major_approved: Said,
    major: Night,
    by_hand: Night,
    history: Vec<Value>,
    history_in_words: String,
}

static STORY: LazyLock<Story> = LazyLock::new(|| {
    let began = Timestamp::now();
    let mut nights = Nights::begin();
    let before = nights.data();
    nights.publish("1.1.0+1", MIGRATES_AND_FAILS);
    let bad = night(&mut nights, "alice", &["app", APP]);
    let held = night(&mut nights, "alice", &["app", APP]);
    let approved = says(&mut nights, "bob", &["approve", APP, "1.1.0+1"]);
    let bad_again = night(&mut nights, "alice", &["app", APP]);
    nights.stands_at("1.0.0+1");
    let (data, refused) = ([before, nights.data()], nights.state()["refused"].clone());
    nights.recorder.take();
    let spent = night(&mut nights, "alice", &["app", APP]);
    assert_eq!(writes(&nights.recorder.take()), Vec::<&String>::new());

    nights.publish("2.0.0+1", &runs("2.0.0"));
    let major_held = night(&mut nights, "alice", &["app", APP]);
    nights.stands_at("1.0.0+1");
    let major_approved = says(&mut nights, "bob", &["approve", APP, "2.0.0+1"]);
    let major = night(&mut nights, "alice", &["app", APP]);
    nights.stands_at("2.0.0+1");
    let by_hand = night(&mut nights, "carol", &["rollback", APP, "--yes"]);
    nights.stands_at("1.0.0+1");

    let history = serde_json::from_str(&nights.world.ok(&["history", APP, "--json"]).out).unwrap();
    let history_in_words = nights.world.ok(&["history", APP]).out;
    Story {
        began,
        bad,
        held,
        approved,
        bad_again,
        data,
        refused,
        spent,
        major_held,
        major_approved,
        major,
        by_hand,
        history,
        history_in_words,
    }
});

/// What the program says to this person.
fn says(nights: &mut Nights, who: &str, arguments: &[&str]) -> Said {
    nights.world.environment.insert("SUDO_USER".into(), who.into());
    nights.world.run(arguments)
}

fn night(nights: &mut Nights, who: &str, arguments: &[&str]) -> Night {
    let began = Timestamp::now();
    let said = says(nights, who, arguments);
    let metrics = fs::read_to_string(nights.world.state_dir().join("metrics.prom")).unwrap();
    Night { said, began, ended: Timestamp::now(), metrics: samples(&metrics), snapshots: snapshots(nights) }
}

fn samples(metrics: &str) -> BTreeMap<String, i64> {
    let lines = metrics.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| line.rsplit_once(' ').unwrap())
        .map(|(name, value)| (name.into(), value.parse().unwrap()))
        .collect()
}

fn snapshots(nights: &Nights) -> BTreeMap<String, i64> {
    let folder = nights.dir().join("snapshots");
    let size = |id: &String| {
        let archives = names(&folder.join(id)).into_iter().filter(|name| name.ends_with(".tar.zst"));
        archives.map(|name| fs::metadata(folder.join(id).join(name)).unwrap().len()).sum::<u64>()
    };
    names(&folder).into_iter().map(|id| (id.clone(), size(&id).try_into().unwrap())).collect()
}

impl Night {
    /// The version that runs, the one that is held, how many are refused, and how the run ended.
    #[track_caller]
    fn stands(&self, runs: &str, held: Option<&str>, refused: i64, outcome: &str, code: i64) {
        let of_wiki = |family: &str| -> Vec<(&String, &i64)> {
            let prefix = format!("{family}{{app=\"wiki\"");
            self.metrics.iter().filter(|(name, _)| name.starts_with(&prefix)).collect()
        };
        let version = of_wiki("evenkeel_version_info");
        assert!(version.len() == 1 && version[0].0.contains(&format!(",version=\"{runs}\",")), "{version:?}");
        let is_held = format!("evenkeel_held{{app=\"wiki\",version=\"{}\"}}", held.unwrap_or_default());
        assert_eq!(of_wiki("evenkeel_held"), [(&is_held, &i64::from(held.is_some()))]);
        assert_eq!(self.metrics["evenkeel_refused_versions{app=\"wiki\"}"], refused);
        let ended = format!("evenkeel_last_run_outcome{{app=\"wiki\",outcome=\"{outcome}\"}}");
        assert_eq!(of_wiki("evenkeel_last_run_outcome"), [(&ended, &1)]);
        assert_eq!(self.metrics["evenkeel_last_run_exit_code{app=\"wiki\"}"], code);
        self.is_within(self.metrics["evenkeel_last_run_timestamp_seconds{app=\"wiki\"}"]);
    }

    #[track_caller]
    fn is_within(&self, second: i64) {
        assert!((self.began.as_second()..=self.ended.as_second()).contains(&second), "{second}");
    }

    /// The snapshots on disk are those that are told, each with its size; gives when each was taken.
    #[track_caller]
    fn has_its_snapshots(&self) -> Vec<i64> {
        let told = |family: &str| -> BTreeMap<String, i64> {
            let prefix = format!("{family}{{app=\"wiki\",snapshot=\"");
            let id = |name: &String| Some(name.strip_prefix(&prefix)?.strip_suffix("\"}")?.to_owned());
            self.metrics.iter().filter_map(|(name, value)| Some((id(name)?, *value))).collect()
        };
        assert_eq!(told("evenkeel_snapshot_size_bytes"), self.snapshots);
        assert!(self.snapshots.values().all(|size| *size > 0) && !self.snapshots.is_empty());
        told("evenkeel_snapshot_timestamp_seconds").into_values().collect()
    }
}

#[test]
fn an_approved_version_that_failed_is_tried_once_more_and_no_second_time() {
    tells(&STORY.bad.said, 11, &["the upgrade 1.0.0+1 -> 1.1.0+1 did not pass its gate", "exit code 3"]);
    tells(&STORY.held.said, 10, &["wiki: held: 1.1.0+1", "failed here", "`evenkeel approve wiki 1.1.0+1`"]);
    tells(&STORY.approved, 0, &["wiki: 1.1.0+1 approved by bob (refused); the next run takes it, once"]);
    tells(&STORY.bad_again.said, 11, &["the upgrade 1.0.0+1 -> 1.1.0+1 did not pass its gate", "exit code 3"]);
    assert_eq!(STORY.data[0], STORY.data[1]);
    assert_eq!(STORY.refused.as_array().unwrap().len(), 1, "{:#}", STORY.refused);
    assert_ne!(STORY.bad.snapshots, STORY.bad_again.snapshots, "it was not tried");
    tells(&STORY.spent.said, 10, &["wiki: held: 1.1.0+1", "failed here", "`evenkeel approve wiki 1.1.0+1`"]);
}

#[test]
fn an_approved_major_step_is_taken_by_the_next_run() {
    let why = ["wiki: held: 2.0.0+1", "the recipe makes a major step", "`evenkeel approve wiki 2.0.0+1`"];
    tells(&STORY.major_held.said, 10, &why);
    tells(
        &STORY.major_approved,
        0,
        &["2.0.0+1 approved by bob (major step of the recipe); the next run takes it, once"],
    );
    tells(&STORY.major.said, 0, &["wiki: upgraded: 1.0.0+1 -> 2.0.0+1 passed its gate"]);
}

#[test]
fn the_history_tells_who_did_what_to_which_version_and_when() {
    let told: Vec<_> =
        STORY.history.iter().map(|line| ["outcome", "by", "from", "to"].map(|key| line[key].as_str())).collect();
    let [old, bad, major] = ["1.0.0+1", "1.1.0+1", "2.0.0+1"].map(Some);
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(Some);
    let expected = [
        [Some("rolled-back"), alice, old, bad],
        [Some("held"), alice, old, bad],
        [Some("approved"), bob, None, bad],
        [Some("approval-spent"), alice, None, bad],
        [Some("rolled-back"), alice, old, bad],
        [Some("held"), alice, old, bad],
        [Some("held"), alice, old, major],
        [Some("approved"), bob, None, major],
        [Some("approval-spent"), alice, None, major],
        [Some("upgraded"), alice, old, major],
        [Some("applied"), carol, major, old],
    ];
    // Before that, it was installed.
    assert_eq!(told[1..], expected);

    let times: Vec<Timestamp> =
        STORY.history.iter().map(|line| line["ts"].as_str().unwrap().parse().unwrap()).collect();
    let all: Vec<_> = iter::once(STORY.began).chain(times.iter().copied()).chain([STORY.by_hand.ended]).collect();
    assert!(all.is_sorted(), "{all:?}");
    assert!((STORY.major.began..STORY.major.ended).contains(&times[10]), "{times:?}");
    for (line, night) in [(1, &STORY.bad), (10, &STORY.major), (11, &STORY.by_hand)] {
        let sentence = STORY.history[line]["sentence"].as_str().unwrap();
        assert!(night.said.out.trim_end().ends_with(sentence), "{sentence}: {:?}", night.said);
    }
    for words in ["wiki: rolled-back 1.0.0+1 -> 1.1.0+1 by alice\n", "wiki: upgraded 1.0.0+1 -> 2.0.0+1 by alice\n"] {
        assert!(STORY.history_in_words.contains(words), "{words:?}: {}", STORY.history_in_words);
    }
    assert!(STORY.history_in_words.contains("wiki: applied 2.0.0+1 -> 1.0.0+1 by carol\n"));
}

#[test]
fn the_metrics_follow_a_bad_night_a_good_one_and_a_way_back_by_hand() {
    STORY.bad.stands("1.0.0+1", None, 1, "rolled-back", 11);
    STORY.held.stands("1.0.0+1", Some("1.1.0+1"), 1, "held", 10);
    STORY.bad_again.stands("1.0.0+1", None, 1, "rolled-back", 11);
    STORY.major_held.stands("1.0.0+1", Some("2.0.0+1"), 1, "held", 10);
    STORY.major.stands("2.0.0+1", None, 1, "upgraded", 0);
    // The version that was left is refused, too.
    STORY.by_hand.stands("1.0.0+1", None, 2, "applied", 0);

    let good = |night: &Night| night.metrics["evenkeel_last_good_run_timestamp_seconds{app=\"wiki\"}"];
    assert!(good(&STORY.bad) <= STORY.bad.began.as_second() && good(&STORY.held) == good(&STORY.bad));
    STORY.major.is_within(good(&STORY.major));

    for night in [&STORY.bad, &STORY.bad_again, &STORY.major] {
        let taken = night.has_its_snapshots();
        night.is_within(*taken.iter().max().unwrap());
    }
    let (before, after) = (STORY.held.has_its_snapshots(), STORY.bad.has_its_snapshots());
    assert_eq!(before, after, "a night that stores nothing makes no snapshot younger");
}
