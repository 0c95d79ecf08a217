//! `<app>/pause`: what a person's command writes while a run may be at work.
//!
//! It is therefore not under the app's lock but under one of its own, held for a moment: two commands at once leave one
//! whole pause, and a run that ends an old one never takes away a new one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::place::{explained, make_folder, sync_folder};
use super::{AppDir, alone, read_if_there};
use crate::model::pause::{Pause, PauseError};

/// What the file holds: a pause, or something that cannot be read as one.
pub type Kept = Result<Pause, PauseError>;

impl AppDir {
    /// The app's pause, whether or not its time is over; `None` where there is none.
    pub fn pause(&self) -> Result<Option<Kept>> {
        Ok(read_if_there(&self.pause_file())?.map(|bytes| Pause::parse(&bytes)))
    }

    /// Puts a pause in the place of any other, on disk when this returns.
    pub fn put_pause(&self, pause: &Pause) -> Result<()> {
        make_folder(&self.dir)?;
        let _alone = self.alone_at_the_pause()?;
        let file = self.pause_file();
        let put = || -> io::Result<()> {
            // Of a name of its own: who takes the app's lock sweeps away other files that are on their way.
            let beside = self.dir.join(".pause-beside");
            let mut new = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
            new.write_all(pause.to_text().as_bytes())?;
            new.sync_all()?;
            fs::rename(&beside, &file)
        };
        put().map_err(explained).with_context(|| format!("write {}", file.display()))?;
        sync_folder(&self.dir)
    }

    /// Removes the pause if it `is_meant`, and gives what was removed.
    pub fn take_pause(&self, is_meant: impl FnOnce(&Kept) -> bool) -> Result<Option<Kept>> {
        if self.pause()?.is_none() {
            return Ok(None);
        }
        let _alone = self.alone_at_the_pause()?;
        let Some(kept) = self.pause()?.filter(is_meant) else { return Ok(None) };
        let file = self.pause_file();
        fs::remove_file(&file).map_err(explained).with_context(|| format!("remove {}", file.display()))?;
        sync_folder(&self.dir)?;
        Ok(Some(kept))
    }

    pub fn pause_file(&self) -> PathBuf {
        self.dir.join("pause")
    }

    /// Waits for the moment that another command needs.
    fn alone_at_the_pause(&self) -> Result<File> {
        alone(&self.dir.join("pause.lock"))
    }
}
