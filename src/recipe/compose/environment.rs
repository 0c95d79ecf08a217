//! The environment of one service of one file: `env_file:`, then `environment:`, filled from the variables at hand.

use std::collections::BTreeMap;

use crate::model::diagnostic::{Diagnostic, Diagnostics};
use crate::recipe::TreeError;
use crate::recipe::compose::model::Service;
use crate::recipe::compose::take;
use crate::recipe::env;
use crate::recipe::interpolate::Environment;
use crate::recipe::tree::Named;
use crate::recipe::yaml::Node;

/// Puts the files of `env_file:` under the service's own environment.
pub fn resolve(
    service: &mut Service,
    node: &Node,
    path: &str,
    variables: &Environment,
    files: Named,
    found: &mut Diagnostics,
) {
    let own = std::mem::take(&mut service.environment);
    let mut given = BTreeMap::new();
    let one = node.get("env_file").filter(|node| node.as_str().is_some());
    let one = one.map(|node| (format!("{path}.env_file"), node));
    for (path, file) in one.into_iter().chain(take::indexed(node, "env_file", path)) {
        given.extend(file_entries(file, &path, variables, files, found));
    }
    fill(&mut service.environment, given, variables);
    fill(&mut service.environment, own, variables);
}

fn file_entries(
    node: &Node,
    path: &str,
    variables: &Environment,
    files: Named,
    found: &mut Diagnostics,
) -> BTreeMap<String, Option<String>> {
    let file = take::scalar(node);
    let refused = |cause: TreeError| {
        let diagnostic = Diagnostic::error(node.place.clone(), format!("{path}: {cause}")).hint(cause.hint());
        Diagnostics(vec![diagnostic])
    };
    let read = files.text(&node.place.file, &file).map_err(refused);
    match read.and_then(|text| env::env_file(&file.as_str().into(), text, &|name| variables.get(name).cloned())) {
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
) {
    for (name, value) in entries {
        let value = match (value.as_deref().unwrap_or_default(), variables.get(&name)) {
            ("", Some(variable)) => Some(variable.clone()),
            _ => value,
        };
        environment.insert(name, value);
    }
}
