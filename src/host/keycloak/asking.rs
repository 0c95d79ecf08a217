//! One request to Keycloak, and what came back.
//!
//! Each dials anew, at the proxy's own address and under the app's name, and nothing is sent before the server has proved
//! that it holds the declared certificate's key. The border: nothing is asked twice here.

use std::sync::Mutex;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use url::form_urlencoded;

use super::KeycloakError;
use crate::host::probe::{ProbeError, Target, Timeouts, dial};
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
        let request = request(&target, method, path, token, body)?;
        let away = |why: String| KeycloakError::Away(format!("{}: {why}", target.host));
        match timeout(left, exchange(&target, request)).await {
            Ok(answer) => answer,
            Err(_) => Err(away(format!("no answer within {left:.0?}"))),
        }
    }
}

fn request(
    target: &Target,
    method: Method,
    path: &str,
    token: Option<&SecretString>,
    body: Body,
) -> Result<Request<Full<Bytes>>, KeycloakError> {
    let (kind, bytes) = match body {
        Body::None => (None, Bytes::new()),
        Body::Json(value) => (Some("application/json"), value.to_string().into()),
        Body::Form(text) => (Some("application/x-www-form-urlencoded"), text.into()),
    };
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, &target.host)
        .header(USER_AGENT, concat!("evenkeel/", env!("CARGO_PKG_VERSION")))
        .header(ACCEPT, "application/json");
    if let Some(kind) = kind {
        request = request.header(CONTENT_TYPE, kind);
    }
    let odd = |cause: String| KeycloakError::Odd { act: format!("ask for {path}"), cause };
    if let Some(token) = token {
        let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose_secret()))
            .map_err(|_| odd("its token does not fit into a header".to_owned()))?;
        value.set_sensitive(true);
        request = request.header(AUTHORIZATION, value);
    }
    request.body(Full::new(bytes)).map_err(|error| odd(error.to_string()))
}

async fn exchange(target: &Target, request: Request<Full<Bytes>>) -> Result<Told, KeycloakError> {
    let line = dial::dial(target, Timeouts::default()).await.map_err(without_answer)?;
    let broken = |why: String| KeycloakError::Away(format!("{}: the connection breaks off: {why}", target.host));
    // The connection's task ends with this set, whatever the server still has to say.
    let mut connection = JoinSet::new();
    let (mut sender, driver) =
        http1::handshake(TokioIo::new(line.stream)).await.map_err(|error| broken(error.to_string()))?;
    connection.spawn(driver);
    let answer = sender.send_request(request).await.map_err(|error| broken(error.to_string()))?;
    let status = answer.status().as_u16();
    let is_json =
        answer.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    let read = Limited::new(answer.into_body(), LONGEST_ANSWER).collect().await;
    let body =
        read.map_err(|error| if error.is::<LengthLimitError>() { too_long() } else { broken(error.to_string()) })?;
    let body = body.to_bytes();
    if is_from_proxy(status, is_json) {
        return Err(KeycloakError::Away(format!(
            "nobody answers behind the proxy as {} (the proxy says {status})",
            target.host
        )));
    }
    if matches!(status, 200..=299) && !is_json && !body.is_empty() {
        return Err(KeycloakError::Away(format!("what answers as {} ({status}, no JSON) is no Keycloak", target.host)));
    }
    Ok(Told { status, body })
}

/// Asked again it would be as long.
fn too_long() -> KeycloakError {
    let cause = format!("it is longer than {} MiB", LONGEST_ANSWER >> 20);
    KeycloakError::Odd { act: "read all of an answer".to_owned(), cause }
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
