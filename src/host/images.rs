//! Images: what is on this machine, what the registry says, and bringing the one to the other.
//!
//! A registry is asked through the Engine, which has the mirrors, the proxies and the certificates; only when a rate
//! limit ends has to be asked directly. The surprise: that an image is nowhere to be had is an error of its own, never a
//! verdict about an app.

pub mod auth;
pub mod filling;
mod keep;
mod limit;
mod prune;
pub mod reference;
pub mod refusal;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use reqwest::Method;
use serde_json::Value;
use tokio::time::timeout;

use super::engine::{Engine, EngineError, segment};
use auth::Auth;
use filling::{Bounds, Layers, NoRoom};
pub use prune::{FOR_OTHERS, Freed};
use reference::Reference;
use refusal::{Refusal, Why};

use crate::model::outcome::Outcome;

/// A line of pull progress is shorter; a longer one is no progress line.
const MAX_LINE: usize = 64 * 1024;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("{0:?} is no image reference (name[:tag][@digest])")]
    Malformed(String),
    #[error("image {reference} is not on this machine, and its registry does not give it: {refusal}")]
    Unavailable { reference: String, refusal: Box<Refusal> },
    #[error(
        "image {reference} does not fit on this machine's disk: {no_room}; what was fetched of it is gone again: make room \
         (old images: evenkeel prune)"
    )]
    NoRoom { reference: String, no_room: Box<NoRoom> },
}

impl ImageError {
    /// The Engine did not answer at all.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Engine(error) if error.is_unreachable())
    }
}

/// Without its image nothing can be said about an app.
impl From<ImageError> for Outcome {
    fn from(error: ImageError) -> Self {
        match error {
            ImageError::NoRoom { .. } => Outcome::Blocked(error.to_string()),
            _ => Outcome::Error(error.to_string()),
        }
    }
}

/// What a reference means now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// `name:tag@digest` if the registry, or the image's last pull, told a digest; else as it was given.
    pub reference: String,
    /// The id of the local image of that very digest; `None` until it is pulled.
    pub id: Option<String>,
    /// Why the registry did not tell, so that what is on this machine counts.
    pub silent: Option<Box<Refusal>>,
}

/// How long a registry may take. The Engine itself waits without an end for one that takes the connection and says
/// nothing.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For what a tag means; less than what the Engine is given for any answer, so that the registry is blamed.
    pub lookup: Duration,
    /// Without a word of progress in a pull. A large layer is unpacked in silence.
    pub pull: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { lookup: Duration::from_secs(25), pull: Duration::from_secs(300) }
    }
}

/// The images of one Engine. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Images {
    engine: Engine,
    patience: Patience,
}

impl Images {
    pub fn new(engine: Engine) -> Self {
        Self { engine, patience: Patience::default() }
    }

    /// Waits for registries as long as this.
    #[must_use]
    pub fn patient(self, patience: Patience) -> Self {
        Self { patience, ..self }
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
            return Ok(Resolved { reference: reference.to_owned(), id: Some(id), silent: None });
        }
        match self.registry_digest(reference, &asked, auth).await? {
            Ok(digest) => {
                let pinned = asked.with_digest(&digest);
                let id = self.id(&pinned).await?;
                Ok(Resolved { reference: pinned, id, silent: None })
            }
            Err(refusal) => match self.here(reference).await? {
                Some(here) => Ok(Resolved { silent: Some(Box::new(refusal)), ..here }),
                None => Err(unavailable(reference, refusal)),
            },
        }
    }

    /// What a reference means on this machine, without a word to any registry: the image of that name, and the digest
    /// under which it came. `None` where there is none.
    pub async fn here(&self, reference: &str) -> Result<Option<Resolved>, ImageError> {
        let asked = parsed(reference)?;
        let Some(image) = self.inspect(&asked).await? else { return Ok(None) };
        let reference = match digest_of(&image, &asked) {
            Some(digest) => asked.with_digest(&digest),
            None => reference.to_owned(),
        };
        Ok(Some(Resolved { reference, id: image["Id"].as_str().map(str::to_owned), silent: None }))
    }

    /// Fetches an image; `on_progress` is called with each line of the Engine's own words.
    ///
    /// # Errors
    /// `Unavailable` with what the registry said. The Engine reports that inside an answer that began well.
    pub async fn pull(
        &self,
        reference: &str,
        auth: Option<&Auth>,
        on_progress: impl FnMut(&str),
    ) -> Result<(), ImageError> {
        self.pull_until(reference, auth, on_progress, |_| None).await
    }

    /// The same, broken off where the disk would become too full. The Engine removes then what it had fetched.
    ///
    /// # Errors
    /// `NoRoom`; else as [`Images::pull`].
    pub async fn pull_within(
        &self,
        reference: &str,
        auth: Option<&Auth>,
        bounds: &Bounds,
        on_progress: impl FnMut(&str),
    ) -> Result<(), ImageError> {
        let mut layers = Layers::default();
        let is_full = |line: &Value| {
            layers.learn(line);
            bounds.broken_by(&layers)
        };
        self.pull_until(reference, auth, on_progress, is_full).await
    }

    async fn pull_until(
        &self,
        reference: &str,
        auth: Option<&Auth>,
        on_progress: impl FnMut(&str),
        is_full: impl FnMut(&Value) -> Option<NoRoom>,
    ) -> Result<(), ImageError> {
        let asked = parsed(reference)?;
        match self.pull_of_engine(&asked, auth, on_progress, is_full).await? {
            Ok(()) => Ok(()),
            Err(Broken::Off(no_room)) => {
                Err(ImageError::NoRoom { reference: reference.to_owned(), no_room: Box::new(no_room) })
            }
            Err(Broken::ByRegistry(words)) => Err(unavailable(reference, self.refused(&asked, auth, &words).await)),
        }
    }

    async fn pull_of_engine(
        &self,
        asked: &Reference,
        auth: Option<&Auth>,
        mut on_progress: impl FnMut(&str),
        mut is_full: impl FnMut(&Value) -> Option<NoRoom>,
    ) -> Result<Result<(), Broken>, EngineError> {
        let no = |words| Ok(Err(Broken::ByRegistry(words)));
        let query = [("fromImage", asked.name.as_str()), ("tag", asked.version())];
        let header = auth.map(Auth::header);
        let patience = self.patience.pull;
        let begun = timeout(patience, self.engine.stream(Method::POST, "/images/create", &query, header.as_deref()));
        let mut answer = match begun.await {
            Err(_) => return no(no_word(patience)),
            Ok(Err(EngineError::Refused { message, .. })) => return no(message),
            Ok(answer) => answer?,
        };
        let mut lines = Lines::default();
        loop {
            let Ok(chunk) = timeout(patience, answer.chunk()).await else { return no(no_word(patience)) };
            let Some(chunk) = chunk.map_err(|e| self.engine.broken(&e))? else { return Ok(Ok(())) };
            for line in lines.push(&chunk).iter().filter_map(|line| serde_json::from_slice::<Value>(line).ok()) {
                if let Err(words) = progress(&line, &mut on_progress) {
                    return no(words);
                }
                if let Some(no_room) = is_full(&line) {
                    return Ok(Err(Broken::Off(no_room)));
                }
            }
        }
    }

    async fn inspect(&self, reference: &Reference) -> Result<Option<Value>, EngineError> {
        match self.engine.get(&format!("/images/{}/json", segment(&reference.lookup())), &[]).await {
            Ok(image) => Ok(Some(image)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.during(format!("look for image {}", reference.lookup()))),
        }
    }

    /// `Err` inside is the registry's no, or its silence.
    async fn registry_digest(
        &self,
        reference: &str,
        asked: &Reference,
        auth: Option<&Auth>,
    ) -> Result<Result<String, Refusal>, EngineError> {
        let act = format!("ask the registry about image {reference}");
        let path = format!("/distribution/{}/json", segment(reference));
        let header = auth.map(Auth::header);
        let patience = self.patience.lookup;
        let words = match timeout(patience, self.engine.get_with_auth(&path, header.as_deref())).await {
            Ok(Ok(answer)) => match answer["Descriptor"]["digest"].as_str() {
                Some(digest) => return Ok(Ok(digest.to_owned())),
                None => return Err(EngineError::Garbled { act, cause: "it has no digest".into() }),
            },
            Ok(Err(EngineError::Refused { message, .. })) => message,
            Ok(Err(other)) => return Err(other.during(act)),
            Err(_) => no_word(patience),
        };
        Ok(Err(self.refused(asked, auth, &words).await))
    }

    async fn refused(&self, asked: &Reference, auth: Option<&Auth>, words: &str) -> Refusal {
        let refusal = Refusal::read(asked, auth.is_some(), words);
        let limit = if refusal.why == Why::Limit { limit::ask(asked, auth).await } else { None };
        Refusal { limit, ..refusal }
    }
}

/// Why a pull did not come to its end.
enum Broken {
    /// In the registry's words.
    ByRegistry(String),
    Off(NoRoom),
}

fn no_word(patience: Duration) -> String {
    format!("no answer within {} s", patience.as_secs())
}

fn parsed(reference: &str) -> Result<Reference, ImageError> {
    reference.parse().map_err(|_| ImageError::Malformed(reference.to_owned()))
}

fn unavailable(reference: &str, refusal: Refusal) -> ImageError {
    ImageError::Unavailable { reference: reference.to_owned(), refusal: Box::new(refusal) }
}

/// `RepoDigests` has one digest for each repository that the image came from.
fn digest_of(image: &Value, reference: &Reference) -> Option<String> {
    let digests = image["RepoDigests"].as_array()?.iter().filter_map(Value::as_str);
    let mut of_name = digests.filter_map(|text| text.split_once('@')).filter(|(name, _)| *name == reference.familiar());
    of_name.next().map(|(_, digest)| digest.to_owned())
}

/// Passes one line of a pull on; the error that it may hold is the answer's true status.
fn progress(line: &Value, on_progress: &mut impl FnMut(&str)) -> Result<(), String> {
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
