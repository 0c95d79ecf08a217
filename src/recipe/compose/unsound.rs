//! What is left of files in which something is wrong, so that the rest of what is wrong is told in the same go.
//!
//! The border: used for telling alone; a project with an error goes no further.

use std::collections::BTreeSet;

use super::model::{Project, Service};
use crate::model::diagnostic::{Diagnostic, Diagnostics, Place};
use crate::recipe::yaml::{Node, Value};

/// Of what something had to be taken out: what else would be said about it may only follow from that.
#[derive(Debug, Default)]
pub struct Unsound {
    /// A file cannot be read at all.
    pub whole: bool,
    /// Sections that cannot be read: whatever seems to be undefined may stand there.
    pub sections: BTreeSet<String>,
    /// Section and name: `volumes`, `data`.
    pub entries: BTreeSet<(String, String)>,
    /// Items that were taken out of lists, and stand there as null.
    items: BTreeSet<Place>,
}

impl Unsound {
    pub fn add(&mut self, section: &str, name: &str) {
        self.entries.insert((section.to_owned(), name.to_owned()));
    }

    /// Takes out the texts of which an error has been told; of an item of a list, all of it.
    pub fn take_out(&mut self, file: &mut Node, told: &Diagnostics) {
        let places: BTreeSet<Place> = told.errors().filter_map(|error| error.place.clone()).collect();
        let Value::Map(sections) = &mut file.value else { return };
        for (section, node) in sections {
            if is_one_of(node, &places) {
                self.sections.insert(section.text.clone());
            }
            let Value::Map(entries) = &mut node.value else { continue };
            for (name, entry) in entries {
                if is_one_of(entry, &places) {
                    entry.value = Value::Map(Vec::new());
                    self.add(&section.text, &name.text);
                } else if without(entry, &places, &mut self.items) {
                    self.add(&section.text, &name.text);
                }
            }
        }
    }

    /// Whether an error is about an item that was taken out.
    pub fn has_taken_out(&self, error: &Diagnostic) -> bool {
        error.place.as_ref().is_some_and(|place| self.items.contains(place))
    }

    /// Makes up what is missing by what has been told.
    pub fn fill_in(&self, project: &mut Project) {
        if self.whole {
            *project = Project::default();
            return;
        }
        for service in project.services.values_mut() {
            self.leave_out_references(service);
        }
        for (section, name) in &self.entries {
            match section.as_str() {
                "services" => project.services.get_mut(name).into_iter().for_each(give_image),
                "secrets" => project.secrets.get_mut(name).into_iter().for_each(|secret| secret.external = true),
                "configs" => project.configs.get_mut(name).into_iter().for_each(|config| config.external = true),
                _ => {}
            }
        }
    }

    fn leave_out_references(&self, service: &mut Service) {
        let broken = |section: &str| self.sections.contains(section);
        if broken("services") {
            give_image(service);
        }
        if broken("networks") {
            service.networks.clear();
        }
        if broken("volumes") {
            service.volumes.clear();
        }
        if broken("secrets") {
            service.secrets.clear();
        }
        if broken("configs") {
            service.configs.clear();
        }
    }
}

fn give_image(service: &mut Service) {
    if service.image.is_empty() {
        "unknown".clone_into(&mut service.image);
    }
}

fn is_one_of(node: &Node, places: &BTreeSet<Place>) -> bool {
    matches!(node.value, Value::String(_)) && places.contains(&node.place)
}

/// Whether something was taken out.
fn without(node: &mut Node, places: &BTreeSet<Place>, items: &mut BTreeSet<Place>) -> bool {
    match &mut node.value {
        Value::Map(entries) => {
            let mut changed = false;
            entries.retain_mut(|(key, value)| {
                let faulty = is_one_of(value, places);
                let inside = !faulty && without(value, places, items);
                changed |= faulty || inside;
                // A part of a limit is none.
                !(faulty || inside && key.text == "ulimits")
            });
            changed
        }
        Value::Seq(list) => list.iter_mut().fold(false, |changed, item| {
            let faulty = is_one_of(item, places) || without(item, places, items);
            if faulty {
                item.value = Value::Null;
                items.insert(item.place.clone());
            }
            changed | faulty
        }),
        _ => false,
    }
}
