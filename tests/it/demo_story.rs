//! The whole of `evenkeel demo`, as a newcomer runs it.

use std::path::Path;

#[test]
fn the_demo_keeps_every_promise_of_its_story() {
    let demo = std::process::Command::new(env!("CARGO_BIN_EXE_evenkeel")).arg("demo").output().unwrap();
    let (told, log) = (String::from_utf8(demo.stdout).unwrap(), String::from_utf8_lossy(&demo.stderr).into_owned());

    assert_eq!(demo.status.code(), Some(0), "{told}\n{log}");
    for promise in ["1. First install", "2. The same again", "3. Drift", "4. A second app", "exit status: 14"] {
        assert!(told.contains(promise), "{promise:?} is missing in:\n{told}");
    }
    let folder = told.split_once("all its files in ").unwrap().1.lines().next().unwrap().trim_end_matches('.');
    assert!(!Path::new(folder).exists());
}
