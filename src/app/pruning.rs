//! Removing images that nobody names any more, and telling of disks that fill up.
//!
//! Before anything is removed, the images of every release that runs or may have to run again carry their keep tag: of all
//! apps that have a state, also of those that are in no configuration any more. The border: what an app's own run keeps
//! and lets go of is in `images` and `performing`. The surprise: the disks are looked at whatever became of the rest, since a
//! full one is the likeliest reason why nothing else works.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;
use tracing::warn;

use super::{started_by_systemd, telling};
use crate::config::Declared;
use crate::host::disks;
use crate::host::engine::Engine;
use crate::host::images::{Freed, Images};
use crate::host::progress::Progress;
use crate::host::store::{Slot, SlotAttempt, Store};
use crate::host::swarm::Swarm;
use crate::host::who::who;
use crate::model::alert::HOST;
use crate::model::app::AppName;
use crate::model::disk::{Role, Usage};
use crate::model::history::Line;
use crate::model::outcome::Outcome;
use crate::model::state::State;
use crate::policy;
use crate::reconcile::release;

/// So long a unit waits for others that are at work; a person waits as long as it takes.
const WITHIN: Duration = Duration::from_secs(30 * 60);
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

/// How a prune has ended.
#[derive(Debug)]
pub struct Pruned {
    pub outcome: Outcome,
    /// What a person should know besides.
    pub warnings: Vec<String>,
    /// A disk is too full, and the alert of it could not be written.
    pub untold: Option<anyhow::Error>,
}

/// Removes dangling images that were made longer ago than this, and looks at the disks. Never fails: what went wrong is in
/// what it gives.
pub async fn prune(
    declared: &Declared,
    store: &Store,
    engine: anyhow::Result<Engine>,
    older_than: SignedDuration,
    now: Timestamp,
) -> Pruned {
    let mut warnings = Vec::new();
    let (outcome, engine) = match engine {
        Ok(engine) => {
            let pruner = Pruner { store, swarm: Swarm::new(engine.clone()), images: Images::new(engine.clone()) };
            let pruned = pruner.prune(now.saturating_sub(older_than).unwrap_or(now), &mut warnings).await;
            (pruned.unwrap_or_else(|outcome| outcome), Some(engine))
        }
        Err(cause) => (Outcome::from(cause), None),
    };
    if let Outcome::Applied(sentence) = &outcome {
        telling::note(store, &Line::of_act(HOST, outcome.word(), &format!("prune: {sentence}"), &who(), now));
    }
    let seen = disks::look(places(declared, store, engine.as_ref()).await);
    let watermark = declared.prune.watermark;
    warnings.extend(policy::low_disks(&seen, watermark).iter().map(policy::LowDisk::sentence));
    let usage = async || usage(store, engine.as_ref()).await;
    let untold = disks::watch(store, &seen, watermark, now, usage).await.err();
    telling::recount(store);
    Pruned { outcome, warnings, untold }
}

/// The disks that are too full now, each in a sentence.
pub async fn low_disks(declared: &Declared, store: &Store, swarm: &Swarm) -> Vec<String> {
    let seen = disks::look(places(declared, store, Some(swarm.engine())).await);
    policy::low_disks(&seen, declared.prune.watermark).iter().map(policy::LowDisk::sentence).collect()
}

/// Where an Engine that does not answer keeps its data, the states know.
async fn places(declared: &Declared, store: &Store, engine: Option<&Engine>) -> Vec<(Role, PathBuf)> {
    let told = match engine {
        Some(engine) => Swarm::new(engine.clone()).info().await.ok().map(|info| info.data_root),
        None => None,
    };
    let recorded = || states(store).ok()?.into_iter().find_map(|(_, state)| state.ok()?.data_root);
    let docker = told.filter(|root| root.is_absolute()).or_else(recorded);
    docker.map(|root| (Role::Docker, root)).into_iter().chain([(Role::State, declared.state_dir.clone())]).collect()
}

async fn usage(store: &Store, engine: Option<&Engine>) -> Usage {
    let of_engine = match engine {
        Some(engine) => disks::usage_of(engine).await,
        None => Usage::default(),
    };
    Usage { snapshots: disks::snapshots(store), ..of_engine }
}

/// Every app that is kept on disk with its state, or why that cannot be read.
fn states(store: &Store) -> anyhow::Result<Vec<(AppName, Result<State, Outcome>)>> {
    let apps = store.apps()?.into_iter();
    let state = |app: AppName| match store.app(&app).read_state() {
        Ok(state) => Some((app, Ok(state?))),
        Err(cause) => Some((app, Err(cause.into()))),
    };
    Ok(apps.filter_map(state).collect())
}

/// The images that releases need.
#[derive(Debug, Default)]
pub(super) struct Needed {
    /// Image id -> which app's it is, and by what name.
    pub images: BTreeMap<String, (AppName, String)>,
    /// Where an app's are not known: nobody's may be let go of then.
    pub unknown: Vec<Outcome>,
}

/// What every app needs by its state. What is being installed, or changed, is in no state yet: there the services tell.
///
/// # Errors
/// When it cannot be told which apps there are.
pub(super) async fn needed(store: &Store, swarm: &Swarm, images: &Images) -> anyhow::Result<Needed> {
    let mut needed = Needed::default();
    for (app, state) in states(store)? {
        let state = match state {
            Ok(state) => state,
            Err(unread) => {
                needed.unknown.push(unread);
                continue;
            }
        };
        let live = of_services(&state, swarm, images).await.unwrap_or_else(|why| {
            needed.unknown.push(why);
            BTreeMap::new()
        });
        let all = of_releases(&state).into_iter().chain(live);
        needed.images.extend(all.map(|(id, reference)| (id, (app.clone(), reference))));
    }
    Ok(needed)
}

/// Image id -> reference.
fn of_releases(state: &State) -> BTreeMap<String, String> {
    let images = state.bodies().flat_map(|body| &body.images);
    images.map(|(reference, id)| (id.clone(), reference.clone())).collect()
}

async fn of_services(state: &State, swarm: &Swarm, images: &Images) -> Result<BTreeMap<String, String>, Outcome> {
    if state.installing.is_none() && state.changing.is_none() {
        return Ok(BTreeMap::new());
    }
    let stack = state.stack.parse().map_err(|error| Outcome::Error(format!("stack {}: {error}", state.stack)))?;
    let observed = swarm.observe(&stack).await?;
    let ids = images.ids(&release::live_images(&observed)).await?;
    Ok(ids.into_iter().map(|(reference, id)| (id, reference)).collect())
}

struct Pruner<'a> {
    store: &'a Store,
    swarm: Swarm,
    images: Images,
}

impl Pruner<'_> {
    async fn prune(&self, made_before: Timestamp, warnings: &mut Vec<String>) -> Result<Outcome, Outcome> {
        let _slot = self.quiet().await?;
        let let_go = self.keep_what_is_needed(warnings).await?;
        let freed = self.images.prune_dangling(made_before).await?;
        Ok(outcome(let_go, &freed))
    }

    /// The slot, once no transaction and no run of an app is at work: an image that was fetched a moment ago has no tag
    /// yet. Apps are looked at, not locked, so that a run which begins meanwhile goes on; what is taken from it then is
    /// fetched again.
    async fn quiet(&self) -> Result<Option<Slot>, Outcome> {
        let (progress, begun) = (Progress::new("prune"), Instant::now());
        let mut told = false;
        loop {
            let by = match self.slot() {
                Ok(Ok(slot)) => return Ok(Some(slot)),
                Ok(Err(by)) => by,
                Err(cause) => {
                    // On a full disk no upgrade begins, and pruning is what makes room.
                    warn!(cause = format!("{cause:#}"), "going on without the run slot");
                    return Ok(None);
                }
            };
            if started_by_systemd() && begun.elapsed() >= WITHIN {
                return Err(Outcome::Waiting(gave_way(&by)));
            }
            if !std::mem::replace(&mut told, true) {
                warn!("waiting for {by} to end");
            }
            progress.waiting_for(&format!("{by} to end"));
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
    }

    /// The inner `Err` says who is at work.
    fn slot(&self) -> anyhow::Result<Result<Slot, String>> {
        if let Some(by) = self.at_work()? {
            return Ok(Err(by));
        }
        match self.store.slot()? {
            SlotAttempt::Held { by } => Ok(Err(by)),
            // Whoever begins an upgrade from here on waits.
            SlotAttempt::Taken(slot) => Ok(self.at_work()?.map_or(Ok(slot), Err)),
        }
    }

    fn at_work(&self) -> anyhow::Result<Option<String>> {
        for app in self.store.apps()? {
            if let Some(by) = self.store.app(&app).holder()? {
                return Ok(Some(by));
            }
        }
        Ok(None)
    }

    /// Gives every needed image its keep tag, and takes away the tags that nothing needs. Gives how many those were.
    async fn keep_what_is_needed(&self, warnings: &mut Vec<String>) -> Result<usize, Outcome> {
        // Listed before the states are read, so that none goes that a run beside this one has just recorded.
        let kept = self.images.kept().await?;
        let needed = needed(self.store, &self.swarm, &self.images).await?;
        for (id, (app, reference)) in &needed.images {
            if !self.images.keep(id).await? {
                warnings.push(gone(app, reference, id));
            }
        }
        if !needed.unknown.is_empty() {
            let why = needed.unknown.iter().map(|why| format!("no keep tag is taken away: {}", why.sentence()));
            warnings.extend(why);
            return Ok(0);
        }
        if needed.images.is_empty() && !kept.is_empty() {
            // Rather a disk that is not mounted than a host that keeps nothing any more.
            warnings.push(no_state(self.store, kept.len()));
            return Ok(0);
        }
        let mut let_go = 0;
        for id in kept.iter().filter(|id| !needed.images.contains_key(*id)) {
            self.images.let_go(id).await?;
            let_go += 1;
        }
        Ok(let_go)
    }
}

fn gave_way(by: &str) -> String {
    format!("{by} has been at work for more than {} minutes; the next prune looks again", WITHIN.as_secs() / 60)
}

fn no_state(store: &Store, kept: usize) -> String {
    format!(
        "there is no app in {}, and {kept} images are kept for some: their tags stay; where nobody needs them, take them away \
         (docker image ls evenkeel/keep)",
        store.dir().display()
    )
}

fn gone(app: &AppName, reference: &str, id: &str) -> String {
    format!(
        "image {reference} of {app} ({id}) is not on this machine any more: without it {app} cannot be started again, or go \
         back, until it is fetched (docker pull)"
    )
}

fn outcome(let_go: usize, freed: &Freed) -> Outcome {
    let images = |count: usize| if count == 1 { "1 image".to_owned() } else { format!("{count} images") };
    let mut did = Vec::new();
    if let_go > 0 {
        did.push(format!("let go of {} that no release names any more", images(let_go)));
    }
    if freed.images > 0 || freed.bytes > 0 {
        did.push(format!("removed {} without a name ({} MiB)", images(freed.images), freed.bytes.div_ceil(1 << 20)));
    }
    if did.is_empty() { Outcome::Converged } else { Outcome::Applied(did.join("; ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_freed_is_told_and_nothing_is_no_news() {
        assert_eq!(outcome(0, &Freed::default()), Outcome::Converged);
        let sentence = |let_go, images, bytes| outcome(let_go, &Freed { images, bytes }).to_string();
        assert_eq!(sentence(0, 2, 3 << 20), "applied: removed 2 images without a name (3 MiB)");
        assert_eq!(
            sentence(1, 1, 1),
            "applied: let go of 1 image that no release names any more; removed 1 image without a name (1 MiB)"
        );
    }
}
