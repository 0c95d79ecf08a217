//! `proxy`: the reverse proxy in front of all apps, with the wildcard certificate from files.
//!
//! Stateless, and never ACME. A bad certificate file never replaces a served one.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::live;
use crate::certificate::{self, Certificate};
use crate::config::{self, Declared, HttpCheck};
use crate::desired::Desired;
use crate::host::probe::Target;
use crate::reconcile::{Check, Gate, Reconciler};

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
        certificate(self.declared, now).map(drop)
    }

    fn secrets(&self) -> Vec<(String, PathBuf)> {
        let files = self.declared.certificate.as_ref();
        files.map_or_else(Vec::new, |files| {
            vec![(CHAIN.to_owned(), files.chain.clone()), (KEY.to_owned(), files.key.clone())]
        })
    }

    /// The declared leaf has to be served, whatever host is asked for; any answer will do, since nobody routes it.
    fn gate(&self, desired: &Desired) -> Gate {
        let mut gate = live::gate(self.declared, self.app, desired);
        if let Some(leaf) = live::declared_leaf(self.declared) {
            gate.checks.push(Check {
                target: Target::https(
                    SocketAddr::new(self.declared.proxy_address, live::HTTPS),
                    self.app.domain.as_str(),
                    Some(leaf),
                ),
                http: HttpCheck::any_answer(),
                unrouted: None,
            });
        }
        gate
    }
}

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
    std::fs::read(path).map_err(|error| format!("the certificate's {role} {} cannot be read: {error}", path.display()))
}
