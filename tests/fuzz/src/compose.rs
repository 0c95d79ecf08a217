//! Compose files, from text to the bodies of requests.

use evenkeel::desired::{from_files, posts};
use evenkeel::model::diagnostic::Diagnostics;
use evenkeel::recipe::compose::Source;
use evenkeel::recipe::interpolate::Environment;
use evenkeel::recipe::{Entry, Tree};
use serde_json::Value;

use super::place::Lines;

/// What is sent is a function of the texts, and whatever is wrong with them stands at a place of theirs. A line
/// `#---` begins the next file.
pub fn compose(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let texts: Vec<&str> = text.split("#---\n").take(3).collect();
    let lines: Vec<Lines> = texts.iter().map(|text| Lines::of_yaml(text)).collect();
    let read = bodies(&texts);
    let (Ok((_, found)) | Err(found)) = &read;
    assert!(read.is_ok() || found.has_errors());
    for place in found.0.iter().filter_map(|diagnostic| diagnostic.place.as_ref()) {
        let index = place.file.strip_suffix(".yml").and_then(|name| name.parse::<usize>().ok());
        assert!(index.is_none_or(|index| lines[index].have(place)), "there is no {place}");
    }
    assert_eq!(read, bodies(&texts));
}

type Bodies = Vec<(String, Value)>;

fn bodies(texts: &[&str]) -> Result<(Bodies, Diagnostics), Diagnostics> {
    let source =
        |(index, text): (usize, &&str)| Source { file: format!("{index}.yml").into(), text: (*text).to_owned() };
    let sources: Vec<Source> = texts.iter().enumerate().map(source).collect();
    let environment: Environment = [("FOO", "foo"), ("EMPTY", ""), ("N", "3"), ("HOME", "/root")]
        .map(|(n, v)| (n.to_owned(), v.to_owned()))
        .into();
    let files = [("a.env", "A=1\nFOO\n"), ("config", "a config\n")];
    let entry = |(path, text): (&str, &str)| (path.to_owned(), Entry::File(text.into()));
    let tree = Tree { entries: files.map(entry).into() };
    let stack = "st".parse().expect("a stack's name");
    let (desired, found) = from_files(&sources, &environment, &stack, &tree, Some("/recipe"))?;
    Ok((posts(desired), found))
}
