//! The compose files of a recipe as one typed project, as `docker stack deploy` reads them.
//!
//! The border: no stack, no names of Swarm objects; that is [`crate::desired`]. The surprise: files of different
//! versions go together, each judged by its own, which the Docker CLI refuses.

mod deploy;
mod environment;
pub mod model;
mod mount;
mod objects;
mod schema;
mod service;
mod shapes;
mod take;
mod version;
mod warnings;

use crate::model::diagnostic::{Diagnostic, Diagnostics};
use crate::recipe::interpolate::{self, Environment};
use crate::recipe::yaml::{self, FileName, Node, Value};
use crate::recipe::{Tree, merge};

pub use model::Project;
use version::Version;
use warnings::{File, Recipe};

/// A compose file: the name under which it is reported, and what it says.
#[derive(Debug, Clone)]
pub struct Source {
    pub file: FileName,
    pub text: String,
}

/// What the files say together, and what of it does not do what its author may expect.
#[derive(Debug, Clone)]
pub struct Loaded {
    pub project: Project,
    pub warnings: Diagnostics,
}

/// Reads the files in their order, later ones over earlier ones. Files named by `env_file:` come from the tree.
///
/// # Errors
/// Everything that is wrong in any of the files, with its place; the warnings of the same files are among it.
pub fn load(sources: &[Source], environment: &Environment, tree: &Tree) -> Result<Loaded, Diagnostics> {
    let mut found = Diagnostics::default();
    let mut project: Option<Project> = None;
    let mut files: Vec<File> = Vec::new();
    let mut first: Option<Version> = None;
    for source in sources {
        let Some(node) = document(source, &mut found) else { continue };
        let version = Version::of(&node, &mut found);
        version.warn_of_another(*first.get_or_insert(version), &node, &mut found);
        warnings::of_documents(source, &mut found);
        let (file, next) = read(node, version, environment, tree, &mut found);
        match &mut project {
            None => project = Some(next),
            Some(project) => {
                warnings::of_merge(&files, project, &file, &next, &mut found);
                merge::merge(project, next);
            }
        }
        files.push(file);
    }
    let project = project.filter(|_| !found.has_errors()).unwrap_or_default();
    warnings::of_recipe(&Recipe { project: &project, files: &files, environment, tree }, &mut found);
    let found = found.in_order(&sources.iter().map(|source| &*source.file).collect::<Vec<_>>());
    if found.has_errors() { Err(found) } else { Ok(Loaded { project, warnings: found }) }
}

fn document(source: &Source, found: &mut Diagnostics) -> Option<Node> {
    match yaml::parse(&source.file, &source.text) {
        Ok(node) if matches!(node.value, Value::Map(_)) => Some(node),
        Ok(node) => {
            found.push(Diagnostic::error(node.place, "a compose file is a mapping with the key services"));
            None
        }
        Err(errors) => {
            found.extend(errors);
            None
        }
    }
}

/// One file, as far as it can be read.
fn read(
    raw: Node,
    version: Version,
    environment: &Environment,
    tree: &Tree,
    found: &mut Diagnostics,
) -> (File, Project) {
    refuse_forbidden(&raw, found);
    let mut node = raw.clone();
    interpolate::document(&mut node, environment, found);
    let mut shape_faults = Diagnostics::default();
    schema::sift(&mut node, shapes::FILE, version, &mut shape_faults);
    let well_formed = !shape_faults.has_errors();
    found.extend(shape_faults);
    if !well_formed {
        return (File { raw, node }, Project::default());
    }
    let mut project = Project {
        services: services(&node, environment, tree, found),
        networks: objects::networks(&node, found),
        volumes: objects::volumes(&node, found),
        secrets: objects::file_objects(&node, "secret", found),
        configs: objects::file_objects(&node, "config", found),
    };
    objects::keep_templates(&mut project, &raw);
    let file = File { raw, node };
    warnings::of_file(&file, &project, environment, found);
    (file, project)
}

fn services(
    node: &Node,
    environment: &Environment,
    tree: &Tree,
    found: &mut Diagnostics,
) -> std::collections::BTreeMap<String, model::Service> {
    let home = environment.get("HOME").map(String::as_str);
    let read = |(key, node): &(yaml::Key, Node)| {
        let path = format!("services.{}", key.text);
        let mut service = service::read(node, &path, home, found);
        service.place = Some(key.place.clone());
        environment::resolve(&mut service, node, environment, tree, found);
        (key.text.clone(), service)
    };
    take::entries(node.get("services")).iter().map(read).collect()
}

/// Keys of older compose formats, and what replaces them.
const FORBIDDEN: &[(&str, &str)] = &[
    ("extends", "write the settings out, or use a YAML anchor"),
    ("volume_driver", "give the volume a driver under top-level volumes"),
    ("volumes_from", "name the volumes under top-level volumes and in each service that shares them"),
    ("cpu_quota", "use deploy.resources"),
    ("cpu_shares", "use deploy.resources"),
    ("cpuset", "use deploy.resources"),
    ("mem_limit", "use deploy.resources"),
    ("memswap_limit", "use deploy.resources"),
];

fn refuse_forbidden(raw: &Node, found: &mut Diagnostics) {
    for (service, node) in take::entries(raw.get("services")) {
        for (key, _) in take::entries(Some(node)) {
            if let Some((_, hint)) = FORBIDDEN.iter().find(|(name, _)| *name == key.text) {
                let message = format!("services.{}.{} is not supported in a stack", service.text, key.text);
                found.push(Diagnostic::error(key.place.clone(), message).hint(*hint));
            }
        }
    }
}

#[cfg(test)]
mod tests;
