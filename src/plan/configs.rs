//! Configs: immutable, so another body needs another name.
//!
//! Recipes are to bump a config's version when they change its body, and sometimes forget. Then the body is taken under
//! a name that follows its content, and services are moved to it.

use serde_json::Value;

use super::{Act, Context, Draft, Object, PlanError};
use crate::desired::{Desired, DesiredConfig, DesiredService};
use crate::model::app::StackName;
use crate::model::observed::{Config, Observed};

/// Also gives the desired configs and their references the names under which the bodies can be had.
pub(super) fn plan(observed: &Observed, desired: &mut Desired, context: &Context, draft: &mut Draft) {
    let Desired { configs, services, stack, .. } = desired;
    for config in configs {
        if let Some(owner) = owner_of_own(config, observed, stack) {
            draft.errors.push(PlanError::ConfigOfAnotherStack { name: config.name.clone(), owner });
            continue;
        }
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

/// The other stack that has the name of a config that we are to make.
fn owner_of_own(config: &DesiredConfig, observed: &Observed, stack: &StackName) -> Option<String> {
    config.body.as_ref()?;
    super::other_owner(&observed.configs.get(&config.name)?.labels, stack).map(str::to_owned)
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;
    use crate::config::Resolve;
    use crate::desired::SecretSource;
    use crate::plan::world::{STACK, desired, live_config, live_secret, observed, spec, with};
    use crate::plan::{NAMESPACE_LABEL, OUR_LABEL, Plan};

    fn plan(live: &Observed, wanted: &Desired) -> Result<Plan, Vec<PlanError>> {
        let version = |_: &[u8]| "c1234567".to_owned();
        Plan::new(live, wanted, &Context::new(&BTreeSet::new(), &version, Resolve::Changed))
    }

    fn told(result: Result<Plan, Vec<PlanError>>) -> String {
        result.unwrap_err().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    /// Swarm fills a template from the service's environment, which is a part of its spec.
    #[test]
    fn a_templated_config_follows_the_environment_of_its_service() {
        let wanted = |value: &str| {
            let mut wanted = desired().config("run", "port {{ env \"PORT\" }}");
            wanted.configs[0].spec["Templating"] = json!({ "Name": "golang" });
            let mounted = json!([{ "File": { "Name": "/run.sh" }, "ConfigName": "wiki_run_v1" }]);
            let spec = with(spec("app", "wiki:1"), "/TaskTemplate/ContainerSpec/Configs", mounted);
            wanted.service(with(spec, "/TaskTemplate/ContainerSpec/Env", json!([format!("PORT={value}")])))
        };
        let mut live = observed(&wanted("80"));
        live.configs.values_mut().for_each(|config| config.templating = Some("golang".into()));
        assert!(plan(&live, &wanted("80")).unwrap().is_empty());

        let changed = plan(&live, &wanted("81")).unwrap();
        assert_eq!(changed.summary(), "updated service wiki_app");
        assert!(changed.changes[0].restarts, "{changed}");
    }

    #[test]
    fn what_belongs_to_another_stack_is_neither_taken_nor_mounted() {
        for label in [NAMESPACE_LABEL, OUR_LABEL] {
            let owned_by = |owner: &str| [(label.to_owned(), owner.to_owned())].into();
            let mut wanted = desired().secret("db", SecretSource::External).config("run", "x");
            wanted = wanted.service(spec("app", "wiki:1"));
            let mut live = observed(&wanted);
            live.secrets.insert("wiki_db_v1".into(), live_secret("wiki_db_v1"));
            assert!(plan(&live, &wanted).unwrap().is_empty());

            live.secrets.get_mut("wiki_db_v1").unwrap().labels = owned_by("bank");
            live.configs.get_mut("wiki_run_v1").unwrap().labels = owned_by("bank");
            let told = told(plan(&live, &wanted));
            assert!(told.contains("secret wiki_db_v1 belongs to stack bank: "), "{told}");
            assert!(told.contains("secrets = { db = \"/path\" }"), "{told}");
            assert!(told.contains("config wiki_run_v1 belongs to stack bank: "), "{told}");

            live.secrets.get_mut("wiki_db_v1").unwrap().labels.clear();
            wanted.configs[0].body = None;
            assert!(plan(&live, &wanted).unwrap().is_empty(), "an unowned secret and an external config are anybody's");
        }
    }

    #[test]
    fn a_changed_body_is_told_and_its_name_is_checked_before_anything_is_touched() {
        let long = "n".repeat(50);
        let of = |body: &str| desired().config(&long, body);
        let name = format!("{STACK}_{long}_v1");
        let live = Observed { configs: [(name.clone(), live_config(&name, b"old"))].into(), ..Observed::default() };
        assert!(told(plan(&live, &of("new"))).contains("has 67 characters, the Engine takes 64"));

        let wanted = desired().config("run", "new");
        let live = Observed { configs: observed(&desired().config("run", "old")).configs, ..Observed::default() };
        let plan = plan(&live, &wanted).unwrap();
        assert!(plan.notes[0].contains("without giving it a new version; taken as wiki_run_v1_c1234567"), "{plan}");
    }
}
