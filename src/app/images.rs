//! The images of a run: at hand before anything is changed, and those of what runs kept as they were.

use std::collections::BTreeSet;

use tracing::warn;

use super::Run;
use super::goal::{Aim, Goal};
use crate::config::Resolve;
use crate::desired::Desired;
use crate::model::observed::Observed;
use crate::model::outcome::Outcome;
use crate::plan::Plan;
use crate::policy;
use crate::reconcile::release;

impl Run<'_> {
    /// Has the images of the current release outlive a plain prune, also those that nothing runs: of services that are
    /// told to run nothing, and of jobs that have ended. What only the releases before needed is let go.
    ///
    /// It comes after the release was recorded: a run beside this one removes tags that no state names. An Engine that
    /// does not answer here costs nothing now, since an upgrade begins with the same.
    pub(super) async fn keep_images(&self, before: &BTreeSet<String>) {
        let needed = self.needed_images();
        for id in &needed {
            if let Err(cause) = self.host.images.keep(id).await {
                warn!(cause = %cause, "an image of what runs could not be kept");
            }
        }
        if !before.is_subset(&needed) {
            self.desk().let_images_go().await;
        }
    }

    /// The desired stack with the images that its services really name: resolved ones, where a registry told a digest.
    pub(super) async fn as_it_runs(&self, plan: &Plan) -> Result<Desired, Outcome> {
        let observed = self.host.swarm.observe(&self.app.stack).await?;
        Ok(release::with_live_images(&plan.desired, &observed))
    }

    /// The ids of the images of every release that may be run again.
    pub(super) fn needed_images(&self) -> BTreeSet<String> {
        self.state.image_ids().map(str::to_owned).collect()
    }

    /// Nobody changed a word of the configuration where a tag was followed, so that is told with the failure.
    pub(super) fn told_of_moved_tags(&self, plan: &Plan, reason: String) -> String {
        let current = self.state.current.as_ref().filter(|_| self.app.resolve == Resolve::Always);
        match current.and_then(|current| policy::MovedTags::between(&current.body, &plan.desired)) {
            Some(tags) => format!("{tags}: {reason}"),
            None => reason,
        }
    }

    /// The plan, its images at hand, and what is to be told of them. Where a change's are not to be had, what runs is still
    /// kept.
    pub(super) async fn with_images(
        &self,
        goal: Goal,
        mut plan: Plan,
        observed: &Observed,
    ) -> Result<(Goal, Plan, Vec<String>), Outcome> {
        let in_the_way = match self.fetch_images(&goal, &mut plan).await {
            Ok(notes) => return Ok((goal, plan, notes)),
            Err(in_the_way) if goal.aim != Aim::Change => return Err(in_the_way),
            Err(in_the_way) => in_the_way,
        };
        let (goal, mut plan) = self.back_to_what_runs(in_the_way, observed).await?;
        let notes = self.fetch_images(&goal, &mut plan).await?;
        Ok((goal, plan, notes))
    }

    /// What runs as the goal, because something is in the way of a change.
    ///
    /// # Errors
    /// What is in the way, where nothing of what runs has to be repaired.
    pub(super) async fn back_to_what_runs(
        &self,
        in_the_way: Outcome,
        observed: &Observed,
    ) -> Result<(Goal, Plan), Outcome> {
        let goal = self.view().stay(in_the_way.clone())?;
        match self.keeper().plan(observed, &goal.desired).await {
            Ok(plan) if plan.is_empty() => Err(in_the_way),
            Ok(plan) => Ok((goal, plan)),
            Err(why) => Err(goal.not_even_kept(why)),
        }
    }

    /// What runs is started again from the very images that it ran, whatever their names stand for today, unless the
    /// operator wants names to be looked up always.
    async fn fetch_images(&self, goal: &Goal, plan: &mut Plan) -> Result<Vec<String>, Outcome> {
        let keeper = self.keeper();
        let recorded = self.state.current.as_ref().map(|release| &release.body);
        let Some(body) = recorded.filter(|_| goal.aim == Aim::Keep && self.app.resolve != Resolve::Always) else {
            return keeper.fetch_images(plan).await;
        };
        plan.with_images(&release::references(body));
        keeper.start_recorded(plan, body).await?;
        let notes = keeper.fetch_images(plan).await?;
        // A registry may have told of another image under the same name.
        keeper.start_recorded(plan, body).await?;
        match release::moved_image(body, &keeper.images_to_run(plan).await?) {
            Some(why) => Err(Outcome::Blocked(why)),
            None => Ok(notes),
        }
    }
}
