//! Recipes of our own, as the git repositories that recipes are.
//!
//! `tests/fixtures/recipes/<name>/<tag>/` holds what a tag changes: each folder is laid over the one before, in the order
//! of versions. Files are never removed that way. Tags are annotated and lightweight by turns, as in real recipes, and
//! dates are fixed, so that a repository has the same commits on every machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use evenkeel::model::version::RecipeVersion;
use tempfile::TempDir;

/// 2026-01-01T12:00:00Z: the first version of every recipe. The others follow a day apart.
const FIRST_RELEASE: u64 = 1_767_268_800;
const DAY: u64 = 86_400;

/// A recipe's remote, gone when dropped.
pub struct RecipeRepo {
    dir: TempDir,
    releases: u64,
}

impl RecipeRepo {
    /// The fixture recipe of this name with all its versions.
    pub fn build(name: &str) -> Self {
        let mut repo = Self::empty();
        for version in versions(&fixture(name)) {
            let files = fixture(name).join(version.to_string());
            copy_over(&files, repo.path());
            repo.release(&version.to_string());
        }
        repo
    }

    /// A repository without any commit.
    pub fn empty() -> Self {
        let dir = TempDir::new().expect("a temporary directory");
        let repo = Self { dir, releases: 0 };
        repo.git(&["init", "--quiet", "--initial-branch=main"]);
        repo
    }

    /// One more version: the newest one with these files written over it.
    pub fn publish(&mut self, tag: &str, files: &[(&str, &str)]) {
        self.write(files);
        self.release(tag);
    }

    /// Work between two versions: these files, and no tag.
    pub fn commit(&mut self, files: &[(&str, &str)]) {
        self.write(files);
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", "Work"]);
    }

    fn write(&self, files: &[(&str, &str)]) {
        for (path, text) in files {
            let path = self.path().join(path);
            fs::create_dir_all(path.parent().expect("a file has a folder")).expect("make the file's folder");
            fs::write(path, text).expect("write the file");
        }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// What a config names as the recipe's `url`.
    pub fn url(&self) -> String {
        self.path().display().to_string()
    }

    /// The commit that a tag, annotated or not, stands for.
    pub fn commit_of(&self, tag: &str) -> String {
        self.git(&["rev-parse", &format!("{tag}^{{commit}}")])
    }

    /// A file of the newest version.
    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path().join(path)).expect("the recipe has the file")
    }

    fn release(&mut self, tag: &str) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", &format!("Release {tag}")]);
        match self.releases % 2 {
            0 => self.git(&["tag", "--annotate", "--message", tag, tag]),
            _ => self.git(&["tag", tag]),
        };
        self.releases += 1;
    }

    fn git(&self, args: &[&str]) -> String {
        let date = format!("@{} +0000", FIRST_RELEASE + self.releases * DAY);
        let output = Command::new("git")
            .args(args)
            .current_dir(self.path())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .envs([("GIT_AUTHOR_NAME", "A maintainer"), ("GIT_AUTHOR_EMAIL", "maintainer@example.org")])
            .envs([("GIT_COMMITTER_NAME", "A maintainer"), ("GIT_COMMITTER_EMAIL", "maintainer@example.org")])
            .envs([("GIT_AUTHOR_DATE", &date), ("GIT_COMMITTER_DATE", &date)])
            .output()
            .expect("git is on PATH");
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("git prints UTF-8").trim().to_owned()
    }
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/recipes").join(name)
}

/// The version folders of a recipe, oldest first.
fn versions(recipe: &Path) -> Vec<RecipeVersion> {
    let entries = fs::read_dir(recipe).unwrap_or_else(|e| panic!("no fixture recipe in {}: {e}", recipe.display()));
    let names = entries.map(|entry| entry.expect("read the folder").file_name().into_string().expect("UTF-8"));
    let mut versions: Vec<RecipeVersion> = names.map(|name| name.parse().expect("a folder is a version")).collect();
    versions.sort();
    versions
}

fn copy_over(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("make the folder");
    for entry in fs::read_dir(from).expect("read the folder") {
        let entry = entry.expect("read the folder");
        let target = to.join(entry.file_name());
        match entry.file_type().expect("know the file's type").is_dir() {
            true => copy_over(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).expect("copy the file")),
        }
    }
}

#[test]
fn fixture_recipe_has_a_tag_for_each_version_folder() {
    let repo = RecipeRepo::build("traefik");

    assert_eq!(repo.git(&["tag", "--list"]).lines().collect::<Vec<_>>(), ["5.1.0+v3.6.12", "5.1.1+v3.6.12"]);
    assert_ne!(repo.commit_of("5.1.0+v3.6.12"), repo.commit_of("5.1.1+v3.6.12"));
}

#[test]
fn later_version_keeps_the_files_that_it_does_not_change() {
    let repo = RecipeRepo::build("traefik");

    let wildcard = |tag: &str| repo.git(&["rev-parse", &format!("{tag}:compose.wildcard.yml")]);
    assert_eq!(wildcard("5.1.0+v3.6.12"), wildcard("5.1.1+v3.6.12"));
    assert!(repo.read("abra.sh").contains("TRAEFIK_YML_VERSION=v2"));
}

#[test]
fn tags_are_annotated_and_lightweight_by_turns() {
    let repo = RecipeRepo::build("standin-app");

    let kind = |tag: &str| repo.git(&["cat-file", "-t", tag]);
    assert_eq!(["1.0.0+1.0.0", "1.1.0+1.1.0", "2.0.0+2.0.0"].map(kind), ["tag", "commit", "tag"]);
}

#[test]
fn same_fixture_has_the_same_commits_again() {
    let commits = || RecipeRepo::build("standin-app").commit_of("2.0.0+2.0.0");

    assert_eq!(commits(), commits());
}

#[test]
fn published_version_stands_beside_those_of_the_fixture() {
    let mut repo = RecipeRepo::build("crash");
    repo.publish("1.0.1+1.0.0", &[("release/1.0.1+1.0.0", "Does not crash.\n")]);

    assert_eq!(repo.git(&["cat-file", "-p", "1.0.1+1.0.0:release/1.0.1+1.0.0"]), "Does not crash.");
    assert!(repo.url().starts_with('/'));
}
