//! How git is called: no configuration but ours, no prompt, no hook, no secret in an argument.

use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tracing::warn;

use super::Bounds;
use super::directory::open_plain;
use crate::host::command::Command;

/// Passed by environment: arguments are public, and a remote's git must not see it.
const CONFIG: [(&str, &str); 18] = [
    ("core.hooksPath", "/dev/null"),
    // The mirror may belong to another user, as after a restore from a backup. Its own config is ours word by word.
    ("safe.directory", "*"),
    // Commits that a moved tag left behind have to stay.
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    // A pack a fetch: fewer files to sync, and whole or not there.
    ("fetch.unpackLimit", "1"),
    ("fetch.recurseSubmodules", "false"),
    ("credential.helper", ""),
    // Less than 1000 bytes a second for 30 s is a remote that hangs.
    ("http.lowSpeedLimit", "1000"),
    ("http.lowSpeedTime", "30"),
    // Nothing is ever checked out, and what is read is checked by its reader. The strict check of git refuses old
    // honest histories (a missing space in an author's line) for harm that only a checkout does.
    ("transfer.fsckObjects", "false"),
    ("fetch.fsckObjects", "false"),
    // Large files are passed on in pieces: they never lie in memory whole.
    ("core.bigFileThreshold", "1m"),
    ("pack.threads", "1"),
    ("core.packedGitWindowSize", "32m"),
    ("core.packedGitLimit", "256m"),
    ("core.deltaBaseCacheLimit", "16m"),
    ("core.multiPackIndex", "false"),
    ("core.commitGraph", "false"),
];

const LONGEST_CREDENTIALS: u64 = 64 << 10;
/// A dead peer ends ssh: nothing else would.
const SSH: &str = "ssh -o BatchMode=yes -o ConnectTimeout=30 -o ServerAliveInterval=15 -o ServerAliveCountMax=2";

const LOCAL_UPLOAD: &str = "git -c 'safe.directory=*' -c core.bigFileThreshold=1m -c pack.threads=1 upload-pack";

/// The remote and how to get in. No `Debug`: the header is a secret.
pub(super) struct Access {
    url: String,
    header: Option<String>,
}

impl Access {
    /// # Errors
    /// For addresses that would put a password into the process list or be taken for an option, and for a credentials
    /// file that is not one line `user:token`.
    pub(super) fn new(url: &str, credentials: Option<&Path>) -> Result<Self> {
        ensure!(!url.chars().any(char::is_control), "{url:?} is not the address of a git repository");
        ensure!(!url.is_empty() && !url.starts_with('-'), "{url:?} is not the address of a git repository");
        if printable(url) != url {
            bail!("{} has a password in it; put `user:token` into a file and name it as `credentials`", printable(url));
        }
        let header = match credentials {
            None => None,
            Some(_) if !is_http(url) => bail!("credentials are for https and http, and {url} is neither; remove them"),
            Some(file) => Some(header(file).with_context(|| format!("read the credentials {}", file.display()))?),
        };
        Ok(Self { url: url.to_owned(), header })
    }
}

fn is_http(url: &str) -> bool {
    url.starts_with("https://") || url.starts_with("http://")
}

fn header(file: &Path) -> Result<String> {
    let text = read_line(file)?;
    let line = text.trim_end_matches(['\r', '\n']);
    let whole = line.split_once(':').is_some_and(|(user, token)| !user.is_empty() && !token.is_empty());
    ensure!(whole && !line.contains(char::is_control), "it has to be one line `user:token`");
    Ok(format!("Authorization: Basic {}", STANDARD.encode(line)))
}

fn read_line(file: &Path) -> io::Result<String> {
    let opened = open_plain(file)?;
    if opened.metadata()?.permissions().mode() & 0o004 != 0 {
        warn!("everybody on this host can read the credentials {}: chmod 600 it", file.display());
    }
    let mut text = String::new();
    opened.take(LONGEST_CREDENTIALS).read_to_string(&mut text)?;
    Ok(text)
}

/// The address without a password that somebody wrote into it.
pub(super) fn printable(url: &str) -> String {
    let hidden = || {
        let (scheme, rest) = url.split_once("://")?;
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (user, host) = host.rsplit_once('@')?;
        let (user, _password) = user.split_once(':')?;
        Some(format!("{scheme}://{user}:***@{host}{path}"))
    };
    hidden().unwrap_or_else(|| url.to_owned())
}

/// git on a repository of ours, without a remote.
pub(super) fn local_git<'a>(repository: &Path, memory: u64, args: impl IntoIterator<Item = &'a str>) -> Command {
    git(repository, &[]).env("GIT_ALLOW_PROTOCOL", "none").memory(memory).args(args)
}

/// What the remote has, by name: nothing of it is taken.
pub(super) fn list(access: &Access, bounds: &Bounds) -> Command {
    // No repository: a folder that is none keeps git from finding one above us.
    let command = remote_git(Path::new("/dev/null"), access, bounds).arg("ls-remote").arg("--quiet");
    access.upload_pack(command).args(["--", &access.url]).within(bounds.listing).at_most(bounds.listing_bytes())
}

/// Fetches objects by their ids, with all that they lead to. No ref is written: the remote names nothing here.
pub(super) fn fetch(repository: &Path, access: &Access, ids: &[String], bounds: &Bounds) -> Command {
    let command = remote_git(repository, access, bounds).arg("fetch").within(bounds.fetch);
    let command = command.args(["--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance"]);
    // A clone without all of its history has still whole trees.
    access.upload_pack(command.arg("--update-shallow")).args(["--", &access.url]).args(ids)
}

fn remote_git(repository: &Path, access: &Access, bounds: &Bounds) -> Command {
    let mut config = vec![("http.followRedirects".to_owned(), "initial".to_owned())];
    if let Some(header) = &access.header {
        // git sends the header on to wherever it is led, so it must not be led anywhere.
        config = vec![("http.followRedirects".to_owned(), "false".to_owned())];
        config.push((format!("http.{}.extraHeader", access.url), header.clone()));
    }
    git(repository, &config).env("GIT_ALLOW_PROTOCOL", access.protocols()).memory(bounds.memory)
}

impl Access {
    /// The ways that lead to this remote: another one that it may lead to has to be as safe.
    fn protocols(&self) -> &'static str {
        match self.url.split_once("://").map(|(scheme, _)| scheme) {
            Some("https") => "https",
            Some("http") => "http:https",
            Some("git") => "git",
            None | Some("file") if is_local(&self.url) => "file",
            _ => "ssh",
        }
    }

    fn upload_pack(&self, command: Command) -> Command {
        // Its git does not see our configuration, and an operator's repository may belong to the operator.
        match is_local(&self.url) {
            true => command.arg(format!("--upload-pack={LOCAL_UPLOAD}")),
            false => command,
        }
    }
}

/// As git itself tells paths from addresses: `host:path` is ssh, unless a slash comes before the colon.
fn is_local(url: &str) -> bool {
    if let Some((scheme, _)) = url.split_once("://") {
        return scheme == "file";
    }
    let before_colon = url.split(':').next().unwrap_or_default();
    before_colon == url || before_colon.contains('/')
}

fn git(repository: &Path, more: &[(String, String)]) -> Command {
    let fixed = CONFIG.iter().map(|(key, value)| (*key, *value));
    let more = more.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    let config: Vec<_> = fixed.chain(more).collect();
    let command = Command::new("git")
        .env("GIT_DIR", repository)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_SSH_COMMAND", SSH)
        .env("GIT_ATTR_NOSYSTEM", "1")
        .env("GIT_NO_REPLACE_OBJECTS", "1")
        .env("GIT_CONFIG_COUNT", config.len().to_string());
    config.iter().enumerate().fold(command, |command, (index, (key, value))| {
        command.env(format!("GIT_CONFIG_KEY_{index}"), key).env(format!("GIT_CONFIG_VALUE_{index}"), value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    const URL: &str = "https://git.example.org/wiki.git";

    fn credentials(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    #[test]
    fn credentials_are_in_no_argument_and_no_debug_text() {
        let file = credentials("robot:s3cret\n");
        let access = Access::new(URL, Some(file.path())).unwrap();
        let encoded = STANDARD.encode("robot:s3cret");
        assert_eq!(access.header.as_deref(), Some(format!("Authorization: Basic {encoded}").as_str()));
        let command = fetch(Path::new("/mirror.git"), &access, &["0".repeat(40)], &Bounds::default());
        let argv: Vec<_> = command.argv().map(|arg| arg.to_string_lossy().into_owned()).collect();
        for shown in [argv.join(" "), format!("{command:?}")] {
            assert!(shown.contains(URL), "{shown}");
            assert!(!shown.contains("s3cret") && !shown.contains(&encoded), "{shown}");
        }
    }

    #[test]
    fn credentials_are_one_line_for_an_http_remote() {
        for text in ["", "robot", "robot:", ":token", "robot:a\nrobot:b\n"] {
            let file = credentials(text);
            let error = format!("{:#}", Access::new(URL, Some(file.path())).err().unwrap());
            assert!(error.contains("one line `user:token`"), "{text:?}: {error}");
        }
        let file = credentials("robot:t");
        assert!(Access::new("ssh://git@git.example.org/wiki.git", Some(file.path())).is_err());
        assert!(Access::new(URL, Some(Path::new("/no/such/file"))).is_err());
    }

    #[test]
    fn a_password_in_an_address_is_refused_and_not_repeated() {
        let error = Access::new("https://robot:s3cret@git.example.org/wiki.git", None).err().unwrap().to_string();
        assert!(error.contains("https://robot:***@git.example.org/wiki.git has a password"), "{error}");
        for url in [URL, "ssh://git@git.example.org:2222/wiki.git", "git@git.example.org:wiki.git", "/srv/a:b@c/wiki"] {
            assert!(Access::new(url, None).is_ok(), "{url}");
        }
        assert!(Access::new("--upload-pack=evil", None).is_err());
    }

    #[test]
    fn paths_are_told_from_addresses() {
        for url in ["/srv/wiki", "./wiki", "wiki", "file:///srv/wiki", "/srv/a:b"] {
            assert!(is_local(url), "{url}");
        }
        for url in [URL, "git@git.example.org:wiki.git", "git.example.org:wiki", "ssh://x/wiki"] {
            assert!(!is_local(url), "{url}");
        }
    }
}
