//! Defaults that were frozen when an app was installed, and what a later `.env.sample` says of them.
//!
//! A later sample only adds variables; the old values stay, whatever it says. Where it says another value than the one
//! in use, the version may rely on that, so a person has to look. The surprise: a difference that was there already at
//! the running version is old news, or a default that was once approved would hold every version after it.

use std::collections::{BTreeMap, BTreeSet};

use super::barrier::Barrier;
use crate::desired::{self, Desired, SecretSource};
use crate::recipe::env::{self, Variable};
use crate::recipe::interpolate::Environment;
use crate::recipe::{EXPORTS, SAMPLE, Tree};

/// What the samples are compared beside.
pub struct Samples<'a> {
    /// The text that is frozen.
    pub frozen: &'a str,
    /// The text at the running version, where its commit can still be read.
    pub running: Option<&'a str>,
    /// The recipe at the candidate.
    pub tree: &'a Tree,
    /// The operator's own values: they beat every sample.
    pub own: &'a Environment,
    /// The candidate as it is read; says which variables name versions of secrets.
    pub desired: &'a Desired,
}

/// Every frozen default that the candidate's sample has changed.
pub fn changed_defaults(samples: &Samples) -> Vec<Barrier> {
    let (frozen, new) = (defaults(samples.frozen), defaults(desired::sample(samples.tree)));
    let running = samples.running.map(defaults).unwrap_or_default();
    let decided = decided_elsewhere(samples);
    let changed = new.iter().filter_map(|(key, to)| {
        let from = frozen.get(key).filter(|from| *from != to)?;
        let is_news = running.get(key) != Some(to) && !decided.contains(key.as_str());
        is_news.then(|| barrier(samples.desired, key, from, to))
    });
    changed.collect()
}

fn barrier(desired: &Desired, key: &str, from: &str, to: &str) -> Barrier {
    let (from, to) = (from.to_owned(), to.to_owned());
    match versions_a_secret(desired, key) {
        true => Barrier::Secret { variable: key.to_owned(), from, to },
        false => Barrier::Default { key: key.to_owned(), from, to },
    }
}

fn versions_a_secret(desired: &Desired, key: &str) -> bool {
    let named = desired.secrets.iter().any(|secret| secret.version_variable.as_deref() == Some(key));
    named || (key.starts_with("SECRET_") && key.ends_with("_VERSION"))
}

/// Variables whose value in the sample counts for nothing: the operator, the recipe's exports or we ourselves say
/// another; and those that follow the content of a secret which the operator gives.
fn decided_elsewhere(samples: &Samples) -> BTreeSet<String> {
    let exports = env::exports(samples.tree.text(EXPORTS).unwrap_or_default());
    let given = samples.desired.secrets.iter().filter(|secret| matches!(secret.source, SecretSource::Bytes(_)));
    let mut decided: BTreeSet<String> = given.filter_map(|secret| secret.version_variable.clone()).collect();
    decided.extend(["STACK_NAME", "DOMAIN", "LETS_ENCRYPT_ENV"].map(str::to_owned));
    decided.extend(samples.own.keys().cloned());
    decided.extend(exports.into_keys());
    decided
}

/// Variables with their values, as far as the text says them by itself.
fn defaults(text: &str) -> BTreeMap<String, String> {
    variables(text).into_iter().map(|variable| (variable.name, variable.value)).collect()
}

/// A sample that cannot be read is told where the recipe is read.
fn variables(text: &str) -> Vec<Variable> {
    env::parse(&SAMPLE.into(), text, &|_| None).unwrap_or_default()
}

/// The text that is frozen once a later version has passed its gate: the frozen one, and the lines of the later sample
/// for variables that it did not have.
pub fn frozen_with(frozen: &str, later: &str) -> String {
    let later = normal(later);
    let mut wanted = defaults(&later);
    wanted.extend(defaults(frozen));
    let joined = format!("{frozen}{}", new_lines(frozen, &later));
    if defaults(&joined) == wanted {
        return joined;
    }
    // A variable that is assigned twice has no line of its own.
    format!("{later}\n{frozen}")
}

fn new_lines(frozen: &str, later: &str) -> String {
    let known: BTreeSet<String> = variables(frozen).into_iter().map(|variable| variable.name).collect();
    let statements = variables(later);
    let starts: Vec<usize> = statements.iter().map(|statement| offset(later, statement)).collect();
    let mut lines = String::new();
    let new = statements.iter().zip(&starts).filter(|(statement, _)| !known.contains(&statement.name));
    for (_, start) in new {
        if lines.is_empty() && !frozen.is_empty() && !frozen.ends_with('\n') {
            lines.push('\n');
        }
        let end = starts.iter().copied().filter(|other| other > start).min().unwrap_or(later.len());
        lines.push_str(later[*start..end].trim_end());
        lines.push('\n');
    }
    lines
}

/// As the reader counts lines and columns.
fn normal(text: &str) -> String {
    text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n")
}

fn offset(text: &str, statement: &Variable) -> usize {
    let place = |number: u32| usize::try_from(number).unwrap_or(usize::MAX).saturating_sub(1);
    let line: usize = text.split_inclusive('\n').take(place(statement.place.line)).map(str::len).sum();
    let column = text[line..].char_indices().nth(place(statement.place.column));
    column.map_or(text.len(), |(at, _)| line + at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::secret::{Rule, SecretBytes};
    use crate::plan::world;
    use crate::recipe::Entry;

    fn tree(sample: &str, exports: &str) -> Tree {
        let file = |text: &str| Entry::File(text.as_bytes().to_vec());
        Tree { entries: [(SAMPLE.to_owned(), file(sample)), (EXPORTS.to_owned(), file(exports))].into() }
    }

    fn told(frozen: &str, running: Option<&str>, later: &str, own: &[(&str, &str)]) -> Vec<String> {
        let own = own.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let desired = world::desired().secret("db", SecretSource::Generated(Rule::default()));
        let tree = tree(later, "export APP_CONF_VERSION=v7");
        let samples = Samples { frozen, running, tree: &tree, own: &own, desired: &desired };
        changed_defaults(&samples).iter().map(Barrier::fact).collect()
    }

    #[test]
    fn a_default_that_was_taken_and_is_another_now_is_a_barrier() {
        let frozen = "DB_NAME=wp\nTZ=UTC # zone\nSECRET_DB_VERSION=v1 # length=32\nAPP_CONF_VERSION=v6\n";
        let none = [""; 0];
        assert_eq!(told(frozen, None, frozen, &[]), none);
        assert_eq!(told(frozen, None, &frozen.replace("=wp", "=wordpress"), &[]), ["default: DB_NAME"]);
        assert_eq!(told(frozen, None, &frozen.replace("v1", "v2"), &[]), ["secret version: SECRET_DB_VERSION"]);
        for same in ["DB_NAME='wp'\n", "NEW=1\nDB_NAME=wp", "# DB_NAME=other", "", "APP_CONF_VERSION=v8"] {
            assert_eq!(told(frozen, None, same, &[]), none, "{same}");
        }
    }

    #[test]
    fn the_operators_own_value_decides_and_nobody_is_asked() {
        let (frozen, later) = ("DB_NAME=wp\nDOMAIN=a.example\n", "DB_NAME=wordpress\nDOMAIN=b.example\n");
        assert_eq!(told(frozen, None, later, &[("DB_NAME", "wp")]), [""; 0]);
        assert_eq!(told(frozen, None, later, &[("TZ", "UTC")]), ["default: DB_NAME"]);
    }

    #[test]
    fn a_difference_that_runs_already_is_old_news() {
        let (frozen, running) = ("DB_NAME=wp\n", "DB_NAME=wordpress\n");
        assert_eq!(told(frozen, Some(running), running, &[]), [""; 0]);
        assert_eq!(told(frozen, Some(running), "DB_NAME=third\n", &[]), ["default: DB_NAME"]);
    }

    #[test]
    fn the_version_of_a_given_secret_follows_its_content() {
        let mut desired = world::desired().secret("db", SecretSource::Bytes(SecretBytes::new(b"x".to_vec())));
        desired.secrets[0].version_variable = Some("SECRET_DB_VERSION".into());
        let (tree, own) = (tree("SECRET_DB_VERSION=v2\n", ""), Environment::new());
        let samples =
            Samples { frozen: "SECRET_DB_VERSION=v1\n", running: None, tree: &tree, own: &own, desired: &desired };
        assert_eq!(changed_defaults(&samples), []);
    }

    #[test]
    fn what_is_frozen_stays_and_new_variables_join_it() {
        let frozen = "A=1\nKEY=\"two\nlines\"";
        let later = "\u{feff}# head\r\nA=2\r\nexport NEW=\"x\r\ny\" # length=32\r\n# tail\r\nB='z' C=ä\r\nKEY=other";
        let both = frozen_with(frozen, later);
        assert_eq!(both, "A=1\nKEY=\"two\nlines\"\nexport NEW=\"x\ny\" # length=32\n# tail\nB='z'\nC=ä\n");
        assert_eq!(frozen_with(&both, later), both);
        assert_eq!(frozen_with("", "A=1"), "A=1\n");
        assert_eq!(frozen_with(frozen, ""), frozen);
    }

    proptest! {
        #[test]
        fn every_default_is_the_frozen_one_or_a_new_one(
            frozen in "([AB]=[a-c]{0,2}\n){0,4}",
            later in "([A-D](=|=\"|: )[a-c]{0,2}\"?( # x)?\r?\n){0,5}",
        ) {
            let both = defaults(&frozen_with(&frozen, &later));
            let mut expected = defaults(&later);
            expected.extend(defaults(&frozen));
            prop_assert_eq!(both, expected);
        }
    }
}
