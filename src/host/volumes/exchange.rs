//! A staged folder takes the place of `_data`.
//!
//! What has to be done next is read from what lies there, so a run that was killed anywhere is finished by the next one
//! without a record. The surprise: a file system without an exchange needs two renames, and between them there is no
//! `_data` at all. Nobody has the volume mounted then.

use std::path::Path;

use anyhow::{Result, anyhow, bail};

use super::place::{Beside, Place};

/// Where the data lies that gave way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchanged {
    pub failed: std::path::PathBuf,
}

/// What lies in a volume's folder, by inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) data: Option<u64>,
    pub(super) new: Option<u64>,
    pub(super) failed: Option<u64>,
}

/// One rename.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Move {
    /// `_data` and the stage at once.
    Swap,
    /// `_data` becomes the failed data.
    Aside,
    /// The stage becomes `_data`.
    Put,
    /// What was `_data` until the swap becomes the failed data.
    Name,
}

/// Puts the stage of this transaction in the place of `_data`, which stays beside it; on disk when this returns. Nothing
/// is done where `_data` is the staged folder already.
///
/// # Errors
/// When what lies there is neither what was staged nor what an earlier run left: nothing is touched then.
pub fn exchange(mountpoint: &Path, transaction: &str, staged: u64) -> Result<Exchanged> {
    let place = Place::of(mountpoint)?;
    let mut can_swap = true;
    while let Some(next) = next(look(&place, transaction)?, staged, can_swap)
        .map_err(|what| anyhow!("{}: {what}; look at that folder before anything else", mountpoint.display()))?
    {
        can_swap &= make(&place, transaction, next)?;
    }
    place.sync()?;
    Ok(Exchanged { failed: place.path_of(Beside::Failed.of(transaction)) })
}

pub(super) fn look(place: &Place, transaction: &str) -> Result<Look> {
    Ok(Look {
        data: place.inode(place.data())?,
        new: place.inode(Beside::New.of(transaction))?,
        failed: place.inode(Beside::Failed.of(transaction))?,
    })
}

/// The next rename; none where all is done.
pub(super) fn next(look: Look, staged: u64, can_swap: bool) -> Result<Option<Move>, String> {
    let is_staged = |inode: Option<u64>| inode == Some(staged);
    match look {
        Look { data, new: None, .. } if is_staged(data) => Ok(None),
        Look { data, failed: None, .. } if is_staged(data) => Ok(Some(Move::Name)),
        Look { data, .. } if is_staged(data) => Err("failed data lies there twice".to_owned()),
        Look { new, .. } if !is_staged(new) => {
            Err("neither _data nor the stage is the folder that was staged".to_owned())
        }
        Look { data: None, .. } => Ok(Some(Move::Put)),
        Look { failed: Some(_), .. } => Err("failed data of this transaction lies there already".to_owned()),
        Look { .. } if can_swap => Ok(Some(Move::Swap)),
        Look { .. } => Ok(Some(Move::Aside)),
    }
}

/// Makes one rename. `false`: this file system cannot swap, and nothing was done.
pub(super) fn make(place: &Place, transaction: &str, next: Move) -> Result<bool> {
    let (new, failed) = (Beside::New.of(transaction), Beside::Failed.of(transaction));
    match next {
        Move::Swap => return place.swap(place.data(), new),
        Move::Aside => place.rename(place.data(), failed)?,
        Move::Put => {
            if place.inode(place.data())?.is_some() {
                bail!("{} has come back by itself", place.path_of(place.data()).display());
            }
            place.rename(new, place.data())?;
        }
        Move::Name => place.rename(new, failed)?,
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt;
    use std::path::PathBuf;

    use proptest::prelude::*;

    use super::*;

    const TX: &str = "tx-1";

    /// A volume with live data and a stage, and the stage's inode.
    fn volume() -> (tempfile::TempDir, PathBuf, u64) {
        let dir = tempfile::tempdir().unwrap();
        let (data, new) = (dir.path().join("_data"), dir.path().join(Beside::New.of(TX)));
        for (folder, content) in [(&data, "failed"), (&new, "good")] {
            fs::create_dir(folder).unwrap();
            fs::write(folder.join("file"), content).unwrap();
        }
        let staged = fs::metadata(new).unwrap().ino();
        (dir, data, staged)
    }

    fn content(folder: &Path) -> String {
        fs::read_to_string(folder.join("file")).unwrap()
    }

    fn is_done(dir: &Path, data: &Path) {
        assert_eq!((content(data), content(&dir.join(failed_name()))), ("good".into(), "failed".into()));
        assert_eq!(fs::read_dir(dir).unwrap().count(), 2);
    }

    fn failed_name() -> String {
        Beside::Failed.of(TX)
    }

    /// Makes the first `moves` only, as a run that is killed then; whether there were as many.
    fn begin(data: &Path, staged: u64, can_swap: bool, moves: usize) -> bool {
        let place = Place::of(data).unwrap();
        for _ in 0..moves {
            let Some(next) = next(look(&place, TX).unwrap(), staged, can_swap).unwrap() else { return false };
            assert!(make(&place, TX, next).unwrap());
        }
        true
    }

    #[test]
    fn the_staged_data_takes_the_place_and_nothing_is_lost() {
        let (dir, data, staged) = volume();
        let done = exchange(&data, TX, staged).unwrap();
        assert_eq!(done.failed, dir.path().join(failed_name()));
        is_done(dir.path(), &data);
        exchange(&data, TX, staged).unwrap();
        is_done(dir.path(), &data);
    }

    #[test]
    fn a_run_that_was_killed_after_any_rename_is_finished_by_the_next() {
        for (before, after) in [(true, true), (false, false), (true, false), (false, true)] {
            for moves in 0.. {
                let (dir, data, staged) = volume();
                if !begin(&data, staged, before, moves) {
                    assert_eq!(moves, 3, "two renames, and one too many");
                    break;
                }
                // The good data and the failed data are whole under some name at every moment.
                let names: Vec<_> =
                    fs::read_dir(dir.path()).unwrap().map(|entry| content(&entry.unwrap().path())).collect();
                assert!(names.contains(&"good".to_owned()) && names.contains(&"failed".to_owned()), "{names:?}");
                begin(&data, staged, after, 9);
                is_done(dir.path(), &data);
                exchange(&data, TX, staged).unwrap();
                is_done(dir.path(), &data);
            }
        }
    }

    #[test]
    fn what_was_not_staged_never_takes_the_place() {
        let (dir, data, staged) = volume();
        let told = exchange(&data, TX, staged + 1).unwrap_err().to_string();
        assert!(told.contains("neither _data nor the stage is the folder that was staged"), "{told}");
        assert_eq!(content(&data), "failed");
        fs::create_dir(dir.path().join(failed_name())).unwrap();
        assert!(exchange(&data, TX, staged).unwrap_err().to_string().contains("already"));
        assert_eq!(content(&data), "failed");
    }

    #[test]
    fn a_link_in_the_place_of_the_data_is_not_followed() {
        let (dir, data, staged) = volume();
        fs::rename(&data, dir.path().join("elsewhere")).unwrap();
        std::os::unix::fs::symlink("elsewhere", &data).unwrap();
        assert!(exchange(&data, TX, staged).unwrap_err().to_string().contains("is no folder"));
        assert_eq!(content(&dir.path().join("elsewhere")), "failed");
    }

    proptest! {
        /// Whatever lies there: at most three renames, and only towards the end.
        #[test]
        fn every_look_leads_to_an_end(data in 0u64..4, new in 0u64..4, failed in 0u64..4, can_swap: bool) {
            let some = |inode: u64| Some(inode).filter(|inode| *inode > 0);
            let mut look = Look { data: some(data), new: some(new), failed: some(failed) };
            for _ in 0..3 {
                let Ok(Some(next)) = next(look, 1, can_swap) else { return Ok(()) };
                look = match next {
                    Move::Swap => Look { data: look.new, new: look.data, ..look },
                    Move::Aside => Look { data: None, failed: look.data, ..look },
                    Move::Put => Look { data: look.new, new: None, ..look },
                    Move::Name => Look { new: None, failed: look.new, ..look },
                };
            }
            prop_assert_eq!(next(look, 1, can_swap), Ok(None));
        }
    }
}
