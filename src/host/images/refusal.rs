//! Why a registry gives no image, in the operator's words.
//!
//! All that is known is the Engine's one sentence, whose wording differs between versions of Docker and of registries.
//! So it is looked at for words that say what kind of thing went wrong, and is told, too.

use std::fmt;

use super::reference::Reference;

/// The Engine's sentence may hold a whole page of the registry's.
const MAX_WORDS: usize = 400;

/// A registry's no, or its silence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub registry: String,
    pub why: Why,
    /// Whether a login was sent along.
    pub had_login: bool,
    /// When a rate limit ends, or what it is, where the registry says so: `until 2026-01-01T12:00:00Z`.
    pub limit: Option<String>,
    /// The Engine's own words.
    pub words: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    Missing,
    Login,
    /// The login that was sent has had its time.
    Expired,
    Limit,
    /// No image for this kind of machine.
    Platform,
    Silent,
    Untrusted,
    /// It speaks plain HTTP where Docker wants TLS.
    Plain,
    Ill,
    /// Not the registry's doing: this machine's disk is full.
    Full,
    Other,
}

/// The first kind of which one word is in the sentence. Docker Hub says of an image that is not there that access is
/// denied, and the limit's sentence may speak of logins, so the order matters.
const SIGNS: [(Why, &[&str]); 12] = [
    (Why::Limit, &["toomanyrequests", "too many requests", "rate limit"]),
    (Why::Full, &["no space left on device", "disk quota exceeded"]),
    (
        Why::Platform,
        &["no matching manifest for", "cannot be used on this platform", "does not match the specified platform"],
    ),
    (Why::Plain, &["server gave http response to https client"]),
    (Why::Untrusted, &["x509: ", "certificate"]),
    // Of a tag, and of the address of a layer: neither is the login's time.
    (Why::Missing, &["was deleted or has expired"]),
    (Why::Ill, &["request has expired"]),
    (Why::Expired, &["expired"]),
    (Why::Login, &["unauthorized", "no basic auth credentials", "denied", "authentication required", "forbidden"]),
    (Why::Missing, &["manifest unknown", "name unknown", "not found", "not known to registry", "does not exist"]),
    (
        Why::Silent,
        &[
            "connection refused",
            "no such host",
            "no answer",
            "timeout",
            "timed out",
            "deadline exceeded",
            "no route to",
            "unreachable",
            "name resolution",
            "server misbehaving",
            "eof",
            "connection reset",
            "broken pipe",
            "request canceled",
        ],
    ),
    (
        Why::Ill,
        &["unexpected http status", "http response body", "internal server error", "bad gateway", "unavailable"],
    ),
];

/// What has its time among all that can expire, where it is a login.
const OF_A_LOGIN: [&str; 4] = ["token", "authorization", "credential", "password"];

impl Refusal {
    /// Reads the Engine's sentence about an image.
    pub fn read(reference: &Reference, had_login: bool, words: &str) -> Self {
        // A name may hold any of the words: there are images of certificates.
        let tagged = format!("{}:", reference.familiar());
        let is_name = |word: &&str| word.contains('/') || word.starts_with(&tagged);
        let small = words.split_whitespace().filter(|word| !is_name(word)).collect::<Vec<_>>().join(" ").to_lowercase();
        let has = |signs: &[&str]| signs.iter().any(|sign| small.contains(sign));
        let found = SIGNS.iter().find(|(why, signs)| has(signs) && (*why != Why::Expired || has(&OF_A_LOGIN)));
        Self {
            registry: reference.registry().to_owned(),
            why: match found.map_or(Why::Other, |(why, _)| *why) {
                Why::Expired if !had_login => Why::Login,
                why => why,
            },
            had_login,
            limit: None,
            words: words.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(MAX_WORDS).collect(),
        }
    }

    /// What is the matter, in few words.
    pub fn short(&self) -> String {
        let Self { registry, .. } = self;
        match self.why {
            Why::Missing => format!("{registry} has no such image"),
            Why::Login if self.had_login => format!("{registry} does not take the login of `registry_auth`"),
            Why::Login => format!("{registry} wants a login, or has no such image"),
            Why::Expired => format!("the login of `registry_auth` for {registry} has expired"),
            Why::Limit => match &self.limit {
                Some(limit) => format!("{registry} gives no more images {limit} (rate limit)"),
                None => format!("{registry} gives no more images for now (rate limit)"),
            },
            Why::Platform => format!("{registry} has it for other kinds of machine only"),
            Why::Silent => format!("{registry} does not answer"),
            Why::Untrusted => format!("Docker does not trust the certificate of {registry}"),
            Why::Plain => format!("{registry} speaks no TLS"),
            Why::Ill => format!("{registry} is not well"),
            Why::Full => "there is no room for it on this machine".to_owned(),
            Why::Other => format!("{registry} refuses"),
        }
    }

    fn way_out(&self) -> String {
        let Self { registry, .. } = self;
        match self.why {
            Why::Missing => "is the name right, and is the tag still there?".to_owned(),
            Why::Login if self.had_login => {
                "mend it there (is it right, and still valid?), or have it allowed to read this image".to_owned()
            }
            Why::Login => {
                "`registry_auth` has no login for it (one that a credential helper keeps does not count)".to_owned()
            }
            Why::Expired => "put a new one there".to_owned(),
            Why::Limit if self.had_login => "run this again then".to_owned(),
            Why::Limit => {
                "run this again then, or give it a login by `registry_auth`, which has a limit of its own".to_owned()
            }
            Why::Platform => "name an image that is built for this one".to_owned(),
            Why::Silent => "is it up, is its name right, and does this machine reach it?".to_owned(),
            Why::Untrusted => format!("put its CA into /etc/docker/certs.d/{registry}/ca.crt"),
            Why::Plain => "give it a certificate, or name it in Docker's `insecure-registries`".to_owned(),
            Why::Ill => "run this again later".to_owned(),
            Why::Full => "make some (`docker system df` tells what takes it)".to_owned(),
            Why::Other => "is the name right, and does the registry ask for a login (`registry_auth`)?".to_owned(),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {} (Docker says: {})", self.short(), self.way_out(), self.words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &str, had_login: bool) -> Refusal {
        Refusal::read(&"ghcr.io/a/b:1".parse().unwrap(), had_login, words)
    }

    #[test]
    fn the_engines_words_tell_what_went_wrong() {
        let table = [
            ("manifest unknown: manifest unknown", Why::Missing),
            ("manifest for ghcr.io/a/b:1 not found: manifest unknown", Why::Missing),
            ("name unknown: repository name not known to registry", Why::Missing),
            ("unauthorized: authentication required", Why::Login),
            ("Head \"https://ghcr.io/v2/a/b/manifests/1\": no basic auth credentials", Why::Login),
            ("pull access denied for a/b, repository does not exist or may require 'docker login'", Why::Login),
            (
                "toomanyrequests: You have reached your pull rate limit. You may increase the limit by authenticating",
                Why::Limit,
            ),
            ("no matching manifest for linux/amd64 in the manifest list entries", Why::Platform),
            ("Get \"https://ghcr.io/v2/\": dial tcp 10.0.0.1:443: connect: connection refused", Why::Silent),
            ("Get \"https://ghcr.io/v2/\": dial tcp: lookup ghcr.io: no such host", Why::Silent),
            ("Get \"https://ghcr.io/v2/\": net/http: TLS handshake timeout", Why::Silent),
            ("unexpected EOF", Why::Silent),
            ("Get \"https://ghcr.io/v2/\": x509: certificate signed by unknown authority", Why::Untrusted),
            ("Get \"https://ghcr.io/v2/\": http: server gave HTTP response to HTTPS client", Why::Plain),
            ("received unexpected HTTP status: 503 Service Unavailable", Why::Ill),
            ("failed to register layer: write /x: no space left on device", Why::Full),
            ("whatever", Why::Other),
        ];
        for (words, why) in table {
            assert_eq!(read(words, false).why, why, "{words}");
        }
    }

    #[test]
    fn what_else_has_expired_is_not_taken_for_the_login() {
        let table = [
            ("unknown: Tag 2.2.23 was deleted or has expired. To pull, revive via time machine", Why::Missing),
            ("error parsing HTTP 403 response body: AccessDenied: Request has expired", Why::Ill),
            ("denied: the subscription has expired", Why::Login),
            ("the lease has expired", Why::Other),
            ("denied: Your authorization token has expired. Reauthenticate and try again.", Why::Expired),
            ("unauthorized: expired token", Why::Expired),
            ("unauthorized: your credentials have expired", Why::Expired),
        ];
        for (words, why) in table {
            assert_eq!(read(words, true).why, why, "{words}");
        }
    }

    #[test]
    fn words_in_an_images_name_say_nothing() {
        let reference = "ghcr.io/timeout/certificate:1".parse().unwrap();
        let told =
            Refusal::read(&reference, false, "manifest for ghcr.io/timeout/certificate:1 not found: manifest unknown");
        assert_eq!(told.why, Why::Missing);
        let hub = "denied/x509:1".parse().unwrap();
        assert_eq!(Refusal::read(&hub, false, "toolong: docker.io/denied/x509").why, Why::Other);
    }

    #[test]
    fn a_login_that_was_sent_is_what_has_to_be_mended() {
        let without = read("unauthorized: authentication required", false).to_string();
        let with = read("unauthorized: authentication required", true).to_string();

        assert!(
            without.starts_with("ghcr.io wants a login, or has no such image; `registry_auth` has no login"),
            "{without}"
        );
        assert!(with.starts_with("ghcr.io does not take the login of `registry_auth`; mend it there"), "{with}");
        let expired = "denied: Your authorization token has expired. Reauthenticate and try again.";
        assert!(
            read(expired, true)
                .to_string()
                .starts_with("the login of `registry_auth` for ghcr.io has expired; put a new"),
        );
        assert_eq!(read(expired, false).why, Why::Login, "none was sent that could have");
        let certificate = "x509: certificate has expired or is not yet valid";
        assert_eq!(read(certificate, true).why, Why::Untrusted);
        assert!(with.ends_with("(Docker says: unauthorized: authentication required)"), "{with}");
    }

    #[test]
    fn a_page_of_words_is_one_line_and_no_page() {
        let told = read(&format!("bad\n\ngateway {}", "x".repeat(5000)), false).words;

        assert!(told.starts_with("bad gateway xxx") && told.len() == MAX_WORDS, "{told}");
    }
}
