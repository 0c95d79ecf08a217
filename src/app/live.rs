//! `app`: any recipe, always running.

use std::net::SocketAddr;
use std::path::PathBuf;

use jiff::Timestamp;
use secrecy::SecretString;

use super::proxy;
use crate::config::{self, Declared, HttpCheck};
use crate::desired::{self, Desired};
use crate::host::probe::{Target, random_host};
use crate::host::store::Store;
use crate::model::app::Kind;
use crate::reconcile::{Check, Gate, Reconciler};

/// Where the proxy answers for all apps.
pub const HTTPS: u16 = 443;

/// An app behind the proxy, or one without a web side.
pub struct Live<'a> {
    declared: &'a Declared,
    store: &'a Store,
    app: &'a config::App,
}

impl<'a> Live<'a> {
    pub fn new(declared: &'a Declared, store: &'a Store, app: &'a config::App) -> Self {
        Self { declared, store, app }
    }
}

impl Reconciler for Live<'_> {
    fn preflight(&self, _now: Timestamp) -> Result<(), String> {
        Ok(())
    }

    fn secrets(&self) -> Vec<(String, PathBuf)> {
        Vec::new()
    }

    fn gate(&self, desired: &Desired) -> Gate {
        let routed = desired::router_hosts(desired).iter().any(|(_, host)| host == self.app.domain.as_str());
        let by_default = routed.then(HttpCheck::first_page);
        gate(self.declared, self.app, by_default, proxy::kept_leaf(self.declared, self.store))
    }
}

/// The checks of an app's table through the proxy, or else the one `by_default`. Without a proxy there are none, and
/// Swarm's verdict alone counts. `leaf` is the certificate that has to be served.
pub fn gate(declared: &Declared, app: &config::App, by_default: Option<HttpCheck>, leaf: Option<Vec<u8>>) -> Gate {
    let proxy = declared.of(Kind::Proxy).next();
    let target = |host: &str| Target::https(SocketAddr::new(declared.proxy_address, HTTPS), host, leaf.clone());
    let unrouted = target(&random_host(&declared.base_domain));
    let check = |http: HttpCheck| {
        let host = http.host.as_ref().unwrap_or(&app.domain);
        let target = Target { auth: http.auth.as_ref().and_then(login), ..target(host.as_str()) };
        Check { target, unrouted: Some(unrouted.clone()), http }
    };
    let checks = match (&app.gate.http, proxy) {
        (_, None) => Vec::new(),
        (None, Some(_)) => by_default.into_iter().map(check).collect(),
        (Some(declared), Some(_)) => declared.iter().cloned().map(check).collect(),
    };
    Gate {
        within: app.gate.within,
        stable_for: app.gate.stable_for,
        successes: app.gate.successes,
        checks,
        tcp: app.gate.tcp.iter().map(|port| SocketAddr::new(declared.proxy_address, *port)).collect(),
        proxy: proxy.map(|proxy| proxy.stack.clone()),
    }
}

/// The one line `user:password` of a file. Without it the app's answer (401) tells what is missing.
fn login(path: &PathBuf) -> Option<SecretString> {
    let text = std::fs::read_to_string(path).ok()?;
    Some(SecretString::from(text.trim_end_matches(['\r', '\n'])))
}
