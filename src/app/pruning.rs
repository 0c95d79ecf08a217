//! Removing images that nobody names any more, and telling of disks that fill up.
//!
//! Before anything is removed, the images of every release that runs or may have to run again carry their keep tag: of all
//! apps that have a state, also of those that are in no configuration any more. The border: what an app's own run keeps
//! and lets go of is in `images` and `performing`. The surprise: the disks are looked at whatever became of the rest, since a
//! full one is the likeliest reason why nothing else works.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;
use tracing::warn;

use super::{started_by_systemd, telling};
use crate::config::Declared;
use crate::host::disks::{self, Seen};
use crate::host::engine::Engine;
use crate::host::images::{FOR_OTHERS, Freed, ImageError, Images};
use crate::host::progress::Progress;
use crate::host::store::{self, Slot, SlotAttempt, Store};
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

/// How long it is left alone that nobody seems to need.
#[derive(Debug, Clone, Copy)]
pub struct Ages {
    /// An image without a name, since it was made: a build may be under way.
    pub made: SignedDuration,
    /// A keep tag, since it was given: a release may be on its way that something is in the way of tonight.
    pub kept: SignedDuration,
}

/// How a prune has ended.
#[derive(Debug)]
pub struct Pruned {
    pub outcome: Outcome,
    /// What a person should know besides.
    pub warnings: Vec<String>,
    /// A disk is too full, and the alert of it could not be written.
    pub untold: Option<anyhow::Error>,
}

/// Removes dangling images and keep tags that are older than this, and looks at the disks. Never fails: what went wrong is in
/// what it gives.
pub async fn prune(
    declared: &Declared,
    store: &Store,
    engine: anyhow::Result<Engine>,
    older_than: Ages,
    now: Timestamp,
) -> Pruned {
    let mut warnings = Vec::new();
    let (outcome, engine) = match engine {
        Ok(engine) => {
            let pruner = Pruner { store, swarm: Swarm::new(engine.clone()), images: Images::new(engine.clone()) };
            let before = |age| now.saturating_sub(age).unwrap_or(now);
            let before = Before { made: before(older_than.made), kept: before(older_than.kept) };
            let pruned = pruner.prune(before, &mut warnings).await;
            (pruned.unwrap_or_else(|outcome| outcome), Some(engine))
        }
        Err(cause) => (Outcome::from(cause), None),
    };
    if let Outcome::Applied(sentence) = &outcome {
        telling::note(store, &Line::of_act(HOST, outcome.word(), &format!("prune: {sentence}"), &who(), now));
    }
    let (low, untold) = watch_disks(declared, store, engine.as_ref(), now).await;
    warnings.extend(low);
    telling::recount(store);
    Pruned { outcome, warnings, untold: untold.err() }
}

/// Looks at the disks, and writes an alert for each that has crossed the watermark. Gives a sentence for each that is too
/// full or cannot be looked at, and whether all alerts could be written.
pub async fn watch_disks(
    declared: &Declared,
    store: &Store,
    engine: Option<&Engine>,
    now: Timestamp,
) -> (Vec<String>, anyhow::Result<()>) {
    let told = data_root(engine).await;
    if let Some(root) = &told {
        disks::note_root(store, root);
    }
    let Seen { disks, unseen } = disks::look(places(declared, store, told));
    let watermark = declared.prune.watermark;
    let low = policy::low_disks(&disks, watermark).iter().map(policy::LowDisk::sentence).chain(unseen).collect();
    let usage = async || usage(store, engine).await;
    (low, disks::watch(store, &disks, watermark, now, usage).await)
}

/// The disks that are too full now, each in a sentence with its way out.
pub async fn low_disks(declared: &Declared, store: &Store, swarm: &Swarm) -> Vec<String> {
    let seen = disks::look(places(declared, store, data_root(Some(swarm.engine())).await));
    let low = policy::low_disks(&seen.disks, declared.prune.watermark);
    low.iter().map(|low| format!("{}{}", low.sentence(), low.way_out())).collect()
}

/// Where the Engine says that it keeps its data. One that does not answer is told by whoever asks more of it.
async fn data_root(engine: Option<&Engine>) -> Option<PathBuf> {
    let info = Swarm::new(engine?.clone()).info().await.ok()?;
    Some(info.data_root).filter(|root| root.is_absolute())
}

/// Where an Engine that is not asked keeps its data, the last look that did ask knows; before any did, the states. Theirs
/// may be old: of an app that was left alone since the data was moved.
fn places(declared: &Declared, store: &Store, told: Option<PathBuf>) -> Vec<(Role, PathBuf)> {
    let recorded = || states(store).ok()?.into_iter().find_map(|(_, state)| state.ok()?.data_root);
    let docker = told.or_else(|| disks::known_root(store)).or_else(recorded);
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
    /// Where an app's are not known: nobody's may go then.
    pub unknown: Vec<Outcome>,
}

impl Needed {
    fn ids(&self) -> BTreeSet<String> {
        self.images.keys().cloned().collect()
    }
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

/// The same as [`Ages`], from now.
#[derive(Debug, Clone, Copy)]
struct Before {
    made: Timestamp,
    kept: Timestamp,
}

struct Pruner<'a> {
    store: &'a Store,
    swarm: Swarm,
    images: Images,
}

impl Pruner<'_> {
    async fn prune(&self, before: Before, warnings: &mut Vec<String>) -> Result<Outcome, Outcome> {
        let _slot = self.quiet().await?;
        // Listed before the states are read, so that none goes that a run beside this one has just recorded.
        let kept = self.images.kept().await?;
        let needed = needed(self.store, &self.swarm, &self.images).await?;
        let untagged: Vec<&String> = needed.images.keys().filter(|id| !kept.contains(*id)).collect();
        let unkept = self.keep(&untagged, &needed, warnings).await?;
        if let Some(why) = self.not_known(&needed, kept.len())? {
            return Err(Outcome::Blocked(format!("no image is removed: {why}")));
        }
        let made_room = self.make_room(&unkept, &needed, before.made, warnings).await?;
        let let_go = self.let_go(kept.difference(&needed.ids()), before.kept, warnings).await?;
        let freed = self.images.prune_dangling(before.made).await?;
        if freed.is_none() {
            warnings.push(format!(
                "other images without a name stay for now: somebody else has been pruning for more than {} minutes",
                FOR_OTHERS.as_secs() / 60
            ));
        }
        Ok(outcome(let_go, made_room, &freed.unwrap_or_default()))
    }

    /// Why it is not known what is needed.
    fn not_known(&self, needed: &Needed, kept: usize) -> Result<Option<String>, Outcome> {
        if !needed.unknown.is_empty() {
            let why: Vec<&str> = needed.unknown.iter().map(Outcome::sentence).collect();
            return Ok(Some(format!("what an app needs is not known: {}", why.join("; "))));
        }
        // Rather a disk that is not mounted than a host that keeps nothing any more.
        Ok((kept > 0 && !self.store.is_used()?).then(|| no_app(self.store, kept)))
    }

    /// The slot, once no transaction and no run of an app is at work: an image that was fetched a moment ago has no tag
    /// yet. Apps are looked at, not locked, so that a run which begins meanwhile goes on; what is taken from it then is
    /// fetched again.
    async fn quiet(&self) -> Result<Option<Slot>, Outcome> {
        let (progress, begun) = (Progress::new("prune"), Instant::now());
        let mut told = false;
        loop {
            let by = match self.slot() {
                Ok(Ok(slot)) => return Ok(slot),
                Ok(Err(by)) => by,
                Err(cause) => {
                    let why = format!("no image is removed: it is not known who is at work: {cause:#}");
                    return Err(Outcome::Blocked(why));
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

    /// The inner `Err` says who is at work. `None` where nobody is, and nobody can begin an upgrade either.
    fn slot(&self) -> anyhow::Result<Result<Option<Slot>, String>> {
        if let Some(by) = self.store.at_work(None)? {
            return Ok(Err(by));
        }
        match self.store.slot() {
            Ok(SlotAttempt::Held { by }) => Ok(Err(by)),
            // Whoever begins an upgrade from here on waits.
            Ok(SlotAttempt::Taken(slot)) => Ok(self.store.at_work(None)?.map_or(Ok(Some(slot)), Err)),
            Err(cause) if store::is_unwritable(&cause) => {
                // Pruning is what makes room.
                warn!(cause = format!("{cause:#}"), "going on without the run slot");
                Ok(Ok(None))
            }
            Err(cause) => Err(cause),
        }
    }

    /// Gives these images their keep tag. Gives those that could not have it, and why.
    async fn keep(
        &self,
        untagged: &[&String],
        needed: &Needed,
        warnings: &mut Vec<String>,
    ) -> Result<BTreeMap<String, ImageError>, Outcome> {
        let mut unkept = BTreeMap::new();
        for id in untagged {
            match self.images.keep(id).await {
                Ok(true) => {}
                Ok(false) => warnings.extend(needed.images.get(*id).map(|(app, reference)| gone(app, reference, id))),
                Err(cause) if cause.is_unreachable() => return Err(cause.into()),
                Err(cause) => drop(unkept.insert((*id).clone(), cause)),
            }
        }
        Ok(unkept)
    }

    /// On a full disk an image can have no tag, and without one it would be taken with the others. So those that nothing
    /// needs go first, one by one.
    ///
    /// # Errors
    /// Where there is no room for the tags then either: no more is removed.
    async fn make_room(
        &self,
        unkept: &BTreeMap<String, ImageError>,
        needed: &Needed,
        made_before: Timestamp,
        warnings: &mut Vec<String>,
    ) -> Result<usize, Outcome> {
        if unkept.is_empty() {
            return Ok(0);
        }
        let gone = self.images.remove_dangling_but(&needed.ids(), made_before).await?;
        let again: Vec<&String> = unkept.keys().collect();
        match self.keep(&again, needed, warnings).await?.into_values().next() {
            None => Ok(gone),
            Some(cause) => Err(Outcome::Error(format!(
                "{cause}; {} without a name are gone by now, and no more is removed, since that could take this one, too: make \
                 room on the file system of Docker's data root",
                images(gone)
            ))),
        }
    }

    /// Takes away tags that nothing needs, and that were given before this time. Gives how many those were.
    async fn let_go(
        &self,
        needless: impl Iterator<Item = &String>,
        kept_before: Timestamp,
        warnings: &mut Vec<String>,
    ) -> Result<usize, Outcome> {
        let mut let_go = 0;
        for id in needless {
            match self.images.let_go(id, kept_before).await {
                Ok(is_gone) => let_go += usize::from(is_gone),
                Err(cause) if cause.is_unreachable() => return Err(cause.into()),
                Err(cause) => warnings.push(format!("an image that nothing needs keeps its tag for now: {cause}")),
            }
        }
        Ok(let_go)
    }
}

fn gave_way(by: &str) -> String {
    format!("{by} has been at work for more than {} minutes; the next prune looks again", WITHIN.as_secs() / 60)
}

fn no_app(store: &Store, kept: usize) -> String {
    format!(
        "no app was ever at work in {}, and {} kept for some: is its disk mounted? Where nobody needs them, take their tags \
         away (docker image ls evenkeel/keep)",
        store.dir().display(),
        if kept == 1 { "1 image is".to_owned() } else { format!("{kept} images are") }
    )
}

fn gone(app: &AppName, reference: &str, id: &str) -> String {
    format!(
        "image {reference} of {app} ({id}) is not on this machine any more: without it {app} cannot be started again, or go \
         back, until it is fetched (docker pull)"
    )
}

fn images(count: usize) -> String {
    if count == 1 { "1 image".to_owned() } else { format!("{count} images") }
}

fn outcome(let_go: usize, made_room: usize, freed: &Freed) -> Outcome {
    let mut did = Vec::new();
    if let_go > 0 {
        did.push(format!("let go of {} that no release names any more", images(let_go)));
    }
    if made_room > 0 {
        did.push(format!("removed {} without a name to have room for a tag", images(made_room)));
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
        assert_eq!(outcome(0, 0, &Freed::default()), Outcome::Converged);
        let sentence = |let_go, images, bytes| outcome(let_go, 0, &Freed { images, bytes }).to_string();
        assert_eq!(sentence(0, 2, 3 << 20), "applied: removed 2 images without a name (3 MiB)");
        let made_room = outcome(0, 1, &Freed::default()).to_string();
        assert_eq!(made_room, "applied: removed 1 image without a name to have room for a tag");
        assert_eq!(
            sentence(1, 1, 1),
            "applied: let go of 1 image that no release names any more; removed 1 image without a name (1 MiB)"
        );
    }
}
