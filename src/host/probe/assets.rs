//! Whether everything loads that a page needs: its stylesheets, scripts, images and fonts, and what those load.
//!
//! The page's own host is asked at the pinned address, with its login and certificate. Others are asked where DNS says,
//! and have to show a certificate for their name that is in date. The surprise: another host that cannot be reached
//! from here may well be reached by users, so that is told and held against nobody.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use tokio::time::timeout;
use url::{Host, Position, Url};

use super::ask::{Failure, Whose};
use super::{ProbeError, Scheme, Target, Timeouts, get, names};
use crate::health::gate::assets::{self, Asset, Kind, Loads};
use crate::health::gate::served::Wanted;
use crate::health::gate::{Answer, BODY_BOUND, Phase};

/// So many assets of a page are asked for, each of which is read up to [`BODY_BOUND`].
pub const MOST: usize = 128;
/// So long for all of them.
pub const WITHIN: Duration = Duration::from_secs(60);
const AT_ONCE: usize = 6;
/// Stylesheets that import stylesheets: so many levels.
const DEPTH: usize = 5;
/// So many failing ones are named.
const NAMED: usize = 3;
/// So many addresses of another host are tried.
const ADDRESSES: usize = 3;

/// Where a host is: its name and port to addresses.
pub type Lookup<'l> = &'l (dyn Fn(String, u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Sync);

/// Asks for all that the page at `path` loads, and tells what could not be asked.
///
/// # Errors
/// The first assets that do not load, by their URLs.
pub async fn all_load(target: &Target, path: &str, page: &Answer, timeouts: Timeouts) -> Result<Vec<String>, Failure> {
    all_load_at(target, path, page, timeouts, &by_dns).await
}

pub async fn all_load_at(
    target: &Target,
    path: &str,
    page: &Answer,
    timeouts: Timeouts,
    lookup: Lookup<'_>,
) -> Result<Vec<String>, Failure> {
    let failed =
        |sentence: String, whose| Failure { whose, ..Failure::own(Phase::Assets, format!("{path} {sentence}")) };
    let url = Url::parse(&target.url(path)).map_err(|error| failed(format!("is no address: {error}"), Whose::Own))?;
    let mut round = Round { target, page: &url, timeouts, lookup, met: BTreeSet::new(), told: Told::default() };
    if timeout(WITHIN, round.run(&page.body)).await.is_err() {
        return Err(failed(format!("loads assets that take more than {} s together", WITHIN.as_secs()), Whose::Own));
    }
    match round.told.sentence() {
        None => Ok(round.told.remarks),
        Some(sentence) => Err(failed(sentence, round.told.whose())),
    }
}

/// One look at a page's assets.
struct Round<'r> {
    target: &'r Target,
    page: &'r Url,
    timeouts: Timeouts,
    lookup: Lookup<'r>,
    met: BTreeSet<Url>,
    told: Told,
}

/// What came of it.
#[derive(Default)]
struct Told {
    failing: Vec<String>,
    /// Whether every failing one got an answer, or is wrong by its address alone.
    unanswered: bool,
    remarks: Vec<String>,
}

/// What came of one asset.
enum End {
    /// What it says, if it is a stylesheet.
    Loads(Option<String>),
    Fails {
        why: String,
        whose: Whose,
    },
    Unasked(String),
}

impl Told {
    fn sentence(&self) -> Option<String> {
        let more = self.failing.len().checked_sub(NAMED).filter(|more| *more > 0);
        let named = self.failing.iter().take(NAMED).cloned().collect::<Vec<_>>().join("; it ");
        (!self.failing.is_empty()).then(|| match more {
            Some(more) => format!("{named}; and {more} more"),
            None => named,
        })
    }

    fn whose(&self) -> Whose {
        if self.unanswered { Whose::Unknown } else { Whose::Own }
    }
}

impl Round<'_> {
    async fn run(&mut self, html: &str) {
        let mut level = self.new_ones(assets::of_page(self.page, html));
        for _ in 0..=DEPTH {
            let ends: Vec<(Asset, End)> =
                stream::iter(level).map(|asset| self.asset(asset)).buffered(AT_ONCE).collect().await;
            level = ends.into_iter().flat_map(|(asset, end)| self.note(&asset, end)).collect();
        }
        if !level.is_empty() {
            self.told.remarks.push(format!("{}: stylesheets that import ever more are not followed", self.page));
        }
    }

    /// Those that were not met yet, as far as there is room.
    fn new_ones(&mut self, loads: Loads) -> Vec<Asset> {
        self.told.failing.extend(loads.unfit.iter().map(ToString::to_string));
        let mut new = Vec::new();
        for asset in loads.assets {
            if self.met.contains(&asset.url) {
                continue;
            }
            if self.met.len() == MOST {
                let remark = format!("{}: only the first {MOST} assets of it are asked for", self.page);
                self.told.remarks.push(remark);
                break;
            }
            self.met.insert(asset.url.clone());
            new.push(asset);
        }
        self.told.remarks.dedup();
        new
    }

    /// What a stylesheet loads in its turn.
    fn note(&mut self, asset: &Asset, end: End) -> Vec<Asset> {
        let Asset { kind, url } = asset;
        match end {
            End::Loads(None) => Vec::new(),
            End::Loads(Some(css)) => {
                if css.len() >= BODY_BOUND {
                    self.told.remarks.push(format!("{url}: only its first MiB is read for what it loads"));
                }
                self.new_ones(assets::of_stylesheet(url, &css, self.page.scheme() == "https"))
            }
            End::Fails { why, whose } => {
                self.told.failing.push(format!("loads the {kind} {url}, which {why}"));
                self.told.unanswered |= whose == Whose::Unknown;
                Vec::new()
            }
            End::Unasked(why) => {
                self.told.remarks.push(format!("the {kind} {url} cannot be asked for from here: {why}"));
                Vec::new()
            }
        }
    }

    async fn asset(&self, asset: Asset) -> (Asset, End) {
        let end = match self.is_own(&asset.url) {
            true => self.own(&asset).await,
            false => self.others(&asset).await,
        };
        (asset, end)
    }

    fn is_own(&self, url: &Url) -> bool {
        url.host_str() == Some(self.target.host.as_str())
    }

    async fn own(&self, asset: &Asset) -> End {
        let target = self.own_target(&asset.url);
        match get(&target, path_of(&asset.url), self.timeouts).await {
            Ok(got) => judged(asset, got.answer),
            Err(error) => {
                let whose = if error.phase() >= Phase::Status { Whose::Own } else { Whose::Unknown };
                End::Fails { why: format!("does not answer: {error}"), whose }
            }
        }
    }

    /// The pinned address; another scheme or port is another server there, which gets no login.
    fn own_target(&self, url: &Url) -> Target {
        let scheme = scheme(url);
        let is_same = scheme == self.target.scheme && url.port() == self.page.port();
        if is_same {
            return self.target.clone();
        }
        let port = url.port_or_known_default().unwrap_or_default();
        let address = SocketAddr::new(self.target.address.ip(), port);
        Target { scheme, address, port: url.port(), auth: None, ..self.target.clone() }
    }

    async fn others(&self, asset: &Asset) -> End {
        let host = match asset.url.host() {
            Some(Host::Domain(host)) if host == "localhost" || host.ends_with(".localhost") => return nobody_elses(),
            Some(Host::Domain(host)) => host.to_owned(),
            Some(Host::Ipv4(address)) if address.is_loopback() => return nobody_elses(),
            Some(Host::Ipv6(address)) if address.is_loopback() => return nobody_elses(),
            _ => return End::Unasked("it has an address instead of a name".to_owned()),
        };
        let port = asset.url.port_or_known_default().unwrap_or_default();
        let found = timeout(self.timeouts.connect, (self.lookup)(host.clone(), port)).await;
        let addresses = match found {
            Ok(Ok(addresses)) => addresses,
            Ok(Err(error)) => return End::Unasked(ProbeError::Dns { host, cause: error.to_string() }.to_string()),
            Err(_) => return End::Unasked(format!("DNS: nothing about {host} within {:?}", self.timeouts.connect)),
        };
        self.first_that_connects(asset, &host, addresses).await
    }

    async fn first_that_connects(&self, asset: &Asset, host: &str, addresses: Vec<SocketAddr>) -> End {
        let mut why = format!("DNS: no address for {host}");
        for address in addresses.into_iter().filter(|address| is_dialled(address.ip())).take(ADDRESSES) {
            let any_authoritys = Some(Wanted::default());
            let target = Target { port: asset.url.port(), ..Target::new(scheme(&asset.url), address, host.to_owned()) };
            let target = Target { certificate: any_authoritys, ..target };
            match get(&target, path_of(&asset.url), self.timeouts).await {
                Ok(got) => return judged(asset, got.answer),
                Err(error) if error.phase() <= Phase::Connect => why = error.to_string(),
                Err(error) => return End::Fails { why: format!("does not answer: {error}"), whose: Whose::Own },
            }
        }
        End::Unasked(why)
    }
}

fn nobody_elses() -> End {
    End::Fails { why: "is on the user's own machine".to_owned(), whose: Whose::Own }
}

fn judged(asset: &Asset, answer: Answer) -> End {
    let fails = |why: String| End::Fails { why, whose: Whose::Own };
    if answer.status != 200 {
        let location = answer.headers.get("location").map(|to| format!(" and leads to {to}")).unwrap_or_default();
        return fails(format!("answers {}{location}, wanted is 200", answer.status));
    }
    if answer.is_page() {
        return fails(format!("answers with a page (text/html) instead of a {}", asset.kind));
    }
    match (asset.kind, answer.encoding()) {
        (Kind::Stylesheet, Some(encoding)) => fails(format!("is packed as {encoding}, which was not asked for")),
        (Kind::Stylesheet, None) => End::Loads(Some(answer.body)),
        _ => End::Loads(None),
    }
}

fn scheme(url: &Url) -> Scheme {
    if url.scheme() == "https" { Scheme::Https } else { Scheme::Http }
}

fn path_of(url: &Url) -> &str {
    &url[Position::BeforePath..Position::AfterQuery]
}

/// A page does not send this machine to its own network's doorkeepers.
fn is_dialled(address: IpAddr) -> bool {
    let link_local = match address {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_broadcast(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    !link_local && !address.is_unspecified() && !address.is_multicast()
}

fn by_dns(host: String, port: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
    names::addresses(host, port).boxed()
}
