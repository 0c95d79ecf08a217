//! Top-level objects that no service uses.

use std::collections::BTreeSet;

use super::{Entries, Recipe, Teller};
use crate::recipe::compose::model::{FileReference, Project, Service};

pub(super) fn of_recipe<'a>(recipe: &'a Recipe, entries: &Entries<'a>, teller: &mut Teller) {
    let project = recipe.project;
    let networks = project.networks.keys().map(|key| (key, false));
    tell("networks", networks, &used_networks(project), entries, teller);
    let volumes = project.volumes.keys().map(|key| (key, false));
    tell("volumes", volumes, &used_volumes(project), entries, teller);
    let secrets = project.secrets.iter().map(|(key, secret)| (key, !secret.external));
    tell("secrets", secrets, &sources(project, |service| &service.secrets), entries, teller);
    let mut used = sources(project, |service| &service.configs);
    used.extend(project.services.values().map(|service| service.credential_spec.config.as_str()));
    let configs = project.configs.iter().map(|(key, config)| (key, !config.external));
    tell("configs", configs, &used, entries, teller);
}

/// `objects`: keys, and whether one is made where no service uses it.
fn tell<'a>(
    section: &'a str,
    objects: impl Iterator<Item = (&'a String, bool)>,
    used: &BTreeSet<&str>,
    entries: &Entries<'a>,
    teller: &mut Teller,
) {
    let what = section.trim_end_matches('s');
    for (key, is_made) in objects.filter(|(key, _)| !used.contains(key.as_str())) {
        if let Some((key, _)) = entries.get(section, key) {
            let made = if is_made { ", and it is made all the same" } else { "" };
            let message = format!("no service uses the {what} {:?}{made}", key.text);
            teller.tell("unused", &key.place, message, "leave it out, or name it in the service that is to have it");
        }
    }
}

fn used_networks(project: &Project) -> BTreeSet<&str> {
    let services = || project.services.values();
    let mut used: BTreeSet<&str> = services().flat_map(|s| s.networks.keys()).map(String::as_str).collect();
    if services().any(|service| service.networks.is_empty()) {
        used.insert("default");
    }
    used
}

fn used_volumes(project: &Project) -> BTreeSet<&str> {
    project.services.values().flat_map(|service| &service.volumes).map(|mount| mount.source.as_str()).collect()
}

fn sources(project: &Project, references: fn(&Service) -> &Vec<FileReference>) -> BTreeSet<&str> {
    project.services.values().flat_map(references).map(|reference| reference.source.as_str()).collect()
}
