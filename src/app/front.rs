//! The versions in front of an app: what the policy makes of them, and the release that it would take.
//!
//! The border: the mirror is read as it was fetched last, and no Engine is asked. The surprise: a version's recipe is
//! read only where the answer depends on it, which is twice at most on most nights.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tracing::warn;

use super::reading::{Given, Lives, Read};
use super::view::View;
use crate::desired;
use crate::host::recipes::Mirror;
use crate::host::store::AppDir;
use crate::model::app::Kind;
use crate::model::approval::Approval;
use crate::model::outcome::Outcome;
use crate::model::state::{Release, State};
use crate::model::version::{Commit, RecipeVersion, Revision, Wanted};
use crate::policy::line::{self, Asked, Choice, Line, Looked};
use crate::policy::{self, PolicyError, sample};
use crate::recipe::Tree;
use crate::recipe::notes::Notes;

/// Everything that is published in front of what runs.
pub struct Front<'a> {
    view: &'a View<'a>,
    mirror: Mirror,
    running: &'a Release,
    published: policy::Published,
    seen: BTreeMap<RecipeVersion, Timestamp>,
    notes: BTreeMap<Commit, Notes>,
    pub approvals: Vec<Approval>,
}

/// What a version's recipe is read with.
pub struct Beside<'a> {
    pub given: &'a Given,
    pub lives: &'a Lives<'a>,
    /// Image reference -> the id that it stands for on this host now, of the images that were refused.
    pub images: &'a BTreeMap<String, String>,
    pub now: Timestamp,
}

/// A release in front, as it would be deployed.
pub struct Ahead {
    pub revision: Revision,
    pub read: Read,
    tree: Tree,
}

impl<'a> Front<'a> {
    /// `None` for an app of which nothing is installed: it has nothing to upgrade.
    ///
    /// # Errors
    /// When the mirror cannot be read.
    pub async fn of(view: &'a View<'a>) -> Result<Option<Self>, Outcome> {
        let Some(running) = &view.state.current else { return Ok(None) };
        let app = view.app;
        let mirror = view.recipes.mirror(&app.recipe.url, app.recipe.credentials.as_deref());
        let published = mirror.published().await?;
        let named = match &app.wanted {
            Wanted::Commit(prefix) => mirror.resolve_commit(prefix).await.ok(),
            Wanted::Latest | Wanted::Version(_) => None,
        };
        let revision = &running.body.revision;
        let (versions, seen) = (published.versions_beside(Some(revision)), published.seen);
        let published = policy::Published { versions, head: published.head, named };
        let newer = line::newer(revision, &app.wanted, &published);
        let commits: Vec<Commit> = newer.into_iter().map(|(_, commit)| commit).collect();
        let notes = mirror.notes(&commits).await?;
        let approvals = approvals(view.dir)?;
        Ok(Some(Self { view, mirror, running, published, seen, notes, approvals }))
    }

    /// What the policy does, and the release that it takes now; `None` where it takes none.
    ///
    /// # Errors
    /// `Blocked` where what the operator asks for does not exist; whatever keeps the mirror from being read.
    pub async fn choose(&self, beside: &Beside<'_>) -> Result<(Choice, Option<Ahead>), Outcome> {
        let mut line = self.line(beside.now)?;
        let running = if line.candidates.is_empty() { None } else { self.running_sample().await? };
        let mut read = Vec::new();
        while let Some(revision) = line.next_to_read().cloned() {
            read.extend(self.read(&mut line, &revision, running.as_deref(), beside).await?);
        }
        let choice = line.conclude();
        let Choice::Upgrade(upgrade) = &choice else { return Ok((choice, None)) };
        let ahead = read.into_iter().find(|ahead| ahead.revision == upgrade.target);
        Ok((choice, ahead))
    }

    /// What is published, before any recipe is read.
    ///
    /// # Errors
    /// `Blocked` where what the operator asks for does not exist.
    pub fn line(&self, now: Timestamp) -> Result<Line<'_>, Outcome> {
        let state = self.view.state;
        let asked = Asked {
            current: &self.running.body.revision,
            previous: state.previous.as_ref().map(|previous| &previous.release.body.revision),
            wanted: &self.view.app.wanted,
            policy: &self.view.app.policy,
            published: &self.published,
            seen: &self.seen,
            notes: &self.notes,
            approvals: &self.approvals,
            refused: &state.refused,
            interrupted: state.interrupted.as_ref(),
            now,
        };
        line::line(asked).map_err(|error| Outcome::Blocked(error.to_string()))
    }

    pub fn running(&self) -> &Revision {
        &self.running.body.revision
    }

    pub fn kind(&self) -> Kind {
        self.view.app.kind
    }

    pub fn wanted(&self) -> &Wanted {
        &self.view.app.wanted
    }

    pub fn is_published(&self, version: &RecipeVersion) -> bool {
        self.published.versions.iter().any(|(published, _)| published == version)
    }

    /// The published versions that a text names in part: `2.4.0`, or `v2.4`.
    pub fn published_like(&self, text: &str) -> Vec<String> {
        let part = text.trim().trim_start_matches('v');
        let goes_on = |version: &String| version.strip_prefix(part).is_some_and(|rest| rest.starts_with(['+', '.']));
        let versions = self.published.versions.iter().map(|(version, _)| version.to_string());
        versions.filter(|version| !part.is_empty() && goes_on(version)).collect()
    }

    /// With the nearest ones.
    pub fn not_published(&self, version: RecipeVersion) -> PolicyError {
        let nearest = policy::nearest(&version, &self.published);
        PolicyError::NotPublished { wanted: version, nearest }
    }

    /// Reads one version's recipe into the line.
    ///
    /// # Errors
    /// When the mirror cannot be read; what is wrong with the recipe stands in the line.
    pub async fn look(&self, line: &mut Line<'_>, revision: &Revision, beside: &Beside<'_>) -> Result<(), Outcome> {
        let running = self.running_sample().await?;
        self.read(line, revision, running.as_deref(), beside).await.map(drop)
    }

    async fn read(
        &self,
        line: &mut Line<'_>,
        revision: &Revision,
        running_sample: Option<&str>,
        beside: &Beside<'_>,
    ) -> Result<Option<Ahead>, Outcome> {
        let ahead = match self.ahead(revision, beside).await {
            Ok(ahead) => ahead,
            Err(Outcome::Blocked(why)) => {
                line.read(revision, Err(why));
                return Ok(None);
            }
            Err(other) => return Err(other),
        };
        let looked = Looked {
            desired: &ahead.read.desired,
            key: &ahead.read.key,
            tree: &ahead.tree,
            before: &self.running.body,
            frozen_sample: match self.is_fresh() {
                true => desired::sample(&ahead.tree),
                false => &self.view.state.frozen.sample,
            },
            running_sample: running_sample.filter(|_| !self.is_fresh()),
            own: &beside.given.env,
            images: beside.images,
        };
        line.read(revision, Ok(&looked));
        Ok(Some(ahead))
    }

    async fn ahead(&self, revision: &Revision, beside: &Beside<'_>) -> Result<Ahead, Outcome> {
        let tree = self.mirror.tree(&revision.commit).await?;
        let anew = State { current: None, ..self.view.state.clone() };
        let state = if self.is_fresh() { &anew } else { self.view.state };
        let view = View { state, ..*self.view };
        let read = view.read_at(beside.given, &tree, revision, beside.lives, beside.now);
        let mut read = read.map_err(|refused| refused.outcome)?;
        if self.is_fresh() {
            return Ok(Ahead { revision: revision.clone(), read, tree });
        }
        read.frozen.sample = sample::frozen_with(&self.view.state.frozen.sample, desired::sample(&tree));
        Ok(Ahead { revision: revision.clone(), read, tree })
    }

    /// A canonical takes a version on fresh volumes, as a first install does: nothing that was frozen with older data binds
    /// it.
    fn is_fresh(&self) -> bool {
        self.view.app.kind == Kind::Canonical
    }

    /// A commit that the remote has dropped and the mirror has lost cannot be compared with.
    async fn running_sample(&self) -> Result<Option<String>, Outcome> {
        let tree = self.mirror.tree_if_there(&self.running.body.revision.commit).await?;
        Ok(tree.map(|tree| desired::sample(&tree).to_owned()))
    }
}

/// What cannot be read approves nothing.
fn approvals(dir: &AppDir) -> Result<Vec<Approval>, Outcome> {
    match dir.approvals()? {
        Ok(approvals) => Ok(approvals.all().to_vec()),
        Err(damage) => {
            let file = dir.approvals_file();
            warn!("{} is damaged and approves nothing: {damage}; `evenkeel approve` writes it anew", file.display());
            Ok(Vec::new())
        }
    }
}
