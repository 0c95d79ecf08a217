//! A whole recipe read for one app: variables, compose files, secrets with the rules by which they are made.
//!
//! The border: the host has read all files into the tree before. The surprise: an operator's value counts already while
//! the sample is read, because later lines of a sample refer to earlier ones (`EXTRA=$DOMAIN`).

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use super::objects::version_variable;
use super::references::object_name;
use super::{Desired, SecretSource, from_files, from_files_as_far_as_it_goes};
use crate::model::app::StackName;
use crate::model::diagnostic::{Diagnostic, Diagnostics};
use crate::model::hex;
use crate::recipe::compose::model::FileObject;
use crate::recipe::compose::{self, NamedFiles, Source};
use crate::recipe::env::{self, Variable};
use crate::recipe::interpolate::Environment;
use crate::recipe::tree::{self, Tree, TreeError};
use crate::recipe::{EXPORTS, SAMPLE};

/// What a recipe is read with.
pub struct Reading<'a> {
    pub stack: &'a StackName,
    pub domain: Option<&'a str>,
    /// The operator's list of compose files, relative to the recipe or absolute. Without one it is `COMPOSE_FILE`, which
    /// names absolute ones only in the operator's own words.
    pub compose: Option<&'a [String]>,
    pub operator_env: &'a Environment,
    /// The text of the sample as it was at install: its defaults stay, whatever a later one says.
    pub frozen_sample: Option<&'a str>,
    /// Values that nobody overrides.
    pub forced: &'a Environment,
    pub tree: &'a Tree,
}

/// The variables that the compose files see. Later wins: sample, frozen sample, operator, exports of `abra.sh`, ours.
///
/// # Errors
/// A sample or `abra.sh` that is there and cannot be read.
pub fn environment(reading: &Reading) -> Result<Environment, Diagnostics> {
    let fixed = fixed(reading)?;
    let sample = optional_text(reading.tree, SAMPLE)?;
    let frozen = reading.frozen_sample.filter(|frozen| *frozen != sample).unwrap_or_default();
    let under = |text: &str| env::parse_under(&SAMPLE.into(), text, &|name| fixed.get(name).cloned());
    let (sample, frozen) = (under(sample)?, under(frozen)?);
    let mut environment = Environment::new();
    for variable in sample.iter().chain(&frozen) {
        environment.insert(variable.name.clone(), variable.value.clone());
    }
    environment.extend(fixed);
    Ok(environment)
}

/// The text whose defaults are frozen at an install.
pub fn sample(tree: &Tree) -> &str {
    optional_text(tree, SAMPLE).unwrap_or_default()
}

/// All that beats the sample as it is in the tree.
fn fixed(reading: &Reading) -> Result<Environment, Diagnostics> {
    let mut fixed = reading.operator_env.clone();
    fixed.extend(env::exports(optional_text(reading.tree, EXPORTS)?));
    fixed.extend(own_variables(reading));
    fixed.extend(reading.forced.clone());
    Ok(fixed)
}

/// What we say of the app ourselves.
fn own_variables(reading: &Reading) -> impl Iterator<Item = (String, String)> {
    let stack = ("STACK_NAME".to_owned(), reading.stack.to_string());
    std::iter::once(stack).chain(reading.domain.map(|domain| ("DOMAIN".to_owned(), domain.to_owned())))
}

fn optional_text<'a>(tree: &'a Tree, path: &str) -> Result<&'a str, Diagnostics> {
    match tree.text(path) {
        Ok(text) => Ok(text),
        Err(TreeError::Missing(_)) => Ok(""),
        Err(cause) => Err(Diagnostics(vec![Diagnostic::error(None, cause.to_string()).hint(cause.hint())])),
    }
}

/// What the recipe is to be under these variables. Secrets whose version variable the sample knows are to be made by
/// its rule; other external ones must exist. Where the findings have errors, the bodies are of use for finding more of
/// them, and for nothing else.
///
/// # Errors
/// Everything that is wrong in the files, with places, where no bodies can be made of them.
pub fn read_as_far_as_it_goes(
    reading: &Reading,
    environment: &Environment,
) -> Result<(Desired, Diagnostics), Diagnostics> {
    let sources = sources(reading, environment)?;
    let (mut desired, found) = from_files_as_far_as_it_goes(&sources, environment, reading.stack, reading.tree, None);
    let sample = optional_text(reading.tree, SAMPLE)?;
    let rules = env::parse_under(&SAMPLE.into(), sample, &|name| environment.get(name).cloned())?;
    give_rules(&mut desired, &rules);
    Ok((desired, found))
}

/// What a plain `docker stack deploy` of a recipe's folder would send: relative bind sources start there.
///
/// # Errors
/// Everything that is wrong in the files, with places.
pub fn read_plain(
    reading: &Reading,
    environment: &Environment,
    folder: &str,
) -> Result<(Desired, Diagnostics), Diagnostics> {
    let sources = sources(reading, environment)?;
    let below = sources.first().map_or("", |first| tree::folder_of(&first.file));
    let folder = if below.is_empty() { folder.to_owned() } else { format!("{folder}/{below}") };
    from_files(&sources, environment, reading.stack, reading.tree, Some(&folder))
}

/// A secret of the recipe under these variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretName {
    /// The Swarm object's name.
    pub name: String,
    /// The variable that holds its version, found in the raw `name:` template.
    pub version_variable: Option<String>,
}

/// Every secret of the recipe by its name there, also one whose version is not known yet.
///
/// # Errors
/// Everything that keeps the compose files from being read.
pub fn secret_names(reading: &Reading, environment: &Environment) -> Result<BTreeMap<String, SecretName>, Diagnostics> {
    let loaded = compose::load(&sources(reading, environment)?, environment, reading.tree)?;
    let named = |(key, object): (&String, &FileObject)| {
        let name = object_name(key, object, reading.stack);
        (key.clone(), SecretName { name, version_variable: version_variable(object) })
    };
    Ok(loaded.project.secrets.iter().map(named).collect())
}

fn give_rules(desired: &mut Desired, sample: &[Variable]) {
    let sample: BTreeMap<&str, &Variable> = sample.iter().map(|variable| (&*variable.name, variable)).collect();
    for secret in desired.secrets.iter_mut().filter(|secret| secret.source == SecretSource::External) {
        let Some(name) = &secret.version_variable else { continue };
        if let Some(variable) = sample.get(&**name) {
            secret.source = SecretSource::Generated(variable.rule.clone().unwrap_or_default());
        }
    }
}

/// The compose files to read, and who says so.
struct Listed {
    files: Vec<String>,
    by_operator: bool,
}

/// The operator's list, or that of `COMPOSE_FILE`, or `compose.yml` alone.
fn listed(reading: &Reading, environment: &Environment) -> Listed {
    if let Some(files) = reading.compose {
        return Listed { files: files.to_vec(), by_operator: true };
    }
    let list = environment.get(COMPOSE_FILE);
    let files = list.map(|list| split(list)).unwrap_or_default();
    if files.is_empty() {
        return Listed { files: vec!["compose.yml".to_owned()], by_operator: false };
    }
    Listed { files, by_operator: list == reading.operator_env.get(COMPOSE_FILE) }
}

const COMPOSE_FILE: &str = "COMPOSE_FILE";

fn split(list: &str) -> Vec<String> {
    list.split(':').filter(|file| !file.is_empty()).map(str::to_owned).collect()
}

/// The operator's compose files outside the recipe, by absolute path: they have to be in the tree before anything is
/// read.
pub fn overlays(compose: Option<&[String]>, operator_env: &Environment) -> Vec<String> {
    let from_variable = || operator_env.get(COMPOSE_FILE).map(|list| split(list)).unwrap_or_default();
    let files = compose.map_or_else(from_variable, <[String]>::to_vec);
    files.into_iter().filter(|file| tree::is_absolute(file)).collect()
}

/// The host's files that the operator's overlays name: they have to be in the tree, too. His variables count and those
/// that are ours, and nobody else's: no recipe says which file of the host is read.
pub fn files_of_overlays(reading: &Reading) -> NamedFiles {
    let mut environment = reading.operator_env.clone();
    environment.extend(own_variables(reading));
    let mut files = NamedFiles::default();
    for overlay in overlay_sources(reading) {
        let named = compose::named_files(&overlay, &environment);
        files.env_files.extend(named.env_files.into_iter().filter(|file| tree::is_absolute(file)));
        files.objects.extend(named.objects.into_iter().filter(|file| tree::is_absolute(file)));
    }
    files
}

/// By path, so that another content is noticed.
pub fn digests_of_overlays(reading: &Reading) -> BTreeMap<String, String> {
    let digest = |source: Source| (source.file.to_string(), hex(&Sha256::digest(source.text)));
    overlay_sources(reading).into_iter().map(digest).collect()
}

fn overlay_sources(reading: &Reading) -> Vec<Source> {
    let overlays = overlays(reading.compose, reading.operator_env);
    let texts = overlays.iter().filter_map(|file| Some((file, reading.tree.text_for_operator(file).ok()?)));
    texts.map(|(file, text)| Source { file: file.as_str().into(), text: text.to_owned() }).collect()
}

fn sources(reading: &Reading, environment: &Environment) -> Result<Vec<Source>, Diagnostics> {
    let Listed { files, by_operator } = listed(reading, environment);
    let mut found = Diagnostics::default();
    let mut sources = Vec::new();
    let mut seen = BTreeSet::new();
    for file in files {
        let text = if by_operator { reading.tree.text_for_operator(&file) } else { reading.tree.text(&file) };
        match text {
            Ok(_) if !seen.insert(tree::normal(&file)) => {
                let message = format!("compose file: {file} is listed twice");
                found.push(Diagnostic::error(None, message).hint("a merge would double its lists; name it once"));
            }
            Ok(text) => sources.push(Source { file: file.as_str().into(), text: text.to_owned() }),
            Err(cause) => {
                found.push(Diagnostic::error(None, format!("compose file: {cause}")).hint(cause.hint()));
            }
        }
    }
    if found.has_errors() { Err(found) } else { Ok(sources) }
}

#[cfg(test)]
mod tests;
