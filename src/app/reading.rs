//! An app as it is to be: its recipe at a commit, the operator's values, files and secrets.
//!
//! A recipe names a secret's version in its env (`SECRET_DB_PASSWORD_VERSION=v1`). Where the operator gives the bytes,
//! that version follows the content, so the recipe is read twice: once to learn which variable names which secret,
//! once with the versions that the contents ask for.

mod files;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::certificate::Certificate;
use crate::config::{self, MEND_FILE};
use crate::desired::{self, Additions, Desired, LARGEST_SECRET, Reading, SecretSource};
use crate::host::recipes::{operator_bytes, operator_file, operator_text, recipe_name};
use crate::model::app::Domain;
use crate::model::diagnostic::{Diagnostic, Diagnostics};
use crate::model::secret::{Hidden, HostKey, SecretBytes, version_of_given};
use crate::model::state::{Frozen, SecretVersion};
use crate::model::version::{Revision, Wanted};
use crate::recipe::compose::NamedFiles;
use crate::recipe::interpolate::Environment;
use crate::recipe::{Entry, Tree, env};
use crate::reconcile::Reconciler;

/// The declared release of an app.
#[derive(Debug)]
pub struct Read {
    pub desired: Desired,
    /// Equal keys are equal releases.
    pub key: String,
    /// What becomes fixed with it.
    pub frozen: Frozen,
    pub warnings: Diagnostics,
}

/// What the kind of an app gives to its recipe.
#[derive(Debug, Clone, Default)]
pub struct OfKind {
    pub secrets: Vec<(String, PathBuf)>,
    pub variables: Vec<(String, String)>,
}

impl OfKind {
    pub fn new(reconciler: &dyn Reconciler) -> Self {
        Self { secrets: reconciler.secrets(), variables: reconciler.variables() }
    }
}

/// What the operator's files hold.
pub struct Given {
    pub env: Environment,
    pub secrets: BTreeMap<String, SecretBytes>,
    /// Compose files outside the recipe and the files that they name, by absolute path.
    pub files: BTreeMap<String, Entry>,
}

impl Given {
    /// Reads every file that the app's table and its kind name. So it does with those that his
    /// compose files name in their turn.
    ///
    /// # Errors
    /// All files that cannot be read, in one sentence each.
    pub fn gather(app: &config::App, of_kind: OfKind) -> Result<Self, Vec<String>> {
        let mut wrong = Vec::new();
        let env = of_kind.variables.into_iter().chain(app.env.clone()).collect();
        let mut given = Self { env, secrets: BTreeMap::new(), files: BTreeMap::new() };
        for path in &app.env_files {
            match env_file(path, &given.env) {
                Ok(values) => given.env.extend(values),
                Err(error) => wrong.push(error),
            }
        }
        given.env.extend(app.env.clone());
        let declared = app.secrets.iter().map(|(key, path)| (key.clone(), path.clone()));
        for (key, path) in declared.chain(of_kind.secrets) {
            match secret(&key, &path) {
                Ok(bytes) => drop(given.secrets.insert(key, bytes)),
                Err(error) => wrong.push(error),
            }
        }
        let overlays = desired::overlays(app.compose.as_deref(), &given.env);
        wrong.extend(given.take("compose file", overlays));
        let named = named_by_overlays(app, &given.env, &given.files);
        let files: BTreeSet<String> = named.env_files.into_iter().chain(named.objects).collect();
        wrong.extend(given.take("a compose file of yours names a file", files));
        if wrong.is_empty() { Ok(given) } else { Err(wrong) }
    }

    /// Reads these files; returns what is wrong with them.
    fn take(&mut self, what: &str, paths: impl IntoIterator<Item = String>) -> Vec<String> {
        let mut wrong = Vec::new();
        for path in paths {
            match operator_file(Path::new(&path)) {
                Ok((name, entry)) => drop(self.files.insert(name, entry)),
                Err(error) => wrong.push(format!("{what} that cannot be had: {error:#}; {MEND_FILE}")),
            }
        }
        wrong
    }
}

/// The files of this host that the operator's compose files name.
fn named_by_overlays(app: &config::App, env: &Environment, files: &BTreeMap<String, Entry>) -> NamedFiles {
    desired::files_of_overlays(&Reading {
        stack: &app.stack,
        domain: Some(app.domain.as_str()),
        compose: app.compose.as_deref(),
        operator_env: env,
        frozen_sample: None,
        forced: &Environment::new(),
        tree: &Tree { entries: files.clone() },
    })
}

/// The Engine's bounds are told while the file's path is known.
fn secret(key: &str, path: &Path) -> Result<SecretBytes, String> {
    let bytes = operator_bytes(path)
        .map_err(|error| format!("secret {key}: its file {} cannot be read: {error}; {MEND_FILE}", path.display()))?;
    match bytes.len() {
        0 => Err(format!("secret {key}: its file {} is empty; put the value into it", path.display())),
        size if size > LARGEST_SECRET => Err(format!(
            "secret {key}: its file {} has {size} bytes, and the Engine takes {LARGEST_SECRET} at most; keep large data \
             in a volume",
            path.display()
        )),
        _ => Ok(SecretBytes::new(bytes)),
    }
}

/// The operator's values can be named in the file, so the file is read with them in sight.
fn env_file(path: &Path, outer: &Environment) -> Result<Environment, String> {
    let text = operator_text(path)
        .map_err(|error| format!("env file {} cannot be read: {error}; {MEND_FILE}", path.display()))?;
    let name = path.display().to_string().into();
    let variables = env::parse(&name, &text, &|key| outer.get(key).cloned()).map_err(|wrong| wrong.to_string())?;
    Ok(variables.into_iter().map(|variable| (variable.name, variable.value)).collect())
}

/// The variables that the operator's files give; `None` if that cannot be told now.
pub fn variables_of_files(app: &config::App) -> Option<Hidden> {
    let mut given = Environment::new();
    let mut env = app.env.clone();
    for path in &app.env_files {
        let values = env_file(path, &env).ok()?;
        given.extend(values.clone());
        env.extend(values);
    }
    env.extend(app.env.clone());
    given.extend(variables_of_overlays(app, &env)?);
    let mut hidden = Hidden::new(given);
    // What the configuration says itself is no secret.
    app.env.values().for_each(|value| hidden.show(value));
    Some(hidden)
}

/// Those of the env files that the operator's compose files name.
fn variables_of_overlays(app: &config::App, env: &Environment) -> Option<Environment> {
    let mut overlays = BTreeMap::new();
    for path in desired::overlays(app.compose.as_deref(), env) {
        overlays.extend([operator_file(Path::new(&path)).ok()?]);
    }
    let mut variables = Environment::new();
    for path in named_by_overlays(app, env, &overlays).env_files {
        let text = operator_text(Path::new(&path)).ok()?;
        variables.extend(env::env_file(&path.as_str().into(), &text, &|_| None).ok()?);
    }
    Some(variables)
}

/// See [`Recorded::lives`].
pub type Lives<'a> = dyn Fn(&str, &SecretBytes) -> bool + 'a;

/// What the recorded state and the live Swarm say about what was chosen before.
pub struct Recorded<'a> {
    pub sample: Option<&'a str>,
    pub secret_versions: &'a BTreeMap<String, SecretVersion>,
    /// Whether a Swarm secret of that name exists that may hold these bytes, as far as anybody can know.
    pub lives: &'a Lives<'a>,
}

/// What an app's recipe is read with, beside the recipe.
pub struct Surroundings<'a> {
    pub app: &'a config::App,
    pub given: &'a Given,
    /// Whether a certificate is declared, which then serves every app; also where its files cannot be used now.
    pub certificate_declared: bool,
    /// The declared certificate, where it can be used.
    pub certificate: Option<&'a Certificate>,
    pub recorded: Recorded<'a>,
    pub host_key: &'a HostKey,
}

/// Reads the app's recipe with everything that the operator gives.
///
/// # Errors
/// Every diagnostic of the recipe, every given secret that the recipe does not have, every host that the declared
/// certificate does not cover.
pub fn read(tree: &Tree, revision: &Revision, around: &Surroundings) -> Result<Read, Diagnostics> {
    let mut tree = tree.clone();
    tree.entries.extend(around.given.files.clone());
    let forced = forced(around.certificate_declared);
    let reading = Reading {
        stack: &around.app.stack,
        domain: Some(around.app.domain.as_str()),
        compose: around.app.compose.as_deref(),
        operator_env: &around.given.env,
        frozen_sample: around.recorded.sample,
        forced: &forced,
        tree: &tree,
    };
    let mut env = desired::environment(&reading)?;
    let mut unknown = Diagnostics::default();
    let mut secret_versions = give_versions(&reading, &mut env, around, &mut unknown)?;
    let (mut desired, mut found) = desired::read_as_far_as_it_goes(&reading, &env)?;
    found.extend(unknown);
    name_by_contents(&mut desired, around, &mut secret_versions, &mut found);
    let additions = Additions {
        recipe_name: recipe_name(&around.app.recipe.url),
        revision,
        chaos: is_chaos(around.app, revision),
        env: &env,
    };
    desired::add(&mut desired, &additions);
    if around.certificate_declared {
        found.extend(desired::refuse_acme(&desired));
        found.extend(desired::tell_passthrough(&desired));
    }
    found.extend(around.certificate.map(|certificate| uncovered(&desired, certificate)).unwrap_or_default());
    desired::longest_name_fault(&desired).into_iter().for_each(|fault| found.push(fault));
    if found.has_errors() {
        return Err(found);
    }
    found.extend(nobody_makes(&desired));
    let key = desired::digest(&desired, revision);
    let sample = around.recorded.sample.unwrap_or_else(|| desired::sample(&tree)).to_owned();
    let frozen = Frozen { sample, secret_versions, overlays: desired::digests_of_overlays(&reading) };
    Ok(Read { desired, key, frozen, warnings: found })
}

/// With a declared certificate no app may ask an authority for another one.
fn forced(certificate: bool) -> Environment {
    if certificate { [("LETS_ENCRYPT_ENV".to_owned(), String::new())].into() } else { Environment::new() }
}

/// A commit that was asked for by its id is no version, even where a tag names it. While another one is held, what runs
/// is what it was.
fn is_chaos(app: &config::App, revision: &Revision) -> bool {
    let by_id = matches!(&app.wanted, Wanted::Commit(hex) if revision.commit.as_str().starts_with(hex.as_str()));
    by_id || revision.version.is_none()
}

/// Puts the version of each given secret into the variable by which the recipe names it. Secrets that the recipe does
/// not have go to `unknown`.
fn give_versions(
    reading: &Reading,
    env: &mut Environment,
    around: &Surroundings,
    unknown: &mut Diagnostics,
) -> Result<BTreeMap<String, SecretVersion>, Diagnostics> {
    if around.given.secrets.is_empty() {
        return Ok(BTreeMap::new());
    }
    let named = desired::secret_names(reading, env)?;
    let mut versions = BTreeMap::new();
    for (key, bytes) in &around.given.secrets {
        let Some(secret) = named.get(key) else {
            unknown.push(no_such_secret(key, named.keys()));
            continue;
        };
        let content = around.host_key.content_version(bytes.expose());
        let sample = secret.version_variable.as_ref().and_then(|variable| env.get(variable)).filter(|v| !v.is_empty());
        let lives = (around.recorded.lives)(&secret.name, bytes);
        let recorded = around.recorded.secret_versions.get(key);
        let version = version_of_given(recorded, &content, sample.map(String::as_str), lives);
        if let Some(variable) = &secret.version_variable {
            env.insert(variable.clone(), version.clone());
        }
        versions.insert(key.clone(), SecretVersion { version, content });
    }
    Ok(versions)
}

/// Gives secrets whose bytes come from a file the names and versions of their contents.
fn name_by_contents(
    desired: &mut Desired,
    around: &Surroundings,
    versions: &mut BTreeMap<String, SecretVersion>,
    found: &mut Diagnostics,
) {
    let checked = desired.secrets.iter().map(|secret| secret.name.clone()).collect();
    give_bytes(desired, around.given, versions);
    let of_files = files::follow_contents(desired, around);
    of_files.iter().filter_map(files::OfFile::told).for_each(|told| found.push(told));
    versions.extend(of_files.into_iter().map(|secret| (secret.recorded_as, secret.version)));
    found.extend(files::refuse_long_names(desired, &checked));
}

fn no_such_secret<'a>(key: &str, known: impl Iterator<Item = &'a String>) -> Diagnostic {
    let known: Vec<&str> = known.map(String::as_str).collect();
    let hint = if known.is_empty() { "it has none".to_owned() } else { format!("it has {}", known.join(", ")) };
    Diagnostic::error(None, format!("a file is given for secret {key}, which the recipe does not have")).hint(hint)
}

/// The operator's bytes beat every other source. A secret whose name has no version gets one, so that new bytes are a
/// new object; and the stack's name before it, as everything that we make for a stack has.
fn give_bytes(desired: &mut Desired, given: &Given, versions: &BTreeMap<String, SecretVersion>) {
    let mut renamed = Vec::new();
    for secret in &mut desired.secrets {
        let (Some(bytes), Some(version)) = (given.secrets.get(&secret.key), versions.get(&secret.key)) else {
            continue;
        };
        secret.source = SecretSource::Bytes(bytes.clone());
        if secret.version_variable.is_none() {
            let name = format!("{}_{}", files::of_stack(&desired.stack, &secret.name), version.version);
            renamed.push((std::mem::replace(&mut secret.name, name.clone()), name.clone()));
            secret.spec["Name"] = name.into();
        }
    }
    for (from, to) in renamed {
        desired::rename_secret(desired, &from, &to);
    }
}

/// Secrets that are neither given nor made: whether they are there only the Swarm knows.
fn nobody_makes(desired: &Desired) -> Diagnostics {
    let mut found = Diagnostics::default();
    for secret in &desired.secrets {
        let why = match (&secret.source, &secret.version_variable) {
            (SecretSource::External, Some(variable)) => format!(".env.sample does not set {variable}"),
            (SecretSource::External, None) => "the recipe says no version of it".to_owned(),
            (SecretSource::Generated(rule), _) if !rule.generate => "the recipe wants it given".to_owned(),
            _ => continue,
        };
        let key = &secret.key;
        let message = format!("secret {key} is not made here, because {why}; it has to be in the Swarm already");
        let hint = format!("or give it: secrets = {{ {key} = \"/path\" }}");
        found.push(Diagnostic::warning(secret.place.clone(), message).hint(hint));
    }
    found
}

/// A host outside the certificate would be served with a stranger's one, and every client would refuse it.
fn uncovered(desired: &Desired, certificate: &Certificate) -> Diagnostics {
    let mut found = Diagnostics::default();
    for (service, host) in desired::router_hosts(desired) {
        let covered = host.parse::<Domain>().is_ok_and(|domain| certificate.covers(&domain));
        if !covered {
            let message =
                format!("service {service} asks for the host {host}, which the declared certificate does not cover");
            let hint = format!("it covers {}; a wildcard covers one label", certificate.names.join(", "));
            found.push(Diagnostic::error(None, message).hint(hint));
        }
    }
    found
}

#[cfg(test)]
mod tests;
