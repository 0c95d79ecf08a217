//! The builds' settings of the declared repositories, set over the API of the server that runs them.
//!
//! Best effort: what cannot be set is a warning and is tried again by the next run. The border: how one repository is
//! asked for and changed is `host::builds`. The surprise: the token is read last, so that a file that is missing is told
//! only where it would be needed.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context as _, anyhow};
use tokio::time::Instant;
use tracing::info;

use super::live::HTTPS;
use super::rounds::{Fate, Patience, in_rounds};
use super::{proxy, runner_env};
use crate::config::{App, Builds, Declared, Special};
use crate::host::builds::{BuildServer, BuildsError, Settled, refuses_runner, token};
use crate::host::probe::{ProbeError, Target};
use crate::host::store::Store;
use crate::model::app::Kind;
use crate::model::ci::{Ci, RepositorySettings};

/// Has the settings of every declared repository be as declared; gives what could not be done.
pub async fn settle(
    declared: &Declared,
    store: &Store,
    app: &App,
    ci: &'static Ci,
    builds: &Builds,
    patience: Patience<'_>,
) -> Vec<String> {
    let server = match server(declared, store, app, ci, &builds.token, patience.until) {
        Ok(server) => server,
        Err(why) => return vec![format!("the builds' settings cannot be set: {why:#}")],
    };
    settle_all(&server, &builds.repositories, builds.settings, patience, &builds.token).await
}

fn server(
    declared: &Declared,
    store: &Store,
    app: &App,
    ci: &'static Ci,
    file: &Path,
    until: Instant,
) -> anyhow::Result<BuildServer> {
    let target = target(declared, store, app)?;
    let token = token::read(file).map_err(|why| anyhow!(why))?;
    Ok(BuildServer::new(target, ci, token, until))
}

fn target(declared: &Declared, store: &Store, app: &App) -> anyhow::Result<Target> {
    let address = SocketAddr::new(declared.proxy_address, HTTPS);
    let proxy = declared.of(Kind::Proxy).next();
    let proxy = proxy.with_context(|| format!("no [proxy] is declared, so nobody serves {}", app.domain))?;
    let dir = store.app(&proxy.name);
    let current = dir.read_state()?.and_then(|state| state.current);
    let current = current.with_context(|| format!("{0} is not installed: `evenkeel {0}` does it", proxy.name))?;
    proxy::hearer(declared, &dir, &current.body, address, app)
}

/// What `check` tells of a token that is declared: that it cannot be had, or who else may. A run goes on in any case.
pub fn told_of_token(app: &App) -> Option<String> {
    let Special::Drone(drone) = &app.special else { return None };
    let file = &drone.builds.as_ref()?.token;
    match token::read(file) {
        Ok(_) => token::is_open(file),
        Err(why) => Some(format!("the builds' settings cannot be set: {why}")),
    }
}

/// A warning where the server does not take the runner whose environment is written here, as after it was adopted with
/// another secret than the operator's file has.
pub async fn runner_without(declared: &Declared, store: &Store, app: &App, ci: &'static Ci) -> Option<String> {
    let dir = store.app(&app.name);
    let current = dir.read_state().ok()??.current?;
    let secret = runner_env::secret(&current.body, ci, &dir).ok()?;
    let target = target(declared, store, app).ok()?;
    refuses_runner(&target, ci, &secret.into()).await.then(|| no_runner(ci))
}

fn no_runner(ci: &Ci) -> String {
    let (name, secret) = (ci.name, ci.shared_secret);
    format!(
        "{name} does not take its runner's secret, so no build begins: it runs with another one than secrets.{secret} had when \
         it was taken over. Put a new one into that file, and the next run gives it to both"
    )
}

async fn settle_all(
    server: &BuildServer,
    repositories: &[String],
    wanted: RepositorySettings,
    patience: Patience<'_>,
    file: &Path,
) -> Vec<String> {
    let repositories: Vec<&str> = repositories.iter().map(String::as_str).collect();
    let settle = async |repository: &str| {
        let settled = server.settle(repository, wanted).await?;
        if settled == Settled::Changed {
            info!(repository, "the builds' settings are changed");
        }
        Ok(())
    };
    if let Err(refused) = server.takes_token().await {
        return vec![of_all(&refused, file)];
    }
    let answers = in_rounds(&repositories, patience, settle, fate).await;
    told(&repositories, answers, file)
}

fn fate(error: &BuildsError) -> Fate {
    match error {
        error if error.is_of_all() => Fate::EndsAll,
        error if error.may_pass() => Fate::Again,
        _ => Fate::Stays,
    }
}

/// A warning for each thing that went wrong, with the repositories to which it happened.
fn told(repositories: &[&str], answers: Vec<Option<Result<(), BuildsError>>>, file: &Path) -> Vec<String> {
    let missed = answers.iter().filter(|answer| answer.is_none()).count();
    let mut failed: Vec<(BuildsError, Vec<&str>)> = Vec::new();
    for (repository, answer) in repositories.iter().zip(answers) {
        let Some(Err(error)) = answer else { continue };
        match failed.iter_mut().find(|(other, _)| *other == error) {
            Some((_, repositories)) => repositories.push(repository),
            None => failed.push((error, vec![repository])),
        }
    }
    let is_ended = failed.iter().any(|(error, _)| error.is_of_all());
    let sentence = |(error, repositories): (BuildsError, Vec<&str>)| match error.is_of_all() {
        true => of_all(&error, file),
        false => {
            let repositories = repositories.join(", ");
            format!("the builds' settings of {repositories} are not set: {error}; {}", way_out(&error, file))
        }
    };
    let mut told: Vec<String> = failed.into_iter().map(sentence).collect();
    if missed > 0 && !is_ended {
        let all = repositories.len();
        told.push(format!(
            "the builds' settings of {missed} of {all} repositories were not come to in time; the next run goes on"
        ));
    }
    told
}

fn of_all(error: &BuildsError, file: &Path) -> String {
    format!("the builds' settings cannot be set: {error}; {}", way_out(error, file))
}

fn way_out(error: &BuildsError, file: &Path) -> String {
    match error {
        BuildsError::Unsafe(ProbeError::Certificate { .. }) => {
            "`evenkeel proxy` has the proxy serve the declared one, or tells what is in the way".to_owned()
        }
        BuildsError::TokenRefused { server, .. } => {
            format!(
                "put a token of an administrator of {server} into {} (its own page of the account shows it)",
                file.display()
            )
        }
        BuildsError::Forbidden { server, .. } => {
            format!("have its user be an administrator of {server}, and see that the repository is activated there")
        }
        BuildsError::Unknown { server, .. } => {
            format!("is its name right, and is it activated in {server} by somebody who sees it there?")
        }
        BuildsError::Unheard { server, .. } => {
            format!(
                "it does so where the token's user is no administrator of {server}: make it one, or put another's token into {}",
                file.display()
            )
        }
        BuildsError::Away(_) | BuildsError::Unsafe(_) | BuildsError::Refused { .. } | BuildsError::Odd { .. } => {
            "the next run tries it again".to_owned()
        }
    }
}

#[cfg(test)]
mod tests;
