//! An app that was kept in another Swarm, or on an Engine with another data root, or on a disk that is away.
//!
//! A new Swarm on the same Engine has lost services, secrets, configs and networks, all of which the state can make
//! again. Volumes it cannot: they are where the old data root is, on the node that had them. The surprise: another file
//! system below the same path says nothing by itself. Data is moved to new disks, and some file systems are numbered anew
//! at each start; only where volumes are missing, too, is it the likely reason.

use std::path::Path;

use super::lost::lost_volumes;
use crate::model::observed::Observed;
use crate::model::state::{ReleaseBody, State};
use crate::plan::volumes;

/// The node as it is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Here<'a> {
    pub swarm: &'a str,
    /// Nodes of the whole Swarm.
    pub nodes: u64,
    pub data_root: &'a Path,
    /// Of the data root, if it can be told.
    pub file_system: Option<&'a str>,
}

/// What the operator is told of an app whose Swarm is not the recorded one; `None` where it is, or none was recorded.
///
/// # Errors
/// Why nothing may be made here: the app's data is elsewhere, or Swarm could start the app where it is not.
pub fn is_elsewhere(state: &State, here: &Here<'_>, observed: &Observed) -> Result<Option<String>, String> {
    let Some(current) = &state.current else { return Ok(None) };
    if let Some(why) = is_on_another_engine(state, &current.body, here, observed) {
        return Err(why);
    }
    if let Some(why) = is_on_another_file_system(state, &current.body, here, observed) {
        return Err(why);
    }
    let Some(before) = state.swarm.as_deref().filter(|swarm| *swarm != here.swarm) else { return Ok(None) };
    let kept = volumes(current.body.services.values());
    if here.nodes > 1 && !kept.is_empty() {
        return Err(format!(
            "this node is in another Swarm ({}) than the one that held this app ({before}), and that one has {} nodes: it \
             could start the app on a node without its data ({}). Make this node a Swarm of its own again (`docker swarm \
             leave --force`, `evenkeel swarm`)",
            here.swarm,
            here.nodes,
            kept.into_iter().collect::<Vec<_>>().join(", ")
        ));
    }
    Ok(Some(format!(
        "this Swarm ({}) is not the one that held this app before ({before}): what it lacks is made again from what is \
         recorded",
        here.swarm
    )))
}

/// A volume that is here, too, was brought by somebody: Engines do not make any by themselves.
fn is_on_another_engine(state: &State, current: &ReleaseBody, here: &Here<'_>, observed: &Observed) -> Option<String> {
    let before = state.data_root.as_deref().filter(|root| *root != here.data_root)?;
    let lost = lost_volumes(current, observed);
    (!lost.is_empty()).then(|| format!(
        "this Engine keeps its data in {}, and the one that held this app kept it in {}, where its volumes are ({}): \
         start Docker with that data root again, or bring the volumes here (each {}/volumes/NAME, with Docker stopped), \
         or name the right Engine (`engine` in the configuration)",
        here.data_root.display(),
        before.display(),
        lost.join(", "),
        before.display()
    ))
}

/// The data root itself is where it was.
fn is_on_another_file_system(state: &State, body: &ReleaseBody, here: &Here<'_>, seen: &Observed) -> Option<String> {
    let (before, now) = (state.file_system.as_deref()?, here.file_system?);
    let lost = lost_volumes(body, seen);
    (before != now && !lost.is_empty()).then(|| format!(
        "the app's volumes ({}) are not in {}, which is on another file system ({now}) than when the app was well last \
         ({before}): is the disk mounted? Mount it and restart Docker. If the data is lost, bring it back from a backup, or \
         make each volume empty yourself (`docker volume create NAME`) if it is not wanted",
        lost.join(", "),
        here.data_root.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::state::Release;
    use crate::plan::world::{desired, live_volume, release, spec, with};
    use serde_json::json;

    fn here(nodes: u64) -> Here<'static> {
        Here { swarm: "s2", nodes, data_root: Path::new("/docker"), file_system: Some("new") }
    }

    fn recorded(swarm: &str, root: &str, mounts: serde_json::Value) -> State {
        let spec = with(spec("app", "wiki:1"), "/TaskTemplate/ContainerSpec/Mounts", mounts);
        let body = release(&desired().service(spec));
        State {
            swarm: Some(swarm.into()),
            data_root: Some(root.into()),
            current: Some(Release { body, key: String::new(), since: String::new(), snapshot: None }),
            ..State::new(&"wiki".parse().unwrap())
        }
    }

    fn with_volume(swarm: &str, root: &str) -> State {
        recorded(swarm, root, json!([{"Type": "volume", "Source": "wiki_data", "Target": "/data"}]))
    }

    fn volume_is_here() -> Observed {
        let volume = live_volume("wiki_data");
        Observed { volumes: [(volume.name.clone(), volume)].into(), ..Observed::default() }
    }

    #[test]
    fn the_recorded_swarm_is_nothing_to_tell() {
        assert_eq!(is_elsewhere(&with_volume("s2", "/docker"), &here(1), &volume_is_here()), Ok(None));
        let never_run = State::new(&"wiki".parse().unwrap());
        assert_eq!(is_elsewhere(&never_run, &here(1), &Observed::default()), Ok(None));
        let of_an_older_version = State { swarm: None, data_root: None, ..with_volume("", "") };
        assert_eq!(is_elsewhere(&of_an_older_version, &here(1), &Observed::default()), Ok(None));
    }

    #[test]
    fn another_swarm_is_told_with_both_ids() {
        let told = is_elsewhere(&with_volume("s1", "/docker"), &here(1), &volume_is_here()).unwrap().unwrap();
        assert!(told.contains("(s1)") && told.contains("(s2)"), "{told}");
    }

    #[test]
    fn data_that_is_in_another_data_root_is_not_started_without() {
        let why = is_elsewhere(&with_volume("s1", "/old"), &here(1), &Observed::default()).unwrap_err();
        for word in ["/docker", "/old", "wiki_data", "start Docker with that data root again"] {
            assert!(why.contains(word), "{why}");
        }
    }

    #[test]
    fn volumes_that_are_missing_on_another_file_system_are_taken_for_a_disk_that_is_away() {
        let state = |file_system: Option<&str>| State {
            file_system: file_system.map(str::to_owned),
            ..with_volume("s2", "/docker")
        };
        let why = is_elsewhere(&state(Some("old")), &here(1), &Observed::default()).unwrap_err();
        for word in ["wiki_data", "/docker", "(old)", "(new)", "is the disk mounted?"] {
            assert!(why.contains(word), "{why}");
        }
        assert_eq!(
            is_elsewhere(&state(Some("old")), &here(1), &volume_is_here()),
            Ok(None),
            "it was moved with its data"
        );
        for unsaid in [Some("new"), None] {
            assert_eq!(is_elsewhere(&state(unsaid), &here(1), &Observed::default()), Ok(None));
        }
        let unknown = Here { file_system: None, ..here(1) };
        assert_eq!(is_elsewhere(&state(Some("old")), &unknown, &Observed::default()), Ok(None));
    }

    #[test]
    fn a_volume_that_was_never_made_is_not_looked_for_elsewhere() {
        let mut state = with_volume("s1", "/old");
        let mount = json!([{"Type": "volume", "Source": "wiki_dumps", "Target": "/dumps"}]);
        let idle = with(spec("dump", "wiki:1"), "/TaskTemplate/ContainerSpec/Mounts", mount);
        let idle = with(idle, "/Mode/Replicated/Replicas", json!(0));
        state.current.as_mut().unwrap().body.services.insert("wiki_dump".into(), idle);
        let why = is_elsewhere(&state, &here(1), &Observed::default()).unwrap_err();
        assert!(why.contains("(wiki_data)"), "{why}");
    }

    #[test]
    fn data_that_somebody_brought_here_is_taken() {
        assert!(is_elsewhere(&with_volume("s1", "/old"), &here(1), &volume_is_here()).unwrap().is_some());
    }

    #[test]
    fn an_app_without_data_may_go_anywhere() {
        let state = recorded("s1", "/old", json!([]));
        assert!(is_elsewhere(&state, &here(3), &Observed::default()).unwrap().is_some());
    }

    #[test]
    fn an_app_with_data_is_not_left_to_a_swarm_of_many_nodes() {
        let why = is_elsewhere(&with_volume("s1", "/docker"), &here(3), &volume_is_here()).unwrap_err();
        assert!(why.contains("3 nodes") && why.contains("docker swarm leave --force"), "{why}");
        assert_eq!(is_elsewhere(&with_volume("s2", "/docker"), &here(3), &volume_is_here()), Ok(None));
    }
}
