//! What is wrong with a configuration and all that it names, before anything runs. Asks no Engine.

use jiff::Timestamp;

use super::view::{DeclaredRelease, Fetch, View};
use super::{reconciler, recorded};
use crate::config::{self, Declared};
use crate::host::progress::Progress;
use crate::host::recipes::Recipes;
use crate::host::store::Store;
use crate::model::outcome::Outcome;

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
        let finding = match examine_one(declared, app, now).await {
            Ok(finding) => finding,
            Err(outcome) => Finding {
                app: app.name.to_string(),
                revision: None,
                wrong: Some(outcome.sentence().to_owned()),
                warnings: Vec::new(),
            },
        };
        findings.push(finding);
    }
    findings
}

async fn examine_one(declared: &Declared, app: &config::App, now: Timestamp) -> Result<Finding, Outcome> {
    let release = declared_release(declared, app, now).await?;
    let mut warnings: Vec<String> = release.read.warnings.0.iter().map(ToString::to_string).collect();
    warnings.extend(release.held);
    warnings.extend(release.notes);
    Ok(Finding { app: app.name.to_string(), revision: Some(release.revision.to_string()), wrong: None, warnings })
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
    view.declared_release(view.sources(Fetch::IfMissing, now).await?, &|_, _| false, now)
}
