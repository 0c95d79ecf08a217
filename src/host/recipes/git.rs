//! How git is called: no configuration but ours, no prompt, no hook, no secret in an argument.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::host::command::Command;

/// Where the remote's default branch is kept.
pub(super) const HEAD: &str = "refs/evenkeel/head";
const HEAD_SPEC: &str = "+HEAD:refs/evenkeel/head";
const BRANCHES: &str = "+refs/heads/*:refs/heads/*";
const TAGS: &str = "+refs/tags/*:refs/tags/*";

const FETCH_LIMIT: Duration = Duration::from_secs(300);

/// Passed by environment: a mirror's own config could have been written by others, and arguments are public.
const CONFIG: [(&str, &str); 9] = [
    ("core.hooksPath", "/dev/null"),
    // The mirror may belong to another user, as after a restore from a backup.
    ("safe.directory", "*"),
    // Commits that a moved tag left behind have to stay.
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    // A pack a fetch: fewer files to sync, and whole or not there.
    ("fetch.unpackLimit", "1"),
    ("credential.helper", ""),
    ("http.lowSpeedLimit", "1000"),
    ("http.lowSpeedTime", "30"),
    ("fetch.recurseSubmodules", "false"),
];

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
    let text = fs::read_to_string(file)?;
    let line = text.trim_end_matches(['\r', '\n']);
    let whole = line.split_once(':').is_some_and(|(user, token)| !user.is_empty() && !token.is_empty());
    ensure!(whole && !line.contains(['\r', '\n']), "it has to be one line `user:token`");
    Ok(format!("Authorization: Basic {}", STANDARD.encode(line)))
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
pub(super) fn local_git<'a>(repository: &Path, args: impl IntoIterator<Item = &'a str>) -> Command {
    git(repository, &[]).args(args)
}

/// Fetches branches, tags and, `with_head`, the default branch; what the remote has no longer goes.
pub(super) fn fetch(repository: &Path, access: &Access, with_head: bool) -> Command {
    let mut config = Vec::new();
    if let Some(header) = &access.header {
        // Only for this remote: another host that it might lead to gets no credentials.
        config.push((format!("http.{}.extraHeader", access.url), header.clone()));
    }
    let command = git(repository, &config).arg("fetch").within(FETCH_LIMIT);
    let command = command.args(["--quiet", "--prune", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance"]);
    let command = match is_local(&access.url) {
        // Its git does not see our configuration, and an operator's repository may belong to the operator.
        true => command.arg("--upload-pack=git -c 'safe.directory=*' upload-pack"),
        false => command,
    };
    let head = with_head.then_some(HEAD_SPEC);
    command.args(["--", &access.url, BRANCHES, TAGS]).args(head)
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
        .env("GIT_SSH_COMMAND", "ssh -o BatchMode=yes")
        .env("GIT_ALLOW_PROTOCOL", "http:https:ssh:git:file")
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
        let command = fetch(Path::new("/mirror.git"), &access, true);
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
