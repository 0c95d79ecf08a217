//! YAML as Go's yaml.v3 resolves it, with the place of every node.
//!
//! The border: no meaning of compose files here. The surprise: plain scalars follow YAML 1.1 octals and 1.2 booleans
//! at once (`0555` is 365, `yes` is a string), because that is what the recipes' tools read.

mod build;
mod scalar;
mod spelling;
mod timestamp;

use std::borrow::Cow;
use std::sync::Arc;

use crate::model::diagnostic::{Diagnostic, Diagnostics, Place};

pub use scalar::text_of;

/// Longer texts are not read: the largest compose files in use have 20 KiB.
pub const MAX_BYTES: usize = 1024 * 1024;
/// Nodes after every alias is replaced by what it stands for.
pub const MAX_NODES: usize = 200_000;
/// Text of all nodes after every alias is replaced by what it stands for.
pub const MAX_EXPANDED_BYTES: usize = 4 * 1024 * 1024;
/// The longest key of a mapping: what is said of a value names all keys on the way to it.
pub const MAX_KEY_BYTES: usize = 4096;
/// Levels of mappings and sequences inside each other.
pub const MAX_DEPTH: usize = 100;

/// One node: what it is and where it stands. A node that an alias stands for has the place of its anchor.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    pub value: Value,
    pub place: Place,
    /// How a plain scalar was written that is not a string (`0444`, `1.50`, `~`): whoever takes it as text can tell
    /// that it changes its spelling.
    pub source: Option<Box<str>>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    Int(i64),
    /// Above `i64::MAX` only.
    Uint(u64),
    /// Finite, as far as it comes from a text.
    Float(f64),
    /// A date or timestamp; the text is what Go prints for it.
    Time(String),
    String(String),
    Seq(Vec<Node>),
    /// In the order of the file, merged entries last; keys unique.
    Map(Vec<(Key, Node)>),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    pub text: String,
    pub place: Place,
}

impl Node {
    pub fn new(value: Value, place: Place) -> Self {
        Self { value, place, source: None }
    }

    pub fn get(&self, key: &str) -> Option<&Node> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|(k, _)| k.text == key).map(|(_, node)| node),
            _ => None,
        }
    }

    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// The spelling in the file, when this scalar reads differently as text (`0444` becomes `292`).
    pub fn respelled(&self) -> Option<&str> {
        let source = self.source.as_deref()?;
        (self.value != Value::Null && text_of(&self.value) != source).then_some(source)
    }
}

/// The name under which a text's places are reported.
pub type FileName = Arc<str>;

/// The first document of a text, whose lines end with LF, CRLF, CR or NEL; [`Value::Null`] where there is none. Further
/// documents are ignored, as the Docker CLI does.
///
/// # Errors
/// Everything that is wrong as far as the text can be read, and every bound of this module that it exceeds.
pub fn parse(file: &FileName, text: &str) -> Result<Node, Diagnostics> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.len() > MAX_BYTES {
        let message = format!("the file has {} bytes, more than the {MAX_BYTES} that are read", text.len());
        return Err(Diagnostics(vec![Diagnostic::error(Place::new(file, 1, 1), message)]));
    }
    let text = &*with_line_feeds(text);
    let mut faults = unprintable_characters(file, text);
    faults.extend(unknown_directives(file, text));
    if faults.has_errors() {
        return Err(faults);
    }
    build::document(file, text)
}

/// The text with every line end as LF. Nearly every text has them so, and is not looked at letter by letter.
fn with_line_feeds(text: &str) -> Cow<'_, str> {
    match text.contains('\r') || text.contains("\u{85}") {
        true => Cow::Owned(text.replace("\r\n", "\n").replace(['\r', '\u{85}'], "\n")),
        false => Cow::Borrowed(text),
    }
}

/// Lines with a percent sign before the first document: Go's reader knows `%TAG` and the version 1.1.
fn unknown_directives(file: &FileName, text: &str) -> Diagnostics {
    let head = |line: &&str| line.trim().is_empty() || line.starts_with(['#', '%']);
    let is_known = |line: &str| {
        let mut words = line.split_whitespace();
        let number = |text: &str| text.parse::<u8>().ok();
        match (words.next(), words.next().and_then(|version| version.split_once('.'))) {
            (Some("%TAG"), _) => true,
            (Some("%YAML"), Some((major, minor))) => (number(major), number(minor)) == (Some(1), Some(1)),
            _ => false,
        }
    };
    let directives = text.lines().take_while(head).enumerate().filter(|(_, line)| line.starts_with('%'));
    let unknown = directives.filter(|(_, line)| !is_known(line)).map(|(index, line)| {
        let message = format!("{:?} is not known here", line.trim());
        Diagnostic::error(Place::new(file, at(index + 1), 1), message).hint("leave the line out")
    });
    Diagnostics(unknown.collect())
}

/// YAML allows no control characters, and the parser takes NUL for the end of the text.
fn unprintable_characters(file: &FileName, text: &str) -> Diagnostics {
    let mut found = Diagnostics::default();
    for (line, content) in text.lines().enumerate().filter(|(_, content)| !is_plain(content)) {
        for (column, character) in content.chars().enumerate().filter(|(_, c)| !is_printable(*c)).take(1) {
            let place = Place::new(file, at(line + 1), at(column + 1));
            let kind = if character.is_control() { "control character" } else { "character" };
            let message = format!("{kind} U+{:04X} is not allowed", character as u32);
            found.push(Diagnostic::error(place, message).hint("write it as an escape inside double quotes"));
        }
    }
    found
}

/// Printable at a glance, as nearly every line is.
fn is_plain(line: &str) -> bool {
    line.bytes().fold(true, |plain, byte| plain & matches!(byte, b' '..=b'~'))
}

fn is_printable(character: char) -> bool {
    match character {
        '\t' | '\n' => true,
        // To Go the separators end a line, and with it a comment; to the parser they do not.
        '\u{2028}' | '\u{2029}' | '\u{fffe}' | '\u{ffff}' => false,
        other => !other.is_control(),
    }
}

fn at(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
