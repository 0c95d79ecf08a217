//! A tree with everything that a volume can hold, but what is told as unfaithful.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags, chownat, lsetxattr, makedev, mknodat,
    utimensat,
};

use super::write;

/// `user::rw- user:4711:r-- group::r-- mask::r-- other::---`
const ACL: [u8; 44] = [
    2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 4, 0, 0x67, 0x12, 0, 0, 4, 0, 4, 0, 255, 255, 255, 255, 16, 0, 4,
    0, 255, 255, 255, 255, 32, 0, 0, 0, 255, 255, 255, 255,
];
/// `cap_net_bind_service=ep`
const CAPABILITY: [u8; 20] = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

pub fn grow(root: &Path) {
    for folder in ["a", "b/c", "run", "empty", "deep", "sticky"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    write(root, "README", "hello\n");
    write(root, "empty-file", "");
    write(root, "zeros", vec![0; 20_000]);
    write(
        root,
        "random",
        (0..300_000_u64).map(|n| (n.wrapping_mul(n).wrapping_mul(2_654_435_761) >> 13) as u8).collect::<Vec<_>>(),
    );
    links(root);
    sparse(root);
    special(root);
    names(root);
    rights(root);
    attributes(root);
    times(root);
}

/// As a failed version leaves it.
pub fn spoil(root: &Path) {
    fs::remove_file(root.join("README")).unwrap();
    write(root, "migrated", "yes");
    fs::remove_dir_all(root.join("b")).unwrap();
    fs::set_permissions(root, Permissions::from_mode(0o700)).unwrap();
}

/// The same, of plain files.
pub fn spoil_files(root: &Path) {
    for entry in fs::read_dir(root).unwrap() {
        fs::write(entry.unwrap().path(), "spoilt").unwrap();
    }
}

fn links(root: &Path) {
    write(root, "a/first", "three names");
    fs::hard_link(root.join("a/first"), root.join("b/second")).unwrap();
    fs::hard_link(root.join("a/first"), root.join("b/c/third")).unwrap();
    symlink("../README", root.join("a/link")).unwrap();
    fs::hard_link(root.join("a/link"), root.join("b/same-link")).unwrap();
    symlink("/nowhere/at all", root.join("dangling")).unwrap();
    symlink("x".repeat(300), root.join("long-link")).unwrap();
    symlink("..", root.join("b/up")).unwrap();
}

fn sparse(root: &Path) {
    let file = |name: &str, length: u64, pieces: &[u64]| {
        let file = File::create(root.join(name)).unwrap();
        file.set_len(length).unwrap();
        pieces.iter().for_each(|at| file.write_all_at(b"data", *at).unwrap());
    };
    file("all-hole", 64 << 20, &[]);
    file("beyond-8-gib", 9 << 30, &[0, 5 << 30, (9 << 30) - 4]);
    file("many-extents", 40 << 20, &(0..200).map(|n| n * (200 << 10)).collect::<Vec<_>>());
    file("hole-at-end", 1 << 20, &[0]);
}

fn special(root: &Path) {
    mknodat(CWD, root.join("run/fifo"), FileType::Fifo, Mode::from_raw_mode(0o620), 0).unwrap();
    drop(UnixListener::bind(root.join("run/db.sock")).unwrap());
}

pub fn device(path: &Path, major: u32, minor: u32) {
    mknodat(CWD, path, FileType::CharacterDevice, Mode::from_raw_mode(0o666), makedev(major, minor)).unwrap();
}

fn names(root: &Path) {
    for name in
        ["-rf", "--checkpoint-action=exec=sh", "new\nline", "tab\t", "back\\slash", " space ", "*", "ünï", "a=b", "@x"]
    {
        write(root, name, name);
    }
    write(root, &"n".repeat(255), "long name");
    for bytes in [&b"not\xffutf8"[..], b"\x01\x1b[31m", b"\xc3"] {
        fs::write(root.join(OsStr::from_bytes(bytes)), bytes).unwrap();
    }
    let deep: PathBuf = (0..9).map(|level| format!("{level}").repeat(110)).collect();
    fs::create_dir_all(root.join("deep").join(&deep)).unwrap();
    write(&root.join("deep").join(&deep), "bottom", "deep");
    fs::create_dir(root.join("evenkeel-tx-1-new")).unwrap();
}

fn rights(root: &Path) {
    let mode = |name: &str, mode: u32| fs::set_permissions(root.join(name), Permissions::from_mode(mode)).unwrap();
    let own = |name: &str, uid: u32, gid: u32| {
        let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        chownat(CWD, root.join(name), uid, gid, AtFlags::SYMLINK_NOFOLLOW).unwrap();
    };
    for name in ["setuid", "setgid", "nobody-reads", "large-ids", "sticky/mine"] {
        write(root, name, name);
    }
    fs::create_dir(root.join("closed")).unwrap();
    write(root, "closed/file", "in a folder that cannot be written");
    fs::create_dir(root.join("setgid-folder")).unwrap();
    own("large-ids", 3_000_000_000, 4_294_967_294);
    own("dangling", 65_537, 70_000);
    own("setuid", 999, 999);
    own("", 999, 999);
    own("run", 70_001, 70_002);
    mode("setuid", 0o4755);
    mode("setgid", 0o2755);
    mode("sticky", 0o1777);
    mode("setgid-folder", 0o2775);
    mode("nobody-reads", 0o000);
    mode("closed", 0o500);
    mode("", 0o750);
}

pub fn attribute(path: &Path, name: &str, value: &[u8]) {
    lsetxattr(path, name, value, XattrFlags::empty()).unwrap_or_else(|error| panic!("{name} on {path:?}: {error}"));
}

fn attributes(root: &Path) {
    write(root, "attributes", "x");
    attribute(&root.join("attributes"), "user.plain", b"value");
    attribute(&root.join("attributes"), "user.bytes", b"\x00\xff\n=");
    attribute(&root.join("attributes"), "user.empty", b"");
    attribute(&root.join("attributes"), "user.large", &[7; 2000]);
    attribute(&root.join("a"), "user.of a folder", b"1");
    attribute(root, "user.of.the.root", b"1");
    write(root, "capable", "x");
    attribute(&root.join("capable"), "security.capability", &CAPABILITY);
    write(root, "acl", "x");
    attribute(&root.join("acl"), "system.posix_acl_access", &ACL);
    attribute(&root.join("b"), "system.posix_acl_access", &ACL);
    attribute(&root.join("b"), "system.posix_acl_default", &ACL);
}

/// Last, since everything above changes them.
fn times(root: &Path) {
    let set = |name: &str, seconds: i64, nanoseconds: i64| {
        let time = Timespec { tv_sec: seconds, tv_nsec: nanoseconds };
        let times = Timestamps { last_access: time, last_modification: time };
        utimensat(CWD, root.join(name), &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
    };
    set("README", 1_700_000_000, 123_456_789);
    set("empty-file", -86_400, 0);
    set("zeros", -1, 500_000_000);
    set("random", 15_000_000_000, 1);
    set("a/link", 1_000_000_000, 999_999_999);
    set("run/fifo", 5, 5);
    set("empty", 1_234_567_890, 987_654_321);
    set("closed", 1, 1);
    set("b/c", -2_000_000_000, 7);
    set("", 1_600_000_000, 42);
}
