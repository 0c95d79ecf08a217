//! Asks a target all that is to be seen of it. Needs no app, only an address and a host name.
//!
//! The border: what follows from a failure, and for how long to ask again, is decided by who asks. The surprise: an
//! answer that cannot be read may be the proxy's fault as well as the app's, which the proxy's answer for a host that
//! nobody routes tells.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::{Got, ProbeError, Target, Timeouts, assets, get, tcp};
use crate::config::{HttpCheck, MEND_FILE};
use crate::health::gate::{Answer, Finding, Phase, judge};

/// A login is one short line.
const LOGIN_BOUND: usize = 4096;

/// One question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(clippy::large_enum_variant, reason = "a gate has a handful of them, and nearly all are pages")]
pub enum Check {
    /// A page that the app itself has to answer.
    Page(HttpCheck),
    /// Any answer at all: with which certificate it comes is what matters.
    AnyAnswer,
    /// A port at the target's address has to accept a connection.
    Tcp(u16),
}

impl Check {
    /// The same without what a page loads.
    #[must_use]
    pub fn without_assets(&self) -> Self {
        match self {
            Check::Page(http) => Check::Page(HttpCheck { assets: false, ..http.clone() }),
            other => other.clone(),
        }
    }
}

/// Everything is as wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// What is worth telling all the same, each once.
    pub remarks: Vec<String>,
}

/// Who is to blame for a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// There was no answer that could be the app's: nothing is known about it.
    Unknown,
    /// The answer was the proxy's own.
    Proxys,
    /// The answer was of who was asked.
    Own,
}

/// The first thing that is not as wanted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{sentence}")]
pub struct Failure {
    pub phase: Phase,
    pub whose: Whose,
    /// Asking again will not mend it.
    pub lasting: bool,
    pub sentence: String,
}

impl Failure {
    pub(super) fn own(phase: Phase, sentence: impl fmt::Display) -> Self {
        Self { phase, whose: Whose::Own, lasting: false, sentence: sentence.to_string() }
    }

    fn unknown(phase: Phase, sentence: impl fmt::Display) -> Self {
        Self { whose: Whose::Unknown, ..Self::own(phase, sentence) }
    }
}

/// Asks every check once, in their order. Takes as long as all parts of all answers may take, one after the other; for
/// the assets of one page [`assets::WITHIN`] at most.
///
/// # Errors
/// The first check that does not hold.
pub async fn ask(target: &Target, checks: &[Check], timeouts: Timeouts) -> Result<Asked, Failure> {
    let mut asked = Asked::default();
    for check in checks {
        let remarks = match check {
            Check::Page(http) => page(target, http, timeouts).await?,
            Check::AnyAnswer => answer(target, "/", timeouts).await?.remark.into_iter().collect(),
            Check::Tcp(port) => port_is_open(target, *port, timeouts).await?,
        };
        let known = std::mem::take(&mut asked.remarks);
        let new = remarks.into_iter().filter(|remark| !known.contains(remark)).collect::<Vec<_>>();
        asked.remarks = [known, new].concat();
    }
    Ok(asked)
}

async fn page(target: &Target, check: &HttpCheck, timeouts: Timeouts) -> Result<Vec<String>, Failure> {
    let mut target = target.named(check.host.as_ref().map_or(target.host.as_str(), |host| host.as_str()));
    if let Some(file) = &check.auth {
        target.auth = Some(login(file).map_err(|why| Failure::unknown(Phase::Request, why))?);
    }
    let got = answer(&target, &check.path, timeouts).await?;
    let own = proxys_own(&target, timeouts).await?;
    match judge(check, &got.answer, own.as_ref()) {
        Finding::NotYet(sentence) => {
            return Err(Failure { whose: Whose::Proxys, ..Failure::own(Phase::Status, sentence) });
        }
        Finding::No(phase, sentence) => return Err(Failure::own(phase, sentence)),
        Finding::Yes => {}
    }
    let mut remarks: Vec<String> = got.remark.into_iter().collect();
    if check.assets {
        remarks.extend(assets::all_load(&target, &check.path, &got.answer, timeouts).await?);
    }
    Ok(remarks)
}

/// An answer, whatever it is. Who does not speak HTTP is to blame for it himself, unless it is the proxy that is ill.
async fn answer(target: &Target, path: &str, timeouts: Timeouts) -> Result<Got, Failure> {
    let error = match get(target, path, timeouts).await {
        Ok(got) => return Ok(got),
        Err(error) => error,
    };
    let was_heard = error.phase() >= Phase::Status;
    let whose = match was_heard && proxys_own(target, timeouts).await.is_ok() {
        true => Whose::Own,
        false => Whose::Unknown,
    };
    let lasting = error.is_lasting(target);
    Err(Failure { whose, lasting, ..Failure::own(error.phase(), format!("{path}: {error}")) })
}

/// The proxy's own answer, where there is a proxy.
async fn proxys_own(target: &Target, timeouts: Timeouts) -> Result<Option<Answer>, Failure> {
    let Some(host) = &target.unrouted else { return Ok(None) };
    // Without a declared chain a proxy has no certificate for a name that nobody routes.
    let certificate = target.certificate.clone().filter(|wanted| !wanted.chain.is_empty());
    let unrouted = Target { auth: None, certificate, ..target.named(host) };
    let got = get(&unrouted, "/", timeouts).await;
    got.map(|got| Some(got.answer)).map_err(|error| Failure::unknown(error.phase(), error))
}

async fn port_is_open(target: &Target, port: u16, timeouts: Timeouts) -> Result<Vec<String>, Failure> {
    let opened = tcp(SocketAddr::new(target.address.ip(), port), timeouts.connect).await;
    opened.map(|()| Vec::new()).map_err(|error: ProbeError| Failure::own(error.phase(), error))
}

/// The one line `user:password` of a file.
///
/// # Errors
/// The sentence for the operator; never what is in the file.
pub fn login(file: &Path) -> Result<SecretString, String> {
    let told = |what: &str| format!("the login file {} {what}; {MEND_FILE}", file.display());
    let text = std::fs::read_to_string(file).map_err(|error| told(&format!("cannot be read: {error}")))?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.len() > LOGIN_BOUND || line.contains(char::is_control) || !line.contains(':') {
        return Err(told("is not one line `user:password`"));
    }
    Ok(SecretString::from(line))
}
