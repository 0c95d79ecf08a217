//! The outside, one file per thing. Nothing here decides.

pub mod command;
pub mod engine;
pub mod images;
pub mod probe;
pub mod progress;
pub mod recipes;
pub mod store;
pub mod swarm;
