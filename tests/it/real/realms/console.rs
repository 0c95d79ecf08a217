//! Keycloak as its administrator changes it by hand, and as a run's app logs in.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use reqwest::{Client, Method};
use serde_json::{Value, json};
use url::form_urlencoded::Serializer;

use crate::real::wait_for;

pub struct Console {
    host: String,
    address: SocketAddr,
    password: String,
}

impl Console {
    pub fn new(host: String, address: SocketAddr, password: &str) -> Self {
        // Whoever comes second finds it there.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self { host, address, password: password.to_owned() }
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
        let path = text("issuer").split_once(&self.host).expect("the issuer is this Keycloak").1;
        let client = [("client_id", text("client_id")), ("client_secret", text("client_secret")), ("scope", "openid")];
        let as_user = [("grant_type", "password"), ("username", text("user")), ("password", text("password"))];
        let as_client = [("grant_type", "client_credentials")];
        for grant in [&as_user[..], &as_client[..]] {
            let fields: Vec<_> = client.iter().chain(grant).copied().collect();
            let token = wait_for(self.token(path, &fields)).unwrap_or_else(|told| panic!("{grant:?}: {told}"));
            let userinfo = format!("{path}/protocol/openid-connect/userinfo");
            let told = wait_for(self.send(Method::GET, &userinfo, Some(&token), None)).unwrap();
            assert!(told["sub"].is_string(), "{told}");
        }
    }

    #[track_caller]
    fn command(&self, method: Method, path: &str, body: Option<&Value>) -> Value {
        let shown = format!("{method} {path}");
        self.try_command(method, path, body).unwrap_or_else(|told| panic!("{shown}: {told}"))
    }

    fn try_command(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, String> {
        let admin = [
            ("client_id", "admin-cli"),
            ("grant_type", "password"),
            ("username", "admin"),
            ("password", &self.password),
        ];
        wait_for(async {
            let token = self.token("/realms/master", &admin).await?;
            self.send(method, path, Some(&token), body.map(|body| ("application/json", body.to_string()))).await
        })
    }

    async fn token(&self, realm: &str, fields: &[(&str, &str)]) -> Result<String, String> {
        let form = Serializer::new(String::new()).extend_pairs(fields).finish();
        let path = format!("{realm}/protocol/openid-connect/token");
        let told = self.send(Method::POST, &path, None, Some(("application/x-www-form-urlencoded", form))).await?;
        told["access_token"].as_str().map(str::to_owned).ok_or_else(|| format!("no token: {told}"))
    }

    /// The JSON of a good answer, if it has any.
    async fn send(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Option<(&str, String)>,
    ) -> Result<Value, String> {
        // The certificate is the proxy's matter.
        let client =
            Client::builder().no_proxy().resolve(&self.host, self.address).tls_danger_accept_invalid_certs(true);
        let client = client.build().map_err(|error| format!("{error:?}"))?;
        let mut request = client.request(method, format!("https://{}{path}", self.host));
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
