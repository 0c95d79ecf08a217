//! Services: created, updated with the fewest restarts, or removed.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::canonical_form::{self, Names, mode_of};
use super::{Act, Change, Context, Draft, Object, diff, reason};
use crate::desired::{Desired, DesiredService};
use crate::model::observed::{Observed, Service};

pub(super) fn plan(observed: &Observed, desired: &Desired, context: &Context, draft: &mut Draft) {
    let names = Names::of(observed);
    let wanted: BTreeSet<&str> = desired.services.iter().map(|service| service.name.as_str()).collect();
    // First of all what is to go: it may hold the ports and volumes that others are about to take.
    for name in observed.services.keys().filter(|name| !wanted.contains(name.as_str())) {
        draft.change(Object::Service, name, Act::RemoveService, "the recipe no longer has it");
    }
    for service in &desired.services {
        draft.check_length(Object::Service, &service.name);
        match observed.services.get(&service.name) {
            Some(live) => compare(live, service, &names, context, draft),
            None => create(service, "is not there", draft),
        }
    }
}

/// Names of the volumes that specs mount.
pub fn volumes<'a>(specs: impl Iterator<Item = &'a Value>) -> BTreeSet<&'a str> {
    let mounts = specs.filter_map(|spec| spec.pointer("/TaskTemplate/ContainerSpec/Mounts")?.as_array()).flatten();
    let volumes = mounts.filter(|mount| mount["Type"] == "volume");
    volumes.filter_map(|mount| mount["Source"].as_str()).filter(|source| !source.is_empty()).collect()
}

fn create(service: &DesiredService, reason: &str, draft: &mut Draft) {
    draft.change(Object::Service, &service.name, Act::CreateService { spec: service.spec.clone() }, reason);
}

fn compare(live: &Service, service: &DesiredService, names: &Names, context: &Context, draft: &mut Draft) {
    let names = &names.with_predefined(&live.spec, &service.spec);
    let sides = Sides {
        live,
        live_form: canonical_form::service(&live.spec, names, context.engine()),
        wanted: &service.spec,
        wanted_form: canonical_form::service(&service.spec, names, context.engine()),
    };
    if sides.live_form == sides.wanted_form {
        draft.unchanged += 1;
    } else if mode_of(&live.spec) == mode_of(&service.spec) {
        draft.changes.push(sides.update(names, context));
    } else {
        let reason = format!(
            "its mode changes from {} to {}, which takes a new service",
            mode_of(&live.spec),
            mode_of(&service.spec)
        );
        draft.change(Object::Service, &service.name, Act::RemoveService, &reason);
        create(service, &reason, draft);
    }
}

/// A service as it is and as it is to be, each also in its canonical form.
struct Sides<'a> {
    live: &'a Service,
    live_form: Value,
    wanted: &'a Value,
    wanted_form: Value,
}

impl Sides<'_> {
    fn update(&self, names: &Names, context: &Context) -> Change {
        let spec = self.spec(&canonical_form::by_names(&self.live.spec, names));
        let restarts = self.restarts();
        Change {
            object: Object::Service,
            name: self.live.name.clone(),
            act: Act::UpdateService { spec, new_image: !self.same("/TaskTemplate/ContainerSpec/Image") },
            reason: reason::of_update(&self.live_form, &self.wanted_form, restarts),
            diff: Some(diff::unified(&self.live_form, &self.wanted_form, context.is_hidden)),
            restarts,
        }
    }

    fn same(&self, pointer: &str) -> bool {
        self.live_form.pointer(pointer) == self.wanted_form.pointer(pointer)
    }

    /// Equal but for where tasks may run: Swarm moves only those that may not stay.
    fn same_task(&self) -> bool {
        let task = |form: &Value| {
            let mut task = form["TaskTemplate"].as_object().cloned().unwrap_or_default();
            task.remove("Placement");
            task
        };
        task(&self.live_form) == task(&self.wanted_form)
    }

    /// A job runs again at every write.
    fn restarts(&self) -> bool {
        !self.same_task() || !self.same("/EndpointSpec") || mode_of(self.wanted).ends_with("Job")
    }

    /// The wanted spec, with the live wording of every part that means the same.
    fn spec(&self, live: &Value) -> Value {
        let mut spec = self.wanted.clone();
        let task = &mut spec["TaskTemplate"];
        if self.same_task() {
            let placement = if self.same("/TaskTemplate/Placement") { live } else { self.wanted };
            let placement = placement.pointer("/TaskTemplate/Placement").cloned();
            *task = live["TaskTemplate"].clone();
            set(task, "Placement", placement);
        } else {
            set(task, "ForceUpdate", live.pointer("/TaskTemplate/ForceUpdate").cloned());
            if self.same("/TaskTemplate/ContainerSpec/Image") {
                task["ContainerSpec"]["Image"] = live["TaskTemplate"]["ContainerSpec"]["Image"].clone();
            }
        }
        if self.same("/EndpointSpec") {
            set(&mut spec, "EndpointSpec", live.get("EndpointSpec").cloned());
        }
        if let Some(ports) = spec.pointer_mut("/EndpointSpec/Ports") {
            keep_order(ports, &self.live.endpoint_ports);
        }
        spec
    }
}

fn set(value: &mut Value, key: &str, part: Option<Value>) {
    let Some(map): Option<&mut Map<String, Value>> = value.as_object_mut() else { return };
    match part {
        Some(part) => drop(map.insert(key.to_owned(), part)),
        None => drop(map.remove(key)),
    }
}

/// Swarm goes by the order that it saw first, and restarts every task at each update that has another.
fn keep_order(ports: &mut Value, live: &[Value]) {
    let Value::Array(wanted) = ports else { return };
    if canonical_form::ports(wanted) == canonical_form::ports(live) {
        *wanted = live.to_vec();
    }
}
