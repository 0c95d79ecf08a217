//! A page's assets are asked for, and those that do not load are named.

use std::io;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::*;
use crate::host::probe::assets::{MOST, all_load_at};

/// What answers at which path.
type Pages = &'static [(&'static str, &'static str)];

/// A site by paths; others are not found.
async fn site(shown: Option<Shown>, pages: Pages) -> Server {
    Server::answering(shown, move |request| {
        let path = request.split(' ').nth(1).unwrap_or_default();
        let found = pages.iter().find(|(at, _)| *at == path);
        Then::Say(found.map_or("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", |(_, answer)| *answer))
    })
    .await
}

/// No other host is anywhere but at these addresses.
async fn loads(target: &Target, others: Vec<(&'static str, SocketAddr)>) -> Result<Vec<String>, Failure> {
    let page = got(target, "/").await.unwrap();
    let lookup = move |host: String, _: u16| -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        let found = others.iter().find(|(name, _)| *name == host).map(|(_, address)| vec![*address]);
        async move { found.ok_or_else(|| io::Error::other("no such name")) }.boxed()
    };
    all_load_at(target, "/", &page, patient(), &lookup).await
}

macro_rules! html {
    ($body:literal) => {
        concat!("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n", $body)
    };
}
macro_rules! file {
    ($body:literal) => {
        concat!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", $body)
    };
}

async fn secure_site(pages: Pages) -> (Server, Target) {
    let server = site(Some(Shown::named("*.example.org")), pages).await;
    let mut target = Target::https(server.address, HOST, wanted(&server.chain));
    target.auth = Some("me:hunter2".into());
    (server, target)
}

#[tokio::test]
async fn a_page_with_all_that_it_loads_is_well() {
    let (server, target) = secure_site(&[
        (
            "/",
            html!("<link rel=stylesheet href=/s.css><script src='x.js'></script><img src='//wiki.example.org/i.png'>"),
        ),
        ("/s.css", file!("@import 'more/t.css'; a { b: url(data:x) }")),
        ("/more/t.css", file!("@import '/s.css'; @font-face { src: url(f.woff2) }")),
        ("/more/f.woff2", file!("f")),
        ("/x.js", file!("x")),
        ("/i.png", file!("i")),
    ])
    .await;
    let checks = [Check::Page(HttpCheck { assets: true, ..HttpCheck::at("/") })];
    assert_eq!(ask(&target, &checks, patient()).await, Ok(Asked::default()));
    let requests = server.requests();
    assert_eq!(requests.len(), 6, "each once: {requests:?}");
    assert!(requests.iter().all(|request| request.contains("Basic bWU6aHVudGVyMg==")), "{requests:?}");
    assert!(requests.iter().all(|request| request.starts_with(HOST)), "{requests:?}");
}

#[tokio::test]
async fn what_does_not_load_is_named() {
    let rows: &[(Pages, &[&str])] = &[
        (&[("/", html!("<img src=/gone.png>"))], &["the image https://wiki.example.org/gone.png", "answers 404"]),
        (&[("/", html!("<script src=/a.js></script>")), ("/a.js", html!("<h1>start</h1>"))], &["/a.js", "with a page"]),
        (
            &[("/", html!("<link rel=stylesheet href=/s.css>")), ("/s.css", file!("a{b:url(gone.woff)}"))],
            &["the font https://wiki.example.org/gone.woff", "answers 404"],
        ),
        (
            &[("/", html!("<style>@import '/s.css'</style>")), ("/s.css", file!("@import 'gone.css'"))],
            &["the stylesheet https://wiki.example.org/gone.css"],
        ),
        (
            &[
                ("/", html!("<img src=/a.png>")),
                ("/a.png", "HTTP/1.1 302 Found\r\nLocation: /b.png\r\nContent-Length: 0\r\n\r\n"),
            ],
            &["answers 302 and leads to /b.png"],
        ),
        (
            &[("/", html!("<img src=http://wiki.example.org/i.png>"))],
            &["http://wiki.example.org/i.png over plain HTTP"],
        ),
        (
            &[("/", html!("<link rel=stylesheet href=/s.css>")), ("/s.css", file!("a{b:url(http://x.net/i.png)}"))],
            &["http://x.net/i.png over plain HTTP"],
        ),
        (&[("/", html!("<img src=https://localhost:3000/i.png>"))], &["https://localhost:3000/i.png", "own machine"]),
        (&[("/", html!("<img src=/1><img src=/2><img src=/3><img src=/4>"))], &["/1,", "/2,", "/3,", "; and 1 more"]),
        (
            &[("/", html!("<img src=/s.png>")), ("/s.png", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")],
            &["/s.png", "body: the answer 200"],
        ),
    ];
    for (pages, words) in rows {
        let (_, target) = secure_site(pages).await;
        let failure = loads(&target, Vec::new()).await.unwrap_err();
        assert_eq!((failure.phase, failure.whose), (Phase::Assets, Whose::Own), "{failure}");
        for word in *words {
            assert!(failure.sentence.contains(word), "{word}: {failure}");
        }
    }
}

/// A stylesheet is asked for under its own name, with no login, at the address where that name is.
#[tokio::test]
async fn other_hosts_are_asked_where_they_are_and_get_no_login() {
    const PAGE: Pages = &[("/", html!("<link rel=stylesheet href=//cdn.example.net/s.css>"))];
    let (_, target) = secure_site(PAGE).await;
    let good = site(Some(Shown::named("*.example.net")), &[("/s.css", file!(""))]).await;
    assert_eq!(loads(&target, vec![("cdn.example.net", good.address)]).await, Ok(vec![]));
    let requests = good.requests();
    assert!(requests[0].starts_with("cdn.example.net GET /s.css") && !requests[0].contains("Basic"), "{requests:?}");

    let without = site(Some(Shown::named("*.example.net")), &[]).await;
    let failure = loads(&target, vec![("cdn.example.net", without.address)]).await.unwrap_err();
    assert!(failure.sentence.contains("https://cdn.example.net/s.css, which answers 404"), "{failure}");
    let wrong = site(Some(Shown::named("*.example.org")), &[("/s.css", file!(""))]).await;
    let failure = loads(&target, vec![("cdn.example.net", wrong.address)]).await.unwrap_err();
    assert!(failure.sentence.contains("for other names: *.example.org"), "{failure}");
    let expired =
        site(Some(Shown { name: "*.example.net", ..Shown::dated(2000, 2001) }), &[("/s.css", file!(""))]).await;
    let failure = loads(&target, vec![("cdn.example.net", expired.address)]).await.unwrap_err();
    assert!(failure.sentence.contains("expired at 2001-01-01"), "{failure}");
}

#[tokio::test]
async fn other_hosts_that_cannot_be_reached_from_here_are_told_and_held_against_nobody() {
    const PAGE: Pages =
        &[("/", html!("<img src=//cdn.example.net/i.png><img src=//a.example.net/i.png><img src=//192.0.2.1/i.png>"))];
    let (_, target) = secure_site(PAGE).await;
    let closed = server::closed().await;
    let metadata = "169.254.169.254:443".parse().unwrap();
    let remarks = loads(&target, vec![("cdn.example.net", closed), ("a.example.net", metadata)]).await.unwrap();
    assert_eq!(remarks.len(), 3, "{remarks:?}");
    assert!(remarks[0].contains("https://cdn.example.net/i.png") && remarks[0].contains("refuses"), "{remarks:?}");
    assert!(remarks[1].contains("no address for a.example.net"), "{remarks:?}");
    let remarks = loads(&target, Vec::new()).await.unwrap();
    assert!(remarks[0].contains("DNS: no address for cdn.example.net: no such name"), "{remarks:?}");
}

#[tokio::test]
async fn a_page_with_more_assets_than_are_asked_for_is_told() {
    let server = Server::start(None, Then::Say(file!("x"))).await;
    let images: String = (0..MOST + 9).map(|number| format!("<img src=/{number}>")).collect();
    let page = Answer::new(200, Default::default(), images.as_bytes());
    let target = Target::http(server.address, HOST);
    let nowhere = |_: String, _: u16| -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        async { Err(io::Error::other("nobody is asked")) }.boxed()
    };
    let remarks = all_load_at(&target, "/", &page, patient(), &nowhere).await.unwrap();
    assert_eq!(server.requests().len(), MOST);
    assert!(remarks.len() == 1 && remarks[0].contains("only the first 128"), "{remarks:?}");
}

#[tokio::test]
async fn stylesheets_that_import_each_other_for_ever_end() {
    let server = Server::answering(None, |request| {
        let depth = request.split(' ').nth(1).map_or(0, str::len);
        let text = format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n@import '/{}';", "s".repeat(depth));
        Then::Say(Box::leak(text.into_boxed_str()))
    })
    .await;
    let page = Answer::new(200, Default::default(), b"<link rel=stylesheet href=/s>");
    let nowhere = |_: String, _: u16| -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        async { Err(io::Error::other("nobody is asked")) }.boxed()
    };
    let target = Target::http(server.address, HOST);
    let remarks = all_load_at(&target, "/", &page, patient(), &nowhere).await.unwrap();
    assert!(remarks.len() == 1 && remarks[0].contains("ever more"), "{remarks:?}");
    assert!(server.requests().len() < 10);
}
