//! The images that a plan needs: what they mean, and having them on this machine.
//!
//! The surprise: what a tag means is settled once, when an image is new to a stack, and written down as a digest. From
//! then on no registry is needed for what runs, and none can change it, unless `resolve = "always"` asks for that.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use serde_json::Value;
use tracing::warn;

use super::{Keeper, Unapplied, release};
use crate::config::Resolve;
use crate::desired::Desired;
use crate::host::images::filling::Bounds;
use crate::host::images::reference::is_id;
use crate::host::images::{ImageError, Resolved};
use crate::model::outcome::Outcome;
use crate::model::state::ReleaseBody;
use crate::plan::{self, Act, Plan};

/// Where a service's spec names its image.
pub(super) const IMAGE: &str = "/TaskTemplate/ContainerSpec/Image";
/// How many references are asked about at the same time: a registry that hangs costs its time once.
const AT_ONCE: usize = 8;

/// What came from its registry.
struct Fetched {
    reference: String,
    /// Its id, where it got its keep tag with this.
    kept: Option<String>,
    /// Whether this machine had the same image before, by another name or by none.
    was_here: bool,
}

impl Keeper<'_> {
    /// Has every image that the plan needs on this node, and the plan name exactly these.
    ///
    /// # Errors
    /// `Error` when an image is neither here nor to be had, `Blocked` when it would fill the disk: nothing has been changed
    /// then.
    pub async fn fetch_images(&self, plan: &mut Plan) -> Result<Vec<String>, Outcome> {
        self.fetch_images_beside(plan, 0).await
    }

    /// The same, with so many bytes to stay free beside the images.
    ///
    /// # Errors
    /// As [`Keeper::fetch_images`].
    pub async fn fetch_images_beside(&self, plan: &mut Plan, reserve: u64) -> Result<Vec<String>, Outcome> {
        let mut resolved = self.resolved(&plan.images()).await?;
        let (here, missing): (Vec<_>, Vec<_>) = resolved.values_mut().partition(|image| image.id.is_some());
        for image in here {
            self.keep_on(image).await;
        }
        if !missing.is_empty() {
            self.fetch(missing, reserve).await?;
        }
        plan.with_images(&references_of(&resolved));
        Ok(taken_from_here(&resolved))
    }

    async fn fetch(&self, missing: Vec<&mut Resolved>, reserve: u64) -> Result<(), Outcome> {
        let bounds = Bounds { root: self.swarm.info().await?.data_root, reserve };
        let (before, mut fetched) = (self.images.all().await?, Vec::new());
        for image in missing {
            if let Err(in_the_way) = self.pull(image, &bounds).await {
                self.drop_fetched(&fetched, &in_the_way).await;
                return Err(in_the_way);
            }
            let was_here = image.id.as_ref().is_some_and(|id| before.contains(id));
            fetched.push(Fetched { reference: image.reference.clone(), kept: self.keep(image).await, was_here });
        }
        Ok(())
    }

    /// Gives an image its keep tag as soon as it is here: Docker's own prune, which waits for nobody, would take it until a
    /// container runs it. Gives the id where it had none before. A tag that no release comes to need goes with a later
    /// `prune`.
    async fn keep(&self, pulled: &Resolved) -> Option<String> {
        let id = pulled.id.as_ref()?;
        let keep = async || Ok::<_, ImageError>(!self.images.is_kept(id).await? && self.images.keep(id).await?);
        match keep().await {
            Ok(is_new) => is_new.then(|| id.clone()),
            Err(cause) => {
                warn!(cause = %cause, "an image that was fetched could not be kept; a prune would take it now");
                None
            }
        }
    }

    /// What waits night by night for a release that something is in the way of is not fetched anew for it: its keep tag is
    /// given again, and is as young as this run.
    async fn keep_on(&self, image: &Resolved) {
        let Some(id) = &image.id else { return };
        let keep = async || Ok::<_, ImageError>(self.images.is_kept(id).await? && self.images.keep(id).await?);
        if let Err(cause) = keep().await {
            warn!(cause = %cause, "an image that is needed soon may have to be fetched again");
        }
    }

    /// Where the disk has no room for all images of a release, those that came are only in the way.
    async fn drop_fetched(&self, fetched: &[Fetched], in_the_way: &Outcome) {
        if !matches!(in_the_way, Outcome::Blocked(_)) {
            return;
        }
        for image in fetched {
            if let Err(cause) = self.drop_one(image).await {
                warn!(cause = %cause, "an image that was fetched for nothing could not be removed");
            }
        }
    }

    /// Of an image that was here by another name, only what this run has given it.
    async fn drop_one(&self, image: &Fetched) -> Result<(), ImageError> {
        self.images.remove(&image.reference).await?;
        match &image.kept {
            Some(id) if image.was_here => drop(self.images.untag(id).await?),
            Some(id) => drop(self.images.let_go(id, Timestamp::MAX).await?),
            None => {}
        }
        Ok(())
    }

    /// For `resolve = "always"`: the desired stack with what its references mean today. What a silent registry does
    /// not tell stays as it was.
    pub(super) async fn with_todays_images(&self, desired: &mut Desired) -> Result<(), Outcome> {
        let resolved = self.resolved(&plan::image_references(desired)).await?;
        for note in taken_from_here(&resolved) {
            warn!("{note}");
        }
        plan::resolve_images(desired, &references_of(&resolved));
        Ok(())
    }

    /// Service name -> image id that its tasks have to run, for the services that the plan writes.
    pub async fn images_to_run(&self, plan: &Plan) -> Result<BTreeMap<String, String>, Outcome> {
        let mut images = BTreeMap::new();
        for change in &plan.changes {
            let (Act::CreateService { spec } | Act::UpdateService { spec, .. }) = &change.act else { continue };
            let Some(reference) = spec.pointer(IMAGE).and_then(Value::as_str) else { continue };
            images.extend(self.images.id(reference).await?.map(|id| (change.name.clone(), id)));
        }
        Ok(images)
    }

    /// Has the services name the very images that were recorded (reference -> id). One whose name stands for another image
    /// by now, or for none, is named by its id, which no node asks a registry for; one that is gone is fetched again.
    ///
    /// # Errors
    /// `Other` when an image is gone and what its registry gives is none, or another one.
    pub async fn with_recorded_images(
        &self,
        desired: &mut Desired,
        recorded: &BTreeMap<String, String>,
    ) -> Result<(), Unapplied> {
        let mut named = BTreeMap::new();
        for reference in plan::image_references(desired) {
            if let Some(id) = recorded.get(&reference) {
                named.insert(reference.clone(), self.name_of(&reference, id).await?);
            }
        }
        plan::resolve_images(desired, &named);
        Ok(())
    }

    /// Has the services that the plan writes start the very images that the recorded release ran, as long as those are
    /// here: one whose name stands for another image by now, or for none, is named by its id.
    pub async fn start_recorded(&self, plan: &mut Plan, body: &ReleaseBody) -> Result<(), Outcome> {
        for change in &mut plan.changes {
            let (Act::CreateService { spec } | Act::UpdateService { spec, .. }) = &mut change.act else { continue };
            let Some(id) = release::recorded_image(body, &change.name) else { continue };
            let Some(Value::String(image)) = spec.pointer_mut(IMAGE) else { continue };
            let stands_for = self.images.id(image).await?;
            if stands_for.as_ref() != Some(id) && self.images.id(id).await?.is_some() {
                *image = id.clone();
            }
        }
        Ok(())
    }

    /// By what name this very image is started.
    async fn name_of(&self, reference: &str, id: &str) -> Result<String, Unapplied> {
        if self.images.id(reference).await?.as_deref() == Some(id) {
            return Ok(reference.to_owned());
        }
        if self.images.id(id).await?.is_some() {
            return Ok(id.to_owned());
        }
        let told = |line: &str| self.progress.waiting_for(&format!("image {reference}: {line}"));
        self.images.pull(reference, self.auths.for_image(reference), told).await?;
        match self.images.id(reference).await? {
            Some(pulled) if pulled == id => {
                let here = Resolved { reference: reference.to_owned(), id: Some(pulled), silent: None };
                self.keep(&here).await;
                Ok(here.reference)
            }
            _ => Err(Unapplied::Other(Outcome::Error(format!(
                "image {reference} is gone from this machine, and what its registry gives under that name is not the one \
                 that ran ({id})"
            )))),
        }
    }

    /// An image that came by its tag is named by the digest that came.
    async fn pull(&self, image: &mut Resolved, bounds: &Bounds) -> Result<(), Outcome> {
        let reference = image.reference.clone();
        self.progress.waiting_for(&format!("image {reference}"));
        let told = |line: &str| self.progress.waiting_for(&format!("image {reference}: {line}"));
        self.images.pull_within(&reference, self.auths.for_image(&reference), bounds, told).await?;
        if let Some(here) = self.images.here(&reference).await? {
            *image = Resolved { silent: image.silent.take(), ..here };
        }
        Ok(())
    }

    /// What the references mean now.
    async fn resolved(&self, references: &BTreeSet<String>) -> Result<BTreeMap<String, Resolved>, Outcome> {
        if references.is_empty() {
            return Ok(BTreeMap::new());
        }
        let listed: Vec<&str> = references.iter().map(String::as_str).collect();
        self.progress.waiting_for(&format!("the registry of {}", listed.join(", ")));
        let meaning = |reference: String| async move {
            let meaning = self.meaning(&reference).await?;
            Ok((reference, meaning))
        };
        stream::iter(references.clone()).map(meaning).buffered(AT_ONCE).try_collect().await
    }

    /// An id says it all. Under `never`, and where the registry does not tell, what ran before counts, and then what this machine has.
    async fn meaning(&self, reference: &str) -> Result<Resolved, Outcome> {
        if is_id(reference) || self.resolve == Resolve::Never {
            let known = match self.ran_before(reference).await? {
                Some(before) => Some(before),
                None => self.images.here(reference).await?,
            };
            return Ok(known.unwrap_or_else(|| Resolved { reference: reference.to_owned(), id: None, silent: None }));
        }
        let (refusal, otherwise) = match self.images.resolve(reference, self.auths.for_image(reference)).await {
            Ok(Resolved { silent: Some(refusal), reference, id }) => {
                (refusal.clone(), Ok(Resolved { silent: Some(refusal), reference, id }))
            }
            Err(ImageError::Unavailable { refusal, reference }) => {
                (refusal.clone(), Err(ImageError::Unavailable { refusal, reference }))
            }
            told => return Ok(told?),
        };
        match self.ran_before(reference).await? {
            Some(before) => Ok(Resolved { silent: Some(refusal), ..before }),
            None => Ok(otherwise?),
        }
    }

    /// The image that the current release ran under these words, if this machine still has it.
    async fn ran_before(&self, reference: &str) -> Result<Option<Resolved>, Outcome> {
        let Some(before) = self.images_before.get(reference) else { return Ok(None) };
        Ok(self.images.here(before).await?)
    }
}

fn references_of(resolved: &BTreeMap<String, Resolved>) -> BTreeMap<String, String> {
    resolved.iter().map(|(asked, image)| (asked.clone(), image.reference.clone())).collect()
}

/// A sentence for each reason why images were taken from this machine without their registry's word.
fn taken_from_here(resolved: &BTreeMap<String, Resolved>) -> Vec<String> {
    let mut by_reason: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (reference, image) in resolved {
        if let Some(refusal) = &image.silent {
            by_reason.entry(refusal.short()).or_default().push(reference);
        }
    }
    by_reason
        .iter()
        .map(|(why, images)| format!("{why}, so this machine's own {} is used", images.join(", ")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::images::refusal::Refusal;

    #[test]
    fn images_of_this_machine_are_told_with_the_reason_once() {
        let silent = |reference: &str| {
            let refusal = Refusal::read(&reference.parse().unwrap(), false, "connection refused");
            (
                reference.to_owned(),
                Resolved { reference: reference.to_owned(), id: None, silent: Some(Box::new(refusal)) },
            )
        };
        let told = Resolved { reference: "c:1@sha256:ff".to_owned(), id: None, silent: None };
        let resolved =
            BTreeMap::from([silent("a:1"), silent("b:1"), silent("r.example/d:1"), ("c:1".to_owned(), told)]);

        assert_eq!(
            taken_from_here(&resolved),
            [
                "docker.io does not answer, so this machine's own a:1, b:1 is used",
                "r.example does not answer, so this machine's own r.example/d:1 is used",
            ]
        );
    }
}
