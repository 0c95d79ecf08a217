//! What an operator reads about recipes with defects, and that everything is told at once.
//!
//! Each folder of `tests/fixtures/recipes-with-defects/` is a recipe with a defect that recipes in use have had. A
//! snapshot beside this file holds what `render` and `check` say of it, to the letter.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::refusing::{Host, program, said};
use crate::world::Said;

/// Every defect is known, so that a folder without a line here is a mistake. Those that are tolerated end with 0.
const DEFECTS: &[(&str, i32)] = &[
    ("as-for-one-machine", 0),
    ("charset-unknown", 0),
    ("config-version-nowhere", 0),
    ("exports-of-a-dropped-overlay", 0),
    ("no-domain", 0),
    ("no-type-and-another-version", 0),
    ("router-without-rule-and-no-sample", 0),
    ("secret-declared-again", 0),
    ("secret-undefined", 1),
    ("secret-version-of-another-name", 0),
    ("secret-version-unset", 1),
    ("tmpfs-with-a-stray-letter", 0),
    ("variable-nowhere", 0),
    ("version-label-and-template-elsewhere", 0),
    ("version-label-empty-and-no-networks", 0),
    ("versions-mixed", 0),
];

fn defects() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/recipes-with-defects")
}

fn files(folder: &Path, prefix: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("{prefix}{}", path.file_name().unwrap().to_str().unwrap());
        match path.is_dir() {
            true => found.extend(files(&path, &format!("{name}/"))),
            false => drop(found.insert(name, fs::read_to_string(&path).unwrap())),
        }
    }
    found
}

fn rendered(folder: &Path) -> Said {
    said(program().arg("render").arg("--recipe").arg(folder).args(["--domain", "wiki.x.example"]))
}

fn checked(folder: &Path) -> Said {
    let files = files(folder, "");
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let host = Host::new().app("wiki", &files, "");
    let said = host.run(&["check"]);
    let config = host.path("config.toml").display().to_string();
    Said { out: said.out.replace(&config, "config.toml"), ..said }
}

#[test]
fn every_defect_has_its_exact_words() {
    let mut folders: Vec<String> =
        fs::read_dir(defects()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    folders.sort();
    assert_eq!(folders, DEFECTS.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    for (name, code) in DEFECTS {
        let folder = defects().join(name);
        let (render, check) = (rendered(&folder), checked(&folder));
        assert_eq!((render.code, check.code), (*code, *code), "{name}: {render:#?} {check:#?}");
        assert_eq!(render.out.is_empty(), *code != 0, "{name}: bodies are shown where there are no errors");
        assert_eq!(check.err, "", "{name}");
        insta::assert_snapshot!(*name, format!("$ evenkeel render\n{}\n$ evenkeel check\n{}", render.err, check.out));
    }
}

#[test]
fn all_troubles_of_one_app_are_told_at_once() {
    let compose = "services:\n  app:\n    image: a\n    secrets: [ssl_crt]\n    volumes: ['lost:/x']\nsecrets:\n  ssl_cert: \
                   {external: true, name: cert_v1}\n";
    let more = "secrets = { ssl_cert = \"/nowhere/cert\", other = \"/nowhere/other\" }";
    let host = Host::new().app("wiki", &[("compose.yml", compose)], more);

    let said = host.run(&["check"]);

    assert_eq!(said.code, 1, "{said:#?}");
    for expected in [
        "secret ssl_cert: its file /nowhere/cert cannot be read",
        "secret other: its file /nowhere/other cannot be read",
        "compose.yml:4:15: error: service app: undefined secret \"ssl_crt\"",
        "compose.yml:5:15: error: service app: undefined volume \"lost\"",
        "a file is given for secret other, which the recipe does not have",
        "compose.yml:3:12: warning: services.app.image: a has no tag",
    ] {
        assert!(said.out.contains(expected), "{expected} is not in\n{}", said.out);
    }
}

#[test]
fn without_an_env_file_no_consequences_of_that_are_told() {
    let compose = "services:\n  app:\n    image: \"${IMAGE}\"\n";
    let host = Host::new().app("wiki", &[("compose.yml", compose)], "env_files = [\"/nowhere/env\"]");

    let said = host.run(&["check"]);

    assert_eq!(said.code, 1, "{said:#?}");
    assert!(said.out.contains("env file /nowhere/env cannot be read") && !said.out.contains("IMAGE"), "{}", said.out);
}

#[test]
fn a_plan_says_how_many_warnings_there_are_and_not_which() {
    let compose = "services:\n  app:\n    image: a:1\n    depends_on: [app]\n    container_name: x\n";
    let host = Host::new().app("wiki", &[("compose.yml", compose)], "");

    let said = host.run(&["plan"]);

    assert!(said.err.contains("wiki: 2 warnings about the recipe, told by `evenkeel check`"), "{said:#?}");
    assert!(!format!("{}{}", said.out, said.err).contains("container_name"), "{said:#?}");
}
