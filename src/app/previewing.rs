//! What the next run would do to one app: its plan, or the upgrade that it would make. Writes nothing of the app's.

use jiff::Timestamp;

use super::goal::{Aim, Goal};
use super::offering::Offer;
use super::place::Sight;
use super::upgrading::Target;
use super::view::{self, Fetch};
use super::{Host, Options, ends, reconciler, recorded, turn};
use crate::config;
use crate::host::progress::Progress;
use crate::model::observed::Observed;
use crate::model::outcome::Outcome;
use crate::model::state::State;
use crate::model::version::Revision;
use crate::plan::{self, Account, Plan};
use crate::reconcile::Keeper;

/// What a run would do to one app.
pub struct Preview {
    pub revision: Revision,
    pub plan: Plan,
    /// What the plan means beside its changes.
    pub account: Account,
    pub instead: Option<Outcome>,
    /// The plan is that of an upgrade.
    pub upgrade: Option<Coming>,
    /// How many warnings there are about the recipe's files.
    pub warnings: usize,
}

/// An upgrade that the next run would make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coming {
    pub from: Revision,
    pub to: Revision,
    /// Why a change of configuration is one.
    pub why: Option<String>,
    /// Whose data is stored first, while the app is down; none of an app without data, which is not stopped.
    pub volumes: Vec<String>,
}

/// Plans one app as its next run would. Takes no lock.
///
/// # Errors
/// What would stand in the run's way.
pub async fn preview(host: &Host, app: &config::App, now: Timestamp) -> Result<Preview, Outcome> {
    let reconciler = reconciler(&host.declared, &host.store, app)?;
    let dir = host.store.app(&app.name);
    let state = recorded(app, &dir)?;
    if let Some(stuck) = state.stuck.as_ref().filter(|_| state.open.is_none()) {
        return Err(Outcome::Stuck(ends::stuck(&app.name, stuck)));
    }
    let progress = Progress::new(app.name.as_str());
    let view = host.view(app, &*reconciler, &dir, &state, &progress);
    let (Sight { observed, place }, sources) = view::look(host, &view, Fetch::IfMissing, now).await?;
    let goal = view.goal(&observed, sources.as_ref().map_err(Clone::clone), Options::default(), now)?;
    let keeper = host.keeper(app, &dir, &state, &progress);
    let (mut goal, plan) = view.planned(goal, &keeper, &observed, Options::default()).await?;
    let offer = match (goal.change.take(), &sources) {
        (Some(change), _) => Offer { target: Some(change), ..Offer::default() },
        (None, Ok(sources)) if is_good_ground(&goal) => view.offer(sources, &observed, &host.images, now).await?,
        (None, _) => Offer::default(),
    };
    let base = Base { goal, plan, told: offer.told };
    let mut preview = match offer.target {
        Some(target) => base.upgraded(target, &state, &keeper, &observed, reconciler.is_stateless()).await,
        None => base.preview(),
    };
    preview.plan.notes.extend(place.told);
    preview.plan.notes.extend(state.open.as_ref().map(|open| ends::open(&app.name, open)));
    preview.plan.notes.extend(host.tight_networks(&preview.plan).await);
    let starts = host.swarm.last_starts(&preview.plan.restarting(&observed)).await;
    preview.account = preview.plan.account(&observed, &starts);
    Ok(preview)
}

/// A run that meets something else has other things to tell first.
fn is_good_ground(goal: &Goal) -> bool {
    goal.failed.is_none() && goal.instead.is_none() && goal.aim != Aim::Install
}

/// What a run does before any upgrade.
struct Base {
    goal: Goal,
    plan: Plan,
    told: Option<Outcome>,
}

impl Base {
    fn preview(self) -> Preview {
        let warnings = self.goal.warnings();
        let instead = self.goal.failed.map(Outcome::Unhealthy).or(self.goal.instead);
        let instead = match (instead, self.told) {
            (Some(instead), Some(told)) => Some(turn::both(instead, told)),
            (instead, told) => instead.or(told),
        };
        let (revision, plan) = (self.goal.revision, self.plan);
        Preview { revision, plan, account: Account::default(), instead, upgrade: None, warnings }
    }

    /// With the plan of the upgrade in place of its own.
    async fn upgraded(
        self,
        target: Target,
        state: &State,
        keeper: &Keeper<'_>,
        observed: &Observed,
        stateless: bool,
    ) -> Preview {
        let from = state.current.as_ref().map_or(&target.revision, |current| &current.body.revision).clone();
        let plan = match keeper.plan(observed, &target.read.desired).await {
            Ok(plan) => plan,
            Err(in_the_way) => return Preview { instead: Some(in_the_way), ..self.preview() },
        };
        let specs = state.current.iter().flat_map(|current| current.body.services.values());
        let specs = specs.chain(target.read.desired.services.iter().map(|service| &service.spec));
        let volumes = match stateless {
            true => Vec::new(),
            false => plan::volumes(specs).into_iter().map(str::to_owned).collect(),
        };
        let coming = Coming { from, to: target.revision.clone(), why: target.why, volumes };
        let first = (!self.plan.is_empty()).then(|| format!("first, what runs is put right: {}", self.plan.summary()));
        let mut preview = Preview { revision: target.revision, upgrade: Some(coming), ..self.preview() };
        preview.plan = plan;
        preview.plan.notes.extend(first);
        preview.warnings = target.read.warnings.0.len();
        preview
    }
}

impl Coming {
    /// What a person is told of it, in one line.
    pub fn sentence(&self) -> String {
        let what = match &self.why {
            Some(why) => format!("the change of {} is made as an upgrade, because {why}", self.to),
            None => format!("upgrade {} -> {}", self.from, self.to),
        };
        let data = match self.volumes.is_empty() {
            true => "the app has no data that would have to be stored".to_owned(),
            false => format!("the app is down while {} is stored and the new release starts", self.volumes.join(", ")),
        };
        format!("{what}; {data}; what does not pass its gate goes back, version and data")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::worlds::revision;

    #[test]
    fn an_upgrade_that_would_be_made_is_told_with_what_is_stored() {
        let coming =
            Coming { from: revision("1.0.0+1"), to: revision("1.1.0+1"), why: None, volumes: vec!["wiki_data".into()] };
        let told = coming.sentence();
        assert!(told.starts_with("upgrade 1.0.0+1 -> 1.1.0+1; the app is down while wiki_data is stored"), "{told}");
        let stateless = Coming { volumes: vec![], ..coming };
        assert!(stateless.sentence().contains("no data"), "{}", stateless.sentence());
    }
}
