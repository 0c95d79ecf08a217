//! What a transaction begins with: a value, so that nothing has to be asked again once it is written.
//!
//! The border: whether one may begin is decided before (`preflight`). The surprise: of a way back by hand the data that
//! the release did not have is described as volumes without a place, which is how `upgrade::step` knows what to move
//! aside.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value;

use super::by_hand::draft::Draft;
use crate::config;
use crate::model::state::{Release, State};
use crate::model::transaction::{Candidate, Old, Purpose, Rules, Step, Transaction, Volume};

/// Who begins one, when, and under which rules.
pub struct Beginning {
    pub by: String,
    pub now: Timestamp,
    /// Four bytes that make the name unlike any other's.
    pub random: [u8; 4],
    pub rules: Rules,
    pub volumes: BTreeMap<String, Volume>,
    /// How the old release is judged.
    pub gate: Value,
}

impl Beginning {
    /// From what runs to the candidate.
    pub fn upgrade(self, state: &State, current: &Release, new: Candidate) -> Transaction {
        let old = Old { release: current.clone(), frozen: state.frozen.clone(), gate: self.gate.clone() };
        Transaction { new: Some(new), ..self.of(Purpose::Upgrade, old, None) }
    }

    /// What a person asks for by hand; `before` is what runs, with its gate, where that can be brought back.
    pub fn by_hand(self, draft: Draft, before: Option<Old>) -> Transaction {
        let old = Old { release: draft.release, frozen: draft.frozen, gate: self.gate.clone() };
        Transaction { before, ..self.of(draft.purpose, old, draft.snapshot) }
    }

    /// What is done to a canonical: its release is the old one, since nothing newer comes after it.
    pub fn warm(self, old: Old, before: Option<Old>, snapshot: Option<String>) -> Transaction {
        Transaction { before, step: Step::Redeploy, ..self.of(Purpose::Take, old, snapshot) }
    }

    fn of(self, purpose: Purpose, old: Old, snapshot: Option<String>) -> Transaction {
        Transaction {
            id: id(self.now, self.random),
            purpose,
            by: self.by,
            began: self.now,
            // The runner enters the first one.
            step: Step::Stop,
            step_began: self.now,
            new: None,
            old,
            before: None,
            rules: self.rules,
            volumes: self.volumes,
            indexes: BTreeMap::new(),
            snapshot,
            staged: BTreeMap::new(),
            set_aside: BTreeMap::new(),
            deployed: None,
            fault: None,
            left: None,
        }
    }
}

/// `20260601t020000-1a2b3c4d`: sorts by time, and is good in names of folders.
fn id(now: Timestamp, random: [u8; 4]) -> String {
    format!("{}-{:08x}", now.strftime("%Y%m%dt%H%M%S"), u32::from_be_bytes(random))
}

/// What the app's table says now.
pub fn rules(app: &config::App, within: std::time::Duration) -> Rules {
    Rules {
        left_out: app.snapshot.left_out(),
        unclean_allowed: app.snapshot.unclean_allowed,
        late_rollback: app.policy.late_rollback,
        within: within.as_secs(),
    }
}

/// The volumes of a way back to data that is stored: what the snapshot does not hold was made by the release that is
/// left, and has no place of its own.
pub fn as_stored(
    volumes: BTreeMap<String, Volume>,
    stored: &BTreeSet<String>,
    purpose: Purpose,
) -> BTreeMap<String, Volume> {
    let as_stored = |(name, volume): (String, Volume)| {
        let volume = match (stored.contains(&name) || volume.left_out, purpose) {
            (true, _) => volume,
            (false, Purpose::Rollback) => Volume { mountpoint: None, ..volume },
            // Under the same release, what was not stored stays as it is.
            (false, Purpose::Upgrade | Purpose::Restore | Purpose::Take) => Volume { left_out: true, ..volume },
        };
        (name, volume)
    };
    volumes.into_iter().map(as_stored).collect()
}

/// The volumes of a way out of what is stuck: those that the release which failed has made give way, as they would have
/// had undoing succeeded.
pub fn without_what_failed(mut volumes: BTreeMap<String, Volume>, stuck: &Transaction) -> BTreeMap<String, Volume> {
    let made = stuck.volumes.iter().filter(|(_, volume)| volume.mountpoint.is_none() && !volume.left_out);
    for (name, _) in made {
        if let Some(volume) = volumes.get_mut(name) {
            *volume = Volume { mountpoint: None, left_out: false };
        }
    }
    volumes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::worlds::{candidate, release};
    use crate::upgrade::step::first;

    fn beginning(volumes: &[&str]) -> Beginning {
        let volume = |name: &&str| (name.to_string(), Volume { mountpoint: Some("/v/_data".into()), left_out: false });
        Beginning {
            by: "alice".into(),
            now: "2026-06-01T02:00:00Z".parse().unwrap(),
            random: [1, 2, 3, 4],
            rules: Rules::default(),
            volumes: volumes.iter().map(volume).collect(),
            gate: Value::Null,
        }
    }

    #[test]
    fn an_upgrade_holds_both_releases_and_begins_by_stopping_only_where_there_is_data() {
        let state = State::new(&"wiki".parse().unwrap());
        let upgrade = |volumes| beginning(volumes).upgrade(&state, &release("1.0.0+1"), candidate("1.1.0+1"));
        assert_eq!(upgrade(&["data"]).target(), "1.0.0+1 -> 1.1.0+1");
        assert_eq!(upgrade(&["data"]).id, "20260601t020000-01020304");
        assert_eq!((first(&upgrade(&["data"])), first(&upgrade(&[]))), (Step::Stop, Step::Deploy));
    }

    #[test]
    fn by_hand_the_recorded_release_is_the_old_one() {
        let draft = Draft {
            purpose: Purpose::Rollback,
            release: release("1.0.0+1"),
            frozen: Default::default(),
            snapshot: Some("s0".into()),
            before: None,
            of_other_configuration: false,
        };
        let transaction = beginning(&["data"]).by_hand(draft, None);
        assert_eq!((transaction.target(), first(&transaction)), ("1.0.0+1".to_owned(), Step::Stage));
        assert_eq!(transaction.snapshot.as_deref(), Some("s0"));
    }

    #[test]
    fn data_that_was_not_stored_is_moved_aside_only_with_the_release_that_made_it() {
        let volumes = beginning(&["data", "new"]).volumes;
        let stored = ["data".to_owned()].into();
        let back = as_stored(volumes.clone(), &stored, Purpose::Rollback);
        assert_eq!((back["data"].mountpoint.is_some(), back["new"].mountpoint.is_some()), (true, false));
        let same = as_stored(volumes, &stored, Purpose::Restore);
        assert_eq!((same["data"].left_out, same["new"].left_out), (false, true));
    }

    #[test]
    fn out_of_what_is_stuck_only_the_volumes_that_the_failed_release_made_give_way() {
        let mut stuck = beginning(&["data"]).upgrade(
            &State::new(&"wiki".parse().unwrap()),
            &release("1.0.0+1"),
            candidate("1.1.0+1"),
        );
        stuck.volumes.insert("new".into(), Volume { mountpoint: None, left_out: false });
        let live = beginning(&["data", "new", "other"]).volumes;
        let volumes = as_stored(live, &["data".to_owned()].into(), Purpose::Restore);
        let volumes = without_what_failed(volumes, &stuck);
        assert_eq!(volumes["new"], Volume { mountpoint: None, left_out: false });
        assert!(volumes["data"].mountpoint.is_some() && volumes["other"].left_out);
    }
}
