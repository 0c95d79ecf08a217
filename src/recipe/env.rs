//! `.env`, `.env.sample`, the exports of `abra.sh`, and the files behind `env_file:`.
//!
//! The border: text to variables; what overrides what between files is decided elsewhere. The surprise: these are
//! three grammars. A quote in a `.env` ends with it, in an `env_file` it belongs to the value.

mod expand;
mod plain;
mod reader;
mod rule;

use super::yaml::FileName;
use crate::model::diagnostic::{Diagnostics, Place};
use crate::model::secret::Rule;

pub use plain::{env_file, exports};

/// Longer texts are not read, and no value gets longer by what it refers to.
pub const MAX_BYTES: usize = 1024 * 1024;
/// All values of a file together.
pub const MAX_VALUES_BYTES: usize = 4 * 1024 * 1024;

/// One variable of a `.env` file, as its last assignment leaves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    pub name: String,
    pub value: String,
    /// Where the name stands.
    pub place: Place,
    /// What the comment behind the value says about making a secret; `None` when it says nothing about that.
    pub rule: Option<Rule>,
}

/// The variables of a `.env` file in the grammar of godotenv, each once, in the order of their first assignments.
///
/// `$NAME` and `${NAME}` (upper case only) stand for what the file assigned before, else for what `outer` knows, else
/// for nothing; not between single quotes, and not behind a `\`.
///
/// # Errors
/// Every statement that cannot be read.
pub fn parse(
    file: &FileName,
    text: &str,
    outer: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<Variable>, Diagnostics> {
    reader::read(file, text, outer, &|_| None)
}

/// As [`parse`], with values that beat those of the file wherever it assigns or refers to them.
///
/// # Errors
/// Every statement that cannot be read.
pub fn parse_under(
    file: &FileName,
    text: &str,
    fixed: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<Variable>, Diagnostics> {
    reader::read(file, text, fixed, fixed)
}

#[cfg(test)]
mod tests;
