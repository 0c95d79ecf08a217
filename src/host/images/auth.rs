//! Logins for registries, out of a Docker `config.json`.
//!
//! Only logins that stand in the file itself are read: a credential helper is a program of somebody else.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde_json::{Value, json};

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
}

/// All logins of one `config.json`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Auths(BTreeMap<String, Auth>);

/// What is wrong with a `config.json`. Says nothing of its contents but registry names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthsError(String);

impl fmt::Display for AuthsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for AuthsError {}

impl Auths {
    /// Reads the text of a Docker `config.json`.
    ///
    /// # Errors
    /// For text that is no JSON object and for logins that cannot be read, all in one message.
    pub fn parse(text: &str) -> Result<Self, AuthsError> {
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
        if bad.is_empty() { Ok(Self(auths)) } else { Err(AuthsError(bad.join("; "))) }
    }

    /// The login for the registry that an image comes from.
    pub fn for_image(&self, reference: &str) -> Option<&Auth> {
        let reference: Reference = reference.parse().ok()?;
        self.0.get(reference.registry())
    }
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
        };
        URL_SAFE.encode(body.to_string())
    }
}

/// `None` for the empty entry that Docker leaves where a credential helper has the login.
fn login(entry: &Value) -> Result<Option<Login>, &'static str> {
    let field = |key: &str| entry[key].as_str().filter(|text| !text.is_empty());
    if let Some(token) = field("identitytoken") {
        return Ok(Some(Login::IdentityToken(SecretBytes::new(token.into()))));
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
        assert_eq!(Auths::parse(r#"{"credsStore": "x"}"#), Ok(Auths::default()));
    }
}
