//! Versions of recipes, and what an operator may ask for.

use std::cmp::Ordering;

use evenkeel::model::version::{Commit, RecipeVersion, Wanted};

/// A version's text and value are one, and three lines of a text that are versions have one order.
pub fn versions(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let lines: Vec<&str> = text.split('\n').collect();
    for line in &lines {
        if let Ok(version) = line.parse::<RecipeVersion>() {
            assert_eq!(version.to_string(), *line);
            assert_eq!(line.parse::<Wanted>(), Ok(Wanted::Version(version)));
        }
        if let Ok(commit) = line.parse::<Commit>() {
            assert_eq!(commit.to_string(), *line);
            assert!(line.starts_with(commit.short()));
        }
    }
    let versions: Vec<RecipeVersion> = lines.iter().take(8).filter_map(|line| line.parse().ok()).collect();
    for a in &versions {
        for b in &versions {
            assert_eq!(a.cmp(b), b.cmp(a).reverse(), "{a} {b}");
            assert_eq!(a.cmp(b) == Ordering::Equal, a == b, "{a} {b}");
            for c in &versions {
                assert!(!(a <= b && b <= c) || a <= c, "{a} {b} {c}");
            }
        }
    }
}
