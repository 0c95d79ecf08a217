//! Somebody works on the app by hand while it is upgraded.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use evenkeel::host::swarm::Swarm;
use serde_json::{Value, json};

use crate::engine::nights::{Nights, Now, runs, tells};
use crate::engine::private::PrivateEngine;
use crate::world::{Said, on_engine};

/// A night in which somebody did something in the middle.
struct Meddled {
    said: Said,
    before: BTreeMap<String, Vec<u8>>,
    after: BTreeMap<String, Vec<u8>>,
    refused: Value,
}

struct Seen {
    container: String,
    volume: String,
    service: String,
    while_stored: Meddled,
    while_stopped: Meddled,
    after_stored: Meddled,
    while_judged: Meddled,
    rolled_back: Meddled,
}

static SEEN: LazyLock<Seen> = LazyLock::new(|| {
    let mut nights = Nights::begin();
    let (volume, service) = (nights.named("data"), nights.named("app"));
    let container = format!("{service}-by-hand");
    let look = {
        let (name, bind) = (container.clone(), format!("{volume}:/x"));
        async move |swarm: Swarm| start(&swarm, &name, &bind).await
    };
    let scale_to = |replicas: u64| {
        let service = service.clone();
        async move |swarm: Swarm| scale(&swarm, &service, replicas).await
    };
    let while_stored = night(&mut nights, "1.1.0", |now| now.is_sealed(), look);
    let by_hand = container.clone();
    on_engine(async move |swarm| swarm.remove_container(&by_hand).await.unwrap());
    let is_stopped = |now: &Now<'_>| {
        now.is_at("stop") && now.is_answered && now.request.starts_with("POST ") && now.request.contains("/update?")
    };
    let while_stopped = night(&mut nights, "1.2.0", is_stopped, scale_to(1));
    let after_stored = night(&mut nights, "1.3.0", |now| now.is_sealed(), scale_to(1));
    let while_judged = night(&mut nights, "1.4.0", |now| now.is_at("judge"), scale_to(0));
    nights.stands_at("1.4.0+1");
    // What was deployed has been looked at, and the verdict has not begun.
    let is_judged = |now: &Now<'_>| now.is_at("judge") && now.is_answered && now.request.contains("/events");
    let by_name = service.clone();
    let rolled_back = night(&mut nights, "1.5.0", is_judged, async move |swarm| roll_back(&swarm, &by_name).await);
    nights.stands_at("1.5.0+1");
    Seen { container, volume, service, while_stored, while_stopped, after_stored, while_judged, rolled_back }
});

fn night(
    nights: &mut Nights,
    version: &str,
    is_due: impl Fn(&Now<'_>) -> bool + Send + 'static,
    happens: impl AsyncFnOnce(Swarm) + Send + 'static,
) -> Meddled {
    let before = nights.data();
    nights.publish(&format!("{version}+1"), &runs(version));
    nights.meanwhile(is_due, happens);
    let said = nights.night();
    nights.has_happened();
    Meddled { said, before, after: nights.data(), refused: nights.state()["refused"].clone() }
}

/// As with the Docker command line.
async fn start(swarm: &Swarm, name: &str, bind: &str) {
    let image = PrivateEngine::shared().image();
    let body = json!({"Image": image, "Cmd": ["sleep", "1000000"], "HostConfig": {"Binds": [bind]}});
    swarm.engine().post("/containers/create", &[("name", name)], &body).await.unwrap();
    swarm.engine().post(&format!("/containers/{name}/start"), &[], &Value::Null).await.unwrap();
}

async fn scale(swarm: &Swarm, service: &str, replicas: u64) {
    let mut spec = swarm.live_service(service).await.unwrap().unwrap().spec;
    spec["Mode"] = json!({"Replicated": {"Replicas": replicas}});
    swarm.update_service(service, &spec).await.unwrap();
}

/// As `docker service rollback` does it: Swarm takes the spec that it has kept.
async fn roll_back(swarm: &Swarm, service: &str) {
    let live = swarm.engine().get(&format!("/services/{service}"), &[]).await.unwrap();
    let index = live["Version"]["Index"].to_string();
    let path = format!("/services/{service}/update");
    swarm.engine().post(&path, &[("version", &index), ("rollback", "previous")], &live["Spec"]).await.unwrap();
}

impl Meddled {
    /// Nothing is held against the version, and the app runs as before.
    #[track_caller]
    fn put_the_app_back(&self, words: &[&str]) {
        tells(&self.said, 12, words);
        tells(&self.said, 12, &["1.0.0+1 runs again as before, its data was not touched"]);
        assert_eq!(self.before, self.after);
        self.holds_nothing_against_the_version();
    }

    /// It was made again as it was deployed, and passed its gate.
    #[track_caller]
    fn let_it_pass(&self, target: &str) {
        tells(&self.said, 0, &[&format!("upgraded: {target}")]);
        self.holds_nothing_against_the_version();
        assert!(self.before.iter().all(|(path, bytes)| self.after.get(path) == Some(bytes)));
    }

    #[track_caller]
    fn holds_nothing_against_the_version(&self) {
        assert!(self.refused.as_array().is_none_or(Vec::is_empty), "{}", self.refused);
    }
}

#[test]
fn a_container_that_somebody_starts_on_the_data_while_it_is_stored_is_named_and_the_app_comes_back() {
    let words = ["was broken off at snapshot: the app's data is in use", &SEEN.container, &SEEN.volume];
    SEEN.while_stored.put_the_app_back(&words);
}

#[test]
fn a_service_that_somebody_scales_up_while_the_app_stops_is_named_and_the_app_comes_back() {
    SEEN.while_stopped.put_the_app_back(&["was broken off at stop: ", &SEEN.service]);
}

#[test]
fn a_service_that_somebody_scales_up_while_it_is_stored_is_named_and_the_app_comes_back() {
    let written = format!("service {} was written", SEEN.service);
    SEEN.after_stored.put_the_app_back(&["was broken off at snapshot: ", &written]);
}

#[test]
fn a_service_that_somebody_scales_to_nothing_while_it_is_judged_is_not_held_against_the_version() {
    SEEN.while_judged.let_it_pass("1.0.0+1 -> 1.4.0+1");
}

/// Swarm tells nobody afterwards who wanted it.
#[test]
fn a_service_that_somebody_rolls_back_while_it_is_judged_is_not_held_against_the_version() {
    SEEN.rolled_back.let_it_pass("1.4.0+1 -> 1.5.0+1");
    let told = format!("service {} was rolled back by somebody else", SEEN.service);
    assert!(SEEN.rolled_back.said.err.contains(&told), "{:#?}", SEEN.rolled_back.said);
}
