//! The operator's configuration: one TOML text into [`Declared`], or everything that is wrong with it.
//!
//! Strict: a key nobody knows is an error, not a silence. The border: no file is read here, not even to see whether a
//! named one exists. The surprise: values are never repeated where a secret could stand by mistake (paths, URLs, values
//! of a wrong kind), so that the report may go to a log.

pub mod app;
pub mod drone;
pub mod duration;
pub mod gate;
pub mod policy;
pub mod shared;
mod table;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

pub use app::{App, RecipeSource, Resolve, SnapshotRules, Special};
pub use drone::{Builds, Drone, Gitea};
pub use gate::{CertificateDays, Gate, HttpCheck};
pub use policy::{Auto, Notes, Policy, Window};
pub use shared::{Alerts, CertificateFiles, Prune, SharedNetwork, Subnet, Webhook, WebhookFormat};
use table::{Keys, Reader, Table, Value};

use crate::model::app::{AppName, Domain, Kind};
use crate::model::diagnostic::{Diagnostics, Place};

pub const DEFAULT_STATE_DIR: &str = "/var/lib/ci-warm";

const KEYS: Keys = &[
    "base_domain",
    "state_dir",
    "engine",
    "network",
    "registry_auth",
    "max_tests",
    "alerts",
    "prune",
    "proxy",
    "drone",
    "warm_keycloak",
    "canonical",
    "app",
];

/// The way out where a file that the configuration names cannot be read.
pub const MEND_FILE: &str = "put it there, readable by who runs this, or name another in the configuration";

/// Names that the state directory or the command line gives another meaning.
const RESERVED: [&str; 21] = [
    "alerts",
    "all",
    "app",
    "apps",
    "canonical",
    "config",
    "drone",
    "failed",
    "history",
    "host",
    "locks",
    "metrics",
    "network",
    "proxy",
    "recipes",
    "secrets",
    "slot",
    "snapshots",
    "state",
    "sweep",
    "warm-keycloak",
];

/// What the operator declares for this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared {
    pub base_domain: Domain,
    pub state_dir: PathBuf,
    /// `unix:///…`; `None`: `DOCKER_HOST`, or Docker's own default.
    pub engine: Option<String>,
    pub network: SharedNetwork,
    /// Where gates dial, with the app's own name.
    pub proxy_address: IpAddr,
    pub certificate: Option<CertificateFiles>,
    /// A Docker `config.json` with the registries' logins.
    pub registry_auth: Option<PathBuf>,
    pub max_tests: u32,
    pub alerts: Alerts,
    pub prune: Prune,
    /// Proxy first, then Drone, Keycloak, canonicals and apps, each by name.
    pub apps: Vec<App>,
    /// What is worth telling though nothing is wrong.
    pub warnings: Diagnostics,
}

impl Declared {
    pub fn app(&self, name: &str) -> Option<&App> {
        self.apps.iter().find(|app| app.name.as_str() == name)
    }

    /// The apps of one kind, by name.
    pub fn of(&self, kind: Kind) -> impl Iterator<Item = &App> {
        self.apps.iter().filter(move |app| app.kind == kind)
    }
}

/// Reads a configuration; `file` is the name under which findings are reported.
///
/// # Errors
/// Everything that is wrong, and the warnings, in the order of the text.
pub fn parse(file: &str, text: &str) -> Result<Declared, Diagnostics> {
    let (reader, document) = Reader::new(file, text);
    let declared = {
        let root = reader.table(document.get_ref(), reader.place(0..0), "", KEYS);
        read(&root)
    };
    let findings = reader.finish();
    match declared {
        Some(declared) if !findings.has_errors() => Ok(Declared { warnings: findings, ..declared }),
        _ => Err(findings),
    }
}

fn read(root: &Table<'_>) -> Option<Declared> {
    let base = root.require("base_domain", "such as \"ci.example.org\"");
    let base = base.and_then(|v| v.parsed::<Domain>("such as \"ci.example.org\""));
    let proxy = root.get("proxy").and_then(|v| v.open_table());
    let of_proxy = |key: &str| proxy.as_ref().and_then(|table| table.get(key));
    let apps = apps(root, base.as_ref());
    let rest = Declared {
        state_dir: root.get("state_dir").and_then(|v| v.path()).unwrap_or_else(|| DEFAULT_STATE_DIR.into()),
        engine: root.get("engine").and_then(|v| shared::engine(&v)),
        network: root.get("network").and_then(|v| shared::network(&v)).unwrap_or_default(),
        proxy_address: of_proxy("address").and_then(|v| address(&v)).unwrap_or(Ipv4Addr::LOCALHOST.into()),
        certificate: of_proxy("certificate").and_then(|v| shared::certificate(&v)),
        registry_auth: root.get("registry_auth").and_then(|v| v.secret_path()),
        max_tests: max_tests(root),
        alerts: root.get("alerts").and_then(|v| shared::alerts(&v)).unwrap_or_default(),
        prune: root.get("prune").and_then(|v| shared::prune(&v)).unwrap_or_default(),
        apps,
        warnings: Diagnostics::default(),
        base_domain: base?,
    };
    Some(rest)
}

/// How many builds the runner does at once.
fn max_tests(root: &Table<'_>) -> u32 {
    let Some(value) = root.get("max_tests") else { return 1 };
    if root.get("drone").is_none() {
        let hint = "it is how many builds its runner does at once; declare [drone], or leave it out";
        value.at_key().warning("has no effect without [drone]", hint);
    }
    value.integer(1..=1000).unwrap_or(1)
}

fn address(value: &Value<'_>) -> Option<IpAddr> {
    value.parsed("such as \"127.0.0.1\"")
}

/// Every app's table of the document, singletons first.
fn apps(root: &Table<'_>, base: Option<&Domain>) -> Vec<App> {
    let mut seen = Seen::default();
    let mut apps = Vec::new();
    for (kind, name, value) in app_tables(root) {
        let name = if is_singleton(kind) { name.parse().ok() } else { app_name(&name, &value, &mut seen) };
        let at = |domain: &Domain| seen.note_domain(domain, &value);
        let Some(app) = app::read(kind, name, &value, base, at) else { continue };
        if root.get("proxy").is_none() && app.gate.asks_over_http() {
            let hint = "declare [proxy], or leave gate.http and gate.certificate out: Swarm's verdict counts then";
            value.at_key().error("its gate asks over HTTP, and without [proxy] nobody is asked", hint);
        }
        apps.push(app);
    }
    apps
}

fn app_tables<'a>(root: &Table<'a>) -> Vec<(Kind, String, Value<'a>)> {
    let mut tables = Vec::new();
    for (kind, name) in [(Kind::Proxy, "proxy"), (Kind::Drone, "drone"), (Kind::WarmKeycloak, "warm-keycloak")] {
        tables.extend(root.get(kind.table()).map(|value| (kind, name.to_owned(), value)));
    }
    for kind in [Kind::Canonical, Kind::App] {
        let named = root.get(kind.table()).and_then(|v| v.open_table());
        let entries = named.map(|table| table.entries()).unwrap_or_default();
        tables.extend(entries.into_iter().map(|(name, value)| (kind, name, value)));
    }
    tables
}

fn is_singleton(kind: Kind) -> bool {
    match kind {
        Kind::Proxy | Kind::Drone | Kind::WarmKeycloak => true,
        Kind::Canonical | Kind::App => false,
    }
}

fn app_name(name: &str, value: &Value<'_>, seen: &mut Seen) -> Option<AppName> {
    let value = value.at_key();
    if RESERVED.contains(&name) {
        value.error(format!("{name:?} is a reserved word"), "choose another name");
        return None;
    }
    match name.parse() {
        Ok(parsed) => {
            seen.note_name(name, &value);
            Some(parsed)
        }
        Err(error) => {
            value.error(error, "it becomes part of a domain and a folder's name");
            None
        }
    }
}

/// Where each name and each domain was declared first.
#[derive(Default)]
struct Seen {
    names: BTreeMap<String, Owner>,
    domains: BTreeMap<Domain, Owner>,
}

/// A table as a person finds it: its path, line and column.
struct Owner {
    path: String,
    place: Place,
}

impl Seen {
    fn note_name(&mut self, name: &str, value: &Value<'_>) {
        if let Some(other) = self.names.insert(name.to_owned(), Owner::of(value)) {
            value.error(format!("{other} has the same name"), "names are unique across all kinds; rename one");
        }
    }

    /// Two apps at one domain would be one stack, and each would remove the other's services. That a table has other
    /// faults, too, hides nothing.
    fn note_domain(&mut self, domain: &Domain, value: &Value<'_>) {
        if let Some(other) = self.domains.insert(domain.clone(), Owner::of(value)) {
            let message = format!("{other} has the domain {domain} too, and so the same stack");
            value.at_key().error(message, "give one of them another `domain`");
        }
    }
}

impl Owner {
    fn of(value: &Value<'_>) -> Self {
        Self { path: value.path.clone(), place: value.key_place.clone() }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.path, self.place)
    }
}
