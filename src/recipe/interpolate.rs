//! `${VAR}` in compose values, with the quirks of the Docker CLI.
//!
//! The border: values only, never keys; nothing is looked up but in the [`Environment`] that the caller gives. The
//! surprise: an operator works without braces too and takes all text up to the next `}` (`$FOO-bar` is `FOO` with
//! the default `bar`), and nothing nests (`${A:-${B}}` is `A` with the default `${B`, and a `}` behind it).

mod cast;
mod template;

use std::collections::{BTreeMap, BTreeSet};

use super::yaml::{Node, Value};
use crate::model::diagnostic::{Diagnostic, Diagnostics, Place, Severity};
use cast::Cast;
use template::{Piece, Reference};

/// Variables by name, as the compose files see them.
pub type Environment = BTreeMap<String, String>;

/// No value of a compose file gets longer than this by what its variables hold.
pub const MAX_VALUE_BYTES: usize = 1024 * 1024;
/// All values of a document together.
pub const MAX_DOCUMENT_BYTES: usize = 4 * 1024 * 1024;

/// Why a template has no text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InterpolateError {
    /// `$` with neither a name, nor braces around one, nor a second `$` behind it. Holds the whole template.
    #[error("{0:?}; you may need to escape any $ with another $")]
    Invalid(String),
    #[error("\"required variable {name} is missing a value: {message}\"")]
    Required { name: String, message: String },
    #[error("more than {MAX_VALUE_BYTES} bytes with all variables replaced")]
    TooLong,
}

/// The template with every variable replaced, once: a `$` inside a variable's value stays as it is. An unset variable
/// without default is empty.
///
/// # Errors
/// The first fault. The Docker CLI forgets a fault when another variable follows it; this does not.
pub fn text(template: &str, environment: &Environment) -> Result<String, InterpolateError> {
    let mut text = String::with_capacity(template.len());
    for piece in template::pieces(template) {
        match piece {
            Piece::Text(literal) => text.push_str(literal),
            Piece::Reference(reference) => text.push_str(reference.value(environment)?),
            Piece::Invalid => return Err(InterpolateError::Invalid(template.to_owned())),
        }
        if text.len() > MAX_VALUE_BYTES {
            return Err(InterpolateError::TooLong);
        }
    }
    Ok(text)
}

/// The variables that a template mentions, each once, in their order.
pub fn variables(template: &str) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let names = template::pieces(template).filter_map(|piece| match piece {
        Piece::Reference(reference) => Some(reference.variable()),
        Piece::Text(_) | Piece::Invalid => None,
    });
    names.filter(|name| seen.insert(*name)).map(str::to_owned).collect()
}

/// The variables that are empty in this template because nothing sets them and it has no default for them, each once, in
/// their order.
pub fn unset<'a>(template: &'a str, environment: &Environment) -> Vec<&'a str> {
    let mut seen = BTreeSet::new();
    let names = template::pieces(template).filter_map(|piece| match piece {
        Piece::Reference(reference) if reference.modifier().is_empty() => Some(reference.variable()),
        _ => None,
    });
    names.filter(|name| !environment.contains_key(*name) && seen.insert(*name)).collect()
}

/// Replaces the variables in all values of a compose document, and casts those that changed where the Docker CLI
/// does (`replicas: "${N}"` becomes a number). Faults and traps go to `diagnostics`; a faulty value stays as it was.
pub fn document<'a>(node: &'a mut Node, environment: &'a Environment, diagnostics: &'a mut Diagnostics) {
    let mut walk = Walk { environment, diagnostics, path: Vec::new(), told: BTreeSet::new(), bytes: 0 };
    walk.node(node);
}

struct Walk<'a> {
    environment: &'a Environment,
    diagnostics: &'a mut Diagnostics,
    path: Vec<&'a str>,
    /// An anchored value is met once per alias, but what is wrong with it is told once.
    told: BTreeSet<(Severity, Place)>,
    bytes: usize,
}

impl<'a> Walk<'a> {
    fn node(&mut self, node: &'a mut Node) {
        match &mut node.value {
            Value::Map(entries) => {
                for (key, value) in entries {
                    self.inside(&key.text, value);
                }
            }
            Value::Seq(items) => {
                for item in items {
                    self.inside("[]", item);
                }
            }
            scalar => self.scalar(scalar, &node.place),
        }
    }

    fn scalar(&mut self, value: &mut Value, place: &Place) {
        let Value::String(template) = &*value else { return };
        if !template.contains('$') {
            return;
        }
        self.warn_of_swallowed_text(template, place);
        match self.replaced(template) {
            Ok(replaced) => *value = replaced,
            Err(message) => self.fault(place, message),
        }
    }

    fn inside(&mut self, step: &'a str, node: &'a mut Node) {
        self.path.push(step);
        self.node(node);
        self.path.pop();
    }

    fn replaced(&mut self, template: &str) -> Result<Value, String> {
        if self.bytes > MAX_DOCUMENT_BYTES {
            return Err(format!("more than {MAX_DOCUMENT_BYTES} bytes in the document with all variables replaced"));
        }
        let path = || self.path.join(".");
        let text = text(template, self.environment)
            .map_err(|error| format!("invalid interpolation format for {}: {error}", path()))?;
        let cast = if text == template { None } else { Cast::at(&self.path) };
        let failed = |cause| format!("error while interpolating {}: failed to cast to expected type: {cause}", path());
        self.bytes += text.len();
        match cast {
            Some(cast) => cast.apply(&text).map_err(failed),
            None => Ok(Value::String(text)),
        }
    }

    fn fault(&mut self, place: &Place, message: String) {
        if self.told.insert((Severity::Error, place.clone())) {
            self.diagnostics.push(Diagnostic::error(place.clone(), message));
        }
    }

    fn warn_of_swallowed_text(&mut self, template: &str, place: &Place) {
        let warnings: Vec<Diagnostic> = template::pieces(template)
            .filter_map(|piece| match piece {
                Piece::Reference(reference) => swallowed(&reference, place),
                _ => None,
            })
            .collect();
        if !warnings.is_empty() && self.told.insert((Severity::Warning, place.clone())) {
            warnings.into_iter().for_each(|warning| self.diagnostics.push(warning));
        }
    }
}

/// The warning for `$FOO-bar`, which loses its `-bar` whenever `FOO` is set.
fn swallowed(reference: &Reference<'_>, place: &Place) -> Option<Diagnostic> {
    let (variable, modifier) = (reference.variable(), reference.modifier());
    if reference.braced || modifier.is_empty() {
        return None;
    }
    let message = format!("in `${variable}{modifier}` the text behind the name is a default or message, not text");
    Some(Diagnostic::warning(place.clone(), message).hint(format!("write ${{{variable}}}{modifier}")))
}

#[cfg(test)]
mod tests;
