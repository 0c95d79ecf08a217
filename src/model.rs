//! The operator's words as types that parse. Nothing is decided here.

pub mod app;
pub mod diagnostic;
pub mod observed;
pub mod outcome;
pub mod secret;
pub mod state;
pub mod version;
