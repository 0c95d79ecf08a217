//! Power losses on a host that boots, in the middle of upgrades by the real program.
//!
//! What was not synced is gone, names included. After the next boot the units that README shows have finished what was open:
//! version and data belong together, byte by byte. The surprise: a promise that holds by luck would pass, so the same
//! program is also run with one of its syncs told as made and never made; then a promise has to break.
//!
//! `EVENKEEL_POWER=N` has the power fail at N moments by chance, too.

pub mod host;
mod moments;
pub mod play;
pub mod prepared;
mod warm;
pub mod watched;

use std::fmt::Debug;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use host::Host;
use play::{Play, Unit};
use prepared::prepared;

use crate::chance::number_in;

pub const OLD: &str = "1.0.0+1";
pub const NEW: &str = "1.1.0+1";
/// More than an upgrade has, and lasts in milliseconds: what lies behind its end is a moment, too.
const SYNCS: u64 = 60;
const LASTS: u64 = 40_000;
/// Most of a case is waiting.
const AT_A_TIME: usize = 3;
/// An unsynced byte may be lost; the kernel may also write it by itself, when it has much to write or half a minute is over.
pub const TRIES: usize = 10;
/// Each on a disk that saves nothing by chance.
pub const DISKS: [&str; 2] = [STATE_DIR, VOLUMES];
pub const STATE_DIR: &str = evenkeel::config::DEFAULT_STATE_DIR;
pub const VOLUMES: &str = "/var/lib/docker/volumes";
pub const STACK: &str = "wiki_example_org";
const APP: &str = "wiki";

/// A sync of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flush {
    /// The bytes of a new state that stands at this step, before it takes the place of the old one.
    State(&'static str),
    /// The app's folder, after a state that stands at this step took the place of the old one.
    Rename(&'static str),
    Archive,
    Manifest,
    /// What was unpacked.
    Stage,
    /// The so-manyth of the run.
    Number(usize),
}

/// The step of a state in which nothing is open any more.
const CLOSED: &str = "closed";

/// When the power fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    Before(Flush),
    After(Flush),
    /// So long after the start.
    At(Duration),
}

/// One upgrade that the power fails in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Case {
    /// Whether the new version comes up.
    pub is_good: bool,
    /// Whether its run was killed before the new version was deployed, and the power fails in the `resume` after it.
    is_resumed: bool,
    moment: Moment,
    /// Syncs that are told as made and are not.
    skipped: Option<Flush>,
}

impl Case {
    pub fn bad(moment: Moment) -> Self {
        Self { is_good: false, is_resumed: false, moment, skipped: None }
    }

    pub fn good(moment: Moment) -> Self {
        Self { is_good: true, ..Self::bad(moment) }
    }

    fn resumed(moment: Moment) -> Self {
        Self { is_resumed: true, ..Self::bad(moment) }
    }

    pub fn without(self, skipped: Flush) -> Self {
        Self { skipped: Some(skipped), ..self }
    }
}

/// Plays each with the units that README shows.
fn each(cases: &[Case], check: impl Fn(Case, &Play, Option<String>) + Sync) {
    each_on(&prepared(), &Unit::of_readme("app"), cases, check);
}

/// Plays each on a host like this one, where this unit upgrades, some at a time, and tells how.
pub fn each_on(prepared: &Host, upgrade: &Unit, cases: &[Case], check: impl Fn(Case, &Play, Option<String>) + Sync) {
    some_at_a_time(AT_A_TIME, cases, |case: Case| {
        let began = Instant::now();
        let mut play = Play::begin(case, prepared, upgrade.clone());
        play.lose_power();
        let broken = play.broken();
        println!("{:3} s, {} syncs, {case:?}: {}", began.elapsed().as_secs(), play.seen.syncs, play.told());
        check(case, &play, broken);
    });
}

/// So many of them at the same time, one test after the other; a panic names its case.
fn some_at_a_time<T: Copy + Debug + Send>(count: usize, cases: &[T], play: impl Fn(T) + Sync) {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let play = &play;
    for some in cases.chunks(count) {
        thread::scope(|scope| {
            for &case in some {
                let thread = thread::Builder::new().name(format!("{case:?}"));
                thread.spawn_scoped(scope, move || play(case)).unwrap();
            }
        });
    }
}

/// The moments at which most is at stake: the old data is only in the snapshot; it is back beside the failed data; the end
/// is written and not yet on disk.
const MOMENTS: [Moment; 3] = [
    Moment::After(Flush::Rename("deploy")),
    Moment::After(Flush::Rename("redeploy")),
    Moment::Before(Flush::Rename(CLOSED)),
];

#[test]
fn a_power_loss_in_the_middle_of_an_upgrade_parts_no_version_from_its_data() {
    each(&MOMENTS.map(Case::bad), |case, play, broken| {
        assert_eq!(broken, None, "{case:?}: {}", play.journal());
        assert_eq!(play.resumed(), "11", "{case:?}: it was rolled back by what boot started: {}", play.journal());
    });
    each(&by_chance(), |case, play, broken| assert_eq!(broken, None, "{case:?}: {}", play.journal()));
}

/// As many as `EVENKEEL_POWER` says.
fn by_chance() -> Vec<Case> {
    let count = number_in("EVENKEEL_POWER").unwrap_or(0);
    let below = |bound: u64| {
        let mut bytes = [0; 8];
        evenkeel::host::store::random(&mut bytes);
        u64::from_le_bytes(bytes) % bound
    };
    let case = |_: u64| {
        let sync = Flush::Number(1 + below(SYNCS) as usize);
        let moment = match below(3) {
            0 => Moment::Before(sync),
            1 => Moment::After(sync),
            _ => Moment::At(Duration::from_millis(below(LASTS))),
        };
        if below(3) == 0 { Case::good(moment) } else { Case::bad(moment) }
    };
    (0..count).map(case).collect()
}

#[test]
fn without_one_of_its_syncs_a_promise_breaks() {
    let deployed = Case::bad(Moment::After(Flush::Rename("deploy")));
    let resumed = Case::resumed(Moment::After(Flush::Rename("redeploy")));
    let controls = [
        (deployed.without(Flush::State("deploy")), "the state is damaged: 0 bytes"),
        (deployed.without(Flush::Archive), "_data.tar.zst is damaged: it has 0 bytes"),
        (deployed.without(Flush::Manifest), "wiki.meta.json is damaged"),
        // The old version comes back on files without their bytes; straight to the way back, so that they are young.
        (resumed.without(Flush::Stage), "undoing it failed at rejudge"),
    ];
    let mut unseen: Vec<Case> = controls.iter().map(|(case, _)| *case).collect();
    for _ in 0..TRIES {
        let seen = Mutex::new(Vec::new());
        each(&unseen, |case, play, broken| {
            let Some(told) = broken else { return };
            let (_, words) = controls.iter().find(|(control, _)| *control == case).expect("it is one of these");
            assert!(told.contains(words), "{case:?}: {told}: {}", play.journal());
            seen.lock().unwrap().push(case);
        });
        unseen.retain(|case| !seen.lock().unwrap().contains(case));
    }
    assert_eq!(unseen, [], "without these syncs nothing was broken");
}
