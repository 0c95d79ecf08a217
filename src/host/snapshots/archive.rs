//! One volume into one file: tar, zstd, sha256, each working while the others do.

use std::fs::File;
use std::io::{self, Read, Write};
use std::num::NonZeroU64;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use rustix::fs::{Advice, fadvise};
use sha2::{Digest, Sha256};
use zstd::stream::write::Encoder;

use super::folder::Folder;
use super::manifest::Archived;
use crate::host::copying::{CopyError, Watch};
use crate::host::gnu_tar::Tar;
use crate::host::store::explained;
use crate::host::volumes::{find_unfaithful, measure};
use crate::model::hex;

const LEVEL: i32 = 3;
const WORKERS: u32 = 2;
/// What a worker takes at once. Smaller ones compress no better and larger ones cost memory only.
const JOB: u32 = 2 << 20;
/// What is read from tar at once.
const PIECE: usize = 256 << 10;
/// So much goes to the disk while the rest is compressed; the sync at the end has to wait for the last one only.
const SENT: u64 = 16 << 20;

/// Stores a volume as `file` in the folder; on disk under that name when this returns.
pub(super) fn archive(
    folder: &Folder,
    file: &str,
    mountpoint: &Path,
    lock: File,
    watch: &Watch<'_>,
) -> Result<Archived, CopyError> {
    if let Some(found) = find_unfaithful(mountpoint)?.first() {
        return Err(anyhow!("{found}, and would not come back as it is").into());
    }
    let (content, sockets) = measure(mountpoint)?;
    let mut beside = folder.begin(file)?;
    let mut digest = Digesting { inner: &mut beside.file, digest: Sha256::new(), bytes: 0, sent: 0 };
    let unpacked = compress(mountpoint, lock, content.bytes, &mut digest, watch);
    let unpacked = unpacked.map_err(|error| named(error, mountpoint, &folder.path_of(file)))?;
    let (sha256, bytes) = (hex(&digest.digest.finalize()), digest.bytes);
    beside.finish()?;
    Ok(Archived { file: file.to_owned(), bytes, sha256, unpacked, content, sockets })
}

fn compress(
    mountpoint: &Path,
    lock: File,
    expected: u64,
    into: &mut Digesting<'_>,
    watch: &Watch<'_>,
) -> Result<u64, CopyError> {
    let (tar, mut packed) = Tar::create(mountpoint, lock)?;
    let mut encoder = encoder(into).context("prepare zstd")?;
    let mut piece = vec![0; PIECE];
    let mut done = 0;
    loop {
        watch.at(done, expected)?;
        let length = packed.read(&mut piece).context("read from tar")?;
        if length == 0 {
            break;
        }
        encoder.write_all(&piece[..length]).map_err(explained)?;
        done += length as u64;
    }
    // First what tar says: without success what it has sent is no archive.
    tar.finish()?;
    encoder.finish().map_err(explained)?;
    Ok(done)
}

fn encoder<W: Write>(into: W) -> io::Result<Encoder<'static, W>> {
    let mut encoder = Encoder::new(into, LEVEL)?;
    encoder.include_checksum(true)?;
    encoder.multithread(WORKERS)?;
    encoder.set_parameter(zstd::zstd_safe::CParameter::JobSize(JOB))?;
    Ok(encoder)
}

fn named(error: CopyError, mountpoint: &Path, file: &Path) -> CopyError {
    match error {
        CopyError::Failed(cause) => {
            cause.context(format!("store {} as {}", mountpoint.display(), file.display())).into()
        }
        other => other,
    }
}

/// Counts and digests what goes through, and has it written out as it comes.
struct Digesting<'a> {
    inner: &'a mut File,
    digest: Sha256,
    bytes: u64,
    sent: u64,
}

impl Digesting<'_> {
    /// Linux begins to write dirty pages that nobody needs any more, and drops none before it is on disk.
    fn send(&mut self) {
        let length = NonZeroU64::new(self.bytes - self.sent);
        // A hint: the sync at the end is what counts.
        let _ = fadvise(&*self.inner, self.sent, length, Advice::DontNeed);
        self.sent = self.bytes;
    }
}

impl Write for Digesting<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.digest.update(&bytes[..written]);
        self.bytes += written as u64;
        if self.bytes - self.sent >= SENT {
            self.send();
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
