//! Recipes: text of people we do not know, read into values. Reads no file: a [`Tree`] holds what the host read.

pub mod compose;
pub mod env;
pub mod interpolate;
pub mod merge;
pub mod notes;
pub mod tree;
pub mod values;
pub mod yaml;

pub use tree::{Entry, Tree, TreeError};

/// The file with the defaults of an app's variables, and the rules by which its secrets are made.
pub const SAMPLE: &str = ".env.sample";
/// The script whose exports of versions count; it is never run.
pub const EXPORTS: &str = "abra.sh";
