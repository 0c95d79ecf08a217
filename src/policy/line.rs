//! The versions in front of an app, and which of them is taken.
//!
//! Two looks decide. The first goes by what is published; the second needs a version's recipe read, so it is made only
//! for versions on which the answer depends: ask [`Line::next_to_read`] until it has none left, then conclude. Nothing
//! is taken that crosses a barrier, and nothing older than what runs. The surprises: a pinned version is the operator's
//! own word about its step, its notes and its age, and about nothing else; and a version towards which two runs were cut
//! short lets no older one be tried, since it is the host that cannot be relied on.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::barrier::{Barrier, Of};
use super::rights::new_rights;
use super::sample::{Samples, changed_defaults};
use super::step::{self, Step};
use super::window::open_from;
use super::{PolicyError, hold::Hold};
use super::{Published, moved_tag, target};
use crate::config::{Auto, Notes as OnNotes, Policy};
use crate::desired::Desired;
use crate::model::approval::Approval;
use crate::model::state::{Interrupted, Refused, ReleaseBody};
use crate::model::version::{Commit, RecipeVersion, Revision, Wanted};
use crate::recipe::Tree;
use crate::recipe::interpolate::Environment;
use crate::recipe::notes::Notes;

/// What the first look goes by.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    pub current: &'a Revision,
    /// The release before it, if it is kept whole.
    pub previous: Option<&'a Revision>,
    pub wanted: &'a Wanted,
    pub policy: &'a Policy,
    pub published: &'a Published,
    /// When each tag was seen first; one that is missing was never seen before.
    pub seen: &'a BTreeMap<RecipeVersion, Timestamp>,
    /// The release notes that the recipe has at the commits of [`newer`] versions.
    pub notes: &'a BTreeMap<Commit, Notes>,
    pub approvals: &'a [Approval],
    pub refused: &'a [Refused],
    pub interrupted: Option<&'a Interrupted>,
    pub now: Timestamp,
}

/// What the second look goes by: a candidate's recipe as it was read, beside what runs.
pub struct Looked<'a> {
    /// The candidate as it would be deployed, and the digest of that.
    pub desired: &'a Desired,
    pub key: &'a str,
    /// The files at the candidate's commit.
    pub tree: &'a Tree,
    /// The release that runs, and the sample whose defaults it keeps.
    pub before: &'a ReleaseBody,
    pub frozen_sample: &'a str,
    /// `.env.sample` at the commit that runs, where it can be read.
    pub running_sample: Option<&'a str>,
    /// The operator's own variables.
    pub own: &'a Environment,
    /// Image reference -> the id that it stands for on this host now.
    pub images: &'a BTreeMap<String, String>,
}

/// Why a version is taken later, and from when on it will be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    pub target: Revision,
    pub until: Timestamp,
    /// Its age, or else the window.
    pub for_age: bool,
}

/// A version in front of the one that runs.
#[derive(Debug, Clone)]
pub struct Candidate {
    pub revision: Revision,
    /// Those that no approval lifts.
    pub barriers: Vec<Barrier>,
    /// Those that the approval lifts.
    pub lifted: Vec<Barrier>,
    pub approval: Option<Approval>,
    /// From when on it may be taken, if not now; and whether its age is the reason.
    pub waiting: Option<(Timestamp, bool)>,
    /// The release notes on the way to it.
    pub notes: Notes,
    is_read: bool,
}

/// All versions in front, the newest first.
pub struct Line<'a> {
    asked: Asked<'a>,
    pub candidates: Vec<Candidate>,
}

/// What is to be done about versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// What runs is what is asked for, and nothing newer is there.
    Current,
    Upgrade(Upgrade),
    /// It is taken by itself, later.
    Waiting {
        waiting: Waiting,
        beside: Option<Hold>,
    },
    /// A newer version is not taken by itself.
    Held(Hold),
}

/// The version to take now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upgrade {
    pub target: Revision,
    /// The approval that it takes, to be spent when the transaction begins.
    pub approval: Option<Approval>,
    /// The release notes on the way.
    pub notes: Notes,
    /// A version beyond it that is held.
    pub beside: Option<Hold>,
}

/// The published versions in front of `current`, the newest first: those whose notes the first look wants.
pub fn newer(current: &Revision, wanted: &Wanted, published: &Published) -> Vec<(RecipeVersion, Commit)> {
    let Some(running) = version_of(current) else { return Vec::new() };
    let is_meant = |version: &RecipeVersion| match wanted {
        Wanted::Latest => true,
        Wanted::Version(pinned) => version == pinned,
        Wanted::Commit(_) => false,
    };
    let mut newer: Vec<_> =
        published.versions.iter().filter(|(version, _)| *version > running && is_meant(version)).cloned().collect();
    newer.sort_by(|a, b| b.cmp(a));
    newer.dedup_by(|a, b| a.0 == b.0);
    newer
}

fn version_of(revision: &Revision) -> Option<RecipeVersion> {
    revision.version.as_deref()?.parse().ok()
}

/// The first look.
///
/// # Errors
/// When what the operator asks for does not exist.
pub fn line(asked: Asked<'_>) -> Result<Line<'_>, PolicyError> {
    let mut candidates: Vec<Candidate> = newer(asked.current, asked.wanted, asked.published)
        .into_iter()
        .map(|(version, commit)| in_front(&asked, &version, commit))
        .collect();
    if candidates.is_empty() {
        candidates.extend(asked_for_otherwise(&asked)?);
    }
    Ok(Line { asked, candidates })
}

/// A newer version.
fn in_front(asked: &Asked, version: &RecipeVersion, commit: Commit) -> Candidate {
    let running = version_of(asked.current).expect("only a version has newer ones");
    let notes = asked.notes.get(&commit).map(|notes| notes.between(&running, version)).unwrap_or_default();
    let mut barriers = steps(&running, version, asked.policy.auto);
    if asked.policy.notes == OnNotes::Hold && !notes.is_empty() {
        barriers.push(Barrier::Notes(notes.versions().cloned().collect()));
    }
    if asked.policy.never.contains(version) {
        barriers.push(Barrier::Never);
    }
    let revision = Revision { version: Some(version.to_string()), commit };
    let mut candidate = candidate(asked, revision, notes);
    candidate.waiting = waiting(asked, asked.seen.get(version).copied(), candidate.approval.is_some());
    candidate.meet(barriers, asked);
    candidate
}

/// A pin that is no newer version: an older one, or one where nobody can tell.
fn asked_for_otherwise(asked: &Asked) -> Result<Option<Candidate>, PolicyError> {
    if *asked.wanted == Wanted::Latest || super::is_asked_for(asked.current, asked.wanted) {
        return Ok(None);
    }
    let target = target(asked.wanted, asked.published)?;
    if target.commit == asked.current.commit {
        return Ok(None);
    }
    let is_older = version_of(&target).zip(version_of(asked.current)).is_some_and(|(target, current)| target < current);
    let previous = asked.previous.is_some_and(|previous| previous.commit == target.commit);
    let barrier = if is_older || previous { Barrier::Older { previous } } else { Barrier::Unordered };
    let mut candidate = candidate(asked, target, Notes::default());
    candidate.waiting = waiting(asked, None, true);
    candidate.meet(vec![barrier], asked);
    Ok(Some(candidate))
}

fn candidate(asked: &Asked, revision: Revision, notes: Notes) -> Candidate {
    let approval = asked.approvals.iter().find(|approval| approval.revision == revision).cloned();
    Candidate { revision, barriers: vec![], lifted: vec![], approval, waiting: None, notes, is_read: false }
}

fn steps(from: &RecipeVersion, to: &RecipeVersion, auto: Auto) -> Vec<Barrier> {
    let recipe = step::of_recipe(from, to);
    // Two versions are never the same one, whatever their numbers say.
    let app = step::of_app(&from.app, &to.app).or(recipe.is_none().then_some(Step::Patch));
    let triple = |version: &RecipeVersion| {
        let (x, y, z) = version.recipe;
        format!("{x}.{y}.{z}")
    };
    let recipe = recipe.map(|step| (Of::Recipe, step, triple(from), triple(to)));
    let app = app.map(|step| (Of::App, step, from.app.clone(), to.app.clone()));
    let both = recipe.into_iter().chain(app).filter(|(_, step, ..)| !is_taken(*step, auto));
    both.map(|(of, step, from, to)| Barrier::Step { of, step, from, to, auto }).collect()
}

fn is_taken(step: Step, auto: Auto) -> bool {
    match auto {
        Auto::None => false,
        Auto::Patch => step <= Step::Patch,
        Auto::Minor => step <= Step::Minor,
        Auto::Major => true,
    }
}

/// From when on a version may be taken, if not now. A person's word makes a version old enough, and opens no window.
fn waiting(asked: &Asked, seen: Option<Timestamp>, is_decided: bool) -> Option<(Timestamp, bool)> {
    let age = SignedDuration::try_from(asked.policy.min_age).unwrap_or(SignedDuration::MAX);
    let is_decided = is_decided || *asked.wanted != Wanted::Latest;
    let of_age = match is_decided || age.is_zero() {
        true => asked.now,
        false => seen.unwrap_or(asked.now).saturating_add(age).unwrap_or(Timestamp::MAX).max(asked.now),
    };
    let until = match &asked.policy.window {
        Some(window) => open_from(window, of_age).unwrap_or(Timestamp::MAX),
        None => of_age,
    };
    (until > asked.now).then_some((until, of_age > asked.now))
}

impl Candidate {
    fn meet(&mut self, barriers: Vec<Barrier>, asked: &Asked) {
        let pinned = *asked.wanted != Wanted::Latest;
        let is_approved = |barrier: &Barrier| {
            let lifts = |approval: &Approval| approval.lifts.contains(&barrier.fact());
            barrier.can_be_approved() && self.approval.as_ref().is_some_and(lifts)
        };
        let in_the_way = barriers.into_iter().filter(|barrier| !(pinned && barrier.is_lifted_by_a_pin()));
        let (lifted, barriers): (Vec<_>, Vec<_>) = in_the_way.partition(is_approved);
        self.lifted.extend(lifted);
        self.barriers.extend(barriers);
    }

    fn is_interrupted(&self) -> bool {
        self.barriers.iter().any(|barrier| matches!(barrier, Barrier::Interrupted { .. }))
    }

    /// Nothing that is read could make it taken.
    fn is_older(&self) -> bool {
        self.barriers.iter().any(|barrier| matches!(barrier, Barrier::Older { .. }))
    }

    fn hold(&self, asked: &Asked) -> Hold {
        Hold {
            current: asked.current.clone(),
            target: self.revision.clone(),
            is_asked_for: *asked.wanted != Wanted::Latest,
            barriers: self.barriers.clone(),
            approval: self.approval.clone(),
            notes: self.notes.clone(),
        }
    }
}

impl Waiting {
    /// What the operator is told.
    pub fn sentence(&self, current: &Revision) -> String {
        let until = self.until.strftime("%F %H:%M UTC");
        let why = if self.for_age { "it has to be older first (`policy.min_age`)" } else { "the window is shut" };
        format!("{} is taken from {until} on, {why}; {current} runs until then", self.target)
    }
}

impl Line<'_> {
    /// The version whose recipe has to be read next, for [`Line::read`]: the newest one, so that whatever holds it is
    /// told at once, and the one that would be taken or waited for.
    pub fn next_to_read(&self) -> Option<&Revision> {
        let newest = self.candidates.first().filter(|newest| !newest.is_older());
        let unread = [newest, self.first_choice()].into_iter().flatten().find(|candidate| !candidate.is_read);
        unread.map(|candidate| &candidate.revision)
    }

    /// The second look at a candidate; `Err` says why its recipe cannot be taken as it is.
    pub fn read(&mut self, revision: &Revision, looked: Result<&Looked, String>) {
        let asked = self.asked;
        let Some(candidate) = self.candidates.iter_mut().find(|candidate| candidate.revision == *revision) else {
            return;
        };
        if std::mem::replace(&mut candidate.is_read, true) {
            return;
        }
        candidate.meet(deep(&asked, revision, looked), &asked);
    }

    /// Every hold of a version that an approval of it lifts. A refusal counts whatever it was of: the person who
    /// approves has been told of it.
    pub fn facts_to_lift(&self, candidate: &Candidate) -> BTreeSet<String> {
        let barriers = candidate.barriers.iter().chain(&candidate.lifted).filter(|barrier| barrier.can_be_approved());
        let mut facts: BTreeSet<String> = barriers.map(Barrier::fact).collect();
        let revision = &candidate.revision;
        let refused = self.asked.refused.iter().find(|refused| refused.revision == *revision);
        facts.extend(refused.map(|refused| Barrier::refused(refused).fact()));
        let interrupted = self.asked.interrupted.filter(|interrupted| interrupted.revision == *revision);
        let interrupted = interrupted.filter(|interrupted| interrupted.times >= Interrupted::ENOUGH);
        facts.extend(interrupted.map(|interrupted| Barrier::Interrupted { times: interrupted.times }.fact()));
        facts
    }

    /// What may be taken now or later, as far as it was read: the newest first.
    fn eligible(&self) -> impl Iterator<Item = &Candidate> {
        let interrupted = self.candidates.iter().position(Candidate::is_interrupted).unwrap_or(usize::MAX);
        let free = self.candidates.iter().enumerate().filter(|(_, candidate)| candidate.barriers.is_empty());
        free.filter(move |(at, candidate)| *at < interrupted || candidate.approval.is_some()).map(|(_, free)| free)
    }

    /// The newest that may be taken now, or else the one that may be taken first.
    fn first_choice(&self) -> Option<&Candidate> {
        let now = self.eligible().find(|candidate| candidate.waiting.is_none());
        now.or_else(|| self.eligible().min_by_key(|candidate| candidate.waiting.map(|(until, _)| until)))
    }

    /// What to do. A version that was not read counts as what the first look says of it.
    pub fn conclude(&self) -> Choice {
        if let Some(first) = self.first_choice() {
            let (target, beside) = (first.revision.clone(), self.held_beyond(&first.revision));
            let Some((until, for_age)) = first.waiting else {
                let (approval, notes) = (first.approval.clone(), first.notes.clone());
                return Choice::Upgrade(Upgrade { target, approval, notes, beside });
            };
            let beside = beside.or_else(|| self.moved());
            return Choice::Waiting { waiting: Waiting { target, until, for_age }, beside };
        }
        let blocked = self.candidates.iter().find(|candidate| candidate.is_interrupted());
        let held = blocked.or_else(|| self.candidates.iter().find(|candidate| !candidate.barriers.is_empty()));
        let held = held.map(|candidate| candidate.hold(&self.asked));
        held.or_else(|| self.moved()).map_or(Choice::Current, Choice::Held)
    }

    /// The newest version that is held beyond one that is not.
    fn held_beyond(&self, taken: &Revision) -> Option<Hold> {
        let beyond = self.candidates.iter().take_while(|candidate| candidate.revision != *taken);
        let mut held = beyond.filter(|candidate| !candidate.barriers.is_empty());
        held.next().map(|candidate| candidate.hold(&self.asked))
    }

    fn moved(&self) -> Option<Hold> {
        let target = moved_tag(self.asked.current, self.asked.published)?;
        Some(Hold::moved(self.asked.current.clone(), target))
    }
}

fn deep(asked: &Asked, revision: &Revision, looked: Result<&Looked, String>) -> Vec<Barrier> {
    let looked = match looked {
        Ok(looked) => looked,
        Err(why) => return vec![Barrier::Unreadable(why)],
    };
    let refused = asked.refused.iter().find(|refused| still_stands(refused, revision, looked)).map(Barrier::refused);
    let interrupted = asked.interrupted.filter(|interrupted| {
        interrupted.revision == *revision && interrupted.key == looked.key && interrupted.times >= Interrupted::ENOUGH
    });
    let interrupted = interrupted.map(|interrupted| Barrier::Interrupted { times: interrupted.times });
    let rights = new_rights(looked.before, looked.desired).into_iter().map(Barrier::Right);
    let defaults = changed_defaults(&Samples {
        frozen: looked.frozen_sample,
        running: looked.running_sample,
        tree: looked.tree,
        own: looked.own,
        desired: looked.desired,
    });
    refused.into_iter().chain(interrupted).chain(rights).chain(defaults).collect()
}

/// Whether a refusal is of this very thing: version, commit, configuration, secrets and images. An image that is gone
/// from this host counts as unchanged. What a person left by hand stays left, whatever is configured.
fn still_stands(refused: &Refused, revision: &Revision, looked: &Looked) -> bool {
    let is_same_image = |(reference, id): (&String, &String)| looked.images.get(reference).is_none_or(|now| now == id);
    let is_unchanged = refused.key == looked.key && refused.images.iter().all(is_same_image);
    refused.revision == *revision && (refused.by_hand || is_unchanged)
}

#[cfg(test)]
mod tests;
