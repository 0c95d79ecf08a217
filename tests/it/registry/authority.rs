//! The authority of these tests' certificates. The private Engine trusts it.

use std::sync::LazyLock;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    der: Vec<u8>,
    pem: String,
}

/// A server's certificate and key.
pub struct Identity {
    pub certificate: rcgen::Certificate,
    pub key: KeyPair,
}

/// One per process, as the Engine is.
pub fn authority() -> &'static Authority {
    static AUTHORITY: LazyLock<Authority> = LazyLock::new(|| {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "Authority of tests");
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let (der, pem) = (certificate.der().to_vec(), certificate.pem());
        Authority { issuer: Issuer::new(params, key), der, pem }
    });
    &AUTHORITY
}

impl Authority {
    pub fn pem(&self) -> &str {
        &self.pem
    }

    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// For a server at this address.
    pub fn identity(&self, address: &str) -> Identity {
        let params = CertificateParams::new(vec![address.to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        Identity { certificate: params.signed_by(&key, &self.issuer).unwrap(), key }
    }
}
