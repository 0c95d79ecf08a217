//! Everything that carries a label, of whichever kind; and the removal of all that one run has made.
//!
//! The border: what may go is decided elsewhere; here it is found by its label alone, so that nothing goes that has another.
//! The surprise: a container that does not listen is killed after a moment. Nobody wants the data of a throw-away stack, and
//! a grace period of an hour would hold up all that comes after it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::look::items;
use super::{SERVICE_ID, Swarm, filters, views};
use crate::host::engine::EngineError;

/// So long a container may take to end by itself.
const GRACE: Duration = Duration::from_secs(10);
/// So long what was killed, or what it held, may take to be gone.
const LET_GO: Duration = Duration::from_secs(120);
const BETWEEN_TRIES: Duration = Duration::from_millis(250);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Service,
    Container,
    Volume,
    Secret,
    Config,
    Network,
}

impl Kind {
    const ALL: [Kind; 6] = [Kind::Service, Kind::Container, Kind::Volume, Kind::Secret, Kind::Config, Kind::Network];

    pub fn word(self) -> &'static str {
        match self {
            Kind::Service => "service",
            Kind::Container => "container",
            Kind::Volume => "volume",
            Kind::Secret => "secret",
            Kind::Config => "config",
            Kind::Network => "network",
        }
    }

    fn path(self) -> &'static str {
        match self {
            Kind::Service => "/services",
            Kind::Container => "/containers/json",
            Kind::Volume => "/volumes",
            Kind::Secret => "/secrets",
            Kind::Config => "/configs",
            Kind::Network => "/networks",
        }
    }
}

/// An object with the label that was looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marked {
    pub kind: Kind,
    /// A container's is its id.
    pub name: String,
    pub id: String,
    pub labels: BTreeMap<String, String>,
}

impl Swarm {
    /// Everything with all of these labels, each as in `name` or `name=value`.
    ///
    /// # Errors
    /// When the Engine cannot be asked.
    pub async fn marked(&self, labels: &[&str]) -> Result<Vec<Marked>, EngineError> {
        let mut found = Vec::new();
        for kind in Kind::ALL {
            found.extend(self.marked_of(kind, labels).await?);
        }
        Ok(found)
    }

    async fn marked_of(&self, kind: Kind, labels: &[&str]) -> Result<Vec<Marked>, EngineError> {
        let by_label = filters(&[("label", labels)]);
        let mut query = vec![("filters", by_label.as_str())];
        if kind == Kind::Container {
            query.push(("all", "1"));
        }
        let told = labels.join(" and ");
        let about = |e: EngineError| e.during(format!("look for every {} with the label {told}", kind.word()));
        let list = self.engine.get(kind.path(), &query).await.map_err(about)?;
        let list = if kind == Kind::Volume { &list["Volumes"] } else { &list };
        Ok(items(list).filter_map(|body| marked(kind, body)).collect())
    }

    /// Removes all that carries all of these labels: services, and once their containers are gone volumes, secrets, configs and
    /// networks. May be repeated. Gives how many objects there were.
    ///
    /// # Errors
    /// `TooLate` where something does not end; what is left can be removed by another call.
    pub async fn remove_marked(&self, labels: &[&str]) -> Result<usize, EngineError> {
        let found = self.marked(labels).await?;
        let of = |kind: Kind| found.iter().filter(move |marked| marked.kind == kind);
        for service in of(Kind::Service) {
            self.remove_service(&service.name).await?;
        }
        let services = of(Kind::Service).map(|service| service.id.clone());
        let behind = of(Kind::Container).filter_map(|container| container.labels.get(SERVICE_ID).cloned());
        let services: BTreeSet<String> = services.chain(behind).collect();
        self.end_containers(&services.into_iter().collect::<Vec<_>>(), labels).await?;
        for volume in self.marked_of(Kind::Volume, labels).await? {
            self.remove_volume_once_free(&volume.name).await?;
        }
        for secret in of(Kind::Secret) {
            self.remove_secret(&secret.name).await?;
        }
        for config in of(Kind::Config) {
            self.remove_config(&config.name).await?;
        }
        for network in of(Kind::Network) {
            self.remove_network(&network.id, LET_GO).await?;
        }
        Ok(found.iter().filter(|marked| marked.kind != Kind::Container).count())
    }

    /// Waits for the containers of these services, and for those with the labels; kills what does not end.
    async fn end_containers(&self, services: &[String], labels: &[&str]) -> Result<(), EngineError> {
        match self.wait_containers_gone(services, GRACE).await {
            Err(EngineError::TooLate { .. }) => {}
            other => other?,
        }
        for container in self.marked_of(Kind::Container, labels).await? {
            self.remove_container(&container.id).await?;
        }
        self.wait_containers_gone(services, LET_GO).await
    }

    /// The Engine lets go of a volume some milliseconds after the container that had it.
    async fn remove_volume_once_free(&self, name: &str) -> Result<(), EngineError> {
        let until = Instant::now() + LET_GO;
        loop {
            match self.remove("volume", "/volumes/", name).await {
                Err(error) if error.is_conflict() && Instant::now() < until => sleep(BETWEEN_TRIES).await,
                other => return other,
            }
        }
    }
}

fn marked(kind: Kind, body: &Value) -> Option<Marked> {
    let (id, name, labels) = match kind {
        Kind::Service | Kind::Secret | Kind::Config => (&body["ID"], &body["Spec"]["Name"], &body["Spec"]["Labels"]),
        Kind::Network => (&body["Id"], &body["Name"], &body["Labels"]),
        Kind::Container => (&body["Id"], &body["Id"], &body["Labels"]),
        Kind::Volume => (&body["Name"], &body["Name"], &body["Labels"]),
    };
    let labels = labels.as_object().into_iter().flatten();
    let labels = labels.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect();
    Some(Marked { kind, name: views::text(name)?, id: views::text(id)?, labels })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_kind_of_object_tells_its_labels() {
        let labels = json!({"evenkeel.run": "1"});
        for kind in Kind::ALL {
            let body = match kind {
                Kind::Service | Kind::Secret | Kind::Config => {
                    json!({"ID": "i", "Spec": {"Name": "n", "Labels": labels}})
                }
                Kind::Network | Kind::Container => json!({"Id": "i", "Name": "n", "Labels": labels}),
                Kind::Volume => json!({"Name": "n", "Labels": labels}),
            };
            let found = marked(kind, &body).unwrap();
            assert_eq!(found.labels, [("evenkeel.run".to_owned(), "1".to_owned())].into(), "{kind:?}");
            assert_eq!(marked(kind, &json!({})), None);
        }
    }
}
