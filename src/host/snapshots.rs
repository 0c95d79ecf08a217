//! Snapshots of an app's volumes: `<app>/snapshots/<id>/`.
//!
//! One archive per volume and a manifest, which is written last: a folder without one is no snapshot. Whoever stores has
//! proved that nobody writes to the volumes; which snapshots stay is what the app's state names. The border: nothing is
//! put back here (that is `volumes`). The surprise: links and strange files in the folder are never followed but told,
//! since what is stored here is put back as root.

mod archive;
mod folder;
mod manifest;
mod read_back;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};

use super::copying::{CopyError, Damage, Watch};
use super::store::{AppDir, Lock, make_folder};
use crate::model::hex;
use folder::Folder;

pub use manifest::{Archived, Manifest};
pub use read_back::Archive;

const FOLDER: &str = "snapshots";
const ARCHIVE: &str = ".tar.zst";
/// The longest name of a file, less what is written around it.
const LONGEST_VOLUME: usize = 230;
/// More than a thousand volumes with a thousand sockets each need.
const LARGEST_MANIFEST: u64 = 64 << 20;

/// An app's snapshots.
#[derive(Debug, Clone)]
pub struct Snapshots {
    app: AppDir,
}

/// A snapshot as `list` finds it.
#[derive(Debug)]
pub struct Listed {
    pub id: String,
    /// What its manifest says; archives are not looked at.
    ///
    /// # Errors
    /// It was never sealed, or its manifest is damaged.
    pub manifest: Result<Manifest, CopyError>,
}

impl AppDir {
    pub fn snapshots(&self) -> Snapshots {
        Snapshots { app: self.clone() }
    }
}

impl Snapshots {
    /// Stores one volume in the snapshot `id`, in place of what a killed run left of it; on disk when this returns. A
    /// snapshot that was sealed already is no longer one until it is sealed again. tar holds the lock, so that nobody else
    /// takes it before tar has ended, whatever becomes of us.
    ///
    /// # Errors
    /// Also when somebody wrote to the volume meanwhile. Nothing is left of the archive then.
    pub fn archive(
        &self,
        lock: &Lock,
        id: &str,
        volume: &str,
        mountpoint: &Path,
        watch: &Watch<'_>,
    ) -> Result<Archived, CopyError> {
        self.app.ensure_locked_by(lock)?;
        check_volume(volume)?;
        let folder = self.made(id)?;
        folder.remove(&self.manifest_name()?)?;
        archive::archive(&folder, &file_of(volume), mountpoint, lock.share()?, watch)
    }

    /// Makes a snapshot of the archives that the manifest names; on disk when this returns.
    ///
    /// # Errors
    /// Also when one of them is not there, or not as long as it was stored.
    pub fn seal(&self, lock: &Lock, manifest: &Manifest) -> Result<(), CopyError> {
        self.app.ensure_locked_by(lock)?;
        let folder = self.made(&manifest.id)?;
        for archived in manifest.volumes.values() {
            let length = folder.file(&archived.file)?.metadata().context("look at an archive")?.len();
            if length != archived.bytes {
                let what = format!("is damaged: it has {length} bytes instead of {}", archived.bytes);
                return Err(Damage::new(&folder.path_of(&archived.file), what).into());
            }
        }
        folder.put(&self.manifest_name()?, manifest.to_text().as_bytes())?;
        Ok(())
    }

    /// What a sealed snapshot says it holds. The manifest is checked against its own digest; archives are not read.
    pub fn manifest(&self, id: &str) -> Result<Manifest, CopyError> {
        Ok(self.opened(id)?.1)
    }

    /// Reads every archive back whole. What this gives can be put back.
    ///
    /// # Errors
    /// `Damaged` names the file: flipped, cut, missing, or one that no snapshot has.
    pub fn verify(&self, id: &str, watch: &Watch<'_>) -> Result<Manifest, CopyError> {
        let (folder, manifest) = self.opened(id)?;
        no_other_files(&folder, &manifest, &self.manifest_name()?)?;
        for archived in manifest.volumes.values() {
            archive_in(&folder, archived)?.read_back(watch)?;
        }
        Ok(manifest)
    }

    /// One archive, to put back.
    pub fn open(&self, id: &str, volume: &str) -> Result<Archive, CopyError> {
        let (folder, manifest) = self.opened(id)?;
        let Some(archived) = manifest.volumes.get(volume) else {
            return Err(Damage::new(folder.path(), format!("has no archive of the volume {volume}")).into());
        };
        archive_in(&folder, archived)
    }

    /// All that is there, the oldest first; what has no readable manifest comes last.
    pub fn list(&self) -> Result<Vec<Listed>> {
        let Some(all) = self.folder()? else { return Ok(Vec::new()) };
        let ids = all.names()?.into_iter().filter(|name| check_id(name).is_ok() && all.is_folder(name));
        let mut listed: Vec<_> = ids.map(|id| Listed { manifest: self.manifest(&id), id }).collect();
        let age = |listed: &Listed| listed.manifest.as_ref().ok().map(|manifest| manifest.taken);
        listed.sort_by_key(|listed| (age(listed).is_none(), age(listed), listed.id.clone()));
        Ok(listed)
    }

    /// Removes a snapshot; gives whether there was one. The manifest goes first: what a killed run leaves is none.
    pub fn remove(&self, lock: &Lock, id: &str) -> Result<bool> {
        self.app.ensure_locked_by(lock)?;
        check_id(id)?;
        let Some(all) = self.folder()? else { return Ok(false) };
        let Some(one) = all.below(id)? else { return Ok(false) };
        one.remove(&self.manifest_name()?)?;
        one.sync()?;
        all.remove_folder(id)?;
        all.sync()?;
        Ok(true)
    }

    /// Removes every snapshot that `keep` does not name, and gives their ids.
    pub fn sweep(&self, lock: &Lock, keep: &BTreeSet<String>) -> Result<Vec<String>> {
        let Some(all) = self.folder()? else { return Ok(Vec::new()) };
        let is_ours = |name: &String| check_id(name).is_ok() && all.is_folder(name);
        let gone: Vec<String> = all.names()?.into_iter().filter(is_ours).filter(|id| !keep.contains(id)).collect();
        for id in &gone {
            self.remove(lock, id)?;
        }
        Ok(gone)
    }

    /// Where a snapshot lies, or would.
    pub fn path(&self, id: &str) -> PathBuf {
        self.app.path().join(FOLDER).join(id)
    }

    fn opened(&self, id: &str) -> Result<(Folder, Manifest), CopyError> {
        check_id(id)?;
        let folder = match self.folder()? {
            Some(all) => all.below(id)?,
            None => None,
        };
        let Some(folder) = folder else { return Err(Damage::new(&self.path(id), "is missing").into()) };
        let name = self.manifest_name()?;
        let bytes = bounded(folder.file(&name)?, &folder.path_of(&name))?;
        let damage = |what: String| Damage::new(&folder.path_of(&name), what);
        let manifest = Manifest::parse(&bytes).map_err(damage)?;
        if manifest.id != id {
            return Err(damage(format!("is that of the snapshot {}", manifest.id)).into());
        }
        Ok((folder, manifest))
    }

    fn folder(&self) -> Result<Option<Folder>> {
        match Folder::open(self.app.path())? {
            Some(app) => app.below(FOLDER),
            None => Ok(None),
        }
    }

    fn made(&self, id: &str) -> Result<Folder> {
        check_id(id)?;
        make_folder(self.app.path())?;
        let app = Folder::open(self.app.path())?.context("the app's folder is gone just after it was made")?;
        app.made_below(FOLDER)?.made_below(id)
    }

    fn manifest_name(&self) -> Result<String> {
        let app = self.app.path().file_name().and_then(|name| name.to_str());
        Ok(format!("{}.meta.json", app.context("the app's folder has no name")?))
    }
}

fn archive_in(folder: &Folder, archived: &Archived) -> Result<Archive, CopyError> {
    let file = folder.file(&archived.file)?;
    Ok(Archive { file, path: folder.path_of(&archived.file), stored: archived.clone() })
}

fn bounded(file: std::fs::File, path: &Path) -> Result<Vec<u8>, CopyError> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    let read = file.take(LARGEST_MANIFEST + 1).read_to_end(&mut bytes);
    read.with_context(|| format!("read {}", path.display()))?;
    match bytes.len() as u64 > LARGEST_MANIFEST {
        true => Err(Damage::new(path, "is larger than any manifest").into()),
        false => Ok(bytes),
    }
}

fn no_other_files(folder: &Folder, manifest: &Manifest, own: &str) -> Result<(), CopyError> {
    let named: BTreeSet<&str> = manifest.volumes.values().map(|archived| archived.file.as_str()).collect();
    let other = folder.names()?.into_iter().find(|name| name != own && !named.contains(name.as_str()));
    match other {
        Some(name) => Err(Damage::new(&folder.path_of(&name), "is no part of the snapshot").into()),
        None => Ok(()),
    }
}

/// The archive's name; of a volume whose name is too long for that, a short form and its digest.
fn file_of(volume: &str) -> String {
    if volume.len() <= LONGEST_VOLUME {
        return format!("{volume}{ARCHIVE}");
    }
    let digest = hex(&Sha256::digest(volume.as_bytes()));
    let end = (0..=LONGEST_VOLUME - 80).rev().find(|end| volume.is_char_boundary(*end)).unwrap_or(0);
    format!("{}-{digest}{ARCHIVE}", &volume[..end])
}

fn check_id(id: &str) -> Result<()> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    ensure!(!id.is_empty() && id.len() <= 100 && id.chars().all(fits), "{id:?} is no name of a snapshot");
    Ok(())
}

fn check_volume(volume: &str) -> Result<()> {
    let is_plain = !volume.is_empty() && !volume.starts_with('.') && !volume.contains(['/', '\0']);
    if !is_plain {
        bail!("{volume:?} is no name of a volume");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_volume_has_a_file_of_its_own_that_fits() {
        assert_eq!(file_of("wiki_data"), "wiki_data.tar.zst");
        let long = ["a".repeat(255), format!("{}b", "a".repeat(254)), "ä".repeat(127)].map(|name| file_of(&name));
        assert!(long.iter().all(|file| file.len() <= 250 && file.ends_with(ARCHIVE)), "{long:?}");
        assert_ne!(long[0], long[1]);
    }

    #[test]
    fn no_name_leads_out_of_the_folder() {
        for id in ["", ".", "..", "a/b", "/etc", "A", "a_b", "a\0"] {
            assert!(check_id(id).is_err(), "{id:?}");
        }
        for volume in ["", ".", "..", "../x", "a/b", ".part-x", "a\0b"] {
            assert!(check_volume(volume).is_err(), "{volume:?}");
        }
        assert!(check_id("tx-20261121-1").is_ok() && check_volume("wiki_x_example_data").is_ok());
    }
}
