//! Our compose files against the real Docker CLI's: the same files through both, the bodies of all requests compared.
//!
//! Each folder of `tests/fixtures/compose/` is a case: `compose.yml` and then `compose.*.yml` by name (or the lines of
//! `files`), variables in `env`, and in `refused` a part of what we say when both are to refuse the files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use evenkeel::desired::{self, Desired};
use evenkeel::recipe::compose::{self, Source};
use evenkeel::recipe::interpolate::Environment;
use evenkeel::recipe::{Entry, Tree};
use serde_json::Value;

const STACK: &str = "st";

enum Wanted {
    /// The Docker CLI refuses the files, and we take them.
    Accepted,
    /// The Docker CLI takes the files, and we refuse them.
    Refused,
    /// We send these tmpfs mounts more.
    Mounted(&'static [&'static str]),
}

/// Where we differ from the Docker CLI on purpose.
const WANTED: &[(&str, Wanted, &str)] = &[
    ("wanted-tmpfs", Wanted::Mounted(&["/run", "/tmp"]), "service-level tmpfs is dropped silently by the Docker CLI"),
    ("wanted-versions-differ", Wanted::Accepted, "recipes mix files with and without a version"),
    ("wanted-one-letter-volume", Wanted::Refused, "the Docker CLI mounts an anonymous volume at \"v:/x\""),
    ("wanted-port-out-of-range", Wanted::Refused, "the Engine refuses it, after other objects have been made"),
    ("wanted-tab-behind-a-colon", Wanted::Refused, "the YAML parser takes no tab there, and says so"),
    ("wanted-forgotten-fault", Wanted::Refused, "the Docker CLI forgets a fault before another variable, and a $"),
    ("wanted-long-name", Wanted::Refused, "the Engine refuses it, after other objects have been made"),
    ("wanted-empty-content", Wanted::Refused, "the Engine refuses it, after other objects have been made"),
];

#[test]
fn we_send_what_the_docker_cli_would_send() {
    require_docker_cli();
    let cases = cases();
    assert!(cases.len() >= 25, "only {} cases are in {}", cases.len(), fixtures().display());
    let failures: Vec<String> = cases.iter().filter_map(|case| case.compare().err()).collect();
    assert!(failures.is_empty(), "{} of {} cases differ\n\n{}", failures.len(), cases.len(), failures.join("\n\n"));
}

#[test]
fn every_wanted_difference_has_its_case() {
    let names: BTreeSet<String> = cases().iter().map(Case::name).collect();
    let missing: Vec<&str> = WANTED.iter().map(|(name, ..)| *name).filter(|name| !names.contains(*name)).collect();
    assert_eq!(missing, Vec::<&str>::new());
}

struct Case {
    folder: PathBuf,
}

impl Case {
    fn name(&self) -> String {
        self.folder.file_name().expect("a case has a name").to_string_lossy().into_owned()
    }

    fn compare(&self) -> Result<(), String> {
        let (name, oracle, ours) = (self.name(), self.oracle(), self.ours());
        let wanted = WANTED.iter().find(|(case, ..)| *case == name);
        let tell = |message: String| Err(format!("== {name}: {message}"));
        let theirs_ok = oracle["ok"] == true;
        match (&ours, theirs_ok, wanted.map(|(_, wanted, _)| wanted)) {
            (Err(cause), true, Some(Wanted::Refused)) | (Err(cause), false, None) => self.refused_for_the_reason(cause),
            (Err(cause), ..) => tell(format!("we refuse it, the Docker CLI takes it: {theirs_ok}: {cause}")),
            (Ok(_), false, Some(Wanted::Accepted)) => Ok(()),
            (Ok(desired), true, Some(Wanted::Mounted(targets))) => same(&name, &oracle, without(desired, targets)),
            (Ok(desired), true, None) => same(&name, &oracle, sent(desired)),
            (Ok(_), true, _) => tell("both take it, which is not what is wanted".to_owned()),
            (Ok(_), false, _) => tell(format!("we take it, the Docker CLI says: {}", oracle["error"])),
        }
    }

    fn refused_for_the_reason(&self, cause: &str) -> Result<(), String> {
        let reason = fs::read_to_string(self.folder.join("refused")).unwrap_or_default();
        match reason.trim() {
            "" => {
                Err(format!("== {}: both refuse it, and the file refused does not say for what: {cause}", self.name()))
            }
            reason if cause.contains(reason) => Ok(()),
            reason => Err(format!("== {}: not refused for {reason:?} but: {cause}", self.name())),
        }
    }

    fn files(&self) -> Vec<String> {
        if let Ok(listed) = fs::read_to_string(self.folder.join("files")) {
            return listed.lines().map(str::to_owned).collect();
        }
        let mut files: Vec<String> = fs::read_dir(&self.folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|file| file.starts_with("compose.") && file.ends_with(".yml") && file != "compose.yml")
            .collect();
        files.sort();
        files.insert(0, "compose.yml".to_owned());
        files
    }

    fn oracle(&self) -> Value {
        let mut command = Command::new(root().join("tests/oracle"));
        command.args(["--stack", STACK]).current_dir(&self.folder);
        if self.folder.join("env").exists() {
            command.args(["--env", "env"]);
        }
        let output = command.args(self.files()).output().expect("tests/oracle runs (it needs python3)");
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|cause| panic!("{}: {cause}: {}", self.name(), String::from_utf8_lossy(&output.stderr)))
    }

    fn ours(&self) -> Result<Desired, String> {
        let tree = Tree { entries: entries(&self.folder, "") };
        let source = |file: String| Source { text: tree.text(&file).unwrap().to_owned(), file: file.into() };
        let sources: Vec<Source> = self.files().into_iter().map(source).collect();
        let loaded = compose::load(&sources, &self.environment(), &tree).map_err(|errors| errors.to_string())?;
        let folder = self.folder.to_str().unwrap();
        let converted = desired::convert(&loaded.project, &STACK.parse().unwrap(), &tree, Some(folder));
        converted.map(|(desired, _)| desired).map_err(|errors| errors.to_string())
    }

    /// What the oracle gives to the Docker CLI.
    fn environment(&self) -> Environment {
        let inherited = ["PATH", "HOME"].map(|name| (name.to_owned(), std::env::var(name).unwrap_or_default()));
        let given = fs::read_to_string(self.folder.join("env")).unwrap_or_default();
        let given = given.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('='));
        inherited.into_iter().chain(given.map(|(name, value)| (name.to_owned(), value.to_owned()))).collect()
    }
}

fn same(name: &str, oracle: &Value, ours: Value) -> Result<(), String> {
    let theirs = &oracle["posts"];
    if *theirs == ours {
        return Ok(());
    }
    let text = |value: &Value| {
        let mut value = value.clone();
        value.sort_all_objects();
        serde_json::to_string_pretty(&value).unwrap()
    };
    let (theirs, ours) = (text(theirs), text(&ours));
    let diff = similar::TextDiff::from_lines(&theirs, &ours);
    Err(format!("== {name}\n{}", diff.unified_diff().context_radius(6).header("docker", "ours")))
}

fn sent(desired: &Desired) -> Value {
    serde_json::to_value(desired::posts(desired)).unwrap()
}

/// What we send, without the tmpfs mounts at these targets, which must all be there.
fn without(desired: &Desired, targets: &[&str]) -> Value {
    let mut left: BTreeSet<&str> = targets.iter().copied().collect();
    let mut desired = desired.clone();
    for service in &mut desired.services {
        let mounts = &mut service.spec["TaskTemplate"]["ContainerSpec"]["Mounts"];
        mounts.as_array_mut().unwrap().retain(|mount| {
            let added = mount["Type"] == "tmpfs" && left.remove(mount["Target"].as_str().unwrap());
            !added
        });
    }
    assert!(left.is_empty(), "no tmpfs at {left:?}");
    sent(&desired)
}

fn cases() -> Vec<Case> {
    let mut folders: Vec<PathBuf> = fs::read_dir(fixtures()).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders.into_iter().map(|folder| Case { folder }).collect()
}

fn entries(folder: &Path, prefix: &str) -> BTreeMap<String, Entry> {
    let mut entries = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("{prefix}{}", path.file_name().unwrap().to_str().unwrap());
        if path.is_dir() {
            entries.extend(self::entries(&path, &format!("{name}/")));
        } else {
            entries.insert(name, Entry::File(fs::read(&path).unwrap()));
        }
    }
    entries
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn fixtures() -> PathBuf {
    root().join("tests/fixtures/compose")
}

/// A missing second opinion is a failure: without it these tests would say nothing.
fn require_docker_cli() {
    const WAY_OUT: &str = "install a Docker CLI from 25 on and put it on PATH: package docker-cli of Debian 13 (it \
                           runs on Debian 12 too), or pkgs.docker-client of nixpkgs; no daemon is needed";
    let output = Command::new("docker").arg("--version").output();
    let output = output.unwrap_or_else(|cause| panic!("docker cannot be run: {cause}; {WAY_OUT}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let major = text.split(' ').nth(2).and_then(|version| version.split('.').next()?.parse::<u32>().ok());
    assert!(major.is_some_and(|major| major >= 25), "this Docker CLI is too old: {text:?}; {WAY_OUT}");
}
