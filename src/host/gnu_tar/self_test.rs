//! Whether the tar on PATH keeps what it has to keep: other tars take the same flags, or some of them.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, bail, ensure};
use rustix::fs::{XattrFlags, lgetxattr, lsetxattr};

use super::{Tar, program};

const USER: (&str, &[u8]) = ("user.evenkeel", b"kept");
/// `user::rw- user:4711:r-- group::r-- mask::r-- other::---`, as the kernel has it.
const ACL: (&str, &[u8]) = (
    "system.posix_acl_access",
    &[
        2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 4, 0, 0x67, 0x12, 0, 0, 4, 0, 4, 0, 255, 255, 255, 255, 16,
        0, 4, 0, 255, 255, 255, 255, 32, 0, 0, 0, 255, 255, 255, 255,
    ],
);

/// Packs and unpacks one file with an attribute and an ACL in a folder of its own below `near`.
///
/// # Errors
/// When tar is missing, is not GNU tar, or does not bring back what the file system there can hold.
pub fn self_test(near: &Path) -> Result<()> {
    is_gnu()?;
    let room = tempfile::Builder::new().prefix(".tar-").tempdir_in(near);
    let room = room.with_context(|| format!("make a folder in {} to try tar in", near.display()))?;
    let (from, to) = (room.path().join("from"), room.path().join("to"));
    let try_it = || -> Result<()> {
        fs::create_dir(&from)?;
        fs::create_dir(&to)?;
        fs::write(from.join("file"), "content")?;
        let held = held(&from.join("file"))?;
        copy(&from, &to)?;
        for (name, value) in held {
            let lost = "tar is built without support for ACLs or extended attributes; install GNU tar with both";
            ensure!(attribute(&to.join("file"), name).as_deref() == Some(value), "{name} did not come back: {lost}");
        }
        ensure!(fs::read(to.join("file"))? == b"content", "the content did not come back");
        Ok(())
    };
    try_it().context("tar was tried with one file")
}

fn is_gnu() -> Result<()> {
    let output = std::process::Command::new(program().map_err(super::not_run)?)
        .arg("--version")
        .env_clear()
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .map_err(super::not_run)?;
    let words = String::from_utf8_lossy(&output.stdout);
    let first = words.lines().next().unwrap_or_default();
    if !first.starts_with("tar (GNU tar)") {
        bail!("the tar on PATH is not GNU tar but says {first:?}: it would lose attributes; put GNU tar first on PATH");
    }
    Ok(())
}

/// Sets what this file system can hold.
fn held(file: &Path) -> Result<Vec<(&'static str, &'static [u8])>> {
    let mut held = Vec::new();
    for (name, value) in [USER, ACL] {
        match lsetxattr(file, name, value, XattrFlags::empty()) {
            Ok(()) => held.push((name, value)),
            // tar still says by itself when it was built without.
            Err(rustix::io::Errno::OPNOTSUPP) => {}
            Err(cause) => return Err(cause).with_context(|| format!("set {name}")),
        }
    }
    Ok(held)
}

fn attribute(file: &Path, name: &str) -> Option<Vec<u8>> {
    let mut value = vec![0; 256];
    let length = lgetxattr(file, name, value.as_mut_slice()).ok()?;
    value.truncate(length);
    Some(value)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let nothing = || File::options().read(true).write(true).open("/dev/null");
    let (packing, mut packed) = Tar::create(from, nothing()?)?;
    let (unpacking, mut unpacked) = Tar::extract(to, nothing()?)?;
    let copied = io::copy(&mut packed, &mut unpacked);
    drop(unpacked);
    io::copy(&mut packed, &mut io::sink()).context("read from tar")?;
    packing.finish()?;
    unpacking.finish()?;
    match copied {
        // It ends where the archive does, and takes the zeros behind that or not.
        Err(cause) if cause.kind() != io::ErrorKind::BrokenPipe => Err(cause).context("copy from tar to tar"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tar_of_this_machine_keeps_what_it_has_to_keep() {
        self_test(tempfile::tempdir().unwrap().path()).unwrap();
    }
}
