//! All that can be seen of a tree, for comparing.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{SeekFrom, lgetxattr, llistxattr, seek};

/// One entry. Two trees are equal when all of theirs are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    mode: u32,
    ids: (u32, u32),
    modified: (i64, i64),
    length: u64,
    has_holes: bool,
    device: u64,
    link: Option<PathBuf>,
    /// Pieces that are not zero, by offset.
    data: Vec<(u64, Vec<u8>)>,
    attributes: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The first name of the same inode.
    same_as: PathBuf,
}

/// By path from the root, which is the empty one. Sockets are left out.
pub fn fingerprint(root: &Path) -> BTreeMap<PathBuf, Entry> {
    let mut paths = Vec::new();
    below(root, &mut paths);
    paths.sort();
    let mut firsts: BTreeMap<u64, PathBuf> = BTreeMap::new();
    let mut all = BTreeMap::new();
    for path in paths {
        let name = path.strip_prefix(root).unwrap().to_owned();
        let meta = fs::symlink_metadata(&path).unwrap();
        let same_as = firsts.entry(meta.ino()).or_insert_with(|| name.clone()).clone();
        all.insert(name, entry(&path, &meta, same_as));
    }
    all
}

/// Tells only what differs: the trees are large.
#[track_caller]
pub fn assert_equal(found: &BTreeMap<PathBuf, Entry>, expected: &BTreeMap<PathBuf, Entry>) {
    let differs = |path: &&PathBuf| found.get(*path) != expected.get(*path);
    let mut paths: Vec<_> = found.keys().chain(expected.keys()).filter(differs).collect();
    paths.dedup();
    let told: Vec<_> = paths.iter().map(|path| (path, found.get(*path), expected.get(*path))).collect();
    assert!(told.is_empty(), "path, found, expected: {told:#?}");
}

fn below(path: &Path, paths: &mut Vec<PathBuf>) {
    let kind = fs::symlink_metadata(path).unwrap().file_type();
    if kind.is_socket() {
        return;
    }
    paths.push(path.to_owned());
    if kind.is_dir() {
        fs::read_dir(path).unwrap().for_each(|entry| below(&entry.unwrap().path(), paths));
    }
}

fn entry(path: &Path, meta: &fs::Metadata, same_as: PathBuf) -> Entry {
    let is_file = meta.is_file();
    Entry {
        mode: meta.mode(),
        ids: (meta.uid(), meta.gid()),
        modified: (meta.mtime(), meta.mtime_nsec()),
        length: if meta.is_dir() { 0 } else { meta.len() },
        has_holes: is_file && meta.blocks() * 512 < meta.len(),
        device: meta.rdev(),
        link: meta.is_symlink().then(|| fs::read_link(path).unwrap()),
        data: if is_file { data(path) } else { Vec::new() },
        attributes: attributes(path),
        same_as,
    }
}

fn data(path: &Path) -> Vec<(u64, Vec<u8>)> {
    let file = File::open(path).unwrap();
    let (mut pieces, mut at) = (Vec::new(), 0);
    while let Ok(begin) = seek(&file, SeekFrom::Data(at)) {
        let end = seek(&file, SeekFrom::Hole(begin)).unwrap();
        for offset in (begin..end).step_by(4096) {
            let mut piece = vec![0; 4096.min(end - offset) as usize];
            file.read_exact_at(&mut piece, offset).unwrap();
            pieces.extend(Some((offset, piece)).filter(|(_, piece)| piece.iter().any(|byte| *byte != 0)));
        }
        at = end;
    }
    pieces
}

fn attributes(path: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut names = vec![0; 64 << 10];
    let length = llistxattr(path, names.as_mut_slice()).unwrap();
    let names = names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty());
    let value = |name: &[u8]| {
        let mut value = vec![0; 64 << 10];
        let length = lgetxattr(path, std::ffi::OsStr::from_bytes(name), value.as_mut_slice()).unwrap();
        value[..length].to_vec()
    };
    names.map(|name| (name.to_vec(), value(name))).collect()
}
