//! Configs: immutable, so another body needs another name.
//!
//! Recipes are to bump a config's version when they change its body, and sometimes forget. Then the body is taken under
//! a name that follows its content, and services are moved to it.

use serde_json::Value;

use super::{Act, Context, Draft, Object, PlanError};
use crate::desired::{Desired, DesiredConfig, DesiredService};
use crate::model::observed::{Config, Observed};

/// Also gives the desired configs and their references the names under which the bodies can be had.
pub(super) fn plan(observed: &Observed, desired: &mut Desired, context: &Context, draft: &mut Draft) {
    let Desired { configs, services, .. } = desired;
    for config in configs {
        let Some(name) = name_of(config, observed, context, draft) else { continue };
        draft.check_length(Object::Config, &name);
        if name != config.name {
            rename(services, &config.name, &name);
            if let Some(spec_name) = config.spec.get_mut("Name") {
                *spec_name = Value::String(name.clone());
            }
            config.name = name;
        }
        create_if_missing(config, observed, draft);
    }
}

/// The plain name wherever possible; `None` after an error.
fn name_of(config: &DesiredConfig, observed: &Observed, context: &Context, draft: &mut Draft) -> Option<String> {
    let Some(body) = &config.body else {
        if !observed.configs.contains_key(&config.name) {
            draft.errors.push(PlanError::ExternalConfigMissing { name: config.name.clone() });
        }
        return Some(config.name.clone());
    };
    let by_content = format!("{}_{}", config.name, (context.content_version)(body));
    let (plain, hashed) = (observed.configs.get(&config.name), observed.configs.get(&by_content));
    match (plain, hashed) {
        (Some(live), _) if holds(live, config) => Some(config.name.clone()),
        (None, None) => Some(config.name.clone()),
        (_, Some(live)) if holds(live, config) => Some(by_content),
        (Some(_), None) => {
            draft.notes.push(format!(
                "the recipe changed the body of config {} without giving it a new version; taken as {by_content}",
                config.name
            ));
            Some(by_content)
        }
        (_, Some(_)) => {
            draft.errors.push(PlanError::ConfigTaken { name: by_content });
            None
        }
    }
}

fn holds(live: &Config, wanted: &DesiredConfig) -> bool {
    let driver = wanted.spec.pointer("/Templating/Name").and_then(Value::as_str);
    wanted.body.as_deref() == Some(&live.data) && live.templating.as_deref() == driver
}

fn create_if_missing(config: &DesiredConfig, observed: &Observed, draft: &mut Draft) {
    match &config.body {
        Some(body) if !observed.configs.contains_key(&config.name) => {
            let act = Act::CreateConfig { spec: config.spec.clone(), body: body.clone() };
            draft.change(Object::Config, &config.name, act, "is not there");
        }
        _ => draft.unchanged += 1,
    }
}

fn rename(services: &mut [DesiredService], from: &str, to: &str) {
    for service in services {
        let references = service.spec.pointer_mut("/TaskTemplate/ContainerSpec/Configs").and_then(Value::as_array_mut);
        for name in references.into_iter().flatten().filter_map(|reference| reference.get_mut("ConfigName")) {
            if name == from {
                *name = Value::String(to.to_owned());
            }
        }
    }
}
