//! One object by itself: a look, and for a service a standstill.

use serde_json::Value;

use super::{Swarm, views};
use crate::host::engine::{EngineError, segment};
use crate::model::observed::{Network, Service};

impl Swarm {
    /// One service as it stands now; `None` where there is none.
    pub async fn live_service(&self, name: &str) -> Result<Option<Service>, EngineError> {
        match self.engine.get(&format!("/services/{}", segment(name)), &[]).await {
            Ok(live) => Ok(views::service(&live)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.during(format!("look at service {name}"))),
        }
    }

    /// One network; `None` where there is none.
    pub async fn live_network(&self, name: &str) -> Result<Option<Network>, EngineError> {
        match self.engine.get(&format!("/networks/{}", segment(name)), &[]).await {
            Ok(live) => Ok(views::network(&live)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.during(format!("look at network {name}"))),
        }
    }

    /// Asks a replicated service to run nothing; it keeps its networks and addresses. Its containers go on for a
    /// while. Nothing is done for a service that is no longer there or has no replicas to take away.
    pub async fn scale_to_nothing(&self, name: &str) -> Result<(), EngineError> {
        let Some(live) = self.live_service(name).await? else { return Ok(()) };
        let mut spec = live.spec;
        let Some(replicas) = spec.pointer_mut("/Mode/Replicated/Replicas") else { return Ok(()) };
        *replicas = Value::from(0);
        self.update_service(name, &spec).await.map(drop)
    }
}
