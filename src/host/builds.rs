//! A server of builds over its API: the settings of a repository.
//!
//! In Drone's or Woodpecker's form, as the table of [`crate::model::ci`] has it. The border: what the settings are to be,
//! and whether somebody asks again, is decided elsewhere. The surprise: Drone answers a change with success also where it
//! leaves a part of it out, so what it answers is compared once more.

#[cfg(test)]
mod tests;
pub mod token;

use std::time::Duration;

use hyper::Method;
use hyper::body::Bytes;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use tokio::time::{Instant, timeout};

use super::probe::call::{Call, CallError, Reply, call};
use super::probe::{ProbeError, Target};
use crate::health::gate::served::Fault;
use crate::model::ci::{Ci, RepositorySettings};
use crate::telemetry;

const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// A repository is a page of JSON at most.
const LONGEST_ANSWER: usize = 1 << 20;
/// Of what the server says about a failure.
const LONGEST_SAYING: usize = 300;

/// A server behind the proxy. Every question ends by the given moment.
pub struct BuildServer {
    target: Target,
    ci: &'static Ci,
    token: SecretString,
    until: Instant,
}

/// What became of a repository's settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// Nothing differed; nothing was written.
    AsWanted,
    Changed,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildsError {
    /// Nothing of use is answered: it is down, starting, or overwhelmed.
    #[error("{0}")]
    Away(String),
    #[error("no token may be sent there: {0}")]
    Unsafe(ProbeError),
    #[error("{server} does not take the token (401{})", behind(said))]
    TokenRefused { server: &'static str, said: String },
    #[error("{server} lets nobody with this token do that (403{})", behind(said))]
    Forbidden { server: &'static str, said: String },
    #[error("{server} knows no such repository, or does not show it to the token's user (404{})", behind(said))]
    Unknown { server: &'static str, said: String },
    /// Success was answered, and nothing has come of it.
    #[error("{server} answers the change with success, and leaves {} as it was", left.join(" and "))]
    Unheard { server: &'static str, left: Vec<String> },
    #[error("{server} answers {status}{}", behind(said))]
    Refused { server: &'static str, status: u16, said: String },
    #[error("what {server} answers is not understood: {cause}")]
    Odd { server: &'static str, cause: String },
}

fn behind(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!(": {said}") }
}

impl BuildsError {
    /// Whether a moment later it may be another one.
    pub fn may_pass(&self) -> bool {
        use Fault::{Another, AnotherChain, Name};
        match self {
            BuildsError::Away(_) => true,
            // The proxy may be restarting, or be given a renewed one just now. Nothing was sent.
            BuildsError::Unsafe(ProbeError::Certificate { fault, .. }) => {
                matches!(fault, Another { .. } | AnotherChain { .. } | Name { .. })
            }
            _ => false,
        }
    }

    /// Whether it is the same for every repository.
    pub fn is_of_all(&self) -> bool {
        matches!(self, BuildsError::TokenRefused { .. } | BuildsError::Unsafe(_)) && !self.may_pass()
    }
}

impl BuildServer {
    pub fn new(target: Target, ci: &'static Ci, token: SecretString, until: Instant) -> Self {
        Self { target, ci, token, until }
    }

    /// Whether the server knows whose token it is. Any other answer than its no is none.
    pub async fn takes_token(&self) -> Result<(), BuildsError> {
        match self.ask(Method::GET, self.ci.account, None).await {
            Err(no @ BuildsError::TokenRefused { .. }) => Err(no),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Has a repository's settings be as wanted. It can be done again: what is so already is not sent.
    pub async fn settle(&self, repository: &str, wanted: RepositorySettings) -> Result<Settled, BuildsError> {
        let found = self.ask(Method::GET, &self.ci.lookup_path(repository), None).await?;
        let Some(change) = self.ci.change(wanted, &found) else { return Ok(Settled::AsWanted) };
        let path = self.ci.change_path(repository, &found);
        let path = path.ok_or_else(|| self.odd("it does not say by which id it is changed".to_owned()))?;
        let answer = self.ask(Method::PATCH, &path, Some(&change)).await?;
        match self.ci.change(wanted, &answer) {
            None => Ok(Settled::Changed),
            Some(left) => Err(BuildsError::Unheard { server: self.ci.name, left: names(&left) }),
        }
    }

    async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, BuildsError> {
        let left = self.until.saturating_duration_since(Instant::now()).min(ANSWER_WITHIN);
        if left.is_zero() {
            return Err(self.away("no time was left to ask"));
        }
        let body = body.map(|body| ("application/json", Bytes::from(body.to_string())));
        let asked =
            call(&self.target, Call { method, path, token: Some(&self.token), header: None, body }, LONGEST_ANSWER);
        match timeout(left, asked).await {
            Ok(Ok(reply)) => self.read(&reply),
            Ok(Err(error)) => Err(self.without_reply(error)),
            Err(_) => Err(self.away(&format!("no answer within {left:.0?}"))),
        }
    }

    /// The repository in an answer.
    fn read(&self, reply: &Reply) -> Result<Value, BuildsError> {
        let (server, status) = (self.ci.name, reply.status);
        let said = || self.said(reply);
        let is_page = !reply.is_json && !reply.body.is_empty();
        match status {
            200..=299 if reply.body.is_empty() => Err(self.away(&format!("it answers {status} and nothing else"))),
            200..=299 if is_page => Err(self.away(&format!("what answers ({status}, no JSON) is no {server}"))),
            200..=299 => self.repository(&reply.body),
            // A reverse proxy's own word for what is not there. The server's is empty, or JSON.
            404 if is_page => Err(self.away("nobody answers behind the proxy (it says 404)")),
            401 if !is_own_no(reply) => Err(self.odd("something in front of it asks for a login (401)".to_owned())),
            401 => Err(BuildsError::TokenRefused { server, said: said() }),
            403 => Err(BuildsError::Forbidden { server, said: said() }),
            404 => Err(BuildsError::Unknown { server, said: said() }),
            408 | 429 | 500.. => Err(self.away(&format!("it answers {status}{}", behind(&said())))),
            _ => Err(BuildsError::Refused { server, status, said: said() }),
        }
    }

    fn repository(&self, body: &[u8]) -> Result<Value, BuildsError> {
        match serde_json::from_slice(body) {
            Ok(value @ Value::Object(_)) => Ok(value),
            Ok(_) => Err(self.odd("it is no JSON object".to_owned())),
            Err(error) => Err(self.odd(format!("no JSON at {}:{}", error.line(), error.column()))),
        }
    }

    fn without_reply(&self, error: CallError) -> BuildsError {
        match error {
            CallError::Undialled(error @ (ProbeError::Certificate { .. } | ProbeError::Request { .. })) => {
                BuildsError::Unsafe(error)
            }
            CallError::Undialled(error) => BuildsError::Away(error.to_string()),
            CallError::Broken(_) => self.away(&error.to_string()),
            CallError::Unmade(_) | CallError::TooLong(_) => self.odd(error.to_string()),
        }
    }

    fn away(&self, why: &str) -> BuildsError {
        BuildsError::Away(format!("{}: {why}", self.target.host))
    }

    fn odd(&self, cause: String) -> BuildsError {
        BuildsError::Odd { server: self.ci.name, cause }
    }

    /// The server's own words for a failure, which may repeat what it was sent.
    fn said(&self, reply: &Reply) -> String {
        let value: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        let message = value["message"].as_str().or(value["error"].as_str()).or(value.as_str());
        let words = match message {
            Some(message) => message.to_owned(),
            None if reply.is_json => String::new(),
            None => String::from_utf8_lossy(&reply.body).into_owned(),
        };
        // A page is no sentence.
        let words = if is_markup(&words) { String::new() } else { words };
        let words = words.replace(self.token.expose_secret(), "(the token)");
        telemetry::one_line(&words).chars().take(LONGEST_SAYING).collect()
    }
}

/// Whether a server behind the proxy says no to a runner with this secret. Any other answer than its no is none.
pub async fn refuses_runner(target: &Target, ci: &Ci, secret: &SecretString) -> bool {
    let Some((path, header)) = ci.ping else { return false };
    let body = Some(("application/json", Bytes::from_static(b"{}")));
    let asked = Call { method: Method::POST, path, token: None, header: Some((header, secret)), body };
    let answer = timeout(ANSWER_WITHIN, call(target, asked, LONGEST_ANSWER)).await;
    matches!(answer, Ok(Ok(reply)) if is_own_no(&reply))
}

/// Whether a server of builds itself says that it does not know a secret. A middleware of the proxy has the same status for
/// whoever did not log in, and then names a way to do so, or shows a page. These servers do neither.
fn is_own_no(reply: &Reply) -> bool {
    reply.status == 401 && !reply.asks_login && !is_markup(&String::from_utf8_lossy(&reply.body))
}

fn is_markup(words: &str) -> bool {
    words.trim_start().starts_with('<')
}

/// The settings that a change names.
fn names(change: &Value) -> Vec<String> {
    change.as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect()
}
