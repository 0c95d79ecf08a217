//! `<app>/approve`: what a person's command writes while a run may be at work, and a run spends.
//!
//! As with a pause, a lock of its own is held for a moment: two commands at once lose no approval, and one that is
//! spent is gone for everybody.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::place::{explained, make_folder, sync_folder};
use super::{AppDir, alone, read_if_there};
use crate::model::approval::{Approval, ApprovalError, Approvals};
use crate::model::version::Revision;

/// What the file holds: approvals, or something that cannot be read as such.
pub type KeptApprovals = Result<Approvals, ApprovalError>;

impl AppDir {
    /// The app's approvals that are not spent; none where there is no file.
    pub fn approvals(&self) -> Result<KeptApprovals> {
        let bytes = read_if_there(&self.approvals_file())?;
        Ok(bytes.map_or_else(|| Ok(Approvals::default()), |bytes| Approvals::parse(&bytes)))
    }

    /// Adds an approval, in the place of an earlier one for the same release; on disk when this returns. What could not
    /// be read as approvals is replaced, and told.
    pub fn put_approval(&self, approval: Approval) -> Result<Option<ApprovalError>> {
        make_folder(&self.dir)?;
        let _alone = self.alone_at_the_approvals()?;
        let (mut approvals, damage) = match self.approvals()? {
            Ok(approvals) => (approvals, None),
            Err(damage) => (Approvals::default(), Some(damage)),
        };
        approvals.put(approval);
        self.write_approvals(&approvals)?;
        Ok(damage)
    }

    /// Spends the approval of this very release, for the transaction that begins now: nobody else gets it, also after a
    /// power loss. Those of older versions lapse, so this is asked also for a release that needed none. `None` where
    /// there is none, or it cannot be read.
    pub fn take_approval(&self, revision: &Revision) -> Result<Option<Approval>> {
        let is_there = |approvals: &KeptApprovals| approvals.as_ref().is_ok_and(|approvals| !approvals.is_empty());
        if !is_there(&self.approvals()?) {
            return Ok(None);
        }
        let _alone = self.alone_at_the_approvals()?;
        let Ok(mut approvals) = self.approvals()? else { return Ok(None) };
        let before = approvals.clone();
        let taken = approvals.take(revision);
        if approvals != before {
            self.write_approvals(&approvals)?;
        }
        Ok(taken)
    }

    pub fn approvals_file(&self) -> PathBuf {
        self.dir.join("approve")
    }

    fn write_approvals(&self, approvals: &Approvals) -> Result<()> {
        let file = self.approvals_file();
        let put = || -> io::Result<()> {
            if approvals.is_empty() {
                return fs::remove_file(&file);
            }
            // Of a name of its own: who takes the app's lock sweeps away other files that are on their way.
            let beside = self.dir.join(".approve-beside");
            let mut new = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
            new.write_all(approvals.to_text().as_bytes())?;
            new.sync_all()?;
            fs::rename(&beside, &file)
        };
        put().map_err(explained).with_context(|| format!("write {}", file.display()))?;
        sync_folder(&self.dir)
    }

    /// Waits for the moment that another command needs.
    fn alone_at_the_approvals(&self) -> Result<File> {
        alone(&self.dir.join("approve.lock"))
    }
}
