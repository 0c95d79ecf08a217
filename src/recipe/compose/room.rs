//! How much the compose files of one recipe may be together: each alone has its own bounds, and there may be many.

use super::{Source, take};
use crate::model::diagnostic::{Diagnostic, Diagnostics, Place};
use crate::recipe::interpolate::MAX_DOCUMENT_BYTES;
use crate::recipe::yaml::{MAX_BYTES, MAX_EXPANDED_BYTES, MAX_NODES, Node, Value};

/// More files are not laid over each other: recipes in use have up to 20.
pub const MAX_FILES: usize = 64;

/// Services of all files, counted in each. Every one takes some kilobytes.
pub const MAX_SERVICES: usize = 2_000;
/// Networks, volumes, secrets and configs of all files, counted in each.
pub const MAX_OBJECTS: usize = 10_000;

/// Refuses too many files, or too much text.
pub fn for_texts(sources: &[Source]) -> Result<(), Diagnostic> {
    let bytes: usize = sources.iter().map(|source| source.text.len()).sum();
    // One file that is too long is told with its place.
    if sources.len() > 1 && bytes > MAX_BYTES {
        let message = format!("the compose files have {bytes} bytes together, more than the {MAX_BYTES} that are read");
        return Err(Diagnostic::error(None, message));
    }
    if sources.len() > MAX_FILES {
        let message = format!("there are {} compose files, more than the {MAX_FILES} that are read", sources.len());
        return Err(Diagnostic::error(None, message));
    }
    Ok(())
}

/// What the files so far have taken: as they are written with their aliases, and with their variables replaced.
#[derive(Default)]
pub struct Room {
    written: Size,
    replaced: Size,
    services: usize,
    objects: usize,
}

#[derive(Default)]
struct Size {
    nodes: usize,
    bytes: usize,
}

impl Room {
    /// Whether the file fits in; else that is told.
    pub fn takes(&mut self, file: &Node, found: &mut Diagnostics) -> bool {
        self.written.add(file);
        self.written.is_within(MAX_EXPANDED_BYTES, "aliases", &file.place, found) && self.takes_entries(file, found)
    }

    fn takes_entries(&mut self, file: &Node, found: &mut Diagnostics) -> bool {
        let count = |section: &str| take::entries(file.get(section)).len();
        self.services += count("services");
        self.objects += ["networks", "volumes", "secrets", "configs"].into_iter().map(count).sum::<usize>();
        let fits = self.services <= MAX_SERVICES && self.objects <= MAX_OBJECTS;
        if !fits {
            let message = format!(
                "more than {MAX_SERVICES} services, or {MAX_OBJECTS} networks, volumes, secrets and configs, in the \
                 compose files up to this one"
            );
            found.push(Diagnostic::error(file.place.clone(), message));
        }
        fits
    }

    pub fn takes_replaced(&mut self, file: &Node, found: &mut Diagnostics) -> bool {
        self.replaced.add(file);
        self.replaced.is_within(MAX_EXPANDED_BYTES + MAX_DOCUMENT_BYTES, "variables", &file.place, found)
    }
}

impl Size {
    fn add(&mut self, node: &Node) {
        self.nodes += 1;
        match &node.value {
            Value::Map(entries) => entries.iter().for_each(|(key, node)| {
                self.nodes += 1;
                self.bytes += key.text.len();
                self.add(node);
            }),
            Value::Seq(items) => items.iter().for_each(|node| self.add(node)),
            Value::String(text) | Value::Time(text) => self.bytes += text.len(),
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Uint(_) | Value::Float(_) => {}
        }
    }

    fn is_within(&self, bytes: usize, what: &str, place: &Place, found: &mut Diagnostics) -> bool {
        let fits = self.nodes <= MAX_NODES && self.bytes <= bytes;
        if !fits {
            let message = format!(
                "more than {MAX_NODES} nodes or {bytes} bytes in the compose files up to this one, with all {what} replaced"
            );
            found.push(Diagnostic::error(place.clone(), message));
        }
        fits
    }
}
