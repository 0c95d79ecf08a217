//! Recipes as the outside has them: git repositories, mirrored, and folders of the operator's.
//!
//! One bare mirror per URL lies under `<state_dir>/recipes`. A version is read from its commit's objects: nothing is
//! checked out, no attribute, filter or hook of a recipe applies. The surprise: upstream tags move, and some are not
//! versions at all. The commit that a tag named when it was first seen stays that version's commit, as long as we have
//! it; that it moved is told.

mod directory;
mod git;
mod mirror;
mod objects;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::model::version::{Commit, RecipeVersion};
use crate::recipe::Tree;
use git::{local_git, printable};
use objects::Objects;

pub use directory::{operator_bytes, operator_file, tree_of_directory};

/// The largest file that is read; a longer one is [`crate::recipe::Entry::TooLarge`].
const LARGEST_FILE: u64 = 1 << 20;
/// The most files and folders of one tree, and the most bytes of all of them.
const MOST_ENTRIES: usize = 5_000;
const MOST_BYTES: u64 = 32 << 20;

/// All mirrors of a state directory.
#[derive(Debug, Clone)]
pub struct Recipes {
    dir: PathBuf,
}

impl Recipes {
    pub fn new(state_dir: impl AsRef<Path>) -> Self {
        Self { dir: state_dir.as_ref().join("recipes") }
    }

    /// The mirror of a recipe; nothing is read or made yet. `url` may also be a local path; `credentials` is a file
    /// with one line `user:token`.
    pub fn mirror(&self, url: &str, credentials: Option<&Path>) -> Mirror {
        Mirror {
            url: url.to_owned(),
            credentials: credentials.map(Path::to_owned),
            dir: self.dir.clone(),
            name: mirror_name(url),
        }
    }
}

/// `<last path part>-<8 hex of the URL's SHA-256>`: readable, and different for different URLs.
fn mirror_name(url: &str) -> String {
    let last = url.trim_end_matches('/').rsplit(['/', ':']).next().unwrap_or_default();
    let last = last.trim_end_matches(".git").trim_start_matches('.');
    let legal = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '_' };
    let mut name: String = last.chars().take(40).map(legal).collect();
    name.push('-');
    for byte in &Sha256::digest(url.as_bytes())[..4] {
        write!(name, "{byte:02x}").expect("a String takes all text");
    }
    name
}

/// The mirror of one recipe.
#[derive(Debug, Clone)]
pub struct Mirror {
    url: String,
    credentials: Option<PathBuf>,
    dir: PathBuf,
    name: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Freshness {
    /// The mirror holds what the remote held just now.
    Fresh,
    /// The remote gave nothing, for the reason `why`; the mirror is as it was.
    Stale { why: String },
}

/// What a recipe's repository offers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Published {
    /// Ascending.
    pub versions: Vec<(RecipeVersion, Commit)>,
    /// Other tags, and tags that name no commit.
    pub ignored: Vec<String>,
    /// The remote's default branch; `None` for an empty repository.
    pub head: Option<Commit>,
    /// Tags of versions that name another commit now than when they were first seen.
    pub moved: Vec<MovedTag>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MovedTag {
    pub tag: String,
    pub first: Commit,
    pub now: Commit,
}

/// The commit that a tag named when we first saw it, and when that was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct FirstSight {
    commit: Commit,
    seen: Timestamp,
}

/// Tags of versions and the commits that they name now; other tags; the default branch.
#[derive(Debug, Default)]
struct Refs {
    versions: Vec<(RecipeVersion, Commit)>,
    ignored: Vec<String>,
    head: Option<Commit>,
}

impl Mirror {
    /// Versions, as the mirror knows them; asks nobody else.
    ///
    /// # Errors
    /// When there is no mirror yet, or it is damaged.
    pub async fn published(&self) -> Result<Published> {
        let mut objects = self.objects()?;
        let refs = self.refs(&mut objects).await?;
        let sights = self.first_sights()?;
        let mut published = Published { ignored: refs.ignored, head: refs.head, ..Published::default() };
        for (version, now) in refs.versions {
            let tag = version.to_string();
            let first = sights.get(&tag).map_or(&now, |sight| &sight.commit).clone();
            if first == now {
                published.versions.push((version, now));
                continue;
            }
            let commit = if objects.commit(first.as_str()).await?.is_some() { &first } else { &now };
            published.versions.push((version, commit.clone()));
            published.moved.push(MovedTag { tag, first, now });
        }
        published.versions.sort();
        Ok(published)
    }

    /// The one commit whose id begins with `prefix` (hex, 4 digits or more). Names of branches and tags do not count,
    /// even if they look like hex.
    ///
    /// # Errors
    /// When there is none, or more than one.
    pub async fn resolve_commit(&self, prefix: &str) -> Result<Commit> {
        let hex = (4..=64).contains(&prefix.len()) && prefix.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if !hex {
            bail!("{prefix:?} is not the beginning of a commit's id: 4 to 64 of the digits 0-9 and a-f");
        }
        let mut objects = self.objects()?;
        let listed = local_git(&self.path(), ["rev-parse", &format!("--disambiguate={prefix}")]).run().await;
        let ids = lines_of(listed.with_context(|| self.damaged())?)?;
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
        let tree = objects::read_tree(self.objects()?, commit).await;
        tree.with_context(|| format!("read commit {} of {}", commit.short(), printable(&self.url)))
    }

    /// The files of a commit, where the mirror has all of them. A missing or damaged mirror has none: the fetch that
    /// follows mends it.
    ///
    /// # Errors
    /// When git cannot be run.
    pub async fn tree_if_there(&self, commit: &Commit) -> Result<Option<Tree>> {
        if !self.path().exists() {
            return Ok(None);
        }
        Ok(objects::read_tree(self.objects()?, commit).await.ok())
    }

    fn objects(&self) -> Result<Objects> {
        if !self.path().exists() {
            bail!("there is no mirror of {} yet; a run that may fetch makes it", printable(&self.url));
        }
        Objects::open(&self.path())
    }

    async fn refs(&self, objects: &mut Objects) -> Result<Refs> {
        let listed = local_git(&self.path(), ["for-each-ref", "--format=%(refname)", "refs/tags"]).run().await;
        let names = lines_of(listed.with_context(|| self.damaged())?)?;
        let mut refs = Refs::default();
        // An annotated tag is an object of its own that names the commit.
        for (name, commit) in names.iter().zip(objects.commits(&names).await?) {
            let tag = name.trim_start_matches("refs/tags/");
            match (tag.parse(), commit) {
                (Ok(version), Some(commit)) => refs.versions.push((version, commit)),
                _ => refs.ignored.push(tag.to_owned()),
            }
        }
        refs.head = objects.commit(git::HEAD).await?;
        Ok(refs)
    }

    fn first_sights(&self) -> Result<BTreeMap<String, FirstSight>> {
        let file = self.sights_file();
        let bytes = match std::fs::read(&file) {
            Ok(bytes) => bytes,
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
            Err(cause) => return Err(cause).with_context(|| format!("read {}", file.display())),
        };
        serde_json::from_slice(&bytes).with_context(|| {
            format!("read {}: remove it, and the tags count as first seen at the next fetch", file.display())
        })
    }

    fn path(&self) -> PathBuf {
        self.dir.join(format!("{}.git", self.name))
    }

    fn sights_file(&self) -> PathBuf {
        self.dir.join(format!("{}.json", self.name))
    }

    fn damaged(&self) -> String {
        format!(
            "the mirror {} is damaged; remove it, and the next run that fetches makes it anew",
            self.path().display()
        )
    }
}

fn lines_of(bytes: Vec<u8>) -> Result<Vec<String>> {
    let text = String::from_utf8(bytes).context("git printed what is not UTF-8")?;
    Ok(text.lines().map(str::to_owned).collect())
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
