//! Volumes that an installed app had and that are gone.
//!
//! Started over empty ones the app would look repaired, and its people would find an empty app.

use crate::model::observed::Observed;
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
/// had theirs.
pub(super) fn lost_volumes<'a>(release: &'a ReleaseBody, observed: &Observed) -> Vec<&'a str> {
    let ran = release.services.values().filter(|spec| spec["Mode"]["Replicated"]["Replicas"] != 0);
    volumes(ran).into_iter().filter(|name| !observed.volumes.contains_key(*name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
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
    fn a_volume_that_is_there_or_was_never_used_is_not_lost() {
        let volume = live_volume("wiki_data");
        let there = Observed { volumes: [(volume.name.clone(), volume)].into(), ..Observed::default() };
        assert_eq!(has_lost_volumes(&release(1), &there), None);
        assert_eq!(has_lost_volumes(&release(0), &Observed::default()), None);
    }
}
