//! Labels that other programs read: versions of recipes, and rules of Traefik.

use std::collections::BTreeMap;

use super::{Entries, Recipe, Teller, at};
use crate::model::diagnostic::Place;
use crate::model::version::RecipeVersion;
use crate::recipe::compose::take;

/// The labels that a Swarm service has; the others are its containers'.
const OF_SERVICE: &str = "deploy.labels";

pub(super) fn of_recipe(recipe: &Recipe, teller: &mut Teller) {
    let files: Vec<Entries> = recipe.files.iter().map(|file| Entries::of(&file.node)).collect();
    let version = recipe.environment.get("STACK_NAME").map(|stack| format!("coop-cloud.{stack}.version"));
    for (name, service) in &recipe.project.services {
        let sections = [(OF_SERVICE, &service.deploy.labels), ("labels", &service.labels)];
        for (section, labels) in sections.iter().filter(|(_, labels)| !labels.is_empty()) {
            let places = places(&files, name, section);
            for (label, value) in *labels {
                let Some(place) = places.get(label) else { continue };
                of_router(name, label, value, place, teller);
                if *section == OF_SERVICE && Some(label) == version.as_ref() {
                    of_version(name, value, place, teller);
                }
            }
        }
    }
}

/// Where labels stand: of each in the last file that has it.
fn places<'a>(files: &[Entries<'a>], service: &'a str, section: &str) -> BTreeMap<String, &'a Place> {
    let of_file = |file: &Entries<'a>| {
        let labels = file.service(service).and_then(|node| at(node, section));
        take::placed_pairs(labels).map(|pair| (pair.name, pair.place))
    };
    files.iter().flat_map(of_file).collect()
}

fn of_router(service: &str, label: &str, rule: &str, place: &Place, teller: &mut Teller) {
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
    teller.tell("router", place, message, hint);
}

/// Other programs look for the version at service `app`, and expect one.
fn of_version(name: &str, value: &str, place: &Place, teller: &mut Teller) {
    if name != "app" {
        let message = format!("the version label is at service {name}, and looked for at service app");
        teller.tell("version elsewhere", place, message, "move it to services.app.deploy.labels");
    }
    if value.parse::<RecipeVersion>().is_err() {
        let message = format!("the version label says {value:?}, which is no version");
        teller.tell("no version", place, message, "a version is x.y.z+app, as in 1.0.0+2.4.1");
    }
}
