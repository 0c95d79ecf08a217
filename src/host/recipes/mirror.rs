//! Making a mirror and keeping it fresh.
//!
//! A mirror that is new, or that takes the place of a damaged one, is made beside and renamed, so there is never half
//! of one. First the remote is asked what it has, then what is missing is fetched: where nothing is new, the mirror is
//! not touched. The lock is inherited by git: while we hold it no git of ours is at work, and what such a git left
//! behind when it was killed can be removed.

use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use jiff::Timestamp;
use tempfile::TempDir;
use tokio::time::Instant;

use super::git::{self, Access, local_git, printable};
use super::objects::{Damaged, Objects};
use super::published::sorted;
use super::remote::{Tips, Unknown};
use super::shape;
use super::sights::Sights;
use super::{Freshness, Mirror};
use crate::host::command::CommandError;
use crate::host::store::{is_taken, make_folder, open_lock};
use crate::model::version::Commit;

const BETWEEN_LOOKS: Duration = Duration::from_millis(50);
/// Ids are arguments, and the kernel takes two megabytes of them.
const IDS_AT_ONCE: usize = 10_000;

/// Why a fetch brought nothing.
#[derive(Debug, thiserror::Error)]
enum Unfetched {
    #[error(transparent)]
    Unknown(#[from] Unknown),
    #[error(transparent)]
    Git(#[from] CommandError),
    #[error("the mirror would have more than {} MiB on disk, and a recipe is small", .0 >> 20)]
    TooLarge(u64),
    #[error("{0:#}")]
    Disk(#[from] anyhow::Error),
}

impl Mirror {
    /// Brings the mirror up to date, makes it where it is missing or damaged, and notes tags that it sees for the first
    /// time.
    ///
    /// # Errors
    /// When there is neither a mirror nor a remote to make one from, and for what the operator has to put right in any
    /// case: git missing, the address or the credentials file wrong, the state directory not writable.
    pub async fn fetch(&self, now: Timestamp) -> Result<Freshness> {
        let access = Access::new(&self.url, self.credentials.as_deref())?;
        make_folder(&self.dir)?;
        let Some(lock) = self.lock().await? else { return self.served(&anyhow!("another run is still fetching it")) };
        self.remove_leftovers()?;
        let tips = match Tips::ask(&access, &self.bounds).await {
            Ok(tips) => tips,
            Err(Unknown::Git(cause @ (CommandError::NotFound { .. } | CommandError::NotRun { .. }))) => {
                return Err(cause.into());
            }
            Err(cause) => return self.served(&cause.into()),
        };
        if self.is_sound() {
            self.note_first_sights(now).await?;
        }
        if self.is_sound()
            && let Err(cause) = self.update(&access, &tips, &lock).await
        {
            if self.is_whole().await? {
                return self.served(&cause.into());
            }
            shape::mark_damaged(&self.path());
        }
        if !self.is_sound() {
            let made = self.make(&access, &tips, &lock).await;
            made.map_err(|cause| anyhow!("{}, and {}", self.without_mirror(), self.unreachable(&cause.into())))?;
        }
        self.note_first_sights(now).await?;
        Ok(Freshness::Fresh)
    }

    /// Whether a fetch would have what it goes to the remote with. Asks no remote.
    ///
    /// # Errors
    /// For an address or a credentials file that the operator has to put right.
    pub fn could_ask(&self) -> Result<()> {
        Access::new(&self.url, self.credentials.as_deref()).map(drop)
    }

    /// The mirror as it is, for the reason that nothing could be fetched.
    fn served(&self, cause: &anyhow::Error) -> Result<Freshness> {
        let why = self.unreachable(cause);
        if self.is_sound() {
            return Ok(Freshness::Stale { why });
        }
        Err(anyhow!("{}, and {why}", self.without_mirror()))
    }

    fn without_mirror(&self) -> String {
        match self.path().is_symlink() || self.path().exists() {
            true => self.damaged(),
            false => "there is no mirror to go by".to_owned(),
        }
    }

    fn unreachable(&self, cause: &anyhow::Error) -> String {
        let (url, cause) = (printable(&self.url), format!("{cause:#}"));
        let file = self.credentials.as_ref().map(|file| file.display());
        let way_out = match file {
            Some(file) if cause.contains("could not read Username") => {
                format!("it does not take the credentials of {file}")
            }
            None if cause.contains("could not read Username") => {
                "it asks who we are: name a file with one line `user:token` as `credentials`".to_owned()
            }
            Some(_) if cause.contains("error: 30") => {
                "credentials follow no redirect: name the address where it leads".to_owned()
            }
            _ if cause.to_lowercase().contains("out of memory") => {
                format!("what it sends unpacks to more than git may use ({} MiB)", self.bounds.memory >> 20)
            }
            _ => "check the address, the network and the credentials".to_owned(),
        };
        format!("{url} cannot be fetched ({cause}); {way_out}")
    }

    /// Waits for another run's fetch, which is worth as much as ours but may be of the past. `None` when it does not
    /// end.
    async fn lock(&self) -> Result<Option<File>> {
        let path = self.dir.join(format!("{}.lock", self.name));
        let file = open_lock(&path)?;
        let until = Instant::now() + self.bounds.other_run;
        while !is_taken(&file, &path)? {
            if Instant::now() >= until {
                return Ok(None);
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
        Ok(Some(file))
    }

    /// Fetches what is new, and records it. What a fetch that failed has brought is removed.
    async fn update(&self, access: &Access, tips: &Tips, lock: &File) -> Result<(), Unfetched> {
        let mirror = self.path();
        let known = shape::tips(&mirror);
        if known.as_ref() == Some(tips) {
            return Ok(());
        }
        let before = shape::packs(&mirror).context("list the packs")?;
        let fetched = self.fetch_missing(&mirror, access, &known.unwrap_or_default(), tips, lock).await;
        if fetched.is_err() {
            shape::remove_packs_but(&mirror, &before).context("remove what was fetched in vain")?;
        }
        fetched
    }

    async fn fetch_missing(
        &self,
        mirror: &Path,
        access: &Access,
        known: &Tips,
        tips: &Tips,
        lock: &File,
    ) -> Result<(), Unfetched> {
        let mut here = known.ids();
        let missing: Vec<Commit> = tips.ids().difference(&here).cloned().collect();
        for ids in missing.chunks(IDS_AT_ONCE) {
            let shared = lock.try_clone().context("share the lock")?;
            let arguments: Vec<_> = ids.iter().map(Commit::to_string).collect();
            let fetch = git::fetch(mirror, access, &arguments, &self.bounds).holding(shared);
            tokio::select! {
                fetched = fetch.run() => drop(fetched?),
                () = grown_beyond(mirror, self.bounds.mirror) => return Err(Unfetched::TooLarge(self.bounds.mirror)),
            }
            here.extend(ids.iter().cloned());
            // So that what comes next leaves out what is here.
            shape::keep(mirror, here.iter())?;
        }
        if shape::size(mirror) > self.bounds.mirror {
            return Err(Unfetched::TooLarge(self.bounds.mirror));
        }
        Ok(shape::record(mirror, tips, &self.seen_and_here(mirror).await?)?)
    }

    /// Commits that tags once named: they stay, also where the remote has moved or removed the tag.
    async fn seen_and_here(&self, mirror: &Path) -> Result<BTreeSet<Commit>> {
        let seen: Vec<_> = Sights::read(&self.sights_file())?.commits().map(Commit::to_string).collect();
        let found = Objects::open(mirror, self.bounds.memory)?.commits_themselves(&seen).await?;
        Ok(found.into_iter().flatten().collect())
    }

    async fn make(&self, access: &Access, tips: &Tips, lock: &File) -> Result<(), Unfetched> {
        let beside = tempfile::Builder::new().prefix(&self.beside()).tempdir_in(&self.dir);
        let beside = beside.with_context(|| format!("make a folder in {}", self.dir.display()))?;
        fs::set_permissions(beside.path(), Permissions::from_mode(0o700)).context("close the mirror to others")?;
        shape::make(beside.path())?;
        self.fetch_missing(beside.path(), access, &Tips::default(), tips, lock).await?;
        Ok(self.put_in_place(beside)?)
    }

    fn put_in_place(&self, beside: TempDir) -> Result<()> {
        let put = || -> io::Result<()> {
            if self.path().is_symlink() || self.path().exists() {
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
            if self.is_sound() { shape::remove_leftovers(&self.path()) } else { Ok(()) }
        };
        remove_all().with_context(|| format!("remove what a killed run left of {}", self.path().display()))
    }

    /// What the mirror knows counts as seen.
    async fn note_first_sights(&self, now: Timestamp) -> Result<()> {
        let file = self.sights_file();
        let mut sights = Sights::read(&file)?;
        let tips = shape::tips(&self.path()).unwrap_or_default();
        let versions = match sorted(&tips, &mut self.objects()?).await {
            Ok((versions, _)) => versions,
            Err(cause) if cause.is::<Damaged>() => {
                shape::mark_damaged(&self.path());
                return Ok(());
            }
            Err(cause) => return Err(cause),
        };
        if sights.note(&versions, now) { sights.write(&file) } else { Ok(()) }
    }

    /// Whether the mirror can still be read: told apart from a remote that cannot.
    async fn is_whole(&self) -> Result<bool> {
        let check = ["fsck", "--connectivity-only", "--no-dangling", "--no-progress"];
        match local_git(&self.path(), self.bounds.memory, check).within(self.bounds.fetch).run().await {
            Ok(_) => Ok(true),
            Err(CommandError::Failed { .. } | CommandError::TooMuch { .. }) => Ok(false),
            Err(cause) => Err(cause.into()),
        }
    }
}

/// Ends when the folder is larger than that.
async fn grown_beyond(folder: &Path, most: u64) {
    let mut looks = tokio::time::interval(BETWEEN_LOOKS * 2);
    loop {
        looks.tick().await;
        if shape::size(folder) > most {
            return;
        }
    }
}

fn remove(entry: &fs::DirEntry) -> io::Result<()> {
    if entry.file_type()?.is_dir() {
        return fs::remove_dir_all(entry.path());
    }
    fs::remove_file(entry.path())
}
