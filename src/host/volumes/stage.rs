//! A stage: a volume's data unpacked beside `_data`, ready to take its place.
//!
//! It gets its name when it is whole and on disk, so what has that name can be counted on. The surprise: an archive is
//! read twice. Nothing of one that does not match its digest is ever unpacked, also not into a stage.

use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::mpsc::{self, SyncSender};
use std::thread;

use anyhow::{Context, Result, anyhow, bail};
use rustix::fs::syncfs;

use super::measure;
use super::place::{Beside, Place};
use crate::host::copying::{CopyError, Watch};
use crate::host::gnu_tar::Tar;
use crate::host::snapshots::{Archive, Archived};
use crate::host::store::Lock;

const PIECE: usize = 256 << 10;
/// So much is unpacked before the disk gets it.
const UNSYNCED: usize = 64 << 20;

/// Unpacks an archive into the stage of this transaction; on disk when this returns. Gives the stage's inode, which
/// [`exchange`](super::exchange) asks for.
///
/// Nothing is done where `_data` or the stage is the folder that the journal names (`journalled`), or the stage is whole.
///
/// # Errors
/// `Damaged` before anything is unpacked. What a failure leaves is removed; what a killed run left is made again.
pub fn unpack(
    lock: &Lock,
    archive: &mut Archive,
    mountpoint: &Path,
    transaction: &str,
    journalled: Option<u64>,
    watch: &Watch<'_>,
) -> Result<u64, CopyError> {
    let place = Place::of(mountpoint)?;
    if let Some(inode) = standing(&place, transaction, journalled, archive.stored())? {
        return Ok(inode);
    }
    let part = Beside::Part.of(transaction);
    place.remove(&part)?;
    archive.check(watch)?;
    place.make(&part)?;
    let unpacked = fill(lock, archive, &place, &part, watch);
    if let Err(CopyError::Failed(_) | CopyError::Damaged(_)) = &unpacked {
        // The disk may be full because of it. Where this fails too, the first reason is the one to tell.
        let _ = place.remove(&part);
    }
    unpacked?;
    let new = Beside::New.of(transaction);
    place.rename(part, &new)?;
    let inode = place.inode(&new)?.context("the stage is gone just after it was made")?;
    Ok(inode)
}

/// The stage, if it is there already, whole, under its own name or as `_data`.
fn standing(place: &Place, transaction: &str, journalled: Option<u64>, stored: &Archived) -> Result<Option<u64>> {
    let data = place.inode(place.data())?;
    if data.is_some() && data == journalled {
        return Ok(data);
    }
    let new = Beside::New.of(transaction);
    let Some(inode) = place.inode(&new)? else { return Ok(None) };
    if journalled == Some(inode) {
        return Ok(Some(inode));
    }
    let path = place.path_of(&new);
    let (size, _) = measure(&path)?;
    if (size.entries, size.bytes) != (stored.content.entries, stored.content.bytes) {
        bail!("{} is not what was unpacked there: look at it, and move it away", path.display());
    }
    Ok(Some(inode))
}

fn fill(lock: &Lock, archive: &mut Archive, place: &Place, part: &str, watch: &Watch<'_>) -> Result<(), CopyError> {
    let path = place.path_of(part);
    // Entered before anything is written, so that no failed write is missed.
    let folder = place.open(part)?;
    let told = format!("unpack {} into {}", archive.path().display(), path.display());
    let mut fill = || -> Result<(), CopyError> {
        extract(lock, archive, &path, &folder, watch)?;
        let (size, sockets) = measure(&path)?;
        let stored = archive.stored().content;
        let is_whole = (size.entries, size.bytes) == (stored.entries, stored.bytes) && sockets.is_empty();
        if !is_whole {
            return Err(anyhow!("{} entries came out instead of {}", size.entries, stored.entries).into());
        }
        syncfs(&folder).context("sync the file system")?;
        Ok(())
    };
    fill().map_err(|error| match error {
        CopyError::Failed(cause) => cause.context(told).into(),
        other => other,
    })
}

fn extract(
    lock: &Lock,
    archive: &mut Archive,
    into: &Path,
    folder: &OwnedFd,
    watch: &Watch<'_>,
) -> Result<(), CopyError> {
    let (tar, mut stdin) = Tar::extract(into, lock.share()?)?;
    let (due, syncs) = mpsc::sync_channel(0);
    let (fed, synced) = thread::scope(|scope| {
        let syncing = scope.spawn(move || syncs.iter().try_for_each(|()| syncfs(folder)));
        let fed = archive.decoded(watch, move |stream| feed(stream, &mut stdin, &due));
        (fed, syncing.join().expect("nothing panics there"))
    });
    // What it cannot be given whole is told before tar's words, which would tell less.
    let (fed, _) = fed?;
    tar.finish()?;
    // Linux tells a failed write once: what this sync was told, the one at the end is not.
    synced.context("sync the file system")?;
    match fed {
        // tar ends where the archive does, and takes the zeros behind that or not.
        Err(cause) if cause.kind() != io::ErrorKind::BrokenPipe => Err(anyhow!(cause).context("write to tar").into()),
        _ => Ok(()),
    }
}

/// Outside: what cannot be read. Inside: what tar does not take. What was unpacked goes to the disk while more is, so
/// that the sync at the end has less to wait for.
fn feed(stream: &mut dyn Read, tar: &mut impl Write, due: &SyncSender<()>) -> io::Result<io::Result<()>> {
    let mut piece = vec![0; PIECE];
    let mut unsynced = 0;
    loop {
        let length = stream.read(&mut piece)?;
        if length == 0 {
            return Ok(Ok(()));
        }
        if let Err(cause) = tar.write_all(&piece[..length]) {
            return Ok(Err(cause));
        }
        unsynced += length;
        // While one is under way the next is not due.
        if unsynced >= UNSYNCED && due.try_send(()).is_ok() {
            unsynced = 0;
        }
    }
}
