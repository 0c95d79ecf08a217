//! Upgrades that can be undone: version and data in one transaction that survives a kill at any point.
//!
//! What comes next is a table ([`step`]), what its end makes of the state a function ([`close`]); [`run`] performs it
//! over anything that can stop, copy, deploy and judge. The surprise: the journal is the app's `state.json` itself, and
//! closing the transaction is the one rename that also selects release and snapshot.

pub mod close;
pub mod on_host;
pub mod run;
pub mod step;
pub mod told;
pub mod unclean;
pub mod volumes;
