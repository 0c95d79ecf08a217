//! What an app's answers over HTTP mean. Nothing is dialled here.
//!
//! The surprise: a proxy answers for every host. What it says for a host that nobody routes is learned from a host name
//! made at random, and an answer like that is never the app's, even where a check would take it.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::config::HttpCheck;

/// How much of a body is kept to be searched.
pub const BODY_BOUND: usize = 1024 * 1024;

/// An answer as it came, redirects not followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// SHA-256 of the whole body.
    pub body_digest: [u8; 32],
    /// The body's beginning as text, at most [`BODY_BOUND`] bytes of it.
    pub body: String,
    /// Names in lower case; of several headers of one name, the values joined by `, `.
    pub headers: BTreeMap<String, String>,
}

impl Answer {
    pub fn new(status: u16, headers: BTreeMap<String, String>, body: &[u8]) -> Self {
        let start = &body[..body.len().min(BODY_BOUND)];
        let body_digest = Sha256::digest(body).into();
        Self { status, body_digest, body: String::from_utf8_lossy(start).into_owned(), headers }
    }

    fn location(&self) -> Option<&str> {
        self.headers.get("location").map(String::as_str)
    }

    fn is_like(&self, other: &Answer) -> bool {
        self.status == other.status && self.body_digest == other.body_digest
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    Yes,
    /// Not the app's answer: the proxy has no route yet, or nobody behind it.
    NotYet(String),
    /// The app's own answer, and not the wanted one. An app that starts may give such answers too: they count at the
    /// deadline.
    No(String),
}

/// Judges one answer. `proxys_own` is the proxy's answer for a host that nobody routes, where there is a proxy.
pub fn judge(check: &HttpCheck, answer: &Answer, proxys_own: Option<&Answer>) -> Finding {
    if proxys_own.is_some_and(|own| answer.is_like(own)) {
        return Finding::NotYet(format!(
            "{}: only the proxy answers ({}), it has no route to the app",
            check.path, answer.status
        ));
    }
    let wanted = if check.status.is_empty() {
        (200..400).contains(&answer.status)
    } else {
        check.status.contains(&answer.status)
    };
    if !wanted && matches!(answer.status, 502..=504) {
        return Finding::NotYet(format!("{}: nobody answers behind the proxy ({})", check.path, answer.status));
    }
    let against = [
        (!wanted).then(|| format!("answers {}, wanted is {}", answer.status, statuses(&check.status))),
        against_body(check, answer),
        against_headers(check, answer),
        against_redirect(check, answer),
    ];
    match against.into_iter().flatten().next() {
        Some(why) => Finding::No(format!("{} {why}", check.path)),
        None => Finding::Yes,
    }
}

fn statuses(wanted: &[u16]) -> String {
    match wanted {
        [] => "200 to 399".to_owned(),
        some => some.iter().map(u16::to_string).collect::<Vec<_>>().join(" or "),
    }
}

fn against_body(check: &HttpCheck, answer: &Answer) -> Option<String> {
    let text = check.body.as_deref()?;
    (!answer.body.contains(text)).then(|| format!("answers {} without the text {text:?}", answer.status))
}

fn against_headers(check: &HttpCheck, answer: &Answer) -> Option<String> {
    check.header.iter().find_map(|(name, text)| match answer.headers.get(name) {
        Some(value) if value.contains(text) => None,
        Some(value) => Some(format!("answers with header {name}: {value}, without {text:?}")),
        None => Some(format!("answers without header {name}")),
    })
}

fn against_redirect(check: &HttpCheck, answer: &Answer) -> Option<String> {
    let start = check.redirect.as_deref()?;
    match answer.location() {
        Some(location) if location.starts_with(start) => None,
        Some(location) => Some(format!("leads to {location}, not to {start}…")),
        None => Some("does not lead anywhere else".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer::new(status, BTreeMap::new(), body.as_bytes())
    }

    fn led_to(location: &str) -> Answer {
        Answer::new(302, [("location".to_owned(), location.to_owned())].into(), b"")
    }

    #[test]
    fn the_proxys_own_answer_is_never_the_apps() {
        let own = answer(404, "404 page not found\n");
        let takes_404 = HttpCheck { status: vec![404], ..HttpCheck::at("/") };
        assert!(matches!(judge(&takes_404, &own.clone(), Some(&own)), Finding::NotYet(_)));
        assert_eq!(judge(&takes_404, &answer(404, "no such page in this wiki"), Some(&own)), Finding::Yes);
        assert_eq!(judge(&takes_404, &own, None), Finding::Yes);
    }

    #[test]
    fn a_proxy_without_a_backend_says_nothing_about_the_app() {
        for status in [502, 503, 504] {
            assert!(matches!(judge(&HttpCheck::at("/"), &answer(status, ""), None), Finding::NotYet(_)));
        }
        let maintenance = HttpCheck { status: vec![503], ..HttpCheck::at("/") };
        assert_eq!(judge(&maintenance, &answer(503, "maintenance"), None), Finding::Yes);
    }

    #[test]
    fn everything_that_a_check_asks_must_hold() {
        let plain = HttpCheck::at("/");
        let body = HttpCheck { body: Some("Wiki".into()), ..plain.clone() };
        let header = HttpCheck { header: [("location".into(), "login".into())].into(), ..plain.clone() };
        let redirect = HttpCheck { redirect: Some("https://id.example.org/".into()), ..plain.clone() };
        let rows = [
            (&plain, answer(200, ""), true),
            (&plain, led_to("/login"), true),
            (&plain, answer(401, ""), false),
            (&plain, answer(500, ""), false),
            (&body, answer(200, "<h1>Wiki</h1>"), true),
            (&body, answer(200, "Welcome to nginx"), false),
            (&header, led_to("/login"), true),
            (&header, answer(200, ""), false),
            (&redirect, led_to("https://id.example.org/auth"), true),
            (&redirect, led_to("https://evil.example.org/"), false),
            (&redirect, answer(200, ""), false),
        ];
        for (check, answer, good) in rows {
            let finding = judge(check, &answer, None);
            assert_eq!(finding == Finding::Yes, good, "{check:?} {answer:?}");
            assert!(good || matches!(finding, Finding::No(_)));
        }
    }
}
