//! The Engine API over its unix socket, as JSON values.
//!
//! No meaning of any object here. The surprise: bodies stay
//! `serde_json::Value`, because a typed model narrower than the daemon loses fields when it writes back what it read.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;

use crate::model::outcome::Outcome;

/// The newest API version whose fields this program knows; an older daemon's own is used instead. An Engine drops what is
/// newer than the version that is spoken from every spec that is written, also what somebody else had put there.
const NEWEST: ApiVersion = ApiVersion { major: 1, minor: 51 };
/// How long a call that is not a stream may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The way out where Docker runs, but elsewhere.
const OTHER: &str = "(its socket is named by `engine` in the configuration, or DOCKER_HOST)";

/// What an Engine said instead of doing what was asked, or why it could not be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    #[error("cannot talk to the Docker Engine at {endpoint}: {cause}")]
    Unreachable { endpoint: String, cause: String },
    #[error("cannot {act}: the Docker Engine refused: {message} (status {status}){}", without_leader(message))]
    Refused { status: u16, message: String, act: String },
    /// An object that another one refers to by name is not there.
    #[error("cannot {act}: there is no {what} {name:?} in the Swarm")]
    Missing { what: &'static str, name: String, act: String },
    /// The answer is not of the form that the API documents.
    #[error("cannot {act}: the Docker Engine's answer cannot be read: {cause}")]
    Garbled { act: String, cause: String },
    /// What was waited for did not happen in time.
    #[error("cannot {act}: {left} after {} s", waited.as_secs())]
    TooLate { act: String, left: String, waited: Duration },
}

/// Where the Engine gives no answer, nothing can be said about an app.
impl From<EngineError> for Outcome {
    fn from(error: EngineError) -> Self {
        Outcome::Error(error.to_string())
    }
}

impl EngineError {
    /// The object in question does not exist.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. } | Self::Missing { .. })
    }

    /// Somebody else wrote the object since it was read. Swarm says so with status 500, so the text decides.
    pub fn is_out_of_sequence(&self) -> bool {
        matches!(self, Self::Refused { message, .. } if message.contains("update out of sequence"))
    }

    /// Something of that name exists already, or is in use. Networks say the former with status 403 on some daemons, and
    /// Swarm's store with status 500 where two are made at the same moment.
    pub fn is_conflict(&self) -> bool {
        let words = ["already exists", "AlreadyExists", "name conflicts with an existing object"];
        match self {
            Self::Refused { status: 409, .. } => true,
            Self::Refused { message, .. } => words.iter().any(|words| message.contains(words)),
            _ => false,
        }
    }

    /// This node is no manager of a Swarm, so nothing of one can be seen or written.
    pub fn is_no_manager(&self) -> bool {
        matches!(self, Self::Refused { status: 503 | 406, .. })
    }

    /// The Engine understood and will not: what was sent is at fault, not the moment.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused { status: 400..=499, .. }) && !self.is_no_manager()
    }

    /// The Engine did not answer at all, which says nothing about any object.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }

    /// The same error, said about an act in the operator's words ("create service app_web").
    #[must_use]
    pub fn during(mut self, what: impl Into<String>) -> Self {
        match &mut self {
            Self::Unreachable { .. } => {}
            Self::Refused { act, .. }
            | Self::Missing { act, .. }
            | Self::Garbled { act, .. }
            | Self::TooLate { act, .. } => *act = what.into(),
        }
        self
    }
}

/// `1.41`, ordered as numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct ApiVersion {
    major: u32,
    minor: u32,
}

impl ApiVersion {
    fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.trim().split_once('.')?;
        Some(Self { major: major.parse().ok()?, minor: minor.parse().ok()? })
    }

    /// The version to speak with a daemon that speaks `min` to `max`.
    fn agreed(min: Self, max: Self) -> Self {
        NEWEST.min(max).max(min)
    }
}

/// A connection to one Engine. Clones share the connections, so calls that are awaited together run together.
#[derive(Debug, Clone)]
pub struct Engine {
    client: reqwest::Client,
    endpoint: Arc<str>,
    /// `http://engine/v1.41`, in front of every path.
    base: Arc<str>,
}

impl Engine {
    /// Connects to `unix:///path` and agrees on an API version; one cheap call with daemons up to API 1.51.
    ///
    /// # Errors
    /// `Unreachable` for any other kind of endpoint, an absent socket or a silent daemon; it names the way out.
    pub async fn connect(endpoint: &str) -> Result<Self, EngineError> {
        let client = client(endpoint)?;
        let unversioned = Self { client, endpoint: endpoint.into(), base: "http://engine".into() };
        let agreed = unversioned.agree().await?;
        let base = format!("http://engine/v{}.{}", agreed.major, agreed.minor);
        Ok(Self { base: base.into(), ..unversioned })
    }

    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The API version that is spoken, as numbers.
    pub fn api(&self) -> (u32, u32) {
        ApiVersion::parse(self.api_version()).map_or((0, 0), |version| (version.major, version.minor))
    }

    /// The API version that is spoken, as `1.41`.
    pub fn api_version(&self) -> &str {
        self.base.rsplit_once("/v").map_or("", |(_, version)| version)
    }

    /// `GET path?query`. A path is without host and version and starts with `/`; see [`segment`] for names in it.
    ///
    /// # Errors
    /// As every call: `Unreachable`, or `Refused` with the Engine's own words.
    pub async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Value, EngineError> {
        self.call(self.request(Method::GET, path, query), &act(&Method::GET, path)).await
    }

    /// `GET path` with a login for a registry, the value of `X-Registry-Auth`.
    pub async fn get_with_auth(&self, path: &str, auth: Option<&str>) -> Result<Value, EngineError> {
        self.call(self.request_with_auth(Method::GET, path, &[], auth), &act(&Method::GET, path)).await
    }

    /// `POST path?query` with a JSON body, or without one for `Value::Null`. `Null` if the answer has no body.
    pub async fn post(&self, path: &str, query: &[(&str, &str)], body: &Value) -> Result<Value, EngineError> {
        self.post_with_auth(path, query, body, None).await
    }

    /// `POST path?query` with a login for a registry.
    pub async fn post_with_auth(
        &self,
        path: &str,
        query: &[(&str, &str)],
        body: &Value,
        auth: Option<&str>,
    ) -> Result<Value, EngineError> {
        let mut request = self.request_with_auth(Method::POST, path, query, auth);
        if !body.is_null() {
            request = request.json(body);
        }
        self.call(request, &act(&Method::POST, path)).await
    }

    /// `DELETE path?query`.
    pub async fn delete(&self, path: &str, query: &[(&str, &str)]) -> Result<(), EngineError> {
        self.call(self.request(Method::DELETE, path, query), &act(&Method::DELETE, path)).await.map(drop)
    }

    /// An answer whose body is still to be read, without a time limit: events, logs, pulls. `auth` is the value of
    /// `X-Registry-Auth`.
    pub async fn stream(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        auth: Option<&str>,
    ) -> Result<Response, EngineError> {
        let act = act(&method, path);
        self.accepted(self.request_with_auth(method, path, query, auth), &act).await
    }

    /// What a transport error of a stream's body means.
    pub fn broken(&self, error: &reqwest::Error) -> EngineError {
        unreachable(&self.endpoint, error)
    }

    async fn call(&self, request: RequestBuilder, act: &str) -> Result<Value, EngineError> {
        let response = self.accepted(request.timeout(PATIENCE), act).await?;
        let bytes = response.bytes().await.map_err(|e| self.broken(&e))?;
        if bytes.is_empty() {
            return Ok(Value::Null);
        }
        let garbled = |e: serde_json::Error| EngineError::Garbled { act: act.to_owned(), cause: e.to_string() };
        serde_json::from_slice(&bytes).map_err(garbled)
    }

    fn request(&self, method: Method, path: &str, query: &[(&str, &str)]) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.base));
        if query.is_empty() { request } else { request.query(query) }
    }

    fn request_with_auth(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        auth: Option<&str>,
    ) -> RequestBuilder {
        let request = self.request(method, path, query);
        match auth {
            Some(auth) => request.header("X-Registry-Auth", auth),
            None => request,
        }
    }

    async fn accepted(&self, request: RequestBuilder, act: &str) -> Result<Response, EngineError> {
        let response = request.send().await.map_err(|e| self.broken(&e))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = response.bytes().await.map_err(|e| self.broken(&e))?;
        Err(EngineError::Refused { status: status.as_u16(), message: message(status, &body), act: act.to_owned() })
    }

    /// `_ping` tells the newest version in half a millisecond; `/version` takes ten, since it runs `runc --version`.
    /// Only a daemon newer than we are may have a minimum that matters, and only one that minds is asked for it.
    async fn agree(&self) -> Result<ApiVersion, EngineError> {
        let garbled = |cause: String| EngineError::Garbled { act: "agree on an API version".into(), cause };
        let act = "ask the Docker Engine for its API version";
        let response = self.accepted(self.request(Method::GET, "/_ping", &[]).timeout(PATIENCE), act).await?;
        let text = response.headers().get("Api-Version").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let max = ApiVersion::parse(text).ok_or_else(|| garbled(format!("Api-Version is {text:?}")))?;
        if max <= NEWEST {
            return Ok(max);
        }
        let ours = format!("/v{}.{}/_ping", NEWEST.major, NEWEST.minor);
        let request = self.request(Method::GET, &ours, &[]).timeout(PATIENCE);
        match self.accepted(request, act).await {
            Ok(_) => return Ok(NEWEST),
            Err(EngineError::Refused { status: 400, .. }) => {}
            Err(other) => return Err(other),
        }
        let version = self.get("/version", &[]).await?;
        let text = version["MinAPIVersion"].as_str().unwrap_or_default();
        let min = ApiVersion::parse(text).ok_or_else(|| garbled(format!("MinAPIVersion is {text:?}")))?;
        Ok(ApiVersion::agreed(min, max))
    }
}

/// A name as part of a path. Slashes stay: the Engine's routes for images take them as they are.
pub fn segment(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~/:@".contains(&byte);
    name.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

fn act(method: &Method, path: &str) -> String {
    format!("{method} {path}")
}

fn client(endpoint: &str) -> Result<reqwest::Client, EngineError> {
    let error = |cause: String| EngineError::Unreachable { endpoint: endpoint.to_owned(), cause };
    let path = endpoint.strip_prefix("unix://").filter(|path| path.starts_with('/'));
    let Some(path) = path else {
        return Err(error("only a unix socket is understood, as in unix:///run/docker.sock".into()));
    };
    // A client cannot be built without a provider, though no TLS is spoken here. An error only means that there is
    // one already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .unix_socket(path)
        .no_proxy()
        // Else the system's certificates are read, which are many, or missing.
        .tls_certs_only([])
        .http1_only()
        .build()
        .map_err(|e| error(root_cause(&e)))
}

/// Swarm's words for managers that are too few to agree are about itself: the first ones come within a moment, the others
/// once a call has waited for 20 s.
fn without_leader(message: &str) -> &'static str {
    let words = ["does not have a leader", "desc = context deadline exceeded"];
    match words.iter().any(|words| message.contains(words)) {
        true => ": the Swarm has no leader, as where half of its managers or more are down: start them again",
        false => "",
    }
}

/// The Engine's own words, or the status's where it has none.
fn message(status: StatusCode, body: &[u8]) -> String {
    let json = serde_json::from_slice::<Value>(body).ok();
    match json.as_ref().and_then(|body| body["message"].as_str()) {
        Some(message) => message.trim().to_owned(),
        None if body.is_empty() => status.canonical_reason().unwrap_or("no reason given").to_owned(),
        None => String::from_utf8_lossy(body).trim().chars().take(500).collect(),
    }
}

fn unreachable(endpoint: &str, error: &reqwest::Error) -> EngineError {
    let cause = match io_kind(error) {
        Some(io::ErrorKind::NotFound) => format!("there is no such socket: is Docker running? {OTHER}"),
        Some(io::ErrorKind::ConnectionRefused) => format!("nobody listens on the socket: is Docker running? {OTHER}"),
        Some(io::ErrorKind::PermissionDenied) => {
            "permission denied: run as root or as a member of group docker".to_owned()
        }
        _ if error.is_timeout() => format!("no answer within {} s", PATIENCE.as_secs()),
        _ => root_cause(error),
    };
    EngineError::Unreachable { endpoint: endpoint.to_owned(), cause }
}

fn io_kind(error: &reqwest::Error) -> Option<io::ErrorKind> {
    sources(error).find_map(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind)
}

/// The innermost cause: the outer ones repeat the URL, which means nothing on a socket.
fn root_cause(error: &reqwest::Error) -> String {
    sources(error).last().map_or_else(|| error.to_string(), ToString::to_string)
}

fn sources(error: &reqwest::Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    std::iter::successors(std::error::Error::source(error), |cause| cause.source())
}

#[cfg(test)]
mod tests;
