//! Names of apps, stacks and domains.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What kind of reconciler keeps an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Proxy,
    Drone,
    WarmKeycloak,
    Canonical,
    App,
}

impl Kind {
    pub const ALL: [Kind; 5] = [Kind::Proxy, Kind::Drone, Kind::WarmKeycloak, Kind::Canonical, Kind::App];

    /// The table's name in the configuration.
    pub fn table(self) -> &'static str {
        match self {
            Kind::Proxy => "proxy",
            Kind::Drone => "drone",
            Kind::WarmKeycloak => "warm_keycloak",
            Kind::Canonical => "canonical",
            Kind::App => "app",
        }
    }

    /// The verb that keeps it, which is a part of its units' names, too.
    pub fn verb(self) -> &'static str {
        match self {
            Kind::WarmKeycloak => "warm-keycloak",
            Kind::Proxy | Kind::Drone | Kind::Canonical | Kind::App => self.table(),
        }
    }

    /// Whether newer versions are looked for each night. Those of a canonical come with a sweep, whenever that is.
    pub fn has_nights(self) -> bool {
        match self {
            Kind::Proxy | Kind::Drone | Kind::WarmKeycloak | Kind::Canonical | Kind::App => true,
        }
    }
}

/// A name that breaks a rule; tells the rule and the name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is not a valid {what}: {rule}")]
pub struct NameError {
    pub what: &'static str,
    pub name: String,
    pub rule: &'static str,
}

fn name_error(what: &'static str, name: &str, rule: &'static str) -> NameError {
    NameError { what, name: name.to_owned(), rule }
}

/// An app's name: what the operator calls it, a folder in the state directory, and part of its default domain.
///
/// One DNS label: lower-case letters, digits and hyphens inside, at most 40 characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AppName(String);

impl FromStr for AppName {
    type Err = NameError;

    fn from_str(name: &str) -> Result<Self, NameError> {
        if name.len() > 40 {
            return Err(name_error("app name", name, "at most 40 characters"));
        }
        if !is_dns_label(name) {
            return Err(name_error("app name", name, "lower-case letters, digits, and hyphens inside"));
        }
        Ok(Self(name.to_owned()))
    }
}

/// A domain name of at least two labels, lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Domain(String);

impl TryFrom<String> for Domain {
    type Error = NameError;

    fn try_from(name: String) -> Result<Self, NameError> {
        name.parse()
    }
}

impl From<Domain> for String {
    fn from(name: Domain) -> Self {
        name.0
    }
}

impl FromStr for Domain {
    type Err = NameError;

    fn from_str(name: &str) -> Result<Self, NameError> {
        if name.len() > 253 {
            return Err(name_error("domain", name, "at most 253 characters"));
        }
        if !name.contains('.') || !name.split('.').all(is_dns_label) {
            return Err(name_error("domain", name, "labels of lower-case letters, digits and hyphens, joined by dots"));
        }
        Ok(Self(name.to_owned()))
    }
}

impl Domain {
    /// Where a throw-away stack of a canonical answers: one label below the base domain, so that the same wildcard covers
    /// it.
    ///
    /// # Errors
    /// When the base domain leaves no room for it.
    pub fn throw_away(name: &AppName, mark: [u8; 3], base: &Domain) -> Result<Self, NameError> {
        // A name is ASCII.
        let recipe = name.0[..name.0.len().min(4)].trim_end_matches('-');
        format!("{recipe}-{}.{base}", super::hex(&mark)).parse()
    }

    /// Whether a certificate name (`example.org` or `*.example.org`) covers this domain. A wildcard covers one label.
    pub fn is_covered_by(&self, certificate_name: &str) -> bool {
        let name = certificate_name.to_ascii_lowercase();
        match name.strip_prefix("*.") {
            Some(parent) => self.0.split_once('.').is_some_and(|(_, rest)| rest == parent),
            None => self.0 == name,
        }
    }

    /// The app's stack: dots become underscores, hyphens stay (the recipes' own convention).
    ///
    /// # Errors
    /// When the name is too long for any service of the stack to have a legal name.
    pub fn stack(&self) -> Result<StackName, NameError> {
        self.0.replace('.', "_").parse()
    }
}

/// The name of a Swarm stack: prefix of its objects, value of `com.docker.stack.namespace`.
///
/// Service names are `<stack>_<service>` of at most 63 characters (Engine), so a stack has at most 61.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StackName(String);

impl TryFrom<String> for StackName {
    type Error = NameError;

    fn try_from(name: String) -> Result<Self, NameError> {
        name.parse()
    }
}

impl From<StackName> for String {
    fn from(name: StackName) -> Self {
        name.0
    }
}

impl FromStr for StackName {
    type Err = NameError;

    fn from_str(name: &str) -> Result<Self, NameError> {
        let legal = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.len() > 61 {
            return Err(name_error("stack name", name, "at most 61 characters, so that a service name fits into 63"));
        }
        if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) || !name.chars().all(legal) {
            return Err(name_error(
                "stack name",
                name,
                "letters, digits, hyphens, underscores; a letter or digit first",
            ));
        }
        Ok(Self(name.to_owned()))
    }
}

fn is_dns_label(label: &str) -> bool {
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !label.is_empty()
        && label.len() <= 63
        && label.chars().all(legal)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

macro_rules! text {
    ($($name:ident),*) => {$(
        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}
text!(AppName, Domain, StackName);

#[cfg(test)]
mod tests {
    use super::*;

    fn domain(name: &str) -> Domain {
        name.parse().unwrap()
    }

    #[test]
    fn a_stack_is_the_domain_with_underscores_for_dots() {
        let stack = domain("warm-keycloak.ci.example.org").stack().unwrap();
        assert_eq!(stack.as_str(), "warm-keycloak_ci_example_org");
    }

    #[test]
    fn a_wildcard_covers_one_label() {
        assert!(domain("wiki.example.org").is_covered_by("*.example.org"));
        assert!(!domain("minio.wiki.example.org").is_covered_by("*.example.org"));
        assert!(!domain("example.org").is_covered_by("*.example.org"));
        assert!(domain("example.org").is_covered_by("Example.org"));
    }

    #[test]
    fn a_throw_away_stack_answers_one_label_below_the_base_domain() {
        let throw_away = |name: &str| {
            Domain::throw_away(&name.parse().unwrap(), [0xab, 0, 0x1f], &domain("ci.example.org")).unwrap()
        };
        assert_eq!(throw_away("custom-html").as_str(), "cust-ab001f.ci.example.org");
        assert_eq!(throw_away("n8n").as_str(), "n8n-ab001f.ci.example.org");
        assert_eq!(throw_away("my--app").as_str(), "my-ab001f.ci.example.org");
        assert!(throw_away("custom-html").is_covered_by("*.ci.example.org"));
        let long = domain(&format!("{}.example.org", vec!["a".repeat(59); 4].join(".")));
        assert!(Domain::throw_away(&"wiki".parse().unwrap(), [0; 3], &long).is_err());
    }

    #[test]
    fn names_that_would_break_something_later_are_refused() {
        for name in ["", "Wiki", "wi_ki", "-wiki", "wiki-", "a/b", "..", &"a".repeat(41)] {
            assert!(name.parse::<AppName>().is_err(), "{name:?}");
        }
        for name in ["localhost", "a..b", "a.b.", "A.b", "a b.c"] {
            assert!(name.parse::<Domain>().is_err(), "{name:?}");
        }
        let long = domain(&format!("{}.example.org", "a".repeat(55)));
        assert!(long.stack().is_err());
    }
}
