//! What only the whole recipe shows: a sample that nobody reads, images without a version, versions that nothing sets.

use std::collections::BTreeSet;

use super::{Entries, Recipe, Teller, listing};
use crate::model::diagnostic::{Diagnostic, Diagnostics, Place};
use crate::model::secret::Charset;
use crate::recipe::compose::Source;
use crate::recipe::env;
use crate::recipe::interpolate;
use crate::recipe::yaml::{Node, Value};
use crate::recipe::{EXPORTS, SAMPLE};

/// The YAML documents behind the first one, which nobody reads.
pub fn of_documents(source: &Source, found: &mut Diagnostics) {
    let is_mark = |line: &str| line == "---" || line.starts_with("--- ") || line.starts_with("---\t");
    let says_something = |line: &str| !matches!(line.trim_start().chars().next(), None | Some('#'));
    let mut begun = false;
    let mut further = None;
    for (line, text) in (1_u32..).zip(source.text.lines()) {
        match (is_mark(text), further) {
            (true, _) if begun => further = Some(line),
            (true, _) => begun = true,
            (false, Some(line)) if says_something(text) && text != "..." => {
                let message = "this is another document of the same file, and is ignored";
                let place = Place::new(&source.file, line, 1);
                found.push(Diagnostic::warning(place, message).hint("make it a file of its own"));
                return;
            }
            (false, _) => begun |= says_something(text) && !text.starts_with('%'),
        }
    }
}

/// What the sample says and nobody heeds.
pub(super) fn of_sample(recipe: &Recipe, teller: &mut Teller) {
    let Ok(text) = recipe.tree.text(SAMPLE) else {
        let elsewhere = recipe.tree.entries.keys().find(|path| path.ends_with(&format!("/{SAMPLE}")));
        if let Some(path) = elsewhere {
            let message = format!("this {SAMPLE} is not read, because it is not at the root of the recipe");
            let place = Place::new(&path.as_str().into(), 1, 1);
            teller.tell("sample", &place, message, "give its variables in the app's env");
        }
        return;
    };
    let known = |name: &str| recipe.environment.get(name).cloned();
    let lines: Vec<&str> = text.lines().collect();
    for variable in env::parse_under(&SAMPLE.into(), text, &known).unwrap_or_default() {
        let line = lines.get(variable.place.line.saturating_sub(1) as usize);
        let comment = line.and_then(|line| line.split_once('#')).map(|(_, comment)| comment).unwrap_or_default();
        let asked = comment.split_whitespace().find_map(|word| word.strip_prefix("charset="));
        if let Some(charset) = asked.filter(|name| Charset::known(name).is_none()) {
            let message =
                format!("{}: nobody knows the charset {charset:?}, and letters and digits are taken", variable.name);
            teller.tell("charset", &variable.place, message, "known are default, special, safespecial, hex and alnum");
        }
    }
}

pub(super) fn of_recipe<'a>(
    recipe: &'a Recipe,
    entries: &Entries<'a>,
    optional: &BTreeSet<String>,
    teller: &mut Teller,
) {
    for (name, service) in &recipe.project.services {
        let image = entries.service(name).and_then(|node| node.get("image")).map(|node| node.place.clone());
        if let Some(place) = image.or(service.place.clone()) {
            of_image(name, &service.image, &place, teller);
        }
    }
    of_lonely_services(recipe, teller);
    of_versions(recipe, entries, optional, teller);
    let is_recipe = [SAMPLE, EXPORTS].iter().any(|file| recipe.tree.entries.contains_key(*file));
    let Some(first) = recipe.files.first().filter(|_| is_recipe) else { return };
    if !recipe.project.services.contains_key("app") {
        let message = "no service is called app, and other programs look for the app there";
        let hint = "its labels and the variables of the app's env go nowhere";
        teller.tell(
            "no app",
            super::key_place(&first.node, "services").unwrap_or(&first.node.place),
            message.to_owned(),
            hint,
        );
    }
    if recipe.environment.contains_key("DOMAIN") && !recipe.files.iter().any(|file| mentions(&file.raw, "DOMAIN")) {
        let message = "no file uses DOMAIN, so nothing of the recipe answers at the app's domain";
        let hint = "an app without a web side may be asked by gate.tcp";
        teller.tell("no domain", &first.node.place, message.to_owned(), hint);
    }
}

/// A service that names no network is in `default`, where it may be alone.
fn of_lonely_services(recipe: &Recipe, teller: &mut Teller) {
    let services = &recipe.project.services;
    let mut in_default = services.iter().filter(|(_, s)| s.networks.is_empty() || s.networks.contains_key("default"));
    let (Some((name, alone)), None) = (in_default.next(), in_default.next()) else { return };
    if services.len() > 1
        && alone.networks.is_empty()
        && let Some(place) = &alone.place
    {
        let message =
            format!("service {name} names no network, and is alone in the network default, which is made for it");
        teller.tell("lonely", place, message, "name the networks of the services that it talks to");
    }
}

fn mentions(node: &Node, variable: &str) -> bool {
    match &node.value {
        Value::Map(entries) => entries.iter().any(|(_, node)| mentions(node, variable)),
        Value::Seq(items) => items.iter().any(|node| mentions(node, variable)),
        Value::String(text) => interpolate::variables(text).iter().any(|name| name == variable),
        _ => false,
    }
}

fn of_image(service: &str, image: &str, place: &Place, teller: &mut Teller) {
    if image.is_empty() || image.contains('@') {
        return;
    }
    let tag = image.rsplit('/').next().and_then(|last| last.split_once(':')).map(|(_, tag)| tag);
    let message = match tag {
        None => format!("services.{service}.image: {image} has no tag, so it is whatever is latest when it is pulled"),
        Some("latest") => format!("services.{service}.image: {image} is another image from one day to the next"),
        Some(_) => return,
    };
    teller.tell("image", place, message, "name a version of it");
}

/// Versions of configs that only the compose file's own default gives: a changed body needs another one there.
fn of_versions<'a>(recipe: &'a Recipe, entries: &Entries<'a>, optional: &BTreeSet<String>, teller: &mut Teller) {
    let mut versions: Vec<(&str, String, &Place)> = Vec::new();
    for (key, config) in &recipe.project.configs {
        let Some(node) = entries.get("configs", key).and_then(|(_, node)| node.get("name")) else { continue };
        let Some(variable) = interpolate::variables(&config.name_template).pop() else { continue };
        if !recipe.environment.contains_key(&variable) && !optional.contains(&variable) && !config.name.ends_with('_') {
            versions.push((key, variable, &node.place));
        }
    }
    let Some((_, _, place)) = versions.first() else { return };
    let keys: Vec<&str> = versions.iter().map(|(key, ..)| *key).collect();
    let names: Vec<&str> = versions.iter().map(|(_, variable, _)| variable.as_str()).collect();
    let (config, version) =
        if keys.len() == 1 { ("config", "its version is") } else { ("configs", "their versions are") };
    let message = format!(
        "{config} {}: nothing sets {}, so {version} what the compose file says",
        listing(&keys),
        listing(&names)
    );
    teller.tell("version", place, message, "a changed content needs a changed version; Swarm refuses it else");
}
