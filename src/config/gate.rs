//! What has to be seen before an app counts as healthy: an app's `gate` table.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use regex_lite::Regex;
use serde::{Deserialize, Serialize};

use super::table::{Keys, Table, Value};
use crate::model::app::Domain;

const KEYS: Keys = &["http", "tcp", "certificate", "within", "stable_for", "successes"];
const HTTP_KEYS: Keys = &["path", "status", "body", "pattern", "header", "redirect", "auth", "assets", "host"];
const CERTIFICATE_KEYS: Keys = &["warn_days", "fail_days"];

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gate {
    /// `None`: what the kind of app asks by itself. An empty list: the Swarm's verdict is enough.
    pub http: Option<Vec<HttpCheck>>,
    /// Ports that must accept connections, at the address where gates dial.
    pub tcp: Vec<u16>,
    /// `None`: the declared certificate has to be served, and no expired one.
    pub certificate: Option<CertificateDays>,
    /// The deadline for a verdict, 10 minutes if not given: a first start that migrates a database takes its time.
    pub within: Duration,
    /// How long it has to stay well, 20 seconds if not given: the proxy looks at the Swarm every 15.
    pub stable_for: Duration,
    /// Good answers in a row, 3 if not given.
    pub successes: u32,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            http: None,
            tcp: Vec::new(),
            certificate: None,
            within: Duration::from_secs(600),
            stable_for: Duration::from_secs(20),
            successes: 3,
        }
    }
}

impl Gate {
    pub(super) fn asks_over_http(&self) -> bool {
        self.certificate.is_some() || self.http.as_ref().is_some_and(|checks| !checks.is_empty())
    }
}

/// How many days the served certificate has to have left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CertificateDays {
    /// With fewer a person is told, 14 if not given.
    pub warn: u32,
    /// With fewer the gate says no, 0 if not given; an expired one has none.
    pub fail: u32,
}

impl Default for CertificateDays {
    fn default() -> Self {
        Self { warn: 14, fail: 0 }
    }
}

/// One request to the app, and what its answer has to be. Everything that is given must hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpCheck {
    /// Begins with `/`; may have a query.
    pub path: String,
    /// Allowed status codes; empty: any from 200 to 399.
    pub status: Vec<u16>,
    /// Text that the body has to contain as it stands.
    pub body: Option<String>,
    /// A regular expression of which the body has to hold a match.
    pub pattern: Option<Pattern>,
    /// Header name in lower case -> text that its value has to contain.
    pub header: BTreeMap<String, String>,
    /// Text with which the redirect's target has to begin.
    pub redirect: Option<String>,
    /// Parameters that the redirect's target has to carry in its query, each once and with this value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub redirect_query: BTreeMap<String, String>,
    /// A file with one line `user:password` for basic authentication.
    pub auth: Option<PathBuf>,
    /// Whether each stylesheet, script, image and font of the page has to answer 200 too, over https where the page is.
    pub assets: bool,
    /// Another host name than the app's domain.
    pub host: Option<Domain>,
}

/// A regular expression that can be used: in the syntax of the `regex` crate, so it takes no more time than the text is
/// long. Unanchored; `.` matches no line end, and case counts, unless it says `(?s)` or `(?i)`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern(String);

impl TryFrom<String> for Pattern {
    type Error = regex_lite::Error;

    fn try_from(text: String) -> Result<Self, regex_lite::Error> {
        text.parse()
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.0
    }
}

impl FromStr for Pattern {
    type Err = regex_lite::Error;

    fn from_str(text: &str) -> Result<Self, regex_lite::Error> {
        Regex::new(text).map(|_| Self(text.to_owned()))
    }
}

impl Pattern {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn is_in(&self, text: &str) -> bool {
        Regex::new(&self.0).expect("it was one when it was read").is_match(text)
    }
}

impl HttpCheck {
    /// A page at `path` that answers with any status from 200 to 399.
    pub fn at(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            status: Vec::new(),
            body: None,
            pattern: None,
            header: BTreeMap::new(),
            redirect: None,
            redirect_query: BTreeMap::new(),
            auth: None,
            assets: false,
            host: None,
        }
    }

    /// The first page, with any answer of the app's own that is no failure of a server: a login page will do.
    pub fn first_page() -> Self {
        Self { status: (200..500).collect(), ..Self::at("/") }
    }

    /// Any answer at all, where it only matters who gives it.
    pub fn any_answer() -> Self {
        Self { status: (100..600).collect(), ..Self::at("/") }
    }
}

pub(super) fn read(value: &Value<'_>) -> Option<Gate> {
    let table = value.table(KEYS)?;
    let default = Gate::default();
    let gate = Gate {
        http: table.get("http").and_then(|v| v.list()).map(|checks| checks.iter().filter_map(http).collect()),
        tcp: table.get("tcp").map(|v| numbers(&v, 1, u16::MAX)).unwrap_or_default(),
        certificate: table.get("certificate").and_then(|v| certificate(&v)),
        within: table.get("within").and_then(|v| v.duration()).unwrap_or(default.within),
        stable_for: table.get("stable_for").and_then(|v| v.duration()).unwrap_or(default.stable_for),
        successes: table.get("successes").and_then(|v| v.integer(1..=1000)).unwrap_or(default.successes),
    };
    if gate.within <= gate.stable_for {
        let message = format!("within ({:?}) must be longer than stable_for ({:?})", gate.within, gate.stable_for);
        table.get("within").unwrap_or(value.clone()).error(message, "no verdict could ever be good");
    }
    Some(gate)
}

fn certificate(value: &Value<'_>) -> Option<CertificateDays> {
    let table = value.table(CERTIFICATE_KEYS)?;
    let default = CertificateDays::default();
    let days = |key: &str| table.get(key).and_then(|v| v.integer(0..=3650));
    let fail = days("fail_days").unwrap_or(default.fail);
    let found = CertificateDays { warn: days("warn_days").unwrap_or(default.warn.max(fail)), fail };
    if found.warn < found.fail {
        let message = format!("warn_days ({}) is less than fail_days ({})", found.warn, found.fail);
        value.error(message, "nobody would be told before it fails; give more to warn_days");
    }
    Some(found)
}

fn http(value: &Value<'_>) -> Option<HttpCheck> {
    let table = value.table(HTTP_KEYS)?;
    let path = table.require("path", "such as \"/\" or \"/health\"").and_then(|v| request_path(&v));
    let check = HttpCheck {
        status: table.get("status").map(|v| numbers(&v, 100, 599)).unwrap_or_default(),
        body: table.get("body").and_then(|v| v.text()),
        pattern: table.get("pattern").and_then(|v| v.parsed("such as \"Version 2\\\\.[0-9]+\"")),
        header: table.get("header").and_then(|v| v.open_table()).map(|t| headers(&t)).unwrap_or_default(),
        redirect: table.get("redirect").and_then(|v| v.text()),
        auth: table.get("auth").and_then(|v| v.secret_path()),
        assets: table.get("assets").and_then(|v| v.boolean()).unwrap_or_default(),
        host: table.get("host").and_then(|v| v.parsed("such as \"chat.example.org\"")),
        ..HttpCheck::at("")
    };
    note_page_without_assets(&check, &table);
    Some(HttpCheck { path: path?, ..check })
}

/// Only an answer 200 is a page.
fn note_page_without_assets(check: &HttpCheck, table: &Table<'_>) {
    let never_a_page = check.redirect.is_some() || (!check.status.is_empty() && !check.status.contains(&200));
    if let Some(value) = table.get("assets").filter(|_| check.assets && never_a_page) {
        value.error("only an answer 200 has assets, and this check wants another", "give the page a check of its own");
    }
}

fn request_path(value: &Value<'_>) -> Option<String> {
    let path = value.string()?;
    let legal = path.starts_with('/') && path.chars().all(|c| c.is_ascii_graphic() && c != '#');
    if !legal {
        value.error(
            format!("{path:?} is not a path of a request"),
            "begin with / and encode spaces and the like as %20",
        );
        return None;
    }
    Some(path.to_owned())
}

fn headers(table: &Table<'_>) -> BTreeMap<String, String> {
    let header = |(name, value): (String, Value<'_>)| Some((name.to_ascii_lowercase(), value.text()?));
    table.entries().into_iter().filter_map(header).collect()
}

fn numbers(value: &Value<'_>, least: u16, most: u16) -> Vec<u16> {
    let number = |value: &Value<'_>| value.integer(least.into()..=most.into()).and_then(|n| u16::try_from(n).ok());
    value.one_or_list().iter().filter_map(number).collect()
}
