//! Cases that are folders: `compose.yml` and then `compose.*.yml` by name (or the lines of `files`), variables in
//! `env`, and in `refused` a part of what we say when we are to refuse the files.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use evenkeel::recipe::{Entry, Tree};

use super::accepted::ACCEPTED;
use super::case::{Case, Verdict};
use super::root;

pub struct Fixture {
    pub case: Case,
    refused: Option<String>,
}

pub fn folder() -> PathBuf {
    root().join("tests/fixtures/compose")
}

pub fn all() -> Vec<Fixture> {
    let mut folders: Vec<PathBuf> = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders.into_iter().map(read).collect()
}

fn read(folder: PathBuf) -> Fixture {
    let entries = entries(&folder, "");
    let text = |name: &str| match entries.get(name) {
        Some(Entry::File(bytes)) => Some(String::from_utf8(bytes.clone()).unwrap()),
        _ => None,
    };
    let files = match text("files") {
        Some(listed) => listed.lines().map(str::to_owned).collect(),
        None => compose_files(entries.keys()),
    };
    let variables = text("env").unwrap_or_default();
    let variables = variables.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('='));
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let refused = text("refused").map(|text| text.trim().to_owned());
    let name = folder.file_name().expect("a case has a name").to_string_lossy().into_owned();
    Fixture { case: Case { name, folder, files, variables, tree: Arc::new(Tree { entries }) }, refused }
}

fn compose_files<'a>(names: impl Iterator<Item = &'a String>) -> Vec<String> {
    let is_overlay = |file: &&String| file.starts_with("compose.") && file.ends_with(".yml") && *file != "compose.yml";
    let overlays = names.filter(is_overlay).cloned();
    std::iter::once("compose.yml".to_owned()).chain(overlays).collect()
}

pub fn entries(folder: &Path, prefix: &str) -> BTreeMap<String, Entry> {
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

impl Fixture {
    /// Whether the verdict is the one that the folder promises.
    pub fn check(&self, verdict: &Verdict) -> Result<(), String> {
        let wanted = ACCEPTED.iter().position(|entry| entry.fixture == self.case.name);
        let tell = |message: String| Err(format!("{}{message}\n", self.case));
        match (verdict, wanted, &self.refused) {
            (Verdict::Differs(difference), ..) => tell(difference.clone()),
            (Verdict::Accepted(index, cause), Some(wanted), part) if *index == wanted => match part {
                Some(part) if !cause.contains(part) => tell(format!("not refused for {part:?} but: {cause}")),
                _ => Ok(()),
            },
            (Verdict::Accepted(index, _), ..) => tell(format!("differs as {} does", ACCEPTED[*index].fixture)),
            (_, Some(_), _) => tell("no difference is left".to_owned()),
            (Verdict::BothRefuse(cause), None, Some(part)) if cause.contains(part) && !part.is_empty() => Ok(()),
            (Verdict::BothRefuse(cause), ..) => tell(format!("not refused for {:?} but: {cause}", self.refused)),
            (Verdict::Same, None, None) => Ok(()),
            (Verdict::Same, None, Some(_)) => tell("both take it".to_owned()),
        }
    }
}
