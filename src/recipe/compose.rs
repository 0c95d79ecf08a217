//! The compose files of a recipe as one typed project, as `docker stack deploy` reads them.
//!
//! The border: no stack, no names of Swarm objects; that is [`crate::desired`]. The surprise: files of different
//! versions go together, each judged by its own, which the Docker CLI refuses.

mod deploy;
mod environment;
pub mod model;
mod mount;
mod named;
mod objects;
mod path;
mod room;
mod schema;
mod service;
mod shapes;
mod take;
mod unsound;
mod version;
mod warnings;

use std::collections::BTreeMap;

use crate::model::diagnostic::{Diagnostic, Diagnostics};
use crate::recipe::interpolate::{self, Environment};
use crate::recipe::merge;
use crate::recipe::tree::{self, Named, Tree};
use crate::recipe::yaml::{self, FileName, Node, Value};

use environment::Outside;
use room::Room;
use unsound::Unsound;
use version::Version;
use warnings::{File, Recipe};

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

/// What could be read of the files, and everything that is to be said about them.
#[derive(Debug, Clone)]
pub struct Surveyed {
    /// With errors found: good for telling what else is wrong, and for nothing else.
    pub project: Project,
    pub found: Diagnostics,
}

/// Reads the files in their order, later ones over earlier ones. Files named by `env_file:` come from the tree;
/// relative paths start in the folder of the first file.
///
/// # Errors
/// Everything that is wrong in any of the files, with its place; the warnings of the same files are among it.
pub fn load(sources: &[Source], environment: &Environment, tree: &Tree) -> Result<Loaded, Diagnostics> {
    let Surveyed { project, found } = survey(sources, environment, tree);
    if found.has_errors() { Err(found) } else { Ok(Loaded { project, warnings: found }) }
}

/// As [`load`], for who can tell more of files with errors: what is missing in the project by an error is made up, so
/// that nothing follows from it.
pub fn survey(sources: &[Source], environment: &Environment, tree: &Tree) -> Surveyed {
    let mut found = Diagnostics::default();
    let mut unsound = Unsound::default();
    let mut project: Option<Project> = None;
    let mut files: Vec<File> = Vec::new();
    let mut first: Option<Version> = None;
    let named = Named { tree, folder: sources.first().map_or("", |first| tree::folder_of(&first.file)) };
    let outside = Outside::new(environment, named);
    let mut room = Room::default();
    if let Err(too_many) = room::for_texts(sources) {
        found.push(too_many);
        return Surveyed { project: Project::default(), found };
    }
    for source in sources {
        let node = document(source, &mut found).filter(|node| room.takes(node, &mut found));
        let Some(node) = node else {
            unsound.whole = true;
            continue;
        };
        let version = Version::of(&node, &mut found);
        version.warn_of_another(*first.get_or_insert(version), &node, &mut found);
        warnings::of_documents(source, &mut found);
        let (file, next) = read(node, version, &outside, &mut room, &mut unsound, &mut found);
        match &mut project {
            None => project = Some(next),
            Some(project) => {
                warnings::of_merge(&files, project, &file, &next, &mut found);
                merge::merge(project, next);
            }
        }
        files.push(file);
    }
    let mut project = project.unwrap_or_default();
    let (has_errors, none) = (found.has_errors(), Project::default());
    let sound = if has_errors { &none } else { &project };
    warnings::of_recipe(&Recipe { project: sound, files: &files, environment, tree }, &mut found);
    if has_errors {
        unsound.fill_in(&mut project);
    }
    Surveyed { project, found: in_order(found, sources) }
}

/// By file and line; what has no place comes last.
pub fn in_order(found: Diagnostics, sources: &[Source]) -> Diagnostics {
    found.in_order(&sources.iter().map(|source| &*source.file).collect::<Vec<_>>())
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
    outside: &Outside,
    room: &mut Room,
    unsound: &mut Unsound,
    found: &mut Diagnostics,
) -> (File, Project) {
    refuse_forbidden(&raw, unsound, found);
    let mut node = raw.clone();
    let mut faults = Diagnostics::default();
    interpolate::document(&mut node, outside.variables, &mut faults);
    if !room.takes_replaced(&node, found) {
        node.value = Value::Map(Vec::new());
        unsound.whole = true;
    }
    unsound.take_out(&mut node, &faults);
    found.extend(faults);
    let mut unfit = Diagnostics::default();
    schema::sift(&mut node, shapes::FILE, version, unsound, &mut unfit);
    unfit.0.retain(|error| !unsound.has_taken_out(error));
    found.extend(unfit);
    let mut project = Project {
        services: services(&node, outside, found),
        networks: objects::networks(&node, version, found),
        volumes: objects::volumes(&node, version, found),
        secrets: objects::file_objects(&node, "secret", version, found),
        configs: objects::file_objects(&node, "config", version, found),
    };
    objects::keep_templates(&mut project, &raw);
    for object in project.secrets.values_mut().chain(project.configs.values_mut()) {
        object.file = tree::from_folder(outside.files.folder, &object.file);
    }
    let file = File { raw, node };
    warnings::of_file(&file, &project, outside.variables, found);
    (file, project)
}

fn services(node: &Node, outside: &Outside, found: &mut Diagnostics) -> BTreeMap<String, model::Service> {
    let home = outside.variables.get("HOME").map(String::as_str);
    let read = |entry: &(yaml::Key, Node)| {
        let (key, node) = entry;
        let path = format!("services.{}", key.text);
        let mut service = service::read(entry, &path, home, found);
        environment::resolve(&mut service, node, &path, outside, found);
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

fn refuse_forbidden(raw: &Node, unsound: &mut Unsound, found: &mut Diagnostics) {
    for (service, node) in take::entries(raw.get("services")) {
        for (key, _) in take::entries(Some(node)) {
            if let Some((_, hint)) = FORBIDDEN.iter().find(|(name, _)| *name == key.text) {
                let message = format!("services.{}.{} is not supported in a stack", service.text, key.text);
                found.push(Diagnostic::error(key.place.clone(), message).hint(*hint));
                unsound.add("services", &service.text);
            }
        }
    }
}

#[cfg(test)]
mod tests;
