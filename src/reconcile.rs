//! One stack towards what is desired: observe, plan, apply, judge.
//!
//! The border: which release is the goal, and what its success or failure means, is decided above (`app`). The one
//! surprise: everything that can say no (plan, images) comes before the first write, so a refusal leaves all as it was.

mod apply;
mod gate;
mod images;
mod last_words;
mod masking;
pub mod release;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use jiff::Timestamp;

use crate::config::{Resolve, SharedNetwork};
use crate::desired::Desired;
use crate::host::images::Images;
use crate::host::images::auth::Auths;
use crate::host::progress::Progress;
use crate::host::store::AppDir;
use crate::host::swarm::Swarm;
use crate::model::observed::Observed;
use crate::model::outcome::Outcome;
use crate::model::secret::{Hidden, HostKey};
use crate::plan::{Context, Plan};

pub use apply::{Applied, Unapplied};
pub use gate::{Gate, Judged};

/// What a kind of app adds to the common path.
pub trait Reconciler {
    /// Checks what the kind itself declares before anything is read or touched.
    ///
    /// # Errors
    /// The sentence for the operator: why the declared app cannot be taken, and the way out.
    fn preflight(&self, now: Timestamp) -> Result<(), String>;

    /// Secrets that the kind declares itself: recipe secret name and file.
    fn secrets(&self) -> Vec<(String, PathBuf)>;

    /// Variables that the kind gives to the recipe; the operator's own beat them.
    fn variables(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    /// Whether a release can be kept by this kind. `hidden` is what of its values nobody may read; `None`: any.
    ///
    /// # Errors
    /// What it lacks, and the way out.
    fn takes(&self, _desired: &Desired, _hidden: Option<&Hidden>) -> Result<(), String> {
        Ok(())
    }

    /// How the app is judged once Swarm says that it runs.
    fn gate(&self, desired: &Desired) -> Gate;

    /// Whether its volumes hold nothing that would have to go back with a version.
    fn is_stateless(&self) -> bool {
        false
    }
}

/// What a stack is kept with.
pub struct Keeper<'a> {
    pub swarm: &'a Swarm,
    pub images: &'a Images,
    pub auths: &'a Auths,
    pub dir: &'a AppDir,
    pub host_key: &'a HostKey,
    pub resolve: Resolve,
    /// Images as the recipe names them -> as the current release runs them, digest included.
    pub images_before: BTreeMap<String, String>,
    pub progress: &'a Progress,
    /// Variables whose values come from files of the operator's; `None` where those cannot be read, so that any may.
    pub hidden: Option<Hidden>,
    /// Names of secrets, configs and networks that a recorded release has beside what is desired.
    pub recorded: BTreeSet<String>,
    /// Image reference -> id, of the current release.
    pub image_ids: BTreeMap<String, String>,
    /// The network that all apps share.
    pub shared: Option<&'a SharedNetwork>,
}

impl Keeper<'_> {
    /// What would have to change, and what is there. Writes nothing; asks registries only under `resolve = "always"`.
    ///
    /// # Errors
    /// `Blocked` with every reason why no plan can be made; `Error` when the Engine or a registry cannot be asked.
    pub async fn plan(&self, observed: &Observed, desired: &Desired) -> Result<Plan, Outcome> {
        let mut desired = desired.clone();
        if self.resolve == Resolve::Always {
            self.with_todays_images(&mut desired).await?;
        }
        self.compared(observed, &desired, self.resolve)
    }

    /// What would have to change for exactly this release: its own image references, and no others of the same words.
    /// No registry is asked.
    ///
    /// # Errors
    /// `Blocked` with every reason why no plan can be made; `Error` when the kept secrets cannot be listed.
    pub fn plan_exactly(&self, observed: &Observed, desired: &Desired) -> Result<Plan, Outcome> {
        self.compared(observed, desired, Resolve::Always)
    }

    fn compared(&self, observed: &Observed, desired: &Desired, resolve: Resolve) -> Result<Plan, Outcome> {
        let kept = self.dir.kept_secrets()?;
        let content_version = |bytes: &[u8]| self.host_key.content_version(bytes);
        let is_hidden = |name: &str, text: &str| self.hidden.as_ref().is_none_or(|hidden| hidden.hides(name, text));
        let context = Context {
            api: self.swarm.engine().api(),
            is_hidden: &is_hidden,
            recorded: &self.recorded,
            images: &self.image_ids,
            shared: self.shared,
            ..Context::new(&kept, &content_version, resolve)
        };
        Plan::new(observed, desired, &context).map_err(|errors| {
            let sentences: Vec<String> = errors.iter().map(ToString::to_string).collect();
            Outcome::Blocked(sentences.join("; "))
        })
    }
}
