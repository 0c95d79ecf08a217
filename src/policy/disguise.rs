//! Changes of configuration that are upgrades in all but name.
//!
//! Another image may write its data in another form, another volume is other data, and a compose file of the operator's
//! may start anything in the place of what ran. Where an app has volumes, such a change needs a snapshot and a way back
//! like any upgrade; where it has none, it may be made in place.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::desired::Desired;
use crate::model::state::{Frozen, ReleaseBody};
use crate::plan::canonical_form::{IMAGE_LABEL, without_digest};
use crate::plan::volumes;

/// Why a change of configuration is an upgrade, if it is: an app with volumes would get another image for one of its
/// services, other volumes, or other compose files of the operator's. A service that comes or goes without a volume is no
/// reason.
pub fn is_upgrade_in_disguise(
    (current, frozen): (&ReleaseBody, &Frozen),
    (desired, coming): (&Desired, &Frozen),
) -> Option<String> {
    let (before, after) = (volumes(current.services.values()), volumes(desired.services.iter().map(|s| &s.spec)));
    let kept: Vec<&str> = before.union(&after).copied().collect();
    if kept.is_empty() {
        return None;
    }
    let what = new_image(current, desired)
        .or_else(|| new_volumes(current, desired))
        .or_else(|| new_overlay(&frozen.overlays, &coming.overlays).filter(|_| !only_places(current, desired)))?;
    Some(format!("the configuration now {what}, and the app keeps data in {}", kept.join(", ")))
}

fn new_image(current: &ReleaseBody, desired: &Desired) -> Option<String> {
    desired.services.iter().find_map(|service| {
        let (from, to) = (image(current.services.get(&service.name)?), image(&service.spec));
        (from != to).then(|| format!("has image {to} for service {}, which runs {from}", service.name))
    })
}

/// The image in the recipe's own words: a digest that was looked up is not another image.
fn image(spec: &Value) -> &str {
    let label = spec["Labels"][IMAGE_LABEL].as_str();
    label.unwrap_or_else(|| without_digest(spec["TaskTemplate"]["ContainerSpec"]["Image"].as_str().unwrap_or_default()))
}

fn new_volumes(current: &ReleaseBody, desired: &Desired) -> Option<String> {
    let before: BTreeSet<(&str, &str, &str)> =
        current.services.iter().flat_map(|(name, spec)| mounted(name, spec)).collect();
    let after: BTreeSet<(&str, &str, &str)> =
        desired.services.iter().flat_map(|service| mounted(&service.name, &service.spec)).collect();
    let told =
        |(service, volume, target): &(&str, &str, &str)| format!("volume {volume} at {target} of service {service}");
    let new = after.difference(&before).next().map(|mount| format!("mounts {}", told(mount)));
    new.or_else(|| before.difference(&after).next().map(|mount| format!("no longer mounts {}", told(mount))))
}

fn new_overlay(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> Option<String> {
    // By content: where a file lies may change with each build of the host.
    let is_in = |files: &BTreeMap<String, String>, digest| files.values().any(|other| other == digest);
    let other = after.iter().find(|(_, digest)| !is_in(before, *digest));
    let new = other.map(|(path, _)| match before.contains_key(path) {
        true => format!("has another content of compose file {path}"),
        false => format!("names compose file {path}"),
    });
    let gone = || before.iter().find(|(_, digest)| !is_in(after, *digest));
    new.or_else(|| gone().map(|(path, _)| format!("lacks compose file {path}")))
}

/// Services may run somewhere else than before, and nothing else changes: what runs in a place that it may keep goes on,
/// and its data is not touched.
fn only_places(current: &ReleaseBody, desired: &Desired) -> bool {
    let place = |spec: &Value| spec["TaskTemplate"]["Placement"].clone();
    let after: BTreeMap<&String, &Value> = desired.services.iter().map(|s| (&s.name, &s.spec)).collect();
    let is_same_elsewhere =
        |(name, spec): (&String, &Value)| after.get(name).is_some_and(|to| unplaced(to) == unplaced(spec));
    let networks: BTreeMap<&String, &Value> = desired.networks.iter().map(|n| (&n.name, &n.body)).collect();
    after.len() == current.services.len()
        && current.services.iter().all(is_same_elsewhere)
        && current.services.iter().any(|(name, spec)| place(spec) != place(after[name]))
        && current.networks.iter().collect::<BTreeMap<_, _>>() == networks
}

/// Without its image, which is compared in the recipe's words.
fn unplaced(spec: &Value) -> Value {
    let mut spec = spec.clone();
    if let Some(task) = spec["TaskTemplate"].as_object_mut() {
        task.remove("Placement");
        task["ContainerSpec"]["Image"] = Value::Null;
    }
    spec
}

/// Service, volume and target of each volume that a spec mounts.
fn mounted<'a>(service: &'a str, spec: &'a Value) -> impl Iterator<Item = (&'a str, &'a str, &'a str)> {
    let mounts = spec.pointer("/TaskTemplate/ContainerSpec/Mounts").and_then(Value::as_array).into_iter().flatten();
    mounts.filter(|mount| mount["Type"] == "volume").filter_map(move |mount| {
        Some((service, mount["Source"].as_str().filter(|source| !source.is_empty())?, mount["Target"].as_str()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::world::{desired, release, spec, with};
    use serde_json::json;

    fn app(image: &str, volumes: &[&str]) -> Value {
        let mounts = volumes.iter().map(|v| json!({ "Type": "volume", "Source": v, "Target": format!("/{v}") }));
        with(spec("app", image), "/TaskTemplate/ContainerSpec/Mounts", mounts.collect())
    }

    fn held(before: Desired, after: Desired) -> Option<String> {
        is_upgrade_in_disguise((&release(&before), &Frozen::default()), (&after, &Frozen::default()))
    }

    #[test]
    fn another_compose_file_of_the_operator_is_an_upgrade_of_an_app_with_volumes() {
        let read = |files: &[(&str, &str)]| Frozen {
            overlays: files.iter().map(|(path, digest)| (path.to_string(), digest.to_string())).collect(),
            ..Frozen::default()
        };
        let is_one = |volumes: &[&str], before: &Frozen, after: &Frozen| {
            let app = || desired().service(app("wiki:1", volumes));
            is_upgrade_in_disguise((&release(&app()), before), (&app(), after))
        };
        let rows = [
            (read(&[]), read(&[("/etc/a.yml", "1")]), "names compose file /etc/a.yml"),
            (read(&[("/etc/a.yml", "1")]), read(&[("/etc/a.yml", "2")]), "another content of compose file /etc/a.yml"),
            (read(&[("/etc/a.yml", "1")]), read(&[]), "lacks compose file /etc/a.yml"),
        ];
        for (before, after, words) in &rows {
            let why = is_one(&["data"], before, after).unwrap();
            assert!(why.contains(words) && why.contains("data"), "{why}");
            assert_eq!(is_one(&["data"], after, after), None);
            let moved: Vec<_> = after.overlays.values().map(|digest| ("/nix/store/b.yml", digest.as_str())).collect();
            assert_eq!(is_one(&["data"], after, &read(&moved)), None);
            assert_eq!(is_one(&[], before, after), None);
        }
    }

    #[test]
    fn a_compose_file_that_only_places_the_app_is_no_upgrade() {
        let overlay =
            |path: &str| Frozen { overlays: [(path.to_owned(), path.to_owned())].into(), ..Frozen::default() };
        let placed = || {
            let here = json!({ "Constraints": ["node.hostname==one"] });
            with(app("wiki:1", &["data"]), "/TaskTemplate/Placement", here)
        };
        let why = |after: Value| {
            let resolved = json!("wiki:1@sha256:abc");
            let before =
                desired().service(with(app("wiki:1", &["data"]), "/TaskTemplate/ContainerSpec/Image", resolved));
            let networks = before.networks.iter().map(|network| (network.name.clone(), network.body.clone())).collect();
            let before = ReleaseBody { networks, ..release(&before) };
            is_upgrade_in_disguise((&before, &overlay("a")), (&desired().service(after), &overlay("b")))
        };
        assert_eq!(why(placed()), None);
        assert!(why(app("wiki:1", &["data"])).is_some(), "what it is for cannot be seen");
        let more = with(placed(), "/TaskTemplate/ContainerSpec/Env", json!(["A=2"]));
        assert!(why(more).is_some());
    }

    #[test]
    fn another_image_or_volume_of_an_app_with_volumes_is_an_upgrade() {
        let rows = [
            (app("wiki:1", &["data"]), app("wiki:2", &["data"]), "image wiki:2"),
            (app("wiki:1", &["data"]), app("wiki:1", &["data", "more"]), "mounts volume more"),
            (app("wiki:1", &["data", "more"]), app("wiki:1", &["data"]), "no longer mounts volume more"),
            (app("wiki:1", &[]), app("wiki:1", &["data"]), "mounts volume data"),
        ];
        for (before, after, words) in rows {
            let why = held(desired().service(before), desired().service(after)).unwrap();
            assert!(why.contains(words) && why.contains("wiki_app"), "{why}");
        }
    }

    #[test]
    fn any_other_change_is_made_in_place() {
        let env = with(app("wiki:1", &["data"]), "/TaskTemplate/ContainerSpec/Env", json!(["A=2"]));
        let digest = with(app("wiki:1", &["data"]), "/TaskTemplate/ContainerSpec/Image", json!("wiki:1@sha256:abc"));
        let with_data = || desired().service(app("wiki:1", &["data"]));
        assert_eq!(held(with_data(), desired().service(env)), None);
        assert_eq!(held(desired().service(digest), with_data()), None);
        assert_eq!(held(with_data(), with_data().service(spec("cache", "redis:7"))), None);
        let stateless = |image| desired().service(spec("app", image));
        assert_eq!(held(stateless("wiki:1"), stateless("wiki:2")), None);
    }
}
