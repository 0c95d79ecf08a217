//! Sets about one key each.

use super::Set;
use super::keys::{KEYS, Key};
use super::tree::File;

/// Each key with each of its values alone, interpolated, and in two and three files.
pub fn sets() -> Vec<Set> {
    let mut sets = vec![Set::of([base("")])];
    for key in KEYS.iter() {
        sets.extend(key.good.iter().chain(key.bad).map(|value| Set::of([filled(key, value)])));
        sets.extend(interpolated(key));
        sets.extend(in_two_files(key));
        sets.extend(in_three_files(key));
        sets.extend(in_versions(key));
    }
    sets
}

impl Set {
    fn of<const N: usize>(files: [File; N]) -> Self {
        Self { files: files.map(|file| file.text()).into(), ..Self::default() }
    }
}

/// A service, and what the key at the path needs around it.
fn base(path: &str) -> File {
    let mut file = File::default();
    if path != "version" {
        file.set("services/a/image", "demo:1");
    }
    for (_, needed, value) in NEEDS.iter().filter(|(prefix, ..)| path.starts_with(prefix)) {
        file.set(needed, value);
    }
    file
}

/// What a path (by its beginning) needs to be accepted.
pub const NEEDS: &[(&str, &str, &str)] = &[
    ("networks/front", "services/a/networks", "[front]"),
    ("volumes/data", "services/a/volumes", "[\"data:/data\"]"),
    ("secrets/s1", "services/a/secrets", "[s1]"),
    ("configs/c1", "services/a/configs", "[c1]"),
    (
        "services/a/networks",
        "networks",
        "{front: {}, back: {driver: overlay, internal: true}, host: {name: host, external: true}}",
    ),
    ("services/a/volumes", "volumes", "{data: {}, cache: {name: shared, labels: {a: b}}, ext: {external: true}}"),
    ("services/a/secrets", "secrets", "{s1: {file: ./s1.txt}, s2: {external: true, name: given}}"),
    ("services/a/configs", "configs", "{c1: {file: ./c1.conf}, c2: {file: sub/c2.conf, name: named-v2}}"),
    ("services/a/credential_spec", "configs", "{c1: {file: ./c1.conf}, c2: {external: true, name: given}}"),
];

/// What an object needs that has not got it by the key itself.
fn completed(key: &Key, mut file: File) -> File {
    let is_source = ["file", "external", "driver"].iter().any(|source| key.path.ends_with(&format!("/{source}")));
    if key.path.starts_with("secrets/s1/") && !is_source {
        file.set("secrets/s1/file", "./s1.txt");
    }
    if key.path.starts_with("configs/c1/") && !is_source {
        file.set("configs/c1/file", "./c1.conf");
    }
    file
}

fn filled(key: &Key, value: &str) -> File {
    completed(key, key.put(base(key.path), value))
}

fn over(key: &Key, value: &str) -> File {
    completed(key, key.put(File::default(), value))
}

/// The value from a variable, and as a default.
fn interpolated(key: &Key) -> Vec<Set> {
    let Some(value) = key.good.first().and_then(|value| plain(value)) else { return Vec::new() };
    let from_variable =
        |text: &str| Set { variables: [("GIVEN".to_owned(), value.to_owned())].into(), ..Set::of([filled(key, text)]) };
    let mut sets = vec![from_variable("\"${GIVEN}\"")];
    sets.push(Set::of([filled(key, &format!("\"${{EMPTY-}}${{UNSET-{value}}}\""))]));
    sets.push(Set::of([filled(key, "\"$UNSET\"")]));
    sets
}

/// The text of a scalar that is not more than a text.
pub fn plain(value: &str) -> Option<&str> {
    let bare = value.trim_matches(['"', '\'']);
    let plain = !bare.is_empty() && !bare.contains(['[', '{', '$', '"', '\'', '\n', '\\', '}', '!', '&']);
    plain.then_some(bare)
}

fn in_two_files(key: &Key) -> Vec<Set> {
    let Some(first) = key.good.first() else { return Vec::new() };
    let other = File::default().with("services/a/stop_signal", "SIGINT");
    let mut sets = vec![Set::of([filled(key, first), other]), Set::of([base(key.path), over(key, first)])];
    let next = key.good.iter().cycle().skip(1).take(3);
    sets.extend(key.good.iter().zip(next).map(|(low, high)| Set::of([filled(key, low), over(key, high)])));
    for value in key.good.iter().skip(2).take(1) {
        sets.push(Set::of([filled(key, first), over(key, value)]));
        sets.push(Set::of([filled(key, value), over(key, first)]));
    }
    sets.push(Set::of([filled(key, first), over(key, first)]));
    sets.extend(key.bad.iter().take(1).map(|bad| Set::of([filled(key, first), over(key, bad)])));
    sets
}

fn in_three_files(key: &Key) -> Vec<Set> {
    let [first, second, ..] = key.good else { return Vec::new() };
    let third = key.good.last().expect("it has two");
    let other = || File::default().with("services/b", "{image: \"other:2\"}");
    vec![
        Set::of([filled(key, first), over(key, second), over(key, third)]),
        Set::of([filled(key, third), other(), over(key, second)]),
    ]
}

/// The key in files of an old, a middle and a new version.
fn in_versions(key: &Key) -> Vec<Set> {
    let versions = if key.path == "version" { &[][..] } else { &["\"3.0\"", "\"3.4\"", "\"3.8\""] };
    let first = key.good.first();
    versions.iter().filter_map(|version| Some(Set::of([filled(key, first?).with("version", version)]))).collect()
}
