//! Differences as an operator reads them, without anything that should not be read.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::{Map, Value};
use similar::{DiffTag, TextDiff};

/// Whether the text behind a name (the empty one where it has none) is for nobody's eyes.
pub type IsHidden<'a> = dyn Fn(&str, &str) -> bool + 'a;

/// What differs of two canonical specs and nothing else, as a unified diff whose hunks are headed by their place in the
/// API's words. Values behind names that sound secret, and those that `is_hidden` knows, are hidden; that they differ is
/// told.
pub fn unified(live: &Value, wanted: &Value, is_hidden: &IsHidden) -> String {
    let mut diff = Diff { text: String::from("--- live\n+++ wanted\n"), is_hidden };
    diff.values("", live, wanted);
    diff.text
}

/// A side of the diff.
#[derive(Clone, Copy)]
enum Side {
    Live,
    Wanted,
}

impl Side {
    fn sign(self) -> char {
        match self {
            Side::Live => '-',
            Side::Wanted => '+',
        }
    }

    fn hidden(self) -> &'static str {
        match self {
            Side::Live => "[hidden, live]",
            Side::Wanted => "[hidden, wanted]",
        }
    }
}

struct Diff<'a> {
    text: String,
    is_hidden: &'a IsHidden<'a>,
}

type Lines = Vec<(Side, String)>;

impl Diff<'_> {
    fn values(&mut self, place: &str, live: &Value, wanted: &Value) {
        match (live, wanted) {
            _ if live == wanted => {}
            (Value::Object(live), Value::Object(wanted)) => self.maps(place, live, wanted),
            (Value::Array(live), Value::Array(wanted)) => self.lists(place, live, wanted),
            _ => self.hunk(
                place,
                vec![(Side::Live, self.line(live, Side::Live)), (Side::Wanted, self.line(wanted, Side::Wanted))],
            ),
        }
    }

    /// Entries that differ in one hunk, and whatever has parts of its own in hunks after it.
    fn maps(&mut self, place: &str, live: &Map<String, Value>, wanted: &Map<String, Value>) {
        let (mut lines, mut parts) = (Lines::new(), Vec::new());
        let keys: BTreeSet<&String> = live.keys().chain(wanted.keys()).collect();
        for key in keys.into_iter().filter(|key| live.get(*key) != wanted.get(*key)) {
            let (before, after) = (live.get(key), wanted.get(key));
            match (before, after) {
                (Some(before), Some(after)) if has_parts(before) && has_parts(after) => {
                    parts.push((key, before.clone(), after.clone()));
                }
                (Some(before), None) if has_parts(before) => parts.push((key, before.clone(), nothing_like(before))),
                (None, Some(after)) if has_parts(after) => parts.push((key, nothing_like(after), after.clone())),
                (Some(Value::String(before)), Some(Value::String(after))) if self.has_lines(key, before, after) => {
                    parts.push((key, lines_of(before), lines_of(after)));
                }
                _ => {
                    lines.extend(before.map(|value| (Side::Live, self.entry(key, value, Side::Live))));
                    lines.extend(after.map(|value| (Side::Wanted, self.entry(key, value, Side::Wanted))));
                }
            }
        }
        self.hunk(place, lines);
        parts.iter().for_each(|(key, live, wanted)| self.values(&below(place, key), live, wanted));
    }

    /// The items that differ. One text of many lines in the place of another is compared line by line.
    fn lists(&mut self, place: &str, live: &[Value], wanted: &[Value]) {
        let text = |items: &[Value]| items.iter().map(Value::to_string).collect::<Vec<_>>();
        let (old, new) = (text(live), text(wanted));
        let both = &old.iter().collect::<BTreeSet<_>>() & &new.iter().collect();
        let (old_slices, new_slices): (Vec<&str>, Vec<&str>) =
            (old.iter().map(String::as_str).collect(), new.iter().map(String::as_str).collect());
        let (mut lines, mut parts) = (Lines::new(), Vec::new());
        for op in TextDiff::from_slices(&old_slices, &new_slices).ops() {
            let (gone, come) = (op.old_range(), op.new_range());
            if let ([Value::String(before)], [Value::String(after)]) = (&live[gone.clone()], &wanted[come.clone()])
                && op.tag() == DiffTag::Replace
                && self.has_lines("", before, after)
            {
                parts.push((gone.start, lines_of(before), lines_of(after)));
                continue;
            }
            let told = |item: &Value, moved: bool, side| {
                let line = self.line(item, side);
                if moved { line.replace(side.hidden(), "[hidden]") } else { line }
            };
            if op.tag() != DiffTag::Equal {
                lines.extend(gone.map(|at| (Side::Live, told(&live[at], both.contains(&old[at]), Side::Live))));
                lines.extend(come.map(|at| (Side::Wanted, told(&wanted[at], both.contains(&new[at]), Side::Wanted))));
            }
        }
        self.hunk(place, lines);
        parts.iter().for_each(|(at, live, wanted)| self.values(&format!("{place}[{at}]"), live, wanted));
    }

    fn hunk(&mut self, place: &str, lines: Lines) {
        if lines.is_empty() {
            return;
        }
        let place = if place.is_empty() { "the service" } else { place };
        writeln!(self.text, "@@ {place} @@").expect("a String takes all that is written");
        for (side, line) in lines {
            writeln!(self.text, "{}{line}", side.sign()).expect("a String takes all that is written");
        }
    }

    fn entry(&self, key: &str, value: &Value, side: Side) -> String {
        match value {
            Value::String(text) => format!("{key}: {}", in_one_line(&self.shown(key, text, side))),
            other => format!("{key}: {}", self.hidden(other, side)),
        }
    }

    fn line(&self, value: &Value, side: Side) -> String {
        match self.hidden(value, side) {
            Value::String(text) => in_one_line(&text),
            other => other.to_string(),
        }
    }

    /// Texts that are better compared line by line. Lines of a text that is hidden would no longer be known as such.
    fn has_lines(&self, key: &str, live: &str, wanted: &str) -> bool {
        let open = |text: &str| !(self.is_hidden)(key, text) && !sounds_secret(key);
        live.contains('\n') && wanted.contains('\n') && open(live) && open(wanted)
    }

    fn hidden(&self, value: &Value, side: Side) -> Value {
        match value {
            Value::String(text) => match text.split_once('=') {
                Some((key, value)) => Value::String(format!("{key}={}", self.shown(key, value, side))),
                None => Value::String(self.shown("", text, side)),
            },
            Value::Array(list) => list.iter().map(|item| self.hidden(item, side)).collect(),
            Value::Object(map) => {
                let entries = map.iter().map(|(key, value)| match value {
                    Value::String(text) => (key.clone(), Value::String(self.shown(key, text, side))),
                    _ => (key.clone(), self.hidden(value, side)),
                });
                Value::Object(entries.collect())
            }
            _ => value.clone(),
        }
    }

    /// The value behind a key as it may be shown.
    fn shown(&self, key: &str, value: &str, side: Side) -> String {
        match value.is_empty() || !(sounds_secret(key) || (self.is_hidden)(key, value)) {
            true => without_password(value),
            false => side.hidden().to_owned(),
        }
    }
}

fn has_parts(value: &Value) -> bool {
    match value {
        Value::Object(map) => !map.is_empty(),
        Value::Array(list) => !list.is_empty(),
        _ => false,
    }
}

fn nothing_like(value: &Value) -> Value {
    if value.is_array() { Value::Array(Vec::new()) } else { Value::Object(Map::new()) }
}

fn lines_of(text: &str) -> Value {
    text.lines().map(str::to_owned).collect()
}

fn below(place: &str, key: &str) -> String {
    if place.is_empty() { key.to_owned() } else { format!("{place}.{key}") }
}

/// As it is, or as JSON writes it where it would take several lines.
fn in_one_line(text: &str) -> String {
    if text.contains('\n') { Value::from(text).to_string() } else { text.to_owned() }
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
        for line in ["-DB_PASSWORD=[hidden, live]", "+DB_PASSWORD=[hidden, wanted]", "+A=2", "-x.token: [hidden, live]"]
        {
            assert!(diff.lines().any(|told| told == line), "{line} in {diff}");
        }
        assert!(!diff.contains("API_KEY"), "{diff}");
    }

    #[test]
    fn only_what_differs_is_told_under_its_place() {
        let live = json!({
            "Mode": { "Replicated": { "Replicas": 0 } },
            "Labels": { "a": "1", "b": "2", "same": "x" },
            "TaskTemplate": {
                "ContainerSpec": { "Image": "wiki:1", "Env": ["A=1", "B=2"], "Args": ["sh", "-c", "one\ntwo\nthree\n"] },
                "Networks": [{ "Target": "internal" }, { "Target": "proxy", "Aliases": ["app"] }],
                "Resources": { "Limits": { "MemoryBytes": 1024 } },
            },
        });
        let wanted = json!({
            "Mode": { "Replicated": { "Replicas": 1 } },
            "Labels": { "b": "3", "c": "4\n5", "same": "x" },
            "TaskTemplate": {
                "ContainerSpec": {
                    "Image": "wiki:2", "Env": ["A=1", "B=3", "C=4"], "Args": ["sh", "-c", "one\n2\nthree\n"],
                    "Healthcheck": {}, "Init": true,
                },
                "Networks": [{ "Target": "internal" }],
            },
        });
        let expected = "\
--- live
+++ wanted
@@ Labels @@
-a: 1
-b: 2
+b: 3
+c: \"4\\n5\"
@@ Mode.Replicated @@
-Replicas: 0
+Replicas: 1
@@ TaskTemplate.ContainerSpec @@
+Healthcheck: {}
-Image: wiki:1
+Image: wiki:2
+Init: true
@@ TaskTemplate.ContainerSpec.Args[2] @@
-two
+2
@@ TaskTemplate.ContainerSpec.Env @@
-B=2
+B=3
+C=4
@@ TaskTemplate.Networks @@
-{\"Target\":\"proxy\",\"Aliases\":[\"app\"]}
@@ TaskTemplate.Resources.Limits @@
-MemoryBytes: 1024
";
        assert_eq!(unified(&live, &wanted, &|_, _| false), expected);
        assert_eq!(unified(&live, &live, &|_, _| false), "--- live\n+++ wanted\n");
    }

    #[test]
    fn a_secret_value_that_only_moved_is_told_as_the_same() {
        let (live, wanted) = (json!({ "Env": ["A=1", "TOKEN=x"] }), json!({ "Env": ["TOKEN=x", "A=1"] }));
        let diff = unified(&live, &wanted, &|_, _| false);
        assert!(diff.contains("=[hidden]") || !diff.contains("TOKEN"), "{diff}");
        assert!(!diff.contains("=x"), "{diff}");
    }

    #[test]
    fn secret_values_inside_of_scripts_are_hidden() {
        let of = |value: &str| json!({ "Args": ["-c", format!("set -e\nexport DB_PASSWORD={value}\n")] });
        let diff = unified(&of("old-one"), &of("new-one"), &|_, _| false);
        assert!(!diff.contains("-one") && diff.contains("-export DB_PASSWORD=[hidden, live]"), "{diff}");
        let of = |value: &str| json!({ "Args": ["-c", format!("login {value}\nstart\n")] });
        let diff = unified(&of("old\none"), &of("new\none"), &|_, text| {
            text.contains("old\none") || text.contains("new\none")
        });
        assert!(!diff.contains("old") && !diff.contains("new\\none") && diff.contains("[hidden, wanted]"), "{diff}");
    }

    #[test]
    fn values_that_the_operator_keeps_from_others_are_hidden_under_any_name() {
        let (live, wanted) = (json!({ "Env": ["ADMIN=old-one", "A=1"] }), json!({ "Env": ["ADMIN=new-one", "A=2"] }));
        let diff = unified(&live, &wanted, &|key, _| key == "ADMIN");
        assert!(!diff.contains("-one") && diff.contains("ADMIN=[hidden, wanted]") && diff.contains("A=2"), "{diff}");
        let (live, wanted) = (json!({ "Args": ["-p", "old-one"] }), json!({ "Args": ["-p", "x:new-one"] }));
        let diff = unified(&live, &wanted, &|_, text| text.ends_with("-one"));
        assert!(!diff.contains("-one") && diff.contains("+[hidden, wanted]"), "{diff}");
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
