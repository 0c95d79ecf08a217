//! Sets of several keys in several services and files, with values from small grammars.

use super::Set;
use super::grammar;
use super::keys::{KEYS, Key};
use super::random::Random;
use super::single::{NEEDS, plain};
use super::tree::File;

/// In a wild set values of wrong kinds are among the others.
pub fn set(random: &mut Random) -> Set {
    let wild = random.percent(12);
    let services = &["a", "web", "db_1"][..=random.below(3)];
    let mut mixture = Mixture { random, wild, services, set: Set::default(), used: Vec::new() };
    let count = [1, 1, 2, 2, 3][mixture.random.below(5)];
    let version = mixture.version();
    for index in 0..count {
        let text = mixture.file(index == 0, version);
        mixture.set.files.push(text);
    }
    mixture.set
}

struct Mixture<'a> {
    random: &'a mut Random,
    wild: bool,
    services: &'a [&'static str],
    set: Set,
    /// What earlier files said, to be said again.
    used: Vec<(&'static Key, &'static str)>,
}

impl Mixture<'_> {
    fn version(&mut self) -> Option<&'static str> {
        let versions = &["\"3.13\"", "\"3\"", "\"3.8\"", "'3.7'", "\"3.9\"", "\"3.10\"", "\"3.12\""];
        self.random.percent(25).then(|| *self.random.pick(versions))
    }

    fn file(&mut self, first: bool, version: Option<&str>) -> String {
        let mut file = File::default();
        if let Some(version) = version {
            file.set("version", version);
        }
        let common = self.random.percent(15);
        if common {
            self.common(&mut file);
        }
        let services = self.services;
        for service in services {
            if first {
                file.set(&format!("services/{service}/image"), "demo:1");
            }
            if common && self.random.percent(60) {
                file.set(&format!("services/{service}/<<"), "*common");
            }
        }
        for _ in 0..1 + self.random.below(7) {
            let (key, service) = self.key();
            self.put(&mut file, key, service);
        }
        if first {
            complete(&mut file);
        }
        let start = if self.random.percent(15) { "---\n" } else { "" };
        let end = if self.random.percent(5) { "---\nanother: document\n" } else { "" };
        format!("{start}{}{end}", file.text())
    }

    /// A mapping with an anchor, for services to merge.
    fn common(&mut self, file: &mut File) {
        let labels = grammar::pairs(self.random);
        let duration = grammar::duration(self.random);
        file.set("x-common", &format!("&common {{labels: {labels}, stop_grace_period: {duration}, tty: true}}"));
    }

    fn key(&mut self) -> (&'static Key, &'static str) {
        let again = !self.used.is_empty() && self.random.percent(55);
        let chosen = match again {
            true => *self.random.pick(&self.used),
            false => (*self.random.pick(&KEYS), *self.random.pick(self.services)),
        };
        self.used.push(chosen);
        chosen
    }

    fn put(&mut self, file: &mut File, key: &'static Key, service: &str) {
        if key.path == "version" || key.path == "services" || key.good.is_empty() && !self.wild {
            return;
        }
        let Some(value) = self.value(key) else { return };
        let path = key.path.replacen("services/a", &format!("services/{service}"), 1);
        file.set(&path, &key.frame.replace('@', &value));
    }

    fn value(&mut self, key: &Key) -> Option<String> {
        if self.wild && !key.bad.is_empty() && self.random.percent(20) {
            return Some((*self.random.pick(key.bad)).to_owned());
        }
        if self.random.percent(50)
            && let Some(value) = grammar::value(key, self.random)
        {
            return Some(value);
        }
        let value = *(!key.good.is_empty()).then(|| self.random.pick(key.good))?;
        let plain = plain(value).filter(|_| self.random.percent(15));
        Some(plain.map_or_else(|| value.to_owned(), |plain| self.reference(plain)))
    }

    /// A template that gives the text, and a variable for it.
    fn reference(&mut self, text: &str) -> String {
        let name = format!("GIVEN_{}", self.set.variables.len());
        let template = match self.random.below(4) {
            0 => format!("\"${{UNSET:-{text}}}\""),
            1 => format!("${name}"),
            2 => format!("\"${{{name}-other}}\""),
            _ => format!("\"${{{name}:?it is missing}}\""),
        };
        self.set.variables.insert(name, text.to_owned());
        template
    }
}

/// All objects that the values name.
fn complete(file: &mut File) {
    for (prefix, path, value) in NEEDS {
        if prefix.starts_with("services/") {
            file.set(path, value);
        }
    }
}
