//! What a person asks for by hand: back to the last good release, a snapshot, a snapshot's data.

pub mod draft;
