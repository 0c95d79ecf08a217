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
    assert_eq!(here, Resolved { reference: pinned("here"), id: Some("sha256:aa".into()), silent: None });
    assert_eq!(there, Resolved { reference: pinned("there"), id: None, silent: None });
}

#[tokio::test]
async fn a_silent_registry_leaves_what_is_here() {
    let dir = tempfile::tempdir().unwrap();
    let images = images(dir.path(), SILENT).await;

    let here = images.resolve("here:1", None).await.unwrap();
    let pinned = images.resolve(&format!("here:1@{DIGEST}"), None).await.unwrap();

    let reference = format!("here:1@{DIGEST}");
    assert_eq!((here.reference, here.id), (reference.clone(), Some("sha256:aa".into())));
    assert_eq!(here.silent.unwrap().why, refusal::Why::Silent);
    assert_eq!(pinned, Resolved { reference, id: Some("sha256:aa".into()), silent: None });
}

#[tokio::test]
async fn an_image_that_is_nowhere_is_told_with_the_registrys_words() {
    let dir = tempfile::tempdir().unwrap();
    let images = images(dir.path(), SILENT).await;

    let error = images.resolve("there:1", None).await.unwrap_err();

    assert!(matches!(error, ImageError::Unavailable { .. }));
    let text = error.to_string();
    assert!(text.starts_with("image there:1 is not on this machine, and its registry does not give it: "), "{text}");
    assert!(text.contains("docker.io does not answer; is it up") && text.contains("no such host"), "{text}");
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

    let denied = denied.to_string();
    assert!(denied.contains("does not give it: docker.io wants a login, or has no such image"), "{denied}");
    assert!(denied.ends_with("(Docker says: denied)"), "{denied}");
    assert_eq!(seen, ["Pulling", "1 Pulling", "Done"]);
}

#[tokio::test]
async fn a_pull_that_would_fill_the_disk_is_broken_off() {
    let dir = tempfile::tempdir().unwrap();
    let images = images(dir.path(), SILENT).await;
    let auths = auth::Auths::parse(r#"{"auths":{"https://index.docker.io/v1/":{"auth":"YTpi"}}}"#).unwrap();
    let pull = async |reserve| {
        let bounds = Bounds { root: dir.path().into(), reserve };
        let mut seen = Vec::new();
        let told = |line: &str| seen.push(line.to_owned());
        let pulled = images.pull_within("there:1", auths.for_image("there:1"), &bounds, told).await;
        (pulled, seen)
    };

    let (pulled, seen) = pull(1 << 60).await;
    let error = pulled.unwrap_err();
    assert!(error.to_string().starts_with("image there:1 does not fit on this machine's disk: "), "{error}");
    assert!(matches!(Outcome::from(error), Outcome::Blocked(_)));
    assert_eq!(seen, ["1 Pulling"]);
    let elsewhere = Bounds { root: "/nowhere at all".into(), reserve: 1 << 60 };
    images.pull_within("there:1", auths.for_image("there:1"), &elsewhere, |_| ()).await.unwrap();
}

#[test]
fn lines_end_where_they_end_and_not_where_chunks_do() {
    let mut lines = Lines::default();
    assert_eq!(lines.push(b"on"), Vec::<Vec<u8>>::new());
    assert_eq!(lines.push(b"e\ntwo\nth"), [b"one".to_vec(), b"two".to_vec()]);
    assert_eq!(lines.push(b"ree\n"), [b"three".to_vec()]);
}

#[tokio::test]
async fn what_is_here_is_told_without_a_word_to_a_registry() {
    let dir = tempfile::tempdir().unwrap();
    let images = images(dir.path(), (500, "nobody may ask")).await;

    let here = images.here("here:1").await.unwrap().unwrap();

    assert_eq!(here.reference, format!("here:1@{DIGEST}"));
    assert_eq!(images.here("there:1").await.unwrap(), None);
}

/// A daemon whose registry takes connections and says nothing, or stops in the middle of a pull.
async fn hanging(dir: &Path) -> Images {
    let never = || async { std::future::pending::<String>().await };
    let begun = || async {
        let first = futures_util::stream::once(async { Ok::<_, std::io::Error>("{\"status\":\"Pulling\"}\r\n") });
        axum::body::Body::from_stream(futures_util::StreamExt::chain(first, futures_util::stream::pending()))
    };
    let daemon = Router::new()
        .route("/_ping", get(|| async { ([("Api-Version", "1.41")], "OK") }))
        .route("/v1.41/images/create", post(begun))
        .route("/v1.41/images/{*name}", get(|| async { (StatusCode::NOT_FOUND, "{}") }))
        .route("/v1.41/distribution/{*name}", get(never));
    let socket = dir.join("docker.sock");
    let listener = tokio::net::UnixListener::bind(&socket).unwrap();
    tokio::spawn(async move { axum::serve(listener, daemon).await });
    let patience = Patience { lookup: Duration::from_millis(200), pull: Duration::from_millis(200) };
    Images::new(Engine::connect(&format!("unix://{}", socket.display())).await.unwrap()).patient(patience)
}

#[tokio::test]
async fn a_registry_that_hangs_is_not_waited_for_without_an_end() {
    let dir = tempfile::tempdir().unwrap();
    let images = hanging(dir.path()).await;

    let asked = images.resolve("there:1", None).await.unwrap_err();
    let mut seen = Vec::new();
    let pulled = images.pull("there:1", None, |line| seen.push(line.to_owned())).await.unwrap_err();

    assert_eq!(seen, ["Pulling"]);
    for error in [asked, pulled] {
        let ImageError::Unavailable { refusal, .. } = error else { panic!("{error}") };
        assert_eq!((refusal.why, refusal.registry.as_str()), (refusal::Why::Silent, "docker.io"));
    }
}
