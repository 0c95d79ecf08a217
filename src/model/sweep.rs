//! The progress of a sweep over the canonicals: `<state_dir>/sweep.json`.
//!
//! It is replaced whole before each recipe is begun and after each has ended, so that a sweep that was killed is gone on
//! with. The border: what follows from it is decided in `policy`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::app::{Domain, StackName};
use super::kept::{self, KeptError};
use super::version::Revision;

pub const SCHEMA: u32 = 1;

/// One sweep, under way or ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sweep {
    pub schema: u32,
    pub began: Timestamp,
    /// Who began it: a unit, or a person by login name.
    pub by: String,
    /// The recipes that were named; none: all that are enrolled.
    pub named: Vec<String>,
    /// `None` while it is under way, also where nobody lives to go on with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    /// In the order in which their turn comes.
    pub recipes: Vec<Recipe>,
}

/// One recipe of a sweep, by its app's name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipe {
    pub name: String,
    #[serde(flatten)]
    pub stands: Stands,
}

/// How far a sweep has come with a recipe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "stands")]
pub enum Stands {
    Due,
    Working(Working),
    Done(Row),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Working {
    pub since: Timestamp,
    /// How often it was begun: one that keeps cutting the sweep short is left out.
    pub times: u32,
    /// Where its throw-away stack is, or was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throw_away: Option<ThrowAway>,
    /// What was known to be good when it was taken up first. Whoever finishes what a killed sweep had begun may do so before
    /// its turn comes again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Before>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Before {
    Nothing,
    Good(KnownGood),
}

/// A known-good, as it is on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownGood {
    pub revision: Revision,
    pub snapshot: String,
}

/// A throw-away stack that may be there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ThrowAway {
    pub domain: Domain,
    pub stack: StackName,
    /// The label by which all that belongs to it is found.
    pub run: String,
}

/// What a sweep has done about a recipe, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    pub result: Done,
    /// The known-good before, and the version that was taken, tried, or is in front.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// In the words that the operator is told; empty where the result says all.
    pub why: String,
    pub ts: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Done {
    /// A first known-good was made, or a lost one made again.
    Seeded,
    /// A newer version is the known-good.
    Promoted,
    /// The known-good is what is asked for.
    Unchanged,
    /// A newer version will be taken later, by itself.
    Waits,
    /// A person works on it.
    LeftAlone,
    /// A newer version waits for a person.
    Held,
    /// A newer version failed its gate; the known-good is as it was.
    Refused,
    /// Something was in the way before anything was touched.
    Blocked,
    /// The sweep was stopped before its turn came.
    NotReached,
    /// The first known-good could not be made.
    Unhealthy,
    /// What was begun could be neither finished nor undone.
    Stuck,
    /// Nothing can be said.
    Error,
}

impl Done {
    pub const ALL: [Done; 12] = [
        Done::Seeded,
        Done::Promoted,
        Done::Unchanged,
        Done::Waits,
        Done::LeftAlone,
        Done::Held,
        Done::Refused,
        Done::Blocked,
        Done::NotReached,
        Done::Unhealthy,
        Done::Stuck,
        Done::Error,
    ];

    pub fn word(self) -> &'static str {
        match self {
            Done::Seeded => "seeded",
            Done::Promoted => "promoted",
            Done::Unchanged => "unchanged",
            Done::Waits => "waiting",
            Done::LeftAlone => "left alone",
            Done::Held => "held",
            Done::Refused => "refused",
            Done::Blocked => "blocked",
            Done::NotReached => "not reached",
            Done::Unhealthy => "unhealthy",
            Done::Stuck => "stuck",
            Done::Error => "error",
        }
    }

    pub fn exit_code(self) -> u8 {
        match self {
            Done::Seeded | Done::Promoted | Done::Unchanged | Done::Waits | Done::LeftAlone => 0,
            Done::Held => 10,
            Done::Refused => 11,
            Done::Blocked | Done::NotReached => 12,
            Done::Stuck => 13,
            Done::Unhealthy => 14,
            Done::Error => 1,
        }
    }

    /// A known-good was made.
    pub fn is_work(self) -> bool {
        matches!(self, Done::Seeded | Done::Promoted)
    }

    /// A known-good was to be made, as far as anybody knows.
    pub fn was_due(self) -> bool {
        match self {
            Done::Unchanged | Done::Waits | Done::LeftAlone | Done::Held => false,
            Done::Seeded
            | Done::Promoted
            | Done::Refused
            | Done::Blocked
            | Done::NotReached
            | Done::Unhealthy
            | Done::Stuck
            | Done::Error => true,
        }
    }
}

impl Sweep {
    /// # Errors
    /// When the text is damaged, or a newer version wrote it.
    pub fn parse(text: &[u8]) -> Result<Self, KeptError> {
        kept::parse(text, SCHEMA)
    }

    /// The rows so far, by the app's name.
    pub fn rows(&self) -> impl Iterator<Item = (&str, &Row)> {
        self.recipes.iter().filter_map(|recipe| match &recipe.stands {
            Stands::Done(row) => Some((recipe.name.as_str(), row)),
            Stands::Due | Stands::Working(_) => None,
        })
    }

    /// The recipe whose turn it is: the first one that is not done.
    pub fn next(&self) -> Option<&Recipe> {
        self.recipes.iter().find(|recipe| !matches!(recipe.stands, Stands::Done(_)))
    }

    /// The same sweep with one recipe standing so.
    #[must_use]
    pub fn with(mut self, name: &str, stands: Stands) -> Self {
        if let Some(recipe) = self.recipes.iter_mut().find(|recipe| recipe.name == name) {
            recipe.stands = stands;
        }
        self
    }

    /// The throw-away stacks that it may have left.
    pub fn throw_aways(&self) -> impl Iterator<Item = &ThrowAway> {
        self.recipes.iter().filter_map(|recipe| match &recipe.stands {
            Stands::Working(working) => working.throw_away.as_ref(),
            Stands::Due | Stands::Done(_) => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_read_as_it_was_written() {
        let at: Timestamp = "2026-11-22T04:00:00Z".parse().unwrap();
        let row = |result| Row { result, from: Some("1.0.0+1".into()), to: None, why: String::new(), ts: at };
        let throw_away = ThrowAway {
            domain: "wiki-0a0b0c.example.org".parse().unwrap(),
            stack: "wiki-0a0b0c_example_org".parse().unwrap(),
            run: "00-11".into(),
        };
        let mut stands = vec![
            Stands::Due,
            Stands::Working(Working { since: at, times: 1, throw_away: None, before: Some(Before::Nothing) }),
            Stands::Working(Working { since: at, times: 2, throw_away: Some(throw_away.clone()), before: None }),
        ];
        stands.extend(Done::ALL.map(|result| Stands::Done(row(result))));
        let recipes = stands.into_iter().enumerate();
        let recipes = recipes.map(|(number, stands)| Recipe { name: format!("r{number}"), stands }).collect();
        let sweep = Sweep { schema: SCHEMA, began: at, by: "alice".into(), named: vec![], ended: None, recipes };
        let text = serde_json::to_vec(&sweep).unwrap();
        assert_eq!(Sweep::parse(&text).unwrap(), sweep);
        assert_eq!(sweep.next().unwrap().name, "r0");
        assert_eq!(sweep.throw_aways().collect::<Vec<_>>(), [&throw_away]);
        assert_eq!(sweep.rows().count(), Done::ALL.len());
    }

    #[test]
    fn what_a_newer_program_wrote_is_not_guessed_at() {
        let text = br#"{"schema":2,"began":"2026-11-22T04:00:00Z","by":"x","named":[],"recipes":[]}"#;
        assert!(matches!(Sweep::parse(text), Err(KeptError::Newer { found: 2, known: 1 })));
    }

    #[test]
    fn only_what_was_not_done_is_worse_than_nothing() {
        for done in Done::ALL {
            assert!(!done.is_work() || (done.was_due() && done.exit_code() == 0), "{done:?}");
            assert!(done.is_work() || !done.was_due() || done.exit_code() != 0, "{done:?}");
        }
    }
}
