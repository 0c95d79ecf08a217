//! What may stand where in a compose file: version 3.13 of the Docker CLI's schema, for every 3.x.
//!
//! The border: shapes only. What a text means (a port, an image) is said by the reader that takes it.

use crate::model::diagnostic::{Diagnostic, Diagnostics};
use crate::recipe::values;
use crate::recipe::yaml::{Node, Value};

/// What a node may be. The reader after this check relies on it.
pub enum Shape {
    Anything,
    Text,
    Bool,
    Integer,
    /// An integer that no less may be.
    AtLeast(i64),
    Number,
    TextOrNumber,
    TextOrNumberOrNull,
    TextOrNull,
    Duration,
    OneOf(&'static [&'static str]),
    /// Of distinct items.
    Set(&'static Shape),
    List(&'static Shape),
    /// Keys that are known, and what others may be.
    Fields(&'static [(&'static str, Shape)], Rest),
    /// Names as keys.
    Named(&'static Shape, Names),
    Nullable(&'static Shape),
    /// The first one whose kind (text, list, map, …) fits.
    Either(&'static [Shape]),
}

/// Keys besides the known ones.
#[derive(Clone, Copy, PartialEq)]
pub enum Rest {
    Refused,
    /// `x-…` alone.
    Extensions,
    Allowed,
}

/// What a name may consist of.
#[derive(Clone, Copy, PartialEq)]
pub enum Names {
    Any,
    /// Letters, digits, `.`, `_`, `-`.
    Plain,
}

/// Appends what is wrong with `node`; `path` names it as in `services.app.image`.
pub fn check(node: &Node, shape: &Shape, path: &str, found: &mut Diagnostics) {
    match shape {
        Shape::Anything => {}
        Shape::Nullable(_) if node.value == Value::Null => {}
        Shape::Nullable(inner) => check(node, inner, path, found),
        Shape::Either(shapes) => match shapes.iter().find(|shape| is_of_kind(&node.value, shape)) {
            Some(shape) => check(node, shape, path, found),
            None => wrong_kind(node, shape, path, found),
        },
        _ if !is_of_kind(&node.value, shape) => wrong_kind(node, shape, path, found),
        Shape::Fields(known, rest) => check_fields(node, known, *rest, path, found),
        Shape::Named(inner, names) => check_named(node, inner, *names, path, found),
        Shape::Set(item) => {
            check_items(node, item, path, found);
            check_distinct(node, path, found);
        }
        Shape::List(item) => check_items(node, item, path, found),
        Shape::Duration => check_duration(node, path, found),
        Shape::OneOf(words) => check_word(node, words, path, found),
        Shape::AtLeast(least) if matches!(&node.value, Value::Int(number) if number < least) => {
            found.push(Diagnostic::error(node.place.clone(), format!("{path} is less than {least}")));
        }
        _ => {}
    }
}

fn is_of_kind(value: &Value, shape: &Shape) -> bool {
    let text = matches!(value, Value::String(_) | Value::Time(_));
    let integer = match value {
        Value::Int(_) | Value::Uint(_) => true,
        Value::Float(number) => number.fract() == 0.0,
        _ => false,
    };
    let number = integer || matches!(value, Value::Float(_));
    match shape {
        Shape::Anything => true,
        Shape::Text | Shape::Duration | Shape::OneOf(_) => text,
        Shape::Bool => matches!(value, Value::Bool(_)),
        Shape::Integer | Shape::AtLeast(_) => integer,
        Shape::Number => number,
        Shape::TextOrNumber => text || number,
        Shape::TextOrNumberOrNull => text || number || *value == Value::Null,
        Shape::TextOrNull => text || *value == Value::Null,
        Shape::Set(_) | Shape::List(_) => matches!(value, Value::Seq(_)),
        Shape::Fields(..) | Shape::Named(..) => matches!(value, Value::Map(_)),
        Shape::Nullable(inner) => *value == Value::Null || is_of_kind(value, inner),
        Shape::Either(shapes) => shapes.iter().any(|shape| is_of_kind(value, shape)),
    }
}

fn wrong_kind(node: &Node, shape: &Shape, path: &str, found: &mut Diagnostics) {
    let message = format!("{path} must be {}, not {}", expected(shape), kind_of(&node.value));
    let mut diagnostic = Diagnostic::error(node.place.clone(), message);
    let takes_text = is_of_kind(&Value::String(String::new()), shape);
    if takes_text && matches!(node.value, Value::Bool(_) | Value::Int(_) | Value::Uint(_) | Value::Float(_)) {
        diagnostic = diagnostic.hint("put it in quotes");
    }
    found.push(diagnostic);
}

fn expected(shape: &Shape) -> String {
    let words = match shape {
        Shape::Anything => "anything",
        Shape::Text | Shape::OneOf(_) => "a string",
        Shape::Duration => "a duration like \"1m30s\"",
        Shape::Bool => "true or false",
        Shape::Integer | Shape::AtLeast(_) => "an integer",
        Shape::Number => "a number",
        Shape::TextOrNumber => "a string or number",
        Shape::TextOrNumberOrNull => "a string, number or null",
        Shape::TextOrNull => "a string or null",
        Shape::Set(_) | Shape::List(_) => "a list",
        Shape::Fields(..) | Shape::Named(..) => "a mapping",
        Shape::Nullable(inner) => return expected(inner),
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
        Value::Time(_) | Value::String(_) => "a string",
        Value::Seq(_) => "a list",
        Value::Map(_) => "a mapping",
    }
}

fn check_fields(node: &Node, known: &[(&str, Shape)], rest: Rest, path: &str, found: &mut Diagnostics) {
    let Value::Map(entries) = &node.value else { return };
    for (key, value) in entries {
        let below = join(path, &key.text);
        match known.iter().find(|(name, _)| *name == key.text) {
            Some((_, shape)) => check(value, shape, &below, found),
            None if rest == Rest::Allowed || (rest == Rest::Extensions && key.text.starts_with("x-")) => {}
            None => {
                let subject = if path.is_empty() { "the top level" } else { path };
                let message = format!("{subject} has no key {:?}", key.text);
                let diagnostic = Diagnostic::error(key.place.clone(), message);
                found.push(match nearest(&key.text, known.iter().map(|(name, _)| *name)) {
                    Some(name) => diagnostic.hint(format!("did you mean {name:?}?")),
                    None => diagnostic,
                });
            }
        }
    }
}

fn check_named(node: &Node, inner: &Shape, names: Names, path: &str, found: &mut Diagnostics) {
    let Value::Map(entries) = &node.value else { return };
    let plain = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c));
    for (key, value) in entries {
        if key.text.is_empty() || (names == Names::Plain && !plain(&key.text)) {
            let message = format!("{:?} is no name for an entry of {path}", key.text);
            found.push(Diagnostic::error(key.place.clone(), message).hint("letters, digits, '.', '_' and '-'"));
            continue;
        }
        check(value, inner, &join(path, &key.text), found);
    }
}

fn check_items(node: &Node, item: &Shape, path: &str, found: &mut Diagnostics) {
    let Value::Seq(items) = &node.value else { return };
    for (index, node) in items.iter().enumerate() {
        check(node, item, &format!("{path}[{index}]"), found);
    }
}

fn check_distinct(node: &Node, path: &str, found: &mut Diagnostics) {
    let Value::Seq(items) = &node.value else { return };
    for (index, item) in items.iter().enumerate() {
        if items[..index].iter().any(|earlier| same(&earlier.value, &item.value)) {
            found.push(Diagnostic::error(item.place.clone(), format!("{path} lists the same entry twice")));
        }
    }
}

/// Equal whatever the places.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Seq(a), Value::Seq(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(&a.value, &b.value)),
        (Value::Map(a), Value::Map(b)) => {
            let has = |(key, node): &(super::yaml::Key, Node)| {
                b.iter().any(|(other, value)| other.text == key.text && same(&node.value, &value.value))
            };
            a.len() == b.len() && a.iter().all(has)
        }
        _ => a == b,
    }
}

fn check_duration(node: &Node, path: &str, found: &mut Diagnostics) {
    if let Err(cause) = values::duration(node.as_str().unwrap_or_default()) {
        found.push(Diagnostic::error(node.place.clone(), format!("{path}: {cause}")));
    }
}

fn check_word(node: &Node, words: &[&str], path: &str, found: &mut Diagnostics) {
    let text = node.as_str().unwrap_or_default();
    if !words.contains(&text) {
        let message = format!("{path} is {text:?}, but must be one of {}", words.join(", "));
        found.push(Diagnostic::error(node.place.clone(), message));
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// The known word that a mistyped one most resembles.
pub fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|name| (strsim::osa_distance(word, name), name))
        .filter(|(distance, name)| *distance <= 1 + name.len() / 4)
        .min()
        .map(|(_, name)| name)
}
