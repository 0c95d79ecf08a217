//! Stacks that exist and of which nothing is recorded: made by hand, or before the state was lost.
//!
//! Taking "latest" for them would be an upgrade of somebody's data by the way, so a person has to name what runs.

use crate::model::app::StackName;
use crate::model::observed::Observed;
use crate::model::version::Wanted;

const NAMESPACE: &str = "com.docker.stack.namespace";

/// Why nothing is done about an app without a record, if the Engine holds services or volumes of its stack and the
/// operator has not named a version.
pub fn is_unrecorded(stack: &StackName, wanted: &Wanted, observed: &Observed) -> Option<String> {
    if *wanted != Wanted::Latest {
        return None;
    }
    let found = services(observed).or_else(|| volumes(stack, observed))?;
    let runs = version(stack, observed).map_or_else(String::new, |version| format!(" (its label says {version})"));
    Some(format!(
        "nothing is recorded of this app, and {found} exist already{runs}: where the state directory is on a disk of its \
         own, see that it is mounted; else name the version that they belong to, as in version = \"1.2.3+4.5\", so that \
         taking the newest one is no upgrade by the way"
    ))
}

fn services(observed: &Observed) -> Option<String> {
    let names: Vec<&str> = observed.services.keys().map(String::as_str).collect();
    (!names.is_empty()).then(|| format!("services {}", names.join(", ")))
}

fn volumes(stack: &StackName, observed: &Observed) -> Option<String> {
    let of_stack = observed.volumes.values().filter(|v| v.labels.get(NAMESPACE).is_some_and(|s| s == stack.as_str()));
    let names: Vec<&str> = of_stack.map(|volume| volume.name.as_str()).collect();
    (!names.is_empty()).then(|| format!("volumes {}", names.join(", ")))
}

/// What the recipes' own tool wrote on the app's main service.
fn version<'a>(stack: &StackName, observed: &'a Observed) -> Option<&'a str> {
    let main = observed.services.get(&format!("{stack}_app"))?;
    main.spec["Labels"][format!("coop-cloud.{stack}.version")].as_str().filter(|version| !version.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::world::{desired, live_volume, observed, spec, with};
    use serde_json::json;

    fn stack() -> StackName {
        "wiki".parse().unwrap()
    }

    fn why(wanted: &str, observed: &Observed) -> Option<String> {
        is_unrecorded(&stack(), &wanted.parse().unwrap(), observed)
    }

    #[test]
    fn the_newest_version_is_not_taken_over_a_stack_that_nobody_recorded() {
        let label = with(spec("app", "wiki:1"), "/Labels/coop-cloud.wiki.version", json!("1.0.0+1"));
        let running = observed(&desired().service(label));
        let sentence = why("latest", &running).unwrap();
        assert!(sentence.contains("wiki_app") && sentence.contains("1.0.0+1"), "{sentence}");
        assert_eq!(why("1.0.0+1", &running), None);
        assert_eq!(why("latest", &Observed::default()), None);
    }

    #[test]
    fn nor_over_volumes_alone() {
        let mut left = Observed::default();
        let volume = live_volume("wiki_data");
        left.volumes.insert(volume.name.clone(), volume);
        assert!(why("latest", &left).unwrap().contains("wiki_data"));
    }
}
