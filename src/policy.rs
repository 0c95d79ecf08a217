//! Which version of a recipe an app is to run.
//!
//! An app that is installed stays at its recorded commit until [`line`](mod@line) lets another version through: taking it
//! is an upgrade, with a snapshot of its volumes and a way back for both, and is never made by the way. The border: what
//! was published is given; no git here. Beside it stands what else is decided of a whole host: where its apps' data is, and
//! when its own units have to be told of.

pub mod barrier;
mod disguise;
mod elsewhere;
pub mod failing;
pub mod hold;
pub mod line;
mod lost;
mod moved;
pub mod orphans;
pub mod promotion;
pub mod reaping;
pub mod rights;
pub mod sample;
mod silence;
pub mod step;
pub mod sweep;
mod unrecorded;
mod watermark;
mod window;

use crate::model::version::{Commit, RecipeVersion, Revision, Wanted};

pub use disguise::is_upgrade_in_disguise;
pub use elsewhere::{Here, is_elsewhere};
pub use lost::has_lost_volumes;
pub use moved::MovedTags;
pub use silence::{after_good_night, fallen_silent};
pub use unrecorded::is_unrecorded;
pub use watermark::{LowDisk, crossed, low_disks};

/// What the recipe's repository offers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Published {
    /// In any order.
    pub versions: Vec<(RecipeVersion, Commit)>,
    /// What the default branch points to.
    pub head: Option<Commit>,
    /// What the operator's own commit in hex stands for, if the repository has it.
    pub named: Option<Commit>,
}

/// Nothing that was asked for can be had; with the way out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    #[error("version {wanted} was never published; {}", nearest_words(.nearest))]
    NotPublished { wanted: RecipeVersion, nearest: Vec<RecipeVersion> },
    #[error("commit {0} is not in the recipe's repository: push it there, or name another one")]
    NoSuchCommit(String),
    #[error("the recipe has neither a version nor a commit: is its url the right one?")]
    Empty,
}

fn nearest_words(nearest: &[RecipeVersion]) -> String {
    if nearest.is_empty() {
        return "the recipe has no versions at all: name a commit, or take \"latest\"".to_owned();
    }
    let list: Vec<String> = nearest.iter().map(RecipeVersion::to_string).collect();
    format!("the nearest ones are {}", list.join(", "))
}

/// What a first install takes: the newest version, the newest commit of a recipe without any, or what is asked for.
///
/// # Errors
/// When what is asked for does not exist.
pub fn target(wanted: &Wanted, published: &Published) -> Result<Revision, PolicyError> {
    match wanted {
        Wanted::Latest => newest(published).or_else(|| head(published)).ok_or(PolicyError::Empty),
        Wanted::Version(version) => {
            let found = published.versions.iter().find(|(published, _)| published == version);
            let nearest =
                || PolicyError::NotPublished { wanted: version.clone(), nearest: nearest(version, published) };
            found.map(revision).ok_or_else(nearest)
        }
        Wanted::Commit(hex) => {
            let named = published.named.clone().ok_or_else(|| PolicyError::NoSuchCommit(hex.clone()))?;
            Ok(Revision { version: None, commit: named })
        }
    }
}

fn revision((version, commit): &(RecipeVersion, Commit)) -> Revision {
    Revision { version: Some(version.to_string()), commit: commit.clone() }
}

fn newest(published: &Published) -> Option<Revision> {
    published.versions.iter().max_by_key(|(version, _)| version).map(revision)
}

fn head(published: &Published) -> Option<Revision> {
    published.head.clone().map(|commit| Revision { version: None, commit })
}

/// Whether what runs is the very version or commit that the operator names.
pub fn is_asked_for(current: &Revision, wanted: &Wanted) -> bool {
    match wanted {
        Wanted::Latest => false,
        Wanted::Version(version) => current.version.as_deref() == Some(&version.to_string()),
        Wanted::Commit(hex) => current.commit.as_str().starts_with(hex),
    }
}

/// The same version on another commit is another release under an old name.
fn moved_tag(current: &Revision, published: &Published) -> Option<Revision> {
    let version = current.version.as_deref()?;
    let (_, commit) = published.versions.iter().find(|(published, _)| published.to_string() == version)?;
    (*commit != current.commit).then(|| Revision { version: current.version.clone(), commit: commit.clone() })
}

/// The published versions around one that does not exist: the next ones below and above, at most four.
pub fn nearest(wanted: &RecipeVersion, published: &Published) -> Vec<RecipeVersion> {
    let mut versions: Vec<&RecipeVersion> = published.versions.iter().map(|(version, _)| version).collect();
    versions.sort();
    let above = versions.partition_point(|version| *version < wanted);
    let around = above.saturating_sub(2)..versions.len().min(above + 2);
    versions[around].iter().map(|version| (*version).clone()).collect()
}

/// A release that runs what is desired, for tests.
#[cfg(test)]
fn release(desired: &crate::desired::Desired) -> crate::model::state::ReleaseBody {
    crate::model::state::ReleaseBody {
        revision: Revision { version: None, commit: "a".repeat(40).parse().unwrap() },
        networks: Default::default(),
        external_networks: vec![],
        secrets: Default::default(),
        configs: Default::default(),
        services: desired.services.iter().map(|s| (s.name.clone(), s.spec.clone())).collect(),
        images: Default::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit(letter: char) -> Commit {
        letter.to_string().repeat(40).parse().unwrap()
    }

    fn at(version: &str, letter: char) -> Revision {
        Revision { version: (!version.is_empty()).then(|| version.to_owned()), commit: commit(letter) }
    }

    fn published() -> Published {
        let versions = [("10.0.0+2.0", 'c'), ("9.1.0+1.9", 'b'), ("9.0.0+1.8", 'a')];
        let versions = versions.map(|(version, letter)| (version.parse().unwrap(), commit(letter)));
        Published { versions: versions.to_vec(), head: Some(commit('d')), named: Some(commit('e')) }
    }

    fn wanted(text: &str) -> Wanted {
        text.parse().unwrap()
    }

    #[test]
    fn a_first_install_takes_the_newest_or_what_is_asked_for() {
        let untagged = Published { versions: vec![], ..published() };
        let rows = [
            ("latest", published(), at("10.0.0+2.0", 'c')),
            ("9.1.0+1.9", published(), at("9.1.0+1.9", 'b')),
            ("eeeeeee", published(), at("", 'e')),
            ("latest", untagged, at("", 'd')),
        ];
        for (text, published, expected) in rows {
            assert_eq!(target(&wanted(text), &published), Ok(expected));
        }
    }

    #[test]
    fn what_runs_is_asked_for_by_its_version_or_its_commit() {
        let rows = [
            ("latest", at("10.0.0+2.0", 'c'), false),
            ("9.0.0+1.8", at("9.0.0+1.8", 'a'), true),
            ("9.0.0+1.8", at("", 'a'), false),
            ("aaaaaaaa", at("9.0.0+1.8", 'a'), true),
            ("eeeeeee", at("9.0.0+1.8", 'a'), false),
        ];
        for (text, current, expected) in rows {
            assert_eq!(is_asked_for(&current, &wanted(text)), expected, "{text}");
        }
    }

    #[test]
    fn what_nobody_published_is_told_with_the_nearest() {
        let error = target(&wanted("9.2.0+1.9"), &published()).unwrap_err().to_string();
        assert!(error.contains("9.0.0+1.8, 9.1.0+1.9, 10.0.0+2.0"), "{error}");
        let nothing = Published::default();
        assert_eq!(target(&wanted("latest"), &nothing), Err(PolicyError::Empty));
        let missing = target(&wanted("abcdef1"), &nothing);
        assert_eq!(missing, Err(PolicyError::NoSuchCommit("abcdef1".into())));
        assert!(target(&wanted("9.2.0+1.9"), &nothing).unwrap_err().to_string().contains("no versions"));
    }
}
