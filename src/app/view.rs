//! Looking at one app: which release is declared, and which one to go for. Writes nothing but the recipe's mirror.

use futures_util::future::try_join;
use jiff::Timestamp;
use tracing::warn;

use super::goal::{self, Aim, Decision, Goal};
use super::place::Sight;
use super::reading::{self, Given, Lives, OfKind, Read, Recorded, Surroundings};
use super::upgrading::Target;
use super::{Host, Options, proxy};
use crate::certificate;
use crate::config::{self, Declared, Resolve};
use crate::host::progress::Progress;
use crate::host::recipes::{Freshness, Mirror, MovedTag, Recipes};
use crate::host::store::{AppDir, Store};
use crate::model::diagnostic::Diagnostics;
use crate::model::observed::Observed;
use crate::model::outcome::Outcome;
use crate::model::secret::{HostKey, SecretBytes};
use crate::model::state::State;
use crate::model::version::{Revision, Wanted};
use crate::plan::Plan;
use crate::policy::{self, MovedTags, PolicyError};
use crate::recipe::Tree;
use crate::reconcile::{Keeper, Reconciler, release};

/// One app with what is recorded of it. Knows no Engine.
pub struct View<'a> {
    pub declared: &'a Declared,
    pub recipes: &'a Recipes,
    pub host_key: &'a HostKey,
    pub progress: &'a Progress,
    pub app: &'a config::App,
    pub reconciler: &'a dyn Reconciler,
    pub dir: &'a AppDir,
    pub state: &'a State,
}

/// How the remote of a recipe is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fetch {
    /// Unless what is recorded is wanted by name.
    Latest,
    /// Only for a recipe that has no mirror yet, or lacks what is wanted.
    IfMissing,
    /// What is not in the mirror cannot be told.
    Never,
}

/// The declared release.
pub struct DeclaredRelease {
    pub revision: Revision,
    /// What is to be known of the recipe's tags beside that.
    pub notes: Vec<String>,
    pub read: Read,
}

/// Why the declared release cannot be taken, and what else is to be told of it.
pub struct Refused {
    pub outcome: Outcome,
    /// What is wrong with the recipe's files, which is a part of the outcome.
    pub errors: Diagnostics,
    pub warnings: Diagnostics,
}

impl From<Outcome> for Refused {
    fn from(outcome: Outcome) -> Self {
        Self { outcome, errors: Diagnostics::default(), warnings: Diagnostics::default() }
    }
}

/// What the declared release is read from.
pub struct Sources {
    pub given: Given,
    pub chosen: Chosen,
}

/// The revision to run, its files, and what else there is.
pub struct Chosen {
    pub revision: Revision,
    notes: Vec<String>,
    moved: Vec<MovedTag>,
    pub tree: Tree,
    /// What runs is what is asked for by name: nothing can be in front of it.
    pub is_settled: bool,
}

/// What tags that name other images by now make of a goal.
enum Moved {
    Nothing,
    Change {
        key: String,
    },
    /// The same for an app with data.
    Upgrade {
        images: Vec<String>,
        why: String,
    },
    Stay(Outcome),
}

impl View<'_> {
    /// What this run goes for. Whatever stands in the way of the declared release, what runs is still kept.
    ///
    /// # Errors
    /// What stands in the way, when nothing has been installed that could be kept.
    pub fn goal(
        &self,
        observed: &Observed,
        sources: Result<&Sources, Outcome>,
        options: Options,
        now: Timestamp,
    ) -> Result<Goal, Outcome> {
        if let Some(why) = self.not_ours_to_write(observed) {
            return Err(Outcome::Blocked(why));
        }
        let lives = |name: &str, bytes: &SecretBytes| self.lives(observed, name, bytes);
        let read = |sources: &Sources| self.declared_release(sources, &lives, now).map_err(|refused| refused.outcome);
        let declared = match sources.and_then(read) {
            Ok(declared) => declared,
            Err(in_the_way) => return self.stay(in_the_way),
        };
        let DeclaredRelease { revision, read, .. } = declared;
        let (aim, failed) = match goal::aim(self.state, &read.key, options.retry) {
            Decision::StayWith { reason } => return self.stay(Outcome::Unhealthy(goal::failed_change(&reason))),
            Decision::OnlyLook { reason } => (Aim::Install, Some(goal::failed_install(&revision, &reason))),
            Decision::Go(aim) => (aim, None),
        };
        if let (Aim::Change, Some(current)) = (aim, &self.state.current)
            && let Some(why) =
                policy::is_upgrade_in_disguise((&current.body, &self.state.frozen), (&read.desired, &read.frozen))
        {
            return self.stay_and_change(Target::change(revision, read, why), options);
        }
        Ok(Goal {
            aim,
            desired: read.desired.clone(),
            revision,
            key: read.key.clone(),
            read: Some(read),
            instead: None,
            failed,
            change: None,
        })
    }

    /// What runs is the goal, and the target comes after it, unless it was refused.
    fn stay_and_change(&self, target: Target, options: Options) -> Result<Goal, Outcome> {
        match target.is_refused(self.app, self.state).filter(|_| !options.retry) {
            Some(refused) => self.stay(refused),
            None => Ok(Goal { change: Some(target), instead: None, ..self.stay(Outcome::Converged)? }),
        }
    }

    /// Why nothing may be made of what runs: its volumes are gone, or somebody else made it.
    fn not_ours_to_write(&self, observed: &Observed) -> Option<String> {
        match (&self.state.current, &self.state.installing) {
            (Some(current), _) => policy::has_lost_volumes(&current.body, observed),
            (None, None) => policy::is_unrecorded(&self.app.stack, &self.app.wanted, observed),
            (None, Some(_)) => None,
        }
    }

    /// See [`Recorded::lives`].
    pub fn lives(&self, observed: &Observed, name: &str, bytes: &SecretBytes) -> bool {
        observed.secrets.contains_key(name) && self.may_hold(name, bytes)
    }

    /// Swarm never shows a secret's bytes; those that were made or given here are kept, and say what it holds.
    fn may_hold(&self, name: &str, bytes: &SecretBytes) -> bool {
        !matches!(self.dir.secret(name), Ok(Some(kept)) if kept != *bytes)
    }

    /// The plan for a goal; where none can be made for the declared release, what runs is still kept. Tags that moved
    /// make a change of a goal that was to keep what runs.
    ///
    /// # Errors
    /// Why no plan can be made for anything that could be kept; with what stood in the way before.
    pub async fn planned(
        &self,
        goal: Goal,
        keeper: &Keeper<'_>,
        observed: &Observed,
        options: Options,
    ) -> Result<(Goal, Plan), Outcome> {
        let goal = match keeper.plan(observed, &goal.desired).await {
            Ok(plan) => match self.moved_tags(&goal, &plan, options) {
                Moved::Nothing => return Ok((goal, plan)),
                Moved::Change { key } => return Ok((Goal { aim: Aim::Change, key, ..goal }, plan)),
                Moved::Upgrade { images, why } => self.stay_and_follow(goal, images, why, options)?,
                Moved::Stay(instead) => self.stay(instead)?,
            },
            Err(in_the_way) if goal.read.is_none() => return Err(goal.not_even_kept(in_the_way)),
            Err(in_the_way) => self.stay(in_the_way)?,
        };
        match keeper.plan(observed, &goal.desired).await {
            Ok(plan) => Ok((goal, plan)),
            Err(again) => Err(goal.not_even_kept(again)),
        }
    }

    /// What tags that moved make of a goal. A failure of theirs is remembered like that of a configuration.
    fn moved_tags(&self, goal: &Goal, plan: &Plan, options: Options) -> Moved {
        let current =
            self.state.current.as_ref().filter(|_| goal.read.is_some() && self.app.resolve == Resolve::Always);
        let Some(tags) = current.and_then(|current| MovedTags::between(&current.body, &plan.desired)) else {
            return Moved::Nothing;
        };
        if let Some(why) = tags.are_an_upgrade() {
            return Moved::Upgrade { images: tags.references().to_vec(), why };
        }
        if goal.aim != Aim::Keep {
            return Moved::Nothing;
        }
        let key = tags.key(&goal.key);
        match goal::aim(self.state, &key, options.retry) {
            Decision::StayWith { reason } => Moved::Stay(Outcome::Unhealthy(goal::failed_change(&reason))),
            Decision::OnlyLook { .. } | Decision::Go(_) => Moved::Change { key },
        }
    }

    fn stay_and_follow(&self, goal: Goal, images: Vec<String>, why: String, options: Options) -> Result<Goal, Outcome> {
        match goal.read {
            Some(read) => {
                let target = Target { images, ..Target::change(goal.revision, read, why) };
                self.stay_and_change(target, options)
            }
            None => self.stay(Outcome::Converged),
        }
    }

    /// The release that runs, as the goal; `instead` is what the operator is told.
    pub fn stay(&self, instead: Outcome) -> Result<Goal, Outcome> {
        let Some(current) = &self.state.current else { return Err(instead) };
        Ok(Goal {
            aim: Aim::Keep,
            desired: release::desired(&self.app.stack, &current.body, self.dir)?,
            revision: current.body.revision.clone(),
            key: current.key.clone(),
            read: None,
            instead: Some(instead),
            failed: None,
            change: None,
        })
    }

    /// Gathers what the configuration asks for: the app's files, and those of its recipe.
    ///
    /// # Errors
    /// `Blocked` with everything that is wrong with the app's files or certificate; `Error` when the recipe cannot be
    /// had.
    pub async fn sources(&self, fetch: Fetch, now: Timestamp) -> Result<Sources, Outcome> {
        self.reconciler.preflight(now).map_err(Outcome::Blocked)?;
        let given = Given::gather(self.app, OfKind::new(self.reconciler))
            .map_err(|wrong| Outcome::Blocked(wrong.join("; ")))?;
        Ok(Sources { given, chosen: self.chosen(fetch, now).await? })
    }

    /// The revision to run, with its files.
    ///
    /// # Errors
    /// When the recipe cannot be had.
    pub async fn chosen(&self, fetch: Fetch, now: Timestamp) -> Result<Chosen, Outcome> {
        self.choose(&self.mirror(), fetch, now).await
    }

    pub fn mirror(&self) -> Mirror {
        self.recipes.mirror(&self.app.recipe.url, self.app.recipe.credentials.as_deref())
    }

    /// Reads what was gathered. `lives` tells whether a Swarm secret of that name exists that may hold these bytes.
    ///
    /// # Errors
    /// `Blocked` with everything that is wrong with the recipe.
    pub fn declared_release(
        &self,
        sources: &Sources,
        lives: &Lives<'_>,
        now: Timestamp,
    ) -> Result<DeclaredRelease, Refused> {
        let Sources { given, chosen: Chosen { revision, notes, tree, .. } } = sources;
        let read = self.read_at(given, tree, revision, lives, now)?;
        Ok(DeclaredRelease { revision: revision.clone(), notes: notes.clone(), read })
    }

    /// Reads the recipe's files at a revision with what the operator gives.
    ///
    /// # Errors
    /// `Blocked` with everything that is wrong with the recipe.
    pub fn read_at(
        &self,
        given: &Given,
        tree: &Tree,
        revision: &Revision,
        lives: &Lives<'_>,
        now: Timestamp,
    ) -> Result<Read, Refused> {
        // What is wrong with the certificate is told where it is kept: an app is judged by what is served until then.
        let served =
            || certificate::describe(&proxy::kept_leaf(self.declared, &Store::for_reading(&self.declared.state_dir))?);
        let certificate = proxy::certificate(self.declared, now).unwrap_or_else(|_| served());
        let around = Surroundings {
            app: self.app,
            given,
            certificate_declared: self.declared.certificate.is_some(),
            certificate: certificate.as_ref(),
            recorded: Recorded {
                sample: self.state.current.as_ref().map(|_| self.state.frozen.sample.as_str()),
                secret_versions: &self.state.frozen.secret_versions,
                lives,
            },
            host_key: self.host_key,
        };
        let read = reading::read(tree, revision, &around).map_err(|wrong| {
            let errors = Diagnostics(wrong.errors().cloned().collect());
            let outcome = Outcome::Blocked(format!("the recipe at {revision} cannot be taken as it is:\n{errors}"));
            Refused { outcome, errors, warnings: Diagnostics(wrong.warnings().cloned().collect()) }
        })?;
        let hidden = reading::variables_of_files(self.app);
        self.reconciler.takes(&read.desired, hidden.as_ref()).map_err(|lacks| Refused {
            warnings: read.warnings.clone(),
            ..Refused::from(Outcome::Blocked(format!(
                "the recipe at {revision} cannot be kept as {}: {lacks}",
                self.app.name
            )))
        })?;
        Ok(read)
    }

    /// The revision to run. The remote is asked unless what is recorded is enough.
    async fn choose(&self, mirror: &Mirror, fetch: Fetch, now: Timestamp) -> Result<Chosen, Outcome> {
        let recorded = self.state.current.as_ref().map(|release| &release.body.revision);
        let asked_for = recorded.filter(|revision| policy::is_asked_for(revision, &self.app.wanted));
        if let Some(revision) = asked_for
            && let Some(tree) = mirror.tree_if_there(&revision.commit).await?
        {
            let (notes, moved) = (Vec::new(), Vec::new());
            return Ok(Chosen { revision: revision.clone(), notes, moved, tree, is_settled: true });
        }
        if fetch == Fetch::Never {
            return self.choose_from(mirror).await;
        }
        if fetch == Fetch::IfMissing
            && let Ok(chosen) = self.choose_from(mirror).await
        {
            return Ok(chosen);
        }
        self.fetch(mirror, now).await?;
        let mut chosen = self.choose_from(mirror).await;
        // What is broken in a mirror is found when it is read, and mended by another fetch.
        if chosen.is_err() && !mirror.is_sound() {
            self.fetch(mirror, now).await?;
            chosen = self.choose_from(mirror).await;
        }
        // Told once a fetch: a tag that moved is somebody's mistake, or an attack.
        chosen.iter().flat_map(|chosen| &chosen.moved).for_each(|moved| warn!("{moved}"));
        chosen
    }

    /// Chooses among what the mirror holds.
    async fn choose_from(&self, mirror: &Mirror) -> Result<Chosen, Outcome> {
        let recorded = self.state.current.as_ref().map(|release| &release.body.revision);
        let published = mirror.published().await?;
        let named = match &self.app.wanted {
            Wanted::Commit(prefix) => Some(mirror.resolve_commit(prefix).await?),
            Wanted::Latest | Wanted::Version(_) => None,
        };
        let mut notes = published.notes();
        let others = published.others();
        let versions = published.versions_beside(recorded);
        let moved = published.moved;
        let published = policy::Published { versions, head: published.head, named };
        let revision = match recorded.filter(|_| self.app.wanted == Wanted::Latest) {
            Some(recorded) => recorded.clone(),
            None => {
                let asked_for = policy::target(&self.app.wanted, &published);
                let asked_for = asked_for.map_err(|error| Outcome::Blocked(not_there(&error, others)))?;
                recorded.cloned().unwrap_or(asked_for)
            }
        };
        if revision.version.is_none() && self.app.wanted == Wanted::Latest {
            notes.push(format!("{revision} is no version: the recipe had none, and its newest commit was taken"));
        }
        let tree = mirror.tree(&revision.commit).await?;
        Ok(Chosen { revision, notes, moved, tree, is_settled: false })
    }

    async fn fetch(&self, mirror: &Mirror, now: Timestamp) -> Result<(), Outcome> {
        self.progress.waiting_for("the recipe's remote");
        if let Freshness::Stale { why } = mirror.fetch(now).await? {
            warn!("the recipe is taken from its mirror as it was fetched before: {why}");
        }
        Ok(())
    }
}

/// Why nothing can be chosen; a tag that was meant may be among those that are no versions.
fn not_there(error: &PolicyError, others: Option<String>) -> String {
    match (error, others) {
        (PolicyError::NotPublished { .. }, Some(others)) => format!("{error}; {others}"),
        _ => error.to_string(),
    }
}

/// Looks at the stack and gathers the declared release at the same time: neither needs the other, and both wait.
///
/// # Errors
/// When the Engine cannot be asked; then nobody waits for the recipe.
pub async fn look(
    host: &Host,
    view: &View<'_>,
    fetch: Fetch,
    now: Timestamp,
) -> Result<(Sight, Result<Sources, Outcome>), Outcome> {
    try_join(host.sight(view.app, view.state), async { Ok(view.sources(fetch, now).await) }).await
}
