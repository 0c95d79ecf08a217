//! The outside, one file per thing. Nothing here decides.

pub mod command;
pub mod store;
