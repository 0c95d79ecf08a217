use std::sync::{Arc, Mutex};

use serde_json::json;

use super::*;
use crate::health::gate::served::Wanted;
use crate::host::probe::tests::server::{Server, Shown, Then};
use crate::model::ci::BuildEngine;

const HOST: &str = "drone.example.org";
const TOKEN: &str = "t0ken-of-the-administrator";
const WANTED: RepositorySettings = RepositorySettings { timeout_minutes: Some(90), trusted: Some(true) };

fn say(status: &str, kind: &str, body: &str) -> Then {
    let length = body.len();
    Then::Say(format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}").leak())
}

fn json(status: &str, body: &Value) -> Then {
    say(status, "application/json", &body.to_string())
}

fn within(time: Duration, server: &Server, engine: BuildEngine) -> BuildServer {
    let certificate = Wanted { chain: server.chain.clone(), warn_days: 0, fail_days: 0 };
    let target = Target::https(server.address, HOST, Some(certificate));
    BuildServer::new(target, engine.ci(), TOKEN.to_owned().into(), Instant::now() + time)
}

fn client(server: &Server, engine: BuildEngine) -> BuildServer {
    within(Duration::from_secs(20), server, engine)
}

/// Says these things in order, and the last one for ever.
async fn script(says: &[Then]) -> Server {
    let says: Arc<Mutex<Vec<Then>>> = Arc::new(Mutex::new(says.iter().rev().copied().collect()));
    Server::answering(Some(Shown::named("*.example.org")), move |_| {
        let mut says = says.lock().unwrap();
        if says.len() > 1 { says.pop().unwrap() } else { says[0] }
    })
    .await
}

async fn told(says: &[Then]) -> BuildsError {
    client(&script(says).await, BuildEngine::Drone).settle("org/repo", WANTED).await.unwrap_err()
}

/// Request lines, each with what was sent.
fn asked(server: &Server) -> Vec<(String, String)> {
    let parts = |request: String| {
        let line = request.lines().next().unwrap().to_owned();
        (line, request.split_once("\r\n\r\n").unwrap().1.to_owned())
    };
    server.requests().into_iter().map(parts).collect()
}

#[tokio::test]
async fn what_differs_is_sent_once_and_then_nothing() {
    let before = json("200 OK", &json!({ "id": 7, "timeout": 60, "trusted": true, "counter": 3 }));
    let after = json("200 OK", &json!({ "id": 7, "timeout": 90, "trusted": true, "counter": 3 }));
    let server = script(&[before, after]).await;
    let client = client(&server, BuildEngine::Drone);
    assert_eq!(client.settle("org/repo", WANTED).await, Ok(Settled::Changed));
    assert_eq!(client.settle("org/repo", WANTED).await, Ok(Settled::AsWanted));
    let (get, patch) =
        (format!("{HOST} GET /api/repos/org/repo HTTP/1.1"), format!("{HOST} PATCH /api/repos/org/repo HTTP/1.1"));
    let nothing = String::new;
    assert_eq!(asked(&server), [(get.clone(), nothing()), (patch, r#"{"timeout":90}"#.into()), (get, nothing())]);
    assert!(server.requests().iter().all(|request| request.contains(&format!("authorization: Bearer {TOKEN}\r\n"))));
}

#[tokio::test]
async fn woodpecker_is_asked_by_name_and_changed_by_number() {
    let trusted = |on: bool| json!({ "network": on, "volumes": on, "security": on });
    let before = json("200 OK", &json!({ "id": 7, "timeout": 90, "trusted": trusted(false) }));
    let after = json("200 OK", &json!({ "id": 7, "timeout": 90, "trusted": trusted(true) }));
    let server = script(&[before, after]).await;
    assert_eq!(client(&server, BuildEngine::Woodpecker).settle("org/repo", WANTED).await, Ok(Settled::Changed));
    let asked = asked(&server);
    assert_eq!(asked[0].0, format!("{HOST} GET /api/repos/lookup/org/repo HTTP/1.1"));
    assert_eq!(asked[1].0, format!("{HOST} PATCH /api/repos/7 HTTP/1.1"));
    assert_eq!(serde_json::from_str::<Value>(&asked[1].1).unwrap(), json!({ "trusted": trusted(true) }));
}

#[tokio::test]
async fn empty_answers_and_servers_that_are_unwell_may_be_asked_again() {
    let html = "text/html; charset=utf-8";
    let empty = Then::Say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let unwell = ["500 Internal Server Error", "502 Bad Gateway", "503 Service Unavailable", "429 Too Many Requests"];
    let unwell = unwell.map(|status| json(status, &json!({ "message": "database is locked" })));
    let others = [
        empty,
        Then::Say("HTTP/1.1 204 No Content\r\n\r\n"),
        // It hangs up.
        Then::Say(""),
        say("200 OK", html, "<h1>back soon</h1>"),
        say("404 Not Found", "text/plain; charset=utf-8", "404 page not found\n"),
    ];
    for say in unwell.into_iter().chain(others) {
        let error = told(&[say]).await;
        assert!(error.may_pass() && !error.is_of_all(), "{error}");
        assert!(error.to_string().starts_with(HOST), "{error}");
    }
}

/// Done again it would find the change made, and send nothing.
#[tokio::test]
async fn an_empty_answer_to_a_change_may_be_asked_again() {
    let before = json("200 OK", &json!({ "timeout": 60, "trusted": true }));
    let after = json("200 OK", &json!({ "timeout": 90, "trusted": true }));
    let server = script(&[before, Then::Say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), after]).await;
    let client = client(&server, BuildEngine::Drone);
    assert!(client.settle("org/repo", WANTED).await.unwrap_err().may_pass());
    assert_eq!(client.settle("org/repo", WANTED).await, Ok(Settled::AsWanted));
}

#[tokio::test]
async fn a_refused_token_a_missing_right_and_an_unknown_repository_are_told_apart() {
    let message = |text: &str| json!({ "message": text });
    let refused = told(&[json("401 Unauthorized", &message("Unauthorized"))]).await;
    assert_eq!(refused.to_string(), "Drone does not take the token (401: Unauthorized)");
    assert!(refused.is_of_all() && !refused.may_pass());

    let before = json("200 OK", &json!({ "timeout": 60, "trusted": false }));
    let forbidden = told(&[before, say("403 Forbidden", "text/plain", "Insufficient privileges")]).await;
    assert!(matches!(forbidden, BuildsError::Forbidden { .. }), "{forbidden:?}");
    assert!(forbidden.to_string().contains("(403: Insufficient privileges)"), "{forbidden}");

    let no_rows = json("404 Not Found", &message("sql: no rows in result set"));
    let without_words = Then::Say("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    for say in [no_rows, without_words] {
        let unknown = told(&[say]).await;
        assert!(matches!(unknown, BuildsError::Unknown { .. }) && !unknown.may_pass(), "{unknown:?}");
        assert!(unknown.to_string().starts_with("Drone knows no such repository"), "{unknown}");
    }
}

/// As basic or forward authentication in front of the server does.
#[tokio::test]
async fn a_login_that_somebody_else_asks_for_refuses_no_token() {
    for say in logins_of_others() {
        let odd = told(&[say]).await;
        let sentence = "what Drone answers is not understood: something in front of it asks for a login (401)";
        assert_eq!(odd.to_string(), sentence);
        assert!(!odd.is_of_all() && !odd.may_pass());
        assert_eq!(client(&script(&[say]).await, BuildEngine::Drone).takes_token().await, Ok(()));
    }
}

#[tokio::test]
async fn a_login_that_somebody_else_asks_for_refuses_no_runner() {
    for (say, refuses) in logins_of_others().map(|say| (say, false)).into_iter().chain([(Then::Say(EMPTY_NO), true)]) {
        let server = script(&[say]).await;
        let asked = client(&server, BuildEngine::Drone);
        assert_eq!(refuses_runner(&asked.target, asked.ci, &asked.token).await, refuses);
    }
}

const EMPTY_NO: &str = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n";

fn logins_of_others() -> [Then; 2] {
    let basic = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"ci\"\r\nContent-Length: 0\r\n\r\n";
    [Then::Say(basic), say("401 Unauthorized", "text/html", "\n<html>Sign in</html>")]
}

/// As Drone does for who is no administrator.
#[tokio::test]
async fn a_change_that_is_answered_with_success_and_not_made_is_told() {
    let unheard = told(&[json("200 OK", &json!({ "timeout": 60, "trusted": false }))]).await;
    let left = vec!["timeout".to_owned(), "trusted".to_owned()];
    assert_eq!(unheard, BuildsError::Unheard { server: "Drone", left });
    assert!(!unheard.may_pass());
}

#[tokio::test]
async fn a_server_with_another_certificate_is_told_nothing() {
    let server = script(&[json("200 OK", &json!({}))]).await;
    let stranger = Server::start(Some(Shown::named("*.example.org")), Then::Say("")).await;
    let certificate = Wanted { chain: stranger.chain, warn_days: 0, fail_days: 0 };
    let target = Target::https(server.address, HOST, Some(certificate));
    let until = Instant::now() + Duration::from_secs(20);
    let client = BuildServer::new(target, BuildEngine::Drone.ci(), TOKEN.to_owned().into(), until);
    let error = client.settle("org/repo", WANTED).await.unwrap_err();
    assert!(matches!(error, BuildsError::Unsafe(_)) && error.may_pass(), "it may be renewed just now: {error}");
    assert_eq!(server.requests().len(), 0);
}

#[tokio::test]
async fn a_token_that_the_server_repeats_is_shown_nowhere() {
    for body in [json!({ "message": format!("no such token: {TOKEN}") }), json!(format!("Bearer {TOKEN}"))] {
        for status in
            ["400 Bad Request", "401 Unauthorized", "403 Forbidden", "404 Not Found", "500 Internal Server Error"]
        {
            let error = told(&[json(status, &body)]).await;
            assert!(!format!("{error:?} {error}").contains(TOKEN), "{error:?}");
            assert!(error.to_string().contains("(the token)"), "{error}");
        }
    }
}

#[tokio::test]
async fn a_server_that_hangs_is_left_in_time() {
    let server = script(&[Then::SayAndHold("HTTP/1.1 200 OK\r\n")]).await;
    let client = within(Duration::from_millis(200), &server, BuildEngine::Drone);
    let error = client.settle("org/repo", WANTED).await.unwrap_err();
    assert!(error.may_pass() && error.to_string().contains("no answer within"), "{error}");
    let error = client.settle("org/repo", WANTED).await.unwrap_err();
    assert!(error.to_string().contains("no time was left"), "{error}");
}

#[tokio::test]
async fn what_is_no_repository_is_not_guessed_at() {
    for (say, cause) in
        [(json("200 OK", &json!([])), "no JSON object"), (say("200 OK", "application/json", "{"), "1:1")]
    {
        let error = told(&[say]).await;
        assert!(matches!(error, BuildsError::Odd { .. }) && error.to_string().contains(cause), "{error}");
    }
    let server = script(&[json("200 OK", &json!({ "timeout": 60 }))]).await;
    let error = client(&server, BuildEngine::Woodpecker).settle("org/repo", WANTED).await.unwrap_err();
    assert!(error.to_string().contains("by which id"), "{error}");
}
