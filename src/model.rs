//! The operator's words as types that parse. Nothing is decided here.

pub mod alert;
pub mod app;
pub mod approval;
pub mod ci;
pub mod diagnostic;
pub mod disk;
pub mod history;
pub mod kept;
pub mod nights;
pub mod observed;
pub mod outcome;
pub mod pause;
pub mod realm;
pub mod run_result;
pub mod runner_env;
pub mod secret;
pub mod state;
pub mod sweep;
pub mod throw_away;
pub mod transaction;
pub mod version;
pub mod warm;

/// Two digits a byte, in small letters.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
