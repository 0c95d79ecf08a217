//! What is wrong with a text that somebody wrote, and where.
//!
//! Readers of text collect [`Diagnostics`] instead of stopping at the first: whoever mends a file wants all of them.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

/// A place in a text: file name as the reader knows it, line and column from 1 (columns count characters).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    pub file: Arc<str>,
    pub line: u32,
    pub column: u32,
}

impl Place {
    pub fn new(file: &Arc<str>, line: u32, column: u32) -> Self {
        Self { file: Arc::clone(file), line, column }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    Error,
    Warning,
}

/// One finding. `message` says what is wrong in the reader's words, `hint` the way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    pub severity: Severity,
    pub place: Option<Place>,
    pub message: String,
    pub hint: Option<String>,
}

impl Diagnostic {
    pub fn error(place: impl Into<Option<Place>>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, place: place.into(), message: message.into(), hint: None }
    }

    pub fn warning(place: impl Into<Option<Place>>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(place, message) }
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// `compose.yml:3:5: error: undefined volume "data" (declare it under top-level volumes)`
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        match self.severity {
            Severity::Error => f.write_str("error: ")?,
            Severity::Warning => f.write_str("warning: ")?,
        }
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

/// Nobody mends more at once, and a hostile text could have one finding a byte.
pub const MAX_FINDINGS: usize = 1000;

/// All findings about one input, in the order in which they were met; of more than [`MAX_FINDINGS`] the first, and the
/// first error in any case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl Diagnostics {
    pub fn push(&mut self, diagnostic: Diagnostic) {
        if self.0.len() == MAX_FINDINGS {
            self.0.push(Diagnostic::warning(None, format!("only the first {MAX_FINDINGS} findings are told")));
        }
        if self.0.len() < MAX_FINDINGS || diagnostic.severity == Severity::Error && !self.has_errors() {
            self.0.push(diagnostic);
        }
    }

    pub fn extend(&mut self, others: Diagnostics) {
        others.0.into_iter().for_each(|diagnostic| self.push(diagnostic));
    }

    /// Errors before warnings, each in the order of their places, and nothing said twice of one place. `files` is the
    /// order of the files; others follow by name, and what has no place comes last.
    #[must_use]
    pub fn in_order(mut self, files: &[&str]) -> Self {
        let rank = |place: &Place| files.iter().position(|file| **file == *place.file).unwrap_or(files.len());
        let key = |d: &Diagnostic| (d.severity, d.place.is_none(), d.place.as_ref().map(rank));
        self.0.sort_by(|a, b| {
            let words = || if a.place.is_some() { a.message.cmp(&b.message) } else { Ordering::Equal };
            key(a).cmp(&key(b)).then_with(|| a.place.cmp(&b.place)).then_with(words)
        });
        self.0.dedup_by(|b, a| a.place.is_some() && a.place == b.place && a.message == b.message);
        self
    }

    pub fn has_errors(&self) -> bool {
        self.errors().next().is_some()
    }

    pub fn errors(&self) -> impl Iterator<Item = &Diagnostic> {
        self.0.iter().filter(|d| d.severity == Severity::Error)
    }

    pub fn warnings(&self) -> impl Iterator<Item = &Diagnostic> {
        self.0.iter().filter(|d| d.severity == Severity::Warning)
    }
}

/// One finding a line.
impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{diagnostic}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

/// Comparing takes time by the product of the lengths, and nobody mistypes longer words.
const LONGEST_MISTYPED: usize = 64;

/// The known word that a mistyped one most resembles.
pub fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .filter(|name| word.len().max(name.len()) <= LONGEST_MISTYPED)
        .map(|name| (strsim::osa_distance(word, name), name))
        .filter(|(distance, name)| *distance <= 1 + name.len() / 4)
        .min()
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_come_first_then_files_in_their_order_then_lines_and_nothing_twice() {
        let at = |file: &str, line| Place::new(&file.into(), line, 1);
        let found = Diagnostics(vec![
            Diagnostic::warning(None, "w"),
            Diagnostic::warning(at("b", 2), "w"),
            Diagnostic::warning(at("a", 10), "w"),
            Diagnostic::warning(at("b", 2), "w"),
            Diagnostic::warning(at("a", 9), "w"),
            Diagnostic::error(at("z", 1), "e"),
        ]);
        let told: Vec<String> = found.in_order(&["b", "a"]).0.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            ["z:1:1: error: e", "b:2:1: warning: w", "a:9:1: warning: w", "a:10:1: warning: w", "warning: w"]
        );
    }

    #[test]
    fn findings_are_bounded_and_an_error_is_never_lost() {
        let warning = |number: usize| Diagnostic::warning(None, number.to_string());
        let mut found = Diagnostics::default();
        (0..MAX_FINDINGS).for_each(|number| found.push(warning(number)));
        assert_eq!(found.0.len(), MAX_FINDINGS);
        let mut more = Diagnostics::default();
        (0..5000).for_each(|number| more.push(warning(number)));
        more.push(Diagnostic::error(None, "wrong"));
        more.push(Diagnostic::error(None, "wrong too"));
        found.extend(more);
        assert_eq!(found.0.len(), MAX_FINDINGS + 2);
        assert_eq!(found.0[MAX_FINDINGS].message, "only the first 1000 findings are told");
        assert_eq!(found.errors().map(|error| error.message.as_str()).collect::<Vec<_>>(), ["wrong"]);
    }
}
