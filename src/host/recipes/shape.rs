//! A mirror's own files, and whether they are as we made them.
//!
//! A repository can make git run programs and read other folders: by its config, its hooks, its alternates, a
//! `commondir`. So a mirror has the few files that we write and git's objects, and nothing else; one that has more is
//! not looked into, and is made anew. Refs are named after the ids that they keep, all in one file that we write.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, DirBuilder, DirEntry};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use anyhow::{Context, Result};

use super::remote::Tips;
use crate::host::store::replace;
use crate::model::version::Commit;

const CONFIG: &str = "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n";
/// A branch that is never there.
const HEAD: &str = "ref: refs/heads/none\n";
const TIPS: &str = "tips.json";
const REFS: &str = "packed-refs";
/// Left by whoever finds that objects are missing or broken.
const DAMAGED: &str = "damaged";

/// Makes an empty mirror of a folder.
pub(super) fn make(mirror: &Path) -> Result<()> {
    let made = || -> io::Result<()> {
        for folder in ["objects", "objects/pack", "refs"] {
            DirBuilder::new().mode(0o700).create(mirror.join(folder))?;
        }
        fs::write(mirror.join("config"), CONFIG)?;
        fs::write(mirror.join("HEAD"), HEAD)
    };
    made().with_context(|| format!("make a mirror in {}", mirror.display()))
}

/// Whether all that lies there is what we or git put there. Objects are not looked into.
pub(super) fn is_ours(mirror: &Path) -> bool {
    let is_folder = fs::symlink_metadata(mirror).is_ok_and(|found| found.is_dir());
    let files = is_folder
        && all(mirror, |entry, name| match name {
            "objects" | "refs" => is_dir(entry),
            "config" | "HEAD" | TIPS | REFS | "shallow" => is_file(entry),
            // What a person's `git gc` leaves.
            "info" => is_dir(entry) && all(&entry.path(), |file, name| name == "refs" && is_file(file)),
            "FETCH_HEAD" | "gc.pid" | "gc.log" => is_file(entry),
            // On its way when we or git were killed.
            _ => is_file(entry) && (name.ends_with(".lock") || name.starts_with(".beside-")),
        });
    let holds = |file: &str, text: &str| fs::read(mirror.join(file)).is_ok_and(|bytes| bytes == text.as_bytes());
    files
        && holds("config", CONFIG)
        && holds("HEAD", HEAD)
        && all(&mirror.join("refs"), |_, _| false)
        && all(&mirror.join("objects"), is_object_folder)
        && all(&mirror.join("objects/pack"), |entry, _| is_file(entry))
}

/// Loose objects, packs, and what a cleaning leaves. `info/alternates` would send git to other folders.
fn is_object_folder(entry: &DirEntry, name: &str) -> bool {
    if name == "info" {
        return is_dir(entry)
            && all(&entry.path(), |file, name| matches!(name, "packs" | "commit-graph") && is_file(file));
    }
    let by_id = name.len() == 2 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_dir(entry) && (name == "pack" || by_id && all(&entry.path(), |object, _| is_file(object)))
}

fn all(folder: &Path, is_ours: impl Fn(&DirEntry, &str) -> bool) -> bool {
    let Ok(mut entries) = fs::read_dir(folder) else { return false };
    entries.all(|entry| entry.is_ok_and(|entry| entry.file_name().to_str().is_some_and(|name| is_ours(&entry, name))))
}

fn is_dir(entry: &DirEntry) -> bool {
    entry.file_type().is_ok_and(|kind| kind.is_dir())
}

fn is_file(entry: &DirEntry) -> bool {
    entry.file_type().is_ok_and(|kind| kind.is_file())
}

/// Notes that objects of the mirror are missing or broken: the next fetch makes it anew.
pub(super) fn mark_damaged(mirror: &Path) {
    // On a disk that cannot be written nothing can be mended either, and the damage is told in any case.
    let _ = fs::create_dir(mirror.join(DAMAGED));
}

/// The tips of the last fetch. `None` where there was none that ended, or the file is damaged.
pub(super) fn tips(mirror: &Path) -> Option<Tips> {
    serde_json::from_slice(&fs::read(mirror.join(TIPS)).ok()?).ok()
}

/// Records what a fetch brought. The refs come first: an object that a tip names always has one.
pub(super) fn record(mirror: &Path, tips: &Tips, kept: &BTreeSet<Commit>) -> Result<()> {
    keep(mirror, tips.ids().union(kept))?;
    let text = serde_json::to_vec(tips).context("write the tips as JSON")?;
    replace(&mirror.join(TIPS), &text)
}

/// Lets git know that these objects are here: it neither asks for them again nor ever removes them.
pub(super) fn keep<'a>(mirror: &Path, ids: impl Iterator<Item = &'a Commit>) -> Result<()> {
    let lines: String = ids.map(|id| format!("{id} refs/kept/{id}\n")).collect();
    replace(&mirror.join(REFS), format!("# pack-refs with: sorted \n{lines}").as_bytes())
}

/// Packs, by name.
pub(super) fn packs(mirror: &Path) -> io::Result<BTreeSet<std::ffi::OsString>> {
    fs::read_dir(mirror.join("objects/pack"))?.map(|entry| Ok(entry?.file_name())).collect()
}

/// Removes packs, whole or not, that are none of `before`: what a fetch that failed has left.
pub(super) fn remove_packs_but(mirror: &Path, before: &BTreeSet<std::ffi::OsString>) -> io::Result<()> {
    for name in packs(mirror)?.difference(before) {
        remove_if_there(&mirror.join("objects/pack").join(name))?;
    }
    Ok(())
}

/// Removes lock files and packs that were on their way. Nobody may be at work.
pub(super) fn remove_leftovers(mirror: &Path) -> io::Result<()> {
    for folder in ["", "objects/pack"] {
        for entry in fs::read_dir(mirror.join(folder))? {
            let entry = entry?;
            let name = entry.file_name();
            let begins = |start: &str| name.as_encoded_bytes().starts_with(start.as_bytes());
            if entry.path().extension() == Some(OsStr::new("lock")) || begins("tmp_") || begins(".beside-") {
                remove_if_there(&entry.path())?;
            }
        }
    }
    Ok(())
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(cause),
        _ => Ok(()),
    }
}

/// Bytes on disk of all files below. What goes while we count does not count.
pub(super) fn size(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let size_of = |entry: DirEntry| match entry.metadata() {
        Ok(found) if found.is_dir() => size(&entry.path()),
        Ok(found) => std::os::unix::fs::MetadataExt::blocks(&found) * 512,
        Err(_) => 0,
    };
    entries.flatten().map(size_of).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use tempfile::TempDir;

    fn mirror() -> TempDir {
        let dir = TempDir::new().unwrap();
        make(dir.path()).unwrap();
        record(dir.path(), &Tips::default(), &BTreeSet::new()).unwrap();
        dir
    }

    #[test]
    fn a_mirror_is_ours_as_we_made_it() {
        let mirror = mirror();
        assert!(is_ours(mirror.path()));
        for file in
            ["packed-refs.lock", ".beside-a1b2", "objects/pack/tmp_pack_x", "objects/pack/pack-1.idx", "shallow"]
        {
            fs::write(mirror.path().join(file), "").unwrap();
        }
        fs::create_dir(mirror.path().join("objects/0a")).unwrap();
        assert!(is_ours(mirror.path()));
        remove_leftovers(mirror.path()).unwrap();
        assert!(is_ours(mirror.path()) && !mirror.path().join("objects/pack/tmp_pack_x").exists());
        assert_eq!(tips(mirror.path()), Some(Tips::default()));
    }

    #[test]
    fn a_mirror_with_anything_else_is_not_ours() {
        type Change = fn(&Path) -> io::Result<()>;
        let changes: [Change; 12] = [
            |m| fs::write(m.join("config"), format!("{CONFIG}[core]\n\tfsmonitor = touch /tmp/x\n")),
            |m| fs::write(m.join("HEAD"), ""),
            |m| fs::write(m.join("commondir"), "/tmp/other\n"),
            |m| fs::create_dir(m.join("hooks")),
            |m| fs::create_dir(m.join("info")).and_then(|()| fs::write(m.join("info/grafts"), "")),
            |m| fs::create_dir(m.join("objects/info")).and_then(|()| fs::write(m.join("objects/info/alternates"), "")),
            |m| fs::create_dir_all(m.join("refs/replace")),
            |m| fs::remove_dir_all(m.join("objects/pack")),
            |m| fs::remove_dir(m.join("refs")).and_then(|()| symlink("/tmp", m.join("refs"))),
            |m| symlink("/etc/passwd", m.join("objects/pack/pack-1.pack")),
            |m| fs::remove_file(m.join("config")).and_then(|()| symlink("/etc/passwd", m.join("config"))),
            |m| {
                mark_damaged(m);
                Ok(())
            },
        ];
        for (number, change) in changes.into_iter().enumerate() {
            let mirror = mirror();
            change(mirror.path()).unwrap();
            assert!(!is_ours(mirror.path()), "change {number}");
        }
        assert!(!is_ours(Path::new("/no/such/folder")));
    }
}
