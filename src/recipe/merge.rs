//! Several compose files as one, by the rules of the Docker CLI.
//!
//! The surprise is how little is uniform: zero values never override, some lists are replaced, some joined by a key and
//! sorted, all others appended. Recipes were written against that, so it is kept; the warnings of a compose file say
//! where it loses something.

use std::collections::BTreeMap;

use crate::recipe::compose::model::{
    Deploy, Healthcheck, Logging, Nanos, Project, Resource, RestartPolicy, Service, ServiceNetwork, UpdateConfig,
};

/// `base` with `over` laid on it; top-level objects are replaced whole. What that drops or joins is told elsewhere.
pub fn merge(base: &mut Project, over: Project) {
    for (name, service) in over.services {
        match base.services.get_mut(&name) {
            Some(base) => merge_service(base, service),
            None => drop(base.services.insert(name, service)),
        }
    }
    base.networks.extend(over.networks);
    base.volumes.extend(over.volumes);
    base.secrets.extend(over.secrets);
    base.configs.extend(over.configs);
}

fn merge_service(base: &mut Service, over: Service) {
    merge_settings(base, &over);
    replace_if_any(&mut base.command, over.command);
    replace_if_any(&mut base.entrypoint, over.entrypoint);
    merge_environment(&mut base.environment, over.environment);
    base.labels.extend(over.labels);
    base.sysctls.extend(over.sysctls);
    base.ulimits.extend(over.ulimits);
    base.extra_hosts.extend(over.extra_hosts);
    append_if_any(&mut base.dns, over.dns);
    append_if_any(&mut base.dns_search, over.dns_search);
    base.cap_add.extend(over.cap_add);
    base.cap_drop.extend(over.cap_drop);
    base.tmpfs.extend(over.tmpfs);
    merge_optional(&mut base.healthcheck, over.healthcheck, merge_healthcheck);
    merge_optional(&mut base.logging, over.logging, merge_logging);
    merge_networks(&mut base.networks, over.networks);
    join_by(&mut base.ports, &mut base.lists.ports, over.ports, |port| port.published);
    join_by(&mut base.volumes, &mut base.lists.volumes, over.volumes, |mount| mount.target.clone());
    join_by(&mut base.secrets, &mut base.lists.secrets, over.secrets, |reference| reference.source.clone());
    join_by(&mut base.configs, &mut base.lists.configs, over.configs, |reference| reference.source.clone());
    merge_deploy(&mut base.deploy, over.deploy);
}

fn merge_settings(base: &mut Service, over: &Service) {
    override_text(&mut base.image, &over.image);
    override_text(&mut base.hostname, &over.hostname);
    override_text(&mut base.user, &over.user);
    override_text(&mut base.working_dir, &over.working_dir);
    override_text(&mut base.isolation, &over.isolation);
    override_text(&mut base.stop_signal, &over.stop_signal);
    override_text(&mut base.restart, &over.restart);
    override_text(&mut base.credential_spec.config, &over.credential_spec.config);
    override_text(&mut base.credential_spec.file, &over.credential_spec.file);
    override_text(&mut base.credential_spec.registry, &over.credential_spec.registry);
    base.tty |= over.tty;
    base.stdin_open |= over.stdin_open;
    base.read_only |= over.read_only;
    override_unless_zero(&mut base.init, over.init);
    override_unless_zero(&mut base.stop_grace_period, over.stop_grace_period);
}

fn override_text(base: &mut String, over: &str) {
    if !over.is_empty() {
        over.clone_into(base);
    }
}

fn override_value<T: Default + PartialEq>(base: &mut T, over: T) {
    if over != T::default() {
        *base = over;
    }
}

/// A setting that is there and zero stays out only where the base has one.
fn override_unless_zero<T: Default + PartialEq>(base: &mut Option<T>, over: Option<T>) {
    if base.is_none() || over.as_ref().is_some_and(|value| *value != T::default()) {
        *base = over.or(base.take());
    }
}

/// Counts override also with zero.
fn override_count(base: &mut Option<u64>, over: Option<u64>) {
    *base = over.or(*base);
}

fn replace_if_any(base: &mut Vec<String>, over: Vec<String>) {
    if !over.is_empty() {
        *base = over;
    }
}

/// An empty list makes none where the base has none.
fn append_if_any(base: &mut Option<Vec<String>>, over: Option<Vec<String>>) {
    let over = over.unwrap_or_default();
    if !over.is_empty() {
        base.get_or_insert_default().extend(over);
    }
}

/// A value that is empty or absent overrides only its like.
fn merge_environment(base: &mut BTreeMap<String, Option<String>>, over: BTreeMap<String, Option<String>>) {
    let empty = |value: &Option<String>| value.as_deref().unwrap_or_default().is_empty();
    for (name, value) in over {
        let keeps = empty(&value) && base.get(&name).is_some_and(|present| !empty(present));
        if !keeps {
            base.insert(name, value);
        }
    }
}

fn merge_optional<T>(base: &mut Option<T>, over: Option<T>, merge: impl FnOnce(&mut T, T)) {
    match (base.as_mut(), over) {
        (Some(base), Some(over)) => merge(base, over),
        (None, over) => *base = over,
        (Some(_), None) => {}
    }
}

fn merge_healthcheck(base: &mut Healthcheck, over: Healthcheck) {
    base.test.extend(over.test);
    base.disable |= over.disable;
    override_unless_zero(&mut base.interval, over.interval);
    override_unless_zero(&mut base.timeout, over.timeout);
    override_unless_zero(&mut base.start_period, over.start_period);
    override_unless_zero(&mut base.start_interval, over.start_interval);
    override_count(&mut base.retries, over.retries);
}

/// Options come together under one driver, if the base has any.
fn merge_logging(base: &mut Logging, over: Logging) {
    if base.driver != over.driver && !base.driver.is_empty() && !over.driver.is_empty() {
        *base = over;
        return;
    }
    if base.driver.is_empty() {
        base.driver = over.driver;
    }
    if let Some(options) = &mut base.options {
        options.extend(over.options.unwrap_or_default());
    }
}

/// Aliases are replaced, also by none; driver options stay the base's.
fn merge_networks(base: &mut BTreeMap<String, Option<ServiceNetwork>>, over: BTreeMap<String, Option<ServiceNetwork>>) {
    for (name, network) in over {
        match (base.get_mut(&name), network) {
            (Some(Some(base)), Some(over)) => base.aliases = over.aliases,
            (Some(Some(_)), None) => {}
            (_, network) => drop(base.insert(name, network)),
        }
    }
}

/// One entry a key, the later one, sorted by key; a base without the list takes the other as it is.
fn join_by<T, K: Ord>(base: &mut Vec<T>, present: &mut bool, over: Vec<T>, key: impl Fn(&T) -> K) {
    if !*present {
        *present = !over.is_empty();
        *base = over;
        return;
    }
    let joined: BTreeMap<K, T> = base.drain(..).chain(over).map(|entry| (key(&entry), entry)).collect();
    base.extend(joined.into_values());
}

fn merge_deploy(base: &mut Deploy, over: Deploy) {
    override_text(&mut base.mode, &over.mode);
    override_text(&mut base.endpoint_mode, &over.endpoint_mode);
    override_count(&mut base.replicas, over.replicas);
    override_value(&mut base.max_replicas_per_node, over.max_replicas_per_node);
    base.labels.extend(over.labels);
    base.constraints.extend(over.constraints);
    base.preferences.extend(over.preferences);
    merge_optional(&mut base.update_config, over.update_config, merge_update_config);
    merge_optional(&mut base.rollback_config, over.rollback_config, merge_update_config);
    merge_optional(&mut base.restart_policy, over.restart_policy, merge_restart_policy);
    merge_optional(&mut base.limits, over.limits, merge_resource);
    merge_optional(&mut base.reservations, over.reservations, merge_resource);
}

fn merge_update_config(base: &mut UpdateConfig, over: UpdateConfig) {
    override_count(&mut base.parallelism, over.parallelism);
    override_value::<Nanos>(&mut base.delay, over.delay);
    override_text(&mut base.failure_action, &over.failure_action);
    override_value::<Nanos>(&mut base.monitor, over.monitor);
    override_value(&mut base.max_failure_ratio, over.max_failure_ratio);
    override_text(&mut base.order, &over.order);
}

fn merge_restart_policy(base: &mut RestartPolicy, over: RestartPolicy) {
    override_text(&mut base.condition, &over.condition);
    override_unless_zero(&mut base.delay, over.delay);
    override_count(&mut base.max_attempts, over.max_attempts);
    override_unless_zero(&mut base.window, over.window);
}

fn merge_resource(base: &mut Resource, over: Resource) {
    base.cpus = over.cpus.or(base.cpus.take());
    override_value(&mut base.memory_bytes, over.memory_bytes);
    override_value(&mut base.pids, over.pids);
    base.generic.extend(over.generic);
}
