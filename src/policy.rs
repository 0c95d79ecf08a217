//! Which version of a recipe an app is to run.
//!
//! An app that is installed stays at its recorded commit: taking another version is an upgrade, with a snapshot of its
//! volumes and a way back for both, and is never made by the way. The border: what was published is given; no git here.

pub mod barrier;
mod disguise;
mod elsewhere;
pub mod hold;
pub mod line;
mod lost;
mod moved;
pub mod rights;
pub mod sample;
pub mod step;
mod unrecorded;
mod window;

use crate::model::version::{Commit, RecipeVersion, Revision, Wanted};

pub use disguise::is_upgrade_in_disguise;
pub use elsewhere::{Here, is_elsewhere};
pub use lost::has_lost_volumes;
pub use moved::MovedTags;
pub use unrecorded::is_unrecorded;

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

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// Nothing is installed yet: this is to be.
    Install(Revision),
    /// What is installed stays, and nothing else is asked for.
    Current(Revision),
    /// What is installed stays although something else is asked for or published.
    Held { current: Revision, target: Revision, why: String },
}

impl Choice {
    /// What the app is to run in any case.
    pub fn revision(&self) -> &Revision {
        match self {
            Choice::Install(revision) | Choice::Current(revision) => revision,
            Choice::Held { current, .. } => current,
        }
    }
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

/// Chooses for an app that runs `current` (or nothing yet) and whose operator asks for `wanted`.
///
/// # Errors
/// When what is asked for does not exist.
pub fn choose(current: Option<&Revision>, wanted: &Wanted, published: &Published) -> Result<Choice, PolicyError> {
    let Some(current) = current else { return target(wanted, published).map(Choice::Install) };
    if let Some(moved) = moved_tag(current, published) {
        let why = format!(
            "the tag of version {current} was moved to commit {}, {current} as it was installed stays (commit {})",
            moved.commit.short(),
            current.commit.short()
        );
        return Ok(Choice::Held { current: current.clone(), target: moved, why });
    }
    let target = match wanted {
        Wanted::Latest => newer(current, published),
        _ if is_asked_for(current, wanted) => None,
        _ => Some(target(wanted, published)?).filter(|target| target.commit != current.commit),
    };
    Ok(match target {
        None => Choice::Current(current.clone()),
        Some(target) => Choice::Held { why: held(current, &target, wanted), current: current.clone(), target },
    })
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

/// A published version above the current one. An app at a commit without a version stays there: nobody can say what is
/// newer than that, unless the operator asks for a version.
fn newer(current: &Revision, published: &Published) -> Option<Revision> {
    let running: RecipeVersion = current.version.as_deref()?.parse().ok()?;
    let (version, commit) = published.versions.iter().max_by_key(|(version, _)| version)?;
    (*version > running).then(|| Revision { version: Some(version.to_string()), commit: commit.clone() })
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

fn held(current: &Revision, target: &Revision, wanted: &Wanted) -> String {
    let what = match wanted {
        Wanted::Latest => "is published",
        Wanted::Version(_) | Wanted::Commit(_) => "is asked for",
    };
    format!(
        "{target} {what} and {current} runs; taking it is an upgrade, which this version of evenkeel does not make: \
         {current} stays"
    )
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
            assert_eq!(choose(None, &wanted(text), &published), Ok(Choice::Install(expected)));
        }
    }

    #[test]
    fn what_is_installed_and_asked_for_stays() {
        let rows = [
            ("latest", at("10.0.0+2.0", 'c')),
            ("latest", at("11.0.0+3.0", 'f')),
            ("latest", at("", 'a')),
            ("9.0.0+1.8", at("9.0.0+1.8", 'a')),
            ("aaaaaaaa", at("9.0.0+1.8", 'a')),
            ("9.0.0+1.8", at("", 'a')),
        ];
        for (text, current) in rows {
            let choice = choose(Some(&current), &wanted(text), &published());
            assert_eq!(choice, Ok(Choice::Current(current)), "{text}");
        }
    }

    #[test]
    fn another_version_is_held_with_a_sentence() {
        let rows = [
            ("latest", at("9.0.0+1.8", 'a'), at("10.0.0+2.0", 'c'), "10.0.0+2.0 is published and 9.0.0+1.8 runs"),
            ("9.0.0+1.8", at("9.1.0+1.9", 'b'), at("9.0.0+1.8", 'a'), "9.0.0+1.8 is asked for and 9.1.0+1.9 runs"),
            ("eeeeeee", at("9.1.0+1.9", 'b'), at("", 'e'), "eeeeeeee is asked for"),
        ];
        for (text, current, expected, words) in rows {
            let choice = choose(Some(&current), &wanted(text), &published()).unwrap();
            assert_eq!(choice.revision(), &current);
            let Choice::Held { target, why, .. } = choice else { panic!("{text} is not held") };
            assert_eq!(target, expected);
            assert!(why.contains(words) && why.contains("upgrade"), "{why}");
        }
    }

    #[test]
    fn a_tag_that_was_moved_is_held() {
        let current = at("9.1.0+1.9", 'f');
        for text in ["latest", "9.1.0+1.9"] {
            let choice = choose(Some(&current), &wanted(text), &published()).unwrap();
            let Choice::Held { target, why, .. } = choice else { panic!("not held") };
            assert_eq!(target, at("9.1.0+1.9", 'b'));
            assert!(why.contains("was moved to commit bbbbbbbb"), "{why}");
        }
    }

    #[test]
    fn what_nobody_published_is_told_with_the_nearest() {
        let error = choose(None, &wanted("9.2.0+1.9"), &published()).unwrap_err().to_string();
        assert!(error.contains("9.0.0+1.8, 9.1.0+1.9, 10.0.0+2.0"), "{error}");
        let current = at("9.0.0+1.8", 'a');
        assert!(choose(Some(&current), &wanted("9.2.0+1.9"), &published()).is_err());
        let nothing = Published::default();
        assert_eq!(choose(None, &wanted("latest"), &nothing), Err(PolicyError::Empty));
        let missing = choose(None, &wanted("abcdef1"), &nothing);
        assert_eq!(missing, Err(PolicyError::NoSuchCommit("abcdef1".into())));
        assert!(choose(None, &wanted("9.2.0+1.9"), &nothing).unwrap_err().to_string().contains("no versions"));
    }
}
