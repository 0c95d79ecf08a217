//! Ways to build it wrong. Each must break a law in some history; a law that none breaks would be worth nothing.

use evenkeel::model::state::State;
use evenkeel::model::transaction::Step;

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
    // Something is not synced.
    ArchiveNotSynced,
    ManifestNotSynced,
    SnapshotFolderNotSynced,
    SnapshotsNotSynced,
    StageNotSynced,
    StageFolderNotSynced,
    ExchangeNotSynced,
    FailedNameNotSynced,
    JournalNotSynced,
    JournalFolderNotSynced,
    // The journal is written too late, not at all, or without something.
    JournalLagsBehind,
    StagesNotNoted,
    FaultForgotten,
    TurnForgotten,
    LeftForgotten,
    DeployedForgotten,
    CountForgotten,
    AlertForgotten,
    DoubtIsTakenForCertain,
    // It is read wrongly.
    JudgeResumedAsDeploy,
    DeployResumedAsJudge,
    WithdrawResumedAsRestore,
    RestoreResumedAsRedeploy,
    RejudgeResumedAsClosed,
    // An act is left out, or done in part.
    NothingIsStopped,
    StopIsNotAwaited,
    WithdrawIsNotAwaited,
    RedeployDoesNotWait,
    NoProofBeforeSnapshot,
    NoProofAfterSnapshot,
    NoProofBeforeExchange,
    ProofSeesNoHolder,
    ProofSeesNoIndex,
    UncleanIsFine,
    UnseenEndIsClean,
    StandstillIsNotSeen,
    NotReadBack,
    UnpackedUnchecked,
    HalfStageIsTaken,
    FailedDataIsDropped,
    CreatedVolumeStays,
    RejudgeLooksAway,
    NothingIsGivenBack,
    OnlyExchangesAreUndone,
    TurnedToTheSame,
    // Things are done in another order, or once more.
    DeployedBeforeSealed,
    CommittedBeforeVerdict,
    ExchangedBeforeAllAreStaged,
    ExchangedTwice,
    SetAsideTwice,
    GivenBackTwice,
    // What is left is swept wrongly.
    SweptWhileOpen,
    EarlierFailedStays,
}

impl Mutant {
    /// Whether this write of the journal is left out.
    pub fn drops(self, state: &State, before: Option<&State>) -> bool {
        let (Some(open), Some(before)) = (&state.open, before.and_then(|before| before.open.as_ref())) else {
            return false;
        };
        self == Mutant::StagesNotNoted && open.step == Step::Restore && open.staged != before.staged
    }

    /// What is written instead.
    pub fn falsify(self, state: &mut State) {
        match self {
            Mutant::AlertForgotten => state.due_alerts.clear(),
            Mutant::CountForgotten => state.interrupted = None,
            Mutant::FaultForgotten => state.open.iter_mut().for_each(|open| open.fault = None),
            Mutant::TurnForgotten => {
                state.open.iter_mut().filter(|open| open.has_turned()).for_each(|open| open.fault = None);
            }
            Mutant::LeftForgotten => state.open.iter_mut().for_each(|open| open.left = None),
            Mutant::DeployedForgotten => state.open.iter_mut().for_each(|open| open.deployed = None),
            _ => {}
        }
    }

    /// What a later run takes it for.
    pub fn misread(self, state: &mut State) {
        let Some(open) = &mut state.open else { return };
        open.step = match (self, open.step) {
            (Mutant::JudgeResumedAsDeploy, Step::Judge) => Step::Deploy,
            (Mutant::DeployResumedAsJudge, Step::Deploy) => Step::Judge,
            (Mutant::WithdrawResumedAsRestore, Step::Withdraw) => Step::Restore,
            (Mutant::RestoreResumedAsRedeploy, Step::Restore) => Step::Redeploy,
            (_, step) => step,
        };
        if self == Mutant::RejudgeResumedAsClosed && open.step == Step::Rejudge {
            state.open = None;
        }
    }
}
