//! A way back by hand is undone: a volume gets the data back that it had when that began.
//!
//! What has to be done next is read from what lies there, as in [`super::exchange`]. The surprise: the data that comes
//! back may lie under either name beside `_data`, since the exchange before may have been killed anywhere.

use std::path::Path;

use anyhow::{Result, anyhow, ensure};

use super::exchange::{Look, look};
use super::place::{Beside, Place};

/// What has taken the place of the data, or may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// The stage with this inode.
    By(u64),
    /// A fresh folder, where the data was set aside.
    SetAside,
}

/// One rename.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Move {
    /// `_data` and the failed data at once.
    Swap,
    FailedToNew,
    NewToFailed,
    FailedToData,
    NewToData,
    DataToFailed,
    DataToTried,
}

/// Puts the data back that gave way to this transaction's, and leaves that beside it as the failed data; what is in a
/// fresh folder has another name, by which it is told apart from the data that comes back. On disk when this returns. Nothing is done where nothing gave way.
///
/// # Errors
/// When what lies there is not what this transaction can have left: nothing is touched then.
pub fn give_back(mountpoint: &Path, transaction: &str, taken: Taken) -> Result<()> {
    let Some(place) = Place::existing(mountpoint)? else { return Ok(()) };
    let mut can_swap = true;
    while let Some(next) = next(look(&place, transaction)?, taken, can_swap)
        .map_err(|what| anyhow!("{}: {what}; look at that folder before anything else", mountpoint.display()))?
    {
        can_swap &= make(&place, transaction, next)?;
    }
    place.sync()
}

/// The next rename; none where all is done.
fn next(look: Look, taken: Taken, can_swap: bool) -> Result<Option<Move>, String> {
    match taken {
        Taken::By(staged) => next_of_staged(look, staged, can_swap),
        Taken::SetAside => next_of_set_aside(look),
    }
}

fn next_of_staged(look: Look, staged: u64, can_swap: bool) -> Result<Option<Move>, String> {
    let is_staged = |inode: Option<u64>| inode == Some(staged);
    match look {
        Look { data: None, new, failed: Some(_) } if is_staged(new) => Ok(Some(Move::FailedToData)),
        Look { data: None, new: Some(_), failed } if is_staged(failed) => Ok(Some(Move::NewToData)),
        Look { data: None, .. } => Err("the data that gave way is not there".to_owned()),
        Look { data, .. } if !is_staged(data) => Ok(None),
        Look { new: Some(_), failed: Some(_), .. } => Err("data that gave way lies there twice".to_owned()),
        Look { new: None, failed: None, .. } => Err("the data that gave way is not there".to_owned()),
        Look { failed: Some(_), .. } if can_swap => Ok(Some(Move::Swap)),
        Look { failed: Some(_), .. } => Ok(Some(Move::FailedToNew)),
        Look { .. } if can_swap => Ok(Some(Move::NewToFailed)),
        Look { .. } => Ok(Some(Move::DataToFailed)),
    }
}

/// There is failed data only for as long as it has not come back.
fn next_of_set_aside(look: Look) -> Result<Option<Move>, String> {
    match look {
        Look { failed: None, .. } => Ok(None),
        Look { data: None, .. } => Ok(Some(Move::FailedToData)),
        Look { .. } => Ok(Some(Move::DataToTried)),
    }
}

/// Makes one rename. `false`: this file system cannot swap, and nothing was done.
fn make(place: &Place, transaction: &str, next: Move) -> Result<bool> {
    let [new, failed, tried] = [Beside::New, Beside::Failed, Beside::Tried].map(|kind| kind.of(transaction));
    let (data, new, failed) = (place.data(), new.as_ref(), failed.as_ref());
    let (from, to) = match next {
        Move::Swap => return place.swap(data, failed),
        Move::FailedToNew => (failed, new),
        Move::NewToFailed => (new, failed),
        Move::FailedToData => (failed, data),
        Move::NewToData => (new, data),
        Move::DataToFailed => (data, failed),
        Move::DataToTried => (data, tried.as_ref()),
    };
    ensure!(place.inode(to)?.is_none(), "{} has come back by itself", place.path_of(to).display());
    place.rename(from, to)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::os::unix::fs::MetadataExt;
    use std::path::PathBuf;

    use super::*;
    use crate::host::volumes::set_aside;

    const TX: &str = "tx-1";

    fn volume(contents: &[(&str, &str)]) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        for (name, content) in contents {
            let folder = dir.path().join(name);
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join("file"), content).unwrap();
        }
        let data = dir.path().join("_data");
        (dir, data)
    }

    fn contents(dir: &Path) -> BTreeMap<String, String> {
        let folders = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
        let content = |path: &Path| fs::read_to_string(path.join("file")).unwrap_or_default();
        folders.map(|entry| (entry.file_name().into_string().unwrap(), content(&entry.path()))).collect()
    }

    fn named(contents: &[(&str, &str)]) -> BTreeMap<String, String> {
        contents.iter().map(|(name, content)| ((*name).to_owned(), (*content).to_owned())).collect()
    }

    fn inode(path: &Path) -> u64 {
        fs::metadata(path).unwrap().ino()
    }

    /// Makes the first `moves` only, as a run that is killed then; whether there were as many.
    fn begin(data: &Path, taken: Taken, can_swap: bool, moves: usize) -> bool {
        let place = Place::of(data).unwrap();
        for _ in 0..moves {
            let Some(next) = next(look(&place, TX).unwrap(), taken, can_swap).unwrap() else { return false };
            assert!(make(&place, TX, next).unwrap());
        }
        true
    }

    /// From wherever the exchange was killed, and this in turn after any rename.
    #[test]
    fn the_data_that_gave_way_comes_back_wherever_a_run_was_killed() {
        let (new, failed) = (Beside::New.of(TX), Beside::Failed.of(TX));
        let (new, failed) = (new.as_str(), failed.as_str());
        let ways = [("_data", new, failed), ("_data", failed, new), (new, "_data", failed), (new, failed, "_data")];
        for (stage, own, _) in ways {
            let was_in_place = stage == "_data";
            for (before, after) in [(true, true), (false, false), (true, false), (false, true)] {
                for moves in 0.. {
                    let (dir, data) = volume(&[(stage, "stage"), (own, "own")]);
                    let taken = Taken::By(inode(&dir.path().join(stage)));
                    let went_on = begin(&data, taken, before, moves);
                    let lies: Vec<String> = contents(dir.path()).into_values().collect();
                    assert!(lies.contains(&"own".to_owned()) && lies.contains(&"stage".to_owned()), "{lies:?}");
                    begin(&data, taken, after, 9);
                    let aside = if was_in_place { failed } else { new };
                    assert_eq!(contents(dir.path()), named(&[("_data", "own"), (aside, "stage")]));
                    give_back(&data, TX, taken).unwrap();
                    assert_eq!(contents(dir.path()), named(&[("_data", "own"), (aside, "stage")]));
                    if !went_on {
                        break;
                    }
                }
            }
        }
    }

    #[test]
    fn what_was_set_aside_comes_back_wherever_a_run_was_killed() {
        for moves in 0..3 {
            let (dir, data) = volume(&[("_data", "own")]);
            set_aside(&data, TX).unwrap();
            assert_ne!(contents(dir.path())["_data"], "own");
            begin(&data, Taken::SetAside, true, moves);
            for _ in 0..2 {
                give_back(&data, TX, Taken::SetAside).unwrap();
                assert_eq!(contents(dir.path()), named(&[("_data", "own"), (&Beside::Tried.of(TX), "")]));
            }
        }
        let (dir, data) = volume(&[("_data", "own")]);
        give_back(&data, TX, Taken::SetAside).unwrap();
        assert_eq!(contents(dir.path()), named(&[("_data", "own")]));
    }

    #[test]
    fn where_the_data_that_gave_way_is_gone_nothing_is_touched() {
        let (dir, data) = volume(&[("_data", "stage")]);
        let told = give_back(&data, TX, Taken::By(inode(&data))).unwrap_err().to_string();
        assert!(told.contains("is not there"), "{told}");
        let failed = Beside::Failed.of(TX);
        let (dir_of_both, both) = volume(&[("_data", "stage"), (&Beside::New.of(TX), "a"), (&failed, "b")]);
        assert!(give_back(&both, TX, Taken::By(inode(&both))).unwrap_err().to_string().contains("twice"));
        assert_eq!((contents(dir.path()).len(), contents(dir_of_both.path()).len()), (1, 3));
    }
}
