//! A socket in front of an Engine's that writes down every request. Whoever is tested takes it for the Engine.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;

/// Threads of their own, so that it serves other processes and outlives a test's runtime.
pub struct Recorder {
    socket: PathBuf,
    requests: Arc<Mutex<Vec<String>>>,
    _dir: tempfile::TempDir,
}

impl Recorder {
    /// Listens on a new socket and passes everything on to this one.
    pub fn in_front_of(engine: &Path) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("docker.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let requests = Arc::<Mutex<Vec<String>>>::default();
        let (engine, log) = (engine.to_owned(), Arc::clone(&requests));
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (engine, log) = (engine.clone(), Arc::clone(&log));
                thread::spawn(move || pass_on(client, &engine, &log));
            }
        });
        Self { socket, requests, _dir: dir }
    }

    /// As in `DOCKER_HOST`.
    pub fn endpoint(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// Takes what was asked since the last time, each as `GET /v1.41/services?filters=…`.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.requests.lock().unwrap())
    }
}

/// What of these requests is neither GET nor HEAD.
pub fn writes(requests: &[String]) -> Vec<&String> {
    requests.iter().filter(|request| !request.starts_with("GET ") && !request.starts_with("HEAD ")).collect()
}

/// An error on either side ends both: the tested program sees a connection that closed, as with the Engine itself.
fn pass_on(client: UnixStream, engine: &Path, log: &Mutex<Vec<String>>) -> io::Result<()> {
    let engine = UnixStream::connect(engine)?;
    let (mut answers, mut back) = (engine.try_clone()?, client.try_clone()?);
    thread::spawn(move || {
        let _ = io::copy(&mut answers, &mut back);
        let _ = back.shutdown(std::net::Shutdown::Both);
    });
    let mut requests = BufReader::new(client);
    let mut to = engine.try_clone()?;
    while pass_request(&mut requests, &mut to, log)? {}
    engine.shutdown(std::net::Shutdown::Write)
}

/// Passes one request on; `false` at the end of the connection.
fn pass_request(from: &mut impl BufRead, to: &mut impl Write, log: &Mutex<Vec<String>>) -> io::Result<bool> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if from.read_until(b'\n', &mut head)? == 0 {
            return Ok(false);
        }
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    let line = text.lines().next().unwrap_or_default();
    log.lock().unwrap().push(line.rsplit_once(' ').map_or(line, |(request, _)| request).to_owned());
    to.write_all(&head)?;
    let header = |name: &str| {
        let fields = text.lines().skip(1).filter_map(|line| line.split_once(':'));
        fields.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned()).next()
    };
    if header("Transfer-Encoding").is_some() {
        pass_chunks(from, to)?;
    } else if let Some(length) = header("Content-Length") {
        io::copy(&mut from.take(length.parse().unwrap()), to)?;
    }
    if header("Upgrade").is_some() {
        io::copy(from, to)?;
    }
    Ok(true)
}

fn pass_chunks(from: &mut impl BufRead, to: &mut impl Write) -> io::Result<()> {
    loop {
        let mut line = String::new();
        from.read_line(&mut line)?;
        to.write_all(line.as_bytes())?;
        let size =
            u64::from_str_radix(line.trim().split(';').next().unwrap_or_default(), 16).map_err(io::Error::other)?;
        // Each chunk, and the last one of no length, ends with a line end.
        io::copy(&mut from.by_ref().take(size + 2), to)?;
        if size == 0 {
            return Ok(());
        }
    }
}
