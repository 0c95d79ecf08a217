//! Throw-away stacks of dead runs: they go, and nobody else's do.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use evenkeel::host::swarm::{NAMESPACE, Swarm};
use evenkeel::model::app::StackName;
use evenkeel::model::secret::{HostKey, SecretBytes};
use evenkeel::model::throw_away::Mark;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::DEADLINE;
use super::private::PrivateEngine;
use super::yard::Yard;
use crate::world::on_engine;

const LISTENS: &str = "trap 'exit 0' TERM; sleep 1000000 & wait";

/// A stack with one object of each kind, marked so.
async fn make(swarm: &Swarm, mark: &Mark, script: &str) {
    let stack = mark.stack.as_str();
    let marks = mark.labels().map(|(name, value)| (name.to_owned(), value));
    let labels: BTreeMap<String, String> =
        marks.into_iter().chain([(NAMESPACE.to_owned(), stack.to_owned())]).collect();
    let secret = json!({"Name": format!("{stack}_key_v1"), "Labels": labels});
    swarm.create_secret(&secret, &SecretBytes::new(b"x".to_vec())).await.unwrap();
    swarm.create_config(&json!({"Name": format!("{stack}_run_v1"), "Labels": labels}), b"x").await.unwrap();
    let network = json!({"Name": format!("{stack}_internal"), "Driver": "overlay", "Scope": "swarm", "Labels": labels});
    swarm.create_network(&network).await.unwrap();
    let mount = json!({"Type": "volume", "Source": format!("{stack}_data"), "Target": "/data",
        "VolumeOptions": {"Labels": labels}});
    let container = json!({"Image": PrivateEngine::shared().image(), "Command": ["sh", "-c", script], "Labels": labels,
        "StopGracePeriod": 3_600_000_000_000_u64, "Mounts": [mount]});
    let spec = json!({
        "Name": format!("{stack}_app"), "Labels": labels, "EndpointSpec": {"Mode": "dnsrr"},
        "TaskTemplate": {"ContainerSpec": container, "Networks": [{"Target": format!("{stack}_internal")}]},
        "Mode": {"Replicated": {"Replicas": 1}},
    });
    swarm.create_service(&spec).await.unwrap();
}

#[test]
fn what_dead_runs_left_goes_once_its_time_is_over_and_nobody_elses_does() {
    let yard = Yard::of(&["wiki"]);
    yard.world.ok(&["canonical"]);
    let base = yard.world.base.replace('.', "_");
    let (ours, other) = (yard.key(), HostKey::new(vec![7; 32]));
    let mark = |digits: &str, hours: i64, key: &HostKey| {
        let stack: StackName = format!("wiki-{digits}_{base}").parse().unwrap();
        let expires = Timestamp::now() + SignedDuration::from_hours(hours);
        Mark::new(&stack, expires, key, &mut |bytes| bytes.fill(digits.as_bytes()[0]))
    };
    let dead = mark("aaaaaa", -1, &ours);
    let young = mark("bbbbbb", 1, &ours);
    let late = mark("cccccc", -1, &ours);
    let foreign = mark("dddddd", -1, &other);
    let all = [&dead, &young, &late, &foreign];
    let deaf = "trap '' TERM; while :; do sleep 1; done";
    on_engine(async |swarm| {
        for (mark, script) in all.into_iter().zip([deaf, LISTENS, LISTENS, LISTENS]) {
            make(&swarm, mark, script).await;
        }
    });
    // Its run lives, however late it is.
    let folder = yard.world.state_dir().join("sweep").join(late.stack.as_str().replace('_', "."));
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("lock"), "pid 1 evenkeel canonical sweep\n").unwrap();
    let lock = fs::File::open(folder.join("lock")).unwrap();
    lock.lock().unwrap();
    let unused = yard.world.state_dir().join("sweep").join(format!("wiki-eeeeee.{}", yard.world.base));
    fs::create_dir_all(&unused).unwrap();

    let count = |mark: &Mark| {
        yard.throw_aways()
            .iter()
            .filter(|marked| marked.labels.values().any(|label| label == mark.stack.as_str()))
            .count()
    };
    // Containers, and the volumes with them, come by and by.
    let begun = Instant::now();
    while !all.iter().all(|mark| count(mark) == 6) {
        assert!(begun.elapsed() < DEADLINE, "{:#?}", yard.throw_aways());
        std::thread::sleep(Duration::from_millis(50));
    }
    let said = yard.world.ok(&["canonical"]);
    assert!(said.out.contains(&format!("throw-away stack {}: removed", dead.stack)), "{said:#?}");
    assert_eq!(count(&dead), 0, "{:#?}", yard.throw_aways());
    assert_eq!([&young, &late, &foreign].map(count), [6; 3]);
    let told = format!("what is left of stack {} is marked as a throw-away stack whose time is over", foreign.stack);
    assert!(said.err.contains(&told), "{said:#?}");
    assert!(!said.err.contains(young.stack.as_str()) && !said.err.contains(late.stack.as_str()), "{said:#?}");
    assert!(!unused.exists() && folder.exists());

    drop(lock);
    yard.world.ok(&["canonical"]);
    assert_eq!([&young, &late, &foreign].map(count), [6, 0, 6]);
    on_engine(async |swarm| {
        for mark in [&young, &foreign] {
            let labels = [format!("evenkeel.run={}", mark.run())];
            swarm.remove_marked(&labels.each_ref().map(String::as_str)).await.unwrap();
        }
    });
}
