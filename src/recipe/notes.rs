//! Release notes: `release/<tag>`, in prose, for people.
//!
//! Nobody writes there by a rule whether a version needs work by hand, so any note may say so. The border: only names
//! that are versions count (`release/next` does not), and texts are cut to what a person reads.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Included};
use std::sync::Arc;

use crate::model::version::RecipeVersion;

/// The folder of the notes.
pub const FOLDER: &str = "release";

/// The longest part of one note that is told, in bytes; and of all notes together.
const LONGEST: usize = 16 << 10;
const LONGEST_OF_ALL: usize = 64 << 10;

/// The notes that a recipe has at one commit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notes(BTreeMap<RecipeVersion, Note>);

/// What a note says, cut. Commits share most of their notes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note(Arc<str>);

impl Note {
    /// `None` where the file cannot be read: it is a note all the same.
    pub fn of(bytes: Option<&[u8]>) -> Self {
        let Some(bytes) = bytes else {
            return Self("(the note cannot be shown: it is too large, or no plain file)".into());
        };
        match cut(String::from_utf8_lossy(bytes).trim(), LONGEST) {
            empty if empty.is_empty() => Self("(the note is empty)".into()),
            text => Self(text.into()),
        }
    }
}

impl Notes {
    /// From the files of the folder by name.
    pub fn of<'a>(files: impl IntoIterator<Item = (&'a str, Note)>) -> Self {
        Self(files.into_iter().filter_map(|(name, note)| Some((name.parse().ok()?, note))).collect())
    }

    /// Those of the versions above `from`, up to `to` and with it.
    pub fn between(&self, from: &RecipeVersion, to: &RecipeVersion) -> Self {
        if from >= to {
            return Self::default();
        }
        let between = self.0.range((Excluded(from), Included(to)));
        Self(between.map(|(version, note)| (version.clone(), note.clone())).collect())
    }

    pub fn versions(&self) -> impl Iterator<Item = &RecipeVersion> {
        self.0.keys()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each note under its version as a headline, oldest first; `None` where there is none.
    pub fn told(&self) -> Option<String> {
        let all: Vec<String> = self.0.iter().map(|(version, note)| format!("# {version}\n{}\n", note.0)).collect();
        (!all.is_empty()).then(|| cut(&all.join("\n"), LONGEST_OF_ALL))
    }
}

fn cut(text: &str, longest: usize) -> String {
    if text.len() <= longest {
        return text.to_owned();
    }
    let end = (0..=longest).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
    format!("{}… ({} bytes in all)", &text[..end], text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> RecipeVersion {
        text.parse().unwrap()
    }

    fn notes() -> Notes {
        let files: [(&str, Option<&[u8]>); 6] = [
            (".git-keep-me", Some(b"")),
            ("next", Some(b"not yet")),
            ("1.0.0+1", Some(b"first\n")),
            ("2.0.0+1", Some(b"ATTENTION: run the migration\n")),
            ("2.0.1+2", None),
            ("10.0.0+2", Some(b" \n")),
        ];
        Notes::of(files.map(|(name, bytes)| (name, Note::of(bytes))))
    }

    #[test]
    fn the_notes_above_what_runs_up_to_the_target_count() {
        let between = |from, to| {
            let found = notes().between(&version(from), &version(to));
            found.versions().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(between("1.0.0+1", "2.0.1+1"), ["2.0.0+1"]);
        assert_eq!(between("1.0.0+1", "2.0.1+2"), ["2.0.0+1", "2.0.1+2"]);
        assert_eq!(between("2.0.1+2", "9.9.9+9"), [""; 0]);
        assert_eq!(between("0.1.0+1", "99.0.0+1"), ["1.0.0+1", "2.0.0+1", "2.0.1+2", "10.0.0+2"]);
        assert_eq!(between("2.0.1+2", "1.0.0+1"), [""; 0]);
    }

    #[test]
    fn notes_are_told_under_their_versions() {
        let told = notes().between(&version("1.0.0+1"), &version("10.0.0+2")).told().unwrap();
        assert!(
            told.starts_with("# 2.0.0+1\nATTENTION: run the migration\n\n# 2.0.1+2\n(the note cannot be"),
            "{told}"
        );
        assert!(told.ends_with("# 10.0.0+2\n(the note is empty)\n"), "{told}");
        assert_eq!(Notes::default().told(), None);
    }

    #[test]
    fn a_note_without_end_is_cut() {
        let long = "ä".repeat(1 << 20);
        let names: Vec<String> = (0..50).map(|minor| format!("1.{minor}.0+1")).collect();
        let notes = Notes::of(names.iter().map(|name| (name.as_str(), Note::of(Some(long.as_bytes())))));
        let told = notes.told().unwrap();
        assert!(told.len() < LONGEST_OF_ALL + 100 && told.contains("ä… (2097152 bytes in all)"), "{}", told.len());
    }
}
