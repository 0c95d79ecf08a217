//! Writing one object by name.
//!
//! Every write may be repeated: creating what is there already, as the same thing, and removing what is gone succeed.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep};

use super::by_name::{Ids, Needs, needs, with_ids};
use super::ghost::is_ghost;
use super::{SERVICE_ID, Swarm, filters, views};
use crate::host::engine::{EngineError, segment};
use crate::host::images::auth::Auth;
use crate::model::observed::Service;
use crate::model::secret::SecretBytes;
use crate::plan::canonical_form::mode_of;

/// How often a write is repeated on a version that somebody else has changed meanwhile.
const TRIES: usize = 10;

/// How long Swarm may take to give a new network its addresses: a manager's disk may be slow.
const ALLOCATION: Duration = Duration::from_secs(20);
/// Between two looks for them.
const TICK: Duration = Duration::from_millis(50);

/// A service as it stood right after a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    pub id: String,
    /// `Version.Index`: at least that of the write, and below that of any later one.
    pub index: u64,
}

impl Swarm {
    /// Creates a network and returns its id once Swarm has given it its addresses; `body` as for
    /// `POST /networks/create`.
    ///
    /// # Errors
    /// `is_conflict` where one of that name exists with other properties. `TooLate` where Swarm gives it no addresses,
    /// which is how it treats a subnet that overlaps another one's; it is removed again then. `TooLate`, too, where
    /// containers hold on to a removed one of that name.
    pub async fn create_network(&self, body: &Value) -> Result<String, EngineError> {
        let name = text(&body["Name"]);
        let about = |e: EngineError| e.during(format!("create network {name}"));
        let mut created = self.engine.post("/networks/create", &[], body).await;
        if created.as_ref().is_err_and(EngineError::is_conflict) && self.wait_for_ghost(&name).await? {
            created = self.engine.post("/networks/create", &[], body).await;
        }
        match created {
            Ok(answer) => self.with_addresses_or_gone(&text(&answer["Id"])).await.map_err(about),
            Err(error) if error.is_conflict() => {
                let live = self.allocated_network(&name).await.map_err(about)?;
                let same = covers(&live, &without(body, "CheckDuplicate"));
                if same { Ok(text(&live["Id"])) } else { Err(about(error)) }
            }
            Err(error) => Err(about(error)),
        }
    }

    async fn with_addresses_or_gone(&self, id: &str) -> Result<String, EngineError> {
        let live = self.allocated_network(id).await;
        if let Err(EngineError::TooLate { .. }) = &live {
            self.remove("network", "/networks/", id).await?;
        }
        live.map(|live| text(&live["Id"]))
    }

    /// A network as it is once Swarm has given it its driver and addresses, which follows its creation by some
    /// milliseconds; before, it looks like one with other properties.
    async fn allocated_network(&self, name: &str) -> Result<Value, EngineError> {
        let path = format!("/networks/{}", segment(name));
        let until = Instant::now() + ALLOCATION;
        loop {
            let asked = Instant::now();
            let live = self.engine.get(&path, &[]).await?;
            if !is_empty(&live["Driver"]) {
                return Ok(live);
            }
            if asked >= until {
                let left = "it has no addresses (does its subnet overlap another network's?)".to_owned();
                return Err(EngineError::TooLate { act: format!("use network {name}"), left, waited: ALLOCATION });
            }
            sleep(TICK).await;
        }
    }

    /// Creates a secret and returns its id; `spec` as for `POST /secrets/create` without `Data`. The bytes of one that
    /// exists cannot be read, so name, labels and drivers decide whether it is the same.
    pub async fn create_secret(&self, spec: &Value, bytes: &SecretBytes) -> Result<String, EngineError> {
        self.create_file("secret", spec, bytes.expose(), false).await
    }

    /// Creates a config and returns its id; `spec` as for `POST /configs/create` without `Data`.
    pub async fn create_config(&self, spec: &Value, body: &[u8]) -> Result<String, EngineError> {
        self.create_file("config", spec, body, true).await
    }

    async fn create_file(
        &self,
        what: &str,
        spec: &Value,
        data: &[u8],
        data_can_be_read: bool,
    ) -> Result<String, EngineError> {
        let name = text(&spec["Name"]);
        let about = |e: EngineError| e.during(format!("create {what} {name}"));
        let mut body = spec.clone();
        // A secret driver gives the bytes at run time, and the Engine refuses any beside it.
        if spec["Driver"].is_null() {
            body["Data"] = STANDARD.encode(data).into();
        }
        match self.engine.post(&format!("/{what}s/create"), &[], &body).await {
            Ok(answer) => Ok(text(&answer["ID"])),
            Err(error) if error.is_conflict() => {
                let live = self.engine.get(&format!("/{what}s/{}", segment(&name)), &[]).await.map_err(about)?;
                let wanted = if data_can_be_read { &body } else { spec };
                if covers(&live["Spec"], wanted) { Ok(text(&live["ID"])) } else { Err(about(error)) }
            }
            Err(error) => Err(about(error)),
        }
    }

    /// Creates a service from a spec by names.
    ///
    /// # Errors
    /// `Missing` where the spec names what does not exist; `is_conflict` where another service has the name.
    pub async fn create_service(&self, spec: &Value) -> Result<Written, EngineError> {
        let name = text(&spec["Name"]);
        let about = |e: EngineError| e.during(format!("create service {name}"));
        let spec = with_ids(spec, &self.ids(spec).await.map_err(about)?).map_err(about)?;
        match self.post_service("/services/create", &[], &spec).await {
            Ok(answer) => self.written(&text(&answer["ID"])).await.map_err(about),
            Err(error) if error.is_conflict() => {
                let live = self.service(&name).await.map_err(about)?;
                if covers(&live["Spec"], &spec) { Ok(written(&live)) } else { Err(about(error)) }
            }
            Err(error) => Err(about(error)),
        }
    }

    /// Puts a spec by names in the place of the service's present one, whatever that is by now. A restart that was
    /// asked for by hand (`ForceUpdate`) stays: to go back on it would restart the tasks once more.
    pub async fn update_service(&self, name: &str, spec: &Value) -> Result<Written, EngineError> {
        let about = |e: EngineError| e.during(format!("update service {name}"));
        let spec = with_ids(spec, &self.ids(spec).await.map_err(about)?).map_err(about)?;
        let mut tries = 1;
        loop {
            match self.put_service(name, &spec).await {
                Err(error) if error.is_out_of_sequence() && tries < TRIES => tries += 1,
                done => return done.map_err(about),
            }
        }
    }

    async fn put_service(&self, name: &str, spec: &Value) -> Result<Written, EngineError> {
        let live = self.service(name).await?;
        let Written { id, index } = written(&live);
        let spec = with_force_update_of(spec, &live["Spec"]);
        let path = format!("/services/{}/update", segment(&id));
        self.post_service(&path, &[("version", &index.to_string())], &spec).await?;
        self.written(&id).await
    }

    async fn post_service(&self, path: &str, query: &[(&str, &str)], spec: &Value) -> Result<Value, EngineError> {
        let login = self.login.as_ref().map(Auth::header);
        self.engine.post_with_auth(path, query, spec, login.as_deref()).await
    }

    /// Starts all tasks of a service anew, also those that Swarm has given up.
    pub async fn restart_service(&self, name: &str) -> Result<Written, EngineError> {
        let about = |e: EngineError| e.during(format!("restart service {name}"));
        let mut tries = 1;
        loop {
            let live = self.service(name).await.map_err(about)?;
            let Written { id, index } = written(&live);
            let mut spec = live["Spec"].clone();
            let force = spec["TaskTemplate"]["ForceUpdate"].as_u64().unwrap_or_default();
            spec["TaskTemplate"]["ForceUpdate"] = (force + 1).into();
            let path = format!("/services/{}/update", segment(&id));
            match self.engine.post(&path, &[("version", &index.to_string())], &spec).await {
                Ok(_) => return self.written(&id).await.map_err(about),
                Err(error) if error.is_out_of_sequence() && tries < TRIES => tries += 1,
                Err(error) => return Err(about(error)),
            }
        }
    }

    /// Removes a service. Its containers go on for a while: [`Swarm::wait_containers_gone`]. Those of a job, which an
    /// Engine may keep for ever, running ones too (moby#42789), are stopped and removed here.
    pub async fn remove_service(&self, name: &str) -> Result<(), EngineError> {
        let Some(live) = self.live_service(name).await? else { return Ok(()) };
        self.remove_by_id(&live).await?;
        if mode_of(&live.spec).ends_with("Job") {
            self.remove_containers_of(&live).await.map_err(|e| e.during(format!("remove service {name}")))?;
        }
        Ok(())
    }

    /// By its name, a removal that the Engine is late with would take the next one of that name.
    pub(super) async fn remove_by_id(&self, live: &Service) -> Result<(), EngineError> {
        let removed = self.remove("service", "/services/", &live.id).await;
        removed.map_err(|e| e.during(format!("remove service {}", live.name)))
    }

    async fn remove_containers_of(&self, job: &Service) -> Result<(), EngineError> {
        let label = format!("{SERVICE_ID}={}", job.id);
        let query = [("all", "1"), ("filters", &filters(&[("label", &[&label])]))];
        let list = self.engine.get("/containers/json", &query).await?;
        for container in list.as_array().into_iter().flatten().filter_map(views::container) {
            if container.state == "running" {
                self.stop_container(&container.id, stop_grace(&job.spec)).await?;
            }
            self.remove_container(&container.id).await?;
        }
        Ok(())
    }

    /// Returns once it has ended, which takes as long as its grace period where it does not listen.
    pub(super) async fn stop_container(&self, id: &str, grace: Duration) -> Result<(), EngineError> {
        let path = format!("/containers/{}/stop", segment(id));
        let seconds = grace.as_secs().to_string();
        match self.engine.stream(Method::POST, &path, &[("t", &seconds)], None).await {
            // It has ended by itself, or is gone.
            Err(EngineError::Refused { status: 304 | 404, .. }) => Ok(()),
            other => other.map(drop),
        }
    }

    /// Removes a secret that no service's present spec names.
    pub async fn remove_secret(&self, name: &str) -> Result<(), EngineError> {
        self.remove("secret", "/secrets/", name).await
    }

    /// Removes a config that no service's present spec names.
    pub async fn remove_config(&self, name: &str) -> Result<(), EngineError> {
        self.remove("config", "/configs/", name).await
    }

    /// Removes a network once no task and no container of a service uses it, and waits until its name is free.
    /// Removed earlier, the addresses that its tasks have on other networks are lost to those for good
    /// (moby#37338), and a network made anew at once would find the old one's ghost.
    ///
    /// # Errors
    /// `TooLate` after `deadline`; `Refused` where a service names the network, or a container of nobody's service.
    pub async fn remove_network(&self, name: &str, deadline: Duration) -> Result<(), EngineError> {
        let about = |e: EngineError| e.during(format!("remove network {name}"));
        let path = format!("/networks/{}", segment(name));
        let live = match self.engine.get(&path, &[]).await {
            Err(error) if error.is_not_found() => return Ok(()),
            live => live.map_err(about)?,
        };
        let id = text(&live["Id"]);
        self.wait_network_unused(&id, deadline).await.map_err(about)?;
        self.remove("network", "/networks/", &id).await.map_err(about)?;
        self.wait_network_gone(&id, deadline).await.map_err(about)
    }

    /// Removes a container, running or not: what a job service leaves behind, and a crash loop's remains. One that somebody
    /// else removes at this moment, as Swarm may, is listed for a while yet.
    pub async fn remove_container(&self, id: &str) -> Result<(), EngineError> {
        let path = format!("/containers/{}", segment(id));
        match gone(self.engine.delete(&path, &[("force", "1")]).await) {
            // By force, a removal under way is all that it can conflict with.
            Err(error) if error.is_conflict() => Ok(()),
            removed => removed.map_err(|e| e.during(format!("remove container {id}"))),
        }
    }

    pub(super) async fn remove(&self, what: &str, path: &str, name: &str) -> Result<(), EngineError> {
        let path = format!("{path}{}", segment(name));
        gone(self.engine.delete(&path, &[]).await).map_err(|e| e.during(format!("remove {what} {name}")))
    }

    async fn service(&self, name: &str) -> Result<Value, EngineError> {
        self.engine.get(&format!("/services/{}", segment(name)), &[]).await
    }

    async fn written(&self, id: &str) -> Result<Written, EngineError> {
        self.service(id).await.map(|live| written(&live))
    }

    /// The ids of what a spec names, by as many calls as it has kinds of references.
    async fn ids(&self, spec: &Value) -> Result<Ids, EngineError> {
        let needs = needs(spec);
        let networks = self.network_ids(&needs);
        let secrets = self.ids_of("/secrets", &needs.secrets);
        let configs = self.ids_of("/configs", &needs.configs);
        let (networks, secrets, configs) = tokio::try_join!(networks, secrets, configs)?;
        Ok(Ids { networks, secrets, configs })
    }

    /// Those that no list tells are asked for one by one.
    async fn network_ids(&self, needs: &Needs) -> Result<BTreeMap<String, String>, EngineError> {
        if needs.networks.is_empty() {
            return Ok(BTreeMap::new());
        }
        let of_swarm = filters(&[("scope", &["swarm"])]);
        let list = self.engine.get("/networks", &[("filters", &of_swarm)]).await?;
        let real = list.as_array().into_iter().flatten().filter(|network| !is_ghost(network));
        let mut ids: BTreeMap<_, _> = real.map(|network| (text(&network["Name"]), text(&network["Id"]))).collect();
        for id in needs.networks_beside(&ids).cloned().collect::<Vec<_>>() {
            match self.engine.get(&format!("/networks/{}", segment(&id)), &[]).await {
                Ok(live) if text(&live["Id"]) == id => drop(ids.insert(id.clone(), id)),
                Err(error) if !error.is_not_found() => return Err(error),
                Ok(_) | Err(_) => {}
            }
        }
        Ok(ids)
    }

    async fn ids_of(
        &self,
        path: &str,
        names: &std::collections::BTreeSet<String>,
    ) -> Result<BTreeMap<String, String>, EngineError> {
        if names.is_empty() {
            return Ok(BTreeMap::new());
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let list = self.engine.get(path, &[("filters", &filters(&[("name", &names)]))]).await?;
        Ok(list.as_array().into_iter().flatten().map(|o| (text(&o["Spec"]["Name"]), text(&o["ID"]))).collect())
    }
}

/// To remove what is gone is no error.
fn gone(removed: Result<(), EngineError>) -> Result<(), EngineError> {
    match removed {
        Err(error) if error.is_not_found() => Ok(()),
        other => other,
    }
}

/// The Engine's own is ten seconds.
pub(super) fn stop_grace(spec: &Value) -> Duration {
    let nanoseconds = spec.pointer("/TaskTemplate/ContainerSpec/StopGracePeriod").and_then(Value::as_u64);
    nanoseconds.map_or(Duration::from_secs(10), Duration::from_nanos)
}

fn written(live: &Value) -> Written {
    Written { id: text(&live["ID"]), index: live["Version"]["Index"].as_u64().unwrap_or_default() }
}

fn with_force_update_of(spec: &Value, live: &Value) -> Value {
    let mut spec = spec.clone();
    if let Some(force) = live["TaskTemplate"]["ForceUpdate"].as_u64() {
        spec["TaskTemplate"]["ForceUpdate"] = force.into();
    }
    spec
}

/// Whether what lives says all that is wanted. The Engine fills in more, and leaves out what is empty.
fn covers(live: &Value, wanted: &Value) -> bool {
    match (live, wanted) {
        (Value::Object(live), Value::Object(wanted)) => {
            wanted.iter().all(|(key, wanted)| covers(live.get(key).unwrap_or(&Value::Null), wanted))
        }
        (Value::Array(live), Value::Array(wanted)) => {
            live.len() == wanted.len() && live.iter().zip(wanted).all(|(live, wanted)| covers(live, wanted))
        }
        (Value::Null, wanted) => is_empty(wanted),
        (live, wanted) => live == wanted || (is_empty(live) && is_empty(wanted)),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(is_empty),
    }
}

fn without(body: &Value, key: &str) -> Value {
    let fields: Map<String, Value> = body
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(k, _)| *k != key)
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect();
    json!(fields)
}

fn text(value: &Value) -> String {
    views::text(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_engine_fills_in_makes_no_other_thing() {
        let wanted =
            json!({"Name": "n", "Labels": {"a": "1"}, "Options": {}, "IPAM": {"Config": [{"Subnet": "10.0.0.0/24"}]}});
        let mut live = json!({
            "Name": "n", "Id": "x", "Labels": {"a": "1", "b": "2"}, "Options": null,
            "IPAM": {"Driver": "default", "Config": [{"Subnet": "10.0.0.0/24", "Gateway": "10.0.0.1"}]},
        });
        assert!(covers(&live, &wanted));

        live["IPAM"]["Config"][0]["Subnet"] = "10.9.0.0/24".into();
        assert!(!covers(&live, &wanted));
    }

    #[test]
    fn a_restart_asked_for_by_hand_stays() {
        let spec = json!({"TaskTemplate": {"ContainerSpec": {"Image": "a"}}});
        let live = json!({"TaskTemplate": {"ForceUpdate": 3}});
        assert_eq!(with_force_update_of(&spec, &live)["TaskTemplate"]["ForceUpdate"], 3);
        assert_eq!(with_force_update_of(&spec, &json!({})), spec);
    }
}
