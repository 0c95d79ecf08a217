//! `snapshot make|store|verify|restore FOLDER`: a volume in FOLDER/volume/_data, its snapshot in FOLDER/state. For
//! `tests/bench snapshot`, which measures it from outside; built as an example, so that the program carries none of it.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use evenkeel::host::copying::Watch;
use evenkeel::host::snapshots::Manifest;
use evenkeel::host::store::{AppDir, Lock, LockAttempt, Store};
use evenkeel::host::volumes::unpack;
use evenkeel::model::version::Revision;

const ID: &str = "bench";
const VOLUME: &str = "volume";
const MIB: usize = 1 << 20;
const WORDS: [&str; 16] = [
    "page", "revision", "comment", "of", "the", "user", "was", "written", "and", "then", "again", "value", "null",
    "id", "content", "text",
];

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (verb, folder) = arguments.next().zip(arguments.next()).context("snapshot make|store|verify|restore FOLDER")?;
    let folder = PathBuf::from(folder);
    let data = folder.join(VOLUME).join("_data");
    if verb == "make" {
        return make(&data);
    }
    let app = Store::open(folder.join("state"))?.app(&"bench".parse()?);
    let LockAttempt::Taken(lock) = app.lock()? else { bail!("the lock is held") };
    match verb.as_str() {
        "store" => store(&app, &lock, &data),
        "verify" => app.snapshots().verify(ID, &Watch::none()).map(drop).map_err(Into::into),
        "restore" => {
            let mut archive = app.snapshots().open(ID, VOLUME)?;
            unpack(&lock, &mut archive, &data, "bench", None, &Watch::none())?;
            Ok(())
        }
        other => bail!("there is no {other}"),
    }
}

fn store(app: &AppDir, lock: &Lock, data: &Path) -> Result<()> {
    let archived = app.snapshots().archive(lock, ID, VOLUME, data, &Watch::none())?;
    let of = Revision { version: None, commit: "0".repeat(40).parse()? };
    let volumes = [(VOLUME.to_owned(), archived)].into();
    app.snapshots().seal(lock, &Manifest::new(ID, "bench", &of, "2026-11-21T20:00:00Z".parse()?, volumes))?;
    Ok(())
}

/// 1 GiB in 20,000 files, as an app with a database, uploads, many small files and logs has them.
fn make(data: &Path) -> Result<()> {
    let mut noise = Noise(88_172_645_463_325_252);
    for folder in ["db", "uploads", "small", "log"] {
        fs::create_dir_all(data.join(folder))?;
    }
    for table in 0..40 {
        write(&data.join(format!("db/table-{table}")), 10 * MIB, |piece| {
            noise.text(&mut piece[..5700]);
            noise.bytes(&mut piece[5700..]);
        })?;
    }
    for upload in 0..150 {
        write(&data.join(format!("uploads/{upload}.jpg")), 2 * MIB, |piece| noise.bytes(piece))?;
    }
    for number in 0..19_800 {
        let folder = data.join(format!("small/{}", number / 200));
        if number % 200 == 0 {
            fs::create_dir(&folder)?;
        }
        write(&folder.join(format!("{number}.txt")), 8192 + number % 4096, |piece| noise.text(piece))?;
    }
    for log in 0..10 {
        write(&data.join(format!("log/{log}.log")), 12 * MIB, |piece| noise.text(piece))?;
    }
    Ok(())
}

/// A file of so many bytes, filled by pages.
fn write(path: &Path, length: usize, mut fill: impl FnMut(&mut [u8])) -> Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    let mut piece = [0; 8192];
    for at in (0..length).step_by(piece.len()) {
        fill(&mut piece);
        file.write_all(&piece[..piece.len().min(length - at)])?;
    }
    file.flush()?;
    Ok(())
}

/// xorshift: the same tree each time.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn bytes(&mut self, piece: &mut [u8]) {
        piece.chunks_mut(8).for_each(|part| part.copy_from_slice(&self.next().to_le_bytes()[..part.len()]));
    }

    fn text(&mut self, piece: &mut [u8]) {
        let mut rest = piece;
        while !rest.is_empty() {
            let number = self.next();
            let word = format!("{} {} ", WORDS[(number % 16) as usize], number >> 52);
            let length = word.len().min(rest.len());
            rest[..length].copy_from_slice(&word.as_bytes()[..length]);
            rest = &mut rest[length..];
        }
    }
}
