//! Logins for registries, out of a Docker `config.json`, or out of a file with a line `REGISTRY USER:TOKEN` for each.
//!
//! Only logins that stand in the file itself are read: a credential helper is a program of somebody else. That one is
//! named is told, since the file then works for the Docker CLI and not here.

use std::collections::BTreeMap;
use std::fmt;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde_json::{Map, Value, json};

use super::reference::Reference;
use crate::model::secret::SecretBytes;

/// Under this key Docker keeps the login of Docker Hub.
const HUB: &str = "https://index.docker.io/v1/";

/// A login for one registry. `Debug` shows no secret.
#[derive(Debug, Clone, PartialEq)]
pub struct Auth {
    server: String,
    login: Login,
}

#[derive(Debug, Clone, PartialEq)]
enum Login {
    Password { user: String, password: SecretBytes },
    IdentityToken(SecretBytes),
    RegistryToken(SecretBytes),
}

/// All logins of one file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Auths {
    by_registry: BTreeMap<String, Auth>,
    /// What of the file has no effect here, a sentence each.
    unsupported: Vec<String>,
}

/// Everybody else's right to read.
const FOR_ALL: u32 = 0o004;
/// No file of logins is nearly as long.
const MAX_FILE: u64 = 1024 * 1024;

/// What is wrong with a file of logins. Says nothing of its contents but registry names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthsError(String);

impl fmt::Display for AuthsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for AuthsError {}

/// Reads a file of logins, and tells what about it deserves a word: who may read it, and what of it has no effect.
///
/// # Errors
/// Why it cannot be read, with the way out; says nothing of its contents but registry names.
pub fn read(path: &Path) -> Result<(Auths, Vec<String>), AuthsError> {
    let path_told = path.display();
    let about = |cause: &dyn fmt::Display, way_out: &str| {
        AuthsError(format!("cannot read the registries' logins from {path_told} (registry_auth): {cause}; {way_out}"))
    };
    let there = "put it there, readable by who runs this, or name another";
    let metadata = std::fs::metadata(path).map_err(|error| about(&error, there))?;
    if !metadata.is_file() || metadata.len() > MAX_FILE {
        let way_out = "name Docker's config.json, or a file with a line for each registry";
        return Err(about(&format!("it is no file of at most {MAX_FILE} bytes"), way_out));
    }
    let text = std::fs::read_to_string(path).map_err(|error| about(&error, there))?;
    let auths = Auths::parse(&text).map_err(|wrong| about(&wrong, "mend it, or log in anew with `docker login`"))?;
    let mut warnings: Vec<String> =
        auths.unsupported.iter().map(|what| format!("registry_auth: {path_told}: {what}")).collect();
    if metadata.mode() & FOR_ALL != 0 {
        let mode = metadata.mode() & 0o7777;
        warnings
            .push(format!("registry_auth: everybody may read {path_told} (mode {mode:04o}); chmod 0600 {path_told}"));
    }
    Ok((auths, warnings))
}

impl Auths {
    /// Reads the text of a Docker `config.json`, or lines.
    ///
    /// # Errors
    /// For text that is neither and for logins that cannot be read, all in one message.
    pub fn parse(text: &str) -> Result<Self, AuthsError> {
        let text = text.trim_start_matches('\u{feff}');
        let is_json = text.trim_start().starts_with('{');
        if is_json { Self::of_config(text) } else { Self::of_lines(text) }
    }

    /// Whatever a line says may be a secret in the wrong place: only its number is told.
    fn of_lines(text: &str) -> Result<Self, AuthsError> {
        let lines = text.lines().map(str::trim).zip(1..).filter(|(line, _)| !line.is_empty() && !line.starts_with('#'));
        let (mut auths, mut seen, mut bad) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        for (line, number) in lines {
            let Some(auth) = login_of_line(line) else {
                bad.push(format!("line {number} is not of the form `REGISTRY USER:TOKEN`"));
                continue;
            };
            let registry = host(&auth.server);
            match seen.insert(registry.clone(), number) {
                None => drop(auths.insert(registry, auth)),
                Some(first) => bad.push(format!("lines {first} and {number} are for the same registry")),
            }
        }
        if auths.is_empty() && bad.is_empty() {
            bad.push("it holds no login".to_owned());
        }
        match bad.is_empty() {
            true => Ok(Self { by_registry: auths, unsupported: Vec::new() }),
            false => Err(AuthsError(bad.join("; "))),
        }
    }

    fn of_config(text: &str) -> Result<Self, AuthsError> {
        // The parser's own message may quote the text.
        let config: Value = serde_json::from_str(text)
            .map_err(|e| AuthsError(format!("not JSON at line {}, column {}", e.line(), e.column())))?;
        let Some(config) = config.as_object() else { return Err(AuthsError("not a JSON object".into())) };
        let mut auths = BTreeMap::new();
        let mut bad = Vec::new();
        for (server, entry) in config.get("auths").and_then(Value::as_object).into_iter().flatten() {
            match login(entry) {
                Ok(Some(login)) => drop(auths.insert(host(server), Auth { server: server.clone(), login })),
                Ok(None) => {}
                Err(why) => bad.push(format!("the login for {server} {why}")),
            }
        }
        if !bad.is_empty() {
            return Err(AuthsError(bad.join("; ")));
        }
        let unsupported = unsupported(config, &auths);
        Ok(Self { by_registry: auths, unsupported })
    }

    /// The login for the registry that an image comes from.
    pub fn for_image(&self, reference: &str) -> Option<&Auth> {
        let reference: Reference = reference.parse().ok()?;
        self.by_registry.get(reference.registry())
    }
}

/// The helpers that would be asked for logins which do not stand in the file.
fn unsupported(config: &Map<String, Value>, auths: &BTreeMap<String, Auth>) -> Vec<String> {
    let way_out = "its logins have no effect here: credential helpers are not called, so put them under \"auths\"";
    let store = config.get("credsStore").and_then(Value::as_str).filter(|store| !store.is_empty() && auths.is_empty());
    let store = store.map(|store| format!("the credential store {store:?} has the logins; {way_out}"));
    let helpers = config.get("credHelpers").and_then(Value::as_object).into_iter().flatten();
    let helpers = helpers.filter(|(server, _)| !auths.contains_key(&host(server)));
    let helpers = helpers.map(|(server, _)| format!("a credential helper has the login for {server}; {way_out}"));
    store.into_iter().chain(helpers).collect()
}

impl Auth {
    /// The value of `X-Registry-Auth`.
    pub fn header(&self) -> String {
        let text = |bytes: &SecretBytes| String::from_utf8_lossy(bytes.expose()).into_owned();
        let body = match &self.login {
            Login::Password { user, password } => {
                json!({"username": user, "password": text(password), "serveraddress": self.server})
            }
            Login::IdentityToken(token) => json!({"identitytoken": text(token), "serveraddress": self.server}),
            Login::RegistryToken(token) => json!({"registrytoken": text(token), "serveraddress": self.server}),
        };
        URL_SAFE.encode(body.to_string())
    }

    /// User and password, where the login is one.
    pub(super) fn password(&self) -> Option<(&str, &str)> {
        match &self.login {
            Login::Password { user, password } => Some((user, std::str::from_utf8(password.expose()).ok()?)),
            Login::IdentityToken(_) | Login::RegistryToken(_) => None,
        }
    }
}

/// `None` for the empty entry that Docker leaves where a credential helper has the login.
fn login(entry: &Value) -> Result<Option<Login>, &'static str> {
    let field = |key: &str| entry[key].as_str().filter(|text| !text.is_empty());
    if let Some(token) = field("identitytoken") {
        return Ok(Some(Login::IdentityToken(SecretBytes::new(token.into()))));
    }
    if let Some(token) = field("registrytoken") {
        return Ok(Some(Login::RegistryToken(SecretBytes::new(token.into()))));
    }
    if let (Some(user), Some(password)) = (field("username"), field("password")) {
        return Ok(Some(password_login(user, password)));
    }
    let Some(auth) = field("auth") else { return Ok(None) };
    let decoded = STANDARD.decode(auth).map_err(|_| "is not base64")?;
    let text = String::from_utf8(decoded).map_err(|_| "is not UTF-8")?;
    let (user, password) = text.split_once(':').ok_or("is not of the form user:password")?;
    Ok(Some(password_login(user, password.trim_end_matches('\0'))))
}

/// As in `ghcr.io keeper:token`.
fn login_of_line(line: &str) -> Option<Auth> {
    let (registry, login) = line.split_once(char::is_whitespace)?;
    let (user, token) = login.trim_start().split_once(':')?;
    let is_whole = !user.is_empty() && !token.is_empty() && !login.trim_start().contains(char::is_whitespace);
    let registry_host = host(registry);
    let server = if registry_host == "docker.io" { HUB } else { registry }.to_owned();
    (is_whole && is_registry(&registry_host)).then(|| Auth { server, login: password_login(user, token) })
}

/// As images name one: with a dot or a port, but for this machine.
fn is_registry(host: &str) -> bool {
    let (name, port) = host.split_once(':').map_or((host, None), |(name, port)| (name, Some(port)));
    let is_port = |port: &str| port.parse::<u16>().is_ok_and(|number| number > 0 && number.to_string() == port);
    let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'));
    let is_told_apart = name.contains('.') || name == "localhost" || port.is_some();
    !name.is_empty() && is_name && is_told_apart && port.is_none_or(is_port)
}

fn password_login(user: &str, password: &str) -> Login {
    Login::Password { user: user.to_owned(), password: SecretBytes::new(password.into()) }
}

/// `config.json` has hosts, or URLs from the days of version 1 of the registry protocol.
fn host(server: &str) -> String {
    if server == HUB {
        return "docker.io".to_owned();
    }
    let bare = server.strip_prefix("https://").or_else(|| server.strip_prefix("http://")).unwrap_or(server);
    let host = bare.split('/').next().unwrap_or(bare);
    if host == "index.docker.io" { "docker.io".to_owned() } else { host.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(auths: &Value) -> Result<Auths, AuthsError> {
        Auths::parse(&json!({ "auths": auths }).to_string())
    }

    fn decoded(auth: &Auth) -> Value {
        serde_json::from_slice(&URL_SAFE.decode(auth.header()).unwrap()).unwrap()
    }

    #[test]
    fn an_image_gets_its_registrys_login() {
        let basic = STANDARD.encode("me:pass:word");
        let auths = config(&json!({
            HUB: {"auth": basic}, "ghcr.io": {"identitytoken": "tok"}, "https://old.example.org/v1/": {"auth": basic},
            "helped.example.org": {},
        }))
        .unwrap();

        let hub = decoded(auths.for_image("nginx:1").unwrap());
        assert_eq!(hub, json!({"username": "me", "password": "pass:word", "serveraddress": HUB}));
        assert_eq!(decoded(auths.for_image("ghcr.io/a/b").unwrap())["identitytoken"], "tok");
        assert!(auths.for_image("old.example.org/a:1").is_some());
        assert!(auths.for_image("helped.example.org/a:1").is_none());
        assert!(auths.for_image("other.example.org/a:1").is_none());
    }

    #[test]
    fn bad_logins_are_told_all_at_once_and_without_their_content() {
        let error =
            config(&json!({"a.org": {"auth": "%%%"}, "b.org": {"auth": STANDARD.encode("hidden")}})).unwrap_err();
        let expected = "the login for a.org is not base64; the login for b.org is not of the form user:password";
        assert_eq!(error.to_string(), expected);
        assert_eq!(Auths::parse("{\"auths\": hidden").unwrap_err().to_string(), "not JSON at line 1, column 11");
    }

    #[test]
    fn no_login_shows_its_secret() {
        let auths = config(&json!({"a.org": {"auth": STANDARD.encode("me:hidden")}})).unwrap();
        assert!(!format!("{auths:?}").contains("hidden"));
    }

    #[test]
    fn a_file_without_logins_is_fine() {
        assert_eq!(Auths::parse("{}"), Ok(Auths::default()));
    }

    #[test]
    fn a_file_may_have_a_line_for_each_registry() {
        let text = "\u{feff}# of the host\n\n  ghcr.io   me:pass:word \nhttps://old.example.org/v1/ me:old\ndocker.io me:hub\nlocalhost:5000 me:a\n";
        let auths = Auths::parse(text).unwrap();
        let login = |user: &str, password: &str, server: &str| json!({"username": user, "password": password, "serveraddress": server});
        assert_eq!(decoded(auths.for_image("ghcr.io/a/b:1").unwrap()), login("me", "pass:word", "ghcr.io"));
        assert_eq!(decoded(auths.for_image("nginx:1").unwrap()), login("me", "hub", HUB));
        assert!(auths.for_image("old.example.org/a").is_some() && auths.for_image("other.example.org/a").is_none());
    }

    #[test]
    fn bad_lines_are_told_all_at_once_and_without_their_content() {
        let told = |text: &str| Auths::parse(text).unwrap_err().to_string();
        let form = "is not of the form `REGISTRY USER:TOKEN`";
        assert_eq!(
            told("a.org me:x\nme:hidden\n\na.org hidden\nhttps://a.org me:hidden\n"),
            format!("line 2 {form}; line 4 {form}; lines 1 and 5 are for the same registry")
        );
        for turned in
            ["me:hidden a.org", "me:hidden a.org:443", "me:hidden me:hidden", "me a:hidden", "a.org me:hid den"]
        {
            assert_eq!(told(&format!("{turned}\n")), format!("line 1 {form}"), "{turned}");
        }
        for empty in ["", "\n# nothing\n"] {
            assert_eq!(told(empty), "it holds no login");
        }
    }

    #[test]
    fn a_token_of_a_registry_is_passed_on() {
        let auths = config(&json!({"a.org": {"registrytoken": "tok"}})).unwrap();
        let sent = decoded(auths.for_image("a.org/b:1").unwrap());
        assert_eq!(sent, json!({"registrytoken": "tok", "serveraddress": "a.org"}));
    }

    #[test]
    fn helpers_are_told_where_no_login_stands_in_the_file_itself() {
        let unsupported = |config: Value| Auths::parse(&config.to_string()).unwrap().unsupported.join("\n");
        let basic = STANDARD.encode("me:pass");

        let helped =
            unsupported(json!({"credHelpers": {"ghcr.io": "pass", "a.org": "x"}, "auths": {"a.org": {"auth": basic}}}));
        assert!(
            helped.starts_with("a credential helper has the login for ghcr.io; its logins have no effect"),
            "{helped}"
        );
        assert!(!helped.contains("a.org"), "{helped}");
        let stored = unsupported(json!({"credsStore": "desktop", "auths": {"ghcr.io": {}}}));
        assert!(stored.starts_with("the credential store \"desktop\" has the logins; "), "{stored}");
        assert_eq!(unsupported(json!({"credsStore": "desktop", "auths": {"ghcr.io": {"auth": basic}}})), "");
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named_with_the_way_out() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json");
        let told = |path: &Path| read(path).unwrap_err().to_string();

        let missing = told(&path);
        assert!(missing.contains(&format!("{} (registry_auth): No such file", path.display())), "{missing}");
        assert!(told(dir.path()).contains("it is no file of at most"), "{}", told(dir.path()));
        std::fs::write(&path, "{\"auths\": hidden").unwrap();
        let wrong = told(&path);
        assert!(wrong.contains("not JSON at line 1, column 11; mend it") && !wrong.contains("hidden"), "{wrong}");
    }

    #[test]
    fn a_file_that_everybody_may_read_is_told() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json");
        std::fs::write(&path, "{}").unwrap();
        let warnings = |mode: u32| {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            read(&path).unwrap().1
        };

        assert_eq!(warnings(0o600), Vec::<String>::new());
        assert_eq!(warnings(0o640), Vec::<String>::new());
        let told = warnings(0o644).join("\n");
        assert!(told.contains("everybody may read") && told.contains("(mode 0644); chmod 0600"), "{told}");
    }
}
