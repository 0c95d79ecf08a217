//! What may stand where in a compose file: the Docker CLI's schemas 3.0 to 3.13, and what its reader refuses besides.
//!
//! The border: one file, its values one by one; whether they fit each other is said by [`crate::desired`]. The
//! surprise: what is wrong is also taken out, so that the readers after this see only what they can read, and tell
//! the rest of what is wrong in the same go.

mod tell;

use std::collections::HashMap;
use std::fmt::Write as _;

use super::path::Path;
use super::unsound::Unsound;
use super::version::Version;
use crate::model::diagnostic::{Diagnostic, Diagnostics};
use crate::recipe::values;
use crate::recipe::yaml::{self, Key, Node, Value};

/// What a node may be. A date is a text only where it says so: elsewhere the Docker CLI refuses it.
pub enum Shape {
    Anything,
    Text,
    TextOrNull,
    TextOrDate,
    /// A date too.
    TextOrNumber,
    /// A date too.
    TextOrNumberOrNull,
    Bool,
    Integer,
    /// Not written with a fraction, not even `5.0`.
    PlainInteger,
    /// An integer from zero on.
    Count,
    Number,
    /// A number that a float of 32 bits holds.
    Ratio,
    /// A number from zero on.
    Amount,
    /// A number that 32 bits hold.
    Mode,
    Duration,
    /// `512m`.
    Size,
    /// `8080:80/udp`, or an integer.
    Port,
    OneOf(&'static [&'static str]),
    List(&'static Shape),
    /// Of distinct items.
    Set(&'static Shape),
    /// Of distinct items in versions below 3.n.
    SetBelow(u8, &'static Shape),
    /// Keys that are known, and what others may be.
    Fields(&'static [(&'static str, Shape)], Rest),
    /// A mapping that has these keys.
    With(&'static [&'static str], &'static Shape),
    /// Names as keys.
    Named(&'static Shape, Names),
    Nullable(&'static Shape),
    /// The first one whose kind (text, list, map, …) fits.
    Either(&'static [Shape]),
    /// From version 3.n on.
    Since(u8, &'static Shape),
}

/// Keys besides the known ones.
#[derive(Clone, Copy, PartialEq)]
pub enum Rest {
    Refused,
    /// `x-…` alone, from version 3.n on.
    Extensions(u8),
    /// From version 3.n on. A known key may then be written with capitals.
    Allowed(u8),
}

/// What a name may consist of.
#[derive(Clone, Copy)]
pub enum Names {
    NotEmpty,
    /// Letters, digits, `.`, `_`, `-`.
    Plain,
    /// Entries of other names are of another shape.
    NotEmptyOr(&'static Shape),
    PlainOr(&'static Shape),
    /// Small letters.
    LowercaseOr(&'static Shape),
}

/// Appends what is wrong with a file by the schema of its version, and takes it out. An entry of a section stays, if
/// only as an empty mapping; an item of a list becomes null, so that the others keep their index.
pub fn sift(file: &mut Node, keys: &[(&str, Shape)], version: Version, unsound: &mut Unsound, found: &mut Diagnostics) {
    let mut sieve = Sieve { version, found, ports: 0 };
    sieve.refuse_infinite(file, &Path::File);
    let Value::Map(entries) = &mut file.value else { return };
    for (key, value) in entries {
        match shape_of(keys, &key.text, Rest::Refused) {
            Some(Shape::Since(_, Shape::Named(inner, names)) | Shape::Named(inner, names)) => {
                sieve.refuse_early(keys, key, &Path::File);
                sieve.section(&key.text, value, (inner, *names), unsound);
            }
            known => {
                let fit = sieve.field(key, value, keys, Rest::Extensions(4), &Path::File);
                // It may be a section with its name mistyped.
                let section = tell::nearest(key, keys).filter(|_| known.is_none() && fit == Fit::Not);
                unsound.sections.extend(section.map(str::to_owned));
            }
        }
    }
}

/// How a node is after what does not fit was taken out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    Sound,
    Partly,
    Not,
}

struct Sieve<'a> {
    version: Version,
    found: &'a mut Diagnostics,
    /// Ports in the short form so far.
    ports: usize,
}

impl Sieve<'_> {
    fn check(&mut self, node: &mut Node, shape: &Shape, path: &Path) -> Fit {
        match shape {
            Shape::Anything => Fit::Sound,
            Shape::Nullable(_) if node.value == Value::Null => Fit::Sound,
            Shape::Nullable(inner) => self.check(node, inner, path),
            Shape::Since(since, inner) => {
                if self.version.minor < *since && is_of_kind(&node.value, inner) {
                    self.found.push(tell::early_kind(node, path, *since, self.version));
                }
                self.check(node, inner, path)
            }
            Shape::Either(shapes) => match shapes.iter().find(|shape| is_of_kind(&node.value, shape)) {
                Some(shape) => self.check(node, shape, path),
                None => self.refuse(tell::wrong_kind(node, shape, path)),
            },
            _ if !is_of_kind(&node.value, shape) => self.refuse(tell::wrong_kind(node, shape, path)),
            Shape::Fields(known, rest) => self.fields(node, known, *rest, path),
            Shape::With(required, inner) => {
                let given: Vec<bool> = required.iter().map(|key| node.get(key).is_some()).collect();
                let fit = self.check(node, inner, path);
                let missing = required.iter().zip(given).filter(|(_, given)| !given).map(|(key, _)| *key);
                missing.fold(fit, |_, key| self.refuse(tell::missing(node, path, key)))
            }
            Shape::Named(inner, names) => self.named(node, inner, *names, path),
            Shape::List(item) => self.items(node, item, path),
            Shape::Set(item) => self.distinct(node, path).max(self.items(node, item, path)),
            Shape::SetBelow(minor, item) if self.version.minor < *minor => {
                self.distinct(node, path).max(self.items(node, item, path))
            }
            Shape::SetBelow(_, item) => self.items(node, item, path),
            Shape::Port => match self.port_fault(&node.value) {
                Some(cause) => self.refuse(tell::fault(node, shape, path, &cause)),
                None => Fit::Sound,
            },
            _ => match fault(&node.value, shape) {
                Some(cause) => self.refuse(tell::fault(node, shape, path, &cause)),
                None => Fit::Sound,
            },
        }
    }

    /// A range of seven characters is 65,535 ports.
    fn port_fault(&mut self, value: &Value) -> Option<String> {
        let too_many = || Some(format!("more than {MAX_PORTS} ports in one file, which is more than are read"));
        if self.ports > MAX_PORTS {
            return too_many();
        }
        match values::ports(&yaml::text_of(value)) {
            Ok(ports) => self.ports += ports.len(),
            Err(cause) => return Some(cause),
        }
        if self.ports > MAX_PORTS { too_many() } else { None }
    }

    fn refuse(&mut self, diagnostic: Diagnostic) -> Fit {
        self.found.push(diagnostic);
        Fit::Not
    }

    /// The entries of `services:` and so on. All stay.
    fn section(&mut self, name: &str, node: &mut Node, (shape, names): (&Shape, Names), unsound: &mut Unsound) {
        let section = Path::Key(&Path::File, name);
        let Value::Map(entries) = &mut node.value else {
            self.found.push(tell::wrong_kind(node, &Shape::Fields(&[], Rest::Refused), &section));
            unsound.sections.insert(name.to_owned());
            return;
        };
        for (key, value) in entries {
            let path = Path::Key(&section, &key.text);
            let fit = match shape_of_name(&key.text, shape, names) {
                Some(shape) => self.check(value, shape, &path),
                None => self.refuse(tell::no_name(key, &section)),
            };
            if fit == Fit::Not {
                value.value = Value::Map(Vec::new());
            }
            if fit != Fit::Sound {
                unsound.add(name, &key.text);
            }
        }
    }

    fn fields(&mut self, node: &mut Node, known: &[(&str, Shape)], rest: Rest, path: &Path) -> Fit {
        let Value::Map(entries) = &mut node.value else { return Fit::Sound };
        let mut whole = Fit::Sound;
        entries.retain_mut(|(key, value)| {
            let fit = self.field(key, value, known, rest, path);
            whole = whole.max(if fit == Fit::Sound { Fit::Sound } else { Fit::Partly });
            fit != Fit::Not
        });
        whole
    }

    fn field(&mut self, key: &Key, value: &mut Node, known: &[(&str, Shape)], rest: Rest, path: &Path) -> Fit {
        self.refuse_early(known, key, path);
        match (shape_of(known, &key.text, rest), rest) {
            (Some(Shape::Since(_, inner)), _) => self.check(value, inner, &Path::Key(path, &key.text)),
            (Some(shape), _) => self.check(value, shape, &Path::Key(path, &key.text)),
            (None, Rest::Allowed(since)) => self.early_rest(key, path, since),
            (None, Rest::Extensions(since)) if key.text.starts_with("x-") => self.early_rest(key, path, since),
            (None, _) => self.refuse(tell::unknown(key, path, known)),
        }
    }

    fn refuse_early(&mut self, known: &[(&str, Shape)], key: &Key, path: &Path) {
        if let Some((_, Shape::Since(since, _))) = known.iter().find(|(name, _)| *name == key.text) {
            self.early_rest(key, path, *since);
        }
    }

    /// A key that is there from a version on is told in earlier ones, and read all the same.
    fn early_rest(&mut self, key: &Key, path: &Path, since: u8) -> Fit {
        if self.version.minor < since {
            self.found.push(tell::early_key(key, path, since, self.version));
        }
        Fit::Sound
    }

    fn named(&mut self, node: &mut Node, inner: &Shape, names: Names, path: &Path) -> Fit {
        let Value::Map(entries) = &mut node.value else { return Fit::Sound };
        let all = entries.len();
        entries.retain_mut(|(key, value)| match shape_of_name(&key.text, inner, names) {
            Some(shape) => self.check(value, shape, &Path::Key(path, &key.text)) == Fit::Sound,
            None => self.refuse(tell::no_name(key, path)) == Fit::Sound,
        });
        if entries.len() == all { Fit::Sound } else { Fit::Partly }
    }

    fn items(&mut self, node: &mut Node, item: &Shape, path: &Path) -> Fit {
        let Value::Seq(items) = &mut node.value else { return Fit::Sound };
        let mut whole = Fit::Sound;
        for (index, node) in items.iter_mut().enumerate() {
            if self.check(node, item, &Path::Item(path, index)) != Fit::Sound {
                node.value = Value::Null;
                whole = Fit::Partly;
            }
        }
        whole
    }

    fn distinct(&mut self, node: &Node, path: &Path) -> Fit {
        let Value::Seq(items) = &node.value else { return Fit::Sound };
        let mut fit = Fit::Sound;
        let mut seen = HashMap::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let first = *seen.entry(as_compared(&item.value)).or_insert(index);
            if first != index {
                self.found.push(tell::twice(item, path, index, first));
                fit = Fit::Partly;
            }
        }
        fit
    }

    /// No JSON says them, and the Docker CLI checks its files as JSON.
    fn refuse_infinite(&mut self, node: &Node, path: &Path) {
        match &node.value {
            Value::Map(entries) => {
                for (key, value) in entries {
                    self.refuse_infinite(value, &Path::Key(path, &key.text));
                }
            }
            Value::Seq(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.refuse_infinite(item, &Path::Item(path, index));
                }
            }
            Value::Float(number) if !number.is_finite() => {
                let message = format!("{path} is {}, which is no number here", node.source.as_deref().unwrap_or("nan"));
                self.found.push(Diagnostic::error(node.place.clone(), message).hint("put it in quotes"));
            }
            _ => {}
        }
    }
}

fn shape_of<'a>(known: &'a [(&str, Shape)], key: &str, rest: Rest) -> Option<&'a Shape> {
    let exact = known.iter().find(|(name, _)| *name == key);
    let folded = || known.iter().find(|(name, _)| name.eq_ignore_ascii_case(key));
    let found = if matches!(rest, Rest::Allowed(_)) { exact.or_else(folded) } else { exact };
    found.map(|(_, shape)| shape)
}

fn shape_of_name<'a>(name: &str, inner: &'a Shape, names: Names) -> Option<&'a Shape> {
    let plain = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c));
    let lowercase = !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase());
    let (fits, other) = match names {
        Names::NotEmpty => (!name.is_empty(), None),
        Names::Plain => (plain, None),
        Names::NotEmptyOr(other) => (!name.is_empty(), Some(other)),
        Names::PlainOr(other) => (plain, Some(other)),
        Names::LowercaseOr(other) => (lowercase, Some(other)),
    };
    if fits { Some(inner) } else { other }
}

fn is_of_kind(value: &Value, shape: &Shape) -> bool {
    let text = matches!(value, Value::String(_));
    let date = matches!(value, Value::Time(_));
    let integer = match value {
        Value::Int(_) | Value::Uint(_) => true,
        Value::Float(number) => number.fract() == 0.0,
        _ => false,
    };
    let number = integer || matches!(value, Value::Float(_));
    match shape {
        Shape::Anything => true,
        Shape::Text | Shape::Duration | Shape::Size | Shape::OneOf(_) => text,
        Shape::TextOrNull => text || *value == Value::Null,
        Shape::TextOrDate => text || date,
        Shape::TextOrNumber => text || date || number,
        Shape::TextOrNumberOrNull => text || date || number || *value == Value::Null,
        Shape::Bool => matches!(value, Value::Bool(_)),
        Shape::Integer | Shape::Count => integer,
        Shape::PlainInteger => matches!(value, Value::Int(_)),
        Shape::Number | Shape::Ratio | Shape::Amount | Shape::Mode => number,
        Shape::Port => text || matches!(value, Value::Int(_) | Value::Uint(_)),
        Shape::List(_) | Shape::Set(_) | Shape::SetBelow(..) => matches!(value, Value::Seq(_)),
        Shape::Fields(..) | Shape::Named(..) => matches!(value, Value::Map(_)),
        Shape::With(_, inner) | Shape::Since(_, inner) => is_of_kind(value, inner),
        Shape::Nullable(inner) => *value == Value::Null || is_of_kind(value, inner),
        Shape::Either(shapes) => shapes.iter().any(|shape| is_of_kind(value, shape)),
    }
}

/// Ports in the short form that one file may publish, its ranges counted port by port.
const MAX_PORTS: usize = 65_536;

/// What 64 bits with a sign do not hold. The Docker CLI sends such numbers as others.
const TOO_LARGE: f64 = 9_223_372_036_854_775_808.0;

/// What is wrong with a scalar of the right kind.
fn fault(value: &Value, shape: &Shape) -> Option<String> {
    let text = yaml::text_of(value);
    let number = match value {
        Value::Int(number) => *number as f64,
        Value::Uint(number) => *number as f64,
        Value::Float(number) => *number,
        _ => 0.0,
    };
    let is_int = matches!(value, Value::Int(_));
    match shape {
        Shape::Duration => values::duration(&text).err(),
        Shape::Size => values::bytes(&text).err(),
        Shape::OneOf(words) if !words.contains(&&*text) => Some(format!("{text:?} is none of {}", words.join(", "))),
        Shape::Count | Shape::Amount | Shape::Mode if number < 0.0 => Some(format!("{text} is less than 0")),
        Shape::Mode if number > f64::from(u32::MAX) => Some(format!("{text} is out of range for a file mode")),
        Shape::Ratio if (number as f32).is_infinite() => Some(format!("{text} is out of range")),
        Shape::Integer | Shape::Count | Shape::Number | Shape::Amount if !is_int && number.abs() >= TOO_LARGE => {
            Some(format!("{text} is out of range"))
        }
        _ => None,
    }
}

/// The same text for values that are equal as JSON, whatever their places: `80` and `80.0` are, and so are integers
/// that one float stands for.
fn as_compared(value: &Value) -> String {
    let mut text = String::new();
    write_compared(value, &mut text);
    text
}

fn write_compared(value: &Value, text: &mut String) {
    match value {
        Value::Int(number) => text.push_str(&(*number as f64).to_string()),
        Value::Uint(number) => text.push_str(&(*number as f64).to_string()),
        Value::Float(number) => text.push_str(&number.to_string()),
        Value::String(string) => write!(text, "{string:?}").expect("a String takes all text"),
        Value::Time(time) => write!(text, "@{time:?}").expect("a String takes all text"),
        Value::Null | Value::Bool(_) => text.push_str(&yaml::text_of(value)),
        Value::Seq(items) => {
            text.push('[');
            for item in items {
                write_compared(&item.value, text);
                text.push(',');
            }
            text.push(']');
        }
        Value::Map(entries) => {
            let mut sorted: Vec<&(Key, Node)> = entries.iter().collect();
            sorted.sort_by(|(a, _), (b, _)| a.text.cmp(&b.text));
            text.push('{');
            for (key, node) in sorted {
                write!(text, "{:?}:", key.text).expect("a String takes all text");
                write_compared(&node.value, text);
                text.push(',');
            }
            text.push('}');
        }
    }
}
