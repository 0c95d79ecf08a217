//! An archive read whole: digest, zstd's own checksum, tar's structure, and the counts of the manifest.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use rustix::fs::{Advice, fadvise};
use sha2::{Digest, Sha256};
use zstd::stream::read::Decoder;

use super::manifest::Archived;
use crate::host::copying::{CopyError, Damage, Watch};
use crate::model::hex;

/// Largest window that our archives have is 2^21; a damaged header must not cost more memory than this.
const LARGEST_WINDOW: u32 = 23;
const PIECE: usize = 256 << 10;

/// An archive that is open, and what it has to be.
#[derive(Debug)]
pub struct Archive {
    pub(super) file: File,
    pub(super) path: PathBuf,
    pub(super) stored: Archived,
}

impl Archive {
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the manifest says of it.
    pub fn stored(&self) -> &Archived {
        &self.stored
    }

    /// Reads it once and compares length and digest: quick, and enough for one that was read back whole before.
    pub fn check(&mut self, watch: &Watch<'_>) -> Result<(), CopyError> {
        self.begin()?;
        let mut piece = vec![0; PIECE];
        let mut digesting = Digesting::new(&self.file);
        loop {
            watch.at(0, self.stored.unpacked)?;
            match digesting.read(&mut piece) {
                Ok(0) => break,
                Ok(_) => {}
                Err(cause) => return Err(self.unread(cause)),
            }
        }
        let (bytes, sha256) = digesting.end();
        self.compare(bytes, &sha256)
    }

    /// Reads all of it, with all that it holds, from the disk: what was just written is in memory still, where a disk
    /// that lies has no part in it.
    pub fn read_back(&mut self, watch: &Watch<'_>) -> Result<(), CopyError> {
        // A file system may not know how; then what it gives is read.
        let _ = fadvise(&self.file, 0, None, Advice::DontNeed);
        let (entries, unpacked) = self.decoded(watch, |tar| {
            let mut archive = tar::Archive::new(tar);
            let mut entries = 0;
            for entry in archive.entries()? {
                entry?;
                entries += 1;
            }
            Ok(entries)
        })?;
        let expected = (self.stored.content.entries, self.stored.unpacked);
        if (entries, unpacked) != expected {
            let what = format!("is damaged: it holds {entries} entries in {unpacked} bytes instead of {expected:?}");
            return Err(self.damaged(&what));
        }
        Ok(())
    }

    /// Unpacks zstd and gives the tar stream to `take`, which may stop early; what is left is read too, and digest and
    /// length are compared. Gives what `take` gave, and the stream's length.
    pub(in crate::host) fn decoded<T>(
        &mut self,
        watch: &Watch<'_>,
        take: impl FnOnce(&mut dyn Read) -> io::Result<T>,
    ) -> Result<(T, u64), CopyError> {
        self.begin()?;
        let asked = Cell::new(false);
        let mut raw = BufReader::with_capacity(PIECE, Digesting::new(&self.file));
        let watched = Watched { inner: (), watch, done: 0, of: self.stored.unpacked, asked: &asked };
        let decoded = decode(&mut raw, watched, take);
        if asked.get() {
            return Err(CopyError::AskedToEnd);
        }
        if let Some(cause) = raw.get_mut().failed.take() {
            return Err(self.unread(cause));
        }
        let decoded = decoded.map_err(|cause| self.damaged(&format!("is damaged: {cause}")))?;
        io::copy(&mut raw, &mut io::sink()).map_err(|cause| self.unread(cause))?;
        let (bytes, sha256) = raw.into_inner().end();
        self.compare(bytes, &sha256)?;
        Ok(decoded)
    }

    fn begin(&mut self) -> Result<(), CopyError> {
        self.file.seek(SeekFrom::Start(0)).map_err(|cause| self.unread(cause))?;
        Ok(())
    }

    fn compare(&self, bytes: u64, sha256: &str) -> Result<(), CopyError> {
        match () {
            () if bytes != self.stored.bytes => {
                let expected = self.stored.bytes;
                Err(self.damaged(&format!("is damaged: it has {bytes} bytes instead of {expected}")))
            }
            () if sha256 != self.stored.sha256 => Err(self.damaged("is damaged: it does not match its digest")),
            () => Ok(()),
        }
    }

    fn damaged(&self, what: &str) -> CopyError {
        Damage::new(&self.path, what).into()
    }

    fn unread(&self, cause: io::Error) -> CopyError {
        anyhow!(cause).context(format!("read {}", self.path.display())).into()
    }
}

/// What is damaged, as an error of the decoder; what could not be read is kept by the reader below it.
fn decode<T>(
    raw: impl BufRead,
    watched: Watched<'_, ()>,
    take: impl FnOnce(&mut dyn Read) -> io::Result<T>,
) -> io::Result<(T, u64)> {
    let mut decoder = Decoder::with_buffer(raw)?.single_frame();
    decoder.window_log_max(LARGEST_WINDOW)?;
    let mut watched = watched.over(decoder);
    let taken = take(&mut watched)?;
    io::copy(&mut watched, &mut io::sink())?;
    Ok((taken, watched.done))
}

/// Counts what goes through, and stops where the run is asked to end.
struct Watched<'a, R> {
    inner: R,
    watch: &'a Watch<'a>,
    done: u64,
    of: u64,
    asked: &'a Cell<bool>,
}

impl<'a> Watched<'a, ()> {
    fn over<R>(self, inner: R) -> Watched<'a, R> {
        Watched { inner, watch: self.watch, done: self.done, of: self.of, asked: self.asked }
    }
}

impl<R: Read> Read for Watched<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.watch.at(self.done, self.of).is_err() {
            self.asked.set(true);
            return Err(io::Error::other("asked to end"));
        }
        let length = self.inner.read(buffer)?;
        self.done += length as u64;
        Ok(length)
    }
}

/// Counts and digests what is read, and keeps the error of a disk apart from those of a decoder above.
struct Digesting<'a> {
    inner: &'a File,
    digest: Sha256,
    bytes: u64,
    failed: Option<io::Error>,
}

impl<'a> Digesting<'a> {
    fn new(inner: &'a File) -> Self {
        Self { inner, digest: Sha256::new(), bytes: 0, failed: None }
    }

    fn end(self) -> (u64, String) {
        (self.bytes, hex(&self.digest.finalize()))
    }
}

impl Read for Digesting<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = match self.inner.read(buffer) {
            Ok(length) => length,
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => return Err(cause),
            Err(cause) => {
                self.failed =
                    Some(cause.raw_os_error().map_or(io::ErrorKind::Other.into(), io::Error::from_raw_os_error));
                return Err(cause);
            }
        };
        self.digest.update(&buffer[..length]);
        self.bytes += length as u64;
        Ok(length)
    }
}
