//! Numbers and dates that become another text than the one written, and modes that are another number.

use super::plain_secret::is_secret;
use super::{Entries, File, Teller};
use crate::recipe::compose::path::Path;
use crate::recipe::compose::schema::Shape;
use crate::recipe::compose::{shapes, take};
use crate::recipe::yaml::{Node, Value};

pub(super) fn of_file(file: &File, teller: &mut Teller) {
    of_fields(&file.node, shapes::FILE, &Path::File, teller);
    of_modes(file, teller);
}

/// Wherever the schema wants text and takes a number or date: `0444` in an environment is `292`.
fn of_node(node: &Node, shape: &Shape, path: &Path, teller: &mut Teller) {
    match shape {
        Shape::TextOrDate | Shape::TextOrNumber | Shape::TextOrNumberOrNull | Shape::Port => {
            of_text(node, path, teller);
        }
        Shape::Set(item) | Shape::SetBelow(_, item) | Shape::List(item) => {
            for (index, node) in take::items(Some(node)).iter().enumerate() {
                of_node(node, item, &Path::Item(path, index), teller);
            }
        }
        Shape::Fields(known, _) => of_fields(node, known, path, teller),
        Shape::Named(shape, _) => {
            for (key, node) in take::entries(Some(node)) {
                of_node(node, shape, &Path::Key(path, &key.text), teller);
            }
        }
        Shape::Nullable(shape) | Shape::Since(_, shape) | Shape::With(_, shape) => of_node(node, shape, path, teller),
        // A node is of one kind, so no more than one of these finds anything in it.
        Shape::Either(shapes) => shapes.iter().for_each(|shape| of_node(node, shape, path, teller)),
        _ => {}
    }
}

fn of_fields(node: &Node, known: &[(&str, Shape)], path: &Path, teller: &mut Teller) {
    for (key, node) in take::entries(Some(node)) {
        if let Some((_, shape)) = known.iter().find(|(name, _)| *name == key.text) {
            of_node(node, shape, &Path::Key(path, &key.text), teller);
        }
    }
}

fn of_text(node: &Node, path: &Path, teller: &mut Teller) {
    if let Some(written) = node.respelled() {
        let path = path.to_string();
        let name = path.rsplit('.').next().unwrap_or_default();
        let message = match is_secret(name, written) {
            true => format!("{path}: the number reads as another text than the one written"),
            false => format!("{path}: {written} reads as {}", take::scalar(node)),
        };
        teller.tell("spelling", &node.place, message, "put it in quotes");
    }
}

/// `mode: "${MODE}"` with 0444 is decimal, and so another mode than `mode: 0444`.
fn of_modes(file: &File, teller: &mut Teller) {
    let as_written = Entries::of(&file.raw);
    for (name, service) in take::entries(file.node.get("services")) {
        let raw = as_written.service(&name.text);
        for section in ["secrets", "configs"] {
            let raw = take::items(raw.and_then(|service| service.get(section)));
            for (read, raw) in take::items(service.get(section)).iter().zip(raw) {
                of_mode(read, raw, &format!("services.{}.{section}", name.text), teller);
            }
        }
    }
}

fn of_mode(read: &Node, raw: &Node, path: &str, teller: &mut Teller) {
    let (Some(mode), Some(template)) = (read.get("mode"), raw.get("mode").and_then(Node::as_str)) else { return };
    let Value::Int(number) = mode.value else { return };
    let digits = number.to_string();
    if let Ok(meant) = u32::from_str_radix(&digits, 8)
        && meant > 0o77
    {
        let message = format!("{path}: the mode {template} is the decimal number {digits}, which is mode {number:04o}");
        let hint = format!("write the mode itself, or give {meant}, which is {meant:04o}");
        teller.tell("mode", &mode.place, message, hint);
    }
}
