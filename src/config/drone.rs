//! What only the table `drone` has: which program runs the builds, who signs people in, what holds for builds.
//!
//! The surprise: a half of `builds` changes nothing at all, so it is refused like a typing error.

use std::path::PathBuf;

use url::Url;

use super::table::{Keys, Table, Value};
use crate::model::app::Domain;
use crate::model::ci::{BuildEngine, Ci, ENGINES, RepositorySettings};

const GITEA_KEYS: Keys = &["server", "client_id"];
const BUILDS_KEYS: Keys = &["timeout_minutes", "trusted", "repositories", "token"];

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drone {
    pub engine: BuildEngine,
    pub gitea: Gitea,
    pub builds: Option<Builds>,
    /// Host and perhaps port where the runner reaches the server, with TLS; `None`: the app's domain.
    pub rpc: Option<String>,
}

/// Who signs people in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gitea {
    /// Its address, without a slash at the end.
    pub server: String,
    /// The id of the OAuth application there, which is no secret.
    pub client_id: String,
}

/// What is set over the API for some repositories.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Builds {
    pub settings: RepositorySettings,
    /// `owner/name` each.
    pub repositories: Vec<String>,
    /// A file with an administrator's API token.
    pub token: PathBuf,
}

/// Reads what is particular to the table. `None` if something that is needed is missing or wrong; it has been noted.
pub(super) fn read(table: &Table<'_>) -> Option<Drone> {
    let engine = match table.get("engine") {
        Some(value) => value.choice(&ENGINES),
        None => Some(BuildEngine::default()),
    };
    let gitea = table.require("gitea", "such as { server = \"https://git.example.org\", client_id = \"…\" }");
    let gitea = gitea.and_then(|v| gitea_of(&v));
    let builds = table.get("builds").map(|v| builds(&v));
    let rpc = table.get("rpc").and_then(|v| rpc(&v));
    let secrets = engine.and_then(|engine| secrets(table, engine.ci()));
    secrets?;
    Some(Drone { engine: engine?, gitea: gitea?, builds: builds.flatten(), rpc })
}

/// Both are shared with somebody else: nobody can make them here.
fn secrets(table: &Table<'_>, ci: &Ci) -> Option<()> {
    let whose = |secret: &str| match secret == ci.shared_secret {
        true => "a file with the secret that the server shares with its runner",
        false => "a file with the secret that Gitea gave with the client id",
    };
    let Some(value) = table.get("secrets") else {
        let [shared, client] = ci.secrets();
        let hint = format!("such as {{ {shared} = \"/run/secrets/ci_rpc\", {client} = \"/run/secrets/ci_client\" }}");
        table.require("secrets", &hint)?;
        return None;
    };
    let given = value.open_table()?;
    let missing = ci.secrets().into_iter().filter(|secret| given.require(secret, whose(secret)).is_none());
    (missing.count() == 0).then_some(())
}

fn gitea_of(value: &Value<'_>) -> Option<Gitea> {
    let table = value.table(GITEA_KEYS)?;
    let server = table.require("server", "such as \"https://git.example.org\"").and_then(|v| web_url(&v));
    let client_id = table.require("client_id", "the id of the OAuth application").and_then(|v| client_id(&v));
    Some(Gitea { server: server?, client_id: client_id? })
}

/// A web address without credentials, which are never shown.
fn web_url(value: &Value<'_>) -> Option<String> {
    let url = value.text()?;
    let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '?' | '#' | '"' | '\'' | '\\' | '$' | '@');
    let is_web = |url: &Url| matches!(url.scheme(), "http" | "https") && url.has_host();
    let begins_well = ["https://", "http://"].iter().any(|scheme| url.starts_with(scheme));
    if !begins_well || !url.chars().all(plain) || !url.parse().is_ok_and(|url| is_web(&url)) {
        value.error("is not a plain web address", "such as \"https://git.example.org\"");
        return None;
    }
    Some(url.trim_end_matches('/').to_owned())
}

fn client_id(value: &Value<'_>) -> Option<String> {
    let id = value.text()?;
    if id.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')) {
        return Some(id);
    }
    value.error("is no client id", "letters, digits, - _ and ., as Gitea shows it under Applications");
    None
}

fn rpc(value: &Value<'_>) -> Option<String> {
    let address = value.text()?;
    let (host, port) = address.split_once(':').map_or((&*address, None), |(host, port)| (host, Some(port)));
    let digits = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    let good_port = port.is_none_or(|port| digits(port) && port.parse::<u16>().is_ok_and(|port| port > 0));
    if good_port && host.parse::<Domain>().is_ok() {
        return Some(address);
    }
    value.error(format!("{address:?} is no host with a port"), "such as \"grpc.ci.example.org:443\", without a scheme");
    None
}

fn builds(value: &Value<'_>) -> Option<Builds> {
    let table = value.table(BUILDS_KEYS)?;
    let settings = RepositorySettings {
        timeout_minutes: table.get("timeout_minutes").and_then(|v| v.integer(1..=10_080)),
        trusted: table.get("trusted").and_then(|v| v.boolean()),
    };
    if table.get("timeout_minutes").is_none() && table.get("trusted").is_none() {
        value
            .at_key()
            .error("says nothing that could be set", "give it `timeout_minutes` or `trusted`, or leave it out");
    }
    let repositories = table.require("repositories", "for which it holds, such as [\"org/repo\"]");
    let repositories = repositories.map(|v| repositories_of(&v));
    let token = table.require("token", "a file with an administrator's API token: nobody else may set it");
    let token = token.and_then(|v| v.secret_path());
    Some(Builds { settings, repositories: repositories?, token: token? })
}

fn repositories_of(value: &Value<'_>) -> Vec<String> {
    let mut names = Vec::new();
    let elements = value.list();
    if elements.as_ref().is_some_and(Vec::is_empty) {
        value.error("names no repository", "such as [\"org/repo\"], or leave `builds` out");
    }
    for element in elements.unwrap_or_default() {
        let Some(name) = element.text() else { continue };
        match name.split_once('/') {
            // Gitea's names have no case.
            Some(_) if names.iter().any(|other: &String| other.eq_ignore_ascii_case(&name)) => {
                element.error(format!("{name:?} is named twice"), "name it once");
            }
            Some((owner, repository)) if is_name(owner) && is_name(repository) => names.push(name),
            _ => element.error(format!("{name:?} is not a repository"), "such as \"org/repo\""),
        }
    }
    names
}

/// What Gitea takes for a name of somebody or something.
fn is_name(name: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.is_empty() && name.chars().all(legal) && !matches!(name, "." | "..")
}

#[cfg(test)]
mod tests;
