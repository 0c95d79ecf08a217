//! Making a mirror and keeping it fresh.
//!
//! A mirror that is new, or that takes the place of a damaged one, is made beside and renamed, so there is never half
//! of one. The lock is inherited by git: while we hold it no git of ours is at work, and what such a git left behind
//! when it was killed (its own lock files make every later fetch fail) can be removed.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use jiff::Timestamp;
use tempfile::TempDir;

use super::git::{self, Access, local_git, printable};
use super::{FirstSight, Freshness, Mirror};
use crate::host::command::CommandError;
use crate::host::store::{is_taken, make_folder, open_lock, replace};

const BETWEEN_LOOKS: Duration = Duration::from_millis(50);
/// How often the lock is looked at: somewhat longer than the longest fetch of another run.
const LOOKS: usize = 7_000;

impl Mirror {
    /// Brings the mirror up to date, makes it where it is missing, and notes tags that it sees for the first time.
    ///
    /// # Errors
    /// When there is neither a mirror nor a remote to make one from, and for what the operator has to put right in any
    /// case: git missing, the address or the credentials file wrong, the state directory not writable.
    pub async fn fetch(&self, now: Timestamp) -> Result<Freshness> {
        let access = Access::new(&self.url, self.credentials.as_deref())?;
        make_folder(&self.dir)?;
        let lock = self.lock().await?;
        self.remove_leftovers()?;
        if self.path().exists() {
            if let Err(cause) = fetch_into(&self.path(), &access, &lock).await {
                if is_sound(&self.path()).await? {
                    return Ok(Freshness::Stale { why: self.unreachable(&cause) });
                }
                self.make(&access, &lock).await.with_context(|| self.damaged())?;
            }
        } else {
            self.make(&access, &lock).await?;
        }
        self.note_first_sights(now).await?;
        Ok(Freshness::Fresh)
    }

    /// Waits for another run's fetch, which is worth as much as ours but may be of the past.
    async fn lock(&self) -> Result<File> {
        let path = self.dir.join(format!("{}.lock", self.name));
        let file = open_lock(&path)?;
        for _ in 0..LOOKS {
            if is_taken(&file, &path)? {
                return Ok(file);
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
        bail!("another run has been fetching {} for minutes; end it, then try again", printable(&self.url))
    }

    async fn make(&self, access: &Access, lock: &File) -> Result<()> {
        let beside = tempfile::Builder::new().prefix(&self.beside()).tempdir_in(&self.dir);
        let beside = beside.with_context(|| format!("make a folder in {}", self.dir.display()))?;
        let init = local_git(beside.path(), ["init", "--quiet", "--bare", "--template="]).run().await;
        init.with_context(|| format!("make the mirror {}", self.path().display()))?;
        fs::set_permissions(beside.path(), Permissions::from_mode(0o700)).context("close the mirror to others")?;
        let fetched = fetch_into(beside.path(), access, lock).await;
        fetched.map_err(|cause| anyhow!("there is no mirror to go by, and {}", self.unreachable(&cause)))?;
        self.put_in_place(beside)
    }

    fn put_in_place(&self, beside: TempDir) -> Result<()> {
        let put = || -> io::Result<()> {
            if self.path().exists() {
                fs::rename(self.path(), self.dir.join(format!("{}damaged", self.beside())))?;
            }
            fs::rename(beside.path(), self.path())?;
            File::open(&self.dir)?.sync_all()
        };
        put().with_context(|| format!("put the mirror {} in place", self.path().display()))?;
        // It has another name now.
        let _ = beside.keep();
        self.remove_leftovers()
    }

    /// What begins the names of folders on their way.
    fn beside(&self) -> String {
        format!(".{}.git-", self.name)
    }

    fn remove_leftovers(&self) -> Result<()> {
        let remove_all = || -> io::Result<()> {
            for entry in fs::read_dir(&self.dir)? {
                let entry = entry?;
                if entry.file_name().to_string_lossy().starts_with(&self.beside()) {
                    remove(&entry)?;
                }
            }
            for part in ["", "refs", "objects/pack"] {
                remove_leftovers_of_git(&self.path().join(part), part == "refs")?;
            }
            Ok(())
        };
        remove_all().with_context(|| format!("remove what a killed run left of {}", self.path().display()))
    }

    async fn note_first_sights(&self, now: Timestamp) -> Result<()> {
        let refs = self.refs(&mut self.objects()?).await?;
        let mut sights = self.first_sights()?;
        let known = sights.len();
        for (version, commit) in refs.versions {
            sights.entry(version.to_string()).or_insert(FirstSight { commit, seen: now });
        }
        if sights.len() == known {
            return Ok(());
        }
        let text = serde_json::to_vec_pretty(&sights).context("write the first sights as JSON")?;
        replace(&self.sights_file(), &text)
    }

    fn unreachable(&self, cause: &CommandError) -> String {
        let url = printable(&self.url);
        format!("{url} cannot be fetched ({cause}); check the address, the network and the credentials")
    }
}

/// A remote without commits has no default branch, and git then refuses to fetch the rest too.
async fn fetch_into(repository: &Path, access: &Access, lock: &File) -> Result<(), CommandError> {
    let share = || lock.try_clone().map_err(|cause| CommandError::NotRun { command: "git fetch".to_owned(), cause });
    let fetched = git::fetch(repository, access, true).holding(share()?).run().await;
    match fetched {
        Err(CommandError::Failed { stderr, .. }) if stderr.contains("couldn't find remote ref HEAD") => {
            git::fetch(repository, access, false).holding(share()?).run().await?;
            Ok(())
        }
        other => other.map(drop),
    }
}

/// Whether the mirror can still be read: told apart from a remote that cannot.
async fn is_sound(repository: &Path) -> Result<bool> {
    match local_git(repository, ["fsck", "--connectivity-only", "--no-dangling", "--no-progress"]).run().await {
        Ok(_) => Ok(true),
        Err(CommandError::Failed { .. } | CommandError::TooMuch { .. }) => Ok(false),
        Err(cause) => Err(cause.into()),
    }
}

fn remove(entry: &fs::DirEntry) -> io::Result<()> {
    if entry.file_type()?.is_dir() {
        return fs::remove_dir_all(entry.path());
    }
    fs::remove_file(entry.path())
}

/// Lock files, and packs that were on their way. Refs lie in folders of any depth.
fn remove_leftovers_of_git(folder: &Path, deep: bool) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(cause) if matches!(cause.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(()),
        Err(cause) => return Err(cause),
    };
    for entry in entries {
        let entry = entry?;
        let is_folder = entry.file_type()?.is_dir();
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if is_folder && deep {
            remove_leftovers_of_git(&entry.path(), deep)?;
        }
        if !is_folder && (name.ends_with(".lock") || name.starts_with("tmp_")) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
