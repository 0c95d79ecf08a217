//! A disk that forgets: what was not synced may be lost, empty or torn after a power loss.
//!
//! Changes of a folder are kept in their order, so that a power loss leaves the first few of them; files and folders
//! lose theirs independently of each other. A rename or an exchange is one change: never half.

use std::collections::BTreeMap;
use std::rc::Rc;

use evenkeel::model::state::State;
use evenkeel::upgrade::step::Side;

use crate::chance::Chance;

pub type Inode = u32;
/// Which transaction: the one of an earlier night, or this one.
pub type Tx = u8;

/// What is in a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Data {
    /// Who wrote it last.
    pub side: Side,
    pub writes: u32,
    /// Its writer was killed.
    pub unclean: bool,
    /// Read while somebody wrote.
    pub mixed: bool,
}

#[derive(Debug, Clone)]
pub enum Content {
    Empty,
    Torn,
    Tree(Data),
    Archive(Data),
    /// Volume and what its archive holds.
    Manifest(Vec<(u8, Data)>),
    Journal(Rc<State>),
    Folder,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    App,
    Snapshots,
    Snapshot(Tx),
    Volume(u8),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    State,
    Beside,
    Snapshot(Tx),
    Archive(u8),
    Manifest,
    Data,
    New(Tx),
    Failed(Tx),
}

#[derive(Debug, Clone, Copy)]
enum Change {
    Put(Name, Inode),
    Remove(Name),
    Rename(Name, Name),
    Exchange(Name, Name),
}

#[derive(Debug, Clone)]
struct Node {
    now: Content,
    kept: Content,
    is_dirty: bool,
}

#[derive(Debug, Clone, Default)]
struct Folder {
    now: BTreeMap<Name, Inode>,
    kept: BTreeMap<Name, Inode>,
    pending: Vec<Change>,
}

#[derive(Debug, Clone, Default)]
pub struct Disk {
    nodes: Vec<Node>,
    folders: BTreeMap<Place, Folder>,
    /// Counts every change, so that a run that changes nothing is known.
    pub changes: u32,
}

impl Disk {
    pub fn find(&self, place: Place, name: Name) -> Option<Inode> {
        self.folders.get(&place)?.now.get(&name).copied()
    }

    pub fn names(&self, place: Place) -> Vec<Name> {
        self.folders.get(&place).map(|folder| folder.now.keys().copied().collect()).unwrap_or_default()
    }

    pub fn content(&self, inode: Inode) -> &Content {
        &self.nodes[inode as usize].now
    }

    /// What a power loss leaves of it for certain.
    pub fn kept(&self, inode: Inode) -> &Content {
        let node = &self.nodes[inode as usize];
        if node.is_dirty { &Content::Torn } else { &node.now }
    }

    pub fn read(&self, place: Place, name: Name) -> Option<&Content> {
        self.find(place, name).map(|inode| self.content(inode))
    }

    pub fn data(&self, place: Place, name: Name) -> Option<Data> {
        match self.read(place, name)? {
            Content::Tree(data) => Some(*data),
            _ => None,
        }
    }

    /// Every inode that a power loss could leave under the name.
    pub fn outcomes(&self, place: Place, name: Name) -> Vec<Option<Inode>> {
        let Some(folder) = self.folders.get(&place) else { return vec![None] };
        let mut names = folder.kept.clone();
        let mut found = vec![names.get(&name).copied()];
        for change in &folder.pending {
            apply(&mut names, *change);
            found.push(names.get(&name).copied());
        }
        found.dedup();
        found
    }

    /// Whether every power loss leaves this inode in the folder, under one name or another.
    pub fn is_certain(&self, place: Place, inode: Inode) -> bool {
        let Some(folder) = self.folders.get(&place) else { return false };
        let mut names = folder.kept.clone();
        let is_there = |names: &BTreeMap<Name, Inode>| names.values().any(|one| *one == inode);
        is_there(&names)
            && folder.pending.iter().all(|change| {
                apply(&mut names, *change);
                is_there(&names)
            })
    }

    /// A new file, or a new empty folder.
    pub fn make(&mut self, place: Place, name: Name, content: Content) -> Inode {
        let inode = u32::try_from(self.nodes.len()).unwrap();
        self.nodes.push(Node { now: content, kept: Content::Empty, is_dirty: true });
        self.change(place, Change::Put(name, inode));
        inode
    }

    pub fn fill(&mut self, inode: Inode, content: Content) {
        self.changes += 1;
        let node = &mut self.nodes[inode as usize];
        if !node.is_dirty {
            node.kept = std::mem::replace(&mut node.now, content);
            node.is_dirty = true;
        } else {
            node.now = content;
        }
    }

    /// As an app that syncs what it writes.
    pub fn fill_and_sync(&mut self, inode: Inode, content: Content) {
        self.fill(inode, content);
        self.sync(inode);
    }

    pub fn sync(&mut self, inode: Inode) {
        self.nodes[inode as usize].is_dirty = false;
    }

    pub fn sync_folder(&mut self, place: Place) {
        let folder = self.folders.entry(place).or_default();
        if !folder.pending.is_empty() {
            folder.pending.clear();
            folder.kept.clone_from(&folder.now);
        }
    }

    pub fn remove(&mut self, place: Place, name: Name) {
        self.change(place, Change::Remove(name));
    }

    pub fn rename(&mut self, place: Place, from: Name, to: Name) {
        self.change(place, Change::Rename(from, to));
    }

    pub fn exchange(&mut self, place: Place, one: Name, other: Name) {
        self.change(place, Change::Exchange(one, other));
    }

    /// Empties a folder that was made anew.
    pub fn renew(&mut self, place: Place) {
        self.folders.insert(place, Folder::default());
    }

    fn change(&mut self, place: Place, change: Change) {
        self.changes += 1;
        let folder = self.folders.entry(place).or_default();
        apply(&mut folder.now, change);
        folder.pending.push(change);
    }

    pub fn lose_power(&mut self, chance: &mut Chance) {
        for node in self.nodes.iter_mut().filter(|node| node.is_dirty) {
            match chance.below(3) {
                0 => node.now = node.kept.clone(),
                1 => node.now = Content::Torn,
                _ => {}
            }
            node.is_dirty = false;
        }
        for folder in self.folders.values_mut().filter(|folder| !folder.pending.is_empty()) {
            let survive = chance.below(folder.pending.len() as u32 + 1) as usize;
            for change in folder.pending.drain(..).take(survive) {
                apply(&mut folder.kept, change);
            }
            folder.now.clone_from(&folder.kept);
        }
    }
}

fn apply(names: &mut BTreeMap<Name, Inode>, change: Change) {
    match change {
        Change::Put(name, inode) => drop(names.insert(name, inode)),
        Change::Remove(name) => drop(names.remove(&name)),
        Change::Rename(from, to) => {
            if let Some(inode) = names.remove(&from) {
                names.insert(to, inode);
            }
        }
        Change::Exchange(one, other) => {
            if let (Some(first), Some(second)) = (names.get(&one).copied(), names.get(&other).copied()) {
                names.insert(one, second);
                names.insert(other, first);
            }
        }
    }
}
