//! A release between its two shapes: what is desired, and what the state keeps of it.

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};

use crate::desired::{Desired, DesiredConfig, DesiredNetwork, DesiredSecret, DesiredService, SecretSource};
use crate::host::store::AppDir;
use crate::model::app::StackName;
use crate::model::observed::Observed;
use crate::model::outcome::Outcome;
use crate::model::state::{KeptConfig, KeptSecret, ReleaseBody};
use crate::model::version::Revision;
use crate::plan::canonical_form::without_digest;
use crate::plan::{Act, Object, Plan};

/// Where a service's spec names its image.
const IMAGE: &str = "/TaskTemplate/ContainerSpec/Image";

/// The images that the services of a release run.
pub fn images(desired: &Desired) -> BTreeSet<String> {
    let image =
        |service: &DesiredService| service.spec.pointer(IMAGE).and_then(|image| image.as_str()).map(str::to_owned);
    desired.services.iter().filter_map(image).collect()
}

/// The images that the services of a stack name now.
pub fn live_images(observed: &Observed) -> BTreeSet<String> {
    let images = observed.services.values().filter_map(|service| service.spec.pointer(IMAGE)?.as_str());
    images.map(str::to_owned).collect()
}

/// Everything that it takes to make the stack again.
pub fn body(desired: &Desired, revision: Revision, images: BTreeMap<String, String>) -> ReleaseBody {
    let config = |config: &DesiredConfig| KeptConfig {
        key: config.key.clone(),
        spec: config.spec.clone(),
        body: config.body.as_ref().map(|body| BASE64.encode(body)),
    };
    ReleaseBody {
        revision,
        networks: desired.networks.iter().map(|n| (n.name.clone(), n.body.clone())).collect(),
        external_networks: desired.external_networks.clone(),
        secrets: desired
            .secrets
            .iter()
            .map(|s| (s.name.clone(), KeptSecret { key: s.key.clone(), spec: s.spec.clone() }))
            .collect(),
        configs: desired.configs.iter().map(|c| (c.name.clone(), config(c))).collect(),
        services: desired.services.iter().map(|s| (s.name.clone(), s.spec.clone())).collect(),
        images,
    }
}

/// The stack as it was recorded. A secret whose bytes are kept can be made again; any other must still exist.
///
/// # Errors
/// When the kept bytes cannot be read, or the state holds a config body that is not base64.
pub fn desired(stack: &StackName, body: &ReleaseBody, dir: &AppDir) -> Result<Desired, Outcome> {
    let mut secrets = Vec::new();
    for (name, kept) in &body.secrets {
        let source = dir.secret(name)?.map_or(SecretSource::External, SecretSource::Bytes);
        secrets.push(DesiredSecret {
            place: None,
            key: kept.key.clone(),
            name: name.clone(),
            spec: kept.spec.clone(),
            source,
            version_variable: None,
        });
    }
    let mut configs = Vec::new();
    for (name, kept) in &body.configs {
        let decode = |text: &String| {
            BASE64
                .decode(text)
                .map_err(|error| Outcome::Error(format!("the state's body of config {name} is damaged: {error}")))
        };
        let body = kept.body.as_ref().map(decode).transpose()?;
        configs.push(DesiredConfig { key: kept.key.clone(), name: name.clone(), spec: kept.spec.clone(), body });
    }
    Ok(Desired {
        stack: stack.clone(),
        networks: body
            .networks
            .iter()
            .map(|(name, body)| DesiredNetwork { name: name.clone(), body: body.clone() })
            .collect(),
        external_networks: body.external_networks.clone(),
        secrets,
        configs,
        services: body
            .services
            .iter()
            .map(|(name, spec)| DesiredService { name: name.clone(), spec: spec.clone() })
            .collect(),
    })
}

/// Image as the recipe names it -> as the release ran it, digest included.
pub fn references(body: &ReleaseBody) -> BTreeMap<String, String> {
    let images = body.services.values().filter_map(|spec| spec.pointer(IMAGE)?.as_str());
    images.map(|image| (without_digest(image).to_owned(), image.to_owned())).collect()
}

/// Service name -> id of the image that it ran, where that is recorded.
pub fn images_to_run(desired: &Desired, body: &ReleaseBody) -> BTreeMap<String, String> {
    let image = |service: &DesiredService| Some((service.name.clone(), recorded_image(body, &service.name)?.clone()));
    desired.services.iter().filter_map(image).collect()
}

/// The id of the image that a service ran.
pub fn recorded_image<'a>(body: &'a ReleaseBody, service: &str) -> Option<&'a String> {
    body.images.get(body.services.get(service)?.pointer(IMAGE)?.as_str()?)
}

/// The images of a release with the names that the one before it had for them: a service may name an image by its id
/// because its name stands for another one by now.
pub fn with_names_of(mut images: BTreeMap<String, String>, before: Option<&ReleaseBody>) -> BTreeMap<String, String> {
    let by_id: BTreeSet<String> = images.iter().filter(|(name, id)| name == id).map(|(_, id)| id.clone()).collect();
    let before = before.into_iter().flat_map(|before| &before.images);
    images.extend(before.filter(|(_, id)| by_id.contains(*id)).map(|(name, id)| (name.clone(), id.clone())));
    images
}

/// Why services must not be started from these images (service name -> image id): a name stands for another image by
/// now than when the release passed its gate.
pub fn moved_image(body: &ReleaseBody, to_run: &BTreeMap<String, String>) -> Option<String> {
    to_run.iter().find_map(|(service, id)| {
        let reference = body.services.get(service)?.pointer(IMAGE)?.as_str()?;
        let recorded = body.images.get(reference)?;
        (recorded != id).then(|| {
            format!(
                "service {service} has to be started again, and {reference} is another image now ({id}) than the one that \
                 passed its gate ({recorded}); to take it would be an upgrade: name the old one so again (docker tag \
                 {recorded} {reference})"
            )
        })
    })
}

/// What is desired with the images that a plan gives its services: those of its changes, and else what runs.
pub fn with_planned_images(plan: &Plan, observed: &Observed) -> Desired {
    let mut desired = with_live_images(&plan.desired, observed);
    for service in &mut desired.services {
        let change = plan.changes.iter().find(|change| change.object == Object::Service && change.name == service.name);
        let spec = match change.map(|change| &change.act) {
            Some(Act::CreateService { spec } | Act::UpdateService { spec, .. }) => spec,
            _ => continue,
        };
        if let (Some(planned), Some(image)) = (spec.pointer(IMAGE), service.spec.pointer_mut(IMAGE)) {
            *image = planned.clone();
        }
    }
    desired
}

/// Each service's image as the live one names it, digest included.
pub fn with_live_images(desired: &Desired, observed: &Observed) -> Desired {
    let mut desired = desired.clone();
    for service in &mut desired.services {
        let live = observed.services.get(&service.name).and_then(|live| live.spec.pointer(IMAGE)).cloned();
        if let (Some(live), Some(image)) = (live, service.spec.pointer_mut(IMAGE)) {
            *image = live;
        }
    }
    desired
}
