//! A server in front of a registry that can have a bad day.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::response::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use futures_util::{StreamExt as _, stream};
use rustls::pki_types::PrivateKeyDer;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::authority::authority;
use super::server::client;
use crate::engine::private::PrivateEngine;

/// How a layer begins.
const GZIP: &[u8] = &[0x1f, 0x8b];

/// How it treats who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// Passes everything on.
    Good,
    /// Tells what a tag means, and hangs up in the middle of each layer.
    BreaksOff,
    /// Gives half of each layer, and then neither more nor an end.
    Stalls,
    /// Takes every request and never answers.
    Silent,
    /// Too many requests, as Docker Hub says it: with its headers, and not before somebody has logged in.
    Limited,
    /// Takes no login any more, as Amazon's registry says it of a token after its twelve hours.
    Expired,
}

/// Serves with TLS as long as this process lives.
pub struct Front {
    /// As image references name it.
    pub name: String,
    inner: Arc<Inner>,
}

struct Inner {
    registry: String,
    mood: Mutex<Mood>,
    requests: Mutex<Vec<String>>,
    client: reqwest::Client,
}

impl Front {
    pub fn of(registry: &str, mood: Mood) -> Self {
        Self::at(PrivateEngine::shared(), registry, mood)
    }

    /// Where this Engine reaches it.
    pub fn at(engine: &PrivateEngine, registry: &str, mood: Mood) -> Self {
        let address = engine.host_address();
        let inner = Arc::new(Inner {
            registry: registry.to_owned(),
            mood: Mutex::new(mood),
            requests: Mutex::default(),
            client: client(),
        });
        let listener = std::net::TcpListener::bind((address.as_str(), 0)).unwrap();
        let name = listener.local_addr().unwrap().to_string();
        let (app, acceptor) = (axum::Router::new().fallback(answer).with_state(Arc::clone(&inner)), acceptor(&address));
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                listener.set_nonblocking(true).unwrap();
                let listener = TcpListener::from_std(listener).unwrap();
                axum::serve(Tls { listener, acceptor }, app).await
            })
        });
        Self { name, inner }
    }

    pub fn set(&self, mood: Mood) {
        *self.inner.mood.lock().unwrap() = mood;
    }

    /// What was asked so far, as `GET /v2/`.
    pub fn requests(&self) -> Vec<String> {
        self.inner.requests.lock().unwrap().clone()
    }
}

async fn answer(State(inner): State<Arc<Inner>>, request: Request) -> Response {
    let asked = format!("{} {}", request.method(), request.uri().path());
    inner.requests.lock().unwrap().push(asked.clone());
    let mood = *inner.mood.lock().unwrap();
    match mood {
        Mood::Silent => std::future::pending().await,
        Mood::Limited if asked.contains("/manifests/") && request.headers().contains_key("authorization") => limited(),
        Mood::Expired if asked.contains("/manifests/") && request.headers().contains_key("authorization") => expired(),
        Mood::BreaksOff if asked.contains("/blobs/") => break_off(inner.passed_on(request).await).await,
        Mood::Stalls if asked.contains("/blobs/") => stall(inner.passed_on(request).await).await,
        Mood::Good | Mood::BreaksOff | Mood::Stalls | Mood::Limited | Mood::Expired => inner.passed_on(request).await,
    }
}

impl Inner {
    async fn passed_on(&self, request: Request) -> Response {
        let url = format!("https://{}{}", self.registry, request.uri());
        let mut headers = request.headers().clone();
        headers.remove("host");
        let answer = self.client.request(request.method().clone(), url).headers(headers).send().await.unwrap();
        let (status, headers) = (answer.status(), answer.headers().clone());
        (status, without_framing(headers), answer.bytes().await.unwrap()).into_response()
    }
}

/// HEAD has a length and no body, so the length stays.
fn without_framing(mut headers: HeaderMap) -> HeaderMap {
    headers.remove("transfer-encoding");
    headers.remove("connection");
    headers
}

async fn break_off(answer: Response) -> Response {
    let (parts, whole) = whole(answer).await;
    let half = whole.slice(..whole.len() / 2);
    let broken = stream::iter([Ok::<Bytes, std::io::Error>(half), Err(std::io::ErrorKind::ConnectionReset.into())]);
    Response::from_parts(parts, Body::from_stream(broken))
}

/// What an image consists of is told in a blob, too, which is asked for with what its tag means: that one is given whole.
async fn stall(answer: Response) -> Response {
    let (parts, whole) = whole(answer).await;
    if !whole.starts_with(GZIP) {
        return Response::from_parts(parts, Body::from(whole));
    }
    let half = whole.slice(..whole.len() / 2);
    let stalled = stream::iter([Ok::<Bytes, std::io::Error>(half)]).chain(stream::pending());
    Response::from_parts(parts, Body::from_stream(stalled))
}

async fn whole(answer: Response) -> (Parts, Bytes) {
    let (parts, body) = answer.into_parts();
    (parts, axum::body::to_bytes(body, usize::MAX).await.unwrap())
}

fn limited() -> Response {
    let body = r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your pull rate limit. You may increase the limit by authenticating and upgrading: https://www.docker.com/increase-rate-limit"}]}"#;
    let headers = [
        ("content-type", "application/json"),
        ("ratelimit-limit", "100;w=21600"),
        ("ratelimit-remaining", "0;w=21600"),
        ("docker-ratelimit-source", "192.0.2.1"),
        ("retry-after", "1800"),
    ];
    (StatusCode::TOO_MANY_REQUESTS, headers, body).into_response()
}

fn expired() -> Response {
    let body = r#"{"errors":[{"code":"DENIED","message":"Your authorization token has expired. Reauthenticate and try again."}]}"#;
    (StatusCode::FORBIDDEN, [("content-type", "application/json")], body).into_response()
}

fn acceptor(address: &str) -> TlsAcceptor {
    let identity = authority().identity(address);
    let key = PrivateKeyDer::try_from(identity.key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![identity.certificate.der().clone()], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

struct Tls {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl axum::serve::Listener for Tls {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let Ok((stream, address)) = self.listener.accept().await else { continue };
            // A client that hangs up during the handshake is nobody's loss.
            if let Ok(tls) = self.acceptor.accept(stream).await {
                return (tls, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}
