//! `plan`: what a run would change. Writes nothing to the Engine, and fetches only a recipe that was never fetched.

use std::path::Path;

use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::app::chosen;
use super::{Which, world};
use crate::app::{self, Coming, Host, Preview, canonical};
use crate::config::App;
use crate::model::app::{AppName, Kind};
use crate::model::outcome::{Outcome, worst};
use crate::plan::{Account, Plan};
use crate::telemetry;
use crate::warm::ahead::Ahead;

/// The exit code of a plan that would change something.
pub(super) const CHANGES: u8 = 2;
/// A version that is held stands in no change's way.
const HELD: u8 = 10;

pub async fn run(config: &Path, arguments: &Which) -> anyhow::Result<u8> {
    let host = world::host_to_look_at(config, &arguments.apps).await?;
    let apps = chosen(&host, &arguments.apps, |_| true)?;
    let now = Timestamp::now();
    let host_ref: &Host = &host;
    let planned: Vec<Planned> =
        stream::iter(apps).map(|app| async move { Planned::of(host_ref, app, now).await }).buffered(8).collect().await;
    if arguments.json {
        let all: Vec<Value> = planned.iter().map(as_json).collect();
        super::answer(&format!("{:#}\n", Value::Array(all)));
    } else {
        planned.iter().for_each(|planned| super::answer_styled(&as_text(planned)));
        planned.iter().filter_map(warnings).for_each(|line| super::tell(&line));
    }
    Ok(exit_code(&planned))
}

/// What the next run would do to one app.
struct Planned<'a> {
    app: &'a App,
    /// Why the run would leave the app alone; the preview says what comes after the pause then.
    paused: Option<Outcome>,
    preview: Result<Seen, Outcome>,
}

enum Seen {
    /// Of an app that is to run.
    Running(Box<Preview>),
    /// Of a canonical, which no run deploys.
    Warm(Ahead),
}

impl Seen {
    async fn of(host: &Host, app: &App, now: Timestamp) -> Result<Self, Outcome> {
        match app.kind {
            Kind::Canonical => canonical::preview(host, app).await.map(Self::Warm),
            _ => app::preview(host, app, now).await.map(|preview| Self::Running(Box::new(preview))),
        }
    }

    fn changes(&self) -> bool {
        match self {
            Self::Running(preview) => !preview.plan.is_empty() || preview.upgrade.is_some(),
            Self::Warm(ahead) => ahead.changes,
        }
    }

    /// What the run would end with, in place of success.
    fn instead(&self) -> Option<&Outcome> {
        match self {
            Self::Running(preview) => preview.instead.as_ref(),
            Self::Warm(_) => None,
        }
    }
}

impl<'a> Planned<'a> {
    async fn of(host: &Host, app: &'a App, now: Timestamp) -> Self {
        let paused = match app::paused(&host.store.app(&app.name), &app.name, now) {
            Ok(pause) => pause.map(|pause| Outcome::Waiting(pause.sentence(&app.name, now))),
            Err(outcome) => Some(outcome),
        };
        Self { app, paused, preview: Seen::of(host, app, now).await }
    }

    /// What the run would end with, in place of success.
    fn said(&self) -> Option<&Outcome> {
        match (&self.paused, &self.preview) {
            (Some(paused), _) => Some(paused),
            (None, Ok(seen)) => seen.instead(),
            (None, Err(outcome)) => Some(outcome),
        }
    }

    fn changes(&self) -> bool {
        self.paused.is_none() && self.preview.as_ref().is_ok_and(Seen::changes)
    }
}

/// As the run would end; a paused app is left alone by it.
fn exit_code(planned: &[Planned]) -> u8 {
    match worst(planned.iter().filter_map(Planned::said).map(Outcome::exit_code)) {
        HELD | 0 if planned.iter().any(Planned::changes) => CHANGES,
        code => code,
    }
}

fn as_text(Planned { app, paused, preview }: &Planned) -> String {
    let line = |outcome: &Outcome| format!("{}: {}\n", app.name, telemetry::indented(&outcome.to_string()));
    let paused = paused.as_ref().map(line).unwrap_or_default();
    match preview {
        Err(outcome) => paused + &line(outcome),
        Ok(Seen::Warm(ahead)) => paused + &format!("{}: {}\n", app.name, telemetry::one_line(&ahead.sentence)),
        Ok(Seen::Running(preview)) => {
            let told = paused + &preview.instead.as_ref().map(line).unwrap_or_default();
            // A tag is the recipe's word, too.
            let revision = telemetry::one_line(&preview.revision.to_string());
            let coming = preview
                .upgrade
                .as_ref()
                .map(|coming| format!("{}: {}\n", app.name, telemetry::one_line(&coming.sentence())));
            told + &coming.unwrap_or_default() + &page(&app.name, &revision, &preview.plan, &preview.account)
        }
    }
}

/// What there is to know is told also where there is nothing to do.
fn page(app: &AppName, revision: &str, plan: &Plan, account: &Account) -> String {
    if !plan.is_empty() {
        return format!("{app} at {revision}:\n{}\n", plan.render(account, true));
    }
    let notes = plan.notes.iter().map(|note| format!("    note: {}\n", telemetry::one_line(note)));
    format!("{app} at {revision}: nothing to do\n{}", notes.collect::<String>())
}

/// A plan is short, and what is to be told of a recipe may be long.
fn warnings(Planned { app, preview, .. }: &Planned) -> Option<String> {
    let Ok(Seen::Running(preview)) = preview else { return None };
    let count = Some(preview).filter(|preview| !preview.plan.is_empty())?.warnings;
    let things = if count == 1 { "a warning" } else { &format!("{count} warnings") };
    (count > 0).then(|| format!("{}: {things} about the recipe, told by `evenkeel check`", app.name))
}

/// All keys are always there; what there is nothing to say about is null.
fn as_json(Planned { app, paused, preview }: &Planned) -> Value {
    let outcome = preview.as_ref().map_or_else(Some, Seen::instead);
    // What went wrong is `outcome`.
    let (preview, warm) = match preview {
        Ok(Seen::Running(preview)) => (Some(preview), None),
        Ok(Seen::Warm(ahead)) => (None, Some(ahead)),
        Err(_) => (None, None),
    };
    json!({
        "app": app.name.as_str(),
        "revision": preview.map(|preview| preview.revision.to_string()),
        "outcome": outcome.map(Outcome::word),
        "sentence": outcome.map(Outcome::sentence),
        "paused": paused.as_ref().map(Outcome::sentence),
        "upgrade": preview.and_then(|preview| preview.upgrade.as_ref()).map(coming),
        "warm": warm.map(|ahead| json!({"changes": ahead.changes, "sentence": ahead.sentence})),
        "plan": preview.map(|preview| preview.plan.to_json(&preview.account)),
    })
}

fn coming(coming: &Coming) -> Value {
    json!({
        "from": coming.from.to_string(),
        "to": coming.to.to_string(),
        "why": coming.why,
        "volumes": coming.volumes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::world::{STACK, desired};

    #[test]
    fn notes_are_told_also_where_there_is_nothing_to_do() {
        let notes = vec!["network proxy has 3 addresses left\nwiki: applied".to_owned()];
        let stack = STACK.parse().unwrap();
        let plan = Plan { stack, changes: vec![], notes, unchanged: 4, desired: desired() };
        assert_eq!(
            page(&"wiki".parse().unwrap(), "1.0.0", &plan, &Account::default()),
            "wiki at 1.0.0: nothing to do\n    note: network proxy has 3 addresses left / wiki: applied\n"
        );
    }
}
