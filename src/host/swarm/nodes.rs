//! The other nodes of the Swarm, as far as its managers know.
//!
//! None of it is asked for while everything that an app runs has its containers here. The surprise: a task of a node that
//! is down keeps the state that it had, for a day, and Swarm has long started another in its place.

use std::collections::{BTreeMap, BTreeSet};

use super::look::items;
use super::{Swarm, views};
use crate::host::engine::EngineError;
use crate::model::observed::{Container, OtherNode, Task, TaskState};

impl Swarm {
    /// Every node but this one, by id. One cheap call where there is no other.
    pub async fn other_nodes(&self) -> Result<BTreeMap<String, OtherNode>, EngineError> {
        let about = |e: EngineError| e.during("look at the Swarm's nodes");
        let nodes = self.engine.get("/nodes", &[]).await.map_err(about)?;
        if items(&nodes).count() < 2 {
            return Ok(BTreeMap::new());
        }
        let here = self.info().await?.node;
        Ok(items(&nodes).filter_map(views::node).filter(|(id, _)| *id != here).collect())
    }

    /// Notes where those tasks are that may have a container, or were to get one, and have none here.
    pub(super) async fn find(&self, tasks: &mut [Task], containers: &[Container]) -> Result<(), EngineError> {
        let here: BTreeSet<&str> = containers.iter().filter_map(|container| container.task.as_deref()).collect();
        let astray = |task: &&mut Task| may_be_elsewhere(task) && !here.contains(task.id.as_str());
        let mut astray = tasks.iter_mut().filter(astray).peekable();
        if astray.peek().is_none() {
            return Ok(());
        }
        let others = self.other_nodes().await?;
        astray.for_each(|task| task.elsewhere = others.get(&task.node).cloned());
        Ok(())
    }

    /// Without those of nodes that are down, of which no end will be heard.
    pub(super) async fn that_can_end<T>(
        &self,
        mut tasks: Vec<T>,
        view: fn(&T) -> &Task,
    ) -> Result<Vec<T>, EngineError> {
        if !tasks.is_empty() {
            let others = self.other_nodes().await?;
            tasks.retain(|task| others.get(&view(task).node).is_none_or(|node| !node.is_down));
        }
        Ok(tasks)
    }
}

/// What is told to end before it has begun may be on a node that does not hear it; what was rejected never has a
/// container.
fn may_be_elsewhere(task: &Task) -> bool {
    let is_begun = (TaskState::Assigned..TaskState::Starting).contains(&task.state);
    let has_container = matches!(task.state, TaskState::Starting | TaskState::Running);
    has_container || task.state == TaskState::Rejected || (is_begun && task.desired > TaskState::Complete)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::world::task;

    #[test]
    fn only_what_should_have_a_container_by_now_is_looked_for_on_other_nodes() {
        use TaskState::{Assigned, Complete, Failed, New, Pending, Preparing, Rejected, Running, Shutdown, Starting};
        let looked_for = |state, desired| may_be_elsewhere(&Task { desired, ..task("app", 1, 1, state) });
        assert_eq!([Starting, Running, Rejected].map(|state| looked_for(state, Running)), [true; 3]);
        assert_eq!([New, Pending, Assigned, Preparing].map(|state| looked_for(state, Running)), [false; 4]);
        assert_eq!([Assigned, Preparing, Running].map(|state| looked_for(state, Shutdown)), [true; 3]);
        assert_eq!([Pending, Complete, Failed].map(|state| looked_for(state, Shutdown)), [false; 3]);
    }
}
