//! Ways to build it wrong. Each must break a law in some history; a law that none breaks would be worth nothing.

use evenkeel::model::state::State;
use evenkeel::model::warm::{Purpose, Status, Step};

macro_rules! mutants {
    ($($name:ident),* $(,)?) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Mutant { $($name),* }

        impl Mutant {
            pub const ALL: &[Mutant] = &[$(Mutant::$name),*];
        }
    };
}

mutants! {
    // A look is wrong.
    VolumesAreBelieved,
    SnapshotIsBelieved,
    WhatRunsIsNotSeen,
    IndexesAreBelieved,
    BootIsBelieved,
    BootOfTheWorkIsBelieved,
    WhatBecameOfItIsNotAsked,
    // A decision is.
    DirtyIsUsed,
    LostIsNotSaid,
    LostIsSaidTooSoon,
    DamageIsNotNoted,
    // An act is left out, or done in part.
    NothingIsAwaited,
    UncleanIsFine,
    UnseenEndIsClean,
    ProofSeesNothing,
    NothingIsVerified,
    NoIsNotHeard,
    NothingIsDiscarded,
    OneVolumeIsNotCleared,
    OneVolumeIsNotPutBack,
    NothingIsLeft,
    SweptWhileOpen,
    // The journal is written too late, or without something.
    StatusIsLate,
    LeftForgotten,
    QuickStaysDeployed,
    SnapshotIsNotSelected,
    // It is read wrongly.
    DeployResumedAsDone,
    IdleResumedAsDone,
    RestResumedAsStore,
    HaltResumedAsMake,
    JudgeResumedAsStore,
}

impl Mutant {
    /// Whether this write of the journal is left out.
    pub fn drops(self, state: &State, before: &State) -> bool {
        let step = |state: &State| state.warm.as_ref()?.work.as_ref().map(|work| work.step);
        self == Mutant::StatusIsLate && step(before).is_some() && step(state) == Some(Step::Deploy)
    }

    /// What is written instead.
    pub fn falsify(self, state: &mut State) {
        let Some(warm) = &mut state.warm else { return };
        match self {
            Mutant::LeftForgotten => warm.left.clear(),
            Mutant::QuickStaysDeployed => {
                let is_over = warm.why.as_ref().is_some_and(|why| why.ends_with("was deployed over it"));
                if is_over && warm.work.is_none() {
                    warm.status = Status::Deployed;
                }
            }
            Mutant::SnapshotIsNotSelected => {
                let id = |state: &State| state.current.as_ref().and_then(|current| current.snapshot.clone());
                if let Some(current) = state.current.as_ref().filter(|_| id(state).is_some()).cloned() {
                    state.current = Some(evenkeel::model::state::Release { snapshot: Some("t0".into()), ..current });
                }
            }
            _ => {}
        }
    }

    /// What a later run takes it for.
    pub fn misread(self, state: &mut State) {
        let Some(warm) = &mut state.warm else { return };
        let Some(work) = &mut warm.work else { return };
        work.step = match (self, work.step) {
            (Mutant::RestResumedAsStore, Step::Rest) => Step::Store,
            (Mutant::JudgeResumedAsStore, Step::Judge) if work.purpose.makes_known_good() => Step::Store,
            (_, step) => step,
        };
        let is_skipped = match self {
            Mutant::DeployResumedAsDone => work.purpose == Purpose::Deploy,
            Mutant::IdleResumedAsDone => work.purpose == Purpose::Idle,
            Mutant::HaltResumedAsMake => work.purpose == Purpose::Restore && work.step == Step::Halt,
            _ => false,
        };
        if is_skipped {
            (warm.status, warm.work) = (Status::Idle, None);
        }
    }
}
