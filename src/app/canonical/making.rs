//! A known-good: the first one, and another one in its place.
//!
//! Both are read as a first install would: the volumes are fresh, so nothing that was frozen with older data counts. What
//! is deployed over a known-good for a while (`quick`) is read as its upgrade.

use std::collections::BTreeSet;

use tracing::warn;

use super::super::Run;
use super::super::reading::Read;
use super::super::upgrading::Target;
use super::super::view::{DeclaredRelease, Fetch, Sources};
use super::{Begun, Proof, ends};
use crate::config;
use crate::desired::{self, Desired, NAMESPACE};
use crate::host::recipes::Freshness;
use crate::model::observed::Observed;
use crate::model::outcome::Outcome;
use crate::model::run_result::RunResult;
use crate::model::state::{Release, State};
use crate::model::transaction::Old;
use crate::model::version::{Revision, Wanted};
use crate::model::warm::{Purpose, Status};
use crate::plan::NAMESPACE_LABEL;
use crate::policy::promotion::{self, Candidate, Verified};
use crate::policy::rights::{Right, new_rights};
use crate::policy::{self, Published};
use crate::reconcile::{Gate, release};
use crate::upgrade::on_host;
use crate::upgrade::volumes::is_left_out;

impl Run<'_> {
    pub(super) async fn seed(&mut self, version: Option<&str>) -> Result<Outcome, Outcome> {
        match self.warm_status() {
            None | Some(Status::Lost) => {}
            Some(status) => return Err(ends::seeded_already(&self.app.name, status, self.state.current.as_ref())),
        }
        let wanted = match version {
            Some(version) => version.parse().map_err(|_| ends::no_version(version))?,
            None => self.app.wanted.clone(),
        };
        let observed = self.settled().await?;
        if let Some(others) = self.made_by_others(&observed)? {
            return Err(others);
        }
        let (revision, read) = self.read_anew(wanted, &observed).await?;
        if revision.version.is_none() && !self.published(None).await?.versions.is_empty() {
            return Err(ends::untagged(&revision));
        }
        self.can_be_stored(&read, &observed).await?;
        let (old, gate) = self.as_release(revision, read, &self.on_fresh_volumes(observed)).await?;
        self.work(Purpose::Seed, Begun { old, gate, before: None, snapshot: None, whole: false, notes: Vec::new() })
            .await
    }

    pub(super) async fn promote(&mut self, proof: &Proof) -> Result<Outcome, Outcome> {
        match self.warm_status() {
            Some(status @ Status::Dirty) if !self.nothing_runs().await? => {
                return Err(ends::in_use(&self.app.name, status));
            }
            Some(Status::Idle | Status::Dirty) => {}
            None | Some(Status::Lost) => return Err(ends::not_seeded(&self.app.name)),
            Some(status) => return Err(ends::in_use(&self.app.name, status)),
        }
        let (known, _) = self.known_good()?;
        let verified = self.verified(proof).await?;
        let wanted = verified.revision().version.as_deref().and_then(|version| version.parse().ok());
        let wanted = wanted.map(Wanted::Version).ok_or_else(|| ends::untagged(verified.revision()))?;
        let observed = self.settled().await?;
        let (revision, read) = self.read_anew(wanted, &observed).await?;
        if revision != *verified.revision() {
            return Err(ends::moved(verified.revision(), &revision));
        }
        if read.key == known.release.key && revision == known.release.body.revision {
            return Ok(Outcome::Converged);
        }
        self.can_be_stored(&read, &observed).await?;
        let (old, gate) = self.as_release(revision, read, &self.on_fresh_volumes(observed)).await?;
        let snapshot = known.release.snapshot.clone();
        let before = Some(known);
        self.work(Purpose::Promote, Begun { old, gate, before, snapshot, whole: false, notes: Vec::new() }).await
    }

    /// The release that is proved good.
    async fn verified(&self, proof: &Proof) -> Result<Verified, Outcome> {
        if let Proof::Verified(verified) = proof {
            return Ok(verified.clone());
        }
        let named = match proof {
            Proof::Word { version: Some(version), .. } => version.parse().ok(),
            _ => None,
        };
        let published = self.published(named.as_ref()).await?;
        match proof {
            Proof::Verified(verified) => Ok(verified.clone()),
            Proof::Result { file, bytes } => {
                let app =
                    Candidate { name: &self.app.name, kind: self.app.kind, recipe: name_of(&self.app.recipe.url) };
                let read = RunResult::parse(file, bytes);
                read.and_then(|result| promotion::verify(&result, app, &published))
                    .map_err(|wrong| ends::unproved(&wrong))
            }
            Proof::Word { green, cold, version } => {
                let wanted = version.as_deref().map(|version| version.parse().map_err(|_| ends::no_version(version)));
                let wanted = wanted.transpose()?.unwrap_or_else(|| self.app.wanted.clone());
                let revision =
                    policy::target(&wanted, &published).map_err(|error| Outcome::Blocked(error.to_string()))?;
                let claim = promotion::claim_by_hand(self.app.kind, (*green, *cold), &revision, &published);
                Verified::new(claim, revision.clone()).map_err(|refusals| ends::not_proved(&revision, &refusals))
            }
        }
    }

    /// What the recipe's remote has, and the commit that is wanted.
    async fn published(&self, wanted: Option<&Wanted>) -> Result<Published, Outcome> {
        let mirror = self.view().mirror();
        if let Freshness::Stale { why } = mirror.fetch(self.now).await? {
            warn!("the recipe is taken from its mirror as it was fetched before: {why}");
        }
        let published = mirror.published().await?;
        let named = match wanted {
            Some(Wanted::Commit(prefix)) => Some(mirror.resolve_commit(prefix).await?),
            _ => None,
        };
        Ok(Published { versions: published.versions, head: published.head, named })
    }

    /// A commit over what is deployed, read as an upgrade of it.
    pub(super) async fn over(&mut self, commit: &str) -> Result<Outcome, Outcome> {
        let wanted = match commit.parse() {
            Ok(Wanted::Commit(commit)) => Wanted::Commit(commit),
            _ => return Err(ends::no_commit(commit)),
        };
        let (known, _) = self.known_good()?;
        let observed = self.settled().await?;
        let sources = self.sources_of(wanted, true).await?;
        let lives = |name: &str, bytes: &_| self.view().lives(&observed, name, bytes);
        let chosen = &sources.chosen;
        let read = self.view().read_at(&sources.given, &chosen.tree, &chosen.revision, &lives, self.now);
        let read = read.map_err(|refused| refused.outcome)?;
        self.can_be_stored(&read, &observed).await?;
        self.asks_for_nothing_of_others(&known, &read)?;
        let (old, gate) = self.as_release(chosen.revision.clone(), read, &observed).await?;
        let snapshot = known.release.snapshot.clone();
        let before = Some(known);
        self.work(Purpose::Quick, Begun { old, gate, before, snapshot, whole: true, notes: Vec::new() }).await
    }

    /// Whoever proposes a commit may write anything into it, and it runs on this host.
    fn asks_for_nothing_of_others(&self, known: &Old, read: &Read) -> Result<(), Outcome> {
        let body = &known.release.body;
        let rights = new_rights(body, &read.desired);
        let rights = rights.iter().filter(|right| !matches!(right, Right::Repository { .. })).map(ToString::to_string);
        let before = release::desired(&self.app.stack, body, &self.dir)?;
        let (shared, new) = (&self.host.declared.network.name, &read.desired);
        let networks = |of: &Desired| of.external_networks.iter().filter(|name| *name != shared).cloned().collect();
        let (configs, routes) = (desired::external_configs, desired::router_rules);
        let asked: Vec<String> = rights
            .chain(came("network", networks(new), &networks(&before)))
            .chain(came("config", configs(new).collect(), &configs(&before).collect()))
            .chain(came("the route", routes(new).collect(), &routes(&before).collect()))
            .collect();
        if asked.is_empty() { Ok(()) } else { Err(ends::asks_for_rights(&asked)) }
    }

    /// The recipe at what is wanted, as for an app of which nothing is there yet.
    async fn read_anew(&self, wanted: Wanted, observed: &Observed) -> Result<(Revision, Read), Outcome> {
        let sources = self.sources_of(wanted, false).await?;
        let state = self.anew();
        let view = self.host.view(self.app, &*self.reconciler, &self.dir, &state, &self.progress);
        let lives = |name: &str, bytes: &_| view.lives(observed, name, bytes);
        let declared = view.declared_release(&sources, &lives, self.now).map_err(|refused| refused.outcome)?;
        let DeclaredRelease { revision, read, .. } = declared;
        Ok((revision, read))
    }

    async fn sources_of(&self, wanted: Wanted, only_if_missing: bool) -> Result<Sources, Outcome> {
        let app = config::App { wanted, ..self.app.clone() };
        let state = self.anew();
        let fetch = if only_if_missing { Fetch::IfMissing } else { Fetch::Latest };
        self.host.view(&app, &*self.reconciler, &self.dir, &state, &self.progress).sources(fetch, self.now).await
    }

    fn anew(&self) -> State {
        State { current: None, ..self.state.clone() }
    }

    /// The stack as it will be when the release is deployed: no older data misses a secret that is made anew.
    fn on_fresh_volumes(&self, mut observed: Observed) -> Observed {
        let stack = self.app.stack.as_str();
        observed.volumes.retain(|_, volume| volume.labels.get(NAMESPACE).is_none_or(|of| of != stack));
        observed
    }

    /// What was read as it will be deployed: images at hand and by their digests, the bytes of its secrets on disk.
    async fn as_release(&self, revision: Revision, read: Read, observed: &Observed) -> Result<(Old, Gate), Outcome> {
        let gate = self.reconciler.gate(&read.desired);
        let target = Target { revision, read, notes: None, why: None, images: Vec::new() };
        let new = self.candidate(&target, observed, 0).await?;
        let release = Release { body: new.body, key: new.key, since: self.now.to_string(), snapshot: None };
        Ok((Old { release, frozen: new.frozen, gate: new.gate }, gate))
    }

    /// What its snapshot would not hold, or could not put back, is refused before anything of it runs.
    async fn can_be_stored(&self, read: &Read, observed: &Observed) -> Result<(), Outcome> {
        self.own_volumes_only(read, observed)?;
        let specs: Vec<_> = read.desired.services.iter().map(|service| &service.spec).collect();
        on_host::can_be_stored(&self.host.swarm, &self.app.stack, &specs, &self.app.snapshot.left_out()).await
    }

    /// A known-good is made on fresh volumes, which those of somebody else cannot be.
    fn own_volumes_only(&self, read: &Read, observed: &Observed) -> Result<(), Outcome> {
        let left_out = self.app.snapshot.left_out();
        let stack = &self.app.stack;
        let live = |name: &String| observed.volumes.get(name);
        let is_of_others = |name: &String| {
            live(name).is_some_and(|volume| volume.labels.get(NAMESPACE_LABEL).is_none_or(|of| of != stack.as_str()))
        };
        let mounted = desired::volumes(&read.desired).into_iter().filter(is_of_others);
        let others: BTreeSet<String> = desired::foreign_volumes(&read.desired).into_iter().chain(mounted).collect();
        let others: Vec<String> = others.into_iter().filter(|name| !is_left_out(stack, &left_out, name)).collect();
        if others.is_empty() { Ok(()) } else { Err(ends::foreign_volumes(&others)) }
    }

    /// Where the stack is there and nobody here made it.
    fn made_by_others(&self, observed: &Observed) -> Result<Option<Outcome>, Outcome> {
        if self.state.current.is_some() && self.state.warm.is_none() {
            return Ok(Some(ends::always_ran(&self.app.name, &self.dir.state_file())));
        }
        if self.warm_status().is_some() {
            return Ok(None);
        }
        let mut observed = observed.clone();
        if self.dir.read_state()?.is_some() {
            // A seed that was undone leaves services that run nothing, and the volumes that are left out.
            let left_out = self.app.snapshot.left_out();
            observed.services.clear();
            observed.volumes.retain(|name, _| !is_left_out(&self.app.stack, &left_out, name));
        }
        let there = policy::is_unrecorded(&self.app.stack, &Wanted::Latest, &observed);
        Ok(there.map(|_| ends::made_by_others(&self.app.stack)))
    }
}

fn came(kind: &str, new: BTreeSet<String>, had: &BTreeSet<String>) -> Vec<String> {
    new.difference(had).map(|name| format!("{kind} {name}")).collect()
}

/// The repository's name, as a CI knows it.
fn name_of(url: &str) -> &str {
    let last = url.trim_end_matches('/').rsplit(['/', ':']).next().unwrap_or(url);
    last.strip_suffix(".git").unwrap_or(last)
}
