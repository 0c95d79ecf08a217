//! Networks that services of several stacks share, and how many addresses are left there.

use std::collections::BTreeSet;

use tracing::debug;

use super::Host;
use crate::desired::Desired;
use crate::plan::{Act, Change, Plan};

impl Host {
    /// What is to be told of the network that all apps share; `None` while it has room.
    pub async fn tight_network(&self) -> Option<String> {
        self.tight([self.declared.network.name.as_str()]).await.pop()
    }

    /// What is to be told of the networks that this plan's new and changed services join beside their own.
    pub(super) async fn tight_networks(&self, plan: &Plan) -> Vec<String> {
        let starts = |change: &Change| matches!(change.act, Act::CreateService { .. } | Act::UpdateService { .. });
        match plan.changes.iter().any(starts) {
            true => self.tight(shared(&plan.desired)).await,
            false => Vec::new(),
        }
    }

    /// A reason with what is known about the addresses: a task that gets none tells no error.
    pub(super) async fn with_headroom(&self, reason: String, desired: &Desired) -> String {
        let told = self.tight(shared(desired)).await;
        std::iter::once(reason).chain(told).collect::<Vec<_>>().join("; ")
    }

    /// A question that nobody waits for an answer to: where there is none, the run goes on and meets what is wrong.
    async fn tight<'a>(&self, networks: impl IntoIterator<Item = &'a str>) -> Vec<String> {
        let mut told = Vec::new();
        for network in networks {
            match self.swarm.headroom(network).await {
                Ok(headroom) => told.extend(headroom.filter(|room| room.is_tight()).map(|room| room.to_string())),
                Err(error) => debug!(network, cause = %error, "its addresses are not known"),
            }
        }
        told
    }
}

fn shared(desired: &Desired) -> BTreeSet<&str> {
    desired.external_networks.iter().map(String::as_str).collect()
}
