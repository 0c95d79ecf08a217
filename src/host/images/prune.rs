//! Removing images that have no name any more.
//!
//! Those with a tag stay, whoever gave it, and so do those that a container uses. The surprise: the Engine names every
//! layer that it removed, so images are counted by what was there before. It makes one prune at a time, whoever asks.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};
use tracing::warn;

use super::{ImageError, Images};
use crate::host::engine::{EngineError, segment};

/// So long the Engine may take.
const WITHIN: Duration = Duration::from_secs(30 * 60);
/// So long somebody else's prune is waited for, such as that of a timer at the same hour.
pub const FOR_OTHERS: Duration = Duration::from_secs(5 * 60);
const BETWEEN_TRIES: Duration = Duration::from_secs(5);

/// What a prune has removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Freed {
    pub images: usize,
    pub bytes: u64,
}

impl Images {
    /// Removes every image without a tag that was made before this time and that no container uses. A younger one may be a
    /// step of a build that is under way. `None` where somebody else prunes for longer than [`FOR_OTHERS`].
    ///
    /// # Errors
    /// `TooLate` where the Engine does not come to an end.
    pub async fn prune_dangling(&self, made_before: Timestamp) -> Result<Option<Freed>, ImageError> {
        let before = self.dangling().await?;
        let filters = json!({"dangling": ["true"], "until": [made_before.as_second().to_string()]}).to_string();
        let prune = async || {
            // Many images take longer than a call may.
            let answer = self.engine.stream(Method::POST, "/images/prune", &[("filters", &filters)], None).await?;
            answer.bytes().await.map_err(|e| self.engine.broken(&e))
        };
        let Some(answer) = in_turn(prune).await.map_err(told)? else { return Ok(None) };
        let garbled = |cause: serde_json::Error| EngineError::Garbled { act: String::new(), cause: cause.to_string() };
        let pruned: Value = serde_json::from_slice(&answer).map_err(garbled).map_err(told)?;
        Ok(Some(freed(&before, &pruned)))
    }

    /// Removes the same one by one, but none of these, nor what they are built on: for an Engine that has no room for a
    /// tag. What it does not give up stays. Gives how many went.
    pub async fn remove_dangling_but(
        &self,
        needed: &BTreeSet<String>,
        made_before: Timestamp,
    ) -> Result<usize, ImageError> {
        let mut gone = 0;
        for image in self.dangling().await?.as_array().into_iter().flatten() {
            let (Some(id), Some(made)) = (image["Id"].as_str(), image["Created"].as_i64()) else { continue };
            if needed.contains(id) || made >= made_before.as_second() {
                continue;
            }
            match self.engine.delete(&format!("/images/{}", segment(id)), &[("noprune", "1")]).await {
                Ok(()) => gone += 1,
                Err(cause) if cause.is_unreachable() => return Err(cause.into()),
                Err(refused) if refused.is_not_found() || refused.is_conflict() => {}
                Err(refused) => warn!(image = id, cause = %refused, "an image without a tag could not be removed"),
            }
        }
        Ok(gone)
    }

    async fn dangling(&self) -> Result<Value, EngineError> {
        let dangling = json!({"dangling": ["true"]}).to_string();
        self.engine.get("/images/json", &[("filters", &dangling)]).await.map_err(told)
    }
}

fn told(error: EngineError) -> EngineError {
    error.during("remove images without a tag")
}

/// Does it within [`WITHIN`], once nobody else does it; `None` where somebody does for too long.
async fn in_turn<T>(act: impl AsyncFn() -> Result<T, EngineError>) -> Result<Option<T>, EngineError> {
    let begun = Instant::now();
    loop {
        match timeout(WITHIN, act()).await {
            Err(_) => {
                let left = "the Engine has come to no end".to_owned();
                return Err(EngineError::TooLate { act: String::new(), left, waited: WITHIN });
            }
            Ok(Err(error)) if error.is_conflict() => {}
            Ok(done) => return done.map(Some),
        }
        if begun.elapsed() >= FOR_OTHERS {
            return Ok(None);
        }
        sleep(BETWEEN_TRIES).await;
    }
}

fn freed(before: &Value, pruned: &Value) -> Freed {
    let texts = |list: &Value, key: &str| -> BTreeSet<String> {
        let items = list.as_array().into_iter().flatten();
        items.filter_map(|item| item[key].as_str().map(str::to_owned)).collect()
    };
    let images = texts(before, "Id").intersection(&texts(&pruned["ImagesDeleted"], "Deleted")).count();
    Freed { images, bytes: pruned["SpaceReclaimed"].as_u64().unwrap_or_default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In the Engine's own words, for so many times.
    async fn beside_another(times: u32) -> Result<Option<u32>, EngineError> {
        let tries = std::cell::Cell::new(0);
        let act = async || {
            tries.set(tries.get() + 1);
            let message = "a prune operation is already running".to_owned();
            if tries.get() > times {
                Ok(tries.get())
            } else {
                Err(EngineError::Refused { status: 409, message, act: String::new() })
            }
        };
        in_turn(act).await
    }

    #[tokio::test(start_paused = true)]
    async fn somebody_elses_prune_is_waited_for_and_not_for_ever() {
        assert_eq!(beside_another(20).await, Ok(Some(21)));
        let begun = Instant::now();
        assert_eq!(beside_another(u32::MAX).await, Ok(None));
        assert!(begun.elapsed() >= FOR_OTHERS && begun.elapsed() < 2 * FOR_OTHERS);
    }

    #[tokio::test(start_paused = true)]
    async fn an_engine_that_comes_to_no_end_is_not_waited_for() {
        let told = in_turn::<()>(async || std::future::pending().await).await.map_err(told).unwrap_err().to_string();
        assert_eq!(told, "cannot remove images without a tag: the Engine has come to no end after 1800 s");
    }

    #[tokio::test]
    async fn any_other_no_is_told_at_once() {
        let no = || EngineError::Refused { status: 500, message: "no".into(), act: String::new() };
        assert_eq!(in_turn::<()>(async || Err(no())).await, Err(no()));
    }

    #[test]
    fn layers_and_names_that_went_with_an_image_are_no_images() {
        let before = json!([{"Id": "sha256:a"}, {"Id": "sha256:b"}, {"Id": "sha256:c"}]);
        let deleted = json!([{"Untagged": "app@sha256:f"}, {"Deleted": "sha256:a"}, {"Deleted": "sha256:layer"}, {"Deleted": "sha256:c"}]);
        let pruned = json!({"ImagesDeleted": deleted, "SpaceReclaimed": 5});
        assert_eq!(freed(&before, &pruned), Freed { images: 2, bytes: 5 });
        assert_eq!(freed(&before, &json!({"ImagesDeleted": null, "SpaceReclaimed": 0})), Freed::default());
    }
}
