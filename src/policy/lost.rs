//! Volumes that an installed app had and that are gone.
//!
//! Started over empty ones the app would look repaired, and its people would find an empty app.

use crate::model::observed::{Observed, TaskState};
use crate::model::state::ReleaseBody;
use crate::plan::volumes;

/// Why nothing is done about an app whose running release mounted volumes that no longer exist.
pub fn has_lost_volumes(current: &ReleaseBody, observed: &Observed) -> Option<String> {
    let lost = lost_volumes(current, observed);
    if lost.is_empty() {
        return None;
    }
    let made: Vec<String> = lost.iter().map(|name| format!("`docker volume create {name}`")).collect();
    Some(format!(
        "volume {} of this app is gone, and the app is not started over an empty one: bring its data back, or make it \
         empty yourself ({}) if the data is not wanted",
        lost.join(", "),
        made.join(", ")
    ))
}

/// Volumes that a release mounts and that do not exist here. Services that run nothing by declaration may never have
/// had theirs, and those that run on another node have theirs there.
pub(super) fn lost_volumes<'a>(release: &'a ReleaseBody, observed: &Observed) -> Vec<&'a str> {
    let ran = release.services.iter().filter(|(_, spec)| spec["Mode"]["Replicated"]["Replicas"] != 0);
    let ran_here = ran.filter(|(name, _)| !runs_elsewhere(name, observed)).map(|(_, spec)| spec);
    volumes(ran_here).into_iter().filter(|name| !observed.volumes.contains_key(*name)).collect()
}

/// Also where that node is down by now.
fn runs_elsewhere(service: &str, observed: &Observed) -> bool {
    let Some(service) = observed.services.get(service) else { return false };
    let of_service = observed.tasks.iter().filter(|task| task.service == service.id);
    of_service.filter(|task| task.state == TaskState::Running).any(|task| task.elsewhere.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::observed::{OtherNode, Task};
    use crate::plan::world::{self, desired, live_volume, spec, with};
    use serde_json::json;

    fn release(replicas: u64) -> ReleaseBody {
        let mounts = json!([{"Type": "volume", "Source": "wiki_data", "Target": "/data"}]);
        let spec = with(spec("app", "wiki:1"), "/TaskTemplate/ContainerSpec/Mounts", mounts);
        world::release(&desired().service(with(spec, "/Mode", json!({"Replicated": {"Replicas": replicas}}))))
    }

    #[test]
    fn an_app_is_not_started_over_an_empty_volume() {
        let sentence = has_lost_volumes(&release(1), &Observed::default()).unwrap();
        assert!(sentence.contains("docker volume create wiki_data"), "{sentence}");
    }

    #[test]
    fn what_runs_on_another_node_has_its_volumes_there() {
        for is_down in [false, true] {
            let mut observed = world::observed(&desired().service(spec("app", "wiki:1")));
            let node = OtherNode { id: "n2".into(), hostname: "two".into(), is_down, takes_tasks: true };
            let task = world::task("app", 1, 1, TaskState::Running);
            observed.tasks = vec![Task { elsewhere: Some(node), ..task.clone() }];
            assert_eq!(has_lost_volumes(&release(1), &observed), None);
            observed.tasks = vec![task];
            assert!(has_lost_volumes(&release(1), &observed).is_some());
        }
    }

    #[test]
    fn a_volume_that_is_there_or_was_never_used_is_not_lost() {
        let volume = live_volume("wiki_data");
        let there = Observed { volumes: [(volume.name.clone(), volume)].into(), ..Observed::default() };
        assert_eq!(has_lost_volumes(&release(1), &there), None);
        assert_eq!(has_lost_volumes(&release(0), &Observed::default()), None);
    }
}
