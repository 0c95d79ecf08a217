//! `app`: any recipe, always running.

use std::net::SocketAddr;
use std::path::PathBuf;

use jiff::Timestamp;

use super::proxy;
use crate::config::{self, CertificateDays, Declared, HttpCheck};
use crate::desired::{self, Desired};
use crate::health::gate::served::Wanted;
use crate::host::probe::{self, Check, Target, random_host};
use crate::host::store::Store;
use crate::model::app::Kind;
use crate::reconcile::{Gate, Reconciler};

/// Where the proxy answers for all apps.
pub const HTTPS: u16 = 443;

/// An app behind the proxy, or one without a web side.
pub struct Live<'a> {
    pub declared: &'a Declared,
    store: &'a Store,
    pub app: &'a config::App,
}

impl<'a> Live<'a> {
    pub fn new(declared: &'a Declared, store: &'a Store, app: &'a config::App) -> Self {
        Self { declared, store, app }
    }

    /// The app's gate, or else these checks.
    pub fn gate_by(&self, default: impl IntoIterator<Item = HttpCheck>) -> Gate {
        gate(self.declared, self.app, default, proxy::kept_chain(self.declared, self.store))
    }
}

impl Reconciler for Live<'_> {
    fn preflight(&self, _now: Timestamp) -> Result<(), String> {
        logins(self.app)
    }

    fn secrets(&self) -> Vec<(String, PathBuf)> {
        Vec::new()
    }

    fn gate(&self, desired: &Desired) -> Gate {
        let routed = desired::router_hosts(desired).iter().any(|(_, host)| host == self.app.domain.as_str());
        self.gate_by(routed.then(HttpCheck::first_page))
    }
}

/// The checks of an app's table through the proxy, or else those `by_default`. Without a proxy no page is asked for:
/// Swarm's verdict and the ports count. `chain` is what has to be served; nothing: any certificate will do.
pub fn gate(
    declared: &Declared,
    app: &config::App,
    by_default: impl IntoIterator<Item = HttpCheck>,
    chain: Vec<Vec<u8>>,
) -> Gate {
    let proxy = declared.of(Kind::Proxy).next();
    let address = SocketAddr::new(declared.proxy_address, HTTPS);
    let mut target = Target::https(address, app.domain.as_str(), certificate(app, chain));
    target.unrouted = Some(random_host(&declared.base_domain));
    let pages = match (&app.gate.http, proxy) {
        (_, None) => Vec::new(),
        (None, Some(_)) => by_default.into_iter().collect(),
        (Some(declared), Some(_)) => declared.clone(),
    };
    let ports = app.gate.tcp.iter().map(|port| Check::Tcp(*port));
    Gate {
        within: app.gate.within,
        stable_for: app.gate.stable_for,
        successes: app.gate.successes,
        target,
        checks: pages.into_iter().map(Check::Page).chain(ports).collect(),
        proxy: proxy.map(|proxy| proxy.stack.clone()),
    }
}

/// One certificate is served for all apps, so it is the proxy that tells of its last days, unless an app asks for that.
fn certificate(app: &config::App, chain: Vec<Vec<u8>>) -> Option<Wanted> {
    let by_default = match app.kind {
        Kind::Proxy => CertificateDays::default(),
        _ => CertificateDays { warn: 0, fail: 0 },
    };
    let is_asked_for = app.gate.certificate.is_some() || !chain.is_empty();
    let days = app.gate.certificate.unwrap_or(by_default);
    is_asked_for.then_some(Wanted { chain, warn_days: days.warn, fail_days: days.fail })
}

/// Whether every login that the app's checks name can be had.
///
/// # Errors
/// The sentence for the operator, with every file that will not do.
pub fn logins(app: &config::App) -> Result<(), String> {
    let files = app.gate.http.iter().flatten().filter_map(|check| check.auth.as_ref());
    let wrong: Vec<String> = files.filter_map(|file| probe::login(file).err()).collect();
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
}
