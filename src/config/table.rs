//! Reads a parsed TOML document by hand and notes everything that is wrong with it.
//!
//! The border: no meaning of the configuration here, only kinds of values. The surprise: a reading function that finds
//! something wrong notes it and returns `None`, so its caller goes on as if the key were absent; the notes decide in
//! the end whether there is a configuration at all.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::Display;
use std::ops::{Range, RangeInclusive};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::duration;
use crate::model::diagnostic::{Diagnostic, Diagnostics, Place, Severity};

/// The keys that one kind of table may have.
pub type Keys = &'static [&'static str];

/// One text being read, and what was found in it so far.
pub struct Reader<'t> {
    file: Arc<str>,
    text: &'t str,
    line_starts: Vec<usize>,
    findings: RefCell<Diagnostics>,
    /// Lines with a syntax error: what a recovered parse says about them is not worth telling.
    broken: BTreeSet<u32>,
}

impl<'t> Reader<'t> {
    /// The reader, and the document as far as it could be read.
    pub fn new(file: &str, text: &'t str) -> (Self, Spanned<DeTable<'t>>) {
        let (document, errors) = DeTable::parse_recoverable(text);
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let mut reader =
            Self { file: file.into(), text, line_starts, findings: RefCell::default(), broken: BTreeSet::new() };
        for error in errors {
            let place = reader.place(error.span().unwrap_or(text.len()..text.len()));
            reader.broken.insert(place.line);
            reader.findings.borrow_mut().push(Diagnostic::error(place, error.message()));
        }
        (reader, document)
    }

    pub fn place(&self, span: Range<usize>) -> Place {
        let at = span.start.min(self.text.len());
        let line = self.line_starts.partition_point(|start| *start <= at);
        let start = self.line_starts[line - 1];
        let before = self.text[start..].char_indices().take_while(|(offset, _)| start + offset < at);
        let column = before.count() + 1;
        Place::new(&self.file, to_u32(line), to_u32(column))
    }

    pub fn push(&self, finding: Diagnostic) {
        let on_broken_line = finding.place.as_ref().is_some_and(|place| self.broken.contains(&place.line));
        if !on_broken_line {
            self.findings.borrow_mut().push(finding);
        }
    }

    /// Notes that something needed is absent; silent after a syntax error, which may have swallowed it.
    fn push_missing(&self, finding: Diagnostic) {
        if self.broken.is_empty() {
            self.push(finding);
        }
    }

    /// All findings in the order of the text, errors and warnings together.
    pub fn finish(self) -> Diagnostics {
        let mut findings = self.findings.into_inner();
        findings.0.sort_by(|a, b| a.place.cmp(&b.place));
        findings.0.dedup();
        findings
    }

    /// The table whose own place is `place`, with keys that are not `known` noted.
    pub fn table<'a>(&'a self, entries: &'a DeTable<'a>, place: Place, path: &str, known: Keys) -> Table<'a> {
        let table = Table { reader: self, entries, place, path: path.to_owned() };
        table.note_unknown(known);
        table
    }
}

fn to_u32(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

pub struct Table<'a> {
    pub reader: &'a Reader<'a>,
    entries: &'a DeTable<'a>,
    pub place: Place,
    /// As an operator would write it: `app.wiki`; empty for the top level.
    pub path: String,
}

impl<'a> Table<'a> {
    pub fn get(&self, key: &str) -> Option<Value<'a>> {
        let (name, value) = self.entries.get_key_value(key)?;
        Some(self.value(name.get_ref(), name.span(), value))
    }

    /// The key's value, or a note that it has to be there.
    pub fn require(&self, key: &str, hint: &str) -> Option<Value<'a>> {
        let found = self.get(key);
        if found.is_none() {
            let message = format!("{} is missing", self.path_of(key));
            self.reader.push_missing(Diagnostic::error(self.place.clone(), message).hint(hint));
        }
        found
    }

    /// All entries, keys sorted.
    pub fn entries(&self) -> Vec<(String, Value<'a>)> {
        let value = |(name, value): (&'a Spanned<_>, _)| {
            let text: &std::borrow::Cow<'a, str> = name.get_ref();
            (text.to_string(), self.value(text, name.span(), value))
        };
        self.entries.iter().map(value).collect()
    }

    pub fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    fn value(&self, key: &str, key_span: Range<usize>, value: &'a Spanned<DeValue<'a>>) -> Value<'a> {
        Value {
            reader: self.reader,
            path: self.path_of(key),
            key_place: self.reader.place(key_span),
            place: self.reader.place(value.span()),
            value: value.get_ref(),
        }
    }

    fn note_unknown(&self, known: Keys) {
        for name in self.entries.keys().filter(|name| !known.contains(&name.get_ref().as_ref())) {
            let message = format!("unknown key {:?}{}", name.get_ref(), self.inside());
            let hint = match nearest(name.get_ref(), known) {
                Some(near) => format!("did you mean {near:?}?"),
                None => format!("known here: {}", known.join(", ")),
            };
            self.reader.push(Diagnostic::error(self.reader.place(name.span()), message).hint(hint));
        }
    }

    fn inside(&self) -> String {
        if self.path.is_empty() { String::new() } else { format!(" in {}", self.path) }
    }
}

/// The known word that a mistyped one most likely stands for.
fn nearest(word: &str, known: Keys) -> Option<&'static str> {
    let distance = |candidate: &&&str| strsim::damerau_levenshtein(word, candidate);
    let close = |candidate: &&&str| distance(candidate) == 1 || strsim::jaro_winkler(word, candidate) > 0.82;
    known.iter().filter(close).min_by_key(distance).copied()
}

#[derive(Clone)]
pub struct Value<'a> {
    pub reader: &'a Reader<'a>,
    pub path: String,
    pub key_place: Place,
    pub place: Place,
    value: &'a DeValue<'a>,
}

impl<'a> Value<'a> {
    /// The same value, with findings placed at its key: for what concerns a table as a whole.
    pub fn at_key(&self) -> Self {
        Self { place: self.key_place.clone(), ..self.clone() }
    }

    pub fn error(&self, message: impl Display, hint: &str) {
        self.reader.push(self.finding(Severity::Error, message).hint(hint));
    }

    pub fn warning(&self, message: impl Display, hint: &str) {
        self.reader.push(self.finding(Severity::Warning, message).hint(hint));
    }

    fn finding(&self, severity: Severity, message: impl Display) -> Diagnostic {
        let message = format!("{}: {message}", self.path);
        Diagnostic { severity, ..Diagnostic::error(self.place.clone(), message) }
    }

    /// Notes the wrong kind of value without showing the value: it may be a secret that was put here by mistake.
    fn wrong_kind<T>(&self, wanted: &str) -> Option<T> {
        let message = format!("expected {wanted}, found {}", kind(self.value));
        self.reader.push(self.finding(Severity::Error, message));
        None
    }

    pub fn string(&self) -> Option<&'a str> {
        match self.value {
            DeValue::String(text) => Some(text.as_ref()),
            _ => self.wrong_kind("a string"),
        }
    }

    /// A string that is not empty.
    pub fn text(&self) -> Option<String> {
        let text = self.string()?;
        if text.trim().is_empty() {
            self.error("is empty", "give it a value or leave the key out");
            return None;
        }
        Some(text.to_owned())
    }

    /// A string that parses; `hint` shows what a right one looks like.
    pub fn parsed<T: FromStr<Err: Display>>(&self, hint: &str) -> Option<T> {
        match self.string()?.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.error(error, hint);
                None
            }
        }
    }

    /// One of a few words.
    pub fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> Option<T> {
        let word = self.string()?;
        let found = choices.iter().find(|(name, _)| *name == word).map(|(_, choice)| *choice);
        if found.is_none() {
            let names: Vec<String> = choices.iter().map(|(name, _)| format!("{name:?}")).collect();
            self.error(format!("{word:?} is none of its values"), &format!("one of {}", names.join(", ")));
        }
        found
    }

    pub fn boolean(&self) -> Option<bool> {
        match self.value {
            DeValue::Boolean(value) => Some(*value),
            _ => self.wrong_kind("true or false"),
        }
    }

    pub fn integer(&self, allowed: RangeInclusive<u32>) -> Option<u32> {
        let DeValue::Integer(integer) = self.value else { return self.wrong_kind("a whole number") };
        // One too large to be read is told below, as any other that does not fit.
        let number = i64::from_str_radix(integer.as_str(), integer.radix()).ok();
        let fits = number.and_then(|n| u32::try_from(n).ok()).filter(|n| allowed.contains(n));
        if fits.is_none() {
            let range = format!("from {} to {}", allowed.start(), allowed.end());
            self.error(format!("{integer} is out of range"), &range);
        }
        fits
    }

    pub fn duration(&self) -> Option<Duration> {
        let text = self.string()?;
        match duration::parse(text) {
            Ok(duration) => Some(duration),
            Err(error) => {
                self.error(error, "such as \"10s\", \"90m\", \"1h30m\", \"24h\", \"7d\"");
                None
            }
        }
    }

    /// An absolute path. The value is never shown: where a path belongs, a secret may have been put by mistake.
    pub fn path(&self) -> Option<PathBuf> {
        let path = PathBuf::from(self.string()?);
        if path.is_absolute() {
            return Some(path);
        }
        self.error("is not an absolute path", "files are named by absolute paths; values of secrets never stand here");
        None
    }

    /// The absolute path of a file with a secret.
    pub fn secret_path(&self) -> Option<PathBuf> {
        let path = self.path()?;
        if path.starts_with("/nix/store") {
            self.warning(
                "a file in /nix/store is readable by everyone on this machine",
                "give a run-time path, such as sops-nix makes below /run/secrets",
            );
        }
        Some(path)
    }

    /// What an environment variable's value may be written as.
    pub fn env_value(&self) -> Option<String> {
        match self.value {
            DeValue::String(text) => Some(text.to_string()),
            DeValue::Boolean(value) => Some(value.to_string()),
            DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().to_owned()),
            DeValue::Integer(_) | DeValue::Float(_) => {
                self.error("this number can be written in more than one way", "put it in quotes");
                None
            }
            _ => self.wrong_kind("a string, a whole number, true or false"),
        }
    }

    /// The elements of a list.
    pub fn list(&self) -> Option<Vec<Value<'a>>> {
        let DeValue::Array(elements) = self.value else { return self.wrong_kind("a list") };
        let element = |(index, value): (usize, &'a Spanned<DeValue<'a>>)| {
            let place = self.reader.place(value.span());
            let path = format!("{}[{index}]", self.path);
            Value { reader: self.reader, path, key_place: place.clone(), place, value: value.get_ref() }
        };
        Some(elements.iter().enumerate().map(element).collect())
    }

    /// The elements of a list, or the value itself as the only one.
    pub fn one_or_list(&self) -> Vec<Value<'a>> {
        match self.value {
            DeValue::Array(_) => self.list().unwrap_or_default(),
            _ => vec![self.clone()],
        }
    }

    /// A list of strings that are not empty.
    pub fn texts(&self) -> Option<Vec<String>> {
        Some(self.list()?.iter().filter_map(Value::text).collect())
    }

    /// A table whose keys are known.
    pub fn table(&self, known: Keys) -> Option<Table<'a>> {
        let table = self.open_table()?;
        table.note_unknown(known);
        Some(table)
    }

    /// A table whose keys are names that the operator chooses.
    pub fn open_table(&self) -> Option<Table<'a>> {
        let DeValue::Table(entries) = self.value else { return self.wrong_kind("a table") };
        Some(Table { reader: self.reader, entries, place: self.key_place.clone(), path: self.path.clone() })
    }
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
