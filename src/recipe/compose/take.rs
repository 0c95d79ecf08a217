//! Small readers of nodes whose shape has been checked: a node of another shape reads as absent.

use std::collections::BTreeMap;

use crate::model::diagnostic::Place;
use crate::recipe::compose::model::Nanos;
use crate::recipe::values;
use crate::recipe::yaml::{Key, Node, Value, text_of};

/// By its key, however it uses capitals: the schema lets them through in open mappings alone.
pub fn get<'a>(node: &'a Node, key: &str) -> Option<&'a Node> {
    let folded = || entries(Some(node)).iter().find(|(other, _)| other.text.eq_ignore_ascii_case(key));
    node.get(key).or_else(|| folded().map(|(_, node)| node))
}

pub fn text(node: &Node, key: &str) -> String {
    get(node, key).map(scalar).unwrap_or_default()
}

/// A scalar as text, by Go's spelling.
pub fn scalar(node: &Node) -> String {
    text_of(&node.value).into_owned()
}

pub fn flag(node: &Node, key: &str) -> bool {
    optional_flag(node, key).unwrap_or_default()
}

pub fn optional_flag(node: &Node, key: &str) -> Option<bool> {
    match get(node, key)?.value {
        Value::Bool(flag) => Some(flag),
        _ => None,
    }
}

/// A number, cut towards zero as the Docker CLI cuts `retries: 2.7`.
pub fn integer(node: &Node) -> Option<i64> {
    match node.value {
        Value::Int(number) => Some(number),
        Value::Uint(number) => Some(i64::try_from(number).unwrap_or(i64::MAX)),
        // `as` saturates, which is the right end for a number out of range.
        Value::Float(number) => Some(number as i64),
        _ => None,
    }
}

pub fn count(node: &Node, key: &str) -> Option<u64> {
    integer(node.get(key)?).map(|number| u64::try_from(number).unwrap_or_default())
}

pub fn ratio(node: &Node, key: &str) -> f32 {
    match node.get(key).map(|node| &node.value) {
        Some(Value::Float(number)) => *number as f32,
        Some(Value::Int(number)) => *number as f32,
        Some(Value::Uint(number)) => *number as f32,
        _ => 0.0,
    }
}

pub fn nanos(node: &Node, key: &str) -> Option<Nanos> {
    values::duration(node.get(key)?.as_str()?).ok()
}

pub fn entries(node: Option<&Node>) -> &[(Key, Node)] {
    match node.map(|node| &node.value) {
        Some(Value::Map(entries)) => entries,
        _ => &[],
    }
}

pub fn items(node: Option<&Node>) -> &[Node] {
    match node.map(|node| &node.value) {
        Some(Value::Seq(items)) => items,
        _ => &[],
    }
}

/// The items that are left of a list, each with its path.
pub fn indexed<'a>(node: &'a Node, key: &str, path: &str) -> impl Iterator<Item = (String, &'a Node)> {
    let path = format!("{path}.{key}");
    let all = items(node.get(key)).iter().enumerate();
    all.filter(|(_, item)| item.value != Value::Null).map(move |(index, item)| (format!("{path}[{index}]"), item))
}

/// A list of texts.
pub fn texts(node: &Node, key: &str) -> Vec<String> {
    items(node.get(key)).iter().filter(|item| item.value != Value::Null).map(scalar).collect()
}

/// One text, or a list of them.
pub fn one_or_more(node: &Node, key: &str) -> Vec<String> {
    match node.get(key) {
        Some(node) if node.as_str().is_some() => vec![scalar(node)],
        _ => texts(node, key),
    }
}

/// An entry of a section that is a list of `KEY=value` or a mapping.
pub struct Pair<'a> {
    pub name: String,
    /// `None`: no `=`, or null.
    pub value: Option<String>,
    pub place: &'a Place,
}

/// The entries in the order of the file.
pub fn placed_pairs(node: Option<&Node>) -> impl Iterator<Item = Pair<'_>> {
    let listed = items(node).iter().filter(|item| item.value != Value::Null).map(|item| {
        let text = text_of(&item.value);
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (text.into_owned(), None),
        };
        Pair { name, value, place: &item.place }
    });
    let mapped = entries(node).iter().map(|(key, node)| Pair {
        name: key.text.clone(),
        value: (node.value != Value::Null).then(|| scalar(node)),
        place: &key.place,
    });
    listed.chain(mapped)
}

/// `KEY=value` in a list, or a mapping. `None`: no `=`, or null.
pub fn optional_pairs(node: &Node, key: &str) -> BTreeMap<String, Option<String>> {
    placed_pairs(node.get(key)).map(|pair| (pair.name, pair.value)).collect()
}

/// As [`optional_pairs`], with the empty text for what has no value.
pub fn pairs(node: &Node, key: &str) -> BTreeMap<String, String> {
    placed_pairs(node.get(key)).map(|pair| (pair.name, pair.value.unwrap_or_default())).collect()
}
