//! Places that exist.

use evenkeel::model::diagnostic::{Diagnostics, Place};

/// Where the lines of a text end, so that a place can be looked for in it.
pub struct Lines(Vec<usize>);

impl Lines {
    /// Lines end with LF or CRLF.
    pub fn of(text: &str) -> Self {
        Self(text.split('\n').map(|line| line.chars().count()).collect())
    }

    /// Lines end with CR and NEL too.
    pub fn of_yaml(text: &str) -> Self {
        Self::of(&text.replace("\r\n", "\n").replace(['\r', '\u{85}'], "\n"))
    }

    /// A place is a character, the end of a line, or the end of the text.
    pub fn have(&self, place: &Place) -> bool {
        let (line, column) = (place.line as usize, place.column as usize);
        line >= 1 && column >= 1 && self.0.get(line - 1).is_some_and(|length| column <= length + 2)
            || line == self.0.len() + 1 && column == 1
    }

    /// Errors come with a message and a place of the text.
    pub fn have_all(&self, diagnostics: &Diagnostics) {
        for diagnostic in &diagnostics.0 {
            assert!(!diagnostic.message.is_empty());
            let place = diagnostic.place.as_ref().expect("a place");
            assert!(self.have(place), "there is no {diagnostic}");
        }
    }
}
