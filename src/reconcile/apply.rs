//! Making the changes of a plan.
//!
//! Order: bytes of secrets to disk, images, then networks, secrets, configs, services that go, services that come.
//! What is no longer used is removed only after the gate, because the way back needs it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;
use tracing::info;

use super::Keeper;
use super::images::IMAGE;
use crate::desired::Desired;
use crate::health;
use crate::health::rest::{Rest, is_updating, rest};
use crate::host::engine::EngineError;
use crate::host::images::ImageError;
use crate::host::store::{self, Lock};
use crate::host::swarm::{Swarm, Written};
use crate::model::app::StackName;
use crate::model::observed::{Observed, Service};
use crate::model::outcome::Outcome;
use crate::model::secret::SecretBytes;
use crate::plan::canonical_form::mode_of;
use crate::plan::{Act, Change, Order, Plan, SecretData, wants_alone};

/// How long a removed or stopped service may take to let go of its containers.
const LET_GO: Duration = Duration::from_secs(120);
/// How long somebody's unfinished update is waited for before it is superseded from a standstill.
const SETTLE: Duration = Duration::from_secs(60);
/// The longest pause between two looks: pending tasks send no event.
const TICK: Duration = Duration::from_millis(500);

/// What was written to the Engine.
#[derive(Debug, Default)]
pub struct Applied {
    /// Service name -> `Version.Index` of our write.
    pub services: BTreeMap<String, u64>,
    /// Service name -> id of the image that it has to run.
    pub images: BTreeMap<String, String>,
}

/// Why changes were not made. What was asked of the Engine and refused is told apart: asking again helps nobody then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unapplied {
    Engine(EngineError),
    Other(Outcome),
}

impl From<EngineError> for Unapplied {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

impl From<ImageError> for Unapplied {
    fn from(error: ImageError) -> Self {
        match error {
            ImageError::Engine(error) => Self::Engine(error),
            gone => Self::Other(gone.into()),
        }
    }
}

impl From<Outcome> for Unapplied {
    fn from(outcome: Outcome) -> Self {
        Self::Other(outcome)
    }
}

impl From<Unapplied> for Outcome {
    fn from(unapplied: Unapplied) -> Self {
        match unapplied {
            Unapplied::Engine(error) => error.into(),
            Unapplied::Other(outcome) => outcome,
        }
    }
}

impl Keeper<'_> {
    /// Makes the changes that come before the gate.
    pub async fn apply(&self, lock: &Lock, plan: &Plan, observed: &Observed) -> Result<Applied, Unapplied> {
        let secrets = self.keep_secrets(lock, plan)?;
        let mut applied = Applied::default();
        self.remove_services(plan, observed).await?;
        for change in plan.before_gate() {
            self.make(change, &secrets, &plan.desired.stack, &mut applied).await?;
        }
        Ok(applied)
    }

    /// Starts the services anew that fail and that the plan does not write: Swarm may have given them up.
    pub async fn restart_failing(
        &self,
        desired: &Desired,
        observed: &Observed,
        applied: &mut Applied,
    ) -> Result<(), Outcome> {
        for name in health::failing_services(observed, desired) {
            if applied.services.contains_key(&name) || !observed.services.contains_key(&name) {
                continue;
            }
            let written = self.start_anew(&desired.stack, &name).await?;
            info!(object = %name, "started anew");
            applied.services.insert(name, written.index);
        }
        Ok(())
    }

    /// What was stopped first starts by being put back as it was.
    async fn start_anew(&self, stack: &StackName, name: &str) -> Result<Written, Outcome> {
        let Some(live) = self.swarm.live_service(name).await? else { return Err(gone(name)) };
        let written = match self.bring_to_rest(stack, name, &live.spec, true).await? {
            Stand::AsItWas => self.swarm.restart_service(name).await,
            Stand::Stopped => self.swarm_for(&live.spec).update_service(name, &live.spec).await,
            Stand::Removed => self.swarm_for(&live.spec).create_service(&live.spec).await,
        };
        Ok(written?)
    }

    /// Removes what nothing uses any more.
    pub async fn clean(&self, plan: &Plan) -> Result<(), Outcome> {
        for change in plan.after_gate() {
            match &change.act {
                Act::RemoveSecret => self.swarm.remove_secret(&change.name).await?,
                Act::RemoveConfig => self.swarm.remove_config(&change.name).await?,
                Act::RemoveNetwork => self.swarm.remove_network(&change.name, LET_GO).await?,
                _ => continue,
            }
            told(change);
        }
        Ok(())
    }

    /// The bytes of every secret that the plan creates, all of them on disk before the Engine hears of the first.
    pub fn keep_secrets(&self, lock: &Lock, plan: &Plan) -> Result<BTreeMap<String, SecretBytes>, Outcome> {
        let mut secrets = BTreeMap::new();
        for change in &plan.changes {
            let Act::CreateSecret { data, .. } = &change.act else { continue };
            let name = &change.name;
            let bytes = match data {
                SecretData::Given(bytes) => bytes.clone(),
                SecretData::Generated(rule) => rule.generate(&mut store::random),
                SecretData::Kept => self.dir.secret(name)?.ok_or_else(|| vanished(name))?,
                SecretData::Driver => continue,
            };
            self.dir.keep_secret(lock, name, &bytes)?;
            secrets.insert(name.clone(), bytes);
        }
        Ok(secrets)
    }

    /// Services that go, go first and wholly: one that comes may want their volume or port.
    async fn remove_services(&self, plan: &Plan, observed: &Observed) -> Result<(), Unapplied> {
        let gone: Vec<String> = plan
            .changes
            .iter()
            .filter(|change| matches!(change.act, Act::RemoveService))
            .filter_map(|change| observed.services.get(&change.name))
            .map(|service| service.id.clone())
            .collect();
        for change in plan.changes.iter().filter(|change| matches!(change.act, Act::RemoveService)) {
            self.swarm.remove_service(&change.name).await?;
            told(change);
        }
        self.wait_for_containers(&gone).await
    }

    async fn wait_for_containers(&self, services: &[String]) -> Result<(), Unapplied> {
        if services.is_empty() {
            return Ok(());
        }
        self.progress.waiting_for("the containers of removed services to end");
        Ok(self.swarm.wait_containers_gone(services, LET_GO).await?)
    }

    async fn make(
        &self,
        change: &Change,
        secrets: &BTreeMap<String, SecretBytes>,
        stack: &StackName,
        applied: &mut Applied,
    ) -> Result<(), Unapplied> {
        let name = &change.name;
        match &change.act {
            Act::CreateNetwork { body } => drop(self.swarm.create_network(body).await?),
            Act::CreateSecret { spec, .. } => {
                let empty = SecretBytes::new(Vec::new());
                self.swarm.create_secret(spec, secrets.get(name).unwrap_or(&empty)).await?;
            }
            Act::CreateConfig { spec, body } => drop(self.swarm.create_config(spec, body).await?),
            Act::CreateService { spec } => {
                // One of this name that somebody has just removed goes on for a while; a job's may do so for ever.
                if wants_alone(spec) || !mode_of(spec).ends_with("Job") {
                    self.progress.waiting_for(&format!("the containers of the removed service {name} to end"));
                    self.swarm.wait_removed_ended(name, LET_GO).await?;
                }
                let written = self.swarm_for(spec).create_service(spec).await?;
                applied.services.insert(name.clone(), written.index);
            }
            Act::UpdateService { spec, .. } => {
                let written = self.update(stack, name, spec, change.restarts).await?;
                applied.services.insert(name.clone(), written.index);
            }
            Act::RemoveService | Act::RemoveNetwork | Act::RemoveSecret | Act::RemoveConfig => return Ok(()),
        }
        told(change);
        Ok(())
    }

    /// The Swarm, told the login with which a service's image can be had again: a node fetches what it has lost.
    fn swarm_for(&self, spec: &Value) -> Swarm {
        let image = spec.pointer(IMAGE).and_then(Value::as_str);
        self.swarm.with_login(image.and_then(|image| self.auths.for_image(image)))
    }

    /// Writes a service so that none of its containers meets an old one where that would do harm.
    async fn update(&self, stack: &StackName, name: &str, spec: &Value, restarts: bool) -> Result<Written, Unapplied> {
        let written = match self.bring_to_rest(stack, name, spec, restarts).await? {
            Stand::AsItWas | Stand::Stopped => self.swarm_for(spec).update_service(name, spec).await,
            Stand::Removed => self.swarm_for(spec).create_service(spec).await,
        };
        Ok(written?)
    }

    /// An update that supersedes one under way starts new containers while old ones still run (measured), and so does
    /// one whose order is start-first. So what is under way is waited for, and a service whose containers may not meet is
    /// stopped first where it does not come to rest, or where its order would let them meet.
    async fn bring_to_rest(
        &self,
        stack: &StackName,
        name: &str,
        spec: &Value,
        restarts: bool,
    ) -> Result<Stand, Unapplied> {
        let Some(live) = self.swarm.live_service(name).await? else { return Ok(Stand::AsItWas) };
        let apart = wants_alone(&live.spec) || wants_alone(spec);
        if !apart && !is_updating(&live) {
            return Ok(Stand::AsItWas);
        }
        let rests = self.comes_to_rest(stack, name).await?;
        if !apart || (rests && !(restarts && Order::of(&live.spec, spec) == Order::StopAllFirst)) {
            return Ok(Stand::AsItWas);
        }
        self.stop(&live).await
    }

    /// Whether the service rests within a while; not waited for once it is clear that it never will.
    async fn comes_to_rest(&self, stack: &StackName, name: &str) -> Result<bool, Unapplied> {
        let deadline = Instant::now() + SETTLE;
        let mut changes = self.swarm.changes().await?;
        loop {
            let asked = Instant::now();
            let observed = self.swarm.observe_progress(stack).await?;
            let why = match rest(name, &observed) {
                Rest::Rests => return Ok(true),
                Rest::Stuck(why) => {
                    info!(object = %name, cause = %why, "does not come to rest");
                    return Ok(false);
                }
                Rest::Moves(why) => why,
            };
            if asked >= deadline {
                info!(object = %name, cause = %why, "does not come to rest");
                return Ok(false);
            }
            self.progress.waiting_for(&why);
            changes.wait(TICK).await;
        }
    }

    /// No container of it runs any more, nor will before the next write. Only replicas can be taken away; a service
    /// of another mode is removed.
    async fn stop(&self, service: &Service) -> Result<Stand, Unapplied> {
        let name = &service.name;
        let stand = if mode_of(&service.spec) == "Replicated" { Stand::Stopped } else { Stand::Removed };
        match stand {
            Stand::Removed => self.swarm.remove_service(name).await?,
            Stand::AsItWas | Stand::Stopped => self.swarm.scale_to_nothing(name).await?,
        }
        info!(object = %name, "stopped, so that no two of its containers meet");
        self.progress.waiting_for(&format!("the containers of {name} to end"));
        self.swarm.wait_containers_ended(name, LET_GO).await?;
        Ok(stand)
    }
}

/// What a service was brought to rest by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stand {
    AsItWas,
    Stopped,
    Removed,
}

fn gone(name: &str) -> Outcome {
    Outcome::Error(format!("service {name} was removed by somebody else meanwhile; run this again"))
}

fn vanished(name: &str) -> Outcome {
    Outcome::Error(format!(
        "the kept bytes of secret {name} have vanished from the disk since they were listed; run this again"
    ))
}

fn told(change: &Change) {
    info!(object = %change.name, reason = %change.reason, restarts = change.restarts, "changed");
}
