//! Which images a plan needs looked up, and where the answers go.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Act, Plan};
use crate::desired::Desired;

const IMAGE: &str = "/TaskTemplate/ContainerSpec/Image";

impl Plan {
    /// References that new services and changed ones name, and that are not what runs already.
    pub fn images(&self) -> BTreeSet<String> {
        let specs = self.changes.iter().filter_map(|change| match &change.act {
            Act::CreateService { spec } | Act::UpdateService { spec, new_image: true } => Some(spec),
            _ => None,
        });
        specs.filter_map(image).map(str::to_owned).collect()
    }

    /// Puts what the references stand for in their place; references that are not in `resolved` stay.
    pub fn with_images(&mut self, resolved: &BTreeMap<String, String>) {
        for change in &mut self.changes {
            if let Act::CreateService { spec } | Act::UpdateService { spec, new_image: true } = &mut change.act {
                substitute(spec, resolved);
            }
        }
    }
}

/// All image references of the services.
pub fn image_references(desired: &Desired) -> BTreeSet<String> {
    desired.services.iter().filter_map(|service| image(&service.spec)).map(str::to_owned).collect()
}

/// For `resolve = "always"`: what every reference stands for today, before it is compared with what runs.
pub fn resolve_images(desired: &mut Desired, resolved: &BTreeMap<String, String>) {
    for service in &mut desired.services {
        substitute(&mut service.spec, resolved);
    }
}

fn image(spec: &Value) -> Option<&str> {
    spec.pointer(IMAGE).and_then(Value::as_str)
}

fn substitute(spec: &mut Value, resolved: &BTreeMap<String, String>) {
    let Some(image) = spec.pointer_mut(IMAGE) else { return };
    if let Some(answer) = image.as_str().and_then(|reference| resolved.get(reference)) {
        *image = Value::String(answer.clone());
    }
}
