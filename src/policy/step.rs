//! How far it is from one version to another.
//!
//! The recipe's own semver is three numbers. The app version behind the `+` is whatever upstream writes, so it is read
//! for what can be compared: a leading version or date, and what hangs on it (`-rootless`, `-0`, `-alpine3.19`). The
//! surprise: everything that cannot be compared, another flavour and a step backwards too, is a major step.

use std::cmp::Ordering;

use crate::model::version::RecipeVersion;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    Patch,
    Minor,
    Major,
}

impl Step {
    pub fn word(self) -> &'static str {
        match self {
            Step::Patch => "patch",
            Step::Minor => "minor",
            Step::Major => "major",
        }
    }
}

/// The step of the recipe's own version; `None` where it is the same one.
pub fn of_recipe(from: &RecipeVersion, to: &RecipeVersion) -> Option<Step> {
    let numbers =
        |version: &RecipeVersion| [version.recipe.0, version.recipe.1, version.recipe.2].map(|n| n.to_string());
    let (from, to) = (numbers(from), numbers(to));
    of_numbers(&from.each_ref().map(String::as_str), &to.each_ref().map(String::as_str))
}

/// The step of the app version behind the `+`; `None` where both say the same.
pub fn of_app(from: &str, to: &str) -> Option<Step> {
    if from == to {
        return None;
    }
    let (Some(from), Some(to)) = (Read::of(from), Read::of(to)) else { return Some(Step::Major) };
    if from.before != to.before || !from.tail.is_of_the_flavour_of(&to.tail) {
        return Some(Step::Major);
    }
    let tail = from.tail.numbers.iter().zip(&to.tail.numbers).filter_map(|(from, to)| of_tail(from, to)).max();
    of_numbers(&from.version, &to.version).max(tail)
}

/// Of what hangs on a version, a lone number counts the packages or candidates of that version.
fn of_tail(from: &[&str], to: &[&str]) -> Option<Step> {
    match (from, to) {
        ([from], [to]) => (as_number(from) != as_number(to)).then_some(Step::Patch),
        _ => of_numbers(from, to),
    }
}

/// Numbers that are not there are zero.
fn of_numbers(from: &[&str], to: &[&str]) -> Option<Step> {
    let number = |numbers: &[&str], at: usize| numbers.get(at).map(|number| as_number(number)).unwrap_or_default();
    let places = from.len().max(to.len());
    let differs = (0..places).find(|at| number(from, *at) != number(to, *at))?;
    let is_back = compare(&number(from, differs), &number(to, differs)) == Ordering::Greater;
    Some(match differs {
        _ if is_back => Step::Major,
        0 => Step::Major,
        1 => Step::Minor,
        _ => Step::Patch,
    })
}

/// Without leading zeros, so that equal numbers are equal texts of any length.
fn as_number(digits: &str) -> String {
    digits.trim_start_matches('0').to_owned()
}

fn compare(a: &str, b: &str) -> Ordering {
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

/// An app version as far as it can be read.
struct Read<'a> {
    /// What stands before the first number, a `v` apart.
    before: &'a str,
    version: Vec<&'a str>,
    tail: Tail<'a>,
}

/// What hangs on a version: words, and the numbers between them.
struct Tail<'a> {
    words: Vec<&'a str>,
    numbers: Vec<Vec<&'a str>>,
}

impl<'a> Read<'a> {
    /// `None` for a text without a number, or with one in the middle of a word (`a1b2c3d`).
    fn of(text: &'a str) -> Option<Self> {
        let (before, rest) = text.split_at(text.find(|c: char| c.is_ascii_digit())?);
        let before = if before == "v" { "" } else { before };
        if let Some((version, rest)) = date(rest) {
            return Some(Self { before, version, tail: Tail::of(rest) });
        }
        let (version, rest) = dotted(rest);
        let is_in_a_word = rest.starts_with(|c: char| c.is_ascii_alphabetic());
        (!is_in_a_word).then(|| Self { before, version, tail: Tail::of(rest) })
    }
}

impl<'a> Tail<'a> {
    fn of(mut rest: &'a str) -> Self {
        let mut tail = Self { words: Vec::new(), numbers: Vec::new() };
        while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
            tail.words.push(&rest[..at]);
            let (numbers, behind) = dotted(&rest[at..]);
            tail.numbers.push(numbers);
            rest = behind;
        }
        tail.words.push(rest);
        tail
    }

    fn is_of_the_flavour_of(&self, other: &Self) -> bool {
        self.words == other.words
    }
}

/// Leading numbers with dots between them, and what follows.
fn dotted(text: &str) -> (Vec<&str>, &str) {
    let mut numbers = Vec::new();
    let mut rest = text;
    loop {
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        numbers.push(&rest[..end]);
        rest = &rest[end..];
        match rest.strip_prefix('.').filter(|next| next.starts_with(|c: char| c.is_ascii_digit())) {
            Some(next) => rest = next,
            None => return (numbers, rest),
        }
    }
}

/// A leading `2024-10-01`, and what follows.
fn date(text: &str) -> Option<(Vec<&str>, &str)> {
    let (day, rest) = text.split_at_checked(10)?;
    let parts: Vec<&str> = day.split('-').collect();
    let is_number = |part: &&str, length| part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit());
    let [year, month, of_month] = parts.as_slice() else { return None };
    let is_date = is_number(year, 4) && is_number(month, 2) && is_number(of_month, 2);
    (is_date && !rest.starts_with(|c: char| c.is_ascii_digit())).then_some((parts, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn app_versions_as_recipes_write_them_are_compared() {
        use Step::{Major, Minor, Patch};
        let rows = [
            ("26.6.2", "26.6.3", Some(Patch)),
            ("26.5.6", "26.6.2", Some(Minor)),
            ("25.9.9", "26.0.0", Some(Major)),
            ("1.29.0", "1.29.0", None),
            ("1.29", "1.29.1", Some(Patch)),
            ("17", "17.1", Some(Minor)),
            ("17", "18", Some(Major)),
            ("1.2.3.4", "1.2.3.5", Some(Patch)),
            ("v1.6.870-0", "v1.6.870-1", Some(Patch)),
            ("v1.6.870-0", "v1.6.901-0", Some(Patch)),
            ("v1.6.870-0", "v1.7.0-0", Some(Minor)),
            ("v1.6.870-0", "1.6.871-0", Some(Patch)),
            ("1.24.2-rootless", "1.24.3-rootless", Some(Patch)),
            ("1.24.2-rootless", "1.25.0-rootless", Some(Minor)),
            ("1.0.5-social-amd64", "1.0.6-social-amd64", Some(Patch)),
            ("1.0.5-social-amd64", "1.0.5-social-arm64", Some(Major)),
            ("1.0.5-social-amd64", "1.0.5-community-amd64", Some(Major)),
            ("2024-10-01", "2024-10-02", Some(Patch)),
            ("2024-10-01", "2024-11-01", Some(Minor)),
            ("2024-10-01", "2025-01-01", Some(Major)),
            ("1.09", "1.9", None),
            ("1.0.0-rc1", "1.0.0-rc2", Some(Patch)),
            ("3.1-alpine3.19", "3.1-alpine3.20", Some(Minor)),
            ("17-3.5", "17-4.0", Some(Major)),
            ("RELEASE.2024-10-01T00-00-00Z", "RELEASE.2024-10-02T01-02-03Z", Some(Patch)),
        ];
        for (from, to, step) in rows {
            assert_eq!(of_app(from, to), step, "{from} -> {to}");
        }
    }

    #[test]
    fn what_cannot_be_compared_is_a_major_step() {
        let rows = [
            ("latest", "1.2.3"),
            ("1.2.3", "latest"),
            ("latest", "stable"),
            ("1.24.2", "1.24.2-rootless"),
            ("1.24.2-rootless", "1.24.3"),
            ("1.0.0-rc1", "1.0.0"),
            ("a1b2c3d", "a1b2c3e"),
            ("2024-10-01", "1.0.0"),
            ("release-1", "v1"),
            ("1.2.3", "1.2.3-a1b2c3d"),
            ("0xff", "0xfe"),
        ];
        for (from, to) in rows {
            assert_eq!(of_app(from, to), Some(Step::Major), "{from} -> {to}");
        }
        for same in ["latest", "a1b2c3d", "", "-"] {
            assert_eq!(of_app(same, same), None, "{same}");
        }
    }

    #[test]
    fn a_step_back_is_a_major_one() {
        for (from, to) in [("2.1", "2.0"), ("1.2.4", "1.2.3"), ("2024-10-02", "2024-10-01"), ("10", "9")] {
            assert_eq!(of_app(from, to), Some(Step::Major), "{from} -> {to}");
        }
        // A package of a version is built anew under any number.
        assert_eq!(of_app("1.2.3-4", "1.2.3-1"), Some(Step::Patch));
    }

    #[test]
    fn the_recipes_own_steps_are_those_of_semver() {
        let rows = [
            ("1.0.0+1", "2.0.0+1", Some(Step::Major)),
            ("1.10.0+1.29.0", "1.11.0+1.29.0", Some(Step::Minor)),
            ("3.5.2+1", "3.5.3+1", Some(Step::Patch)),
            ("0.8.1+3.5.0", "0.9.0+3.5.0", Some(Step::Minor)),
            ("1.0.0+1", "1.0.0+2", None),
        ];
        for (from, to, step) in rows {
            assert_eq!(of_recipe(&from.parse().unwrap(), &to.parse().unwrap()), step, "{from} -> {to}");
        }
    }

    proptest! {
        #[test]
        fn any_text_can_be_asked(from in "[ -~]{0,30}", to in "[0-9a-z.v-]{0,30}", long in "[0-9]{0,90}") {
            for (from, to) in [(&from, &to), (&to, &from), (&long, &to)] {
                let step = of_app(from, to);
                prop_assert!(from != to || step.is_none());
            }
        }

        #[test]
        fn a_higher_first_number_is_major_whatever_hangs_on_it(a in 0..50_u32, more in 1..9_u32, tail in "(-[a-z]{1,5}){0,2}") {
            let (from, to) = (format!("{a}.1{tail}"), format!("{}.0{tail}", a + more));
            prop_assert_eq!(of_app(&from, &to), Some(Step::Major));
        }
    }
}
