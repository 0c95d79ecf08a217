//! The environment of one service of one file: `env_file:`, then `environment:`, filled from the variables at hand.

use std::collections::BTreeMap;

use crate::model::diagnostic::{Diagnostic, Diagnostics};
use crate::recipe::compose::model::Service;
use crate::recipe::compose::take;
use crate::recipe::env;
use crate::recipe::interpolate::Environment;
use crate::recipe::tree::Named;
use crate::recipe::yaml::Node;

/// Puts the files of `env_file:` under the service's own environment.
pub fn resolve(service: &mut Service, node: &Node, variables: &Environment, files: Named, found: &mut Diagnostics) {
    let own = std::mem::take(&mut service.environment);
    let mut given = BTreeMap::new();
    for file in take::one_or_more(node, "env_file") {
        given.extend(file_entries(&file, node, variables, files, found));
    }
    fill(&mut service.environment, given, variables);
    fill(&mut service.environment, own, variables);
}

fn file_entries(
    file: &str,
    node: &Node,
    variables: &Environment,
    files: Named,
    found: &mut Diagnostics,
) -> BTreeMap<String, Option<String>> {
    let place = node.get("env_file").map(|node| node.place.clone());
    match files.text(&node.place.file, file) {
        Ok(text) => match env::env_file(&file.into(), text, &|name| variables.get(name).cloned()) {
            Ok(entries) => entries.into_iter().map(|(name, value)| (name, Some(value))).collect(),
            Err(errors) => {
                found.extend(errors);
                BTreeMap::new()
            }
        },
        Err(cause) => {
            found.push(Diagnostic::error(place, format!("env_file: {cause}")).hint(cause.hint()));
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
