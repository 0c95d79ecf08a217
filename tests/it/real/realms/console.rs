//! Keycloak as its administrator changes it by hand, and as a run's app logs in.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use reqwest::Method;
use serde_json::{Value, json};

use crate::real::server::{ADMIN, Refusal, Server};
use crate::real::wait_for;

pub struct Console {
    server: Server,
    password: String,
}

impl Console {
    pub fn new(host: String, address: SocketAddr, password: &str) -> Self {
        Self { server: Server::at(host, address), password: password.to_owned() }
    }

    #[track_caller]
    pub fn get(&self, path: &str) -> Value {
        self.command(Method::GET, path, None)
    }

    #[track_caller]
    pub fn put(&self, path: &str, body: &Value) {
        self.command(Method::PUT, path, Some(body));
    }

    #[track_caller]
    pub fn remove(&self, path: &str) {
        self.command(Method::DELETE, path, None);
    }

    #[track_caller]
    pub fn make(&self, realm: &str, attributes: &Value) {
        let body = json!({ "realm": realm, "enabled": true, "attributes": attributes });
        self.command(Method::POST, "/admin/realms", Some(&body));
    }

    /// Names; none while Keycloak does not answer.
    pub fn realms(&self) -> BTreeSet<String> {
        let listed = self.try_command(Method::GET, "/admin/realms?briefRepresentation=true", None).unwrap_or_default();
        let names = listed.as_array().into_iter().flatten().filter_map(|realm| realm["realm"].as_str());
        names.map(str::to_owned).collect()
    }

    /// The id of the one thing of a realm that a query finds.
    #[track_caller]
    pub fn id(&self, realm: &str, query: &str) -> String {
        let found = self.get(&format!("/admin/realms/{realm}/{query}"));
        assert_eq!(found.as_array().map(Vec::len), Some(1), "{found}");
        found[0]["id"].as_str().unwrap().to_owned()
    }

    /// Uses what a run was handed as its app would, with nothing else to go by.
    #[track_caller]
    pub fn logs_in(&self, handed: &Value) {
        let text = |name: &str| handed[name].as_str().unwrap();
        let path = text("issuer").split_once(&self.server.host).expect("the issuer is this Keycloak").1;
        let client = [("client_id", text("client_id")), ("client_secret", text("client_secret")), ("scope", "openid")];
        let as_user = [("grant_type", "password"), ("username", text("user")), ("password", text("password"))];
        let as_client = [("grant_type", "client_credentials")];
        for grant in [&as_user[..], &as_client[..]] {
            let fields: Vec<_> = client.iter().chain(grant).copied().collect();
            let token = wait_for(self.server.token(path, &fields)).unwrap_or_else(|told| panic!("{grant:?}: {told}"));
            let userinfo = format!("{path}/protocol/openid-connect/userinfo");
            let told = wait_for(self.server.send(Method::GET, &userinfo, Some(&token), None)).unwrap();
            assert!(told["sub"].is_string(), "{told}");
        }
    }

    #[track_caller]
    fn command(&self, method: Method, path: &str, body: Option<&Value>) -> Value {
        let shown = format!("{method} {path}");
        self.try_command(method, path, body).unwrap_or_else(|told| panic!("{shown}: {told}"))
    }

    fn try_command(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Refusal> {
        let admin = [&ADMIN[..], &[("password", &self.password)]].concat();
        wait_for(async {
            let token = self.server.token("/realms/master", &admin).await?;
            self.server.send(method, path, Some(&token), body.map(|body| ("application/json", body.to_string()))).await
        })
    }
}
