//! Whole transactions over the real host: version and data move together, there and back.

use evenkeel::host::engine::Engine;
use evenkeel::host::swarm::Swarm;
use evenkeel::upgrade::on_host::OnDisk;
use evenkeel::upgrade::run::{self, Ended};
use evenkeel::upgrade::step::End;

use super::*;
use crate::engine::recorder::Recorder;
use crate::world::on_engine;

const OLD: &str = "[ -e /data/schema ] || echo 1 >/data/schema; [ \"$(cat /data/schema)\" = 1 ] || exit 3; ";

fn old() -> String {
    format!("{OLD}{RUNS}")
}

/// Migrates the data first; what follows decides.
fn new(then: &str) -> String {
    format!("echo 2 >/data/schema; echo new >/data/new; {then}")
}

/// What does not come up is at no moment taken for what runs, however slowly it ends.
fn never_well() -> Value {
    json!({"TaskTemplate": {"ContainerSpec": {"Healthcheck": {"Test": ["CMD", "false"], "Interval": 60_000_000_000u64}}}})
}

async fn upgraded(bench: &Bench, transaction: Transaction) -> (Ended, State) {
    let mut state = bench.state(&transaction);
    let mut journal = OnDisk::new(&bench.dir, &bench.lock);
    let ended = run::begin(&mut state, transaction, &mut bench.host(), &mut journal).await.unwrap();
    assert_eq!(bench.dir.read_state().unwrap().as_ref(), Some(&state));
    (ended, state)
}

/// The stack runs its old release with some data.
async fn running(bench: &Bench, own: &[Value]) -> BTreeMap<PathBuf, Vec<u8>> {
    bench.create(own).await;
    bench.stack.until_running(own.len()).await;
    let data = bench.data("data").await;
    std::fs::create_dir(data.join("pages")).unwrap();
    std::fs::write(data.join("pages/one"), [0, 159, 146, 150]).unwrap();
    bytes(&data)
}

#[tokio::test]
async fn a_good_upgrade_ends_with_the_new_version_and_keeps_the_old_data_beside() {
    let bench = Bench::new("up-good").await;
    let own = [bench.service("app", &old(), json!({}))];
    let before = running(&bench, &own).await;
    let transaction = bench.transaction(&own, &[bench.service("app", &new(RUNS), json!({}))]).await;

    let (ended, state) = upgraded(&bench, transaction).await;

    assert!(matches!(&ended, Ended::Closed { end: End::Upgraded, .. }), "{ended:?}");
    assert_eq!(state.current.as_ref().unwrap().body.revision.to_string(), "2.0.0+2");
    let data = bench.data("data").await;
    assert_eq!(std::fs::read_to_string(data.join("schema")).unwrap(), "2\n");
    assert_eq!(std::fs::read(data.join("pages/one")).unwrap(), before[&data.join("pages/one")]);
    let previous = state.previous.unwrap().release;
    let manifest = bench.dir.snapshots().manifest(&previous.snapshot.unwrap()).unwrap();
    assert_eq!(manifest.version.as_deref(), Some("1.0.0+1"));
    assert_eq!(manifest.volumes.keys().cloned().collect::<Vec<_>>(), [bench.stack.named("data")]);
    let names = std::fs::read_dir(data.parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(names.collect::<Vec<_>>(), ["_data"], "what was unpacked in vain is gone");
    let kept = bench.images.kept().await.unwrap();
    assert!(previous.body.images.values().all(|id| kept.contains(id)), "{kept:?}");
    bench.clear().await;
}

#[tokio::test]
async fn a_bad_upgrade_that_migrated_the_data_ends_with_the_old_version_on_its_own_data() {
    let bench = Bench::new("up-bad").await;
    let own = [bench.service("app", &old(), json!({})), bench.stack.service("web")];
    let before = running(&bench, &own).await;
    // Only the failed version has this volume.
    let mut bad = bench.service("app", &new("rm /data/pages/one; echo x >/more/x; exit 9"), never_well());
    let more = json!({"Type": "volume", "Source": bench.stack.named("more"), "Target": "/more"});
    bad["TaskTemplate"]["ContainerSpec"]["Mounts"].as_array_mut().unwrap().push(more);
    let transaction = bench.transaction(&own, &[bad]).await;

    let (ended, state) = upgraded(&bench, transaction).await;

    let Ended::Closed { end: End::RolledBack, why, .. } = &ended else { panic!("{ended:?}") };
    assert!(why.contains("exit code 9"), "{why}");
    assert_eq!(state.current.as_ref().unwrap().body.revision.to_string(), "1.0.0+1");
    assert_eq!(state.refused[0].revision.to_string(), "2.0.0+2");
    let data = bench.data("data").await;
    assert_eq!(bytes(&data), before);
    let failed = data.with_file_name("evenkeel-t1-failed");
    assert_eq!(std::fs::read_to_string(failed.join("schema")).unwrap(), "2\n");
    assert!(!failed.join("pages/one").exists());
    let more = bench.data("more").await;
    assert_eq!(std::fs::read_dir(&more).unwrap().count(), 0);
    assert_eq!(std::fs::read_to_string(more.with_file_name("evenkeel-t1-failed").join("x")).unwrap(), "x\n");
    let observed = bench.stack.until_running(2).await;
    assert_eq!(observed.services.len(), 2);
    bench.clear().await;
}

#[tokio::test]
async fn what_the_engine_refuses_is_undone_as_what_the_app_refuses() {
    let bench = Bench::new("up-refused").await;
    let own = [bench.service("app", &old(), json!({}))];
    let before = running(&bench, &own).await;
    let mut odd = bench.service("app", &new(RUNS), json!({}));
    let mounts = odd["TaskTemplate"]["ContainerSpec"]["Mounts"].as_array_mut().unwrap();
    mounts.push(mounts[0].clone());
    let transaction = bench.transaction(&own, &[odd]).await;

    let (ended, _) = upgraded(&bench, transaction).await;

    let Ended::Closed { end: End::RolledBack, why, .. } = &ended else { panic!("{ended:?}") };
    assert!(why.contains("the Docker Engine refused: "), "{why}");
    assert_eq!(bytes(&bench.data("data").await), before);
    bench.stack.until_running(1).await;
    bench.clear().await;
}

#[tokio::test]
async fn a_service_that_somebody_removes_while_it_is_deployed_is_not_held_against_the_version() {
    let mut bench = Bench::new("up-raced").await;
    let own = [bench.service("app", &old(), json!({}))];
    running(&bench, &own).await;
    let mut transaction = bench.transaction(&own, &[bench.service("app", &new(RUNS), json!({}))]).await;
    let mut host = bench.host();
    bench.stopped(&mut host, &mut transaction).await;
    drop(host);
    let name = bench.stack.named("app");
    let removed = move || on_engine(async move |swarm| swarm.remove_service(&name).await.unwrap());
    let recorder = Recorder::before_an_update(PrivateEngine::shared().socket(), removed);
    bench.stack.swarm = Swarm::new(Engine::connect(&recorder.endpoint()).await.unwrap());

    transaction.step = Step::Deploy;
    let mut host = bench.host();
    for act in [Act::Deploy(Side::New), Act::Judge(Side::New)] {
        assert_eq!(host.perform(&act, &transaction).await, DONE, "{act:?}");
    }
    drop(host);
    bench.clear().await;
}

#[tokio::test]
async fn an_unclean_stop_puts_the_app_back_at_once() {
    let bench = Bench::new("up-unclean").await;
    let own = [bench.service("app", "trap '' TERM; while :; do sleep 1; done", grace(1))];
    let before = running(&bench, &own).await;
    let transaction = bench.transaction(&own, &[bench.service("app", &new(RUNS), json!({}))]).await;

    let (ended, state) = upgraded(&bench, transaction).await;

    let Ended::Closed { end: End::Blocked, why, .. } = &ended else { panic!("{ended:?}") };
    assert!(why.starts_with("unclean stop"), "{why}");
    assert!(state.refused.is_empty());
    assert_eq!(bytes(&bench.data("data").await), before);
    bench.stack.until_running(1).await;
    bench.clear().await;
}

#[tokio::test]
async fn the_snapshot_is_unpacked_while_the_verdict_is_waited_for() {
    let bench = Bench::new("up-eager").await;
    let own = [bench.service("app", &old(), json!({}))];
    running(&bench, &own).await;
    let mut transaction = bench.transaction(&own, &[bench.service("app", &new("exit 9"), never_well())]).await;
    let mut host = bench.host();
    bench.stopped(&mut host, &mut transaction).await;
    for act in [Act::Archive(bench.stack.named("data")), Act::Seal] {
        assert_eq!(host.perform(&act, &transaction).await, DONE);
    }
    assert_eq!(host.perform(&Act::ReadBack, &transaction).await, Ok(Ok(Fact::Sealed("t1".into()))));
    transaction.snapshot = Some("t1".into());
    transaction.step = Step::Judge;
    assert_eq!(host.perform(&Act::Deploy(Side::New), &transaction).await, DONE);

    let no = host.perform(&Act::Judge(Side::New), &transaction).await;

    assert!(matches!(&no, Ok(Err(why)) if why.contains("exit code 9")), "{no:?}");
    let stage = bench.data("data").await.with_file_name("evenkeel-t1-new");
    let unpacked = host.perform(&Act::Unpack(bench.stack.named("data")), &transaction).await.unwrap().unwrap();
    let Fact::Staged { inode, .. } = unpacked else { panic!("{unpacked:?}") };
    assert_eq!(inode, std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(&stage).unwrap()));
    assert_eq!(std::fs::read_to_string(stage.join("schema")).unwrap(), "1\n");
    drop(host);
    bench.clear().await;
}

/// A name that stands for something else by now starts the image that was recorded, and asks nobody.
#[tokio::test]
async fn a_release_comes_back_as_the_image_that_it_ran_whatever_its_name_stands_for() {
    let bench = Bench::new("up-moved").await;
    let engine = PrivateEngine::shared();
    let name = "evenkeel-test/moving:1";
    engine.make_image(name);
    let mut own = [bench.service("app", &old(), json!({}))];
    own[0]["TaskTemplate"]["ContainerSpec"]["Image"] = json!(name);
    running(&bench, &own).await;
    let mut transaction = bench.transaction(&own, &own).await;
    let recorded = transaction.old.release.body.images[name].clone();
    let mut host = bench.host();
    bench.stopped(&mut host, &mut transaction).await;
    engine.make_image(name);
    assert_ne!(bench.images.id(name).await.unwrap().as_ref(), Some(&recorded));
    // As a nightly clean-up does it.
    bench.stack.swarm.engine().post("/images/prune", &[], &Value::Null).await.unwrap();

    assert_eq!(host.perform(&Act::Deploy(Side::Old), &transaction).await, DONE);
    assert_eq!(host.perform(&Act::Judge(Side::Old), &transaction).await, DONE);

    let observed = bench.stack.observe().await;
    assert!(observed.containers.iter().all(|container| container.image_id == recorded), "{:?}", observed.containers);
    // Once more writes nothing.
    let index = |observed: &evenkeel::model::observed::Observed| observed.services[&bench.stack.named("app")].index;
    assert_eq!(host.perform(&Act::Deploy(Side::Old), &transaction).await, DONE);
    assert_eq!(index(&bench.stack.observe().await), index(&observed));

    // Kept for as long as it runs, whoever lets go of it.
    bench.images.let_go(&recorded, jiff::Timestamp::MAX).await.unwrap();
    assert_eq!(bench.images.id(&recorded).await.unwrap().as_ref(), Some(&recorded));
    drop(host);
    bench.stack.clear().await;
    bench.images.let_go(&recorded, jiff::Timestamp::MAX).await.unwrap();
    assert!(!bench.images.kept().await.unwrap().contains(&recorded));
    bench.clear().await;
}
