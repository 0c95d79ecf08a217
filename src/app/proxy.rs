//! `proxy`: the reverse proxy in front of all apps, with the wildcard certificate from files.
//!
//! Stateless, and never ACME. A bad certificate file never replaces a served one.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use jiff::Timestamp;

use super::live;
use crate::certificate::{self, Certificate};
use crate::config::{self, Declared, MEND_FILE};
use crate::desired::{Desired, SecretSource};
use crate::health::gate::served::Wanted;
use crate::host::probe::{Check, Target};
use crate::host::store::{AppDir, Store};
use crate::model::app::Kind;
use crate::model::secret::SecretBytes;
use crate::model::state::ReleaseBody;
use crate::reconcile::{Gate, Reconciler};

/// The recipe's names for the certificate's two secrets (recipe convention of Traefik's `compose.wildcard.yml`).
const CHAIN: &str = "ssl_cert";
const KEY: &str = "ssl_key";

pub struct Proxy<'a> {
    declared: &'a Declared,
    app: &'a config::App,
}

impl<'a> Proxy<'a> {
    pub fn new(declared: &'a Declared, app: &'a config::App) -> Self {
        Self { declared, app }
    }
}

impl Reconciler for Proxy<'_> {
    fn preflight(&self, now: Timestamp) -> Result<(), String> {
        certificate(self.declared, now)?;
        live::logins(self.app)
    }

    fn secrets(&self) -> Vec<(String, PathBuf)> {
        let files = self.declared.certificate.as_ref();
        files.map_or_else(Vec::new, |files| {
            vec![(CHAIN.to_owned(), files.chain.clone()), (KEY.to_owned(), files.key.clone())]
        })
    }

    /// Certificates come from files, and routes from the Swarm.
    fn is_stateless(&self) -> bool {
        true
    }

    /// The chain of the goal has to be served; with a bad file declared the goal is what runs, and its chain the last
    /// good one. Any answer will do: under its own domain a proxy without a dashboard answers as it does for a host that
    /// nobody routes.
    fn gate(&self, desired: &Desired) -> Gate {
        let mut gate = live::gate(self.declared, self.app, None, desired_chain(desired));
        gate.checks.push(Check::AnyAnswer);
        gate
    }
}

/// The certificates among the bytes that the proxy is to be given, leaf first.
fn desired_chain(desired: &Desired) -> Vec<Vec<u8>> {
    let chain = desired.secrets.iter().find(|secret| secret.key == CHAIN);
    match chain.map(|chain| &chain.source) {
        Some(SecretSource::Bytes(bytes)) => certificate::chain(bytes.expose()),
        Some(SecretSource::Generated(_) | SecretSource::External | SecretSource::Driver) | None => Vec::new(),
    }
}

/// The chain that the proxy kept here serves: that of its current release, which may be older than the declared file.
/// Empty where there is no such proxy, or nothing is known about it: any certificate will do then.
pub fn kept_chain(declared: &Declared, store: &Store) -> Vec<Vec<u8>> {
    kept_pem(declared, store).map(|pem| certificate::chain(pem.expose())).unwrap_or_default()
}

/// The leaf of [`kept_chain`].
pub fn kept_leaf(declared: &Declared, store: &Store) -> Option<Vec<u8>> {
    kept_chain(declared, store).into_iter().next()
}

fn kept_pem(declared: &Declared, store: &Store) -> Option<SecretBytes> {
    let proxy = declared.of(Kind::Proxy).next()?;
    let dir = store.app(&proxy.name);
    // Unreadable state is told by whoever keeps the proxy.
    let current = dir.read_state().ok()??.current?;
    dir.secret(current.body.secret_named(CHAIN)?).ok()?
}

/// The chain that a proxy with this release serves, for whoever sends it a secret: empty only where none was given to it
/// and none is declared.
///
/// # Errors
/// Where one was given or is declared and it is not known which, with the way out.
pub fn known_chain(declared: &Declared, dir: &AppDir, body: &ReleaseBody) -> anyhow::Result<Vec<Vec<u8>>> {
    let Some(name) = body.secret_named(CHAIN) else {
        ensure!(declared.certificate.is_none(), "the proxy was not given the declared certificate yet: {GIVE}");
        return Ok(Vec::new());
    };
    let kept = dir.secret(name).with_context(|| format!("which certificate the proxy serves is not known ({GIVE})"))?;
    let chain = kept.map(|pem| certificate::chain(pem.expose())).unwrap_or_default();
    ensure!(
        !chain.is_empty(),
        "which certificate the proxy serves is not known, for {}/secrets/{name} is missing or holds none: {GIVE}",
        dir.path().display()
    );
    Ok(chain)
}

/// Where an app behind the proxy, whose release this is, may be told a secret: at the proxy's own address and under the
/// app's name, with the certificate that the proxy was given.
///
/// # Errors
/// Where it is not known who would hear it, with the way out.
pub fn hearer(
    declared: &Declared,
    dir: &AppDir,
    body: &ReleaseBody,
    address: SocketAddr,
    app: &config::App,
) -> anyhow::Result<Target> {
    let chain = known_chain(declared, dir, body)?;
    ensure!(
        !chain.is_empty() || declared.proxy_address.is_loopback(),
        "a secret would go to whoever answers at {}, for no certificate of the proxy is known: give one as [proxy].certificate, \
         and run `evenkeel proxy`",
        declared.proxy_address
    );
    let wanted = (!chain.is_empty()).then_some(Wanted { chain, warn_days: 0, fail_days: 0 });
    Ok(Target::https(address, app.domain.as_str(), wanted))
}

const GIVE: &str = "`evenkeel proxy` gives it the one that [proxy].certificate names";

/// The declared certificate, read and checked; `None` where none is declared.
///
/// # Errors
/// Every problem in one sentence, with the files' paths.
pub fn certificate(declared: &Declared, now: Timestamp) -> Result<Option<Certificate>, String> {
    let Some(files) = &declared.certificate else { return Ok(None) };
    let chain = read("chain", &files.chain)?;
    let key = read("key", &files.key)?;
    certificate::read(&chain, &key, &declared.base_domain, now).map(Some).map_err(|problems| {
        let sentences: Vec<String> = problems.0.iter().map(ToString::to_string).collect();
        format!(
            "the certificate {} with key {} cannot be used: {}; mend the files, and what is served stays until then",
            files.chain.display(),
            files.key.display(),
            sentences.join("; ")
        )
    })
}

fn read(role: &str, path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path)
        .map_err(|error| format!("the certificate's {role} {} cannot be read: {error}; {MEND_FILE}", path.display()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::desired::DesiredService;

    #[test]
    fn the_proxys_own_domain_may_answer_as_a_host_that_nobody_routes() {
        let config = "base_domain = \"example.org\"\n[proxy]\nrecipe = { url = \"https://git.example.org/traefik\" }\n";
        let declared = config::parse("config.toml", config).unwrap();
        let app = declared.of(Kind::Proxy).next().unwrap();
        let labels = json!({ "Labels": { "traefik.http.routers.t.rule": "Host(`traefik.example.org`)" } });
        let desired = Desired {
            stack: app.stack.clone(),
            networks: vec![],
            external_networks: vec![],
            secrets: vec![],
            configs: vec![],
            services: vec![DesiredService { name: "traefik_example_org_app".into(), spec: labels }],
        };

        assert_eq!(Proxy::new(&declared, app).gate(&desired).checks, [Check::AnyAnswer]);
    }
}
