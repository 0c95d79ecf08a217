//! The warm Keycloak as its state tells of it: where it answers, and who may change it.

use std::net::SocketAddr;

use anyhow::{anyhow, bail};
use secrecy::SecretString;
use tokio::time::Instant;
use url::Url;

use super::{RealmError, Unproved};
use crate::app::proxy;
use crate::config::{self, Declared};
use crate::host::keycloak::{Admin, Keycloak, KeycloakError};
use crate::host::probe::{ProbeError, Target};
use crate::host::store::{AppDir, Store};
use crate::model::app::{AppName, Kind};
use crate::model::realm::RealmName;
use crate::model::state::{Attempt, ReleaseBody};

/// The recipe's name for the administrator's password.
const PASSWORD: &str = "admin_password";
/// The environment's names for the administrator's, the newer first, and what Keycloak's recipes say where none is set.
const USER: [&str; 2] = ["KC_BOOTSTRAP_ADMIN_USERNAME", "KEYCLOAK_ADMIN"];
const DEFAULT_USER: &str = "admin";

/// An installed Keycloak; whether it answers is not known yet.
pub struct Warm<'a> {
    pub keycloak: Keycloak,
    declared: &'a Declared,
    app: &'a config::App,
    dir: AppDir,
    address: SocketAddr,
}

/// Why there is none to ask.
pub enum Absent {
    /// A first install is under way; which.
    Coming(String),
    Error(RealmError),
}

impl From<anyhow::Error> for Absent {
    fn from(error: anyhow::Error) -> Self {
        Self::Error(error.into())
    }
}

impl Absent {
    fn cold(why: String) -> Self {
        Self::Error(RealmError::Cold(why))
    }
}

impl<'a> Warm<'a> {
    /// # Errors
    /// `Cold` where none is declared or installed; `Failed` where one is, and it cannot be told how to speak to it.
    pub fn of(declared: &'a Declared, address: SocketAddr, until: Instant) -> Result<Self, Absent> {
        let Some(app) = declared.of(Kind::WarmKeycloak).next() else {
            return Err(Absent::cold("the configuration has no [warm_keycloak]".to_owned()));
        };
        let (dir, body) = installed(declared, app)?;
        let admin = Admin { user: user(&body), password: password(app, &dir, &body)? };
        let keycloak = Keycloak::new(target(declared, app, address)?, admin, until);
        Ok(Self { keycloak, declared, app, dir, address })
    }

    /// A certificate may be renewed while somebody waits. Where that cannot be read now, the one from before counts.
    pub fn look_again(&self) {
        if let Ok(target) = target(self.declared, self.app, self.address) {
            self.keycloak.aim(target);
        }
    }

    /// What of Keycloak is under way, if anything is.
    pub fn open_transaction(&self) -> Result<Option<String>, RealmError> {
        let state = self.dir.read_state().map_err(anyhow::Error::from)?;
        let is_open = state.is_some_and(|state| state.open.is_some());
        Ok(is_open.then(|| format!("an upgrade of {0} is under way (`evenkeel status {0}`)", self.app.name)))
    }

    /// Where apps look for the realm, and what its tokens have to name (OpenID Connect Discovery, 4.3).
    pub fn issuer(&self, realm: &RealmName) -> String {
        format!("https://{}/realms/{realm}", self.app.domain)
    }

    pub fn issued_elsewhere(&self, realm: &RealmName, found: &str) -> RealmError {
        let (name, domain) = (&self.app.name, &self.app.domain);
        let why = anyhow!(
            "Keycloak calls the realm {realm} {}, and apps here reach it at {}: their logins would fail. Its KC_HOSTNAME \
             has to be {domain} (or https://{domain}): set what the recipe takes it from in `env` of [warm_keycloak], and \
             run `evenkeel {name}`",
            shown(found),
            self.issuer(realm)
        );
        why.into()
    }

    pub fn failed(&self, error: KeycloakError) -> RealmError {
        let name = &self.app.name;
        match error {
            error if error.is_down() => RealmError::Cold(error.to_string()),
            KeycloakError::NotAdmin { user, said } => RealmError::Failed(not_admin(name, &user, &said)),
            error @ KeycloakError::Unsafe(ProbeError::Certificate { .. }) => RealmError::Failed(anyhow!(
                "{error}. `evenkeel proxy` has the proxy serve the declared one, or tells what is in the way"
            )),
            other => RealmError::Failed(other.into()),
        }
    }

    pub fn unproved(&self, error: KeycloakError) -> Unproved {
        match error.is_no() {
            true => Unproved::No(error.into()),
            false => Unproved::Error(self.failed(error)),
        }
    }
}

/// Keycloak's word for a wrong password. It says the same of a user whom it has locked for a while, so as not to tell.
const WRONG: &str = "Invalid user credentials";

fn not_admin(app: &AppName, user: &str, said: &str) -> anyhow::Error {
    if !said.contains(WRONG) {
        return anyhow!(
            "Keycloak does not let {user} in ({said}), whom the recipe of {app} names as its administrator. See in \
             Keycloak's console, as another administrator, that the realm master has this user, enabled and with nothing \
             to do at the next login; `kc.sh bootstrap-admin user` in its container (from 26 on) makes one where nobody can get in"
        );
    }
    anyhow!(
        "Keycloak does not let {user} in with the password that is kept of {app} ({said}). Somebody has changed one of the \
         two, or Keycloak has locked {user} for a while after too many wrong ones (brute force detection: wait, or \
         unlock the user). Where it was changed, either set {user}'s password in Keycloak to the kept one (`evenkeel \
         secret show {app} {PASSWORD}`), or have the new one kept: put it into a file, name the file in [warm_keycloak] as \
         `secrets = {{ {PASSWORD} = \"/path\" }}`, and run `evenkeel {app}`"
    )
}

/// An address for people: without a login or anything behind its path.
fn shown(address: &str) -> String {
    let Ok(url) = Url::parse(address) else { return "by what is no address".to_owned() };
    format!("{}{}", url.origin().ascii_serialization(), url.path())
}

/// Where an app is kept, and the release that runs.
fn installed(declared: &Declared, app: &config::App) -> Result<(AppDir, ReleaseBody), Absent> {
    let (dir, name) = (Store::for_reading(&declared.state_dir).app(&app.name), &app.name);
    let state = dir.read_state().map_err(anyhow::Error::from)?;
    let (current, installing) = state.map_or((None, None), |state| (state.current, state.installing));
    match (current, installing) {
        (Some(current), _) => Ok((dir, current.body)),
        (None, Some(Attempt { failed: None, .. })) => {
            Err(Absent::Coming(format!("the first install of {name} is under way (`evenkeel status {name}`)")))
        }
        (None, Some(_)) => Err(Absent::cold(format!("the first install of {name} failed (`evenkeel status {name}`)"))),
        (None, None) => Err(Absent::cold(format!("{name} is not installed: `evenkeel {name}` does it"))),
    }
}

/// As the gate asks: at the proxy's own address, under the app's name, with the certificate that the proxy was given.
fn target(declared: &Declared, app: &config::App, address: SocketAddr) -> Result<Target, Absent> {
    let Some(proxy) = declared.of(Kind::Proxy).next() else {
        let why = format!("the configuration has no [proxy], so nobody serves {}", app.domain);
        return Err(Absent::cold(why));
    };
    let (dir, body) = installed(declared, proxy)?;
    Ok(proxy::hearer(declared, &dir, &body, address, app)?)
}

fn user(body: &ReleaseBody) -> String {
    let named = USER.iter().find_map(|name| variable(body, name));
    named.unwrap_or(DEFAULT_USER).to_owned()
}

/// The value of an environment variable that any of the release's services has.
fn variable<'b>(body: &'b ReleaseBody, name: &str) -> Option<&'b str> {
    let lists = body.services.values().filter_map(|spec| spec["TaskTemplate"]["ContainerSpec"]["Env"].as_array());
    let entries = lists.flatten().filter_map(|entry| entry.as_str());
    entries
        .filter_map(|entry| entry.split_once('='))
        .find(|(key, value)| *key == name && !value.is_empty())
        .map(|(_, value)| value)
}

fn password(app: &config::App, dir: &AppDir, body: &ReleaseBody) -> anyhow::Result<SecretString> {
    let Some(object) = body.secret_named(PASSWORD) else {
        bail!("the recipe of {} has no secret {PASSWORD}, so nobody here can be its administrator", app.name);
    };
    let Some(bytes) = dir.secret(object)? else {
        bail!(
            "the secret {object} is not kept in {}: put its content into a file, name the file in [warm_keycloak] as \
             `secrets = {{ {PASSWORD} = \"/path\" }}`, and run `evenkeel {}`",
            dir.path().display(),
            app.name
        );
    };
    // The recipe's shell drops line ends behind it, too.
    let text = std::str::from_utf8(bytes.expose()).map_err(|_| anyhow!("the secret {object} is no text"))?;
    Ok(text.trim_end_matches('\n').to_owned().into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::plan::world;

    fn body(env: serde_json::Value) -> ReleaseBody {
        let spec = world::with(world::spec("app", "kc:1"), "/TaskTemplate/ContainerSpec/Env", env);
        world::release(&world::desired().service(spec))
    }

    #[test]
    fn only_a_wrong_password_is_told_as_one_that_somebody_has_changed() {
        let told = |said: &str| not_admin(&"warm-keycloak".parse().unwrap(), "root", said).to_string();
        let wrong = told("invalid_grant: Invalid user credentials");
        for words in ["Somebody has changed one", "locked root for a while", "evenkeel secret show", "secrets = { "] {
            assert!(wrong.contains(words), "{words}: {wrong}");
        }
        for said in [
            "invalid_grant: Account disabled",
            "invalid_grant: Account is not fully set up",
            "unauthorized_client: Client not allowed for direct access grants",
            "",
        ] {
            let other = told(said);
            assert!(other.contains(said) && other.contains("enabled") && other.contains("bootstrap-admin"), "{other}");
            assert!(!other.contains("changed"), "{other}");
        }
    }

    #[test]
    fn the_administrator_is_whom_the_recipe_names() {
        let both = body(json!(["KC_BOOTSTRAP_ADMIN_USERNAME=root", "KEYCLOAK_ADMIN=old"]));
        assert_eq!(user(&both), "root");
        assert_eq!(user(&body(json!(["KEYCLOAK_ADMIN=old", "KC_BOOTSTRAP_ADMIN_USERNAME="]))), "old");
        assert_eq!(user(&body(json!(["KC_DB=mariadb"]))), "admin");
    }
}
