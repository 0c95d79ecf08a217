//! A disk that becomes full at any write: told, and nothing is left that is in anybody's way.

use std::fs;

use evenkeel::host::copying::CopyError;

use super::places::Mounted;
use super::{Kept, names, write};
use crate::chance::noise;

const KIB: usize = 1 << 10;

#[track_caller]
fn is_told(error: &CopyError, file: &str) {
    let told = error.to_string();
    assert!(matches!(error, CopyError::Failed(_)), "{error:?}");
    assert!(told.contains(file) && (told.contains("No space left") || told.contains("Cannot write")), "{told}");
}

#[test]
fn at_any_write_of_a_snapshot() {
    let disk = Mounted::tmpfs(2 * 1024 * KIB);
    let dir = tempfile::tempdir().unwrap();
    let volumes = dir.path().join("volumes");
    let kept = Kept::at(dir, disk.path(), &volumes);
    let data = kept.volume("wiki_data");
    write(&data, "noise", noise(600 * KIB));
    let ballast = disk.path().join("ballast");
    let (mut failed, mut sealed) = (0, 0);
    // From plenty of room down to none, a page at a time where it becomes tight.
    for free in (0..720).step_by(24).chain(590..640).rev() {
        let _ = fs::remove_file(&ballast);
        let _ = fs::remove_dir_all(kept.snapshots().path(""));
        fs::write(&ballast, vec![1; disk.free() - (free * KIB).min(disk.free())]).unwrap();
        match kept.archive("wiki_data") {
            Err(error) => {
                is_told(&error, if free < 8 { "" } else { "wiki_data" });
                failed += 1;
            }
            Ok(archived) => match kept.seal([("wiki_data".to_owned(), archived)].into()) {
                Err(error) => is_told(&error, "wiki.meta.json"),
                Ok(_) => sealed += 1,
            },
        }
        let left = fs::read_dir(kept.snapshots().path(super::ID)).map(|entries| entries.count()).unwrap_or(0);
        assert!(left <= 2, "no part is left");
    }
    assert!(failed > 20 && sealed > 5, "{failed} {sealed}");
    fs::remove_file(&ballast).unwrap();
    kept.stored(&["wiki_data"]);
}

#[test]
fn at_any_write_of_a_stage() {
    let disk = Mounted::tmpfs(4 * 1024 * KIB);
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let kept = Kept::at(dir, &state, disk.path());
    let data = kept.volume("wiki_data");
    for number in 0..20 {
        write(&data, &format!("noise-{number}"), noise(30 * KIB));
    }
    kept.stored(&["wiki_data"]);
    let ballast = disk.path().join("ballast");
    let (mut failed, mut whole) = (0, 0);
    for free in (0..800).step_by(40).rev() {
        let _ = fs::remove_file(&ballast);
        evenkeel::host::volumes::drop_stages(&data, &[]).unwrap();
        fs::write(&ballast, vec![1; disk.free() - (free * KIB).min(disk.free())]).unwrap();
        match kept.unpacked("wiki_data", None) {
            Ok(_) => whole += 1,
            Err(error) => {
                is_told(&error, "");
                assert_eq!(names(data.parent().unwrap()), ["_data"], "what was half done makes room again");
                failed += 1;
            }
        }
        assert_eq!(names(&data).len(), 20);
    }
    assert!(failed > 10 && whole > 2, "{failed} {whole}");
    fs::remove_file(&ballast).unwrap();
    kept.restored("wiki_data");
}
