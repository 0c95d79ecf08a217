//! Names and texts as the Engine takes them, told before the first write: it looks at each only when its turn comes.
//!
//! The rules are Swarm's own, and measured: services and networks want a DNS name, secrets and configs more.

use std::cmp::Reverse;

use serde_json::Value;

use super::Desired;
use crate::model::app::StackName;
use crate::model::diagnostic::{Diagnostic, Diagnostics, Place};

/// Letters and digits, hyphens and underscores inside, at most this long.
pub const LONGEST_DNS_NAME: usize = 63;
pub const LONGEST_OBJECT_NAME: usize = 64;
/// Such as `a.org`.
const SHORTEST_DOMAIN: usize = 5;

/// Whether the compose format takes a key for the name of a service; whether the Engine does is another question.
pub fn is_compose_key(key: &str) -> bool {
    key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

/// What keeps a name from being one of a service or network.
pub fn dns_name_fault(name: &str) -> Option<Fault> {
    let inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    fault(name, inside, LONGEST_DNS_NAME, "letters, digits, '-' and '_', a letter or digit first and last")
}

/// What keeps a name from being one of a secret or config.
pub fn object_name_fault(name: &str) -> Option<Fault> {
    let inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    fault(name, inside, LONGEST_OBJECT_NAME, "letters, digits, '-', '_' and '.', a letter or digit first and last")
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    TooLong { length: usize, most: usize },
    Illegal { rule: &'static str },
}

fn fault(name: &str, inside: impl Fn(char) -> bool, most: usize, rule: &'static str) -> Option<Fault> {
    let at_the_ends = |c: char| c.is_ascii_alphanumeric();
    if !name.chars().all(inside) || !name.starts_with(at_the_ends) || !name.ends_with(at_the_ends) {
        return Some(Fault::Illegal { rule });
    }
    (name.len() > most).then_some(Fault::TooLong { length: name.len(), most })
}

impl Fault {
    /// `what` is the kind of thing, `key` what the recipe calls it, `name` what the Engine would be told.
    pub fn told(&self, what: &str, key: &str, name: &str, place: Option<Place>) -> Diagnostic {
        match self {
            Self::TooLong { length, most } => {
                let name: String = name.chars().take(most + 20).collect();
                let message =
                    format!("{what} {key}: the name {name:?} has {length} characters, and {most} are allowed");
                Diagnostic::error(place, message).hint("use a shorter domain or stack name")
            }
            Self::Illegal { rule } => {
                let message = format!("{what} {key}: {name:?} is no name for a {what}");
                Diagnostic::error(place, message).hint(*rule)
            }
        }
    }
}

/// Of all names that are too long, the one that is so by most, and how short a domain has to be for all of them to fit.
pub fn longest_name_fault(desired: &Desired) -> Option<Diagnostic> {
    let (what, key, name, most) = names_of(desired)
        .filter(|(.., name, most)| name.len() > *most)
        .max_by_key(|(what, key, name, most)| (name.len() - most, Reverse((*what, *key))))?;
    let (length, over, stack) = (name.len(), name.len() - most, desired.stack.as_str());
    // A recipe can say anything of any length.
    let shown: String = name.chars().take(most + 60).collect();
    let message = format!(
        "the longest name is that of {what} {key}: {shown:?} has {length} characters, {over} more than the {most} that are \
         allowed"
    );
    let hint = match stack.len().checked_sub(over).filter(|left| *left >= SHORTEST_DOMAIN && name.contains(stack)) {
        Some(left) => format!("a domain of at most {left} characters would do; this one has {}", stack.len()),
        None => "no domain is short enough for it: give it a shorter name, by a compose file of yours".to_owned(),
    };
    Some(Diagnostic::error(None, message).hint(hint))
}

/// Every name that the Engine would be told: kind of thing, what the recipe calls it, the name, and the longest allowed.
fn names_of(desired: &Desired) -> impl Iterator<Item = (&'static str, &str, &str, usize)> {
    let services = desired.services.iter().map(|service| ("service", &*service.name));
    let networks = desired.networks.iter().map(|network| ("network", &*network.name));
    let of_dns = services
        .chain(networks)
        .map(|(what, name)| (what, without_stack(name, &desired.stack), name, LONGEST_DNS_NAME));
    let secrets = desired.secrets.iter().map(|secret| ("secret", &*secret.key, &*secret.name, LONGEST_OBJECT_NAME));
    let configs = desired.configs.iter().map(|config| ("config", &*config.key, &*config.name, LONGEST_OBJECT_NAME));
    of_dns.chain(secrets).chain(configs)
}

fn without_stack<'a>(name: &'a str, stack: &StackName) -> &'a str {
    name.strip_prefix(stack.as_str()).and_then(|rest| rest.strip_prefix('_')).unwrap_or(name)
}

/// The label by which objects of ours are known whatever their stack: who sets it claims them for another app.
const OUR_LABEL: &str = "evenkeel.stack";

/// What no recipe may send: texts with NUL, which no program can be given, and a label that is ours.
pub fn refuse_body(what: &str, key: &str, body: &Value, place: Option<&Place>, found: &mut Diagnostics) {
    if let Some(field) = nul_in(body) {
        let message = format!("{what} {key}: {field} has a NUL character in it");
        found.push(Diagnostic::error(place.cloned(), message).hint("no program can be given one; leave it out"));
    }
    if body["Labels"].get(OUR_LABEL).is_some() {
        let message = format!("{what} {key}: the label {OUR_LABEL} is not the recipe's to set");
        found.push(Diagnostic::error(place.cloned(), message).hint("leave it out"));
    }
}

/// The field of the first text with NUL, by its path; that is put together on the way back, since nearly no text has one.
fn nul_in(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => text.contains('\0').then(String::new),
        Value::Array(items) => items.iter().find_map(nul_in),
        Value::Object(fields) => fields.iter().find_map(|(field, value)| {
            let below = if field.contains('\0') { String::new() } else { nul_in(value)? };
            Some(if below.is_empty() { field.clone() } else { format!("{field}.{below}") })
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::desired::{DesiredConfig, DesiredSecret, DesiredService, SecretSource};

    fn desired(stack: &str, secrets: &[&str], services: &[&str]) -> Desired {
        let secret = |name: &&str| DesiredSecret {
            key: format!("key-of-{}", name.len()),
            name: (*name).to_owned(),
            spec: Value::Null,
            source: SecretSource::External,
            place: None,
            version_variable: None,
        };
        let service = |name: &&str| DesiredService { name: (*name).to_owned(), spec: Value::Null };
        Desired {
            stack: stack.parse().unwrap(),
            networks: vec![],
            external_networks: vec![],
            secrets: secrets.iter().map(secret).collect(),
            configs: vec![],
            services: services.iter().map(service).collect(),
        }
    }

    #[test]
    fn of_all_names_that_are_too_long_the_worst_is_told_with_the_domain_that_would_do() {
        let (stack, rest) = ("wiki_example_org", |length: usize| "x".repeat(length - "wiki_example_org_".len()));
        let name = |length: usize| format!("{stack}_{}", rest(length));
        let told = |secrets: &[&str], services: &[&str]| {
            longest_name_fault(&desired(stack, secrets, services)).map(|fault| fault.to_string())
        };
        assert_eq!(told(&[&name(64)], &[&name(63)]), None);
        let both = told(&[&name(66), &name(70)], &[&name(65)]).unwrap();
        assert_eq!(
            both,
            format!(
                "error: the longest name is that of secret key-of-70: {:?} has 70 characters, 6 more than the 64 that are \
                 allowed (a domain of at most 10 characters would do; this one has 16)",
                name(70)
            )
        );
        // One character less is allowed of a service.
        let service = told(&[&name(66)], &[&name(66)]).unwrap();
        assert!(service.contains(&format!("of service {}: ", rest(66))), "{service}");
        assert!(service.contains("3 more than the 63 that are allowed (a domain of at most 13"), "{service}");
    }

    #[test]
    fn a_name_for_which_no_domain_is_short_enough_is_told_so() {
        let own = "y".repeat(65);
        let told = longest_name_fault(&desired("wiki_example_org", &[&own], &[])).unwrap().to_string();
        assert!(
            told.ends_with("(no domain is short enough for it: give it a shorter name, by a compose file of yours)")
        );
        let mut long = desired("wiki_example_org", &[], &[]);
        let name = format!("wiki_example_org_{}", "z".repeat(70_000));
        long.configs.push(DesiredConfig { key: "c".into(), name, spec: Value::Null, body: None });
        let told = longest_name_fault(&long).unwrap().to_string();
        assert!(
            told.contains("has 70017 characters") && told.contains("no domain is short") && told.len() < 400,
            "{told}"
        );
    }

    /// A short way to a regular expression: alternately one character of the ends and any of the inside.
    fn matches(name: &str, inside: &str) -> bool {
        let bytes = name.as_bytes();
        let legal = |byte: &u8| byte.is_ascii_alphanumeric() || inside.as_bytes().contains(byte);
        match bytes {
            [] => false,
            [only] => only.is_ascii_alphanumeric(),
            [first, middle @ .., last] => {
                first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() && middle.iter().all(legal)
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_taken_is_what_the_engine_takes(name in prop_oneof![".*", "[a-zA-Z0-9._-]{0,70}", "[a-z0-9_-]{60,66}"]) {
            prop_assert_eq!(dns_name_fault(&name).is_none(), matches(&name, "-_") && name.len() <= 63);
            prop_assert_eq!(object_name_fault(&name).is_none(), matches(&name, "-_.") && name.len() <= 64);
        }

        #[test]
        fn a_legal_stack_makes_legal_names_of_legal_keys(
            stack in "[a-zA-Z0-9][a-zA-Z0-9_-]{0,30}",
            key in "[a-zA-Z0-9._-]{0,20}[a-zA-Z0-9]",
        ) {
            prop_assert!(stack.parse::<crate::model::app::StackName>().is_ok());
            let name = format!("{stack}_{key}");
            prop_assert_eq!(object_name_fault(&name), None);
            prop_assert_eq!(dns_name_fault(&name).is_none(), !key.contains('.'));
        }

        #[test]
        fn no_text_makes_a_name_panic(text in ".*") {
            use crate::model::app::{AppName, Domain, StackName};
            let _ = text.parse::<AppName>();
            if let Ok(domain) = text.parse::<Domain>() {
                let _ = domain.stack();
            }
            if let Ok(stack) = text.parse::<StackName>() {
                prop_assert_eq!(dns_name_fault(&format!("{stack}_a")), None);
            }
            if let Some(fault) = object_name_fault(&text) {
                prop_assert!(fault.told("secret", "x", &text, None).to_string().contains("secret x"));
            }
        }
    }
}
