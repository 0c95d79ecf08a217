//! The environment of one service of one file: `env_file:`, then `environment:`, filled from the variables at hand.

use std::cell::Cell;
use std::collections::BTreeMap;

use crate::model::diagnostic::{Diagnostic, Diagnostics};
use crate::recipe::TreeError;
use crate::recipe::compose::model::Service;
use crate::recipe::compose::take;
use crate::recipe::env;
use crate::recipe::interpolate::Environment;
use crate::recipe::tree::Named;
use crate::recipe::yaml::Node;

/// What all services together may take from variables and env files: both can be named any number of times.
const MAX_TAKEN_BYTES: usize = 4 * 1024 * 1024;

/// What services take from outside their compose files.
pub struct Outside<'a> {
    pub variables: &'a Environment,
    pub files: Named<'a>,
    taken: Cell<usize>,
}

impl<'a> Outside<'a> {
    pub fn new(variables: &'a Environment, files: Named<'a>) -> Self {
        Self { variables, files, taken: Cell::new(0) }
    }

    /// Counts what is taken; an error of this service from the first byte too many on.
    fn take(&self, bytes: usize, node: &Node, path: &str) -> Result<(), Diagnostics> {
        self.taken.set(self.taken.get().saturating_add(bytes));
        if self.taken.get() <= MAX_TAKEN_BYTES {
            return Ok(());
        }
        let message =
            format!("{path}: the services take more than {MAX_TAKEN_BYTES} bytes from env files and variables");
        Err(Diagnostics(vec![Diagnostic::error(node.place.clone(), message)]))
    }
}

/// Puts the files of `env_file:` under the service's own environment.
pub fn resolve(service: &mut Service, node: &Node, path: &str, outside: &Outside, found: &mut Diagnostics) {
    let own = std::mem::take(&mut service.environment);
    let mut given = BTreeMap::new();
    let one = node.get("env_file").filter(|node| node.as_str().is_some());
    let one = one.map(|node| (format!("{path}.env_file"), node));
    for (path, file) in one.into_iter().chain(take::indexed(node, "env_file", path)) {
        given.extend(file_entries(file, &path, outside, found));
    }
    for entries in [given, own] {
        let taken =
            fill(&mut service.environment, entries, outside.variables, &|bytes| outside.take(bytes, node, path));
        taken.unwrap_or_else(|errors| found.extend(errors));
    }
}

fn file_entries(
    node: &Node,
    path: &str,
    outside: &Outside,
    found: &mut Diagnostics,
) -> BTreeMap<String, Option<String>> {
    let file = take::scalar(node);
    let refused = |cause: TreeError| {
        let diagnostic = Diagnostic::error(node.place.clone(), format!("{path}: {cause}")).hint(cause.hint());
        Diagnostics(vec![diagnostic])
    };
    let lookup = |name: &str| outside.variables.get(name).cloned();
    let read = || {
        let text = outside.files.text(&node.place.file, &file).map_err(refused)?;
        outside.take(text.len(), node, path)?;
        let entries = env::env_file(&file.as_str().into(), text, &lookup)?;
        outside.take(entries.iter().map(|(_, value)| value.len()).sum(), node, path)?;
        Ok(entries)
    };
    match read() {
        Ok(entries) => entries.into_iter().map(|(name, value)| (name, Some(value))).collect(),
        Err(errors) => {
            found.extend(errors);
            BTreeMap::new()
        }
    }
}

/// A name without a value, or with an empty one, takes the variable of that name if there is one.
fn fill(
    environment: &mut BTreeMap<String, Option<String>>,
    entries: BTreeMap<String, Option<String>>,
    variables: &Environment,
    take: &dyn Fn(usize) -> Result<(), Diagnostics>,
) -> Result<(), Diagnostics> {
    for (name, value) in entries {
        let value = match (value.as_deref().unwrap_or_default(), variables.get(&name)) {
            ("", Some(variable)) => {
                take(variable.len())?;
                Some(variable.clone())
            }
            _ => value,
        };
        environment.insert(name, value);
    }
    Ok(())
}
