//! Networks, secrets and configs of a stack.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::body::{put, put_labels, with_namespace};
use super::endpoint::{DEFAULT, is_user_defined, network_name};
use super::references::object_name;
use super::{DesiredConfig, DesiredNetwork, DesiredSecret, SecretSource};
use crate::model::app::StackName;
use crate::model::diagnostic::{Diagnostic, Diagnostics};
use crate::model::secret::SecretBytes;
use crate::recipe::compose::model::{FileObject, FileReference, Network, Project, Service};
use crate::recipe::{Tree, interpolate};

/// The most bytes of a secret that the Engine takes (measured: 512,000 are refused).
pub const LARGEST_SECRET: usize = 500 * 1024 - 1;

/// The networks that services use: those to be made, and the names of those that must be there.
pub fn networks(project: &Project, stack: &StackName) -> (Vec<DesiredNetwork>, Vec<String>) {
    let mut own = BTreeMap::new();
    let mut external = BTreeSet::new();
    for key in used_networks(project) {
        let network = project.networks.get(key);
        let name = network_name(key, network, stack);
        if !network.is_some_and(|network| network.external) {
            let body = network_body(&name, &network.cloned().unwrap_or_default(), stack);
            own.insert(name.clone(), DesiredNetwork { name, body });
        } else if is_user_defined(&name) {
            external.insert(name);
        }
    }
    (own.into_values().collect(), external.into_iter().collect())
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
    for (key, object) in project.secrets.iter().filter(|(key, object)| !object.external || used.contains(*key)) {
        let named = Named { what: "secret", key, object, name: object_name(key, object, stack) };
        named.refuse_bad_name(found);
        let source = if object.external {
            SecretSource::External
        } else if !object.driver.is_empty() {
            SecretSource::Driver
        } else {
            SecretSource::Bytes(SecretBytes::new(named.file(tree, found)))
        };
        secrets.push(DesiredSecret {
            key: key.clone(),
            spec: named.spec(stack),
            source,
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
    for (key, object) in project.configs.iter().filter(|(key, object)| !object.external || used.contains(*key)) {
        let named = Named { what: "config", key, object, name: object_name(key, object, stack) };
        named.refuse_bad_name(found);
        let body = (!object.external).then(|| named.file(tree, found));
        configs.push(DesiredConfig { key: key.clone(), spec: named.spec(stack), body, name: named.name });
    }
    configs.sort_by(|a, b| a.name.cmp(&b.name));
    configs
}

fn used(project: &Project, references: impl Fn(&Service) -> &Vec<FileReference>) -> BTreeSet<String> {
    project.services.values().flat_map(references).map(|one| one.source.clone()).collect()
}

/// A secret or config under its Swarm name.
struct Named<'a> {
    what: &'static str,
    key: &'a str,
    object: &'a FileObject,
    name: String,
}

impl Named<'_> {
    /// The Engine takes 64 of `[a-zA-Z0-9-_.]`, a letter or digit at both ends.
    fn refuse_bad_name(&self, found: &mut Diagnostics) {
        let Named { what, key, name, .. } = self;
        let mut fault = |message: String, hint: String| {
            found.push(Diagnostic::error(self.object.place.clone(), message).hint(hint));
        };
        let legal = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let at_the_ends = |c: char| c.is_ascii_alphanumeric();
        match version_variable(self.object) {
            Some(variable) if name.ends_with('_') => {
                fault(
                    format!("{what} {key}: the name {name:?} has no version"),
                    format!("set {variable}, as in {variable}=v1"),
                );
            }
            _ if name.len() > 64 => {
                let message =
                    format!("{what} {key}: the name {name:?} has {} characters, and 64 are allowed", name.len());
                fault(message, "use a shorter domain or stack name".to_owned());
            }
            _ if !name.chars().all(legal) || !name.starts_with(at_the_ends) || !name.ends_with(at_the_ends) => {
                let hint = "letters, digits, '-', '_' and '.', a letter or digit first and last";
                fault(format!("{what} {key}: {name:?} is no name for a {what}"), hint.to_owned());
            }
            _ => {}
        }
    }

    fn file(&self, tree: &Tree, found: &mut Diagnostics) -> Vec<u8> {
        let Named { what, key, object, .. } = self;
        if object.file.is_empty() {
            let driver = if *what == "secret" { " nor driver" } else { "" };
            let message = format!("{what} {key}: it has neither file nor external{driver}");
            found.push(Diagnostic::error(object.place.clone(), message));
            return Vec::new();
        }
        let namer = object.place.as_ref().map_or("", |place| &place.file);
        match tree.bytes_named_in(namer, &object.file) {
            Ok(bytes) => bytes.to_vec(),
            Err(cause) => {
                let message = format!("{what} {key}: {cause}");
                found.push(Diagnostic::error(object.place.clone(), message).hint(cause.hint()));
                Vec::new()
            }
        }
    }

    fn spec(&self, stack: &StackName) -> Value {
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
        Value::Object(body)
    }
}

/// The last variable of the name as the recipe writes it, the stack's and the domain's own apart. What it is called
/// follows no convention.
pub fn version_variable(object: &FileObject) -> Option<String> {
    let ours = |name: &String| matches!(name.as_str(), "STACK_NAME" | "DOMAIN");
    interpolate::variables(&object.name_template).into_iter().rfind(|name| !ours(name))
}
