//! The whole of `evenkeel demo`, as a newcomer runs it.

use std::path::Path;

/// What is told, in this order. The demo itself ends with 1 where a step did not keep its promise.
const STORY: &[&str] = &[
    "1. First install",
    "notes: applied: installed 1.0.0+1.0.0",
    "2. The same again",
    "notes: converged",
    "there was none",
    "3. Drift",
    "notes: applied: repaired 1.0.0+1.0.0",
    "has 1 replica again",
    "4. A second app",
    "guestbook: unhealthy: ",
    "exit code 3",
    "cannot reach the database at db:5432",
    "exit status: 14",
    "The first app was not touched",
];

/// A version and its data, night after night.
const NIGHTS: &[&str] = &[
    "5. An upgrade",
    FIRST_NOTES,
    "1.1.0+1.1.0 is published",
    "notes: upgraded: 1.0.0+1.0.0 -> 1.1.0+1.1.0 passed its gate",
    "exit status: 0",
    "notes.txt is the same, byte for byte",
    "6. A bad upgrade",
    "1.2.0+1.2.0 is published",
    "notes: rolled-back: the upgrade 1.1.0+1.1.0 -> 1.2.0+1.2.0 did not pass its gate",
    "exit code 1",
    "fatal: cannot load what was just migrated",
    "exit status: 11",
    "-failed/notes.txt",
    MIGRATED_NOTES,
    "_data/notes.txt",
    FIRST_NOTES,
    "Version and data are both back: 1.1.0 runs",
    "alerts list",
    "guestbook on ",
    "notes on ",
    ": rollback (1.1.0+1.1.0 -> 1.2.0+1.2.0)",
    "next step: ",
    "7. The next night",
    "notes: held: 1.2.0+1.2.0 is published and 1.1.0+1.1.0 runs: it failed here",
    "exit status: 10",
    "nothing was written",
];

const KILLED: &[&str] = &[
    "8. kill -9",
    "1.3.0+1.3.0 is published",
    "signal: 9 (SIGKILL)",
    "at the step \"stop\"",
    "notes_demo_example_app has 0 replicas",
    "evenkeel --config config.toml resume",
    "notes: blocked: ",
    "1.1.0+1.1.0 runs again as before",
    "exit status: 12",
    "1.1.0 runs again, on the bytes that it had",
    "9. The next night",
    "signal: 9 (SIGKILL)",
    "at the step \"judge\"",
    MIGRATED_NOTES,
    "evenkeel --config config.toml resume",
    "notes: upgraded: 1.1.0+1.1.0 -> 1.3.0+1.3.0 passed its gate",
    "exit status: 0",
    "1.3.0 has passed its gate, with every note",
    "notes: converged",
    "1.3.0+1.3.0              healthy",
    "refused: 1.2.0+1.2.0",
    "That is the story",
];

const FIRST_NOTES: &str = "  schema 1\n  water the plants\n  call Ada\n";
const MIGRATED_NOTES: &str = "  schema 2\n  1: water the plants\n  2: call Ada\n";

#[test]
fn the_demo_keeps_every_promise_of_its_story() {
    let demo = std::process::Command::new(env!("CARGO_BIN_EXE_evenkeel")).arg("demo").output().unwrap();
    let (told, log) = (String::from_utf8(demo.stdout).unwrap(), String::from_utf8_lossy(&demo.stderr).into_owned());

    assert_eq!(demo.status.code(), Some(0), "{told}\n{log}");
    let mut rest = told.as_str();
    for promise in [STORY, NIGHTS, KILLED].concat() {
        let found = rest.split_once(promise);
        rest = found.unwrap_or_else(|| panic!("{promise:?} is missing in:\n{rest}\nof:\n{told}\n{log}")).1;
    }
    let folder = told.split_once("all its files in ").unwrap().1.lines().next().unwrap().trim_end_matches('.');
    assert!(!Path::new(folder).exists());
}
