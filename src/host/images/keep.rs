//! Tags that keep images: one that was pulled by digest has none, and a plain prune takes it as soon as its app is idle.
//!
//! The tag's name says the image's id and nothing else, so that any number of releases share it. No spec ever names it: a
//! node would ask Docker Hub for that name. Who starts a kept image names it by its id, which no registry is asked for.

use std::collections::BTreeSet;

use jiff::Timestamp;
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

    /// The ids of all images that are here, with a name or without.
    pub async fn all(&self) -> Result<BTreeSet<String>, ImageError> {
        let list = self.engine.get("/images/json", &[("all", "1")]).await;
        let list = list.map_err(|e| e.during("look at the images that are here"))?;
        let ids = list.as_array().into_iter().flatten().filter_map(|image| image["Id"].as_str());
        Ok(ids.map(str::to_owned).collect())
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

    /// Whether an image has its keep tag.
    pub async fn is_kept(&self, id: &str) -> Result<bool, ImageError> {
        Ok(self.id(&tag(id)).await?.is_some())
    }

    /// Takes a keep tag away that was given before this time, and the image with it where that has no other tag: also one
    /// that came by its digest, which the image store of containerd keeps by the name of that digest, and which no prune
    /// takes there. As long as a container uses such a one, its tag stays, so that whoever looks next finds it again. Gives
    /// whether the tag went.
    ///
    /// Whoever lists the kept images first, and only then reads which ones are needed, takes none that a run beside it has
    /// just kept and recorded.
    pub async fn let_go(&self, id: &str, kept_before: Timestamp) -> Result<bool, ImageError> {
        let tag = tag(id);
        let Some(image) = self.inspect(&parsed(&tag)?).await? else { return Ok(false) };
        if last_tagged(&image).is_some_and(|at| at >= kept_before) {
            return Ok(false);
        }
        let names = |key: &str| image[key].as_array().into_iter().flatten().filter_map(Value::as_str);
        if names("RepoTags").all(|name| name == tag) {
            if self.is_used(image["Id"].as_str().unwrap_or(id)).await? {
                return Ok(false);
            }
            let is_ours = |name: &str| name.split('@').next() == Some(REPOSITORY);
            for digest in names("RepoDigests").filter(|name| !is_ours(name)) {
                self.remove(digest).await?;
            }
        }
        self.remove(&tag).await
    }

    /// Takes a keep tag away and nothing else. Gives whether it went.
    pub async fn untag(&self, id: &str) -> Result<bool, ImageError> {
        self.remove(&tag(id)).await
    }

    /// Whether this Engine keeps what has no tag by the name of its digest: the image store of containerd does, and no prune
    /// takes that. Only [`Images::let_go`] does, which finds by its tag what is ours.
    pub async fn keeps_digests(&self) -> Result<bool, ImageError> {
        let info = self.engine.get("/info", &[]).await.map_err(|e| e.during("look at the Engine's image store"))?;
        let of_containerd = |pair: &Value| {
            pair[0] == "driver-type" && pair[1].as_str().is_some_and(|kind| kind.starts_with("io.containerd."))
        };
        Ok(info["DriverStatus"].as_array().is_some_and(|pairs| pairs.iter().any(of_containerd)))
    }

    /// Whether a container was made of it, also one that has ended.
    async fn is_used(&self, id: &str) -> Result<bool, ImageError> {
        let filters = serde_json::json!({"ancestor": [id]}).to_string();
        let query = [("all", "1"), ("limit", "1"), ("filters", filters.as_str())];
        let listed = self.engine.get("/containers/json", &query).await;
        let listed = listed.map_err(|e| e.during(format!("look who uses image {id}")))?;
        Ok(listed.as_array().is_some_and(|containers| !containers.is_empty()))
    }

    /// Takes this one name of an image away, and the image with its last one, unless a container uses it. Gives whether the
    /// name went.
    pub async fn remove(&self, reference: &str) -> Result<bool, ImageError> {
        let lookup = parsed(reference)?.lookup();
        match self.engine.delete(&format!("/images/{}", segment(&lookup)), &[]).await {
            Ok(()) => Ok(true),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) if error.is_conflict() => {
                debug!(image = reference, cause = %error, "not removed, since it is in use");
                Ok(false)
            }
            Err(error) => Err(error.during(format!("remove image {reference}")).into()),
        }
    }
}

/// What the Engine does not tell, such as of an image from an older one, was long ago.
fn last_tagged(image: &Value) -> Option<Timestamp> {
    image["Metadata"]["LastTagTime"].as_str()?.parse().ok()
}

fn tag(id: &str) -> String {
    format!("{REPOSITORY}:{}", hash(id))
}

fn hash(id: &str) -> &str {
    id.strip_prefix("sha256:").unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_an_image_was_tagged_last_is_read_as_the_engine_tells_it() {
        let told = |time: &str| last_tagged(&serde_json::json!({"Metadata": {"LastTagTime": time}}));
        let noon: Timestamp = "2026-11-01T12:00:00Z".parse().unwrap();
        assert_eq!(told("2026-11-01T13:00:00.000000000+01:00"), Some(noon));
        assert!(told("0001-01-01T00:00:00Z").is_some_and(|at| at < noon), "never");
        assert_eq!(last_tagged(&serde_json::json!({"Metadata": {}})), None);
    }
}
