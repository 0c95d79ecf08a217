//! Release notes of many versions, from the commits of their tags.

use evenkeel::model::version::{Commit, RecipeVersion};

use super::*;

fn write(world: &World, path: &str, text: impl AsRef<[u8]>) {
    let path = world.remote().join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn tag(world: &World, version: &str) -> Commit {
    let commit = world.commit(version);
    world.git(&["tag", version]);
    commit
}

async fn told(mirror: &Mirror, commit: &Commit) -> String {
    let notes = mirror.notes(std::slice::from_ref(commit)).await.unwrap();
    let version = |text: &str| text.parse::<RecipeVersion>().unwrap();
    notes[commit].between(&version("0.0.0+0"), &version("99.0.0+0")).told().unwrap_or_default()
}

#[tokio::test]
async fn each_version_has_the_notes_of_its_own_commit() {
    let world = World::new();
    let plain = tag(&world, "1.0.0+1");
    write(&world, "release/.git-keep-me", "");
    write(&world, "release/next", "soon");
    write(&world, "release/2.0.0+1", "ATTENTION: migrate\n");
    let noted = tag(&world, "2.0.0+1");
    write(&world, "release/2.0.0+1", "ATTENTION: migrate twice\n");
    symlink("/etc/passwd", world.remote().join("release/2.1.0+1")).unwrap();
    write(&world, "release/2.2.0+1", vec![b'x'; 2 << 20]);
    write(&world, "release/2.3.0+1/inner", "a folder");
    let later = tag(&world, "2.3.0+1");
    let mirror = world.fetched().await;

    let both = mirror.notes(&[plain.clone(), noted.clone(), later.clone()]).await.unwrap();
    assert_eq!(both.len(), 3);
    assert!(both[&plain].is_empty());
    assert_eq!(told(&mirror, &noted).await, "# 2.0.0+1\nATTENTION: migrate\n");
    let told = told(&mirror, &later).await;
    assert!(told.starts_with("# 2.0.0+1\nATTENTION: migrate twice\n\n# 2.1.0+1\n(the note cannot be shown"), "{told}");
    assert_eq!(told.matches("(the note cannot be shown").count(), 3, "{told}");
    assert!(!told.contains("root:") && told.len() < 1000, "{told}");
}

#[tokio::test]
async fn a_file_in_the_place_of_the_folder_is_no_notes() {
    let world = World::new();
    write(&world, "release", "a file");
    let commit = tag(&world, "1.0.0+1");
    let mirror = world.fetched().await;
    assert_eq!(told(&mirror, &commit).await, "");
    assert!(mirror.notes(&[]).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_commit_that_is_gone_is_told_and_no_version_without_notes() {
    let world = World::with_versions(&["1.0.0+1"]);
    let mirror = world.fetched().await;
    let gone: Commit = "0123456789012345678901234567890123456789".parse().unwrap();
    let error = format!("{:#}", mirror.notes(&[gone]).await.unwrap_err());
    assert!(error.contains("release notes") && error.contains("01234567"), "{error}");
}

#[tokio::test]
async fn each_tag_is_known_since_it_was_seen_first() {
    let world = World::with_versions(&["1.0.0+1"]);
    let mirror = world.fetched().await;
    tag(&world, "1.1.0+1");
    let tomorrow = today() + jiff::SignedDuration::from_hours(24);
    mirror.fetch(tomorrow).await.unwrap();
    let seen = mirror.published().await.unwrap().seen;
    let of = |version: &str| seen[&version.parse::<RecipeVersion>().unwrap()];
    assert_eq!((of("1.0.0+1"), of("1.1.0+1")), (today(), tomorrow));
}
