//! Variables in compose values.

use evenkeel::model::diagnostic::{Diagnostics, Place};
use evenkeel::recipe::interpolate::{self, Environment, MAX_VALUE_BYTES, text, variables};
use evenkeel::recipe::yaml::{Key, Node, Value};

/// Text without `$` is itself, `$$` is a dollar, and nothing but the variables that a template mentions counts.
pub fn interpolation(bytes: &[u8]) {
    let Ok(template) = std::str::from_utf8(bytes) else { return };
    let environment = environment();
    assert_eq!(text(&template.replace('$', "$$"), &environment).as_deref(), Ok(template));
    let filled = text(template, &environment);
    let mentioned = variables(template);
    if !template.contains('$') {
        assert_eq!(filled.as_deref(), Ok(template));
        assert!(mentioned.is_empty());
    }
    let of_mentioned: Environment =
        environment.iter().filter(|(name, _)| mentioned.contains(name)).map(|(n, v)| (n.clone(), v.clone())).collect();
    assert_eq!(filled, text(template, &of_mentioned));
    if let Ok(filled) = &filled {
        assert!(filled.len() <= MAX_VALUE_BYTES);
        if mentioned.is_empty() {
            assert_eq!(*filled, template.replace("$$", "$"));
        }
    }
    in_documents(template, &environment, filled.ok());
}

fn environment() -> Environment {
    let long = "x".repeat(3000);
    [("FOO", "foo"), ("EMPTY", ""), ("PRICE", "$FOO"), ("N", "3"), ("lower", "low"), ("YES", "on"), ("LONG", &long)]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

/// In a document the same text comes out, a number or boolean where one is wanted, or an error with its place.
fn in_documents(template: &str, environment: &Environment, filled: Option<String>) {
    let place = Place::new(&"f.yml".into(), 1, 1);
    let node = |value| Node::new(value, place.clone());
    for path in [["services", "a", "image"], ["services", "a", "tty"], ["services", "a", "deploy.replicas"]] {
        let mut document = node(Value::String(template.to_owned()));
        for text in path.iter().flat_map(|step| step.split('.')).collect::<Vec<_>>().into_iter().rev() {
            document = node(Value::Map(vec![(Key { text: text.to_owned(), place: place.clone() }, document)]));
        }
        let mut found = Diagnostics::default();
        interpolate::document(&mut document, environment, &mut found);
        let value = leaf(&document);
        match &filled {
            Some(filled) if path[2] == "image" => assert_eq!(*value, Value::String(filled.clone())),
            Some(filled) if filled != template && !found.has_errors() => assert!(!matches!(value, Value::String(_))),
            Some(_) => {}
            None => assert!(found.has_errors()),
        }
        assert!(found.0.iter().all(|diagnostic| diagnostic.place.is_some()));
    }
}

fn leaf(node: &Node) -> &Value {
    match &node.value {
        Value::Map(entries) => leaf(&entries[0].1),
        value => value,
    }
}
