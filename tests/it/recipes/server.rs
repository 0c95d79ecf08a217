//! A git server over HTTP on this machine, that can be told to misbehave.

use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::sync::watch;

/// What a request is answered with.
#[derive(Debug, Clone)]
pub enum Answer {
    /// What git says.
    Git,
    /// What git says, for those who send this as their authorization.
    GitFor(&'static str),
    Status(u16),
    Redirect(String),
    Garbage,
    /// The first bytes of what git says, and then nothing more until the server hangs up.
    First(usize),
    /// A line feed again and again: never silent, never at an end.
    Drops,
}

#[derive(Debug, Clone)]
pub struct Asked {
    pub method: String,
    pub path: String,
    pub authorization: Option<String>,
}

pub struct Server {
    pub origin: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    answer: Arc<Mutex<(Answer, Answer)>>,
    hang_up: watch::Sender<()>,
    /// Requests for objects so far.
    fetches: watch::Receiver<usize>,
}

impl Server {
    /// Serves all repositories below a folder.
    pub async fn start(folder: &Path) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let answer = Arc::new(Mutex::new((Answer::Git, Answer::Git)));
        let (tell, fetches) = watch::channel(0);
        let (hang_up, end) = watch::channel(());
        let (log, answers, folder) = (asked.clone(), answer.clone(), folder.to_owned());
        let serve = move |request: Request| {
            let (parts, body) = request.into_parts();
            let authorization = parts.headers.get(header::AUTHORIZATION).map(|it| it.to_str().unwrap().to_owned());
            let (method, path) = (parts.method.to_string(), parts.uri.to_string());
            log.lock().unwrap().push(Asked { method, path, authorization });
            let (listing, fetching) = answers.lock().unwrap().clone();
            let (folder, mut end, tell) = (folder.clone(), end.clone(), tell.clone());
            end.mark_unchanged();
            async move {
                let body = axum::body::to_bytes(body, 1 << 24).await.unwrap();
                let is_fetch = body.windows(13).any(|window| window == b"command=fetch") || is_zipped(&parts.headers);
                let answer = if is_fetch { fetching } else { listing };
                tell.send_modify(|count| *count += usize::from(is_fetch));
                answered(answer, &folder, &parts, body, end).await
            }
        };
        let app = axum::Router::new().fallback(serve);
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { origin, asked, answer, hang_up, fetches }
    }

    pub fn url(&self, repository: &str) -> String {
        format!("{}/{repository}", self.origin)
    }

    /// Every request is answered so.
    pub fn answers(&self, answer: Answer) {
        *self.answer.lock().unwrap() = (answer.clone(), answer);
    }

    /// Requests for objects are answered so; branches and tags are told as they are.
    pub fn answers_fetches(&self, answer: Answer) {
        *self.answer.lock().unwrap() = (Answer::Git, answer);
    }

    /// The requests since this was asked last.
    pub fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    /// Ends what it says nothing more on.
    pub fn hangs_up(&self) {
        self.hang_up.send_replace(());
    }

    /// Waits for the next request for objects.
    pub async fn is_asked_for_objects(&mut self) {
        self.fetches.mark_unchanged();
        self.fetches.changed().await.unwrap();
    }
}

/// Long questions are zipped, and only those for objects are long.
fn is_zipped(headers: &HeaderMap) -> bool {
    headers.contains_key(header::CONTENT_ENCODING)
}

async fn answered(answer: Answer, folder: &Path, parts: &Parts, body: Bytes, mut end: watch::Receiver<()>) -> Response {
    let demand = [(header::WWW_AUTHENTICATE, "Basic realm=\"git\"")];
    match answer {
        Answer::Git => from_git(folder, parts, body).await,
        Answer::GitFor(whom) => match parts.headers.get(header::AUTHORIZATION) {
            Some(given) if given == whom => from_git(folder, parts, body).await,
            _ => (StatusCode::UNAUTHORIZED, demand).into_response(),
        },
        Answer::Status(401) => (StatusCode::UNAUTHORIZED, demand).into_response(),
        Answer::Status(code) => (StatusCode::from_u16(code).unwrap(), "no \x1b[2J").into_response(),
        Answer::Redirect(to) => {
            let to = format!("{to}{}", parts.uri);
            (StatusCode::FOUND, [(header::LOCATION, to)]).into_response()
        }
        Answer::Garbage => {
            let kind = "application/x-git-upload-pack-advertisement";
            ([(header::CONTENT_TYPE, kind)], "\u{1b}[2Jnot git at all\n".repeat(100)).into_response()
        }
        Answer::First(bytes) => {
            let (parts, body) = from_git(folder, parts, body).await.into_parts();
            let whole = axum::body::to_bytes(body, 1 << 24).await.unwrap();
            let first = futures_util::stream::iter([Ok::<_, std::io::Error>(whole.slice(..bytes.min(whole.len())))]);
            let ended = async move {
                let _ = end.changed().await;
                Err(std::io::Error::other("hung up"))
            };
            Response::from_parts(parts, Body::from_stream(first.chain(futures_util::stream::once(ended))))
        }
        Answer::Drops => {
            let drop = futures_util::stream::unfold((), |()| async {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                Some((Ok::<_, std::io::Error>(Bytes::from_static(b"\n")), ()))
            });
            let kind = "application/x-git-upload-pack-advertisement";
            ([(header::CONTENT_TYPE, kind)], Body::from_stream(drop)).into_response()
        }
    }
}

/// git's own server, as CGI calls it.
async fn from_git(folder: &Path, parts: &Parts, body: Bytes) -> Response {
    let text = |name: HeaderName| parts.headers.get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
    let mut backend = Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", folder)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("REQUEST_METHOD", parts.method.as_str())
        .env("PATH_INFO", parts.uri.path())
        .env("QUERY_STRING", parts.uri.query().unwrap_or_default())
        .env("CONTENT_TYPE", text(header::CONTENT_TYPE))
        .env("HTTP_CONTENT_ENCODING", text(header::CONTENT_ENCODING))
        .env("GIT_PROTOCOL", text(HeaderName::from_static("git-protocol")))
        .env("CONTENT_LENGTH", body.len().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = backend.stdin.take().unwrap();
    tokio::spawn(async move { stdin.write_all(&body).await });
    let said = backend.wait_with_output().await.unwrap().stdout;
    let end = said.windows(4).position(|window| window == b"\r\n\r\n").expect("headers end");
    let mut response = Response::new(Body::from(said[end + 4..].to_vec()));
    for line in String::from_utf8_lossy(&said[..end]).lines() {
        let (name, value) = line.split_once(": ").unwrap();
        if name == "Status" {
            *response.status_mut() = value[..3].parse().unwrap();
            continue;
        }
        response.headers_mut().insert(HeaderName::try_from(name).unwrap(), HeaderValue::try_from(value).unwrap());
    }
    response
}
