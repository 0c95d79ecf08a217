//! How long tasks took to start.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use serde_json::Value;

use super::Swarm;
use crate::model::observed::Task;

/// Longer than any start: the Engine gives the year 1 where there was none.
const NO_START: Duration = Duration::from_secs(86_400);

impl Swarm {
    /// Name -> how long its task took from the start of its container until Swarm called it running, which with a health
    /// check is when that was content. What the Engine cannot tell is left out: a container on another node, or one that
    /// is gone by now.
    pub async fn last_starts(&self, tasks: &[(&str, &Task)]) -> BTreeMap<String, Duration> {
        let starts = tasks.iter().map(|(name, task)| async { Some(((*name).to_owned(), self.start_of(task).await?)) });
        join_all(starts).await.into_iter().flatten().collect()
    }

    async fn start_of(&self, task: &Task) -> Option<Duration> {
        let container = task.container.as_ref()?;
        let (task, container) = (format!("/tasks/{}", task.id), format!("/containers/{container}/json"));
        let (task, container) = tokio::join!(self.engine.get(&task, &[]), self.engine.get(&container, &[]));
        took(&task.ok()?, &container.ok()?)
    }
}

/// A task that Swarm moved on since, or a container that was started again by hand, tells nothing.
fn took(task: &Value, container: &Value) -> Option<Duration> {
    let time = |value: &Value| value.as_str()?.parse::<Timestamp>().ok();
    let running = time(&task["Status"]["Timestamp"]).filter(|_| task["Status"]["State"] == "running")?;
    let took = Duration::try_from(running.duration_since(time(&container["State"]["StartedAt"])?)).ok()?;
    Some(took).filter(|took| *took < NO_START)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_start_goes_from_the_container_to_the_task() {
        let task = |state: &str, at: &str| json!({"Status": {"State": state, "Timestamp": at}});
        let container = |at: &str| json!({"State": {"StartedAt": at}});
        let started = container("2026-11-21T18:00:00.5Z");
        let took = |task, container| super::took(&task, &container);
        assert_eq!(
            took(task("running", "2026-11-21T18:00:03.75Z"), started.clone()),
            Some(Duration::from_millis(3250))
        );
        assert_eq!(took(task("shutdown", "2026-11-21T18:00:03.75Z"), started.clone()), None);
        assert_eq!(took(task("running", "2026-11-21T17:00:00Z"), started.clone()), None, "started again by hand");
        assert_eq!(took(task("running", "soon"), started), None);
        assert_eq!(took(task("running", "2026-11-21T18:00:03Z"), container("0001-01-01T00:00:00Z")), None);
    }
}
