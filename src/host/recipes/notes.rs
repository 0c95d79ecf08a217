//! The release notes of many commits at once.
//!
//! Most versions share most of their notes, so each folder and each note is read once, whatever the number of commits.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail, ensure};

use super::objects::{Damaged, Objects, raw_entry};
use super::{LARGEST_FILE, Taken};
use crate::model::version::{Commit, RecipeVersion};
use crate::recipe::notes::{FOLDER, Note, Notes};

/// The versions that a folder has notes for, each with the object that holds its text; none where it is no plain file.
type Folder = Vec<(String, Option<String>)>;

pub(super) async fn read(objects: &mut Objects, commits: &[Commit]) -> Result<BTreeMap<Commit, Notes>> {
    let ids = folder_ids(objects, commits).await?;
    let folders = folders(objects, ids.values().flatten()).await?;
    let texts = texts(objects, folders.values().flatten().filter_map(|(_, text)| text.as_ref())).await?;
    let note = |text: &Option<String>| text.as_ref().and_then(|id| texts.get(id)).cloned();
    let notes = |folder: &Option<String>| {
        let listed = folder.iter().flat_map(|id| &folders[id]);
        Notes::of(listed.map(|(name, text)| (name.as_str(), note(text).unwrap_or_else(|| Note::of(None)))))
    };
    Ok(ids.iter().map(|(commit, folder)| (commit.clone(), notes(folder))).collect())
}

/// The folder of each commit; none where there is no such folder.
async fn folder_ids(objects: &mut Objects, commits: &[Commit]) -> Result<BTreeMap<Commit, Option<String>>> {
    let whole: Vec<_> = commits.iter().map(|commit| format!("{commit}^{{tree}}")).collect();
    if let Some(missing) = objects.find(&whole).await?.iter().position(Option::is_none) {
        bail!(Damaged(format!("commit {} is missing", commits[missing].short())));
    }
    let names: Vec<_> = commits.iter().map(|commit| format!("{commit}:{FOLDER}")).collect();
    let found = objects.find(&names).await?.into_iter();
    let ids = found.map(|found| found.filter(|found| found.kind == "tree").map(|found| found.id));
    Ok(commits.iter().cloned().zip(ids).collect())
}

async fn folders<'a>(objects: &mut Objects, ids: impl Iterator<Item = &'a String>) -> Result<BTreeMap<String, Folder>> {
    let all: BTreeSet<&String> = ids.collect();
    let ids = small_ones(objects, all.iter().copied()).await?;
    ensure!(ids.len() == all.len(), "a folder of release notes has more than {LARGEST_FILE} bytes; a recipe has few");
    let mut folders = BTreeMap::new();
    let take = |index: usize, bytes: Vec<u8>| {
        let id: &String = &ids[index];
        folders.insert(id.clone(), listed(&bytes, id.len() / 2)?);
        Ok(())
    };
    objects.read(&ids, take).await?;
    Ok(folders)
}

fn listed(folder: &[u8], id_length: usize) -> Result<Folder> {
    let (mut rest, mut notes, mut taken) = (folder, Vec::new(), Taken::default());
    while !rest.is_empty() {
        let (entry, behind) = raw_entry(rest, id_length).context("the folder of notes is no folder of git's")?;
        rest = behind;
        taken.entry()?;
        let Ok(name) = std::str::from_utf8(entry.name) else { continue };
        if name.parse::<RecipeVersion>().is_ok() {
            let is_file = entry.mode.starts_with(b"100");
            notes.push((name.to_owned(), is_file.then_some(entry.id)));
        }
    }
    Ok(notes)
}

/// The texts by id; one that is too large is left out.
async fn texts<'a>(objects: &mut Objects, ids: impl Iterator<Item = &'a String>) -> Result<BTreeMap<String, Note>> {
    let ids = small_ones(objects, ids).await?;
    let mut texts = BTreeMap::new();
    let take = |index: usize, bytes: Vec<u8>| {
        texts.insert(ids[index].clone(), Note::of(Some(&bytes)));
        Ok(())
    };
    objects.read(&ids, take).await?;
    Ok(texts)
}

/// Each once, and not more of them than a recipe has.
async fn small_ones<'a>(objects: &mut Objects, ids: impl Iterator<Item = &'a String>) -> Result<Vec<String>> {
    let ids: Vec<String> = ids.collect::<BTreeSet<_>>().into_iter().cloned().collect();
    let (mut small, mut taken) = (Vec::new(), Taken::default());
    for (found, id) in objects.find(&ids).await?.into_iter().zip(ids) {
        let found = found.ok_or_else(|| Damaged(format!("object {id} is missing")))?;
        if found.size <= LARGEST_FILE {
            taken.bytes(found.size)?;
            small.push(id);
        }
    }
    Ok(small)
}
