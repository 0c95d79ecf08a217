//! Mirrors that somebody or something has changed: mended or refused, never obeyed.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use evenkeel::host::recipes::Freshness;

use super::{World, compose, today, versions, walk};

/// Something of `mirror` that would make git run `program`, or read from elsewhere.
type Change = fn(mirror: &Path, program: &Path);

fn config(mirror: &Path, lines: &str) {
    let file = mirror.join("config");
    fs::write(&file, format!("{}{lines}", fs::read_to_string(&file).unwrap())).unwrap();
}

const CHANGES: [Change; 9] = [
    |mirror, program| config(mirror, &format!("\tfsmonitor = {0}\n\tsshCommand = {0}\n", program.display())),
    |mirror, program| config(mirror, &format!("[uploadpack]\n\tpackObjectsHook = {}\n", program.display())),
    |mirror, program| {
        let more = program.with_file_name("more");
        fs::write(&more, format!("[core]\n\tpager = {0}\n\tsshCommand = {0}\n", program.display())).unwrap();
        config(mirror, &format!("[include]\n\tpath = {}\n", more.display()));
    },
    |mirror, program| config(mirror, &format!("[credential]\n\thelper = {}\n", program.display())),
    |mirror, program| {
        fs::create_dir_all(mirror.join("hooks")).unwrap();
        for hook in ["reference-transaction", "post-update", "pre-auto-gc"] {
            symlink(program, mirror.join("hooks").join(hook)).unwrap();
        }
    },
    |mirror, program| {
        fs::create_dir_all(mirror.join("objects/info")).unwrap();
        fs::write(mirror.join("objects/info/alternates"), format!("{}\n", program.parent().unwrap().display()))
            .unwrap();
    },
    |mirror, _| {
        fs::create_dir_all(mirror.join("refs/replace")).unwrap();
        fs::create_dir_all(mirror.join("info")).unwrap();
        fs::write(mirror.join("info/grafts"), "").unwrap();
    },
    |mirror, program| {
        let other = program.with_file_name("other.git");
        fs::rename(mirror, &other).unwrap();
        config(&other, &format!("\tsshCommand = {}\n", program.display()));
        symlink(other, mirror).unwrap();
    },
    |mirror, program| fs::write(mirror.join("commondir"), program.parent().unwrap().to_str().unwrap()).unwrap(),
];

#[tokio::test]
async fn a_mirror_that_somebody_changed_is_not_obeyed_and_made_anew() {
    for (number, change) in CHANGES.into_iter().enumerate() {
        let world = World::with_versions(&["1.0.0+1"]);
        let head = world.head();
        world.fetched().await;
        let (ran, program) = (world.dir.path().join("ran"), world.dir.path().join("program"));
        fs::write(&program, format!("#!/bin/sh\ntouch {}\n", ran.display())).unwrap();
        fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
        change(&world.in_recipes(".git"), &program);
        let mirror = world.mirror();
        let error = format!("{:#}", mirror.published().await.unwrap_err());
        assert!(error.contains("changed by somebody else"), "{number}: {error}");
        assert!(mirror.tree(&head).await.is_err() && mirror.tree_if_there(&head).await.unwrap().is_none());
        world.commit("newer");
        world.git(&["tag", "1.1.0+1"]);
        assert_eq!(mirror.fetch(today()).await.unwrap(), Freshness::Fresh);
        assert_eq!(versions(&mirror).await, ["1.0.0+1", "1.1.0+1"], "{number}");
        assert!(!ran.exists(), "{number}");
        assert_eq!(world.recipes().len(), 3, "{number}: {:?}", world.recipes());
    }
}

#[tokio::test]
async fn a_planted_link_takes_nothing_with_it() {
    let world = World::with_versions(&["1.0.0+1"]);
    world.fetched().await;
    let precious = world.dir.path().join("precious");
    fs::create_dir_all(precious.join("objects/pack")).unwrap();
    for file in ["yarn.lock", "objects/pack/tmp_pack_1", ".beside-1"] {
        fs::write(precious.join(file), "mine").unwrap();
    }
    let mirror = world.in_recipes(".git");
    let half = mirror.with_file_name(format!(".{}-a1b2", mirror.file_name().unwrap().to_str().unwrap()));
    fs::remove_dir_all(&mirror).unwrap();
    symlink(&precious, &mirror).unwrap();
    symlink(&precious, &half).unwrap();
    assert_eq!(versions(&world.fetched().await).await, ["1.0.0+1"]);
    assert_eq!(walk(&precious).len(), 3);
    assert!(!half.is_symlink() && !world.in_recipes(".git").is_symlink());
}

#[tokio::test]
async fn whatever_breaks_in_a_mirror_is_mended_when_it_was_found() {
    let damages: [fn(&Path); 7] = [
        |mirror| in_packs(mirror, ".pack", |bytes| bytes.truncate(bytes.len() / 2)),
        |mirror| in_packs(mirror, ".pack", |bytes| bytes[20..].fill(0)),
        |mirror| in_packs(mirror, ".idx", |bytes| bytes.fill(0)),
        |mirror| in_packs(mirror, ".idx", Vec::clear),
        |mirror| fs::write(mirror.join("packed-refs"), [0; 100]).unwrap(),
        |mirror| fs::write(mirror.join("tips.json"), "{\"head\": 1").unwrap(),
        |mirror| fs::remove_file(mirror.join("tips.json")).unwrap(),
    ];
    for (number, damage) in damages.into_iter().enumerate() {
        let world = World::with_versions(&["1.0.0+1"]);
        let first = world.head();
        world.fetched().await;
        damage(&world.in_recipes(".git"));
        world.commit("newer");
        world.git(&["tag", "1.1.0+1"]);
        // Found by the fetch, or by the reader that comes after it and leaves word for the next one.
        let mirror = world.fetched().await;
        if mirror.tree(&first).await.is_err() {
            world.fetched().await;
        }
        assert_eq!(versions(&mirror).await, ["1.0.0+1", "1.1.0+1"], "{number}");
        assert_eq!(compose(&mirror, &first).await, "version 1.0.0+1", "{number}");
    }
}

fn in_packs(mirror: &Path, ending: &str, damage: impl Fn(&mut Vec<u8>)) {
    let packs = walk(&mirror.join("objects/pack")).into_iter().filter(|file| file.to_str().unwrap().ends_with(ending));
    for pack in packs {
        let mut bytes = fs::read(&pack).unwrap();
        damage(&mut bytes);
        fs::remove_file(&pack).unwrap();
        fs::write(&pack, bytes).unwrap();
    }
}

/// Moves the tag 1.0.0+1 to another commit; gives the first and the new one.
fn move_tag(world: &World) -> [evenkeel::model::version::Commit; 2] {
    let first = world.head();
    world.git(&["checkout", "--quiet", "--orphan", "other"]);
    let now = world.commit("now");
    world.git(&["tag", "--force", "1.0.0+1"]);
    world.git(&["branch", "--delete", "--force", "main"]);
    [first, now]
}

#[tokio::test]
async fn what_a_moved_tag_named_first_survives_a_cleaning_by_hand() {
    let world = World::with_versions(&["1.0.0+1"]);
    world.fetched().await;
    let [first, _] = move_tag(&world);
    let mirror = world.fetched().await;
    let gc = ["gc", "--quiet", "--prune=now"];
    let cleaned = Command::new("git").args(gc).current_dir(world.in_recipes(".git")).status();
    assert!(cleaned.unwrap().success());
    assert_eq!(compose(&mirror, &first).await, "version 1.0.0+1");
    assert_eq!(versions(&world.fetched().await).await, ["1.0.0+1"]);
    assert_eq!(compose(&mirror, &first).await, "version 1.0.0+1");
}

#[tokio::test]
async fn a_moved_tag_is_not_taken_where_its_first_commit_is_lost() {
    let world = World::with_versions(&["1.0.0+1"]);
    world.fetched().await;
    let [first, now] = move_tag(&world);
    fs::remove_dir_all(world.in_recipes(".git")).unwrap();
    let mirror = world.fetched().await;
    let published = mirror.published().await.unwrap();
    assert_eq!(published.versions, [("1.0.0+1".parse().unwrap(), first.clone())]);
    let note = &published.notes()[0];
    assert!(note.contains(&format!("the tag 1.0.0+1 names commit {} now", now.short())), "{note}");
    assert!(note.contains(&format!("named {} when it was first seen (2026-03-01)", first.short())), "{note}");
    let error = format!("{:#}", mirror.tree(&first).await.unwrap_err());
    assert!(error.contains("the remote may have removed it"), "{error}");
}

#[tokio::test]
async fn lost_first_sights_are_what_the_mirror_knew() {
    let world = World::with_versions(&["1.0.0+1"]);
    world.fetched().await;
    fs::remove_file(world.in_recipes(".json")).unwrap();
    let [first, now] = move_tag(&world);
    let published = world.fetched().await.published().await.unwrap();
    assert_eq!(published.versions, [("1.0.0+1".parse().unwrap(), first)]);
    assert_eq!(published.moved[0].now, now);
}

#[tokio::test]
async fn damaged_first_sights_are_for_a_person_to_judge() {
    let world = World::with_versions(&["1.0.0+1"]);
    let mirror = world.fetched().await;
    for text in ["", "{", "[]", "{\"1.0.0+1\": {\"commit\": \"main\"}}"] {
        fs::write(world.in_recipes(".json"), text).unwrap();
        for error in [mirror.published().await.err(), mirror.fetch(today()).await.err()] {
            let error = format!("{:#}", error.unwrap());
            assert!(error.contains(".json") && error.contains("restore it, or remove it"), "{text:?}: {error}");
        }
    }
}

#[tokio::test]
async fn what_the_remote_removes_stays_here() {
    let world = World::with_versions(&["1.0.0+1"]);
    let first = world.head();
    let other = world.commit("on a branch");
    world.fetched().await;
    move_tag(&world);
    world.git(&["tag", "--delete", "1.0.0+1"]);
    world.git(&["reflog", "expire", "--expire=now", "--all"]);
    world.git(&["gc", "--quiet", "--prune=now"]);
    let mirror = world.fetched().await;
    assert_eq!(versions(&mirror).await, [""; 0]);
    for commit in [first, other] {
        assert_eq!(mirror.resolve_commit(&commit.as_str()[..10]).await.unwrap(), commit);
        assert!(mirror.tree_if_there(&commit).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn a_remote_without_its_default_branch_still_has_versions() {
    let world = World::with_versions(&["1.0.0+1"]);
    world.git(&["symbolic-ref", "HEAD", "refs/heads/nowhere"]);
    let published = world.fetched().await.published().await.unwrap();
    assert_eq!((published.versions.len(), published.head), (1, None));
}
