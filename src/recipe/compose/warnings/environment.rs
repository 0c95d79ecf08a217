//! A service's environment: what comes from outside the file, and what should not be in it.

use std::collections::{BTreeMap, BTreeSet};

use super::plain_secret::is_secret;
use super::{Recipe, Teller, key_place, listing};
use crate::model::diagnostic::Place;
use crate::recipe::compose::model::Service;
use crate::recipe::compose::take::{self, Pair};
use crate::recipe::interpolate::Environment;
use crate::recipe::yaml::Node;

/// `read` is the service of this file, with its environment resolved.
pub(super) fn of_service(node: &Node, read: &Service, path: &str, variables: &Environment, teller: &mut Teller) {
    let own: Vec<Pair> = take::placed_pairs(node.get("environment")).collect();
    of_taken(&own, path, variables, teller);
    let places: BTreeMap<&str, &Place> = own.iter().map(|pair| (pair.name.as_str(), pair.place)).collect();
    let elsewhere = key_place(node, "env_file");
    for (name, value) in &read.environment {
        let Some(place) = places.get(name.as_str()).copied().or(elsewhere) else { continue };
        if value.as_deref().is_some_and(|value| is_secret(name, value)) {
            let message = format!("{path}.environment.{name} is a secret in plain sight of all who may ask the Engine");
            let hint = format!("mount a secret, and set {name}_FILE to its path if the image takes that");
            teller.tell(plain(place, elsewhere), place, message, hint);
        }
    }
}

/// An `env_file` has one place for all its variables.
fn plain(place: &Place, elsewhere: Option<&Place>) -> &'static str {
    if Some(place) == elsewhere { "secrets of an env_file" } else { "plain secret" }
}

/// `KEY` takes the app's variable of that name, as it is meant to; `KEY=` does so too, which nobody expects.
fn of_taken(own: &[Pair], path: &str, variables: &Environment, teller: &mut Teller) {
    let is_set = |pair: &&Pair| variables.get(&pair.name).is_some_and(|value| !value.is_empty());
    for pair in own.iter().filter(|pair| pair.value.as_deref() == Some("")).filter(is_set) {
        let name = &pair.name;
        let message =
            format!("{path}.environment.{name} is empty here, and takes the value of {name} from the app's env");
        teller.tell(
            "taken",
            pair.place,
            message,
            format!("write ${{{name}}} if that is meant, else use another name there"),
        );
    }
    let passed: Vec<&Pair> = own.iter().filter(|pair| pair.value.is_none()).filter(is_set).collect();
    if let Some(first) = passed.first() {
        let names: Vec<&str> = passed.iter().map(|pair| pair.name.as_str()).collect();
        let takes = if names.len() == 1 { "takes its value" } else { "take their values" };
        let message = format!("{path}.environment: {} {takes} from the app's env", listing(&names));
        teller.tell("passed", first.place, message, "that is what a name without a value means");
    }
}

/// Names without a value that nothing sets: the container is without them, also where its image has a default.
pub(super) fn of_unset(recipe: &Recipe, optional: &BTreeSet<String>, teller: &mut Teller) {
    for file in recipe.files {
        for (key, service) in take::entries(file.node.get("services")) {
            let unset = |pair: &Pair| {
                let known = recipe.environment.contains_key(&pair.name) || optional.contains(&pair.name);
                pair.value.is_none() && !known
            };
            let unset: Vec<Pair> = take::placed_pairs(service.get("environment")).filter(unset).collect();
            if let Some(first) = unset.first() {
                let names: Vec<&str> = unset.iter().map(|pair| pair.name.as_str()).collect();
                let (is, them) = if names.len() == 1 { ("is", "it") } else { ("are", "them") };
                let message = format!("services.{}.environment: {} {is} set nowhere", key.text, listing(&names));
                let hint = format!("the container goes without {them}, also where its image has a default");
                teller.tell("set nowhere", first.place, message, hint);
            }
        }
    }
}
