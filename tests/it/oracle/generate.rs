//! Generated sets of compose files: first each key with each kind of value in one, two and three files, then mixtures.
//!
//! A set follows from the seed and its number alone.

mod grammar;
mod keys;
mod mixture;
mod random;
mod single;
mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use evenkeel::recipe::Tree;

use super::case::Case;
use super::fixture::entries;
use random::Random;

/// One set: the texts of its files, and variables besides those that every set has.
#[derive(Clone, Default)]
struct Set {
    files: Vec<String>,
    variables: BTreeMap<String, String>,
}

/// What each set's folder holds besides compose files.
const COMPANIONS: &[(&str, &[u8])] = &[
    ("s1.txt", b"first secret\n"),
    ("s2.txt", b"second"),
    ("c1.conf", b"listen 80;\n"),
    ("sub/c2.conf", b"\x00\xffbinary"),
    (
        "one.env",
        b"# values\nA=1\nEMPTY_VALUE=\nFROM_OUTSIDE\nQUOTED=\"x y\"  \n  SPACED=a b\nFROM_OUTSIDE_EMPTY=\nDOLLAR=$SET\n",
    ),
    ("two.env", b"\xef\xbb\xbfA=2\n\nB=two=2\nNOT_SET_ANYWHERE\n#C=3\n"),
];

const VARIABLES: &[(&str, &str)] = &[
    ("STACK_NAME", "st"),
    ("DOMAIN", "app.example.org"),
    ("SET", "set"),
    ("EMPTY", ""),
    ("NUMBER", "3"),
    ("OCTAL", "0440"),
    ("RATIO", "0.25"),
    ("YES", "yes"),
    ("TRUE", "true"),
    ("TIME", "1m30s"),
    ("DOLLAR", "a $SET ${SET} $$"),
    ("FROM_OUTSIDE", "outside"),
    ("FROM_OUTSIDE_EMPTY", "outside too"),
    ("A", "outside a"),
];

static SINGLE: LazyLock<Vec<Set>> = LazyLock::new(single::sets);

/// A folder with the companions.
pub fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in COMPANIONS {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("it is in the folder")).unwrap();
        fs::write(path, content).unwrap();
    }
    folder
}

/// The set of a number as a case in the folder, where its files are written.
pub fn case(seed: u64, number: u64, folder: &Path) -> Case {
    static TREE: LazyLock<Arc<Tree>> = LazyLock::new(|| Arc::new(Tree { entries: entries(self::folder().path(), "") }));
    let single = usize::try_from(number).ok().and_then(|number| SINGLE.get(number).cloned());
    let set = single.unwrap_or_else(|| mixture::set(&mut Random::new(seed, number)));
    let files = (1..).zip(&set.files).map(|(index, text)| {
        let file = format!("{number}-{index}.yml");
        fs::write(folder.join(&file), text).unwrap();
        file
    });
    let common = VARIABLES.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Case {
        name: format!("EVENKEEL_ORACLE_SEED={seed} EVENKEEL_ORACLE_ONLY={number}"),
        folder: folder.to_owned(),
        files: files.collect(),
        variables: common.chain(set.variables).collect(),
        tree: Arc::clone(&TREE),
    }
}

/// How many sets are about a single key; they come first.
pub fn singles() -> usize {
    SINGLE.len()
}

/// All keys that the sets of single keys name.
pub fn words() -> BTreeSet<String> {
    let is_word = |c: char| c.is_ascii_lowercase() || "_-".contains(c);
    let texts = SINGLE.iter().flat_map(|set| &set.files);
    let words = texts.flat_map(|text| text.split(|c: char| !is_word(c)));
    words.map(str::to_owned).collect()
}
