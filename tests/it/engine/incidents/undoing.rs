//! Bad versions of a database that takes its time to end: what is stored, put back and told.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::engine::nights::{Nights, entrypoint, files, tells};
use crate::engine::private::PrivateEngine;
use crate::world::Said;

type Files = BTreeMap<String, Vec<u8>>;

/// Writes two files that have to agree, for as long as it runs, and takes seconds to close them. What was not closed, or
/// does not agree, it does not open again.
const DATABASE: &str = "\
    if [ -e /data/one ]; then [ -e /data/closed ] && cmp -s /data/one /data/two || { echo torn; exit 9; }; fi; \
    rm -f /data/closed; trap 'end=yes' TERM; turn=0; \
    while [ -z \"$end\" ]; do turn=$((turn + 1)); echo $turn >/data/one; usleep 50000; echo $turn >/data/two; done; \
    sleep 3; echo the last word >/data/closed";

/// Runs well beside one that does not, and writes once more on its way out.
const WRITES_TO_THE_LAST: &str = "\
    trap 'sleep 3; echo late >/data/late; exit 0' TERM; rm -f /data/closed; echo 0 >/data/one; \
    while :; do sleep 1; done";

/// What is beside an app's data and state, and nobody's business.
const SIBLING: &str = "last_good";

/// A bad upgrade that has hours to pass its gate, and then a good one.
struct Seen {
    said: Said,
    took: Duration,
    /// What the app had before and has now.
    pages: [Vec<u8>; 2],
    now: Files,
    given_way: Files,
    siblings_after_the_bad_night: Vec<PathBuf>,
    siblings_after_the_good_night: Vec<PathBuf>,
}

static SEEN: LazyLock<Seen> = LazyLock::new(|| {
    let volumes = [("data", "/data")];
    let mut nights = Nights::laid_over(DATABASE, &volumes, &json!({}));
    nights.declare("latest", "gate = { stable_for = \"1s\", within = \"3h\" }\n");
    let data = nights.volume("data");
    fs::write(data.join("page"), [0, 159, 146, 150]).unwrap();
    let siblings = [nights.dir(), data.parent().unwrap().to_owned()].map(|folder| folder.join(SIBLING));
    siblings.iter().for_each(|sibling| fs::write(sibling, "1.0.0").unwrap());
    let left = || siblings.iter().filter(|sibling| fs::read(sibling).is_ok_and(|bytes| bytes == b"1.0.0"));

    // What ends at once never counts as running, however slow the machine is.
    let crashes = json!({"image": PrivateEngine::shared().image(), "entrypoint": entrypoint("exit 3"),
        "healthcheck": {"test": ["CMD-SHELL", "exit 0"], "interval": "1s", "timeout": "30s", "retries": 10}});
    nights.publish_laid_over("1.1.0+1", WRITES_TO_THE_LAST, &volumes, &json!({"services": {"worker": crashes}}));
    let began = Instant::now();
    let said = nights.night();
    let took = began.elapsed();
    let page = fs::read(nights.volume("data").join("page")).unwrap();
    let (now, given_way) = (nights.data(), nights.given_way().first().map(|path| files(path)).unwrap_or_default());
    let after_the_bad_night = left().cloned().collect();

    nights.publish_laid_over("1.2.0+1", DATABASE, &volumes, &json!({}));
    nights.ends(0, &["upgraded: 1.0.0+1 -> 1.2.0+1"]);
    Seen {
        said,
        took,
        pages: [vec![0, 159, 146, 150], page],
        now,
        given_way,
        siblings_after_the_bad_night: after_the_bad_night,
        siblings_after_the_good_night: left().cloned().collect(),
    }
});

#[test]
fn how_an_upgrade_ended_is_told_by_the_exit_code_and_by_one_line_of_stdout() {
    let said = &SEEN.said;
    tells(said, 11, &["wiki: rolled-back: the upgrade 1.0.0+1 -> 1.1.0+1 did not pass its gate", "exit code 3"]);
    assert_eq!(said.out.lines().count(), 1, "{said:#?}");
    assert!(!said.err.contains("wiki: rolled-back: "), "{said:#?}");
}

#[test]
fn nothing_is_stored_or_put_back_before_the_last_container_is_really_gone() {
    assert_eq!(SEEN.given_way.get("late").map(Vec::as_slice), Some(&b"late\n"[..]), "{:?}", SEEN.said);
    assert!(!SEEN.now.contains_key("late"), "what the failed version wrote on its way out is in the old data");
}

/// It would not open what was stored while it wrote.
#[test]
fn a_database_that_writes_all_the_time_is_stored_closed_and_opens_again() {
    tells(&SEEN.said, 11, &["1.0.0+1 runs again on the data that it had"]);
    assert_eq!(SEEN.pages[0], SEEN.pages[1]);
}

#[test]
fn going_back_and_going_on_touch_nothing_beside_the_data() {
    assert_eq!(SEEN.siblings_after_the_bad_night.len(), 2);
    assert_eq!(SEEN.siblings_after_the_good_night.len(), 2);
}

#[test]
fn a_crash_loop_after_an_upgrade_is_undone_long_before_its_time_is_over() {
    tells(&SEEN.said, 11, &["crashes again and again", "exit code 3"]);
    assert!(SEEN.took < Duration::from_secs(3600), "a third of what it may take");
}

#[test]
fn what_swarm_refuses_to_run_is_undone_with_the_data() {
    let mut nights = Nights::begin();
    fs::write(nights.volume("data").join("page"), "written by people").unwrap();
    let before = nights.data();
    let too_little = json!({"services": {"app": {"deploy": {"resources": {"limits": {"cpus": "0.0001"}}}}}});
    nights.publish_laid_over("1.1.0+1", "rm -f /data/page; exit 3", &[("data", "/data")], &too_little);

    nights.ends(11, &["the Docker Engine refused", "cpu", "1.0.0+1 runs again on the data that it had"]);

    nights.stands_at("1.0.0+1");
    assert_eq!(nights.data(), before);
    tells(&nights.writes_nothing(10), 10, &["1.1.0+1", "failed here"]);
}
