//! Canonicals: apps whose data is kept warm while nothing of them runs.
//!
//! What comes next is a table ([`step`]), what its end makes of the state a function ([`close`]); [`run`] performs it
//! over the same acts as an upgrade. The surprise: the volumes are only a cache of the sealed snapshot, so whatever is
//! undone ends by putting that back, or by calling them dirty until somebody wants to use them.

pub mod ahead;
pub mod close;
pub mod registry;
pub mod run;
pub mod step;
