//! Versions of recipes.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// A published version: `<recipe semver>+<app version>`, as in `10.7.1+26.6.2`.
///
/// The app version behind the `+` is whatever upstream calls it (`v1.6.870-0`, `1.24.2-rootless`), in visible ASCII
/// without slashes: no two versions look alike, and none does anything to a terminal. Order: the semver triple, then
/// the app version with runs of digits compared as numbers, then the text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RecipeVersion {
    pub recipe: (u64, u64, u64),
    pub app: String,
}

/// Longer names no git host stores.
const LONGEST: usize = 255;

/// The text is not `x.y.z+app`. Many tags are not: legacy tags are no versions and no failure.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a version of the form x.y.z+app")]
pub struct NotAVersion(pub String);

impl FromStr for RecipeVersion {
    type Err = NotAVersion;

    fn from_str(text: &str) -> Result<Self, NotAVersion> {
        let refuse = || NotAVersion(text.to_owned());
        let (recipe, app) = text.split_once('+').ok_or_else(refuse)?;
        if app.is_empty() || text.len() > LONGEST || !app.bytes().all(is_plain) {
            return Err(refuse());
        }
        let mut parts = recipe.split('.').map(number);
        let (Some(Some(x)), Some(Some(y)), Some(Some(z)), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(refuse());
        };
        Ok(Self { recipe: (x, y, z), app: app.to_owned() })
    }
}

/// A slash would make a path of it.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'/' | b'\\')
}

/// Decimal digits only, no sign, no leading zero: so text and value are one.
fn number(text: &str) -> Option<u64> {
    let canonical = text == "0" || !text.starts_with('0');
    (canonical && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

impl fmt::Display for RecipeVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (x, y, z) = self.recipe;
        write!(f, "{x}.{y}.{z}+{}", self.app)
    }
}

impl Ord for RecipeVersion {
    fn cmp(&self, other: &Self) -> Ordering {
        self.recipe
            .cmp(&other.recipe)
            .then_with(|| natural(&self.app, &other.app))
            .then_with(|| self.app.cmp(&other.app))
    }
}

impl PartialOrd for RecipeVersion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Compares runs of digits as numbers of any length and all else as bytes.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    loop {
        let (run_a, rest_a) = run(a);
        let (run_b, rest_b) = run(b);
        if run_a.is_empty() || run_b.is_empty() {
            return run_a.len().cmp(&run_b.len());
        }
        let order = match (run_a[0].is_ascii_digit(), run_b[0].is_ascii_digit()) {
            (true, true) => as_numbers(run_a, run_b),
            _ => run_a.cmp(run_b),
        };
        if order != Ordering::Equal {
            return order;
        }
        (a, b) = (rest_a, rest_b);
    }
}

/// The leading run of digits, or of anything else, and what follows.
fn run(text: &[u8]) -> (&[u8], &[u8]) {
    let Some(first) = text.first() else { return (text, text) };
    let digits = first.is_ascii_digit();
    let end = text.iter().position(|b| b.is_ascii_digit() != digits).unwrap_or(text.len());
    text.split_at(end)
}

fn as_numbers(a: &[u8], b: &[u8]) -> Ordering {
    let strip = |digits: &[u8]| digits.iter().position(|b| *b != b'0').unwrap_or(digits.len());
    let (a, b) = (&a[strip(a)..], &b[strip(b)..]);
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

/// A git commit by its full hexadecimal id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Commit(String);

impl FromStr for Commit {
    type Err = NotAVersion;

    fn from_str(text: &str) -> Result<Self, NotAVersion> {
        if matches!(text.len(), 40 | 64) && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Ok(Self(text.to_owned()));
        }
        Err(NotAVersion(text.to_owned()))
    }
}

impl Commit {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first eight characters, as the chaos labels have it.
    pub fn short(&self) -> &str {
        &self.0[..8]
    }
}

impl fmt::Display for Commit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What the operator asks for: `version = "latest"`, a tag, or a commit in hex (7 characters or more).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    Latest,
    Version(RecipeVersion),
    Commit(String),
}

impl FromStr for Wanted {
    type Err = NotAVersion;

    fn from_str(text: &str) -> Result<Self, NotAVersion> {
        if text == "latest" {
            return Ok(Self::Latest);
        }
        let hex = (7..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if hex {
            return Ok(Self::Commit(text.to_ascii_lowercase()));
        }
        text.parse().map(Self::Version)
    }
}

/// What stands for a release in labels, states and messages: the tag, or the commit where there is none. A commit is
/// never shown as if it were a version.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Revision {
    /// The tag; `None` for a commit that was named by itself or a recipe without versions.
    pub version: Option<String>,
    pub commit: Commit,
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.version {
            Some(version) => f.write_str(version),
            None => write!(f, "commit {}", self.commit.short()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn version(text: &str) -> RecipeVersion {
        text.parse().unwrap()
    }

    #[test]
    fn newer_is_greater() {
        let digits = "9".repeat(100);
        let longer = format!("1{}", "0".repeat(100));
        let ascending = [
            "0.9.0+1",
            "0.10.0+1",
            "1.0.0+v1.6.870-0",
            "1.0.0+v1.6.1000-0",
            "1.11.0+1.29.0",
            "2.0.1+1.0.6-social-amd64",
            "3.2.0+2.20.6",
            "3.5.3+1.24.2-rootless",
            "3.6.0+1.24.2-rootless",
            "10.7.1+26.6.2",
            "10.7.1+26.6.2-1",
            "10.7.1+26.10.0",
            &format!("10.7.1+{digits}"),
            &format!("10.7.1+{longer}"),
            "10.7.1+v1",
            "10.8.0+0",
            "18446744073709551615.0.0+1",
        ];
        for pair in ascending.windows(2) {
            assert!(version(pair[0]) < version(pair[1]), "{pair:?}");
        }
    }

    #[test]
    fn zeros_before_a_number_do_not_make_it_another() {
        assert!(version("1.0.0+1.09") < version("1.0.0+1.10"));
        assert!(version("1.0.0+2026.01.02") < version("1.0.0+2026.1.10"));
        // Neither is newer, and they are two tags: the text decides.
        assert!(version("1.0.0+01") < version("1.0.0+1"));
    }

    #[test]
    fn legacy_tags_are_no_versions() {
        let long = format!("1.0.0+{}", "1".repeat(250));
        let beyond = format!("{}.0.0+1", "9".repeat(100));
        let tags = [
            "v2.4.8",
            "5.7.1_1",
            "1.14.1-rootless_1",
            "2.1+1",
            "1.0.0",
            "0.0.1",
            "latest",
            "hardcover-v0.4.21.37",
            "v1.0.0+1",
            "1.0.0.0+1",
            "1.0.0+",
            "01.0.0+1",
            "1.0.0-rc1+1",
            "18446744073709551616.0.0+1",
            &beyond,
            &long,
            "1.0.0+a b",
            "1.0.0+a\u{1b}[2J",
            "1.0.0+1\u{200b}",
            "1.0.0+\u{202e}1",
            "1.0.0+../../etc",
            "1.0.0+a\\b",
            "\u{661}.0.0+1",
            "",
            "+",
            "1.-1.0+x",
            "1.+1.0+x",
        ];
        for tag in tags {
            assert!(tag.parse::<RecipeVersion>().is_err(), "{tag:?}");
        }
        assert!(long[..255].parse::<RecipeVersion>().is_ok());
    }

    #[test]
    fn a_commit_is_named_in_hex_of_any_case_and_is_no_version() {
        assert_eq!("ABCdef1".parse(), Ok(Wanted::Commit("abcdef1".to_owned())));
        assert_eq!("1234567".parse(), Ok(Wanted::Commit("1234567".to_owned())));
        for text in ["abcdef", "main", "v2.4.8", "abcdefg", "0x1234567", ""] {
            assert!(text.parse::<Wanted>().is_err(), "{text:?}");
        }
        let commit: Commit = "0123456789abcdef0123456789abcdef01234567".parse().unwrap();
        assert_eq!(Revision { version: None, commit }.to_string(), "commit 01234567");
    }

    /// Few characters, so that versions often are alike.
    fn some() -> impl Strategy<Value = RecipeVersion> {
        "[01]\\.[01]\\.0\\+[01a.-]{1,5}".prop_map(|text| text.parse().unwrap())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn order_is_total(a in some(), b in some(), c in some()) {
            prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
            prop_assert_eq!(a.cmp(&b) == Ordering::Equal, a == b);
            prop_assert_eq!(a.partial_cmp(&b), Some(a.cmp(&b)));
            if a <= b && b <= c {
                prop_assert!(a <= c, "{a} {b} {c}");
            }
        }

        #[test]
        fn the_order_in_which_tags_come_does_not_matter(mut tags in proptest::collection::vec(some(), 0..20)) {
            let mut sorted = tags.clone();
            sorted.sort();
            tags.reverse();
            tags.sort();
            prop_assert_eq!(tags, sorted);
        }

        #[test]
        fn what_parses_is_the_text_again(text in "[0-9]{1,3}\\.[0-9]\\.[0-9]\\+[ -~]{0,9}") {
            if let Ok(version) = text.parse::<RecipeVersion>() {
                prop_assert_eq!(version.to_string(), text);
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in any::<String>(), more in "[0-9]{0,120}[.+v-]{0,9}[0-9]{0,120}\\+.{0,20}") {
            for text in [&text, &more, &format!("1.0.0+{text}")] {
                let parsed = (text.parse::<RecipeVersion>(), text.parse::<Wanted>(), text.parse::<Commit>());
                if let (Ok(version), _, _) = parsed {
                    prop_assert_eq!(&version.to_string(), text);
                    prop_assert_eq!(version.cmp(&version), Ordering::Equal);
                }
            }
        }
    }
}
