//! The YAML reader.

use std::collections::HashSet;
use std::fmt::Write as _;

use evenkeel::recipe::yaml::{self, MAX_BYTES, MAX_DEPTH, MAX_EXPANDED_BYTES, MAX_NODES, Node, Value, text_of};

use super::place::Lines;

/// Reading is a function of the text, stays within its bounds, and gives what can be written down and read again.
pub fn yaml(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let lines = Lines::of_yaml(text);
    let node = match read(text) {
        Ok(node) => node,
        Err(errors) => {
            assert!(errors.has_errors());
            return lines.have_all(&errors);
        }
    };
    let again = read(text).expect("what was read before");
    assert_eq!(format!("{node:?}"), format!("{again:?}"));

    let mut size = Size::default();
    size.measure(&node, &lines, 0);
    assert!(size.nodes <= MAX_NODES && size.bytes <= MAX_EXPANDED_BYTES, "{} nodes, {} bytes", size.nodes, size.bytes);

    let mut written = String::new();
    write(&node, &mut written);
    if written.len() <= MAX_BYTES {
        let reread = read(&written).unwrap_or_else(|errors| panic!("{written}\n{errors}"));
        assert!(same(&node, &reread), "{node:?}\n{written}\n{reread:?}");
    }
}

fn read(text: &str) -> Result<Node, evenkeel::model::diagnostic::Diagnostics> {
    yaml::parse(&"f.yml".into(), text)
}

#[derive(Default)]
struct Size {
    nodes: usize,
    bytes: usize,
}

impl Size {
    fn measure(&mut self, node: &Node, lines: &Lines, depth: usize) {
        assert!(depth <= MAX_DEPTH && lines.have(&node.place), "{node:?}");
        assert!(!matches!(node.value, Value::Float(number) if !number.is_finite()));
        self.nodes += 1;
        match &node.value {
            Value::Seq(items) => items.iter().for_each(|item| self.measure(item, lines, depth + 1)),
            Value::Map(entries) => {
                let mut keys = HashSet::new();
                for (key, value) in entries {
                    assert!(keys.insert(&key.text) && lines.have(&key.place), "{key:?}");
                    self.measure(value, lines, depth + 1);
                }
            }
            Value::String(text) => self.bytes += text.len(),
            _ => assert!(node.source.is_some() || node.value == Value::Null, "{node:?}"),
        }
    }
}

/// As one flow of double-quoted strings and canonical scalars. Keys are explicit, because others may not be long.
fn write(node: &Node, out: &mut String) {
    match &node.value {
        Value::Null => out.push('~'),
        Value::Float(value) => write!(out, "{value:?}").expect("a string takes all"),
        Value::Bool(_) | Value::Int(_) | Value::Uint(_) => out.push_str(&text_of(&node.value)),
        Value::Time(text) | Value::String(text) => quoted(text, out),
        Value::Seq(items) => {
            out.push('[');
            for item in items {
                write(item, out);
                out.push(',');
            }
            out.push(']');
        }
        Value::Map(entries) => {
            out.push('{');
            for (key, value) in entries {
                out.push_str("? ");
                quoted(&key.text, out);
                out.push_str(" : ");
                write(value, out);
                out.push(',');
            }
            out.push('}');
        }
    }
}

fn quoted(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            ' '..='~' => out.push(character),
            other => write!(out, "\\U{:08x}", other as u32).expect("a string takes all"),
        }
    }
    out.push('"');
}

/// Equal but for the places, the spelling, and a time, which is written as the text that it stands for.
fn same(a: &Node, b: &Node) -> bool {
    match (&a.value, &b.value) {
        (Value::Seq(a), Value::Seq(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Map(a), Value::Map(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.0.text == b.0.text && same(&a.1, &b.1))
        }
        (Value::Time(a), Value::String(b)) => a == b,
        (Value::Float(a), Value::Float(b)) => a.to_bits() == b.to_bits(),
        (a, b) => a == b,
    }
}
