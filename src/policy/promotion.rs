//! Whether what a run has shown becomes the known-good of a canonical.
//!
//! Only a tagged release does, of an enrolled recipe, that a run found healthy on fresh volumes. The border: a result's
//! text is read in `model::run_result`, and nothing is fetched here. The surprise: a [`Verified`] release is made by the
//! predicate alone, so no other way leads to a promotion.

use crate::model::app::{AppName, Kind};
use crate::model::diagnostic::{Diagnostic, Diagnostics, Place};
use crate::model::run_result::{RunResult, shown};
use crate::model::version::{Commit, RecipeVersion, Revision};
use crate::policy::{Published, nearest, nearest_words};

/// Refs that hosts of git give to what somebody proposes.
const PROPOSED: [&str; 5] = ["refs/pull/", "refs/pull-requests/", "refs/merge-requests/", "refs/changes/", "refs/for/"];

/// All that a promotion depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// The recipe is declared as a canonical.
    pub enrolled: bool,
    /// The run found the app healthy and passed its tests.
    pub green: bool,
    /// It began on fresh volumes.
    pub cold: bool,
    /// What ran is proposed by somebody, or is a head that no tag names.
    pub pull_request: bool,
}

/// Why a claim is not enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the recipe is not enrolled: declare it as [canonical.<recipe>]")]
    NotEnrolled,
    #[error("the run is not green: mend what failed, and run it again")]
    NotGreen,
    #[error("the run is not cold: warm data hides a broken install, so run it on fresh volumes")]
    NotCold,
    #[error("what ran is no published version: have it merged and tagged, and promote a run of that tag")]
    PullRequest,
}

/// The four inputs, and nothing else.
///
/// # Errors
/// Every reason against it, at once.
pub fn may_be_promoted(claim: Claim) -> Result<(), Vec<Refusal>> {
    let Claim { enrolled, green, cold, pull_request } = claim;
    let against = [
        (!enrolled, Refusal::NotEnrolled),
        (!green, Refusal::NotGreen),
        (!cold, Refusal::NotCold),
        (pull_request, Refusal::PullRequest),
    ];
    let refusals: Vec<Refusal> = against.into_iter().filter(|(is, _)| *is).map(|(_, refusal)| refusal).collect();
    if refusals.is_empty() { Ok(()) } else { Err(refusals) }
}

/// A release that a green and cold run has shown to be good. Only the predicate makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified(Revision);

impl Verified {
    /// # Errors
    /// As [`may_be_promoted`].
    pub fn new(claim: Claim, revision: Revision) -> Result<Self, Vec<Refusal>> {
        may_be_promoted(claim).map(|()| Self(revision))
    }

    pub fn revision(&self) -> &Revision {
        &self.0
    }
}

/// The app that a result is to promote.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    pub name: &'a AppName,
    pub kind: Kind,
    /// Its recipe by the name of the repository.
    pub recipe: &'a str,
}

impl Candidate<'_> {
    /// A CI knows the repository; the operator may have called it otherwise.
    fn is_meant_by(&self, recipe: &str) -> bool {
        recipe == self.name.as_str() || recipe == self.recipe
    }
}

/// What a person claims of a release.
pub fn claim_by_hand(kind: Kind, (green, cold): (bool, bool), revision: &Revision, published: &Published) -> Claim {
    let is_tagged = |version: &str| is_tag(version, &revision.commit, published);
    let pull_request = !revision.version.as_deref().is_some_and(is_tagged);
    Claim { enrolled: kind == Kind::Canonical, green, cold, pull_request }
}

/// What a result claims for an app.
pub fn claim(result: &RunResult, app: Candidate<'_>, published: &Published) -> Claim {
    Claim {
        enrolled: app.kind == Kind::Canonical,
        green: result.green.value,
        cold: result.cold.value,
        pull_request: !is_of_a_tag(result, published),
    }
}

/// The release that a result proves good.
///
/// # Errors
/// Everything that speaks against it, each with its place in the result: whatever does not fit the app or its published
/// versions, and every refusal.
pub fn verify(result: &RunResult, app: Candidate<'_>, published: &Published) -> Result<Verified, Diagnostics> {
    let mut findings = Diagnostics::default();
    if !app.is_meant_by(&result.recipe.value) {
        let message =
            format!("recipe: the run was of {}, and {} is {}", shown(&result.recipe.value), app.name, app.recipe);
        let hint = format!("promote the app of that recipe, or take a result of {}", app.recipe);
        findings.push(Diagnostic::error(result.recipe.place.clone(), message).hint(hint));
    }
    if let Some(version) = &result.version.value {
        misfit(version, result, published).into_iter().for_each(|finding| findings.push(finding));
    }
    let version = result.version.value.as_ref().map(RecipeVersion::to_string);
    let verified =
        Verified::new(claim(result, app, published), Revision { version, commit: result.commit.value.clone() });
    if let Err(refusals) = &verified {
        refusals.iter().for_each(|refusal| findings.push(refused(*refusal, result)));
    }
    match verified {
        Ok(verified) if !findings.has_errors() => Ok(verified),
        _ => Err(findings.in_order(&[])),
    }
}

/// What is wrong with a version that the result names.
fn misfit(version: &RecipeVersion, result: &RunResult, published: &Published) -> Option<Diagnostic> {
    let Some((_, commit)) = published.versions.iter().find(|(known, _)| known == version) else {
        let message = format!("version: {version} was never published");
        let hint = nearest_words(&nearest(version, published));
        return Some(Diagnostic::error(result.version.place.clone(), message).hint(hint));
    };
    let ran = &result.commit.value;
    (ran != commit).then(|| {
        let message = format!("commit: the run was of {}, and {version} is commit {}", ran.short(), commit.short());
        let hint = "a tag that was moved stays what it was when it was first seen; run the version again";
        Diagnostic::error(result.commit.place.clone(), message).hint(hint)
    })
}

/// A refusal in the words of the result, at the word that it is about.
fn refused(refusal: Refusal, result: &RunResult) -> Diagnostic {
    let (place, words): (&Place, String) = match refusal {
        Refusal::NotEnrolled => (&result.recipe.place, String::new()),
        Refusal::NotGreen => (&result.green.place, String::new()),
        Refusal::NotCold => (&result.cold.place, String::new()),
        Refusal::PullRequest => (&result.git_ref.place, origin(result)),
    };
    Diagnostic::error(place.clone(), format!("{words}{refusal}"))
}

fn origin(result: &RunResult) -> String {
    let (name, commit) = (shown(&result.git_ref.value), result.commit.value.short());
    match PROPOSED.iter().any(|proposed| result.git_ref.value.starts_with(proposed)) {
        true => format!("{name} is a pull request's: "),
        false => format!("{name} is no tag of commit {commit}: "),
    }
}

/// Whether the run was started for a tag, and of the commit that this tag names.
fn is_of_a_tag(result: &RunResult, published: &Published) -> bool {
    let tag = result.git_ref.value.strip_prefix("refs/tags/");
    result.version.value.is_some() && tag.is_some_and(|tag| is_tag(tag, &result.commit.value, published))
}

fn is_tag(name: &str, commit: &Commit, published: &Published) -> bool {
    published.versions.iter().any(|(version, of)| of == commit && version.to_string() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "wiki";

    fn commit(letter: char) -> Commit {
        letter.to_string().repeat(40).parse().unwrap()
    }

    fn published() -> Published {
        let versions = [("1.1.0+1", 'a'), ("1.2.0+1", 'b'), ("1.2.1+1", 'b')];
        let versions = versions.map(|(version, letter)| (version.parse().unwrap(), commit(letter)));
        Published { versions: versions.to_vec(), head: Some(commit('d')), named: None }
    }

    fn text(green: bool, cold: bool, git_ref: &str) -> String {
        format!(
            "{{\"schema\": 1,\n\"recipe\": \"dokuwiki\",\n\"version\": \"1.2.0+1\",\n\"commit\": \"{}\",\n\"ref\": \"{git_ref}\",\n\
             \"green\": {green},\n\"cold\": {cold}}}",
            commit('b')
        )
    }

    fn read(text: &str) -> RunResult {
        RunResult::parse("r", text.as_bytes()).unwrap()
    }

    fn verified(text: &str, kind: Kind) -> Result<Verified, String> {
        let name = NAME.parse().unwrap();
        let app = Candidate { name: &name, kind, recipe: "dokuwiki" };
        verify(&read(text), app, &published()).map_err(|findings| findings.to_string())
    }

    fn told(text: &str) -> String {
        verified(text, Kind::Canonical).unwrap_err()
    }

    #[test]
    fn one_claim_of_sixteen_is_promoted_and_each_other_is_told_all_that_it_lacks() {
        use Refusal::{NotCold, NotEnrolled, NotGreen, PullRequest};
        // Enrolled, green, cold, a pull request's.
        let rows: [([u8; 4], &[Refusal]); 16] = [
            ([0, 0, 0, 0], &[NotEnrolled, NotGreen, NotCold]),
            ([0, 0, 0, 1], &[NotEnrolled, NotGreen, NotCold, PullRequest]),
            ([0, 0, 1, 0], &[NotEnrolled, NotGreen]),
            ([0, 0, 1, 1], &[NotEnrolled, NotGreen, PullRequest]),
            ([0, 1, 0, 0], &[NotEnrolled, NotCold]),
            ([0, 1, 0, 1], &[NotEnrolled, NotCold, PullRequest]),
            ([0, 1, 1, 0], &[NotEnrolled]),
            ([0, 1, 1, 1], &[NotEnrolled, PullRequest]),
            ([1, 0, 0, 0], &[NotGreen, NotCold]),
            ([1, 0, 0, 1], &[NotGreen, NotCold, PullRequest]),
            ([1, 0, 1, 0], &[NotGreen]),
            ([1, 0, 1, 1], &[NotGreen, PullRequest]),
            ([1, 1, 0, 0], &[NotCold]),
            ([1, 1, 0, 1], &[NotCold, PullRequest]),
            ([1, 1, 1, 0], &[]),
            ([1, 1, 1, 1], &[PullRequest]),
        ];
        for (inputs, expected) in rows {
            let [enrolled, green, cold, pull_request] = inputs.map(|bit| bit == 1);
            let refused = may_be_promoted(Claim { enrolled, green, cold, pull_request }).err().unwrap_or_default();
            assert_eq!(refused, expected, "{inputs:?}");
        }
    }

    #[test]
    fn only_what_is_enrolled_and_green_and_cold_and_of_a_tag_is_verified_whatever_a_result_says() {
        let tag = "refs/tags/1.2.0+1";
        let revision = Revision { version: Some("1.2.0+1".to_owned()), commit: commit('b') };
        let mut promoted = 0;
        for inputs in 0..16 {
            let [enrolled, green, cold, proposed] = [8, 4, 2, 1].map(|bit| inputs & bit != 0);
            let kind = if enrolled { Kind::Canonical } else { Kind::App };
            let ended = verified(&text(green, cold, if proposed { "refs/pull/7/head" } else { tag }), kind);
            let lacks = [(enrolled, "r:2:11: "), (green, "r:6:10: "), (cold, "r:7:9: "), (!proposed, "r:5:8: ")];
            let mut places: Vec<&str> = lacks.iter().filter(|(has, _)| !has).map(|(_, place)| *place).collect();
            places.sort_unstable();
            match ended {
                Ok(verified) => {
                    assert_eq!((verified.revision(), places.len()), (&revision, 0), "{inputs:04b}");
                    promoted += 1;
                }
                Err(told) => {
                    let lines: Vec<&str> = told.lines().collect();
                    let fit = lines.iter().zip(&places).all(|(line, place)| line.starts_with(place));
                    assert!(fit && lines.len() == places.len() && !lines.is_empty(), "{inputs:04b}: {told}");
                }
            }
        }
        assert_eq!(promoted, 1);
    }

    #[test]
    fn a_run_is_of_a_tag_by_the_tag_that_its_commit_has() {
        let named = |git_ref: &str| verified(&text(true, true, git_ref), Kind::Canonical);
        assert!(named("refs/tags/1.2.0+1").is_ok() && named("refs/tags/1.2.1+1").is_ok());
        let rows = [
            ("refs/pull/7/head", "\"refs/pull/7/head\" is a pull request's: what ran is no published version"),
            ("refs/pull/7/merge", "is a pull request's"),
            ("refs/merge-requests/7/head", "is a pull request's"),
            ("refs/pull-requests/7/from", "is a pull request's"),
            ("refs/changes/07/7/1", "is a pull request's"),
            ("refs/heads/main", "\"refs/heads/main\" is no tag of commit bbbbbbbb: "),
            ("refs/heads/1.2.0+1", "is no tag of"),
            ("refs/tags/1.1.0+1", "is no tag of"),
            ("refs/tags/pull/1.2.0+1", "is no tag of"),
            ("refs/tags/", "is no tag of"),
            ("refs/", "is no tag of"),
        ];
        for (git_ref, expected) in rows {
            let told = named(git_ref).unwrap_err();
            assert!(told.starts_with("r:5:8: error: ") && told.contains(expected), "{git_ref}: {told}");
        }
        let without = text(true, true, "refs/tags/1.2.0+1").replace("\"1.2.0+1\"", "null");
        assert!(told(&without).contains("no published version"));
    }

    #[test]
    fn a_result_of_another_recipe_version_or_commit_is_told_and_so_is_all_else_at_once() {
        let right = text(true, true, "refs/tags/1.2.0+1");
        assert!(verified(&right.replace("dokuwiki", NAME), Kind::Canonical).is_ok(), "as the operator calls it");
        assert_eq!(
            told(&right.replace("dokuwiki", "notes")),
            "r:2:11: error: recipe: the run was of \"notes\", and wiki is dokuwiki (promote the app of that recipe, or take a \
             result of dokuwiki)"
        );
        assert_eq!(
            told(&right.replace("\"1.2.0+1\"", "\"1.3.0+1\"")),
            "r:3:12: error: version: 1.3.0+1 was never published (the nearest ones are 1.2.0+1, 1.2.1+1)"
        );
        assert_eq!(
            told(&right.replace("\"1.2.0+1\"", "\"1.1.0+1\"")),
            "r:4:11: error: commit: the run was of bbbbbbbb, and 1.1.0+1 is commit aaaaaaaa (a tag that was moved stays what \
             it was when it was first seen; run the version again)"
        );
        let all = text(false, false, "refs/pull/7/head").replace("dokuwiki", "notes").replace("1.2.0", "9.9.9");
        let all = told(&all);
        let places: Vec<&str> = all.lines().map(|line| line.split(" error").next().unwrap()).collect();
        assert_eq!(places, ["r:2:11:", "r:3:12:", "r:5:8:", "r:6:10:", "r:7:9:"], "{all}");
    }

    #[test]
    fn a_person_promotes_no_head_without_a_tag_either() {
        let of = |version: Option<&str>, letter| {
            let revision = Revision { version: version.map(str::to_owned), commit: commit(letter) };
            claim_by_hand(Kind::Canonical, (true, true), &revision, &published())
        };
        assert_eq!(may_be_promoted(of(Some("1.2.0+1"), 'b')), Ok(()));
        for (version, letter) in [(None, 'b'), (None, 'd'), (Some("1.2.0+1"), 'a'), (Some("1.3.0+1"), 'd')] {
            assert_eq!(may_be_promoted(of(version, letter)), Err(vec![Refusal::PullRequest]), "{version:?} {letter}");
        }
        let nothing =
            claim_by_hand(Kind::App, (false, false), &Revision { version: None, commit: commit('d') }, &published());
        assert_eq!(may_be_promoted(nothing).unwrap_err().len(), 4);
    }
}
