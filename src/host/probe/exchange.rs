//! One request and its answer over a connection that stands.

use std::collections::BTreeMap;
use std::error::Error;
use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, HOST, HeaderMap, HeaderValue, TRANSFER_ENCODING, USER_AGENT,
};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use secrecy::ExposeSecret as _;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::dial::Stream;
use super::{ProbeError, Target, Timeouts};
use crate::health::gate::{Answer, BODY_BOUND, Phase};

/// No server of good faith sends more; the defaults of the library, which it does not promise to keep.
const MOST_HEADERS: usize = 100;
const HEAD_BOUND: usize = 256 * 1024;

/// The request for `path`, which begins with `/`.
pub fn request(target: &Target, path: &str) -> Result<Request<Empty<Bytes>>, ProbeError> {
    let unusable = |cause: &dyn std::fmt::Display| target.unusable(path, cause);
    let mut request = Request::get(path)
        .header(HOST, target.authority())
        .header(USER_AGENT, concat!("evenkeel/", env!("CARGO_PKG_VERSION")))
        .header(ACCEPT, "*/*")
        .header(ACCEPT_ENCODING, "identity");
    if let Some(login) = &target.auth {
        let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(login.expose_secret())))
            .expect("base64 is fit for a header");
        value.set_sensitive(true);
        request = request.header(AUTHORIZATION, value);
    }
    if !path.starts_with('/') {
        return Err(unusable(&"a path begins with /"));
    }
    request.body(Empty::new()).map_err(|error| unusable(&error))
}

/// Sends the request and reads the answer. What of the body is more than [`BODY_BOUND`] is not read.
pub async fn exchange(
    stream: Box<dyn Stream>,
    request: Request<Empty<Bytes>>,
    target: &Target,
    timeouts: Timeouts,
) -> Result<Answer, ProbeError> {
    let (address, host) = (target.address, target.host.clone());
    // The connection's task ends with this set, whatever the server still has to say.
    let mut connection = JoinSet::new();
    let head = async {
        let mut builder = http1::Builder::new();
        let (mut sender, driver) =
            builder.max_headers(MOST_HEADERS).max_buf_size(HEAD_BOUND).handshake(TokioIo::new(stream)).await?;
        connection.spawn(driver);
        sender.send_request(request).await
    };
    let response = match timeout(timeouts.head, head).await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => return Err(ProbeError::Status { address, host, cause: innermost(&error) }),
        Err(_) => return Err(ProbeError::Timeout { phase: Phase::Status, address, host, after: timeouts.head }),
    };
    let (status, headers) = (response.status().as_u16(), texts(response.headers()));
    match timeout(timeouts.body, read(response)).await {
        Ok(Ok(body)) => Ok(Answer::new(status, headers, &body)),
        Ok(Err(error)) => Err(ProbeError::Body { address, host, status, cause: innermost(&error) }),
        Err(_) => Err(ProbeError::Timeout { phase: Phase::Body, address, host, after: timeouts.body }),
    }
}

async fn read(response: Response<Incoming>) -> Result<Vec<u8>, hyper::Error> {
    let ends_with_connection =
        [CONTENT_LENGTH, TRANSFER_ENCODING].iter().all(|name| !response.headers().contains_key(name));
    let mut incoming = response.into_body();
    let mut body = Vec::new();
    while body.len() < BODY_BOUND
        && let Some(frame) = incoming.frame().await
    {
        match frame {
            Ok(frame) => {
                let chunk = frame.data_ref().map_or(&[][..], |chunk| chunk);
                body.extend_from_slice(&chunk[..chunk.len().min(BODY_BOUND - body.len())]);
            }
            // Such a body has no other end, and not every server says goodbye over TLS first.
            Err(error) if ends_with_connection && is_end_of_file(&error) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(body)
}

/// Names in lower case; of several headers of one name, the values joined.
fn texts(headers: &HeaderMap) -> BTreeMap<String, String> {
    let mut texts: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        let text = texts.entry(name.as_str().to_owned()).or_default();
        if !text.is_empty() {
            text.push_str(", ");
        }
        text.push_str(&value);
    }
    texts
}

fn causes<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'e (dyn Error + 'static)| (*error).source())
}

/// Without the address of its library's manual, which some end with.
fn innermost(error: &(dyn Error + 'static)) -> String {
    let told = causes(error).last().map(ToString::to_string).unwrap_or_default();
    told.split_once(": https://docs.rs/").map_or(told.as_str(), |(told, _)| told).to_owned()
}

fn is_end_of_file(error: &(dyn Error + 'static)) -> bool {
    let io = causes(error).find_map(|cause| cause.downcast_ref::<io::Error>());
    io.is_some_and(|error| error.kind() == io::ErrorKind::UnexpectedEof)
}
