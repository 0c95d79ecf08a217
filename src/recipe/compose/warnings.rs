//! What of the compose files does not do in a stack what its author may expect.
//!
//! The border: no errors, and nothing that is read becomes another thing here. The surprise: a node behind an alias is
//! met once for each alias, and told once, at its anchor.

mod environment;
mod ignored;
mod labels;
mod merged;
mod plain_secret;
mod spelling;
mod templates;
mod unset;
mod unused;
mod whole;

use std::collections::{BTreeMap, BTreeSet};

use crate::model::diagnostic::{Diagnostic, Diagnostics, MAX_FINDINGS, Place};
use crate::recipe::Tree;
use crate::recipe::compose::model::Project;
use crate::recipe::compose::take;
use crate::recipe::interpolate::Environment;
use crate::recipe::yaml::{Key, Node};

pub use merged::of_merge;
pub use whole::of_documents;

/// A compose file as it is written, and with its variables replaced.
pub struct File {
    pub raw: Node,
    pub node: Node,
}

/// The entries of a file's sections by section and name: hostile files have very many of them.
#[derive(Default)]
struct Entries<'a>(BTreeMap<(&'a str, &'a str), &'a (Key, Node)>);

impl<'a> Entries<'a> {
    fn of(file: &'a Node) -> Self {
        let mut entries = Self::default();
        entries.lay_over(file);
        entries
    }

    /// Those of the files together, each as the last file has it.
    fn last_of(files: &'a [File]) -> Self {
        let mut entries = Self::default();
        files.iter().for_each(|file| entries.lay_over(&file.node));
        entries
    }

    /// Those that `over` has, too.
    fn also_in(file: &'a Node, over: &Entries) -> Self {
        let mut entries = Self::default();
        entries.lay_over_where(file, &|section, name| over.0.contains_key(&(section, name)));
        entries
    }

    fn lay_over(&mut self, file: &'a Node) {
        self.lay_over_where(file, &|_, _| true);
    }

    fn lay_over_where(&mut self, file: &'a Node, wanted: &dyn Fn(&str, &str) -> bool) {
        for (section, node) in take::entries(Some(file)) {
            let entries = take::entries(Some(node)).iter().filter(|entry| wanted(&section.text, &entry.0.text));
            self.0.extend(entries.map(|entry| ((&*section.text, &*entry.0.text), entry)));
        }
    }

    fn get(&self, section: &'a str, name: &'a str) -> Option<&'a (Key, Node)> {
        self.0.get(&(section, name)).copied()
    }

    fn service(&self, name: &'a str) -> Option<&'a Node> {
        self.get("services", name).map(|(_, node)| node)
    }
}

/// All that the recipe's files say, after the last of them.
pub struct Recipe<'a> {
    /// Empty where the files have errors.
    pub project: &'a Project,
    pub files: &'a [File],
    pub environment: &'a Environment,
    pub tree: &'a Tree,
}

/// Warnings about one file of the right shape; `project` is that file alone.
pub fn of_file(file: &File, project: &Project, environment: &Environment, found: &mut Diagnostics) {
    let mut teller = Teller::new(found);
    for (key, service) in take::entries(file.node.get("services")) {
        let path = format!("services.{}", key.text);
        ignored::of_service(service, &path, &mut teller);
        if let Some(read) = project.services.get(&key.text) {
            environment::of_service(service, read, &path, environment, &mut teller);
        }
    }
    ignored::of_external(&file.node, &mut teller);
    spelling::of_file(file, &mut teller);
}

/// Warnings that take all files together. Variables that nothing sets are told also where the files have errors, which
/// they may explain.
pub fn of_recipe(recipe: &Recipe, found: &mut Diagnostics) {
    let mut teller = Teller::new(found);
    let optional = unset::optional(recipe.tree);
    unset::of_files(recipe, &optional, &mut teller);
    environment::of_unset(recipe, &optional, &mut teller);
    whole::of_sample(recipe, &mut teller);
    if !recipe.project.services.is_empty() {
        let entries = Entries::last_of(recipe.files);
        unused::of_recipe(recipe, &entries, &mut teller);
        labels::of_recipe(recipe, &mut teller);
        templates::of_recipe(recipe, &optional, &mut teller);
        whole::of_recipe(recipe, &entries, &optional, &mut teller);
    }
}

/// Tells each thing once.
struct Teller<'a> {
    found: &'a mut Diagnostics,
    told: BTreeSet<(Place, &'static str)>,
}

impl<'a> Teller<'a> {
    fn new(found: &'a mut Diagnostics) -> Self {
        Self { found, told: BTreeSet::new() }
    }

    /// Whether nothing more would be told.
    fn is_full(&self) -> bool {
        self.found.0.len() >= MAX_FINDINGS
    }

    /// `rule` is what the warning is about: no place is told of the same twice.
    fn tell(&mut self, rule: &'static str, place: &Place, message: String, hint: impl Into<String>) {
        if self.told.insert((place.clone(), rule)) {
            self.add(place, message, hint);
        }
    }

    /// Tells one of several things about a place.
    fn add(&mut self, place: &Place, message: String, hint: impl Into<String>) {
        self.found.push(Diagnostic::warning(place.clone(), message).hint(hint));
    }
}

/// The place of a key.
fn key_place<'a>(node: &'a Node, key: &str) -> Option<&'a Place> {
    take::entries(Some(node)).iter().find(|(name, _)| name.text == key).map(|(name, _)| &name.place)
}

/// Below `node`, key by key, with dots between the keys.
fn at<'a>(node: &'a Node, dotted: &str) -> Option<&'a Node> {
    dotted.split('.').try_fold(node, |node, key| node.get(key))
}

/// What is said of a place that stands for so many more.
fn and_more(more: usize) -> String {
    match more {
        0 => String::new(),
        1 => ", and once more".to_owned(),
        more => format!(", and {more} times more"),
    }
}

/// `A, B and C`; of many only the first ones.
fn listing(names: &[&str]) -> String {
    const MOST: usize = 8;
    match names {
        [] => String::new(),
        [name] => (*name).to_owned(),
        names if names.len() > MOST + 1 => format!("{} and {} more", names[..MOST].join(", "), names.len() - MOST),
        [names @ .., last] => format!("{} and {last}", names.join(", ")),
    }
}

#[cfg(test)]
mod tests;
