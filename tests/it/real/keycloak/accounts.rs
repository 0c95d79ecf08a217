//! Accounts, as their owners and an administrator see them.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread;

use nix::sched::{CloneFlags, setns};
use reqwest::Method;
use serde_json::{Value, json};
use url::form_urlencoded::Serializer;

use crate::real::wait_for;

/// The realm of everybody but the administrator.
const REALM: &str = "people";
/// What they log in to. Tokens of `admin-cli` are good for the administration alone: 26.7.3 refuses them at `userinfo`.
const SITE: &str = "site";

pub struct Accounts {
    /// Without a path.
    url: String,
    address: SocketAddr,
    /// The file with the administrator's password.
    admin: PathBuf,
    /// Of another network namespace than this one.
    network: Option<PathBuf>,
}

/// Why there was no good answer.
type Refusal = String;

impl Accounts {
    pub fn at(url: String, address: SocketAddr, admin: PathBuf) -> Self {
        // Whoever comes second finds it there.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self { url, address, admin, network: None }
    }

    /// Asks from within a network namespace, by the path of its handle.
    pub fn within(self, network: PathBuf) -> Self {
        Self { network: Some(network), ..self }
    }

    /// Makes the realm, and a user in it whose password is the name.
    pub fn open_with(&self, user: &str) -> Result<(), Refusal> {
        self.ask(async {
            let token = self.admin_token().await?;
            let site = json!({ "clientId": SITE, "publicClient": true, "directAccessGrantsEnabled": true });
            self.post(&token, "/admin/realms", &json!({ "realm": REALM, "enabled": true, "clients": [site] })).await
        })?;
        self.make(user)
    }

    pub fn make(&self, user: &str) -> Result<(), Refusal> {
        let body = json!({
            "username": user, "enabled": true, "email": format!("{user}@example.org"), "emailVerified": true,
            "firstName": user, "lastName": user,
            "credentials": [{ "type": "password", "value": user, "temporary": false }],
        });
        self.ask(async {
            let token = self.admin_token().await?;
            self.post(&token, &format!("/admin/realms/{REALM}/users"), &body).await
        })
    }

    #[track_caller]
    pub fn knows(&self, user: &str) {
        self.lets_in(user, user).unwrap_or_else(|refusal| panic!("{user} does not log in: {refusal}"));
    }

    #[track_caller]
    pub fn does_not_know(&self, user: &str) {
        let refusal = self.lets_in(user, user).expect_err("somebody logs in who is not there");
        assert!(refusal.starts_with("401"), "{refusal}");
    }

    /// A login, and what it is good for.
    pub fn lets_in(&self, user: &str, password: &str) -> Result<(), Refusal> {
        let told = self.ask(async {
            let token = self.token(REALM, SITE, user, password).await?;
            self.send(Method::GET, &format!("/realms/{REALM}/protocol/openid-connect/userinfo"), Some(&token), None)
                .await
        })?;
        match told["preferred_username"] == user {
            true => Ok(()),
            false => Err(format!("somebody else: {told}")),
        }
    }

    /// In a thread of its own: a network is a thread's.
    fn ask<T: Send>(&self, questions: impl Future<Output = T> + Send) -> T {
        let enter = || {
            if let Some(network) = &self.network {
                setns(File::open(network).unwrap(), CloneFlags::CLONE_NEWNET).unwrap();
            }
        };
        thread::scope(|scope| {
            let asking = scope.spawn(move || {
                enter();
                wait_for(questions)
            });
            asking.join().unwrap()
        })
    }

    async fn admin_token(&self) -> Result<String, Refusal> {
        let password = fs::read_to_string(&self.admin).map_err(|error| error.to_string())?;
        self.token("master", "admin-cli", "admin", &password).await
    }

    async fn token(&self, realm: &str, client: &str, user: &str, password: &str) -> Result<String, Refusal> {
        let fields = [
            ("grant_type", "password"),
            ("client_id", client),
            ("scope", "openid"),
            ("username", user),
            ("password", password),
        ];
        let form = Serializer::new(String::new()).extend_pairs(fields).finish();
        let path = format!("/realms/{realm}/protocol/openid-connect/token");
        let told = self.send(Method::POST, &path, None, Some(("application/x-www-form-urlencoded", form))).await?;
        told["access_token"].as_str().map(str::to_owned).ok_or_else(|| format!("no token: {told}"))
    }

    async fn post(&self, token: &str, path: &str, body: &Value) -> Result<(), Refusal> {
        self.send(Method::POST, path, Some(token), Some(("application/json", body.to_string()))).await.map(drop)
    }

    /// The JSON of a good answer, if it has any.
    async fn send(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Option<(&str, String)>,
    ) -> Result<Value, Refusal> {
        let host = self.url.split_once("://").expect("a URL").1.split(':').next().unwrap_or_default();
        // The certificate is the proxy's matter.
        let client =
            reqwest::Client::builder().no_proxy().resolve(host, self.address).tls_danger_accept_invalid_certs(true);
        let client = client.build().map_err(|error| format!("{error:?}"))?;
        let mut request = client.request(method, format!("{}{path}", self.url));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some((kind, text)) = body {
            request = request.header("content-type", kind).body(text);
        }
        let answer = request.send().await.map_err(|error| format!("{error:?}"))?;
        let status = answer.status();
        let text = answer.text().await.map_err(|error| format!("{error:?}"))?;
        match status.is_success() {
            true => Ok(serde_json::from_str(&text).unwrap_or(Value::Null)),
            false => Err(format!("{status}: {text}")),
        }
    }
}
