//! Certificates for a town, good and bad.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};

/// A self-signed one, as PEM.
pub struct Certificate {
    pub chain: String,
    pub key: String,
    pub leaf: Vec<u8>,
}

/// For the base domain and its wildcard, for longer than any test lasts.
pub fn good(base: &str) -> Certificate {
    made(&[base, &format!("*.{base}")], 2000, 2090)
}

pub fn expired(base: &str) -> Certificate {
    made(&[base, &format!("*.{base}")], 2000, 2001)
}

/// Valid today, and not in ten years.
pub fn ending_soon(base: &str) -> Certificate {
    let year = i32::from(jiff::Zoned::now().year()) + 2;
    made(&[base, &format!("*.{base}")], 2000, year)
}

pub fn not_yet_valid(base: &str) -> Certificate {
    made(&[base, &format!("*.{base}")], 2089, 2090)
}

/// Good today, for these names.
pub fn covering(names: &[&str]) -> Certificate {
    made(names, 2000, 2090)
}

/// A leaf with the authority that issued it.
pub fn issued(base: &str) -> Certificate {
    let dated = |names: Vec<String>| {
        let mut params = CertificateParams::new(names).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(2000, 1, 1), date_time_ymd(2090, 1, 1));
        params
    };
    let mut authority = dated(Vec::new());
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.distinguished_name.push(rcgen::DnType::CommonName, "Town Authority");
    let root = CertifiedIssuer::self_signed(dated(Vec::new()), KeyPair::generate().unwrap()).unwrap();
    let authority = CertifiedIssuer::signed_by(authority, KeyPair::generate().unwrap(), &root).unwrap();
    let key = KeyPair::generate().unwrap();
    let made = dated(vec![base.to_owned(), format!("*.{base}")]).signed_by(&key, &authority).unwrap();
    let chain = format!("{}{}", made.pem(), authority.pem());
    Certificate { chain, key: key.serialize_pem(), leaf: made.der().to_vec() }
}

/// The chain of one with the key of the other.
pub fn with_key_of(chain: Certificate, other: Certificate) -> Certificate {
    Certificate { key: other.key, ..chain }
}

fn made(names: &[&str], from: i32, to: i32) -> Certificate {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.not_before = date_time_ymd(from, 1, 1);
    params.not_after = date_time_ymd(to, 1, 1);
    let key = KeyPair::generate().unwrap();
    let made = params.self_signed(&key).unwrap();
    Certificate { chain: made.pem(), key: key.serialize_pem(), leaf: made.der().to_vec() }
}
