//! What a remote says it has: its branches, its tags, and which branch is the default.
//!
//! Its names are words of a stranger. They are kept as text and never become names of refs or files of ours; objects
//! are asked for and kept by their ids alone.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::Bounds;
use super::git::{self, Access};
use crate::host::command::CommandError;
use crate::model::version::Commit;

const SHA256_LENGTH: usize = 64;

/// The tips of a remote.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tips {
    /// What the default branch names; `None` where it has no commit.
    pub head: Option<Commit>,
    pub branches: BTreeSet<Commit>,
    /// The object that each tag names: a commit, an annotated tag, or anything else.
    pub tags: BTreeMap<String, Commit>,
}

/// Why a remote's tips are not known.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unknown {
    #[error(transparent)]
    Git(#[from] CommandError),
    #[error("it has more than {0} branches and tags, and a recipe has few")]
    TooMany(usize),
    #[error("its ids are SHA-256, which is not read yet: convert it, or take a copy with SHA-1 ids")]
    Sha256,
    #[error("it answered with what is no list of branches and tags")]
    Nonsense,
}

impl Tips {
    /// Asks the remote.
    pub async fn ask(access: &Access, bounds: &Bounds) -> Result<Self, Unknown> {
        match git::list(access, bounds).run().await {
            Ok(printed) => Self::read(&printed, bounds.tips),
            Err(CommandError::TooMuch { .. }) => Err(Unknown::TooMany(bounds.tips)),
            Err(cause) => Err(cause.into()),
        }
    }

    /// Lines of `<id> TAB <name>`. Refs of other kinds (pull requests) are nothing to us, and what an annotated tag
    /// leads to (`<name>^{}`) is seen from its object.
    fn read(printed: &[u8], most: usize) -> Result<Self, Unknown> {
        let mut tips = Self::default();
        for line in printed.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let tab = line.iter().position(|byte| *byte == b'\t').ok_or(Unknown::Nonsense)?;
            let (id, name) = (String::from_utf8_lossy(&line[..tab]), String::from_utf8_lossy(&line[tab + 1..]));
            let id: Commit = id.parse().map_err(|_| Unknown::Nonsense)?;
            if id.as_str().len() == SHA256_LENGTH {
                return Err(Unknown::Sha256);
            }
            if name == "HEAD" {
                tips.head = Some(id);
            } else if name.starts_with("refs/heads/") {
                tips.branches.insert(id);
            } else if let Some(tag) = name.strip_prefix("refs/tags/").filter(|tag| !tag.ends_with("^{}")) {
                tips.tags.insert(tag.to_owned(), id);
            }
        }
        match tips.tags.len() + tips.branches.len() {
            count if count > most => Err(Unknown::TooMany(most)),
            _ => Ok(tips),
        }
    }

    /// The objects that all of it names.
    pub fn ids(&self) -> BTreeSet<Commit> {
        self.head.iter().chain(&self.branches).chain(self.tags.values()).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(letter: char) -> String {
        letter.to_string().repeat(40)
    }

    fn read(lines: &[(char, &[u8])]) -> Result<Tips, Unknown> {
        let lines = lines.iter().map(|(letter, name)| [id(*letter).as_bytes(), b"\t", name, b"\n"].concat());
        Tips::read(&lines.collect::<Vec<_>>().concat(), 5)
    }

    #[test]
    fn tips_are_told_apart_by_their_names() {
        let tips = read(&[
            ('a', b"HEAD"),
            ('a', b"refs/heads/main"),
            ('b', b"refs/heads/feature/x"),
            ('c', b"refs/pull/1/head"),
            ('d', b"refs/tags/1.0.0+1"),
            ('a', b"refs/tags/1.0.0+1^{}"),
            ('e', b"refs/tags/old/name"),
            ('f', b"refs/remotes/origin/HEAD"),
        ])
        .unwrap();
        assert_eq!(tips.head, Some(id('a').parse().unwrap()));
        assert_eq!(tips.branches, ['a', 'b'].map(|letter| id(letter).parse().unwrap()).into());
        assert_eq!(tips.tags.keys().collect::<Vec<_>>(), ["1.0.0+1", "old/name"]);
        assert_eq!(tips.ids().len(), 4);
    }

    #[test]
    fn names_of_any_bytes_are_only_text() {
        let long = [b"refs/tags/", &[b'x'; 4096][..]].concat();
        let tips = read(&[('a', b"refs/tags/1.0.0+\xff"), ('b', b"refs/tags/../../\x1b[2J"), ('c', &long)]).unwrap();
        assert_eq!(tips.tags.len(), 3);
        assert!(tips.tags.contains_key("1.0.0+\u{fffd}") && tips.tags.contains_key("../../\u{1b}[2J"));
    }

    #[test]
    fn too_many_and_nonsense_are_refused() {
        let many: Vec<_> = (0..6).map(|number| format!("refs/tags/{number}")).collect();
        let many: Vec<_> = many.iter().map(|name| ('a', name.as_bytes())).collect();
        assert!(matches!(read(&many), Err(Unknown::TooMany(5))));
        assert!(read(&many[1..]).is_ok());
        for nonsense in [&b"<html>"[..], b"abc\tHEAD", b"\tHEAD"] {
            assert!(matches!(Tips::read(nonsense, 5), Err(Unknown::Nonsense)));
        }
        assert_eq!(Tips::read(b"", 5).unwrap(), Tips::default());
        let sha256 = format!("{}\tHEAD\n", "a".repeat(64));
        assert!(matches!(Tips::read(sha256.as_bytes(), 5), Err(Unknown::Sha256)));
    }
}
