//! What a stack is to be: an app's recipe at a version, with the operator's values, as bodies for the Engine API.
//!
//! The border: no Engine is asked. Objects refer to each other by *name* (networks, secrets, configs); whoever writes
//! puts the ids in. The surprise: what the recipes' own tool adds (every env variable in service `app`, the
//! `coop-cloud.` labels) is part of what is desired, because recipes rely on it.

mod additions;
mod app;
mod body;
mod endpoint;
mod marking;
mod mounts;
mod names;
mod objects;
mod posts;
mod references;
mod service;

use std::collections::BTreeSet;
use std::fmt;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::model::app::StackName;
use crate::model::diagnostic::{Diagnostic, Diagnostics, Place};
use crate::model::hex;
use crate::model::secret::{Rule, SecretBytes};
use crate::model::version::Revision;
use crate::recipe::Tree;
use crate::recipe::compose::{self, Project, Source, Surveyed};
use crate::recipe::interpolate::Environment;

pub use additions::{Additions, add, external_configs, refuse_acme, router_hosts, router_rules, tell_passthrough};
pub use app::{
    Reading, SecretName, digests_of_overlays, environment, files_of_overlays, overlays, read_as_far_as_it_goes,
    read_plain, sample, secret_names,
};
pub use body::NAMESPACE;
pub use marking::{mark, shared_data};
pub use names::longest_name_fault;
pub use objects::LARGEST_SECRET;
pub use posts::posts;

/// All objects of one stack. Lists are sorted by name.
#[derive(Debug, Clone, PartialEq)]
pub struct Desired {
    pub stack: StackName,
    pub networks: Vec<DesiredNetwork>,
    /// Networks of other owners that services join: must exist, with scope swarm.
    pub external_networks: Vec<String>,
    pub secrets: Vec<DesiredSecret>,
    pub configs: Vec<DesiredConfig>,
    pub services: Vec<DesiredService>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct DesiredNetwork {
    pub name: String,
    /// Body of `POST /networks/create`.
    pub body: Value,
}

#[derive(Debug, Clone, PartialEq)]
pub struct DesiredSecret {
    /// The name inside the recipe.
    pub key: String,
    /// The Swarm object's name.
    pub name: String,
    /// Body of `POST /secrets/create` without `Data`.
    pub spec: Value,
    pub source: SecretSource,
    /// Where the recipe declares it.
    pub place: Option<Place>,
    /// The env variable that holds its version, found in the raw `name:` template.
    pub version_variable: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum SecretSource {
    /// Exactly these bytes: the operator's file, or a file of the recipe.
    Bytes(SecretBytes),
    /// Made once, if it exists nowhere.
    Generated(Rule),
    /// Somebody else makes it; it must exist.
    External,
    /// A secret driver gives it at run time.
    Driver,
}

#[derive(Debug, Clone, PartialEq)]
pub struct DesiredConfig {
    /// The name inside the recipe.
    pub key: String,
    pub name: String,
    /// Body of `POST /configs/create` without `Data`.
    pub spec: Value,
    /// `None`: external, must exist.
    pub body: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq)]
pub struct DesiredService {
    /// `<stack>_<service>`.
    pub name: String,
    /// Body of `POST /services/create`: networks by name, `SecretName`/`ConfigName` without ids.
    pub spec: Value,
}

/// The name alone: an environment holds secret values.
impl fmt::Debug for DesiredService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DesiredService").field("name", &self.name).finish_non_exhaustive()
    }
}

/// As far as can be said of a project; with errors found nothing of it is to be sent.
fn convert(project: &Project, stack: &StackName, tree: &Tree, folder: Option<&str>) -> (Desired, Diagnostics) {
    let mut found = Diagnostics::default();
    let (networks, external_networks) = objects::networks(project, stack, &mut found);
    let secrets = objects::secrets(project, stack, tree, &mut found);
    let configs = objects::configs(project, stack, tree, &mut found);
    let mut services = Vec::new();
    for (name, service) in &project.services {
        let converted = service::convert(name, service, project, stack, folder, &mut found);
        refuse_service(name, &converted, service.place.as_ref(), &mut found);
        services.push(converted);
    }
    services.sort_by(|a, b| a.name.cmp(&b.name));
    (Desired { stack: stack.clone(), networks, external_networks, secrets, configs, services }, found)
}

/// What `docker stack deploy --resolve-image never` would make of the files, and what of it deserves a word.
///
/// `folder` is where relative bind sources start from; a recipe that is read from git has none.
///
/// # Errors
/// What is wrong with the files themselves, what cannot be sent, and names that the Engine would refuse: all at once, in
/// the order of the files.
pub fn from_files(
    sources: &[Source],
    environment: &Environment,
    stack: &StackName,
    tree: &Tree,
    folder: Option<&str>,
) -> Result<(Desired, Diagnostics), Diagnostics> {
    let (desired, mut found) = from_files_as_far_as_it_goes(sources, environment, stack, tree, folder);
    longest_name_fault(&desired).into_iter().for_each(|fault| found.push(fault));
    if found.has_errors() { Err(found) } else { Ok((desired, found)) }
}

/// As [`from_files`], with whatever can be said of files that have errors. Nothing of that is to be sent.
fn from_files_as_far_as_it_goes(
    sources: &[Source],
    environment: &Environment,
    stack: &StackName,
    tree: &Tree,
    folder: Option<&str>,
) -> (Desired, Diagnostics) {
    let Surveyed { project, mut found } = compose::survey(sources, environment, tree);
    let (desired, faults) = convert(&project, stack, tree, folder);
    found.extend(faults);
    (desired, compose::in_order(found, sources))
}

/// Whether the Engine takes a name for a service or network.
pub fn is_dns_name(name: &str) -> bool {
    names::dns_name_fault(name).is_none()
}

/// Whether the Engine takes a name for a secret or config.
pub fn is_object_name(name: &str) -> bool {
    names::object_name_fault(name).is_none()
}

/// What keeps the Engine from taking a name for a secret or config.
pub fn object_name_fault(what: &str, key: &str, name: &str) -> Option<Diagnostic> {
    Some(names::object_name_fault(name)?.told(what, key, name, None))
}

fn refuse_service(key: &str, service: &DesiredService, place: Option<&Place>, found: &mut Diagnostics) {
    // A key that no compose file may have was told with the file.
    if names::is_compose_key(key)
        && let Some(fault) = names::dns_name_fault(&service.name)
    {
        found.push(fault.told("service", key, &service.name, place.cloned()));
    }
    names::refuse_body("service", key, &service.spec, place, found);
}

/// The named volumes that the services mount.
pub fn volumes(desired: &Desired) -> BTreeSet<String> {
    let mounts = desired
        .services
        .iter()
        .flat_map(|service| service.spec["TaskTemplate"]["ContainerSpec"]["Mounts"].as_array().into_iter().flatten());
    mounts
        .filter(|mount| mount["Type"] == "volume")
        .filter_map(|mount| mount["Source"].as_str())
        .map(str::to_owned)
        .collect()
}

/// The volumes that the services mount and that the stack does not make: external ones have no label of its own.
pub fn foreign_volumes(desired: &Desired) -> BTreeSet<String> {
    let own = |mount: &&Value| mount["VolumeOptions"]["Labels"][NAMESPACE] == desired.stack.as_str();
    let named =
        |mount: &&Value| mount["Type"] == "volume" && mount["Source"].as_str().is_some_and(|name| !name.is_empty());
    let mounts = desired
        .services
        .iter()
        .flat_map(|service| service.spec["TaskTemplate"]["ContainerSpec"]["Mounts"].as_array().into_iter().flatten());
    let foreign = mounts.filter(named).filter(|mount| !own(mount));
    foreign.filter_map(|mount| mount["Source"].as_str()).map(str::to_owned).collect()
}

/// Gives a secret's new name to every service that mounts it.
pub fn rename_secret(desired: &mut Desired, from: &str, to: &str) {
    for service in &mut desired.services {
        let mounted = service.spec.pointer_mut("/TaskTemplate/ContainerSpec/Secrets").and_then(Value::as_array_mut);
        for reference in mounted.into_iter().flatten().filter(|reference| reference["SecretName"] == from) {
            reference["SecretName"] = json!(to);
        }
    }
}

/// The key of a release: SHA-256 over all that is desired at a revision. Contents of secrets count through their names
/// alone, so that the key can be written down.
pub fn digest(desired: &Desired, revision: &Revision) -> String {
    let config = |config: &DesiredConfig| {
        let body = config.body.as_ref().map(|body| hex(&Sha256::digest(body)));
        json!([config.name, config.spec, body])
    };
    let whole = json!({
        "stack": desired.stack.as_str(),
        "revision": revision,
        "networks": desired.networks.iter().map(|network| json!([network.name, network.body])).collect::<Vec<_>>(),
        "external_networks": desired.external_networks,
        "secrets": desired.secrets.iter().map(|secret| json!([secret.name, secret.spec])).collect::<Vec<_>>(),
        "configs": desired.configs.iter().map(config).collect::<Vec<_>>(),
        "services": desired.services.iter().map(|service| json!([service.name, service.spec])).collect::<Vec<_>>(),
    });
    hex(&Sha256::digest(canonical(whole).to_string()))
}

/// The same value with the keys of every object sorted.
fn canonical(mut value: Value) -> Value {
    value.sort_all_objects();
    value
}

#[cfg(test)]
mod all_at_once;
#[cfg(test)]
mod tests;
