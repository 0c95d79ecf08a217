//! One line of the history: who did what to which app, when and why.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Fields that other versions of the program write beside these are left out; `by`, `from` and `to` are not in lines of
/// older ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    pub ts: Timestamp,
    pub app: String,
    /// An outcome's word, or `paused`, `unpaused`, `approved`, `dropped`.
    pub outcome: String,
    /// Why, in the words that the operator was told.
    pub sentence: String,
    /// A unit, or a person by login name.
    #[serde(default)]
    pub by: Option<String>,
    /// The version that ran before.
    #[serde(default)]
    pub from: Option<String>,
    /// The version that was taken or tried, or that is held.
    #[serde(default)]
    pub to: Option<String>,
}

impl Line {
    /// Of an act that changes no version.
    pub fn of_act(app: &str, outcome: &str, sentence: &str, by: &str, ts: Timestamp) -> Self {
        let (app, outcome, sentence) = (app.to_owned(), outcome.to_owned(), sentence.to_owned());
        Self { ts, app, outcome, sentence, by: Some(by.to_owned()), from: None, to: None }
    }
}

/// How a transaction was decided: its line without the app's name, from the commit on until the line is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decided {
    pub ts: Timestamp,
    pub outcome: String,
    pub sentence: String,
    /// Who began it.
    pub by: String,
    pub from: Option<String>,
    pub to: Option<String>,
}

impl Decided {
    pub fn line(&self, app: &str) -> Line {
        let Self { ts, outcome, sentence, by, from, to } = self.clone();
        Line { ts, app: app.to_owned(), outcome, sentence, by: Some(by), from, to }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_older_and_newer_programs_are_read() {
        let old = r#"{"ts":"2026-11-21T02:00:00Z","app":"wiki","outcome":"applied","sentence":"installed"}"#;
        let line: Line = serde_json::from_str(old).unwrap();
        assert_eq!((line.by, line.from, line.outcome.as_str()), (None, None, "applied"));
        let newer = old.replace("\"app\"", "\"mood\":1,\"by\":\"alice\",\"app\"");
        assert_eq!(serde_json::from_str::<Line>(&newer).unwrap().by.as_deref(), Some("alice"));
    }
}
