//! Whether what ended was allowed to end by itself: a database that was killed has left its files as they were.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::observed::Ending;

/// How a process ends that was sent SIGKILL.
const KILLED: i64 = 137;

/// Why the end of these containers (by id) was no clean one, in words; `None` where it was. One that ran out of memory
/// was not killed for its slowness. Of one whose ending nobody saw, nothing good can be said.
pub fn unclean_stop(to_end: &BTreeSet<String>, endings: &BTreeMap<String, Ending>) -> Option<String> {
    let killed: BTreeSet<&str> =
        endings.values().filter(|ending| was_killed(ending)).map(|ending| ending.service.as_str()).collect();
    let has_ended = |id: &&String| endings.get(*id).is_some_and(|ending| ending.exit_code.is_some());
    let unseen: Vec<&str> = to_end.iter().filter(|id| !has_ended(id)).map(|id| id.get(..12).unwrap_or(id)).collect();
    let why = match (killed.is_empty(), unseen.is_empty()) {
        (true, true) => return None,
        (false, _) => format!(
            "{} did not end within its grace period and was killed, so its files may be as a crash leaves them: give it a \
             longer stop_grace_period",
            killed.into_iter().collect::<Vec<_>>().join(", ")
        ),
        (true, false) => format!(
            "nobody saw how container {} ended, since the Engine was gone meanwhile, so its files may be as a crash leaves \
             them",
            unseen.join(", ")
        ),
    };
    Some(format!("unclean stop: {why}"))
}

fn was_killed(ending: &Ending) -> bool {
    ending.exit_code == Some(KILLED) && (ending.killed || !ending.out_of_memory)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ending(killed: bool, out_of_memory: bool, exit_code: i64) -> Ending {
        Ending { service: "wiki_db".into(), killed, out_of_memory, exit_code: Some(exit_code) }
    }

    fn told(ending: Option<Ending>) -> Option<String> {
        unclean_stop(&["c1".to_owned()].into(), &ending.map(|ending| ("c1".to_owned(), ending)).into_iter().collect())
    }

    #[test]
    fn only_who_was_killed_for_being_slow_is_unclean() {
        assert_eq!(told(Some(ending(false, false, 0))), None);
        assert_eq!(told(Some(ending(false, false, 143))), None);
        assert_eq!(told(Some(ending(false, true, 137))), None);
        // The signal came too late: it had just ended by itself.
        assert_eq!(told(Some(ending(true, false, 0))), None);
        for killed in [ending(true, false, 137), ending(false, false, 137), ending(true, true, 137)] {
            let told = told(Some(killed)).unwrap();
            assert!(told.starts_with("unclean stop: wiki_db did not end within its grace"), "{told}");
        }
    }

    #[test]
    fn an_ending_that_nobody_saw_is_not_called_clean() {
        assert!(told(None).unwrap().contains("nobody saw how container c1 ended"));
        let runs = Ending { exit_code: None, ..ending(false, false, 0) };
        assert!(told(Some(runs)).is_some());
    }
}
