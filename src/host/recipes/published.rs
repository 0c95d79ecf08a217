//! What a recipe's repository offers, as its mirror knows it.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::Result;
use jiff::Timestamp;

use super::objects::Objects;
use super::remote::Tips;
use super::sights::Sights;
use crate::model::version::{Commit, RecipeVersion, Revision};
use crate::telemetry;

/// How many tags that are no versions are named, and how much of each.
const NAMED: usize = 8;
const LONGEST_NAME: usize = 60;

/// Versions and other tags.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Published {
    /// Ascending; each with the commit that it named when it was first seen.
    pub versions: Vec<(RecipeVersion, Commit)>,
    /// Other tags, and tags that name no commit; ascending. Words of a stranger: see [`Published::others`].
    pub ignored: Vec<String>,
    /// The remote's default branch; `None` for an empty repository.
    pub head: Option<Commit>,
    /// Versions whose tag names another commit now than when it was first seen.
    pub moved: Vec<MovedTag>,
    /// When each version's tag was seen first.
    pub seen: BTreeMap<RecipeVersion, Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MovedTag {
    pub version: RecipeVersion,
    pub first: Commit,
    pub seen: Timestamp,
    pub now: Commit,
}

impl fmt::Display for MovedTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, now) = (self.first.short(), self.now.short());
        let seen = self.seen.strftime("%F");
        write!(f, "the tag {} names commit {now} now, and named {first} when it was first seen ", self.version)?;
        write!(f, "({seen}): that one counts; name commit {now} itself to take it")
    }
}

impl Published {
    pub(super) async fn new(tips: &Tips, sights: &Sights, objects: &mut Objects) -> Result<Self> {
        let (versions, ignored) = sorted(tips, objects).await?;
        let head = match &tips.head {
            Some(head) => objects.commit(head).await?,
            None => None,
        };
        let mut published = Self { ignored, head, ..Self::default() };
        for (version, now) in versions {
            published.seen.extend(sights.of(&version).map(|sight| (version.clone(), sight.seen)));
            let first = sights.of(&version).filter(|sight| sight.commit != now);
            let Some(sight) = first else {
                published.versions.push((version, now));
                continue;
            };
            let (first, seen) = (sight.commit.clone(), sight.seen);
            published.versions.push((version.clone(), first.clone()));
            published.moved.push(MovedTag { version, first, seen, now });
        }
        published.versions.sort();
        Ok(published)
    }

    /// The versions, for an app that runs `current`: of that one it has to know what the tag names now.
    pub fn versions_beside(&self, current: Option<&Revision>) -> Vec<(RecipeVersion, Commit)> {
        let running = current.and_then(|current| current.version.as_deref());
        let mut versions = self.versions.clone();
        for (version, commit) in &mut versions {
            let moved = self.moved.iter().find(|moved| moved.version == *version);
            if let Some(moved) = moved.filter(|moved| running == Some(&moved.version.to_string())) {
                *commit = moved.now.clone();
            }
        }
        versions
    }

    /// What an operator should know beside the versions, in a sentence each.
    pub fn notes(&self) -> Vec<String> {
        self.moved.iter().map(MovedTag::to_string).chain(self.others()).collect()
    }

    /// The tags that are no versions, as many as one can read.
    pub fn others(&self) -> Option<String> {
        let named: Vec<_> = self.ignored.iter().take(NAMED).map(|tag| short(tag)).collect();
        let more = match self.ignored.len() - named.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        (!named.is_empty()).then(|| format!("tags that are no versions (x.y.z+app): {}{more}", named.join(", ")))
    }
}

/// Versions with the commits that they name now, and all other tags.
pub(super) async fn sorted(tips: &Tips, objects: &mut Objects) -> Result<(Vec<(RecipeVersion, Commit)>, Vec<String>)> {
    let (mut named, mut versions, mut ignored) = (Vec::new(), Vec::new(), Vec::new());
    for (tag, id) in &tips.tags {
        match tag.parse::<RecipeVersion>() {
            Ok(version) => named.push((version, id)),
            Err(_) => ignored.push(tag.clone()),
        }
    }
    // An annotated tag is an object of its own that names the commit, or another tag.
    let ids: Vec<_> = named.iter().map(|(_, id)| *id).collect();
    for ((version, _), commit) in named.into_iter().zip(objects.commits(&ids).await?) {
        match commit {
            Some(commit) => versions.push((version, commit)),
            None => ignored.push(version.to_string()),
        }
    }
    ignored.sort();
    Ok((versions, ignored))
}

fn short(tag: &str) -> String {
    let mut shown: String = tag.chars().take(LONGEST_NAME).collect();
    if shown.len() < tag.len() {
        shown.push('…');
    }
    telemetry::one_line(&shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_tags_are_told_in_a_readable_number_and_form() {
        let mut tags =
            vec!["v1\u{1b}[2J".to_owned(), "x".repeat(4096), "a\nb".to_owned(), "\u{202e}1.0.0+1".to_owned()];
        tags.extend((0..10_000).map(|number| format!("v{number}")));
        let told = Published { ignored: tags, ..Published::default() }.others().unwrap();
        assert!(
            told.contains("v1\\u001b[2J, xxx") && told.contains("… and 9996 more") || told.contains("v3 and 9996 more"),
            "{told}"
        );
        assert!(told.len() < 600 && !told.contains(|c: char| c.is_control() || c == '\u{202e}'), "{told}");
        assert_eq!(Published::default().others(), None);
    }
}
