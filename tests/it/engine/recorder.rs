//! A socket in front of an Engine's that writes down every request. Whoever is tested takes it for the Engine.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// What lies in a socket is read at once, also on a busy machine.
const SOON: Duration = Duration::from_secs(60);

/// What a hook is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// The request has come and has not been passed on.
    Asked,
    /// The Engine has done what was asked, and whoever asked does not know yet.
    Answered,
}

/// Called at each moment of each request, in the thread of its connection. `false` ends the connection then and there.
type Hook = dyn Fn(Moment, &str) -> bool + Send + Sync;

/// How many connections may still bring requests.
#[derive(Default)]
struct Readers {
    number: Mutex<usize>,
    fewer: Condvar,
}

/// Threads of their own, so that it serves other processes and outlives a test's runtime.
pub struct Recorder {
    socket: PathBuf,
    requests: Arc<Mutex<Vec<String>>>,
    readers: Arc<Readers>,
    _dir: tempfile::TempDir,
}

impl Recorder {
    /// Listens on a new socket and passes everything on to this one.
    pub fn in_front_of(engine: &Path) -> Self {
        Self::with_hook(engine, |_, _| true)
    }

    /// Tells a hook of everything before it goes on.
    pub fn with_hook(engine: &Path, hook: impl Fn(Moment, &str) -> bool + Send + Sync + 'static) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("docker.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let requests = Arc::<Mutex<Vec<String>>>::default();
        let readers = Arc::<Readers>::default();
        let (engine, log, hook) =
            (engine.to_owned(), Arc::clone(&requests), Arc::<Hook>::from(Box::new(hook) as Box<Hook>));
        let reading = Arc::clone(&readers);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (engine, log, hook) = (engine.clone(), Arc::clone(&log), Arc::clone(&hook));
                let reader = Reader::begins(&reading);
                thread::spawn(move || {
                    // Both sides see for themselves that it ended.
                    let _ = pass_on(client, &engine, &log, &hook);
                    drop(reader);
                });
            }
        });
        Self { socket, requests, readers, _dir: dir }
    }

    /// Does this once, when a service is about to be written.
    pub fn before_an_update(engine: &Path, act: impl FnOnce() + Send + 'static) -> Self {
        let act = Mutex::new(Some(act));
        Self::with_hook(engine, move |moment, request| {
            if moment == Moment::Asked
                && request.contains("/update?")
                && let Some(act) = act.lock().unwrap().take()
            {
                act();
            }
            true
        })
    }

    /// As in `DOCKER_HOST`.
    pub fn endpoint(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// Waits until everything is written down that was asked on connections which have ended: whoever was killed leaves
    /// requests behind that are yet to be read. Nobody else may have one open.
    pub fn catch_up(&self) {
        // Connections are taken in their order, so once this one has ended all before it are counted.
        let mut last = UnixStream::connect(&self.socket).unwrap();
        last.shutdown(Shutdown::Write).unwrap();
        // A reset is an end, too.
        let _ = last.read_to_end(&mut Vec::new());
        let number = self.readers.number.lock().unwrap();
        let (number, _) = self.readers.fewer.wait_timeout_while(number, SOON, |number| *number > 0).unwrap();
        assert_eq!(*number, 0, "somebody has a connection open still");
    }

    /// Takes what was asked since the last time, each as `GET /v1.41/services?filters=…`.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.requests.lock().unwrap())
    }
}

/// One connection whose requests are read, until it is dropped.
struct Reader(Arc<Readers>);

impl Reader {
    fn begins(readers: &Arc<Readers>) -> Self {
        *readers.number.lock().unwrap() += 1;
        Self(Arc::clone(readers))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        *self.0.number.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.fewer.notify_all();
    }
}

/// What of these requests is neither GET nor HEAD.
pub fn writes(requests: &[String]) -> Vec<&String> {
    requests.iter().filter(|request| is_write(request)).collect()
}

pub fn stack_writes(requests: &[String]) -> Vec<&String> {
    requests.iter().filter(|request| is_stack_write(request)).collect()
}

/// Without the tags by which images are kept, which are nothing of the stack's.
pub fn is_stack_write(request: &str) -> bool {
    is_write(request) && !request.contains("/tag?repo=evenkeel%2Fkeep")
}

pub fn is_write(request: &str) -> bool {
    !request.starts_with("GET ") && !request.starts_with("HEAD ")
}

/// An error on either side ends both: the tested program sees a connection that closed, as with the Engine itself.
fn pass_on(client: UnixStream, engine: &Path, log: &Mutex<Vec<String>>, hook: &Arc<Hook>) -> io::Result<()> {
    let engine = UnixStream::connect(engine)?;
    let (answers, back) = (engine.try_clone()?, client.try_clone()?);
    let asked = Arc::<Mutex<Option<String>>>::default();
    let (unanswered, told) = (Arc::clone(&asked), Arc::clone(hook));
    thread::spawn(move || {
        let _ = pass_back(&answers, &back, &unanswered, &told);
        let _ = (back.shutdown(Shutdown::Both), answers.shutdown(Shutdown::Both));
    });
    let mut requests = BufReader::new(client);
    let mut to = engine.try_clone()?;
    let passed = loop {
        match pass_request(&mut requests, &mut to, log, &asked, hook) {
            Ok(true) => {}
            done => break done,
        }
    };
    engine.shutdown(if passed.is_ok() { Shutdown::Write } else { Shutdown::Both })
}

/// Clients do not ask again on a connection before they have their answer, so the first bytes after a request are its
/// answer's.
fn pass_back(
    mut from: &UnixStream,
    mut to: &UnixStream,
    asked: &Mutex<Option<String>>,
    hook: &Arc<Hook>,
) -> io::Result<()> {
    let mut bytes = [0; 1 << 16];
    loop {
        let read = from.read(&mut bytes)?;
        let request = asked.lock().unwrap().take();
        if read == 0 || request.is_some_and(|request| !hook(Moment::Answered, &request)) {
            return Ok(());
        }
        to.write_all(&bytes[..read])?;
    }
}

/// Passes one request on; `false` at the end of the connection.
fn pass_request(
    from: &mut impl BufRead,
    to: &mut impl Write,
    log: &Mutex<Vec<String>>,
    asked: &Mutex<Option<String>>,
    hook: &Arc<Hook>,
) -> io::Result<bool> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if from.read_until(b'\n', &mut head)? == 0 {
            return Ok(false);
        }
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    let line = text.lines().next().unwrap_or_default();
    let request = line.rsplit_once(' ').map_or(line, |(request, _)| request).to_owned();
    log.lock().unwrap().push(request.clone());
    if !hook(Moment::Asked, &request) {
        return Err(io::ErrorKind::ConnectionAborted.into());
    }
    *asked.lock().unwrap() = Some(request);
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

#[test]
fn what_was_asked_by_one_who_is_gone_is_written_down_once_the_recorder_has_caught_up() {
    let dir = tempfile::tempdir().unwrap();
    let engine = UnixListener::bind(dir.path().join("engine.sock")).unwrap();
    let recorder = Recorder::in_front_of(&dir.path().join("engine.sock"));
    thread::spawn(move || {
        for asked in engine.incoming().map_while(Result::ok) {
            thread::spawn(move || io::copy(&mut &asked, &mut io::sink()));
        }
    });
    for number in 0..100 {
        let mut client = UnixStream::connect(&recorder.socket).unwrap();
        write!(client, "POST /{number} HTTP/1.1\r\n\r\n").unwrap();
        drop(client);

        recorder.catch_up();

        assert_eq!(recorder.take(), [format!("POST /{number}")]);
    }
}
