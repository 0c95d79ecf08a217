//! The sweep: every enrolled recipe in turn, its newest allowed version cold, and then its promote.
//!
//! The border: what is due, and how a sweep ends, is decided in `policy::sweep`. The surprise: nothing that is told to have
//! been done is believed. A row says that a known-good was made where the state on disk names it with a sealed snapshot.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use tracing::{Instrument, error_span, info, warn};

use super::super::reading::{Given, OfKind};
use super::super::telling::{self, Report};
use super::super::view::Fetch;
use super::super::{Host, approving, pausing, pruning, reconciler, resuming};
use super::cold::{Cold, Shown};
use super::ended::{Ended, has_known_good, known_good, outcome_of};
use super::settling::settle_within;
use super::{Ask, Proof, grant_within, reaping};
use crate::config;
use crate::host::ending::Ending;
use crate::host::progress::Progress;
use crate::host::recipes::Freshness;
use crate::host::store::{Lock, LockAttempt, Slot};
use crate::host::who::who;
use crate::model::kept::KeptError;
use crate::model::outcome::Outcome;
use crate::model::state::{Refused, Release, State};
use crate::model::sweep::{Before, Done, KnownGood, Row, Stands, Sweep, ThrowAway, Working};
use crate::model::version::Revision;
use crate::model::warm::Status;
use crate::policy::Published;
use crate::policy::promotion::{self, Verified};
use crate::policy::sweep::{self, Asked, Due, Known, Offered};
use crate::reconcile::release;
use crate::upgrade::told::{HeldBack, turned_down};

/// How a sweep has ended.
#[derive(Debug)]
pub struct Swept {
    pub sweep: Sweep,
    /// The recipes that it was about.
    pub recipes: BTreeSet<String>,
    /// What a person should know besides.
    pub warnings: Vec<String>,
}

/// Sweeps these canonicals; `named` are those that were asked for by name, none where all are meant.
///
/// # Errors
/// Why the sweep was not begun, or was broken off; what it did until then is not done again.
pub async fn sweep(host: &Host, apps: &[&config::App], named: &[String], now: Timestamp) -> Result<Swept, Outcome> {
    let lock = match host.store.sweeps().lock()? {
        LockAttempt::Taken(lock) => lock,
        LockAttempt::Held { by } => {
            return Err(Outcome::Waiting(format!("{by} sweeps already, and nothing was done beside it")));
        }
    };
    let progress = Progress::new("sweep");
    let slot = host.store.slot_waiting(|by| {
        warn!("{by} has the run slot; waiting for it to end");
        progress.waiting_for(&format!("the run slot, which {by} has"));
    });
    let slot = slot.await?;
    drop(progress);
    // Nobody else can finish them while the slot is held for a whole sweep; whoever had it until now may have been killed.
    for (app, outcome) in resuming::resume_within(host, &slot, now).await {
        info!(%app, outcome = outcome.word(), "it was open");
    }
    let mut sweeper = Sweeper::begin(host, apps, named, lock, slot, now).await?;
    sweeper.sweep().await?;
    let Sweeper { sweep, recipes, warnings, .. } = sweeper;
    Ok(Swept { sweep, recipes, warnings })
}

/// A sweep under way.
struct Sweeper<'a> {
    host: &'a Host,
    apps: &'a [&'a config::App],
    recipes: BTreeSet<String>,
    lock: Lock,
    slot: Slot,
    ending: Ending,
    sweep: Sweep,
    warnings: Vec<String>,
}

impl<'a> Sweeper<'a> {
    async fn begin(
        host: &'a Host,
        apps: &'a [&'a config::App],
        named: &[String],
        lock: Lock,
        slot: Slot,
        now: Timestamp,
    ) -> Result<Self, Outcome> {
        let mut warnings = Vec::new();
        let before = match host.store.read_sweep()? {
            Some(Err(damage @ KeptError::Newer { .. })) => {
                return Err(Outcome::Error(format!("sweep.json: {damage}: run that one")));
            }
            Some(Err(damage)) => {
                warnings.push(format!("sweep.json is damaged ({damage}), so the sweep begins anew"));
                None
            }
            Some(Ok(before)) => Some(before),
            None => None,
        };
        let recipes: BTreeSet<String> = apps.iter().map(|app| app.name.to_string()).collect();
        let sweep = sweep::begin(before.as_ref(), Asked { named, recipes: &recipes, by: &who(), now });
        match sweep.rows().count() {
            0 => info!(recipes = recipes.len(), "a sweep begins"),
            done => info!(recipes = recipes.len(), done, "a sweep that was cut short goes on"),
        }
        let mut sweeper = Self { host, apps, recipes, lock, slot, ending: Ending::listen()?, sweep, warnings };
        sweeper.clear_up(before.iter().flat_map(Sweep::throw_aways).cloned().collect(), now).await;
        sweeper.write()?;
        Ok(sweeper)
    }

    /// What the sweep before this one left is known to be nobody's; the rest goes when its time is over.
    async fn clear_up(&mut self, left: Vec<ThrowAway>, now: Timestamp) {
        for throw_away in left {
            if let Err(cause) = reaping::remove_if_dead(self.host, &throw_away).await {
                let (stack, cause) = (&throw_away.stack, cause.sentence());
                self.warnings.push(format!("throw-away stack {stack} of a dead run could not be removed: {cause}"));
            }
        }
        match reaping::reap(self.host, now).await {
            Ok(reaped) => self.warnings.extend(reaped.left),
            Err(cause) => self.warnings.push(cause.sentence().to_owned()),
        }
    }

    fn write(&self) -> Result<(), Outcome> {
        Ok(self.host.store.write_sweep(&self.lock, &self.sweep)?)
    }

    fn stands(&mut self, name: &str, stands: Stands) -> Result<(), Outcome> {
        self.sweep = self.sweep.clone().with(name, stands);
        self.write()
    }

    async fn sweep(&mut self) -> Result<(), Outcome> {
        while let Some(recipe) = self.sweep.next().cloned() {
            if self.ending.is_asked() {
                return Err(asked_to_end());
            }
            let now = Timestamp::now();
            let mut stands = sweep::take_up(&recipe.stands, now);
            if let Stands::Working(working) = &mut stands {
                let app = self.apps.iter().find(|app| app.name.as_str() == recipe.name);
                let known = app.and_then(|app| known_good(self.host, app));
                working.before.get_or_insert(known.map_or(Before::Nothing, Before::Good));
            }
            self.stands(&recipe.name, stands.clone())?;
            if let Stands::Working(working) = stands {
                self.take_turn(&recipe.name, working, now).await?;
            }
            self.stop_if_full(now).await?;
        }
        self.sweep.ended = Some(Timestamp::now());
        self.write()
    }

    async fn take_turn(&mut self, name: &str, working: Working, now: Timestamp) -> Result<(), Outcome> {
        let Some(app) = self.apps.iter().copied().find(|app| app.name.as_str() == name) else { return Ok(()) };
        let turn = Turn { sweeper: self, app, working, now };
        let row = turn.row().instrument(error_span!("sweep", app = %app.name)).await;
        // Nothing was found out, and whoever goes on begins here.
        if self.ending.is_asked() && !row.result.is_work() {
            return Err(asked_to_end());
        }
        info!(app = %app.name, result = row.result.word(), "its turn is over");
        self.stands(name, Stands::Done(row))
    }

    /// Looks at the disks after each recipe; a full one ends the sweep, and what is left says so.
    async fn stop_if_full(&mut self, now: Timestamp) -> Result<(), Outcome> {
        let Host { declared, store, swarm, .. } = self.host;
        let (_, told) = pruning::watch_disks(declared, store, Some(swarm.engine()), now).await;
        if let Err(cause) = told {
            self.warnings.push(format!("no alert of a disk that is low could be written: {cause:#}"));
        }
        telling::recount(store);
        let low = pruning::low_disks(declared, store, swarm).await;
        if low.is_empty() || self.sweep.next().is_none() {
            return Ok(());
        }
        let why = format!("the sweep was stopped: {}", low.join("; "));
        warn!("{why}");
        self.sweep = sweep::stopped(self.sweep.clone(), &why, now);
        self.write()
    }
}

fn asked_to_end() -> Outcome {
    Outcome::Waiting("the sweep was asked to end, and the next one goes on with it".to_owned())
}

/// One recipe's turn.
struct Turn<'a, 'b> {
    sweeper: &'a mut Sweeper<'b>,
    app: &'b config::App,
    working: Working,
    now: Timestamp,
}

impl Turn<'_, '_> {
    /// What was done about the recipe. Whatever goes wrong is the row.
    async fn row(mut self) -> Row {
        let before = match &self.working.before {
            Some(Before::Good(known)) => Some(known.clone()),
            Some(Before::Nothing) | None => None,
        };
        let from = before.as_ref().map(|known| known.revision.to_string());
        let ended = self.ended(before.clone()).await.unwrap_or_else(Ended::from);
        let Ended { result, to, why } = self.with_what_was_finished(ended, before);
        let to = to.map(|to| to.to_string()).filter(|to| from.as_ref() != Some(to));
        Row { result, from, to, why, ts: Timestamp::now() }
    }

    /// What a killed sweep had begun, and another run has finished since, was done by the sweep.
    fn with_what_was_finished(&self, ended: Ended, before: Option<KnownGood>) -> Ended {
        let Some(after) = self.known_good().filter(|_| ended.result == Done::Unchanged) else { return ended };
        let result = match before {
            None => Done::Seeded,
            Some(before) if before.revision != after.revision => Done::Promoted,
            Some(_) => return ended,
        };
        Ended { to: Some(after.revision), ..Ended::of(result, ended.why) }
    }

    async fn ended(&mut self, before: Option<KnownGood>) -> Result<Ended, Outcome> {
        let host = self.sweeper.host;
        let dir = host.store.app(&self.app.name);
        if let Some(pause) = pausing::paused(&dir, &self.app.name, self.now)? {
            return Ok(Ended::of(Done::LeftAlone, pause.sentence(&self.app.name, self.now)));
        }
        self.finish_what_is_open().await?;
        let state = dir.read_state()?;
        let Some(state) = state.filter(has_known_good) else {
            return self.seed(before).await;
        };
        let known = state.current.as_ref().map_or(Known::Nothing, |current| Known::Good(&current.body.revision));
        let (mut offered, report, stale) = self.offered(&state).await?;
        if let (Offered::Nothing, Some(current)) = (&offered, &state.current)
            && self.is_configured_otherwise(&state, current).await?
        {
            offered = Offered::Version(current.body.revision.clone());
        }
        if let (Offered::Nothing, Some(why)) = (&offered, stale) {
            let blind = Outcome::Error(format!(
                "whether there is a newer version cannot be told: {why}; the next sweep asks again"
            ));
            self.tell(&blind, &Report::default()).await;
            return Err(blind);
        }
        match sweep::due(known, offered.clone()) {
            Due::Seed => self.seed(before).await,
            Due::Promote(revision) => self.promote(revision, before).await,
            Due::Nothing(done, why) => {
                self.tell(&outcome_of(&offered), &report).await;
                let to = report.held.map(|held| held.target);
                Ok(Ended { to, ..Ended::of(done, why) })
            }
        }
    }

    /// What a killed run left open, and what is really there, decide what the known-good is.
    async fn finish_what_is_open(&self) -> Result<(), Outcome> {
        let Sweeper { host, slot, .. } = &*self.sweeper;
        let dir = host.store.app(&self.app.name);
        if dir.read_state()?.is_none() {
            return Ok(());
        }
        let settled = settle_within(host, self.app, slot, self.now).await;
        let status = dir.read_state()?.and_then(|state| state.warm).map(|warm| warm.status);
        match settled {
            // What is lost, or was a seed that is undone, is seeded now.
            _ if matches!(status, None | Some(Status::Lost)) => Ok(()),
            // What had been broken off and is undone was told.
            outcome if matches!(outcome.exit_code(), 0 | 11) => Ok(()),
            outcome => Err(outcome),
        }
    }

    /// What the policy says of the versions in front of the known-good, and why none of them is new where the recipe's
    /// remote has not answered.
    async fn offered(&self, state: &State) -> Result<(Offered, Report, Option<String>), Outcome> {
        let host = self.sweeper.host;
        let dir = host.store.app(&self.app.name);
        let reconciler = reconciler(&host.declared, &host.store, self.app)?;
        let progress = Progress::new(self.app.name.as_str());
        let view = host.view(self.app, &*reconciler, &dir, state, &progress);
        let offer = async {
            let stale = match view.mirror().fetch(self.now).await? {
                Freshness::Stale { why } => Some(why),
                Freshness::Fresh => None,
            };
            let sources = view.sources(Fetch::IfMissing, self.now).await?;
            let observed = host.swarm.observe(&self.app.stack).await?;
            Ok((view.offer(&sources, &observed, &host.images, self.now).await?, stale))
        };
        let (mut offer, stale) = match offer.await {
            Ok(offered) => offered,
            Err(outcome) => {
                self.tell(&outcome, &Report::default()).await;
                return Err(outcome);
            }
        };
        let held = offer.hold.take().map(|hold| HeldBack {
            reason: hold.reason(),
            release_notes: hold.notes.told(),
            target: hold.target,
        });
        let report = Report { looked: true, held, ..Report::default() };
        let offered = match (offer.target, offer.told) {
            (Some(target), _) => Offered::Version(target.revision),
            (None, Some(Outcome::Held(why))) => Offered::Held(why),
            (None, Some(Outcome::Waiting(why))) => Offered::Later(why),
            (None, Some(Outcome::Blocked(why))) => Offered::Blocked(why),
            (None, _) => Offered::Nothing,
        };
        Ok((offered, report, stale))
    }

    /// Whether the known-good was made under another configuration, and this one has not failed already.
    async fn is_configured_otherwise(&self, state: &State, current: &Release) -> Result<bool, Outcome> {
        let revision = &current.body.revision;
        if revision.version.is_none() {
            return Ok(false);
        }
        let (key, _) = self.tried(state, revision).await?;
        let has_failed = state.refused.iter().any(|refused| refused.revision == *revision && refused.key == key);
        Ok(key != current.key && !has_failed)
    }

    async fn seed(&self, before: Option<KnownGood>) -> Result<Ended, Outcome> {
        let Sweeper { host, slot, .. } = &*self.sweeper;
        let outcome = grant_within(host, self.app, &Ask::Seed(None), slot, self.now).await;
        self.believed(outcome, Done::Seeded, before)
    }

    /// First cold, beside everything; then in the place of the known-good.
    async fn promote(&mut self, revision: Revision, before: Option<KnownGood>) -> Result<Ended, Outcome> {
        let to = Some(revision.clone());
        let ended = match self.cold(&revision).await {
            Ok(Shown::Green) => {
                let Sweeper { host, slot, .. } = &*self.sweeper;
                let outcome = match self.verified(revision.clone()).await {
                    Ok(verified) => {
                        let ask = Ask::Promote(Proof::Verified(verified));
                        grant_within(host, self.app, &ask, slot, self.now).await
                    }
                    Err(outcome) => outcome,
                };
                // Where nothing can be said of it, the next sweep tries it, and needs the approval.
                if matches!(outcome, Outcome::Upgraded(_) | Outcome::RolledBack(_)) {
                    self.spend(&revision);
                }
                self.believed(outcome, Done::Promoted, before)
            }
            Ok(Shown::Red(why)) => Ok(Ended::of(Done::Refused, why)),
            Err(outcome) => {
                self.tell(&outcome, &Report::default()).await;
                Err(outcome)
            }
        };
        Ok(Ended { to, ..ended.unwrap_or_else(Ended::from) })
    }

    /// What a green cold run has shown, by the same predicate as anybody's.
    async fn verified(&self, revision: Revision) -> Result<Verified, Outcome> {
        let recipe = &self.app.recipe;
        let mirror = self.sweeper.host.recipes.mirror(&recipe.url, recipe.credentials.as_deref());
        let published = mirror.published().await?;
        let published = Published { versions: published.versions, head: published.head, named: None };
        let claim = promotion::claim_by_hand(self.app.kind, (true, true), &revision, &published);
        Verified::new(claim, revision.clone()).map_err(|refusals| super::ends::not_proved(&revision, &refusals))
    }

    async fn cold(&mut self, revision: &Revision) -> Result<Shown, Outcome> {
        if revision.version.is_none() {
            return Err(super::ends::untagged(revision));
        }
        let host = self.sweeper.host;
        let cold = Cold::prepare(host, self.app, revision, &self.sweeper.slot, self.now)?;
        // Written down before anything of it is made.
        self.working.throw_away = Some(cold.throw_away());
        self.sweeper.stands(self.app.name.as_str(), Stands::Working(self.working.clone()))?;
        let ending = self.sweeper.ending.clone();
        let run = cold.throw_away().run;
        let shown = cold.run(&ending).await?;
        if let Shown::Red(why) = &shown {
            warn!(to = %revision, cause = why.as_str(), "the cold run is red");
            self.spend(revision);
            self.refuse(revision, why, &run).await?;
            let told = format!("{revision} failed its gate on a throw-away domain: {why}");
            self.tell(&Outcome::RolledBack(told), &Report { looked: true, ..Report::default() }).await;
        }
        Ok(shown)
    }

    /// An approval counts once, whatever the verdict is: what is red would be tried again with it.
    fn spend(&self, revision: &Revision) {
        approving::spend_or_warn(&self.sweeper.host.store, &self.app.name, revision, Timestamp::now());
    }

    /// Has it not be tried again by itself, and told.
    async fn refuse(&self, revision: &Revision, why: &str, run: &str) -> Result<(), Outcome> {
        let host = self.sweeper.host;
        let dir = host.store.app(&self.app.name);
        let lock = dir.lock_waiting(|by| warn!("waiting for {by} to end")).await?;
        let Some(mut state) = dir.read_state()? else { return Ok(()) };
        let (key, images) = self.tried(&state, revision).await?;
        let now = Timestamp::now();
        turned_down(&mut state, revision, why, run, now);
        state.refused.retain(|refused| refused.revision != *revision);
        let (revision, reason) = (revision.clone(), why.to_owned());
        state.refused.push(Refused { revision, key, images, reason, ts: now, by_hand: false });
        Ok(dir.write_state(&lock, &state)?)
    }

    /// The release as the canonical would have it: its key, and its images on this host.
    async fn tried(&self, state: &State, revision: &Revision) -> Result<(String, BTreeMap<String, String>), Outcome> {
        let host = self.sweeper.host;
        let dir = host.store.app(&self.app.name);
        let reconciler = reconciler(&host.declared, &host.store, self.app)?;
        let progress = Progress::new(self.app.name.as_str());
        let anew = State { current: None, ..state.clone() };
        let view = host.view(self.app, &*reconciler, &dir, &anew, &progress);
        let given = Given::gather(self.app, OfKind::new(&*reconciler));
        let given = given.map_err(|wrong| Outcome::Blocked(wrong.join("; ")))?;
        let observed = host.swarm.observe(&self.app.stack).await?;
        let lives = |name: &str, bytes: &_| view.lives(&observed, name, bytes);
        let tree = view.mirror().tree(&revision.commit).await?;
        let read = view.read_at(&given, &tree, revision, &lives, self.now).map_err(|refused| refused.outcome)?;
        let images = host.images.ids(&release::images(&read.desired)).await?;
        Ok((read.key, images))
    }

    async fn tell(&self, outcome: &Outcome, report: &Report) {
        let host = self.sweeper.host;
        let before = telling::before(&host.store, &self.app.name);
        telling::after(host, &self.app.name, before, outcome, report, self.now).await;
    }

    /// The row for how it ended, held against what is on disk.
    fn believed(&self, outcome: Outcome, done: Done, before: Option<KnownGood>) -> Result<Ended, Outcome> {
        let after = self.known_good();
        let has_changed = after.is_some() && after != before;
        let to = after.map(|known| known.revision);
        match outcome {
            Outcome::Applied(_) | Outcome::Upgraded(_) if has_changed => {
                Ok(Ended { to, ..Ended::of(done, String::new()) })
            }
            Outcome::Converged => Ok(Ended { to, ..Ended::of(Done::Unchanged, String::new()) }),
            Outcome::Applied(told) | Outcome::Upgraded(told) => Err(Outcome::Error(format!(
                "it was told to be done ({told}), and no new known-good with a sealed snapshot is recorded; \
                 `evenkeel status {}` tells how it stands",
                self.app.name
            ))),
            other => Err(other),
        }
    }

    /// What is on disk by now.
    fn known_good(&self) -> Option<KnownGood> {
        known_good(self.sweeper.host, self.app)
    }
}
