//! Variables that nothing sets, and that read as empty.

use std::collections::{BTreeMap, BTreeSet};

use super::{Recipe, Teller, and_more, listing};
use crate::model::diagnostic::Place;
use crate::recipe::compose::take;
use crate::recipe::interpolate::unset;
use crate::recipe::yaml::{Node, Value};
use crate::recipe::{SAMPLE, Tree};

/// From so many on the variables of a file are told in one line.
const MANY: usize = 4;

/// The variables that the sample names in a comment (`#EXTRA_DOMAINS=`): they may be left out.
pub(super) fn optional(tree: &Tree) -> BTreeSet<String> {
    let sample = tree.text(SAMPLE).unwrap_or_default();
    let commented = |line: &str| {
        let (name, _) = line.trim_start().strip_prefix('#')?.split_once('=')?;
        let name = name.trim_start_matches(['#', ' ', '\t']).trim_end();
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        (!name.is_empty() && name.chars().all(is_name)).then(|| name.to_owned())
    };
    sample.lines().filter_map(commented).collect()
}

/// A variable is told where it is met first; a file's many variables are told together.
pub(super) fn of_files(recipe: &Recipe, optional: &BTreeSet<String>, teller: &mut Teller) {
    let mut met = Met::default();
    for file in recipe.files {
        for (key, section) in take::entries(Some(&file.raw)).iter().filter(|(key, _)| !key.text.starts_with("x-")) {
            let names_objects = matches!(key.text.as_str(), "secrets" | "configs");
            met.look(section, names_objects, recipe, optional);
        }
    }
    let mut by_file: BTreeMap<&str, Vec<&Variable>> = BTreeMap::new();
    for variable in &met.variables {
        by_file.entry(&variable.first.file).or_default().push(variable);
    }
    for variables in by_file.values() {
        match &variables[..] {
            [first, _, ..] if variables.len() >= MANY => tell_many(first, variables, teller),
            few => few.iter().for_each(|variable| tell_one(variable, teller)),
        }
    }
}

#[derive(Default)]
struct Met {
    variables: Vec<Variable>,
    /// Where each variable is in the list.
    indexes: BTreeMap<String, usize>,
    /// An anchored value is met once for each alias.
    places: BTreeSet<Place>,
}

struct Variable {
    name: String,
    first: Place,
    more: usize,
}

impl Met {
    /// `names_objects`: a version that is missing at the end of an object's name is told as that object's fault.
    fn look(&mut self, node: &Node, names_objects: bool, recipe: &Recipe, optional: &BTreeSet<String>) {
        match &node.value {
            Value::Map(entries) => {
                entries.iter().for_each(|(_, node)| self.look(node, names_objects, recipe, optional));
            }
            Value::Seq(items) => items.iter().for_each(|node| self.look(node, names_objects, recipe, optional)),
            Value::String(template) if template.contains('$') => {
                let is_version = |name: &str| names_objects && ends_in(template, name);
                let told = |name: &&str| !optional.contains(*name) && !is_version(name);
                let names: Vec<&str> = unset(template, recipe.environment).into_iter().filter(told).collect();
                if !names.is_empty() && self.places.insert(node.place.clone()) {
                    names.into_iter().for_each(|name| self.add(name, &node.place));
                }
            }
            _ => {}
        }
    }

    fn add(&mut self, name: &str, place: &Place) {
        if let Some(index) = self.indexes.get(name) {
            self.variables[*index].more += 1;
            return;
        }
        self.indexes.insert(name.to_owned(), self.variables.len());
        self.variables.push(Variable { name: name.to_owned(), first: place.clone(), more: 0 });
    }
}

fn ends_in(template: &str, name: &str) -> bool {
    template.ends_with(&format!("${{{name}}}")) || template.ends_with(&format!("${name}"))
}

fn tell_one(variable: &Variable, teller: &mut Teller) {
    let Variable { name, first, more } = variable;
    let more = and_more(*more);
    let hint = format!("set it in the app's env, or write ${{{name}:-}} if it may be empty");
    let message = format!("{name} is set nowhere, and empty here{more}");
    teller.add(first, message, hint);
}

fn tell_many(first: &Variable, variables: &[&Variable], teller: &mut Teller) {
    let names: Vec<String> =
        variables.iter().map(|variable| format!("{} (line {})", variable.name, variable.first.line)).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let message = format!("{} variables are set nowhere, and empty: {}", names.len(), listing(&names));
    teller.tell("unset", &first.first, message, "set them in the app's env, or write ${NAME:-} where one may be empty");
}
