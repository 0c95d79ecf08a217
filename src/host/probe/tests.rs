mod loading;
mod phases;
pub mod server;

use server::{HOST, OK, Server, Shown, Then};

use super::*;
use crate::config::HttpCheck;

async fn got(target: &Target, path: &str) -> Result<Answer, ProbeError> {
    get(target, path, patient()).await.map(|got| got.answer)
}

/// No part of a test depends on a machine's speed.
fn patient() -> Timeouts {
    let long = Duration::from_secs(120);
    Timeouts { connect: long, tls: long, head: long, body: long }
}

fn wanted(chain: &[Vec<u8>]) -> Option<Wanted> {
    Some(Wanted { chain: chain.to_vec(), ..Wanted::default() })
}

#[tokio::test]
async fn name_and_host_are_the_apps_while_the_address_is_pinned() {
    let server = Server::secure(Then::Say(OK)).await;
    let answer = got(&Target::https(server.address, HOST, wanted(&server.chain)), "/page?q=1").await.unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (200, "hello"));
    assert_eq!(answer.headers["x-app"], "Wiki, Notes");
    let request = server.requests()[0].to_lowercase();
    assert!(request.starts_with("wiki.example.org get /page?q=1 http/1.1"), "{request}");
    assert!(request.contains("host: wiki.example.org\r\n"), "{request}");
}

#[tokio::test]
async fn a_wrong_certificate_is_told_with_both_and_sees_no_request() {
    let (server, other) = (Server::secure(Then::Say(OK)).await, Server::secure(Then::Say(OK)).await);
    let mut target = Target::https(server.address, HOST, wanted(&other.chain));
    target.auth = Some("me:hunter2".into());
    let error = got(&target, "/").await.unwrap_err();
    let ProbeError::Certificate { fault: Fault::Another { served, declared }, .. } = &error else {
        panic!("{error:?}")
    };
    assert!(served.starts_with("*.example.org, valid from 2000-01-01") && declared != served, "{error}");
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn a_certificate_that_is_over_early_or_elsewhere_sees_no_request() {
    let rows = [
        (Shown::dated(2000, 2001), "expired at 2001-01-01T00:00:00Z: *.example.org, valid from 2000-01-01"),
        (Shown::dated(2199, 2200), "not valid before 2199-01-01T00:00:00Z: *.example.org"),
        (Shown::named("*.example.net"), "for other names: *.example.net, valid from"),
    ];
    for (shown, told) in rows {
        let server = Server::start(Some(shown), Then::Say(OK)).await;
        for chain in [server.chain.clone(), Vec::new()] {
            let error = got(&Target::https(server.address, HOST, wanted(&chain)), "/").await.unwrap_err();
            assert_eq!(error.phase(), Phase::Tls);
            assert!(error.to_string().starts_with("TLS: ") && error.to_string().contains(told), "{error}");
        }
        assert!(server.requests().is_empty());
        // And where nothing is asked of it, it will do.
        assert_eq!(got(&Target::https(server.address, HOST, None), "/").await.unwrap().status, 200);
    }
}

#[tokio::test]
async fn a_certificate_with_few_days_left_is_told_and_will_do() {
    let server = Server::secure(Then::Say(OK)).await;
    let soon = Wanted { warn_days: 1_000_000, ..Wanted::default() };
    let target = Target::https(server.address, HOST, Some(soon));
    let asked = ask(&target, &[Check::AnyAnswer, Check::Page(HttpCheck::at("/"))], patient()).await.unwrap();
    assert_eq!(asked.remarks.len(), 1, "each remark once: {asked:?}");
    assert!(asked.remarks[0].contains("days left: *.example.org"), "{asked:?}");
}

#[tokio::test]
async fn any_certificate_will_do_where_none_is_declared() {
    let server = Server::secure(Then::Say(OK)).await;
    assert_eq!(got(&Target::https(server.address, "other.net", None), "/").await.unwrap().status, 200);
    assert_eq!(served_chain(server.address, "other.net", patient()).await, Ok(server.chain.clone()));
}

#[tokio::test]
async fn credentials_are_sent_and_never_shown() {
    let server = Server::secure(Then::Say(OK)).await;
    let mut target = Target::https(server.address, HOST, None);
    target.auth = Some("me:hunter2".into());
    got(&target, "/").await.unwrap();
    assert!(server.requests()[0].contains("Basic bWU6aHVudGVyMg=="));
    assert!(!format!("{target:?} {:?}", exchange::request(&target, "/")).contains("hunter2"));
    assert!(!format!("{:?}", exchange::request(&target, "/")).contains("bWU6aHVudGVyMg"));
}

#[tokio::test]
async fn a_login_comes_from_a_file_of_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("login");
    let server = Server::secure(Then::Say(OK)).await;
    let target = Target::https(server.address, HOST, None);
    let checks = [Check::Page(HttpCheck { auth: Some(file.clone()), ..HttpCheck::at("/") })];

    let absent = ask(&target, &checks, patient()).await.unwrap_err();
    assert_eq!((absent.phase, absent.whose), (Phase::Request, Whose::Unknown));
    assert!(absent.sentence.contains("login cannot be read: No such file"), "{absent}");
    for text in ["hunter2", "", "me:hunter2\nmore\n", "me\0:hunter2"] {
        std::fs::write(&file, text).unwrap();
        let told = ask(&target, &checks, patient()).await.unwrap_err().sentence;
        assert!(told.contains("is not one line `user:password`") && !told.contains("hunter2"), "{told}");
    }
    assert!(server.requests().is_empty());

    std::fs::write(&file, "me:hunter2\r\n").unwrap();
    ask(&target, &checks, patient()).await.unwrap();
    assert!(server.requests()[0].contains("Basic bWU6aHVudGVyMg==\r\n"));
}

#[tokio::test]
async fn a_port_is_open_or_not_and_needs_no_app() {
    let server = Server::start(None, Then::Say(OK)).await;
    let closed = server::closed().await;
    let target = Target::http(server.address, HOST);
    assert_eq!(ask(&target, &[Check::Tcp(server.address.port())], patient()).await, Ok(Asked::default()));
    let failure = ask(&target, &[Check::Tcp(closed.port())], patient()).await.unwrap_err();
    assert_eq!((failure.phase, failure.whose), (Phase::Connect, Whose::Own));
    assert_eq!(failure.sentence, format!("connect: {closed} refuses connections"));
}

#[test]
fn random_hosts_are_below_the_base_domain_and_differ() {
    let base: Domain = "example.org".parse().unwrap();
    let (a, b) = (random_host(&base), random_host(&base));
    assert!(a != b && a.parse::<Domain>().unwrap().is_covered_by("*.example.org"));
}

#[tokio::test]
async fn names_that_are_no_plain_domains_are_refused() {
    let server = Server::secure(Then::Say(OK)).await;
    for host in ["Wiki.example.org", "127.0.0.1", "a.b:1", "me@a.b", "a.b/c", "", "ä.example.org", "a.b\r\nX: y"] {
        let error = got(&Target::https(server.address, host, None), "/").await.unwrap_err();
        assert!(matches!(error, ProbeError::Request { .. }), "{host:?}: {error:?}");
    }
    for path in ["", "page", "/a b", "/a\r\nX: y", "http://elsewhere.net/"] {
        let error = got(&Target::https(server.address, HOST, None), path).await.unwrap_err();
        assert!(matches!(error, ProbeError::Request { .. }), "{path:?}: {error:?}");
    }
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn a_declared_certificate_that_is_over_is_not_waited_for() {
    let over = Server::start(Some(Shown::dated(2000, 2001)), Then::Say(OK)).await;
    let other = Server::secure(Then::Say(OK)).await;
    for (chain, lasting) in [(&over.chain[..], true), (&[], false), (&other.chain, false)] {
        let target = Target::https(over.address, HOST, wanted(chain));
        let failure = ask(&target, &[Check::AnyAnswer], patient()).await.unwrap_err();
        assert_eq!((failure.lasting, failure.whose), (lasting, Whose::Unknown), "{failure}");
    }
}

/// The proxy answers at once for a host that nobody routes; so who hangs or babbles behind it is the app.
#[tokio::test]
async fn an_app_that_does_not_speak_http_is_to_blame_only_behind_a_proxy_that_does() {
    let checks = [Check::Page(HttpCheck::at("/"))];
    for (unrouted, whose) in
        [(Then::Say("HTTP/1.1 404 Not Found\r\n\r\n"), Whose::Own), (Then::Say("?"), Whose::Unknown)]
    {
        let server =
            Server::by_host(None, vec![(HOST, Then::Say("rubbish\r\n\r\n")), ("nobody.example.org", unrouted)]).await;
        let mut target = Target::http(server.address, HOST);
        target.unrouted = Some("nobody.example.org".to_owned());
        let failure = ask(&target, &checks, patient()).await.unwrap_err();
        assert_eq!((failure.phase, failure.whose), (Phase::Status, whose), "{failure}");
    }
    let target =
        Target { unrouted: Some("nobody.example.org".to_owned()), ..Target::http(server::closed().await, HOST) };
    assert_eq!(ask(&target, &checks, patient()).await.unwrap_err().whose, Whose::Unknown);
}

#[tokio::test]
async fn the_proxys_own_answer_is_told_as_that() {
    let server = Server::start(None, Then::Say("HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno")).await;
    let mut target = Target::http(server.address, HOST);
    target.unrouted = Some("nobody.example.org".to_owned());
    let failure = ask(&target, &[Check::Page(HttpCheck::at("/"))], patient()).await.unwrap_err();
    assert_eq!((failure.phase, failure.whose), (Phase::Status, Whose::Proxys));
    assert!(failure.sentence.contains("only the proxy answers (404)"), "{failure}");
}
