//! Requests to an app as its users make them, at an address of our choice.
//!
//! The connection goes to the given address while TLS and HTTP carry the app's real name, so DNS plays no part. The
//! border: what an answer means is judged elsewhere. The surprise: no authority store is asked. A server has to hold
//! the key of the very certificate that is declared, which is proved before any byte of a request is sent; without a
//! declared one any certificate will do.

mod ask;
mod assets;
pub(in crate::host) mod call;
mod dial;
mod exchange;
pub mod names;
#[cfg(test)]
pub(crate) mod tests;

use std::fmt::Display;
use std::net::SocketAddr;
use std::time::Duration;

pub use ask::{Asked, Check, Failure, Whose, ask, login};
use rustls::pki_types::ServerName;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::health::gate::Answer;
pub use crate::health::gate::Phase;
use crate::health::gate::served::{Fault, Wanted};
use crate::model::app::Domain;
use crate::model::hex;

/// Whom to ask: an address, and the name under which it is asked. No app is needed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    pub scheme: Scheme,
    pub address: SocketAddr,
    pub host: String,
    /// What has to be served; `None`: any certificate will do.
    pub certificate: Option<Wanted>,
    /// `user:password` for basic authentication. Never written down: a check names the file that holds it.
    #[serde(skip)]
    pub auth: Option<SecretString>,
    /// Another host name at this address that nobody routes: what is answered for it is the proxy's own answer.
    pub unrouted: Option<String>,
    /// A port that a user's browser would name.
    port: Option<u16>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scheme {
    Https,
    Http,
}

impl Target {
    pub fn https(address: SocketAddr, host: impl Into<String>, certificate: Option<Wanted>) -> Self {
        Self { certificate, ..Self::new(Scheme::Https, address, host.into()) }
    }

    pub fn http(address: SocketAddr, host: impl Into<String>) -> Self {
        Self::new(Scheme::Http, address, host.into())
    }

    /// What a URL names, at this address; `None` where its host is no domain. Any certificate will do.
    pub fn of(url: &Url, address: SocketAddr) -> Option<Self> {
        let host: Domain = url.domain()?.parse().ok()?;
        let scheme = if url.scheme() == "https" { Scheme::Https } else { Scheme::Http };
        Some(Self { port: url.port(), ..Self::new(scheme, address, host.to_string()) })
    }

    fn new(scheme: Scheme, address: SocketAddr, host: String) -> Self {
        Self { scheme, address, host, certificate: None, auth: None, unrouted: None, port: None }
    }

    /// The same address under another name.
    fn named(&self, host: &str) -> Self {
        Self { host: host.to_owned(), ..self.clone() }
    }

    /// What a browser puts into `Host`. Without the address's port, unless it is named.
    fn authority(&self) -> String {
        match self.port {
            Some(port) => format!("{}:{port}", self.host),
            None => self.host.clone(),
        }
    }

    /// The page at `path` as its users name it.
    fn url(&self, path: &str) -> String {
        let scheme = match self.scheme {
            Scheme::Https => "https",
            Scheme::Http => "http",
        };
        format!("{scheme}://{}{path}", self.authority())
    }

    fn name(&self) -> Result<ServerName<'static>, ProbeError> {
        let name = self.host.parse::<Domain>().ok().and_then(|_| ServerName::try_from(self.host.clone()).ok());
        match name {
            Some(name @ ServerName::DnsName(_)) => Ok(name),
            _ => Err(self.unusable("/", &"not a plain lower-case domain name")),
        }
    }

    fn unusable(&self, path: &str, cause: &dyn Display) -> ProbeError {
        ProbeError::Request { host: self.host.clone(), path: path.to_owned(), cause: cause.to_string() }
    }
}

/// How long each part may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    pub connect: Duration,
    pub tls: Duration,
    /// From the request to the end of the answer's headers.
    pub head: Duration,
    pub body: Duration,
}

impl Timeouts {
    /// No part takes longer than what is `left`, but for the second that any answer is given.
    #[must_use]
    pub fn within(self, left: Duration) -> Self {
        let most = left.max(Duration::from_secs(1));
        let Self { connect, tls, head, body } = self;
        Self { connect: connect.min(most), tls: tls.min(most), head: head.min(most), body: body.min(most) }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        let [short, long] = [5, 10].map(Duration::from_secs);
        Self { connect: short, tls: short, head: long, body: long }
    }
}

/// Why there is no answer; the sentence begins with the part at which it broke off.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    #[error("no request can be made for {host:?} and {path:?}: {cause}")]
    Request { host: String, path: String, cause: String },
    #[error("DNS: no address for {host}: {cause}")]
    Dns { host: String, cause: String },
    #[error("connect: {address} refuses connections")]
    Refused { address: SocketAddr },
    #[error("connect: {address} cannot be reached: {cause}")]
    Connect { address: SocketAddr, cause: String },
    #[error("{phase}: nothing from {address} for {host} within {after:?}")]
    Timeout { phase: Phase, address: SocketAddr, host: String, after: Duration },
    #[error("TLS: no handshake with {host} at {address}: {cause}{}", shown(served.as_deref()))]
    Tls { address: SocketAddr, host: String, cause: String, served: Option<String> },
    #[error("TLS: {address} serves for {host} {fault}")]
    Certificate { address: SocketAddr, host: String, fault: Fault },
    #[error("status: what {address} answers for {host} cannot be read: {cause}")]
    Status { address: SocketAddr, host: String, cause: String },
    #[error("body: the answer {status} of {address} for {host} cannot be read to its end: {cause}")]
    Body { address: SocketAddr, host: String, status: u16, cause: String },
}

fn shown(served: Option<&str>) -> String {
    served.map(|served| format!("; it shows {served}")).unwrap_or_default()
}

impl ProbeError {
    /// A declared certificate grows no younger; any other may be replaced by the time of the next question.
    fn is_lasting(&self, asked: &Target) -> bool {
        let is_old = matches!(self, Self::Certificate { fault: Fault::Expired { .. } | Fault::FewDays { .. }, .. });
        is_old && asked.certificate.as_ref().is_some_and(|wanted| !wanted.chain.is_empty())
    }

    /// The part at which it broke off.
    pub fn phase(&self) -> Phase {
        match self {
            ProbeError::Request { .. } => Phase::Request,
            ProbeError::Dns { .. } => Phase::Dns,
            ProbeError::Refused { .. } | ProbeError::Connect { .. } => Phase::Connect,
            ProbeError::Timeout { phase, .. } => *phase,
            ProbeError::Tls { .. } | ProbeError::Certificate { .. } => Phase::Tls,
            ProbeError::Status { .. } => Phase::Status,
            ProbeError::Body { .. } => Phase::Body,
        }
    }
}

/// An answer, and what is worth telling of the certificate though it will do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Got {
    pub answer: Answer,
    pub remark: Option<String>,
}

/// One GET of `path`, which begins with `/`. Redirects are answers and are not followed. Each one dials anew, so that it
/// meets what is served now.
pub async fn get(target: &Target, path: &str, timeouts: Timeouts) -> Result<Got, ProbeError> {
    let request = exchange::request(target, path)?;
    let line = dial::dial(target, timeouts).await?;
    let answer = exchange::exchange(line.stream, request, target, timeouts).await?;
    Ok(Got { answer, remark: line.remark })
}

/// The certificates (DER, leaf first) that are served for `host` at `address`.
pub async fn served_chain(address: SocketAddr, host: &str, timeouts: Timeouts) -> Result<Vec<Vec<u8>>, ProbeError> {
    let line = dial::dial(&Target::https(address, host, None), timeouts).await?;
    Ok(line.served)
}

/// Whether `address` accepts a connection.
pub async fn tcp(address: SocketAddr, within: Duration) -> Result<(), ProbeError> {
    dial::connect(address, &format!("port {}", address.port()), within).await.map(drop)
}

/// A host name that nobody routes: what is answered for it is the proxy's own answer.
pub fn random_host(base_domain: &Domain) -> String {
    let mut bytes = [0u8; 8];
    getrandom::fill(&mut bytes).expect("the kernel gives random bytes");
    format!("nobody-{}.{base_domain}", hex(&bytes))
}
