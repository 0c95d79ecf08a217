//! An Engine of an empty Swarm that takes no write, for tests of what comes before the first one.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};

/// Answers by path, without version and query. Whatever else is looked for is an empty list.
type Answers = BTreeMap<String, Value>;

/// In place of a path: with which words everything is refused that is not answered.
pub const REFUSAL: &str = "*";

pub struct EmptyEngine {
    socket: PathBuf,
    asked: Arc<Mutex<Vec<String>>>,
    answers: Arc<Mutex<Answers>>,
    _dir: tempfile::TempDir,
}

impl EmptyEngine {
    pub fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("docker.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let answers = Arc::new(Mutex::new(Answers::from([
            ("/info".to_owned(), manager()),
            ("/volumes".to_owned(), json!({"Volumes": []})),
            ("/swarm".to_owned(), json!({"ID": "s"})),
        ])));
        let engine = Self { socket, asked: Arc::clone(&asked), answers: Arc::clone(&answers), _dir: dir };
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (asked, answers) = (Arc::clone(&asked), Arc::clone(&answers));
                thread::spawn(move || serve(client, &asked, &answers));
            }
        });
        engine
    }

    /// As in `DOCKER_HOST`.
    pub fn endpoint(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// Tells this from now on when it is asked for `path`.
    pub fn tells(&self, path: &str, answer: Value) {
        self.answers.lock().unwrap().insert(path.to_owned(), answer);
    }

    pub fn set_mode(&self, mode: u32) {
        std::fs::set_permissions(&self.socket, Permissions::from_mode(mode)).unwrap();
    }

    /// What was asked since the last time, each as `GET /v1.41/services?filters=…`.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

/// What `/info` says of a node that is the manager of its Swarm.
pub fn manager() -> Value {
    json!({"Swarm": {"NodeID": "n", "LocalNodeState": "active", "ControlAvailable": true, "Cluster": {"ID": "s"}}})
}

fn serve(client: UnixStream, asked: &Mutex<Vec<String>>, answers: &Mutex<Answers>) -> io::Result<()> {
    let mut requests = BufReader::new(client.try_clone()?);
    let mut client = client;
    while let Some(request) = next_request(&mut requests)? {
        let (status, body) = answer(&request, &answers.lock().unwrap());
        asked.lock().unwrap().push(request);
        let body = body.to_string();
        write!(client, "HTTP/1.1 {status} -\r\nApi-Version: 1.41\r\nContent-Length: {}\r\n\r\n{body}", body.len())?;
    }
    Ok(())
}

/// Method and path of the next request, its body read; `None` at the end of the connection.
fn next_request(from: &mut impl BufRead) -> io::Result<Option<String>> {
    let (mut first, mut length) = (String::new(), 0);
    if from.read_line(&mut first)? == 0 {
        return Ok(None);
    }
    loop {
        let mut line = String::new();
        from.read_line(&mut line)?;
        match line.trim().split_once(':') {
            None => break,
            Some((key, value)) if key.eq_ignore_ascii_case("content-length") => length = value.trim().parse().unwrap(),
            Some(_) => {}
        }
    }
    io::copy(&mut from.take(length), &mut io::sink())?;
    Ok(first.rsplit_once(' ').map(|(request, _)| request.to_owned()))
}

fn answer(request: &str, answers: &Answers) -> (u16, Value) {
    let refusal = |words: String| json!({ "message": answers.get(REFUSAL).cloned().unwrap_or(words.into()) });
    let Some(path) = request.strip_prefix("GET ") else {
        return (500, refusal("this Engine takes no writes".to_owned()));
    };
    let path = path.split('?').next().unwrap_or_default();
    let path = path.strip_prefix("/v1.41").unwrap_or(path);
    match answers.get(path) {
        Some(answer) => (200, answer.clone()),
        // A list is one word; more ask for one object.
        None if path.matches('/').count() == 1 || path.ends_with("/json") && path.starts_with("/containers") => {
            (200, json!([]))
        }
        None => (404, refusal(format!("there is no {path} here"))),
    }
}
