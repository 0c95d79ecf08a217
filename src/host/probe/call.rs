//! One call of an API at a pinned address, and its whole answer.
//!
//! Each dials anew, under the app's own name, and nothing is sent before the server has proved that it holds the declared
//! certificate's key. The border: nothing is asked twice here, and what an answer means is its reader's matter.

use std::error::Error as _;

use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue, USER_AGENT, WWW_AUTHENTICATE};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::task::JoinSet;

use super::{ProbeError, Target, Timeouts, dial};

/// What is sent. Without `Debug`: it may hold secrets.
pub struct Call<'c> {
    pub method: Method,
    /// It begins with `/`.
    pub path: &'c str,
    pub token: Option<&'c SecretString>,
    /// A header of the API's own that holds a secret.
    pub header: Option<(&'static str, &'c SecretString)>,
    /// With its kind.
    pub body: Option<(&'static str, Bytes)>,
}

/// An answer. Without `Debug`: it may hold secrets.
pub struct Reply {
    pub status: u16,
    pub is_json: bool,
    /// It names a way to log in (`WWW-Authenticate`).
    pub asks_login: bool,
    pub body: Bytes,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    #[error("no request can be made of it: {0}")]
    Unmade(String),
    #[error("{0}")]
    Undialled(ProbeError),
    #[error("the connection breaks off: {0}")]
    Broken(String),
    #[error("it is longer than {} MiB", .0 >> 20)]
    TooLong(usize),
}

/// Asks once. Of an answer that is longer than `longest`, nothing is given.
pub async fn call(target: &Target, call: Call<'_>, longest: usize) -> Result<Reply, CallError> {
    let request = request(target, call)?;
    let line = dial::dial(target, Timeouts::default()).await.map_err(CallError::Undialled)?;
    let broken = |error: hyper::Error| CallError::Broken(in_words(&error));
    // The connection's task ends with this set, whatever the server still has to say.
    let mut connection = JoinSet::new();
    let (mut sender, driver) = http1::handshake(TokioIo::new(line.stream)).await.map_err(broken)?;
    connection.spawn(driver);
    let answer = sender.send_request(request).await.map_err(broken)?;
    let status = answer.status().as_u16();
    let is_json =
        answer.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    let asks_login = answer.headers().contains_key(WWW_AUTHENTICATE);
    let read = Limited::new(answer.into_body(), longest).collect().await;
    let body = read.map_err(|error| match error.is::<LengthLimitError>() {
        true => CallError::TooLong(longest),
        false => CallError::Broken(error.to_string()),
    })?;
    Ok(Reply { status, is_json, asks_login, body: body.to_bytes() })
}

fn in_words(error: &hyper::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

fn hidden(text: &str) -> Result<HeaderValue, CallError> {
    let unfit = |_| CallError::Unmade("a secret does not fit into a header".to_owned());
    let mut value = HeaderValue::try_from(text).map_err(unfit)?;
    value.set_sensitive(true);
    Ok(value)
}

fn request(target: &Target, call: Call<'_>) -> Result<Request<Full<Bytes>>, CallError> {
    let (kind, bytes) = call.body.unzip();
    let mut request = Request::builder()
        .method(call.method)
        .uri(call.path)
        .header(HOST, target.authority())
        .header(USER_AGENT, concat!("evenkeel/", env!("CARGO_PKG_VERSION")))
        .header(ACCEPT, "application/json");
    if let Some(kind) = kind {
        request = request.header(CONTENT_TYPE, kind);
    }
    if let Some(token) = call.token {
        request = request.header(AUTHORIZATION, hidden(&format!("Bearer {}", token.expose_secret()))?);
    }
    if let Some((name, secret)) = call.header {
        request = request.header(name, hidden(secret.expose_secret())?);
    }
    request.body(Full::new(bytes.unwrap_or_default())).map_err(|error| CallError::Unmade(error.to_string()))
}
