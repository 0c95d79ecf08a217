//! Tags that name another image by now than when the release passed its gate.
//!
//! Only `resolve = "always"` looks for them. To follow such a tag is a change like any other, judged and put back; where
//! the app keeps data it would be an upgrade in all but name.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value;

use crate::desired::Desired;
use crate::model::state::ReleaseBody;
use crate::plan::canonical_form::without_digest;
use crate::plan::volumes;

/// The tags that moved, each with the image that it names now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MovedTags {
    /// `name:tag@digest`, in the order of the services.
    now: Vec<String>,
    /// The volumes of the release and of what is desired.
    volumes: Vec<String>,
}

impl MovedTags {
    /// Between a release and a desired stack whose references a registry has told; `None` where none moved.
    pub fn between(current: &ReleaseBody, desired: &Desired) -> Option<Self> {
        let moved = desired.services.iter().filter_map(|service| {
            let (before, now) = (image(current.services.get(&service.name)?), image(&service.spec));
            let moved = now != before && now.contains('@') && without_digest(now) == without_digest(before);
            moved.then(|| now.to_owned())
        });
        let now: Vec<String> = moved.collect();
        let specs = current.services.values().chain(desired.services.iter().map(|service| &service.spec));
        let volumes = volumes(specs).into_iter().map(str::to_owned).collect();
        (!now.is_empty()).then_some(Self { now, volumes })
    }

    /// Why following them is an upgrade, with a snapshot and a way back: the app keeps data.
    pub fn are_an_upgrade(&self) -> Option<String> {
        (!self.volumes.is_empty()).then(|| format!("{self}, and the app keeps data in {}", self.volumes.join(", ")))
    }

    /// `name:tag@digest` of each, as it is named now.
    pub fn references(&self) -> &[String] {
        &self.now
    }

    /// The key of a configuration together with what its tags name now: a failure is one of both.
    pub fn key(&self, configuration: &str) -> String {
        format!("{configuration} {}", self.now.join(" "))
    }
}

impl fmt::Display for MovedTags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tags: BTreeSet<&str> = self.now.iter().map(|now| without_digest(now)).collect();
        let verb = if tags.len() == 1 { "names another image" } else { "name other images" };
        let tags = tags.into_iter().collect::<Vec<_>>().join(", ");
        write!(f, "{tags} {verb} now than at the last good gate")
    }
}

fn image(spec: &Value) -> &str {
    spec.pointer("/TaskTemplate/ContainerSpec/Image").and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::plan::world::{desired, release, spec, with};

    fn app(image: &str, volume: Option<&str>) -> Desired {
        let mounts: Value = volume.iter().map(|v| json!({"Type": "volume", "Source": v, "Target": "/data"})).collect();
        let spec = with(spec("app", "wiki:1"), "/TaskTemplate/ContainerSpec/Mounts", mounts);
        desired().service(with(spec, "/TaskTemplate/ContainerSpec/Image", json!(image)))
    }

    fn moved(before: &Desired, now: &Desired) -> Option<MovedTags> {
        MovedTags::between(&release(before), now)
    }

    #[test]
    fn the_same_words_with_another_digest_have_moved() {
        let before = app("wiki:1@sha256:aa", None);

        let found = moved(&before, &app("wiki:1@sha256:bb", None)).unwrap();
        assert_eq!(found.to_string(), "wiki:1 names another image now than at the last good gate");
        assert_eq!(found.are_an_upgrade(), None);
        assert_ne!(found.key("k"), moved(&before, &app("wiki:1@sha256:cc", None)).unwrap().key("k"));
        for same in ["wiki:1@sha256:aa", "wiki:1", "wiki:2@sha256:bb"] {
            assert_eq!(moved(&before, &app(same, None)), None, "{same}");
        }
        assert!(moved(&app("wiki:1", None), &app("wiki:1@sha256:bb", None)).is_some());
    }

    #[test]
    fn a_tag_is_told_once_however_many_services_have_it() {
        let stack = |digest: &str| {
            let service = |name, image: &str| {
                with(spec(name, image), "/TaskTemplate/ContainerSpec/Image", json!(format!("{image}@sha256:{digest}")))
            };
            desired()
                .service(service("app", "wiki:1"))
                .service(service("db", "db:1"))
                .service(service("worker", "wiki:1"))
        };
        let told = moved(&stack("aa"), &stack("bb")).unwrap().to_string();
        assert_eq!(told, "db:1, wiki:1 name other images now than at the last good gate");
    }

    #[test]
    fn a_moved_tag_of_an_app_with_data_is_an_upgrade() {
        let found = moved(&app("wiki:1@sha256:aa", Some("d")), &app("wiki:1@sha256:bb", Some("d"))).unwrap();
        let why = found.are_an_upgrade().unwrap();
        assert_eq!(why, "wiki:1 names another image now than at the last good gate, and the app keeps data in d");
    }
}
