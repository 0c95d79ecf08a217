//! Objects of a mirror, by one `git cat-file --batch-command` that answers many questions.
//!
//! Trees are walked here rather than listed by git: a second process would double the time of a run that has nothing
//! to do. Sizes are asked for before contents, so nothing larger than the bounds is ever read.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};

use super::git::local_git;
use super::{LARGEST_FILE, LONGEST_PATH, MOST_BYTES, Taken};
use crate::host::command::Conversation;
use crate::model::hex;
use crate::model::version::Commit;
use crate::recipe::{Entry, Tree};
use crate::telemetry;

/// Questions asked at once. git reads all of them, up to `flush`, before it answers the first, so writing them never
/// waits for our reading.
const AT_ONCE: usize = 400;
/// All answers have to be there by then.
const LIMIT: Duration = Duration::from_secs(30);

pub(super) struct Objects {
    git: Conversation,
    until: Instant,
}

/// Objects of the mirror are missing or broken. What is wrong with a recipe itself is another error.
#[derive(Debug, thiserror::Error)]
#[error("{0}: the mirror is damaged, and the next run that can fetch makes it anew")]
pub(super) struct Damaged(pub String);

/// What git says of an object before it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub id: String,
    pub kind: String,
    pub size: u64,
}

impl Objects {
    pub(super) fn open(mirror: &Path, memory: u64) -> Result<Self> {
        let git = local_git(mirror, memory, ["cat-file", "--batch-command", "--buffer"]).converse()?;
        Ok(Self { git, until: Instant::now() + LIMIT })
    }

    /// The commits that these objects lead to, through annotated tags; `None` for what leads elsewhere.
    ///
    /// # Errors
    /// Also when an object is missing.
    pub(super) async fn commits(&mut self, ids: &[&Commit]) -> Result<Vec<Option<Commit>>> {
        let names: Vec<_> = ids.iter().map(|id| id.to_string()).collect();
        if let Some(missing) = self.find(&names).await?.iter().position(Option::is_none) {
            bail!(Damaged(format!("object {} is missing", names[missing])));
        }
        let names: Vec<_> = names.iter().map(|name| format!("{name}^{{commit}}")).collect();
        self.commits_themselves(&names).await
    }

    pub(super) async fn commit(&mut self, id: &Commit) -> Result<Option<Commit>> {
        Ok(self.commits(&[id]).await?.remove(0))
    }

    /// The commits with these names; `None` where there is no such object or it is of another kind.
    pub(super) async fn commits_themselves(&mut self, names: &[String]) -> Result<Vec<Option<Commit>>> {
        let found = self.find(names).await?.into_iter();
        let commits = found.map(|found| found.filter(|found| found.kind == "commit"));
        commits
            .map(|found| found.map(|found| found.id.parse()).transpose())
            .collect::<Result<_, _>>()
            .context("ask git")
    }

    pub(super) async fn find(&mut self, names: &[String]) -> Result<Vec<Option<Found>>> {
        let mut found = Vec::with_capacity(names.len());
        for names in names.chunks(AT_ONCE) {
            self.ask("info", names).await?;
            for _ in names {
                found.push(self.header().await?);
            }
        }
        Ok(found)
    }

    /// Hands the bytes of each object to `take`, in order. The caller has seen to it that they are not too many.
    pub(super) async fn read(
        &mut self,
        ids: &[String],
        mut take: impl FnMut(usize, Vec<u8>) -> Result<()>,
    ) -> Result<()> {
        let mut index = 0;
        for ids in ids.chunks(AT_ONCE) {
            self.ask("contents", ids).await?;
            for id in ids {
                let found = self.header().await?.ok_or_else(|| Damaged(format!("object {id} is missing")))?;
                take(index, self.contents(found.size).await?)?;
                index += 1;
            }
        }
        Ok(())
    }

    async fn ask(&mut self, question: &str, names: &[String]) -> Result<()> {
        let mut lines: String = names.iter().map(|name| format!("{question} {name}\n")).collect();
        lines.push_str("flush\n");
        let written = timeout_at(self.until, self.git.stdin.write_all(lines.as_bytes())).await;
        // A child that is gone says why on stderr, which is read where its answer is missing.
        match written.context("git takes no question")? {
            Err(cause) if cause.kind() != std::io::ErrorKind::BrokenPipe => Err(cause).context("ask git"),
            _ => Ok(()),
        }
    }

    /// `<id> <kind> <size>`, or `<name> missing`.
    async fn header(&mut self) -> Result<Option<Found>> {
        let mut line = String::new();
        let read = timeout_at(self.until, self.git.stdout.read_line(&mut line)).await;
        if read.context("git gives no answer")?.context("read git's answer")? == 0 {
            let said = telemetry::one_line(&self.git.last_words().await);
            if said.contains("out of memory") || said.contains("Out of memory") {
                bail!("git needs more memory than it may have to unpack it: {said}");
            }
            bail!(Damaged(format!("git stopped answering: {said}")));
        }
        let words: Vec<_> = line.split_whitespace().collect();
        match words[..] {
            [.., "missing" | "ambiguous"] => Ok(None),
            [id, kind, size] => {
                let size = size.parse().with_context(|| format!("git answered {line:?}"))?;
                Ok(Some(Found { id: id.to_owned(), kind: kind.to_owned(), size }))
            }
            _ => bail!(Damaged(format!("git answered {line:?}"))),
        }
    }

    async fn contents(&mut self, size: u64) -> Result<Vec<u8>> {
        ensure!(size <= MOST_BYTES, "an object of {size} bytes, more than {MOST_BYTES}");
        let size = usize::try_from(size).context("an object's size")?;
        // And the line feed that follows.
        let mut bytes = vec![0; size + 1];
        let read = timeout_at(self.until, self.git.stdout.read_exact(&mut bytes)).await;
        if read.context("git gives no answer")?.is_err() {
            let said = telemetry::one_line(&self.git.last_words().await);
            bail!(Damaged(format!("an object cannot be read: {said}")));
        }
        bytes.truncate(size);
        Ok(bytes)
    }
}

/// The tree of a commit, folder by folder: all folders of one depth at once.
pub(super) async fn read_tree(mut objects: Objects, commit: &Commit) -> Result<Tree> {
    let mut walk = Walk { id_length: commit.as_str().len() / 2, ..Walk::default() };
    let mut folders = vec![Named { path: String::new(), id: format!("{commit}^{{tree}}") }];
    while !folders.is_empty() {
        folders = walk.step(&mut objects, folders).await?;
    }
    walk.read_files(&mut objects).await?;
    Ok(walk.tree)
}

/// An object and the path where it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Named {
    path: String,
    id: String,
}

#[derive(Default)]
struct Walk {
    id_length: usize,
    tree: Tree,
    files: Vec<Named>,
    taken: Taken,
}

impl Walk {
    /// Reads these folders; gives the folders in them.
    async fn step(&mut self, objects: &mut Objects, folders: Vec<Named>) -> Result<Vec<Named>> {
        let ids: Vec<_> = folders.iter().map(|folder| folder.id.clone()).collect();
        for (found, folder) in objects.find(&ids).await?.into_iter().zip(&folders) {
            let found = found_or_missing(found, &folder.path)?;
            ensure!(found.kind == "tree", "{:?} is a {} where a folder has to be", folder.path, found.kind);
            self.taken.bytes(found.size)?;
        }
        let mut below = Vec::new();
        let read = objects.read(&ids, |index, bytes| self.take_folder(&folders[index].path, &bytes, &mut below));
        read.await?;
        Ok(below)
    }

    fn take_folder(&mut self, folder: &str, bytes: &[u8], below: &mut Vec<Named>) -> Result<()> {
        let mut rest = bytes;
        let mut names = BTreeSet::new();
        while !rest.is_empty() {
            let entry = raw_entry(rest, self.id_length);
            let (entry, after) = entry.with_context(|| format!("folder {folder:?} is no folder of git's"))?;
            rest = after;
            let path = path_below(folder, entry.name)?;
            ensure!(names.insert(entry.name), "{path} is there twice");
            self.taken.entry()?;
            let named = Named { path, id: entry.id };
            match entry.mode {
                b"40000" => below.push(named),
                b"120000" => drop(self.tree.entries.insert(named.path, Entry::Symlink)),
                b"160000" => drop(self.tree.entries.insert(named.path, Entry::Submodule)),
                b"100644" | b"100755" | b"100664" => self.files.push(named),
                mode => bail!("{} has mode {}, which git does not have", named.path, mode.escape_ascii()),
            }
        }
        Ok(())
    }

    async fn read_files(&mut self, objects: &mut Objects) -> Result<()> {
        let files = std::mem::take(&mut self.files);
        let ids: Vec<_> = files.iter().map(|file| file.id.clone()).collect();
        let mut small = Vec::new();
        for (found, file) in objects.find(&ids).await?.into_iter().zip(files) {
            let found = found_or_missing(found, &file.path)?;
            ensure!(found.kind == "blob", "{:?} is a {} where a file has to be", file.path, found.kind);
            if found.size > LARGEST_FILE {
                self.tree.entries.insert(file.path, Entry::TooLarge(found.size));
                continue;
            }
            self.taken.bytes(found.size)?;
            small.push(file);
        }
        let ids: Vec<_> = small.iter().map(|file| file.id.clone()).collect();
        let entries = &mut self.tree.entries;
        let keep = |index: usize, bytes| {
            entries.insert(small[index].path.clone(), Entry::File(bytes));
            Ok(())
        };
        objects.read(&ids, keep).await
    }
}

fn found_or_missing(found: Option<Found>, path: &str) -> Result<Found> {
    match found {
        Some(found) => Ok(found),
        None if path.is_empty() => bail!(
            "the mirror does not have it, and the remote may have removed it; fetch it, or choose another version or commit"
        ),
        None => bail!(Damaged(format!("{path} is missing"))),
    }
}

pub(super) struct RawEntry<'a> {
    pub mode: &'a [u8],
    pub name: &'a [u8],
    pub id: String,
}

/// One entry of a tree object: mode, space, name, NUL, id in binary.
pub(super) fn raw_entry(bytes: &[u8], id_length: usize) -> Option<(RawEntry<'_>, &[u8])> {
    let space = bytes.iter().position(|byte| *byte == b' ')?;
    let (mode, rest) = (&bytes[..space], &bytes[space + 1..]);
    let nul = rest.iter().position(|byte| *byte == 0)?;
    let (name, rest) = (&rest[..nul], &rest[nul + 1..]);
    let (id, rest) = rest.split_at_checked(id_length)?;
    // Old tools wrote folders as 040000.
    let mode = mode.strip_prefix(b"0").unwrap_or(mode);
    Some((RawEntry { mode, name, id: hex(id) }, rest))
}

/// `folder/name`, where the name is one that a recipe can have.
pub(super) fn path_below(folder: &str, name: &[u8]) -> Result<String> {
    let shown = || format!("{folder}/{}", String::from_utf8_lossy(name)).escape_debug().to_string();
    let text = std::str::from_utf8(name).ok().with_context(|| format!("the path {} is not UTF-8", shown()))?;
    ensure!(!text.chars().any(char::is_control), "the path {} has control characters", shown());
    ensure!(!matches!(text, "" | "." | "..") && !text.contains('/'), "the path {} is none", shown());
    ensure!(!text.eq_ignore_ascii_case(".git"), "the path {} is git's own", shown());
    let length = folder.len() + 1 + text.len();
    ensure!(length <= LONGEST_PATH, "a path of {length} bytes, more than {LONGEST_PATH}");
    Ok(if folder.is_empty() { text.to_owned() } else { format!("{folder}/{text}") })
}

#[cfg(test)]
mod tests {
    use super::super::bounds::MOST_ENTRIES;
    use super::*;

    fn raw(mode: &str, name: &[u8]) -> Vec<u8> {
        [mode.as_bytes(), b" ", name, b"\0", &[0xab; 20]].concat()
    }

    fn taken(bytes: &[u8]) -> Result<(Walk, Vec<Named>)> {
        let mut walk = Walk { id_length: 20, ..Walk::default() };
        let mut below = Vec::new();
        walk.take_folder("conf", bytes, &mut below)?;
        Ok((walk, below))
    }

    #[test]
    fn a_folders_entries_are_told_apart_by_their_modes() {
        let bytes = [
            raw("100644", b"nginx.conf"),
            raw("100755", b"run.sh"),
            raw("120000", b"link"),
            raw("160000", b"sub"),
            raw("40000", b"more"),
            raw("040000", b"old"),
        ]
        .concat();
        let (walk, below) = taken(&bytes).unwrap();
        let paths = |named: &[Named]| named.iter().map(|n| n.path.clone()).collect::<Vec<_>>();
        assert_eq!(paths(&walk.files), ["conf/nginx.conf", "conf/run.sh"]);
        assert_eq!(walk.files[0].id, "ab".repeat(20));
        assert_eq!(paths(&below), ["conf/more", "conf/old"]);
        let expected = [("conf/link".to_owned(), Entry::Symlink), ("conf/sub".to_owned(), Entry::Submodule)];
        assert_eq!(walk.tree.entries, expected.into());
    }

    #[test]
    fn paths_that_no_recipe_needs_are_refused() {
        for name in [&b""[..], b".", b"..", b"a/b", b"a\nb", b"a\x1b[2J", b"\xff"] {
            let error = taken(&raw("100644", name)).err().expect("refused").to_string();
            assert!(error.starts_with("the path conf/") && !error.contains(['\n', '\x1b']), "{error}");
        }
        assert!(taken(&raw("100644", "fünf.conf".as_bytes())).is_ok());
    }

    #[test]
    fn entries_that_git_does_not_make_are_refused() {
        let twice = [raw("100644", b"a"), raw("40000", b"a")].concat();
        let long = raw("100644", &[b'x'; LONGEST_PATH]);
        let rows = [
            (twice, "conf/a is there twice"),
            (raw("100644", b".GIT"), "is git's own"),
            (raw("20000", b"device"), "conf/device has mode 20000"),
            (raw("", b"nothing"), "has mode"),
            (long, "a path of 4101 bytes"),
        ];
        for (bytes, told) in rows {
            let error = taken(&bytes).err().expect("refused").to_string();
            assert!(error.contains(told), "{error}");
        }
    }

    #[test]
    fn a_cut_or_endless_folder_is_refused() {
        let whole = raw("100644", b"a");
        for end in 1..whole.len() {
            assert!(taken(&whole[..end]).is_err(), "{end}");
        }
        let many: Vec<u8> = (0..=MOST_ENTRIES).flat_map(|name| raw("100644", name.to_string().as_bytes())).collect();
        let error = taken(&many).err().expect("refused").to_string();
        assert!(error.contains("more than 5000 files"), "{error}");
    }
}
