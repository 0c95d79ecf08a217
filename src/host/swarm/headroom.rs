//! How many addresses a network has left, as far as its Engine can tell.
//!
//! What is known are the addresses of running tasks, of services with a virtual one, and of this node. Those that
//! Swarm has leaked (moby#37338) it keeps to itself, so the real number may be lower; a task that gets none stays
//! `new`, or `preparing` where the node's own is missing, without any error.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value;
use tokio::try_join;

use super::{Swarm, filters, views};
use crate::host::engine::{EngineError, segment};

/// Under so many free addresses one recipe may be too much.
const FEW: u64 = 10;
/// A tenth of a large network is no reason to tell, but so many are.
const MANY: u64 = 256;

/// The addresses of a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Headroom {
    pub network: String,
    pub subnets: Vec<String>,
    /// How many there are for tasks, services and nodes.
    pub size: u64,
    /// How many are known to be used.
    pub used: u64,
}

impl Headroom {
    pub fn free(&self) -> u64 {
        self.size.saturating_sub(self.used)
    }

    /// Whether it is time to tell.
    pub fn is_tight(&self) -> bool {
        self.free() < (self.size / 10).clamp(FEW, MANY)
    }
}

impl fmt::Display for Headroom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "network {} ({}) has {} of its {} addresses free at most, and without one no task starts: `docker stack rm` \
             leaks some each time, which only a network made anew has again; remove it once no service uses it, and make \
             it larger ([network].subnet, a /16)",
            self.network,
            self.subnets.join(", "),
            self.free(),
            self.size
        )
    }
}

impl Swarm {
    /// What a network of the Swarm has left; `None` where there is none, or its addresses are not the Swarm's to give.
    pub async fn headroom(&self, network: &str) -> Result<Option<Headroom>, EngineError> {
        let path = format!("/networks/{}", segment(network));
        let wanted = filters(&[("desired-state", &["running"])]);
        let tasks = [("filters", wanted.as_str())];
        let looked = try_join!(self.engine.get(&path, &[("verbose", "true")]), self.engine.get("/tasks", &tasks));
        match looked {
            Ok((live, tasks)) => Ok(headroom(&live, &tasks)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.during(format!("look at the addresses of network {network}"))),
        }
    }
}

fn headroom(live: &Value, tasks: &Value) -> Option<Headroom> {
    let parts = live.pointer("/IPAM/Config")?.as_array()?;
    let text = |part: &Value, key: &str| part[key].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let ranges = parts.iter().filter_map(|part| text(part, "IPRange").or_else(|| text(part, "Subnet")));
    let subnets: Vec<String> = ranges.filter(|range| size(range).is_some()).collect();
    let of_swarm = live["Scope"] == "swarm" && !subnets.is_empty();
    of_swarm.then(|| Headroom {
        network: views::text(&live["Name"]).unwrap_or_default(),
        size: subnets.iter().filter_map(|subnet| size(subnet)).sum(),
        used: used(live, tasks).len() as u64,
        subnets,
    })
}

/// All but the network's own address, the broadcast address and the gateway's; of IPv4, which alone runs out.
fn size(subnet: &str) -> Option<u64> {
    let (address, prefix) = subnet.split_once('/')?;
    address.parse::<std::net::Ipv4Addr>().ok()?;
    let prefix: u32 = prefix.parse().ok().filter(|prefix| *prefix <= 32)?;
    Some((1_u64 << (32 - prefix)).saturating_sub(3))
}

/// What this node has, and what Swarm has given to tasks that are not there yet.
fn used<'a>(live: &'a Value, tasks: &'a Value) -> BTreeSet<&'a str> {
    let containers = live["Containers"].as_object().into_iter().flat_map(|all| all.values());
    let containers = containers.filter_map(|container| container["IPv4Address"].as_str());
    let services = || live["Services"].as_object().into_iter().flat_map(|all| all.values());
    let present = services().filter_map(|service| service["Tasks"].as_array()).flatten();
    let present = present.filter_map(|task| task["EndpointIP"].as_str());
    let attachments = tasks.as_array().into_iter().flatten().filter_map(|task| task["NetworksAttachments"].as_array());
    let here = attachments.flatten().filter(|attachment| attachment["Network"]["ID"] == live["Id"]);
    let given = here.filter_map(|attachment| attachment["Addresses"].as_array()).flatten().filter_map(Value::as_str);
    let virtual_ones = services().filter_map(|service| service["VIP"].as_str());
    let all = containers
        .chain(present)
        .chain(given)
        .chain(virtual_ones)
        .map(|text| text.split('/').next().unwrap_or_default());
    all.filter(|address| address.parse::<std::net::Ipv4Addr>().is_ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn live(subnet: &str) -> Value {
        json!({
            "Id": "n", "Name": "proxy", "Scope": "swarm", "IPAM": {"Config": [{"Subnet": subnet, "Gateway": "10.77.0.1"}]},
            "Containers": {
                "c": {"Name": "web.1", "IPv4Address": "10.77.0.2/29"},
                "lb-proxy": {"Name": "proxy-endpoint", "IPv4Address": "10.77.0.3/29"},
            },
            "Services": {
                "web": {"VIP": "<nil>", "Tasks": [{"EndpointIP": "10.77.0.2"}]},
                "api": {"VIP": "10.77.0.4", "Tasks": [{"EndpointIP": "10.77.0.5"}]},
            },
        })
    }

    #[test]
    fn each_address_is_counted_once() {
        let attached = |network: &str, address: &str| json!({"NetworksAttachments": [{"Network": {"ID": network}, "Addresses": [address]}]});
        let tasks =
            json!([attached("n", "10.77.0.2/29"), attached("n", "10.77.0.6/29"), attached("other", "10.0.0.2/24"), {}]);
        let headroom = headroom(&live("10.77.0.0/29"), &tasks).unwrap();
        assert_eq!((headroom.size, headroom.used, headroom.free()), (5, 5, 0));
        assert!(headroom.is_tight());
        assert!(headroom.to_string().starts_with("network proxy (10.77.0.0/29) has 0 of its 5 addresses free"));
    }

    #[test]
    fn a_network_that_nobody_has_joined_here_is_free() {
        let mut live = live("10.77.0.0/24");
        live["Containers"] = Value::Null;
        live["Services"] = Value::Null;
        let headroom = headroom(&live, &json!([])).unwrap();
        assert_eq!((headroom.size, headroom.used, headroom.is_tight()), (253, 0, false));
    }

    #[test]
    fn it_is_told_before_the_last_address_and_not_at_the_first() {
        let with =
            |size: u64, used: u64| Headroom { network: "proxy".into(), subnets: Vec::new(), size, used }.is_tight();
        let table =
            [(253, 200, false), (253, 229, true), (65_533, 65_000, false), (65_533, 65_300, true), (5, 0, true)];
        for (size, used, tight) in table {
            assert_eq!(with(size, used), tight, "{used} of {size}");
        }
    }

    #[test]
    fn a_network_of_one_node_or_without_addresses_of_its_own_is_not_counted() {
        let mut local = live("10.77.0.0/29");
        local["Scope"] = "local".into();
        assert_eq!(headroom(&local, &json!([])), None);
        assert_eq!(headroom(&json!({"Name": "proxy", "Scope": "swarm", "IPAM": {"Config": []}}), &json!([])), None);
        assert_eq!(headroom(&live("fd00::/64"), &json!([])), None);
    }
}
