//! `history.jsonl`: a line for each run that decided something. It is appended to, and moved aside as a whole when it is
//! long: two files are the bound.
//!
//! The surprise: a damaged line is nobody's reason to lose the others. It is given to whoever reads as what it is.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::place::{explained, sync_folder};
use super::{Store, open_lock};
use crate::model::app::AppName;
use crate::model::history::Line;

/// How far back the newest line about an app is looked for, in bytes.
const LOOK: u64 = 64 << 10;
/// A file of this length is moved aside. A host of twenty apps fills one in some years.
pub const LONGEST: u64 = 16 << 20;
/// No line of ours is as long.
const LONGEST_LINE: u64 = 1 << 20;

/// A line that cannot be read: its file and number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}:{number} is no line of a history: {why}", .file.display())]
pub struct DamagedLine {
    pub file: PathBuf,
    pub number: usize,
    pub why: String,
}

impl Store {
    /// Adds one line, on disk when this returns. A line that a power loss cut short is ended first.
    pub fn append_history(&self, line: &Line) -> Result<()> {
        let file = self.history_file();
        let text = serde_json::to_string(line).context("write a line of history as JSON")? + "\n";
        self.move_long_history_aside(&file)?;
        append(&file, &text).map_err(explained).with_context(|| format!("append to {}", file.display()))
    }

    /// The newest line about an app among the last 64 KiB; `None` if there is none, or nothing can be read.
    pub fn last_history(&self, app: &AppName) -> Option<Line> {
        let mut file = File::open(self.history_file()).ok()?;
        let length = file.metadata().ok()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(LOOK))).ok()?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).ok()?;
        let lines = bytes.split(|byte| *byte == b'\n').rev();
        lines.filter_map(|line| serde_json::from_slice::<Line>(line).ok()).find(|line| line.app == app.as_str())
    }

    /// Gives every line to `take`, the oldest first.
    ///
    /// # Errors
    /// When a file that is there cannot be read.
    pub fn history(&self, mut take: impl FnMut(Result<Line, DamagedLine>)) -> Result<()> {
        for file in [self.older_history_file(), self.history_file()] {
            let opened = match File::open(&file) {
                Ok(opened) => opened,
                Err(cause) if cause.kind() == io::ErrorKind::NotFound => continue,
                Err(cause) => return Err(explained(cause)).with_context(|| format!("read {}", file.display())),
            };
            read(opened, &file, &mut take).with_context(|| format!("read {}", file.display()))?;
        }
        Ok(())
    }

    fn history_file(&self) -> PathBuf {
        self.dir.join("history.jsonl")
    }

    fn older_history_file(&self) -> PathBuf {
        self.dir.join("history.jsonl.1")
    }

    fn move_long_history_aside(&self, file: &Path) -> Result<()> {
        let is_long = || fs::metadata(file).is_ok_and(|file| file.len() >= LONGEST);
        if !is_long() {
            return Ok(());
        }
        // Of two runs at once only one moves it: the other would put the new short file over the long one.
        let path = self.dir.join("history.lock");
        let lock = open_lock(&path)?;
        lock.lock().with_context(|| format!("lock {}", path.display()))?;
        if !is_long() {
            return Ok(());
        }
        let older = self.older_history_file();
        fs::rename(file, &older).map_err(explained).with_context(|| format!("put {} in place", older.display()))?;
        sync_folder(&self.dir)
    }
}

fn read(file: File, path: &Path, take: &mut impl FnMut(Result<Line, DamagedLine>)) -> io::Result<()> {
    let mut reader = BufReader::new(file);
    for number in 1.. {
        let mut line = Vec::new();
        if reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        let text = line.trim_ascii();
        if !text.is_empty() {
            let damaged = |why: String| DamagedLine { file: path.to_owned(), number, why };
            take(serde_json::from_slice(text).map_err(|cause| damaged(cause.to_string())));
        }
    }
    Ok(())
}

fn append(path: &Path, line: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().append(true).read(true).create(true).mode(0o600).open(path)?;
    let line = if ends_whole(&mut file)? { line.to_owned() } else { format!("\n{line}") };
    // One write: lines of several runs do not mix.
    file.write_all(line.as_bytes())?;
    file.sync_all()
}

fn ends_whole(file: &mut File) -> io::Result<bool> {
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(true);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}
