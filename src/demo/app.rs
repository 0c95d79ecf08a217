//! The app of the demo's images: a small web server that can be made to fail.
//!
//! It runs inside a container as process 1, where no signal has a default action: it waits for SIGTERM itself, so
//! that a stop takes no grace period.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, fs, io, process, thread};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{SigSet, Signal};

use super::schema;

const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// What the container's environment asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Settings {
    version: String,
    port: u16,
    data: PathBuf,
    /// The schema that this version keeps notes in; `None` where it keeps none.
    schema: Option<u16>,
    failure: Option<Failure>,
}

/// The app ends after so many seconds with this code, having said why.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Failure {
    after: Duration,
    code: u8,
    words: String,
}

impl Settings {
    /// `VERSION`, `PORT`, `DATA`, `SCHEMA`; `FAIL_AFTER` (seconds) makes it fail, with `EXIT_CODE` and `FAIL_WORDS`.
    fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let number = |name: &str, default: u16| match variable(name) {
            Some(text) => text.parse::<u16>().with_context(|| format!("read {name}={text} as a number")),
            None => Ok(default),
        };
        let failure = match variable("FAIL_AFTER") {
            None => None,
            Some(_) => Some(Failure {
                after: Duration::from_secs(number("FAIL_AFTER", 0)?.into()),
                code: u8::try_from(number("EXIT_CODE", 1)?).context("EXIT_CODE is at most 255")?,
                words: variable("FAIL_WORDS").unwrap_or_else(|| "told to fail".to_owned()),
            }),
        };
        Ok(Self {
            version: variable("VERSION").unwrap_or_else(|| "unknown".to_owned()),
            port: number("PORT", 8080)?,
            data: variable("DATA").unwrap_or_else(|| "/data".to_owned()).into(),
            schema: variable("SCHEMA").map(|_| number("SCHEMA", 1)).transpose()?,
            failure,
        })
    }
}

/// The hidden `demo-app` command: serves until SIGTERM or SIGINT; with `--check` asks the app of this container
/// whether it is well. Gives the process's exit code. Has to be called while the process has one thread.
pub fn app_main(arguments: impl IntoIterator<Item = String>) -> u8 {
    let check = arguments.into_iter().any(|argument| argument == "--check");
    let ended = Settings::read(|name| env::var(name).ok()).and_then(|settings| match check {
        true => ask(settings.port, "/healthz").map(drop),
        false => serve(settings),
    });
    match ended {
        Ok(()) => 0,
        Err(cause) => {
            eprintln!("demo-app: {cause:#}");
            1
        }
    }
}

fn serve(settings: Settings) -> Result<()> {
    let mut ends = SigSet::empty();
    ends.add(Signal::SIGTERM);
    ends.add(Signal::SIGINT);
    // Before any thread starts: threads inherit the mask, so the signals wait for us alone.
    ends.thread_block().context("block the signals that end the app")?;
    if let Some(schema) = settings.schema {
        schema::keep(&settings.data.join(schema::FILE), schema)?;
    }
    let starts = count(&settings.data.join("starts")).context("count this start")?;
    // Not before: what it keeps is whole whenever it fails.
    if let Some(failure) = settings.failure.clone() {
        thread::spawn(move || fail(&failure));
    }
    let listener =
        TcpListener::bind(("0.0.0.0", settings.port)).with_context(|| format!("listen on port {}", settings.port))?;
    println!("version {} serves on port {}, start {starts}", settings.version, settings.port);
    thread::spawn(move || answer_all(&listener, &settings));
    ends.wait().context("wait for a signal")?;
    Ok(())
}

fn fail(failure: &Failure) {
    thread::sleep(failure.after);
    eprintln!("fatal: {}", failure.words);
    process::exit(failure.code.into());
}

fn answer_all(listener: &TcpListener, settings: &Settings) {
    for stream in listener.incoming().flatten() {
        if let Err(cause) = answer(stream, settings) {
            eprintln!("a request was not answered: {cause:#}");
        }
    }
}

fn answer(mut stream: TcpStream, settings: &Settings) -> Result<()> {
    stream.set_read_timeout(Some(CHECK_TIMEOUT))?;
    let path = requested_path(&mut BufReader::new(&stream))?;
    let (status, body) = match path.as_str() {
        "/" => ("200 OK", format!("{} visit {}\n", settings.version, count(&settings.data.join("visits"))?)),
        "/healthz" => ("200 OK", format!("{}\n", settings.version)),
        _ => ("404 Not Found", "not here\n".to_owned()),
    };
    let length = body.len();
    write!(stream, "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")?;
    Ok(())
}

/// The path of a request, whose headers are read to their end: closing a socket with unread bytes resets it.
fn requested_path(request: &mut impl BufRead) -> Result<String> {
    let mut lines = request.lines();
    let first = lines.next().context("an empty request")??;
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    Ok(first.split(' ').nth(1).context("a request without a path")?.to_owned())
}

/// One more than the number in this file, which holds it afterwards.
fn count(file: &Path) -> Result<u64> {
    let before = match fs::read_to_string(file) {
        Ok(text) => text.trim().parse().with_context(|| format!("{} holds no number", file.display()))?,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => 0,
        Err(cause) => return Err(cause).with_context(|| format!("read {}", file.display())),
    };
    fs::write(file, format!("{}\n", before + 1)).with_context(|| format!("write {}", file.display()))?;
    Ok(before + 1)
}

/// The body that the app of this machine serves at a path.
fn ask(port: u16, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).with_context(|| format!("connect to port {port}"))?;
    stream.set_read_timeout(Some(CHECK_TIMEOUT))?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let answer = io::read_to_string(stream).context("read the answer")?;
    let (head, body) = answer.split_once("\r\n\r\n").context("the answer has no end of headers")?;
    ensure!(head.starts_with("HTTP/1.1 200 "), "{path} answers {}", head.lines().next().unwrap_or_default());
    Ok(body.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(variables: &[(&str, &str)]) -> Result<Settings> {
        Settings::read(|name| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn it_fails_only_when_the_environment_asks_for_it() {
        assert_eq!(settings(&[]).unwrap().failure, None);
        let failing = settings(&[("FAIL_AFTER", "2"), ("EXIT_CODE", "3"), ("FAIL_WORDS", "no database")]).unwrap();
        let expected = Failure { after: Duration::from_secs(2), code: 3, words: "no database".to_owned() };
        assert_eq!(failing.failure, Some(expected));
        assert!(settings(&[("FAIL_AFTER", "soon")]).is_err());
        assert!(settings(&[("SCHEMA", "two")]).is_err());
        assert!(settings(&[("FAIL_AFTER", "0"), ("EXIT_CODE", "256")]).is_err());
    }

    #[test]
    fn it_serves_its_version_and_keeps_its_visits_in_the_data_folder() {
        let data = tempfile::tempdir().unwrap();
        let folder = data.path().display().to_string();
        let settings = settings(&[("VERSION", "1.2.3"), ("DATA", &folder)]).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || answer_all(&listener, &settings));

        assert_eq!(ask(port, "/healthz").unwrap(), "1.2.3\n");
        assert_eq!(ask(port, "/").unwrap(), "1.2.3 visit 1\n");
        assert_eq!(ask(port, "/").unwrap(), "1.2.3 visit 2\n");
        assert!(ask(port, "/elsewhere").unwrap_err().to_string().contains("404"));
        assert_eq!(fs::read_to_string(data.path().join("visits")).unwrap(), "2\n");
    }
}
