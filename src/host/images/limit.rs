//! When a registry's rate limit ends.
//!
//! The Engine keeps the registry's headers to itself. So after a `toomanyrequests`, and only then, the registry is asked
//! directly, once, for the headers of the same manifest: with HEAD, which Docker Hub does not count. What fails here
//! fails in silence: the refusal itself is told anyway.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response};

use super::auth::Auth;
use super::reference::Reference;

/// For all of it: nobody waits long for a remark.
const PATIENCE: Duration = Duration::from_secs(10);
/// Smaller numbers are seconds from now, larger ones a point in time (this one is in 2001).
const EPOCH: i64 = 1_000_000_000;
/// In the order in which they are believed.
const RESETS: [&str; 5] =
    ["retry-after", "x-retry-after", "ratelimit-reset", "x-ratelimit-reset", "x-rate-limit-reset"];
/// What a manifest may be, or a registry that knows newer ones only says that there is none.
const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
                         application/vnd.docker.distribution.manifest.list.v2+json, \
                         application/vnd.docker.distribution.manifest.v2+json";

/// What a registry says of its limit, as in `until 2026-01-01T12:00:00Z`. `None` where it says nothing, speaks no TLS
/// that this machine trusts, or does not answer.
pub async fn ask(reference: &Reference, auth: Option<&Auth>) -> Option<String> {
    let asking = async { told(answer(reference, auth).await?.headers(), Timestamp::now()) };
    tokio::time::timeout(PATIENCE, asking).await.ok()?
}

async fn answer(reference: &Reference, auth: Option<&Auth>) -> Option<Response> {
    // A client cannot be built without a provider. An error only means that there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder()
        .https_only(true)
        .redirect(Policy::none())
        .user_agent(concat!("evenkeel/", env!("CARGO_PKG_VERSION")))
        .build()
        .ok()?;
    let url = manifest_url(reference);
    let asked = || client.head(&url).header("accept", MANIFESTS);
    let answer = asked().send().await.ok()?;
    if answer.status() != reqwest::StatusCode::UNAUTHORIZED {
        return Some(answer);
    }
    let challenge = answer.headers().get(WWW_AUTHENTICATE)?.to_str().ok()?.to_owned();
    if challenge.to_ascii_lowercase().starts_with("basic") {
        return with_login(asked(), auth).send().await.ok();
    }
    let token = token(&client, &challenge, auth).await?;
    asked().bearer_auth(token).send().await.ok()
}

fn manifest_url(reference: &Reference) -> String {
    let registry = reference.registry();
    let host = if registry == "docker.io" { "registry-1.docker.io" } else { registry };
    format!("https://{host}/v2/{}/manifests/{}", reference.repository(), reference.version())
}

fn with_login(request: RequestBuilder, auth: Option<&Auth>) -> RequestBuilder {
    match auth.and_then(Auth::password) {
        Some((user, password)) => request.basic_auth(user, Some(password)),
        None => request,
    }
}

/// A token for what the challenge names, from where it says.
async fn token(client: &Client, challenge: &str, auth: Option<&Auth>) -> Option<String> {
    let realm = parameter(challenge, "realm")?;
    let query: Vec<(&str, &str)> =
        ["service", "scope"].into_iter().filter_map(|key| Some((key, parameter(challenge, key)?))).collect();
    let answer = with_login(client.get(realm).query(&query), auth).send().await.ok()?;
    let body: serde_json::Value = answer.json().await.ok()?;
    body["token"].as_str().or_else(|| body["access_token"].as_str()).map(str::to_owned)
}

/// `realm` of `Bearer realm="https://auth.docker.io/token",service="registry.docker.io"`.
fn parameter<'a>(challenge: &'a str, key: &str) -> Option<&'a str> {
    let (_, rest) = challenge.split_once(&format!("{key}=\""))?;
    rest.split_once('"').map(|(value, _)| value)
}

/// When one may come again, else how much is allowed in which time.
fn told(headers: &HeaderMap, now: Timestamp) -> Option<String> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let reset = RESETS.iter().find_map(|name| point_in_time(text(name)?, now));
    if let Some(reset) = reset {
        return Some(format!("until {}", reset.strftime("%Y-%m-%dT%H:%M:%SZ")));
    }
    let (count, window) = text("ratelimit-limit")?.split_once(";w=")?;
    let (count, window): (u64, i64) = (count.parse().ok()?, window.parse().ok()?);
    Some(format!("for up to {} (it allows {count} in that time)", span(window)))
}

/// Seconds from now, seconds since 1970, or a date as HTTP writes it.
fn point_in_time(text: &str, now: Timestamp) -> Option<Timestamp> {
    match text.parse::<i64>() {
        Ok(seconds) if seconds < 0 => None,
        Ok(seconds) if seconds >= EPOCH => Timestamp::from_second(seconds).ok(),
        Ok(seconds) => now.checked_add(SignedDuration::from_secs(seconds)).ok(),
        Err(_) => Some(jiff::fmt::rfc2822::parse(text).ok()?.timestamp()),
    }
}

fn span(seconds: i64) -> String {
    match seconds {
        s if s >= 3600 && s % 3600 == 0 => format!("{} h", s / 3600),
        s if s >= 60 && s % 60 == 0 => format!("{} min", s / 60),
        s => format!("{s} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(headers: &[(&'static str, &'static str)]) -> Option<String> {
        let now = "2026-01-01T12:00:00Z".parse().unwrap();
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        told(&headers, now)
    }

    #[test]
    fn the_end_of_a_limit_is_told_however_it_is_written() {
        let table = [
            (("retry-after", "3600"), "until 2026-01-01T13:00:00Z"),
            (("retry-after", "Thu, 01 Jan 2026 18:30:00 GMT"), "until 2026-01-01T18:30:00Z"),
            (("x-retry-after", "1767276000"), "until 2026-01-01T14:00:00Z"),
            (("ratelimit-reset", "90"), "until 2026-01-01T12:01:30Z"),
            (("x-ratelimit-reset", "1767276000"), "until 2026-01-01T14:00:00Z"),
            (("ratelimit-limit", "100;w=21600"), "for up to 6 h (it allows 100 in that time)"),
        ];
        for (header, expected) in table {
            assert_eq!(said(&[header]).as_deref(), Some(expected), "{header:?}");
        }
        assert_eq!(
            said(&[("ratelimit-limit", "100;w=21600"), ("retry-after", "60")]).unwrap(),
            "until 2026-01-01T12:01:00Z"
        );
    }

    #[test]
    fn headers_that_say_nothing_are_not_guessed_at() {
        for header in [("retry-after", "soon"), ("retry-after", "-5"), ("ratelimit-limit", "100"), ("date", "now")] {
            assert_eq!(said(&[header]), None, "{header:?}");
        }
        assert_eq!(said(&[("retry-after", "99999999999999999")]), None);
    }

    #[test]
    fn the_manifest_is_asked_where_the_engine_asks_for_it() {
        let url = |reference: &str| manifest_url(&reference.parse().unwrap());

        assert_eq!(url("nginx"), "https://registry-1.docker.io/v2/library/nginx/manifests/latest");
        assert_eq!(url("docker.io/library/nginx:1"), "https://registry-1.docker.io/v2/library/nginx/manifests/1");
        assert_eq!(url("keycloak/keycloak:26"), "https://registry-1.docker.io/v2/keycloak/keycloak/manifests/26");
        assert_eq!(url("h.example:5000/a/b:1@sha256:ff"), "https://h.example:5000/v2/a/b/manifests/sha256:ff");
    }

    #[test]
    fn a_challenge_is_taken_apart() {
        let challenge = r#"Bearer realm="https://auth.example/token",service="reg",scope="repository:a/b:pull""#;

        assert_eq!(parameter(challenge, "realm"), Some("https://auth.example/token"));
        assert_eq!(parameter(challenge, "scope"), Some("repository:a/b:pull"));
        assert_eq!(parameter(challenge, "error"), None);
    }
}
