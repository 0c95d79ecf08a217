//! Recipes as the outside has them: git repositories, mirrored, and folders of the operator's.
//!
//! One bare mirror per URL lies under `<state_dir>/recipes`. A version is read from its commit's objects: nothing is
//! checked out, no attribute, filter or hook of a recipe applies. The surprise: upstream tags move, and some are not
//! versions at all. The commit that a tag named when it was first seen stays that version's commit; that it moved is
//! told.

mod bounds;
mod directory;
mod git;
mod mirror;
mod notes;
mod objects;
mod published;
mod remote;
mod shape;
mod sights;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::model::hex;
use crate::model::version::Commit;
use crate::recipe::Tree;
use crate::recipe::notes::Notes;
use git::{local_git, printable};
use objects::Objects;
use sights::Sights;

pub use bounds::Bounds;
use bounds::{LARGEST_FILE, LONGEST_PATH, MOST_BYTES, Taken};
pub use directory::{operator_bytes, operator_file, operator_text, tree_of_directory};
pub use published::{MovedTag, Published};

/// All mirrors of a state directory.
#[derive(Debug, Clone)]
pub struct Recipes {
    dir: PathBuf,
    bounds: Bounds,
}

impl Recipes {
    pub fn new(state_dir: impl AsRef<Path>) -> Self {
        Self { dir: state_dir.as_ref().join("recipes"), bounds: Bounds::default() }
    }

    /// With other bounds than a host has.
    #[must_use]
    pub fn within(mut self, bounds: Bounds) -> Self {
        self.bounds = bounds;
        self
    }

    /// The mirror of a recipe; nothing is read or made yet. `url` may also be a local path; `credentials` is a file
    /// with one line `user:token`.
    pub fn mirror(&self, url: &str, credentials: Option<&Path>) -> Mirror {
        Mirror {
            url: url.to_owned(),
            credentials: credentials.map(Path::to_owned),
            dir: self.dir.clone(),
            name: mirror_name(url),
            bounds: self.bounds.clone(),
        }
    }
}

/// `<last path part>-<8 hex of the URL's SHA-256>`: readable, and different for different URLs.
fn mirror_name(url: &str) -> String {
    let legal = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '_' };
    let name: String = recipe_name(url).trim_start_matches('.').chars().take(40).map(legal).collect();
    format!("{name}-{}", hex(&Sha256::digest(url.as_bytes())[..4]))
}

/// A recipe by the last part of its URL or path.
pub fn recipe_name(url: &str) -> &str {
    let last = url.trim_end_matches('/').rsplit(['/', ':']).next().unwrap_or_default();
    last.trim_end_matches(".git")
}

/// The mirror of one recipe.
#[derive(Debug, Clone)]
pub struct Mirror {
    url: String,
    credentials: Option<PathBuf>,
    dir: PathBuf,
    name: String,
    bounds: Bounds,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Freshness {
    /// The mirror holds what the remote held just now.
    Fresh,
    /// The remote gave nothing, for the reason `why`; the mirror is as it was.
    Stale { why: String },
}

impl Mirror {
    /// Versions, as the mirror knows them; asks nobody else.
    ///
    /// # Errors
    /// When there is no mirror yet, or it or its first sights are damaged.
    pub async fn published(&self) -> Result<Published> {
        let mut objects = self.objects()?;
        let tips = shape::tips(&self.path()).with_context(|| self.damaged())?;
        let sights = Sights::read(&self.sights_file())?;
        let published = Published::new(&tips, &sights, &mut objects).await;
        self.marked(published).with_context(|| format!("list the versions of {}", printable(&self.url)))
    }

    /// The one commit whose id begins with `prefix` (hex in small letters, 4 digits or more). Names of branches and
    /// tags do not count, even if they look like hex.
    ///
    /// # Errors
    /// When there is none, or more than one.
    pub async fn resolve_commit(&self, prefix: &str) -> Result<Commit> {
        let hex = (4..=64).contains(&prefix.len()) && prefix.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if !hex {
            bail!("{prefix:?} is not the beginning of a commit's id: 4 to 64 of the digits 0-9 and a-f");
        }
        let mut objects = self.objects()?;
        let asked = ["rev-parse", &format!("--disambiguate={prefix}")];
        let listed = local_git(&self.path(), self.bounds.memory, asked).run().await;
        let listed = String::from_utf8(listed.with_context(|| self.damaged())?).context("git printed no ids")?;
        let ids: Vec<_> = listed.lines().map(str::to_owned).collect();
        let commits = objects.commits_themselves(&ids).await?;
        let mut commits: Vec<_> = commits.into_iter().flatten().collect();
        let url = printable(&self.url);
        match commits.len() {
            0 => bail!("{url} has no commit {prefix} on a branch or tag; check the id, or push the commit"),
            1 => Ok(commits.remove(0)),
            count => bail!("{count} commits of {url} begin with {prefix}; give more digits"),
        }
    }

    /// The files of a commit: one git process, no checkout.
    ///
    /// # Errors
    /// When the mirror lacks the commit or is damaged, and for a tree that is too large or has paths that no recipe
    /// needs (not UTF-8, control characters).
    pub async fn tree(&self, commit: &Commit) -> Result<Tree> {
        let tree = self.read_tree(commit).await?;
        tree.with_context(|| format!("read commit {} of {}", commit.short(), printable(&self.url)))
    }

    /// The release notes that the recipe has at each of these commits: one git process, and one read of each folder.
    ///
    /// # Errors
    /// When the mirror lacks a commit or is damaged, and for a folder with more than any recipe needs.
    pub async fn notes(&self, commits: &[Commit]) -> Result<BTreeMap<Commit, Notes>> {
        if commits.is_empty() {
            return Ok(BTreeMap::new());
        }
        let notes = notes::read(&mut self.objects()?, commits).await;
        self.marked(notes).with_context(|| format!("read the release notes of {}", printable(&self.url)))
    }

    /// The files of a commit, where the mirror has all of them. A missing or damaged mirror has none: the fetch that
    /// follows mends it.
    ///
    /// # Errors
    /// When git cannot be run.
    pub async fn tree_if_there(&self, commit: &Commit) -> Result<Option<Tree>> {
        if !self.is_sound() {
            return Ok(None);
        }
        Ok(self.read_tree(commit).await?.ok())
    }

    /// Whether nothing is known to be wrong with the mirror; `false` also where there is none.
    pub fn is_sound(&self) -> bool {
        shape::is_ours(&self.path())
    }

    async fn read_tree(&self, commit: &Commit) -> Result<Result<Tree>> {
        let tree = objects::read_tree(self.objects()?, commit).await;
        Ok(self.marked(tree))
    }

    /// Lets the next fetch know where something was found broken.
    fn marked<T>(&self, read: Result<T>) -> Result<T> {
        read.inspect_err(|cause| {
            if cause.is::<objects::Damaged>() {
                shape::mark_damaged(&self.path());
            }
        })
    }

    fn objects(&self) -> Result<Objects> {
        let path = self.path();
        if !path.is_symlink() && !path.exists() {
            bail!("there is no mirror of {} yet; a run that may fetch makes it", printable(&self.url));
        }
        if !self.is_sound() {
            bail!(self.damaged());
        }
        Objects::open(&path, self.bounds.memory)
    }

    fn path(&self) -> PathBuf {
        self.dir.join(format!("{}.git", self.name))
    }

    fn sights_file(&self) -> PathBuf {
        self.dir.join(format!("{}.json", self.name))
    }

    fn damaged(&self) -> String {
        format!(
            "the mirror {} is damaged, or was changed by somebody else; the next run that can fetch makes it anew",
            self.path().display()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors_are_named_after_the_recipe_and_differ_by_url() {
        let url = "https://git.example.org/recipes/wiki.git";
        let name = mirror_name(url);
        assert!(name.starts_with("wiki-") && name.len() == "wiki-".len() + 8, "{name}");
        assert_eq!(name, mirror_name(url));
        assert_ne!(name, mirror_name("https://git.example.org/other/wiki.git"));
        for url in ["/srv/recipes/wiki/", "git@git.example.org:wiki.git", "file:///srv/wiki"] {
            assert!(mirror_name(url).starts_with("wiki-"), "{url}");
        }
        for url in ["..", "/", "", "https://x/.git", "https://x/a b\n?c"] {
            let name = mirror_name(url);
            let legal = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            assert!(name.chars().all(legal) && !name.starts_with('.'), "{url:?}: {name:?}");
        }
    }
}
