use std::path::Path;

use axum::Router;
use axum::routing::{get, post};
use serde_json::json;

use super::*;

fn api(text: &str) -> ApiVersion {
    ApiVersion::parse(text).unwrap()
}

/// A daemon that speaks API `min` to `max` and has three objects, each with an opinion.
fn daemon(min: &'static str, max: &'static str) -> Router {
    let ping = move || async move { ([("Api-Version", max)], "OK") };
    let versioned_ping = move |axum::extract::Path(version): axum::extract::Path<String>| async move {
        let asked = api(version.trim_start_matches('v'));
        let status = if asked < api(min) || asked > api(max) { 400 } else { 200 };
        (StatusCode::from_u16(status).unwrap(), "")
    };
    let refuse = |status: u16, text: &'static str| move || async move { (StatusCode::from_u16(status).unwrap(), text) };
    Router::new()
        .route("/_ping", get(ping))
        .route("/version", get(move || async move { axum::Json(json!({"MinAPIVersion": min, "ApiVersion": max})) }))
        .route("/{version}/_ping", get(versioned_ping))
        .route("/{version}/gone", get(refuse(404, r#"{"message":"no such thing"}"#)))
        .route("/{version}/stale", post(refuse(500, r#"{"message":"rpc error: update out of sequence"}"#)))
        .route("/{version}/taken", post(refuse(409, r#"{"message":"name is taken"}"#)))
        .route("/{version}/garbage", get(|| async { "<html>" }))
        .route("/{version}/silent", post(|| async { StatusCode::OK }))
}

async fn engine(dir: &Path, daemon: Router) -> Engine {
    let socket = dir.join("docker.sock");
    let listener = tokio::net::UnixListener::bind(&socket).unwrap();
    tokio::spawn(async move { axum::serve(listener, daemon).await });
    Engine::connect(&format!("unix://{}", socket.display())).await.unwrap()
}

#[tokio::test]
async fn the_version_is_the_newest_that_both_speak() {
    for (min, max, agreed) in [("1.12", "1.41", "1.41"), ("1.24", "1.52", "1.51"), ("1.53", "1.60", "1.53")] {
        let dir = tempfile::tempdir().unwrap();
        let engine = engine(dir.path(), daemon(min, max)).await;
        assert_eq!(engine.api_version(), agreed, "daemon speaks {min} to {max}");
    }
}

#[tokio::test]
async fn refusals_say_what_was_asked_and_what_the_engine_said() {
    let dir = tempfile::tempdir().unwrap();
    let engine = engine(dir.path(), daemon("1.12", "1.41")).await;

    let gone = engine.get("/gone", &[]).await.unwrap_err();
    let stale = engine.post("/stale", &[], &json!({})).await.unwrap_err();
    let taken = engine.post("/taken", &[], &Value::Null).await.unwrap_err().during("create network proxy");

    assert!(gone.is_not_found() && !gone.is_conflict() && !gone.is_out_of_sequence());
    assert!(stale.is_out_of_sequence() && !stale.is_not_found());
    assert!(taken.is_conflict());
    assert_eq!(gone.to_string(), "cannot GET /gone: the Docker Engine refused: no such thing (status 404)");
    assert_eq!(taken.to_string(), "cannot create network proxy: the Docker Engine refused: name is taken (status 409)");
}

#[tokio::test]
async fn an_answer_that_is_no_json_is_an_error_and_an_empty_one_is_null() {
    let dir = tempfile::tempdir().unwrap();
    let engine = engine(dir.path(), daemon("1.12", "1.41")).await;

    assert!(matches!(engine.get("/garbage", &[]).await, Err(EngineError::Garbled { .. })));
    assert_eq!(engine.post("/silent", &[], &Value::Null).await, Ok(Value::Null));
}

#[tokio::test]
async fn an_engine_that_cannot_be_reached_tells_the_way_out() {
    let dir = tempfile::tempdir().unwrap();
    let dead = dir.path().join("dead.sock");
    drop(std::os::unix::net::UnixListener::bind(&dead).unwrap());
    let absent = format!("unix://{}", dir.path().join("none.sock").display());
    let table = [
        (
            absent.as_str(),
            "there is no such socket: is Docker running? (its socket is named by `engine` in the configuration, or DOCKER_HOST)",
        ),
        (
            &format!("unix://{}", dead.display()),
            "nobody listens on the socket: is Docker running? (its socket is named by `engine` in the configuration, or DOCKER_HOST)",
        ),
        ("tcp://127.0.0.1:2375", "only a unix socket is understood, as in unix:///run/docker.sock"),
        ("unix://docker.sock", "only a unix socket is understood, as in unix:///run/docker.sock"),
        ("", "only a unix socket is understood, as in unix:///run/docker.sock"),
    ];
    for (endpoint, cause) in table {
        let error = Engine::connect(endpoint).await.unwrap_err();
        assert!(error.is_unreachable());
        assert_eq!(error.to_string(), format!("cannot talk to the Docker Engine at {endpoint}: {cause}"));
    }
}

#[test]
fn a_swarm_without_a_leader_is_told_as_one() {
    let refused = |message: &str| EngineError::Refused { status: 500, message: message.into(), act: "look".into() };
    let told = "the Swarm has no leader";
    for message in ["rpc error: code = Unknown desc = context deadline exceeded", "The swarm does not have a leader."] {
        assert!(refused(message).to_string().contains(told), "{message}");
    }
    assert!(!refused("rpc error: code = Unknown desc = update out of sequence").to_string().contains(told));
}

#[test]
fn names_in_paths_cannot_become_queries() {
    assert_eq!(segment("ghcr.io/a/b:1@sha256:ff"), "ghcr.io/a/b:1@sha256:ff");
    assert_eq!(segment("a b?x#y%"), "a%20b%3Fx%23y%25");
}
