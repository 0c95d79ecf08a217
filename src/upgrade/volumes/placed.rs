//! Where the services that keep data are, and whether they come up beside it again.
//!
//! Volumes are local to a node, and what is stopped is scheduled anew: where the Swarm has other nodes, Swarm may start a
//! task there, on a new and empty volume of the same name. The border: nothing here looks at data.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::model::observed::{Observed, OtherNode, Service, Task, TaskState};
use crate::model::transaction::Volume;
use crate::plan;

/// The nodes of the Swarm, from this one.
#[derive(Debug, Clone, Copy)]
pub struct Nodes<'a> {
    pub id: &'a str,
    pub hostname: &'a str,
    /// By id.
    pub others: &'a BTreeMap<String, OtherNode>,
    /// This one among them.
    pub managers: u64,
}

/// Why a service with these volumes may come up on another node, if one may.
pub fn may_start_elsewhere(specs: &[&Value], volumes: &BTreeMap<String, Volume>, nodes: Nodes<'_>) -> Option<String> {
    let mut free = specs.iter().filter(|spec| keeps_data(spec, volumes) && !nodes.keep_on(spec, nodes.id));
    let service = nodes.others_that_take_tasks().next().and_then(|_| free.next())?["Name"].as_str().unwrap_or_default();
    Some(format!(
        "the Swarm has {}, and nothing keeps service {service} on this one, where its volumes are: started again, it may come \
         up on another with empty ones: {}place it here (deploy.placement.constraints: {}), or have the others take no tasks \
         meanwhile (`docker node update --availability pause {}`)",
        nodes.in_words(),
        nodes.or_remove_some(),
        nodes.constraint(nodes.id),
        listed(nodes.others_that_take_tasks())
    ))
}

/// Why the data of a stack is not here, if a service that has some of these volumes runs on another node.
pub fn runs_elsewhere(observed: &Observed, volumes: &BTreeMap<String, Volume>, nodes: Nodes<'_>) -> Option<String> {
    let has_data = |service: &&Service| keeps_data(&service.spec, volumes);
    let runs = |service: &Service| {
        Some((service.name.clone(), running(observed, service).find_map(|task| task.elsewhere.as_ref())?))
    };
    let (service, node) = observed.services.values().filter(has_data).find_map(runs)?;
    Some(format!(
        "service {service} runs on node {node} of the Swarm, and its volumes are there: run evenkeel on that node (it has to be \
         a manager), or move the app: stop it (`docker service scale {service}=0`), bring its volumes to this node, and place \
         it here (deploy.placement.constraints: {})",
        nodes.constraint(nodes.id)
    ))
}

/// Why a change in place of these services, given as they will be, may part one from its data.
pub fn may_leave_data(
    specs: &[&Value],
    volumes: &BTreeMap<String, Volume>,
    observed: &Observed,
    nodes: Nodes<'_>,
) -> Option<String> {
    let parted = |spec: &Value| {
        let service = observed.services.get(spec["Name"].as_str()?)?;
        let is_on = running(observed, service).next()?.elsewhere.as_ref().map_or(nodes.id, |node| &node.id);
        let may_go = is_on != nodes.id || nodes.others_that_take_tasks().next().is_some();
        (may_go && !nodes.keep_on(spec, is_on)).then(|| (service.name.clone(), is_on.to_owned()))
    };
    let with_data = specs.iter().copied().filter(|spec| keeps_data(spec, volumes));
    let (service, on) = with_data.filter_map(parted).next()?;
    Some(format!(
        "the Swarm has {}, and after this change nothing keeps service {service} on {}, where its volumes are: started again, \
         it may come up on another with empty ones: {}place it there (deploy.placement.constraints: {})",
        nodes.in_words(),
        nodes.name(&on),
        nodes.or_remove_some(),
        nodes.constraint(&on)
    ))
}

fn keeps_data(spec: &Value, volumes: &BTreeMap<String, Volume>) -> bool {
    let named = plan::volumes(std::iter::once(spec));
    named.iter().any(|name| volumes.get(*name).is_some_and(|volume| !volume.left_out))
}

/// The tasks of a service that run and are to stay, wherever.
fn running<'a>(observed: &'a Observed, service: &Service) -> impl Iterator<Item = &'a Task> {
    let of_service = observed.tasks.iter().filter(move |task| task.service == service.id);
    of_service.filter(|task| task.state == TaskState::Running && task.desired == TaskState::Running && !task.is_lost())
}

fn listed<'a>(nodes: impl Iterator<Item = &'a OtherNode>) -> String {
    nodes.map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

impl Nodes<'_> {
    fn in_words(&self) -> String {
        let down = listed(self.down());
        let told = if down.is_empty() { String::new() } else { format!(" (down: {down})") };
        format!("{} nodes{told}", self.others.len() + 1)
    }

    fn down(&self) -> impl Iterator<Item = &OtherNode> {
        self.others.values().filter(|node| node.is_down)
    }

    fn others_that_take_tasks(&self) -> impl Iterator<Item = &OtherNode> {
        self.others.values().filter(|node| node.takes_tasks)
    }

    /// A way out, where it may be one.
    fn or_remove_some(&self) -> String {
        match listed(self.down()) {
            none if none.is_empty() => none,
            down => format!("remove what is gone for good (`docker node rm {down}`), "),
        }
    }

    fn name(&self, id: &str) -> String {
        self.others.get(id).map_or_else(|| "this one".to_owned(), |node| format!("node {node}"))
    }

    fn hostname_of(&self, id: &str) -> &str {
        self.others.get(id).map_or(self.hostname, |node| &node.hostname)
    }

    /// Names this node alone. Machines made from one image may all have one name.
    fn constraint(&self, id: &str) -> String {
        match self.hostname_of(id) {
            hostname if self.is_unique(hostname) => format!("node.hostname == {hostname}"),
            _ => format!("node.id == {id}"),
        }
    }

    fn is_unique(&self, hostname: &str) -> bool {
        let others = self.others.values().map(|node| node.hostname.as_str());
        let same = others.chain([self.hostname]).filter(|other| other.eq_ignore_ascii_case(hostname));
        same.count() == 1 && !hostname.is_empty()
    }

    /// Whether the constraints of a service leave it this node alone.
    fn keep_on(&self, spec: &Value, id: &str) -> bool {
        let constraints = spec.pointer("/TaskTemplate/Placement/Constraints").and_then(Value::as_array);
        let mut parts = constraints.into_iter().flatten().filter_map(|text| text.as_str()?.split_once("=="));
        parts.any(|(key, value)| match (key.trim().to_ascii_lowercase().as_str(), value.trim()) {
            ("node.id", only) => only == id,
            ("node.hostname", name) => name.eq_ignore_ascii_case(self.hostname_of(id)) && self.is_unique(name),
            ("node.role", "manager") => self.managers == 1 && id == self.id,
            _ => false,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::plan::world;

    fn node(id: &str, hostname: &str, is_down: bool) -> OtherNode {
        OtherNode { id: id.into(), hostname: hostname.into(), is_down, takes_tasks: true }
    }

    fn others(nodes: &[OtherNode]) -> BTreeMap<String, OtherNode> {
        nodes.iter().map(|node| (node.id.clone(), node.clone())).collect()
    }

    fn here(others: &BTreeMap<String, OtherNode>, managers: u64) -> Nodes<'_> {
        Nodes { id: "n1", hostname: "one", others, managers }
    }

    fn two() -> BTreeMap<String, OtherNode> {
        others(&[node("n2", "two", false)])
    }

    fn db(constraints: &[&str]) -> Value {
        let mounts = json!([{"Type": "volume", "Source": "wiki_data", "Target": "/data"}]);
        json!({"Name": "wiki_db", "TaskTemplate": {
            "ContainerSpec": {"Mounts": mounts}, "Placement": {"Constraints": constraints},
        }})
    }

    fn web() -> Value {
        json!({"Name": "wiki_web", "TaskTemplate": {"ContainerSpec": {}}})
    }

    fn data(left_out: bool) -> BTreeMap<String, Volume> {
        BTreeMap::from([("wiki_data".to_owned(), Volume { mountpoint: None, left_out })])
    }

    fn told(constraints: &[&str], nodes: Nodes<'_>, left_out: bool) -> Option<String> {
        may_start_elsewhere(&[&web(), &db(constraints)], &data(left_out), nodes)
    }

    /// Both services with a task each, that of the database on a node.
    fn seen(db_on: Option<OtherNode>) -> Observed {
        let mut observed = Observed::default();
        for (spec, elsewhere) in [(db(&[]), db_on), (web(), Some(node("n2", "two", false)))] {
            let service = world::live_service(&spec, &Observed::default());
            let task = world::task(service.name.trim_start_matches("wiki_"), 1, 1, TaskState::Running);
            observed.tasks.push(Task { elsewhere, service: service.id.clone(), ..task });
            observed.services.insert(service.name.clone(), service);
        }
        observed
    }

    #[test]
    fn one_node_is_always_this_one() {
        assert_eq!(told(&[], here(&BTreeMap::new(), 1), false), None);
    }

    #[test]
    fn on_several_nodes_a_service_with_data_has_to_be_placed_on_this_one() {
        for kept in ["node.id == n1", "node.id==n1", "node.hostname == one", "Node.Hostname==one"] {
            assert_eq!(told(&["node.labels.ssd == yes", kept], here(&two(), 2), false), None, "{kept}");
        }
        for free in ["node.id != n1", "node.id == n2", "node.hostname == two", "node.labels.ssd == yes"] {
            let told = told(&[free], here(&two(), 1), false).unwrap_or_else(|| panic!("{free}"));
            assert!(
                told.starts_with("the Swarm has 2 nodes,") && told.contains("service wiki_db on this one"),
                "{told}"
            );
        }
        let way_out = "empty ones: place it here (deploy.placement.constraints: node.hostname == one), or have the others \
                       take no tasks meanwhile (`docker node update --availability pause two`)";
        assert!(told(&[], here(&two(), 1), false).unwrap().ends_with(way_out));
        assert_eq!(told(&[], here(&two(), 1), true), None, "nothing of it is stored");
    }

    #[test]
    fn the_one_manager_is_this_node() {
        assert_eq!(told(&["node.role == manager"], here(&two(), 1), false), None);
        assert!(told(&["node.role == manager"], here(&two(), 2), false).is_some());
        assert!(told(&["node.role == worker"], here(&two(), 1), false).is_some());
    }

    #[test]
    fn a_name_that_two_nodes_have_keeps_nothing_on_one_of_them() {
        let namesakes = others(&[node("n2", "One", false)]);
        let told = |constraint| told(&[constraint], here(&namesakes, 1), false);
        assert!(told("node.hostname == one").unwrap().contains("constraints: node.id == n1)"));
        assert_eq!(told("node.id == n1"), None);
    }

    #[test]
    fn a_node_that_is_down_may_be_removed_instead() {
        let told = told(&[], here(&others(&[node("n2", "two", true)]), 1), false).unwrap();
        assert!(told.starts_with("the Swarm has 2 nodes (down: two), "), "{told}");
        assert!(told.contains("(`docker node rm two`), place it here"), "{told}");
    }

    #[test]
    fn nothing_comes_up_on_a_node_that_takes_no_tasks() {
        let paused = others(&[OtherNode { takes_tasks: false, ..node("n2", "two", false) }]);
        assert_eq!(told(&[], here(&paused, 1), false), None);
        let change = |db_on| may_leave_data(&[&db(&[])], &data(false), &seen(db_on), here(&paused, 1));
        assert_eq!(change(None), None);
        assert!(change(Some(node("n2", "two", false))).is_some(), "it may come here");
    }

    #[test]
    fn data_is_elsewhere_where_a_service_that_has_some_runs_elsewhere() {
        let (two, on_two) = (two(), || Some(node("n2", "two", false)));
        let told = |db_on, left_out| runs_elsewhere(&seen(db_on), &data(left_out), here(&two, 1));
        let why = told(on_two(), false).unwrap();
        assert!(why.starts_with("service wiki_db runs on node two of the Swarm, and its volumes are there: "), "{why}");
        assert!(why.contains("scale wiki_db=0") && why.contains("node.hostname == one"), "{why}");
        assert_eq!(told(None, false), None, "a service without data may be anywhere");
        assert_eq!(told(on_two(), true), None);
        assert_eq!(told(Some(node("n2", "two", true)), false), None, "nothing runs there any more");
    }

    #[test]
    fn a_change_leaves_a_service_where_its_data_is() {
        let two = two();
        let told = |db_on: Option<OtherNode>, constraint: &str| {
            may_leave_data(&[&web(), &db(&[constraint])], &data(false), &seen(db_on), here(&two, 1))
        };
        let on_two = || Some(node("n2", "two", false));
        assert_eq!(told(None, "node.hostname == one"), None);
        assert_eq!(told(on_two(), "node.id == n2"), None);
        let leaves_one = told(None, "node.hostname == two").unwrap();
        assert!(leaves_one.contains("nothing keeps service wiki_db on this one, where"), "{leaves_one}");
        let leaves_two = told(on_two(), "node.hostname == one").unwrap();
        assert!(leaves_two.contains("wiki_db on node two, where"), "{leaves_two}");
        assert!(leaves_two.ends_with("(deploy.placement.constraints: node.hostname == two)"), "{leaves_two}");
    }
}
