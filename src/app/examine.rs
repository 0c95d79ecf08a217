//! What is wrong with a configuration and all that it names, before anything runs. Asks no Engine.

use jiff::Timestamp;

use super::reading::{Given, OfKind};
use super::view::{DeclaredRelease, Fetch, Sources, View};
use super::{reconciler, recorded};
use crate::config::{self, Declared, MEND_FILE};
use crate::host::progress::Progress;
use crate::host::recipes::Recipes;
use crate::host::store::Store;
use crate::model::app::{Domain, Kind};
use crate::model::diagnostic::{Diagnostic, Diagnostics};
use crate::model::outcome::Outcome;
use crate::model::secret::SecretBytes;
use crate::model::state::State;

/// One app, examined: what is wrong, and what is only worth a look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub app: String,
    /// The release that the configuration asks for.
    pub revision: Option<String>,
    pub wrong: Option<String>,
    pub warnings: Vec<String>,
}

/// Examines every app that this version keeps. A recipe without a mirror is fetched.
pub async fn examine(declared: &Declared, now: Timestamp) -> Vec<Finding> {
    let mut findings = Vec::new();
    for app in &declared.apps {
        let mut examined = Examined::default();
        if let Err(outcome) = examined.app(declared, app, now).await {
            examined.wrong.push(outcome.sentence().to_owned());
        }
        findings.push(examined.finding(app));
    }
    findings
}

/// What has been found of one app so far.
#[derive(Default)]
struct Examined {
    revision: Option<String>,
    wrong: Vec<String>,
    warnings: Vec<String>,
}

impl Examined {
    fn finding(self, app: &config::App) -> Finding {
        let wrong = (!self.wrong.is_empty()).then(|| self.wrong.join("\n"));
        Finding { app: app.name.to_string(), revision: self.revision, wrong, warnings: self.warnings }
    }

    /// Collects everything; fails where nothing more can be said.
    async fn app(&mut self, declared: &Declared, app: &config::App, now: Timestamp) -> Result<(), Outcome> {
        with_view(declared, app, async |view| {
            self.wrong.extend(view.reconciler.preflight(now).err());
            self.warnings.extend(super::builds::told_of_token(app));
            let given = self.given(view);
            let chosen = view.chosen(Fetch::IfMissing, now).await?;
            // With a mirror at hand nothing was fetched, and the next night would be the first to ask.
            self.wrong.extend(view.mirror().could_ask().err().map(|cause| format!("{cause:#}; {MEND_FILE}")));
            let Some(given) = given else { return Ok(()) };
            let sources = Sources { given, chosen };
            let read = view.declared_release(&sources, &|_, _| false, now);
            let told = read.as_ref().err().map(|refused| refused.errors.clone()).unwrap_or_default();
            let in_sweeps = wrong_in_sweeps(view, &sources, &told, now);
            match read {
                Ok(release) => {
                    self.warnings.extend(view.reconciler.gate(&release.read.desired).doubts(now));
                    self.release(release);
                    let told = view.offer_unseen(&sources, now).await?.told;
                    self.warnings.extend(told.map(|told| told.to_string()));
                }
                Err(refused) => {
                    self.wrong.push(refused.outcome.sentence().to_owned());
                    self.warnings.extend(refused.warnings.0.iter().map(ToString::to_string));
                }
            }
            self.wrong.extend(in_sweeps);
            Ok(())
        })
        .await
    }

    fn release(&mut self, release: DeclaredRelease) {
        self.revision = Some(release.revision.to_string());
        self.warnings.extend(release.read.warnings.0.iter().map(ToString::to_string));
        self.warnings.extend(release.notes);
    }

    /// The operator's files. Of secrets that cannot be read the names are enough to read the recipe by; without an env
    /// file or a compose file what the recipe says would be a consequence of that.
    fn given(&mut self, view: &View<'_>) -> Option<Given> {
        let of_kind = OfKind::new(view.reconciler);
        let wrong = match Given::gather(view.app, of_kind.clone()) {
            Ok(given) => return Some(given),
            Err(wrong) => wrong,
        };
        self.wrong.extend(wrong);
        let without_secrets = config::App { secrets: Default::default(), ..view.app.clone() };
        let OfKind { secrets, variables } = of_kind;
        let mut given = Given::gather(&without_secrets, OfKind { variables, ..OfKind::default() }).ok()?;
        let names = view.app.secrets.keys().cloned().chain(secrets.into_iter().map(|(key, _)| key));
        given.secrets.extend(names.map(|name| (name, SecretBytes::new(b"unread".to_vec()))));
        Some(given)
    }
}

/// A sweep tries a canonical's versions in throw-away stacks: what would be wrong only there, beside what is `told`.
fn wrong_in_sweeps(view: &View<'_>, sources: &Sources, told: &Diagnostics, now: Timestamp) -> Option<String> {
    if view.app.kind != Kind::Canonical {
        return None;
    }
    // The configuration has no canonical without either.
    let domain = Domain::throw_away(&view.app.name, [0; 3], &view.declared.base_domain).ok()?;
    let stack = domain.stack().ok()?;
    let app = config::App { domain, stack, ..view.app.clone() };
    let fresh = State::new(&app.stack);
    let there = View { app: &app, state: &fresh, ..*view };
    let mut errors = there.declared_release(sources, &|_, _| false, now).err()?.errors;
    let at_home = |message: &str| {
        message
            .replace(app.stack.as_str(), view.app.stack.as_str())
            .replace(app.domain.as_str(), view.app.domain.as_str())
    };
    let same = |there: &Diagnostic, here: &Diagnostic| match &there.place {
        Some(_) => there.place == here.place,
        None => at_home(&there.message) == here.message,
    };
    errors.0.retain(|there| !told.0.iter().any(|here| same(there, here)));
    let domain = &app.domain;
    (!errors.0.is_empty()).then(|| {
        format!("a sweep could not try it in a throw-away stack, such as at {domain}, whose length follows from base_domain:\n{errors}")
    })
}

/// Reads the release that the configuration asks for, beside what is recorded of the app.
///
/// # Errors
/// What would stand in a run's way, as far as it can be told without an Engine.
pub async fn declared_release(
    declared: &Declared,
    app: &config::App,
    now: Timestamp,
) -> Result<DeclaredRelease, Outcome> {
    with_view(declared, app, async |view| {
        let sources = view.sources(Fetch::IfMissing, now).await?;
        view.declared_release(&sources, &|_, _| false, now).map_err(|refused| refused.outcome)
    })
    .await
}

pub(super) async fn with_view<T>(
    declared: &Declared,
    app: &config::App,
    look: impl AsyncFnOnce(&View<'_>) -> Result<T, Outcome>,
) -> Result<T, Outcome> {
    let store = Store::for_reading(&declared.state_dir);
    let reconciler = reconciler(declared, &store, app)?;
    let dir = store.app(&app.name);
    let state = recorded(app, &dir)?;
    let host_key = store.key_to_look_with()?;
    let view = View {
        declared,
        recipes: &Recipes::new(&declared.state_dir),
        host_key: &host_key,
        progress: &Progress::new(app.name.as_str()),
        app,
        reconciler: &*reconciler,
        dir: &dir,
        state: &state,
    };
    look(&view).await
}
