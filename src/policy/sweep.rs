//! What a sweep does: which recipes, in which order, what is due for one, and how it ended.
//!
//! The border: versions are chosen by [`line`](mod@super::line), and what a cold run shows is found elsewhere. The surprise:
//! a sweep without a mistake is not yet a good one. One that was to do something, did nothing and tells no reason is
//! hollow, and that is an error: a green timer over stale data is worse than a red one.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use jiff::{SignedDuration, Timestamp};

use crate::model::outcome::worst;
use crate::model::sweep::{Done, Recipe, Row, SCHEMA, Stands, Sweep, Working};
use crate::model::version::Revision;

/// A sweep that was cut short is gone on with for so long. What was done before that is to be done again.
const GOES_ON: SignedDuration = SignedDuration::from_hours(24);
/// A recipe at which the sweep was cut short so often is left out of it.
const ENOUGH: u32 = 2;

/// What is known of a canonical.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known<'a> {
    /// It was never seeded, or that was never finished.
    Nothing,
    /// Its known-good is gone.
    Lost,
    Good(&'a Revision),
}

/// What the policy says of the versions in front of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Offered {
    Nothing,
    /// Taken by itself, later; with the sentence.
    Later(String),
    Held(String),
    Blocked(String),
    Version(Revision),
}

/// What is to be done about a recipe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Due {
    Seed,
    /// A cold run of this release, and then its promote.
    Promote(Revision),
    /// Nothing, and how that is told.
    Nothing(Done, String),
}

/// What is due for a recipe. Where no known-good is there, nothing that is said of versions matters.
pub fn due(known: Known<'_>, offered: Offered) -> Due {
    match (known, offered) {
        (Known::Nothing | Known::Lost, _) => Due::Seed,
        (Known::Good(_), Offered::Version(revision)) => Due::Promote(revision),
        (Known::Good(_), Offered::Nothing) => Due::Nothing(Done::Unchanged, String::new()),
        (Known::Good(_), Offered::Later(why)) => Due::Nothing(Done::Waits, why),
        (Known::Good(_), Offered::Held(why)) => Due::Nothing(Done::Held, why),
        (Known::Good(_), Offered::Blocked(why)) => Due::Nothing(Done::Blocked, why),
    }
}

/// What a sweep is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The recipes that were named; none: all.
    pub named: &'a [String],
    /// The recipes that are swept, by name.
    pub recipes: &'a BTreeSet<String>,
    pub by: &'a str,
    pub now: Timestamp,
}

/// The sweep to go on with: the one before, if that was cut short not long ago, or else a new one.
pub fn begin(before: Option<&Sweep>, asked: Asked<'_>) -> Sweep {
    match before.filter(|before| goes_on(before, asked)) {
        Some(before) => gone_on_with(before, asked),
        None => anew(before, asked),
    }
}

/// Whether a sweep of all that is enrolled was cut short, and is what the next one goes on with.
pub fn was_cut_short(before: &Sweep, now: Timestamp) -> bool {
    before.named.is_empty() && is_open(before, now)
}

fn goes_on(before: &Sweep, asked: Asked<'_>) -> bool {
    before.named == asked.named && is_open(before, asked.now)
}

fn is_open(before: &Sweep, now: Timestamp) -> bool {
    let age = now.duration_since(before.began);
    before.ended.is_none() && age >= SignedDuration::ZERO && age <= GOES_ON
}

/// With what is declared today: what was done stays so.
fn gone_on_with(before: &Sweep, asked: Asked<'_>) -> Sweep {
    let mut sweep = before.clone();
    sweep.recipes.retain(|recipe| asked.recipes.contains(&recipe.name));
    let known: BTreeSet<String> = sweep.recipes.iter().map(|recipe| recipe.name.clone()).collect();
    sweep.recipes.extend(asked.recipes.difference(&known).map(|name| due_recipe(name)));
    sweep
}

/// What the last one did not come to is first, so that none is left out for ever; what it died of is last.
fn anew(before: Option<&Sweep>, asked: Asked<'_>) -> Sweep {
    let turn = |name: &String| {
        let stood = before.and_then(|before| before.recipes.iter().find(|recipe| recipe.name == *name));
        match stood.map(|recipe| &recipe.stands) {
            Some(Stands::Due) => 0,
            Some(Stands::Done(row)) if row.result == Done::NotReached => 0,
            Some(Stands::Done(_)) | None => 1,
            Some(Stands::Working(_)) => 2,
        }
    };
    let mut recipes: Vec<Recipe> = asked.recipes.iter().map(|name| due_recipe(name)).collect();
    recipes.sort_by_key(|recipe| turn(&recipe.name));
    Sweep {
        schema: SCHEMA,
        began: asked.now,
        by: asked.by.to_owned(),
        named: asked.named.to_vec(),
        ended: None,
        recipes,
    }
}

fn due_recipe(name: &str) -> Recipe {
    Recipe { name: name.to_owned(), stands: Stands::Due }
}

/// A recipe's next stand: at work once more, or given up where it has cut the sweep short too often.
pub fn take_up(stands: &Stands, now: Timestamp) -> Stands {
    let (times, before) = match stands {
        Stands::Due => (0, None),
        Stands::Working(working) => (working.times, working.before.clone()),
        Stands::Done(row) => return Stands::Done(row.clone()),
    };
    if times >= ENOUGH {
        let why = format!("the sweep was cut short {times} times while it was at this one; the next sweep tries again");
        return Stands::Done(Row { result: Done::Error, from: None, to: None, why, ts: now });
    }
    Stands::Working(Working { since: now, times: times + 1, throw_away: None, before })
}

/// The sweep as it ends before its end: whatever is left was not reached, for this reason.
#[must_use]
pub fn stopped(mut sweep: Sweep, why: &str, now: Timestamp) -> Sweep {
    for recipe in &mut sweep.recipes {
        if !matches!(recipe.stands, Stands::Done(_)) {
            let row = Row { result: Done::NotReached, from: None, to: None, why: why.to_owned(), ts: now };
            recipe.stands = Stands::Done(row);
        }
    }
    sweep
}

/// Why a sweep is hollow: it was to do something, did nothing, and nothing says why.
pub fn hollow(sweep: &Sweep, recipes: &BTreeSet<String>) -> Option<String> {
    if recipes.is_empty() {
        return Some("no recipe is enrolled, so nothing was swept: add a [canonical.<recipe>] table".to_owned());
    }
    let told: BTreeSet<&str> = sweep.rows().map(|(name, _)| name).collect();
    let untold: Vec<&str> = recipes.iter().map(String::as_str).filter(|name| !told.contains(name)).collect();
    if !untold.is_empty() {
        return Some(format!("the sweep is hollow: it has ended, and nothing was done about {}", untold.join(", ")));
    }
    if sweep.rows().any(|(_, row)| row.result.is_work()) {
        return None;
    }
    let unsaid = sweep.rows().filter(|(_, row)| row.result.was_due() && row.why.trim().is_empty());
    let unsaid: Vec<&str> = unsaid.map(|(name, _)| name).collect();
    (!unsaid.is_empty())
        .then(|| format!("the sweep is hollow: something was due for {}, and nothing was done", unsaid.join(", ")))
}

/// The exit code of a sweep: the worst of its recipes; an error where it is hollow.
pub fn exit_code(sweep: &Sweep, recipes: &BTreeSet<String>) -> u8 {
    let hollow = hollow(sweep, recipes).map(|_| Done::Error.exit_code());
    worst(sweep.rows().map(|(_, row)| row.result.exit_code()).chain(hollow))
}

/// What the sweep has done, in one sentence.
pub fn summary(sweep: &Sweep) -> String {
    let rows: Vec<&Row> = sweep.rows().map(|(_, row)| row).collect();
    let done = rows.iter().filter(|row| row.result.is_work()).count();
    let due = rows.iter().filter(|row| row.result.was_due()).count();
    let counted = Done::ALL.iter().filter_map(|done| {
        let count = rows.iter().filter(|row| row.result == *done).count();
        (count > 0).then(|| format!("{count} {}", done.word()))
    });
    let counted: Vec<String> = counted.collect();
    let known_goods = if done == 1 { "known-good" } else { "known-goods" };
    let sum = format!("{done} new {known_goods}, of {due} due, of {} recipes", rows.len());
    if counted.is_empty() { sum } else { format!("{sum}: {}", counted.join(", ")) }
}

/// The rows as a table, by name, with what is told of each in its last column.
pub fn table(sweep: &Sweep) -> String {
    const HEAD: [&str; 5] = ["RECIPE", "RESULT", "FROM", "TO", "WHY"];
    let mut rows: Vec<[String; 5]> = sweep.rows().map(|(name, row)| cells(name, row)).collect();
    rows.sort();
    rows.insert(0, HEAD.map(str::to_owned));
    let widths = [0, 1, 2, 3].map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0));
    let mut table = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            write!(line, "{cell:width$}  ").expect("a text takes all");
        }
        line.push_str(&row[4]);
        table.push_str(line.trim_end());
        table.push('\n');
    }
    table
}

fn cells(name: &str, row: &Row) -> [String; 5] {
    let version = |version: &Option<String>| version.clone().unwrap_or_else(|| "-".to_owned());
    let why = row.why.split_whitespace().collect::<Vec<_>>().join(" ");
    [name.to_owned(), row.result.word().to_owned(), version(&row.from), version(&row.to), why]
}

#[cfg(test)]
mod tests;
