//! The CI server as runners and programs with a token meet it, through the proxy.

use reqwest::{Method, RequestBuilder};
use serde_json::Value;

use super::web::{Page, Web};

pub struct Server<'a> {
    pub web: &'a Web,
    pub host: &'a str,
}

impl Server<'_> {
    pub fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.host)
    }

    pub fn version(&self) -> String {
        let page = self.ask(Method::GET, "/version", |request| request);
        page.json()["version"].as_str().unwrap().to_owned()
    }

    /// What a runner with this secret is answered.
    pub fn ping(&self, secret: &str) -> u16 {
        self.ask(Method::POST, "/rpc/v2/ping", |request| request.header("x-drone-token", secret)).status
    }

    /// Under which client id people are sent to Gitea.
    pub fn client_id(&self) -> Option<String> {
        self.ask(Method::GET, "/login", |request| request).leads_with("client_id")
    }

    pub fn repository(&self, token: &str, name: &str) -> Value {
        self.ask(Method::GET, &format!("/api/repos/{name}"), |request| request.bearer_auth(token)).json()
    }

    pub fn begins_build(&self, token: &str, repository: &str, message: &str) {
        let path = format!("/api/repos/{repository}/builds?message={message}");
        self.ask(Method::POST, &path, |request| request.bearer_auth(token)).json();
    }

    /// The messages of a repository's builds, newest first.
    pub fn builds(&self, token: &str, repository: &str) -> Vec<String> {
        let path = format!("/api/repos/{repository}/builds");
        let builds = self.ask(Method::GET, &path, |request| request.bearer_auth(token)).json();
        let builds = builds.as_array().unwrap().iter();
        builds.map(|build| build["message"].as_str().unwrap().to_owned()).collect()
    }

    /// Every change of a repository since the server started.
    pub fn patches(&self) -> Vec<Value> {
        self.ask(Method::GET, "/stand-in/patches", |request| request).json().as_array().unwrap().clone()
    }

    /// The next answers of its API are such: `empty`, or a status.
    pub fn fails_next_with(&self, faults: &'static str) {
        let page = self.ask(Method::POST, "/stand-in/faults", |request| request.body(faults));
        assert_eq!(page.status, 204, "{page:#?}");
    }

    fn ask(&self, method: Method, path: &str, with: impl FnOnce(RequestBuilder) -> RequestBuilder) -> Page {
        self.web.ask(method, &self.url(path), with)
    }
}
