//! Writing bodies as the Docker CLI writes them: what is zero is not there.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::model::app::StackName;

/// The label that ties an object to its stack.
pub const NAMESPACE: &str = "com.docker.stack.namespace";

/// Adds what is not null, false, zero or empty.
pub fn put(body: &mut Map<String, Value>, key: &str, value: Value) {
    let zero = match &value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(entries) => entries.is_empty(),
    };
    if !zero {
        body.insert(key.to_owned(), value);
    }
}

/// Adds what is there, zero or not.
pub fn put_given<T: Into<Value>>(body: &mut Map<String, Value>, key: &str, value: Option<T>) {
    if let Some(value) = value {
        body.insert(key.to_owned(), value.into());
    }
}

/// `Labels`: the recipe's, and the stack's own over them.
pub fn put_labels(body: &mut Map<String, Value>, labels: &BTreeMap<String, String>, stack: &StackName) {
    body.insert("Labels".to_owned(), json!(with_namespace(labels, stack)));
}

pub fn with_namespace(labels: &BTreeMap<String, String>, stack: &StackName) -> BTreeMap<String, String> {
    let mut labels = labels.clone();
    labels.insert(NAMESPACE.to_owned(), stack.to_string());
    labels
}
