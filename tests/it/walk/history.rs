//! A history: where it begins, and what befalls it at which moment. Short, so that a failing one can be read and
//! replayed.

use std::fmt;
use std::str::FromStr;

use evenkeel::model::transaction::Purpose;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scenario {
    pub purpose: Purpose,
    /// Volumes that both releases have.
    pub volumes: u8,
    /// One more that only the new release has.
    pub created: bool,
    /// What is asked for passes its gate where nothing else happens.
    pub is_good: bool,
    /// A way back by hand knows what ran before it.
    pub can_turn: bool,
    /// The file system knows `RENAME_EXCHANGE`.
    pub exchanges: bool,
    pub late_rollback: bool,
    pub unclean_allowed: bool,
    /// Failed data of an earlier night lies there.
    pub failed_before: bool,
}

impl Scenario {
    pub const fn new(purpose: Purpose, volumes: u8) -> Self {
        Self {
            purpose,
            volumes,
            created: false,
            is_good: true,
            can_turn: true,
            exchanges: true,
            late_rollback: false,
            unclean_allowed: false,
            failed_before: false,
        }
    }

    /// Where a history can begin.
    pub fn all() -> Vec<Self> {
        let upgrade = |volumes| Self::new(Purpose::Upgrade, volumes);
        let mut all = Vec::new();
        for volumes in 0..=2 {
            for created in [false, true] {
                all.push(Self { created, ..upgrade(volumes) });
                all.push(Self { created, is_good: false, failed_before: created, ..upgrade(volumes) });
            }
        }
        all.push(Self { is_good: false, exchanges: false, created: true, ..upgrade(2) });
        all.push(Self { is_good: false, late_rollback: true, ..upgrade(1) });
        all.push(Self { is_good: false, unclean_allowed: true, ..upgrade(1) });
        all.push(Self { failed_before: true, ..upgrade(1) });
        for purpose in [Purpose::Rollback, Purpose::Restore] {
            all.extend([0, 1, 2].map(|volumes| Self::new(purpose, volumes)));
            all.push(Self { exchanges: false, failed_before: true, ..Self::new(purpose, 2) });
        }
        all.push(Self { created: true, failed_before: true, ..Self::new(Purpose::Rollback, 1) });
        all.extend([1, 2].map(|volumes| Self::new(Purpose::Take, volumes)));
        for purpose in [Purpose::Rollback, Purpose::Restore] {
            let bad = |volumes| Self { is_good: false, ..Self::new(purpose, volumes) };
            all.extend([0, 1, 2].map(bad));
            all.push(Self { exchanges: false, failed_before: true, ..bad(2) });
            all.push(Self { late_rollback: true, ..bad(1) });
        }
        let bad = Self { is_good: false, ..Self::new(Purpose::Rollback, 1) };
        all.push(Self { created: true, ..bad });
        all.push(Self { created: true, exchanges: false, ..bad });
        all.push(Self { can_turn: false, ..bad });
        all
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// SIGKILL: memory is gone, files are as they were written.
    Kill,
    /// The same, and nobody resumes for two hours.
    KillAndSleep,
    /// Memory and whatever was not synced; the number says what is lost.
    PowerLoss(u16),
    /// The next act is answered with no.
    No,
    /// The Engine does not answer for six minutes.
    EngineAway,
    /// For forty.
    EngineDown,
    /// Every container is killed and those meant to run are started again.
    EngineRestarts,
    /// The next write to a disk fails.
    DiskFull,
    /// Every write for forty minutes.
    DiskBad,
    /// The next sync of a folder fails.
    SyncFails,
    /// SIGTERM.
    Asked,
    /// The next container that is told to end has to be killed.
    Unclean,
    /// Somebody starts a container on the volumes, or ends it again.
    Stranger,
    /// Somebody scales the stopped stack up and down again.
    RunByHand,
    /// Two hours pass.
    Late,
    /// A bit of an archive flips.
    Damage,
}

impl Event {
    pub const ALL: [Event; 17] = [
        Event::Kill,
        Event::KillAndSleep,
        Event::PowerLoss(0),
        Event::PowerLoss(1),
        Event::No,
        Event::EngineAway,
        Event::EngineDown,
        Event::EngineRestarts,
        Event::DiskFull,
        Event::DiskBad,
        Event::SyncFails,
        Event::Asked,
        Event::Unclean,
        Event::Stranger,
        Event::RunByHand,
        Event::Late,
        Event::Damage,
    ];

    pub fn is_kill(self) -> bool {
        matches!(self, Event::Kill | Event::KillAndSleep | Event::PowerLoss(_))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// Which of [`Scenario::all`].
    pub scenario: usize,
    /// Moment and what happens then, in order.
    pub events: Vec<(u32, Event)>,
}

impl History {
    pub fn scenario(&self) -> Scenario {
        Scenario::all()[self.scenario]
    }
}

/// `19 58:PowerLoss(3) 102:No`.
impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.scenario)?;
        self.events.iter().try_for_each(|(at, event)| write!(f, " {at}:{event:?}"))
    }
}

impl FromStr for History {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut words = text.split(' ');
        let scenario = words.next().and_then(|word| word.parse().ok()).ok_or("a history begins with a number")?;
        let event = |word: &str| {
            let (at, name) = word.split_once(':')?;
            let lost = name.strip_prefix("PowerLoss(").and_then(|rest| rest.strip_suffix(')')?.parse().ok());
            let named = || Event::ALL.into_iter().find(|event| format!("{event:?}") == name);
            Some((at.parse().ok()?, lost.map(Event::PowerLoss).or_else(named)?))
        };
        let events =
            words.map(|word| event(word).ok_or_else(|| format!("{word} is no event"))).collect::<Result<_, _>>()?;
        Ok(Self { scenario, events })
    }
}
