//! What a run of the reconciler would do to a canonical, before it is done: one sentence of what was found.
//!
//! The border: nothing is deployed by such a run, so whatever it would change ends, is put right in the record, or is
//! stored once more.

use crate::model::app::AppName;
use crate::model::warm::{Status, Warm, Work};

/// What a look has found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Something of the stack runs, or is meant to.
    pub runs: bool,
    /// Why what is idle is not what the known-good release left any more.
    pub strange: Option<String>,
    /// The snapshot of the known-good is there.
    pub stored: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ahead {
    /// Whether anything would be written, to the Engine or to what is recorded.
    pub changes: bool,
    pub sentence: String,
}

pub fn ahead(app: &AppName, warm: Option<&Warm>, found: &Found) -> Ahead {
    let Some(warm) = warm else {
        return nothing(format!(
            "it has no known-good yet: `evenkeel canonical seed {app}`, or a sweep, makes the first one"
        ));
    };
    if let Some(work) = &warm.work {
        return something(format!("{} and what runs of it then is ended", open(work)));
    }
    let why = warm.why.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
    match warm.status {
        Status::Lost => {
            nothing(format!("its data is lost{why}: a sweep, or `evenkeel canonical seed {app}`, makes it anew"))
        }
        Status::Deployed => something("it is deployed: a run ends it, and keeps its data warm".to_owned()),
        _ if found.runs => something(format!("something of it runs{why}, and a run ends that")),
        Status::Idle => idle(found),
        Status::Dirty | Status::Seeding | Status::Promoting if !found.stored => {
            something(format!("its data cannot be used{why}, and its snapshot is gone: a run notes that it is lost"))
        }
        Status::Dirty | Status::Seeding | Status::Promoting => nothing(format!(
            "it is idle, and its data cannot be used as it is{why}: the snapshot is put back before that"
        )),
    }
}

fn idle(found: &Found) -> Ahead {
    match (&found.strange, found.stored) {
        (None, true) => nothing("it is idle, and its data is warm".to_owned()),
        (None, false) => something("its snapshot is gone or damaged: a run stores its data once more".to_owned()),
        (Some(why), true) => {
            something(format!("{why}: a run notes that, and the snapshot is put back before its data is used"))
        }
        (Some(why), false) => something(format!("{why}, and its snapshot is gone: a run notes that it is lost")),
    }
}

/// What is on its way, and who ends it; goes on with `and`.
pub fn open(work: &Work) -> String {
    let (to, what, step) = (&work.transaction.old.release.body.revision, work.purpose.word(), work.step.word());
    format!("the {what} of {to} is open at {step}: a run finishes or undoes it,")
}

fn nothing(sentence: String) -> Ahead {
    Ahead { changes: false, sentence }
}

fn something(sentence: String) -> Ahead {
    Ahead { changes: true, sentence }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(status: Option<Status>, found: Found) -> Ahead {
        let warm = status.map(|status| Warm::new(status, "root", "2026-06-01T02:00:00Z".parse().unwrap()));
        ahead(&"wiki".parse().unwrap(), warm.as_ref(), &found)
    }

    #[test]
    fn what_is_at_rest_and_whole_is_left_alone() {
        let found = Found { stored: true, ..Found::default() };
        assert_eq!(told(Some(Status::Idle), found.clone()), nothing("it is idle, and its data is warm".to_owned()));
        for status in [None, Some(Status::Lost), Some(Status::Dirty)] {
            assert!(!told(status, found.clone()).changes, "{status:?}");
        }
        assert!(told(None, Found::default()).sentence.contains("`evenkeel canonical seed wiki`"));
    }

    #[test]
    fn what_runs_is_ended_whatever_is_recorded() {
        for status in [Status::Idle, Status::Dirty, Status::Deployed] {
            let ahead = told(Some(status), Found { runs: true, stored: true, ..Found::default() });
            assert!(ahead.changes && ahead.sentence.contains("a run ends"), "{status:?}: {ahead:?}");
        }
    }

    #[test]
    fn lost_data_comes_back_from_the_snapshot_and_is_called_lost_without_one() {
        let gone = |stored| Found { strange: Some("volume wiki_data was gone".to_owned()), stored, runs: false };
        let back = told(Some(Status::Idle), gone(true));
        assert!(back.changes && back.sentence.contains("wiki_data") && back.sentence.contains("put back"), "{back:?}");
        for status in [Status::Idle, Status::Dirty] {
            let lost = told(Some(status), gone(false));
            assert!(lost.changes && lost.sentence.contains("notes that it is lost"), "{lost:?}");
        }
        let again = told(Some(Status::Idle), Found::default());
        assert!(again.changes && again.sentence.contains("stores its data once more"), "{again:?}");
    }
}
