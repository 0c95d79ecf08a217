//! A Keycloak over its admin API and its login: the few questions and changes that realms of runs take.
//!
//! Forms as in the Admin REST API reference (keycloak.org/docs-api) and OpenID Connect. The border: which realms there
//! are to be, and what follows from a failure, is decided elsewhere. The surprise: 404 has two makers. A reverse proxy
//! says it for an app that is down, in plain text; Keycloak's own is JSON.

mod asking;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Mutex;

use hyper::Method;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::probe::{ProbeError, Target};
use crate::health::gate::served::Fault;
use crate::model::realm::{Access, Mark, RealmName};
use crate::policy::reaping::Listed;
use asking::{Asking, Body, Told};

/// The client through which administrators log in at the command line; every realm has it.
const ADMIN_CLIENT: &str = "admin-cli";
/// A person that no rule of Keycloak's user profile sends to complete itself.
const PERSON: [(&str, &str); 3] = [("email", "tester@example.org"), ("firstName", "Test"), ("lastName", "Er")];

/// Who may change everything.
#[derive(Debug, Clone)]
pub struct Admin {
    pub user: String,
    pub password: SecretString,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeycloakError {
    /// Nothing that is a Keycloak answers: it is down, starting, or was never there.
    #[error("{0}")]
    Away(String),
    #[error("no password may be sent there: {0}")]
    Unsafe(ProbeError),
    #[error("Keycloak does not let {user} in{}", behind(said))]
    NotAdmin { user: String, said: String },
    /// An answer that says no, in Keycloak's own words.
    #[error("cannot {act}: Keycloak answers {status}{}", behind(said))]
    Refused { act: String, status: u16, said: String },
    #[error("cannot {act}: what Keycloak answers is not understood: {cause}")]
    Odd { act: String, cause: String },
}

fn behind(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!(": {said}") }
}

impl KeycloakError {
    /// Whether a moment later it may be another one: a restart passes, and so do a certificate that is being renewed and
    /// two writers in each other's way.
    pub fn may_pass(&self) -> bool {
        match self {
            KeycloakError::Refused { status: 409, .. } => true,
            KeycloakError::Unsafe(error) => is_of_a_moment(error),
            other => other.is_down(),
        }
    }

    /// Whether something is down or overwhelmed, and no answer came of it.
    pub fn is_down(&self) -> bool {
        match self {
            KeycloakError::Away(_) => true,
            KeycloakError::Refused { status, .. } => matches!(status, 408 | 429 | 500..),
            KeycloakError::Unsafe(_) | KeycloakError::NotAdmin { .. } | KeycloakError::Odd { .. } => false,
        }
    }

    /// Whether it was Keycloak that said no, for good.
    pub fn is_no(&self) -> bool {
        matches!(self, KeycloakError::Refused { .. }) && !self.may_pass()
    }
}

/// While a proxy restarts it shows one of its own, and a renewed one may be kept here before it is served or after that.
/// Nothing was sent then, so to ask again is safe.
fn is_of_a_moment(error: &ProbeError) -> bool {
    use Fault::{Another, AnotherChain, Name};
    matches!(error, ProbeError::Certificate { fault: Another { .. } | AnotherChain { .. } | Name { .. }, .. })
}

/// A Keycloak behind the proxy. Every question ends by the given moment.
pub struct Keycloak {
    asking: Asking,
    admin: Admin,
    /// Lives a minute (Keycloak's default for its own realm).
    token: Mutex<Option<SecretString>>,
}

/// Where a realm lets people in, in its own words (OpenID Connect Discovery, section 3).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Discovery {
    pub issuer: String,
}

#[derive(Deserialize)]
struct Grant {
    access_token: String,
}

impl Grant {
    fn token(self) -> SecretString {
        self.access_token.into()
    }
}

/// Whose token a realm accepts (OpenID Connect Core, section 5.3).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct UserInfo {
    pub preferred_username: Option<String>,
}

#[derive(Deserialize)]
struct Found {
    id: String,
}

#[derive(Deserialize)]
struct Realm {
    realm: String,
    #[serde(default)]
    attributes: BTreeMap<String, Value>,
}

impl From<Realm> for Listed {
    fn from(realm: Realm) -> Self {
        let text = |value| match value {
            Value::String(text) => text,
            other => other.to_string(),
        };
        let attributes = realm.attributes.into_iter().map(|(name, value)| (name, text(value))).collect();
        Listed { name: realm.realm, attributes }
    }
}

impl Keycloak {
    pub fn new(target: Target, admin: Admin, until: Instant) -> Self {
        Self { asking: Asking::new(target, until), admin, token: Mutex::default() }
    }

    /// From now on asks there: which certificate has to be served may change on the way.
    pub fn aim(&self, target: Target) {
        self.asking.aim(target);
    }

    /// Logs in as the administrator, anew.
    ///
    /// # Errors
    /// `NotAdmin` where Keycloak knows another password, or no such user.
    pub async fn log_in(&self) -> Result<SecretString, KeycloakError> {
        let form = [
            ("grant_type", "password"),
            ("client_id", ADMIN_CLIENT),
            ("username", &self.admin.user),
            ("password", self.admin.password.expose_secret()),
        ];
        let path = "/realms/master/protocol/openid-connect/token";
        let act = format!("log in as {} of Keycloak's realm master", self.admin.user);
        let told = self.asking.ask(Method::POST, path, None, Body::form(&form)).await?;
        let token = told.read(&act).map(Grant::token).map_err(|error| self.not_admin(error))?;
        *self.token.lock().expect("nobody panics while holding it") = Some(token.clone());
        Ok(token)
    }

    fn not_admin(&self, error: KeycloakError) -> KeycloakError {
        match error {
            KeycloakError::Refused { status: 400 | 401, said, .. } => {
                KeycloakError::NotAdmin { user: self.admin.user.clone(), said }
            }
            other => other,
        }
    }

    /// As the administrator. A token's end is no failure: it is asked once more with a new one.
    async fn command(&self, method: Method, path: &str, body: Body) -> Result<Told, KeycloakError> {
        let kept = self.token.lock().expect("nobody panics while holding it").clone();
        let is_kept = kept.is_some();
        let token = match kept {
            Some(token) => token,
            None => self.log_in().await?,
        };
        let told = self.asking.ask(method.clone(), path, Some(&token), body.clone()).await?;
        if told.status != 401 || !is_kept {
            return Ok(told);
        }
        let token = self.log_in().await?;
        self.asking.ask(method, path, Some(&token), body).await
    }

    /// All realms, with their attributes.
    pub async fn realms(&self) -> Result<Vec<Listed>, KeycloakError> {
        let path = "/admin/realms?briefRepresentation=false";
        let realms: Vec<Realm> = self.command(Method::GET, path, Body::None).await?.read("list the realms")?;
        Ok(realms.into_iter().map(Listed::from).collect())
    }

    pub async fn realm(&self, name: &RealmName) -> Result<Option<Listed>, KeycloakError> {
        let act = format!("read the realm {name}");
        let told = self.command(Method::GET, &format!("/admin/realms/{name}"), Body::None).await?;
        match told.status {
            404 => Ok(None),
            _ => told.read::<Realm>(&act).map(|realm| Some(realm.into())),
        }
    }

    /// A realm of this name as it is then, and whether it was made now, empty and with these marks.
    ///
    /// # Errors
    /// `Refused`, which may pass, where Keycloak says that there is one and there is none: many that are made at once
    /// get in each other's way, and one of them may have been given up.
    pub async fn make_and_read(&self, name: &RealmName, mark: &Mark) -> Result<(bool, Listed), KeycloakError> {
        let is_made = self.make_realm(name, mark).await?;
        let listed = self.realm(name).await?;
        listed.map(|listed| (is_made, listed)).ok_or_else(|| conflict(&format!("make the realm {name}")))
    }

    /// `false`: there is one of that name. Whoever made it may change it from the next login on, which is made here.
    async fn make_realm(&self, name: &RealmName, mark: &Mark) -> Result<bool, KeycloakError> {
        let shown = format!("{name} (evenkeel, run {})", mark.run);
        let realm = json!({
            "realm": name.as_str(),
            "displayName": shown,
            "enabled": true,
            "attributes": mark.attributes(),
        });
        let told = self.command(Method::POST, "/admin/realms", Body::Json(realm)).await?;
        let is_made = told.is_made(&format!("make the realm {name}"))?;
        self.log_in().await?;
        Ok(is_made)
    }

    /// Removes a realm; `false`: there is none.
    pub async fn remove_realm(&self, name: &RealmName) -> Result<bool, KeycloakError> {
        let told = self.command(Method::DELETE, &format!("/admin/realms/{name}"), Body::None).await?;
        match told.status {
            404 => Ok(false),
            _ => told.done(&format!("remove the realm {name}")).map(|()| true),
        }
    }

    /// Gives a realm that is there these marks, and lets people in where somebody has closed it. It is sent back whole:
    /// where attributes are named, Keycloak drops the others, and with them what it only shows as fields (such as
    /// `displayName` and the headers for browsers).
    ///
    /// # Errors
    /// `Refused` with 404, too, where another realm has its name by now.
    pub async fn renew_realm(&self, listed: &Listed, mark: &Mark) -> Result<(), KeycloakError> {
        let (path, act) =
            (format!("/admin/realms/{}", listed.name), format!("mark the realm {} as in use", listed.name));
        let mut realm: Map<String, Value> = self.command(Method::GET, &path, Body::None).await?.read(&act)?;
        if !is_marked(&realm, mark) {
            return Err(KeycloakError::Refused { act, status: 404, said: "another realm has its name".to_owned() });
        }
        let attributes = realm["attributes"].as_object_mut().expect("marks were read from it");
        attributes.extend(mark.attributes().into_iter().map(|(name, value)| (name, value.into())));
        realm.insert("enabled".to_owned(), true.into());
        self.command(Method::PUT, &path, Body::Json(realm.into())).await?.done(&act)
    }

    /// Has the realm's confidential client be as it is handed out.
    pub async fn put_client(&self, access: &Access) -> Result<(), KeycloakError> {
        let act = format!("make the client of the realm {}", access.realm);
        let clients = format!("/admin/realms/{}/clients", access.realm);
        let client = client(access);
        let told = self.command(Method::POST, &clients, Body::Json(client.clone())).await?;
        if told.is_made(&act)? {
            return Ok(());
        }
        let found = format!("{clients}?clientId={}", access.client_id);
        let Found { id } = self.only(&found, &act).await?;
        self.command(Method::PUT, &format!("{clients}/{id}"), Body::Json(client)).await?.done(&act)
    }

    /// Has the realm's user be as it is handed out.
    pub async fn put_user(&self, access: &Access) -> Result<(), KeycloakError> {
        let act = format!("make the user of the realm {}", access.realm);
        let users = format!("/admin/realms/{}/users", access.realm);
        let password = json!({ "type": "password", "value": access.password.expose_secret(), "temporary": false });
        let mut user = user(access);
        user["credentials"] = json!([password.clone()]);
        if self.command(Method::POST, &users, Body::Json(user)).await?.is_made(&act)? {
            return Ok(());
        }
        let Found { id } = self.only(&format!("{users}?exact=true&username={}", access.user), &act).await?;
        let user = Body::Json(self::user(access));
        self.command(Method::PUT, &format!("{users}/{id}"), user).await?.done(&act)?;
        let reset = format!("{users}/{id}/reset-password");
        self.command(Method::PUT, &reset, Body::Json(password)).await?.done(&act)
    }

    async fn only(&self, path: &str, act: &str) -> Result<Found, KeycloakError> {
        let found: Vec<Found> = self.command(Method::GET, path, Body::None).await?.read(act)?;
        found.into_iter().next().ok_or_else(|| conflict(act))
    }

    pub async fn discover(&self, realm: &RealmName) -> Result<Discovery, KeycloakError> {
        let path = format!("/realms/{realm}/.well-known/openid-configuration");
        let told = self.asking.ask(Method::GET, &path, None, Body::None).await?;
        told.read(&format!("read how one logs in to the realm {realm}"))
    }

    /// The password grant of the realm's user (RFC 6749, 4.3): a token.
    pub async fn user_token(&self, access: &Access) -> Result<SecretString, KeycloakError> {
        let password = access.password.expose_secret();
        let more = [("grant_type", "password"), ("username", access.user), ("password", password)];
        self.grant(access, &more, &format!("log in as user {} of {}", access.user, access.realm)).await
    }

    /// The client-credentials grant of the realm's client (RFC 6749, 4.4): a token.
    pub async fn client_token(&self, access: &Access) -> Result<SecretString, KeycloakError> {
        let act = format!("log in as client {}", access.client_id);
        self.grant(access, &[("grant_type", "client_credentials")], &act).await
    }

    async fn grant(&self, access: &Access, more: &[(&str, &str)], act: &str) -> Result<SecretString, KeycloakError> {
        let secret = access.client_secret.expose_secret();
        let mut form = vec![("client_id", access.client_id.as_str()), ("client_secret", secret), ("scope", "openid")];
        form.extend(more);
        let path = format!("/realms/{}/protocol/openid-connect/token", access.realm);
        let told = self.asking.ask(Method::POST, &path, None, Body::form(&form)).await?;
        told.read(act).map(Grant::token)
    }

    /// Whose token it is, if the realm accepts it.
    pub async fn user_info(&self, realm: &RealmName, token: &SecretString) -> Result<UserInfo, KeycloakError> {
        let path = format!("/realms/{realm}/protocol/openid-connect/userinfo");
        let told = self.asking.ask(Method::GET, &path, Some(token), Body::None).await?;
        told.read(&format!("have a token accepted by userinfo of {realm}"))
    }
}

/// Whether a realm still is the one of these marks, whenever it was handed out last.
fn is_marked(realm: &Map<String, Value>, mark: &Mark) -> bool {
    let Ok(realm) = serde_json::from_value::<Realm>(realm.clone().into()) else { return false };
    let kept = Mark::read(&Listed::from(realm).attributes);
    kept.is_ok_and(|kept| kept.is_some_and(|kept| kept.renewed(mark.created) == *mark))
}

/// Keycloak's word for what is there already, which it says also where two writers meet.
fn conflict(act: &str) -> KeycloakError {
    KeycloakError::Refused { act: act.to_owned(), status: 409, said: "it is there, and is not found".to_owned() }
}

/// Where a run's app will answer is not known, and the realm goes with the run: any address over TLS may be sent back to.
fn client(access: &Access) -> Value {
    json!({
        "clientId": access.client_id,
        "protocol": "openid-connect",
        "enabled": true,
        "publicClient": false,
        "clientAuthenticatorType": "client-secret",
        "secret": access.client_secret.expose_secret(),
        "standardFlowEnabled": true,
        "directAccessGrantsEnabled": true,
        "serviceAccountsEnabled": true,
        "redirectUris": ["https://*"],
        "webOrigins": ["+"],
    })
}

fn user(access: &Access) -> Value {
    let mut user = json!({
        "username": access.user,
        "enabled": true,
        "emailVerified": true,
        "requiredActions": [],
    });
    for (name, value) in PERSON {
        user[name] = value.into();
    }
    user
}
