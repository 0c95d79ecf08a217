//! The real Gitea: people with accounts and repositories, and the OAuth application of the CI server.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use super::web::{Page, Web};

/// What everybody's password is.
pub const PASSWORD: &str = "correct-horse-7";

pub struct Forge<'a> {
    pub web: &'a Web,
    pub host: &'a str,
}

/// What Gitea hands out for an OAuth application.
pub struct Application {
    pub id: String,
    pub secret: String,
}

impl Forge<'_> {
    /// The first account comes from the command line in the container.
    pub fn begins_with(&self, endpoint: &str, service: &str, name: &str) {
        let docker = |arguments: &[&str]| {
            let output = Command::new("docker").args(["--host", endpoint]).args(arguments).output().unwrap();
            assert!(output.status.success(), "docker {arguments:?}: {output:?}");
            String::from_utf8(output.stdout).unwrap()
        };
        let label = format!("label=com.docker.swarm.service.name={service}");
        let containers = docker(&["ps", "--quiet", "--filter", &label]);
        let address = format!("{name}@example.org");
        let account = ["--username", name, "--password", PASSWORD, "--email", &address];
        let create = [
            "gitea",
            "--config",
            "/data/app.ini",
            "admin",
            "user",
            "create",
            "--admin",
            "--must-change-password=false",
        ];
        let container = containers.lines().next().expect("Gitea runs");
        docker(&[&["exec", container], &create[..], &account[..]].concat());
    }

    /// One more account, by the first one.
    pub fn has(&self, admin: &str, name: &str) {
        let address = format!("{name}@example.org");
        let body = json!({ "username": name, "password": PASSWORD, "email": address, "must_change_password": false });
        self.post(admin, "admin/users", &body);
    }

    pub fn has_repository(&self, of: &str, name: &str) {
        self.post(of, "user/repos", &json!({ "name": name }));
    }

    /// An application whose sign-in ends at such an address.
    pub fn application(&self, of: &str, ends_at: &str) -> Application {
        let body = json!({ "name": "ci", "redirect_uris": [ends_at], "confidential_client": true });
        let made = self.post(of, "user/applications/oauth2", &body);
        let text = |key: &str| made[key].as_str().unwrap().to_owned();
        Application { id: text("client_id"), secret: text("client_secret") }
    }

    /// Waits until nobody answers any more.
    #[track_caller]
    pub fn is_gone(&self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        let url = format!("https://{}/api/healthz", self.host);
        while self.web.ask(Method::GET, &url, |request| request).status == 200 {
            assert!(Instant::now() < deadline, "Gitea is there for ever");
            thread::sleep(Duration::from_millis(100));
        }
    }

    #[track_caller]
    fn post(&self, by: &str, path: &str, body: &Value) -> Value {
        let url = format!("https://{}/api/v1/{path}", self.host);
        let ask = |request: reqwest::RequestBuilder| request.basic_auth(by, Some(PASSWORD)).json(body);
        let page: Page = self.web.ask(Method::POST, &url, ask);
        page.json()
    }
}
