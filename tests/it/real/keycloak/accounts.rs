//! Accounts, as their owners and an administrator see them.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread;

use nix::sched::{CloneFlags, setns};
use reqwest::Method;
use serde_json::{Value, json};

use crate::real::server::{ADMIN, Refusal, Server};
use crate::real::wait_for;

/// The realm of everybody but the administrator.
const REALM: &str = "people";
/// What they log in to. Tokens of `admin-cli` are good for the administration alone: 26.7.3 refuses them at `userinfo`.
const SITE: &str = "site";

pub struct Accounts {
    server: Server,
    /// The file with the administrator's password.
    admin: PathBuf,
    /// Of another network namespace than this one.
    network: Option<PathBuf>,
}

impl Accounts {
    pub fn at(host: String, address: SocketAddr, admin: PathBuf) -> Self {
        Self { server: Server::at(host, address), admin, network: None }
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
            let token = self.token(user, password).await?;
            self.server
                .send(Method::GET, &format!("/realms/{REALM}/protocol/openid-connect/userinfo"), Some(&token), None)
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
        self.server.token("/realms/master", &[&ADMIN[..], &[("password", &password)]].concat()).await
    }

    async fn token(&self, user: &str, password: &str) -> Result<String, Refusal> {
        let fields = [
            ("grant_type", "password"),
            ("client_id", SITE),
            ("scope", "openid"),
            ("username", user),
            ("password", password),
        ];
        self.server.token(&format!("/realms/{REALM}"), &fields).await
    }

    async fn post(&self, token: &str, path: &str, body: &Value) -> Result<(), Refusal> {
        self.server.send(Method::POST, path, Some(token), Some(("application/json", body.to_string()))).await.map(drop)
    }
}
