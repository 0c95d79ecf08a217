//! What a person asks for by hand, as the state allows it: pure.
//!
//! Data goes back only together with the version that wrote it, or under the very version that runs. The surprise: an
//! app that is stuck has its known-good release in the transaction that failed, not in `previous`; and where that was a way
//! back by hand, `rollback` means what ran before it, on its own data.

use jiff::Timestamp;

use crate::model::app::AppName;
use crate::model::state::{Frozen, Previous, Refused, Release, State, Stuck};
use crate::model::transaction::{FaultKind, Purpose, Step, Transaction};
use crate::model::version::Revision;

/// A snapshot, as far as choosing one asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    pub id: String,
    pub revision: Revision,
    /// Of the release that was stored; older snapshots do not tell.
    pub key: Option<String>,
    pub taken: Timestamp,
}

/// What is to be gone back to, or stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    pub purpose: Purpose,
    pub release: Release,
    pub frozen: Frozen,
    /// Whose data it gets; `None` for an app without data, and for one that is stored now.
    pub snapshot: Option<String>,
    /// What runs on its own data now, and is brought back where this does not come up; `None` where nothing good does.
    pub before: Option<Previous>,
    /// The snapshot is of the same version under another configuration: a person who names it has to know.
    pub of_other_configuration: bool,
}

/// The stuck way back by hand that `rollback` undoes: what ran before it gets its own data back.
pub fn turns(state: &State) -> Option<&Transaction> {
    state.stuck.as_ref().map(|stuck| stuck.transaction.as_ref()).filter(|transaction| transaction.can_turn())
}

/// Version and data back to last good.
///
/// # Errors
/// Why there is nothing to go back to, and what there is instead.
pub fn rollback(app: &AppName, state: &State) -> Result<Draft, String> {
    if let Some(stuck) = &state.stuck {
        return out_of(app, stuck);
    }
    let Some(current) = &state.current else { return Err(never_ran(app)) };
    let Some(previous) = &state.previous else {
        return Err(format!(
            "there is no release to go back to: {} runs, and the one before it was left by hand or never was; `evenkeel \
             snapshot list {app}` tells which data is kept",
            current.body.revision
        ));
    };
    Ok(Draft {
        purpose: Purpose::Rollback,
        release: previous.release.clone(),
        frozen: previous.frozen.clone(),
        snapshot: previous.release.snapshot.clone(),
        before: as_it_runs(state),
        of_other_configuration: false,
    })
}

fn as_it_runs(state: &State) -> Option<Previous> {
    let release = state.current.clone()?;
    Some(Previous { release, frozen: state.frozen.clone() })
}

/// The release that was to be put back when undoing failed.
fn out_of(app: &AppName, stuck: &Stuck) -> Result<Draft, String> {
    let transaction = &stuck.transaction;
    if transaction.snapshot.is_none() && !transaction.is_stateless() {
        return Err(format!(
            "no snapshot had been taken when {app} became stuck, and its data was not touched: mend the cause, then \
             `evenkeel app {app} --retry`"
        ));
    }
    let before = transaction.before.as_ref();
    let has_its_data = transaction.has_turned() && transaction.step >= Step::Redeploy;
    if let Some(before) = before.filter(|_| !has_its_data) {
        return Err(format!(
            "{app} is stuck between two sets of data, on the way back to that of {}: {}; from there it can be gone back \
             again",
            before.release.body.revision,
            back_to_before(app, transaction)
        ));
    }
    Ok(Draft {
        purpose: out_of_purpose(transaction.purpose),
        release: transaction.old.release.clone(),
        frozen: transaction.old.frozen.clone(),
        snapshot: transaction.snapshot.clone(),
        before: before.map(|before| Previous { release: before.release.clone(), frozen: before.frozen.clone() }),
        of_other_configuration: false,
    })
}

/// The command that leads from a stuck way back by hand to what ran before it.
fn back_to_before(app: &AppName, stuck: &Transaction) -> String {
    match stuck.can_turn() {
        true => format!("`evenkeel rollback {app}` brings back what ran before, on its own data"),
        false => format!("mend the cause, then `evenkeel app {app} --retry` goes on bringing back what ran before"),
    }
}

/// Where a way back by hand is stuck, its release is not the current one yet, and has to become that: otherwise the next
/// run would put the one that was left over this one's data.
fn out_of_purpose(stuck: Purpose) -> Purpose {
    match stuck {
        Purpose::Rollback => Purpose::Rollback,
        Purpose::Upgrade | Purpose::Restore | Purpose::Take => Purpose::Restore,
    }
}

/// The release that runs, with the data of a snapshot: the named one, or the newest that was taken of it.
///
/// # Errors
/// Why no snapshot will do, with those that would.
pub fn restore(app: &AppName, state: &State, id: Option<&str>, stored: &[Stored]) -> Result<Draft, String> {
    let asked = match id {
        Some(id) => Some(stored.iter().find(|one| one.id == id).ok_or_else(|| no_such(app, id, stored))?),
        None => None,
    };
    if let Some(stuck) = &state.stuck
        && asked.is_none_or(|one| Some(&one.id) == stuck.transaction.snapshot.as_ref())
    {
        return out_of(app, stuck);
    }
    let Some(current) = &state.current else { return Err(never_ran(app)) };
    let running = &current.body.revision;
    let fits = |one: &Stored| one.revision == *running && !is_of_previous(state, one);
    let is_as_it_runs = |one: &Stored| one.key.as_ref().is_none_or(|key| *key == current.key);
    let chosen = match asked {
        Some(one) if !fits(one) => return Err(of_another(app, state, one, running)),
        Some(one) => one,
        None => newest(stored.iter().filter(|one| fits(one) && is_as_it_runs(one)))
            .ok_or_else(|| none_of(app, running, stored))?,
    };
    Ok(Draft {
        purpose: Purpose::Restore,
        release: current.clone(),
        frozen: state.frozen.clone(),
        snapshot: Some(chosen.id.clone()),
        // What is stuck has nothing good in place to come back to.
        before: as_it_runs(state).filter(|_| state.stuck.is_none()),
        of_other_configuration: !is_as_it_runs(chosen),
    })
}

/// A snapshot of what runs.
///
/// # Errors
/// Why there is nothing to be stored.
pub fn take(app: &AppName, state: &State) -> Result<Draft, String> {
    if state.stuck.is_some() {
        return Err(format!(
            "{app} is stuck, and its data between two versions is no snapshot: see `evenkeel status {app}`"
        ));
    }
    let Some(current) = &state.current else { return Err(never_ran(app)) };
    let (release, frozen) = (current.clone(), state.frozen.clone());
    let purpose = Purpose::Take;
    Ok(Draft { purpose, release, frozen, snapshot: None, before: None, of_other_configuration: false })
}

/// The state in which a person leaves what is stuck: the version that failed its gate is refused, as it would be had the
/// way back succeeded.
pub fn with_refusal(state: &State) -> State {
    let mut state = state.clone();
    let Some(stuck) = &state.stuck else { return state };
    let transaction = &stuck.transaction;
    let fault = transaction.fault.as_ref().filter(|fault| fault.kind == FaultKind::No);
    let (Some(new), Some(fault)) = (&transaction.new, fault) else { return state };
    let refused = Refused {
        revision: new.body.revision.clone(),
        key: new.key.clone(),
        images: new.body.images.clone(),
        reason: fault.reason.clone(),
        ts: fault.ts,
        by_hand: false,
    };
    state.refused.retain(|before| before.revision != refused.revision);
    state.refused.push(refused);
    state
}

fn newest<'a>(stored: impl Iterator<Item = &'a Stored>) -> Option<&'a Stored> {
    stored.max_by_key(|one| one.taken)
}

/// Another configuration of the same version wrote it, perhaps with another database behind it.
fn is_of_previous(state: &State, one: &Stored) -> bool {
    let before = state.previous.as_ref().map(|previous| &previous.release);
    let before = before.filter(|before| state.current.as_ref().is_none_or(|current| current.key != before.key));
    before.is_some_and(|before| before.snapshot.as_ref() == Some(&one.id))
}

fn never_ran(app: &AppName) -> String {
    format!("no release of {app} has ever passed its gate here: `evenkeel app {app}` installs it")
}

fn no_such(app: &AppName, id: &str, stored: &[Stored]) -> String {
    format!("{app} has no snapshot {id}; {}", there_are(stored))
}

fn none_of(app: &AppName, running: &Revision, stored: &[Stored]) -> String {
    format!(
        "no snapshot of {running}, as it runs now, is kept; {}; `evenkeel snapshot take {app}` takes one of now",
        there_are(stored)
    )
}

fn of_another(app: &AppName, state: &State, asked: &Stored, running: &Revision) -> String {
    if is_of_previous(state, asked) && asked.revision == *running {
        return format!(
            "snapshot {} is the data of {running} before its last change: `evenkeel rollback {app}` takes that change and \
             the data back together",
            asked.id
        );
    }
    let instead = match is_of_previous(state, asked) {
        true => format!("`evenkeel rollback {app}` takes version and data back together"),
        false => format!("pin that version (version = \"{}\") once it is the current one again", asked.revision),
    };
    format!(
        "snapshot {} is the data of {}, and {running} runs: data goes back only together with its version; {instead}",
        asked.id, asked.revision
    )
}

fn there_are(stored: &[Stored]) -> String {
    if stored.is_empty() {
        return "none are kept".to_owned();
    }
    let told: Vec<String> = stored.iter().map(|one| format!("{} (of {})", one.id, one.revision)).collect();
    format!("kept are {}", told.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::worlds::{candidate, release, revision, transaction};
    use crate::model::transaction::{Fault, Old, Volume};

    fn app() -> AppName {
        "wiki".parse().unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn stored(id: &str, version: &str, day: u8) -> Stored {
        Stored {
            id: id.into(),
            revision: revision(version),
            key: None,
            taken: at(&format!("2026-06-0{day}T02:00:00Z")),
        }
    }

    fn never_run() -> State {
        State::new(&"wiki_example_org".parse().unwrap())
    }

    fn upgraded() -> State {
        let before = Release { snapshot: Some("s0".into()), ..release("1.0.0+1") };
        State {
            current: Some(release("1.1.0+1")),
            previous: Some(Previous { release: before, frozen: Frozen::default() }),
            ..never_run()
        }
    }

    fn stuck(snapshot: Option<&str>) -> State {
        let fault =
            Fault { at: Step::Judge, kind: FaultKind::No, reason: "exit 1".into(), ts: at("2026-06-01T02:01:00Z") };
        let volume = Volume { mountpoint: Some("/v/_data".into()), left_out: false };
        let transaction = Transaction {
            new: Some(candidate("1.1.0+1")),
            snapshot: snapshot.map(str::to_owned),
            volumes: [("v".to_owned(), volume)].into(),
            fault: Some(fault),
            step: Step::Redeploy,
            ..transaction(Purpose::Upgrade)
        };
        let stuck = Stuck { reason: "no".into(), ts: at("2026-06-01T02:02:00Z"), transaction: Box::new(transaction) };
        State { current: Some(release("1.0.0+1")), stuck: Some(stuck), ..never_run() }
    }

    #[test]
    fn rollback_takes_the_recorded_release_with_its_own_snapshot() {
        let draft = rollback(&app(), &upgraded()).unwrap();
        assert_eq!((draft.purpose, draft.release.body.revision), (Purpose::Rollback, revision("1.0.0+1")));
        assert_eq!(draft.snapshot.as_deref(), Some("s0"));
    }

    #[test]
    fn rollback_without_a_last_good_one_says_what_there_is() {
        let why = rollback(&app(), &State { previous: None, ..upgraded() }).unwrap_err();
        assert!(why.contains("1.1.0+1 runs") && why.contains("`evenkeel snapshot list wiki`"), "{why}");
        assert!(rollback(&app(), &never_run()).unwrap_err().contains("ever passed its gate"));
    }

    #[test]
    fn restore_takes_the_newest_snapshot_of_what_runs_or_the_named_one() {
        let kept = [stored("a", "1.1.0+1", 1), stored("b", "1.1.0+1", 3), stored("c", "1.0.0+1", 5)];
        let chosen = |id| restore(&app(), &upgraded(), id, &kept).unwrap().snapshot.unwrap();
        assert_eq!((chosen(None).as_str(), chosen(Some("a")).as_str()), ("b", "a"));
    }

    #[test]
    fn data_of_another_version_is_not_put_under_what_runs() {
        let kept = [stored("s0", "1.0.0+1", 1), stored("x", "0.9.0+1", 2)];
        let why = |id| restore(&app(), &upgraded(), id, &kept).unwrap_err();
        assert!(why(Some("s0")).contains("`evenkeel rollback wiki`"), "{}", why(Some("s0")));
        assert!(why(Some("x")).contains("only together with its version"), "{}", why(Some("x")));
        assert!(why(Some("y")).contains("no snapshot y; kept are s0 (of 1.0.0+1), x"), "{}", why(Some("y")));
        assert!(why(None).contains("no snapshot of 1.1.0+1, as it runs now"), "{}", why(None));
        let nothing = restore(&app(), &upgraded(), None, &[]).unwrap_err();
        assert!(nothing.contains("none are kept"), "{nothing}");
    }

    #[test]
    fn data_of_another_configuration_is_taken_only_by_its_name_and_that_is_told() {
        let of = |key: &str, id, day| Stored { key: Some(key.into()), ..stored(id, "1.1.0+1", day) };
        let kept = [of("key of 1.1.0+1", "a", 1), of("other", "b", 3)];
        let [newest, named] = [None, Some("b")].map(|id| restore(&app(), &upgraded(), id, &kept).unwrap());
        assert_eq!((newest.snapshot.as_deref(), newest.of_other_configuration), (Some("a"), false));
        assert_eq!((named.snapshot.as_deref(), named.of_other_configuration), (Some("b"), true));
        assert!(restore(&app(), &upgraded(), None, &kept[1..]).unwrap_err().contains("as it runs now"));
    }

    #[test]
    fn data_from_before_a_change_of_the_same_version_goes_back_only_with_that_change() {
        let before = Release { snapshot: Some("s0".into()), key: "before".into(), ..release("1.1.0+1") };
        let previous = Some(Previous { release: before, frozen: Frozen::default() });
        let state = State { previous, ..upgraded() };
        let kept = [stored("a", "1.1.0+1", 1), stored("s0", "1.1.0+1", 3)];
        assert_eq!(restore(&app(), &state, None, &kept).unwrap().snapshot.as_deref(), Some("a"));
        let why = restore(&app(), &state, Some("s0"), &kept).unwrap_err();
        assert!(why.contains("before its last change") && why.contains("`evenkeel rollback wiki`"), "{why}");
        assert!(restore(&app(), &state, None, &kept[1..]).is_err());
    }

    #[test]
    fn what_is_stuck_goes_back_to_the_release_that_the_failed_way_back_was_for() {
        for draft in [rollback(&app(), &stuck(Some("s1"))), restore(&app(), &stuck(Some("s1")), None, &[])] {
            let draft = draft.unwrap();
            assert_eq!((draft.purpose, draft.release.body.revision), (Purpose::Restore, revision("1.0.0+1")));
            assert_eq!(draft.snapshot.as_deref(), Some("s1"));
        }
        let other = restore(&app(), &stuck(Some("s1")), Some("s0"), &[stored("s0", "1.0.0+1", 1)]).unwrap();
        assert_eq!(
            (other.snapshot.as_deref(), other.before),
            (Some("s0"), None),
            "nothing good is in place to come back to"
        );
        let why = rollback(&app(), &stuck(None)).unwrap_err();
        assert!(why.contains("was not touched") && why.contains("--retry"), "{why}");
        assert!(take(&app(), &stuck(Some("s1"))).is_err());
    }

    #[test]
    fn out_of_a_stuck_way_back_its_release_becomes_the_current_one() {
        let volume = Volume { mountpoint: Some("/v/_data".into()), left_out: false };
        let way_back = Transaction {
            snapshot: Some("s0".into()),
            volumes: [("v".to_owned(), volume)].into(),
            step: Step::Rejudge,
            ..transaction(Purpose::Rollback)
        };
        let stuck = Stuck { reason: "no".into(), ts: at("2026-06-01T02:02:00Z"), transaction: Box::new(way_back) };
        let state = State { stuck: Some(stuck), ..upgraded() };
        let kept = [stored("s0", "1.0.0+1", 1)];
        for draft in [restore(&app(), &state, Some("s0"), &kept), restore(&app(), &state, None, &kept)] {
            let draft = draft.unwrap();
            assert_eq!((draft.purpose, draft.release.body.revision), (Purpose::Rollback, revision("1.0.0+1")));
        }
    }

    /// From 1.1.0+1 to 1.0.0+1, which did not come up.
    fn stuck_way_back(step: Step, turned: bool) -> State {
        let volume = Volume { mountpoint: Some("/v/_data".into()), left_out: false };
        let fault =
            Fault { at: Step::Rejudge, kind: FaultKind::No, reason: "exit 1".into(), ts: at("2026-06-01T02:01:00Z") };
        let before = Old { release: release("1.1.0+1"), frozen: Frozen::default(), gate: ().into() };
        let way_back = Transaction {
            snapshot: Some("s0".into()),
            volumes: [("v".to_owned(), volume)].into(),
            step,
            before: Some(before),
            fault: turned.then_some(fault),
            ..transaction(Purpose::Rollback)
        };
        let stuck = Stuck { reason: "no".into(), ts: at("2026-06-01T02:02:00Z"), transaction: Box::new(way_back) };
        State { stuck: Some(stuck), ..upgraded() }
    }

    #[test]
    fn a_way_back_that_can_be_undone_is_undone_by_a_rollback_and_by_nothing_else() {
        let late = stuck_way_back(Step::Rejudge, false);
        assert!(turns(&late).is_some());
        let why = restore(&app(), &late, Some("s0"), &[stored("s0", "1.0.0+1", 1)]).unwrap_err();
        assert!(why.contains("`evenkeel rollback wiki` brings back what ran before"), "{why}");
        assert_eq!(turns(&stuck(Some("s1"))), None);
    }

    #[test]
    fn where_neither_release_comes_up_each_is_tried_again_with_its_own_data() {
        let neither = stuck_way_back(Step::Rejudge, true);
        assert_eq!(turns(&neither), None);
        for draft in [rollback(&app(), &neither), restore(&app(), &neither, None, &[])] {
            let draft = draft.unwrap();
            assert_eq!((draft.purpose, draft.release.body.revision), (Purpose::Rollback, revision("1.0.0+1")));
            assert_eq!(draft.before.unwrap().release.body.revision, revision("1.1.0+1"));
        }
        let between = rollback(&app(), &stuck_way_back(Step::Restore, true)).unwrap_err();
        assert!(between.contains("--retry"), "{between}");
    }

    #[test]
    fn leaving_what_is_stuck_refuses_the_version_that_failed() {
        let refused = with_refusal(&stuck(Some("s1"))).refused;
        assert_eq!(refused.iter().map(|one| &one.revision).collect::<Vec<_>>(), [&revision("1.1.0+1")]);
        assert_eq!(with_refusal(&upgraded()), upgraded());
    }
}
