//! The Engine's lists that a look is made of, of one stack or shared by many.
//!
//! Who looks at one stack asks for its objects alone. Who looks at a hundred asks for each list once, whole: a hundred
//! times ten calls take the Engine a second.

use std::sync::Arc;

use serde_json::Value;
use tokio::sync::OnceCell;

use super::{NAMESPACE, Swarm, filters};
use crate::host::engine::EngineError;
use crate::model::app::StackName;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum List {
    /// With the stack's label.
    Services,
    /// Whose names begin as the stack's do.
    NamedServices,
    Tasks,
    /// Tasks that run their service's present spec.
    PresentTasks,
    /// Exited ones too.
    Containers,
    /// The plain list tells no health of containers that have ended, and an unhealthy one that took the signal to end
    /// well looks like a finished job.
    UnhealthyContainers,
    Networks,
    Secrets,
    Configs,
    Volumes,
}

/// Lists as they were at their first use.
#[derive(Debug, Default)]
pub(super) struct Lists([OnceCell<Arc<Value>>; 10]);

impl List {
    fn path(self) -> &'static str {
        match self {
            Self::Services | Self::NamedServices => "/services",
            Self::Tasks | Self::PresentTasks => "/tasks",
            Self::Containers | Self::UnhealthyContainers => "/containers/json",
            Self::Networks => "/networks",
            Self::Secrets => "/secrets",
            Self::Configs => "/configs",
            Self::Volumes => "/volumes",
        }
    }

    fn of_stack(self, stack: &StackName) -> String {
        let label = format!("{NAMESPACE}={stack}");
        self.filters(&label, &format!("{stack}_"))
    }

    /// A label without a value is any value; no name begins with nothing, so all do.
    fn of_all(self) -> String {
        match self {
            Self::Services | Self::NamedServices => "{}".to_owned(),
            other => other.filters(NAMESPACE, ""),
        }
    }

    fn filters(self, label: &str, prefix: &str) -> String {
        match self {
            Self::Services | Self::Tasks | Self::Containers => filters(&[("label", &[label])]),
            Self::NamedServices => filters(&[("name", &[prefix])]),
            Self::PresentTasks => filters(&[("label", &[label]), ("_up-to-date", &["true"])]),
            Self::UnhealthyContainers => filters(&[("label", &[label]), ("health", &["unhealthy"])]),
            Self::Networks | Self::Secrets | Self::Configs | Self::Volumes => "{}".to_owned(),
        }
    }

    /// Both kinds of services are in one list of all.
    fn shared_as(self) -> usize {
        match self {
            Self::NamedServices => Self::Services as usize,
            other => other as usize,
        }
    }
}

impl Swarm {
    /// The same Swarm for looking at many stacks: each list is asked for once and kept, so all looks are of one moment.
    /// Not for whoever waits or writes: what it shows does not change.
    #[must_use]
    pub fn at_one_look(&self) -> Self {
        Self { shared: Some(Arc::default()), ..self.clone() }
    }

    /// A list with at least what is of this stack; with a shared look there is more in it.
    pub(super) async fn list(&self, list: List, stack: &StackName) -> Result<Arc<Value>, EngineError> {
        match &self.shared {
            Some(shared) => shared.0[list.shared_as()].get_or_try_init(|| self.ask(list, list.of_all())).await.cloned(),
            None => self.ask(list, list.of_stack(stack)).await,
        }
    }

    /// `all` has a meaning for containers alone: the exited ones too.
    async fn ask(&self, list: List, filters: String) -> Result<Arc<Value>, EngineError> {
        let query = [("all", "1"), ("filters", filters.as_str())];
        let path = list.path();
        let query = if path.starts_with("/containers") { &query[..] } else { &query[1..] };
        self.engine.get(path, query).await.map(Arc::new)
    }
}
