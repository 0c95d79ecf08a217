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
        live_form: canonical_form::service(&by_name(&live.spec, &service.spec, context), names, context.engine()),
        wanted: &service.spec,
        wanted_form: canonical_form::service(&service.spec, names, context.engine()),
    };
    if sides.live_form == sides.wanted_form {
        match has_poisoned_ports(live) {
            true => draft.changes.push(sides.cure(names)),
            false => draft.unchanged += 1,
        }
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

/// The live spec with the image's name where it has the id that this name stood for when the release was recorded.
fn by_name(live: &Value, wanted: &Value, context: &Context) -> Value {
    const IMAGE: &str = "/TaskTemplate/ContainerSpec/Image";
    let mut spec = live.clone();
    let wanted = wanted.pointer(IMAGE).and_then(Value::as_str).unwrap_or_default();
    if let Some(Value::String(image)) = spec.pointer_mut(IMAGE)
        && image != wanted
    {
        let same_words = |name: &str| canonical_form::without_digest(name) == canonical_form::without_digest(wanted);
        let mut names = context.images.iter().filter(|(_, id)| *id == image).map(|(name, _)| name);
        if let Some(name) = names.find(|name| same_words(name)) {
            *image = name.clone();
        }
    }
    spec
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
        Change {
            object: Object::Service,
            name: self.live.name.clone(),
            act: Act::UpdateService { spec, new_image: !self.same("/TaskTemplate/ContainerSpec/Image") },
            reason: reason::of_update(&self.live_form, &self.wanted_form),
            diff: Some(diff::unified(&self.live_form, &self.wanted_form, context.is_hidden)),
            restarts: self.restarts(),
        }
    }

    /// The same ports in the order that Swarm goes by: nothing is restarted, and no later update restarts what it need
    /// not.
    fn cure(&self, names: &Names) -> Change {
        let spec = self.spec(&canonical_form::by_names(&self.live.spec, names));
        let reason = "its ports stand in another order than the one that Swarm goes by, so that each update would restart \
                      its tasks";
        Change {
            object: Object::Service,
            name: self.live.name.clone(),
            act: Act::UpdateService { spec, new_image: false },
            reason: reason.to_owned(),
            diff: None,
            restarts: false,
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

    /// A job runs again at every write; a service of no replicas, before or after, has nothing that could.
    fn restarts(&self) -> bool {
        let replaces = !self.same_task() || !self.same("/EndpointSpec");
        let is_at_none =
            |form: &Value| form.pointer("/Mode/Replicated/Replicas").is_some_and(|replicas| *replicas == 0);
        let runs_on = !is_at_none(&self.live_form) && !is_at_none(&self.wanted_form);
        mode_of(self.wanted).ends_with("Job") || replaces && runs_on
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
        canonical_form::keep_unknown(&mut spec, live);
        spec
    }
}

/// The same ports as Swarm goes by, in another order.
fn has_poisoned_ports(live: &Service) -> bool {
    let ports = live.spec.pointer("/EndpointSpec/Ports").and_then(Value::as_array);
    let ports = ports.map(Vec::as_slice).unwrap_or_default();
    canonical_form::ports(ports) == canonical_form::ports(&live.endpoint_ports)
        && canonical_form::ports_in_order(ports) != canonical_form::ports_in_order(&live.endpoint_ports)
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::config::Resolve;
    use crate::desired::Desired;
    use crate::model::observed::Observed;
    use crate::plan::world::{desired, observed, spec, with};
    use crate::plan::{Act, Change, Context, Plan};

    fn plan(live: &Observed, wanted: &Desired) -> Plan {
        let version = |_: &[u8]| "c1234567".to_owned();
        Plan::new(live, wanted, &Context::new(&[].into(), &version, Resolve::Changed)).unwrap()
    }

    fn sent(change: &Change) -> &serde_json::Value {
        let Act::UpdateService { spec, .. } = &change.act else { panic!("{change:?}") };
        spec
    }

    #[test]
    fn a_poisoned_order_of_ports_is_cured_by_one_write_that_restarts_nothing() {
        let (udp, tcp) = (json!({ "Protocol": "udp", "TargetPort": 53 }), json!({ "TargetPort": 53 }));
        let ports = |list| desired().service(with(spec("app", "dns:1"), "/EndpointSpec/Ports", list));
        let wanted = ports(json!([tcp, udp]));
        let mut live = observed(&wanted);
        live.services.get_mut("wiki_app").unwrap().endpoint_ports.reverse();
        for wanted in [wanted, ports(json!([udp, tcp]))] {
            let plan = plan(&live, &wanted);
            assert_eq!((plan.changes.len(), plan.changes[0].restarts), (1, false));
            assert!(plan.changes[0].reason.contains("another order"), "{plan}");
            let order = json!(live.services["wiki_app"].endpoint_ports);
            assert_eq!(sent(&plan.changes[0])["EndpointSpec"]["Ports"], order);

            let mut cured = live.clone();
            cured.services.get_mut("wiki_app").unwrap().spec["EndpointSpec"]["Ports"] = order;
            assert!(self::plan(&cured, &wanted).is_empty());
        }
    }

    #[test]
    fn an_image_that_is_named_by_its_id_is_the_one_of_that_name_when_it_was_recorded() {
        let wanted = desired().service(spec("app", "wiki:1"));
        let mut live = observed(&wanted);
        let id = format!("sha256:{}", "a".repeat(64));
        live.services.get_mut("wiki_app").unwrap().spec["TaskTemplate"]["ContainerSpec"]["Image"] = json!(id);
        let plan = |wanted: &Desired, recorded: &str| {
            let (nothing, version) = ([].into(), |_: &[u8]| "c1234567".to_owned());
            let images = [(recorded.to_owned(), id.clone())].into();
            let context = Context::new(&nothing, &version, Resolve::Changed);
            Plan::new(&live, wanted, &Context { images: &images, ..context }).unwrap()
        };
        assert!(plan(&wanted, "wiki:1").is_empty());
        assert!(plan(&wanted, &format!("wiki:1@{id}")).is_empty());
        assert!(!plan(&wanted, "wiki:2").is_empty());
        // Whatever else is changed, the image stays the one that it is.
        let more = plan(&desired().service(with(spec("app", "wiki:1"), "/Labels/a", json!("1"))), "wiki:1");
        assert_eq!(sent(&more.changes[0]).pointer("/TaskTemplate/ContainerSpec/Image"), Some(&json!(id)));
        assert!(!more.changes[0].restarts);
    }

    #[test]
    fn fields_of_a_newer_engine_are_no_difference_and_are_handed_on() {
        let wanted = desired().service(spec("app", "wiki:1"));
        let mut live = observed(&wanted);
        let service = &mut live.services.get_mut("wiki_app").unwrap().spec;
        service["Future"] = json!({ "x": 1 });
        service["TaskTemplate"]["ContainerSpec"]["Tomorrow"] = json!(["y"]);
        assert!(plan(&live, &wanted).is_empty());

        for (at, value) in [("/TaskTemplate/ContainerSpec/Env", json!(["A=1"])), ("/Labels/a", json!("1"))] {
            let plan = plan(&live, &desired().service(with(spec("app", "wiki:1"), at, value.clone())));
            let sent = sent(&plan.changes[0]);
            assert_eq!(sent.pointer(at), Some(&value));
            assert_eq!(
                (&sent["Future"], &sent["TaskTemplate"]["ContainerSpec"]["Tomorrow"]),
                (&json!({ "x": 1 }), &json!(["y"]))
            );
        }
    }
}
