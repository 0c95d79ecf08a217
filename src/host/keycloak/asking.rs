//! One request to Keycloak, and what came back.
//!
//! At the proxy's own address and under the app's name. The border: nothing is asked twice here.

use std::sync::Mutex;
use std::time::Duration;

use hyper::Method;
use hyper::body::Bytes;
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::{Instant, timeout};
use url::form_urlencoded;

use super::KeycloakError;
use crate::host::probe::call::{Call, CallError, Reply, call};
use crate::host::probe::{ProbeError, Target};
use crate::telemetry;

const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// A whole realm takes Keycloak a second or two, on a busy machine a minute. Asked again meanwhile, it would do the work
/// twice.
const REALM_WITHIN: Duration = Duration::from_secs(180);
/// A few thousand realms.
const LONGEST_ANSWER: usize = 32 << 20;
/// Of what Keycloak says about a failure.
const LONGEST_SAYING: usize = 300;

/// Whom to ask, and until when.
pub struct Asking {
    target: Mutex<Target>,
    pub until: Instant,
}

/// What is sent. Without `Debug`: it may hold secrets.
#[derive(Clone)]
pub enum Body {
    None,
    Json(Value),
    Form(String),
}

impl Body {
    pub fn form(fields: &[(&str, &str)]) -> Self {
        Self::Form(form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish())
    }
}

/// An answer of Keycloak's own. Without `Debug`: it may hold a token.
pub struct Told {
    pub status: u16,
    body: Bytes,
}

impl Asking {
    pub fn new(target: Target, until: Instant) -> Self {
        Self { target: Mutex::new(target), until }
    }

    /// From now on asks there.
    pub fn aim(&self, target: Target) {
        *self.target.lock().expect("nobody panics while holding it") = target;
    }

    /// # Errors
    /// `Away` where nothing answers that is a Keycloak, `Unsafe` where another server does.
    pub async fn ask(
        &self,
        method: Method,
        path: &str,
        token: Option<&SecretString>,
        body: Body,
    ) -> Result<Told, KeycloakError> {
        let left = self.until.saturating_duration_since(Instant::now()).min(most(&method, path));
        let target = self.target.lock().expect("nobody panics while holding it").clone();
        let body = match body {
            Body::None => None,
            Body::Json(value) => Some(("application/json", value.to_string().into())),
            Body::Form(text) => Some(("application/x-www-form-urlencoded", text.into())),
        };
        let asked = call(&target, Call { method, path, token, header: None, body }, LONGEST_ANSWER);
        match timeout(left, asked).await {
            Ok(Ok(reply)) => told(&target.host, reply),
            Ok(Err(error)) => Err(without_reply(&target.host, path, error)),
            Err(_) => Err(KeycloakError::Away(format!("{}: no answer within {left:.0?}", target.host))),
        }
    }
}

fn told(host: &str, reply: Reply) -> Result<Told, KeycloakError> {
    let Reply { status, is_json, body, .. } = reply;
    if is_from_proxy(status, is_json) {
        return Err(KeycloakError::Away(format!(
            "nobody answers behind the proxy as {host} (the proxy says {status})"
        )));
    }
    if matches!(status, 200..=299) && !is_json && !body.is_empty() {
        return Err(KeycloakError::Away(format!("what answers as {host} ({status}, no JSON) is no Keycloak")));
    }
    Ok(Told { status, body })
}

fn without_reply(host: &str, path: &str, error: CallError) -> KeycloakError {
    match error {
        CallError::Unmade(cause) => KeycloakError::Odd { act: format!("ask for {path}"), cause },
        CallError::Undialled(error) => without_answer(error),
        CallError::Broken(_) => KeycloakError::Away(format!("{host}: {error}")),
        // Asked again it would be as long.
        CallError::TooLong(_) => {
            KeycloakError::Odd { act: "read all of an answer".to_owned(), cause: error.to_string() }
        }
    }
}

/// How long one answer may take.
fn most(method: &Method, path: &str) -> Duration {
    let is_whole_realm = *method == Method::DELETE || *method == Method::POST && path == "/admin/realms";
    if is_whole_realm { REALM_WITHIN } else { ANSWER_WITHIN }
}

/// What a reverse proxy says of an app that is not there. While it starts, Keycloak itself says 503.
fn is_from_proxy(status: u16, is_json: bool) -> bool {
    matches!(status, 502..=504) || status == 404 && !is_json
}

/// A server that shows another certificate is told nothing.
pub(super) fn without_answer(error: ProbeError) -> KeycloakError {
    match error {
        ProbeError::Certificate { .. } | ProbeError::Request { .. } => KeycloakError::Unsafe(error),
        ProbeError::Dns { .. }
        | ProbeError::Refused { .. }
        | ProbeError::Connect { .. }
        | ProbeError::Timeout { .. }
        | ProbeError::Tls { .. }
        | ProbeError::Status { .. }
        | ProbeError::Body { .. } => KeycloakError::Away(error.to_string()),
    }
}

impl Told {
    /// # Errors
    /// `Refused` for any other answer than a good one.
    pub fn done(&self, act: &str) -> Result<(), KeycloakError> {
        match self.status {
            200..=299 => Ok(()),
            status => Err(KeycloakError::Refused { act: act.to_owned(), status, said: self.said() }),
        }
    }

    /// Whether something was made; `false`: it is there already.
    pub fn is_made(&self, act: &str) -> Result<bool, KeycloakError> {
        if self.status == 409 { Ok(false) } else { self.done(act).map(|()| true) }
    }

    pub fn read<T: DeserializeOwned>(&self, act: &str) -> Result<T, KeycloakError> {
        self.done(act)?;
        // The error's own words may repeat what was read, such as a token.
        let place = |error: serde_json::Error| format!("other JSON at {}:{}", error.line(), error.column());
        serde_json::from_slice(&self.body)
            .map_err(|error| KeycloakError::Odd { act: act.to_owned(), cause: place(error) })
    }

    /// What Keycloak says of a failure: one of three forms, by the part of it that answers.
    fn said(&self) -> String {
        let value: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let words = ["errorMessage", "error", "error_description"].iter().filter_map(|name| value[name].as_str());
        let words: Vec<String> = words.map(telemetry::one_line).collect();
        words.join(": ").chars().take(LONGEST_SAYING).collect()
    }
}
