//! The demo's recipes and configuration: git repositories in the form of any other recipe, made on the spot.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use tokio::process::Command;

/// The repository of the images that both recipes run.
pub const IMAGE: &str = "evenkeel-demo";
/// The tag of the image that both recipes run first.
pub const FIRST: &str = "1.0.0";

/// A recipe at its first version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recipe {
    pub name: &'static str,
    pub tag: &'static str,
    pub files: &'static [(&'static str, &'static str)],
}

/// An app with a second service beside it and a volume.
pub const NOTES: Recipe = Recipe {
    name: "notes",
    tag: "1.0.0+1.0.0",
    files: &[("compose.yml", include_str!("notes/compose.yml")), (".env.sample", include_str!("notes/env.sample"))],
};

/// An app that ends shortly after each start, as one does whose database is not there.
pub const GUESTBOOK: Recipe = Recipe {
    name: "guestbook",
    tag: "1.0.0+1.0.0",
    files: &[
        ("compose.yml", include_str!("guestbook/compose.yml")),
        (".env.sample", include_str!("guestbook/env.sample")),
    ],
};

/// A later version of the notes: another image, with what it does to the notes that it finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Later {
    /// The image's tag.
    pub number: &'static str,
    /// The lines that take the place of `SCHEMA: "1"`.
    environment: &'static str,
}

/// Keeps the notes as they are.
pub const GOOD: Later = Later { number: "1.1.0", environment: r#"SCHEMA: "1""# };

/// Migrates the notes, and then ends.
pub const BAD: Later = Later {
    number: "1.2.0",
    environment: r#"SCHEMA: "2"
      FAIL_AFTER: "0"
      FAIL_WORDS: "cannot load what was just migrated""#,
};

/// Migrates the notes, and goes on.
pub const MENDED: Later = Later { number: "1.3.0", environment: r#"SCHEMA: "2""# };

impl Later {
    /// The version of the recipe.
    pub fn tag(&self) -> String {
        format!("{0}+{0}", self.number)
    }

    /// Adds this version to the recipe.
    pub async fn publish(&self, recipes: &Path) -> Result<()> {
        commit(&recipes.join(NOTES.name), &[("compose.yml", &self.compose())], &self.tag()).await
    }

    fn compose(&self) -> String {
        let first = NOTES.files[0].1;
        let moved = first.replace(&format!("{IMAGE}:{FIRST}"), &format!("{IMAGE}:{}", self.number));
        moved.replace(r#"SCHEMA: "1""#, self.environment)
    }
}

impl Recipe {
    /// Makes the repository `<recipes>/<name>`, with one commit and its tag.
    pub async fn publish(&self, recipes: &Path) -> Result<()> {
        let folder = recipes.join(self.name);
        fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
        git(&folder, &["init", "--quiet"]).await?;
        commit(&folder, self.files, self.tag).await
    }

    /// The app's table in the configuration.
    pub fn declaration(&self, recipes: &Path) -> String {
        let (name, url) = (self.name, recipes.join(self.name));
        format!(
            "\n[app.{name}]\nrecipe = {{ url = \"{}\" }}\nresolve = \"never\"\n\
             gate = {{ stable_for = \"2s\", within = \"2m\" }}\n",
            url.display()
        )
    }
}

/// The configuration without any app.
pub fn configuration(endpoint: &str, state: &Path) -> String {
    format!(
        "base_domain = \"demo.example\"\nstate_dir = \"{}\"\nengine = \"{endpoint}\"\n\n\
         [network]\nname = \"proxy\"\nsubnet = \"10.200.0.0/16\"\n",
        state.display()
    )
}

/// Commits these files of a repository and tags the commit.
async fn commit(folder: &Path, files: &[(&str, &str)], tag: &str) -> Result<()> {
    for (name, text) in files {
        fs::write(folder.join(name), text).with_context(|| format!("write {name} in {}", folder.display()))?;
    }
    git(folder, &["add", "--all"]).await?;
    git(folder, &["commit", "--quiet", "--message", tag]).await?;
    git(folder, &["tag", tag]).await
}

/// Nothing of the person's own git may matter: no identity, hook, template or signing key.
async fn git(folder: &Path, arguments: &[&str]) -> Result<()> {
    let output = Command::new("git")
        .args(["-c", "init.defaultBranch=main", "-c", "init.templateDir="])
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .envs([("GIT_CONFIG_NOSYSTEM", "1"), ("GIT_CONFIG_GLOBAL", "/dev/null"), ("HOME", "/nonexistent")])
        .envs([("GIT_AUTHOR_NAME", "Demo"), ("GIT_AUTHOR_EMAIL", "demo@demo.example")])
        .envs([("GIT_COMMITTER_NAME", "Demo"), ("GIT_COMMITTER_EMAIL", "demo@demo.example")])
        .kill_on_drop(true)
        .output()
        .await
        .context("run git, which has to be on PATH")?;
    let words = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "git {} failed: {}", arguments.join(" "), words.trim());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_published_recipe_is_a_repository_with_its_files_at_the_tag() {
        let recipes = tempfile::tempdir().unwrap();
        NOTES.publish(recipes.path()).await.unwrap();

        assert_eq!(compose(recipes.path(), "1.0.0+1.0.0").await, NOTES.files[0].1);
    }

    #[tokio::test]
    async fn a_later_version_has_its_own_image_and_its_own_way_with_the_notes() {
        let recipes = tempfile::tempdir().unwrap();
        NOTES.publish(recipes.path()).await.unwrap();
        for (later, lines) in [(GOOD, [r#"SCHEMA: "1""#, "1.1.0"]), (BAD, [r#"SCHEMA: "2""#, "FAIL_AFTER"])] {
            later.publish(recipes.path()).await.unwrap();
            let compose = compose(recipes.path(), &later.tag()).await;
            lines.iter().for_each(|line| assert!(compose.contains(line), "{line} is missing in:\n{compose}"));
            assert!(!compose.contains(FIRST), "{compose}");
        }
        assert_eq!(compose(recipes.path(), "1.0.0+1.0.0").await, NOTES.files[0].1);
    }

    async fn compose(recipes: &Path, tag: &str) -> String {
        let folder = recipes.join("notes").display().to_string();
        let shown = Command::new("git").args(["-C", &folder, "show", &format!("{tag}:compose.yml")]).output().await;
        String::from_utf8(shown.unwrap().stdout).unwrap()
    }

    #[test]
    fn the_configuration_is_toml_with_both_apps() {
        let recipes = Path::new("/recipes");
        let text = configuration("unix:///e.sock", Path::new("/state"))
            + &NOTES.declaration(recipes)
            + &GUESTBOOK.declaration(recipes);
        let read: toml::Table = text.parse().unwrap();
        assert_eq!(read["app"]["notes"]["recipe"]["url"].as_str(), Some("/recipes/notes"));
        assert_eq!(read["app"]["guestbook"]["gate"]["stable_for"].as_str(), Some("2s"));
        assert_eq!(read["engine"].as_str(), Some("unix:///e.sock"));
    }
}
