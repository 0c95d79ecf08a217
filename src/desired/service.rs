//! One service as the body of `POST /services/create`.

use serde_json::{Map, Value, json};

use super::body::{put, put_given, put_labels, with_namespace};
use super::mounts::{self, mounts};
use super::references::References;
use super::{DesiredService, endpoint, references};
use crate::model::app::StackName;
use crate::model::diagnostic::{Diagnostic, Diagnostics};
use crate::recipe::compose::model::{
    Deploy, Healthcheck, Network, Placed, Project, Resource, RestartPolicy, Service, UpdateConfig,
};
use crate::recipe::values;

/// The label that keeps the image as the recipe names it.
pub const IMAGE: &str = "com.docker.stack.image";

/// The service; what cannot be sent goes to `found`.
pub fn convert(
    name: &str,
    service: &Service,
    project: &Project,
    stack: &StackName,
    folder: Option<&str>,
    found: &mut Diagnostics,
) -> DesiredService {
    let context = mounts::Context { stack, volumes: &project.volumes, folder };
    let references = references::of_service(name, service, project, stack, found);
    let mounts = mounts(name, service, &context, found);
    let resources = resources(name, &service.deploy, found);
    let mut fault = |message: String| {
        found.push(Diagnostic::error(service.place.clone(), format!("service {name}: {message}")));
    };
    let full_name = format!("{stack}_{name}");
    let mut body = Map::new();
    body.insert("Name".into(), json!(full_name));
    let mut labels = with_namespace(&service.deploy.labels, stack);
    labels.insert(IMAGE.to_owned(), service.image.clone());
    body.insert("Labels".into(), json!(labels));
    let container = container(name, service, stack, mounts, references, &mut fault);
    let mut task = task(name, service, &project.networks, stack, container, &mut fault);
    task.insert("Resources".into(), resources);
    body.insert("TaskTemplate".into(), Value::Object(task));
    body.insert("Mode".into(), mode(&service.deploy, &mut fault));
    put_given(&mut body, "UpdateConfig", service.deploy.update_config.as_ref().map(update_config));
    put_given(&mut body, "RollbackConfig", service.deploy.rollback_config.as_ref().map(update_config));
    body.insert("EndpointSpec".into(), endpoint::spec(service));
    DesiredService { name: full_name, spec: Value::Object(body) }
}

fn container(
    name: &str,
    service: &Service,
    stack: &StackName,
    mounts: Vec<Value>,
    references: References,
    fault: &mut impl FnMut(String),
) -> Map<String, Value> {
    let mut body = Map::new();
    match values::image_reference(&service.image) {
        Ok(image) => drop(body.insert("Image".into(), json!(image))),
        Err(cause) => fault(format!("invalid image reference for service {name}: {cause}")),
    }
    put_labels(&mut body, &service.labels, stack);
    put(&mut body, "Command", json!(service.entrypoint));
    put(&mut body, "Args", json!(service.command));
    put(&mut body, "Hostname", json!(service.hostname));
    put(&mut body, "Env", json!(environment(service)));
    put(&mut body, "Dir", json!(service.working_dir));
    put(&mut body, "User", json!(service.user));
    let credentials = references::credential_spec(&service.credential_spec, fault);
    let privileges = json!({ "CredentialSpec": credentials, "NoNewPrivileges": false, "SELinuxContext": null });
    body.insert("Privileges".into(), privileges);
    put_given(&mut body, "Init", service.init);
    put(&mut body, "StopSignal", json!(service.stop_signal));
    put(&mut body, "TTY", json!(service.tty));
    put(&mut body, "OpenStdin", json!(service.stdin_open));
    put(&mut body, "ReadOnly", json!(service.read_only));
    put(&mut body, "Mounts", json!(mounts));
    put_given(&mut body, "StopGracePeriod", service.stop_grace_period);
    put_given(&mut body, "Healthcheck", service.healthcheck.as_ref().and_then(|check| healthcheck(check, fault)));
    put(&mut body, "Hosts", json!(hosts(service)));
    put_given(&mut body, "DNSConfig", dns(service));
    put(&mut body, "Secrets", json!(references.secrets));
    put(&mut body, "Configs", json!(references.configs));
    put(&mut body, "Isolation", json!(service.isolation));
    put(&mut body, "Sysctls", json!(service.sysctls));
    let capabilities = values::capabilities(&service.cap_add, &service.cap_drop);
    put(&mut body, "CapabilityAdd", json!(capabilities.add));
    put(&mut body, "CapabilityDrop", json!(capabilities.drop));
    put(&mut body, "Ulimits", json!(ulimits(service)));
    body
}

/// `NAME=value`, or `NAME` where the variable is to be absent; sorted bytewise as a whole.
fn environment(service: &Service) -> Vec<String> {
    let entry = |(name, value): (&String, &Option<String>)| match value {
        Some(value) => format!("{name}={value}"),
        None => name.clone(),
    };
    let mut entries: Vec<String> = service.environment.iter().map(entry).collect();
    entries.sort();
    entries
}

fn hosts(service: &Service) -> Vec<String> {
    let line = |entry: &String| entry.split_once(':').map(|(host, address)| format!("{address} {host}"));
    service.extra_hosts.iter().filter_map(line).collect()
}

fn dns(service: &Service) -> Option<Value> {
    let given = service.dns.is_some() || service.dns_search.is_some();
    given.then(|| {
        let mut body = Map::new();
        put(&mut body, "Nameservers", json!(service.dns));
        put(&mut body, "Search", json!(service.dns_search));
        Value::Object(body)
    })
}

fn ulimits(service: &Service) -> Vec<Value> {
    let body = |(name, limit): (&String, &crate::recipe::compose::model::Ulimit)| {
        let (soft, hard) = if limit.single == 0 { (limit.soft, limit.hard) } else { (limit.single, limit.single) };
        json!({ "Name": name, "Soft": soft, "Hard": hard })
    };
    service.ulimits.iter().map(body).collect()
}

fn healthcheck(check: &Healthcheck, fault: &mut impl FnMut(String)) -> Option<Value> {
    if check.disable && !check.test.is_empty() {
        fault("healthcheck: test and disable can't be set at the same time".to_owned());
        return None;
    }
    if check.disable {
        return Some(json!({ "Test": ["NONE"] }));
    }
    let mut body = Map::new();
    put(&mut body, "Test", json!(check.test));
    put(&mut body, "Interval", json!(check.interval));
    put(&mut body, "Timeout", json!(check.timeout));
    put(&mut body, "StartPeriod", json!(check.start_period));
    put(&mut body, "StartInterval", json!(check.start_interval));
    put(&mut body, "Retries", json!(check.retries));
    Some(Value::Object(body))
}

fn task(
    name: &str,
    service: &Service,
    networks: &std::collections::BTreeMap<String, Network>,
    stack: &StackName,
    container: Map<String, Value>,
    fault: &mut impl FnMut(String),
) -> Map<String, Value> {
    let mut body = Map::new();
    body.insert("ContainerSpec".into(), Value::Object(container));
    put_given(&mut body, "RestartPolicy", restart_policy(service, fault));
    body.insert("Placement".into(), placement(&service.deploy));
    put(&mut body, "Networks", json!(endpoint::networks(name, service, networks, stack, fault)));
    if let Some(logging) = &service.logging {
        let mut driver = Map::new();
        put(&mut driver, "Name", json!(logging.driver));
        put(&mut driver, "Options", json!(logging.options));
        body.insert("LogDriver".into(), Value::Object(driver));
    }
    body.insert("ForceUpdate".into(), json!(0));
    body
}

fn resources(name: &str, deploy: &Deploy, found: &mut Diagnostics) -> Value {
    let path = |part: &str| format!("services.{name}.deploy.resources.{part}");
    let mut body = Map::new();
    put_given(&mut body, "Limits", deploy.limits.as_ref().map(|limits| resource(&path("limits"), limits, found)));
    put_given(
        &mut body,
        "Reservations",
        deploy.reservations.as_ref().map(|reserved| resource(&path("reservations"), reserved, found)),
    );
    Value::Object(body)
}

fn resource(path: &str, resource: &Resource, found: &mut Diagnostics) -> Value {
    let mut body = Map::new();
    if let Some(Placed { text, place }) = &resource.cpus {
        match values::nano_cpus(text) {
            Ok(cpus) => put(&mut body, "NanoCPUs", json!(cpus)),
            Err(cause) => {
                let message = format!("{path}.cpus: {cause}");
                found.push(Diagnostic::error(place.clone(), message).hint("such as \"0.5\""));
            }
        }
    }
    put(&mut body, "MemoryBytes", json!(resource.memory_bytes));
    put(&mut body, "Pids", json!(resource.pids));
    let generic = |entry: &Option<(String, i64)>| {
        let Some((kind, value)) = entry else { return json!({}) };
        let mut discrete = Map::new();
        put(&mut discrete, "Kind", json!(kind));
        put(&mut discrete, "Value", json!(value));
        json!({ "DiscreteResourceSpec": discrete })
    };
    put(&mut body, "GenericResources", resource.generic.iter().map(generic).collect());
    Value::Object(body)
}

fn placement(deploy: &Deploy) -> Value {
    let mut body = Map::new();
    put(&mut body, "Constraints", json!(deploy.constraints));
    let spread = |over: &String| json!({ "Spread": { "SpreadDescriptor": over } });
    put(&mut body, "Preferences", deploy.preferences.iter().map(spread).collect());
    put(&mut body, "MaxReplicas", json!(deploy.max_replicas_per_node));
    Value::Object(body)
}

fn restart_policy(service: &Service, fault: &mut impl FnMut(String)) -> Option<Value> {
    let Some(policy) = &service.deploy.restart_policy else {
        return legacy_restart_policy(&service.restart).unwrap_or_else(|cause| {
            fault(cause);
            None
        });
    };
    Some(given_restart_policy(policy))
}

fn given_restart_policy(policy: &RestartPolicy) -> Value {
    let mut body = Map::new();
    put(&mut body, "Condition", json!(policy.condition));
    put_given(&mut body, "Delay", policy.delay);
    put_given(&mut body, "MaxAttempts", policy.max_attempts);
    put_given(&mut body, "Window", policy.window);
    Value::Object(body)
}

/// `restart: always`, of the compose files for single hosts.
fn legacy_restart_policy(restart: &str) -> Result<Option<Value>, String> {
    let (name, count) = restart.split_once(':').unwrap_or((restart, ""));
    if name.is_empty() && !restart.is_empty() {
        return Err("invalid restart policy format: no policy provided before colon".to_owned());
    }
    let count: i64 = match count {
        "" => 0,
        count => count
            .parse()
            .map_err(|_| "invalid restart policy format: maximum retry count must be an integer".to_owned())?,
    };
    match name {
        "" | "no" => Ok(None),
        "always" | "unless-stopped" => Ok(Some(json!({ "Condition": "any" }))),
        "on-failure" if count < 0 => Err(format!("restart: {restart}: the maximum retry count is out of range")),
        "on-failure" => Ok(Some(json!({ "Condition": "on-failure", "MaxAttempts": count }))),
        _ => Err(format!("unknown restart policy: {restart} (always, unless-stopped, on-failure or no)")),
    }
}

fn mode(deploy: &Deploy, fault: &mut impl FnMut(String)) -> Value {
    let mut counts = Map::new();
    match deploy.mode.as_str() {
        "" | "replicated" => {
            put_given(&mut counts, "Replicas", deploy.replicas);
            json!({ "Replicated": counts })
        }
        "replicated-job" => {
            put_given(&mut counts, "MaxConcurrent", deploy.replicas);
            put_given(&mut counts, "TotalCompletions", deploy.replicas);
            json!({ "ReplicatedJob": counts })
        }
        "global" | "global-job" => {
            if deploy.replicas.is_some() {
                fault("replicas can only be used with replicated or replicated-job mode".to_owned());
            }
            if deploy.mode == "global" { json!({ "Global": {} }) } else { json!({ "GlobalJob": {} }) }
        }
        other => {
            fault(format!("Unknown mode: {other} (replicated, global, replicated-job or global-job)"));
            Value::Null
        }
    }
}

fn update_config(config: &UpdateConfig) -> Value {
    let mut body = Map::new();
    body.insert("Parallelism".into(), json!(config.parallelism.unwrap_or(1)));
    put(&mut body, "Delay", json!(config.delay));
    put(&mut body, "FailureAction", json!(config.failure_action));
    put(&mut body, "Monitor", json!(config.monitor));
    body.insert("MaxFailureRatio".into(), ratio(config.max_failure_ratio));
    body.insert("Order".into(), json!(config.order));
    Value::Object(body)
}

/// The shortest decimal that is this 32-bit number, as Go writes it (0.3 and not 0.30000001192092896).
fn ratio(ratio: f32) -> Value {
    match ratio.to_string().parse::<f64>() {
        Ok(0.0) | Err(_) => json!(0),
        Ok(number) if number.fract() == 0.0 && number.abs() < 2f64.powi(63) => json!(number as i64),
        Ok(number) if number.fract() == 0.0 && (0.0..2f64.powi(64)).contains(&number) => json!(number as u64),
        Ok(number) => json!(number),
    }
}
