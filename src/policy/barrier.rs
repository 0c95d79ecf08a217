//! What stands between an app and a version: for a person to decide.

use std::fmt;

use jiff::Timestamp;

use super::rights::Right;
use super::step::Step;
use crate::config::Auto;
use crate::model::alert::Reason;
use crate::model::state::Refused;
use crate::model::version::RecipeVersion;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Barrier {
    /// A larger step than `policy.auto` takes, of the recipe or of the app behind the `+`.
    Step { of: Of, step: Step, from: String, to: String, auto: Auto },
    /// Versions up to this one have release notes.
    Notes(Vec<RecipeVersion>),
    /// `policy.never` names it.
    Never,
    /// It failed its gate, or a person left it, and nothing has changed since.
    Refused { reason: String, ts: Timestamp, by_hand: bool },
    /// Runs towards it were cut short so often, without a word about the version itself.
    Interrupted { times: u32 },
    /// Nobody can say whether it is newer than what runs: one of the two is a commit and no version.
    Unordered,
    /// It is older than what runs; `previous`: it is the release before it, which is kept whole.
    Older { previous: bool },
    /// It asks for something that the release before it did not have.
    Right(Right),
    /// A default of `.env.sample` that was taken at install is another one now.
    Default { key: String, from: String, to: String },
    /// The same for the variable that says a secret's version.
    Secret { variable: String, from: String, to: String },
    /// The recipe at that version cannot be taken as it is, in the words of whoever read it.
    Unreadable(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    Recipe,
    App,
}

impl Barrier {
    pub fn refused(refused: &Refused) -> Self {
        Barrier::Refused { reason: refused.reason.clone(), ts: refused.ts, by_hand: refused.by_hand }
    }

    /// A name that stays the same as long as the barrier does: what an approval lifts.
    pub fn fact(&self) -> String {
        match self {
            Barrier::Step { of, step, .. } => format!("{} step of the {}", step.word(), of.word()),
            Barrier::Notes(_) => "release notes".to_owned(),
            Barrier::Never => "never".to_owned(),
            Barrier::Refused { .. } => "refused".to_owned(),
            Barrier::Interrupted { .. } => "interrupted".to_owned(),
            Barrier::Unordered => "not comparable".to_owned(),
            Barrier::Older { .. } => "older".to_owned(),
            Barrier::Right(right) => format!("right: {right}"),
            Barrier::Default { key, .. } => format!("default: {key}"),
            Barrier::Secret { variable, .. } => format!("secret version: {variable}"),
            Barrier::Unreadable(_) => "unreadable".to_owned(),
        }
    }

    /// As what kind of alert a person is told.
    pub fn reason(&self) -> Reason {
        match self {
            Barrier::Step { step: Step::Major, .. } => Reason::HeldMajor,
            Barrier::Notes(_) => Reason::HeldManualMigration,
            Barrier::Interrupted { .. } => Reason::Blocked,
            Barrier::Step { .. }
            | Barrier::Never
            | Barrier::Refused { .. }
            | Barrier::Unordered
            | Barrier::Older { .. }
            | Barrier::Right(_)
            | Barrier::Default { .. }
            | Barrier::Secret { .. }
            | Barrier::Unreadable(_) => Reason::HeldPolicy,
        }
    }

    /// Whether a person's word is enough. Data is not taken back by a word, and a recipe is not mended by one.
    pub fn can_be_approved(&self) -> bool {
        !matches!(self, Barrier::Older { .. } | Barrier::Unreadable(_))
    }

    /// Whether the operator has decided about it already where the configuration pins this very version.
    pub(super) fn is_lifted_by_a_pin(&self) -> bool {
        matches!(self, Barrier::Step { .. } | Barrier::Notes(_))
    }
}

impl Of {
    fn word(self) -> &'static str {
        match self {
            Of::Recipe => "recipe",
            Of::App => "app",
        }
    }
}

/// What it is, as one part of a sentence about the version.
impl fmt::Display for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Barrier::Step { of, step, from, to, auto } => told_step(f, *of, *step, from, to, *auto),
            Barrier::Notes(versions) => told_notes(f, versions),
            Barrier::Never => f.write_str("`policy.never` names it"),
            Barrier::Refused { reason, ts, by_hand: false } => {
                write!(f, "it failed here on {} and nothing has changed since: {reason}", day(*ts))
            }
            Barrier::Refused { ts, by_hand: true, .. } => write!(f, "it was left by hand on {}", day(*ts)),
            Barrier::Interrupted { times } => {
                write!(f, "{times} runs towards it were cut short, and each cost the app a stop and a start")
            }
            Barrier::Unordered => {
                f.write_str("nobody can say whether a commit is newer than a version or another commit")
            }
            Barrier::Older { previous: true } => {
                f.write_str("it is older, and an older version may not read the data of a newer one")
            }
            Barrier::Older { previous: false } => {
                f.write_str("it is older, and no data of that version is kept to go back to")
            }
            Barrier::Right(right) => write!(f, "it asks for {right}"),
            Barrier::Default { key, from, to } => {
                write!(
                    f,
                    "its .env.sample has another default for {key} ({to:?}) than the one that was taken ({from:?})"
                )
            }
            Barrier::Secret { variable, from, to } => {
                write!(f, "its .env.sample wants a new secret ({variable}={to}; {from} is in use)")
            }
            Barrier::Unreadable(why) => f.write_str(why),
        }
    }
}

fn told_step(f: &mut fmt::Formatter<'_>, of: Of, step: Step, from: &str, to: &str, auto: Auto) -> fmt::Result {
    write!(f, "the {} makes a {} step ({from} -> {to})", of.word(), step.word())?;
    match auto {
        Auto::None => f.write_str(" and `policy.auto` takes none"),
        Auto::Patch if step == Step::Minor => f.write_str(" and `policy.auto` takes patches only"),
        Auto::Patch | Auto::Minor | Auto::Major => Ok(()),
    }
}

fn told_notes(f: &mut fmt::Formatter<'_>, versions: &[RecipeVersion]) -> fmt::Result {
    let list: Vec<String> = versions.iter().map(RecipeVersion::to_string).collect();
    match list.as_slice() {
        [one] => write!(f, "{one} has release notes that a person has to read (release/{one} of the recipe)"),
        _ => write!(f, "{} have release notes that a person has to read (release/ of the recipe)", list.join(", ")),
    }
}

fn day(ts: Timestamp) -> String {
    ts.strftime("%F").to_string()
}
