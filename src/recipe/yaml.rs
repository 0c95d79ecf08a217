//! YAML as Go's yaml.v3 resolves it, with the place of every node.
//!
//! The border: no meaning of compose files here. The surprise: plain scalars follow YAML 1.1 octals and 1.2 booleans
//! at once (`0555` is 365, `yes` is a string), because that is what the recipes' tools read.

use std::sync::Arc;

use crate::model::diagnostic::Place;

/// One node: what it is and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    pub value: Value,
    pub place: Place,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    Int(i64),
    /// Above `i64::MAX` only.
    Uint(u64),
    Float(f64),
    /// A date or timestamp; the text is what Go prints for it.
    Time(String),
    String(String),
    Seq(Vec<Node>),
    /// In the order of the file, merge keys resolved, keys unique.
    Map(Vec<(Key, Node)>),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    pub text: String,
    pub place: Place,
}

impl Node {
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
}

/// The name under which a text's places are reported.
pub type FileName = Arc<str>;
