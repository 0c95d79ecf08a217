//! Recipes: text of people we do not know, read into values. Reads no file: a [`Tree`] holds what the host read.

pub mod compose;
pub mod env;
pub mod interpolate;
pub mod merge;
pub mod values;
pub mod yaml;

use std::collections::BTreeMap;

/// The files of a recipe at one commit, by path relative to its root (`/`-separated), and the operator's own files
/// that its tables name, by absolute path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    pub entries: BTreeMap<String, Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    File(Vec<u8>),
    Symlink,
    Submodule,
    /// Left unread because of its size in bytes.
    TooLarge(u64),
}

/// Why a file of the tree cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    #[error("{0} is not in the recipe")]
    Missing(String),
    #[error("{0} leaves the recipe")]
    Outside(String),
    #[error("{0} is a symbolic link, which a recipe may not use")]
    Symlink(String),
    #[error("{0} is a submodule, which a recipe may not use")]
    Submodule(String),
    #[error("{0} has {1} bytes, more than this program reads")]
    TooLarge(String, u64),
    #[error("{0} is not UTF-8 text")]
    NotText(String),
}

impl Tree {
    /// The bytes of a file; `path` as a recipe writes it (`./entrypoint.sh`, `postgres/tune.sh`) or absolute for an
    /// operator's own file.
    pub fn bytes(&self, path: &str) -> Result<&[u8], TreeError> {
        let key = normal(path).ok_or_else(|| TreeError::Outside(path.to_owned()))?;
        match self.entries.get(&key) {
            Some(Entry::File(bytes)) => Ok(bytes),
            Some(Entry::Symlink) => Err(TreeError::Symlink(key)),
            Some(Entry::Submodule) => Err(TreeError::Submodule(key)),
            Some(Entry::TooLarge(size)) => Err(TreeError::TooLarge(key, *size)),
            None => Err(TreeError::Missing(key)),
        }
    }

    pub fn text(&self, path: &str) -> Result<&str, TreeError> {
        std::str::from_utf8(self.bytes(path)?).map_err(|_| TreeError::NotText(path.to_owned()))
    }
}

/// The path without `.` and `..`; `None` when it climbs out of the recipe.
fn normal(path: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            _ => parts.push(part),
        }
    }
    let joined = parts.join("/");
    Some(if path.starts_with('/') { format!("/{joined}") } else { joined })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_leave_the_recipe_are_refused() {
        let tree = Tree { entries: [("a/b.sh".to_owned(), Entry::File(b"x".to_vec()))].into() };
        assert_eq!(tree.text("./a/../a//b.sh"), Ok("x"));
        assert_eq!(tree.bytes("../etc/passwd"), Err(TreeError::Outside("../etc/passwd".into())));
        assert_eq!(tree.bytes("/etc/passwd"), Err(TreeError::Missing("/etc/passwd".into())));
    }
}
