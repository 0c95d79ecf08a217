//! Our compose files against the real Docker CLI's: the same files through both, the bodies of all requests compared.
//!
//! The files are the folders of `tests/fixtures/compose/` and some thousands of generated sets. The surprise: where the
//! Docker CLI itself sends another order at each run (references to one secret), that order does not count.

mod accepted;
mod case;
mod fixture;
mod generate;
mod proof;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use accepted::ACCEPTED;
use case::{Case, Verdict};

use crate::chance::number_in;
pub use fixture::entries;

/// Sets of files that are generated unless `EVENKEEL_ORACLE_CASES` says another number.
const CASES: u64 = 5000;

#[test]
fn we_send_what_the_docker_cli_would_send() {
    require_docker_cli();
    let fixtures = fixture::all();
    assert!(fixtures.len() >= 25, "only {} cases are in {}", fixtures.len(), fixture::folder().display());
    let cases: Vec<&Case> = fixtures.iter().map(|fixture| &fixture.case).collect();
    let verdicts = case::compare(&cases);
    let failures = fixtures.iter().zip(&verdicts).filter_map(|(fixture, verdict)| fixture.check(verdict).err());
    fail_with(failures.collect(), cases.len());
}

#[test]
fn every_accepted_difference_has_its_case() {
    let names: BTreeSet<String> = fixture::all().iter().map(|fixture| fixture.case.name.clone()).collect();
    let missing: Vec<&str> = ACCEPTED.iter().map(|entry| entry.fixture).filter(|name| !names.contains(*name)).collect();
    assert_eq!(missing, Vec::<&str>::new());
    assert!(ACCEPTED.len() <= 15, "{} accepted differences", ACCEPTED.len());
}

/// `EVENKEEL_ORACLE_SEED` makes other sets, `EVENKEEL_ORACLE_ONLY` runs one of them by its number,
/// `EVENKEEL_ORACLE_SHOWN` is how many differences are told.
#[test]
fn generated_sets_mean_the_same_to_the_docker_cli() {
    require_docker_cli();
    let seed = number_in("EVENKEEL_ORACLE_SEED").unwrap_or(1);
    let only = number_in("EVENKEEL_ORACLE_ONLY");
    let count = number_in("EVENKEEL_ORACLE_CASES").unwrap_or(CASES);
    let folder = generate::folder();
    let numbers = only.map_or(0..count, |number| number..number + 1);
    let cases: Vec<Case> = numbers.map(|number| generate::case(seed, number, folder.path())).collect();
    let verdicts = case::compare(&cases.iter().collect::<Vec<_>>());
    let failures = cases.iter().zip(&verdicts).filter_map(|(case, verdict)| match verdict {
        Verdict::Differs(difference) => Some(format!("{case}{difference}")),
        Verdict::Same | Verdict::BothRefuse(_) | Verdict::Accepted(..) => None,
    });
    fail_with(failures.collect(), cases.len());
    if only.is_none() {
        let enough = cases.len() >= 2000 && cases.len() > generate::singles();
        assert!(enough, "only {} sets were generated, {} of them about one key", cases.len(), generate::singles());
        assert_most_are_taken(&verdicts);
    }
}

/// Sets that the Docker CLI refuses say little.
fn assert_most_are_taken(verdicts: &[Verdict]) {
    let taken = verdicts.iter().filter(|verdict| verdict.taken_by_the_docker_cli()).count();
    let share = taken * 100 / verdicts.len();
    assert!(share >= 60, "the Docker CLI takes {taken} of {} sets, {share} %", verdicts.len());
    println!("the Docker CLI takes {taken} of {} sets, {share} %", verdicts.len());
    for (index, entry) in ACCEPTED.iter().enumerate() {
        let count = verdicts.iter().filter(|verdict| matches!(verdict, Verdict::Accepted(i, _) if *i == index)).count();
        println!("accepted difference {}: {count} sets", entry.fixture);
    }
}

/// A key that the schema gets has to get its sets.
#[test]
fn every_key_of_the_schema_is_generated() {
    let shapes = include_str!("../../src/recipe/compose/shapes.rs");
    let known: BTreeSet<&str> = shapes
        .match_indices("(\"")
        .filter_map(|(at, _)| shapes[at + 2..].split('"').next())
        .filter(|key| !key.is_empty() && key.chars().all(|c| c.is_ascii_lowercase() || "_-".contains(c)))
        .collect();
    assert!(known.len() > 100, "{known:?}");
    let generated = generate::words();
    let missing: Vec<&str> = known.into_iter().filter(|key| !generated.contains(*key)).collect();
    assert_eq!(missing, Vec::<&str>::new());
}

/// The shortest differences first.
fn fail_with(mut failures: Vec<String>, of: usize) {
    let shown = number_in("EVENKEEL_ORACLE_SHOWN").and_then(|count| count.try_into().ok()).unwrap_or(30);
    failures.sort_by_key(String::len);
    let shown = failures.iter().take(shown).cloned().collect::<Vec<_>>().join("\n");
    assert!(failures.is_empty(), "{} of {of} cases differ\n\n{shown}", failures.len());
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub fn docker_cli() -> PathBuf {
    std::env::var_os("EVENKEEL_DOCKER_CLI").map_or_else(|| "docker".into(), PathBuf::from)
}

/// A missing second opinion is a failure: without it these tests would say nothing.
pub fn require_docker_cli() {
    const WAY_OUT: &str = "install a Docker CLI from 25 on and put it on PATH or its path into EVENKEEL_DOCKER_CLI: \
                           package docker-cli of Debian 13 (it runs on Debian 12 too), or pkgs.docker-client of \
                           nixpkgs; no daemon is needed";
    let output = Command::new(docker_cli()).arg("--version").output();
    let output = output.unwrap_or_else(|cause| panic!("docker cannot be run: {cause}; {WAY_OUT}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let major = text.split(' ').nth(2).and_then(|version| version.split('.').next()?.parse::<u32>().ok());
    assert!(major.is_some_and(|major| major >= 25), "this Docker CLI is too old: {text:?}; {WAY_OUT}");
}
