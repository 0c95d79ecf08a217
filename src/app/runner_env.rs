//! The runner's environment file, from what the server runs with.
//!
//! The border: which bytes they are is decided here; how they are written is the store's matter. The surprise: the
//! operator's own file is never read for it. The secret is the one that the *current release* names, as it is kept here:
//! so a rotation reaches the runner when it has passed its gate, and a way back takes it back, by itself.

use std::path::PathBuf;

use anyhow::{Context as _, anyhow};

use super::{recorded, turn};
use crate::config::{self, Declared, Special};
use crate::host::store::{AppDir, Lock, Store};
use crate::model::app::AppName;
use crate::model::ci::{BuildEngine, Ci, ENGINES, Runner};
use crate::model::outcome::Outcome;
use crate::model::runner_env;
use crate::model::secret::SecretBytes;
use crate::model::state::ReleaseBody;

/// How the file stands now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stands {
    Written(PathBuf),
    /// It was so already.
    Unchanged(PathBuf),
    /// No release has passed its gate yet, or the app has no runner, so there is nothing that one could be told.
    NotInstalled,
}

/// Writes the file of an app that has a runner, unless it stands there already.
///
/// # Errors
/// Why it cannot be written, with the way out; the one from before stands then. Nothing of the secret is told.
pub(super) fn keep(declared: &Declared, app: &config::App, dir: &AppDir, lock: &Lock) -> Result<Stands, Outcome> {
    let Some(bytes) = wanted(declared, app, dir)? else { return Ok(Stands::NotInstalled) };
    let is_new = dir.keep_runner_env(lock, &bytes)?;
    let path = dir.runner_env_file();
    Ok(if is_new { Stands::Written(path) } else { Stands::Unchanged(path) })
}

/// Whether [`keep`] would write it. Only looks, without the lock.
///
/// # Errors
/// As [`keep`] has it.
pub(super) fn is_behind(declared: &Declared, app: &config::App, dir: &AppDir) -> Result<bool, Outcome> {
    let Some(bytes) = wanted(declared, app, dir)? else { return Ok(false) };
    Ok(!dir.has_runner_env(&bytes)?)
}

/// What is told of the file where the app is not declared as it was installed: nobody knows how it should be by now.
pub fn stale(app: &AppName, dir: &AppDir) -> Option<String> {
    let path = dir.runner_env_file();
    path.exists().then(|| {
        format!(
            "{} may not be what the server runs with any more, since {app} is not declared as it was installed: declare it so, \
             or stop the runner and remove the file",
            path.display()
        )
    })
}

/// How the file is to be; `None` where nobody could be told anything.
fn wanted(declared: &Declared, app: &config::App, dir: &AppDir) -> Result<Option<SecretBytes>, Outcome> {
    let Special::Drone(drone) = &app.special else { return Ok(None) };
    let Some(current) = recorded(app, dir)?.current else { return Ok(None) };
    let ci = engine_of(&current.body, drone.engine).ci();
    let secret = secret(&current.body, ci, dir)?;
    let server = drone.rpc.as_deref().unwrap_or(app.domain.as_str());
    let runner = Runner { server, secret: &secret, capacity: declared.max_tests };
    Ok(Some(runner_env::file(ci, runner)))
}

/// The same by hand, without a run. Leaves a host on which the app was never installed as it is.
///
/// # Errors
/// As [`keep`] has it; or how it ends where another run is at the app and nobody wants to wait.
pub async fn by_hand(declared: &Declared, app: &config::App) -> Result<Stands, Outcome> {
    if !Store::for_reading(&declared.state_dir).apps()?.contains(&app.name) {
        return Ok(Stands::NotInstalled);
    }
    let dir = Store::open(&declared.state_dir)?.app(&app.name);
    let lock = turn::lock(&dir, &app.name).await??;
    keep(declared, app, &dir, &lock)
}

/// The engine of a release, as the secret says that it shares; the declared one where that says nothing.
pub(super) fn engine_of(body: &ReleaseBody, declared: BuildEngine) -> BuildEngine {
    let shares = |engine: &BuildEngine| body.secret_named(engine.ci().shared_secret).is_some();
    let engines = std::iter::once(declared).chain(ENGINES.into_iter().map(|(_, other)| other));
    engines.into_iter().find(shares).unwrap_or(declared)
}

/// What the server runs with.
pub(super) fn secret(body: &ReleaseBody, ci: &Ci, dir: &AppDir) -> anyhow::Result<String> {
    let key = ci.shared_secret;
    let name = body.secret_named(key).ok_or_else(|| {
        anyhow!("the release that runs has no secret {key}, so there is nothing to tell the runner: see what `secrets` names")
    })?;
    let kept = dir.secret(name)?.with_context(|| {
        let folder = dir.path().join("secrets");
        let folder = folder.display();
        format!(
            "secret {name}, with which the server runs, is not kept in {folder} any more: put its file back from a backup, \
             or give the secret a new value"
        )
    })?;
    let shared = runner_env::shared(&kept).map_err(|why| anyhow!("secret {key}: its file {why}"))?;
    Ok(shared.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::state::KeptSecret;
    use crate::model::version::Revision;

    fn release(key: &str) -> ReleaseBody {
        let commit = "0123456789abcdef0123456789abcdef01234567".parse().unwrap();
        let mut body = ReleaseBody::empty(Revision { version: None, commit });
        body.secrets.insert("drone_x_v1".to_owned(), KeptSecret { key: key.to_owned(), spec: serde_json::Value::Null });
        body
    }

    #[test]
    fn a_release_says_itself_of_which_engine_its_runner_is() {
        for (declared, key, name) in [
            (BuildEngine::Drone, "rpc_secret", "Drone"),
            (BuildEngine::Woodpecker, "agent_secret", "Woodpecker"),
            (BuildEngine::Woodpecker, "rpc_secret", "Drone"),
            (BuildEngine::Drone, "agent_secret", "Woodpecker"),
        ] {
            assert_eq!(engine_of(&release(key), declared).ci().name, name, "{declared:?}");
        }
        let dir = Store::for_reading("/nonexistent").app(&"drone".parse().unwrap());
        let body = release("other");
        let told = secret(&body, engine_of(&body, BuildEngine::Drone).ci(), &dir).unwrap_err().to_string();
        assert!(told.contains("has no secret rpc_secret"), "{told}");
    }
}
