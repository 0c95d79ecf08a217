//! Requests to an app as its users make them, at an address of our choice.
//!
//! The connection goes to the given address while TLS and HTTP carry the app's real name, so DNS plays no part. The
//! border: what an answer means is judged elsewhere. The surprise: no authority store is asked. A server has to hold
//! the key of the very certificate that is declared, which is proved before any byte of a request is sent; without a
//! declared one any certificate will do.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::header::{HeaderMap, LOCATION};
use reqwest::redirect::Policy;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, SignatureScheme};
use secrecy::{ExposeSecret, SecretString};

use crate::certificate;
use crate::model::app::Domain;
use crate::model::hex;

/// No page that a check looks at is larger; what follows is not read.
const BODY_LIMIT: usize = 1 << 20;

/// Whom to ask: an address, and the name under which it is asked.
#[derive(Debug, Clone)]
pub struct Target {
    pub scheme: Scheme,
    pub address: SocketAddr,
    pub host: String,
    /// The DER of the certificate that has to be served; `None`: any.
    pub expected_leaf: Option<Vec<u8>>,
    /// `user:password` for basic authentication.
    pub auth: Option<SecretString>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    Https,
    Http,
}

impl Target {
    pub fn https(address: SocketAddr, host: impl Into<String>, expected_leaf: Option<Vec<u8>>) -> Self {
        Self { scheme: Scheme::Https, address, host: host.into(), expected_leaf, auth: None }
    }

    pub fn http(address: SocketAddr, host: impl Into<String>) -> Self {
        Self { scheme: Scheme::Http, ..Self::https(address, host, None) }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Until the connection stands, TLS included.
    pub connect: Duration,
    /// From the beginning to the last byte of the answer.
    pub total: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), total: Duration::from_secs(15) }
    }
}

/// What came back; redirects are answers and are not followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// At most 1 MiB; the rest is not read.
    pub body: Vec<u8>,
    pub location: Option<String>,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    #[error("{address} refuses connections")]
    Refused { address: SocketAddr },
    #[error("cannot connect to {address}: {cause}")]
    Connect { address: SocketAddr, cause: String },
    #[error("{address} does not answer for {host} within {after:?}")]
    Timeout { address: SocketAddr, host: String, after: Duration },
    #[error("no TLS with {host} at {address}: {cause}")]
    Tls { address: SocketAddr, host: String, cause: String },
    #[error(
        "{address} serves another certificate for {host} than the declared one: served {served}; declared {declared}"
    )]
    WrongCertificate { address: SocketAddr, host: String, served: String, declared: String },
    #[error("the answer of {host} at {address} cannot be read: {cause}")]
    Reading { address: SocketAddr, host: String, cause: String },
    #[error("no request can be made for {host:?} and {path:?}: {cause}")]
    Request { host: String, path: String, cause: String },
}

/// Makes requests. Each one dials anew, so that it meets what is served now.
#[derive(Debug, Clone)]
pub struct Probe {
    provider: Arc<CryptoProvider>,
}

impl Default for Probe {
    fn default() -> Self {
        Self::new()
    }
}

impl Probe {
    pub fn new() -> Self {
        Self { provider: Arc::new(ring::default_provider()) }
    }

    /// One GET of `path`, which begins with `/`.
    pub async fn get(&self, target: &Target, path: &str, timeouts: Timeouts) -> Result<Answer, ProbeError> {
        self.exchange(target, path, timeouts).await.1
    }

    /// The certificate (DER) that is served for `host` at `address`, whatever the request then comes to.
    pub async fn served_leaf(
        &self,
        address: SocketAddr,
        host: &str,
        timeouts: Timeouts,
    ) -> Result<Vec<u8>, ProbeError> {
        let target = Target::https(address, host, None);
        match self.exchange(&target, "/", timeouts).await {
            (Some(leaf), _) => Ok(leaf),
            (None, Err(error)) => Err(error),
            (None, Ok(_)) => unreachable!("no answer over TLS comes before a certificate"),
        }
    }

    /// Whether `address` accepts a connection.
    pub async fn tcp(&self, address: SocketAddr, within: Duration) -> Result<(), ProbeError> {
        let timeout = || ProbeError::Timeout { address, host: address.ip().to_string(), after: within };
        let connected = tokio::time::timeout(within, tokio::net::TcpStream::connect(address)).await;
        connected.map_err(|_| timeout())?.map(drop).map_err(|error| connect_error(address, &error))
    }

    /// The certificate that was met, and the answer.
    async fn exchange(
        &self,
        target: &Target,
        path: &str,
        timeouts: Timeouts,
    ) -> (Option<Vec<u8>>, Result<Answer, ProbeError>) {
        let verifier = Arc::new(Pinned::new(target.expected_leaf.clone(), Arc::clone(&self.provider)));
        let answer = self.ask(target, path, timeouts, &verifier).await;
        let served = verifier.served.get().cloned();
        let answer = match (&target.expected_leaf, &served) {
            (Some(declared), Some(served)) if declared != served => Err(wrong_certificate(target, served, declared)),
            _ => answer,
        };
        (served, answer)
    }

    async fn ask(
        &self,
        target: &Target,
        path: &str,
        timeouts: Timeouts,
        verifier: &Arc<Pinned>,
    ) -> Result<Answer, ProbeError> {
        let unusable = |error: &reqwest::Error| target.unusable(path, &innermost(error));
        let client = self.client(target, timeouts, verifier).map_err(|error| unusable(&error))?;
        let mut request = client.get(target.url(path));
        if let Some((user, password)) = target.auth.as_ref().and_then(|auth| auth.expose_secret().split_once(':')) {
            request = request.basic_auth(user, Some(password));
        }
        let request = request.build().map_err(|error| unusable(&error))?;
        // Any other spelling would miss the pinned address and go to whatever DNS says.
        if request.url().domain() != Some(&target.host) {
            return Err(target.unusable(path, "not a plain lower-case domain name"));
        }
        let response = client.execute(request).await.map_err(|error| failure(target, timeouts, &error))?;
        read(response).await.map_err(|error| failure(target, timeouts, &error))
    }

    /// A client for this one target: the pinned address belongs to the client, not to a request.
    fn client(
        &self,
        target: &Target,
        timeouts: Timeouts,
        verifier: &Arc<Pinned>,
    ) -> Result<reqwest::Client, reqwest::Error> {
        let tls = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()
            .expect("ring speaks the default protocol versions")
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(verifier) as Arc<dyn ServerCertVerifier>)
            .with_no_client_auth();
        reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .resolve(&target.host, target.address)
            .no_proxy()
            .redirect(Policy::none())
            .pool_max_idle_per_host(0)
            .connect_timeout(timeouts.connect)
            .timeout(timeouts.total)
            .user_agent(concat!("evenkeel/", env!("CARGO_PKG_VERSION")))
            .build()
    }
}

impl Target {
    /// Without a port: the address has it, and `Host` is what a user's browser sends.
    fn url(&self, path: &str) -> String {
        let scheme = match self.scheme {
            Scheme::Https => "https",
            Scheme::Http => "http",
        };
        format!("{scheme}://{}{path}", self.host)
    }

    fn unusable(&self, path: &str, cause: &str) -> ProbeError {
        ProbeError::Request { host: self.host.clone(), path: path.to_owned(), cause: cause.to_owned() }
    }
}

/// A host name that nobody routes: what is answered for it is the proxy's own answer.
pub fn random_host(base_domain: &Domain) -> String {
    let mut bytes = [0u8; 8];
    getrandom::fill(&mut bytes).expect("the kernel gives random bytes");
    format!("nobody-{}.{base_domain}", hex(&bytes))
}

async fn read(mut response: reqwest::Response) -> Result<Answer, reqwest::Error> {
    let status = response.status().as_u16();
    let headers = texts(response.headers());
    let location = headers.iter().find(|(name, _)| name == LOCATION.as_str()).map(|(_, value)| value.clone());
    let mut body = Vec::new();
    while body.len() < BODY_LIMIT
        && let Some(chunk) = response.chunk().await?
    {
        body.extend_from_slice(&chunk[..chunk.len().min(BODY_LIMIT - body.len())]);
    }
    Ok(Answer { status, headers, body, location })
}

fn texts(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value.as_bytes()))).collect()
}

fn wrong_certificate(target: &Target, served: &[u8], declared: &[u8]) -> ProbeError {
    let describe = |der: &[u8]| {
        let fingerprint = &certificate::fingerprint(der)[..16];
        match certificate::describe(der) {
            Some(certificate) => format!("{certificate} (sha256 {fingerprint}…)"),
            None => format!("something unreadable (sha256 {fingerprint}…)"),
        }
    };
    ProbeError::WrongCertificate {
        address: target.address,
        host: target.host.clone(),
        served: describe(served),
        declared: describe(declared),
    }
}

/// Tells the ways of failing apart, which only the chain of causes does.
fn failure(target: &Target, timeouts: Timeouts, error: &reqwest::Error) -> ProbeError {
    let (address, host, cause) = (target.address, target.host.clone(), innermost(error));
    if error.is_timeout() {
        let after = if error.is_connect() { timeouts.connect } else { timeouts.total };
        return ProbeError::Timeout { address, host, after };
    }
    if !error.is_connect() {
        return ProbeError::Reading { address, host, cause };
    }
    match io_cause(error) {
        Some(io) if is_tls(io) => ProbeError::Tls { address, host, cause },
        Some(io) => connect_error(address, io),
        None => ProbeError::Connect { address, cause },
    }
}

fn connect_error(address: SocketAddr, error: &io::Error) -> ProbeError {
    if error.kind() == io::ErrorKind::ConnectionRefused {
        return ProbeError::Refused { address };
    }
    ProbeError::Connect { address, cause: error.to_string() }
}

fn causes<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'e (dyn Error + 'static)| (*error).source())
}

fn innermost(error: &(dyn Error + 'static)) -> String {
    causes(error).last().map(ToString::to_string).unwrap_or_default()
}

fn io_cause<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e io::Error> {
    causes(error).find_map(|cause| cause.downcast_ref::<io::Error>())
}

/// A handshake fails by rustls' own error, or by a peer that hangs up in its midst.
fn is_tls(error: &io::Error) -> bool {
    let hung_up = matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset);
    hung_up || error.get_ref().is_some_and(|inner| is_by_rustls(inner))
}

/// I/O errors hold one another, and `source` leaves out what they hold.
fn is_by_rustls(error: &(dyn Error + 'static)) -> bool {
    let inside = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    error.is::<rustls::Error>() || inside.is_some_and(|inner| is_by_rustls(inner))
}

/// Accepts the declared certificate alone (any, where none is declared) from who holds its key.
struct Pinned {
    expected: Option<Vec<u8>>,
    served: OnceLock<Vec<u8>>,
    provider: Arc<CryptoProvider>,
}

impl Pinned {
    fn new(expected: Option<Vec<u8>>, provider: Arc<CryptoProvider>) -> Self {
        Self { expected, served: OnceLock::new(), provider }
    }
}

impl fmt::Debug for Pinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pinned").finish_non_exhaustive()
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let served = self.served.get_or_init(|| leaf.to_vec());
        match &self.expected {
            Some(expected) if expected != served => Err(CertificateError::ApplicationVerificationFailure.into()),
            _ => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests;
