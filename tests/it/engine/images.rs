use evenkeel::host::engine::Engine;
use evenkeel::host::images::{ImageError, Images};

use super::private::PrivateEngine;

async fn images() -> Images {
    Images::new(Engine::connect(PrivateEngine::shared().endpoint()).await.unwrap())
}

#[tokio::test]
async fn an_image_that_was_made_here_is_taken_as_it_is() {
    let images = images().await;
    let name = PrivateEngine::shared().image();

    let id = images.id(name).await.unwrap().expect("the harness made it");
    let resolved = images.resolve(name, None).await.unwrap();

    assert!(id.starts_with("sha256:"));
    assert_eq!(images.repo_digest(name).await.unwrap(), None);
    assert_eq!((resolved.reference.as_str(), resolved.id, resolved.silent.is_some()), (name, Some(id), true));
}

#[tokio::test]
async fn an_image_that_is_nowhere_is_named_with_its_registrys_words() {
    let images = images().await;
    let name = "127.0.0.1:9/evenkeel-test/nothing:1";

    let resolved = images.resolve(name, None).await.unwrap_err();
    let pulled = images.pull(name, None, |_| ()).await.unwrap_err();

    assert_eq!(images.id(name).await, Ok(None));
    for error in [resolved, pulled] {
        let ImageError::Unavailable { reference, refusal } = &error else { panic!("{error}") };
        assert_eq!((reference.as_str(), refusal.registry.as_str()), (name, "127.0.0.1:9"));
        assert!(refusal.words.contains("connection refused"), "{error}");
    }
}

#[tokio::test]
async fn an_image_comes_from_a_tarball() {
    let engine = PrivateEngine::shared();
    let images = images().await;
    let dir = tempfile::tempdir().unwrap();
    let tarball = dir.path().join("image.tar");
    let name = "evenkeel-test/loaded:1";
    engine.docker(&["tag", engine.image(), name]);
    engine.docker(&["save", "--output", tarball.to_str().unwrap(), name]);
    engine.docker(&["rmi", name]);
    assert_eq!(images.id(name).await, Ok(None));

    engine.load(&[&tarball]);

    assert_eq!(images.id(name).await, images.id(engine.image()).await);
    engine.docker(&["rmi", name]);
}
