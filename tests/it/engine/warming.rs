//! The life of a canonical on a real Engine.

use std::fs;

use serde_json::json;

use super::private::PrivateEngine;
use super::warmth::{NAME, SPOILS_AND_FAILS, Warmth, runs};
use crate::world::on_engine;

#[test]
fn warm_data_is_there_again_and_what_a_run_wrote_over_it_is_thrown_away() {
    let mut warmth = Warmth::seeded();
    warmth.stands("idle", "1.0.0+1");
    warmth.rests();
    assert_eq!(warmth.data()["1.0.0"], "1.0.0\n");

    warmth.ends(0, &["deploy", NAME], &["wiki: applied: 1.0.0+1 runs on its warm data"]);
    warmth.stands("deployed", "1.0.0+1");
    fs::write(warmth.place().join("written"), "by a person").unwrap();
    warmth.ends(0, &["idle", NAME], &["wiki: applied: idle"]);
    warmth.stands("idle", "1.0.0+1");
    warmth.rests();

    warmth.ends(0, &["deploy", NAME], &["runs on its warm data"]);
    assert_eq!(warmth.data()["written"], "by a person");
    assert_eq!(warmth.ends(0, &["deploy", NAME], &[]).out, "wiki: converged\n");
    warmth.ends(0, &["idle", NAME], &[]);

    let commit = warmth.commit(&runs("quick"));
    warmth.ends(0, &["deploy", NAME, "--quick", &commit[..10]], &["runs over the data of 1.0.0+1"]);
    warmth.stands("dirty", "1.0.0+1");
    assert_eq!(warmth.data()["quick"], "quick\n");
    assert_eq!(warmth.data()["written"], "by a person");
    warmth.ends(0, &["idle", NAME, "--restore"], &["put back from its snapshot"]);
    warmth.stands("idle", "1.0.0+1");
    warmth.rests();
    assert_eq!(warmth.data().keys().collect::<Vec<_>>(), ["1.0.0"]);
}

#[test]
fn a_red_promote_changes_nothing_and_a_green_one_everything_together() {
    let mut warmth = Warmth::seeded();
    let before = (warmth.state()["current"].clone(), warmth.data());
    warmth.publish("1.1.0+1", SPOILS_AND_FAILS);
    let green = ["--green", "--cold"];
    warmth.ends(
        11,
        &[&["promote", NAME, "--version", "1.1.0+1"], &green[..]].concat(),
        &["wiki: rolled-back: 1.1.0+1 did not become the known-good", "1.0.0+1 stays the known-good, with its data"],
    );
    warmth.stands("idle", "1.0.0+1");
    warmth.rests();
    assert_eq!((warmth.state()["current"].clone(), warmth.data()), before);

    warmth.publish("1.2.0+1", &runs("1.2.0"));
    warmth.ends(
        0,
        &[&["promote", NAME, "--version", "1.2.0+1"], &green[..]].concat(),
        &["wiki: upgraded: 1.0.0+1 -> 1.2.0+1 is the known-good"],
    );
    warmth.stands("idle", "1.2.0+1");
    warmth.rests();
    assert_eq!(warmth.data().keys().collect::<Vec<_>>(), ["1.2.0"], "its volumes are fresh");
    let old = before.0["snapshot"].as_str().unwrap();
    assert!(!warmth.dir().join("snapshots").join(old).exists(), "the old snapshot goes once the new one is sealed");
}

#[test]
fn a_volume_that_was_removed_by_hand_comes_back_at_the_next_use_and_that_is_said() {
    let warmth = Warmth::seeded();
    let volume = warmth.volume();
    on_engine(async |swarm| swarm.remove_volume(&volume).await.unwrap());
    assert!(!warmth.place().exists());
    warmth.ends(0, &["deploy", NAME], &["volume", "was gone", "so the data of its snapshot was put back"]);
    assert_eq!(warmth.data()["1.0.0"], "1.0.0\n");
    warmth.ends(0, &["idle", NAME], &[]);

    on_engine(async |swarm| swarm.remove_volume(&volume).await.unwrap());
    let said = warmth.ends(0, &[], &["the snapshot brings it back before it is used again"]);
    assert!(said.out.starts_with("wiki: applied: volume"), "{said:#?}");
    warmth.stands("dirty", "1.0.0+1");
    warmth.ends(0, &["deploy", NAME], &["so the data of its snapshot was put back"]);
    assert_eq!(warmth.data()["1.0.0"], "1.0.0\n");
}

#[test]
fn where_volumes_and_snapshot_are_both_gone_that_is_said_and_a_seed_makes_them_anew() {
    let warmth = Warmth::seeded();
    let volume = warmth.volume();
    on_engine(async |swarm| swarm.remove_volume(&volume).await.unwrap());
    fs::remove_dir_all(warmth.dir().join("snapshots")).unwrap();
    warmth.ends(14, &[], &["wiki: unhealthy: its warm data is lost"]);
    assert_eq!(warmth.record()["status"], "lost");
    warmth.ends(0, &[], &["wiki: converged", "its data is lost"]);
    warmth.ends(12, &["deploy", NAME], &["canonical seed wiki"]);
    warmth.ends(0, &["seed", NAME], &["seeded 1.0.0+1"]);
    warmth.stands("idle", "1.0.0+1");
}

#[test]
fn a_snapshot_that_is_gone_is_taken_once_more_while_the_data_is_whole() {
    let warmth = Warmth::seeded();
    fs::remove_dir_all(warmth.dir().join("snapshots")).unwrap();
    warmth.ends(0, &[], &["is stored as snapshot", "the snapshot of the known-good was gone"]);
    warmth.stands("idle", "1.0.0+1");
    assert_eq!(warmth.ends(0, &[], &[]).out, "wiki: converged\n");
}

#[test]
fn the_reconciler_ends_what_runs_and_deploys_nothing() {
    let warmth = Warmth::seeded();
    let before = warmth.world.fingerprint(NAME);
    assert_eq!(warmth.ends(0, &[], &[]).out, "wiki: converged\n");
    assert_eq!(warmth.world.fingerprint(NAME), before, "nothing is written where all is at rest");
    warmth.ends(0, &["deploy", NAME], &[]);
    warmth.ends(0, &[], &["wiki: applied: idle"]);
    warmth.stands("idle", "1.0.0+1");
    warmth.rests();
}

#[test]
fn what_cannot_be_done_is_refused_with_the_way_out() {
    let mut warmth = Warmth::enrolled();
    warmth.ends(12, &["deploy", NAME], &["canonical seed wiki"]);
    warmth.ends(12, &["idle", NAME], &["canonical seed wiki"]);
    warmth.ends(1, &["seed", "blog"], &["blog is not enrolled", "enrolled: wiki"]);
    warmth.ends(12, &["seed", NAME, "--version", "x y"], &["is no version"]);
    warmth.publish("2.0.0+1", SPOILS_AND_FAILS);
    warmth.ends(
        14,
        &["seed", NAME, "--version", "2.0.0+1"],
        &["the seed of 2.0.0+1 failed", "its volumes are removed again"],
    );
    assert_eq!(warmth.data().len(), 0);
    warmth.ends(0, &["seed", NAME, "--version", "1.0.0+1"], &["seeded 1.0.0+1"]);
    warmth.ends(12, &["seed", NAME], &["has a known-good already, 1.0.0+1"]);
    warmth.ends(0, &["deploy", NAME], &[]);
    warmth.ends(12, &["seed", NAME], &["is deployed now"]);
    fs::write(warmth.dir().join("canonical.json"), "{").unwrap();
    warmth.ends(0, &[], &["canonical.json was damaged", "written again from state.json"]);
    warmth.stands("idle", "1.0.0+1");
}

#[test]
fn what_no_snapshot_could_put_back_is_refused_before_any_of_it_runs() {
    let mut warmth = Warmth::enrolled();
    let bind = json!({"services": {"app": {"volumes": ["data:/data", "/srv:/srv"]}}});
    warmth.publish_laid_over("1.1.0+1", &runs("1.1.0"), &bind);
    let memory = json!({"driver_opts": {"type": "tmpfs", "device": "tmpfs"}});
    warmth.publish_laid_over("1.2.0+1", &runs("1.2.0"), &json!({"volumes": {"data": memory}}));
    let bad = [("1.1.0+1", "name the path in snapshot.exclude"), ("1.2.0+1", "stands for something else")];
    for (version, words) in bad {
        warmth.ends(12, &["seed", NAME, "--version", version], &[words]);
    }
    assert!(warmth.world.observe(NAME).services.is_empty());
    warmth.ends(0, &["seed", NAME, "--version", "1.0.0+1"], &[]);
    let written = || warmth.world.observe(NAME).services.values().map(|service| service.index).max();
    let before = written();
    for (version, words) in bad {
        warmth.ends(12, &["promote", NAME, "--green", "--cold", "--version", version], &[words]);
    }
    assert_eq!(written(), before);
    warmth.stands("idle", "1.0.0+1");
}

#[test]
fn a_failed_seed_is_tried_again_beside_the_volumes_that_are_left_out() {
    let mut warmth = Warmth::enrolled();
    let cache = json!({"services": {"app": {"volumes": ["data:/data", "cache:/cache"]}}, "volumes": {"cache": null}});
    warmth.publish_laid_over("1.0.0+2", SPOILS_AND_FAILS, &cache);
    warmth.publish_laid_over("1.1.0+1", &runs("1.1.0"), &cache);
    warmth.declare("snapshot = { exclude = [\"cache\"] }\n");
    warmth.ends(14, &["seed", NAME, "--version", "1.0.0+2"], &["its volumes are removed again"]);
    let status = warmth.world.run(&["status", NAME]);
    assert!(
        status.out.contains("failed") && status.out.contains("`evenkeel canonical seed wiki` lifts that"),
        "{status:#?}"
    );
    warmth.ends(0, &["seed", NAME, "--version", "1.1.0+1"], &["seeded 1.1.0+1"]);
}

#[test]
fn data_of_somebody_else_under_the_same_name_is_never_thrown_away() {
    let warmth = Warmth::enrolled();
    let (volume, stack) = (warmth.volume(), warmth.world.stack(NAME).parse().unwrap());
    on_engine(async |swarm| swarm.create_volume(&stack, &volume).await.unwrap());
    fs::write(warmth.place().join("mine"), "dear").unwrap();
    warmth.ends(12, &["seed", NAME], &["were not made here"]);
    assert_eq!(warmth.data()["mine"], "dear");
    assert!(PrivateEngine::shared().data_root().exists());
}
