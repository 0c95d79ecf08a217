//! What an app's answers over HTTP mean. Nothing is dialled here.
//!
//! The surprise: a proxy answers for every host. What it says for a host that nobody routes is learned from a host name
//! made at random, and an answer like that is never the app's, even where a check would take it.

pub mod assets;
mod css;
pub mod served;

use std::collections::BTreeMap;
use std::fmt;

use sha2::{Digest, Sha256};

use crate::config::HttpCheck;

/// How much of a body is kept to be searched.
pub const BODY_BOUND: usize = 1024 * 1024;

/// The part of a question at which it is settled, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Before anything was sent: the question itself cannot be asked.
    Request,
    Dns,
    Connect,
    Tls,
    Status,
    Headers,
    Body,
    Assets,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Phase::Request => "request",
            Phase::Dns => "DNS",
            Phase::Connect => "connect",
            Phase::Tls => "TLS",
            Phase::Status => "status",
            Phase::Headers => "headers",
            Phase::Body => "body",
            Phase::Assets => "assets",
        })
    }
}

/// An answer as it came, redirects not followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// SHA-256 of as much of the body as was read.
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

    /// How the body is packed, although nobody asked for that: its text cannot be searched.
    pub fn encoding(&self) -> Option<&str> {
        let encoding = self.headers.get("content-encoding")?.trim();
        (!encoding.is_empty() && !encoding.eq_ignore_ascii_case("identity")).then_some(encoding)
    }

    /// Whether a browser would show it as a page.
    pub fn is_page(&self) -> bool {
        let kind = self.headers.get("content-type").map_or("", String::as_str);
        let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        matches!(kind.as_str(), "text/html" | "application/xhtml+xml")
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
    No(Phase, String),
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
        (!wanted).then(|| (Phase::Status, format!("answers {}, wanted is {}", answer.status, statuses(&check.status)))),
        against_redirect(check, answer).map(|why| (Phase::Headers, why)),
        against_query(check, answer).map(|why| (Phase::Headers, why)),
        against_headers(check, answer).map(|why| (Phase::Headers, why)),
        against_body(check, answer).map(|why| (Phase::Body, why)),
        against_assets(check, answer).map(|why| (Phase::Assets, why)),
    ];
    match against.into_iter().flatten().next() {
        Some((phase, why)) => Finding::No(phase, format!("{} {why}", check.path)),
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
    let missing = |answer: &Answer| {
        let text = check.body.as_deref().filter(|text| !answer.body.contains(*text));
        let pattern = check.pattern.as_ref().filter(|pattern| !pattern.is_in(&answer.body));
        let text = text.map(|text| format!("without the text {text:?}"));
        text.or_else(|| Some(format!("without a match of {:?}", pattern?.as_str())))
    };
    let status = answer.status;
    if let Some(encoding) = answer.encoding().filter(|_| check.body.is_some() || check.pattern.is_some()) {
        return Some(format!(
            "answers {status} packed as {encoding}, which was not asked for; its text is not searched"
        ));
    }
    let within = if answer.body.len() < BODY_BOUND { "" } else { " in its first MiB" };
    missing(answer).map(|missing| format!("answers {status} {missing}{within}"))
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
        Some(location) => Some(format!("leads to {}, not to {start}…", without_query(location))),
        None => Some("does not lead anywhere else".to_owned()),
    }
}

/// What stands there may let somebody in.
fn without_query(location: &str) -> String {
    location.split_once('?').map_or_else(|| location.to_owned(), |(before, _)| format!("{before}?…"))
}

/// Their order says nothing. One that is there twice is read by nobody knows whom.
fn against_query(check: &HttpCheck, answer: &Answer) -> Option<String> {
    let location = answer.location().unwrap_or_default();
    let before_fragment = location.split('#').next().unwrap_or_default();
    let query = before_fragment.split_once('?').map_or("", |(_, query)| query);
    check.redirect_query.iter().find_map(|(name, wanted)| {
        let parameters = url::form_urlencoded::parse(query.as_bytes());
        let found: Vec<_> = parameters.filter(|(other, _)| other == name).map(|(_, value)| value).collect();
        match &found[..] {
            [value] if value == wanted => None,
            [value] => Some(format!("leads elsewhere with {name}={value}, wanted is {name}={wanted}")),
            [] => Some(format!("leads elsewhere without {name}={wanted}")),
            _ => Some(format!("leads elsewhere with {name} more than once, wanted is {name}={wanted}")),
        }
    })
}

/// A check of assets that finds no page would be a check of nothing.
fn against_assets(check: &HttpCheck, answer: &Answer) -> Option<String> {
    if !check.assets {
        return None;
    }
    match answer.location() {
        Some(location) if answer.status != 200 => {
            let location = without_query(location);
            Some(format!("has no assets, it leads to {location}: ask for those at the path where the page is"))
        }
        _ if answer.status != 200 => Some(format!("answers {}, and only an answer 200 has assets", answer.status)),
        _ if !answer.is_page() => Some("is no page (text/html), so it has no assets".to_owned()),
        _ => answer.encoding().map(|encoding| format!("is packed as {encoding}, so its assets cannot be read")),
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
            assert!(good || matches!(finding, Finding::No(..)));
        }
    }

    #[test]
    fn a_redirect_has_to_carry_its_parameters_in_any_order_and_once() {
        let wanted = [("client_id".to_owned(), "an id".to_owned())].into();
        let check = HttpCheck { redirect_query: wanted, ..HttpCheck::at("/login") };
        let rows = [
            ("https://git/authorize?client_id=an+id&state=x", None),
            ("/authorize?state=x&client_id=an%20id#there", None),
            (
                "/authorize?client_id=other",
                Some("/login leads elsewhere with client_id=other, wanted is client_id=an id"),
            ),
            ("/authorize?state=client_id=an+id", Some("without client_id=an id")),
            ("/authorize#?client_id=an+id", Some("without client_id=an id")),
            ("/authorize?client_id=an+id&client_id=other", Some("more than once")),
        ];
        for (location, against) in rows {
            match (judge(&check, &led_to(location), None), against) {
                (Finding::Yes, None) => {}
                (Finding::No(Phase::Headers, told), Some(why)) if told.contains(why) => {}
                (finding, _) => panic!("{location}: {finding:?}"),
            }
        }
        assert!(matches!(judge(&check, &answer(200, "client_id=an+id"), None), Finding::No(Phase::Headers, _)));
    }

    #[test]
    fn a_no_says_at_which_part_of_the_answer() {
        let html: BTreeMap<_, _> = [("content-type".to_owned(), "text/html; charset=utf-8".to_owned())].into();
        let gzip: BTreeMap<_, _> = [("content-encoding".to_owned(), "gzip".to_owned())].into();
        let plain = HttpCheck::at("/");
        let body = HttpCheck { body: Some("Wiki".into()), ..plain.clone() };
        let assets = HttpCheck { assets: true, ..plain.clone() };
        let redirect = HttpCheck { redirect: Some("/x".into()), ..plain.clone() };
        let header = HttpCheck { header: [("x-app".into(), "Wiki".into())].into(), ..plain.clone() };
        let long = "x".repeat(BODY_BOUND + 1);
        let rows = [
            (&plain, answer(500, ""), Phase::Status, "answers 500, wanted is 200 to 399"),
            (&header, answer(200, ""), Phase::Headers, "without header x-app"),
            (&redirect, led_to("/y"), Phase::Headers, "leads to /y, not to /x…"),
            (&redirect, led_to("/y?code=s3cret"), Phase::Headers, "leads to /y?…, not to /x…"),
            (&body, answer(200, "none"), Phase::Body, "without the text \"Wiki\""),
            (&body, answer(200, &long), Phase::Body, "in its first MiB"),
            (&body, Answer::new(200, gzip.clone(), b"Wiki"), Phase::Body, "packed as gzip"),
            (&assets, answer(200, "{}"), Phase::Assets, "is no page"),
            (&assets, led_to("/login"), Phase::Assets, "it leads to /login"),
            (&assets, Answer::new(204, html.clone(), b""), Phase::Assets, "answers 204"),
            (&assets, Answer::new(200, html.clone().into_iter().chain(gzip).collect(), b""), Phase::Assets, "gzip"),
        ];
        for (check, answer, phase, why) in rows {
            let Finding::No(found, told) = judge(check, &answer, None) else { panic!("{check:?}") };
            assert!(found == phase && told.contains(why), "{found} {told}");
        }
        assert_eq!(judge(&assets, &Answer::new(200, html, b"<p>"), None), Finding::Yes);
    }

    #[test]
    fn a_text_is_no_pattern() {
        let check = HttpCheck { body: Some("a.c (d|e)".into()), ..HttpCheck::at("/") };
        assert_eq!(judge(&check, &answer(200, "see a.c (d|e)"), None), Finding::Yes);
        assert!(matches!(judge(&check, &answer(200, "see abc d"), None), Finding::No(Phase::Body, _)));
    }

    #[test]
    fn a_pattern_is_looked_for_anywhere_in_the_body() {
        let check = HttpCheck { pattern: Some("^Version 2\\.[0-9]+$".parse().unwrap()), ..HttpCheck::at("/") };
        assert_eq!(judge(&check, &answer(200, "Version 2.14"), None), Finding::Yes);
        let Finding::No(Phase::Body, told) = judge(&check, &answer(200, "Version 2x14"), None) else { panic!() };
        assert!(told.contains("without a match of \"^Version 2"), "{told}");
        let both = HttpCheck { body: Some("Wiki".into()), ..check };
        assert!(matches!(judge(&both, &answer(200, "Version 2.14"), None), Finding::No(Phase::Body, _)));
    }
}
