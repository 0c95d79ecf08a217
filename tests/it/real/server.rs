//! A Keycloak as anything that speaks its API meets it, through the proxy.

use std::net::SocketAddr;

use reqwest::{Client, Method};
use serde_json::Value;
use url::form_urlencoded::Serializer;

/// How the administrator asks for a token, without the password.
pub const ADMIN: [(&str, &str); 3] = [("client_id", "admin-cli"), ("grant_type", "password"), ("username", "admin")];

pub struct Server {
    pub host: String,
    address: SocketAddr,
}

/// Why there was no good answer; a status first, where there was one.
pub type Refusal = String;

impl Server {
    pub fn at(host: String, address: SocketAddr) -> Self {
        // Whoever comes second finds it there.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self { host, address }
    }

    /// The access token that a realm, by its path, gives for these fields.
    pub async fn token(&self, realm: &str, fields: &[(&str, &str)]) -> Result<String, Refusal> {
        let form = Serializer::new(String::new()).extend_pairs(fields).finish();
        let path = format!("{realm}/protocol/openid-connect/token");
        let told = self.send(Method::POST, &path, None, Some(("application/x-www-form-urlencoded", form))).await?;
        told["access_token"].as_str().map(str::to_owned).ok_or_else(|| format!("no token: {told}"))
    }

    /// The JSON of a good answer, if it has any.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Option<(&str, String)>,
    ) -> Result<Value, Refusal> {
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
