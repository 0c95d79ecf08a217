//! Labels that other programs read: versions of recipes, and rules of Traefik.

use super::{File, Recipe, Teller, at, pairs};
use crate::model::diagnostic::Place;
use crate::model::version::RecipeVersion;
use crate::recipe::compose::model::Service;

pub(super) fn of_recipe(recipe: &Recipe, teller: &mut Teller) {
    for (name, service) in &recipe.project.services {
        let sections: [(&[&str], _); 2] =
            [(&["deploy", "labels"], &service.deploy.labels), (&["labels"], &service.labels)];
        for (section, labels) in sections {
            for (label, value) in labels {
                let place = || place_of(recipe.files, name, section, label).or(service.place.clone());
                of_router(name, label, value, place, teller);
            }
        }
        of_version(name, service, recipe, teller);
    }
}

/// Where the label stands that counts: in the last file that has it.
fn place_of(files: &[File], service: &str, section: &[&str], label: &str) -> Option<Place> {
    let of_file = |file: &File| {
        let labels = at(&file.node, &["services", service]).and_then(|node| at(node, section));
        pairs(labels).into_iter().find(|pair| pair.name == label).map(|pair| pair.place)
    };
    files.iter().rev().find_map(of_file)
}

fn of_router(service: &str, label: &str, rule: &str, place: impl Fn() -> Option<Place>, teller: &mut Teller) {
    let lower = label.to_ascii_lowercase();
    let router = ["traefik.http.routers.", "traefik.tcp.routers."]
        .iter()
        .find_map(|start| lower.strip_prefix(start)?.strip_suffix(".rule"));
    let Some(router) = router else { return };
    let (message, hint) = if rule.trim().is_empty() {
        let message =
            format!("service {service}: the rule of router {router} is empty, and Traefik then makes one of its own");
        (message, "write a rule such as Host(`${DOMAIN}`)")
    } else if ["(``", "(\"\"", "( ``"].iter().any(|none| rule.contains(none)) {
        (
            format!("service {service}: the rule of router {router} names an empty host"),
            "set the variable that is to give it",
        )
    } else {
        return;
    };
    if let Some(place) = place() {
        teller.tell("router", &place, message, hint);
    }
}

/// Other programs look for the version at service `app`, and expect one.
fn of_version(name: &str, service: &Service, recipe: &Recipe, teller: &mut Teller) {
    let Some(stack) = recipe.environment.get("STACK_NAME") else { return };
    let label = format!("coop-cloud.{stack}.version");
    let Some(value) = service.deploy.labels.get(&label) else { return };
    let Some(place) = place_of(recipe.files, name, &["deploy", "labels"], &label) else { return };
    if name != "app" {
        let message = format!("the version label is at service {name}, and looked for at service app");
        teller.tell("version elsewhere", &place, message, "move it to services.app.deploy.labels");
    }
    if value.parse::<RecipeVersion>().is_err() {
        let message = format!("the version label says {value:?}, which is no version");
        teller.tell("no version", &place, message, "a version is x.y.z+app, as in 1.0.0+2.4.1");
    }
}
