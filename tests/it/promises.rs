//! The checks that the fuzz targets make, on the seeds of `tests/fuzz` and on random texts: a promise that is broken
//! is seen here first, and the targets do not rot.

use std::fs;
use std::path::Path;

use proptest::prelude::*;

#[path = "../fuzz/src/lib.rs"]
mod properties;

use properties::CHECKS;

#[test]
fn every_seed_keeps_the_promises_of_its_target() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/seeds");
    for (target, check) in CHECKS {
        let files: Vec<_> = fs::read_dir(seeds.join(target)).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(files.len() >= 3, "{target} has {} seeds", files.len());
        for file in files {
            check(&fs::read(&file).unwrap());
        }
    }
}

#[test]
fn every_target_is_a_check() {
    let targets = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/targets");
    let mut names: Vec<_> = fs::read_dir(targets).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    let names: Vec<_> = names.iter().map(|file| file.file_stem().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, CHECKS.map(|(name, _)| name));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_bytes_keep_the_promises(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        CHECKS.iter().for_each(|(_, check)| check(&bytes));
    }

    #[test]
    fn any_text_keeps_the_promises(text in "\\PC{0,60}|[ -~\\n\\t]{0,80}|[\\[\\]{}:,&*a!<|>\"'$#=+-9.\\r\\n ]{0,60}") {
        CHECKS.iter().for_each(|(_, check)| check(text.as_bytes()));
    }
}
