//! An upgrade of one app: the release to take, prepared before anything is stopped, and the transaction that takes it.
//!
//! The border: which version is chosen by `policy`, what stands in its way is found by `preflight`, what is done is the
//! transaction's matter. The surprise: images are fetched and secrets are made before the first step, so a registry that
//! is down costs nobody a minute, and what is deployed is what was written down.

use std::collections::BTreeMap;

use tracing::{info, warn};

use super::offering::Offer;
use super::performing::Desk;
use super::reading::Read;
use super::transacting::{self, Beginning};
use super::turn::Break;
use super::view::Sources;
use super::{Run, ends};
use crate::config;
use crate::desired::SecretSource;
use crate::host::store;
use crate::host::who::who;
use crate::model::observed::Observed;
use crate::model::outcome::Outcome;
use crate::model::state::State;
use crate::model::transaction::{Candidate, PassedNotes, Transaction, Volume};
use crate::model::version::Revision;
use crate::plan::Plan;
use crate::reconcile::{Gate, release};
use crate::upgrade::told::HeldBack;

/// The release to take.
#[derive(Debug)]
pub struct Target {
    pub revision: Revision,
    pub read: Read,
    pub notes: Option<PassedNotes>,
    /// Why a change of configuration is an upgrade.
    pub why: Option<String>,
    /// The images of tags that moved, each `name:tag@digest`.
    pub images: Vec<String>,
}

impl Target {
    /// The version that runs with another configuration, or with images that moved.
    pub fn change(revision: Revision, read: Read, why: String) -> Self {
        Self { revision, read, notes: None, why: Some(why), images: Vec::new() }
    }

    /// Why a change of configuration is not tried by itself: it has failed before, or could not be finished twice.
    pub fn is_refused(&self, app: &config::App, state: &State) -> Option<Outcome> {
        let key = &self.read.key;
        let refused = state.refused.iter().find(|refused| {
            let same_images = self.images.iter().all(|image| refused.images.contains_key(image));
            refused.revision == self.revision && refused.key == *key && same_images && !refused.by_hand
        });
        if let Some(refused) = refused {
            return Some(Outcome::Held(format!(
                "the change of configuration was tried at {} and failed: {}; it is not tried again by itself: change the \
                 configuration, or run `evenkeel app {} --retry`",
                refused.ts.strftime("%FT%TZ"),
                refused.reason,
                app.name
            )));
        }
        state.is_given_up(key).then(|| {
            Outcome::Blocked(format!(
                "the change of configuration was broken off twice and is not tried again by itself: `evenkeel history {}` \
                 tells why, `evenkeel app {} --retry` has it tried once more",
                app.name, app.name
            ))
        })
    }
}

impl Run<'_> {
    /// Takes the version that the policy lets through, if there is one.
    pub(super) async fn take_version(&mut self, sources: &Sources, observed: &Observed) -> Result<Outcome, Break> {
        let offer = self.look_ahead(sources, observed).await?;
        let Some(target) = offer.target else { return Ok(offer.told.unwrap_or(Outcome::Converged)) };
        let outcome = self.upgrade(target).await?;
        Ok(match offer.told {
            Some(told) => outcome.and(&told.to_string()),
            None => outcome,
        })
    }

    /// What the policy makes of the versions in front of the app, which is told with the outcome.
    pub(super) async fn look_ahead(&mut self, sources: &Sources, observed: &Observed) -> Result<Offer, Outcome> {
        let mut offer = self.view().offer(sources, observed, &self.host.images, self.now).await?;
        self.report.looked = true;
        self.report.held = offer.hold.take().map(|hold| HeldBack {
            reason: hold.reason(),
            release_notes: hold.notes.told(),
            target: hold.target,
        });
        Ok(offer)
    }

    /// Takes the target in one transaction: all of it and gated, or what ran before on its own data.
    pub(super) async fn upgrade(&mut self, target: Target) -> Result<Outcome, Break> {
        self.take_slot()?;
        if let Some(waiting) = self.is_somebody_else_open()? {
            return Ok(waiting);
        }
        let Some(current) = self.state.current.clone() else { return Ok(Outcome::Converged) };
        if let Some(why) = &target.why {
            info!(why, "the change of configuration is made as an upgrade");
        }
        let observed = self.settled().await?;
        let old = release::desired(&self.app.stack, &current.body, &self.dir)?;
        let unfetched = release::body(&target.read.desired, target.revision.clone(), BTreeMap::new());
        let beside = self.room_beside_images(&old, &unfetched).await?;
        let new = self.candidate(&target, &observed, beside).await?;
        let gate = self.reconciler.gate(&old);
        let volumes = self.preflight(&old, &new.body, &observed, &gate).await?;
        let beginning = self.beginning(&gate, volumes);
        let transaction = beginning.upgrade(&self.state, &current, new);
        Ok(self.perform(transaction).await?)
    }

    /// Begins a transaction and follows it to its end.
    pub(super) async fn perform(&mut self, transaction: Transaction) -> Result<Outcome, Outcome> {
        let begun = self.desk().begin(&self.state, transaction).await;
        // Asked to end: what was in front of the app is still there.
        self.report.gave_way |= matches!(begun, Err(Outcome::Waiting(_)));
        let (outcome, state) = begun?;
        self.report.closed |= state.open.is_none();
        self.state = state;
        Ok(outcome)
    }

    /// Finishes what an earlier run left open.
    pub(super) async fn finish(&mut self) -> Result<Outcome, Break> {
        self.take_slot()?;
        let (outcome, state) = self.desk().finish(&self.state).await?;
        self.report.closed |= state.open.is_none();
        self.state = state;
        Ok(outcome)
    }

    pub(super) fn desk(&self) -> Desk<'_> {
        let Self { host, app, dir, lock, progress, .. } = self;
        Desk { host, app: &app.name, dir, lock, progress }
    }

    /// What a transaction that begins now has besides its releases.
    pub(super) fn beginning(&self, gate: &Gate, volumes: BTreeMap<String, Volume>) -> Beginning {
        let mut random = [0; 4];
        store::random(&mut random);
        Beginning {
            by: who(),
            now: self.now,
            random,
            rules: transacting::rules(self.app, gate.within),
            volumes,
            gate: gate.kept(),
        }
    }

    /// The target as it will be deployed: images at hand and by their digests, the bytes of its secrets on disk.
    /// So many bytes stay free `beside` the images.
    pub(super) async fn candidate(
        &self,
        target: &Target,
        observed: &Observed,
        beside: u64,
    ) -> Result<Candidate, Outcome> {
        let keeper = self.keeper();
        let mut plan = keeper.plan(observed, &target.read.desired).await?;
        for note in keeper.fetch_images_beside(&mut plan, beside).await? {
            warn!("{note}");
        }
        self.keep_secrets(&plan)?;
        let desired = release::with_planned_images(&plan, observed);
        let references = release::images(&desired);
        let images = self.host.images.ids(&references).await?;
        if let Some(missing) = references.iter().find(|reference| !images.contains_key(*reference)) {
            return Err(Outcome::Error(format!(
                "image {missing} is not on this machine although it was fetched; run this again"
            )));
        }
        Ok(Candidate {
            body: release::body(&desired, target.revision.clone(), images),
            key: target.read.key.clone(),
            frozen: target.read.frozen.clone(),
            gate: self.reconciler.gate(&desired).kept(),
            notes: target.notes.clone(),
        })
    }

    /// A release is put back, and deployed, from what is kept: so all of it is kept before it begins.
    fn keep_secrets(&self, plan: &Plan) -> Result<(), Outcome> {
        self.keeper().keep_secrets(&self.lock, plan)?;
        for secret in &plan.desired.secrets {
            if let SecretSource::Bytes(bytes) = &secret.source {
                self.dir.keep_secret(&self.lock, &secret.name, bytes)?;
            }
        }
        Ok(())
    }

    /// One transaction at a time, also where the run that began the other one is dead.
    fn is_somebody_else_open(&self) -> Result<Option<Outcome>, Outcome> {
        let open = super::resuming::open(&self.host.store).into_iter().find(|(app, _)| *app != self.app.name);
        Ok(open.map(|(app, transaction)| {
            Outcome::Waiting(format!(
                "{} of {app} is to be finished first (`evenkeel resume`); the next run looks again",
                ends::subject(&transaction)
            ))
        }))
    }
}
