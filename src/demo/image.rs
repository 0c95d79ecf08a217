//! An image made from this program: its executable, the loader that the executable names, and the libraries that
//! the running process maps. No compiler, base image or registry is needed.
//!
//! A library is stored under its soname in the folder where it was found, and the image's `LD_LIBRARY_PATH` names
//! those folders: the mapped path may be a version's file (`libc-2.31.so`) that the loader never asks for.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use elf::ElfBytes;
use elf::abi::{DT_SONAME, PT_INTERP};
use elf::endian::AnyEndian;

/// Where the executable lies in the image.
pub const EXECUTABLE: &str = "/evenkeel";

/// The files of an image by absolute path, and the folders that its loader has to search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    pub files: BTreeMap<PathBuf, Vec<u8>>,
    pub library_folders: BTreeSet<PathBuf>,
}

impl Contents {
    /// What this executable needs to run in an empty root. The calling process has to be the same program, or one
    /// that maps the same libraries.
    pub fn of(executable: &Path) -> Result<Self> {
        let program = read(executable)?;
        let mut contents = Self { files: BTreeMap::new(), library_folders: BTreeSet::new() };
        if let Some(loader) = loader(&program)? {
            contents.files.insert(loader.clone(), read(&loader)?);
        }
        contents.files.insert(EXECUTABLE.into(), program);
        let maps = fs::read_to_string("/proc/self/maps").context("read /proc/self/maps")?;
        for path in mapped_files(&maps) {
            contents.add_library(&path)?;
        }
        Ok(contents)
    }

    /// Adds a mapped file if it is a shared library; the executable itself and locale archives have no soname.
    fn add_library(&mut self, path: &Path) -> Result<()> {
        let bytes = read(path)?;
        let (Some(folder), Some(soname)) = (path.parent(), soname(&bytes)) else { return Ok(()) };
        self.library_folders.insert(folder.to_owned());
        self.files.insert(folder.join(soname), bytes);
        Ok(())
    }

    /// The root file system as a tar, with an empty `/data`.
    pub fn tar(&self) -> Result<Vec<u8>> {
        let mut tar = tar::Builder::new(Vec::new());
        let mut folder = header(tar::EntryType::Directory, 0);
        tar.append_data(&mut folder, "data", std::io::empty()).context("pack /data")?;
        for (path, bytes) in &self.files {
            let mut header = header(tar::EntryType::Regular, bytes.len() as u64);
            let inside = path.strip_prefix("/").unwrap_or(path);
            tar.append_data(&mut header, inside, bytes.as_slice())
                .with_context(|| format!("pack {}", path.display()))?;
        }
        tar.into_inner().context("pack the image")
    }

    /// The lines of a Dockerfile that make the root an image of the demo's app.
    pub fn changes(&self, version: &str) -> Vec<String> {
        let folders: Vec<_> = self.library_folders.iter().map(|folder| folder.display().to_string()).collect();
        let mut changes =
            vec![format!("ENTRYPOINT [\"{EXECUTABLE}\", \"demo-app\"]"), format!("ENV VERSION={version}")];
        if !folders.is_empty() {
            changes.push(format!("ENV LD_LIBRARY_PATH={}", folders.join(":")));
        }
        changes
    }
}

fn header(kind: tar::EntryType, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(0o755);
    header.set_size(size);
    header
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("read {}", path.display()))
}

/// The loader that a program names; `None` for a static one.
fn loader(program: &[u8]) -> Result<Option<PathBuf>> {
    let elf = ElfBytes::<AnyEndian>::minimal_parse(program).context("read the program as ELF")?;
    let segments = elf.segments().context("the program has no segments")?;
    let Some(segment) = segments.iter().find(|segment| segment.p_type == PT_INTERP) else { return Ok(None) };
    let name = elf.segment_data(&segment).context("read the loader's name")?;
    let name = std::str::from_utf8(name).context("the loader's name is not text")?;
    Ok(Some(name.trim_end_matches('\0').into()))
}

/// The name by which programs ask for this library; `None` for any other file.
fn soname(bytes: &[u8]) -> Option<String> {
    let elf = ElfBytes::<AnyEndian>::minimal_parse(bytes).ok()?;
    let sections = elf.find_common_data().ok()?;
    let entry = sections.dynamic?.iter().find(|entry| entry.d_tag == DT_SONAME)?;
    let name = sections.dynsyms_strs?.get(usize::try_from(entry.d_val()).ok()?).ok()?;
    Some(name.to_owned())
}

/// The files that a process maps, out of its `/proc/PID/maps`. A file that was replaced since is left out.
fn mapped_files(maps: &str) -> BTreeSet<PathBuf> {
    let path = |line: &str| line.find('/').map(|start| line[start..].to_owned());
    maps.lines().filter_map(path).filter(|path| !path.ends_with(" (deleted)")).map(PathBuf::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mapped_files_are_named_once_and_memory_never() {
        let maps = "55d0-55d1 r-xp 00000000 08:01 7  /opt/my app/evenkeel\n\
                    7f00-7f01 r--p 00000000 08:01 9  /lib/libc.so.6\n\
                    7f01-7f02 r-xp 00001000 08:01 9  /lib/libc.so.6\n\
                    7f03-7f04 rw-p 00000000 00:00 0  [stack]\n\
                    7f04-7f05 r-xp 00000000 08:01 3  /tmp/old (deleted)\n";
        let expected = ["/lib/libc.so.6", "/opt/my app/evenkeel"].map(PathBuf::from);
        assert_eq!(mapped_files(maps), expected.into());
    }

    #[test]
    fn the_image_runs_in_an_empty_root_with_nothing_but_its_own_files() {
        let program = std::env::current_exe().unwrap();
        let contents = Contents::of(&program).unwrap();
        let loader = loader(&contents.files[Path::new(EXECUTABLE)]).unwrap();
        assert!(loader.is_none_or(|loader| contents.files.contains_key(&loader)));

        let root = tempfile::tempdir().unwrap();
        tar::Archive::new(contents.tar().unwrap().as_slice()).unpack(root.path()).unwrap();
        let folders: Vec<_> = contents.library_folders.iter().map(|folder| folder.display().to_string()).collect();
        let listed = std::process::Command::new("chroot")
            .arg(root.path())
            .args([EXECUTABLE, "--list", "demo::image"])
            .env_clear()
            .env("LD_LIBRARY_PATH", folders.join(":"))
            .env("PATH", std::env::var_os("PATH").unwrap())
            .output()
            .unwrap();
        let listed = String::from_utf8(listed.stdout).unwrap();
        assert!(listed.contains("the_image_runs_in_an_empty_root"), "{listed}");
    }
}
