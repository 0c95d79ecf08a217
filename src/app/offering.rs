//! What the policy makes of the versions in front of an app, as a run takes it: one release to take, and what is told.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::front::{Ahead, Beside, Front};
use super::turn;
use super::upgrading::Target;
use super::view::{Sources, View};
use crate::config::Notes as OnNotes;
use crate::host::images::Images;
use crate::model::observed::Observed;
use crate::model::outcome::Outcome;
use crate::model::secret::SecretBytes;
use crate::model::transaction::PassedNotes;
use crate::policy::hold::Hold;
use crate::policy::line::{Choice, Upgrade};

/// What is in front of an app.
#[derive(Debug, Default)]
pub struct Offer {
    /// The version to take now.
    pub target: Option<Target>,
    /// What is told beside it, or in its place: a version that is held, or one that is taken later.
    pub told: Option<Outcome>,
    /// The version that waits for a person.
    pub hold: Option<Hold>,
}

impl View<'_> {
    /// What is in front of the app, beside what runs. The Engine is asked only for the images of what was refused.
    ///
    /// # Errors
    /// When the mirror cannot be read, or what is asked for does not exist.
    pub async fn offer(
        &self,
        sources: &Sources,
        observed: &Observed,
        images: &Images,
        now: Timestamp,
    ) -> Result<Offer, Outcome> {
        let refused = self.state.refused.iter().flat_map(|refused| refused.images.keys().cloned()).collect();
        let images = images.ids(&refused).await?;
        let lives = |name: &str, bytes: &SecretBytes| self.lives(observed, name, bytes);
        self.offer_beside(sources, &Beside { given: &sources.given, lives: &lives, images: &images, now }).await
    }

    /// The same without an Engine.
    ///
    /// # Errors
    /// As [`View::offer`].
    pub async fn offer_unseen(&self, sources: &Sources, now: Timestamp) -> Result<Offer, Outcome> {
        let images = BTreeMap::new();
        let beside = Beside { given: &sources.given, lives: &|_, _| false, images: &images, now };
        self.offer_beside(sources, &beside).await
    }

    async fn offer_beside(&self, sources: &Sources, beside: &Beside<'_>) -> Result<Offer, Outcome> {
        if sources.chosen.is_settled {
            return Ok(Offer::default());
        }
        let Some(front) = Front::of(self).await? else { return Ok(Offer::default()) };
        let (choice, ahead) = front.choose(beside).await?;
        Ok(match choice {
            Choice::Current => Offer::default(),
            Choice::Held(hold) => Offer { told: Some(self.held(&hold)), hold: Some(hold), target: None },
            Choice::Waiting { waiting, beside } => {
                let waits = Outcome::Waiting(waiting.sentence(front.running()));
                let told = match &beside {
                    Some(hold) => turn::both(waits, self.held(hold)),
                    None => waits,
                };
                Offer { told: Some(told), hold: beside, target: None }
            }
            Choice::Upgrade(upgrade) => {
                let told = upgrade.beside.as_ref().map(|hold| self.held(hold));
                let hold = upgrade.beside.clone();
                Offer { target: ahead.map(|ahead| self.target(upgrade, ahead)), told, hold }
            }
        })
    }

    fn held(&self, hold: &Hold) -> Outcome {
        let sentence = hold.sentence(&self.app.name);
        if hold.is_block() { Outcome::Blocked(sentence) } else { Outcome::Held(sentence) }
    }

    fn target(&self, upgrade: Upgrade, ahead: Ahead) -> Target {
        let is_told = self.app.policy.notes == OnNotes::Alert;
        Target {
            revision: ahead.revision,
            read: ahead.read,
            notes: upgrade.notes.told().map(|text| PassedNotes { text, is_told }),
            why: None,
            images: Vec::new(),
        }
    }
}
