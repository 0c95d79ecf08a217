//! `drone`: the server that runs the builds, Drone or Woodpecker, whose people sign in at a Gitea.
//!
//! Nearly an `app`. What differs is in two places: the table of its engine (`model::ci`), and here, what of that is asked of
//! a recipe: the declared Gitea's address and client id in its services, the folder with its builds on a volume, a shared
//! secret that a runner can be told. The surprise: a variable that is given to a recipe may be ignored by it, so what counts
//! is what its services carry in the end.

mod carried;
mod data;

use std::path::PathBuf;

use jiff::Timestamp;

use super::live::Live;
use super::proxy;
use crate::config::{self, HttpCheck, Special};
use crate::desired::{Desired, SecretSource};
use crate::model::app::{Domain, Kind};
use crate::model::ci::{self, Ci};
use crate::model::outcome::Outcome;
use crate::model::runner_env;
use crate::model::secret::Hidden;
use crate::reconcile::{Gate, Reconciler};
use carried::Carried;

pub struct Drone<'a> {
    live: Live<'a>,
    drone: &'a config::Drone,
}

impl<'a> Drone<'a> {
    /// # Errors
    /// For an app without what only this kind has.
    pub fn new(live: Live<'a>) -> Result<Self, Outcome> {
        match &live.app.special {
            Special::Drone(drone) => Ok(Self { drone, live }),
            Special::None => Err(Outcome::Error(format!("{} is declared without an engine for builds", live.app.name))),
        }
    }

    fn ci(&self) -> &'static Ci {
        self.drone.engine.ci()
    }
}

impl Reconciler for Drone<'_> {
    fn preflight(&self, now: Timestamp) -> Result<(), String> {
        is_reached(&self.live)?;
        is_covered(&self.live, self.drone, now)?;
        self.live.preflight(now)
    }

    fn secrets(&self) -> Vec<(String, PathBuf)> {
        self.live.secrets()
    }

    fn variables(&self) -> Vec<(String, String)> {
        let config::Gitea { server, client_id } = &self.drone.gitea;
        let variables = self.ci().recipe_variables(server, client_id).into_iter();
        variables.map(|(name, value)| (name.to_owned(), value)).collect()
    }

    fn takes(&self, desired: &Desired, hidden: Option<&Hidden>) -> Result<(), String> {
        carried::agrees(desired, self.ci(), &self.drone.gitea, hidden)?;
        runner_can_be_told(desired, self.ci())?;
        data::goes_back(desired, self.ci(), self.live.app)
    }

    /// Also where the recipe routes the domain nowhere: its people, its runner and Gitea's webhooks come that way. A
    /// release is judged by what it carries itself: one from before may know another Gitea, or be of the other engine.
    fn gate(&self, desired: &Desired) -> Gate {
        let config::Gitea { server, client_id } = &self.drone.gitea;
        let declared = Carried { ci: self.ci(), server, client_id };
        let carried = carried::by(desired, self.drone.engine).unwrap_or(declared);
        let (path, status) = carried.ci.health;
        let health = HttpCheck { status: vec![status], ..HttpCheck::at(path) };
        self.live.gate_by([health, sign_in(&carried)])
    }
}

/// Whoever wants to sign in has to be led to the release's Gitea, with the id under which that one knows this server.
fn sign_in(carried: &Carried<'_>) -> HttpCheck {
    HttpCheck {
        status: vec![302, 303, 307],
        redirect: Some(format!("{}?", ci::authorize_page(carried.server))),
        redirect_query: [("client_id".to_owned(), carried.client_id.to_owned())].into(),
        ..HttpCheck::at(carried.ci.sign_in)
    }
}

fn is_reached(live: &Live<'_>) -> Result<(), String> {
    match live.declared.of(Kind::Proxy).next() {
        Some(_) => Ok(()),
        None => Err(format!(
            "no proxy is declared, so nobody reaches https://{}, neither people nor the runner, and its gate has nothing to \
             ask: declare [proxy], or keep the recipe as [app.NAME]",
            live.app.domain
        )),
    }
}

/// The runner looks at the certificate, which is the declared one for each host below the base domain.
fn is_covered(live: &Live<'_>, drone: &config::Drone, now: Timestamp) -> Result<(), String> {
    let Some(rpc) = &drone.rpc else { return Ok(()) };
    let host = rpc.split(':').next().unwrap_or(rpc);
    let is_ours = host.ends_with(&format!(".{}", live.declared.base_domain));
    // What is wrong with its files is told where the proxy is kept.
    let certificate = proxy::certificate(live.declared, now).ok().flatten().filter(|_| is_ours);
    match (certificate, host.parse::<Domain>()) {
        (Some(certificate), Ok(domain)) if !certificate.covers(&domain) => Err(format!(
            "the declared certificate does not cover {host}, where `rpc` has the runner reach the server: it covers {}; a \
             wildcard covers one label",
            certificate.names.join(", ")
        )),
        _ => Ok(()),
    }
}

/// Told before anything is changed: a server with a secret that no runner can be told would run no build.
fn runner_can_be_told(desired: &Desired, ci: &Ci) -> Result<(), String> {
    let shared = desired.secrets.iter().find(|secret| secret.key == ci.shared_secret);
    let Some(SecretSource::Bytes(bytes)) = shared.map(|secret| &secret.source) else { return Ok(()) };
    match runner_env::shared(bytes) {
        Ok(_) => Ok(()),
        Err(why) => Err(format!("secret {}: its file {why}", ci.shared_secret)),
    }
}

#[cfg(test)]
mod tests;
