//! The checks that the fuzz targets make, on the seeds of `tests/fuzz` and on random texts: a promise that is broken
//! is seen here first, and the targets do not rot.

use std::fs;
use std::path::Path;

use evenkeel::desired::{from_files, posts};
use evenkeel::recipe::Tree;
use evenkeel::recipe::compose::Source;
use evenkeel::recipe::interpolate::Environment;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use serde_json::{Value, json};

#[path = "../fuzz/src/lib.rs"]
mod properties;

use properties::CHECKS;

#[test]
fn every_seed_keeps_the_promises_of_its_target() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/seeds");
    for (target, check) in CHECKS {
        let files: Vec<_> = fs::read_dir(seeds.join(target)).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(files.len() >= 3, "{target} has {} seeds", files.len());
        for file in files {
            check(&fs::read(&file).unwrap());
        }
    }
}

#[test]
fn every_target_is_a_check() {
    let targets = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/targets");
    let mut names: Vec<_> = fs::read_dir(targets).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    let names: Vec<_> = names.iter().map(|file| file.file_stem().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, CHECKS.map(|(name, _)| name));
}

/// What these files together send for service `app`.
fn sent(files: &[Value]) -> Value {
    let source = |file: &Value| Source { file: "f.yml".into(), text: file.to_string() };
    let sources: Vec<Source> = files.iter().map(source).collect();
    let tree = Tree::default();
    let read = from_files(&sources, &Environment::new(), &"st".parse().unwrap(), &tree, None);
    let (desired, _) = read.unwrap_or_else(|errors| panic!("{errors}"));
    posts(desired).into_iter().find(|(path, _)| path == "/services/create").unwrap().1
}

fn file(service: &Value) -> Value {
    json!({ "services": { "app": service }, "volumes": { "a": {}, "b": {}, "c": {} } })
}

/// Settings that a merge of files finds by a name: each once, sorted by it.
fn keyed() -> impl Strategy<Value = Value> {
    let text = "[a-z]{1,4}";
    let environment = btree_map("[A-C]", text, 0..3);
    let labels = btree_map("[a-c]", "[a-z]{0,4}", 0..3);
    let volumes = btree_map("/[a-c]", "[abc]", 0..3);
    let ports = btree_map(1000_u16..1005, 1_u16..9, 0..3);
    (environment, labels, volumes, ports).prop_map(|(environment, labels, volumes, ports)| {
        let volume = |(target, source)| json!({ "type": "volume", "source": source, "target": target });
        let port = |(published, target)| json!({ "target": target, "published": published });
        json!({
            "image": "demo",
            "environment": environment,
            "deploy": { "labels": labels },
            "volumes": volumes.into_iter().map(volume).collect::<Vec<Value>>(),
            "ports": ports.into_iter().map(port).collect::<Vec<Value>>(),
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_bytes_keep_the_promises(bytes in vec(any::<u8>(), 0..200)) {
        CHECKS.iter().for_each(|(_, check)| check(&bytes));
    }

    #[test]
    fn any_text_keeps_the_promises(text in "\\PC{0,60}|[ -~\\n\\t]{0,80}|[\\[\\]{}:,&*a!<|>\"'$#=+-9.\\r\\n ]{0,60}") {
        CHECKS.iter().for_each(|(_, check)| check(text.as_bytes()));
    }

    #[test]
    fn a_file_that_says_nothing_changes_nothing(service in keyed()) {
        let alone = sent(&[file(&service)]);
        prop_assert_eq!(&sent(&[file(&service), json!({ "services": {} })]), &alone);
        prop_assert_eq!(&sent(&[file(&service), json!({ "services": { "app": {} } })]), &alone);
        prop_assert_eq!(&sent(&[json!({ "services": {} }), file(&service)]), &alone);
    }

    #[test]
    fn a_file_over_itself_is_itself(service in keyed()) {
        prop_assert_eq!(sent(&[file(&service), file(&service), file(&service)]), sent(&[file(&service)]));
    }

    #[test]
    fn the_last_file_that_says_something_wins(hostnames in vec(option::of("[a-z]{0,5}"), 1..4), base in keyed()) {
        let overlay = |hostname: &Option<String>| {
            let service = hostname.as_ref().map(|name| json!({ "hostname": name, "environment": { "X": name } }));
            json!({ "services": { "app": service.unwrap_or_else(|| json!({})) } })
        };
        let files: Vec<Value> = std::iter::once(file(&base)).chain(hostnames.iter().map(overlay)).collect();
        let last = hostnames.iter().flatten().rfind(|hostname| !hostname.is_empty());
        let container = &sent(&files)["TaskTemplate"]["ContainerSpec"];
        prop_assert_eq!(container["Hostname"].as_str(), last.map(String::as_str));
        let variables = container["Env"].as_array().map(Vec::as_slice).unwrap_or_default();
        let variable = variables.iter().filter_map(Value::as_str).find_map(|entry| entry.strip_prefix("X="));
        let said_empty = hostnames.iter().flatten().next().map(|_| "");
        prop_assert_eq!(variable, last.map(String::as_str).or(said_empty));
    }
}
