//! Writing a release to the Engine as it was recorded, and judging it.

use std::collections::BTreeMap;

use tracing::{info, warn};

use super::data::Eager;
use super::{DONE, OnHost, body_of, no_or_failure};
use crate::desired::Desired;
use crate::health::{RolledBack, rolled_back};
use crate::model::observed::{Observed, Service};
use crate::model::outcome::Outcome;
use crate::model::state::ReleaseBody;
use crate::model::transaction::Transaction;
use crate::plan::{Act, Change, Plan};
use crate::reconcile::{Applied, Gate, Judged, Unapplied, release};
use crate::upgrade::run::{Failure, Performed};
use crate::upgrade::step::Side;

/// How often a verdict is withheld because somebody else has changed what is judged: what writes the stack every minute
/// would withhold it for ever.
const WITHHELD: u32 = 2;

impl OnHost<'_> {
    /// Every image of its releases gets a tag that keeps it. `Some`: one is not here any more, so its release could not be
    /// started.
    pub(super) async fn keep_images(&self, transaction: &Transaction) -> Result<Option<String>, Failure> {
        let mut missing = None;
        for body in transaction.bodies() {
            for (reference, id) in &body.images {
                if !self.keeper.images.keep(id).await.map_err(|e| Failure::Engine(e.to_string()))? {
                    missing = Some(format!("image {reference} ({id}) of {} is not here any more", body.revision));
                }
            }
        }
        Ok(missing)
    }

    pub(super) async fn deploy(&mut self, side: Side, transaction: &Transaction) -> Performed {
        let Some(body) = body_of(side, transaction) else { return DONE };
        // One that is gone is fetched again.
        self.keep_images(transaction).await?;
        match self.deployed_as_recorded(side, body).await {
            Ok(()) => DONE,
            Err(unapplied) => undeployed(unapplied),
        }
    }

    async fn deployed_as_recorded(&mut self, side: Side, body: &ReleaseBody) -> Result<(), Unapplied> {
        let (desired, applied) = self.made(body).await?;
        let applied = Applied { images: release::images_to_run(&desired, body), ..applied };
        self.deployed = Some((side, desired, applied));
        self.withheld = 0;
        Ok(())
    }

    /// Makes the stack that of a release. The Engine refuses what was planned, too, where somebody removes or makes a service
    /// of it at the same moment. That says nothing of the release, so it is looked and planned once more.
    async fn made(&self, body: &ReleaseBody) -> Result<(Desired, Applied), Unapplied> {
        match self.made_at_once(body).await {
            Err(Unapplied::Engine(error)) if error.is_not_found() || error.is_conflict() => {
                warn!(cause = %error, "looked at once more, since somebody else may have changed it meanwhile");
                self.made_at_once(body).await
            }
            made => made,
        }
    }

    async fn made_at_once(&self, body: &ReleaseBody) -> Result<(Desired, Applied), Unapplied> {
        let (plan, observed) = self.compared(body).await?;
        for note in &plan.notes {
            info!("{note}");
        }
        let applied = self.keeper.apply(self.lock, &plan, &observed).await?;
        Ok((plan.desired, applied))
    }

    /// The stack of a release with references that name the very images that it ran.
    async fn as_recorded(&self, body: &ReleaseBody) -> Result<Desired, Unapplied> {
        let mut desired = release::desired(&self.stack, body, self.keeper.dir)?;
        self.keeper.with_recorded_images(&mut desired, &body.images).await?;
        Ok(desired)
    }

    pub(super) async fn judge(&mut self, side: Side, transaction: &Transaction) -> Performed {
        let Some(body) = body_of(side, transaction) else { return DONE };
        let gate = match side {
            Side::Old => &transaction.old.gate,
            Side::New => transaction.new.as_ref().map_or(&serde_json::Value::Null, |new| &new.gate),
            Side::Before => transaction.before.as_ref().map_or(&serde_json::Value::Null, |before| &before.gate),
        };
        let gate = Gate::of_kept(gate).map_err(|cause| Failure::Disk(format!("{cause:#}")))?;
        let gate = gate.with_certificate((self.certificate)());
        let (desired, applied) = match self.found_deployed(side, body).await {
            Ok(found) => found,
            Err(unapplied) => return undeployed(unapplied),
        };
        if side == Side::New && self.eager.is_none() {
            self.eager = Eager::begin(self.keeper.dir, self.lock, transaction);
        }
        match self.keeper.judge(&desired, &applied, &gate).await {
            Ok(Judged::Healthy) => {
                if let Some(eager) = self.eager.take() {
                    eager.not_needed(transaction).await;
                }
                DONE
            }
            Ok(Judged::Unhealthy(reason)) => match self.changed_by_others(body).await {
                Ok(changed) if !changed.is_empty() && self.withheld < WITHHELD => {
                    self.withheld += 1;
                    Err(Failure::Engine(meddled(&changed)))
                }
                Ok(_) => Ok(Err(reason)),
                Err(unapplied) => undeployed(unapplied),
            },
            Err(outcome) => Err(Failure::Engine(outcome.sentence().to_owned())),
        }
    }

    /// What was deployed, by this run or one before it. What somebody else has made of it since is made as it was deployed:
    /// left so, a service that was scaled to nothing by hand would be held against the version, and its data taken back.
    ///
    /// Swarm's word counts on each write of the new release, by a killed run too. Of the old release it counts on this run's
    /// writes alone: where Swarm has rolled the new one back by itself, nothing had to be written, and its word is about the
    /// other one.
    async fn found_deployed(&mut self, side: Side, body: &ReleaseBody) -> Result<(Desired, Applied), Unapplied> {
        let by_us = self.deployed.take().filter(|(deployed, ..)| *deployed == side);
        let by_us = by_us.map(|(_, _, applied)| applied.services).unwrap_or_default();
        let (plan, observed) = self.compared(body).await?;
        let found = judged_by_swarm(&plan, &observed).filter(|_| side == Side::New).map(|name| (name, 0));
        let mut services: BTreeMap<String, u64> = found.chain(by_us).collect();
        let changed = changed_by_others(&plan, &observed);
        if !changed.is_empty() {
            warn!(services = changed.join(" "), "changed by somebody else since it was deployed; made so again");
            services.extend(self.made(body).await?.1.services);
        }
        let images = release::images_to_run(&plan.desired, body);
        Ok((plan.desired, Applied { services, images }))
    }

    /// The services that are not as they were deployed.
    async fn changed_by_others(&self, body: &ReleaseBody) -> Result<Vec<String>, Unapplied> {
        let (plan, observed) = self.compared(body).await?;
        Ok(changed_by_others(&plan, &observed))
    }

    async fn compared(&self, body: &ReleaseBody) -> Result<(Plan, Observed), Unapplied> {
        let desired = self.as_recorded(body).await?;
        let observed = self.keeper.swarm.observe(&self.stack).await?;
        Ok((self.keeper.plan_exactly(&observed, &desired)?, observed))
    }
}

/// Services of the release that are gone or other than it says. One that Swarm itself has rolled back was changed by
/// nobody.
fn changed_by_others(plan: &Plan, observed: &Observed) -> Vec<String> {
    let by_swarm = |service: &Service| rolled_back(service) == Some(RolledBack::BySwarm);
    let differ = plan.changes.iter().filter(|change| is_of_service(change));
    let by_others = differ.filter(|change| !observed.services.get(&change.name).is_some_and(by_swarm));
    by_others.map(|change| change.name.clone()).collect()
}

/// Services of the release on whose last update Swarm's word counts. Rolled back to what is wanted, one was so for another
/// release, and has not been written since.
fn judged_by_swarm(plan: &Plan, observed: &Observed) -> impl Iterator<Item = String> {
    let differs = |name: &str| plan.changes.iter().any(|change| is_of_service(change) && change.name == name);
    let is_old_news =
        move |name: &str| observed.services.get(name).is_some_and(|live| rolled_back(live).is_some()) && !differs(name);
    plan.desired.services.iter().map(|service| service.name.clone()).filter(move |name| !is_old_news(name))
}

fn is_of_service(change: &Change) -> bool {
    matches!(change.act, Act::CreateService { .. } | Act::UpdateService { .. })
}

fn meddled(services: &[String]) -> String {
    format!(
        "changed by somebody else while it was judged, so nothing can be said of what was deployed: {}",
        services.join(", ")
    )
}

/// An image that is gone and cannot be had, or bytes that cannot be kept, may stay so all night: the new release is given
/// up for that after a while, which it never is for an Engine that does not answer.
fn undeployed(unapplied: Unapplied) -> Performed {
    match unapplied {
        Unapplied::Engine(error) if error.is_refusal() => Ok(Err(error.to_string())),
        Unapplied::Engine(error) => Err(error.into()),
        Unapplied::Other(Outcome::Error(why)) => Err(Failure::Disk(why)),
        Unapplied::Other(outcome) => no_or_failure(&outcome),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::config::Resolve;
    use crate::host::engine::EngineError;
    use crate::host::images::ImageError;
    use crate::host::images::reference::Reference;
    use crate::host::images::refusal::Refusal;
    use crate::model::observed::{UpdateState, UpdateStatus};
    use crate::plan::{Context, world};

    /// Of `wiki:2`, which was deployed, and what runs of it.
    fn seen(runs: &str, state: Option<UpdateState>, previous: Option<&str>) -> (Plan, Observed) {
        let desired = |image| world::desired().service(world::spec("app", image));
        let mut observed = world::observed(&desired(runs));
        let live = observed.services.get_mut("wiki_app").unwrap();
        live.update = state.map(|state| UpdateStatus { state, message: "rollback completed".into() });
        live.previous_spec = previous.map(|image| world::spec("app", image));
        let (kept, version) = (BTreeSet::new(), |_: &[u8]| String::new());
        let plan = Plan::new(&observed, &desired("wiki:2"), &Context::new(&kept, &version, Resolve::Never));
        (plan.unwrap(), observed)
    }

    #[test]
    fn what_a_person_rolled_back_was_changed_by_somebody_else_and_what_swarm_did_was_not() {
        use UpdateState::RollbackCompleted;
        let by_others = |state, previous| {
            let (plan, observed) = seen("wiki:1", state, previous);
            changed_by_others(&plan, &observed)
        };
        assert_eq!(by_others(Some(RollbackCompleted), Some("wiki:2")), ["wiki_app"]);
        assert_eq!(by_others(Some(RollbackCompleted), None), [""; 0]);
        assert_eq!(by_others(None, None), ["wiki_app"]);
    }

    #[test]
    fn what_swarm_rolled_back_counts_unless_it_is_what_was_deployed() {
        use UpdateState::{Completed, RollbackCompleted, Updating};
        let counts = |runs, state| {
            let (plan, observed) = seen(runs, Some(state), None);
            judged_by_swarm(&plan, &observed).count() == 1
        };
        assert!(counts("wiki:1", RollbackCompleted));
        assert!(!counts("wiki:2", RollbackCompleted));
        for state in [Updating, Completed] {
            assert!(counts("wiki:2", state.clone()), "{state:?}");
        }
    }

    #[test]
    fn an_image_that_is_gone_for_good_is_no_engine_that_may_be_back() {
        let reference: Reference = "example.org/wiki:2".parse().unwrap();
        let refusal = Box::new(Refusal::read(&reference, false, "no such host"));
        let gone = ImageError::Unavailable { reference: "example.org/wiki:2".into(), refusal };
        assert!(matches!(undeployed(gone.into()), Err(Failure::Disk(why)) if why.contains("example.org/wiki:2")));
        let silent = EngineError::Garbled { act: "look".into(), cause: "nothing".into() };
        assert!(matches!(undeployed(ImageError::Engine(silent).into()), Err(Failure::Engine(_))));
        let blocked = Unapplied::Other(Outcome::Blocked("a name is too long".into()));
        assert_eq!(undeployed(blocked), Ok(Err("a name is too long".into())));
    }
}
