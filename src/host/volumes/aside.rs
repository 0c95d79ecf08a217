//! Data of a volume that only a failed release created: it gives way to a fresh `_data`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::fs::{Mode, fchmod, fsync};

use super::place::{Beside, Place};

/// As the Engine makes it: `0755`, root's.
const FRESH: Mode = Mode::from_raw_mode(0o755);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Move {
    Aside,
    Fresh,
}

/// Moves the volume's data aside and leaves `_data` as a fresh volume has it; on disk when this returns. Gives where the
/// data lies; `None` where the volume does not exist.
pub fn set_aside(mountpoint: &Path, transaction: &str) -> Result<Option<PathBuf>> {
    let Some(place) = Place::existing(mountpoint)? else { return Ok(None) };
    while let Some(next) = next(&place, transaction)? {
        make(&place, transaction, next)?;
    }
    place.sync()?;
    let failed = Beside::Failed.of(transaction);
    Ok(place.inode(&failed)?.map(|_| place.path_of(failed)))
}

/// From what lies there: the failed data gets its name before a fresh folder takes the place.
fn next(place: &Place, transaction: &str) -> Result<Option<Move>> {
    let data = place.inode(place.data())?.is_some();
    let failed = place.inode(Beside::Failed.of(transaction))?.is_some();
    Ok(match (data, failed) {
        (true, false) => Some(Move::Aside),
        (false, true) => Some(Move::Fresh),
        (true, true) | (false, false) => None,
    })
}

fn make(place: &Place, transaction: &str, next: Move) -> Result<()> {
    match next {
        Move::Aside => place.rename(place.data(), Beside::Failed.of(transaction)),
        Move::Fresh => {
            // Of another name until it is whole: what a killed run left of it is made again.
            let part = Beside::Part.of(transaction);
            place.remove(&part)?;
            place.make(&part)?;
            let folder = place.open(&part)?;
            fchmod(&folder, FRESH).with_context(|| format!("set the mode of {}", place.path_of(&part).display()))?;
            fsync(&folder).with_context(|| format!("sync {}", place.path_of(&part).display()))?;
            place.rename(part, place.data())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_data_gives_way_to_a_fresh_folder_wherever_a_run_is_killed() {
        for moves in 0..3 {
            let dir = tempfile::tempdir().unwrap();
            let data = dir.path().join("_data");
            fs::create_dir(&data).unwrap();
            fs::set_permissions(&data, fs::Permissions::from_mode(0o700)).unwrap();
            fs::write(data.join("file"), "failed").unwrap();
            let place = Place::of(&data).unwrap();
            for _ in 0..moves {
                next(&place, "tx").unwrap().into_iter().for_each(|next| make(&place, "tx", next).unwrap());
            }
            if moves == 1 {
                fs::create_dir(dir.path().join(Beside::Part.of("tx"))).unwrap();
            }
            for _ in 0..2 {
                let failed = set_aside(&data, "tx").unwrap().unwrap();
                assert_eq!(fs::read_to_string(failed.join("file")).unwrap(), "failed");
                assert_eq!(fs::read_dir(&data).unwrap().count(), 0);
                assert_eq!(fs::metadata(&data).unwrap().permissions().mode() & 0o7777, 0o755);
            }
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
        }
    }

    #[test]
    fn a_volume_that_was_never_made_has_nothing_to_move() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(set_aside(&dir.path().join("nowhere/_data"), "tx").unwrap(), None);
    }
}
