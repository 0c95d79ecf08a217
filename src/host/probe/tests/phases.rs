//! Each way of failing is told with the part at which it broke off, and nothing hangs or fills the memory.

use super::*;

const QUICK: Duration = Duration::from_millis(300);

/// Patient but for one part.
fn quick_at(phase: Phase) -> Timeouts {
    let mut timeouts = patient();
    match phase {
        Phase::Connect => timeouts.connect = QUICK,
        Phase::Tls => timeouts.tls = QUICK,
        Phase::Status => timeouts.head = QUICK,
        Phase::Body => timeouts.body = QUICK,
        other => panic!("{other} has no time of its own"),
    }
    timeouts
}

struct Row {
    what: &'static str,
    target: Target,
    timeouts: Timeouts,
    /// The part, and words of the sentence.
    told: (Phase, &'static str),
}

fn row(what: &'static str, target: Target, phase: Phase, words: &'static str) -> Row {
    Row { what, target, timeouts: patient(), told: (phase, words) }
}

fn hang(what: &'static str, target: Target, phase: Phase) -> Row {
    Row { what, target, timeouts: quick_at(phase), told: (phase, "within 300ms") }
}

fn https(address: SocketAddr) -> Target {
    Target::https(address, HOST, None)
}

async fn secure(then: Then) -> Target {
    https(Server::secure(then).await.address)
}

async fn rows_before_http() -> Vec<Row> {
    let (server, other) = (Server::secure(Then::Say(OK)).await, Server::secure(Then::Say(OK)).await);
    let wrong = Target::https(server.address, HOST, wanted(&other.chain));
    let stolen = Server::start(Some(Shown::stolen()), Then::Say(OK)).await;
    let stolen = Target::https(stolen.address, HOST, wanted(&stolen.chain));
    let nowhere = "224.0.0.1:443".parse().unwrap();
    let silent = server::raw(b"", true).await;
    vec![
        row("refused", https(server::closed().await), Phase::Connect, "refuses connections"),
        row("no route", https(nowhere), Phase::Connect, "224.0.0.1:443 cannot be reached: Network is unreachable"),
        row("garbage for TLS", https(server::raw(b"\x99\x00garbage", false).await), Phase::Tls, "no handshake"),
        row("plain HTTP for TLS", https(server::raw(b"HTTP/1.1 400 Bad\r\n\r\n", false).await), Phase::Tls, "no TLS"),
        row("hangs up for TLS", https(server::raw(b"", false).await), Phase::Tls, "it hangs up"),
        row("another certificate", wrong, Phase::Tls, "served *.example.org, valid from"),
        row("the right certificate without its key", stolen, Phase::Tls, "it shows *.example.org, valid from 2000"),
        hang("hang at TLS", https(silent), Phase::Tls),
        hang("hang at the head without TLS", Target::http(silent, HOST), Phase::Status),
        row("no name", Target { host: "a b".to_owned(), ..https(silent) }, Phase::Request, "not a plain"),
    ]
}

async fn rows_of_http() -> Vec<Row> {
    const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
    const LONG: &str = "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nhello";
    let bad_chunk = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\nhello\r\n";
    let two_lengths = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 7\r\n\r\nhello";
    vec![
        hang("hang at the head", secure(Then::SayAndHold("HTTP/1.1 200 OK\r\nX-Y:")).await, Phase::Status),
        hang("hang in the body", secure(Then::SayAndHold(LONG)).await, Phase::Body),
        hang("hang between chunks", secure(Then::SayAndHold(CHUNKED)).await, Phase::Body),
        row("rubbish", secure(Then::Say("rubbish\r\n\r\n")).await, Phase::Status, "cannot be read"),
        row("no status", secure(Then::Say("HTTP/1.1 abc\r\n\r\n")).await, Phase::Status, "cannot be read"),
        row("nothing", secure(Then::Say("")).await, Phase::Status, "cannot be read"),
        row("half a head", secure(Then::Say("HTTP/1.1 200 OK\r\nX")).await, Phase::Status, "cannot be read"),
        row(
            "many headers",
            secure(Then::Repeat("HTTP/1.1 200 OK\r\n", "X-A: b\r\n")).await,
            Phase::Status,
            "cannot be read",
        ),
        row(
            "an endless header",
            secure(Then::Repeat("HTTP/1.1 200 OK\r\nX-A: ", "bbbb")).await,
            Phase::Status,
            "cannot",
        ),
        row("two lengths", secure(Then::Say(two_lengths)).await, Phase::Status, "cannot be read"),
        row("a short body", secure(Then::Say(LONG)).await, Phase::Body, "the answer 200 of"),
        row("a chunk that is none", secure(Then::Say(bad_chunk)).await, Phase::Body, "to its end"),
        row("chunks without end", secure(Then::Say(CHUNKED)).await, Phase::Body, "to its end"),
    ]
}

#[tokio::test]
async fn every_way_of_failing_is_told_with_its_part() {
    let (full, _kept) = server::full().await;
    let mut rows = rows_before_http().await;
    rows.push(hang("hang at connect", https(full), Phase::Connect));
    rows.extend(rows_of_http().await);
    for Row { what, target, timeouts, told: (phase, words) } in rows {
        let error = get(&target, "/", timeouts).await.expect_err(what);
        assert_eq!(error.phase(), phase, "{what}: {error}");
        assert!(error.to_string().contains(words), "{what}: {error}");
        let begins = phase == Phase::Request || error.to_string().starts_with(&format!("{phase}: "));
        assert!(begins, "{what}: {error}");
    }
}

#[tokio::test]
async fn odd_answers_are_answers() {
    let kib: &str = Box::leak("0123456789abcdef".repeat(64).into_boxed_str());
    let big = "HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n";
    let rows = [
        ("HTTP/1.0", Then::Say("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello"), 200, 5),
        ("ends with the connection", Then::Say("HTTP/1.0 200 OK\r\n\r\nhello"), 200, 5),
        (
            "goes on first",
            Then::Say("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
            200,
            0,
        ),
        ("no body", Then::SayAndHold("HTTP/1.1 204 No Content\r\n\r\n"), 204, 0),
        ("1 GiB", Then::Repeat(big, kib), 200, crate::health::gate::BODY_BOUND),
        ("a body without end", Then::Repeat("HTTP/1.1 200 OK\r\n\r\n", kib), 200, 1 << 20),
        ("an odd status", Then::Say("HTTP/1.1 799 What\r\nContent-Length: 0\r\n\r\n"), 799, 0),
    ];
    for (what, then, status, length) in rows {
        let answer = got(&secure(then).await, "/").await.unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!((answer.status, answer.body.len()), (status, length), "{what}");
    }
}

/// Redirects are answers, also those that lead to themselves; a packed body is one that cannot be searched.
#[tokio::test]
async fn redirects_are_not_followed_and_packed_bodies_not_searched() {
    let looping = "HTTP/1.1 302 Found\r\nLocation: https://wiki.example.org/\r\nContent-Length: 0\r\n\r\n";
    let server = Server::secure(Then::Say(looping)).await;
    let answer = got(&https(server.address), "/").await.unwrap();
    assert_eq!((answer.status, answer.headers["location"].as_str()), (302, "https://wiki.example.org/"));
    assert_eq!(server.requests().len(), 1);

    let packed = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\n\u{1f}\u{8b}abc";
    let server =
        Server::secure(Then::Say("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc")).await;
    let check = HttpCheck { body: Some("abc".into()), ..HttpCheck::at("/") };
    let failure = ask(&https(server.address), &[Check::Page(check)], patient()).await.unwrap_err();
    assert_eq!((failure.phase, failure.whose), (Phase::Body, Whose::Own), "{failure}");
    assert!(server.requests()[0].to_lowercase().contains("accept-encoding: identity"));
    assert_eq!(got(&secure(Then::Say(packed)).await, "/").await.unwrap().status, 200);
}
