use std::path::Path;

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use serde_json::json;

use super::*;

const DIGEST: &str = "sha256:1111111111111111111111111111111111111111111111111111111111111111";

/// A daemon with the image `here:1`, pulled as `DIGEST`, and a registry that answers as told.
async fn images(dir: &Path, registry: (u16, &'static str)) -> Images {
    let distribution = move || async move { (StatusCode::from_u16(registry.0).unwrap(), registry.1) };
    let inspect = |axum::extract::Path(name): axum::extract::Path<String>| async move {
        let known = ["here:1/json", &format!("here@{DIGEST}/json")].contains(&name.as_str());
        let image = json!({"Id": "sha256:aa", "RepoDigests": [format!("other@{DIGEST}x"), format!("here@{DIGEST}")]});
        if known { (StatusCode::OK, image.to_string()) } else { (StatusCode::NOT_FOUND, "{}".into()) }
    };
    let pull = |headers: HeaderMap| async move {
        match headers.get("X-Registry-Auth") {
            Some(_) => "{\"status\":\"Pulling\",\"id\":\"1\"}\r\n{\"status\":\"Done\"}\r\n",
            None => "{\"status\":\"Pulling\"}\r\n{\"errorDetail\":{\"message\":\"denied\"},\"error\":\"denied\"}\r\n",
        }
    };
    let daemon = Router::new()
        .route("/_ping", get(|| async { ([("Api-Version", "1.41")], "OK") }))
        .route("/v1.41/images/create", post(pull))
        .route("/v1.41/images/{*name}", get(inspect))
        .route("/v1.41/distribution/{*name}", get(distribution));
    let socket = dir.join("docker.sock");
    let listener = tokio::net::UnixListener::bind(&socket).unwrap();
    tokio::spawn(async move { axum::serve(listener, daemon).await });
    Images::new(Engine::connect(&format!("unix://{}", socket.display())).await.unwrap())
}

const ANSWERS: (u16, &str) =
    (200, r#"{"Descriptor":{"digest":"sha256:1111111111111111111111111111111111111111111111111111111111111111"}}"#);
const SILENT: (u16, &str) = (500, r#"{"message":"dial tcp: lookup registry: no such host"}"#);

#[tokio::test]
async fn the_registry_says_what_a_tag_means() {
    let dir = tempfile::tempdir().unwrap();
    let images = images(dir.path(), ANSWERS).await;

    let here = images.resolve("here:1", None).await.unwrap();
    let there = images.resolve("there:1", None).await.unwrap();

    let pinned = |name: &str| format!("{name}:1@{DIGEST}");
    assert_eq!(here, Resolved { reference: pinned("here"), id: Some("sha256:aa".into()), local_only: false });
    assert_eq!(there, Resolved { reference: pinned("there"), id: None, local_only: false });
}

#[tokio::test]
async fn a_silent_registry_leaves_what_is_here() {
    let dir = tempfile::tempdir().unwrap();
    let images = images(dir.path(), SILENT).await;

    let here = images.resolve("here:1", None).await.unwrap();
    let pinned = images.resolve(&format!("here:1@{DIGEST}"), None).await.unwrap();

    let reference = format!("here:1@{DIGEST}");
    assert_eq!(here, Resolved { reference: reference.clone(), id: Some("sha256:aa".into()), local_only: true });
    assert_eq!(pinned, Resolved { reference, id: Some("sha256:aa".into()), local_only: false });
}

#[tokio::test]
async fn an_image_that_is_nowhere_is_told_with_the_registrys_words() {
    let dir = tempfile::tempdir().unwrap();
    let images = images(dir.path(), SILENT).await;

    let error = images.resolve("there:1", None).await.unwrap_err();

    assert!(matches!(error, ImageError::Unavailable { .. }));
    let text = error.to_string();
    assert!(text.starts_with("image there:1 is not on this machine, and its registry does not give it: "), "{text}");
    assert!(text.contains("no such host"), "{text}");
    assert_eq!(images.resolve("a b", None).await, Err(ImageError::Malformed("a b".into())));
}

#[tokio::test]
async fn an_error_inside_a_good_answer_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let images = images(dir.path(), SILENT).await;
    let auths = auth::Auths::parse(r#"{"auths":{"https://index.docker.io/v1/":{"auth":"YTpi"}}}"#).unwrap();

    let mut seen = Vec::new();
    let denied = images.pull("there:1", None, |line| seen.push(line.to_owned())).await.unwrap_err();
    images.pull("there:1", auths.for_image("there:1"), |line| seen.push(line.to_owned())).await.unwrap();

    assert!(denied.to_string().contains("does not give it: denied"), "{denied}");
    assert_eq!(seen, ["Pulling", "1 Pulling", "Done"]);
}

#[test]
fn lines_end_where_they_end_and_not_where_chunks_do() {
    let mut lines = Lines::default();
    assert_eq!(lines.push(b"on"), Vec::<Vec<u8>>::new());
    assert_eq!(lines.push(b"e\ntwo\nth"), [b"one".to_vec(), b"two".to_vec()]);
    assert_eq!(lines.push(b"ree\n"), [b"three".to_vec()]);
}
