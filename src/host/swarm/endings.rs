//! How containers end while somebody watches.
//!
//! Swarm removes the containers of a stack that was scaled down two seconds after they have ended, so only events tell
//! for certain how each of them did. The border: what an ending means is not decided here.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::{Method, Response};
use serde_json::Value;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use super::{SERVICE_NAME, Swarm, filters};
use crate::host::engine::EngineError;
use crate::model::observed::Ending;

/// SIGKILL, as the Engine writes it.
const KILL: [&str; 3] = ["9", "SIGKILL", "KILL"];

/// Follows the containers of this node from its making on.
#[derive(Debug)]
pub struct Endings {
    seen: Arc<Seen>,
    reader: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Seen {
    /// By container id.
    endings: Mutex<BTreeMap<String, Ending>>,
    news: Notify,
    /// The Engine tells no more.
    over: AtomicBool,
}

impl Drop for Endings {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Swarm {
    /// Begins to watch how containers end.
    pub async fn endings(&self) -> Result<Endings, EngineError> {
        let wanted = filters(&[("type", &["container"]), ("event", &["kill", "die", "oom"])]);
        let events = self.engine.stream(Method::GET, "/events", &[("filters", &wanted)], None).await;
        let events = events.map_err(|e| e.during("follow the Engine's events"))?;
        let seen = Arc::<Seen>::default();
        let reader = tokio::spawn(read(events, Arc::clone(&seen)));
        Ok(Endings { seen, reader })
    }
}

impl Endings {
    /// How each container ended, once all of these have; whatever was seen by then where they take longer than
    /// `patience`, or where the Engine has gone.
    pub async fn of(
        &self,
        containers: impl Iterator<Item = &String> + Clone,
        patience: Duration,
    ) -> BTreeMap<String, Ending> {
        let until = Instant::now() + patience;
        loop {
            let news = self.seen.news.notified();
            let endings = self.seen.endings.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let has_ended = |id: &String| endings.get(id).is_some_and(|ending| ending.exit_code.is_some());
            let is_over = containers.clone().all(has_ended) || self.seen.over.load(Ordering::Relaxed);
            if is_over || timeout_at(until, news).await.is_err() {
                return endings;
            }
        }
    }
}

async fn read(mut events: Response, seen: Arc<Seen>) {
    let mut begun = Vec::new();
    while let Ok(Some(chunk)) = events.chunk().await {
        begun.extend_from_slice(&chunk);
        let Some(end) = begun.iter().rposition(|byte| *byte == b'\n') else { continue };
        let lines: Vec<u8> = begun.drain(..=end).collect();
        let mut endings = seen.endings.lock().unwrap_or_else(PoisonError::into_inner);
        for event in lines.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()) {
            note(&mut endings, &event);
        }
        drop(endings);
        seen.news.notify_waiters();
    }
    seen.over.store(true, Ordering::Relaxed);
    seen.news.notify_waiters();
}

fn note(endings: &mut BTreeMap<String, Ending>, event: &Value) {
    let attributes = &event["Actor"]["Attributes"];
    let Some(id) = event["Actor"]["ID"].as_str() else { return };
    let ending = endings.entry(id.to_owned()).or_default();
    let service = attributes[SERVICE_NAME].as_str().or_else(|| attributes["name"].as_str());
    ending.service = service.unwrap_or_default().to_owned();
    match event["Action"].as_str() {
        Some("kill") => ending.killed |= attributes["signal"].as_str().is_some_and(|signal| KILL.contains(&signal)),
        Some("oom") => ending.out_of_memory = true,
        Some("die") => ending.exit_code = attributes["exitCode"].as_str().and_then(|code| code.parse().ok()),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_last_signal_and_the_exit_code_are_remembered_together() {
        let event = |action: &str, key: &str, value: &str| json!({"Action": action, "Actor": {"ID": "c1", "Attributes": {key: value, SERVICE_NAME: "wiki_db"}}});
        let mut endings = BTreeMap::new();
        for event in [event("kill", "signal", "15"), event("kill", "signal", "9"), event("die", "exitCode", "137")] {
            note(&mut endings, &event);
        }
        let wanted = Ending { service: "wiki_db".into(), killed: true, out_of_memory: false, exit_code: Some(137) };
        assert_eq!(endings["c1"], wanted);
    }
}
