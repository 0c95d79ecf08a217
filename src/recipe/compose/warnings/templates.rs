//! Variables in templated configs, which each container fills from its own environment when it starts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Recipe, Teller, and_more};
use crate::model::diagnostic::Place;
use crate::recipe::compose::model::Service;

/// A variable that a service's container does not have is empty in the template, and nobody says so.
pub(super) fn of_recipe(recipe: &Recipe, optional: &BTreeSet<String>, teller: &mut Teller) {
    let mut files: BTreeMap<&str, Asked> = BTreeMap::new();
    for (name, service) in &recipe.project.services {
        if teller.is_full() {
            return;
        }
        let (mut told, mut looked_at) = (BTreeSet::new(), BTreeSet::new());
        for reference in &service.configs {
            let config = recipe.project.configs.get(&reference.source);
            let Some(config) = config.filter(|config| !config.template_driver.is_empty() && !config.external) else {
                continue;
            };
            // Very many configs may have the same file.
            if !looked_at.insert(&config.file) {
                continue;
            }
            let asked = files.entry(&config.file).or_insert_with(|| asked_in(&config.file, recipe, optional));
            for (variable, (place, more)) in asked.iter().filter(|(asked, _)| !has(name, service, asked, recipe)) {
                if told.insert((place.clone(), *variable)) {
                    tell(name, variable, place, *more, teller);
                }
            }
        }
    }
}

/// The variables of a template, with the first place of each and how many more there are.
type Asked<'a> = BTreeMap<&'a str, (Place, usize)>;

/// Without what may be left out, so that each service has to have what is left.
fn asked_in<'a>(file: &str, recipe: &'a Recipe, optional: &BTreeSet<String>) -> Asked<'a> {
    let mut asked = recipe.tree.text(file).map(|text| variables(file, text)).unwrap_or_default();
    asked.retain(|variable, _| !is_left_out(variable, recipe, optional));
    asked
}

/// Service `app` gets all variables of the app's env.
fn has(name: &str, service: &Service, variable: &str, recipe: &Recipe) -> bool {
    let own = matches!(service.environment.get(variable), Some(Some(_)));
    own || (name == "app" && recipe.environment.contains_key(variable))
}

/// A variable that the sample leaves to the operator, and that he left out.
fn is_left_out(variable: &str, recipe: &Recipe, optional: &BTreeSet<String>) -> bool {
    optional.contains(variable) && !recipe.environment.contains_key(variable)
}

fn tell(service: &str, variable: &str, place: &Place, more: usize, teller: &mut Teller) {
    let more = and_more(more);
    let message = format!("service {service} has no variable {variable}, so it is empty in this template{more}");
    let hint = format!("add {variable} to services.{service}.environment");
    teller.add(place, message, hint);
}

/// The variables of `{{ env "NAME" }}`.
fn variables<'a>(file: &str, text: &'a str) -> Asked<'a> {
    let file: Arc<str> = file.into();
    let mut found = Asked::new();
    let (mut line, mut column, mut read) = (1, 1, 0);
    for (start, name) in calls(text) {
        let passed = &text[read..start];
        line += passed.matches('\n').count();
        column = match passed.rsplit_once('\n') {
            Some((_, behind)) => behind.chars().count() + 1,
            None => column + passed.chars().count(),
        };
        read = start;
        let place =
            Place::new(&file, u32::try_from(line).unwrap_or(u32::MAX), u32::try_from(column).unwrap_or(u32::MAX));
        found.entry(name).and_modify(|(_, more)| *more += 1).or_insert((place, 0));
    }
    found
}

/// Where `env "NAME"` stands inside braces, and the name.
fn calls(text: &str) -> Vec<(usize, &str)> {
    let mut calls = Vec::new();
    let mut at = 0;
    while let Some(open) = text[at..].find("{{").map(|open| at + open + 2) {
        let close = text[open..].find("}}").map_or(text.len(), |close| open + close);
        for (start, word) in text[open..close].match_indices("env") {
            let is_word = !text[open..open + start].ends_with(|c: char| c.is_alphanumeric() || "_.$\"".contains(c));
            let argument = text[open + start + word.len()..close].trim_start();
            let name = argument.strip_prefix(['"', '`']).and_then(|rest| rest.split(['"', '`']).next());
            if let Some(name) = name.filter(|name| is_word && !name.is_empty()) {
                calls.push((open + start, name));
            }
        }
        at = close;
    }
    calls
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_found_inside_braces_alone() {
        let text = "env \"NO\"\n{{ if eq (env \"A\") \"1\" }}x{{- env `B` -}}\n{{ .env \"NO\" }}{{ myenv \"NO\" }}{{env \"A\"}}";
        let found = variables("t", text);
        let told: Vec<String> = found.iter().map(|(name, (place, more))| format!("{name} {place} {more}")).collect();
        assert_eq!(told, ["A t:2:11 1", "B t:2:31 0"]);
    }

    #[test]
    fn an_open_brace_ends_with_the_text() {
        assert_eq!(calls("{{ env \"A").len(), 1);
        assert_eq!(calls("{{").len(), 0);
    }
}
