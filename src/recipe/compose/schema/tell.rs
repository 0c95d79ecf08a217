//! The words for what does not fit a schema.

use super::super::path::Path;
use super::super::version::Version;
use super::Shape;
use crate::model::diagnostic::{self, Diagnostic, Place};
use crate::recipe::yaml::{Key, Node, Value};

/// Keys of the Compose format that the schemas of stacks never had.
const COMPOSE_ALONE: &[&str] = &[
    "annotations",
    "attach",
    "content",
    "develop",
    "dns_opt",
    "enable_ipv6",
    "environment",
    "gateway",
    "gpus",
    "group_add",
    "include",
    "mem_reservation",
    "name",
    "platform",
    "profiles",
    "pull_policy",
    "runtime",
    "scale",
    "uts",
];

pub fn wrong_kind(node: &Node, shape: &Shape, path: &Path) -> Diagnostic {
    let message = format!("{path} must be {}, not {}", expected(shape), kind_of(&node.value));
    let diagnostic = Diagnostic::error(node.place.clone(), message);
    let takes_text = super::is_of_kind(&Value::String(String::new()), shape);
    match node.value {
        Value::Bool(_) | Value::Int(_) | Value::Uint(_) | Value::Float(_) | Value::Time(_) if takes_text => {
            diagnostic.hint("put it in quotes")
        }
        Value::String(_) if matches!(shape, Shape::Bool) => diagnostic.hint("write true or false, without quotes"),
        Value::String(ref text) if text.parse::<f64>().is_ok() => diagnostic.hint("write it without quotes"),
        Value::Null => diagnostic.hint("leave it out"),
        _ => diagnostic,
    }
}

fn expected(shape: &Shape) -> String {
    let words = match shape {
        Shape::Anything => "anything",
        Shape::Text | Shape::TextOrDate | Shape::OneOf(_) => "a string",
        Shape::TextOrNull => "a string or null",
        Shape::TextOrNumber => "a string or number",
        Shape::TextOrNumberOrNull => "a string, number or null",
        Shape::Bool => "true or false",
        Shape::Integer | Shape::PlainInteger | Shape::Count => "an integer",
        Shape::Number | Shape::Ratio | Shape::Amount | Shape::Mode => "a number",
        Shape::Duration => "a duration like \"1m30s\"",
        Shape::Size => "a size like \"512m\"",
        Shape::Port => "a port like \"8080:80\"",
        Shape::List(_) | Shape::Set(_) | Shape::SetBelow(..) => "a list",
        Shape::Fields(..) | Shape::Named(..) => "a mapping",
        Shape::With(_, inner) | Shape::Nullable(inner) | Shape::Since(_, inner) => return expected(inner),
        Shape::Either(shapes) => return shapes.iter().map(expected).collect::<Vec<_>>().join(" or "),
    };
    words.to_owned()
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Int(_) | Value::Uint(_) => "an integer",
        Value::Float(_) => "a number",
        Value::Time(_) => "a date",
        Value::String(_) => "a string",
        Value::Seq(_) => "a list",
        Value::Map(_) => "a mapping",
    }
}

pub fn unknown(key: &Key, path: &Path, known: &[(&str, Shape)]) -> Diagnostic {
    let subject = if matches!(path, Path::File) { "the top level".to_owned() } else { path.to_string() };
    let diagnostic = Diagnostic::error(key.place.clone(), format!("{subject} has no key {:?}", key.text));
    if COMPOSE_ALONE.contains(&key.text.as_str()) {
        return diagnostic.hint("it is for Docker Compose, a stack does not know it");
    }
    match nearest(key, known) {
        Some(name) => diagnostic.hint(format!("did you mean {name:?}?")),
        None => diagnostic,
    }
}

/// A scalar of the right kind that says nothing of use.
pub fn fault(node: &Node, shape: &Shape, path: &Path, cause: &str) -> Diagnostic {
    let diagnostic = Diagnostic::error(node.place.clone(), format!("{path}: {cause}"));
    match shape {
        Shape::Duration => diagnostic.hint("such as \"1m30s\""),
        Shape::Size => diagnostic.hint("such as \"512m\""),
        Shape::Port => diagnostic.hint("such as \"8080:80/udp\""),
        _ => diagnostic,
    }
}

pub fn missing(node: &Node, path: &Path, key: &str) -> Diagnostic {
    Diagnostic::error(node.place.clone(), format!("{path} needs the key {key:?}"))
}

pub fn no_name(key: &Key, path: &Path) -> Diagnostic {
    let message = format!("{:?} is no name for an entry of {path}", key.text);
    let diagnostic = Diagnostic::error(key.place.clone(), message);
    if key.text.is_empty() { diagnostic } else { diagnostic.hint("letters, digits, '.', '_' and '-'") }
}

pub fn twice(item: &Node, path: &Path, index: usize, first: usize) -> Diagnostic {
    Diagnostic::error(item.place.clone(), format!("{path} lists an entry twice: [{first}] and [{index}]"))
}

/// A key that the file's version does not know yet.
pub fn early_key(key: &Key, path: &Path, since: u8, version: Version) -> Diagnostic {
    early(&key.place, &Path::Key(path, &key.text).to_string(), since, version)
}

/// A form that the file's version does not know yet.
pub fn early_kind(node: &Node, path: &Path, since: u8, version: Version) -> Diagnostic {
    early(&node.place, &format!("{path}: {}", kind_of(&node.value)), since, version)
}

fn early(place: &Place, what: &str, since: u8, version: Version) -> Diagnostic {
    let message = format!("{what} needs version \"3.{since}\" or newer, this file says \"{version}\"");
    Diagnostic::error(place.clone(), message).hint("raise version: or drop it")
}

/// The known key that a mistyped one most resembles.
pub fn nearest<'a>(key: &Key, known: &[(&'a str, Shape)]) -> Option<&'a str> {
    diagnostic::nearest(&key.text, known.iter().map(|(name, _)| *name))
}
