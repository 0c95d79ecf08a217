//! Drone 2 and Woodpecker 3: the one table of what differs between them.
//!
//! The border: nothing is decided or asked here. The surprise: the two grew from one program and look alike, down to the
//! same `/healthz`, and still differ in every name; so whoever tells them apart anywhere else has forgotten a row.
//!
//! Where the facts are from:
//!
//! - Drone's server: docs.drone.io, "Gitea" (server/provider/gitea) for its variables and `/login`; the source of drone/drone
//!   2.x for `/healthz` (handler/health) and for the data (docker/Dockerfile.server: `/data/database.sqlite`).
//! - Drone's API: docs.drone.io, "Overview", "Repo Info" and "Repo Update" (api/…). The source (handler/api/repos/update.go)
//!   adds that `timeout` and `trusted` are taken from a system administrator only; another's are left out in silence.
//! - Who one is: docs.drone.io, "User Info" (api/user); Woodpecker's server/router/api.go. A runner's ping: drone/drone's
//!   operator/manager/rpc2 and runner-go's client/http.go.
//! - Drone's exec runner: docs.drone.io, "Install On Linux" and "Configuration" (runner/exec/…).
//! - Woodpecker's server and forge: woodpecker-ci.org, "Server" and "Gitea" (administration/configuration); the source of
//!   woodpecker 3.17 for `/healthz` (server/api/z.go: 204), `/authorize` (server/api/login.go: 303) and the data
//!   (`/var/lib/woodpecker`, also in "Docker Compose").
//! - Woodpecker's API: the source's server/router/api.go and server/model/repo.go, from which its API page is made.
//! - Woodpecker's agent: woodpecker-ci.org, "Agent"; cmd/agent/core/flags.go for the names and what they mean by default.

use serde_json::{Map, Value, json};

/// Which program runs the builds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BuildEngine {
    #[default]
    Drone,
    Woodpecker,
}

/// Every engine with the word for it in the configuration.
pub const ENGINES: [(&str, BuildEngine); 2] = [("drone", BuildEngine::Drone), ("woodpecker", BuildEngine::Woodpecker)];

impl BuildEngine {
    /// Its row of the table.
    pub fn ci(self) -> &'static Ci {
        match self {
            BuildEngine::Drone => &DRONE,
            BuildEngine::Woodpecker => &WOODPECKER,
        }
    }
}

/// What is particular to one engine.
#[derive(Debug)]
pub struct Ci {
    /// For sentences.
    pub name: &'static str,
    /// The recipe's secret that server and runner share.
    pub shared_secret: &'static str,
    /// The recipe's secret that Gitea gave with the client id.
    pub client_secret: &'static str,
    /// The server's variables for Gitea's address, each of which it may take it from.
    pub server_variables: &'static [&'static str],
    /// Whether it makes nothing of a slash at the end of that address.
    pub forgives_slash: bool,
    /// The same for the id of the OAuth application.
    pub client_id_variables: &'static [&'static str],
    /// Variables that are given to the recipe.
    recipe: &'static [(&'static str, OfGitea)],
    /// Where the server says that it is well, and with which status.
    pub health: (&'static str, u16),
    /// Where a sign-in begins, which is a redirect to Gitea.
    pub sign_in: &'static str,
    pub database: Database,
    /// Where one repository is asked for, before its `owner/name`.
    lookup: &'static str,
    /// How a repository is named where it is changed.
    change: NamedBy,
    /// Where one asks who one is.
    pub account: &'static str,
    /// Where a runner asks whether its secret is right (POST), and the header that holds it; `None`: over HTTP nowhere.
    pub ping: Option<(&'static str, &'static str)>,
    /// The flags that make a repository trusted, as JSON pointers.
    trusted: &'static [&'static str],
    /// The runner's environment.
    runner: &'static [(&'static str, OfRunner)],
}

/// Where the builds are kept.
#[derive(Debug)]
pub struct Database {
    /// The variable for the kind of database, which is [`SQLITE`] without it.
    pub driver_variable: &'static str,
    /// The variable for the database itself: with SQLite, a file.
    pub source_variable: &'static str,
    /// The folder of that file without it, in the server's container.
    pub folder: &'static str,
}

/// What both call it.
pub const SQLITE: &str = "sqlite3";

/// A value that follows from the declared Gitea.
#[derive(Debug, Clone, Copy)]
enum OfGitea {
    Server,
    /// The address without its scheme: recipes write `https://` before it.
    Domain,
    ClientId,
    Is(&'static str),
}

#[derive(Debug, Clone, Copy)]
enum NamedBy {
    OwnerAndName,
    /// The number that the lookup answers as `id`.
    Id,
}

#[derive(Debug, Clone, Copy)]
enum OfRunner {
    Server,
    /// With its port, 443 where none is named.
    ServerAndPort,
    Secret,
    Capacity,
    Is(&'static str),
}

const DRONE: Ci = Ci {
    name: "Drone",
    shared_secret: "rpc_secret",
    client_secret: "client_secret",
    server_variables: &["DRONE_GITEA_SERVER"],
    forgives_slash: true,
    client_id_variables: &["DRONE_GITEA_CLIENT_ID"],
    recipe: &[
        ("GITEA_DOMAIN", OfGitea::Domain),
        ("GITEA_CLIENT_ID", OfGitea::ClientId),
        ("DRONE_GITEA_SERVER", OfGitea::Server),
        ("DRONE_GITEA_CLIENT_ID", OfGitea::ClientId),
    ],
    health: ("/healthz", 200),
    sign_in: "/login",
    database: Database {
        driver_variable: "DRONE_DATABASE_DRIVER",
        source_variable: "DRONE_DATABASE_DATASOURCE",
        folder: "/data",
    },
    lookup: "/api/repos/",
    change: NamedBy::OwnerAndName,
    account: "/api/user",
    ping: Some(("/rpc/v2/ping", "X-Drone-Token")),
    trusted: &["/trusted"],
    runner: &[
        ("DRONE_RPC_PROTO", OfRunner::Is("https")),
        ("DRONE_RPC_HOST", OfRunner::Server),
        ("DRONE_RPC_SECRET", OfRunner::Secret),
        ("DRONE_RUNNER_CAPACITY", OfRunner::Capacity),
    ],
};

/// Its agent checks no certificate by default: `WOODPECKER_GRPC_VERIFY` means its opposite up to 3.17, where `false` asks
/// for the check, and `WOODPECKER_GRPC_SKIP_VERIFY`, which says what it means, beats it in later ones.
const WOODPECKER: Ci = Ci {
    name: "Woodpecker",
    shared_secret: "agent_secret",
    client_secret: "client_secret",
    server_variables: &["WOODPECKER_FORGE_URL", "WOODPECKER_GITEA_URL", "WOODPECKER_FORGEJO_URL"],
    forgives_slash: false,
    client_id_variables: &["WOODPECKER_FORGE_CLIENT", "WOODPECKER_GITEA_CLIENT", "WOODPECKER_FORGEJO_CLIENT"],
    recipe: &[
        ("GITEA_DOMAIN", OfGitea::Domain),
        ("GITEA_CLIENT_ID", OfGitea::ClientId),
        ("WOODPECKER_GITEA", OfGitea::Is("true")),
        ("WOODPECKER_GITEA_URL", OfGitea::Server),
        ("WOODPECKER_GITEA_CLIENT", OfGitea::ClientId),
    ],
    health: ("/healthz", 204),
    sign_in: "/authorize",
    database: Database {
        driver_variable: "WOODPECKER_DATABASE_DRIVER",
        source_variable: "WOODPECKER_DATABASE_DATASOURCE",
        folder: "/var/lib/woodpecker",
    },
    lookup: "/api/repos/lookup/",
    change: NamedBy::Id,
    account: "/api/user",
    ping: None,
    trusted: &["/trusted/network", "/trusted/volumes", "/trusted/security"],
    runner: &[
        ("WOODPECKER_SERVER", OfRunner::ServerAndPort),
        ("WOODPECKER_GRPC_SECURE", OfRunner::Is("true")),
        ("WOODPECKER_GRPC_SKIP_VERIFY", OfRunner::Is("false")),
        ("WOODPECKER_GRPC_VERIFY", OfRunner::Is("false")),
        ("WOODPECKER_AGENT_SECRET", OfRunner::Secret),
        ("WOODPECKER_MAX_WORKFLOWS", OfRunner::Capacity),
        ("WOODPECKER_BACKEND", OfRunner::Is("local")),
    ],
};

/// What Gitea's page for a sign-in is called, behind its address.
const AUTHORIZE: &str = "/login/oauth/authorize";

/// What a repository's settings are to be; `None`: as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RepositorySettings {
    pub timeout_minutes: Option<u32>,
    pub trusted: Option<bool>,
}

/// What the runner has to know. It holds a secret, so it has no `Debug`.
#[derive(Clone, Copy)]
pub struct Runner<'a> {
    /// Host and perhaps port of the server, as the proxy serves it with TLS.
    pub server: &'a str,
    pub secret: &'a str,
    /// How many builds at once.
    pub capacity: u32,
}

impl Ci {
    /// What the recipe is given. `server` is Gitea's address without a slash at its end.
    pub fn recipe_variables(&self, server: &str, client_id: &str) -> Vec<(&'static str, String)> {
        let domain = server.split_once("://").map_or(server, |(_, domain)| domain);
        let value = |given: OfGitea| match given {
            OfGitea::Server => server.to_owned(),
            OfGitea::Domain => domain.to_owned(),
            OfGitea::ClientId => client_id.to_owned(),
            OfGitea::Is(text) => text.to_owned(),
        };
        self.recipe.iter().map(|(name, given)| (*name, value(*given))).collect()
    }

    /// The secrets that the operator has to give, the shared one first.
    pub fn secrets(&self) -> [&'static str; 2] {
        [self.shared_secret, self.client_secret]
    }

    /// Where one repository, `owner/name`, is asked for.
    pub fn lookup_path(&self, repository: &str) -> String {
        format!("{}{repository}", self.lookup)
    }

    /// Where it is changed with a PATCH. `answer` is what the lookup said; `None`: that names no repository.
    pub fn change_path(&self, repository: &str, answer: &Value) -> Option<String> {
        match self.change {
            NamedBy::OwnerAndName => Some(format!("/api/repos/{repository}")),
            NamedBy::Id => answer["id"].as_u64().map(|id| format!("/api/repos/{id}")),
        }
    }

    /// The body of a PATCH that changes what differs in `answer`, and nothing else; `None`: nothing does.
    pub fn change(&self, wanted: RepositorySettings, answer: &Value) -> Option<Value> {
        let timeout = wanted.timeout_minutes.filter(|minutes| answer["timeout"] != json!(minutes));
        let flags = wanted.trusted.into_iter().flat_map(|on| self.trusted.iter().map(move |at| (*at, json!(on))));
        let flags = flags.filter(|(at, on)| answer.pointer(at) != Some(on));
        let timeout = timeout.map(|minutes| ("/timeout", json!(minutes)));
        let body = timeout.into_iter().chain(flags).fold(Value::Null, |body, (at, value)| with(body, at, value));
        (!body.is_null()).then_some(body)
    }

    /// The runner's environment, in the order of its file.
    pub fn runner_variables(&self, runner: Runner<'_>) -> Vec<(&'static str, String)> {
        let with_port = match runner.server.rsplit_once(':') {
            Some((_, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => runner.server.to_owned(),
            _ => format!("{}:443", runner.server),
        };
        let value = |of: OfRunner| match of {
            OfRunner::Server => runner.server.to_owned(),
            OfRunner::ServerAndPort => with_port.clone(),
            OfRunner::Secret => runner.secret.to_owned(),
            OfRunner::Capacity => runner.capacity.to_string(),
            OfRunner::Is(text) => text.to_owned(),
        };
        self.runner.iter().map(|(name, of)| (*name, value(*of))).collect()
    }
}

/// Where a sign-in has to lead, before its query. `server` is Gitea's address without a slash at its end.
pub fn authorize_page(server: &str) -> String {
    format!("{server}{AUTHORIZE}")
}

/// `body` with a value at a pointer of one step or two.
fn with(body: Value, at: &str, value: Value) -> Value {
    let mut object = match body {
        Value::Object(object) => object,
        _ => Map::new(),
    };
    match at.trim_start_matches('/').split_once('/') {
        Some((first, rest)) => {
            let inner = object.remove(first).unwrap_or_default();
            object.insert(first.to_owned(), with(inner, rest, value));
        }
        None => drop(object.insert(at.trim_start_matches('/').to_owned(), value)),
    }
    Value::Object(object)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: RepositorySettings = RepositorySettings { timeout_minutes: Some(90), trusted: Some(true) };

    fn runner(server: &str) -> Runner<'_> {
        Runner { server, secret: "s3cret", capacity: 1 }
    }

    #[test]
    fn only_what_differs_is_changed() {
        let drone = BuildEngine::Drone.ci();
        let answer = json!({ "id": 4, "timeout": 60, "trusted": false });
        assert_eq!(drone.change(BOTH, &answer), Some(json!({ "timeout": 90, "trusted": true })));
        assert_eq!(drone.change(BOTH, &json!({ "timeout": 90, "trusted": false })), Some(json!({ "trusted": true })));
        assert_eq!(drone.change(BOTH, &json!({ "timeout": 90, "trusted": true })), None);
        let nothing = RepositorySettings { timeout_minutes: None, trusted: None };
        assert_eq!(drone.change(nothing, &answer), None);
    }

    #[test]
    fn a_setting_that_the_answer_does_not_show_is_set() {
        let off = RepositorySettings { timeout_minutes: Some(1), trusted: Some(false) };
        assert_eq!(BuildEngine::Drone.ci().change(off, &json!({})), Some(json!({ "timeout": 1, "trusted": false })));
    }

    #[test]
    fn woodpecker_is_changed_by_number_and_trusts_in_three_parts() {
        let woodpecker = BuildEngine::Woodpecker.ci();
        let answer =
            json!({ "id": 4, "timeout": 90, "trusted": { "network": true, "volumes": false, "security": false } });
        let change = woodpecker.change(BOTH, &answer);
        assert_eq!(change, Some(json!({ "trusted": { "volumes": true, "security": true } })));
        assert_eq!(woodpecker.lookup_path("org/repo"), "/api/repos/lookup/org/repo");
        assert_eq!(woodpecker.change_path("org/repo", &answer).as_deref(), Some("/api/repos/4"));
        assert_eq!(woodpecker.change_path("org/repo", &json!({})), None);
    }

    #[test]
    fn drone_is_changed_where_it_is_asked_for() {
        let drone = BuildEngine::Drone.ci();
        assert_eq!(drone.lookup_path("org/repo"), "/api/repos/org/repo");
        assert_eq!(drone.change_path("org/repo", &json!({})).as_deref(), Some("/api/repos/org/repo"));
    }

    #[test]
    fn a_recipe_gets_giteas_address_with_and_without_its_scheme() {
        let variables = BuildEngine::Drone.ci().recipe_variables("https://git.example.org:3000/gitea", "id");
        assert!(variables.contains(&("GITEA_DOMAIN", "git.example.org:3000/gitea".to_owned())));
        assert!(variables.contains(&("DRONE_GITEA_SERVER", "https://git.example.org:3000/gitea".to_owned())));
        assert_eq!(authorize_page("https://git.example.org"), "https://git.example.org/login/oauth/authorize");
    }

    #[test]
    fn woodpeckers_agent_is_always_told_a_port() {
        let server = |named: &str| BuildEngine::Woodpecker.ci().runner_variables(runner(named))[0].1.clone();
        assert_eq!(server("ci.example.org"), "ci.example.org:443");
        assert_eq!(server("ci.example.org:9000"), "ci.example.org:9000");
    }

    #[test]
    fn the_shared_secret_and_the_capacity_reach_the_runner_once_each() {
        for (_, engine) in ENGINES {
            let variables = engine.ci().runner_variables(runner("ci.example.org"));
            let with = |value: &str| variables.iter().filter(|(_, text)| text == value).count();
            assert_eq!((with("s3cret"), with("1")), (1, 1), "{engine:?}");
        }
    }
}
