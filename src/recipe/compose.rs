//! The compose files of a recipe as one typed project, as `docker stack deploy` reads them.
//!
//! The border: no stack, no names of Swarm objects; that is [`crate::desired`]. The surprise: every 3.x file may use the
//! keys of the newest schema, and files of different versions go together, which the Docker CLI refuses.

mod deploy;
mod environment;
pub mod model;
mod mount;
mod named;
mod objects;
mod schema;
mod service;
mod shapes;
mod take;
mod warnings;

use crate::model::diagnostic::{Diagnostic, Diagnostics};
use crate::recipe::interpolate::{self, Environment};
use crate::recipe::merge;
use crate::recipe::tree::{self, Named, Tree};
use crate::recipe::yaml::{self, FileName, Node, Value};

pub use model::Project;
pub use named::{NamedFiles, named_files};

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

/// Reads the files in their order, later ones over earlier ones. Files named by `env_file:` come from the tree;
/// relative paths start in the folder of the first file.
///
/// # Errors
/// Everything that is wrong in any of the files, with its place; the warnings of the same files are among it.
pub fn load(sources: &[Source], environment: &Environment, tree: &Tree) -> Result<Loaded, Diagnostics> {
    let mut found = Diagnostics::default();
    let mut project: Option<Project> = None;
    let mut versions: Vec<String> = Vec::new();
    let files = Named { tree, folder: sources.first().map_or("", |first| tree::folder_of(&first.file)) };
    for source in sources {
        let Some(node) = document(source, &mut found) else { continue };
        warn_of_version(&node, &mut versions, &mut found);
        let next = read(node, environment, files, &mut found);
        match &mut project {
            None => project = Some(next),
            Some(project) => merge::merge(project, next, &mut found),
        }
    }
    if found.has_errors() {
        return Err(found);
    }
    let project = project.unwrap_or_default();
    warnings::of_unused(&project, &mut found);
    Ok(Loaded { project, warnings: found })
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
fn read(raw: Node, environment: &Environment, files: Named, found: &mut Diagnostics) -> Project {
    refuse_forbidden(&raw, found);
    let mut node = raw.clone();
    interpolate::document(&mut node, environment, found);
    let mut shape_faults = Diagnostics::default();
    schema::check(&node, &shapes::FILE, "", &mut shape_faults);
    refuse_version(&node, &mut shape_faults);
    let well_formed = !shape_faults.has_errors();
    found.extend(shape_faults);
    if !well_formed {
        return Project::default();
    }
    warnings::of_file(&node, found);
    let mut project = Project {
        services: services(&node, environment, files, found),
        networks: objects::networks(&node, found),
        volumes: objects::volumes(&node, found),
        secrets: objects::file_objects(&node, "secret", found),
        configs: objects::file_objects(&node, "config", found),
    };
    objects::keep_templates(&mut project, &raw);
    for object in project.secrets.values_mut().chain(project.configs.values_mut()) {
        object.file = tree::from_folder(files.folder, &object.file);
    }
    project
}

fn services(
    node: &Node,
    environment: &Environment,
    files: Named,
    found: &mut Diagnostics,
) -> std::collections::BTreeMap<String, model::Service> {
    let home = environment.get("HOME").map(String::as_str);
    let read = |(key, node): &(yaml::Key, Node)| {
        let path = format!("services.{}", key.text);
        let mut service = service::read(node, &path, home, found);
        service.place = Some(key.place.clone());
        environment::resolve(&mut service, node, environment, files, found);
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

fn refuse_version(node: &Node, found: &mut Diagnostics) {
    let Some(version) = node.get("version") else { return };
    let Some(text) = version.as_str() else { return };
    let minor = text.strip_prefix("3.").map(|minor| (0..=13).any(|known: u8| known.to_string() == minor));
    if !(text.is_empty() || text == "3" || minor == Some(true)) {
        let message = format!("unsupported Compose file version: {text}");
        found.push(Diagnostic::error(version.place.clone(), message).hint("leave it out, or say \"3.8\""));
    }
}

fn warn_of_version(node: &Node, versions: &mut Vec<String>, found: &mut Diagnostics) {
    let version = node.get("version").and_then(Node::as_str).filter(|text| !text.is_empty() && *text != "3");
    let version = version.unwrap_or("3.13").to_owned();
    if let Some(first) = versions.first().filter(|first| **first != version) {
        let message =
            format!("this file is of version {version}, the first one of {first}; docker stack deploy refuses that");
        let place = node.get("version").unwrap_or(node).place.clone();
        found.push(Diagnostic::warning(place, message));
    }
    versions.push(version);
}

#[cfg(test)]
mod tests;
