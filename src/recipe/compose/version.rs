//! The version that a compose file says it is of.

use std::fmt;

use crate::model::diagnostic::{Diagnostic, Diagnostics, Place};
use crate::recipe::yaml::{Node, Value};

/// `3.minor`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    pub minor: u8,
}

/// What a file without a version is of.
const NEWEST: Version = Version { minor: 13 };

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "3.{}", self.minor)
    }
}

impl Version {
    /// Of a file. One of an unknown version is told, and read as one of the newest.
    pub fn of(file: &Node, found: &mut Diagnostics) -> Self {
        let Some(node) = file.get("version") else { return NEWEST };
        let text = match &node.value {
            Value::String(text) => text.clone(),
            // That it must be a string is said by the schema.
            _ => return node.source.as_deref().and_then(Self::named).unwrap_or(NEWEST),
        };
        Self::named(&text).unwrap_or_else(|| {
            let message = format!("unsupported Compose file version: {text}");
            found.push(Diagnostic::error(node.place.clone(), message).hint("leave it out, or say \"3.8\""));
            NEWEST
        })
    }

    fn named(text: &str) -> Option<Self> {
        if matches!(text, "" | "3") {
            return Some(NEWEST);
        }
        (0..=NEWEST.minor).map(|minor| Self { minor }).find(|version| version.to_string() == text)
    }

    /// The Docker CLI refuses files of different versions; here each is judged by its own.
    pub fn warn_of_another(self, first: Self, file: &Node, found: &mut Diagnostics) {
        if self == first {
            return;
        }
        let message =
            format!("this file is of version {self}, the first one of {first}; docker stack deploy refuses that");
        let place: &Place = &file.get("version").unwrap_or(file).place;
        found.push(Diagnostic::warning(place.clone(), message));
    }
}
