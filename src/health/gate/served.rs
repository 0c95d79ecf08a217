//! Whether the certificate that a server shows is the one that users should meet.
//!
//! The border: who signed it is not looked at; where a chain is declared, it is compared byte by byte. The surprise: the
//! certificate of an authority at a declared chain's end may be left out by a server (RFC 8446, 4.4.2).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::certificate::{self, Certificate};
use crate::model::app::Domain;

/// What is asked of a certificate.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// The declared chain, DER, leaf first; empty: any. Base64 where it is written down.
    #[serde(with = "in_base64")]
    pub chain: Vec<Vec<u8>>,
    /// With fewer days left it is worth telling.
    pub warn_days: u32,
    /// With fewer days left it will not do; none of an expired one's are.
    pub fail_days: u32,
}

mod in_base64 {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub fn serialize<S: Serializer>(chain: &[Vec<u8>], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(chain.iter().map(|certificate| STANDARD.encode(certificate)))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Vec<u8>>, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        texts.iter().map(|text| STANDARD.decode(text).map_err(D::Error::custom)).collect()
    }
}

/// What is wrong with a served certificate. Each says its names and dates.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("another certificate than the declared one: served {served}; declared {declared}")]
    Another { served: String, declared: String },
    #[error("the declared certificate with another chain: served {served}; declared {declared}")]
    AnotherChain { served: String, declared: String },
    #[error("a certificate for other names: {served}")]
    Name { served: String },
    #[error("a certificate that is not valid before {not_before}: {served}")]
    NotYetValid { not_before: Timestamp, served: String },
    #[error("a certificate that expired at {not_after}: {served}")]
    Expired { not_after: Timestamp, served: String },
    #[error("a certificate with {left} days left, and {least} are wanted: {served}")]
    FewDays { left: i64, least: u32, served: String },
    #[error("a certificate that cannot be read: {served}")]
    Unreadable { served: String },
}

/// Judges a served chain (DER, leaf first) for `host`. A remark is for people: all is well, but not for long.
///
/// # Errors
/// The first thing that is wrong, identity before dates: dates of another certificate mean nothing.
pub fn judge(served: &[Vec<u8>], wanted: &Wanted, host: &str, now: Timestamp) -> Result<Option<String>, Fault> {
    let told = || describe(served);
    same_chain(served, &wanted.chain)?;
    let certificate = certificate::describe_chain(served).ok_or_else(|| Fault::Unreadable { served: told() })?;
    let covered = host.parse::<Domain>().is_ok_and(|host| certificate.covers(&host));
    if !covered {
        return Err(Fault::Name { served: told() });
    }
    let (not_before, not_after) = (certificate.not_before, certificate.not_after);
    if now < not_before {
        return Err(Fault::NotYetValid { not_before, served: told() });
    }
    if now > not_after {
        return Err(Fault::Expired { not_after, served: told() });
    }
    let left = certificate.days_left(now);
    if left < wanted.fail_days.into() {
        return Err(Fault::FewDays { left, least: wanted.fail_days, served: told() });
    }
    Ok(remark(&certificate, wanted.warn_days, now))
}

/// That a certificate has fewer than `days` left.
pub fn remark(certificate: &Certificate, days: u32, now: Timestamp) -> Option<String> {
    let left = certificate.days_left(now);
    (left < days.into()).then(|| format!("the certificate has {left} days left: {certificate}; renew it"))
}

fn same_chain(served: &[Vec<u8>], declared: &[Vec<u8>]) -> Result<(), Fault> {
    let Some(leaf) = declared.first() else { return Ok(()) };
    let both = || (describe(served), describe(declared));
    if served.first() != Some(leaf) {
        let (served, declared) = both();
        return Err(Fault::Another { served, declared });
    }
    let without_root = match declared {
        [rest @ .., root] if !rest.is_empty() && certificate::is_self_issued(root) => rest,
        all => all,
    };
    if served != declared && served != without_root {
        let (served, declared) = both();
        return Err(Fault::AnotherChain { served, declared });
    }
    Ok(())
}

/// Names, dates and fingerprint of the leaf, and by whom the rest of the chain is.
pub fn describe(chain: &[Vec<u8>]) -> String {
    let Some(leaf) = chain.first() else { return "none".to_owned() };
    let fingerprint = &certificate::fingerprint(leaf)[..16];
    let leaf = match certificate::describe(leaf) {
        Some(leaf) => {
            format!("{}, valid from {} until {} (sha256 {fingerprint}…)", leaf.list(), leaf.not_before, leaf.not_after)
        }
        None => format!("something unreadable (sha256 {fingerprint}…)"),
    };
    match &chain[1..] {
        [] => leaf,
        issuers => {
            let issuers: Vec<String> = issuers.iter().map(|der| certificate::subject_of(der)).collect();
            format!("{leaf}, with {}", issuers.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};

    use super::*;

    const HOST: &str = "wiki.example.org";

    fn params(names: &[&str], from: i32, to: i32) -> CertificateParams {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(to, 1, 1));
        params
    }

    fn authority(name: &str, to: i32) -> CertificateParams {
        let mut params = params(&[], 2026, to);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        params
    }

    /// Leaf, issuer and root; the leaf is good in 2026.
    fn chain(names: &[&str]) -> Vec<Vec<u8>> {
        let [leaf_key, issuer_key, root_key] = [(); 3].map(|()| KeyPair::generate().unwrap());
        let root = CertifiedIssuer::self_signed(authority("Test Root", 2040), root_key).unwrap();
        let issuer = CertifiedIssuer::signed_by(authority("Test Issuer", 2030), issuer_key, &root).unwrap();
        let leaf = params(names, 2026, 2027).signed_by(&leaf_key, &issuer).unwrap();
        vec![leaf.der().to_vec(), issuer.der().to_vec(), root.der().to_vec()]
    }

    fn at(date: &str) -> Timestamp {
        format!("{date}T12:00:00Z").parse().unwrap()
    }

    fn judged(served: &[Vec<u8>], wanted: &Wanted, date: &str) -> Result<Option<String>, Fault> {
        judge(served, wanted, HOST, at(date))
    }

    #[test]
    fn a_served_chain_is_the_declared_one_of_which_the_root_may_be_left_out() {
        let (chain, other) = (chain(&["*.example.org"]), chain(&["*.example.org"]));
        let wanted = Wanted { chain: chain.clone(), ..Wanted::default() };
        assert_eq!(judged(&chain, &wanted, "2026-06-01"), Ok(None));
        assert_eq!(judged(&chain[..2], &wanted, "2026-06-01"), Ok(None));

        let short = judged(&chain[..1], &wanted, "2026-06-01").unwrap_err();
        assert!(matches!(&short, Fault::AnotherChain { .. }), "{short}");
        assert!(short.to_string().contains("with CN=Test Issuer"), "{short}");
        let mixed = [chain[0].clone(), other[1].clone()];
        assert!(matches!(judged(&mixed, &wanted, "2026-06-01"), Err(Fault::AnotherChain { .. })));
        let another = judged(&other, &wanted, "2026-06-01").unwrap_err();
        assert!(matches!(&another, Fault::Another { .. }), "{another}");
        assert!(another.to_string().contains("*.example.org, valid from 2026-01-01T00:00:00Z until 2027"), "{another}");
        assert!(matches!(judged(&[], &wanted, "2026-06-01"), Err(Fault::Another { .. })));
    }

    #[test]
    fn a_leaf_alone_is_a_chain_even_where_it_issued_itself() {
        let leaf = params(&["*.example.org"], 2026, 2027).self_signed(&KeyPair::generate().unwrap()).unwrap();
        let chain = vec![leaf.der().to_vec()];
        let wanted = Wanted { chain: chain.clone(), ..Wanted::default() };
        assert_eq!(judged(&chain, &wanted, "2026-06-01"), Ok(None));
        assert!(judged(&[], &wanted, "2026-06-01").is_err());
    }

    #[test]
    fn dates_and_names_are_told_with_what_is_served() {
        let any = Wanted::default();
        let good = chain(&["*.example.org"]);
        let early = judged(&good, &any, "2025-12-30").unwrap_err();
        assert!(matches!(&early, Fault::NotYetValid { .. }), "{early}");
        assert!(early.to_string().contains("not valid before 2026-01-01T00:00:00Z: *.example.org"), "{early}");
        let late = judged(&good, &any, "2027-01-02").unwrap_err();
        assert!(matches!(&late, Fault::Expired { .. }), "{late}");
        assert!(late.to_string().contains("expired at 2027-01-01T00:00:00Z: *.example.org"), "{late}");
        for names in [&["other.example.org"][..], &["*.a.example.org"], &[]] {
            let name = judged(&chain(names), &any, "2026-06-01").unwrap_err();
            assert!(matches!(&name, Fault::Name { .. }), "{name}");
        }
        let unreadable = judged(&[b"rubbish".to_vec()], &any, "2026-06-01").unwrap_err();
        assert!(matches!(unreadable, Fault::Unreadable { .. }), "{unreadable}");
    }

    #[test]
    fn days_left_are_counted_down_through_a_warning_to_a_failure() {
        let served = chain(&["*.example.org"]);
        let wanted = Wanted { warn_days: 14, fail_days: 3, ..Wanted::default() };
        assert_eq!(judged(&served, &wanted, "2026-12-17"), Ok(None));
        let told = judged(&served, &wanted, "2026-12-18").unwrap().unwrap();
        assert!(told.contains("13 days left"), "{told}");
        assert!(judged(&served, &wanted, "2026-12-28").is_ok());
        let few = judged(&served, &wanted, "2026-12-29").unwrap_err();
        assert_eq!(few, Fault::FewDays { left: 2, least: 3, served: describe(&served) });
    }

    #[test]
    fn the_first_certificate_of_a_chain_to_expire_ends_it() {
        let [leaf_key, issuer_key] = [(); 2].map(|()| KeyPair::generate().unwrap());
        let issuer = CertifiedIssuer::self_signed(authority("Old Issuer", 2027), issuer_key).unwrap();
        let leaf = params(&["*.example.org"], 2026, 2030).signed_by(&leaf_key, &issuer).unwrap();
        let served = [leaf.der().to_vec(), issuer.der().to_vec()];
        assert!(matches!(judged(&served, &Wanted::default(), "2028-01-01"), Err(Fault::Expired { .. })));
    }
}
