//! A cold run: one release of a canonical's recipe on a throw-away domain, for the verdict alone.
//!
//! It is deployed as the canonical would be, with its table, and everything of it carries the run that made it. The border:
//! what follows from the verdict is the sweep's matter. The surprise: nothing of it is ever in the canonical's folder, and
//! whatever the verdict is, or where there is none, all of it is removed before this returns.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::timeout;
use tracing::{info, warn};

use super::super::reading::{Given, OfKind};
use super::super::view::View;
use super::super::{Host, reconciler};
use crate::config;
use crate::desired::{self, Desired};
use crate::host::ending::Ending;
use crate::host::progress::Progress;
use crate::host::store::{AppDir, Lock, LockAttempt, Slot, random};
use crate::host::swarm::NAMESPACE;
use crate::model::app::Domain;
use crate::model::outcome::Outcome;
use crate::model::state::State;
use crate::model::sweep::ThrowAway;
use crate::model::throw_away::{Mark, RUN};
use crate::model::version::Revision;
use crate::plan::Plan;
use crate::reconcile::{Gate, Judged, Keeper, Reconciler};
use crate::upgrade::on_host::without_data;
use crate::upgrade::volumes::is_left_out;

/// So long images may take to come.
const FETCH: Duration = Duration::from_secs(60 * 60);
/// So long the Engine may take to be told of a stack, beside the gate's own time.
const TELL: Duration = Duration::from_secs(5 * 60);
/// What is left is taken for left behind so long after the end that the run's bounds allow.
const SPARE: Duration = Duration::from_secs(15 * 60);
/// Six hex digits are few; a folder of that name may be another run's.
const TRIES: usize = 8;

/// What a cold run has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shown {
    Green,
    /// The gate said no, for this reason.
    Red(String),
}

/// A release, on a domain that nobody has.
pub(super) struct Cold<'a> {
    host: &'a Host,
    /// The canonical's table, with the throw-away domain.
    app: config::App,
    revision: &'a Revision,
    dir: AppDir,
    lock: Lock,
    mark: Mark,
    progress: Progress,
    now: Timestamp,
}

impl<'a> Cold<'a> {
    /// Has a domain and a mark; nothing is on the Engine yet.
    ///
    /// # Errors
    /// When the domain has no room for a name, or the state directory cannot be written.
    pub fn prepare(
        host: &'a Host,
        canonical: &config::App,
        revision: &'a Revision,
        _slot: &Slot,
        now: Timestamp,
    ) -> Result<Self, Outcome> {
        let (domain, dir, lock) = place(host, canonical)?;
        let stack = domain.stack().map_err(|error| Outcome::Blocked(error.to_string()))?;
        let bound = FETCH + TELL + canonical.gate.within + SPARE;
        let expires = now.saturating_add(SignedDuration::try_from(bound).unwrap_or(SignedDuration::MAX));
        let mark = Mark::new(&stack, expires.unwrap_or(Timestamp::MAX), &host.host_key, &mut random);
        let app = config::App { domain, stack, ..canonical.clone() };
        let progress = Progress::new(canonical.name.as_str());
        Ok(Self { host, app, revision, dir, lock, mark, progress, now })
    }

    /// As the sweep's progress names it.
    pub fn throw_away(&self) -> ThrowAway {
        let config::App { domain, stack, .. } = &self.app;
        ThrowAway { domain: domain.clone(), stack: stack.clone(), run: self.mark.run().to_owned() }
    }

    /// Deploys it, judges it and removes it. What hangs is ended in time.
    ///
    /// # Errors
    /// When nothing can be said of the release.
    pub async fn run(self, ending: &Ending) -> Result<Shown, Outcome> {
        info!(domain = %self.app.domain, to = %self.revision, "a cold run begins");
        let shown = tokio::select! {
            shown = self.shown() => shown,
            () = ending.asked() => Err(Outcome::Waiting("this run was asked to end".to_owned())),
        };
        self.remove().await;
        shown
    }

    async fn shown(&self) -> Result<Shown, Outcome> {
        let state = State::new(&self.app.stack);
        let reconciler = reconciler(&self.host.declared, &self.host.store, &self.app)?;
        let view = self.host.view(&self.app, &*reconciler, &self.dir, &state, &self.progress);
        let desired = self.desired(&view).await?;
        let keeper = self.host.keeper(&self.app, &self.dir, &state, &self.progress);
        self.judged(&keeper, desired, &*reconciler).await
    }

    /// The release as it will be deployed, marked.
    async fn desired(&self, view: &View<'_>) -> Result<Desired, Outcome> {
        view.reconciler.preflight(self.now).map_err(Outcome::Blocked)?;
        let given = Given::gather(&self.app, OfKind::new(view.reconciler));
        let given = given.map_err(|wrong| Outcome::Blocked(wrong.join("; ")))?;
        let tree = view.mirror().tree(&self.revision.commit).await?;
        let read = view.read_at(&given, &tree, self.revision, &|_, _| false, self.now);
        let mut desired = read.map_err(|refused| refused.outcome)?.desired;
        self.writes_to_nobody_elses(&desired).await?;
        desired::mark(&mut desired, &self.mark.labels());
        Ok(desired)
    }

    /// A volume with a name of its own is the canonical's, too, and its data must not be a throw-away stack's.
    async fn writes_to_nobody_elses(&self, desired: &Desired) -> Result<(), Outcome> {
        let specs: Vec<_> = desired.services.iter().map(|service| &service.spec).collect();
        let without_data = without_data(&specs).await;
        let left_out = self.app.snapshot.left_out();
        let is_meant = |name: &String| without_data.contains(name) || is_left_out(&self.app.stack, &left_out, name);
        let shared: Vec<String> = desired::shared_data(desired).into_iter().filter(|name| !is_meant(name)).collect();
        if shared.is_empty() {
            return Ok(());
        }
        Err(Outcome::Blocked(format!(
            "{} cannot be run on a throw-away domain: it would write to {}, which would be the canonical's, too: let the recipe \
             give volumes no name of their own, or name it in snapshot.external where nobody's data is in it",
            self.revision,
            shared.join(", ")
        )))
    }

    async fn judged(
        &self,
        keeper: &Keeper<'_>,
        desired: Desired,
        reconciler: &dyn Reconciler,
    ) -> Result<Shown, Outcome> {
        let observed = self.host.swarm.observe(&self.app.stack).await?;
        let mut plan = keeper.plan(&observed, &desired).await?;
        let fetched = timeout(FETCH, keeper.fetch_images(&mut plan)).await;
        let fetched = fetched.map_err(|_| too_long("its images did not come", FETCH))??;
        fetched.iter().chain(&plan.notes).for_each(|note| warn!("{note}"));
        for tight in self.host.tight_networks(&plan).await {
            warn!("{tight}");
        }
        let gate = reconciler.gate(&plan.desired);
        let bound = gate.within + TELL;
        let judged = timeout(bound, self.deployed(keeper, &plan, &gate)).await;
        match judged.map_err(|_| too_long("there was no verdict", bound))?? {
            Judged::Healthy => Ok(Shown::Green),
            Judged::Unhealthy(reason) => Ok(Shown::Red(self.host.with_headroom(reason, &plan.desired).await)),
        }
    }

    async fn deployed(&self, keeper: &Keeper<'_>, plan: &Plan, gate: &Gate) -> Result<Judged, Outcome> {
        let observed = self.host.swarm.observe(&self.app.stack).await?;
        let mut applied = keeper.apply(&self.lock, plan, &observed).await?;
        applied.images = keeper.images_to_run(plan).await?;
        keeper.judge(&plan.desired, &applied, gate).await
    }

    /// What cannot be removed now is removed when its time is over, by whoever comes then.
    async fn remove(self) {
        let told = || format!("throw-away stack {}", self.app.stack);
        self.progress.waiting_for(&format!("the end of {}", told()));
        if let Err(cause) = remove(self.host, &self.throw_away(), &self.lock).await {
            warn!(cause = cause.sentence(), "{} could not be removed; a later run removes what is left", told());
        }
    }
}

/// Removes all of a throw-away stack, and what is kept of it. May be repeated.
///
/// # Errors
/// When something of it is left.
pub(super) async fn remove(host: &Host, throw_away: &ThrowAway, lock: &Lock) -> Result<usize, Outcome> {
    let labels = [format!("{RUN}={}", throw_away.run), format!("{NAMESPACE}={}", throw_away.stack)];
    let count = host.swarm.remove_marked(&labels.each_ref().map(String::as_str)).await?;
    host.store.forget_throw_away(&throw_away.domain, lock)?;
    if count > 0 {
        info!(stack = %throw_away.stack, objects = count, "throw-away stack is removed");
    }
    Ok(count)
}

/// A domain that no run has, with the lock of its folder.
fn place(host: &Host, canonical: &config::App) -> Result<(Domain, AppDir, Lock), Outcome> {
    for _ in 0..TRIES {
        let mut digits = [0; 3];
        random(&mut digits);
        let domain = Domain::throw_away(&canonical.name, digits, &host.declared.base_domain);
        let domain = domain.map_err(|error| Outcome::Blocked(error.to_string()))?;
        let dir = host.store.throw_away(&domain);
        // What somebody left there may still have something on the Engine.
        if !dir.path().exists()
            && let LockAttempt::Taken(lock) = dir.lock()?
        {
            return Ok((domain, dir, lock));
        }
    }
    Err(Outcome::Error(format!(
        "no free throw-away domain was found below {}: remove what is left in {}",
        host.declared.base_domain,
        host.store.sweeps().path().display()
    )))
}

fn too_long(what: &str, bound: Duration) -> Outcome {
    Outcome::Error(format!("{what} within {} minutes, so nothing can be said", bound.as_secs().div_ceil(60)))
}
