//! A connection to an address, and TLS on it.
//!
//! The surprise: no authority store is asked. A server has to hold the key of the certificate that it shows; whether
//! that is the right one is judged once the handshake is done, and before any byte of a request is sent.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::{ProbeError, Scheme, Target, Timeouts};
use crate::health::gate::Phase;
use crate::health::gate::served::{self, Fault};

/// What a request is sent over.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// A connection that stands.
pub struct Line {
    pub stream: Box<dyn Stream>,
    /// The certificates that were shown (DER, leaf first); none without TLS.
    pub served: Vec<Vec<u8>>,
    /// What is worth telling about them though they will do.
    pub remark: Option<String>,
}

/// Connects, with TLS where the target speaks it, and judges the certificate.
pub async fn dial(target: &Target, timeouts: Timeouts) -> Result<Line, ProbeError> {
    let name = target.name()?;
    let stream = connect(target.address, &target.host, timeouts.connect).await?;
    match target.scheme {
        Scheme::Http => Ok(Line { stream: Box::new(stream), served: Vec::new(), remark: None }),
        Scheme::Https => secure(stream, target, name, timeouts.tls).await,
    }
}

pub async fn connect(address: SocketAddr, host: &str, within: Duration) -> Result<TcpStream, ProbeError> {
    match timeout(within, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => Err(ProbeError::Refused { address }),
        Ok(Err(error)) => Err(ProbeError::Connect { address, cause: error.to_string() }),
        Err(_) => Err(ProbeError::Timeout { phase: Phase::Connect, address, host: host.to_owned(), after: within }),
    }
}

async fn secure(
    stream: TcpStream,
    target: &Target,
    name: ServerName<'static>,
    within: Duration,
) -> Result<Line, ProbeError> {
    let (address, host) = (target.address, target.host.clone());
    let witness = Arc::new(Witness::new());
    let connector = TlsConnector::from(Arc::new(client_config(&witness)));
    let stream = match timeout(within, connector.connect(name, stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            let served = Some(witness.chain()).filter(|chain| !chain.is_empty()).map(|chain| served::describe(&chain));
            return Err(ProbeError::Tls { address, host, cause: in_words(&error), served });
        }
        Err(_) => return Err(ProbeError::Timeout { phase: Phase::Tls, address, host, after: within }),
    };
    let served = witness.chain();
    let remark = judged(&served, target).map_err(|fault| ProbeError::Certificate { address, host, fault })?;
    Ok(Line { stream: Box::new(stream), served, remark })
}

fn judged(chain: &[Vec<u8>], target: &Target) -> Result<Option<String>, Fault> {
    match &target.certificate {
        Some(wanted) => served::judge(chain, wanted, &target.host, Timestamp::now()),
        None => Ok(None),
    }
}

fn client_config(witness: &Arc<Witness>) -> ClientConfig {
    ClientConfig::builder_with_provider(Arc::clone(&witness.provider))
        .with_safe_default_protocol_versions()
        .expect("ring speaks the default protocol versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(witness) as Arc<dyn ServerCertVerifier>)
        .with_no_client_auth()
}

/// A handshake fails by rustls' own error within an I/O error, or by a peer that hangs up in its midst.
fn in_words(error: &io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| (inner as &(dyn Error + 'static)).downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidMessage(_)) => "what it sends is no TLS".to_owned(),
        Some(other) => other.to_string(),
        None if error.kind() == io::ErrorKind::UnexpectedEof => "it hangs up".to_owned(),
        None => error.to_string(),
    }
}

/// Takes down which certificates are shown, and accepts them from who holds the leaf's key.
struct Witness {
    chain: Mutex<Vec<Vec<u8>>>,
    provider: Arc<CryptoProvider>,
}

impl Witness {
    fn new() -> Self {
        Self { chain: Mutex::default(), provider: Arc::new(ring::default_provider()) }
    }

    fn chain(&self) -> Vec<Vec<u8>> {
        self.chain.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Debug for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Witness").finish_non_exhaustive()
    }
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let chain = std::iter::once(leaf).chain(rest).map(|der| der.to_vec()).collect();
        *self.chain.lock().unwrap_or_else(PoisonError::into_inner) = chain;
        Ok(ServerCertVerified::assertion())
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
