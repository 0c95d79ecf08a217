//! Networks, secrets and configs of a stack.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::body::{put, put_labels, with_namespace};
use super::endpoint::{DEFAULT, is_user_defined, network_name};
use super::names;
use super::references::object_name;
use super::{DesiredConfig, DesiredNetwork, DesiredSecret, SecretSource};
use crate::model::app::StackName;
use crate::model::diagnostic::{Diagnostic, Diagnostics};
use crate::model::secret::SecretBytes;
use crate::recipe::compose::model::{FileObject, FileReference, Network, Project, Service};
use crate::recipe::{Tree, interpolate};

/// The most bytes of a secret and of a config that the Engine takes (measured: 512,000 and 1,024,000 are refused).
pub const LARGEST_SECRET: usize = 500 * 1024 - 1;
pub const LARGEST_CONFIG: usize = 1000 * 1024 - 1;

/// All contents together: one file can be the content of very many.
const MOST_CONTENT: usize = 16 * 1024 * 1024;

/// The networks that services use: those to be made, and the names of those that must be there.
pub fn networks(project: &Project, stack: &StackName, found: &mut Diagnostics) -> (Vec<DesiredNetwork>, Vec<String>) {
    let mut own: BTreeMap<String, DesiredNetwork> = BTreeMap::new();
    let mut external = BTreeSet::new();
    for key in used_networks(project) {
        let network = project.networks.get(key);
        let name = network_name(key, network, stack);
        if !network.is_some_and(|network| network.external) {
            let network = network.cloned().unwrap_or_default();
            let made = DesiredNetwork { body: network_body(&name, &network, stack), name: name.clone() };
            refuse_network(key, &network, &made, own.get(&name), found);
            own.insert(name, made);
        } else if is_user_defined(&name) {
            external.insert(name);
        }
    }
    (own.into_values().collect(), external.into_iter().collect())
}

/// Two keys may be one network where both say the same of it.
fn refuse_network(
    key: &str,
    network: &Network,
    made: &DesiredNetwork,
    other: Option<&DesiredNetwork>,
    found: &mut Diagnostics,
) {
    if let Some(fault) = names::dns_name_fault(&made.name) {
        found.push(fault.told("network", key, &made.name, network.place.clone()));
    }
    if other.is_some_and(|other| other.body != made.body) {
        let message = format!("network {key}: another one with other settings has the name {:?}, too", made.name);
        found.push(Diagnostic::error(network.place.clone(), message).hint("give each a name of its own"));
    }
    names::refuse_body("network", key, &made.body, network.place.as_ref(), found);
}

fn used_networks(project: &Project) -> BTreeSet<&str> {
    let named = project.services.values().flat_map(|service| service.networks.keys()).map(String::as_str);
    let default = project.services.values().any(|service| service.networks.is_empty()).then_some(DEFAULT);
    named.chain(default).filter(|key| *key == DEFAULT || project.networks.contains_key(*key)).collect()
}

fn network_body(name: &str, network: &Network, stack: &StackName) -> Value {
    let driver = if network.driver.is_empty() { "overlay" } else { network.driver.as_str() };
    json!({
        "Name": name,
        "Driver": driver,
        "Scope": "",
        "IPAM": ipam(network),
        "Internal": network.internal,
        "Attachable": network.attachable,
        "Ingress": false,
        "ConfigOnly": false,
        "ConfigFrom": null,
        "Options": network.driver_opts,
        "Labels": with_namespace(&network.labels, stack),
    })
}

fn ipam(network: &Network) -> Value {
    if network.ipam_driver.is_empty() && network.subnets.is_empty() {
        return Value::Null;
    }
    let pool = |subnet: &String| {
        let mut body = Map::new();
        put(&mut body, "Subnet", json!(subnet));
        Value::Object(body)
    };
    let pools: Vec<Value> = network.subnets.iter().map(pool).collect();
    let pools = if pools.is_empty() { Value::Null } else { Value::Array(pools) };
    json!({ "Driver": network.ipam_driver, "Options": null, "Config": pools })
}

/// Every secret of the recipe; an external one only where a service uses it.
pub fn secrets(project: &Project, stack: &StackName, tree: &Tree, found: &mut Diagnostics) -> Vec<DesiredSecret> {
    let used = used(project, |service| &service.secrets);
    let mut secrets = Vec::new();
    let (mut taken, mut content) = (Taken::default(), 0);
    for (key, object) in project.secrets.iter().filter(|(key, object)| !object.external || used.contains(*key)) {
        let named = Named { what: "secret", key, object, name: object_name(key, object, stack) };
        named.refuse_bad_name(found);
        taken.take(&named, found);
        let source = if object.external {
            SecretSource::External
        } else if !object.driver.is_empty() {
            SecretSource::Driver
        } else {
            SecretSource::Bytes(SecretBytes::new(named.file(tree, LARGEST_SECRET, &mut content, found)))
        };
        secrets.push(DesiredSecret {
            key: key.clone(),
            spec: named.spec(stack, found),
            source,
            place: object.place.clone(),
            version_variable: version_variable(object),
            name: named.name,
        });
    }
    secrets.sort_by(|a, b| a.name.cmp(&b.name));
    secrets
}

/// Every config of the recipe; an external one only where a service uses it.
pub fn configs(project: &Project, stack: &StackName, tree: &Tree, found: &mut Diagnostics) -> Vec<DesiredConfig> {
    let used = used(project, |service| &service.configs);
    let mut configs = Vec::new();
    let (mut taken, mut content) = (Taken::default(), 0);
    for (key, object) in project.configs.iter().filter(|(key, object)| !object.external || used.contains(*key)) {
        let named = Named { what: "config", key, object, name: object_name(key, object, stack) };
        named.refuse_bad_name(found);
        taken.take(&named, found);
        let body = (!object.external).then(|| named.file(tree, LARGEST_CONFIG, &mut content, found));
        configs.push(DesiredConfig { key: key.clone(), spec: named.spec(stack, found), body, name: named.name });
    }
    configs.sort_by(|a, b| a.name.cmp(&b.name));
    configs
}

fn used(project: &Project, references: impl Fn(&Service) -> &Vec<FileReference>) -> BTreeSet<String> {
    project.services.values().flat_map(references).map(|one| one.source.clone()).collect()
}

/// The names of secrets or of configs. Two of one name would be one object, with the content of either; somebody
/// else's may be named many times.
#[derive(Default)]
struct Taken {
    /// The key in the recipe, and whether it is external.
    by_name: BTreeMap<String, (String, bool)>,
}

impl Taken {
    fn take(&mut self, named: &Named, found: &mut Diagnostics) {
        let Named { what, key, object, name } = named;
        let before = self.by_name.insert(name.clone(), ((*key).to_owned(), object.external));
        if let Some((first, first_is_external)) = before
            && !(first_is_external && object.external)
        {
            let message = format!("{what} {key}: the name {name:?} is that of {what} {first}, too");
            found.push(Diagnostic::error(object.place.clone(), message).hint("give each a name of its own"));
        }
    }
}

/// A secret or config under its Swarm name.
struct Named<'a> {
    what: &'static str,
    key: &'a str,
    object: &'a FileObject,
    name: String,
}

impl Named<'_> {
    fn refuse_bad_name(&self, found: &mut Diagnostics) {
        let Named { what, key, name, .. } = self;
        match (version_variable(self.object), names::object_name_fault(name)) {
            (Some(variable), _) if name.ends_with('_') => {
                let message = format!("{what} {key}: the name {name:?} has no version");
                let hint = format!("set {variable}, as in {variable}=v1");
                found.push(Diagnostic::error(self.object.place.clone(), message).hint(hint));
            }
            (_, Some(fault)) => found.push(fault.told(what, key, name, self.object.place.clone())),
            _ => {}
        }
    }

    /// The Engine takes neither an empty one nor one beyond its bound.
    fn refuse_bad_size(&self, size: usize, most: usize, found: &mut Diagnostics) {
        let Named { what, key, object, .. } = self;
        let file = &object.file;
        let (message, hint) = match size {
            0 => (format!("{what} {key}: its file {file} is empty"), "the Engine takes none without content"),
            size if size > most => (
                format!("{what} {key}: its file {file} has {size} bytes, and the Engine takes {most} at most"),
                "put large data into a volume or an image",
            ),
            _ => return,
        };
        found.push(Diagnostic::error(object.place.clone(), message).hint(hint));
    }

    /// `content`: the bytes of all the files so far.
    fn file(&self, tree: &Tree, most: usize, content: &mut usize, found: &mut Diagnostics) -> Vec<u8> {
        let Named { what, key, object, .. } = self;
        if object.file.is_empty() {
            let driver = if *what == "secret" { " nor driver" } else { "" };
            let message = format!("{what} {key}: it has neither file nor external{driver}");
            let hint = "name a file of the recipe, or say external: true";
            found.push(Diagnostic::error(object.place.clone(), message).hint(hint));
            return Vec::new();
        }
        let namer = object.place.as_ref().map_or("", |place| &place.file);
        match tree.bytes_named_in(namer, &object.file) {
            Ok(bytes) => {
                self.refuse_bad_size(bytes.len(), most, found);
                *content += bytes.len();
                if *content > MOST_CONTENT {
                    let message =
                        format!("{what} {key}: the files of all {what}s have more than {MOST_CONTENT} bytes together");
                    let hint = "put large data into a volume or an image";
                    found.push(Diagnostic::error(object.place.clone(), message).hint(hint));
                    return Vec::new();
                }
                bytes.to_vec()
            }
            Err(cause) => {
                let message = format!("{what} {key}: {cause}");
                found.push(Diagnostic::error(object.place.clone(), message).hint(cause.hint()));
                Vec::new()
            }
        }
    }

    fn spec(&self, stack: &StackName, found: &mut Diagnostics) -> Value {
        let mut body = Map::new();
        body.insert("Name".into(), json!(self.name));
        put_labels(&mut body, &self.object.labels, stack);
        if !self.object.driver.is_empty() && !self.object.external {
            let mut driver = Map::new();
            put(&mut driver, "Name", json!(self.object.driver));
            put(&mut driver, "Options", json!(self.object.driver_opts));
            body.insert("Driver".into(), Value::Object(driver));
        }
        if !self.object.template_driver.is_empty() {
            body.insert("Templating".into(), json!({ "Name": self.object.template_driver }));
        }
        let body = Value::Object(body);
        names::refuse_body(self.what, self.key, &body, self.object.place.as_ref(), found);
        body
    }
}

/// The last variable of the name as the recipe writes it, the stack's and the domain's own apart. What it is called
/// follows no convention.
pub fn version_variable(object: &FileObject) -> Option<String> {
    let ours = |name: &String| matches!(name.as_str(), "STACK_NAME" | "DOMAIN");
    interpolate::variables(&object.name_template).into_iter().rfind(|name| !ours(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desired::from_files;
    use crate::recipe::Entry;
    use crate::recipe::compose::Source;
    use crate::recipe::interpolate::Environment;

    /// What is said of a stack `st` with this compose file and a file `f` of this size; empty where all is well.
    fn said(yaml: &str, size: usize) -> String {
        let tree = Tree { entries: [("f".to_owned(), Entry::File(vec![b'x'; size]))].into() };
        let source = Source { file: "compose.yml".into(), text: yaml.to_owned() };
        let read = from_files(&[source], &Environment::new(), &"st".parse().unwrap(), &tree, None);
        read.err().map(|errors| errors.to_string()).unwrap_or_default()
    }

    #[test]
    fn contents_that_the_engine_would_refuse_are_told_before_it_is_asked() {
        for (section, what, most) in [("secrets", "secret", 511_999), ("configs", "config", 1_023_999)] {
            let yaml = format!("services: {{app: {{image: a}}}}\n{section}: {{x: {{file: f}}}}\n");
            assert_eq!(said(&yaml, 1), "");
            assert_eq!(said(&yaml, most), "");
            let above = said(&yaml, most + 1);
            let size = most + 1;
            let begin =
                format!("compose.yml:2:11: error: {what} x: its file f has {size} bytes, and the Engine takes {most}");
            assert!(above.starts_with(&begin) && above.ends_with(')'), "{above}");
            let empty = said(&yaml, 0);
            assert!(empty.contains(&format!("{what} x: its file f is empty (")), "{empty}");
        }
    }

    #[test]
    fn one_file_is_not_the_content_of_any_number_of_objects() {
        for section in ["secrets", "configs"] {
            let objects =
                |count: usize| -> String { (0..count).map(|number| format!("o{number}: {{file: f}}, ")).collect() };
            let yaml = |count: usize| format!("services: {{app: {{image: a}}}}\n{section}: {{{}}}\n", objects(count));
            assert_eq!(said(&yaml(33), 500_000), "");
            let above = said(&yaml(5_000), 500_000);
            assert!(above.contains(&format!("the files of all {section} have more than 16777216 bytes together")));
        }
    }

    #[test]
    fn very_many_undefined_secrets_are_told_in_few_words() {
        let names = |prefix: &str, end: &str| -> String {
            (0..10_000).map(|number| format!("{prefix}{number}{end}, ")).collect()
        };
        let (used, declared) = (names("t", ""), names("s", ": {external: true}"));
        let yaml = format!("services: {{app: {{image: a, secrets: [{used}]}}}}\nsecrets: {{{declared}}}\n");
        let said = said(&yaml, 1);
        assert!(said.contains("undefined secret \"t0\" (declare it under top-level secrets)"), "{}", &said[..300]);
        assert!(said.len() < 200_000);
    }

    #[test]
    fn names_that_the_engine_would_refuse_are_told_with_their_places() {
        let of = |length: usize| "n".repeat(length);
        let service = |name: &str| format!("services: {{{name}: {{image: a}}}}\n");
        let network = |name: &str| {
            format!("services: {{app: {{image: a, networks: [n]}}}}\nnetworks: {{n: {{name: '{name}'}}}}\n")
        };
        let config =
            |name: &str| format!("services: {{app: {{image: a}}}}\nconfigs: {{c: {{file: f, name: '{name}'}}}}\n");
        let good = [service(&of(60)), network(&of(63)), config(&of(64)), config("a.b"), service("a-_b")];
        for yaml in good {
            assert_eq!(said(&yaml, 1), "", "{yaml}");
        }
        let bad = [
            (service(&of(61)), "compose.yml:1:12: error: service nnn", "has 64 characters, and 63 are allowed"),
            (service("a.b"), "compose.yml:1:12: error: service a.b", "\"st_a.b\" is no name for a service"),
            (service("a_"), "compose.yml:1:12: error: service a_", "is no name for a service"),
            (network(&of(64)), "compose.yml:2:12: error: network n", "has 64 characters, and 63 are allowed"),
            (network("a.b"), "compose.yml:2:12: error: network n", "is no name for a network"),
            (config(&of(65)), "compose.yml:2:11: error: config c", "has 65 characters, and 64 are allowed"),
            (config("-a"), "compose.yml:2:11: error: config c", "\"-a\" is no name for a config"),
            (config("a/../b"), "compose.yml:2:11: error: config c", "is no name for a config"),
            (config("ab\u{202e}"), "compose.yml:2:11: error: config c", "is no name for a config"),
        ];
        for (yaml, begin, words) in bad {
            let said = said(&yaml, 1);
            assert!(said.starts_with(begin) && said.contains(words), "{yaml}: {said}");
        }
    }

    #[test]
    fn two_objects_of_one_name_are_refused_unless_somebody_else_makes_them() {
        let of = |objects: &str| format!("services: {{app: {{image: a, secrets: [a, b]}}}}\nsecrets: {{{objects}}}\n");
        let twice = said(&of("a: {file: f, name: n}, b: {file: f, name: n}"), 1);
        assert!(
            twice.starts_with("compose.yml:2:34: error: secret b: the name \"n\" is that of secret a, too"),
            "{twice}"
        );
        assert!(said(&of("a: {file: f, name: n}, b: {external: true, name: n}"), 1).contains("secret b: the name"));
        assert_eq!(said(&of("a: {external: true, name: n}, b: {external: true, name: n}"), 1), "");
        let networks = |more: &str| {
            format!(
                "services: {{app: {{image: a, networks: [a, b]}}}}\nnetworks: {{a: {{name: n}}, b: {{name: n{more}}}}}\n"
            )
        };
        assert_eq!(said(&networks(""), 1), "");
        assert!(said(&networks(", internal: true"), 1).contains("network b: another one with other settings"));
    }

    #[test]
    fn neither_nul_nor_a_label_of_ours_goes_to_an_engine() {
        for part in ["environment: {A: \"x\\0\"}", "labels: {\"x\\0\": y}", "command: [\"a\\0b\"]", "hostname: \"\\0\""]
        {
            let said = said(&format!("services: {{app: {{image: a, {part}}}}}"), 1);
            assert!(
                said.contains("service app: TaskTemplate.ContainerSpec.") && said.contains("NUL"),
                "{part}: {said}"
            );
        }
        let config = "services: {app: {image: a}}\nconfigs: {c: {file: f, labels: {a: \"\\0\"}}}\n";
        assert!(said(config, 1).contains("config c: Labels.a has a NUL"));
        let ours = "services: {app: {image: a}}\nconfigs: {c: {file: f, labels: {evenkeel.stack: other}}}\n";
        assert!(said(ours, 1).contains("config c: the label evenkeel.stack is not the recipe's to set"));
        // Other control characters are the Engine's business, as with the Docker CLI.
        assert_eq!(said("services: {app: {image: a, labels: {a: \"\\e[2J\"}}}", 1), "");
    }
}
