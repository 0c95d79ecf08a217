//! Tags that keep images: one that was pulled by digest has none, and a plain prune takes it as soon as its app is idle.
//!
//! The tag's name says the image's id and nothing else, so that any number of releases share it. No spec ever names it: a
//! node would ask Docker Hub for that name. Who starts a kept image names it by its id, which no registry is asked for.

use std::collections::BTreeSet;

use serde_json::Value;
use tracing::debug;

use super::{ImageError, Images, parsed};
use crate::host::engine::segment;

/// Of all keep tags.
const REPOSITORY: &str = "evenkeel/keep";

impl Images {
    /// Gives an image its keep tag. Gives whether the image is here at all.
    pub async fn keep(&self, id: &str) -> Result<bool, ImageError> {
        let path = format!("/images/{}/tag", segment(id));
        match self.engine.post(&path, &[("repo", REPOSITORY), ("tag", hash(id))], &Value::Null).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error.during(format!("keep image {id}")).into()),
        }
    }

    /// The ids of all images that have a keep tag.
    pub async fn kept(&self) -> Result<BTreeSet<String>, ImageError> {
        let filters = serde_json::json!({"reference": [REPOSITORY]}).to_string();
        let list = self.engine.get("/images/json", &[("filters", &filters)]).await;
        let list = list.map_err(|e| e.during("look at the kept images"))?;
        let tags = list.as_array().into_iter().flatten().flat_map(|image| image["RepoTags"].as_array()).flatten();
        let hashes = tags.filter_map(|tag| tag.as_str()?.strip_prefix(REPOSITORY)?.strip_prefix(':'));
        Ok(hashes.map(|hash| format!("sha256:{hash}")).collect())
    }

    /// Takes a keep tag away. An image without any other name goes with it, unless a container runs it.
    ///
    /// Whoever lists the kept images first, and only then reads which ones are needed, takes none that a run beside it has
    /// just kept and recorded.
    pub async fn let_go(&self, id: &str) -> Result<(), ImageError> {
        self.remove(&format!("{REPOSITORY}:{}", hash(id))).await
    }

    /// Takes this one name of an image away, and the image with its last one, unless a container uses it.
    pub async fn remove(&self, reference: &str) -> Result<(), ImageError> {
        let lookup = parsed(reference)?.lookup();
        match self.engine.delete(&format!("/images/{}", segment(&lookup)), &[]).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) if error.is_conflict() => {
                debug!(image = reference, cause = %error, "not removed, since it is in use");
                Ok(())
            }
            Err(error) => Err(error.during(format!("remove image {reference}")).into()),
        }
    }
}

fn hash(id: &str) -> &str {
    id.strip_prefix("sha256:").unwrap_or(id)
}
