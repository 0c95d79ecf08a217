//! A recipe in a folder, as its author has it before a commit, and single files of the operator's.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path};

use anyhow::{Context, Result, bail, ensure};

use super::objects::path_below;
use super::{LARGEST_FILE, Taken};
use crate::recipe::{Entry, Tree};

/// The plain files below a folder, `.git` left out, with the bounds of a committed recipe. Links are not followed.
pub fn tree_of_directory(dir: &Path) -> Result<Tree> {
    let mut walk = Walk::default();
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        walk.take_folder(dir, &folder, &mut folders)
            .with_context(|| format!("read {}", dir.join(&folder).display()))?;
    }
    Ok(walk.tree)
}

#[derive(Default)]
struct Walk {
    tree: Tree,
    taken: Taken,
}

impl Walk {
    fn take_folder(&mut self, root: &Path, folder: &str, below: &mut Vec<String>) -> Result<()> {
        for entry in fs::read_dir(root.join(folder))? {
            let entry = entry?;
            if entry.file_name() == ".git" {
                continue;
            }
            let path = path_below(folder, entry.file_name().as_bytes())?;
            self.taken.entry()?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                below.push(path);
            } else if kind.is_symlink() {
                self.tree.entries.insert(path, Entry::Symlink);
            } else {
                ensure!(kind.is_file(), "{path} is neither file, folder nor link; a recipe has no such thing");
                self.take_file(root, path)?;
            }
        }
        Ok(())
    }

    fn take_file(&mut self, root: &Path, path: String) -> Result<()> {
        let entry = read_bounded(&root.join(&path)).with_context(|| path.clone())?;
        if let Entry::File(bytes) = &entry {
            self.taken.bytes(bytes.len() as u64)?;
        }
        self.tree.entries.insert(path, entry);
        Ok(())
    }
}

/// A file that the operator's tables name, under the key that [`Tree`] has for it. Links are followed: the operator's
/// files often are links into a store.
///
/// # Errors
/// When the path is not absolute or has `..` in it, or the file cannot be read.
pub fn operator_file(path: &Path) -> Result<(String, Entry)> {
    let key = key_of(path)?;
    let entry = read_bounded(path).with_context(|| format!("read {}", path.display()))?;
    Ok((key, entry))
}

fn key_of(path: &Path) -> Result<String> {
    let mut key = String::new();
    ensure!(path.is_absolute(), "{} is not absolute; write the whole path", path.display());
    for component in path.components() {
        match component {
            Component::RootDir | Component::CurDir => {}
            Component::Normal(name) => {
                let name = name.to_str().with_context(|| format!("{} is not UTF-8", path.display()))?;
                key.push('/');
                key.push_str(name);
            }
            Component::ParentDir | Component::Prefix(_) => {
                bail!("{} goes up again; write the path without `..`", path.display())
            }
        }
    }
    Ok(key)
}

/// The bytes of a file of the operator's that is no part of a recipe: an env file, a secret. Links are followed.
///
/// # Errors
/// When there is no plain file that can be read, or it is longer than any such file has to be.
pub fn operator_bytes(path: &Path) -> io::Result<Vec<u8>> {
    match read_bounded(path)? {
        Entry::File(bytes) => Ok(bytes),
        Entry::TooLarge(size) => Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it has {size} bytes, more than the {LARGEST_FILE} that are read"),
        )),
        Entry::Symlink | Entry::Submodule => unreachable!("links are followed, and a file system has no submodules"),
    }
}

/// As [`operator_bytes`], for a text.
///
/// # Errors
/// Also when it is not UTF-8.
pub fn operator_text(path: &Path) -> io::Result<String> {
    String::from_utf8(operator_bytes(path)?)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8 text"))
}

fn read_bounded(path: &Path) -> io::Result<Entry> {
    let file = open_plain(path)?;
    let length = file.metadata()?.len();
    if length > LARGEST_FILE {
        return Ok(Entry::TooLarge(length));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default() + 1);
    // It may grow meanwhile.
    file.take(LARGEST_FILE + 1).read_to_end(&mut bytes)?;
    let length = bytes.len() as u64;
    Ok(if length > LARGEST_FILE { Entry::TooLarge(length) } else { Entry::File(bytes) })
}

/// Opens a file of the operator's. A pipe or a device is none.
pub(super) fn open_plain(path: &Path) -> io::Result<File> {
    must_be_plain(&fs::metadata(path)?)?;
    // A plain open of a pipe would wait for its other end, if one has come in the file's place meanwhile.
    let file = OpenOptions::new().read(true).custom_flags(nix::libc::O_NONBLOCK).open(path)?;
    must_be_plain(&file.metadata()?)?;
    Ok(file)
}

fn must_be_plain(metadata: &fs::Metadata) -> io::Result<()> {
    match (metadata.is_file(), metadata.is_dir()) {
        (true, _) => Ok(()),
        (_, true) => Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a folder")),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a file")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    fn recipe(files: &[(&str, &[u8])]) -> TempDir {
        let dir = TempDir::new().unwrap();
        for (path, bytes) in files {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        dir
    }

    #[test]
    fn a_folder_is_read_as_a_recipe_without_its_git() {
        let dir = recipe(&[("compose.yml", b"x"), ("db/tune.sh", b"y"), (".git/config", b"z"), (".env.sample", b"")]);
        std::os::unix::fs::symlink("/etc/passwd", dir.path().join("link")).unwrap();
        let tree = tree_of_directory(dir.path()).unwrap();
        let keys: Vec<_> = tree.entries.keys().map(String::as_str).collect();
        assert_eq!(keys, [".env.sample", "compose.yml", "db/tune.sh", "link"]);
        assert_eq!(tree.text("db/tune.sh"), Ok("y"));
        assert_eq!(tree.entries["link"], Entry::Symlink);
    }

    #[test]
    fn what_is_too_large_is_told_and_not_read() {
        let dir = recipe(&[("big", &vec![0; (1 << 20) + 1]), ("fits", &vec![0; 1 << 20])]);
        let tree = tree_of_directory(dir.path()).unwrap();
        assert_eq!(tree.entries["big"], Entry::TooLarge((1 << 20) + 1));
        assert!(matches!(tree.entries["fits"], Entry::File(_)));
        for number in 0..33 {
            fs::write(dir.path().join(number.to_string()), vec![0; 1 << 20]).unwrap();
        }
        let error = format!("{:#}", tree_of_directory(dir.path()).unwrap_err());
        assert!(error.contains("bytes in all"), "{error}");
    }

    #[test]
    fn what_cannot_be_in_a_recipe_is_named() {
        let dir = recipe(&[("a\nb", b"")]);
        let error = format!("{:#}", tree_of_directory(dir.path()).unwrap_err());
        assert!(error.contains("control characters"), "{error}");
        assert!(tree_of_directory(Path::new("/no/such/folder")).is_err());
    }

    #[test]
    fn an_operators_file_is_found_under_the_key_that_the_tree_has() {
        let dir = recipe(&[("extra.yml", b"services: {}")]);
        let path = dir.path().join("./extra.yml");
        let (key, entry) = operator_file(&path).unwrap();
        let tree = Tree { entries: [(key, entry)].into() };
        assert_eq!(tree.text_for_operator(path.to_str().unwrap()), Ok("services: {}"));
    }

    #[test]
    fn a_link_into_a_store_is_followed() {
        let dir = recipe(&[("store/extra.yml", b"x")]);
        let link = dir.path().join("extra.yml");
        std::os::unix::fs::symlink(dir.path().join("store/extra.yml"), &link).unwrap();
        assert_eq!(operator_file(&link).unwrap(), (link.display().to_string(), Entry::File(b"x".to_vec())));
    }

    /// Also what would be waited for: a pipe, a socket, a device.
    #[test]
    fn what_is_no_plain_file_of_the_operators_is_refused_at_once() {
        let dir = recipe(&[("big", &vec![0; (1 << 20) + 1])]);
        let (pipe, socket) = (dir.path().join("pipe"), dir.path().join("socket"));
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let cases = [
            (Path::new("extra.yml"), "is not absolute; write the whole path"),
            (Path::new("/etc/../etc/hostname"), "write the path without `..`"),
            (Path::new("/no/such/file"), "read /no/such/file: No such file"),
            (Path::new("/etc"), "read /etc: it is a folder"),
            (&pipe, "pipe: it is not a file"),
            (&socket, "socket: it is not a file"),
            (Path::new("/dev/zero"), "/dev/zero: it is not a file"),
        ];
        for (path, words) in cases {
            let error = format!("{:#}", operator_file(path).unwrap_err());
            assert!(error.contains(words), "{}: {error}", path.display());
        }
        let big = dir.path().join("big");
        assert_eq!(operator_file(&big).unwrap().1, Entry::TooLarge((1 << 20) + 1));
        assert!(operator_bytes(&big).unwrap_err().to_string().contains("more than the 1048576 that are read"));
    }
}
