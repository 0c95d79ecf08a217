//! One app's table: the same keys for every kind, and the few that only the proxy or Drone has.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::drone::{self, Drone};
use super::gate::{self, Gate};
use super::policy::{self, Policy};
use super::table::{Keys, Table, Value};
use crate::model::app::{AppName, Domain, Kind, StackName};
use crate::model::diagnostic::Place;
use crate::model::version::Wanted;

macro_rules! app_keys {
    ($($own:literal),*) => {
        &["recipe", "domain", "version", "compose", "env", "env_files", "secrets", "resolve", "policy", "gate",
          "snapshot", $($own),*]
    };
}
const APP_KEYS: Keys = app_keys!();
const PROXY_KEYS: Keys = app_keys!("address", "certificate");
const DRONE_KEYS: Keys = app_keys!("engine", "gitea", "builds", "rpc");

const RECIPE_KEYS: Keys = &["url", "credentials"];
const SNAPSHOT_KEYS: Keys = &["exclude", "external", "unclean"];

/// One declared app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct App {
    pub name: AppName,
    pub kind: Kind,
    /// Where its table begins.
    pub place: Place,
    pub domain: Domain,
    pub stack: StackName,
    pub recipe: RecipeSource,
    pub wanted: Wanted,
    /// Compose files in their order, relative to the recipe or absolute; `None`: as `COMPOSE_FILE` says.
    pub compose: Option<Vec<String>>,
    pub env: BTreeMap<String, String>,
    pub env_files: Vec<PathBuf>,
    /// Recipe secret name -> the operator's file.
    pub secrets: BTreeMap<String, PathBuf>,
    pub resolve: Resolve,
    pub policy: Policy,
    pub gate: Gate,
    pub snapshot: SnapshotRules,
    pub special: Special,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipeSource {
    /// What git is given; holds no credentials.
    pub url: String,
    /// A file with one line `user:token`.
    pub credentials: Option<PathBuf>,
}

/// When an image's tag is looked up again in the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Resolve {
    #[default]
    Changed,
    Always,
    Never,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SnapshotRules {
    /// Volumes that are left out.
    pub exclude: Vec<String>,
    /// Volumes that somebody else keeps.
    pub external: Vec<String>,
    /// `unclean = "allow"`: a container that had to be killed does not stop a snapshot.
    pub unclean_allowed: bool,
}

impl SnapshotRules {
    /// Volumes and paths whose data is not stored, whoever keeps it.
    pub fn left_out(&self) -> Vec<String> {
        self.exclude.iter().chain(&self.external).cloned().collect()
    }
}

/// What only one kind of app has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Special {
    None,
    Drone(Drone),
}

/// The keys that an app's table of this kind may have.
fn keys(kind: Kind) -> Keys {
    match kind {
        Kind::Proxy => PROXY_KEYS,
        Kind::Drone => DRONE_KEYS,
        Kind::WarmKeycloak | Kind::Canonical | Kind::App => APP_KEYS,
    }
}

/// The domain of an app that declares none.
fn default_domain(kind: Kind, name: &str, base: &Domain) -> String {
    match kind {
        Kind::Proxy => format!("traefik.{base}"),
        Kind::Canonical => format!("warm-{name}.{base}"),
        Kind::Drone | Kind::WarmKeycloak | Kind::App => format!("{name}.{base}"),
    }
}

/// Reads an app's table. `None` if what every app needs is missing or wrong; all of it has been noted then. `at` is told
/// of its domain in any case.
pub(super) fn read(
    kind: Kind,
    name: Option<AppName>,
    value: &Value<'_>,
    base: Option<&Domain>,
    at: impl FnOnce(&Domain),
) -> Option<App> {
    let table = value.table(keys(kind))?;
    let recipe = table.require("recipe", "such as { url = \"https://…/wiki.git\" }").and_then(|v| recipe(&v));
    let domain = domain(kind, name.as_ref(), &table, base);
    let stack = domain.as_ref().and_then(|domain| stack(domain, &table.get("domain").unwrap_or(value.clone())));
    domain.as_ref().map(at);
    if let (Kind::Canonical, Some(name), Some(base), Some(_)) = (kind, &name, base, &stack) {
        refuse_long_throw_away(name, base, value);
    }
    let special = special(kind, &table);
    let rest = App {
        kind,
        place: table.place.clone(),
        wanted: table.get("version").and_then(|v| wanted(&v)).unwrap_or(Wanted::Latest),
        compose: table.get("compose").and_then(|v| compose(&v)),
        env: table.get("env").and_then(|v| v.open_table()).map(|t| env(&t)).unwrap_or_default(),
        env_files: paths(&table, "env_files"),
        secrets: table.get("secrets").and_then(|v| v.open_table()).map(|t| secrets(&t)).unwrap_or_default(),
        resolve: table.get("resolve").and_then(|v| resolve(&v)).unwrap_or_default(),
        policy: table.get("policy").and_then(|v| policy::read(&v)).unwrap_or_default(),
        gate: table.get("gate").and_then(|v| gate::read(&v)).unwrap_or_default(),
        snapshot: table.get("snapshot").and_then(|v| snapshot(&v)).unwrap_or_default(),
        special: special?,
        recipe: recipe?,
        name: name?,
        domain: domain?,
        stack: stack?,
    };
    tell_contradiction(&rest, &table);
    Some(rest)
}

/// Such a pin is held for ever, which nobody means.
fn tell_contradiction(app: &App, table: &Table<'_>) {
    if let (Wanted::Version(pinned), Some(value)) = (&app.wanted, table.get("version"))
        && app.policy.never.contains(pinned)
    {
        value.warning("`policy.never` names it, too, so it is not taken", "take it out of one of the two");
    }
}

fn domain(kind: Kind, name: Option<&AppName>, table: &Table<'_>, base: Option<&Domain>) -> Option<Domain> {
    match table.get("domain") {
        Some(value) => value.parsed("such as \"wiki.example.org\""),
        None => default_domain(kind, name?.as_str(), base?).parse().ok(),
    }
}

fn stack(domain: &Domain, value: &Value<'_>) -> Option<StackName> {
    match domain.stack() {
        Ok(stack) => Some(stack),
        Err(error) => {
            value.error(format!("{domain} gives no stack: {error}"), "choose a shorter domain");
            None
        }
    }
}

/// A sweep tries a canonical's versions at a domain of their own, whatever `domain` says.
fn refuse_long_throw_away(name: &AppName, base: &Domain, value: &Value<'_>) {
    let stack = Domain::throw_away(name, [0; 3], base).and_then(|domain| domain.stack());
    if let Err(error) = stack {
        let message = format!("a sweep has no stack to try its versions in: {error}");
        value.at_key().error(message, "choose a shorter base_domain");
    }
}

fn wanted(value: &Value<'_>) -> Option<Wanted> {
    value.parsed("\"latest\", a tag such as \"2.4.0+1.9.1\", or 7 digits or more of a commit's id")
}

fn resolve(value: &Value<'_>) -> Option<Resolve> {
    value.choice(&[("changed", Resolve::Changed), ("always", Resolve::Always), ("never", Resolve::Never)])
}

fn recipe(value: &Value<'_>) -> Option<RecipeSource> {
    let table = value.table(RECIPE_KEYS)?;
    let credentials = table.get("credentials").and_then(|v| v.secret_path());
    let url = table.require("url", "the recipe's git repository").and_then(|v| git_url(&v));
    Some(RecipeSource { url: url?, credentials })
}

/// A URL that git may be given: it names a transport that runs no program of its choice, and carries no password. The
/// value is not shown where it may hold one.
fn git_url(value: &Value<'_>) -> Option<String> {
    let url = value.text()?;
    if has_password(&url) {
        value.error("carries credentials", "put `user:token` into a file and name it as `credentials`");
        return None;
    }
    let schemes = ["https://", "http://", "ssh://", "git://", "file:///", "/"];
    let short_ssh = url.split_once(':').is_some_and(|(host, _)| host.contains('@') && !host.contains('/'));
    let clean = !url.starts_with('-') && !url.contains(|c: char| c.is_control() || c.is_whitespace());
    if clean && (short_ssh || schemes.iter().any(|scheme| url.starts_with(scheme))) {
        return Some(url);
    }
    value.error("is not the URL of a git repository", "such as \"https://git.example.org/recipes/wiki.git\"");
    None
}

/// Whether a web URL has anything in front of its host, or any other a password there.
fn has_password(url: &str) -> bool {
    let Some((scheme, rest)) = url.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let Some((user, _)) = authority.rsplit_once('@') else { return false };
    scheme.starts_with("http") || user.contains(':')
}

fn compose(value: &Value<'_>) -> Option<Vec<String>> {
    let files = value.texts()?;
    if files.is_empty() {
        value.error("names no file", "such as [\"compose.yml\"], or leave the key out");
    }
    Some(files)
}

fn env(table: &Table<'_>) -> BTreeMap<String, String> {
    let mut env = BTreeMap::new();
    for (name, value) in table.entries() {
        if !is_variable(&name) {
            value.error("is no name of an environment variable", "letters, digits and _, no digit first");
        }
        if matches!(name.as_str(), "DOMAIN" | "STACK_NAME") {
            value.warning("has no effect: it follows from the app's domain", "use the key `domain`");
        }
        if let Some(text) = value.env_value() {
            env.insert(name, text);
        }
    }
    env
}

fn is_variable(name: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !name.is_empty() && name.chars().all(legal) && !name.starts_with(|c: char| c.is_ascii_digit())
}

fn secrets(table: &Table<'_>) -> BTreeMap<String, PathBuf> {
    let mut secrets = BTreeMap::new();
    for (name, value) in table.entries() {
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if name.is_empty() || !name.chars().all(legal) {
            value.error("is no name of a recipe's secret", "letters, digits, _ - and .");
        }
        if let Some(path) = value.secret_path() {
            secrets.insert(name, path);
        }
    }
    secrets
}

fn paths(table: &Table<'_>, key: &str) -> Vec<PathBuf> {
    let files = table.get(key).and_then(|v| v.list()).unwrap_or_default();
    files.iter().filter_map(Value::path).collect()
}

fn snapshot(value: &Value<'_>) -> Option<SnapshotRules> {
    let table = value.table(SNAPSHOT_KEYS)?;
    Some(SnapshotRules {
        exclude: table.get("exclude").and_then(|v| v.texts()).unwrap_or_default(),
        external: table.get("external").and_then(|v| v.texts()).unwrap_or_default(),
        unclean_allowed: table.get("unclean").and_then(|v| v.choice(&[("allow", true)])).unwrap_or_default(),
    })
}

fn special(kind: Kind, table: &Table<'_>) -> Option<Special> {
    match kind {
        Kind::Drone => drone::read(table).map(Special::Drone),
        Kind::Proxy | Kind::WarmKeycloak | Kind::Canonical | Kind::App => Some(Special::None),
    }
}
