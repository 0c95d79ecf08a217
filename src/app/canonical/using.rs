//! What a canonical is kept for: to run on warm data, to be upgraded there, and to rest again.

use super::super::Run;
use super::{Begun, ends};
use crate::host::itself::boot;
use crate::model::outcome::Outcome;
use crate::model::transaction::Old;
use crate::model::warm::{Purpose, Status};
use crate::reconcile::{Judged, release};
use crate::upgrade::volumes::written_since;
use crate::warm::registry::Snapshot;

impl Run<'_> {
    /// The known-good release, on the data that it left or on that of its snapshot.
    pub(super) async fn deploy(&mut self) -> Result<Outcome, Outcome> {
        match self.warm_status() {
            Some(Status::Idle | Status::Dirty) => {}
            Some(Status::Deployed) if self.still_runs().await? => return Ok(Outcome::Converged),
            Some(Status::Deployed) => self.note_what_became_of_it().await?,
            None => return Err(ends::not_seeded(&self.app.name)),
            Some(Status::Lost) => return Err(ends::lost(&self.app.name)),
            Some(status) => return Err(ends::in_use(&self.app.name, status)),
        }
        let (old, gate) = self.known_good()?;
        let stored = self.snapshot()? == Snapshot::Whole;
        let damage = self.damage();
        if let Some(damage) = damage.as_ref().filter(|_| !stored) {
            return Err(self.is_lost(damage)?);
        }
        self.images_can_be_had(&old).await?;
        let snapshot = old.release.snapshot.clone().filter(|_| stored);
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
        let then = self.over(commit).await.unwrap_or_else(|outcome| outcome);
        Ok(match first {
            Outcome::Converged => then,
            first => then.and(first.sentence()),
        })
    }

    pub(super) async fn idle(&mut self, restore: bool) -> Result<Outcome, Outcome> {
        let Some(status) = self.warm_status() else { return Err(ends::not_seeded(&self.app.name)) };
        if status == Status::Lost {
            return Err(ends::lost(&self.app.name));
        }
        if restore && self.snapshot()? != Snapshot::Whole {
            return Err(ends::no_snapshot(&self.app.name));
        }
        if !restore && status != Status::Deployed && self.nothing_runs().await? {
            return Ok(Outcome::Converged);
        }
        self.put_down(if restore { Purpose::Restore } else { Purpose::Idle }).await
    }

    /// Ends what runs of it, and says what that makes of its data.
    pub(super) async fn put_down(&mut self, purpose: Purpose) -> Result<Outcome, Outcome> {
        if self.warm_status() == Some(Status::Deployed) && purpose == Purpose::Idle {
            self.note_what_became_of_it().await?;
        }
        let (old, gate) = self.known_good()?;
        let snapshot = old.release.snapshot.clone();
        self.work(purpose, Begun { old, gate, before: None, snapshot, whole: true, notes: Vec::new() }).await
    }

    /// Calls what is deployed dirty where something else than the known-good may have written to its data.
    async fn note_what_became_of_it(&mut self) -> Result<(), Outcome> {
        let began = self.state.warm.as_ref().and_then(|warm| warm.boot.clone());
        let why = if began.is_some() && began != boot() {
            Some("the host went down while it ran".to_owned())
        } else if let Some(volumes) = self.strange().await? {
            Some(volumes)
        } else if self.was_written().await? || !self.is_as_deployed().await? {
            Some("its services were changed by somebody else while it ran".to_owned())
        } else {
            None
        };
        why.map_or(Ok(()), |why| self.spoil(why))
    }

    /// Why the volumes cannot be used as they are; reality was looked at before.
    fn damage(&self) -> Option<String> {
        let warm = self.state.warm.as_ref().filter(|warm| warm.status == Status::Dirty)?;
        let why = warm.why.clone().unwrap_or_else(|| "something else wrote to it".to_owned());
        Some(format!("its data was not as the known-good left it ({why})"))
    }

    /// Whether what is called deployed is there and healthy.
    async fn still_runs(&self) -> Result<bool, Outcome> {
        if self.strange().await?.is_some() {
            return Ok(false);
        }
        let (old, gate) = self.known_good()?;
        let observed = self.settled().await?;
        let desired = release::desired(&self.app.stack, &old.release.body, &self.dir)?;
        let keeper = self.keeper();
        let plan = keeper.plan_exactly(&observed, &desired)?;
        Ok(plan.is_empty() && keeper.glance(&plan.desired, &observed, &gate).await? == Judged::Healthy)
    }

    /// Whether anybody has written a service since it was deployed, also where that was taken back.
    async fn was_written(&self) -> Result<bool, Outcome> {
        let (indexes, _) = self.host.swarm.indexes(&self.app.stack).await?;
        Ok(self.state.warm.as_ref().is_some_and(|warm| written_since(&warm.indexes, &indexes).is_some()))
    }

    async fn is_as_deployed(&self) -> Result<bool, Outcome> {
        let (old, _) = self.known_good()?;
        let observed = self.settled().await?;
        let desired = release::desired(&self.app.stack, &old.release.body, &self.dir)?;
        Ok(self.keeper().plan_exactly(&observed, &desired)?.is_empty())
    }

    /// Nothing is begun without them: a registry that is away says nothing about the data.
    async fn images_can_be_had(&self, old: &Old) -> Result<(), Outcome> {
        if self.images_are_here(&old.release.body).await.is_ok() {
            return Ok(());
        }
        let observed = self.settled().await?;
        let desired = release::desired(&self.app.stack, &old.release.body, &self.dir)?;
        let keeper = self.keeper();
        let mut plan = keeper.plan_exactly(&observed, &desired)?;
        keeper.fetch_images(&mut plan).await.map(drop)
    }
}
