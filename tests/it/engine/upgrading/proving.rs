//! The proof that nobody holds the data and nobody wrote the stack.

use std::os::unix::fs::symlink;

use evenkeel::model::outcome::Outcome;

use super::*;

/// A container of somebody who works with the Docker command line.
async fn by_hand(bench: &Bench, bind: &str, starts: bool) -> String {
    let engine = bench.stack.swarm.engine();
    let image = PrivateEngine::shared().image();
    let body = json!({"Image": image, "Cmd": ["sleep", "1000000"], "HostConfig": {"Binds": [bind]}});
    let created = engine.post("/containers/create", &[], &body).await.unwrap();
    let id = created["Id"].as_str().unwrap().to_owned();
    if starts {
        engine.post(&format!("/containers/{id}/start"), &[], &Value::Null).await.unwrap();
    }
    id
}

#[tokio::test]
async fn whoever_holds_the_data_or_a_path_above_or_below_it_is_found() {
    let bench = Bench::new("up-held").await;
    let own = [bench.service("db", RUNS, json!({}))];
    bench.create(&own).await;
    bench.stack.until_running(1).await;
    let mut transaction = bench.transaction(&own, &own).await;
    let mut host = bench.host();
    bench.stopped(&mut host, &mut transaction).await;
    let volume = bench.stack.named("data");
    let data = bench.data("data").await;
    std::fs::create_dir(data.join("uploads")).unwrap();
    let other = tempfile::tempdir().unwrap();
    symlink(&data, other.path().join("link")).unwrap();
    let path = |path: &Path| format!("{}:/x", path.display());
    let above = data.parent().unwrap();

    let rows = [
        (format!("{volume}:/x"), true, true),
        (format!("{volume}:/x:ro"), false, true),
        (path(above), true, true),
        (path(&data.join("uploads")), true, true),
        // A monitor reads the host from above, and writes nothing; what looks into the data may read it half restored.
        (format!("{}:ro", path(above.parent().unwrap())), true, false),
        (format!("{}:ro", path(&data.join("uploads"))), true, true),
        (path(&other.path().join("link")), false, true),
        (path(other.path()), true, false),
        // Another volume whose destination is called as ours is: the Engine's own filter would take it for ours.
        (format!("{volume}-other:/{volume}"), true, false),
    ];
    for (bind, starts, is_held) in rows {
        let id = by_hand(&bench, &bind, starts).await;
        let proved = host.perform(&Act::Prove, &transaction).await.unwrap();
        assert_eq!(proved.is_err(), is_held, "{bind}: {proved:?}");
        if let Err(no) = proved {
            let state = if starts { "running" } else { "created" };
            assert!(no.contains(&volume) && no.contains(&format!("is {state}")), "{bind}: {no}");
        }
        bench.stack.swarm.remove_container(&id).await.unwrap();
        assert_eq!(host.perform(&Act::Prove, &transaction).await, DONE, "{bind}");
    }
    drop(host);
    bench.clear().await;
}

#[tokio::test]
async fn a_paused_container_holds_the_data_and_an_exited_one_of_others_does_not() {
    let bench = Bench::new("up-paused").await;
    let own = [bench.service("db", RUNS, json!({}))];
    bench.create(&own).await;
    bench.stack.until_running(1).await;
    let mut transaction = bench.transaction(&own, &own).await;
    let mut host = bench.host();
    bench.stopped(&mut host, &mut transaction).await;
    let engine = bench.stack.swarm.engine();
    let id = by_hand(&bench, &format!("{}:/x", bench.stack.named("data")), true).await;

    engine.post(&format!("/containers/{id}/pause"), &[], &Value::Null).await.unwrap();
    let no = host.perform(&Act::Prove, &transaction).await.unwrap().unwrap_err();
    assert!(no.contains("is paused"), "{no}");

    engine.post(&format!("/containers/{id}/unpause"), &[], &Value::Null).await.unwrap();
    engine.post(&format!("/containers/{id}/kill"), &[], &Value::Null).await.unwrap();
    bench.stack.swarm.end_container(&id, Duration::ZERO).await.unwrap();
    assert_eq!(host.perform(&Act::Prove, &transaction).await, DONE);
    bench.stack.swarm.remove_container(&id).await.unwrap();
    drop(host);
    bench.clear().await;
}

#[tokio::test]
async fn every_write_by_somebody_else_is_found() {
    let bench = Bench::new("up-written").await;
    let own = [bench.service("db", RUNS, json!({})), bench.service("web", RUNS, json!({}))];
    bench.create(&own).await;
    bench.stack.until_running(2).await;
    let mut transaction = bench.transaction(&own, &own).await;
    let mut host = bench.host();
    bench.stopped(&mut host, &mut transaction).await;
    assert_eq!(host.perform(&Act::Prove, &transaction).await, DONE);

    let swarm = &bench.stack.swarm;
    let live = swarm.live_service(&bench.stack.named("db")).await.unwrap().unwrap();
    swarm.update_service(&live.name, &live.spec).await.unwrap();
    swarm.remove_service(&bench.stack.named("web")).await.unwrap();
    let mut added = bench.stack.service("more");
    added["Mode"] = json!({"Replicated": {"Replicas": 0}});
    bench.create(&[added]).await;

    let no = host.perform(&Act::Prove, &transaction).await.unwrap().unwrap_err();
    for (name, what) in [("db", "written"), ("web", "removed"), ("more", "added")] {
        assert!(no.contains(&format!("service {} was {what}", bench.stack.named(name))), "{no}");
    }
    drop(host);
    bench.clear().await;
}

#[tokio::test]
async fn what_could_not_come_back_is_told_before_anything_is_stopped() {
    let bench = Bench::new("up-look").await;
    let own = [bench.service("db", RUNS, json!({}))];
    bench.create(&own).await;
    bench.stack.until_running(1).await;
    let (swarm, stack) = (&bench.stack.swarm, &bench.stack.name);
    let data = bench.stack.named("data");
    let look = async |specs: &[Value], left_out: &[String]| {
        volumes(swarm, stack, &specs.iter().collect::<Vec<_>>(), left_out).await
    };
    let found = look(&own, &[]).await.unwrap();
    assert_eq!(found[&data].mountpoint.as_deref(), Some(bench.data("data").await.as_path()));

    // Another app names the volume, and runs nothing.
    let mut idle = bench.service("blog", RUNS, json!({"Mode": {"Replicated": {"Replicas": 0}}}));
    (idle["Name"], idle["Labels"]) = (json!("evenkeel-test-up-look2_blog"), json!({}));
    idle["TaskTemplate"]["ContainerSpec"]["Labels"] = json!({});
    swarm.create_service(&idle).await.unwrap();
    // A volume of the app stands for a path, it writes to another one, and somebody looks into its data.
    let nfs = json!({"Name": bench.stack.named("far"), "Driver": "local", "Labels": bench.stack.labels(),
        "DriverOpts": {"type": "none", "o": "bind", "device": "/srv"}});
    swarm.engine().post("/volumes/create", &[], &nfs).await.unwrap();
    let mut writes = own[0].clone();
    writes["TaskTemplate"]["ContainerSpec"]["Mounts"] = json!([
        {"Type": "bind", "Source": "/var/lib/wiki", "Target": "/w"},
        {"Type": "bind", "Source": PrivateEngine::shared().socket(), "Target": "/docker.sock"},
    ]);
    let id = by_hand(&bench, &format!("{data}:/x"), true).await;

    let Err(Outcome::Blocked(why)) = look(&[own[0].clone(), writes], &[]).await else { panic!("blocked") };
    for words in ["evenkeel-test-up-look2_blog", "device=/srv", "/var/lib/wiki", &data] {
        assert!(why.contains(words), "{words}: {why}");
    }
    assert!(!why.contains("docker.sock"), "{why}");

    bench.stack.swarm.remove_container(&id).await.unwrap();
    let left_out = ["data".to_owned(), "far".to_owned()];
    assert!(look(&own, &left_out).await.unwrap().values().all(|volume| volume.left_out));
    swarm.remove_service("evenkeel-test-up-look2_blog").await.unwrap();
    bench.clear().await;
}
