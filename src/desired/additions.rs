//! What the recipes' own tool adds to a stack, and what is read back out of labels.
//!
//! Recipes rely on the additions: templates in service `app` read any variable of the `.env`, and other tools find an
//! app's version by its labels.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{Desired, DesiredService};
use crate::model::app::StackName;
use crate::model::diagnostic::{Diagnostic, Diagnostics};
use crate::model::version::Revision;
use crate::recipe::interpolate::Environment;

/// What is known about a deployment beside its recipe's files.
pub struct Additions<'a> {
    pub recipe_name: &'a str,
    pub revision: &'a Revision,
    /// Whether a commit runs that is no published version.
    pub chaos: bool,
    pub env: &'a Environment,
}

/// Adds every variable to the environment of service `app` unless it is set there, and the `coop-cloud.` labels to its
/// labels. A recipe without a service `app` stays as it is.
pub fn add(desired: &mut Desired, additions: &Additions) {
    let stack = desired.stack.clone();
    let name = format!("{stack}_app");
    let Some(app) = desired.services.iter_mut().find(|service| service.name == name) else { return };
    add_variables(&mut app.spec, &exposed(additions));
    add_labels(&mut app.spec, &stack, additions);
}

/// The variables as the recipes' own tool gives them to service `app`: those that name the recipe also tell what is
/// deployed, whatever stands there. A stack of that tool is then taken over without a restart.
fn exposed(additions: &Additions) -> Environment {
    let mut exposed = additions.env.clone();
    let version = match additions.chaos {
        true => additions.revision.commit.short().to_owned(),
        false => additions.revision.to_string(),
    };
    for variable in ["TYPE", "RECIPE"] {
        let Some(value) = exposed.get_mut(variable).filter(|value| !value.is_empty()) else { continue };
        let recipe = value.split(':').next().unwrap_or_default();
        *value = format!("{recipe}:{version}");
    }
    exposed
}

fn add_variables(spec: &mut Value, variables: &Environment) {
    let container = &mut spec["TaskTemplate"]["ContainerSpec"];
    let mut entries: Vec<String> = texts(&container["Env"]).map(str::to_owned).collect();
    let set: BTreeSet<&str> = entries.iter().filter_map(|entry| entry.split('=').next()).collect();
    let missing = variables.iter().filter(|(name, _)| !set.contains(name.as_str()));
    let missing: Vec<String> = missing.map(|(name, value)| format!("{name}={value}")).collect();
    entries.extend(missing);
    entries.sort();
    if !entries.is_empty() {
        container["Env"] = json!(entries);
    }
}

/// A chaos deployment keeps the version label of the compose file, which says what it was made from.
fn add_labels(spec: &mut Value, stack: &StackName, additions: &Additions) {
    let mut set = |label: &str, value: &str| spec["Labels"][format!("coop-cloud.{stack}.{label}")] = json!(value);
    set("recipe", additions.recipe_name);
    set("chaos", if additions.chaos { "true" } else { "false" });
    if additions.chaos {
        set("chaos-version", additions.revision.commit.short());
    } else {
        set("version", &additions.revision.to_string());
    }
    spec["Labels"].sort_all_objects();
}

/// A certificate is declared, so nothing may ask an authority for another one: every label that names a resolver.
pub fn refuse_acme(desired: &Desired) -> Diagnostics {
    let mut found = Diagnostics::default();
    for service in &desired.services {
        for (label, value) in labels(service) {
            if label.to_ascii_lowercase().ends_with(".certresolver") && !value.trim().is_empty() {
                let message =
                    format!("service {}: the label {label}={value} would ask for a certificate by ACME", service.name);
                let hint = "leave its value empty; the declared certificate is then served";
                found.push(Diagnostic::error(None, message).hint(hint));
            }
        }
    }
    found
}

/// Routers that hand TLS on to the app: the proxy's certificate is not served there, and no gate can ask such an app.
pub fn tell_passthrough(desired: &Desired) -> Diagnostics {
    let mut found = Diagnostics::default();
    for service in &desired.services {
        for (label, value) in labels(service) {
            let lower = label.to_ascii_lowercase();
            let passes = lower.starts_with("traefik.tcp.routers.") && lower.ends_with(".tls.passthrough");
            if passes && value.trim().eq_ignore_ascii_case("true") {
                let message = format!(
                    "service {}: the label {label}={value} hands TLS on to the app, which is not supported",
                    service.name
                );
                let hint = "the app serves a certificate of its own there, which nothing here makes, rotates or checks";
                found.push(Diagnostic::warning(None, message).hint(hint));
            }
        }
    }
    found
}

/// Service and host for every host that a Traefik rule in the labels of a service names.
pub fn router_hosts(desired: &Desired) -> Vec<(String, String)> {
    let of_rule = |(service, rule): (&DesiredService, String)| {
        rule_hosts(&rule).into_iter().map(|host| (service.name.clone(), host)).collect::<Vec<_>>()
    };
    rules(desired).flat_map(of_rule).collect()
}

/// Every Traefik rule in the labels of a service.
pub fn router_rules(desired: &Desired) -> impl Iterator<Item = String> {
    rules(desired).map(|(_, rule)| rule)
}

fn rules(desired: &Desired) -> impl Iterator<Item = (&DesiredService, String)> {
    let is_rule = |label: &str| {
        let label = label.to_ascii_lowercase();
        label.starts_with("traefik.") && label.contains(".routers.") && label.ends_with(".rule")
    };
    let labels =
        desired.services.iter().flat_map(|service| labels(service).into_iter().map(move |label| (service, label)));
    labels.filter(move |(_, (label, _))| is_rule(label)).map(|(service, (_, rule))| (service, rule))
}

/// The configs that have to be in the Swarm already.
pub fn external_configs(desired: &Desired) -> impl Iterator<Item = String> {
    desired.configs.iter().filter(|config| config.body.is_none()).map(|config| config.name.clone())
}

/// The hosts in ``Host(`a`, `b`) || HostSNI(`c`)``; patterns are left out, and so is `HostSNI(*)`.
fn rule_hosts(rule: &str) -> Vec<String> {
    let matcher = |before: &str| {
        let is_word = |byte: u8| byte.is_ascii_alphanumeric();
        let word = before.bytes().rev().take_while(|byte| is_word(*byte)).take("hostsni".len() + 1).count();
        let word = &before[before.len() - word..];
        word.eq_ignore_ascii_case("host") || word.eq_ignore_ascii_case("hostsni")
    };
    let mut hosts = Vec::new();
    for (at, _) in rule.match_indices('(').filter(|(at, _)| matcher(rule[..*at].trim_end())) {
        // Up to the next bracket, so that no text is read twice.
        let arguments = rule[at + 1..].split(['(', ')']).next().unwrap_or_default();
        let names = arguments.split(',').map(|name| name.trim().trim_matches(['`', '"', '\'']).to_owned());
        hosts.extend(names.filter(|name| !name.is_empty() && name != "*"));
    }
    hosts
}

/// Labels of the service and of its containers.
fn labels(service: &DesiredService) -> BTreeMap<String, String> {
    let of_containers = &service.spec["TaskTemplate"]["ContainerSpec"]["Labels"];
    [of_containers, &service.spec["Labels"]]
        .into_iter()
        .filter_map(Value::as_object)
        .flatten()
        .map(|(label, value)| (label.clone(), value.as_str().unwrap_or_default().to_owned()))
        .collect()
}

fn texts(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desired::tests::desired;

    fn revision() -> Revision {
        Revision {
            version: Some("1.2.0+3".into()),
            commit: "0123456789abcdef0123456789abcdef01234567".parse().unwrap(),
        }
    }

    const APP: &str = "services: {app: {image: a, environment: [SET=by recipe, BARE], \
                       deploy: {labels: [coop-cloud.st.version=0.0.1]}}, db: {image: b}}";

    #[test]
    fn service_app_sees_every_variable_unless_it_is_set_there() {
        let mut desired = desired(APP);
        let env = [("SET", "no"), ("OTHER", "1"), ("Z", "")].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        let revision = revision();
        add(&mut desired, &Additions { recipe_name: "r", revision: &revision, chaos: false, env: &env });
        let env = |index: usize| &desired.services[index].spec["TaskTemplate"]["ContainerSpec"]["Env"];
        assert_eq!(env(0), &json!(["BARE", "OTHER=1", "SET=by recipe", "Z="]));
        assert_eq!(env(1), &Value::Null);
    }

    #[test]
    fn service_app_is_told_what_is_deployed() {
        let rows = [
            ("notes", false, "notes:1.2.0+3"),
            ("notes:1.0.0+1", false, "notes:1.2.0+3"),
            ("notes", true, "notes:01234567"),
        ];
        for (value, chaos, told) in rows {
            let mut desired = desired(APP);
            let (env, revision) = (Environment::from([("TYPE".to_owned(), value.to_owned())]), revision());
            add(&mut desired, &Additions { recipe_name: "r", revision: &revision, chaos, env: &env });
            let entries = &desired.services[0].spec["TaskTemplate"]["ContainerSpec"]["Env"];
            assert!(texts(entries).any(|entry| entry == format!("TYPE={told}")), "{entries}");
        }
    }

    #[test]
    fn labels_tell_what_runs() {
        for (chaos, version) in [(false, "1.2.0+3"), (true, "0.0.1")] {
            let mut desired = desired(APP);
            let (env, revision) = (Environment::new(), revision());
            add(&mut desired, &Additions { recipe_name: "r", revision: &revision, chaos, env: &env });
            let labels = &desired.services[0].spec["Labels"];
            assert_eq!(labels["coop-cloud.st.version"], version);
            assert_eq!(labels["coop-cloud.st.recipe"], "r");
            assert_eq!(labels["coop-cloud.st.chaos"], chaos.to_string());
            assert_eq!(labels.get("coop-cloud.st.chaos-version").is_some(), chaos);
        }
    }

    #[test]
    fn a_label_that_names_a_resolver_is_refused_and_an_empty_one_is_not() {
        let with = |value: &str| {
            let label = format!("traefik.http.routers.r.tls.certresolver={value}");
            desired(&format!("services: {{app: {{image: a, deploy: {{labels: ['{label}']}}}}}}"))
        };
        assert_eq!(refuse_acme(&with("")), Diagnostics::default());
        let found = refuse_acme(&with("production")).to_string();
        assert!(found.contains("st_app") && found.contains("tls.certresolver=production"), "{found}");
    }

    #[test]
    fn a_router_that_hands_tls_on_to_the_app_is_told_as_unsupported() {
        let with = |label: &str| desired(&format!("services: {{app: {{image: a, deploy: {{labels: ['{label}']}}}}}}"));
        let told = tell_passthrough(&with("traefik.tcp.routers.mail.tls.passthrough=true")).to_string();
        assert!(told.contains("warning") && told.contains("st_app") && told.contains("not supported"), "{told}");
        assert_eq!(tell_passthrough(&with("traefik.tcp.routers.mail.tls.passthrough=false")), Diagnostics::default());
        assert_eq!(tell_passthrough(&with("traefik.http.routers.web.tls=true")), Diagnostics::default());
    }

    #[test]
    fn hosts_are_found_in_router_rules() {
        let rule =
            "Host(`a.example.org`, `b.example.org`) || (HostSNI(`*`) && Host(`c.example.org`)) && PathPrefix(`/x`)";
        let yaml =
            format!("services: {{app: {{image: a, deploy: {{labels: {{traefik.http.routers.r.rule: '{rule}'}}}}}}}}");
        let hosts: Vec<String> = router_hosts(&desired(&yaml)).into_iter().map(|(_, host)| host).collect();
        assert_eq!(hosts, ["a.example.org", "b.example.org", "c.example.org"]);
        assert_eq!(rule_hosts("xHost(`a`) || host (`b`) && HOSTSNI(`c`"), ["b", "c"]);
    }

    #[test]
    fn rules_and_environments_of_any_length_are_read() {
        assert_eq!(rule_hosts(&"(".repeat(500_000)), Vec::<String>::new());
        assert_eq!(rule_hosts(&"Host(`a`) || ".repeat(50_000)).len(), 50_000);
        let own: String = (0..30_000).map(|number| format!("A{number}=1, ")).collect();
        let mut desired = desired(&format!("services: {{app: {{image: a, environment: [{own}]}}}}"));
        let variables = (0..60_000).map(|number| (format!("A{number}"), "2".to_owned())).collect();
        let revision = revision();
        add(&mut desired, &Additions { recipe_name: "r", revision: &revision, chaos: false, env: &variables });
        let entries = desired.services[0].spec["TaskTemplate"]["ContainerSpec"]["Env"].as_array().unwrap();
        assert_eq!(entries.iter().filter(|entry| entry.as_str().unwrap().ends_with("=1")).count(), 30_000);
        assert_eq!(entries.len(), 60_000);
    }
}
