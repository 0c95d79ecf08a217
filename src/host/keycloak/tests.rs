use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};

use super::*;
use crate::host::probe::Target;

const PASSWORD: &str = "correct-horse";

/// What is said to one question.
type Say = (u16, &'static str, &'static str);
const JSON: &str = "application/json";
const TOKEN: Say = (200, JSON, r#"{"access_token": "t0ken"}"#);

/// Says these things in order and the last one for ever; keeps what it was asked.
#[derive(Clone)]
struct Script {
    says: Arc<Mutex<Vec<Say>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Script {
    async fn play(says: &[Say]) -> (Keycloak, Script) {
        let says = Arc::new(Mutex::new(says.iter().rev().copied().collect()));
        let script = Script { says, asked: Arc::default() };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = Router::new().fallback(answer).with_state(script.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        (keycloak(address), script)
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

async fn answer(State(script): State<Script>, method: Method, uri: Uri) -> Response {
    script.asked.lock().unwrap().push(format!("{method} {uri}"));
    let mut says = script.says.lock().unwrap();
    let (status, kind, body) = if says.len() > 1 { says.pop().unwrap() } else { says[0] };
    (StatusCode::from_u16(status).unwrap(), [(header::CONTENT_TYPE, kind)], body).into_response()
}

fn keycloak(address: SocketAddr) -> Keycloak {
    let admin = Admin { user: "admin".to_owned(), password: PASSWORD.to_owned().into() };
    let until = Instant::now() + Duration::from_secs(20);
    Keycloak::new(Target::http(address, "kc.example.org"), admin, until)
}

fn realm() -> RealmName {
    "wiki-abcdef".parse().unwrap()
}

#[tokio::test]
async fn nobody_behind_the_proxy_is_away_and_worth_waiting_for() {
    for (status, kind) in [(404, "text/plain; charset=utf-8"), (502, "text/plain"), (503, JSON), (504, "text/html")] {
        let (keycloak, _) = Script::play(&[(status, kind, "404 page not found")]).await;
        let error = keycloak.realm(&realm()).await.unwrap_err();
        assert!(matches!(error, KeycloakError::Away(_)) && error.may_pass(), "{status}: {error}");
    }
}

/// Such as a page that says that the site is being worked on, for whatever is asked.
#[tokio::test]
async fn a_web_page_in_a_keycloaks_place_is_no_answer() {
    let page = (200, "text/html", "<h1>back soon</h1>");
    let (keycloak, _) = Script::play(&[page]).await;
    let error = keycloak.realms().await.unwrap_err();
    assert!(matches!(error, KeycloakError::Away(_)) && error.may_pass(), "{error}");
    let (keycloak, _) = Script::play(&[TOKEN, page]).await;
    let error = keycloak.remove_realm(&realm()).await.unwrap_err();
    assert!(matches!(error, KeycloakError::Away(_)), "nothing was removed: {error}");
}

#[tokio::test]
async fn a_realm_that_is_not_there_is_an_answer() {
    let (keycloak, _) = Script::play(&[TOKEN, (404, JSON, r#"{"error": "Realm not found."}"#)]).await;
    assert_eq!(keycloak.realm(&realm()).await, Ok(None));
    assert_eq!(keycloak.remove_realm(&realm()).await, Ok(false));
}

#[tokio::test]
async fn a_server_error_may_pass_and_a_refusal_does_not() {
    let (keycloak, _) = Script::play(&[TOKEN, (500, JSON, r#"{"error": "unknown_error"}"#)]).await;
    let error = keycloak.realm(&realm()).await.unwrap_err();
    assert!(error.may_pass() && !error.is_no() && error.to_string().contains("500: unknown_error"), "{error}");
    let (keycloak, _) = Script::play(&[TOKEN, (403, JSON, r#"{"errorMessage": "no"}"#)]).await;
    let error = keycloak.realm(&realm()).await.unwrap_err();
    assert!(!error.may_pass() && error.is_no() && error.to_string().contains("403: no"), "{error}");
}

#[tokio::test]
async fn a_wrong_password_is_told_in_keycloaks_words_and_not_shown() {
    let refused = (401, JSON, r#"{"error": "invalid_grant", "error_description": "Invalid user\ncredentials"}"#);
    let (keycloak, script) = Script::play(&[refused]).await;
    let error = keycloak.realms().await.unwrap_err();
    assert!(matches!(&error, KeycloakError::NotAdmin { user, .. } if user == "admin"), "{error:?}");
    assert!(!error.may_pass() && error.to_string().contains("invalid_grant: Invalid user / credentials"), "{error}");
    assert!(!format!("{error:?}{error}").contains(PASSWORD));
    assert_eq!(script.asked().len(), 1, "asked again, it would lock the account");
}

#[tokio::test]
async fn a_token_that_has_ended_is_asked_for_once_more() {
    let ended = (401, JSON, r#"{"error": "HTTP 401 Unauthorized"}"#);
    let (keycloak, script) = Script::play(&[TOKEN, (200, JSON, "[]"), ended, TOKEN, (200, JSON, "[]")]).await;
    assert_eq!(keycloak.realms().await, Ok(vec![]));
    assert_eq!(keycloak.realms().await, Ok(vec![]));
    let token = "POST /realms/master/protocol/openid-connect/token";
    let list = "GET /admin/realms?briefRepresentation=false";
    assert_eq!(script.asked(), [token, list, list, token, list]);
}

/// As with many made at once: one was in the way, and was then given up.
#[tokio::test]
async fn a_realm_that_is_said_to_be_there_and_is_not_is_worth_another_try() {
    let there = (409, JSON, r#"{"errorMessage": "Conflict detected. See logs for details"}"#);
    let none = (404, JSON, r#"{"error": "Realm not found."}"#);
    let made = (201, JSON, "");
    let read = (200, JSON, r#"{"realm": "wiki-abcdef", "attributes": {"evenkeel.run": "1"}}"#);
    let (keycloak, _) = Script::play(&[TOKEN, there, TOKEN, none, made, TOKEN, read]).await;
    let run = crate::model::realm::Run { parent: "wiki".parse().unwrap(), id: "1".parse().unwrap() };
    let mark = run.mark("2026-11-22T04:00:00Z".parse().unwrap(), &mut |salt| salt.fill(1));
    let error = keycloak.make_and_read(&realm(), &mark).await.unwrap_err();
    assert!(error.may_pass() && !error.is_no(), "{error}");
    let (is_made, listed) = keycloak.make_and_read(&realm(), &mark).await.unwrap();
    assert!(is_made && listed.name == "wiki-abcdef", "{listed:?}");
}

#[tokio::test]
async fn a_user_that_is_there_is_put_right() {
    let there = (409, JSON, r#"{"errorMessage": "User exists with same username"}"#);
    let done = (204, JSON, "");
    let (keycloak, script) = Script::play(&[TOKEN, there, (200, JSON, r#"[{"id": "u-1"}]"#), done]).await;
    let run = crate::model::realm::Run { parent: "wiki".parse().unwrap(), id: "1".parse().unwrap() };
    let mark = run.mark("2026-11-22T04:00:00Z".parse().unwrap(), &mut |salt| salt.fill(1));
    let access = Access::of(&realm(), &mark, &crate::model::secret::HostKey::new(vec![1; 32]));
    keycloak.put_user(&access).await.unwrap();
    let users = "/admin/realms/wiki-abcdef/users";
    let ways = ["POST {}", "GET {}?exact=true&username=tester", "PUT {}/u-1", "PUT {}/u-1/reset-password"];
    assert_eq!(script.asked()[1..], ways.map(|way| way.replace("{}", users)));
}

#[tokio::test]
async fn what_is_not_understood_is_not_repeated() {
    let (keycloak, _) = Script::play(&[(200, JSON, r#"{"access_token": {"secret": "t0ken"}}"#)]).await;
    let error = keycloak.log_in().await.unwrap_err();
    assert!(matches!(error, KeycloakError::Odd { .. }) && !error.to_string().contains("t0ken"), "{error}");
}

#[tokio::test]
async fn an_answer_without_end_is_odd_and_not_asked_for_again() {
    let endless: &'static str = " ".repeat((32 << 20) + 1).leak();
    let (keycloak, _) = Script::play(&[TOKEN, (200, JSON, endless)]).await;
    let error = keycloak.realms().await.unwrap_err();
    assert!(!error.may_pass() && error.to_string().contains("longer than 32 MiB"), "{error}");
}

#[tokio::test]
async fn a_closed_port_and_a_server_that_hangs_are_away_in_bounded_time() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut hanging = keycloak(address);
    hanging.asking.until = Instant::now() + Duration::from_millis(200);
    let error = hanging.realms().await.unwrap_err();
    assert!(matches!(&error, KeycloakError::Away(why) if why.contains("no answer within")), "{error:?}");
    drop(listener);
    let error = keycloak(address).realms().await.unwrap_err();
    assert!(matches!(&error, KeycloakError::Away(why) if why.contains("refuses connections")), "{error:?}");
}

#[test]
fn a_server_with_another_certificate_is_told_no_password_and_an_expired_one_is_not_waited_for() {
    let error = |fault| {
        let address = "127.0.0.1:443".parse().unwrap();
        asking::without_answer(ProbeError::Certificate { address, host: "kc".into(), fault })
    };
    let passing = [
        Fault::Another { served: "b".into(), declared: "a".into() },
        Fault::AnotherChain { served: "b".into(), declared: "a".into() },
        Fault::Name { served: "b".into() },
    ];
    for fault in passing {
        let error = error(fault);
        assert!(matches!(error, KeycloakError::Unsafe(_)) && error.may_pass() && !error.is_no(), "{error}");
    }
    let expired = error(Fault::Expired { not_after: jiff::Timestamp::UNIX_EPOCH, served: "b".into() });
    assert!(matches!(expired, KeycloakError::Unsafe(_)) && !expired.may_pass(), "{expired}");
}
