//! Removing images that have no name any more.
//!
//! Those with a tag stay, whoever gave it, and so do those that a container uses. The surprise: the Engine names every
//! layer that it removed, so images are counted by what was there before.

use std::collections::BTreeSet;

use jiff::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};

use super::{ImageError, Images};
use crate::host::engine::EngineError;

/// What a prune has removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Freed {
    pub images: usize,
    pub bytes: u64,
}

impl Images {
    /// Removes every image without a tag that was made before this time and that no container uses. A younger one may be a
    /// step of a build that is under way.
    pub async fn prune_dangling(&self, made_before: Timestamp) -> Result<Freed, ImageError> {
        let told = |error: EngineError| error.during("remove images without a tag");
        let dangling = json!({"dangling": ["true"]}).to_string();
        let before = self.engine.get("/images/json", &[("filters", &dangling)]).await.map_err(told)?;
        let filters = json!({"dangling": ["true"], "until": [made_before.as_second().to_string()]}).to_string();
        // Many images take longer than a call may.
        let answer = self.engine.stream(Method::POST, "/images/prune", &[("filters", &filters)], None).await;
        let bytes = answer.map_err(told)?.bytes().await.map_err(|e| self.engine.broken(&e))?;
        let garbled = |cause: serde_json::Error| EngineError::Garbled { act: String::new(), cause: cause.to_string() };
        let pruned: Value = serde_json::from_slice(&bytes).map_err(garbled).map_err(told)?;
        Ok(freed(&before, &pruned))
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

    #[test]
    fn layers_and_names_that_went_with_an_image_are_no_images() {
        let before = json!([{"Id": "sha256:a"}, {"Id": "sha256:b"}, {"Id": "sha256:c"}]);
        let deleted = json!([{"Untagged": "app@sha256:f"}, {"Deleted": "sha256:a"}, {"Deleted": "sha256:layer"}, {"Deleted": "sha256:c"}]);
        let pruned = json!({"ImagesDeleted": deleted, "SpaceReclaimed": 5});
        assert_eq!(freed(&before, &pruned), Freed { images: 2, bytes: 5 });
        assert_eq!(freed(&before, &json!({"ImagesDeleted": null, "SpaceReclaimed": 0})), Freed::default());
    }
}
