//! The journal on the simulated disk, and what is swept when nothing is open.

use std::collections::BTreeSet;
use std::rc::Rc;

use anyhow::Result;
use evenkeel::host::store::InDoubt;
use evenkeel::model::state::State;
use evenkeel::upgrade::run::Journal;

use super::disk::{Content, Name, Place};
use super::host::{Shared, tx_name};
use super::laws;
use super::mutants::Mutant;
use super::world::{Cut, EARLIER, TX, World};

/// The journal as a file: written beside, synced, renamed, the folder synced.
pub struct File {
    pub world: Shared,
    /// A mutant's: written when the next one is.
    held_back: Option<State>,
}

impl File {
    pub fn new(world: &Shared) -> Self {
        Self { world: world.clone(), held_back: None }
    }

    fn replace(&self, state: &State) -> Result<(), Cut> {
        let mut world = self.world.borrow_mut();
        let world = &mut *world;
        if world.reads_back {
            let text = serde_json::to_string(state).unwrap();
            assert_eq!(&serde_json::from_str::<State>(&text).unwrap(), state);
        }
        world.disk_write()?;
        let inode = world.disk.make(Place::App, Name::Beside, Content::Empty);
        world.disk_write()?;
        world.disk.fill(inode, Content::Journal(Rc::new(state.clone())));
        world.disk_write()?;
        if !world.has(Mutant::JournalNotSynced) {
            world.disk.sync(inode);
        }
        world.moment()?;
        world.disk.rename(Place::App, Name::Beside, Name::State);
        if !world.has(Mutant::JournalFolderNotSynced) {
            world.sync_folder(Place::App)?;
        }
        world.moment()?;
        laws::journal_is_true(world);
        Ok(())
    }
}

impl Journal for File {
    fn write(&mut self, state: &State) -> Result<()> {
        let mutant = self.world.borrow().mutant;
        let mut state = state.clone();
        if let Some(mutant) = mutant {
            let before = self.world.borrow().journal();
            if mutant.drops(&state, before.as_deref()) {
                return Ok(());
            }
            mutant.falsify(&mut state);
            if mutant == Mutant::JournalLagsBehind {
                let Some(held) = self.held_back.replace(state.clone()) else { return Ok(()) };
                state = if state.open.is_some() { held } else { state };
            }
        }
        match self.replace(&state) {
            Ok(()) => Ok(()),
            Err(Cut::Doubt) if mutant != Some(Mutant::DoubtIsTakenForCertain) => {
                Err(anyhow::Error::msg("input/output error").context(InDoubt))
            }
            Err(cut) => Err(anyhow::Error::msg(format!("{cut:?}"))),
        }
    }
}

/// Removes what nothing in the state stands for: the end of every run that leaves nothing open.
pub fn sweep(world: &mut World, state: &State) -> Result<(), Cut> {
    let snapshots: BTreeSet<String> = state.named_snapshots().into_iter().map(str::to_owned).collect();
    for tx in [EARLIER, TX] {
        let is_there = world.disk.find(Place::Snapshots, Name::Snapshot(tx)).is_some();
        if is_there && !snapshots.contains(&tx_name(tx)) {
            world.moment()?;
            world.disk.remove(Place::Snapshots, Name::Snapshot(tx));
        }
    }
    let kept: BTreeSet<String> = state.named_transactions().into_iter().map(str::to_owned).collect();
    let under_way = state.open.iter().chain(state.stuck.iter().map(|stuck| &stuck.transaction));
    let staging: BTreeSet<String> = under_way.map(|transaction| transaction.id.clone()).collect();
    for volume in world.volumes_in_all() {
        for name in world.disk.names(Place::Volume(volume)) {
            let goes = match name {
                Name::New(tx) => !staging.contains(&tx_name(tx)),
                Name::Failed(tx) => !kept.contains(&tx_name(tx)) && !world.has(Mutant::EarlierFailedStays),
                _ => false,
            };
            if goes {
                world.moment()?;
                world.disk.remove(Place::Volume(volume), name);
            }
        }
    }
    Ok(())
}
