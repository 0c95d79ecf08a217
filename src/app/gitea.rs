//! Whether the Gitea that the builds need answers. Nobody signs in and no build begins without it.
//!
//! Best effort, from this host: the server of the builds may see another network. A name that the proxy here may serve is
//! asked for at the proxy's own address first, so that DNS need not know it; then, and any other name, where DNS says.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::{Instant, timeout};
use url::{Host, Url};

use super::live::HTTPS;
use super::proxy;
use super::rounds::{Fate, Patience, in_rounds};
use crate::config::Declared;
use crate::health::gate::served::Wanted;
use crate::host::probe::{self, ProbeError, Target, Timeouts, names};
use crate::host::store::Store;
use crate::model::app::Kind;

/// Gitea's own word on its health, for anybody (since 1.17; Forgejo's, too). An older one has a front page at least.
const HEALTH: &str = "/api/healthz";
const LOOKUP_WITHIN: Duration = Duration::from_secs(5);
/// Of one name.
const ADDRESSES: usize = 4;
const ONE_TRY: Duration = Duration::from_secs(15);
/// It is a warning only: nobody waits long for it.
const TRIES_MORE: usize = 2;

/// Why there is no Gitea.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Absent {
    why: String,
    /// A moment later it may be there.
    may_pass: bool,
}

impl Absent {
    fn lasting(why: impl Into<String>) -> Self {
        Self { why: why.into(), may_pass: false }
    }

    fn passing(why: impl Into<String>) -> Self {
        Self { why: why.into(), may_pass: true }
    }
}

impl From<ProbeError> for Absent {
    fn from(error: ProbeError) -> Self {
        let may_pass = !matches!(error, ProbeError::Certificate { .. } | ProbeError::Request { .. });
        Self { why: error.to_string(), may_pass }
    }
}

/// A warning where it does not answer.
pub async fn warning(declared: &Declared, store: &Store, server: &str, patience: Patience<'_>) -> Option<String> {
    let url = &Url::parse(server).ok()?;
    let pinned = pinned(declared, url).map(|address| {
        let chain = proxy::kept_chain(declared, store);
        let wanted = (!chain.is_empty()).then_some(Wanted { chain, warn_days: 0, fail_days: 0 });
        Target::https(address, url.host_str().unwrap_or_default(), wanted)
    });
    let ask = async |url: &Url| {
        let left = patience.until.saturating_duration_since(Instant::now()).min(ONE_TRY);
        match timeout(left, asked(url, pinned.as_ref())).await {
            Ok(answer) => answer,
            Err(_) => Err(Absent::passing(format!("no answer within {left:.0?}"))),
        }
    };
    let fate = |absent: &Absent| if absent.may_pass { Fate::Again } else { Fate::Stays };
    let patience = Patience { waits: &patience.waits[..patience.waits.len().min(TRIES_MORE)], ..patience };
    let answers = in_rounds(&[url], patience, ask, fate).await;
    let Absent { why, .. } = answers.into_iter().next()??.err()?;
    Some(format!(
        "Gitea at {server} is not to be reached from here ({why}): until it is, nobody can sign in and no build begins; is \
         it up, and is [drone].gitea.server its address?"
    ))
}

/// The proxy's address, for a name that may be served there.
fn pinned(declared: &Declared, url: &Url) -> Option<SocketAddr> {
    let host = url.host_str()?;
    let is_below = |base: &str| host.strip_suffix(base).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    let is_served =
        is_below(declared.base_domain.as_str()) || declared.apps.iter().any(|app| app.domain.as_str() == host);
    let is_proxys = declared.of(Kind::Proxy).next().is_some() && url.scheme() == "https" && url.port().is_none();
    (is_proxys && is_served).then(|| SocketAddr::new(declared.proxy_address, HTTPS))
}

/// Whether it answers anywhere: what is below the base domain may be elsewhere all the same.
async fn asked(url: &Url, pinned: Option<&Target>) -> Result<(), Absent> {
    let mut absent = None;
    if let Some(target) = pinned {
        match answers(target, url).await {
            Ok(()) => return Ok(()),
            Err(error) => absent = Some(error),
        }
    }
    let found = match addresses(url).await {
        Ok(found) => found,
        Err(error) => return Err(absent.unwrap_or(error)),
    };
    for address in found.into_iter().take(ADDRESSES) {
        match answers_at(address, url).await {
            Ok(()) => return Ok(()),
            Err(error) => absent = absent.or(Some(error)),
        }
    }
    Err(absent.unwrap_or_else(|| Absent::lasting("DNS: no address")))
}

async fn answers_at(address: SocketAddr, url: &Url) -> Result<(), Absent> {
    match Target::of(url, address) {
        Some(target) => answers(&target, url).await,
        // An address, or a name of one word.
        None => Ok(probe::tcp(address, Timeouts::default().connect).await?),
    }
}

async fn addresses(url: &Url) -> Result<Vec<SocketAddr>, Absent> {
    let port = url.port_or_known_default().unwrap_or(HTTPS);
    let host = match url.host() {
        Some(Host::Domain(host)) => host.to_owned(),
        Some(Host::Ipv4(address)) => return Ok(vec![SocketAddr::new(address.into(), port)]),
        Some(Host::Ipv6(address)) => return Ok(vec![SocketAddr::new(address.into(), port)]),
        None => return Err(Absent::lasting("it has no host")),
    };
    match timeout(LOOKUP_WITHIN, names::addresses(host.clone(), port)).await {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(error)) => Err(unresolved(&error)),
        Err(_) => Err(Absent::passing(format!("DNS: nothing about {host} within {LOOKUP_WITHIN:?}"))),
    }
}

/// The resolver's own words are all that is known.
fn unresolved(error: &io::Error) -> Absent {
    let words = error.to_string();
    Absent { may_pass: words.contains("emporary failure"), why: format!("DNS: {words}") }
}

async fn answers(target: &Target, url: &Url) -> Result<(), Absent> {
    let below = url.path().trim_end_matches('/');
    let status = async |path: &str| match probe::get(target, path, Timeouts::default()).await {
        Ok(got) => Ok(got.answer.status),
        Err(error) => Err(Absent::from(error)),
    };
    let path = format!("{below}{HEALTH}");
    match status(&path).await? {
        404 => match judged(status(&format!("{below}/")).await?, &format!("{below}/")) {
            Ok(()) => Ok(()),
            Err(_) => judged(404, &path),
        },
        status => judged(status, &path),
    }
}

/// A Gitea that lets nobody look is there all the same.
fn judged(status: u16, path: &str) -> Result<(), Absent> {
    let why = || format!("it answers {status} for {path}");
    match status {
        404 => Err(Absent::lasting(why())),
        500.. => Err(Absent::passing(why())),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::health::gate::served::Fault;
    use crate::host::probe::tests::server::{HOST, OK, Server, Then, closed};

    const CONFIG: &str = "base_domain = \"ci.example.org\"\n[app.git]\nrecipe = { url = \"https://r.org/g\" }\ndomain = \
                          \"git.example.net\"\n";
    const PROXY: &str = "[proxy]\nrecipe = { url = \"https://r.org/p\" }\n";

    fn chain_of(server: &Server) -> Wanted {
        Wanted { chain: server.chain.clone(), warn_days: 0, fail_days: 0 }
    }

    fn is_pinned(config: &str, server: &str) -> bool {
        pinned(&config::parse("config.toml", config).unwrap(), &Url::parse(server).unwrap()).is_some()
    }

    #[test]
    fn a_name_that_the_proxy_may_serve_is_asked_for_at_the_proxys_own_address() {
        let config = format!("{CONFIG}{PROXY}");
        for served in ["https://gitea.ci.example.org", "https://git.example.net/gitea", "https://GIT.example.net"] {
            assert!(is_pinned(&config, served), "{served}");
            assert!(!is_pinned(CONFIG, served), "{served}: nothing is served without a proxy");
        }
        let others = ["https://git.example.org", "http://gitea.ci.example.org", "https://gitea.ci.example.org:3000"];
        for other in others.into_iter().chain(["https://notci.example.org", "https://10.0.0.1"]) {
            assert!(!is_pinned(&config, other), "{other}");
        }
    }

    #[tokio::test]
    async fn it_is_asked_below_its_own_path_and_at_the_proxys_address_under_its_own_name() {
        let there = Server::secure(Then::Say(OK)).await;
        let target = Target::https(there.address, HOST, Some(chain_of(&there)));
        let url = Url::parse(&format!("https://{HOST}/gitea/")).unwrap();
        assert_eq!(asked(&url, Some(&target)).await, Ok(()));
        let request = &there.requests()[0];
        assert!(request.starts_with(&format!("{HOST} GET /gitea/api/healthz HTTP/1.1")), "{request}");
    }

    #[tokio::test]
    async fn another_one_is_asked_where_dns_says_and_its_name_is_kept() {
        let elsewhere = Server::start(None, Then::Say(OK)).await;
        let url = Url::parse(&format!("http://git.example.net:{}", elsewhere.address.port())).unwrap();
        assert_eq!(answers_at(elsewhere.address, &url).await, Ok(()));
        let request = &elsewhere.requests()[0];
        assert!(request.contains(&format!("host: git.example.net:{}\r\n", elsewhere.address.port())), "{request}");
    }

    #[tokio::test]
    async fn what_the_proxy_does_not_serve_may_be_elsewhere() {
        let elsewhere = Server::start(None, Then::Say(OK)).await;
        let gap = Server::secure(Then::Say("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")).await;
        let pinned = Target::https(gap.address, HOST, Some(chain_of(&gap)));
        let there = Url::parse(&format!("http://localhost:{}", elsewhere.address.port())).unwrap();
        assert_eq!(asked(&there, Some(&pinned)).await, Ok(()));
        let nowhere = Url::parse(&format!("http://{}", closed().await)).unwrap();
        let absent = asked(&nowhere, Some(&pinned)).await.unwrap_err();
        assert_eq!(absent, Absent::lasting("it answers 404 for /api/healthz"), "what the proxy says counts");
    }

    #[tokio::test]
    async fn one_that_nobody_runs_is_told_with_its_address() {
        let declared = config::parse("config.toml", CONFIG).unwrap();
        let server = format!("http://{}", closed().await);
        let store = Store::for_reading(std::path::Path::new("/nonexistent"));
        let patience = Patience { waits: &[Duration::ZERO; 9], until: Instant::now() + Duration::from_secs(20) };
        let told = warning(&declared, &store, &server, patience).await.unwrap();
        assert!(told.starts_with(&format!("Gitea at {server} is not to be reached")), "{told}");
        assert!(told.contains("refuses connections"), "{told}");
    }

    #[test]
    fn what_only_a_gitea_says_is_an_answer_and_a_gap_behind_a_proxy_is_none() {
        for there in [200, 302, 401, 403] {
            assert_eq!(judged(there, HEALTH), Ok(()), "{there}");
        }
        for (gap, may_pass) in [(404, false), (500, true), (502, true), (503, true), (504, true)] {
            assert_eq!(judged(gap, "/x"), Err(Absent { why: format!("it answers {gap} for /x"), may_pass }));
        }
    }

    #[tokio::test]
    async fn one_from_before_it_had_a_word_on_its_health_is_there() {
        let not_found = Then::Say("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
        let old = move |request: &str| if request.starts_with("GET /gitea/ ") { Then::Say(OK) } else { not_found };
        let old = Server::answering(None, old).await;
        let url = Url::parse(&format!("http://git.example.net:{}/gitea", old.address.port())).unwrap();
        assert_eq!(answers_at(old.address, &url).await, Ok(()));
    }

    #[test]
    fn a_name_that_does_not_exist_and_a_wrong_certificate_do_not_pass() {
        let io = |words: &str| unresolved(&io::Error::other(words)).may_pass;
        assert!(!io("failed to lookup address information: Name or service not known"));
        assert!(io("failed to lookup address information: Temporary failure in name resolution"));
        let address = "127.0.0.1:443".parse().unwrap();
        let fault = Fault::Name { served: "other".into() };
        assert!(!Absent::from(ProbeError::Certificate { address, host: "git".into(), fault }).may_pass);
        assert!(Absent::from(ProbeError::Refused { address }).may_pass);
    }
}
