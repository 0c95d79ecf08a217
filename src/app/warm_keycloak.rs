//! `warm-keycloak`: a Keycloak that is always up, for everything that needs an identity provider.
//!
//! Nearly an `app`. What differs: its database and its providers go back with its version, so a recipe without either, or a
//! snapshot without either, is refused; and it is asked for a realm. The surprise is why: within one major version an old
//! Keycloak starts on a newer schema, looks healthy and writes, so no gate would notice data that did not go back.

use std::path::PathBuf;

use jiff::Timestamp;

use super::live::Live;
use crate::config::{self, HttpCheck};
use crate::desired::{self, Desired};
use crate::model::app::Kind;
use crate::model::secret::Hidden;
use crate::reconcile::{Gate, Reconciler};

/// The recipe's names for the volumes without which there is no way back.
const VOLUMES: [&str; 2] = ["mariadb", "providers"];
/// Answers 503 until the database is migrated.
const REALM: &str = "/realms/master";
/// Answers 200 as soon as the ports are open.
const TOO_EARLY: &str = "/health/live";

pub struct WarmKeycloak<'a>(pub Live<'a>);

impl Reconciler for WarmKeycloak<'_> {
    fn preflight(&self, now: Timestamp) -> Result<(), String> {
        snapshot_is_whole(self.0.app)?;
        is_reached(&self.0)?;
        gate_waits(self.0.app)?;
        self.0.preflight(now)
    }

    fn secrets(&self) -> Vec<(String, PathBuf)> {
        self.0.secrets()
    }

    fn takes(&self, desired: &Desired, _hidden: Option<&Hidden>) -> Result<(), String> {
        has_volumes(desired)
    }

    /// Also where the recipe routes the domain nowhere: an identity provider that nobody can reach is none.
    fn gate(&self, _desired: &Desired) -> Gate {
        self.0.gate_by(Some(HttpCheck { status: vec![200], ..HttpCheck::at(REALM) }))
    }
}

fn has_volumes(desired: &Desired) -> Result<(), String> {
    let mounted = desired::volumes(desired);
    let missing: Vec<&str> =
        VOLUMES.into_iter().filter(|volume| !mounted.contains(&format!("{}_{volume}", desired.stack))).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(format!(
        "no service mounts a volume {} of the recipe's own, so its data could not go back with a version: name the compose \
         files that have it in `compose`, or keep the recipe as [app.NAME]",
        missing.join(" or ")
    ))
}

/// Whoever leaves one of the volumes out would get the old version on new data.
fn snapshot_is_whole(app: &config::App) -> Result<(), String> {
    let left_out = [("exclude", &app.snapshot.exclude), ("external", &app.snapshot.external)];
    for (key, names) in left_out {
        let named =
            |volume: &str| names.iter().any(|name| name == volume || *name == format!("{}_{volume}", app.stack));
        if let Some(volume) = VOLUMES.into_iter().find(|volume| named(volume)) {
            return Err(format!(
                "snapshot.{key} leaves out volume {volume}, which has to go back with the version: take it out of the list"
            ));
        }
    }
    Ok(())
}

/// Swarm's verdict alone, which is all that there is without a proxy, may be good before the migration is done.
fn is_reached(live: &Live<'_>) -> Result<(), String> {
    match live.declared.of(Kind::Proxy).next() {
        Some(_) => Ok(()),
        None => Err(format!(
            "no proxy is declared, so nobody reaches https://{}{REALM}, and its gate has nothing to ask: declare [proxy], or \
             keep the recipe as [app.NAME]",
            live.app.domain
        )),
    }
}

/// What is up before its database is migrated may still fail at that.
fn gate_waits(app: &config::App) -> Result<(), String> {
    let Some(checks) = &app.gate.http else { return Ok(()) };
    if checks.iter().any(|check| !check.path.ends_with(TOO_EARLY)) {
        return Ok(());
    }
    let asks = match checks.is_empty() {
        true => "for nothing, and Swarm's verdict may be good".to_owned(),
        false => format!("for nothing but {TOO_EARLY}, which is 200"),
    };
    Err(format!("gate.http asks {asks} before the migration is done: ask for {REALM}, too, or leave gate.http out"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::Declared;
    use crate::desired::DesiredService;
    use crate::host::probe::Check;
    use crate::host::store::Store;

    const RECIPE: &str = "recipe = { url = \"https://git.example.org/r\" }\n";

    fn declared(lines: &str) -> Declared {
        let text = format!("base_domain = \"example.org\"\n[warm_keycloak]\n{RECIPE}{lines}");
        config::parse("config.toml", &text).unwrap()
    }

    fn desired(app: &config::App, volumes: &[&str]) -> Desired {
        let mounts: Vec<_> = volumes.iter().map(|volume| json!({ "Type": "volume", "Source": volume })).collect();
        let spec = json!({ "TaskTemplate": { "ContainerSpec": { "Mounts": mounts } } });
        Desired {
            stack: app.stack.clone(),
            networks: vec![],
            external_networks: vec![],
            secrets: vec![],
            configs: vec![],
            services: vec![DesiredService { name: format!("{}_app", app.stack), spec }],
        }
    }

    fn with<T>(lines: &str, look: impl FnOnce(&WarmKeycloak<'_>) -> T) -> T {
        let declared = declared(&format!("{lines}[proxy]\n{RECIPE}"));
        let store = Store::for_reading(std::path::Path::new("/nonexistent"));
        look(&WarmKeycloak(Live::new(&declared, &store, declared.app("warm-keycloak").unwrap())))
    }

    #[test]
    fn a_realm_is_asked_for_unless_another_gate_is_declared() {
        let checks = |lines: &str| with(lines, |keycloak| keycloak.gate(&desired(keycloak.0.app, &[])).checks);
        let realm = HttpCheck { status: vec![200], ..HttpCheck::at("/realms/master") };
        assert_eq!(checks(""), [Check::Page(realm)]);
        assert_eq!(checks("gate = { http = [{ path = \"/own\" }] }\n"), [Check::Page(HttpCheck::at("/own"))]);
    }

    #[test]
    fn a_recipe_without_its_database_or_its_providers_is_refused() {
        let taken = |volumes: &[&str]| with("", |keycloak| keycloak.takes(&desired(keycloak.0.app, volumes), None));
        let (mariadb, providers) = ("warm-keycloak_example_org_mariadb", "warm-keycloak_example_org_providers");
        assert_eq!(taken(&[mariadb, providers, "other"]), Ok(()));
        assert!(taken(&[providers, "mariadb"]).unwrap_err().contains("volume mariadb of"));
        assert!(taken(&[mariadb]).unwrap_err().contains("volume providers of"));
        assert!(taken(&[]).unwrap_err().contains("volume mariadb or providers of"));
    }

    #[test]
    fn what_nobody_reaches_is_refused() {
        let declared = declared("");
        let store = Store::for_reading(std::path::Path::new("/nonexistent"));
        let keycloak = WarmKeycloak(Live::new(&declared, &store, declared.app("warm-keycloak").unwrap()));
        let told = keycloak.preflight(Timestamp::UNIX_EPOCH).unwrap_err();
        assert!(told.contains("https://warm-keycloak.example.org/realms/master") && told.contains("[proxy]"), "{told}");
    }

    #[test]
    fn a_gate_that_is_content_before_the_migration_is_refused() {
        let preflight = |gate: &str| with(gate, |keycloak| keycloak.preflight(Timestamp::UNIX_EPOCH));
        let told = preflight("gate = { http = [{ path = \"/health/live\" }] }\n").unwrap_err();
        assert!(told.contains("ask for /realms/master"), "{told}");
        assert!(preflight("gate = { http = [] }\n").unwrap_err().contains("asks for nothing, and"));
        let beside = "gate = { http = [{ path = \"/health/live\" }, { path = \"/realms/master\" }] }\n";
        for good in ["", beside] {
            assert_eq!(preflight(good), Ok(()));
        }
    }

    #[test]
    fn a_snapshot_that_leaves_the_data_out_is_refused() {
        let preflight = |lines: &str| with(lines, |keycloak| keycloak.preflight(Timestamp::UNIX_EPOCH));
        assert_eq!(preflight("snapshot = { exclude = [\"cache\"], external = [\"themes\"] }\n"), Ok(()));
        for list in ["exclude", "external"] {
            for name in ["mariadb", "warm-keycloak_example_org_providers"] {
                let told = preflight(&format!("snapshot = {{ {list} = [\"{name}\"] }}\n")).unwrap_err();
                assert!(told.contains(&format!("snapshot.{list}")), "{told}");
            }
        }
    }
}
