//! Configuration, Engine and state directory: what most verbs begin with.

use std::path::Path;

use anyhow::Context as _;
use tracing::warn;

use crate::app::{Host, KnownOfEngine};
use crate::config::{self, Declared};
use crate::host::engine::Engine;
use crate::host::images::Images;
use crate::host::images::auth::{self, Auths};
use crate::host::recipes::Recipes;
use crate::host::store::Store;
use crate::host::swarm::Swarm;
use crate::model::secret::HostKey;

/// Where Docker listens unless somebody says otherwise.
const DEFAULT_ENGINE: &str = "unix:///run/docker.sock";

/// Reads the configuration; its warnings go to stderr.
///
/// # Errors
/// Every mistake in it, each with its place.
pub fn declared(path: &Path) -> anyhow::Result<Declared> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("read the configuration {} (name another one with --config)", path.display()))?;
    let declared = config::parse(&path.display().to_string(), &text)
        .map_err(|wrong| anyhow::anyhow!("the configuration is wrong:\n{wrong}"))?;
    declared.warnings.warnings().for_each(|warning| super::tell(&warning.to_string()));
    Ok(declared)
}

/// The same where its mistakes were told already.
pub fn declared_silently(path: &Path) -> Option<Declared> {
    config::parse(&path.display().to_string(), &std::fs::read_to_string(path).ok()?).ok()
}

/// The Engine of the configuration; `DOCKER_HOST` beats the default, the configuration beats both.
pub async fn engine(declared: &Declared) -> anyhow::Result<Engine> {
    let from_environment = std::env::var("DOCKER_HOST").ok().filter(|endpoint| !endpoint.is_empty());
    let endpoint = declared.engine.clone().or(from_environment);
    Ok(Engine::connect(endpoint.as_deref().unwrap_or(DEFAULT_ENGINE)).await?)
}

/// Everything that a run works with. The state directory can be written, or this fails.
pub async fn host(path: &Path) -> anyhow::Result<Host> {
    let declared = declared(path)?;
    let engine = engine(&declared).await?;
    let store = Store::open(&declared.state_dir)?;
    let host_key = store.host_key()?;
    let auths = logins(&declared)?;
    Ok(with(declared, engine, store, host_key, auths))
}

/// The same for `resume`, which needs no file of the operator's beside the configuration: images of both releases are kept
/// on this host, and an app that is stopped in the middle cannot wait for a login.
pub async fn host_to_resume_on(path: &Path) -> anyhow::Result<Host> {
    let declared = declared(path)?;
    let engine = engine(&declared).await?;
    let store = Store::open(&declared.state_dir)?;
    let host_key = store.host_key()?;
    let auths = logins(&declared).unwrap_or_else(|wrong| {
        warn!(
            cause = format!("{wrong:#}"),
            "going on without logins: images that are gone from this host may not be had"
        );
        Auths::default()
    });
    Ok(with(declared, engine, store, host_key, auths))
}

/// The same for verbs that only look, once, at these apps, or at all where none is named: they work where nothing can be
/// written, such as on a full disk.
pub async fn host_to_look_at(path: &Path, apps: &[String]) -> anyhow::Result<Host> {
    let declared = declared(path)?;
    let engine = engine(&declared).await?;
    let store = Store::for_reading(&declared.state_dir);
    let host_key = store.key_to_look_with()?;
    let auths = logins(&declared)?;
    let host = with(declared, engine, store, host_key, auths);
    let many = apps.len() != 1;
    Ok(if many { Host { swarm: host.swarm.at_one_look(), ..host } } else { host })
}

/// The registries' logins; what about their file deserves a word goes to stderr.
///
/// # Errors
/// Why the file cannot be read, with the way out.
pub fn logins(declared: &Declared) -> anyhow::Result<Auths> {
    let Some(path) = &declared.registry_auth else { return Ok(Auths::default()) };
    let (auths, warnings) = auth::read(path)?;
    warnings.iter().for_each(|warning| super::tell(&format!("warning: {warning}")));
    Ok(auths)
}

fn with(declared: Declared, engine: Engine, store: Store, host_key: HostKey, auths: Auths) -> Host {
    Host {
        swarm: Swarm::new(engine.clone()),
        images: Images::new(engine),
        auths,
        recipes: Recipes::new(&declared.state_dir),
        host_key,
        store,
        declared,
        known: KnownOfEngine::default(),
    }
}
