//! Differences as an operator reads them, without anything that should not be read.

use std::collections::BTreeSet;

use serde_json::Value;
use similar::TextDiff;

/// Whether the text behind a name (the empty one where it has none) is for nobody's eyes.
pub type IsHidden<'a> = dyn Fn(&str, &str) -> bool + 'a;

/// A unified diff of two canonical specs. Values behind names that sound secret, and those that `is_hidden` knows, are
/// hidden; that they differ is told.
pub fn unified(live: &Value, wanted: &Value, is_hidden: &IsHidden) -> String {
    let same = &strings(live) & &strings(wanted);
    let hidden = |value: &Value, side: &'static str| Hiding { same: &same, side, is_hidden }.hidden(value);
    let (live, wanted) = (hidden(live, "live"), hidden(wanted, "wanted"));
    let (live, wanted) = (pretty(&live), pretty(&wanted));
    TextDiff::from_lines(&live, &wanted).unified_diff().context_radius(3).header("live", "wanted").to_string()
}

fn pretty(value: &Value) -> String {
    let mut text = serde_json::to_string_pretty(value).expect("a JSON value has a text");
    text.push('\n');
    text
}

/// Every `KEY=value` of lists and `key: value` of maps, by which equal ones are told from changed ones.
fn strings(value: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    collect(value, &mut found);
    found
}

fn collect(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => drop(found.insert(text.clone())),
        Value::Array(list) => list.iter().for_each(|item| collect(item, found)),
        Value::Object(map) => map.iter().for_each(|(key, value)| match value {
            Value::String(text) => drop(found.insert(format!("{key}={text}"))),
            _ => collect(value, found),
        }),
        _ => {}
    }
}

/// What is hidden on one side of a diff.
struct Hiding<'a> {
    same: &'a BTreeSet<String>,
    side: &'static str,
    is_hidden: &'a IsHidden<'a>,
}

impl Hiding<'_> {
    fn hidden(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => match text.split_once('=') {
                Some((key, value)) => Value::String(format!("{key}={}", self.shown(key, value))),
                None if (self.is_hidden)("", text) => Value::String(self.instead_of(text)),
                None => Value::String(without_password(text)),
            },
            Value::Array(list) => list.iter().map(|item| self.hidden(item)).collect(),
            Value::Object(map) => {
                let entries = map.iter().map(|(key, value)| match value {
                    Value::String(text) => (key.clone(), Value::String(self.shown(key, text))),
                    _ => (key.clone(), self.hidden(value)),
                });
                Value::Object(entries.collect())
            }
            _ => value.clone(),
        }
    }

    /// The value behind a key as it may be shown.
    fn shown(&self, key: &str, value: &str) -> String {
        if value.is_empty() || !(sounds_secret(key) || (self.is_hidden)(key, value)) {
            return without_password(value);
        }
        self.instead_of(&format!("{key}={value}"))
    }

    fn instead_of(&self, text: &str) -> String {
        match self.same.contains(text) {
            true => "[hidden]".to_owned(),
            false => format!("[hidden, {}]", self.side),
        }
    }
}

/// Whether a variable, option or label of this name is likely to hold a secret value.
///
/// `…_FILE` and `…_VERSION` name secrets without being one; `SecretName` and the like are parts of the API.
pub fn sounds_secret(key: &str) -> bool {
    const INSIDE: [&str; 7] = ["PASSWORD", "PASSWD", "PASSPHRASE", "SECRET", "TOKEN", "CREDENTIAL", "BASICAUTH"];
    const WHOLE: [&str; 5] = ["PASS", "PWD", "DSN", "SALT", "PW"];
    if matches!(key, "SecretName" | "SecretID" | "CredentialSpec") {
        return false;
    }
    let key = key.to_ascii_uppercase();
    if key.ends_with("_FILE") || key.ends_with("_VERSION") {
        return false;
    }
    let mut words = key.split(|c: char| !c.is_ascii_alphanumeric());
    INSIDE.iter().any(|word| key.contains(word)) || words.any(|word| WHOLE.contains(&word) || word.ends_with("KEY"))
}

/// `postgres://user:[hidden]@host` of a URL with a password.
fn without_password(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let Some((login, host)) = authority.rsplit_once('@') else { return text.to_owned() };
    let Some((user, _)) = login.split_once(':') else { return text.to_owned() };
    format!("{scheme}://{user}:[hidden]@{host}{}", &rest[authority.len()..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_that_sound_secret_are_never_shown() {
        let live =
            json!({ "Env": ["DB_PASSWORD=old-one", "API_KEY=same-one", "A=1"], "Labels": { "x.token": "gone" } });
        let wanted = json!({ "Env": ["DB_PASSWORD=new-one", "API_KEY=same-one", "A=2"], "Args": ["--secret=argh"] });
        let diff = unified(&live, &wanted, &|_, _| false);
        for value in ["old-one", "new-one", "same-one", "gone", "argh"] {
            assert!(!diff.contains(value), "{diff}");
        }
        for line in ["-    \"DB_PASSWORD=[hidden, live]\"", "+    \"DB_PASSWORD=[hidden, wanted]\"", "+    \"A=2\""] {
            assert!(diff.contains(line), "{diff}");
        }
        assert!(diff.contains("     \"API_KEY=[hidden]\""), "{diff}");
    }

    #[test]
    fn values_that_the_operator_keeps_from_others_are_hidden_under_any_name() {
        let (live, wanted) = (json!({ "Env": ["ADMIN=old-one", "A=1"] }), json!({ "Env": ["ADMIN=new-one", "A=2"] }));
        let diff = unified(&live, &wanted, &|key, _| key == "ADMIN");
        assert!(!diff.contains("-one") && diff.contains("ADMIN=[hidden, wanted]") && diff.contains("A=2"), "{diff}");
        let (live, wanted) = (json!({ "Args": ["-p", "old-one"] }), json!({ "Args": ["-p", "x:new-one"] }));
        let diff = unified(&live, &wanted, &|_, text| text.ends_with("-one"));
        assert!(!diff.contains("-one") && diff.contains("\"[hidden, wanted]\""), "{diff}");
    }

    #[test]
    fn passwords_in_urls_are_hidden_under_any_name() {
        let shown = without_password("postgres://wiki:pa:ss@db:5432/wiki?x=1");
        assert_eq!(shown, "postgres://wiki:[hidden]@db:5432/wiki?x=1");
        assert_eq!(without_password("https://example.org/a@b:c"), "https://example.org/a@b:c");
    }

    #[test]
    fn names_of_files_and_versions_are_no_secrets() {
        for key in ["DB_PASSWORD_FILE", "SECRET_DB_PASSWORD_VERSION", "KEYCLOAK_URL", "SecretName", "COMPASS"] {
            assert!(!sounds_secret(key), "{key}");
        }
        for key in ["SECRET_KEY_BASE", "apiKey", "DB_PASS", "RPC_SECRET", "traefik.http.middlewares.a.basicauth.users"]
        {
            assert!(sounds_secret(key), "{key}");
        }
    }
}
