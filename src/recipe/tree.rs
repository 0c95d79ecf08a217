//! The files of a recipe, and those of the operator that are laid beside them.
//!
//! The border: what can be named. A recipe's own file names files of the recipe and nothing else; the operator's file
//! also names files of the host, which stand here under their absolute paths.

use std::collections::BTreeMap;

/// The files of a recipe at one commit, by path relative to its root (`/`-separated), and the operator's own files
/// that his tables and overlays name, by absolute path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    pub entries: BTreeMap<String, Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    File(Vec<u8>),
    Symlink,
    Submodule,
    /// Left unread because of its size in bytes.
    TooLarge(u64),
}

/// Why a file of the tree cannot be had. Paths are shown up to a length, whatever the recipe wrote.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    #[error("{0} is not in the recipe")]
    Missing(String),
    #[error("{0} leaves the recipe")]
    Outside(String),
    #[error("{0} is an absolute path, and a recipe names files of its own only")]
    Absolute(String),
    #[error("{0} is in a home folder, and a recipe names files of its own only")]
    Home(String),
    #[error("{0} was not read from this host")]
    Unread(String),
    #[error("{0} is a folder")]
    Folder(String),
    #[error("{0} is a symbolic link, which a recipe may not use")]
    Symlink(String),
    #[error("{0} is a submodule, which a recipe may not use")]
    Submodule(String),
    #[error("{0} has {1} bytes, more than this program reads")]
    TooLarge(String, u64),
    #[error("{0} is not UTF-8 text")]
    NotText(String),
}

impl TreeError {
    /// The way out, in an operator's or a maintainer's hands.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Missing(_) => "paths start at the recipe's root, and only committed files count",
            Self::Outside(_) | Self::Absolute(_) | Self::Home(_) => {
                "put the file into the recipe; a file of this host can be named by an overlay of the operator's \
                 (compose = [\"compose.yml\", \"/etc/evenkeel/extra.yml\"])"
            }
            Self::Unread(_) => {
                "write the path out, or with variables of yours: a recipe's do not say which file of this host is read"
            }
            Self::Folder(_) => "name one file",
            Self::Symlink(_) => "put a plain file in its place",
            Self::Submodule(_) => "copy its files into the recipe",
            Self::TooLarge(..) => "put large data into a volume or an image",
            Self::NotText(_) => "save it as UTF-8",
        }
    }
}

impl Tree {
    /// The bytes of a file of the recipe; `path` as a recipe writes it (`./entrypoint.sh`, `postgres/tune.sh`).
    ///
    /// # Errors
    /// Whatever is no plain file inside the recipe.
    pub fn bytes(&self, path: &str) -> Result<&[u8], TreeError> {
        if is_absolute(path) {
            return Err(TreeError::Absolute(shown(path)));
        }
        let key = normal(path).ok_or_else(|| TreeError::Outside(shown(path)))?;
        let Some(entry) = self.entries.get(&key) else {
            return Err(self.why_not(path, &key));
        };
        bytes_of(entry, &key)
    }

    pub fn text(&self, path: &str) -> Result<&str, TreeError> {
        as_text(self.bytes(path)?, path)
    }

    /// The bytes of a file that another file names: the operator's ones may name files of his by absolute paths.
    pub fn bytes_named_in(&self, namer: &str, path: &str) -> Result<&[u8], TreeError> {
        if is_absolute(namer) && is_absolute(path) { self.operators(path) } else { self.bytes(path) }
    }

    /// [`Self::bytes_named_in`], as text.
    pub fn text_named_in(&self, namer: &str, path: &str) -> Result<&str, TreeError> {
        as_text(self.bytes_named_in(namer, path)?, path)
    }

    /// The text of a file that the operator himself names: one of his by its absolute path, or one of the recipe.
    pub fn text_for_operator(&self, path: &str) -> Result<&str, TreeError> {
        let bytes = if is_absolute(path) { self.operators(path)? } else { self.bytes(path)? };
        as_text(bytes, path)
    }

    fn operators(&self, path: &str) -> Result<&[u8], TreeError> {
        let entry = normal(path).and_then(|key| self.entries.get(&key));
        bytes_of(entry.ok_or_else(|| TreeError::Unread(shown(path)))?, path)
    }

    /// A path without an entry: a folder, something behind a link or a submodule, or nothing at all.
    fn why_not(&self, path: &str, key: &str) -> TreeError {
        let folder = format!("{key}/");
        let first = || self.entries.range(folder.clone()..).next().is_some_and(|(entry, _)| entry.starts_with(&folder));
        let is_folder = if key.is_empty() { self.entries.keys().any(|entry| !is_absolute(entry)) } else { first() };
        if is_folder {
            return TreeError::Folder(shown(path));
        }
        let parents = key.match_indices('/').map(|(at, _)| &key[..at]);
        let mut on_the_way = parents.filter_map(|parent| bytes_of(self.entries.get(parent)?, parent).err());
        match on_the_way.next() {
            Some(link) => link,
            None if path.starts_with('~') => TreeError::Home(shown(path)),
            None => TreeError::Missing(shown(key)),
        }
    }
}

/// The files that one set of compose files may name.
#[derive(Clone, Copy)]
pub struct Named<'a> {
    pub tree: &'a Tree,
    /// Where relative paths start: see [`folder_of`].
    pub folder: &'a str,
}

impl Named<'_> {
    /// A text that `namer`, one of the compose files, names.
    pub fn text(&self, namer: &str, path: &str) -> Result<&str, TreeError> {
        self.tree.text_named_in(namer, &from_folder(self.folder, path))
    }
}

fn bytes_of<'a>(entry: &'a Entry, path: &str) -> Result<&'a [u8], TreeError> {
    match entry {
        Entry::File(bytes) => Ok(bytes),
        Entry::Symlink => Err(TreeError::Symlink(shown(path))),
        Entry::Submodule => Err(TreeError::Submodule(shown(path))),
        Entry::TooLarge(size) => Err(TreeError::TooLarge(shown(path), *size)),
    }
}

fn as_text<'a>(bytes: &'a [u8], path: &str) -> Result<&'a str, TreeError> {
    std::str::from_utf8(bytes).map_err(|_| TreeError::NotText(shown(path)))
}

/// Whether a path is one of the host's; it then belongs to the operator.
pub fn is_absolute(path: &str) -> bool {
    path.starts_with('/')
}

/// The folder that relative paths of all compose files start from: that of the first file, where it is the recipe's.
/// The operator's own folders are none of a recipe's business, so his files start at its root.
pub fn folder_of(first_file: &str) -> &str {
    match first_file.rsplit_once('/') {
        Some((folder, _)) if !is_absolute(first_file) => folder,
        _ => "",
    }
}

/// A path as a file below `folder` writes it, from the recipe's root.
pub fn from_folder(folder: &str, path: &str) -> String {
    if folder.is_empty() || path.is_empty() || is_absolute(path) || path.starts_with('~') {
        return path.to_owned();
    }
    format!("{folder}/{path}")
}

/// The path without `.` and `..`; `None` when it climbs out of the recipe.
pub fn normal(path: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            _ => parts.push(part),
        }
    }
    let joined = parts.join("/");
    Some(if is_absolute(path) { format!("/{joined}") } else { joined })
}

/// The longest path that an error repeats.
const LONGEST_SHOWN: usize = 200;

fn shown(path: &str) -> String {
    match path.char_indices().nth(LONGEST_SHOWN) {
        Some((end, _)) => format!("{}… ({} bytes)", &path[..end], path.len()),
        None => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tree(entries: &[(&str, Entry)]) -> Tree {
        Tree { entries: entries.iter().map(|(path, entry)| ((*path).to_owned(), entry.clone())).collect() }
    }

    fn file() -> Entry {
        Entry::File(b"x".to_vec())
    }

    fn recipe() -> Tree {
        tree(&[
            ("a/b.sh", file()),
            ("link", Entry::Symlink),
            ("a/sub", Entry::Submodule),
            ("big", Entry::TooLarge(9)),
            ("binary", Entry::File(b"\xff".to_vec())),
            ("/etc/evenkeel/mine", file()),
            ("/run/secrets/mine", file()),
        ])
    }

    #[test]
    fn what_is_no_plain_file_of_the_recipe_is_refused_by_what_it_is() {
        let tree = recipe();
        let long = "a/".repeat(5000);
        let cases = [
            ("../etc/passwd", TreeError::Outside("../etc/passwd".into())),
            ("a/../../x", TreeError::Outside("a/../../x".into())),
            ("/etc/passwd", TreeError::Absolute("/etc/passwd".into())),
            ("/proc/self/environ", TreeError::Absolute("/proc/self/environ".into())),
            ("/etc/evenkeel/mine", TreeError::Absolute("/etc/evenkeel/mine".into())),
            ("~/.ssh/id_ed25519", TreeError::Home("~/.ssh/id_ed25519".into())),
            (".", TreeError::Folder(".".into())),
            ("", TreeError::Folder(String::new())),
            ("a/", TreeError::Folder("a/".into())),
            ("link", TreeError::Symlink("link".into())),
            ("link/passwd", TreeError::Symlink("link".into())),
            ("a/sub/file", TreeError::Submodule("a/sub".into())),
            ("a/b.sh/c", TreeError::Missing("a/b.sh/c".into())),
            (r"..\..\etc\passwd", TreeError::Missing(r"..\..\etc\passwd".into())),
            ("a/b.sh\0", TreeError::Missing("a/b.sh\0".into())),
            ("big", TreeError::TooLarge("big".into(), 9)),
        ];
        for (path, expected) in cases {
            assert_eq!(tree.bytes(path), Err(expected), "{path:?}");
        }
        assert!(tree.bytes(&long).unwrap_err().to_string().len() < 300);
        assert_eq!(tree.text("binary"), Err(TreeError::NotText("binary".into())));
        assert_eq!(tree.text("./a/../a//b.sh"), Ok("x"));
    }

    #[test]
    fn only_the_operator_and_his_files_name_files_of_the_host() {
        let tree = recipe();
        for path in ["/run/secrets/mine", "/run//secrets/./mine"] {
            assert_eq!(tree.text_named_in("/etc/evenkeel/extra.yml", path), Ok("x"));
            assert_eq!(tree.text_for_operator(path), Ok("x"));
            assert_eq!(tree.text_named_in("compose.yml", path), Err(TreeError::Absolute(path.into())));
        }
        let relative = tree.text_named_in("/etc/evenkeel/extra.yml", "a/b.sh");
        assert_eq!(relative, Ok("x"));
        let unread = TreeError::Unread("/etc/shadow".into());
        assert_eq!(tree.text_named_in("/etc/evenkeel/extra.yml", "/etc/shadow"), Err(unread));
    }

    #[test]
    fn relative_paths_start_in_the_folder_of_the_recipes_first_file() {
        assert_eq!((folder_of("compose.yml"), folder_of("deploy/compose.yml")), ("", "deploy"));
        assert_eq!(folder_of("/etc/evenkeel/extra.yml"), "");
        assert_eq!(from_folder("deploy", "../run.sh"), "deploy/../run.sh");
        for as_it_is in ["/run/x", "", "~/x"] {
            assert_eq!(from_folder("deploy", as_it_is), as_it_is);
        }
    }

    proptest! {
        /// Whatever a recipe writes, it gets its own file or nothing.
        #[test]
        fn no_path_of_a_recipe_leads_to_a_file_of_the_host(
            path in prop_oneof![".*", r"(/|\.|~|a|link|etc|run|secrets|evenkeel|mine|\.\.){0,12}"],
            namer in r"[a-z.]{1,12}(/[a-z.]{1,12}){0,2}",
        ) {
            if let Ok(bytes) = recipe().bytes_named_in(&namer, &path) {
                prop_assert!(matches!(normal(&path).as_deref(), Some("a/b.sh" | "binary")), "{path:?}");
                prop_assert!(!bytes.is_empty());
            }
        }
    }
}
