//! A set of compose files, read by us and by the Docker CLI.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use evenkeel::desired::{self, Desired};
use evenkeel::model::diagnostic::{Diagnostics, Severity};
use evenkeel::recipe::Tree;
use evenkeel::recipe::compose::Source;
use evenkeel::recipe::interpolate::Environment;
use serde_json::{Value, json};

use super::accepted::{ACCEPTED, How};
use super::proof::Refusal;
use super::root;

const STACK: &str = "st";

pub struct Case {
    pub name: String,
    pub folder: PathBuf,
    /// Compose files in their order, relative to the folder.
    pub files: Vec<String>,
    /// What the compose files see besides PATH and HOME.
    pub variables: BTreeMap<String, String>,
    /// All files of the folder.
    pub tree: Arc<Tree>,
}

pub enum Verdict {
    Same,
    /// With our words.
    BothRefuse(String),
    /// By the index in [`ACCEPTED`], with our words where we refuse the files.
    Accepted(usize, String),
    Differs(String),
}

impl Verdict {
    pub fn taken_by_the_docker_cli(&self) -> bool {
        match self {
            Self::Same => true,
            Self::Accepted(index, _) => !matches!(ACCEPTED[*index].how, How::Taken(_)),
            Self::BothRefuse(_) | Self::Differs(_) => false,
        }
    }
}

/// The verdict on each case, in their order.
pub fn compare(cases: &[&Case]) -> Vec<Verdict> {
    let answers = ask_the_docker_cli(cases);
    cases
        .iter()
        .zip(&answers)
        .map(|(case, theirs)| case.judge(&case.sources(), theirs["ok"] == true, answer(theirs)))
        .collect()
}

fn ask_the_docker_cli(cases: &[&Case]) -> Vec<Value> {
    let mut oracle = Command::new(root().join("tests/oracle"))
        .args(["--batch", "--stack", STACK])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("tests/oracle runs (it needs python3)");
    let mut input = oracle.stdin.take().expect("stdin is piped");
    let questions: String = cases.iter().map(|case| format!("{}\n", case.question())).collect();
    let asking = std::thread::spawn(move || input.write_all(questions.as_bytes()));
    let output = BufReader::new(oracle.stdout.take().expect("stdout is piped"));
    let answers: Vec<Value> = output.lines().map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
    asking.join().unwrap().expect("tests/oracle reads all cases");
    assert!(oracle.wait().unwrap().success() && answers.len() == cases.len(), "tests/oracle answers every case");
    answers
}

impl Case {
    fn question(&self) -> Value {
        json!({ "folder": self.folder, "files": self.files, "env": self.variables })
    }

    pub fn sources(&self) -> Vec<Source> {
        let source = |file: &String| Source {
            text: fs::read_to_string(self.folder.join(file)).unwrap(),
            file: file.as_str().into(),
        };
        self.files.iter().map(source).collect()
    }

    /// What the Docker CLI answers is what it sends, or its error.
    pub fn judge(&self, sources: &[Source], taken: bool, answer: &Value) -> Verdict {
        match (self.ours(sources), taken) {
            (Err(messages), false) => Verdict::BothRefuse(messages.join("\n")),
            (Err(messages), true) => self.refused_alone(&messages, answer),
            (Ok(_), false) => taken_alone(answer.as_str().unwrap_or_default()),
            (Ok(desired), true) => same(&sent(&desired), answer),
        }
    }

    /// What we make of the files, or all errors.
    fn ours(&self, sources: &[Source]) -> Result<Desired, Vec<String>> {
        let (stack, folder) = (STACK.parse().unwrap(), self.folder.join(&self.files[0]));
        let folder = folder.parent().expect("it has a file").to_str();
        let read = desired::from_files(sources, &self.environment(), &stack, &self.tree, folder);
        read.map(|(desired, _)| desired).map_err(|found| errors(&found))
    }

    /// Each of the messages has to be of an accepted difference.
    fn refused_alone(&self, messages: &[String], posts: &Value) -> Verdict {
        let fits = |message: &String, how: &How| match how {
            How::Refused(words, proof) => message.contains(words) && proof(&Refusal { case: self, message, posts }),
            How::Taken(_) | How::Sent(_) => false,
        };
        let accepted = |message: &String| ACCEPTED.iter().position(|entry| fits(message, &entry.how));
        let differs = || Verdict::Differs(format!("we alone refuse it: {}\n", messages.join("\n")));
        let accepted: Option<Vec<usize>> = messages.iter().map(accepted).collect();
        let first = accepted.and_then(|indices| indices.first().copied());
        first.map_or_else(differs, |index| Verdict::Accepted(index, messages.join("\n")))
    }

    fn environment(&self) -> Environment {
        let inherited = ["PATH", "HOME"].map(|name| (name.to_owned(), std::env::var(name).unwrap_or_default()));
        inherited.into_iter().chain(self.variables.clone()).collect()
    }
}

fn answer(theirs: &Value) -> &Value {
    if theirs["ok"] == true { &theirs["posts"] } else { &theirs["error"] }
}

fn errors(found: &Diagnostics) -> Vec<String> {
    found.0.iter().filter(|found| found.severity == Severity::Error).map(ToString::to_string).collect()
}

fn sent(desired: &Desired) -> Value {
    serde_json::to_value(desired::posts(desired.clone())).unwrap()
}

fn taken_alone(error: &str) -> Verdict {
    let fits = |how: &How| match how {
        How::Taken(words) => error.contains(words),
        How::Refused(..) | How::Sent(_) => false,
    };
    let short: String = error.chars().take(600).collect();
    let differs = || Verdict::Differs(format!("the Docker CLI alone refuses it: {short}\n"));
    ACCEPTED
        .iter()
        .position(|entry| fits(&entry.how))
        .map_or_else(differs, |index| Verdict::Accepted(index, String::new()))
}

fn same(ours: &Value, theirs: &Value) -> Verdict {
    let (ours, theirs) = (in_one_order(ours), in_one_order(theirs));
    if ours == theirs {
        return Verdict::Same;
    }
    let undone = |how: &How| match how {
        How::Sent(undo) => {
            let mut ours = ours.clone();
            undo(&mut ours, &theirs);
            ours == theirs
        }
        How::Taken(_) | How::Refused(..) => false,
    };
    let differs = || Verdict::Differs(difference(&ours, &theirs));
    ACCEPTED
        .iter()
        .position(|entry| undone(&entry.how))
        .map_or_else(differs, |index| Verdict::Accepted(index, String::new()))
}

/// The posts, where entries of one name (a secret that is mounted twice) are in an order of their contents: the Docker
/// CLI keeps them in a map, and its own order changes from run to run.
fn in_one_order(posts: &Value) -> Value {
    let mut posts = posts.clone();
    for post in posts.as_array_mut().into_iter().flatten() {
        for (path, name) in [
            ("/1/TaskTemplate/ContainerSpec/Secrets", "SecretName"),
            ("/1/TaskTemplate/ContainerSpec/Configs", "ConfigName"),
            ("/1/TaskTemplate/Networks", "Target"),
        ] {
            let Some(list) = post.pointer_mut(path).and_then(Value::as_array_mut) else { continue };
            for same in list.chunk_by_mut(|a, b| a[name] == b[name]) {
                same.sort_by_key(text);
            }
        }
    }
    posts
}

fn difference(ours: &Value, theirs: &Value) -> String {
    let (theirs, ours) = (text(theirs), text(ours));
    let diff = similar::TextDiff::from_lines(&theirs, &ours);
    diff.unified_diff().context_radius(4).header("docker", "ours").to_string()
}

fn text(value: &Value) -> String {
    let mut value = value.clone();
    value.sort_all_objects();
    serde_json::to_string_pretty(&value).unwrap()
}

/// Its name, files and variables.
impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "== {}", self.name)?;
        for file in &self.files {
            let text = fs::read_to_string(self.folder.join(file)).unwrap_or_default();
            writeln!(f, "-- {file}\n{}", text.trim_end())?;
        }
        let texts: String =
            self.files.iter().filter_map(|file| fs::read_to_string(self.folder.join(file)).ok()).collect();
        let named = self.variables.iter().filter(|(name, _)| texts.contains(name.as_str()));
        let variables: Vec<String> = named.map(|(name, value)| format!("{name}={value:?}")).collect();
        writeln!(f, "-- variables: {}", variables.join(" "))
    }
}
