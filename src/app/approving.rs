//! A person's word that a version may be taken although something holds it.
//!
//! The border: nothing is taken here; the next run does. No Engine is asked, so this works while a run is at work. The
//! surprise: what is approved is what the person is told now, hold by hold, and not the version whatever it asks for.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tracing::warn;

use super::examine::with_view;
use super::front::{Beside, Front};
use super::reading::{Given, OfKind};
use super::telling::note;
use super::view::View;
use crate::config::{self, Declared};
use crate::host::store::Store;
use crate::host::who::who;
use crate::model::app::{AppName, Kind};
use crate::model::approval::Approval;
use crate::model::history;
use crate::model::outcome::Outcome;
use crate::model::version::{RecipeVersion, Revision, Wanted};
use crate::policy::barrier::Barrier;
use crate::policy::line::{Candidate, Choice, Line};

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Approved {
    /// It will be taken; in a sentence.
    Written(String),
    /// Nothing holds it, so there is nothing to approve.
    NotHeld(String),
}

/// Approves a version of an app, or a commit that its configuration names.
///
/// # Errors
/// When there is no such version in front of what runs, or what holds it is not for a person to lift; when the recipe,
/// or the state, cannot be read or written.
pub async fn approve(
    declared: &Declared,
    app: &config::App,
    version: &str,
    by: &str,
    now: Timestamp,
) -> Result<Approved, Outcome> {
    with_view(declared, app, async |view| {
        let nothing = || Outcome::Error(format!("nothing of {} is installed; {}", app.name, installs(app)));
        let mut front = Front::of(view).await?.ok_or_else(nothing)?;
        let given =
            Given::gather(app, OfKind::new(view.reconciler)).map_err(|wrong| Outcome::Error(wrong.join("; ")))?;
        let beside = Beside { given: &given, lives: &|_, _| false, images: &BTreeMap::new(), now };
        let approval = match weigh(&front, version, by, &beside).await? {
            Weighed::Approve(approval) => approval,
            Weighed::NotHeld(told) => return Ok(Approved::NotHeld(told)),
        };
        let damage = view.dir.put_approval(approval.clone())?;
        front.approvals.retain(|other| other.revision != approval.revision);
        front.approvals.push(approval.clone());
        let told = told(view, &front, &approval, &beside).await?;
        let damage = damage.map(|damage| format!("; approvals before it could not be read ({damage}) and are gone"));
        let told = format!("{told}{}", damage.unwrap_or_default());
        let act = history::Line::of_act(app.name.as_str(), "approved", &told, by, now);
        let line = history::Line { to: Some(approval.revision.to_string()), ..act };
        note(&Store::for_reading(&declared.state_dir), &line);
        Ok(Approved::Written(told))
    })
    .await
}

/// Who makes the first release of an app.
fn installs(app: &config::App) -> String {
    match app.kind {
        Kind::Canonical => format!("`evenkeel canonical seed {}`, or a sweep, begins it", app.name),
        Kind::Proxy | Kind::Drone | Kind::WarmKeycloak | Kind::App => "the first run installs it".to_owned(),
    }
}

/// Who takes newer versions of an app.
fn taker(kind: Kind) -> &'static str {
    match kind {
        Kind::Canonical => "the next sweep",
        Kind::Proxy | Kind::Drone | Kind::WarmKeycloak | Kind::App => "the next run",
    }
}

enum Weighed {
    Approve(Approval),
    NotHeld(String),
}

async fn weigh(front: &Front<'_>, version: &str, by: &str, beside: &Beside<'_>) -> Result<Weighed, Outcome> {
    let mut line = front.line(beside.now)?;
    let Some(revision) = named(&line, version).map(|candidate| candidate.revision.clone()) else {
        return front.not_in_front(version).map(Weighed::NotHeld);
    };
    front.look(&mut line, &revision, beside).await?;
    let candidate = named(&line, version).expect("it was there before it was read");
    let lifts = line.facts_to_lift(candidate);
    let is_young = candidate.waiting.is_some_and(|(_, for_age)| for_age);
    if lifts.is_empty() && !is_young {
        return not_held(candidate, taker(front.kind())).map(Weighed::NotHeld);
    }
    let by = by.to_owned();
    Ok(Weighed::Approve(Approval { revision, by, ts: beside.now, lifts }))
}

fn named<'l>(line: &'l Line<'_>, text: &str) -> Option<&'l Candidate> {
    line.candidates.iter().find(|candidate| {
        let revision = &candidate.revision;
        let is_commit = text.len() >= 7 && revision.commit.as_str().starts_with(&text.to_ascii_lowercase());
        revision.version.as_deref() == Some(text) || (revision.version.is_none() && is_commit)
    })
}

/// Nothing that a person could lift is in the way.
fn not_held(candidate: &Candidate, taker: &str) -> Result<String, Outcome> {
    let (target, in_the_way) = (&candidate.revision, candidate.barriers.iter().map(Barrier::to_string));
    let in_the_way: Vec<String> = in_the_way.collect();
    match (in_the_way.as_slice(), candidate.waiting) {
        ([], None) => Ok(format!("{target} is not held; {taker} takes it, or a newer one, by itself")),
        ([], Some((until, _))) => Ok(format!(
            "{target} is not held; it, or a newer one, is taken by itself from {} on",
            until.strftime("%F %H:%M UTC")
        )),
        _ => Err(Outcome::Error(format!("{target} cannot be approved: {}", in_the_way.join("; ")))),
    }
}

impl Front<'_> {
    /// Why the text names nothing that could be approved; `Ok` where it names what runs.
    fn not_in_front(&self, text: &str) -> Result<String, Outcome> {
        let refuse = |why: String| Err(Outcome::Error(why));
        let (running, wanted) = (self.running(), self.wanted());
        let as_commit = text.len() >= 7 && running.commit.as_str().starts_with(&text.to_ascii_lowercase());
        if running.version.as_deref() == Some(text) || as_commit {
            return Ok(format!("{running} is not held: it runs"));
        }
        let Ok(version) = text.parse::<RecipeVersion>() else {
            let like = self.published_like(text);
            let meant = if like.is_empty() { String::new() } else { format!("; published: {}", like.join(", ")) };
            return refuse(format!(
                "{text:?} is no version (such as 2.4.0+1.9.1), and no commit that the configuration names{meant}"
            ));
        };
        if !self.is_published(&version) {
            return refuse(format!(
                "{}; a run that looks for new versions learns of those that were published since",
                self.not_published(version)
            ));
        }
        match wanted {
            Wanted::Latest if running.version.is_none() => refuse(format!(
                "{running} runs, and from a commit nothing is taken by itself: name the version in the configuration \
                 (version = \"{version}\")"
            )),
            Wanted::Latest if self.kind() == Kind::Canonical => refuse(format!(
                "{version} is older than {running}, which was known good last: `evenkeel canonical promote` with --version makes \
                 an older one the known-good"
            )),
            Wanted::Latest => refuse(format!(
                "{version} is older than {running}, which runs, and an older version is never taken: `evenkeel rollback` \
                 goes back to the release before, with its data"
            )),
            Wanted::Version(_) | Wanted::Commit(_) => refuse(format!(
                "the configuration names another version, and only that one is taken: name {version} there"
            )),
        }
    }
}

/// What the person, and the history, is told.
async fn told(view: &View<'_>, front: &Front<'_>, approval: &Approval, beside: &Beside<'_>) -> Result<String, Outcome> {
    let Approval { revision, by, lifts, .. } = approval;
    let what: Vec<&str> = lifts.iter().map(String::as_str).collect();
    let what = if what.is_empty() { "its age".to_owned() } else { what.join(", ") };
    let taker = taker(view.app.kind);
    let then = match front.choose(beside).await?.0 {
        Choice::Upgrade(upgrade) if upgrade.target == *revision => format!("{taker} takes it, once"),
        Choice::Waiting { waiting, .. } if waiting.target == *revision => {
            format!("it is taken, once, from {} on", waiting.until.strftime("%F %H:%M UTC"))
        }
        Choice::Upgrade(upgrade) => format!("{taker} takes {}, which is newer", upgrade.target),
        Choice::Waiting { waiting, .. } => format!("{}, which is newer, is taken first", waiting.target),
        Choice::Held(hold) => format!("it is held still: {}", hold.sentence(&view.app.name)),
        Choice::Current => "nothing is left to take".to_owned(),
    };
    Ok(format!("{revision} approved by {by} ({what}); {then}"))
}

/// [`spend`], where nothing but a warning can follow from a failure.
pub fn spend_or_warn(store: &Store, app: &AppName, revision: &Revision, now: Timestamp) {
    if let Err(cause) = spend(store, app, revision, now) {
        warn!(to = %revision, cause = format!("{cause:#}"), "the approval could not be spent; it may count again");
    }
}

/// Spends the approval of a release, at the moment at which its transaction begins.
///
/// # Errors
/// When it cannot be removed: it would count again.
pub fn spend(store: &Store, app: &AppName, revision: &Revision, now: Timestamp) -> anyhow::Result<Option<Approval>> {
    let spent = store.app(app).take_approval(revision)?;
    if let Some(Approval { by, ts, .. }) = &spent {
        let given = ts.strftime("%F %H:%M UTC");
        let told = format!("{revision} is tried once, as {by} approved on {given}");
        let act = history::Line::of_act(app.as_str(), "approval-spent", &told, &who(), now);
        note(store, &history::Line { to: Some(revision.to_string()), ..act });
    }
    Ok(spent)
}
