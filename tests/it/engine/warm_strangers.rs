//! What somebody else does to a canonical, or with it: no data of theirs is removed, and none of it becomes the known-good's.

use std::time::{Duration, Instant};
use std::{fs, thread};

use evenkeel::model::observed::{Task, TaskState};
use serde_json::json;

use super::private::PrivateEngine;
use super::warmth::{NAME, SPOILS_AND_FAILS, Warmth, runs};
use crate::world::{World, on_engine};

const PUT_BACK: &str = "so the data of its snapshot was put back";

#[test]
fn a_service_that_was_started_and_stopped_by_hand_makes_the_data_unusable_and_that_is_said() {
    let warmth = Warmth::seeded();
    let service = format!("{}_app", warmth.world.stack(NAME));
    on_engine(async |swarm| {
        let live = swarm.live_service(&service).await.unwrap().unwrap();
        let mut spec = live.spec.clone();
        spec["Mode"] = json!({"Replicated": {"Replicas": 1}});
        swarm.update_service(&service, &spec).await.unwrap();
    });
    warmth.until("it runs", |tasks| tasks.iter().any(|task| task.state == TaskState::Running));
    on_engine(async |swarm| swarm.scale_to_nothing(&service).await.unwrap());
    // No task tells of it any more.
    warmth.until("it is forgotten", <[Task]>::is_empty);
    fs::write(warmth.place().join("strange"), "by hand").unwrap();
    warmth.ends(0, &["deploy", NAME], &[PUT_BACK]);
    assert_eq!(warmth.data().keys().collect::<Vec<_>>(), ["1.0.0"]);
}

#[test]
fn a_service_that_was_changed_and_changed_back_while_it_ran_leaves_no_warm_data() {
    let warmth = Warmth::seeded();
    warmth.ends(0, &["deploy", NAME], &[]);
    let service = format!("{}_app", warmth.world.stack(NAME));
    on_engine(async |swarm| {
        let live = swarm.live_service(&service).await.unwrap().unwrap();
        let mut other = live.spec.clone();
        other["Labels"]["other"] = json!("for a moment");
        swarm.update_service(&service, &other).await.unwrap();
        swarm.update_service(&service, &live.spec).await.unwrap();
    });
    warmth.ends(0, &["idle", NAME], &["its data is put back from the snapshot before it is used again"]);
    warmth.stands("dirty", "1.0.0+1");
}

#[test]
fn a_volume_that_was_replaced_while_it_was_deployed_is_never_taken_for_warm_data() {
    let warmth = Warmth::seeded();
    warmth.ends(0, &["deploy", NAME], &[]);
    let (service, volume) = (format!("{}_app", warmth.world.stack(NAME)), warmth.volume());
    let stack = warmth.world.stack(NAME).parse().unwrap();
    let observed = warmth.world.observe(NAME);
    on_engine(async |swarm| {
        swarm.remove_service(&service).await.unwrap();
        let ids: Vec<String> = observed.services.values().map(|service| service.id.clone()).collect();
        swarm.wait_containers_gone(&ids, super::DEADLINE).await.unwrap();
        swarm.remove_volume(&volume).await.unwrap();
        swarm.create_volume(&stack, &volume).await.unwrap();
    });
    warmth.ends(0, &[], &["put back from the snapshot before it is used again"]);
    warmth.stands("dirty", "1.0.0+1");
    warmth.ends(0, &["deploy", NAME], &[PUT_BACK]);
    assert_eq!(warmth.data()["1.0.0"], "1.0.0\n");
}

#[test]
fn a_rotten_snapshot_is_stored_again_from_whole_data_and_never_put_over_it() {
    let mut warmth = Warmth::seeded();
    let snapshot = warmth.state()["current"]["snapshot"].as_str().unwrap().to_owned();
    let folder = warmth.dir().join("snapshots").join(&snapshot);
    let archive = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let archive = archive.into_iter().find(|path| path.to_string_lossy().ends_with(".zst")).unwrap();
    let mut bytes = fs::read(&archive).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&archive, bytes).unwrap();

    warmth.publish("1.1.0+1", &runs("1.1.0"));
    let promote = ["promote", NAME, "--green", "--cold", "--version", "1.1.0+1"];
    warmth.ends(12, &promote, &["the snapshot is not as it was stored"]);
    assert_eq!(warmth.data()["1.0.0"], "1.0.0\n");
    warmth.ends(0, &[], &["is stored as snapshot"]);
    warmth.stands("idle", "1.0.0+1");
    warmth.ends(0, &promote, &["1.0.0+1 -> 1.1.0+1 is the known-good"]);
}

#[test]
fn a_volume_of_somebody_else_is_neither_taken_nor_removed_whoever_names_it() {
    let mut warmth = Warmth::seeded();
    let dear = format!("{}-dear", warmth.volume());
    let other = "evenkeel-test-other".parse().unwrap();
    on_engine(async |swarm| swarm.create_volume(&other, &dear).await.unwrap());
    let place = PrivateEngine::shared().data_root().join("volumes").join(&dear).join("_data");
    fs::write(place.join("mine"), "dear").unwrap();

    let external = json!({"services": {"app": {"volumes": ["data:/data", "dear:/dear"]}},
        "volumes": {"data": null, "dear": {"external": true, "name": dear}}});
    warmth.publish_laid_over("1.1.0+1", &runs("1.1.0"), &external);
    let promote = ["promote", NAME, "--green", "--cold", "--version", "1.1.0+1"];
    warmth.ends(12, &promote, &["is not its own", "snapshot.external"]);
    let commit = warmth.commit_laid_over(&runs("quick"), &external);
    warmth.ends(12, &["deploy", NAME, "--quick", &commit], &["is not its own", "1.0.0+1 runs on its warm data"]);
    // Who proposes a commit gets nothing of the neighbours by it.
    let route = json!({"labels": {"traefik.http.routers.x.rule": "Host(`neighbour.example`)"}});
    let network = "neighbour_internal";
    PrivateEngine::shared().docker(&["network", "create", "--driver", "overlay", network]);
    let neighbour = json!({
        "services": {"app": {"networks": ["default", network]}},
        "networks": {"default": null, network: {"external": true}},
    });
    let mount = json!({"volumes": {"data": null, "proc": {"driver_opts": {"type": "proc", "device": "proc"}}},
        "services": {"app": {"volumes": ["data:/data", "proc:/x"]}}});
    for (more, words) in [
        (json!({"services": {"app": {"deploy": route}}}), "the route Host(`neighbour.example`)"),
        (neighbour, "network neighbour_internal"),
        (mount, "stands for something else"),
    ] {
        let commit = warmth.commit_laid_over(&runs("quick"), &more);
        warmth.ends(12, &["deploy", NAME, "--quick", &commit], &[words]);
    }
    PrivateEngine::shared().docker(&["network", "rm", network]);
    warmth.stands("deployed", "1.0.0+1");
    warmth.ends(0, &["idle", NAME, "--restore"], &[]);
    warmth.stands("idle", "1.0.0+1");
    assert_eq!(fs::read_to_string(place.join("mine")).unwrap(), "dear");
    on_engine(async |swarm| swarm.remove_volume(&dear).await.unwrap());
}

#[test]
fn what_was_broken_off_is_finished_by_resume_also_where_it_is_enrolled_no_more() {
    let mut warmth = Warmth::seeded();
    warmth.publish("1.1.0+1", SPOILS_AND_FAILS);
    let promote = ["canonical", "promote", NAME, "--green", "--cold", "--version", "1.1.0+1"];
    warmth.kill_at(&promote, "promote", "judge");
    warmth.world.table(NAME, "");
    let said = warmth.world.run(&["resume"]);
    assert_eq!(said.code, 0, "{said:#?}");
    assert!(said.out.contains("wiki: applied: the promote of 1.1.0+1 was broken off and is undone"), "{said:#?}");
    warmth.stands("idle", "1.0.0+1");
    warmth.rests();
    warmth.declare("");
    warmth.ends(0, &["deploy", NAME], &["runs on its warm data"]);
    assert_eq!(warmth.data().keys().collect::<Vec<_>>(), ["1.0.0"]);
}

#[test]
fn a_canonical_is_no_app_that_always_runs_on_the_data_of_a_test() {
    let warmth = Warmth::seeded();
    let mut world = warmth.world;
    let (url, domain) = (warmth.recipe.url(), world.domain(NAME));
    world.table(NAME, &format!("[app.{NAME}]\nrecipe = {{ url = \"{url}\" }}\ndomain = \"{domain}\"\n"));
    let said = world.run(&["app", NAME]);
    assert_eq!(said.code, 12, "{said:#?}");
    assert!(said.out.contains("is recorded as a canonical"), "{said:#?}");
}

#[test]
fn an_untagged_commit_becomes_no_known_good_however_it_is_asked_for() {
    let mut warmth = Warmth::enrolled();
    let commit = warmth.commit(&runs("untagged"));
    warmth.ends(12, &["seed", NAME, "--version", &commit], &["only what is tagged becomes a known-good"]);
    warmth.ends(0, &["seed", NAME], &[]);
    let promote = ["promote", NAME, "--green", "--cold", "--version", &commit];
    warmth.ends(12, &promote, &["is no published version"]);
    warmth.ends(12, &["promote", NAME], &["the run is not green", "the run is not cold"]);
}

/// An Engine that starts gives services with a virtual IP their addresses anew, and writes that (moby#33795).
#[test]
fn neither_a_restarted_engine_nor_a_prune_of_all_volumes_costs_a_canonical_its_data() {
    let engine = PrivateEngine::start().with_image();
    let mut warmth = Warmth::enrolled_in(World::on(&engine));
    warmth.world.ok(&["swarm"]);
    let virtual_ip = json!({"services": {"app": {"deploy": {"endpoint_mode": "vip"}}}});
    warmth.publish_laid_over("1.1.0+1", &runs("1.1.0"), &virtual_ip);
    warmth.ends(0, &["seed", NAME, "--version", "1.1.0+1"], &["wiki: applied: seeded 1.1.0+1"]);
    let index = || warmth.world.observe(NAME).services.values().map(|service| service.index).max();
    let before = index();
    engine.kill(true);
    engine.again();
    let deadline = Instant::now() + super::DEADLINE;
    while index() == before {
        assert!(Instant::now() < deadline, "the Engine has written nothing, so this shows nothing");
        thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(warmth.ends(0, &[], &[]).out, "wiki: converged\n");
    let said = warmth.ends(0, &["deploy", NAME], &["wiki: applied: "]);
    assert!(!said.out.contains("put back"), "{said:#?}");
    warmth.ends(0, &["idle", NAME], &[]);
    warmth.stands("idle", "1.1.0+1");

    let left = || engine.data_root().join("volumes").join(warmth.volume()).exists();
    engine.docker(&["system", "prune", "--force", "--volumes"]);
    assert!(!left(), "the command spares it, so this shows nothing");
    warmth.ends(0, &["deploy", NAME], &["was gone", PUT_BACK]);
    assert!(left());
}
