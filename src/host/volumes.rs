//! The data of volumes: unpacked beside where it lives, put in its place, moved aside, counted.
//!
//! The border: a volume is a folder here (`…/<volume>/_data`, as the Engine says); which volumes, and when, is decided
//! elsewhere, and nothing may have one mounted when it is exchanged. Everything lies in the volume's own folder: the same
//! mount, so that an exchange is one rename, and no phantom volume for the Engine. The surprise: nothing is ever removed
//! here to make place for something else. What gives way is kept under another name.

mod aside;
mod exchange;
mod failed;
mod give_back;
mod place;
mod room;
mod stage;
mod unfaithful;
mod walk;

pub use aside::set_aside;
pub use exchange::{Exchanged, exchange};
pub use failed::Failed;
pub use give_back::{Taken, give_back};
pub use place::{drop_failed, drop_stages, failed_names, may_write};
pub use room::{Free, Needs, Of, Room, Shortfall, file_system, free, shortfalls};
pub use stage::unpack;
pub use unfaithful::{Unfaithful, Why, find_unfaithful};
pub use walk::{DEEPEST, Seen, Size, walk};

use std::path::Path;

/// How much a volume holds, and the sockets in it, which cannot be stored.
///
/// # Errors
/// When it cannot be read whole, or goes deeper than [`DEEPEST`].
pub fn measure(mountpoint: &Path) -> anyhow::Result<(Size, Vec<String>)> {
    let mut sockets = Vec::new();
    let size = walk(mountpoint, |seen| {
        if seen.kind == rustix::fs::FileType::Socket {
            sockets.push(seen.path.to_string_lossy().into_owned());
        }
        Ok(())
    })?;
    sockets.sort();
    Ok((size, sockets))
}
