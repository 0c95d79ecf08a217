//! Whether the builds go back with a version: they have to be on volumes of the recipe's own, which snapshots take.

use std::path::Path;

use serde_json::Value;

use super::carried::{environment, servers};
use crate::config;
use crate::desired::{Desired, DesiredService, NAMESPACE};
use crate::model::ci::{Ci, SQLITE};

/// A SQLite file has to be on a volume of the server itself, any other database on one of another service of the recipe.
///
/// # Errors
/// Why they would not go back, with the way out.
pub fn goes_back(desired: &Desired, ci: &'static Ci, app: &config::App) -> Result<(), String> {
    let volumes = match said(desired, ci, ci.database.driver_variable) {
        None | Some(SQLITE) => of_file(desired, ci)?,
        Some(driver) => of_others(desired, ci, driver)?,
    };
    volumes.into_iter().try_for_each(|volume| is_stored(volume, desired, app))
}

fn said<'d>(desired: &'d Desired, ci: &'static Ci, variable: &str) -> Option<&'d str> {
    let mut said =
        servers(desired, ci).flat_map(environment).filter(|(name, value)| *name == variable && !value.is_empty());
    said.next().map(|(_, value)| value)
}

/// The volumes that hold the SQLite file.
fn of_file<'d>(desired: &'d Desired, ci: &'static Ci) -> Result<Vec<&'d str>, String> {
    let folder = folder(said(desired, ci, ci.database.source_variable), ci);
    let volumes: Vec<&str> =
        servers(desired, ci).flat_map(|service| own_volumes(desired, service, Some(folder))).collect();
    if !volumes.is_empty() {
        return Ok(volumes);
    }
    Err(format!(
        "no service with {}'s variables mounts a volume of the recipe's own at {}, where it keeps its builds, so they could \
         not go back with a version: name the compose files that have it in `compose`, or keep the recipe as [app.NAME]",
        ci.name,
        folder.display()
    ))
}

/// The volumes of the services that are not the server. Which of them is its database is not looked at.
fn of_others<'d>(desired: &'d Desired, ci: &'static Ci, driver: &str) -> Result<Vec<&'d str>, String> {
    let servers: Vec<&str> = servers(desired, ci).map(|server| server.name.as_str()).collect();
    let others = desired.services.iter().filter(|service| !servers.contains(&service.name.as_str()));
    let volumes: Vec<&str> = others.flat_map(|service| own_volumes(desired, service, None)).collect();
    if !volumes.is_empty() {
        return Ok(volumes);
    }
    Err(format!(
        "{} keeps its builds in a database of another kind ({driver}), and no other service of the recipe has a volume for it, \
         so they could not go back with a version: keep the recipe as [app.NAME]",
        ci.name
    ))
}

/// Of the SQLite file; a path that is not whole starts nobody knows where.
fn folder<'a>(file: Option<&'a str>, ci: &Ci) -> &'a Path {
    let file = file.map(|file| Path::new(file.strip_prefix("file:").unwrap_or(file)));
    file.filter(|file| file.is_absolute()).and_then(Path::parent).unwrap_or(Path::new(ci.database.folder))
}

/// The volumes that a service has of the stack's own: all, or those at this folder or one above it.
fn own_volumes<'d>(desired: &Desired, service: &'d DesiredService, at: Option<&Path>) -> Vec<&'d str> {
    let mounts = service.spec["TaskTemplate"]["ContainerSpec"]["Mounts"].as_array().into_iter().flatten();
    let is_own = |mount: &&Value| mount["VolumeOptions"]["Labels"][NAMESPACE] == desired.stack.as_str();
    let holds = |mount: &&Value| {
        let target = mount["Target"].as_str().unwrap_or_default();
        at.is_none_or(|folder| folder.starts_with(target))
    };
    let own = mounts.filter(|mount| mount["Type"] == "volume").filter(is_own).filter(holds);
    own.filter_map(|mount| mount["Source"].as_str()).collect()
}

fn is_stored(volume: &str, desired: &Desired, app: &config::App) -> Result<(), String> {
    let own = format!("{}_", desired.stack);
    let short = volume.strip_prefix(&own).unwrap_or(volume);
    let left_out = [("exclude", &app.snapshot.exclude), ("external", &app.snapshot.external)];
    match left_out.iter().find(|(_, names)| names.iter().any(|name| name == volume || name == short)) {
        None => Ok(()),
        Some((key, _)) => Err(format!(
            "snapshot.{key} leaves out volume {short}, which has to go back with the version: take it out of the list"
        )),
    }
}
