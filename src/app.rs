//! The order of one run for one app: lock, pause, what is open, read, choose the goal, converge, judge, record, upgrade.
//!
//! What a run may end with is in the states that it leaves: `installing` or `changing` is on disk before the first
//! write to the Engine, an upgrade's journal before each of its steps, and `current` is replaced only by what has passed
//! its gate. A run that was killed anywhere is therefore finished by the next one, which sees the same goal and an
//! emptier plan, or the journal.

mod approving;
mod asking;
mod builds;
pub mod by_hand;
pub mod canonical;
mod drone;
pub mod ends;
mod examine;
pub mod front;
mod gitea;
mod goal;
mod headroom;
mod images;
mod leaving;
mod live;
mod nights;
mod offering;
mod pausing;
mod performing;
mod place;
mod preflight;
mod previewing;
mod proxy;
pub mod pruning;
mod reading;
pub mod realm;
mod recorded;
pub mod resuming;
mod rounds;
pub mod runner_env;
mod standing;
pub mod telling;
pub mod transacting;
mod turn;
mod upgrading;
mod view;
mod warm_keycloak;
mod winding_up;
#[cfg(test)]
mod worlds;

use std::collections::BTreeMap;

use jiff::Timestamp;
use tracing::{Instrument, debug, error, error_span, info, warn};

use crate::config::{self, Declared, Resolve};
use crate::desired::SecretSource;
use crate::health;
use crate::host::images::Images;
use crate::host::images::auth::Auths;
use crate::host::progress::Progress;
use crate::host::recipes::Recipes;
use crate::host::store::{AppDir, Lock, Slot, Store};
use crate::host::swarm::Swarm;
use crate::model::app::Kind;
use crate::model::observed::Observed;
use crate::model::outcome::Outcome;
use crate::model::secret::HostKey;
use crate::model::state::{Attempt, Release, State};
use crate::plan::Plan;
use crate::reconcile::{Judged, Keeper, Reconciler, release};
use crate::telemetry;
use goal::{Aim, Goal};
use place::{Place, Sight};
use recorded::{recorded, was_canonical};
use telling::Report;
use upgrading::Target;
use view::{Sources, View};
use winding_up::End;

pub use approving::{Approved, approve, spend};
pub use examine::{Finding, declared_release, examine};
pub use leaving::start_upgrades;
pub use nights::note_good_night;
pub use pausing::{Unpaused, pause, paused, unpause};
pub use place::KnownOfEngine;
pub use previewing::{Coming, Preview, preview};
pub use reading::variables_of_files;
pub use standing::{Aside, Snapshot, Standing, standing};

/// The reconciler of an app.
///
/// # Errors
/// Why what is declared cannot be kept.
fn reconciler<'a>(
    declared: &'a Declared,
    store: &'a Store,
    app: &'a config::App,
) -> Result<Box<dyn Reconciler + 'a>, Outcome> {
    match app.kind {
        Kind::Proxy => Ok(Box::new(proxy::Proxy::new(declared, app))),
        Kind::App | Kind::Canonical => Ok(Box::new(live::Live::new(declared, store, app))),
        Kind::WarmKeycloak => Ok(Box::new(warm_keycloak::WarmKeycloak(live::Live::new(declared, store, app)))),
        Kind::Drone => Ok(Box::new(drone::Drone::new(live::Live::new(declared, store, app))?)),
    }
}

/// The world of one run.
pub struct Host {
    pub declared: Declared,
    pub swarm: Swarm,
    pub images: Images,
    pub auths: Auths,
    pub store: Store,
    pub recipes: Recipes,
    pub host_key: HostKey,
    pub known: KnownOfEngine,
}

impl Host {
    fn keeper<'a>(&'a self, app: &config::App, dir: &'a AppDir, state: &State, progress: &'a Progress) -> Keeper<'a> {
        Keeper {
            swarm: &self.swarm,
            images: &self.images,
            auths: &self.auths,
            dir,
            host_key: &self.host_key,
            resolve: app.resolve,
            images_before: state.current.as_ref().map(|current| release::references(&current.body)).unwrap_or_default(),
            progress,
            hidden: reading::variables_of_files(app),
            shared: Some(&self.declared.network),
            recorded: state.names_to_go_back_to(),
            image_ids: state.current.as_ref().map(|current| current.body.images.clone()).unwrap_or_default(),
        }
    }

    /// A keeper of what is recorded, whatever the configuration says by now.
    fn keeper_by_record<'a>(&'a self, dir: &'a AppDir, state: &State, progress: &'a Progress) -> Keeper<'a> {
        Keeper {
            swarm: &self.swarm,
            images: &self.images,
            auths: &self.auths,
            dir,
            host_key: &self.host_key,
            resolve: Resolve::Never,
            images_before: BTreeMap::new(),
            image_ids: state.current.as_ref().map(|current| current.body.images.clone()).unwrap_or_default(),
            hidden: None,
            shared: Some(&self.declared.network),
            recorded: state.names_to_go_back_to(),
            progress,
        }
    }

    fn view<'a>(
        &'a self,
        app: &'a config::App,
        reconciler: &'a dyn Reconciler,
        dir: &'a AppDir,
        state: &'a State,
        progress: &'a Progress,
    ) -> View<'a> {
        View {
            declared: &self.declared,
            recipes: &self.recipes,
            host_key: &self.host_key,
            progress,
            app,
            reconciler,
            dir,
            state,
        }
    }
}

/// What the operator asked for on the command line.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Try a configuration again that failed before.
    pub retry: bool,
    /// Do not look for new versions.
    pub no_upgrade: bool,
}

/// How a run ended for one app, and what it leaves to others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    pub outcome: Outcome,
    /// What is worth a word though it made the outcome no worse.
    pub warnings: Vec<String>,
    /// A pinned version is left to the unit that takes versions.
    pub leaves_version: bool,
    /// Whatever was found, it is known how the app stands.
    pub was_looked_at: bool,
}

/// Keeps one app as declared. Never fails: what went wrong is the outcome.
pub async fn keep(host: &Host, app: &config::App, options: Options, now: Timestamp) -> Kept {
    let work = async {
        let before = telling::before(&host.store, &app.name);
        let mut report = Report::default();
        let ended = match app.kind {
            Kind::Canonical => canonical::settle(host, app, now, &mut report).await,
            _ => turn::take(host, app, options, now, &mut report).await,
        };
        let outcome = ended.unwrap_or_else(|outcome| outcome);
        log(&outcome);
        telling::after(host, &app.name, before, &outcome, &report, now).await;
        // Nobody is kept from the app meanwhile.
        if report.stands && !report.gave_way {
            report.warnings.extend(asking::ask(host, app, options).await);
        }
        if telemetry::under_journal() {
            log_warnings(&report.warnings);
        }
        let was_looked_at = !report.gave_way && !matches!(outcome, Outcome::Error(_));
        Kept { outcome, warnings: report.warnings, leaves_version: report.leaves_version, was_looked_at }
    };
    work.instrument(error_span!("keep", app = %app.name)).await
}

/// The journal's version of the outcome line. A person has that line on stdout, and does not need it twice.
fn log(outcome: &Outcome) {
    match outcome.exit_code() {
        _ if !telemetry::under_journal() => debug!(outcome = outcome.word(), "{}", outcome.sentence()),
        0 => info!(outcome = outcome.word(), "{outcome}"),
        10 | 11 => warn!(outcome = outcome.word(), "{outcome}"),
        _ => error!(outcome = outcome.word(), "{outcome}"),
    }
}

fn log_warnings(warnings: &[String]) {
    warnings.iter().for_each(|warning| warn!("{warning}"));
}

fn started_by_systemd() -> bool {
    std::env::var_os("INVOCATION_ID").is_some()
}

/// One app's run, its lock held.
struct Run<'a> {
    host: &'a Host,
    app: &'a config::App,
    reconciler: Box<dyn Reconciler + 'a>,
    dir: AppDir,
    lock: Lock,
    /// Held from when something is finished or begun until the run ends.
    slot: Option<Slot>,
    state: State,
    progress: Progress,
    options: Options,
    now: Timestamp,
    /// What is told beside the outcome.
    report: Report,
}

impl<'a> Run<'a> {
    fn begin(
        host: &'a Host,
        app: &'a config::App,
        dir: AppDir,
        lock: Lock,
        slot: Option<Slot>,
        options: Options,
        now: Timestamp,
    ) -> Result<Self, Outcome> {
        let reconciler = reconciler(&host.declared, &host.store, app)?;
        let state = recorded(app, &dir)?;
        if state.warm.is_some() && app.kind != Kind::Canonical {
            return Err(Outcome::Blocked(was_canonical(app, &dir)));
        }
        let progress = Progress::new(app.name.as_str());
        let report = Report::default();
        Ok(Self { host, app, reconciler, dir, lock, slot, state, progress, options, now, report })
    }

    fn view(&self) -> View<'_> {
        self.host.view(self.app, &*self.reconciler, &self.dir, &self.state, &self.progress)
    }

    fn keeper(&self) -> Keeper<'_> {
        self.host.keeper(self.app, &self.dir, &self.state, &self.progress)
    }

    /// Makes the goal run, but for a change that has to be an upgrade: that one is given.
    async fn reach_goal(
        &mut self,
        sight: &Sight,
        sources: &Result<Sources, Outcome>,
    ) -> Result<(Outcome, Option<Target>), Outcome> {
        let Sight { observed, place } = sight;
        let view = self.view();
        let goal = view.goal(observed, sources.as_ref().map_err(Clone::clone), self.options, self.now)?;
        let (mut goal, mut plan) = view.planned(goal, &self.keeper(), observed, self.options).await?;
        let change = goal.change.take();
        plan.notes.extend(place.told.clone());
        // What a recipe does not say well is told when it is taken, not each night.
        if goal.aim != Aim::Keep && goal.warnings() > 0 {
            info!(warnings = goal.warnings(), "the recipe has warnings; `evenkeel check` tells them");
        }
        for note in &plan.notes {
            warn!("{note}");
        }
        if let Some(failed) = &goal.failed {
            return Ok((self.look_again(&goal, &plan, observed, failed).await?, None));
        }
        if plan.is_empty() && goal.aim == Aim::Keep {
            self.forget_failure(&goal)?;
            let gate = match self.options.no_upgrade {
                true => self.reconciler.gate(&goal.desired).without_questions(),
                false => self.reconciler.gate(&goal.desired),
            };
            let judged = self.keeper().glance(&plan.desired, observed, &gate).await?;
            if judged == Judged::Healthy || !self.options.retry {
                self.remember(&judged, place).await?;
                return Ok((goal::ended(judged, Outcome::Converged, goal.instead), change));
            }
        }
        let (goal, plan) = match self.stays_with_its_data(&goal, &plan, observed).await {
            Ok(()) => (goal, plan),
            Err(in_the_way) => self.back_to_what_runs(in_the_way, observed).await?,
        };
        Ok((self.go(goal, plan, observed, place).await?, change))
    }

    /// Makes the changes, and what follows from the verdict.
    async fn go(&mut self, goal: Goal, plan: Plan, observed: &Observed, place: &Place) -> Result<Outcome, Outcome> {
        let is_adopted = self.state.installing.is_none() && !observed.services.is_empty();
        let (goal, plan, mut notes) = self.with_images(goal, plan, observed).await?;
        notes.extend(place.told.clone());
        for tight in self.host.tight_networks(&plan).await {
            warn!("{tight}");
        }
        self.announce(&goal)?;
        match self.carry_out(&plan, observed).await? {
            Judged::Healthy => {
                self.commit(&goal, &plan).await?;
                self.remember(&Judged::Healthy, place).await?;
                self.keeper().clean(&plan).await?;
                let word = goal::word(goal.aim, is_adopted);
                Ok(goal::ended(Judged::Healthy, goal::applied(word, &goal.revision, &plan, &notes), goal.instead))
            }
            Judged::Unhealthy(reason) => {
                let reason = self.host.with_headroom(reason, &plan.desired).await;
                self.failed(goal, self.told_of_moved_tags(&plan, reason)).await
            }
        }
    }

    async fn carry_out(&self, plan: &Plan, observed: &Observed) -> Result<Judged, Outcome> {
        let keeper = self.keeper();
        let mut applied = keeper.apply(&self.lock, plan, observed).await?;
        if self.options.retry {
            keeper.restart_failing(&plan.desired, observed, &mut applied).await?;
        }
        applied.images = keeper.images_to_run(plan).await?;
        keeper.judge(&plan.desired, &applied, &self.reconciler.gate(&plan.desired)).await
    }

    /// A first install that failed: it may have come up by itself since; nothing is written to the Engine.
    async fn look_again(
        &mut self,
        goal: &Goal,
        plan: &Plan,
        observed: &Observed,
        failed: &str,
    ) -> Result<Outcome, Outcome> {
        let gate = self.reconciler.gate(&plan.desired);
        let keeper = self.keeper();
        let mut came_up = plan.is_empty() && keeper.is_healthy_now(&plan.desired, observed, &gate).await;
        // What has only just come up is watched; what lies there for reading is not waited for.
        if !came_up && plan.is_empty() && health::every_service_runs(observed) {
            came_up = keeper.glance(&plan.desired, observed, &gate).await == Ok(Judged::Healthy);
        }
        if !came_up {
            return Ok(Outcome::Unhealthy(failed.to_owned()));
        }
        self.commit(goal, plan).await?;
        Ok(Outcome::Applied(format!("{} has come up by itself after its first install had failed", goal.revision)))
    }

    /// Says on disk what is about to be made, before it is.
    fn announce(&mut self, goal: &Goal) -> Result<(), Outcome> {
        let attempt = Attempt {
            revision: goal.revision.clone(),
            key: goal.key.clone(),
            since: self.now.to_string(),
            failed: None,
        };
        match goal.aim {
            Aim::Keep => return Ok(()),
            Aim::Install => self.state.installing = Some(attempt),
            Aim::Change => self.state.changing = Some(attempt),
        }
        Ok(self.dir.write_state(&self.lock, &self.state)?)
    }

    /// The configuration is again what runs: a failed one between is old news.
    fn forget_failure(&mut self, goal: &Goal) -> Result<(), Outcome> {
        if self.state.changing.is_none() || goal.read.is_none() {
            return Ok(());
        }
        self.state.changing = None;
        Ok(self.dir.write_state(&self.lock, &self.state)?)
    }

    /// Makes the goal the current release: it passed its gate.
    async fn commit(&mut self, goal: &Goal, plan: &Plan) -> Result<(), Outcome> {
        let Some(read) = &goal.read else { return Ok(()) };
        if goal.aim == Aim::Keep && self.state.changing.is_none() {
            return Ok(());
        }
        for secret in &plan.desired.secrets {
            if let SecretSource::Bytes(bytes) = &secret.source {
                self.dir.keep_secret(&self.lock, &secret.name, bytes)?;
            }
        }
        let desired = self.as_it_runs(plan).await?;
        let images = self.host.images.ids(&release::images(&desired)).await?;
        let images = release::with_names_of(images, self.state.current.as_ref().map(|current| &current.body));
        let body = release::body(&desired, goal.revision.clone(), images);
        self.note_place().await?;
        let before = self.needed_images();
        self.state.current =
            Some(Release { body, key: read.key.clone(), since: Timestamp::now().to_string(), snapshot: None });
        (self.state.installing, self.state.changing) = (None, None);
        self.state.frozen = read.frozen.clone();
        self.dir.write_state(&self.lock, &self.state)?;
        winding_up::follow(&End {
            declared: &self.host.declared,
            app: &self.app.name,
            dir: &self.dir,
            lock: &self.lock,
        });
        self.keep_images(&before).await;
        Ok(())
    }

    /// The gate said no. A first install stays for reading; a change goes back to what ran before.
    async fn failed(&mut self, goal: Goal, reason: String) -> Result<Outcome, Outcome> {
        let attempt = match goal.aim {
            Aim::Keep => {
                return Ok(Outcome::Unhealthy(format!("{reason}; it was repaired as declared and does not come up")));
            }
            Aim::Install => &mut self.state.installing,
            Aim::Change => &mut self.state.changing,
        };
        attempt.iter_mut().for_each(|attempt| attempt.failed = Some(reason.clone()));
        self.dir.write_state(&self.lock, &self.state)?;
        match goal.aim {
            Aim::Change => self.put_back(&reason).await,
            Aim::Install | Aim::Keep => Ok(Outcome::Unhealthy(goal::failed_install(&goal.revision, &reason))),
        }
    }

    /// Makes the current release run again after a change that failed.
    async fn put_back(&self, reason: &str) -> Result<Outcome, Outcome> {
        warn!(cause = reason, "the change is undone");
        self.make_current_run(reason).await.map_err(|in_the_way| match in_the_way {
            Outcome::Blocked(why) => Outcome::Unhealthy(goal::not_put_back(reason, &why)),
            other => Outcome::Error(goal::not_put_back(reason, other.sentence())),
        })
    }

    async fn make_current_run(&self, reason: &str) -> Result<Outcome, Outcome> {
        let goal = self.view().stay(Outcome::Unhealthy(goal::failed_change(reason)))?;
        let observed = self.host.swarm.observe(&self.app.stack).await?;
        let mut plan = self.keeper().plan(&observed, &goal.desired).await?;
        self.keeper().fetch_images(&mut plan).await?;
        match self.carry_out(&plan, &observed).await? {
            Judged::Healthy => {
                self.keeper().clean(&plan).await?;
                Ok(Outcome::Unhealthy(goal::failed_change(reason)))
            }
            Judged::Unhealthy(again) => Ok(Outcome::Unhealthy(format!(
                "the change of configuration failed: {reason}; the previous configuration was put back and does not come \
                 up either: {again}"
            ))),
        }
    }
}
