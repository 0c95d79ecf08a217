//! What a canonical is kept for: to run on warm data, to be upgraded there, and to rest again.

use super::super::Run;
use super::reality::{Snapshot, Volumes};
use super::{Begun, ends};
use crate::model::outcome::Outcome;
use crate::model::warm::{Purpose, Status};
use crate::reconcile::{Judged, release};

impl Run<'_> {
    /// The known-good release, on the data that it left or on that of its snapshot.
    pub(super) async fn deploy(&mut self) -> Result<Outcome, Outcome> {
        match self.warm_status() {
            Some(Status::Idle | Status::Dirty) => {}
            Some(Status::Deployed) if self.still_runs().await? => return Ok(Outcome::Converged),
            Some(Status::Deployed) => {}
            None => return Err(ends::not_seeded(&self.app.name)),
            Some(Status::Lost) => return Err(ends::lost(&self.app.name)),
            Some(status) => return Err(ends::in_use(&self.app.name, status)),
        }
        let (old, gate) = self.known_good()?;
        let damage = self.damage().await?;
        let snapshot = old.release.snapshot.clone().filter(|_| self.snapshot() == Snapshot::Whole);
        if damage.is_some() && snapshot.is_none() {
            return Err(self.is_lost(damage.as_deref().unwrap_or_default())?);
        }
        let notes = damage.iter().map(|damage| format!("{damage}, so the data of its snapshot was put back")).collect();
        let whole = damage.is_none();
        self.work(Purpose::Deploy, Begun { old, gate, before: None, snapshot, whole, notes }).await
    }

    /// The known-good release, and then a commit over it.
    pub(super) async fn quick(&mut self, commit: &str) -> Result<Outcome, Outcome> {
        let first = self.deploy().await?;
        if self.warm_status() != Some(Status::Deployed) {
            return Ok(first);
        }
        let then = self.over(commit).await?;
        Ok(super::super::turn::both(first, then))
    }

    pub(super) async fn idle(&mut self, restore: bool) -> Result<Outcome, Outcome> {
        let Some(status) = self.warm_status() else { return Err(ends::not_seeded(&self.app.name)) };
        if status == Status::Lost {
            return Err(ends::lost(&self.app.name));
        }
        let (old, gate) = self.known_good()?;
        if !restore && status != Status::Deployed && self.nothing_runs().await? {
            return Ok(Outcome::Converged);
        }
        let snapshot = old.release.snapshot.clone();
        if restore && self.snapshot() != Snapshot::Whole {
            return Err(ends::no_snapshot(&self.app.name));
        }
        let purpose = if restore { Purpose::Restore } else { Purpose::Idle };
        self.work(purpose, Begun { old, gate, before: None, snapshot, whole: true, notes: Vec::new() }).await
    }

    /// Why the volumes cannot be used as they are.
    async fn damage(&self) -> Result<Option<String>, Outcome> {
        let warm = self.state.warm.as_ref();
        match warm.map(|warm| warm.status) {
            Some(Status::Dirty) => {
                let why = warm.and_then(|warm| warm.why.clone()).unwrap_or_else(|| "something else wrote to it".into());
                Ok(Some(format!("its data was not as the known-good left it ({why})")))
            }
            Some(Status::Deployed) => Ok(None),
            _ => Ok(match self.volumes_left().await? {
                Volumes::Whole => None,
                Volumes::Gone(names) => Some(format!("volume {} was gone", names.join(", "))),
                Volumes::Other(names) => Some(format!("volume {} was another one than it left", names.join(", "))),
            }),
        }
    }

    /// Whether what is called deployed is there and healthy.
    async fn still_runs(&self) -> Result<bool, Outcome> {
        let (old, gate) = self.known_good()?;
        let observed = self.settled().await?;
        let desired = release::desired(&self.app.stack, &old.release.body, &self.dir)?;
        let keeper = self.keeper();
        let plan = keeper.plan_exactly(&observed, &desired)?;
        Ok(plan.is_empty() && keeper.glance(&plan.desired, &observed, &gate).await? == Judged::Healthy)
    }
}
