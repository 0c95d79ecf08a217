//! The wildcard certificate that the operator declares: whether it can be served, and until when.
//!
//! Pure over bytes; whoever read the files adds their names. The border: no chain of trust is checked, because probes
//! compare the served leaf with this one by its bytes. The surprise: a chain file that also holds the private key is
//! refused, since the chain is handled as something that everyone may read.

use std::fmt;

use jiff::Timestamp;
use rustls::crypto::ring;
use rustls::pki_types::pem::{PemObject, SectionKind};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use sha2::{Digest, Sha256};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use crate::model::app::Domain;
use crate::model::hex;

/// What is known of a certificate; nothing of its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    pub leaf_der: Vec<u8>,
    /// SHA-256 of `leaf_der`, lower-case hex.
    pub fingerprint: String,
    /// DNS names of the leaf, lower case, in its order.
    pub names: Vec<String>,
    pub not_before: Timestamp,
    /// The first moment at which a certificate of the chain is no longer valid.
    pub not_after: Timestamp,
}

/// Why a certificate cannot be served. Says `chain` or `key` for the file concerned, never what is in the key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    #[error("chain: no certificate in it; it has to be PEM, the leaf first")]
    NoCertificate,
    #[error("chain: certificate {number} cannot be read; it has to be PEM with X.509 inside")]
    Unreadable { number: usize },
    #[error("chain: holds a private key, which belongs into the key file alone")]
    KeyInChain,
    #[error(
        "chain: certificate {number} ({subject}) did not issue the one before it; the leaf comes first, then each issuer"
    )]
    Order { number: usize, subject: String },
    #[error("chain: the first certificate is an authority ({subject}), not a server's; the leaf comes first")]
    LeafIsAuthority { subject: String },
    #[error("chain: {subject} is not valid before {not_before}")]
    NotYetValid { subject: String, not_before: Timestamp },
    #[error("chain: {subject} expired at {not_after}")]
    Expired { subject: String, not_after: Timestamp },
    #[error("chain: does not cover {name}; it covers {}", list(covered))]
    NotCovered { name: String, covered: Vec<String> },
    #[error("key: no private key in it; it has to be PEM, unencrypted")]
    NoKey,
    #[error("key: this kind of private key is not supported; RSA from 2048 bits, P-256, P-384 and Ed25519 are")]
    UnsupportedKey,
    #[error("key: is not the private key of the chain's first certificate")]
    KeyMismatch,
}

/// Everything that is wrong with a chain and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateErrors(pub Vec<CertificateError>);

impl fmt::Display for CertificateErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for CertificateErrors {}

/// Reads a chain (leaf first) and its key, both PEM.
///
/// # Errors
/// Every reason why it cannot be served for `base_domain` and its subdomains at `now`.
pub fn read(
    chain_pem: &[u8],
    key_pem: &[u8],
    base_domain: &Domain,
    now: Timestamp,
) -> Result<Certificate, CertificateErrors> {
    let (chain, mut errors) = chain_of(chain_pem);
    let parsed = parse_all(&chain, &mut errors);
    check_key(chain.first(), key_pem, &mut errors);
    if parsed.len() == chain.len() {
        check_order(&parsed, &mut errors);
    }
    check_dates(&parsed, now, &mut errors);
    let certificate = chain.first().zip(parsed.first()).map(|(der, leaf)| certificate(der, leaf, &parsed));
    if let Some(certificate) = &certificate {
        check_names(certificate, base_domain, &mut errors);
    }
    match certificate {
        Some(certificate) if errors.is_empty() => Ok(certificate),
        _ => Err(CertificateErrors(errors)),
    }
}

/// What a served leaf says of itself, for telling it from the declared one. `None` if it cannot be read.
pub fn describe(leaf_der: &[u8]) -> Option<Certificate> {
    let (_, leaf) = X509Certificate::from_der(leaf_der).ok()?;
    Some(certificate(&CertificateDer::from(leaf_der), &leaf, std::slice::from_ref(&leaf)))
}

/// What a served chain (DER, leaf first) says of its leaf, and until when all of it is valid. `None` if a certificate of
/// it cannot be read.
pub fn describe_chain(chain: &[Vec<u8>]) -> Option<Certificate> {
    let parsed: Option<Vec<X509Certificate<'_>>> =
        chain.iter().map(|der| X509Certificate::from_der(der).ok().map(|(_, certificate)| certificate)).collect();
    let parsed = parsed?;
    Some(certificate(&CertificateDer::from(chain.first()?.as_slice()), parsed.first()?, &parsed))
}

/// The certificates of a PEM chain (DER), the leaf first; none where one cannot be read.
pub fn chain(chain_pem: &[u8]) -> Vec<Vec<u8>> {
    let (chain, errors) = chain_of(chain_pem);
    if errors.is_empty() { chain.iter().map(|der| der.to_vec()).collect() } else { Vec::new() }
}

/// Whether a certificate names itself as its issuer, as that of a root authority does.
pub fn is_self_issued(der: &[u8]) -> bool {
    X509Certificate::from_der(der).is_ok_and(|(_, found)| found.issuer().as_raw() == found.subject().as_raw())
}

/// A certificate's subject, for people.
pub fn subject_of(der: &[u8]) -> String {
    X509Certificate::from_der(der).map_or_else(|_| "something unreadable".to_owned(), |(_, found)| subject(&found))
}

/// SHA-256 in lower-case hex.
pub fn fingerprint(der: &[u8]) -> String {
    hex(&Sha256::digest(der))
}

impl Certificate {
    /// Whole days until it expires; negative once it has.
    pub fn days_left(&self, now: Timestamp) -> i64 {
        (self.not_after.as_second() - now.as_second()).div_euclid(86_400)
    }

    /// Its names, for people.
    pub fn list(&self) -> String {
        list(&self.names)
    }

    pub fn covers(&self, domain: &Domain) -> bool {
        self.names.iter().any(|name| domain.is_covered_by(name))
    }
}

/// `*.example.org, example.org, valid until 2026-11-21T10:00:00Z`
impl fmt::Display for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, valid until {}", list(&self.names), self.not_after)
    }
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "no name".to_owned() } else { names.join(", ") }
}

fn chain_of(pem: &[u8]) -> (Vec<CertificateDer<'static>>, Vec<CertificateError>) {
    let (mut chain, mut errors, mut number) = (Vec::new(), Vec::new(), 0);
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(pem) {
        match section {
            Ok((SectionKind::Certificate, der)) => {
                number += 1;
                chain.push(CertificateDer::from(der));
            }
            Ok((SectionKind::PrivateKey | SectionKind::RsaPrivateKey | SectionKind::EcPrivateKey, _)) => {
                errors.push(CertificateError::KeyInChain);
            }
            Ok(_) => {}
            Err(_) => {
                number += 1;
                errors.push(CertificateError::Unreadable { number });
                break;
            }
        }
    }
    if chain.is_empty() && errors.is_empty() {
        errors.push(CertificateError::NoCertificate);
    }
    (chain, errors)
}

fn parse_all<'a>(chain: &'a [CertificateDer<'_>], errors: &mut Vec<CertificateError>) -> Vec<X509Certificate<'a>> {
    let mut parsed = Vec::new();
    for (index, der) in chain.iter().enumerate() {
        match X509Certificate::from_der(der) {
            Ok((_, certificate)) => parsed.push(certificate),
            Err(_) => {
                errors.push(CertificateError::Unreadable { number: index + 1 });
                break;
            }
        }
    }
    parsed
}

/// Whether the key can sign, and for this leaf. Errors of the libraries are not passed on: they may quote the input.
fn check_key(leaf: Option<&CertificateDer<'static>>, key_pem: &[u8], errors: &mut Vec<CertificateError>) {
    let Ok(key) = PrivateKeyDer::from_pem_slice(key_pem) else {
        return errors.push(CertificateError::NoKey);
    };
    let Ok(key) = ring::sign::any_supported_type(&key) else {
        return errors.push(CertificateError::UnsupportedKey);
    };
    let Some(leaf) = leaf else { return };
    if CertifiedKey::new(vec![leaf.clone()], key).keys_match().is_err() {
        errors.push(CertificateError::KeyMismatch);
    }
}

fn check_order(chain: &[X509Certificate<'_>], errors: &mut Vec<CertificateError>) {
    if chain.len() > 1 && chain[0].is_ca() {
        errors.push(CertificateError::LeafIsAuthority { subject: subject(&chain[0]) });
    }
    for (index, pair) in chain.windows(2).enumerate() {
        if pair[0].issuer().as_raw() != pair[1].subject().as_raw() {
            errors.push(CertificateError::Order { number: index + 2, subject: subject(&pair[1]) });
        }
    }
}

fn check_dates(chain: &[X509Certificate<'_>], now: Timestamp, errors: &mut Vec<CertificateError>) {
    for certificate in chain {
        let (not_before, not_after) = validity(certificate);
        if now < not_before {
            errors.push(CertificateError::NotYetValid { subject: subject(certificate), not_before });
        }
        if now > not_after {
            errors.push(CertificateError::Expired { subject: subject(certificate), not_after });
        }
    }
}

/// The base domain, and any label below it: a certificate that lists subdomains one by one is none for all apps.
fn check_names(certificate: &Certificate, base: &Domain, errors: &mut Vec<CertificateError>) {
    let wildcard = format!("*.{base}");
    let missing = |name: String| CertificateError::NotCovered { name, covered: certificate.names.clone() };
    if !certificate.covers(base) {
        errors.push(missing(base.to_string()));
    }
    if !certificate.names.contains(&wildcard) {
        errors.push(missing(wildcard));
    }
}

fn certificate(der: &CertificateDer<'_>, leaf: &X509Certificate<'_>, chain: &[X509Certificate<'_>]) -> Certificate {
    let (not_before, not_after) = validity(leaf);
    Certificate {
        leaf_der: der.to_vec(),
        fingerprint: fingerprint(der),
        names: dns_names(leaf),
        not_before,
        not_after: chain.iter().map(|c| validity(c).1).min().unwrap_or(not_after),
    }
}

fn dns_names(leaf: &X509Certificate<'_>) -> Vec<String> {
    let extension = leaf.subject_alternative_name().ok().flatten();
    let names = extension.map(|e| e.value.general_names.as_slice()).unwrap_or_default();
    let dns = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        _ => None,
    };
    names.iter().filter_map(dns).collect()
}

/// A subject for people; the names where the subject is empty, as with many certificates of today.
fn subject(certificate: &X509Certificate<'_>) -> String {
    let text = certificate.subject().to_string();
    if text.is_empty() { list(&dns_names(certificate)) } else { text }
}

/// Dates that no calendar here can hold count as never: `not before` the far future, `not after` the far past.
fn validity(certificate: &X509Certificate<'_>) -> (Timestamp, Timestamp) {
    let validity = certificate.validity();
    (
        Timestamp::from_second(validity.not_before.timestamp()).unwrap_or(Timestamp::MAX),
        Timestamp::from_second(validity.not_after.timestamp()).unwrap_or(Timestamp::MIN),
    )
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

    use super::*;

    const NAMES: [&str; 2] = ["example.org", "*.example.org"];

    struct Made {
        chain: String,
        key: String,
    }

    fn params(names: &[&str]) -> CertificateParams {
        let mut params = CertificateParams::new(names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>()).unwrap();
        params.not_before = rcgen::date_time_ymd(2026, 1, 1);
        params.not_after = rcgen::date_time_ymd(2026, 12, 31);
        params
    }

    fn made(names: &[&str]) -> Made {
        let key = KeyPair::generate().unwrap();
        Made { chain: params(names).self_signed(&key).unwrap().pem(), key: key.serialize_pem() }
    }

    fn at(date: &str) -> Timestamp {
        format!("{date}T12:00:00Z").parse().unwrap()
    }

    fn base() -> Domain {
        "example.org".parse().unwrap()
    }

    fn read_at(made: &Made, date: &str) -> Result<Certificate, CertificateErrors> {
        read(made.chain.as_bytes(), made.key.as_bytes(), &base(), at(date))
    }

    fn problems(made: &Made, date: &str) -> Vec<CertificateError> {
        read_at(made, date).expect_err("must be refused").0
    }

    fn authority(name: &str) -> CertificateParams {
        let mut params = params(&[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        params
    }

    /// A leaf, its issuer and a root, each PEM, and the leaf's key.
    fn issued() -> ([String; 3], String) {
        let [leaf_key, middle_key, root_key] = [(); 3].map(|()| KeyPair::generate().unwrap());
        let root = CertifiedIssuer::self_signed(authority("root"), root_key).unwrap();
        let middle = CertifiedIssuer::signed_by(authority("middle"), middle_key, &root).unwrap();
        let leaf = params(&NAMES).signed_by(&leaf_key, &middle).unwrap();
        ([leaf.pem(), middle.pem(), root.pem()], leaf_key.serialize_pem())
    }

    #[test]
    fn a_good_certificate_tells_names_dates_and_fingerprint() {
        let certificate = read_at(&made(&NAMES), "2026-12-01").unwrap();
        assert_eq!(certificate.names, NAMES);
        assert_eq!(certificate.days_left(at("2026-12-01")), 29);
        assert_eq!(certificate.fingerprint.len(), 64);
        assert_eq!(describe(&certificate.leaf_der).unwrap(), certificate);
        assert!(certificate.covers(&"wiki.example.org".parse().unwrap()));
        assert!(!certificate.covers(&"a.wiki.example.org".parse().unwrap()));
    }

    #[test]
    fn every_kind_of_elliptic_key_is_taken() {
        for kind in [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ED25519] {
            let key = KeyPair::generate_for(kind).unwrap();
            let chain = params(&NAMES).self_signed(&key).unwrap().pem();
            assert!(read_at(&Made { chain, key: key.serialize_pem() }, "2026-06-01").is_ok(), "{kind:?}");
        }
    }

    #[test]
    fn dates_outside_validity_are_refused() {
        let made = made(&NAMES);
        assert!(matches!(problems(&made, "2025-12-30")[..], [CertificateError::NotYetValid { .. }]));
        assert!(matches!(problems(&made, "2027-01-02")[..], [CertificateError::Expired { .. }]));
    }

    #[test]
    fn base_domain_and_its_wildcard_are_both_needed() {
        let uncovered = |names: &[&str]| match &problems(&made(names), "2026-06-01")[..] {
            [CertificateError::NotCovered { name, .. }] => name.clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!(uncovered(&["*.example.org"]), "example.org");
        assert_eq!(uncovered(&["example.org", "wiki.example.org"]), "*.example.org");
    }

    #[test]
    fn a_chain_is_taken_leaf_first_only() {
        let ([leaf, middle, root], key) = issued();
        let with = |parts: &[&String]| Made { chain: parts.iter().map(|p| p.as_str()).collect(), key: key.clone() };
        assert!(read_at(&with(&[&leaf, &middle, &root]), "2026-06-01").is_ok());
        assert!(read_at(&with(&[&leaf]), "2026-06-01").is_ok());
        let order = problems(&with(&[&leaf, &root, &middle]), "2026-06-01");
        assert!(matches!(order[0], CertificateError::Order { number: 2, .. }), "{order:?}");
        let reversed = problems(&with(&[&middle, &leaf]), "2026-06-01");
        assert!(reversed.iter().any(|e| matches!(e, CertificateError::LeafIsAuthority { .. })), "{reversed:?}");
        assert!(reversed.contains(&CertificateError::KeyMismatch), "{reversed:?}");
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let chain = made(&["example.org"]).chain;
        let key = made(&NAMES).key;
        let found = problems(&Made { chain, key }, "2027-06-01");
        assert_eq!(found.len(), 3, "{found:?}");
        assert_eq!(found[0], CertificateError::KeyMismatch);
        assert!(matches!(found[1], CertificateError::Expired { .. }));
        assert!(matches!(&found[2], CertificateError::NotCovered { name, .. } if name == "*.example.org"));
    }

    #[test]
    fn garbage_is_refused_and_named() {
        let good = made(&NAMES);
        let with = |chain: &str, key: &str| problems(&Made { chain: chain.into(), key: key.into() }, "2026-06-01");
        assert_eq!(with("", ""), [CertificateError::NoCertificate, CertificateError::NoKey]);
        assert_eq!(with(&good.key, &good.key), [CertificateError::KeyInChain]);
        assert_eq!(with(&good.chain, &good.chain), [CertificateError::NoKey]);
        let cut = &good.chain[..good.chain.len() / 2];
        assert_eq!(with(cut, &good.key), [CertificateError::Unreadable { number: 1 }]);
        let wrong = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert_eq!(with(wrong, &good.key)[0], CertificateError::Unreadable { number: 1 });
        let odd_key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        assert_eq!(with(&good.chain, odd_key), [CertificateError::UnsupportedKey]);
    }

    #[test]
    fn a_key_in_the_chain_file_is_refused_and_not_shown() {
        let mut made = made(&NAMES);
        made.chain.push_str(&made.key);
        let found = CertificateErrors(problems(&made, "2026-06-01"));
        assert_eq!(found.0, [CertificateError::KeyInChain]);
        let secret_line = made.key.lines().nth(1).unwrap();
        assert!(!format!("{found} {found:?}").contains(secret_line));
    }
}
