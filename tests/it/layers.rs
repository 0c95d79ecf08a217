//! A file imports from lower layers only.
//!
//! Modules of one layer may share words. The check reads text, not syntax: every `crate::` and `super::` path of
//! `src/**/*.rs`, also of `use` groups, outside comments. Tests inside a file may reach as far as they like.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// The table of `src/lib.rs`. A longer path comes before the path that it starts with.
const LAYERS: &[(&str, u8)] = &[
    ("model", 0),
    ("telemetry", 0),
    ("certificate", 1),
    ("config", 1),
    ("recipe", 1),
    ("desired", 2),
    ("health", 3),
    ("plan", 3),
    ("policy", 3),
    ("host", 4),
    ("reconcile", 5),
    ("upgrade::step", 3),
    ("upgrade::close", 3),
    ("upgrade::told", 3),
    ("upgrade::volumes", 3),
    ("upgrade::unclean", 3),
    ("upgrade::run", 5),
    ("upgrade::on_host", 6),
    ("upgrade", 6),
    ("warm::ahead", 3),
    ("warm::step", 3),
    ("warm::close", 3),
    ("warm::registry", 3),
    ("warm::run", 5),
    ("warm", 5),
    ("app::drone", 7),
    ("app::live", 7),
    ("app::proxy", 7),
    ("app::warm_keycloak", 7),
    ("app", 8),
    ("cli", 9),
    ("demo", 9),
];

#[derive(Debug, PartialEq, Eq)]
struct Offence {
    file: String,
    line: usize,
    from: &'static str,
    to: &'static str,
}

impl fmt::Display for Offence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, from, to } = self;
        write!(f, "{file}:{line}: {from} (layer {}) imports from {to} (layer {})", layer(from), layer(to))
    }
}

fn layer(module: &str) -> u8 {
    LAYERS.iter().find(|(name, _)| *name == module).expect("a module of the table").1
}

/// The module of the table that a path like `app::proxy::Thing` lies in.
fn module_of(path: &str) -> Option<&'static str> {
    let within = |name: &str| path.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
    LAYERS.iter().map(|(name, _)| *name).find(|name| within(name))
}

/// `app/proxy.rs` is `app::proxy`.
fn path_of_file(file: &str) -> String {
    file.trim_end_matches(".rs").replace('/', "::")
}

fn offences(file: &str, text: &str) -> Vec<Offence> {
    let path = path_of_file(file);
    let Some(from) = module_of(&path) else { return Vec::new() };
    let code = from_the_root(&without_tests_and_comments(text), &path);
    let mut offences = Vec::new();
    for (line, path) in crate_paths(&code) {
        let Some(to) = module_of(&path) else { continue };
        if from != to && layer(to) > layer(from) {
            offences.push(Offence { file: file.to_owned(), line, from, to });
        }
    }
    offences
}

/// Comments blanked and everything from the module `tests` on cut off, with line numbers as they were.
fn without_tests_and_comments(text: &str) -> String {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let blank = |line: &str| match line.trim_start().starts_with("//") {
        true => String::new(),
        false => line.to_owned(),
    };
    code.lines().map(blank).collect::<Vec<_>>().join("\n")
}

/// The code of a module with `super::` written out as `crate::…`.
fn from_the_root(code: &str, module: &str) -> String {
    let names: Vec<&str> = module.split("::").collect();
    (1..=names.len()).rev().fold(code.to_owned(), |code, up| {
        let parent: String = names[..names.len() - up].iter().map(|name| format!("{name}::")).collect();
        code.replace(&"super::".repeat(up), &format!("crate::{parent}"))
    })
}

/// Every path behind `crate::`, each with its line; a group `crate::{a, b::C}` gives one path per branch.
fn crate_paths(code: &str) -> Vec<(usize, String)> {
    let mut paths = Vec::new();
    for (at, found) in code.match_indices("crate::") {
        let line = code[..at].matches('\n').count() + 1;
        let rest = &code[at + found.len()..];
        branches(rest, "", line, &mut paths);
    }
    paths
}

/// Reads one path, or the branches of a group, at the start of `rest`. Gives what is left behind it.
fn branches<'a>(rest: &'a str, prefix: &str, line: usize, paths: &mut Vec<(usize, String)>) -> &'a str {
    let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).unwrap_or(rest.len());
    let path = format!("{prefix}{}", &rest[..end]);
    let Some(mut group) = rest[end..].strip_prefix('{') else {
        paths.push((line, path.trim_end_matches(':').to_owned()));
        return &rest[end..];
    };
    let mut line = line;
    loop {
        let gap = group.len() - group.trim_start_matches([' ', '\n', ',']).len();
        line += group[..gap].matches('\n').count();
        group = &group[gap..];
        if let Some(behind) = group.strip_prefix('}') {
            return behind;
        }
        let left = branches(group, &path, line, paths);
        line += group[..group.len() - left.len()].matches('\n').count();
        group = left.trim_start_matches(|c: char| !matches!(c, ',' | '}'));
        if group.is_empty() {
            return group;
        }
    }
}

fn files_below(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

fn sources() -> Vec<(String, String)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let name = |path: &Path| path.strip_prefix(&src).unwrap().display().to_string();
    let is_code = |path: &PathBuf| path.extension().is_some_and(|end| end == "rs") && !path.ends_with("tests.rs");
    let files = files_below(&src).into_iter().filter(is_code);
    files.map(|path| (name(&path), fs::read_to_string(path).unwrap())).collect()
}

#[test]
fn a_file_imports_from_lower_layers_only() {
    let offences: Vec<String> =
        sources().iter().flat_map(|(file, text)| offences(file, text)).map(|offence| offence.to_string()).collect();

    assert!(offences.is_empty(), "{}", offences.join("\n"));
}

#[test]
fn every_file_has_a_layer() {
    let roots = ["lib.rs", "main.rs", "upgrade.rs"];
    let homeless =
        |(file, _): &(String, String)| !roots.contains(&file.as_str()) && module_of(&path_of_file(file)).is_none();
    let files: Vec<String> = sources().into_iter().filter(homeless).map(|(file, _)| file).collect();

    assert!(files.is_empty(), "not in the table of layers: {files:?}");
}

#[test]
fn the_map_of_the_crate_says_the_same_layers() {
    let map = include_str!("../../src/lib.rs");
    let rows: Vec<Vec<&str>> =
        map.lines().filter(|l| l.starts_with("//! | ")).map(|l| l.split('|').collect()).collect();
    let mut said = 0;
    for row in &rows {
        for name in row[2].split('[').filter_map(|part| part.strip_prefix('`')?.split_once("`]")).map(|(name, _)| name)
        {
            assert_eq!(module_of(name).map(|name| layer(name).to_string()).as_deref(), Some(row[1].trim()), "{name}");
            said += 1;
        }
    }
    assert!(said > 10, "the table in src/lib.rs was not read");
}

#[test]
fn import_from_above_is_named_with_its_line() {
    let text = "//! Plans.\n\nuse std::fmt;\nuse crate::host::engine::Engine;\n";

    let found: Vec<String> = offences("plan/diff.rs", text).iter().map(Offence::to_string).collect();
    assert_eq!(found, ["plan/diff.rs:4: plan (layer 3) imports from host (layer 4)"]);
}

#[test]
fn import_from_above_is_found_in_a_group_and_in_a_path() {
    let text = "use crate::{\n    config::{Declared, Kind as K},\n    model::app::AppName,\n    reconcile,\n    cli::Verb,\n};\nfn f(x: crate::app::proxy::Proxy) {}\n";

    let found: Vec<_> = offences("recipe/env.rs", text).into_iter().map(|offence| (offence.line, offence.to)).collect();
    assert_eq!(found, [(4, "reconcile"), (5, "cli"), (7, "app::proxy")]);
}

#[test]
fn reconcilers_lie_below_the_order_of_a_run() {
    assert_eq!(offences("app.rs", "use crate::app::proxy;\n"), []);
    assert_eq!(offences("app/proxy.rs", "use crate::app::run;\n").len(), 1);
    assert_eq!(offences("app/proxy.rs", "use super::run;\n").len(), 1);
    assert_eq!(offences("app/live.rs", "use crate::reconcile::run;\n"), []);
    assert_eq!(offences("host/swarm/stack.rs", "use super::super::engine;\nuse super::Swarm;\n"), []);
    assert_eq!(offences("host/swarm.rs", "use super::super::app;\n").len(), 1);
}

#[test]
fn comments_and_tests_are_no_imports() {
    let text = "// use crate::cli;\n/// [`crate::app`]\nfn f() {}\n\n#[cfg(test)]\nmod tests {\n    use crate::host::store;\n}\n";

    assert_eq!(offences("health.rs", text), []);
}
