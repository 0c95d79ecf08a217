//! What a plan means for a stack beside its changes: which services restart and for how long about, and what stays.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};

use super::restart::{Restart, last_started};
use super::{Act, NAMESPACE_LABEL, Object, Plan, services};
use crate::model::observed::{Observed, Task};

/// Names are sorted and unique.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Account {
    /// By the services' names.
    pub restarts: BTreeMap<String, Restart>,
    pub stays: Stays,
    /// Volumes that services name and that nobody has: the Engine makes them with the first container.
    pub new_volumes: Vec<String>,
}

/// What is as declared, and is not written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stays {
    pub services: Vec<String>,
    pub networks: Vec<String>,
    pub secrets: Vec<String>,
    pub configs: Vec<String>,
    /// Every volume of the stack: none is ever removed.
    pub volumes: Vec<String>,
}

impl Plan {
    /// The services that restart, each with the task whose start is the last one known.
    pub fn restarting<'a>(&'a self, observed: &'a Observed) -> Vec<(&'a str, &'a Task)> {
        let services = self.restarted().filter_map(|(name, _)| Some((name, observed.services.get(name)?)));
        services.filter_map(|(name, service)| Some((name, last_started(observed, service)?))).collect()
    }

    /// `starts`: how long the last start of a service took, where that is known.
    pub fn account(&self, observed: &Observed, starts: &BTreeMap<String, Duration>) -> Account {
        let restart = |(name, spec): (&str, &Value)| {
            let live = observed.services.get(name)?;
            Some((name.to_owned(), Restart::new(live, spec, observed, starts.get(name).copied())))
        };
        let wanted = services::volumes(self.desired.services.iter().map(|service| &service.spec));
        let new_volumes = wanted.iter().filter(|name| !observed.volumes.contains_key(**name));
        Account {
            restarts: self.restarted().filter_map(restart).collect(),
            stays: self.stays(observed, &wanted),
            new_volumes: new_volumes.map(|name| (*name).to_owned()).collect(),
        }
    }

    fn restarted(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.changes.iter().filter(|change| change.restarts).filter_map(|change| match &change.act {
            Act::UpdateService { spec, .. } => Some((change.name.as_str(), spec)),
            _ => None,
        })
    }

    fn stays(&self, observed: &Observed, wanted_volumes: &BTreeSet<&str>) -> Stays {
        let desired = &self.desired;
        let changed = |object: Object, name: &str| self.changes.iter().any(|c| c.object == object && c.name == name);
        let rest = |object: Object, names: BTreeSet<&str>| -> Vec<String> {
            names.into_iter().filter(|name| !changed(object, name)).map(str::to_owned).collect()
        };
        let networks = desired.networks.iter().map(|network| &network.name).chain(&desired.external_networks);
        let mut volumes = services::volumes(observed.services.values().map(|service| &service.spec));
        volumes.extend(wanted_volumes);
        let ours = |labels: &BTreeMap<String, String>| {
            labels.get(NAMESPACE_LABEL).is_some_and(|stack| stack == desired.stack.as_str())
        };
        let kept = observed.volumes.values().filter(|v| ours(&v.labels) || volumes.contains(v.name.as_str()));
        Stays {
            services: rest(Object::Service, desired.services.iter().map(|service| service.name.as_str()).collect()),
            networks: rest(Object::Network, networks.map(String::as_str).collect()),
            secrets: rest(Object::Secret, desired.secrets.iter().map(|secret| secret.name.as_str()).collect()),
            configs: rest(Object::Config, desired.configs.iter().map(|config| config.name.as_str()).collect()),
            volumes: kept.map(|volume| volume.name.clone()).collect(),
        }
    }
}

impl Stays {
    /// Each kind with its names, where it has any.
    pub fn kinds(&self) -> impl Iterator<Item = (&'static str, &[String])> {
        let kinds = [
            ("service", self.services.as_slice()),
            ("network", &self.networks),
            ("secret", &self.secrets),
            ("config", &self.configs),
            ("volume", &self.volumes),
        ];
        kinds.into_iter().filter(|(_, names)| !names.is_empty())
    }

    pub fn to_json(&self) -> Value {
        json!({
            "services": self.services,
            "networks": self.networks,
            "secrets": self.secrets,
            "configs": self.configs,
            "volumes": self.volumes,
        })
    }
}
