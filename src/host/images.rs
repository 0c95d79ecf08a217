//! Images: what is on this machine, what the registry says, and bringing the one to the other.
//!
//! A registry is only ever asked through the Engine, which has the mirrors, the proxies and the certificates. The
//! surprise: that an image is nowhere to be had is an error of its own, never a verdict about an app.

pub mod auth;
pub mod reference;

use std::collections::{BTreeMap, BTreeSet};

use reqwest::Method;
use serde_json::Value;

use super::engine::{Engine, EngineError, segment};
use auth::Auth;
use reference::Reference;

use crate::model::outcome::Outcome;

/// A line of pull progress is shorter; a longer one is no progress line.
const MAX_LINE: usize = 64 * 1024;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("{0:?} is no image reference (name[:tag][@digest])")]
    Malformed(String),
    #[error(
        "image {reference} is not on this machine, and its registry does not give it: {cause} (is the name right, the \
         registry up, and `registry_auth` set if it asks for a login?)"
    )]
    Unavailable { reference: String, cause: String },
}

/// Without its image nothing can be said about an app.
impl From<ImageError> for Outcome {
    fn from(error: ImageError) -> Self {
        Outcome::Error(error.to_string())
    }
}

/// What a reference means now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// `name:tag@digest` if the registry, or the image's last pull, told a digest; else as it was given.
    pub reference: String,
    /// The id of the local image of that very digest; `None` until it is pulled.
    pub id: Option<String>,
    /// The registry said nothing, so what is on this machine counts.
    pub local_only: bool,
}

/// The images of one Engine. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Images {
    engine: Engine,
}

impl Images {
    pub fn new(engine: Engine) -> Self {
        Self { engine }
    }

    /// The id of the image that a reference names on this machine.
    pub async fn id(&self, reference: &str) -> Result<Option<String>, ImageError> {
        let reference = parsed(reference)?;
        let image = self.inspect(&reference).await?;
        Ok(image.and_then(|image| image["Id"].as_str().map(str::to_owned)))
    }

    /// The digest under which the local image of this name came from its registry; `None` for one that was built or
    /// loaded here.
    pub async fn repo_digest(&self, reference: &str) -> Result<Option<String>, ImageError> {
        let reference = parsed(reference)?;
        let image = self.inspect(&reference).await?;
        Ok(image.and_then(|image| digest_of(&image, &reference)))
    }

    /// The ids of several images, by reference; those that are not on this machine are left out.
    pub async fn ids(&self, references: &BTreeSet<String>) -> Result<BTreeMap<String, String>, ImageError> {
        let mut ids = BTreeMap::new();
        for reference in references {
            ids.extend(self.id(reference).await?.map(|id| (reference.clone(), id)));
        }
        Ok(ids)
    }

    /// Finds out what a reference means, by the registry if it answers, by what is here if not. Pulls nothing.
    ///
    /// # Errors
    /// `Unavailable` if the registry does not tell and the image is not here.
    pub async fn resolve(&self, reference: &str, auth: Option<&Auth>) -> Result<Resolved, ImageError> {
        let asked = parsed(reference)?;
        if asked.digest.is_some()
            && let Some(id) = self.id(reference).await?
        {
            return Ok(Resolved { reference: reference.to_owned(), id: Some(id), local_only: false });
        }
        match self.registry_digest(reference, auth).await {
            Ok(digest) => {
                let pinned = asked.with_digest(&digest);
                let id = self.id(&pinned).await?;
                Ok(Resolved { reference: pinned, id, local_only: false })
            }
            Err(error) if error.is_unreachable() => Err(error.into()),
            Err(error) => self.local(reference, &asked).await?.ok_or_else(|| unavailable(reference, &error)),
        }
    }

    /// Fetches an image; `on_progress` is called with each line of the Engine's own words.
    ///
    /// # Errors
    /// `Unavailable` with what the registry said. The Engine reports that inside an answer that began well.
    pub async fn pull(
        &self,
        reference: &str,
        auth: Option<&Auth>,
        mut on_progress: impl FnMut(&str),
    ) -> Result<(), ImageError> {
        let asked = parsed(reference)?;
        let query = [("fromImage", asked.name.as_str()), ("tag", asked.version())];
        let header = auth.map(Auth::header);
        let answer = self.engine.stream(Method::POST, "/images/create", &query, header.as_deref()).await;
        let mut answer = answer.map_err(|error| match error {
            EngineError::Unreachable { .. } => error.into(),
            refused => unavailable(reference, &refused),
        })?;
        let mut lines = Lines::default();
        while let Some(chunk) = answer.chunk().await.map_err(|e| self.engine.broken(&e))? {
            for line in lines.push(&chunk) {
                let cause = progress(&line, &mut on_progress);
                cause.map_err(|cause| ImageError::Unavailable { reference: reference.to_owned(), cause })?;
            }
        }
        Ok(())
    }

    async fn inspect(&self, reference: &Reference) -> Result<Option<Value>, EngineError> {
        match self.engine.get(&format!("/images/{}/json", segment(&reference.lookup())), &[]).await {
            Ok(image) => Ok(Some(image)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.during(format!("look for image {}", reference.lookup()))),
        }
    }

    async fn local(&self, reference: &str, asked: &Reference) -> Result<Option<Resolved>, EngineError> {
        let Some(image) = self.inspect(asked).await? else { return Ok(None) };
        let reference = match digest_of(&image, asked) {
            Some(digest) => asked.with_digest(&digest),
            None => reference.to_owned(),
        };
        Ok(Some(Resolved { reference, id: image["Id"].as_str().map(str::to_owned), local_only: true }))
    }

    async fn registry_digest(&self, reference: &str, auth: Option<&Auth>) -> Result<String, EngineError> {
        let act = format!("ask the registry about image {reference}");
        let path = format!("/distribution/{}/json", segment(reference));
        let header = auth.map(Auth::header);
        let about = |error: EngineError| error.during(act.clone());
        let answer = self.engine.get_with_auth(&path, header.as_deref()).await.map_err(about)?;
        let digest = answer["Descriptor"]["digest"].as_str().map(str::to_owned);
        digest.ok_or_else(|| EngineError::Garbled { act: act.clone(), cause: "it has no digest".into() })
    }
}

fn parsed(reference: &str) -> Result<Reference, ImageError> {
    reference.parse().map_err(|_| ImageError::Malformed(reference.to_owned()))
}

/// The registry's words are in the Engine's message.
fn unavailable(reference: &str, error: &EngineError) -> ImageError {
    let cause = match error {
        EngineError::Refused { message, .. } => message.clone(),
        other => other.to_string(),
    };
    ImageError::Unavailable { reference: reference.to_owned(), cause }
}

/// `RepoDigests` has one digest for each repository that the image came from.
fn digest_of(image: &Value, reference: &Reference) -> Option<String> {
    let digests = image["RepoDigests"].as_array()?.iter().filter_map(Value::as_str);
    let mut of_name = digests.filter_map(|text| text.split_once('@')).filter(|(name, _)| *name == reference.familiar());
    of_name.next().map(|(_, digest)| digest.to_owned())
}

/// Passes one line of a pull on; the error that it may hold is the answer's true status.
fn progress(line: &[u8], on_progress: &mut impl FnMut(&str)) -> Result<(), String> {
    let Ok(line) = serde_json::from_slice::<Value>(line) else { return Ok(()) };
    if let Some(error) = line["error"].as_str().or_else(|| line["errorDetail"]["message"].as_str()) {
        return Err(error.to_owned());
    }
    let part = |key: &str| line[key].as_str().filter(|part| !part.is_empty());
    let words: Vec<&str> = [part("id"), part("status"), part("progress")].into_iter().flatten().collect();
    if !words.is_empty() {
        on_progress(&words.join(" "));
    }
    Ok(())
}

/// Lines out of chunks that end anywhere.
#[derive(Default)]
struct Lines {
    begun: Vec<u8>,
}

impl Lines {
    fn push(&mut self, chunk: &[u8]) -> Vec<Vec<u8>> {
        self.begun.extend_from_slice(chunk);
        let mut lines: Vec<Vec<u8>> = self.begun.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        self.begun = lines.pop().unwrap_or_default();
        if self.begun.len() > MAX_LINE {
            self.begun.clear();
        }
        lines
    }
}

#[cfg(test)]
mod tests;
